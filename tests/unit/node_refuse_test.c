/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_refuse_test.c - whole nodes and changes of members that are refused, each with the exact reason; several changes
 * in one step; and callers that are not what they say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/internal.h"
#include "node_cluster.h"
#include "node_member.h"

/* ---- refused ------------------------------------------------------------------------------------------- */

struct refused_row {
    const char *command;
    const char *pairs[5];
    int64_t status;
    const char *text; /* exactly */
};

static void refuses(struct cluster *cluster, uint32_t at, const struct refused_row *row)
{
    struct cluster_reply reply;
    uint64_t commit = node_commit(cluster->nodes[at].node);

    member_ask(cluster, at, row->command, &reply, row->pairs);
    assert_true(reply.came);
    assert_string_equal(reply.text, row->text);
    assert_int_equal(reply.status, row->status);
    assert_int_equal(node_commit(cluster->nodes[at].node), commit); /* nothing was even logged */
}

static void test_refused_with_the_reason_and_no_change(void **state)
{
    static const struct refused_row rows[] = {
        {"member_add", {"name=n2", "addresses=mem://x", NULL}, GAVEL_E_EXISTS,
         "a member has the name 'n2' already, with id 2"},
        {"member_add", {"name=n7", "addresses=mem://n3", NULL}, GAVEL_E_EXISTS,
         "the address mem://n3 is that of member 'n3'"},
        {"member_add", {"name=n7", "addresses=mem://x,mem://x", NULL}, GAVEL_E_EXISTS,
         "the address mem://x is given twice"},
        {"member_add", {"name=n7", NULL}, GAVEL_E_INVALID, "a new member needs an address: say where 'n7' listens"},
        {"member_add", {"name=n7", "addresses=here", NULL}, GAVEL_E_INVALID,
         "'here' is no address: it has to look like ws://host:port"},
        {"member_add", {"name=n 7", "addresses=mem://x", NULL}, GAVEL_E_INVALID,
         "member_add needs the name of a member: 1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-'"},
        {"member_add", {"name=n7", "addresses=mem://x", "role=king", NULL}, GAVEL_E_INVALID,
         "a role is voter or learner"},
        {"member_add", {"name=n7", "addresses=mem://x", "rule=voter", NULL}, GAVEL_E_INVALID,
         "member_add takes no 'rule'"},
        {"member_add", {"name=n7", "addresses=mem://x", "version=9", NULL}, GAVEL_E_CONDITION,
         "the members have changed since: they are of version 0, not 9; nothing was done"},
        {"member_remove", {"name=n7", NULL}, GAVEL_E_NOT_FOUND, "no member has the name 'n7'"},
        {"member_replace", {"name=n7", NULL}, GAVEL_E_NOT_FOUND, "no member has the name 'n7'"},
        {"member_promote", {"name=n3", NULL}, GAVEL_E_STATE, "'n3' is a voter already"},
        {"member_update", {"name=n3", NULL}, GAVEL_E_INVALID,
         "say which addresses or which priority 'n3' shall have"},
        {"member_update", {"name=n3", "addresses=mem://n1", NULL}, GAVEL_E_EXISTS,
         "the address mem://n1 is that of member 'n1'"},
        {"member_update", {"name=n3", "priority=1001", NULL}, GAVEL_E_INVALID,
         "a priority is a number from 0 to 1000: 0 never leads, 1 is ordinary"},
        {"member_update", {"name=n8", "priority=2", NULL}, GAVEL_E_NOT_FOUND, "no member has the name 'n8'"},
        {"transfer", {"to=n8", NULL}, GAVEL_E_NOT_FOUND, "no member has the name 'n8'"},
        {"member_change", {NULL}, GAVEL_E_INVALID, "member_change needs `changes`, a list of 1 to 32 maps"},
    };
    static const struct refused_row last[] = {
        {"member_remove", {"name=n1", NULL}, GAVEL_E_STATE,
         "'n1' is the last member: a cluster keeps at least one"},
        {"member_demote", {"name=n1", NULL}, GAVEL_E_STATE,
         "the only voter cannot go: make another member a voter first"},
        {"member_update", {"name=n1", "priority=0", NULL}, GAVEL_E_STATE,
         "no voter that may lead would be left: the priority of every one would be 0"},
        {"transfer", {NULL}, GAVEL_E_STATE,
         "no other voter could lead now: none answers, or they are fenced, or their disks hang, or their priority "
         "is 0"},
    };
    struct cluster cluster;

    (void)state;
    member_begin(&cluster, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        refuses(&cluster, member_leader_of(&cluster), &rows[i]);
        refuses(&cluster, (member_leader_of(&cluster) + 1) % 3, &rows[i]); /* the same where it is passed on */
    }
    assert_int_equal(member_version_of(&cluster, 0), 0);
    assert_int_equal(member_count_of(&cluster, 0), 3);
    cluster_free(&cluster);
    member_begin(&cluster, 1);
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++)
        refuses(&cluster, 0, &last[i]);
    cluster_free(&cluster);
}

