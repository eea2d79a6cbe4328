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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_proved_segment_stays),
        cmocka_unit_test(test_the_last_proved_segment_goes_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
