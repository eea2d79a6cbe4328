/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockets.c - socket, bind, listen, and a sentence for each way in which they fail.
 */
#include "sockets.h"

#include <assert.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <unistd.h>

static uint16_t *port_of(struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
                                          : &((struct sockaddr_in *)address)->sin_port;
}

/* One socket; *port is asked for and becomes the real one. A descriptor or -1 with errno. */
static int open_one(struct sockaddr_storage *address, uint64_t backlog, uint16_t *port)
{
    socklen_t length = address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    int code;

    if (fd < 0)
        return -1;
    *port_of(address) = htons(*port);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        (address->ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
        bind(fd, (struct sockaddr *)address, length) < 0 || listen(fd, (int)backlog) < 0 ||
        getsockname(fd, (struct sockaddr *)address, &length) < 0) {
        code = errno;
        (void)close(fd);
        errno = code;
        return -1;
    }
    *port = ntohs(*port_of(address));
    return fd;
}

/* What bind and listen refuse, in words that say what to do. */
static const char *why(int code)
{
    switch (code) {
    case EADDRINUSE:
        return "the port is in use";
    case EADDRNOTAVAIL:
        return "this machine does not have that address";
    case EACCES:
        return "this user may not listen there; ports below 1024 are for root, or take CAP_NET_BIND_SERVICE";
    default:
        return strerror(code);
    }
}

static int32_t refuse(const struct address *address, uint16_t port, struct gavel_error *error)
{
    char text[ADDRESS_TEXT_MAX];
    const char *reason = why(errno);

    address_format(address, port, text);
    return gavel_fail(error, GAVEL_E_IO, "%.300s: %s", text, reason);
}

static int32_t listen_name(const struct address *address, uint64_t backlog, int *fds, uint64_t *count, uint16_t *port,
                           struct gavel_error *error)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_ADDRCONFIG};
    struct sockaddr_storage socket;
    struct addrinfo *found = NULL;
    struct addrinfo *at;
    uint64_t opened = 0;
    int32_t status = GAVEL_E_IO;
    int code;
    int result = getaddrinfo(address->host, NULL, &hints, &found);

    if (result != 0)
        return gavel_fail(error, GAVEL_E_IO, "%s://%s:%u: %s", address->scheme, address->host,
                          (unsigned)address->port, gai_strerror(result));
    for (at = found; at && opened < SOCKETS_MAX; at = at->ai_next) {
        memset(&socket, 0, sizeof socket);
        memcpy(&socket, at->ai_addr, at->ai_addrlen);
        fds[opened] = open_one(&socket, backlog, port);
        if (fds[opened] >= 0) {
            opened++;
            continue;
        }
        code = errno;
        status = refuse(address, *port, error);
        if (code == EADDRNOTAVAIL || code == EAFNOSUPPORT)
            continue; /* this machine does not have that one */
        while (opened)
            (void)close(fds[--opened]);
        break;
    }
    freeaddrinfo(found);
    *count = opened;
    return opened ? GAVEL_OK : status;
}

int32_t sockets_listen(const struct address *address, uint64_t backlog, int *fds, uint64_t *count, uint16_t *port,
                       struct gavel_error *error)
{
    struct sockaddr_storage socket = address->socket;

    assert(backlog > 0);
    *port = address->port;
    if (!address->literal)
        return listen_name(address, backlog, fds, count, port, error);
    fds[0] = open_one(&socket, backlog, port);
    if (fds[0] < 0)
        return refuse(address, *port, error);
    *count = 1;
    return GAVEL_OK;
}

uint64_t sockets_bytes_read(int fd)
{
    struct tcp_info info = {.tcpi_bytes_received = 0};
    socklen_t size = sizeof info;
    int unread = 0;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 || ioctl(fd, FIONREAD, &unread) < 0)
        return 0;
    return info.tcpi_bytes_received - (uint64_t)unread;
}
