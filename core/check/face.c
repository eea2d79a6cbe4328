/* SPDX-License-Identifier: Apache-2.0 */
/*
 * face.c - services, and the life of an instance.
 */
#include "core/check/face.h"

#include <gavel/observer.h>

#include "core/check/kit.h"
#include "core/check/watch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUIESCE_MS 20000 /* for done(); a transport has a second to send what is queued */

uv_loop_t face_loop;

/* ---- lanes ------------------------------------------------------------------------------------------------------- */

/* A service of [loop] is called; where from? */
static void loop_only(const char *service)
{
    uint32_t lane = watch_lane();

    if (lane & WATCH_LOOP)
        return;
    kit_broken("only services of [any] to be used there", "a call of %s, which is for [loop], from %s", service,
               lane & WATCH_APPLY      ? "[apply]"
               : lane & WATCH_OBSERVER ? "[observer]"
               : lane & WATCH_WORKER   ? "[worker]"
                                       : "a thread of the plugin's own");
}

static void *resize(void *self, void *old, uint64_t wanted)
{
    (void)self;
    if (wanted == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, wanted);
}

static const struct gavel_heap heap = {GAVEL_END(struct gavel_heap, resize), NULL, resize};

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static void take_log(void *self, uint64_t level, const char *module, struct gavel_slice text)
{
    struct face *face = self;
    size_t take = text.size < sizeof face->last - 1 ? text.size : sizeof face->last - 1;

    (void)module;
    face->logged++;
    if (level < GAVEL_LOG_WARN)
        return;
    face->warnings++;
    memcpy(face->last, text.data, take);
    face->last[take] = 0;
}

static void take_log_traced(void *self, uint64_t level, const char *module, const struct gavel_trace *trace,
                            struct gavel_slice text)
{
    (void)trace;
    take_log(self, level, module, text);
}

static uint64_t metric(void *self, uint64_t kind, const char *name, const char *unit, const char *help)
{
    (void)self;
    (void)unit;
    (void)help;
    loop_only("metric()");
    if (kind < GAVEL_COUNTER || kind > GAVEL_HISTOGRAM || !name || !*name)
        kit_broken("a kind and a name", "a metric of kind %llu called \"%s\"", (unsigned long long)kind,
                   name ? name : "");
    return 1;
}

static void record(void *self, uint64_t number, double value, const struct gavel_attribute *attributes, uint64_t count)
{
    (void)self;
    (void)number;
    (void)value;
    (void)attributes;
    (void)count;
}

static void record_traced(void *self, uint64_t number, double value, const struct gavel_attribute *attributes,
                          uint64_t count, const struct gavel_trace *trace)
{
    (void)trace;
    record(self, number, value, attributes, count);
}

/* Two series, one of them with everything that a series can have. */
static int32_t collect(void *self,
                       void (*show)(void *context, uint64_t wall_ms, const struct gavel_series *series, uint64_t count,
                                    uint64_t stride),
                       void *context)
{
    static const double bounds[] = {0.001, 1};
    static const uint64_t buckets[] = {1, 2, 3};
    static const struct gavel_attribute attribute = {"peer", {"node-2", 6}};
    static const struct gavel_exemplar exemplars[3] = {
        {0, 0, 0, {{0}, {0}, 0}},
        {GAVEL_END(struct gavel_exemplar, trace), 1700000000000, 0.5, {{1, 2, 3}, {4, 5}, 1}},
    };
    const struct gavel_series series[] = {
        {.size = GAVEL_END(struct gavel_series, exemplar_stride), .kind = GAVEL_COUNTER, .name = "checked.total",
         .unit = "{check}", .help = "A sentence", .value = 3},
        {.size = GAVEL_END(struct gavel_series, exemplar_stride), .kind = GAVEL_HISTOGRAM, .name = "checked.duration",
         .unit = "s", .help = "A sentence", .attributes = &attribute, .attribute_count = 1, .bounds = bounds,
         .buckets = buckets, .bound_count = 2, .count = 6, .sum = 4, .exemplars = exemplars,
         .exemplar_stride = sizeof exemplars[0]},
    };

    (void)self;
    show(context, 1700000000000, series, 2, sizeof series[0]);
    return GAVEL_OK;
}

