/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/transfer.c - handing leadership over (thesis 3.10): stop taking proposals, bring the target up to
 * date, tell it to campaign at once. Also done without being asked by a leader whose disk hangs: it would go
 * on sending heartbeats, and freeze the cluster (etcd 15247, hashicorp/raft 503).
 */
#include "cover.h"
#include "internal.h"

/*
 * Of the living voters the one that is furthest along, then the preferred one, then the lowest id; 0: none.
 */
uint64_t raft_best_successor(struct raft *r)
{
    const struct raft_peer *best = NULL;
    uint32_t best_priority = 0;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        const struct raft_peer *peer = &r->peers[i];
        const struct raft_member *member = raft_configuration_find(raft_in_force(r), peer->id);
        if (!member || member->role != RAFT_VOTER || peer->recovering || !raft_peer_alive(r, peer))
            continue;
        bool better = !best || peer->match > best->match;
        if (best && peer->match == best->match)
            better = member->priority > best_priority ||
                     (member->priority == best_priority && peer->id < best->id);
        if (better) {
            best = peer;
            best_priority = member->priority;
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
    const struct raft_member *member = raft_configuration_find(raft_in_force(r), target);
    if (!peer || !member || member->role != RAFT_VOTER || peer->recovering)
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
    if (!peer || peer->leaving || peer->recovering) {
        RAFT_COVER(TRANSFER_TARGET_GONE);
        raft_transfer_end(r, false);
        return;
    }
    if (peer->match < raft_log_last(&r->log) && !raft_bug(r, RAFT_BUG_TRANSFER_BEHIND))
        return;
    raft_send(r, RAFT_TIMEOUT_NOW, peer->id);
    r->transfer.sent = true;
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
    bool waits = r->io > r->durable_io && r->now - r->disk_progress >= r->options.disk_stall_ns;
    if (waits && r->transfer.target == 0 && !raft_bug(r, RAFT_BUG_STALL_IGNORED)) {
        RAFT_COVER(DISK_STALLS);
        uint64_t successor = raft_best_successor(r);
        if (successor && raft_transfer_begin(r, successor) == RAFT_OK)
            r->disk_progress = r->now; /* should it fail, the next attempt waits as long again */
    }
}
