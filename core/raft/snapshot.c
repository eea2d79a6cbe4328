/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/snapshot.c - snapshots of this node: taking note of them, sending them to peers (thesis 5.1,
 * 5.3).
 *
 *   START_SNAPSHOT --READY--> offer (no bytes) --MORE at offset--> chunk --MORE--> chunk ... --INSTALLED-->
 *   probe
 *
 * The state ends in each of these ways: the peer says INSTALLED, an ordinary append answer shows that it has
 * caught up otherwise, it makes no progress for long, it is removed, the leader steps down. Lost messages are asked
 * after, so none of them can stick.
 *
 * There is no limit on the time of a whole transfer: only on the time without progress (snapshot_wait_ns). For so long
 * a peer that was killed on the way may come back and go on where its part ends; the log behind the snapshot is kept
 * for it. One that cannot store what it gets is let go after the same time, and waits longer and longer before the next
 * attempt.
 */
#include "cover.h"
#include "internal.h"

/*
 * A chunk goes out once. A link may be so slow that an answer takes longer than the time after which is asked again, so
 * silence says nothing; what came of a chunk is known when the peer has seen a message of its number (ask) or a later
 * one, since links keep their order.
 *
 * A peer of protocol 1.0 does not say what it has seen. Its answers are counted: each belongs to the oldest message
 * that was not answered. More than a few are not counted: then something was lost, and a count that is too high would
 * only cost time.
 */
#define ASKED_MAX 4

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
    peer->snapshot_ready = false;
    peer->snapshot_progress = r->now;
    if (peer->snapshot_backoff)
        peer->snapshot_due = r->now + peer->snapshot_backoff;
    else
        ask_for_snapshot(r, peer);
}

/* Nothing came of it: the log goes on without this peer, and the next attempt comes later than this one did. */
static void let_go(struct raft *r, struct raft_peer *peer)
{
    RAFT_COVER(SNAPSHOT_LET_GO);
    peer->snapshot_backoff = raft_max(2 * peer->snapshot_backoff, r->options.election_max_ns);
    peer->snapshot_backoff = raft_min(peer->snapshot_backoff, r->options.snapshot_wait_ns);
    raft_snapshot_stop(r, peer);
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
    chunk->ask = ++peer->snapshot_ask;
    if (!question) {
        peer->snapshot_chunk = chunk->ask;
        chunk->length = (uint32_t)raft_min(r->options.chunk_bytes, chunk->total - chunk->offset);
        peer->snapshot_old = peer->snapshot_asked;
    }
    if (peer->snapshot_asked < ASKED_MAX)
        peer->snapshot_asked++;
    peer->snapshot_due = r->now + r->options.election_max_ns;
}

void raft_snapshot_link_up(struct raft *r, struct raft_peer *peer)
{
    if (peer->state != RAFT_SNAPSHOT || !peer->snapshot_ready)
        return;
    peer->snapshot_asked = 0;
    peer->snapshot_old = 0;
    send_chunk(r, peer, true);
}

/* Before anything is sent there is nothing to go on with: then a peer that is silent is soon given up. */
static bool is_stuck(const struct raft *r, const struct raft_peer *peer)
{
    uint64_t silence = r->now - peer->heard;
    if (raft_bug(r, RAFT_BUG_SNAPSHOT_TO_THE_DEAD))
        return false;
    if (!peer->snapshot_ready)
        return silence > RAFT_SNAPSHOT_SILENCE * r->options.election_max_ns;
    if (raft_bug(r, RAFT_BUG_SNAPSHOT_STALLS) && silence <= r->options.snapshot_wait_ns)
        return false;
    return r->now - peer->snapshot_progress > r->options.snapshot_wait_ns;
}

void raft_snapshot_time(struct raft *r)
{
    for (uint32_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *peer = &r->peers[i];
        if (peer->state != RAFT_SNAPSHOT)
            continue;
        if (is_stuck(r, peer)) {
            let_go(r, peer);
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
    peer->snapshot_progress = r->now;
    peer->snapshot_asked = 0;
    peer->snapshot_old = 0;
    send_chunk(r, peer, true);
    return RAFT_OK;
}

/* Whether the answer was given before the newest chunk can have come. */
static bool is_on_its_way(struct raft_peer *peer, const struct raft_snapshot_response *answer)
{
    if (answer->ask)
        return answer->offset <= peer->snapshot.offset && answer->ask < peer->snapshot_chunk;
    if (answer->offset != peer->snapshot.offset || !peer->snapshot_old)
        return false;
    peer->snapshot_old--;
    return true;
}

/* It says where it is. A chunk goes out once, and again only when the answer cannot be to what was sent before it. */
static int on_more(struct raft *r, struct raft_peer *peer, const struct raft_snapshot_response *answer)
{
    bool further = answer->offset > peer->snapshot.offset;
    if (answer->digest != peer->snapshot.digest)
        return RAFT_OK;
    if (answer->offset > peer->snapshot.total)
        return RAFT_E_INVALID;
    if (peer->snapshot_asked)
        peer->snapshot_asked--;
    if (is_on_its_way(peer, answer)) {
        RAFT_COVER(CHUNK_ON_ITS_WAY);
        return RAFT_OK;
    }
    peer->snapshot.offset = answer->offset;
    if (further || answer->offset == peer->snapshot.total)
        peer->snapshot_progress = r->now;
    if (answer->offset == peer->snapshot.total) /* it is restoring now */
        peer->snapshot_due = r->now + r->options.election_max_ns;
    else
        send_chunk(r, peer, false);
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
        peer->snapshot_backoff = 0;
        raft_snapshot_stop(r, peer);
        raft_commit_advance(r);
        return RAFT_OK;
    case RAFT_SNAPSHOT_FAILED:
        let_go(r, peer); /* its disk is full, or the whole could not be restored: the next attempt may fare no better */
        return RAFT_OK;
    case RAFT_SNAPSHOT_MORE:
        return on_more(r, peer, answer);
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
