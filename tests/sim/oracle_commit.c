/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_commit.c - what is committed stays, is the same everywhere, and lay on a majority of disks before anybody said
 * so.
 */
#include "oracle_memory.h"

/* The position of the committed batch that holds an index that is committed. */
static uint64_t committed_at(const struct sim_oracle *oracle, uint64_t index)
{
    uint64_t low = 0, high = oracle->committed_count - 1;

    while (low < high) {
        uint64_t middle = (low + high) / 2;

        if (oracle_last(&oracle->batches[oracle->committed[middle]]) < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t oracle_committed(const struct sim_oracle *oracle, uint64_t index)
{
    return oracle->committed[committed_at(oracle, index)];
}

static bool joint(const struct raft_configuration *configuration)
{
    for (uint32_t i = 0; i < configuration->count; i++)
        if (configuration->members[i].outgoing)
            return true;
    return false;
}

static bool majority_holds(const struct sim_oracle *oracle, const struct raft_configuration *configuration,
                           const struct oracle_batch *batch, bool outgoing)
{
    uint32_t voters = 0, holders = 0;

    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_member *member = &configuration->members[i];

        if (outgoing ? !member->outgoing : member->role != RAFT_VOTER)
            continue;
        voters++;
        holders += (batch->held & oracle_member_bit(oracle, member->id)) != 0;
    }
    return holders > voters / 2;
}

static bool quorum_holds(const struct sim_oracle *oracle, const struct raft_configuration *configuration,
                         const struct oracle_batch *batch)
{
    return configuration->count && majority_holds(oracle, configuration, batch, false) &&
           (!joint(configuration) || majority_holds(oracle, configuration, batch, true));
}

/*
 * "A log entry is committed once the leader that created the entry has replicated it on a majority of the servers"
 * (3.5), which means on its disk (3.8). With joint consensus "agreement (for elections and entry commitment) requires
 * separate majorities from both the old and new configurations" (4.3).
 * A change of the configuration in the same event makes the one before count as well.
 */
static void durable_quorum(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view,
                           const struct oracle_batch *batch)
{
    if (quorum_holds(oracle, view->configuration, batch) || quorum_holds(oracle, &node->in_force, batch))
        return;
    sim_fail(oracle->sim, "durable quorum",
             "n%u has committed up to %llu in term %llu, which lies durably on members %#llx (bits) only",
             view->number + 1, (unsigned long long)oracle_last(batch), (unsigned long long)view->status.term,
             (unsigned long long)batch->held);
}

/*
 * The term in which it led when it committed: that of now, or of before the event in which it stepped down. "[A leader]
 * that is removed from the cluster [...] steps down (returns to follower state) once the Cnew log entry is committed"
 * (4.2.2), and here that is the same event. 0: it follows and has followed.
 */
static uint64_t term_led(const struct oracle_node *node, const struct oracle_view *view)
{
    if (view->status.role == RAFT_LEADER)
        return view->status.term;
    return node->seen.role == RAFT_LEADER ? node->seen.term : 0;
}

/*
 * "Raft never commits log entries from previous terms by counting replicas. Only log entries from the leader's current
 * term are committed by counting replicas." (3.6.2)
 */
static void commit_by_counting(struct sim_oracle *oracle, const struct oracle_view *view, uint64_t led,
                               const struct oracle_batch *batch)
{
    if (batch->term != led)
        sim_fail(oracle->sim, "commit of the own term",
                 "n%u leads term %llu and has committed up to %llu, an entry of term %llu", view->number + 1,
                 (unsigned long long)led, (unsigned long long)oracle_last(batch), (unsigned long long)batch->term);
}

/*
 * More is committed than ever was: a leader has counted who holds it. Leaders are looked at at the end of each of their
 * events, so nobody who follows can have heard of it before (3.5: "the leader keeps track of the highest index it knows
 * to be committed, and it includes that index in future AppendEntries RPCs").
 */
static void committed_first(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view,
                            const struct oracle_batch *batch)
{
    uint64_t led = term_led(node, view);

    if (!led)
        sim_fail(oracle->sim, "state-machine safety",
                 "n%u follows in term %llu and says that %llu is committed; no leader has committed it",
                 view->number + 1, (unsigned long long)view->status.term, (unsigned long long)view->status.commit);
    commit_by_counting(oracle, view, led, batch);
    durable_quorum(oracle, node, view, batch);
}

/* A configuration that has committed is what the next one must be adjacent to. */
static void committed_configuration(struct sim_oracle *oracle, const struct oracle_view *view,
                                    const struct oracle_batch *batch)
{
    struct raft_batch held;

    if (batch->kind != RAFT_BATCH_CONFIGURATION)
        return;
    oracle->configuration_committed = batch->first;
    if (view->batch_at(view->ctx, batch->first, &held) && held.configuration)
        oracle->committed_configuration = *held.configuration;
}

/*
 * State Machine Safety: "if a server has applied a log entry at a given index to its state machine, no other server
 * will ever apply a different log entry for the same index." (figure 3.2). What one commits all others must commit:
 * the batch and, by its chain, everything before it.
 */
static void commit_new(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    const uint32_t *log = node->log + node->head;
    uint64_t at = node->count;

    while (at && oracle_last(&oracle->batches[log[at - 1]]) > oracle->committed_last)
        at--;
    if (at && oracle->committed_count && log[at - 1] != oracle->committed[oracle->committed_count - 1])
        sim_fail(oracle->sim, "state-machine safety",
                 "n%u commits behind %llu a log that differs there from what is committed", view->number + 1,
                 (unsigned long long)oracle->committed_last);
    for (; at < node->count; at++) {
        struct oracle_batch *batch = &oracle->batches[log[at]];

        if (oracle_last(batch) > view->status.commit)
            break;
        if (batch->first != oracle->committed_last + 1)
            sim_fail(oracle->sim, "state-machine safety", "n%u commits a batch at %llu, but committed is up to %llu",
                     view->number + 1, (unsigned long long)batch->first, (unsigned long long)oracle->committed_last);
        oracle->committed = oracle_grow(oracle->committed, &oracle->committed_capacity, oracle->committed_count + 1,
                                        sizeof *oracle->committed);
        oracle->committed[oracle->committed_count++] = log[at];
        oracle->committed_last = oracle_last(batch);
        batch->committed = 1;
        committed_configuration(oracle, view, batch);
    }
    if (oracle->step_count && oracle->steps[oracle->step_count - 1].term >= view->status.term) {
        oracle->steps[oracle->step_count - 1].index = oracle->committed_last;
        return;
    }
    oracle->steps = oracle_grow(oracle->steps, &oracle->step_capacity, oracle->step_count + 1, sizeof *oracle->steps);
    oracle->steps[oracle->step_count++] =
        (struct oracle_step){.term = view->status.term, .index = oracle->committed_last};
}

/* Newly committed entries, against those that lead already in a later term. */
static void later_leaders(struct sim_oracle *oracle, uint64_t term)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        struct oracle_node *other = &oracle->nodes[i];

        if (other->alive && other->seen.role == RAFT_LEADER && other->seen.term > term)
            oracle_leader_completeness(oracle, other, other->seen.term, other->seen.base_index);
    }
}

