/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_reset_test.c - new clusters from what an old one left, a snapshot, on every node; interrupted at every
 * operation; and that neither an old node nor a second copy of a new one gets in.
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
#include "core/log/format.h"
#include "core/node/internal.h"
#include "core/node/reset.h"
#include "effort.h"
#include "node_cluster.h"
#include "node_member.h"

#define SEED 20261129
#define SKIP 1000000

/* What an old cluster left on one disk: "data", a snapshot of 20 increments in it, and more of them behind that. */
struct old {
    struct os_mem *disk;
    char snapshot[128];
    struct log_cluster_id cluster_id;
    struct members members; /* of the old cluster, as founded */
};

static void stop_all(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        if (cluster->nodes[i].node)
            cluster_crash(cluster, i, OS_MEM_KEEP_ALL);
}

static void find_snapshot(struct old *old)
{
    struct os_mem_entry entry;

    old->snapshot[0] = 0;
    for (uint32_t i = 0; os_mem_entry(old->disk, i, &entry); i++)
        if (strncmp(entry.path, "data/snap/", 10) == 0 && strstr(entry.path, ".snap"))
            (void)snprintf(old->snapshot, sizeof old->snapshot, "%s", entry.path);
    assert_true(old->snapshot[0]);
}

static struct gavel_slice founding_on(struct os_mem *disk)
{
    uint64_t size = 0;
    const uint8_t *bytes = os_mem_peek(disk, "data/founding", &size);
    const uint8_t *payload = log_blob_decode(bytes, size, LOG_FOUNDING_MAGIC, &size);

    assert_non_null(payload);
    return gavel_bytes(payload, size);
}

static void leave_old(struct old *old)
{
    struct cluster cluster;
    struct cluster_reply reply;

    member_begin(&cluster, 3);
    member_write_some(&cluster, 0, 20);
    assert_int_equal(member_value_at(&cluster, 0), 20);
    member_ask(&cluster, 0, "snapshot", &reply, (const char *const[]){NULL});
    assert_int_equal(reply.status, 0);
    member_write_some(&cluster, 0, 5);
    assert_int_equal(member_value_at(&cluster, 0), 25);
    stop_all(&cluster);
    old->disk = os_mem_clone(cluster.nodes[0].disk);
    assert_non_null(old->disk);
    cluster_free(&cluster);
    find_snapshot(old);
}

/* n1 ... of the new cluster: the names and addresses of the old one, and ids from `first` on. */
static void make_members(struct members *members, uint32_t count, uint64_t first)
{
    memset(members, 0, sizeof *members);
    for (uint32_t i = 0; i < count; i++) {
        struct member *member = &members->items[members->count++];

        member->id = first + i;
        member->role = RAFT_VOTER;
        (void)snprintf(member->name, sizeof member->name, "n%u", i + 1);
        (void)snprintf(member->addresses[0], NODE_URI_MAX, "mem://n%u", i + 1);
        member->address_count = 1;
    }
    members->next_id = first + count;
}

static struct os os_over(struct os_mem *disk, struct os_mem_clock *clock)
{
    return (struct os){
        .files = &os_mem_files, .files_self = disk, .clock = &os_mem_clock_ops, .clock_self = clock};
}

static int32_t make(const struct old *old, struct os_mem *disk, const struct members *members,
                    uint32_t number, uint64_t seed, struct gavel_error *error)
{
    struct os_mem_clock clock = {.seed = seed, .wall_ms = 1};
    struct os os = os_over(disk, &clock);
    struct reset_plan plan = {.os = &os,
                              .dir = "new",
                              .name = members->items[number].name,
                              .cluster_id = {{42}},
                              .member_id = members->items[number].id,
                              .members = members,
                              .segment_bytes = 2u << 20};

    memset(error, 0, sizeof *error);
    return reset_from_snapshot(&plan, old->snapshot, 0, 0, founding_on(disk), SKIP, error);
}

static void must_make(const struct old *old, struct os_mem *disk, const struct members *members,
                      uint32_t number, uint64_t seed)
{
    struct gavel_error error;
    int32_t status = make(old, disk, members, number, seed, &error);

    if (status != GAVEL_OK)
        fail_msg("node %u is not made: %s", number + 1, error.text);
    assert_int_equal(os_mem_open_files(disk), 0);
}

/* The disk of node `number` becomes a copy of the old one, with a new directory on it. */
static void give_disk(struct cluster *cluster, uint32_t number, const struct old *old,
                      const struct members *members, uint64_t seed)
{
    struct cluster_node *node = &cluster->nodes[number];

    os_mem_free(node->disk);
    node->disk = os_mem_clone(old->disk);
    assert_non_null(node->disk);
    node->os.files_self = node->disk;
    node->data_dir = "new";
    must_make(old, node->disk, members, number, seed);
}

