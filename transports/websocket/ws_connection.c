/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_connection.c - one connection, from its handshake to its end.
 *
 * Writing goes straight to the socket. libwebsockets would rather be asked first (callback_on_writable), but on libuv
 * that costs four epoll_ctl and one more wake-up a write. Its lws_write takes a frame at any time between two frames;
 * what the system does not take it keeps, and it calls when that is gone: until then nothing more is written.
 */
#include "ws.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CODE_NORMAL 1000u
#define CODE_PROTOCOL 1002u
#define CODE_TOO_LARGE 1009u
#define CODE_SLOW 1013u

/* A close frame has 125 bytes at the most, two of them the code. */
#define CLOSE_TEXT_MAX 123u

/* What may follow what. */
static const bool moves[WS_STATES][WS_STATES] = {
    [WS_RESOLVING] = {[WS_DIALLING] = true, [WS_CLOSED] = true},
    [WS_DIALLING] = {[WS_OPEN] = true, [WS_CLOSED] = true},
    [WS_SHAKING] = {[WS_HTTP] = true, [WS_OPEN] = true, [WS_CLOSED] = true},
    [WS_HTTP] = {[WS_OPEN] = true, [WS_CLOSED] = true},
    [WS_OPEN] = {[WS_DRAINING] = true, [WS_CLOSING] = true, [WS_CLOSED] = true},
    [WS_DRAINING] = {[WS_CLOSING] = true, [WS_CLOSED] = true},
    [WS_CLOSING] = {[WS_CLOSED] = true},
};

void ws_move(struct ws_connection *connection, enum ws_state state)
{
    assert(connection->magic == WS_CONNECTION_MAGIC);
    assert(moves[connection->state][state]);
    connection->state = state;
    assert(state <= WS_OPEN || connection->reason);
    assert(state != WS_OPEN || !connection->dial);
}

static void on_timer(uv_timer_t *timer)
{
    struct ws_connection *connection = timer->data;

    assert(connection->magic == WS_CONNECTION_MAGIC);
    if (connection->state == WS_HTTP)
        ws_end(connection, GAVEL_CLOSE_TIMEOUT, "idle");
    else
        ws_end(connection, GAVEL_CLOSE_TIMEOUT, "no answer from %s within %llu ms", connection->peer,
               (unsigned long long)connection->transport->instance.up.limits.dial_ms);
}

void ws_timer(struct ws_connection *connection, uint64_t milliseconds)
{
    (void)uv_timer_start(&connection->timer, on_timer, milliseconds, 0);
}

struct ws_connection *ws_connection_new(struct ws_transport *transport, enum ws_state state)
{
    struct ws_connection *connection = calloc(1, sizeof *connection);

