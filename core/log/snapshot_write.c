/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_write.c - taking a local snapshot: pieces of payload come one by one, the file grows on OS_LANE_DISK, and is
 * published when the log is durable up to its index.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/receive.h"
#include "core/log/sink.h"
#include "core/log/snapshot_list.h"
#include "core/log/state.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

#define WRITER_MAGIC 0x57504e53u

/* The life of a writer: each state and what may follow it. */
enum writer_state {
    WRITER_IDLE,    /* -> WRITING, ENDING, CANCELLING */
    WRITER_WRITING, /* a piece is with the lane -> IDLE, CANCELLING */
    WRITER_ENDING,  /* footer and sync are with the lane -> WAITING, IDLE (failed), CANCELLING */
    WRITER_WAITING, /* for the log to be durable up to the index -> PUBLISHING, IDLE (overtaken), CANCELLING */
    WRITER_PUBLISHING, /* -> gone, IDLE (failed) */
    WRITER_CANCELLING  /* -> gone */
};

struct log_snapshot_writer {
    uint32_t magic;
    uint32_t state;  /* enum writer_state */
    bool cancelled;  /* while something was with the lane */
    bool failed;
    bool with_lane;
    struct os_job job;
    struct log_pending pending;
    struct log *log; /* loop only */
    log_snapshot_done done;
    void *ctx;
    /* what the lane touches while a job runs */
    const struct os *os;
    const char *dir;
    struct log_snapshot_info info;
    uint8_t *meta;
    uint64_t meta_bytes;
    const void *data; /* the caller's piece */
    uint64_t size;
    struct log_snapshot_info pruned[LOG_PRUNE_MAX];
    uint32_t pruned_count;
    bool sweeps; /* nothing is being received: what is left of an older one goes */
    int status; /* negative errno */
    struct log_sink sink;
};

/* ---- the list of published ones ------------------------------------------------------------------------ */

#define PUBLISHERS 2 /* a local snapshot and one from a leader may be under way at a time */

int log_snapshot_reserve(struct log *log)
{
    uint32_t wanted = log->snapshot_count + PUBLISHERS;
    struct log_snapshot_info *grown;

    if (wanted <= log->snapshot_room)
        return 0;
    grown = realloc(log->snapshots, wanted * sizeof *grown);
    if (!grown)
        return GAVEL_E_NO_MEMORY;
    log->snapshots = grown;
    log->snapshot_room = wanted;
    return 0;
}

void log_snapshot_add(struct log *log, const struct log_snapshot_info *info)
{
    struct log_snapshot_info *list = log->snapshots;
    uint32_t at = 0;

    assert(log->snapshot_count < log->snapshot_room);
    /* A local one may be published after a newer one from the leader: both were on their way to the lane. */
    while (at < log->snapshot_count && list[at].index > info->index)
        at++;
    memmove(list + at + 1, list + at, (log->snapshot_count - at) * sizeof *list);
    list[at] = *info;
    log->snapshot_count++;
}

uint32_t log_snapshot_prune(const struct log *log, uint64_t index, struct log_snapshot_info *pruned)
{
    uint32_t count = 0;

    assert(log->snapshot_count == 0 || log->snapshots[0].index < index);
    for (uint32_t i = log->snapshot_count; i > 0 && i + 1 > log->snapshot_keep && count < LOG_PRUNE_MAX; i--)
        pruned[count++] = log->snapshots[i - 1];
    return count;
}

void log_snapshot_published(struct log *log, const struct log_snapshot_info *info,
                            const struct log_snapshot_info *pruned, uint32_t count)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < log->snapshot_count; i++) {
        bool gone = false;

        for (uint32_t j = 0; j < count; j++)
            gone = gone || pruned[j].index == log->snapshots[i].index;
        if (!gone)
            log->snapshots[kept++] = log->snapshots[i];
    }
    log->snapshot_count = kept;
    log_snapshot_add(log, info);
}

struct log_snapshot_info log_snapshot_newest(const struct log *log)
{
    static const struct log_snapshot_info none;

    assert(log->magic == LOG_MAGIC);
    return log->snapshot_count ? log->snapshots[0] : none;
}

uint32_t log_snapshot_count(const struct log *log)
{
    assert(log->magic == LOG_MAGIC);
    return log->snapshot_count;
}

struct log_snapshot_info log_snapshot_at(const struct log *log, uint32_t position)
{
    assert(log->magic == LOG_MAGIC);
    assert(position < log->snapshot_count);
    return log->snapshots[position];
}

/* ---- on the lane --------------------------------------------------------------------------------------- */

