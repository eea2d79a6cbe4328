/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_log.c - the logs: what every node holds, which batches there ever were, and on whose disks they lie.
 *
 * A batch carries a chain checksum over itself and all before it. So one number says of two logs whether they are equal
 * up to there, and the oracle needs to look only at what is new.
 */
#include "oracle_memory.h"

#include <assert.h>

struct oracle_term *oracle_term(struct sim_oracle *oracle, uint64_t term)
{
    oracle->terms = oracle_grow(oracle->terms, &oracle->term_capacity, term + 1, sizeof *oracle->terms);
    if (term > oracle->largest_term)
        oracle->largest_term = term;
    return &oracle->terms[term];
}

/*
 * Election Safety: "at most one leader can be elected in a given term." (figure 3.2, section 3.4)
 */
void oracle_election_safety(struct sim_oracle *oracle, uint64_t term, uint64_t leader, uint32_t number)
{
    struct oracle_term *known = oracle_term(oracle, term);

    if (known->leader && known->leader != leader)
        sim_fail(oracle->sim, "election safety", "n%u (member %llu) leads in term %llu, as member %llu did", number + 1,
                 (unsigned long long)leader, (unsigned long long)term, (unsigned long long)known->leader);
    if (!known->leader)
        oracle->sim->totals.elections++;
    known->leader = leader;
}

uint32_t oracle_in_log(const struct sim_oracle *oracle, const struct oracle_node *node, uint64_t index)
{
    const uint32_t *log = node->log + node->head;
    uint64_t low = 0, high = node->count;

    while (low < high) {
        uint64_t middle = (low + high) / 2;

        if (oracle_last(&oracle->batches[log[middle]]) < index)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == node->count || oracle->batches[log[low]].first > index)
        return ORACLE_NONE;
    return log[low];
}

void oracle_log_restart(struct oracle_node *node)
{
    node->head = 0;
    node->count = 0;
    node->durable = 0;
    node->configuration = 0;
}

static uint64_t log_end(const struct sim_oracle *oracle, const struct oracle_node *node)
{
    return node->count ? oracle_last(&oracle->batches[node->log[node->head + node->count - 1]]) : 0;
}

/*
 * A batch that nobody has seen before can only come from the leader of its term, behind all that it made before: who
 * leads is looked at at the end of each of its events, so before anybody else can have heard of what it made. That
 * there are never two batches of one term at one place is what Log Matching rests on (3.5: "a leader creates at most
 * one entry with a given log index in a given term, and log entries never change their position in the log").
 */
static uint32_t make_batch(struct sim_oracle *oracle, struct oracle_node *node, const struct raft_batch *batch)
{
    struct oracle_term *term = oracle_term(oracle, batch->term);
    uint32_t number = (uint32_t)oracle->batch_count;

    if (term->leader != node->member)
        sim_fail(oracle->sim, "log matching",
                 "n%u (member %llu) holds a batch at %llu of term %llu that nobody made: member %llu leads that term",
                 oracle_number(oracle, node) + 1, (unsigned long long)node->member, (unsigned long long)batch->first,
                 (unsigned long long)batch->term, (unsigned long long)term->leader);
    if (term->last && batch->first != term->last + 1)
        sim_fail(oracle->sim, "log matching",
                 "n%u holds a batch %llu..%llu of term %llu that nobody made: its leader's last was %llu",
                 oracle_number(oracle, node) + 1, (unsigned long long)batch->first,
                 (unsigned long long)(batch->first + batch->count - 1), (unsigned long long)batch->term,
                 (unsigned long long)term->last);
    if (!term->first)
        term->first = batch->first;
    term->last = batch->first + batch->count - 1;
    oracle->batches =
        oracle_grow(oracle->batches, &oracle->batch_capacity, oracle->batch_count + 1, sizeof *oracle->batches);
    oracle->batches[oracle->batch_count++] = (struct oracle_batch){.first = batch->first,
                                                                   .term = batch->term,
                                                                   .count = batch->count,
                                                                   .chain = batch->chain,
                                                                   .kind = batch->kind};
    return number;
}

/*
 * Log Matching: "if two logs contain an entry with the same index and term, then the logs are identical in all entries
 * up through the given index." (figure 3.2, section 3.5)
 */
uint32_t oracle_log_push(struct sim_oracle *oracle, struct oracle_node *node, const struct raft_batch *batch,
                         bool may_be_new)
{
    bool added;
    uint64_t *number = oracle_map_put(&oracle->by_place, batch->term, batch->first, &added);
    const struct oracle_batch *known;

    if (added && !may_be_new)
        sim_fail(oracle->sim, "log matching", "n%u found a batch at %llu of term %llu in its log that was never there",
                 oracle_number(oracle, node) + 1, (unsigned long long)batch->first, (unsigned long long)batch->term);
    if (added)
        *number = make_batch(oracle, node, batch) + UINT64_C(1);
    known = &oracle->batches[*number - 1];
    if (known->chain != batch->chain || known->count != batch->count)
        sim_fail(oracle->sim, "log matching",
                 "n%u holds at %llu of term %llu %u entries with chain %08x, others held %u with chain %08x",
                 oracle_number(oracle, node) + 1, (unsigned long long)batch->first, (unsigned long long)batch->term,
                 batch->count, batch->chain, known->count, known->chain);
    if (node->head > 4096 && node->head > node->count) { /* what was compacted makes room */
        for (uint64_t i = 0; i < node->count; i++)
            node->log[i] = node->log[node->head + i];
        node->head = 0;
    }
    node->log = oracle_grow(node->log, &node->log_capacity, node->head + node->count + 1, sizeof *node->log);
    node->log[node->head + node->count++] = (uint32_t)(*number - 1);
    if (batch->kind == RAFT_BATCH_CONFIGURATION)
        node->configuration = batch->first;
    return (uint32_t)(*number - 1);
}

