/* SPDX-License-Identifier: Apache-2.0 */
/* node_test.c - three whole nodes in one thread: founding, writes, failover, restart, sessions, streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "node_cluster.h"

#define SEED 20261123

static const char *const plus_one[] = {"name=hits", NULL};

static void three(struct cluster *cluster)
{
    cluster_init(cluster, 3, SEED);
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 3000));
}

static uint32_t follower_of(struct cluster *cluster)
{
    int leader = cluster_leader(cluster);

    assert_true(leader >= 0);
    return ((uint32_t)leader + 1) % cluster->count;
}

static bool all_applied(struct cluster *cluster)
{
    int leader = cluster_leader(cluster);

    if (leader < 0)
        return false;
    for (uint32_t i = 0; i < cluster->count; i++)
        if (cluster->nodes[i].node &&
            node_applied(cluster->nodes[i].node) != node_commit(cluster->nodes[leader].node))
            return false;
    return true;
}

static void test_one_node_founds_itself(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;

    (void)state;
    cluster_init(&cluster, 1, SEED);
    cluster_start(&cluster, 0);
    assert_true(cluster_until(&cluster, cluster_has_leader, 1000));
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    cluster_command(client, "increment", 0, 0, &reply, plus_one);
    assert_true(reply.came);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.number, 1);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static void test_writes_on_the_leader_and_through_a_follower(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;

    (void)state;
    three(&cluster);
    client = cluster_client(&cluster, (uint32_t)cluster_leader(&cluster), CODEC_ROLE_CLIENT);
    for (int i = 1; i <= 10; i++) {
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
        assert_int_equal(reply.status, 0);
        assert_int_equal(reply.number, i);
    }
    cluster_client_free(client);
    client = cluster_client(&cluster, follower_of(&cluster), CODEC_ROLE_CLIENT);
    cluster_command(client, "counter.increment", 0, 0, &reply, plus_one);
    assert_true(reply.came);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.number, 11);
    cluster_command(client, "get", 0, 0, &reply, plus_one);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.number, 11);
    cluster_client_free(client);
    assert_true(cluster_until(&cluster, all_applied, 1000));
    cluster_free(&cluster);
}

static void test_leader_dies_and_nothing_is_lost(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;

    (void)state;
    three(&cluster);
    for (int round = 1; round <= 6; round++) {
        int leader = cluster_leader(&cluster);

        client = cluster_client(&cluster, follower_of(&cluster), CODEC_ROLE_CLIENT);
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
        assert_int_equal(reply.status, 0);
        assert_int_equal(reply.number, round);
        cluster_crash(&cluster, (uint32_t)leader, OS_MEM_DROP_ALL);
        cluster_command(client, "get", 0, 0, &reply, plus_one);
        assert_int_equal(reply.status, 0);
        assert_int_equal(reply.number, round);
        cluster_client_free(client);
        cluster_start(&cluster, (uint32_t)leader);
        assert_int_equal(cluster.nodes[leader].exit_code, -1);
        assert_true(cluster_until(&cluster, all_applied, 5000));
    }
    cluster_free(&cluster);
}

static void test_all_lose_power_and_nothing_is_lost(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;

    (void)state;
    three(&cluster);
    for (int round = 1; round <= 5; round++) {
        client = cluster_client(&cluster, 1, CODEC_ROLE_CLIENT);
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
        assert_int_equal(reply.status, 0);
        assert_int_equal(reply.number, round);
        cluster_client_free(client);
        for (uint32_t i = 0; i < 3; i++)
            cluster_crash(&cluster, i, OS_MEM_RANDOM);
        cluster_start_all(&cluster);
        assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    }
    cluster_free(&cluster);
}

static void test_a_retry_in_a_session_is_applied_once(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    struct codec_request request = {.machine = gavel_text("gavel"),
                                    .command = gavel_text("session_register")};
    uint64_t session;
    uint64_t first;
    uint32_t through;
    int leader;

    (void)state;
    three(&cluster);
    through = follower_of(&cluster);
    client = cluster_client(&cluster, through, CODEC_ROLE_CLIENT);
    cluster_call(client, &request, &reply);
    assert_int_equal(reply.status, 0);
    session = reply.session;
    assert_true(session > 0);
    cluster_command(client, "increment", session, 1, &reply, plus_one);
    assert_int_equal(reply.number, 1);
    first = reply.index;
    cluster_command(client, "increment", session, 1, &reply, plus_one);
    assert_int_equal(reply.number, 1);
    assert_int_equal(reply.index, first);
    leader = cluster_leader(&cluster);
    cluster_crash(&cluster, (uint32_t)leader, OS_MEM_DROP_ALL);
    cluster_command(client, "increment", session, 1, &reply, plus_one);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.number, 1);
    cluster_command(client, "increment", session, 2, &reply, plus_one);
    assert_int_equal(reply.number, 2);
    cluster_command(client, "increment", session + 1000, 1, &reply, plus_one);
    assert_int_equal(reply.status, GAVEL_E_EXPIRED);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static void test_snapshots_are_taken_and_brought_to_who_lacks_them(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    uint32_t away;

    (void)state;
    cluster_init(&cluster, 3, SEED);
    cluster.limits.snapshot_entries = 50;
    cluster.limits.snapshot_log_min = 1;
    cluster.limits.log_segment_bytes = 2u << 20;
    cluster.limits.log_trailing_bytes = 1;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    away = follower_of(&cluster);
    cluster_crash(&cluster, away, OS_MEM_DROP_ALL);
    client = cluster_client(&cluster, (uint32_t)cluster_leader(&cluster), CODEC_ROLE_CLIENT);
    for (int i = 1; i <= 400; i++) {
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
        assert_int_equal(reply.number, i);
    }
    cluster_start(&cluster, away);
    assert_true(cluster_until(&cluster, all_applied, 10000));
    cluster_client_free(client);
    client = cluster_client(&cluster, away, CODEC_ROLE_CLIENT);
    cluster_command(client, "get", 0, 0, &reply, plus_one);
    assert_int_equal(reply.number, 400);
    cluster_client_free(client);
    for (uint32_t i = 0; i < 3; i++)
        cluster_crash(&cluster, i, OS_MEM_RANDOM);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    client = cluster_client(&cluster, away, CODEC_ROLE_CLIENT);
    cluster_command(client, "get", 0, 0, &reply, plus_one);
    assert_int_equal(reply.number, 400);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static void test_a_clean_stop_hands_over(void **state)
{
    struct cluster cluster;
    int leader;
    uint64_t before;

    (void)state;
    three(&cluster);
    leader = cluster_leader(&cluster);
    before = cluster.clock.mono_ns;
    node_stop(cluster.nodes[leader].node);
    cluster_run(&cluster, 60);
    assert_true(cluster.nodes[leader].stopped);
    assert_true(cluster_until(&cluster, cluster_has_leader, 100));
    assert_true(cluster_leader(&cluster) != leader);
    assert_true(cluster.clock.mono_ns - before < UINT64_C(150000000));
    cluster_free(&cluster);
}

static void test_events_with_credit(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    struct codec_stream_open open = {.id = 900, .stream = gavel_text("events"), .credit = 3};
    struct codec_stream_credit credit = {.id = 900, .credit = 100};

    (void)state;
    three(&cluster);
    client = cluster_client(&cluster, (uint32_t)cluster_leader(&cluster), CODEC_ROLE_CLIENT);
    cluster_send(client, CODEC_STREAM_OPEN, &open);
    for (int i = 0; i < 5; i++)
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
    assert_int_equal(cluster_client_events(client), 3);
    cluster_send(client, CODEC_STREAM_CREDIT, &credit);
    cluster_run(&cluster, 5);
    assert_int_equal(cluster_client_events(client), 10);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static void test_bad_requests_are_refused_before_the_log(void **state)
{
    static const char *const wrong[] = {"nme=hits", NULL};
    static const char *const mistyped[] = {"name=hits", "by=x", NULL};
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    struct codec_request transfer = {.machine = gavel_text("gavel"), .command = gavel_text("transfer")};
    uint64_t commit;
    int leader;

    (void)state;
    three(&cluster);
    leader = cluster_leader(&cluster);
    client = cluster_client(&cluster, (uint32_t)leader, CODEC_ROLE_CLIENT);
    commit = node_commit(cluster.nodes[leader].node);
    cluster_command(client, "increment", 0, 0, &reply, wrong);
    assert_int_equal(reply.status, GAVEL_E_INVALID);
    assert_non_null(strstr(reply.text, "nme"));
    assert_non_null(strstr(reply.text, "name"));
    cluster_command(client, "increment", 0, 0, &reply, mistyped);
    assert_int_equal(reply.status, GAVEL_E_INVALID);
    assert_non_null(strstr(reply.text, "by"));
    cluster_command(client, "incremnt", 0, 0, &reply, plus_one);
    assert_int_equal(reply.status, GAVEL_E_INVALID);
    assert_non_null(strstr(reply.text, "increment"));
    cluster_call(client, &transfer, &reply);
    assert_int_equal(reply.status, GAVEL_E_DENIED);
    assert_non_null(strstr(reply.text, "admin.sock"));
    assert_int_equal(node_commit(cluster.nodes[leader].node), commit);
    cluster_send_raw(client, gavel_bytes("\xdd\x04\x00\x00\x00", 5));
    cluster_run(&cluster, 5);
    assert_false(cluster_client_open(client));
    cluster_client_free(client);
    cluster_free(&cluster);
}

static uint64_t open_session(struct cluster_client *client)
{
    struct codec_request request = {.machine = gavel_text("gavel"), .command = gavel_text("session_register")};
    struct cluster_reply reply;

    cluster_call(client, &request, &reply);
    assert_int_equal(reply.status, 0);
    return reply.session;
}

static void test_a_session_survives_a_snapshot_and_a_restart(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    uint64_t session;

    (void)state;
    cluster_init(&cluster, 1, SEED);
    cluster.limits.snapshot_entries = 10;
    cluster.limits.snapshot_log_min = 1;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    session = open_session(client);
    for (uint64_t i = 1; i <= 40; i++)
        cluster_command(client, "increment", session, i, &reply, plus_one);
    assert_int_equal(reply.number, 40);
    cluster_run(&cluster, 50);
    cluster_client_free(client);
    cluster_crash(&cluster, 0, OS_MEM_DROP_ALL);
    cluster_start(&cluster, 0);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    cluster_command(client, "increment", session, 20, &reply, plus_one);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.number, 20);
    cluster_command(client, "increment", session, 41, &reply, plus_one);
    assert_int_equal(reply.number, 41);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static void test_a_silent_session_expires_by_cluster_time(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    uint64_t session;

    (void)state;
    cluster_init(&cluster, 3, SEED);
    cluster.limits.session_ttl_ms = 2000;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    session = open_session(client);
    for (uint64_t i = 1; i <= 5; i++) {
        cluster_run(&cluster, 1000);
        cluster_command(client, "increment", session, i, &reply, plus_one);
        assert_int_equal(reply.status, 0);
    }
    cluster_run(&cluster, 6000);
    cluster_command(client, "increment", session, 6, &reply, plus_one);
    assert_int_equal(reply.status, GAVEL_E_EXPIRED);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static void test_a_slow_reader_costs_a_cursor_and_ends_with_compacted(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    struct codec_stream_open open = {.id = 1, .stream = gavel_text("events"), .credit = 1};
    struct codec_stream_credit credit = {.id = 1, .credit = 10};

    (void)state;
    cluster_init(&cluster, 1, SEED);
    cluster.limits.event_ring_bytes = 4096;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    cluster_send(client, CODEC_STREAM_OPEN, &open);
    for (int i = 0; i < 200; i++)
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
    assert_int_equal(cluster_client_events(client), 1);
    assert_null(cluster_client_end(client));
    cluster_send(client, CODEC_STREAM_CREDIT, &credit);
    cluster_run(&cluster, 5);
    assert_non_null(cluster_client_end(client));
    assert_int_equal(cluster_client_end(client)->status, GAVEL_E_COMPACTED);
    assert_true(cluster_client_end(client)->oldest_index > 100);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static void test_a_reader_that_does_not_read_is_fed_when_it_does(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *reader;
    struct cluster_client *writer;
    struct codec_stream_open open = {.id = 1, .stream = gavel_text("events"), .credit = 1000000};

    (void)state;
    cluster_init(&cluster, 1, SEED);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    reader = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    cluster_send(reader, CODEC_STREAM_OPEN, &open);
    cluster_run(&cluster, 2);
    writer = cluster_client_as(&cluster, 0, CODEC_ROLE_CLIENT, "writer");
    net_pause(net_side(cluster.net, "client"), true);
    for (int i = 0; i < 2000; i++)
        cluster_command(writer, "increment", 0, 0, &reply, plus_one);
    assert_int_equal(reply.number, 2000);
    assert_int_equal(cluster_client_events(reader), 0);
    net_pause(net_side(cluster.net, "client"), false);
    cluster_run(&cluster, 120); /* two heartbeats alone would not do */
    assert_int_equal(cluster_client_events(reader), 4000);
    cluster_client_free(writer);
    cluster_client_free(reader);
    cluster_free(&cluster);
}

