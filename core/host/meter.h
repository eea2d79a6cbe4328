/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter.h - the metrics of the process itself: processor, memory, files, the event loop, calls of plugins, the queue to
 * the observers.
 */
#ifndef CORE_HOST_METER_H
#define CORE_HOST_METER_H

#include <stdbool.h>
#include <uv.h>

struct host_meter;
struct host_services;

/* [loop] Begin to measure, once in a process; `version` is the program's. NULL when memory is out. */
struct host_meter *host_meter_start(uv_loop_t *loop, struct host_services *services, const char *version);

/* [loop] Whether a handle on the loop is its own. */
bool host_meter_owns(const struct host_meter *meter, const uv_handle_t *handle);

/* [loop] Measure no more; the handles close with the loop's next turns. NULL is fine. */
void host_meter_stop(struct host_meter *meter);

/* [loop] After the loop has closed them. Returns NULL; NULL is fine. */
struct host_meter *host_meter_free(struct host_meter *meter);

#endif
