/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.c - snapshots of the whole node: taking one while commands go on, receiving and installing one from the
 * leader, restoring at start. Sending one to a peer: snapshot_send.c.
 *
 *   taking      IDLE -> HOLDING (state is held) -> (produce -> write)* -> ENDING -> IDLE
 *   receiving   offer -> (piece -> stored)* -> installing: publish -> restore -> reset the log -> tell the
 * core
 *
 * One of each at a time. Nothing is ever held whole: a piece of some 256 KiB is on its way from the machine
 * to the disk.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

#define PIECE_BYTES (256u << 10)
#define READ_BYTES (1u << 20)
#define RETRY_NS UINT64_C(5000000000) /* after a snapshot that failed: not at once again */

#define FENCED_PATIENCE 16 /* a fenced node takes a snapshot after so many times the usual log */

struct node_snapshots {
    /* since the last one */
    uint64_t entries;
    uint64_t log_bytes;
    uint64_t retry_at;

    /* taking */
    struct node *node;
    struct apply_snapshot *held;
    struct apply_snapshot *leaving; /* done with, but the apply lane was busy: it is ended between two runs */
    struct log_snapshot_writer *writer;
    struct gavel_buffer piece;
    uint64_t piece_sent;
    int32_t more;
    struct gavel_error error;
    struct os_job job;
    bool producing; /* the lane has the held state and the piece */
    bool writing;   /* the disk has the piece */
    bool ending;
    bool abandoned; /* to be ended as soon as the lane lets go of it */
    uint64_t index;
    uint64_t size; /* entries of all machines, for people */
    uint64_t began_ns;
    struct origin origin;
    bool wanted; /* somebody asked for one while the lane had the state: it has its turn between two runs */
    struct origin asker; /* who asked, if he waits for the answer */

    /* receiving */
    struct log_snapshot_receiver *receiver;
    struct raft_snapshot_request incoming;
    struct gavel_buffer chunk;
    bool stored; /* a CHUNK_STORED is due: the event below */
    struct raft_event_chunk_stored stored_event;

    /* installing */
    bool installing;
    bool install_asked;
    uint64_t install_ns; /* when it began */
    struct log_task reset;
    struct members members; /* of the installed snapshot */

    /* restoring */
    struct log_snapshot_reader *reader;
    uint64_t restore_index;
    uint64_t restore_offset;
    uint64_t restore_ns; /* when it began */
    void (*restored)(struct node *node, int32_t status);
};

int32_t snapshots_new(struct node *node)
{
    struct node_snapshots *snapshots = calloc(1, sizeof *snapshots);

    if (!snapshots)
        return GAVEL_E_NO_MEMORY;
    snapshots->node = node;
    snapshots->piece = codec_buffer(0);
    snapshots->chunk = codec_buffer(0);
    node->snapshots = snapshots;
    return GAVEL_OK;
}

void snapshots_free(struct node *node)
{
    struct node_snapshots *snapshots = node->snapshots;

    if (!snapshots)
        return;
    save_end_all(node);
    log_snapshot_close(snapshots->reader);
    log_snapshot_receive_close(snapshots->receiver);
    log_snapshot_cancel(snapshots->writer);
    apply_snapshot_end(snapshots->held);
    apply_snapshot_end(snapshots->leaving);
    gavel_buffer_free(&snapshots->piece);
    gavel_buffer_free(&snapshots->chunk);
    free(snapshots);
    node->snapshots = NULL;
}

void snapshots_give_up(struct node *node)
{
    struct node_snapshots *snapshots = node->snapshots;
    struct peer *peer;

    rebuild_free(node);
    /* What a lane still has of them stays until the node is freed: lanes are through then. */
    log_snapshot_cancel(snapshots->writer);
    snapshots->writer = NULL;
    log_snapshot_receive_close(snapshots->receiver);
    snapshots->receiver = NULL;
    log_snapshot_close(snapshots->reader);
    snapshots->reader = NULL;
    save_end_all(node);
    os_list_each (peer, &node->peers, struct peer, link)
        snapshot_stop_sending(node, peer->id);
}

uint64_t snapshot_index(const struct node *node)
{
    return node->log ? log_snapshot_newest(node->log).index : 0;
}


