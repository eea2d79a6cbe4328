/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.h - log events, spans and metrics on their way to the observers: a bounded queue that anybody may fill, emptied
 * by the observer lane. What does not fit is dropped and counted; nobody ever waits.
 *
 * Levels are decided here, for each observer: a default, and others for single modules.
 */
#ifndef CORE_HOST_SINK_H
#define CORE_HOST_SINK_H

#include "core/host/registry.h"
#include "core/os/os.h"

#include <gavel/observer.h>

#include <stdbool.h>

#define HOST_SINK_RECORDS_MAX 4096         /* that wait */
#define HOST_SINK_BYTES_MAX (4u << 20)     /* of memory that waiting records take */
#define HOST_SINK_TEXT_MAX 4096            /* bytes of one sentence; longer ones are cut */
#define HOST_SINK_OBSERVERS_MAX 8
#define HOST_SINK_LEVELS_MAX 32            /* modules with a level of their own, for each observer */
#define HOST_SINK_MODULE_MAX 64            /* bytes of a module's name with its NUL */

struct host_sink;

/* What the host and the node log as; a test finds each of them here. Ends with NULL. */
extern const char *const host_log_modules[];

/*
 * [loop] A new sink. `wake(context)` is called from any thread when records begin to wait: the loop must then call
 * host_sink_pump. `registry` is what observers of metrics are shown. NULL when memory is out.
 */
struct host_sink *host_sink_new(const struct os *os, const char *node, struct host_registry *registry,
                                void (*wake)(void *context), void *context);

/*
 * [loop] Add an observer. `level` is GAVEL_LOG_...; `levels` are `count` texts "module:level".
 * GAVEL_E_INVALID names a text that is none; GAVEL_E_TOO_LARGE.
 */
int32_t host_sink_add(struct host_sink *sink, const struct gavel_observer *operations, void *self, uint64_t level,
                      const struct gavel_slice *levels, uint64_t count, struct gavel_error *error);

/*
 * [loop] From now on records go to this observer instead of `old`, which keeps its number; without operations to none.
 * What waits goes there too. Levels as above; on failure nothing has changed. `old` may still be at work on the lane:
 * it may end once host_sink_past says so of the number that *mark is set to.
 */
int32_t host_sink_replace(struct host_sink *sink, const void *old, const struct gavel_observer *operations, void *self,
                          uint64_t level, const struct gavel_slice *levels, uint64_t count, uint64_t *mark,
                          struct gavel_error *error);

/* [loop] Whether the lane has come to an end since then. */
bool host_sink_past(const struct host_sink *sink, uint64_t mark);

/* [loop] Its number as a bit, for host_sink_metrics; 0: it is none of them. */
uint64_t host_sink_bit(const struct host_sink *sink, const void *self);

/* [any] Check a text "module:level" and take it apart; `module` has HOST_SINK_MODULE_MAX bytes. */
int32_t host_sink_level(struct gavel_slice text, char *module, uint64_t *level, struct gavel_error *error);

/* [any] Whether any observer wants spans. */
bool host_sink_wants_spans(const struct host_sink *sink);

/* [any] Whether an event of that level and module would go anywhere. */
bool host_sink_wanted(struct host_sink *sink, uint64_t level, const char *module);

/* [any] Change the level of a module in every observer; "" is the default level. GAVEL_E_INVALID, GAVEL_E_TOO_LARGE. */
int32_t host_sink_set_level(struct host_sink *sink, struct gavel_slice module, struct gavel_slice level,
                            struct gavel_error *error);

/* [any] Write the levels of an observer: {level, levels: {module: level}}. False: it is none, or wants no logs. */
bool host_sink_show_levels(struct host_sink *sink, const void *self, struct gavel_writer *out);

/* [any] One log event, copied. Bytes that are no UTF-8 and control characters become '?'. */
void host_sink_log(struct host_sink *sink, uint64_t level, const char *module, const struct gavel_trace *trace,
                   struct gavel_slice text);

/* [any] One ended span, copied. */
void host_sink_span(struct host_sink *sink, const struct gavel_span *span);

/* [loop] Give the observers with these numbers (bit i: the i-th added) all metrics. */
void host_sink_metrics(struct host_sink *sink, uint64_t observers);

/* [loop] Start the observer lane's job when something waits and none runs. */
void host_sink_pump(struct host_sink *sink);

/*
 * [loop] Have every observer's flush called on its lane even though nothing waits: what it has held back for a time may
 * be due. To be called now and then.
 */
void host_sink_tick(struct host_sink *sink);

/* [loop] Hand over what waits on this thread, if the lane is not at it. For the end, after the lanes have stopped. */
void host_sink_drain(struct host_sink *sink);

/* [any] Records that wait for the lane. */
uint64_t host_sink_waiting(const struct host_sink *sink);

/* [any] Records that were dropped since the start. */
uint64_t host_sink_dropped(const struct host_sink *sink);

/* [loop] Free it with what waits; the lane must be idle. Returns NULL; NULL is fine. */
struct host_sink *host_sink_free(struct host_sink *sink);

#endif
