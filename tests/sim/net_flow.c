/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_flow.c - bytes from one end to the other: messages are framed as the production transports frame them, joined
 * until the turn ends, sent as one run, cut where chance wants it, and taken apart by the production decoder.
 */
#include "net_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/message.h"

#include "oracle.h"

/* A message that others overtake, and one that comes twice, are late by up to so many times the link's latency. */
#define OVERTAKEN_BY 64u
#define DOUBLED_BY 1000u

/* A stray message for somebody who does not read now knocks again after this long. */
#define KNOCK_NS (10 * SIM_MS)

/* Bytes that the system has not taken yet. */
static uint64_t queued(const struct net_end *end)
{
    return end->out ? end->out->run.size - end->out_taken : 0;
}

/* ---- items --------------------------------------------------------------------------------------------- */

struct net_item *net_item_new(struct sim_net *net)
{
    struct net_item *item = net->free_items;

    if (item) {
        net->free_items = item->next;
        item->next = NULL;
        return item;
    }
    item = net_must(sizeof *item);
    item->run.heap = &net->heap;
    return item;
}

void net_item_free(struct sim_net *net, struct net_item *item)
{
    item->run.size = 0;
    if (item->run.capacity > 2 * FRAMING_BATCH)
        gavel_buffer_free(&item->run);
    item->next = net->free_items;
    net->free_items = item;
}

static void append(struct net_end *to, struct net_item *item, uint64_t at)
{
    struct sim_net *net = to->wire->net;

    if (at < to->last_at)
        at = to->last_at;
    to->last_at = at;
    item->at = at;
    item->next = NULL;
    *to->last = item;
    to->last = &item->next;
    if (item->what == NET_BYTES) {
        to->waiting += item->run.size;
        net->in_flight += item->run.size;
    }
    if (to->first == item)
        sim_schedule(net->sim, &to->arrive, at);
}

void net_push(struct net_end *end, enum net_what what, uint64_t reason, bool brittle)
{
    struct sim_net *net = end->wire->net;
    struct net_item *item = net_item_new(net);

    item->what = what;
    item->reason = (uint32_t)reason;
    item->brittle = brittle;
    append(end, item, net->sim->now + net_travel(net, end->in, 0));
}

static struct net_item *pop(struct net_end *end)
{
    struct net_item *item = end->first;

    end->first = item->next;
    if (!end->first)
        end->last = &end->first;
    if (item->what == NET_BYTES) {
        end->waiting -= item->run.size;
        end->wire->net->in_flight -= item->run.size;
    }
    return item;
}

static void drop_strays(struct net_end *end)
{
    while (!os_list_empty(&end->strays)) {
        struct net_stray *stray = os_container(os_list_pop(&end->strays), struct net_stray, link);

        sim_cancel(end->wire->net->sim, &stray->event);
        gavel_buffer_free(&stray->run);
        free(stray);
    }
}

void net_drop(struct net_end *end, struct net_item **from)
{
    struct net_item *item = *from;

    drop_strays(end);
    *from = NULL;
    end->last = from;
    while (item) {
        struct net_item *next = item->next;

        if (item->what == NET_BYTES) {
            end->waiting -= item->run.size;
            end->wire->net->in_flight -= item->run.size;
        }
        net_item_free(end->wire->net, item);
        item = next;
    }
}

bool net_truncate(struct net_end *end)
{
    struct net_item *item;
    uint64_t count = 0;
    uint64_t chosen;
    uint64_t left;

    for (item = end->first; item; item = item->next)
        count += item->what == NET_BYTES;
    if (!count)
        return false;
    chosen = sim_below(&end->in->random, count);
    for (item = end->first; item->what != NET_BYTES || chosen; item = item->next)
        chosen -= item->what == NET_BYTES;
    left = sim_below(&end->in->random, item->run.size);
    end->waiting -= item->run.size - left;
    end->wire->net->in_flight -= item->run.size - left;
    item->run.size = left;
    net_drop(end, &item->next);
    return true;
}

/* ---- messages that go their own way -------------------------------------------------------------------- */

static void give(struct net_end *end, struct gavel_slice message)
{
    const struct gavel_transport_events *events = &end->side->up.events;
    const struct sim_node *node = end->side->node;

    end->begun = true;
    if (node && node->state != SIM_DEAD)
        sim_acted(end->wire->net->sim, node); /* a client says itself what it takes */
    events->message(events->context, end->cookie, message);
}

static void give_quiet(struct sim_side *side)
{
    const struct gavel_transport_events *events = &side->up.events;

    if (side->prepared && events->quiet)
        events->quiet(events->context);
}

