/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_plugin.c - the tcp transport as the host sees it: options, an instance's life, and what it does for all of its
 * connections when a turn of the loop ends.
 */
#include "tcp.h"

#include <assert.h>
#include <stdlib.h>

static const struct gavel_field option_rows[] = {
    INSTANCE_OPTION_BACKLOG(struct tcp_options, backlog),
};

static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct tcp_options);

/* ---- for the instance -------------------------------------------------------------------------------------------- */

static struct tcp_transport *of(void *self)
{
    struct tcp_transport *transport = self;

    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    return transport;
}

static void look(void *self, struct instance_mark *mark)
{
    struct tcp_connection *connection =
        (struct tcp_connection *)(void *)((char *)mark - offsetof(struct tcp_connection, dirty));

    (void)of(self);
    tcp_flush(connection);
    tcp_tell_drained(connection);
}

static void turned(void *self)
{
    struct tcp_transport *transport = of(self);
    struct tcp_connection *connection;

    while ((connection = TAILQ_FIRST(&transport->ended)))
        tcp_tell_closed(connection);
}

static bool sweep(void *self)
{
    struct tcp_transport *transport = of(self);
    struct tcp_connection *connection;
    struct tcp_connection *next;

    for (connection = LIST_FIRST(&transport->connections); connection; connection = next) {
        next = LIST_NEXT(connection, all);
        tcp_connection_sweep(connection);
    }
    tcp_listeners_retry(transport);
    return !LIST_EMPTY(&transport->connections);
}

static bool empty(void *self)
{
    return LIST_EMPTY(&of(self)->connections);
}

static void close_all(void *self)
{
    struct tcp_transport *transport = of(self);
    struct tcp_connection *connection;
    struct tcp_connection *next;

    tcp_unlisten(transport);
    for (connection = LIST_FIRST(&transport->connections); connection; connection = next) {
        next = LIST_NEXT(connection, all);
        tcp_close(transport, connection, GAVEL_CLOSE_NORMAL, gavel_text("this side is stopping"));
    }
}

static const struct instance_operations instance_operations = {
    .module = TCP_MODULE,
    .look = look,
    .turned = turned,
    .sweep = sweep,
    .empty = empty,
    .close_all = close_all,
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int32_t tcp_prepare(void *self, const struct gavel_transport_events *events,
                           const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    return instance_prepare(&of(self)->instance, events, limits, error);
}

static int32_t tcp_create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    const struct tcp_options *chosen = options;
    struct tcp_transport *transport = calloc(1, sizeof *transport);
    int32_t status;

    if (!transport)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory ran out");
    status = instance_init(&transport->instance, &instance_operations, transport, host, chosen ? chosen->backlog : 0,
                           error);
    if (status != GAVEL_OK) {
        free(transport);
        return status;
    }
    transport->magic = TCP_TRANSPORT_MAGIC;
    LIST_INIT(&transport->connections);
    LIST_INIT(&transport->listeners);
    TAILQ_INIT(&transport->ended);
    *self = transport;
    return GAVEL_OK;
}

static int32_t tcp_start(void *self, struct gavel_error *error)
{
    (void)error;
    instance_start(&of(self)->instance);
    return GAVEL_OK;
}

static void tcp_quiesce(void *self, void (*done)(void *context), void *context)
{
    instance_quiesce(&of(self)->instance, done, context);
}

static void tcp_destroy(void *self)
{
    struct tcp_transport *transport = self;

    if (!transport)
        return;
    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    assert(!transport->instance.started || transport->instance.quiesced);
    tcp_listeners_free(transport);
    transport->magic = 0;
    free(transport);
}

static const struct gavel_transport tcp_operations = {
    .size = GAVEL_END(struct gavel_transport, respond),
    .schemes = "tcp unix",
    .prepare = tcp_prepare,
    .listen = tcp_listen,
    .connect = tcp_connect,
    .send = tcp_send,
    .queued = tcp_queued,
    .pause = tcp_pause,
    .close = tcp_close,
    .unlisten = tcp_unlisten,
};

static const struct gavel_plugin tcp_plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_TRANSPORT,
    .name = "tcp",
    .version = "0.1.0",
    .summary = "Peers and clients over TCP and unix sockets, many messages to a write",
    .options = &option_fields,
    .operations = &tcp_operations,
    .create = tcp_create,
    .start = tcp_start,
    .quiesce = tcp_quiesce,
    .destroy = tcp_destroy,
};

GAVEL_PLUGIN(tcp)
{
    return &tcp_plugin;
}
