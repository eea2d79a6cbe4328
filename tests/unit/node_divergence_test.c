/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_divergence_test.c - one machine's state flips: it is named and fenced, serves no wrong read, never leads, stays
 * fenced over a restart, and is whole again after a rebuild. Without a majority nothing is fenced, and no change of
 * members makes those that are wrong the majority.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/internal.h"
#include "node_member.h"

/* The arguments of the counter's increment, as its table lays them out. */
struct increment {
    uint64_t present;
    struct gavel_slice name;
    int64_t by;
};

static void nothing(void *context, const struct gavel_event *event)
{
    (void)context, (void)event;
}

/* A command that only this machine runs: what a bad memory, or a plugin that rolls dice, makes. */
static void flip(struct cluster *cluster, uint32_t number)
{
    struct node_machine *machine = &cluster->nodes[number].machines[0];
    struct increment increment = {.name = gavel_text("a"), .by = 1000};
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;
    struct codec_writer writer;
    struct gavel_reply reply = {.size = sizeof reply, .out = codec_writer_begin(&writer, &out), .emit = nothing,
                                .error = &error};
    struct gavel_call call = {.size = sizeof call};

    for (uint64_t i = 0; i < machine->operations->command_count; i++)
        if (strcmp(machine->operations->commands[i].name, "increment") == 0)
            assert_int_equal(machine->operations->commands[i].run(machine->self, &call, &increment, &reply), 0);
    gavel_buffer_free(&out);
}

static void write_one(struct cluster *cluster, uint32_t number, const char *name)
{
    char pair[80];
    const char *const pairs[] = {pair, NULL};
    struct cluster_client *client = cluster_client(cluster, number, CODEC_ROLE_CLIENT);
    struct cluster_reply reply;

    (void)snprintf(pair, sizeof pair, "name=%s", name);
    cluster_command(client, "counter.increment", 0, 0, &reply, pairs);
    assert_true(reply.came);
    assert_int_equal(reply.status, 0);
    cluster_client_free(client);
}

static struct cluster_reply read_one(struct cluster *cluster, uint32_t number, uint64_t level)
{
    struct cluster_client *client = cluster_client(cluster, number, CODEC_ROLE_CLIENT);
    static unsigned char bytes[64];
    struct gavel_buffer arguments = codec_buffer_fixed(bytes, sizeof bytes);
    struct codec_writer writer;
    struct gavel_writer *to = codec_writer_begin(&writer, &arguments);
    struct codec_request request = {.command = gavel_text("counter.get"), .read = level};
    struct cluster_reply reply;

    gavel_put_map(to, 1);
    gavel_put_key(to, "name");
    gavel_put_text(to, "a");
    gavel_put_end(to);
    assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
    request.arguments = gavel_buffer_slice(&arguments);
    cluster_call(client, &request, &reply);
    cluster_client_free(client);
    assert_true(reply.came);
    return reply;
}

static uint32_t asked; /* about whom the conditions below are */

static bool fenced(struct cluster *cluster)
{
    struct node *node = cluster->nodes[asked].node;

    return node && node->fenced && !node->fence_saving && node->fence_saved;
}

static bool free_again(struct cluster *cluster)
{
    struct node *node = cluster->nodes[asked].node;

    return node && node->raft && !node->fenced && !node->fence_saving && !node->fence_saved;
}

static bool another_leads(struct cluster *cluster)
{
    int leader = cluster_leader(cluster);

    return leader >= 0 && (uint32_t)leader != asked;
}

static void start(struct cluster *cluster, uint32_t count)
{
    cluster_init(cluster, count, 11);
    cluster->limits.log_trailing_bytes = 1; /* who starts from a snapshot has no members of before it */
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 10000));
    for (int i = 0; i < 3; i++)
        write_one(cluster, (uint32_t)cluster_leader(cluster), "a");
    cluster_run(cluster, 3000);
}

