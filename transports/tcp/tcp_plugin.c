/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_plugin.c - the tcp transport as the host sees it: options, an instance's life, and the three places in a turn of
 * the loop where an instance acts for all of its connections.
 */
#include "tcp.h"

#include <assert.h>
#include <stdlib.h>

/*
 * A sweep looks for silent connections this often within the keepalive time, and at least once a second. Silence is
 * counted in sweeps, not in time: between two sweeps the loop has listened once at least, however long it was held up.
 */
#define SWEEPS_PER_KEEPALIVE 4u
#define SWEEP_MS_MIN 5u
#define SWEEP_MS_MAX 1000u

/* Handles of an instance: prepare, check, idle, sweep. */
#define OWN_HANDLES 4u

static const struct gavel_field option_rows[] = {
    {.name = "backlog", .id = 1, .type = GAVEL_UINT, .offset = offsetof(struct tcp_options, backlog),
     .fallback = "511", .min = 1, .max = 65535, .unit = "connections",
     .help = "how many connections may wait in the system to be accepted"},
};

static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct tcp_options);

/* ---- a turn of the loop ------------------------------------------------------------------------------------------ */

/* Only its being active matters: the loop then does not block before the next prepare. */
static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

void tcp_mark_dirty(struct tcp_connection *connection)
{
    struct tcp_transport *transport = connection->transport;

    if (connection->is_dirty)
        return;
    connection->is_dirty = true;
    TAILQ_INSERT_TAIL(&transport->dirty, connection, dirty);
    if (transport->dirty_count++ == 0)
        (void)uv_idle_start(&transport->idle, on_idle);
}

static void tell_quiet(struct tcp_transport *transport)
{
    if (!transport->arrived)
        return;
    transport->arrived = false;
    if (transport->up.events.quiet)
        transport->up.events.quiet(transport->up.events.context);
}

static void on_check(uv_check_t *check)
{
    struct tcp_transport *transport = check->data;

    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    tell_quiet(transport);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct tcp_transport *transport = prepare->data;
    struct tcp_connection *connection;
    uint64_t left;

    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    tell_quiet(transport); /* for what came outside of the poll phase, which may now block */
    left = transport->dirty_count;
    /* What `drained` makes the host send waits for the next turn, so that one connection cannot hold the loop. */
    while (left-- > 0 && (connection = TAILQ_FIRST(&transport->dirty))) {
        TAILQ_REMOVE(&transport->dirty, connection, dirty);
        transport->dirty_count--;
        connection->is_dirty = false;
        tcp_flush(connection);
        tcp_tell_drained(connection);
    }
    while ((connection = TAILQ_FIRST(&transport->ended)))
        tcp_tell_closed(connection);
    if (transport->dirty_count == 0)
        (void)uv_idle_stop(&transport->idle);
}

static void on_sweep(uv_timer_t *timer)
{
    struct tcp_transport *transport = timer->data;
    struct tcp_connection *connection;
    struct tcp_connection *next;

    for (connection = LIST_FIRST(&transport->connections); connection; connection = next) {
        next = LIST_NEXT(connection, all);
        tcp_connection_sweep(connection);
    }
    if (LIST_EMPTY(&transport->connections))
        (void)uv_timer_stop(timer);
    tcp_listeners_retry(transport);
}

