/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_space_test.c - files of the log that come and go: what is dropped was not needed by any start, what cannot be
 * made now is made later.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "log_fixture.h"

static void pump_disk(struct fixture *f)
{
    while (os_inline_run(&f->lanes, OS_LANE_DISK) || os_inline_done(&f->lanes, OS_LANE_DISK)) {
    }
}

/* ---- compaction while a segment's first group is under way ---------------------------------------------- */

/*
 * The first segment ends at index 2, where a snapshot is, and the batch behind it opens the second one. It is still
 * with the log lane when the log is compacted.
 */
static void compact_below_a_first_group(struct fixture *f)
{
    struct log_figures figures;

    fixture_init(f);
    fixture_must_open(f);
    (void)fixture_vote(f, 1, 1);
    (void)fixture_append(f, 1, 1, 100);
    fixture_pump(f);
    fixture_stop(f);
    fixture_must_open(f); /* the start writes down, durably, what is proved */
    (void)fixture_append(f, 1, 1, 40000);
    fixture_pump(f);
    fixture_snapshot(f, 100);
    assert_int_equal(f->task_status, 0);
    (void)fixture_append(f, 1, 1, 40000);
    log_figures(f->log, &figures);
    assert_int_equal(figures.segments, 2);
    log_compact(f->log, 2);
    pump_disk(f);
}

/* The power goes before the group is there: the snapshot holds everything, and a lone node must start with it. */
static void test_the_last_proved_segment_stays(void **state)
{
    struct fixture f;

    (void)state;
    compact_below_a_first_group(&f);
    fixture_crash(&f, OS_MEM_DROP_ALL, 1);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.last, 2);
    fixture_stop(&f);
    fixture_free(&f);
}

/* The next compaction, when the group is durable, takes it. */
static void test_the_last_proved_segment_goes_later(void **state)
{
    struct log_figures figures;
    struct fixture f;

    (void)state;
    compact_below_a_first_group(&f);
    fixture_pump(&f);
    assert_int_equal(log_first(f.log), 1);
    log_compact(f.log, 2);
    fixture_pump(&f);
    log_figures(f.log, &figures);
    assert_int_equal(figures.segments, 1);
    assert_int_equal(log_first(f.log), 3);
    fixture_crash(&f, OS_MEM_DROP_ALL, 1);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.last, 3);
    fixture_stop(&f);
    fixture_free(&f);
}

/* ---- what cannot be done now ---------------------------------------------------------------------------- */

struct refusal {
    enum os_mem_op op;
    const char *path; /* a part of it */
    int error;
    int count; /* how often it was met */
    int skip;  /* and how often it is let through before */
};

static int refuse(void *ctx, enum os_mem_op op, const char *path)
{
    struct refusal *refusal = ctx;

    if (op != refusal->op || !strstr(path, refusal->path) || refusal->skip-- > 0)
        return 0;
    refusal->count++;
    return refusal->error;
}

/* Time goes on to the next look. */
static void look_again(struct fixture *f)
{
    assert_true(log_deadline(f->log) != UINT64_MAX);
    f->clock.mono_ns = log_deadline(f->log);
    log_wake(f->log, f->clock.mono_ns);
    fixture_pump(f);
}

static uint32_t files_in(struct fixture *f, const char *dir)
{
    struct os_mem_entry entry;
    uint32_t count = 0;

    for (uint32_t i = 0; os_mem_entry(f->mem, i, &entry); i++)
        count += !entry.is_dir && strncmp(entry.path, dir, strlen(dir)) == 0;
    return count;
}