static int32_t probe(void *self,
                     void (*show)(void *context, const struct gavel_probe *probes, uint64_t count, uint64_t stride),
                     void *context)
{
    static const struct gavel_probe probes[] = {
        {GAVEL_END(struct gavel_probe, reason), "loop", GAVEL_PROBE_READY | GAVEL_PROBE_LIVE, 1, ""},
        {GAVEL_END(struct gavel_probe, reason), "leader", GAVEL_PROBE_READY, 0, "no leader is known"},
    };

    (void)self;
    show(context, probes, 2, sizeof probes[0]);
    return GAVEL_OK;
}

static uint64_t series(void *self, uint64_t number, const struct gavel_attribute *attributes, uint64_t count)
{
    (void)self;
    (void)attributes;
    if (number == 0)
        kit_broken("a number that metric() gave", "series() of metric 0, with %llu attributes",
                   (unsigned long long)count);
    return 1;
}

static void observe(void *self, uint64_t bound, double value)
{
    (void)self;
    (void)bound;
    (void)value;
}

static uint64_t span_begin(void *self, const char *name, const struct gavel_trace *parent, struct gavel_trace *context)
{
    (void)self;
    (void)name;
    (void)parent;
    memset(context, 0, sizeof *context);
    return 0;
}

static void span_end(void *self, uint64_t span, int64_t status, const struct gavel_attribute *attributes,
                     uint64_t count)
{
    (void)self;
    (void)span;
    (void)status;
    (void)attributes;
    (void)count;
}

/* ---- time and chance --------------------------------------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    int paused = watch_pause();

    (void)clock_gettime(clock, &now);
    watch_resume(paused);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t monotonic_ns(void *self)
{
    (void)self;
    watch_note("the service monotonic_ns");
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t wall_ms(void *self)
{
    (void)self;
    watch_note("the service wall_ms");
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

static void chance(void *self, void *bytes, uint64_t size)
{
    static struct kit_random random;
    unsigned char *to = bytes;

    (void)self;
    watch_note("the service random");
    if (random.state == 0)
        random = kit_random("services");
    while (size--)
        *to++ = (unsigned char)kit_next(&random);
}

/* ---- timers ------------------------------------------------------------------------------------------------------ */

struct gavel_timer {
    uv_timer_t timer;
    struct face *face;
    void (*fire)(void *context);
    void *context;
};

static void fired(uv_timer_t *handle)
{
    struct gavel_timer *timer = handle->data;

    watch_enter(WATCH_LOOP, false);
    timer->fire(timer->context);
    watch_leave();
}

static struct gavel_timer *timer_new(void *self, void (*fire)(void *context), void *context)
{
    struct face *face = self;
    struct gavel_timer *timer;
    int paused = watch_pause();

    loop_only("timer_new()");
    timer = calloc(1, sizeof *timer);
    assert(timer);
    (void)uv_timer_init(&face_loop, &timer->timer);
    timer->timer.data = timer;
    timer->face = face;
    timer->fire = fire;
    timer->context = context;
    face->timers++;
    watch_resume(paused);
    return timer;
}

static void timer_start(void *self, struct gavel_timer *timer, uint64_t milliseconds)
{
    (void)self;
    loop_only("timer_start()");
    uv_update_time(&face_loop);
    (void)uv_timer_start(&timer->timer, fired, milliseconds, 0);
}

static void timer_stop(void *self, struct gavel_timer *timer)
{
    (void)self;
    loop_only("timer_stop()");
    (void)uv_timer_stop(&timer->timer);
}

