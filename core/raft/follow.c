/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/follow.c - the follower's side of replication (thesis figure 3.1, AppendEntries; 3.5).
 *
 * All that is decided here is decided on whole batches: two logs that hold the same index with the same term
 * hold the same batch, so a difference in its extent or chain is not a conflict to repair but damage to
 * report.
 */
#include "cover.h"
#include "internal.h"

/* The form of a received append; nothing in it has been believed yet. */
int raft_check_batches(const struct raft *r, const struct raft_message *m)
{
    const struct raft_append_request *append = &m->append_request;
    uint64_t last = append->prev_index, term = append->prev_term;
    if (append->prev_term > m->term || append->last_index < append->prev_index)
        return RAFT_E_INVALID;
    if (append->batch_count > 0 && !append->batches)
        return RAFT_E_INVALID;
    for (uint32_t i = 0; i < append->batch_count; i++) {
        const struct raft_batch *batch = &append->batches[i];
        if (batch->first != last + 1 || batch->count == 0 || batch->bytes == 0)
            return RAFT_E_INVALID;
        if (batch->term < term || batch->term > m->term || batch->term == 0)
            return RAFT_E_INVALID;
        if (batch->kind < RAFT_BATCH_COMMAND || batch->kind > RAFT_BATCH_CONFIGURATION)
            return RAFT_E_INVALID;
        if (batch->first + batch->count < batch->first)
            return RAFT_E_INVALID;
        if (batch->kind == RAFT_BATCH_CONFIGURATION &&
            (batch->count != 1 || !batch->configuration ||
             !raft_configuration_valid(batch->configuration, r->options.members_max)))
            return RAFT_E_INVALID;
        last = batch->first + batch->count - 1;
        term = batch->term;
    }
    return last == append->last_index ? RAFT_OK : RAFT_E_INVALID;
}

/* What an answer says of the node itself, whatever it answers. */
static uint32_t own_flags(const struct raft *r)
{
    return (r->recovering ? RAFT_APPEND_RECOVERING : 0) | (raft_disk_stalls(r) ? RAFT_APPEND_STALLED : 0) |
           (r->fenced ? RAFT_APPEND_FENCED : 0);
}

static struct raft_append_response *answer_append(struct raft *r, const struct raft_message *m)
{
    struct raft_append_response *answer = &raft_send(r, RAFT_APPEND_RESPONSE, m->from)->append_response;
    answer->prev_index = m->append_request.prev_index;
    answer->round = m->append_request.round;
    answer->last_index = raft_log_last(&r->log);
    answer->flags = own_flags(r);
    return answer;
}

/* To a leader of a term that is over: the term in the head makes it step down. */
void raft_refuse_append(struct raft *r, const struct raft_message *m)
{
    struct raft_append_response *answer = &raft_send(r, RAFT_APPEND_RESPONSE, m->from)->append_response;
    answer->last_index = raft_log_last(&r->log);
    answer->flags = (raft_bug(r, RAFT_BUG_REFUSAL_BARE) ? 0 : own_flags(r)) | RAFT_APPEND_REJECTED;
}

enum agreement { AGREES, REJECTS, DIVERGES };

static enum agreement check_prev(const struct raft *r, const struct raft_append_request *append)
{
    uint64_t term;
    uint32_t chain;
    if (append->prev_index > raft_log_last(&r->log))
        return REJECTS;
    /* What is compacted was committed, so any leader holds the same: not a conflict. */
    if (append->prev_index < r->log.base_index) {
        RAFT_COVER(PREV_COMPACTED);
        return raft_bug(r, RAFT_BUG_PREV_COMPACTED) ? REJECTS : AGREES;
    }
    if (raft_bug(r, RAFT_BUG_PREV_UNCHECKED))
        return AGREES;
    bool boundary = raft_log_boundary(&r->log, append->prev_index, &term, &chain);
    if (!boundary)
        term = raft_log_term(&r->log, append->prev_index);
    if (term != append->prev_term)
        return append->prev_index <= r->commit ? DIVERGES : REJECTS;
    return boundary && chain == append->prev_chain ? AGREES : DIVERGES;
}

/*
 * Compares a received batch with what is held at its place. REJECTS: a conflict, all from here on has to go.
 */
static enum agreement check_held(const struct raft *r, const struct raft_batch *batch)
{
    uint32_t at;
    bool found = raft_log_find(&r->log, batch->first, &at);
    if (!found) /* at or below base, but reaching over it */
        return DIVERGES;
    const struct raft_slot *slot = raft_log_slot(&r->log, at);
    if (slot->term != batch->term)
        return batch->first <= r->commit || slot->first != batch->first ? DIVERGES : REJECTS;
    bool same = slot->first == batch->first && slot->count == batch->count && slot->chain == batch->chain;
    return same ? AGREES : DIVERGES;
}

/* Appends batches[from..], as many as there is room for; returns the last index that is held then. */
static uint64_t append_rest(struct raft *r, const struct raft_append_request *append, uint32_t from)
{
    uint64_t before = raft_log_last(&r->log);
    for (uint32_t i = from; i < append->batch_count; i++) {
        const struct raft_batch *batch = &append->batches[i];
        if (!raft_log_room(&r->log, r->snapshot_index))
            break;
        raft_log_append(&r->log, batch);
        if (batch->kind == RAFT_BATCH_CONFIGURATION)
            raft_push_configuration(r, batch->first, batch->configuration);
    }
    uint64_t last = raft_log_last(&r->log);
    if (last > before)
        raft_emit_append(r, before + 1, last);
    return last;
}

/*
 * Takes over what is new of the batches. An append that is a prefix of what is held, because it is late or
 * was sent twice, changes nothing: only a conflict truncates, never a shorter message.
 */