static void test_a_thousand_readers_that_never_read_cost_bounded_memory(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *reader;
    struct cluster_client *writer;
    struct net_side *side;

    (void)state;
    cluster_init(&cluster, 1, SEED);
    cluster.limits.event_ring_bytes = 64u << 10;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    reader = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    writer = cluster_client_as(&cluster, 0, CODEC_ROLE_CLIENT, "writer");
    side = net_side(cluster.net, "client");
    for (uint64_t id = 1; id <= 1000; id++) {
        struct codec_stream_open open = {.id = id, .stream = gavel_text("events"), .credit = 1000000};

        cluster_send(reader, CODEC_STREAM_OPEN, &open);
    }
    cluster_run(&cluster, 5);
    net_pause(side, true);
    for (int i = 1; i <= 300; i++) {
        cluster_command(writer, "increment", 0, 0, &reply, plus_one);
        assert_int_equal(reply.number, i);
    }
    /* What waits for them: one connection's share of events, not 600 events for each of them. */
    assert_true(net_waiting(side) > 0);
    assert_true(net_waiting(side) < 200u << 10);
    cluster_client_free(writer);
    cluster_client_free(reader);
    cluster_free(&cluster);
}

/* Flip a byte in the middle of what a node's log holds. */
static void rot(struct cluster *cluster, uint32_t number)
{
    static const char path[] = "data/log/0000000000000001.seg";
    uint64_t size = 0;
    const uint8_t *bytes = os_mem_peek(cluster->nodes[number].disk, path, &size);
    uint64_t end = size;
    uint8_t flipped;

    assert_non_null(bytes);
    while (end > 0 && bytes[end - 1] == 0)
        end--;
    flipped = (uint8_t)(bytes[end / 2] ^ 0x40);
    assert_int_equal(os_mem_poke(cluster->nodes[number].disk, path, end / 2, &flipped, 1), 0);
}