static bool all_noted(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        struct gavel_slice list;

        if (!cluster->nodes[i].node)
            continue;
        list = codec_map_find(member_list_at(cluster, i), "members");
        if (codec_value_count(list) != cluster->count)
            return false;
        for (uint32_t m = 0; m < cluster->count; m++) {
            struct gavel_slice entry = member_entry(member_list_at(cluster, i), cluster->nodes[m].name);

            struct gavel_slice joined = codec_map_find(entry, "joined");

            if (joined.size != 1 || *(const uint8_t *)joined.data != 0xc3) /* MessagePack's true */
                return false;
        }
    }
    return true;
}

static void start_new(struct cluster *cluster, const struct old *old, uint32_t count)
{
    struct members members;

    make_members(&members, count, 4);
    cluster_init(cluster, count, SEED);
    for (uint32_t i = 0; i < count; i++)
        give_disk(cluster, i, old, &members, SEED + 100 + i);
    cluster_start_all(cluster);
    for (uint32_t i = 0; i < count; i++)
        if (!cluster->nodes[i].node)
            fail_msg("n%u does not start: %s", i + 1, cluster->nodes[i].fatal);
    assert_true(cluster_until(cluster, cluster_has_leader, 5000));
}

static void check_new(const struct old *old, uint32_t count, int64_t value)
{
    struct cluster cluster;

    start_new(&cluster, old, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(member_value_at(&cluster, i), value);
        assert_int_equal(member_id_of(&cluster, i, cluster.nodes[i].name), 4 + i);
    }
    assert_true(cluster_until(&cluster, all_noted, 10000));
    member_write_some(&cluster, count - 1, 5);
    /* It is a cluster as any other: it survives the power, and can grow. */
    for (uint32_t i = 0; i < count; i++)
        cluster_crash(&cluster, i, OS_MEM_DROP_ALL);
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    assert_int_equal(member_value_at(&cluster, 0), value + 5);
    member_write_some(&cluster, member_grow(&cluster), 1);
    assert_int_equal(member_id_of(&cluster, 0, cluster.nodes[count].name), 4 + count);
    assert_int_equal(member_value_at(&cluster, count), value + 6);
    cluster_free(&cluster);
}

static void test_a_snapshot_makes_a_new_cluster(void **state)
{
    struct old old;

    (void)state;
    leave_old(&old);
    check_new(&old, 1, 20);
    check_new(&old, 3, 20);
    os_mem_free(old.disk);
}

/* ---- who does not get in ------------------------------------------------------------------------------- */

/* The new n1 and n2 lead a cluster; what was n3 in the old one comes with its old directory. */
static void test_an_old_node_is_refused(void **state)
{
    struct old old;
    struct cluster cluster;
    struct members members;
    uint64_t size = 0;
    uint8_t record[128];

    (void)state;
    leave_old(&old);
    make_members(&members, 3, 4);
    cluster_init(&cluster, 3, SEED);
    for (uint32_t i = 0; i < 2; i++)
        give_disk(&cluster, i, &old, &members, SEED + 100 + i);
    os_mem_free(cluster.nodes[2].disk);
    cluster.nodes[2].disk = os_mem_clone(old.disk);
    cluster.nodes[2].os.files_self = cluster.nodes[2].disk;
    /* The old n1 under the name n3: its cluster is what it is refused for. */
    memcpy(record, os_mem_peek(old.disk, "data/directory", &size), sizeof record);
    {
        struct log_directory_record directory;

        assert_int_equal(log_directory_decode(record, size, &directory), 0);
        (void)snprintf(directory.name, sizeof directory.name, "n3");
        log_directory_encode(record, &directory);
        assert_int_equal(os_mem_poke(cluster.nodes[2].disk, "data/directory", 0, record, sizeof record), 0);
    }
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 5000));
    assert_int_not_equal(cluster_leader(&cluster), 2);
    member_write_some(&cluster, 0, 3);
    cluster_run(&cluster, 3000);
    assert_non_null(strstr(cluster.nodes[0].warned, "belongs to another cluster"));
    assert_non_null(strstr(cluster.nodes[1].warned, "belongs to another cluster"));
    assert_false(node_ready(cluster.nodes[2].node));
    assert_int_equal(member_value_at(&cluster, 1), 23);
    cluster_free(&cluster);
    os_mem_free(old.disk);
}

/*
 * n1 is the new cluster; n2 and n3, a majority of the old one, run on at the addresses that they had, and go on as it.
 * They dial n1 again and again, and have the higher term.
 */
