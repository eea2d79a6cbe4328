/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_seed_test.c - nodes that know only addresses: N of them found one cluster, never two, whoever comes first, falls
 * or is cut off meanwhile; and none of it matters once there is a cluster.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/internal.h"
#include "node_member.h"

static void scouts(struct cluster *cluster, uint32_t number, uint32_t seeds, uint32_t expect)
{
    struct cluster_node *node = &cluster->nodes[number];

    node->discovers = true;
    node->expect = expect;
    node->seed_count = seeds;
    for (uint32_t i = 0; i < seeds; i++)
        node->seeds[i] = cluster->nodes[i].uri; /* its own among them */
}

static void prepare(struct cluster *cluster, uint32_t count, uint32_t expect, uint64_t seed)
{
    cluster_init(cluster, count, seed);
    for (uint32_t i = 0; i < count; i++)
        scouts(cluster, i, count, expect);
}

static bool formed(const struct cluster *cluster, uint32_t number)
{
    return cluster->nodes[number].node && node_formed(cluster->nodes[number].node);
}

/* How many cluster ids there are among those who belong to one. */
static uint32_t clusters(const struct cluster *cluster)
{
    struct log_cluster_id ids[CLUSTER_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < cluster->count; i++) {
        bool known = false;

        if (!formed(cluster, i))
            continue;
        for (uint32_t k = 0; k < count; k++)
            known = known || memcmp(&ids[k], &cluster->nodes[i].node->cluster_id, sizeof ids[k]) == 0;
        if (!known)
            ids[count++] = cluster->nodes[i].node->cluster_id;
    }
    return count;
}

static bool all_formed(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        if (!formed(cluster, i))
            return false;
    return cluster_leader(cluster) >= 0;
}

static void test_in_any_order(void **state)
{
    static const uint32_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

    (void)state;
    for (int k = 0; k < 6; k++) {
        struct cluster cluster;
        struct gavel_slice list;

        prepare(&cluster, 3, 3, 100 + (uint64_t)k);
        cluster.loud = getenv("LOUD") != NULL;
        for (int i = 0; i < 3; i++) {
            assert_int_equal(clusters(&cluster), 0); /* two are not three */
            cluster_start(&cluster, orders[k][i]);
            cluster_run(&cluster, 3000);
        }
        assert_true(cluster_until(&cluster, all_formed, 10000));
        assert_int_equal(clusters(&cluster), 1);
        assert_int_equal(cluster.nodes[0].node->member_id, 1); /* the lowest name founds */
        list = member_list_at(&cluster, 2);
        assert_int_equal(codec_value_count(codec_map_find(list, "members")), 3);
        assert_true(gavel_slice_equal(codec_string_or(codec_array_at(codec_map_find(member_entry(list, "n3"),
                                      "addresses"), 0), ""), gavel_text(cluster.nodes[2].uri)));
        member_write_some(&cluster, 1, 5);
        cluster_free(&cluster);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 7; count += 2) {
        struct cluster cluster;

        prepare(&cluster, count, count, 200 + count);
        cluster_start_all(&cluster);
        assert_true(cluster_until(&cluster, all_formed, 20000));
        assert_int_equal(clusters(&cluster), 1);
        cluster_free(&cluster);
    }
}

/* A node that is in a cluster asks nobody at its start: seeds that lead nowhere change nothing, nor do others there. */
static void test_a_restart_discovers_nothing(void **state)
{
    struct cluster cluster;
    struct log_cluster_id id;

    (void)state;
    prepare(&cluster, 3, 3, 300);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, all_formed, 10000));
    id = cluster.nodes[0].node->cluster_id;
    for (uint32_t i = 0; i < 3; i++)
        cluster_crash(&cluster, i, OS_MEM_KEEP_ALL);
    for (uint32_t i = 0; i < 3; i++) {
        cluster.nodes[i].seeds[0] = "mem://nobody";
        cluster.nodes[i].seed_count = 1;
        cluster.nodes[i].expect = 1; /* even this */
        cluster_start(&cluster, i);
    }
    assert_true(cluster_until(&cluster, all_formed, 10000));
    assert_int_equal(clusters(&cluster), 1);
    assert_memory_equal(&cluster.nodes[2].node->cluster_id, &id, sizeof id);
    cluster_free(&cluster);
}

