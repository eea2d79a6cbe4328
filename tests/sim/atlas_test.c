/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atlas_test.c - the fault atlas lets no damage and no change of members through after which a majority of voters could
 * be damaged, in any configuration that is in force, was, or may follow from what was asked for; and all that it can
 * let through it does. Members are disks that bear an id; one node runs, the others are known by what they knew last.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/node/internal.h"
#include "core/os/bytes.h"
#include "disk_state.h"
#include "oracle.h"

#define MEMBER_AT 24 /* in the directory record */
#define LATER (100 * SIM_S)

/* ---- a world ------------------------------------------------------------------------------------------- */

static struct sim *world;
static struct node *up;

void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t at)
{
    (void)sim, (void)event, (void)at;
}

void sim_cancel(struct sim *sim, struct sim_event *event)
{
    (void)sim, (void)event;
}

struct sim_random sim_stream(const struct sim *sim, enum sim_stream stream, uint64_t number)
{
    return sim_split(sim_split(sim->seed, stream).state, number);
}

uint64_t sim_magnitude(struct sim_random *random, uint64_t low, uint64_t high)
{
    return low + sim_below(random, high - low + 1);
}

void sim_trace(struct sim *sim, const struct sim_node *node, const char *format, ...)
{
    (void)sim, (void)node, (void)format;
}

void sim_oracle_damaged(struct sim_oracle *oracle, struct sim_node *node)
{
    (void)oracle, (void)node;
}

/* A disk with the identity of member number + 1. */
static void plug_in(struct sim_node *node)
{
    const struct os_file_ops *ops = &sim_disk_files;
    uint8_t bytes[OS_MEM_SECTOR] = {0};
    struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct os_file *file = NULL;

    node->disk = sim_disk_new(world, node);
    os_put64(bytes + MEMBER_AT, node->number + 1);
    assert_int_equal(ops->open(node->disk, "directory", OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE, &file), 0);
    assert_int_equal(ops->pwritev(node->disk, file, &iov, 1, 0, OS_WRITE_DURABLE), 0);
    assert_int_equal(ops->sync_dir(node->disk, ""), 0);
    ops->close(node->disk, file);
}

/* "vvlj": the roles of the members 1 to 4, voter, learner, joining; 'o': a voter that leaves, as joint. */
static struct raft_configuration configured(const char *roles)
{
    struct raft_configuration configuration = {0};

    for (uint32_t i = 0; roles[i]; i++) {
        struct raft_member *member = &configuration.members[configuration.count];

        if (roles[i] == '-')
            continue;
        configuration.count++;
        member->id = i + 1;
        member->role = roles[i] == 'v'   ? RAFT_VOTER
                       : roles[i] == 'l' ? RAFT_LEARNER
                       : roles[i] == 'j' ? RAFT_JOINING
                                         : RAFT_LEAVING;
        member->outgoing = roles[i] == 'o';
    }
    return configuration;
}

/* Nodes of so many members, of which the first runs and has this in force. */
static void begin(const char *roles)
{
    static _Alignas(16) unsigned char memory[1 << 20];
    struct raft_options options = {.self = 1, .seed = 1, .batches_max = 64, .ios_max = 16, .append_batches_max = 16};
    struct raft_configuration configuration = configured(roles);
    struct raft_recovered recovered = {.configuration = &configuration};

    world = calloc(1, sizeof *world);
    up = calloc(1, sizeof *up);
    assert_non_null(world);
    assert_non_null(up);
    assert_true(raft_size(&options) <= sizeof memory);
    assert_int_equal(raft_init(memory, sizeof memory, &options, &recovered, &up->raft), RAFT_OK);
    world->now = SIM_S;
    world->options.sync_us = 100;
    world->node_count = (uint32_t)strlen(roles);
    for (uint32_t i = 0; i < world->node_count; i++) {
        world->nodes[i] = (struct sim_node){.sim = world, .number = i, .state = SIM_DOWN, .exit_code = -1};
        plug_in(&world->nodes[i]);
    }
    world->nodes[0].state = SIM_UP;
    world->nodes[0].node = up;
}

