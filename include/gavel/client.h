/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gavel/client.h - libgavel, the client library.
 *
 * A client talks to a cluster through a list of endpoints. It keeps one connection an endpoint, shared by all
 * threads of the program, follows the leader by the hints in replies, and asks another endpoint when one does not
 * answer. Everything happens on one thread of the library's own; there is a callback form and a waiting form of each
 * call, and both may be used from any thread at once. A callback runs on the library's thread: it must not wait, and
 * the waiting forms refuse to run there (GAVEL_E_STATE).
 *
 *     struct gavel_client_options options = gavel_client_defaults();
 *     struct gavel_request request = gavel_request_defaults();
 *     struct gavel_client *client;
 *     struct gavel_result *result;
 *     struct gavel_error error;
 *
 *     options.endpoints = "ws://127.0.0.1:8080,ws://127.0.0.1:8081,ws://127.0.0.1:8082";
 *     if (gavel_client_open(&options, &client, &error) != 0)
 *         die(error.text);
 *     request.command = "set";
 *     request.form = GAVEL_FORM_TEXT;
 *     request.arguments = gavel_text("key=color value=blue");
 *     if (gavel_call(client, &request, &result, &error) != 0)
 *         die(error.text);
 *     printf("revision %" PRIu64 "\n", gavel_get_uint(result->value, "revision", 0));
 *     gavel_result_free(result);
 *     gavel_client_close(client);
 *
 * What happened, and what may have happened. A call ends in exactly one of three ways:
 *   done      status 0, or the command's own refusal (GAVEL_E_CONDITION, _NOT_FOUND, _EXISTS, ...): it was decided.
 *   not done  GAVEL_E_NO_LEADER, _TIMEOUT, _BUSY, _CLOSED, _INVALID, _DENIED, _TOO_LARGE: nothing happened, nor will.
 *   unknown   GAVEL_E_UNKNOWN: it was sent and no answer came. It may have been done, or may yet be. Also a write that
 *             was done and whose result is larger than a message may be: the sentence says so, with the index.
 * Inside a session a write is sent again, over whichever node answers, until its time is over, and is still done at
 * most once; so *unknown* is rare there. Outside a session a write is never sent twice. A call that the caller declares
 * GAVEL_REPEATABLE (a read, or a write that may happen twice) is sent again too, and ends as unknown only
 * when it was done and its result can be carried by no message.
 *
 * Every error carries a sentence that says who was tried and what each one answered.
 *
 * Documents - arguments, results, values - are MessagePack. They are read with gavel_get_...(document, path),
 * printed with gavel_document_json and built with a gavel_builder; no knowledge of the encoding is needed.
 */
#ifndef GAVEL_CLIENT_H
#define GAVEL_CLIENT_H

#include <gavel/abi.h>
#include <gavel/serializer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bounds of the library. One more is refused with GAVEL_E_TOO_LARGE or GAVEL_E_BUSY and a sentence. */
#define GAVEL_CLIENT_ENDPOINTS 64       /* endpoints given and learned from hints together */
#define GAVEL_CLIENT_CALLS 65536        /* calls under way at one time, of one client */
#define GAVEL_CLIENT_MESSAGE 16777216   /* bytes of one message in either direction */
#define GAVEL_CLIENT_STREAMS 1024       /* streams open at one time, of one client */
#define GAVEL_SESSION_WINDOW 256        /* writes of one session sent and not answered; further ones wait their turn */
#define GAVEL_DOCUMENT_DEPTH 32         /* nesting of maps and arrays in a document */

/* ---- the client -------------------------------------------------------------------------------------------------- */

struct gavel_client;
struct gavel_session;

/* Roles. */
#define GAVEL_ROLE_CLIENT 1 /* the default */
#define GAVEL_ROLE_ADMIN 2  /* commands for operators; granted only over data_dir/admin.sock */