void snapshot_counted(struct node *node, uint64_t entries, uint64_t bytes)
{
    node->snapshots->entries += entries;
    node->snapshots->log_bytes += bytes;
}

/* ---- taking -------------------------------------------------------------------------------------------- */

/* A machine's snapshot_end is for the apply lane, like its commands: never beside one. */
static void let_go(struct node *node)
{
    if (node->snapshots->leaving && work_idle(node))
        node->snapshots->leaving = apply_snapshot_end(node->snapshots->leaving);
}

static void take_end(struct node *node, int32_t status, const char *why)
{
    struct node_snapshots *snapshots = node->snapshots;
    struct codec_reply reply = {.status = status, .index = snapshots->index, .text = gavel_text(why)};
    uint64_t bytes = status == GAVEL_OK ? log_snapshot_newest(node->log).bytes : 0;
    struct trace_scope scope;

    trace_enter_span(node, &scope, &node->spans.save);
    trace_end_numbers(node, &node->spans.save, status, "index", snapshots->index, "bytes", bytes);
    measure_snapshot(node, "save", status, snapshots->began_ns, bytes);
    snapshots->leaving = snapshots->held;
    snapshots->held = NULL;
    let_go(node);
    snapshots->writer = NULL;
    snapshots->abandoned = false;
    snapshots->ending = false;
    if (!apply_concurrent(node->apply) && !snapshots->installing)
        node->apply_hold = false;
    if (!snapshots->writing)
        gavel_buffer_free(&snapshots->piece);
    if (status != GAVEL_OK) {
        snapshots->retry_at = node_now(node) + RETRY_NS;
        node_log(node, GAVEL_LOG_WARN, "snapshot", "No snapshot at index %llu: %s",
                 (unsigned long long)snapshots->index, why);
    } else {
        reply.text = gavel_bytes(NULL, 0);
    }
    client_reply(node, snapshots->origin, &reply);
    snapshots->origin = (struct origin){0};
    trace_leave(node, &scope);
}

void snapshot_compact(struct node *node)
{
    struct raft_event event = {.type = RAFT_EVENT_COMPACTED};
    uint64_t before = log_first(node->log);

    log_compact(node->log, raft_compactable(node->raft));
    event.index = log_first(node->log) - 1;
    if (event.index + 1 > before)
        (void)engine_step(node, &event);
}

static void published(struct node *node)
{
    struct node_snapshots *snapshots = node->snapshots;
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_TAKEN, .index = snapshots->index};
    char index[24];
    char size[24];
    const char *const pairs[] = {"index", index, "size", size, NULL};
    struct trace_scope scope;

    (void)snprintf(index, sizeof index, "%llu", (unsigned long long)snapshots->index);
    (void)snprintf(size, sizeof size, "%llu", (unsigned long long)snapshots->size);
    trace_enter_span(node, &scope, &node->spans.save);
    node_log(node, GAVEL_LOG_INFO, "snapshot", "Snapshot created (size: %s) at index %s in %llu ms", size,
             index, (unsigned long long)((node_now(node) - snapshots->began_ns) / NS_PER_MS));
    trace_leave(node, &scope);
    event_local(node, "snapshot_created", "", pairs);
    take_end(node, GAVEL_OK, "");
    (void)engine_step(node, &event);
    directory_prune(&node->directory, snapshots->index);
    snapshot_compact(node);
}

static void produce(struct node *node);

/* Write what of the piece is not yet written, or produce the next, or finish. */
static void write_on(struct node *node)
{
    struct node_snapshots *snapshots = node->snapshots;
    uint64_t left = snapshots->piece.size - snapshots->piece_sent;
    int status;

    if (left) {
        uint64_t size = left < LOG_SNAPSHOT_PIECE_MAX ? left : LOG_SNAPSHOT_PIECE_MAX;
        const unsigned char *at = snapshots->piece.data + snapshots->piece_sent;

        snapshots->piece_sent += size;
        status = log_snapshot_write(snapshots->writer, at, size);
        snapshots->writing = status == GAVEL_OK;
    } else if (snapshots->more) {
        produce(node);
        return;
    } else {
        snapshots->ending = true;
        status = log_snapshot_end(snapshots->writer);
    }
    if (status != GAVEL_OK) {
        log_snapshot_cancel(snapshots->writer);
        take_end(node, status, "it cannot be written");
    }
}

