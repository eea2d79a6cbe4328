/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_member_test.c - whole nodes that come and go: added, promoted, removed, replaced, moved; refused with the
 * reason; and that a cluster goes on working, whoever falls in between.
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
#include "effort.h"
#include "node_cluster.h"
#include "node_member.h"

#define SEED 20261123

/* ---- coming and going ---------------------------------------------------------------------------------- */

static void test_one_becomes_three_and_five_and_three(void **state)
{
    struct cluster cluster;

    (void)state;
    member_begin(&cluster, 1);
    member_write_some(&cluster, 0, 10);
    for (int i = 0; i < 4; i++) {
        uint32_t number = member_grow(&cluster);

        member_write_some(&cluster, number, 5);
    }
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(member_value_at(&cluster, i), 30);
        assert_int_equal(member_id_of(&cluster, i, cluster.nodes[i].name), i + 1);
    }
    member_remove(&cluster, "n2");
    member_gone(&cluster, 1);
    member_remove(&cluster, "n4");
    member_gone(&cluster, 3);
    assert_int_equal(member_count_of(&cluster, member_leader_of(&cluster)), 3);
    member_write_some(&cluster, 4, 5);
    assert_int_equal(member_value_at(&cluster, 0), 35);
    cluster_free(&cluster);
}

/* Flip a byte at the end of what a node's log holds. */
static void rot_end(struct cluster *cluster, uint32_t number)
{
    static const char path[] = "data/log/0000000000000001.seg";
    uint64_t end = 0;
    const uint8_t *bytes = os_mem_peek(cluster->nodes[number].disk, path, &end);
    uint8_t flipped;

    assert_non_null(bytes);
    while (end > 0 && bytes[end - 1] == 0)
        end--;
    flipped = (uint8_t)(bytes[end - 1] ^ 0x40);
    assert_int_equal(os_mem_poke(cluster->nodes[number].disk, path, end - 1, &flipped, 1), 0);
}

static bool has_applied_all(struct cluster *cluster)
{
    int leader = cluster_leader(cluster);

    return leader >= 0 && node_applied(cluster->nodes[0].node) == node_commit(cluster->nodes[leader].node);
}

/*
 * Who founded a cluster of one has that in its INI file for ever. When others came since, and its log is damaged,
 * it fetches from them what it lost, like any member.
 */
static void test_a_founder_that_was_alone_recovers_from_those_who_came(void **state)
{
    struct cluster cluster;

    (void)state;
    member_begin(&cluster, 1);
    member_grow(&cluster);
    member_grow(&cluster);
    member_write_some(&cluster, 0, 50);
    cluster_run(&cluster, 100);
    cluster_crash(&cluster, 0, OS_MEM_KEEP_ALL);
    rot_end(&cluster, 0);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    member_write_some(&cluster, 1, 5);
    cluster_start(&cluster, 0);
    assert_int_equal(cluster.nodes[0].exit_code, -1);
    assert_true(cluster_until(&cluster, has_applied_all, 5000));
    assert_int_equal(member_value_at(&cluster, 0), 55);
    cluster_free(&cluster);
}

static void test_a_wiped_node_is_replaced(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    static const char *const n3[] = {"name=n3", NULL};
    static const char *const n2[] = {"name=n2", NULL};

    (void)state;
    member_begin(&cluster, 3);
    member_write_some(&cluster, 0, 7);
    cluster_crash(&cluster, 2, OS_MEM_DROP_ALL);
    cluster_wipe(&cluster, 2);
    cluster_start(&cluster, 2);
    cluster_run(&cluster, 2000);
    assert_false(node_ready(cluster.nodes[2].node));
    assert_true(member_status_says(&cluster, 2, "lost its data directory"));
    /* It answers nobody's election. */
    cluster_crash(&cluster, 1, OS_MEM_KEEP_ALL);
    cluster_run(&cluster, 2000);
    assert_int_equal(cluster_leader(&cluster), -1);
    cluster_start(&cluster, 1);
    member_must(&cluster, "member_replace", &reply, n3);
    member_role_comes(&cluster, "n3", "voter");
    assert_int_equal(member_id_of(&cluster, 2, "n3"), 4);
    assert_int_equal(member_count_of(&cluster, 2), 3);
    assert_int_equal(member_value_at(&cluster, 2), 7);
    /* And it counts: with it alone beside it, another can go. */
    member_must(&cluster, "member_remove", &reply, n2);
    member_write_some(&cluster, 2, 1);
    /* Started again it is the same member, whatever its configuration says of founders. */
    cluster_crash(&cluster, 2, OS_MEM_DROP_ALL);
    cluster_start(&cluster, 2);
    member_write_some(&cluster, 2, 1);
    assert_int_equal(member_id_of(&cluster, 2, "n3"), 4);
    cluster_free(&cluster);
}

