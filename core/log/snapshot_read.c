/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_read.c - reading a snapshot back, piece by piece: for the machines at start, and for peers. Every block is
 * checked before a byte of it is given.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/snapshot_file.h"
#include "core/log/state.h"
#include "core/os/crc32c.h"

#define READER_MAGIC 0x52504e53u

struct log_snapshot_reader {
    uint32_t magic;
    bool with_lane;
    bool opened; /* the lane has read the header */
    bool closed; /* while the lane was at it */
    struct os_job job;
    struct log_pending pending;
    struct log *log; /* loop only */
    log_snapshot_read_done done;
    void *ctx;
    /* what the lane touches while a job runs */
    const struct os *os;
    struct os_file *file;
    struct log_snapshot_info info;
    uint8_t *meta;
    uint64_t meta_bytes;
    uint64_t offset; /* of the piece */
    uint64_t size;
    uint64_t got;
    uint32_t digest;
    int32_t status;
    struct gavel_error error;
    uint8_t *piece; /* LOG_SNAPSHOT_PIECE_MAX bytes */
    uint8_t block[LOG_SNAPSHOT_BLOCK];
};

/* Read and check one block, and copy what the piece wants of it. */
static int read_block(struct log_snapshot_reader *reader, uint64_t number)
{
    uint64_t begins = number * LOG_SNAPSHOT_DATA;
    uint64_t left = reader->info.bytes - begins;
    uint32_t bytes = (uint32_t)(left < LOG_SNAPSHOT_DATA ? left : LOG_SNAPSHOT_DATA);
    uint64_t skip = reader->offset + reader->got - begins;
    uint64_t take = bytes - skip;
    size_t got = 0;
    int result = os_pread(reader->os, reader->file, reader->block, bytes + 8u,
                          log_snapshot_blocks_at(reader->meta_bytes) + number * LOG_SNAPSHOT_BLOCK, &got);

    if (result)
        return gavel_fail(&reader->error, GAVEL_E_IO, "cannot read the snapshot at index %llu: %s",
                          (unsigned long long)reader->info.index, strerror(-result));
    if (got != bytes + 8u || !log_snapshot_block_check(reader->block, number, reader->block + 8, bytes))
        return gavel_fail(&reader->error, GAVEL_E_CORRUPT, "block %llu of the snapshot at index %llu is damaged",
                          (unsigned long long)number, (unsigned long long)reader->info.index);
    if (take > reader->size - reader->got)
        take = reader->size - reader->got;
    memcpy(reader->piece + reader->got, reader->block + 8 + skip, take);
    reader->got += take;
    return 0;
}

/* [disk lane] Touches the lane's part of the reader. */
static void read_run(struct os_job *job)
{
    struct log_snapshot_reader *reader = os_container(job, struct log_snapshot_reader, job);

    reader->status = 0;
    reader->got = 0;
    while (reader->status == 0 && reader->got < reader->size)
        reader->status = read_block(reader, (reader->offset + reader->got) / LOG_SNAPSHOT_DATA);
    if (reader->status == 0)
        reader->digest = crc32c(0, reader->piece, reader->got);
}

static void drop_reader(struct log_pending *pending)
{
    struct log_snapshot_reader *reader = os_container(pending, struct log_snapshot_reader, pending);

    if (reader->file)
        os_close(reader->os, reader->file);
    free(reader->meta);
    free(reader->piece);
    reader->magic = 0;
    free(reader);
}

/* [loop] */
static void read_done(struct os_job *job)
{
    struct log_snapshot_reader *reader = os_container(job, struct log_snapshot_reader, job);
    struct log *log = reader->log;

    assert(reader->magic == READER_MAGIC);
    reader->with_lane = false;
    log->jobs--;
    if (reader->closed) {
        os_list_remove(&reader->pending.link);
        drop_reader(&reader->pending);
    } else if (reader->status) {
        reader->done(reader->ctx, reader->status, NULL, &reader->error);
    } else {
        struct log_snapshot_piece piece = {.offset = reader->offset,
                                           .data = reader->piece,
                                           .size = reader->got,
                                           .digest = reader->digest,
                                           .last = reader->offset + reader->got == reader->info.bytes};

        reader->done(reader->ctx, 0, &piece, NULL);
    }
    log_job_ended(log);
}

