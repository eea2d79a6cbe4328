/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - what the node asks of its log: append, truncate, vote, reset, figures, stop. Everything is visible at once
 * and queued for the next group.
 */
#include "core/log/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/state.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

static struct log_op *queue_op(struct log *log, enum log_op_kind kind, uint64_t io)
{
    struct log_op *op = log->free_ops;

    if (op)
        log->free_ops = op->next;
    else
        op = malloc(sizeof *op);
    if (!op)
        return NULL;
    memset(op, 0, sizeof *op);
    op->kind = kind;
    op->io = io;
    op->asked_ns = os_mono_ns(log->os);
    if (log->queue_head)
        log->queue_tail->next = op;
    else
        log->queue_head = op;
    log->queue_tail = op;
    if (io) {
        assert(io > log->last_io);
        log->last_io = io;
    }
    return op;
}

static int ready(const struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    assert(log->state == LOG_RUNNING || log->state == LOG_FAILED);
    return log->state == LOG_RUNNING ? 0 : GAVEL_E_IO;
}

int log_append(struct log *log, uint64_t io, struct log_batch *batch)
{
    const struct log_batch_head *head = &batch->head;
    struct log_slot *slot;
    struct log_op *op;

    if (ready(log))
        return GAVEL_E_IO;
    assert(io);
    assert(head->first == log->walk.last.index + 1);
    assert(head->term >= log->walk.last.term);
    assert(head->term <= log->vote_term); /* its term's vote record comes before it, in this queue or long ago */
    assert(head->chain == log_batch_chain(log->walk.last.chain, batch->data));
    if (log->queued_bytes + head->bytes > LOG_QUEUE_BYTES)
        return GAVEL_E_BUSY;
    if (head->bytes > log->segment_bytes - LOG_SEGMENT_HEAD - LOG_FRAME_HEAD * 2 - LOG_START_BYTES)
        return GAVEL_E_TOO_LARGE;
    slot = log_slots_push(&log->walk.slots);
    if (!slot)
        return GAVEL_E_NO_MEMORY;
    op = queue_op(log, LOG_OP_APPEND, io);
    if (!op) {
        log_slots_pop_back(&log->walk.slots);
        return GAVEL_E_NO_MEMORY;
    }
    slot->first = head->first;
    slot->term = head->term;
    slot->count = head->count;
    slot->bytes = head->bytes;
    slot->chain = head->chain;
    slot->kind = (uint16_t)batch->kind;
    slot->batch = log_batch_ref(batch);
    op->batch = log_batch_ref(batch);
    op->point.index = head->first + head->count - 1;
    op->point.term = head->term;
    op->point.chain = head->chain;
    log->walk.last = op->point;
    log->queued_bytes += head->bytes;
    log->cache_bytes += head->bytes;
    log->bytes += head->bytes + LOG_FRAME_HEAD;
    log->appended++;
    log_pump(log);
    return 0;
}

bool log_backlogged(const struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    return log->queued_bytes > LOG_QUEUE_BYTES / 2;
}

/* Take slots back from the end, down to the last one that ends at or below `index`. */
static void take_back(struct log *log, uint64_t index)
{
    struct log_slots *slots = &log->walk.slots;

    while (slots->count) {
        const struct log_slot *slot = log_slot_at(slots, slots->count - 1);

        if (slot->first + slot->count - 1 <= index)
            break;
        assert(slot->first > index); /* whole batches only */
        if (slot->batch)
            log->cache_bytes -= slot->bytes;
        log->bytes -= slot->bytes + LOG_FRAME_HEAD;
        log_slots_pop_back(slots);
    }
    if (log->cache_from > slots->count)
        log->cache_from = slots->count;
}

/* Appends that are on their way and lie behind `index` are durable for nobody any more. */
static void bury(struct log_op *ops, uint64_t index)
{
    for (; ops; ops = ops->next) {
        if (ops->kind == LOG_OP_APPEND && ops->point.index > index)
            ops->dead = true;
    }
}

