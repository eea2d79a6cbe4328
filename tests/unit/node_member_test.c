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

#define SEED 20261123

static const char *const plus_one[] = {"name=hits", NULL};

static void begin(struct cluster *cluster, uint32_t count)
{
    cluster_init(cluster, count, SEED);
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 3000));
}

/* One request of an administrator at that node. */
static void ask(struct cluster *cluster, uint32_t number, const char *command, struct cluster_reply *reply,
                const char *const *pairs)
{
    struct cluster_client *admin = cluster_client(cluster, number, CODEC_ROLE_ADMIN);
    char name[64];

    snprintf(name, sizeof name, "gavel.%s", command);
    cluster_command(admin, name, 0, 0, reply, pairs);
    cluster_client_free(admin);
}

static uint32_t leader_of(struct cluster *cluster)
{
    int leader = cluster_leader(cluster);

    if (leader < 0)
        assert_true(cluster_until(cluster, cluster_has_leader, 5000));
    leader = cluster_leader(cluster);
    assert_true(leader >= 0);
    return (uint32_t)leader;
}

static void must(struct cluster *cluster, const char *command, struct cluster_reply *reply, const char *const *pairs)
{
    ask(cluster, leader_of(cluster), command, reply, pairs);
    if (!reply->came || reply->status != 0)
        fail_msg("%s: %lld %s", command, (long long)reply->status, reply->came ? reply->text : "no reply");
}

/* What member_list says at a node: into *list, valid until the next call. */
static struct gavel_slice list_at(struct cluster *cluster, uint32_t number)
{
    static struct cluster_reply reply;

    ask(cluster, number, "member_list", &reply, NULL);
    assert_int_equal(reply.status, 0);
    return gavel_bytes(reply.result, reply.result_size);
}

static struct gavel_slice entry_of(struct gavel_slice list, const char *name)
{
    struct codec_walk walk;
    struct gavel_slice key, member;

    codec_walk_begin(&walk, codec_map_find(list, "members"));
    while (codec_walk_next(&walk, &key, &member))
        if (gavel_slice_equal(codec_string_or(codec_map_find(member, "name"), ""), gavel_text(name)))
            return member;
    return gavel_bytes(NULL, 0);
}

static bool has_role(struct cluster *cluster, uint32_t at, const char *name, const char *role)
{
    struct gavel_slice entry = entry_of(list_at(cluster, at), name);

    return gavel_slice_equal(codec_string_or(codec_map_find(entry, "role"), "none"), gavel_text(role));
}

static uint64_t id_of(struct cluster *cluster, uint32_t at, const char *name)
{
    return codec_uint_or(codec_map_find(entry_of(list_at(cluster, at), name), "id"), 0);
}


static uint64_t version_of(struct cluster *cluster, uint32_t at)
{
    return codec_uint_or(codec_map_find(list_at(cluster, at), "version"), UINT64_MAX);
}

/* One of the alarms in its status holds these words. */
static bool status_says(struct cluster *cluster, uint32_t number, const char *words)
{
    static struct cluster_reply reply;
    struct codec_walk walk;
    struct gavel_slice key, alarm;
    char text[512];

    ask(cluster, number, "status", &reply, NULL);
    codec_walk_begin(&walk, codec_map_find(gavel_bytes(reply.result, reply.result_size), "alarms"));
    while (codec_walk_next(&walk, &key, &alarm)) {
        struct gavel_slice string = codec_string_or(alarm, "");

        snprintf(text, sizeof text, "%.*s", (int)string.size, (const char *)string.data);
        if (strstr(text, words))
            return true;
    }
    return false;
}

static uint64_t count_of(struct cluster *cluster, uint32_t at)
{
    return codec_value_count(codec_map_find(list_at(cluster, at), "members"));
}

static void role_comes(struct cluster *cluster, const char *name, const char *role)
{
    for (int i = 0; i < 500; i++) {
        if (has_role(cluster, leader_of(cluster), name, role))
            return;
        cluster_run(cluster, 10);
    }
    fail_msg("%s does not become a %s", name, role);
}

