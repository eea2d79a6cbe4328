/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c - drives core/raft: one step at a time, its effects carried out in order, and nothing before its
 * gate.
 *
 * Ids of writes: the algorithm numbers its durable effects 1, 2, 3 ..., and one of them may be several
 * batches. So the log's ids are the algorithm's shifted, with a place for each part.
 */
#include "core/node/internal.h"

#include <assert.h>

#include "core/os/seeded.h"

#define IO_SHIFT 12
#define IO_LAST UINT64_C(0xffe) /* the part whose completion completes the algorithm's io */

static uint64_t log_io(uint64_t io, uint64_t part)
{
    return io << IO_SHIFT | part;
}

uint64_t engine_tick(const struct node *node)
{
    return node->tick_base + (node_now(node) - node->tick_base_ns) / NS_PER_MS;
}

uint64_t engine_commit(const struct node *node)
{
    return node->raft ? raft_commit(node->raft) : 0;
}

struct raft_status engine_status(const struct node *node)
{
    struct raft_status status = {0};

    if (node->raft)
        raft_status(node->raft, &status);
    return status;
}

/* ---- effects ------------------------------------------------------------------------------------------- */

static bool is_answer(uint32_t type)
{
    return type == RAFT_PREVOTE_RESPONSE || type == RAFT_VOTE_RESPONSE || type == RAFT_APPEND_RESPONSE ||
           type == RAFT_SNAPSHOT_RESPONSE || type == RAFT_READ_RESPONSE;
}

/* An answer echoes the id of the request at hand, or of the newest of its kind when it comes later. */
static uint64_t answer_id(struct node *node, const struct raft_message *message)
{
    uint32_t asked = message->type - 1;
    struct peer *peer;

    if (node->answering && node->answering->id == message->to && node->answering_type == asked)
        return node->answering_id;
    peer = peer_find(node, message->to);
    return peer ? peer->last_request[asked] : 0;
}

static void effect_send(struct node *node, const struct raft_effect *effect)
{
    uint64_t wire_id = is_answer(effect->message.type) ? answer_id(node, &effect->message) : 0;
    struct gated *slot;

    if (effect->gate <= node->written_raft || seeded_bug("node-ignores-gates")) {
        peer_send(node, &effect->message, wire_id);
        return;
    }
    if (node->gated_count == NODE_GATED_MAX) { /* as if the network had lost it: a message may always be lost */
        node_record(node, node->metric.peer_drops, 1, "queue", "disk");
        return;
    }
    slot = &node->gated[(node->gated_first + node->gated_count++) % NODE_GATED_MAX];
    *slot = (struct gated){.message = effect->message, .gate = effect->gate, .wire_id = wire_id};
}

static void release_gated(struct node *node)
{
    while (node->gated_count && node->gated[node->gated_first].gate <= node->written_raft) {
        const struct gated *slot = &node->gated[node->gated_first];

        /* The head of a message has the sender's present term (core/raft/message.h). What waited for the disk when the
         * term ended speaks of a log that may since have been cut; a message may always be lost. And whoever is no
         * candidate any more, though the term is the same, asks for no votes: its log may have been cut as well. */
        bool asks_in_vain = slot->message.type == RAFT_VOTE_REQUEST && node->role != RAFT_CANDIDATE;

        if (slot->message.term >= node->term && !asks_in_vain)
            peer_send(node, &slot->message, slot->wire_id);
        node->gated_first = (node->gated_first + 1) % NODE_GATED_MAX;
        node->gated_count--;
    }
}

static void write_checked(struct node *node, int status, const char *what)
{
    if (status != GAVEL_OK && node_alive(node))
        node_fatal(node, 74, "the log takes no %s (%d): nothing more can be promised", what, status);
}

/* A configuration is in force from now on, with its names. */
static void learn_members(struct node *node, const struct log_batch *batch)
{
    struct gavel_error error = {0};
    struct members members;
    int32_t status;

    status = peer_batch_members(batch, &members, &error);
    if (status == GAVEL_OK)
        status = directory_push(&node->directory, batch->head.first, &members);
    if (status != GAVEL_OK)
        node_fatal(node, 70, "a configuration cannot be kept (%d): %s", status, error.text);
    else
        peers_learn(node);
}

static void learn_batch(struct node *node, const struct log_batch *batch)
{
    if (batch->kind == LOG_CONFIG)
        learn_members(node, batch);
}