int log_truncate(struct log *log, uint64_t io, uint64_t from)
{
    struct log_slots *slots = &log->walk.slots;
    struct log_op *op;

    if (ready(log))
        return GAVEL_E_IO;
    assert(from > log->walk.before.index);
    assert(from <= log->walk.last.index);
    assert(log->snapshot_count == 0 || from > log->snapshots[0].index);
    op = queue_op(log, LOG_OP_TRUNCATE, io);
    if (!op)
        return GAVEL_E_NO_MEMORY;
    take_back(log, from - 1);
    log->walk.last = log->walk.before;
    if (slots->count) {
        const struct log_slot *slot = log_slot_at(slots, slots->count - 1);

        log->walk.last.index = slot->first + slot->count - 1;
        log->walk.last.term = slot->term;
        log->walk.last.chain = slot->chain;
    }
    assert(log->walk.last.index == from - 1);
    op->point = log->walk.last;
    bury(log->group.ops, from - 1);
    bury(log->queue_head, from - 1);
    if (log->durable > from - 1)
        log->durable = from - 1;
    log_pump(log);
    return 0;
}

int log_vote(struct log *log, uint64_t io, uint64_t term, uint64_t vote)
{
    struct log_op *op;

    if (ready(log))
        return GAVEL_E_IO;
    assert(io);
    assert(term >= log->vote_term);
    op = queue_op(log, LOG_OP_VOTE, io);
    if (!op)
        return GAVEL_E_NO_MEMORY;
    op->term = term;
    op->vote = vote;
    log->vote_term = term;
    log->vote = vote;
    log_pump(log);
    return 0;
}

int log_reset(struct log *log, uint64_t index, uint64_t term, uint32_t chain, struct log_task *task)
{
    struct log_op *op;

    if (ready(log))
        return GAVEL_E_IO;
    if (index == 0) {
        COVER("log-reset-at-zero");
        assert(log->walk.last.index == 0);
    } else {
        assert(log->snapshot_count);
        assert(log->snapshots[0].index == index);
    }
    op = queue_op(log, LOG_OP_RESET, 0);
    if (!op)
        return GAVEL_E_NO_MEMORY;
    op->task = task;
    take_back(log, 0);
    op->point.index = index;
    op->point.term = term;
    op->point.chain = chain;
    log->walk.before = op->point;
    log->walk.last = op->point;
    log->durable = 0; /* until the reset is */
    bury(log->group.ops, 0);
    bury(log->queue_head, 0);
    log_pump(log);
    return 0;
}

/* ---- what there is ------------------------------------------------------------------------------------- */

uint64_t log_first(const struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    return log->walk.before.index + 1;
}

uint64_t log_last(const struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    return log->walk.last.index;
}

uint64_t log_durable(const struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    return log->durable;
}

uint32_t log_chain(const struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    return log->walk.last.chain;
}

uint64_t log_recovering_floor(const struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    return log->recovering ? log->recovering_floor : 0;
}

int log_describe(const struct log *log, uint64_t index, struct log_descriptor *descriptor)
{
    uint64_t position;
    const struct log_slot *slot;

    assert(log->magic == LOG_MAGIC);
    if (index <= log->walk.before.index)
        return GAVEL_E_COMPACTED;
    position = log_slots_find(&log->walk.slots, index);
    if (position == log->walk.slots.count)
        return GAVEL_E_NOT_FOUND;
    slot = log_slot_at(&log->walk.slots, position);
    descriptor->first = slot->first;
    descriptor->term = slot->term;
    descriptor->count = slot->count;
    descriptor->bytes = slot->bytes;
    descriptor->chain = slot->chain;
    descriptor->kind = slot->kind;
    return 0;
}

static void add_segments(const struct os_list *list, uint64_t *bytes, uint32_t *number)
{
    struct log_segment *segment;

    os_list_each(segment, list, struct log_segment, link)
    {
        *bytes += segment->size;
        *number += 1;
    }
}

