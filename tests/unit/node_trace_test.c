/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_trace_test.c - three whole nodes and one observer of all their spans: one write is one trace, with its parent
 * links; what is not sampled leaves none; every span of core/node/spans.h is seen; and metrics by the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/field.h"
#include "core/node/internal.h"
#include "core/node/trace.h"
#include "core/os/call.h"
#include "node_member.h"

#define SEED 20261129
#define SPANS 65536
#define PARENT "00-0102030405060708090a0b0c0d0e0f10-a1a2a3a4a5a6a7a8-"

struct seen {
    char node[16];
    char name[64];
    struct gavel_trace context;
    unsigned char parent[8];
    bool ended;
    int64_t status;
    char attributes[256]; /* " name=value name=value " */
};

static struct seen seen[SPANS + 1];
static uint64_t count;
static bool roots;   /* spans without a parent are sampled, as by a ratio of 1 */
static const char *roots_of; /* on that node alone; NULL: on all */

/* Sentences that belong to the trace of some span of the node. */
static struct {
    const char *begins, *span;
    unsigned said;
} logged[] = {{"Leader elected", "raft.election", 0}, {"Log open", "raft.initialize", 0},
              {"Snapshot created", "snapshot.save", 0}, {"Installed the leader's snapshot", "snapshot.install", 0},
              {"Configuration changed", "cluster.addNode", 0}};

/* ---- the host of all nodes ----------------------------------------------------------------------------- */

static uint64_t span_begin(void *self, const char *name, const struct gavel_trace *parent, struct gavel_trace *context)
{
    const struct cluster_node *node = self;
    static const unsigned char none[16];
    bool child = parent && memcmp(parent->trace_id, none, 16) != 0;
    struct seen *span;

    memset(context, 0, sizeof *context);
    if (child ? !(parent->flags & 1)
              : !(roots && (!roots_of || strcmp(roots_of, node->name) == 0)) && !(parent && parent->flags & 1))
        return 0;
    assert_true(count < SPANS);
    span = &seen[++count];
    memset(span, 0, sizeof *span);
    (void)snprintf(span->node, sizeof span->node, "%s", node->name);
    (void)snprintf(span->name, sizeof span->name, "%s", name);
    span->context.flags = 1;
    memcpy(span->context.span_id, &count, sizeof count);
    memcpy(span->context.trace_id, child ? parent->trace_id : (const unsigned char *)&span->context, 16);
    if (!child)
        memcpy(span->context.trace_id, &count, sizeof count);
    if (child)
        memcpy(span->parent, parent->span_id, 8);
    *context = span->context;
    return count;
}

static void span_end(void *self, uint64_t number, int64_t status, const struct gavel_attribute *attributes,
                     uint64_t attribute_count)
{
    struct seen *span = &seen[number];
    size_t used = 1;

    if (!number)
        return;
    assert_string_equal(((const struct cluster_node *)self)->name, span->node);
    assert_false(span->ended);
    if (strcmp(span->name, "state.increment") == 0 || strcmp(span->name, "raft.replicateCommand") == 0) {
        assert_non_null(os_trace_here); /* what is logged at this moment belongs to it */
        assert_memory_equal(os_trace_here, &span->context, sizeof span->context);
    }
    span->ended = true;
    span->status = status;
    span->attributes[0] = ' ';
    for (uint64_t i = 0; i < attribute_count && used < sizeof span->attributes - 1; i++)
        used += (size_t)snprintf(span->attributes + used, sizeof span->attributes - used, "%s=%.*s ",
                                 attributes[i].name, (int)attributes[i].value.size,
                                 (const char *)attributes[i].value.data);
}

static void log_traced(void *self, uint64_t level, const char *module, const struct gavel_trace *trace,
                       struct gavel_slice text)
{
    struct cluster_node *node = self;

