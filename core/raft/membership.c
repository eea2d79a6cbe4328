/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/membership.c - the stack of configurations, and changing them by joint consensus (thesis 4.3).
 *
 * A configuration is in force from the moment it is in the log, committed or not, and until it is truncated
 * off again. So the core keeps a stack: the snapshot's at the bottom, those of the log above it. A change is
 * in flight while it is uncommitted or joint; while one is, there is no other. It follows that of the
 * configurations in any log only the newest can be uncommitted, which is why forgetting the oldest of a full
 * stack never loses one that is still needed.
 */
#include <string.h>

#include "cover.h"
#include "internal.h"

/* "A server always uses the latest configuration in its log, regardless of whether the entry is committed." (4.1) */
static const struct raft_stacked *newest(const struct raft *r)
{
    uint32_t at = r->stack_count - 1;
    assert(r->stack_count > 0);
    while (raft_bug(r, RAFT_BUG_CONFIG_WHEN_COMMITTED) && at > 0 && r->stack[at].index > r->commit)
        at--;
    return &r->stack[at];
}

const struct raft_configuration *raft_in_force(const struct raft *r)
{
    return &newest(r)->configuration;
}

uint64_t raft_in_force_index(const struct raft *r)
{
    return newest(r)->index;
}

bool raft_is_voter(const struct raft *r)
{
    return raft_configuration_voter(raft_in_force(r), r->options.self);
}

struct raft_peer *raft_find_peer(struct raft *r, uint64_t id)
{
    for (uint32_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].id == id)
            return &r->peers[i];
    return NULL;
}

static void drop_peer(struct raft *r, uint32_t at)
{
    if (r->role == RAFT_LEADER)
        raft_snapshot_stop(r, &r->peers[at]);
    memmove(&r->peers[at], &r->peers[at + 1], (r->peer_count - at - 1) * sizeof r->peers[0]);
    r->peer_count--;
}

static void add_peer(struct raft *r, uint64_t id)
{
    for (uint32_t i = 0; i < r->peer_count && r->peer_count == RAFT_MEMBERS_MAX; i++)
        if (r->peers[i].leaving)
            drop_peer(r, i);
    assert(r->peer_count < RAFT_MEMBERS_MAX);
    struct raft_peer *peer = &r->peers[r->peer_count++];
    memset(peer, 0, sizeof *peer);
    peer->id = id;
    peer->state = RAFT_PROBE;
    peer->next = raft_log_last(&r->log) + 1;
    peer->greet = r->role == RAFT_LEADER;
}

/*
 * One peer for each other member. A leader keeps those that the newest configuration removes until it has
 * committed and they have been told: else a removed node would never learn that it is.
 */
void raft_sync_peers(struct raft *r)
{
    const struct raft_configuration *now = raft_in_force(r);
    for (uint32_t i = r->peer_count; i-- > 0;) {
        r->peers[i].leaving = !raft_configuration_find(now, r->peers[i].id);
        if (r->peers[i].leaving && r->role != RAFT_LEADER)
            drop_peer(r, i);
    }
    for (uint32_t i = 0; i < now->count; i++)
        if (now->members[i].id != r->options.self && !raft_find_peer(r, now->members[i].id))
            add_peer(r, now->members[i].id);
}

void raft_push_configuration(struct raft *r, uint64_t index, const struct raft_configuration *configuration)
{
    assert(r->stack_count == 0 || index > raft_in_force_index(r));
    if (r->stack_count == RAFT_CONFIGURATIONS_MAX)
        raft_prune_configurations(r, r->stack[1].index);
    r->stack[r->stack_count].index = index;
    r->stack[r->stack_count].configuration = *configuration;
    r->stack_count++;
    raft_sync_peers(r);
}

void raft_pop_configurations(struct raft *r, uint64_t from)
{
    bool popped = false;
    if (raft_bug(r, RAFT_BUG_CONFIG_NOT_POPPED))
        return;
    while (r->stack_count > 1 && raft_in_force_index(r) >= from) {
        r->stack_count--;
        popped = true;
    }
    if (popped)
        raft_sync_peers(r);
}

/* Forgets those that were no longer in force at `index`. */
void raft_prune_configurations(struct raft *r, uint64_t index)
{
    uint32_t old = 0;
    while (old + 1 < r->stack_count && r->stack[old + 1].index <= index)
        old++;
    r->stack_count -= old;
    memmove(&r->stack[0], &r->stack[old], r->stack_count * sizeof r->stack[0]);
}

static bool in_flight(const struct raft *r)
{
    return raft_configuration_joint(raft_in_force(r)) || raft_in_force_index(r) > r->commit;
}

static void want(struct raft *r, const struct raft_configuration *next)
{
    r->wanted = *next;
    r->wants_change = true;
    r->propose_due = r->now + r->options.heartbeat_ns;
    struct raft_effect *effect = raft_emit(r, RAFT_EFFECT_PROPOSE);
    effect->propose.kind = RAFT_BATCH_CONFIGURATION;
    effect->propose.configuration = &r->wanted;
}