static void stray_free(struct net_stray *stray)
{
    os_list_remove(&stray->link);
    gavel_buffer_free(&stray->run);
    free(stray);
}

static void on_stray(struct sim *sim, struct sim_event *event)
{
    struct net_stray *stray = os_container(event, struct net_stray, event);
    struct net_end *end = stray->to;
    struct net_wire *wire = end->wire;

    if (end->state == NET_OPEN && !end->in->cut) {
        if (end->side->paused || end->reading_paused || end->in->clogged_until > sim->now) {
            sim_schedule(sim, event, sim->now + KNOCK_NS);
            return;
        }
        sim_trace(sim, end->side->node, "net: %llu from %s, a stray of %llu", (unsigned long long)wire->number,
                  end->other->side->name, (unsigned long long)stray->run.size);
        wire->busy++;
        os_list_remove(&stray->link); /* nobody else frees it now */
        give(end, gavel_buffer_slice(&stray->run));
        give_quiet(end->side);
        wire->busy--;
        stray_free(stray);
        net_wire_release(wire);
        return;
    }
    end->in->cut_felt = true;
    sim->totals.lost++;
    stray_free(stray);
}

static void stray_send(struct net_end *to, struct gavel_slice message, uint64_t by)
{
    struct sim_net *net = to->wire->net;
    struct net_stray *stray = net_must(sizeof *stray);
    uint64_t late = to->in->latency_ns * sim_magnitude(&to->in->random, 1, by);

    stray->to = to;
    stray->event.run = on_stray;
    stray->run.heap = &net->heap;
    (void)gavel_buffer_append(&stray->run, message.data, message.size);
    os_list_push(&to->strays, &stray->link);
    sim_schedule(net->sim, &stray->event, net->sim->now + net_travel(net, to->in, message.size) + late);
}

/*
 * The type of a message in MessagePack, whose first key is always 1 (core/codec/message.h); 0: it is not to be seen.
 */
static uint32_t type_of(struct gavel_slice message)
{
    const unsigned char *at = message.data;
    uint64_t head = message.size && at[0] == 0xde ? 3 : 1;

    if (message.size < head + 2 || at[head] != 1 || at[head + 1] > 0x7f)
        return 0;
    return at[head + 1];
}

/* What chance does to one message of a node to a node that was queued last and begins at `before`. */
static void peer_misfortune(struct net_end *end, uint64_t before)
{
    struct sim *sim = end->wire->net->sim;
    struct net_end *to = end->other;
    const struct net_rates *rates = &to->in->rates;
    struct gavel_buffer *run = &end->out->run;
    struct gavel_slice message =
        gavel_bytes(run->data + before + FRAMING_HEADER, run->size - before - FRAMING_HEADER);
    uint32_t type = type_of(message);
    bool raft = type > CODEC_RAFT && type <= CODEC_RAFT_LAST;
    struct sim_random *random = &to->in->random;

    if (!raft && type != CODEC_REQUEST && type != CODEC_REPLY)
        return;
    if (sim_chance(random, rates->loss)) {
        sim->totals.lost++;
        run->size = before;
        return;
    }
    if (!raft || !end->begun || !to->begun)
        return;
    if (sim_chance(random, rates->duplicate)) {
        sim->totals.duplicated++;
        stray_send(to, message, DOUBLED_BY);
    }
    if (sim_chance(random, rates->reorder)) {
        sim->totals.reordered++;
        stray_send(to, message, OVERTAKEN_BY);
        run->size = before;
    }
}

/* ---- sending ------------------------------------------------------------------------------------------- */

/* Some bytes out of the middle of a run, as an item of their own. */
static struct net_item *cut_out(struct sim_net *net, const struct net_item *item, uint64_t from, uint64_t size)
{
    struct net_item *piece = net_item_new(net);

    assert(from + size < item->run.size);
    (void)gavel_buffer_append(&piece->run, item->run.data + from, size);
    return piece;
}

/*
 * The first bytes of what is queued have been cut out. They are moved away only when they are the greater part: a queue
 * of megabytes that drains by pieces would be moved whole for each.
 */
static void drop_taken(struct net_end *end)
{
    struct gavel_buffer *run = &end->out->run;

    run->size -= end->out_taken;
    memmove(run->data, run->data + end->out_taken, (size_t)run->size);
    end->out_taken = 0;
}

