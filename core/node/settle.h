/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle.h - what the end of an entry point has to look at. [loop]
 *
 * Most events change little: an append comes, its answer, a write is durable. So each settle looks only at what was
 * noted in node->look, and whoever changes what a bit stands for sets it. Whatever has to be tried again with the next
 * event, whichever that is, sets its bit again while it is looked at. Seldom entry points note everything.
 *
 * A bit that somebody forgot to set is found by the simulator: of a seed that runs twice, the second run looks at
 * everything each time (node_setup.looks_at_all), and has to leave the same trace.
 */
#ifndef CORE_NODE_SETTLE_H
#define CORE_NODE_SETTLE_H

#include <stdint.h>

struct node;

enum node_look {
    NODE_LOOK_APPLIER = 1 << 0, /* entries to apply, reads to serve, snapshots to take, install or send */
    NODE_LOOK_MEMBERS = 1 << 1, /* configurations, what is committed of them, who waits for a change or has to join */
    NODE_LOOK_SAVES = 1 << 2,   /* administrators who wait for a snapshot */
    NODE_LOOK_DUE = 1 << 3,     /* when a peer is to be dialled, checked, or sent a piece of a snapshot */
    NODE_LOOK_ALL = (1 << 4) - 1,
};

/* The end of an entry point that may have changed anything; and of one of which node->look says all. */
void node_settle(struct node *node);
void settle_changed(struct node *node);

/* Note what a message of this type (0: a greeting) may change beyond the effects of the algorithm. */
void settle_message(struct node *node, uint64_t type);
/* What an effect of this type (enum raft_effect_type) changes. */
uint32_t settle_effect(uint32_t type);

#endif
