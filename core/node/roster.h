/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roster.h - what members can do, and who else is there: the set of capabilities that each member declares, and nodes
 * that are no members of the cluster but register themselves, with an address and a time to live.
 *
 * All of it is replicated state: the same entries give the same table and the same digest everywhere. It reads no
 * clock; time is the cluster's tick of the entry at hand. It looks at no list of members but the one that a
 * configuration entry holds: who is not in it any more loses its set, and of a registered node that has the name of a
 * member the member is the one that stays. So the outcome depends on entries alone, and a log that was taken over into
 * a new cluster with other members gives the same table on each of them. [any], by whoever owns it: the apply lane has
 * one, the loop a copy of it.
 *
 * A set is what codec_capabilities makes: equal sets are equal bytes.
 */
#ifndef CORE_NODE_ROSTER_H
#define CORE_NODE_ROSTER_H

#include <gavel/abi.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/codec/capability.h"
#include "core/node/bytes.h"
#include "core/node/members.h"

#define ROSTER_NODES_MAX 4096 /* registered nodes of a cluster ... */
/* ... and bytes of their names, addresses and sets: a list of all is one message, in JSON too, where they may double */
#define ROSTER_BYTES_MAX (3u << 19)
#define ROSTER_MEMBERS_MAX (2 * NODE_MEMBERS_MAX) /* of an old and a new configuration together */
#define ROSTER_TTL_MIN_MS 1000
#define ROSTER_TTL_MAX_MS 86400000

/* A member that has declared a set. */
struct roster_member {
    uint64_t id;
    uint64_t index; /* of the entry that declared it */
    uint8_t *set;
    uint64_t set_bytes;
};

/* One that registered itself. */
struct roster_node {
    uint64_t index; /* of the entry that made what it says now; a renewal changes nothing of it */
    uint64_t since; /* of the entry that registered it first, in this stay */
    uint64_t tick;  /* of its last sign of life */
    uint64_t ttl_ms;
    char name[NODE_NAME_MAX];
    char address[NODE_URI_MAX];
    uint32_t set_bytes;
    uint8_t set[];
};

struct roster {
    uint32_t magic;
    uint32_t member_count;
    uint32_t count;
    uint32_t capacity;
    uint64_t bytes; /* of the nodes, as ROSTER_BYTES_MAX counts */
    uint64_t version; /* index of the entry that changed it last; 0: none ever has */
    struct roster_node **nodes; /* sorted by name */
    struct roster_member members[ROSTER_MEMBERS_MAX]; /* sorted by id */
};

/* What one node still has to bring into it; see roster_node.c. */
struct roster_wish {
    struct gavel_buffer set; /* what this node is to declare */
    bool settled;            /* that is what the cluster has */
    bool complained;
    uint64_t asked;   /* how often */
    uint64_t next_ns; /* not before */
    char expire_after[NODE_NAME_MAX]; /* the registered node whose expiry was proposed last */
};

/* A new, empty table; NULL when memory is out. */
struct roster *roster_new(void);

/* Free it; returns NULL; NULL is fine. */
struct roster *roster_free(struct roster *roster);

/* Forget everything. */
void roster_clear(struct roster *roster);

/* Make *to the same as *from, keeping what is the same already. GAVEL_E_LOCAL: *to is good for nothing but another
 * attempt. */
int32_t roster_copy(struct roster *to, const struct roster *from);

/* NULL: no member of that id has declared anything. */
const struct roster_member *roster_member(const struct roster *roster, uint64_t id);

/* NULL: nobody is registered under that name. */
const struct roster_node *roster_find(const struct roster *roster, struct gavel_slice name);

/* These are the members now: sets of those who are gone go too. */
void roster_members(struct roster *roster, const struct members *members);

/* The first registered node whose name is that of one of these members; NULL: none. */
const struct roster_node *roster_taken(const struct roster *roster, const struct members *members);

/*
 * A member declares a set (canonical, copied). *changed: it is another than before. GAVEL_E_BUSY: there are as many as
 * may be; GAVEL_E_LOCAL.
 */
int32_t roster_declare(struct roster *roster, uint64_t id, struct gavel_slice set, uint64_t index, bool *changed);

/* One that registers. */
struct roster_entry {
    struct gavel_slice name;
    struct gavel_slice address;
    struct gavel_slice set; /* canonical */
    uint64_t ttl_ms;
};

/*
 * Whether a list can hold it and show it: a name, an address or none, a set. Neither an entry of the log is trusted nor
 * a snapshot.
 */
bool roster_entry_valid(const struct roster_entry *entry);

/*
 * A node registers, or says again what it is, which is a sign of life too. *changed as above. GAVEL_E_BUSY: there are
 * ROSTER_NODES_MAX, or ROSTER_BYTES_MAX of them; GAVEL_E_LOCAL.
 */
int32_t roster_register(struct roster *roster, const struct roster_entry *entry, uint64_t index, uint64_t tick,
                        bool *changed);

/* A sign of life; false: it is not there. */
bool roster_keep(struct roster *roster, struct gavel_slice name, uint64_t tick);

/* False: it is not there. */
bool roster_deregister(struct roster *roster, struct gavel_slice name, uint64_t index);

/* Whether it is over at `tick`, and was not heard of since tick `seen`, which whoever proposed this knew of. */
bool roster_is_over(const struct roster *roster, struct gavel_slice name, uint64_t seen, uint64_t tick);

/* The first node behind the name `after` ("": of all) whose time is over at `tick`; NULL: none. */
const struct roster_node *roster_due(const struct roster *roster, const char *after, uint64_t tick);

/* Whether there is anything that a snapshot has to hold. */
bool roster_used(const struct roster *roster);

void roster_digest(const struct roster *roster, uint64_t sum[2]);
int32_t roster_save(const struct roster *roster, struct gavel_buffer *out);

/* Over an empty table; trusts nothing. GAVEL_E_CORRUPT, GAVEL_E_LOCAL. */
int32_t roster_load(struct roster *roster, struct bytes_cursor *cursor, struct gavel_error *error);

#endif