static void free_timer(uv_handle_t *handle)
{
    free(handle->data);
}

static void timer_free(void *self, struct gavel_timer *timer)
{
    struct face *face = self;

    loop_only("timer_free()");
    if (!timer)
        return;
    face->timers--;
    uv_close((uv_handle_t *)&timer->timer, free_timer);
}

/* ---- deliveries and workers -------------------------------------------------------------------------------------- */

struct delivery {
    struct delivery *next;
    void (*call)(void *context);
    void *context;
};

static struct delivery *inbox;
static struct delivery **inbox_end = &inbox;
static uv_mutex_t inbox_lock;
static uv_async_t inbox_bell;

static void ring(uv_async_t *bell)
{
    struct delivery *list;

    (void)bell;
    uv_mutex_lock(&inbox_lock);
    list = inbox;
    inbox = NULL;
    inbox_end = &inbox;
    uv_mutex_unlock(&inbox_lock);
    while (list) {
        struct delivery *next = list->next;

        watch_enter(WATCH_LOOP, false);
        list->call(list->context);
        watch_leave();
        free(list);
        list = next;
    }
}

static int32_t deliver(void *self, void (*call)(void *context), void *context)
{
    int paused = watch_pause();
    struct delivery *made = calloc(1, sizeof *made);

    (void)self;
    assert(made);
    made->call = call;
    made->context = context;
    uv_mutex_lock(&inbox_lock);
    *inbox_end = made;
    inbox_end = &made->next;
    uv_mutex_unlock(&inbox_lock);
    (void)uv_async_send(&inbox_bell);
    watch_resume(paused);
    return GAVEL_OK;
}

static void wake(void *self)
{
    (void)self;
    (void)uv_async_send(&inbox_bell);
}

struct job {
    uv_work_t work;
    struct face *face;
    void (*run)(void *context);
    void (*done)(void *context);
    void *context;
};

static void job_run(uv_work_t *work)
{
    struct job *job = work->data;

    watch_own_thread();
    watch_enter(WATCH_WORKER, false);
    job->run(job->context);
    watch_leave();
}

static void job_done(uv_work_t *work, int status)
{
    struct job *job = work->data;

    (void)status;
    job->face->submitted--;
    watch_enter(WATCH_LOOP, false);
    job->done(job->context);
    watch_leave();
    free(job);
}

