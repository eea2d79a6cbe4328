/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws.h - the websocket transport's own objects: one transport (an instance) with its libwebsockets context, its
 * listeners, its connections, the HTTP requests that its hosts have not yet answered.
 *
 * Everything runs on the host's loop. In a turn of the loop: libwebsockets reads and gives messages up; then `check`
 * gives `quiet` up; then `prepare`, the last thing before the loop blocks, writes what was sent during the turn, kills
 * what has ended and gives `closed` up. Nothing is written and nothing killed from within a callback of libwebsockets.
 *
 * The words of libwebsockets' side: a `wsi` is its connection. It may die without us and outlive us, so the two know
 * each other by a number (a slot) that is looked up in each callback, never by a pointer from there to here.
 */
#ifndef TRANSPORTS_WEBSOCKET_WS_H
#define TRANSPORTS_WEBSOCKET_WS_H

#include "transports/address.h"
#include "transports/framing.h"
#include "transports/instance.h"
#include "transports/lookup.h"
#include "transports/sockets.h"

#include <gavel/plugin.h>
#include <gavel/transport.h>

#include <libwebsockets.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#define WS_MODULE "transport.websocket"
#define WS_SUBPROTOCOL "gavel.v1"

/* How long a closing connection may take to send what is queued, and to shake hands about its end. */
#define WS_LINGER_MS 1000u

/* libwebsockets' receive buffer: one read takes at most this much. */
#define WS_READ_BYTES 65536u

/* Messages are joined into a frame up to this size; a longer message travels in fragments of it. */
#define WS_FRAME_MAX 262144u

/* HTTP: the longest body that is taken, and how long a kept-alive connection may idle or take to read its answer. */
#define WS_BODY_MAX (1u << 20)
#define WS_HTTP_IDLE_MS 15000u
#define WS_HTTP_WRITE_MS 10000u
#define WS_HTTP_THINK_MS 120000u /* while the host has a request we do not read, and would not see its asker leave */
#define WS_HEADERS_MAX 24u

struct ws_options {
    uint64_t present;
    uint64_t backlog; /* of listen(2) */
};

/* The life of a connection; the allowed moves are a table in ws_connection.c. */
enum ws_state {
    WS_RESOLVING, /* a dial waits for the name's addresses */
    WS_DIALLING,  /* libwebsockets dials one address, or a probe asks why it could not */
    WS_SHAKING,   /* accepted; its request is awaited */
    WS_HTTP,      /* it carries HTTP requests; it may still upgrade */
    WS_OPEN,      /* known to the host as accepted or connected */
    WS_DRAINING,  /* the host closed it: what is queued goes out, then the close frame */
    WS_CLOSING,   /* the close frame is with libwebsockets; its answer is awaited, a second at the most */
    WS_CLOSED,    /* ended; told and killed when the turn ends */
    WS_STATES
};

struct ws_transport;
struct ws_request;

/* What only a dial needs, freed when it has led to a connection. */
struct ws_dial {
    struct address address;
    struct lookup *lookup;
    struct sockaddr_storage found[LOOKUP_MAX];
    uint64_t found_count;
    uint64_t next;
    bool refused;    /* every address so far was refused: nobody listens there */
    bool reached;    /* this attempt's TCP connection stood */
    bool inside;     /* inside libwebsockets' connect call: its callbacks only take notes */
    bool failed;     /* the attempt has failed, for `note` */
    bool probe_open;
    uv_tcp_t probe;
    uv_connect_t connect;
    char note[128];
};

