/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_dial.c - from a URI to a connected stream: the lookup of a name, then one address after the other, within the
 * dial's one time-out. "Refused" is said only when every address was: it is the base of fast failover.
 */
#include "tcp.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/un.h>

static void dial_next(struct tcp_connection *connection);

void tcp_dial_free(struct tcp_connection *connection)
{
    struct tcp_dial *dial = connection->dial;

    if (!dial)
        return;
    lookup_forget(dial->lookup);
    connection->dial = NULL;
    free(dial);
}

static void on_attempt_closed(uv_handle_t *handle)
{
    struct tcp_connection *connection = handle->data;

    connection->stream_open = false;
    connection->retrying = false;
    if (connection->state == TCP_CLOSED)
        tcp_connection_gone(connection);
    else
        dial_next(connection);
}

/* One address failed with `status`: try the next, or end. */
static void attempt_failed(struct tcp_connection *connection, int status)
{
    struct tcp_dial *dial = connection->dial;

    if (status != UV_ECONNREFUSED && status != UV_ENOENT)
        dial->refused = false;
    if (dial->next < dial->found_count) {
        connection->retrying = true;
        uv_close(&connection->uv.handle, on_attempt_closed);
        return;
    }
    if (dial->refused)
        tcp_end(connection, GAVEL_CLOSE_REFUSED, "%s: nobody listens there", connection->peer);
    else if (status == UV_ETIMEDOUT)
        tcp_end(connection, GAVEL_CLOSE_TIMEOUT, "%s: %s", connection->peer, uv_strerror(status));
    else
        tcp_end(connection, GAVEL_CLOSE_LOST, "%s: %s", connection->peer, uv_strerror(status));
}

static void on_connect(uv_connect_t *request, int status)
{
    struct tcp_connection *connection = request->handle->data;

    assert(connection->magic == TCP_CONNECTION_MAGIC);
    if (connection->state == TCP_CLOSED || connection->retrying)
        return;
    if (status < 0) {
        attempt_failed(connection, status);
        return;
    }
    tcp_move(connection, TCP_GREETING);
    tcp_greet(connection);
}

static void dial_next(struct tcp_connection *connection)
{
    struct tcp_dial *dial = connection->dial;
    const struct sockaddr *address = (const struct sockaddr *)&dial->found[dial->next];
    int status;

    assert(connection->state == TCP_CONNECTING);
    assert(dial->next < dial->found_count);
    dial->next++;
    status = uv_tcp_init(connection->transport->instance.loop, &connection->uv.tcp);
    connection->uv.handle.data = connection;
    connection->stream_open = status == 0;
    if (status == 0)
        status = uv_tcp_connect(&connection->request.connect, &connection->uv.tcp, address, on_connect);
    if (status == 0) {
        (void)uv_tcp_nodelay(&connection->uv.tcp, 1);
        return;
    }
    if (connection->stream_open)
        attempt_failed(connection, status);
    else
        tcp_end(connection, GAVEL_CLOSE_LOST, "%s: %s", connection->peer, uv_strerror(status));
}

static void dial_unix(struct tcp_connection *connection)
{
    (void)uv_pipe_init(connection->transport->instance.loop, &connection->uv.pipe, 0);
    connection->uv.handle.data = connection;
    connection->stream_open = true;
    uv_pipe_connect(&connection->request.connect, &connection->uv.pipe, connection->dial->address.path, on_connect);
}

static void on_lookup(void *context, int status, const struct sockaddr_storage *found, uint64_t count)
{
    struct tcp_connection *connection = context;
    struct tcp_dial *dial = connection->dial;

    assert(connection->magic == TCP_CONNECTION_MAGIC);
    dial->lookup = NULL;
    if (status < 0) {
        tcp_end(connection, GAVEL_CLOSE_UNRESOLVED, "%s: %s", connection->peer, uv_strerror(status));
        return;
    }
    memcpy(dial->found, found, count * sizeof *found);
    dial->found_count = count;
    tcp_move(connection, TCP_CONNECTING);
    dial_next(connection);
}

static int32_t resolve(struct tcp_connection *connection, struct gavel_error *error)
{
    struct tcp_dial *dial = connection->dial;
    int status = lookup_start(connection->transport->instance.loop, dial->address.host, dial->address.port, on_lookup,
                              connection, &dial->lookup);

    return status < 0 ? gavel_fail(error, GAVEL_E_IO, "%s: %s", connection->peer, uv_strerror(status)) : GAVEL_OK;
}

static int32_t dial_begin(struct tcp_connection *connection, struct gavel_error *error)
{
    struct tcp_dial *dial = connection->dial;

    if (strcmp(dial->address.scheme, "unix") == 0) {
        if (strlen(dial->address.path) >= sizeof ((struct sockaddr_un *)0)->sun_path)
            return gavel_fail(error, GAVEL_E_INVALID, "%s: the path is longer than a socket's may be",
                              connection->peer);
        tcp_move(connection, TCP_CONNECTING);
        dial_unix(connection);
    } else if (dial->address.literal) {
        dial->found[dial->found_count++] = dial->address.socket;
        tcp_move(connection, TCP_CONNECTING);
        dial_next(connection);
    } else {
        return resolve(connection, error);
    }
    return GAVEL_OK;
}

int32_t tcp_connect(void *self, struct gavel_slice uri, void *cookie, void **result, struct gavel_error *error)
{
    struct tcp_transport *transport = self;
    struct tcp_connection *connection;
    struct tcp_dial *dial;
    int32_t status;

    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    if (instance_running(&transport->instance, error) != GAVEL_OK)
        return GAVEL_E_STATE;
    dial = calloc(1, sizeof *dial);
    if (!dial)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory ran out");
    status = address_parse(uri, "tcp unix", &dial->address, error);
    connection = status == GAVEL_OK ? tcp_connection_new(transport, TCP_RESOLVING) : NULL;
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
        tcp_end(connection, GAVEL_CLOSE_LOST, "not dialled"); /* the host does not know it: nothing is told */
        return status;
    }
    connection->cookie = cookie;
    connection->known = true;
    *result = connection;
    return GAVEL_OK;
}
