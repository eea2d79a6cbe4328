/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_upgrade_test.c - state versions on whole nodes: the recipe (a new plugin on every member, one after the other,
 * then the barrier), everything that it refuses, and what becomes of a node with an old plugin. And data directories of
 * the time before there was any of it.
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
#include "core/node/apply.h"
#include "core/node/bytes.h"
#include "node_dial.h"

static const char *const of_dial[] = {"machine=dial", NULL};

/* Every node with the plugin of version 1. */
static void begin_old(struct cluster *cluster, uint32_t count)
{
    cluster_init(cluster, count, 20261129);
    dial_setup(cluster);
    for (uint32_t i = 0; i < CLUSTER_MAX; i++)
        cluster->nodes[i].newest = 1;
    cluster_start_all(cluster);
    assert_true(cluster_until(cluster, cluster_has_leader, 3000));
}

static void give_plugin(struct cluster *cluster, uint32_t number, uint64_t newest, uint64_t oldest)
{
    cluster->nodes[number].newest = newest;
    cluster->nodes[number].oldest = oldest;
    if (cluster->nodes[number].node)
        cluster_crash(cluster, number, OS_MEM_KEEP_ALL);
    cluster_start(cluster, number);
    cluster_run(cluster, 1500);
}

static void assert_upgrade(struct cluster *cluster, int64_t status, const char *text)
{
    struct cluster_reply reply;

    member_ask(cluster, member_leader_of(cluster), "settings_upgrade", &reply, of_dial);
    assert_true(reply.came);
    assert_string_equal(reply.text, text);
    assert_int_equal(reply.status, status);
}

static uint64_t version_at(struct cluster *cluster, uint32_t number)
{
    struct codec_walk walk;
    struct gavel_slice key, machine;

    codec_walk_begin(&walk, codec_map_find(dial_settings(cluster, number), "machines"));
    assert_true(codec_walk_next(&walk, &key, &machine));
    return codec_uint_or(codec_map_find(machine, "state_version"), 0);
}

static void test_the_recipe(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t leader;
    char want[256];

    (void)state;
    begin_old(&cluster, 3);
    assert_int_equal(dial_turn(&cluster, 0, 3, NULL), 0);
    assert_upgrade(&cluster, GAVEL_E_STATE, "[statemachine.dial] has state version 1 already; nothing was done");
    leader = member_leader_of(&cluster);
    for (uint32_t i = 1; i <= 2; i++) { /* the followers first */
        give_plugin(&cluster, (leader + i) % 3, 2, 1);
        assert_int_equal(version_at(&cluster, (leader + i) % 3), 1);
        assert_int_equal(dial_turn(&cluster, (leader + i) % 3, 1, NULL), 0);
        dial_same_digests(&cluster); /* new and old plugins act alike */
    }
    assert_int_equal(dial_look(&cluster, 0, "value"), 5);
    /* Not while the third one does not know it, whoever leads. */
    member_ask(&cluster, leader, "settings_upgrade", &reply, (const char *const[]){"machine=dial", "state_version=2",
                                                              NULL});
    snprintf(want, sizeof want, "the plugin of [statemachine.dial] on n%u does not know state version 2; nothing was "
             "done: give each of them the new plugin, one after the other, then try again", leader + 1);
    assert_string_equal(reply.text, want);
    give_plugin(&cluster, leader, 2, 1);
    dial_same_digests(&cluster);
    member_must(&cluster, "settings_upgrade", &reply, of_dial);
    cluster_run(&cluster, 200);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(version_at(&cluster, i), 2);
        assert_int_equal(dial_look(&cluster, i, "version"), 2);
        assert_int_equal(dial_status(&cluster, i, "settings_version"), reply.index);
    }
    assert_int_equal(dial_turn(&cluster, 0, 3, NULL), 0);
    assert_int_equal(dial_look(&cluster, 1, "value"), 11); /* twice as far */
    assert_int_equal(dial_look(&cluster, 2, "turns"), 1);
    dial_same_digests(&cluster);
    /* No way back, and no second time. */
    assert_upgrade(&cluster, GAVEL_E_STATE, "[statemachine.dial] has state version 2 already; nothing was done");
    member_ask(&cluster, 0, "settings_set", &reply, (const char *const[]){"statemachine.dial.state_version=1", NULL});
    assert_string_equal(reply.text, "[statemachine.dial] has state version 2: there is no way back to 1, for entries "
                        "have been applied as 2; nothing was done");
    assert_int_equal(reply.status, GAVEL_E_STATE);
    cluster_free(&cluster);
}

