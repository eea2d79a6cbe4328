/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed.c - the otlp observer with a host of the test's own around it. Options are arguments, "key=value"; what the host
 * is to do are lines of the standard input, each answered by a line once it is done. otlp.py asks.
 *
 *   log LEVEL TEXT          one log event of module "raft" within trace 01..10, span 11..18
 *   span NAME STATUS KIND   a span with attributes below parent 21..28
 *   metrics VALUE           a counter at VALUE, a gauge at -VALUE, a histogram with VALUE and twice VALUE in it
 *   burst COUNT BYTES       COUNT log events of BYTES; answered with the microseconds that the slowest took
 *   wait NAME SIGNAL N      until the counter (exported, dropped, retries) of a signal is at least N
 *   settle                  until nothing has been counted for half a second
 *   counts                  all counters
 *   logged                  what the plugin logged
 *   stop                    quiesce and destroy; answered with the milliseconds that both took
 */
#define _GNU_SOURCE
#include "core/host/option.h"

#include <gavel/observer.h>

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 60000
#define SETTLE_US 500000
#define COUNTERS 64

extern const struct gavel_plugin *gavel_plugin_otlp(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* counters and lines */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; /* a counter has */
static struct {
    char name[80]; /* "exported logs", "dropped logs queue-full" */
    uint64_t value;
} counters[COUNTERS];
static char names[8][64];
static unsigned name_count;
static char lines[16384];
static const struct gavel_observer *operations;
static void *self;

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Until something is counted, or that moment. */
static void wait_until(uint64_t us)
{
    struct timespec until = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000)};

    (void)pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until);
}

/* ---- the host ---------------------------------------------------------------------------------------------------- */

static void *resize(void *context, void *old, uint64_t wanted)
{
    (void)context;
    if (wanted)
        return realloc(old, wanted);
    free(old);
    return NULL;
}

static void take_log(void *context, uint64_t level, const char *module, struct gavel_slice text)
{
    size_t used;

    (void)context;
    (void)pthread_mutex_lock(&lock);
    used = strlen(lines);
    (void)snprintf(lines + used, sizeof lines - used, "%" PRIu64 " %s %.*s|", level, module, (int)text.size,
                   (const char *)text.data);
    (void)pthread_mutex_unlock(&lock);
}

static uint64_t metric(void *context, uint64_t kind, const char *name, const char *unit, const char *help)
{
    (void)context;
    (void)unit;
    assert(kind == GAVEL_COUNTER);
    assert(*help);
    assert(strncmp(name, "otlp.", 5) == 0);
    (void)snprintf(names[name_count++], sizeof names[0], "%s", name + 5);
    return name_count;
}

static void record(void *context, uint64_t number, double value, const struct gavel_attribute *attributes,
                   uint64_t count)
{
    char name[80];
    unsigned i = 0;

    (void)context;
    (void)snprintf(name, sizeof name, "%s", names[number - 1]);
    for (uint64_t j = 0; j < count; j++)
        (void)snprintf(name + strlen(name), sizeof name - strlen(name), " %.*s", (int)attributes[j].value.size,
                       (const char *)attributes[j].value.data);
    (void)pthread_mutex_lock(&lock);
    while (counters[i].name[0] && strcmp(counters[i].name, name) != 0)
        i++;
    assert(i < COUNTERS);
    (void)snprintf(counters[i].name, sizeof counters[i].name, "%s", name);
    counters[i].value += (uint64_t)value;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
}

/* Timers fire while `stop` waits for done. */
struct gavel_timer {
    void (*fire)(void *context);
    void *context;
    uint64_t due_us; /* 0: not started */
};
static struct gavel_timer timer;

static struct gavel_timer *timer_new(void *context, void (*fire)(void *context), void *with)
{
    (void)context;
    timer = (struct gavel_timer){.fire = fire, .context = with};
    return &timer;
}

static void timer_start(void *context, struct gavel_timer *which, uint64_t milliseconds)
{
    (void)context;
    which->due_us = now_us() + milliseconds * 1000;
}

static void timer_free(void *context, struct gavel_timer *which)
{
    (void)context;
    which->due_us = 0;
}

static const struct gavel_heap heap = {GAVEL_END(struct gavel_heap, resize), NULL, resize};
static const struct gavel_host host = {
    .size = GAVEL_END(struct gavel_host, submit), .abi_major = GAVEL_ABI_MAJOR, .abi_minor = GAVEL_ABI_MINOR,
    .node = "node-1", .instance = "otlp", .heap = &heap, .log = take_log, .metric = metric, .record = record,
    .timer_new = timer_new, .timer_start = timer_start, .timer_free = timer_free,
};

/* ---- what the host tells ----------------------------------------------------------------------------------------- */

