/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fate_flip.c - the state of one machine changes by itself: a record is there that no log holds. One node at a time, a
 * follower. It has to be found and fenced; whoever operates has it rebuilt; at the end it is like all others. What is
 * read there until it is found nobody promises: the record is one that no client asks for.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/internal.h"
#include "core/raft/internal.h"
#include "disk.h"
#include "fate_internal.h"
#include "node.h"
#include "oracle.h"

#define ASK_MS 10000
#define AGAIN_NS (20 * SIM_S) /* an operator waits so long before asking for a rebuild again */

static void nothing(void *context, const struct gavel_event *event)
{
    (void)context, (void)event;
}

static void put_slice(unsigned char *arguments, const struct gavel_fields *fields, const char *name,
                      struct gavel_slice slice)
{
    for (uint64_t i = 0; i < fields->count; i++) {
        const struct gavel_field *row =
            (const struct gavel_field *)(const void *)((const char *)fields->rows + i * fields->stride);

        if (strcmp(row->name, name) == 0)
            memcpy(arguments + row->offset, &slice, sizeof slice);
    }
}

/* The machine's `register_node`, run by this one alone. */
static bool flip(struct node *node)
{
    const struct gavel_statemachine *operations = node->setup.machines[0].operations;
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;
    struct codec_writer writer;
    struct gavel_reply reply = {.size = sizeof reply, .out = codec_writer_begin(&writer, &out), .emit = nothing,
                                .error = &error};
    struct gavel_call call = {.size = sizeof call, .index = node->applied, .term = node->term, .machine = 1,
                              .state_version = node->settings->machines[0].version};
    int32_t status = GAVEL_E_NOT_FOUND;

    for (uint64_t i = 0; i < operations->command_count; i++) {
        const struct gavel_command *command = &operations->commands[i];
        unsigned char *arguments;

        if (strcmp(command->name, "register_node") != 0)
            continue;
        arguments = calloc(1, command->arguments->struct_size);
        assert(arguments);
        put_slice(arguments, command->arguments, "node_id", gavel_text("flipped"));
        status = command->run(node->setup.machines[0].self, &call, arguments, &reply);
        free(arguments);
    }
    gavel_buffer_free(&out);
    return status == GAVEL_OK;
}

void fate_flip(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct sim_node *leader = fate_leader(fate);
    struct sim_node *node = fate_pick(fate);
    struct node *inner = node ? node->node : NULL;

    if (sim->flipped || sim->phase != SIM_FAULTS || !leader || !inner || node == leader || node->paused_until ||
        !inner->raft || inner->phase != NODE_RUNNING || inner->fenced || inner->recovers || !work_idle(inner) ||
        inner->apply_hold || !snapshot_quiet(inner) || inner->applied == 0 || inner->in_force.count < 3 ||
        raft_configuration_joint(&inner->in_force) || !sim_atlas_may_damage(sim, node))
        return;
    for (uint32_t i = 0; i < inner->in_force.count; i++)
        if (inner->in_force.members[i].id == inner->member_id && inner->in_force.members[i].role != RAFT_VOTER)
            return;
    if (!flip(inner))
        return;
    sim->flipped = node->number + 1;
    sim->flipped_at = inner->applied;
    sim->totals.flips++;
    sim_trace(sim, node, "its state flips after index %llu", (unsigned long long)inner->applied);
}

static void rebuilding(struct sim *sim, struct sim_node *node, uint64_t id, int64_t status, struct gavel_slice text)
{
    sim_trace(sim, node, "rebuild %llu: %d %.*s", (unsigned long long)id, (int)status, (int)text.size,
              text.data ? (const char *)text.data : "");
}

/* At an index behind the flip it has the digest that a majority has. */
static bool like_the_others(const struct sim *sim, const struct sim_node *node)
{
    const struct node *inner = node->node;

    if (!sim_is_up(node) || !inner->raft || inner->fenced || inner->agreed.index <= sim->flipped_at)
        return false;
    for (uint32_t i = 0; i < NODE_DIGESTS; i++)
        if (inner->digests[i].index == inner->agreed.index)
            return inner->digests[i].digest == inner->agreed.digest;
    return false;
}

