/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_harness.h - a fake host over one libuv loop, for the tests of the transports: it hands out a table of
 * services, takes the up-calls and keeps what they said. Raw sockets play the peers that no transport would be.
 */
#ifndef TESTS_UNIT_TRANSPORT_HARNESS_H
#define TESTS_UNIT_TRANSPORT_HARNESS_H

#include <gavel/plugin.h>
#include <gavel/transport.h>

#include <stdbool.h>
#include <uv.h>

/* Everything in a test that should happen happens within this, or the test fails. */
#define HARNESS_DEADLINE_MS 60000u

struct harness_side;

/* What the host knows of one connection: the cookie of the up-calls. */
struct harness_peer {
    struct harness_side *side;
    struct harness_peer *next;
    void *connection;
    bool dialled;
    bool open;
    uint64_t messages;
    uint64_t bytes;
    uint64_t largest; /* message */
    uint64_t digest; /* over lengths and bytes, in order */
    uint64_t drained;
    uint64_t closed;
    uint64_t reason;
    char why[256];
    char address[160];
    unsigned char last[64]; /* the beginning of the last message */
    uint64_t last_size;
    bool echo;           /* send each message back */
    bool close_on_message; /* close from within the up-call */
    bool pause_on_message;
};

/* One instance of a transport with its host. */
struct harness_side {
    struct gavel_host host;
    struct gavel_transport_events events;
    struct gavel_transport_limits limits;
    const struct gavel_plugin *plugin;
    const struct gavel_transport *wire;
    void *self;
    struct harness_peer *peers; /* newest first; freed by harness_stop */
    uint64_t opened;            /* accepted or connected */
    uint64_t closed;
    uint64_t messages;
    uint64_t quiets;
    uint64_t warnings; /* log lines at WARN and above */
    char last_log[512];
    bool refuse;  /* answer accepted with NULL */
    bool echo;    /* peers are born with these */
    bool close_on_message;
    bool pause_on_message;
    bool in_call; /* inside listen, connect or close: no up-call may come */
    bool quiesced;
    uint64_t requests; /* http */
    void (*answer)(struct harness_side *side, void *request, const struct gavel_http_request *what);
    void *held; /* a request that `answer` keeps for later */
};

extern uv_loop_t harness_loop;

/* Instances that are started and not stopped: above 0 after a test, it failed and left them on its stack. */
extern unsigned harness_alive;

/* An instance of `plugin`, created, prepared with the side's limits (0: the transport's defaults) and started. */
void harness_start(struct harness_side *side, const struct gavel_plugin *plugin);

/* Quiesce, destroy, free the peers. Asserts that every connection that was open was told closed exactly once. */
void harness_stop(struct harness_side *side);

/* Listen; the test fails when it is refused. The answer lives until harness_stop. */
const char *harness_listen(struct harness_side *side, const char *uri);

/* Dial; the test fails when the call itself refuses. */
struct harness_peer *harness_dial(struct harness_side *side, const char *uri);

/* Dial and wait until it is open. */
struct harness_peer *harness_open(struct harness_side *side, const char *uri);

/* The newest peer of a side that is still open. */
struct harness_peer *harness_newest(struct harness_side *side);

int32_t harness_send(struct harness_peer *peer, const void *data, uint64_t size);
void harness_close(struct harness_peer *peer, uint64_t reason, const char *why);

/* Turn the loop until *counter >= wanted; fails the test after the deadline, naming `what`. */
void harness_until(const uint64_t *counter, uint64_t wanted, const char *what);

/* Turn the loop for some milliseconds of its own time: only for things that must not happen. */
void harness_turn(uint64_t milliseconds);

/* Turn the loop once without blocking. */
void harness_poll(void);

/* The digest that a peer has after exactly this message. */
uint64_t harness_digest(uint64_t digest, const void *data, uint64_t size);

/* ---- raw sockets: blocking calls with the loop turned between them ----------------------------------------------- */

/* Connect to the address of a URI (tcp, ws or unix). */
int raw_connect(const char *uri);

/* A listener that never answers: its URI in `uri` (at least 64 bytes). */
int raw_listen(const char *scheme, char *uri);

/* Send all, turning the loop. False when the other side has closed. */
bool raw_send(int fd, const void *data, size_t size);

/* Read up to `size` bytes, turning the loop until that many came or the other side closed. Returns how many. */
size_t raw_read(int fd, void *data, size_t size);

/* Turn the loop until the other side has closed; whatever it sent is thrown away. False after the deadline. */
bool raw_wait_closed(int fd);

/* Read until `text` has arrived, turning the loop; at most `size` bytes into `data`, NUL-terminated. */
bool raw_read_until(int fd, char *data, size_t size, const char *text);

/* Close with a reset instead of an end of the stream. */
void raw_reset(int fd);

#endif
