/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.c - looks at real nodes and asks the invariants: what of a node they are shown, and in which order.
 */
#include "oracle_memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/log/state.h"
#include "core/node/apply_internal.h"
#include "core/node/bytes.h"
#include "core/node/event_ring.h"
#include "core/node/internal.h"
#include "core/raft/internal.h"

#include "disk.h"
#include "load.h"
#include "node.h"

#define SESSIONS_EVERY 64 /* at such indexes the table of sessions is looked through */
#define DIGEST_SESSIONS 4 /* with more of them a digest costs too much to be taken each time ... */
#define DIGEST_EVERY 16   /* ... so only at such indexes, and where a life goes on from a snapshot */

struct sim_oracle *sim_oracle_new(struct sim *sim)
{
    struct sim_oracle *oracle = calloc(1, sizeof *oracle);

    assert(oracle);
    oracle->magic = ORACLE_MAGIC;
    oracle->sim = sim;
    return oracle;
}

struct sim_oracle *sim_oracle_free(struct sim_oracle *oracle)
{
    if (!oracle)
        return NULL;
    assert(oracle->magic == ORACLE_MAGIC);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        free(oracle->nodes[i].log);
        free(oracle->nodes[i].results);
    }
    free(oracle->batches);
    free(oracle->terms);
    free(oracle->committed);
    free(oracle->steps);
    free(oracle->digests);
    free(oracle->ticks);
    free(oracle->settings);
    free(oracle->made);
    free(oracle->entries);
    oracle_map_free(&oracle->by_place);
    oracle_map_free(&oracle->votes);
    oracle_map_free(&oracle->willing);
    oracle_map_free(&oracle->reads);
    oracle_map_free(&oracle->members);
    oracle_map_free(&oracle->sampled);
    oracle_map_free(&oracle->sessions);
    oracle->magic = 0;
    free(oracle);
    return NULL;
}

/* ---- members ------------------------------------------------------------------------------------------- */

void oracle_member(struct sim_oracle *oracle, struct oracle_node *node, uint64_t member)
{
    bool added;
    uint64_t *place = oracle_map_put(&oracle->members, member, 0, &added);

    if (added) {
        *place = (uint64_t)(oracle->member_count++ % ORACLE_MEMBERS) << 6 | oracle_number(oracle, node);
    }
    if ((*place & 63) != oracle_number(oracle, node))
        sim_fail(oracle->sim, "member ids are never used again", "n%u is member %llu, as n%llu was",
                 oracle_number(oracle, node) + 1, (unsigned long long)member, (unsigned long long)(*place & 63) + 1);
    node->member = member;
    node->bit = UINT64_C(1) << (*place >> 6);
}

uint64_t oracle_member_bit(const struct sim_oracle *oracle, uint64_t member)
{
    const uint64_t *place = oracle_map_find(&oracle->members, member, 0);

    return place ? UINT64_C(1) << (*place >> 6) : 0;
}

uint64_t oracle_node_bit(const struct sim_oracle *oracle, uint64_t member)
{
    const uint64_t *place = oracle_map_find(&oracle->members, member, 0);

    return place ? UINT64_C(1) << (*place & 63) : 0;
}

/* ---- one look ------------------------------------------------------------------------------------------ */

void oracle_observe(struct sim_oracle *oracle, const struct oracle_view *view)
{
    struct oracle_node *node = &oracle->nodes[view->number];
    const struct raft_status *now = &view->status;
    bool began_to_lead;

    if (!view->core)
        return;
    began_to_lead = now->role == RAFT_LEADER && (node->seen.role != RAFT_LEADER || node->seen.term != now->term);
    if (node->member != now->self)
        oracle_member(oracle, node, now->self);
    oracle_monotonic(oracle, node, view);
    oracle_candidacy(oracle, node, view);
    if (began_to_lead) {
        oracle_election_safety(oracle, now->term, now->self, view->number);
        oracle_elected(oracle, node, view);
    }
    oracle_log_follow(oracle, node, view);
    oracle_recovered(oracle, node, view);
    oracle_held_follow(oracle, node, view);
    oracle_commit_follow(oracle, node, view);
    if (began_to_lead)
        oracle_leader_completeness(oracle, node, now->term, now->base_index);
    oracle_configuration_follow(oracle, node, view);
    node->seen = *now;
}

