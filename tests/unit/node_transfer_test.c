/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_transfer_test.c - a large snapshot on its way to a node that is killed, loses its power, is slow, or has
 * no room: how many bytes it costs, how fast they go, and that it comes to an end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/node/internal.h"
#include "effort.h"
#include "node_cluster.h"
#include "node_member.h"

#define SEED 20261130
#define MIB (1u << 20)
#define CHUNKS EFFORT(384, 384) /* of 64 KiB each: a snapshot of 24 MiB */
#define CHUNK_BYTES 65536u
#define SENT_AT_ONCE (256u << 10) /* the core's chunk_bytes */
#define BLOCK_BYTES 65536u        /* of the file: what is not a whole one comes again */
#define SYNC_BYTES (8u << 20)     /* of the part, see core/log/snapshot_receive.c */

/* ---- a machine with much state, all of it made from one number ----------------------------------------- */

struct bulk {
    uint64_t value;
    uint64_t next; /* chunk of the walk, or of the restore */
};

static int32_t bulk_add(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct bulk *bulk = self;

    (void)call;
    (void)arguments;
    gavel_put_uint(reply->out, ++bulk->value);
    return GAVEL_OK;
}

static void bulk_state(void *self, struct gavel_machine_state *state)
{
    struct bulk *bulk = self;

    state->entries = bulk->value;
    state->digest[0] = bulk->value;
}

static int32_t bulk_begin(void *self, void **snapshot, struct gavel_error *error)
{
    struct bulk *bulk = self;
    struct bulk *held = malloc(sizeof *held);

    (void)error;
    assert_non_null(held);
    *held = (struct bulk){.value = bulk->value};
    *snapshot = held;
    return GAVEL_OK;
}

static void fill(unsigned char *to, uint64_t value, uint64_t number)
{
    uint64_t seed = value * 1000003 + number;

    for (uint32_t i = 0; i < CHUNK_BYTES; i += 8) {
        uint64_t word = os_mem_random(&seed);

        memcpy(to + i, &word, sizeof word);
    }
    memcpy(to, &value, sizeof value);
}

static int32_t bulk_next(void *self, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error)
{
    struct bulk *held = snapshot;

    (void)self;
    (void)error;
    if (gavel_buffer_reserve(chunk, CHUNK_BYTES) != GAVEL_OK)
        return GAVEL_E_NO_MEMORY;
    fill(chunk->data + chunk->size, held->value, held->next++);
    chunk->size += CHUNK_BYTES;
    return held->next < CHUNKS;
}

static void bulk_end(void *self, void *snapshot)
{
    (void)self;
    free(snapshot);
}

static int32_t bulk_restore_begin(void *self, uint64_t version, struct gavel_error *error)
{
    (void)version;
    (void)error;
    *(struct bulk *)self = (struct bulk){0};
    return GAVEL_OK;
}

static int32_t bulk_restore_chunk(void *self, struct gavel_slice chunk, struct gavel_error *error)
{
    static unsigned char wanted[CHUNK_BYTES];
    struct bulk *bulk = self;

    (void)error;
    assert_int_equal(chunk.size, CHUNK_BYTES);
    memcpy(&bulk->value, chunk.data, sizeof bulk->value);
    fill(wanted, bulk->value, bulk->next++);
    assert_memory_equal(chunk.data, wanted, CHUNK_BYTES);
    return GAVEL_OK;
}

static int32_t bulk_restore_end(void *self, struct gavel_error *error)
{
    (void)error;
    assert_int_equal(((struct bulk *)self)->next, CHUNKS);
    return GAVEL_OK;
}

static int32_t bulk_create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    (void)host;
    (void)options;
    (void)error;
    *self = calloc(1, sizeof(struct bulk));
    return *self ? GAVEL_OK : GAVEL_E_NO_MEMORY;
}

static void bulk_destroy(void *self)
{
    free(self);
}

