/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_core.h - the objects of libgavel: a client, its endpoints, calls, sessions and streams. One struct each,
 * and which of the files beside it moves them. Everything is [loop] unless it says otherwise; other threads only
 * post jobs.
 *
 *   client_open.c      the client's life, transports, who was tried
 *   client_endpoint.c  one endpoint: dial, hello, back-off, messages in and out
 *   client_call.c      one call: wait, send, answer, again, deadline
 *   client_session.c   one session: register, number, window, expiry
 *   client_stream.c    one stream: open, credit, events, resume
 *   client_schema.c    the command tables of the cluster's machines, from `describe`
 *   client_wait.c      the waiting forms, for threads of the program
 *   client_update.c    gavel_update
 */
#ifndef CORE_CLIENT_CLIENT_CORE_H
#define CORE_CLIENT_CLIENT_CORE_H

#include <stdatomic.h>
#include <stdbool.h>

#include <gavel/client.h>
#include <gavel/transport.h>

#include "client_host.h"
#include "client_timers.h"

#include "core/codec/message.h"
#include "core/os/list.h"

#define CLIENT_MAGIC 0x6c63636cu
#define CLIENT_ENDPOINT_MAGIC 0x6c636570u
#define CLIENT_CALL_MAGIC 0x6c636361u
#define CLIENT_SESSION_MAGIC 0x6c637365u
#define CLIENT_STREAM_MAGIC 0x6c637374u

#define CLIENT_TRANSPORTS 2       /* tcp, websocket */
#define CLIENT_TIMEOUT_MS 5000    /* of a call, when neither it nor the client says */
#define CLIENT_DIAL_MS 2000       /* a dial, its handshake and the hello, each */
#define CLIENT_HEDGE_MS 250       /* a dial that takes longer does not keep the next endpoint from being asked */
#define CLIENT_SILENCE_MS 1000    /* a node is silent so long while a call waits: what may be sent elsewhere is */
#define CLIENT_KEEPALIVE_MS 5000  /* silence on a connection after which it is probed */
#define CLIENT_RETRY_MIN_MS 50    /* back-off of dials and of calls: doubles up to the most, and is jittered by half */
#define CLIENT_RETRY_MAX_MS 2000
#define CLIENT_SAID 160           /* bytes kept of what an endpoint answered */
#define CLIENT_MARGIN_MS 500      /* a node is told a tenth less time than is left, at most so much less, so that ... */
#define CLIENT_MARGIN_PART 10     /* ... its own answer is back before the time is over here */

/* The life of an endpoint. The moves are a table in client_endpoint.c. */
enum client_endpoint_state {
    CLIENT_ENDPOINT_IDLE,     /* nothing is open, a dial may begin */
    CLIENT_ENDPOINT_DIALING,  /* the transport is at it */
    CLIENT_ENDPOINT_GREETING, /* the hello is sent */
    CLIENT_ENDPOINT_READY,    /* the welcome has come: calls may be sent */
    CLIENT_ENDPOINT_CLOSING,  /* closed by us; the transport's `closed` is awaited */
    CLIENT_ENDPOINT_WAITING,  /* the back-off runs */
    CLIENT_ENDPOINT_STATES
};

struct client_endpoint {
    uint32_t magic;
    enum client_endpoint_state state;
    struct gavel_client *client;
    char *uri;
    uint32_t transport; /* which of client->transports */
    uint32_t failures;  /* dials in a row without a welcome */
    bool learned;       /* from a hint: dropped from sentences while it was never tried */
    bool json;          /* the serializer that the welcome chose */
    bool full;          /* the transport's send queue is: wait for `drained` */
    bool leaving;       /* the node ends this connection: nothing new is sent on it if another one is ready */
    void *connection;
    uint64_t heard;   /* client_host_now() of the last message from it */
    uint64_t dialled; /* when the dial began, then when the hello was sent */
    struct client_timer timer; /* hedge, hello, back-off: by state */
    struct os_list sent;       /* calls that wait for their reply here */
    char name[64];             /* of the node, from its welcome */
    char said[CLIENT_SAID];    /* what it answered last; "" when it was not tried */
};

