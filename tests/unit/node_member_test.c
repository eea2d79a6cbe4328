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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_becomes_three_and_five_and_three),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
