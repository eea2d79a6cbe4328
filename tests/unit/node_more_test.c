/* SPDX-License-Identifier: Apache-2.0 */
/* node_more_test.c - whole nodes at their edges: stops at any moment, full rings, small limits, slow lanes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node_cluster.h"

#define SEED 20261124

static const char *const plus_one[] = {"name=hits", NULL};

static void three(struct cluster *cluster)
{
    cluster_init(cluster, 3, SEED);
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 3000));
}

static bool all_applied(struct cluster *cluster)
{
    int leader = cluster_leader(cluster);

    if (leader < 0)
        return false;
    for (uint32_t i = 0; i < cluster->count; i++)
        if (cluster->nodes[i].node && node_applied(cluster->nodes[i].node) != node_commit(cluster->nodes[leader].node))
            return false;
    return true;
}

/* Single steps, and a millisecond after each few. */
static void creep(struct cluster *cluster, uint32_t steps)
{
    for (uint32_t i = 1; i <= steps; i++) {
        cluster_steps(cluster, 1);
        if (i % 20 == 0)
            cluster->clock.mono_ns += 1000000;
    }
}

/* ---- founding ------------------------------------------------------------------------------------------ */

/* The power of one or of all goes at every step of a founding; then it goes on, or begins again. */
static void test_a_founding_may_be_cut_short_at_every_step(void **state)
{
    static const enum os_mem_crash how[] = {OS_MEM_KEEP_ALL, OS_MEM_DROP_ALL, OS_MEM_RANDOM};

    (void)state;
    for (uint32_t moment = 0; moment < 240; moment += 5) {
        struct cluster cluster;

        cluster_init(&cluster, 3, SEED + moment);
        cluster_start_all(&cluster);
        creep(&cluster, moment);
        for (uint32_t i = 0; i < 3; i++) {
            if (moment % 4 != i && moment % 4 != 3)
                continue;
            cluster_crash(&cluster, i, how[moment / 4 % 3]);
            cluster_start(&cluster, i);
            if (cluster.nodes[i].exit_code >= 0)
                fail_msg("moment %u: %s", moment, cluster.nodes[i].fatal);
        }
        if (!cluster_until(&cluster, all_applied, 10000))
            fail_msg("no cluster after a crash at step %u", moment);
        cluster_free(&cluster);
    }
}

/* ---- stopping ------------------------------------------------------------------------------------------ */

static void expect_clean_stop(struct cluster *cluster, uint32_t number, uint32_t moment)
{
    struct cluster_node *node = &cluster->nodes[number];

    node_stop(node->node);
    for (int i = 0; i < 5000 && !node->stopped && node->exit_code < 0; i++)
        cluster_run(cluster, 1);
    if (!node->stopped || node->exit_code >= 0)
        fail_msg("a stop after %u steps: stopped %d, exit %d: %s", moment, node->stopped, node->exit_code,
                 node->exit_code >= 0 ? node->fatal : "");
    cluster_end(cluster, number);
}

/* Founding, restoring and electing are cut short by a stop after any number of steps, and begin again. */
static void test_a_stop_is_clean_at_every_moment_of_a_start(void **state)
{
    (void)state;
    for (uint32_t moment = 0; moment < 160; moment += 5) {
        struct cluster cluster;
        uint32_t victim = moment % 3;

        cluster_init(&cluster, 3, SEED + moment);
        cluster.limits.snapshot_entries = 1;
        cluster.limits.snapshot_log_min = 1;
        cluster_start_all(&cluster);
        creep(&cluster, moment);
        expect_clean_stop(&cluster, victim, moment);
        cluster_start(&cluster, victim);
        creep(&cluster, moment / 8);
        expect_clean_stop(&cluster, victim, moment);
        cluster_start(&cluster, victim);
        assert_true(cluster_until(&cluster, cluster_has_leader, 10000));
        assert_true(cluster_until(&cluster, all_applied, 10000));
        cluster_free(&cluster);
    }
}

/* The log finishes slowly: meanwhile nothing may be asked of it, and the loop has to rest. */
static void test_a_stop_waits_for_a_slow_disk(void **state)
{
    struct cluster cluster;
    int leader;

    (void)state;
    for (uint32_t which = 0; which < 3; which++) {
        three(&cluster);
        leader = cluster_leader(&cluster);
        cluster.nodes[which].stalled_until = cluster.clock.mono_ns + UINT64_C(5000000000);
        node_stop(cluster.nodes[which].node);
        cluster_run(&cluster, 4900);
        assert_false(cluster.nodes[which].stopped);
        assert_int_equal(cluster.nodes[which].exit_code, -1);
        cluster_run(&cluster, 1000);
        assert_int_equal(cluster.nodes[which].exit_code, -1);
        assert_true(cluster.nodes[which].stopped);
        cluster_end(&cluster, which);
        assert_true(leader >= 0);
        cluster_free(&cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_founding_may_be_cut_short_at_every_step),
        cmocka_unit_test(test_a_stop_is_clean_at_every_moment_of_a_start),
        cmocka_unit_test(test_a_stop_waits_for_a_slow_disk),
    };

    (void)plus_one;
    cmocka_set_test_filter(getenv("GAVEL_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
