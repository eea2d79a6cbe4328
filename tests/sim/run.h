/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - one run of one world in a process of its own: what it is asked for and what came of it. A process each, so
 * that an assertion, a sanitizer or an endless loop is that seed's failure and nobody else's.
 *
 * Since memory that was never touched costs a tenth of a run, a worker goes on to another world in the memory of the
 * one before as long as all passes. Whoever fails ends its process. Nothing may be left of one world for the next, and
 * that is looked at: see campaign.c.
 */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include <sys/types.h>

#include "sim.h"

#define RUN_INVARIANT_MAX 48
#define RUN_SENTENCE_MAX 1024

struct enumerate_plan;
struct lie;

struct sim_run_order {
    uint64_t seed;
    uint64_t seconds; /* simulated, of the first phase */
    struct sim_options options;
    bool tracing;
    bool twice;      /* run it again and compare the traces */
    bool inside;     /* in this process: for debuggers */
    const char *bug; /* a seeded one; NULL: none */
    const struct enumerate_plan *plan; /* enumerate.h: a scene instead of fate and load; NULL: none */
    const struct lie *lie; /* lies.h: something is changed behind its back; NULL: nothing is */
};

enum sim_outcome { SIM_RUNNING, SIM_PASSED, SIM_FAILED };

/* What a run leaves behind, in memory that both processes share. */
struct sim_report {
    uint32_t outcome; /* enum sim_outcome */
    char invariant[RUN_INVARIANT_MAX];
    char sentence[RUN_SENTENCE_MAX];
    struct sim_totals totals;
    uint64_t sim_ns;    /* simulated, when it ended */
    uint64_t trace_hash;
    uint64_t cpu_us;    /* of the process */
    uint64_t counts[5]; /* of a plan: what there is to enumerate, by enum enumerate_mode */
};

struct sim_run {
    struct sim_run_order order;
    struct sim_report *report; /* shared */
    pid_t process;             /* 0: none */
    int output;                /* what it said; -1: it speaks for itself */
    int link;                  /* to a worker: orders there, a byte back for each that passed; -1: none */
    uint64_t worlds;           /* that the process may still run, this one included */
    bool warm;                 /* others ran in the process before */
    uint64_t before_us;        /* CPU time of those */
};

/* Begin it. False, and a sentence on stderr, when the machine does not let us. */
bool sim_run_begin(struct sim_run *run, const struct sim_run_order *order);

/* The same in a process that takes further orders, up to so many in all. Under a sanitizer, which looks for leaks when
 * the process ends, it takes none. */
bool sim_run_hire(struct sim_run *run, const struct sim_run_order *order, uint64_t worlds);

/* The next one for a worker that waits. False, and a sentence on stderr, when it is gone. */
bool sim_run_next(struct sim_run *run, const struct sim_run_order *order);

/* A worker's link has something to read: true when its run has passed and it waits; else it ends or has ended. */
bool sim_run_passed(struct sim_run *run);

/* Its process has ended, with this status of wait4 and so much CPU time in all: fill in the report what the process
 * could not, and let go of the process. */
void sim_run_ended(struct sim_run *run, int status, uint64_t whole_us);

/* Begin, wait, and copy the report out. */
bool sim_run_whole(const struct sim_run_order *order, struct sim_report *report);

/* Give back what sim_run_begin took. */
void sim_run_close(struct sim_run *run);

/* The failure as people read it: commit, seed, invariant, sentence, options, and how to see it again; with the last
 * words of the process. */
void sim_run_complain(const struct sim_run *run, FILE *to);

/* The arguments that make this run again, without a line's end. */
void sim_run_print_order(const struct sim_run_order *order, FILE *to);

/* The total of that name; false: there is none. */
bool sim_total_named(const struct sim_totals *totals, const char *name, uint64_t *value);

const char *sim_commit(void);

#endif
