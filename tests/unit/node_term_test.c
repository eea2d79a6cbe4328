/* SPDX-License-Identifier: Apache-2.0 */
/* node_term_test.c - whole nodes where one term ends and the next begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/node/internal.h"
#include "node_cluster.h"

#define SEED 20261125

static const char *const plus_one[] = {"name=hits", NULL};

/* ---- what a node says and hears ------------------------------------------------------------------------ */

/* The algorithm's message in some bytes, and its type; 0: it is none. Valid until the next call. */
static uint64_t raft_message(struct gavel_slice bytes, struct codec_raft *wire)
{
    static unsigned char memory[1 << 16];
    struct codec_arena arena = codec_arena(memory, sizeof memory);
    struct gavel_limits limits = codec_limits(4u << 20);
    struct gavel_error error;
    uint64_t type = 0;
    void *message;

    if (codec_message_decode(codec_msgpack(), NULL, bytes, &limits, &arena, &type, &message, &error) != 0 ||
        type <= CODEC_RAFT || type > CODEC_RAFT_LAST)
        return 0;
    *wire = *(struct codec_raft *)message;
    return type - CODEC_RAFT;
}

static uint64_t spoken_term;   /* the newest term in what the overheard node has sent */
static uint64_t spoken_before; /* how often it sent an older one */

static int32_t overhear(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
    struct codec_raft wire;

    if (count == 1 && raft_message(parts[0], &wire)) {
        spoken_before += wire.term < spoken_term;
        spoken_term = wire.term > spoken_term ? wire.term : spoken_term;
    }
    return net_transport.send(self, connection, parts, count);
}

static const struct node *asking;  /* who may be a candidate ... */
static uint64_t asked_for_nothing; /* ... and how often it asked for a vote when it was none */

static int32_t overhear_votes(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
    struct codec_raft wire;

    if (asking && count == 1 && raft_message(parts[0], &wire) == RAFT_VOTE_REQUEST && asking->role != RAFT_CANDIDATE)
        asked_for_nothing++;
    return net_transport.send(self, connection, parts, count);
}

static const struct gavel_transport_events *heard_by; /* of the node that is deaf to elections and heartbeats ... */
static struct gavel_transport_events deaf_events;
static bool deaf; /* ... while it is */

static void deaf_message(void *context, void *cookie, struct gavel_slice message)
{
    struct codec_raft wire;
    uint64_t type = deaf ? raft_message(message, &wire) : 0;

    if (type == RAFT_PREVOTE_REQUEST || type == RAFT_VOTE_REQUEST)
        return;
    if (type == RAFT_APPEND_REQUEST && wire.tail.size == 0)
        return;
    heard_by->message(context, cookie, message);
}

static int32_t deaf_prepare(void *self, const struct gavel_transport_events *events,
                            const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    heard_by = events;
    deaf_events = *events;
    deaf_events.message = deaf_message;
    return net_transport.prepare(self, &deaf_events, limits, error);
}

/* ---- tests --------------------------------------------------------------------------------------------- */

/*
 * A follower's disk is slow: an append of the old leader waits for it, and then the truncation that a new leader
 * orders. Both become durable at once. The acknowledgement of the first must not go out then: what it speaks of is
 * gone.
 */
