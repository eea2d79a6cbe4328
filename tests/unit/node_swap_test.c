/* SPDX-License-Identifier: Apache-2.0 */
/* node_swap_test.c - transports and serializers of whole nodes that come and go while clients write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "node_member.h"

#define DRAIN_MS 3000
#define WRITERS 3

static const char *const plus_one[] = {"name=hits", NULL};

/* What a node's next transport is made of. */
struct next {
    char name[16];
    char uri[32];
    const char *listen[1];
    struct node_transport transport;
};

struct outcome {
    bool came;
    int32_t status;
    char why[256];
};

static void published(void *context, int32_t status, const char *why)
{
    struct outcome *outcome = context;

    outcome->came = true;
    outcome->status = status;
    (void)snprintf(outcome->why, sizeof outcome->why, "%s", why);
}

static void retired(void *context)
{
    struct outcome *outcome = context;

    assert_false(outcome->came);
    outcome->came = true;
}

static void run_until_came(struct cluster *cluster, const struct outcome *outcome)
{
    for (int i = 0; i < 20000 && !outcome->came; i++)
        cluster_run(cluster, 1);
    assert_true(outcome->came);
}

static void make_next(struct cluster *cluster, struct next *next, const char *name)
{
    memset(next, 0, sizeof *next);
    (void)snprintf(next->name, sizeof next->name, "%s", name);
    (void)snprintf(next->uri, sizeof next->uri, "mem://%s", next->name);
    next->listen[0] = next->uri;
    next->transport = (struct node_transport){.name = next->name, .operations = &net_transport,
                                              .self = net_side(cluster->net, next->name), .listen = next->listen,
                                              .listen_count = 1};
}

/* Writes outside of a session: were a connection between peers cut under one, its outcome would be unknown. */
struct writer {
    struct cluster_client *client;
    uint64_t count;
};

static void begin_writer(struct cluster *cluster, struct writer *writer, uint32_t number, const char *side)
{
    writer->client = cluster_client_as(cluster, number, CODEC_ROLE_CLIENT, side);
}

static void write_one(struct writer *writer)
{
    struct cluster_reply reply;

    cluster_command(writer->client, "increment", 0, 0, &reply, plus_one);
    if (!reply.came || reply.status != 0)
        fail_msg("write %llu: %lld %s", (unsigned long long)++writer->count, (long long)reply.status, reply.text);
    writer->count++;
}

/* From one address to another: a write a step meanwhile, none of which fails, at each of the nodes that stay. */
static void swap_one(struct cluster *cluster, uint32_t number, struct next *next, const char *name,
                     const struct node_transport *old, struct writer *writers)
{
    struct node *node = cluster->nodes[number].node;
    struct outcome publication = {0}, retirement = {0};
    const char *addresses[NODE_ADDRESSES_MAX];
    struct gavel_error error;

    make_next(cluster, next, name);
    assert_int_equal(node_steady(node, &error), GAVEL_OK);
    assert_int_equal(node_add_transport(node, &next->transport, old, &error), GAVEL_OK);
    node_publish(node, next->listen, 1, published, &publication);
    run_until_came(cluster, &publication);
    if (publication.status != GAVEL_OK)
        fail_msg("%s", publication.why);
    assert_int_equal(node_addresses(node, addresses), 1);
    assert_string_equal(addresses[0], next->uri);
    node_retire_transport(node, old, DRAIN_MS, retired, &retirement);
    for (int i = 0; i < 20000 && !retirement.came; i++) {
        for (uint32_t w = 0; w < WRITERS; w++)
            if (w != number)
                write_one(&writers[w]);
        cluster_run(cluster, 1);
    }
    assert_true(retirement.came);
    (void)snprintf(cluster->nodes[number].uri, sizeof cluster->nodes[number].uri, "%s", next->uri);
}

/* Each node in turn moves to another address; writes through the others go on, whoever leads. */
static void test_an_address_is_swapped_on_one_node_after_the_other(void **state)
{
    struct cluster cluster;
    struct next next[3];
    struct writer writers[WRITERS] = {{0}};
    uint64_t sum = 0;
    static const char *const names[] = {"new-0", "new-1", "new-2"}, *const sides[] = {"w0", "w1", "w2"},
                      *const again[] = {"v0", "v1", "v2"};

    (void)state;
    member_begin(&cluster, 3);
    for (uint32_t i = 0; i < WRITERS; i++)
        begin_writer(&cluster, &writers[i], i, sides[i]);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t leader = member_leader_of(&cluster);
        uint64_t term = member_term_at(&cluster, leader);

        swap_one(&cluster, i, &next[i], names[i], &cluster.nodes[i].transports[0], writers);
        /* Nobody lost the leader over it. */
        assert_int_equal(member_leader_of(&cluster), leader);
        assert_int_equal(member_term_at(&cluster, leader), term);
        /* Its writer went through the old transport: it was cut off when its time was over, and comes again. */
        assert_false(cluster_client_open(writers[i].client));
        cluster_client_free(writers[i].client);
        begin_writer(&cluster, &writers[i], i, again[i]);
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        sum += writers[i].count;
    cluster_run(&cluster, 200);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(member_value_at(&cluster, i), sum);
    for (uint32_t i = 0; i < WRITERS; i++)
        cluster_client_free(writers[i].client);
    cluster_free(&cluster);
}

