/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.c - spans of the node and of requests; trace_entry.c has those of entries.
 */
#include "core/node/trace_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/message.h"
#include "core/os/call.h"

#define USE_SHIFT 16 /* of origin.trace: a place + 1 below, and how often it was used above */

static_assert(TRACE_REQUESTS_MAX < 1 << USE_SHIFT, "a number's lower bits are its place");

/* ---- attributes ---------------------------------------------------------------------------------------- */

void trace_text(struct trace_attributes *attributes, const char *name, struct gavel_slice text)
{
    char *to;
    uint64_t size = text.size < TRACE_TEXT_MAX - 1 ? text.size : TRACE_TEXT_MAX - 1;

    if (attributes->count == TRACE_ATTRIBUTES_MAX)
        return;
    to = attributes->text[attributes->count];
    if (size)
        memcpy(to, text.data, size);
    to[size] = 0;
    attributes->item[attributes->count++] = (struct gavel_attribute){name, {to, size}};
}

void trace_number(struct trace_attributes *attributes, const char *name, uint64_t number)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    trace_text(attributes, name, gavel_text(text));
}

void trace_attributes(struct trace_attributes *attributes, const char *node)
{
    attributes->count = 0;
    trace_text(attributes, "node.id", gavel_text(node));
}

/* ---- traceparent --------------------------------------------------------------------------------------- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; /* capitals are refused */
}

