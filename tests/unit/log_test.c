/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_test.c - the log in its normal life: append, vote, truncate, read, roll over, compact, reset, stop and start.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "log_fixture.h"

static void test_fresh(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_FRESH);
    assert_int_equal(f.recovery.last, 0);
    assert_int_equal(f.recovery.first, 1);
    assert_int_equal(f.recovery.term, 0);
    assert_true(f.recovery.incarnation != 0);
    assert_null(f.recovery.founding);
    assert_true(log_space_ok(f.log));
    fixture_pump(&f);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    fixture_stop(&f);
    fixture_free(&f);
}

static void test_append_and_start_again(void **state)
{
    struct fixture f;
    uint64_t io;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 3, 2);
    for (int i = 0; i < 10; i++)
        io = fixture_append(&f, 3, 4, 100);
    assert_int_equal(log_last(f.log), 40);
    assert_int_equal(log_durable(f.log), 0);
    assert_int_equal(f.written, 0);
    fixture_pump(&f);
    assert_int_equal(f.written, io);
    assert_int_equal(log_durable(f.log), 40);
    for (uint64_t index = 1; index <= 40; index += 3)
        fixture_check_index(&f, index, 3);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.last, 40);
    assert_int_equal(f.recovery.last_term, 3);
    assert_int_equal(f.recovery.term, 3);
    assert_int_equal(f.recovery.vote, 2);
    assert_int_equal(f.recovery.batch_count, 10);
    assert_int_equal(f.recovery.batches[9].first, 37);
    for (uint64_t index = 1; index <= 40; index += 3)
        fixture_check_index(&f, index, 3);
    (void)fixture_append(&f, 3, 1, 10);
    fixture_pump(&f);
    fixture_check_index(&f, 41, 3);
    fixture_stop(&f);
    fixture_free(&f);
}

static void test_truncate(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    for (int i = 0; i < 6; i++)
        (void)fixture_append(&f, 1, 2, 50);
    fixture_pump(&f);
    (void)fixture_truncate(&f, 7);
    assert_int_equal(log_last(f.log), 6);
    assert_int_equal(log_durable(f.log), 6);
    (void)fixture_vote(&f, 2, 0);
    (void)fixture_append(&f, 2, 1, 50);
    fixture_pump(&f);
    fixture_check_index(&f, 6, 1);
    fixture_check_index(&f, 7, 2);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.last, 7);
    assert_int_equal(f.recovery.last_term, 2);
    assert_int_equal(f.recovery.batch_count, 4);
    fixture_check_index(&f, 6, 1);
    fixture_check_index(&f, 7, 2);
    fixture_stop(&f);
    fixture_free(&f);
}

/* Append t1, take it back, append t2 at the same index, and the same bytes of t1 again: the late completion of the
 * first must not count for the third, nor that of the second. */
static void test_the_same_again_is_another_write(void **state)
{
    struct fixture f;
    uint64_t first;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    (void)fixture_append(&f, 1, 1, 50);
    fixture_pump(&f);
    first = fixture_append(&f, 1, 1, 60);
    assert_true(os_inline_run(&f.lanes, OS_LANE_LOG)); /* written, not yet known here */
    (void)fixture_truncate(&f, 2);
    (void)fixture_vote(&f, 2, 1);
    (void)fixture_append(&f, 2, 1, 70);
    (void)fixture_truncate(&f, 2);
    (void)fixture_vote(&f, 3, 1);
    (void)fixture_append(&f, 1, 1, 60);
    assert_int_equal(log_last(f.log), 2);
    assert_true(os_inline_done(&f.lanes, OS_LANE_LOG));
    assert_int_equal(f.written, first);
    assert_int_equal(log_durable(f.log), 1);
    fixture_pump(&f);
    assert_int_equal(f.written, f.io);
    assert_int_equal(log_durable(f.log), 2);
    fixture_check_index(&f, 2, 1);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.last, 2);
    assert_int_equal(f.recovery.last_term, 1);
    fixture_check_index(&f, 2, 1);
    fixture_stop(&f);
    fixture_free(&f);
}