static int make_part(struct log_snapshot_writer *writer)
{
    char path[OS_PATH_MAX];

    if (writer->sink.file)
        return 0;
    if (log_path(path, writer->dir, "snap/local.part", NULL))
        return -ENAMETOOLONG;
    return log_sink_open(&writer->sink, writer->os, path, &writer->info, writer->meta, writer->meta_bytes);
}

/* [disk lane] Touches the lane's part of the writer and the borrowed piece. */
static void write_run(struct os_job *job)
{
    struct log_snapshot_writer *writer = os_container(job, struct log_snapshot_writer, job);

    writer->status = make_part(writer);
    if (writer->status == 0)
        writer->status = log_sink_put(&writer->sink, writer->data, writer->size);
}

/* [disk lane] */
static void end_run(struct os_job *job)
{
    struct log_snapshot_writer *writer = os_container(job, struct log_snapshot_writer, job);

    writer->status = make_part(writer);
    if (writer->status == 0)
        writer->status = log_sink_finish(&writer->sink, &writer->info);
}

/* [disk lane] */
static void publish_run(struct os_job *job)
{
    struct log_snapshot_writer *writer = os_container(job, struct log_snapshot_writer, job);

    writer->status = log_sink_publish(writer->os, writer->dir, "snap/local.part", &writer->info, writer->pruned,
                                      writer->pruned_count);
    if (writer->status == 0 && writer->sweeps)
        (void)log_incoming_sweep(writer->os, writer->dir, writer->info.index); /* or the next start does it */
}

/* [disk lane] */
static void cancel_run(struct os_job *job)
{
    struct log_snapshot_writer *writer = os_container(job, struct log_snapshot_writer, job);
    char path[OS_PATH_MAX];

    log_sink_close(&writer->sink);
    if (log_path(path, writer->dir, "snap/local.part", NULL) == 0)
        (void)os_unlink(writer->os, path); /* the next start removes what is left */
}

/* ---- on the loop --------------------------------------------------------------------------------------- */

static void writer_done(struct os_job *job);

static void drop_writer(struct log_pending *pending)
{
    struct log_snapshot_writer *writer = os_container(pending, struct log_snapshot_writer, pending);

    log_sink_close(&writer->sink);
    free(writer->meta);
    writer->magic = 0;
    free(writer);
}

static void submit(struct log_snapshot_writer *writer, enum writer_state state, void (*run)(struct os_job *job))
{
    writer->state = state;
    writer->with_lane = true;
    writer->job.run = run;
    writer->job.done = writer_done;
    writer->log->jobs++;
    os_submit(writer->os, OS_LANE_DISK, &writer->job);
}

/* One from the leader has come meanwhile, or is about to, and is as new or newer: this one would take its place among
 * those that are kept, or its name. */
static void overtaken(struct log_snapshot_writer *writer)
{
    struct gavel_error error;

    COVER("log-snapshot-overtaken");
    writer->state = WRITER_IDLE;
    writer->failed = true;
    (void)gavel_fail(&error, GAVEL_E_EXISTS, "a newer one from the leader is there");
    writer->done(writer->ctx, GAVEL_E_EXISTS, &error);
}

static void publish_when_durable(struct log_snapshot_writer *writer)
{
    struct log *log = writer->log;

    writer->state = WRITER_WAITING;
    if (log->durable < writer->info.index && !seeded_bug("log-snapshot-early"))
        return;
    if ((log->snapshot_count && log->snapshots[0].index >= writer->info.index) ||
        (log_receive_ends(log, writer->info.index) && !seeded_bug("log-takes-the-name"))) {
        overtaken(writer);
        return;
    }
    writer->pruned_count = log_snapshot_prune(log, writer->info.index, writer->pruned);
    writer->sweeps = !log->receiver; /* one that comes now opens its part behind this on the lane */
    submit(writer, WRITER_PUBLISHING, publish_run);
}

void log_snapshot_durable(struct log *log)
{
    if (log->writer && log->writer->state == WRITER_WAITING)
        publish_when_durable(log->writer);
}

static void gone(struct log_snapshot_writer *writer)
{
    if (writer->log->writer == writer)
        writer->log->writer = NULL;
    os_list_remove(&writer->pending.link);
    drop_writer(&writer->pending);
}

static bool is_full(int status)
{
    return status == -ENOSPC || status == -EDQUOT;
}

static void answer(struct log_snapshot_writer *writer)
{
    struct gavel_error error = {0};
    int32_t status = 0;

    if (writer->status) {
        COVER("log-snapshot-write-fails");
        writer->failed = true;
        status = gavel_fail(&error, is_full(writer->status) ? GAVEL_E_NO_SPACE : GAVEL_E_IO,
                            "%s: cannot write a snapshot: %s", writer->dir, strerror(-writer->status));
    }
    writer->done(writer->ctx, status, status ? &error : NULL);
}

