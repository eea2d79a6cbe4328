/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-registry.c - unit test: metrics, their series, their bounds, and recording from several threads at once.
 */
#include "core/host/metric_table.h"
#include "core/host/registry.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS 20000

static struct host_registry *registry;
static time_t began;

static int make(void **state)
{
    (void)state;
    began = time(NULL);
    registry = host_registry_new();
    return registry ? 0 : -1;
}

static int forget(void **state)
{
    (void)state;
    registry = host_registry_free(registry);
    return 0;
}

/* The series of a metric whose first attribute has that value (NULL: none); *found is false when there is none. */
static struct gavel_series series_of(const char *name, const char *value, bool *found)
{
    struct host_snapshot snapshot;
    struct gavel_series series;

    memset(&series, 0, sizeof series);
    *found = false;
    assert_int_equal(host_registry_snapshot(registry, &snapshot), GAVEL_OK);
    for (uint64_t i = 0; i < snapshot.count; i++) {
        const struct gavel_series *at = &snapshot.series[i];

        if (strcmp(at->name, name) != 0 || (at->attribute_count != 0) != (value != NULL))
            continue;
        if (value && !gavel_slice_equal(at->attributes[0].value, gavel_text(value)))
            continue;
        assert_false(*found);
        *found = true;
        series = *at;
    }
    series.buckets = NULL; /* they are the snapshot's */
    host_snapshot_free(&snapshot);
    return series;
}

static double value_of(const char *name, const char *value)
{
    bool found;
    struct gavel_series series = series_of(name, value, &found);

    assert_true(found);
    return series.value;
}