static const struct gavel_command bulk_commands[] = {{.name = "add", .id = 1, .flags = GAVEL_WRITE, .run = bulk_add}};
static const struct gavel_statemachine bulk_operations = {.size = GAVEL_END(struct gavel_statemachine, since),
                                                          .flags = GAVEL_BOUNDED,
                                                          .state_version = 1,
                                                          .commands = bulk_commands,
                                                          .command_count = 1,
                                                          .command_stride = sizeof bulk_commands[0],
                                                          .state = bulk_state,
                                                          .snapshot_begin = bulk_begin,
                                                          .snapshot_next = bulk_next,
                                                          .snapshot_end = bulk_end,
                                                          .restore_begin = bulk_restore_begin,
                                                          .restore_chunk = bulk_restore_chunk,
                                                          .restore_end = bulk_restore_end};
static const struct gavel_plugin bulk_plugin = {.name = "bulk",
                                                .version = "1",
                                                .abi_minor = 1,
                                                .operations = &bulk_operations,
                                                .create = bulk_create,
                                                .destroy = bulk_destroy};

/* ---- a cluster of which one node needs the snapshot ----------------------------------------------------- */

struct scene {
    struct cluster cluster;
    uint32_t leader;
    uint32_t away; /* the node that is behind */
    uint64_t bytes; /* of the snapshot */
};

static void write_one(struct scene *scene)
{
    struct cluster_reply reply;
    struct cluster_client *client = cluster_client(&scene->cluster, scene->leader, CODEC_ROLE_CLIENT);

    cluster_command(client, "bulk.add", 0, 0, &reply, (const char *const[]){NULL});
    assert_int_equal(reply.status, 0);
    cluster_client_free(client);
}

static void take_snapshot(struct scene *scene)
{
    struct cluster_reply reply;

    member_ask(&scene->cluster, scene->leader, "snapshot", &reply, (const char *const[]){NULL});
    assert_int_equal(reply.status, 0);
}

/* Fill segments with what changes nothing, and take a snapshot: the log before it goes. */
static void compact(struct scene *scene)
{
    struct cluster_reply reply;
    struct cluster_client *client = cluster_client(&scene->cluster, scene->leader, CODEC_ROLE_CLIENT);

    for (int i = 0; i < 12; i++)
        cluster_pad(client, 400000, &reply);
    cluster_client_free(client);
    write_one(scene);
    take_snapshot(scene);
}

static void begin(struct scene *scene)
{
    struct cluster *cluster = &scene->cluster;

    cluster_init(cluster, 3, SEED);
    cluster->limits.log_trailing_bytes = 1;
    cluster->limits.snapshot_keep = 1;
    cluster->limits.transfer_rate = 64 * MIB; /* no time passes on this machine: without it, all would go in a moment */
    cluster->limits.snapshot_log_min = UINT64_C(1) << 40; /* when the test says so */
    for (uint32_t i = 0; i < 3; i++)
        cluster->nodes[i].plugin = &bulk_plugin;
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 5000));
    scene->leader = (uint32_t)cluster_leader(cluster);
    scene->away = (scene->leader + 1) % 3;
    write_one(scene);
    cluster_crash(cluster, scene->away, OS_MEM_KEEP_ALL);
    compact(scene);
    scene->bytes = log_snapshot_newest(cluster->nodes[scene->leader].node->log).bytes;
    assert_true(scene->bytes > 20 * MIB);
    assert_true(log_first(cluster->nodes[scene->leader].node->log) > 3);
    assert_int_equal(cluster->nodes[scene->leader].node->sending.bytes, 0);
}

static uint64_t sent(struct scene *scene)
{
    return scene->cluster.nodes[scene->leader].node->sending.bytes;
}

/* Run until so many bytes have gone out; time may pass. */
static void run_until_sent(struct scene *scene, uint64_t bytes)
{
    for (int i = 0; i < 60000 && sent(scene) < bytes; i++)
        cluster_run(&scene->cluster, 1);
    assert_true(sent(scene) >= bytes);
}

