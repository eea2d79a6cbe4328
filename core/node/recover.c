/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover.c - from what the disk holds to a running core: open the log, restore the newest snapshot, read the
 * configurations of the log back, start. Everything is replayed together; nothing else is durable.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/node/members_seen.h"
#include "core/os/seeded.h"
#include "core/raft/bugs.h"

static int exit_code_of(int32_t status)
{
    switch (status) {
    case GAVEL_E_CONFIG:
    case GAVEL_E_VERSION: return 78;
    case GAVEL_E_DENIED: return 77;
    case GAVEL_E_CORRUPT: return 65;
    default: return 74;
    }
}

int node_exit_code(int32_t status)
{
    switch (status) {
    case GAVEL_E_CONFIG:
    case GAVEL_E_VERSION: return 78;
    case GAVEL_E_CORRUPT: return 65;
    case GAVEL_E_IO:
    case GAVEL_E_NO_SPACE: return 74;
    default: return 70;
    }
}

static void report_recovery(struct node *node)
{
    const struct log_recovery *recovery = &node->recovery;

    if (recovery->start == LOG_START_RECOVERING)
        node_log(node, GAVEL_LOG_ERROR, "log",
                 "Recovering: %s; this node does not vote until it has fetched what it lacks",
                 recovery->text);
    else if (recovery->text[0])
        node_log(node, GAVEL_LOG_WARN, "log", "%s", recovery->text);
    node_log(node, GAVEL_LOG_INFO, "log", "Log open: term %llu, entries %llu to %llu, snapshot at %llu",
             (unsigned long long)recovery->term, (unsigned long long)recovery->first,
             (unsigned long long)recovery->last, (unsigned long long)recovery->snapshot.index);
}

/* Somebody else who used the directory shall find in the log why that ended. */
static void report_mode(struct node *node)
{
    const struct log_recovery *recovery = &node->recovery;

    if (recovery->mode_before == 0 && recovery->mode_failed == 0)
        return;
    if (recovery->mode_failed)
        node_log(node, GAVEL_LOG_WARN, "log", "The data directory %s has mode %04o, and 0700 cannot be set: %s; others "
                 "may read what the cluster holds", node->setup.data_dir, recovery->mode_before,
                 strerror(-recovery->mode_failed));
    else
        node_log(node, GAVEL_LOG_INFO, "log", "The data directory %s had mode %04o and has 0700 now: it is for this "
                 "node alone; share another directory", node->setup.data_dir, recovery->mode_before);
}

/* What core/log has reserved by writing it may be no room there. */
static void report_file_system(struct node *node)
{
    if (node->recovery.copies)
        node_log(node, GAVEL_LOG_WARN, "log",
                 "The data directory %s is on %s, which copies on write: where it runs full, a write to space that was "
                 "reserved can fail, and this node then ends with 74; watch the room on it, or use ext4 or XFS; see "
                 "disk-full in gavel-runbook(7)",
                 node->setup.data_dir, node->recovery.copies);
}

