/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-sink.c - unit test: log events and spans on their way to observers, over inline lanes: levels, copies, bounds,
 * drops.
 */
#include "core/host/sink.h"
#include "core/host/metric_table.h"
#include "core/host/spans.h"
#include "core/os/inline.h"
#include "core/os/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEN_MAX 8

static struct os_inline lanes;
static struct os_mem_clock test_clock;
static struct os os;
static struct host_registry *registry;
static struct host_sink *sink;
static unsigned wakes;

/* An observer that remembers the last events. */
struct memory {
    unsigned logs;
    unsigned spans;
    unsigned flushes;
    unsigned metrics;
    char text[SEEN_MAX][256];
    uint64_t level[SEEN_MAX];
    struct gavel_span span;
    char span_text[64];
};

static void take_log(void *self, const struct gavel_log_event *event)
{
    struct memory *memory = self;
    unsigned at = memory->logs++ % SEEN_MAX;

    memory->level[at] = event->level;
    (void)snprintf(memory->text[at], sizeof memory->text[at], "%s|%s|%.*s", event->node, event->module,
                   (int)(event->text.size < 200 ? event->text.size : 200), (const char *)event->text.data);
}

static void take_span(void *self, const struct gavel_span *span)
{
    struct memory *memory = self;

    memory->spans++;
    memory->span = *span;
    (void)snprintf(memory->span_text, sizeof memory->span_text, "%s %s=%.*s", span->name,
                   span->attribute_count ? span->attributes[0].name : "",
                   span->attribute_count ? (int)span->attributes[0].value.size : 0,
                   span->attribute_count ? (const char *)span->attributes[0].value.data : "");
}

static void take_metrics(void *self, uint64_t wall_ms, const struct gavel_series *series, uint64_t count,
                         uint64_t stride)
{
    struct memory *memory = self;

    assert_int_equal(wall_ms, test_clock.wall_ms);
    assert_non_null(series);
    assert_int_equal(stride, sizeof *series);
    memory->metrics += (unsigned)count;
}

static void take_flush(void *self)
{
    struct memory *memory = self;

    memory->flushes++;
}

static const struct gavel_observer all = {
    .size = sizeof all,
    .wants = GAVEL_OBSERVE_LOGS | GAVEL_OBSERVE_SPANS | GAVEL_OBSERVE_METRICS,
    .log = take_log,
    .span = take_span,
    .metrics = take_metrics,
    .flush = take_flush,
};

static void woken(void *context)
{
    (void)context;
    wakes++;
}

static int make(void **state)
{
    (void)state;
    memset(&lanes, 0, sizeof lanes);
    wakes = 0;
    test_clock = (struct os_mem_clock){.wall_ms = 1000, .seed = 1};
    os = (struct os){.clock = &os_mem_clock_ops, .clock_self = &test_clock, .lanes = &os_lanes_inline,
                     .lanes_self = &lanes};
    registry = host_registry_new();
    sink = registry ? host_sink_new(&os, "node-1", registry, woken, NULL) : NULL;
    return sink ? 0 : -1;
}

static int forget(void **state)
{
    (void)state;
    sink = host_sink_free(sink);
    registry = host_registry_free(registry);
    return 0;
}

static void say(uint64_t level, const char *module, const char *text)
{
    host_sink_log(sink, level, module, NULL, gavel_text(text));
}

static void pump(void)
{
    host_sink_pump(sink);
    (void)os_inline_pump(&lanes);
}