static void writer_done(void *ctx, int32_t status, const struct gavel_error *error)
{
    struct node *node = ctx;
    struct node_snapshots *snapshots = node->snapshots;

    snapshots->writing = false;
    if (!node_working(node) || !snapshots->writer)
        return;
    if (status != GAVEL_OK) {
        log_snapshot_cancel(snapshots->writer);
        take_end(node, status, error ? error->text : "it cannot be written");
    } else if (snapshots->ending) {
        published(node);
    } else {
        write_on(node);
    }
    node_settle(node);
}

/* [apply] or [worker]: fill one piece. */
static void produce_on_lane(struct os_job *job)
{
    struct node_snapshots *snapshots = os_container(job, struct node_snapshots, job);

    snapshots->more = 1;
    while (snapshots->more > 0 && snapshots->piece.size < PIECE_BYTES)
        snapshots->more = apply_snapshot_next(snapshots->held, &snapshots->piece, &snapshots->error);
}

static void produced(struct os_job *job)
{
    struct node_snapshots *snapshots = os_container(job, struct node_snapshots, job);
    struct node *node = snapshots->node;

    snapshots->producing = false;
    if (!node_working(node))
        return;
    if (snapshots->abandoned || snapshots->more < 0) {
        log_snapshot_cancel(snapshots->writer);
        take_end(node, snapshots->abandoned ? GAVEL_E_CLOSED : snapshots->more,
                 snapshots->abandoned ? "a newer one is being installed" : snapshots->error.text);
    } else {
        write_on(node);
    }
    node_settle(node);
}

static void produce(struct node *node)
{
    struct node_snapshots *snapshots = node->snapshots;

    snapshots->piece.size = 0;
    snapshots->piece_sent = 0;
    snapshots->error.text[0] = 0;
    snapshots->producing = true;
    snapshots->job.run = produce_on_lane;
    snapshots->job.done = produced;
    os_submit(node->os, apply_concurrent(node->apply) ? OS_LANE_WORKER : OS_LANE_APPLY, &snapshots->job);
}

/* The configuration that belongs to a snapshot of `index`, with names. */
static bool members_at(struct node *node, uint64_t index, struct members *out)
{
    const struct members *members = directory_at(&node->directory, index);

    if (!members || !raft_configuration_at(node->raft, index))
        return false;
    *out = *members;
    return true;
}

int32_t snapshot_take(struct node *node, struct origin origin)
{
    struct node_snapshots *snapshots = node->snapshots;
    struct log_snapshot_info info = {.index = node->applied};
    struct log_descriptor last;
    struct members members;
    struct gavel_error error = {0};
    int status;

    if (!node->raft || snapshots->held || snapshots->leaving || snapshots->writing || snapshots->installing ||
        snapshots->reader)
        return GAVEL_E_BUSY;
    if (!work_idle(node) || node->apply_hold)
        return GAVEL_E_BUSY;
    if (node->applied == 0 || node->applied == snapshot_index(node))
        return GAVEL_E_EXISTS;
    if (log_describe(node->log, node->applied, &last) != GAVEL_OK ||
        !members_at(node, node->applied, &members))
        return GAVEL_E_STATE;
    if (last.first + last.count - 1 != node->applied)
        return GAVEL_E_BUSY; /* inside a batch, behind a run that was cut: a log goes on behind whole ones only */
    info.term = last.term;
    info.chain = last.chain;
    snapshots->index = info.index;
    snapshots->size = 0;
    for (uint32_t i = 1; i <= node->setup.machine_count; i++) {
        struct gavel_machine_state state;

        if (apply_machine_state(node->apply, i, &state))
            snapshots->size += state.entries;
    }
    node->body.size = 0;
    status = members_encode(&members, &node->body); /* a snapshot without its members could never be restored */
    if (status == GAVEL_OK)
        status = apply_snapshot_begin(node->apply, &snapshots->held, &error);
    if (status != GAVEL_OK) {
        snapshots->retry_at = node_now(node) + RETRY_NS;
        node_log(node, GAVEL_LOG_WARN, "snapshot", "A snapshot at index %llu cannot begin: %s",
                 (unsigned long long)info.index, error.text[0] ? error.text : "no memory");
        return status;
    }
    status = log_snapshot_begin(node->log, &info, node->body.data, node->body.size, writer_done, node,
                                &snapshots->writer);
    if (status != GAVEL_OK) {
        snapshots->held = apply_snapshot_end(snapshots->held);
        snapshots->retry_at = node_now(node) + RETRY_NS;
        return status;
    }
    if (!apply_concurrent(node->apply))
        node->apply_hold = true;
    snapshots->origin = origin;
    snapshots->began_ns = node_now(node);
    node->spans.save = trace_begin(node, SPAN_SAVE);
    snapshots->entries = 0;
    snapshots->log_bytes = 0;
    produce(node);
    return GAVEL_OK;
}

