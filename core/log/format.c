/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.c - encoders and decoders of the log's own records. A decoder trusts nothing: it answers "not one of ours".
 */
#include "core/log/format.h"

#include <assert.h>
#include <string.h>

#include "core/os/bytes.h"
#include "core/os/crc32c.h"
#include "core/os/seeded.h"

#define SEGMENT_MAGIC 0x47535647u   /* "GVSG" */
#define FRAME_MAGIC 0x52465647u     /* "GVFR" */
#define IDENTITY_MAGIC 0x44495647u  /* "GVID" */
#define VOTE_MAGIC 0x54565647u      /* "GVVT" */
#define DIRECTORY_MAGIC 0x44445647u /* "GVDD" */
#define RECORD_VERSION 1

/* The crc of a record of this directory. */
static uint32_t seal(uint64_t incarnation, const uint8_t *record, size_t size)
{
    uint8_t start[8];

    os_put64(start, incarnation);
    return crc32c(crc32c(0, start, sizeof start), record, size);
}

static void begin(uint8_t *to, size_t size, uint32_t magic)
{
    memset(to, 0, size);
    os_put32(to, magic);
    os_put16(to + 4, RECORD_VERSION);
}

static bool begins(const uint8_t *from, uint32_t magic)
{
    return os_get32(from) == magic && os_get16(from + 4) == RECORD_VERSION;
}

/* ---- segments ------------------------------------------------------------------------------------------ */

void log_segment_encode(uint8_t *to, const struct log_segment_record *record)
{
    begin(to, LOG_SEGMENT_RECORD, SEGMENT_MAGIC);
    os_put64(to + 8, record->number);
    os_put64(to + 16, record->bytes);
    os_put64(to + 24, record->incarnation);
    os_put32(to + 60, seal(record->incarnation, to, 60));
}

bool log_segment_decode(const uint8_t *from, uint64_t incarnation, struct log_segment_record *record)
{
    if (!begins(from, SEGMENT_MAGIC) || os_get32(from + 60) != seal(incarnation, from, 60))
        return false;
    record->number = os_get64(from + 8);
    record->bytes = os_get64(from + 16);
    record->incarnation = os_get64(from + 24);
    return record->incarnation == incarnation;
}

void log_frame_encode(uint8_t *to, const struct log_frame *frame, uint64_t incarnation)
{
    assert(frame->bytes % 8 == 0);
    assert(frame->ordinal < frame->frames);
    assert(frame->synced < frame->group);
    begin(to, LOG_FRAME_HEAD, FRAME_MAGIC);
    os_put16(to + 6, frame->kind);
    os_put64(to + 8, frame->segment);
    os_put64(to + 16, frame->group);
    os_put64(to + 24, frame->synced);
    os_put32(to + 32, frame->bytes);
    os_put32(to + 36, frame->group_start);
    os_put16(to + 40, frame->ordinal);
    os_put16(to + 42, frame->frames);
    os_put32(to + 44, seal(incarnation, to, 44));
}

bool log_frame_decode(const uint8_t *from, uint64_t incarnation, uint64_t segment, uint64_t offset, uint64_t size,
                      struct log_frame *frame)
{
    struct log_frame found;

    if (offset > size || size - offset < LOG_FRAME_HEAD || !begins(from, FRAME_MAGIC))
        return false;
    if (os_get32(from + 44) != seal(incarnation, from, 44))
        return false;
    found.kind = os_get16(from + 6);
    found.segment = os_get64(from + 8);
    found.group = os_get64(from + 16);
    found.synced = os_get64(from + 24);
    found.bytes = os_get32(from + 32);
    found.group_start = os_get32(from + 36);
    found.ordinal = os_get16(from + 40);
    found.frames = os_get16(from + 42);
    if (found.segment != segment || found.group_start > offset || found.group_start < LOG_SEGMENT_HEAD)
        return false;
    if ((found.ordinal == 0) != (found.group_start == offset) || found.ordinal >= found.frames)
        return false;
    if (found.group > LOG_NUMBER_MAX || found.synced >= found.group || found.bytes % 8 ||
        found.bytes > size - offset - LOG_FRAME_HEAD)
        return false;
    if (found.bytes == 0 || found.kind < LOG_FRAME_BATCH || found.kind > LOG_FRAME_START)
        return false;
    *frame = found;
    return true;
}

void log_point_encode(uint8_t *to, const struct log_point *point)
{
    os_put64(to, point->index);
    os_put64(to + 8, point->term);
    os_put32(to + 16, point->chain);
    os_put32(to + 20, crc32c(0, to, 20));
}

bool log_point_decode(const uint8_t *from, struct log_point *point)
{
    if (os_get32(from + 20) != crc32c(0, from, 20))
        return false;
    point->index = os_get64(from);
    point->term = os_get64(from + 8);
    point->chain = os_get32(from + 16);
    return true;
}

void log_start_encode(uint8_t *to, const struct log_start_point *start)
{
    memset(to, 0, LOG_START_BYTES);
    os_put64(to, start->before.index);
    os_put64(to + 8, start->before.term);
    os_put32(to + 16, start->before.chain);
    os_put64(to + 24, start->segment);
    os_put64(to + 32, start->end);
    os_put32(to + 44, crc32c(0, to, 44));
}

bool log_start_decode(const uint8_t *from, struct log_start_point *start)
{
    if (os_get32(from + 44) != crc32c(0, from, 44))
        return false;
    start->before.index = os_get64(from);
    start->before.term = os_get64(from + 8);
    start->before.chain = os_get32(from + 16);
    start->segment = os_get64(from + 24);
    start->end = os_get64(from + 32);
    return true;
}

