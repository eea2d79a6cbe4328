/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash_test.c - the power goes at every single operation of the disk, in scripts and in random histories, and what was
 * acknowledged is there afterwards: exactly the log after one of the operations from the last acknowledged one on.
 *
 * GAVEL_CRASH_SEED=n repeats one random history; GAVEL_CRASH_ROUNDS=n sets how many are tried.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/format.h"
#include "tests/unit/effort.h"
#include "tests/unit/log_fixture.h"

#define IOS_MAX 512       /* operations of one life */
#define WAYS EFFORT(8, 4) /* in which one crash may go: nothing, all, only the process, and by seeds */
#define ROUNDS_DEFAULT EFFORT(60, 15)

/* What the disk may hold: the state after each operation asked for. */
struct state {
    uint64_t last;
    uint32_t chain;
    uint64_t term;
    uint64_t vote;
};

struct model {
    struct state after[IOS_MAX]; /* by io; [0]: as recovered */
    uint64_t snapshot;           /* acknowledged */
    uint64_t floor;              /* the log may not be cut to before this: committed, so to say */
    bool founded;
};

static void note(struct fixture *f, struct model *model)
{
    struct state *state = &model->after[f->io];

    *state = model->after[f->io - 1];
    state->last = log_last(f->log);
    state->chain = log_chain(f->log);
}

static void begin(struct fixture *f, struct model *model)
{
    model->after[0].last = f->recovery.last;
    model->after[0].chain = f->recovery.last_chain;
    model->after[0].term = f->recovery.term;
    model->after[0].vote = f->recovery.vote;
}

/* ---- steps: each one tolerates that the machine has stopped -------------------------------------------- */

static bool alive(struct fixture *f)
{
    return f->failures == 0 && f->io + 1 < IOS_MAX;
}

static void step_vote(struct fixture *f, struct model *model, uint64_t term, uint64_t vote)
{
    if (!alive(f) || log_vote(f->log, f->io + 1, term, vote))
        return;
    f->io++;
    note(f, model);
    model->after[f->io].term = term;
    model->after[f->io].vote = vote;
}

static void step_append(struct fixture *f, struct model *model, uint32_t count, uint32_t bytes)
{
    uint64_t term = model->after[f->io].term;
    struct log_batch *batch;

    if (!alive(f) || term == 0)
        return;
    batch = fixture_batch(f, term, count, bytes);
    if (log_append(f->log, f->io + 1, batch) == 0) {
        f->io++;
        note(f, model);
    }
    (void)log_batch_unref(batch);
}

static void step_truncate(struct fixture *f, struct model *model, uint64_t from)
{
    struct log_descriptor batch;

    if (!alive(f) || from <= model->floor || from > log_last(f->log) || log_describe(f->log, from, &batch))
        return;
    if (batch.first <= model->floor || log_truncate(f->log, f->io + 1, batch.first))
        return;
    f->io++;
    note(f, model);
}

static void step_snapshot(struct fixture *f, struct model *model, uint64_t bytes)
{
    uint64_t index;

    if (!alive(f))
        return;
    fixture_pump(f);
    index = log_durable(f->log);
    if (f->failures || index == 0 || index <= log_snapshot_newest(f->log).index)
        return;
    model->floor = index;
    fixture_snapshot(f, bytes);
    if (f->task_status == 0)
        model->snapshot = index;
}

static void step_compact(struct fixture *f)
{
    if (alive(f) && log_snapshot_newest(f->log).index)
        log_compact(f->log, log_snapshot_newest(f->log).index);
}

static void step_found(struct fixture *f, struct model *model)
{
    struct log_cluster_id id = {{7}};

    if (!alive(f) || model->founded || f->recovery.founding)
        return;
    if (log_set_founding(f->log, "founded", 7, fixture_task(f)))
        return;
    fixture_pump(f);
    if (f->task_status)
        return;
    model->founded = true;
    (void)log_set_identity(f->log, &id, 4, fixture_task(f));
    fixture_pump(f);
}