/*
 * What a snapshot stands for is a prefix of what is committed (5.1: "each server takes snapshots independently,
 * covering just the committed entries in its log").
 */
void oracle_snapshot_is(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint32_t chain)
{
    const struct oracle_batch *batch;

    if (index == 0)
        return;
    if (index > oracle->committed_last)
        sim_fail(oracle->sim, "state-machine safety", "n%u has a snapshot of %llu, committed is up to %llu",
                 oracle_number(oracle, node) + 1, (unsigned long long)index,
                 (unsigned long long)oracle->committed_last);
    batch = &oracle->batches[oracle_committed(oracle, index)];
    if (oracle_last(batch) != index || batch->chain != chain)
        sim_fail(oracle->sim, "state-machine safety", "n%u has a snapshot of %llu with chain %08x, committed is %08x",
                 oracle_number(oracle, node) + 1, (unsigned long long)index, chain, batch->chain);
}

void oracle_commit_follow(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    const struct raft_status *now = &view->status;
    uint32_t number;

    if (now->commit == node->seen.commit)
        return;
    number = oracle_in_log(oracle, node, now->commit);
    if (number == ORACLE_NONE) {
        if (now->commit > oracle->committed_last)
            sim_fail(oracle->sim, "state-machine safety", "n%u says that %llu is committed; nobody has committed it",
                     view->number + 1, (unsigned long long)now->commit);
        if (now->commit == now->last_index)
            oracle_snapshot_is(oracle, node, now->commit, now->last_chain);
        return;
    }
    if (now->role == RAFT_LEADER && node->seen.role == RAFT_LEADER && node->seen.term == now->term)
        commit_by_counting(oracle, view, now->term, &oracle->batches[number]);
    if (now->commit > oracle->committed_last) {
        committed_first(oracle, node, view, &oracle->batches[number]);
        commit_new(oracle, node, view);
        later_leaders(oracle, now->term);
    } else if (oracle_committed(oracle, now->commit) != number) {
        sim_fail(oracle->sim, "state-machine safety",
                 "n%u commits at %llu a batch of term %llu where another one is committed, of term %llu",
                 view->number + 1, (unsigned long long)now->commit, (unsigned long long)oracle->batches[number].term,
                 (unsigned long long)oracle->batches[oracle_committed(oracle, now->commit)].term);
    }
}

