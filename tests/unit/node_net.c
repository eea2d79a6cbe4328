/* SPDX-License-Identifier: Apache-2.0 */
/* node_net.c - a network in memory; see node_net.h. */
#include "node_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDES_MAX 32

enum what { ACCEPT = 1, CONNECTED, REFUSED, MESSAGE, CLOSED };

struct end {
    struct net *net;
    struct net_side *side;
    struct end *other; /* NULL once that end is freed */
    void *cookie;
    bool open;
    bool gone; /* closed was told; freed with the net */
    size_t waiting; /* bytes that were sent to it and not delivered */
    bool dialled;
    bool paused;
    struct item *held; /* messages that came while reading was paused, the newest first */
    struct end *all_next;
};

struct item {
    struct item *next;
    enum what what;
    struct end *to;
    uint64_t reason;
    uint64_t due_ns; /* not before, on a line with a delay */
    size_t size;
    unsigned char bytes[];
};

struct net_side {
    struct net *net;
    char name[64];
    const struct gavel_transport_events *events;
    uint64_t message_bytes; /* a larger message is not taken; 0: any */
    bool listening;
    bool paused;
    const uint64_t *now_ns; /* NULL: what is sent to it takes no time */
    uint64_t delay_ns;
    size_t (*rewrite)(unsigned char *bytes, size_t size);
};

struct net {
    struct net_side sides[SIDES_MAX];
    unsigned count;
    bool cut[SIDES_MAX][SIDES_MAX];
    struct item *head;
    struct item **tail;
    struct end *all;
    uint64_t delivered;
    uint64_t length; /* of the queue */
};

struct net *net_new(void)
{
    struct net *net = calloc(1, sizeof *net);

    if (net)
        net->tail = &net->head;
    return net;
}

struct net *net_free(struct net *net)
{
    if (!net)
        return NULL;
    while (net->head) {
        struct item *item = net->head;

        net->head = item->next;
        free(item);
    }
    while (net->all) {
        struct end *end = net->all;

        net->all = end->all_next;
        while (end->held) {
            struct item *item = end->held;

            end->held = item->next;
            free(item);
        }
        free(end);
    }
    free(net);
    return NULL;
}

struct net_side *net_side(struct net *net, const char *name)
{
    for (unsigned i = 0; i < net->count; i++)
        if (strcmp(net->sides[i].name, name) == 0)
            return &net->sides[i];
    net->sides[net->count].net = net;
    snprintf(net->sides[net->count].name, sizeof net->sides[0].name, "%s", name);
    return &net->sides[net->count++];
}

static void push(struct net *net, enum what what, struct end *to, uint64_t reason, const void *data,
                 size_t size)
{
    struct item *item = calloc(1, sizeof *item + size);

    item->what = what;
    item->to = to;
    item->reason = reason;
    item->size = size;
    if (to->side->now_ns)
        item->due_ns = *to->side->now_ns + to->side->delay_ns;
    if (size)
        memcpy(item->bytes, data, size);
    *net->tail = item;
    net->tail = &item->next;
    net->length++;
}

static bool is_cut(struct net *net, const struct end *a, const struct end *b)
{
    return net->cut[a->side - net->sides][b->side - net->sides];
}

static struct end *end_new(struct net_side *side, bool dialled)
{
    struct end *end = calloc(1, sizeof *end);

    end->net = side->net;
    end->side = side;
    end->dialled = dialled;
    end->open = true;
    end->all_next = side->net->all;
    side->net->all = end;
    return end;
}

/* ---- the transport ------------------------------------------------------------------------------------- */

static int32_t prepare(void *self, const struct gavel_transport_events *events,
                       const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    struct net_side *side = self;

    (void)error;
    side->message_bytes = limits ? limits->message_bytes : 0;
    side->events = events;
    return 0;
}

static int32_t listen_mem(void *self, struct gavel_slice uri, struct gavel_slice *bound,
                          struct gavel_error *error)
{
    struct net_side *side = self;

