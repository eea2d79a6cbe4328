/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/transfer.c - handing leadership over (thesis 3.10): stop taking proposals, bring the target up to
 * date, tell it to campaign at once. Also done without being asked, by a leader
 *
 *   whose disk hangs: it would go on sending heartbeats, and freeze the cluster (etcd 15247, hashicorp/raft 503);
 *   that sees a member of higher priority, fit to lead and close for a while.
 *
 * Neither may flap. The first is only done when the others have committed what the own disk does not hold: then there
 * is a majority that gets on without it, and where there is none, nobody else could do better. The second waits, and
 * longer each time that it did not last.
 */
#include "cover.h"
#include "internal.h"

/* A hand-over that failed, or did not last, makes the next one wait longer, up to so many times the first wait. */
#define RAFT_BACK_OFF_MAX 64

static const struct raft_member *member_of(const struct raft *r, uint64_t id)
{
    return raft_configuration_find(raft_in_force(r), id);
}

/* Who is no member has nobody to be compared with. */
uint32_t raft_own_rank(const struct raft *r)
{
    const struct raft_member *self = member_of(r, r->options.self);
    return self ? raft_rank(self) : 1;
}

bool raft_disk_stalls(const struct raft *r)
{
    return r->io > r->durable_io && r->now - r->disk_progress >= r->options.disk_stall_ns;
}

/* A voter that may be handed the lead as far as is known here. */
static bool is_fit(struct raft *r, const struct raft_peer *peer)
{
    const struct raft_member *member = member_of(r, peer->id);
    if (!member || member->role != RAFT_VOTER || peer->recovering || peer->stalled || peer->fenced ||
        !raft_peer_alive(r, peer))
        return false;
    return raft_rank(member) > 0 || raft_bug(r, RAFT_BUG_PRIORITY_ZERO);
}

/*
 * Of the living voters the one that is furthest along, then the preferred one, then the lowest id; 0: none.
 */
uint64_t raft_best_successor(struct raft *r)
{
    const struct raft_peer *best = NULL;
    uint32_t best_rank = 0;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        const struct raft_peer *peer = &r->peers[i];
        if (!is_fit(r, peer))
            continue;
        uint32_t rank = raft_rank(member_of(r, peer->id));
        bool better = !best || peer->match > best->match;
        if (best && peer->match == best->match)
            better = rank > best_rank || (rank == best_rank && peer->id < best->id);
        if (better) {
            best = peer;
            best_rank = rank;
        }
    }
    return best ? best->id : 0;
}

int raft_transfer_begin(struct raft *r, uint64_t target)
{
    if (r->role != RAFT_LEADER)
        return RAFT_E_NOT_LEADER;
    if (r->transfer.target)
        return RAFT_E_BUSY;
    if (target == 0)
        target = raft_best_successor(r);
    const struct raft_peer *peer = raft_find_peer(r, target);
    const struct raft_member *member = member_of(r, target);
    if (!peer || !member || member->role != RAFT_VOTER || peer->recovering || peer->fenced)
        return RAFT_E_INVALID;
    if (raft_rank(member) == 0 && !raft_bug(r, RAFT_BUG_PRIORITY_ZERO))
        return RAFT_E_INVALID;
    r->transfer.target = target;
    r->transfer.deadline = r->now + r->options.election_max_ns;
    r->transfer.sent = false;
    return RAFT_OK;
}

/* Over, in one way or the other. `done`: a newer term took the leadership away. */
void raft_transfer_end(struct raft *r, bool done)
{
    assert(r->transfer.target != 0);
    struct raft_effect *effect = raft_emit(r, RAFT_EFFECT_TRANSFER_ENDED);
    effect->transfer.target = r->transfer.target;
    effect->transfer.done = done;
    r->transfer.target = 0;
}

