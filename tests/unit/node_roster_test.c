/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_roster_test.c - what members can do, on whole nodes: declared by themselves, the same everywhere, kept over
 * restarts and snapshots, gone with the member; and nodes that register themselves and go when they are not heard of.
 * The table alone, and its bounds, come first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/codec/capability.h"
#include "core/codec/value.h"
#include "core/node/internal.h"
#include "core/node/roster.h"
#include "node_member.h"

/* ---- sets ---------------------------------------------------------------------------------------------- */

static struct gavel_slice pairs_of(struct gavel_buffer *out, uint32_t count, uint32_t value_bytes)
{
    static char value[CAPABILITY_VALUE_MAX + 2];
    struct codec_writer writer;
    struct gavel_writer *to = codec_writer_begin(&writer, out);
    char name[32];

    memset(value, 'v', sizeof value);
    gavel_put_map(to, count);
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "c%u", count - i);
        gavel_put_key(to, name);
        gavel_put_string(to, gavel_bytes(value, value_bytes));
    }
    gavel_put_end(to);
    assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
    return gavel_buffer_slice(out);
}

static int32_t set_of(uint32_t count, uint32_t value_bytes, struct gavel_error *error)
{
    struct gavel_buffer map = codec_buffer(0), set = codec_buffer(0);
    int32_t status = codec_capabilities(pairs_of(&map, count, value_bytes), &set, error);

    if (status == GAVEL_OK) /* or every node would stop at the entry that declares it */
        assert_true(codec_capabilities_valid(gavel_buffer_slice(&set)));
    gavel_buffer_free(&map);
    gavel_buffer_free(&set);
    return status;
}

static void test_a_set_has_bounds(void **state)
{
    struct gavel_error error;

    (void)state;
    assert_int_equal(set_of(CAPABILITY_PAIRS_MAX, 10, &error), GAVEL_OK);
    assert_int_equal(set_of(CAPABILITY_PAIRS_MAX + 1, 10, &error), GAVEL_E_TOO_LARGE);
    assert_string_equal(error.text, "a node has at most 64 capabilities, not 65");
    assert_int_equal(set_of(1, CAPABILITY_VALUE_MAX, &error), GAVEL_OK);
    assert_int_equal(set_of(1, CAPABILITY_VALUE_MAX + 1, &error), GAVEL_E_TOO_LARGE);
    assert_string_equal(error.text, "the value of the capability c1 has to be at most 255 bytes, without control "
                                    "characters");
    assert_int_equal(set_of(15, CAPABILITY_VALUE_MAX, &error), GAVEL_OK);
    assert_int_equal(set_of(16, CAPABILITY_VALUE_MAX, &error), GAVEL_E_TOO_LARGE);
    assert_non_null(strstr(error.text, "at most 4096 bytes, not "));
}

/* What the leader logs at the limit, every node takes: it would stop at the entry. */
static void test_a_set_at_the_limit_is_taken(void **state)
{
    (void)state;
    for (uint64_t last = 180; last <= 182; last++) {
        struct gavel_buffer map = codec_buffer(0), set = codec_buffer(0);
        struct codec_writer writer;
        struct gavel_writer *to = codec_writer_begin(&writer, &map);
        char name[8], value[CAPABILITY_VALUE_MAX];

        memset(value, 'v', sizeof value);
        gavel_put_map(to, 16);
        for (int i = 1; i <= 16; i++) {
            (void)snprintf(name, sizeof name, "c%d", i);
            gavel_put_key(to, name);
            gavel_put_string(to, gavel_bytes(value, i < 16 ? sizeof value : last));
        }
        gavel_put_end(to);
        assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
        assert_int_equal(map.size, CAPABILITY_SET_MAX - 181 + last);
        assert_int_equal(codec_capabilities(gavel_buffer_slice(&map), &set, NULL),
                         last <= 181 ? GAVEL_OK : GAVEL_E_TOO_LARGE);
        if (last <= 181)
            assert_true(codec_capabilities_valid(gavel_buffer_slice(&set)));
        gavel_buffer_free(&map);
        gavel_buffer_free(&set);
    }
}

