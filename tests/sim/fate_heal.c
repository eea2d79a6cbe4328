/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fate_heal.c - the second phase: nothing bad happens any more to a majority of the voters, and what they know must
 * come to one end. In half of the seeds that is some majority, by chance; in the others mostly everybody who can be.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/node/internal.h"
#include "disk.h"
#include "fate_internal.h"
#include "net.h"
#include "node.h"

#define CHOOSE_NS (10 * SIM_S) /* it takes so long at most until it is known what a majority is */

/* The newest configuration that anybody who runs knows; NULL: none. */
static const struct raft_configuration *newest(const struct sim_fate *fate, const struct node **knows)
{
    const struct raft_configuration *found = NULL;
    uint64_t term = 0;
    uint64_t index = 0;

    for (uint32_t i = 0; i < fate->sim->node_count; i++) {
        const struct node *node = fate->sim->nodes[i].node;
        struct raft_status status;

        if (!node || !node->raft)
            continue;
        status = engine_status(node);
        if (found && (status.last_term < term || (status.last_term == term && status.last_index < index)))
            continue;
        term = status.last_term;
        index = status.last_index;
        found = raft_configuration(node->raft);
        *knows = node;
    }
    return found;
}

static const char *name_of(const struct node *knows, uint64_t id)
{
    const struct members *members = directory_now(&knows->directory);
    const struct member *member = members ? members_find(members, id) : NULL;

    return member ? member->name : "";
}

static struct sim_node *node_of(const struct sim_fate *fate, const char *name)
{
    for (uint32_t i = 0; i < fate->sim->node_count; i++)
        if (strcmp(fate->sim->nodes[i].name, name) == 0)
            return &fate->sim->nodes[i];
    return NULL;
}

/* Some are to be left out, and if it cannot be said yet whom, that is waited for. */
static bool insists(const struct sim_fate *fate)
{
    return fate->sim->options.heals == 2;
}

/* The administrator who waits for an answer; NULL: none does. */
static const struct sim_node *asks_still(const struct sim_fate *fate)
{
    for (uint32_t i = 0; i < fate->sim->node_count; i++)
        if (sim_admin_waits(fate->sim->nodes[i].process->admin))
            return &fate->sim->nodes[i];
    return NULL;
}

/*
 * Leave some out: possible only where it is known what a majority is, which is so when every member of the newest
 * configuration runs (a newer one would have needed their votes), it is not joint, and nobody waits for a change of it,
 * which may take out one more. False: better heal everybody.
 */
static bool leave_some_out(struct sim_fate *fate)
{
    const struct node *knows = NULL;
    const struct raft_configuration *configuration = newest(fate, &knows);
    struct sim_node *good[RAFT_MEMBERS_MAX];
    uint32_t voters = 0;
    uint32_t count = 0;
    uint32_t spare;
    bool shy = false;

    if (!configuration || raft_configuration_joint(configuration) || asks_still(fate))
        return false;
    for (uint32_t i = 0; i < configuration->count; i++) {
        struct sim_node *node = node_of(fate, name_of(knows, configuration->members[i].id));

        if (!node || !node->node || !node->node->raft || node->node->member_id != configuration->members[i].id)
            return false;
        if (configuration->members[i].role != RAFT_VOTER)
            continue;
        voters++;
        shy = shy || configuration->members[i].priority == RAFT_PRIORITY_NEVER;
        if (!sim_atlas_damaged(fate->sim, node))
            good[count++] = node;
    }
    if (count <= voters / 2)
        return false;
    spare = insists(fate) ? count - voters / 2 - 1 : (uint32_t)sim_below(&fate->dice, count - voters / 2);
    if (fate->sim->options.flip_per_hour || shy)
        spare = 0; /* who is fenced, or of priority 0, never leads: the others may be needed, all of them */
    if (spare && insists(fate))
        spare = 1 + (uint32_t)sim_below(&fate->dice, spare);
    fate->sim->totals.majorities_healed += spare != 0;
    for (; spare; spare--) {
        uint32_t at = (uint32_t)sim_below(&fate->dice, count);

        fate->left_out[good[at]->number] = true;
        good[at] = good[--count];
    }
    return true;
}