static void test_common(void **state)
{
    static const char *const names[] = {"consensus.commands.total", "consensus.node.state",
                                        "cluster.nodes.total", "cluster.nodes.healthy", "cluster.membership.changes",
                                        "state.size", "state.changelog.size"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_true(value_of(names[i], NULL) == 0);
}

static void test_kinds(void **state)
{
    uint64_t counter = host_registry_metric(registry, GAVEL_COUNTER, "c", "1", "A counter");
    uint64_t gauge = host_registry_metric(registry, GAVEL_GAUGE, "g", NULL, NULL);
    uint64_t histogram = host_registry_metric(registry, GAVEL_HISTOGRAM, "h", "s", "A histogram");
    bool found;
    struct gavel_series series;

    (void)state;
    assert_true(counter && gauge && histogram);
    assert_int_equal(host_registry_metric(registry, GAVEL_COUNTER, "c", "1", ""), counter);
    assert_int_equal(host_registry_metric(registry, GAVEL_GAUGE, "c", "1", ""), 0);
    assert_int_equal(host_registry_metric(registry, 9, "x", "1", ""), 0);
    assert_int_equal(host_registry_metric(registry, GAVEL_GAUGE, "", "1", ""), 0);
    host_registry_record(registry, counter, 2, NULL, NULL, 0);
    host_registry_record(registry, counter, 0.5, NULL, NULL, 0);
    host_registry_record(registry, counter, -1, NULL, NULL, 0);
    host_registry_record(registry, counter, NAN, NULL, NULL, 0);
    host_registry_record(registry, gauge, 7, NULL, NULL, 0);
    host_registry_record(registry, gauge, -3, NULL, NULL, 0);
    host_registry_record(registry, 0, 1, NULL, NULL, 0);
    host_registry_record(registry, 999, 1, NULL, NULL, 0);
    assert_true(value_of("c", NULL) == 2.5);
    assert_true(value_of("g", NULL) == -3);
    host_registry_record(registry, histogram, 0.00005, NULL, NULL, 0); /* a bound belongs to the bucket below it */
    host_registry_record(registry, histogram, 0.003, NULL, NULL, 0);
    host_registry_record(registry, histogram, 1000, NULL, NULL, 0);
    series = series_of("h", NULL, &found);
    assert_true(found);
    assert_int_equal(series.count, 3);
    assert_true(fabs(series.sum - 1000.00305) < 1e-9);
    assert_true(series.start_wall_ns / 1000000000 >= (uint64_t)began);
    assert_true(series.start_wall_ns / 1000000000 <= (uint64_t)time(NULL));
    assert_true(series_of("g", NULL, &found).start_wall_ns == series.start_wall_ns);
}

static void test_buckets(void **state)
{
    uint64_t histogram = host_registry_metric(registry, GAVEL_HISTOGRAM, "h", "By", "");
    struct host_snapshot snapshot;

    (void)state;
    host_registry_record(registry, histogram, 64, NULL, NULL, 0);
    host_registry_record(registry, histogram, 65, NULL, NULL, 0);
    host_registry_record(registry, histogram, 1e12, NULL, NULL, 0);
    assert_int_equal(host_registry_snapshot(registry, &snapshot), GAVEL_OK);
    for (uint64_t i = 0; i < snapshot.count; i++) {
        const struct gavel_series *series = &snapshot.series[i];

        if (strcmp(series->name, "h") != 0)
            continue;
        assert_int_equal(series->buckets[0], 1);
        assert_int_equal(series->buckets[1], 1);
        assert_int_equal(series->buckets[series->bound_count], 1);
        for (uint64_t j = 1; j < series->bound_count; j++)
            assert_true(series->bounds[j] > series->bounds[j - 1]);
    }
    host_snapshot_free(&snapshot);
}

static void test_attributes(void **state)
{
    uint64_t counter = host_registry_metric(registry, GAVEL_COUNTER, "c", "1", "");
    struct gavel_attribute attribute = {"kind", {NULL, 0}};
    char text[32];
    bool found;

    (void)state;
    for (int i = 0; i < HOST_SERIES_MAX * 3; i++) {
        (void)snprintf(text, sizeof text, "v%d", i);
        attribute.value = gavel_text(text);
        host_registry_record(registry, counter, 1, NULL, &attribute, 1);
        host_registry_record(registry, counter, 1, NULL, &attribute, 1);
    }
    memset(text, 'x', sizeof text); /* keys are copied */
    assert_true(value_of("c", "v0") == 2);
    assert_true(value_of("c", "v63") == 2);
    (void)series_of("c", "v64", &found);
    assert_false(found);
    assert_true(value_of("c", "true") == 2.0 * HOST_SERIES_MAX * 2); /* otel.metric.overflow */
    host_registry_record(registry, host_registry_metric(registry, GAVEL_GAUGE, "g", "1", ""), 5, "main", NULL, 0);
    assert_true(value_of("g", "main") == 5);
}

static void test_full(void **state)
{
    char name[32];
    int made = 0, own = 0;

    (void)state;
    while (host_metrics[own].name)
        own++;
    for (int i = 0; i < HOST_METRICS_MAX + 5; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        made += host_registry_metric(registry, GAVEL_GAUGE, name, "1", "") != 0;
    }
    assert_int_equal(made, HOST_METRICS_MAX - own);
}

static void record_traced(uint64_t metric, double value, unsigned char id, uint64_t flags, uint64_t wall_ms)
{
    struct gavel_trace trace = {.trace_id = {id}, .span_id = {id}, .flags = flags};

    host_registry_record_traced(registry, metric, value, NULL, NULL, 0, &trace, wall_ms);
}

static void test_exemplars(void **state)
{
    uint64_t histogram = host_registry_metric(registry, GAVEL_HISTOGRAM, "h", "By", "");
    uint64_t counter = host_registry_metric(registry, GAVEL_COUNTER, "c", "1", "");
    struct host_snapshot snapshot;

    (void)state;
    host_registry_record(registry, histogram, 1, NULL, NULL, 0);
    record_traced(histogram, 65, 1, 1, 1000);
    record_traced(histogram, 66, 2, 1, 2000);  /* the newer takes its place */
    record_traced(histogram, 67, 3, 0, 3000);  /* not sampled: nobody could look it up */
    record_traced(histogram, 1e12, 4, 1, 4000);
    record_traced(counter, 1, 5, 1, 5000);
    assert_int_equal(host_registry_snapshot(registry, &snapshot), GAVEL_OK);
    for (uint64_t i = 0; i < snapshot.count; i++) {
        const struct gavel_series *series = &snapshot.series[i];

        if (strcmp(series->name, "h") != 0) {
            assert_null(series->exemplars);
            continue;
        }
        assert_int_equal(series->exemplar_stride, sizeof *series->exemplars);
        assert_int_equal(series->exemplars[0].wall_ms, 0);
        assert_int_equal(series->exemplars[1].wall_ms, 2000);
        assert_int_equal(series->exemplars[1].trace.trace_id[0], 2);
        assert_true(series->exemplars[1].value == 66);
        assert_int_equal(series->exemplars[series->bound_count].trace.span_id[0], 4);
        assert_int_equal(series->count, 5);
    }
    host_snapshot_free(&snapshot);
}

static void *hammer_traced(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        record_traced(*(const uint64_t *)argument, 65, (unsigned char)(i % 250 + 1), 1, 1 + (uint64_t)(i % 250));
        if (i % 64 == 0) {
            struct host_snapshot snapshot;

            assert_int_equal(host_registry_snapshot(registry, &snapshot), GAVEL_OK);
            for (uint64_t j = 0; j < snapshot.count; j++)
                if (snapshot.series[j].exemplars && snapshot.series[j].exemplars[1].wall_ms)
                    assert_int_equal(snapshot.series[j].exemplars[1].trace.trace_id[0],
                                     snapshot.series[j].exemplars[1].wall_ms); /* never half of two */
            host_snapshot_free(&snapshot);
        }
    }
    return NULL;
}

