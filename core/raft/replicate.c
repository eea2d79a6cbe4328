/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/replicate.c - the leader's side of replication (thesis 3.5): proposals, appends, the answers to
 * them.
 *
 *   PROBE      where the peer's log agrees with ours is being found out: one append with batches at a time
 *   REPLICATE  known: appends follow each other without waiting, up to a window of bytes
 *   SNAPSHOT   the peer needs batches that are compacted; only heartbeats until it has a snapshot
 *   (snapshot.c)
 *
 * Nothing here waits for the own disk: a leader's term is durable before it leads, so its appends and
 * heartbeats have no gate, and its disk writes in parallel with the peers'.
 */
#include "cover.h"
#include "internal.h"

bool raft_peer_alive(const struct raft *r, const struct raft_peer *peer)
{
    return peer->heard != 0 && r->now - peer->heard <= r->options.election_max_ns;
}

void raft_peer_probe(struct raft *r, struct raft_peer *peer, uint64_t next)
{
    assert(r->role == RAFT_LEADER);
    assert(peer->state != RAFT_SNAPSHOT);
    peer->state = RAFT_PROBE;
    peer->paused = false;
    peer->next = raft_max(next, peer->match + 1);
}

/* Every peer gets an empty append at the end of this step: a heartbeat, a greeting, a round of reads. */
void raft_greet_all(struct raft *r)
{
    for (uint32_t i = 0; i < r->peer_count; i++)
        r->peers[i].greet = true;
}

static void send_append(struct raft *r, struct raft_peer *peer, uint64_t prev, uint64_t last,
                        uint32_t batches)
{
    struct raft_message *m = raft_send(r, RAFT_APPEND_REQUEST, peer->id);
    struct raft_append_request *append = &m->append_request;
    append->prev_index = prev;
    bool known = raft_log_boundary(&r->log, prev, &append->prev_term, &append->prev_chain);
    assert(known);
    append->last_index = last;
    append->batch_count = batches;
    append->commit = r->commit;
    append->round = r->reads.round;
    append->flags = raft_own_term_committed(r) ? RAFT_APPEND_OWN_TERM : 0;
    append->flags |= peer->recovering ? RAFT_APPEND_TO_RECOVERING : 0;
    peer->commit_told = r->commit;
    if (raft_bug(r, RAFT_BUG_HEARTBEAT_GATED) && r->io > r->durable_io)
        r->effects->items[r->effects->count - 1].gate = r->io;
}

/* How far one append request that begins at `first` may reach: whole batches, at least one. */
static uint64_t reach(const struct raft *r, uint64_t first, uint32_t *batches)
{
    uint32_t at;
    uint64_t bytes = 0, last = first - 1;
    bool found = raft_log_find(&r->log, first, &at);
    assert(found);
    assert(raft_log_slot(&r->log, at)->first == first);
    *batches = 0;
    for (; at < r->log.used && *batches < r->options.append_batches_max; at++) {
        const struct raft_slot *slot = raft_log_slot(&r->log, at);
        bytes += slot->bytes;
        if (*batches > 0 && bytes > r->options.append_bytes_max)
            break;
        last = slot->first + slot->count - 1;
        ++*batches;
    }
    return last;
}

static void replicate_to(struct raft *r, struct raft_peer *peer)
{
    for (int sends = 0; sends < RAFT_SENDS_PER_STEP && peer->next <= raft_log_last(&r->log); sends++) {
        uint32_t batches;
        if (peer->state == RAFT_PROBE && peer->paused)
            return;
        uint64_t acknowledged = raft_log_bytes(&r->log, peer->match);
        uint64_t on_their_way = raft_log_bytes(&r->log, peer->next - 1) - acknowledged;
        if (on_their_way >= r->options.window_bytes)
            return;
        uint64_t last = reach(r, peer->next, &batches);
        send_append(r, peer, peer->next - 1, last, batches);
        if (peer->state == RAFT_PROBE)
            peer->paused = true;
        else
            peer->next = last + 1;
    }
}

/* The end of each step of a leader: everybody gets what there is for him. */
void raft_replicate_pump(struct raft *r)
{
    for (uint32_t i = 0; i < r->peer_count; i++) {
        struct raft_peer *peer = &r->peers[i];
        /* What it needs is compacted. A snapshot is only begun for who is there to receive it. */
        bool behind = peer->next <= r->log.base_index;
        if (peer->state != RAFT_SNAPSHOT && behind && raft_peer_alive(r, peer))
            raft_snapshot_begin(r, peer);
        behind = behind || peer->state == RAFT_SNAPSHOT;
        if (peer->greet || (peer->leaving && raft_in_force_index(r) <= r->commit)) {
            uint64_t prev = behind ? r->log.base_index : peer->next - 1;
            send_append(r, peer, prev, prev, 0);
            peer->greet = false;
        }
        if (!behind)
            replicate_to(r, peer);
    }
}

/*
 * Where to try next after `m` was rejected: the last place where the two logs can still agree, a term at a
 * time.
 */
static uint64_t way_back(const struct raft *r, const struct raft_append_response *m)
{
    if (m->prev_index <= r->log.base_index)
        return m->prev_index; /* at or below base: what the peer lacks is compacted */
    uint64_t index = raft_min(m->prev_index - 1, m->hint_index);
    if (index < r->log.base_index)
        return index + 1;
    return raft_log_hint(&r->log, index, m->hint_term) + 1;
}

