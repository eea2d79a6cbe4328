/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gavel/observer.h - observer plugins: they consume log events, metrics and spans on a lane of their own,
 * behind a bounded queue; what does not fit is dropped and counted, so an observer can never slow a commit. The
 * registry belongs to the host: counters survive an observer's replacement.
 */
#ifndef GAVEL_OBSERVER_H
#define GAVEL_OBSERVER_H

#include <gavel/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One log event; borrowed for the call. */
struct gavel_log_event {
    uint64_t size;            /* GAVEL_END(struct gavel_log_event, trace) */
    uint64_t wall_ms;         /* when, since 1970, UTC */
    uint64_t level;           /* GAVEL_LOG_... */
    const char *node;         /* the node's name */
    const char *module;       /* "raft", "log", "transport.main", ... */
    struct gavel_slice text;  /* one sentence, valid UTF-8, no newline */
    const struct gavel_trace *trace; /* NULL: none */
};

#if GAVEL_ABI_TARGET >= 1
/* Kinds of spans, numbered as OpenTelemetry numbers them. */
#define GAVEL_SPAN_INTERNAL 1 /* within the process */
#define GAVEL_SPAN_SERVER 2   /* answers a request that came from outside */
#define GAVEL_SPAN_CLIENT 3   /* asks somebody outside, and ends with the answer */
#define GAVEL_SPAN_PRODUCER 4 /* sends something and waits for no answer */
#define GAVEL_SPAN_CONSUMER 5 /* handles what a producer sent */
#endif

/* One ended span; borrowed for the call. */
struct gavel_span {
    uint64_t size; /* GAVEL_END(struct gavel_span, kind) */
    const char *name;
    struct gavel_trace context;
    unsigned char parent[8]; /* span id, all zero: a root */
    uint64_t start_wall_ns;
    uint64_t end_wall_ns;
    int64_t status; /* 0 or a GAVEL_E_ code */
    const struct gavel_attribute *attributes;
    uint64_t attribute_count;
#if GAVEL_ABI_TARGET >= 1
    uint64_t kind; /* GAVEL_SPAN_...; 0: GAVEL_SPAN_INTERNAL */
#endif
};

#if GAVEL_ABI_TARGET >= 1
/* Since 1.1. One of the values that a bucket has counted, with the trace that it came from. */
struct gavel_exemplar {
    uint64_t size;            /* GAVEL_END(struct gavel_exemplar, trace) */
    uint64_t wall_ms;         /* when, since 1970, UTC; 0: there is none */
    double value;
    struct gavel_trace trace;
};

/* Which question a probe belongs to. */
#define GAVEL_PROBE_READY 1u /* can this node serve? */
#define GAVEL_PROBE_LIVE 2u  /* would a restart of the process help? */

/* Since 1.1. One thing that must be well; borrowed for the call. */
struct gavel_probe {
    uint64_t size;      /* GAVEL_END(struct gavel_probe, reason) */
    const char *name;   /* "leader", lower case */
    uint64_t questions; /* GAVEL_PROBE_... */
    uint64_t ok;        /* 1: it is well; 0: see the reason */
    const char *reason; /* one sentence without the final full stop; "" when it is well */
};
#endif

/* One series of one metric at one moment; borrowed for the call. */
struct gavel_series {
    uint64_t size; /* GAVEL_END(struct gavel_series, its last member) */
    uint64_t kind; /* GAVEL_COUNTER ... */
    const char *name;
    const char *unit;
    const char *help;
    const struct gavel_attribute *attributes;
    uint64_t attribute_count;
    double value;            /* counter: total since start; gauge: now */
    const double *bounds;    /* histogram: upper bounds of all buckets but the last, which is without bound */
    const uint64_t *buckets; /* histogram: counts, bound_count + 1 of them, not cumulative */
    uint64_t bound_count;
    uint64_t count;
    double sum;
#if GAVEL_ABI_TARGET >= 1
    uint64_t start_wall_ns; /* since when `value`, `buckets`, `count` and `sum` count; UTC; 0: not known */
    const struct gavel_exemplar *exemplars; /* since 1.1; histogram: one for each bucket, or NULL */
    uint64_t exemplar_stride;               /* since 1.1; the host's size of one */
#endif
};

/* What an observer wants. */
#define GAVEL_OBSERVE_LOGS 1u
#define GAVEL_OBSERVE_SPANS 2u
#define GAVEL_OBSERVE_METRICS 4u
#if GAVEL_ABI_TARGET >= 1
#define GAVEL_OBSERVE_ASKS 8u /* since 1.1: it is told nothing of the above, and asks: host->collect, host->probe */
#endif

struct gavel_observer {
    uint64_t size;  /* GAVEL_END(struct gavel_observer, flush) */
    uint64_t wants; /* GAVEL_OBSERVE_... */
    /* [observer] Each optional; `stride` is the host's size of a row. */
    void (*log)(void *self, const struct gavel_log_event *event);
    void (*span)(void *self, const struct gavel_span *span);
    /* All series at one moment, every metrics_interval. */
    void (*metrics)(void *self, uint64_t wall_ms, const struct gavel_series *series, uint64_t count, uint64_t stride);
    /*
     * The queue is empty at this moment: write out what is held back. While nothing comes it is called now and then
     * too, about once a second, for what is held back for a time.
     */
    void (*flush)(void *self);
};

GAVEL_CHECK_LAYOUT(sizeof(struct gavel_log_event) == 64);
#if GAVEL_ABI_TARGET >= 1
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_span) == 104);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_exemplar) == 56);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_probe) == 40);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_series) == 128);
#else
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_span) == 96);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_series) == 104);
#endif
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_observer) == 48);

#ifdef __cplusplus
}
#endif
#endif
