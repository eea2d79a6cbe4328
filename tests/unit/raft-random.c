/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/raft-random.c - the pure core under random misfortune.
 *
 * Each run draws a cluster and then, again and again, one thing that can happen: a message arrives, late,
 * twice or never; a timer runs out; a disk completes some writes; the power fails and some of the writes made
 * it; links break; members, leaders and snapshots change; commands and reads come in. world.c checks all that
 * must hold after each step. In the end everything heals, and the cluster has to agree and to have answered
 * every read.
 *
 *   raft-random [SEED [RUNS]]     without: GAVEL_SEED or the clock, for about GAVEL_RANDOM_MS (2000)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/os/cover.h"
#include "tests/scenarios/world.h"

#define STEPS 1500

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct world_node *any_node(struct world *w, bool alive)
{
    struct world_node *found = NULL;
    uint64_t seen = 0;
    for (size_t i = 0; i < WORLD_NODES; i++)
        if (w->nodes[i].exists && w->nodes[i].alive == alive && world_random(w, ++seen) == 0)
            found = &w->nodes[i];
    return found;
}

static void deliver_some(struct world *w)
{
    if (w->bag_count == 0)
        return;
    size_t at = world_random(w, 4) ? 0 : world_random(w, w->bag_count);
    if (!world_deliverable(w, at))
        return;
    uint64_t dice = world_random(w, 100);
    if (dice < 4)
        world_drop(w, at);
    else if (dice < 7)
        world_duplicate(w, at);
    else
        world_deliver(w, at);
}

static void change_members(struct world *w, struct world_node *n)
{
    struct raft_configuration target = *raft_configuration(n->raft);
    struct raft_event event = {.type = RAFT_EVENT_MEMBERSHIP, .membership.target = &target};
    uint64_t id = 1 + world_random(w, 6);
    static const uint32_t roles[] = {RAFT_VOTER, RAFT_VOTER, RAFT_JOINING, RAFT_LEARNER, RAFT_LEAVING, RAFT_LEAVING};
    if (raft_configuration_joint(&target))
        return;
    for (uint64_t changes = 1 + world_random(w, 2); changes > 0; changes--)
        raft_configuration_set(&target, 1 + (id + changes) % 6, roles[world_random(w, 6)],
                               (uint32_t)world_random(w, 2));
    world_step(w, n, &event);
}

static void crash_some(struct world *w)
{
    struct world_node *n = any_node(w, true);
    if (n)
        world_crash(w, n, world_random(w, 3) ? n->io_count : world_random(w, n->io_count + 1));
}

/* One disk at a time loses some of what was proven durable; more than that no protocol survives. */
static void damage_some(struct world *w)
{
    struct world_node *n = any_node(w, false);
    if (!w->auto_recover || !n || n->disk.log.count == 0)
        return;
    for (size_t i = 0; i < WORLD_NODES; i++)
        if (w->nodes[i].recovering)
            return;
    world_damage(w, n, 1 + world_random(w, n->disk.log.count));
}

/* Connections have ended with the last life: without damage no message is too old, but see raft.h, `recovering`. */
static void start_again(struct world *w, struct world_node *n)
{
    for (size_t at = w->bag_count; n->recovering && at-- > 0;)
        if (w->bag[at].m.from == n->id || w->bag[at].m.to == n->id)
            world_drop(w, at);
    world_start(w, n);
}

static void start_some(struct world *w)
{
    struct world_node *n = any_node(w, false);
    if (!n)
        return;
    n->disk_held = world_random(w, 2);
    start_again(w, n);
}

static void cut_some(struct world *w)
{
    size_t a = world_random(w, 6), b = world_random(w, 6);
    struct world_node *leader = world_leader(w);
    if (world_random(w, 3) == 0) {
        memset(w->cut, 0, sizeof w->cut);
        return;
    }
    if (leader && world_random(w, 2)) { /* the most interesting node to be cut off */
        for (size_t i = 0; i < WORLD_NODES; i++)
            w->cut[leader->id - 1][i] = w->cut[i][leader->id - 1] = true;
        return;
    }
    w->cut[a][b] = true;
    if (world_random(w, 2))
        w->cut[b][a] = true;
}

static void link_event(struct world *w, struct world_node *n)
{
    struct raft_event event = {.type = world_random(w, 3) ? RAFT_EVENT_LINK_LOST : RAFT_EVENT_LINK_UP};
    event.link.peer = 1 + world_random(w, 6);
    if (event.link.peer != n->id) {
        event.link.refused = !w->nodes[event.link.peer - 1].alive && world_random(w, 2);
        world_step(w, n, &event);
    }
}

