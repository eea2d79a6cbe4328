/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_plugin.c - the observer "otlp": metrics, traces and logs to an OpenTelemetry collector, over OTLP/HTTP.
 *
 * The observer lane encodes what it is handed and puts it into a bounded queue; a thread of the instance's own sends
 * it. So a collector that is dead, slow or lying costs records, which are counted, and a line a minute.
 */
#include "otlp_encode.h"
#include "otlp_exporter.h"

#include <gavel/observer.h>

#include <assert.h>
#include <time.h>

#define OTLP_MAGIC 0x0771b3d9u
#define NS_PER_MS UINT64_C(1000000)
#define QUIET_TURN_MS 10 /* how often it is looked whether the flush of an end is over */
#define LAST_MS 300      /* for what was said after quiesce: of whoever ends later than this */

struct otlp {
    uint32_t magic;
    const struct gavel_host *host;
    const struct otlp_options *options;
    struct otlp_config config;
    struct otlp_exporter exporter;
    uint64_t began_ns; /* wall, of start */
    /* [observer] */
    struct otlp_writer writer[OTLP_SIGNALS];
    struct otlp_delta delta;
    uint64_t exported_ms; /* metrics; 0: never */
    /* [loop] */
    struct gavel_timer *timer; /* of a quiesce that waits */
    void (*quiesced)(void *context);
    void *context;
};

static uint64_t wall_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct otlp *otlp_of(void *self)
{
    struct otlp *otlp = self;

    assert(otlp->magic == OTLP_MAGIC);
    return otlp;
}

/* ---- life, all [loop] -------------------------------------------------------------------------------------------- */

static int32_t otlp_check(const struct gavel_host *host, const void *options, struct gavel_error *error)
{
    struct otlp_config *config = host->heap->resize(host->heap->self, NULL, sizeof *config);
    int32_t status;

    if (!config)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    status = otlp_config_make(config, options, host->node, error);
    otlp_config_free(config);
    (void)host->heap->resize(host->heap->self, config, 0);
    return status;
}

static int32_t otlp_create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    struct otlp *otlp = host->heap->resize(host->heap->self, NULL, sizeof *otlp);
    int32_t status;

    if (!otlp)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    memset(otlp, 0, sizeof *otlp);
    otlp->magic = OTLP_MAGIC;
    otlp->host = host;
    otlp->options = options;
    status = otlp_config_make(&otlp->config, options, host->node, error);
    if (status != GAVEL_OK) {
        otlp_config_free(&otlp->config);
        otlp->magic = 0;
        (void)host->heap->resize(host->heap->self, otlp, 0);
        return status;
    }
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        otlp_writer_init(&otlp->writer[i], otlp->config.target[i].json);
    *self = otlp;
    return GAVEL_OK;
}

static int32_t otlp_start(void *self, struct gavel_error *error)
{
    struct otlp *otlp = otlp_of(self);

    for (unsigned i = 0; i < otlp->config.warnings; i++)
        gavel_log(otlp->host, GAVEL_LOG_WARN, "otlp", "%s", otlp->config.warning[i]);
    otlp->began_ns = wall_ns();
    if (!otlp->config.enabled) {
        gavel_log(otlp->host, GAVEL_LOG_INFO, "otlp", "Nothing is sent: it is not enabled");
        return GAVEL_OK;
    }
    return otlp_exporter_start(&otlp->exporter, otlp->host, &otlp->config, error);
}

static void say_quiesced(struct otlp *otlp)
{
    if (otlp->timer)
        otlp->host->timer_free(otlp->host->self, otlp->timer);
    otlp->timer = NULL;
    otlp->quiesced(otlp->context);
}

static void look_again(void *context)
{
    struct otlp *otlp = otlp_of(context);

    if (otlp_exporter_flushed(&otlp->exporter))
        say_quiesced(otlp);
    else
        otlp->host->timer_start(otlp->host->self, otlp->timer, QUIET_TURN_MS);
}

/* A host without timers gets its done at once, and destroy flushes. */
static void otlp_quiesce(void *self, void (*done)(void *context), void *context)
{
    struct otlp *otlp = otlp_of(self);
    const struct gavel_host *host = otlp->host;

    otlp->quiesced = done;
    otlp->context = context;
    otlp_exporter_flush(&otlp->exporter, otlp->config.shutdown_timeout);
    if (host->timer_new && !otlp_exporter_flushed(&otlp->exporter))
        otlp->timer = host->timer_new(host->self, look_again, otlp);
    if (otlp->timer)
        host->timer_start(host->self, otlp->timer, 1);
    else
        say_quiesced(otlp);
}

