/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition_test.c - a partition counts where it is felt: when a connection was open over one of its links as it was
 * cut, or one has held something since. Nodes of the network alone, between which the test dials as it likes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fate_internal.h"
#include "net_world.h"

#define NODES 5u
#define DRAWS 400
#define MOST_MS 1000 /* a partition lasts so long, and takes as long again at most to come and to go, link by link */
#define OVER_MS 100000

static struct sim_node *leads;
static uint32_t joined;

uint32_t fate_span(const struct sim_fate *fate)
{
    return fate->sim->founders + joined;
}

struct sim_node *fate_leader(const struct sim_fate *fate)
{
    (void)fate;
    return leads;
}

static struct world *network(uint32_t nodes)
{
    struct sim_options options = {.partition_ms = MOST_MS};
    struct world *world = world_new(1, &options, nodes, 0);

    world->sim.founders = nodes;
    world->sim.fate = calloc(1, sizeof *world->sim.fate);
    assert_non_null(world->sim.fate);
    world->sim.fate->sim = &world->sim;
    world->sim.fate->dice = sim_split(11, 0);
    leads = &world->sim.nodes[1];
    return world;
}

static void discard(struct world *world)
{
    fate_partitions_end(world->sim.fate);
    free(world->sim.fate);
    world_free(world);
}

/* One of these begins, and is over when this returns. Returns the number of links; 0: it was none. */
static uint32_t one(struct world *world)
{
    struct fate_partition *partition = &world->sim.fate->partitions[FATE_PARTITIONS - 1];

    partition->count = 0;
    fate_partition(world->sim.fate);
    run_ms(world, OVER_MS);
    assert_false(partition->used);
    return partition->count;
}

static uint64_t shapes(const struct sim_totals *totals)
{
    return totals->isolations + totals->one_ways + totals->halves + totals->rings + totals->bridges +
           totals->minority_leaders;
}

static void assert_none(const struct sim_totals *totals)
{
    assert_int_equal(totals->partitions + totals->cut_one_by_one + totals->joined_cut + shapes(totals), 0);
}

/* Each node dials each other one, and stays; connections that silence has ended are dialled anew. */
static void connect_all(struct world *world)
{
    for (uint32_t a = 0; a < NODES; a++)
        for (uint32_t b = 0; b < NODES; b++)
            if (a != b)
                (void)dial(world, a, b);
    run_ms(world, 100);
}

static void test_between_nodes_that_are_connected(void **state)
{
    struct sim_totals sum = {0};
    uint64_t drawn = 0;

    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        struct world *world = network(NODES);
        struct sim_totals *totals = &world->sim.totals;
        bool was;

        world->sim.fate->dice = sim_split(i, 0);
        connect_all(world);
        was = one(world) > 0;
        assert_int_equal(totals->partitions, was);
        assert_true(shapes(totals) <= totals->partitions);
        assert_int_equal(totals->joined_cut, 0);
        drawn += was;
        sum.isolations += totals->isolations;
        sum.one_ways += totals->one_ways;
        sum.halves += totals->halves;
        sum.rings += totals->rings;
        sum.bridges += totals->bridges;
        sum.minority_leaders += totals->minority_leaders;
        sum.cut_one_by_one += totals->cut_one_by_one;
        discard(world);
    }
    assert_true(drawn > DRAWS * 9 / 10);
    assert_in_range(sum.isolations, DRAWS / 16, DRAWS / 4); /* an eighth, each */
    assert_in_range(sum.one_ways, DRAWS / 8, DRAWS / 2);
    assert_in_range(sum.halves, DRAWS / 16, DRAWS / 4);
    assert_in_range(sum.rings, DRAWS / 16, DRAWS / 4);
    assert_in_range(sum.bridges, DRAWS / 16, DRAWS / 4);
    assert_in_range(sum.minority_leaders, DRAWS / 16, DRAWS / 4);
    assert_in_range(sum.cut_one_by_one, DRAWS / 4, DRAWS * 3 / 4);
}

static void test_where_nobody_is_connected_there_is_none(void **state)
{
    struct world *world = network(NODES);
    uint64_t drawn = 0;

    (void)state;
    for (int i = 0; i < DRAWS; i++)
        drawn += one(world) > 0;
    assert_true(drawn > DRAWS * 9 / 10);
    assert_none(&world->sim.totals);
    discard(world);
}