static void add(struct cluster *cluster, uint32_t number, const char *role)
{
    char name[32], addresses[64], as[32];
    const char *const pairs[] = {name, addresses, as, NULL};
    struct cluster_reply reply;

    snprintf(name, sizeof name, "name=%s", cluster->nodes[number].name);
    snprintf(addresses, sizeof addresses, "addresses=%s", cluster->nodes[number].uri);
    snprintf(as, sizeof as, "role=%s", role);
    must(cluster, "member_add", &reply, pairs);
}

/* Add it, start it, and wait until it votes. */
static uint32_t grow(struct cluster *cluster)
{
    uint32_t number = cluster_joiner(cluster);

    add(cluster, number, "voter");
    cluster_start(cluster, number);
    assert_non_null(cluster->nodes[number].node);
    role_comes(cluster, cluster->nodes[number].name, "voter");
    return number;
}

static void remove_member(struct cluster *cluster, const char *name)
{
    char pair[32];
    const char *const pairs[] = {pair, NULL};
    struct cluster_reply reply;

    snprintf(pair, sizeof pair, "name=%s", name);
    must(cluster, "member_remove", &reply, pairs);
}

static void write_some(struct cluster *cluster, uint32_t at, int count)
{
    struct cluster_client *client = cluster_client(cluster, at, CODEC_ROLE_CLIENT);
    struct cluster_reply reply;

    for (int i = 0; i < count; i++) {
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
        assert_int_equal(reply.status, 0);
    }
    cluster_client_free(client);
}

static int64_t value_at(struct cluster *cluster, uint32_t number)
{
    struct cluster_client *client = cluster_client(cluster, number, CODEC_ROLE_CLIENT);
    struct cluster_reply reply;

    cluster_command(client, "get", 0, 0, &reply, plus_one);
    assert_int_equal(reply.status, 0);
    cluster_client_free(client);
    return reply.number;
}

/* The process has left by itself, as one that was removed. */
static void gone(struct cluster *cluster, uint32_t number)
{
    struct cluster_node *node = &cluster->nodes[number];

    for (int i = 0; i < 800 && node->exit_code < 0; i++)
        cluster_run(cluster, 10);
    assert_int_equal(node->exit_code, 78);
    assert_non_null(strstr(node->fatal, "removed"));
    cluster_end(cluster, number);
}

/* ---- coming and going ---------------------------------------------------------------------------------- */

static void test_one_becomes_three_and_five_and_three(void **state)
{
    struct cluster cluster;

    (void)state;
    begin(&cluster, 1);
    write_some(&cluster, 0, 10);
    for (int i = 0; i < 4; i++) {
        uint32_t number = grow(&cluster);

        write_some(&cluster, number, 5);
    }
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(value_at(&cluster, i), 30);
        assert_int_equal(id_of(&cluster, i, cluster.nodes[i].name), i + 1);
    }
    remove_member(&cluster, "n2");
    gone(&cluster, 1);
    remove_member(&cluster, "n4");
    gone(&cluster, 3);
    assert_int_equal(count_of(&cluster, leader_of(&cluster)), 3);
    write_some(&cluster, 4, 5);
    assert_int_equal(value_at(&cluster, 0), 35);
    cluster_free(&cluster);
}

static void test_a_wiped_node_is_replaced(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    static const char *const n3[] = {"name=n3", NULL};
    static const char *const n2[] = {"name=n2", NULL};

    (void)state;
    begin(&cluster, 3);
    write_some(&cluster, 0, 7);
    cluster_crash(&cluster, 2, OS_MEM_DROP_ALL);
    cluster_wipe(&cluster, 2);
    cluster_start(&cluster, 2);
    cluster_run(&cluster, 2000);
    assert_false(node_ready(cluster.nodes[2].node));
    assert_true(status_says(&cluster, 2, "lost its data directory"));
    /* It answers nobody's election. */
    cluster_crash(&cluster, 1, OS_MEM_KEEP_ALL);
    cluster_run(&cluster, 2000);
    assert_int_equal(cluster_leader(&cluster), -1);
    cluster_start(&cluster, 1);
    must(&cluster, "member_replace", &reply, n3);
    role_comes(&cluster, "n3", "voter");
    assert_int_equal(id_of(&cluster, 2, "n3"), 4);
    assert_int_equal(count_of(&cluster, 2), 3);
    assert_int_equal(value_at(&cluster, 2), 7);
    /* And it counts: with it alone beside it, another can go. */
    must(&cluster, "member_remove", &reply, n2);
    write_some(&cluster, 2, 1);
    /* Started again it is the same member, whatever its configuration says of founders. */
    cluster_crash(&cluster, 2, OS_MEM_DROP_ALL);
    cluster_start(&cluster, 2);
    write_some(&cluster, 2, 1);
    assert_int_equal(id_of(&cluster, 2, "n3"), 4);
    cluster_free(&cluster);
}