struct form_row {
    const char *msgpack;
    uint64_t size;
    const char *shown; /* NULL: refused */
};

static void test_a_set_has_one_form(void **state)
{
    static const struct form_row rows[] = {
        {"\x82\xa1z\xa1m\xa1m\xa1z", 9, "{\"m\": \"z\", \"z\": \"m\"}"}, /* sorted */
        {"\x82\xa1m\xa1z\xa1z\xa1m", 9, "{\"m\": \"z\", \"z\": \"m\"}"},
        {"\x83\xa1n\x07\xa1t\xc3\xa1r\xd0\xfb", 11, "{\"n\": \"7\", \"r\": \"-5\", \"t\": \"true\"}"},
        {"\x80", 1, "{}"},
        {"\xc0", 1, NULL},                 /* nil */
        {"\x90", 1, NULL},                 /* an array */
        {"\x81\xa1n\xc0", 4, NULL},        /* nil as a value */
        {"\x81\xa1n\x90", 4, NULL},        /* an array as a value */
        {"\x81\x01\xa1n", 4, NULL},        /* a number as a name */
        {"\x81\xa0\xa1n", 4, NULL},        /* no name */
        {"\x81\xa1 \xa1n", 5, NULL},       /* a blank in it */
        {"\x81\xa1n\xa2" "a\n", 6, NULL},  /* a new line in a value */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gavel_buffer set = codec_buffer(0), text = codec_buffer(0);
        struct gavel_error error = {0};
        int32_t status = codec_capabilities(gavel_bytes(rows[i].msgpack, rows[i].size), &set, &error);

        assert_int_equal(status, rows[i].shown ? GAVEL_OK : GAVEL_E_INVALID);
        assert_true(status == GAVEL_OK || error.text[0]);
        if (rows[i].shown) {
            assert_int_equal(codec_value_text(gavel_buffer_slice(&set), 0, &text), GAVEL_OK);
            assert_memory_equal(text.data, rows[i].shown, strlen(rows[i].shown));
        }
        gavel_buffer_free(&set);
        gavel_buffer_free(&text);
    }
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static struct roster_entry entry_of(const char *name)
{
    return (struct roster_entry){.name = gavel_text(name), .address = gavel_text("tcp://h:1"),
                                 .set = gavel_bytes("\x80", 1), .ttl_ms = 5000};
}

static void test_as_many_as_may_be(void **state)
{
    struct roster *roster = roster_new();
    char name[32];
    bool changed;

    (void)state;
    for (uint32_t i = 0; i < ROSTER_NODES_MAX; i++) {
        struct roster_entry entry;

        (void)snprintf(name, sizeof name, "w%u", i * 7919 % ROSTER_NODES_MAX);
        entry = entry_of(name);
        assert_int_equal(roster_register(roster, &entry, i + 1, 0, &changed), GAVEL_OK);
        assert_true(changed);
    }
    assert_int_equal(roster->count, ROSTER_NODES_MAX);
    for (uint32_t i = 1; i < roster->count; i++)
        assert_true(strcmp(roster->nodes[i - 1]->name, roster->nodes[i]->name) < 0);
    assert_int_equal(roster_register(roster, &(struct roster_entry){.name = gavel_text("one-more"),
                                     .ttl_ms = 5000}, 9000, 0, &changed), GAVEL_E_BUSY);
    assert_int_equal(roster_register(roster, &(struct roster_entry){.name = gavel_text("w17"), .ttl_ms = 6000}, 9001,
                                     0, &changed), GAVEL_OK); /* of those that are there any one may change */
    assert_true(changed);
    roster_free(roster);
}

/* A list of all of them has to fit into one message, whatever they say. */
static void test_as_many_bytes_as_may_be(void **state)
{
    struct roster *roster = roster_new(), *copy = roster_new();
    static unsigned char set[CAPABILITY_SET_MAX];
    struct roster_entry entry = {
        .address = gavel_text("tcp://h:1"), .set = gavel_bytes(set, sizeof set), .ttl_ms = 5000};
    uint32_t count = ROSTER_BYTES_MAX / (CAPABILITY_SET_MAX + 13);
    char name[32];
    bool changed;

    (void)state;
    assert_true(count < ROSTER_NODES_MAX);
    for (uint32_t i = 0; i <= count; i++) {
        (void)snprintf(name, sizeof name, "%04u", i);
        entry.name = gavel_text(name);
        assert_int_equal(roster_register(roster, &entry, i + 1, 0, &changed), i < count ? GAVEL_OK : GAVEL_E_BUSY);
    }
    entry.set.size = ROSTER_BYTES_MAX - (uint64_t)count * (CAPABILITY_SET_MAX + 13) - 13;
    assert_int_equal(roster_register(roster, &entry, 9000, 0, &changed), GAVEL_OK); /* to the last byte */
    assert_int_equal(roster->bytes, ROSTER_BYTES_MAX);
    entry.set.size++;
    assert_int_equal(roster_register(roster, &entry, 9001, 0, &changed), GAVEL_E_BUSY);
    assert_int_equal(roster_copy(copy, roster), GAVEL_OK);
    assert_int_equal(copy->bytes, ROSTER_BYTES_MAX);
    assert_true(roster_deregister(roster, gavel_text("0007"), 9002));
    assert_int_equal(roster_register(roster, &entry, 9003, 0, &changed), GAVEL_OK);
    assert_int_equal(roster_copy(copy, roster), GAVEL_OK);
    assert_int_equal(copy->bytes, roster->bytes);
    while (roster->count)
        assert_true(roster_deregister(roster, gavel_text(roster->nodes[0]->name), 9004));
    assert_int_equal(roster->bytes, 0);
    roster_free(roster);
    roster_free(copy);
}

/* An expiry names the renewal that it saw, and does nothing when there was another since. */
static void test_a_renewal_beats_an_expiry(void **state)
{
    struct roster *roster = roster_new();
    struct roster_entry entry = entry_of("w");
    bool changed;

    (void)state;
    assert_int_equal(roster_register(roster, &entry, 1, 1000, &changed), GAVEL_OK);
    assert_null(roster_due(roster, "", 6000));
    assert_non_null(roster_due(roster, "", 6001));
    assert_null(roster_due(roster, "w", 6001)); /* behind it there is none */
    assert_false(roster_is_over(roster, gavel_text("w"), 1000, 6000));
    assert_true(roster_is_over(roster, gavel_text("w"), 1000, 6001));
    assert_true(roster_keep(roster, gavel_text("w"), 1500));
    assert_false(roster_is_over(roster, gavel_text("w"), 1000, 9000)); /* of before the renewal */
    assert_true(roster_is_over(roster, gavel_text("w"), 1500, 9000));
    assert_int_equal(roster_register(roster, &entry, 2, 8000, &changed), GAVEL_OK);
    assert_false(changed); /* to say the same again is a sign of life too */
    assert_false(roster_is_over(roster, gavel_text("w"), 1500, 9000));
    assert_false(roster_keep(roster, gavel_text("x"), 1500));
    roster_free(roster);
}

static void check_same(const struct roster *a, const struct roster *b)
{
    uint64_t one[2] = {0, 0}, two[2] = {0, 0};

    roster_digest(a, one);
    roster_digest(b, two);
    assert_memory_equal(one, two, sizeof one);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->version, b->version);
}

