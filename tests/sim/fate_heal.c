/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fate_heal.c - the second phase: nothing bad happens any more to a random majority of the voters, and what they know
 * must come to one end.
 */
#include <assert.h>
#include <stdio.h>

#include "core/node/internal.h"
#include "disk.h"
#include "fate_internal.h"
#include "net.h"

static bool sound(const struct sim_fate *fate, uint32_t number)
{
    const struct sim_node *node = &fate->sim->nodes[number];

    if (fate->given_up[number] || sim_atlas_damaged(fate->sim, &fate->sim->nodes[number]))
        return false;
    return !node->node || !node->node->raft || !engine_status(node->node).recovering;
}

/* The sound ones first, in a random order. */
static uint32_t candidates(struct sim_fate *fate, uint32_t *order)
{
    uint32_t good = 0;
    uint32_t count = 0;

    for (uint32_t i = 0; i < fate->sim->founders; i++)
        order[i] = i;
    for (uint32_t i = fate->sim->founders; i > 1; i--) {
        uint32_t j = (uint32_t)sim_below(&fate->dice, i);
        uint32_t kept = order[i - 1];

        order[i - 1] = order[j];
        order[j] = kept;
    }
    for (uint32_t i = 0; i < fate->sim->founders; i++) {
        uint32_t number = order[i];

        if (!sound(fate, number))
            continue;
        order[i] = order[good];
        order[good++] = number;
        count++;
    }
    return count;
}

void sim_fate_heal(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    uint32_t order[SIM_NODES_MAX];
    uint32_t good = candidates(fate, order);
    uint32_t majority = sim->founders / 2 + 1;
    uint32_t count = sim->founders;

    if (sim_draw(&fate->dice) & 1 && good >= majority)
        count = majority + (uint32_t)sim_below(&fate->dice, good - majority + 1);
    for (uint32_t i = 0; i < FATE_KINDS; i++)
        sim_cancel(sim, &fate->clocks[i].event);
    fate_partitions_end(fate);
    sim_net_heal(sim->net);
    for (uint32_t i = 0; i < sim->founders; i++) {
        struct sim_node *node = &sim->nodes[order[i]];

        fate->chosen[order[i]] = i < count;
        if (i < count) {
            sim_disk_heal(node->disk);
            sim_node_die_in_recovery(node, 0);
            sim_trace(sim, node, "is healed");
            continue;
        }
        fate->given_up[order[i]] = true;
        if (node->node)
            sim_node_crash(node, SIM_POWER);
    }
}

bool sim_fate_converged(const struct sim_fate *fate, char *why_not, size_t size)
{
    const struct sim *sim = fate->sim;
    const struct sim_node *leader = fate_leader(fate);
    uint64_t commit;

    if (!leader) {
        (void)snprintf(why_not, size, "there is no leader");
        return false;
    }
    commit = node_commit(leader->node);
    for (uint32_t i = 0; i < sim->founders; i++) {
        const struct sim_node *node = &sim->nodes[i];

        if (!fate->chosen[i] || fate->given_up[i])
            continue;
        if (!sim_is_up(node) || !node->node->raft || node->node->phase != NODE_RUNNING) {
            (void)snprintf(why_not, size, "%s does not run: %s", node->name, node->said);
            return false;
        }
        if (node_applied(node->node) != commit || !node_ready(node->node)) {
            (void)snprintf(why_not, size, "%s leads and has committed %llu, %s has applied %llu", leader->name,
                           (unsigned long long)commit, node->name, (unsigned long long)node_applied(node->node));
            return false;
        }
        if (engine_status(node->node).recovering) {
            (void)snprintf(why_not, size, "%s is recovering still", node->name);
            return false;
        }
    }
    return true;
}
