/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_receive.c - a snapshot that comes from a peer in pieces. What it is, is noted in snap/incoming; its bytes
 * grow in snap/incoming.part. A part is gone on with in a later life, as far as its checksums vouch for it.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/receive.h"
#include "core/log/sink.h"
#include "core/log/snapshot_list.h"
#include "core/log/state.h"
#include "core/os/bytes.h"
#include "core/os/clean.h"
#include "core/os/cover.h"
#include "core/os/crc32c.h"
#include "core/os/seeded.h"

#define RECEIVER_MAGIC 0x56434552u
#define NOTE_MAGIC 0x434e4947u /* "GINC": the file snap/incoming */
#define SYNC_BYTES (8u << 20)  /* what a power cut may take of a part that comes in: it has to be sent again */
#define NOTE_BYTES 40          /* index, term, bytes u64; chain, digest u32; then the meta */

/* The life of a receiver: each state and what may follow it. */
enum receiver_state {
    RECEIVER_OPENING, /* looks what is there -> IDLE */
    RECEIVER_IDLE,    /* -> STORING, ENDING */
    RECEIVER_STORING, /* -> IDLE */
    RECEIVER_ENDING   /* -> gone, IDLE (failed) */
};

struct log_snapshot_receiver {
    uint32_t magic;
    uint32_t state; /* enum receiver_state */
    bool with_lane;
    bool closed; /* while the lane was at it */
    bool failed;
    struct os_job job;
    struct log_pending pending;
    struct log *log; /* loop only */
    log_snapshot_received done;
    void *ctx;
    uint64_t offset; /* where the next piece begins; loop only */
    /* what the lane touches while a job runs */
    const struct os *os;
    const char *dir;
    struct log_snapshot_info info;
    uint8_t *meta;
    uint64_t meta_bytes;
    uint8_t *data; /* a copy of the piece */
    uint64_t size;
    uint64_t unsynced; /* bytes of the part */
    struct log_snapshot_info pruned[LOG_PRUNE_MAX];
    uint32_t pruned_count;
    bool wrong; /* the whole has another digest than was promised */
    int status; /* negative errno */
    struct log_sink sink;
};

/* ---- the note of what is being received ---------------------------------------------------------------- */

static uint8_t *make_note(const struct log_snapshot_info *info, const void *meta, uint64_t meta_bytes)
{
    uint8_t *note = calloc(1, NOTE_BYTES + meta_bytes);

    if (!note)
        return NULL;
    os_put64(note, info->index);
    os_put64(note + 8, info->term);
    os_put64(note + 16, info->bytes);
    os_put32(note + 24, info->chain);
    os_put32(note + 28, info->digest);
    if (meta_bytes)
        memcpy(note + NOTE_BYTES, meta, meta_bytes);
    return note;
}

/* The note that is there: 0 and *note (NULL when there is none, or a damaged one), else a negative errno. */
static int read_note(const struct os *os, const char *dir, uint8_t **note, uint64_t *size)
{
    os_autofree uint8_t *data = NULL;
    const uint8_t *payload;
    uint64_t bytes = 0;
    char path[OS_PATH_MAX];
    int result;

    *note = NULL;
    if (log_path(path, dir, "snap/incoming", NULL))
        return -ENAMETOOLONG;
    result = log_file_read(os, path, LOG_SNAPSHOT_META_MAX + NOTE_BYTES + LOG_BLOB_HEAD, &data, &bytes);
    if (result)
        return result == -ENOENT || result == -EFBIG ? 0 : result;
    payload = log_blob_decode(data, bytes, NOTE_MAGIC, size);
    if (!payload || *size < NOTE_BYTES)
        return 0;
    *note = malloc(*size);
    if (!*note)
        return -ENOMEM;
    memcpy(*note, payload, *size);
    return 0;
}

static int part_path(char *path, const char *dir)
{
    return log_path(path, dir, "snap/incoming.part", NULL) ? -ENAMETOOLONG : 0;
}