/* Append t1, take it back, append t2 at the same index: the late completion of the first must not count. */
static void test_late_completion_does_not_count(void **state)
{
    struct fixture f;
    uint64_t first;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    first = fixture_append(&f, 1, 1, 50);
    fixture_pump(&f);
    first = fixture_append(&f, 1, 1, 60);
    assert_true(os_inline_run(&f.lanes, OS_LANE_LOG)); /* written, not yet known here */
    (void)fixture_truncate(&f, 2);
    (void)fixture_vote(&f, 2, 1);
    (void)fixture_append(&f, 2, 1, 70);
    assert_true(os_inline_done(&f.lanes, OS_LANE_LOG));
    assert_int_equal(f.written, first);
    assert_int_equal(log_durable(f.log), 1); /* not 2: that index is another batch's now */
    fixture_pump(&f);
    assert_int_equal(log_durable(f.log), 2);
    fixture_check_index(&f, 2, 2);
    fixture_stop(&f);
    fixture_free(&f);
}

/* While one write runs, all that is asked for is the next write: two syncs for any number of appends. */
static void test_group_commit(void **state)
{
    struct fixture f;
    struct log_figures before;
    struct log_figures after;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    fixture_pump(&f);
    log_figures(f.log, &before);
    (void)fixture_append(&f, 1, 1, 50);
    for (int i = 0; i < 40; i++)
        (void)fixture_append(&f, 1, 1, 50);
    fixture_pump(&f);
    log_figures(f.log, &after);
    assert_int_equal(after.syncs - before.syncs, 2);
    assert_int_equal(after.oldest_queued_ns, 0);
    assert_int_equal(f.written, f.io);
    fixture_stop(&f);
    fixture_free(&f);
}

static void test_roll_over_and_read_back(void **state)
{
    struct fixture f;
    struct log_figures figures;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    for (int i = 0; i < 60; i++) {
        (void)fixture_append(&f, 1, 2, 2000);
        if (i % 3 == 0)
            fixture_pump(&f);
    }
    fixture_pump(&f);
    log_figures(f.log, &figures);
    assert_true(figures.segments >= 4);
    assert_true(figures.cache_bytes <= 8192 + 4400);
    for (uint64_t index = 1; index <= 120; index++)
        fixture_check_index(&f, index, 1);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.last, 120);
    for (uint64_t index = 1; index <= 120; index++)
        fixture_check_index(&f, index, 1);
    fixture_stop(&f);
    fixture_free(&f);
}

static void on_read(struct log_read *read)
{
    *(bool *)read->ctx = true;
}

static void test_read_many(void **state)
{
    struct fixture f;
    bool done = false;
    struct log_read read = {.from = 3, .max_bytes = 1 << 20, .done = on_read, .ctx = &done};

    (void)state;
    fixture_init(&f);
    f.options.cache_bytes = 1;
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    for (int i = 0; i < 10; i++)
        (void)fixture_append(&f, 1, 2, 200);
    fixture_pump(&f);
    assert_null(log_cached(f.log, 3));
    assert_int_equal(log_read(f.log, &read), 0);
    fixture_pump(&f);
    assert_true(done);
    assert_int_equal(read.status, 0);
    assert_int_equal(read.count, 9);
    assert_int_equal(read.batches[0]->head.first, 3);
    assert_int_equal(read.batches[8]->head.first, 19);
    log_read_release(&read);
    read.from = 21;
    assert_int_equal(log_read(f.log, &read), GAVEL_E_NOT_FOUND);
    fixture_stop(&f);
    fixture_free(&f);
}

/* Damage that appears while running is found before the batch is given to anybody. */
static void test_read_checks(void **state)
{
    struct fixture f;
    bool done = false;
    struct log_read read = {.from = 1, .max_bytes = 1, .done = on_read, .ctx = &done};
    uint8_t noise = 0xee;

    (void)state;
    fixture_init(&f);
    f.options.cache_bytes = 1;
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    (void)fixture_append(&f, 1, 1, 500);
    fixture_pump(&f);
    assert_int_equal(os_mem_poke(f.mem, "data/log/0000000000000001.seg", 4096 + 96 + 48 + 300, &noise, 1), 0);
    assert_int_equal(log_read(f.log, &read), 0);
    fixture_pump(&f);
    assert_true(done);
    assert_int_equal(read.status, GAVEL_E_CORRUPT);
    assert_int_equal(read.count, 0);
    fixture_stop(&f);
    fixture_free(&f);
}