static void test_an_old_majority_disturbs_nobody(void **state)
{
    struct old old;
    struct cluster cluster;
    struct members members;
    uint64_t term, written;

    (void)state;
    leave_old(&old);
    member_begin(&cluster, 3);
    member_write_some(&cluster, 0, 7);
    cluster_crash(&cluster, 0, OS_MEM_KEEP_ALL);
    make_members(&members, 1, 4);
    give_disk(&cluster, 0, &old, &members, SEED + 100);
    for (int i = 0; i < 3; i++) { /* elections of the old ones: their term is not the new one's */
        cluster_crash(&cluster, 1, OS_MEM_KEEP_ALL);
        cluster_run(&cluster, 1000);
        cluster_start(&cluster, 1);
        cluster_run(&cluster, 2000);
    }
    assert_true(engine_status(cluster.nodes[2].node).term > 2);
    cluster_start(&cluster, 0);
    cluster_run(&cluster, 2000);
    assert_true(node_is_leader(cluster.nodes[0].node));
    term = engine_status(cluster.nodes[0].node).term;
    written = node_commit(cluster.nodes[0].node);
    cluster_run(&cluster, 20000);
    assert_true(node_is_leader(cluster.nodes[0].node));
    assert_true(node_ready(cluster.nodes[0].node));
    assert_int_equal(engine_status(cluster.nodes[0].node).term, term);
    assert_int_equal(node_commit(cluster.nodes[0].node), written);
    assert_int_equal(member_value_at(&cluster, 0), 20); /* it serves, and what it holds is its own */
    assert_non_null(strstr(cluster.nodes[0].warned, "belongs to another cluster"));
    /* The old one goes on as well: that is what gavel recover warns of. */
    assert_int_not_equal(node_is_leader(cluster.nodes[1].node), node_is_leader(cluster.nodes[2].node));
    assert_int_equal(member_value_at(&cluster, 1), 7);
    cluster_free(&cluster);
    os_mem_free(old.disk);
}

/* A new node's disk is lost, and somebody makes its directory from the same file again: it would vote twice. */
static void test_a_second_copy_is_refused(void **state)
{
    struct old old;
    struct cluster cluster;
    struct members members;

    (void)state;
    leave_old(&old);
    start_new(&cluster, &old, 3);
    assert_true(cluster_until(&cluster, all_noted, 10000));
    member_write_some(&cluster, 0, 3);
    cluster_crash(&cluster, 2, OS_MEM_KEEP_ALL);
    make_members(&members, 3, 4);
    give_disk(&cluster, 2, &old, &members, SEED + 999);
    cluster_start(&cluster, 2);
    cluster_run(&cluster, 3000);
    assert_false(node_ready(cluster.nodes[2].node));
    assert_non_null(strstr(cluster.nodes[2].warned, "another data directory"));
    cluster_free(&cluster);
    os_mem_free(old.disk);
}

static void test_a_full_directory_is_refused(void **state)
{
    struct old old;
    struct os_mem *disk;
    struct gavel_error error;
    struct members members;
    uint64_t before;

    (void)state;
    leave_old(&old);
    make_members(&members, 1, 4);
    disk = os_mem_clone(old.disk);
    must_make(&old, disk, &members, 0, 1);
    before = os_mem_digest(disk);
    assert_int_equal(make(&old, disk, &members, 0, 2, &error), GAVEL_E_EXISTS);
    assert_non_null(strstr(error.text, "new is not empty (it holds "));
    assert_int_equal(os_mem_digest(disk), before);
    os_mem_free(disk);
    os_mem_free(old.disk);
}

static void put_file(struct os_mem *disk, const char *path, struct os_file **open)
{
    struct os_mem_clock clock = {.seed = 1};
    struct os os = os_over(disk, &clock);
    struct os_file *file;

    (void)os_mkdir(&os, "new", 0700);
    assert_int_equal(os_open(&os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE, &file), 0);
    if (open)
        *open = file;
    else
        os_close(&os, file);
}

/* Somebody's directory, in which a file of theirs has the name of the mark by chance. */
static void test_what_is_not_ours_stays(void **state)
{
    struct old old;
    struct gavel_error error;
    struct members members;
    uint64_t before;

    (void)state;
    leave_old(&old);
    make_members(&members, 1, 4);
    put_file(old.disk, "new/unfinished", NULL);
    put_file(old.disk, "new/symphony.txt", NULL);
    before = os_mem_digest(old.disk);
    assert_int_equal(make(&old, old.disk, &members, 0, 2, &error), GAVEL_E_EXISTS);
    assert_non_null(strstr(error.text, "it holds symphony.txt"));
    assert_int_equal(os_mem_digest(old.disk), before);
    os_mem_free(old.disk);
}

