/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.h - what must be true after every event, whatever happened. It looks into the nodes (core/node/internal.h) but
 * never changes them, and it remembers what they forgot in crashes: what was sent, acknowledged, committed and applied.
 */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include "sim.h"

struct sim_oracle *sim_oracle_new(struct sim *sim);
struct sim_oracle *sim_oracle_free(struct sim_oracle *oracle);

/* A life has begun (node_new has returned, node_start not yet been called): is what was recovered what must be there?
 */
void sim_oracle_started(struct sim_oracle *oracle, struct sim_node *node);

/* It refused to start with node->exit_code: was there a reason to (damage, its disk)? */
void sim_oracle_refused(struct sim_oracle *oracle, struct sim_node *node);

/* The life is over (crash, stop or fatal). Called before node_free. */
void sim_oracle_ended(struct sim_oracle *oracle, struct sim_node *node);

/* Something changed at this node: look at it. The hot path: it costs O(what changed). */
void sim_oracle_step(struct sim_oracle *oracle, struct sim_node *node);

/* A node has sent one whole message; `to` is NULL for a client. Called from within the node's send. */
void sim_oracle_sent(struct sim_oracle *oracle, struct sim_node *from, struct sim_node *to, struct gavel_slice message);

struct apply_record;

/* A node has applied an entry: each of them, while the event at the end of which the node is looked at is under way. */
void sim_oracle_applied(struct sim_oracle *oracle, const struct sim_node *node, const struct apply_record *record);

/* A client has seen a write acknowledged at this index. */
void sim_oracle_acknowledged(struct sim_oracle *oracle, uint64_t index);

/* Whether the batch of this number (load.h) is known to have committed. */
bool sim_oracle_has_committed(const struct sim_oracle *oracle, uint64_t batch);

/* A flipped state had spread, and all members agree on one again: from now on digests count, those of before do not. */
void sim_oracle_agree_again(struct sim_oracle *oracle);

/* The disk of this node is gone or was damaged on purpose: what it promised may be broken, the others' promises not. */
void sim_oracle_damaged(struct sim_oracle *oracle, struct sim_node *node);

/* Nothing moves any more, for damage has hit too many: nobody may go on waiting for what can never come. */
void sim_oracle_stands_still(struct sim_oracle *oracle);

/* At the end: digests equal, logs equal, nothing acknowledged missing where somebody leads. Unless the world stands
 * still everything was healed, and nothing waits any more. */
void sim_oracle_finish(struct sim_oracle *oracle, bool stands_still);

#endif
