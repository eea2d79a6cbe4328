/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - the founding record as bytes, read and written again without a node: for tools that work off line.
 *
 *   record   u32 version, cluster id 16 bytes, u64 sessions, u64 window, u64 reply bytes, u64 ttl ms,
 *            u32 machines, of each: name, plugin, u64 state version, options ("name=value\n" lines);
 *            then the members, see members.h
 *
 * A text is a u32 length and its bytes.
 */
#ifndef CORE_NODE_RECORD_H
#define CORE_NODE_RECORD_H

#include "core/log/log.h"
#include "core/node/members.h"

#define RECORD_VERSION 1

struct record_machine {
    struct gavel_slice name;
    struct gavel_slice plugin;
    uint64_t version; /* of its state, at the founding */
    struct gavel_slice options;
};

/* Slices are borrowed from the bytes that were read. */
struct record {
    struct log_cluster_id cluster_id;
    uint64_t limits[4]; /* sessions, window, reply bytes, ttl ms */
    uint32_t machine_count;
    struct record_machine machines[NODE_MACHINES_MAX];
    struct gavel_slice before_members; /* everything from the limits on to the members */
    struct gavel_slice members;        /* what members_decode takes */
};

/* [any] Read one, trusting nothing but leaving the members as they are. GAVEL_E_CORRUPT, GAVEL_E_VERSION. */
int32_t record_read(struct gavel_slice bytes, struct record *record, struct gavel_error *error);

/* [any] Append the same founding for another cluster of other members. GAVEL_E_NO_MEMORY and those of record_read. */
int32_t record_rewrite(struct gavel_slice bytes, const struct log_cluster_id *cluster_id,
                       const struct members *members, struct gavel_buffer *out, struct gavel_error *error);

#endif
