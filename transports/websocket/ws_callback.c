/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_callback.c - what libwebsockets says, handed to whom it concerns. Its callbacks decide nothing themselves; a
 * return of -1 has libwebsockets close the connection.
 */
#include "ws.h"

#include <assert.h>

/* Codes of close frames (RFC 6455, 7.4.1, and the registry: 1013 try again later). */
#define CODE_NORMAL 1000u
#define CODE_GOING 1001u
#define CODE_SLOW 1013u

/* Its wsi is dead or dying, without our asking for it. */
static void wsi_gone(struct ws_connection *connection, const char *why)
{
    connection->wsi = NULL;
    if (connection->state == WS_HTTP || connection->state == WS_SHAKING)
        ws_end(connection, GAVEL_CLOSE_NORMAL, "%s", why);
    else
        ws_end(connection, GAVEL_CLOSE_LOST, "%s: %s", connection->peer, why);
}

/* The other side's close frame: two bytes of code, then a sentence. */
static void take_close(struct ws_connection *connection, const unsigned char *data, size_t size)
{
    uint32_t code = size >= 2 ? (uint32_t)data[0] << 8 | data[1] : CODE_NORMAL;
    uint64_t reason = GAVEL_CLOSE_PROTOCOL;
    char text[128];
    size_t length = 0;
    size_t i;

    /* The sentence comes from outside: nothing of it may break a line or colour a terminal. */
    for (i = 2; i < size && length < sizeof text - 1; i++)
        text[length++] = data[i] >= ' ' && data[i] != 127 ? (char)data[i] : '?';
    text[length] = 0;
    if (connection->state == WS_DRAINING)
        ws_move(connection, WS_CLOSING);
    if (connection->state == WS_CLOSING)
        return; /* ours crossed it, or is answered */
    if (code == CODE_NORMAL || code == CODE_GOING || code >= 3000)
        reason = GAVEL_CLOSE_NORMAL;
    else if (code == CODE_SLOW)
        reason = GAVEL_CLOSE_SLOW;
    if (!connection->reason) {
        connection->reason = reason;
        (void)snprintf(connection->why, sizeof connection->why, "the other side closed (%u): %s", code, text);
    }
    /* libwebsockets answers and closes by itself. */
    if (connection->state == WS_OPEN) {
        ws_move(connection, WS_CLOSING);
        ws_timer(connection, WS_LINGER_MS);
    }
}

static int take(struct lws *wsi, struct ws_connection *connection, const void *data, size_t size)
{
    connection->silence = 0;
    if (connection->state != WS_OPEN)
        return 0; /* closing: nobody listens any more */
    if (!lws_frame_is_binary(wsi)) {
        ws_close(connection->transport, connection, GAVEL_CLOSE_PROTOCOL, gavel_text("a text message"));
        return 0;
    }
    ws_take(connection, data, size, lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0);
    return 0;
}

static int on_client(struct ws_connection *connection, enum lws_callback_reasons reason, const void *in, size_t size)
{
    char note[128];

    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        if (connection->dial)
            connection->dial->reached = true;
        return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        ws_open_up(connection);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        (void)snprintf(note, sizeof note, "%.*s", in ? (int)(size < 120 ? size : 120) : 0, in ? (const char *)in : "");
        connection->wsi = NULL;
        ws_dial_failed(connection, note);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        wsi_gone(connection, "it ended the connection");
        return 0;
    default:
        return 0;
    }
}

static int on_server(struct ws_connection *connection, enum lws_callback_reasons reason, const void *in, size_t size)
{
    switch ((int)reason) {
    case LWS_CALLBACK_ESTABLISHED:
        ws_open_up(connection);
        return 0;
    case LWS_CALLBACK_HTTP:
        return ws_http_head(connection, in, size);
    case LWS_CALLBACK_HTTP_BODY:
        return ws_http_body(connection, in, size);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return ws_http_complete(connection);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return ws_http_write(connection);
    case LWS_CALLBACK_CLOSED:
        wsi_gone(connection, "it ended the connection");
        return 0;
    case LWS_CALLBACK_CLOSED_HTTP:
        wsi_gone(connection, "it ended the connection before an upgrade");
        return 0;
    default:
        return 0;
    }
}

/* Reasons that concern a connection of ours. */
static int dispatch(struct lws *wsi, struct ws_connection *connection, enum lws_callback_reasons reason, void *in,
                    size_t size)
{
    switch ((int)reason) {
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return take(wsi, connection, in, size);
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        /* What libwebsockets held back is gone: that is a sign of life, and the end of the turn goes on writing. */
        connection->waiting = false;
        connection->silence = 0;
        instance_mark(&connection->transport->instance, &connection->dirty);
        return 0;
    case LWS_CALLBACK_RECEIVE_PONG:
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        connection->silence = 0;
        return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        take_close(connection, in, size);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        if (connection->dial)
            ws_dial_failed(connection, "the connection attempt ended");
        else
            wsi_gone(connection, "it is gone");
        return 0;
    default:
        return connection->dialled ? on_client(connection, reason, in, size)
                                   : on_server(connection, reason, in, size);
    }
}

/* Reasons that give something to somebody: without a connection of ours to take it, the wsi must go. */
static bool needs_owner(enum lws_callback_reasons reason)
{
    switch ((int)reason) {
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
    case LWS_CALLBACK_CLIENT_RECEIVE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
    case LWS_CALLBACK_HTTP:
    case LWS_CALLBACK_HTTP_BODY:
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
    case LWS_CALLBACK_HTTP_WRITEABLE:
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return true;
    default:
        return false;
    }
}

int ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size)
{
    struct ws_connection *connection;
    struct ws_transport *transport;
    const struct lws_protocols *protocol;
    int result;

    (void)user;
    if (reason == LWS_CALLBACK_OPENSSL_PERFORM_CLIENT_CERT_VERIFICATION)
        return size ? 0 : 1; /* its return value replaces OpenSSL's verdict, which is in `size` */
    if (reason == LWS_CALLBACK_HTTP_CONFIRM_UPGRADE || reason == LWS_CALLBACK_GET_THREAD_ID || !wsi)
        return 0; /* the first is never handled: CVE-2025-11677 */
    transport = lws_context_user(lws_get_context(wsi));
    if (reason == LWS_CALLBACK_WSI_DESTROY)
        ws_context_forget(transport, wsi);
    connection = ws_slot_find(transport, (uint64_t)(uintptr_t)lws_get_opaque_user_data(wsi));
    if (reason == LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION) {
        protocol = lws_get_protocol(wsi);
        if (connection && protocol && strcmp(protocol->name, WS_SUBPROTOCOL) == 0)
            return 0;
        if (connection)
            instance_note_stranger(&connection->transport->instance, connection->peer,
                                   "a websocket without the subprotocol " WS_SUBPROTOCOL);
        return 1;
    }
    if (!connection)
        return needs_owner(reason) ? -1 : 0;
    assert(connection->magic == WS_CONNECTION_MAGIC);
    if (connection->wsi != wsi && connection->wsi)
        return needs_owner(reason) ? -1 : 0;
    transport->inside++;
    result = dispatch(wsi, connection, reason, in, size);
    transport->inside--;
    return connection->state == WS_CLOSED && connection->wsi && needs_owner(reason) ? -1 : result;
}