static void test_what_the_quorum_needs_stays(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t leader, down, up;
    char pair[32], want[128];
    const char *const pairs[] = {pair, NULL};

    (void)state;
    member_begin(&cluster, 3);
    leader = member_leader_of(&cluster);
    down = (leader + 1) % 3;
    up = (leader + 2) % 3;
    cluster_crash(&cluster, down, OS_MEM_KEEP_ALL);
    cluster_run(&cluster, 1000);
    snprintf(pair, sizeof pair, "name=%s", cluster.nodes[up].name);
    member_ask(&cluster, leader, "member_remove", &reply, pairs);
    snprintf(want, sizeof want, "1 of the 2 voters that would be left do not answer (%s), and 2 are needed to agree",
             cluster.nodes[down].name);
    assert_string_equal(reply.text, want);
    assert_int_equal(reply.status, GAVEL_E_STATE);
    member_ask(&cluster, leader, "member_demote", &reply, pairs);
    assert_string_equal(reply.text, want);
    snprintf(pair, sizeof pair, "name=%s", cluster.nodes[down].name);
    member_must(&cluster, "member_remove", &reply, pairs); /* but the one that is down may go */
    cluster_free(&cluster);
}

static void test_one_change_at_a_time(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t leader;
    struct cluster_client *admin;
    struct codec_request request = {.command = gavel_text("gavel.member_add"), .remaining_ms = 30000};
    struct gavel_buffer arguments = codec_buffer(0);
    struct gavel_error error;
    static const char *const first[] = {"name=n8", "addresses=mem://n8", NULL};
    static const char *const second[] = {"name=n9", "addresses=mem://n9", "version=0", NULL};

    (void)state;
    member_begin(&cluster, 3);
    leader = member_leader_of(&cluster);
    admin = cluster_client(&cluster, leader, CODEC_ROLE_ADMIN);
    assert_int_equal(codec_pairs(NULL, "member_add", first, 2, NULL, NULL, &arguments, &error), 0);
    request.arguments = gavel_buffer_slice(&arguments);
    cluster.nodes[(leader + 1) % 3].stalled_until = cluster.clock.mono_ns + 80000000;
    cluster.nodes[(leader + 2) % 3].stalled_until = cluster.clock.mono_ns + 80000000;
    cluster_post(admin, 1, &request);
    cluster_run(&cluster, 2);
    member_ask(&cluster, leader, "member_add", &reply, second);
    assert_string_equal(reply.text,
                        "another change of members is in flight; nothing was done: try again when it is over");
    assert_int_equal(reply.status, GAVEL_E_STATE);
    cluster_run(&cluster, 500);
    assert_true(cluster_client_answered(admin, 1));
    member_ask(&cluster, member_leader_of(&cluster), "member_add", &reply, second); /* and now its version is stale */
    assert_int_equal(reply.status, GAVEL_E_CONDITION);
    assert_true(member_has_role(&cluster, member_leader_of(&cluster), "n8", "joining"));
    gavel_buffer_free(&arguments);
    cluster_client_free(admin);
    cluster_free(&cluster);
}

/* Step by step until that node leads, which is before anything of its term can be committed. */
static bool leads_now(struct cluster *cluster, uint32_t number)
{
    for (uint32_t millisecond = 0; millisecond < 5000; millisecond++) {
        for (uint32_t i = 0; i < 100; i++) {
            cluster_steps(cluster, 1);
            if (cluster->nodes[number].node->role == RAFT_LEADER)
                return true;
        }
        cluster->clock.mono_ns += 1000000;
    }
    return false;
}