static void test_copies_and_snapshots_are_the_same(void **state)
{
    struct roster *roster = roster_new(), *copy = roster_new(), *loaded = roster_new();
    struct gavel_buffer saved = codec_buffer(0);
    struct bytes_cursor cursor;
    struct gavel_error error;
    uint64_t seed = 7;
    bool changed;

    (void)state;
    for (uint64_t step = 1; step < 2000; step++) {
        char name[8];
        struct roster_entry entry;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        (void)snprintf(name, sizeof name, "w%u", (unsigned)(seed >> 33) % 24);
        entry = entry_of(name);
        entry.ttl_ms = 5000 + (seed >> 40) % 2;
        switch (seed >> 60) {
        case 0: (void)roster_deregister(roster, entry.name, step); break;
        case 1: (void)roster_keep(roster, entry.name, step); break;
        case 2:
            (void)roster_declare(roster, 1 + (seed >> 50) % 3, gavel_bytes(seed >> 59 & 1 ? "\x80" : "\x81\xa1n\xa1n",
                                                                          seed >> 59 & 1 ? 1 : 5), step, &changed);
            break;
        default: (void)roster_register(roster, &entry, step, step, &changed); break;
        }
        if (step % 50 == 0) {
            assert_int_equal(roster_copy(copy, roster), GAVEL_OK);
            check_same(copy, roster);
        }
    }
    assert_int_equal(roster_save(roster, &saved), GAVEL_OK);
    cursor = bytes_read(gavel_buffer_slice(&saved));
    assert_int_equal(roster_load(loaded, &cursor, &error), GAVEL_OK);
    assert_int_equal(cursor.left, 0);
    check_same(loaded, roster);
    for (uint64_t cut = 0; cut < saved.size; cut += 3) { /* whatever is cut short is refused */
        struct roster *part = roster_new();

        cursor = bytes_read(gavel_bytes(saved.data, cut));
        assert_int_equal(roster_load(part, &cursor, &error), GAVEL_E_CORRUPT);
        roster_free(part);
    }
    gavel_buffer_free(&saved);
    roster_free(loaded);
    roster_free(copy);
    roster_free(roster);
}

