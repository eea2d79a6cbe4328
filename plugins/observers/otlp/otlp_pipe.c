/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_pipe.c - see otlp_pipe.h.
 */
#include "otlp_pipe.h"

#include "otlp_encode.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

#define COMPLAIN_EVERY_MS 60000 /* a collector that is away for days is worth a line a minute */
#define GZIP_LEVEL 5            /* above, bytes cost more time than they save */

static const bool allowed[OTLP_STATES][OTLP_STATES] = {
    [OTLP_IDLE] = {[OTLP_READY] = true},
    [OTLP_READY] = {[OTLP_SENDING] = true, [OTLP_IDLE] = true},
    [OTLP_SENDING] = {[OTLP_READY] = true, [OTLP_IDLE] = true},
};

bool otlp_pipe_may(enum otlp_state from, enum otlp_state to)
{
    return allowed[from][to];
}

/* What holds after every move: a batch is in hand in all states but one, and libcurl has it in just one. */
static void move(struct otlp_pipe *pipe, enum otlp_state to)
{
    assert(otlp_pipe_may(pipe->state, to));
    pipe->state = to;
    assert((pipe->body == NULL) == (to == OTLP_IDLE));
    assert(pipe->http.started == (to == OTLP_SENDING));
}

/* ---- counting and telling ---------------------------------------------------------------------------------------- */

static void count(struct otlp_exporter *exporter, uint64_t metric, enum otlp_signal signal, uint64_t value,
                  const char *reason)
{
    struct gavel_attribute attributes[] = {{"signal", gavel_text(otlp_signal_names[signal])},
                                           {"reason", gavel_text(reason)}};
    const struct gavel_host *host = exporter->host;

    if (value && metric && host->record)
        host->record(host->self, metric, (double)value, attributes, reason ? 2 : 1);
}

void otlp_count_dropped(struct otlp_exporter *exporter, enum otlp_signal signal, uint64_t records, const char *reason)
{
    count(exporter, exporter->metric_dropped, signal, records, reason);
}

static void lose(struct otlp_exporter *exporter, struct otlp_pipe *pipe, uint64_t records, const char *reason)
{
    otlp_count_dropped(exporter, pipe->signal, records, reason);
    pipe->lost += records;
}

/* A query may hold a secret, which has no place in a log. */
static int shown(const struct otlp_pipe *pipe)
{
    return (int)strcspn(pipe->target->url, "?#");
}

/* One line a minute, whichever signal it is about; the others are in the counters. */
static void complain(struct otlp_exporter *exporter, struct otlp_pipe *pipe, uint64_t now_ms, const char *why)
{
    if (exporter->told_ms && now_ms < exporter->told_ms + COMPLAIN_EVERY_MS)
        return;
    exporter->told_ms = now_ms;
    pipe->troubled = true;
    gavel_log(exporter->host, GAVEL_LOG_WARN, "otlp", "%.*s takes no %s: %s; %" PRIu64 " records of it have been "
              "dropped since the last such line", shown(pipe), pipe->target->url, otlp_signal_names[pipe->signal],
              why, pipe->lost);
    pipe->lost = 0;
}

