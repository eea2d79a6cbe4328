/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/log_index.c - where the batches of the log begin and end, and of which term they are.
 *
 * Base is the end of the last batch that is forgotten (compacted, or covered by the snapshot): its index,
 * term and chain are still known, so that the first batch that is left can be checked against it.
 */
#include <string.h>

#include "internal.h"

void raft_log_reset(struct raft_log *log, uint64_t index, uint64_t term, uint32_t chain)
{
    log->base_bytes = raft_log_bytes(log, UINT64_MAX);
    log->head = 0;
    log->used = 0;
    log->base_index = index;
    log->base_term = term;
    log->base_chain = chain;
}

/* The position of the batch that holds `index`. */
bool raft_log_find(const struct raft_log *log, uint64_t index, uint32_t *at)
{
    if (index <= log->base_index || index > raft_log_last(log))
        return false;
    uint32_t low = 0, high = log->used - 1;
    /* Most questions are about the newest batch. */
    if (index >= raft_log_slot(log, high)->first) {
        *at = high;
        return true;
    }
    /* And most others about one close to it: from the end back in steps that double, then by halving. */
    uint32_t back = 1;
    while (back < high && raft_log_slot(log, high - back)->first > index)
        back *= 2;
    if (back < high)
        low = high - back;
    high -= back / 2;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (raft_slot_end(raft_log_slot(log, middle)) < index)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return true;
}

uint64_t raft_log_bytes(const struct raft_log *log, uint64_t index)
{
    uint32_t at;
    if (log->used == 0 || index <= log->base_index)
        return log->base_bytes;
    if (index >= raft_log_newest(log)->first) /* its last batch, or beyond: most questions */
        return raft_log_newest(log)->bytes_end;
    bool found = raft_log_find(log, index, &at);
    assert(found);
    return raft_log_slot(log, at)->bytes_end;
}

uint64_t raft_log_term(const struct raft_log *log, uint64_t index)
{
    uint32_t at;
    if (index == log->base_index)
        return log->base_term;
    return raft_log_find(log, index, &at) ? raft_log_slot(log, at)->term : 0;
}

/* Whether `index` is base or the end of a batch. */
bool raft_log_boundary(const struct raft_log *log, uint64_t index, uint64_t *term, uint32_t *chain)
{
    uint32_t at;
    if (index == log->base_index) {
        *term = log->base_term;
        *chain = log->base_chain;
        return true;
    }
    if (!raft_log_find(log, index, &at) || raft_slot_end(raft_log_slot(log, at)) != index)
        return false;
    *term = raft_log_slot(log, at)->term;
    *chain = raft_log_slot(log, at)->chain;
    return true;
}

uint64_t raft_log_floor(const struct raft_log *log, uint64_t index)
{
    uint32_t at;
    if (index >= raft_log_last(log))
        return raft_log_last(log);
    if (!raft_log_find(log, index, &at))
        return log->base_index;
    const struct raft_slot *slot = raft_log_slot(log, at);
    return raft_slot_end(slot) == index ? index : slot->first - 1;
}

/*
 * The last boundary at or below `index` whose term is at most `term`: the best that can still be common with
 * a log that has `term` at `index` (the fast way back of thesis 3.5, a whole term at a time). At least base.
 */
uint64_t raft_log_hint(const struct raft_log *log, uint64_t index, uint64_t term)
{
    uint32_t at;
    uint64_t floor = raft_log_floor(log, index);
    if (floor == log->base_index || raft_log_term(log, floor) <= term)
        return floor;
    bool found = raft_log_find(log, floor, &at);
    assert(found);
    /* Terms never fall: the first batch of a later term is found by halving. */
    uint32_t low = 0, high = at;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (raft_log_slot(log, middle)->term > term)
            high = middle;
        else
            low = middle + 1;
    }
    return raft_log_slot(log, low)->first - 1;
}

void raft_log_append(struct raft_log *log, const struct raft_batch *batch)
{
    assert(log->used < log->capacity);
    assert(batch->first == raft_log_last(log) + 1);
    assert(batch->term >= raft_log_last_term(log));
    uint64_t bytes = raft_log_bytes(log, UINT64_MAX);
    log->used++;
    *raft_log_slot(log, log->used - 1) = (struct raft_slot){
        .first = batch->first,
        .term = batch->term,
        .bytes_end = bytes + batch->bytes,
        .count = batch->count,
        .chain = batch->chain,
        .kind = batch->kind,
        .bytes = batch->bytes,
    };
}

/* Drops the batch that begins at `from` and all behind it: batches are truncated only whole. */
void raft_log_truncate(struct raft_log *log, uint64_t from)
{
    uint32_t at;
    bool found = raft_log_find(log, from, &at);
    assert(found);
    assert(raft_log_slot(log, at)->first == from);
    log->used = at;
}

/* Forgets all up to `index`, the end of a batch. */
void raft_log_compact(struct raft_log *log, uint64_t index)
{
    uint32_t at;
    if (!raft_log_find(log, index, &at))
        return;
    const struct raft_slot *slot = raft_log_slot(log, at);
    assert(raft_slot_end(slot) == index);
    log->base_index = index;
    log->base_term = slot->term;
    log->base_chain = slot->chain;
    log->base_bytes = slot->bytes_end;
    uint64_t head = (uint64_t)log->head + at + 1;
    log->head = (uint32_t)(head < log->capacity ? head : head - log->capacity);
    log->used -= at + 1;
}

uint32_t raft_log_above(const struct raft_log *log, uint64_t index)
{
    uint32_t at;
    if (index >= raft_log_last(log))
        return 0;
    return raft_log_find(log, index, &at) ? log->used - at - 1 : log->used;
}

/*
 * Whether one more batch fits; forgets the oldest one for it if a snapshot covers it. A batch above the
 * snapshot is never forgotten: the next start has to load them all.
 */
bool raft_log_room(struct raft_log *log, uint64_t snapshot_index)
{
    if (log->used < log->capacity)
        return true;
    uint64_t end = raft_slot_end(raft_log_slot(log, 0));
    if (end > snapshot_index)
        return false;
    raft_log_compact(log, end);
    return true;
}