static void rebuild(struct cluster *cluster, uint32_t through, uint32_t number, int64_t status)
{
    char pair[80];
    const char *const pairs[] = {pair, NULL};
    struct cluster_client *client = cluster_client(cluster, through, CODEC_ROLE_ADMIN);
    struct cluster_reply reply;

    (void)snprintf(pair, sizeof pair, "name=%s", cluster->nodes[number].name);
    cluster_command(client, "gavel.rebuild", 0, 0, &reply, pairs);
    assert_true(reply.came);
    assert_int_equal(reply.status, status);
    cluster_client_free(client);
}

static void must_refuse(struct cluster *cluster, const char *command)
{
    struct cluster_client *client = cluster_client(cluster, asked, CODEC_ROLE_ADMIN);
    struct cluster_reply reply;

    cluster_command(client, command, 0, 0, &reply, NULL);
    assert_true(reply.came);
    assert_int_equal(reply.status, GAVEL_E_STATE);
    assert_non_null(strstr(reply.text, "differs from the majority's"));
    cluster_client_free(client);
}

static void test_a_follower(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t leader;

    (void)state;
    start(&cluster, 3);
    leader = (uint32_t)cluster_leader(&cluster);
    asked = (leader + 1) % 3;
    assert_false(cluster.nodes[asked].node->fenced);
    flip(&cluster, asked);
    write_one(&cluster, leader, "b");
    assert_true(cluster_until(&cluster, fenced, 10000));
    assert_non_null(strstr(cluster.nodes[asked].warned, "gavel-runbook(7)"));
    assert_false(cluster.nodes[leader].node->fenced);
    assert_false(cluster.nodes[(leader + 2) % 3].node->fenced);
    assert_true(peer_named(cluster.nodes[leader].node, cluster.nodes[asked].name)->diverged);
    reply = read_one(&cluster, asked, CODEC_READ_STALE);
    assert_int_equal(reply.status, GAVEL_E_BUSY);
    reply = read_one(&cluster, asked, CODEC_READ_LINEARIZABLE); /* sent on to the leader */
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.number, 3);
    write_one(&cluster, asked, "b");
    /* A wrong state becomes no snapshot, and no backup. */
    must_refuse(&cluster, "gavel.snapshot");
    must_refuse(&cluster, "gavel.snapshot_open");

    /* It is fenced after a restart too, even if its state came out right this time. */
    cluster_crash(&cluster, asked, OS_MEM_DROP_ALL);
    cluster_start(&cluster, asked);
    cluster_run(&cluster, 100);
    assert_true(cluster.nodes[asked].node->fenced || cluster.nodes[asked].node->recovery.fence);

    flip(&cluster, asked);
    rebuild(&cluster, leader, leader, GAVEL_E_STATE);
    rebuild(&cluster, leader, asked, 0);
    assert_true(cluster_until(&cluster, free_again, 30000));
    reply = read_one(&cluster, asked, CODEC_READ_STALE);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.number, 3);
    cluster_run(&cluster, 5000);
    assert_false(cluster.nodes[asked].node->fenced);
    assert_int_equal(apply_digest(cluster.nodes[asked].node->apply), apply_digest(cluster.nodes[leader].node->apply));
    /* And over a restart: the snapshot that it begins with is the leader's. */
    cluster_crash(&cluster, asked, OS_MEM_DROP_ALL);
    cluster_start(&cluster, asked);
    cluster_run(&cluster, 5000);
    assert_false(cluster.nodes[asked].node->fenced);
    assert_int_equal(apply_digest(cluster.nodes[asked].node->apply), apply_digest(cluster.nodes[leader].node->apply));
    cluster_free(&cluster);
}

static void test_a_leader(void **state)
{
    struct cluster cluster;

    (void)state;
    start(&cluster, 3);
    asked = (uint32_t)cluster_leader(&cluster);
    flip(&cluster, asked);
    write_one(&cluster, asked, "b");
    assert_true(cluster_until(&cluster, fenced, 10000));
    assert_true(cluster_until(&cluster, another_leads, 10000));
    cluster_run(&cluster, 3000);
    assert_true(another_leads(&cluster));
    write_one(&cluster, asked, "b");
    rebuild(&cluster, asked, asked, 0);
    assert_true(cluster_until(&cluster, free_again, 30000));
    assert_int_equal(read_one(&cluster, asked, CODEC_READ_STALE).number, 3);
    cluster_free(&cluster);
}