/*
 * Who is left out and runs on may go on bothering the others: it hears nothing and is heard (it campaigns for ever), or
 * the other way round, or neither. Pre-vote, stickiness and CheckQuorum (thesis 9.6, 6.2) have to keep it harmless.
 */
static void bother(struct sim_fate *fate, uint32_t number)
{
    struct sim *sim = fate->sim;
    uint32_t way = (uint32_t)sim_below(&fate->dice, 3);

    sim_trace(sim, &sim->nodes[number], "is left out of the second phase, and %s",
              way == 0 ? "hears nothing" : way == 1 ? "is not heard" : "is cut off");
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (fate->left_out[i])
            continue;
        if (way != 1)
            sim_net_cut(sim->net, i, number, true);
        if (way != 0)
            sim_net_cut(sim->net, number, i, true);
    }
}

/* Those who were chosen so: without power, or in the way of the others. */
static void put_out(struct sim_fate *fate, bool powerless)
{
    struct sim *sim = fate->sim;

    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];

        if (fate->left_out[i] && node->node && !powerless) {
            bother(fate, i);
        } else if (fate->left_out[i] && node->node) {
            sim_trace(sim, node, "stays out of the second phase");
            sim_node_crash(node, SIM_POWER);
        }
    }
}

/* Not everybody ran, or the configuration was joint: as soon as that is over, unless it takes too long. */
void fate_heal_operate(struct sim_fate *fate)
{
    if (!fate->choose_until)
        return;
    if (leave_some_out(fate)) {
        put_out(fate, sim_draw(&fate->dice) & 1);
        fate->choose_until = 0;
    } else if (fate->sim->now >= fate->choose_until) {
        fate->choose_until = 0; /* then everybody */
    }
}

void sim_fate_heal(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    bool powerless;

    for (uint32_t i = 0; i < FATE_KINDS; i++)
        sim_cancel(sim, &fate->clocks[i].event);
    fate_partitions_end(fate);
    sim_net_heal(sim->net);
    if (insists(fate))
        fate->choose_until = sim->now + CHOOSE_NS;
    else if (sim_draw(&fate->dice) & 1)
        (void)leave_some_out(fate);
    powerless = sim_draw(&fate->dice) & 1;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];

        sim_node_spare(node);
        sim_node_die_in_recovery(node, SIM_POWER, 0);
        sim_disk_die_after(node->disk, 0);
        sim_disk_heal(node->disk);
    }
    put_out(fate, powerless);
    fate_heal_operate(fate);
}

/* A member that is whole, reachable and known to the newest configuration by the id that it has. */
static bool is_whole(const struct sim_fate *fate, const struct node *knows, const struct raft_member *member,
                     const struct sim_node **whole)
{
    const struct sim_node *node = node_of(fate, name_of(knows, member->id));

    *whole = node;
    return node && !fate->left_out[node->number] && !fate->given_up[node->number] && !fate->empty[node->number] &&
           sim_is_up(node) && node->node->raft && node->node->member_id == member->id;
}

/* Everybody who is whole finds everybody who is whole HEALTHY: the leader, each other node, and each itself. */
static bool is_healthy(const struct sim_fate *fate, const struct sim_node *leader,
                       const struct raft_configuration *configuration, char *why_not, size_t size)
{
    const struct sim_node *by;
    const struct sim_node *of;

    for (uint32_t b = 0; b < configuration->count; b++) {
        if (!is_whole(fate, leader->node, &configuration->members[b], &by))
            continue;
        for (uint32_t o = 0; o < configuration->count; o++) {
            const struct watched *watched = &by->node->self;
            const struct peer *peer;

            if (!is_whole(fate, leader->node, &configuration->members[o], &of))
                continue;
            if (by != of) {
                peer = peer_find(by->node, configuration->members[o].id);
                if (!peer)
                    continue; /* it has yet to learn of it, which is asked of it elsewhere */
                watched = &peer->watched;
            }
            if (watched->verdict.state == HEALTH_HEALTHY)
                continue;
            (void)snprintf(why_not, size, "%s finds %s %s: %s", by->name, of->name,
                           health_name(watched->verdict.state), watched->verdict.reason);
            return false;
        }
    }
    return true;
}