static void script(struct fixture *f, struct model *model)
{
    step_vote(f, model, 1, 2);
    step_append(f, model, 1, 100);
    step_append(f, model, 2, 300);
    step_append(f, model, 1, 100);
    fixture_pump(f);
    step_found(f, model);
    step_append(f, model, 3, 900);
    step_truncate(f, model, 5);
    step_vote(f, model, 2, 1);
    step_append(f, model, 1, 100);
    fixture_pump(f);
    for (int i = 0; i < 14; i++)
        step_append(f, model, 1, 9000); /* rolls over, twice */
    fixture_pump(f);
    step_snapshot(f, model, 70000);
    step_compact(f);
    fixture_pump(f);
    step_vote(f, model, 2, 1);
    step_append(f, model, 1, 50);
    step_vote(f, model, 5, 0);
    step_append(f, model, 1, 60);
    fixture_pump(f);
    step_snapshot(f, model, 10);
    step_append(f, model, 1, 70);
    step_snapshot(f, model, 10); /* the first one is pruned */
    step_compact(f);
    fixture_pump(f);
}

/* ---- judging ------------------------------------------------------------------------------------------- */

static bool allowed(const struct fixture *f, const struct model *model, uint64_t acknowledged, uint64_t asked)
{
    for (uint64_t io = acknowledged; io <= asked; io++) {
        const struct state *state = &model->after[io];

        if (state->last == f->recovery.last && state->chain == f->recovery.last_chain &&
            state->term == f->recovery.term && state->vote == f->recovery.vote)
            return true;
    }
    print_message("recovered index %llu term %llu vote %llu; acknowledged io %llu of %llu: index %llu term %llu\n",
                  (unsigned long long)f->recovery.last, (unsigned long long)f->recovery.term,
                  (unsigned long long)f->recovery.vote, (unsigned long long)acknowledged, (unsigned long long)asked,
                  (unsigned long long)model->after[acknowledged].last,
                  (unsigned long long)model->after[acknowledged].term);
    return false;
}

/* Open after a crash: whatever was acknowledged is there, and nothing that was never asked for. */
static void open_and_judge(struct fixture *f, const struct model *model, uint64_t acknowledged, uint64_t asked)
{
    static uint32_t turn; /* every other time the power goes at once, else only after more work */
    struct state told;

    fixture_must_open(f);
    told.last = f->recovery.last;
    told.chain = f->recovery.last_chain;
    told.term = f->recovery.term;
    told.vote = f->recovery.vote;
    /* What a start reports counts as durable: the power may go at once. */
    if (turn++ / WAYS % 2) {
        fixture_crash(f, OS_MEM_DROP_ALL, 1);
        fixture_must_open(f);
    }
    assert_int_equal(f->recovery.last, told.last);
    assert_int_equal(f->recovery.last_chain, told.chain);
    assert_int_equal(f->recovery.term, told.term);
    assert_int_equal(f->recovery.vote, told.vote);
    assert_true(f->recovery.start != LOG_START_RECOVERING);
    assert_true(allowed(f, model, acknowledged, asked));
    assert_true(f->recovery.snapshot.index >= model->snapshot);
    assert_true(f->recovery.snapshot.index <= f->recovery.last);
    if (model->founded)
        assert_non_null(f->recovery.founding);
    for (uint64_t index = log_first(f->log); index <= log_last(f->log); index++)
        fixture_check_index(f, index, 0);
}

/* And it works on: enough for another segment survives a power cut, and then a clean stop. */
static void work_on(struct fixture *f)
{
    uint64_t last = log_last(f->log);

    (void)fixture_vote(f, f->recovery.term + 1, 1);
    for (int i = 0; i < 8; i++)
        (void)fixture_append(f, f->recovery.term + 1, 1, 9000);
    /* The log's lane alone, as long as it can: nothing that the others would sync may be needed. */
    while (os_inline_run(&f->lanes, OS_LANE_LOG) || os_inline_done(&f->lanes, OS_LANE_LOG)) {
    }
    if (f->written < f->io) {
        fixture_pump(f);
        assert_int_equal(f->written, f->io);
    }
    fixture_crash(f, OS_MEM_DROP_ALL, 1);
    for (int i = 0; i < 2; i++) {
        fixture_must_open(f);
        assert_int_equal(f->recovery.start, LOG_START_OK);
        assert_int_equal(f->recovery.last, last + 8);
        fixture_check_index(f, last + 8, 0);
        fixture_stop(f);
    }
}

