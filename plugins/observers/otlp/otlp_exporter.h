/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_exporter.h - the thread that sends: three pipes, one for each signal, over one libcurl multi handle. A pipe has
 * a queue that the observer lane fills without ever waiting, and at most one batch in hand: what a dead collector
 * costs is bounded, and counted.
 *
 * The life of a batch:
 *
 *     IDLE --(enough waits, or for long enough)--> READY --> SENDING --(accepted, or refused)--> IDLE
 *                                                    ^          |
 *                                                    +--(retryable: after a pause)
 */
#ifndef OTLP_EXPORTER_H
#define OTLP_EXPORTER_H

#include "otlp_config.h"
#include "otlp_http.h"
#include "otlp_queue.h"
#include "otlp_writer.h"

#include <gavel/host.h>

#include <pthread.h>

enum otlp_state { OTLP_IDLE, OTLP_READY, OTLP_SENDING, OTLP_STATES };

/* What one signal goes through. Its queue is under the exporter's lock, all else is the thread's. */
struct otlp_pipe {
    enum otlp_signal signal;
    const struct otlp_target *target;
    struct otlp_queue queue;
    uint64_t first_ms;     /* under the lock: when the oldest of the queue came; 0: it is empty */
    bool due;              /* under the lock: not to wait any longer */
    uint64_t overflowed;   /* under the lock: records that found no room */
    enum otlp_state state;
    struct otlp_http http;
    unsigned char *body;   /* of the batch in hand */
    size_t body_size;
    uint64_t records;
    uint64_t tried_ms;     /* when it was first sent; 0: not yet */
    uint64_t not_before_ms; /* no request before that */
    unsigned failures;     /* in a row; of the collector, not of the batch */
    uint64_t lost;         /* records dropped since somebody was told */
    bool troubled;         /* it was said that something is wrong, and not yet that all is well again */
};

struct otlp_exporter {
    uint32_t magic;
    const struct gavel_host *host;
    const struct otlp_config *config;
    struct otlp_pipe pipe[OTLP_SIGNALS];
    CURLM *multi;
    pthread_t thread;
    bool running; /* [loop] there is a thread */
    pthread_mutex_t lock;
    bool stop;              /* under the lock */
    uint64_t flush_ms;      /* under the lock: flush until then, and drop the rest; 0: no flush */
    uint64_t flushed;       /* under the lock: flushes that have ended */
    pthread_cond_t ended;   /* one has */
    uint64_t flushes;       /* [loop] that were begun */
    uint64_t told_ms;       /* when the last complaint was logged */
    uint64_t dice;          /* for jitter */
    uint64_t metric_exported, metric_dropped, metric_retries;
};

/* Why records were dropped: the attribute `reason`. */
#define OTLP_QUEUE_FULL "queue-full"
#define OTLP_REFUSED "refused"   /* the collector does not want them: no retry helps */
#define OTLP_PARTIAL "partial"   /* it took the others of the request */
#define OTLP_GAVE_UP "gave-up"   /* tried for as long as retry_time says */
#define OTLP_SHUTDOWN "shutdown" /* still there when the time for the end was over */
#define OTLP_MEMORY "memory"

/* [loop] Begin and end. Nothing is left behind on failure; the end waits for the thread, which never waits for long. */
int32_t otlp_exporter_start(struct otlp_exporter *exporter, const struct gavel_host *host,
                            const struct otlp_config *config, struct gavel_error *error);
void otlp_exporter_stop(struct otlp_exporter *exporter);

/* [observer] Hand over an encoded record; `due`: it and what waits is to be sent without waiting for more. */
void otlp_exporter_give(struct otlp_exporter *exporter, enum otlp_signal signal, const struct otlp_writer *record,
                        uint64_t records, bool due);

/* [observer] Records that could not even be encoded. */
void otlp_exporter_lose(struct otlp_exporter *exporter, enum otlp_signal signal, uint64_t records, const char *reason);

/* [loop] Send what waits, within `ms`; what is left then is dropped. otlp_exporter_flushed says when that is over. */
void otlp_exporter_flush(struct otlp_exporter *exporter, uint64_t ms);
bool otlp_exporter_flushed(struct otlp_exporter *exporter);
/* The same, and wait for it. */
void otlp_exporter_flush_now(struct otlp_exporter *exporter, uint64_t ms);

/* Which state may follow which. */
bool otlp_pipe_may(enum otlp_state from, enum otlp_state to);

#endif
