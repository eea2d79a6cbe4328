/* SPDX-License-Identifier: Apache-2.0 */
/* node_dial.c - clusters with a dial; see node_dial.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/codec/value.h"
#include "node_dial.h"

const struct gavel_plugin *gavel_plugin_dial(void);

void dial_setup(struct cluster *cluster)
{
    cluster->limits.log_trailing_bytes = 4096;
    for (uint32_t i = 0; i < CLUSTER_MAX; i++) {
        cluster->nodes[i].plugin = gavel_plugin_dial();
        cluster->nodes[i].given = "";
    }
}

void dial_begin(struct cluster *cluster, uint32_t count)
{
    cluster_init(cluster, count, 20261129);
    dial_setup(cluster);
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 3000));
}

struct gavel_slice dial_settings(struct cluster *cluster, uint32_t number)
{
    static struct cluster_reply reply;

    member_ask(cluster, number, "settings", &reply, NULL);
    assert_int_equal(reply.status, 0);
    return gavel_bytes(reply.result, reply.result_size);
}

struct gavel_slice dial_setting(struct cluster *cluster, uint32_t number, const char *key)
{
    struct codec_walk walk;
    struct gavel_slice at, setting;

    codec_walk_begin(&walk, codec_map_find(dial_settings(cluster, number), "settings"));
    while (codec_walk_next(&walk, &at, &setting))
        if (gavel_slice_equal(codec_string_or(codec_map_find(setting, "key"), ""), gavel_text(key)))
            return setting;
    fail_msg("%s does not tell %s", cluster->nodes[number].name, key);
    return gavel_bytes(NULL, 0);
}

void assert_text(struct gavel_slice map, const char *key, const char *text)
{
    struct gavel_slice found = codec_string_or(codec_map_find(map, key), "(none)");

    if (!gavel_slice_equal(found, gavel_text(text)))
        fail_msg("%s is '%.*s', not '%s'", key, (int)found.size, (const char *)found.data, text);
}

static struct gavel_slice status_of(struct cluster *cluster, uint32_t number)
{
    static struct cluster_reply reply;

    member_ask(cluster, number, "status", &reply, NULL);
    assert_int_equal(reply.status, 0);
    return gavel_bytes(reply.result, reply.result_size);
}

uint64_t dial_status(struct cluster *cluster, uint32_t number, const char *key)
{
    return codec_uint_or(codec_map_find(status_of(cluster, number), key), UINT64_MAX);
}

int64_t dial_look(struct cluster *cluster, uint32_t number, const char *key)
{
    struct cluster_client *client = cluster_client(cluster, number, CODEC_ROLE_CLIENT);
    struct cluster_reply reply;

    cluster_command(client, "look", 0, 0, &reply, NULL);
    if (reply.status != 0)
        fail_msg("look: %lld %s", (long long)reply.status, reply.text);
    cluster_client_free(client);
    return (int64_t)codec_uint_or(codec_map_find(gavel_bytes(reply.result, reply.result_size), key), 0);
}

int64_t dial_turn(struct cluster *cluster, uint32_t number, int by, const char *text)
{
    struct cluster_client *client = cluster_client(cluster, number, CODEC_ROLE_CLIENT);
    struct cluster_reply reply;
    char pair[24];

    snprintf(pair, sizeof pair, "by=%d", by);
    cluster_command(client, "turn", 0, 0, &reply, (const char *const[]){pair, NULL});
    cluster_client_free(client);
    if (text)
        assert_string_equal(reply.text, text);
    return reply.came ? reply.status : 1;
}

void member_write_turns(struct cluster *cluster, uint32_t number, int count)
{
    struct cluster_client *client = cluster_client(cluster, number, CODEC_ROLE_CLIENT);
    struct cluster_reply reply;

    for (int i = 0; i < count; i++) {
        cluster_command(client, "turn", 0, 0, &reply, NULL);
        if (!reply.came || reply.status != 0)
            fail_msg("turn: %lld %s", (long long)reply.status, reply.text);
    }
    cluster_client_free(client);
}

static bool at_rest(struct cluster *cluster)
{
    uint64_t applied = 0;

    for (uint32_t i = 0; i < cluster->count; i++) {
        const struct cluster_node *node = &cluster->nodes[i];

        if (!node->node || node->exit_code >= 0)
            continue;
        if (applied && node_applied(node->node) != applied)
            return false;
        applied = node_applied(node->node);
    }
    return true;
}

void dial_same_digests(struct cluster *cluster)
{
    char first[64] = "";

    assert_true(cluster_until(cluster, at_rest, 5000));
    for (uint32_t i = 0; i < cluster->count; i++) {
        struct gavel_slice digest;
        char text[64];

        if (!cluster->nodes[i].node || cluster->nodes[i].exit_code >= 0)
            continue;
        digest = codec_string_or(codec_map_find(status_of(cluster, i), "digest"), "none");
        snprintf(text, sizeof text, "%.*s", (int)digest.size, (const char *)digest.data);
        if (!first[0])
            memcpy(first, text, sizeof first);
        assert_string_equal(text, first);
    }
}

void dial_compact(struct cluster *cluster)
{
    struct cluster_client *client = cluster_client(cluster, member_leader_of(cluster), CODEC_ROLE_CLIENT);
    struct cluster_reply reply;

    for (int i = 0; i < 24; i++) {
        cluster_pad(client, 200000, &reply);
        assert_int_equal(reply.status, 0);
    }
    cluster_client_free(client);
    cluster_run(cluster, 200);
    for (uint32_t i = 0; i < cluster->count; i++)
        if (cluster->nodes[i].node && cluster->nodes[i].exit_code < 0) {
            member_ask(cluster, i, "snapshot", &reply, NULL);
            assert_int_equal(reply.status, 0);
        }
    cluster_run(cluster, 200);
}

uint32_t dial_joiner(struct cluster *cluster)
{
    uint32_t number = cluster_joiner(cluster);

    member_add(cluster, number, "voter");
    cluster_start(cluster, number);
    assert_non_null(cluster->nodes[number].node);
    member_role_comes(cluster, cluster->nodes[number].name, "voter");
    return number;
}