struct ws_connection {
    uint32_t magic;
    enum ws_state state;
    struct ws_transport *transport;
    struct lws *wsi; /* NULL: there is none, or no more */
    uint64_t slot;   /* the number by which callbacks find us */
    LIST_ENTRY(ws_connection) all;
    struct instance_mark dirty;       /* something to flush, close or tell */
    TAILQ_ENTRY(ws_connection) ended; /* while is_ended */
    void *cookie;                     /* the host's */
    bool dialled;
    bool known;    /* the host knows it: closed will be told once */
    bool told;
    bool paused;
    bool high;     /* was over send_high: drained will be told */
    uint64_t taken; /* bytes that libwebsockets had read when the last HTTP request was whole; 0: there was none */
    bool waiting;  /* libwebsockets holds a part of what we wrote, and will call when it is gone */
    bool is_ended;
    bool timer_open;
    uv_timer_t timer; /* handshake, HTTP idle, linger */
    struct gavel_buffer out; /* LWS_PRE bytes of room, then the run of messages; `head` is where the unsent begins */
    uint64_t head;
    uint64_t frame_left; /* of the frame that is being sent in fragments */
    uint64_t held;       /* while waiting: at most this much is with libwebsockets */
    struct framing_in in;
    uint64_t silence;    /* sweeps since the last sign of life */
    uint64_t reason;
    uint64_t code; /* of the close frame */
    char why[256];
    char peer[160];
    struct ws_dial *dial;       /* until it is open or has failed */
    struct ws_request *request; /* the HTTP request that is being read or answered */
};

/* One HTTP request, from its head until the host's answer is written. */
struct ws_request {
    uint32_t magic;
    struct ws_transport *transport;
    struct ws_connection *connection; /* NULL: it has gone */
    LIST_ENTRY(ws_request) all;
    struct gavel_http_request what;
    struct gavel_attribute headers[WS_HEADERS_MAX];
    struct gavel_buffer text;  /* what the slices of `what` but the body point into */
    struct gavel_buffer body;
    struct gavel_buffer reply; /* LWS_PRE bytes of room, then the whole answer */
    uint64_t expected; /* bytes of the body */
    uint64_t sent;
    bool complete;   /* the body is whole and the host has it */
    bool answered;
    bool last;       /* close the connection after the answer */
};

struct ws_listener {
    uint32_t magic;
    struct ws_transport *transport;
    LIST_ENTRY(ws_listener) all;
    uv_poll_t poll;
    int fd;
    bool open;
    bool stuck; /* no descriptors or memory were left: ask again with the next sweep */
    char bound[ADDRESS_TEXT_MAX];
};

/* A slot: where callbacks find a connection by number. The generation makes an old number find nothing. */
struct ws_slot {
    struct ws_connection *connection;
    uint32_t generation;
    uint32_t next_free;
};

struct ws_transport {
    uint32_t magic;
    struct instance instance;
    bool destroying; /* the context's first destroy was called */
    struct lws_context *context; /* NULL until the first listen or connect */
    struct lws_vhost *server;
    struct lws_vhost *client;
    uv_handle_t *foreign[4]; /* the handles that the context put on our loop: it may be freed when they are gone */
    uint64_t foreign_count;
    int pipe_fd; /* of the context's event pipe; -1: not known */
    LIST_HEAD(, ws_connection) connections;
    TAILQ_HEAD(, ws_connection) ended;
    LIST_HEAD(, ws_listener) listeners;
    LIST_HEAD(, ws_request) requests;
    uint64_t inside; /* callbacks of libwebsockets that are being handled */
    struct ws_slot *slots;
    uint32_t slot_count;
    uint32_t slot_free; /* head of the free list, 0: none (slot 0 is never used) */
};

#define WS_TRANSPORT_MAGIC 0x57735472u
#define WS_CONNECTION_MAGIC 0x5773436eu
#define WS_LISTENER_MAGIC 0x57734c73u
#define WS_REQUEST_MAGIC 0x57735271u

/* ws_context.c: libwebsockets' context on the host's loop. */

/* Make the context when there is none yet. GAVEL_E_IO with a sentence, which names a missing package. */
int32_t ws_context_need(struct ws_transport *transport, struct gavel_error *error);

