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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_append_and_start_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