/* The connections that peers share are exchanged without a break: what was sent on to the leader is answered. */
static void test_what_is_under_way_is_answered(void **state)
{
    struct cluster cluster;
    struct next next;
    struct writer writer = {0};
    struct outcome retirement = {0};
    struct gavel_error error;
    uint32_t leader, follower;
    uint64_t before;
    struct codec_request request = {.machine = gavel_text(""), .command = gavel_text("increment")};
    unsigned char map[] = {0x81, 0xa4, 'n', 'a', 'm', 'e', 0xa4, 'h', 'i', 't', 's'};

    (void)state;
    member_begin(&cluster, 3);
    leader = member_leader_of(&cluster);
    follower = (leader + 1) % 3;
    begin_writer(&cluster, &writer, follower, "w");
    make_next(&cluster, &next, "fresh");
    request.arguments = gavel_bytes(map, sizeof map);
    before = cluster_client_replies(writer.client);
    for (uint32_t steps = 0; steps < 60; steps++) {
        /* Not in a session: were the connection to the leader cut, the outcome would be unknown. */
        cluster_post(writer.client, 1 + steps % 60, &request);
        cluster_steps(&cluster, steps % 7);
        if (steps == 20)
            assert_int_equal(node_add_transport(cluster.nodes[leader].node, &next.transport, NULL, &error), GAVEL_OK);
        if (steps == 21)
            node_publish(cluster.nodes[leader].node, next.listen, 1, NULL, NULL);
        if (steps == 30)
            node_retire_transport(cluster.nodes[leader].node, &cluster.nodes[leader].transports[0], DRAIN_MS, retired,
                                  &retirement);
    }
    run_until_came(&cluster, &retirement);
    (void)snprintf(cluster.nodes[leader].uri, sizeof cluster.nodes[leader].uri, "%s", next.uri);
    cluster_run(&cluster, 200);
    assert_int_equal(cluster_client_replies(writer.client) - before, 60);
    assert_int_equal(member_value_at(&cluster, leader), 60);
    cluster_client_free(writer.client);
    cluster_free(&cluster);
}

/* The wish of a node whose leader is away for a while comes true all the same; one that cannot is refused at once. */
static void test_publishing_goes_on_until_it_is_done(void **state)
{
    struct cluster cluster;
    struct outcome first = {0}, second = {0};
    const char *mine[] = {"mem://elsewhere"}, *theirs[1];
    uint32_t leader, follower;

    (void)state;
    member_begin(&cluster, 3);
    leader = member_leader_of(&cluster);
    follower = (leader + 1) % 3;
    cluster_crash(&cluster, leader, OS_MEM_KEEP_ALL);
    node_publish(cluster.nodes[follower].node, mine, 1, published, &first);
    run_until_came(&cluster, &first);
    assert_int_equal(first.status, GAVEL_OK);
    theirs[0] = cluster.nodes[leader].uri;
    node_publish(cluster.nodes[follower].node, theirs, 1, published, &second);
    run_until_came(&cluster, &second);
    assert_int_equal(second.status, GAVEL_E_EXISTS);
    assert_non_null(strstr(second.why, "is that of member"));
    cluster_free(&cluster);
}

static bool is_reached_at(struct cluster *cluster, uint32_t number, const char *uri)
{
    const char *own[NODE_ADDRESSES_MAX];

    return node_addresses(cluster->nodes[number].node, own) == 1 && strcmp(own[0], uri) == 0;
}

/*
 * What was asked for can still be committed after it was taken back: it was in the log, without a quorum. The old
 * address has to come behind it, or nobody reaches this node again.
 */
