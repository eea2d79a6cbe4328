/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipe-transport.c - a plugin of ABI 1.0: a transport over TCP (old://127.0.0.1:port) that writes each message behind
 * its length, on the host's loop. Never edit it: it stands for the plugins that are out there.
 */
#include <gavel/transport.h>

#include <stdlib.h>
#include <uv.h>

#define LISTENERS_MAX 8
#define CHUNK 65536u

struct pipe {
    const struct gavel_host *host;
    const struct gavel_transport_events *events;
    struct gavel_transport_limits limits;
    uint64_t handles; /* open ones of libuv */
    uint64_t accepted;
    struct connection *first;
    uv_tcp_t *listener[LISTENERS_MAX];
    char bound[LISTENERS_MAX][64];
    uint64_t listeners;
    void (*done)(void *context);
    void *context;
};

struct connection {
    uv_tcp_t tcp;
    uv_connect_t dial;
    struct pipe *pipe;
    struct connection *next, *before;
    struct gavel_timer *timer; /* a dial, or a close that waits for what is queued */
    void *cookie;
    struct gavel_buffer in;
    uint64_t queued;
    uint64_t over; /* 1: send said BUSY, and `drained` is owed */
    uint64_t open, closing, incoming;
    uint64_t reason;
    char why[128];
};

struct message {
    uv_write_t write;
    struct connection *connection;
    uint64_t size;
    char data[];
};

static void maybe_done(struct pipe *pipe)
{
    void (*done)(void *context) = pipe->done;

    if (!done || pipe->handles)
        return;
    pipe->done = NULL;
    done(pipe->context);
}

static void connection_gone(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct pipe *pipe = connection->pipe;

    if (connection->next)
        connection->next->before = connection->before;
    *(connection->before ? &connection->before->next : &pipe->first) = connection->next;
    pipe->accepted -= connection->incoming;
    pipe->handles--;
    if (connection->cookie)
        pipe->events->closed(pipe->events->context, connection->cookie, connection->reason,
                             gavel_text(connection->why));
    pipe->host->timer_free(pipe->host->self, connection->timer);
    gavel_buffer_free(&connection->in);
    free(connection);
    maybe_done(pipe);
}

static void end(struct connection *connection, uint64_t reason, const char *why)
{
    if (!connection->closing) {
        connection->reason = reason;
        (void)snprintf(connection->why, sizeof connection->why, "%s", why);
    }
    connection->closing = 1;
    if (!uv_is_closing((uv_handle_t *)&connection->tcp))
        uv_close((uv_handle_t *)&connection->tcp, connection_gone);
}

static void too_long(void *context)
{
    struct connection *connection = context;

    end(connection, GAVEL_CLOSE_TIMEOUT, "the dial took too long");
}

static struct connection *connection_new(struct pipe *pipe)
{
    struct connection *connection = calloc(1, sizeof *connection);
    struct gavel_timer *timer =
        connection ? pipe->host->timer_new(pipe->host->self, too_long, connection) : NULL;

    if (!timer || uv_tcp_init(pipe->host->loop, &connection->tcp) != 0) {
        pipe->host->timer_free(pipe->host->self, timer);
        free(connection);
        return NULL;
    }
    connection->timer = timer;
    connection->tcp.data = connection;
    connection->pipe = pipe;
    connection->in.heap = pipe->host->heap;
    connection->next = pipe->first;
    if (pipe->first)
        pipe->first->before = connection;
    pipe->first = connection;
    pipe->handles++;
    return connection;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static void room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct connection *connection = handle->data;

    (void)suggested;
    *buf = uv_buf_init(NULL, 0);
    if (gavel_buffer_reserve(&connection->in, CHUNK) == GAVEL_OK)
        *buf = uv_buf_init((char *)connection->in.data + connection->in.size, CHUNK);
}

static void parse(struct connection *connection)
{
    struct pipe *pipe = connection->pipe;
    struct gavel_buffer *in = &connection->in;
    uint64_t at = 0;

    while (in->size - at >= 4 && !connection->closing) {
        const unsigned char *head = in->data + at;
        uint64_t size = head[0] | (uint64_t)head[1] << 8 | (uint64_t)head[2] << 16 | (uint64_t)head[3] << 24;

        if (size > pipe->limits.message_bytes) {
            end(connection, GAVEL_CLOSE_PROTOCOL, "a message over the limit");
            return;
        }
        if (in->size - at - 4 < size)
            break;
        pipe->events->message(pipe->events->context, connection->cookie, gavel_bytes(head + 4, size));
        at += 4 + size;
    }
    if (at)
        memmove(in->data, in->data + at, in->size - at);
    in->size -= at;
    if (pipe->events->quiet)
        pipe->events->quiet(pipe->events->context);
}

static void received(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct connection *connection = stream->data;

    (void)buf;
    if (got < 0) {
        end(connection, GAVEL_CLOSE_LOST, got == UV_EOF ? "the other side closed" : uv_strerror((int)got));
        return;
    }
    connection->in.size += (uint64_t)got;
    parse(connection);
}

static void written(uv_write_t *write, int status)
{
    struct message *message = (struct message *)(void *)write;
    struct connection *connection = message->connection;
    struct pipe *pipe = connection->pipe;

    connection->queued -= message->size;
    free(message);
    if (status < 0 && status != UV_ECANCELED)
        end(connection, GAVEL_CLOSE_LOST, uv_strerror(status));
    if (connection->closing && connection->queued == 0)
        end(connection, connection->reason, "");
    if (connection->over && !connection->closing && connection->queued < pipe->limits.send_high / 4) {
        connection->over = 0;
        pipe->events->drained(pipe->events->context, connection->cookie);
    }
}

static int32_t pipe_send(void *self, void *handle, const struct gavel_slice *parts, uint64_t count)
{
    struct pipe *pipe = self;
    struct connection *connection = handle;
    struct message *message;
    uint64_t size = 0, at = 4;
    uv_buf_t buf;

    if (!connection->open || connection->closing)
        return GAVEL_E_CLOSED;
    for (uint64_t i = 0; i < count; i++)
        size += parts[i].size;
    if (size > pipe->limits.message_bytes)
        return GAVEL_E_TOO_LARGE;
    if (connection->queued > pipe->limits.send_high) {
        connection->over = 1;
        return GAVEL_E_BUSY;
    }
    message = malloc(sizeof *message + 4 + size);
    if (!message)
        return GAVEL_E_NO_MEMORY;
    for (int i = 0; i < 4; i++)
        message->data[i] = (char)(size >> 8 * i);
    for (uint64_t i = 0; i < count; i++) {
        if (parts[i].size)
            memcpy(message->data + at, parts[i].data, parts[i].size);
        at += parts[i].size;
    }
    message->connection = connection;
    message->size = at;
    connection->queued += at;
    buf = uv_buf_init(message->data, (unsigned)at);
    if (uv_write(&message->write, (uv_stream_t *)&connection->tcp, &buf, 1, written) != 0) {
        connection->queued -= at;
        free(message);
        end(connection, GAVEL_CLOSE_LOST, "the system refuses to send");
        return GAVEL_E_CLOSED;
    }
    return GAVEL_OK;
}

static uint64_t pipe_queued(void *self, void *handle)
{
    struct connection *connection = handle;

    (void)self;
    return connection->queued;
}

static void pipe_pause(void *self, void *handle, uint64_t on)
{
    struct connection *connection = handle;

    (void)self;
    if (connection->closing || !connection->open)
        return;
    if (on)
        (void)uv_read_stop((uv_stream_t *)&connection->tcp);
    else
        (void)uv_read_start((uv_stream_t *)&connection->tcp, room, received);
}

static void pipe_close(void *self, void *handle, uint64_t reason, struct gavel_slice why)
{
    struct pipe *pipe = self;
    struct connection *connection = handle;

    if (connection->closing)
        return;
    if (reason != GAVEL_CLOSE_NORMAL || connection->queued == 0) {
        char text[128];

        (void)snprintf(text, sizeof text, "%.*s", (int)(why.size < 100 ? why.size : 100), (const char *)why.data);
        end(connection, reason, text);
        return;
    }
    connection->closing = 1;
    connection->reason = reason;
    (void)uv_read_stop((uv_stream_t *)&connection->tcp);
    pipe->host->timer_start(pipe->host->self, connection->timer, 1000);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void become_open(struct connection *connection)
{
    connection->open = 1;
    (void)uv_tcp_nodelay(&connection->tcp, 1);
    (void)uv_read_start((uv_stream_t *)&connection->tcp, room, received);
}

static struct gavel_peer peer_of(char *text)
{
    struct gavel_peer peer = {.size = GAVEL_END(struct gavel_peer, name_count)};

    peer.address = gavel_text(text);
    return peer;
}

static void incoming(uv_stream_t *stream, int status)
{
    struct pipe *pipe = stream->data;
    struct connection *connection = status == 0 ? connection_new(pipe) : NULL;
    char text[] = "an old friend";
    struct gavel_peer peer = peer_of(text);

    if (!connection)
        return;
    connection->incoming = 1;
    pipe->accepted++;
    if (uv_accept(stream, (uv_stream_t *)&connection->tcp) == 0 && pipe->accepted <= pipe->limits.connections)
        connection->cookie = pipe->events->accepted(pipe->events->context, connection, &peer);
    if (connection->cookie && !connection->closing)
        become_open(connection);
    else
        end(connection, GAVEL_CLOSE_NORMAL, "not wanted");
}

static void dialled(uv_connect_t *dial, int status)
{
    struct connection *connection = dial->data;
    struct pipe *pipe = connection->pipe;
    char text[] = "an old server";
    struct gavel_peer peer = peer_of(text);

    pipe->host->timer_stop(pipe->host->self, connection->timer);
    if (status != 0) {
        end(connection, status == UV_ECONNREFUSED ? GAVEL_CLOSE_REFUSED : GAVEL_CLOSE_LOST, uv_strerror(status));
        return;
    }
    become_open(connection);
    pipe->events->connected(pipe->events->context, connection->cookie, &peer);
}

static int32_t address_of(struct gavel_slice uri, struct sockaddr_in *address, struct gavel_error *error)
{
    char text[64], *colon;

    (void)snprintf(text, sizeof text, "%.*s", (int)(uri.size < 63 ? uri.size : 63), (const char *)uri.data);
    colon = strrchr(text, ':');
    if (strncmp(text, "old://", 6) != 0 || colon < text + 6)
        return gavel_fail(error, GAVEL_E_INVALID, "wanted old://1.2.3.4:port, found %s", text);
    *colon = 0;
    if (uv_ip4_addr(text + 6, (int)strtol(colon + 1, NULL, 10), address) != 0)
        return gavel_fail(error, GAVEL_E_INVALID, "wanted an address of four numbers, found %s", text + 6);
    return GAVEL_OK;
}

static int32_t pipe_connect(void *self, struct gavel_slice uri, void *cookie, void **handle, struct gavel_error *error)
{
    struct pipe *pipe = self;
    struct sockaddr_in address;
    struct connection *connection;
    int32_t status = address_of(uri, &address, error);

    if (status != GAVEL_OK)
        return status;
    connection = connection_new(pipe);
    if (!connection)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    connection->cookie = cookie;
    connection->dial.data = connection;
    pipe->host->timer_start(pipe->host->self, connection->timer, pipe->limits.dial_ms);
    if (uv_tcp_connect(&connection->dial, &connection->tcp, (struct sockaddr *)&address, dialled) != 0)
        end(connection, GAVEL_CLOSE_LOST, "the system refuses to dial");
    *handle = connection;
    return GAVEL_OK;
}

/* ---- listeners --------------------------------------------------------------------------------------------------- */

static void listener_gone(uv_handle_t *handle)
{
    struct pipe *pipe = handle->data;

    free(handle);
    pipe->handles--;
    maybe_done(pipe);
}

static int32_t pipe_listen(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error)
{
    struct pipe *pipe = self;
    struct sockaddr_in address;
    int size = sizeof address;
    uint64_t number = pipe->listeners;
    int32_t status = address_of(uri, &address, error);
    char host[32];
    uv_tcp_t *listener;

    if (status != GAVEL_OK || number == LISTENERS_MAX)
        return status != GAVEL_OK ? status : gavel_fail(error, GAVEL_E_TOO_LARGE, "too many listeners");
    listener = malloc(sizeof *listener);
    if (!listener)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    (void)uv_tcp_init(pipe->host->loop, listener);
    listener->data = pipe;
    pipe->handles++;
    if (uv_tcp_bind(listener, (struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)listener, 128, incoming) != 0 ||
        uv_tcp_getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        uv_close((uv_handle_t *)listener, listener_gone);
        return gavel_fail(error, GAVEL_E_IO, "the port is in use");
    }
    (void)uv_ip4_name(&address, host, sizeof host);
    (void)snprintf(pipe->bound[number], sizeof pipe->bound[number], "old://%s:%d", host, ntohs(address.sin_port));
    *bound = gavel_text(pipe->bound[number]);
    pipe->listener[pipe->listeners++] = listener;
    return GAVEL_OK;
}

static void pipe_unlisten(void *self)
{
    struct pipe *pipe = self;

    while (pipe->listeners)
        uv_close((uv_handle_t *)pipe->listener[--pipe->listeners], listener_gone);
}

/* ---- the plugin -------------------------------------------------------------------------------------------------- */

static int32_t pipe_prepare(void *self, const struct gavel_transport_events *events,
                            const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    struct pipe *pipe = self;

    (void)error;
    pipe->events = events;
    pipe->limits = *limits;
    return GAVEL_OK;
}

static int32_t create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    struct pipe *pipe = calloc(1, sizeof *pipe);

    (void)options;
    if (!pipe)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    pipe->host = host;
    *self = pipe;
    return GAVEL_OK;
}

static void quiesce(void *self, void (*done)(void *context), void *context)
{
    struct pipe *pipe = self;
    struct connection *next;

    pipe->done = done;
    pipe->context = context;
    pipe_unlisten(pipe);
    for (struct connection *connection = pipe->first; connection; connection = next) {
        next = connection->next;
        end(connection, GAVEL_CLOSE_NORMAL, "stopping");
    }
    maybe_done(pipe);
}

static void destroy(void *self)
{
    free(self);
}

static const struct gavel_transport operations = {
    .size = GAVEL_END(struct gavel_transport, respond),
    .schemes = "old",
    .prepare = pipe_prepare,
    .listen = pipe_listen,
    .connect = pipe_connect,
    .send = pipe_send,
    .queued = pipe_queued,
    .pause = pipe_pause,
    .close = pipe_close,
    .unlisten = pipe_unlisten,
};

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_TRANSPORT,
    .name = "pipe",
    .version = "1.0",
    .summary = "Messages over TCP of the year one",
    .operations = &operations,
    .create = create,
    .quiesce = quiesce,
    .destroy = destroy,
};

GAVEL_PLUGIN(pipe)
{
    return &plugin;
}