static void test_a_damaged_log_is_fetched_again(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    uint32_t victim;

    (void)state;
    three(&cluster);
    victim = follower_of(&cluster);
    client = cluster_client(&cluster, (uint32_t)cluster_leader(&cluster), CODEC_ROLE_CLIENT);
    for (int i = 1; i <= 100; i++)
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
    assert_int_equal(reply.number, 100);
    assert_true(cluster_until(&cluster, all_applied, 1000));
    cluster_crash(&cluster, victim, OS_MEM_DROP_ALL);
    rot(&cluster, victim);
    cluster_start(&cluster, victim);
    assert_int_equal(cluster.nodes[victim].exit_code, -1);
    assert_true(cluster_until(&cluster, all_applied, 5000));
    cluster_client_free(client);
    /* It counts again: with it, and without another one, there is a majority. */
    cluster_crash(&cluster, (victim + 1) % 3, OS_MEM_DROP_ALL);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    client = cluster_client(&cluster, victim, CODEC_ROLE_CLIENT);
    cluster_command(client, "increment", 0, 0, &reply, plus_one);
    assert_int_equal(reply.number, 101);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static void test_a_lone_node_with_a_damaged_log_stops_and_changes_nothing(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    uint64_t before;

    (void)state;
    cluster_init(&cluster, 1, SEED);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    for (int i = 1; i <= 50; i++)
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
    cluster_run(&cluster, 10);
    cluster_client_free(client);
    cluster_crash(&cluster, 0, OS_MEM_DROP_ALL);
    rot(&cluster, 0);
    before = os_mem_digest(cluster.nodes[0].disk);
    cluster_start(&cluster, 0);
    assert_int_equal(cluster.nodes[0].exit_code, 65);
    assert_true(os_mem_digest(cluster.nodes[0].disk) == before);
    cluster_free(&cluster);
}

static int fail_syncs(void *ctx, enum os_mem_op op, const char *path)
{
    bool *on = ctx;

    (void)path;
    return *on && op == OS_MEM_SYNC ? -5 : 0;
}

static int fail_durable_writes(void *ctx, enum os_mem_op op, const char *path)
{
    bool *on = ctx;

    (void)path;
    return *on && (op == OS_MEM_SYNC || op == OS_MEM_WRITE) ? -5 : 0;
}

static void test_a_failed_sync_ends_the_node(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    bool on = false;
    int leader;

    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        three(&cluster);
        leader = cluster_leader(&cluster);
        os_mem_set_hook(cluster.nodes[leader].disk, kind ? fail_syncs : fail_durable_writes, &on);
        client = cluster_client(&cluster, ((uint32_t)leader + 1) % 3, CODEC_ROLE_CLIENT);
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
        assert_int_equal(reply.number, 1);
        on = true;
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
        on = false;
        if (cluster.nodes[leader].exit_code < 0) {
            cluster_client_free(client); /* its writes are durable without a sync of their own */
            cluster_free(&cluster);
            continue;
        }
        assert_int_equal(cluster.nodes[leader].exit_code, 74);
        cluster_crash(&cluster, (uint32_t)leader, OS_MEM_DROP_ALL);
        assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
        cluster_client_free(client);
        cluster_free(&cluster);
    }
}