/* ---- whole nodes --------------------------------------------------------------------------------------- */

static const struct node_capability eu[] = {{"zone", "eu-1"}, {"disk", "ssd"}};
static const struct node_capability us[] = {{"zone", "us-2"}};

static void begin(struct cluster *cluster, uint32_t count)
{
    cluster_init(cluster, count, 20261129);
    for (uint32_t i = 0; i < count; i++) {
        cluster->nodes[i].capabilities = i == 0 ? eu : us;
        cluster->nodes[i].capability_count = i == 0 ? 2 : 1;
    }
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 3000));
}

/* What a node says of another one's capability; waits until it is that. "": there is none of that name. */
static void comes(struct cluster *cluster, uint32_t at, const char *member, const char *name, const char *value)
{
    struct gavel_slice found = {0};

    for (int i = 0; i < 1000; i++) {
        struct gavel_slice entry = member_entry(member_list_at(cluster, at), member);

        found = codec_string_or(codec_map_find(codec_map_find(entry, "capabilities"), name), "");
        if (gavel_slice_equal(found, gavel_text(value)))
            return;
        cluster_run(cluster, 10);
    }
    fail_msg("n%u has %s of %s as '%.*s', not '%s'", at + 1, name, member, (int)found.size, (const char *)found.data,
             value);
}

static void same_digests(struct cluster *cluster)
{
    char digests[CLUSTER_MAX][20];
    uint32_t up = 0;

    for (uint32_t i = 0; i < cluster->count; i++) {
        struct cluster_reply reply;

        if (!cluster->nodes[i].node)
            continue;
        member_ask(cluster, i, "status", &reply, NULL);
        (void)snprintf(digests[up], sizeof digests[up], "%.*s", 16, (const char *)codec_string_or(codec_map_find(
                       gavel_bytes(reply.result, reply.result_size), "digest"), "?").data);
        assert_string_equal(digests[up], digests[0]);
        up++;
    }
}

static void test_members_declare_by_themselves(void **state)
{
    struct cluster cluster;
    uint64_t commit;

    (void)state;
    begin(&cluster, 3);
    for (uint32_t i = 0; i < 3; i++) {
        comes(&cluster, i, "n1", "zone", "eu-1");
        comes(&cluster, i, "n1", "disk", "ssd");
        comes(&cluster, i, "n2", "zone", "us-2");
        comes(&cluster, i, "n3", "zone", "us-2");
    }
    same_digests(&cluster);
    /* Said once: a minute later the log has not grown. */
    commit = node_commit(cluster.nodes[0].node);
    cluster_run(&cluster, 60000);
    assert_int_equal(node_commit(cluster.nodes[0].node), commit);
    cluster_free(&cluster);
}