    assert_true(trace != NULL && trace->flags & 1);
    for (size_t i = 0; i < sizeof logged / sizeof logged[0]; i++)
        if (memcmp(text.data, logged[i].begins, strlen(logged[i].begins)) == 0)
            for (uint64_t at = 1; at <= count; at++)
                logged[i].said += memcmp(&seen[at].context, trace, sizeof *trace) == 0 &&
                                  strcmp(seen[at].name, logged[i].span) == 0 && strcmp(seen[at].node, node->name) == 0;
    node->host.log(self, level, module, text);
}

static void watch(struct cluster *cluster, uint32_t number)
{
    struct gavel_host *host = &cluster->nodes[number].host;

    host->size = GAVEL_END(struct gavel_host, log_traced);
    host->span_begin = span_begin;
    host->span_end = span_end;
    host->log_traced = log_traced;
}

static void begin(struct cluster *cluster)
{
    count = 0;
    roots = false;
    roots_of = NULL;
    for (size_t i = 0; i < sizeof logged / sizeof logged[0]; i++)
        logged[i].said = 0;
    cluster_init(cluster, 3, SEED);
    for (uint32_t i = 0; i < 3; i++)
        watch(cluster, i);
}

static void start(struct cluster *cluster)
{
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 5000));
}

/* One command with that traceparent (NULL: none) at a node. */
static void call(struct cluster *cluster, uint32_t number, const char *command, const char *traceparent)
{
    static const char *const pairs[] = {"name=hits", NULL};
    struct cluster_client *client = cluster_client(cluster, number, CODEC_ROLE_CLIENT);
    struct codec_request request = {.command = gavel_text(command)};
    struct gavel_buffer arguments = codec_buffer(0);
    struct cluster_reply reply;
    struct gavel_error error;

    assert_int_equal(codec_pairs(NULL, command, pairs, 1, NULL, NULL, &arguments, &error), 0);
    request.arguments = gavel_buffer_slice(&arguments);
    if (traceparent)
        request.traceparent = gavel_text(traceparent);
    cluster_call(client, &request, &reply);
    assert_true(reply.came);
    assert_int_equal(reply.status, 0);
    gavel_buffer_free(&arguments);
    cluster_client_free(client);
    cluster_run(cluster, 300); /* the followers apply it with the next heartbeat */
}

/* ---- looking at them ----------------------------------------------------------------------------------- */

static bool in_trace(const struct seen *span)
{
    static const unsigned char id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

    return memcmp(span->context.trace_id, id, 16) == 0;
}

/* The one span of that name on that node in the trace of PARENT. */
static const struct seen *one(const char *node, const char *name)
{
    const struct seen *found = NULL;

    for (uint64_t i = 1; i <= count; i++)
        if (in_trace(&seen[i]) && strcmp(seen[i].node, node) == 0 && strcmp(seen[i].name, name) == 0) {
            if (found)
                fail_msg("%s has two spans %s", node, name);
            found = &seen[i];
        }
    if (!found)
        fail_msg("%s has no span %s", node, name);
    assert_true(found->ended);
    return found;
}

static const struct seen *parent_of(const struct seen *span)
{
    for (uint64_t i = 1; i <= count; i++)
        if (memcmp(seen[i].context.span_id, span->parent, 8) == 0)
            return &seen[i];
    return NULL;
}

static bool says(const struct seen *span, const char *attribute)
{
    char words[96];

    (void)snprintf(words, sizeof words, " %s ", attribute);
    return strstr(span->attributes, words) != NULL;
}

static uint64_t of_trace(void)
{
    uint64_t spans = 0;

    for (uint64_t i = 1; i <= count; i++)
        spans += in_trace(&seen[i]);
    return spans;
}

/* ---- tests --------------------------------------------------------------------------------------------- */