static void test_compact_and_recycle(void **state)
{
    struct fixture f;
    struct log_figures figures;
    struct log_descriptor batch;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 60; i++)
            (void)fixture_append(&f, 1, 1, 2000);
        fixture_pump(&f);
        fixture_snapshot(&f, 10000);
        assert_int_equal(f.task_status, 0);
        log_compact(f.log, log_snapshot_newest(f.log).index);
        fixture_pump(&f);
    }
    log_figures(f.log, &figures);
    assert_true(figures.segments <= 2);
    assert_true(figures.spares >= 1 && figures.spares <= 5);
    assert_true(log_first(f.log) > 200);
    assert_int_equal(log_describe(f.log, 1, &batch), GAVEL_E_COMPACTED);
    assert_int_equal(log_snapshot_count(f.log), 2);
    for (uint64_t index = log_first(f.log); index <= log_last(f.log); index++)
        fixture_check_index(&f, index, 1);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.last, 360);
    assert_int_equal(f.recovery.snapshot.index, 360);
    assert_true(f.recovery.first > 200);
    assert_true(f.recovery.previous_term == 1);
    assert_int_equal(f.recovery.snapshot_meta_bytes, 4);
    assert_memory_equal(f.recovery.snapshot_meta, "meta", 4);
    for (uint64_t index = log_first(f.log); index <= log_last(f.log); index++)
        fixture_check_index(&f, index, 1);
    (void)fixture_append(&f, 1, 1, 10);
    fixture_pump(&f);
    fixture_stop(&f);
    fixture_free(&f);
}

/* The trailing window stays for slow peers. */
static void test_trail(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.options.trail_bytes = 100000;
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    for (int i = 0; i < 120; i++)
        (void)fixture_append(&f, 1, 1, 2000);
    fixture_pump(&f);
    fixture_snapshot(&f, 100);
    log_compact(f.log, log_snapshot_newest(f.log).index);
    fixture_pump(&f);
    assert_true(log_first(f.log) > 1);
    assert_true(120 - log_first(f.log) >= 100000 / 2200);
    fixture_stop(&f);
    fixture_free(&f);
}

static void test_tasks(void **state)
{
    struct fixture f;
    struct log_cluster_id cluster = {{1, 2, 3}};

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    assert_int_equal(log_set_founding(f.log, "founded", 7, fixture_task(&f)), 0);
    fixture_pump(&f);
    assert_int_equal(f.task_status, 0);
    assert_int_equal(log_set_identity(f.log, &cluster, 42, fixture_task(&f)), 0);
    fixture_pump(&f);
    assert_int_equal(f.task_status, 0);
    fixture_crash(&f, OS_MEM_DROP_ALL, 1);
    f.options.cluster_id = cluster;
    fixture_must_open(&f);
    assert_int_equal(f.recovery.member_id, 42);
    assert_memory_equal(&f.recovery.cluster_id, &cluster, sizeof cluster);
    assert_int_equal(f.recovery.founding_bytes, 7);
    assert_memory_equal(f.recovery.founding, "founded", 7);
    fixture_stop(&f);
    fixture_free(&f);
}

/* An installed snapshot replaces a log that does not reach it. */
static void test_reset(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    for (int i = 0; i < 5; i++)
        (void)fixture_append(&f, 1, 1, 100);
    fixture_pump(&f);
    fixture_snapshot(&f, 100);
    assert_int_equal(log_reset(f.log, 5, 1, log_snapshot_newest(f.log).chain, fixture_task(&f)), 0);
    assert_int_equal(log_first(f.log), 6);
    assert_int_equal(log_last(f.log), 5);
    (void)fixture_append(&f, 1, 2, 100);
    fixture_pump(&f);
    assert_int_equal(f.task_status, 0);
    assert_int_equal(log_durable(f.log), 7);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.first, 6);
    assert_int_equal(f.recovery.last, 7);
    fixture_check_index(&f, 7, 1);
    fixture_stop(&f);
    fixture_free(&f);
}