static bool has_sample(const struct node *inner, const struct digest_sample *sample)
{
    for (uint32_t i = 0; i < NODE_DIGESTS; i++)
        if (inner->digests[i].index == sample->index)
            return inner->digests[i].digest == sample->digest;
    return false;
}

/* Nobody is down, or about to have another state, who may come back with what he was led to. */
static bool all_are_there(const struct sim_fate *fate)
{
    for (uint32_t i = 0; i < fate->sim->node_count; i++) {
        const struct sim_node *node = &fate->sim->nodes[i];

        if (node->state == SIM_ABSENT || fate->given_up[i] || fate->empty[i])
            continue;
        if (!sim_is_up(node) || !node->node->raft || node->node->phase != NODE_RUNNING || node->node->fenced ||
            node->node->rebuild || node->node->apply_hold || node->node->raft->incoming.installing)
            return false;
    }
    return true;
}

/* At some index behind the flip all have the same digest: of their present states, no sample of another one is kept. */
static bool all_agree(const struct sim_fate *fate)
{
    const struct sim *sim = fate->sim;
    const struct sim_node *leader = fate_leader(fate);

    if (!leader || !all_are_there(fate))
        return false;
    for (uint32_t k = 0; k < NODE_DIGESTS; k++) {
        const struct digest_sample *sample = &leader->node->digests[k];
        bool all = sample->index > sim->flipped_at;

        for (uint32_t i = 0; all && i < sim->node_count; i++)
            if (sim_is_up(&sim->nodes[i]) && sim->nodes[i].node->raft)
                all = has_sample(sim->nodes[i].node, sample);
        if (all)
            return true;
    }
    return false;
}

/* Have rebuilt whoever is fenced; and see whether it is over. */
void fate_flip_operate(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct sim_node *node, *leader;

    if (!sim->options.flip_per_hour)
        return;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        char name[40];
        const char *const pairs[] = {name, NULL};

        node = &sim->nodes[i];
        if (!sim_is_up(node) || node->paused_until || !node->node->raft || !node->node->fenced)
            continue;
        if (sim->flipped == i + 1 && !sim->flip_found) {
            sim->flip_found = true;
            sim->totals.flips_found++;
        }
        if (node->node->rebuild || node->node->role == RAFT_LEADER || sim->now < fate->rebuild_at[i])
            continue;
        fate->rebuild_at[i] = sim->now + AGAIN_NS;
        (void)snprintf(name, sizeof name, "name=%s", node->name);
        (void)sim_admin_ask(node->process->admin, "rebuild", pairs, ASK_MS, rebuilding);
    }
    if (!sim->flipped && sim->flip_spread && all_agree(fate)) {
        sim_trace(sim, NULL, "whatever its flip has spread to is like the others again");
        sim->flip_spread = false;
        sim_oracle_agree_again(sim->oracle);
    }
    if (!sim->flipped)
        return;
    node = &sim->nodes[sim->flipped - 1];
    if (sim_is_up(node) && node->node->raft && node->node->role == RAFT_LEADER)
        sim->flip_spread = true; /* what it sent as snapshots may be wrong too */
    leader = fate_leader(fate);
    if (leader && leader != node && leader->node->disagreed && sim_is_up(node) && !node->paused_until &&
        sim->now >= fate->rebuild_at[node->number]) { /* nobody can know who is right but us */
        char name[40];

        fate->rebuild_at[node->number] = sim->now + AGAIN_NS;
        (void)snprintf(name, sizeof name, "name=%s", node->name);
        (void)sim_admin_ask(node->process->admin, "rebuild", (const char *const[]){name, NULL}, ASK_MS, rebuilding);
    }
    /* Found and rebuilt; or its state is gone with its disk, its membership, or a life that began before the flip. */
    if (like_the_others(sim, node) || fate->given_up[node->number] || fate->empty[node->number] ||
        (sim_is_up(node) && node->node->raft && sim->flip_found && !node->node->fenced)) {
        sim_trace(sim, node, "its flip is over");
        sim->flipped = 0;
        sim->flip_found = false;
    }
}
