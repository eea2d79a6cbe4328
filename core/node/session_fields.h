/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_fields.h - the limits of sessions as one field table: the INI's section [session] is read by it, and so are
 * the settings session.KEY, which take its place once a cluster is founded. A row flagged GAVEL_REPLICATED belongs to
 * the cluster, so all of them are.
 */
#ifndef CORE_NODE_SESSION_FIELDS_H
#define CORE_NODE_SESSION_FIELDS_H

#include <gavel/field.h>

/* [session] */
struct node_session_options {
    uint64_t present;
    uint64_t sessions;
    uint64_t window;
    uint64_t reply_bytes;
    uint64_t ttl; /* ms */
};

#define NODE_SESSION_ROW(member) .name = #member, .flags = GAVEL_REPLICATED, \
    .offset = offsetof(struct node_session_options, member)

/* The rows, for the initialiser of an array. */
#define NODE_SESSION_ROWS \
    {NODE_SESSION_ROW(sessions), .id = 1, .type = GAVEL_UINT, .fallback = "10000", .min = 1, .max = 1000000, \
     .unit = "sessions", .help = "Sessions of the whole cluster at the same time"}, \
    {NODE_SESSION_ROW(window), .id = 2, .type = GAVEL_UINT, .fallback = "1024", .min = 1, .max = 65536, \
     .unit = "requests", \
     .help = "Sequence numbers that a session may use above the lowest one it has not acknowledged"}, \
    {NODE_SESSION_ROW(reply_bytes), .id = 3, .type = GAVEL_SIZE, .fallback = "256KiB", .min = 1024, \
     .max = 64 << 20, .help = "Replies kept of one session"}, \
    {NODE_SESSION_ROW(ttl), .id = 4, .type = GAVEL_DURATION, .fallback = "10m", .min = 1000, \
     .max = INT64_C(2592000000), .help = "Cluster time after which an unused session expires"}

#endif
