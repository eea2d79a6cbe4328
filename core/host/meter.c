/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter.c - once a second, from /proc and from what others count.
 */
#include "core/host/meter.h"

#include "core/host/services.h"
#include "core/node/metrics.h"
#include "core/os/call.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define METER_MAGIC 0x6d1f08e3u
#define METER_MS 1000
#define METER_FILES 5 /* ticks: a walk over the descriptors of 10,000 clients takes milliseconds */

struct host_meter {
    uint32_t magic;
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_prepare_t prepare;
    struct host_registry *registry;
    struct host_services *services;
    struct {
#define METRIC(symbol, kind, name, unit, attributes, help) uint64_t symbol;
        HOST_METRICS(METRIC)
#undef METRIC
    } metric, series;
    uint64_t due_ns; /* when the timer should fire next */
    uint64_t turns, turns_told, idle_told, drops_told;
    double cpu_told;
    uint64_t ticks;
};

/* Calls are measured on every lane, and end before the meter does: it goes behind the lanes. */
static struct host_meter *measuring;

/* "statemachine main (plugin counter 0.1.0)" is the plugin "statemachine.main". */
static void call_measured(const char *who, const char *what, uint64_t ns)
{
    struct host_meter *meter = measuring;
    const char *end = strstr(who, " (");
    char plugin[96], call[64];
    struct gavel_attribute attributes[2];

    (void)snprintf(plugin, sizeof plugin, "%.*s", end ? (int)(end - who) : (int)strlen(who), who);
    if (strchr(plugin, ' '))
        *strchr(plugin, ' ') = '.';
    (void)snprintf(call, sizeof call, "%s", what);
    attributes[0] = (struct gavel_attribute){"plugin", gavel_text(plugin)};
    attributes[1] = (struct gavel_attribute){"call", gavel_text(call)};
    host_registry_record(meter->registry, meter->metric.call_seconds, (double)ns / 1e9, NULL, attributes, 2);
}

static void tell(struct host_meter *meter, uint64_t series, double value)
{
    host_registry_observe(meter->registry, series, value);
}

/* ---- /proc ------------------------------------------------------------------------------------------------------- */

/* The fields of /proc/self/stat behind the name, which may hold anything; the first of them is number 3. */
static bool read_stat(double field[], unsigned count)
{
    char line[1024], *at;
    FILE *stream = fopen("/proc/self/stat", "re");
    size_t size;

    if (!stream)
        return false;
    size = fread(line, 1, sizeof line - 1, stream);
    (void)fclose(stream);
    line[size] = 0;
    at = strrchr(line, ')');
    at = at && at[1] == ' ' && at[2] ? at + 3 : NULL; /* the state is a letter */
    for (unsigned i = 4; at && i < count; i++)
        field[i] = strtod(at, &at);
    return at != NULL;
}

/* When the process started: ticks after boot, and when that was. */
static double start_time(double start_ticks)
{
    FILE *stream = fopen("/proc/stat", "re");
    char line[256];
    double boot = 0;

    while (stream && boot == 0 && fgets(line, sizeof line, stream))
        if (strncmp(line, "btime ", 6) == 0)
            boot = strtod(line + 6, NULL);
    if (stream)
        (void)fclose(stream);
    return boot + start_ticks / (double)sysconf(_SC_CLK_TCK);
}

static double count_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    double count = -3; /* ".", ".." and this one */

    while (dir && readdir(dir))
        count++;
    if (dir)
        (void)closedir(dir);
    return count > 0 ? count : 0;
}

static void measure_process(struct host_meter *meter)
{
    enum { THREADS = 20, START = 22, VIRTUAL = 23, RESIDENT = 24, FIELDS = 25 };
    double field[FIELDS] = {0};
    struct rusage usage;
    struct rlimit limit;

    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;

        tell(meter, meter->series.process_cpu, cpu - meter->cpu_told);
        meter->cpu_told = cpu;
    }
    if (read_stat(field, FIELDS)) {
        tell(meter, meter->series.process_threads, field[THREADS]);
        tell(meter, meter->series.process_virtual, field[VIRTUAL]);
        tell(meter, meter->series.process_memory, field[RESIDENT] * (double)sysconf(_SC_PAGESIZE));
        if (meter->ticks == 0)
            tell(meter, meter->series.process_start, start_time(field[START]));
    }
    if (meter->ticks % METER_FILES == 0) {
        tell(meter, meter->series.process_fds, count_files());
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
            tell(meter, meter->series.process_fds_max, (double)limit.rlim_cur);
    }
}

