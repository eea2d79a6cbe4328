/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gavel/transport.h - transport plugins: ordered, reliable connections that carry whole messages between nodes and from
 * clients, and HTTP requests where the wire can speak HTTP. A transport knows nothing of what it carries.
 *
 * Everything here is [loop].
 *
 * The unit on the wire is a batch: what was sent to one connection since the last flush travels in one frame,
 * each message behind its length. Messages keep their borders and order. The host owns the meaning of a
 * connection: it is told of an accepted or connected one and answers with a cookie of its own that every later
 * up-call for it carries.
 *
 * A connection's life: connect() -> connected | closed;  (listener) -> accepted;  then message*, drained*, then closed,
 * exactly once, whoever closes. After `closed` has returned the transport's handle is gone. close() may be called from
 * within any up-call; `closed` then follows later, from the loop.
 */
#ifndef GAVEL_TRANSPORT_H
#define GAVEL_TRANSPORT_H

#include <gavel/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why a connection ended. */
#define GAVEL_CLOSE_NORMAL 1    /* either side asked for it */
#define GAVEL_CLOSE_REFUSED 2   /* nobody listens there: certain, and the base of fast failover */
#define GAVEL_CLOSE_LOST 3      /* reset, end of stream, keep-alive without an answer */
#define GAVEL_CLOSE_TIMEOUT 4   /* the dial or its handshake took too long */
#define GAVEL_CLOSE_PROTOCOL 5  /* the other side broke the framing, or a message was over the limit */
#define GAVEL_CLOSE_UNRESOLVED 6 /* the host name has no address */
#define GAVEL_CLOSE_TLS 7       /* a certificate was missing or refused */
#define GAVEL_CLOSE_SLOW 8      /* its send queue stayed over the bound */

/* What is known of the other side; borrowed for the call. */
struct gavel_peer {
    uint64_t size;                    /* GAVEL_END(struct gavel_peer, name_count) */
    struct gavel_slice address;       /* "127.0.0.1:41212", for log lines and refusals */
    uint64_t secure;                  /* 1: TLS, and the certificate was verified */
    const struct gavel_slice *names;  /* names that the verified certificate carries; none without TLS */
    uint64_t name_count;
};

/* One HTTP request, its body whole; borrowed for the call. */
struct gavel_http_request {
    uint64_t size;               /* GAVEL_END(struct gavel_http_request, header_count) */
    struct gavel_slice method;   /* "GET" */
    struct gavel_slice path;     /* decoded, without the query */
    struct gavel_slice query;    /* raw, "" when there is none */
    struct gavel_slice body;
    const struct gavel_attribute *headers; /* lower-case names */
    uint64_t header_count;
};

/* The host's up-calls. `context` comes from listen's or connect's caller. */
struct gavel_transport_events {
    uint64_t size; /* GAVEL_END(struct gavel_transport_events, http) */
    void *context;
    /* A listener has a new connection. Returns the cookie; NULL refuses it, and the transport drops it silently. */
    void *(*accepted)(void *context, void *connection, const struct gavel_peer *peer);
    /* A dial has become a connection; `cookie` is what connect was given. */
    void (*connected)(void *context, void *cookie, const struct gavel_peer *peer);
    /* One whole message; borrowed for the call. */
    void (*message)(void *context, void *cookie, struct gavel_slice message);
    /* The last message of what arrived together has been given: a good moment to act on all of them at once. */
    void (*quiet)(void *context);
    /* The send queue, once over `send_high`, has fallen below a quarter of it. */
    void (*drained)(void *context, void *cookie);
    /* The end, once. `reason` is GAVEL_CLOSE_..., `why` a sentence. */
    void (*closed)(void *context, void *cookie, uint64_t reason, struct gavel_slice why);
    /* An HTTP request; answer with `respond`, now or later, exactly once. NULL: the host takes none (404). */
    void (*http)(void *context, void *request, const struct gavel_http_request *what);
};

/* Limits that the host sets before listen and connect. */
struct gavel_transport_limits {
    uint64_t size;          /* GAVEL_END(struct gavel_transport_limits, connections) */
    uint64_t message_bytes; /* a larger incoming message closes the connection with GAVEL_CLOSE_PROTOCOL */
    uint64_t send_high;     /* bytes queued for one connection after which send answers GAVEL_E_BUSY */
    uint64_t dial_ms;       /* a dial with its handshake takes at most this long */
    /* Silence after which the other side is asked; twice that: lost. A pause or a loop that stood still is none. */
    uint64_t keepalive_ms;
    uint64_t connections;   /* accepted at the same time; one more is refused and counted */
};

struct gavel_transport {
    uint64_t size;       /* GAVEL_END(struct gavel_transport, respond) */
    const char *schemes; /* the URI schemes it speaks, separated by blanks: "ws" */
    /* Before any listen or connect. */
    int32_t (*prepare)(void *self, const struct gavel_transport_events *events,
                       const struct gavel_transport_limits *limits, struct gavel_error *error);
    /*
     * Listen on a URI ("tcp://127.0.0.1:8080"; port 0 lets the system choose). *bound becomes the URI with the
     * real port, valid until destroy. GAVEL_E_IO with the reason (port in use, no such address). May be called
     * several times.
     */
    int32_t (*listen)(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error);
    /* Dial a URI. Never waits: the outcome is an up-call with `cookie`, never from within this call. */
    int32_t (*connect)(void *self, struct gavel_slice uri, void *cookie, void **connection, struct gavel_error *error);
    /*
     * Queue one message, gathered from `parts`; the bytes are copied. The last 64 KiB or so of small messages travel in
     * one frame; what is queued goes out at the latest when the loop's turn ends. GAVEL_E_BUSY: over send_high, nothing
     * was queued. GAVEL_E_CLOSED: it is not yet open, or closing. GAVEL_E_TOO_LARGE: over message_bytes: the other side
     * would not take it either.
     */
    int32_t (*send)(void *self, void *connection, const struct gavel_slice *parts, uint64_t count);
    /* Bytes that are queued for the connection and not yet given to the system. */
    uint64_t (*queued)(void *self, void *connection);
    /* Stop (1) or go on (0) reading from a connection: back-pressure. A message already read may still arrive. */
    void (*pause)(void *self, void *connection, uint64_t on);
    /* Close after what is queued was sent (at most 1 s), or at once when reason is GAVEL_CLOSE_PROTOCOL or _SLOW. */
    void (*close)(void *self, void *connection, uint64_t reason, struct gavel_slice why);
    /* Stop listening everywhere; connections stay. */
    void (*unlisten)(void *self);
    /* Optional: answer an HTTP request. Body and headers are copied. */
    void (*respond)(void *self, void *request, uint64_t status, const struct gavel_attribute *headers,
                    uint64_t header_count, struct gavel_slice body);
};

GAVEL_CHECK_LAYOUT(sizeof(struct gavel_peer) == 48);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_http_request) == 88);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_transport_events) == 72);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_transport_limits) == 48);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_transport) == 88);

#ifdef __cplusplus
}
#endif
#endif