static void test_what_is_taken_back_stays_away(void **state)
{
    struct cluster cluster;
    const char *other[] = {"mem://nowhere"}, *own[1];
    uint32_t leader;

    (void)state;
    member_begin(&cluster, 3);
    leader = member_leader_of(&cluster);
    own[0] = cluster.nodes[leader].uri;
    for (uint32_t i = 1; i <= 2; i++)
        cluster_crash(&cluster, (leader + i) % 3, OS_MEM_KEEP_ALL);
    node_publish(cluster.nodes[leader].node, other, 1, NULL, NULL);
    cluster_run(&cluster, 3000);
    assert_true(is_reached_at(&cluster, leader, own[0]));
    node_publish(cluster.nodes[leader].node, own, 1, NULL, NULL);
    cluster_run(&cluster, 100);
    cluster_start(&cluster, (leader + 1) % 3); /* with a shorter log: the other one leads again */
    for (int i = 0; i < 20000 && !is_reached_at(&cluster, leader, other[0]); i++)
        cluster_run(&cluster, 1);
    assert_true(is_reached_at(&cluster, leader, other[0]));
    for (int i = 0; i < 20000 && !is_reached_at(&cluster, leader, own[0]); i++)
        cluster_run(&cluster, 1);
    assert_true(is_reached_at(&cluster, leader, own[0]));
    cluster_run(&cluster, 5000);
    assert_true(is_reached_at(&cluster, leader, own[0]));
    cluster_free(&cluster);
}

static int held; /* addresses that the counting transport listens on */

static int32_t listen_counted(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error)
{
    int32_t status = net_transport.listen(self, uri, bound, error);

    held += status == GAVEL_OK;
    return status;
}

static void unlisten_counted(void *self)
{
    held = 0;
    net_transport.unlisten(self);
}

/* A transport that cannot listen leaves nothing behind, and the one whose address it wanted listens on. */
static void test_who_cannot_listen_changes_nothing(void **state)
{
    struct cluster cluster;
    struct next next;
    struct cluster_reply reply;
    struct cluster_client *client;
    const char *both[] = {NULL, "bad://uri"};
    struct gavel_transport counting = net_transport;
    struct gavel_error error;

    (void)state;
    member_begin(&cluster, 1);
    make_next(&cluster, &next, "beside");
    both[0] = cluster.nodes[0].uri; /* on which the old one had to stop */
    next.transport.listen = both;
    next.transport.listen_count = 2;
    counting.listen = listen_counted;
    counting.unlisten = unlisten_counted;
    next.transport.operations = &counting;
    assert_int_not_equal(node_add_transport(cluster.nodes[0].node, &next.transport, &cluster.nodes[0].transports[0],
                                            &error), GAVEL_OK);
    assert_int_equal(held, 0); /* or the old one would find its own address taken */
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    cluster_command(client, "increment", 0, 0, &reply, plus_one);
    assert_true(reply.came);
    assert_int_equal(reply.status, 0);
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* Nobody is left without a way: the member that could not be reached is named. */
static void test_a_transport_that_members_need_is_not_taken_away(void **state)
{
    struct cluster cluster;
    struct gavel_transport other = net_transport;
    const char *listen[] = {"pipe://here"};
    struct node_transport transport = {.name = "pipe", .operations = &other, .listen = listen, .listen_count = 1};
    const struct node_transport *left[2] = {&transport, &cluster.nodes[0].transports[0]};
    struct gavel_error error;

    (void)state;
    other.schemes = "pipe";
    member_begin(&cluster, 3);
    assert_int_equal(node_would_reach(cluster.nodes[0].node, left, 1, &error), GAVEL_E_STATE);
    assert_non_null(strstr(error.text, "beside the old one"));
    assert_int_equal(node_would_reach(cluster.nodes[0].node, left, 2, &error), GAVEL_OK);
    cluster_free(&cluster);
}

/* Founding, joining and stopping are no time for it. */
static void test_only_a_steady_node_changes(void **state)
{
    struct cluster cluster;
    struct gavel_error error;

    (void)state;
    cluster_init(&cluster, 3, 7);
    cluster_start(&cluster, 0);
    assert_int_equal(node_steady(cluster.nodes[0].node, &error), GAVEL_E_STATE);
    assert_non_null(strstr(error.text, "not founded"));
    cluster_start(&cluster, 1);
    cluster_start(&cluster, 2);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    assert_int_equal(node_steady(cluster.nodes[0].node, &error), GAVEL_OK);
    node_stop(cluster.nodes[0].node);
    assert_int_equal(node_steady(cluster.nodes[0].node, &error), GAVEL_E_STATE);
    assert_non_null(strstr(error.text, "stopping"));
    cluster_free(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_address_is_swapped_on_one_node_after_the_other),
        cmocka_unit_test(test_what_is_under_way_is_answered),
        cmocka_unit_test(test_publishing_goes_on_until_it_is_done),
        cmocka_unit_test(test_what_is_taken_back_stays_away),
        cmocka_unit_test(test_who_cannot_listen_changes_nothing),
        cmocka_unit_test(test_a_transport_that_members_need_is_not_taken_away),
        cmocka_unit_test(test_only_a_steady_node_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