/*
 * A new leader may have in its log what its predecessor had in flight, and commits it only with an entry of its own
 * term: until then it is the one who is busy, which whoever asks tries again.
 */
static void test_a_new_leader_is_busy_before_a_change_is_in_flight(void **state)
{
    static const char *const first[] = {"name=n8", "addresses=mem://n8", NULL};
    static const char *const second[] = {"name=n9", "addresses=mem://n9", NULL};
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *old, *admin;
    struct codec_request request = {.command = gavel_text("gavel.member_add"), .remaining_ms = 30000};
    struct gavel_buffer arguments = codec_buffer(0);
    struct gavel_error error;
    uint32_t leader, heir, third;

    (void)state;
    member_begin(&cluster, 3);
    leader = member_leader_of(&cluster);
    heir = (leader + 1) % 3;
    third = (leader + 2) % 3;
    old = cluster_client(&cluster, leader, CODEC_ROLE_ADMIN);
    admin = cluster_client(&cluster, heir, CODEC_ROLE_ADMIN);
    assert_int_equal(codec_pairs(NULL, "member_add", first, 2, NULL, NULL, &arguments, &error), 0);
    request.arguments = gavel_buffer_slice(&arguments);
    cluster.nodes[heir].stalled_until = cluster.nodes[third].stalled_until = UINT64_MAX; /* they say nothing */
    cluster_post(old, 1, &request);
    cluster_steps(&cluster, 100);
    assert_int_equal(directory_now(&cluster.nodes[heir].node->directory)->count, 4);
    cluster_client_free(old);
    cluster_crash(&cluster, leader, OS_MEM_KEEP_ALL);
    cluster.nodes[heir].stalled_until = 0;
    cluster_steps(&cluster, 100);
    cluster.nodes[third].stalled_until = 0;
    assert_true(leads_now(&cluster, heir));
    cluster.nodes[heir].stalled_until = cluster.nodes[third].stalled_until = cluster.clock.mono_ns + 50000000;
    cluster_command(admin, "gavel.member_add", 0, 0, &reply, second);
    assert_int_equal(reply.status, GAVEL_E_BUSY);
    assert_non_null(strstr(reply.text, " leads since a moment ago only; nothing was done: try again"));
    cluster_run(&cluster, 500);
    member_must(&cluster, "member_add", &reply, second); /* n8 is in by now */
    assert_true(member_has_role(&cluster, heir, "n8", "joining"));
    cluster_client_free(admin);
    gavel_buffer_free(&arguments);
    cluster_free(&cluster);
}

static void test_administrators_only(void **state)
{
    struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;
    static const char *const pairs[] = {"name=n2", NULL};

    (void)state;
    member_begin(&cluster, 3);
    for (uint32_t i = 0; i < 3; i++) {
        client = cluster_client(&cluster, i, CODEC_ROLE_CLIENT);
        cluster_command(client, "gavel.member_remove", 0, 0, &reply, pairs);
        assert_int_equal(reply.status, GAVEL_E_DENIED);
        cluster_client_free(client);
    }
    assert_int_equal(member_count_of(&cluster, 0), 3);
    cluster_free(&cluster);
}

/* ---- several at once ----------------------------------------------------------------------------------- */

