/* SPDX-License-Identifier: Apache-2.0 */
/* net.c - the simulated network, its links and its faults; see net.h and net_internal.h. */
#include "net_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers of the streams: the network's own, then two for each directed link: what happens there, and how often. */
#define STREAM_OWN 0u
#define STREAM_LINKS 1u
#define STREAM_RATES (STREAM_LINKS + NET_SIDES_MAX * NET_SIDES_MAX)

/*
 * Where links differ, one in four is spared a misfortune that the others have up to so many times more rarely, or more
 * often, than the options say; what is drawn lets half of the messages through at least.
 */
#define SPARED_PPM 250000u
#define RARER 8u
#define OFTENER 4u
#define RATE_MAX 500000u

/* A byte takes between 1 and 50 ns (1 GB/s ... 20 MB/s), in 1/1024 ns. */
#define BYTE_LOW 1024u
#define BYTE_HIGH (50u * 1024u)

/* After a cut, what was held back comes when the sender tries again: at most this long after the healing. */
#define RETRY_NS_MAX (2 * SIM_S)

void *net_must(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort();
    return memory;
}

static void *resize(void *self, void *old, uint64_t wanted)
{
    void *memory = NULL;

    (void)self;
    if (wanted == 0)
        free(old);
    else
        memory = realloc(old, (size_t)wanted);
    if (wanted && !memory)
        abort();
    return memory;
}

struct sim_net *sim_net_new(struct sim *sim)
{
    struct sim_net *net = net_must(sizeof *net);
    const struct sim_options *options = &sim->options;

    net->magic = SIM_NET_MAGIC;
    net->sim = sim;
    net->random = sim_stream(sim, SIM_STREAM_NETWORK, STREAM_OWN);
    net->rough = options->loss_ppm || options->duplicate_ppm || options->reorder_ppm || options->delay_ppm;
    net->heap = (struct gavel_heap){.size = GAVEL_END(struct gavel_heap, resize), .resize = resize};
    os_list_init(&net->wires);
    return net;
}

struct sim_net *sim_net_free(struct sim_net *net)
{
    if (!net)
        return NULL;
    assert(net->magic == SIM_NET_MAGIC);
    while (!os_list_empty(&net->wires))
        net_wire_free(os_container(net->wires.next, struct net_wire, link));
    while (net->free_wires) {
        struct net_wire *wire = net->free_wires;

        net->free_wires = wire->next_free;
        free(wire);
    }
    while (net->free_items) {
        struct net_item *item = net->free_items;

        net->free_items = item->next;
        gavel_buffer_free(&item->run);
        free(item);
    }
    for (uint32_t i = 0; i < net->side_count; i++) {
        for (uint32_t k = 0; k < net->side_count; k++)
            free(net->links[i][k]);
        sim_cancel(net->sim, &net->sides[i]->turn);
        net->sides[i]->magic = 0;
        free(net->sides[i]);
    }
    net->magic = 0;
    free(net);
    return NULL;
}

struct sim_side *sim_net_side(struct sim_net *net, struct sim_node *node, const char *name)
{
    struct sim_side *side = net_must(sizeof *side);

    assert(net->magic == SIM_NET_MAGIC);
    assert(net->side_count < NET_SIDES_MAX);
    side->magic = SIM_SIDE_MAGIC;
    side->net = net;
    side->number = net->side_count;
    side->node = node;
    side->turn.run = net_turn;
    (void)snprintf(side->name, sizeof side->name, "%.*s", (int)sizeof side->name - 1, node ? node->name : name);
    (void)snprintf(side->address, sizeof side->address, "%s:%u", side->name, 40000 + side->number);
    (void)snprintf(side->uri, sizeof side->uri, "sim://%s", side->name);
    os_list_init(&side->dirty);
    net->sides[net->side_count++] = side;
    if (node) {
        assert(node->number < SIM_NODES_MAX);
        assert(!net->nodes[node->number]);
        net->nodes[node->number] = side;
    }
    return side;
}

/* ---- links --------------------------------------------------------------------------------------------- */