static bool asked_leads(struct cluster *cluster)
{
    return cluster_leader(cluster) == (int)asked;
}

static void never_leads(struct cluster *cluster, uint32_t number)
{
    char name[32];
    const char *const pairs[] = {name, "priority=0", NULL};
    struct cluster_reply reply;

    (void)snprintf(name, sizeof name, "name=%s", cluster->nodes[number].name);
    member_must(cluster, "member_update", &reply, pairs);
}

/* It begins with a snapshot that does not have who was removed, and knows of no leader: it turns that one away. */
static void restart_without(struct cluster *cluster, uint32_t number)
{
    struct cluster_client *client = cluster_client(cluster, number, CODEC_ROLE_ADMIN);
    struct cluster_client *writer = cluster_client(cluster, number, CODEC_ROLE_CLIENT);
    struct cluster_reply reply;

    for (int i = 0; i < 8; i++)
        cluster_pad(writer, 400000, &reply);
    cluster_client_free(writer);
    cluster_command(client, "gavel.snapshot", 0, 0, &reply, NULL);
    assert_int_equal(reply.status, 0);
    cluster_client_free(client);
    cluster_run(cluster, 1000);
    assert_true(log_first(cluster->nodes[number].node->log) > 1);
    cluster_crash(cluster, number, OS_MEM_DROP_ALL);
    cluster_start(cluster, number);
    cluster_run(cluster, 3000);
}

/*
 * The only one that may succeed the leader is fenced, and needs a leader that it is rebuilt from: the one that was
 * removed leads on, however long that takes, and nobody who knows it lets go of it.
 */
static void test_the_only_successor(void **state)
{
    static const char *const to[] = {"to=n4", NULL};
    const uint32_t leader = 3, other = 1;
    struct cluster cluster;
    struct cluster_reply reply;

    (void)state;
    start(&cluster, 3);
    assert_int_equal(asked = member_grow(&cluster), leader); /* no founder: no INI file has it */
    member_must(&cluster, "transfer", &reply, to);
    assert_true(cluster_until(&cluster, asked_leads, 10000));
    asked = 0;
    never_leads(&cluster, other);
    never_leads(&cluster, 2);
    flip(&cluster, asked);
    write_one(&cluster, leader, "b");
    assert_true(cluster_until(&cluster, fenced, 10000));
    member_remove(&cluster, cluster.nodes[leader].name);
    cluster_run(&cluster, 30000);
    assert_int_equal(cluster_leader(&cluster), leader);
    assert_true(fenced(&cluster));
    write_one(&cluster, asked, "b");
    restart_without(&cluster, other);
    assert_null(peer_named(cluster.nodes[other].node, cluster.nodes[leader].name));
    assert_int_equal(cluster_leader(&cluster), leader);
    rebuild(&cluster, asked, asked, 0);
    assert_true(cluster_until(&cluster, free_again, 30000));
    assert_true(cluster_until(&cluster, asked_leads, 10000));
    write_one(&cluster, asked, "a");
    assert_int_equal(read_one(&cluster, asked, CODEC_READ_STALE).number, 4);
    assert_null(peer_named(cluster.nodes[asked].node, cluster.nodes[leader].name)); /* now it does */
    member_gone(&cluster, leader);
    cluster_free(&cluster);
}