static void run_until_installed(struct scene *scene)
{
    struct cluster_node *node = &scene->cluster.nodes[scene->away];

    for (int i = 0; i < 60000 && node->installs == 0; i++) {
        cluster_run(&scene->cluster, 1);
        if (node->exit_code >= 0)
            fail_msg("the follower: %s", node->fatal);
    }
    assert_int_equal(node->installs, 1);
    assert_int_equal(cluster_leader(&scene->cluster), scene->leader);
}

static void expect_same(struct scene *scene)
{
    struct bulk *leader = scene->cluster.nodes[scene->leader].machines[0].self;
    struct bulk *follower = scene->cluster.nodes[scene->away].machines[0].self;

    write_one(scene);
    cluster_run(&scene->cluster, 500);
    assert_int_equal(leader->value, follower->value);
}

/* ---- what it costs -------------------------------------------------------------------------------------- */

static void test_a_transfer_sends_each_byte_once(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene);
    cluster_start(&scene.cluster, scene.away);
    run_until_installed(&scene);
    assert_int_equal(sent(&scene), scene.bytes);
    expect_same(&scene);
    cluster_free(&scene.cluster);
}

/*
 * A link so slow that an answer takes five times as long as the leader waits before it asks again: what it asked
 * meanwhile is answered behind each chunk, and says nothing of the next one.
 */
static void test_a_slow_link_carries_each_byte_once(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene);
    net_delay(net_side(scene.cluster.net, scene.cluster.nodes[scene.away].name), &scene.cluster.clock.mono_ns,
              UINT64_C(1600000000));
    cluster_start(&scene.cluster, scene.away);
    for (int i = 0; i < 600 && scene.cluster.nodes[scene.away].installs == 0; i++)
        cluster_run(&scene.cluster, 1000);
    run_until_installed(&scene);
    assert_int_equal(sent(&scene), scene.bytes);
    net_delay(net_side(scene.cluster.net, scene.cluster.nodes[scene.away].name), NULL, 0);
    expect_same(&scene);
    cluster_free(&scene.cluster);
}

/* An answer as a peer of protocol 1.0 gives it: it does not say what it has seen. */
static size_t as_in_1_0(unsigned char *bytes, size_t size)
{
    static unsigned char memory[65536];
    struct codec_arena arena = codec_arena(memory, sizeof memory);
    struct gavel_limits limits = codec_limits(size);
    struct gavel_buffer out = codec_buffer(size);
    struct codec_raft *raft;
    uint64_t type;
    void *message;

    if (codec_message_decode(codec_msgpack(), NULL, gavel_bytes(bytes, size), &limits, &arena, &type, &message, NULL) !=
            GAVEL_OK || type != CODEC_RAFT + RAFT_SNAPSHOT_RESPONSE)
        return size;
    raft = message;
    assert_true(raft->ask > 0);
    raft->ask = 0;
    assert_int_equal(codec_message_encode(codec_msgpack(), NULL, type, raft, &out, NULL), GAVEL_OK);
    memcpy(bytes, out.data, out.size);
    size = out.size;
    gavel_buffer_free(&out);
    return size;
}

/* Its answers are counted instead, and that is enough where few are on their way at once. */
static void test_a_peer_of_1_0_gets_each_byte_once(void **state)
{
    struct scene scene;
    struct net_side *side;

    (void)state;
    begin(&scene);
    side = net_side(scene.cluster.net, scene.cluster.nodes[scene.away].name);
    net_rewrite(side, as_in_1_0);
    net_delay(side, &scene.cluster.clock.mono_ns, UINT64_C(400000000));
    cluster_start(&scene.cluster, scene.away);
    for (int i = 0; i < 600 && scene.cluster.nodes[scene.away].installs == 0; i++)
        cluster_run(&scene.cluster, 1000);
    run_until_installed(&scene);
    assert_int_equal(sent(&scene), scene.bytes);
    net_delay(side, NULL, 0);
    expect_same(&scene);
    cluster_free(&scene.cluster);
}