struct gavel_client_options {
    uint64_t size;          /* set by gavel_client_defaults */
    const char *endpoints;  /* URIs separated by commas or blanks: ws://host:port, tcp://host:port, unix:///path */
    const char *name;       /* what this program calls itself in the nodes' log lines; NULL: "libgavel" */
    const char *serializer; /* "msgpack" (the default) or "json"; NULL: the default */
    uint64_t timeout_ms;    /* the deadline of a call that names none; 0: 5,000 */
    uint64_t role;          /* GAVEL_ROLE_CLIENT or GAVEL_ROLE_ADMIN; 0: client */
    uint64_t stay;          /* 1: use the given endpoints only, follow no hint to others */
    /*
     * Optional: one event of the library's log (GAVEL_LOG_... of gavel/host.h), on its thread. `text` has no newline.
     */
    void (*log)(void *context, uint64_t level, const char *text);
    void *log_context;
};

/* [any] Options with everything at its default; `endpoints` is still to be set. */
static inline struct gavel_client_options gavel_client_defaults(void)
{
    struct gavel_client_options options;
    memset(&options, 0, sizeof options);
    options.size = GAVEL_END(struct gavel_client_options, log_context);
    return options;
}

/*
 * [any] Make a client and start its thread. Opens connections, but waits for none: an endpoint that is away is found
 * by the first call. GAVEL_E_INVALID: an endpoint that nothing here speaks, an unknown serializer;
 * GAVEL_E_NO_MEMORY, GAVEL_E_IO.
 */
GAVEL_EXPORT int32_t gavel_client_open(const struct gavel_client_options *options, struct gavel_client **client,
                                       struct gavel_error *error);

/*
 * [any, not from a callback] End it: calls under way end as GAVEL_E_CLOSED when they were not sent and
 * GAVEL_E_UNKNOWN when they were, streams end, sessions that were not closed are left to expire. Waits for the
 * thread. NULL is fine. Sessions and streams of the client may only be freed after this (gavel_session_close,
 * gavel_stream_close), not used.
 */
GAVEL_EXPORT void gavel_client_close(struct gavel_client *client);

/*
 * [any] Who was tried and what each answered, one line an endpoint, as text for people: "ws://127.0.0.1:8080:
 * connection refused". Returns the length that the whole text has; at most size - 1 bytes of it and a NUL are written.
 */
GAVEL_EXPORT uint64_t gavel_client_tried(struct gavel_client *client, char *text, uint64_t size);

/* [any] The version of the library, as "0.1.0". */
GAVEL_EXPORT const char *gavel_client_version(void);

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* Forms of arguments. */
#define GAVEL_FORM_MSGPACK 0 /* a map, keyed by the fields' names (or numbers); empty: no arguments */
#define GAVEL_FORM_TEXT 1    /* key=value ..., as on gavel's command line; typed by the command's table */
#define GAVEL_FORM_JSON 2    /* one object */

/* Read levels. */
#define GAVEL_LINEARIZABLE 0 /* sees every write that was acknowledged before the read began */
#define GAVEL_STALE 1        /* what the asked node has applied; works without a leader; result->stale says so */

/* Flags of a call. */
#define GAVEL_REPEATABLE 1u /* may be done twice, so it may be sent twice: every read, and writes that do not mind */

struct gavel_request {
    uint64_t size;                  /* set by gavel_request_defaults */
    const char *machine;            /* NAME of [statemachine.NAME]; NULL: as `command` says, or the one that has it */
    const char *command;            /* "set" or "main.set" */
    struct gavel_slice arguments;   /* in the form below; copied */
    uint64_t form;                  /* GAVEL_FORM_... */
    uint64_t read;                  /* GAVEL_LINEARIZABLE or GAVEL_STALE; writes take no notice of it */
    uint64_t flags;                 /* GAVEL_REPEATABLE */
    uint64_t timeout_ms;            /* from now, everything included; 0: the client's */
    struct gavel_session *session;  /* NULL: none */
    uint64_t min_index;             /* a read sees at least this index, also a stale one: result->index of a write */
    const char *traceparent;        /* a W3C trace context, "00-..."; NULL: none */
};

