/* SPDX-License-Identifier: Apache-2.0 */
/* oracle_state.c - what the logs make of the machines: the same everywhere, each write once, time never backwards. */
#include "oracle_memory.h"

#include <string.h>

#include "core/codec/value.h"

static void differs(struct sim_oracle *oracle, struct oracle_node *node, const char *invariant, uint64_t index,
                    uint64_t here, uint64_t there)
{
    sim_fail(oracle->sim, invariant, "n%u has %016llx at index %llu, others had %016llx",
             oracle_number(oracle, node) + 1, (unsigned long long)here, (unsigned long long)index,
             (unsigned long long)there);
}

/*
 * "Since the state machines are deterministic, each computes the same state and the same sequence of outputs" (2.1),
 * whether it got there by the log or by a snapshot (5.1): snapshot equivalence.
 */
void oracle_digest(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t digest)
{
    /* One may be wrong, and whom it has led may be: it is looked at again when all agree (fate_flip.c). */
    if (oracle->sim->flipped || oracle->sim->flip_spread)
        return;
    digest += digest == 0;
    oracle->digests = oracle_grow(oracle->digests, &oracle->digest_capacity, index + 1, sizeof *oracle->digests);
    if (oracle->digests[index] == 0)
        oracle->digests[index] = digest;
    if (oracle->digests[index] != digest)
        differs(oracle, node, "digest equality", index, digest, oracle->digests[index]);
}

/* What they agree on may be what was flipped: a majority is right by definition, and we are not asked. */
void sim_oracle_agree_again(struct sim_oracle *oracle)
{
    if (oracle->digest_capacity)
        memset(oracle->digests, 0, oracle->digest_capacity * sizeof *oracle->digests);
    oracle_map_free(&oracle->sampled);
}

/* What the nodes tell each other of themselves. */
void oracle_sample(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t digest)
{
    bool added;
    uint64_t *known;

    if (oracle->sim->flipped || oracle->sim->flip_spread)
        return;
    known = oracle_map_put(&oracle->sampled, index, 0, &added);
    if (added)
        *known = digest;
    if (*known != digest)
        differs(oracle, node, "digest equality", index, digest, *known);
}

/*
 * "lastApplied: index of highest log entry applied to state machine (initialized to 0, increases monotonically)"
 * (figure 3.1); and with it rises the clock of the cluster, by which sessions expire (6.3: the leader's, in the log).
 */
void oracle_applied(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t tick)
{
    if (index < node->applied && oracle->sim->options.flip_per_hour) {
        node->applied = index; /* a state that is built again goes through the log again, from its snapshot on */
        node->tick = 0;
    }
    if (index < node->applied)
        sim_fail(oracle->sim, "monotonic applied", "n%u went back from %llu to %llu", oracle_number(oracle, node) + 1,
                 (unsigned long long)node->applied, (unsigned long long)index);
    if (tick < node->tick)
        sim_fail(oracle->sim, "tick never back", "n%u went back from %llu to %llu", oracle_number(oracle, node) + 1,
                 (unsigned long long)node->tick, (unsigned long long)tick);
    if (index > oracle->committed_last)
        sim_fail(oracle->sim, "state-machine safety", "n%u has applied %llu, committed is up to %llu",
                 oracle_number(oracle, node) + 1, (unsigned long long)index,
                 (unsigned long long)oracle->committed_last);
    node->applied = index;
    node->tick = tick;
    oracle->ticks = oracle_grow(oracle->ticks, &oracle->tick_capacity, index + 1, sizeof *oracle->ticks);
    if (oracle->ticks[index] == 0)
        oracle->ticks[index] = tick + 1;
    if (oracle->ticks[index] != tick + 1)
        differs(oracle, node, "tick never back", index, tick, oracle->ticks[index] - 1);
}

/* A batch of the leader's, stamped: cluster time goes on from where the log had got to. */
void oracle_tick_made(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t before,
                      uint64_t tick)
{
    if (tick < before)
        sim_fail(oracle->sim, "tick never back", "n%u stamps %llu with %llu; the batch before has %llu",
                 oracle_number(oracle, node) + 1, (unsigned long long)index, (unsigned long long)tick,
                 (unsigned long long)before);
}

/*
 * "The session tracks the latest serial number processed for the client [...]. If a server receives a command whose
 * serial number has already been executed, it responds immediately without re-executing the request." (6.3)
 */
void oracle_session(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t session,
                    uint64_t sequence, bool duplicate, uint64_t first)
{
    bool added;
    uint64_t *known = oracle_map_put(&oracle->sessions, session, sequence, &added);
    uint64_t applied = duplicate ? first : index;

    if (added)
        *known = applied;
    if (*known != applied)
        sim_fail(oracle->sim, "exactly-once sessions",
                 "n%u applied write %llu of session %llu at %llu; it had been applied at %llu",
                 oracle_number(oracle, node) + 1, (unsigned long long)sequence, (unsigned long long)session,
                 (unsigned long long)applied, (unsigned long long)*known);
}

/*
 * A state machine is deterministic only if all that its commands depend on is in the log (2.1). The leader fills in
 * what a client left out; a default that each node filled in by itself, when it applies, would be another one where
 * another version runs.
 */
void oracle_complete(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index,
                     const struct gavel_fields *fields, struct gavel_slice map)
{
    const char *at = (const char *)fields->rows;

    for (uint64_t i = 0; i < fields->count; i++, at += fields->stride) {
        const struct gavel_field *row = (const struct gavel_field *)(const void *)at;

        if (row->fallback && !codec_map_find_number(map, row->id).data)
            sim_fail(oracle->sim, "logged commands are complete",
                     "n%u has logged a command at %llu that lacks its argument \"%s\"",
                     oracle_number(oracle, node) + 1, (unsigned long long)index, row->name);
    }
}

void oracle_over(struct sim_oracle *oracle, struct oracle_node *node, const char *what, uint64_t have, uint64_t limit)
{
    sim_fail(oracle->sim, "bounded resources", "n%u has %llu %s, the limit is %llu", oracle_number(oracle, node) + 1,
             (unsigned long long)have, what, (unsigned long long)limit);
}