static void test_nothing_is_said_in_a_term_that_is_over(void **state)
{
    struct gavel_transport overheard = net_transport;
    struct cluster cluster;
    struct cluster_client *client;
    struct codec_request request = {.command = gavel_text("increment")};
    struct gavel_buffer arguments = codec_buffer(0);
    struct gavel_error error;
    uint32_t leader;
    uint32_t slow = 4;

    (void)state;
    assert_int_equal(codec_pairs(NULL, "increment", plus_one, 1, NULL, NULL, &arguments, &error), 0);
    request.arguments = gavel_buffer_slice(&arguments);
    spoken_term = spoken_before = 0;
    overheard.send = overhear;
    cluster_init(&cluster, 5, SEED);
    for (uint32_t i = 0; i < 5; i++)
        cluster.nodes[i].transports[0].operations = i == slow ? &overheard : &net_transport;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    leader = (uint32_t)cluster_leader(&cluster);
    assert_int_not_equal(leader, slow);
    client = cluster_client(&cluster, leader, CODEC_ROLE_CLIENT);
    cluster_run(&cluster, 200);
    cluster.nodes[slow].stalled_until = cluster.clock.mono_ns + UINT64_C(4000000000);
    for (uint32_t i = 0; i < 5; i++)
        if (i != leader && i != slow)
            net_cut(cluster.net, cluster.nodes[leader].name, cluster.nodes[i].name, true);
    cluster_post(client, 1, &request);
    cluster_run(&cluster, 3000);
    cluster_run(&cluster, 3000); /* the disk has caught up */
    assert_int_not_equal(cluster_leader(&cluster), leader);
    assert_true(spoken_term >= 2);
    assert_int_equal(spoken_before, 0);
    gavel_buffer_free(&arguments);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static int first_candidate; /* number of a node */

static bool has_candidate(struct cluster *cluster)
{
    for (first_candidate = (int)cluster->count - 1; first_candidate >= 0; first_candidate--)
        if (cluster->nodes[first_candidate].node && cluster->nodes[first_candidate].node->role == RAFT_CANDIDATE)
            return true;
    return false;
}

static bool has_other_leader(struct cluster *cluster)
{
    (void)cluster;
    return asking->role == RAFT_FOLLOWER && asking->leader;
}

/* Five nodes lose their leader while every disk is slow, until one of them is a candidate: its number. */
static int lose_leader(struct cluster *cluster, const struct gavel_transport *overheard, int who)
{
    cluster_init(cluster, 5, SEED);
    for (int i = 0; i < 5; i++)
        cluster->nodes[i].transports[0].operations = i == who ? overheard : &net_transport;
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 3000));
    cluster_run(cluster, 200);
    cluster_crash(cluster, (uint32_t)cluster_leader(cluster), OS_MEM_KEEP_ALL);
    for (uint32_t i = 0; i < 5; i++)
        cluster->nodes[i].stalled_until = cluster->clock.mono_ns + UINT64_C(1000000000);
    assert_true(cluster_until(cluster, has_candidate, 900));
    return first_candidate;
}

/*
 * While a candidate's vote for itself is being written, another one is elected in its term. It asks nobody for a vote
 * when it has been written.
 */
static void test_who_has_a_leader_asks_for_no_vote(void **state)
{
    struct gavel_transport overheard = net_transport;
    struct cluster cluster;
    uint64_t term;
    int who;

    (void)state;
    overheard.send = overhear_votes;
    asking = NULL;
    asked_for_nothing = 0;
    who = lose_leader(&cluster, &overheard, -1);
    cluster_free(&cluster);
    assert_int_equal(lose_leader(&cluster, &overheard, who), who); /* as before: now it is known who is overheard */
    asking = cluster.nodes[who].node;
    term = asking->term;
    for (int i = 0; i < 5; i++) {
        if (i == who)
            continue;
        cluster.nodes[i].stalled_until = 0;
        net_cut(cluster.net, cluster.nodes[who].name, cluster.nodes[i].name, true); /* it gets no further by itself */
    }
    assert_true(cluster_until(&cluster, cluster_has_leader, 900));
    for (int i = 0; i < 5; i++)
        net_cut(cluster.net, cluster.nodes[who].name, cluster.nodes[i].name, false);
    assert_true(cluster_until(&cluster, has_other_leader, 900));
    assert_int_equal(asking->term, term);
    assert_true(asking->gated_count > 0);
    cluster_run(&cluster, 2000); /* its disk catches up */
    assert_int_equal(asking->gated_count, 0);
    assert_int_equal(asked_for_nothing, 0);
    asking = NULL;
    cluster_free(&cluster);
}

static int wanted; /* the number of the node that is to lead */

static bool leads(struct cluster *cluster)
{
    return cluster_leader(cluster) == wanted;
}

static void hand_over(struct cluster *cluster, uint32_t from, uint32_t to)
{
    struct cluster_client *client = cluster_client(cluster, from, CODEC_ROLE_ADMIN);
    struct gavel_buffer arguments = codec_buffer(0);
    struct codec_request request = {.machine = gavel_text("gavel"), .command = gavel_text("transfer")};
    char target[32];
    const char *const pairs[] = {target, NULL};
    struct gavel_error error;

    snprintf(target, sizeof target, "to=%s", cluster->nodes[to].name);
    assert_int_equal(codec_pairs(NULL, "transfer", pairs, 1, NULL, NULL, &arguments, &error), 0);
    request.arguments = gavel_buffer_slice(&arguments);
    cluster_post(client, 1, &request);
    wanted = (int)to;
    assert_true(cluster_until(cluster, leads, 3000));
    gavel_buffer_free(&arguments);
    cluster_client_free(client);
}

