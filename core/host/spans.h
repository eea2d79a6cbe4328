/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spans.h - spans that have begun and not ended: W3C ids, times, and the way to the sink. There is one table in a
 * process, and only when some observer wants spans.
 */
#ifndef CORE_HOST_SPANS_H
#define CORE_HOST_SPANS_H

#include "core/host/sink.h"

#define HOST_SPANS_MAX 4096    /* open at the same time; one more is not sampled */
#define HOST_SPAN_NAME_MAX 64  /* bytes of a name with its NUL; longer ones are cut */

struct host_spans;

/* [loop] A new table; NULL when memory is out. `os` gives time and random ids. */
struct host_spans *host_spans_new(const struct os *os, struct host_sink *sink);

/* [loop] Free it; open spans are forgotten. Returns NULL; NULL is fine. */
struct host_spans *host_spans_free(struct host_spans *spans);

/*
 * [any] Begin a span. `parent` (may be NULL) gives trace and flags. One without a trace id makes a root: sampled if its
 * flags say so, else by the ratio. *context becomes the span's own for its children. Returns its number, or 0 when it
 * is not sampled or there is no room.
 */
uint64_t host_spans_begin(struct host_spans *spans, const char *name, const struct gavel_trace *parent,
                          struct gavel_trace *context);

/* [any] End it and hand it to the sink; 0 and numbers that have ended do nothing. */
void host_spans_end(struct host_spans *spans, uint64_t span, int64_t status, const struct gavel_attribute *attributes,
                    uint64_t count);

/* [any] Sample this part of the roots that nobody has sampled, from 0 to 1; a new table samples none of them. */
void host_spans_ratio(struct host_spans *spans, double ratio);

/* [any] How many are open. */
uint64_t host_spans_open(struct host_spans *spans);

#endif