static void test_levels(void **state)
{
    struct memory loud = {.logs = 0}, quiet = {.logs = 0};
    const struct gavel_slice levels[] = {{"raft:trace", 10}, {"transport:error", 15}, {"transport.main:debug", 20}};
    struct gavel_error error;

    (void)state;
    say(GAVEL_LOG_ERROR, "raft", "nobody listens");
    assert_int_equal(host_sink_add(sink, &all, &loud, GAVEL_LOG_INFO, levels, 3, &error), GAVEL_OK);
    assert_int_equal(host_sink_add(sink, &all, &quiet, GAVEL_LOG_ERROR, NULL, 0, &error), GAVEL_OK);
    assert_true(host_sink_wanted(sink, GAVEL_LOG_TRACE, "raft"));
    assert_true(host_sink_wanted(sink, GAVEL_LOG_TRACE, "raft.vote"));
    assert_false(host_sink_wanted(sink, GAVEL_LOG_TRACE, "rafters"));
    assert_false(host_sink_wanted(sink, GAVEL_LOG_WARN, "transport.other"));
    assert_true(host_sink_wanted(sink, GAVEL_LOG_DEBUG, "transport.main"));
    say(GAVEL_LOG_TRACE, "raft", "one");
    say(GAVEL_LOG_DEBUG, "log", "lost");
    say(GAVEL_LOG_INFO, "log", "two");
    say(GAVEL_LOG_WARN, "transport", "lost");
    say(GAVEL_LOG_ERROR, "transport", "three");
    assert_int_equal(wakes, 1); /* once, however many wait */
    assert_int_equal(loud.logs, 0);
    pump();
    assert_int_equal(loud.logs, 3);
    assert_string_equal(loud.text[0], "node-1|raft|one");
    assert_string_equal(loud.text[1], "node-1|log|two");
    assert_string_equal(loud.text[2], "node-1|transport|three");
    assert_int_equal(loud.flushes, 1);
    host_sink_tick(sink); /* nothing came, and what is held back may be due */
    host_sink_tick(sink); /* once, while the lane has it */
    (void)os_inline_pump(&lanes);
    assert_int_equal(loud.flushes, 2);
    assert_int_equal(quiet.flushes, 2);
    assert_int_equal(loud.logs, 3);
    assert_int_equal(quiet.logs, 1);
    assert_string_equal(quiet.text[0], "node-1|transport|three");
}

static void test_set_level(void **state)
{
    struct memory memory = {.logs = 0};
    struct gavel_error error;

    (void)state;
    assert_int_equal(host_sink_add(sink, &all, &memory, GAVEL_LOG_WARN, NULL, 0, &error), GAVEL_OK);
    assert_false(host_sink_wanted(sink, GAVEL_LOG_DEBUG, "raft"));
    assert_int_equal(host_sink_set_level(sink, gavel_text("raft"), gavel_text("debug"), &error), GAVEL_OK);
    assert_true(host_sink_wanted(sink, GAVEL_LOG_DEBUG, "raft"));
    assert_false(host_sink_wanted(sink, GAVEL_LOG_INFO, "log"));
    assert_int_equal(host_sink_set_level(sink, gavel_text(""), gavel_text("trace"), &error), GAVEL_OK);
    assert_true(host_sink_wanted(sink, GAVEL_LOG_TRACE, "log"));
    assert_false(host_sink_wanted(sink, GAVEL_LOG_TRACE, "raft"));
    assert_int_equal(host_sink_set_level(sink, gavel_text("raft"), gavel_text("loud"), &error), GAVEL_E_INVALID);
    assert_string_equal(error.text, "expected a level (trace, debug, info, warn or error), found \"loud\"");
    for (int i = 0; i < HOST_SINK_LEVELS_MAX; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "m%d", i);
        assert_int_equal(host_sink_set_level(sink, gavel_text(name), gavel_text("info"), &error),
                         i < HOST_SINK_LEVELS_MAX - 1 ? GAVEL_OK : GAVEL_E_TOO_LARGE);
    }
}

/* Whatever a client sent may stand in a sentence: it can neither forge a line nor break an exporter. */
static void test_text(void **state)
{
    struct memory memory = {.logs = 0};
    char longest[HOST_SINK_TEXT_MAX * 2];

    (void)state;
    assert_int_equal(host_sink_add(sink, &all, &memory, GAVEL_LOG_INFO, NULL, 0, NULL), GAVEL_OK);
    say(GAVEL_LOG_INFO, "x", "a\nb\tc\033[1m \xc3\xa4 \xff \xe2\x82 \xed\xa0\x80 \xf0\x9f\x98\x80");
    memset(longest, 'y', sizeof longest);
    host_sink_log(sink, GAVEL_LOG_INFO, "x", NULL, gavel_bytes(longest, sizeof longest));
    host_sink_log(sink, GAVEL_LOG_INFO, NULL, NULL, gavel_bytes(NULL, 0));
    pump();
    assert_string_equal(memory.text[0], "node-1|x|a?b?c?[1m \xc3\xa4 ? ?? ??? \xf0\x9f\x98\x80");
    assert_string_equal(memory.text[2], "node-1||");
}

