/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/scenarios/world.c - the cluster in memory: what a node does with effects, the disks, the bag of
 * messages.
 */
#include "core/os/cover.h"
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/raft/bugs.h"

static const char *const type_names[] = {
    [RAFT_PREVOTE_REQUEST] = "prevote",
    [RAFT_PREVOTE_RESPONSE] = "prevote-answer",
    [RAFT_VOTE_REQUEST] = "vote",
    [RAFT_VOTE_RESPONSE] = "vote-answer",
    [RAFT_APPEND_REQUEST] = "append",
    [RAFT_APPEND_RESPONSE] = "append-answer",
    [RAFT_SNAPSHOT_REQUEST] = "snapshot",
    [RAFT_SNAPSHOT_RESPONSE] = "snapshot-answer",
    [RAFT_TIMEOUT_NOW] = "timeout-now",
    [RAFT_READ_REQUEST] = "read",
    [RAFT_READ_RESPONSE] = "read-answer",
};

const char *world_type_name(uint32_t type)
{
    return type < sizeof type_names / sizeof type_names[0] && type_names[type] ? type_names[type] : "?";
}

uint32_t world_type(const char *name)
{
    for (uint32_t i = 1; i < sizeof type_names / sizeof type_names[0]; i++)
        if (strcmp(type_names[i], name) == 0)
            return i;
    return 0;
}

static const char *role_name(uint32_t role)
{
    static const char *const names[] = {"?", "", "/learner", "/joining", "/leaving"};
    return names[role <= RAFT_LEAVING ? role : 0];
}

void world_fail(struct world *w, const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "%s: ", w->where ? w->where : "world");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    for (size_t i = 0; i < WORLD_NODES; i++) {
        struct world_node *n = &w->nodes[i];
        struct raft_status s;
        if (!n->exists)
            continue;
        if (!n->alive) {
            fprintf(stderr, "  %c down\n", (int)('a' + i));
            continue;
        }
        raft_status(n->raft, &s);
        fprintf(stderr, "  %c role %u term %lu vote %lu leader %lu commit %lu applied %lu last %lu:%lu durable %lu\n",
                (int)('a' + i), s.role, s.term, s.vote, s.leader, s.commit, s.applied, s.last_index, s.last_term,
                s.durable_index);
        const struct raft_configuration *c = raft_configuration(n->raft);
        fprintf(stderr, "    members at %lu:", s.configuration_index);
        for (uint32_t k = 0; k < c->count; k++)
            fprintf(stderr, " %c%s%s", (int)('a' + c->members[k].id - 1), role_name(c->members[k].role),
                    c->members[k].outgoing ? "+old" : "");
        fprintf(stderr, "\n");
    }
    exit(1);
}

uint64_t world_random(struct world *w, uint64_t below)
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

/* The seeded bug that GAVEL_BUG names, if it is one of core/raft's. */
static uint64_t seeded_bug(void)
{
    uint64_t bug = 0;
#ifdef GAVEL_SEEDED_BUGS
    static const char *const names[] = {
#define NAME(symbol, name, scenario) name,
        RAFT_BUGS(NAME)
#undef NAME
    };
    const char *wanted = getenv("GAVEL_BUG");
    for (size_t i = 0; wanted && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(wanted, names[i]) == 0)
            bug = i + 1;
#endif
    return bug;
}

struct world *world_new(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->random = seed;
    w->now = 1000 * WORLD_MS;
    w->latency_min = w->latency_max = WORLD_MS;
    w->options.seed = seed;
    w->options.batches_max = 4096;
    w->options.seeded_bug = seeded_bug();
    return w;
}

static void free_batches(struct world_batches *log)
{
    free(log->items);
    memset(log, 0, sizeof *log);
}

static void free_ios(struct world_node *n, size_t from)
{
    for (size_t i = from; i < n->io_count; i++)
        free_batches(&n->ios[i].batches);
    n->io_count = from;
}

