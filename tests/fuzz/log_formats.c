/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_formats.c - fuzz target: the bytes of batches, segments and records of a data directory. The first byte chooses.
 * Checksums would keep a fuzzer out, so most choices make them right first: what is left are lies with a good seal.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/format.h"
#include "core/log/segment.h"
#include "core/log/snapshot_file.h"
#include "core/os/bytes.h"
#include "core/os/crc32c.h"
#include "tests/fuzz/fuzz.h"

#define INCARNATION 7
#define SEGMENT 1

static void seal_batch(uint8_t *data, size_t size)
{
    uint32_t bytes;

    if (size < LOG_BATCH_HEAD)
        return;
    os_put32(data, LOG_BATCH_MAGIC);
    bytes = os_get32(data + 28);
    if (bytes > size || bytes < LOG_BATCH_HEAD)
        bytes = (uint32_t)size;
    os_put32(data + 48, crc32c(0, data + LOG_BATCH_HEAD, bytes - LOG_BATCH_HEAD));
    os_put32(data + 56, crc32c(0, data, 56));
}

/* Whatever is accepted can be walked, and every slice of it lies inside. */
static void check_batch(const uint8_t *data, size_t size)
{
    struct log_batch_head head;
    struct log_entries entries;
    struct log_entry entry;
    uint32_t count = 0;

    if (log_batch_check(data, size, &head, NULL))
        return;
    assert(head.bytes == size);
    log_entries_begin(&entries, data);
    for (; log_entries_next(&entries, &entry); count++) {
        const uint8_t *principal = entry.principal.data;
        const uint8_t *payload = entry.payload.data;

        assert(principal >= data + LOG_BATCH_HEAD);
        assert(principal + entry.principal.size <= data + size);
        assert(payload >= data + LOG_BATCH_HEAD);
        assert(payload + entry.payload.size <= data + size);
        assert(entry.index == head.first + count);
    }
    assert(count == head.count);
}

/* Make what looks like a frame one of this segment, and its batch a sound one. */
static void seal_frames(uint8_t *data, size_t size)
{
    uint8_t start[8];

    os_put64(start, INCARNATION);
    for (size_t at = LOG_SEGMENT_HEAD; at + LOG_FRAME_HEAD <= size; at += 8) {
        uint64_t bytes;

        if (os_get32(data + at) != 0x52465647u)
            continue;
        os_put64(data + at + 8, SEGMENT);
        bytes = os_get32(data + at + 32);
        if (bytes <= size - at - LOG_FRAME_HEAD && os_get16(data + at + 6) == LOG_FRAME_BATCH)
            seal_batch(data + at + LOG_FRAME_HEAD, bytes);
        os_put32(data + at + 44, crc32c(crc32c(0, start, sizeof start), data + at, 44));
    }
}

static void check_segment(const uint8_t *data, size_t size)
{
    struct log_segment_image image = {.data = data, .size = size, .number = SEGMENT, .incarnation = INCARNATION};
    struct log_segment_found found;
    struct log_walk walk = {0};
    uint64_t next;

    assert(log_segment_scan(&image, &walk, &found) == 0);
    assert(found.stop_at <= size + LOG_GROUP_ALIGN);
    next = walk.before.index + 1;
    for (uint64_t i = 0; i < walk.slots.count; i++) {
        const struct log_slot *slot = log_slot_at(&walk.slots, i);

        assert(slot->first == next);
        assert(slot->count);
        assert(slot->offset + LOG_FRAME_HEAD + (uint64_t)slot->bytes <= size);
        next = slot->first + slot->count;
    }
    assert(walk.last.index + 1 == next);
    log_slots_free(&walk.slots);
}

static void check_records(const uint8_t *data, size_t size)
{
    uint8_t record[256] = {0};
    struct log_directory_record directory;
    struct log_vote_record vote;
    struct log_identity identity;
    struct log_segment_record segment;
    struct log_snapshot_info info;
    uint32_t meta_bytes;
    uint32_t meta_crc;
    uint64_t bytes;
    const uint8_t *payload = log_blob_decode(data, size, LOG_FOUNDING_MAGIC, &bytes);

    assert(!payload || payload + bytes == data + size);
    memcpy(record, data, size < sizeof record ? size : sizeof record);
    os_put32(record + 124, crc32c(0, record, 124));
    if (log_directory_decode(record, sizeof record, &directory) == 0)
        assert(strlen(directory.name) < LOG_NAME_MAX);
    (void)log_vote_decode(record, INCARNATION, &vote);
    (void)log_identity_decode(record, INCARNATION, &identity);
    (void)log_segment_decode(record, INCARNATION, &segment);
    os_put32(record + 36, crc32c(0, record, 36));
    if (log_snapshot_head_decode(record, &info, &meta_bytes, &meta_crc))
        assert(meta_bytes <= LOG_SNAPSHOT_META_MAX);
    (void)log_snapshot_foot_decode(record, &info);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t room = size > 1 ? size - 1 : 0;
    uint8_t *copy = calloc(1, LOG_SEGMENT_HEAD + room + 1);

    if (size == 0 || !copy) {
        free(copy);
        return 0;
    }
    memcpy(copy + LOG_SEGMENT_HEAD, data + 1, room);
    switch (data[0] % 4) {
    case 0:
        check_batch(data + 1, room);
        break;
    case 1:
        seal_batch(copy + LOG_SEGMENT_HEAD, room);
        check_batch(copy + LOG_SEGMENT_HEAD, room);
        break;
    case 2:
        seal_frames(copy, LOG_SEGMENT_HEAD + room);
        check_segment(copy, LOG_SEGMENT_HEAD + room);
        break;
    default:
        check_records(data + 1, room);
        break;
    }
    free(copy);
    return 0;
}