static void rejoice(struct otlp_exporter *exporter, struct otlp_pipe *pipe)
{
    pipe->failures = 0;
    if (!pipe->troubled)
        return;
    pipe->troubled = false;
    gavel_log(exporter->host, GAVEL_LOG_INFO, "otlp", "%.*s takes %s again; %" PRIu64 " records of it were dropped "
              "meanwhile", shown(pipe), pipe->target->url, otlp_signal_names[pipe->signal], pipe->lost);
    pipe->lost = 0;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* Bytes become their gzip form; false when memory is out. */
static bool compress_body(struct otlp_pipe *pipe)
{
    z_stream stream = {.next_in = pipe->body, .avail_in = (uInt)pipe->body_size};
    unsigned char *out;
    uLong bound;
    int ended;

    if (deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    bound = deflateBound(&stream, (uLong)pipe->body_size);
    out = malloc(bound);
    stream.next_out = out;
    stream.avail_out = (uInt)bound;
    ended = out ? deflate(&stream, Z_FINISH) : Z_MEM_ERROR;
    (void)deflateEnd(&stream);
    if (ended != Z_STREAM_END) {
        free(out);
        return false;
    }
    free(pipe->body);
    pipe->body = out;
    pipe->body_size = (size_t)stream.total_out;
    return true;
}

static void make_body(struct otlp_exporter *exporter, struct otlp_pipe *pipe, const struct otlp_item *list)
{
    struct otlp_writer writer;

    otlp_writer_init(&writer, pipe->target->json);
    otlp_request_begin(&writer, pipe->signal, &exporter->config->resource);
    for (const struct otlp_item *item = list; item; item = item->next)
        otlp_raw(&writer, item->bytes, item->size);
    otlp_request_end(&writer);
    if (writer.failed) {
        otlp_writer_free(&writer);
        return;
    }
    pipe->body = writer.data; /* from malloc, and ours from now on */
    pipe->body_size = writer.size;
    if (!pipe->target->gzip || compress_body(pipe))
        return;
    free(pipe->body);
    pipe->body = NULL;
}

/* A batch into the hand. */
static void take_batch(struct otlp_exporter *exporter, struct otlp_pipe *pipe, uint64_t now_ms)
{
    uint64_t records_max = pipe->signal == OTLP_METRICS ? UINT64_MAX / 2 : pipe->target->batch_records;
    struct otlp_item *list;
    uint64_t records;

    (void)pthread_mutex_lock(&exporter->lock);
    list = otlp_queue_take(&pipe->queue, records_max, exporter->config->batch_bytes);
    pipe->first_ms = pipe->queue.items ? now_ms : 0;
    pipe->due = pipe->due && pipe->queue.items > 0;
    (void)pthread_mutex_unlock(&exporter->lock);
    if (!list)
        return;
    make_body(exporter, pipe, list);
    records = otlp_items_free(list);
    if (!pipe->body) {
        lose(exporter, pipe, records, OTLP_MEMORY);
        return;
    }
    pipe->records = records;
    pipe->tried_ms = 0;
    move(pipe, OTLP_READY);
}

static void let_go(struct otlp_pipe *pipe)
{
    free(pipe->body);
    pipe->body = NULL;
    pipe->records = 0;
    move(pipe, OTLP_IDLE);
}

/* In how many ms the queue is to be sent: 0 now, UINT64_MAX when it is empty. */
static uint64_t due_in(struct otlp_exporter *exporter, struct otlp_pipe *pipe, const struct otlp_moment *moment)
{
    const struct otlp_queue *queue = &pipe->queue;
    uint64_t wait, due_ms;

    (void)pthread_mutex_lock(&exporter->lock);
    due_ms = pipe->first_ms + pipe->target->batch_interval;
    if (queue->items == 0)
        wait = UINT64_MAX;
    else if (pipe->due || moment->flush_ms || queue->records >= pipe->target->batch_records ||
             queue->bytes >= exporter->config->batch_bytes || moment->now_ms >= due_ms)
        wait = 0;
    else
        wait = due_ms - moment->now_ms;
    (void)pthread_mutex_unlock(&exporter->lock);
    return wait;
}

bool otlp_pipe_empty(struct otlp_exporter *exporter, struct otlp_pipe *pipe)
{
    bool empty;

    (void)pthread_mutex_lock(&exporter->lock);
    empty = pipe->queue.items == 0 && pipe->state == OTLP_IDLE;
    (void)pthread_mutex_unlock(&exporter->lock);
    return empty;
}

void otlp_pipe_drop(struct otlp_exporter *exporter, struct otlp_pipe *pipe, const char *reason)
{
    struct otlp_item *list;

    otlp_http_abort(&pipe->http, exporter->multi);
    if (pipe->state != OTLP_IDLE) {
        lose(exporter, pipe, pipe->records, reason);
        let_go(pipe);
    }
    (void)pthread_mutex_lock(&exporter->lock);
    list = otlp_queue_take(&pipe->queue, UINT64_MAX, UINT64_MAX);
    pipe->first_ms = 0;
    (void)pthread_mutex_unlock(&exporter->lock);
    if (list)
        lose(exporter, pipe, otlp_items_free(list), reason);
}

/* ---- retries ----------------------------------------------------------------------------------------------------- */

/* xorshift64*: nobody must be unable to guess it. */
static uint64_t roll(struct otlp_exporter *exporter)
{
    exporter->dice ^= exporter->dice >> 12;
    exporter->dice ^= exporter->dice << 25;
    exporter->dice ^= exporter->dice >> 27;
    return exporter->dice * UINT64_C(2685821657736338717);
}

/* Half as long again each time, up to the bound; a fifth more or less, or all nodes would come back at once. */
static uint64_t pause_after(struct otlp_exporter *exporter, unsigned failures)
{
    double pause = (double)exporter->config->retry_initial, most = (double)exporter->config->retry_max;
    double share = 0.8 + 0.4 * (double)(roll(exporter) >> 11) / 9007199254740992.0;

    for (unsigned i = 1; i < failures && pause < most; i++)
        pause *= 1.5;
    return (uint64_t)((pause < most ? pause : most) * share) + 1;
}

/* A pause, and the same batch again, unless it was tried for long enough. At a node's end there is no second try. */
static void retry(struct otlp_exporter *exporter, struct otlp_pipe *pipe, const struct otlp_moment *moment,
                  const struct otlp_outcome *outcome)
{
    uint64_t pause = pause_after(exporter, ++pipe->failures);

    if (outcome->retry_after > pause)
        pause = outcome->retry_after;
    pipe->not_before_ms = moment->now_ms + pause;
    if (moment->flush_ms || moment->now_ms >= pipe->tried_ms + pipe->target->retry_time) {
        lose(exporter, pipe, pipe->records, moment->flush_ms ? OTLP_SHUTDOWN : OTLP_GAVE_UP);
        let_go(pipe);
    } else {
        count(exporter, exporter->metric_retries, pipe->signal, 1, NULL);
        move(pipe, OTLP_READY);
    }
    complain(exporter, pipe, moment->now_ms, outcome->why);
    if (moment->flush_ms)
        otlp_pipe_drop(exporter, pipe, OTLP_SHUTDOWN);
}

static void accepted(struct otlp_exporter *exporter, struct otlp_pipe *pipe, const struct otlp_moment *moment,
                     const struct otlp_outcome *outcome)
{
    const struct otlp_answer *answer = &outcome->answer;
    char why[sizeof answer->message + 80];

    count(exporter, exporter->metric_exported, pipe->signal, pipe->records - answer->rejected, NULL);
    if (answer->rejected)
        lose(exporter, pipe, answer->rejected, OTLP_PARTIAL);
    if (!answer->rejected && !answer->message[0]) {
        rejoice(exporter, pipe);
    } else {
        pipe->failures = 0;
        (void)snprintf(why, sizeof why, "partial success, %" PRIu64 " of %" PRIu64 " records refused: %s",
                       answer->rejected, pipe->records, answer->message[0] ? answer->message : "it does not say why");
        complain(exporter, pipe, moment->now_ms, why);
    }
    let_go(pipe);
}

void otlp_pipe_ended(struct otlp_exporter *exporter, struct otlp_pipe *pipe, const struct otlp_moment *moment,
                     CURLcode code)
{
    struct otlp_outcome outcome;

    otlp_http_finish(&pipe->http, exporter->multi, code, pipe->records, &outcome);
    if (outcome.accepted) {
        accepted(exporter, pipe, moment, &outcome);
    } else if (outcome.retryable) {
        retry(exporter, pipe, moment, &outcome);
    } else {
        lose(exporter, pipe, pipe->records, OTLP_REFUSED);
        let_go(pipe);
        complain(exporter, pipe, moment->now_ms, outcome.why);
    }
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

/* The pause of a collector that asked for one, or failed. At the end each batch is tried once in spite of our own. */
static bool may_send(const struct otlp_pipe *pipe, const struct otlp_moment *moment)
{
    return moment->now_ms >= pipe->not_before_ms || (moment->flush_ms && pipe->tried_ms == 0);
}

static void send_batch(struct otlp_exporter *exporter, struct otlp_pipe *pipe, const struct otlp_moment *moment)
{
    if (pipe->tried_ms == 0)
        pipe->tried_ms = moment->now_ms;
    if (otlp_http_start(&pipe->http, exporter->multi, pipe->body, pipe->body_size, pipe->target->timeout)) {
        move(pipe, OTLP_SENDING);
        return;
    }
    lose(exporter, pipe, pipe->records, OTLP_MEMORY);
    let_go(pipe);
}

static void tell_overflow(struct otlp_exporter *exporter, struct otlp_pipe *pipe, uint64_t now_ms)
{
    uint64_t overflowed;

    (void)pthread_mutex_lock(&exporter->lock);
    overflowed = pipe->overflowed;
    pipe->overflowed = 0;
    (void)pthread_mutex_unlock(&exporter->lock);
    if (overflowed == 0)
        return;
    pipe->lost += overflowed;
    complain(exporter, pipe, now_ms, "more of them come than it takes, and the queue is full");
}

uint64_t otlp_pipe_step(struct otlp_exporter *exporter, struct otlp_pipe *pipe, const struct otlp_moment *moment)
{
    uint64_t wait;

    if (!pipe->target->on)
        return UINT64_MAX;
    tell_overflow(exporter, pipe, moment->now_ms);
    if (pipe->state == OTLP_IDLE) {
        wait = due_in(exporter, pipe, moment);
        if (wait)
            return wait;
        take_batch(exporter, pipe, moment->now_ms);
        if (pipe->state == OTLP_IDLE)
            return 0;
    }
    if (pipe->state == OTLP_SENDING)
        return UINT64_MAX; /* libcurl knows its own deadlines */
    if (!may_send(pipe, moment)) {
        if (moment->flush_ms) {
            otlp_pipe_drop(exporter, pipe, OTLP_SHUTDOWN);
            return 0;
        }
        return pipe->not_before_ms - moment->now_ms;
    }
    send_batch(exporter, pipe, moment);
    return pipe->state == OTLP_SENDING ? UINT64_MAX : 0;
}