int log_incoming_look(const struct os *os, const char *dir, struct log_snapshot_info *info, uint64_t *offset,
                      struct gavel_error *error)
{
    os_autofree uint8_t *note = NULL;
    os_autofree struct log_sink *sink = malloc(sizeof *sink);
    struct log_snapshot_info found;
    char path[OS_PATH_MAX];
    uint64_t size = 0;
    int result = sink ? read_note(os, dir, &note, &size) : -ENOMEM;

    if (result)
        return gavel_fail(error, result == -ENOMEM ? GAVEL_E_NO_MEMORY : GAVEL_E_IO,
                          "%s: cannot read snap/incoming: %s", dir, strerror(-result));
    if (!note || part_path(path, dir))
        return 0;
    /*
     * The life before may have ended right after a sync that failed: what is gone on with is what the disk holds. A
     * part that cannot be asked for that is taken away, so that this life does not go on with it either.
     */
    result = log_file_refresh(os, path);
    if (result && result != -ENOENT && os_unlink(os, path))
        return gavel_fail(error, GAVEL_E_IO, "%s can neither be made durable nor removed: %s", path, strerror(-result));
    if (result)
        return 0;
    memset(&found, 0, sizeof found);
    found.index = os_get64(note);
    found.term = os_get64(note + 8);
    found.bytes = os_get64(note + 16);
    found.chain = os_get32(note + 24);
    found.digest = os_get32(note + 28);
    if (log_sink_resume(sink, os, path, &found, note + NOTE_BYTES, size - NOTE_BYTES))
        return 0; /* nothing to go on with */
    *info = found;
    *offset = sink->bytes;
    log_sink_close(sink);
    return 0;
}

int log_incoming_sweep(const struct os *os, const char *dir, uint64_t index)
{
    static const char *const names[] = {"snap/incoming.part", "snap/incoming"};
    os_autofree uint8_t *note = NULL;
    uint64_t size = 0;
    int result = read_note(os, dir, &note, &size);

    if (result || (note && os_get64(note) > index))
        return result;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[OS_PATH_MAX];

        result = log_path(path, dir, names[i], NULL) ? -ENAMETOOLONG : os_unlink(os, path);
        if (result && result != -ENOENT)
            return result;
        if (result == 0)
            COVER("log-incoming-overtaken");
    }
    return 0;
}

/* ---- on the lane --------------------------------------------------------------------------------------- */

static int begin_new(struct log_snapshot_receiver *at, const char *path, const uint8_t *note, uint64_t size)
{
    uint8_t head[LOG_BLOB_HEAD];
    char snap[OS_PATH_MAX];
    union {
        const uint8_t *from;
        void *to;
    } payload = {.from = note}; /* iovec has no const; the bytes are only read */
    struct iovec iov[2] = {{.iov_base = head, .iov_len = sizeof head}, {.iov_base = payload.to, .iov_len = size}};
    int result;

    log_blob_encode(head, NOTE_MAGIC, note, size);
    if (log_path(snap, at->dir, "snap", NULL))
        return -ENAMETOOLONG;
    result = log_file_replace(at->os, snap, "incoming", iov, 2);
    if (result == 0)
        result = log_sink_open(&at->sink, at->os, path, &at->info, at->meta, at->meta_bytes);
    return result ? result : os_sync_dir(at->os, snap); /* or the name of what is synced later would be gone */
}

/* [disk lane] Goes on with a part of the very same snapshot, or begins a new one. */
static void open_run(struct os_job *job)
{
    struct log_snapshot_receiver *at = os_container(job, struct log_snapshot_receiver, job);
    os_autofree uint8_t *wanted = make_note(&at->info, at->meta, at->meta_bytes);
    os_autofree uint8_t *there = NULL;
    char path[OS_PATH_MAX];
    uint64_t size = 0;

    at->status = wanted ? part_path(path, at->dir) : -ENOMEM;
    if (at->status == 0)
        at->status = read_note(at->os, at->dir, &there, &size);
    if (at->status)
        return;
    if (there && size == NOTE_BYTES + at->meta_bytes && memcmp(there, wanted, size) == 0 &&
        !seeded_bug("log-received-from-zero") &&
        log_sink_resume(&at->sink, at->os, path, &at->info, at->meta, at->meta_bytes) == 0)
        return;
    at->status = begin_new(at, path, wanted, NOTE_BYTES + at->meta_bytes);
}

