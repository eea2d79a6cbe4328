/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.c - group commit: everything that was asked for while the last write ran is the next one. One write, one sync.
 *
 * A group is a vote, or frames in one segment, or a vote and then frames: an append of a new term must never be durable
 * before that term's vote record, so the vote is synced to both files first.
 */
#include <assert.h>
#include <string.h>

#include "core/log/state.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

static uint64_t align_group(uint64_t offset)
{
    return (offset + LOG_GROUP_ALIGN - 1) & ~(uint64_t)(LOG_GROUP_ALIGN - 1);
}

/* ---- on the lane --------------------------------------------------------------------------------------- */

static int write_durable(struct log_group *group, struct os_file *file, const struct iovec *iov, int count,
                         uint64_t offset)
{
    uint32_t flags = seeded_bug("log-ack-before-sync") ? 0 : OS_WRITE_DURABLE;
    int result = os_pwritev(group->os, file, iov, count, offset, flags);

    /* Never tried again: after a failure the kernel may have marked the pages clean, and a second sync would succeed
     * with the bytes lost. */
    if (result && seeded_bug("log-sync-retried"))
        result = os_sync(group->os, file);
    return result;
}

static int write_vote(struct log_group *group)
{
    int files = seeded_bug("log-vote-unwritten") ? 0 : seeded_bug("log-one-vote-file") ? 1 : 2;

    group->what = "write the vote";
    for (int i = 0; i < files; i++) {
        struct iovec iov = {.iov_base = group->vote, .iov_len = sizeof group->vote};
        /* In turn: a crash can damage one of them only. */
        int result = write_durable(group, group->vote_file[i], &iov, 1, 0);

        if (result)
            return result;
    }
    return 0;
}

static int write_frames(struct log_group *group)
{
    uint8_t identity[LOG_IDENTITY_BYTES];
    int result;

    for (uint32_t i = 0; i < group->frames; i++) {
        union {
            const void *from;
            void *to;
        } payload = {.from = group->payload[i]}; /* iovec has no const; the bytes are only read */

        group->frame[i].ordinal = (uint16_t)i;
        group->frame[i].frames = (uint16_t)group->frames;
        log_frame_encode(group->head[i], &group->frame[i], group->incarnation);
        group->iov[2 * i].iov_base = group->head[i];
        group->iov[2 * i].iov_len = LOG_FRAME_HEAD;
        group->iov[2 * i + 1].iov_base = payload.to;
        group->iov[2 * i + 1].iov_len = group->frame[i].bytes;
    }
    group->what = "write the log";
    result = write_durable(group, group->file, group->iov, (int)group->frames * 2, group->offset);
    if (result || seeded_bug("log-identity-unwritten"))
        return result;
    /* The identity entry: into the page cache only, about a microsecond; nobody waits for its sync. */
    group->what = "write an identity entry";
    log_identity_encode(identity, &group->identity, group->incarnation);
    return os_pwrite(group->os, group->synced, identity, sizeof identity,
                     group->identity.group % LOG_IDENTITY_SLOTS * LOG_IDENTITY_BYTES, 0);
}

/* [log lane] Touches the group's own fields, its open files, and the bytes of batches that the loop holds for it. */
static void group_run(struct os_job *job)
{
    struct log_group *group = os_container(job, struct log_group, job);
    uint64_t before = os_mono_ns(group->os);

    group->status = 0;
    if (seeded_bug("log-append-before-vote") && group->frames)
        group->status = write_frames(group);
    if (group->has_vote && group->status == 0)
        group->status = write_vote(group);
    if (group->frames && group->status == 0 && !seeded_bug("log-append-before-vote"))
        group->status = write_frames(group);
    group->took_ns = os_mono_ns(group->os) - before;
}

/* ---- on the loop: what became durable ------------------------------------------------------------------ */

static void free_op(struct log *log, struct log_op *op)
{
    if (op->kind == LOG_OP_APPEND)
        log->queued_bytes -= op->batch->head.bytes;
    op->batch = log_batch_unref(op->batch);
    op->next = log->free_ops;
    log->free_ops = op;
}

/* After a reset everything before the segment that holds it is of no use. */
static void drop_superseded(struct log *log)
{
    while (!os_list_empty(&log->segments)) {
        struct log_segment *segment = os_container(log->segments.next, struct log_segment, link);

        if (segment == log->current)
            break;
        os_list_remove(&segment->link);
        os_list_push(&log->dying, &segment->link);
    }
    log_keep(log);
}

