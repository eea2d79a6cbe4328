/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gavel/host.h - the services that a host hands to a plugin. A plugin resolves nothing from the host's binary:
 * so a test can hand over a host of its own, several nodes can live in one process, and the same source links
 * into a simulator. A service that a host does not offer is NULL; there is none that pretends.
 */
#ifndef GAVEL_HOST_H
#define GAVEL_HOST_H

#include <gavel/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Levels of log events. */
#define GAVEL_LOG_TRACE 1
#define GAVEL_LOG_DEBUG 2
#define GAVEL_LOG_INFO 3
#define GAVEL_LOG_WARN 4
#define GAVEL_LOG_ERROR 5

/* Kinds of metrics. */
#define GAVEL_COUNTER 1
#define GAVEL_GAUGE 2
#define GAVEL_HISTOGRAM 3

/* A name and a value beside a metric, a span or a log event. Numbers are given as text by their maker. */
struct gavel_attribute {
    const char *name;
    struct gavel_slice value;
};

/* A W3C trace context; all zero: none. */
struct gavel_trace {
    unsigned char trace_id[16];
    unsigned char span_id[8];
    uint64_t flags; /* bit 0: sampled */
};

struct gavel_host;
struct gavel_timer;
struct gavel_series; /* gavel/observer.h */
struct gavel_probe;  /* gavel/observer.h */

struct gavel_host {
    uint64_t size; /* GAVEL_END(struct gavel_host, its last member) */
    void *self;    /* first argument of every service */
    uint64_t abi_major;
    uint64_t abi_minor;
    const char *node;              /* the node's name, "" when there is none */
    const char *instance;          /* NAME of the section that this plugin was named in */
    void *loop;                    /* uv_loop_t of the [loop] lane; NULL in hosts without libuv */
    const struct gavel_heap *heap; /* [any] */

    /*
     * [any] One log event, without a final newline. Copied at once; dropped and counted when the queue is full.
     * `module` is what levels are set by: best the plugin's name, or that and words below it behind a '.'. What is
     * logged within a call that belongs to a trace, a traced command of a machine for instance, carries its ids.
     */
    void (*log)(void *self, uint64_t level, const char *module, struct gavel_slice text);

    /*
     * [loop] Register a metric: kind, name ("bytes.sent"), unit in UCUM, one sentence. Returns a number above
     * 0, the same one for the same name; 0 when there is no room or the kind differs.
     */
    uint64_t (*metric)(void *self, uint64_t kind, const char *name, const char *unit, const char *help);
    /* [any] Counter: add `value`; gauge: set it; histogram: observe it. Attributes are few and bounded in number. */
    void (*record)(void *self, uint64_t metric, double value, const struct gavel_attribute *attributes, uint64_t count);

    /*
     * [any] Begin a span below `parent`; *context is filled for children. 0 when it is not sampled: its parent is not,
     * or it has none (NULL, or all zero) and the ratio of [trace] in gavel.ini(5) leaves it out. A parent of zeros with
     * bit 0 in its flags asks for a span without a parent in any case.
     */
    uint64_t (*span_begin)(void *self, const char *name, const struct gavel_trace *parent, struct gavel_trace *context);
    /* [any] End it; status 0 is well, else a GAVEL_E_ code. A span number of 0 does nothing. */
    void (*span_end)(void *self, uint64_t span, int64_t status, const struct gavel_attribute *attributes,
                     uint64_t count);

    uint64_t (*monotonic_ns)(void *self); /* [any] */
    uint64_t (*wall_ms)(void *self);      /* [any] since 1970, UTC; for people, may jump */
    void (*random)(void *self, void *bytes, uint64_t size); /* [any] from the system; not to be used in `run` */

    /* [loop] A timer calls `fire` on the loop once per start. The host frees it at timer_free, not before. */
    struct gavel_timer *(*timer_new)(void *self, void (*fire)(void *context), void *context);
    void (*timer_start)(void *self, struct gavel_timer *timer, uint64_t milliseconds); /* again: moves it */
    void (*timer_stop)(void *self, struct gavel_timer *timer);
    void (*timer_free)(void *self, struct gavel_timer *timer);

    /* [any] Run call(context) on the loop soon. GAVEL_E_BUSY when the inbox is full, GAVEL_E_CLOSED while stopping. */
    int32_t (*deliver)(void *self, void (*call)(void *context), void *context);
    /* [any] Make the loop look at its inbox now; safe in a signal handler. */
    void (*wake)(void *self);
    /* [loop] Run work(context) on a worker lane, then done(context) on the loop. GAVEL_E_BUSY when too many wait. */
    int32_t (*submit)(void *self, void (*work)(void *context), void (*done)(void *context), void *context);

#if GAVEL_ABI_TARGET >= 1
    /*
     * [any] Since 1.1. As `record`; a histogram keeps `trace` as the exemplar of the bucket, when it is sampled.
     * `trace` may be NULL.
     */
    void (*record_traced)(void *self, uint64_t metric, double value, const struct gavel_attribute *attributes,
                          uint64_t count, const struct gavel_trace *trace);
    /*
     * [any] Since 1.1. For observers that are asked instead of being told: show(context, ...) is called once, on this
     * thread and before this returns, with all series at this moment, borrowed for that call. Rows are read by
     * `stride`. GAVEL_E_NO_MEMORY: it was not called.
     */
    int32_t (*collect)(void *self,
                       void (*show)(void *context, uint64_t wall_ms, const struct gavel_series *series, uint64_t count,
                                    uint64_t stride),
                       void *context);
    /*
     * [any] Since 1.1. The same with the questions that decide whether this node lives and is ready: what the loop last
     * said of them, less than a second ago; one of them is whether the loop turns at all.
     */
    int32_t (*probe)(void *self,
                     void (*show)(void *context, const struct gavel_probe *probes, uint64_t count, uint64_t stride),
                     void *context);
    /*
     * [any] Since 1.1. Bind a metric and attributes, which are copied: a number above 0 for `observe`; 0: there is no
     * such metric, or no memory. It lives as long as the host: what is recorded often is bound once.
     */
    uint64_t (*series)(void *self, uint64_t metric, const struct gavel_attribute *attributes, uint64_t count);
    /* [any] Since 1.1. As `record`, for a bound series: some nanoseconds. A number of 0 does nothing. */
    void (*observe)(void *self, uint64_t series, double value);
    /* [any] Since 1.1. As `log`, with the trace that the event belongs to (NULL: none); observers are given its ids. */
    void (*log_traced)(void *self, uint64_t level, const char *module, const struct gavel_trace *trace,
                       struct gavel_slice text);
#endif
};

/* [any] Log one formatted sentence. */
static inline void gavel_log(const struct gavel_host *host, uint64_t level, const char *module, const char *format, ...)
    GAVEL_PRINTF(4, 5);
static inline void gavel_log(const struct gavel_host *host, uint64_t level, const char *module, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    if (!host->log)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    host->log(host->self, level, module, gavel_text(text));
}

#if GAVEL_ABI_TARGET >= 1
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_host) == 8 * 29);
#else
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_host) == 8 * 23);
#endif
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_attribute) == 24);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_trace) == 32);

#ifdef __cplusplus
}
#endif
#endif