static void test_without_any_nothing_is_logged(void **state)
{
    struct cluster cluster;
    uint32_t leader;

    (void)state;
    member_begin(&cluster, 3);
    cluster_run(&cluster, 20000);
    leader = member_leader_of(&cluster);
    assert_true(node_commit(cluster.nodes[leader].node) <= 2); /* what elections leave */
    cluster_free(&cluster);
}

static void test_another_set_takes_its_place(void **state)
{
    struct cluster cluster;
    struct gavel_error error;
    uint32_t follower;
    char name[8];

    (void)state;
    begin(&cluster, 3);
    comes(&cluster, 0, "n1", "zone", "eu-1");
    follower = (member_leader_of(&cluster) + 1) % 3;
    (void)snprintf(name, sizeof name, "n%u", follower + 1);
    /* As a reload does it, on a node that has to ask the leader. */
    assert_int_equal(node_declare(cluster.nodes[follower].node, (const struct node_capability[]){{"gpu", "2"}}, 1,
                                  &error), GAVEL_OK);
    for (uint32_t i = 0; i < 3; i++) {
        comes(&cluster, i, name, "gpu", "2");
        comes(&cluster, i, name, "zone", "");
    }
    /* And to have none any more is another set too. */
    assert_int_equal(node_declare(cluster.nodes[follower].node, NULL, 0, &error), GAVEL_OK);
    for (uint32_t i = 0; i < 3; i++)
        comes(&cluster, i, name, "gpu", "");
    assert_int_equal(node_declare(cluster.nodes[follower].node, (const struct node_capability[]){{"a b", "2"}}, 1,
                                  &error), GAVEL_E_INVALID);
    same_digests(&cluster);
    /* A start with another file. */
    cluster_crash(&cluster, follower, OS_MEM_KEEP_ALL);
    cluster.nodes[follower].capabilities = eu;
    cluster.nodes[follower].capability_count = 2;
    cluster_start(&cluster, follower);
    comes(&cluster, (follower + 1) % 3, name, "disk", "ssd");
    cluster_free(&cluster);
}

/* Nobody leads for a while: it is said when somebody does. */
static void test_without_a_leader_it_waits(void **state)
{
    struct cluster cluster;
    struct gavel_error error;

    (void)state;
    begin(&cluster, 3);
    comes(&cluster, 0, "n3", "zone", "us-2");
    cluster_crash(&cluster, 1, OS_MEM_KEEP_ALL);
    cluster_crash(&cluster, 2, OS_MEM_KEEP_ALL);
    assert_int_equal(node_declare(cluster.nodes[0].node, us, 1, &error), GAVEL_OK);
    cluster_run(&cluster, 20000);
    cluster_start(&cluster, 1);
    comes(&cluster, 1, "n1", "zone", "us-2");
    cluster_free(&cluster);
}

/* A restart by the log, one by a snapshot of its own, and a follower by the leader's: all have the same. */
static void test_snapshots_carry_it(void **state)
{
    struct cluster cluster;
    struct cluster_client *client;
    struct cluster_reply reply;
    uint32_t joiner;

    (void)state;
    cluster_init(&cluster, 3, 20261130);
    cluster.limits.snapshot_entries = 8;
    cluster.limits.snapshot_log_min = 1;
    cluster.limits.log_trailing_bytes = 1;
    cluster.limits.log_segment_bytes = 64 << 10;
    for (uint32_t i = 0; i < 3; i++) {
        cluster.nodes[i].capabilities = eu;
        cluster.nodes[i].capability_count = 2;
    }
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    for (uint32_t i = 0; i < 3; i++)
        comes(&cluster, i, "n3", "zone", "eu-1");
    member_must(&cluster, "node_register", &reply, (const char *const[]){"name=w", "ttl=3600000", NULL});
    client = cluster_client(&cluster, member_leader_of(&cluster), CODEC_ROLE_CLIENT);
    for (int i = 0; i < 60; i++)
        cluster_pad(client, 8000, &reply);
    cluster_client_free(client);
    cluster_run(&cluster, 500);
    for (uint32_t i = 0; i < 3; i++) {
        cluster_crash(&cluster, i, OS_MEM_KEEP_ALL);
        cluster_start(&cluster, i);
        comes(&cluster, i, "n2", "disk", "ssd");
        assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    }
    joiner = cluster_joiner(&cluster);
    member_add(&cluster, joiner, "voter");
    cluster_start(&cluster, joiner);
    member_role_comes(&cluster, "n4", "voter");
    assert_true(cluster.nodes[joiner].installs > 0);
    comes(&cluster, joiner, "n2", "disk", "ssd");
    cluster_run(&cluster, 500);
    same_digests(&cluster);
    member_ask(&cluster, joiner, "node_list", &reply, NULL);
    assert_int_equal(codec_value_count(gavel_bytes(reply.result, reply.result_size)), 1);
    cluster_free(&cluster);
}