void log_identity_encode(uint8_t *to, const struct log_identity *identity, uint64_t incarnation)
{
    begin(to, LOG_IDENTITY_BYTES, IDENTITY_MAGIC);
    os_put64(to + 8, identity->group);
    os_put64(to + 16, identity->last.index);
    os_put64(to + 24, identity->last.term);
    os_put32(to + 32, identity->last.chain);
    os_put32(to + 36, (uint32_t)identity->end);
    os_put64(to + 40, identity->segment);
    os_put64(to + 48, incarnation);
    os_put32(to + 60, seal(incarnation, to, 60));
}

bool log_identity_decode(const uint8_t *from, uint64_t incarnation, struct log_identity *identity)
{
    if (!begins(from, IDENTITY_MAGIC) || os_get32(from + 60) != seal(incarnation, from, 60))
        return false;
    identity->group = os_get64(from + 8);
    identity->last.index = os_get64(from + 16);
    identity->last.term = os_get64(from + 24);
    identity->last.chain = os_get32(from + 32);
    identity->end = os_get32(from + 36);
    identity->segment = os_get64(from + 40);
    if (identity->group > LOG_NUMBER_MAX || identity->segment > LOG_NUMBER_MAX ||
        identity->last.index > LOG_NUMBER_MAX || identity->last.term > LOG_NUMBER_MAX)
        return false;
    return os_get64(from + 48) == incarnation && identity->group != 0;
}

/* ---- small files --------------------------------------------------------------------------------------- */

void log_vote_encode(uint8_t *to, const struct log_vote_record *vote, uint64_t incarnation)
{
    begin(to, LOG_VOTE_BYTES, VOTE_MAGIC);
    os_put64(to + 8, vote->sequence);
    os_put64(to + 16, vote->term);
    os_put64(to + 24, vote->vote);
    os_put64(to + 32, incarnation);
    os_put32(to + 44, seal(incarnation, to, 44));
}

bool log_vote_decode(const uint8_t *from, uint64_t incarnation, struct log_vote_record *vote)
{
    if (!begins(from, VOTE_MAGIC) || os_get32(from + 44) != seal(incarnation, from, 44))
        return false;
    vote->sequence = os_get64(from + 8);
    vote->term = os_get64(from + 16);
    vote->vote = os_get64(from + 24);
    if (vote->sequence > LOG_NUMBER_MAX || vote->term > LOG_NUMBER_MAX)
        return false;
    return os_get64(from + 32) == incarnation;
}

void log_directory_encode(uint8_t *to, const struct log_directory_record *record)
{
    begin(to, LOG_DIRECTORY_BYTES, DIRECTORY_MAGIC);
    os_put16(to + 4, record->format);
    memcpy(to + 8, record->cluster_id.bytes, 16);
    os_put64(to + 24, record->member_id);
    os_put64(to + 32, record->incarnation);
    memcpy(to + 40, record->name, LOG_NAME_MAX);
    os_put64(to + 104, record->made_ms);
    os_put32(to + 124, crc32c(0, to, 124));
}

/* Whether all but the format is as this version wrote it. */
static bool ours_but_for_the_format(const uint8_t *from)
{
    uint8_t ours[LOG_DIRECTORY_BYTES];

    memcpy(ours, from, sizeof ours);
    os_put16(ours + 4, LOG_FORMAT_VERSION);
    return os_get32(from + 124) == crc32c(0, ours, 124);
}

int log_directory_decode(const uint8_t *from, uint64_t size, struct log_directory_record *record)
{
    if (size < LOG_DIRECTORY_BYTES || os_get32(from) != DIRECTORY_MAGIC)
        return GAVEL_E_CORRUPT;
    record->format = os_get16(from + 4);
    /* A newer format may lay out the rest, its checksum too, as it likes: only magic and format are for ever. Where the
     * checksum holds for ours, nothing but the format was spoiled, and no release would read it. */
    if (record->format > LOG_FORMAT_VERSION && (!ours_but_for_the_format(from) || seeded_bug("log-format-believed")))
        return GAVEL_E_VERSION;
    if (os_get32(from + 124) != crc32c(0, from, 124) || record->format == 0 || from[40 + LOG_NAME_MAX - 1] != 0)
        return GAVEL_E_CORRUPT;
    memcpy(record->cluster_id.bytes, from + 8, 16);
    record->member_id = os_get64(from + 24);
    record->incarnation = os_get64(from + 32);
    memcpy(record->name, from + 40, LOG_NAME_MAX);
    record->made_ms = os_get64(from + 104);
    return 0;
}

void log_blob_encode(uint8_t *head, uint32_t magic, const void *payload, uint64_t size)
{
    begin(head, LOG_BLOB_HEAD, magic);
    os_put64(head + 8, size);
    os_put32(head + 16, crc32c(0, payload, size));
    os_put32(head + 20, crc32c(0, head, 20));
}

const uint8_t *log_blob_decode(const uint8_t *from, uint64_t size, uint32_t magic, uint64_t *payload_size)
{
    uint64_t bytes;

    if (size < LOG_BLOB_HEAD || !begins(from, magic) || os_get32(from + 20) != crc32c(0, from, 20))
        return NULL;
    bytes = os_get64(from + 8);
    if (bytes != size - LOG_BLOB_HEAD || os_get32(from + 16) != crc32c(0, from + LOG_BLOB_HEAD, bytes))
        return NULL;
    *payload_size = bytes;
    return from + LOG_BLOB_HEAD;
}
