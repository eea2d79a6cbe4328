/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work.c - the apply lane as the loop sees it: hand over what committed, take back what came of it, answer
 * who waits. And once a second, on the leader, what the replicated state asks for by itself: sessions to
 * expire, machines to maintain.
 */
#include "core/node/internal.h"

#include <assert.h>

#include "core/codec/value.h"
#include "core/node/bytes.h"
#include "core/node/machine.h"
#include "core/os/seeded.h"

#define RUN_BYTES (1u << 20) /* of one run: bounds how long the loop is away when machines are BOUNDED */

bool work_idle(const struct node *node)
{
    return !node->applying && !node->apply_reading && !node->reading;
}

static void answer(struct node *node, const struct apply_record *record)
{
    struct waiter *waiter = propose_waiter(node, record->index);
    struct codec_reply reply = {.status = record->status, .index = record->index};

    if (!waiter)
        return;
    waiter->index = 0;
    node->waiting--;
    if (waiter->term != record->term) {
        client_refuse(
            node, waiter->origin, GAVEL_E_UNKNOWN,
            "another leader's entry took the place of this write; it may or may not have been done");
        return;
    }
    if (record->status >= 0 && record->a.size)
        reply.result = record->a;
    if (record->status < 0)
        reply.text = record->b;
    reply.ordinal = record->ordinal;
    if (record->duplicate) {
        reply.duplicate = 1;
        reply.index = record->first_index;
    }
    client_reply(node, waiter->origin, &reply);
}

/* Count by command once a run: the registry is cheap, but not as cheap as an addition. */
static void count_operation(struct node *node, const struct apply_record *record)
{
    for (uint32_t i = 0; i < node->command_count; i++)
        if (node->commands[i].number == record->machine && node->commands[i].command->id == record->command) {
            node->commands[i].count++;
            return;
        }
}

static void flush_operations(struct node *node, uint64_t commands)
{
    for (uint32_t i = 0; i < node->command_count && commands; i++) {
        if (node->commands[i].count)
            node_record(node, node->metric.operations, (double)node->commands[i].count, "operation",
                        node->commands[i].owner);
        node->commands[i].count = 0;
    }
    if (commands) {
        node->commands_total += commands;
        node_observe(node, node->series.commands, (double)commands);
        figures_count(&node->figures->writes, node_now(node), commands);
    }
}

static void take_results(struct node *node)
{
    const struct apply_record *record = NULL;
    uint64_t commands = 0;

    while ((record = apply_record_next(&node->run, record)) != NULL) {
        event_applied(node, record);
        if (record->type != APPLY_RECORD_RESULT)
            continue;
        if (record->kind == LOG_COMMAND) {
            commands++;
            if (record->command)
                count_operation(node, record);
        }
        if (node->waiting)
            answer(node, record);
    }
    flush_operations(node, commands);
}

static void run_done(struct node *node)
{
    struct apply_run *run = &node->run;
    struct raft_event event = {.type = RAFT_EVENT_APPLIED, .index = run->last};
    uint64_t entries = run->last - run->from + 1;

    node->applying = false;
    for (uint32_t i = 0; i < run->count; i++)
        log_batch_unref(run->batches[i]);
    run->count = 0;
    if (run->status != 0) {
        node_fatal(node, run->status == GAVEL_E_VERSION ? 78 : 70, "%s", run->error.text);
        return;
    }
    node->applied = run->last;
    node->caught_up = node->caught_up || (node->run_reaches && !run->cut);
    node->applied_tick = run->tick;
    if (node->measures) {
        node_observe(node, node->series.apply_seconds, (double)(node_now(node) - run->ns) / 1e9);
        node_observe(node, node->series.apply_entries, (double)entries);
    }
    trace_applied(node, run->last);
    take_results(node);
    if (run->roster)
        roster_changed(node);
    if (run->settings)
        settings_changed(node); /* with events of this node's own, which lie behind all of the run's */
    if (run->records.size > APPLY_RECORDS)
        gavel_buffer_free(&run->records); /* seldom so large: not kept */
    snapshot_counted(node, entries, run->log_bytes);
    (void)engine_step(node, &event);
    if (run->digest_index && node_working(node))
        divergence_sample(node, run->digest_index, run->digest);
}

static void run_on_lane(struct os_job *job)
{
    struct node *node = os_container(job, struct node, apply_job);

    apply_run(node->apply, &node->run);
}

static void lane_done(struct os_job *job)
{
    struct node *node = os_container(job, struct node, apply_job);

    if (!node_alive(node))
        return;
    run_done(node);
    node_settle(node);
}

/* ---- maintenance --------------------------------------------------------------------------------------- */

static void expire_sessions(struct node *node)
{
    uint64_t seen;
    uint64_t session;

    /* Some each time; an expiry that is lost with its leader is proposed again by the next one. */
    for (int i = 0; i < 64; i++) {
        uint8_t payload[12];
        struct log_entry entry = {.kind = LOG_HOST, .payload = gavel_bytes(payload, sizeof payload)};

        session = session_due(apply_sessions(node->apply), node->expire_after, engine_tick(node), &seen);
        if (!session) {
            node->expire_after = 0;
            return;
        }
        node->expire_after = session;
        entry.session = session;
        bytes_store32(payload, APPLY_SESSION_EXPIRE);
        bytes_store64(payload + 4, seen);
        if (propose_add(node, &entry, (struct origin){0}, UINT64_MAX) != GAVEL_OK)
            return;
    }
}

