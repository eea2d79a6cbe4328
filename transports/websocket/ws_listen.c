/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_listen.c - listeners of our own: so that a port in use is a sentence, port 0 works, and whoever is one too many is
 * refused before libwebsockets spends memory on it. An accepted socket is then libwebsockets'.
 */
#define _GNU_SOURCE /* accept4 */
#include "ws.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

/* At most so many are accepted before the loop turns to others. */
#define ACCEPTS_A_TURN 64

static void adopt(struct ws_transport *transport, int fd, const struct sockaddr *from)
{
    struct ws_connection *connection = ws_connection_new(transport, WS_SHAKING);
    lws_adopt_desc_t info;
    int on = 1;

    if (!connection) {
        (void)close(fd);
        return;
    }
    transport->instance.accepted++;
    address_of_socket(from, connection->peer, sizeof connection->peer);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!ws_slot_renew(connection)) {
        (void)close(fd);
        ws_end(connection, GAVEL_CLOSE_LOST, "memory ran out");
        return;
    }
    memset(&info, 0, sizeof info);
    info.vh = transport->server;
    info.type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL;
    info.fd.sockfd = fd;
    info.opaque = (void *)(uintptr_t)connection->slot;
    transport->inside++;
    connection->wsi = lws_adopt_descriptor_vhost_via_info(&info);
    transport->inside--;
    if (!connection->wsi)
        ws_end(connection, GAVEL_CLOSE_LOST, "libwebsockets did not take the socket");
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct ws_listener *listener = poll->data;
    struct ws_transport *transport = listener->transport;
    struct sockaddr_storage from;
    socklen_t length;
    int left;
    int fd;

    assert(listener->magic == WS_LISTENER_MAGIC);
    (void)events;
    if (status < 0)
        return;
    for (left = ACCEPTS_A_TURN; left > 0; left--) {
        length = sizeof from;
        fd = accept4(listener->fd, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break;
        if (transport->instance.accepted < transport->instance.up.limits.connections) {
            adopt(transport, fd, (struct sockaddr *)&from);
            continue;
        }
        (void)close(fd);
        instance_count_refused(&transport->instance);
    }
    if (left == 0 || errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
        return;
    /* No descriptors or no memory: the socket would stay readable and the loop would spin. */
    gavel_log(transport->instance.host, GAVEL_LOG_WARN, WS_MODULE, "accepting on %s: %s", listener->bound,
              strerror(errno));
    listener->stuck = true;
    (void)uv_poll_stop(&listener->poll);
    instance_sweep(&transport->instance);
}

void ws_listeners_retry(struct ws_transport *transport)
{
    struct ws_listener *listener;

    LIST_FOREACH(listener, &transport->listeners, all) {
        if (!listener->open || !listener->stuck)
            continue;
        listener->stuck = false;
        (void)uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    }
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct ws_listener *listener = handle->data;

    listener->transport->instance.listening--;
    instance_quiesce_step(&listener->transport->instance);
}

void ws_unlisten(void *self)
{
    struct ws_transport *transport = self;
    struct ws_listener *listener;

    assert(transport->magic == WS_TRANSPORT_MAGIC);
    LIST_FOREACH(listener, &transport->listeners, all) {
        if (!listener->open)
            continue;
        listener->open = false;
        uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
        (void)close(listener->fd); /* uv_close has taken it out of the poll set */
    }
}

void ws_listeners_free(struct ws_transport *transport)
{
    struct ws_listener *listener;

    while ((listener = LIST_FIRST(&transport->listeners))) {
        assert(!listener->open);
        LIST_REMOVE(listener, all);
        listener->magic = 0;
        free(listener);
    }
}

static int32_t open_one(struct ws_transport *transport, const char *bound, int fd, struct gavel_slice *result,
                        struct gavel_error *error)
{
    struct ws_listener *listener = calloc(1, sizeof *listener);

    if (!listener || uv_poll_init_socket(transport->instance.loop, &listener->poll, fd) < 0) {
        free(listener);
        (void)close(fd);
        return gavel_fail(error, GAVEL_E_IO, "%s: the loop does not take the socket", bound);
    }
    listener->magic = WS_LISTENER_MAGIC;
    listener->transport = transport;
    listener->fd = fd;
    listener->open = true;
    listener->poll.data = listener;
    (void)snprintf(listener->bound, sizeof listener->bound, "%s", bound);
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    transport->instance.listening++;
    LIST_INSERT_HEAD(&transport->listeners, listener, all);
    *result = gavel_text(listener->bound);
    return GAVEL_OK;
}

int32_t ws_listen(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error)
{
    struct ws_transport *transport = self;
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    int fds[SOCKETS_MAX];
    uint64_t count = 0;
    uint64_t i;
    uint16_t port;
    int32_t status;
    int32_t failed = GAVEL_OK;

    assert(transport->magic == WS_TRANSPORT_MAGIC);
    if (instance_running(&transport->instance, error) != GAVEL_OK)
        return GAVEL_E_STATE;
    status = address_parse(uri, "ws", &address, error);
    if (status == GAVEL_OK)
        status = ws_context_need(transport, error);
    if (status == GAVEL_OK)
        status = sockets_listen(&address, transport->instance.backlog, fds, &count, &port, error);
    if (status != GAVEL_OK)
        return status;
    address_format(&address, port, text);
    for (i = 0; i < count; i++) {
        status = open_one(transport, text, fds[i], bound, error);
        failed = status != GAVEL_OK ? status : failed;
    }
    return failed;
}