/* With index 0: the chain that the very first batch follows, drawn from the founding record. */
static void test_reset_at_zero(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    assert_int_equal(log_reset(f.log, 0, 0, 0xabcdef, fixture_task(&f)), 0);
    (void)fixture_vote(&f, 1, 1);
    (void)fixture_append(&f, 1, 2, 100);
    fixture_pump(&f);
    assert_int_equal(f.task_status, 0);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.previous_chain, 0xabcdef);
    assert_int_equal(f.recovery.first, 1);
    assert_int_equal(f.recovery.last, 2);
    fixture_stop(&f);
    fixture_free(&f);
}

/* A node starts on a full disk too: its votes and its log are there, reads go on. */
static void full_disk_start(struct fixture *f)
{
    uint64_t durable = log_durable(f->log);

    fixture_crash(f, OS_MEM_DROP_ALL, 1);
    fixture_must_open(f);
    assert_int_equal(f->recovery.last, durable);
    assert_int_equal(f->recovery.term, 2);
    fixture_pump(f);
    assert_false(log_space_ok(f->log));
    fixture_check_index(f, durable, 0);
    (void)fixture_vote(f, 2, 3);
    fixture_pump(f);
    assert_int_equal(f->written, f->io);
}

/* A full disk: the reserve lasts, proposals are refused in time, appends wait, and it heals by itself. */
static void test_disk_full(void **state)
{
    struct fixture f;
    uint64_t last_io = 0;
    int appended = 0;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    fixture_pump(&f);
    os_mem_set_budget(f.mem, 3 * 65536 + 100000);
    while (log_space_ok(f.log) && appended < 1000) {
        (void)fixture_append(&f, 1, 1, 2000);
        fixture_pump(&f);
        appended++;
    }
    assert_in_range(appended, 20, 90);
    assert_int_equal(f.written, f.io); /* everything that was accepted is durable */
    assert_true(log_deadline(f.log) != UINT64_MAX);
    fixture_check_index(&f, 1, 1);
    (void)fixture_vote(&f, 2, 3); /* votes need no room */
    fixture_pump(&f);
    assert_int_equal(f.written, f.io);
    for (int i = 0; i < 40; i++) /* beyond the reserve: it waits, it does not fail */
        last_io = fixture_append(&f, 2, 1, 2000);
    fixture_pump(&f);
    assert_true(f.written < last_io);
    assert_int_equal(f.failures, 0);
    f.clock.mono_ns = log_deadline(f.log);
    log_wake(f.log, f.clock.mono_ns);
    fixture_pump(&f);
    assert_true(f.written < last_io);
    assert_false(log_space_ok(f.log));
    full_disk_start(&f);
    for (int i = 0; i < 40; i++)
        last_io = fixture_append(&f, 2, 1, 2000);
    fixture_pump(&f);
    assert_true(f.written < last_io);
    os_mem_set_budget(f.mem, 0);
    f.clock.mono_ns = log_deadline(f.log);
    log_wake(f.log, f.clock.mono_ns);
    fixture_pump(&f);
    assert_int_equal(f.written, last_io);
    assert_true(log_space_ok(f.log));
    assert_true(log_deadline(f.log) == UINT64_MAX);
    fixture_stop(&f);
    fixture_free(&f);
}

/* A hung disk: what is queued is bounded, and the node is told long before. */
static void test_backlog(void **state)
{
    struct fixture f;
    struct log_batch *batch;
    int told = 0;
    int taken = 0;
    int status = 0;

    (void)state;
    fixture_init(&f);
    f.options.segment_bytes = 4 << 20;
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    while (status == 0) {
        batch = fixture_batch(&f, 1, 1, 1000000);
        status = log_append(f.log, f.io + 1, batch);
        (void)log_batch_unref(batch);
        f.io += status == 0;
        taken += status == 0;
        if (told == 0 && log_backlogged(f.log))
            told = taken;
    }
    assert_int_equal(status, GAVEL_E_BUSY);
    assert_in_range(told, 32, 36);
    assert_in_range(taken, 64, 70);
    fixture_stop(&f); /* many segments are still to be made: a stop waits for them */
    fixture_must_open(&f);
    assert_int_equal(f.recovery.last, taken);
    fixture_stop(&f);
    fixture_free(&f);
}