/* More than N, or a seed that is in a cluster: nobody founds. */
static void test_too_many_found_nothing(void **state)
{
    struct cluster cluster;

    (void)state;
    prepare(&cluster, 4, 3, 400);
    cluster_start_all(&cluster);
    cluster_run(&cluster, 20000);
    assert_int_equal(clusters(&cluster), 0);
    assert_true(member_status_says(&cluster, 1, "4 of the 3 nodes"));
    cluster_crash(&cluster, 3, OS_MEM_KEEP_ALL); /* the one too many */
    cluster.count = 3;
    assert_true(cluster_until(&cluster, all_formed, 20000));
    cluster.count = 4;
    cluster_start(&cluster, 3); /* and now it meets a cluster: it waits, and joins when it is added */
    cluster_run(&cluster, 5000);
    assert_int_equal(clusters(&cluster), 1);
    assert_false(formed(&cluster, 3));
    assert_true(member_status_says(&cluster, 3, "it waits to be added"));
    member_add(&cluster, 3, "voter");
    member_role_comes(&cluster, "n4", "voter");
    assert_true(formed(&cluster, 3));
    assert_int_equal(clusters(&cluster), 1);
    cluster_free(&cluster);
}

/* Seeds without a number: it only ever joins. */
static void test_without_a_number_nobody_founds(void **state)
{
    struct cluster cluster;
    uint32_t fourth;

    (void)state;
    prepare(&cluster, 3, 0, 500);
    cluster_start_all(&cluster);
    cluster_run(&cluster, 10000);
    assert_int_equal(clusters(&cluster), 0);
    cluster_free(&cluster);

    member_begin(&cluster, 3); /* of a list */
    fourth = cluster_joiner(&cluster);
    cluster.nodes[fourth].join_count = 0;
    scouts(&cluster, fourth, 3, 0);
    cluster_start(&cluster, fourth);
    cluster_run(&cluster, 3000);
    assert_false(formed(&cluster, fourth));
    member_add(&cluster, fourth, "voter");
    member_role_comes(&cluster, "n4", "voter");
    cluster_free(&cluster);
}

/* Two empty nodes see each other, and two are expected: who met a member of a cluster founds none all the same. */
static void test_who_met_a_cluster_founds_none(void **state)
{
    struct cluster cluster;
    uint32_t late[2];

    (void)state;
    member_begin(&cluster, 3); /* of a list */
    for (uint32_t i = 0; i < 2; i++)
        late[i] = cluster_joiner(&cluster);
    for (uint32_t i = 0; i < 2; i++) {
        cluster.nodes[late[i]].join_count = 0;
        scouts(&cluster, late[i], 5, 2);
        cluster_start(&cluster, late[i]);
        cluster_run(&cluster, 3000); /* the first one meets the members before the other one is there */
        assert_false(formed(&cluster, late[i]));
    }
    cluster_run(&cluster, 10000);
    assert_int_equal(clusters(&cluster), 1);
    assert_false(formed(&cluster, late[0]) || formed(&cluster, late[1]));
    cluster_free(&cluster);
}

/* Numbers that differ found nothing, for neither could know what the other does. */
static void test_all_expect_the_same(void **state)
{
    struct cluster cluster;

    (void)state;
    prepare(&cluster, 3, 3, 600);
    cluster.nodes[1].expect = 2;
    cluster_start_all(&cluster);
    cluster_run(&cluster, 10000);
    assert_int_equal(clusters(&cluster), 0);
    cluster_free(&cluster);
}

/* Seeds come later, from a name server for instance. */
static void test_seeds_that_come_later(void **state)
{
    struct cluster cluster;
    const char *seeds[3];

    (void)state;
    prepare(&cluster, 3, 3, 700);
    for (uint32_t i = 0; i < 3; i++) {
        seeds[i] = cluster.nodes[i].uri;
        cluster.nodes[i].seed_count = 0;
    }
    cluster_start_all(&cluster);
    cluster_run(&cluster, 5000);
    assert_int_equal(clusters(&cluster), 0);
    for (uint32_t i = 0; i < 3; i++) {
        node_seeds(cluster.nodes[i].node, (const char *const[]){"mem://gone", seeds[0]}, 2);
        node_seeds(cluster.nodes[i].node, seeds, 3);
    }
    assert_true(cluster_until(&cluster, all_formed, 10000));
    assert_int_equal(clusters(&cluster), 1);
    cluster_free(&cluster);
}