static void test_the_leader_is_removed(void **state)
{
    struct cluster cluster;
    uint32_t leader;

    (void)state;
    member_begin(&cluster, 3);
    member_write_some(&cluster, 0, 3);
    leader = member_leader_of(&cluster);
    member_remove(&cluster, cluster.nodes[leader].name); /* and the reply comes, from whom it removes */
    member_gone(&cluster, leader);
    assert_int_equal(member_count_of(&cluster, member_leader_of(&cluster)), 2);
    member_write_some(&cluster, member_leader_of(&cluster), 3);
    /* Its data directory says no more than that it was removed. */
    cluster_start(&cluster, leader);
    member_gone(&cluster, leader);
    cluster_free(&cluster);
}

/* Another node passes the request on: the answer comes on the connection that the new member must not take away. */
static void test_the_leader_is_replaced(void **state)
{
    char pair[NODE_NAME_MAX + 8];
    const char *const pairs[] = {pair, NULL};
    struct cluster_reply reply;
    struct cluster cluster;
    uint32_t leader;

    (void)state;
    member_begin(&cluster, 3);
    member_write_some(&cluster, 0, 3);
    for (int round = 0; round < 4; round++) {
        leader = member_leader_of(&cluster);
        (void)snprintf(pair, sizeof pair, "name=%s", cluster.nodes[leader].name);
        member_ask(&cluster, (leader + 1) % 3, "member_replace", &reply, pairs);
        assert_int_equal(reply.status, GAVEL_OK);
        member_gone(&cluster, leader);
        cluster_wipe(&cluster, leader);
        cluster_start(&cluster, leader);
        member_role_comes(&cluster, cluster.nodes[leader].name, "voter");
    }
    assert_int_equal(member_value_at(&cluster, leader), 3);
    cluster_free(&cluster);
}

static void test_removed_while_it_was_cut_off(void **state)
{
    struct cluster cluster;
    uint32_t leader, away;
    uint64_t term;

    (void)state;
    member_begin(&cluster, 3);
    leader = member_leader_of(&cluster);
    away = (leader + 1) % 3;
    member_cut_off(&cluster, away, true);
    cluster_run(&cluster, 1000);
    term = member_term_at(&cluster, leader);
    member_remove(&cluster, cluster.nodes[away].name);
    cluster_run(&cluster, 500);
    assert_true(cluster.nodes[away].exit_code < 0); /* how should it know */
    member_cut_off(&cluster, away, false);
    member_gone(&cluster, away);
    assert_int_equal(member_term_at(&cluster, leader), term);
    assert_int_equal(member_leader_of(&cluster), leader);
    cluster_free(&cluster);
}

/* Joined by a snapshot: what came before is in no log any more. */
static void test_joining_behind_a_compacted_log(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    uint32_t number;

    (void)state;
    cluster_init(&cluster, 3, SEED);
    cluster.limits.snapshot_entries = 8;
    cluster.limits.snapshot_log_min = 1u << 20;
    cluster.limits.log_trailing_bytes = 1;
    cluster.limits.log_cache_bytes = 64 << 10;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    member_write_some(&cluster, 0, 9);
    client = cluster_client(&cluster, member_leader_of(&cluster), CODEC_ROLE_CLIENT);
    for (int i = 0; i < 30; i++)
        cluster_pad(client, 400000, &reply);
    cluster_client_free(client);
    number = member_grow(&cluster);
    assert_int_equal(cluster.nodes[number].installs, 1);
    assert_int_equal(member_value_at(&cluster, number), 9);
    assert_int_equal(member_count_of(&cluster, number), 4);
    assert_int_equal(member_id_of(&cluster, number, "n4"), 4);
    cluster_free(&cluster);
}

