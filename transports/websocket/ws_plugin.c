/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_plugin.c - the websocket transport as the host sees it: options, an instance's life, and what it does for all of
 * its connections when a turn of the loop ends.
 */
#include "ws.h"

#include <assert.h>
#include <stdlib.h>

static const struct gavel_field option_rows[] = {
    INSTANCE_OPTION_BACKLOG(struct ws_options, backlog),
};

static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct ws_options);

/* ---- for the instance -------------------------------------------------------------------------------------------- */

static struct ws_transport *of(void *self)
{
    struct ws_transport *transport = self;

    assert(transport->magic == WS_TRANSPORT_MAGIC);
    return transport;
}

static void look(void *self, struct instance_mark *mark)
{
    struct ws_connection *connection =
        (struct ws_connection *)(void *)((char *)mark - offsetof(struct ws_connection, dirty));

    (void)of(self);
    assert(connection->transport->inside == 0);
    ws_flush(connection);
    ws_tell_drained(connection);
    if (connection->is_ended)
        ws_finish(connection);
}

/* libwebsockets goes when no callback of it is being handled, a turn or two later. */
static bool release(void *self)
{
    struct ws_transport *transport = of(self);

    return !transport->inside && ws_context_destroy(transport);
}

static bool sweep(void *self)
{
    struct ws_transport *transport = of(self);
    struct ws_connection *connection;
    struct ws_connection *next;

    for (connection = LIST_FIRST(&transport->connections); connection; connection = next) {
        next = LIST_NEXT(connection, all);
        ws_connection_sweep(connection);
    }
    ws_listeners_retry(transport);
    return !LIST_EMPTY(&transport->connections);
}

static bool empty(void *self)
{
    return LIST_EMPTY(&of(self)->connections);
}

static void close_all(void *self)
{
    struct ws_transport *transport = of(self);
    struct ws_connection *connection;
    struct ws_connection *next;

    ws_unlisten(transport);
    for (connection = LIST_FIRST(&transport->connections); connection; connection = next) {
        next = LIST_NEXT(connection, all);
        ws_close(transport, connection, GAVEL_CLOSE_NORMAL, gavel_text("this side is stopping"));
    }
}

static const struct instance_operations instance_operations = {
    .module = WS_MODULE,
    .look = look,
    .release = release,
    .sweep = sweep,
    .empty = empty,
    .close_all = close_all,
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int32_t ws_prepare(void *self, const struct gavel_transport_events *events,
                           const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    return instance_prepare(&of(self)->instance, events, limits, error);
}

static int32_t ws_create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    const struct ws_options *chosen = options;
    struct ws_transport *transport = calloc(1, sizeof *transport);
    int32_t status;

    if (!transport)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory ran out");
    status = instance_init(&transport->instance, &instance_operations, transport, host, chosen ? chosen->backlog : 0,
                           error);
    if (status != GAVEL_OK) {
        free(transport);
        return status;
    }
    transport->magic = WS_TRANSPORT_MAGIC;
    LIST_INIT(&transport->connections);
    LIST_INIT(&transport->listeners);
    LIST_INIT(&transport->requests);
    TAILQ_INIT(&transport->ended);
    *self = transport;
    return GAVEL_OK;
}

static int32_t ws_start(void *self, struct gavel_error *error)
{
    (void)error;
    instance_start(&of(self)->instance);
    return GAVEL_OK;
}

static void ws_quiesce(void *self, void (*done)(void *context), void *context)
{
    instance_quiesce(&of(self)->instance, done, context);
}

static void ws_destroy(void *self)
{
    struct ws_transport *transport = self;

    if (!transport)
        return;
    assert(transport->magic == WS_TRANSPORT_MAGIC);
    assert(!transport->instance.started || transport->instance.quiesced);
    ws_requests_free(transport);
    ws_listeners_free(transport);
    free(transport->slots);
    transport->magic = 0;
    free(transport);
}

static const struct gavel_transport ws_operations = {
    .size = GAVEL_END(struct gavel_transport, respond),
    .schemes = "ws",
    .prepare = ws_prepare,
    .listen = ws_listen,
    .connect = ws_connect,
    .send = ws_send,
    .queued = ws_queued,
    .pause = ws_pause,
    .close = ws_close,
    .unlisten = ws_unlisten,
    .respond = ws_respond,
};

static const struct gavel_plugin ws_plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_TRANSPORT,
    .name = "websocket",
    .version = "0.1.0",
    .summary = "Peers, clients and HTTP requests over websockets, many messages to a frame",
    .options = &option_fields,
    .operations = &ws_operations,
    .create = ws_create,
    .start = ws_start,
    .quiesce = ws_quiesce,
    .destroy = ws_destroy,
};

GAVEL_PLUGIN(websocket)
{
    return &ws_plugin;
}
