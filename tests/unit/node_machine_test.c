/* SPDX-License-Identifier: Apache-2.0 */
/* node_machine_test.c - a state machine that gives the node more, less or worse than it should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/apply.h"
#include "core/node/bytes.h"
#include "core/node/internal.h"
#include "node_cluster.h"

#define SEED 20261129
#define CHUNK_MAX (16u << 20)
#define MEGABYTES 62 /* commands, each with an event of that size: four of them end a run */

/* ---- the apply lane alone, over one odd machine --------------------------------------------------------- */

static struct {
    int32_t status;      /* of `run` */
    uint64_t value_size; /* of the event that it emits, and the same of its previous value; 0: no event */
    uint64_t chunk;      /* bytes of the one chunk of its snapshot */
} odd;

static int32_t odd_run(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    char type[] = "set"; /* gone when this returns */
    char *value = calloc(1, odd.value_size + 1);
    struct gavel_event event = {.size = GAVEL_END(struct gavel_event, previous),
                                .type = type,
                                .key = gavel_text("key"),
                                .value = gavel_bytes(value, odd.value_size),
                                .previous = gavel_bytes(value, odd.value_size)};

    (void)self;
    (void)call;
    (void)arguments;
    assert_non_null(value);
    if (odd.value_size)
        reply->emit(reply->context, &event);
    memset(type, 'x', sizeof type);
    free(value);
    return odd.status;
}

static void odd_state(void *self, struct gavel_machine_state *state)
{
    (void)self;
    (void)state;
}

static int32_t odd_begin(void *self, void **snapshot, struct gavel_error *error)
{
    (void)error;
    *snapshot = self;
    return GAVEL_OK;
}

static int32_t odd_next(void *self, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error)
{
    (void)self;
    (void)snapshot;
    (void)error;
    if (gavel_buffer_reserve(chunk, odd.chunk) != GAVEL_OK)
        return GAVEL_E_NO_MEMORY;
    memset(chunk->data + chunk->size, 7, odd.chunk);
    chunk->size += odd.chunk;
    return 0;
}

static void odd_end(void *self, void *snapshot)
{
    (void)self;
    (void)snapshot;
}

static const struct gavel_command odd_commands[] = {{.name = "do", .id = 1, .flags = GAVEL_WRITE, .run = odd_run}};
static const struct gavel_statemachine odd_operations = {.size = GAVEL_END(struct gavel_statemachine, maintain),
                                                         .commands = odd_commands,
                                                         .command_count = 1,
                                                         .command_stride = sizeof odd_commands[0],
                                                         .state = odd_state,
                                                         .snapshot_begin = odd_begin,
                                                         .snapshot_next = odd_next,
                                                         .snapshot_end = odd_end};
static struct gavel_plugin odd_plugin = {.name = "odd", .version = "1", .abi_minor = 1};
static int odd_self;
static const struct node_machine odd_machine = {
    .name = "odd", .plugin = &odd_plugin, .operations = &odd_operations, .self = &odd_self};

static struct apply *apply_odd(void)
{
    static const struct session_limits limits = {.sessions = 1, .window = 1, .bytes = 1024, .ttl_ms = 1000};
    struct apply *apply = apply_new(&odd_machine, 1, &limits, "n");

    memset(&odd, 0, sizeof odd);
    assert_non_null(apply);
    return apply;
}

/* Apply one `do` at index 1. */
static void do_once(struct apply *apply, struct log_pool *pool, struct apply_run *run)
{
    static const uint8_t form[] = {1, 0, 0, 0, 0x80}; /* command 1, no arguments */
    struct log_builder builder = {0};
    struct log_entry entry = {.kind = LOG_COMMAND, .machine = 1, .payload = gavel_bytes(form, sizeof form)};

    assert_int_equal(log_builder_add(&builder, &entry), GAVEL_OK);
    *run = (struct apply_run){.count = 1, .from = 1, .last = 1, .with_results = true, .records = codec_buffer(0)};
    assert_int_equal(log_builder_seal(&builder, pool, 1, 1, 0, 0, 0, &run->batches[0]), GAVEL_OK);
    apply_run(apply, run);
    log_builder_free(&builder);
    (void)log_batch_unref(run->batches[0]);
}