/*
 * A sync has failed: the pages of the part are clean now, and perhaps not on the disk. What would be found of it is not
 * to be believed, nor made durable by another sync. So it is taken away, and begun anew.
 */
static void disbelieve(const struct log_snapshot_receiver *at)
{
    char path[OS_PATH_MAX];

    if (part_path(path, at->dir) == 0 && !seeded_bug("log-received-believed"))
        (void)os_unlink(at->os, path);
}

/* [disk lane] */
static void store_run(struct os_job *job)
{
    struct log_snapshot_receiver *at = os_container(job, struct log_snapshot_receiver, job);

    at->status = log_sink_put(&at->sink, at->data, at->size);
    at->unsynced += at->size;
    if (at->status || at->unsynced < SYNC_BYTES || seeded_bug("log-received-unsynced"))
        return;
    at->unsynced = 0;
    at->status = os_sync(at->os, at->sink.file);
    if (at->status == 0)
        return;
    log_sink_close(&at->sink);
    disbelieve(at);
}

/* [disk lane] */
static void finish_run(struct os_job *job)
{
    struct log_snapshot_receiver *at = os_container(job, struct log_snapshot_receiver, job);
    struct log_snapshot_info made = at->info;
    char path[OS_PATH_MAX];

    at->status = 0;
    at->wrong = !seeded_bug("log-received-undigested") &&
                (at->sink.bytes != at->info.bytes || at->sink.digest != at->info.digest);
    if (!at->wrong)
        at->status = log_sink_finish(&at->sink, &made);
    log_sink_close(&at->sink);
    if (at->wrong || at->status)
        disbelieve(at); /* begins anew */
    else
        at->status = log_sink_publish(at->os, at->dir, "snap/incoming.part", &made, at->pruned, at->pruned_count);
    if (at->status == 0 && log_path(path, at->dir, "snap/incoming", NULL) == 0)
        (void)os_unlink(at->os, path);
}

/* ---- on the loop --------------------------------------------------------------------------------------- */

static void drop_receiver(struct log_pending *pending)
{
    struct log_snapshot_receiver *at = os_container(pending, struct log_snapshot_receiver, pending);

    log_sink_close(&at->sink);
    free(at->meta);
    free(at->data);
    at->magic = 0;
    free(at);
}

static void gone(struct log_snapshot_receiver *at)
{
    if (at->log->receiver == at)
        at->log->receiver = NULL;
    os_list_remove(&at->pending.link);
    drop_receiver(&at->pending);
}

static void received_done(struct os_job *job);

static void submit(struct log_snapshot_receiver *at, enum receiver_state state, void (*run)(struct os_job *job))
{
    at->state = state;
    at->with_lane = true;
    at->job.run = run;
    at->job.done = received_done;
    at->log->jobs++;
    os_submit(at->os, OS_LANE_DISK, &at->job);
}

static int32_t why(const struct log_snapshot_receiver *at, struct gavel_error *error)
{
    if (at->wrong)
        return gavel_fail(error, GAVEL_E_CORRUPT, "the snapshot received at index %llu has not the promised digest",
                          (unsigned long long)at->info.index);
    if (at->status)
        return gavel_fail(error, at->status == -ENOSPC || at->status == -EDQUOT ? GAVEL_E_NO_SPACE : GAVEL_E_IO,
                          "%s: cannot store a snapshot: %s", at->dir, strerror(-at->status));
    return 0;
}

/* [loop] */
static void received_done(struct os_job *job)
{
    struct log_snapshot_receiver *at = os_container(job, struct log_snapshot_receiver, job);
    struct log *log = at->log;
    struct gavel_error error = {0};
    log_snapshot_received done = at->done;
    void *ctx = at->ctx;
    uint32_t state = at->state;
    int32_t status = why(at, &error);
    bool closed = at->closed;

    assert(at->magic == RECEIVER_MAGIC);
    at->with_lane = false;
    log->jobs--;
    at->state = RECEIVER_IDLE;
    at->failed = status != 0;
    free(at->data);
    at->data = NULL;
    at->offset = at->sink.bytes;
    if (state == RECEIVER_ENDING && status == 0)
        log_snapshot_published(log, &at->info, at->pruned, at->pruned_count);
    if (!closed)
        done(ctx, status, at->offset, status ? &error : NULL);
    if ((state == RECEIVER_ENDING && status == 0) || closed)
        gone(at);
    log_job_ended(log);
}

