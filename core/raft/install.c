/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/install.c - receiving a snapshot from the leader (thesis figure 5.3).
 *
 *   nothing --offer, stored--> receiving --chunk, stored--> ... --last stored--> installing --INSTALLED--> nothing
 *
 * A snapshot of what the log holds anyway is not installed: it only says that this much is committed. So an
 * install always replaces the whole log, and never comes beside an append, an apply or a local snapshot.
 */
#include <string.h>

#include "cover.h"
#include "internal.h"

static void answer_chunk(struct raft *r, const struct raft_snapshot_request *s, uint32_t status)
{
    if (r->role != RAFT_FOLLOWER || r->leader == 0)
        return; /* who sent it leads no more */
    struct raft_message *m = raft_send(r, RAFT_SNAPSHOT_RESPONSE, r->leader);
    struct raft_snapshot_response *answer = &m->snapshot_response;
    answer->index = s->index;
    answer->digest = s->digest;
    answer->status = status;
    answer->ask = s->ask;
    if (status == RAFT_SNAPSHOT_INSTALLED) {
        answer->match = s->index;
        if (!raft_bug(r, RAFT_BUG_INSTALLED_UNGATED))
            raft_send_gate(r, raft_min(s->index, raft_log_last(&r->log)));
    } else if (status == RAFT_SNAPSHOT_MORE && r->incoming.snapshot.index == s->index &&
               r->incoming.snapshot.digest == s->digest) {
        answer->offset = r->incoming.snapshot.offset;
    }
}

/* Whether all that it holds is here already. Then its index is committed. */
static bool not_needed(struct raft *r, const struct raft_snapshot_request *s)
{
    uint64_t term;
    uint32_t chain;
    if (raft_bug(r, RAFT_BUG_SNAPSHOT_BACKWARDS))
        return false;
    if (s->index <= r->commit)
        return true;
    if (!raft_log_boundary(&r->log, s->index, &term, &chain) || term != s->last_term || chain != s->chain)
        return raft_bug(r, RAFT_BUG_SNAPSHOT_KEEPS_TAIL) && s->index <= raft_log_last(&r->log);
    raft_commit_to(r, s->index);
    return true;
}

static bool same_snapshot(const struct raft_snapshot_request *a, const struct raft_snapshot_request *b)
{
    return a->index == b->index && a->digest == b->digest && a->total == b->total &&
           a->last_term == b->last_term;
}

static void forget_incoming(struct raft *r)
{
    memset(&r->incoming, 0, sizeof r->incoming);
}

static void install(struct raft *r)
{
    struct raft_effect *effect = raft_emit(r, RAFT_EFFECT_INSTALL_SNAPSHOT);
    effect->chunk = r->incoming.snapshot;
    effect->chunk.length = 0;
    r->incoming.installing = true;
}

static void store(struct raft *r, const struct raft_snapshot_request *chunk)
{
    struct raft_effect *effect = raft_emit(r, RAFT_EFFECT_STORE_CHUNK);
    effect->chunk = *chunk;
    r->incoming.storing = true;
}

void raft_on_snapshot_request(struct raft *r, const struct raft_message *m)
{
    const struct raft_snapshot_request *chunk = &m->snapshot_request;
    struct raft_incoming *in = &r->incoming;
    raft_heard_leader(r, m->from);
    if (in->installing) {
        if (same_snapshot(&in->snapshot, chunk))
            answer_chunk(r, chunk, RAFT_SNAPSHOT_MORE);
        return;
    }
    if (not_needed(r, chunk)) {
        if (in->snapshot.index <= r->commit)
            forget_incoming(r);
        answer_chunk(r, chunk, RAFT_SNAPSHOT_INSTALLED);
        return;
    }
    if (!same_snapshot(&in->snapshot, chunk)) {
        if (chunk->index < in->snapshot.index && in->term == r->term) {
            /* late, of one that this leader has given up; another leader may only have an older one */
            RAFT_COVER(OFFER_IS_OLDER);
            return;
        }
        if (chunk->length > 0) {
            RAFT_COVER(CHUNK_WITHOUT_OFFER);
            return; /* late, of one that was forgotten: what is received begins with an offer */
        }
        in->snapshot = *chunk;
        in->snapshot.offset = 0;
        in->term = r->term;
        store(r, &in->snapshot);
        return;
    }
    in->term = r->term;
    in->snapshot.ask = chunk->ask;
    if (in->storing)
        return; /* the answer comes when it is stored */
    if (chunk->length == 0 || chunk->offset != in->snapshot.offset)
        answer_chunk(r, chunk, RAFT_SNAPSHOT_MORE);
    else
        store(r, chunk);
}

int raft_chunk_stored(struct raft *r, const struct raft_event_chunk_stored *e)
{
    struct raft_incoming *in = &r->incoming;
    if (!in->storing || e->index != in->snapshot.index || e->digest != in->snapshot.digest)
        return RAFT_OK; /* of one that another has replaced */
    if (!e->failed && (e->offset < in->snapshot.offset || e->offset > in->snapshot.total))
        return RAFT_E_INVALID;
    in->storing = false;
    if (e->failed) {
        RAFT_COVER(CHUNK_FAILED);
        struct raft_snapshot_request failed = in->snapshot;
        forget_incoming(r);
        answer_chunk(r, &failed, RAFT_SNAPSHOT_FAILED);
        return RAFT_OK;
    }
    in->snapshot.offset = e->offset;
    struct raft_snapshot_request stored = in->snapshot;
    if (not_needed(r, &stored)) { /* the log got there in the meantime */
        forget_incoming(r);
        answer_chunk(r, &stored, RAFT_SNAPSHOT_INSTALLED);
        return RAFT_OK;
    }
    if (stored.offset == stored.total)
        install(r);
    answer_chunk(r, &stored, RAFT_SNAPSHOT_MORE);
    return RAFT_OK;
}

/* The snapshot is the log now, up to its index, with its configuration, whatever lay here before. */
int raft_snapshot_installed(struct raft *r, const struct raft_event_snapshot_installed *e)
{
    struct raft_snapshot_request done = r->incoming.snapshot;
    if (!r->incoming.installing || e->index != done.index || e->digest != done.digest)
        return RAFT_E_INVALID;
    if (!e->failed && (!e->configuration || e->configuration->count > r->options.members_max))
        return RAFT_E_INVALID;
    forget_incoming(r);
    if (e->failed) {
        RAFT_COVER(INSTALL_FAILED);
        answer_chunk(r, &done, RAFT_SNAPSHOT_FAILED);
        return RAFT_OK;
    }
    raft_log_reset(&r->log, done.index, done.last_term, done.chain);
    for (uint64_t io = r->durable_io + 1; io <= r->io; io++)
        r->pending[io % r->options.ios_max] = 0;
    r->durable_index = done.index;
    r->snapshot_index = done.index;
    r->commit = done.index;
    r->verified = done.index;
    r->applied = done.index;
    r->apply_sent = done.index;
    if (!raft_bug(r, RAFT_BUG_CONFIG_NOT_RESTORED)) {
        r->stack_count = 1;
        r->stack[0].index = done.index;
        r->stack[0].configuration = *e->configuration;
        raft_sync_peers(r);
    }
    answer_chunk(r, &done, RAFT_SNAPSHOT_INSTALLED);
    return RAFT_OK;
}
