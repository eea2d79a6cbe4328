/* SPDX-License-Identifier: Apache-2.0 */
/* my-plugin-connection.c - one connection, from its dial or its acceptance to its end. */
#include "my-plugin.h"

#define GREETING "GAVEL1\r\n"
#define GREETING_BYTES 8u
#define PING 1u
#define PONG 2u
#define BYE 3u
#define KEEP_BYTES 65536u  /* a larger empty buffer is given back */
#define DRAIN_MS 1000u     /* a close waits so long for the other side */

/* ---- the end of a connection ------------------------------------------------------------------------------------- */

static void release(struct connection *connection)
{
    struct transport *self = connection->transport;

    if (connection->has_handle || connection->is_resolving)
        return;
    TAILQ_REMOVE(&self->connections, connection, all);
    self->accepted -= !connection->dialled;
    uv_freeaddrinfo(connection->addresses);
    gavel_buffer_free(&connection->in);
    gavel_buffer_free(&connection->out);
    gavel_buffer_free(&connection->flying);
    free(connection);
    transport_step_to_quiet(self);
}

/* Here, and nowhere else, the host hears of an end. */
static void on_gone(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct transport *self = connection->transport;

    connection->has_handle = 0;
    if (connection->known)
        self->events.closed(self->events.context, connection->cookie, connection->reason, gavel_text(connection->why));
    connection->known = 0;
    release(connection);
}

static void end(struct connection *connection, uint64_t reason, const char *format, ...) GAVEL_PRINTF(3, 4);
static void end(struct connection *connection, uint64_t reason, const char *format, ...)
{
    va_list arguments;

    if (connection->state == GONE)
        return;
    if (!connection->reason) { /* a drain has its reason already */
        connection->reason = reason;
        va_start(arguments, format);
        (void)vsnprintf(connection->why, sizeof connection->why, format, arguments);
        va_end(arguments);
    }
    connection->state = GONE;
    if (connection->is_dirty)
        TAILQ_REMOVE(&connection->transport->dirty, connection, dirty);
    connection->is_dirty = 0;
    if (connection->is_resolving)
        (void)uv_cancel((uv_req_t *)&connection->resolving); /* its callback comes in any case */
    if (!uv_is_closing((uv_handle_t *)&connection->tcp))
        uv_close((uv_handle_t *)&connection->tcp, on_gone);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void put32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static void mark(struct connection *connection)
{
    if (connection->is_dirty || connection->state == GONE)
        return;
    TAILQ_INSERT_TAIL(&connection->transport->dirty, connection, dirty);
    connection->is_dirty = 1;
}

/* Append a control; one for which there is no memory is left out, and its silence is noticed. */
static void control(struct connection *connection, uint32_t kind, const void *data, uint64_t size)
{
    unsigned char word[4];

    put32(word, 0x80000000u | kind << 24 | (uint32_t)size);
    if (gavel_buffer_reserve(&connection->out, sizeof word + size) != GAVEL_OK)
        return;
    (void)gavel_buffer_append(&connection->out, word, sizeof word);
    (void)gavel_buffer_append(&connection->out, data, size);
    mark(connection);
}

static void bye(struct connection *connection, uint64_t reason, const char *why)
{
    unsigned char payload[CONTROL_MAX];
    uint64_t size = strlen(why) < sizeof payload - 1 ? strlen(why) : sizeof payload - 1;

    payload[0] = (unsigned char)reason;
    memcpy(payload + 1, why, size);
    control(connection, BYE, payload, size + 1);
}

uint64_t connection_queued(void *context, void *handle)
{
    struct connection *connection = handle;

    return connection->out.size + uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);
}

static void on_shut(uv_shutdown_t *request, int status)
{
}