static uint64_t wall_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void count_up(unsigned char *to, size_t size, unsigned char first)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)(first + i);
}

static void make_trace(struct gavel_trace *trace)
{
    memset(trace, 0, sizeof *trace);
    count_up(trace->trace_id, sizeof trace->trace_id, 0x01);
    count_up(trace->span_id, sizeof trace->span_id, 0x11);
    trace->flags = 1;
}

static void tell_log(uint64_t level, struct gavel_slice text)
{
    struct gavel_trace trace;
    struct gavel_log_event event = {.size = GAVEL_END(struct gavel_log_event, trace), .wall_ms = 1700000000123,
                                    .level = level, .node = "node-1", .module = "raft", .text = text,
                                    .trace = &trace};

    make_trace(&trace);
    operations->log(self, &event);
}

static void tell_span(const char *name, int64_t status, uint64_t kind)
{
    const struct gavel_attribute attributes[] = {
        {"term", gavel_text("7")}, {"index", gavel_text("9007199254740993")}, {"key", gavel_text("42")},
        {"share", gavel_text("0.5")}, {"negative", gavel_text("-3")}, {"zeros", gavel_text("007")},
        {"bad", gavel_bytes("a\xff" "b\0c", 5)}, {"umlaut", gavel_text("\xc3\xa4\"\\\n")},
    };
    struct gavel_span span = {.size = GAVEL_END(struct gavel_span, kind), .name = name,
                              .start_wall_ns = 1700000000000000001, .end_wall_ns = 1700000000000000456,
                              .status = status, .kind = kind, .attributes = attributes,
                              .attribute_count = sizeof attributes / sizeof attributes[0]};

    make_trace(&span.context);
    count_up(span.parent, sizeof span.parent, 0x21);
    operations->span(self, &span);
}

/* A host that has begun to count a second ago; two series of the counter, the second with twice the value. */
static void tell_metrics(double value)
{
    static const double bounds[] = {0.5, 1, 1000000};
    uint64_t buckets[] = {1, 2, (uint64_t)value, 0}, start = wall_ns() - 1000000000;
    const struct gavel_attribute one = {"peer", gavel_text("1")}, two = {"peer", gavel_text("two")};
    struct gavel_exemplar exemplars[4] = {{.size = 0}};
    struct gavel_series series[] = {
        {.kind = GAVEL_COUNTER, .name = "state.operations.total", .unit = "{operation}", .help = "Operations",
         .attributes = &one, .attribute_count = 1, .value = value},
        {.kind = GAVEL_COUNTER, .name = "state.operations.total", .unit = "{operation}", .help = "Operations",
         .attributes = &two, .attribute_count = 1, .value = 2 * value},
        {.kind = GAVEL_GAUGE, .name = "consensus.node.state", .unit = "1", .help = "Role", .value = -value},
        {.kind = GAVEL_HISTOGRAM, .name = "log.sync.duration", .unit = "s", .help = "Syncs", .bounds = bounds,
         .buckets = buckets, .bound_count = 3, .count = 3 + (uint64_t)value, .sum = 3 * value,
         .exemplars = exemplars, .exemplar_stride = sizeof exemplars[0]},
    };
    static uint64_t began;
    static bool told;

    began = began ? began : start;
    exemplars[1].wall_ms = wall_ns() / 1000000; /* the first bucket has none, the third one that is too old */
    exemplars[1].value = 0.75;
    make_trace(&exemplars[1].trace);
    exemplars[2].wall_ms = told ? 1 : 0;
    told = true;
    for (size_t i = 0; i < sizeof series / sizeof series[0]; i++) {
        series[i].size = GAVEL_END(struct gavel_series, exemplar_stride);
        series[i].start_wall_ns = began;
    }
    operations->metrics(self, wall_ns() / 1000000, series, sizeof series / sizeof series[0], sizeof series[0]);
}

static uint64_t burst(uint64_t count, size_t bytes)
{
    char *text = malloc(bytes + 1);
    uint64_t worst = 0;

    assert(text);
    memset(text, 'x', bytes);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t before = now_us(), took;

        tell_log(GAVEL_LOG_INFO, gavel_bytes(text, bytes));
        took = now_us() - before;
        worst = took > worst ? took : worst;
    }
    free(text);
    return worst;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* Of all counters that begin so: "dropped logs" is that of every reason. Under the lock. */
static uint64_t sum_of(const char *prefix)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < COUNTERS; i++)
        if (strncmp(counters[i].name, prefix, strlen(prefix)) == 0)
            sum += counters[i].value;
    return sum;
}

static void wait_for(const char *prefix, uint64_t wanted)
{
    uint64_t until = now_us() + WAIT_MS * 1000;
    bool enough;

    (void)pthread_mutex_lock(&lock);
    while (!(enough = sum_of(prefix) >= wanted) && now_us() < until)
        wait_until(until);
    (void)pthread_mutex_unlock(&lock);
    (void)printf("%s\n", enough ? "ok" : "late");
}

