/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/snapshot.c - snapshots of this node: taking note of them, sending them to peers (thesis 5.1,
 * 5.3).
 *
 *   START_SNAPSHOT --READY--> offer (no bytes) --MORE at offset--> chunk --MORE--> chunk ... --INSTALLED-->
 *   probe
 *
 * The state ends in each of these ways: the peer says INSTALLED, an ordinary append answer shows that it has
 * caught up otherwise, it is silent for long, it is removed, the leader steps down. Lost messages are asked after,
 * so none of them can stick.
 */
#include "cover.h"
#include "internal.h"

static void ask_for_snapshot(struct raft *r, struct raft_peer *peer)
{
    struct raft_effect *effect = raft_emit(r, RAFT_EFFECT_START_SNAPSHOT);
    effect->snapshot.peer = peer->id;
    effect->snapshot.index = r->log.base_index;
    peer->snapshot_ready = false;
    peer->snapshot_due = UINT64_MAX;
}

void raft_snapshot_begin(struct raft *r, struct raft_peer *peer)
{
    assert(r->role == RAFT_LEADER);
    assert(peer->state != RAFT_SNAPSHOT);
    peer->state = RAFT_SNAPSHOT;
    peer->paused = false;
    ask_for_snapshot(r, peer);
}

void raft_snapshot_stop(struct raft *r, struct raft_peer *peer)
{
    if (peer->state != RAFT_SNAPSHOT)
        return;
    struct raft_effect *effect = raft_emit(r, RAFT_EFFECT_STOP_SNAPSHOT);
    effect->snapshot.peer = peer->id;
    effect->snapshot.index = peer->snapshot_ready ? peer->snapshot.index : 0;
    peer->state = RAFT_PROBE;
    peer->snapshot_ready = false;
    peer->next = peer->match + 1;
}

/* A chunk from where the peer is, or (length 0) the question where it is. */
static void send_chunk(struct raft *r, struct raft_peer *peer, bool question)
{
    struct raft_snapshot_request *chunk = &raft_send(r, RAFT_SNAPSHOT_REQUEST, peer->id)->snapshot_request;
    *chunk = peer->snapshot;
    chunk->length = 0;
    if (!question)
        chunk->length = (uint32_t)raft_min(r->options.chunk_bytes, chunk->total - chunk->offset);
    peer->snapshot_due = r->now + r->options.election_max_ns;
}

void raft_snapshot_time(struct raft *r)
{
    for (uint32_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *peer = &r->peers[i];
        if (peer->state != RAFT_SNAPSHOT)
            continue;
        if (r->now - peer->heard > RAFT_SNAPSHOT_SILENCE * r->options.election_max_ns &&
            !raft_bug(r, RAFT_BUG_SNAPSHOT_TO_THE_DEAD)) {
            raft_snapshot_stop(r, peer); /* should it come back, it goes on from where it was */
            continue;
        }
        if (r->now < peer->snapshot_due)
            continue;
        if (peer->snapshot_ready)
            send_chunk(r, peer, true);
        else
            ask_for_snapshot(r, peer);
    }
}

int raft_snapshot_ready(struct raft *r, const struct raft_event_snapshot_ready *e)
{
    struct raft_peer *peer = raft_find_peer(r, e->peer);
    if (!e->failed && (e->index > r->commit || e->total == 0))
        return RAFT_E_INVALID;
    if (r->role != RAFT_LEADER || !peer || peer->state != RAFT_SNAPSHOT) {
        struct raft_effect *effect = raft_emit(r, RAFT_EFFECT_STOP_SNAPSHOT);
        effect->snapshot.peer = e->peer;
        effect->snapshot.index = e->failed ? 0 : e->index;
        return RAFT_OK;
    }
    if (e->failed) { /* also when one that was ready cannot be read on: another is asked for */
        peer->snapshot_ready = false;
        peer->snapshot_due = r->now + r->options.election_max_ns;
        return RAFT_OK;
    }
    if (e->index < r->log.base_index) { /* the log moved on while it was opened: this one leaves a gap */
        ask_for_snapshot(r, peer);
        return RAFT_OK;
    }
    peer->snapshot = (struct raft_snapshot_request){
        .index = e->index,
        .last_term = e->last_term,
        .total = e->total,
        .digest = e->digest,
        .chain = e->chain,
    };
    peer->snapshot_ready = true;
    send_chunk(r, peer, true);
    return RAFT_OK;
}

int raft_on_snapshot_response(struct raft *r, const struct raft_message *m)
{
    const struct raft_snapshot_response *answer = &m->snapshot_response;
    struct raft_peer *peer = raft_find_peer(r, m->from);
    if (r->role != RAFT_LEADER || !peer)
        return RAFT_OK;
    if (answer->match > raft_log_last(&r->log))
        return RAFT_E_INVALID;
    peer->heard = r->now;
    if (peer->state != RAFT_SNAPSHOT || !peer->snapshot_ready || answer->index != peer->snapshot.index)
        return RAFT_OK; /* about another one */
    switch (answer->status) {
    case RAFT_SNAPSHOT_INSTALLED:
        peer->match = raft_max(peer->match, answer->match);
        raft_snapshot_stop(r, peer);
        raft_commit_advance(r);
        return RAFT_OK;
    case RAFT_SNAPSHOT_FAILED:
        peer->snapshot.offset = 0;
        peer->snapshot_due = r->now + r->options.election_max_ns;
        return RAFT_OK;
    case RAFT_SNAPSHOT_MORE:
        if (answer->digest != peer->snapshot.digest)
            return RAFT_OK;
        if (answer->offset > peer->snapshot.total)
            return RAFT_E_INVALID;
        peer->snapshot.offset = answer->offset;
        if (answer->offset == peer->snapshot.total) /* it is restoring now */
            peer->snapshot_due = r->now + r->options.election_max_ns;
        else
            send_chunk(r, peer, false);
        return RAFT_OK;
    default:
        return RAFT_E_INVALID;
    }
}

int raft_snapshot_taken(struct raft *r, uint64_t index)
{
    uint64_t term;
    uint32_t chain;
    if (index <= r->snapshot_index) {
        RAFT_COVER(SNAPSHOT_OVERTAKEN);
        return RAFT_OK; /* an installed one has overtaken it */
    }
    if (index > r->applied || index > r->durable_index || !raft_log_boundary(&r->log, index, &term, &chain))
        return RAFT_E_INVALID;
    r->snapshot_index = index;
    raft_prune_configurations(r, index);
    return RAFT_OK;
}

int raft_compacted(struct raft *r, uint64_t index)
{
    uint64_t term;
    uint32_t chain;
    if (index <= r->log.base_index)
        return RAFT_OK;
    if (index > r->snapshot_index || !raft_log_boundary(&r->log, index, &term, &chain))
        return RAFT_E_INVALID;
    raft_log_compact(&r->log, index);
    return RAFT_OK;
}

/*
 * A peer that gets a snapshot goes on behind it with batches, so these must not be compacted meanwhile: it
 * would need another snapshot, and so on for ever (braft 423).
 */
uint64_t raft_compactable(const struct raft *r)
{
    uint64_t index = r->snapshot_index;
    assert(r->magic == RAFT_MAGIC);
    if (r->role != RAFT_LEADER || raft_bug(r, RAFT_BUG_SNAPSHOT_OUTRUN))
        return index;
    for (uint32_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].state == RAFT_SNAPSHOT && r->peers[i].snapshot_ready)
            index = raft_min(index, r->peers[i].snapshot.index);
    return raft_max(index, r->log.base_index);
}
