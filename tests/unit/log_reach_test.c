/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_reach_test.c - how far a recovery has to come: to where the log ended, not to what a deposed leader had in it.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/log/reach.h"
#include "log_damage.h"

#define TAIL 40 /* the deposed leader's last index */

/* Entries 1 to 5 in term 1, a tail of it up to TAIL, which term 2 takes back and appends 6 and 7. */
static void make(struct fixture *f, uint32_t bytes)
{
    fixture_init(f);
    f->options.trail_bytes = 1 << 20;
    fixture_must_open(f);
    (void)fixture_vote(f, 1, 1);
    for (int i = 0; i < TAIL; i++) {
        (void)fixture_append(f, 1, 1, bytes);
        fixture_pump(f);
    }
    (void)fixture_truncate(f, 6);
    (void)fixture_vote(f, 2, 2);
    (void)fixture_append(f, 2, 1, bytes);
    fixture_pump(f);
    (void)fixture_append(f, 2, 1, bytes);
    fixture_pump(f);
    fixture_stop(f);
}

/* In one segment, and with the tail in several; by the identity entry, and by the frames alone. */
static void test_a_truncated_tail_does_not_count(void **state)
{
    static const uint32_t sizes[] = {100, 5000};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fixture f;

        make(&f, sizes[i / 2]);
        if (i % 2)
            damage_erase_identities(&f);
        damage_spoil(&f, 3, 200);
        damage_expect_recovers(&f, 2, 7);
        fixture_free(&f);
    }
}

/* Nothing proves the last group: the truncation in it may be what lay there before, and the log as long as it was. */
static void test_a_truncation_in_the_last_group_proves_nothing(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    for (int i = 0; i < 8; i++) {
        (void)fixture_append(&f, 1, 1, 100);
        fixture_pump(&f);
    }
    (void)fixture_truncate(&f, 6);
    fixture_pump(&f);
    fixture_stop(&f);
    damage_spoil(&f, 3, 200);
    damage_erase_identities(&f);
    damage_expect_recovers(&f, 2, 8);
    fixture_free(&f);
}

/* With it the group is proved: there the log ended. */
static void test_an_identity_entry_knows_the_end(void **state)
{
    struct log_reach reach = {.known_group = 4, .known_index = 9};

    (void)state;
    reach.index = 20;
    assert_int_equal(log_reach_index(&reach), 9);
    reach.known_group = 0;
    assert_int_equal(log_reach_index(&reach), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_truncated_tail_does_not_count),
        cmocka_unit_test(test_a_truncation_in_the_last_group_proves_nothing),
        cmocka_unit_test(test_an_identity_entry_knows_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