/* Change the disk under the fixture. */
static void put_disk(struct fixture *f, struct os_mem *disk)
{
    f->mem = os_mem_free(f->mem);
    f->mem = disk;
    f->os.files_self = disk;
}

static void fresh(struct fixture *f, struct model *model)
{
    fixture_init(f);
    memset(model, 0, sizeof *model);
}

/* Run the script until the n-th operation of the disk; then the power is gone. False: the script ended before that. */
static bool run_until(struct fixture *f, struct model *model, uint64_t n)
{
    fresh(f, model);
    os_mem_stop_after(f->mem, n);
    if (fixture_open(f) == 0) {
        begin(f, model);
        script(f, model);
    }
    return os_mem_stopped(f->mem);
}

static void crash_as(struct fixture *f, int seed)
{
    static const enum os_mem_crash first[] = {OS_MEM_DROP_ALL, OS_MEM_KEEP_ALL, OS_MEM_KILL};
    enum os_mem_crash how = seed < 3 ? first[seed] : OS_MEM_RANDOM;

    fixture_crash(f, how, (uint64_t)seed * 1000003);
}

static void test_every_operation(void **state)
{
    struct model model;
    struct fixture f;
    uint64_t n = 1;

    (void)state;
    for (bool stopped = true; stopped; n++) {
        struct os_mem *before;
        uint64_t acknowledged;
        uint64_t asked;

        stopped = run_until(&f, &model, n);
        acknowledged = f.written;
        asked = f.io;
        os_inline_drop(&f.lanes);
        f.log = log_free(f.log);
        before = os_mem_clone(f.mem);
        for (int seed = 0; seed < WAYS; seed++) {
            put_disk(&f, os_mem_clone(before));
            crash_as(&f, seed);
            open_and_judge(&f, &model, acknowledged, asked);
            work_on(&f);
        }
        before = os_mem_free(before);
        fixture_free(&f);
    }
    print_message("%llu operations, %d ways each\n", (unsigned long long)n - 2, WAYS);
    assert_true(n > 80);
}

/* The power goes once more while the start after the first crash is under way, at each of its operations. */
static void test_crash_while_recovering(void **state)
{
    struct model model;
    struct fixture f;
    bool stopped = true;

    (void)state;
    for (uint64_t n = 3; stopped; n += EFFORT(5, 15)) {
        struct os_mem *before;
        uint64_t acknowledged;
        uint64_t asked;

        stopped = run_until(&f, &model, n);
        acknowledged = f.written;
        asked = f.io;
        crash_as(&f, 2 + (int)(n % 9));
        before = os_mem_clone(f.mem);
        for (uint64_t again = 1; again < 40; again++) {
            bool second;

            put_disk(&f, os_mem_clone(before));
            os_mem_stop_after(f.mem, again);
            (void)fixture_open(&f);
            second = os_mem_stopped(f.mem);
            crash_as(&f, (int)(again % 5));
            open_and_judge(&f, &model, acknowledged, asked);
            work_on(&f);
            if (!second)
                break;
        }
        before = os_mem_free(before);
        fixture_free(&f);
    }
}

/* ---- random histories over several lives --------------------------------------------------------------- */

static void random_step(struct fixture *f, struct model *model, uint64_t *seed)
{
    uint64_t draw = os_mem_random(seed);
    uint64_t term = model->after[f->io].term;

    switch (draw % 16) {
    case 0:
        step_vote(f, model, term + 1, (draw >> 8) % 4);
        break;
    case 1:
        step_truncate(f, model, log_last(f->log) - (draw >> 8) % (log_last(f->log) + 1) / 2);
        break;
    case 2:
        if ((draw >> 8) % 4 == 0)
            step_snapshot(f, model, (draw >> 16) % 150000);
        break;
    case 3:
        step_compact(f);
        break;
    case 4:
        fixture_pump(f);
        break;
    case 5:
        step_found(f, model);
        break;
    case 6:
    case 7:
        step_append(f, model, 1 + (uint32_t)(draw >> 8) % 5, (uint32_t)(draw >> 16) % 5000);
        break;
    case 8:
    case 9:
        step_append(f, model, 1, (uint32_t)(draw >> 16) % 200);
        break;
    default:
        for (int i = 0; i < 4; i++)
            (void)os_inline_step(&f->lanes, seed);
        break;
    }
}

