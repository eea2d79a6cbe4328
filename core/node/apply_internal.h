/* SPDX-License-Identifier: Apache-2.0 */
/* apply_internal.h - the inside of struct apply, for apply.c and apply_snapshot.c alone. */
#ifndef CORE_NODE_APPLY_INTERNAL_H
#define CORE_NODE_APPLY_INTERNAL_H

#include "core/node/apply.h"

#define APPLY_MAGIC 0x4150504cu

/* For one command's decoded arguments: lists of records grow beyond the 1 MiB of bytes that they came in. */
#define APPLY_ARENA_BYTES (4u << 20)

/* The largest record of a snapshot that is believed: a machine's chunk is some 64 KiB, but may hold one large
 * value. */
#define APPLY_RECORD_MAX (16u << 20)

struct apply {
    uint32_t magic;
    uint32_t machine_count;
    const struct node_machine *machines;
    const char *node;
    uint64_t session_ttl_ms;
    struct sessions *sessions;
    uint64_t index; /* of the last applied entry */
    uint64_t tick;
    struct gavel_buffer result; /* of the command at hand */
    uint8_t *arena;
    bool held; /* a snapshot is being walked */
    bool restoring;
    /* Restoring: bytes of an unfinished record, and the part that the stream is in. */
    struct gavel_buffer pending;
    struct gavel_buffer host_in;          /* part 0, until it is complete */
    uint64_t versions[NODE_MACHINES_MAX]; /* state versions that the snapshot names */
    uint32_t part;
    bool part_open;
    bool ended;
};

#endif
