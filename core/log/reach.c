/* SPDX-License-Identifier: Apache-2.0 */
/* reach.c - how far a damaged log had reached; see reach.h. */
#include "core/log/reach.h"

/* The index at which the log ends behind this frame; false when it does not say one, or what it says is damaged. */
static bool end_behind(const struct log_frame *frame, const uint8_t *payload, uint64_t *end)
{
    struct log_batch_head head;
    struct log_start_point start;
    struct log_point point;

    switch (frame->kind) {
    case LOG_FRAME_BATCH:
        if (log_batch_head(payload, frame->bytes, &head, NULL))
            return false;
        *end = head.first + head.count - 1;
        return true;
    case LOG_FRAME_START:
        if (frame->bytes != LOG_START_BYTES || !log_start_decode(payload, &start))
            return false;
        *end = start.before.index;
        return true;
    default:
        if (frame->bytes != LOG_POINT_BYTES || !log_point_decode(payload, &point))
            return false;
        *end = point.index;
        return true;
    }
}

/*
 * A later group proves all that lies before it. In the last one an old payload may stand behind a header of which no
 * more arrived, and say anything: it may make the log longer, not shorter.
 */
static void go_on(struct log_reach *reach, const struct log_frame *frame, const uint8_t *payload)
{
    uint64_t end;

    if (frame->group > reach->group) {
        if (reach->known_group && frame->group > reach->known_group) {
            reach->end = reach->known_index;
            reach->known_group = 0;
        }
        reach->group = frame->group;
        reach->index = reach->end;
    }
    if (!end_behind(frame, payload, &end))
        return;
    if (frame->group == reach->group || end > reach->end)
        reach->end = end;
    if (end > reach->index)
        reach->index = end;
}

void log_reach_segment(struct log_reach *reach, const struct log_segment_image *image)
{
    struct log_frame frame;

    for (uint64_t offset = LOG_SEGMENT_HEAD; offset + LOG_FRAME_HEAD <= image->size; offset += 8) {
        const uint8_t *at = image->data + offset;

        if (at[0] == 'G' && log_frame_decode(at, image->incarnation, image->number, offset, image->size, &frame))
            go_on(reach, &frame, at + LOG_FRAME_HEAD);
    }
}

uint64_t log_reach_index(const struct log_reach *reach)
{
    return reach->known_group ? reach->known_index : reach->index;
}