/* ---- real nodes ---------------------------------------------------------------------------------------- */

static bool core_batch_at(const void *ctx, uint64_t index, struct raft_batch *batch)
{
    return raft_batch_at(ctx, index, batch);
}

static bool core_unsound(const void *ctx, uint64_t id)
{
    const struct raft *raft = ctx;

    for (uint32_t i = 0; i < raft->peer_count; i++)
        if (raft->peers[i].id == id)
            return raft->peers[i].recovering || raft->peers[i].fenced;
    return false;
}

static void read_vote_files(const struct sim_node *sim_node, struct oracle_durable *durable)
{
    const struct node *node = sim_node->node;

    durable->votes_known = !sim_disk_vote_damaged(sim_node->disk);
    for (int i = 0; i < 2 && durable->votes_known; i++) {
        char path[OS_PATH_MAX];
        struct log_vote_record record;
        uint64_t size = 0;
        const uint8_t *bytes;

        (void)snprintf(path, sizeof path, "%s/vote.%d", node->setup.data_dir, i);
        bytes = sim_disk_durable(sim_node->disk, path, &size);
        if (!bytes || size < LOG_VOTE_BYTES || !log_vote_decode(bytes, node->incarnation, &record))
            record = (struct log_vote_record){0}; /* not there: then nothing is */
        durable->term[i] = record.term;
        durable->vote[i] = record.vote;
    }
}

/*
 * What the invariants ask of the core: the rest of what raft_status says costs more than all of them together. Member
 * by member: a literal is put together on the stack and copied at once, in words that wait for the narrow writes in
 * them, and that was half of what the oracle cost.
 */
static void read_core(const struct raft *raft, struct raft_status *status)
{
    memset(status, 0, sizeof *status);
    status->self = raft->options.self;
    status->role = raft->role;
    status->recovering = raft->recovering;
    status->fenced = raft->fenced;
    status->installing = raft->incoming.installing;
    status->term = raft->term;
    status->vote = raft->vote;
    status->commit = raft->commit;
    status->last_index = raft_log_last(&raft->log);
    status->last_chain = raft_log_last_chain(&raft->log);
    status->durable_index = raft->durable_index;
    status->base_index = raft->log.base_index;
    status->snapshot_index = raft->snapshot_index;
    status->configuration_index = raft_in_force_index(raft);
    status->disk_waits_ns = raft->io > raft->durable_io ? raft->now - raft->disk_progress : 0;
}

/* All of the view but what is on its disk. */
static void look(const struct sim_node *sim_node, struct oracle_view *view)
{
    const struct node *node = sim_node->node;

    view->number = sim_node->number;
    view->vote_known = false;
    view->core = node && node->raft;
    if (!view->core)
        return;
    read_core(node->raft, &view->status);
    view->configuration = raft_configuration(node->raft);
    view->batch_at = core_batch_at;
    view->unsound = core_unsound;
    view->ctx = node->raft;
}

/* What only event.c knows begins with it; a lie sees to it that this is so. */
static const struct event_ring *ring_of(const struct node *node)
{
    return (const struct event_ring *)(const void *)node->events;
}

/* What is per connection or peer: a walk through lists, so not at each look. */
#define LISTS_EVERY 32

static void list_bounds(struct sim_oracle *oracle, struct oracle_node *memory, const struct node *node)
{
    const struct conn *conn;
    const struct peer *peer;
    uint64_t max = node->limits.client_in_flight;

    os_list_each (conn, &node->conns, const struct conn, link)
        if (conn->role != CODEC_ROLE_PEER && !conn->paused)
            oracle_bound(oracle, memory, "requests of a client that may go on", conn->in_flight, max);
    os_list_each (peer, &node->peers, const struct peer, link)
        oracle_bound(oracle, memory, "appends that wait to be read back", peer->outbox_count, NODE_OUTBOX_MAX);
}