static void test_one_write_is_one_trace(void **state)
{
    static const unsigned char client[8] = {0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8};
    struct cluster cluster;
    const struct seen *forward, *replicate;
    const char *leader, *asked;
    uint32_t at;

    (void)state;
    begin(&cluster);
    start(&cluster);
    at = ((uint32_t)cluster_leader(&cluster) + 1) % 3; /* a follower, which sends it on */
    leader = cluster.nodes[cluster_leader(&cluster)].name;
    asked = cluster.nodes[at].name;
    call(&cluster, at, "increment", PARENT "01");

    forward = one(asked, "raft.forwardCommand");
    assert_memory_equal(forward->parent, client, 8);
    replicate = one(leader, "raft.replicateCommand");
    assert_memory_equal(replicate->parent, forward->context.span_id, 8);
    assert_true(says(replicate, "command=count.increment") || says(replicate, "command=counter.increment"));
    assert_int_equal(replicate->status, 0);
    assert_ptr_equal(parent_of(one(leader, "log.write")), replicate);
    assert_ptr_equal(parent_of(one(leader, "state.increment")), replicate);
    for (uint32_t i = 0; i < 3; i++) {
        const char *name = cluster.nodes[i].name;
        const struct seen *write = one(name, "log.write"), *apply = one(name, "state.increment"), *sent;
        char attribute[64];

        (void)snprintf(attribute, sizeof attribute, "node.id=%s", name);
        assert_true(says(write, attribute) && says(apply, attribute));
        assert_null(strstr(apply->attributes, "hits")); /* not allowed: no argument */
        if (strcmp(name, leader) == 0)
            continue;
        sent = parent_of(write);
        assert_non_null(sent);
        assert_string_equal(sent->name, "transport.send");
        assert_string_equal(sent->node, leader);
        (void)snprintf(attribute, sizeof attribute, "peer=%s", name);
        assert_true(says(sent, attribute));
        assert_ptr_equal(parent_of(apply), sent);
        assert_ptr_equal(parent_of(sent), replicate);
    }
    assert_int_equal(of_trace(), 2 + 3 + 3 + 2); /* and nothing else */
    cluster_free(&cluster);
}

static void test_what_is_not_sampled_leaves_nothing(void **state)
{
    static const char *const bad[] = {PARENT "00", "nonsense", PARENT "zz", PARENT "01-more", "",
                                      "ff-0102030405060708090a0b0c0d0e0f10-a1a2a3a4a5a6a7a8-01",
                                      "00-00000000000000000000000000000000-a1a2a3a4a5a6a7a8-01",
                                      "00-0102030405060708090a0b0c0d0e0f10-0000000000000000-01",
                                      "00-0102030405060708090A0B0C0D0E0F10-a1a2a3a4a5a6a7a8-01"};
    struct cluster cluster;
    uint64_t before;

    (void)state;
    begin(&cluster);
    start(&cluster);
    cluster_run(&cluster, 500);
    before = count;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        call(&cluster, (uint32_t)i % 3, i % 2 ? "get" : "increment", bad[i]);
    call(&cluster, 0, "increment", NULL);
    assert_int_equal(count, before);
    assert_int_equal(of_trace(), 0);

    /* The node that was asked decides for all: one that it sends on without a trace has none at the leader either. */
    roots = true;
    roots_of = cluster.nodes[cluster_leader(&cluster)].name;
    call(&cluster, ((uint32_t)cluster_leader(&cluster) + 1) % 3, "increment", NULL);
    for (uint64_t i = before + 1; i <= count; i++)
        assert_string_not_equal(seen[i].name, "raft.replicateCommand");
    roots_of = NULL;
    before = count;

    /* By a ratio of 1 what has no parent is traced, as one trace, however many nodes it passes. */
    roots = true;
    call(&cluster, ((uint32_t)cluster_leader(&cluster) + 1) % 3, "increment", NULL);
    for (uint64_t i = before + 1, trees = 0; i <= count; i++) {
        trees += strcmp(seen[i].name, "raft.forwardCommand") == 0;
        if (strcmp(seen[i].name, "raft.replicateCommand") == 0) {
            assert_int_equal(trees, 1);
            assert_string_equal(parent_of(&seen[i])->name, "raft.forwardCommand");
        }
    }
    cluster_free(&cluster);
}