struct client_transport {
    const struct gavel_plugin *plugin;
    const struct gavel_transport *operations;
    void *self;
    void *options;
    struct gavel_host services; /* the host's, with an instance name */
    struct gavel_client *client;
    struct gavel_transport_events events;
    struct gavel_transport_limits limits;
};

/* The life of a call. */
enum client_call_state {
    CLIENT_CALL_NEW,      /* posted, not yet seen by the loop */
    CLIENT_CALL_TABLES,   /* its arguments are text: the command tables are being fetched */
    CLIENT_CALL_SESSION,  /* its session is being registered, or the window is full */
    CLIENT_CALL_WAITING,  /* for an endpoint that is ready */
    CLIENT_CALL_SENT,
    CLIENT_CALL_BACKING,  /* told to come again: its timer says when */
    CLIENT_CALL_DONE
};

struct client_call {
    uint32_t magic;
    enum client_call_state state;
    struct client_job job;
    struct gavel_client *client;
    char *machine;
    char *command;
    char *traceparent;
    struct gavel_buffer arguments; /* MessagePack once prepared; text before */
    uint64_t form;
    uint64_t read;
    uint64_t min_index;
    uint64_t timeout_ms;
    uint64_t deadline; /* client_host_now() */
    bool repeatable;
    bool told;         /* the attempt under way has been answered: come again */
    bool maybe;        /* an attempt was sent whose outcome is not known, and it is not repeatable */
    struct gavel_session *session;
    uint64_t session_id; /* under which it was numbered */
    uint64_t sequence;   /* 0: not numbered yet */
    uint64_t first_sent; /* client_host_now() of the first send under this number */
    uint64_t sent;       /* the same of the last send */
    uint64_t attempts;
    int32_t last; /* the last status that told it to wait */
    uint32_t backoff_ms;
    uint64_t id;                   /* 0: not in the table */
    struct client_endpoint *where; /* while SENT */
    struct os_list link;           /* of client->waiting, an endpoint's sent, a session's queue, the tables' queue */
    struct os_list every;          /* of client->every */
    struct os_list member;         /* of its session's numbered calls */
    struct client_timer timer;
    gavel_called done;
    void *context;
};

enum client_session_state { CLIENT_SESSION_NEW, CLIENT_SESSION_REGISTERING, CLIENT_SESSION_OPEN };

struct gavel_session {
    uint32_t magic;
    enum client_session_state state;
    struct gavel_client *client;
    struct client_job job;
    _Atomic uint64_t id;
    _Atomic uint32_t calls; /* under way in it, posted ones included */
    bool closed;            /* the program let go of it while it was being registered */
    uint64_t ttl_ms;        /* how long it lives unused; 0: not told */
    uint64_t next;          /* the next number */
    struct os_list numbered; /* calls that have a number of the present id, lowest first */
    struct os_list queue;    /* calls that wait for registration or window */
    struct os_list link;     /* of client->sessions */
};

struct client_command {
    const char *machine;
    const char *name;
    uint64_t flags; /* GAVEL_READ, GAVEL_WRITE */
    const struct gavel_fields *fields; /* NULL: no arguments */
    const char *help;    /* may be NULL */
    const char *example; /* may be NULL */
};

/* The command tables, rebuilt from one `describe`. */
struct client_schema {
    struct gavel_buffer document; /* the answer itself: tables point into it */
    struct codec_arena arena;
    void *arena_memory;
    struct client_command *commands;
    uint32_t count;
};

