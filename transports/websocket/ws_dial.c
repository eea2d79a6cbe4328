/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_dial.c - from a URI to an upgraded connection: the lookup of a name, then one address after the other, within the
 * dial's one time-out. libwebsockets does not say why an address could not be reached, but "refused" is the base of
 * fast failover and must be certain: so a failed attempt is followed by a bare connect of our own, which tells.
 */
#include "ws.h"

#include <assert.h>
#include <stdlib.h>

static void dial_next(struct ws_connection *connection);
static void on_probe_closed(uv_handle_t *handle);

bool ws_dial_busy(const struct ws_connection *connection)
{
    return connection->dial && connection->dial->probe_open;
}

void ws_dial_free(struct ws_connection *connection)
{
    struct ws_dial *dial = connection->dial;

    if (!dial)
        return;
    lookup_forget(dial->lookup);
    dial->lookup = NULL;
    if (dial->probe_open) {
        if (!uv_is_closing((uv_handle_t *)&dial->probe))
            uv_close((uv_handle_t *)&dial->probe, on_probe_closed); /* which frees the rest */
        return;
    }
    connection->dial = NULL;
    free(dial);
}

/* An address has failed for good: the next one, or the end. */
static void address_failed(struct ws_connection *connection)
{
    struct ws_dial *dial = connection->dial;

    if (dial->next < dial->found_count)
        dial_next(connection);
    else if (dial->refused)
        ws_end(connection, GAVEL_CLOSE_REFUSED, "%s: nobody listens there", connection->peer);
    else
        ws_end(connection, GAVEL_CLOSE_LOST, "%s: %s", connection->peer, dial->note);
}

static void on_probe_closed(uv_handle_t *handle)
{
    struct ws_connection *connection = handle->data;

    assert(connection->magic == WS_CONNECTION_MAGIC);
    connection->dial->probe_open = false;
    if (connection->state == WS_CLOSED)
        ws_connection_gone(connection);
    else
        address_failed(connection);
}

static void on_probe(uv_connect_t *request, int status)
{
    struct ws_connection *connection = request->handle->data;

    if (connection->state == WS_CLOSED)
        return; /* its handle is closing */
    if (status != UV_ECONNREFUSED)
        connection->dial->refused = false;
    if (status < 0)
        (void)snprintf(connection->dial->note, sizeof connection->dial->note, "%s", uv_strerror(status));
    uv_close((uv_handle_t *)&connection->dial->probe, on_probe_closed);
}

/* Ask why libwebsockets could not reach the address. */
static void probe(struct ws_connection *connection)
{
    struct ws_dial *dial = connection->dial;
    const struct sockaddr *address = (const struct sockaddr *)&dial->found[dial->next - 1];
    int status;

    (void)uv_tcp_init(connection->transport->instance.loop, &dial->probe);
    dial->probe.data = connection;
    dial->probe_open = true;
    status = uv_tcp_connect(&dial->connect, &dial->probe, address, on_probe);
    if (status == 0)
        return;
    dial->refused = false;
    (void)snprintf(dial->note, sizeof dial->note, "%s", uv_strerror(status));
    uv_close((uv_handle_t *)&dial->probe, on_probe_closed);
}

void ws_dial_failed(struct ws_connection *connection, const char *note)
{
    struct ws_dial *dial = connection->dial;

    if (!dial || dial->failed)
        return;
    dial->failed = true;
    (void)snprintf(dial->note, sizeof dial->note, "%s", note[0] ? note : "the connection could not be made");
    if (dial->inside)
        return; /* dial_next goes on when libwebsockets' call has returned */
    ws_slot_drop(connection);
    connection->wsi = NULL;
    if (!dial->reached)
        probe(connection);
    else if (strncmp(dial->note, "HS:", 3) == 0)
        ws_end(connection, GAVEL_CLOSE_PROTOCOL, "%s: what is there does not speak gavel's protocol on websockets: %s",
               connection->peer, dial->note);
    else
        ws_end(connection, GAVEL_CLOSE_LOST, "%s: %s", connection->peer, dial->note);
}