/* What kept one from being taken was the lane, and that lets go. */
static bool lane_had_the_state(const struct node *node)
{
    const struct node_snapshots *snapshots = node->snapshots;

    return node->raft && snapshot_quiet(node) && !snapshots->writer;
}

int32_t snapshot_want(struct node *node, struct origin origin)
{
    struct node_snapshots *snapshots = node->snapshots;
    uint64_t retry_at = snapshots->retry_at;
    int32_t status = snapshot_take(node, origin);

    if (status != GAVEL_E_BUSY || snapshots->retry_at != retry_at || !lane_had_the_state(node) ||
        (origin.id && snapshots->asker.id) || seeded_bug("node-snapshot-not-now"))
        return status;
    COVER("node-snapshot-between-runs");
    snapshots->wanted = true;
    node->look |= NODE_LOOK_APPLIER;
    if (!origin.id)
        return GAVEL_E_BUSY;
    snapshots->asker = origin;
    return GAVEL_OK;
}

static void take_wanted(struct node *node)
{
    struct node_snapshots *snapshots = node->snapshots;
    struct origin asker = snapshots->asker;
    uint64_t retry_at = snapshots->retry_at;
    int32_t status;

    if (node_now(node) < retry_at)
        return;
    status = node->fenced ? GAVEL_E_STATE : snapshot_take(node, asker);
    if (status == GAVEL_E_BUSY && snapshots->retry_at == retry_at)
        return; /* else it was tried, and the next one who asks may try again */
    snapshots->wanted = false;
    snapshots->asker = (struct origin){0};
    if (status != GAVEL_OK && asker.id)
        hostcmd_snapshot_answer(node, asker, status);
}

bool snapshot_may_take(const struct node *node)
{
    return !node->snapshots->held && node_now(node) >= node->snapshots->retry_at;
}

static bool is_due(const struct node *node)
{
    const struct node_snapshots *snapshots = node->snapshots;
    /* A wrong state is not kept: the leader's takes its place. But the log of who waits for that has to end somewhere,
     * or it would take no more entries some day; the fence outlives the snapshot. */
    uint64_t patience = node->fenced ? FENCED_PATIENCE : 1;
    /* One that is published before the leader's would make that worthless: while it comes, only for want of room. */
    bool comes = rebuild_fetches(node) && !seeded_bug("node-own-before-the-leaders");
    uint64_t room = comes ? NODE_BATCHES_MAX / 4 * 3 : NODE_BATCHES_MAX / 2;

    if (!comes && snapshots->entries >= node->limits.snapshot_entries &&
        snapshots->log_bytes / patience >= node->limits.snapshot_log_min)
        return true;
    /* The core knows a bounded number of batches: one is due before it forgets any that are needed. */
    return node->raft && raft_batches(node->raft) > room && raft_batches_above_snapshot(node->raft) > room &&
           snapshots->entries > 0;
}

void snapshot_consider(struct node *node)
{
    if (is_due(node) && node_now(node) >= node->snapshots->retry_at)
        (void)snapshot_take(node, (struct origin){0});
}

/* ---- receiving ----------------------------------------------------------------------------------------- */

static void tell_stored(struct node *node, uint64_t offset, bool failed)
{
    struct node_snapshots *snapshots = node->snapshots;

    snapshots->stored = true;
    snapshots->stored_event = (struct raft_event_chunk_stored){.index = snapshots->incoming.index,
                                                               .digest = snapshots->incoming.digest,
                                                               .offset = offset,
                                                               .failed = failed};
}

