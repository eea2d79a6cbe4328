/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reach.h - how far a damaged log had reached: the index that a recovery has to come to. Pure: bytes in, a number out.
 *
 * It is where the log ended, not the highest index that was ever in it: what a leader that was deposed had appended and
 * another one's truncation took back was never committed, and an idle cluster may not come to such an index for long.
 */
#ifndef CORE_LOG_REACH_H
#define CORE_LOG_REACH_H

#include "core/log/segment.h"

/* All zero, with the identity entry if there is one: nothing was looked at. */
struct log_reach {
    uint64_t known_group; /* of the newest identity entry: the log ended at known_index when it had been synced */
    uint64_t known_index;
    uint64_t group; /* of the frame before */
    uint64_t end;   /* where the log ended behind that frame */
    uint64_t index; /* the highest end, of before that group and in it: nothing proves that one, and it may be torn */
};

/* [any] Go on through the sound frame headers of the next segment, damaged as it may be. */
void log_reach_segment(struct log_reach *reach, const struct log_segment_image *image);

/* [any] After the last segment: the highest index at which the log may have ended. */
uint64_t log_reach_index(const struct log_reach *reach);

#endif
