/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read.c - batches back out of the log: from memory when they are recent, else by a job on OS_LANE_DISK. Whatever comes
 * from the disk is checked before anybody sees it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/pool.h"
#include "core/log/state.h"
#include "core/os/cover.h"

/* One read under way: `count` batches of one segment. */
struct log_read_job {
    struct os_job job;
    struct log_pending pending;
    struct log *log;       /* for `done` only */
    struct log_read *read; /* for `done` only */
    struct log_segment *segment; /* for `done` only */
    /* what the lane touches */
    const struct os *os;
    struct os_file *file;
    uint32_t count;
    uint32_t offset[LOG_READ_BATCHES];
    struct log_slot wanted[LOG_READ_BATCHES]; /* copies */
    struct log_batch *batch[LOG_READ_BATCHES];
    int32_t status;
    uint32_t bad; /* which one */
    struct gavel_error error;
};

void log_cache_trim(struct log *log)
{
    while (log->cache_bytes > log->cache_limit && log->cache_from < log->walk.slots.count) {
        struct log_slot *slot = log_slot_at(&log->walk.slots, log->cache_from);

        if (slot->segment == 0 || slot->first + slot->count - 1 > log->durable)
            return; /* what is not durable stays: it could not be read back */
        if (slot->batch)
            log->cache_bytes -= slot->bytes;
        slot->batch = log_batch_unref(slot->batch);
        log->cache_from++;
    }
}

struct log_batch *log_cached(struct log *log, uint64_t index)
{
    uint64_t position;

    assert(log->magic == LOG_MAGIC);
    position = log_slots_find(&log->walk.slots, index);
    return position < log->walk.slots.count ? log_slot_at(&log->walk.slots, position)->batch : NULL;
}

/* [disk lane] Touches the job's own fields, the open file, and batches that are only the job's. */
static void read_run(struct os_job *job)
{
    struct log_read_job *at = os_container(job, struct log_read_job, job);

    at->status = 0;
    for (uint32_t i = 0; i < at->count && at->status == 0; i++) {
        const struct log_slot *wanted = &at->wanted[i];
        struct log_batch *batch = at->batch[i];
        size_t got = 0;
        int result = os_pread(at->os, at->file, batch->data, wanted->bytes, wanted->offset + LOG_FRAME_HEAD, &got);

        at->bad = i;
        if (result)
            at->status = gavel_fail(&at->error, GAVEL_E_IO, "cannot read the log: %s", strerror(-result));
        else if (got != wanted->bytes)
            at->status = gavel_fail(&at->error, GAVEL_E_CORRUPT, "a segment is shorter than it was");
        else
            at->status = log_batch_adopt(batch, &at->error);
        if (at->status == 0 && (batch->head.first != wanted->first || batch->head.term != wanted->term ||
                                batch->head.chain != wanted->chain))
            at->status = gavel_fail(&at->error, GAVEL_E_CORRUPT, "another batch lies where index %llu was written",
                                    (unsigned long long)wanted->first);
    }
}

static void drop_batches(struct log_read_job *at)
{
    for (uint32_t i = 0; i < at->count; i++)
        at->batch[i] = log_batch_unref(at->batch[i]);
}

static void drop_read(struct log_pending *pending)
{
    struct log_read_job *at = os_container(pending, struct log_read_job, pending);

    drop_batches(at);
    free(at);
}

/* Is the batch still where it was when the read was asked for? If not, what was read there means nothing. */
static bool still_there(const struct log *log, const struct log_slot *wanted)
{
    uint64_t position = log_slots_find(&log->walk.slots, wanted->first);
    const struct log_slot *slot;

    if (position == log->walk.slots.count)
        return false;
    slot = log_slot_at(&log->walk.slots, position);
    return slot->segment == wanted->segment && slot->offset == wanted->offset && slot->chain == wanted->chain;
}