/* Give what is queued to the system, as far as it takes it. */
static void flush(struct net_end *end)
{
    struct net_end *to = end->other;
    struct sim_net *net = end->wire->net;
    struct sim_random *random = &to->in->random;

    while (end->out && queued(end) && to->waiting < NET_SYSTEM_BYTES) {
        struct net_item *item = end->out;
        uint64_t size = queued(end);
        uint64_t piece = size < NET_READ_BYTES ? size : NET_READ_BYTES;

        if (piece > 1 && (sim_draw(random) >> 32) % NET_CUT_ONE_IN == 0)
            piece = 1 + sim_below(random, piece - 1);
        if (piece < size) {
            item = cut_out(net, item, end->out_taken, piece);
            end->out_taken += piece;
        } else {
            if (end->out_taken)
                drop_taken(end);
            end->out = NULL;
        }
        item->what = NET_BYTES;
        append(to, item, net->sim->now + net_travel(net, to->in, piece) + end->late_ns);
        end->late_ns = 0; /* what comes behind it is late with it: a stream keeps its order */
    }
    if (end->out && end->out_taken > end->out->run.size / 2)
        drop_taken(end);
}

static void misfortune(struct net_end *end, uint64_t before)
{
    const struct sim_options *options = &end->wire->net->sim->options;
    const struct net_rates *rates = &end->other->in->rates;
    struct sim_random *random = &end->other->in->random;

    if (sim_chance(random, rates->delay)) {
        uint64_t late = sim_magnitude(random, SIM_US, options->delay_ms * SIM_MS + SIM_US);

        end->late_ns = late > end->late_ns ? late : end->late_ns;
        end->wire->net->sim->totals.late++;
    }
    if (end->side->node && end->other->side->node) {
        peer_misfortune(end, before);
    } else if (sim_chance(random, rates->loss / NET_CLIENT_MERCY)) {
        flush(end); /* or all of it would come behind the end */
        net_wire_break(end->wire, true);
    }
}

/* All that was queued is with the system: tell the other side that this one has ended. */
static void finish(struct net_end *end)
{
    bool severe = end->reason == GAVEL_CLOSE_PROTOCOL || end->reason == GAVEL_CLOSE_SLOW;

    if (end->ended_sent || queued(end))
        return;
    end->ended_sent = true;
    if (end->other->state < NET_OVER)
        net_end_tell(end, severe ? end->reason : GAVEL_CLOSE_NORMAL, false);
    else if (end->other->state == NET_OVER)
        net_end_over(end, end->reason);
}

static void tell_drained(struct net_end *end)
{
    const struct upcalls *up = &end->side->up;

    if (!end->high || end->state != NET_OPEN || net_queued(end->side, end) >= up->limits.send_high / 4)
        return;
    end->high = false;
    if (up->events.drained) {
        up->events.drained(up->events.context, end->cookie);
        net_looked_at(end->side);
    }
}

void net_turn(struct sim *sim, struct sim_event *event)
{
    struct sim_side *side = os_container(event, struct sim_side, turn);
    struct os_list now;

    (void)sim;
    assert(side->magic == SIM_SIDE_MAGIC);
    if (side->paused)
        return; /* sim_net_pause asks again */
    /* What `drained` makes the host send waits for the next turn. */
    os_list_init(&now);
    while (!os_list_empty(&side->dirty))
        os_list_push(&now, os_list_pop(&side->dirty));
    while (!os_list_empty(&now)) {
        struct net_end *end = os_container(os_list_pop(&now), struct net_end, dirty);
        struct net_wire *wire = end->wire;

        wire->busy++;
        flush(end);
        if (end->state == NET_DRAINING)
            finish(end);
        tell_drained(end);
        wire->busy--;
        net_wire_release(wire);
    }
}

void net_mark_dirty(struct net_end *end)
{
    struct sim_side *side = end->side;
    struct sim *sim = side->net->sim;

    if (!os_list_empty(&end->dirty))
        return;
    if (os_list_empty(&side->dirty) && !side->paused)
        sim_schedule(sim, &side->turn, sim->now);
    os_list_push(&side->dirty, &end->dirty);
}

uint64_t net_queued(void *self, void *connection)
{
    const struct net_end *end = connection;

    assert(end->magic == NET_END_MAGIC);
    assert(self == end->side);
    return queued(end);
}

