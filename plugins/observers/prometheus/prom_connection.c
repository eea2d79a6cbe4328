/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prom_connection.c - one connection. It reads a head, answers, and reads the next one; nothing here waits, and each
 * state has its time.
 */
#include "prom.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_ONCE 8 /* requests of one connection that are answered before the others have their turn */

/* Which state may follow which. */
static const bool allowed[PROM_STATES][PROM_STATES] = {
    [PROM_FREE] = {[PROM_READING] = true},
    [PROM_READING] = {[PROM_WRITING] = true, [PROM_FREE] = true},
    [PROM_WRITING] = {[PROM_READING] = true, [PROM_LINGERING] = true, [PROM_FREE] = true},
    [PROM_LINGERING] = {[PROM_FREE] = true},
};

/* What holds after every move. */
static void check(const struct prom_connection *connection)
{
    assert((connection->state == PROM_FREE) == (connection->fd < 0));
    assert(connection->body == NULL || connection->state == PROM_WRITING);
    assert(connection->used <= PROM_HEAD_MAX);
    assert(connection->seen <= connection->used);
}

static void move(struct prom_server *server, struct prom_connection *connection, enum prom_state to)
{
    assert(allowed[connection->state][to]);
    connection->state = to;
    connection->since_ms = server->now_ms;
    check(connection);
}

void prom_connection_open(struct prom_server *server, struct prom_connection *connection, int fd)
{
    void *tls = server->tls ? prom_tls_open(server->tls, fd) : NULL;

    if (server->tls && !tls) {
        (void)close(fd);
        return;
    }
    connection->fd = fd;
    connection->tls = tls;
    connection->wait = POLLIN;
    connection->sent = 0;
    connection->used = connection->seen = 0;
    move(server, connection, PROM_READING);
}

void prom_connection_close(struct prom_server *server, struct prom_connection *connection)
{
    if (connection->state == PROM_FREE)
        return;
    connection->body = prom_body_release(server, connection->body);
    connection->tls = prom_tls_close(connection->tls);
    (void)close(connection->fd);
    connection->fd = -1;
    move(server, connection, PROM_FREE);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static long again(struct prom_connection *connection, bool write_next)
{
    connection->wait = write_next ? POLLOUT : POLLIN;
    return PROM_AGAIN;
}

static bool passing(int code)
{
    return code == EAGAIN || code == EWOULDBLOCK || code == EINTR;
}

static long take(struct prom_connection *connection, void *bytes, size_t size)
{
    bool write_next = false;
    long got;

    if (connection->tls) {
        got = prom_tls_read(connection->tls, bytes, size, &write_next);
        return got == PROM_AGAIN ? again(connection, write_next) : got;
    }
    got = recv(connection->fd, bytes, size, 0);
    return got >= 0 ? got : passing(errno) ? again(connection, false) : PROM_GONE;
}

static long give(struct prom_connection *connection, const void *bytes, size_t size)
{
    bool write_next = true;
    long put;

    if (connection->tls) {
        put = prom_tls_write(connection->tls, bytes, size, &write_next);
        return put == PROM_AGAIN ? again(connection, write_next) : put;
    }
    put = send(connection->fd, bytes, size, MSG_NOSIGNAL);
    return put >= 0 ? put : passing(errno) ? again(connection, true) : PROM_GONE;
}

/* ---- answering --------------------------------------------------------------------------------------------------- */

static const char *phrase(int status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 413: return "Content Too Large";
    case 431: return "Request Header Fields Too Large";
    case 505: return "HTTP Version Not Supported";
    default: return "Service Unavailable";
    }
}

static void begin_answer(struct prom_server *server, struct prom_connection *connection,
                         const struct prom_answer *answer)
{
    uint64_t size = answer->body ? answer->body->bytes.size : 0;

    connection->header_size = (size_t)snprintf(
        connection->header, sizeof connection->header,
        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %llu\r\nCache-Control: no-store\r\n"
        "Vary: Accept, Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\n%s%s%s\r\n",
        answer->status, phrase(answer->status), answer->type, (unsigned long long)size,
        answer->gzip ? "Content-Encoding: gzip\r\n" : "", answer->status == 405 ? "Allow: GET, HEAD\r\n" : "",
        connection->keep ? "" : "Connection: close\r\n");
    assert(connection->header_size < sizeof connection->header);
    connection->sent = 0;
    move(server, connection, PROM_WRITING);
    connection->body = answer->body;
}

/* A request that is refused is the last one: where the next would begin is not known. */
static void refuse(struct prom_server *server, struct prom_connection *connection, int status, const char *why)
{
    struct prom_answer answer;

    connection->keep = false;
    connection->head_only = false;
    connection->used = connection->seen = 0;
    prom_answer_text(server, status, why, &answer);
    begin_answer(server, connection, &answer);
}