/* [any] A request with everything at its default; `command` is still to be set. */
static inline struct gavel_request gavel_request_defaults(void)
{
    struct gavel_request request;
    memset(&request, 0, sizeof request);
    request.size = GAVEL_END(struct gavel_request, traceparent);
    return request;
}

/* What a command answered. From a waiting call it is the caller's until gavel_result_free; in a callback borrowed. */
struct gavel_result {
    uint64_t size;            /* GAVEL_END(struct gavel_result, node) as the library was compiled */
    uint64_t index;           /* of the entry in the log; for a read the index that it saw */
    uint64_t ordinal;         /* with index the revision of the last event that it made; 0: none */
    struct gavel_slice value; /* the result document; an empty one is nil */
    uint64_t stale;           /* 1: a stale read was asked for, and this is one */
    uint64_t duplicate;       /* 1: done by an earlier attempt of the same call; this is its remembered answer */
    uint64_t attempts;        /* how often it was sent */
    const char *node;         /* URI of the endpoint that answered */
};

/*
 * [any, not from a callback] Call and wait. *result may be asked for with NULL when only the status matters. A
 * negative status is the command's or the library's own, with its sentence in *error.
 */
GAVEL_EXPORT int32_t gavel_call(struct gavel_client *client, const struct gavel_request *request,
                                struct gavel_result **result, struct gavel_error *error);

/* [loop of the library] How a call ended; `result` is NULL when status is negative; everything is borrowed. */
typedef void (*gavel_called)(void *context, int32_t status, const struct gavel_result *result,
                             const struct gavel_error *error);

/*
 * [any] Call; done(context, ...) runs once, later, on the library's thread, if and only if this returned 0.
 * GAVEL_E_BUSY over GAVEL_CLIENT_CALLS, GAVEL_E_CLOSED, GAVEL_E_INVALID.
 */
GAVEL_EXPORT int32_t gavel_call_async(struct gavel_client *client, const struct gavel_request *request,
                                      gavel_called done, void *context, struct gavel_error *error);

/* [any] NULL is fine. */
GAVEL_EXPORT void gavel_result_free(struct gavel_result *result);

/* ---- sessions ---------------------------------------------------------------------------------------------------- */

/*
 * [any] A session makes retries safe: each write in it has a number, and the cluster does each number at most once and
 * remembers its answer until the client has seen it. It is registered with its first write. One that expired
 * (nothing was written for long) is registered anew by the next write; writes that were under way may then end as
 * GAVEL_E_UNKNOWN. Writes of one session may overtake one another; who needs an order waits for the answer.
 */
GAVEL_EXPORT int32_t gavel_session_open(struct gavel_client *client, struct gavel_session **session,
                                        struct gavel_error *error);

/* [any] The number that the cluster gave it; 0 before its first write. */
GAVEL_EXPORT uint64_t gavel_session_id(const struct gavel_session *session);

/* [any] Close it at the cluster, without waiting, and free it. No call may be under way in it. NULL is fine. */
GAVEL_EXPORT void gavel_session_close(struct gavel_session *session);

/* ---- streams ----------------------------------------------------------------------------------------------------- */

struct gavel_stream;

/* One event; borrowed until the next gavel_stream_next, or for the callback. */
struct gavel_stream_event {
    uint64_t size;               /* GAVEL_END(struct gavel_stream_event, wall_ms) as the library was compiled */
    uint64_t index;              /* its revision: index of the log entry, 0 when it has none ... */
    uint64_t ordinal;            /* ... and which of that entry's events it is */
    struct gavel_slice type;     /* "leader_elected", "set", ... */
    struct gavel_slice key;      /* of what it is about; absent: nothing of that kind */
    struct gavel_slice value;    /* a document; absent: none */
    struct gavel_slice previous; /* the same, of before */
    struct gavel_slice machine;  /* NAME of the machine that it comes from; absent: the node itself */
    uint64_t wall_ms;            /* when, for people; 0: not told */
};

