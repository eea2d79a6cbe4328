/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_bounds_test.c - bounds of a node that a client meets: at the limit all is well, one above is refused with a
 * sentence, and below it all is well again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/codec/field.h"
#include "core/node/internal.h"
#include "node_cluster.h"

static uint32_t old_leader;
static const char *const one[] = {"name=x", NULL};

#define FORWARDS 64 /* requests under way to the leader, at most */

static void test_clients(void **state)
{
    static struct cluster cluster;
    struct cluster_client *first, *second, *third;
    struct cluster_reply reply;

    (void)state;
    cluster_init(&cluster, 1, 3);
    cluster.limits.clients = 2;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    first = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    second = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    cluster_command(second, "increment", 0, 0, &reply, one);
    assert_true(reply.came);
    assert_int_equal(reply.status, 0);
    third = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    assert_false(cluster_client_open(third));
    cluster_client_free(third);
    cluster_client_free(first);
    third = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    assert_true(cluster_client_open(third));
    cluster_command(third, "increment", 0, 0, &reply, one);
    assert_int_equal(reply.status, 0);
    cluster_client_free(third);
    cluster_client_free(second);
    cluster_free(&cluster);
}

/* A follower whose leader does not answer forwards so many, and refuses the next: that one was surely not done. */
static void test_forwards(void **state)
{
    static struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;
    uint32_t leader, follower;
    const char *names[] = {"n1", "n2", "n3"};

    (void)state;
    cluster_init(&cluster, 3, 4);
    cluster.limits.proposals = FORWARDS;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    leader = (uint32_t)cluster_leader(&cluster);
    follower = (leader + 1) % 3;
    client = cluster_client(&cluster, follower, CODEC_ROLE_CLIENT);
    cluster_command(client, "increment", 0, 0, &reply, one);
    assert_int_equal(reply.status, 0);
    net_cut(cluster.net, names[leader], names[follower], true);
    for (uint64_t id = 1000; id < 1000 + FORWARDS; id++) {
        struct codec_request request = {.command = gavel_text("increment"), .remaining_ms = 3000,
                                        .arguments = gavel_bytes("\x81\xa4name\xa1x", 8)};

        cluster_post(client, id, &request);
    }
    cluster_run(&cluster, 2);
    assert_int_equal(cluster_client_replies(client), 1);
    cluster_command(client, "increment", 0, 0, &reply, one);
    assert_true(reply.came);
    assert_int_equal(reply.status, GAVEL_E_BUSY);
    net_cut(cluster.net, names[leader], names[follower], false);
    cluster_run(&cluster, 4000);
    cluster_command(client, "increment", 0, 0, &reply, one);
    assert_int_equal(reply.status, 0);
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* A leader whose followers are silent takes so many commands, and refuses the next: that one was surely not done. */
static void test_proposals(void **state)
{
    static struct cluster cluster;
    struct codec_request request = {.command = gavel_text("increment"), .remaining_ms = 20000,
                                    .arguments = gavel_bytes("\x81\xa4name\xa1x", 8)};
    const char *names[] = {"n1", "n2", "n3"};
    struct cluster_client *client;
    struct cluster_reply reply;
    uint32_t leader;

    (void)state;
    cluster_init(&cluster, 3, 6);
    cluster.limits.proposals = FORWARDS;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    leader = (uint32_t)cluster_leader(&cluster);
    client = cluster_client(&cluster, leader, CODEC_ROLE_CLIENT);
    net_cut(cluster.net, names[leader], names[(leader + 1) % 3], true);
    net_cut(cluster.net, names[leader], names[(leader + 2) % 3], true);
    for (uint64_t id = 1000; id < 1000 + FORWARDS; id++)
        cluster_post(client, id, &request);
    cluster_run(&cluster, 2);
    assert_int_equal(cluster_client_replies(client), 0);
    cluster_command(client, "increment", 0, 0, &reply, one);
    assert_true(reply.came);
    assert_int_equal(reply.status, GAVEL_E_BUSY);
    net_cut(cluster.net, names[leader], names[(leader + 1) % 3], false);
    net_cut(cluster.net, names[leader], names[(leader + 2) % 3], false);
    cluster_run(&cluster, 3000);
    cluster_command(client, "increment", 0, 0, &reply, one);
    assert_int_equal(reply.status, 0);
    assert_in_range(reply.number, 1, FORWARDS + 1);
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* A pad with so many numbers, each of one byte in a message and of eight in the memory of whoever reads it. */
static void pad_numbers(struct cluster_client *client, uint32_t count, struct cluster_reply *reply)
{
    static unsigned char map[1 << 20] = "\x82\xa5" "bytes" "\xa1x" "\xa7" "numbers" "\xdd";
    struct codec_request request = {.command = gavel_text("pad"), .remaining_ms = 5000};
    uint64_t head = strlen((const char *)map);

    for (int i = 0; i < 4; i++)
        map[head + (uint64_t)i] = (unsigned char)(count >> (24 - 8 * i));
    request.arguments = gavel_bytes(map, head + 4 + count);
    cluster_call(client, &request, reply);
    map[head] = 0;
}

/*
 * What the leader takes into the log every member must be able to load. A list that needs more memory than the leader's
 * check has is refused; the largest that fits is applied by all, and again after a start.
 */
static void test_large_lists(void **state)
{
    static struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;
    uint64_t last;

    (void)state;
    cluster_init(&cluster, 3, 8);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    client = cluster_client(&cluster, (uint32_t)cluster_leader(&cluster), CODEC_ROLE_CLIENT);
    pad_numbers(client, 600000, &reply);
    assert_true(reply.came);
    assert_int_equal(reply.status, GAVEL_E_TOO_LARGE);
    assert_non_null(strstr(reply.text, "numbers"));
    pad_numbers(client, CODEC_CHECK_ARENA / 8, &reply);
    assert_int_equal(reply.status, GAVEL_E_TOO_LARGE);
    pad_numbers(client, CODEC_CHECK_ARENA / 8 - 64, &reply);
    assert_true(reply.came);
    assert_int_equal(reply.status, 0);
    last = reply.index;
    cluster_run(&cluster, 1000);
    cluster_client_free(client);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(cluster.nodes[i].exit_code, -1);
        cluster_crash(&cluster, i, OS_MEM_DROP_ALL);
    }
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 10000));
    cluster_run(&cluster, 2000);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(cluster.nodes[i].exit_code, -1);
        assert_true(node_applied(cluster.nodes[i].node) >= last);
    }
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    cluster_command(client, "increment", 0, 0, &reply, one);
    assert_int_equal(reply.status, 0);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static int32_t run_large(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    static char text[100000];

    (void)self;
    (void)call;
    (void)arguments;
    gavel_put_bytes(reply->out, gavel_bytes(text, sizeof text));
    return GAVEL_OK;
}