static void op_durable(struct log *log, const struct log_op *op)
{
    switch (op->kind) {
    case LOG_OP_APPEND:
        /* Taken back meanwhile: its index may belong to another batch by now. */
        if ((!op->dead || seeded_bug("log-dead-append-counts")) && op->point.index > log->durable)
            log->durable = op->point.index;
        break;
    case LOG_OP_TRUNCATE:
        if (op->point.index < log->durable)
            log->durable = op->point.index;
        break;
    case LOG_OP_RESET:
        log->durable = op->point.index;
        drop_superseded(log);
        break;
    default:
        break;
    }
}

static void finish_task(struct log_task *task, int status, const struct gavel_error *error)
{
    if (!task)
        return;
    task->status = status;
    if (error)
        task->error = *error;
    task->done(task);
}

static void answer(struct log *log, struct log_op *ops)
{
    uint64_t io = 0;
    struct log_op *op;

    for (op = ops; op; op = op->next) {
        op_durable(log, op);
        if (op->io)
            io = op->io;
    }
    /* The disk goes on at once with what has collected; then the news. */
    log_pump(log);
    log_cache_trim(log);
    while ((op = ops)) {
        struct log_task *task = op->kind == LOG_OP_RESET ? op->task : NULL;

        ops = op->next;
        free_op(log, op);
        finish_task(task, 0, NULL);
    }
    if (io && log->events.written)
        log->events.written(log->events.ctx, io);
    log_snapshot_durable(log);
}

/* [loop] */
static void group_done(struct os_job *job)
{
    struct log_group *group = os_container(job, struct log_group, job);
    struct log *log = group->log;
    struct log_op *ops = group->ops;

    assert(log->magic == LOG_MAGIC);
    assert(log->writing);
    log->writing = false;
    group->ops = NULL;
    if (group->status) {
        COVER("log-group-fails");
        while (ops) {
            struct log_op *op = ops;

            ops = op->next;
            op->next = log->queue_head; /* freed with the log: their batches stay what they are */
            log->queue_head = op;
            if (!log->queue_tail)
                log->queue_tail = op;
        }
        log_fail(log, group->what, group->status);
        return;
    }
    if (group->frames) {
        log->group_synced = group->identity.group;
        log->syncs++;
        log->sync_ns_last = group->took_ns;
    }
    answer(log, ops);
    log_job_ended(log);
}

void log_fail(struct log *log, const char *what, int error)
{
    if (log->state == LOG_FAILED || log->state == LOG_STOPPED)
        return;
    log->state = LOG_FAILED;
    (void)gavel_fail(&log->error, GAVEL_E_IO, "%s: cannot %s: %s; nothing is served any more", log->dir, what,
                     strerror(-error));
    for (struct log_op *op = log->queue_head; op; op = op->next) {
        struct log_task *task = op->kind == LOG_OP_RESET ? op->task : NULL;

        op->task = NULL;
        finish_task(task, GAVEL_E_IO, &log->error);
    }
    if (log->events.failed)
        log->events.failed(log->events.ctx, &log->error);
}

/* ---- on the loop: making the next group ---------------------------------------------------------------- */

static struct log_op *take_op(struct log *log, struct log_op ***tail)
{
    struct log_op *op = log->queue_head;

    log->queue_head = op->next;
    if (!log->queue_head)
        log->queue_tail = NULL;
    op->next = NULL;
    **tail = op;
    *tail = &op->next;
    return op;
}

/* Bytes of the frame that an operation needs. */
static uint64_t frame_bytes(const struct log_op *op)
{
    return LOG_FRAME_HEAD + (op->kind == LOG_OP_APPEND ? op->batch->head.bytes : LOG_POINT_BYTES);
}

static struct log_frame *add_frame(struct log_group *group, const struct log *log, uint16_t kind, uint32_t bytes,
                                   const void *payload)
{
    struct log_frame *frame = &group->frame[group->frames];

    memset(frame, 0, sizeof *frame);
    frame->kind = kind;
    frame->segment = log->current->number;
    frame->group = log->group_number;
    frame->synced = log->group_synced;
    frame->bytes = bytes;
    frame->group_start = (uint32_t)group->offset;
    group->payload[group->frames] = payload;
    group->frames++;
    group->bytes += LOG_FRAME_HEAD + bytes;
    return frame;
}

/* Where an append went; unless it was taken back already. */
static void place(struct log *log, const struct log_op *op, uint64_t offset)
{
    uint64_t position = log_slots_find(&log->walk.slots, op->point.index);
    struct log_slot *slot;

    if (op->dead || position == log->walk.slots.count)
        return;
    slot = log_slot_at(&log->walk.slots, position);
    assert(slot->batch == op->batch);
    slot->segment = log->current->number;
    slot->offset = (uint32_t)offset;
}

