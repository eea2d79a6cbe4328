/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_file.c - the bytes of a snapshot file.
 */
#include "core/log/snapshot_file.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/os/bytes.h"
#include "core/os/clean.h"
#include "core/os/crc32c.h"

#define HEAD_MAGIC 0x4e535647u /* "GVSN" */
#define FOOT_MAGIC 0x45535647u /* "GVSE" */
#define SNAPSHOT_VERSION 1

uint64_t log_snapshot_blocks_at(uint64_t meta_bytes)
{
    return (LOG_SNAPSHOT_HEAD + meta_bytes + LOG_SNAPSHOT_PAGE - 1) / LOG_SNAPSHOT_PAGE * LOG_SNAPSHOT_PAGE;
}

uint64_t log_snapshot_foot_at(uint64_t meta_bytes, uint64_t payload_bytes)
{
    uint64_t blocks = (payload_bytes + LOG_SNAPSHOT_DATA - 1) / LOG_SNAPSHOT_DATA;

    return log_snapshot_blocks_at(meta_bytes) + payload_bytes + blocks * 8;
}

void log_snapshot_head_encode(uint8_t *to, const struct log_snapshot_info *info, const void *meta, uint64_t meta_bytes)
{
    memset(to, 0, LOG_SNAPSHOT_HEAD);
    os_put32(to, HEAD_MAGIC);
    os_put16(to + 4, SNAPSHOT_VERSION);
    os_put64(to + 8, info->index);
    os_put64(to + 16, info->term);
    os_put32(to + 24, info->chain);
    os_put32(to + 28, (uint32_t)meta_bytes);
    os_put32(to + 32, crc32c(0, meta, meta_bytes));
    os_put32(to + 36, crc32c(0, to, 36));
}

bool log_snapshot_head_decode(const uint8_t *from, struct log_snapshot_info *info, uint32_t *meta_bytes,
                              uint32_t *meta_crc)
{
    if (os_get32(from) != HEAD_MAGIC || os_get16(from + 4) != SNAPSHOT_VERSION ||
        os_get32(from + 36) != crc32c(0, from, 36) || os_get32(from + 28) > LOG_SNAPSHOT_META_MAX)
        return false;
    info->index = os_get64(from + 8);
    info->term = os_get64(from + 16);
    info->chain = os_get32(from + 24);
    *meta_bytes = os_get32(from + 28);
    *meta_crc = os_get32(from + 32);
    return info->index != 0;
}

/* A block's crc begins with its number, so that blocks that changed places are seen. */
static uint32_t block_crc(uint64_t number, const void *data, uint32_t bytes)
{
    uint8_t start[8];

    os_put64(start, number);
    return crc32c(crc32c(0, start, sizeof start), data, bytes);
}

void log_snapshot_block_encode(uint8_t *to, uint64_t number, const void *data, uint32_t bytes)
{
    os_put32(to, bytes);
    os_put32(to + 4, block_crc(number, data, bytes));
}

bool log_snapshot_block_check(const uint8_t *from, uint64_t number, const void *data, uint32_t bytes)
{
    return os_get32(from) == bytes && os_get32(from + 4) == block_crc(number, data, bytes);
}

void log_snapshot_foot_encode(uint8_t *to, const struct log_snapshot_info *info)
{
    memset(to, 0, LOG_SNAPSHOT_FOOT);
    os_put32(to, FOOT_MAGIC);
    os_put16(to + 4, SNAPSHOT_VERSION);
    os_put64(to + 8, info->index);
    os_put64(to + 16, info->bytes);
    os_put64(to + 24, (info->bytes + LOG_SNAPSHOT_DATA - 1) / LOG_SNAPSHOT_DATA);
    os_put32(to + 32, info->digest);
    os_put32(to + 36, crc32c(0, to, 36));
}

bool log_snapshot_foot_decode(const uint8_t *from, struct log_snapshot_info *info)
{
    if (os_get32(from) != FOOT_MAGIC || os_get16(from + 4) != SNAPSHOT_VERSION ||
        os_get32(from + 36) != crc32c(0, from, 36))
        return false;
    info->index = os_get64(from + 8);
    info->bytes = os_get64(from + 16);
    info->digest = os_get32(from + 32);
    return os_get64(from + 24) == (info->bytes + LOG_SNAPSHOT_DATA - 1) / LOG_SNAPSHOT_DATA;
}

void log_snapshot_name(char *name, size_t size, uint64_t index, uint64_t term)
{
    (void)snprintf(name, size, "%016llx-%016llx.snap", (unsigned long long)index, (unsigned long long)term);
}

bool log_snapshot_name_parse(const char *name, uint64_t *index, uint64_t *term)
{
    char again[LOG_SNAPSHOT_NAME_BYTES];
    unsigned long long found[2];

    if (sscanf(name, "%16llx-%16llx.snap", &found[0], &found[1]) != 2)
        return false;
    log_snapshot_name(again, sizeof again, found[0], found[1]);
    if (strcmp(again, name) != 0)
        return false;
    *index = found[0];
    *term = found[1];
    return true;
}

/* ---- reading a whole file ------------------------------------------------------------------------------ */

static int bad(const struct log_snapshot_stream *stream, uint64_t at, const char *what, struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_CORRUPT, "snapshot %s: byte %llu: %s", stream->path, (unsigned long long)at, what);
}

static int read_exactly(const struct log_snapshot_stream *stream, void *data, uint64_t size, uint64_t at,
                        struct gavel_error *error)
{
    size_t got = 0;
    int result = at + size > stream->end ? 0 : os_pread(stream->os, stream->file, data, size, at, &got);

