/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_sweep_test.c - a log's whole life, again and again, each time with another allocation or another call to the disk
 * failing, once. Nothing leaks and nothing crashes, what fails says why, and what was acknowledged before is there when
 * the directory is opened again, on a disk that kept everything or only what was synced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/inspect.h"
#include "core/log/log.h"
#include "core/log/snapshot.h"
#include "core/os/crc32c.h"
#include "core/os/inline.h"
#include "effort.h"
#include "sweep.h"

#define SEGMENT 65536
#define IOS_MAX 256
#define ENTRY 3000
#define SNAPSHOT_BYTES 70000

struct life {
    struct os os;
    struct os_mem *mem;
    struct os_inline lanes;
    struct os_mem_clock clock;
    struct log_pool *pool;
    struct log *log;
    struct log_recovery recovery;
    struct gavel_error error;
    struct log_builder builder;
    struct log_task task;
    uint64_t io;
    uint64_t written;
    uint64_t last[IOS_MAX]; /* where the log ended after each io */
    uint64_t term[IOS_MAX]; /* and the term of the newest vote record */
    bool failed;
    bool recover;
    int32_t answer;
};

static uint8_t payload[SNAPSHOT_BYTES];

/* ---- the parts of a life ----------------------------------------------------------------------------------------- */

static void on_written(void *ctx, uint64_t io)
{
    struct life *life = ctx;

    assert_true(io > life->written);
    life->written = io;
}

static void on_failed(void *ctx, const struct gavel_error *error)
{
    struct life *life = ctx;

    assert_true(error->text[0]);
    assert_false(life->failed);
    life->failed = true;
}

static void life_init(struct life *life, struct os_mem *mem)
{
    memset(life, 0, sizeof *life);
    life->mem = mem;
    life->clock = (struct os_mem_clock){.mono_ns = 1000, .seed = 7};
    life->os = (struct os){.files = &sweep_files,
                           .files_self = mem,
                           .clock = &os_mem_clock_ops,
                           .clock_self = &life->clock,
                           .lanes = &os_lanes_inline,
                           .lanes_self = &life->lanes};
    life->pool = log_pool_new(1 << 20);
    assert_non_null(life->pool);
}

static void life_free(struct life *life)
{
    sweep.armed = false;
    os_inline_drop(&life->lanes);
    life->log = log_free(life->log);
    log_recovery_free(&life->recovery);
    log_builder_free(&life->builder);
    life->pool = log_pool_free(life->pool);
    assert_int_equal(os_mem_open_files(life->mem), 0);
    life->mem = os_mem_free(life->mem);
}

static int open_log(struct life *life)
{
    struct log_options options = {.dir = "data", .name = "node-1", .segment_bytes = SEGMENT, .cache_bytes = 8192,
                                  .trail_bytes = 1, .snapshot_keep = 2, .recover = life->recover, .pool = life->pool};
    struct log_events events = {.ctx = life, .written = on_written, .failed = on_failed};
    int status;

    life->io = life->written = 0;
    life->failed = false;
    log_recovery_free(&life->recovery);
    memset(&life->error, 0, sizeof life->error);
    status = log_open(&life->os, &options, &events, &life->log, &life->recovery, &life->error);
    if (status == 0) {
        life->last[0] = log_last(life->log);
        life->term[0] = life->recovery.term;
    } else {
        assert_true(status < 0);
        assert_true(life->error.text[0]);
    }
    return status;
}

/* All that can happen, and a little time for a disk that was full for a moment. */
static void pump(struct life *life)
{
    for (int i = 0; i < 8; i++) {
        (void)os_inline_pump(&life->lanes);
        if (!life->log || life->failed || log_deadline(life->log) == UINT64_MAX)
            return;
        life->clock.mono_ns = log_deadline(life->log);
        log_wake(life->log, life->clock.mono_ns);
    }
}

static uint64_t next_io(struct life *life, uint64_t last, uint64_t term)
{
    assert_true(life->io + 1 < IOS_MAX);
    life->last[life->io + 1] = last;
    life->term[life->io + 1] = term;
    return ++life->io;
}

static bool vote(struct life *life, uint64_t term)
{
    uint64_t io = next_io(life, life->last[life->io], term);

    return log_vote(life->log, io, term, 1) == 0;
}