static void add_op(struct log *log, struct log_group *group, struct log_op *op)
{
    uint64_t offset = group->offset + group->bytes;
    uint8_t *small = group->small[group->frames];

    if (op->kind == LOG_OP_APPEND) {
        place(log, op, offset);
        (void)add_frame(group, log, LOG_FRAME_BATCH, op->batch->head.bytes, op->batch->data);
        if (op->point.index > log->current->last_index)
            log->current->last_index = op->point.index;
    } else {
        log_point_encode(small, &op->point);
        (void)add_frame(group, log, op->kind == LOG_OP_RESET ? LOG_FRAME_RESET : LOG_FRAME_TRUNCATE, LOG_POINT_BYTES,
                        small);
    }
    log->written = op->point;
}

/* Go over to a prepared segment. False when there is none: the write waits for it. */
static bool next_segment(struct log *log, uint64_t wanted)
{
    struct log_segment *segment;

    if (log->current && log->current->size - log->current->used >= wanted)
        return true;
    if (os_list_empty(&log->spares)) {
        COVER("log-waits-for-a-segment");
        log_keep(log);
        return false;
    }
    segment = os_container(log->spares.next, struct log_segment, link);
    os_list_remove(&segment->link);
    if (log->current) {
        COVER("log-rolls-over");
        log->start.segment = log->current->number;
        log->start.end = log->current->used;
    }
    log->start.before = log->written;
    os_list_push(&log->segments, &segment->link);
    log->current = segment;
    segment->used = LOG_SEGMENT_HEAD;
    log_keep(log);
    return true;
}

/* A point has no more than its own crc: what lies in space that was used before must never stand behind its header. So
 * the two share a sector, which arrives whole or not at all; where they would not, the next group begins with them. */
static bool would_part(const struct log_group *group, const struct log_op *op)
{
    uint64_t from = group->offset + group->bytes;

    return op->kind != LOG_OP_APPEND && from / LOG_GROUP_ALIGN != (from + frame_bytes(op) - 1) / LOG_GROUP_ALIGN &&
           !seeded_bug("log-point-parted");
}

/* Take frames for one group from the queue, into the current segment. */
static void fill_frames(struct log *log, struct log_group *group, struct log_op ***tail)
{
    struct log_segment *segment;

    if (!next_segment(log, LOG_FRAME_HEAD + LOG_START_BYTES + frame_bytes(log->queue_head)))
        return;
    segment = log->current;
    group->offset = segment->used;
    log->group_number++;
    if (segment->used == LOG_SEGMENT_HEAD) {
        log_start_encode(group->small[0], &log->start);
        (void)add_frame(group, log, LOG_FRAME_START, LOG_START_BYTES, group->small[0]);
    }
    while (log->queue_head && log->queue_head->kind != LOG_OP_VOTE && group->frames < LOG_GROUP_FRAMES) {
        uint64_t bytes = group->bytes + frame_bytes(log->queue_head);

        if (bytes > segment->size - group->offset || (group->bytes && bytes > LOG_GROUP_BYTES) ||
            would_part(group, log->queue_head))
            break;
        add_op(log, group, take_op(log, tail));
    }
    assert(group->frames);
    segment->used = align_group(group->offset + group->bytes);
    if (segment->used > segment->size)
        segment->used = segment->size;
    group->file = segment->file;
    group->synced = log->synced;
    group->identity.group = log->group_number;
    group->identity.last = log->written;
    group->identity.segment = segment->number;
    group->identity.end = segment->used;
}

static void fill_vote(struct log *log, struct log_group *group, struct log_op ***tail)
{
    struct log_vote_record record = {0};

    while (log->queue_head && log->queue_head->kind == LOG_OP_VOTE) {
        const struct log_op *op = take_op(log, tail);

        record.term = op->term;
        record.vote = op->vote;
        group->has_vote = true; /* of several in a row the last one counts */
    }
    if (!group->has_vote)
        return;
    record.sequence = ++log->vote_sequence;
    log_vote_encode(group->vote, &record, log->directory.incarnation);
    group->vote_file[0] = log->vote_file[0];
    group->vote_file[1] = log->vote_file[1];
}

void log_pump(struct log *log)
{
    struct log_group *group = &log->group;
    struct log_op **tail = &group->ops;

    if (log->writing || !log->queue_head || log->state == LOG_FAILED)
        return;
    group->ops = NULL;
    group->log = log;
    group->os = log->os;
    group->incarnation = log->directory.incarnation;
    group->has_vote = false;
    group->frames = 0;
    group->bytes = 0;
    fill_vote(log, group, &tail);
    if (log->queue_head)
        fill_frames(log, group, &tail);
    if (!group->has_vote && !group->frames)
        return; /* waits for a segment */
    group->job.run = group_run;
    group->job.done = group_done;
    log->writing = true;
    os_submit(log->os, OS_LANE_LOG, &group->job);
}
