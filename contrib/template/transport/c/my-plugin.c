/* SPDX-License-Identifier: Apache-2.0 */
/* my-plugin.c - the transport as the host sees it: its listeners, its place in a turn of the loop, its life. */
#include "my-plugin.h"

#define OWN_HANDLES 3u

static const struct gavel_field option_rows[] = {
    { .name = "backlog", .id = 1, .type = GAVEL_UINT, .fallback = "511", .min = 1, .max = 65535,
      .offset = offsetof(struct options, backlog), .unit = "connections",
      .help = "how many connections may wait in the system to be accepted" },
};
static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct options);

/* ---- listening --------------------------------------------------------------------------------------------------- */

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;

    if (status < 0)
        gavel_log(listener->transport->host, GAVEL_LOG_WARN, "transport." SCHEME, "accepting on %s: %s",
                  listener->bound, uv_strerror(status));
    else /* libuv waits until this one is taken; the next sweep tries again */
        listener->is_stuck = !connection_accept(listener->transport, stream);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    struct transport *self = listener->transport;

    TAILQ_REMOVE(&self->listeners, listener, all);
    free(listener);
    transport_step_to_quiet(self);
}

static int32_t listen_on(void *context, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error)
{
    static const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct transport *self = context;
    struct sockaddr_storage address;
    struct listener *listener;
    uv_getaddrinfo_t request;
    char host[256], port[8], shown[96];
    int size = sizeof address, code;
    int32_t status = address_parse(uri, host, port, error);

    if (status != GAVEL_OK)
        return status;
    if (!self->is_started || !self->is_prepared || self->is_quiescing)
        return gavel_fail(error, GAVEL_E_STATE, "the transport is not running");
    code = uv_getaddrinfo(self->loop, &request, NULL, host, port, &hints); /* a node that starts may wait */
    if (code < 0)
        return gavel_fail(error, GAVEL_E_IO, "%s: %s", host, uv_strerror(code));
    listener = calloc(1, sizeof *listener);
    if (!listener) {
        uv_freeaddrinfo(request.addrinfo);
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a listener");
    }
    listener->transport = self;
    (void)uv_tcp_init(self->loop, &listener->tcp);
    listener->tcp.data = listener;
    TAILQ_INSERT_TAIL(&self->listeners, listener, all);
    code = uv_tcp_bind(&listener->tcp, request.addrinfo->ai_addr, 0);
    uv_freeaddrinfo(request.addrinfo);
    if (code == 0)
        code = uv_listen((uv_stream_t *)&listener->tcp, (int)self->options->backlog, on_connection);
    if (code == 0)
        code = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&address, &size);
    if (code < 0) {
        uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
        return gavel_fail(error, GAVEL_E_IO, "%.*s: %s", (int)uri.size, (const char *)uri.data, uv_strerror(code));
    }
    address_show((struct sockaddr *)&address, shown, sizeof shown);
    (void)snprintf(listener->bound, sizeof listener->bound, SCHEME "://%s", shown);
    *bound = gavel_text(listener->bound);
    return GAVEL_OK;
}

static void unlisten(void *context)
{
    struct transport *self = context;
    struct listener *listener;

    TAILQ_FOREACH(listener, &self->listeners, all)
        if (!uv_is_closing((uv_handle_t *)&listener->tcp))
            uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
}

/* ---- a turn of the loop, and time -------------------------------------------------------------------------------- */

/* The last thing before the loop may block: what was gathered goes out. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct transport *self = prepare->data;
    struct connection *connection;

    while ((connection = TAILQ_FIRST(&self->dirty))) {
        TAILQ_REMOVE(&self->dirty, connection, dirty);
        connection->is_dirty = 0;
        connection_flush(connection);
    }
}

/* All that came in this turn was given: the host may act on it at once. */
static void on_check(uv_check_t *check)
{
    struct transport *self = check->data;

    if (self->has_arrived && self->events.quiet)
        self->events.quiet(self->events.context);
    self->has_arrived = 0;
}

static void on_sweep(uv_timer_t *timer)
{
    struct transport *self = timer->data;
    struct connection *connection;
    struct listener *listener;

    TAILQ_FOREACH(connection, &self->connections, all) /* whose end comes later, from its close callback */
        connection_sweep(connection);
    TAILQ_FOREACH(listener, &self->listeners, all)
        if (listener->is_stuck && !uv_is_closing((uv_handle_t *)&listener->tcp))
            on_connection((uv_stream_t *)&listener->tcp, 0);
    if (TAILQ_EMPTY(&self->connections))
        (void)uv_timer_stop(timer);
}

