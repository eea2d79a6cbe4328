/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/election.c - time-outs, pre-votes, votes, and what a node becomes by them (thesis 3.4, 3.6,
 * 4.2.3, 9.6).
 *
 *   FOLLOWER  --time-out, refused link-->  PRECANDIDATE  --majority would vote-->  CANDIDATE  --majority
 *   voted--> LEADER
 *      ^  \---------------------TIMEOUT_NOW from the leader--------------------------^
 *      |
 *      +------ a newer term; a leader of this term; no quorum heard; removed; fenced
 *      --------------------------------+
 */
#include "cover.h"
#include "internal.h"

/* A node that others are preferred to waits longer, so that they go first; it never refuses to lead. */
static bool preferred_exists(const struct raft *r)
{
    const struct raft_configuration *now = raft_in_force(r);
    const struct raft_member *self = raft_configuration_find(now, r->options.self);
    for (uint32_t i = 0; self && i < now->count; i++)
        if (now->members[i].role == RAFT_VOTER && raft_rank(&now->members[i]) > raft_rank(self))
            return true;
    return false;
}

void raft_election_reset(struct raft *r)
{
    uint64_t spread = r->options.election_max_ns - r->options.election_min_ns;
    r->election_due = r->now + r->options.election_min_ns + (spread ? raft_random(r) % spread : 0);
    if (preferred_exists(r))
        r->election_due += spread;
}

/*
 * A server that its newest configuration removes must still be able to lead until that has committed: the
 * others may only hold the configuration before, and lack what its log has (4.2.2).
 */
static bool may_be_needed(const struct raft *r)
{
    if (raft_is_voter(r))
        return true;
    return r->stack_count > 1 && raft_in_force_index(r) > r->commit &&
           raft_configuration_voter(&r->stack[r->stack_count - 2].configuration, r->options.self);
}

/*
 * A member of priority 0 leads only when somebody who would lead has just been refused here, for want of what is held
 * here: then nobody else may be able to (raft_transfer_time hands over as soon as that one has it).
 */
static bool ranks(const struct raft *r)
{
    if (raft_own_rank(r) > 0 || raft_bug(r, RAFT_BUG_PRIORITY_ZERO))
        return true;
    return r->needed_at && r->now - r->needed_at <= 2 * r->options.election_max_ns;
}

bool raft_may_lead(const struct raft *r)
{
    return may_be_needed(r) && ranks(r) && !r->recovering && !r->fenced && !r->incoming.installing;
}

/*
 * Whether a leader is alive as far as this node knows. Then it grants no vote and takes over no term (4.2.3):
 * so neither a removed member nor one that was cut off can disturb a working cluster.
 */
bool raft_sticky(const struct raft *r)
{
    if (raft_bug(r, RAFT_BUG_STICKINESS_OFF))
        return false;
    if (r->role == RAFT_LEADER)
        return true;
    return r->leader != 0 && r->now - r->heard < r->options.election_min_ns;
}

void raft_become_follower(struct raft *r, uint64_t term, uint64_t leader)
{
    assert(term >= r->term);
    if (r->role == RAFT_LEADER) {
        if (r->transfer.target)
            raft_transfer_end(r, term > r->term);
        for (uint32_t i = 0; i < r->peer_count; i++)
            raft_snapshot_stop(r, &r->peers[i]);
    }
    if (raft_bug(r, RAFT_BUG_VOTE_FORGOTTEN) && r->role == RAFT_CANDIDATE && term == r->term)
        raft_set_term(r, term, 0);
    if (term > r->term) {
        raft_set_term(r, term, 0);
        r->verified = r->commit; /* what the new leader holds beyond that is to be seen */
    }
    if (r->role != RAFT_FOLLOWER || r->leader != leader)
        raft_reads_reset(r);
    bool was_leader = r->role == RAFT_LEADER;
    r->role = RAFT_FOLLOWER;
    r->leader = leader;
    r->wants_change = false;
    if (was_leader)
        raft_sync_peers(r);
    raft_election_reset(r);
}

/* An append or a snapshot of this term came from its leader. */
void raft_heard_leader(struct raft *r, uint64_t leader)
{
    assert(r->role != RAFT_LEADER);
    if (r->role != RAFT_FOLLOWER || r->leader != leader)
        raft_become_follower(r, r->term, leader);
    r->heard = r->now;
    raft_election_reset(r);
}

static bool is_self(struct raft *r, uint64_t id)
{
    return id == r->options.self;
}

static bool has_granted(struct raft *r, uint64_t id)
{
    if (id == r->options.self) /* the own vote counts when it cannot be forgotten any more */
        return r->role == RAFT_PRECANDIDATE || raft_term_durable(r) || raft_bug(r, RAFT_BUG_OWN_VOTE_UNGATED);
    const struct raft_peer *peer = raft_find_peer(r, id);
    return peer && peer->granted;
}

