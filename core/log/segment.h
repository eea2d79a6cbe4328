/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h - reading the image of one segment: which frames follow each other soundly, where that ends, and what lies
 * behind the end. Pure: bytes in, facts out; the same code serves recovery, inspection and the fuzzer.
 */
#ifndef CORE_LOG_SEGMENT_H
#define CORE_LOG_SEGMENT_H

#include "core/log/format.h"
#include "core/log/slots.h"

/* The log as read so far, over all segments. */
struct log_walk {
    struct log_slots slots;
    struct log_point before; /* the entry before the first slot */
    struct log_point last;   /* the last entry */
    bool begun;              /* a START frame was seen */
};

/* One frame that counts, for whoever wants to see them all. */
struct log_frame_seen {
    const struct log_frame *frame;
    uint64_t offset;
    const uint8_t *payload;
};

struct log_segment_image {
    const uint8_t *data;
    uint64_t size;
    uint64_t number;
    uint64_t incarnation;
    uint64_t limit; /* valid bytes end exactly here, as the next segment says; 0: unknown */
    struct log_point before; /* with a limit: and this was the last entry there */
    bool later;              /* something behind this segment proves all of it */
    struct log_point committed; /* by a sound snapshot; all zero: none */
    const struct log_identity *identity; /* of this segment, to compare on the way; NULL: none */
    void (*seen)(void *ctx, const struct log_frame_seen *seen); /* NULL: nobody looks */
    void *ctx;
};

enum log_stop {
    LOG_STOP_END,     /* no frame of this segment here or behind: the end, or one that never came */
    LOG_STOP_PAYLOAD, /* a sound frame header whose payload is damaged */
    LOG_STOP_FRAME,   /* no sound frame header here, but there must be one: some are behind, or its group lacks it */
    LOG_STOP_ORDER    /* a wholly sound frame that does not continue what lies before it */
};

struct log_segment_found {
    bool head_good; /* the segment record */
    bool any;       /* at least one sound frame header of this segment */
    bool identity_differs; /* at identity->end the log is another one than the identity entry says */
    bool misplaced; /* LOG_STOP_ORDER for the header alone: its group is older than the one before */
    uint32_t stop;  /* enum log_stop */
    uint64_t stop_at;  /* where a next group would begin, or where the damage is; in a group not proved: group_at */
    uint64_t group_at; /* where the group begins that stop_at lies in */
    uint64_t proved;  /* the highest group start of any sound frame header: everything before was synced */
    uint64_t group_max; /* of any sound frame header */
    uint64_t own_end;   /* end of the last sound frame header's frame */
    uint64_t index_max; /* the last index that any sound batch header names */
    uint64_t frames;    /* that count */
};

/* [any] The START of a segment from its first LOG_SEGMENT_HEAD + LOG_FRAME_HEAD + LOG_START_BYTES bytes (or more). */
bool log_segment_start(const uint8_t *data, uint64_t size, uint64_t number, uint64_t incarnation,
                       struct log_start_point *start);

/*
 * [any] Read a segment, moving `walk` on over every frame that counts. GAVEL_E_NO_MEMORY; damage is not an error here.
 *
 * A group counts as a whole, or not at all. Where damage is in a group that is proved, what lies before it in that
 * group counts too, for it may be all that is left. And a part counts that was made the whole by a start of long ago,
 * which cut the rest off: what stands behind it says that the log ended there.
 */
int log_segment_scan(const struct log_segment_image *image, struct log_walk *walk, struct log_segment_found *found);

/* [any] Only look: fill any, proved, group_max, own_end, index_max by every sound frame header from `from` on. */
void log_segment_survey(const struct log_segment_image *image, uint64_t from, struct log_segment_found *found);

#endif