void raft_transfer_pump(struct raft *r)
{
    if (r->transfer.target == 0 || r->transfer.sent)
        return;
    const struct raft_peer *peer = raft_find_peer(r, r->transfer.target);
    if (!peer || peer->leaving || peer->recovering || peer->fenced) {
        RAFT_COVER(TRANSFER_TARGET_GONE);
        raft_transfer_end(r, false);
        if (r->fenced && !raft_bug(r, RAFT_BUG_FENCED_LEADS_ON))
            raft_become_follower(r, r->term, 0);
        return;
    }
    if (peer->match < raft_log_last(&r->log) && !raft_bug(r, RAFT_BUG_TRANSFER_BEHIND))
        return;
    raft_send(r, RAFT_TIMEOUT_NOW, peer->id);
    r->transfer.sent = true;
}

/* ---- without being asked ---- */

static void disk_time(struct raft *r)
{
    if (!raft_disk_stalls(r) || r->now < r->stall_due || raft_bug(r, RAFT_BUG_STALL_IGNORED))
        return;
    if (r->commit <= r->durable_index) {
        RAFT_COVER(STALL_WITHOUT_MAJORITY);
        return;
    }
    uint64_t successor = raft_best_successor(r);
    if (successor && raft_transfer_begin(r, successor) == RAFT_OK) {
        RAFT_COVER(DISK_STALLS);
        r->stall_due = r->now + r->options.disk_stall_ns; /* should it fail, the next attempt waits as long again */
    }
}

/* Since when each peer could have taken over, and of those that are preferred the most preferred one; 0: none. */
static uint64_t preferred(struct raft *r)
{
    const struct raft_peer *best = NULL;
    uint32_t best_rank = raft_own_rank(r);
    for (uint32_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *peer = &r->peers[i];
        uint64_t lag = raft_log_last(&r->log) - peer->match;
        if (!is_fit(r, peer) || peer->state != RAFT_REPLICATE || lag > r->options.promote_lag) {
            peer->steady_since = 0;
            continue;
        }
        if (peer->steady_since == 0)
            peer->steady_since = r->now;
        /* Who is never to lead gives the lead away as soon as there is somebody who is. */
        bool long_enough = r->now - peer->steady_since >= r->options.priority_delay_ns;
        uint32_t rank = raft_rank(member_of(r, peer->id));
        if (rank > best_rank && (long_enough || raft_own_rank(r) == 0)) {
            best = peer;
            best_rank = rank;
        }
    }
    return best ? best->id : 0;
}

static void priority_time(struct raft *r)
{
    uint64_t target = preferred(r);
    bool never = raft_own_rank(r) == 0 && !raft_bug(r, RAFT_BUG_PRIORITY_ZERO);
    if (target == 0 || r->transfer.target || !raft_own_term_committed(r) || raft_in_force_index(r) > r->commit)
        return;
    if (raft_configuration_joint(raft_in_force(r)) || (!never && r->now < r->priority_due))
        return;
    if (raft_transfer_begin(r, target) != RAFT_OK)
        return;
    RAFT_COVER(PRIORITY_YIELDS);
    if (never)
        RAFT_COVER(PRIORITY_NEEDED);
    r->priority_given = r->now;
    r->priority_due = r->now + r->priority_wait;
    if (r->priority_wait < RAFT_BACK_OFF_MAX * r->options.priority_delay_ns)
        r->priority_wait *= 2;
}

/* A new leader. If it had given the lead away for a priority's sake a while ago only, that did not last. */
void raft_transfer_lead_begins(struct raft *r)
{
    bool lasted = r->priority_given == 0 || r->now - r->priority_given >= 4 * r->priority_wait;
    if (lasted || r->priority_wait == 0)
        r->priority_wait = r->options.priority_delay_ns;
    r->priority_due = r->now + r->priority_wait;
    r->stall_due = r->now;
}

void raft_transfer_time(struct raft *r)
{
    if (r->transfer.target && r->now >= r->transfer.deadline && !raft_bug(r, RAFT_BUG_TRANSFER_FOREVER)) {
        RAFT_COVER(TRANSFER_LATE);
        raft_transfer_end(r, false);
        if (r->fenced)
            raft_become_follower(r, r->term, 0);
        return;
    }
    if (r->transfer.target == 0)
        disk_time(r);
    priority_time(r);
}