static void test_exemplars_threads(void **state)
{
    uint64_t metric = host_registry_metric(registry, GAVEL_HISTOGRAM, "h", "By", "");
    pthread_t thread[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, hammer_traced, &metric), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
}

static void *hammer(void *argument)
{
    uint64_t metric = *(const uint64_t *)argument;

    for (int i = 0; i < ROUNDS; i++) {
        char text[16];
        struct gavel_attribute attribute = {"k", {NULL, 0}};

        (void)snprintf(text, sizeof text, "%d", i % 16);
        attribute.value = gavel_text(text);
        host_registry_record(registry, metric, 1, NULL, &attribute, 1);
        host_registry_record(registry, metric, 1, NULL, NULL, 0);
    }
    return NULL;
}

static void test_threads(void **state)
{
    uint64_t metric = host_registry_metric(registry, GAVEL_COUNTER, "c", "1", "");
    pthread_t thread[THREADS];
    double sum = 0;

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, hammer, &metric), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_true(value_of("c", NULL) == (double)THREADS * ROUNDS);
    for (int i = 0; i < 16; i++) {
        char text[16];

        (void)snprintf(text, sizeof text, "%d", i);
        sum += value_of("c", text);
    }
    assert_true(sum == (double)THREADS * ROUNDS);
}

/* A bound series is the one that a record with the same attributes finds. */
static void test_bound(void **state)
{
    uint64_t counter = host_registry_metric(registry, GAVEL_COUNTER, "c", "1", "");
    uint64_t histogram = host_registry_metric(registry, GAVEL_HISTOGRAM, "h", "s", "");
    char value[] = "a";
    struct gavel_attribute attribute = {"k", {value, 1}};
    uint64_t series = host_registry_series(registry, counter, NULL, &attribute, 1), other;
    bool found;

    (void)state;
    assert_true(series != 0);
    assert_true(value_of("c", "a") == 0); /* there from the moment on that it is bound */
    assert_int_equal(host_registry_series(registry, counter, NULL, &attribute, 1), series);
    value[0] = 'b'; /* the attributes were copied */
    other = host_registry_series(registry, counter, NULL, &attribute, 1);
    assert_true(other != 0 && other != series);
    host_registry_observe(registry, series, 2);
    host_registry_observe(registry, series, -1);
    host_registry_observe(registry, series, NAN);
    host_registry_record(registry, counter, 3, NULL, &attribute, 1);
    assert_true(value_of("c", "a") == 2);
    assert_true(value_of("c", "b") == 3);
    host_registry_observe(registry, host_registry_series(registry, histogram, NULL, NULL, 0), 0.5);
    assert_int_equal(series_of("h", NULL, &found).count, 1);
    assert_int_equal(host_registry_series(registry, 0, NULL, NULL, 0), 0);
    assert_int_equal(host_registry_series(registry, 9999, NULL, NULL, 0), 0);
    for (uint64_t number = 0; number < 1 << 20; number += 777)
        host_registry_observe(registry, number << 3, 1); /* of nobody's making: no crash */
    host_registry_observe(registry, UINT64_MAX, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_common, make, forget),
        cmocka_unit_test_setup_teardown(test_kinds, make, forget),
        cmocka_unit_test_setup_teardown(test_buckets, make, forget),
        cmocka_unit_test_setup_teardown(test_attributes, make, forget),
        cmocka_unit_test_setup_teardown(test_full, make, forget),
        cmocka_unit_test_setup_teardown(test_exemplars, make, forget),
        cmocka_unit_test_setup_teardown(test_exemplars_threads, make, forget),
        cmocka_unit_test_setup_teardown(test_threads, make, forget),
        cmocka_unit_test_setup_teardown(test_bound, make, forget),
    };

    return cmocka_run_group_tests_name("host-registry", tests, NULL, NULL);
}