static void publish_received(struct node *node, int32_t status, const char *why);

static void received(void *ctx, int32_t status, uint64_t offset, const struct gavel_error *error)
{
    struct node *node = ctx;
    struct node_snapshots *snapshots = node->snapshots;

    if (!node_working(node))
        return;
    if (snapshots->installing) {
        COVER("node-offer-during-install");
        publish_received(node, status, error ? error->text : "");
    } else {
        if (status != GAVEL_OK)
            node_log(node, GAVEL_LOG_WARN, "snapshot", "A piece of a snapshot was not stored: %s",
                     error ? error->text : "");
        tell_stored(node, offset, status != GAVEL_OK);
    }
    node_settle(node);
}

static int begin_receiving(struct node *node, const struct raft_snapshot_request *chunk)
{
    struct node_snapshots *snapshots = node->snapshots;
    struct log_snapshot_info info = {.index = chunk->index,
                                     .term = chunk->last_term,
                                     .chain = chunk->chain,
                                     .digest = (uint32_t)chunk->digest,
                                     .bytes = chunk->total};

    log_snapshot_receive_close(snapshots->receiver);
    snapshots->receiver = NULL;
    return log_snapshot_receive(node->log, &info, node->chunk_meta.data, node->chunk_meta.size, received,
                                node, &snapshots->receiver);
}

void snapshot_yield(struct node *node)
{
    struct node_snapshots *snapshots = node->snapshots;

    if (!snapshots->receiver || snapshots->installing || snapshots->install_asked)
        return;
    log_snapshot_receive_close(snapshots->receiver);
    snapshots->receiver = NULL;
    tell_stored(node, 0, true); /* a piece may have been under way */
}

void snapshot_store_chunk(struct node *node, const struct raft_snapshot_request *chunk)
{
    struct node_snapshots *snapshots = node->snapshots;
    int status;

    snapshots->incoming = *chunk;
    if (chunk->length == 0) {
        status = begin_receiving(node, chunk);
        if (status == GAVEL_E_EXISTS) {
            tell_stored(node, chunk->total, false); /* it is here already, whole */
            return;
        }
    } else if (!snapshots->receiver || node->chunk_bytes.size != chunk->length) {
        status = GAVEL_E_INVALID;
    } else {
        snapshots->chunk.size = 0;
        status = gavel_buffer_append(&snapshots->chunk, node->chunk_bytes.data, node->chunk_bytes.size);
        if (status == GAVEL_OK)
            status = log_snapshot_piece(snapshots->receiver, chunk->offset, snapshots->chunk.data,
                                        snapshots->chunk.size, (uint32_t)node->chunk_digest);
    }
    if (status != GAVEL_OK)
        tell_stored(node, chunk->offset, true);
}

/* ---- installing ---------------------------------------------------------------------------------------- */

static void tell_installed(struct node *node, bool failed)
{
    struct node_snapshots *snapshots = node->snapshots;
    struct raft_configuration configuration;
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_INSTALLED,
                               .snapshot_installed = {.index = snapshots->incoming.index,
                                                      .digest = snapshots->incoming.digest,
                                                      .configuration = &configuration,
                                                      .failed = failed}};

    struct trace_scope scope;

    members_configuration(&snapshots->members, &configuration);
    snapshots->installing = false;
    node->apply_hold = false;
    trace_enter_span(node, &scope, &node->spans.install);
    trace_end_numbers(node, &node->spans.install, failed ? GAVEL_E_CORRUPT : GAVEL_OK, "index",
                      snapshots->incoming.index, "bytes", snapshots->incoming.total);
    measure_snapshot(node, "install", failed ? GAVEL_E_CORRUPT : GAVEL_OK, snapshots->install_ns,
                     snapshots->incoming.total);
    if (!failed) {
        if (directory_begin(&node->directory, snapshots->incoming.index, &snapshots->members) != GAVEL_OK) {
            trace_leave(node, &scope);
            node_fatal(node, 70, "no memory for the members of the leader's snapshot");
            return;
        }
        /* The whole log has been replaced: what lay behind the snapshot's index is gone as well. */
        if (node->change.active)
            change_lost(node, GAVEL_E_UNKNOWN,
                        "a snapshot of a new leader took the place of the log with the change of members; "
                        "look at the members");
        figures_cut(node->figures, snapshots->incoming.index + 1);
        trace_truncated(node, snapshots->incoming.index + 1);
        peers_learn(node);
        rebuild_installed(node, snapshots->incoming.index);
        propose_passed(node, snapshots->incoming.index);
        propose_truncated(node, snapshots->incoming.index + 1);
        node_log(node, GAVEL_LOG_INFO, "snapshot", "Installed the leader's snapshot at index %llu",
                 (unsigned long long)snapshots->incoming.index);
    }
    trace_leave(node, &scope);
    (void)engine_step(node, &event);
}

