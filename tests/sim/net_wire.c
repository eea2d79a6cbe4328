/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_wire.c - a connection's life, from dialling to its end, as the production transports live it: an end is recorded
 * at once and told to the host by an event of its own; the memory goes when both ends are gone.
 */
#include "net_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {
    [NET_DIALING] = "dialing",   [NET_PENDING] = "pending", [NET_OPEN] = "open",
    [NET_DRAINING] = "draining", [NET_OVER] = "over",       [NET_GONE] = "gone",
};

/* What may follow what. */
static const bool moves[NET_GONE + 1][NET_GONE + 1] = {
    [NET_DIALING] = {[NET_OPEN] = true, [NET_OVER] = true, [NET_GONE] = true},
    [NET_PENDING] = {[NET_OPEN] = true, [NET_GONE] = true},
    [NET_OPEN] = {[NET_DRAINING] = true, [NET_OVER] = true, [NET_GONE] = true},
    [NET_DRAINING] = {[NET_OVER] = true, [NET_GONE] = true},
    [NET_OVER] = {[NET_GONE] = true},
};

static void move(struct net_end *end, enum net_state state)
{
    assert(end->magic == NET_END_MAGIC);
    assert(moves[end->state][state]);
    end->state = state;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

static void on_timer(struct sim *sim, struct sim_event *event);

static void end_init(struct net_wire *wire, int which, struct sim_side *side, struct sim_side *other)
{
    struct net_end *end = &wire->ends[which];

    memset(end, 0, sizeof *end);
    end->magic = NET_END_MAGIC;
    end->state = which ? NET_PENDING : NET_DIALING;
    end->wire = wire;
    end->other = &wire->ends[!which];
    end->side = side;
    end->in = net_link(wire->net, other, side);
    end->timer.run = on_timer;
    end->arrive.run = net_arrive;
    end->last = &end->first;
    os_list_init(&end->dirty);
    os_list_init(&end->strays);
    framing_in_init(&end->decoder, &wire->net->heap, side->prepared ? side->up.limits.message_bytes : 0);
}

static struct net_wire *wire_new(struct sim_side *from, struct sim_side *to)
{
    struct sim_net *net = from->net;
    struct net_wire *wire = net->free_wires;

    if (wire)
        net->free_wires = wire->next_free;
    else
        wire = net_must(sizeof *wire);
    wire->next_free = NULL;
    wire->net = net;
    wire->busy = 0;
    wire->number = ++net->wire_count;
    end_init(wire, 0, from, to);
    end_init(wire, 1, to, from);
    os_list_push(&net->wires, &wire->link);
    return wire;
}

void net_wire_free(struct net_wire *wire)
{
    struct sim_net *net = wire->net;

    for (int i = 0; i < 2; i++) {
        struct net_end *end = &wire->ends[i];

        sim_cancel(net->sim, &end->timer);
        sim_cancel(net->sim, &end->arrive);
        net_drop(end, &end->first);
        if (end->out)
            net_item_free(net, end->out);
        framing_in_free(&end->decoder);
        os_list_remove(&end->dirty);
        end->magic = 0;
    }
    os_list_remove(&wire->link);
    wire->next_free = net->free_wires;
    net->free_wires = wire;
}

void net_wire_release(struct net_wire *wire)
{
    if (!wire->busy && wire->ends[0].state == NET_GONE && wire->ends[1].state == NET_GONE)
        net_wire_free(wire);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

/* What an end that stops being open lets go. */
static void let_go(struct net_end *end)
{
    struct sim_net *net = end->wire->net;

    if (end->out)
        net_item_free(net, end->out);
    end->out = NULL;
    end->out_taken = 0;
    os_list_remove(&end->dirty);
    framing_in_free(&end->decoder);
    sim_cancel(net->sim, &end->timer);
    end->timer_missed = false;
    end->reading_paused = false;
}

void net_end_gone(struct net_end *end)
{
    bool counted = end == &end->wire->ends[1] && end->state != NET_PENDING;

    move(end, NET_GONE);
    let_go(end);
    end->cookie = NULL;
    if (counted && end->side->accepted)
        end->side->accepted--;
    net_wire_release(end->wire);
}

void net_end_over(struct net_end *end, uint64_t reason)
{
    struct sim *sim = end->wire->net->sim;

    sim_trace(sim, end->side->node, "net: %llu to %s was %s, ended for %llu", (unsigned long long)end->wire->number,
              end->other->side->name, state_names[end->state], (unsigned long long)reason);
    move(end, NET_OVER);
    end->reason = reason;
    let_go(end);
    sim_schedule(sim, &end->timer, sim->now);
    net_look_again(end);
}

void net_end_tell(struct net_end *end, uint64_t reason, bool brittle)
{
    if (end->other->state < NET_OVER)
        net_push(end->other, NET_ENDED, reason, brittle);
}

static void tell_closed(struct net_end *end)
{
    const struct gavel_transport_events *events = &end->side->up.events;

    assert(end->side->prepared);
    end->wire->busy++;
    events->closed(events->context, end->cookie, end->reason, gavel_text(upcalls_reason(end->reason)));
    net_looked_at(end->side);
    end->wire->busy--;
    if (end->state != NET_GONE)
        net_end_gone(end);
    else
        net_wire_release(end->wire);
}

void net_wire_break(struct net_wire *wire, bool cut)
{
    struct sim *sim = wire->net->sim;
    bool truncated = false;

    sim->totals.resets++;
    sim_trace(sim, wire->ends[0].side->node, "net: reset of %llu to %s%s", (unsigned long long)wire->number,
              wire->ends[1].side->name, cut ? ", in the middle" : "");
    for (int i = 0; i < 2; i++) {
        truncated |= cut && net_truncate(&wire->ends[i]);
        net_end_tell(&wire->ends[!i], GAVEL_CLOSE_LOST, false);
    }
    sim->totals.cut_frames += truncated;
}

/* ---- keeping alive ------------------------------------------------------------------------------------- */

/* Whether a ping would be answered. */
static bool answers(const struct net_end *end)
{
    const struct net_end *other = end->other;
    uint64_t now = end->wire->net->sim->now;

    return (other->state == NET_OPEN || other->state == NET_DRAINING) && !other->side->paused && !end->in->cut &&
           !other->in->cut && end->in->clogged_until <= now && other->in->clogged_until <= now;
}

/*
 * Pings are not sent as bytes: whether one would have been answered is known. An open end looks twice in a keepalive
 * time, so silence is found out within half of one of when the production transports would.
 */
static void keep_alive(struct net_end *end)
{
    struct sim *sim = end->wire->net->sim;
    uint64_t every = end->side->up.limits.keepalive_ms * SIM_MS;
    const struct net_end *other = end->other;

    if (end->reading_paused)
        end->heard = sim->now; /* we do not read, so its answers do not count */
    if (sim->now - end->heard >= every) {
        if (answers(end)) {
            end->heard = sim->now;
        } else if (other->state == NET_GONE && !other->side->dark && !end->in->cut && !other->in->cut && !end->first) {
            net_end_over(end, GAVEL_CLOSE_LOST); /* nobody knows this connection there: reset */
            return;
        }
    }
    if (sim->now - end->heard >= 2 * every) {
        net_end_tell(end, GAVEL_CLOSE_LOST, false);
        net_end_over(end, GAVEL_CLOSE_LOST);
        return;
    }
    sim_schedule(sim, &end->timer, sim->now + every / 2);
}

static void on_timer(struct sim *sim, struct sim_event *event)
{
    struct net_end *end = os_container(event, struct net_end, timer);

    (void)sim;
    assert(end->magic == NET_END_MAGIC);
    if (end->side->paused) {
        end->timer_missed = true;
        return;
    }
    switch (end->state) {
    case NET_DIALING:
        net_end_tell(end, GAVEL_CLOSE_LOST, false);
        net_end_over(end, GAVEL_CLOSE_TIMEOUT);
        break;
    case NET_OPEN: keep_alive(end); break;
    case NET_DRAINING:
        if (!end->ended_sent)
            net_end_tell(end, end->reason, false);
        net_end_over(end, end->reason);
        break;
    default:
        assert(end->state == NET_OVER);
        tell_closed(end);
        break;
    }
}

void net_end_resume(struct net_end *end)
{
    struct sim *sim = end->wire->net->sim;

    if (end->state == NET_OPEN)
        end->heard = sim->now; /* silence is counted in turns of the loop, of which there was none */
    if (end->timer_missed)
        sim_schedule(sim, &end->timer, sim->now);
    end->timer_missed = false;
    net_look_again(end);
}

/* ---- beginning ----------------------------------------------------------------------------------------- */

static void open_up(struct net_end *end)
{
    struct sim *sim = end->wire->net->sim;

    move(end, NET_OPEN);
    end->heard = sim->now;
    framing_in_init(&end->decoder, &end->wire->net->heap, end->side->up.limits.message_bytes);
    sim_schedule(sim, &end->timer, sim->now + end->side->up.limits.keepalive_ms * SIM_MS / 2);
}

static void take_dial(struct net_end *end)
{
    struct sim_side *side = end->side;
    struct sim_net *net = end->wire->net;
    const struct gavel_transport_events *events = &side->up.events;
    struct gavel_peer peer = {.size = sizeof peer, .address = gavel_text(end->other->side->address)};
    bool full = side->listening && side->accepted >= side->up.limits.connections;

    if (!side->dark &&
        (!side->listening || (!net->calm && sim_chance(&end->in->random, net->sim->options.refuse_ppm)))) {
        net->sim->totals.refused_dials += side->listening;
        net_end_tell(end, GAVEL_CLOSE_REFUSED, false);
        net_end_gone(end);
        return;
    }
    if (side->dark || full) {
        if (full)
            net_end_tell(end, GAVEL_CLOSE_LOST, false);
        net_end_gone(end);
        return;
    }
    open_up(end);
    side->accepted++;
    net_push(end->other, NET_CONNECTED, 0, false);
    end->cookie = events->accepted(events->context, end, &peer);
    net_looked_at(side);
    if (!end->cookie && end->state != NET_GONE) {
        net_end_tell(end, GAVEL_CLOSE_LOST, false);
        net_end_gone(end);
    }
}

static void take_connected(struct net_end *end)
{
    const struct gavel_transport_events *events = &end->side->up.events;
    struct gavel_peer peer = {.size = sizeof peer, .address = gavel_text(end->other->side->address)};

    if (end->state != NET_DIALING)
        return;
    open_up(end);
    events->connected(events->context, end->cookie, &peer);
    net_looked_at(end->side);
}

static void take_end(struct net_end *end, uint64_t reason)
{
    switch (end->state) {
    case NET_PENDING: net_end_gone(end); break;
    case NET_DIALING: net_end_over(end, reason); break;
    case NET_OPEN:
        net_end_tell(end, GAVEL_CLOSE_LOST, false);
        net_end_over(end, reason);
        break;
    case NET_DRAINING: net_end_over(end, end->reason); break;
    default: break;
    }
}

void net_end_take(struct net_end *end, const struct net_item *item)
{
    switch (item->what) {
    case NET_ACCEPT:
        if (end->state == NET_PENDING)
            take_dial(end);
        break;
    case NET_CONNECTED: take_connected(end); break;
    default:
        assert(item->what == NET_ENDED);
        take_end(end, item->reason);
        break;
    }
}

/* ---- the host's operations ----------------------------------------------------------------------------- */

struct sim_side *net_side_at(const struct sim_net *net, struct gavel_slice uri, uint32_t *generation)
{
    for (uint32_t i = 0; i < net->side_count; i++) {
        struct sim_side *side = net->sides[i];
        char address[sizeof side->uri];

        for (uint32_t at = side->oldest; at <= side->generation; at++) {
            (void)snprintf(address, sizeof address, at ? "sim://%s.%u" : "sim://%s", side->name, at);
            if (!gavel_slice_equal(uri, gavel_text(address)))
                continue;
            *generation = at;
            return side;
        }
    }
    return NULL;
}

int32_t net_connect(void *self, struct gavel_slice uri, void *cookie, void **connection, struct gavel_error *error)
{
    struct sim_side *side = self;
    struct sim_net *net = side->net;
    uint32_t generation = 0;
    struct sim_side *to = net_side_at(net, uri, &generation);
    struct net_wire *wire;

    assert(side->magic == SIM_SIDE_MAGIC);
    if (!side->prepared)
        return gavel_fail(error, GAVEL_E_STATE, "the transport is not running");
    wire = wire_new(side, to ? to : side);
    wire->generation = generation;
    wire->ends[0].cookie = cookie;
    *connection = &wire->ends[0];
    if (!to) {
        net_end_gone(&wire->ends[1]);
        net_end_over(&wire->ends[0], GAVEL_CLOSE_UNRESOLVED);
        return GAVEL_OK;
    }
    net_push(&wire->ends[1], NET_ACCEPT, 0, false);
    sim_schedule(net->sim, &wire->ends[0].timer, net->sim->now + side->up.limits.dial_ms * SIM_MS);
    return GAVEL_OK;
}

void net_close(void *self, void *connection, uint64_t reason, struct gavel_slice why)
{
    struct net_end *end = connection;
    struct sim *sim = end->wire->net->sim;

    (void)self;
    (void)why;
    assert(end->magic == NET_END_MAGIC);
    reason = reason ? reason : GAVEL_CLOSE_NORMAL;
    if (end->state == NET_DIALING) {
        net_end_tell(end, GAVEL_CLOSE_LOST, false);
        net_end_over(end, reason);
        return;
    }
    if (end->state != NET_OPEN)
        return;
    if (reason == GAVEL_CLOSE_PROTOCOL || reason == GAVEL_CLOSE_SLOW) {
        net_end_tell(end, reason, false); /* nobody wants the rest of the queue */
        net_end_over(end, reason);
        return;
    }
    move(end, NET_DRAINING);
    end->reason = reason;
    end->reading_paused = false;
    end->ended_sent = false;
    framing_in_free(&end->decoder);
    sim_schedule(sim, &end->timer, sim->now + NET_LINGER_NS);
    net_mark_dirty(end);
    net_look_again(end);
}