/* A leader that has the new plugin lets nothing into the log that the others would stop at. */
static void test_what_is_new_waits_for_the_barrier(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    struct cluster_client *client;
    uint32_t leader;

    (void)state;
    begin_old(&cluster, 3);
    leader = member_leader_of(&cluster);
    give_plugin(&cluster, (leader + 1) % 3, 2, 1);
    member_ask(&cluster, leader, "transfer", &reply,
               (const char *const[]){leader == 0 ? "to=n2" : leader == 1 ? "to=n3" : "to=n1", NULL});
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    assert_int_equal(member_leader_of(&cluster), (leader + 1) % 3);
    leader = member_leader_of(&cluster);
    client = cluster_client(&cluster, leader, CODEC_ROLE_CLIENT);
    cluster_command(client, "turn", 0, 0, &reply, (const char *const[]){"by=3", NULL});
    assert_int_equal(reply.status, 0);
    cluster_command(client, "turn", 0, 0, &reply, (const char *const[]){"extra=3", NULL});
    assert_int_equal(reply.status, GAVEL_E_INVALID);
    cluster_command(client, "rest", 0, 0, &reply, NULL);
    assert_string_equal(reply.text, "dial.rest came with state version 2, and 1 is in force: give every member the new "
                        "plugin, then 'gavel settings upgrade dial'");
    assert_int_equal(reply.status, GAVEL_E_STATE);
    cluster_client_free(client);
    cluster_run(&cluster, 200);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(cluster.nodes[i].exit_code, -1);
    dial_same_digests(&cluster);
    for (uint32_t i = 0; i < 3; i++)
        if (i != leader)
            give_plugin(&cluster, i, 2, 1);
    member_must(&cluster, "settings_upgrade", &reply, of_dial);
    cluster_run(&cluster, 200);
    client = cluster_client(&cluster, member_leader_of(&cluster), CODEC_ROLE_CLIENT);
    cluster_command(client, "turn", 0, 0, &reply, (const char *const[]){"by=1", "extra=3", NULL});
    assert_int_equal(reply.status, 0);
    assert_int_equal(dial_look(&cluster, 0, "value"), 8);
    cluster_command(client, "rest", 0, 0, &reply, NULL);
    assert_int_equal(reply.status, 0);
    dial_same_digests(&cluster);
    cluster_client_free(client);
    cluster_free(&cluster);
}

static void test_refused(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t away;
    char want[256];

    (void)state;
    cluster_init(&cluster, 3, 20261129);
    dial_setup(&cluster);
    for (uint32_t i = 0; i < 3; i++)
        cluster.nodes[i].newest = 1;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 3000));
    for (uint32_t i = 0; i < 3; i++)
        give_plugin(&cluster, i, 2, 1);
    member_ask(&cluster, 0, "settings_upgrade", &reply, (const char *const[]){"machine=dail", NULL});
    assert_string_equal(reply.text, "this cluster has no machine 'dail'; did you mean 'dial'?");
    assert_int_equal(reply.status, GAVEL_E_INVALID);
    member_ask(&cluster, 0, "settings_upgrade", &reply, (const char *const[]){"machine=dial", "state_version=0", NULL});
    assert_string_equal(reply.text, "a state version is a number from 1 on");
    member_ask(&cluster, 0, "settings_upgrade", &reply, (const char *const[]){"machine=dial", "version=9", NULL});
    assert_int_equal(reply.status, GAVEL_E_CONDITION);
    member_ask(&cluster, 0, "settings_upgrade", &reply, (const char *const[]){"machine=dial", "state_version=3", NULL});
    assert_string_equal(reply.text, "the plugin of [statemachine.dial] on n1, n2, n3 does not know state version 3; "
                        "nothing was done: give each of them the new plugin, one after the other, then try again");
    /* One that is away may have any plugin by the time it returns. */
    away = (member_leader_of(&cluster) + 1) % 3;
    cluster_crash(&cluster, away, OS_MEM_KEEP_ALL);
    cluster_run(&cluster, 200);
    snprintf(want, sizeof want, "whether the plugin of [statemachine.dial] knows state version 2 is not known of n%u, "
             "which does not answer; nothing was done: start it, or take it out of the cluster", away + 1);
    assert_upgrade(&cluster, GAVEL_E_STATE, want);
    for (uint32_t i = 0; i < 3; i++)
        if (i != away)
            assert_int_equal(version_at(&cluster, i), 1);
    cluster_free(&cluster);
}