/* What a majority holds is right by definition: a wrong state must not become it because those that are right go. */
static void test_the_right_ones_stay(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    char pair[80];
    const char *const pairs[] = {pair, NULL};
    uint32_t leader;

    (void)state;
    start(&cluster, 3);
    leader = (uint32_t)cluster_leader(&cluster);
    asked = (leader + 1) % 3;
    flip(&cluster, asked);
    write_one(&cluster, leader, "b");
    assert_true(cluster_until(&cluster, fenced, 10000));
    member_remove(&cluster, cluster.nodes[(leader + 2) % 3].name);
    (void)snprintf(pair, sizeof pair, "name=%s", cluster.nodes[leader].name);
    member_ask(&cluster, leader, "member_remove", &reply, pairs);
    assert_int_equal(reply.status, GAVEL_E_STATE);
    assert_non_null(strstr(reply.text, "gavel member rebuild"));
    /* Who is wrong may go, and gets its vote back when it is right. */
    (void)snprintf(pair, sizeof pair, "name=%s", cluster.nodes[asked].name);
    member_must(&cluster, "member_demote", &reply, pairs);
    member_must(&cluster, "member_promote", &reply, pairs);
    cluster_run(&cluster, 5000);
    assert_true(member_has_role(&cluster, leader, cluster.nodes[asked].name, "joining"));
    rebuild(&cluster, leader, asked, 0);
    assert_true(cluster_until(&cluster, free_again, 30000));
    cluster_run(&cluster, 3000);
    member_remove(&cluster, cluster.nodes[leader].name);
    assert_true(cluster_until(&cluster, asked_leads, 10000));
    assert_int_equal(read_one(&cluster, asked, CODEC_READ_STALE).number, 3);
    cluster_free(&cluster);
}

/* Where those that are wrong are the majority already, a change that makes them fewer is not refused for it. */
static void test_the_wrong_ones_may_go(void **state)
{
    struct cluster cluster;
    uint32_t leader;
    struct peer *peer;

    (void)state;
    start(&cluster, 4);
    leader = (uint32_t)cluster_leader(&cluster);
    os_list_each (peer, &cluster.nodes[leader].node->peers, struct peer, link)
        peer->diverged = true; /* until the next digests are compared */
    member_remove(&cluster, cluster.nodes[(leader + 1) % 4].name);
    cluster_free(&cluster);
}

/* Two that differ: nobody knows who is right, until somebody says so. */
static void test_no_majority(void **state)
{
    struct cluster cluster;
    uint32_t leader;

    (void)state;
    start(&cluster, 2);
    leader = (uint32_t)cluster_leader(&cluster);
    asked = 1 - leader;
    flip(&cluster, asked);
    write_one(&cluster, leader, "b");
    cluster_run(&cluster, 10000);
    assert_false(cluster.nodes[0].node->fenced);
    assert_false(cluster.nodes[1].node->fenced);
    assert_true(cluster.nodes[leader].node->disagreed);
    assert_non_null(strstr(cluster.nodes[leader].warned, "no majority of equal digests"));
    assert_true(member_status_says(&cluster, leader, "no majority of equal digests"));
    rebuild(&cluster, leader, asked, 0);
    assert_true(cluster_until(&cluster, free_again, 30000));
    assert_int_equal(read_one(&cluster, asked, CODEC_READ_STALE).number, 3);
    assert_false(member_status_says(&cluster, leader, "no majority of equal digests"));
    cluster_free(&cluster);
}

/* What is committed while the state is being restored is applied afterwards, even if nothing comes behind it. */
static void test_a_write_while_it_restores(void **state)
{
    struct cluster cluster;
    struct node *node;
    uint32_t leader;

    (void)state;
    start(&cluster, 3);
    leader = (uint32_t)cluster_leader(&cluster);
    asked = (leader + 1) % 3;
    node = cluster.nodes[asked].node;
    flip(&cluster, asked);
    write_one(&cluster, leader, "b");
    assert_true(cluster_until(&cluster, fenced, 10000));
    rebuild(&cluster, leader, asked, 0);
    for (int i = 0; i < 1000000 && !(node->rebuild && node->apply_hold); i++) {
        cluster_steps(&cluster, 1);
        if (i % 100 == 0)
            cluster.clock.mono_ns += 1000000;
    }
    assert_true(node->rebuild && node->apply_hold);
    cluster.nodes[asked].stalled_until = cluster.clock.mono_ns + UINT64_C(1000000000); /* no piece of it is read */
    write_one(&cluster, leader, "c");
    cluster_run(&cluster, 500);
    assert_true(node->apply_hold);
    assert_int_equal(node->apply_to, cluster.nodes[leader].node->applied);
    cluster_run(&cluster, 1000);
    assert_false(node->apply_hold);
    assert_int_equal(node->applied, cluster.nodes[leader].node->applied);
    assert_true(cluster_until(&cluster, free_again, 30000));
    cluster_free(&cluster);
}