/* Queues, pools and windows: "a bound on everything". */
static void bounds(struct sim_oracle *oracle, struct oracle_node *memory, const struct node *node)
{
    const struct raft_status *status = &memory->seen;
    const struct log *log = node->log; /* what is not durable yet stays in its cache besides */
    uint64_t batches_max =
        node->raft->options.batches_max < NODE_BATCHES_MAX ? node->raft->options.batches_max : NODE_BATCHES_MAX;
    uint64_t open = status->last_index > node->applied ? status->last_index - node->applied : 0;

    oracle_bound(oracle, memory, "proposals that wait", node->waiting, node->limits.proposals);
    oracle_bound(oracle, memory, "entries in the making", node->building_count, node->limits.batch_entries);
    oracle_bound(oracle, memory, "messages that wait for the disk", node->gated_count, NODE_GATED_MAX);
    oracle_bound(oracle, memory, "parked requests", node->parked_count, NODE_PARKED_MAX);
    oracle_bound(oracle, memory, "bytes of parked requests", node->parked_bytes, NODE_PARKED_BYTES);
    oracle_bound(oracle, memory, "reads", node->read_count, node->limits.reads);
    oracle_bound(oracle, memory, "bytes of reads", node->read_bytes, NODE_READ_BYTES);
    oracle_bound(oracle, memory, "forwarded requests", node->forward_count, node->limits.proposals);
    oracle_bound(oracle, memory, "event streams", event_stream_count(node), node->limits.streams);
    oracle_bound(oracle, memory, "clients", node->client_count, node->limits.clients);
    oracle_bound(oracle, memory, "batches", raft_batches(node->raft), batches_max);
    oracle_bound(oracle, memory, "bytes of cached log", log->cache_bytes, log->cache_limit + log->queued_bytes);
    oracle_bound(oracle, memory, "bytes of kept events", ring_of(node)->bytes, node->limits.event_ring_bytes);
    oracle_bound(oracle, memory, "commit", status->commit, status->last_index);
    if (!status->installing) { /* then the machines are restored before the core is told */
        oracle_bound(oracle, memory, "applied", node->applied, status->commit);
        oracle_bound(oracle, memory, "proposals that wait for entries that are applied or gone", node->waiting, open);
    }
    if (++memory->looks % LISTS_EVERY == 0)
        list_bounds(oracle, memory, node);
    if (status->fenced && !os_list_empty(&node->ready_reads))
        sim_fail(oracle->sim, "a fenced node serves no reads", "n%u does", oracle_number(oracle, memory) + 1);
}

/* The command of the machine that an entry holds, and its arguments as they were logged; NULL: it is something else. */
static const struct gavel_command *command_of(const struct node *node, const struct log_entry *entry,
                                              struct gavel_slice *arguments)
{
    const struct gavel_statemachine *machine;
    const char *row;
    uint32_t id;

    if (entry->kind != LOG_COMMAND || entry->machine == 0 || entry->machine > node->setup.machine_count ||
        entry->payload.size < sizeof id)
        return NULL;
    machine = node->setup.machines[entry->machine - 1].operations;
    memcpy(&id, entry->payload.data, sizeof id);
    *arguments = gavel_bytes((const char *)entry->payload.data + sizeof id, entry->payload.size - sizeof id);
    row = (const char *)machine->commands;
    for (uint64_t i = 0; i < machine->command_count; i++, row += machine->command_stride) {
        const struct gavel_command *command = (const struct gavel_command *)(const void *)row;

        if (command->id == id)
            return command->arguments ? command : NULL;
    }
    return NULL;
}

/*
 * What this node has just made, while it has all of it in memory: what each entry is is kept with its batch until that
 * commits, and the load is told what it asks for.
 */