static void test_the_leader_is_removed(void **state)
{
    struct cluster cluster;
    uint32_t leader;

    (void)state;
    begin(&cluster, 3);
    write_some(&cluster, 0, 3);
    leader = leader_of(&cluster);
    remove_member(&cluster, cluster.nodes[leader].name); /* and the reply comes, from whom it removes */
    gone(&cluster, leader);
    assert_int_equal(count_of(&cluster, leader_of(&cluster)), 2);
    write_some(&cluster, leader_of(&cluster), 3);
    /* Its data directory says no more than that it was removed. */
    cluster_start(&cluster, leader);
    gone(&cluster, leader);
    cluster_free(&cluster);
}

static void cut_off(struct cluster *cluster, uint32_t number, bool cut)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        if (i != number)
            net_cut(cluster->net, cluster->nodes[number].name, cluster->nodes[i].name, cut);
}

static uint64_t term_at(struct cluster *cluster, uint32_t number)
{
    static struct cluster_reply reply;

    ask(cluster, number, "status", &reply, NULL);
    return codec_uint_or(codec_map_find(gavel_bytes(reply.result, reply.result_size), "term"), 0);
}

static void test_removed_while_it_was_cut_off(void **state)
{
    struct cluster cluster;
    uint32_t leader, away;
    uint64_t term;

    (void)state;
    begin(&cluster, 3);
    leader = leader_of(&cluster);
    away = (leader + 1) % 3;
    cut_off(&cluster, away, true);
    cluster_run(&cluster, 1000);
    term = term_at(&cluster, leader);
    remove_member(&cluster, cluster.nodes[away].name);
    cluster_run(&cluster, 500);
    assert_true(cluster.nodes[away].exit_code < 0); /* how should it know */
    cut_off(&cluster, away, false);
    gone(&cluster, away);
    assert_int_equal(term_at(&cluster, leader), term);
    assert_int_equal(leader_of(&cluster), leader);
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
    write_some(&cluster, 0, 9);
    client = cluster_client(&cluster, leader_of(&cluster), CODEC_ROLE_CLIENT);
    for (int i = 0; i < 30; i++)
        cluster_pad(client, 400000, &reply);
    cluster_client_free(client);
    number = grow(&cluster);
    assert_int_equal(cluster.nodes[number].installs, 1);
    assert_int_equal(value_at(&cluster, number), 9);
    assert_int_equal(count_of(&cluster, number), 4);
    assert_int_equal(id_of(&cluster, number, "n4"), 4);
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
    begin(&cluster, 3);
    must(&cluster, "member_add", &reply, ghost);
    remove_member(&cluster, "ghost");
    number = grow(&cluster);
    assert_int_equal(id_of(&cluster, 0, "n4"), 5);
    must(&cluster, "member_update", &reply, moved);
    version = version_of(&cluster, leader_of(&cluster));
    assert_int_equal(codec_uint_or(codec_map_find(gavel_bytes(reply.result, reply.result_size), "version"), 0),
                     version);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 4; i++) {
            write_some(&cluster, i, 1);
            ask(&cluster, i, "snapshot", &reply, NULL);
            assert_int_equal(reply.status, 0);
        }
        for (uint32_t i = 0; i < 4; i++)
            cluster_crash(&cluster, i, OS_MEM_DROP_ALL);
        for (uint32_t i = 0; i < 4; i++)
            cluster_start(&cluster, i);
        (void)leader_of(&cluster);
        write_some(&cluster, number, 1);
        for (uint32_t i = 0; i < 4; i++) {
            struct gavel_slice list = list_at(&cluster, i);
            struct gavel_slice addresses = codec_map_find(entry_of(list, "n4"), "addresses");

            assert_int_equal(version_of(&cluster, i), version);
            list = list_at(&cluster, i);
            assert_int_equal(codec_uint_or(codec_map_find(list, "next_id"), 0), 6);
            addresses = codec_map_find(entry_of(list, "n4"), "addresses");
            assert_int_equal(codec_value_count(addresses), 2);
            assert_true(gavel_slice_equal(codec_string_or(codec_array_at(addresses, 1), ""),
                                          gavel_text("mem://elsewhere:7")));
            assert_int_equal(codec_uint_or(codec_map_find(entry_of(list, "n4"), "priority"), 0), 3);
            assert_true(has_role(&cluster, i, "n4", "voter"));
        }
    }
    must(&cluster, "member_add", &reply, ghost);
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

        begin(&cluster, 3);
        snprintf(pair, sizeof pair, "name=%s", cluster.nodes[i].name);
        ask(&cluster, i, "member_remove", &reply, pairs);
        assert_true(reply.came);
        assert_string_equal(reply.text, "");
        assert_int_equal(reply.status, 0);
        gone(&cluster, i);
        cluster_free(&cluster);
    }
}