/* A learner applies as a voter does: it is asked as well. */
static void test_a_learner_is_asked_too(void **state)
{
    struct cluster cluster;
    uint32_t learner;

    (void)state;
    begin_old(&cluster, 1);
    give_plugin(&cluster, 0, 2, 1);
    learner = cluster_joiner(&cluster);
    cluster.nodes[learner].plugin = cluster.nodes[0].plugin;
    cluster.nodes[learner].newest = 1;
    cluster.nodes[learner].given = "";
    member_add(&cluster, learner, "learner");
    cluster_start(&cluster, learner);
    cluster_run(&cluster, 2000);
    assert_upgrade(&cluster, GAVEL_E_STATE,
                   "the plugin of [statemachine.dial] on n2 does not know state version 2; nothing was done: give "
                   "each of them the new plugin, one after the other, then try again");
    give_plugin(&cluster, learner, 2, 1);
    assert_upgrade(&cluster, 0, "");
    cluster_run(&cluster, 200);
    assert_int_equal(version_at(&cluster, learner), 2);
    cluster_free(&cluster);
}

/* It had the new plugin when it was asked, and comes back with the old one: it meets the barrier, and stops there. */
static void test_an_old_plugin_stops_at_the_barrier(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t old, leader;
    char want[512];

    (void)state;
    begin_old(&cluster, 3);
    for (uint32_t i = 0; i < 3; i++)
        give_plugin(&cluster, i, 2, 1);
    leader = member_leader_of(&cluster);
    old = (leader + 1) % 3;
    cluster.nodes[old].stalled_until = cluster.clock.mono_ns + UINT64_C(3600000000000); /* asked, but the entry */
    member_must(&cluster, "settings_upgrade", &reply, of_dial);
    cluster_crash(&cluster, old, OS_MEM_DROP_ALL); /* never reached its disk */
    cluster.nodes[old].stalled_until = 0;
    cluster.nodes[old].newest = 1;
    member_write_turns(&cluster, leader, 5);
    cluster_start(&cluster, old);
    cluster_run(&cluster, 2000);
    assert_int_equal(cluster.nodes[old].exit_code, 78);
    snprintf(want, sizeof want,
             "[statemachine.dial] has state version 2 in the cluster, since index %llu; its plugin here, version 2.0, "
             "acts as 1. Install a plugin that acts as 2, and start again; to go to a newer state version, give every "
             "member the new plugin first, then run: gavel settings upgrade dial", (unsigned long long)reply.index);
    assert_string_equal(cluster.nodes[old].fatal, want);
    assert_true(node_applied(cluster.nodes[old].node) < reply.index);
    give_plugin(&cluster, old, 1, 1); /* and again, however often it is started */
    assert_int_equal(cluster.nodes[old].exit_code, 78);
    assert_string_equal(cluster.nodes[old].fatal, want);
    give_plugin(&cluster, old, 2, 1);
    assert_true(cluster.nodes[old].exit_code < 0);
    assert_int_equal(dial_look(&cluster, old, "value"), 10);
    dial_same_digests(&cluster);
    cluster_free(&cluster);
}