void world_free(struct world *w)
{
    for (size_t i = 0; i < WORLD_NODES; i++) {
        struct world_node *n = &w->nodes[i];
        free_ios(n, 0);
        free(n->ios);
        free_batches(&n->disk.log);
        free_batches(&n->log);
        free(n->effects.items);
        free(n->memory);
        free(n->read_floor);
        free(n->queue);
        free(w->votes[i]);
    }
    for (size_t i = 0; i < w->bag_count; i++)
        free(w->bag[i].batches);
    for (size_t i = 0; i < w->configuration_count; i++)
        free(w->configurations[i]);
    free_batches(&w->ledger);
    free(w->configurations);
    free(w->snapshots);
    free(w->bag);
    free(w);
}

struct world_node *world_node(struct world *w, uint64_t id)
{
    if (id == 0 || id > WORLD_NODES || !w->nodes[id - 1].exists)
        world_fail(w, "there is no node %lu", id);
    return &w->nodes[id - 1];
}

struct world_node *world_add(struct world *w, uint64_t id, const struct raft_configuration *founding)
{
    if (id == 0 || id > WORLD_NODES || w->nodes[id - 1].exists)
        world_fail(w, "node %lu cannot be added", id);
    struct world_node *n = &w->nodes[id - 1];
    n->id = id;
    n->exists = true;
    n->disk.snapshot.configuration = world_keep(w, founding);
    return n;
}

void world_start(struct world *w, struct world_node *n)
{
    struct raft_options options = w->options;
    struct raft_recovered recovered = {
        .term = n->disk.term,
        .vote = n->disk.vote,
        .snapshot_index = n->disk.snapshot.index,
        .snapshot_term = n->disk.snapshot.term,
        .snapshot_chain = n->disk.snapshot.chain,
        .configuration = n->disk.snapshot.configuration,
        .base_index = n->disk.log.base_index,
        .base_term = n->disk.log.base_term,
        .base_chain = n->disk.log.base_chain,
        .recovering = n->recovering,
    };
    if (n->alive)
        world_fail(w, "node %lu runs already", n->id);
    n->incarnation++;
    options.self = n->id;
    options.seed = w->options.seed * 1000 + n->id * 10 + n->incarnation;
    free(n->memory);
    free(n->effects.items);
    size_t size = raft_size(&options);
    n->memory = aligned_alloc(16, (size + 15) & ~(size_t)15);
    n->effects.capacity = raft_effects_max(&options);
    n->effects.items = calloc(n->effects.capacity, sizeof *n->effects.items);
    if (!n->memory || !n->effects.items)
        abort();
    int result = raft_init(n->memory, size, &options, &recovered, &n->raft);
    if (result == RAFT_OK)
        result = raft_load(n->raft, n->disk.log.items, n->disk.log.count);
    if (result != RAFT_OK)
        world_fail(w, "node %lu does not start: %s", n->id, raft_error_text(result));
    world_copy_log(&n->log, &n->disk.log);
    n->alive = true;
    n->io_written = 0;
    n->apply_sent = n->applied = n->committed = n->disk.snapshot.index;
    n->reads_asked = n->reads_served = 0;
    n->role = RAFT_FOLLOWER;
    n->installing.index = 0;
    n->recovery_reached = n->recovery_next = 0;
    world_event(w, n, RAFT_EVENT_START);
}

static void apply_to_disk(struct world *w, struct world_node *n, const struct world_io *io)
{
    world_check_written(w, n, io);
    switch (io->type) {
    case RAFT_EFFECT_WRITE_VOTE:
        n->disk.term = io->term;
        n->disk.vote = io->vote;
        break;
    case RAFT_EFFECT_TRUNCATE:
        world_truncate(&n->disk.log, io->from);
        break;
    default:
        for (size_t i = 0; i < io->batches.count; i++)
            world_append(&n->disk.log, &io->batches.items[i]);
        break;
    }
    n->io_written = io->io;
}

static void forget_ios(struct world_node *n, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free_batches(&n->ios[i].batches);
    n->io_count -= count;
    memmove(n->ios, n->ios + count, n->io_count * sizeof *n->ios);
}