/* The commands of the counter, and the trace that they ran in: what they log belongs to it. */
static int32_t (*increment)(void *self, const struct gavel_call *call, const void *arguments,
                            struct gavel_reply *reply);
static int32_t (*get)(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply);
static struct gavel_trace increment_in, get_in;

static void note(struct gavel_trace *trace)
{
    memset(trace, 0, sizeof *trace);
    if (os_trace_here)
        *trace = *os_trace_here;
}

static int32_t spy_increment(void *self, const struct gavel_call *call, const void *arguments,
                             struct gavel_reply *reply)
{
    note(&increment_in);
    return increment(self, call, arguments, reply);
}

static int32_t spy_get(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    note(&get_in);
    return get(self, call, arguments, reply);
}

static void spy(struct cluster_node *node)
{
    for (size_t i = 0; i < sizeof node->commands / sizeof node->commands[0]; i++) {
        struct gavel_command *command = &node->commands[i];

        if (command->name && strcmp(command->name, "increment") == 0) {
            increment = command->run;
            command->run = spy_increment;
        } else if (command->name && strcmp(command->name, "get") == 0) {
            get = command->run;
            command->run = spy_get;
        }
    }
}

static void test_what_a_machine_logs_belongs_to_its_command(void **state)
{
    static const struct gavel_trace none;
    struct cluster cluster;
    uint32_t leader;
    const char *name;

    (void)state;
    begin(&cluster);
    start(&cluster);
    leader = (uint32_t)cluster_leader(&cluster);
    name = cluster.nodes[leader].name;
    spy(&cluster.nodes[leader]);
    call(&cluster, leader, "increment", PARENT "01");
    assert_memory_equal(&increment_in, &one(name, "state.increment")->context, sizeof increment_in);
    call(&cluster, leader, "get", PARENT "01");
    assert_memory_equal(&get_in, &one(name, "raft.readIndex")->context, sizeof get_in);
    call(&cluster, leader, "increment", NULL);
    call(&cluster, leader, "get", NULL);
    assert_memory_equal(&increment_in, &none, sizeof none);
    assert_memory_equal(&get_in, &none, sizeof none);
    assert_null(os_trace_here);
    cluster_free(&cluster);
}

static void test_a_read_and_its_arguments(void **state)
{
    struct cluster cluster;
    uint32_t leader;

    (void)state;
    begin(&cluster);
    cluster.limits.trace_arguments = 1;
    start(&cluster);
    leader = (uint32_t)cluster_leader(&cluster);
    call(&cluster, leader, "increment", PARENT "01");
    assert_true(says(one(cluster.nodes[leader].name, "state.increment"), "name=hits"));
    call(&cluster, leader, "get", PARENT "01");
    assert_true(says(one(cluster.nodes[leader].name, "raft.readIndex"), "level=linearizable"));
    cluster_free(&cluster);
}

static void test_traceparent(void **state)
{
    struct gavel_trace trace;
    char text[TRACE_PARENT_BYTES];

    (void)state;
    assert_true(trace_parse(gavel_text(PARENT "01"), &trace));
    trace_format(&trace, text);
    assert_string_equal(text, PARENT "01");
    assert_true(trace_parse(gavel_text("cc" "-0102030405060708090a0b0c0d0e0f10-a1a2a3a4a5a6a7a8-01-later"), &trace));
    for (size_t size = 0; size < TRACE_PARENT_BYTES - 1; size++)
        assert_false(trace_parse(gavel_bytes(PARENT "01", size), &trace));
    assert_int_equal(trace.flags, 0);
}

static bool has(const char *name)
{
    for (uint64_t i = 1; i <= count; i++)
        if (strcmp(seen[i].name, name) == 0 && seen[i].ended)
            return true;
    return false;
}