static bool append(struct life *life, uint64_t term)
{
    struct log_entry entry = {.kind = LOG_COMMAND, .machine = 1, .principal = gavel_text("ann"),
                              .payload = gavel_bytes(payload, ENTRY)};
    struct log_batch *batch = NULL;
    int status = log_builder_add(&life->builder, &entry);

    if (status == 0)
        status = log_builder_seal(&life->builder, life->pool, term, log_last(life->log) + 1, 1, 2,
                                  log_chain(life->log), &batch);
    if (status == 0)
        status = log_append(life->log, next_io(life, log_last(life->log) + 1, life->term[life->io]), batch);
    log_builder_reset(&life->builder);
    log_batch_unref(batch);
    return status == 0;
}

static bool append_many(struct life *life, uint64_t term, int count)
{
    for (int i = 0; i < count; i++) {
        if (!append(life, term))
            return false;
        pump(life);
        if (life->failed)
            return false;
    }
    return true;
}

static void on_task(struct log_task *task)
{
    *(int32_t *)task->ctx = task->status;
}

static struct log_task *task_of(struct life *life)
{
    memset(&life->task, 0, sizeof life->task);
    life->answer = 1;
    life->task.ctx = &life->answer;
    life->task.done = on_task;
    return &life->task;
}

static bool done(struct life *life, int status)
{
    if (status != 0)
        return false;
    pump(life);
    return !life->failed && life->answer == 0;
}

static bool identity(struct life *life)
{
    struct log_cluster_id cluster = {.bytes = {9}};

    return done(life, log_set_founding(life->log, "record", 6, task_of(life))) &&
           done(life, log_set_identity(life->log, &cluster, 1, task_of(life)));
}

static void on_read(struct log_read *read)
{
    *(bool *)read->ctx = true;
}

