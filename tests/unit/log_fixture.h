/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_fixture.h - a log over a disk in memory, with lanes that the test pumps: opened, crashed and opened again.
 */
#ifndef TESTS_UNIT_LOG_FIXTURE_H
#define TESTS_UNIT_LOG_FIXTURE_H

#include "core/log/log.h"
#include "core/log/snapshot.h"
#include "core/os/inline.h"
#include "core/os/mem.h"

#define FIXTURE_SEGMENT 65536 /* bytes: small, so that tests roll over */

struct fixture {
    struct os os;
    struct os_mem *mem;
    struct os_inline lanes;
    struct os_mem_clock clock;
    struct log_pool *pool;
    struct log *log;
    struct log_options options;
    struct log_recovery recovery;
    struct gavel_error error;
    struct log_builder builder;
    uint64_t io;      /* the last given out */
    uint64_t written; /* the last that came back */
    uint32_t failures;
    int32_t task_status; /* of the last finished task; 1: none yet */
    struct log_task task;
};

/* A disk and everything else, nothing opened. */
void fixture_init(struct fixture *fixture);

/* Open; returns what log_open says. */
int fixture_open(struct fixture *fixture);

/* Open, and it must succeed. */
void fixture_must_open(struct fixture *fixture);

/* A clean stop, and free. */
void fixture_stop(struct fixture *fixture);

/* The power goes: lanes are dropped, the log is freed, the disk decides by `how`. */
void fixture_crash(struct fixture *fixture, enum os_mem_crash how, uint64_t seed);

/* Free everything. */
void fixture_free(struct fixture *fixture);

/* A batch of `count` entries of `bytes` payload that follows the log; the caller gives it back. */
struct log_batch *fixture_batch(struct fixture *fixture, uint64_t term, uint32_t count, uint32_t bytes);

/* Ask for term and vote; returns the io. */
uint64_t fixture_vote(struct fixture *fixture, uint64_t term, uint64_t vote);

/* Append such a batch; returns the io. */
uint64_t fixture_append(struct fixture *fixture, uint64_t term, uint32_t count, uint32_t bytes);

uint64_t fixture_truncate(struct fixture *fixture, uint64_t from);

/* Run and complete everything on all lanes. */
void fixture_pump(struct fixture *fixture);

/* Take a snapshot of the end of the durable log with `bytes` of payload, to its publication. */
void fixture_snapshot(struct fixture *fixture, uint64_t bytes);

/* The same at an index, the end of a batch. */
void fixture_snapshot_at(struct fixture *fixture, uint64_t index, uint64_t bytes);

/* A struct log_task that notes its answer in the fixture. */
struct log_task *fixture_task(struct fixture *fixture);

/* Read the batch that holds `index`, from wherever it is; its payload must be what fixture_batch put there, its term
 * `term` (0: any). */
void fixture_check_index(struct fixture *fixture, uint64_t index, uint64_t term);

#endif
