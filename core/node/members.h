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
    uint64_t version; /* index of the configuration entry that made them; 0: the founding */
    uint64_t next_id; /* what the next new member will be */
    uint32_t count;
    uint32_t reserved;
    struct member items[NODE_MEMBERS_MAX];
};

/* The member with that id, or NULL. */
const struct member *members_find(const struct members *members, uint64_t id);

/*
 * The one with that name, or NULL. Names are unique but for one moment: in the joint configuration of a replacement
 * the old member is leaving while the new one of the same name is there already. The one that leaves is not found.
 */
const struct member *members_named(const struct members *members, const char *name);

/* The one that lists this address (and is not leaving), or NULL. */
const struct member *members_at_address(const struct members *members, const char *address);

/* Whether it is well formed: a name of 1 to 63 of A-Z a-z 0-9 . _ - ; an address like scheme://something. */
bool members_name_valid(struct gavel_slice name);
bool members_address_valid(struct gavel_slice address);

/* Append them as bytes. GAVEL_E_NO_MEMORY. */
int32_t members_encode(const struct members *members, struct gavel_buffer *out);

/* The way back, trusting nothing. GAVEL_E_CORRUPT, GAVEL_E_VERSION. */
int32_t members_decode(struct gavel_slice bytes, struct members *members, struct gavel_error *error);

/* What the algorithm has to know of them. */
void members_configuration(const struct members *members, struct raft_configuration *configuration);

/*
 * The members of `configuration` with the names that `wanted` (may be NULL) or else `known` has for them; false when
 * it names a stranger. next_id is that of `wanted`, if there is one; version is that of neither: 0.
 */
bool members_dress(const struct raft_configuration *configuration, const struct members *wanted,
                   const struct members *known, struct members *out);

/* Text into a field of `size` bytes; false when it does not fit. */
bool members_copy_text(char *to, uint64_t size, struct gavel_slice text);

/*
 * A sentence of somebody else into a field of `size` bytes (512 at most), as much as fits: UTF-8 whatever it was, for a
 * document takes nothing else, and without control characters.
 */
void members_show_text(char *to, uint64_t size, struct gavel_slice text);

#endif