/* Every index, from the disk or the cache. */
static bool read_all(struct life *life)
{
    uint64_t next = log_first(life->log);

    while (next <= log_last(life->log)) {
        bool came = false;
        struct log_read read = {.from = next, .max_bytes = 1 << 16, .done = on_read, .ctx = &came};
        int status = log_read(life->log, &read);

        if (status == 0) {
            pump(life);
            if (!came)
                return false;
            status = read.status;
        }
        if (status < 0)
            return false;
        next += read.count;
        log_read_release(&read);
    }
    return true;
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

static void on_snapshot(void *ctx, int32_t status, const struct gavel_error *error)
{
    struct life *life = ctx;

    assert_true(status == 0 || error->text[0]);
    life->answer = status;
}

static bool take_snapshot(struct life *life)
{
    struct log_snapshot_info info = {.index = log_durable(life->log)};
    struct log_snapshot_writer *writer = NULL;
    struct log_descriptor batch;
    int status = log_describe(life->log, info.index, &batch);

    if (status != 0)
        return false;
    info.term = batch.term;
    info.chain = batch.chain;
    if (log_snapshot_begin(life->log, &info, "meta", 4, on_snapshot, life, &writer) != 0)
        return false;
    life->answer = 1;
    status = log_snapshot_write(writer, payload, SNAPSHOT_BYTES);
    pump(life);
    if (status == 0 && life->answer == 0) {
        life->answer = 1;
        status = log_snapshot_end(writer);
        pump(life);
        if (status == 0 && life->answer == 0) {
            log_compact(life->log, info.index);
            pump(life);
            return !life->failed;
        }
    }
    log_snapshot_cancel(writer);
    pump(life);
    return false;
}

static void on_piece(void *ctx, int32_t status, const struct log_snapshot_piece *piece,
                     const struct gavel_error *error)
{
    struct life *life = ctx;

    assert_true(status == 0 || error->text[0]);
    life->answer = status == 0 && piece->last ? 2 : status;
}

static bool read_snapshot(struct life *life)
{
    struct log_snapshot_reader *reader = NULL;
    uint64_t offset = 0;

    if (log_snapshot_open(life->log, log_snapshot_newest(life->log).index, on_piece, life, &reader) != 0)
        return false;
    do {
        life->answer = 1;
        if (log_snapshot_read(reader, offset, 40000) != 0)
            break;
        pump(life);
        offset += 40000;
    } while (life->answer == 0);
    log_snapshot_close(reader);
    pump(life);
    return life->answer == 2;
}

static void on_received(void *ctx, int32_t status, uint64_t offset, const struct gavel_error *error)
{
    struct life *life = ctx;

    (void)offset;
    assert_true(status == 0 || error->text[0]);
    life->answer = status;
}

/* One from a leader that is far ahead; then the log begins anew behind it. */
static bool receive_snapshot(struct life *life, uint64_t index, uint64_t term)
{
    struct log_snapshot_info info = {.index = index, .term = term, .chain = 77, .bytes = SNAPSHOT_BYTES,
                                     .digest = crc32c(0, payload, SNAPSHOT_BYTES)};
    struct log_snapshot_receiver *receiver = NULL;
    uint64_t offset = 0;
    int status;

    life->answer = 1;
    if (log_snapshot_receive(life->log, &info, "meta", 4, on_received, life, &receiver) != 0)
        return false;
    pump(life);
    while (life->answer == 0 && offset < SNAPSHOT_BYTES) {
        uint64_t size = SNAPSHOT_BYTES - offset < 40000 ? SNAPSHOT_BYTES - offset : 40000;

        life->answer = 1;
        status = log_snapshot_piece(receiver, offset, payload + offset, size, crc32c(0, payload + offset, size));
        if (status != 0)
            break;
        pump(life);
        offset += size;
    }
    if (life->answer == 0) {
        life->answer = 1;
        status = log_snapshot_received_end(receiver);
        pump(life);
        if (status == 0 && life->answer == 0) {
            (void)next_io(life, index, life->term[life->io]);
            return done(life, log_reset(life->log, index, term, info.chain, task_of(life)));
        }
    }
    log_snapshot_receive_close(receiver);
    pump(life);
    return false;
}

/* ---- whole lives ------------------------------------------------------------------------------------------------- */

static void on_stopped(void *ctx)
{
    *(bool *)ctx = true;
}

static bool stop(struct life *life)
{
    bool stopped = false;

    log_stop(life->log, on_stopped, &stopped);
    pump(life);
    if (stopped)
        life->log = log_free(life->log);
    return stopped;
}

/* A new directory, and everything that is ever done to one. False: it ended early. */
static bool live(struct life *life)
{
    if (open_log(life) != 0 || !vote(life, 1) || !identity(life) || !append_many(life, 1, 30) || !read_all(life))
        return false;
    if (!take_snapshot(life) || !append_many(life, 1, 20) || !take_snapshot(life) || !read_snapshot(life))
        return false;
    if (!append_many(life, 1, 4) || !vote(life, 2) || !append(life, 2))
        return false;
    if (log_truncate(life->log, next_io(life, log_last(life->log) - 2, 2), log_last(life->log) - 1) != 0)
        return false;
    pump(life);
    return !life->failed && receive_snapshot(life, 200, 2) && append_many(life, 2, 3) && stop(life);
}

/* What was acknowledged must be there: the log ends no earlier than any place where it may have ended since. */
static void check_kept(const struct life *before, struct life *after)
{
    uint64_t last = UINT64_MAX;

    for (uint64_t io = before->written; io <= before->io; io++)
        last = before->last[io] < last ? before->last[io] : last;
    assert_true(after->recovery.last >= last);
    assert_true(after->recovery.term >= before->term[before->written]);
}

/* Power off, then the disk is a good one again. */
static void open_again(struct life *life, enum os_mem_crash how)
{
    struct life again;
    bool opened = life->log != NULL || life->io > 0;

    sweep.armed = false;
    os_inline_drop(&life->lanes);
    life->log = log_free(life->log);
    assert_int_equal(os_mem_open_files(life->mem), 0);
    life_init(&again, os_mem_clone(life->mem));
    os_mem_crash(again.mem, how, 5);
    again.recover = life->recover;
    if (open_log(&again) != 0)
        fail_msg("after allocation %llu or call %llu: %s", (unsigned long long)sweep.fail_allocation,
                 (unsigned long long)sweep.fail_call, again.error.text);
    if (opened)
        check_kept(life, &again);
    assert_true(vote(&again, life->term[life->io] + 5));
    assert_true(again.recovery.snapshot.index > log_last(again.log) ||
                append_many(&again, life->term[life->io] + 5, 1));
    assert_true(stop(&again));
    life_free(&again);
}

static struct sweep count_of(bool (*play)(struct life *life), struct os_mem *mem, bool recover)
{
    struct sweep counted;
    struct life life;

    life_init(&life, mem ? os_mem_clone(mem) : os_mem_new());
    life.recover = recover;
    sweep_begin(0, 0, 0);
    assert_true(play(&life));
    counted = sweep;
    life_free(&life);
    return counted;
}

static void once(bool (*play)(struct life *life), struct os_mem *mem, bool recover, uint64_t allocation,
                 uint64_t call, int error)
{
    struct life life;

    life_init(&life, mem ? os_mem_clone(mem) : os_mem_new());
    life.recover = recover;
    sweep_begin(allocation, call, error);
    (void)play(&life);
    open_again(&life, (allocation + call) % 2 ? OS_MEM_KEEP_ALL : OS_MEM_DROP_ALL);
    life_free(&life);
}

static void everything_fails_once(bool (*play)(struct life *life), struct os_mem *mem, bool recover)
{
    struct sweep counted = count_of(play, mem, recover);
    uint64_t step = EFFORT(1, 7);

    assert_true(counted.calls > 5);
    for (uint64_t n = 1; n <= counted.allocations; n += step)
        once(play, mem, recover, n, 0, 0);
    for (uint64_t n = 1; n <= counted.calls; n += step) {
        once(play, mem, recover, 0, n, -EIO);
        once(play, mem, recover, 0, n, -ENOSPC);
    }
    print_message("%llu allocations, %llu calls\n", (unsigned long long)counted.allocations,
                  (unsigned long long)counted.calls);
}

static void test_a_whole_life(void **state)
{
    (void)state;
    everything_fails_once(live, NULL, false);
}

/* ---- starts ------------------------------------------------------------------------------------------------------ */

static bool start(struct life *life)
{
    return open_log(life) == 0 && read_all(life) && stop(life);
}

static bool look(struct life *life)
{
    struct log_dump_options options = {.payload = true, .json = true};
    FILE *out = fopen("/dev/null", "we");
    int checked, dumped;

    assert_non_null(out);
    checked = log_inspect_check(&life->os, "data", false, out, &life->error);
    dumped = log_inspect_dump(&life->os, "data", &options, out, &life->error);
    (void)fclose(out);
    return (checked == 0 || checked == GAVEL_E_CORRUPT) && dumped == 0;
}

/* A directory with a snapshot, a tail of the log and spare segments, as a clean stop leaves it. */
static struct os_mem *make_directory(void)
{
    struct os_mem *made;
    struct life life;

    life_init(&life, os_mem_new());
    assert_int_equal(open_log(&life), 0);
    assert_true(vote(&life, 1));
    assert_true(identity(&life));
    assert_true(append_many(&life, 1, 30));
    assert_true(take_snapshot(&life));
    assert_true(append_many(&life, 1, 25));
    assert_true(stop(&life));
    made = os_mem_clone(life.mem);
    assert_non_null(made);
    life_free(&life);
    return made;
}

static const char snapshot_name[] = "data/snap/000000000000001e-0000000000000001.snap";

static void spoil(struct os_mem *mem, const char *path, uint64_t from_end)
{
    uint64_t size = 0;
    const uint8_t *bytes = os_mem_peek(mem, path, &size);
    uint8_t byte;

    assert_non_null(bytes);
    byte = bytes[size - from_end] ^ 0x40;
    assert_int_equal(os_mem_poke(mem, path, size - from_end, &byte, 1), 0);
}

static void test_a_start(void **state)
{
    struct os_mem *mem = make_directory();

    (void)state;
    everything_fails_once(start, mem, false);
    everything_fails_once(look, mem, false);
    os_mem_free(mem);
}

/* One of the vote files is damaged, and the newest snapshot: both are healed, whatever fails meanwhile. */
static void test_a_start_that_heals(void **state)
{
    struct os_mem *mem = make_directory();
    uint64_t size;

    (void)state;
    assert_non_null(os_mem_peek(mem, "data/vote.0", &size));
    spoil(mem, "data/vote.0", size - 20);
    everything_fails_once(start, mem, false);
    everything_fails_once(look, mem, false);
    os_mem_free(mem);
}

/* The log is damaged in what was durable, or its snapshot is: with peers it is set aside and fetched again. */
static void test_a_start_that_recovers(void **state)
{
    struct os_mem *mem = make_directory();
    struct os_mem *other = os_mem_clone(mem);

    (void)state;
    spoil(mem, "data/log/0000000000000002.seg", SEGMENT - 9000);
    everything_fails_once(start, mem, true);
    everything_fails_once(look, mem, true);
    os_mem_free(mem);
    spoil(other, snapshot_name, 100);
    everything_fails_once(start, other, true);
    everything_fails_once(look, other, true);
    os_mem_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_life),
        cmocka_unit_test(test_a_start),
        cmocka_unit_test(test_a_start_that_heals),
        cmocka_unit_test(test_a_start_that_recovers),
    };

    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + i / 256);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