static void reset_done(struct log_task *task)
{
    struct node *node = task->ctx;

    if (!node_working(node))
        return;
    if (task->status != GAVEL_OK)
        node_fatal(node, 74, "the log cannot be started again behind the leader's snapshot: %s",
                   task->error.text);
    else
        tell_installed(node, false);
    node_settle(node);
}

static void install_restored(struct node *node, int32_t status)
{
    struct node_snapshots *snapshots = node->snapshots;

    if (status != GAVEL_OK) {
        node_fatal(node, node_exit_code(status),
                   "the machines could not be restored from the leader's snapshot: %s",
                   snapshots->error.text);
        return;
    }
    snapshots->reset = (struct log_task){.done = reset_done, .ctx = node};
    status = log_reset(node->log, snapshots->incoming.index, snapshots->incoming.last_term,
                       snapshots->incoming.chain, &snapshots->reset);
    if (status != GAVEL_OK)
        node_fatal(node, 74, "the log cannot be started again behind the leader's snapshot (%d)", status);
}

static void publish_received(struct node *node, int32_t status, const char *why)
{
    struct node_snapshots *snapshots = node->snapshots;
    struct trace_scope scope;

    if (status != GAVEL_OK) {
        trace_enter_span(node, &scope, &node->spans.install);
        node_log(node, GAVEL_LOG_WARN, "snapshot", "The leader's snapshot cannot be installed: %s", why);
        trace_leave(node, &scope);
        log_snapshot_receive_close(snapshots->receiver);
        snapshots->receiver = NULL;
        tell_installed(node, true);
        return;
    }
    snapshots->receiver = NULL;
    snapshot_restore(node, snapshots->incoming.index, install_restored);
}

/* The apply lane is idle and no local snapshot is being taken: now the state may be replaced. */
static void install_now(struct node *node)
{
    struct node_snapshots *snapshots = node->snapshots;
    int status;

    snapshots->install_asked = false;
    snapshots->installing = true;
    snapshots->install_ns = node_now(node);
    node->spans.install = trace_begin(node, SPAN_INSTALL);
    node->apply_hold = true;
    if (!snapshots->receiver) {
        publish_received(node, GAVEL_OK, ""); /* it was published before */
        return;
    }
    status = log_snapshot_received_end(snapshots->receiver);
    if (status != GAVEL_OK)
        publish_received(node, status, "it is not whole");
}

void snapshot_install(struct node *node, const struct raft_snapshot_request *chunk)
{
    node->snapshots->incoming = *chunk;
    node->snapshots->install_asked = true;
}

bool snapshot_quiet(const struct node *node)
{
    const struct node_snapshots *snapshots = node->snapshots;

    return !snapshots->held && !snapshots->leaving && !snapshots->writing && !snapshots->installing &&
           !snapshots->install_asked && !snapshots->reader;
}

/* ---- restoring ----------------------------------------------------------------------------------------- */

static void restore_end(struct node *node, int32_t status)
{
    struct node_snapshots *snapshots = node->snapshots;
    void (*restored)(struct node *, int32_t) = snapshots->restored;

    log_snapshot_close(snapshots->reader);
    snapshots->reader = NULL;
    snapshots->restored = NULL;
    measure_snapshot(node, "restore", status, snapshots->restore_ns, snapshots->restore_offset);
    if (status == GAVEL_OK) {
        node->applied = snapshots->restore_index;
        if (node->apply_to < snapshots->restore_index) /* while a node rebuilds, more is committed than that */
            node->apply_to = snapshots->restore_index;
        node->applied_tick = apply_tick(node->apply);
        snapshots->entries = 0;
        snapshots->log_bytes = 0;
        settings_changed(node);
        roster_changed(node);
        events_begin_after(node, snapshots->restore_index);
    }
    restored(node, status);
}

