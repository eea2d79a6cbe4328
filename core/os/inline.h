/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inline.h - lanes without threads, for tests and for tools that work off line: jobs wait in queues, and their owner
 * runs them on its own thread in the order it likes.
 *
 * The order inside a lane is kept (that is what a lane promises); the order between lanes, and between the run of a
 * job and its completion, is the caller's to choose.
 */
#ifndef CORE_OS_INLINE_H
#define CORE_OS_INLINE_H

#include "os.h"

struct os_inline_lane {
    struct os_job *waiting_head; /* submitted, not yet run */
    struct os_job *waiting_tail;
    struct os_job *ran_head; /* run, `done` not yet called */
    struct os_job *ran_tail;
};

/* All zero is a valid empty one. */
struct os_inline {
    struct os_inline_lane lane[OS_LANES];
    uint64_t submitted; /* how many jobs ever: a test may count hand-offs */
};

extern const struct os_lane_ops os_lanes_inline; /* its object is a struct os_inline */

/* Run the first waiting job of a lane; false when there is none. */
bool os_inline_run(struct os_inline *lanes, enum os_lane lane);

/* Call `done` of the first job of a lane that ran; false when there is none. */
bool os_inline_done(struct os_inline *lanes, enum os_lane lane);

/* Run and complete everything on every lane, lane by lane, until nothing waits. Returns the number of jobs done. */
int os_inline_pump(struct os_inline *lanes);

/* One step (a run or a completion) of a lane picked by *seed, which is moved on; false when nothing waits at all. */
bool os_inline_step(struct os_inline *lanes, uint64_t *seed);

/* Forget every job without running or completing it: the machine lost power. */
void os_inline_drop(struct os_inline *lanes);

#endif