/*
 * A batch of another leader is taken. A leader learns that it was deposed from such a batch, perhaps, and is told of
 * the change of its role only when the step ends: our own clock counted up to here and no further.
 */
static void tick_seen(struct node *node, uint64_t tick)
{
    if (node->role == RAFT_LEADER) {
        node->tick_base = engine_tick(node);
        node->tick_base_ns = node_now(node);
    }
    if (tick > node->tick_base)
        node->tick_base = tick;
}

/* So many bytes of log lie behind an index: what a member that is behind is measured by. */
static void log_counted(struct node *node, const struct log_batch *batch)
{
    figures_logged(node->figures, batch->head.first + batch->head.count - 1, batch->head.bytes,
                   node->limits.health.lag_bytes / NODE_LAG_STEPS);
}

static void effect_append(struct node *node, const struct raft_effect *effect)
{
    uint64_t part = 0;

    if (node->proposing) {
        assert(effect->range.first == node->proposing->head.first);
        node->last_own_io = effect->io;
        log_counted(node, node->proposing);
        figures_proposed(node->figures, node_now(node), effect->range.last);
        learn_batch(node, node->proposing);
        trace_writing(node, effect->range.first, effect->range.last, effect->io);
        write_checked(node, log_append(node->log, log_io(effect->io, IO_LAST), node->proposing), "append");
        return;
    }
    trace_writing(node, effect->range.first, effect->range.last, effect->io);
    for (uint32_t i = 0; i < node->incoming_count && node_alive(node); i++) {
        struct log_batch *batch = node->incoming[i];
        uint64_t last = batch->head.first + batch->head.count - 1;

        if (batch->head.first < effect->range.first || last > effect->range.last)
            continue;
        assert(part < IO_LAST);
        write_checked(
            node,
            log_append(node->log, log_io(effect->io, last == effect->range.last ? IO_LAST : part++), batch),
            "append");
        log_counted(node, batch);
        learn_batch(node, batch);
        tick_seen(node, batch->head.tick);
    }
    assert(log_last(node->log) == effect->range.last || !node_alive(node));
}

static void count_election(struct node *node, uint32_t before, uint32_t now, bool new_term)
{
    const char *result = NULL;

    if (now == RAFT_LEADER)
        result = "won";
    else if (before == RAFT_CANDIDATE)
        result = now == RAFT_CANDIDATE && new_term ? "timeout" : now == RAFT_FOLLOWER ? "lost" : NULL;
    if (!result)
        return;
    node->elections_total++;
    node_record(node, node->metric.elections, 1, "result", result);
}

/* This leader's batches, from their proposal to their commit. */
static void effect_commit(struct node *node)
{
    uint64_t now = node_now(node);
    uint64_t ns;

    while (figures_committed(node->figures, now, engine_commit(node), &ns))
        node_observe(node, node->series.commit_seconds, (double)ns / 1e9);
}

static void effect_role(struct node *node, const struct raft_effect *effect)
{
    uint64_t leader_before = node->leader;
    bool new_term = node->term != effect->role.term;
    const struct member *member = directory_find(&node->directory, effect->role.leader);
    char term[24];
    const char *const pairs[] = {"leader", member ? member->name : "", "term", term, NULL};
    uint32_t before = node->role;
    struct trace_scope scope;

    count_election(node, node->role, effect->role.role, new_term);
    if (effect->role.role == RAFT_LEADER && node->role != RAFT_LEADER) {
        /* Cluster time goes on from the log's by our own clock; it stood still in between. */
        node->tick_base = node->tick_base > node->applied_tick ? node->tick_base : node->applied_tick;
        node->tick_base_ns = node_now(node);
        node->expire_after = 0;
        node->maintain_at = node_now(node);
    }
    if (effect->role.role != RAFT_LEADER && node->role == RAFT_LEADER) {
        figures_deposed(node->figures);
        node->tick_base = engine_tick(node);
        node->tick_base_ns = node_now(node);
    }
    node->role = effect->role.role;
    node->term = effect->role.term;
    node->leader = effect->role.leader;
    if (node->leader && (node->leader != leader_before || new_term))
        node_observe(node, node->series.leader_changes, 1);
    trace_enter_span(node, &scope, &node->spans.election);
    if (node->leader && (node->leader != leader_before || new_term)) {
        (void)snprintf(term, sizeof term, "%llu", (unsigned long long)node->term);
        node_log(node, GAVEL_LOG_INFO, "raft", "Leader elected: %s (term %s)",
                 member ? member->name : "unknown", term);
        event_local(node, "leader_elected", member ? member->name : "", pairs);
    }
    trace_leave(node, &scope);
    trace_role(node, before, new_term);
}