int32_t recover_open(struct node *node, int *exit_code, struct gavel_error *error)
{
    struct log_options options = {
        .dir = node->setup.data_dir,
        .name = node->setup.name,
        .segment_bytes = node->limits.log_segment_bytes,
        .cache_bytes = node->limits.log_cache_bytes,
        .trail_bytes = node->limits.log_trailing_bytes,
        .snapshot_keep = (uint32_t)node->limits.snapshot_keep,
        .recover = (node->setup.member_count != 1 || node->setup.join_count > 0) && node->setup.expect != 1,
        .pool = node->pool,
    };
    struct log_events events = {.ctx = node, .written = engine_written, .failed = engine_failed};
    int32_t status = log_open(node->os, &options, &events, &node->log, &node->recovery, error);
    struct gavel_slice record;

    /* The INI file says with how many the cluster was founded; others may have come since, and hold what is lost. */
    if (status == GAVEL_E_CORRUPT && !options.recover && members_seen_others(node->os, options.dir) > 0) {
        log_recovery_free(&node->recovery);
        options.recover = 1;
        status = log_open(node->os, &options, &events, &node->log, &node->recovery, error);
    }
    if (status != GAVEL_OK) {
        *exit_code = exit_code_of(status);
        return status;
    }
    report_mode(node);
    report_file_system(node);
    node->incarnation = node->recovery.incarnation;
    node->recovers = node->recovery.start == LOG_START_RECOVERING;
    node->member_id = node->recovery.member_id;
    record = gavel_bytes(node->recovery.founding, node->recovery.founding_bytes);
    if (!node->recovery.founding && node->setup.member_count == 0 && node->setup.join_count == 0 &&
        !node->setup.discovers) {
        *exit_code = 78;
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "the data directory is empty: say in [cluster] which members found a cluster, or by which "
                          "addresses to join one");
    }
    if (!node->recovery.founding)
        return GAVEL_OK;
    status = found_load(node, record, error);
    for (uint32_t i = 0; status == GAVEL_OK && i < node->setup.machine_count; i++)
        if (!node->recovery.snapshot.index) /* this life begins with the founding: it has to act as then */
            status = setting_fits(&node->setup.machines[i], node->settings->machines[i], error);
    if (status == GAVEL_OK && gavel_buffer_append(&node->record, record.data, record.size) != GAVEL_OK)
        status = gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the founding record");
    if (status != GAVEL_OK) {
        *exit_code = status == GAVEL_E_NO_MEMORY ? 70 : exit_code_of(status);
        return status;
    }
    if (node->member_id == 0)
        return GAVEL_OK; /* cut short between record and identity: found_resume goes on from here */
    node->founded = true;
    if (directory_begin(&node->directory, 0, &node->founding_members) != GAVEL_OK) {
        *exit_code = 70;
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the members");
    }
    peers_sync(node);
    return GAVEL_OK;
}

/* ---- configurations of the log ------------------------------------------------------------------------- */

struct replay {
    struct node *node;
    struct raft_configuration *configurations; /* in the order of the log */
    uint32_t count;
    uint32_t capacity;
    uint64_t at; /* position in recovery.batches */
    struct log_read read;
};

static void start_core(struct replay *replay);

static void replay_free(struct replay *replay)
{
    replay->node->replay = NULL;
    free(replay->configurations);
    free(replay);
}

static bool keep_configuration(struct replay *replay, const struct log_batch *batch,
                               struct gavel_error *error)
{
    struct raft_batch described;
    struct members members;
    struct raft_configuration *grown;

    if (replay->count == replay->capacity) {
        uint32_t capacity = replay->capacity ? replay->capacity * 2 : 4;

        grown = realloc(replay->configurations, capacity * sizeof *grown);
        if (!grown) {
            (void)gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
            return false;
        }
        replay->configurations = grown;
        replay->capacity = capacity;
    }
    if (peer_describe_batch(batch, &described, &replay->configurations[replay->count++], error) !=
            GAVEL_OK ||
        peer_batch_members(batch, &members, error) != GAVEL_OK)
        return false;
    if (directory_push(&replay->node->directory, batch->head.first, &members) != GAVEL_OK) {
        (void)gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
        return false;
    }
    peers_learn(replay->node);
    return true;
}

static void next_batch(struct replay *replay);

static void batch_read(struct log_read *read)
{
    struct replay *replay = read->ctx;
    struct node *node = replay->node;
    struct gavel_error error = read->error;
    bool good = read->status == GAVEL_OK && read->count > 0;
    /* What could be read and makes no sense is damage; what could not be read is what the log says. */
    int exit_code = read->status == GAVEL_OK ? 65 : node_exit_code(read->status);

    if (!node_working(node)) {
        log_read_release(read);
        replay_free(replay);
        node_settle(node);
        return;
    }
    if (good && read->batches[0]->kind == LOG_CONFIG)
        good = keep_configuration(replay, read->batches[0], &error);
    if (good && read->batches[0]->head.tick > node->tick_base)
        node->tick_base = read->batches[0]->head.tick;
    log_read_release(read);
    if (!good) {
        node_fatal(node, exit_code, "the log's entry %llu cannot be read back: %s",
                   (unsigned long long)node->recovery.batches[replay->at].first, error.text);
        replay_free(replay);
        return;
    }
    replay->at++;
    next_batch(replay);
    node_settle(node);
}