    if (result)
        return gavel_fail(error, GAVEL_E_IO, "snapshot %s: cannot read: %s", stream->path, strerror(-result));
    return got == size ? 0 : bad(stream, stream->end, "cut short", error);
}

static int read_head(struct log_snapshot_stream *stream, struct gavel_error *error)
{
    uint8_t head[LOG_SNAPSHOT_HEAD];
    uint32_t bytes;
    uint32_t crc;
    int status = read_exactly(stream, head, sizeof head, stream->at, error);

    if (status)
        return status;
    if (!log_snapshot_head_decode(head, &stream->info, &bytes, &crc))
        return bad(stream, stream->at, "the header is damaged", error);
    stream->meta = malloc(bytes + 1u);
    if (!stream->meta)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to read a snapshot");
    stream->meta_bytes = bytes;
    status = read_exactly(stream, stream->meta, bytes, stream->at + LOG_SNAPSHOT_HEAD, error);
    if (status)
        return status;
    if (crc32c(0, stream->meta, bytes) != crc)
        return bad(stream, stream->at + LOG_SNAPSHOT_HEAD, "the meta data is damaged", error);
    return 0;
}

static int read_foot(struct log_snapshot_stream *stream, struct gavel_error *error)
{
    uint8_t foot[LOG_SNAPSHOT_FOOT];
    struct log_snapshot_info end = {0};
    uint64_t size = stream->end - stream->at;
    int status;

    if (size < log_snapshot_blocks_at(stream->meta_bytes) + LOG_SNAPSHOT_FOOT)
        return bad(stream, stream->end, "cut short", error);
    status = read_exactly(stream, foot, sizeof foot, stream->end - LOG_SNAPSHOT_FOOT, error);
    if (status)
        return status;
    if (!log_snapshot_foot_decode(foot, &end) || end.index != stream->info.index || end.bytes > size ||
        log_snapshot_foot_at(stream->meta_bytes, end.bytes) + LOG_SNAPSHOT_FOOT != size)
        return bad(stream, stream->end - LOG_SNAPSHOT_FOOT, "the footer is damaged", error);
    stream->info.bytes = end.bytes;
    stream->info.digest = end.digest;
    return 0;
}

int log_snapshot_stream_open(struct log_snapshot_stream *stream, const struct os *os, const char *path, uint64_t at,
                             uint64_t size, struct gavel_error *error)
{
    uint64_t file_size = 0;
    int status;

    memset(stream, 0, offsetof(struct log_snapshot_stream, block));
    stream->os = os;
    stream->path = path;
    stream->at = at;
    status = os_open(os, path, OS_OPEN_READ, &stream->file);
    if (status)
        return gavel_fail(error, GAVEL_E_IO, "snapshot %s: cannot open: %s", path, strerror(-status));
    if (os_size(os, stream->file, &file_size)) {
        status = gavel_fail(error, GAVEL_E_IO, "snapshot %s: cannot read its size", path);
    } else {
        stream->end = size == 0 || at + size > file_size ? file_size : at + size;
        if (stream->end < at)
            stream->end = at;
        status = read_head(stream, error);
    }
    if (status == 0)
        status = read_foot(stream, error);
    if (status)
        log_snapshot_stream_close(stream);
    return status;
}

int log_snapshot_stream_next(struct log_snapshot_stream *stream, const void **data, uint64_t *size,
                             struct gavel_error *error)
{
    uint64_t left = stream->info.bytes - stream->done;
    uint32_t bytes = (uint32_t)(left < LOG_SNAPSHOT_DATA ? left : LOG_SNAPSHOT_DATA);
    uint64_t at = stream->at + log_snapshot_blocks_at(stream->meta_bytes) + stream->number * LOG_SNAPSHOT_BLOCK;
    int status;

    if (bytes == 0)
        return stream->digest == stream->info.digest
                   ? 0
                   : bad(stream, stream->end - LOG_SNAPSHOT_FOOT, "the digest of the whole is wrong", error);
    status = read_exactly(stream, stream->block, bytes + 8, at, error);
    if (status)
        return status;
    if (!log_snapshot_block_check(stream->block, stream->number, stream->block + 8, bytes))
        return bad(stream, at, "a block has a wrong checksum", error);
    stream->digest = crc32c(stream->digest, stream->block + 8, bytes);
    stream->number++;
    stream->done += bytes;
    *data = stream->block + 8;
    *size = bytes;
    return 1;
}

void log_snapshot_stream_close(struct log_snapshot_stream *stream)
{
    os_close(stream->os, stream->file);
    stream->file = NULL;
    free(stream->meta);
    stream->meta = NULL;
}

int log_snapshot_file_check(const struct os *os, const char *path, bool whole, struct log_snapshot_info *info,
                            uint8_t **meta, uint64_t *meta_bytes, struct gavel_error *error)
{
    os_autofree struct log_snapshot_stream *stream = malloc(sizeof *stream);
    const void *data;
    uint64_t size;
    int status;

    if (!stream)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to check a snapshot");
    status = log_snapshot_stream_open(stream, os, path, 0, 0, error);
    if (status)
        return status;
    do
        status = whole ? log_snapshot_stream_next(stream, &data, &size, error) : 0;
    while (status > 0);
    if (status == 0) {
        *info = stream->info;
        if (meta) {
            *meta = stream->meta;
            *meta_bytes = stream->meta_bytes;
            stream->meta = NULL;
        }
    }
    log_snapshot_stream_close(stream);
    return status;
}