static void test_an_event_is_copied_with_its_type(void **state)
{
    struct apply *apply = apply_odd();
    struct log_pool *pool = log_pool_new(0);
    struct apply_run run;
    const struct apply_record *record;

    (void)state;
    odd.value_size = 5;
    do_once(apply, pool, &run);
    assert_int_equal(run.status, 0);
    record = apply_record_next(&run, NULL);
    assert_int_equal(record->type, APPLY_RECORD_EVENT);
    assert_true(gavel_slice_equal(record->event, gavel_text("set")));
    assert_true(gavel_slice_equal(record->a, gavel_text("key")));
    assert_int_equal(record->b.size, 5);
    assert_int_equal(record->c.size, 5);
    record = apply_record_next(&run, record);
    assert_int_equal(record->type, APPLY_RECORD_RESULT);
    assert_null(record->event.data);
    gavel_buffer_free(&run.records);
    log_pool_free(pool);
    apply_free(apply);
}

static void test_a_large_event_goes_without_its_values(void **state)
{
    static const struct {
        uint64_t size;
        bool previous, value;
    } rows[] = {{APPLY_EVENT_MAX / 2 - 2, true, true},
                {APPLY_EVENT_MAX / 2 - 1, false, true},
                {APPLY_EVENT_MAX - 3, false, true},
                {APPLY_EVENT_MAX - 2, false, false}};
    struct log_pool *pool = log_pool_new(0);

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct apply *apply = apply_odd();
        struct apply_run run;
        const struct apply_record *record;

        odd.value_size = rows[i].size;
        do_once(apply, pool, &run);
        record = apply_record_next(&run, NULL);
        assert_int_equal(record->type, APPLY_RECORD_EVENT);
        assert_int_equal(record->b.data != NULL, rows[i].value);
        assert_int_equal(record->c.data != NULL, rows[i].previous);
        gavel_buffer_free(&run.records);
        apply_free(apply);
    }
    log_pool_free(pool);
}

/* Whether memory is out is nothing that all nodes agree on. */
static void test_a_run_without_memory_stops_the_node(void **state)
{
    static const struct {
        int32_t status;
        bool stops;
        uint64_t abi_minor; /* that of 1.0 may mean something else by it */
    } rows[] = {{GAVEL_E_NO_MEMORY, true, 1},
                {GAVEL_E_NO_MEMORY, false, 0},
                {GAVEL_E_LOCAL, true, 0},
                {GAVEL_E_STATE, false, 1},
                {GAVEL_OK, false, 1}};
    struct log_pool *pool = log_pool_new(0);

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct apply *apply = apply_odd();
        struct apply_run run;

        odd.status = rows[i].status;
        odd_plugin.abi_minor = rows[i].abi_minor;
        do_once(apply, pool, &run);
        assert_int_equal(run.status, rows[i].stops ? GAVEL_E_LOCAL : 0);
        gavel_buffer_free(&run.records);
        apply_free(apply);
    }
    odd_plugin.abi_minor = 1;
    log_pool_free(pool);
}

/* Events are copied: what one run keeps of them is bounded, also where all of them come out of one batch. */
static void test_a_run_of_large_events_ends_inside_a_batch(void **state)
{
    static const uint8_t form[] = {1, 0, 0, 0, 0x80};
    struct apply *apply = apply_odd();
    struct log_pool *pool = log_pool_new(0);
    struct log_builder builder = {0};
    struct log_entry entry = {.kind = LOG_COMMAND, .machine = 1, .payload = gavel_bytes(form, sizeof form)};
    struct apply_run run = {.records = codec_buffer(0)};
    struct log_batch *batches[2];
    uint64_t runs = 0, log_bytes = 0;

    (void)state;
    odd.value_size = 500000;
    for (uint64_t b = 0; b < 2; b++) {
        for (int i = 0; i < 64; i++)
            assert_int_equal(log_builder_add(&builder, &entry), GAVEL_OK);
        assert_int_equal(log_builder_seal(&builder, pool, 1, 1 + 64 * b, 0, 0, 0, &batches[b]), GAVEL_OK);
    }
    for (uint64_t from = 1; from <= 128; from = run.last + 1, runs++) {
        uint64_t next = from;
        const struct apply_record *record = NULL;

        run.records.size = run.log_bytes = 0;
        run.from = from;
        run.last = 128;
        run.count = 0;
        for (int b = from <= 64 ? 0 : 1; b < 2; b++)
            run.batches[run.count++] = batches[b];
        apply_run(apply, &run);
        assert_int_equal(run.status, 0);
        assert_true(run.records.size < APPLY_RECORDS + 2 * 500000 + 1000);
        assert_true(run.last >= from);
        assert_int_equal(run.cut, run.last < 128);
        assert_int_equal(apply_index(apply), run.last);
        while ((record = apply_record_next(&run, record)) != NULL)
            if (record->type == APPLY_RECORD_RESULT)
                assert_int_equal(record->index, next++);
        assert_int_equal(next, run.last + 1);
        log_bytes += run.log_bytes;
    }
    assert_in_range(runs, 128 / 5, 128 / 4);
    assert_int_equal(log_bytes, batches[0]->head.bytes + batches[1]->head.bytes);
    gavel_buffer_free(&run.records);
    log_builder_free(&builder);
    (void)log_batch_unref(batches[0]);
    (void)log_batch_unref(batches[1]);
    log_pool_free(pool);
    apply_free(apply);
}

