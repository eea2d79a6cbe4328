/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prom_server.c - the thread of an instance: poll(2) over a handful of sockets, and nothing that waits elsewhere. When
 * all places are taken, whoever has kept one the longest without being answered makes room: a crowd that says nothing
 * cannot shut the scraper out.
 */
#define _GNU_SOURCE
#include "prom.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_MS 250         /* the longest sleep while anybody is connected */
#define ACCEPT_AT_ONCE 32
#define PATIENCE_MS 2000     /* an answer under way that takes longer makes room too */
#define TELL_MS 60000        /* between two lines on refused connections */

static void look_at_clock(struct prom_server *server)
{
    server->now_ms = server->host->monotonic_ns(server->host->self) / 1000000;
}

/* ---- who is let in ----------------------------------------------------------------------------------------------- */

/* A place that is free, or is made so; NULL: all are busy answering. */
static struct prom_connection *place(struct prom_server *server)
{
    struct prom_connection *oldest = NULL;

    for (uint64_t i = 0; i < server->options->connections; i++) {
        struct prom_connection *connection = &server->connection[i];
        bool busy = connection->state == PROM_WRITING && server->now_ms - connection->since_ms < PATIENCE_MS;

        if (connection->state == PROM_FREE)
            return connection;
        if (!busy && (!oldest || connection->since_ms < oldest->since_ms))
            oldest = connection;
    }
    server->refused++;
    if (oldest)
        prom_connection_close(server, oldest);
    return oldest;
}

static void tell_refused(struct prom_server *server)
{
    if (server->refused == 0 || (server->refused_told_ms && server->now_ms - server->refused_told_ms < TELL_MS))
        return;
    gavel_log(server->host, GAVEL_LOG_WARN, server->module, "all %llu places for connections were taken: %llu "
              "connections were closed to make room, or refused", (unsigned long long)server->options->connections,
              (unsigned long long)server->refused);
    server->refused = 0;
    server->refused_told_ms = server->now_ms;
}

static void let_in(struct prom_server *server, int listener)
{
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        struct prom_connection *connection;

        if (fd < 0)
            return; /* nobody waits; or descriptors are out, and the next sweep tries again */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection = place(server);
        if (!connection) {
            (void)close(fd);
            continue;
        }
        prom_connection_open(server, connection, fd);
    }
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void take_tls(struct prom_server *server)
{
    void *next = atomic_exchange(&server->next_tls, NULL);

    if (!next)
        return;
    server->tls = prom_tls_free(server->tls); /* sessions that it made hold it until they end */
    server->tls = next;
}

/* Wait for a socket, the bell, or the next sweep. `rows` as they were filled. */
static nfds_t fill(struct prom_server *server, struct pollfd *rows, int *timeout)
{
    bool anybody = false;
    nfds_t count = 0;

    rows[count++] = (struct pollfd){.fd = server->wake, .events = POLLIN};
    for (uint64_t i = 0; i < server->address_count; i++)
        rows[count++] = (struct pollfd){.fd = server->listener[i], .events = POLLIN};
    for (uint64_t i = 0; i < server->options->connections; i++) {
        struct prom_connection *connection = &server->connection[i];

        rows[count++] = (struct pollfd){.fd = connection->fd, .events = connection->wait};
        anybody = anybody || connection->state != PROM_FREE;
    }
    *timeout = anybody || server->refused ? SWEEP_MS : -1;
    return count;
}

static void close_listeners(struct prom_server *server)
{
    for (uint64_t i = 0; i < server->address_count; i++) {
        if (server->listener[i] >= 0)
            (void)close(server->listener[i]);
        server->listener[i] = -1;
    }
}