static void ask_leader(struct world *w, uint64_t dice)
{
    struct world_node *n = world_leader(w);
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER};
    if (!n)
        return;
    if (dice < 60) {
        world_propose(w, n, RAFT_BATCH_COMMAND, 1 + (uint32_t)world_random(w, 5),
                      1 + (uint32_t)world_random(w, 3000));
    } else if (dice < 80 && !w->auto_recover) {
        change_members(w, n);
    } else if (dice < 90) {
        event.transfer.target = world_random(w, 2) ? 0 : 1 + world_random(w, 6);
        world_step(w, n, &event);
    } else {
        world_propose(w, n, RAFT_BATCH_NOOP, 1, 50);
    }
}

static void one_thing(struct world *w)
{
    uint64_t dice = world_random(w, 1000);
    struct world_node *n = any_node(w, true);
    w->now += world_random(w, 2 * WORLD_MS);
    if (!n || dice < 4) {
        start_some(w);
    } else if (dice < 600) {
        deliver_some(w);
    } else if (dice < 700) {
        if (w->now >= n->deadline || world_random(w, 40) == 0)
            world_event(w, n, RAFT_EVENT_TIME);
    } else if (dice < 760) {
        world_written(w, n, 1 + world_random(w, 4));
    } else if (dice < 860) {
        ask_leader(w, world_random(w, 100));
    } else if (dice < 900) {
        world_read(w, n);
    } else if (dice < 930) {
        world_run(w, world_random(w, 60 * WORLD_MS));
    } else if (dice < 950) {
        world_take_snapshot(w, n, world_random(w, 5));
    } else if (dice < 960) {
        cut_some(w);
    } else if (dice < 970) {
        link_event(w, n);
    } else if (dice < 976) {
        crash_some(w);
        damage_some(w);
    } else if (dice < 990) {
        start_some(w);
    } else {
        n->disk_held = !n->disk_held;
        n->install_held = world_random(w, 2);
    }
}

static void heal(struct world *w)
{
    memset(w->cut, 0, sizeof w->cut);
    for (size_t i = 0; i < WORLD_NODES; i++) {
        struct world_node *n = &w->nodes[i];
        n->disk_held = n->install_held = false;
        if (n->exists && !n->alive)
            start_again(w, n);
        world_written(w, n, SIZE_MAX);
        if (n->exists)
            world_event(w, n, RAFT_EVENT_TIME);
    }
    world_run(w, 3000 * WORLD_MS);
    struct world_node *leader = world_leader(w);
    if (!leader)
        world_fail(w, "no leader after all has healed");
    world_propose(w, leader, RAFT_BATCH_COMMAND, 1, 100);
    world_run(w, 2000 * WORLD_MS);
    world_check_converged(w);
}

static void run(uint64_t seed, bool trace)
{
    struct world *w = world_new(seed);
    struct raft_configuration founding = {0}, nothing = {0};
    char where[64];
    snprintf(where, sizeof where, "raft-random %lu 1", seed);
    w->where = where;
    w->trace = trace;
    w->latency_max = 5 * WORLD_MS;
    w->options.append_bytes_max = 4000;
    w->options.window_bytes = 20000;
    w->options.apply_window = 20;
    w->options.chunk_bytes = 300;
    w->options.ios_max = 64;
    w->options.batches_max = 64 + (uint32_t)world_random(w, 1000);
    uint64_t members = 1 + world_random(w, 5);
    w->auto_recover = members >= 3 && world_random(w, 3) == 0;
    for (uint64_t id = 1; id <= members; id++)
        raft_configuration_set(&founding, id, RAFT_VOTER, 0);
    for (uint64_t id = 1; id <= 6; id++)
        world_start(w, world_add(w, id, id <= members ? &founding : &nothing));
    for (int i = 0; i < STEPS; i++)
        one_thing(w);
    heal(w);
    world_free(w);
}

int main(int argc, char **argv)
{
    const char *wanted = getenv("GAVEL_SEED"), *limit = getenv("GAVEL_RANDOM_MS");
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : wanted ? strtoull(wanted, NULL, 10) : 0;
    uint64_t runs = argc > 2 ? strtoull(argv[2], NULL, 10) : UINT64_MAX;
    double begin = seconds(), budget = limit ? strtod(limit, NULL) / 1000 : 2;
    uint64_t done = 0;
    if (seed == 0)
        seed = (uint64_t)time(NULL);
    printf("raft-random: seeds from %lu on\n", seed);
    fflush(stdout);
    for (; done < runs && (argc > 2 || seconds() - begin < budget); done++)
        run(seed + done, argc > 3);
    printf("raft-random: %lu clusters of %d events, seeds %lu to %lu, %.1f s\n", done, STEPS, seed, seed + done - 1,
           seconds() - begin);
    return 0;
}