void world_crash(struct world *w, struct world_node *n, size_t survivors)
{
    if (!n->alive)
        world_fail(w, "node %lu is down already", n->id);
    for (size_t i = 0; i < survivors && i < n->io_count; i++)
        apply_to_disk(w, n, &n->ios[i]);
    free_ios(n, 0);
    n->alive = false;
    n->queue_count = 0;
    n->disk.incoming.length = 0;
    for (size_t i = w->bag_count; i-- > 0;)
        if (w->bag[i].m.from == n->id && w->bag[i].gate)
            world_drop(w, i); /* it had not left the node */
}

void world_damage(struct world *w, struct world_node *n, size_t batches)
{
    if (n->alive || batches > n->disk.log.count)
        world_fail(w, "node %lu: nothing to damage", n->id);
    /* What a snapshot holds is not lost with the log. */
    for (; batches > 0 && world_last(&n->disk.log) > n->disk.snapshot.index; batches--)
        n->disk.log.count--;
    n->recovering = true;
}

void world_wipe(struct world *w, struct world_node *n)
{
    if (n->alive)
        world_fail(w, "node %lu is up", n->id);
    world_truncate(&n->disk.log, 0);
    n->disk.log.base_index = n->disk.log.base_term = n->disk.log.base_chain = 0;
    n->disk.term = n->disk.vote = 0;
    if (n->disk.snapshot.index > 0) /* it no longer knows any members */
        memset(&n->disk.snapshot, 0, sizeof n->disk.snapshot);
    if (!n->disk.snapshot.configuration)
        n->disk.snapshot.configuration = world_keep(w, &(struct raft_configuration){0});
}

static struct raft_event *queue_event(struct world_node *n, uint32_t type)
{
    n->queue = world_grow(n->queue, &n->queue_room, n->queue_count, sizeof *n->queue);
    struct world_event *e = &n->queue[n->queue_count++];
    memset(e, 0, sizeof *e);
    e->event.type = type;
    return &e->event;
}

void world_send(struct world *w, const struct raft_message *m, const struct raft_batch *batches, uint64_t gate)
{
    w->bag = world_grow(w->bag, &w->bag_room, w->bag_count, sizeof *w->bag);
    struct world_message *put = &w->bag[w->bag_count++];
    uint64_t spread = w->latency_max - w->latency_min;
    memset(put, 0, sizeof *put);
    put->m = *m;
    put->gate = gate;
    put->number = ++w->message_number;
    put->due = w->now + w->latency_min + (spread ? world_random(w, spread) : 0);
    if (m->type == RAFT_APPEND_REQUEST && m->append_request.batch_count > 0) {
        size_t size = m->append_request.batch_count * sizeof *batches;
        put->batches = malloc(size);
        if (!put->batches)
            abort();
        memcpy(put->batches, batches, size);
    }
}

static void leave(struct world *w, size_t at)
{
    struct world_message *put = &w->bag[at];
    put->gate = 0;
    world_check_leaving(w, world_node(w, put->m.from), &put->m);
    if (put->m.to > WORLD_NODES || w->cut[put->m.from - 1][put->m.to - 1])
        world_drop(w, at);
}

static void do_send(struct world *w, struct world_node *n, const struct raft_effect *effect)
{
    const struct raft_message *m = &effect->message;
    const struct raft_batch *batches = NULL;
    if (m->type == RAFT_APPEND_REQUEST && m->append_request.batch_count > 0) {
        size_t at = 0;
        while (at < n->log.count && n->log.items[at].first != m->append_request.prev_index + 1)
            at++;
        if (at + m->append_request.batch_count > n->log.count)
            world_fail(w, "node %lu sends batches that it does not hold", n->id);
        batches = &n->log.items[at];
    }
    world_send(w, m, batches, effect->gate > n->io_written ? effect->gate : 0);
    if (w->trace)
        printf("  %c -> %c %s term %lu%s\n", (int)('a' + n->id - 1), (int)('a' + m->to - 1),
               world_type_name(m->type), m->term, effect->gate ? " gated" : "");
    if (w->bag[w->bag_count - 1].gate == 0)
        leave(w, w->bag_count - 1);
}