/* A follower that is fenced, and whose rebuild has begun to fetch what the leader had taken long ago. */
static struct node *fetching(struct cluster *cluster, bool threaded)
{
    struct codec_request request = {.machine = gavel_text("gavel"), .command = gavel_text("rebuild")};
    struct cluster_client *client;
    unsigned char arguments[16];
    uint32_t leader;
    struct node *node;

    cluster_init(cluster, 3, 11);
    cluster->threaded = threaded;
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 10000));
    leader = (uint32_t)cluster_leader(cluster);
    write_one(cluster, leader, "a");
    cluster_run(cluster, 3000);
    asked = (leader + 1) % 3;
    node = cluster->nodes[asked].node;
    flip(cluster, asked);
    write_one(cluster, leader, "b");
    assert_true(cluster_until(cluster, fenced, 10000));
    assert_int_equal(snapshot_take(cluster->nodes[leader].node, (struct origin){0}), GAVEL_OK);
    cluster_run(cluster, 1000);
    write_one(cluster, leader, "c");
    cluster_run(cluster, 1000);
    client = cluster_client(cluster, leader, CODEC_ROLE_ADMIN);
    request.arguments = gavel_bytes(arguments, (uint64_t)snprintf((char *)arguments, sizeof arguments,
                                                                  "\x81\xa4name\xa2%s", cluster->nodes[asked].name));
    cluster_post(client, 1, &request);
    for (int i = 0; i < 1000000 && !rebuild_fetches(node); i++) {
        cluster_steps(cluster, 1);
        if (i % 100 == 0)
            cluster->clock.mono_ns += 1000000;
    }
    assert_true(rebuild_fetches(node));
    cluster_client_free(client);
    return node;
}

/* A snapshot of the wrong state that is on its way then must not be the newest one when the node is whole again. */
static void test_a_wrong_snapshot_is_not_the_newest(void **state)
{
    struct cluster cluster;
    struct node *node;
    uint32_t leader;

    (void)state;
    node = fetching(&cluster, false);
    leader = (uint32_t)cluster_leader(&cluster);
    assert_int_equal(snapshot_take(node, (struct origin){0}), GAVEL_OK);
    assert_true(cluster_until(&cluster, free_again, 30000));
    cluster_crash(&cluster, asked, OS_MEM_DROP_ALL);
    cluster_start(&cluster, asked);
    cluster_run(&cluster, 3000);
    assert_false(cluster.nodes[asked].node->fenced);
    assert_int_equal(apply_digest(cluster.nodes[asked].node->apply), apply_digest(cluster.nodes[leader].node->apply));
    cluster_free(&cluster);
}

/* Nor is one begun, however much it is due: it would make the leader's worthless, and that be fetched anew for ever. */
static void test_no_wrong_snapshot_while_the_leaders_comes(void **state)
{
    struct cluster cluster;
    struct node *node;

    (void)state;
    node = fetching(&cluster, false);
    snapshot_counted(node, UINT64_C(1) << 40, UINT64_C(1) << 40);
    while (rebuild_fetches(node)) {
        node_settle(node);
        assert_true(snapshot_may_take(node)); /* none is held */
        cluster_steps(&cluster, 1);
        cluster.clock.mono_ns += 10000;
    }
    assert_null(node->rebuild);
    assert_true(cluster_until(&cluster, free_again, 30000));
    cluster_free(&cluster);
}

/* On a lane that has always more to do the state is replaced between two runs, not when a tick finds it idle. */
static void test_restored_between_two_runs(void **state)
{
    struct cluster cluster;
    struct node *node;

    (void)state;
    node = fetching(&cluster, true);
    for (int i = 0; i < 100 && node->rebuild; i++) {
        node->tick_at = UINT64_MAX; /* it never is */
        write_one(&cluster, (uint32_t)cluster_leader(&cluster), "d");
    }
    assert_null(node->rebuild);
    node->tick_at = 0;
    assert_true(cluster_until(&cluster, free_again, 30000));
    cluster_free(&cluster);
}

static bool has_snapshot(struct cluster *cluster)
{
    return log_snapshot_newest(cluster->nodes[asked].node->log).index > 0;
}

