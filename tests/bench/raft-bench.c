/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/bench/raft-bench.c - what an entry costs in core/raft alone: three nodes in memory, batches of 64.
 *
 * Measured is the whole way of an entry through all three cores: propose, three writes that complete at once, two
 * appends and their answers, commit and apply on each node, and compaction now and then. Allocations are counted by
 * wrapping the allocator at link time; there must be none. Disks and sockets take no time here: this is the algorithm
 * and nothing else.
 *
 *   raft-bench [ENTRIES [LIMIT_NS]]     default 640,000; above LIMIT_NS an entry (default: no limit) it fails
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/raft/raft.h"

#define NODES 3
#define BATCH 64
#define QUEUE 64
#define SNAPSHOT_EVERY 4096

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static uint64_t allocations;

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocations++;
    return __real_realloc(old, size);
}

struct node {
    struct raft *raft;
    struct raft_effects effects;
    uint64_t io;
    uint64_t applied;
    uint64_t last_batch_end;
};

static struct node nodes[NODES];
static struct raft_message queue[QUEUE];
static size_t queue_head, queue_count;
static struct raft_batch last_batch;
static uint64_t now = 1;
static uint64_t steps, messages;

static void step(struct node *n, struct raft_event *event);

static void put(const struct raft_message *m)
{
    if (queue_count == QUEUE)
        abort();
    queue[(queue_head + queue_count++) % QUEUE] = *m;
    messages++;
}

static void after(struct node *n, uint64_t written, uint64_t applied, bool noop)
{
    if (written) {
        struct raft_event event = {.type = RAFT_EVENT_WRITTEN, .io = written};
        step(n, &event);
    }
    if (applied) {
        struct raft_event event = {.type = RAFT_EVENT_APPLIED, .index = applied};
        step(n, &event);
    }
    if (noop) {
        struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
        struct raft_status s;
        raft_status(n->raft, &s);
        event.batch = (struct raft_batch){.first = s.last_index + 1, .term = s.term, .count = 1, .bytes = 64,
                                          .chain = 1, .kind = RAFT_BATCH_NOOP};
        last_batch = event.batch;
        step(n, &event);
    }
}

/* Disks complete at once, so that a gate is open by the time its message is looked at. */
static void step(struct node *n, struct raft_event *event)
{
    uint64_t written = 0, applied = 0;
    bool noop = false;
    event->now = now;
    steps++;
    int result = raft_step(n->raft, event, &n->effects);
    if (result != RAFT_OK) {
        printf("raft-bench: %s\n", raft_error_text(result));
        exit(1);
    }
    for (uint32_t i = 0; i < n->effects.count; i++) {
        const struct raft_effect *effect = &n->effects.items[i];
        written = effect->io ? effect->io : written;
        if (effect->type == RAFT_EFFECT_SEND)
            put(&effect->message);
        else if (effect->type == RAFT_EFFECT_APPLY)
            applied = effect->range.last;
        else if (effect->type == RAFT_EFFECT_PROPOSE)
            noop = true;
    }
    after(n, written, applied, noop);
}

static void deliver_all(void)
{
    while (queue_count > 0) {
        struct raft_message m = queue[queue_head];
        struct raft_event event = {.type = RAFT_EVENT_RECEIVE, .message = &m};
        queue_head = (queue_head + 1) % QUEUE;
        queue_count--;
        if (m.type == RAFT_APPEND_REQUEST && m.append_request.batch_count > 0)
            m.append_request.batches = &last_batch;
        step(&nodes[m.to - 1], &event);
    }
}

static void begin(struct node *n, uint64_t id, const struct raft_configuration *configuration)
{
    struct raft_options options = {.self = id, .seed = id, .batches_max = 2 * SNAPSHOT_EVERY};
    struct raft_recovered recovered = {.configuration = configuration};
    size_t size = raft_size(&options);
    void *memory = aligned_alloc(16, (size + 15) & ~(size_t)15);
    n->effects.capacity = raft_effects_max(&options);
    n->effects.items = calloc(n->effects.capacity, sizeof *n->effects.items);
    if (!memory || !n->effects.items || raft_init(memory, size, &options, &recovered, &n->raft) != RAFT_OK)
        abort();
    struct raft_event event = {.type = RAFT_EVENT_START};
    step(n, &event);
}

static void propose(uint64_t number)
{
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    struct raft_status s;
    raft_status(nodes[0].raft, &s);
    event.batch = (struct raft_batch){.first = s.last_index + 1, .term = s.term, .count = BATCH,
                                      .bytes = 256 * BATCH, .chain = (uint32_t)number, .kind = RAFT_BATCH_COMMAND};
    last_batch = event.batch;
    step(&nodes[0], &event);
    deliver_all();
}

static void compact(void)
{
    for (int i = 0; i < NODES; i++) {
        struct raft_status s;
        raft_status(nodes[i].raft, &s);
        struct raft_event taken = {.type = RAFT_EVENT_SNAPSHOT_TAKEN, .index = s.applied};
        step(&nodes[i], &taken);
        struct raft_event compacted = {.type = RAFT_EVENT_COMPACTED, .index = raft_compactable(nodes[i].raft)};
        step(&nodes[i], &compacted);
    }
    deliver_all();
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    uint64_t entries = argc > 1 ? strtoull(argv[1], NULL, 10) : 640000;
    double limit = argc > 2 ? strtod(argv[2], NULL) : 0;
    struct raft_configuration configuration = {0};
    struct raft_status s;
    for (uint64_t id = 1; id <= NODES; id++)
        raft_configuration_set(&configuration, id, RAFT_VOTER, 0);
    for (uint64_t id = 1; id <= NODES; id++)
        begin(&nodes[id - 1], id, &configuration);
    now += 1000000000;
    struct raft_event time = {.type = RAFT_EVENT_TIME};
    step(&nodes[0], &time);
    deliver_all();

    uint64_t batches = (entries + BATCH - 1) / BATCH;
    uint64_t allocations_before = allocations;
    steps = messages = 0;
    double from = seconds();
    for (uint64_t i = 1; i <= batches; i++) {
        propose(i);
        if (i % SNAPSHOT_EVERY == 0)
            compact();
    }
    double ns = (seconds() - from) * 1e9 / (double)(batches * BATCH);
    uint64_t allocated = allocations - allocations_before;

    raft_status(nodes[0].raft, &s);
    printf("raft-bench: 3 nodes, %lu entries in batches of %d: %.1f ns and %.6f allocations an entry, %.0f ns a batch "
           "(%.1f steps, %.1f messages)\n",
           batches * BATCH, BATCH, ns, (double)allocated / (double)(batches * BATCH), ns * BATCH,
           (double)steps / (double)batches, (double)messages / (double)batches);
    if (s.commit != batches * BATCH + 1 || s.applied != s.commit) {
        printf("raft-bench: committed %lu, applied %lu of %lu\n", s.commit, s.applied, batches * BATCH + 1);
        return 1;
    }
    if (allocated > 0 || (limit > 0 && ns > limit)) {
        printf("raft-bench: that is too much\n");
        return 1;
    }
    return 0;
}