static void restore_read(void *ctx, int32_t status, const struct log_snapshot_piece *piece,
                         const struct gavel_error *error)
{
    struct node *node = ctx;
    struct node_snapshots *snapshots = node->snapshots;

    if (!node_working(node))
        return;
    if (status != GAVEL_OK) {
        snapshots->error = *error;
    } else {
        status = apply_restore_bytes(node->apply, gavel_bytes(piece->data, piece->size), &snapshots->error);
        snapshots->restore_offset += piece->size;
        if (status == GAVEL_OK && (piece->last || piece->size == 0))
            status = apply_restore_end(node->apply, &snapshots->error);
        else if (status == GAVEL_OK)
            status = log_snapshot_read(snapshots->reader, snapshots->restore_offset, READ_BYTES) == GAVEL_OK
                         ? 1
                         : gavel_fail(&snapshots->error, GAVEL_E_IO, "the snapshot cannot be read on");
    }
    if (status <= 0)
        restore_end(node, status);
    node_settle(node);
}

void snapshot_restore(struct node *node, uint64_t index, void (*done)(struct node *node, int32_t status))
{
    struct node_snapshots *snapshots = node->snapshots;
    struct gavel_slice meta;
    int32_t status;

    assert(!snapshots->reader);
    snapshots->restored = done;
    snapshots->restore_index = index;
    snapshots->restore_offset = 0;
    snapshots->restore_ns = node_now(node);
    status = log_snapshot_open(node->log, index, restore_read, node, &snapshots->reader);
    if (status != GAVEL_OK)
        status = gavel_fail(&snapshots->error, status, "the snapshot at index %llu cannot be opened",
                            (unsigned long long)index);
    if (status == GAVEL_OK) {
        (void)log_snapshot_reader_info(snapshots->reader, &meta);
        status = members_decode(meta, &snapshots->members, &snapshots->error);
    }
    if (status == GAVEL_OK)
        status = apply_restore_begin(node->apply, index, &snapshots->error);
    if (status == GAVEL_OK)
        status = log_snapshot_read(snapshots->reader, 0, READ_BYTES);
    if (status != GAVEL_OK)
        restore_end(node, status);
}

const char *snapshot_error(const struct node *node)
{
    return node->snapshots->error.text;
}

const struct members *snapshot_members(const struct node *node)
{
    return &node->snapshots->members;
}

/* ---- what was asked for by effects, outside of the step ------------------------------------------------ */

void snapshot_applier_idle(struct node *node)
{
    struct node_snapshots *snapshots = node->snapshots;

    if (node->stepping || !node->raft)
        return;
    let_go(node);
    if (snapshots->stored) {
        struct raft_event event = {.type = RAFT_EVENT_CHUNK_STORED};

        snapshots->stored = false;
        event.chunk_stored = snapshots->stored_event;
        (void)engine_step(node, &event);
    }
    if (snapshots->install_asked && work_idle(node) && !snapshots->reader) {
        if (!snapshots->held && !snapshots->leaving) {
            install_now(node);
        } else {
            /* The local one is older than what comes: drop it, at once or when the lane lets go. */
            snapshots->abandoned = true;
            if (!snapshots->producing) {
                log_snapshot_cancel(snapshots->writer);
                take_end(node, GAVEL_E_CLOSED, "a newer one is being installed");
            }
        }
    }
    snapshot_serve_peers(node);
    if (!snapshots->install_asked && !snapshots->installing) {
        if (snapshots->wanted)
            take_wanted(node);
        snapshot_consider(node);
    }
    if (snapshots->wanted || snapshots->held || snapshots->leaving || snapshots->stored || snapshots->install_asked ||
        snapshots->installing || snapshots->reader || is_due(node))
        node->look |= NODE_LOOK_APPLIER;
}