/*
 * A leader of long standing hears nothing of the election that deposes it: the first that it knows of its successor
 * is a batch. When it leads again later, cluster time goes on from there; it has not passed a second time.
 */
static void test_cluster_time_does_not_jump_with_a_leader_that_returns(void **state)
{
    struct gavel_transport hard_of_hearing = net_transport;
    struct codec_request open = {.machine = gavel_text("gavel"), .command = gavel_text("session_register")};
    struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;
    uint64_t session;
    uint32_t first;

    (void)state;
    hard_of_hearing.prepare = deaf_prepare;
    cluster_init(&cluster, 3, SEED);
    cluster.limits.session_ttl_ms = 10000;
    cluster.nodes[0].transports[0].operations = &hard_of_hearing;
    deaf = false;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    first = (uint32_t)cluster_leader(&cluster);
    if (first != 0)
        hand_over(&cluster, first, 0);
    cluster_run(&cluster, 30000);
    client = cluster_client(&cluster, 2, CODEC_ROLE_CLIENT);
    cluster_call(client, &open, &reply);
    session = reply.session;
    deaf = true;
    hand_over(&cluster, 0, 1);
    deaf = false;
    hand_over(&cluster, 1, 0);
    cluster_run(&cluster, 3000); /* time enough to look for sessions that are over */
    cluster_command(client, "increment", session, 1, &reply, plus_one);
    assert_int_equal(reply.status, 0);
    cluster_run(&cluster, 15000); /* and it does pass */
    cluster_command(client, "increment", session, 2, &reply, plus_one);
    assert_int_equal(reply.status, GAVEL_E_EXPIRED);
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* ---- a read of the log that a new term overtakes --------------------------------------------------------- */

static uint32_t reading; /* the node that applies what it reads back ... */
static uint64_t left;    /* ... and the index behind it, of what never commits */

static bool one_is_left_in(struct cluster *cluster)
{
    struct node *node = cluster->nodes[reading].node;

    left = engine_status(node).last_index;
    return left > engine_commit(node);
}

static bool commit_has_passed(struct cluster *cluster)
{
    return cluster->nodes[reading].node->apply_to >= left;
}

static void cut_between(struct cluster *cluster, uint32_t a, uint32_t others, bool cut)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        if (i != a && others >> i & 1)
            net_cut(cluster->net, cluster->nodes[a].name, cluster->nodes[i].name, cut);
}

/* By this node's own state. */
static int64_t hits_at(struct cluster *cluster, uint32_t number)
{
    struct cluster_client *client = cluster_client(cluster, number, CODEC_ROLE_CLIENT);
    struct codec_request request = {.command = gavel_text("get"), .read = CODEC_READ_STALE};
    struct gavel_buffer arguments = codec_buffer(0);
    struct cluster_reply reply;
    struct gavel_error error;

    assert_int_equal(codec_pairs(NULL, "get", plus_one, 1, NULL, NULL, &arguments, &error), 0);
    request.arguments = gavel_buffer_slice(&arguments);
    cluster_call(client, &request, &reply);
    assert_true(reply.came);
    assert_int_equal(reply.status, 0);
    gavel_buffer_free(&arguments);
    cluster_client_free(client);
    return reply.number;
}

/*
 * A follower that was restarted reads its log to apply what is committed, and the read brings an uncommitted batch that
 * lies behind it, too. Before the read is back, the next leader replaces that batch and commits beyond it: the old one
 * must not be applied for that ("apply log[lastApplied] to state machine" means the log as it is; figure 3.1).
 */
