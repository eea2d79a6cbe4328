/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_fixture.c - a log over a disk in memory.
 */
#include "log_fixture.h"

#include <assert.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_written(void *ctx, uint64_t io)
{
    struct fixture *fixture = ctx;

    assert_true(io > fixture->written);
    assert_true(io <= fixture->io);
    fixture->written = io;
}

static void on_failed(void *ctx, const struct gavel_error *error)
{
    struct fixture *fixture = ctx;

    assert_int_equal(error->code, GAVEL_E_IO);
    fixture->failures++;
}

void fixture_init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->mem = os_mem_new();
    assert_non_null(fixture->mem);
    fixture->clock.seed = 7;
    fixture->clock.mono_ns = 1000;
    fixture->os.files = &os_mem_files;
    fixture->os.files_self = fixture->mem;
    fixture->os.clock = &os_mem_clock_ops;
    fixture->os.clock_self = &fixture->clock;
    fixture->os.lanes = &os_lanes_inline;
    fixture->os.lanes_self = &fixture->lanes;
    fixture->pool = log_pool_new(1 << 20);
    assert_non_null(fixture->pool);
    fixture->options.dir = "data";
    fixture->options.name = "node-1";
    fixture->options.segment_bytes = FIXTURE_SEGMENT;
    fixture->options.cache_bytes = 8192;
    fixture->options.trail_bytes = 1;
    fixture->options.snapshot_keep = 2;
    fixture->options.pool = fixture->pool;
}

int fixture_open(struct fixture *fixture)
{
    struct log_events events = {.ctx = fixture, .written = on_written, .failed = on_failed};
    int status;

    assert_null(fixture->log);
    fixture->io = 0;
    fixture->written = 0;
    fixture->failures = 0;
    log_recovery_free(&fixture->recovery);
    memset(&fixture->error, 0, sizeof fixture->error);
    status = log_open(&fixture->os, &fixture->options, &events, &fixture->log, &fixture->recovery, &fixture->error);
    assert_int_equal(os_inline_pump(&fixture->lanes), 0); /* it may be freed at once: who opens it may refuse it */
    if (status == 0)
        log_start(fixture->log);
    return status;
}

void fixture_must_open(struct fixture *fixture)
{
    int status = fixture_open(fixture);

    if (status)
        print_message("log_open: %s\n", fixture->error.text);
    assert_int_equal(status, 0);
    assert_non_null(fixture->log);
}

static void on_stopped(void *ctx)
{
    *(bool *)ctx = true;
}

void fixture_stop(struct fixture *fixture)
{
    bool stopped = false;

    log_stop(fixture->log, on_stopped, &stopped);
    fixture_pump(fixture);
    assert_true(stopped);
    fixture->log = log_free(fixture->log);
    assert_int_equal(os_mem_open_files(fixture->mem), 0);
}

void fixture_crash(struct fixture *fixture, enum os_mem_crash how, uint64_t seed)
{
    os_inline_drop(&fixture->lanes);
    fixture->log = log_free(fixture->log);
    os_mem_crash(fixture->mem, how, seed);
    os_mem_set_hook(fixture->mem, NULL, NULL);
}

void fixture_free(struct fixture *fixture)
{
    os_inline_drop(&fixture->lanes);
    fixture->log = log_free(fixture->log);
    log_recovery_free(&fixture->recovery);
    log_builder_free(&fixture->builder);
    fixture->pool = log_pool_free(fixture->pool);
    fixture->mem = os_mem_free(fixture->mem);
}

void fixture_pump(struct fixture *fixture)
{
    (void)os_inline_pump(&fixture->lanes);
}

/* Payload bytes are a function of index and term, so that a reader can check them. */
static void fill_payload(uint8_t *payload, uint32_t bytes, uint64_t index, uint64_t term)
{
    for (uint32_t i = 0; i < bytes; i++)
        payload[i] = (uint8_t)(index * 31 + term * 7 + i);
}

struct log_batch *fixture_batch(struct fixture *fixture, uint64_t term, uint32_t count, uint32_t bytes)
{
    uint8_t *payload = malloc(bytes + 1);
    struct log_batch *batch = NULL;

