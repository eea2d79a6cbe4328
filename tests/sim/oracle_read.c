/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_read.c - linearizable reads see what was acknowledged before they were asked for. The clients' history says so
 * too, but only of the keys that somebody happened to read.
 */
#include "oracle_memory.h"

static void too_old(struct sim_oracle *oracle, const struct oracle_node *node, uint64_t index, uint64_t acknowledged)
{
    sim_fail(oracle->sim, "reads are confirmed",
             "n%u lets a read see what is committed up to %llu; clients knew of %llu before it was asked for",
             oracle_number(oracle, node) + 1, (unsigned long long)index, (unsigned long long)acknowledged);
}

void oracle_read_asked(struct sim_oracle *oracle, struct oracle_node *node, uint64_t id)
{
    while (node->reads_asked < id)
        node->reads[++node->reads_asked % ORACLE_READS] = oracle->acknowledged;
}

/*
 * "The leader needs to make sure it has not been superseded by a newer leader of which it is unaware. It issues a new
 * round of heartbeats and waits for their acknowledgments from a majority of the cluster" before it serves what was
 * asked (6.4, step 3): then its commit index is at least as large as any that was acknowledged before.
 */
void oracle_read_served(struct sim_oracle *oracle, struct oracle_node *node, uint64_t id, uint64_t index)
{
    if (id > node->reads_asked || id + ORACLE_READS <= node->reads_asked)
        return;
    if (index < node->reads[id % ORACLE_READS])
        too_old(oracle, node, index, node->reads[id % ORACLE_READS]);
}

/* The same for a follower, which asks the leader under an id that nobody uses twice. */
void oracle_read_requested(struct sim_oracle *oracle, const struct oracle_message *message)
{
    bool added;

    if (message->read)
        *oracle_map_put(&oracle->reads, message->read, message->from, &added) = oracle->acknowledged;
}

void oracle_read_answered(struct sim_oracle *oracle, const struct oracle_message *message)
{
    const uint64_t *asked =
        message->read ? oracle_map_find(&oracle->reads, message->read, message->to) : NULL;

    if (asked && !(message->flags & RAFT_READ_REFUSED) && message->index < *asked)
        too_old(oracle, &oracle->nodes[message->from], message->index, *asked);
}