/* The log of a node that waits to be rebuilt is bounded all the same; and its snapshot hinders nobody. */
static void test_its_log_has_an_end(void **state)
{
    struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;
    uint32_t leader;

    (void)state;
    cluster_init(&cluster, 3, 11);
    cluster.limits.snapshot_entries = 8;
    cluster.limits.snapshot_log_min = 1u << 16;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 10000));
    for (int i = 0; i < 3; i++)
        write_one(&cluster, (uint32_t)cluster_leader(&cluster), "a");
    leader = (uint32_t)cluster_leader(&cluster);
    asked = (leader + 1) % 3;
    flip(&cluster, asked);
    write_one(&cluster, leader, "b");
    assert_true(cluster_until(&cluster, fenced, 10000));
    client = cluster_client(&cluster, leader, CODEC_ROLE_CLIENT);
    for (int i = 0; i < 30; i++) {
        assert_true(i > 12 || !has_snapshot(&cluster)); /* a wrong state is not kept without need */
        cluster_pad(client, 50000, &reply);
    }
    cluster_client_free(client);
    assert_true(cluster_until(&cluster, has_snapshot, 10000));
    cluster_crash(&cluster, asked, OS_MEM_DROP_ALL);
    cluster_start(&cluster, asked);
    assert_true(cluster_until(&cluster, fenced, 10000));
    rebuild(&cluster, leader, asked, 0);
    assert_true(cluster_until(&cluster, free_again, 30000));
    assert_int_equal(read_one(&cluster, asked, CODEC_READ_STALE).number, 3);
    cluster_free(&cluster);
}

/* An earlier leader began to send a snapshot, and the log went on without it: the rest of that is in nobody's way. */
static void test_a_snapshot_that_never_ended(void **state)
{
    struct cluster cluster;
    struct raft_snapshot_request offer = {.index = 1000000, .last_term = 1, .total = 1000, .digest = 1};
    uint32_t leader;

    (void)state;
    start(&cluster, 3);
    leader = (uint32_t)cluster_leader(&cluster);
    asked = (leader + 1) % 3;
    snapshot_store_chunk(cluster.nodes[asked].node, &offer);
    flip(&cluster, asked);
    write_one(&cluster, leader, "b");
    assert_true(cluster_until(&cluster, fenced, 10000));
    rebuild(&cluster, leader, asked, 0);
    assert_true(cluster_until(&cluster, free_again, 30000));
    assert_int_equal(read_one(&cluster, asked, CODEC_READ_STALE).number, 3);
    cluster_free(&cluster);
}

static uint32_t attempts;

static int no_room_for_a_fence(void *ctx, enum os_mem_op op, const char *path)
{
    (void)ctx;
    if (op != OS_MEM_WRITE || !strstr(path, "fenced"))
        return 0;
    attempts++;
    return -ENOSPC;
}

/* A full disk does not keep a node from being fenced; that it is written down is tried again, but not all the time. */
static void test_a_full_disk(void **state)
{
    struct cluster cluster;
    uint32_t leader;

    (void)state;
    start(&cluster, 3);
    leader = (uint32_t)cluster_leader(&cluster);
    asked = (leader + 1) % 3;
    os_mem_set_hook(cluster.nodes[asked].disk, no_room_for_a_fence, NULL);
    flip(&cluster, asked);
    write_one(&cluster, leader, "b");
    cluster_run(&cluster, 10000);
    assert_true(cluster.nodes[asked].node->fenced);
    assert_int_equal(cluster.nodes[asked].node->fence_saved, 0);
    assert_in_range(attempts, 2, 1000);
    os_mem_set_hook(cluster.nodes[asked].disk, NULL, NULL);
    assert_true(cluster_until(&cluster, fenced, 10000));
    cluster_free(&cluster);
}

/* The connection over which another member calls on this one. */
static struct conn *member_conn(struct node *node)
{
    struct conn *conn;

    os_list_each (conn, &node->conns, struct conn, link)
        if (conn->role == CODEC_ROLE_PEER && !conn->dialled && conn->state == CONN_READY)
            return conn;
    return NULL;
}

