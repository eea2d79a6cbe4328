/* SPDX-License-Identifier: Apache-2.0 */
/* core/raft/configuration.c - arithmetic on sets of members (thesis 4.3). */
#include "configuration.h"

#include <assert.h>
#include <string.h>

const struct raft_member *raft_configuration_find(const struct raft_configuration *configuration, uint64_t id)
{
    assert(configuration->count <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < configuration->count; i++)
        if (configuration->members[i].id == id)
            return &configuration->members[i];
    return NULL;
}

bool raft_configuration_joint(const struct raft_configuration *configuration)
{
    assert(configuration->count <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < configuration->count; i++)
        if (configuration->members[i].outgoing)
            return true;
    return false;
}

static bool votes(const struct raft_member *member)
{
    return member->role == RAFT_VOTER || member->outgoing;
}

bool raft_configuration_voter(const struct raft_configuration *configuration, uint64_t id)
{
    const struct raft_member *member = raft_configuration_find(configuration, id);
    return member && votes(member);
}

uint32_t raft_rank(const struct raft_member *member)
{
    return member->priority == RAFT_PRIORITY_NEVER ? 0 : member->priority + 1;
}

uint32_t raft_priority_of(uint32_t rank)
{
    return rank == 0 ? RAFT_PRIORITY_NEVER : rank - 1;
}

bool raft_configuration_equal(const struct raft_configuration *a, const struct raft_configuration *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct raft_member *one = &a->members[i];
        const struct raft_member *other = raft_configuration_find(b, one->id);
        if (!other || other->role != one->role || other->outgoing != one->outgoing ||
            other->priority != one->priority)
            return false;
    }
    return true;
}

bool raft_configuration_valid(const struct raft_configuration *configuration, uint32_t members_max)
{
    uint32_t voters = 0;
    if (configuration->count > members_max || configuration->count > RAFT_MEMBERS_MAX)
        return false;
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_member *member = &configuration->members[i];
        if (member->id == 0 || raft_configuration_find(configuration, member->id) != member)
            return false;
        if (member->role < RAFT_VOTER || member->role > RAFT_LEAVING || member->outgoing > 1)
            return false;
        if (member->role == RAFT_LEAVING && !member->outgoing)
            return false;
        voters += member->role == RAFT_VOTER;
    }
    return voters > 0;
}

static bool same_voters(const struct raft_configuration *a, const struct raft_configuration *b)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (votes(&a->members[i]) != raft_configuration_voter(b, a->members[i].id))
            return false;
    for (uint32_t i = 0; i < b->count; i++)
        if (votes(&b->members[i]) != raft_configuration_voter(a, b->members[i].id))
            return false;
    return true;
}

bool raft_configuration_enter(const struct raft_configuration *current,
                              const struct raft_configuration *target, struct raft_configuration *next)
{
    assert(!raft_configuration_joint(current));
    assert(!raft_configuration_joint(target));
    *next = *target;
    if (same_voters(current, target))
        return true;
    for (uint32_t i = 0; i < current->count; i++) {
        const struct raft_member *old = &current->members[i];
        if (old->role != RAFT_VOTER)
            continue;
        uint32_t at = 0;
        while (at < next->count && next->members[at].id != old->id)
            at++;
        if (at == next->count) {
            if (next->count == RAFT_MEMBERS_MAX)
                return false;
            next->count++;
            next->members[at] = *old;
            next->members[at].role = RAFT_LEAVING;
        }
        next->members[at].outgoing = 1;
    }
    return true;
}

void raft_configuration_leave(const struct raft_configuration *current, struct raft_configuration *next)
{
    memset(next, 0, sizeof *next);
    for (uint32_t i = 0; i < current->count; i++) {
        if (current->members[i].role == RAFT_LEAVING)
            continue;
        next->members[next->count] = current->members[i];
        next->members[next->count].outgoing = 0;
        next->count++;
    }
    assert(next->count > 0);
}

bool raft_configuration_set(struct raft_configuration *configuration, uint64_t id, uint32_t role,
                            uint32_t priority)
{
    assert(id != 0);
    uint32_t at = 0;
    while (at < configuration->count && configuration->members[at].id != id)
        at++;
    if (role == RAFT_LEAVING) {
        if (at < configuration->count)
            configuration->members[at] = configuration->members[--configuration->count];
        return true;
    }
    if (at == configuration->count) {
        if (at == RAFT_MEMBERS_MAX)
            return false;
        configuration->count++;
    }
    memset(&configuration->members[at], 0, sizeof configuration->members[at]);
    configuration->members[at].id = id;
    configuration->members[at].role = role;
    configuration->members[at].priority = priority;
    return true;
}