struct gavel_client {
    uint32_t magic;
    struct client_host host;
    struct client_timers timers;
    char *name;
    uint64_t role;
    uint64_t timeout_ms;
    bool stay;
    bool prefer_json;
    bool closing;
    struct client_transport transports[CLIENT_TRANSPORTS];
    uint32_t transport_count;
    uint32_t transports_open; /* not yet quiesced, while closing */
    struct client_endpoint *endpoints[GAVEL_CLIENT_ENDPOINTS];
    uint32_t endpoint_count;
    uint32_t current; /* the endpoint to ask: the leader where it is known */
    /* Calls by id: id = round * GAVEL_CLIENT_CALLS * 2 + place, so that a late reply finds nobody. */
    struct client_call **table;
    uint32_t table_size;
    uint32_t table_next;
    uint64_t round;
    _Atomic uint32_t calls;   /* under way, posted ones included */
    _Atomic uint32_t streams; /* the same */
    struct os_list every;     /* calls that have begun */
    struct os_list waiting;   /* calls for an endpoint that is ready */
    struct os_list wanting;   /* calls for the command tables */
    struct os_list sessions;
    struct os_list opened; /* streams */
    struct client_schema *schema;
    bool schema_coming;
    struct gavel_buffer out; /* scratch: one encoded message */
    void *arena;             /* scratch: one decoded message */
    uint64_t arena_size;
    struct client_job begin;
    struct client_job stop;
    struct client_job end;
    /* [any] */
    char *_Atomic store;        /* NAME of the machine that gavel_update works on; NULL: not known yet */
    pthread_mutex_t tried_lock; /* guards `said` of the endpoints and their number, for reports to other threads */
};

const struct gavel_plugin *gavel_plugin_json(void); /* the entry of plugins/serializers/json */

/* ---- client_open.c ----------------------------------------------------------------------------------------------- */

/* [any] Write who was tried and what each answered into `text`, joined by "; ". */
void client_tried(struct gavel_client *client, char *text, size_t size, const char *between);

/* One log event of the library's own. */
void client_log(struct gavel_client *client, uint64_t level, const char *format, ...) GAVEL_PRINTF(3, 4);

/* ---- client_endpoint.c ------------------------------------------------------------------------------------------- */

/* Add an endpoint unless it is there; its number, or a negative code with a sentence. */
int32_t client_endpoint_add(struct gavel_client *client, struct gavel_slice uri, bool learned,
                            struct gavel_error *error);
void client_endpoint_free(struct client_endpoint *endpoint);

/* Someone needs a connection: dial where that may help. */
void client_endpoint_demand(struct gavel_client *client);

/* The best endpoint that is ready; NULL when none is. */
struct client_endpoint *client_endpoint_pick(struct gavel_client *client);

/* The present endpoint could not help: turn to another one. */
void client_endpoint_rotate(struct gavel_client *client, const struct client_endpoint *from);

/* Encode and send one message; GAVEL_E_BUSY: its queue is full; GAVEL_E_CLOSED. */
int32_t client_endpoint_send(struct client_endpoint *endpoint, uint64_t type, const void *message,
                             struct gavel_error *error);

/* What was under way on an endpoint that goes away has ended or moved: close it. */
void client_endpoint_left(struct client_endpoint *endpoint);

/* Close it for good, while the client closes. */
void client_endpoint_close(struct client_endpoint *endpoint);

/* Remember what it answered. [loop] */
void client_endpoint_said(struct client_endpoint *endpoint, struct gavel_slice what);

/* The up-calls, for client_open.c to hand to the transports. */
void client_endpoint_events(struct client_transport *transport);

/* ---- client_call.c ----------------------------------------------------------------------------------------------- */

/* [any] A call from a request, not yet posted. NULL with a sentence in *error. */
struct client_call *client_call_new(struct gavel_client *client, const struct gavel_request *request,
                                    gavel_called done, void *context, struct gavel_error *error);
void client_call_free(struct client_call *call);

/* Begin: the job of a posted call. */
void client_call_begin(struct client_call *call);

/* Its arguments are MessagePack, its number is given if it needs one: send it as soon as it may. */
void client_call_go(struct client_call *call);