static void test_several_at_once(void **state)
{
    static const unsigned char changes[] =
        /* {"changes": [{"op": "remove", "name": "n3"}, {"op": "add", "name": "n4", "addresses": ["mem://n4"]},
         *              {"op": "add", "name": "n5", "addresses": "mem://n5", "role": "learner"}]} */
        "\x81\xa7" "changes\x93"
        "\x82\xa2op\xa6remove\xa4name\xa2n3"
        "\x83\xa2op\xa3" "add\xa4name\xa2n4\xa9" "addresses\x91\xa8mem://n4"
        "\x84\xa2op\xa3" "add\xa4name\xa2n5\xa9" "addresses\xa8mem://n5\xa4role\xa7learner";
    struct codec_request request = {.command = gavel_text("gavel.member_change")};
    struct cluster cluster;
    struct cluster_client *admin;
    struct cluster_reply reply;

    (void)state;
    member_begin(&cluster, 3);
    (void)cluster_joiner(&cluster);
    (void)cluster_joiner(&cluster);
    cluster_start(&cluster, 3);
    cluster_start(&cluster, 4);
    cluster_run(&cluster, 200);
    assert_true(member_status_says(&cluster, 3, "waits to be added"));
    admin = cluster_client(&cluster, 0, CODEC_ROLE_ADMIN);
    request.arguments = gavel_bytes(changes, sizeof changes - 1);
    cluster_call(admin, &request, &reply);
    assert_string_equal(reply.text, "");
    assert_int_equal(reply.status, 0);
    cluster_client_free(admin);
    member_gone(&cluster, 2);
    member_role_comes(&cluster, "n4", "voter");
    assert_true(member_has_role(&cluster, member_leader_of(&cluster), "n5", "learner"));
    member_write_some(&cluster, 4, 2);
    assert_int_equal(member_value_at(&cluster, 3), 2);
    assert_int_equal(member_value_at(&cluster, 4), 2);
    assert_int_equal(member_count_of(&cluster, 4), 4);
    member_must(&cluster, "member_promote", &reply, (const char *const[]){"name=n5", NULL});
    member_role_comes(&cluster, "n5", "voter");
    member_must(&cluster, "member_demote", &reply, (const char *const[]){"name=n4", NULL});
    assert_true(member_has_role(&cluster, member_leader_of(&cluster), "n4", "learner"));
    cluster_free(&cluster);
}

/* ---- strangers ----------------------------------------------------------------------------------------- */

struct caller {
    const char *name;
    uint64_t id;
    uint64_t incarnation;
    bool founded;
    bool other_cluster;
    const char *text; /* of the refusal; NULL: it is welcome */
};

static uint64_t disk_major; /* that the next caller tells of; 0: of none, as before there was another */

static void id_bytes(uint64_t number, unsigned char raw[16])
{
    memset(raw, 0, 16);
    for (int i = 0; i < 8; i++)
        raw[i] = (unsigned char)(number >> 8 * i);
}

