/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_connection.c - one connection, from the exchange of preambles to its end. An end is recorded at once, told to the
 * host at the end of the loop's turn, and the memory goes when libuv has given every handle back.
 */
#include "tcp.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* A pong is owed only to a peer that reads: over this many queued bytes a ping is not answered. */
#define PONG_QUEUE_MAX 65536u

/* What may follow what. */
static const bool moves[TCP_STATES][TCP_STATES] = {
    [TCP_RESOLVING] = {[TCP_CONNECTING] = true, [TCP_CLOSED] = true},
    [TCP_CONNECTING] = {[TCP_GREETING] = true, [TCP_CLOSED] = true},
    [TCP_GREETING] = {[TCP_OPEN] = true, [TCP_CLOSED] = true},
    [TCP_OPEN] = {[TCP_DRAINING] = true, [TCP_LINGERING] = true, [TCP_CLOSED] = true},
    [TCP_DRAINING] = {[TCP_LINGERING] = true, [TCP_CLOSED] = true},
    [TCP_LINGERING] = {[TCP_CLOSED] = true},
};

void tcp_move(struct tcp_connection *connection, enum tcp_state state)
{
    assert(connection->magic == TCP_CONNECTION_MAGIC);
    assert(moves[connection->state][state]);
    connection->state = state;
    assert(state != TCP_OPEN || connection->stream_open);
    assert(state == TCP_OPEN || state < TCP_DRAINING || connection->reason);
}

static void on_timer(uv_timer_t *timer)
{
    struct tcp_connection *connection = timer->data;

    assert(connection->magic == TCP_CONNECTION_MAGIC);
    tcp_end(connection, GAVEL_CLOSE_TIMEOUT, "no answer from %s within %llu ms", connection->peer,
            (unsigned long long)connection->transport->instance.up.limits.dial_ms);
}

struct tcp_connection *tcp_connection_new(struct tcp_transport *transport, enum tcp_state state)
{
    struct tcp_connection *connection = calloc(1, sizeof *connection);