/* Begin to destroy it, or go on with that: to be called once a turn until it answers true: it is gone. */
bool ws_context_destroy(struct ws_transport *transport);

/* A wsi is being destroyed: close what libwebsockets forgets to close with it. */
void ws_context_forget(struct ws_transport *transport, struct lws *wsi);

/* Slots. A new number for the connection (its old one finds nothing any more); false when memory is out. */
bool ws_slot_renew(struct ws_connection *connection);
void ws_slot_drop(struct ws_connection *connection);
struct ws_connection *ws_slot_find(struct ws_transport *transport, uint64_t slot);

/* ws_callback.c: the one callback of both vhosts' protocols. */
int ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size);

/* ws_connection.c */

/* A new connection in `state`, linked into the instance, its time-out running; NULL when memory is out. */
struct ws_connection *ws_connection_new(struct ws_transport *transport, enum ws_state state);

/* Move to another state; asserts that the table allows it. */
void ws_move(struct ws_connection *connection, enum ws_state state);

/* The end, for `reason`, whose sentence is made of format; told and killed when the turn ends. */
void ws_end(struct ws_connection *connection, uint64_t reason, const char *format, ...) GAVEL_PRINTF(3, 4);

/* The handshake is done: tell the host. */
void ws_open_up(struct ws_connection *connection);

/* What libwebsockets gave of a message. `whole`: with this the websocket message ends. */
void ws_take(struct ws_connection *connection, const void *data, uint64_t size, bool whole);

/* Write what is queued as far as it goes, then what state the connection is in demands. Not within a callback. */
void ws_flush(struct ws_connection *connection);

/* Tell drained if it is due. */
void ws_tell_drained(struct ws_connection *connection);

/* Tell closed, once; when it has ended, kill what is left on libwebsockets' side and begin to free it. */
void ws_finish(struct ws_connection *connection);

/* Free the connection if nothing of it is with libuv any more. */
void ws_connection_gone(struct ws_connection *connection);

/* The keepalive and memory part of one sweep. */
void ws_connection_sweep(struct ws_connection *connection);

/* (Re)start the connection's timer. */
void ws_timer(struct ws_connection *connection, uint64_t milliseconds);

/* Operations of struct gavel_transport on one connection. */
int32_t ws_send(void *self, void *connection, const struct gavel_slice *parts, uint64_t count);
uint64_t ws_queued(void *self, void *connection);
void ws_pause(void *self, void *connection, uint64_t on);
void ws_close(void *self, void *connection, uint64_t reason, struct gavel_slice why);

/* ws_dial.c */
int32_t ws_connect(void *self, struct gavel_slice uri, void *cookie, void **connection, struct gavel_error *error);
void ws_dial_failed(struct ws_connection *connection, const char *note); /* from the callback */
void ws_dial_go(struct ws_connection *connection); /* at the end of the turn: dial what needs no lookup */
void ws_dial_free(struct ws_connection *connection);
bool ws_dial_busy(const struct ws_connection *connection); /* a probe's handle is not yet closed */

/* ws_listen.c */
int32_t ws_listen(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error);
void ws_unlisten(void *self);
void ws_listeners_free(struct ws_transport *transport);
void ws_listeners_retry(struct ws_transport *transport); /* accept again where descriptors or memory were out */

/* ws_http.c: each returns what the callback returns: 0, or -1 to have the connection closed. */
int ws_http_head(struct ws_connection *connection, const char *path, size_t size);
int ws_http_body(struct ws_connection *connection, const void *data, size_t size);
int ws_http_complete(struct ws_connection *connection);
int ws_http_write(struct ws_connection *connection);
void ws_http_gone(struct ws_connection *connection); /* the connection has ended */
void ws_requests_free(struct ws_transport *transport);
void ws_respond(void *self, void *request, uint64_t status, const struct gavel_attribute *headers,
                uint64_t header_count, struct gavel_slice body);

#endif