/* Answer the request at the beginning of what has come; false: it is not whole. */
static bool answer_next(struct prom_server *server, struct prom_connection *connection)
{
    struct prom_request request;
    struct prom_answer answer;
    const char *why = "";
    int size = prom_request(connection->head, connection->used, connection->seen, &request, &why);

    connection->seen = connection->used;
    if (size == 0 && connection->used == PROM_HEAD_MAX) {
        size = -431;
        why = "the head of a request has at most 8192 bytes here";
    }
    if (size < 0)
        refuse(server, connection, -size, why);
    if (size <= 0)
        return size < 0;
    connection->used -= (size_t)size;
    connection->seen = 0;
    memmove(connection->head, connection->head + size, connection->used);
    connection->keep = request.keep && server->stop_ms == 0;
    connection->head_only = request.method == PROM_HEAD;
    prom_answer(server, &request, &answer);
    begin_answer(server, connection, &answer);
    return true;
}

/* ---- the states -------------------------------------------------------------------------------------------------- */

/* Read until a request is whole, and begin its answer. False: wait, or it is over. */
static bool read_on(struct prom_server *server, struct prom_connection *connection)
{
    while (!answer_next(server, connection)) {
        long got = take(connection, connection->head + connection->used, PROM_HEAD_MAX - connection->used);

        if (got == PROM_AGAIN)
            return false;
        if (got <= 0) {
            prom_connection_close(server, connection);
            return false;
        }
        if (connection->used == 0)
            connection->since_ms = server->now_ms; /* from its first byte on a request has its time */
        connection->used += (size_t)got;
    }
    return true;
}

/* True when the answer is out. */
static bool write_on(struct prom_server *server, struct prom_connection *connection)
{
    size_t body = connection->body && !connection->head_only ? (size_t)connection->body->bytes.size : 0;

    while (connection->sent < connection->header_size + body) {
        bool head = connection->sent < connection->header_size;
        const char *from = head ? connection->header + connection->sent
                                : (const char *)connection->body->bytes.data + connection->sent -
                                      connection->header_size;
        long put = give(connection, from, (head ? connection->header_size : connection->header_size + body) -
                                              connection->sent);

        if (put == PROM_AGAIN)
            return false;
        if (put <= 0) {
            prom_connection_close(server, connection);
            return false;
        }
        connection->sent += (size_t)put;
    }
    connection->body = prom_body_release(server, connection->body);
    return true;
}

/* The last answer is out: were the socket closed with bytes unread, the system would take the answer back. */
static void linger(struct prom_server *server, struct prom_connection *connection)
{
    connection->tls = prom_tls_close(connection->tls);
    (void)shutdown(connection->fd, SHUT_WR);
    connection->wait = POLLIN;
    move(server, connection, PROM_LINGERING);
}

static void drop_rest(struct prom_server *server, struct prom_connection *connection)
{
    long got;

    for (int i = 0; i < AT_ONCE; i++) {
        got = take(connection, connection->head, sizeof connection->head);
        if (got == PROM_AGAIN)
            return;
        if (got <= 0) {
            prom_connection_close(server, connection);
            return;
        }
    }
}

void prom_connection_ready(struct prom_server *server, struct prom_connection *connection)
{
    for (int i = 0; i < AT_ONCE; i++) {
        if (connection->state == PROM_LINGERING) {
            drop_rest(server, connection);
            return;
        }
        if (connection->state == PROM_READING && !read_on(server, connection))
            return;
        if (connection->state == PROM_WRITING && !write_on(server, connection))
            return;
        if (connection->keep)
            move(server, connection, PROM_READING);
        else
            linger(server, connection);
    }
    /* The next request may be here already, where no poll sees it; an answer is out, so the socket is writable. */
    connection->wait = connection->state == PROM_READING ? POLLOUT : POLLIN;
}

void prom_connection_sweep(struct prom_server *server, struct prom_connection *connection)
{
    uint64_t age = server->now_ms - connection->since_ms, timeout = server->options->timeout;

    switch (connection->state) {
    case PROM_READING:
        /* Without a byte of a request it may stay a while, once it has shown that it can ask. */
        if (age >= (connection->used || connection->sent == 0 ? timeout : PROM_IDLE_MS))
            prom_connection_close(server, connection);
        break;
    case PROM_WRITING:
        if (age >= timeout)
            prom_connection_close(server, connection);
        break;
    case PROM_LINGERING:
        if (age >= PROM_LINGER_MS)
            prom_connection_close(server, connection);
        break;
    default:
        break;
    }
}