/* The caller wants other members. */
int raft_membership(struct raft *r, const struct raft_configuration *target, bool anew)
{
    struct raft_configuration next;
    if (r->role != RAFT_LEADER)
        return RAFT_E_NOT_LEADER;
    if (!target || !raft_configuration_valid(target, r->options.members_max))
        return RAFT_E_INVALID;
    if (raft_configuration_joint(target))
        return RAFT_E_INVALID;
    /* The bug of the single-server change: two leaders, each with a quorum of its own configuration. */
    if (!raft_own_term_committed(r) && !raft_bug(r, RAFT_BUG_CHANGE_TOO_EARLY)) {
        RAFT_COVER(CHANGE_TOO_EARLY);
        return RAFT_E_NOT_READY;
    }
    if (in_flight(r) && !raft_bug(r, RAFT_BUG_CHANGE_IN_FLIGHT)) {
        RAFT_COVER(CHANGE_IN_FLIGHT);
        return RAFT_E_IN_FLIGHT;
    }
    if (!anew && raft_configuration_equal(raft_in_force(r), target))
        return RAFT_E_UNCHANGED;
    if (r->transfer.target)
        return RAFT_E_BUSY;
    if (raft_bug(r, RAFT_BUG_CHANGE_IN_FLIGHT) && raft_configuration_joint(raft_in_force(r)))
        next = *target;
    else if (!raft_configuration_enter(raft_in_force(r), target, &next))
        return RAFT_E_INVALID;
    if (!raft_configuration_valid(&next, r->options.members_max))
        return RAFT_E_INVALID;
    want(r, &next);
    return RAFT_OK;
}

/*
 * Whether the batch with a configuration that the caller proposes is the one that was asked for, and still
 * may be.
 */
int raft_may_append_configuration(const struct raft *r, const struct raft_batch *batch)
{
    if (!raft_own_term_committed(r) && !raft_bug(r, RAFT_BUG_CHANGE_TOO_EARLY))
        return RAFT_E_NOT_READY;
    if (raft_in_force_index(r) > r->commit && !raft_bug(r, RAFT_BUG_CHANGE_IN_FLIGHT))
        return RAFT_E_IN_FLIGHT;
    if (!r->wants_change || !raft_configuration_equal(&r->wanted, batch->configuration))
        return RAFT_E_STALE;
    return RAFT_OK;
}

static bool close_enough(struct raft *r, uint64_t id)
{
    const struct raft_peer *peer = raft_find_peer(r, id);
    if (!peer || peer->recovering || peer->state != RAFT_REPLICATE)
        return false;
    if (peer->fenced && !raft_bug(r, RAFT_BUG_FENCED_PROMOTED)) /* its state is wrong, and a majority's is right */
        return false;
    return raft_peer_alive(r, peer) && raft_log_last(&r->log) - peer->match <= r->options.promote_lag;
}

static bool may_vote_now(struct raft *r, const struct raft_member *member)
{
    return member->role == RAFT_JOINING && close_enough(r, member->id) && !raft_bug(r, RAFT_BUG_JOINING_STAYS);
}

/* All at once that are close by now. */
static void promote(struct raft *r, const struct raft_configuration *now)
{
    struct raft_configuration target = *now, next;
    for (uint32_t i = 0; i < target.count; i++)
        if (may_vote_now(r, &target.members[i]))
            target.members[i].role = RAFT_VOTER;
    if (raft_configuration_enter(now, &target, &next))
        want(r, &next);
}

/*
 * What whoever leads changes by itself: a committed joint configuration is left, also when the leader that
 * entered it has fallen (etcd 12136), and JOINING members that are close become voters.
 */
void raft_membership_pump(struct raft *r)
{
    struct raft_configuration next;
    if (r->wants_change && r->now < r->propose_due)
        return;
    r->wants_change = false;
    if (!raft_own_term_committed(r) || raft_in_force_index(r) > r->commit || r->transfer.target)
        return;
    const struct raft_configuration *now = raft_in_force(r);
    if (raft_configuration_joint(now)) {
        RAFT_COVER(JOINT_LEFT);
        if (raft_bug(r, RAFT_BUG_JOINT_NOT_LEFT) && raft_in_force_index(r) < r->own_first)
            return;
        raft_configuration_leave(now, &next);
        want(r, &next);
        return;
    }
    for (uint32_t i = 0; i < now->count; i++)
        if (may_vote_now(r, &now->members[i])) {
            promote(r, now);
            return;
        }
}

/*
 * Whether a voter that may lead has the newest configuration. One of priority 0 that has it leads when somebody asks
 * for votes and is refused; but a learner that was promoted and is behind does not know that, and asks nobody. One that
 * recovers or is fenced asks nobody either, and needs a leader to become sound.
 */
static bool heir_exists(const struct raft *r)
{
    for (uint32_t i = 0; i < r->peer_count; i++) {
        const struct raft_peer *peer = &r->peers[i];
        const struct raft_member *member = raft_configuration_find(raft_in_force(r), peer->id);
        bool sound = (!peer->recovering || raft_bug(r, RAFT_BUG_HEIR_RECOVERS)) &&
                     (!peer->fenced || raft_bug(r, RAFT_BUG_HEIR_FENCED));
        if (member && member->role == RAFT_VOTER && raft_rank(member) > 0 && sound &&
            peer->match >= raft_in_force_index(r))
            return true;
    }
    return false;
}

/*
 * After the appends of a step: the newest configuration has committed, so peers that it removed know it and
 * are let go, and a leader that it removed steps down (thesis 4.2.2), with a hint to its successor so that
 * nobody has to time out. But not before somebody can be its successor.
 */
void raft_membership_settle(struct raft *r)
{
    if (raft_in_force_index(r) > r->commit)
        return;
    for (uint32_t i = r->peer_count; i-- > 0;)
        if (r->peers[i].leaving)
            drop_peer(r, i);
    if (raft_is_voter(r) || raft_bug(r, RAFT_BUG_REMOVED_LEADER_STAYS))
        return;
    if (!heir_exists(r) && !raft_bug(r, RAFT_BUG_NO_HEIR))
        return;
    uint64_t successor = raft_best_successor(r);
    RAFT_COVER(LEADER_REMOVED);
    if (successor)
        raft_send(r, RAFT_TIMEOUT_NOW, successor);
    raft_become_follower(r, r->term, 0);
}
