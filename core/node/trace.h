/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.h - the spans of a node, so that one write is one trace: client -> leader -> log -> each follower -> apply ->
 * reply. Everything is [loop] but apply_traced_....
 *
 *   a client's request   traceparent in it, or a trace of its own by the ratio of [trace]
 *   -> another node      a request that is sent on carries the span of the node that sends it
 *   -> the others        an append carries {index, trace id, span id} of its traced entries beside the batches, which
 *                        are stored and stay as they are
 *
 * What is not traced costs a comparison: a node whose host has no spans has no table, and one that traces nothing at
 * present has an empty one. Both tables are bounded: what finds no place is not traced.
 */
#ifndef CORE_NODE_TRACE_H
#define CORE_NODE_TRACE_H

#include <gavel/host.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/node/spans.h"

#define TRACE_REQUESTS_MAX 256   /* traced requests under way on this node */
#define TRACE_ENTRIES_MAX 256    /* traced entries that are not applied and written yet */
#define TRACE_WIRE_BYTES 32      /* of one entry in an append: u64 index, 16 bytes trace id, 8 bytes span id */
#define TRACE_WIRE_MAX 32        /* entries that one append tells of */
#define TRACE_RUN_MAX 32         /* entries of one run that are traced */
#define TRACE_PARENT_BYTES 56    /* "00-...-...-01" with its NUL */
#define TRACE_ATTRIBUTES_MAX 8
#define TRACE_TEXT_MAX 64        /* bytes of an attribute's value with its NUL; longer ones are cut */

/* Names, by the symbols of spans.h. */
#define SPAN(symbol, name, kind, attributes, help) static const char SPAN_##symbol[] __attribute__((unused)) = name;
NODE_SPANS(SPAN)
#undef SPAN

struct node;
struct peer;
struct traces;
struct codec_request;
struct codec_raft;
struct apply_run;
struct origin;
struct log_batch;
struct listener;

/* Attributes in the making; node.id is the first. */
struct trace_attributes {
    uint64_t count;
    struct gavel_attribute item[TRACE_ATTRIBUTES_MAX];
    char text[TRACE_ATTRIBUTES_MAX][TRACE_TEXT_MAX];
};

/* A span that is under way: all zero is none. */
struct trace_span {
    uint64_t number;
    struct gavel_trace context;
};

/* What is logged between trace_enter and trace_leave belongs to that trace; a copy, for its span may end in between. */
struct trace_scope {
    struct gavel_trace context;
    const struct gavel_trace *before;  /* of the node */
    const struct gavel_trace *outside; /* of the thread */
    bool entered;
};

/* NULL: to the one that is at hand, if any. They nest. */
void trace_enter(struct node *node, struct trace_scope *scope, const struct gavel_trace *context);
void trace_enter_span(struct node *node, struct trace_scope *scope, const struct trace_span *span);
void trace_leave(struct node *node, struct trace_scope *scope);

/* [any] */
void trace_attributes(struct trace_attributes *attributes, const char *node);
void trace_text(struct trace_attributes *attributes, const char *name, struct gavel_slice text);
void trace_number(struct trace_attributes *attributes, const char *name, uint64_t number);

/* [any] "00-TRACE-SPAN-FLAGS" (W3C Trace Context, level 1); false: it is none, and *trace is all zero. */
bool trace_parse(struct gavel_slice text, struct gavel_trace *trace);
void trace_format(const struct gavel_trace *trace, char text[TRACE_PARENT_BYTES]);

/* A table if the host has spans; GAVEL_E_NO_MEMORY. */
int32_t traces_new(struct node *node);
void traces_free(struct node *node);

/* Spans of the node itself, which have no parent and are always traced: they are rare. */
struct trace_span trace_begin(struct node *node, const char *name);
/* The same for what a request asks for: in its trace, as that is sampled, if it carries one. */
struct trace_span trace_asked(struct node *node, const char *name, struct gavel_slice traceparent);
/* The same by the ratio of [trace]: for what happens all the time. */
struct trace_span trace_sampled(struct node *node, const char *name);
void trace_end(struct node *node, struct trace_span *span, int64_t status, struct trace_attributes *attributes);

/* With no attribute but node.id; and with numbers by name: a NULL name is not there. */
void trace_end_plain(struct node *node, struct trace_span *span, int64_t status);
void trace_end_numbers(struct node *node, struct trace_span *span, int64_t status, const char *first, uint64_t one,
                       const char *second, uint64_t two);

/* The check of a peer's health has come to an end. */
void trace_check(struct peer *peer, int64_t status);

/* This node's role has changed from `before`. */
void trace_role(struct node *node, uint32_t before, bool new_term);

/* conn_listen_on, in a span. */
int32_t trace_listen(struct listener *listener, struct gavel_error *error);

/* ---- requests ------------------------------------------------------------------------------------------ */

/* A client's request has been understood: a span by `name`, in origin->trace; 0 when it is not traced. */
void trace_request(struct node *node, struct origin *origin, const char *name, const struct codec_request *request,
                   struct gavel_slice command);
/* The context of a request's span; NULL: it is not traced. */
const struct gavel_trace *trace_of(const struct node *node, const struct origin *origin);
/* The request is answered. */
void trace_answered(struct node *node, const struct origin *origin, int64_t status, uint64_t index);
void trace_note_peer(struct node *node, const struct origin *origin, const char *peer);

/* ---- entries ------------------------------------------------------------------------------------------- */

/* The leader has proposed `index` for that request. */
void trace_proposed(struct node *node, const struct origin *origin, uint64_t index, uint64_t term);
/* Entries first..last go to the log, with that io: their spans begin. */
void trace_writing(struct node *node, uint64_t first, uint64_t last, uint64_t io);
/* Everything up to this io is durable. */
void trace_written(struct node *node, uint64_t io);
void trace_truncated(struct node *node, uint64_t from);
void trace_applied(struct node *node, uint64_t index);
/* Tell of the traced entries that the append at hand carries; the spans end with trace_sent. */
void trace_send(struct node *node, uint64_t first, uint64_t last, struct codec_raft *wire);
void trace_sent(struct node *node, const struct peer *peer);
/* What an append of the leader tells, before the core has looked at it: from..last are its entries. */
void trace_received(struct node *node, const struct codec_raft *wire, const struct log_batch *const *batches,
                    uint32_t count);

/* ---- the apply lane ------------------------------------------------------------------------------------ */

/* Tell the run which of its entries are traced. */
void trace_run(struct node *node, struct apply_run *run);

#endif
