/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_listen.c - listeners: internet sockets and unix sockets. A unix socket's file is private to its owner, replaces
 * one that a dead process left, and is removed with the listener, if it is still ours.
 */
#define _GNU_SOURCE /* struct ucred */
#include "tcp.h"

#include "transports/sockets.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- accepting --------------------------------------------------------------------------------------------------- */

/* Who is at the other end, for sentences. */
static void name_peer(struct tcp_connection *connection, bool local)
{
    struct sockaddr_storage address;
    int length = sizeof address;
    struct ucred who = {0, 0, 0};
    socklen_t size = sizeof who;
    uv_os_fd_t fd;

    (void)snprintf(connection->peer, sizeof connection->peer, "?");
    if (!local) {
        if (uv_tcp_getpeername(&connection->uv.tcp, (struct sockaddr *)&address, &length) == 0)
            address_of_socket((struct sockaddr *)&address, connection->peer, sizeof connection->peer);
        return;
    }
    if (uv_fileno(&connection->uv.handle, &fd) == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0)
        (void)snprintf(connection->peer, sizeof connection->peer, "process %ld of user %lu", (long)who.pid,
                       (unsigned long)who.uid);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct tcp_listener *listener = stream->data;
    struct tcp_transport *transport = listener->transport;
    struct tcp_connection *connection;
    bool full = transport->instance.accepted >= transport->instance.up.limits.connections;

    assert(listener->magic == TCP_LISTENER_MAGIC);
    if (status < 0) {
        gavel_log(transport->instance.host, GAVEL_LOG_WARN, TCP_MODULE, "accepting on %s: %s", listener->bound,
                  uv_strerror(status));
        return;
    }
    connection = tcp_connection_new(transport, TCP_GREETING);
    listener->stuck = connection == NULL;
    if (!connection) {
        instance_sweep(&transport->instance); /* libuv holds the socket and accepts no more until we take it */
        return;
    }
    transport->instance.accepted++;
    if (listener->local)
        (void)uv_pipe_init(transport->instance.loop, &connection->uv.pipe, 0);
    else
        (void)uv_tcp_init(transport->instance.loop, &connection->uv.tcp);
    connection->uv.handle.data = connection;
    connection->stream_open = true;
    status = uv_accept(stream, &connection->uv.stream);
    if (status < 0 || full) {
        if (full)
            instance_count_refused(&transport->instance);
        tcp_end(connection, GAVEL_CLOSE_LOST, "%s", full ? "too many connections" : uv_strerror(status));
        return;
    }
    name_peer(connection, listener->local);
    if (!listener->local)
        (void)uv_tcp_nodelay(&connection->uv.tcp, 1);
    tcp_greet(connection);
}

void tcp_listeners_retry(struct tcp_transport *transport)
{
    struct tcp_listener *listener;

    LIST_FOREACH(listener, &transport->listeners, all)
        if (listener->open && listener->stuck)
            on_connection(&listener->uv.stream, 0);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void on_listener_closed(uv_handle_t *handle)
{
    struct tcp_listener *listener = handle->data;

    listener->transport->instance.listening--;
    instance_quiesce_step(&listener->transport->instance);
}

static void listener_close(struct tcp_listener *listener)
{
    struct stat now;

    if (!listener->open)
        return;
    listener->open = false;
    if (listener->local && listener->inode && lstat(listener->address.path, &now) == 0 &&
        (uint64_t)now.st_ino == listener->inode)
        (void)unlink(listener->address.path);
    uv_close(&listener->uv.handle, on_listener_closed);
}

void tcp_unlisten(void *self)
{
    struct tcp_transport *transport = self;
    struct tcp_listener *listener;

    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    LIST_FOREACH(listener, &transport->listeners, all)
        listener_close(listener);
}

void tcp_listeners_free(struct tcp_transport *transport)
{
    struct tcp_listener *listener;

    while ((listener = LIST_FIRST(&transport->listeners))) {
        assert(!listener->open);
        LIST_REMOVE(listener, all);
        listener->magic = 0;
        free(listener);
    }
}

/* True when somebody answers on the socket file; false: it is a leftover. */
static bool answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result;
    int code;

    if (fd < 0)
        return true;
    result = connect(fd, (const struct sockaddr *)address, sizeof *address);
    code = errno;
    (void)close(fd);
    return result == 0 || code != ECONNREFUSED;
}