static void test_it_goes_with_the_member(void **state)
{
    struct cluster cluster;

    (void)state;
    begin(&cluster, 3);
    comes(&cluster, 0, "n3", "zone", "us-2");
    member_remove(&cluster, "n3");
    member_gone(&cluster, 2);
    cluster_wipe(&cluster, 2);
    cluster.nodes[2].join_count = 1;
    cluster.nodes[2].join[0] = cluster.nodes[0].uri;
    cluster.nodes[2].capability_count = 0;
    member_add(&cluster, 2, "voter"); /* under its old name, with a new id, and nothing to say */
    cluster_start(&cluster, 2);
    member_role_comes(&cluster, "n3", "voter");
    for (uint32_t i = 0; i < 3; i++)
        comes(&cluster, i, "n3", "zone", "");
    cluster_run(&cluster, 500);
    same_digests(&cluster);
    cluster_free(&cluster);
}

/* ---- nodes that register themselves -------------------------------------------------------------------- */

static uint64_t registered(struct cluster *cluster, uint32_t at)
{
    return codec_value_count(codec_map_find(member_list_at(cluster, at), "registered"));
}

struct refused_row {
    const char *command;
    const char *pairs[4];
    int64_t status;
    const char *text; /* exactly */
};

static void test_refused_with_the_reason(void **state)
{
    static const struct refused_row rows[] = {
        {"node_register", {NULL}, GAVEL_E_INVALID,
         "node_register needs the name of a node: 1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-'"},
        {"node_register", {"name=a b", NULL}, GAVEL_E_INVALID,
         "node_register needs the name of a node: 1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-'"},
        {"node_register", {"name=n2", NULL}, GAVEL_E_EXISTS, "a member of the cluster has the name 'n2'"},
        {"node_register", {"name=w", "address=here", NULL}, GAVEL_E_INVALID,
         "'here' is no address: it has to be like scheme://host:port"},
        {"node_register", {"name=w", "ttl=999ms", NULL}, GAVEL_E_INVALID,
         "a time to live is 1 second to 24 hours: milliseconds, or a text as \"30s\""},
        {"node_register", {"name=w", "ttl=25h", NULL}, GAVEL_E_INVALID,
         "a time to live is 1 second to 24 hours: milliseconds, or a text as \"30s\""},
        {"node_register", {"name=w", "zone=a", NULL}, GAVEL_E_INVALID, "node_register takes no 'zone'"},
        {"node_register", {"name=w", "capabilities=x", NULL}, GAVEL_E_INVALID,
         "capabilities are a map of names and values"},
        {"node_keep", {"name=w", NULL}, GAVEL_E_NOT_FOUND,
         "no node is registered as 'w': it never was, was taken out, or its time ran out"},
        {"node_deregister", {"name=w", NULL}, GAVEL_E_NOT_FOUND,
         "no node is registered as 'w': it never was, was taken out, or its time ran out"},
        {"node_keep", {"name=w", "ttl=1s", NULL}, GAVEL_E_INVALID, "node_keep takes no 'ttl'"},
        {"member_declare", {"id=2", NULL}, GAVEL_E_DENIED,
         "a member declares its own capabilities: they are [capabilities] of its INI file"},
    };
    struct cluster cluster;
    struct cluster_reply reply;

    (void)state;
    begin(&cluster, 3);
    comes(&cluster, 0, "n3", "zone", "us-2");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (uint32_t at = 0; at < 3; at++) { /* the same where it is passed on */
            member_ask(&cluster, at, rows[i].command, &reply, rows[i].pairs);
            assert_true(reply.came);
            assert_string_equal(reply.text, rows[i].text);
            assert_int_equal(reply.status, rows[i].status);
        }
    assert_int_equal(registered(&cluster, 0), 0);
    cluster_free(&cluster);
}

