/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/step.c - events in, and what ends each step.
 *
 * A handler changes the state and emits what must come from that event. What follows from the state,
 * whichever event brought it about (appends to who lacks something, the next round of reads, applying what is
 * committed, telling the caller of a new role), is done once, at the end of the step, in finish().
 */
#include <string.h>

#include "cover.h"
#include "internal.h"

/* Whether handling this message may take io numbers. */
static bool may_write(const struct raft *r, const struct raft_message *m)
{
    if (m->type == RAFT_PREVOTE_REQUEST)
        return false;
    if (m->term > r->term || m->type == RAFT_VOTE_REQUEST || m->type == RAFT_TIMEOUT_NOW)
        return true;
    if (m->type == RAFT_PREVOTE_RESPONSE)
        return true;
    return m->type == RAFT_APPEND_REQUEST && m->append_request.batch_count > 0;
}

static int check_message(const struct raft *r, const struct raft_message *m)
{
    if (m->to != r->options.self || m->from == 0 || m->from == r->options.self || m->term > RAFT_TERM_MAX)
        return RAFT_E_INVALID;
    switch (m->type) {
    case RAFT_PREVOTE_REQUEST:
        return m->vote_request.for_term == m->term + 1 ? RAFT_OK : RAFT_E_INVALID;
    case RAFT_VOTE_REQUEST:
        return m->vote_request.for_term == m->term && m->term > 0 ? RAFT_OK : RAFT_E_INVALID;
    case RAFT_APPEND_REQUEST:
        return m->term > 0 ? raft_check_batches(r, m) : RAFT_E_INVALID;
    case RAFT_SNAPSHOT_REQUEST: {
        const struct raft_snapshot_request *s = &m->snapshot_request;
        bool named = m->term > 0 && s->index > 0 && s->last_term > 0 && s->last_term <= m->term;
        bool inside = s->total > 0 && s->offset <= s->total && s->length <= s->total - s->offset;
        return named && inside ? RAFT_OK : RAFT_E_INVALID;
    }
    case RAFT_PREVOTE_RESPONSE:
    case RAFT_VOTE_RESPONSE:
    case RAFT_APPEND_RESPONSE:
    case RAFT_SNAPSHOT_RESPONSE:
    case RAFT_TIMEOUT_NOW:
    case RAFT_READ_REQUEST:
    case RAFT_READ_RESPONSE:
        return RAFT_OK;
    default:
        return RAFT_E_INVALID;
    }
}

/*
 * A message of a term that is over. Who still leads or campaigns in it is told; everything else is too late.
 */
static void answer_old_term(struct raft *r, const struct raft_message *m)
{
    struct raft_message *answer;
    switch (m->type) {
    case RAFT_APPEND_REQUEST:
    case RAFT_SNAPSHOT_REQUEST:
        raft_refuse_append(r, m);
        break;
    case RAFT_VOTE_REQUEST:
        answer = raft_send(r, RAFT_VOTE_RESPONSE, m->from);
        answer->vote_response.for_term = m->vote_request.for_term;
        break;
    case RAFT_READ_REQUEST:
        raft_on_read_request(r, m);
        break;
    default:
        break;
    }
}

static int dispatch_message(struct raft *r, const struct raft_message *m)
{
    switch (m->type) {
    case RAFT_VOTE_REQUEST:
        raft_on_vote_request(r, m);
        return RAFT_OK;
    case RAFT_PREVOTE_RESPONSE:
    case RAFT_VOTE_RESPONSE:
        raft_on_vote_response(r, m);
        return RAFT_OK;
    case RAFT_APPEND_REQUEST:
        return raft_on_append_request(r, m);
    case RAFT_APPEND_RESPONSE:
        return raft_on_append_response(r, m);
    case RAFT_SNAPSHOT_REQUEST:
        if (r->role == RAFT_LEADER)
            return RAFT_E_DIVERGED;
        raft_on_snapshot_request(r, m);
        return RAFT_OK;
    case RAFT_SNAPSHOT_RESPONSE:
        return raft_on_snapshot_response(r, m);
    case RAFT_TIMEOUT_NOW:
        if (r->role != RAFT_LEADER && raft_may_lead(r))
            raft_campaign(r, true);
        return RAFT_OK;
    case RAFT_READ_REQUEST:
        raft_on_read_request(r, m);
        return RAFT_OK;
    case RAFT_READ_RESPONSE:
        raft_on_read_response(r, m);
        return RAFT_OK;
    default:
        return RAFT_E_INVALID;
    }
}

