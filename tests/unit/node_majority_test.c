/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_majority_test.c - when a node stops because a majority of the voters recovers, and when it does not: a bare node
 * with a configuration in force, peers of which it is known whether they recover, and a clock that the test moves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/node/internal.h"

#define S UINT64_C(1000000000)
#define MEMBERS 5

static struct node *node;
static struct peer *peers; /* [id - 1] of the members 1 ...; the node itself is member 1 */
static uint64_t now;
static int exit_code;
static char said[512];

static uint64_t mono_ns(void *self)
{
    (void)self;
    return now;
}

static void fatal(void *context, int code, const char *sentence)
{
    (void)context;
    exit_code = code;
    (void)strncpy(said, sentence, sizeof said - 1);
}

static const struct os_clock_ops clock_ops = {.mono_ns = mono_ns};
static const struct os os = {.clock = &clock_ops};

/* A node that follows nobody, with so many voters in force, all of them whole. */
static void begin(uint32_t voters)
{
    static struct conn connection;

    node = calloc(1, sizeof *node);
    peers = calloc(MEMBERS, sizeof *peers);
    assert_non_null(node);
    assert_non_null(peers);
    now = 100 * S;
    exit_code = -1;
    node->os = &os;
    node->setup.data_dir = "data";
    node->setup.callbacks.fatal = fatal;
    node->phase = NODE_RUNNING;
    node->member_id = 1;
    node->raft = (void *)&connection; /* there is one; nobody looks into it */
    os_list_init(&node->peers);
    for (uint32_t i = 0; i < voters; i++) {
        node->in_force.members[i] = (struct raft_member){.id = i + 1, .role = RAFT_VOTER};
        peers[i] = (struct peer){.node = node, .id = i + 1, .in = &connection};
        if (i)
            os_list_push(&node->peers, &peers[i].link);
    }
    node->in_force.count = voters;
}

static void end(void)
{
    free(peers);
    free(node);
}

/* Look for so long, as often as a node does; whether it has stopped. */
static bool stops_within(uint64_t seconds)
{
    for (uint64_t until = now + seconds * S; now <= until && exit_code < 0; now += S / 10)
        majority_watch(node, now);
    return exit_code >= 0;
}

static void test_it_stops_when_too_few_are_left(void **state)
{
    (void)state;
    begin(3);
    majority_heard(&peers[1], true);
    assert_false(stops_within(60)); /* two of three can lead */
    node->recovers = true;
    assert_false(stops_within(4)); /* it has to hold for a while */
    assert_true(stops_within(2));
    assert_int_equal(exit_code, 65);
    assert_non_null(strstr(said, "a majority of the voters recovers from damage"));
    assert_non_null(strstr(said, "of 3: "));
    end();
}

static void test_both_sets_of_a_joint_configuration(void **state)
{
    (void)state;
    begin(3);
    node->in_force.members[0].outgoing = 1; /* old: 1 and 4; new: 1, 2, 3 */
    node->in_force.members[3] = (struct raft_member){.id = 4, .role = RAFT_LEAVING, .outgoing = 1};
    node->in_force.count = 4;
    node->recovers = true;
    assert_true(stops_within(6));
    assert_non_null(strstr(said, "of 2: "));
    end();
}

/* The configuration in force may be an old one: the log lost its end, or a long snapshot is on its way. */
static void test_who_follows_a_leader_waits_for_it(void **state)
{
    (void)state;
    begin(2);
    node->recovers = true;
    node->leader = 5; /* not even a member of what is known here */
    assert_false(stops_within(600));
    node->leader = 0;
    assert_false(stops_within(4));
    node->leader = 5;
    assert_false(stops_within(1));
    node->leader = 0;
    assert_false(stops_within(4)); /* counted anew */
    assert_true(stops_within(2));
    end();
    begin(3); /* a whole one that is far behind: the two others are members no more, and may recover as they like */
    majority_heard(&peers[1], true);
    majority_heard(&peers[2], true);
    node->leader = 5;
    assert_false(stops_within(600));
    end();
}

static void test_a_lost_connection_is_remembered_for_less_than_it_has_to_hold(void **state)
{
    (void)state;
    begin(2);
    majority_heard(&peers[1], true);
    peers[1].in = NULL;
    majority_lost(&peers[1]);
    assert_false(stops_within(60));
    end();
}

/* Election time-outs of seconds: one notices long before the other that their leader is none any more, and stops. */
static void test_who_is_late_to_notice_stops_too(void **state)
{
    uint64_t holds = 0;

    (void)state;
    for (int late = 0; late < 2; late++) {
        begin(3);
        node->limits.election_min_ms = 1000;
        node->limits.election_max_ms = 7000;
        node->recovers = true;
        majority_heard(&peers[1], true);
        node->leader = late ? 3 : 0;
        for (uint64_t second = 0; exit_code < 0 && second < 60; second++) {
            if (late && second == holds) {
                peers[1].in = NULL;
                majority_lost(&peers[1]);
            }
            if (second == 12)
                node->leader = 0;
            (void)stops_within(1);
            holds += !late;
        }
        assert_int_equal(exit_code, 65);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_stops_when_too_few_are_left),
        cmocka_unit_test(test_both_sets_of_a_joint_configuration),
        cmocka_unit_test(test_who_follows_a_leader_waits_for_it),
        cmocka_unit_test(test_a_lost_connection_is_remembered_for_less_than_it_has_to_hold),
        cmocka_unit_test(test_who_is_late_to_notice_stops_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
