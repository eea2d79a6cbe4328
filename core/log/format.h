/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.h - the bytes of everything but batches and snapshots: segment headers, frames, votes, identity entries, the
 * directory record, founding and recovering. Pure functions between structs and byte arrays; gavel-formats(7) is the
 * page for readers from outside. All numbers are little-endian, every record ends in a crc of what lies before it.
 *
 * Records of the log directory begin their crc with the incarnation of the data directory, so that a file that strayed
 * in from another directory, or bytes inside a user's value that look like a frame, are never taken for ours.
 */
#ifndef CORE_LOG_FORMAT_H
#define CORE_LOG_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/log/log.h"

/* Numbers of groups and segments, terms and indexes in these records stay below this, or the record is damaged: what
 * comes next is one more, and must not begin at 0 again. */
#define LOG_NUMBER_MAX (UINT64_C(1) << 63)

/* ---- segments ------------------------------------------------------------------------------------------ */

#define LOG_SEGMENT_HEAD 4096 /* bytes before the first frame: one page */
#define LOG_GROUP_ALIGN 512   /* a sync group begins in a sector of its own: a torn write spares what was synced */
#define LOG_SEGMENT_TEST_MIN 65536 /* smallest size that log_open takes at all; below LOG_SEGMENT_BYTES_MIN for tests */

/* magic "GVSG", version u16, zero u16, number u64, bytes u64, incarnation u64, zero to 59, crc u32; 64 bytes. */
#define LOG_SEGMENT_RECORD 64
struct log_segment_record {
    uint64_t number;
    uint64_t bytes; /* of the whole file */
    uint64_t incarnation;
};
void log_segment_encode(uint8_t *to, const struct log_segment_record *record);
bool log_segment_decode(const uint8_t *from, uint64_t incarnation, struct log_segment_record *record);

/*
 * Frame: magic "GVFR" u32, version u16, kind u16, segment u64, group u64, synced u64, bytes u32, group start u32,
 * ordinal u16, frames u16, crc u32 (of the incarnation and 0..43); 48 bytes, then `bytes` of payload, a multiple of 8.
 *
 * `synced` is the last group whose sync had returned when this was written, and everything before `group_start` in
 * this segment, and all of every earlier segment, was synced then too: groups are written one at a time.
 */
#define LOG_FRAME_HEAD 48
enum log_frame_kind {
    LOG_FRAME_BATCH = 1,
    LOG_FRAME_TRUNCATE = 2, /* struct log_point: everything behind it is gone */
    LOG_FRAME_RESET = 3,    /* struct log_point: everything is gone, the log goes on behind this snapshot */
    LOG_FRAME_START = 4     /* struct log_start_point: the first frame of each segment */
};
struct log_frame {
    uint64_t segment;
    uint64_t group;
    uint64_t synced;
    uint32_t bytes;
    uint32_t group_start; /* offset of the group's first frame in the segment */
    uint16_t ordinal;     /* of this frame in its group, from 0 */
    uint16_t frames;      /* of the group */
    uint16_t kind;
};
void log_frame_encode(uint8_t *to, const struct log_frame *frame, uint64_t incarnation);

/* True for a sound frame header of this segment, whose numbers make sense at `offset` in a segment of `size` bytes. */
bool log_frame_decode(const uint8_t *from, uint64_t incarnation, uint64_t segment, uint64_t offset, uint64_t size,
                      struct log_frame *frame);

/* A place in the log: the last entry that counts. index u64, term u64, chain u32, crc u32; 24 bytes. */
#define LOG_POINT_BYTES 24
struct log_point {
    uint64_t index;
    uint64_t term;
    uint32_t chain;
};
void log_point_encode(uint8_t *to, const struct log_point *point);
bool log_point_decode(const uint8_t *from, struct log_point *point);

/* Where a segment goes on: the last entry before it, and where the valid bytes of the segment before it end.
 * index u64, term u64, chain u32, zero u32, segment u64, end u64, zero u32, crc u32; 48 bytes. */
#define LOG_START_BYTES 48
struct log_start_point {
    struct log_point before;
    uint64_t segment; /* 0: there is none before it */
    uint64_t end;
};
void log_start_encode(uint8_t *to, const struct log_start_point *start);
bool log_start_decode(const uint8_t *from, struct log_start_point *start);

/* Identity entry, one slot of the ring file log/synced: this group's sync has returned. magic "GVID" u32, version u16,
 * zero u16, group u64, index u64, term u64, chain u32, end u32, segment u64, incarnation u64, zero u32, crc u32. */
#define LOG_IDENTITY_BYTES 64
#define LOG_IDENTITY_SLOTS 512 /* 32 KiB; enough that rot of one page leaves others */
struct log_identity {
    uint64_t group;
    struct log_point last; /* of the log when the group had been synced */
    uint64_t segment;
    uint64_t end; /* everything before this offset of the segment is synced */
};
void log_identity_encode(uint8_t *to, const struct log_identity *identity, uint64_t incarnation);
bool log_identity_decode(const uint8_t *from, uint64_t incarnation, struct log_identity *identity);

/* ---- small files --------------------------------------------------------------------------------------- */

/* Vote: magic "GVVT" u32, version u16, zero u16, sequence u64, term u64, vote u64, incarnation u64, zero u32,
 * crc u32. */
#define LOG_VOTE_BYTES 48
struct log_vote_record {
    uint64_t sequence;
    uint64_t term;
    uint64_t vote;
};
void log_vote_encode(uint8_t *to, const struct log_vote_record *vote, uint64_t incarnation);
bool log_vote_decode(const uint8_t *from, uint64_t incarnation, struct log_vote_record *vote);

/* Directory: magic "GVDD" u32, format u16, zero u16, cluster id 16 bytes, member id u64, incarnation u64, name 64 bytes
 * with zeroes behind it, made (wall ms) u64, zero u32, crc u32; 128 bytes. */
#define LOG_DIRECTORY_BYTES 128
struct log_directory_record {
    uint16_t format;
    struct log_cluster_id cluster_id;
    uint64_t member_id;
    uint64_t incarnation;
    uint64_t made_ms;
    char name[LOG_NAME_MAX];
};
void log_directory_encode(uint8_t *to, const struct log_directory_record *record);
/* 0, GAVEL_E_VERSION (newer, and not ours with a spoiled format: only `format` is filled in), GAVEL_E_CORRUPT. */
int log_directory_decode(const uint8_t *from, uint64_t size, struct log_directory_record *record);

/* A file with one opaque payload (founding): magic u32, version u16, zero u16, bytes u64, crc u32 of the payload,
 * crc u32 of 0..19; 24 bytes, then the payload. */
#define LOG_BLOB_HEAD 24
#define LOG_FOUNDING_MAGIC 0x444e4647u   /* "GFND" */
#define LOG_RECOVERING_MAGIC 0x56435247u /* "GRCV" */
#define LOG_FENCED_MAGIC 0x434e4647u     /* "GFNC" */
void log_blob_encode(uint8_t *head, uint32_t magic, const void *payload, uint64_t size);
/* The payload inside `from`, of *payload_size bytes; NULL when it is damaged. */
const uint8_t *log_blob_decode(const uint8_t *from, uint64_t size, uint32_t magic, uint64_t *payload_size);

#endif