static int receive(struct raft *r, const struct raft_message *m)
{
    int result = m ? check_message(r, m) : RAFT_E_INVALID;
    if (result != RAFT_OK)
        return result;
    if (raft_io_free(r) < RAFT_IOS_PER_EVENT && may_write(r, m)) {
        RAFT_COVER(DISK_BEHIND);
        return RAFT_OK; /* the disk is far behind; the sender will try again */
    }
    if (m->type == RAFT_PREVOTE_REQUEST) {
        raft_on_prevote_request(r, m);
        return RAFT_OK;
    }
    if (m->term > r->term) {
        bool transfer = m->type == RAFT_VOTE_REQUEST && m->vote_request.flags & RAFT_VOTE_TRANSFER;
        if (m->type == RAFT_VOTE_REQUEST && !transfer && raft_sticky(r)) {
            RAFT_COVER(STICKY);
            return RAFT_OK; /* as if it had not come: its term is not taken over either (4.2.3) */
        }
        raft_become_follower(r, m->term, 0);
    }
    /* Who would vote for a newer term may well be in an older one itself. */
    if (m->term < r->term && m->type != RAFT_PREVOTE_RESPONSE) {
        answer_old_term(r, m);
        return RAFT_OK;
    }
    return dispatch_message(r, m);
}

static bool has_been_heard(struct raft *r, uint64_t id)
{
    if (id == r->options.self)
        return true;
    const struct raft_peer *peer = raft_find_peer(r, id);
    return peer && !peer->recovering && raft_peer_alive(r, peer);
}

/* CheckQuorum (6.2): a leader that a majority does not answer any more must not go on believing in itself. */
static bool lost_quorum(struct raft *r)
{
    if (r->now - r->leader_since <= r->options.election_max_ns || raft_bug(r, RAFT_BUG_CHECK_QUORUM_OFF))
        return false;
    return !raft_quorum(r, has_been_heard);
}

static void leader_time(struct raft *r)
{
    if (r->now >= r->heartbeat_due) {
        r->heartbeat_due = r->now + r->options.heartbeat_ns;
        if (lost_quorum(r)) {
            RAFT_COVER(QUORUM_LOST);
            raft_become_follower(r, r->term, 0);
            return;
        }
        raft_greet_all(r);
    }
    if (r->commit_due && r->now >= r->commit_due) {
        r->commit_due = 0;
        for (uint32_t i = 0; i < r->peer_count; i++)
            if (r->peers[i].commit_told < r->commit)
                r->peers[i].greet = true;
    }
    raft_snapshot_time(r);
    raft_transfer_time(r);
}

static int start(struct raft *r)
{
    uint64_t term;
    uint32_t chain;
    if (r->started)
        return RAFT_E_INVALID;
    if (!raft_log_boundary(&r->log, r->snapshot_index, &term, &chain))
        return RAFT_E_INVALID;
    r->started = true;
    r->durable_index = raft_log_last(&r->log);
    r->disk_progress = r->now;
    raft_sync_peers(r);
    raft_election_begin(r);
    return RAFT_OK;
}

static int fence(struct raft *r, bool on)
{
    r->fenced = on;
    if (on && r->role == RAFT_LEADER) {
        if (r->transfer.target == 0 && raft_transfer_begin(r, 0) != RAFT_OK)
            raft_become_follower(r, r->term, 0);
    } else if (on && r->role != RAFT_FOLLOWER) {
        raft_become_follower(r, r->term, 0);
    }
    return RAFT_OK;
}

static int write_failed(struct raft *r)
{
    if (raft_bug(r, RAFT_BUG_WRITE_FAILURE_IGNORED)) {
        /* What a tired author might do: take the entries off and go on in the same term. */
        if (r->role == RAFT_LEADER && raft_log_last(&r->log) > r->durable_index)
            raft_log_truncate(&r->log, r->durable_index + 1);
        r->durable_io = r->io;
        return RAFT_OK;
    }
    /* After a failed sync nobody knows what the disk holds: a second one would lie. Nothing is retried. */
    r->stopped = true;
    r->vote_dirty = false;
    return RAFT_OK;
}