static void end(void)
{
    for (uint32_t i = 0; i < world->node_count; i++)
        assert_null(sim_disk_free(world->nodes[i].disk));
    free(up);
    free(world);
}

static struct sim_node *n(uint32_t member)
{
    return &world->nodes[member - 1];
}

static void damage(uint32_t member)
{
    n(member)->disk->marks[0].kind = DISK_SNAPSHOT; /* counts as long as its file is there */
    assert_true(os_mem_entry(n(member)->disk->mem, 0, &(struct os_mem_entry){0}));
    for (uint32_t i = 0; i < 4; i++) {
        struct os_mem_entry entry;

        if (os_mem_entry(n(member)->disk->mem, i, &entry) && !entry.is_dir)
            n(member)->disk->marks[0].id = entry.id;
    }
    n(member)->disk->mark_count = 1;
    assert_true(sim_atlas_damaged(world, n(member)));
}

/* ---- what it allows ------------------------------------------------------------------------------------ */

static void test_a_minority_of_voters(void **state)
{
    (void)state;
    begin("vvv");
    assert_true(sim_atlas_may_damage(world, n(2)));
    damage(2);
    assert_true(sim_atlas_may_damage(world, n(2))); /* more of it there is no matter */
    assert_false(sim_atlas_may_damage(world, n(1)));
    assert_false(sim_atlas_may_damage(world, n(3)));
    end();
    begin("vv");
    assert_false(sim_atlas_may_damage(world, n(1)));
    assert_false(sim_atlas_may_lose(world, n(2)));
    end();
}

static void test_a_state_that_flipped(void **state)
{
    (void)state;
    begin("vvv");
    world->flipped = n(2)->number + 1;
    assert_true(sim_atlas_damaged(world, n(2)));
    assert_false(sim_atlas_may_damage(world, n(1))); /* or nobody might lead: n2 is fenced, and may know most */
    world->flipped = 0;
    assert_true(sim_atlas_may_damage(world, n(1)));
    end();
}

static void test_a_learner_is_no_matter_until_it_may_be_a_voter(void **state)
{
    (void)state;
    begin("vl");
    assert_true(sim_atlas_may_damage(world, n(2)));
    assert_true(sim_atlas_may_promote(world, n(2)));
    n(2)->comes_until = LATER; /* asked for: it may be in somebody's log */
    assert_false(sim_atlas_may_damage(world, n(2)));
    world->now = LATER;
    assert_true(sim_atlas_may_damage(world, n(2)));
    damage(2);
    assert_false(sim_atlas_may_promote(world, n(2))); /* seeds 1175 and 1504: two voters, one of them recovering */
    world->options.correlated = 1;
    assert_true(sim_atlas_may_promote(world, n(2)));
    end();
    begin("vvvl");
    damage(4);
    assert_true(sim_atlas_may_promote(world, n(4))); /* three sound ones of four */
    damage(2);
    assert_false(sim_atlas_may_promote(world, n(4)));
    end();
}

/* Seed 11247: an operator had it replaced, another one promoted it in the same moment. */
static void test_a_learner_without_its_disk_may_be_promoted_no_more(void **state)
{
    (void)state;
    begin("vl");
    sim_disk_wipe(n(2)->disk);
    assert_false(sim_atlas_may_promote(world, n(2)));
    end();
    begin("vl"); /* asked for before the disk went: nobody else may be lost */
    n(2)->comes_until = LATER;
    sim_disk_wipe(n(2)->disk);
    assert_false(sim_atlas_may_damage(world, n(1)));
    end();
    begin("vvvl");
    sim_disk_wipe(n(4)->disk);
    assert_true(sim_atlas_may_promote(world, n(4)));
    assert_true(sim_atlas_may_damage(world, n(2)));
    n(4)->comes_until = LATER;
    assert_false(sim_atlas_may_damage(world, n(4))); /* what comes with this disk is another member */
    assert_false(sim_atlas_may_damage(world, n(2)));
    end();
}