/* One small append: one write, one sync, and the identity entry that nobody waits for; memory comes from the pool. */
static void test_cost_of_an_append(void **state)
{
    struct fixture f;
    struct log_batch *first;
    struct log_batch *again;
    uint64_t operations;
    uint64_t jobs;

    (void)state;
    fixture_init(&f);
    f.options.cache_bytes = 1;
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    (void)fixture_append(&f, 1, 1, 100);
    fixture_pump(&f);
    operations = os_mem_operations(f.mem);
    jobs = f.lanes.submitted;
    first = fixture_batch(&f, 1, 1, 100);
    assert_int_equal(log_append(f.log, ++f.io, first), 0);
    (void)log_batch_unref(first);
    fixture_pump(&f);
    assert_int_equal(f.written, f.io);
    assert_int_equal(os_mem_operations(f.mem) - operations, 3);
    assert_int_equal(f.lanes.submitted - jobs, 1);
    again = fixture_batch(&f, 1, 1, 100);
    assert_ptr_equal(again, first);
    (void)log_batch_unref(again);
    fixture_stop(&f);
    fixture_free(&f);
}

struct fault {
    enum os_mem_op op;
    int count;
    bool armed;
};

static int fail_once(void *ctx, enum os_mem_op op, const char *path)
{
    struct fault *fault = ctx;

    if (!fault->armed || op != fault->op || !strstr(path, ".seg"))
        return 0;
    fault->count++;
    return fault->count == 1 ? -5 : 0;
}

/* After a failed sync nothing is tried again, and nothing that depends on it is acknowledged. */
static void test_failed_sync(void **state)
{
    struct fault fault = {OS_MEM_SYNC, 0, true};
    struct fixture f;
    struct log_batch *batch;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    (void)fixture_append(&f, 1, 1, 100);
    fixture_pump(&f);
    os_mem_set_hook(f.mem, fail_once, &fault);
    batch = fixture_batch(&f, 1, 1, 100);
    assert_int_equal(log_append(f.log, ++f.io, batch), 0);
    (void)log_batch_unref(batch);
    fixture_pump(&f);
    assert_int_equal(f.failures, 1);
    assert_int_equal(f.written, f.io - 1);
    assert_int_equal(fault.count, 1); /* no second try */
    assert_int_equal(log_vote(f.log, ++f.io, 2, 1), GAVEL_E_IO);
    fixture_pump(&f);
    assert_int_equal(f.failures, 1);
    fixture_free(&f);
}

/*
 * The bytes of a failed sync may lie in clean pages: a next life could read them, and a sync would not bring them to
 * the disk. What that life reports as its log is what the disk holds.
 */
static void test_start_after_failed_sync(void **state)
{
    struct fault fault = {OS_MEM_SYNC, 0, true};
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    (void)fixture_append(&f, 1, 1, 100);
    fixture_pump(&f);
    os_mem_set_hook(f.mem, fail_once, &fault);
    (void)fixture_append(&f, 1, 3, 100);
    fixture_pump(&f);
    assert_int_equal(f.failures, 1);
    fixture_crash(&f, OS_MEM_KILL, 1);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.last, 1); /* it was never acknowledged */
    fixture_crash(&f, OS_MEM_DROP_ALL, 1);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.last, 1);
    fixture_stop(&f);
    fixture_free(&f);
}

/* An append of a new term is never durable before that term's vote record. */
static int stop_at_segment_write(void *ctx, enum os_mem_op op, const char *path)
{
    struct fixture *f = ctx;

    if (op == OS_MEM_WRITE && strstr(path, ".seg")) {
        os_mem_set_hook(f->mem, NULL, NULL);
        os_mem_stop_after(f->mem, 1);
    }
    return 0;
}

