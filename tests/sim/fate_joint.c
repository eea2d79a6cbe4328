/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fate_joint.c - a change of voters is interrupted: the joint configuration is in force for a few milliseconds only,
 * which crashes by the clock hardly ever meet. So where there are crashes, after some of the changes that were asked
 * for somebody looks often, and crashes a node that is in that state: its leader, or one of the others.
 */
#include "core/node/internal.h"
#include "fate_internal.h"

#define LOOK_NS (100 * SIM_US)
#define LOOK_FOR_NS (150 * SIM_MS)
#define ONE_IN 3       /* changes */
#define PATIENCE_MAX 8 /* looks: so that every point of it is met */

static bool is_joint(const struct sim_node *node)
{
    return sim_is_up(node) && node->node->raft && raft_configuration_joint(raft_configuration(node->node->raft));
}

static struct sim_node *victim(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct sim_node *leader = fate_leader(fate);
    struct sim_node *found[SIM_NODES_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < sim->node_count; i++)
        if (is_joint(&sim->nodes[i]))
            found[count++] = &sim->nodes[i];
    if (!count)
        return NULL;
    return leader && is_joint(leader) && (sim_draw(&fate->dice) & 1) ? leader : found[sim_below(&fate->dice, count)];
}

static void look(struct sim *sim, struct sim_event *event)
{
    struct sim_fate *fate = sim->fate;
    bool joint = false;

    if (sim->phase != SIM_FAULTS || sim->now > fate->joint.until)
        return;
    for (uint32_t i = 0; i < sim->node_count && !joint; i++)
        joint = is_joint(&sim->nodes[i]);
    if (joint && fate->joint.patience-- == 0) {
        sim->totals.joint_crashes++;
        fate_crash_now(fate, victim(fate), sim_draw(&fate->dice) & 1 ? SIM_POWER : SIM_KILL);
        return;
    }
    sim_schedule(sim, event, sim->now + LOOK_NS);
}

void fate_joint_init(struct sim_fate *fate)
{
    fate->joint.event.run = look;
}

void fate_joint_begin(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;

    if (!sim->options.crash_per_hour || sim_below(&fate->dice, ONE_IN))
        return;
    fate->joint.until = sim->now + LOOK_FOR_NS;
    fate->joint.patience = (uint32_t)sim_below(&fate->dice, PATIENCE_MAX);
    sim_schedule(sim, &fate->joint.event, sim->now);
}