    if (uri.size < 6 || memcmp(uri.data, "mem://", 6) != 0)
        return gavel_fail(error, GAVEL_E_IO, "nothing listens there");
    side->listening = true;
    *bound = uri;
    return 0;
}

static int32_t connect_mem(void *self, struct gavel_slice uri, void *cookie, void **connection,
                           struct gavel_error *error)
{
    struct net_side *side = self;
    struct end *end = end_new(side, true);
    char name[64];

    (void)error;
    snprintf(name, sizeof name, "%.*s", (int)uri.size - 6, (const char *)uri.data + 6);
    end->cookie = cookie;
    *connection = end;
    struct net_side *target = net_side(side->net, name);
    if (!target->listening) {
        push(side->net, REFUSED, end, GAVEL_CLOSE_REFUSED, NULL, 0);
        return 0;
    }
    end->other = end_new(target, false);
    end->other->other = end;
    if (is_cut(side->net, end, end->other)) {
        push(side->net, REFUSED, end, GAVEL_CLOSE_TIMEOUT, NULL, 0);
        return 0;
    }
    push(side->net, ACCEPT, end->other, 0, NULL, 0);
    return 0;
}

static int32_t send_mem(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
    const struct net_side *side = self;
    struct end *end = connection;
    size_t size = 0;
    size_t at = 0;
    unsigned char *bytes;

    for (uint64_t i = 0; i < count; i++)
        size += parts[i].size;
    if (!end->open)
        return GAVEL_E_CLOSED;
    if (side->message_bytes && size > side->message_bytes)
        return GAVEL_E_TOO_LARGE;
    if (!end->other || !end->other->open || is_cut(end->net, end, end->other))
        return 0;
    bytes = malloc(size ? size : 1);
    for (uint64_t i = 0; i < count; i++) {
        if (parts[i].size)
            memcpy(bytes + at, parts[i].data, parts[i].size);
        at += parts[i].size;
    }
    if (side->rewrite)
        size = side->rewrite(bytes, size);
    push(end->net, MESSAGE, end->other, 0, bytes, size);
    end->other->waiting += size;
    free(bytes);
    return 0;
}

static uint64_t queued(void *self, void *connection)
{
    struct end *end = connection;

    (void)self;
    return end->other ? end->other->waiting : 0;
}

static void pause_mem(void *self, void *connection, uint64_t on)
{
    struct end *end = connection;

    (void)self;
    end->paused = on != 0;
    while (!end->paused && end->held) { /* to the front of the queue, the oldest at last: order is kept */
        struct item *item = end->held;

        end->held = item->next;
        end->waiting += item->size;
        end->net->length++;
        item->next = end->net->head;
        end->net->head = item;
        if (!item->next)
            end->net->tail = &item->next;
    }
}

static void close_mem(void *self, void *connection, uint64_t reason, struct gavel_slice why)
{
    struct end *end = connection;

    (void)self;
    (void)why;
    if (!end->open)
        return;
    end->open = false;
    push(end->net, CLOSED, end, reason, NULL, 0);
    /* What was sent before arrives before the end does, as the transport's rules say. */
    if (end->other && end->other->open) {
        if (reason == GAVEL_CLOSE_PROTOCOL || reason == GAVEL_CLOSE_SLOW)
            end->other->open = false;
        push(end->net, CLOSED, end->other, GAVEL_CLOSE_LOST, NULL, 0);
    }
}

static void unlisten(void *self)
{
    struct net_side *side = self;

    side->listening = false;
}

const struct gavel_transport net_transport = {
    .size = GAVEL_END(struct gavel_transport, respond),
    .schemes = "mem",
    .prepare = prepare,
    .listen = listen_mem,
    .connect = connect_mem,
    .send = send_mem,
    .queued = queued,
    .pause = pause_mem,
    .close = close_mem,
    .unlisten = unlisten,
};

/* ---- delivery ------------------------------------------------------------------------------------------ */