static void test_who_is_not_heard_of_goes(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t follower, leader;

    (void)state;
    begin(&cluster, 3);
    leader = member_leader_of(&cluster);
    follower = (leader + 1) % 3;
    member_ask(&cluster, follower, "node_register", &reply,
               (const char *const[]){"name=w1", "address=tcp://w:1", "ttl=2s", NULL});
    assert_int_equal(reply.status, 0);
    member_ask(&cluster, follower, "node_register", &reply, (const char *const[]){"name=w2", "ttl=2s", NULL});
    for (int i = 0; i < 8; i++) {
        cluster_run(&cluster, 1000);
        member_ask(&cluster, follower, "node_keep", &reply, (const char *const[]){"name=w1", NULL});
        assert_int_equal(reply.status, 0);
    }
    cluster_run(&cluster, 200);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(registered(&cluster, i), 1); /* w2 has gone */
    /* Time stands still while nobody leads, so nobody expires of it: the next leader goes on from the last tick. */
    cluster_crash(&cluster, leader, OS_MEM_KEEP_ALL);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    assert_int_equal(registered(&cluster, follower), 1);
    cluster_run(&cluster, 5000);
    assert_int_equal(registered(&cluster, follower), 0);
    cluster_start(&cluster, leader);
    cluster_run(&cluster, 1000);
    assert_int_equal(registered(&cluster, leader), 0);
    same_digests(&cluster);
    cluster_free(&cluster);
}

/* Run to where the leader has looked just now for who is over; it looks once a second. */
static void run_to_the_look(struct cluster *cluster, const struct node *leader)
{
    uint64_t next = leader->maintain_at;

    for (int i = 0; i < 2000 && leader->maintain_at == next; i++)
        cluster_run(cluster, 1);
    assert_int_not_equal(leader->maintain_at, next);
}

/*
 * A sign of life that is in the log, not committed yet, when the leader finds its node over: it came first, so it
 * counts, though the expiry is proposed too.
 */
static void test_a_sign_of_life_in_the_last_moment(void **state)
{
    static const char *const pairs[] = {"name=w", NULL};
    struct gavel_buffer arguments = codec_buffer(0);
    struct codec_request request = {.command = gavel_text("gavel.node_keep"), .remaining_ms = 60000};
    struct cluster cluster;
    struct cluster_client *admin;
    struct cluster_reply reply;
    struct gavel_error error;
    uint32_t leader;

    (void)state;
    begin(&cluster, 3);
    leader = member_leader_of(&cluster);
    admin = cluster_client(&cluster, leader, CODEC_ROLE_ADMIN);
    assert_int_equal(codec_pairs(NULL, "node_keep", pairs, 1, NULL, NULL, &arguments, &error), 0);
    request.arguments = gavel_buffer_slice(&arguments);
    run_to_the_look(&cluster, cluster.nodes[leader].node);
    member_must(&cluster, "node_register", &reply, (const char *const[]){"name=w", "ttl=1500", NULL});
    run_to_the_look(&cluster, cluster.nodes[leader].node); /* a second later: not over yet */
    cluster_run(&cluster, 980);
    member_cut_off(&cluster, leader, true);
    cluster_post(admin, 1, &request);
    run_to_the_look(&cluster, cluster.nodes[leader].node);
    assert_false(cluster_client_answered(admin, 1));
    member_cut_off(&cluster, leader, false);
    cluster_run(&cluster, 500);
    assert_true(cluster_client_answered(admin, 1));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(registered(&cluster, i), 1);
    cluster_run(&cluster, 2000);
    assert_int_equal(registered(&cluster, leader), 0); /* and now it is over */
    same_digests(&cluster);
    cluster_client_free(admin);
    gavel_buffer_free(&arguments);
    cluster_free(&cluster);
}