/* No descriptor, no memory, no room for the name: the node waits for that as for room on the disk. */
static void test_a_segment_is_made_later(void **state)
{
    static const struct refusal rows[] = {
        {OS_MEM_OPEN, "spare.new", -EMFILE, 0, 0},     {OS_MEM_OPEN, "spare.new", -ENFILE, 0, 0},
        {OS_MEM_OPEN, "spare.new", -ENOMEM, 0, 0},     {OS_MEM_SYNC_DIR, "data/log", -EMFILE, 0, 0},
        {OS_MEM_SYNC_DIR, "data/log", -ENOSPC, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct refusal refusal = rows[i];
        struct fixture f;
        uint32_t files;
        int appended;

        fixture_init(&f);
        fixture_must_open(&f);
        files = files_in(&f, "data/log/");
        os_mem_set_hook(f.mem, refuse, &refusal);
        (void)fixture_vote(&f, 1, 1);
        fixture_pump(&f);
        for (appended = 0; log_space_ok(f.log) && appended < 100; appended++) {
            (void)fixture_append(&f, 1, 1, 2000);
            fixture_pump(&f);
        }
        assert_in_range(appended, 5, 90);
        assert_int_equal(log_space_error(f.log), rows[i].error);
        for (int j = 0; j < 3; j++)
            look_again(&f);
        assert_true(refusal.count >= 4);
        assert_int_equal(f.failures, 0);
        os_mem_set_hook(f.mem, NULL, NULL);
        assert_int_equal(os_sync_dir(&f.os, "data/log"), 0);
        assert_int_equal(files_in(&f, "data/log/"), files); /* no try has left anything */
        look_again(&f);
        assert_true(log_space_ok(f.log));
        assert_int_equal(log_space_error(f.log), 0);
        assert_int_equal(f.written, f.io);
        fixture_stop(&f);
        fixture_free(&f);
    }
}

/* Many segments are left behind by a compaction: there is no descriptor to make that durable with, or no room to write
 * the header of one that is used again, or its name. */
static void test_a_segment_goes_later(void **state)
{
    static const struct refusal rows[] = {
        {OS_MEM_SYNC_DIR, "data/log", -EMFILE, 0, 0}, {OS_MEM_RENAME, "data/log", -ENOSPC, 0, 0},
        {OS_MEM_WRITE, "data/log", -ENOSPC, 0, 0},    {OS_MEM_SYNC, "data/log", -ENOSPC, 0, 0},
        {OS_MEM_UNLINK, "data/log", -ENOSPC, 0, 0},
    };

    (void)state;
    for (int i = 0; i < 5 * 3; i++) {
        struct refusal refusal = rows[i / 3];
        struct log_figures figures;
        struct fixture f;
        uint32_t others;

        refusal.skip = i % 3;
        fixture_init(&f);
        fixture_must_open(&f);
        (void)fixture_vote(&f, 1, 1);
        for (int j = 0; j < 320; j++) {
            (void)fixture_append(&f, 1, 1, 2000);
            fixture_pump(&f);
        }
        fixture_snapshot(&f, 100);
        log_figures(f.log, &figures);
        others = files_in(&f, "data/log/") - figures.segments - figures.spares;
        os_mem_set_hook(f.mem, refuse, &refusal);
        log_compact(f.log, 320);
        fixture_pump(&f);
        assert_true(refusal.count > 0);
        assert_int_equal(log_space_error(f.log), refusal.error); /* told: with no spare, writes would wait for this */
        assert_int_equal(f.failures, 0);
        for (int j = 0; j < 8 && log_deadline(f.log) != UINT64_MAX; j++)
            look_again(&f);
        assert_int_equal(f.failures, 0);
        os_mem_set_hook(f.mem, NULL, NULL);
        if (log_deadline(f.log) != UINT64_MAX)
            look_again(&f);
        log_figures(f.log, &figures);
        assert_int_equal(figures.segments, 1);
        assert_true(log_space_ok(f.log));
        assert_int_equal(log_space_error(f.log), 0);
        assert_int_equal(os_sync_dir(&f.os, "data/log"), 0);
        assert_int_equal(files_in(&f, "data/log/"), others + figures.segments + figures.spares);
        (void)fixture_append(&f, 1, 1, 2000);
        fixture_pump(&f);
        assert_int_equal(f.written, f.io);
        fixture_crash(&f, OS_MEM_DROP_ALL, 1);
        fixture_must_open(&f);
        assert_int_equal(f.recovery.start, LOG_START_OK);
        assert_int_equal(f.recovery.last, 321);
        fixture_stop(&f);
        fixture_free(&f);
    }
}

/* But a sync of the directory that has failed is never made again: it would say that all is well. */
static void test_a_failed_sync_of_names_ends_it(void **state)
{
    struct refusal refusal = {OS_MEM_SYNC_DIR, "data/log", -ENOSPC, 0, 0};
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    for (int i = 0; i < 320; i++) {
        (void)fixture_append(&f, 1, 1, 2000);
        fixture_pump(&f);
    }
    fixture_snapshot(&f, 100);
    os_mem_set_hook(f.mem, refuse, &refusal);
    log_compact(f.log, 320);
    fixture_pump(&f);
    assert_int_equal(f.failures, 1);
    assert_int_equal(refusal.count, 1);
    fixture_free(&f);
}

/* A record that cannot be written now: the answer says so, and the log goes on. */
static void test_a_record_is_written_later(void **state)
{
    struct refusal refusal = {OS_MEM_OPEN, "fenced.new", -EMFILE, 0, 0};
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    os_mem_set_hook(f.mem, refuse, &refusal);
    assert_int_equal(log_set_fence(f.log, 7, fixture_task(&f)), 0);
    fixture_pump(&f);
    assert_int_equal(f.task_status, GAVEL_E_NO_SPACE);
    assert_non_null(strstr(f.task.error.text, strerror(EMFILE)));
    assert_int_equal(f.failures, 0);
    os_mem_set_hook(f.mem, NULL, NULL);
    assert_int_equal(log_set_fence(f.log, 7, fixture_task(&f)), 0);
    fixture_pump(&f);
    assert_int_equal(f.task_status, 0);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.fence, 7);
    fixture_stop(&f);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_proved_segment_stays),
        cmocka_unit_test(test_the_last_proved_segment_goes_later),
        cmocka_unit_test(test_a_segment_is_made_later),
        cmocka_unit_test(test_a_segment_goes_later),
        cmocka_unit_test(test_a_failed_sync_of_names_ends_it),
        cmocka_unit_test(test_a_record_is_written_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