/* ---- misfortune ---------------------------------------------------------------------------------------- */

static uint64_t draw(uint64_t *dice, uint64_t below)
{
    *dice = *dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (*dice >> 33) % below;
}

/*
 * Power cuts, lost disks and cut links at every moment of a founding, with steps so small that each message and each
 * write is one: all that is ever in a cluster is in the same one, and once they are let alone they are in it.
 */
static void one_founding(uint64_t seed, uint32_t count)
{
    struct cluster cluster;
    struct log_cluster_id first = {{0}}, none = {{0}};
    uint64_t dice = seed;

    prepare(&cluster, count, count, seed);
    for (int round = 0; round < 60; round++) {
        uint32_t one = (uint32_t)draw(&dice, count), other = (uint32_t)draw(&dice, count);

        if (!cluster.nodes[one].node)
            cluster_start(&cluster, one);
        else if (draw(&dice, 3) == 0) {
            cluster_crash(&cluster, one, (enum os_mem_crash)draw(&dice, 2));
            if (memcmp(&first, &none, sizeof none) == 0 && draw(&dice, 3) == 0)
                cluster_wipe(&cluster, one); /* whoever was in a cluster would wait to be replaced: never after that */
        }
        else if (one != other)
            member_cut_off(&cluster, other, draw(&dice, 4) == 0);
        if (draw(&dice, 2))
            cluster_steps(&cluster, (uint32_t)draw(&dice, 40));
        else
            cluster_run(&cluster, draw(&dice, 400));
        if (clusters(&cluster) > 1)
            fail_msg("seed %llu: two clusters", (unsigned long long)seed);
        for (uint32_t i = 0; i < count; i++) {
            if (!formed(&cluster, i))
                continue;
            if (memcmp(&first, &none, sizeof none) == 0)
                first = cluster.nodes[i].node->cluster_id;
            if (memcmp(&first, &cluster.nodes[i].node->cluster_id, sizeof first) != 0)
                fail_msg("seed %llu: a second cluster after the first", (unsigned long long)seed);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        member_cut_off(&cluster, i, false);
        if (!cluster.nodes[i].node)
            cluster_start(&cluster, i);
    }
    if (!cluster_until(&cluster, all_formed, 60000))
        fail_msg("seed %llu: no cluster", (unsigned long long)seed);
    assert_int_equal(clusters(&cluster), 1);
    cluster_free(&cluster);
}

static void test_crashes_while_founding(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++)
        one_founding(seed, 2 + (uint32_t)seed % 3);
}

/* Hold it at the moment when the others have the record and the founder does not count yet; -1: it came too late. */
static bool stop_before_it_counts(struct cluster *cluster)
{
    for (int i = 0; i < 400000; i++) {
        uint32_t held = 0;

        for (uint32_t k = 1; k < cluster->count; k++)
            held += cluster->nodes[k].node->record.size > 0 && !cluster->nodes[k].node->founding_saving;
        if (formed(cluster, 0))
            return false;
        if (held == cluster->count - 1)
            return true;
        cluster_steps(cluster, 1);
        if (i % 2000 == 1999)
            cluster_run(cluster, 1);
    }
    return false;
}

/* Its disk is gone in that very moment: nobody is a member, so they found anew with what it is now. */
static void test_the_founder_loses_its_disk(void **state)
{
    struct cluster cluster;

    (void)state;
    prepare(&cluster, 3, 3, 800);
    cluster_start_all(&cluster);
    assert_true(stop_before_it_counts(&cluster));
    cluster_crash(&cluster, 0, OS_MEM_KEEP_ALL);
    cluster_run(&cluster, 20000);
    assert_int_equal(clusters(&cluster), 0); /* they keep their word */
    cluster_wipe(&cluster, 0);
    cluster_start(&cluster, 0);
    assert_true(cluster_until(&cluster, all_formed, 20000));
    assert_int_equal(clusters(&cluster), 1);
    cluster_free(&cluster);
}