static void rejected(struct raft *r, struct raft_peer *peer, const struct raft_append_response *m)
{
    if (peer->state == RAFT_SNAPSHOT)
        return;
    /*
     * A peer whose log was damaged may have lost what it acknowledged. It does not count, so that is no harm.
     */
    if (peer->recovering && m->hint_index < peer->match)
        peer->match = 0;
    /* Late answers: to a probe that is not the current one, or about what has been acknowledged since. */
    if (m->prev_index <= peer->match && !(peer->recovering && peer->match == 0))
        return;
    if (peer->state == RAFT_PROBE && m->prev_index != peer->next - 1)
        return;
    peer->state = RAFT_PROBE;
    peer->paused = false;
    peer->next = raft_max(way_back(r, m), peer->match + 1);
}

static void accepted(struct raft *r, struct raft_peer *peer, const struct raft_append_response *m)
{
    if (peer->recovering && m->match < peer->match)
        peer->match = m->match;
    if (peer->state == RAFT_SNAPSHOT) {
        /*
         * It got there in another way, for instance from the leader before (etcd: stuck in snapshot state).
         */
        if (m->match < r->log.base_index || raft_bug(r, RAFT_BUG_SNAPSHOT_STUCK)) {
            RAFT_COVER(STILL_BEHIND);
            return;
        }
        peer->match = raft_max(peer->match, m->match);
        peer->snapshot_backoff = 0;
        raft_snapshot_stop(r, peer);
    }
    peer->match = raft_max(peer->match, m->match);
    if (peer->state == RAFT_PROBE) {
        peer->state = RAFT_REPLICATE;
        peer->paused = false;
        peer->next = raft_max(peer->match, raft_min(m->prev_index, raft_log_last(&r->log))) + 1;
    }
    peer->next = raft_max(peer->next, peer->match + 1);
}

int raft_on_append_response(struct raft *r, const struct raft_message *m)
{
    const struct raft_append_response *answer = &m->append_response;
    struct raft_peer *peer = raft_find_peer(r, m->from);
    if (r->role != RAFT_LEADER || !peer)
        return RAFT_OK;
    if (answer->match > raft_log_last(&r->log) || answer->prev_index > raft_log_last(&r->log) ||
        answer->round > r->reads.round)
        return RAFT_E_INVALID;
    peer->heard = r->now;
    peer->last_index = answer->last_index;
    peer->round = raft_max(peer->round, answer->round);
    peer->recovering = (answer->flags & RAFT_APPEND_RECOVERING) != 0;
    peer->stalled = (answer->flags & RAFT_APPEND_STALLED) != 0;
    peer->fenced = (answer->flags & RAFT_APPEND_FENCED) != 0;
    if (!(answer->flags & RAFT_APPEND_INSTALLING)) {
        if (answer->flags & RAFT_APPEND_REJECTED)
            rejected(r, peer, answer);
        else
            accepted(r, peer, answer);
    }
    raft_commit_advance(r);
    raft_reads_acknowledged(r);
    return RAFT_OK;
}

static int may_propose(struct raft *r, const struct raft_batch *batch)
{
    bool configuration = batch->kind == RAFT_BATCH_CONFIGURATION;
    if (r->role != RAFT_LEADER)
        return RAFT_E_NOT_LEADER;
    if (batch->count == 0 || batch->bytes == 0 || batch->kind < RAFT_BATCH_COMMAND ||
        batch->kind > RAFT_BATCH_CONFIGURATION)
        return RAFT_E_INVALID;
    if (configuration && (batch->count != 1 || !batch->configuration))
        return RAFT_E_INVALID;
    /* Made from a look at the log that is out of date: appended, it would be a gap (openraft 1795). */
    if (batch->term != r->term || batch->first != raft_log_last(&r->log) + 1)
        if (!raft_bug(r, RAFT_BUG_PROPOSE_GAP))
            return RAFT_E_STALE;
    if (r->transfer.target)
        return RAFT_E_BUSY;
    if (r->own_first == 0 && batch->kind != RAFT_BATCH_NOOP && !raft_bug(r, RAFT_BUG_READ_TOO_EARLY))
        return RAFT_E_BUSY;
    if (batch->kind == RAFT_BATCH_COMMAND) {
        uint64_t waiting = raft_log_bytes(&r->log, UINT64_MAX) - raft_log_bytes(&r->log, r->commit);
        if (r->no_space && !raft_bug(r, RAFT_BUG_SPACE_IGNORED)) {
            RAFT_COVER(NO_SPACE);
            return RAFT_E_NO_SPACE;
        }
        if (waiting > 0 && waiting + batch->bytes > r->options.uncommitted_bytes) {
            RAFT_COVER(MUCH_WAITS);
            return RAFT_E_BUSY;
        }
        /*
         * The last eighth is for the entries that leaders begin with: without them nothing would ever commit.
         */
        uint32_t most = r->log.capacity - r->log.capacity / 8;
        if (r->log.used >= most && raft_log_above(&r->log, r->snapshot_index) >= most) {
            RAFT_COVER(RING_FULL);
            return RAFT_E_BUSY;
        }
    }
    /* Keep some for a vote record: a leader that fills its queue must still be able to step down. */
    if (raft_io_free(r) < 2 * RAFT_IOS_PER_EVENT || !raft_log_room(&r->log, r->snapshot_index))
        return RAFT_E_BUSY;
    return configuration ? raft_may_append_configuration(r, batch) : RAFT_OK;
}

int raft_propose(struct raft *r, const struct raft_batch *batch)
{
    int result = may_propose(r, batch);
    if (result != RAFT_OK)
        return result;
    uint64_t last = batch->first + batch->count - 1;
    raft_log_append(&r->log, batch);
    raft_emit_append(r, batch->first, last);
    r->verified = last;
    if (r->own_first == 0)
        r->own_first = batch->first;
    if (batch->kind == RAFT_BATCH_CONFIGURATION) {
        r->wants_change = false;
        raft_push_configuration(r, last, batch->configuration);
    }
    raft_commit_advance(r); /* a new configuration may need fewer */
    return RAFT_OK;
}