int32_t net_send(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
    struct net_end *end = connection;
    struct sim_side *side = end->side;
    struct sim_net *net = side->net;
    uint64_t before;
    int32_t status;

    assert(end->magic == NET_END_MAGIC);
    assert(self == side);
    if (end->state != NET_OPEN)
        return GAVEL_E_CLOSED;
    if (queued(end) >= side->up.limits.send_high) {
        end->high = true;
        return GAVEL_E_BUSY;
    }
    if (!end->out)
        end->out = net_item_new(net);
    before = end->out->run.size;
    status = framing_put(&end->out->run, parts, count, side->up.limits.message_bytes);
    if (status != GAVEL_OK)
        return status;
    if (side->node)
        sim_oracle_sent(net->sim->oracle, side->node, end->other->side->node,
                        gavel_bytes(end->out->run.data + before + FRAMING_HEADER,
                                    end->out->run.size - before - FRAMING_HEADER));
    if (net->rough)
        misfortune(end, before);
    if (queued(end) >= FRAMING_BATCH)
        flush(end);
    end->high |= queued(end) >= side->up.limits.send_high;
    if (queued(end) || end->high)
        net_mark_dirty(end);
    return GAVEL_OK;
}

/* ---- arriving ------------------------------------------------------------------------------------------ */

void net_pause_reading(void *self, void *connection, uint64_t on)
{
    struct net_end *end = connection;

    assert(end->magic == NET_END_MAGIC);
    assert(self == end->side);
    if (end->state != NET_OPEN || end->reading_paused == (on != 0))
        return;
    end->reading_paused = on != 0;
    end->heard = end->wire->net->sim->now;
    net_look_again(end);
}

void net_look_again(struct net_end *end)
{
    if (end->first)
        sim_schedule(end->wire->net->sim, &end->arrive, end->first->at);
}

static void take_bytes(struct net_end *end, struct gavel_slice input)
{
    struct sim *sim = end->wire->net->sim;
    struct gavel_slice item = {NULL, 0};
    uint64_t size = input.size;
    uint64_t count = 0;
    uint32_t kind = 0;

    if (end->state == NET_GONE && !end->side->dark)
        net_end_tell(end, GAVEL_CLOSE_LOST, true); /* nobody knows this connection any more: reset */
    while (end->state == NET_OPEN) {
        int32_t what = framing_next(&end->decoder, &input, &item, &kind);

        if (what == FRAMING_MORE)
            break;
        if (what == FRAMING_MESSAGE) {
            count++;
            give(end, item);
        } else {
            net_close(end->side, end, GAVEL_CLOSE_PROTOCOL, gavel_text("the framing is broken"));
        }
    }
    sim_trace(sim, end->side->node, "net: %llu from %s, %llu bytes, %llu messages",
              (unsigned long long)end->wire->number, end->other->side->name, (unsigned long long)size,
              (unsigned long long)count);
    if (count)
        give_quiet(end->side);
}

/* Whether something keeps the first item from arriving now. */
static bool held_up(struct sim *sim, struct net_end *end)
{
    struct net_link *link = end->in;

    if (link->cut) {
        link->cut_felt = true;
        return true; /* sim_net_cut looks again */
    }
    if (link->clogged_until > sim->now) {
        sim_schedule(sim, &end->arrive, link->clogged_until);
        return true;
    }
    if (end->side->paused && end->state != NET_GONE) {
        if (end->side->node)
            sim_node_missed(end->side->node);
        return true; /* sim_net_pause looks again */
    }
    return end->reading_paused;
}

/*
 * A link that was closed lets through at once what had gathered. What the node did is looked at before it hears more:
 * what it proposed, sent, and took back when the next message deposed it would have been made by nobody otherwise.
 */
static void look_between(struct sim *sim, const struct net_end *end)
{
    struct sim_node *node = end->side->node;

    if (node && node->node && sim->acted >> node->number & 1)
        sim_oracle_step(sim->oracle, node);
}

void net_arrive(struct sim *sim, struct sim_event *event)
{
    struct net_end *end = os_container(event, struct net_end, arrive);
    struct net_wire *wire = end->wire;
    struct net_end *from = end->other;

    assert(end->magic == NET_END_MAGIC);
    wire->busy++;
    while (end->first && end->first->at <= sim->now) {
        struct net_item *item;

        if (!(end->in->cut && end->first->brittle) && held_up(sim, end))
            break;
        item = pop(end);
        end->heard = sim->now;
        look_between(sim, end);
        if (item->what == NET_BYTES)
            take_bytes(end, gavel_buffer_slice(&item->run));
        else if (!end->in->cut)
            net_end_take(end, item);
        else
            end->in->cut_felt = true; /* a reset that nobody hears of */
        item->brittle = false;
        net_item_free(wire->net, item);
        if ((from->state == NET_OPEN || from->state == NET_DRAINING) && (from->high || from->out))
            net_mark_dirty(from);
    }
    if (end->first && end->first->at > sim->now)
        sim_schedule(sim, &end->arrive, end->first->at);
    wire->busy--;
    net_wire_release(wire);
}