/* ---- what falls in between ----------------------------------------------------------------------------- */

/* A leader that is cut off takes a change that nobody else has: it goes again, with its name, its address and its id. */
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
    begin(&cluster, 3);
    leader = leader_of(&cluster);
    admin = cluster_client(&cluster, leader, CODEC_ROLE_ADMIN);
    assert_int_equal(codec_pairs(NULL, "member_add", pairs, 2, NULL, NULL, &arguments, &error), 0);
    request.arguments = gavel_buffer_slice(&arguments);
    request.remaining_ms = 60000;
    cut_off(&cluster, leader, true);
    cluster_post(admin, 1, &request);
    cluster_run(&cluster, 50);
    assert_true(has_role(&cluster, leader, "n9", "joining")); /* in force while it is in the log */
    assert_false(cluster_client_answered(admin, 1));
    cluster_run(&cluster, 1000);
    next = leader_of(&cluster);
    assert_int_not_equal(next, leader);
    write_some(&cluster, next, 1);
    cut_off(&cluster, leader, false);
    cluster_run(&cluster, 1500);
    assert_true(cluster_client_answered(admin, 1)); /* unknown; and nothing was done */
    assert_true(has_role(&cluster, leader, "n9", "none"));
    must(&cluster, "member_add", &reply, other);
    cluster_run(&cluster, 100);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(has_role(&cluster, i, "n9", "none"));
        assert_int_equal(id_of(&cluster, i, "n8"), 4);
    }
    gavel_buffer_free(&arguments);
    cluster_client_free(admin);
    cluster_free(&cluster);
}

static bool belongs(struct cluster *cluster, uint32_t number)
{
    static struct cluster_reply reply;

    ask(cluster, number, "status", &reply, NULL);
    return codec_string_or(codec_map_find(gavel_bytes(reply.result, reply.result_size), "cluster_id"), "").size > 0;
}

/* An id that a cut off leader gives out may be given to another yet: nobody acts by it before it is committed. */
static void test_nobody_joins_by_what_is_not_committed(void **state)
{
    struct cluster cluster;
    uint32_t leader, number;

    (void)state;
    begin(&cluster, 3);
    number = cluster_joiner(&cluster);
    add(&cluster, number, "voter");
    leader = leader_of(&cluster);
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
        cut_off(&cluster, i, false);
    role_comes(&cluster, "n4", "voter");
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
    list = list_at(cluster, (uint32_t)leader);
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

        begin(&cluster, 5);
        write_some(&cluster, 0, 3);
        leader = leader_of(&cluster);
        if (leader == 1) { /* another one than the leader is replaced */
            cluster_crash(&cluster, 1, OS_MEM_KEEP_ALL);
            leader = leader_of(&cluster);
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
        write_some(&cluster, leader_of(&cluster), 1);
        if (id_of(&cluster, leader_of(&cluster), "n2") == 2) /* the crash came before it was decided */
            must(&cluster, "member_replace", &(struct cluster_reply){0}, pairs);
        role_comes(&cluster, "n2", "voter");
        assert_int_equal(id_of(&cluster, 1, "n2"), 6);
        write_some(&cluster, 1, 1);
        assert_int_equal(value_at(&cluster, 1), 5);
        cluster_client_free(admin);
        gavel_buffer_free(&arguments);
        cluster_free(&cluster);
    }
}

/* ---- refused ------------------------------------------------------------------------------------------- */