static int dispatch(struct raft *r, const struct raft_event *e)
{
    switch (e->type) {
    case RAFT_EVENT_START:
        return start(r);
    case RAFT_EVENT_TIME:
        if (r->role == RAFT_LEADER)
            leader_time(r);
        else
            raft_election_time(r);
        return RAFT_OK;
    case RAFT_EVENT_RECEIVE:
        return receive(r, e->message);
    case RAFT_EVENT_PROPOSE:
        return raft_propose(r, &e->batch);
    case RAFT_EVENT_WRITTEN:
        return raft_written(r, e->io);
    case RAFT_EVENT_WRITE_FAILED:
        return write_failed(r);
    case RAFT_EVENT_APPLIED:
        return raft_applied(r, e->index);
    case RAFT_EVENT_SPACE:
        r->no_space = !e->space.ok;
        return RAFT_OK;
    case RAFT_EVENT_READ:
        return raft_read(r, e->read.id);
    case RAFT_EVENT_MEMBERSHIP:
        return raft_membership(r, e->membership.target, e->membership.anew);
    case RAFT_EVENT_TRANSFER:
        return raft_transfer_begin(r, e->transfer.target);
    case RAFT_EVENT_LINK_LOST:
        raft_on_link_lost(r, e->link.peer, e->link.refused);
        return RAFT_OK;
    case RAFT_EVENT_LINK_UP:
        raft_on_link_up(r, e->link.peer);
        return RAFT_OK;
    case RAFT_EVENT_RECOVERED:
        r->recovering = false;
        return RAFT_OK;
    case RAFT_EVENT_FENCE:
        return fence(r, e->fence.on);
    case RAFT_EVENT_SNAPSHOT_TAKEN:
        return raft_snapshot_taken(r, e->index);
    case RAFT_EVENT_COMPACTED:
        return raft_compacted(r, e->index);
    case RAFT_EVENT_SNAPSHOT_READY:
        return raft_snapshot_ready(r, &e->snapshot_ready);
    case RAFT_EVENT_CHUNK_STORED:
        return raft_chunk_stored(r, &e->chunk_stored);
    case RAFT_EVENT_SNAPSHOT_INSTALLED:
        return raft_snapshot_installed(r, &e->snapshot_installed);
    default:
        return RAFT_E_INVALID;
    }
}

/* A new leader begins with an entry of its own term: only that commits what it inherited (3.6.2, 6.4). */
static void ask_for_noop(struct raft *r)
{
    if (r->own_first != 0 || r->now < r->propose_due)
        return;
    raft_emit(r, RAFT_EFFECT_PROPOSE)->propose.kind = RAFT_BATCH_NOOP;
    r->propose_due = r->now + r->options.heartbeat_ns;
}

static void tell_commit(struct raft *r)
{
    if (r->commit > r->told_commit) {
        raft_emit(r, RAFT_EFFECT_COMMIT)->index = r->commit;
        r->told_commit = r->commit;
    }
}

static void tell(struct raft *r)
{
    struct raft_effect *effect;
    tell_commit(r);
    raft_apply_pump(r);
    if (r->role != r->told_role || r->term != r->told_term || r->leader != r->told_leader) {
        effect = raft_emit(r, RAFT_EFFECT_ROLE_CHANGED);
        effect->role.role = r->told_role = r->role;
        effect->role.term = r->told_term = r->term;
        effect->role.leader = r->told_leader = r->leader;
    }
    if (raft_in_force_index(r) + 1 != r->told_configuration) {
        effect = raft_emit(r, RAFT_EFFECT_CONFIGURATION_CHANGED);
        effect->configuration.index = raft_in_force_index(r);
        effect->configuration.configuration = raft_in_force(r);
        r->told_configuration = raft_in_force_index(r) + 1;
    }
}

static uint64_t next_deadline(const struct raft *r)
{
    if (!r->started || r->stopped)
        return UINT64_MAX;
    if (r->role != RAFT_LEADER) {
        bool waits = r->leader && r->reads.asked > r->reads.served;
        return waits ? raft_min(r->election_due, raft_max(r->reads.retry, r->now)) : r->election_due;
    }
    uint64_t due = r->heartbeat_due;
    if (r->commit_due)
        due = raft_min(due, r->commit_due);
    if (r->transfer.target)
        due = raft_min(due, r->transfer.deadline);
    for (uint32_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].state == RAFT_SNAPSHOT)
            due = raft_min(due, r->peers[i].snapshot_due);
    return due;
}

static void finish(struct raft *r)
{
    if (r->role == RAFT_LEADER) {
        ask_for_noop(r);
        raft_membership_pump(r);
        raft_transfer_pump(r);
    }
    raft_reads_pump(r);
    if (r->role == RAFT_LEADER) {
        raft_replicate_pump(r);
        tell_commit(r); /* before it may step down: what it committed, it committed as leader */
        raft_membership_settle(r);
    }
    raft_flush_vote(r);
    tell(r);
}

int raft_step(struct raft *r, const struct raft_event *event, struct raft_effects *effects)
{
    assert(r->magic == RAFT_MAGIC);
    assert(effects->capacity >= raft_effects_max(&r->options));
    int result = RAFT_E_STOPPED;
    effects->count = 0;
    effects->deadline = UINT64_MAX;
    if (r->stopped)
        return result;
    if (!r->started && event->type != RAFT_EVENT_START)
        return RAFT_E_INVALID;
    /* Completions of lanes may have been stamped a little earlier than what came before them. */
    r->now = raft_max(r->now, event->now);
    r->effects = effects;
    result = dispatch(r, event);
    if (result == RAFT_OK && !r->stopped)
        finish(r);
    else if (result == RAFT_E_DIVERGED)
        tell(r);
    assert(result == RAFT_OK || result == RAFT_E_DIVERGED || effects->count == 0);
    assert(!r->vote_dirty || r->stopped);
    r->effects = NULL;
    effects->deadline = next_deadline(r);
    return result;
}