/* Walk a whole snapshot into *out; the last status of apply_snapshot_next. */
static int32_t walk(struct apply *apply, struct gavel_buffer *out, struct gavel_error *error)
{
    struct apply_snapshot *snapshot;
    int32_t more = 1;

    assert_int_equal(apply_snapshot_begin(apply, &snapshot, error), GAVEL_OK);
    while (more > 0)
        more = apply_snapshot_next(snapshot, out, error);
    apply_snapshot_end(snapshot);
    return more;
}

static void test_a_chunk_that_no_restore_would_take_is_refused(void **state)
{
    struct apply *apply = apply_odd();
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error = {0};

    (void)state;
    odd.chunk = CHUNK_MAX;
    assert_int_equal(walk(apply, &out, &error), 0);
    gavel_buffer_free(&out);
    odd.chunk = CHUNK_MAX + 1;
    assert_int_equal(walk(apply, &out, &error), GAVEL_E_TOO_LARGE);
    assert_string_equal(error.text,
                        "machine 'odd' put 16777217 bytes into one chunk of its snapshot; at most 16777216 fit");
    gavel_buffer_free(&out);
    apply_free(apply);
}

/* ---- whole nodes ----------------------------------------------------------------------------------------- */

static struct gavel_slice huge;

static int32_t run_huge(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct gavel_event event = {
        .size = GAVEL_END(struct gavel_event, previous), .type = "huge", .key = huge};

    (void)self;
    (void)call;
    (void)arguments;
    reply->emit(reply->context, &event);
    return GAVEL_OK;
}

/* The key alone is over what a message may hold: a stream that meets the event ends with a reason, and is not stuck. */
static void test_a_stream_ends_at_an_event_that_no_message_can_carry(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    struct codec_stream_open open = {.id = 70, .stream = gavel_text("events"), .credit = 100};
    void *key = calloc(1, 5u << 20);
    int leader;

    (void)state;
    assert_non_null(key);
    memset(key, 'k', 5u << 20);
    huge = gavel_bytes(key, 5u << 20);
    cluster_init(&cluster, 3, SEED);
    cluster_start_all(&cluster);
    for (uint32_t i = 0; i < 3; i++)
        for (uint64_t c = 0; c < cluster.nodes[i].operations.command_count; c++)
            if (strcmp(cluster.nodes[i].commands[c].name, "pad") == 0)
                cluster.nodes[i].commands[c].run = run_huge;
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    leader = cluster_leader(&cluster);
    client = cluster_client(&cluster, (uint32_t)leader, CODEC_ROLE_CLIENT);
    cluster_send(client, CODEC_STREAM_OPEN, &open);
    cluster_pad(client, 10, &reply);
    assert_int_equal(reply.status, 0);
    cluster_run(&cluster, 50);
    assert_non_null(cluster_client_end(client));
    assert_int_equal(cluster_client_end(client)->status, GAVEL_E_TOO_LARGE);
    assert_true(cluster_client_open(client));
    cluster_client_free(client);
    cluster_free(&cluster);
    free(key);
}

static int32_t run_megabyte(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    static char value[1 << 20];
    struct gavel_event event = {.size = GAVEL_END(struct gavel_event, previous), .type = "set",
                                .key = gavel_text("key"), .previous = gavel_bytes(value, sizeof value)};

    (void)self;
    (void)call;
    (void)arguments;
    reply->emit(reply->context, &event);
    return GAVEL_OK;
}

/* Whether it has applied a part of a batch, and not all of it. */
static bool inside_a_batch(const struct node *node)
{
    struct log_descriptor batch;

    return node->applied && log_describe(node->log, node->applied, &batch) == 0 &&
           batch.first + batch.count - 1 != node->applied;
}

static struct cluster several;

