/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.h - the tcp transport's own objects: one transport (an instance), its listeners, its connections.
 *
 * Everything runs on the host's loop. In a turn of the loop: reads give messages up; what was sent is written when the
 * turn ends, and then `closed` is given up (transports/instance.h).
 */
#ifndef TRANSPORTS_TCP_TCP_H
#define TRANSPORTS_TCP_TCP_H

#include "transports/address.h"
#include "transports/framing.h"
#include "transports/instance.h"
#include "transports/lookup.h"

#include <gavel/plugin.h>
#include <gavel/transport.h>

#include <sys/queue.h>
#include <uv.h>

#define TCP_MODULE "transport.tcp"

/* How long a closing connection may take to send what is queued, and to hear the other side's end. */
#define TCP_LINGER_MS 1000u

/* One read takes at most this much; the buffer is shared by all connections of an instance. */
#define TCP_READ_BYTES 65536u

struct tcp_options {
    uint64_t present;
    uint64_t backlog; /* of listen(2) */
};

/* The life of a connection; the allowed moves are a table in tcp_connection.c. */
enum tcp_state {
    TCP_RESOLVING,  /* a dial waits for the name's addresses */
    TCP_CONNECTING, /* a dial waits for one address, perhaps for the old attempt's handle to close first */
    TCP_GREETING,   /* the preamble of the other side is awaited */
    TCP_OPEN,       /* known to the host as accepted or connected */
    TCP_DRAINING,   /* the host closed it: what is queued goes out, then the end of the stream */
    TCP_LINGERING,  /* our end is sent: whatever arrives is thrown away until the other side's end, or a second */
    TCP_CLOSED,     /* the handles are closing */
    TCP_STATES
};

struct tcp_transport;

/* What only a dial needs, freed when it has led to a connection. */
struct tcp_dial {
    struct address address;
    struct lookup *lookup;
    struct sockaddr_storage found[LOOKUP_MAX];
    uint64_t found_count;
    uint64_t next;
    bool refused; /* every address so far was refused: nobody listens there */
};

struct tcp_connection {
    uint32_t magic;
    enum tcp_state state;
    struct tcp_transport *transport;
    LIST_ENTRY(tcp_connection) all;
    struct instance_mark dirty;        /* something to flush, or a drained to tell */
    TAILQ_ENTRY(tcp_connection) ended; /* while is_ended: closed is to be told */
    void *cookie;                      /* the host's */
    bool dialled;                      /* by us; else accepted */
    bool known;                        /* the host knows it: closed will be told once */
    bool told;                         /* closed was told */
    bool paused;
    bool reading;
    bool high;      /* was over send_high: drained will be told */
    bool writing;   /* `flying` is with libuv */
    bool stopping;  /* the stream's end is with libuv */
    bool is_ended;
    bool stream_open; /* `stream` is initialised and not yet closed */
    bool timer_open;
    bool retrying;    /* the handle of a failed attempt is closing, the next one follows */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_timer_t timer; /* handshake, later linger */
    union {
        uv_connect_t connect;
        uv_shutdown_t shutdown;
    } request; /* a connect is over before a shutdown begins */
    uv_write_t write;
    struct gavel_buffer out;    /* what was sent since the last flush */
    struct gavel_buffer flying; /* what libuv is writing */
    struct framing_in in;
    unsigned char greeting[FRAMING_PREAMBLE];
    uint64_t greeted;    /* bytes of the preamble seen */
    uint64_t silence;    /* sweeps since the last sign of life */
    uint64_t reason;     /* why it ended */
    char why[256];
    char peer[160];      /* the other side's address, for sentences */
    struct tcp_dial *dial; /* until it is open or has failed */
};

struct tcp_listener {
    uint32_t magic;
    struct tcp_transport *transport;
    LIST_ENTRY(tcp_listener) all;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    bool open;
    bool local;    /* a unix socket */
    bool stuck;    /* memory was out: one connection waits to be accepted again */
    uint64_t inode; /* of the socket file, so that only our own is removed */
    struct address address;
    char bound[ADDRESS_TEXT_MAX];
};

struct tcp_transport {
    uint32_t magic;
    struct instance instance;
    LIST_HEAD(, tcp_connection) connections;
    TAILQ_HEAD(tcp_ended, tcp_connection) ended;
    LIST_HEAD(, tcp_listener) listeners;
    unsigned char read[TCP_READ_BYTES];
};

#define TCP_TRANSPORT_MAGIC 0x54635472u
#define TCP_CONNECTION_MAGIC 0x5463436eu
#define TCP_LISTENER_MAGIC 0x54634c73u

/* tcp_connection.c */

/* A new connection in `state`, linked into the instance; NULL when memory is out. Its stream is not yet initialised. */
struct tcp_connection *tcp_connection_new(struct tcp_transport *transport, enum tcp_state state);

/* Move to another state; asserts that the table allows it. */
void tcp_move(struct tcp_connection *connection, enum tcp_state state);

/* Begin the exchange of preambles on a stream that is connected, and start its time-out when it was accepted. */
void tcp_greet(struct tcp_connection *connection);

/* The end, for `reason`, whose sentence is made of format. Frees later; telling `closed` comes later in the turn. */
void tcp_end(struct tcp_connection *connection, uint64_t reason, const char *format, ...) GAVEL_PRINTF(3, 4);

/* Write what is queued as far as the system takes it. */
void tcp_flush(struct tcp_connection *connection);

/* Tell drained if it is due. */
void tcp_tell_drained(struct tcp_connection *connection);

/* Tell closed, once, if the host knows the connection. */
void tcp_tell_closed(struct tcp_connection *connection);

/* Free the connection if nothing of it is with libuv any more. */
void tcp_connection_gone(struct tcp_connection *connection);

/* The keepalive and memory part of one sweep. */
void tcp_connection_sweep(struct tcp_connection *connection);

/* Operations of struct gavel_transport on one connection. */
int32_t tcp_send(void *self, void *connection, const struct gavel_slice *parts, uint64_t count);
uint64_t tcp_queued(void *self, void *connection);
void tcp_pause(void *self, void *connection, uint64_t on);
void tcp_close(void *self, void *connection, uint64_t reason, struct gavel_slice why);

/* tcp_dial.c */

/* Operation. */
int32_t tcp_connect(void *self, struct gavel_slice uri, void *cookie, void **connection, struct gavel_error *error);

/* Free what only the dial needed; a lookup under way goes on by itself and finds nobody. */
void tcp_dial_free(struct tcp_connection *connection);

/* tcp_listen.c: operations. */
int32_t tcp_listen(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error);
void tcp_unlisten(void *self);
void tcp_listeners_free(struct tcp_transport *transport);
void tcp_listeners_retry(struct tcp_transport *transport); /* accept again where memory was out */

#endif