/* Killed k times: each time what was on its way, and the block that was not whole, come again. And no more. */
static void test_killed_on_the_way_it_goes_on_where_it_was(void **state)
{
    static const uint64_t moments[] = {3, 9, 17, 23};
    struct scene scene;
    uint64_t kills = sizeof moments / sizeof moments[0];

    (void)state;
    begin(&scene);
    cluster_start(&scene.cluster, scene.away);
    for (uint64_t i = 0; i < kills; i++) {
        run_until_sent(&scene, moments[i] * MIB);
        cluster_crash(&scene.cluster, scene.away, OS_MEM_KILL);
        cluster_run(&scene.cluster, 2000 * i); /* at once, or after six seconds */
        write_one(&scene);
        cluster_start(&scene.cluster, scene.away);
    }
    run_until_installed(&scene);
    printf("%llu bytes sent of a snapshot of %llu\n", (unsigned long long)sent(&scene),
           (unsigned long long)scene.bytes);
    assert_true(sent(&scene) <= scene.bytes + kills * (2 * SENT_AT_ONCE + BLOCK_BYTES));
    expect_same(&scene);
    cluster_free(&scene.cluster);
}

static void test_a_power_cut_costs_what_was_not_synced(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene);
    cluster_start(&scene.cluster, scene.away);
    run_until_sent(&scene, 20 * MIB);
    cluster_crash(&scene.cluster, scene.away, OS_MEM_DROP_ALL);
    cluster_start(&scene.cluster, scene.away);
    run_until_installed(&scene);
    assert_true(sent(&scene) <= scene.bytes + SYNC_BYTES + 2 * SENT_AT_ONCE + BLOCK_BYTES);
    expect_same(&scene);
    cluster_free(&scene.cluster);
}

/* The leader keeps one snapshot, and takes others meanwhile: what is being sent stays, with the log behind it. */
static void test_newer_snapshots_do_not_begin_it_anew(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene);
    cluster_start(&scene.cluster, scene.away);
    for (uint64_t at = 4; at < 24; at += 5) {
        run_until_sent(&scene, at * MIB);
        compact(&scene);
        if (at == 9 || at == 19) {
            cluster_crash(&scene.cluster, scene.away, OS_MEM_KILL);
            compact(&scene);
            cluster_start(&scene.cluster, scene.away);
        }
    }
    run_until_installed(&scene);
    assert_true(sent(&scene) <= scene.bytes + 2 * (2 * SENT_AT_ONCE + BLOCK_BYTES));
    expect_same(&scene);
    cluster_free(&scene.cluster);
}

/* ---- how fast ------------------------------------------------------------------------------------------- */

static void test_the_rate_holds(void **state)
{
    struct scene scene;
    struct node_limits limits = {0};
    uint64_t began;
    uint64_t took;

    (void)state;
    begin(&scene);
    limits.transfer_rate = 4 * MIB;
    node_change_limits(scene.cluster.nodes[scene.leader].node, &limits);
    cluster_start(&scene.cluster, scene.away);
    run_until_sent(&scene, 1);
    began = scene.cluster.clock.mono_ns;
    while (scene.cluster.nodes[scene.away].installs == 0) {
        uint64_t before = sent(&scene);

        assert_true(scene.cluster.clock.mono_ns - began < UINT64_C(20000000000));
        cluster_run(&scene.cluster, 500);
        assert_true(sent(&scene) - before <= 2 * MIB + SENT_AT_ONCE);
    }
    took = (scene.cluster.clock.mono_ns - began) / NS_PER_MS;
    printf("%llu bytes at 4 MiB/s took %llu ms\n", (unsigned long long)scene.bytes, (unsigned long long)took);
    assert_in_range(took, 5800, 7500);
    assert_int_equal(sent(&scene), scene.bytes); /* and slowly is no reason to send anything twice */
    expect_same(&scene);
    cluster_free(&scene.cluster);
}