static void otlp_destroy(void *self)
{
    struct otlp *otlp = self;

    if (!otlp)
        return;
    assert(otlp->magic == OTLP_MAGIC);
    /* What others said while they ended came after quiesce. */
    otlp_exporter_flush_now(&otlp->exporter, otlp->config.shutdown_timeout < LAST_MS ? otlp->config.shutdown_timeout
                                                                                      : LAST_MS);
    otlp_exporter_stop(&otlp->exporter);
    for (unsigned i = 0; i < OTLP_SIGNALS; i++)
        otlp_writer_free(&otlp->writer[i]);
    otlp_delta_free(&otlp->delta);
    otlp_config_free(&otlp->config);
    otlp->magic = 0;
    (void)otlp->host->heap->resize(otlp->host->heap->self, otlp, 0);
}

/* ---- what the host tells, all [observer] ------------------------------------------------------------------------- */

static bool is_on(const struct otlp *otlp, enum otlp_signal signal)
{
    return otlp->exporter.running && otlp->config.target[signal].on;
}

/* Hand over what the writer holds, and empty it: its memory stays for the next record. */
static void give(struct otlp *otlp, enum otlp_signal signal, uint64_t records, bool due)
{
    struct otlp_writer *writer = &otlp->writer[signal];

    if (writer->failed)
        otlp_exporter_lose(&otlp->exporter, signal, records, OTLP_MEMORY);
    else
        otlp_exporter_give(&otlp->exporter, signal, writer, records, due);
    writer->size = 0;
    writer->depth = 0;
    writer->comma = false;
    writer->failed = false;
}

static void on_log(void *self, const struct gavel_log_event *event)
{
    struct otlp *otlp = otlp_of(self);

    if (!is_on(otlp, OTLP_LOGS))
        return;
    otlp_put_log(&otlp->writer[OTLP_LOGS], event, wall_ns());
    give(otlp, OTLP_LOGS, 1, false);
}

static void on_span(void *self, const struct gavel_span *span)
{
    struct otlp *otlp = otlp_of(self);

    if (!is_on(otlp, OTLP_TRACES))
        return;
    otlp_put_span(&otlp->writer[OTLP_TRACES], span);
    give(otlp, OTLP_TRACES, 1, false);
}

/* The host's interval may be shorter than the one that is wanted here; a tenth early is on time. */
static bool is_time(const struct otlp *otlp, uint64_t wall_ms)
{
    uint64_t interval = otlp->config.metric_interval;

    return !interval || !otlp->exported_ms || wall_ms < otlp->exported_ms ||
           wall_ms >= otlp->exported_ms + interval - interval / 10;
}

static uint64_t start_of(const struct gavel_series *series)
{
    return GAVEL_HAS(struct gavel_series, series, start_wall_ns) ? series->start_wall_ns : 0;
}

static void on_metrics(void *self, uint64_t wall_ms, const struct gavel_series *series, uint64_t count, uint64_t stride)
{
    struct otlp *otlp = otlp_of(self);
    bool delta = otlp->config.temporality != OTLP_CUMULATIVE;
    struct otlp_export export = {.now_ns = wall_ms * NS_PER_MS, .began_ns = otlp->began_ns,
                                 .delta = delta ? &otlp->delta : NULL, .since_ms = otlp->exported_ms};

    if (!is_on(otlp, OTLP_METRICS) || count == 0 || !is_time(otlp, wall_ms))
        return;
    otlp->exported_ms = wall_ms;
    if (delta)
        otlp_delta_begin(&otlp->delta, otlp->began_ns, start_of(series));
    for (uint64_t i = 0, points; i < count;) {
        i += otlp_put_metric(&otlp->writer[OTLP_METRICS], &export,
                             (const void *)((const char *)series + i * stride), count - i, stride, &points);
        if (points)
            give(otlp, OTLP_METRICS, points, false);
        else
            otlp->writer[OTLP_METRICS].failed = false;
    }
    if (delta)
        otlp_delta_end(&otlp->delta, export.now_ns);
    give(otlp, OTLP_METRICS, 0, true);
}

static const struct gavel_observer otlp_operations = {
    .size = GAVEL_END(struct gavel_observer, flush),
    .wants = GAVEL_OBSERVE_LOGS | GAVEL_OBSERVE_SPANS | GAVEL_OBSERVE_METRICS,
    .log = on_log,
    .span = on_span,
    .metrics = on_metrics,
};

static const struct gavel_plugin otlp_plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_OBSERVER,
    .name = "otlp",
    .version = PACKAGE_VERSION,
    .summary = "Metrics, traces and logs to an OpenTelemetry collector",
    .options = &otlp_options_table,
    .operations = &otlp_operations,
    .check = otlp_check,
    .create = otlp_create,
    .start = otlp_start,
    .quiesce = otlp_quiesce,
    .destroy = otlp_destroy,
};

GAVEL_PLUGIN(otlp)
{
    return &otlp_plugin;
}
