/* SPDX-License-Identifier: Apache-2.0 */
/* sim_test.c - what everything in the simulator rests on: the queue, the dice, the options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue.h"

#define EVENTS 500

/* Against the plain way: the smallest (moment, order) of all that are in. */
static struct sim_event *soonest(struct sim_event *events)
{
    struct sim_event *best = NULL;

    for (int i = 0; i < EVENTS; i++)
        if (events[i].place && (!best || events[i].at < best->at ||
                                (events[i].at == best->at && events[i].order < best->order)))
            best = &events[i];
    return best;
}

static void test_queue(void **state)
{
    static struct sim_event events[EVENTS];
    struct sim_queue queue = {0};
    struct sim_random dice = sim_split(7, 0);

    (void)state;
    for (int step = 0; step < 20000; step++) {
        struct sim_event *event = &events[sim_below(&dice, EVENTS)];
        uint64_t what = sim_below(&dice, 10);

        if (what < 6) {
            event->at = sim_below(&dice, 50);
            sim_queue_put(&queue, event);
        } else if (what < 7) {
            sim_queue_remove(&queue, event);
            assert_int_equal(event->place, 0);
        } else {
            struct sim_event *wanted = soonest(events);

            assert_ptr_equal(sim_queue_pop(&queue), wanted);
        }
    }
    sim_queue_free(&queue);
}

static void test_dice(void **state)
{
    struct sim_random one = sim_split(1, 2);
    struct sim_random same = sim_split(1, 2);
    struct sim_random other = sim_split(1, 3);
    uint64_t small = 0;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        uint64_t value = sim_magnitude(&one, 10, 100000);

        assert_in_range(value, 10, 100000);
        small += value < 1000;
        assert_int_equal(value, sim_magnitude(&same, 10, 100000));
        assert_in_range(sim_below(&other, 7), 0, 6);
    }
    assert_in_range(small, 3500, 6500); /* half of the orders of magnitude */
    assert_int_equal(sim_magnitude(&one, 5, 5), 5);
    assert_int_equal(sim_below(&one, 0), 0);
}

static void test_options(void **state)
{
    struct sim_options options;
    uint64_t quiet = 0;
    uint64_t sizes[8] = {0};

    (void)state;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        uint64_t faults = 0;

        sim_options_draw(&options, seed);
        for (uint64_t i = 0; i < sim_options_count(); i++) {
            const struct sim_option *row = sim_options_row(i);
            uint64_t value = *sim_options_value(&options, i);

            if (row->class == 0 || value)
                assert_in_range(value, row->low, row->high);
            faults += row->class && value && strcmp(sim_options_class(row->class), "members") != 0;
        }
        assert_int_not_equal(options.members_per_hour, 0);
        quiet += faults == 0;
        sizes[options.nodes]++;
    }
    for (uint64_t nodes = 1; nodes <= 7; nodes++)
        assert_in_range(sizes[nodes], 220, 350); /* one in seven */
    assert_in_range(quiet, 120, 280); /* one in ten */
    assert_true(sim_options_set(&options, "nodes=3"));
    assert_int_equal(options.nodes, 3);
    assert_true(sim_options_set(&options, "crash_per_hour=600"));
    assert_true(sim_options_set(&options, "crash=off"));
    assert_int_equal(options.crash_per_hour, 0);
    assert_false(sim_options_set(&options, "crash=on"));
    assert_false(sim_options_set(&options, "nodes"));
    assert_false(sim_options_set(&options, "nodes=0"));
    assert_false(sim_options_set(&options, "nodes=-1"));
    assert_false(sim_options_set(&options, "nodes=3x"));
    assert_false(sim_options_set(&options, "nodes=8"));
    assert_true(sim_options_set(&options, "value_bytes=8000"));
    assert_false(sim_options_set(&options, "value_bytes=8001"));
    assert_false(sim_options_set(&options, "nosuch=3"));
    assert_false(sim_options_set(&options, "nosuch=off"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_queue), cmocka_unit_test(test_dice),
                                       cmocka_unit_test(test_options)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