/* Members, their addresses and the next id come back from snapshots, on every node; ids of the past do not. */
static void test_members_outlive_snapshots_and_restarts(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t number;
    uint64_t version;
    static const char *const moved[] = {"name=n4", "addresses=mem://n4,mem://elsewhere:7", "priority=3", NULL};
    static const char *const ghost[] = {"name=ghost", "addresses=mem://ghost", "role=learner", NULL};

    (void)state;
    member_begin(&cluster, 3);
    member_must(&cluster, "member_add", &reply, ghost);
    member_remove(&cluster, "ghost");
    number = member_grow(&cluster);
    assert_int_equal(member_id_of(&cluster, 0, "n4"), 5);
    member_must(&cluster, "member_update", &reply, moved);
    version = member_version_of(&cluster, member_leader_of(&cluster));
    assert_int_equal(codec_uint_or(codec_map_find(gavel_bytes(reply.result, reply.result_size), "version"), 0),
                     version);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 4; i++) {
            member_write_some(&cluster, i, 1);
            member_ask(&cluster, i, "snapshot", &reply, NULL);
            assert_int_equal(reply.status, 0);
        }
        for (uint32_t i = 0; i < 4; i++)
            cluster_crash(&cluster, i, OS_MEM_DROP_ALL);
        for (uint32_t i = 0; i < 4; i++)
            cluster_start(&cluster, i);
        (void)member_leader_of(&cluster);
        member_write_some(&cluster, number, 1);
        for (uint32_t i = 0; i < 4; i++) {
            struct gavel_slice list = member_list_at(&cluster, i);
            struct gavel_slice addresses = codec_map_find(member_entry(list, "n4"), "addresses");

            assert_int_equal(member_version_of(&cluster, i), version);
            list = member_list_at(&cluster, i);
            assert_int_equal(codec_uint_or(codec_map_find(list, "next_id"), 0), 6);
            addresses = codec_map_find(member_entry(list, "n4"), "addresses");
            assert_int_equal(codec_value_count(addresses), 2);
            assert_true(gavel_slice_equal(codec_string_or(codec_array_at(addresses, 1), ""),
                                          gavel_text("mem://elsewhere:7")));
            assert_int_equal(codec_uint_or(codec_map_find(member_entry(list, "n4"), "priority"), 0), 3);
            assert_true(member_has_role(&cluster, i, "n4", "voter"));
        }
    }
    member_must(&cluster, "member_add", &reply, ghost);
    assert_int_equal(codec_uint_or(codec_map_find(gavel_bytes(reply.result, reply.result_size), "id"), 0), 6);
    cluster_free(&cluster);
}

/* Whoever is asked to see to its own removal still answers. */
static void test_asked_at_the_one_that_goes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct cluster cluster;
        struct cluster_reply reply;
        char pair[32];
        const char *const pairs[] = {pair, NULL};

        member_begin(&cluster, 3);
        snprintf(pair, sizeof pair, "name=%s", cluster.nodes[i].name);
        member_ask(&cluster, i, "member_remove", &reply, pairs);
        assert_true(reply.came);
        assert_string_equal(reply.text, "");
        assert_int_equal(reply.status, 0);
        member_gone(&cluster, i);
        cluster_free(&cluster);
    }
}

/* ---- what falls in between ----------------------------------------------------------------------------- */

/* A leader that is cut off takes a change that nobody else has: it goes again, with its name, address and id. */
static void test_what_is_truncated_was_never_there(void **state)
{
    struct cluster cluster;
    struct cluster_client *admin;
    struct codec_request request = {.command = gavel_text("gavel.member_add")};
    struct gavel_buffer arguments = codec_buffer(0);
    static const char *const pairs[] = {"name=n9", "addresses=mem://n9", NULL};
    static const char *const other[] = {"name=n8", "addresses=mem://n9", "role=learner", NULL};
    struct cluster_reply reply;
    struct gavel_error error;
    uint32_t leader, next;

    (void)state;
    member_begin(&cluster, 3);
    leader = member_leader_of(&cluster);
    admin = cluster_client(&cluster, leader, CODEC_ROLE_ADMIN);
    assert_int_equal(codec_pairs(NULL, "member_add", pairs, 2, NULL, NULL, &arguments, &error), 0);
    request.arguments = gavel_buffer_slice(&arguments);
    request.remaining_ms = 60000;
    member_cut_off(&cluster, leader, true);
    cluster_post(admin, 1, &request);
    cluster_run(&cluster, 50);
    assert_true(member_has_role(&cluster, leader, "n9", "joining")); /* in force while it is in the log */
    assert_false(cluster_client_answered(admin, 1));
    cluster_run(&cluster, 1000);
    next = member_leader_of(&cluster);
    assert_int_not_equal(next, leader);
    member_write_some(&cluster, next, 1);
    member_cut_off(&cluster, leader, false);
    cluster_run(&cluster, 1500);
    assert_true(cluster_client_answered(admin, 1)); /* unknown; and nothing was done */
    assert_true(member_has_role(&cluster, leader, "n9", "none"));
    member_must(&cluster, "member_add", &reply, other);
    cluster_run(&cluster, 100);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(member_has_role(&cluster, i, "n9", "none"));
        assert_int_equal(member_id_of(&cluster, i, "n8"), 4);
    }
    gavel_buffer_free(&arguments);
    cluster_client_free(admin);
    cluster_free(&cluster);
}

static bool belongs(struct cluster *cluster, uint32_t number)
{
    static struct cluster_reply reply;

    member_ask(cluster, number, "status", &reply, NULL);
    return codec_string_or(codec_map_find(gavel_bytes(reply.result, reply.result_size), "cluster_id"), "").size > 0;
}