static void tell_entries(struct sim_oracle *oracle, struct oracle_node *memory, struct node *node, uint64_t made)
{
    for (; made < oracle->batch_count; made++) {
        struct oracle_batch *known = &oracle->batches[made];
        const struct log_batch *batch = log_cached(node->log, known->first);
        struct log_entries entries;
        struct log_entry entry;

        if (!batch || batch->head.first != known->first || batch->head.chain != known->chain)
            continue; /* if it should ever commit all the same, oracle_entries_commit says so */
        oracle_entries_begin(oracle, known);
        log_entries_begin(&entries, batch->data);
        while (log_entries_next(&entries, &entry)) {
            struct gavel_slice arguments;
            const struct gavel_command *command = command_of(node, &entry, &arguments);

            oracle_entry_made(oracle, known, &entry);
            if (!command)
                continue;
            oracle_complete(oracle, memory, entry.index, command->arguments, arguments);
            sim_load_logged(oracle->sim->load, made, &entry, command->name, arguments);
        }
    }
}

bool sim_oracle_has_committed(const struct sim_oracle *oracle, uint64_t batch)
{
    return batch < oracle->batch_count && oracle->batches[batch].committed;
}

void sim_oracle_applied(struct sim_oracle *oracle, const struct sim_node *node, const struct apply_record *record)
{
    struct oracle_node *memory = &oracle->nodes[node->number];
    uint64_t first = record->duplicate ? record->first_index : 0;

    if (record->type != APPLY_RECORD_RESULT || record->kind != LOG_COMMAND)
        return;
    memory->heard++;
    if (record->status != GAVEL_OK || record->duplicate)
        sim_load_refused(oracle->sim->load, record->index, first);
    if (!record->duplicate && !record->command)
        return; /* its session refused it */
    memory->results =
        oracle_grow(memory->results, &memory->result_capacity, memory->result_count + 1, sizeof *memory->results);
    memory->results[memory->result_count++] = (struct oracle_result){record->index, first};
}

/* What each entry is is known: all that this node has applied since it was looked at last, and nothing else. */
static void note_results(struct sim_oracle *oracle, struct oracle_node *memory, const struct node *node, uint64_t from)
{
    for (uint64_t i = 0; i < memory->result_count; i++) {
        const struct oracle_result *result = &memory->results[i];
        const struct oracle_entry *entry;

        if (result->index < from && oracle->sim->options.flip_per_hour)
            continue; /* a state that is built again goes through the log again */
        if (result->index < from || result->index > node->applied || result->index >= oracle->entry_capacity)
            sim_fail(oracle->sim, "the oracle hears of each result",
                     "n%u told of a result at %llu while it applied %llu to %llu", oracle_number(oracle, memory) + 1,
                     (unsigned long long)result->index, (unsigned long long)from, (unsigned long long)node->applied);
        entry = &oracle->entries[result->index];
        if (entry->session)
            oracle_session(oracle, memory, result->index, entry->session, entry->sequence, result->first != 0,
                           result->first);
    }
    memory->result_count = 0;
}

/* Limits of sessions are replicated and may change; what they allowed once stays (core/node/session.h). */
static void widest(struct sim_oracle *oracle, struct oracle_node *memory, const struct node *node)
{
    struct session_limits *limits = &oracle->session_limits;
    struct session_limits now;

    if (memory->limits_of == node->settings->version + 1)
        return;
    memory->limits_of = node->settings->version + 1;
    settings_limits(node->settings, &now);
    limits->sessions = now.sessions > limits->sessions ? now.sessions : limits->sessions;
    limits->window = now.window > limits->window ? now.window : limits->window;
    limits->bytes = now.bytes > limits->bytes ? now.bytes : limits->bytes;
}