/* [loop] */
static void writer_done(struct os_job *job)
{
    struct log_snapshot_writer *writer = os_container(job, struct log_snapshot_writer, job);
    struct log *log = writer->log;
    uint32_t state = writer->state;

    assert(writer->magic == WRITER_MAGIC);
    writer->with_lane = false;
    log->jobs--;
    if (state == WRITER_CANCELLING) {
        COVER("log-snapshot-cancelled");
        gone(writer);
    } else if (state == WRITER_PUBLISHING && writer->status == 0) {
        log_snapshot_done done = writer->done;
        void *ctx = writer->ctx;
        bool cancelled = writer->cancelled;

        log_snapshot_published(log, &writer->info, writer->pruned, writer->pruned_count);
        gone(writer);
        if (!cancelled)
            done(ctx, 0, NULL);
    } else if (writer->cancelled) {
        struct gavel_error error;

        submit(writer, WRITER_CANCELLING, cancel_run);
        if (state == WRITER_WRITING)
            writer->done(writer->ctx, gavel_fail(&error, GAVEL_E_CLOSED, "the snapshot was given up"), &error);
    } else if (state == WRITER_ENDING && writer->status == 0) {
        publish_when_durable(writer);
    } else {
        writer->state = WRITER_IDLE;
        answer(writer);
    }
    log_job_ended(log);
}

int log_snapshot_begin(struct log *log, const struct log_snapshot_info *info, const void *meta, uint64_t meta_bytes,
                       log_snapshot_done done, void *ctx, struct log_snapshot_writer **result)
{
    struct log_snapshot_writer *writer;
    struct log_descriptor batch;

    assert(log->magic == LOG_MAGIC);
    assert(done);
    if (log->state != LOG_RUNNING)
        return GAVEL_E_IO;
    if (log->writer)
        return GAVEL_E_BUSY;
    if (meta_bytes > LOG_SNAPSHOT_META_MAX)
        return GAVEL_E_TOO_LARGE;
    if (log->snapshot_count && log->snapshots[0].index >= info->index)
        return GAVEL_E_EXISTS;
    assert(log_describe(log, info->index, &batch) == 0);
    assert(batch.first + batch.count - 1 == info->index); /* whole batches only */
    assert(batch.term == info->term);
    assert(batch.chain == info->chain);
    if (log_snapshot_reserve(log))
        return GAVEL_E_NO_MEMORY;
    writer = calloc(1, sizeof *writer);
    if (!writer)
        return GAVEL_E_NO_MEMORY;
    writer->meta = malloc(meta_bytes + 1);
    if (!writer->meta) {
        free(writer);
        return GAVEL_E_NO_MEMORY;
    }
    if (meta_bytes)
        memcpy(writer->meta, meta, meta_bytes);
    writer->magic = WRITER_MAGIC;
    writer->log = log;
    writer->os = log->os;
    writer->dir = log->dir;
    writer->done = done;
    writer->ctx = ctx;
    writer->info = *info;
    writer->meta_bytes = meta_bytes;
    writer->pending.drop = drop_writer;
    os_list_push(&log->pending, &writer->pending.link);
    log->writer = writer;
    *result = writer;
    return 0;
}

int log_snapshot_write(struct log_snapshot_writer *writer, const void *data, uint64_t size)
{
    assert(writer->magic == WRITER_MAGIC);
    assert(writer->state == WRITER_IDLE);
    assert(!writer->failed);
    if (size > LOG_SNAPSHOT_PIECE_MAX)
        return GAVEL_E_TOO_LARGE;
    writer->data = data;
    writer->size = size;
    submit(writer, WRITER_WRITING, write_run);
    return 0;
}

int log_snapshot_end(struct log_snapshot_writer *writer)
{
    assert(writer->magic == WRITER_MAGIC);
    assert(writer->state == WRITER_IDLE);
    assert(!writer->failed);
    submit(writer, WRITER_ENDING, end_run);
    return 0;
}

void log_snapshot_cancel(struct log_snapshot_writer *writer)
{
    if (!writer)
        return;
    assert(writer->magic == WRITER_MAGIC);
    assert(!writer->cancelled);
    writer->cancelled = true;
    if (writer->with_lane && !seeded_bug("log-cancelled-makes-room"))
        return; /* the next one's first piece would come before the removal of this one's part, which has its name */
    /* The lane is a queue: whatever a next writer does comes after that. */
    if (writer->log->writer == writer && writer->state != WRITER_PUBLISHING)
        writer->log->writer = NULL;
    if (!writer->with_lane)
        submit(writer, WRITER_CANCELLING, cancel_run);
}