static void deliver(struct item *item)
{
    struct end *to = item->to;
    const struct gavel_transport_events *events = to->side->events;
    struct gavel_peer peer = {.size = sizeof peer,
                              .address = gavel_text(to->other ? to->other->side->name : "?")};

    if (to->gone || !events)
        return;
    switch (item->what) {
    case ACCEPT:
        to->cookie = to->side->listening ? events->accepted(events->context, to, &peer) : NULL;
        if (!to->cookie) {
            to->gone = true;
            to->open = false;
            push(to->net, REFUSED, to->other, GAVEL_CLOSE_LOST, NULL, 0);
        } else {
            push(to->net, CONNECTED, to->other, 0, NULL, 0);
        }
        break;
    case CONNECTED:
        if (to->open)
            events->connected(events->context, to->cookie, &peer);
        break;
    case MESSAGE:
        if (to->open) {
            events->message(events->context, to->cookie, gavel_bytes(item->bytes, item->size));
            events->quiet(events->context);
        }
        break;
    case REFUSED:
    case CLOSED:
        to->open = false;
        to->gone = true;
        if (!to->cookie)
            break; /* its acceptor died before it was told of it, and another life of it knows nothing */
        events->closed(events->context, to->cookie, item->reason, gavel_text("the connection ended"));
        break;
    }
}

/* Messages alone are late: the order in which a connection tells of its beginning and end stays as it is. */
static bool has_to_wait(const struct item *item)
{
    const struct net_side *side = item->to->side;

    return item->what == MESSAGE && (side->paused || (side->now_ns && *side->now_ns < item->due_ns));
}

bool net_deliver(struct net *net)
{
    struct item **at = &net->head;
    struct item *item;

    while (*at && has_to_wait(*at))
        at = &(*at)->next;
    item = *at;
    if (!item)
        return false;
    *at = item->next;
    net->length--;
    if (!*at)
        net->tail = at;
    if (item->what == MESSAGE)
        item->to->waiting -= item->size;
    if (item->what == MESSAGE && item->to->paused && item->to->open) {
        item->next = item->to->held;
        item->to->held = item;
        return true;
    }
    net->delivered++;
    deliver(item);
    free(item);
    return true;
}

void net_kill(struct net_side *side)
{
    struct net *net = side->net;

    side->listening = false;
    side->events = NULL;
    for (struct end *end = net->all; end; end = end->all_next) {
        if (end->side != side || end->gone)
            continue;
        end->gone = true;
        end->open = false;
        if (end->other && !end->other->gone && end->other->side != side) {
            end->other->open = false;
            push(net, CLOSED, end->other, GAVEL_CLOSE_LOST, NULL, 0);
        }
    }
}

void net_forget(void *connection)
{
    struct end *end = connection;

    end->open = false;
    end->gone = true;
}

void net_cut(struct net *net, const char *a, const char *b, bool cut)
{
    struct net_side *one = net_side(net, a);
    struct net_side *two = net_side(net, b);

    net->cut[one - net->sides][two - net->sides] = cut;
    net->cut[two - net->sides][one - net->sides] = cut;
}

void net_pause(struct net_side *side, bool paused)
{
    side->paused = paused;
}

void net_delay(struct net_side *side, const uint64_t *now_ns, uint64_t delay_ns)
{
    side->now_ns = now_ns;
    side->delay_ns = delay_ns;
}

void net_message_bytes(struct net_side *side, uint64_t bytes)
{
    side->message_bytes = bytes;
}

void net_rewrite(struct net_side *side, size_t (*rewrite)(unsigned char *bytes, size_t size))
{
    side->rewrite = rewrite;
}

uint64_t net_waiting(const struct net_side *side)
{
    uint64_t bytes = 0;

    for (const struct item *item = side->net->head; item; item = item->next)
        if (item->what == MESSAGE && item->to->side == side)
            bytes += item->size;
    return bytes;
}

uint64_t net_length(const struct net *net)
{
    return net->length;
}

uint64_t net_delivered(const struct net *net)
{
    return net->delivered;
}