struct gavel_stream_options {
    uint64_t size;                /* set by gavel_stream_defaults */
    const char *machine;          /* NULL: the node's own */
    const char *name;             /* "events" */
    struct gavel_slice arguments; /* a MessagePack map: filters; may be empty */
    uint64_t credit;              /* events that may be on their way at one time; 0: 256 */
    uint64_t resume;              /* 1: begin behind (index, ordinal); 0: with what happens from now on */
    uint64_t index;
    uint64_t ordinal;
    /* Optional, on the library's thread: with it there is no gavel_stream_next. Credit returns as it returns. */
    void (*event)(void *context, const struct gavel_stream_event *event);
    /* Optional: the end, once, with its reason. */
    void (*ended)(void *context, int32_t reason, const struct gavel_error *error);
    void *context;
};

/* [any] Options with everything at its default; `name` is still to be set. */
static inline struct gavel_stream_options gavel_stream_defaults(void)
{
    struct gavel_stream_options options;
    memset(&options, 0, sizeof options);
    options.size = GAVEL_END(struct gavel_stream_options, context);
    return options;
}

/*
 * [any] Open a stream; does not wait. A stream lives on one connection. When that is lost, a stream that has seen a
 * revision is opened again behind it at another endpoint, without a gap and without a double in what comes from the log
 * (what nodes tell of themselves, as leader_elected, is each one's own); others end with GAVEL_E_CLOSED.
 * GAVEL_E_COMPACTED: the revision to resume from is gone, the sentence names the oldest one.
 */
GAVEL_EXPORT int32_t gavel_stream_open(struct gavel_client *client, const struct gavel_stream_options *options,
                                       struct gavel_stream **stream, struct gavel_error *error);

/*
 * [any, not from a callback; one thread at a time] Wait for the next event, at most timeout_ms (UINT64_MAX: for ever).
 * GAVEL_E_TIMEOUT: none came, the stream goes on. Any other negative status is its end and its reason.
 */
GAVEL_EXPORT int32_t gavel_stream_next(struct gavel_stream *stream, uint64_t timeout_ms,
                                       struct gavel_stream_event *event, struct gavel_error *error);

/* [any, not from a callback] End and free it. No callback runs after this has returned. NULL is fine. */
GAVEL_EXPORT void gavel_stream_close(struct gavel_stream *stream);

/* ---- read, change, compare, retry -------------------------------------------------------------------------------- */

/* The present value of a key, for gavel_update. */
struct gavel_current {
    uint64_t size;            /* GAVEL_END(struct gavel_current, attempt) as the library was compiled */
    uint64_t exists;          /* 0: there is no such key */
    uint64_t revision;        /* of its last change; 0 when it does not exist */
    struct gavel_slice value; /* a document */
    uint64_t attempt;         /* 1, 2, ... */
};

/*
 * Write the new value as one document into `next`. 0: store it; 1: leave everything as it is; negative: give up with
 * that status. It may be called several times, each time with the value of then. Runs on the caller's thread.
 */
typedef int32_t (*gavel_updater)(void *context, const struct gavel_current *current, struct gavel_writer *next,
                                 struct gavel_error *error);

struct gavel_update_options {
    uint64_t size;                 /* set by gavel_update_defaults */
    const char *machine;           /* NULL: the only one that has get and cas */
    struct gavel_session *session; /* NULL: one of its own, for this update */
    uint64_t timeout_ms;           /* of the whole; 0: the client's */
};

/* [any] Options with everything at its default. */
static inline struct gavel_update_options gavel_update_defaults(void)
{
    struct gavel_update_options options;
    memset(&options, 0, sizeof options);
    options.size = GAVEL_END(struct gavel_update_options, timeout_ms);
    return options;
}