/* Let it get another number in its session. */
void client_call_again(struct client_call *call);

/* End it with this. */
void client_call_finish(struct client_call *call, int32_t status, const struct gavel_result *result,
                        const struct gavel_error *error);
void client_call_fail(struct client_call *call, int32_t status, const char *format, ...) GAVEL_PRINTF(3, 4);

/* A reply came from an endpoint. */
void client_call_reply(struct client_endpoint *from, const struct codec_reply *reply);

/* The connection is lost; `lost` are the calls that were sent over it. */
void client_call_lost(struct client_endpoint *endpoint, struct os_list *lost);

/* An endpoint is ready, or has drained: send what waits. */
void client_call_flush(struct gavel_client *client);

/* An id of the same numbering for something that is no call: a stream. */
uint64_t client_call_id(struct gavel_client *client);

/* End every call, because the client closes. */
void client_call_end_all(struct gavel_client *client);

/* ---- client_session.c -------------------------------------------------------------------------------------------- */

/* A call of a session wants its number: now (client_call_go follows) or later. */
void client_session_enter(struct client_call *call);

/* A numbered call is done. */
void client_session_leave(struct client_call *call);

/* All replies up to this number have come. */
uint64_t client_session_acked(const struct gavel_session *session, const struct client_call *call);

/* The cluster does not know the call's session any more. */
void client_session_expired(struct client_call *call, const struct gavel_error *why);

/* The client ends: its sessions may only be freed from now on. */
void client_session_orphan_all(struct gavel_client *client);

/* ---- client_schema.c --------------------------------------------------------------------------------------------- */

/* A call with text for arguments: convert it now, or fetch the tables first. client_call_fail when it cannot be. */
void client_schema_prepare(struct client_call *call);

/* The command of that name; NULL, with a sentence that names the nearest one. */
const struct client_command *client_schema_find(const struct client_schema *schema, const char *machine,
                                                const char *command, struct gavel_error *error);

/* The only machine that has the commands get and cas; NULL when there is none, or several. */
const char *client_schema_store(const struct client_schema *schema);

/* [any] Tables from the answer to `describe`. NULL with a sentence. */
struct client_schema *client_schema_new(struct gavel_slice described, struct gavel_error *error);
void client_schema_free(struct client_schema *schema);

/* [any] Split text at blanks, quotes as in a shell; pairs and their count in *words (one block, to be freed). */
int32_t client_schema_words(struct gavel_slice text, char ***words, uint64_t *count, struct gavel_error *error);

/* [any] key=value pairs as a MessagePack map behind *out, typed by the command's table; without one (NULL) by guess. */
int32_t client_schema_pairs(const struct client_command *command, const char *const *pairs, uint64_t count,
                            struct gavel_buffer *out, struct gavel_error *error);

/* ---- client_wait.c ----------------------------------------------------------------------------------------------- */

/* [any] A condition on the monotonic clock, and a wait for it until a moment of client_host_now() (UINT64_MAX: for
 * ever): 0, also when woken for nothing, or GAVEL_E_TIMEOUT. */
void client_condition_init(pthread_cond_t *condition);
int32_t client_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until);

/* ---- client_stream.c --------------------------------------------------------------------------------------------- */

void client_stream_event(struct client_endpoint *from, const struct codec_stream_event *event);
void client_stream_end(struct client_endpoint *from, const struct codec_stream_end *end);
void client_stream_lost(struct client_endpoint *endpoint);
/* The endpoint goes away: whether a stream is open on it; all events up to `index` have come; open them elsewhere. */
bool client_stream_at(const struct client_endpoint *endpoint);
void client_stream_seen(struct client_endpoint *endpoint, uint64_t index);
void client_stream_move(struct client_endpoint *endpoint);
void client_stream_flush(struct gavel_client *client);
void client_stream_end_all(struct gavel_client *client);
bool client_stream_waits(const struct gavel_client *client);

#endif
