/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ends.h - both ends of connections: instances of a transport whose up-calls are kept and judged, and a relay between
 * them that cuts the stream where no transport would.
 */
#ifndef CORE_CHECK_ENDS_H
#define CORE_CHECK_ENDS_H

#include "core/check/face.h"
#include "core/check/kit.h"

#include <pthread.h>
#include <stdatomic.h>

/* For everything that should happen: 30 s, unless the whole check has less. */
#define ENDS_DEADLINE_MS (kit.deadline_ms / 2)

#define END_WHY "the check is done with it" /* what end_close says */

struct side;

/* What is known of one connection: the cookie. */
struct end {
    struct side *side;
    struct end *next;
    void *connection;
    bool dialled;
    uint64_t opened;
    uint64_t closed;
    uint64_t reason;
    char why[160];
    uint64_t messages;
    uint64_t bytes;
    uint64_t digest; /* over lengths and bytes, in order */
    uint64_t drained;
};

/* One instance. */
struct side {
    struct face face;
    struct gavel_transport_events events;
    struct gavel_transport_limits limits;
    const struct gavel_transport *wire;
    void *self;
    struct end *ends; /* newest first */
    uint64_t opened, closed, messages;
    uint64_t quiets;
    bool loud; /* a message came, and no quiet behind it yet */
    bool in_call;          /* within listen, connect, send or close: no up-call may come */
    bool echo;             /* send each message back */
    bool refuse;           /* NULL for what is accepted */
    bool close_on_message; /* from within the up-call */
    bool close_on_open;    /* from within connected and accepted */
    bool pause_on_message;
    const char *dial_on_message; /* once, from within the up-call */
    void (*http)(struct side *side, void *request, const struct gavel_http_request *what);
    void *request; /* for `http`: held */
};

/* An instance: created, started, prepared with its limits (0: the transport's own). */
void side_open(struct side *side, const char *name);
/* quiesce, destroy; every connection must have been told closed exactly once. */
void side_close(struct side *side);

/* Listen; the URI with its port, or the check is skipped: this kit plays on 127.0.0.1. */
const char *side_listen(struct side *side);

/*
 * Play at each place that this kit has: 127.0.0.1, by the first scheme, and a socket file where "unix" is among the
 * schemes. (Other schemes need certificates and the like.)
 */
void ends_everywhere(void (*play)(void));

/* Let the loop turn for so long. */
void ends_wait(uint64_t ms);

/* Dial; what comes of it is an up-call. */
struct end *side_dial(struct side *side, const char *uri);
/* Dial `to`, and wait until both ends are open; the other side's end in *accepted. */
struct end *side_connect(struct side *side, const char *uri, struct side *to, struct end **accepted);

/* Send one message in up to three parts; the status. */
int32_t end_send(struct end *end, const void *data, uint64_t size);
void end_close(struct end *end, uint64_t reason);

/* pause, on or off. */
void end_pause(struct end *end, bool on);
/* Bytes queued. */
uint64_t end_queued(const struct end *end);

/* The digest after one more message. */
uint64_t end_digest(uint64_t digest, const void *data, uint64_t size);

/* Wait, or fail with "expected WHAT". */
void ends_until(const uint64_t *counter, uint64_t wanted, const char *what);

/* Two instances, one of which listens. Zeroed, or with limits and habits set, before pair_open. */
struct pair {
    struct side server, client;
    const char *uri;
};

void pair_open(struct pair *pair);
/* Both are closed, and nothing may be left on the loop. */
void pair_close(struct pair *pair);
/* One connection: the client's end; the server's in *accepted. */
struct end *pair_connect(struct pair *pair, struct end **accepted);

/* `size` bytes of a pattern; the caller frees them. */
unsigned char *ends_pattern(uint64_t size);

/* 127.0.0.1's port in a URI; 0: none. */
uint16_t ends_port(const char *uri);
/* The same URI with another port, in static memory. */
const char *ends_at_port(const char *uri, uint16_t port);

/* ---- the relay: relay.c ------------------------------------------------------------------------------------------ */

struct relay {
    uint16_t port;   /* where it listens */
    uint16_t target; /* where it dials */
    int listener;
    uint64_t byte_by_byte; /* of each direction: so many bytes go singly, then in random pieces; 0: as they come */
    atomic_uint_fast64_t reset_after; /* bytes in all after which both ends are reset; 0: never */
    atomic_bool frozen; /* hands on nothing, and closes nothing: a cable that was pulled out */
    atomic_bool stop;
    pthread_t thread;
};

void relay_open(struct relay *relay, uint16_t target);
void relay_close(struct relay *relay);

/* A plain socket connected to 127.0.0.1:port. */
int raw_connect(uint16_t port);
/* A listening socket of 127.0.0.1; its port. */
int raw_listen(uint16_t *port);
/* What comes until the other side closes, or an HTTP answer is whole; its size. At most `size` - 1 bytes and a NUL. */
size_t raw_answer(int fd, char *to, size_t size);
/* A close that the other side sees as a reset. */
void raw_reset(int fd);
/* True when the other side has closed within the deadline; what it sends is thrown away, and the loop turns. */
bool raw_closed(int fd);

#endif