/* The table of sessions, and now and then what it keeps for each, as a snapshot would hold it. */
static void session_bounds(struct sim_oracle *oracle, struct oracle_node *memory, const struct node *node)
{
    const struct session_limits *limits = &oracle->session_limits;
    struct gavel_buffer saved = codec_buffer(0);
    struct bytes_cursor cursor;

    widest(oracle, memory, node);
    oracle_bound(oracle, memory, "sessions", sessions_count(node->apply->sessions), limits->sessions);
    if (node->applied % SESSIONS_EVERY != 0)
        return;
    (void)sessions_save(node->apply->sessions, false, &saved);
    cursor = bytes_read(gavel_buffer_slice(&saved));
    for (uint64_t left = bytes_get64(&cursor); left > 0 && !cursor.bad; left--) {
        uint64_t acked, last, bytes = 0;

        (void)bytes_get64(&cursor); /* id */
        (void)bytes_get64(&cursor); /* tick */
        last = acked = bytes_get64(&cursor);
        for (uint32_t kept = bytes_get32(&cursor); kept > 0 && !cursor.bad; kept--) {
            last = bytes_get64(&cursor);
            (void)bytes_get64(&cursor); /* index */
            (void)bytes_get64(&cursor); /* status, and whether the body was dropped */
            bytes += bytes_get_slice(&cursor).size;
            bytes += bytes_get_slice(&cursor).size;
        }
        oracle_bound(oracle, memory, "sequence numbers of a session above the floor", last - acked, limits->window);
        oracle_bound(oracle, memory, "bytes of kept replies of a session", bytes, limits->bytes);
    }
    assert(!cursor.bad);
    gavel_buffer_free(&saved);
}

static void machines(struct sim_oracle *oracle, struct oracle_node *memory, struct node *node)
{
    uint64_t before = memory->applied;
    bool whole = node->phase >= NODE_RUNNING && !node->applying && !node->apply_hold && !node->apply->restoring;

    if (node->applied == before || !whole || apply_index(node->apply) != node->applied)
        return;
    oracle_applied(oracle, memory, node->applied, node->applied_tick);
    if (oracle->state_version < node->settings->machines[0].version)
        oracle->state_version = node->settings->machines[0].version;
    if (oracle->sim->options.settings_per_hour)
        oracle_settings(oracle, memory, node->applied, node->settings->version, oracle_settings_hash(node->settings));
    session_bounds(oracle, memory, node);
    note_results(oracle, memory, node, before + 1);
    if (memory->heard != node->commands_total)
        sim_fail(oracle->sim, "the oracle hears of each result", "n%u has applied %llu commands, of which %llu were "
                 "heard of: is event_applied wrapped in this build?", oracle_number(oracle, memory) + 1,
                 (unsigned long long)node->commands_total, (unsigned long long)memory->heard);
    if (node->digest_index && node->digest_index > before)
        oracle_sample(oracle, memory, node->digest_index, node->digest);
    if (sessions_count(node->apply->sessions) <= DIGEST_SESSIONS || node->applied % DIGEST_EVERY == 0 ||
        before < memory->seen.snapshot_index)
        oracle_digest(oracle, memory, node->applied, apply_digest(node->apply));
}

/* The newest batch of a leader against the one before it. */
static void leader_tick(struct sim_oracle *oracle, struct oracle_node *memory, struct node *node, uint64_t last)
{
    const struct log_batch *batch, *before;

    if (memory->seen.role != RAFT_LEADER || memory->seen.last_index == last || memory->count == 0)
        return;
    batch = log_cached(node->log, memory->seen.last_index);
    if (!batch || batch->head.first <= log_first(node->log))
        return;
    before = log_cached(node->log, batch->head.first - 1);
    if (before)
        oracle_tick_made(oracle, memory, batch->head.first, before->head.tick, batch->head.tick);
}

/* Of the core's own counting, since nothing else tells when a round is asked for and when it has been answered. */
static void reads(struct sim_oracle *oracle, struct oracle_node *memory, const struct node *node, bool led)
{
    const struct raft_reads *now = &node->raft->reads;

    if (now->asked != memory->reads_asked)
        oracle_read_asked(oracle, memory, now->asked);
    if (led && memory->seen.role == RAFT_LEADER && now->served != memory->reads_served)
        oracle_read_served(oracle, memory, now->served, now->index);
    memory->reads_served = now->served;
}

/* However they found each other, and whatever fell meanwhile. One founder alone may lose all that there ever was. */
static void one_cluster(struct sim_node *sim_node)
{
    struct sim *sim = sim_node->sim;
    const struct node *node = sim_node->node;

    if (!node || !node->founded || !sim->options.seeds)
        return;
    if (!sim->clustered)
        memcpy(sim->cluster, node->cluster_id.bytes, sizeof sim->cluster);
    sim->clustered = true;
    if (sim->founders > 1 && memcmp(sim->cluster, node->cluster_id.bytes, sizeof sim->cluster) != 0)
        sim_fail(sim, "one cluster", "%s belongs to a second cluster", sim_node->name);
}