void tcp_sweep_start(struct tcp_transport *transport)
{
    uint64_t period = transport->up.limits.keepalive_ms / SWEEPS_PER_KEEPALIVE;

    if (uv_is_active((uv_handle_t *)&transport->sweep))
        return;
    period = period < SWEEP_MS_MIN ? SWEEP_MS_MIN : period;
    period = period > SWEEP_MS_MAX ? SWEEP_MS_MAX : period;
    transport->sweeps = (transport->up.limits.keepalive_ms + period - 1) / period;
    (void)uv_timer_start(&transport->sweep, on_sweep, period, period);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int32_t tcp_prepare(void *self, const struct gavel_transport_events *events,
                           const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    struct tcp_transport *transport = self;
    int32_t status;

    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    if (!LIST_EMPTY(&transport->connections) || !LIST_EMPTY(&transport->listeners))
        return gavel_fail(error, GAVEL_E_STATE, "the up-calls must be set before the first connection");
    status = upcalls_take(&transport->up, events, limits, error);
    transport->prepared = status == GAVEL_OK;
    return status;
}

static int32_t tcp_create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    const struct tcp_options *chosen = options;
    struct tcp_transport *transport;

    if (!host->loop)
        return gavel_fail(error, GAVEL_E_UNSUPPORTED, "this host has no event loop: the tcp transport needs libuv's");
    transport = calloc(1, sizeof *transport);
    if (!transport)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory ran out");
    transport->magic = TCP_TRANSPORT_MAGIC;
    transport->host = host;
    transport->loop = host->loop;
    transport->backlog = chosen && chosen->backlog ? chosen->backlog : 511;
    LIST_INIT(&transport->connections);
    LIST_INIT(&transport->listeners);
    TAILQ_INIT(&transport->dirty);
    TAILQ_INIT(&transport->ended);
    *self = transport;
    return GAVEL_OK;
}

static int32_t tcp_start(void *self, struct gavel_error *error)
{
    struct tcp_transport *transport = self;
    const struct gavel_host *host = transport->host;

    (void)error;
    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    assert(!transport->started);
    (void)uv_prepare_init(transport->loop, &transport->prepare);
    (void)uv_check_init(transport->loop, &transport->check);
    (void)uv_idle_init(transport->loop, &transport->idle);
    (void)uv_timer_init(transport->loop, &transport->sweep);
    transport->prepare.data = transport;
    transport->check.data = transport;
    transport->idle.data = transport;
    transport->sweep.data = transport;
    (void)uv_prepare_start(&transport->prepare, on_prepare);
    (void)uv_check_start(&transport->check, on_check);
    /* Connections and listeners keep the loop alive, not these. */
    uv_unref((uv_handle_t *)&transport->prepare);
    uv_unref((uv_handle_t *)&transport->check);
    uv_unref((uv_handle_t *)&transport->sweep);
    transport->own_handles = OWN_HANDLES;
    if (host->metric)
        transport->refused_metric = host->metric(host->self, GAVEL_COUNTER, "transport.connections.refused",
                                                 "{connection}", "connections refused because too many were open");
    transport->started = true;
    return GAVEL_OK;
}

static void on_own_closed(uv_handle_t *handle)
{
    struct tcp_transport *transport = handle->data;

    transport->own_handles--;
    tcp_quiesce_step(transport);
}

void tcp_quiesce_step(struct tcp_transport *transport)
{
    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    if (!transport->quiescing || transport->quiesced || transport->listening ||
        !LIST_EMPTY(&transport->connections))
        return;
    if (!uv_is_closing((uv_handle_t *)&transport->prepare)) {
        uv_close((uv_handle_t *)&transport->prepare, on_own_closed);
        uv_close((uv_handle_t *)&transport->check, on_own_closed);
        uv_close((uv_handle_t *)&transport->idle, on_own_closed);
        uv_close((uv_handle_t *)&transport->sweep, on_own_closed);
    }
    if (transport->own_handles)
        return;
    transport->quiesced = true;
    transport->done(transport->done_context);
}

static void tcp_quiesce(void *self, void (*done)(void *context), void *context)
{
    struct tcp_transport *transport = self;
    struct tcp_connection *connection;
    struct tcp_connection *next;

    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    assert(!transport->quiescing);
    transport->quiescing = true;
    transport->done = done;
    transport->done_context = context;
    if (!transport->started) {
        transport->quiesced = true;
        done(context);
        return;
    }
    tcp_unlisten(transport);
    for (connection = LIST_FIRST(&transport->connections); connection; connection = next) {
        next = LIST_NEXT(connection, all);
        tcp_close(transport, connection, GAVEL_CLOSE_NORMAL, gavel_text("this side is stopping"));
    }
    tcp_quiesce_step(transport);
}

static void tcp_destroy(void *self)
{
    struct tcp_transport *transport = self;

    if (!transport)
        return;
    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    assert(!transport->started || transport->quiesced);
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