/*
 * [any, not from a callback] Change a key of a store that has the commands get {key} -> {value, mod_revision} and cas
 * {key, value, revision}: read it, ask `updater`, write only if it is still at the revision that was read, and begin
 * again when it is not. `options` may be NULL. *revision (may be NULL) becomes the new revision, or the present one
 * when the updater changed nothing.
 */
GAVEL_EXPORT int32_t gavel_update(struct gavel_client *client, struct gavel_slice key, gavel_updater updater,
                                  void *context, const struct gavel_update_options *options, uint64_t *revision,
                                  struct gavel_error *error);

/* ---- nodes that register themselves ------------------------------------------------------------------------------ */

/*
 * A program that is no member of the cluster (a worker, a gateway) can be in its list of nodes: by a name that no
 * member has, with an address, with what it can do, and for as long as it gives signs of life. It shows in `gavel
 * member list` and `gavel node list`; who comes, changes and goes are events node_registered and node_deregistered.
 */

/* One thing that it can do, or is: a name of up to 63 of A-Z a-z 0-9 . _ - / and a value of up to 255 bytes. */
struct gavel_node_capability {
    const char *name;
    const char *value;
};

struct gavel_node_options {
    uint64_t size;       /* set by gavel_node_defaults */
    const char *name;    /* 1 to 63 of A-Z a-z 0-9 . _ - */
    const char *address; /* scheme://...; NULL: none */
    uint64_t ttl_ms;     /* of cluster time without a sign of life, 1,000 to 86,400,000; 0: 30,000 */
    const struct gavel_node_capability *capabilities;
    uint64_t capability_count; /* at most 64, and 4,096 bytes in all */
};

/* [any] Options with everything at its default; `name` is still to be set. */
static inline struct gavel_node_options gavel_node_defaults(void)
{
    struct gavel_node_options options;
    memset(&options, 0, sizeof options);
    options.size = GAVEL_END(struct gavel_node_options, capability_count);
    return options;
}

/*
 * [any, not from a callback] Register, or say anew what this node is, which is a sign of life too: a program that calls
 * this again and again, each third of its time to live, is there as long as it runs. Nothing is done in the background.
 * GAVEL_E_EXISTS: a member has the name; GAVEL_E_BUSY: the cluster holds as many as it may; GAVEL_E_INVALID,
 * GAVEL_E_TOO_LARGE; and what gavel_call answers.
 */
GAVEL_EXPORT int32_t gavel_node_register(struct gavel_client *client, const struct gavel_node_options *options,
                                         struct gavel_error *error);

/* [any, not from a callback] A sign of life alone. GAVEL_E_NOT_FOUND: its time ran out, or it was taken out. */
GAVEL_EXPORT int32_t gavel_node_keep(struct gavel_client *client, const char *name, struct gavel_error *error);

/* [any, not from a callback] Take it out. GAVEL_E_NOT_FOUND: it is not there. */
GAVEL_EXPORT int32_t gavel_node_deregister(struct gavel_client *client, const char *name, struct gavel_error *error);

/* ---- documents --------------------------------------------------------------------------------------------------- */

/* Kinds of values. */
#define GAVEL_DOCUMENT_ABSENT 0 /* not there, or not a well-formed document */
#define GAVEL_DOCUMENT_NIL 1
#define GAVEL_DOCUMENT_BOOL 2
#define GAVEL_DOCUMENT_UINT 3 /* whole numbers that are not negative */
#define GAVEL_DOCUMENT_INT 4  /* negative whole numbers */
#define GAVEL_DOCUMENT_REAL 5
#define GAVEL_DOCUMENT_STRING 6
#define GAVEL_DOCUMENT_BYTES 7
#define GAVEL_DOCUMENT_ARRAY 8
#define GAVEL_DOCUMENT_MAP 9

/*
 * [any] A path is names separated by dots, and numbers for the places of an array: "items.0.key"; "" or NULL is the
 * document itself. (A key with a dot in it is reached with gavel_document_at.) All of these are bounded and safe on
 * any bytes.
 */

