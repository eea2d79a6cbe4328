/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members.h - who is in the cluster, with everything that the algorithm does not care for: names, addresses,
 * incarnations.
 *
 * The bytes of it are the payload of a configuration entry, part of the founding record and part of a
 * snapshot's meta.
 */
#ifndef CORE_NODE_MEMBERS_H
#define CORE_NODE_MEMBERS_H

#include <gavel/abi.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/node/node.h"
#include "core/raft/configuration.h"

struct member {
    uint64_t id;          /* assigned by the cluster, never used again */
    uint64_t incarnation; /* of its data directory */
    uint32_t role;        /* enum raft_member_role */
    uint32_t outgoing;
    uint32_t priority;
    uint32_t address_count;
    char name[NODE_NAME_MAX];
    char addresses[NODE_ADDRESSES_MAX][NODE_URI_MAX];
};

struct members {
    uint64_t next_id; /* what the next new member will be */
    uint32_t count;
    uint32_t reserved;
    struct member items[NODE_MEMBERS_MAX];
};

/* The member with that id or name, or NULL. */
const struct member *members_find(const struct members *members, uint64_t id);
const struct member *members_named(const struct members *members, const char *name);

/* Append them as bytes. GAVEL_E_NO_MEMORY. */
int32_t members_encode(const struct members *members, struct gavel_buffer *out);

/* The way back, trusting nothing. GAVEL_E_CORRUPT, GAVEL_E_VERSION. */
int32_t members_decode(struct gavel_slice bytes, struct members *members, struct gavel_error *error);

/* What the algorithm has to know of them. */
void members_configuration(const struct members *members, struct raft_configuration *configuration);

/* The members of `configuration` with the names that `known` has for them; false when it names a stranger. */
bool members_dress(const struct raft_configuration *configuration, const struct members *known,
                   struct members *out);

/* Text into a field of `size` bytes; false when it does not fit. */
bool members_copy_text(char *to, uint64_t size, struct gavel_slice text);

#endif