static void dial_next(struct ws_connection *connection)
{
    struct ws_transport *transport = connection->transport;
    struct ws_dial *dial = connection->dial;
    struct lws_client_connect_info info;
    struct lws *wsi = NULL;
    char numeric[64];
    char host[ADDRESS_HOST_MAX + 16];
    const struct sockaddr *address = (const struct sockaddr *)&dial->found[dial->next];

    assert(connection->state == WS_DIALLING);
    assert(dial->next < dial->found_count);
    dial->next++;
    dial->failed = false;
    dial->reached = false;
    if (uv_inet_ntop(address->sa_family,
                     address->sa_family == AF_INET6
                         ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr
                         : (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr,
                     numeric, sizeof numeric) < 0 || !ws_slot_renew(connection)) {
        ws_end(connection, GAVEL_CLOSE_LOST, "%s: memory ran out", connection->peer);
        return;
    }
    (void)snprintf(host, sizeof host, dial->address.v6 ? "[%s]:%u" : "%s:%u", dial->address.host,
                   (unsigned)dial->address.port);
    memset(&info, 0, sizeof info);
    info.context = transport->context;
    info.vhost = transport->client;
    info.address = numeric;
    info.port = dial->address.port;
    info.path = dial->address.path;
    info.host = host;
    info.protocol = WS_SUBPROTOCOL;
    info.ietf_version_or_minus_one = -1;
    info.opaque_user_data = (void *)(uintptr_t)connection->slot;
    info.retry_and_idle_policy = NULL;
    info.alpn = "http/1.1";
    info.pwsi = &wsi;
    dial->inside = true;
    wsi = lws_client_connect_via_info(&info);
    dial->inside = false;
    if (wsi && !dial->failed) {
        connection->wsi = wsi;
        return;
    }
    dial->failed = false;
    ws_dial_failed(connection, wsi ? dial->note : "the connection could not be made");
}

void ws_dial_go(struct ws_connection *connection)
{
    if (connection->dial->found_count == 0)
        return; /* the lookup goes on */
    ws_move(connection, WS_DIALLING);
    dial_next(connection);
}

static void on_lookup(void *context, int status, const struct sockaddr_storage *found, uint64_t count)
{
    struct ws_connection *connection = context;
    struct ws_dial *dial = connection->dial;

    assert(connection->magic == WS_CONNECTION_MAGIC);
    dial->lookup = NULL;
    if (status < 0) {
        ws_end(connection, GAVEL_CLOSE_UNRESOLVED, "%s: %s", connection->peer, uv_strerror(status));
        return;
    }
    memcpy(dial->found, found, count * sizeof *found);
    dial->found_count = count;
    ws_move(connection, WS_DIALLING);
    dial_next(connection);
}

static int32_t dial_begin(struct ws_connection *connection, struct gavel_error *error)
{
    struct ws_dial *dial = connection->dial;
    int status;

    if (dial->address.literal) {
        /* Not now: we may be inside a callback, whose data lies in the buffer that a handshake is written to. */
        dial->found[dial->found_count++] = dial->address.socket;
        instance_mark(&connection->transport->instance, &connection->dirty);
        return GAVEL_OK;
    }
    status = lookup_start(connection->transport->instance.loop, dial->address.host, dial->address.port, on_lookup,
                          connection, &dial->lookup);
    return status < 0 ? gavel_fail(error, GAVEL_E_IO, "%s: %s", connection->peer, uv_strerror(status)) : GAVEL_OK;
}

int32_t ws_connect(void *self, struct gavel_slice uri, void *cookie, void **result, struct gavel_error *error)
{
    struct ws_transport *transport = self;
    struct ws_connection *connection;
    struct ws_dial *dial;
    int32_t status;

    assert(transport->magic == WS_TRANSPORT_MAGIC);
    if (instance_running(&transport->instance, error) != GAVEL_OK)
        return GAVEL_E_STATE;
    dial = calloc(1, sizeof *dial);
    if (!dial)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory ran out");
    status = address_parse(uri, "ws", &dial->address, error);
    if (status == GAVEL_OK)
        status = ws_context_need(transport, error);
    connection = status == GAVEL_OK ? ws_connection_new(transport, WS_RESOLVING) : NULL;
    if (!connection) {
        free(dial);
        return status != GAVEL_OK ? status : gavel_fail(error, GAVEL_E_NO_MEMORY, "memory ran out");
    }
    dial->refused = true;
    connection->dial = dial;
    connection->dialled = true;
    (void)snprintf(connection->peer, sizeof connection->peer, "%.*s", uri.size < 150 ? (int)uri.size : 150,
                   (const char *)uri.data);
    status = dial_begin(connection, error);
    if (status != GAVEL_OK) {
        ws_end(connection, GAVEL_CLOSE_LOST, "not dialled"); /* the host does not know it: nothing is told */
        return status;
    }
    connection->cookie = cookie;
    connection->known = true;
    *result = connection;
    return GAVEL_OK;
}