static struct world_io *queue_io(struct world *w, struct world_node *n, const struct raft_effect *effect)
{
    n->ios = world_grow(n->ios, &n->io_room, n->io_count, sizeof *n->ios);
    struct world_io *io = &n->ios[n->io_count++];
    memset(io, 0, sizeof *io);
    io->io = effect->io;
    io->type = effect->type;
    if (n->io_count > 1 && io->io != n->ios[n->io_count - 2].io + 1)
        world_fail(w, "node %lu: io numbers with a gap", n->id);
    return io;
}

static void do_append(struct world *w, struct world_node *n, const struct raft_effect *effect,
                      const struct raft_event *event)
{
    struct world_io *io = queue_io(w, n, effect);
    const struct raft_batch *batches = &event->batch;
    uint32_t count = 1;
    if (event->type == RAFT_EVENT_RECEIVE) {
        batches = event->message->append_request.batches;
        count = event->message->append_request.batch_count;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct raft_batch batch = batches[i];
        if (batch.first < effect->range.first || batch.first > effect->range.last)
            continue;
        batch.configuration = world_keep(w, batch.configuration);
        if (batch.first != world_last(&n->log) + 1)
            world_fail(w, "node %lu appends at %lu behind %lu", n->id, batch.first, world_last(&n->log));
        world_check_append(w, n, &batch);
        world_append(&n->log, &batch);
        world_append(&io->batches, &batch);
    }
    if (world_last(&n->log) != effect->range.last)
        world_fail(w, "node %lu: the range of an append is not what came", n->id);
}

static void do_start_snapshot(struct world *w, struct world_node *n, const struct raft_effect *effect)
{
    if (n->disk.snapshot.index < effect->snapshot.index || n->disk.snapshot.index == 0)
        world_take_snapshot(w, n, SIZE_MAX);
    const struct world_snapshot *s = &n->disk.snapshot;
    struct raft_event *ready = queue_event(n, RAFT_EVENT_SNAPSHOT_READY);
    ready->snapshot_ready = (struct raft_event_snapshot_ready){
        .peer = effect->snapshot.peer,
        .index = s->index,
        .last_term = s->term,
        .chain = s->chain,
        .digest = s->digest,
        .total = 1000,
        .failed = s->index < effect->snapshot.index || s->index == 0,
    };
}

static void do_store_chunk(struct world_node *n, const struct raft_effect *effect)
{
    if (n->store_held)
        return;
    /* An offer (no bytes) begins, or goes on with a part that is on the disk from before. */
    bool same = n->disk.incoming.index == effect->chunk.index && n->disk.incoming.digest == effect->chunk.digest;
    if (!same || effect->chunk.length > 0) {
        n->disk.incoming = effect->chunk;
        n->disk.incoming.offset = effect->chunk.offset + effect->chunk.length;
    }
    n->disk.incoming.length = 0;
    struct raft_event *stored = queue_event(n, RAFT_EVENT_CHUNK_STORED);
    stored->chunk_stored.index = effect->chunk.index;
    stored->chunk_stored.digest = effect->chunk.digest;
    stored->chunk_stored.offset = n->disk.incoming.offset;
}

static void do_role(struct world *w, struct world_node *n, const struct raft_effect *effect)
{
    uint64_t term = effect->role.term;
    uint64_t index = 0, at_term;
    uint32_t chain, ledger_chain;
    n->role = effect->role.role;
    if (effect->role.role != RAFT_LEADER)
        return;
    if (term >= sizeof w->leaders / sizeof w->leaders[0])
        world_fail(w, "more terms than a test should need");
    if (w->leaders[term] && w->leaders[term] != n->id)
        world_fail(w, "two leaders in term %lu: %lu and %lu", term, w->leaders[term], n->id);
    w->leaders[term] = n->id;
    /*
     * Leader completeness (thesis 3.6.3): what was committed in a term, the leaders of all later terms have. Not those
     * of earlier ones: a vote may have been on its way for as long as it took to elect somebody else, who committed.
     */
    for (uint64_t earlier = 1; earlier < term; earlier++)
        index = w->committed[earlier] > index ? w->committed[earlier] : index;
    if (index <= n->log.base_index)
        return;
    bool in_ledger = world_boundary(&w->ledger, index, &at_term, &ledger_chain);
    if (!in_ledger || !world_boundary(&n->log, index, &at_term, &chain) || chain != ledger_chain)
        world_fail(w, "the leader %lu of term %lu lacks committed entries (%lu)", n->id, term, index);
}