/* What is due each second. The apply lane may have the state then: as soon as it has not. */
static void maintain(struct node *node)
{
    struct log_entry entry = {.kind = LOG_COMMAND};
    uint32_t machine;
    uint64_t command;
    int32_t status = 0;

    node->maintain_missed = false;
    if (node->role != RAFT_LEADER || node->phase != NODE_RUNNING)
        return;
    node->maintain_missed = !work_idle(node) || node->apply_hold;
    if (node->maintain_missed)
        return;
    expire_sessions(node);
    roster_expire(node);
    node->body.size = 0;
    bytes_put32(&node->body, &status, 0);
    if (status != GAVEL_OK)
        return;
    command = apply_maintain(node->apply, &machine, engine_tick(node), &node->body);
    if (!command || machine_since(&node->setup.machines[machine - 1], command, 0) >
                        node->settings->machines[machine - 1].version)
        return; /* nothing, or nothing yet that every member knows */
    bytes_store32(node->body.data, (uint32_t)command);
    entry.machine = (uint16_t)machine;
    entry.payload = gavel_buffer_slice(&node->body);
    (void)propose_add(node, &entry, (struct origin){0}, UINT64_MAX);
}

void work_maintain(struct node *node, uint64_t now)
{
    if (now < node->maintain_at)
        return;
    node->maintain_at = now + NODE_SLOW_TICK_NS;
    maintain(node);
}

/* ---- the apply lane ------------------------------------------------------------------------------------- */

/* Give the batches of a read to the apply lane; references move. */
static void start_run(struct node *node, struct log_read *read)
{
    struct apply_run *run = &node->run;

    run->records.size = 0;
    run->count = 0;
    run->from = node->applied + 1;
    run->log_bytes = 0;
    run->with_results = node->waiting > 0;
    run->digest_index = 0;
    run->settings = false;
    run->roster = false;
    run->status = 0;
    run->trace_count = 0;
    run->ns = node->measures ? node_now(node) : 0;
    for (uint32_t i = 0; i < read->count; i++) {
        struct log_batch *batch = read->batches[i];

        /* What is left of a batch goes alone: where it ends a snapshot may be taken. */
        if (batch->head.first > node->apply_asked || (run->count && run->batches[0]->head.first < run->from)) {
            log_batch_unref(batch);
            continue;
        }
        run->batches[run->count++] = batch;
        run->last = batch->head.first + batch->head.count - 1;
    }
    read->count = 0;
    assert(run->count > 0);
    assert(run->last <= node->apply_asked);
    /* Not by what is committed when the run ends: under load that is always more. */
    node->run_reaches = run->last >= engine_commit(node);
    node->applying = true;
    node->read_last = false;
    if (node->traces)
        trace_run(node, run);
    if (node->bounded) {
        apply_run(node->apply, run);
        run_done(node);
        return;
    }
    node->apply_job.run = run_on_lane;
    node->apply_job.done = lane_done;
    os_submit(node->os, OS_LANE_APPLY, &node->apply_job);
}

static void read_back(struct log_read *read)
{
    struct node *node = read->ctx;

    node->apply_reading = false;
    if (!node_working(node)) {
        log_read_release(read);
        return;
    }
    if (read->status != GAVEL_OK)
        node_fatal(node, node_exit_code(read->status),
                   "committed entries from index %llu on cannot be read: %s", (unsigned long long)read->from,
                   read->error.text);
    else
        start_run(node, read);
    node_settle(node);
}

/*
 * On a lane that always finds more to apply, reads, snapshots, a rebuild and what is due each second have their turn
 * between two runs; and entries have theirs between two reads, of which there may always be more too.
 */
static void take_turns(struct node *node)
{
    if (node->maintain_missed && !seeded_bug("node-due-is-missed"))
        maintain(node);
    snapshot_applier_idle(node);
    rebuild_idle(node);
    if (!node->read_last || node->applied >= node->apply_to || seeded_bug("node-reads-first"))
        read_serve(node);
}

void work_pump(struct node *node)
{
    if (!node->bounded && node_working(node) && work_idle(node))
        take_turns(node);
    while (node_working(node) && work_idle(node) && !node->apply_hold && node->applied < node->apply_to) {
        int status;

        node->apply_asked = node->apply_to;
        node->apply_read.from = node->applied + 1;
        node->apply_read.max_bytes = RUN_BYTES;
        node->apply_read.done = read_back;
        node->apply_read.ctx = node;
        status = log_read(node->log, &node->apply_read);
        if (status == 0) {
            node->apply_reading = true;
            if (seeded_bug("settle-read-back-waits"))
                return;
            break; /* reads of what is applied already do not wait for the disk */
        }
        if (status < 0) {
            node_fatal(node, 74, "committed entries from index %llu on are not in the log",
                       (unsigned long long)node->applied + 1);
            return;
        }
        start_run(node, &node->apply_read);
    }
    if (node_working(node)) {
        snapshot_applier_idle(node);
        read_serve(node);
    }
    if (node->applied < node->apply_to || !os_list_empty(&node->ready_reads))
        node->look |= NODE_LOOK_APPLIER;
}

void work_free(struct node *node)
{
    for (uint32_t i = 0; i < node->run.count; i++)
        log_batch_unref(node->run.batches[i]);
    gavel_buffer_free(&node->run.records);
}