static void test_full(void **state)
{
    struct memory memory = {.logs = 0};

    (void)state;
    assert_int_equal(host_sink_add(sink, &all, &memory, GAVEL_LOG_INFO, NULL, 0, NULL), GAVEL_OK);
    for (unsigned i = 0; i < HOST_SINK_RECORDS_MAX + 7; i++)
        say(GAVEL_LOG_INFO, "x", "y");
    assert_int_equal(host_sink_dropped(sink), 7);
    pump();
    assert_int_equal(memory.logs, HOST_SINK_RECORDS_MAX + 1);
    assert_string_equal(memory.text[HOST_SINK_RECORDS_MAX % SEEN_MAX],
                        "node-1|host|7 log events or spans were dropped: the observers are slow");
    say(GAVEL_LOG_INFO, "x", "again");
    pump();
    assert_int_equal(memory.logs, HOST_SINK_RECORDS_MAX + 2);
}

/* What arrives while the lane is at work waits for the next job, and one job runs at a time. */
static void test_while_busy(void **state)
{
    struct memory memory = {.logs = 0};

    (void)state;
    assert_int_equal(host_sink_add(sink, &all, &memory, GAVEL_LOG_INFO, NULL, 0, NULL), GAVEL_OK);
    say(GAVEL_LOG_INFO, "x", "first");
    host_sink_pump(sink);
    assert_true(os_inline_run(&lanes, OS_LANE_OBSERVER));
    say(GAVEL_LOG_INFO, "x", "second");
    host_sink_pump(sink);
    assert_false(os_inline_run(&lanes, OS_LANE_OBSERVER));
    host_sink_drain(sink); /* not ours while the lane has it */
    assert_int_equal(memory.logs, 1);
    assert_true(os_inline_done(&lanes, OS_LANE_OBSERVER));
    assert_true(os_inline_run(&lanes, OS_LANE_OBSERVER));
    assert_int_equal(memory.logs, 2);
    assert_true(os_inline_done(&lanes, OS_LANE_OBSERVER));
    say(GAVEL_LOG_INFO, "x", "third");
    host_sink_drain(sink);
    assert_int_equal(memory.logs, 3);
}

static void test_metrics(void **state)
{
    struct memory first = {.logs = 0}, second = {.logs = 0};
    unsigned plain = 0;

    (void)state;
    for (const struct host_metric *row = host_metrics; row->name; row++)
        plain += !*row->attributes;
    assert_int_equal(host_sink_add(sink, &all, &first, GAVEL_LOG_INFO, NULL, 0, NULL), GAVEL_OK);
    assert_int_equal(host_sink_add(sink, &all, &second, GAVEL_LOG_INFO, NULL, 0, NULL), GAVEL_OK);
    host_sink_metrics(sink, 2);
    pump();
    assert_int_equal(first.metrics, 0);
    assert_int_equal(second.metrics, plain); /* those that count by attribute only have no series yet */
}