static void test_vote_before_append(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    fixture_pump(&f);
    os_mem_set_hook(f.mem, stop_at_segment_write, &f);
    (void)fixture_vote(&f, 1, 1); /* is under way while the next two become one group */
    (void)fixture_vote(&f, 9, 4);
    (void)fixture_append(&f, 9, 1, 100);
    fixture_pump(&f);
    fixture_crash(&f, OS_MEM_DROP_ALL, 1);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.term, 9);
    assert_int_equal(f.recovery.vote, 4);
    fixture_stop(&f);
    fixture_free(&f);
}

static void test_refusals(void **state)
{
    struct fixture f;
    struct log *second = NULL;
    struct log_recovery recovery;
    struct log_events events = {0};
    struct gavel_error error;
    struct log_cluster_id cluster = {{9}};
    uint64_t digest;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    assert_int_equal(log_open(&f.os, &f.options, &events, &second, &recovery, &error), GAVEL_E_BUSY);
    assert_int_equal(log_set_identity(f.log, &cluster, 42, fixture_task(&f)), 0);
    fixture_pump(&f);
    fixture_stop(&f);
    digest = os_mem_digest(f.mem);
    f.options.name = "node-2";
    assert_int_equal(fixture_open(&f), GAVEL_E_CONFIG);
    assert_non_null(strstr(f.error.text, "node-1"));
    f.options.name = "node-1";
    f.options.cluster_id.bytes[0] = 8;
    assert_int_equal(fixture_open(&f), GAVEL_E_CONFIG);
    f.options.cluster_id.bytes[0] = 9;
    assert_int_equal(os_mem_digest(f.mem), digest);
    fixture_free(&f);
}

/* What is newer in earnest has another checksum, or it elsewhere; a bit that flipped in the format alone is damage, for
 * which the newer release would be looked for in vain. */
static void test_a_newer_format(void **state)
{
    static const uint8_t newer[2] = {2, 0}, flipped[2] = {65, 0}, other[4] = {1, 2, 3, 4};
    struct fixture f;
    uint64_t digest;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    fixture_stop(&f);
    assert_int_equal(os_mem_poke(f.mem, "data/directory", 4, flipped, sizeof flipped), 0);
    assert_int_equal(fixture_open(&f), GAVEL_E_CORRUPT);
    assert_int_equal(f.recovery.row, 30);
    assert_int_equal(os_mem_poke(f.mem, "data/directory", 4, newer, sizeof newer), 0);
    assert_int_equal(os_mem_poke(f.mem, "data/directory", 124, other, sizeof other), 0);
    digest = os_mem_digest(f.mem);
    assert_int_equal(fixture_open(&f), GAVEL_E_VERSION);
    assert_non_null(strstr(f.error.text, "start the newer release"));
    assert_int_equal(os_mem_digest(f.mem), digest);
    fixture_free(&f);
}

static void test_not_a_data_directory(void **state)
{
    struct fixture f;
    struct os_file *file;
    uint64_t digest;

    (void)state;
    fixture_init(&f);
    assert_int_equal(os_mkdir(&f.os, "data", 0755), 0);
    assert_int_equal(os_open(&f.os, "data/thesis.txt", OS_OPEN_WRITE | OS_OPEN_CREATE, &file), 0);
    os_close(&f.os, file);
    digest = os_mem_digest(f.mem);
    assert_int_equal(fixture_open(&f), GAVEL_E_CONFIG);
    assert_non_null(strstr(f.error.text, "thesis.txt"));
    assert_int_equal(os_mem_digest(f.mem), digest);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_append_and_start_again),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_late_completion_does_not_count),
        cmocka_unit_test(test_the_same_again_is_another_write),
        cmocka_unit_test(test_group_commit),
        cmocka_unit_test(test_roll_over_and_read_back),
        cmocka_unit_test(test_read_many),
        cmocka_unit_test(test_read_checks),
        cmocka_unit_test(test_compact_and_recycle),
        cmocka_unit_test(test_trail),
        cmocka_unit_test(test_tasks),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_reset_at_zero),
        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_backlog),
        cmocka_unit_test(test_cost_of_an_append),
        cmocka_unit_test(test_failed_sync),
        cmocka_unit_test(test_start_after_failed_sync),
        cmocka_unit_test(test_vote_before_append),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_newer_format),
        cmocka_unit_test(test_not_a_data_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