    if (!connection)
        return NULL;
    connection->magic = TCP_CONNECTION_MAGIC;
    connection->state = state;
    connection->transport = transport;
    connection->out.heap = transport->instance.host->heap;
    connection->flying.heap = transport->instance.host->heap;
    framing_in_init(&connection->in, transport->instance.host->heap, transport->instance.up.limits.message_bytes);
    LIST_INSERT_HEAD(&transport->connections, connection, all);
    (void)uv_timer_init(transport->instance.loop, &connection->timer);
    connection->timer.data = connection;
    connection->timer_open = true;
    (void)uv_timer_start(&connection->timer, on_timer, transport->instance.up.limits.dial_ms, 0);
    instance_sweep(&transport->instance);
    return connection;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

void tcp_tell_closed(struct tcp_connection *connection)
{
    struct tcp_transport *transport = connection->transport;

    if (connection->is_ended) {
        TAILQ_REMOVE(&transport->ended, connection, ended);
        connection->is_ended = false;
    }
    if (!connection->known || connection->told)
        return;
    connection->told = true;
    transport->instance.up.events.closed(transport->instance.up.events.context, connection->cookie, connection->reason,
                                gavel_text(connection->why));
}

void tcp_tell_drained(struct tcp_connection *connection)
{
    struct upcalls *up = &connection->transport->instance.up;

    if (!connection->high || connection->state != TCP_OPEN)
        return;
    if (tcp_queued(connection->transport, connection) >= up->limits.send_high / 4)
        return;
    connection->high = false;
    if (up->events.drained)
        up->events.drained(up->events.context, connection->cookie);
}

/* The host is to hear of the end when this turn of the loop ends. */
static void tell_later(struct tcp_connection *connection)
{
    if (!connection->known || connection->told || connection->is_ended)
        return;
    TAILQ_INSERT_TAIL(&connection->transport->ended, connection, ended);
    connection->is_ended = true;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

void tcp_connection_gone(struct tcp_connection *connection)
{
    struct tcp_transport *transport = connection->transport;

    assert(connection->state == TCP_CLOSED);
    if (connection->stream_open || connection->timer_open)
        return;
    tcp_tell_closed(connection);
    LIST_REMOVE(connection, all);
    if (!connection->dialled)
        transport->instance.accepted--;
    gavel_buffer_free(&connection->out);
    gavel_buffer_free(&connection->flying);
    framing_in_free(&connection->in);
    connection->magic = 0;
    free(connection);
    instance_quiesce_step(&transport->instance);
}

static void on_stream_closed(uv_handle_t *handle)
{
    struct tcp_connection *connection = handle->data;

    connection->stream_open = false;
    tcp_connection_gone(connection);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct tcp_connection *connection = handle->data;

    connection->timer_open = false;
    tcp_connection_gone(connection);
}

static void set_reason(struct tcp_connection *connection, uint64_t reason, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
static void set_reason(struct tcp_connection *connection, uint64_t reason, const char *format, va_list arguments)
{
    assert(reason);
    if (connection->reason)
        return;
    connection->reason = reason;
    (void)vsnprintf(connection->why, sizeof connection->why, format, arguments);
}

void tcp_end(struct tcp_connection *connection, uint64_t reason, const char *format, ...)
{
    va_list arguments;

    assert(connection->magic == TCP_CONNECTION_MAGIC);
    if (connection->state == TCP_CLOSED)
        return;
    va_start(arguments, format);
    set_reason(connection, reason, format, arguments);
    va_end(arguments);
    tcp_dial_free(connection);
    tcp_move(connection, TCP_CLOSED);
    instance_unmark(&connection->transport->instance, &connection->dirty);
    tell_later(connection);
    if (connection->stream_open && !uv_is_closing(&connection->uv.handle))
        uv_close(&connection->uv.handle, on_stream_closed);
    uv_close((uv_handle_t *)&connection->timer, on_timer_closed);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct tcp_connection *connection = request->handle->data;

    if (status < 0 && connection->state != TCP_CLOSED)
        tcp_end(connection, GAVEL_CLOSE_LOST, "%s", uv_strerror(status));
}

/* Everything is written: end our half of the stream and wait for the other one. */
static void finish(struct tcp_connection *connection)
{
    tcp_move(connection, TCP_LINGERING);
    if (uv_shutdown(&connection->request.shutdown, &connection->uv.stream, on_shutdown) < 0)
        tcp_end(connection, GAVEL_CLOSE_LOST, "the connection is gone");
}

static void on_written(uv_write_t *request, int status)
{
    struct tcp_connection *connection = request->data;

    assert(connection->magic == TCP_CONNECTION_MAGIC);
    assert(connection->writing);
    connection->writing = false;
    connection->flying.size = 0;
    if (connection->flying.capacity > FRAMING_LARGE)
        gavel_buffer_free(&connection->flying);
    if (connection->state == TCP_CLOSED)
        return;
    if (status < 0) {
        tcp_end(connection, GAVEL_CLOSE_LOST, "%s: writing: %s", connection->peer, uv_strerror(status));
        return;
    }
    connection->silence = 0;
    tcp_flush(connection);
    tcp_tell_drained(connection);
}

/* The system took `done` bytes of `out`; hand the rest to libuv. */
static void write_rest(struct tcp_connection *connection, uint64_t done)
{
    struct gavel_buffer swap = connection->flying;
    uv_buf_t rest;
    int status;

    connection->flying = connection->out;
    connection->out = swap;
    assert(connection->out.size == 0);
    rest = uv_buf_init((char *)connection->flying.data + done, (unsigned)(connection->flying.size - done));
    connection->write.data = connection;
    connection->writing = true;
    status = uv_write(&connection->write, &connection->uv.stream, &rest, 1, on_written);
    if (status < 0) {
        connection->writing = false;
        tcp_end(connection, GAVEL_CLOSE_LOST, "%s: writing: %s", connection->peer, uv_strerror(status));
    }
}

/*
 * As uv_try_write, which is write(2) and so raises SIGPIPE when the other side has gone: libgavel lives in programs
 * that have not asked for that. Bytes, 0 when the system takes none, or a negative libuv code.
 */
static int64_t try_write(struct tcp_connection *connection, const void *data, uint64_t size)
{
    ssize_t done;
    uv_os_fd_t fd;

    if (uv_fileno(&connection->uv.handle, &fd) < 0)
        return UV_EPIPE;
    do
        done = send(fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (done < 0 && errno == EINTR);
    if (done >= 0)
        return done;
    return errno == EAGAIN || errno == ENOBUFS ? 0 : uv_translate_sys_error(errno);
}

void tcp_flush(struct tcp_connection *connection)
{
    int64_t done;

    assert(connection->magic == TCP_CONNECTION_MAGIC);
    if (connection->writing || connection->state < TCP_GREETING || connection->state > TCP_DRAINING)
        return;
    if (connection->out.size) {
        done = try_write(connection, connection->out.data, connection->out.size);
        if (done < 0) {
            tcp_end(connection, GAVEL_CLOSE_LOST, "%s: writing: %s", connection->peer, uv_strerror((int)done));
            return;
        }
        if ((uint64_t)done < connection->out.size) {
            write_rest(connection, (uint64_t)done);
            return;
        }
        connection->out.size = 0;
        if (connection->out.capacity > FRAMING_LARGE)
            gavel_buffer_free(&connection->out);
    }
    if (connection->state == TCP_DRAINING)
        finish(connection);
}

uint64_t tcp_queued(void *self, void *pointer)
{
    struct tcp_connection *connection = pointer;

    assert(connection->magic == TCP_CONNECTION_MAGIC);
    assert(self == connection->transport);
    return connection->out.size + (connection->writing ? uv_stream_get_write_queue_size(&connection->uv.stream) : 0);
}

int32_t tcp_send(void *self, void *pointer, const struct gavel_slice *parts, uint64_t count)
{
    struct tcp_connection *connection = pointer;
    const struct gavel_transport_limits *limits = &connection->transport->instance.up.limits;
    int32_t status;

    assert(connection->magic == TCP_CONNECTION_MAGIC);
    if (connection->state != TCP_OPEN)
        return GAVEL_E_CLOSED;
    if (tcp_queued(self, connection) >= limits->send_high) {
        connection->high = true;
        return GAVEL_E_BUSY;
    }
    status = framing_put(&connection->out, parts, count, limits->message_bytes);
    if (status != GAVEL_OK)
        return status;
    if (connection->out.size >= FRAMING_BATCH)
        tcp_flush(connection);
    if (connection->state == TCP_OPEN && tcp_queued(self, connection) >= limits->send_high)
        connection->high = true;
    if (connection->state == TCP_OPEN && (connection->out.size || connection->high))
        instance_mark(&connection->transport->instance, &connection->dirty);
    return GAVEL_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The other side's preamble is whole: the connection is open. */
static void open_up(struct tcp_connection *connection)
{
    struct tcp_transport *transport = connection->transport;
    const struct gavel_transport_events *events = &transport->instance.up.events;
    struct gavel_peer peer = {.size = GAVEL_END(struct gavel_peer, name_count)};

    peer.address = gavel_text(connection->peer);
    (void)uv_timer_stop(&connection->timer);
    tcp_dial_free(connection);
    tcp_move(connection, TCP_OPEN);
    connection->silence = 0;
    if (connection->dialled) {
        events->connected(events->context, connection->cookie, &peer);
        return;
    }
    /* Ours goes out with the first answer. */
    if (gavel_buffer_append(&connection->out, framing_preamble, FRAMING_PREAMBLE) != GAVEL_OK) {
        tcp_end(connection, GAVEL_CLOSE_LOST, "memory ran out");
        return;
    }
    instance_mark(&connection->transport->instance, &connection->dirty);
    connection->known = true;
    connection->cookie = events->accepted(events->context, connection, &peer);
    connection->known = connection->cookie != NULL;
    if (!connection->known)
        tcp_end(connection, GAVEL_CLOSE_NORMAL, "not wanted");
}

/* Compare what came with the preamble; the rest of the input stays. */
static void take_greeting(struct tcp_connection *connection, struct gavel_slice *input)
{
    uint64_t missing = FRAMING_PREAMBLE - connection->greeted;
    uint64_t take = input->size < missing ? input->size : missing;
    int32_t status;

    memcpy(connection->greeting + connection->greeted, input->data, (size_t)take);
    connection->greeted += take;
    input->data = (const unsigned char *)input->data + take;
    input->size -= take;
    status = framing_greet(connection->greeting, connection->greeted);
    if (status == FRAMING_MORE)
        return;
    if (status == FRAMING_MESSAGE) {
        open_up(connection);
        return;
    }
    if (!connection->dialled)
        instance_note_stranger(&connection->transport->instance, connection->peer,
                               status == GAVEL_E_VERSION ? "another version of the protocol" : "not our protocol");
    if (status == GAVEL_E_VERSION && !connection->dialled)
        (void)try_write(connection, framing_preamble, FRAMING_PREAMBLE); /* so that it can name our version */
    if (status == GAVEL_E_VERSION)
        tcp_end(connection, GAVEL_CLOSE_PROTOCOL, "%s: it speaks version %u of the protocol, this side version %u",
                connection->peer, connection->greeting[5], FRAMING_VERSION);
    else
        tcp_end(connection, GAVEL_CLOSE_PROTOCOL, "%s: what is there does not speak gavel's protocol of streams",
                connection->peer);
}

static void take_bye(struct tcp_connection *connection, struct gavel_slice payload)
{
    const unsigned char *data = payload.data;
    uint64_t reason = payload.size ? data[0] : GAVEL_CLOSE_NORMAL;
    int length = payload.size > 1 ? (int)payload.size - 1 : 0;
    char text[FRAMING_CONTROL_MAX];
    int i;

    /* The sentence comes from outside: nothing of it may break a line or colour a terminal. */
    for (i = 0; i < length; i++)
        text[i] = data[1 + i] >= ' ' && data[1 + i] != 127 ? (char)data[1 + i] : '?';
    if (reason != GAVEL_CLOSE_PROTOCOL && reason != GAVEL_CLOSE_SLOW)
        reason = GAVEL_CLOSE_NORMAL;
    tcp_end(connection, reason, "the other side closed: %.*s", length, text);
}

static void take_control(struct tcp_connection *connection, uint32_t kind, struct gavel_slice payload)
{
    if (kind == FRAMING_BYE) {
        take_bye(connection, payload);
    } else if (kind == FRAMING_PING && tcp_queued(connection->transport, connection) < PONG_QUEUE_MAX) {
        if (framing_put_control(&connection->out, FRAMING_PONG, NULL, 0) == GAVEL_OK)
            instance_mark(&connection->transport->instance, &connection->dirty);
    }
}

/* Close for a fault of the other side, and tell it so. */
static void offend(struct tcp_connection *connection, const char *why)
{
    tcp_close(connection->transport, connection, GAVEL_CLOSE_PROTOCOL, gavel_text(why));
}

static void take_messages(struct tcp_connection *connection, struct gavel_slice input)
{
    struct tcp_transport *transport = connection->transport;
    struct gavel_slice item = {NULL, 0};
    char why[128];
    uint32_t kind = 0;
    int32_t what;

    while (connection->state == TCP_OPEN) {
        what = framing_next(&connection->in, &input, &item, &kind);
        if (what == FRAMING_MORE)
            return;
        if (what == FRAMING_MESSAGE) {
            transport->instance.arrived = true;
            transport->instance.up.events.message(transport->instance.up.events.context, connection->cookie, item);
        } else if (what == FRAMING_CONTROL) {
            take_control(connection, kind, item);
        } else if (what == GAVEL_E_TOO_LARGE) {
            (void)snprintf(why, sizeof why, "a message of %llu bytes is over the limit of %llu",
                           (unsigned long long)item.size,
                           (unsigned long long)transport->instance.up.limits.message_bytes);
            offend(connection, why);
        } else {
            offend(connection, what == GAVEL_E_CORRUPT ? "the framing is broken" : "memory ran out");
        }
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct tcp_connection *connection = handle->data;
    unsigned char *room = NULL;
    uint64_t size = 0;

    (void)suggested;
    if (connection->state == TCP_OPEN)
        room = framing_room(&connection->in, &size);
    *buffer = room ? uv_buf_init((char *)room, (unsigned)size)
                   : uv_buf_init((char *)connection->transport->read, TCP_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct tcp_connection *connection = stream->data;
    struct gavel_slice input;

    assert(connection->magic == TCP_CONNECTION_MAGIC);
    if (size == 0 || connection->state == TCP_CLOSED)
        return;
    if (size < 0) {
        connection->reading = false;
        if (size == UV_EOF)
            tcp_end(connection, GAVEL_CLOSE_LOST, "%s: it ended the stream%s", connection->peer,
                    connection->state == TCP_GREETING ? " before its preamble" : "");
        else
            tcp_end(connection, GAVEL_CLOSE_LOST, "%s: reading: %s", connection->peer, uv_strerror((int)size));
        return;
    }
    connection->silence = 0;
    input = gavel_bytes(buffer->base, (uint64_t)size);
    if (buffer->base != (char *)connection->transport->read) {
        framing_filled(&connection->in, (uint64_t)size);
        input.size = 0;
    }
    if (connection->state == TCP_GREETING)
        take_greeting(connection, &input);
    if (connection->state == TCP_OPEN)
        take_messages(connection, input);
}

static void read_start(struct tcp_connection *connection)
{
    int status;

    if (connection->reading)
        return;
    status = uv_read_start(&connection->uv.stream, on_alloc, on_read);
    if (status < 0)
        tcp_end(connection, GAVEL_CLOSE_LOST, "%s: reading: %s", connection->peer, uv_strerror(status));
    else
        connection->reading = true;
}

void tcp_greet(struct tcp_connection *connection)
{
    assert(connection->state == TCP_GREETING);
    if (connection->dialled) {
        if (gavel_buffer_append(&connection->out, framing_preamble, FRAMING_PREAMBLE) != GAVEL_OK) {
            tcp_end(connection, GAVEL_CLOSE_LOST, "memory ran out");
            return;
        }
        tcp_flush(connection);
    }
    if (connection->state == TCP_GREETING)
        read_start(connection);
}

/* ---- the host's operations --------------------------------------------------------------------------------------- */

void tcp_pause(void *self, void *pointer, uint64_t on)
{
    struct tcp_connection *connection = pointer;

    assert(connection->magic == TCP_CONNECTION_MAGIC);
    assert(self == connection->transport);
    if (connection->state != TCP_OPEN || connection->paused == (on != 0))
        return;
    connection->paused = on != 0;
    if (connection->paused) {
        (void)uv_read_stop(&connection->uv.stream);
        connection->reading = false;
    } else {
        read_start(connection);
    }
    connection->silence = 0;
}

static void put_bye(struct tcp_connection *connection, uint64_t reason, struct gavel_slice why)
{
    unsigned char payload[FRAMING_CONTROL_MAX];
    uint64_t length = why.size < sizeof payload - 1 ? why.size : sizeof payload - 1;

    payload[0] = (unsigned char)reason;
    if (length)
        memcpy(payload + 1, why.data, (size_t)length);
    (void)framing_put_control(&connection->out, FRAMING_BYE, payload, 1 + length);
}

void tcp_close(void *self, void *pointer, uint64_t reason, struct gavel_slice why)
{
    struct tcp_connection *connection = pointer;
    int length = why.size < 200 ? (int)why.size : 200;
    bool at_once = reason == GAVEL_CLOSE_PROTOCOL || reason == GAVEL_CLOSE_SLOW;

    assert(connection->magic == TCP_CONNECTION_MAGIC);
    assert(self == connection->transport);
    if (connection->state < TCP_OPEN) {
        tcp_end(connection, reason, "%.*s", length, (const char *)why.data);
        return;
    }
    if (connection->state != TCP_OPEN)
        return;
    connection->reason = reason ? reason : GAVEL_CLOSE_NORMAL;
    (void)snprintf(connection->why, sizeof connection->why, "%.*s", length, why.size ? (const char *)why.data : "");
    if (at_once) {
        /* Nobody wants the rest of the queue. The host hears now; the other side gets a sentence if it still reads. */
        tell_later(connection);
        if (connection->writing) {
            tcp_end(connection, reason, "%s", connection->why);
            return;
        }
        connection->out.size = 0;
    }
    put_bye(connection, reason, why);
    tcp_move(connection, TCP_DRAINING);
    (void)uv_timer_start(&connection->timer, on_timer, TCP_LINGER_MS, 0);
    framing_in_free(&connection->in);
    read_start(connection);
    if (connection->state == TCP_DRAINING)
        instance_mark(&connection->transport->instance, &connection->dirty);
}

static void ping(struct tcp_connection *connection)
{
    if (tcp_queued(connection->transport, connection) >= PONG_QUEUE_MAX)
        return; /* the queue itself will show whether the other side lives */
    if (framing_put_control(&connection->out, FRAMING_PING, NULL, 0) == GAVEL_OK)
        instance_mark(&connection->transport->instance, &connection->dirty);
}

void tcp_connection_sweep(struct tcp_connection *connection)
{
    struct tcp_transport *transport = connection->transport;

    if (connection->state != TCP_OPEN)
        return;
    connection->silence++;
    if (connection->silence == transport->instance.sweeps ||
        (connection->paused && connection->silence % transport->instance.sweeps == 0))
        ping(connection);
    if (connection->paused)
        return; /* we do not read, so its answers do not count; but it hears from us */
    if (connection->silence >= 2 * transport->instance.sweeps) {
        tcp_end(connection, GAVEL_CLOSE_LOST, "no sign of life from %s for %llu ms", connection->peer,
                (unsigned long long)(2 * transport->instance.up.limits.keepalive_ms));
        return;
    }
    if (connection->silence < 2)
        return;
    framing_in_trim(&connection->in);
    if (connection->out.size == 0 && connection->out.capacity > FRAMING_KEEP)
        gavel_buffer_free(&connection->out);
    if (!connection->writing)
        gavel_buffer_free(&connection->flying);
}