void transport_sweep(struct transport *self)
{
    uint64_t dial_ms = self->limits.dial_ms, keepalive_ms = self->limits.keepalive_ms;
    uint64_t period = (dial_ms < keepalive_ms ? dial_ms : keepalive_ms) / 4;

    if (uv_is_active((uv_handle_t *)&self->sweeper))
        return;
    period = period < 5 ? 5 : period > 500 ? 500 : period;
    self->sweeps = (keepalive_ms + period - 1) / period;
    (void)uv_timer_start(&self->sweeper, on_sweep, period, period);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* The host's tables may be of another minor version: what it does not have stays NULL or 0, which is the default. */
static int32_t prepare(void *context, const struct gavel_transport_events *events,
                       const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    struct transport *self = context;
    struct gavel_transport_limits *own = &self->limits;

    if (!TAILQ_EMPTY(&self->connections) || !TAILQ_EMPTY(&self->listeners))
        return gavel_fail(error, GAVEL_E_STATE, "the up-calls must be set before the first connection");
    memset(&self->events, 0, sizeof self->events);
    memset(own, 0, sizeof *own);
    memcpy(&self->events, events, events->size < sizeof *events ? events->size : sizeof *events);
    if (limits)
        memcpy(own, limits, limits->size < sizeof *limits ? limits->size : sizeof *limits);
    if (!self->events.accepted || !self->events.connected || !self->events.message || !self->events.closed)
        return gavel_fail(error, GAVEL_E_INVALID, "the host misses one of: accepted, connected, message, closed");
    own->message_bytes = own->message_bytes ? own->message_bytes : 16 << 20;
    own->message_bytes = own->message_bytes < LENGTH_MAX ? own->message_bytes : LENGTH_MAX;
    own->send_high = own->send_high ? own->send_high : 8 << 20;
    own->dial_ms = own->dial_ms ? own->dial_ms : 2000;
    own->keepalive_ms = own->keepalive_ms ? own->keepalive_ms : 10000;
    own->connections = own->connections ? own->connections : 1024;
    self->is_prepared = 1;
    return GAVEL_OK;
}

static int32_t create(const struct gavel_host *host, const void *options, void **instance, struct gavel_error *error)
{
    struct transport *self;

    if (!host->loop)
        return gavel_fail(error, GAVEL_E_UNSUPPORTED, "this host has no event loop: the transport needs libuv's");
    self = calloc(1, sizeof *self);
    if (!self)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a transport");
    self->host = host;
    self->options = options;
    self->loop = host->loop;
    TAILQ_INIT(&self->connections);
    TAILQ_INIT(&self->dirty);
    TAILQ_INIT(&self->listeners);
    *instance = self;
    return GAVEL_OK;
}

/* When the last of all is gone, and this instance is to end, its own handles go. */
static void on_own_closed(uv_handle_t *handle)
{
    struct transport *self = handle->data;

    if (--self->handles == 0)
        self->done(self->done_context);
}

void transport_step_to_quiet(struct transport *self)
{
    if (!self->is_quiescing || !TAILQ_EMPTY(&self->connections) || !TAILQ_EMPTY(&self->listeners) ||
        uv_is_closing((uv_handle_t *)&self->prepare))
        return;
    uv_close((uv_handle_t *)&self->prepare, on_own_closed);
    uv_close((uv_handle_t *)&self->check, on_own_closed);
    uv_close((uv_handle_t *)&self->sweeper, on_own_closed);
}

/* Connections and listeners keep the loop alive, not these. */
static int32_t start(void *context, struct gavel_error *error)
{
    struct transport *self = context;

    (void)uv_prepare_init(self->loop, &self->prepare);
    (void)uv_check_init(self->loop, &self->check);
    (void)uv_timer_init(self->loop, &self->sweeper);
    self->prepare.data = self->check.data = self->sweeper.data = self;
    (void)uv_prepare_start(&self->prepare, on_prepare);
    (void)uv_check_start(&self->check, on_check);
    uv_unref((uv_handle_t *)&self->prepare);
    uv_unref((uv_handle_t *)&self->check);
    uv_unref((uv_handle_t *)&self->sweeper);
    self->handles = OWN_HANDLES;
    self->is_started = 1;
    if (self->host->metric)
        self->refused_metric = self->host->metric(self->host->self, GAVEL_COUNTER, "transport.connections.refused",
                                                  "{connection}", "connections refused because too many were open");
    return GAVEL_OK;
}

static void quiesce(void *context, void (*done)(void *context), void *done_context)
{
    struct transport *self = context;
    struct connection *connection;

    if (!self->is_started) {
        done(done_context);
        return;
    }
    self->is_quiescing = 1;
    self->done = done;
    self->done_context = done_context;
    unlisten(self);
    TAILQ_FOREACH(connection, &self->connections, all)
        connection_close(self, connection, GAVEL_CLOSE_NORMAL, gavel_text("this side is stopping"));
    transport_step_to_quiet(self);
}

static void destroy(void *context)
{
    free(context);
}

static const struct gavel_transport operations = {
    .size = GAVEL_END(struct gavel_transport, respond),
    .schemes = SCHEME,
    .prepare = prepare,
    .listen = listen_on,
    .connect = connection_dial,
    .send = connection_send,
    .queued = connection_queued,
    .pause = connection_pause,
    .close = connection_close,
    .unlisten = unlisten,
};

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_TRANSPORT,
    .name = "my-plugin",
    .version = PACKAGE_VERSION,
    .summary = "Messages over TCP, many to a write",
    .options = &option_fields,
    .operations = &operations,
    .create = create,
    .start = start,
    .quiesce = quiesce,
    .destroy = destroy,
};

GAVEL_PLUGIN(my_plugin)
{
    return &plugin;
}
