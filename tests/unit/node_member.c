/* SPDX-License-Identifier: Apache-2.0 */
/* node_member.c - what tests of members ask of a cluster; see node_member.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "node_cluster.h"
#include "node_member.h"

#define SEED 20261123

static const char *const plus_one[] = {"name=hits", NULL};

void member_begin(struct cluster *cluster, uint32_t count)
{
    cluster_init(cluster, count, SEED);
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 3000));
}

/* One request of an administrator at that node. */
void member_ask(struct cluster *cluster, uint32_t number, const char *command, struct cluster_reply *reply,
                const char *const *pairs)
{
    struct cluster_client *admin = cluster_client(cluster, number, CODEC_ROLE_ADMIN);
    char name[64];

    snprintf(name, sizeof name, "gavel.%s", command);
    cluster_command(admin, name, 0, 0, reply, pairs);
    cluster_client_free(admin);
}

uint32_t member_leader_of(struct cluster *cluster)
{
    int leader = cluster_leader(cluster);

    if (leader < 0)
        assert_true(cluster_until(cluster, cluster_has_leader, 5000));
    leader = cluster_leader(cluster);
    assert_true(leader >= 0);
    return (uint32_t)leader;
}

void member_must(struct cluster *cluster, const char *command, struct cluster_reply *reply, const char *const *pairs)
{
    member_ask(cluster, member_leader_of(cluster), command, reply, pairs);
    if (!reply->came || reply->status != 0)
        fail_msg("%s: %lld %s", command, (long long)reply->status, reply->came ? reply->text : "no reply");
}

/* What member_list says at a node: into *list, valid until the next call. */
struct gavel_slice member_list_at(struct cluster *cluster, uint32_t number)
{
    static struct cluster_reply reply;

    member_ask(cluster, number, "member_list", &reply, NULL);
    assert_int_equal(reply.status, 0);
    return gavel_bytes(reply.result, reply.result_size);
}

struct gavel_slice member_entry(struct gavel_slice list, const char *name)
{
    struct codec_walk walk;
    struct gavel_slice key, member;

    codec_walk_begin(&walk, codec_map_find(list, "members"));
    while (codec_walk_next(&walk, &key, &member))
        if (gavel_slice_equal(codec_string_or(codec_map_find(member, "name"), ""), gavel_text(name)))
            return member;
    return gavel_bytes(NULL, 0);
}

bool member_has_role(struct cluster *cluster, uint32_t at, const char *name, const char *role)
{
    struct gavel_slice entry = member_entry(member_list_at(cluster, at), name);

    return gavel_slice_equal(codec_string_or(codec_map_find(entry, "role"), "none"), gavel_text(role));
}

uint64_t member_id_of(struct cluster *cluster, uint32_t at, const char *name)
{
    return codec_uint_or(codec_map_find(member_entry(member_list_at(cluster, at), name), "id"), 0);
}


uint64_t member_version_of(struct cluster *cluster, uint32_t at)
{
    return codec_uint_or(codec_map_find(member_list_at(cluster, at), "version"), UINT64_MAX);
}

/* One of the alarms in its status holds these words. */
bool member_status_says(struct cluster *cluster, uint32_t number, const char *words)
{
    static struct cluster_reply reply;
    struct codec_walk walk;
    struct gavel_slice key, alarm;
    char text[512];

    member_ask(cluster, number, "status", &reply, NULL);
    codec_walk_begin(&walk, codec_map_find(gavel_bytes(reply.result, reply.result_size), "alarms"));
    while (codec_walk_next(&walk, &key, &alarm)) {
        struct gavel_slice string = codec_string_or(alarm, "");

        snprintf(text, sizeof text, "%.*s", (int)string.size, (const char *)string.data);
        if (strstr(text, words))
            return true;
    }
    return false;
}

uint64_t member_count_of(struct cluster *cluster, uint32_t at)
{
    return codec_value_count(codec_map_find(member_list_at(cluster, at), "members"));
}

void member_role_comes(struct cluster *cluster, const char *name, const char *role)
{
    for (int i = 0; i < 500; i++) {
        if (member_has_role(cluster, member_leader_of(cluster), name, role))
            return;
        cluster_run(cluster, 10);
    }
    fail_msg("%s does not become a %s", name, role);
}

void member_add(struct cluster *cluster, uint32_t number, const char *role)
{
    char name[32], addresses[64], as[32];
    const char *const pairs[] = {name, addresses, as, NULL};
    struct cluster_reply reply;

    snprintf(name, sizeof name, "name=%s", cluster->nodes[number].name);
    snprintf(addresses, sizeof addresses, "addresses=%s", cluster->nodes[number].uri);
    snprintf(as, sizeof as, "role=%s", role);
    member_must(cluster, "member_add", &reply, pairs);
}

/* Add it, start it, and wait until it votes. */
uint32_t member_grow(struct cluster *cluster)
{
    uint32_t number = cluster_joiner(cluster);

    member_add(cluster, number, "voter");
    cluster_start(cluster, number);
    assert_non_null(cluster->nodes[number].node);
    member_role_comes(cluster, cluster->nodes[number].name, "voter");
    return number;
}

void member_remove(struct cluster *cluster, const char *name)
{
    char pair[32];
    const char *const pairs[] = {pair, NULL};
    struct cluster_reply reply;

    snprintf(pair, sizeof pair, "name=%s", name);
    member_must(cluster, "member_remove", &reply, pairs);
}

void member_write_some(struct cluster *cluster, uint32_t at, int count)
{
    struct cluster_client *client = cluster_client(cluster, at, CODEC_ROLE_CLIENT);
    struct cluster_reply reply;

    for (int i = 0; i < count; i++) {
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
        assert_int_equal(reply.status, 0);
    }
    cluster_client_free(client);
}

int64_t member_value_at(struct cluster *cluster, uint32_t number)
{
    struct cluster_client *client = cluster_client(cluster, number, CODEC_ROLE_CLIENT);
    struct cluster_reply reply;

    cluster_command(client, "get", 0, 0, &reply, plus_one);
    assert_int_equal(reply.status, 0);
    cluster_client_free(client);
    return reply.number;
}

/* The process has left by itself, as one that was removed. */
void member_gone(struct cluster *cluster, uint32_t number)
{
    struct cluster_node *node = &cluster->nodes[number];

    for (int i = 0; i < 800 && node->exit_code < 0; i++)
        cluster_run(cluster, 10);
    assert_int_equal(node->exit_code, 78);
    assert_non_null(strstr(node->fatal, "removed"));
    cluster_end(cluster, number);
}

void member_cut_off(struct cluster *cluster, uint32_t number, bool cut)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        if (i != number)
            net_cut(cluster->net, cluster->nodes[number].name, cluster->nodes[i].name, cut);
}

uint64_t member_term_at(struct cluster *cluster, uint32_t number)
{
    static struct cluster_reply reply;

    member_ask(cluster, number, "status", &reply, NULL);
    return codec_uint_or(codec_map_find(gavel_bytes(reply.result, reply.result_size), "term"), 0);
}
