/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/configuration.h - who takes part in a cluster, as the algorithm sees it.
 *
 * The algorithm knows members by a number, a role and a priority. Names, addresses and incarnations are the
 * business of the node, which keeps them in the same log entry next to what is written here and hands the
 * decoded form to the core with every configuration batch.
 *
 * Joint consensus (thesis 4.3): while a change of the voters is under way, the configuration in force holds
 * both sets. `role` is the place of a member in the new set (C_new), `outgoing` says that it also is a voter
 * of the old one (C_old). Agreement, elections and reads then need a majority of each set, apart. A
 * configuration is joint exactly when one of its members is `outgoing`.
 */
#ifndef GAVEL_CORE_RAFT_CONFIGURATION_H
#define GAVEL_CORE_RAFT_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More members than this would not make a cluster safer, and every one costs the leader a window of bytes. */
#define RAFT_MEMBERS_MAX 32

/* The place of a member in the new (or only) set. The values are stored in the log: never reuse one. */
enum raft_member_role {
    RAFT_VOTER = 1,   /* votes, and counts for agreement */
    RAFT_LEARNER = 2, /* receives the log, counts for nothing, stays so */
    RAFT_JOINING = 3, /* like a learner, until the leader finds it close and makes it a voter */
    RAFT_LEAVING = 4, /* only a voter of the old set of a joint configuration: gone when that is left */
};

/*
 * The priority of a member that is not to lead. It does so only when it alone holds what somebody who would lead lacks:
 * for as long as it takes to hand that over. Else losing one member could cost a cluster more than that member.
 */
#define RAFT_PRIORITY_NEVER UINT32_MAX

struct raft_member {
    uint64_t id;       /* assigned by the cluster, never 0, never used again */
    uint32_t role;     /* enum raft_member_role */
    uint32_t outgoing; /* 1: a voter of the old set of a joint configuration; else 0 */
    uint32_t priority; /* higher is preferred as leader; 0 is the ordinary value, RAFT_PRIORITY_NEVER stands below it */
    uint32_t reserved; /* 0 */
};

struct raft_configuration {
    uint32_t count;    /* members in use, at most RAFT_MEMBERS_MAX */
    uint32_t reserved; /* 0 */
    struct raft_member members[RAFT_MEMBERS_MAX];
};

/* The member with that id, or NULL. Borrowed from the configuration. */
const struct raft_member *raft_configuration_find(const struct raft_configuration *configuration,
                                                  uint64_t id);

/* Whether a change of voters is under way in it. */
bool raft_configuration_joint(const struct raft_configuration *configuration);

/* Whether the member is a voter of the new or of the old set. False for an unknown id. */
bool raft_configuration_voter(const struct raft_configuration *configuration, uint64_t id);

/*
 * The priority as people give it: 0 never leads, 1 is ordinary, higher is preferred. And the way back: what to store.
 */
uint32_t raft_rank(const struct raft_member *member);
uint32_t raft_priority_of(uint32_t rank);

/* Whether both name the same members with the same roles, sets and priorities, in whatever order. */
bool raft_configuration_equal(const struct raft_configuration *a, const struct raft_configuration *b);

/*
 * Whether it is well formed: at most `members_max` members, ids unique and not 0, known roles, at least one
 * voter in the new set, `outgoing` 0 or 1, LEAVING only with `outgoing`.
 */
bool raft_configuration_valid(const struct raft_configuration *configuration, uint32_t members_max);

/*
 * What to append to get from `current` (not joint) to `target` (not joint): `target` itself when both have
 * the same voters, else the joint configuration of both. `next` may be neither of the others. Returns false,
 * with `next` unspecified, when the union has more than RAFT_MEMBERS_MAX members.
 */
bool raft_configuration_enter(const struct raft_configuration *current,
                              const struct raft_configuration *target, struct raft_configuration *next);

/* What to append to leave the joint configuration `current`: its new set alone (thesis 4.3, C_new). */
void raft_configuration_leave(const struct raft_configuration *current, struct raft_configuration *next);

/*
 * Adds the member to a configuration that is not joint, or gives it another role or priority. role LEAVING
 * removes it. Returns false when there is no room. A help for whoever builds the target of a change.
 */
bool raft_configuration_set(struct raft_configuration *configuration, uint64_t id, uint32_t role,
                            uint32_t priority);

#endif