    assert_non_null(payload);
    for (uint32_t i = 0; i < count; i++) {
        struct log_entry entry = {.kind = LOG_COMMAND, .machine = 1, .session = 5, .sequence = i};

        fill_payload(payload, bytes, log_last(fixture->log) + 1 + i, term);
        entry.principal = gavel_text("ann");
        entry.payload = gavel_bytes(payload, bytes);
        assert_int_equal(log_builder_add(&fixture->builder, &entry), 0);
    }
    assert_int_equal(log_builder_seal(&fixture->builder, fixture->pool, term, log_last(fixture->log) + 1, 1234, 99,
                                      log_chain(fixture->log), &batch),
                     0);
    free(payload);
    return batch;
}

uint64_t fixture_vote(struct fixture *fixture, uint64_t term, uint64_t vote)
{
    assert_int_equal(log_vote(fixture->log, ++fixture->io, term, vote), 0);
    return fixture->io;
}

uint64_t fixture_append(struct fixture *fixture, uint64_t term, uint32_t count, uint32_t bytes)
{
    struct log_batch *batch = fixture_batch(fixture, term, count, bytes);

    assert_int_equal(log_append(fixture->log, ++fixture->io, batch), 0);
    (void)log_batch_unref(batch);
    return fixture->io;
}

uint64_t fixture_truncate(struct fixture *fixture, uint64_t from)
{
    assert_int_equal(log_truncate(fixture->log, ++fixture->io, from), 0);
    return fixture->io;
}

static void on_task(struct log_task *task)
{
    struct fixture *fixture = task->ctx;

    fixture->task_status = task->status;
}

struct log_task *fixture_task(struct fixture *fixture)
{
    memset(&fixture->task, 0, sizeof fixture->task);
    fixture->task_status = 1;
    fixture->task.ctx = fixture;
    fixture->task.done = on_task;
    return &fixture->task;
}

static void on_snapshot(void *ctx, int32_t status, const struct gavel_error *error)
{
    struct fixture *fixture = ctx;

    if (error)
        print_message("snapshot: %s\n", error->text);
    fixture->task_status = status;
}

void fixture_snapshot(struct fixture *fixture, uint64_t bytes)
{
    fixture_snapshot_at(fixture, log_durable(fixture->log), bytes);
}

void fixture_snapshot_at(struct fixture *fixture, uint64_t index, uint64_t bytes)
{
    struct log_snapshot_info info = {.index = index};
    struct log_snapshot_writer *writer = NULL;
    struct log_descriptor batch;
    uint8_t *payload = malloc(bytes + 1);

    assert_non_null(payload);
    fill_payload(payload, (uint32_t)bytes, info.index, 0);
    assert_int_equal(log_describe(fixture->log, info.index, &batch), 0);
    info.term = batch.term;
    info.chain = batch.chain;
    assert_int_equal(log_snapshot_begin(fixture->log, &info, "meta", 4, on_snapshot, fixture, &writer), 0);
    fixture->task_status = 1;
    assert_int_equal(log_snapshot_write(writer, payload, bytes), 0);
    fixture_pump(fixture);
    if (fixture->task_status == 0) {
        fixture->task_status = 1;
        assert_int_equal(log_snapshot_end(writer), 0);
        fixture_pump(fixture);
    }
    free(payload);
}

static void on_read(struct log_read *read)
{
    *(bool *)read->ctx = true;
}

void fixture_check_index(struct fixture *fixture, uint64_t index, uint64_t term)
{
    bool done = false;
    struct log_read read = {.from = index, .max_bytes = 1, .done = on_read, .ctx = &done};
    struct log_entries entries;
    struct log_entry entry;
    int status = log_read(fixture->log, &read);

    if (status == 0) {
        fixture_pump(fixture);
        assert_true(done);
        status = read.status == 0 ? 1 : read.status;
    }
    assert_int_equal(status, 1);
    assert_int_equal(read.count, 1);
    if (term)
        assert_int_equal(read.batches[0]->head.term, term);
    term = read.batches[0]->head.term;
    log_entries_begin(&entries, read.batches[0]->data);
    while (log_entries_next(&entries, &entry)) {
        uint8_t *expected = malloc(entry.payload.size + 1);

        fill_payload(expected, (uint32_t)entry.payload.size, entry.index, term);
        assert_memory_equal(entry.payload.data, expected, entry.payload.size);
        free(expected);
    }
    log_read_release(&read);
}