void sim_oracle_step(struct sim_oracle *oracle, struct sim_node *sim_node)
{
    struct oracle_node *memory = &oracle->nodes[sim_node->number];
    struct node *node = sim_node->node;
    uint64_t committed = oracle->committed_last;
    uint64_t batches = oracle->batch_count;
    uint64_t last = memory->seen.last_index;
    struct oracle_view view;
    bool led;

    assert(oracle->magic == ORACLE_MAGIC);
    if (!memory->alive)
        return;
    one_cluster(sim_node);
    look(sim_node, &view);
    if (!view.core)
        return;
    led = memory->seen.role == RAFT_LEADER && memory->seen.term == view.status.term;
    if (view.status.role == RAFT_LEADER && memory->seen.role != RAFT_LEADER) {
        struct oracle_durable durable = {0};

        read_vote_files(sim_node, &durable);
        view.vote_known = durable.votes_known;
        memcpy(view.vote_term, durable.term, sizeof view.vote_term);
        memcpy(view.vote, durable.vote, sizeof view.vote);
    }
    oracle_observe(oracle, &view);
    oracle_on_disk(oracle, memory, sim_node);
    oracle_snapshot_on_disk(oracle, memory, sim_node);
    oracle_counted(oracle, memory, view.status.durable_index,
                   &(struct oracle_durable){.log = log_durable(node->log),
                                            .snapshot = log_snapshot_newest(node->log).index});
    if (oracle->batch_count != batches)
        tell_entries(oracle, memory, node, batches);
    if (oracle->committed_last != committed)
        oracle_entries_commit(oracle, committed + 1);
    if (node->phase == NODE_DEAD)
        return; /* nothing of it answers any more; its log is what it was */
    leader_tick(oracle, memory, node, last);
    reads(oracle, memory, node, led);
    machines(oracle, memory, node);
    bounds(oracle, memory, node);
    oracle_room(oracle, memory, sim_node);
    oracle_stalled(oracle, sim_node, &view.status);
}

/* ---- lives --------------------------------------------------------------------------------------------- */

static uint32_t raft_kind(uint32_t kind)
{
    return kind == LOG_NOOP ? RAFT_BATCH_NOOP : kind == LOG_CONFIG ? RAFT_BATCH_CONFIGURATION : RAFT_BATCH_COMMAND;
}

/* What was recovered becomes the log that we remember. */
static void take_recovered(struct sim_oracle *oracle, struct oracle_node *memory, const struct log_recovery *recovery)
{
    oracle_log_restart(memory);
    for (uint64_t i = 0; i < recovery->batch_count; i++) {
        const struct log_descriptor *found = &recovery->batches[i];
        struct raft_batch batch = {.first = found->first,
                                   .term = found->term,
                                   .count = found->count,
                                   .chain = found->chain,
                                   .kind = raft_kind(found->kind)};

        (void)oracle_log_push(oracle, memory, &batch, false);
    }
}