static void do_propose(struct world *w, struct world_node *n, const struct raft_effect *effect)
{
    if (effect->propose.kind == RAFT_BATCH_CONFIGURATION)
        n->wanted = *effect->propose.configuration;
    n->wants = true;
    if (n->lazy)
        return;
    struct raft_event *e = queue_event(n, RAFT_EVENT_PROPOSE);
    e->batch.kind = effect->propose.kind;
    if (effect->propose.kind == RAFT_BATCH_CONFIGURATION)
        e->batch.configuration = world_keep(w, effect->propose.configuration);
}

static void pass_recovery(struct world *w, struct world_node *n)
{
    if (n->recovery_next == 0 || n->recovery_gate > n->io_written)
        return;
    if (world_last(&n->disk.log) < n->recovery_next)
        world_fail(w, "node %lu ends its recovery at %lu, its disk ends at %lu", n->id, n->recovery_next,
                   world_last(&n->disk.log));
    n->recovery_reached = n->recovery_next;
    n->recovery_next = 0;
}

static void carry_out(struct world *w, struct world_node *n, const struct raft_effect *effect,
                      const struct raft_event *event)
{
    struct world_io *io;
    switch (effect->type) {
    case RAFT_EFFECT_SEND:
        do_send(w, n, effect);
        break;
    case RAFT_EFFECT_WRITE_VOTE:
        io = queue_io(w, n, effect);
        io->term = effect->vote.term;
        io->vote = effect->vote.candidate;
        break;
    case RAFT_EFFECT_APPEND:
        do_append(w, n, effect, event);
        break;
    case RAFT_EFFECT_TRUNCATE:
        io = queue_io(w, n, effect);
        io->from = effect->range.first;
        world_truncate(&n->log, io->from);
        break;
    case RAFT_EFFECT_COMMIT:
        world_check_commit(w, n, effect->index);
        break;
    case RAFT_EFFECT_APPLY:
        if (effect->range.first != n->apply_sent + 1 || effect->range.last > n->committed)
            world_fail(w, "node %lu applies %lu..%lu after %lu", n->id, effect->range.first, effect->range.last,
                       n->apply_sent);
        if (n->installing.index)
            world_fail(w, "node %lu applies while it installs a snapshot", n->id);
        n->apply_sent = effect->range.last;
        break;
    case RAFT_EFFECT_SERVE_READS:
        world_check_reads(w, n, effect->reads.id, effect->reads.index);
        break;
    case RAFT_EFFECT_PROPOSE:
        do_propose(w, n, effect);
        break;
    case RAFT_EFFECT_START_SNAPSHOT:
        do_start_snapshot(w, n, effect);
        break;
    case RAFT_EFFECT_STORE_CHUNK:
        do_store_chunk(n, effect);
        break;
    case RAFT_EFFECT_INSTALL_SNAPSHOT:
        n->installing = effect->chunk;
        break;
    case RAFT_EFFECT_ROLE_CHANGED:
        do_role(w, n, effect);
        break;
    case RAFT_EFFECT_TRANSFER_ENDED:
        n->transfers_done += effect->transfer.done;
        n->transfers_failed += !effect->transfer.done;
        break;
    case RAFT_EFFECT_RECOVERY_REACHED:
        n->recovery_next = effect->recovery.index;
        n->recovery_gate = effect->gate;
        pass_recovery(w, n);
        break;
    default:
        break;
    }
}

static int step_once(struct world *w, struct world_node *n, const struct raft_event *event)
{
    struct raft_event stamped = *event;
    stamped.now = w->now;
    int result = raft_step(n->raft, &stamped, &n->effects);
    if (result != RAFT_OK && result != RAFT_E_DIVERGED && n->effects.count != 0)
        world_fail(w, "node %lu: effects of a refused event", n->id);
    n->diverged += result == RAFT_E_DIVERGED;
    n->deadline = n->effects.deadline;
    for (uint32_t i = 0; i < n->effects.count; i++)
        carry_out(w, n, &n->effects.items[i], &stamped);
    raft_check(n->raft);
    world_check_step(w, n);
    return result;
}