static void on_written(uv_write_t *request, int status)
{
    struct connection *connection = request->data;
    struct transport *self = connection->transport;

    connection->flying.size = 0;
    if (connection->flying.capacity > KEEP_BYTES)
        gavel_buffer_free(&connection->flying);
    if (connection->state == GONE)
        return;
    if (status < 0) {
        end(connection, GAVEL_CLOSE_LOST, "writing to %s: %s", connection->peer, uv_strerror(status));
        return;
    }
    connection_flush(connection);
    if (connection->is_high && connection->state == OPEN &&
        connection_queued(self, connection) < self->limits.send_high / 4) {
        connection->is_high = 0;
        if (self->events.drained)
            self->events.drained(self->events.context, connection->cookie);
    }
}

/* Give libuv what was gathered; one write at a time, so that the next one gathers in the meantime. */
void connection_flush(struct connection *connection)
{
    struct gavel_buffer held = connection->flying;
    uv_buf_t buffer;
    int status;

    if (connection->state < MEETING || connection->state == GONE || connection->flying.size)
        return;
    if (connection->out.size == 0) {
        if (connection->state == DRAINING && !connection->is_shut) {
            connection->is_shut = 1;
            (void)uv_shutdown(&connection->shutting, (uv_stream_t *)&connection->tcp, on_shut);
        }
        return;
    }
    connection->flying = connection->out;
    connection->out = held;
    buffer = uv_buf_init((char *)connection->flying.data, (unsigned)connection->flying.size);
    connection->writing.data = connection;
    status = uv_write(&connection->writing, (uv_stream_t *)&connection->tcp, &buffer, 1, on_written);
    if (status < 0)
        end(connection, GAVEL_CLOSE_LOST, "writing to %s: %s", connection->peer, uv_strerror(status));
}