/* Told to stop: nobody is let in any more, and answers under way have a moment. True when nobody is left. */
static bool stopped(struct prom_server *server)
{
    bool left = false;

    if (!atomic_load(&server->stop))
        return false;
    if (server->stop_ms == 0)
        server->stop_ms = server->now_ms ? server->now_ms : 1;
    close_listeners(server);
    for (uint64_t i = 0; i < server->options->connections; i++) {
        struct prom_connection *connection = &server->connection[i];

        if (connection->state == PROM_READING || server->now_ms - server->stop_ms >= PROM_DRAIN_MS)
            prom_connection_close(server, connection);
        left = left || connection->state != PROM_FREE;
    }
    return !left;
}

/* A listener whose connection cannot be taken, for descriptors are out, would keep poll from sleeping. */
static void rest_if_full(int fd, int milliseconds)
{
    struct pollfd row = {.fd = fd, .events = POLLIN};

    (void)poll(&row, 1, milliseconds);
}

static void turn(struct prom_server *server, const struct pollfd *rows)
{
    uint64_t drained;
    bool full = false;

    if (rows[0].revents & POLLIN)
        (void)!read(server->wake, &drained, sizeof drained);
    take_tls(server);
    for (uint64_t i = 0; i < server->options->connections; i++)
        if (rows[1 + server->address_count + i].revents)
            prom_connection_ready(server, &server->connection[i]);
    for (uint64_t i = 0; i < server->address_count; i++) {
        if (!(rows[1 + i].revents & POLLIN))
            continue;
        errno = 0;
        let_in(server, server->listener[i]);
        full = full || errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    }
    for (uint64_t i = 0; i < server->options->connections; i++)
        prom_connection_sweep(server, &server->connection[i]);
    tell_refused(server);
    if (full)
        rest_if_full(server->wake, SWEEP_MS);
}

static void *serve(void *context)
{
    struct prom_server *server = context;
    struct pollfd *rows = server->poll;

    for (;;) {
        int timeout, found;
        nfds_t count;

        look_at_clock(server);
        if (stopped(server))
            break;
        count = fill(server, rows, &timeout);
        if (atomic_load(&server->stop) && timeout < 0)
            timeout = SWEEP_MS;
        found = poll(rows, count, timeout);
        for (nfds_t i = 0; found < 0 && i < count; i++)
            rows[i].revents = 0;
        look_at_clock(server);
        turn(server, rows);
    }
    for (int format = 0; format < PROM_FORMATS; format++)
        for (int gzip = 0; gzip < 2; gzip++)
            server->kept[format][gzip].body = prom_body_release(server, server->kept[format][gzip].body);
    take_tls(server);
    server->tls = prom_tls_free(server->tls);
    atomic_store(&server->ended, true);
    return NULL;
}

uint64_t prom_poll_bytes(uint64_t count)
{
    return count * sizeof(struct pollfd);
}

/* ---- from the loop ----------------------------------------------------------------------------------------------- */

int32_t prom_server_start(struct prom_server *server, struct gavel_error *error)
{
    sigset_t all, before;
    int status;

    assert(server->magic == PROM_MAGIC);
    server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake < 0)
        return gavel_fail(error, GAVEL_E_IO, "no descriptor for the thread's bell: %s", strerror(errno));
    (void)sigfillset(&all); /* signals are the loop's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    status = pthread_create(&server->thread, NULL, serve, server);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != 0)
        return gavel_fail(error, GAVEL_E_IO, "no thread can be started: %s", strerror(status));
    (void)pthread_setname_np(server->thread, "prometheus");
    server->running = true;
    return GAVEL_OK;
}

static void ring(const struct prom_server *server)
{
    uint64_t one = 1;

    (void)!write(server->wake, &one, sizeof one);
}

void prom_server_stop(struct prom_server *server)
{
    atomic_store(&server->stop, true);
    ring(server);
}

void prom_server_wake(struct prom_server *server)
{
    ring(server);
}

void prom_server_join(struct prom_server *server)
{
    if (server->running)
        (void)pthread_join(server->thread, NULL);
    server->running = false;
}
