/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - plugins as seen from outside while they run: a thread that names the call that does not return, a signal
 * handler that names the one that crashed, and a last word when one leaves the process.
 *
 * Which call a thread is in stands in core/os/call.h. Where no call of a plugin is at hand (a call-back of its own
 * libuv handle, a thread of its own), a crash is traced to the file whose code it happened in.
 */
#ifndef CORE_HOST_WATCH_H
#define CORE_HOST_WATCH_H

#include <gavel/host.h>
#include <stdbool.h>
#include <uv.h>

struct host_watch;

/*
 * [loop] Once, at the program's beginning: handlers for the signals that a thread brings upon itself. Each says on
 * stderr who did it, and raises the signal again: exit status and memory dump are as they would be.
 */
void host_watch_signals(void);

/* [any] What is at hand now, a line for each lane that is in a call of a plugin, on stderr. */
void host_watch_tell(void);

/*
 * [loop] Begin to look: a call of a plugin that has not returned after slow_ms, or a loop that has not turned for so
 * long, is told through `host` (directly on stderr where the log would wait for the same lane), again after twice,
 * four times ... that, and once more when it has returned. From now on exit() is no way out of the process. NULL when
 * memory, threads or file descriptors are out.
 */
struct host_watch *host_watch_start(uv_loop_t *loop, const struct gavel_host *host, uint64_t slow_ms);

/* [loop] The process ends (70) when host_watch_stop has not come in time, whatever the loop waits for then. */
void host_watch_deadline(struct host_watch *watch, uint64_t ms);

/* [loop] Look no more; exit() is allowed again. The handle on the loop closes with its next turns. */
void host_watch_stop(struct host_watch *watch);

/* [loop] Whether a handle on the loop is its own. */
bool host_watch_owns(const struct host_watch *watch, const uv_handle_t *handle);

/* [loop] After the loop has closed the handle. Returns NULL; NULL is fine. */
struct host_watch *host_watch_free(struct host_watch *watch);

#endif