int32_t connection_send(void *context, void *handle, const struct gavel_slice *parts, uint64_t count)
{
    struct transport *self = context;
    struct connection *connection = handle;
    unsigned char length[4];
    uint64_t size = 0;

    if (connection->state != OPEN)
        return GAVEL_E_CLOSED;
    for (uint64_t i = 0; i < count; i++)
        size = parts[i].size > LENGTH_MAX ? LENGTH_MAX + UINT64_C(1) : size + parts[i].size;
    if (size > self->limits.message_bytes)
        return GAVEL_E_TOO_LARGE;
    if (connection_queued(self, connection) >= self->limits.send_high) {
        connection->is_high = 1;
        return GAVEL_E_BUSY;
    }
    if (gavel_buffer_reserve(&connection->out, sizeof length + size) != GAVEL_OK)
        return GAVEL_E_NO_MEMORY;
    put32(length, (uint32_t)size);
    (void)gavel_buffer_append(&connection->out, length, sizeof length);
    for (uint64_t i = 0; i < count; i++)
        (void)gavel_buffer_append(&connection->out, parts[i].data, parts[i].size);
    if (connection->out.size >= BATCH_BYTES)
        connection_flush(connection);
    else
        mark(connection);
    return GAVEL_OK;
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

/* The other side broke the rules: it is told why, and that is all. */
static void offend(struct connection *connection, const char *format, ...) GAVEL_PRINTF(2, 3);
static void offend(struct connection *connection, const char *format, ...)
{
    char why[CONTROL_MAX - 1];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    bye(connection, GAVEL_CLOSE_PROTOCOL, why);
    connection_flush(connection);
    end(connection, GAVEL_CLOSE_PROTOCOL, "%s", why);
}

static void take_control(struct connection *connection, uint32_t kind, const unsigned char *data, uint32_t size)
{
    if (kind == PING && connection->out.size < BATCH_BYTES) /* a pong is owed to one that reads only */
        control(connection, PONG, "", 0);
    else if (kind == BYE && size > 0)
        end(connection, data[0], "%.*s", (int)(size - 1), (const char *)data + 1);
}

/* One message or control out of what has arrived; how many bytes it took, 0 when it is not whole. */
static uint64_t take_one(struct connection *connection, const unsigned char *at, uint64_t left)
{
    struct transport *self = connection->transport;
    uint32_t word, size;

    if (left < 4)
        return 0;
    word = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    size = word & 0x80000000u ? word & 0xffffffu : word;
    if (word & 0x80000000u ? size > CONTROL_MAX : size > self->limits.message_bytes) {
        offend(connection, "a message of %u bytes from %s, at most %llu are taken", size, connection->peer,
               (unsigned long long)self->limits.message_bytes);
        return 0;
    }
    if (left - 4 < size)
        return 0;
    if (word & 0x80000000u) {
        take_control(connection, word >> 24 & 0x7f, at + 4, size);
    } else {
        self->has_arrived = 1;
        self->events.message(self->events.context, connection->cookie, gavel_bytes(at + 4, size));
    }
    return 4 + (uint64_t)size;
}

/* The other side is one of ours: now the host may know of it. 0: it does not want it. */
static int greeted(struct connection *connection)
{
    struct transport *self = connection->transport;
    struct gavel_peer peer = { .size = GAVEL_END(struct gavel_peer, name_count),
                               .address = gavel_text(connection->peer) };

    connection->state = OPEN;
    connection->deadline = 0;
    if (connection->is_paused)
        (void)uv_read_stop((uv_stream_t *)&connection->tcp);
    if (connection->dialled) {
        self->events.connected(self->events.context, connection->cookie, &peer);
        return 1;
    }
    connection->cookie = self->events.accepted(self->events.context, connection, &peer);
    connection->known = connection->cookie != NULL;
    if (!connection->known)
        end(connection, GAVEL_CLOSE_NORMAL, "refused");
    return connection->known;
}

static void take(struct connection *connection)
{
    const unsigned char *at = connection->in.data;
    uint64_t left = connection->in.size, used;

    if (connection->state == MEETING) {
        used = left < GREETING_BYTES ? left : GREETING_BYTES;
        if (memcmp(at, GREETING, used) != 0) {
            gavel_log(connection->transport->host, GAVEL_LOG_DEBUG, "transport." SCHEME, "a stranger: %s",
                      connection->peer);
            end(connection, GAVEL_CLOSE_PROTOCOL, "%s: what is there does not speak " SCHEME, connection->peer);
        }
        if (connection->state == GONE || used < GREETING_BYTES || !greeted(connection))
            return;
        at += used;
        left -= used;
    }
    while (connection->state == OPEN && (used = take_one(connection, at, left)) > 0) {
        at += used;
        left -= used;
    }
    if (left)
        memmove(connection->in.data, at, left);
    connection->in.size = left;
    if (left == 0 && connection->in.capacity > KEEP_BYTES)
        gavel_buffer_free(&connection->in);
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    struct connection *connection = handle->data;

    *buffer = uv_buf_init(connection->transport->read_buffer, sizeof connection->transport->read_buffer);
}

/* Memory is taken for what has come, never for what was announced. While draining nothing is listened to any more. */
static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;

    if (connection->state == GONE || count == 0)
        return;
    connection->silence = 0;
    if (count < 0)
        end(connection, GAVEL_CLOSE_LOST, "%s: %s", connection->peer, uv_strerror((int)count));
    else if (connection->state != DRAINING && gavel_buffer_append(&connection->in, buffer->base, (uint64_t)count) != 0)
        end(connection, GAVEL_CLOSE_LOST, "%s: no memory for what it sends", connection->peer);
    else if (connection->state != DRAINING)
        take(connection);
}

void connection_pause(void *context, void *handle, uint64_t on)
{
    struct connection *connection = handle;

    connection->is_paused = on != 0;
    if (connection->state != OPEN)
        return;
    if (on)
        (void)uv_read_stop((uv_stream_t *)&connection->tcp);
    else
        (void)uv_read_start((uv_stream_t *)&connection->tcp, on_room, on_read);
    connection->silence = 0;
}

/* ---- beginning of a connection ----------------------------------------------------------------------------------- */

