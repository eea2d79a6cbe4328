/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_exporter.c - see otlp_exporter.h. The thread takes no service of the loop, holds the lock for a few instructions
 * only, and waits nowhere but in curl_multi_poll, out of which it can be called: so its end is never far.
 */
#define _GNU_SOURCE
#include "otlp_exporter.h"

#include "otlp_pipe.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define EXPORTER_MAGIC 0x07e1f0a4u
#define FLUSH_SLACK_MS 300
#define TURN_MAX_MS 60000 /* nothing depends on it: a turn too many a minute */

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void take_messages(struct otlp_exporter *exporter, const struct otlp_moment *moment)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(exporter->multi, &left))) {
        CURLcode code = message->data.result;
        CURL *easy = message->easy_handle;

        if (message->msg != CURLMSG_DONE)
            continue;
        for (unsigned i = 0; i < OTLP_SIGNALS; i++)
            if (exporter->pipe[i].http.easy == easy)
                otlp_pipe_ended(exporter, &exporter->pipe[i], moment, code);
    }
}

static uint64_t step_all(struct otlp_exporter *exporter, const struct otlp_moment *moment)
{
    uint64_t least = TURN_MAX_MS;

    for (unsigned i = 0; i < OTLP_SIGNALS; i++) {
        uint64_t wait = otlp_pipe_step(exporter, &exporter->pipe[i], moment);

        least = wait < least ? wait : least;
    }
    return least;
}

static bool all_empty(struct otlp_exporter *exporter)
{
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        if (!otlp_pipe_empty(exporter, &exporter->pipe[i]))
            return false;
    return true;
}

static void drop_all(struct otlp_exporter *exporter, const char *reason)
{
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        otlp_pipe_drop(exporter, &exporter->pipe[i], reason);
}

/* A flush is over when nothing is left, or its time is. */
static uint64_t look_at_flush(struct otlp_exporter *exporter, const struct otlp_moment *moment, uint64_t wait)
{
    if (!moment->flush_ms)
        return wait;
    if (moment->now_ms >= moment->flush_ms)
        drop_all(exporter, OTLP_SHUTDOWN);
    if (!all_empty(exporter))
        return wait < moment->flush_ms - moment->now_ms ? wait : moment->flush_ms - moment->now_ms;
    (void)pthread_mutex_lock(&exporter->lock);
    if (exporter->flush_ms == moment->flush_ms) {
        exporter->flush_ms = 0;
        exporter->flushed = exporter->flushes;
        (void)pthread_cond_broadcast(&exporter->ended);
    }
    (void)pthread_mutex_unlock(&exporter->lock);
    return wait;
}

static bool look(struct otlp_exporter *exporter, struct otlp_moment *moment)
{
    bool stop;

    (void)pthread_mutex_lock(&exporter->lock);
    moment->flush_ms = exporter->flush_ms;
    stop = exporter->stop;
    (void)pthread_mutex_unlock(&exporter->lock);
    moment->now_ms = now_ms();
    return !stop;
}

static void *run(void *context)
{
    struct otlp_exporter *exporter = context;
    struct otlp_moment moment;
    int running;

    assert(exporter->magic == EXPORTER_MAGIC);
    while (look(exporter, &moment)) {
        uint64_t wait;

        (void)curl_multi_perform(exporter->multi, &running);
        take_messages(exporter, &moment);
        wait = look_at_flush(exporter, &moment, step_all(exporter, &moment));
        if (wait)
            (void)curl_multi_poll(exporter->multi, NULL, 0, (int)wait, NULL);
    }
    drop_all(exporter, OTLP_SHUTDOWN);
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void register_metrics(struct otlp_exporter *exporter)
{
    const struct gavel_host *host = exporter->host;

    if (!host->metric)
        return;
    exporter->metric_exported = host->metric(host->self, GAVEL_COUNTER, "otlp.exported", "{record}",
                                             "Records that the collector has taken, by signal");
    exporter->metric_dropped = host->metric(host->self, GAVEL_COUNTER, "otlp.dropped", "{record}",
                                            "Records that were given up, by signal and reason");
    exporter->metric_retries = host->metric(host->self, GAVEL_COUNTER, "otlp.retries", "{request}",
                                            "Requests that are sent again, by signal");
}

static bool make_pipes(struct otlp_exporter *exporter)
{
    const struct otlp_config *config = exporter->config;

    for (unsigned i = 0; i < OTLP_SIGNALS; i++) {
        struct otlp_pipe *pipe = &exporter->pipe[i];
        uint64_t records = i == OTLP_METRICS ? UINT64_MAX / 2 : config->target[i].queue_records;

        pipe->signal = (enum otlp_signal)i;
        pipe->target = &config->target[i];
        otlp_queue_init(&pipe->queue, records, config->queue_bytes, i == OTLP_METRICS);
        if (pipe->target->on && !otlp_http_init(&pipe->http, pipe->target, config->proxy))
            return false;
    }
    return true;
}

static void free_all(struct otlp_exporter *exporter)
{
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        otlp_http_free(&exporter->pipe[i].http);
    if (exporter->multi)
        (void)curl_multi_cleanup(exporter->multi);
    exporter->multi = NULL;
}

/* Signals are the host's: a thread of ours that took SIGTERM would keep it from the loop. */
static int start_thread(struct otlp_exporter *exporter)
{
    sigset_t all, before;
    int failed;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&exporter->thread, NULL, run, exporter);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        (void)pthread_setname_np(exporter->thread, "gavel-otlp");
    return failed;
}

