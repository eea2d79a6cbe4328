/* SPDX-License-Identifier: Apache-2.0 */
/*
 * real.h - the real machine: files and clocks of the kernel (real.c), lanes as threads (lanes_real.c).
 */
#ifndef CORE_OS_REAL_H
#define CORE_OS_REAL_H

#include "os.h"

/* The tables; their object is NULL, they hold no state. */
extern const struct os_file_ops os_real_files;
extern const struct os_clock_ops os_real_clock;

/* [any] The name of a file system that copies on write, by the number that statfs(2) tells; NULL for every other. */
const char *os_real_copying(uint64_t type);

struct os_lanes; /* the threads of one node */

/*
 * [loop] Make the lanes of one node. No thread starts before a lane gets its first job. `wake(ctx)` is called from
 * lane threads when completions begin to wait: it must be callable from any thread and make the loop call
 * os_lanes_drain soon (uv_async_send). It is called once for any number of waiting completions until the next drain.
 * NULL when memory is out.
 */
struct os_lanes *os_lanes_new(void (*wake)(void *ctx), void *ctx);

/* [loop] Call `done` of every job that has run, on this thread. Returns how many. */
int os_lanes_drain(struct os_lanes *lanes);

/* [loop] Run what is queued to the end, join every thread, call the last `done`s. Jobs that those submit run too.
 * Afterwards nothing may be submitted. NULL is fine. */
void os_lanes_stop(struct os_lanes *lanes);

/* [loop] Stop if that has not happened, and free. Returns NULL. NULL is fine. */
struct os_lanes *os_lanes_free(struct os_lanes *lanes);

/* [loop] Fill the machine: real files, real clocks and, when `lanes` is not NULL, these lanes. */
void os_real_init(struct os *os, struct os_lanes *lanes);

extern const struct os_lane_ops os_lanes_real; /* its object is a struct os_lanes */

#endif