static void test_a_node_that_lost_its_disk_does_not_come_back(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    uint32_t victim;

    (void)state;
    three(&cluster);
    victim = follower_of(&cluster);
    cluster_crash(&cluster, victim, OS_MEM_DROP_ALL);
    os_mem_free(cluster.nodes[victim].disk);
    cluster.nodes[victim].disk = os_mem_new();
    cluster.nodes[victim].os.files_self = cluster.nodes[victim].disk;
    cluster_start(&cluster, victim);
    cluster_run(&cluster, 2000);
    assert_int_equal(cluster.nodes[victim].exit_code, -1);
    assert_int_equal(node_applied(cluster.nodes[victim].node), 0);
    assert_false(node_ready(cluster.nodes[victim].node));
    client = cluster_client(&cluster, (uint32_t)cluster_leader(&cluster), CODEC_ROLE_CLIENT);
    cluster_command(client, "increment", 0, 0, &reply, plus_one);
    assert_int_equal(reply.number, 1);
    /* Its voice is not heard: without a third one there is no majority. */
    for (uint32_t i = 0; i < 3; i++)
        if (i != victim && i != (uint32_t)cluster_leader(&cluster)) {
            cluster_crash(&cluster, i, OS_MEM_DROP_ALL);
            break;
        }
    cluster_run(&cluster, 3000);
    assert_int_equal(cluster_leader(&cluster), -1);
    cluster_client_free(client);
    cluster_free(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_node_founds_itself),
        cmocka_unit_test(test_writes_on_the_leader_and_through_a_follower),
        cmocka_unit_test(test_leader_dies_and_nothing_is_lost),
        cmocka_unit_test(test_all_lose_power_and_nothing_is_lost),
        cmocka_unit_test(test_a_retry_in_a_session_is_applied_once),
        cmocka_unit_test(test_snapshots_are_taken_and_brought_to_who_lacks_them),
        cmocka_unit_test(test_a_clean_stop_hands_over),
        cmocka_unit_test(test_events_with_credit),
        cmocka_unit_test(test_bad_requests_are_refused_before_the_log),
        cmocka_unit_test(test_a_session_survives_a_snapshot_and_a_restart),
        cmocka_unit_test(test_a_silent_session_expires_by_cluster_time),
        cmocka_unit_test(test_a_slow_reader_costs_a_cursor_and_ends_with_compacted),
        cmocka_unit_test(test_a_reader_that_does_not_read_is_fed_when_it_does),
        cmocka_unit_test(test_a_thousand_readers_that_never_read_cost_bounded_memory),
        cmocka_unit_test(test_a_damaged_log_is_fetched_again),
        cmocka_unit_test(test_a_lone_node_with_a_damaged_log_stops_and_changes_nothing),
        cmocka_unit_test(test_a_failed_sync_ends_the_node),
        cmocka_unit_test(test_a_node_that_lost_its_disk_does_not_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