struct refused_row {
    const char *command;
    const char *pairs[5];
    int64_t status;
    const char *text; /* exactly */
};

static void refuses(struct cluster *cluster, uint32_t at, const struct refused_row *row)
{
    struct cluster_reply reply;
    uint64_t commit = node_commit(cluster->nodes[at].node);

    ask(cluster, at, row->command, &reply, row->pairs);
    assert_true(reply.came);
    assert_string_equal(reply.text, row->text);
    assert_int_equal(reply.status, row->status);
    assert_int_equal(node_commit(cluster->nodes[at].node), commit); /* nothing was even logged */
}

static void test_refused_with_the_reason_and_no_change(void **state)
{
    static const struct refused_row rows[] = {
        {"member_add", {"name=n2", "addresses=mem://x", NULL}, GAVEL_E_EXISTS,
         "a member has the name 'n2' already, with id 2"},
        {"member_add", {"name=n7", "addresses=mem://n3", NULL}, GAVEL_E_EXISTS,
         "the address mem://n3 is that of member 'n3'"},
        {"member_add", {"name=n7", "addresses=mem://x,mem://x", NULL}, GAVEL_E_EXISTS,
         "the address mem://x is given twice"},
        {"member_add", {"name=n7", NULL}, GAVEL_E_INVALID, "a new member needs an address: say where 'n7' listens"},
        {"member_add", {"name=n7", "addresses=here", NULL}, GAVEL_E_INVALID,
         "'here' is no address: it has to look like ws://host:port"},
        {"member_add", {"name=n 7", "addresses=mem://x", NULL}, GAVEL_E_INVALID,
         "member_add needs the name of a member: 1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-'"},
        {"member_add", {"name=n7", "addresses=mem://x", "role=king", NULL}, GAVEL_E_INVALID,
         "a role is voter or learner"},
        {"member_add", {"name=n7", "addresses=mem://x", "rule=voter", NULL}, GAVEL_E_INVALID,
         "member_add takes no 'rule'"},
        {"member_add", {"name=n7", "addresses=mem://x", "version=9", NULL}, GAVEL_E_CONDITION,
         "the members have changed since: they are of version 0, not 9; nothing was done"},
        {"member_remove", {"name=n7", NULL}, GAVEL_E_NOT_FOUND, "no member has the name 'n7'"},
        {"member_replace", {"name=n7", NULL}, GAVEL_E_NOT_FOUND, "no member has the name 'n7'"},
        {"member_promote", {"name=n3", NULL}, GAVEL_E_STATE, "'n3' is a voter already"},
        {"member_update", {"name=n3", NULL}, GAVEL_E_INVALID,
         "say which addresses or which priority 'n3' shall have"},
        {"member_update", {"name=n3", "addresses=mem://n1", NULL}, GAVEL_E_EXISTS,
         "the address mem://n1 is that of member 'n1'"},
        {"member_update", {"name=n3", "priority=1001", NULL}, GAVEL_E_INVALID,
         "a priority is a number from 0 to 1000"},
        {"member_change", {NULL}, GAVEL_E_INVALID, "member_change needs `changes`, a list of 1 to 32 maps"},
    };
    static const struct refused_row last[] = {
        {"member_remove", {"name=n1", NULL}, GAVEL_E_STATE,
         "'n1' is the last member: a cluster keeps at least one"},
        {"member_demote", {"name=n1", NULL}, GAVEL_E_STATE,
         "the only voter cannot go: make another member a voter first"},
    };
    struct cluster cluster;

    (void)state;
    begin(&cluster, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        refuses(&cluster, leader_of(&cluster), &rows[i]);
        refuses(&cluster, (leader_of(&cluster) + 1) % 3, &rows[i]); /* the same where it is passed on */
    }
    assert_int_equal(version_of(&cluster, 0), 0);
    assert_int_equal(count_of(&cluster, 0), 3);
    cluster_free(&cluster);
    begin(&cluster, 1);
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++)
        refuses(&cluster, 0, &last[i]);
    cluster_free(&cluster);
}