void sim_oracle_started(struct sim_oracle *oracle, struct sim_node *sim_node)
{
    struct oracle_node *memory = &oracle->nodes[sim_node->number];
    const struct node *node = sim_node->node;
    const struct log_recovery *recovery = &node->recovery;
    uint64_t promised = memory->acked > memory->promised ? memory->acked : memory->promised;
    uint32_t batch = promised ? oracle_in_log(oracle, memory, promised) : ORACLE_NONE;
    struct oracle_start start = {.start = recovery->start,
                                 .damaged = memory->hurt || sim_disk_damaged(sim_node->disk),
                                 .term = recovery->term,
                                 .vote = recovery->vote,
                                 .snapshot_index = recovery->snapshot.index,
                                 .snapshot_term = recovery->snapshot.term,
                                 .snapshot_chain = recovery->snapshot.chain,
                                 .last = recovery->last,
                                 .text = recovery->text};

    assert(oracle->magic == ORACLE_MAGIC);
    memory->seen = (struct raft_status){0};
    memory->in_force.count = 0;
    memory->applied = memory->result_count = memory->heard = 0;
    memory->reads_asked = 0;
    memory->tick = 0;
    memory->disk_term = memory->snapshot = 0;
    memory->on_disk = memory->segment = 0; /* all of it once more: what was read may not have been synced */
    memory->alive = true;
    oracle_room_begins(oracle, memory, sim_node);
    if (recovery->member_id == 0 && memory->hurt) { /* wiped: nobody remembers anything here */
        memory->member = memory->promised = memory->acked = memory->sent_term = 0;
        memory->refetching = false;
    }
    take_recovered(oracle, memory, recovery);
    oracle_sound_recovery(oracle, memory, &start, batch);
    memory->promised = recovery->last;
    if (memory->acked > recovery->last)
        memory->acked = recovery->last;
    memory->hurt = false;
}

static struct oracle_exit how_it_ended(const struct sim_oracle *oracle, const struct oracle_node *memory,
                                       const struct sim_node *node)
{
    return (struct oracle_exit){.code = node->exit_code,
                                .damaged = memory->hurt || sim_disk_damaged(node->disk),
                                .disk_trouble = oracle->sim->starved || sim_disk_refused(node->disk) ||
                                                sim_disk_dying(node->disk),
                                .plugin = node->process->plugin,
                                .said = node->said};
}

void sim_oracle_refused(struct sim_oracle *oracle, struct sim_node *node)
{
    struct oracle_node *memory = &oracle->nodes[node->number];
    struct oracle_exit exit;

    assert(oracle->magic == ORACLE_MAGIC);
    if (oracle->sim->starved && node->exit_code == 70)
        return;
    exit = how_it_ended(oracle, memory, node);
    oracle_sound_refusal(oracle, memory, &exit);
    if (node->exit_code == 65)
        oracle->sim->totals.corruptions_found++;
}

void sim_oracle_ended(struct sim_oracle *oracle, struct sim_node *node)
{
    struct oracle_node *memory = &oracle->nodes[node->number];
    struct oracle_exit exit;

    assert(oracle->magic == ORACLE_MAGIC);
    sim_oracle_step(oracle, node);
    memory->alive = false;
    if (oracle->sim->starved && node->exit_code == 70)
        return;
    if (node->state != SIM_DEAD || oracle->sim->options.correlated)
        return;
    exit = how_it_ended(oracle, memory, node);
    oracle_sound_refusal(oracle, memory, &exit);
}

void sim_oracle_damaged(struct sim_oracle *oracle, struct sim_node *node)
{
    assert(oracle->magic == ORACLE_MAGIC);
    oracle->nodes[node->number].hurt = true;
}

/* ---- messages ------------------------------------------------------------------------------------------ */

/* Which member `from` takes `to` for (0: none): who lost its disk knows no id any more, and is still sent to. */
static uint64_t taken_for(const struct sim_oracle *oracle, const struct node *from, const struct sim_node *to)
{
    const struct members *members;
    const struct member *member;

    if (oracle->nodes[to->number].member)
        return oracle->nodes[to->number].member;
    members = directory_now(&from->directory);
    member = members ? members_named(members, to->name) : NULL;
    return member ? member->id : 0;
}

void sim_oracle_sent(struct sim_oracle *oracle, struct sim_node *from, struct sim_node *to, struct gavel_slice bytes)
{
    struct oracle_message message = {0};
    struct oracle_durable durable = {0};
    const struct node *node = from->node;
    struct oracle_node *memory = &oracle->nodes[from->number];

    assert(oracle->magic == ORACLE_MAGIC);
    if (!to || !node || !node->raft || !memory->alive || !oracle_message_read(bytes, &message))
        return;
    message.from = from->number;
    message.to = to->number;
    message.from_member = node->member_id;
    message.to_member = taken_for(oracle, node, to);
    oracle_message_sent(oracle, &message);
    if (message.type == RAFT_VOTE_REQUEST || message.type == RAFT_VOTE_RESPONSE ||
        oracle_term_is_news(memory, &message))
        read_vote_files(from, &durable);
    if (message.type != RAFT_APPEND_REQUEST && message.type != RAFT_SNAPSHOT_REQUEST) {
        durable.log = log_durable(node->log);
        durable.raft = node->raft->durable_index;
        oracle_snapshot_on_disk(oracle, memory, from);
        durable.snapshot = log_snapshot_newest(node->log).index;
    }
    oracle_persisted(oracle, memory, &message, &durable);
}