/* A result that no message can carry: a read is refused, a write is not told to be undone, in a session neither. */
static void test_large_results(void **state)
{
    static struct cluster cluster;
    struct codec_request request = {.command = gavel_text("pad"), .remaining_ms = 2000,
                                    .arguments = gavel_bytes("\x81\xa5" "bytes" "\xa1x", 9)};
    struct cluster_client *client;
    struct cluster_reply reply;
    uint64_t session, index;

    (void)state;
    cluster_init(&cluster, 1, 9);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    for (uint64_t i = 0; i < cluster.nodes[0].operations.command_count; i++)
        if (strcmp(cluster.nodes[0].commands[i].name, "increment") != 0)
            cluster.nodes[0].commands[i].run = run_large;
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    cluster_command(client, "gavel.session_register", 0, 0, &reply, (const char *const[]){NULL});
    session = reply.session;
    assert_true(session != 0);
    cluster_command(client, "get", 0, 0, &reply, one);
    assert_int_equal(reply.status, 0);
    net_message_bytes(net_side(cluster.net, "n1"), 65536);
    cluster_command(client, "get", 0, 0, &reply, one);
    assert_true(reply.came);
    assert_int_equal(reply.status, GAVEL_E_TOO_LARGE);
    assert_string_equal(reply.text, "what was read is larger than a message of this connection may be");
    cluster_call(client, &request, &reply);
    assert_true(reply.came);
    assert_int_equal(reply.status, GAVEL_E_UNKNOWN);
    assert_true(reply.index > session);
    assert_non_null(strstr(reply.text, "it was done at index "));
    request.session = session;
    request.sequence = 1;
    cluster_call(client, &request, &reply);
    assert_int_equal(reply.status, GAVEL_E_UNKNOWN);
    index = reply.index;
    cluster_call(client, &request, &reply);
    assert_int_equal(reply.status, GAVEL_E_UNKNOWN);
    assert_int_equal(reply.index, index);
    cluster_command(client, "increment", 0, 0, &reply, one);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.number, 1);
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* Nor is a read that had to be sent on to the leader, for this node's state is wrong, something that was done. */
static void test_large_results_of_the_leader(void **state)
{
    static struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;
    uint32_t other;

    (void)state;
    cluster_init(&cluster, 3, 9);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    for (uint32_t node = 0; node < 3; node++)
        for (uint64_t i = 0; i < cluster.nodes[node].operations.command_count; i++)
            if (strcmp(cluster.nodes[node].commands[i].name, "get") == 0)
                cluster.nodes[node].commands[i].run = run_large;
    other = ((uint32_t)cluster_leader(&cluster) + 1) % 3;
    cluster.nodes[other].node->fenced = true;
    client = cluster_client(&cluster, other, CODEC_ROLE_CLIENT);
    cluster_command(client, "get", 0, 0, &reply, one);
    assert_int_equal(reply.status, 0);
    net_message_bytes(net_side(cluster.net, cluster.nodes[other].name), 65536);
    cluster_command(client, "get", 0, 0, &reply, one);
    assert_true(reply.came);
    assert_int_equal(reply.status, GAVEL_E_TOO_LARGE);
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* What an administrator reads has not been done either: he is told what is wrong with the answer. */
static void test_large_answers_to_administrators(void **state)
{
    static struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;

    (void)state;
    cluster_init(&cluster, 1, 11);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    client = cluster_client(&cluster, 0, CODEC_ROLE_ADMIN);
    cluster_command(client, "gavel.status", 0, 0, &reply, NULL);
    assert_int_equal(reply.status, 0);
    assert_true(reply.result_size > 200);
    net_message_bytes(net_side(cluster.net, cluster.nodes[0].admin_uri + 6), 200);
    cluster_command(client, "gavel.status", 0, 0, &reply, NULL);
    assert_true(reply.came);
    assert_int_equal(reply.status, GAVEL_E_TOO_LARGE);
    assert_string_equal(reply.text, "what was read is larger than a message of this connection may be");
    cluster_client_free(client);
    cluster_free(&cluster);
}

/*
 * The leader's disk hangs: what came behind the batch that it has waits in the next one. Each is answered when its time
 * is over, and is still done once when the disk gets on.
 */
static void test_deadlines_behind_a_hung_disk(void **state)
{
    static struct cluster cluster;
    struct codec_request request = {.command = gavel_text("increment"), .remaining_ms = 200,
                                    .arguments = gavel_bytes("\x81\xa4name\xa1x", 8)};
    struct cluster_client *client;
    struct cluster_reply reply;

    (void)state;
    cluster_init(&cluster, 1, 10);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    cluster.nodes[0].stalled_until = cluster.clock.mono_ns + UINT64_C(1500000000);
    for (uint64_t id = 10; id < 14; id++)
        cluster_post(client, id, &request);
    cluster_run(&cluster, 150);
    assert_int_equal(cluster_client_replies(client), 0);
    cluster_run(&cluster, 350);
    assert_int_equal(cluster_client_replies(client), 4);
    for (uint64_t id = 10; id < 14; id++)
        assert_true(cluster_client_answered(client, id));
    cluster_run(&cluster, 3000);
    assert_int_equal(cluster_client_replies(client), 4);
    cluster_command(client, "increment", 0, 0, &reply, one);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.number, 5);
    cluster_client_free(client);
    cluster_free(&cluster);
}

