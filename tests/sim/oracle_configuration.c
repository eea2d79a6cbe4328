/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_configuration.c - who takes part: two leaders must never be able to decide without each other.
 */
#include "oracle_memory.h"

#include <string.h>

static bool is_joint(const struct raft_configuration *configuration)
{
    for (uint32_t i = 0; i < configuration->count; i++)
        if (configuration->members[i].outgoing)
            return true;
    return false;
}

/* The sets of voters of two configurations. One that is no joint one has the same set twice. */
enum { A_NEW, A_OLD, B_NEW, B_OLD, SETS };

/* Nodes are told apart by the sets that they are in only: how many are in each combination of them, a bit each. */
struct division {
    uint32_t nodes[1 << SETS];
    uint32_t all[SETS];
    uint32_t have[SETS]; /* of those: of A's sets on the one side, of B's on the other */
};

static uint32_t sets_of(const struct raft_configuration *configuration, uint64_t id)
{
    bool joint = is_joint(configuration);
    uint32_t sets = 0;

    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_member *member = &configuration->members[i];

        if (member->id != id)
            continue;
        sets |= member->role == RAFT_VOTER ? 1u << A_NEW : 0;
        sets |= (joint ? member->outgoing != 0 : member->role == RAFT_VOTER) ? 1u << A_OLD : 0;
    }
    return sets;
}

static void count_node(struct division *division, uint32_t sets)
{
    division->nodes[sets]++;
    for (uint32_t set = 0; set < SETS; set++)
        division->all[set] += sets >> set & 1;
}

/* `a` of the nodes that are in these sets stand on the one side, `b` on the other. */
static void stand(struct division *division, uint32_t sets, uint32_t a, uint32_t b)
{
    for (uint32_t set = 0; set < SETS; set++)
        division->have[set] += sets >> set & 1 ? (set < B_NEW ? a : b) : 0;
}

/* Whether the nodes from this combination on can stand so that a quorum of each configuration has its side alone. */
static bool divides(struct division *division, uint32_t sets)
{
    bool found = false;

    if (sets == 1u << SETS) {
        found = true;
        for (uint32_t set = 0; set < SETS; set++)
            found = found && 2 * division->have[set] > division->all[set];
        return found;
    }
    for (uint32_t a = 0; a <= division->nodes[sets] && !found; a++) {
        uint32_t before[SETS];

        memcpy(before, division->have, sizeof before);
        stand(division, sets, a, division->nodes[sets] - a);
        found = divides(division, sets + 1);
        memcpy(division->have, before, sizeof before);
    }
    return found;
}

/* Whether every quorum of the one has a node in common with every quorum of the other: all divisions are tried. */
bool oracle_overlap(const struct raft_configuration *a, const struct raft_configuration *b)
{
    struct division division = {0};

    for (uint32_t i = 0; i < a->count; i++)
        count_node(&division, sets_of(a, a->members[i].id) | sets_of(b, a->members[i].id) << B_NEW);
    for (uint32_t i = 0; i < b->count; i++) {
        bool counted = false;

        for (uint32_t k = 0; k < a->count; k++)
            counted = counted || a->members[k].id == b->members[i].id;
        if (!counted)
            count_node(&division, sets_of(b, b->members[i].id) << B_NEW);
    }
    return !divides(&division, 1); /* who is in none changes nothing */
}

static bool same(const struct raft_configuration *a, const struct raft_configuration *b)
{
    return a->count == b->count && raft_configuration_equal(a, b);
}

/*
 * Switching from one configuration to the next is safe only while their majorities overlap (4.1, figure 4.2), which a
 * joint one makes sure of (4.3): each configuration in a log shares its quorums with the one before it.
 */
static void adjacent(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    if (node->in_force.count && view->configuration->count && !oracle_overlap(&node->in_force, view->configuration))
        sim_fail(oracle->sim, "overlapping configurations",
                 "n%u went at %llu to a configuration that can decide without that of before", view->number + 1,
                 (unsigned long long)view->status.configuration_index);
}

/*
 * One change after the other (4.1): a leader appends a configuration when the one before has committed; and when an
 * entry of its own term has, which the single-server change was found to need (Ongaro on raft-dev, July 2015).
 */
static void appended_by_leader(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    const struct raft_status *now = &view->status;
    const struct oracle_term *term = oracle_term(oracle, now->term);
    uint32_t number = oracle_in_log(oracle, node, now->configuration_index);

    if (number == ORACLE_NONE || oracle->batches[number].term != now->term)
        return;
    if (now->commit < term->first)
        sim_fail(oracle->sim, "a change after the own term's commit",
                 "n%u changes members at %llu, but nothing of its term %llu has committed", view->number + 1,
                 (unsigned long long)now->configuration_index, (unsigned long long)now->term);
    if (node->seen.configuration_index > now->commit)
        sim_fail(oracle->sim, "one change at a time",
                 "n%u changes members at %llu while the change at %llu has not committed", view->number + 1,
                 (unsigned long long)now->configuration_index, (unsigned long long)node->seen.configuration_index);
    /* What is joint is left, and nothing else (4.3). */
    if (is_joint(&node->in_force) && is_joint(view->configuration))
        sim_fail(oracle->sim, "one change at a time", "n%u goes at %llu from one joint configuration to another",
                 view->number + 1, (unsigned long long)now->configuration_index);
}