/* A request of another member, as if it had come over its connection. */
static void member_asks(struct conn *conn, const char *command, uint64_t index)
{
    static unsigned char bytes[64];
    struct gavel_buffer arguments = codec_buffer_fixed(bytes, sizeof bytes);
    struct codec_writer writer;
    struct gavel_writer *to = codec_writer_begin(&writer, &arguments);
    struct codec_request request = {.command = gavel_text(command)};

    gavel_put_map(to, 1);
    gavel_put_key(to, "index");
    gavel_put_uint(to, index);
    gavel_put_end(to);
    assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
    request.arguments = gavel_buffer_slice(&arguments);
    conn->in_flight++;
    rebuild_command(conn, &request, command, (struct origin){.conn = conn->serial, .id = 1 << 20}, UINT64_MAX);
}

/* Two members rebuild at once, and the second one's question comes while a piece is read for the first. */
static void test_an_offer_answers_for_the_piece_that_it_stops(void **state)
{
    static struct cluster cluster;
    struct node *node;
    struct conn *conn;
    uint64_t before;
    int leader;

    (void)state;
    cluster_init(&cluster, 3, 31);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    leader = cluster_leader(&cluster);
    node = cluster.nodes[leader].node;
    write_one(&cluster, (uint32_t)leader, "a");
    assert_int_equal(snapshot_take(node, (struct origin){0}), GAVEL_OK);
    cluster_run(&cluster, 1000);
    assert_true(log_snapshot_newest(node->log).index > 0);
    conn = member_conn(node);
    assert_non_null(conn);
    before = conn->in_flight;
    member_asks(conn, "state_offer", 0);
    assert_int_equal(conn->in_flight, before);
    member_asks(conn, "state_piece", log_snapshot_newest(node->log).index);
    assert_int_equal(conn->in_flight, before + 1);
    member_asks(conn, "state_offer", 0);
    assert_int_equal(conn->in_flight, before);
    cluster_run(&cluster, 100);
    assert_int_equal(conn->in_flight, before);
    cluster_free(&cluster);
}

/* An administrator reads a piece just before the minute is over, and the disk takes longer than what is left of it. */
static void test_a_piece_that_is_read_is_waited_for(void **state)
{
    static struct cluster cluster;
    struct cluster_client *admin;
    struct cluster_reply reply;
    struct codec_request request = {.machine = gavel_text("gavel"), .command = gavel_text("snapshot_read"),
                                    .arguments = gavel_bytes("\x82\xa6handle\x01\xa6offset\x00", 17)};

    (void)state;
    cluster_init(&cluster, 1, 32);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    write_one(&cluster, 0, "a");
    admin = cluster_client(&cluster, 0, CODEC_ROLE_ADMIN);
    cluster_command(admin, "gavel.snapshot_open", 0, 0, &reply, (const char *const[]){NULL});
    assert_int_equal(reply.status, 0);
    cluster_run(&cluster, 59000);
    cluster.nodes[0].stalled_until = cluster.clock.mono_ns + UINT64_C(4000000000);
    cluster_post(admin, 5, &request);
    cluster_run(&cluster, 3000);
    assert_false(cluster_client_answered(admin, 5));
    cluster_run(&cluster, 2000);
    assert_true(cluster_client_answered(admin, 5));
    cluster_client_free(admin);
    cluster_free(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_offer_answers_for_the_piece_that_it_stops),
        cmocka_unit_test(test_a_piece_that_is_read_is_waited_for),
        cmocka_unit_test(test_a_follower), cmocka_unit_test(test_a_leader), cmocka_unit_test(test_no_majority),
        cmocka_unit_test(test_the_only_successor), cmocka_unit_test(test_the_right_ones_stay),
        cmocka_unit_test(test_the_wrong_ones_may_go),
        cmocka_unit_test(test_a_wrong_snapshot_is_not_the_newest),
        cmocka_unit_test(test_no_wrong_snapshot_while_the_leaders_comes),
        cmocka_unit_test(test_restored_between_two_runs),
        cmocka_unit_test(test_a_write_while_it_restores), cmocka_unit_test(test_a_snapshot_that_never_ended),
        cmocka_unit_test(test_its_log_has_an_end), cmocka_unit_test(test_a_full_disk)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