/* ---- each second ------------------------------------------------------------------------------------------------- */

static void measure(struct host_meter *meter)
{
    const struct host_sink *sink = host_services_sink(meter->services);
    uint64_t dropped = host_sink_dropped(sink), idle = uv_metrics_idle_time(meter->loop);

    tell(meter, meter->series.loop_turns, (double)(meter->turns - meter->turns_told));
    meter->turns_told = meter->turns;
    tell(meter, meter->series.loop_idle, (double)(idle - meter->idle_told) / 1e9);
    meter->idle_told = idle;
    tell(meter, meter->series.observer_drops, (double)(dropped - meter->drops_told));
    meter->drops_told = dropped;
    tell(meter, meter->series.observer_waiting, (double)host_sink_waiting(sink));
    tell(meter, meter->series.spans_open, (double)host_services_spans_open(meter->services));
    measure_process(meter);
    meter->ticks++;
}

static void on_timer(uv_timer_t *timer)
{
    struct host_meter *meter = timer->data;
    uint64_t now = uv_hrtime();

    assert(meter->magic == METER_MAGIC);
    tell(meter, meter->series.loop_lag, now > meter->due_ns ? (double)(now - meter->due_ns) / 1e9 : 0);
    measure(meter);
    uv_update_time(meter->loop);
    meter->due_ns = uv_hrtime() + (uint64_t)METER_MS * 1000000;
    (void)uv_timer_start(timer, on_timer, METER_MS, 0);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct host_meter *meter = prepare->data;

    meter->turns++;
}

struct host_meter *host_meter_start(uv_loop_t *loop, struct host_services *services, const char *version)
{
    struct host_meter *meter = calloc(1, sizeof *meter);
    struct gavel_attribute attribute = {"version", gavel_text(version)};

    if (!meter)
        return NULL;
    meter->magic = METER_MAGIC;
    meter->loop = loop;
    meter->services = services;
    meter->registry = host_services_registry(services);
#define METRIC(symbol, kind, name, unit, attributes, help) \
    meter->metric.symbol = host_registry_metric(meter->registry, GAVEL_##kind, name, unit, help); \
    if (!*(attributes)) \
        meter->series.symbol = host_registry_series(meter->registry, meter->metric.symbol, NULL, NULL, 0);
    HOST_METRICS(METRIC)
#undef METRIC
    host_registry_record(meter->registry, meter->metric.version, 1, NULL, &attribute, 1);
    (void)uv_timer_init(loop, &meter->timer);
    (void)uv_prepare_init(loop, &meter->prepare);
    meter->timer.data = meter;
    meter->prepare.data = meter;
    (void)uv_prepare_start(&meter->prepare, on_prepare);
    uv_unref((uv_handle_t *)&meter->prepare);
    meter->due_ns = uv_hrtime();
    (void)uv_timer_start(&meter->timer, on_timer, 0, 0);
    uv_unref((uv_handle_t *)&meter->timer);
    measuring = meter;
    atomic_store(&os_call_meter, call_measured);
    return meter;
}

bool host_meter_owns(const struct host_meter *meter, const uv_handle_t *handle)
{
    return meter && (handle == (const uv_handle_t *)&meter->timer || handle == (const uv_handle_t *)&meter->prepare);
}

void host_meter_stop(struct host_meter *meter)
{
    if (!meter)
        return;
    atomic_store(&os_call_meter, NULL);
    uv_close((uv_handle_t *)&meter->timer, NULL);
    uv_close((uv_handle_t *)&meter->prepare, NULL);
}

struct host_meter *host_meter_free(struct host_meter *meter)
{
    if (!meter)
        return NULL;
    assert(meter->magic == METER_MAGIC);
    measuring = NULL;
    meter->magic = 0;
    free(meter);
    return NULL;
}