static uint64_t rate_of_its_own(struct sim_random *dice, uint64_t usual)
{
    uint64_t most = OFTENER * usual < RATE_MAX ? OFTENER * usual : RATE_MAX;
    bool spared = sim_chance(dice, SPARED_PPM);

    if (spared || !usual || usual > most)
        return spared ? 0 : usual;
    return sim_magnitude(dice, usual < RARER ? 1 : usual / RARER, most - 1);
}

static void set_rates(const struct sim_net *net, struct net_link *link, uint64_t number)
{
    const struct sim_options *options = &net->sim->options;
    struct sim_random dice;

    link->rates = (struct net_rates){.delay = options->delay_ppm, .loss = options->loss_ppm,
                                     .duplicate = options->duplicate_ppm, .reorder = options->reorder_ppm};
    if (options->links_differ != 2)
        return;
    dice = sim_stream(net->sim, SIM_STREAM_NETWORK, STREAM_RATES + number);
    link->rates.delay = rate_of_its_own(&dice, link->rates.delay);
    link->rates.loss = rate_of_its_own(&dice, link->rates.loss);
    link->rates.duplicate = rate_of_its_own(&dice, link->rates.duplicate);
    link->rates.reorder = rate_of_its_own(&dice, link->rates.reorder);
}

struct net_link *net_link(struct sim_net *net, const struct sim_side *from, const struct sim_side *to)
{
    struct net_link **link = &net->links[from->number][to->number];
    uint64_t usual = net->sim->options.link_us * SIM_US;

    if (*link)
        return *link;
    *link = net_must(sizeof **link);
    set_rates(net, *link, from->number * NET_SIDES_MAX + to->number);
    (*link)->random =
        sim_stream(net->sim, SIM_STREAM_NETWORK, STREAM_LINKS + from->number * NET_SIDES_MAX + to->number);
    (*link)->latency_ns = usual / 2 + sim_below(&(*link)->random, usual + 1);
    (*link)->byte_ns = sim_magnitude(&(*link)->random, BYTE_LOW, BYTE_HIGH);
    return *link;
}

uint64_t net_travel(struct sim_net *net, struct net_link *link, uint64_t size)
{
    uint64_t now = net->sim->now;
    uint64_t leaves = link->busy_until > now ? link->busy_until : now;

    leaves += size * link->byte_ns >> 10;
    link->busy_until = leaves;
    return leaves - now + link->latency_ns / 4 * 3 + sim_below(&link->random, link->latency_ns / 2 + 1);
}

/* The link between two nodes; NULL when one of them was never part of the world. */
static struct net_link *node_link(const struct sim_net *net, uint32_t from, uint32_t to)
{
    assert(net->magic == SIM_NET_MAGIC);
    assert(from < SIM_NODES_MAX);
    assert(to < SIM_NODES_MAX);
    if (!net->nodes[from] || !net->nodes[to])
        return NULL;
    return net_link((struct sim_net *)(uintptr_t)net, net->nodes[from], net->nodes[to]);
}

/* What waited for the link may come when its sender has tried again, which it does less and less often. */
static void mend(struct sim_net *net, struct net_link *link)
{
    uint64_t now = net->sim->now;
    uint64_t most = now - link->cut_at < RETRY_NS_MAX ? now - link->cut_at : RETRY_NS_MAX;
    struct net_wire *wire;

    link->cut = false;
    os_list_each (wire, &net->wires, struct net_wire, link)
        for (int i = 0; i < 2; i++)
            if (wire->ends[i].in == link && wire->ends[i].first)
                sim_schedule(net->sim, &wire->ends[i].arrive,
                             now + link->latency_ns + sim_below(&link->random, most + 1));
}

/* Whether a connection is open over it. */
static bool is_used(const struct sim_net *net, const struct net_link *link)
{
    const struct net_wire *wire;
    bool used = false;

    os_list_each (wire, &net->wires, struct net_wire, link)
        for (int i = 0; i < 2; i++)
            used = used || (wire->ends[i].in == link && wire->ends[i].state == NET_OPEN);
    return used;
}