/* Make way for our socket file: a leftover socket goes, anything else stays. */
static int32_t clear_way(const struct sockaddr_un *address, struct gavel_error *error)
{
    struct stat now;

    if (lstat(address->sun_path, &now) < 0)
        return GAVEL_OK;
    if (!S_ISSOCK(now.st_mode))
        return gavel_fail(error, GAVEL_E_IO, "unix://%s: a file that is no socket is in the way", address->sun_path);
    if (answers(address))
        return gavel_fail(error, GAVEL_E_IO, "unix://%s: another process listens there", address->sun_path);
    if (unlink(address->sun_path) < 0 && errno != ENOENT)
        return gavel_fail(error, GAVEL_E_IO, "unix://%s: removing the old socket: %s", address->sun_path,
                          strerror(errno));
    return GAVEL_OK;
}

static int32_t open_unix(struct tcp_listener *listener, struct gavel_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = listener->address.path;
    struct stat made;
    int32_t status;
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return gavel_fail(error, GAVEL_E_INVALID, "unix://%s: a socket's path has at most %zu characters", path,
                          sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    status = clear_way(&address, error);
    if (status != GAVEL_OK)
        return status;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return gavel_fail(error, GAVEL_E_IO, "unix://%s: %s", path, strerror(errno));
    /* On Linux the file takes its mode from the socket: so it is never open to others, not even for a moment. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        status = gavel_fail(error, GAVEL_E_IO, "unix://%s: %s", path,
                            errno == ENOENT ? "the directory of the socket does not exist" : strerror(errno));
        (void)close(fd);
        return status;
    }
    if (lstat(path, &made) == 0)
        listener->inode = (uint64_t)made.st_ino;
    if (uv_pipe_open(&listener->uv.pipe, fd) < 0) {
        (void)close(fd);
        return gavel_fail(error, GAVEL_E_IO, "unix://%s: the loop does not take the socket", path);
    }
    if (uv_listen(&listener->uv.stream, (int)listener->transport->instance.backlog, on_connection) < 0)
        return gavel_fail(error, GAVEL_E_IO, "unix://%s: listening failed", path);
    return GAVEL_OK;
}

static struct tcp_listener *listener_new(struct tcp_transport *transport, const struct address *address)
{
    struct tcp_listener *listener = calloc(1, sizeof *listener);

    if (!listener)
        return NULL;
    listener->magic = TCP_LISTENER_MAGIC;
    listener->transport = transport;
    listener->address = *address;
    listener->local = strcmp(address->scheme, "unix") == 0;
    if (listener->local)
        (void)uv_pipe_init(transport->instance.loop, &listener->uv.pipe, 0);
    else
        (void)uv_tcp_init(transport->instance.loop, &listener->uv.tcp);
    listener->uv.handle.data = listener;
    listener->open = true;
    transport->instance.listening++;
    LIST_INSERT_HEAD(&transport->listeners, listener, all);
    return listener;
}

static int32_t listen_unix(struct tcp_transport *transport, const struct address *address, struct gavel_slice *bound,
                           struct gavel_error *error)
{
    struct tcp_listener *listener = listener_new(transport, address);
    int32_t status;

    if (!listener)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory ran out");
    status = open_unix(listener, error);
    if (status != GAVEL_OK) {
        listener_close(listener); /* its memory stays until destroy */
        return status;
    }
    address_format(address, 0, listener->bound);
    *bound = gavel_text(listener->bound);
    return GAVEL_OK;
}

static int32_t listen_internet(struct tcp_transport *transport, const struct address *address,
                               struct gavel_slice *bound, struct gavel_error *error)
{
    struct tcp_listener *listener;
    int fds[SOCKETS_MAX];
    uint64_t count = 0;
    uint64_t i;
    uint16_t port = 0;
    int32_t status = sockets_listen(address, transport->instance.backlog, fds, &count, &port, error);

    if (status != GAVEL_OK)
        return status;
    for (i = 0; i < count; i++) {
        bool taken;

        listener = listener_new(transport, address);
        taken = listener && uv_tcp_open(&listener->uv.tcp, fds[i]) == 0;
        if (!taken || uv_listen(&listener->uv.stream, (int)transport->instance.backlog, on_connection) < 0) {
            if (!taken)
                (void)close(fds[i]);
            if (listener)
                listener_close(listener);
            status = gavel_fail(error, GAVEL_E_IO, "%s:%u: the loop does not take the socket", address->host,
                                (unsigned)port);
            continue;
        }
        address_format(address, port, listener->bound);
        *bound = gavel_text(listener->bound);
    }
    return status;
}

int32_t tcp_listen(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error)
{
    struct tcp_transport *transport = self;
    struct address address;
    int32_t status;

    assert(transport->magic == TCP_TRANSPORT_MAGIC);
    if (instance_running(&transport->instance, error) != GAVEL_OK)
        return GAVEL_E_STATE;
    status = address_parse(uri, "tcp unix", &address, error);
    if (status != GAVEL_OK)
        return status;
    return strcmp(address.scheme, "unix") == 0 ? listen_unix(transport, &address, bound, error)
                                               : listen_internet(transport, &address, bound, error);
}