static void ask_for_vote(struct raft *r, struct raft_peer *peer)
{
    bool vote = r->role == RAFT_CANDIDATE;
    peer->granted = false;
    if (!raft_configuration_voter(raft_in_force(r), peer->id))
        return;
    struct raft_message *m = raft_send(r, vote ? RAFT_VOTE_REQUEST : RAFT_PREVOTE_REQUEST, peer->id);
    m->vote_request.for_term = vote ? r->term : r->term + 1;
    m->vote_request.last_index = raft_log_last(&r->log);
    m->vote_request.last_term = raft_log_last_term(&r->log);
    m->vote_request.flags = r->forced ? RAFT_VOTE_TRANSFER : 0;
    /*
     * The log that the voters compare with theirs must not get shorter by a crash: the gate is the vote record,
     * and everything in the log was queued before it.
     */
    if (vote && raft_bug(r, RAFT_BUG_CANDIDACY_UNGATED))
        r->effects->items[r->effects->count - 1].gate = 0;
}

static void ask_for_votes(struct raft *r)
{
    for (uint32_t i = 0; i < r->peer_count; i++)
        ask_for_vote(r, &r->peers[i]);
}

/* Would I be elected? Asked without entering a term, so that who cannot win disturbs nobody (9.6). */
void raft_election_start(struct raft *r)
{
    raft_election_reset(r);
    if (!raft_may_lead(r)) {
        RAFT_COVER(MAY_NOT_LEAD);
        if (r->leader)
            raft_become_follower(r, r->term, 0);
        return;
    }
    raft_become_follower(r, r->term, 0);
    if (raft_bug(r, RAFT_BUG_PREVOTE_OFF)) {
        raft_campaign(r, false);
        return;
    }
    r->role = RAFT_PRECANDIDATE;
    r->forced = false;
    ask_for_votes(r);
    raft_election_count(r);
}

void raft_campaign(struct raft *r, bool forced)
{
    assert(r->role != RAFT_LEADER);
    if (!raft_may_lead(r) || raft_io_free(r) < RAFT_IOS_PER_EVENT) {
        raft_become_follower(r, r->term, 0);
        return;
    }
    raft_become_follower(r, r->term, 0);
    raft_set_term(r, r->term + 1, r->options.self);
    r->verified = r->commit;
    r->role = RAFT_CANDIDATE;
    r->forced = forced;
    ask_for_votes(r);
    raft_flush_vote(r);
    raft_election_count(r);
}

static void become_leader(struct raft *r)
{
    assert(r->role == RAFT_CANDIDATE);
    assert(r->vote == r->options.self);
    assert(raft_term_durable(r) || raft_bug(r, RAFT_BUG_OWN_VOTE_UNGATED));
    r->role = RAFT_LEADER;
    r->leader = r->options.self;
    r->leader_since = r->now;
    r->heartbeat_due = r->now + r->options.heartbeat_ns;
    r->commit_due = 0;
    r->own_first = 0;
    r->propose_due = r->now;
    r->wants_change = false;
    r->disk_progress = r->now;
    r->verified = raft_log_last(&r->log);
    r->incoming.snapshot.index = 0;
    raft_reads_reset(r);
    for (uint32_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *peer = &r->peers[i];
        *peer = (struct raft_peer){.id = peer->id, .state = RAFT_PROBE, .next = raft_log_last(&r->log) + 1};
    }
    raft_sync_peers(r);
    raft_transfer_lead_begins(r);
    raft_greet_all(r);
}

void raft_election_count(struct raft *r)
{
    if (!raft_quorum(r, has_granted))
        return;
    if (r->role == RAFT_PRECANDIDATE)
        raft_campaign(r, false);
    else if (raft_term_durable(r) || raft_bug(r, RAFT_BUG_OWN_VOTE_UNGATED))
        become_leader(r);
}

/* (last term, last index) compared as a pair, the term first (3.6.1). */
static bool up_to_date(const struct raft *r, const struct raft_message *m)
{
    uint64_t term = raft_log_last_term(&r->log);
    uint64_t index = raft_log_last(&r->log);
    if (raft_bug(r, RAFT_BUG_VOTE_COMPACTED) && r->log.used == 0)
        term = index = 0;
    if (raft_bug(r, RAFT_BUG_VOTE_ANY_LOG))
        return true;
    if (raft_bug(r, RAFT_BUG_VOTE_FIELDWISE))
        return m->vote_request.last_term >= term && m->vote_request.last_index >= index;
    if (m->vote_request.last_term != term)
        return m->vote_request.last_term > term;
    return m->vote_request.last_index >= index;
}

void raft_on_prevote_request(struct raft *r, const struct raft_message *m)
{
    bool granted = m->vote_request.for_term > r->term && up_to_date(r, m) && !raft_sticky(r) &&
                   (!r->recovering || raft_bug(r, RAFT_BUG_RECOVERING_VOTES));
    if (!raft_sticky(r) && !up_to_date(r, m))
        r->needed_at = r->now;
    if (granted && raft_bug(r, RAFT_BUG_PREVOTE_BINDS)) {
        raft_become_follower(r, m->vote_request.for_term, 0);
        raft_set_term(r, r->term, m->from);
    }
    struct raft_message *answer = raft_send(r, RAFT_PREVOTE_RESPONSE, m->from);
    answer->vote_response.for_term = m->vote_request.for_term;
    answer->vote_response.flags = granted ? RAFT_VOTE_GRANTED : 0;
}

