/* SPDX-License-Identifier: Apache-2.0 */
/* net.c - a network that carries every message in order after the link's delay; see net.h. */
#include "net.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/os/list.h"
#include "oracle.h"

#define SIDES_MAX 64

enum what { ACCEPT = 1, CONNECTED, MESSAGE, CLOSED };

struct end {
    struct sim_net *net;
    struct sim_side *side;
    struct end *other;
    struct end *next;
    void *cookie;
    bool open;
    bool gone;
    uint64_t last; /* when the newest item for it arrives */
    uint64_t waiting;
};

struct item {
    struct sim_event event;
    struct end *to;
    uint64_t reason;
    struct item *next;
    struct item **link;
    size_t size;
    unsigned char bytes[];
};

struct sim_side {
    struct sim_net *net;
    struct sim_node *node;
    char name[32];
    const struct gavel_transport_events *events;
    bool listening;
};

struct sim_net {
    struct sim *sim;
    struct sim_side sides[SIDES_MAX];
    uint32_t count;
    struct end *ends;
    struct item *items;
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t in_flight;
};

struct sim_net *sim_net_new(struct sim *sim)
{
    struct sim_net *net = calloc(1, sizeof *net);

    assert(net);
    net->sim = sim;
    return net;
}

struct sim_net *sim_net_free(struct sim_net *net)
{
    while (net && net->items) {
        struct item *item = net->items;

        net->items = item->next;
        free(item);
    }
    while (net && net->ends) {
        struct end *end = net->ends;

        net->ends = end->next;
        free(end);
    }
    free(net);
    return NULL;
}

struct sim_side *sim_net_side(struct sim_net *net, struct sim_node *node, const char *name)
{
    struct sim_side *side = &net->sides[net->count++];

    assert(net->count <= SIDES_MAX);
    side->net = net;
    side->node = node;
    (void)snprintf(side->name, sizeof side->name, "%s", name);
    return side;
}

static void arrive(struct sim *sim, struct sim_event *event);

static void push(struct end *to, enum what what, uint64_t reason, const struct gavel_slice *parts, uint64_t count)
{
    struct sim *sim = to->net->sim;
    struct item *item;
    size_t size = 0;

    for (uint64_t i = 0; i < count; i++)
        size += parts[i].size;
    item = calloc(1, sizeof *item + size);
    assert(item);
    for (uint64_t i = 0, at = 0; i < count; at += parts[i].size, i++)
        if (parts[i].size)
            memcpy(item->bytes + at, parts[i].data, parts[i].size);
    item->event.run = arrive;
    item->event.kind = what;
    item->to = to;
    item->reason = reason;
    item->size = size;
    item->next = to->net->items;
    item->link = &to->net->items;
    if (item->next)
        item->next->link = &item->next;
    to->net->items = item;
    to->net->in_flight += size;
    to->waiting += size;
    if (to->last < sim->now + sim->options.link_us * SIM_US)
        to->last = sim->now + sim->options.link_us * SIM_US;
    sim_schedule(sim, &item->event, to->last);
}

static bool is_cut(const struct end *from, const struct end *to)
{
    return from->side->node && to->side->node && from->net->cut[from->side->node->number][to->side->node->number];
}

static struct end *end_new(struct sim_side *side)
{
    struct end *end = calloc(1, sizeof *end);

    assert(end);
    end->net = side->net;
    end->side = side;
    end->open = true;
    end->next = side->net->ends;
    side->net->ends = end;
    return end;
}

static int32_t prepare(void *self, const struct gavel_transport_events *events,
                       const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    (void)limits;
    (void)error;
    ((struct sim_side *)self)->events = events;
    return 0;
}

static int32_t listen_sim(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error)
{
    (void)error;
    ((struct sim_side *)self)->listening = true;
    *bound = uri;
    return 0;
}

static int32_t connect_sim(void *self, struct gavel_slice uri, void *cookie, void **connection,
                           struct gavel_error *error)
{
    struct sim_side *side = self;
    struct sim_side *target = NULL;
    struct end *end = end_new(side);

    (void)error;
    end->cookie = cookie;
    *connection = end;
    for (uint32_t i = 0; i < side->net->count; i++)
        if (strlen(side->net->sides[i].name) + 6 == uri.size &&
            memcmp(side->net->sides[i].name, (const char *)uri.data + 6, uri.size - 6) == 0)
            target = &side->net->sides[i];
    if (!target || !target->listening) {
        push(end, CLOSED, GAVEL_CLOSE_REFUSED, NULL, 0);
        return 0;
    }
    end->other = end_new(target);
    end->other->other = end;
    if (is_cut(end, end->other))
        push(end, CLOSED, GAVEL_CLOSE_TIMEOUT, NULL, 0);
    else
        push(end->other, ACCEPT, 0, NULL, 0);
    return 0;
}