    if (!connection)
        return NULL;
    connection->magic = WS_CONNECTION_MAGIC;
    connection->state = state;
    connection->transport = transport;
    connection->out.heap = transport->instance.host->heap;
    framing_in_init(&connection->in, transport->instance.host->heap, transport->instance.up.limits.message_bytes);
    LIST_INSERT_HEAD(&transport->connections, connection, all);
    (void)uv_timer_init(transport->instance.loop, &connection->timer);
    connection->timer.data = connection;
    connection->timer_open = true;
    ws_timer(connection, transport->instance.up.limits.dial_ms);
    instance_sweep(&transport->instance);
    return connection;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void look_when_the_turn_ends(struct ws_connection *connection)
{
    struct ws_transport *transport = connection->transport;

    if (connection->is_ended)
        return;
    TAILQ_INSERT_TAIL(&transport->ended, connection, ended);
    connection->is_ended = true;
    instance_mark(&connection->transport->instance, &connection->dirty); /* so that the turn does end */
}

void ws_end(struct ws_connection *connection, uint64_t reason, const char *format, ...)
{
    va_list arguments;

    assert(connection->magic == WS_CONNECTION_MAGIC);
    assert(reason);
    if (connection->state == WS_CLOSED)
        return;
    if (!connection->reason) {
        connection->reason = reason;
        va_start(arguments, format);
        (void)vsnprintf(connection->why, sizeof connection->why, format, arguments);
        va_end(arguments);
    }
    ws_dial_free(connection);
    ws_move(connection, WS_CLOSED);
    look_when_the_turn_ends(connection);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct ws_connection *connection = handle->data;

    connection->timer_open = false;
    ws_connection_gone(connection);
}

void ws_connection_gone(struct ws_connection *connection)
{
    struct ws_transport *transport = connection->transport;

    assert(connection->state == WS_CLOSED);
    if (connection->timer_open || ws_dial_busy(connection))
        return;
    assert(!connection->dirty.set);
    assert(!connection->is_ended);
    assert(!connection->wsi);
    LIST_REMOVE(connection, all);
    if (!connection->dialled)
        transport->instance.accepted--;
    gavel_buffer_free(&connection->out);
    framing_in_free(&connection->in);
    ws_dial_free(connection);
    connection->magic = 0;
    free(connection);
    instance_quiesce_step(&transport->instance);
}

/* Not politely: both directions are shut, so that nothing that libwebsockets still holds can keep it. */
static void kill_wsi(struct ws_connection *connection)
{
    struct lws *wsi = connection->wsi;
    int fd;

    ws_slot_drop(connection); /* its callbacks find nobody any more */
    connection->wsi = NULL;
    if (!wsi)
        return;
    fd = lws_get_socket_fd(wsi);
    if (fd >= 0)
        (void)shutdown(fd, SHUT_RDWR);
    lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

void ws_finish(struct ws_connection *connection)
{
    struct ws_transport *transport = connection->transport;

    assert(connection->is_ended);
    TAILQ_REMOVE(&transport->ended, connection, ended);
    connection->is_ended = false;
    if (connection->state == WS_CLOSED) {
        /* A write that failed in this very turn has put it there again. */
        instance_unmark(&transport->instance, &connection->dirty);
        kill_wsi(connection);
        ws_http_gone(connection);
        uv_close((uv_handle_t *)&connection->timer, on_timer_closed);
    }
    if (!connection->known || connection->told)
        return;
    connection->told = true;
    transport->instance.up.events.closed(transport->instance.up.events.context, connection->cookie, connection->reason,
                                gavel_text(connection->why));
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

uint64_t ws_queued(void *self, void *pointer)
{
    struct ws_connection *connection = pointer;

    assert(connection->magic == WS_CONNECTION_MAGIC);
    assert(self == connection->transport);
    return connection->out.size - connection->head + (connection->waiting ? connection->held : 0);
}

/* How much of the queue makes the next frame: whole messages up to WS_FRAME_MAX, but one at least. */
static uint64_t next_frame(const struct ws_connection *connection)
{
    uint64_t left = connection->out.size - connection->head;
    uint64_t size = 0;
    uint64_t next;

    if (left <= WS_FRAME_MAX)
        return left;
    while (size < left) {
        next = FRAMING_HEADER + framing_get32(connection->out.data + connection->head + size);
        if (size && size + next > WS_FRAME_MAX)
            break;
        size += next;
    }
    return size;
}

static bool write_piece(struct ws_connection *connection)
{
    int flags = LWS_WRITE_CONTINUATION;
    uint64_t piece;
    int done;

    if (connection->frame_left == 0) {
        connection->frame_left = next_frame(connection);
        flags = LWS_WRITE_BINARY;
    }
    piece = connection->frame_left < WS_FRAME_MAX ? connection->frame_left : WS_FRAME_MAX;
    if (piece < connection->frame_left)
        flags |= LWS_WRITE_NO_FIN;
    done = lws_write(connection->wsi, connection->out.data + connection->head, (size_t)piece,
                     (enum lws_write_protocol)flags);
    if (done < 0) {
        ws_end(connection, GAVEL_CLOSE_LOST, "%s: writing failed", connection->peer);
        return false;
    }
    connection->head += piece;
    connection->frame_left -= piece;
    connection->waiting = lws_partial_buffered(connection->wsi);
    connection->held = piece;
    return true;
}

/* The bytes that are sent make room again. */
static void compact(struct ws_connection *connection)
{
    uint64_t left = connection->out.size - connection->head;

    if (left == 0 && connection->out.capacity > FRAMING_LARGE) {
        gavel_buffer_free(&connection->out);
        connection->head = 0;
    } else if (left == 0) {
        connection->out.size = connection->out.size ? LWS_PRE : 0;
        connection->head = connection->out.size;
    } else if (connection->head > left + LWS_PRE) {
        memcpy(connection->out.data + LWS_PRE, connection->out.data + connection->head, (size_t)left);
        connection->head = LWS_PRE;
        connection->out.size = LWS_PRE + left;
    }
}

/* Queue is empty: say goodbye. libwebsockets sends the close frame and waits for the answer. */
static void say_goodbye(struct ws_connection *connection)
{
    size_t length = strlen(connection->why);

    length = length < CLOSE_TEXT_MAX ? length : CLOSE_TEXT_MAX;
    ws_move(connection, WS_CLOSING);
    if (connection->paused)
        (void)lws_rx_flow_control(connection->wsi, 1);
    lws_close_reason(connection->wsi, (enum lws_close_status)connection->code, (unsigned char *)connection->why,
                     length);
    lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

void ws_flush(struct ws_connection *connection)
{
    assert(connection->magic == WS_CONNECTION_MAGIC);
    assert(connection->transport->inside == 0);
    if (connection->state == WS_RESOLVING)
        ws_dial_go(connection);
    if ((connection->state != WS_OPEN && connection->state != WS_DRAINING) || !connection->wsi)
        return;
    while (!connection->waiting && connection->head < connection->out.size)
        if (!write_piece(connection))
            return;
    compact(connection);
    if (connection->state == WS_DRAINING && !connection->waiting)
        say_goodbye(connection);
}

void ws_tell_drained(struct ws_connection *connection)
{
    struct upcalls *up = &connection->transport->instance.up;

    if (!connection->high || connection->state != WS_OPEN)
        return;
    if (ws_queued(connection->transport, connection) >= up->limits.send_high / 4)
        return;
    connection->high = false;
    if (up->events.drained)
        up->events.drained(up->events.context, connection->cookie);
}

int32_t ws_send(void *self, void *pointer, const struct gavel_slice *parts, uint64_t count)
{
    static const unsigned char room[LWS_PRE];
    struct ws_connection *connection = pointer;
    const struct gavel_transport_limits *limits = &connection->transport->instance.up.limits;
    int32_t status;

    assert(connection->magic == WS_CONNECTION_MAGIC);
    if (connection->state != WS_OPEN)
        return GAVEL_E_CLOSED;
    if (ws_queued(self, connection) >= limits->send_high) {
        connection->high = true;
        return GAVEL_E_BUSY;
    }
    if (connection->out.size == 0) {
        if (gavel_buffer_append(&connection->out, room, sizeof room) != GAVEL_OK)
            return GAVEL_E_NO_MEMORY;
        connection->head = LWS_PRE;
    }
    status = framing_put(&connection->out, parts, count, limits->message_bytes);
    if (status != GAVEL_OK)
        return status;
    if (connection->out.size - connection->head >= FRAMING_BATCH && connection->transport->inside == 0)
        ws_flush(connection);
    if (connection->state == WS_OPEN && ws_queued(self, connection) >= limits->send_high)
        connection->high = true;
    if (connection->state == WS_OPEN && (connection->head < connection->out.size || connection->high))
        instance_mark(&connection->transport->instance, &connection->dirty);
    return GAVEL_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

void ws_open_up(struct ws_connection *connection)
{
    struct ws_transport *transport = connection->transport;
    const struct gavel_transport_events *events = &transport->instance.up.events;
    struct gavel_peer peer = {.size = GAVEL_END(struct gavel_peer, name_count)};

    if (connection->state == WS_CLOSED)
        return;
    peer.address = gavel_text(connection->peer);
    (void)uv_timer_stop(&connection->timer);
    ws_dial_free(connection);
    ws_move(connection, WS_OPEN);
    connection->silence = 0;
    if (connection->dialled) {
        events->connected(events->context, connection->cookie, &peer);
        return;
    }
    connection->known = true;
    connection->cookie = events->accepted(events->context, connection, &peer);
    connection->known = connection->cookie != NULL;
    if (!connection->known)
        ws_end(connection, GAVEL_CLOSE_NORMAL, "not wanted");
}

static void offend(struct ws_connection *connection, uint64_t code, const char *why)
{
    ws_close(connection->transport, connection, GAVEL_CLOSE_PROTOCOL, gavel_text(why));
    connection->code = code;
}

void ws_take(struct ws_connection *connection, const void *data, uint64_t size, bool whole)
{
    struct ws_transport *transport = connection->transport;
    struct gavel_slice input = gavel_bytes(data, size);
    struct gavel_slice item = {NULL, 0};
    char why[128];
    uint32_t kind = 0;
    int32_t what;

    while (connection->state == WS_OPEN) {
        what = framing_next(&connection->in, &input, &item, &kind);
        if (what == FRAMING_MORE) {
            if (whole && !framing_in_border(&connection->in))
                offend(connection, CODE_PROTOCOL, "a frame ends within a message");
            return;
        }
        if (what == FRAMING_MESSAGE) {
            transport->instance.arrived = true;
            transport->instance.up.events.message(transport->instance.up.events.context, connection->cookie, item);
        } else if (what == GAVEL_E_TOO_LARGE) {
            (void)snprintf(why, sizeof why, "a message of %llu bytes is over the limit of %llu",
                           (unsigned long long)item.size,
                           (unsigned long long)transport->instance.up.limits.message_bytes);
            offend(connection, CODE_TOO_LARGE, why);
        } else {
            offend(connection, CODE_PROTOCOL, what == GAVEL_E_NO_MEMORY ? "memory ran out" : "the framing is broken");
        }
    }
}

/* ---- the host's operations --------------------------------------------------------------------------------------- */

void ws_pause(void *self, void *pointer, uint64_t on)
{
    struct ws_connection *connection = pointer;

    assert(connection->magic == WS_CONNECTION_MAGIC);
    assert(self == connection->transport);
    if (connection->state != WS_OPEN || connection->paused == (on != 0) || !connection->wsi)
        return;
    connection->paused = on != 0;
    connection->silence = 0;
    (void)lws_rx_flow_control(connection->wsi, !connection->paused);
}

void ws_close(void *self, void *pointer, uint64_t reason, struct gavel_slice why)
{
    struct ws_connection *connection = pointer;
    int length = why.size < 200 ? (int)why.size : 200;
    bool at_once = reason == GAVEL_CLOSE_PROTOCOL || reason == GAVEL_CLOSE_SLOW;

    assert(connection->magic == WS_CONNECTION_MAGIC);
    assert(self == connection->transport);
    reason = reason ? reason : GAVEL_CLOSE_NORMAL;
    if (connection->state < WS_OPEN) {
        ws_end(connection, reason, "%.*s", length, why.size ? (const char *)why.data : "");
        return;
    }
    if (connection->state != WS_OPEN)
        return;
    connection->reason = reason;
    connection->code = reason == GAVEL_CLOSE_PROTOCOL ? CODE_PROTOCOL
                       : reason == GAVEL_CLOSE_SLOW   ? CODE_SLOW
                                                      : CODE_NORMAL;
    (void)snprintf(connection->why, sizeof connection->why, "%.*s", length, why.size ? (const char *)why.data : "");
    if (at_once && (connection->waiting || connection->frame_left || !connection->wsi)) {
        ws_end(connection, reason, "%s", connection->why);
        return;
    }
    ws_move(connection, WS_DRAINING);
    ws_timer(connection, WS_LINGER_MS);
    if (at_once) {
        /* Nobody wants the rest of the queue. The host hears now; the other side gets a close frame if it reads. */
        connection->head = connection->out.size;
        look_when_the_turn_ends(connection);
    }
    instance_mark(&connection->transport->instance, &connection->dirty);
}

/* A ping asks for an answer; a pong of our own accord only says that we live. One byte each, so that it is told. */
static void say_alive(struct ws_connection *connection, enum lws_write_protocol kind)
{
    unsigned char frame[LWS_PRE + 1] = {0};

    if (connection->waiting || connection->frame_left || !connection->wsi)
        return; /* the queue itself will show whether the other side lives */
    if (lws_write(connection->wsi, frame + LWS_PRE, 1, kind) < 0)
        ws_end(connection, GAVEL_CLOSE_LOST, "%s: writing failed", connection->peer);
    else
        connection->waiting = lws_partial_buffered(connection->wsi);
}

void ws_connection_sweep(struct ws_connection *connection)
{
    struct ws_transport *transport = connection->transport;

    if (connection->state != WS_OPEN)
        return;
    connection->silence++;
    if (connection->silence == transport->instance.sweeps ||
        (connection->paused && connection->silence % transport->instance.sweeps == 0))
        say_alive(connection, connection->paused ? LWS_WRITE_PONG : LWS_WRITE_PING);
    if (connection->paused)
        return; /* we do not read, so its answers do not count; but it hears from us */
    if (connection->silence >= 2 * transport->instance.sweeps) {
        ws_end(connection, GAVEL_CLOSE_LOST, "no sign of life from %s for %llu ms", connection->peer,
               (unsigned long long)(2 * transport->instance.up.limits.keepalive_ms));
        return;
    }
    if (connection->silence < 2)
        return;
    framing_in_trim(&connection->in);
    if (connection->head == connection->out.size && connection->out.capacity > FRAMING_KEEP) {
        gavel_buffer_free(&connection->out);
        connection->head = 0;
    }
}