/* Tell of everyone who is in `now` and was not in `before`. */
static void tell_members(struct node *node, const struct raft_configuration *now,
                         const struct raft_configuration *before, const char *type)
{
    for (uint32_t i = 0; i < now->count; i++) {
        const struct member *member = directory_find(&node->directory, now->members[i].id);
        const char *const pairs[] = {"member", member ? member->name : "", NULL};

        if (!raft_configuration_find(before, now->members[i].id))
            event_local(node, type, pairs[1], pairs);
    }
}

static void effect_configuration(struct node *node, const struct raft_effect *effect)
{
    const struct raft_configuration *now = effect->configuration.configuration;
    bool first = node->in_force.count == 0;
    struct raft_configuration named;
    struct trace_scope scope;

    /* The same stack twice, with names and without: whatever pushes or pops one of them does so to the other. */
    members_configuration(directory_now(&node->directory), &named);
    assert(raft_configuration_equal(now, &named));

    if (!first && raft_configuration_equal(now, &node->in_force))
        return; /* a snapshot brought what was in force already */
    if (!first) {
        trace_enter_span(node, &scope, &node->spans.change);
        tell_members(node, now, &node->in_force, "node_joined");
        tell_members(node, &node->in_force, now, "node_left");
        node_observe(node, node->series.changes, 1);
        node_log(node, GAVEL_LOG_INFO, "cluster", "Configuration changed at index %llu: %u members%s",
                 (unsigned long long)effect->configuration.index, now->count,
                 raft_configuration_joint(now) ? ", joint" : "");
        trace_leave(node, &scope);
    }
    node->in_force = *now;
}

static void recovered_saved(struct log_task *task)
{
    struct node *node = task->ctx;
    struct raft_event event = {.type = RAFT_EVENT_RECOVERED};

    node->recovering_saving = false;
    if (!node_working(node))
        return;
    if (task->status == GAVEL_E_NO_SPACE)
        return; /* it comes again with every append */
    if (task->status != GAVEL_OK) {
        node_fatal(node, 74, "the end of recovery cannot be written: %s", task->error.text);
        return;
    }
    node_log(node, GAVEL_LOG_INFO, "log", "Recovered: the log is whole again up to index %llu",
             (unsigned long long)log_last(node->log));
    (void)engine_step(node, &event);
    majority_recovered(node);
    node_settle(node);
}

static void effect_recovery(struct node *node, const struct raft_effect *effect)
{
    /* Two guards: a bug in the core's shows only without this one, so each of both bugs switches it off. */
    bool floored = !seeded_bug("raft-recovery-early") && !seeded_bug("raft-recovery-unknown");

    if (node->recovering_saving || (floored && effect->recovery.index < log_recovering_floor(node->log)))
        return;
    if (effect->gate > node->written_raft) /* what it rests on is not durable yet; it comes again with every append */
        return;
    node->recovering_saving = true;
    node->task_recovered = (struct log_task){.done = recovered_saved, .ctx = node};
    write_checked(node, log_recovering_end(node->log, &node->task_recovered), "end of recovery");
}