static void test_spans(void **state)
{
    struct memory memory = {.logs = 0};
    struct gavel_trace root, child, unsampled = {.flags = 0};
    const struct gavel_attribute attribute = {"key", {"color", 5}};
    struct host_spans *spans = host_spans_new(&os, sink);
    uint64_t outer, inner, many[HOST_SPANS_MAX];
    const struct gavel_trace always = {.flags = 1};
    unsigned halves = 0;

    (void)state;
    assert_non_null(spans);
    assert_false(host_sink_wants_spans(sink));
    assert_int_equal(host_sink_add(sink, &all, &memory, GAVEL_LOG_INFO, NULL, 0, NULL), GAVEL_OK);
    assert_true(host_sink_wants_spans(sink));
    for (int i = 0; i < 100; i++) /* by the ratio of a new table, and by a half */
        assert_int_equal(host_spans_begin(spans, "put", NULL, &root), 0);
    host_spans_ratio(spans, 0.5);
    for (int i = 0; i < 1000; i++) {
        uint64_t span = host_spans_begin(spans, "put", NULL, &root);

        halves += span != 0;
        host_spans_end(spans, span, 0, NULL, 0);
    }
    assert_in_range(halves, 400, 600);
    host_spans_ratio(spans, 0); /* whoever asks for one gets it all the same */
    outer = host_spans_begin(spans, "put", &always, &root);
    assert_true(outer != 0);
    host_spans_end(spans, outer, 0, NULL, 0);
    pump();
    memory.spans = 0;
    host_spans_ratio(spans, 1);
    outer = host_spans_begin(spans, "put", NULL, &root);
    inner = host_spans_begin(spans, "append", &root, &child);
    assert_true(outer && inner && outer != inner);
    assert_memory_equal(root.trace_id, child.trace_id, sizeof root.trace_id);
    assert_memory_not_equal(root.span_id, child.span_id, sizeof root.span_id);
    test_clock.mono_ns += 5000;
    test_clock.wall_ms -= 500; /* the wall clock jumps back, and a span does not end before it began */
    host_spans_end(spans, inner, GAVEL_E_BUSY, &attribute, 1);
    pump();
    assert_string_equal(memory.span_text, "append key=color");
    assert_memory_equal(memory.span.parent, root.span_id, sizeof root.span_id);
    assert_int_equal(memory.span.end_wall_ns - memory.span.start_wall_ns, 5000);
    assert_int_equal(memory.span.status, GAVEL_E_BUSY);
    host_spans_end(spans, inner, 0, NULL, 0);
    host_spans_end(spans, 0, 0, NULL, 0);
    host_spans_end(spans, outer, 0, NULL, 0);
    pump();
    assert_int_equal(memory.spans, 2);
    memset(unsampled.trace_id, 7, sizeof unsampled.trace_id);
    assert_int_equal(host_spans_begin(spans, "x", &unsampled, &child), 0);
    assert_memory_equal(child.trace_id, unsampled.trace_id, sizeof child.trace_id);
    for (int i = 0; i < HOST_SPANS_MAX; i++)
        assert_true((many[i] = host_spans_begin(spans, "x", NULL, &root)) != 0);
    assert_int_equal(host_spans_begin(spans, "x", NULL, &root), 0);
    host_spans_end(spans, many[17], 0, NULL, 0);
    assert_true(host_spans_begin(spans, "x", NULL, &root) != 0);
    assert_int_equal(host_spans_open(spans), HOST_SPANS_MAX);
    assert_null(host_spans_free(spans));
}

/* Another observer takes the place of one: what waits goes to it; the old one may end once the lane is done. */
static void test_replace(void **state)
{
    static struct memory first, second;
    static const struct gavel_observer both = {.size = GAVEL_END(struct gavel_observer, flush),
                                               .wants = GAVEL_OBSERVE_LOGS, .log = take_log};
    struct gavel_error error;
    uint64_t mark = 0, bit;

    (void)state;
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    assert_int_equal(host_sink_add(sink, &both, &first, GAVEL_LOG_INFO, NULL, 0, &error), GAVEL_OK);
    bit = host_sink_bit(sink, &first);
    host_sink_log(sink, GAVEL_LOG_INFO, "m", NULL, gavel_text("waits"));
    host_sink_pump(sink); /* the lane has the job, and has not begun */
    assert_int_equal(host_sink_replace(sink, &first, &both, &second, GAVEL_LOG_WARN, NULL, 0, &mark, &error), GAVEL_OK);
    assert_int_equal(host_sink_bit(sink, &second), bit);
    assert_int_equal(host_sink_bit(sink, &first), 0);
    assert_false(host_sink_past(sink, mark));
    (void)os_inline_pump(&lanes);
    assert_true(host_sink_past(sink, mark));
    assert_int_equal(first.logs, 0);
    assert_int_equal(second.logs, 1);
    assert_false(host_sink_wanted(sink, GAVEL_LOG_INFO, "m"));
    assert_true(host_sink_wanted(sink, GAVEL_LOG_WARN, "m"));
    assert_int_equal(host_sink_replace(sink, &second, NULL, NULL, 0, NULL, 0, &mark, &error), GAVEL_OK);
    assert_true(host_sink_past(sink, mark));
    assert_false(host_sink_wanted(sink, GAVEL_LOG_ERROR, "m"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_levels, make, forget),
        cmocka_unit_test_setup_teardown(test_set_level, make, forget),
        cmocka_unit_test_setup_teardown(test_text, make, forget),
        cmocka_unit_test_setup_teardown(test_full, make, forget),
        cmocka_unit_test_setup_teardown(test_while_busy, make, forget),
        cmocka_unit_test_setup_teardown(test_metrics, make, forget),
        cmocka_unit_test_setup_teardown(test_spans, make, forget),
        cmocka_unit_test_setup_teardown(test_replace, make, forget),
    };

    return cmocka_run_group_tests_name("host-sink", tests, NULL, NULL);
}