static bool take_hex(const char *at, unsigned char *to, size_t count)
{
    bool zero = true;

    for (size_t i = 0; i < count; i++) {
        int high = digit(at[2 * i]), low = digit(at[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        to[i] = (unsigned char)(high << 4 | low);
        zero = zero && to[i] == 0;
    }
    return count == 1 || !zero; /* ids of zeros are none */
}

bool trace_parse(struct gavel_slice text, struct gavel_trace *trace)
{
    const char *at = text.data;
    unsigned char version, flags;
    bool well = text.size >= TRACE_PARENT_BYTES - 1 && at[2] == '-' && at[35] == '-' && at[52] == '-' &&
                take_hex(at, &version, 1) && version != 0xff && take_hex(at + 3, trace->trace_id, 16) &&
                take_hex(at + 36, trace->span_id, 8) && take_hex(at + 53, &flags, 1);

    /* A later version may say more behind a '-'; version 00 ends there. */
    if (well && text.size > TRACE_PARENT_BYTES - 1)
        well = version != 0 && at[55] == '-';
    if (!well)
        memset(trace, 0, sizeof *trace);
    else
        trace->flags = flags & 1;
    return well;
}

static void put_hex(char *to, const unsigned char *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)snprintf(to + 2 * i, 3, "%02x", from[i]);
}

void trace_format(const struct gavel_trace *trace, char text[TRACE_PARENT_BYTES])
{
    (void)snprintf(text, TRACE_PARENT_BYTES, "00-%032d-%016d-%02x", 0, 0, (unsigned)(trace->flags & 1));
    put_hex(text + 3, trace->trace_id, 16);
    text[35] = '-';
    put_hex(text + 36, trace->span_id, 8);
    text[52] = '-';
}

/* ---- life ---------------------------------------------------------------------------------------------- */

int32_t traces_new(struct node *node)
{
    const struct gavel_host *host = node->setup.host;

    if (!host || host->size < GAVEL_END(struct gavel_host, span_end) || !host->span_begin || !host->span_end)
        return GAVEL_OK;
    node->traces = calloc(1, sizeof *node->traces);
    return node->traces ? GAVEL_OK : GAVEL_E_NO_MEMORY;
}

void traces_free(struct node *node)
{
    free(node->traces);
    node->traces = NULL;
}

struct trace_span trace_child(struct node *node, const char *name, const struct gavel_trace *parent)
{
    const struct gavel_host *host = node->setup.host;
    struct trace_span span = {0};

    span.number = host->span_begin(host->self, name, parent, &span.context);
    if (!span.number)
        memset(&span.context, 0, sizeof span.context);
    return span;
}

struct trace_span trace_begin(struct node *node, const char *name)
{
    const struct gavel_trace always = {.flags = 1};

    return node->traces ? trace_child(node, name, &always) : (struct trace_span){0};
}

struct trace_span trace_asked(struct node *node, const char *name, struct gavel_slice traceparent)
{
    struct gavel_trace parent;

    return node->traces && traceparent.size && trace_parse(traceparent, &parent) ? trace_child(node, name, &parent)
                                                                                 : trace_begin(node, name);
}

struct trace_span trace_sampled(struct node *node, const char *name)
{
    return node->traces ? trace_child(node, name, NULL) : (struct trace_span){0};
}

void trace_end(struct node *node, struct trace_span *span, int64_t status, struct trace_attributes *attributes)
{
    const struct gavel_host *host = node->setup.host;

    if (span->number)
        host->span_end(host->self, span->number, status, attributes->item, attributes->count);
    *span = (struct trace_span){0};
}

void trace_end_numbers(struct node *node, struct trace_span *span, int64_t status, const char *first, uint64_t one,
                       const char *second, uint64_t two)
{
    struct trace_attributes attributes;

    if (!span->number)
        return;
    trace_attributes(&attributes, node->setup.name);
    if (first)
        trace_number(&attributes, first, one);
    if (second)
        trace_number(&attributes, second, two);
    trace_end(node, span, status, &attributes);
}

void trace_end_plain(struct node *node, struct trace_span *span, int64_t status)
{
    trace_end_numbers(node, span, status, NULL, 0, NULL, 0);
}

void trace_check(struct peer *peer, int64_t status)
{
    struct trace_attributes attributes;

    if (!peer->checking.number)
        return;
    trace_attributes(&attributes, peer->node->setup.name);
    trace_text(&attributes, "peer", gavel_text(peer->name));
    trace_end(peer->node, &peer->checking, status, &attributes);
}

static bool campaigns(uint32_t role)
{
    return role == RAFT_PRECANDIDATE || role == RAFT_CANDIDATE;
}

static void end_election(struct node *node, const char *result, int64_t status)
{
    struct trace_attributes attributes;

    if (!node->spans.election.number)
        return;
    trace_attributes(&attributes, node->setup.name);
    trace_number(&attributes, "term", node->term);
    trace_text(&attributes, "result", gavel_text(result));
    trace_end(node, &node->spans.election, status, &attributes);
}

void trace_role(struct node *node, uint32_t before, bool new_term)
{
    if (!node->traces)
        return;
    if (campaigns(before) && node->role == RAFT_LEADER)
        end_election(node, "won", GAVEL_OK);
    else if (campaigns(before) && !campaigns(node->role))
        end_election(node, "lost", GAVEL_OK);
    else if (before == RAFT_CANDIDATE && campaigns(node->role) && new_term)
        end_election(node, "timeout", GAVEL_E_TIMEOUT);
    if (campaigns(node->role) && !node->spans.election.number)
        node->spans.election = trace_begin(node, SPAN_ELECTION);
}

int32_t trace_listen(struct listener *listener, struct gavel_error *error)
{
    struct node *node = listener->node;
    struct trace_span span = trace_begin(node, SPAN_START);
    struct trace_attributes attributes;
    int32_t status = conn_listen_on(listener, error);

    trace_attributes(&attributes, node->setup.name);
    trace_text(&attributes, "transport", gavel_text(listener->transport->name));
    trace_end(node, &span, status, &attributes);
    return status;
}

/* ---- what is logged ------------------------------------------------------------------------------------ */

void trace_enter(struct node *node, struct trace_scope *scope, const struct gavel_trace *context)
{
    scope->entered = context != NULL;
    if (!context)
        return;
    scope->context = *context;
    scope->before = node->logging;
    scope->outside = os_trace_here;
    node->logging = &scope->context;
    os_trace_here = &scope->context;
}

void trace_enter_span(struct node *node, struct trace_scope *scope, const struct trace_span *span)
{
    trace_enter(node, scope, span->number ? &span->context : NULL);
}

void trace_leave(struct node *node, struct trace_scope *scope)
{
    if (!scope->entered)
        return;
    assert(node->logging == &scope->context);
    node->logging = scope->before;
    os_trace_here = scope->outside;
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static struct traced_request *request_of(const struct node *node, const struct origin *origin)
{
    uint64_t place = origin->trace & ((1u << USE_SHIFT) - 1);
    struct traced_request *request;

    if (!origin->trace || !node->traces)
        return NULL;
    assert(place <= TRACE_REQUESTS_MAX);
    request = &node->traces->requests[place - 1];
    return request->span.number && request->use == origin->trace >> USE_SHIFT ? request : NULL;
}

void trace_request(struct node *node, struct origin *origin, const char *name, const struct codec_request *request,
                   struct gavel_slice command)
{
    struct traces *traces = node->traces;
    struct gavel_trace parent;
    struct traced_request *slot = NULL;
    bool child;

    if (!traces || origin->trace)
        return;
    child = request->traceparent.size && trace_parse(request->traceparent, &parent);
    if (child ? !(parent.flags & 1) : request->forwarded != 0)
        return; /* whoever sent it on has decided for both */
    for (uint32_t i = 0; i < TRACE_REQUESTS_MAX && !slot; i++) {
        uint32_t at = (traces->request_next + i) % TRACE_REQUESTS_MAX;

        if (!traces->requests[at].span.number)
            slot = &traces->requests[at];
    }
    if (!slot)
        return;
    slot->span = trace_child(node, name, child ? &parent : NULL);
    if (!slot->span.number)
        return;
    slot->use++;
    slot->index = 0;
    slot->term = 0;
    slot->read = request->read == CODEC_READ_STALE ? "stale" : "linearizable";
    slot->is_read = strcmp(name, SPAN_READ) == 0;
    slot->peer[0] = 0;
    (void)snprintf(slot->command, sizeof slot->command, "%.*s", (int)command.size,
                   command.data ? (const char *)command.data : "");
    traces->request_next = (uint32_t)(slot - traces->requests) + 1;
    origin->trace = slot->use << USE_SHIFT | traces->request_next;
}

const struct gavel_trace *trace_of(const struct node *node, const struct origin *origin)
{
    const struct traced_request *request = request_of(node, origin);

    return request ? &request->span.context : NULL;
}

void trace_note_peer(struct node *node, const struct origin *origin, const char *peer)
{
    struct traced_request *request = request_of(node, origin);

    if (request)
        (void)snprintf(request->peer, sizeof request->peer, "%s", peer);
}

void trace_note_index(struct node *node, const struct origin *origin, uint64_t index, uint64_t term)
{
    struct traced_request *request = request_of(node, origin);

    request->index = index;
    request->term = term;
}

void trace_answered(struct node *node, const struct origin *origin, int64_t status, uint64_t index)
{
    struct traced_request *request = request_of(node, origin);
    struct trace_attributes attributes;

    if (!request)
        return;
    trace_attributes(&attributes, node->setup.name);
    trace_text(&attributes, "command", gavel_text(request->command));
    if (request->is_read)
        trace_text(&attributes, "level", gavel_text(request->read));
    if (request->peer[0])
        trace_text(&attributes, "peer", gavel_text(request->peer));
    if (request->index || index)
        trace_number(&attributes, "index", request->index ? request->index : index);
    if (request->term)
        trace_number(&attributes, "term", request->term);
    trace_end(node, &request->span, status < 0 ? status : 0, &attributes);
}