int32_t otlp_exporter_start(struct otlp_exporter *exporter, const struct gavel_host *host,
                            const struct otlp_config *config, struct gavel_error *error)
{
    int failed;

    memset(exporter, 0, sizeof *exporter);
    exporter->host = host;
    exporter->config = config;
    exporter->dice = now_ms() ^ (uint64_t)(uintptr_t)exporter;
    if (host->random)
        host->random(host->self, &exporter->dice, sizeof exporter->dice);
    exporter->dice |= 1;
    if (!otlp_http_global())
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "libcurl cannot be used: memory is out");
    exporter->multi = curl_multi_init();
    if (!exporter->multi || !make_pipes(exporter)) {
        free_all(exporter);
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "libcurl makes no handle: memory is out");
    }
    register_metrics(exporter);
    (void)pthread_mutex_init(&exporter->lock, NULL); /* without attributes neither of them can fail on Linux */
    (void)pthread_cond_init(&exporter->ended, NULL);
    exporter->magic = EXPORTER_MAGIC;
    failed = start_thread(exporter);
    if (failed) {
        exporter->magic = 0;
        free_all(exporter);
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no thread can be started: %s", strerror(failed));
    }
    exporter->running = true;
    return GAVEL_OK;
}

void otlp_exporter_stop(struct otlp_exporter *exporter)
{
    if (!exporter->running)
        return;
    assert(exporter->magic == EXPORTER_MAGIC);
    (void)pthread_mutex_lock(&exporter->lock);
    exporter->stop = true;
    (void)pthread_mutex_unlock(&exporter->lock);
    (void)curl_multi_wakeup(exporter->multi);
    (void)pthread_join(exporter->thread, NULL);
    exporter->running = false;
    exporter->magic = 0;
    free_all(exporter);
    (void)pthread_cond_destroy(&exporter->ended);
    (void)pthread_mutex_destroy(&exporter->lock);
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

void otlp_exporter_lose(struct otlp_exporter *exporter, enum otlp_signal signal, uint64_t records, const char *reason)
{
    otlp_count_dropped(exporter, signal, records, reason);
}

/* The thread sleeps until something is due: it has to hear of the first record, and of the one that fills a batch. */
static bool must_wake(const struct otlp_exporter *exporter, const struct otlp_pipe *pipe, uint64_t records_before)
{
    return records_before == 0 || pipe->due || pipe->overflowed ||
           (records_before < pipe->target->batch_records && pipe->queue.records >= pipe->target->batch_records) ||
           pipe->queue.bytes >= exporter->config->batch_bytes;
}

void otlp_exporter_give(struct otlp_exporter *exporter, enum otlp_signal signal, const struct otlp_writer *record,
                        uint64_t records, bool due)
{
    struct otlp_pipe *pipe = &exporter->pipe[signal];
    uint64_t before, dropped;
    bool wake;

    assert(exporter->magic == EXPORTER_MAGIC);
    (void)pthread_mutex_lock(&exporter->lock);
    before = pipe->queue.records;
    dropped = records ? otlp_queue_push(&pipe->queue, record->data, record->size, records) : 0;
    if (before == 0)
        pipe->first_ms = now_ms();
    pipe->due = pipe->queue.items > 0 && (pipe->due || due);
    wake = must_wake(exporter, pipe, before) && (dropped == 0 || pipe->overflowed == 0);
    pipe->overflowed += dropped;
    (void)pthread_mutex_unlock(&exporter->lock);
    otlp_count_dropped(exporter, signal, dropped, OTLP_QUEUE_FULL);
    if (wake)
        (void)curl_multi_wakeup(exporter->multi);
}

void otlp_exporter_flush(struct otlp_exporter *exporter, uint64_t ms)
{
    if (!exporter->running)
        return;
    (void)pthread_mutex_lock(&exporter->lock);
    exporter->flushes++;
    exporter->flush_ms = now_ms() + ms + 1;
    (void)pthread_mutex_unlock(&exporter->lock);
    (void)curl_multi_wakeup(exporter->multi);
}

bool otlp_exporter_flushed(struct otlp_exporter *exporter)
{
    bool flushed;

    if (!exporter->running)
        return true;
    (void)pthread_mutex_lock(&exporter->lock);
    flushed = exporter->flushed == exporter->flushes;
    (void)pthread_mutex_unlock(&exporter->lock);
    return flushed;
}

/* The thread ends each flush in time, so this one ends as well; the bound is for a machine that gives it no time. */
void otlp_exporter_flush_now(struct otlp_exporter *exporter, uint64_t ms)
{
    uint64_t until_ms = now_ms() + ms + FLUSH_SLACK_MS;
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};

    if (!exporter->running)
        return;
    otlp_exporter_flush(exporter, ms);
    (void)pthread_mutex_lock(&exporter->lock);
    while (exporter->flushed != exporter->flushes && now_ms() < until_ms)
        (void)pthread_cond_clockwait(&exporter->ended, &exporter->lock, CLOCK_MONOTONIC, &until);
    (void)pthread_mutex_unlock(&exporter->lock);
}
