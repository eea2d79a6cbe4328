/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.c - the frames of one segment, in order, as far as they are sound; and what is behind.
 */
#include "core/log/segment.h"

#include <assert.h>
#include <string.h>

#include "core/os/bytes.h"

#define FRAME_FIRST_BYTE 0x47 /* 'G' of "GVFR": lets the survey step quickly */

static uint64_t align_group(uint64_t offset)
{
    return (offset + LOG_GROUP_ALIGN - 1) & ~(uint64_t)(LOG_GROUP_ALIGN - 1);
}

static bool frame_at(const struct log_segment_image *image, uint64_t offset, struct log_frame *frame)
{
    if (offset > image->size || image->size - offset < LOG_FRAME_HEAD)
        return false;
    return log_frame_decode(image->data + offset, image->incarnation, image->number, offset, image->size, frame);
}

bool log_segment_start(const uint8_t *data, uint64_t size, uint64_t number, uint64_t incarnation,
                       struct log_start_point *start)
{
    struct log_segment_image image = {.data = data, .size = size, .number = number, .incarnation = incarnation};
    struct log_frame frame;

    if (!frame_at(&image, LOG_SEGMENT_HEAD, &frame) || frame.kind != LOG_FRAME_START || frame.bytes != LOG_START_BYTES)
        return false;
    return log_start_decode(data + LOG_SEGMENT_HEAD + LOG_FRAME_HEAD, start);
}

/* ---- what one frame does to the log -------------------------------------------------------------------- */

enum taken { TAKEN, DAMAGED, OUT_OF_ORDER, NO_MEMORY };

static bool same_point(const struct log_point *a, const struct log_point *b)
{
    return a->index == b->index && a->term == b->term && a->chain == b->chain;
}

static enum taken take_batch(struct log_walk *walk, const struct log_segment_image *image, uint64_t offset,
                             const struct log_frame *frame)
{
    const uint8_t *data = image->data + offset + LOG_FRAME_HEAD;
    struct log_batch_head head;
    struct log_slot *slot;

    if (log_batch_check(data, frame->bytes, &head, NULL))
        return DAMAGED;
    if (head.first != walk->last.index + 1 || head.term < walk->last.term ||
        head.chain != log_batch_chain(walk->last.chain, data))
        return OUT_OF_ORDER;
    slot = log_slots_push(&walk->slots);
    if (!slot)
        return NO_MEMORY;
    slot->first = head.first;
    slot->term = head.term;
    slot->count = head.count;
    slot->bytes = head.bytes;
    slot->chain = head.chain;
    slot->kind = os_get16(data + LOG_BATCH_HEAD + 8); /* the first entry's, see batch.h */
    slot->segment = image->number;
    slot->offset = (uint32_t)offset;
    walk->last.index = head.first + head.count - 1;
    walk->last.term = head.term;
    walk->last.chain = head.chain;
    return TAKEN;
}

/* The last entry of what the slots hold. */
static void walk_end(struct log_walk *walk)
{
    const struct log_slot *slot;

    walk->last = walk->before;
    if (!walk->slots.count)
        return;
    slot = log_slot_at(&walk->slots, walk->slots.count - 1);
    walk->last.index = slot->first + slot->count - 1;
    walk->last.term = slot->term;
    walk->last.chain = slot->chain;
}

static enum taken take_truncate(struct log_walk *walk, const uint8_t *payload, uint32_t bytes)
{
    struct log_point point;

    if (bytes != LOG_POINT_BYTES || !log_point_decode(payload, &point))
        return DAMAGED;
    if (point.index > walk->last.index)
        return OUT_OF_ORDER;
    if (point.index < walk->before.index) {
        /* What it takes back began in a segment that has been compacted away since. */
        walk->before = point;
        while (walk->slots.count)
            log_slots_pop_back(&walk->slots);
    }
    while (walk->slots.count && log_slot_at(&walk->slots, walk->slots.count - 1)->first > point.index)
        log_slots_pop_back(&walk->slots);
    walk_end(walk);
    return same_point(&walk->last, &point) ? TAKEN : OUT_OF_ORDER;
}

static enum taken take_reset(struct log_walk *walk, const uint8_t *payload, uint32_t bytes)
{
    struct log_point point;

    if (bytes != LOG_POINT_BYTES || !log_point_decode(payload, &point))
        return DAMAGED;
    while (walk->slots.count)
        log_slots_pop_back(&walk->slots);
    walk->before = point;
    walk->last = point;
    return TAKEN;
}

static enum taken take_start(struct log_walk *walk, const uint8_t *payload, uint32_t bytes, uint64_t offset)
{
    struct log_start_point start;

    if (bytes != LOG_START_BYTES || !log_start_decode(payload, &start))
        return DAMAGED;
    if (offset != LOG_SEGMENT_HEAD)
        return OUT_OF_ORDER;
    if (!walk->begun) {
        walk->before = start.before;
        walk->last = start.before;
        walk->begun = true;
        return TAKEN;
    }
    return same_point(&walk->last, &start.before) ? TAKEN : OUT_OF_ORDER;
}