static void forget(uint64_t *index, uint64_t end)
{
    if (*index > end)
        *index = end;
}

static uint64_t configuration_before(const struct sim_oracle *oracle, const struct oracle_node *node)
{
    for (uint64_t at = node->count; at-- > 0;)
        if (oracle->batches[node->log[node->head + at]].kind == RAFT_BATCH_CONFIGURATION)
            return oracle->batches[node->log[node->head + at]].first;
    return 0;
}

/*
 * Leader Append-Only: "a leader never overwrites or deletes entries in its log; it only appends new entries."
 * (figure 3.2)
 */
static void pop(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    struct oracle_batch *gone = &oracle->batches[node->log[node->head + --node->count]];
    const struct raft_status *seen = &node->seen;

    if (seen->role == RAFT_LEADER && view->status.role == RAFT_LEADER && seen->term == view->status.term)
        sim_fail(oracle->sim, "leader append-only", "n%u leads term %llu and has dropped its entries from %llu on",
                 view->number + 1, (unsigned long long)seen->term, (unsigned long long)gone->first);
    if (gone->first == node->configuration)
        node->configuration = configuration_before(oracle, node);
    gone->held &= ~node->bit;
    forget(&node->durable, gone->first - 1);
    forget(&node->on_disk, gone->first - 1);
    forget(&node->promised, gone->first - 1);
    forget(&node->acked, gone->first - 1);
}

/* Whether the node still has what was its last batch. */
static bool end_stands(const struct sim_oracle *oracle, const struct oracle_node *node, const struct oracle_view *view)
{
    const struct oracle_batch *end = &oracle->batches[node->log[node->head + node->count - 1]];
    const struct raft_status *now = &view->status;
    uint64_t last = oracle_last(end);
    struct raft_batch held;

    if (last > now->last_index)
        return false;
    if (last == now->last_index)
        return now->last_chain == end->chain;
    if (last == now->base_index)
        return true; /* its chain is below what was compacted, and the next batch's chain rests on it */
    return view->batch_at(view->ctx, last, &held) && held.chain == end->chain;
}

void oracle_log_follow(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    const struct raft_status *now = &view->status;
    uint64_t next;

    if (now->last_index == node->seen.last_index && now->last_chain == node->seen.last_chain &&
        now->base_index == node->seen.base_index)
        return;
    if (node->count && log_end(oracle, node) < now->base_index) {
        node->head += node->count; /* a snapshot has taken the place of all */
        node->count = 0;
        node->durable = now->base_index;
    }
    if (node->count && !end_stands(oracle, node, view))
        oracle->sim->totals.truncations++;
    while (node->count && !end_stands(oracle, node, view))
        pop(oracle, node, view);
    next = node->count ? log_end(oracle, node) + 1 : now->base_index + 1;
    while (next <= now->last_index) {
        struct raft_batch batch = {0};

        if (!view->batch_at(view->ctx, next, &batch) || batch.first != next)
            sim_fail(oracle->sim, "log matching", "n%u has no batch at %llu although its log ends at %llu",
                     view->number + 1, (unsigned long long)next, (unsigned long long)now->last_index);
        (void)oracle_log_push(oracle, node, &batch, true);
        next += batch.count;
    }
    if (now->base_index > node->seen.base_index && now->base_index < now->last_index &&
        now->base_index < node->seen.last_index) /* what an installed snapshot leaves is nothing, or not the same */
        oracle->sim->totals.compactions++;
    while (node->count && oracle_last(&oracle->batches[node->log[node->head]]) < now->base_index) {
        node->head++;
        node->count--;
    }
}

/*
 * What lies on its disk, by the word of the node: the ground on which a quorum stands. What a node that fetches a
 * damaged log again holds counts when it has all of it (a recovering node "counts as a learner").
 */
void oracle_held_follow(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view)
{
    const struct raft_status *now = &view->status;
    uint64_t durable = now->durable_index < now->last_index ? now->durable_index : now->last_index;
    uint64_t at;

    /* An install replaces the whole log: only what is committed is sure to come through it. */
    node->promised = now->installing && now->commit < durable ? now->commit : durable;
    if (now->recovering || durable <= node->durable)
        return;
    for (at = node->head + node->count; at > node->head; at--)
        if (oracle_last(&oracle->batches[node->log[at - 1]]) <= node->durable)
            break;
    for (; at < node->head + node->count; at++) {
        struct oracle_batch *batch = &oracle->batches[node->log[at]];

        if (oracle_last(batch) > durable)
            break;
        batch->held |= node->bit;
    }
    node->durable = durable;
}