/* Configurations are needed decoded, and the last batch for its tick; the rest is described well enough. */
static void next_batch(struct replay *replay)
{
    struct node *node = replay->node;
    const struct log_recovery *recovery = &node->recovery;
    int status;

    while (replay->at < recovery->batch_count && recovery->batches[replay->at].kind != LOG_CONFIG &&
           replay->at + 1 < recovery->batch_count)
        replay->at++;
    if (replay->at >= recovery->batch_count) {
        start_core(replay);
        return;
    }
    replay->read = (struct log_read){.from = recovery->batches[replay->at].first,
                                     .max_bytes = 1,
                                     .max_batches = 1,
                                     .done = batch_read,
                                     .ctx = replay};
    status = log_read(node->log, &replay->read);
    if (status == 0)
        return;
    replay->read.status = status > 0 ? GAVEL_OK : status;
    batch_read(&replay->read);
}

/* ---- the core ------------------------------------------------------------------------------------------ */

static uint32_t core_kind(uint32_t kind)
{
    return kind == LOG_NOOP     ? RAFT_BATCH_NOOP
           : kind == LOG_CONFIG ? RAFT_BATCH_CONFIGURATION
                                : RAFT_BATCH_COMMAND;
}

static int load_batches(struct node *node, const struct replay *replay)
{
    const struct log_recovery *recovery = &node->recovery;
    uint32_t configuration = 0;

    for (uint64_t i = 0; i < recovery->batch_count; i++) {
        const struct log_descriptor *found = &recovery->batches[i];
        struct raft_batch batch = {.first = found->first,
                                   .term = found->term,
                                   .count = found->count,
                                   .bytes = found->bytes,
                                   .chain = found->chain,
                                   .kind = core_kind(found->kind)};
        int status;

        if (found->kind == LOG_CONFIG)
            batch.configuration = &replay->configurations[configuration++];
        status = raft_load(node->raft, &batch, 1);
        if (status != RAFT_OK)
            return status;
        figures_logged(node->figures, found->first + found->count - 1, found->bytes,
                       node->limits.health.lag_bytes / NODE_LAG_STEPS);
    }
    return RAFT_OK;
}

/* The chosen bug of core/raft, if it is one of those: the core itself may not look. */
static uint64_t raft_bug(void)
{
    uint64_t bug = 0;

#ifdef GAVEL_SEEDED_BUGS
    static const char *const names[] = {
#define NAME(symbol, name, scenario) name,
        RAFT_BUGS(NAME)
#undef NAME
    };

    for (uint32_t i = 0; i < RAFT_BUG_COUNT; i++)
        if (seeded_bug(names[i]))
            bug = i + UINT64_C(1);
#endif
    return bug;
}

static int make_core(struct node *node)
{
    const struct log_recovery *recovery = &node->recovery;
    struct raft_configuration configuration;
    struct raft_options options = {
        .self = node->member_id,
        .seed = node_random(node),
        .election_min_ns = node->limits.election_min_ms * NS_PER_MS,
        .election_max_ns = node->limits.election_max_ms * NS_PER_MS,
        .heartbeat_ns = node->limits.heartbeat_ms * NS_PER_MS,
        .disk_stall_ns = node->limits.disk_stall_ms * NS_PER_MS,
        .priority_delay_ns = node->limits.priority_delay_ms * NS_PER_MS,
        .batches_max = NODE_BATCHES_MAX,
        .append_batches_max = NODE_APPEND_BATCHES,
        .window_bytes = node->limits.append_window_bytes,
        .snapshot_wait_ns = node->limits.transfer_wait_ms * NS_PER_MS,
        .seeded_bug = raft_bug(),
    };
    struct raft_recovered recovered = {
        .term = recovery->term,
        .vote = recovery->vote,
        .snapshot_index = recovery->snapshot.index,
        .snapshot_term = recovery->snapshot.term,
        .snapshot_chain = recovery->snapshot.chain,
        .base_index = recovery->first - 1,
        .base_term = recovery->previous_term,
        .base_chain = recovery->previous_chain,
        .configuration = &configuration,
        .recovering = recovery->start == LOG_START_RECOVERING,
    };
    size_t size = raft_size(&options);

    /* The first of the directory is that of the snapshot, or of the founding; the others come with their batches. */
    members_configuration(node->directory.items[0].members, &configuration);
    node->effects.capacity = raft_effects_max(&options);
    node->effects.items = calloc(node->effects.capacity, sizeof *node->effects.items);
    node->raft_memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
    if (!node->effects.items || !node->raft_memory)
        return RAFT_E_BUSY;
    return raft_init(node->raft_memory, size, &options, &recovered, &node->raft);
}