static struct connection *make(struct transport *self, enum state state)
{
    struct connection *connection = calloc(1, sizeof *connection);

    if (!connection)
        return NULL;
    connection->transport = self;
    connection->state = state;
    connection->in.heap = connection->out.heap = connection->flying.heap = self->host->heap;
    connection->deadline = uv_now(self->loop) + self->limits.dial_ms;
    (void)uv_tcp_init(self->loop, &connection->tcp);
    connection->tcp.data = connection;
    connection->has_handle = 1;
    TAILQ_INSERT_TAIL(&self->connections, connection, all);
    transport_sweep(self);
    return connection;
}

/* There is a stream: both sides say who they are. */
static void greet(struct connection *connection)
{
    struct sockaddr_storage address;
    int size = sizeof address, status;

    if (uv_tcp_getpeername(&connection->tcp, (struct sockaddr *)&address, &size) == 0)
        address_show((struct sockaddr *)&address, connection->peer, sizeof connection->peer);
    (void)uv_tcp_nodelay(&connection->tcp, 1); /* what should be joined is joined here */
    connection->state = MEETING;
    status = uv_read_start((uv_stream_t *)&connection->tcp, on_room, on_read);
    if (status < 0 || gavel_buffer_append(&connection->out, GREETING, GREETING_BYTES) != GAVEL_OK)
        end(connection, GAVEL_CLOSE_LOST, "%s: %s", connection->peer, status < 0 ? uv_strerror(status) : "no memory");
    else
        connection_flush(connection);
}

int connection_accept(struct transport *self, uv_stream_t *listener)
{
    int is_full = self->accepted >= self->limits.connections, status;
    struct connection *connection = make(self, MEETING);

    if (!connection)
        return 0;
    self->accepted++;
    status = uv_accept(listener, (uv_stream_t *)&connection->tcp);
    if (is_full && self->host->record && self->refused_metric)
        self->host->record(self->host->self, self->refused_metric, 1, NULL, 0);
    if (status < 0 || is_full)
        end(connection, GAVEL_CLOSE_LOST, "%s", is_full ? "too many connections" : uv_strerror(status));
    else
        greet(connection);
    return 1;
}

static void dial(struct connection *connection);

static void on_next(uv_handle_t *handle)
{
    struct connection *connection = handle->data;

    connection->has_handle = 0;
    (void)uv_tcp_init(connection->transport->loop, &connection->tcp);
    connection->has_handle = 1;
    if (connection->state == GONE)
        uv_close((uv_handle_t *)&connection->tcp, on_gone); /* it was closed in the meantime */
    else
        dial(connection);
}

/* Try the next address of the name, if there is one; a handle serves one attempt only. */
static void attempt_failed(struct connection *connection, int status)
{
    uint64_t reason = status == UV_ECONNREFUSED ? GAVEL_CLOSE_REFUSED
                      : status == UV_ETIMEDOUT  ? GAVEL_CLOSE_TIMEOUT
                                                : GAVEL_CLOSE_LOST;

    connection->address = connection->address->ai_next;
    if (connection->address)
        uv_close((uv_handle_t *)&connection->tcp, on_next);
    else
        end(connection, reason, "%s: %s", connection->peer, uv_strerror(status));
}

static void on_connected(uv_connect_t *request, int status)
{
    struct connection *connection = request->data;

    if (connection->state == GONE)
        return;
    if (status < 0)
        attempt_failed(connection, status);
    else
        greet(connection);
}

static void dial(struct connection *connection)
{
    int status;

    address_show(connection->address->ai_addr, connection->peer, sizeof connection->peer);
    connection->state = CONNECTING;
    connection->connecting.data = connection;
    status = uv_tcp_connect(&connection->connecting, &connection->tcp, connection->address->ai_addr, on_connected);
    if (status < 0)
        attempt_failed(connection, status);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct connection *connection = request->data;

    connection->is_resolving = 0;
    connection->addresses = connection->address = found;
    if (connection->state == GONE)
        release(connection);
    else if (status < 0 || !found)
        end(connection, GAVEL_CLOSE_UNRESOLVED, "%s: %s", connection->peer, uv_strerror(status));
    else
        dial(connection);
}

