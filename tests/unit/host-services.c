/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-services.c - unit test: the services of a process over a real loop, real lanes and threads of the test's own,
 * and the life of an instance, every move of it.
 */
#include "core/host/instance.h"
#include "core/host/services.h"
#include "core/os/call.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#define THREADS 3
#define ROUNDS 200

static uv_loop_t loop;
static struct host_services *services;
static struct host_face face;
static atomic_uint logged, spans_seen, logged_in_trace;
static const struct gavel_trace trace_of_thread = {.trace_id = {1, 2}, .span_id = {3}, .flags = 1};

static void take_log(void *self, const struct gavel_log_event *event)
{
    (void)self;
    assert_string_equal(event->node, "node-1");
    if (event->trace)
        assert_memory_equal(event->trace, &trace_of_thread, sizeof trace_of_thread);
    (void)atomic_fetch_add(&logged_in_trace, event->trace != NULL);
    (void)atomic_fetch_add(&logged, 1);
}

static void take_span(void *self, const struct gavel_span *span)
{
    (void)self;
    assert_string_equal(span->name, "work");
    assert_int_equal(span->kind, GAVEL_SPAN_INTERNAL);
    (void)atomic_fetch_add(&spans_seen, 1);
}

static const struct gavel_observer observer = {.size = sizeof observer,
                                               .wants = GAVEL_OBSERVE_LOGS | GAVEL_OBSERVE_SPANS,
                                               .log = take_log,
                                               .span = take_span};

static int make(void **state)
{
    (void)state;
    atomic_store(&logged, 0);
    atomic_store(&spans_seen, 0);
    if (uv_loop_init(&loop) != 0 || !(services = host_services_new(&loop, "node-1")))
        return -1;
    if (host_sink_add(host_services_sink(services), &observer, NULL, GAVEL_LOG_DEBUG, NULL, 0, NULL) != GAVEL_OK)
        return -1;
    if (host_services_ready(services, NULL) != GAVEL_OK)
        return -1;
    host_services_trace(services, 1);
    host_face_init(&face, services, "main", false);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    host_services_stop(services);
    host_services_close(services);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    services = host_services_free(services);
    return uv_loop_close(&loop) == 0 ? 0 : -1;
}

/* ---- deliveries -------------------------------------------------------------------------------------------------- */

static unsigned delivered;

static void count_one(void *context)
{
    *(unsigned *)context += 1;
}

static void *deliver_many(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        struct gavel_trace context;
        uint64_t span = face.host.span_begin(face.host.self, "work", NULL, &context);

        gavel_log(&face.host, GAVEL_LOG_INFO, "test", "round %d", i);
        face.host.span_end(face.host.self, span, 0, NULL, 0);
        while (face.host.deliver(face.host.self, count_one, &delivered) == GAVEL_E_BUSY)
            sched_yield();
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t thread[THREADS];

    (void)state;
    delivered = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, deliver_many, NULL), 0);
    while (delivered < THREADS * ROUNDS)
        (void)uv_run(&loop, UV_RUN_ONCE);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    while (atomic_load(&logged) + atomic_load(&spans_seen) < 2 * THREADS * ROUNDS)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(host_sink_dropped(host_services_sink(services)), 0);
}

/* What is logged while the thread is in a trace belongs to it, on that thread alone. */
static void *log_one(void *argument)
{
    gavel_log(&face.host, GAVEL_LOG_INFO, "test", "elsewhere");
    return argument;
}