static void start_core(struct replay *replay)
{
    struct node *node = replay->node;
    struct raft_event event = {.type = RAFT_EVENT_START};
    struct raft_event space = {.type = RAFT_EVENT_SPACE};
    struct peer *peer;
    uint64_t fence;
    int status = make_core(node);

    if (status == RAFT_OK)
        status = load_batches(node, replay);
    replay_free(replay);
    if (status != RAFT_OK) {
        node->raft = NULL;
        node_fatal(node, status == RAFT_E_BUSY ? 70 : 65, "the recovered log cannot be taken over: %s",
                   status == RAFT_E_BUSY ? "memory or room ran out" : raft_error_text(status));
        return;
    }
    fence = node->recovery.fence;
    log_recovery_free(&node->recovery);
    node->phase = NODE_RUNNING;
    (void)engine_step(node, &event);
    divergence_restart(node, fence);
    space.space.ok = node->space_ok = log_space_ok(node->log);
    if (!node->space_ok)
        (void)engine_step(node, &space);
    os_list_each (peer, &node->peers, struct peer, link) {
        struct raft_event up = {.type = RAFT_EVENT_LINK_UP, .link = {.peer = peer->id}};

        if (peer->out && peer->out->up && peer->id)
            (void)engine_step(node, &up);
    }
    node->blanks = true;
    settings_begin(node);
    trace_end_numbers(node, &node->spans.initialize, GAVEL_OK, "term", engine_status(node).term, "index",
                      engine_status(node).last_index);
    node_gauges(node);
}

static void restored(struct node *node, int32_t status)
{
    struct replay *replay;

    trace_end_numbers(node, &node->spans.state, status, "index", node->applied, NULL, 0);
    if (status != GAVEL_OK) {
        node_fatal(node, node_exit_code(status), "the snapshot cannot be restored: %s", snapshot_error(node));
        return;
    }
    if (node->recovery.snapshot.index &&
        directory_begin(&node->directory, node->recovery.snapshot.index, snapshot_members(node)) != GAVEL_OK) {
        node_fatal(node, 70, "no memory to start");
        return;
    }
    peers_sync(node);
    replay = calloc(1, sizeof *replay);
    if (!replay) {
        node_fatal(node, 70, "no memory to start");
        return;
    }
    replay->node = node;
    node->replay = replay;
    next_batch(replay);
}

void recover_begin(struct node *node)
{
    struct trace_scope scope;

    assert(node->founded);
    node->phase = NODE_RESTORING;
    node->spans.initialize = trace_begin(node, SPAN_RAFT_INITIALIZE);
    node->spans.state = trace_begin(node, SPAN_STATE_INITIALIZE);
    trace_enter_span(node, &scope, &node->spans.initialize);
    report_recovery(node);
    trace_leave(node, &scope);
    if (node->recovery.snapshot.index)
        snapshot_restore(node, node->recovery.snapshot.index, restored);
    else
        restored(node, GAVEL_OK);
}

void recover_free(struct node *node)
{
    if (node->replay) {
        log_read_release(&node->replay->read);
        replay_free(node->replay);
    }
    log_recovery_free(&node->recovery);
}
