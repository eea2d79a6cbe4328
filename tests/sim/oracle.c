/* SPDX-License-Identifier: Apache-2.0 */
/* oracle.c - election safety and terms that never go back; see oracle.h. */
#include "oracle.h"

#include <stdlib.h>

#include "core/node/internal.h"

struct sim_oracle {
    struct sim *sim;
    uint64_t terms[SIM_NODES_MAX];
    uint64_t led[SIM_NODES_MAX]; /* the newest term that each one led */
};

struct sim_oracle *sim_oracle_new(struct sim *sim)
{
    struct sim_oracle *oracle = calloc(1, sizeof *oracle);

    oracle->sim = sim;
    return oracle;
}

struct sim_oracle *sim_oracle_free(struct sim_oracle *oracle)
{
    free(oracle);
    return NULL;
}

void sim_oracle_started(struct sim_oracle *oracle, struct sim_node *node)
{
    (void)oracle;
    (void)node;
}

void sim_oracle_refused(struct sim_oracle *oracle, struct sim_node *node)
{
    (void)oracle;
    (void)node;
}

void sim_oracle_ended(struct sim_oracle *oracle, struct sim_node *node)
{
    (void)oracle;
    (void)node;
}

void sim_oracle_step(struct sim_oracle *oracle, struct sim_node *node)
{
    uint64_t term = node->node->term;

    if (node->node->role != RAFT_LEADER || oracle->led[node->number] == term)
        return;
    oracle->led[node->number] = term;
    oracle->sim->totals.elections++;
    for (uint32_t i = 0; i < oracle->sim->node_count; i++)
        if (i != node->number && oracle->led[i] == term)
            sim_fail(oracle->sim, "election-safety", "%s and n%u lead in term %llu", node->name, i + 1,
                     (unsigned long long)term);
}

void sim_oracle_sent(struct sim_oracle *oracle, struct sim_node *from, struct sim_node *to, struct gavel_slice message)
{
    (void)oracle;
    (void)from;
    (void)to;
    (void)message;
}

void sim_oracle_acknowledged(struct sim_oracle *oracle, uint64_t index)
{
    (void)oracle;
    (void)index;
}

void sim_oracle_damaged(struct sim_oracle *oracle, struct sim_node *node)
{
    (void)oracle;
    (void)node;
}

void sim_oracle_finish(struct sim_oracle *oracle)
{
    (void)oracle;
}
