/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_internal.h - the tables of trace.c and trace_entry.c.
 */
#ifndef CORE_NODE_TRACE_INTERNAL_H
#define CORE_NODE_TRACE_INTERNAL_H

#include "core/node/internal.h"
#include "core/node/trace.h"

struct traced_request {
    struct trace_span span; /* number 0: the place is free */
    uint64_t use;
    uint64_t index; /* of its entry; 0: none yet */
    uint64_t term;
    bool is_read;
    const char *read; /* its level */
    char command[TRACE_TEXT_MAX];
    char peer[NODE_NAME_MAX];
};

struct traced_entry {
    uint64_t index; /* 0: the place is free */
    uint64_t term;
    struct gavel_trace context; /* what its spans on this node hang below */
    struct trace_span write;
    uint64_t io; /* that makes it durable; 0: it was not given to the log yet */
    bool written;
    bool applied;
};

struct traces {
    struct traced_request requests[TRACE_REQUESTS_MAX];
    struct traced_entry entries[TRACE_ENTRIES_MAX];
    uint32_t request_next;
    uint32_t entry_count;
    struct trace_span sending[TRACE_WIRE_MAX]; /* of the append at hand */
    uint64_t sending_index[TRACE_WIRE_MAX];
    uint64_t sending_term[TRACE_WIRE_MAX];
    uint32_t sending_count;
    unsigned char wire[TRACE_WIRE_MAX * TRACE_WIRE_BYTES];
};

/* A span below `parent`; number 0 and no context when it is not sampled. Only with node->traces. */
struct trace_span trace_child(struct node *node, const char *name, const struct gavel_trace *parent);
void trace_note_index(struct node *node, const struct origin *origin, uint64_t index, uint64_t term);

#endif