/*
 * The configuration in force is "the latest configuration in its log, regardless of whether the entry is committed"
 * (4.1): what the core says is in force is the last one of the log that we followed.
 */
static void latest_in_log(struct sim_oracle *oracle, const struct oracle_node *node, const struct oracle_view *view)
{
    const struct raft_status *now = &view->status;
    uint64_t newest = node->configuration > now->snapshot_index ? node->configuration : 0;

    if (newest ? now->configuration_index != newest : now->configuration_index > now->snapshot_index)
        sim_fail(oracle->sim, "the latest configuration is in force",
                 "n%u goes by the configuration of %llu; in its log (up to %llu) the last one is at %llu",
                 view->number + 1, (unsigned long long)now->configuration_index, (unsigned long long)now->last_index,
                 (unsigned long long)newest);
}

/* Who knows of all that has committed, and of no newer change, goes by the newest committed configuration: also when a
 * snapshot brought it (5.1: it "also includes the latest configuration in the log as of last included index"). */
static void as_committed(struct sim_oracle *oracle, const struct oracle_view *view)
{
    const struct raft_status *now = &view->status;

    if (oracle->committed_configuration.count == 0 || now->commit < oracle->configuration_committed ||
        now->configuration_index > now->commit)
        return;
    if (!same(view->configuration, &oracle->committed_configuration))
        sim_fail(oracle->sim, "the latest configuration is in force",
                 "n%u knows of commits up to %llu and goes by another configuration than that of %llu",
                 view->number + 1, (unsigned long long)now->commit,
                 (unsigned long long)oracle->configuration_committed);
}

/*
 * Two leaders that could both decide must need a common voter (4.1, figure 4.2). A leader whose configuration is older
 * than the newest committed one decides nothing any more.
 */
static void leaders_overlap(struct sim_oracle *oracle, const struct oracle_view *view)
{
    if (view->status.role != RAFT_LEADER || view->status.configuration_index < oracle->configuration_committed)
        return;
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        const struct oracle_node *other = &oracle->nodes[i];

        if (i == view->number || !other->alive || other->seen.role != RAFT_LEADER ||
            other->seen.configuration_index < oracle->configuration_committed)
            continue;
        if (!oracle_overlap(&other->in_force, view->configuration))
            sim_fail(oracle->sim, "overlapping configurations",
                     "n%u leads term %llu and n%u term %llu by configurations that share no quorum", view->number + 1,
                     (unsigned long long)view->status.term, i + 1, (unsigned long long)other->seen.term);
    }
}

/*
 * "A leader that is removed from the configuration steps down once the Cnew entry is committed" (4.2.2): not a step
 * later, and the same where it was made a learner. Unless those that have the entry may not lead: then it leads on
 * until one that may has it. Where all voters are sound and none is of priority 0, that is at once, for a majority of
 * them has it.
 */
static void removed_steps_down(struct sim_oracle *oracle, const struct oracle_view *view)
{
    const struct raft_status *now = &view->status;

    if (now->role != RAFT_LEADER || now->configuration_index > now->commit)
        return;
    for (uint32_t i = 0; i < view->configuration->count; i++) {
        const struct raft_member *member = &view->configuration->members[i];

        if (member->id == now->self && (member->role == RAFT_VOTER || member->outgoing))
            return;
        if (member->role == RAFT_VOTER &&
            (member->priority == RAFT_PRIORITY_NEVER || view->unsound(view->ctx, member->id)))
            return;
    }
    sim_fail(oracle->sim, "a removed leader steps down",
             "n%u leads term %llu although the configuration of %llu, without its vote, has committed (%llu)",
             view->number + 1, (unsigned long long)now->term, (unsigned long long)now->configuration_index,
             (unsigned long long)now->commit);
}

void oracle_configuration_follow(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    const struct raft_status *now = &view->status;
    bool began_to_lead = now->role == RAFT_LEADER && node->seen.role != RAFT_LEADER;
    bool changed = now->configuration_index != node->seen.configuration_index;

    latest_in_log(oracle, node, view);
    if (changed || now->commit != node->seen.commit)
        removed_steps_down(oracle, view);
    if (now->snapshot_index != node->seen.snapshot_index ||
        (now->commit >= oracle->configuration_committed && node->seen.commit < oracle->configuration_committed))
        as_committed(oracle, view);
    if (!changed && !began_to_lead && !(node->in_force.count != view->configuration->count))
        return;
    /* A snapshot may jump over several; a truncation goes back by one. */
    if (changed && now->role == RAFT_LEADER && node->seen.role == RAFT_LEADER && node->seen.term == now->term) {
        adjacent(oracle, node, view);
        appended_by_leader(oracle, node, view);
    }
    leaders_overlap(oracle, view);
    if (changed || !same(&node->in_force, view->configuration))
        node->in_force = *view->configuration;
}