static enum taken take(struct log_walk *walk, const struct log_segment_image *image, uint64_t offset,
                       const struct log_frame *frame)
{
    const uint8_t *payload = image->data + offset + LOG_FRAME_HEAD;

    if ((frame->kind == LOG_FRAME_START) != (offset == LOG_SEGMENT_HEAD))
        return OUT_OF_ORDER;
    switch (frame->kind) {
    case LOG_FRAME_BATCH:
        return take_batch(walk, image, offset, frame);
    case LOG_FRAME_TRUNCATE:
        return take_truncate(walk, payload, frame->bytes);
    case LOG_FRAME_RESET:
        return take_reset(walk, payload, frame->bytes);
    default:
        return take_start(walk, payload, frame->bytes, offset);
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static void note(const struct log_segment_image *image, uint64_t offset, const struct log_frame *frame,
                 struct log_segment_found *found)
{
    struct log_batch_head head;
    uint64_t end = offset + LOG_FRAME_HEAD + frame->bytes;

    found->any = true;
    if (frame->group_start > found->proved)
        found->proved = frame->group_start;
    if (frame->group > found->group_max)
        found->group_max = frame->group;
    if (end > found->own_end)
        found->own_end = end;
    if (frame->kind == LOG_FRAME_BATCH &&
        log_batch_head(image->data + offset + LOG_FRAME_HEAD, frame->bytes, &head, NULL) == 0 &&
        head.first + head.count - 1 > found->index_max)
        found->index_max = head.first + head.count - 1;
}

void log_segment_survey(const struct log_segment_image *image, uint64_t from, struct log_segment_found *found)
{
    struct log_frame frame;

    for (uint64_t offset = (from + 7) & ~(uint64_t)7; offset + LOG_FRAME_HEAD <= image->size; offset += 8) {
        if (image->data[offset] == FRAME_FIRST_BYTE && frame_at(image, offset, &frame))
            note(image, offset, &frame, found);
    }
}

/* Is there any sound frame header of this segment behind `from`? */
static bool frames_behind(const struct log_segment_image *image, uint64_t from, struct log_segment_found *found)
{
    struct log_segment_found behind = {0};

    log_segment_survey(image, from, &behind);
    if (!behind.any)
        return false;
    if (behind.proved > found->proved)
        found->proved = behind.proved;
    if (behind.group_max > found->group_max)
        found->group_max = behind.group_max;
    if (behind.own_end > found->own_end)
        found->own_end = behind.own_end;
    if (behind.index_max > found->index_max)
        found->index_max = behind.index_max;
    found->any = true;
    return true;
}

/* Compare with the identity entry when the walk stands at the end that it names. */
static void compare_identity(const struct log_segment_image *image, const struct log_walk *walk, uint64_t offset,
                             struct log_segment_found *found)
{
    if (!image->identity || image->identity->end != offset)
        return;
    if (!same_point(&walk->last, &image->identity->last))
        found->identity_differs = true;
}

int log_segment_scan(const struct log_segment_image *image, struct log_walk *walk, struct log_segment_found *found)
{
    struct log_segment_record record;
    uint64_t end = image->limit && image->limit < image->size ? image->limit : image->size;
    uint64_t offset = LOG_SEGMENT_HEAD;
    uint64_t group = 0;

    memset(found, 0, sizeof *found);
    found->head_good = image->size >= LOG_SEGMENT_HEAD &&
                       log_segment_decode(image->data, image->incarnation, &record) &&
                       record.number == image->number && record.bytes == image->size;
    found->stop = LOG_STOP_END;
    while (offset < end) {
        struct log_frame frame;
        enum taken taken;
        bool risen;

        if (!frame_at(image, offset, &frame)) {
            /* Behind a group whose end was cut off as torn, the next group begins in the next sector. */
            uint64_t next = align_group(offset);

            if (next != offset && (next >= end || (frame_at(image, next, &frame) && frame.ordinal == 0))) {
                offset = next;
                continue;
            }
            found->stop = frames_behind(image, offset, found) ? LOG_STOP_FRAME : LOG_STOP_END;
            break;
        }
        note(image, offset, &frame, found);
        /* Groups rise, and frames of one group lie side by side. */
        risen = frame.group >= group;
        taken = risen ? take(walk, image, offset, &frame) : OUT_OF_ORDER;
        if (taken == NO_MEMORY)
            return GAVEL_E_NO_MEMORY;
        if (taken != TAKEN) {
            (void)frames_behind(image, offset + 8, found);
            found->stop = taken == DAMAGED ? LOG_STOP_PAYLOAD : LOG_STOP_ORDER;
            found->misplaced = !risen;
            break;
        }
        found->frames++;
        if (image->seen) {
            struct log_frame_seen seen = {&frame, offset, image->data + offset + LOG_FRAME_HEAD};

            image->seen(image->ctx, &seen);
        }
        group = frame.group;
        offset += LOG_FRAME_HEAD + frame.bytes;
        if (frame.ordinal + 1 == frame.frames)
            offset = align_group(offset);
        compare_identity(image, walk, offset, found);
    }
    found->stop_at = offset;
    return 0;
}
