/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - a byte pipe on a thread of its own: it may hand on one byte at a time, and reset both ends in the middle.
 * And plain sockets, for strangers who speak no protocol at all.
 */
#define _GNU_SOURCE
#include "core/check/ends.h"

#include "core/check/watch.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIPES_MAX 8

/* One connection through the relay. */
struct pipe {
    int fd[2];
    uint64_t passed[2]; /* from [i] to the other */
    bool over[2];
};

int raw_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

int raw_listen(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = bind(fd, (struct sockaddr *)&address, sizeof address) | listen(fd, 16) |
                 getsockname(fd, (struct sockaddr *)&address, &size);

    assert(failed == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

bool raw_closed(int fd)
{
    char waste[4096];
    uint64_t never = 0;

    for (uint64_t i = 0; i < ENDS_DEADLINE_MS / 10; i++) {
        ssize_t got = recv(fd, waste, sizeof waste, MSG_DONTWAIT);

        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return true;
        if (got < 0)
            (void)face_until(&never, 1, 10);
    }
    return false;
}

/* The body's size as the head says; SIZE_MAX: it ends with the connection. */
static size_t body_size(const char *head)
{
    const char *line = strcasestr(head, "\r\ncontent-length:");

    return line ? strtoul(line + 17, NULL, 10) : SIZE_MAX;
}

size_t raw_answer(int fd, char *to, size_t size)
{
    size_t got = 0;

    to[0] = 0;
    for (uint64_t i = 0; i < ENDS_DEADLINE_MS / 5 && got + 1 < size; i++) {
        ssize_t more = recv(fd, to + got, size - 1 - got, MSG_DONTWAIT);
        const char *body;

        if (more == 0 || (more < 0 && errno != EAGAIN && errno != EINTR))
            break;
        if (more < 0) {
            ends_wait(5);
            continue;
        }
        got += (size_t)more;
        to[got] = 0;
        body = strstr(to, "\r\n\r\n");
        if (body && body_size(to) != SIZE_MAX && got >= (size_t)(body + 4 - to) + body_size(to))
            break;
    }
    return got;
}

void raw_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(fd);
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t wrote = send(fd, data, size, MSG_NOSIGNAL);

        if (wrote <= 0)
            return false;
        data += wrote;
        size -= (size_t)wrote;
    }
    return true;
}

/* What has come from one end goes to the other, in pieces. False: this pipe is over. */
static bool pass(struct relay *relay, struct pipe *pipe, int from, struct kit_random *random)
{
    char data[8192];
    ssize_t got = recv(pipe->fd[from], data, sizeof data, MSG_DONTWAIT);
    uint64_t limit = atomic_load(&relay->reset_after);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0) {
        (void)shutdown(pipe->fd[!from], SHUT_WR);
        pipe->over[from] = true;
        return got == 0 && !pipe->over[!from];
    }
    for (ssize_t at = 0; at < got;) {
        size_t piece = (size_t)(got - at), most = piece;

        if (relay->byte_by_byte)
            most = pipe->passed[from] < relay->byte_by_byte ? 1 : 1 + (size_t)kit_below(random, 3000);
        piece = piece < most ? piece : most;
        if (!write_all(pipe->fd[!from], data + at, piece))
            return false;
        at += (ssize_t)piece;
        pipe->passed[from] += piece;
    }
    if (limit && pipe->passed[0] + pipe->passed[1] >= limit) {
        raw_reset(pipe->fd[0]);
        raw_reset(pipe->fd[1]);
        pipe->fd[0] = pipe->fd[1] = -1;
        return false;
    }
    return true;
}

static void end_pipe(struct pipe *pipe)
{
    for (int i = 0; i < 2; i++)
        if (pipe->fd[i] >= 0)
            (void)close(pipe->fd[i]);
    pipe->fd[0] = pipe->fd[1] = -1;
}

static void take_pipe(struct relay *relay, struct pipe *pipes)
{
    int one = 1, fd = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);

    for (int i = 0; i < PIPES_MAX; i++) {
        if (pipes[i].fd[0] >= 0)
            continue;
        memset(&pipes[i], 0, sizeof pipes[i]);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        pipes[i].fd[0] = fd;
        pipes[i].fd[1] = raw_connect(relay->target);
        if (pipes[i].fd[1] < 0)
            end_pipe(&pipes[i]);
        return;
    }
    (void)close(fd);
}

static void *run(void *context)
{
    struct relay *relay = context;
    struct kit_random random = {.state = relay->port};
    struct pipe pipes[PIPES_MAX];

    watch_own_thread();
    memset(pipes, 0, sizeof pipes);
    for (int i = 0; i < PIPES_MAX; i++)
        pipes[i].fd[0] = pipes[i].fd[1] = -1;
    while (!atomic_load(&relay->stop)) {
        struct pollfd poll_for[1 + 2 * PIPES_MAX] = {{.fd = relay->listener, .events = POLLIN}};
        bool frozen = atomic_load(&relay->frozen);

        for (int i = 0; i < 2 * PIPES_MAX; i++)
            poll_for[1 + i] = (struct pollfd){.fd = frozen || pipes[i / 2].over[i % 2] ? -1 : pipes[i / 2].fd[i % 2],
                                              .events = POLLIN};
        if (poll(poll_for, 1 + 2 * PIPES_MAX, 20) <= 0)
            continue;
        for (int i = 0; i < 2 * PIPES_MAX; i++)
            if (poll_for[1 + i].revents && pipes[i / 2].fd[i % 2] >= 0 && !pass(relay, &pipes[i / 2], i % 2, &random))
                end_pipe(&pipes[i / 2]);
        if (poll_for[0].revents)
            take_pipe(relay, pipes);
    }
    for (int i = 0; i < PIPES_MAX; i++)
        end_pipe(&pipes[i]);
    return NULL;
}

void relay_open(struct relay *relay, uint16_t target)
{
    int failed;

    relay->target = target;
    relay->listener = raw_listen(&relay->port);
    failed = pthread_create(&relay->thread, NULL, run, relay);
    assert(failed == 0);
}

void relay_close(struct relay *relay)
{
    atomic_store(&relay->stop, true);
    (void)pthread_join(relay->thread, NULL);
    (void)close(relay->listener);
}