/* Open the file and read its header: two small reads, on the loop, once for each restore or transfer. */
static int open_file(struct log_snapshot_reader *reader, const char *dir, const struct log_snapshot_info *info)
{
    char name[LOG_SNAPSHOT_NAME_BYTES + 8] = "snap/";
    char path[OS_PATH_MAX];
    int result;

    log_snapshot_name(name + 5, LOG_SNAPSHOT_NAME_BYTES, info->index, info->term);
    if (log_path(path, dir, name, NULL))
        return GAVEL_E_INVALID;
    result = os_open(reader->os, path, OS_OPEN_READ, &reader->file);
    if (result)
        return result == -ENOENT ? GAVEL_E_NOT_FOUND : GAVEL_E_IO; /* a disk that fails says nothing about the file */
    return log_snapshot_file_check(reader->os, path, false, &reader->info, &reader->meta, &reader->meta_bytes, NULL);
}

int log_snapshot_open(struct log *log, uint64_t index, log_snapshot_read_done done, void *ctx,
                      struct log_snapshot_reader **result)
{
    const struct log_snapshot_info *info = NULL;
    struct log_snapshot_reader *reader;
    int status;

    assert(log->magic == LOG_MAGIC);
    assert(done);
    for (uint32_t i = 0; i < log->snapshot_count; i++) {
        if (log->snapshots[i].index == index)
            info = &log->snapshots[i];
    }
    if (!info)
        return GAVEL_E_NOT_FOUND;
    reader = calloc(1, sizeof *reader);
    if (!reader)
        return GAVEL_E_NO_MEMORY;
    reader->magic = READER_MAGIC;
    reader->log = log;
    reader->os = log->os;
    reader->done = done;
    reader->ctx = ctx;
    reader->piece = malloc(LOG_SNAPSHOT_PIECE_MAX);
    status = reader->piece ? open_file(reader, log->dir, info) : GAVEL_E_NO_MEMORY;
    if (status) {
        drop_reader(&reader->pending);
        return status;
    }
    reader->pending.drop = drop_reader;
    os_list_push(&log->pending, &reader->pending.link);
    *result = reader;
    return 0;
}

const struct log_snapshot_info *log_snapshot_reader_info(const struct log_snapshot_reader *reader,
                                                         struct gavel_slice *meta)
{
    assert(reader->magic == READER_MAGIC);
    if (meta)
        *meta = gavel_bytes(reader->meta, reader->meta_bytes);
    return &reader->info;
}

int log_snapshot_read(struct log_snapshot_reader *reader, uint64_t offset, uint64_t size)
{
    assert(reader->magic == READER_MAGIC);
    assert(!reader->with_lane);
    assert(!reader->closed);
    if (reader->log->state == LOG_FAILED)
        return GAVEL_E_IO;
    if (offset > reader->info.bytes || size > LOG_SNAPSHOT_PIECE_MAX || size == 0)
        return GAVEL_E_INVALID;
    reader->offset = offset;
    reader->size = size < reader->info.bytes - offset ? size : reader->info.bytes - offset;
    reader->with_lane = true;
    reader->job.run = read_run;
    reader->job.done = read_done;
    reader->log->jobs++;
    os_submit(reader->os, OS_LANE_DISK, &reader->job);
    return 0;
}

void log_snapshot_close(struct log_snapshot_reader *reader)
{
    if (!reader)
        return;
    assert(reader->magic == READER_MAGIC);
    assert(!reader->closed);
    reader->closed = true;
    if (reader->with_lane)
        return; /* the job's end frees it */
    os_list_remove(&reader->pending.link);
    drop_reader(&reader->pending);
}
