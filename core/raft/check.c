/* SPDX-License-Identifier: Apache-2.0 */
/* core/raft/check.c - what is always true between two steps. Tests ask after each one. */
#include "internal.h"

static void check_log(const struct raft *r)
{
    const struct raft_log *log = &r->log;
    uint64_t next = log->base_index + 1, term = log->base_term, bytes = log->base_bytes;
    assert(log->used <= log->capacity);
    assert(log->head < log->capacity);
    for (uint32_t i = 0; i < log->used; i++) {
        const struct raft_slot *slot = raft_log_slot(log, i);
        assert(slot->first == next);
        assert(slot->count > 0);
        assert(slot->term >= term);
        assert(slot->term <= r->term);
        assert(slot->bytes_end == bytes + slot->bytes);
        assert(slot->kind != RAFT_BATCH_CONFIGURATION || slot->count == 1);
        next = slot->first + slot->count;
        term = slot->term;
        bytes = slot->bytes_end;
    }
    assert(raft_log_last(log) == next - 1);
}

static void check_indexes(const struct raft *r)
{
    uint64_t last = raft_log_last(&r->log), term;
    uint32_t chain;
    assert(r->log.base_index <= r->snapshot_index);
    assert(r->snapshot_index <= r->commit);
    assert(r->commit <= r->verified);
    assert(r->verified <= last);
    assert(r->applied <= r->apply_sent);
    assert(r->apply_sent <= r->commit);
    assert(r->durable_index <= last);
    assert(r->durable_io <= r->io);
    assert(r->io - r->durable_io <= r->options.ios_max);
    assert(r->vote_io <= r->io);
    assert(r->told_commit == r->commit || r->stopped);
    assert(raft_log_boundary(&r->log, r->commit, &term, &chain));
    assert(raft_log_boundary(&r->log, r->snapshot_index, &term, &chain));
    if (r->durable_index >= r->log.base_index)
        assert(raft_log_boundary(&r->log, r->durable_index, &term, &chain));
    uint64_t vouched = r->durable_index;
    for (uint64_t io = r->durable_io + 1; io <= r->io; io++) {
        assert(r->pending[io % r->options.ios_max] <= last);
        vouched = raft_max(vouched, r->pending[io % r->options.ios_max]);
    }
    assert(vouched == last); /* all of the log is on the disk or on its way there */
}

static void check_members(const struct raft *r)
{
    assert(r->stack_count >= 1);
    assert(r->stack_count <= RAFT_CONFIGURATIONS_MAX);
    for (uint32_t i = 1; i < r->stack_count; i++) {
        assert(r->stack[i].index > r->stack[i - 1].index);
        assert(r->stack[i].index <= raft_log_last(&r->log));
    }
    /* Of those a leader pushed, all but the newest are committed: one change at a time. */
    if (r->role == RAFT_LEADER && r->stack_count > 1 && raft_own_term_committed(r))
        assert(r->stack[r->stack_count - 2].index <= r->commit);
    for (uint32_t i = 0; i < r->peer_count; i++) {
        const struct raft_peer *peer = &r->peers[i];
        assert(peer->id != 0);
        assert(peer->id != r->options.self);
        for (uint32_t j = 0; j < i; j++)
            assert(r->peers[j].id != peer->id);
        assert(peer->leaving || raft_configuration_find(raft_in_force(r), peer->id));
        assert(!peer->leaving || r->role == RAFT_LEADER);
        if (r->role != RAFT_LEADER)
            continue;
        assert(peer->state >= RAFT_PROBE);
        assert(peer->state <= RAFT_SNAPSHOT);
        assert(peer->match <= raft_log_last(&r->log));
        assert(peer->state == RAFT_SNAPSHOT || peer->next > peer->match);
        assert(peer->next <= raft_log_last(&r->log) + 1);
        assert(peer->round <= r->reads.round);
        assert(!peer->greet);
    }
}

static void check_role(const struct raft *r)
{
    switch (r->role) {
    case RAFT_FOLLOWER:
        assert(r->leader != r->options.self);
        break;
    case RAFT_PRECANDIDATE:
        assert(r->leader == 0);
        assert(!r->recovering);
        break;
    case RAFT_CANDIDATE:
        assert(r->leader == 0);
        assert(r->vote == r->options.self);
        assert(!r->recovering);
        break;
    case RAFT_LEADER:
        assert(r->leader == r->options.self);
        assert(r->vote == r->options.self);
        assert(raft_term_durable(r));
        assert(!r->incoming.installing);
        assert(r->own_first == 0 || raft_log_term(&r->log, r->own_first) == r->term ||
               r->own_first <= r->log.base_index);
        assert(!r->fenced || r->transfer.target != 0); /* it is on its way out */
        break;
    default:
        assert(!"a role of the table");
    }
    assert(r->role == RAFT_LEADER || r->transfer.target == 0);
    assert(r->role == RAFT_LEADER || !r->reads.running);
    assert(r->reads.served <= r->reads.upto);
    assert(r->reads.upto <= r->reads.asked);
    assert(!r->vote_dirty);
}

void raft_check(const struct raft *r)
{
    assert(r->magic == RAFT_MAGIC);
    if (!r->started || r->stopped)
        return;
    check_log(r);
    check_indexes(r);
    check_members(r);
    check_role(r);
}