static void test_log_in_trace(void **state)
{
    pthread_t thread;

    (void)state;
    atomic_store(&logged_in_trace, 0);
    gavel_log(&face.host, GAVEL_LOG_INFO, "test", "before");
    os_trace_here = &trace_of_thread;
    gavel_log(&face.host, GAVEL_LOG_INFO, "test", "within");
    assert_int_equal(pthread_create(&thread, NULL, log_one, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    os_trace_here = NULL;
    gavel_log(&face.host, GAVEL_LOG_INFO, "test", "after");
    while (atomic_load(&logged) < 4)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(atomic_load(&logged_in_trace), 1);
}

static void test_inbox_full(void **state)
{
    int32_t status = GAVEL_OK;
    unsigned taken = 0, ran = 0;

    (void)state;
    while ((status = face.host.deliver(face.host.self, count_one, &ran)) == GAVEL_OK)
        taken++;
    assert_int_equal(status, GAVEL_E_BUSY);
    assert_int_equal(taken, HOST_INBOX_MAX);
    while (ran < taken)
        (void)uv_run(&loop, UV_RUN_ONCE);
    host_services_stopping(services);
    assert_int_equal(face.host.deliver(face.host.self, count_one, &ran), GAVEL_E_CLOSED);
    assert_int_equal(face.host.submit(face.host.self, count_one, count_one, &ran), GAVEL_E_CLOSED);
}

/* ---- jobs and timers --------------------------------------------------------------------------------------------- */

struct work {
    pthread_t where;
    unsigned done;
};

static void work(void *context)
{
    struct work *at = context;

    at->where = pthread_self();
}

static void work_done(void *context)
{
    struct work *at = context;

    at->done++;
}

static void test_submit(void **state)
{
    struct work one = {.done = 0};

    (void)state;
    assert_int_equal(face.host.submit(face.host.self, work, work_done, &one), GAVEL_OK);
    assert_int_equal(one.done, 0);
    while (one.done == 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_false(pthread_equal(one.where, pthread_self()));
}

static void test_timers(void **state)
{
    unsigned fired = 0, other = 0;
    struct gavel_timer *timer = face.host.timer_new(face.host.self, count_one, &fired);
    struct gavel_timer *stopped = face.host.timer_new(face.host.self, count_one, &other);
    uint64_t begun = face.host.monotonic_ns(face.host.self), took;

    (void)state;
    assert_true(timer && stopped);
    face.host.timer_start(face.host.self, timer, 5000);
    face.host.timer_start(face.host.self, timer, 20); /* moves it */
    face.host.timer_start(face.host.self, stopped, 1);
    face.host.timer_stop(face.host.self, stopped);
    while (fired == 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    took = (face.host.monotonic_ns(face.host.self) - begun) / 1000000;
    assert_true(took >= 19 && took < 4000);
    assert_int_equal(fired, 1);
    assert_int_equal(other, 0);
    face.host.timer_free(face.host.self, timer);
    face.host.timer_free(face.host.self, stopped);
    face.host.timer_free(face.host.self, NULL);
}

static void test_metrics(void **state)
{
    uint64_t metric = face.host.metric(face.host.self, GAVEL_COUNTER, "bytes.sent", "By", "Bytes sent");
    struct host_snapshot snapshot;
    bool found = false;

    (void)state;
    assert_true(metric != 0);
    face.host.record(face.host.self, metric, 7, NULL, 0);
    assert_int_equal(host_registry_snapshot(host_services_registry(services), &snapshot), GAVEL_OK);
    for (uint64_t i = 0; i < snapshot.count; i++) {
        const struct gavel_series *series = &snapshot.series[i];

        if (strcmp(series->name, "bytes.sent") != 0)
            continue;
        found = true;
        assert_true(series->value == 7);
        assert_int_equal(series->attribute_count, 1);
        assert_string_equal(series->attributes[0].name, "instance");
        assert_true(gavel_slice_equal(series->attributes[0].value, gavel_text("main")));
    }
    assert_true(found);
    host_snapshot_free(&snapshot);
}

/* ---- instances --------------------------------------------------------------------------------------------------- */

static struct {
    unsigned created, started, reloaded, quiesced, destroyed;
    int32_t create_status, start_status;
    void (*done)(void *context);
    void *context;
} life;

static int32_t life_create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    (void)options;
    assert_string_equal(host->instance, "x");
    if (life.create_status != GAVEL_OK)
        return gavel_fail(error, life.create_status, "no");
    life.created++;
    *self = &life;
    return GAVEL_OK;
}

static int32_t life_start(void *self, struct gavel_error *error)
{
    assert_ptr_equal(self, &life);
    if (life.start_status != GAVEL_OK)
        return gavel_fail(error, life.start_status, "not now");
    life.started++;
    return GAVEL_OK;
}

static int32_t life_reload(void *self, const void *options, struct gavel_error *error)
{
    (void)self;
    (void)options;
    life.reloaded++;
    return gavel_fail(error, GAVEL_E_IO, "kept the old one");
}

static void life_quiesce(void *self, void (*done)(void *context), void *context)
{
    (void)self;
    life.quiesced++;
    life.done = done;
    life.context = context;
}

static void life_destroy(void *self)
{
    assert_ptr_equal(self, &life);
    life.destroyed++;
}

static struct host_plugin life_plugin = {
    .magic = HOST_PLUGIN_MAGIC,
    .path = "",
    .head = {.kind = GAVEL_KIND_OBSERVER, .name = "life", .create = life_create, .start = life_start,
             .reload = life_reload, .quiesce = life_quiesce, .destroy = life_destroy},
};

static void test_instance(void **state)
{
    struct host_instance instance = {.state = HOST_INSTANCE_NEW};
    struct gavel_error error;
    unsigned quiet = 0;

    (void)state;
    memset(&life, 0, sizeof life);
    host_instance_destroy(&instance); /* nothing to do */
    host_instance_quiesce(&instance, count_one, &quiet);
    assert_int_equal(quiet, 1);
    assert_int_equal(host_instance_start(&instance, &life_plugin, "x", NULL, services, &error), GAVEL_OK);
    assert_int_equal(host_instance_reload(&instance, &error), GAVEL_E_IO);
    assert_string_equal(error.text, "observer x: kept the old one");
    host_instance_quiesce(&instance, count_one, &quiet);
    assert_int_equal(quiet, 1); /* the plugin is still at it */
    assert_int_equal(host_instance_reload(&instance, &error), GAVEL_OK);
    assert_int_equal(life.reloaded, 1); /* not while it goes away */
    life.done(life.context);
    assert_int_equal(quiet, 2);
    host_instance_destroy(&instance);
    host_instance_destroy(&instance);
    assert_int_equal(life.created + life.started + life.quiesced + life.destroyed, 4);
}

static void test_instance_failures(void **state)
{
    struct host_instance instance;
    struct gavel_error error;

    (void)state;
    memset(&life, 0, sizeof life);
    life.create_status = GAVEL_E_CONFIG;
    assert_int_equal(host_instance_start(&instance, &life_plugin, "x", NULL, services, &error), GAVEL_E_CONFIG);
    assert_string_equal(error.text, "observer x: no");
    assert_int_equal(life.destroyed, 0);
    life.create_status = GAVEL_OK;
    life.start_status = GAVEL_E_IO;
    assert_int_equal(host_instance_start(&instance, &life_plugin, "x", NULL, services, &error), GAVEL_E_IO);
    assert_string_equal(error.text, "observer x: not now");
    assert_int_equal(life.destroyed, 1); /* destroy follows a failed start */
    assert_int_equal(instance.state, HOST_INSTANCE_NEW);
}

/* ---- what an observer asks for ----------------------------------------------------------------------------------- */

struct asked {
    unsigned shown;
    double value;
    const struct gavel_exemplar *exemplars;
    char failing[64]; /* the first probe that is not well */
    uint64_t questions;
    uint64_t count;
};

static void show_series(void *context, uint64_t wall_ms, const struct gavel_series *series, uint64_t count,
                        uint64_t stride)
{
    struct asked *asked = context;

    assert_true(wall_ms > 0 && stride == sizeof *series);
    asked->shown++;
    for (uint64_t i = 0; i < count; i++) {
        if (strcmp(series[i].name, "asked") != 0)
            continue;
        asked->value = series[i].sum;
        assert_non_null(series[i].exemplars);
    }
}

static void show_probes(void *context, const struct gavel_probe *probes, uint64_t count, uint64_t stride)
{
    struct asked *asked = context;

    assert_int_equal(stride, sizeof *probes);
    asked->shown++;
    asked->count = count;
    asked->failing[0] = 0;
    for (uint64_t i = count; i-- > 0;) {
        assert_int_equal(probes[i].ok, probes[i].reason[0] == 0);
        if (probes[i].ok)
            continue;
        (void)snprintf(asked->failing, sizeof asked->failing, "%s: %s", probes[i].name, probes[i].reason);
        asked->questions = probes[i].questions;
    }
}

static void *ask(void *context)
{
    struct asked *asked = context;

    assert_int_equal(face.host.collect(face.host.self, show_series, asked), GAVEL_OK);
    assert_int_equal(face.host.probe(face.host.self, show_probes, asked), GAVEL_OK);
    return NULL;
}

static void test_collect(void **state)
{
    uint64_t metric = face.host.metric(face.host.self, GAVEL_HISTOGRAM, "asked", "s", "");
    struct gavel_trace trace = {.trace_id = {1}, .span_id = {2}, .flags = 1};
    struct asked asked = {.shown = 0};
    pthread_t thread;

    (void)state;
    face.host.record_traced(face.host.self, metric, 0.5, NULL, 0, &trace);
    assert_int_equal(pthread_create(&thread, NULL, ask, &asked), 0); /* any thread may ask, the loop stands still */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(asked.shown, 2);
    assert_true(asked.value == 0.5);
}

static void test_probes(void **state)
{
    static const struct gavel_probe rows[] = {
        {GAVEL_END(struct gavel_probe, reason), "good", GAVEL_PROBE_READY, 1, "not shown"},
        {GAVEL_END(struct gavel_probe, reason), "bad", GAVEL_PROBE_READY, 0, "it is broken"},
    };
    struct host_probes *probes = host_services_probes(services);
    struct asked asked = {.shown = 0};

    (void)state;
    host_probes_show(probes, 1000000, show_probes, &asked); /* nothing was said, for however long: a start may last */
    assert_string_equal(asked.failing, "");
    host_probes_put(probes, rows, 2, 0);
    host_probes_show(probes, 1000000, show_probes, &asked);
    assert_string_equal(asked.failing, "bad: it is broken");
    assert_int_equal(asked.questions, GAVEL_PROBE_READY);
    assert_int_equal(asked.count, 3);
    host_probes_put(probes, rows, 1, 1000);
    host_probes_show(probes, 1000 + HOST_PROBES_LATE_MS - 1, show_probes, &asked);
    assert_string_equal(asked.failing, "");
    host_probes_show(probes, 1000 + HOST_PROBES_LATE_MS, show_probes, &asked);
    assert_string_equal(asked.failing, "loop: the node's event loop has not turned for 5000 ms");
    assert_int_equal(asked.questions, GAVEL_PROBE_READY | GAVEL_PROBE_LIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_threads, make, forget),
        cmocka_unit_test_setup_teardown(test_inbox_full, make, forget),
        cmocka_unit_test_setup_teardown(test_log_in_trace, make, forget),
        cmocka_unit_test_setup_teardown(test_submit, make, forget),
        cmocka_unit_test_setup_teardown(test_timers, make, forget),
        cmocka_unit_test_setup_teardown(test_metrics, make, forget),
        cmocka_unit_test_setup_teardown(test_collect, make, forget),
        cmocka_unit_test_setup_teardown(test_probes, make, forget),
        cmocka_unit_test_setup_teardown(test_instance, make, forget),
        cmocka_unit_test_setup_teardown(test_instance_failures, make, forget),
    };

    return cmocka_run_group_tests_name("host-services", tests, NULL, NULL);
}