static void carry_out(struct node *node, const struct raft_effect *effect)
{
    node->look |= settle_effect(effect->type);
    switch (effect->type) {
    case RAFT_EFFECT_SEND: effect_send(node, effect); break;
    case RAFT_EFFECT_WRITE_VOTE:
        write_checked(
            node, log_vote(node->log, log_io(effect->io, IO_LAST), effect->vote.term, effect->vote.candidate),
            "vote");
        break;
    case RAFT_EFFECT_APPEND: effect_append(node, effect); break;
    case RAFT_EFFECT_TRUNCATE:
        write_checked(node, log_truncate(node->log, log_io(effect->io, IO_LAST), effect->range.first),
                      "truncation");
        figures_cut(node->figures, effect->range.first);
        propose_truncated(node, effect->range.first);
        trace_truncated(node, effect->range.first);
        if (node->change.active && node->change.index >= effect->range.first)
            change_lost(node, GAVEL_E_UNKNOWN,
                        "a new leader took over before the change of members was decided; look at the members");
        if (directory_truncate(&node->directory, effect->range.first))
            peers_learn(node);
        break;
    case RAFT_EFFECT_COMMIT:
        if (node->role == RAFT_LEADER)
            effect_commit(node);
        break;
    case RAFT_EFFECT_APPLY:
        node->apply_to = effect->range.last;
        figures_to_apply(node->figures, node_now(node), node->apply_to);
        break;
    case RAFT_EFFECT_SERVE_READS: read_barrier(node, effect->reads.id, effect->reads.index); break;
    case RAFT_EFFECT_PROPOSE:
        node->propose_kind = effect->propose.kind;
        if (effect->propose.configuration)
            node->propose_configuration = *effect->propose.configuration;
        break;
    case RAFT_EFFECT_START_SNAPSHOT:
        snapshot_start_sending(node, effect->snapshot.peer, effect->snapshot.index);
        break;
    case RAFT_EFFECT_STOP_SNAPSHOT: snapshot_stop_sending(node, effect->snapshot.peer); break;
    case RAFT_EFFECT_STORE_CHUNK: snapshot_store_chunk(node, &effect->chunk); break;
    case RAFT_EFFECT_INSTALL_SNAPSHOT: snapshot_install(node, &effect->chunk); break;
    case RAFT_EFFECT_ROLE_CHANGED: effect_role(node, effect); break;
    case RAFT_EFFECT_CONFIGURATION_CHANGED: effect_configuration(node, effect); break;
    case RAFT_EFFECT_TRANSFER_ENDED:
        node->transfer_asked = false;
        node->handed = effect->transfer.done && node->phase == NODE_HANDING;
        hostcmd_transfer_ended(node, effect->transfer.done);
        node->redispatch = node->redispatch || !effect->transfer.done; /* what waited for another leader has this one */
        break;
    case RAFT_EFFECT_RECOVERY_REACHED: effect_recovery(node, effect); break;
    default: assert(!"an effect that this file does not know");
    }
}

/* ---- steps --------------------------------------------------------------------------------------------- */

int engine_step(struct node *node, struct raft_event *event)
{
    uint64_t leader = node->leader;
    int status;

    assert(!node->stepping);
    if (!node->raft || !node_working(node))
        return RAFT_E_STOPPED; /* dead, or the log is finishing: an effect could not be carried out any more */
    event->now = node_now(node);
    node->stepping = true;
    status = raft_step(node->raft, event, &node->effects);
    for (uint32_t i = 0; i < node->effects.count && node_alive(node); i++)
        carry_out(node, &node->effects.items[i]);
    node->stepping = false;
    if (status == RAFT_E_DIVERGED)
        node_fatal(
            node, 65,
            "a leader contradicts what is committed here: this log or that of the majority is damaged; "
            "everything is kept as it is");
    if (node->leader && node->leader != leader) {
        node->redispatch = true;
        node->peers_stale = true; /* the one before was kept, and may be no member */
        node->look |= NODE_LOOK_MEMBERS;
    }
    return status;
}

void engine_written(void *ctx, uint64_t io)
{
    struct node *node = ctx;
    uint64_t done = (io & ((UINT64_C(1) << IO_SHIFT) - 1)) >= IO_LAST ? io >> IO_SHIFT : (io >> IO_SHIFT) - 1;
    struct raft_event event = {.type = RAFT_EVENT_WRITTEN, .io = done};
    uint64_t sync_ns = log_sync_ns(node->log);

    assert(node->magic == NODE_MAGIC);
    if (!node_working(node))
        return;
    if (done <= node->written_raft)
        return;
    node->written_raft = done;
    trace_written(node, done);
    figures_synced(node->figures, node_now(node), sync_ns);
    node_observe(node, node->series.sync_seconds, (double)sync_ns / 1e9);
    (void)engine_step(node, &event);
    if (node_working(node))
        release_gated(node);
    settle_changed(node);
}

void engine_failed(void *ctx, const struct gavel_error *error)
{
    struct node *node = ctx;
    struct raft_event event = {.type = RAFT_EVENT_WRITE_FAILED};

    /* Serve nothing more: what the kernel has dropped cannot be told from what it has kept. */
    (void)engine_step(node, &event);
    node_fatal(node, 74, "the log failed: %s", error->text);
}