static enum agreement take_over(struct raft *r, const struct raft_append_request *append, uint64_t *verified)
{
    *verified = append->prev_index;
    for (uint32_t i = 0; i < append->batch_count; i++) {
        const struct raft_batch *batch = &append->batches[i];
        uint64_t end = batch->first + batch->count - 1;
        if (raft_bug(r, RAFT_BUG_PREV_ZERO) && append->prev_index == 0 && r->log.used > 0 &&
            r->log.base_index == 0) {
            raft_emit_truncate(r, 1);
            *verified = append_rest(r, append, 0);
            return AGREES;
        }
        if (batch->first > raft_log_last(&r->log)) {
            if (batch->term < raft_log_last_term(&r->log))
                return DIVERGES; /* terms never fall along a log */
            *verified = append_rest(r, append, i);
            return AGREES;
        }
        if (end > r->log.base_index) {
            enum agreement held = check_held(r, batch);
            if (held == DIVERGES)
                return held;
            if (held == REJECTS && batch->term < raft_log_term(&r->log, batch->first - 1))
                return DIVERGES;
            if (held == REJECTS && !raft_bug(r, RAFT_BUG_CONFLICT_KEPT)) {
                RAFT_COVER(CONFLICT);
                raft_emit_truncate(r, batch->first);
                *verified = append_rest(r, append, i);
                return AGREES;
            }
        }
        *verified = end;
    }
    if (raft_bug(r, RAFT_BUG_TRUNCATE_PREFIX) && *verified < raft_log_last(&r->log) &&
        append->batch_count > 0)
        raft_emit_truncate(r, *verified + 1);
    return AGREES;
}

/*
 * Recovering ends at an index that a leader reported as committed after it had committed in its own term, and
 * after it had learned that this node recovers: all that may ever commit by what this node acknowledged before
 * is below it. A report from before that is too old: the leader may yet commit something by an acknowledgement
 * of what is lost here.
 */
static void watch_recovery(struct raft *r, const struct raft_append_request *append)
{
    if (!r->recovering)
        return;
    bool counts = append->flags & RAFT_APPEND_OWN_TERM || raft_bug(r, RAFT_BUG_RECOVERY_EARLY);
    bool knows = append->flags & RAFT_APPEND_TO_RECOVERING || raft_bug(r, RAFT_BUG_RECOVERY_UNKNOWN);
    counts = counts && knows;
    if (r->recovery_target == 0 && counts)
        r->recovery_target = append->commit;
    if (r->recovery_target == 0 || r->verified < r->recovery_target || r->commit < r->recovery_target)
        return;
    struct raft_effect *effect = raft_emit(r, RAFT_EFFECT_RECOVERY_REACHED);
    effect->recovery.index = raft_max(r->recovery_target, raft_min(r->verified, r->durable_index));
    RAFT_COVER(RECOVERY_ENDS);
    if (!raft_bug(r, RAFT_BUG_RECOVERY_UNGATED))
        raft_send_gate(r, r->recovery_target);
}

static void reject(struct raft *r, const struct raft_message *m)
{
    const struct raft_append_request *append = &m->append_request;
    struct raft_append_response *answer = answer_append(r, m);
    uint64_t index = raft_min(append->prev_index, raft_log_last(&r->log));
    answer->flags |= RAFT_APPEND_REJECTED;
    answer->hint_index = raft_log_hint(&r->log, index, append->prev_term);
    answer->hint_term = raft_log_term(&r->log, answer->hint_index);
}

int raft_on_append_request(struct raft *r, const struct raft_message *m)
{
    const struct raft_append_request *append = &m->append_request;
    uint64_t verified = append->prev_index;
    if (r->role == RAFT_LEADER) /* two leaders of one term */
        return RAFT_E_DIVERGED;
    raft_heard_leader(r, m->from);
    if (r->incoming.installing && !raft_bug(r, RAFT_BUG_APPLY_DURING_INSTALL)) {
        RAFT_COVER(APPEND_DURING_INSTALL);
        /* The log is being replaced: nothing may be written beside that. */
        answer_append(r, m)->flags |= RAFT_APPEND_REJECTED | RAFT_APPEND_INSTALLING;
        return RAFT_OK;
    }
    enum agreement prev = check_prev(r, append);
    if (prev == AGREES)
        prev = take_over(r, append, &verified);
    if (prev == DIVERGES) {
        RAFT_COVER(DIVERGED);
        return RAFT_E_DIVERGED;
    }
    if (prev == REJECTS) {
        reject(r, m);
        return RAFT_OK;
    }
    r->verified = raft_max(r->verified, verified);
    /* Committed, but not verified: a stale tail of another leader may lie there (NuRaft 57). */
    uint64_t bound = raft_bug(r, RAFT_BUG_COMMIT_STALE_TAIL) ? raft_log_last(&r->log) : r->verified;
    if (append->commit > r->commit)
        raft_commit_to(r, raft_log_floor(&r->log, raft_min(append->commit, bound)));
    /*
     * What came with batches is acknowledged when it is durable. A heartbeat is answered at once, with what
     * is: so a slow disk delays neither reads nor the leader's knowledge of who is alive.
     */
    struct raft_append_response *answer = answer_append(r, m);
    bool heartbeat = append->batch_count == 0;
    answer->match = heartbeat ? raft_min(verified, r->durable_index) : verified;
    if (!raft_bug(r, RAFT_BUG_ACK_UNGATED))
        raft_send_gate(r, answer->match);
    else if (heartbeat)
        answer->match = verified;
    watch_recovery(r, append);
    return RAFT_OK;
}
