/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-reload.c - unit test: the tables of moves of a reload and of its parts, and when two values count as the same.
 * What the moves do is shown with whole nodes in tests/cluster/swap_test.c and reload_test.c.
 */
#include "core/host/option.h"
#include "core/host/reload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Each step and all that may follow: nothing that is missing here may be allowed. */
static void test_steps(void **state)
{
    static const unsigned wanted[HOST_RELOAD_STEPS] = {
        [HOST_RELOAD_IDLE] = 1u << HOST_RELOAD_CHECKING,
        [HOST_RELOAD_CHECKING] = 1u << HOST_RELOAD_STARTING | 1u << HOST_RELOAD_IDLE,
        [HOST_RELOAD_STARTING] = 1u << HOST_RELOAD_PUBLISHING | 1u << HOST_RELOAD_UNDOING,
        [HOST_RELOAD_PUBLISHING] = 1u << HOST_RELOAD_SWAPPING | 1u << HOST_RELOAD_UNDOING,
        [HOST_RELOAD_SWAPPING] = 1u << HOST_RELOAD_DRAINING,
        [HOST_RELOAD_DRAINING] = 1u << HOST_RELOAD_IDLE,
        [HOST_RELOAD_UNDOING] = 1u << HOST_RELOAD_IDLE,
    };

    (void)state;
    for (unsigned from = 0; from < HOST_RELOAD_STEPS; from++)
        for (unsigned to = 0; to < HOST_RELOAD_STEPS; to++)
            assert_int_equal(host_reload_may(from, to), wanted[from] >> to & 1);
}

/* From wherever a step may lead, idle is reached again; and nothing behind the swap leads to an undoing. */
static void test_every_reload_ends(void **state)
{
    (void)state;
    for (unsigned from = 0; from < HOST_RELOAD_STEPS; from++) {
        bool reached[HOST_RELOAD_STEPS] = {false};

        reached[from] = true;
        for (unsigned round = 0; round < HOST_RELOAD_STEPS; round++)
            for (unsigned a = 0; a < HOST_RELOAD_STEPS; a++)
                for (unsigned b = 0; b < HOST_RELOAD_STEPS && reached[a] && (round == 0 || a != HOST_RELOAD_IDLE); b++)
                    reached[b] = reached[b] || host_reload_may(a, b);
        assert_true(reached[HOST_RELOAD_IDLE]);
        if (from == HOST_RELOAD_SWAPPING || from == HOST_RELOAD_DRAINING)
            assert_false(reached[HOST_RELOAD_UNDOING]);
    }
}

/* A part serves only after it was started beside the old one; one that leaves never serves again. */
static void test_parts(void **state)
{
    (void)state;
    for (unsigned from = 0; from < HOST_PART_STATES; from++) {
        assert_false(host_part_may(from, HOST_PART_MADE));
        assert_int_equal(host_part_may(from, HOST_PART_BESIDE), from == HOST_PART_MADE);
        assert_int_equal(host_part_may(from, HOST_PART_SERVING), from == HOST_PART_BESIDE);
        assert_int_equal(host_part_may(from, HOST_PART_LEAVING),
                         from == HOST_PART_BESIDE || from == HOST_PART_SERVING);
        assert_int_equal(host_part_may(from, HOST_PART_QUIET), from != HOST_PART_MADE && from != HOST_PART_QUIET);
    }
}

static int read_value(struct host_raft_options *options, struct host_arena *arena, const char *key, const char *text)
{
    const struct gavel_fields *table = &host_raft_fields;
    void *object = options;
    uint64_t row;
    struct gavel_error error;

    memset(options, 0, sizeof *options);
    assert_int_equal(host_option_find(&table, &object, key, &row), GAVEL_OK);
    assert_int_equal(host_option_set(table, row, text, options, arena, &error), GAVEL_OK);
    return (int)row;
}

/* It is the value that counts, not how it was written. */
static void test_same(void **state)
{
    struct host_raft_options one, other;
    struct host_arena arena = {0};
    uint64_t row = (uint64_t)read_value(&one, &arena, "redial_max", "2s");

    (void)state;
    (void)read_value(&other, &arena, "redial_max", "2000ms");
    assert_true(host_reload_same(&host_raft_fields, row, &one, &other));
    (void)read_value(&other, &arena, "redial_max", "2001ms");
    assert_false(host_reload_same(&host_raft_fields, row, &one, &other));
    memset(&other, 0, sizeof other);
    assert_false(host_reload_same(&host_raft_fields, row, &one, &other));
    host_arena_free(&arena);
}

/* To the node 0 is its own default, 32 and 64 MiB here; in the file it is as little as can be. */
static void test_zero_is_no_default(void **state)
{
    static struct host_config config;
    struct node_limits limits = host_process_limits(&config);

    (void)state;
    assert_int_equal(limits.log_trailing_bytes, 1);
    assert_int_equal(limits.snapshot_log_min, 1);
    assert_int_equal(limits.transfer_rate, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_is_no_default),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_every_reload_ends),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_same),
    };

    return cmocka_run_group_tests_name("host-reload", tests, NULL, NULL);
}