static void cluster_id_of(struct cluster *cluster, uint32_t number, unsigned char raw[16])
{
    static struct cluster_reply reply;
    struct gavel_slice text;

    member_ask(cluster, number, "status", &reply, NULL);
    text = codec_string_or(codec_map_find(gavel_bytes(reply.result, reply.result_size), "cluster_id"), "");
    assert_int_equal(text.size, 32);
    for (int i = 0; i < 16; i++) {
        char pair[3] = {((const char *)text.data)[2 * i], ((const char *)text.data)[2 * i + 1], 0};

        raw[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
}

static struct cluster_client *call_on(struct cluster *cluster, uint32_t number, const struct caller *caller)
{
    struct cluster_client *client = cluster_dial(cluster, number, "stranger");
    struct gavel_slice names[1] = {gavel_text("msgpack")};
    unsigned char incarnation[16], cluster_id[16];
    struct codec_hello hello = {.role = CODEC_ROLE_PEER,
                                .version_major = CODEC_PROTOCOL_MAJOR,
                                .name = gavel_text(caller->name),
                                .member_id = caller->id,
                                .founded = caller->founded,
                                .disk_major = disk_major,
                                .serializers = {.items = names, .count = 1, .stride = sizeof names[0]}};
    const char *text;

    id_bytes(caller->incarnation, incarnation);
    hello.incarnation = gavel_bytes(incarnation, sizeof incarnation);
    cluster_id_of(cluster, 0, cluster_id);
    cluster_id[3] ^= caller->other_cluster;
    if (caller->founded)
        hello.cluster_id = gavel_bytes(cluster_id, sizeof cluster_id);
    cluster_send(client, CODEC_HELLO, &hello);
    cluster_run(cluster, 5);
    if (caller->text) {
        assert_int_equal(cluster_client_welcome(client, &text),
                         disk_major ? GAVEL_E_VERSION : GAVEL_E_DENIED);
        assert_string_equal(text, caller->text);
        assert_false(cluster_client_open(client));
    } else {
        assert_int_equal(cluster_client_welcome(client, &text), 0);
    }
    return client;
}

static void test_who_calls_is_looked_at(void **state)
{
    static const struct caller callers[] = {
        {"n2", 2, 1, true, true, "it belongs to another cluster"},
        {"n2", 2, 1, true, false, "it has another data directory than the member of that name"},
        {"n1", 1, 1, true, false, "it has the member id of this node"},
        {"n2", 0, 1, true, false, "it has the member id of this node"},
        {"n2", 0, 1, false, false,
         "it lost its data directory: an empty node cannot return under its old identity; replace the member"},
        {"n1", 0, 1, false, false, "it has the name of this node"},
        {"nx", 0, 1, false, false, "no member of this cluster has its name: it waits to be added"},
        {"", 0, 1, false, false, "its name is malformed"},
        {"ghost", 4, 1, true, false, "it was removed from this cluster"},
    };
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *strangers[RAFT_MEMBERS_MAX];
    struct caller stranger = {"s", 0, 1, true, false, NULL};
    const struct caller other_disk = {"n2", 2, 1, true, false,
                                      "it stores its log in another major format, and batches travel as they are "
                                      "stored: no cluster has both; upgrade by way of a version that reads both"};

    (void)state;
    member_begin(&cluster, 3);
    member_must(&cluster, "member_add", &reply, (const char *const[]){"name=ghost", "addresses=mem://ghost", NULL});
    member_remove(&cluster, "ghost");
    cluster_run(&cluster, 100);
    for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++)
        cluster_client_free(call_on(&cluster, 0, &callers[i]));
    disk_major = 2;
    cluster_client_free(call_on(&cluster, 0, &other_disk));
    disk_major = 0;
    /* Members that are newer than what is known here are let in, as many as a cluster can have. */
    for (uint64_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        stranger.id = 100 + i;
        strangers[i] = call_on(&cluster, 0, &stranger);
    }
    stranger.id = 200;
    stranger.text = "too many members at once that this node has not heard of";
    cluster_client_free(call_on(&cluster, 0, &stranger));
    for (int i = 0; i < RAFT_MEMBERS_MAX; i++)
        cluster_client_free(strangers[i]);
    cluster_run(&cluster, 100);
    stranger.text = NULL;
    cluster_client_free(call_on(&cluster, 0, &stranger));
    member_write_some(&cluster, 0, 3);
    cluster_free(&cluster);
}

/* A node without a cluster lets a member of one in, to be told; it takes nothing else from it, and comes to no harm. */
static void test_a_guest_brings_the_record_only(void **state)
{
    static const struct caller guest = {"n1", 1, 77, true, false, NULL};
    struct cluster cluster;
    struct cluster_client *client;
    struct codec_raft append = {.id = 1, .term = 9};
    struct codec_found_answer answer = {.state = CODEC_FOUND_EMPTY};
    struct codec_found_done done = {.status = -1, .text = gavel_text("no")};
    struct codec_found_record record = {.record = gavel_bytes("nonsense", 8), .member_id = 9};
    struct codec_request request = {.id = 5, .command = gavel_text("get"), .forwarded = 1};
    uint32_t number;

    (void)state;
    member_begin(&cluster, 1);
    number = cluster_joiner(&cluster);
    cluster_start(&cluster, number);
    cluster_run(&cluster, 100);
    client = call_on(&cluster, number, &guest);
    cluster_send(client, CODEC_RAFT + RAFT_APPEND_REQUEST, &append);
    cluster_send(client, CODEC_FOUND_ANSWER, &answer);
    cluster_send(client, CODEC_FOUND_DONE, &done);
    cluster_send(client, CODEC_FOUND_RECORD, &record);
    cluster_send(client, CODEC_REQUEST, &request);
    cluster_run(&cluster, 100);
    assert_true(cluster.nodes[number].exit_code < 0);
    cluster_client_free(client);
    member_add(&cluster, number, "voter"); /* and it joins as if nothing had been */
    member_role_comes(&cluster, "n2", "voter");
    cluster_free(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_with_the_reason_and_no_change),
        cmocka_unit_test(test_what_the_quorum_needs_stays),
        cmocka_unit_test(test_one_change_at_a_time),
        cmocka_unit_test(test_a_new_leader_is_busy_before_a_change_is_in_flight),
        cmocka_unit_test(test_administrators_only),
        cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_who_calls_is_looked_at),
        cmocka_unit_test(test_a_guest_brings_the_record_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
