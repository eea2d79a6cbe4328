/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.c - the frames of one segment, in order, as far as they are sound; and what is behind.
 */
#include "core/log/segment.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/os/bytes.h"
#include "core/os/seeded.h"

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

/* What a walk can be taken back to: it was there before the group that is read. */
struct mark {
    struct log_point before;
    struct log_point last;
    bool begun;
    uint64_t kept;           /* slots of then that are still there */
    struct log_slot *popped; /* those that are not, the newest first */
    uint64_t count;
    uint64_t capacity;
};

struct reader {
    const struct log_segment_image *image;
    struct log_walk *walk;
    struct log_segment_found *found;
    struct mark mark;
    bool doubt; /* a truncation of this group goes below what a snapshot says was committed, or below the log */
};

/* ---- back to where it was ------------------------------------------------------------------------------ */

static void set_mark(struct reader *reader)
{
    struct mark *mark = &reader->mark;

    mark->before = reader->walk->before;
    mark->last = reader->walk->last;
    mark->begun = reader->walk->begun;
    mark->kept = reader->walk->slots.count;
    mark->count = 0;
}

/* Forget the newest slot, so that it can come back. */
static bool pop(struct reader *reader)
{
    struct log_slots *slots = &reader->walk->slots;
    struct mark *mark = &reader->mark;

    if (slots->count == mark->kept) {
        if (mark->count == mark->capacity) {
            uint64_t wanted = mark->capacity ? mark->capacity * 2 : 64;
            struct log_slot *grown = realloc(mark->popped, wanted * sizeof *grown);

            if (!grown)
                return false;
            mark->popped = grown;
            mark->capacity = wanted;
        }
        mark->popped[mark->count] = *log_slot_at(slots, slots->count - 1);
        assert(!mark->popped[mark->count].batch); /* what is on a disk is not in memory */
        mark->count++;
        mark->kept--;
    }
    log_slots_pop_back(slots);
    return true;
}

static void go_back(struct reader *reader)
{
    struct log_walk *walk = reader->walk;
    struct mark *mark = &reader->mark;

    while (walk->slots.count > mark->kept)
        log_slots_pop_back(&walk->slots);
    while (mark->count) {
        struct log_slot *slot = log_slots_push(&walk->slots);

        assert(slot); /* there was room for as many before */
        *slot = mark->popped[--mark->count];
    }
    walk->before = mark->before;
    walk->last = mark->last;
    walk->begun = mark->begun;
}

/* ---- what lies behind ---------------------------------------------------------------------------------- */

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

/* Whether a sync of the group that begins at `start` is known to have returned; `from`: behind what was read of it. */
static bool is_proved(const struct reader *reader, uint64_t start, uint64_t from)
{
    const struct log_segment_image *image = reader->image;

    if (image->later || (image->identity && image->identity->end > start) || reader->found->proved > start)
        return true;
    (void)frames_behind(image, from, reader->found);
    return reader->found->proved > start;
}

/* ---- what one frame does to the log -------------------------------------------------------------------- */

enum taken { TAKEN, DAMAGED, OUT_OF_ORDER, NO_MEMORY };

static bool same_point(const struct log_point *a, const struct log_point *b)
{
    return a->index == b->index && a->term == b->term && a->chain == b->chain;
}

static enum taken take_batch(struct reader *reader, uint64_t offset, const struct log_frame *frame)
{
    const uint8_t *data = reader->image->data + offset + LOG_FRAME_HEAD;
    struct log_walk *walk = reader->walk;
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
    slot->segment = reader->image->number;
    slot->offset = (uint32_t)offset;
    walk->last.index = head.first + head.count - 1;
    walk->last.term = head.term;
    walk->last.chain = head.chain;
    return TAKEN;
}

/* Whether the log has this very entry, and a batch ends with it. */
static bool has_point(const struct log_walk *walk, const struct log_point *point)
{
    uint64_t position = log_slots_find(&walk->slots, point->index);
    const struct log_slot *slot;

    if (same_point(point, &walk->before))
        return true;
    if (position == walk->slots.count)
        return false;
    slot = log_slot_at(&walk->slots, position);
    return slot->first + slot->count - 1 == point->index && slot->term == point->term && slot->chain == point->chain;
}

/*
 * Nothing but the crc of its own 24 bytes says that a point is the one of this frame. Where a write ended behind the
 * header, in space that was used before, what lies there may be a point all the same: an old one, or a part of a value.
 * So it is looked at before anything is taken back by it: it must name an entry that the log has. In a group that is
 * proved it had been written whole, and may lie below what is left of the log. In one that is not, and when it goes
 * below it or below what a snapshot says was committed, the end of the group decides: the snapshot may be of what this
 * group brought, which has its entry then.
 */