static void test_another_loses_its_disk(void **state)
{
    struct cluster cluster;

    (void)state;
    prepare(&cluster, 3, 3, 900);
    cluster_start_all(&cluster);
    assert_true(stop_before_it_counts(&cluster));
    cluster_crash(&cluster, 0, OS_MEM_KEEP_ALL);
    cluster_crash(&cluster, 2, OS_MEM_KEEP_ALL);
    cluster_wipe(&cluster, 2);
    cluster_start(&cluster, 0);
    cluster_start(&cluster, 2);
    assert_true(cluster_until(&cluster, all_formed, 20000));
    assert_int_equal(clusters(&cluster), 1);
    cluster_free(&cluster);
}

/*
 * Two sets that share a node, which a wrong number makes possible: {n1 n2} and {n2 n3} of two each. n2 is in one of
 * them or in none, and the other founder waits.
 */
static void test_who_gave_its_word_keeps_it(void **state)
{
    struct cluster cluster;
    uint32_t founded;

    (void)state;
    prepare(&cluster, 3, 2, 1000);
    cluster_start(&cluster, 0);
    cluster_start(&cluster, 1);
    cluster.count = 2; /* for who looks on */
    assert_true(stop_before_it_counts(&cluster));
    cluster.count = 3;
    assert_false(formed(&cluster, 1));
    founded = formed(&cluster, 0);
    cluster_crash(&cluster, 0, OS_MEM_KEEP_ALL);
    cluster_crash(&cluster, 1, OS_MEM_KEEP_ALL); /* what it promised it knows from the disk */
    cluster_start(&cluster, 1);
    cluster_start(&cluster, 2);
    cluster_run(&cluster, 20000);
    assert_int_equal(clusters(&cluster), 0); /* n2 sees two, but is not free */
    cluster_start(&cluster, 0);
    cluster_run(&cluster, 10000);
    assert_true(clusters(&cluster) <= 1);
    assert_true(!founded || clusters(&cluster) == 1);
    assert_false(formed(&cluster, 2));
    cluster_free(&cluster);
}

/* The other way round: {n2 n3}, of which n3 holds the record, and then n1 comes, which would found with n3. */
static void test_another_founder_does_not_get_it(void **state)
{
    struct cluster cluster;
    struct node *held;
    bool founded = false;

    (void)state;
    prepare(&cluster, 3, 2, 1100);
    cluster_start(&cluster, 1);
    cluster_start(&cluster, 2);
    held = cluster.nodes[2].node;
    for (int i = 0; i < 400000 && !founded && (held->record.size == 0 || held->founding_saving); i++) {
        cluster_steps(&cluster, 1);
        founded = formed(&cluster, 1);
        if (i % 2000 == 1999)
            cluster_run(&cluster, 1);
    }
    assert_false(founded);
    cluster_crash(&cluster, 1, OS_MEM_KEEP_ALL);
    cluster_start(&cluster, 0);
    cluster_run(&cluster, 20000);
    assert_int_equal(clusters(&cluster), 0);
    cluster_start(&cluster, 1);
    cluster_run(&cluster, 20000);
    assert_true(clusters(&cluster) <= 1);
    assert_false(formed(&cluster, 0));
    cluster_free(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_any_order),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_a_restart_discovers_nothing),
        cmocka_unit_test(test_too_many_found_nothing),
        cmocka_unit_test(test_without_a_number_nobody_founds),
        cmocka_unit_test(test_who_met_a_cluster_founds_none),
        cmocka_unit_test(test_all_expect_the_same),
        cmocka_unit_test(test_seeds_that_come_later),
        cmocka_unit_test(test_crashes_while_founding),
        cmocka_unit_test(test_the_founder_loses_its_disk),
        cmocka_unit_test(test_another_loses_its_disk),
        cmocka_unit_test(test_who_gave_its_word_keeps_it),
        cmocka_unit_test(test_another_founder_does_not_get_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
