/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_file.h - the bytes of a snapshot file, see snapshot.h: header, blocks, footer, and checking a whole one.
 */
#ifndef CORE_LOG_SNAPSHOT_FILE_H
#define CORE_LOG_SNAPSHOT_FILE_H

#include "core/log/snapshot.h"

#define LOG_SNAPSHOT_PAGE 4096
#define LOG_SNAPSHOT_HEAD 40
#define LOG_SNAPSHOT_BLOCK 65536                        /* bytes of a whole block in the file */
#define LOG_SNAPSHOT_DATA (LOG_SNAPSHOT_BLOCK - 8)      /* of payload in it */
#define LOG_SNAPSHOT_FOOT 40
#define LOG_SNAPSHOT_NAME_BYTES 64 /* "<index>-<term>.snap" with 16 hexadecimal digits each */

/* [any] File offset of the first block. */
uint64_t log_snapshot_blocks_at(uint64_t meta_bytes);

/* [any] File offset of the footer for so many bytes of payload. */
uint64_t log_snapshot_foot_at(uint64_t meta_bytes, uint64_t payload_bytes);

/* [any] Header without the meta that follows it. */
void log_snapshot_head_encode(uint8_t *to, const struct log_snapshot_info *info, const void *meta,
                              uint64_t meta_bytes);
bool log_snapshot_head_decode(const uint8_t *from, struct log_snapshot_info *info, uint32_t *meta_bytes,
                              uint32_t *meta_crc);

/* [any] The 8 bytes before the payload of block `number`. */
void log_snapshot_block_encode(uint8_t *to, uint64_t number, const void *data, uint32_t bytes);
bool log_snapshot_block_check(const uint8_t *from, uint64_t number, const void *data, uint32_t bytes);

void log_snapshot_foot_encode(uint8_t *to, const struct log_snapshot_info *info);
bool log_snapshot_foot_decode(const uint8_t *from, struct log_snapshot_info *info);

/* [any] The file name of a snapshot, and back: false for any other name. */
void log_snapshot_name(char *name, size_t size, uint64_t index, uint64_t term);
bool log_snapshot_name_parse(const char *name, uint64_t *index, uint64_t *term);

/* A snapshot being read from its beginning to its end, block by block. It may lie inside a larger file. */
struct log_snapshot_stream {
    const struct os *os;
    const char *path; /* borrowed, for sentences */
    struct os_file *file;
    uint64_t at;  /* where it begins in the file */
    uint64_t end; /* and ends */
    struct log_snapshot_info info;
    uint8_t *meta;
    uint64_t meta_bytes;
    uint64_t number; /* of the next block */
    uint64_t done;   /* payload bytes that were given */
    uint32_t digest; /* of them */
    uint8_t block[LOG_SNAPSHOT_BLOCK];
};

/* [lane, or off line] Open what lies from `at` on, `size` bytes (0: to the end of the file): header, meta and footer
 * are checked. GAVEL_E_CORRUPT with the place, GAVEL_E_IO, GAVEL_E_NO_MEMORY; nothing is open then. */
int log_snapshot_stream_open(struct log_snapshot_stream *stream, const struct os *os, const char *path, uint64_t at,
                             uint64_t size, struct gavel_error *error);

/* [lane, or off line] The next block of payload, checked; borrowed until the next call. 1: there is one. 0: that was
 * all, and its digest is what the footer says. GAVEL_E_CORRUPT with the place, GAVEL_E_IO. */
int log_snapshot_stream_next(struct log_snapshot_stream *stream, const void **data, uint64_t *size,
                             struct gavel_error *error);

/* [lane, or off line] Close; fine twice, not on one that was never opened. */
void log_snapshot_stream_close(struct log_snapshot_stream *stream);

/* [lane, or before the loop] Check a file: header, meta, footer and, with `whole`, every block and the digest. `meta`
 * may be NULL, else the caller frees *meta. GAVEL_E_CORRUPT, GAVEL_E_IO, GAVEL_E_NO_MEMORY. */
int log_snapshot_file_check(const struct os *os, const char *path, bool whole, struct log_snapshot_info *info,
                            uint8_t **meta, uint64_t *meta_bytes, struct gavel_error *error);

#endif