static void test_what_was_read_before_it_was_replaced_is_not_applied(void **state)
{
    struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;
    struct codec_request request = {.command = gavel_text("increment")};
    struct gavel_buffer arguments = codec_buffer(0);
    struct gavel_error error;
    uint32_t leader;

    (void)state;
    assert_int_equal(codec_pairs(NULL, "increment", plus_one, 1, NULL, NULL, &arguments, &error), 0);
    request.arguments = gavel_buffer_slice(&arguments);
    cluster_init(&cluster, 5, SEED);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    leader = (uint32_t)cluster_leader(&cluster);
    reading = (leader + 1) % 5;
    client = cluster_client(&cluster, leader, CODEC_ROLE_CLIENT);
    for (int i = 0; i < 3; i++)
        cluster_command(client, "increment", 0, 0, &reply, plus_one);
    assert_int_equal(reply.status, 0);
    cluster_run(&cluster, 200);

    /* A fourth increment reaches this follower, and nobody else. */
    cut_between(&cluster, leader, ~(UINT32_C(1) << reading), true);
    cut_between(&cluster, reading, ~(UINT32_C(1) << leader), true);
    cluster_post(client, 1, &request);
    assert_true(cluster_until(&cluster, one_is_left_in, 200));
    cluster_crash(&cluster, reading, OS_MEM_KEEP_ALL);
    cluster_start(&cluster, reading);
    for (int i = 0; i < 100000 && !cluster.nodes[reading].node->apply_reading; i++) {
        cluster_steps(&cluster, 1);
        cluster.clock.mono_ns += 10000;
    }
    assert_true(cluster.nodes[reading].node->apply_reading);
    assert_true(cluster.nodes[reading].node->apply_to < left);
    cluster.nodes[reading].stalled_until = UINT64_MAX;
    while (os_inline_run(&cluster.nodes[reading].lanes, OS_LANE_DISK)) {
    } /* the bytes are read, and nobody has been told */

    cut_between(&cluster, leader, ~UINT32_C(0), true);
    cut_between(&cluster, reading, ~(UINT32_C(1) << leader), false);
    assert_true(cluster_until(&cluster, commit_has_passed, 10000));
    cluster.nodes[reading].stalled_until = 0;
    cut_between(&cluster, leader, ~UINT32_C(0), false);
    cluster_run(&cluster, 3000);
    assert_int_equal(hits_at(&cluster, (leader + 2) % 5), 3);
    assert_int_equal(hits_at(&cluster, reading), 3);
    gavel_buffer_free(&arguments);
    cluster_client_free(client);
    cluster_free(&cluster);
}

/* ---- the log is slow to read ----------------------------------------------------------------------------------- */

static uint32_t lagging; /* the follower that the leader reads its log back for */

static bool leader_reads_back(struct cluster *cluster)
{
    struct node *node = cluster->nodes[cluster_leader(cluster)].node;
    struct peer *peer = peer_named(node, cluster->nodes[lagging].name);

    return peer && peer->reading;
}

static bool lagging_has_it(struct cluster *cluster)
{
    int leader = cluster_leader(cluster);

    return leader >= 0 && node_applied(cluster->nodes[lagging].node) == node_commit(cluster->nodes[leader].node);
}

/*
 * Of three nodes one is dead and one is behind. The leader's disk takes a second to read what that one lacks:
 * heartbeats go on meanwhile, or the leader would hear nothing from the only peer that it has, and step down again
 * and again.
 */
