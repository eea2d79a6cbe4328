/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_file.c - the bytes of a snapshot file.
 */
#include "core/log/snapshot_file.h"

#include <assert.h>
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

/* ---- checking a whole file ----------------------------------------------------------------------------- */

static int bad(struct gavel_error *error, const char *path, const char *what)
{
    return gavel_fail(error, GAVEL_E_CORRUPT, "snapshot %s: %s", path, what);
}

static int read_exactly(const struct os *os, struct os_file *file, const char *path, void *data, uint64_t size,
                        uint64_t offset, struct gavel_error *error)
{
    size_t got = 0;
    int result = os_pread(os, file, data, size, offset, &got);

    if (result)
        return gavel_fail(error, GAVEL_E_IO, "snapshot %s: cannot read: %s", path, strerror(-result));
    return got == size ? 0 : bad(error, path, "cut short");
}

static int check_blocks(const struct os *os, struct os_file *file, const char *path, uint64_t at,
                        const struct log_snapshot_info *info, struct gavel_error *error)
{
    os_autofree uint8_t *block = malloc(LOG_SNAPSHOT_BLOCK);
    uint32_t digest = 0;
    uint64_t number = 0;

    if (!block)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to check a snapshot");
    for (uint64_t done = 0; done < info->bytes; number++) {
        uint64_t left = info->bytes - done;
        uint32_t bytes = (uint32_t)(left < LOG_SNAPSHOT_DATA ? left : LOG_SNAPSHOT_DATA);
        int status = read_exactly(os, file, path, block, bytes + 8, at + number * LOG_SNAPSHOT_BLOCK, error);

        if (status)
            return status;
        if (!log_snapshot_block_check(block, number, block + 8, bytes))
            return bad(error, path, "a block has a wrong checksum");
        digest = crc32c(digest, block + 8, bytes);
        done += bytes;
    }
    return digest == info->digest ? 0 : bad(error, path, "the digest of the whole is wrong");
}

static int check_open(const struct os *os, struct os_file *file, const char *path, bool whole,
                      struct log_snapshot_info *info, uint8_t **meta, uint64_t *meta_bytes, struct gavel_error *error)
{
    uint8_t head[LOG_SNAPSHOT_HEAD];
    uint8_t foot[LOG_SNAPSHOT_FOOT];
    struct log_snapshot_info found = {0};
    struct log_snapshot_info end = {0};
    os_autofree uint8_t *extra = NULL;
    uint32_t extra_bytes;
    uint32_t extra_crc;
    uint64_t size = 0;
    int status = read_exactly(os, file, path, head, sizeof head, 0, error);

    if (status)
        return status;
    if (!log_snapshot_head_decode(head, &found, &extra_bytes, &extra_crc))
        return bad(error, path, "the header is damaged");
    extra = malloc(extra_bytes + 1u);
    if (!extra)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to check a snapshot");
    status = read_exactly(os, file, path, extra, extra_bytes, LOG_SNAPSHOT_HEAD, error);
    if (status)
        return status;
    if (crc32c(0, extra, extra_bytes) != extra_crc)
        return bad(error, path, "the meta data is damaged");
    if (os_size(os, file, &size))
        return gavel_fail(error, GAVEL_E_IO, "snapshot %s: cannot read its size", path);
    if (size < log_snapshot_blocks_at(extra_bytes) + LOG_SNAPSHOT_FOOT)
        return bad(error, path, "cut short");
    status = read_exactly(os, file, path, foot, sizeof foot, size - LOG_SNAPSHOT_FOOT, error);
    if (status)
        return status;
    if (!log_snapshot_foot_decode(foot, &end) || end.index != found.index || end.bytes > size ||
        log_snapshot_foot_at(extra_bytes, end.bytes) + LOG_SNAPSHOT_FOOT != size)
        return bad(error, path, "the footer is damaged");
    found.bytes = end.bytes;
    found.digest = end.digest;
    if (whole)
        status = check_blocks(os, file, path, log_snapshot_blocks_at(extra_bytes), &found, error);
    if (status)
        return status;
    *info = found;
    if (meta) {
        *meta = extra;
        *meta_bytes = extra_bytes;
        extra = NULL;
    }
    return 0;
}

int log_snapshot_file_check(const struct os *os, const char *path, bool whole, struct log_snapshot_info *info,
                            uint8_t **meta, uint64_t *meta_bytes, struct gavel_error *error)
{
    struct os_file *file;
    int status = os_open(os, path, OS_OPEN_READ, &file);

    if (status)
        return gavel_fail(error, GAVEL_E_IO, "snapshot %s: cannot open: %s", path, strerror(-status));
    status = check_open(os, file, path, whole, info, meta, meta_bytes, error);
    os_close(os, file);
    return status;
}