static int32_t submit(void *self, void (*work)(void *context), void (*done)(void *context), void *context)
{
    int paused = watch_pause();
    struct job *job;

    loop_only("submit()");
    job = calloc(1, sizeof *job);
    assert(job);
    job->work.data = job;
    job->face = self;
    job->run = work;
    job->done = done;
    job->context = context;
    job->face->submitted++;
    (void)uv_queue_work(&face_loop, &job->work, job_run, job_done);
    watch_resume(paused);
    return GAVEL_OK;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

void face_begin(void)
{
    static bool begun;
    int failed;

    if (begun)
        return;
    begun = true;
    failed = uv_loop_init(&face_loop) | uv_mutex_init(&inbox_lock) | uv_async_init(&face_loop, &inbox_bell, ring);

    assert(failed == 0);
    uv_unref((uv_handle_t *)&inbox_bell);
}

static const char *left;

static void look(uv_handle_t *handle, void *context)
{
    (void)context;
    if (handle != (uv_handle_t *)&inbox_bell && !uv_is_closing(handle))
        left = uv_handle_type_name(uv_handle_get_type(handle));
}

const char *face_end(void)
{
    left = NULL;
    uv_walk(&face_loop, look, NULL);
    return left;
}

/* The plugin's own callbacks run here as well as the kit's, which pause the watch. */
static int turn(uv_run_mode mode)
{
    int more;

    watch_enter(WATCH_LOOP, false);
    more = uv_run(&face_loop, mode);
    watch_leave();
    return more;
}

void face_turn(void)
{
    for (int turns = 0; turns < 64 && turn(UV_RUN_NOWAIT); turns++)
        ;
}

static void too_late(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void closed(uv_handle_t *handle)
{
    free(handle);
}

bool face_until(const uint64_t *what, uint64_t wanted, uint64_t deadline_ms)
{
    uv_timer_t *timer = malloc(sizeof *timer);
    bool late = false;

    assert(timer);
    (void)uv_timer_init(&face_loop, timer);
    timer->data = &late;
    uv_update_time(&face_loop);
    (void)uv_timer_start(timer, too_late, deadline_ms, 0);
    while (*what < wanted && !late)
        (void)turn(UV_RUN_ONCE);
    uv_close((uv_handle_t *)timer, closed);
    (void)turn(UV_RUN_NOWAIT);
    return *what >= wanted;
}

/* ---- an instance ------------------------------------------------------------------------------------------------- */

void face_init(struct face *face, const char *instance)
{
    memset(face, 0, sizeof *face);
    face->instance = instance;
    face->host = (struct gavel_host){
        .size = GAVEL_END(struct gavel_host, log_traced), .self = face, .abi_major = GAVEL_ABI_MAJOR,
        .abi_minor = GAVEL_ABI_MINOR, .node = "checked", .instance = instance, .loop = &face_loop, .heap = &heap,
        .log = take_log, .metric = metric, .record = record, .span_begin = span_begin, .span_end = span_end,
        .monotonic_ns = monotonic_ns, .wall_ms = wall_ms, .random = chance, .timer_new = timer_new,
        .timer_start = timer_start, .timer_stop = timer_stop, .timer_free = timer_free, .deliver = deliver,
        .wake = wake, .submit = submit, .record_traced = record_traced, .collect = collect, .probe = probe,
        .series = series, .observe = observe, .log_traced = take_log_traced};
}

int32_t face_open(struct face *face, struct gavel_error *error)
{
    const struct gavel_plugin *head = &kit.plugin->head;
    int32_t status = GAVEL_OK;

    memset(error, 0, sizeof *error);
    watch_enter(WATCH_LOOP, false);
    if (head->check) {
        kit_at("check of the options");
        status = head->check(&face->host, kit.values, error);
    }
    if (status == GAVEL_OK) {
        kit_at("create");
        status = head->create(&face->host, kit.values, &face->self, error);
        face->created = status == GAVEL_OK;
    }
    if (status == GAVEL_OK && head->start) {
        kit_at("start");
        status = head->start(face->self, error);
    }
    watch_leave();
    face->started = status == GAVEL_OK;
    if (status != GAVEL_OK && face->created) {
        char doing[32];

        (void)snprintf(doing, sizeof doing, "%s", kit_doing());
        face_close(face);
        kit_at("%s", doing);
    }
    return status;
}

static void quiet(void *context)
{
    ++*(uint64_t *)context;
}

void face_close(struct face *face)
{
    const struct gavel_plugin *head = &kit.plugin->head;
    uint64_t done = 0;

    if (face->started && head->quiesce) {
        kit_at("quiesce");
        watch_enter(WATCH_LOOP, false);
        head->quiesce(face->self, quiet, &done);
        watch_leave();
        if (!face_until(&done, 1, QUIESCE_MS))
            kit_broken("its done() to be called", "no call within %d s", QUIESCE_MS / 1000);
        face_turn();
        if (done != 1)
            kit_broken("one call of its done()", "%llu", (unsigned long long)done);
    }
    kit_at("destroy");
    watch_enter(WATCH_LOOP, false);
    head->destroy(face->self);
    watch_leave();
    face_turn();
    face->created = face->started = false;
    face->self = NULL;
    if (face->timers)
        kit_broken("every timer to be freed by then", "%llu left", (unsigned long long)face->timers);
    if (face->submitted)
        kit_broken("every submitted work to be done before quiesce says so", "%llu under way",
                   (unsigned long long)face->submitted);
}