int log_snapshot_receive(struct log *log, const struct log_snapshot_info *info, const void *meta, uint64_t meta_bytes,
                         log_snapshot_received done, void *ctx, struct log_snapshot_receiver **receiver)
{
    struct log_snapshot_receiver *at;

    assert(log->magic == LOG_MAGIC);
    assert(done);
    if (log->state != LOG_RUNNING)
        return GAVEL_E_IO;
    if (log->receiver)
        return GAVEL_E_BUSY;
    if (meta_bytes > LOG_SNAPSHOT_META_MAX)
        return GAVEL_E_TOO_LARGE;
    if (info->index == 0)
        return GAVEL_E_INVALID;
    if (log->snapshot_count && log->snapshots[0].index >= info->index)
        return GAVEL_E_EXISTS;
    if (log_snapshot_reserve(log))
        return GAVEL_E_NO_MEMORY;
    at = calloc(1, sizeof *at);
    if (!at)
        return GAVEL_E_NO_MEMORY;
    at->meta = malloc(meta_bytes + 1);
    if (!at->meta) {
        free(at);
        return GAVEL_E_NO_MEMORY;
    }
    if (meta_bytes)
        memcpy(at->meta, meta, meta_bytes);
    at->magic = RECEIVER_MAGIC;
    at->log = log;
    at->os = log->os;
    at->dir = log->dir;
    at->done = done;
    at->ctx = ctx;
    at->info = *info;
    at->meta_bytes = meta_bytes;
    at->pending.drop = drop_receiver;
    os_list_push(&log->pending, &at->pending.link);
    log->receiver = at;
    *receiver = at;
    submit(at, RECEIVER_OPENING, open_run);
    return 0;
}

int log_snapshot_piece(struct log_snapshot_receiver *receiver, uint64_t offset, const void *data, uint64_t size,
                       uint32_t digest)
{
    assert(receiver->magic == RECEIVER_MAGIC);
    assert(receiver->state == RECEIVER_IDLE);
    assert(!receiver->failed);
    if (size == 0 || size > LOG_SNAPSHOT_PIECE_MAX || offset != receiver->offset ||
        size > receiver->info.bytes - receiver->offset)
        return GAVEL_E_INVALID;
    if (crc32c(0, data, size) != digest)
        return GAVEL_E_CORRUPT;
    receiver->data = malloc(size);
    if (!receiver->data)
        return GAVEL_E_NO_MEMORY;
    memcpy(receiver->data, data, size);
    receiver->size = size;
    submit(receiver, RECEIVER_STORING, store_run);
    return 0;
}

bool log_receive_ends(const struct log *log, uint64_t index)
{
    const struct log_snapshot_receiver *at = log->receiver;

    return at && at->state == RECEIVER_ENDING && at->info.index >= index;
}

int log_snapshot_received_end(struct log_snapshot_receiver *receiver)
{
    struct log *log = receiver->log;

    assert(receiver->magic == RECEIVER_MAGIC);
    assert(receiver->state == RECEIVER_IDLE);
    assert(!receiver->failed);
    if (receiver->offset != receiver->info.bytes)
        return GAVEL_E_INVALID;
    if (log->snapshot_count && log->snapshots[0].index >= receiver->info.index)
        return GAVEL_E_EXISTS; /* a local one has overtaken it: close this */
    receiver->pruned_count = log_snapshot_prune(log, receiver->info.index, receiver->pruned);
    submit(receiver, RECEIVER_ENDING, finish_run);
    return 0;
}

void log_snapshot_receive_close(struct log_snapshot_receiver *receiver)
{
    if (!receiver)
        return;
    assert(receiver->magic == RECEIVER_MAGIC);
    assert(!receiver->closed);
    receiver->closed = true;
    if (receiver->log->receiver == receiver && receiver->state != RECEIVER_ENDING)
        receiver->log->receiver = NULL;
    if (!receiver->with_lane)
        gone(receiver);
}