/* An id that a cut off leader gives out may be given to another yet: nobody acts by it before it is committed. */
static void test_nobody_joins_by_what_is_not_committed(void **state)
{
    struct cluster cluster;
    uint32_t leader, number;

    (void)state;
    member_begin(&cluster, 3);
    number = cluster_joiner(&cluster);
    member_add(&cluster, number, "voter");
    leader = member_leader_of(&cluster);
    for (uint32_t i = 0; i < 3; i++)
        if (i != leader)
            net_cut(cluster.net, cluster.nodes[leader].name, cluster.nodes[i].name, true);
    for (uint32_t i = 0; i < 3; i++) /* only the leader reaches the one that joins */
        if (i != leader)
            net_cut(cluster.net, cluster.nodes[number].name, cluster.nodes[i].name, true);
    cluster_start(&cluster, number);
    cluster_run(&cluster, 100);
    assert_false(belongs(&cluster, number));
    cluster_run(&cluster, 2000);
    assert_false(belongs(&cluster, number));
    for (uint32_t i = 0; i < 4; i++)
        member_cut_off(&cluster, i, false);
    member_role_comes(&cluster, "n4", "voter");
    assert_true(belongs(&cluster, number));
    cluster_free(&cluster);
}

static bool settled(struct cluster *cluster)
{
    int leader = cluster_leader(cluster);
    struct gavel_slice list;
    uint64_t none;

    if (leader < 0)
        return false;
    list = member_list_at(cluster, (uint32_t)leader);
    if (codec_get_bool(codec_map_find(list, "in_flight"), &none) != 0 || none)
        return false;
    return true;
}

/* The power of the leader goes at every step of a change by joint consensus; whoever leads then leaves it. */
static void test_the_leader_falls_in_every_moment_of_a_change(void **state)
{
    static const char *const pairs[] = {"name=n2", "addresses=mem://n2", NULL};

    (void)state;
    for (uint32_t moment = 0; moment < 60; moment += EFFORT(1, 7)) {
        struct cluster cluster;
        struct codec_request request = {.command = gavel_text("gavel.member_replace"), .remaining_ms = 60000};
        struct gavel_buffer arguments = codec_buffer(0);
        struct gavel_error error;
        struct cluster_client *admin;
        uint32_t leader;
        bool over = false;

        member_begin(&cluster, 5);
        member_write_some(&cluster, 0, 3);
        leader = member_leader_of(&cluster);
        if (leader == 1) { /* another one than the leader is replaced */
            cluster_crash(&cluster, 1, OS_MEM_KEEP_ALL);
            leader = member_leader_of(&cluster);
            cluster_start(&cluster, 1);
            cluster_run(&cluster, 300);
        }
        cluster_crash(&cluster, 1, OS_MEM_KEEP_ALL);
        cluster_wipe(&cluster, 1);
        cluster_start(&cluster, 1);
        cluster_run(&cluster, 300);
        assert_int_equal(codec_pairs(NULL, "member_replace", pairs, 2, NULL, NULL, &arguments, &error), 0);
        request.arguments = gavel_buffer_slice(&arguments);
        admin = cluster_client(&cluster, leader, CODEC_ROLE_ADMIN);
        cluster_post(admin, 1, &request);
        cluster_steps(&cluster, moment);
        cluster_crash(&cluster, leader, OS_MEM_DROP_ALL);
        for (int i = 0; i < 300 && !over; i++) {
            cluster_run(&cluster, 20);
            over = settled(&cluster);
        }
        assert_true(over);
        cluster_start(&cluster, leader);
        member_write_some(&cluster, member_leader_of(&cluster), 1);
        if (member_id_of(&cluster, member_leader_of(&cluster), "n2") == 2) /* the crash came before it was decided */
            member_must(&cluster, "member_replace", &(struct cluster_reply){0}, pairs);
        member_role_comes(&cluster, "n2", "voter");
        assert_int_equal(member_id_of(&cluster, 1, "n2"), 6);
        member_write_some(&cluster, 1, 1);
        assert_int_equal(member_value_at(&cluster, 1), 5);
        cluster_client_free(admin);
        gavel_buffer_free(&arguments);
        cluster_free(&cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_becomes_three_and_five_and_three),
        cmocka_unit_test(test_a_founder_that_was_alone_recovers_from_those_who_came),
        cmocka_unit_test(test_a_wiped_node_is_replaced),
        cmocka_unit_test(test_the_leader_is_removed),
        cmocka_unit_test(test_the_leader_is_replaced),
        cmocka_unit_test(test_removed_while_it_was_cut_off),
        cmocka_unit_test(test_joining_behind_a_compacted_log),
        cmocka_unit_test(test_members_outlive_snapshots_and_restarts),
        cmocka_unit_test(test_asked_at_the_one_that_goes),
        cmocka_unit_test(test_what_is_truncated_was_never_there),
        cmocka_unit_test(test_nobody_joins_by_what_is_not_committed),
        cmocka_unit_test(test_the_leader_falls_in_every_moment_of_a_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