static enum taken take_truncate(struct reader *reader, uint64_t offset, const struct log_frame *frame)
{
    struct log_walk *walk = reader->walk;
    uint64_t behind = offset + LOG_FRAME_HEAD + frame->bytes;
    struct log_point point;
    bool below;

    if (frame->bytes != LOG_POINT_BYTES || !log_point_decode(reader->image->data + offset + LOG_FRAME_HEAD, &point))
        return DAMAGED;
    below = point.index < walk->before.index;
    if (point.index > walk->last.index || (!below && !has_point(walk, &point)))
        return OUT_OF_ORDER;
    if ((below || point.index < reader->image->committed.index) && !is_proved(reader, frame->group_start, behind) &&
        !seeded_bug("log-old-point-taken"))
        reader->doubt = true;
    while (walk->slots.count && log_slot_at(&walk->slots, walk->slots.count - 1)->first > point.index) {
        if (!pop(reader))
            return NO_MEMORY;
    }
    if (below) /* what it takes back began in a segment that has been compacted away since */
        walk->before = point;
    walk->last = point;
    return TAKEN;
}

static enum taken take_reset(struct reader *reader, uint64_t offset, const struct log_frame *frame)
{
    struct log_walk *walk = reader->walk;
    struct log_point point;

    if (frame->bytes != LOG_POINT_BYTES || !log_point_decode(reader->image->data + offset + LOG_FRAME_HEAD, &point))
        return DAMAGED;
    while (walk->slots.count) {
        if (!pop(reader))
            return NO_MEMORY;
    }
    walk->before = point;
    walk->last = point;
    return TAKEN;
}

static enum taken take_start(struct log_walk *walk, const uint8_t *payload, uint32_t bytes)
{
    struct log_start_point start;

    if (bytes != LOG_START_BYTES || !log_start_decode(payload, &start))
        return DAMAGED;
    if (!walk->begun) {
        walk->before = start.before;
        walk->last = start.before;
        walk->begun = true;
        return TAKEN;
    }
    return same_point(&walk->last, &start.before) ? TAKEN : OUT_OF_ORDER;
}

static enum taken take(struct reader *reader, uint64_t offset, const struct log_frame *frame)
{
    if ((frame->kind == LOG_FRAME_START) != (offset == LOG_SEGMENT_HEAD))
        return OUT_OF_ORDER;
    switch (frame->kind) {
    case LOG_FRAME_BATCH:
        return take_batch(reader, offset, frame);
    case LOG_FRAME_TRUNCATE:
        return take_truncate(reader, offset, frame);
    case LOG_FRAME_RESET:
        return take_reset(reader, offset, frame);
    default:
        return take_start(reader->walk, reader->image->data + offset + LOG_FRAME_HEAD, frame->bytes);
    }
}

/* ---- a group ------------------------------------------------------------------------------------------- */

/* The frames of one group, as far as they are sound and follow each other. */
struct group {
    uint64_t start;
    uint64_t at;     /* behind them: where the next group begins, but for the alignment, or what is wrong */
    uint64_t number;
    uint32_t taken;  /* of them */
    uint32_t stop;   /* enum log_stop; END: all of them, or there is no group here */
    bool misplaced;  /* see log_segment_found */
};

/* The next frame of `group` is there, and is one of it; `first` is its first one. */
static bool next_header(const struct reader *reader, const struct group *group, const struct log_frame *first,
                        struct log_frame *frame)
{
    return frame_at(reader->image, group->at, frame) && frame->group_start == group->start &&
           frame->ordinal == group->taken &&
           (group->taken == 0 || (frame->group == first->group && frame->frames == first->frames));
}

/* Read the group at group->start, behind a group of the number `previous`. GAVEL_E_NO_MEMORY. */
static int read_group(struct reader *reader, struct group *group, uint64_t previous)
{
    struct log_frame first = {.frames = 1};

    group->at = group->start;
    reader->doubt = false;
    set_mark(reader);
    while (group->taken < first.frames) {
        struct log_frame frame;
        enum taken taken;

        if (!next_header(reader, group, &first, &frame)) {
            bool missing = frames_behind(reader->image, group->at, reader->found) || group->taken;

            group->stop = missing ? LOG_STOP_FRAME : LOG_STOP_END;
            return 0;
        }
        note(reader->image, group->at, &frame, reader->found);
        group->misplaced = frame.group < previous; /* groups rise */
        taken = group->misplaced ? OUT_OF_ORDER : take(reader, group->at, &frame);
        if (taken == NO_MEMORY)
            return GAVEL_E_NO_MEMORY;
        if (taken != TAKEN) {
            (void)frames_behind(reader->image, group->at + 8, reader->found);
            group->stop = taken == DAMAGED ? LOG_STOP_PAYLOAD : LOG_STOP_ORDER;
            return 0;
        }
        first = frame;
        group->number = frame.group;
        group->at += LOG_FRAME_HEAD + frame.bytes;
        group->taken++;
    }
    group->stop = LOG_STOP_END;
    if (reader->doubt && !has_point(reader->walk, &reader->image->committed)) {
        go_back(reader); /* it never took that back: what lies there is of before */
        group->taken = 0;
        group->at = group->start;
        group->stop = LOG_STOP_ORDER;
    }
    return 0;
}