static void test_what_the_quorum_needs_stays(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t leader, down, up;
    char pair[32], want[128];
    const char *const pairs[] = {pair, NULL};

    (void)state;
    begin(&cluster, 3);
    leader = leader_of(&cluster);
    down = (leader + 1) % 3;
    up = (leader + 2) % 3;
    cluster_crash(&cluster, down, OS_MEM_KEEP_ALL);
    cluster_run(&cluster, 1000);
    snprintf(pair, sizeof pair, "name=%s", cluster.nodes[up].name);
    ask(&cluster, leader, "member_remove", &reply, pairs);
    snprintf(want, sizeof want, "1 of the 2 voters that would be left do not answer (%s), and 2 are needed to agree",
             cluster.nodes[down].name);
    assert_string_equal(reply.text, want);
    assert_int_equal(reply.status, GAVEL_E_STATE);
    ask(&cluster, leader, "member_demote", &reply, pairs);
    assert_string_equal(reply.text, want);
    snprintf(pair, sizeof pair, "name=%s", cluster.nodes[down].name);
    must(&cluster, "member_remove", &reply, pairs); /* but the one that is down may go */
    cluster_free(&cluster);
}

static void test_one_change_at_a_time(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t leader;
    struct cluster_client *admin;
    struct codec_request request = {.command = gavel_text("gavel.member_add"), .remaining_ms = 30000};
    struct gavel_buffer arguments = codec_buffer(0);
    struct gavel_error error;
    static const char *const first[] = {"name=n8", "addresses=mem://n8", NULL};
    static const char *const second[] = {"name=n9", "addresses=mem://n9", "version=0", NULL};

    (void)state;
    begin(&cluster, 3);
    leader = leader_of(&cluster);
    admin = cluster_client(&cluster, leader, CODEC_ROLE_ADMIN);
    assert_int_equal(codec_pairs(NULL, "member_add", first, 2, NULL, NULL, &arguments, &error), 0);
    request.arguments = gavel_buffer_slice(&arguments);
    cluster.nodes[(leader + 1) % 3].stalled_until = cluster.clock.mono_ns + 80000000;
    cluster.nodes[(leader + 2) % 3].stalled_until = cluster.clock.mono_ns + 80000000;
    cluster_post(admin, 1, &request);
    cluster_run(&cluster, 2);
    ask(&cluster, leader, "member_add", &reply, second);
    assert_string_equal(reply.text,
                        "another change of members is in flight; nothing was done: try again when it is over");
    assert_int_equal(reply.status, GAVEL_E_STATE);
    cluster_run(&cluster, 500);
    assert_true(cluster_client_answered(admin, 1));
    ask(&cluster, leader_of(&cluster), "member_add", &reply, second); /* and now its version is stale */
    assert_int_equal(reply.status, GAVEL_E_CONDITION);
    assert_true(has_role(&cluster, leader_of(&cluster), "n8", "joining"));
    gavel_buffer_free(&arguments);
    cluster_client_free(admin);
    cluster_free(&cluster);
}

static void test_administrators_only(void **state)
{
    struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;
    static const char *const pairs[] = {"name=n2", NULL};

    (void)state;
    begin(&cluster, 3);
    for (uint32_t i = 0; i < 3; i++) {
        client = cluster_client(&cluster, i, CODEC_ROLE_CLIENT);
        cluster_command(client, "gavel.member_remove", 0, 0, &reply, pairs);
        assert_int_equal(reply.status, GAVEL_E_DENIED);
        cluster_client_free(client);
    }
    assert_int_equal(count_of(&cluster, 0), 3);
    cluster_free(&cluster);
}

/* ---- several at once ----------------------------------------------------------------------------------- */