/*
 * Who asks decides who is asked: a node answers although it thinks itself a learner, or has never heard of
 * the candidate, because the candidate's configuration may be newer (4.2.2).
 */
void raft_on_vote_request(struct raft *r, const struct raft_message *m)
{
    bool free = r->vote == 0 || r->vote == m->from || raft_bug(r, RAFT_BUG_VOTE_TWICE);
    bool granted = free && up_to_date(r, m) && (!r->recovering || raft_bug(r, RAFT_BUG_RECOVERING_VOTES));
    assert(m->term == r->term);
    if (raft_bug(r, RAFT_BUG_LEARNER_SILENT) && !raft_is_voter(r))
        return;
    if (granted) {
        raft_become_follower(r, r->term, r->leader); /* a pre-candidate stops asking; a candidate has voted */
        raft_set_term(r, r->term, m->from);
    }
    struct raft_message *answer = raft_send(r, RAFT_VOTE_RESPONSE, m->from);
    answer->vote_response.for_term = r->term;
    answer->vote_response.flags = granted ? RAFT_VOTE_GRANTED : 0;
    if (raft_bug(r, RAFT_BUG_VOTE_UNGATED))
        r->effects->items[r->effects->count - 1].gate = 0;
}

void raft_on_vote_response(struct raft *r, const struct raft_message *m)
{
    struct raft_peer *peer = raft_find_peer(r, m->from);
    bool pre = m->type == RAFT_PREVOTE_RESPONSE;
    if (pre && raft_bug(r, RAFT_BUG_PREVOTE_COUNTS) && r->role == RAFT_CANDIDATE)
        pre = false;
    /* An answer to a pre-vote is no vote, and the other way round; nor does it count for another term. */
    if (r->role != (pre ? RAFT_PRECANDIDATE : RAFT_CANDIDATE))
        return;
    if (m->vote_response.for_term != (pre ? r->term + 1 : r->term))
        return;
    if (!peer || !(m->vote_response.flags & RAFT_VOTE_GRANTED))
        return;
    peer->granted = true;
    raft_election_count(r);
}

void raft_election_time(struct raft *r)
{
    if (r->role != RAFT_LEADER && r->now >= r->election_due)
        raft_election_start(r);
}

/*
 * Starts an election without waiting for a time-out, in turns: those who see the same thing at the same moment would
 * split the vote, so each waits for those before it, by priority and id. A turn that comes too early is not lost: who
 * is refused by those that have not seen it yet is asked by the next one that has.
 */
static void take_turn(struct raft *r, uint64_t gone)
{
    const struct raft_configuration *now = raft_in_force(r);
    const struct raft_member *self = raft_configuration_find(now, r->options.self);
    uint64_t turn = 0;
    if (!self || !raft_may_lead(r))
        return;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct raft_member *other = &now->members[i];
        if (other->id == self->id || other->id == gone || other->role != RAFT_VOTER || raft_rank(other) == 0)
            continue;
        turn += raft_rank(other) > raft_rank(self);
        turn += raft_rank(other) == raft_rank(self) && other->id < self->id;
    }
    r->election_due = r->now + turn * (r->options.election_min_ns / 8);
    if (turn == 0)
        raft_election_start(r);
}

/*
 * The first start: nobody can be disturbed in a cluster that never had a leader. Else a time-out, unless there is
 * nobody to wait for.
 */
void raft_election_begin(struct raft *r)
{
    raft_election_reset(r);
    if (r->term == 0 && raft_log_last(&r->log) == 0)
        take_turn(r, 0);
    else if (raft_may_lead(r) && raft_quorum(r, is_self))
        raft_election_start(r);
}

/* Fast failover: nobody listens any more where the leader was, so there is nothing to wait for. */
static void leader_is_gone(struct raft *r)
{
    uint64_t gone = r->leader;
    raft_become_follower(r, r->term, 0);
    take_turn(r, gone);
}

/* Somebody is there who was not: nobody need wait for the next heartbeat or the next time-out to talk to him. */
void raft_on_link_up(struct raft *r, uint64_t id)
{
    struct raft_peer *peer = raft_find_peer(r, id);
    if (!peer)
        return;
    if (r->role == RAFT_LEADER) {
        peer->greet = true;
        raft_snapshot_link_up(r, peer);
    } else if (r->role != RAFT_FOLLOWER && !peer->granted) {
        ask_for_vote(r, peer);
    }
}

void raft_on_link_lost(struct raft *r, uint64_t id, bool refused)
{
    struct raft_peer *peer = raft_find_peer(r, id);
    if (r->role == RAFT_LEADER && peer && peer->state == RAFT_REPLICATE)
        raft_peer_probe(r, peer, peer->match + 1);
    if (raft_bug(r, RAFT_BUG_FAILOVER_SLOW))
        return;
    if (r->role == RAFT_FOLLOWER && r->leader == id && (refused || raft_bug(r, RAFT_BUG_FAILOVER_RASH)))
        leader_is_gone(r);
}