/* Behind the barrier the snapshot says the version, in the form of that version; before it the old form. */
static void test_snapshots_say_the_version(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t joiner;

    (void)state;
    begin_old(&cluster, 3);
    member_write_turns(&cluster, 0, 3);
    for (uint32_t i = 0; i < 2; i++)
        give_plugin(&cluster, i, 2, 1);
    dial_compact(&cluster); /* new plugins that act as 1 ... */
    cluster_crash(&cluster, 2, OS_MEM_KEEP_ALL);
    cluster_wipe(&cluster, 2);
    cluster.nodes[2].join_count = 2;
    cluster.nodes[2].join[0] = cluster.nodes[0].uri;
    cluster.nodes[2].join[1] = cluster.nodes[1].uri;
    member_must(&cluster, "member_replace", &reply, (const char *const[]){"name=n3", "addresses=mem://n3", NULL});
    cluster_start(&cluster, 2); /* ... feed an old one */
    member_role_comes(&cluster, "n3", "voter");
    assert_true(cluster.nodes[2].installs > 0);
    dial_same_digests(&cluster);
    give_plugin(&cluster, 2, 2, 1);
    member_must(&cluster, "settings_upgrade", &reply, of_dial);
    member_write_turns(&cluster, 0, 1);
    dial_compact(&cluster);
    for (uint32_t i = 0; i < 3; i++) {
        give_plugin(&cluster, i, 2, 1);
        assert_int_equal(version_at(&cluster, i), 2);
        assert_int_equal(dial_look(&cluster, i, "turns"), 1);
    }
    /* With an old plugin it does not start on such a snapshot. */
    give_plugin(&cluster, 0, 1, 1);
    assert_int_equal(cluster.nodes[0].exit_code, 78);
    assert_non_null(strstr(cluster.nodes[0].fatal, "has state version 2 in the cluster, since index "));
    assert_non_null(strstr(cluster.nodes[0].fatal, "acts as 1. Install a plugin that acts as 2, and start again"));
    give_plugin(&cluster, 0, 2, 2); /* nor does it need the old version any more */
    assert_true(cluster.nodes[0].exit_code < 0);
    /* A member that joins with an old plugin stops with the recipe, one with the new joins. */
    joiner = cluster_joiner(&cluster);
    cluster.nodes[joiner].plugin = cluster.nodes[0].plugin;
    cluster.nodes[joiner].newest = 1;
    cluster.nodes[joiner].oldest = 1;
    cluster.nodes[joiner].given = "";
    member_add(&cluster, joiner, "learner");
    cluster_start(&cluster, joiner);
    cluster_run(&cluster, 3000);
    assert_int_equal(cluster.nodes[joiner].exit_code, 78);
    assert_non_null(strstr(cluster.nodes[joiner].fatal, "Install a plugin that acts as 2, and start again"));
    give_plugin(&cluster, joiner, 2, 2);
    cluster_run(&cluster, 2000);
    assert_true(cluster.nodes[joiner].exit_code < 0);
    dial_same_digests(&cluster);
    cluster_free(&cluster);
}

/* No recipe was followed: a plugin that only knows another version. */
static void test_a_plain_restart_with_another_version(void **state)
{
    struct cluster cluster;

    (void)state;
    begin_old(&cluster, 3);
    member_write_turns(&cluster, 0, 3);
    cluster_run(&cluster, 200);
    give_plugin(&cluster, 1, 2, 2);
    assert_int_equal(cluster.nodes[1].exit_code, 78);
    assert_string_equal(cluster.nodes[1].fatal,
                        "[statemachine.dial] has state version 1 in the cluster, since it was founded; its plugin "
                        "here, version 2.0, acts as 2. Install a plugin that acts as 1, and start again; to go to a "
                        "newer state "
                        "version, give every member the new plugin first, then run: gavel settings upgrade dial");
    give_plugin(&cluster, 1, 3, 1);
    assert_true(cluster.nodes[1].exit_code < 0);
    dial_same_digests(&cluster);
    cluster_free(&cluster);
}

/*
 * Nothing was done before the barrier that the new plugin could not do, but a life that begins with the founding acts
 * as then: who cannot stops before it has applied anything, and nothing is left out in silence behind the barrier.
 */
static void test_who_begins_with_the_founding_acts_as_then(void **state)
{
    struct cluster cluster;
    struct cluster_reply reply;
    uint32_t joiner;

    (void)state;
    begin_old(&cluster, 1);
    give_plugin(&cluster, 0, 2, 1);
    member_must(&cluster, "settings_upgrade", &reply, of_dial);
    member_write_turns(&cluster, 0, 3);
    joiner = cluster_joiner(&cluster);
    cluster.nodes[joiner].plugin = cluster.nodes[0].plugin;
    cluster.nodes[joiner].newest = 2;
    cluster.nodes[joiner].oldest = 2;
    cluster.nodes[joiner].given = "";
    member_add(&cluster, joiner, "learner");
    cluster_start(&cluster, joiner);
    cluster_run(&cluster, 3000);
    assert_int_equal(cluster.nodes[joiner].exit_code, 78);
    assert_non_null(strstr(cluster.nodes[joiner].fatal, "has state version 1 in the cluster, since it was founded"));
    give_plugin(&cluster, joiner, 2, 1);
    cluster_run(&cluster, 2000);
    assert_true(cluster.nodes[joiner].exit_code < 0);
    assert_int_equal(dial_look(&cluster, joiner, "value"), 6);
    dial_same_digests(&cluster);
    cluster_free(&cluster);
}