/* What the node does of its own accord: disks that are not held complete, machines apply, installs end. */
static bool move_on(struct world *w, struct world_node *n)
{
    if (n->queue_count > 0) {
        struct world_event e = n->queue[0];
        n->queue_count--;
        memmove(n->queue, n->queue + 1, n->queue_count * sizeof *n->queue);
        if (e.event.type == RAFT_EVENT_PROPOSE)
            world_propose_batch(w, n, e.event.batch);
        else
            step_once(w, n, &e.event);
        return true;
    }
    if (!n->disk_held && n->io_count > 0) {
        world_written(w, n, SIZE_MAX);
        return true;
    }
    if (!n->apply_held && n->applied < n->apply_sent) {
        world_applied(w, n);
        return true;
    }
    /* The node's duty: what lies above the snapshot has to fit into the core. */
    if (2 * raft_batches_above_snapshot(n->raft) > w->options.batches_max && world_take_snapshot(w, n, SIZE_MAX))
        return true;
    if (w->auto_recover && n->recovering && n->recovery_reached &&
        world_last(&n->disk.log) >= n->recovery_reached) {
        struct raft_event recovered = {.type = RAFT_EVENT_RECOVERED};
        n->recovering = false;
        step_once(w, n, &recovered);
        return true;
    }
    if (!n->install_held && n->installing.index && n->io_count == 0 && n->applied == n->apply_sent) {
        world_installed(w, n, false);
        return true;
    }
    return false;
}

int world_step(struct world *w, struct world_node *n, const struct raft_event *event)
{
    if (!n->alive)
        world_fail(w, "node %lu is down", n->id);
    int result = step_once(w, n, event);
    while (n->alive && move_on(w, n))
        continue;
    return result;
}

int world_event(struct world *w, struct world_node *n, uint32_t type)
{
    struct raft_event event = {.type = type};
    return world_step(w, n, &event);
}

/* Finishes the batch as the node would: behind the log, in the current term. */
int world_propose_batch(struct world *w, struct world_node *n, struct raft_batch batch)
{
    struct raft_status s;
    raft_status(n->raft, &s);
    if (batch.first == 0)
        batch.first = s.last_index + 1;
    if (batch.term == 0)
        batch.term = s.term;
    batch.count = batch.count ? batch.count : 1;
    batch.bytes = batch.bytes ? batch.bytes : 100 * batch.count;
    batch.chain = world_chain(s.last_chain, &batch, ++w->payload);
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE, .batch = batch};
    return step_once(w, n, &event);
}

int world_propose(struct world *w, struct world_node *n, uint32_t kind, uint32_t entries, uint32_t bytes)
{
    struct raft_batch batch = {.kind = kind, .count = entries, .bytes = bytes};
    if (!n->alive)
        world_fail(w, "node %lu is down", n->id);
    int result = world_propose_batch(w, n, batch);
    while (n->alive && move_on(w, n))
        continue;
    return result;
}

int world_read(struct world *w, struct world_node *n)
{
    struct raft_event event = {.type = RAFT_EVENT_READ, .read.id = n->reads_asked + 1};
    n->read_floor = world_grow(n->read_floor, &n->read_room, n->reads_asked + 1, sizeof *n->read_floor);
    n->reads_asked++;
    n->read_floor[n->reads_asked] = world_last(&w->ledger);
    return world_step(w, n, &event);
}

void world_written(struct world *w, struct world_node *n, size_t count)
{
    if (count > n->io_count)
        count = n->io_count;
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        apply_to_disk(w, n, &n->ios[i]);
    struct raft_event event = {.type = RAFT_EVENT_WRITTEN, .io = n->io_written};
    forget_ios(n, count);
    pass_recovery(w, n);
    for (size_t i = 0; i < w->bag_count;) {
        uint64_t number = w->bag[i].number;
        if (w->bag[i].m.from == n->id && w->bag[i].gate && w->bag[i].gate <= n->io_written)
            leave(w, i);
        if (i < w->bag_count && w->bag[i].number == number)
            i++;
    }
    step_once(w, n, &event);
}