/* A life with everything in it: elections, members that come and go, snapshots that are saved and installed. */
static void test_every_span_is_seen(void **state)
{
    static const char *const names[] = {
#define SPAN(symbol, name, kind, attributes, help) name,
        NODE_SPANS(SPAN)
#undef SPAN
    };
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t number;

    (void)state;
    begin(&cluster);
    roots = true;
    cluster.limits.snapshot_entries = 8;
    cluster.limits.snapshot_log_min = 1u << 20;
    cluster.limits.log_trailing_bytes = 1;
    start(&cluster);
    call(&cluster, 0, "increment", NULL);
    call(&cluster, 1, "increment", NULL);
    call(&cluster, 2, "get", NULL);
    for (int i = 0; i < 12; i++) {
        struct cluster_client *client = cluster_client(&cluster, member_leader_of(&cluster), CODEC_ROLE_CLIENT);

        cluster_pad(client, 200000, &reply);
        cluster_client_free(client);
    }
    number = cluster_joiner(&cluster);
    watch(&cluster, number);
    member_add(&cluster, number, "voter");
    cluster_start(&cluster, number);
    member_role_comes(&cluster, cluster.nodes[number].name, "voter");
    member_must(&cluster, "member_demote", &reply, (const char *const[]){"name=n4", NULL});
    member_remove(&cluster, "n4");
    cluster_run(&cluster, 3000);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!has(strcmp(names[i], "state.COMMAND") == 0 ? "state.increment" : names[i]))
            fail_msg("no span %s was seen", names[i]);
    for (size_t i = 0; i < sizeof logged / sizeof logged[0]; i++)
        if (!logged[i].said)
            fail_msg("\"%s ...\" was not logged in the trace of %s", logged[i].begins, logged[i].span);
    for (uint64_t i = 1; i <= count; i++) /* nothing is left open for good but what a stopped node had */
        if (!seen[i].ended && strcmp(seen[i].node, "n4") != 0 && strcmp(seen[i].name, "cluster.healthCheck") != 0)
            fail_msg("%s on %s has not ended", seen[i].name, seen[i].node);
    cluster_free(&cluster);
}

static bool checking(struct cluster *cluster)
{
    const struct node *node = cluster->nodes[0].node;
    const struct peer *peer;

    os_list_each (peer, &node->peers, const struct peer, link)
        if (peer->watched.check_id && strcmp(peer->name, "n3") == 0)
            return true;
    return false;
}

/* Stop between a check and its answer. */
static void run_into_a_check(struct cluster *cluster)
{
    for (int i = 0; i < 1000000; i++) {
        cluster_steps(cluster, 1);
        if (checking(cluster))
            return;
        if (i % 100 == 0)
            cluster->clock.mono_ns += 1000000;
    }
    fail_msg("no check was under way");
}

/* A connection that breaks takes the check that is under way on it along. */
static void test_a_check_ends_with_its_connection(void **state)
{
    struct cluster cluster;
    uint64_t open = 0;

    (void)state;
    begin(&cluster);
    roots = true;
    start(&cluster);
    for (int i = 0; i < 5; i++) {
        run_into_a_check(&cluster);
        cluster_crash(&cluster, 2, OS_MEM_DROP_ALL);
        cluster_run(&cluster, 10);
        cluster_start(&cluster, 2); /* there again before the next check would be due */
        cluster_run(&cluster, 1000);
    }
    for (uint64_t i = 1; i <= count; i++)
        open += !seen[i].ended && strcmp(seen[i].node, "n1") == 0 && strcmp(seen[i].name, "cluster.healthCheck") == 0;
    assert_true(open <= 2); /* one to each of the others may be under way */
    cluster_free(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traceparent),
        cmocka_unit_test(test_one_write_is_one_trace),
        cmocka_unit_test(test_what_is_not_sampled_leaves_nothing),
        cmocka_unit_test(test_what_a_machine_logs_belongs_to_its_command),
        cmocka_unit_test(test_a_read_and_its_arguments),
        cmocka_unit_test(test_every_span_is_seen),
        cmocka_unit_test(test_a_check_ends_with_its_connection),
    };

    return cmocka_run_group_tests_name("node_trace", tests, NULL, NULL);
}
