/* SPDX-License-Identifier: Apache-2.0 */
/*
 * propose.c - a leader's batches: entries collect in a builder, and become one batch when the disk has taken
 * the last one. Whoever waits for an entry waits in a ring by its index.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <string.h>
#include "core/os/cover.h"

struct waiter *propose_waiter(struct node *node, uint64_t index)
{
    struct waiter *waiter = &node->waiters[index & (node->limits.proposals - 1)];

    return waiter->index == index ? waiter : NULL;
}

int32_t propose_add(struct node *node, const struct log_entry *entry, struct origin origin,
                    uint64_t deadline_ns)
{
    int32_t status;

    if (node->waiting + node->building_count >= node->limits.proposals ||
        node->building_count >= node->limits.batch_entries)
        return GAVEL_E_BUSY;
    if (node->builder.count &&
        node->builder.bytes + log_entry_bytes(entry->principal.size, entry->payload.size) >
            node->limits.batch_bytes)
        return GAVEL_E_BUSY;
    status = log_builder_add(&node->builder, entry);
    if (status != GAVEL_OK)
        return status;
    node->building[node->building_count++] = (struct waiter){.origin = origin, .deadline_ns = deadline_ns};
    return GAVEL_OK;
}

void propose_drop(struct node *node, int32_t status, const char *why)
{
    uint32_t count = node->building_count;

    node->building_count = 0;
    log_builder_reset(&node->builder);
    for (uint32_t i = 0; i < count; i++)
        client_refuse(node, node->building[i].origin, status, "%s", why);
}

/* Seal what is in a builder and hand it to the algorithm, with those who wait for it. Returns what raft_step
 * said. */
static int propose_batch(struct node *node, struct log_builder *builder, uint32_t waiting)
{
    struct raft_status status = engine_status(node);
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    struct raft_configuration configuration;
    struct gavel_error error;
    struct log_batch *batch;
    int result;

    /* Places are taken by index. One whose reader waits for long can still hold the place of an index far ahead. */
    for (uint32_t i = 0; i < waiting; i++)
        if (node->waiters[(status.last_index + 1 + i) & (node->limits.proposals - 1)].index)
            return RAFT_E_BUSY;
    if (log_backlogged(node->log)) /* a hung disk: refused in time, for log_append must never have to */
        return RAFT_E_BUSY;
    if (log_builder_seal(builder, node->pool, status.term, status.last_index + 1, os_wall_ms(node->os),
                         engine_tick(node), status.last_chain, &batch) != GAVEL_OK)
        return RAFT_E_BUSY;
    if (peer_describe_batch(batch, &event.batch, &configuration, &error) != GAVEL_OK) {
        log_batch_unref(batch);
        return RAFT_E_INVALID;
    }
    for (uint32_t i = 0; i < waiting; i++) {
        struct waiter *slot = &node->waiters[(batch->head.first + i) & (node->limits.proposals - 1)];

        assert(slot->index == 0);
        *slot = node->building[i];
        slot->index = batch->head.first + i;
        slot->term = status.term;
        if (slot->origin.trace)
            trace_proposed(node, &slot->origin, slot->index, slot->term);
    }
    node->proposing = batch;
    result = engine_step(node, &event);
    node->proposing = NULL;
    if (result == RAFT_OK) {
        node->waiting += waiting;
        node->building_count -= waiting;
        node_observe(node, node->series.batch_entries, batch->head.count);
        node_observe(node, node->series.batch_bytes, batch->head.bytes);
    } else {
        if (waiting)
            trace_truncated(node, batch->head.first);
        for (uint32_t i = 0; i < waiting; i++)
            node->waiters[(batch->head.first + i) & (node->limits.proposals - 1)].index = 0;
    }
    log_batch_unref(batch);
    return result;
}