/* [any] The value at `path` as a document; absent (data NULL) when there is none. */
GAVEL_EXPORT struct gavel_slice gavel_get(struct gavel_slice document, const char *path);
/* [any] Its kind, GAVEL_DOCUMENT_... */
GAVEL_EXPORT uint64_t gavel_get_kind(struct gavel_slice document, const char *path);
/* [any] A whole number that fits; `fallback` for everything else. */
GAVEL_EXPORT uint64_t gavel_get_uint(struct gavel_slice document, const char *path, uint64_t fallback);
GAVEL_EXPORT int64_t gavel_get_int(struct gavel_slice document, const char *path, int64_t fallback);
/* [any] Any number. */
GAVEL_EXPORT double gavel_get_real(struct gavel_slice document, const char *path, double fallback);
/* [any] 0 or 1. */
GAVEL_EXPORT int gavel_get_bool(struct gavel_slice document, const char *path, int fallback);
/* [any] The bytes of a string or of bytes; absent for everything else. */
GAVEL_EXPORT struct gavel_slice gavel_get_bytes(struct gavel_slice document, const char *path);
/* [any] Elements of an array, pairs of a map; 0 for everything else. */
GAVEL_EXPORT uint64_t gavel_get_count(struct gavel_slice document, const char *path);
/* [any] Element `place` of an array, or value of a map, and (unless NULL) its key; absent beyond the end. */
GAVEL_EXPORT struct gavel_slice gavel_document_at(struct gavel_slice document, uint64_t place, struct gavel_slice *key);

/* How JSON is printed. */
#define GAVEL_JSON_PRETTY 1u /* indented by two blanks, a line for each element */

/*
 * [any] The document as JSON text behind *out, without a final newline. What JSON has no word for is written as
 * the JSON serializer does: bytes that are no text as {"$base64": "..."}, whole numbers over 2^63 - 1 as
 * {"$uint": "..."}.
 */
GAVEL_EXPORT int32_t gavel_document_json(struct gavel_slice document, uint64_t flags, struct gavel_buffer *out,
                                         struct gavel_error *error);

/*
 * [any] One JSON value as a document behind *out; the reverse, those forms included. GAVEL_E_INVALID with the
 * place.
 */
GAVEL_EXPORT int32_t gavel_document_parse(struct gavel_slice json, struct gavel_buffer *out, struct gavel_error *error);

/* [any] The result as JSON text, NUL-terminated, to be given to free(); NULL when memory is out. */
GAVEL_EXPORT char *gavel_result_json(const struct gavel_result *result);

/* [any] An empty buffer on the library's heap (malloc), with no limit. */
GAVEL_EXPORT struct gavel_buffer gavel_client_buffer(void);

struct gavel_builder;

/* [any] A builder makes a document with the gavel_put_... functions of gavel/serializer.h. NULL when memory is out. */
GAVEL_EXPORT struct gavel_builder *gavel_builder_new(void);
/* [any] Its writer; the same one until it is freed or begun anew. */
GAVEL_EXPORT struct gavel_writer *gavel_builder_writer(struct gavel_builder *builder);
/* [any] Finish: the document, borrowed until begun anew or freed; GAVEL_E_INVALID for wrong nesting. */
GAVEL_EXPORT int32_t gavel_builder_end(struct gavel_builder *builder, struct gavel_slice *document,
                                       struct gavel_error *error);
/* [any] Empty it for another document. */
GAVEL_EXPORT void gavel_builder_again(struct gavel_builder *builder);
/* [any] NULL is fine. */
GAVEL_EXPORT void gavel_builder_free(struct gavel_builder *builder);

GAVEL_CHECK_LAYOUT(sizeof(struct gavel_client_options) == 72);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_request) == 96);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_result) == 72);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_stream_event) == 112);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_stream_options) == 96);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_current) == 48);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_update_options) == 32);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_node_capability) == 16);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_node_options) == 48);

#ifdef __cplusplus
}
#endif
#endif
