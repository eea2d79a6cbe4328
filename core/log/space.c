/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space.c - segment files: made ahead of need, recycled, dropped. Space is reserved by writing it: a zero-filled or
 * recycled file takes a sync at half the cost of a growing one (measured: 7.0-8.4 k/s against 3.9 k/s), and a write
 * into it cannot meet a full disk.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/state.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

#define ZERO_BYTES 65536 /* of one piece of a zero-fill */
#define ZERO_PIECES 16   /* pieces of one write: 1 MiB */

static const uint8_t zeroes[ZERO_BYTES];

int log_zero_fill(const struct os *os, struct os_file *file, uint64_t from, uint64_t to)
{
    while (from < to) {
        struct iovec iov[ZERO_PIECES];
        union {
            const uint8_t *from;
            void *to;
        } source = {.from = zeroes}; /* iovec has no const; the bytes are only read */
        uint64_t bytes = 0;
        int count = 0;
        int result;

        while (count < ZERO_PIECES && from + bytes < to) {
            uint64_t left = to - from - bytes;

            iov[count].iov_base = source.to;
            iov[count].iov_len = left < ZERO_BYTES ? left : ZERO_BYTES;
            bytes += iov[count].iov_len;
            count++;
        }
        result = os_pwritev(os, file, iov, count, from, 0);
        if (result)
            return result;
        from += bytes;
    }
    return 0;
}

static int write_record(const struct os *os, struct os_file *file, uint64_t number, uint64_t bytes,
                        uint64_t incarnation)
{
    struct log_segment_record record = {number, bytes, incarnation};
    uint8_t head[LOG_SEGMENT_RECORD];

    log_segment_encode(head, &record);
    return os_pwrite(os, file, head, sizeof head, 0, 0);
}

/* Names of a segment and of the one that is being made, and the directory of both. */
struct paths {
    char log[OS_PATH_MAX];
    char making[OS_PATH_MAX];
    char made[OS_PATH_MAX];
    char old[OS_PATH_MAX];
};

static int fill_paths(struct paths *paths, const char *dir, uint64_t number, uint64_t old_number)
{
    char name[LOG_SEGMENT_NAME_BYTES];
    int status = 0;

    status |= log_path(paths->log, dir, "log", NULL);
    status |= log_path(paths->making, dir, "log/spare.new", NULL);
    log_segment_name(name, number);
    status |= log_path(paths->made, dir, name, NULL);
    log_segment_name(name, old_number);
    status |= log_path(paths->old, dir, name, NULL);
    return status ? -ENAMETOOLONG : 0;
}

int log_segment_make(const struct os *os, const char *dir, uint64_t number, uint64_t bytes, uint64_t incarnation,
                     struct os_file **file)
{
    struct paths paths;
    struct os_file *made;
    bool named = false;
    int result = fill_paths(&paths, dir, number, 0);

    if (result)
        return result;
    result = os_open(os, paths.making, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &made);
    if (result)
        return result;
    if ((result = log_zero_fill(os, made, 0, bytes)) ||
        (result = write_record(os, made, number, bytes, incarnation)) || (result = os_sync(os, made)) ||
        (result = os_rename(os, paths.making, paths.made)))
        goto fail;
    named = true;
    if (!seeded_bug("log-segment-dir-unsynced") && (result = os_sync_dir(os, paths.log)))
        goto fail;
    *file = made;
    return 0;

fail:
    os_close(os, made);
    (void)os_unlink(os, named ? paths.made : paths.making); /* gives the space back: the next try makes another one */
    return result;
}

static bool no_descriptor(int status)
{
    return status == -EMFILE || status == -ENFILE;
}

/* A sync that failed may have lost what was asked of the directory, and a second one would not say so. */
static int sync_names(struct log_keeper *keeper, const struct paths *paths)
{
    int result = os_sync_dir(keeper->os, paths->log);

    keeper->lost = result && !no_descriptor(result); /* that one comes before the sync */
    return result;
}

/* An old segment becomes a new one. Its name goes first, durably: no file may ever bear the number of another. */
static int recycle(struct log_keeper *keeper)
{
    const struct os *os = keeper->os;
    struct os_file *file = keeper->segment->file;
    struct paths paths;
    int result = fill_paths(&paths, keeper->dir, keeper->number, keeper->old_number);

    if (result)
        return result;
    if ((result = os_rename(os, paths.old, paths.making)) || (result = sync_names(keeper, &paths)) ||
        (result = write_record(os, file, keeper->number, keeper->bytes, keeper->incarnation)) ||
        (result = os_sync(os, file)) || (result = os_rename(os, paths.making, paths.made)))
        return result;
    if ((result = sync_names(keeper, &paths))) {
        (void)os_unlink(os, paths.made); /* it is dropped by its old name, and this one would stay */
        return result;
    }
    keeper->file = file;
    return 0;
}