static void test_a_joining_one_may_come_alone(void **state)
{
    (void)state;
    begin("vj");
    assert_false(sim_atlas_may_damage(world, n(2)));
    end();
    /* The other one that joins may never come: it does not make up for the damage of the first. */
    begin("vjj");
    assert_false(sim_atlas_may_damage(world, n(2)));
    end();
    begin("vvvj");
    assert_true(sim_atlas_may_damage(world, n(4)));
    damage(4);
    assert_false(sim_atlas_may_damage(world, n(2))); /* two sound ones of four */
    end();
}

/* Nobody counts on an empty machine yet; but what is damaged there would join with it. */
static void test_who_has_no_identity_may_be_anybody(void **state)
{
    (void)state;
    begin("vvv-");
    assert_true(sim_atlas_may_damage(world, n(4))); /* it bears one that is no member's: removed, it never comes back */
    sim_disk_wipe(n(4)->disk);
    assert_false(sim_atlas_may_damage(world, n(4)));
    world->options.correlated = 1;
    assert_true(sim_atlas_may_damage(world, n(4)));
    end();
}

static void test_who_may_leave(void **state)
{
    (void)state;
    begin("vvv");
    n(3)->leaves_until = LATER;
    assert_false(sim_atlas_may_damage(world, n(2))); /* of 1 and 2 both are needed */
    assert_true(sim_atlas_may_damage(world, n(3))); /* of 1, 2 and 3, if it stays, it is not */
    world->now = LATER;
    assert_true(sim_atlas_may_damage(world, n(2)));
    end();
}

static void test_both_halves_of_a_joint_configuration(void **state)
{
    (void)state;
    begin("ooovv");
    assert_true(sim_atlas_may_damage(world, n(2)));
    assert_false(sim_atlas_may_damage(world, n(4)));
    damage(2);
    assert_false(sim_atlas_may_damage(world, n(3)));
    end();
}

static void test_what_a_node_knew_that_is_down(void **state)
{
    (void)state;
    begin("vvvvv");
    assert_true(sim_atlas_may_damage(world, n(2)));
    n(3)->last_known = configured("vvl--"); /* a change that it alone has in its log */
    assert_false(sim_atlas_may_damage(world, n(2)));
    assert_true(sim_atlas_may_damage(world, n(4)));
    sim_disk_wipe(n(3)->disk);
    n(3)->node = NULL;
    assert_int_equal(n(3)->last_known.count, 0);
    assert_true(sim_atlas_may_damage(world, n(2))); /* the second of five: member 3 is nowhere */
    damage(2);
    assert_false(sim_atlas_may_damage(world, n(4)));
    end();
}

static void test_nobody_who_runs_knows(void **state)
{
    (void)state;
    begin("vvv");
    n(1)->node = NULL;
    n(1)->last_known = configured("vvv");
    assert_false(sim_atlas_may_damage(world, n(2)));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_minority_of_voters),
        cmocka_unit_test(test_a_state_that_flipped),
        cmocka_unit_test(test_a_learner_is_no_matter_until_it_may_be_a_voter),
        cmocka_unit_test(test_a_learner_without_its_disk_may_be_promoted_no_more),
        cmocka_unit_test(test_a_joining_one_may_come_alone),
        cmocka_unit_test(test_who_has_no_identity_may_be_anybody),
        cmocka_unit_test(test_who_may_leave),
        cmocka_unit_test(test_both_halves_of_a_joint_configuration),
        cmocka_unit_test(test_what_a_node_knew_that_is_down),
        cmocka_unit_test(test_nobody_who_runs_knows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