/* A majority of the voters that it knows is up, and recovers. */
static bool waits_for_nobody(struct sim_oracle *oracle, const struct node *node)
{
    uint32_t voters = 0, recovering = 0;

    for (uint32_t i = 0; i < node->in_force.count; i++) {
        if (node->in_force.members[i].role != RAFT_VOTER)
            continue;
        voters++;
        for (uint32_t k = 0; k < oracle->sim->node_count; k++) {
            struct sim_node *other = &oracle->sim->nodes[k];

            recovering += sim_is_up(other) && other->node && other->node->raft && other->node->recovers &&
                          other->node->member_id == node->in_force.members[i].id;
        }
    }
    return voters && recovering > voters - (voters / 2 + 1);
}

void sim_oracle_stands_still(struct sim_oracle *oracle)
{
    for (uint32_t i = 0; i < oracle->sim->node_count; i++) {
        struct sim_node *sim_node = &oracle->sim->nodes[i];

        if (sim_is_up(sim_node) && sim_node->node && sim_node->node->raft && oracle->nodes[i].alive &&
            waits_for_nobody(oracle, sim_node->node))
            sim_fail(oracle->sim, "a loud stop when a majority recovers", "n%u waits in silence", i + 1);
    }
}

/* ---- the end ------------------------------------------------------------------------------------------- */

/* The leader of the newest term that anybody leads, if it has committed in that term; ORACLE_NONE. */
static uint32_t who_leads_on(const struct sim_oracle *oracle)
{
    uint32_t found = ORACLE_NONE;
    uint64_t term = 0;

    for (uint32_t i = 0; i < oracle->sim->node_count; i++) {
        const struct sim_node *sim_node = &oracle->sim->nodes[i];
        const struct raft *raft = sim_node->node ? sim_node->node->raft : NULL;

        if (!sim_is_up(sim_node) || !raft || !oracle->nodes[i].alive || raft->role != RAFT_LEADER || raft->term <= term)
            continue;
        term = raft->term;
        found = raft_own_term_committed(raft) ? i : ORACLE_NONE;
    }
    return found;
}

/*
 * Whoever is up holds what is committed, in the state that it makes. Where all was healed nothing waits any more.
 */
void sim_oracle_finish(struct sim_oracle *oracle, bool stands_still)
{
    uint32_t leads;

    assert(oracle->magic == ORACLE_MAGIC);
    for (uint32_t i = 0; i < oracle->sim->node_count; i++) {
        struct sim_node *sim_node = &oracle->sim->nodes[i];
        struct oracle_node *memory = &oracle->nodes[i];
        struct node *node = sim_node->node;

        if (!sim_is_up(sim_node) || !node || !node->raft || !memory->alive)
            continue;
        sim_oracle_step(oracle, sim_node);
        if (!node->applying && !node->apply_hold && !node->apply->restoring &&
            apply_index(node->apply) == node->applied)
            oracle_digest(oracle, memory, node->applied, apply_digest(node->apply));
        if (stands_still || oracle->sim->options.correlated) /* there may be nobody left to answer */
            continue;
        oracle_bound(oracle, memory, "reads without an end", node->read_count, 0);
        oracle_bound(oracle, memory, "parked requests without an end", node->parked_count, 0);
        oracle_bound(oracle, memory, "forwarded requests without an end", node->forward_count, 0);
    }
    leads = who_leads_on(oracle);
    if (leads != ORACLE_NONE)
        oracle_goes_on(oracle, &oracle->nodes[leads]);
}