static void test_several_at_once(void **state)
{
    static const unsigned char changes[] =
        /* {"changes": [{"op": "remove", "name": "n3"}, {"op": "add", "name": "n4", "addresses": ["mem://n4"]},
         *              {"op": "add", "name": "n5", "addresses": "mem://n5", "role": "learner"}]} */
        "\x81\xa7" "changes\x93"
        "\x82\xa2op\xa6remove\xa4name\xa2n3"
        "\x83\xa2op\xa3" "add\xa4name\xa2n4\xa9" "addresses\x91\xa8mem://n4"
        "\x84\xa2op\xa3" "add\xa4name\xa2n5\xa9" "addresses\xa8mem://n5\xa4role\xa7learner";
    struct codec_request request = {.command = gavel_text("gavel.member_change")};
    struct cluster cluster;
    struct cluster_client *admin;
    struct cluster_reply reply;

    (void)state;
    begin(&cluster, 3);
    (void)cluster_joiner(&cluster);
    (void)cluster_joiner(&cluster);
    cluster_start(&cluster, 3);
    cluster_start(&cluster, 4);
    cluster_run(&cluster, 200);
    assert_true(status_says(&cluster, 3, "waits to be added"));
    admin = cluster_client(&cluster, 0, CODEC_ROLE_ADMIN);
    request.arguments = gavel_bytes(changes, sizeof changes - 1);
    cluster_call(admin, &request, &reply);
    assert_string_equal(reply.text, "");
    assert_int_equal(reply.status, 0);
    cluster_client_free(admin);
    gone(&cluster, 2);
    role_comes(&cluster, "n4", "voter");
    assert_true(has_role(&cluster, leader_of(&cluster), "n5", "learner"));
    write_some(&cluster, 4, 2);
    assert_int_equal(value_at(&cluster, 3), 2);
    assert_int_equal(value_at(&cluster, 4), 2);
    assert_int_equal(count_of(&cluster, 4), 4);
    must(&cluster, "member_promote", &reply, (const char *const[]){"name=n5", NULL});
    role_comes(&cluster, "n5", "voter");
    must(&cluster, "member_demote", &reply, (const char *const[]){"name=n4", NULL});
    assert_true(has_role(&cluster, leader_of(&cluster), "n4", "learner"));
    cluster_free(&cluster);
}

/* ---- strangers ----------------------------------------------------------------------------------------- */

struct caller {
    const char *name;
    uint64_t id;
    uint64_t incarnation;
    bool founded;
    bool other_cluster;
    const char *text; /* of the refusal; NULL: it is welcome */
};

static void id_bytes(uint64_t number, unsigned char raw[16])
{
    memset(raw, 0, 16);
    for (int i = 0; i < 8; i++)
        raw[i] = (unsigned char)(number >> 8 * i);
}

