/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow-threads.c - a snapshot is written on one thread while commands run on another, as the worker and apply lanes
 * do it. What it holds is compared with a snapshot that a twin took in peace; under TSan this also proves that the
 * worker reads nothing that the commands write.
 */
#include "tests/unit/fake_host.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <cmocka.h>

#define ROUNDS 12

const struct gavel_plugin *gavel_plugin_workflow(void);

/* Chunks are the worker's: their heap must not be the counting one of the commands. */
static void *plain_resize(void *self, void *old, uint64_t wanted)
{
    (void)self;
    if (wanted)
        return realloc(old, wanted);
    free(old);
    return NULL;
}
static const struct gavel_heap plain_heap = { GAVEL_END(struct gavel_heap, resize), NULL, plain_resize };

struct job {
    struct fake_machine *machine;
    void *held;
    struct fake_snapshot *snapshot;
    int32_t status;
    atomic_uint commands; /* run beside it so far */
    atomic_int done;
};

/* Each chunk waits until some more commands have run, so that the two really overlap. */
static void *write_snapshot(void *context)
{
    struct job *job = context;
    struct gavel_error error;
    job->status = 1;
    while (job->status == 1) {
        struct gavel_buffer *chunk = &job->snapshot->chunks[job->snapshot->count++];
        unsigned seen = atomic_load_explicit(&job->commands, memory_order_relaxed);
        while (atomic_load_explicit(&job->commands, memory_order_relaxed) < seen + 5)
            ;
        chunk->heap = &plain_heap;
        job->status = job->machine->operations->snapshot_next(job->machine->self, job->held, chunk, &error);
    }
    atomic_store(&job->done, 1);
    return NULL;
}

static void run_on_both(struct fake_machine *machine, struct fake_machine *twin, struct fake_random *random)
{
    unsigned key = (unsigned)fake_random_below(random, 800);
    const char *name = "set";
    char text[512];
    switch (fake_random_below(random, 4)) {
    case 0: name = "delete"; (void)snprintf(text, sizeof text, "{\"key\":\"k%u\"}", key); break;
    case 1: name = "incr"; (void)snprintf(text, sizeof text, "{\"key\":\"k%u\",\"path\":\"n\"}", key); break;
    default:
        (void)snprintf(text, sizeof text, "{\"key\":\"k%u\",\"value\":{\"n\":%u,\"t\":\"%0300d\"}}", key, key, 0);
    }
    fake_run(machine, name, text);
    fake_run(twin, name, text);
}

static void test_snapshot_beside_commands(void **state)
{
    struct fake_host *host = fake_host_new();
    struct fake_random random = fake_random_seeded("threads");
    struct fake_machine *machine = fake_machine_new(host, gavel_plugin_workflow(), "{\"history_revisions\":300}");
    struct fake_machine *twin = fake_machine_new(host, gavel_plugin_workflow(), "{\"history_revisions\":300}");
    uint64_t beside = 0;
    uint64_t round;
    uint64_t i;
    (void)state;
    for (i = 0; i < 3000; i++)
        run_on_both(machine, twin, &random);
    for (round = 0; round < ROUNDS; round++) {
        struct fake_snapshot *in_peace = fake_snapshot_take(twin);
        struct job job = { .machine = machine, .snapshot = calloc(1, sizeof *job.snapshot) };
        pthread_t worker;
        assert_int_equal(machine->operations->snapshot_begin(machine->self, &job.held, &machine->error), 0);
        assert_int_equal(pthread_create(&worker, NULL, write_snapshot, &job), 0);
        while (!atomic_load_explicit(&job.done, memory_order_relaxed)) {
            run_on_both(machine, twin, &random);
            atomic_fetch_add_explicit(&job.commands, 1, memory_order_relaxed);
        }
        assert_int_equal(pthread_join(worker, NULL), 0);
        machine->operations->snapshot_end(machine->self, job.held);
        assert_int_equal(job.status, 0);
        assert_int_equal(job.snapshot->count, in_peace->count);
        for (i = 0; i < in_peace->count; i++) {
            assert_int_equal(job.snapshot->chunks[i].size, in_peace->chunks[i].size);
            assert_memory_equal(job.snapshot->chunks[i].data, in_peace->chunks[i].data, in_peace->chunks[i].size);
        }
        beside += atomic_load(&job.commands);
        fake_assert_same(machine, twin);
        fake_snapshot_free(in_peace);
        fake_snapshot_free(job.snapshot);
    }
    assert_true(beside >= ROUNDS * 15);
    fake_machine_free(machine);
    fake_machine_free(twin);
    fake_host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_snapshot_beside_commands) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