static bool has_converged(const struct sim_fate *fate, const struct sim_node *leader, const struct raft_member *member,
                          char *why_not, size_t size)
{
    const struct sim_node *node = node_of(fate, name_of(leader->node, member->id));
    uint64_t commit = node_commit(leader->node);

    if (!node || fate->left_out[node->number] || fate->given_up[node->number] || fate->empty[node->number])
        return true; /* nobody can help it */
    if (!sim_is_up(node) || !node->node->raft || node->node->phase != NODE_RUNNING) {
        (void)snprintf(why_not, size, "%s does not run: %s", node->name, node->said);
        return false;
    }
    if (node->node->member_id != member->id)
        return true; /* an older or newer bearer of the name */
    if (node_applied(node->node) != commit || !node_ready(node->node)) {
        (void)snprintf(why_not, size, "%s leads and has committed %llu, %s has applied %llu", leader->name,
                       (unsigned long long)commit, node->name, (unsigned long long)node_applied(node->node));
        return false;
    }
    if (engine_status(node->node).recovering) {
        (void)snprintf(why_not, size, "%s is recovering still", node->name);
        return false;
    }
    /* Before the first one every member has to have been heard of, and some are left out. */
    if (!node->node->declare.settled && node->node->roster->version) {
        (void)snprintf(why_not, size, "%s has not brought its capabilities into the log", node->name);
        return false;
    }
    if (member->role == RAFT_JOINING) {
        (void)snprintf(why_not, size, "%s has caught up and is joining still", node->name);
        return false;
    }
    return true;
}

/*
 * A client that hung up left a request behind, whose answer was lost: until its time is out that waits for nobody. The
 * node looks for such ones at its ticks.
 */
static bool waits_still(const struct sim_fate *fate, char *why_not, size_t size)
{
    const struct forwarded *forwarded;
    const struct parked *parked;

    for (uint32_t i = 0; i < fate->sim->node_count; i++) {
        const struct sim_node *node = &fate->sim->nodes[i];
        uint64_t now;

        if (!sim_is_up(node))
            continue;
        now = node_now(node->node);
        (void)snprintf(why_not, size, "a request at %s has time left to wait", node->name);
        os_list_each (forwarded, &node->node->forwards, const struct forwarded, link)
            if (forwarded->deadline_ns + NODE_SLOW_TICK_NS >= now)
                return true;
        os_list_each (parked, &node->node->parked, const struct parked, link)
            if (parked->deadline_ns + NODE_SLOW_TICK_NS >= now)
                return true;
    }
    return false;
}

bool sim_fate_chooses(const struct sim_fate *fate)
{
    return fate->choose_until != 0;
}

bool sim_fate_converged(const struct sim_fate *fate, char *why_not, size_t size)
{
    const struct sim_node *leader = fate_leader(fate);
    const struct raft_configuration *configuration;
    const struct sim_node *asks;

    if (fate->choose_until) {
        (void)snprintf(why_not, size, "nobody has been left out yet");
        return false;
    }
    if (!leader || fate->left_out[leader->number]) {
        (void)snprintf(why_not, size, "there is no leader");
        return false;
    }
    configuration = raft_configuration(leader->node->raft);
    if (raft_configuration_joint(configuration)) {
        (void)snprintf(why_not, size, "the configuration is joint still");
        return false;
    }
    asks = asks_still(fate);
    if (asks) {
        (void)snprintf(why_not, size, "an administrator of %s waits for an answer", asks->name);
        return false;
    }
    if (waits_still(fate, why_not, size))
        return false;
    if (fate->sim->flipped && !fate->left_out[fate->sim->flipped - 1]) {
        (void)snprintf(why_not, size, "the state of n%u has flipped, and that was not %s", fate->sim->flipped,
                       fate->sim->flip_found ? "mended" : "found");
        return false;
    }
    for (uint32_t i = 0; i < configuration->count; i++)
        if (!has_converged(fate, leader, &configuration->members[i], why_not, size))
            return false;
    return is_healthy(fate, leader, configuration, why_not, size);
}