/* Of five nodes two are connected: what lies between others is none, and what comes link by link needs two of them. */
static void test_between_two_of_five(void **state)
{
    uint64_t partitions = 0;

    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        struct world *world = network(NODES);
        struct line *line = dial(world, 0, 1);
        struct fate_partition *partition = &world->sim.fate->partitions[FATE_PARTITIONS - 1];
        uint32_t over = 0;

        world->sim.fate->dice = sim_split(i, 0);
        run_ms(world, 100);
        assert_true(line->open);
        (void)one(world);
        for (uint32_t k = 0; k < partition->count; k++)
            over += partition->links[k].from + partition->links[k].to == 1;
        assert_int_equal(world->sim.totals.partitions, over > 0);
        assert_int_equal(world->sim.totals.cut_one_by_one, partition->one_by_one && over == 2);
        partitions += world->sim.totals.partitions;
        discard(world);
    }
    assert_in_range(partitions, DRAWS / 4, DRAWS * 9 / 10);
}

/* Nobody was connected when it came, but somebody dials, into the void. */
static void test_what_is_held_is_felt(void **state)
{
    struct world *world = network(2);
    struct sim_net *net = world->sim.net;
    struct line *there;

    (void)state;
    sim_net_cut(net, 0, 1, true);
    assert_false(sim_net_cut_felt(net, 0, 1));
    run_ms(world, 100);
    assert_false(sim_net_cut_felt(net, 0, 1));
    (void)dial(world, 0, 1);
    run_ms(world, 100);
    assert_true(sim_net_cut_felt(net, 0, 1));
    assert_false(sim_net_cut_felt(net, 1, 0)); /* not cut */
    sim_net_cut(net, 0, 1, false);
    assert_false(sim_net_cut_felt(net, 0, 1)); /* nor is this one now */
    run_ms(world, 10000);

    /* A cut begins anew. */
    sim_net_cut(net, 1, 0, true);
    run_ms(world, 60000);
    sim_net_cut(net, 1, 0, false);
    run_ms(world, 60000);
    for (uint32_t i = 0; i < world->hosts[0].line_count; i++)
        assert_false(world->hosts[0].lines[i]->open);
    sim_net_cut(net, 0, 1, true);
    assert_false(sim_net_cut_felt(net, 0, 1));
    sim_net_cut(net, 0, 1, false);

    /* A connection that is open is enough. */
    (void)pair(world, &there);
    sim_net_cut(net, 0, 1, true);
    assert_true(sim_net_cut_felt(net, 0, 1));
    discard(world);
}

/* The second phase ends those that are under way, in whatever state they are: they count. */
static void test_those_that_are_ended_count(void **state)
{
    uint64_t coming = 0;
    uint64_t lasting = 0;
    uint64_t going = 0;

    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        struct world *world = network(NODES);
        struct fate_partition *partition = &world->sim.fate->partitions[FATE_PARTITIONS - 1];
        bool felt;

        world->sim.fate->dice = sim_split(i, 0);
        connect_all(world);
        fate_partition(world->sim.fate);
        run_ms(world, i % 10 * 300);
        coming += partition->used && !partition->healing && partition->next;
        lasting += partition->used && partition->healing && !partition->next;
        going += partition->used && partition->healing && partition->next;
        felt = partition->count && (partition->healing || partition->next);
        fate_partitions_end(world->sim.fate);
        assert_int_equal(world->sim.totals.partitions, felt);
        assert_false(partition->used);
        discard(world); /* which ends it again */
    }
    assert_true(coming > 10);
    assert_true(lasting > 10);
    assert_true(going > 10);
}

/* A cluster founded by one: the same, and it counts besides. */
static void test_founded_by_one(void **state)
{
    struct world *world = network(2);
    struct line *there;

    (void)state;
    (void)pair(world, &there);
    world->sim.founders = 1;
    (void)one(world);
    assert_none(&world->sim.totals); /* alone still */
    joined = 1;
    while (!one(world))
        ;
    assert_int_equal(world->sim.totals.joined_cut, world->sim.totals.partitions);
    assert_int_equal(world->sim.totals.joined_cut, 1);
    joined = 0;
    discard(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_between_nodes_that_are_connected),
        cmocka_unit_test(test_where_nobody_is_connected_there_is_none),
        cmocka_unit_test(test_between_two_of_five),
        cmocka_unit_test(test_what_is_held_is_felt),
        cmocka_unit_test(test_those_that_are_ended_count),
        cmocka_unit_test(test_founded_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