/* A reload takes the limit away in the middle. */
static void test_the_rate_changes_on_the_way(void **state)
{
    struct scene scene;
    struct node_limits limits = {0};
    uint64_t began;

    (void)state;
    begin(&scene);
    limits.transfer_rate = 1; /* counts as 64 KiB/s: at that it would take six minutes */
    node_change_limits(scene.cluster.nodes[scene.leader].node, &limits);
    cluster_start(&scene.cluster, scene.away);
    run_until_sent(&scene, 1);
    began = sent(&scene);
    cluster_run(&scene.cluster, 10000);
    assert_in_range(sent(&scene) - began, 512u << 10, 768u << 10);
    limits.transfer_rate = 0;
    node_change_limits(scene.cluster.nodes[scene.leader].node, &limits);
    run_until_installed(&scene);
    assert_int_equal(sent(&scene), scene.bytes);
    cluster_free(&scene.cluster);
}

/* ---- when it does not go on ------------------------------------------------------------------------------ */

/* The follower never comes back: the log behind the snapshot is kept for a minute, and no longer. */
static void test_the_dead_do_not_hold_the_log(void **state)
{
    struct scene scene;
    uint64_t first;

    (void)state;
    begin(&scene);
    cluster_start(&scene.cluster, scene.away);
    run_until_sent(&scene, 4 * MIB);
    cluster_crash(&scene.cluster, scene.away, OS_MEM_KILL);
    first = log_first(scene.cluster.nodes[scene.leader].node->log);
    cluster_run(&scene.cluster, 50000);
    compact(&scene);
    compact(&scene);
    assert_int_equal(log_first(scene.cluster.nodes[scene.leader].node->log), first);
    cluster_run(&scene.cluster, 15000);
    compact(&scene);
    assert_true(log_first(scene.cluster.nodes[scene.leader].node->log) > first);
    cluster_start(&scene.cluster, scene.away);
    run_until_installed(&scene);
    expect_same(&scene);
    cluster_free(&scene.cluster);
}

/* No room for it: it is asked again less and less often, holds no log, and succeeds when there is room. */
static void test_a_full_disk_is_tried_again_later(void **state)
{
    struct scene scene;
    struct cluster_node *away;
    uint64_t before;
    uint64_t room;

    (void)state;
    begin(&scene);
    away = &scene.cluster.nodes[scene.away];
    cluster_start(&scene.cluster, scene.away);
    cluster_run(&scene.cluster, 20);
    room = os_mem_used(away->disk);
    os_mem_set_budget(away->disk, room + 4 * MIB);
    cluster_run(&scene.cluster, 30000);
    assert_int_equal(away->installs, 0);
    before = sent(&scene);
    cluster_run(&scene.cluster, 60000);
    assert_true(sent(&scene) - before <= 8 * MIB);
    os_mem_set_budget(away->disk, 0);
    run_until_installed(&scene);
    expect_same(&scene);
    cluster_free(&scene.cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_transfer_sends_each_byte_once),
        cmocka_unit_test(test_a_slow_link_carries_each_byte_once),
        cmocka_unit_test(test_a_peer_of_1_0_gets_each_byte_once),
        cmocka_unit_test(test_killed_on_the_way_it_goes_on_where_it_was),
        cmocka_unit_test(test_a_power_cut_costs_what_was_not_synced),
        cmocka_unit_test(test_newer_snapshots_do_not_begin_it_anew),
        cmocka_unit_test(test_the_rate_holds),
        cmocka_unit_test(test_the_rate_changes_on_the_way),
        cmocka_unit_test(test_the_dead_do_not_hold_the_log),
        cmocka_unit_test(test_a_full_disk_is_tried_again_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