int32_t connection_dial(void *context, struct gavel_slice uri, void *cookie, void **handle, struct gavel_error *error)
{
    static const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct transport *self = context;
    struct connection *connection;
    char host[256], port[8];
    int32_t status = address_parse(uri, host, port, error);
    int code;

    if (status != GAVEL_OK)
        return status;
    if (!self->is_started || !self->is_prepared || self->is_quiescing)
        return gavel_fail(error, GAVEL_E_STATE, "the transport is not running");
    connection = make(self, RESOLVING);
    if (!connection)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a connection");
    connection->dialled = 1;
    (void)snprintf(connection->peer, sizeof connection->peer, "%.90s", host);
    connection->resolving.data = connection;
    code = uv_getaddrinfo(self->loop, &connection->resolving, on_resolved, host, port, &hints);
    if (code < 0) {
        end(connection, GAVEL_CLOSE_LOST, "not begun");
        return gavel_fail(error, GAVEL_E_IO, "%s: %s", host, uv_strerror(code));
    }
    connection->is_resolving = 1;
    connection->known = 1;
    connection->cookie = cookie;
    *handle = connection;
    return GAVEL_OK;
}

/* After what is queued was sent, and the other side has closed too: a socket that is closed over bytes nobody has read
 * resets the stream, and what is still on its way to the other side would be lost. */
void connection_close(void *context, void *handle, uint64_t reason, struct gavel_slice why)
{
    struct connection *connection = handle;
    char text[CONTROL_MAX - 1];

    (void)snprintf(text, sizeof text, "%.*s", (int)(why.size < sizeof text ? why.size : sizeof text - 1),
                   why.data ? (const char *)why.data : "");
    if (connection->state == OPEN) {
        bye(connection, reason, text);
        connection_flush(connection);
    }
    if (connection->state != OPEN || reason == GAVEL_CLOSE_PROTOCOL || reason == GAVEL_CLOSE_SLOW) {
        if (connection->state != DRAINING || reason == GAVEL_CLOSE_PROTOCOL || reason == GAVEL_CLOSE_SLOW)
            end(connection, reason, "%s", text);
        return;
    }
    connection->state = DRAINING;
    connection->reason = reason;
    memcpy(connection->why, text, sizeof text);
    connection->deadline = uv_now(connection->transport->loop) + DRAIN_MS;
    if (connection->is_paused)
        (void)uv_read_start((uv_stream_t *)&connection->tcp, on_room, on_read);
    mark(connection);
}

/* Silence is counted in sweeps, not in time: between two of them the loop has listened, however long it was held up. */
void connection_sweep(struct connection *connection)
{
    struct transport *self = connection->transport;

    if (connection->deadline && uv_now(self->loop) >= connection->deadline) {
        end(connection, GAVEL_CLOSE_TIMEOUT, "no answer from %s within %llu ms", connection->peer,
            (unsigned long long)self->limits.dial_ms);
        return;
    }
    if (connection->state != OPEN)
        return;
    connection->silence++;
    if (connection->is_paused) {
        /* We do not read, so the other side's silence means nothing; but it must hear from us, or it gives us up. */
        if (connection->silence % self->sweeps == 0 && connection->out.size < BATCH_BYTES)
            control(connection, PING, "", 0);
        return;
    }
    if (connection->silence == self->sweeps)
        control(connection, PING, "", 0);
    else if (connection->silence >= 2 * self->sweeps)
        end(connection, GAVEL_CLOSE_LOST, "%s: nothing heard for %llu ms", connection->peer,
            (unsigned long long)(2 * self->limits.keepalive_ms));
}