static void settle(void)
{
    uint64_t last, since = now_us();

    (void)pthread_mutex_lock(&lock);
    for (last = sum_of(""); now_us() < since + SETTLE_US;) {
        wait_until(since + SETTLE_US);
        since = sum_of("") != last ? now_us() : since;
        last = sum_of("");
    }
    (void)pthread_mutex_unlock(&lock);
    (void)printf("ok\n");
}

static void show_counts(void)
{
    (void)pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < COUNTERS && counters[i].name[0]; i++)
        (void)printf("%s=%" PRIu64 ";", counters[i].name, counters[i].value);
    (void)printf("\n");
    (void)pthread_mutex_unlock(&lock);
}

static void show_lines(void)
{
    (void)pthread_mutex_lock(&lock);
    (void)printf("%s\n", lines);
    (void)pthread_mutex_unlock(&lock);
}

static void is_done(void *context)
{
    *(int *)context = 1;
}

static void stop(void)
{
    const struct gavel_plugin *plugin = gavel_plugin_otlp();
    uint64_t before = now_us();
    int done = 0;

    plugin->quiesce(self, is_done, &done);
    while (!done) {
        if (timer.due_us && now_us() >= timer.due_us) {
            timer.due_us = 0;
            timer.fire(timer.context);
        }
        (void)pthread_mutex_lock(&lock);
        wait_until(timer.due_us ? timer.due_us : now_us() + 1000);
        (void)pthread_mutex_unlock(&lock);
    }
    plugin->destroy(self);
    self = NULL;
    (void)printf("%" PRIu64 "\n", (now_us() - before) / 1000);
}

static void obey(char *line)
{
    char word[64] = "", signal[64] = "";
    long long a = 0, b = 0;
    int at = 0;

    if (sscanf(line, "log %lld %n", &a, &at) == 1 && at)
        tell_log((uint64_t)a, gavel_text(line + at));
    else if (sscanf(line, "span %63s %lld %lld", word, &a, &b) == 3)
        tell_span(word, a, (uint64_t)b);
    else if (sscanf(line, "metrics %lld", &a) == 1)
        tell_metrics((double)a);
    else if (sscanf(line, "burst %lld %lld", &a, &b) == 2) {
        (void)printf("%" PRIu64 "\n", burst((uint64_t)a, (size_t)b));
        return;
    } else if (sscanf(line, "wait %31s %31s %lld", word, signal, &a) == 3) {
        (void)snprintf(word + strlen(word), sizeof word - strlen(word), " %.31s", signal);
        wait_for(word, (uint64_t)a);
        return;
    } else {
        void (*const calls[])(void) = {settle, show_counts, show_lines, stop};
        static const char *const call_names[] = {"settle", "counts", "logged", "stop"};

        for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
            if (strcmp(line, call_names[i]) == 0) {
                calls[i]();
                return;
            }
        }
        (void)printf("what?\n");
        return;
    }
    (void)printf("ok\n");
}

static int refuse(const char *what, const struct gavel_error *error)
{
    (void)printf("%s: %s\n", what, error->text);
    return 1;
}

static int set_options(int argc, char **argv, void *options, struct host_arena *arena, struct gavel_error *error)
{
    const struct gavel_fields *table = gavel_plugin_otlp()->options;

    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        uint64_t row;

        assert(value);
        *value++ = 0;
        if (host_option_find(&table, &options, argv[i], &row) != GAVEL_OK)
            return refuse(argv[i], error);
        if (host_option_set(table, row, value, options, arena, error) != GAVEL_OK)
            return refuse(argv[i], error);
    }
    return host_option_defaults(table, options, arena, error) == GAVEL_OK ? 0 : refuse("defaults", error);
}

int main(int argc, char **argv)
{
    const struct gavel_plugin *plugin = gavel_plugin_otlp();
    struct gavel_error error = {.code = 0};
    struct host_arena arena = {NULL};
    void *options = host_arena_take(&arena, plugin->options->struct_size);
    char line[8192];
    int failed = set_options(argc, argv, options, &arena, &error);

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    operations = plugin->operations;
    if (!failed && plugin->check(&host, options, &error) != GAVEL_OK)
        failed = refuse("check", &error);
    if (!failed && plugin->create(&host, options, &self, &error) != GAVEL_OK)
        failed = refuse("create", &error);
    if (!failed && plugin->start(self, &error) != GAVEL_OK)
        failed = refuse("start", &error);
    if (!failed)
        (void)printf("ready\n");
    while (!failed && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        obey(line);
    }
    if (self)
        plugin->destroy(self);
    host_arena_free(&arena);
    return failed;
}
