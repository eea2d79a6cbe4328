/* SPDX-License-Identifier: Apache-2.0 */
/* oracle_vote.c - terms and votes: they never go back, and a term begins because somebody was wanted as its leader. */
#include "oracle_memory.h"

/*
 * "Each server stores a current term number, which increases monotonically over time" (3.3): within a life here, across
 * lives when one starts (oracle_recovery.c). The commit index rises within a life only: it is not durable (3.8), and a
 * new life begins at its snapshot. What a node committed, applied and acknowledged in earlier lives stays all the same:
 * there is one committed log of all nodes and lives, and each commit, applied index and state is held against that.
 */
void oracle_monotonic(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    const struct raft_status *now = &view->status;

    if (now->term < node->seen.term)
        sim_fail(oracle->sim, "monotonic term", "n%u went back from term %llu to %llu", view->number + 1,
                 (unsigned long long)node->seen.term, (unsigned long long)now->term);
    if (now->commit < node->seen.commit)
        sim_fail(oracle->sim, "monotonic commit", "n%u went back from commit %llu to %llu", view->number + 1,
                 (unsigned long long)node->seen.commit, (unsigned long long)now->commit);
    if (now->term == node->seen.term && node->seen.vote && now->vote != node->seen.vote)
        sim_fail(oracle->sim, "one vote per term", "n%u voted for member %llu in term %llu and now for %llu",
                 view->number + 1, (unsigned long long)node->seen.vote, (unsigned long long)now->term,
                 (unsigned long long)now->vote);
}

/*
 * "Each server will vote for at most one candidate in a given term, on a first-come-first-served basis" (3.4). By
 * member, not by life nor by data directory: who lost its disk may not vote under its old name.
 */
void oracle_one_vote(struct sim_oracle *oracle, uint32_t number, uint64_t member, uint64_t term, uint64_t candidate)
{
    bool added;
    uint64_t *vote = oracle_map_put(&oracle->votes, member, term, &added);

    if (added)
        *vote = candidate;
    if (*vote != candidate)
        sim_fail(oracle->sim, "one vote per term", "n%u (member %llu) has voted in term %llu for member %llu and %llu",
                 number + 1, (unsigned long long)member, (unsigned long long)term, (unsigned long long)*vote,
                 (unsigned long long)candidate);
}

static uint32_t voters_among(const struct sim_oracle *oracle, const struct raft_configuration *configuration,
                             uint64_t nodes, bool outgoing, uint32_t *voters)
{
    uint32_t found = 0;

    *voters = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_member *member = &configuration->members[i];

        if (outgoing ? !member->outgoing : member->role != RAFT_VOTER)
            continue;
        *voters += 1;
        found += (nodes & oracle_node_bit(oracle, member->id)) != 0;
    }
    return found;
}

static bool wanted_by(const struct sim_oracle *oracle, const struct raft_configuration *configuration, uint64_t nodes)
{
    uint32_t voters, found = voters_among(oracle, configuration, nodes, false, &voters);

    if (configuration->count == 0 || found <= voters / 2)
        return false;
    found = voters_among(oracle, configuration, nodes, true, &voters);
    return voters == 0 || found > voters / 2;
}

static uint64_t voted_for(const struct sim_oracle *oracle, const struct raft_configuration *configuration,
                          uint64_t term, uint64_t candidate)
{
    uint64_t nodes = 0;

    for (uint32_t i = 0; i < configuration->count; i++) {
        const uint64_t *vote = oracle_map_find(&oracle->votes, configuration->members[i].id, term);

        if (configuration->members[i].id == candidate || (vote && *vote == candidate))
            nodes |= oracle_node_bit(oracle, configuration->members[i].id);
    }
    return nodes;
}

/*
 * "A candidate wins an election if it receives votes from a majority of the servers in the full cluster for the same
 * term" (3.4): as many must have been sent, and its own must be on its disk (3.8).
 */
void oracle_elected(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    const struct raft_status *now = &view->status;
    uint64_t voters = voted_for(oracle, view->configuration, now->term, now->self);

    if (!wanted_by(oracle, view->configuration, voters) &&
        !wanted_by(oracle, &node->in_force, voted_for(oracle, &node->in_force, now->term, now->self)))
        sim_fail(oracle->sim, "elected by a majority", "n%u leads term %llu with the votes of nodes %#llx",
                 view->number + 1, (unsigned long long)now->term, (unsigned long long)voters);
    if (!view->vote_known)
        return;
    for (int i = 0; i < 2; i++)
        if (view->vote_term[i] != now->term || view->vote[i] != now->self)
            sim_fail(oracle->sim, "persist before send",
                     "n%u leads term %llu; vote file %d on its disk holds term %llu and a vote for %llu",
                     view->number + 1, (unsigned long long)now->term, i, (unsigned long long)view->vote_term[i],
                     (unsigned long long)view->vote[i]);
}

/*
 * "In the Pre-Vote algorithm, a candidate only increments its term if it first learns from a majority of the cluster
 * that they would be willing to grant the candidate their votes" (9.6); the other way into a candidacy is the leader's
 * TimeoutNow (3.10). And nobody else begins a term: who enters one without standing in it has heard of somebody who
 * did.
 */
void oracle_candidacy(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    const struct raft_status *now = &view->status;
    struct oracle_term *term;
    uint64_t self = UINT64_C(1) << view->number;

    if (now->term == node->seen.term && now->role == node->seen.role)
        return;
    if (now->term == 0)
        return;
    term = oracle_term(oracle, now->term);
    if (now->role == RAFT_CANDIDATE || now->role == RAFT_LEADER || now->vote == now->self) {
        const uint64_t *granted = oracle_map_find(&oracle->willing, now->term, view->number);
        uint64_t willing = self | (granted ? *granted : 0);

        if (!(term->candidates & self) && !(willing & ORACLE_TOLD) &&
            !wanted_by(oracle, view->configuration, willing) && !wanted_by(oracle, &node->in_force, willing))
            sim_fail(oracle->sim, "pre-vote", "n%u stands for term %llu although only nodes %#llx would vote for it",
                     view->number + 1, (unsigned long long)now->term, (unsigned long long)willing);
        term->candidates |= self;
    } else if (now->term > node->seen.term && term->candidates == 0) {
        sim_fail(oracle->sim, "pre-vote", "n%u entered term %llu although nobody ever stood in it", view->number + 1,
                 (unsigned long long)now->term);
    }
}