static void flush(struct node *node, bool now)
{
    int result;

    if (node->builder.count == 0 || !node->raft || node->propose_kind)
        return;
    if (raft_transferring(node->raft))
        return; /* it waits with its clients for the outcome */
    /* While the disk has a batch of ours, entries collect for the next: it goes when the disk has answered,
     * or is full. */
    if (!now && node->role == RAFT_LEADER && node->last_own_io > node->written_raft &&
        node->builder.bytes < node->limits.batch_bytes / 2 &&
        node->building_count < node->limits.batch_entries)
        return;
    result = propose_batch(node, &node->builder, node->building_count);
    switch (result) {
    case RAFT_OK: break;
    case RAFT_E_NO_SPACE:
        propose_drop(node, GAVEL_E_NO_SPACE,
                     "the leader's disk is full: writes are refused until space returns");
        break;
    case RAFT_E_BUSY:
        propose_drop(node, GAVEL_E_BUSY, "the leader has as many writes under way as it may");
        break;
    default:
        propose_drop(node, GAVEL_E_NO_LEADER, "this node does not lead any more; nothing was done");
        break;
    }
}

void propose_flush(struct node *node)
{
    flush(node, false);
}

void propose_now(struct node *node)
{
    flush(node, true);
}

static bool dress(struct node *node, struct members *members)
{
    if (!members_dress(&node->propose_configuration, node->wanted, directory_now(&node->directory), members))
        return false;
    members->version = engine_status(node).last_index + 1;
    return true;
}

/* The algorithm wants an entry of its own: the first of a term, or a configuration. It stands alone in its
 * batch. */
void propose_special(struct node *node)
{
    struct log_entry entry = {.kind = LOG_NOOP};
    struct members members;
    uint32_t kind = node->propose_kind;

    node->propose_kind = 0;
    if (node->role != RAFT_LEADER)
        return;
    node->body.size = 0;
    if (kind == RAFT_BATCH_CONFIGURATION) {
        if (!dress(node, &members) || members_encode(&members, &node->body) != GAVEL_OK) {
            node_log(node, GAVEL_LOG_ERROR, "cluster",
                     "A configuration cannot be written: a member has no name here");
            return;
        }
        entry.kind = LOG_CONFIG;
        entry.payload = gavel_buffer_slice(&node->body);
    }
    if (log_builder_add(&node->special, &entry) != GAVEL_OK)
        return; /* no memory: it is asked for again */
    (void)propose_batch(node, &node->special, 0);
    log_builder_reset(&node->special);
}

/* A newer leader has overwritten our tail. Other nodes may still hold it, and one of them may yet lead. */
void propose_truncated(struct node *node, uint64_t from)
{
    for (uint64_t i = 0; i < node->limits.proposals && node->waiting; i++) {
        struct waiter *waiter = &node->waiters[i];

        if (waiter->index >= from && waiter->index != 0) {
            COVER("node-waiter-truncated");
            waiter->index = 0;
            node->waiting--;
            client_refuse(
                node, waiter->origin, GAVEL_E_UNKNOWN,
                "a new leader took over before this write was decided; it may or may not have been done");
        }
    }
}

/* A snapshot took the place of the log up to `index`: what became of these writes is not told here any more. */
void propose_passed(struct node *node, uint64_t index)
{
    for (uint64_t i = 0; i < node->limits.proposals && node->waiting; i++) {
        struct waiter *waiter = &node->waiters[i];

        if (waiter->index != 0 && waiter->index <= index) {
            waiter->index = 0;
            node->waiting--;
            client_refuse(node, waiter->origin, GAVEL_E_UNKNOWN,
                          "a snapshot of a new leader covers this write; it may or may not have been done");
        }
    }
}

void propose_expire(struct node *node, uint64_t now)
{
    /* What waits for the disk to take the batch before it: the entry stays, nobody waits for it any more. */
    for (uint32_t i = 0; i < node->building_count; i++) {
        struct waiter late = node->building[i];

        if (late.deadline_ns > now)
            continue;
        COVER("node-deadline-in-the-making");
        node->building[i] = (struct waiter){.deadline_ns = UINT64_MAX};
        client_refuse(node, late.origin, GAVEL_E_UNKNOWN,
                      "time ran out before this write was proposed; it may or may not be done");
    }
    for (uint64_t i = 0; i < node->limits.proposals && node->waiting; i++) {
        struct waiter *waiter = &node->waiters[i];

        if (waiter->index != 0 && waiter->deadline_ns <= now) {
            COVER("node-deadline");
            waiter->index = 0;
            node->waiting--;
            client_refuse(node, waiter->origin, GAVEL_E_UNKNOWN,
                          "time ran out before this write was decided; it may or may not be done");
        }
    }
}