/* One name at a time, each durably: the segments that remain are always the newest ones without a hole. */
static int drop(struct log_keeper *keeper)
{
    struct paths paths;
    int result = fill_paths(&paths, keeper->dir, 0, keeper->old_number);

    if (result == 0)
        result = os_unlink(keeper->os, paths.old);
    if (keeper->segment->hindered && (result == 0 || result == -ENOENT)) {
        result = os_unlink(keeper->os, paths.making); /* where a recycling may have left it */
        result = result == -ENOENT ? 0 : result;
    }
    if (result == 0 && !seeded_bug("log-drop-unordered"))
        result = sync_names(keeper, &paths);
    return result;
}

/* [disk lane] Touches the keeper's own fields and, for RECYCLE and DROP, the segment that no list holds any more. */
static void keeper_run(struct os_job *job)
{
    struct log_keeper *keeper = os_container(job, struct log_keeper, job);

    keeper->file = NULL;
    keeper->lost = false;
    if (keeper->action == LOG_KEEP_MAKE)
        keeper->status = log_segment_make(keeper->os, keeper->dir, keeper->number, keeper->bytes, keeper->incarnation,
                                          &keeper->file);
    else if (keeper->action == LOG_KEEP_RECYCLE)
        keeper->status = recycle(keeper);
    else
        keeper->status = drop(keeper);
}

static void add_spare(struct log *log, struct log_segment *segment, uint64_t number, uint64_t size,
                      struct os_file *file)
{
    memset(segment, 0, sizeof *segment);
    segment->number = number;
    segment->size = size;
    segment->used = LOG_SEGMENT_HEAD;
    segment->file = file;
    os_list_push(&log->spares, &segment->link);
}

bool log_passes(int status)
{
    return status == -ENOSPC || status == -EDQUOT || status == -ENOMEM || no_descriptor(status);
}

/* Not now: with the next look, once a second. */
static void try_later(struct log *log, int status)
{
    log->space_short = true;
    log->space_error = status;
    log->retry_at = os_mono_ns(log->os) + LOG_SPACE_RETRY_NS;
}

/* Nothing was written that anybody has to find: another one is made when there is room, or a descriptor, or memory. */
static void make_later(struct log *log, int status)
{
    COVER("log-segment-made-later");
    try_later(log, status);
}

/* [loop] */
static void keeper_done(struct os_job *job)
{
    struct log_keeper *keeper = os_container(job, struct log_keeper, job);
    struct log *log = keeper->log;
    struct log_segment *segment = keeper->segment;

    keeper->busy = false;
    keeper->segment = NULL;
    if (keeper->status == 0) {
        if (keeper->action == LOG_KEEP_DROP) {
            COVER("log-segment-dropped");
            os_close(log->os, segment->file);
            free(segment);
        } else {
            add_spare(log, segment, keeper->number, keeper->bytes, keeper->file);
        }
        if (!os_list_empty(&log->spares)) { /* else one is made next */
            log->space_short = false;
            log->space_error = 0;
        }
        log->retry_at = 0;
    } else if (keeper->action == LOG_KEEP_MAKE && log_passes(keeper->status)) {
        free(segment);
        make_later(log, keeper->status);
    } else if (keeper->action != LOG_KEEP_MAKE && log_passes(keeper->status) && !keeper->lost) {
        COVER("log-segment-dropped-later");
        segment->hindered = true; /* its old name may be gone already, but not durably */
        os_list_push(log->dying.next, &segment->link); /* stays the first: they go in order */
        try_later(log, keeper->status); /* none is made before it has gone */
    } else {
        if (keeper->action != LOG_KEEP_MAKE)
            os_close(log->os, segment->file);
        free(segment);
        log_fail(log, "prepare a segment", keeper->status);
    }
    log_pump(log);
    log_keep(log);
    log_job_ended(log);
}

static uint32_t count(const struct os_list *list)
{
    uint32_t number = 0;

    for (const struct os_list *at = list->next; at != list; at = at->next)
        number++;
    return number;
}

/* What to do next; false for nothing. */
static bool choose(struct log *log, struct log_keeper *keeper)
{
    uint32_t spares = count(&log->spares);

    if (!os_list_empty(&log->dying)) {
        struct log_segment *oldest = os_container(log->dying.next, struct log_segment, link);

        if (oldest->readers == 0 && !(oldest->hindered && log->retry_at)) {
            bool useful = spares < LOG_SPARES_MAX && oldest->size == log->segment_bytes && !oldest->hindered;

            os_list_remove(&oldest->link);
            keeper->segment = oldest;
            keeper->old_number = oldest->number;
            keeper->action = useful ? LOG_KEEP_RECYCLE : LOG_KEEP_DROP;
            return true;
        }
    }
    if (spares >= LOG_SPARES_WANTED || (log->state == LOG_STOPPING && !log->queue_head) || log->retry_at)
        return false;
    keeper->segment = calloc(1, sizeof *keeper->segment);
    if (!keeper->segment) {
        make_later(log, -ENOMEM);
        return false;
    }
    keeper->action = LOG_KEEP_MAKE;
    return true;
}

