/* SPDX-License-Identifier: Apache-2.0 */
/*
 * my-plugin.h - a transport: ordered connections of whole messages, over TCP on the host's libuv loop.
 *
 * On the wire: eight bytes of greeting from both sides, then messages, each behind its length (32 bits, the lowest byte
 * first). A length with the top bit set is a control: kind << 24 | size. Ping and pong keep a silent connection
 * honest; bye carries the reason of an end, and a sentence.
 *
 * A connection's handle is open from its first moment to its last, and the host hears of its end from that handle's
 * close callback: so exactly once, and never from within a call of the host's. What is sent is gathered until the
 * loop's turn ends, so that many small messages are one write.
 *
 *     RESOLVING -> CONNECTING -> MEETING -> OPEN -> DRAINING -> GONE     (GONE from everywhere; an accepted one
 *                                                                         begins with MEETING)
 */
#ifndef MY_PLUGIN_H
#define MY_PLUGIN_H

#include <gavel/transport.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <uv.h>

#define SCHEME "my-plugin"
#define LENGTH_MAX 0x7fffffffu
#define CONTROL_MAX 256u
#define BATCH_BYTES 65536u /* what is gathered goes out at this size at the latest, and at the end of the turn */

struct options {
    uint64_t present; /* begins every struct that a field table describes */
    uint64_t backlog;
};

enum state { RESOLVING, CONNECTING, MEETING, OPEN, DRAINING, GONE };

struct transport;

struct connection {
    TAILQ_ENTRY(connection) all;
    TAILQ_ENTRY(connection) dirty; /* has something to send when the turn ends */
    struct transport *transport;
    enum state state;
    void *cookie; /* the host's */
    int known;    /* to the host: it must hear of the end */
    int dialled, is_dirty, has_handle, is_resolving, is_paused, is_high, is_shut;
    uv_tcp_t tcp;
    uv_getaddrinfo_t resolving;
    uv_connect_t connecting;
    uv_write_t writing;
    uv_shutdown_t shutting;
    struct addrinfo *addresses;   /* of the dialled name */
    struct addrinfo *address;     /* the one that is tried */
    struct gavel_buffer in;       /* an unfinished message */
    struct gavel_buffer out;      /* gathered */
    struct gavel_buffer flying;   /* given to libuv */
    uint64_t deadline;            /* of the dial, the greeting or the drain; 0: none */
    uint64_t silence;             /* sweeps without a byte */
    uint64_t reason;
    char why[CONTROL_MAX];
    char peer[96];
};

struct listener {
    TAILQ_ENTRY(listener) all;
    struct transport *transport;
    uv_tcp_t tcp;
    int is_stuck; /* a connection waits, but there was no memory for it */
    char bound[128];
};

struct transport {
    const struct gavel_host *host;
    const struct options *options;
    uv_loop_t *loop;
    struct gavel_transport_events events;
    struct gavel_transport_limits limits;
    TAILQ_HEAD(, connection) connections;
    TAILQ_HEAD(, connection) dirty;
    TAILQ_HEAD(, listener) listeners;
    uint64_t accepted, handles, sweeps;
    int is_started, is_prepared, has_arrived, is_quiescing;
    uint64_t refused_metric;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t sweeper;
    void (*done)(void *context);
    void *done_context;
    char read_buffer[BATCH_BYTES]; /* of whichever connection reads at this moment */
};

/* ---- my-plugin-address.c ----------------------------------------------------------------------------------------- */

/* Split "my-plugin://host:port" or "my-plugin://[::1]:port". GAVEL_E_INVALID with a sentence. */
int32_t address_parse(struct gavel_slice uri, char host[256], char port[8], struct gavel_error *error);

/* "127.0.0.1:80" or "[::1]:80". */
void address_show(const struct sockaddr *address, char *text, size_t size);

/* ---- my-plugin-connection.c: what gavel/transport.h says of these ------------------------------------------------ */

int32_t connection_dial(void *context, struct gavel_slice uri, void *cookie, void **handle, struct gavel_error *error);
int32_t connection_send(void *context, void *handle, const struct gavel_slice *parts, uint64_t count);
uint64_t connection_queued(void *context, void *handle);
void connection_pause(void *context, void *handle, uint64_t on);
void connection_close(void *context, void *handle, uint64_t reason, struct gavel_slice why);

/* Take what waits at a listener. 0: there is no memory for it, and it waits on. */
int connection_accept(struct transport *self, uv_stream_t *listener);

/* The turn ends: send what was gathered. */
void connection_flush(struct connection *connection);

/* Look at silence and deadlines. */
void connection_sweep(struct connection *connection);

/* ---- my-plugin.c ------------------------------------------------------------------------------------------------- */

/* There is a connection: sweep from now on. */
void transport_sweep(struct transport *self);

/* Something that a quiescing instance waits for is gone. */
void transport_step_to_quiet(struct transport *self);

#endif