void world_write_failed(struct world *w, struct world_node *n)
{
    struct raft_event event = {.type = RAFT_EVENT_WRITE_FAILED, .io = n->io_count ? n->ios[0].io : n->io_written};
    /* What the disk holds of it is unknown: here, nothing. */
    free_ios(n, 0);
    world_step(w, n, &event);
}

void world_applied(struct world *w, struct world_node *n)
{
    struct raft_event event = {.type = RAFT_EVENT_APPLIED, .index = n->apply_sent};
    n->applied = n->apply_sent;
    step_once(w, n, &event);
}

void world_installed(struct world *w, struct world_node *n, bool failed)
{
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_INSTALLED};
    const struct world_snapshot *s = NULL;
    for (size_t i = 0; i < w->snapshot_count; i++)
        if (w->snapshots[i].index == n->installing.index && w->snapshots[i].digest == n->installing.digest)
            s = &w->snapshots[i];
    if (!s)
        world_fail(w, "node %lu installs a snapshot that nobody took", n->id);
    if (n->io_count > 0)
        world_fail(w, "node %lu installs beside a write", n->id);
    event.snapshot_installed.index = s->index;
    event.snapshot_installed.digest = s->digest;
    event.snapshot_installed.configuration = s->configuration;
    event.snapshot_installed.failed = failed;
    n->installing.index = 0;
    memset(&n->disk.incoming, 0, sizeof n->disk.incoming);
    if (!failed) {
        world_check_snapshot(w, n, s);
        n->disk.snapshot = *s;
        world_reset_log(&n->disk.log, s);
        world_reset_log(&n->log, s);
        n->apply_sent = n->applied = n->committed = s->index;
        n->installs++;
    }
    step_once(w, n, &event);
}

bool world_take_snapshot(struct world *w, struct world_node *n, size_t keep)
{
    struct world_snapshot s = {.index = n->applied};
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_TAKEN, .index = s.index};
    uint64_t term;
    uint32_t chain;
    if (n->installing.index || s.index <= n->disk.snapshot.index || s.index > world_last(&n->disk.log))
        return false;
    if (!world_boundary(&n->log, s.index, &s.term, &s.chain))
        world_fail(w, "node %lu applied a part of a batch", n->id);
    if (!world_boundary(&n->disk.log, s.index, &term, &chain) || chain != s.chain)
        return false; /* locally not durable as it is now */
    s.digest = s.chain * UINT64_C(31) + n->id;
    s.configuration = world_keep(w, raft_configuration_at(n->raft, s.index));
    struct world_snapshot *more = realloc(w->snapshots, (w->snapshot_count + 1) * sizeof s);
    if (!more)
        abort();
    w->snapshots = more;
    w->snapshots[w->snapshot_count++] = s;
    n->disk.snapshot = s;
    /* From inside an effect the event has to wait for the end of the step. */
    *queue_event(n, RAFT_EVENT_SNAPSHOT_TAKEN) = event;
    if (keep == SIZE_MAX)
        return true;
    while (n->alive && move_on(w, n))
        continue;
    event.type = RAFT_EVENT_COMPACTED;
    event.index = raft_compactable(n->raft);
    for (size_t i = n->log.count; i-- > 0 && keep > 0;) {
        const struct raft_batch *b = &n->log.items[i];
        if (b->first + b->count - 1 > event.index)
            continue;
        event.index = b->first - 1;
        keep--;
    }
    if (event.index <= n->log.base_index)
        return true;
    world_compact(&n->disk.log, event.index);
    world_compact(&n->log, event.index);
    int result = world_step(w, n, &event);
    if (result != RAFT_OK)
        world_fail(w, "node %lu: compaction to %lu: %s", n->id, event.index, raft_error_text(result));
    return true;
}

struct world_node *world_leader(struct world *w)
{
    struct world_node *leader = NULL;
    struct raft_status best = {0}, s;
    for (size_t i = 0; i < WORLD_NODES; i++) {
        if (!w->nodes[i].alive)
            continue;
        raft_status(w->nodes[i].raft, &s);
        if (s.role == RAFT_LEADER && s.term > best.term) {
            best = s;
            leader = &w->nodes[i];
        }
    }
    return leader;
}