/* ---- as it was before -------------------------------------------------------------------------------------------- */

/* The state of a node as the gaveld before this one wrote it: part 0 of a snapshot in its form 1. */
static void old_snapshot(struct gavel_buffer *out)
{
    struct gavel_buffer host = codec_buffer(0);
    int32_t status = 0;
    int64_t value = 42;

    bytes_put32(&host, &status, 1); /* the form */
    bytes_put64(&host, &status, 777); /* tick */
    bytes_put32(&host, &status, 1);
    bytes_put_slice(&host, &status, gavel_text("dial"));
    bytes_put64(&host, &status, 1); /* state version */
    bytes_put64(&host, &status, 1); /* sessions */
    bytes_put64(&host, &status, 5);
    bytes_put64(&host, &status, 700);
    bytes_put64(&host, &status, 3);
    bytes_put32(&host, &status, 0);
    bytes_put32(out, &status, 0);
    bytes_put_slice(out, &status, gavel_buffer_slice(&host));
    bytes_put64(out, &status, 0); /* {part 0, no bytes}: its end */
    bytes_put32(out, &status, 1);
    bytes_put_slice(out, &status, gavel_bytes(&value, sizeof value));
    bytes_put32(out, &status, 1);
    bytes_put32(out, &status, 0);
    bytes_put32(out, &status, UINT32_MAX);
    bytes_put32(out, &status, 0);
    assert_int_equal(status, 0);
    gavel_buffer_free(&host);
}

struct old_state {
    struct gavel_host host;
    unsigned char options[64];
    struct node_machine machine;
    struct settings *founding;
    struct apply *apply;
};

const struct gavel_plugin *gavel_plugin_dial(void);

static void old_state_begin(struct old_state *old)
{
    static const struct session_limits limits = {.sessions = 10, .window = 10, .bytes = 4096, .ttl_ms = 60000};
    struct gavel_error error = {0};
    unsigned char strings[256];
    struct codec_arena arena = codec_arena(strings, sizeof strings);

    memset(old, 0, sizeof *old);
    old->host = (struct gavel_host){.size = GAVEL_END(struct gavel_host, heap), .heap = &codec_heap};
    old->machine = (struct node_machine){.name = "dial", .plugin = gavel_plugin_dial(), .settings = ""};
    old->machine.operations = old->machine.plugin->operations;
    assert_int_equal(codec_fields_defaults(old->machine.plugin->options, old->options, &arena, &error), 0);
    assert_int_equal(old->machine.plugin->create(&old->host, old->options, &old->machine.self, &error), 0);
    old->apply = apply_new(&old->machine, 1, &limits, "n1");
    old->founding = settings_new();
    assert_non_null(old->apply);
    assert_non_null(old->founding);
    old->founding->machine_count = 1;
    old->founding->machines[0].version = 1;
    assert_int_equal(apply_found(old->apply, old->founding, &error), 0);
}

static void old_state_end(struct old_state *old)
{
    apply_free(old->apply);
    settings_free(old->founding);
    old->machine.plugin->destroy(old->machine.self);
}

/* A difference is told, but not by values that nobody may see. */
static void test_a_secret_is_not_told(void **state)
{
    struct gavel_field rows[8];
    struct gavel_fields table;
    struct gavel_plugin plugin = *gavel_plugin_dial();
    struct gavel_statemachine operations;
    struct gavel_error error = {0};
    struct old_state old;

    (void)state;
    memcpy(&operations, plugin.operations, sizeof operations);
    operations.configure = NULL; /* so it has to say that it cannot take the cluster's value */
    table = *plugin.options;
    assert_in_range(table.count, 1, 8);
    assert_int_equal(table.stride, sizeof rows[0]);
    memcpy(rows, table.rows, table.count * sizeof rows[0]);
    table.rows = rows;
    for (uint64_t i = 0; i < table.count; i++)
        rows[i].flags |= strcmp(rows[i].name, "label") == 0 ? GAVEL_SECRET : 0;
    old_state_begin(&old);
    plugin.options = &table;
    old.machine.plugin = &plugin;
    old.machine.operations = &operations;
    old.machine.settings = "label=our-word\n";
    apply_free(old.apply);
    old.apply = apply_new(&old.machine, 1,
                          &(struct session_limits){.sessions = 10, .window = 10, .bytes = 4096, .ttl_ms = 60000}, "n1");
    assert_int_equal(settings_put(old.founding, gavel_text("statemachine.dial.label"), gavel_text("their-word"), 0), 0);
    assert_int_equal(apply_found(old.apply, old.founding, &error), GAVEL_E_CONFIG);
    assert_non_null(strstr(error.text, "[statemachine.dial] label is \"***\" in the cluster, \"***\" here"));
    assert_null(strstr(error.text, "word"));
    old.machine.plugin = gavel_plugin_dial();
    old_state_end(&old);
}