static void cluster_id_of(struct cluster *cluster, uint32_t number, unsigned char raw[16])
{
    static struct cluster_reply reply;
    struct gavel_slice text;

    ask(cluster, number, "status", &reply, NULL);
    text = codec_string_or(codec_map_find(gavel_bytes(reply.result, reply.result_size), "cluster_id"), "");
    assert_int_equal(text.size, 32);
    for (int i = 0; i < 16; i++) {
        char pair[3] = {((const char *)text.data)[2 * i], ((const char *)text.data)[2 * i + 1], 0};

        raw[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
}

static struct cluster_client *call_on(struct cluster *cluster, uint32_t number, const struct caller *caller)
{
    struct cluster_client *client = cluster_dial(cluster, number, "stranger");
    struct gavel_slice names[1] = {gavel_text("msgpack")};
    unsigned char incarnation[16], cluster_id[16];
    struct codec_hello hello = {.role = CODEC_ROLE_PEER,
                                .version_major = CODEC_PROTOCOL_MAJOR,
                                .name = gavel_text(caller->name),
                                .member_id = caller->id,
                                .founded = caller->founded,
                                .serializers = {.items = names, .count = 1, .stride = sizeof names[0]}};
    const char *text;

    id_bytes(caller->incarnation, incarnation);
    hello.incarnation = gavel_bytes(incarnation, sizeof incarnation);
    cluster_id_of(cluster, 0, cluster_id);
    cluster_id[3] ^= caller->other_cluster;
    if (caller->founded)
        hello.cluster_id = gavel_bytes(cluster_id, sizeof cluster_id);
    cluster_send(client, CODEC_HELLO, &hello);
    cluster_run(cluster, 5);
    if (caller->text) {
        assert_int_equal(cluster_client_welcome(client, &text), GAVEL_E_DENIED);
        assert_string_equal(text, caller->text);
        assert_false(cluster_client_open(client));
    } else {
        assert_int_equal(cluster_client_welcome(client, &text), 0);
    }
    return client;
}

static void test_who_calls_is_looked_at(void **state)
{
    static const struct caller callers[] = {
        {"n2", 2, 1, true, true, "it belongs to another cluster"},
        {"n2", 2, 1, true, false, "it has another data directory than the member of that name"},
        {"n1", 1, 1, true, false, "it has the member id of this node"},
        {"n2", 0, 1, true, false, "it has the member id of this node"},
        {"n2", 0, 1, false, false,
         "it lost its data directory: an empty node cannot return under its old identity; replace the member"},
        {"n1", 0, 1, false, false, "it has the name of this node"},
        {"nx", 0, 1, false, false, "no member of this cluster has its name: it waits to be added"},
        {"", 0, 1, false, false, "its name is malformed"},
        {"ghost", 4, 1, true, false, "it was removed from this cluster"},
    };
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *strangers[8];
    struct caller stranger = {"s", 0, 1, true, false, NULL};

    (void)state;
    begin(&cluster, 3);
    must(&cluster, "member_add", &reply, (const char *const[]){"name=ghost", "addresses=mem://ghost", NULL});
    remove_member(&cluster, "ghost");
    cluster_run(&cluster, 100);
    for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++)
        cluster_client_free(call_on(&cluster, 0, &callers[i]));
    /* Members that are newer than what is known here are let in, but not without end. */
    for (uint64_t i = 0; i < 8; i++) {
        stranger.id = 100 + i;
        strangers[i] = call_on(&cluster, 0, &stranger);
    }
    stranger.id = 200;
    stranger.text = "too many members at once that this node has not heard of";
    cluster_client_free(call_on(&cluster, 0, &stranger));
    for (int i = 0; i < 8; i++)
        cluster_client_free(strangers[i]);
    cluster_run(&cluster, 100);
    stranger.text = NULL;
    cluster_client_free(call_on(&cluster, 0, &stranger));
    write_some(&cluster, 0, 3);
    cluster_free(&cluster);
}

/* A node without a cluster lets a member of one in, to be told; it takes nothing else from it, and comes to no harm. */
static void test_a_guest_brings_the_record_only(void **state)
{
    static const struct caller guest = {"n1", 1, 77, true, false, NULL};
    struct cluster cluster;
    struct cluster_client *client;
    struct codec_raft append = {.id = 1, .term = 9};
    struct codec_found_answer answer = {.state = CODEC_FOUND_EMPTY};
    struct codec_found_done done = {.status = -1, .text = gavel_text("no")};
    struct codec_found_record record = {.record = gavel_bytes("nonsense", 8), .member_id = 9};
    struct codec_request request = {.id = 5, .command = gavel_text("get"), .forwarded = 1};
    uint32_t number;

    (void)state;
    begin(&cluster, 1);
    number = cluster_joiner(&cluster);
    cluster_start(&cluster, number);
    cluster_run(&cluster, 100);
    client = call_on(&cluster, number, &guest);
    cluster_send(client, CODEC_RAFT + RAFT_APPEND_REQUEST, &append);
    cluster_send(client, CODEC_FOUND_ANSWER, &answer);
    cluster_send(client, CODEC_FOUND_DONE, &done);
    cluster_send(client, CODEC_FOUND_RECORD, &record);
    cluster_send(client, CODEC_REQUEST, &request);
    cluster_run(&cluster, 100);
    assert_true(cluster.nodes[number].exit_code < 0);
    cluster_client_free(client);
    add(&cluster, number, "voter"); /* and it joins as if nothing had been */
    role_comes(&cluster, "n2", "voter");
    cluster_free(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_becomes_three_and_five_and_three),
        cmocka_unit_test(test_a_wiped_node_is_replaced),
        cmocka_unit_test(test_the_leader_is_removed),
        cmocka_unit_test(test_removed_while_it_was_cut_off),
        cmocka_unit_test(test_joining_behind_a_compacted_log),
        cmocka_unit_test(test_members_outlive_snapshots_and_restarts),
        cmocka_unit_test(test_asked_at_the_one_that_goes),
        cmocka_unit_test(test_what_is_truncated_was_never_there),
        cmocka_unit_test(test_nobody_joins_by_what_is_not_committed),
        cmocka_unit_test(test_the_leader_falls_in_every_moment_of_a_change),
        cmocka_unit_test(test_refused_with_the_reason_and_no_change),
        cmocka_unit_test(test_what_the_quorum_needs_stays),
        cmocka_unit_test(test_one_change_at_a_time),
        cmocka_unit_test(test_administrators_only),
        cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_who_calls_is_looked_at),
        cmocka_unit_test(test_a_guest_brings_the_record_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
