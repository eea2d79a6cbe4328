/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_recovery.c - what a start finds, held against what the node has promised in its earlier lives. The simulated
 * disk keeps what was synced; so whatever was ever acknowledged must be there again, unless the disk was damaged on
 * purpose, and then the node must have noticed.
 */
#include "oracle_memory.h"

#include "core/log/log.h"

static void wrong_start(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_start *start,
                        const char *why)
{
    static const char *const names[] = {"fresh", "ok", "torn", "recovering"};

    sim_fail(oracle->sim, "sound recovery", "n%u starts as \"%s\" (%s), %s; promised: log up to %llu, term %llu",
             oracle_number(oracle, node) + 1, names[start->start], start->text, why,
             (unsigned long long)node->promised, (unsigned long long)node->sent_term);
}

/* "Each server persists its current term and vote; this is necessary to prevent the server from voting twice in the
 * same term or replacing log entries from a newer leader with those from a deposed leader." (3.8) */
static void vote_kept(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_start *start)
{
    const uint64_t *vote = NULL;

    if (start->term < node->sent_term)
        sim_fail(oracle->sim, "monotonic term", "n%u starts in term %llu after it has spoken in term %llu",
                 oracle_number(oracle, node) + 1, (unsigned long long)start->term,
                 (unsigned long long)node->sent_term);
    if (node->member && start->term)
        vote = oracle_map_find(&oracle->votes, node->member, start->term);
    if (vote && *vote != start->vote)
        sim_fail(oracle->sim, "one vote per term", "n%u starts in term %llu with its vote for %llu; it was for %llu",
                 oracle_number(oracle, node) + 1, (unsigned long long)start->term, (unsigned long long)start->vote,
                 (unsigned long long)*vote);
}

/* Whether it holds, above a snapshot, what it had promised and what has been committed of that. */
static bool holds_again(struct sim_oracle *oracle, struct oracle_node *node, uint64_t base)
{
    uint64_t needed = node->refetch < oracle->committed_last ? node->refetch : oracle->committed_last;

    return needed <= base || oracle_in_log(oracle, node, needed) == oracle_committed(oracle, needed);
}

/*
 * The recovery table's promise: torn is what was never acknowledged; damage in what was durable is never cut away, and
 * nothing else is called damage.
 */
void oracle_sound_recovery(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_start *start,
                           uint32_t promised_batch)
{
    uint64_t promised = node->acked > node->promised ? node->acked : node->promised;
    const struct oracle_batch *last = promised_batch == ORACLE_NONE ? NULL : &oracle->batches[promised_batch];
    bool kept = promised <= start->snapshot_index ||
                (last && oracle_in_log(oracle, node, oracle_last(last)) == promised_batch);

    if (start->start == LOG_START_RECOVERING) {
        if (!start->damaged && !node->refetching)
            wrong_start(oracle, node, start, "but nothing on its disk was damaged");
        if (!node->refetching)
            node->refetch = promised;
        node->refetching = true;
        return;
    }
    if (start->start == LOG_START_FRESH) {
        if (promised || node->sent_term)
            wrong_start(oracle, node, start, "having forgotten everything");
        return;
    }
    if (node->refetching && !holds_again(oracle, node, start->snapshot_index))
        wrong_start(oracle, node, start, "but it has not fetched again what was damaged");
    node->refetching = false; /* it had: the power went before it could tell */
    node->refetch = 0;
    if (!kept)
        wrong_start(oracle, node, start, "but what it promised is not in its log");
    vote_kept(oracle, node, start);
    oracle_snapshot_is(oracle, node, start->snapshot_index, start->snapshot_chain);
}

/*
 * A node whose log was damaged counts again when it holds what it had promised and what has been committed of that:
 * else a majority could stand on an acknowledgement whose entry is gone.
 */
void oracle_recovered(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    if (!node->refetching || view->status.recovering)
        return;
    if (!holds_again(oracle, node, view->status.base_index))
        sim_fail(oracle->sim, "end of recovery",
                 "n%u counts as whole again with a log up to %llu; it had promised %llu, and %llu is committed",
                 view->number + 1, (unsigned long long)view->status.last_index, (unsigned long long)node->refetch,
                 (unsigned long long)oracle->committed_last);
    node->refetching = false;
    node->refetch = 0;
    node->durable = 0; /* all of its log is held from now on */
}

/* The newest committed configuration is one without this node. */
static bool was_removed(const struct sim_oracle *oracle, const struct oracle_node *node)
{
    const struct raft_configuration *configuration = &oracle->committed_configuration;

    for (uint32_t i = 0; i < configuration->count; i++)
        if (configuration->members[i].id == node->member)
            return false;
    return node->member && oracle->configuration_committed;
}

/*
 * Which exit is whose: 65 is damage, 74 is a disk that answers with errors or is full, 78 is a member that was removed,
 * or a plugin that is older than the state version in force: all members had a newer one when that came into force, so
 * it is of a node that has waited since before that to be added. 70 is our own fault and never right.
 */
void oracle_sound_refusal(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_exit *exit)
{
    bool reason = exit->code == 65 ? exit->damaged : exit->code == 74 ? exit->disk_trouble : false;

    if (exit->code == 78)
        reason = was_removed(oracle, node) || exit->plugin < oracle->state_version;

    if (!reason)
        sim_fail(oracle->sim, "sound recovery", "n%u leaves with %d without a reason: %s",
                 oracle_number(oracle, node) + 1, exit->code, exit->said);
}