/* The second would sweep away what the first has made, which then would be whole by name only. */
static void test_two_at_once(void **state)
{
    struct old old;
    struct gavel_error error;
    struct members members;
    struct os_mem_clock clock = {.seed = 1};
    struct os os;
    struct os_file *mark;
    uint64_t before;

    (void)state;
    leave_old(&old);
    os = os_over(old.disk, &clock);
    make_members(&members, 1, 4);
    put_file(old.disk, "new/vote.0", NULL);
    put_file(old.disk, "new/unfinished", &mark);
    assert_int_equal(os_lock(&os, mark), 0);
    before = os_mem_digest(old.disk);
    assert_int_equal(make(&old, old.disk, &members, 0, 2, &error), GAVEL_E_BUSY);
    assert_int_equal(os_mem_digest(old.disk), before);
    os_close(&os, mark);
    must_make(&old, old.disk, &members, 0, 2);
    os_mem_free(old.disk);
}

static void test_a_cluster_that_nobody_may_lead(void **state)
{
    struct old old;
    struct gavel_error error;
    struct members members;

    (void)state;
    leave_old(&old);
    make_members(&members, 2, 4);
    members.items[0].priority = members.items[1].priority = RAFT_PRIORITY_NEVER;
    assert_int_equal(make(&old, old.disk, &members, 0, 2, &error), GAVEL_E_INVALID);
    assert_non_null(strstr(error.text, "may lead"));
    members.items[1].priority = 0;
    must_make(&old, old.disk, &members, 0, 2);
    os_mem_free(old.disk);
}

/* ---- interrupted --------------------------------------------------------------------------------------- */

/* What a node would find in "new": its cluster's id, or that there is none yet. */
static bool is_finished(struct os_mem *disk, uint64_t operation)
{
    struct os_mem *copy = os_mem_clone(disk);
    struct os_mem_clock clock = {.seed = 1};
    struct os os = os_over(copy, &clock);
    struct os_inline lanes = {0};
    struct log_pool *pool = log_pool_new(1 << 20);
    struct log_options options = {.dir = "new", .name = "n1", .segment_bytes = 2u << 20, .pool = pool};
    struct log_events events = {0};
    struct log_recovery recovery = {0};
    struct log *log = NULL;
    struct gavel_error error = {0};
    bool finished = false;
    int status;

    os.lanes = &os_lanes_inline;
    os.lanes_self = &lanes;
    status = log_open(&os, &options, &events, &log, &recovery, &error);
    if (status == 0) {
        finished = recovery.member_id != 0;
        if (!finished && recovery.start != LOG_START_FRESH)
            fail_msg("operation %llu: a half made directory opens", (unsigned long long)operation);
        if (finished && (recovery.cluster_id.bytes[0] != 42 || !recovery.founding || recovery.last < 20))
            fail_msg("operation %llu: finished, but not whole", (unsigned long long)operation);
    } else if (status != GAVEL_E_CONFIG || !strstr(error.text, "did not finish")) {
        fail_msg("operation %llu: %s", (unsigned long long)operation, error.text);
    }
    os_inline_drop(&lanes);
    (void)log_free(log);
    log_recovery_free(&recovery);
    (void)log_pool_free(pool);
    os_mem_free(copy);
    return finished;
}

static void test_interrupted_everywhere(void **state)
{
    struct old old;
    struct members members;
    struct gavel_error error;
    uint32_t again = 0;
    bool struck = true;

    (void)state;
    leave_old(&old);
    make_members(&members, 1, 4);
    for (uint64_t operation = 1; struck; operation += EFFORT(1, 5)) {
        struct os_mem *disk = os_mem_clone(old.disk);
        int32_t status;
        bool finished;

        os_mem_stop_after(disk, operation);
        status = make(&old, disk, &members, 0, operation, &error);
        struck = os_mem_stopped(disk);
        if (!struck)
            assert_int_equal(status, GAVEL_OK);
        os_mem_crash(disk, OS_MEM_RANDOM, SEED + operation);
        finished = is_finished(disk, operation);
        if (status == GAVEL_OK)
            assert_true(finished);
        status = make(&old, disk, &members, 0, operation, &error);
        if (status != (finished ? GAVEL_E_EXISTS : GAVEL_OK))
            fail_msg("operation %llu, again: %d %s", (unsigned long long)operation, status, error.text);
        again += !finished;
        assert_true(is_finished(disk, operation));
        os_mem_free(disk);
    }
    assert_true(again > 10);
    os_mem_free(old.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_snapshot_makes_a_new_cluster),   cmocka_unit_test(test_an_old_node_is_refused),
        cmocka_unit_test(test_an_old_majority_disturbs_nobody),
        cmocka_unit_test(test_a_second_copy_is_refused),         cmocka_unit_test(test_a_full_directory_is_refused),
        cmocka_unit_test(test_what_is_not_ours_stays),           cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_a_cluster_that_nobody_may_lead),   cmocka_unit_test(test_interrupted_everywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