/*
 * The same where only the batch in the making has somebody who waits: the deadline of who was first is over, and the
 * node goes on looking as often as while something waits.
 */
static void test_a_deadline_in_the_making_is_looked_at_in_time(void **state)
{
    static struct cluster cluster;
    struct codec_request request = {.command = gavel_text("increment"),
                                    .arguments = gavel_bytes("\x81\xa4name\xa1x", 8)};
    struct cluster_client *client;

    (void)state;
    cluster_init(&cluster, 1, 12);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    cluster.nodes[0].stalled_until = cluster.clock.mono_ns + UINT64_C(5000000000);
    request.remaining_ms = 50;
    cluster_post(client, 10, &request);
    cluster_run(&cluster, 1); /* the disk has it */
    request.remaining_ms = 500;
    cluster_post(client, 11, &request);
    cluster_run(&cluster, 400);
    assert_true(cluster_client_answered(client, 10));
    assert_false(cluster_client_answered(client, 11));
    cluster_run(&cluster, 250);
    assert_true(cluster_client_answered(client, 11));
    cluster_client_free(client);
    cluster_free(&cluster);
}

static bool others_lead(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        if (i != old_leader && node_is_leader(cluster->nodes[i].node) && node_ready(cluster->nodes[i].node))
            return true;
    return false;
}