static int32_t send_sim(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
    struct end *end = connection;

    (void)self;
    if (!end->open)
        return GAVEL_E_CLOSED;
    if (end->other && end->other->open && !is_cut(end, end->other))
        push(end->other, MESSAGE, 0, parts, count);
    return 0;
}

static uint64_t queued(void *self, void *connection)
{
    struct end *end = connection;

    (void)self;
    return end->other ? end->other->waiting : 0;
}

static void pause_sim(void *self, void *connection, uint64_t on)
{
    (void)self;
    (void)connection;
    (void)on;
}

static void close_sim(void *self, void *connection, uint64_t reason, struct gavel_slice why)
{
    struct end *end = connection;

    (void)self;
    (void)why;
    if (!end->open)
        return;
    end->open = false;
    push(end, CLOSED, reason, NULL, 0);
    if (end->other && end->other->open) {
        end->other->open = false;
        push(end->other, CLOSED, GAVEL_CLOSE_LOST, NULL, 0);
    }
}

static void unlisten(void *self)
{
    ((struct sim_side *)self)->listening = false;
}

const struct gavel_transport sim_transport = {.size = GAVEL_END(struct gavel_transport, respond),
                                              .schemes = "sim",
                                              .prepare = prepare,
                                              .listen = listen_sim,
                                              .connect = connect_sim,
                                              .send = send_sim,
                                              .queued = queued,
                                              .pause = pause_sim,
                                              .close = close_sim,
                                              .unlisten = unlisten};

static void accept_one(struct end *to, const struct gavel_peer *peer)
{
    const struct gavel_transport_events *events = to->side->events;

    to->cookie = to->side->listening ? events->accepted(events->context, to, peer) : NULL;
    if (to->cookie) {
        push(to->other, CONNECTED, 0, NULL, 0);
        return;
    }
    to->gone = true;
    to->open = false;
    push(to->other, CLOSED, GAVEL_CLOSE_LOST, NULL, 0);
}

static void arrive(struct sim *sim, struct sim_event *event)
{
    struct item *item = os_container(event, struct item, event);
    struct end *to = item->to;
    const struct gavel_transport_events *events = to->side->events;
    struct gavel_peer peer = {.size = sizeof peer, .address = gavel_text(to->other ? to->other->side->name : "?")};

    if (to->side->node && to->side->node->paused_until) {
        to->last = to->side->node->paused_until;
        sim_schedule(sim, event, to->last);
        return;
    }
    *item->link = item->next;
    if (item->next)
        item->next->link = item->link;
    to->net->in_flight -= item->size;
    to->waiting -= item->size;
    sim_trace(sim, to->side->node, "arrives %u, %zu bytes", event->kind, item->size);
    if (!to->gone && events) {
        if (event->kind == ACCEPT) {
            accept_one(to, &peer);
        } else if (event->kind == CONNECTED) {
            if (to->open)
                events->connected(events->context, to->cookie, &peer);
        } else if (event->kind == MESSAGE) {
            if (to->open) {
                events->message(events->context, to->cookie, gavel_bytes(item->bytes, item->size));
                events->quiet(events->context);
            }
        } else {
            to->open = false;
            to->gone = true;
            events->closed(events->context, to->cookie, item->reason, gavel_text("the connection ended"));
        }
    }
    free(item);
    sim_acted(sim, to->side->node);
}

void sim_net_kill(struct sim_side *side, bool silent)
{
    (void)silent;
    side->listening = false;
    side->events = NULL;
    for (struct end *end = side->net->ends; end; end = end->next) {
        if (end->side != side || end->gone)
            continue;
        end->gone = true;
        end->open = false;
        if (end->other && !end->other->gone && end->other->side != side) {
            end->other->open = false;
            push(end->other, CLOSED, GAVEL_CLOSE_LOST, NULL, 0);
        }
    }
}

void sim_net_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut)
{
    net->cut[from][to] = cut;
}

bool sim_net_is_cut(const struct sim_net *net, uint32_t from, uint32_t to)
{
    return net->cut[from][to];
}

void sim_net_heal(struct sim_net *net)
{
    memset(net->cut, 0, sizeof net->cut);
}

void sim_net_clog(struct sim_net *net, uint32_t from, uint32_t to, uint64_t until)
{
    for (struct end *end = net->ends; end; end = end->next)
        if (end->side->node && end->side->node->number == to && end->other && end->other->side->node &&
            end->other->side->node->number == from && end->last < until)
            end->last = until;
}

void sim_net_reset(struct sim_net *net, uint32_t node)
{
    for (struct end *end = net->ends; end; end = end->next)
        if (end->open && end->side->node && end->side->node->number == node) {
            net->sim->totals.resets++;
            close_sim(end->side, end, GAVEL_CLOSE_LOST, gavel_text(""));
            return;
        }
}

void sim_net_pause(struct sim_side *side, bool paused)
{
    (void)side;
    (void)paused;
}

uint64_t sim_net_in_flight(const struct sim_net *net)
{
    return net->in_flight;
}