/* [loop] */
static void read_done(struct os_job *job)
{
    struct log_read_job *at = os_container(job, struct log_read_job, job);
    struct log *log = at->log;
    struct log_read *read = at->read;

    assert(at->segment->readers);
    at->segment->readers--;
    os_list_remove(&at->pending.link);
    log->jobs--;
    read->job = NULL;
    read->status = at->status;
    read->count = 0;
    if (at->status) {
        COVER("log-read-fails");
        const struct log_slot *wanted = &at->wanted[at->bad];

        read->error = at->error;
        if (at->status == GAVEL_E_CORRUPT && !still_there(log, wanted))
            read->status = wanted->first <= log->walk.before.index ? GAVEL_E_COMPACTED : GAVEL_E_NOT_FOUND;
        drop_batches(at);
    } else {
        read->count = at->count;
        memcpy(read->batches, at->batch, at->count * sizeof *read->batches);
    }
    free(at);
    log_keep(log); /* a segment may have waited for its last reader */
    read->done(read);
    log_job_ended(log);
}

static struct log_segment *find_segment(struct log *log, uint64_t number)
{
    struct log_segment *segment;

    os_list_each(segment, &log->segments, struct log_segment, link)
    {
        if (segment->number == number)
            return segment;
    }
    return NULL;
}

static int read_disk(struct log *log, struct log_read *read, uint64_t position, uint32_t max)
{
    struct log_read_job *at = calloc(1, sizeof *at);
    uint64_t bytes = 0;

    if (!at)
        return GAVEL_E_NO_MEMORY;
    for (; position < log->walk.slots.count && at->count < max; position++) {
        const struct log_slot *slot = log_slot_at(&log->walk.slots, position);

        if (slot->batch || slot->segment == 0 || (at->count && slot->segment != at->wanted[0].segment) ||
            (at->count && bytes + slot->bytes > read->max_bytes))
            break;
        at->wanted[at->count] = *slot;
        at->batch[at->count] = log_pool_take(log->pool, slot->bytes);
        if (!at->batch[at->count])
            goto no_memory;
        bytes += slot->bytes;
        at->count++;
    }
    assert(at->count);
    at->segment = find_segment(log, at->wanted[0].segment);
    assert(at->segment);
    at->segment->readers++;
    at->log = log;
    at->read = read;
    at->os = log->os;
    at->file = at->segment->file;
    at->job.run = read_run;
    at->job.done = read_done;
    at->pending.drop = drop_read;
    os_list_push(&log->pending, &at->pending.link);
    log->jobs++;
    read->job = at;
    os_submit(log->os, OS_LANE_DISK, &at->job);
    return 0;

no_memory:
    drop_batches(at);
    free(at);
    return GAVEL_E_NO_MEMORY;
}

int log_read(struct log *log, struct log_read *read)
{
    uint32_t max = read->max_batches && read->max_batches < LOG_READ_BATCHES ? read->max_batches : LOG_READ_BATCHES;
    uint64_t position;
    uint64_t bytes = 0;

    assert(log->magic == LOG_MAGIC);
    assert(read->done);
    if (log->state == LOG_FAILED)
        return GAVEL_E_IO;
    read->status = 0;
    read->count = 0;
    read->job = NULL;
    read->error.text[0] = 0;
    if (read->from <= log->walk.before.index)
        return GAVEL_E_COMPACTED;
    position = log_slots_find(&log->walk.slots, read->from);
    if (position == log->walk.slots.count)
        return GAVEL_E_NOT_FOUND;
    if (!log_slot_at(&log->walk.slots, position)->batch)
        return read_disk(log, read, position, max);
    for (; position < log->walk.slots.count && read->count < max; position++) {
        const struct log_slot *slot = log_slot_at(&log->walk.slots, position);

        if (!slot->batch || (read->count && bytes + slot->bytes > read->max_bytes))
            break;
        read->batches[read->count++] = log_batch_ref(slot->batch);
        bytes += slot->bytes;
    }
    return 1;
}

void log_read_release(struct log_read *read)
{
    for (uint32_t i = 0; i < read->count; i++)
        read->batches[i] = log_batch_unref(read->batches[i]);
    read->count = 0;
}