static void take_snapshot(struct apply *apply, struct gavel_buffer *out)
{
    struct apply_snapshot *snapshot;
    struct gavel_error error = {0};
    int32_t more;

    assert_int_equal(apply_snapshot_begin(apply, &snapshot, &error), 0);
    do
        more = apply_snapshot_next(snapshot, out, &error);
    while (more > 0);
    assert_int_equal(more, 0);
    apply_snapshot_end(snapshot);
}

static void test_an_old_snapshot_is_read_and_written(void **state)
{
    struct gavel_buffer was = codec_buffer(0), is = codec_buffer(0);
    struct gavel_error error = {0};
    struct old_state old;

    (void)state;
    old_state_begin(&old);
    old_snapshot(&was);
    assert_int_equal(apply_restore_begin(old.apply, 9, &error), 0);
    assert_int_equal(apply_restore_bytes(old.apply, gavel_buffer_slice(&was), &error), 0);
    assert_int_equal(apply_restore_end(old.apply, &error), 0);
    assert_int_equal(apply_tick(old.apply), 777);
    assert_int_equal(sessions_count(apply_sessions(old.apply)), 1);
    assert_int_equal(apply_settings(old.apply)->version, 0);
    /* Nothing was changed, so it is written as it was: members of before may take it. */
    take_snapshot(old.apply, &is);
    assert_int_equal(is.size, was.size);
    assert_memory_equal(is.data, was.data, was.size);
    gavel_buffer_free(&was);
    gavel_buffer_free(&is);
    old_state_end(&old);
}

/* Every cut and every changed byte of a table of settings: refused with a sentence, or taken; never worse. */
static void test_a_damaged_table_is_refused(void **state)
{
    struct gavel_buffer good = codec_buffer(0), entry = codec_buffer(0);
    struct cluster cluster;
    struct cluster_reply reply;

    (void)state;
    gavel_buffer_free(&entry);
    dial_begin(&cluster, 1);
    member_must(&cluster, "settings_set", &reply,
                (const char *const[]){"session.ttl=20m", "statemachine.dial.label=a", NULL});
    cluster_free(&cluster);
    {
        struct settings *settings = settings_new();
        struct settings *other = settings_new();

        settings->machine_count = other->machine_count = 1;
        settings->version = 9;
        assert_int_equal(settings_put(settings, gavel_text("session.ttl"), gavel_text("20m"), 9), 0);
        assert_int_equal(settings_put(settings, gavel_text("statemachine.dial.label"), gavel_text("a"), 7), 0);
        assert_int_equal(settings_save(settings, &good), 0);
        for (uint64_t size = 0; size <= good.size; size++) {
            struct bytes_cursor cursor = bytes_read(gavel_bytes(good.data, size));
            struct gavel_error error = {0};
            int32_t status = settings_load(other, &cursor, &error);

            assert_int_equal(status, size < good.size ? GAVEL_E_CORRUPT : 0);
            assert_true(status == 0 || error.text[0]);
        }
        for (uint64_t at = 0; at < good.size; at++) {
            struct bytes_cursor cursor = bytes_read(gavel_buffer_slice(&good));
            struct gavel_error error = {0};

            good.data[at] ^= 0x81;
            (void)settings_load(other, &cursor, &error);
            good.data[at] ^= 0x81;
        }
        settings_free(settings);
        settings_free(other);
    }
    gavel_buffer_free(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_recipe),
        cmocka_unit_test(test_what_is_new_waits_for_the_barrier),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_a_learner_is_asked_too),
        cmocka_unit_test(test_an_old_plugin_stops_at_the_barrier),
        cmocka_unit_test(test_snapshots_say_the_version),
        cmocka_unit_test(test_a_plain_restart_with_another_version),
        cmocka_unit_test(test_who_begins_with_the_founding_acts_as_then),
        cmocka_unit_test(test_an_old_snapshot_is_read_and_written),
        cmocka_unit_test(test_a_secret_is_not_told),
        cmocka_unit_test(test_a_damaged_table_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