void sim_net_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut)
{
    struct net_link *link = node_link(net, from, to);

    if (!link || link->cut == cut)
        return;
    if (!cut) {
        mend(net, link);
        return;
    }
    link->cut = true;
    link->cut_at = net->sim->now;
    link->cut_felt = is_used(net, link);
}

bool sim_net_cut_felt(const struct sim_net *net, uint32_t from, uint32_t to)
{
    const struct net_link *link = node_link(net, from, to);

    return link && link->cut && link->cut_felt;
}

bool sim_net_is_cut(const struct sim_net *net, uint32_t from, uint32_t to)
{
    const struct net_link *link = node_link(net, from, to);

    return link && link->cut;
}

static void hold(struct net_link *link, uint64_t until)
{
    if (link->clogged_until < until)
        link->clogged_until = until;
}

bool sim_net_clog(struct sim_net *net, uint32_t from, uint32_t to, uint64_t until)
{
    struct net_link *link = node_link(net, from, to);

    if (!link)
        return false;
    hold(link, until);
    return is_used(net, link);
}

/* An open connection between a client and a node. */
static bool of_a_client(const struct net_wire *wire)
{
    return wire->ends[0].state == NET_OPEN && wire->ends[1].state == NET_OPEN && !wire->ends[0].side->node &&
           wire->ends[1].side->node;
}

bool sim_net_clog_client(struct sim_net *net, struct sim_random *dice, uint64_t until)
{
    struct net_wire *wire;
    uint64_t count = 0;
    uint64_t chosen;

    assert(net->magic == SIM_NET_MAGIC);
    os_list_each (wire, &net->wires, struct net_wire, link)
        count += of_a_client(wire);
    if (!count)
        return false;
    chosen = sim_below(dice, count);
    os_list_each (wire, &net->wires, struct net_wire, link) {
        const struct net_end *to = &wire->ends[sim_draw(dice) & 1];

        if (!of_a_client(wire) || chosen--)
            continue;
        hold(to->in, until);
        sim_trace(net->sim, wire->ends[1].side->node, "clog from %s to %s until %llu", to->other->side->name,
                  to->side->name, (unsigned long long)until);
        return true;
    }
    return false;
}

void sim_net_heal(struct sim_net *net)
{
    struct net_wire *wire;

    assert(net->magic == SIM_NET_MAGIC);
    net->calm = true;
    net->rough = false;
    for (uint32_t from = 0; from < net->side_count; from++) {
        for (uint32_t to = 0; to < net->side_count; to++) {
            struct net_link *link = net->links[from][to];

            if (!link)
                continue;
            link->clogged_until = 0;
            if (link->cut)
                mend(net, link);
        }
    }
    os_list_each (wire, &net->wires, struct net_wire, link)
        for (int i = 0; i < 2; i++)
            net_look_again(&wire->ends[i]);
    sim_trace(net->sim, NULL, "net: healed");
}

/* ---- processes and connections ------------------------------------------------------------------------- */

void sim_net_kill(struct sim_side *side, bool silent)
{
    struct sim_net *net = side->net;
    struct os_list *at = net->wires.next;

    assert(side->magic == SIM_SIDE_MAGIC);
    side->listening = false;
    side->prepared = false;
    side->paused = false;
    side->dark = silent;
    sim_cancel(net->sim, &side->turn);
    while (at != &net->wires) {
        struct net_wire *wire = os_container(at, struct net_wire, link);

        at = at->next;
        wire->busy++; /* its memory must outlast the loop's look at the second end */
        for (int i = 0; i < 2; i++) {
            struct net_end *end = &wire->ends[i];

            if (end->side != side || end->state == NET_GONE)
                continue;
            /* A dead process's system resets what it held; the reset itself may be lost. */
            if (!silent && end->state != NET_PENDING)
                net_end_tell(end, GAVEL_CLOSE_LOST, sim_chance(&end->in->random, 500000));
            net_end_gone(end);
        }
        wire->busy--;
        net_wire_release(wire);
    }
    side->accepted = 0;
}