void log_keep(struct log *log)
{
    struct log_keeper *keeper = &log->keeper;

    if (keeper->busy || log->state == LOG_FAILED || log->state == LOG_STOPPED || !choose(log, keeper))
        return;
    if (keeper->action != LOG_KEEP_DROP)
        keeper->number = ++log->number_max;
    keeper->log = log;
    keeper->os = log->os;
    keeper->dir = log->dir;
    keeper->bytes = log->segment_bytes;
    keeper->incarnation = log->directory.incarnation;
    keeper->file = NULL;
    keeper->busy = true;
    keeper->job.run = keeper_run;
    keeper->job.done = keeper_done;
    os_submit(log->os, OS_LANE_DISK, &keeper->job);
}

void log_start(struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    log_keep(log);
}

/* The bytes that a group can still put into the current segment. */
static uint64_t room(const struct log *log)
{
    return log->current ? log->current->size - log->current->used : 0;
}

bool log_space_ok(const struct log *log)
{
    uint64_t reserve = LOG_BATCH_MAX + LOG_BATCH_MAX / 2; /* a full batch, and a new leader's and a member's entries */

    assert(log->magic == LOG_MAGIC);
    if (seeded_bug("log-space-unreserved"))
        return true;
    if (!log->space_short || !os_list_empty(&log->spares))
        return true;
    if (reserve > log->segment_bytes / 4)
        reserve = log->segment_bytes / 4;
    return room(log) >= reserve + log->queued_bytes;
}

int log_space_error(const struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    return log->space_error;
}

uint64_t log_deadline(const struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    return log->retry_at && log->state == LOG_RUNNING ? log->retry_at : UINT64_MAX;
}

void log_wake(struct log *log, uint64_t now_ns)
{
    assert(log->magic == LOG_MAGIC);
    if (!log->retry_at || now_ns < log->retry_at)
        return;
    log->retry_at = 0;
    log_keep(log);
}

/* ---- compaction ---------------------------------------------------------------------------------------- */

/* Forget the slots of a segment, which are the oldest. */
static void forget_slots(struct log *log, uint64_t number)
{
    while (log->walk.slots.count) {
        struct log_slot *slot = log_slot_at(&log->walk.slots, 0);

        if (slot->segment != number)
            return;
        log->walk.before.index = slot->first + slot->count - 1;
        log->walk.before.term = slot->term;
        log->walk.before.chain = slot->chain;
        log->bytes -= slot->bytes + LOG_FRAME_HEAD;
        if (slot->batch)
            log->cache_bytes -= slot->bytes;
        if (log->cache_from)
            log->cache_from--;
        log_slots_pop_front(&log->walk.slots);
    }
}

/*
 * The oldest segment that has to stay: the one that is written to, or, until its first group is durable, the one before
 * it. A start that found no frame at all, and an identity entry of what has been dropped, would call that damage.
 */
static const struct log_segment *oldest_kept(const struct log *log)
{
    const struct log_group *group = &log->group;
    struct os_list *link;

    if (!log->current || !log->writing || !group->frames || group->offset != LOG_SEGMENT_HEAD)
        return log->current;
    link = log->current->link.prev;
    return link == &log->segments ? log->current : os_container(link, struct log_segment, link);
}

void log_compact(struct log *log, uint64_t index)
{
    const struct log_segment *kept = oldest_kept(log);
    uint64_t behind = 0; /* bytes of the segments that would remain */
    struct log_segment *segment;

    assert(log->magic == LOG_MAGIC);
    if (log->state != LOG_RUNNING)
        return;
    assert(log->snapshot_count);
    assert(index <= log->snapshots[0].index);
    os_list_each(segment, &log->segments, struct log_segment, link)
        behind += segment->used - LOG_SEGMENT_HEAD;
    while (!os_list_empty(&log->segments)) {
        segment = os_container(log->segments.next, struct log_segment, link);
        behind -= segment->used - LOG_SEGMENT_HEAD;
        if (segment == kept || segment->last_index > index || behind < log->trail_bytes)
            break;
        forget_slots(log, segment->number);
        os_list_remove(&segment->link);
        os_list_push(&log->dying, &segment->link);
    }
    log_keep(log);
}
