/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/read.c - linearizable reads without writing to the log (ReadIndex, thesis 6.4).
 *
 * The leader notes its commit index, then lets a quorum confirm that it still leads: one round of heartbeats
 * with a number answers for everything that was asked before the round began. What comes while a round runs
 * waits for the next, because the answers on their way may be older than the question. A follower asks the
 * leader, with a new id for each attempt.
 *
 * The ids of the caller are a growing sequence, so "all up to" is all that has to be kept of any number of
 * reads.
 */
#include "cover.h"
#include "internal.h"

int raft_read(struct raft *r, uint64_t id)
{
    if (id <= r->reads.asked)
        return RAFT_E_INVALID;
    r->reads.asked = id;
    if (r->reads.running && raft_bug(r, RAFT_BUG_READ_OLD_ROUND))
        r->reads.upto = id;
    return RAFT_OK;
}

/* Another role, term or leader: whatever is open has to be asked again, there. */
void raft_reads_reset(struct raft *r)
{
    r->reads.running = false;
    r->reads.round = 0;
    r->reads.attempt = 0;
    r->reads.retry = 0;
    r->reads.upto = r->reads.served;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        r->peers[i].round = 0;
        r->peers[i].read_waiting = 0;
        r->peers[i].read_asked = 0;
    }
}

static void serve(struct raft *r, uint64_t upto, uint64_t index)
{
    if (upto <= r->reads.served)
        return;
    struct raft_effect *effect = raft_emit(r, RAFT_EFFECT_SERVE_READS);
    effect->reads.id = upto;
    effect->reads.index = index;
    r->reads.served = upto;
}

static bool has_confirmed(struct raft *r, uint64_t id)
{
    if (id == r->options.self)
        return true;
    const struct raft_peer *peer = raft_find_peer(r, id);
    return peer && !peer->recovering && peer->round >= r->reads.round;
}

/* Ends the running round when a quorum has answered it. */
void raft_reads_acknowledged(struct raft *r)
{
    if (!r->reads.running)
        return;
    if (!raft_quorum(r, has_confirmed) && !raft_bug(r, RAFT_BUG_READ_UNCONFIRMED))
        return;
    r->reads.running = false;
    serve(r, r->reads.upto, r->reads.index);
    for (uint32_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *peer = &r->peers[i];
        if (peer->read_asked == 0)
            continue;
        struct raft_read_response *answer = &raft_send(r, RAFT_READ_RESPONSE, peer->id)->read_response;
        answer->id = peer->read_asked;
        answer->index = r->reads.index;
        peer->read_asked = 0;
    }
}

static bool anybody_waits(const struct raft *r)
{
    if (r->reads.asked > r->reads.served)
        return true;
    for (uint32_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].read_waiting)
            return true;
    return false;
}

static void lead_reads(struct raft *r)
{
    /*
     * Before it has committed in its own term a leader does not know what its predecessors committed (etcd
     * 7331).
     */
    if (!raft_own_term_committed(r) && !raft_bug(r, RAFT_BUG_READ_TOO_EARLY)) {
        RAFT_COVER(READ_TOO_EARLY);
        return;
    }
    raft_reads_acknowledged(r); /* a change of members may have let it end */
    if (r->reads.running || !anybody_waits(r))
        return;
    r->reads.running = true;
    r->reads.round++;
    r->reads.upto = r->reads.asked;
    r->reads.index = r->commit;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *peer = &r->peers[i];
        peer->read_asked = peer->read_waiting;
        peer->read_waiting = 0;
        peer->greet = peer->greet || raft_configuration_voter(raft_in_force(r), peer->id);
    }
    raft_reads_acknowledged(r); /* alone, the leader is the quorum */
}

static void ask_leader(struct raft *r)
{
    if (r->role != RAFT_FOLLOWER || r->leader == 0 || r->reads.asked == r->reads.served)
        return;
    if (r->now < r->reads.retry)
        return;
    /*
     * A random id: also after a restart, an answer to what was asked before it must not fit (etcd 20418: a
     * retried id met by a delayed answer).
     */
    r->reads.attempt = raft_random(r) | 1;
    r->reads.upto = r->reads.asked;
    r->reads.retry = r->now + r->options.election_min_ns;
    raft_send(r, RAFT_READ_REQUEST, r->leader)->read_request.id = r->reads.attempt;
}

void raft_reads_pump(struct raft *r)
{
    if (r->role == RAFT_LEADER)
        lead_reads(r);
    else
        ask_leader(r);
}

void raft_on_read_request(struct raft *r, const struct raft_message *m)
{
    struct raft_peer *peer = raft_find_peer(r, m->from);
    if (r->role == RAFT_LEADER && peer) {
        peer->read_waiting = m->read_request.id; /* an older attempt is given up by its sender, too */
        return;
    }
    struct raft_read_response *answer = &raft_send(r, RAFT_READ_RESPONSE, m->from)->read_response;
    answer->id = m->read_request.id;
    answer->flags = RAFT_READ_REFUSED;
}

void raft_on_read_response(struct raft *r, const struct raft_message *m)
{
    const struct raft_read_response *answer = &m->read_response;
    if (r->role != RAFT_FOLLOWER || r->reads.attempt == 0)
        return;
    if (answer->id != r->reads.attempt && !raft_bug(r, RAFT_BUG_READ_ANY_ANSWER)) {
        RAFT_COVER(READ_LATE);
        return;
    }
    r->reads.attempt = 0;
    if (answer->flags & RAFT_READ_REFUSED) {
        RAFT_COVER(READ_REFUSED);
        r->reads.retry = r->now + r->options.heartbeat_ns;
        return;
    }
    r->reads.retry = 0;
    /*
     * The answer also says that this much is committed, so that the reads need not wait for the next append.
     */
    raft_commit_to(r, raft_max(r->commit, raft_log_floor(&r->log, raft_min(answer->index, r->verified))));
    serve(r, r->reads.upto, answer->index);
}