/* MEGABYTES commands: while the leader's disk has the first, the others come into one batch. */
static void post_megabytes(struct cluster_client *client, int leader)
{
    struct codec_request request = {.command = gavel_text("pad"), .remaining_ms = 20000,
                                    .arguments = gavel_bytes("\x81\xa5" "bytes" "\xa1x", 9)};

    several.nodes[leader].stalled_until = several.clock.mono_ns + UINT64_C(1000000000);
    for (uint64_t id = 1000; id < 1000 + MEGABYTES; id++)
        cluster_post(client, id, &request);
    cluster_run(&several, 20);
    several.nodes[leader].stalled_until = 0;
}

/*
 * The whole of nodes with such runs, on the loop and on a lane, where a snapshot that is due has its turn between two
 * runs: each command is answered once, all members are equal, snapshots are taken, and at the ends of batches only
 * (log_snapshot_begin asserts it), at which runs end however many batches wait.
 */
static void test_a_batch_is_applied_in_several_runs(void **state)
{
    static const char *const one[] = {"name=x", NULL};

    (void)state;
    for (int threaded = 0; threaded < 2; threaded++) {
        struct cluster_client *client;
        struct cluster_reply reply;
        struct cluster_node *slow;
        uint64_t cuts = 0, end = 0;
        bool ended = false;
        int leader;

        cluster_init(&several, 3, SEED + 1);
        several.threaded = threaded;
        several.limits.snapshot_entries = 16;
        several.limits.snapshot_log_min = 1;
        cluster_start_all(&several);
        for (uint32_t i = 0; i < 3; i++)
            for (uint64_t c = 0; c < several.nodes[i].operations.command_count; c++)
                if (strcmp(several.nodes[i].commands[c].name, "pad") == 0)
                    several.nodes[i].commands[c].run = run_megabyte;
        assert_true(cluster_until(&several, cluster_has_leader, 3000));
        leader = cluster_leader(&several);
        client = cluster_client(&several, (uint32_t)leader, CODEC_ROLE_CLIENT);
        slow = &several.nodes[(leader + 1) % 3];
        slow->stalled_until = several.clock.mono_ns + UINT64_C(60000000000);
        for (int round = 0; round < 2; round++) {
            post_megabytes(client, leader);
            cluster_run(&several, 100);
            end = round ? end : several.nodes[leader].node->applied;
        }
        assert_int_equal(cluster_client_replies(client), 2 * MEGABYTES);
        assert_int_equal(several.nodes[leader].node->applied, end + MEGABYTES);
        slow->stalled_until = 0;
        for (int i = 0; i < 100000 && slow->node->applied < end + MEGABYTES; i++) {
            slow->node->caught_up = false;
            cluster_steps(&several, 1);
            cuts += inside_a_batch(slow->node);
            assert_false(slow->node->caught_up && inside_a_batch(slow->node)); /* a cut run reaches nothing */
            ended = ended || slow->node->applied == end;
            if (i % 1000 == 999)
                cluster_run(&several, 1);
        }
        assert_true(!threaded || cuts > 10);
        assert_true(!threaded || ended);
        cluster_command(client, "increment", 0, 0, &reply, one);
        assert_int_equal(reply.status, 0);
        cluster_run(&several, 3000);
        for (uint32_t i = 0; i < 3; i++) {
            struct node *node = several.nodes[i].node;

            assert_int_equal(several.nodes[i].exit_code, -1);
            assert_int_equal(node->applied, reply.index);
            assert_int_equal(apply_digest(node->apply), apply_digest(several.nodes[0].node->apply));
            assert_true(log_snapshot_newest(node->log).index > 0);
            assert_true(node->caught_up);
        }
        cluster_client_free(client);
        for (uint32_t i = 0; i < 3; i++)
            cluster_crash(&several, i, OS_MEM_DROP_ALL);
        cluster_start_all(&several);
        assert_true(cluster_until(&several, cluster_has_leader, 10000));
        cluster_run(&several, 2000);
        for (uint32_t i = 0; i < 3; i++)
            assert_true(several.nodes[i].node->applied >= reply.index);
        cluster_free(&several);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_is_copied_with_its_type),
        cmocka_unit_test(test_a_large_event_goes_without_its_values),
        cmocka_unit_test(test_a_run_without_memory_stops_the_node),
        cmocka_unit_test(test_a_chunk_that_no_restore_would_take_is_refused),
        cmocka_unit_test(test_a_run_of_large_events_ends_inside_a_batch),
        cmocka_unit_test(test_a_batch_is_applied_in_several_runs),
        cmocka_unit_test(test_a_stream_ends_at_an_event_that_no_message_can_carry),
    };

    return cmocka_run_group_tests_name("node machine", tests, NULL, NULL);
}