static void random_history(uint64_t seed)
{
    uint64_t random = seed;
    struct model model;
    struct fixture f;

    fresh(&f, &model);
    f.options.trail_bytes = 1 + os_mem_random(&random) % 100000;
    fixture_must_open(&f);
    for (int life = 0; life < 6; life++) {
        uint64_t acknowledged;
        uint64_t asked;

        begin(&f, &model);
        model.floor = f.recovery.snapshot.index;
        os_mem_stop_after(f.mem, 1 + os_mem_random(&random) % 150);
        for (int i = 0; i < 200 && alive(&f) && !os_mem_stopped(f.mem); i++)
            random_step(&f, &model, &random);
        acknowledged = f.written;
        asked = f.io;
        crash_as(&f, (int)(os_mem_random(&random) % 6));
        open_and_judge(&f, &model, acknowledged, asked);
    }
    fixture_stop(&f);
    fixture_free(&f);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_random_histories(void **state)
{
    uint64_t rounds = from_environment("GAVEL_CRASH_ROUNDS", ROUNDS_DEFAULT);
    uint64_t seed = from_environment("GAVEL_CRASH_SEED", 0);

    (void)state;
    if (seed) {
        random_history(seed);
        return;
    }
    for (uint64_t round = 1; round <= rounds; round++) {
        seed = round * 7919;
        print_message("GAVEL_CRASH_SEED=%llu\n", (unsigned long long)seed);
        random_history(seed);
    }
}

/* ---- rot: one byte of a sound directory changes -------------------------------------------------------- */

static const char *const rot_files[] = {"data/log/0000000000000001.seg", "data/log/0000000000000002.seg",
                                        "data/log/0000000000000003.seg", "data/log/synced", "data/vote.0",
                                        "data/vote.1"};

/* Either it is refused and nothing is changed, or everything is still there. Never less than everything. */
static void test_rot(void **state)
{
    struct model model;
    struct fixture f;
    struct os_mem *sound;
    uint64_t seed = from_environment("GAVEL_CRASH_SEED", 20);
    struct state whole;
    int refused = 0;

    (void)state;
    fresh(&f, &model);
    f.options.trail_bytes = 1 << 20;
    fixture_must_open(&f);
    begin(&f, &model);
    script(&f, &model);
    whole = model.after[f.io];
    fixture_stop(&f);
    sound = os_mem_clone(f.mem);
    for (int i = 0; i < EFFORT(400, 100); i++) {
        const char *path = rot_files[os_mem_random(&seed) % (sizeof rot_files / sizeof *rot_files)];
        uint64_t size = 0;
        const uint8_t *bytes = os_mem_peek(sound, path, &size);
        uint64_t at = os_mem_random(&seed) % (i % 2 && size > 10000 ? 10000 : size);
        uint8_t byte = bytes[at] ^ (uint8_t)(1u << os_mem_random(&seed) % 8);
        uint64_t digest;

        put_disk(&f, os_mem_clone(sound));
        assert_int_equal(os_mem_poke(f.mem, path, at, &byte, 1), 0);
        digest = os_mem_digest(f.mem);
        if (fixture_open(&f) == 0) {
            assert_int_equal(f.recovery.last, whole.last);
            assert_int_equal(f.recovery.last_chain, whole.chain);
            assert_int_equal(f.recovery.term, whole.term);
            assert_int_equal(f.recovery.vote, whole.vote);
            fixture_stop(&f);
        } else {
            assert_int_equal(f.error.code, GAVEL_E_CORRUPT);
            assert_int_equal(os_mem_digest(f.mem), digest);
            refused++;
        }
    }
    assert_true(refused > EFFORT(50, 12));
    sound = os_mem_free(sound);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_operation),
        cmocka_unit_test(test_crash_while_recovering),
        cmocka_unit_test(test_random_histories),
        cmocka_unit_test(test_rot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
