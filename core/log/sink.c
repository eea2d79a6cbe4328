/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.c - writes the blocks of a snapshot file, and publishes it.
 */
#include "core/log/sink.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/scan.h"
#include "core/os/clean.h"
#include "core/os/cover.h"
#include "core/os/crc32c.h"
#include "core/os/seeded.h"

static void start(struct log_sink *sink, const struct os *os, uint64_t meta_bytes)
{
    sink->os = os;
    sink->file = NULL;
    sink->blocks_at = log_snapshot_blocks_at(meta_bytes);
    sink->number = 0;
    sink->fill = 0;
    sink->digest = 0;
    sink->bytes = 0;
}

/* Header and meta as they lie in the file, padded. */
static uint8_t *make_head(const struct log_snapshot_info *info, const void *meta, uint64_t meta_bytes)
{
    uint8_t *head = calloc(1, log_snapshot_blocks_at(meta_bytes));

    if (!head)
        return NULL;
    log_snapshot_head_encode(head, info, meta, meta_bytes);
    if (meta_bytes)
        memcpy(head + LOG_SNAPSHOT_HEAD, meta, meta_bytes);
    return head;
}

int log_sink_open(struct log_sink *sink, const struct os *os, const char *path, const struct log_snapshot_info *info,
                  const void *meta, uint64_t meta_bytes)
{
    os_autofree uint8_t *head = make_head(info, meta, meta_bytes);
    int result;

    start(sink, os, meta_bytes);
    if (!head)
        return -ENOMEM;
    result = os_open(os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &sink->file);
    if (result)
        return result;
    return os_pwrite(os, sink->file, head, sink->blocks_at, 0, 0);
}

int log_sink_resume(struct log_sink *sink, const struct os *os, const char *path,
                    const struct log_snapshot_info *info, const void *meta, uint64_t meta_bytes)
{
    os_autofree uint8_t *head = make_head(info, meta, meta_bytes);
    os_autofree uint8_t *there = malloc(log_snapshot_blocks_at(meta_bytes));
    size_t got = 0;
    int result;

    start(sink, os, meta_bytes);
    if (!head || !there)
        return -ENOMEM;
    result = os_open(os, path, OS_OPEN_READ | OS_OPEN_WRITE, &sink->file);
    if (result)
        return result;
    result = os_pread(os, sink->file, there, sink->blocks_at, 0, &got);
    if (result == 0 && (got != sink->blocks_at || memcmp(head, there, got) != 0))
        result = -EBADMSG;
    if (result) {
        log_sink_close(sink);
        return result;
    }
    /* Nothing of the part was synced: only what its checksums vouch for counts. The last, shorter block comes again. */
    while (sink->bytes + LOG_SNAPSHOT_DATA <= info->bytes) {
        uint64_t at = sink->blocks_at + sink->number * LOG_SNAPSHOT_BLOCK;

        if (os_pread(os, sink->file, sink->block, LOG_SNAPSHOT_BLOCK, at, &got) || got != LOG_SNAPSHOT_BLOCK ||
            !log_snapshot_block_check(sink->block, sink->number, sink->block + 8, LOG_SNAPSHOT_DATA))
            break;
        sink->digest = crc32c(sink->digest, sink->block + 8, LOG_SNAPSHOT_DATA);
        sink->bytes += LOG_SNAPSHOT_DATA;
        sink->number++;
    }
    return 0;
}

static int flush(struct log_sink *sink)
{
    uint64_t at = sink->blocks_at + sink->number * LOG_SNAPSHOT_BLOCK;
    int result;

    log_snapshot_block_encode(sink->block, sink->number, sink->block + 8, sink->fill);
    result = os_pwrite(sink->os, sink->file, sink->block, sink->fill + 8, at, 0);
    sink->number++;
    sink->fill = 0;
    return result;
}

int log_sink_put(struct log_sink *sink, const void *data, uint64_t size)
{
    const uint8_t *at = data;

    sink->digest = crc32c(sink->digest, data, size);
    sink->bytes += size;
    while (size) {
        uint32_t room = LOG_SNAPSHOT_DATA - sink->fill;
        uint32_t take = size < room ? (uint32_t)size : room;

        memcpy(sink->block + 8 + sink->fill, at, take);
        sink->fill += take;
        at += take;
        size -= take;
        if (sink->fill == LOG_SNAPSHOT_DATA) {
            int result = flush(sink);

            if (result)
                return result;
        }
    }
    return 0;
}

int log_sink_finish(struct log_sink *sink, struct log_snapshot_info *info)
{
    uint8_t foot[LOG_SNAPSHOT_FOOT];
    uint64_t at;
    int result = sink->fill ? flush(sink) : 0;

    if (result)
        return result;
    info->bytes = sink->bytes;
    info->digest = sink->digest;
    log_snapshot_foot_encode(foot, info);
    at = sink->blocks_at + sink->bytes + sink->number * 8;
    result = os_pwrite(sink->os, sink->file, foot, sizeof foot, at, 0);
    /* A part from before may have been longer. */
    if (result == 0)
        result = os_truncate(sink->os, sink->file, at + LOG_SNAPSHOT_FOOT);
    if (result == 0 && !seeded_bug("log-snapshot-unsynced"))
        result = os_sync(sink->os, sink->file);
    return result;
}

void log_sink_close(struct log_sink *sink)
{
    if (sink->file)
        os_close(sink->os, sink->file);
    sink->file = NULL;
}

static int snapshot_path(char *path, const char *dir, const struct log_snapshot_info *info)
{
    char name[LOG_SNAPSHOT_NAME_BYTES + 8] = "snap/";

    log_snapshot_name(name + 5, LOG_SNAPSHOT_NAME_BYTES, info->index, info->term);
    return log_path(path, dir, name, NULL) ? -ENAMETOOLONG : 0;
}

int log_sink_publish(const struct os *os, const char *dir, const char *part, const struct log_snapshot_info *info,
                     const struct log_snapshot_info *pruned, uint32_t pruned_count)
{
    char from[OS_PATH_MAX];
    char to[OS_PATH_MAX];
    char snap[OS_PATH_MAX];
    struct os_stat stat;
    bool replaces;
    int result = snapshot_path(to, dir, info);

    if (result || log_path(from, dir, part, NULL) || log_path(snap, dir, "snap", NULL))
        return -ENAMETOOLONG;
    replaces = os_stat(os, to, &stat) != -ENOENT; /* the leader's and one's own may be of the same index */
    result = os_rename(os, from, to);
    if (result)
        return result;
    result = seeded_bug("log-snapshot-dir-unsynced") ? 0 : os_sync_dir(os, snap);
    if (result) {
        COVER("log-snapshot-unnamed");
        if (!replaces && !seeded_bug("log-snapshot-unlisted"))
            (void)os_unlink(os, to); /* in no list: nobody else would remove it, and the next one has another name */
        return result;
    }
    /* Old ones go when the new one is certain; a failure here leaves waste, which the next start finds and lists. */
    for (uint32_t i = 0; i < pruned_count; i++) {
        if (snapshot_path(to, dir, &pruned[i]) == 0)
            (void)os_unlink(os, to);
    }
    return 0;
}