static void test_heartbeats_do_not_wait_for_a_read_of_the_log(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    uint32_t leader;
    uint64_t term;

    (void)state;
    cluster_init(&cluster, 3, SEED);
    cluster.limits.log_cache_bytes = 1;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    leader = (uint32_t)cluster_leader(&cluster);
    lagging = (leader + 1) % 3;
    client = cluster_client(&cluster, leader, CODEC_ROLE_CLIENT);
    cut_between(&cluster, lagging, 7, true);
    for (int i = 0; i < 10; i++) {
        cluster_pad(client, 250000, &reply);
        assert_int_equal(reply.status, 0);
    }
    cut_between(&cluster, lagging, 7, false);
    cluster.nodes[leader].stalled_until = cluster.clock.mono_ns + UINT64_C(5000000000);
    assert_true(cluster_until(&cluster, leader_reads_back, 5000));
    cluster.nodes[leader].stalled_until = cluster.clock.mono_ns + UINT64_C(1000000000);
    cluster_crash(&cluster, (leader + 2) % 3, OS_MEM_KEEP_ALL);
    term = engine_status(cluster.nodes[leader].node).term;
    cluster_run(&cluster, 950);
    assert_true(peer_named(cluster.nodes[leader].node, cluster.nodes[lagging].name)->reading);
    assert_int_equal(cluster_leader(&cluster), leader);
    assert_true(cluster_until(&cluster, lagging_has_it, 5000));
    assert_int_equal(engine_status(cluster.nodes[leader].node).term, term);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static uint64_t heard_term;  /* the newest term in what the lagging node was sent to append ... */
static uint64_t heard_before; /* ... and how often an older one came behind it */
static uint64_t kept_back;    /* heartbeats that waited in the leader's outbox */
static uint64_t old_place;    /* where what waits there of an older term begins; 0: not known yet ... */
static uint64_t heard_there;  /* ... and what was sent to append there */

static void note_message(void *context, void *cookie, struct gavel_slice message)
{
    struct codec_raft wire;

    if (raft_message(message, &wire) == RAFT_APPEND_REQUEST) {
        heard_before += wire.term < heard_term;
        heard_term = wire.term > heard_term ? wire.term : heard_term;
        heard_there += old_place && wire.prev_index == old_place;
    }
    heard_by->message(context, cookie, message);
}

static int32_t note_prepare(void *self, const struct gavel_transport_events *events,
                            const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    heard_by = events;
    deaf_events = *events;
    deaf_events.message = note_message;
    return net_transport.prepare(self, &deaf_events, limits, error);
}

/* The first node reads nothing back, while all else of it goes on. */
static void all_but_reads(struct cluster *cluster)
{
    struct os_inline *lanes = &cluster->nodes[0].lanes;
    struct peer *peer = peer_named(cluster->nodes[0].node, cluster->nodes[lagging].name);

    if (cluster->nodes[0].stalled_until != UINT64_MAX)
        return;
    while (os_inline_run(lanes, OS_LANE_LOG) | os_inline_done(lanes, OS_LANE_LOG) |
           os_inline_run(lanes, OS_LANE_APPLY) | os_inline_done(lanes, OS_LANE_APPLY))
        continue;
    for (uint32_t i = 0; peer && i < peer->outbox_count; i++)
        kept_back += peer->outbox[i].append_request.batch_count == 0;
}

/*
 * A leader reads back for one that is behind, hands over, and leads again before the read has ended. Its heartbeats
 * neither wait for what it wanted to send then nor name the place of that, which may be another's now; and when it has
 * been read, it is of a term that is over, and not sent any more.
 */
static void test_heartbeats_do_not_wait_for_a_read_of_an_older_term(void **state)
{
    struct gavel_transport noted = net_transport;
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    struct peer *peer;
    uint64_t term;

    (void)state;
    noted.prepare = note_prepare;
    heard_term = heard_before = kept_back = old_place = heard_there = 0;
    lagging = 2;
    cluster_init(&cluster, 3, SEED);
    cluster.limits.log_cache_bytes = 1;
    cluster.nodes[lagging].transports[0].operations = &noted;
    cluster.tick = all_but_reads;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    if (cluster_leader(&cluster) != 0)
        hand_over(&cluster, (uint32_t)cluster_leader(&cluster), 0);
    client = cluster_client(&cluster, 0, CODEC_ROLE_CLIENT);
    cut_between(&cluster, lagging, 7, true);
    for (int i = 0; i < 10; i++) {
        cluster_pad(client, 250000, &reply);
        assert_int_equal(reply.status, 0);
    }
    cut_between(&cluster, lagging, 7, false);
    cluster.nodes[0].stalled_until = UINT64_MAX;
    assert_true(cluster_until(&cluster, leader_reads_back, 5000));
    peer = peer_named(cluster.nodes[0].node, cluster.nodes[lagging].name);
    term = peer->outbox[0].term;
    hand_over(&cluster, 0, 1);
    hand_over(&cluster, 1, 0);
    assert_true(engine_status(cluster.nodes[0].node).term > term);
    assert_true(peer->reading);
    assert_int_equal(peer->outbox[0].term, term);
    old_place = peer->outbox[0].append_request.prev_index;
    term = engine_status(cluster.nodes[0].node).term;
    cluster_crash(&cluster, 1, OS_MEM_KEEP_ALL);
    cluster_run(&cluster, 950);
    assert_true(peer->reading);
    assert_int_equal(cluster_leader(&cluster), 0);
    assert_int_equal(kept_back, 0);
    assert_int_equal(heard_there, 0);
    cluster.nodes[0].stalled_until = 0;
    assert_true(cluster_until(&cluster, lagging_has_it, 5000));
    assert_int_equal(engine_status(cluster.nodes[0].node).term, term);
    assert_int_equal(heard_term, term);
    assert_int_equal(heard_before, 0);
    cluster_client_free(client);
    cluster_free(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_said_in_a_term_that_is_over),
        cmocka_unit_test(test_who_has_a_leader_asks_for_no_vote),
        cmocka_unit_test(test_cluster_time_does_not_jump_with_a_leader_that_returns),
        cmocka_unit_test(test_what_was_read_before_it_was_replaced_is_not_applied),
        cmocka_unit_test(test_heartbeats_do_not_wait_for_a_read_of_the_log),
        cmocka_unit_test(test_heartbeats_do_not_wait_for_a_read_of_an_older_term),
    };

    cmocka_set_test_filter(getenv("GAVEL_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