/*
 * Leader Completeness: "if a log entry is committed in a given term, then that entry will be present in the logs of the
 * leaders for all higher-numbered terms." (figure 3.2, section 3.6)
 */
void oracle_leader_completeness(struct sim_oracle *oracle, struct oracle_node *node, uint64_t term, uint64_t base)
{
    uint64_t index = 0;

    for (uint64_t i = oracle->step_count; i-- > 0 && index == 0;)
        if (oracle->steps[i].term < term)
            index = oracle->steps[i].index;
    if (index <= base)
        return;
    if (oracle_in_log(oracle, node, index) != oracle_committed(oracle, index))
        sim_fail(oracle->sim, "leader completeness",
                 "n%u leads term %llu without the entry %llu, which was committed before",
                 oracle_number(oracle, node) + 1, (unsigned long long)term, (unsigned long long)index);
}

/*
 * What was acknowledged is never silently absent from a cluster that goes on: damage may have hit a majority, and then
 * that must have stopped (a node that lost what it promised neither votes nor counts). So whoever leads, and has
 * committed in its own term, has committed all of it.
 */
void oracle_goes_on(struct sim_oracle *oracle, struct oracle_node *node)
{
    if (oracle->acknowledged > node->seen.commit)
        sim_fail(oracle->sim, "acknowledged",
                 "n%u leads term %llu on and has committed up to %llu; a client was told of %llu",
                 oracle_number(oracle, node) + 1, (unsigned long long)node->seen.term,
                 (unsigned long long)node->seen.commit, (unsigned long long)oracle->acknowledged);
}

/*
 * What a client was told is done must be committed; and what is committed lay on a durable quorum when it was.
 */
void sim_oracle_acknowledged(struct sim_oracle *oracle, uint64_t index)
{
    if (index > oracle->committed_last)
        sim_fail(oracle->sim, "acknowledged", "a client was told of %llu, committed is up to %llu",
                 (unsigned long long)index, (unsigned long long)oracle->committed_last);
    if (index > oracle->acknowledged)
        oracle->acknowledged = index;
}
