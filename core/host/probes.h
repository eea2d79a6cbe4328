/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probes.h - whether this node lives and is ready, as its loop last said, for whoever asks on another thread. The loop
 * says it again and again; that it did so lately is a probe of its own, called "loop".
 */
#ifndef CORE_HOST_PROBES_H
#define CORE_HOST_PROBES_H

#include <gavel/observer.h>

#define HOST_PROBES_MAX 16         /* "loop" among them */
#define HOST_PROBES_EVERY_MS 250   /* the loop says it this often */
#define HOST_PROBES_A_TICK 4       /* every so many times the observers are asked what they have held back */
#define HOST_PROBES_LATE_MS 5000   /* silence of the loop that a restart of the process would end */

struct host_probes;

/* [loop] NULL when memory is out. */
struct host_probes *host_probes_new(void);

/* [loop] Returns NULL; NULL is fine. */
struct host_probes *host_probes_free(struct host_probes *probes);

/*
 * [loop] What is so now, at `now_ms` of the monotonic clock; texts are copied and cut. With 0 (the loop does not turn
 * yet) the loop is taken to live: a start may read a long log without a turn of it.
 */
void host_probes_put(struct host_probes *probes, const struct gavel_probe *rows, uint64_t count, uint64_t now_ms);

/* [any] Call show(context, ...) with them, "loop" first, as they are at `now_ms`. */
void host_probes_show(struct host_probes *probes, uint64_t now_ms,
                      void (*show)(void *context, const struct gavel_probe *rows, uint64_t count, uint64_t stride),
                      void *context);

#endif