void sim_net_pause(struct sim_side *side, bool paused)
{
    struct sim_net *net = side->net;
    struct net_wire *wire;

    assert(side->magic == SIM_SIDE_MAGIC);
    if (side->paused == paused)
        return;
    side->paused = paused;
    if (paused)
        return;
    os_list_each (wire, &net->wires, struct net_wire, link)
        for (int i = 0; i < 2; i++)
            if (wire->ends[i].side == side)
                net_end_resume(&wire->ends[i]);
    if (!os_list_empty(&side->dirty))
        sim_schedule(net->sim, &side->turn, net->sim->now);
}

/* Whether a connection of that node could be broken. */
static bool breakable(const struct net_wire *wire, uint32_t node)
{
    for (int i = 0; i < 2; i++)
        if (wire->ends[i].side->node && wire->ends[i].side->node->number == node &&
            wire->ends[i].state == NET_OPEN && wire->ends[!i].state == NET_OPEN)
            return true;
    return false;
}

void sim_net_reset(struct sim_net *net, uint32_t node)
{
    struct net_wire *wire;
    uint64_t count = 0;
    uint64_t chosen;

    assert(net->magic == SIM_NET_MAGIC);
    os_list_each (wire, &net->wires, struct net_wire, link)
        count += breakable(wire, node);
    if (!count)
        return;
    chosen = sim_below(&net->random, count);
    os_list_each (wire, &net->wires, struct net_wire, link) {
        if (!breakable(wire, node) || chosen--)
            continue;
        net_wire_break(wire, sim_chance(&net->random, 500000));
        return;
    }
}

void sim_net_move(struct sim_side *side, char *uri, size_t size)
{
    assert(side->magic == SIM_SIDE_MAGIC);
    side->generation++;
    (void)snprintf(side->uri, sizeof side->uri, "sim://%s.%u", side->name, side->generation);
    (void)snprintf(uri, size, "%s", side->uri);
}

void sim_net_leave(struct sim_side *side)
{
    struct sim_net *net = side->net;
    struct os_list *at = net->wires.next;

    assert(side->magic == SIM_SIDE_MAGIC);
    side->oldest = side->generation;
    while (at != &net->wires) {
        struct net_wire *wire = os_container(at, struct net_wire, link);

        at = at->next;
        if (wire->ends[1].side == side && wire->generation < side->oldest && wire->ends[0].state == NET_OPEN &&
            wire->ends[1].state == NET_OPEN)
            net_wire_break(wire, sim_chance(&net->random, 500000));
    }
}

uint64_t sim_net_in_flight(const struct sim_net *net)
{
    return net->in_flight;
}

/* ---- the transport ------------------------------------------------------------------------------------- */

static int32_t prepare(void *self, const struct gavel_transport_events *events,
                       const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    struct sim_side *side = self;
    int32_t status;

    assert(side->magic == SIM_SIDE_MAGIC);
    status = upcalls_take(&side->up, events, limits, error);
    side->prepared = status == GAVEL_OK;
    side->dark = false;
    return status;
}

static int32_t listen_here(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error)
{
    struct sim_side *side = self;
    uint32_t generation;

    assert(side->magic == SIM_SIDE_MAGIC);
    assert(side->prepared);
    if (net_side_at(side->net, uri, &generation) != side)
        return gavel_fail(error, GAVEL_E_IO, "%.*s is not an address of this machine", (int)uri.size,
                          (const char *)uri.data);
    side->listening = true;
    *bound = gavel_text(side->uri);
    return GAVEL_OK;
}

static void unlisten(void *self)
{
    struct sim_side *side = self;

    assert(side->magic == SIM_SIDE_MAGIC);
    side->listening = false;
}

const struct gavel_transport sim_transport = {
    .size = GAVEL_END(struct gavel_transport, respond),
    .schemes = "sim",
    .prepare = prepare,
    .listen = listen_here,
    .connect = net_connect,
    .send = net_send,
    .queued = net_queued,
    .pause = net_pause_reading,
    .close = net_close,
    .unlisten = unlisten,
};
