/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_delta.h - what counters and histograms showed at the last export, for those who want differences.
 *
 * The first time that an instance sees the metrics of a host that has been counting for long, another instance has
 * told them before it (a swap): that time only sets the base.
 */
#ifndef OTLP_DELTA_H
#define OTLP_DELTA_H

#include <gavel/observer.h>

#include <stdbool.h>

#define OTLP_DELTA_SLOTS 4096u     /* of the table; series beyond make its chains longer */
#define OTLP_DELTA_SERIES 20000u   /* remembered; a host has 256 metrics of 65 series at the most */
#define OTLP_DELTA_BUCKETS 64u     /* of a histogram; one with more is not remembered */
#define OTLP_DELTA_SWAPPED_NS UINT64_C(10000000000) /* counting for so long already: somebody else told of it */

struct otlp_past;

struct otlp_delta {
    struct otlp_past **slot; /* NULL until first used */
    uint64_t count;
    uint64_t last_ns; /* the last export; 0: none */
    bool base;        /* this export only sets the base */
    uint64_t buckets[OTLP_DELTA_BUCKETS];
};

/* An export begins. `began_ns`: when this instance started; `start_ns`: since when the host counts, 0: not known. */
void otlp_delta_begin(struct otlp_delta *delta, uint64_t began_ns, uint64_t start_ns);

/*
 * Turn a series into the difference to the last export, and remember it. series->buckets is borrowed until the next
 * call; start_wall_ns becomes the beginning of the difference. False: nothing to tell this time (the base, or memory
 * is out).
 */
bool otlp_delta_take(struct otlp_delta *delta, struct gavel_series *series);

/* And ends. */
void otlp_delta_end(struct otlp_delta *delta, uint64_t now_ns);

void otlp_delta_free(struct otlp_delta *delta);

#endif