/* What a leader took and could not bring to a majority is truncated by the next one: its client hears "unknown". */
static void test_truncated(void **state)
{
    static struct cluster cluster;
    struct codec_request request = {.command = gavel_text("increment"), .remaining_ms = 20000,
                                    .arguments = gavel_bytes("\x81\xa4name\xa1x", 8)};
    struct cluster_client *client, *other;
    struct cluster_reply reply;
    const char *names[] = {"n1", "n2", "n3"};

    (void)state;
    cluster_init(&cluster, 3, 5);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    old_leader = (uint32_t)cluster_leader(&cluster);
    client = cluster_client(&cluster, old_leader, CODEC_ROLE_CLIENT);
    net_cut(cluster.net, names[old_leader], names[(old_leader + 1) % 3], true);
    net_cut(cluster.net, names[old_leader], names[(old_leader + 2) % 3], true);
    cluster_post(client, 5, &request);
    cluster_run(&cluster, 5);
    assert_true(cluster_until(&cluster, others_lead, 5000));
    other = cluster_client_as(&cluster, (old_leader + 1) % 3, CODEC_ROLE_CLIENT, "other");
    cluster_command(other, "increment", 0, 0, &reply, one);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.number, 1);
    assert_false(cluster_client_answered(client, 5));
    net_cut(cluster.net, names[old_leader], names[(old_leader + 1) % 3], false);
    net_cut(cluster.net, names[old_leader], names[(old_leader + 2) % 3], false);
    cluster_run(&cluster, 2000);
    assert_true(cluster_client_answered(client, 5));
    assert_int_equal(cluster_client_number(client), -1);
    cluster_command(client, "get", 0, 0, &reply, one);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.number, 1);
    cluster_client_free(other);
    cluster_client_free(client);
    cluster_free(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_forwards),
        cmocka_unit_test(test_proposals),
        cmocka_unit_test(test_large_lists),
        cmocka_unit_test(test_large_results),
        cmocka_unit_test(test_large_results_of_the_leader),
        cmocka_unit_test(test_large_answers_to_administrators),
        cmocka_unit_test(test_deadlines_behind_a_hung_disk),
        cmocka_unit_test(test_a_deadline_in_the_making_is_looked_at_in_time),
        cmocka_unit_test(test_truncated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