void log_figures(const struct log *log, struct log_figures *figures)
{
    const struct log_op *oldest = log->group.ops ? log->group.ops : log->queue_head;

    assert(log->magic == LOG_MAGIC);
    memset(figures, 0, sizeof *figures);
    figures->bytes = log->bytes;
    figures->queued_bytes = log->queued_bytes;
    figures->syncs = log->syncs;
    figures->batches = log->appended;
    figures->sync_ns_last = log->sync_ns_last;
    figures->cache_bytes = log->cache_bytes;
    figures->oldest_queued_ns = oldest ? oldest->asked_ns : 0;
    add_segments(&log->segments, &figures->disk_bytes, &figures->segments);
    add_segments(&log->dying, &figures->disk_bytes, &figures->segments);
    add_segments(&log->spares, &figures->disk_bytes, &figures->spares);
}

uint64_t log_sync_ns(const struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    return log->sync_ns_last;
}

/* ---- the end ------------------------------------------------------------------------------------------- */

/* [log lane] The last identity entry becomes durable: the next start can prove everything. Touches the open file. */
static void stop_run(struct os_job *job)
{
    struct log *log = os_container(job, struct log, stop_job);

    log->stop_status = os_sync(log->os, log->synced);
}

/* [loop] */
static void stop_done(struct os_job *job)
{
    struct log *log = os_container(job, struct log, stop_job);

    if (log->stop_status)
        log_fail(log, "sync the identity entries", log->stop_status);
    else
        log->state = LOG_STOPPED;
    log->stopped(log->stopped_ctx);
}

void log_job_ended(struct log *log)
{
    if (log->state != LOG_STOPPING || log->writing || log->keeper.busy || log->jobs || log->stop_job.run)
        return;
    if (log->queue_head && !log->space_short)
        return;
    log->stop_job.run = stop_run;
    log->stop_job.done = stop_done;
    os_submit(log->os, OS_LANE_LOG, &log->stop_job);
}

void log_stop(struct log *log, void (*stopped)(void *ctx), void *ctx)
{
    if (ready(log))
        return; /* failed: the node is on its way out already, and frees it when the lanes have stopped */
    log->stopped = stopped;
    log->stopped_ctx = ctx;
    log->state = LOG_STOPPING;
    log_pump(log);
    log_job_ended(log);
}

static void free_segments(struct log *log, struct os_list *list)
{
    struct os_list *link;

    while ((link = os_list_pop(list))) {
        struct log_segment *segment = os_container(link, struct log_segment, link);

        os_close(log->os, segment->file);
        free(segment);
    }
}

static void free_ops(struct log_op *op)
{
    while (op) {
        struct log_op *next = op->next;

        (void)log_batch_unref(op->batch);
        free(op);
        op = next;
    }
}

struct log *log_free(struct log *log)
{
    struct os_list *link;

    if (!log)
        return NULL;
    assert(log->magic == LOG_MAGIC);
    while ((link = os_list_pop(&log->pending))) {
        struct log_pending *pending = os_container(link, struct log_pending, link);

        pending->drop(pending);
    }
    free_ops(log->queue_head);
    free_ops(log->group.ops);
    free_ops(log->free_ops);
    log_slots_free(&log->walk.slots);
    free_segments(log, &log->segments);
    free_segments(log, &log->spares);
    free_segments(log, &log->dying);
    if (log->keeper.busy && log->keeper.segment) {
        /* A made one was never handed over; a recycled one is the old one's file. */
        os_close(log->os, log->keeper.action == LOG_KEEP_MAKE ? log->keeper.file : log->keeper.segment->file);
        free(log->keeper.segment);
    }
    os_close(log->os, log->vote_file[0]);
    os_close(log->os, log->vote_file[1]);
    os_close(log->os, log->synced);
    os_close(log->os, log->lock);
    free(log->snapshots);
    log->magic = 0;
    free(log);
    return NULL;
}