/*
 * Only a part of a group is there. A start of long ago may have cut off the rest, which was torn, and gone on behind it
 * in the next sector; then what stands there says that the log ended with this part: the segment behind, an identity
 * entry, or the next group, which continues it. If the rest had been more than nothing, none of them would. 1, 0, or
 * GAVEL_E_NO_MEMORY.
 */
static int was_cut_short(struct reader *reader, const struct group *group)
{
    const struct log_segment_image *image = reader->image;
    uint64_t next = align_group(group->at);
    struct reader trial = {.image = image, .walk = reader->walk, .found = reader->found};
    struct log_frame frame;
    enum taken taken;

    if (seeded_bug("log-part-of-a-group"))
        return 1;
    if (image->limit && next >= image->limit)
        return same_point(&reader->walk->last, &image->before);
    if (image->identity && image->identity->end == next)
        return same_point(&reader->walk->last, &image->identity->last);
    if (!frame_at(image, next, &frame) || frame.ordinal != 0 || frame.group <= group->number)
        return false;
    set_mark(&trial);
    taken = take(&trial, next, &frame);
    go_back(&trial);
    free(trial.mark.popped);
    return taken == NO_MEMORY ? GAVEL_E_NO_MEMORY : taken == TAKEN;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* Compare with the identity entry when the walk stands at the end that it names. */
static void compare_identity(const struct log_segment_image *image, const struct log_walk *walk, uint64_t offset,
                             struct log_segment_found *found)
{
    if (!image->identity || image->identity->end != offset)
        return;
    if (!same_point(&walk->last, &image->identity->last))
        found->identity_differs = true;
}

/* These frames count. */
static void count(const struct reader *reader, const struct group *group)
{
    const struct log_segment_image *image = reader->image;
    uint64_t offset = group->start;
    struct log_frame frame;

    reader->found->frames += group->taken;
    for (uint32_t i = 0; image->seen && i < group->taken && frame_at(image, offset, &frame); i++) {
        struct log_frame_seen seen = {&frame, offset, image->data + offset + LOG_FRAME_HEAD};

        image->seen(image->ctx, &seen);
        offset += LOG_FRAME_HEAD + frame.bytes;
    }
}

/* It ends within this group, or where it would begin. */
static void stop(struct reader *reader, struct group *group)
{
    struct log_segment_found *found = reader->found;

    found->stop = group->stop;
    if (found->stop == LOG_STOP_END && reader->image->limit)
        found->stop = LOG_STOP_FRAME;
    found->misplaced = group->misplaced;
    found->group_at = group->start;
    if (group->taken && !is_proved(reader, group->start, group->at) && !seeded_bug("log-torn-part-kept")) {
        go_back(reader); /* a torn one: what is whole of it was never acknowledged either */
        group->taken = 0;
        group->at = group->start;
    }
    count(reader, group);
    found->stop_at = group->at;
}

int log_segment_scan(const struct log_segment_image *image, struct log_walk *walk, struct log_segment_found *found)
{
    struct reader reader = {.image = image, .walk = walk, .found = found};
    struct log_segment_record record;
    uint64_t end = image->limit && image->limit < image->size ? image->limit : image->size;
    uint64_t offset = LOG_SEGMENT_HEAD;
    uint64_t number = 0; /* of the group before */
    int status = 0;

    memset(found, 0, sizeof *found);
    found->head_good = image->size >= LOG_SEGMENT_HEAD &&
                       log_segment_decode(image->data, image->incarnation, &record) &&
                       record.number == image->number && record.bytes == image->size;
    found->stop = LOG_STOP_END;
    while (offset < end) {
        struct group group = {.start = offset};
        int counts = 0;

        status = read_group(&reader, &group, number);
        if (status == 0 && group.taken)
            counts = group.stop == LOG_STOP_END ? 1 : was_cut_short(&reader, &group);
        if (status || counts < 0) {
            status = GAVEL_E_NO_MEMORY;
            break;
        }
        if (!counts) {
            stop(&reader, &group);
            break;
        }
        count(&reader, &group);
        number = group.number;
        offset = align_group(group.at);
        compare_identity(image, walk, offset, found);
    }
    free(reader.mark.popped);
    if (status == 0 && offset >= end) {
        found->stop_at = found->group_at = offset;
        /* All of it is sound, and yet the next segment went on from something else. */
        if (image->limit && !same_point(&walk->last, &image->before))
            found->stop = LOG_STOP_ORDER;
    }
    return status;
}