static void test_a_member_of_that_name_has_the_better_right(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;

    (void)state;
    begin(&cluster, 3);
    comes(&cluster, 0, "n3", "zone", "us-2");
    member_must(&cluster, "node_register", &reply, (const char *const[]){"name=n4", "ttl=1h", NULL});
    member_must(&cluster, "node_register", &reply, (const char *const[]){"name=n5", "ttl=1h", NULL});
    assert_int_equal(registered(&cluster, 0), 2);
    (void)member_grow(&cluster); /* n4 */
    cluster_run(&cluster, 200);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(registered(&cluster, i), 1);
    same_digests(&cluster);
    cluster_free(&cluster);
}

/* The same events with the same revisions, whoever is asked, also of what lies behind a restart. */
static void test_events_are_the_same_everywhere(void **state)
{
    static const unsigned char types[] = "\x81\xa5types\x93\xb4" "capabilities_changed\xafnode_registered\xb1"
                                         "node_deregistered";
    struct codec_stream_open open = {.id = 70, .stream = gavel_text("events"), .from_index = 1, .credit = 100,
                                     .arguments = gavel_bytes(types, sizeof types - 1)};
    struct cluster cluster;
    struct cluster_reply reply;

    (void)state;
    begin(&cluster, 3);
    for (uint32_t i = 0; i < 3; i++)
        comes(&cluster, i, "n3", "zone", "us-2");
    comes(&cluster, 0, "n2", "zone", "us-2");
    comes(&cluster, 0, "n1", "zone", "eu-1");
    member_must(&cluster, "node_register", &reply, (const char *const[]){"name=w", NULL});
    member_must(&cluster, "node_register", &reply, (const char *const[]){"name=w", NULL}); /* no other: no event */
    member_must(&cluster, "node_keep", &reply, (const char *const[]){"name=w", NULL});
    member_must(&cluster, "node_deregister", &reply, (const char *const[]){"name=w", NULL});
    cluster_crash(&cluster, 0, OS_MEM_KEEP_ALL);
    cluster_start(&cluster, 0);
    cluster_run(&cluster, 2000);
    for (uint32_t i = 0; i < 3; i++) {
        struct cluster_client *client = cluster_client(&cluster, i, CODEC_ROLE_CLIENT);

        cluster_send(client, CODEC_STREAM_OPEN, &open);
        cluster_run(&cluster, 100);
        assert_int_equal(cluster_client_events(client), 5);
        cluster_client_free(client);
    }
    cluster_free(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_set_has_bounds),
        cmocka_unit_test(test_a_set_at_the_limit_is_taken),
        cmocka_unit_test(test_a_set_has_one_form),
        cmocka_unit_test(test_as_many_as_may_be),
        cmocka_unit_test(test_as_many_bytes_as_may_be),
        cmocka_unit_test(test_a_renewal_beats_an_expiry),
        cmocka_unit_test(test_copies_and_snapshots_are_the_same),
        cmocka_unit_test(test_members_declare_by_themselves),
        cmocka_unit_test(test_without_any_nothing_is_logged),
        cmocka_unit_test(test_another_set_takes_its_place),
        cmocka_unit_test(test_without_a_leader_it_waits),
        cmocka_unit_test(test_snapshots_carry_it),
        cmocka_unit_test(test_it_goes_with_the_member),
        cmocka_unit_test(test_refused_with_the_reason),
        cmocka_unit_test(test_who_is_not_heard_of_goes),
        cmocka_unit_test(test_a_sign_of_life_in_the_last_moment),
        cmocka_unit_test(test_a_member_of_that_name_has_the_better_right),
        cmocka_unit_test(test_events_are_the_same_everywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
