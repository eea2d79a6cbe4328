/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_stall.c - a leader whose disk hangs while a majority gets on without it is replaced within bounded time.
 * How long a hand-over may take is only known where nothing else is wrong: it is judged in worlds without any fault but
 * stalls (worlds.sh calls such a world "stall"), and only while no other disk has stalled lately.
 */
#include "core/node/internal.h"
#include "disk_state.h"
#include "oracle_memory.h"

#define STALL_MS 1200    /* disk_stall: four election time-outs */
#define HAND_OVER_MS 900 /* heartbeats until it is noticed, bringing the successor up to date, its vote and a message */

static bool is_calm(const struct sim_options *o)
{
    return !o->delay_ppm && !o->loss_ppm && !o->clog_per_hour && !o->partition_per_hour && !o->reset_per_hour &&
           !o->refuse_ppm && !o->rot_per_hour && !o->misdirect_ppm && !o->disk_error_ppm && !o->short_write_ppm &&
           !o->full_per_hour && !o->crash_per_hour && !o->pause_per_hour && !o->drift_ppm && !o->wipe_per_hour &&
           !o->members_per_hour && !o->stop_per_hour && !o->transfer_per_hour;
}

/* All others run, and their disks have got on all the while. */
static bool others_are_well(const struct sim *sim, const struct sim_node *leader)
{
    uint64_t while_ns = (STALL_MS + HAND_OVER_MS) * SIM_MS;

    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];

        if (node == leader || node->state == SIM_ABSENT)
            continue;
        if (node->state != SIM_UP || !node->node->raft || node->disk->stalled_until + while_ns > sim->now)
            return false;
    }
    return true;
}

/* For the totals: it leads while its disk hangs and it is to be replaced; or does no more, in the same life. */
static void watch(struct sim *sim, struct oracle_node *memory, const struct sim_node *node, bool hangs, bool leads)
{
    if (memory->hung == node->lives && !leads)
        sim->totals.leaders_replaced++;
    memory->hung = hangs ? node->lives : 0;
}

void oracle_stalled(struct sim_oracle *oracle, struct sim_node *sim_node, const struct raft_status *status)
{
    struct sim *sim = oracle->sim;
    bool leads = status->role == RAFT_LEADER;
    bool hangs = leads && status->disk_waits_ns >= STALL_MS * SIM_MS && is_calm(&sim->options) &&
                 status->commit > status->durable_index && others_are_well(sim, sim_node);

    watch(sim, &oracle->nodes[sim_node->number], sim_node, hangs, leads);
    if (!hangs || status->disk_waits_ns < (STALL_MS + HAND_OVER_MS) * SIM_MS)
        return;
    sim_fail(sim, "a stalled leader is replaced",
             "n%u leads in term %llu, and no write of it has ended for %llu ms: index %llu is durable, %llu committed",
             sim_node->number + 1, (unsigned long long)status->term,
             (unsigned long long)(status->disk_waits_ns / SIM_MS), (unsigned long long)status->durable_index,
             (unsigned long long)status->commit);
}
