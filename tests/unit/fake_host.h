/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_host.h - as much of a host as a state machine can see, for unit tests: a heap that counts and can fail, random
 * numbers from a printed seed, and a machine driven with JSON: arguments go through the plugin's own field tables,
 * results and events come back as text that a test can compare.
 *
 * In JSON {"$hex":"00ff"} stands for bytes; bytes arguments take plain text too.
 */
#ifndef TESTS_FAKE_HOST_H
#define TESTS_FAKE_HOST_H

#include <gavel/statemachine.h>

/* ---- the host ---------------------------------------------------------------------------------------------------- */

struct fake_host {
    struct gavel_host host;
    struct gavel_heap heap;
    uint64_t allocations; /* calls that asked for memory, ever */
    uint64_t live;        /* blocks not given back */
    uint64_t fail_at;     /* fail when `allocations` reaches this; 0: never */
};

struct fake_host *fake_host_new(void);

/* Aborts when the plugin still holds memory. */
void fake_host_free(struct fake_host *host);

/* ---- chance ------------------------------------------------------------------------------------------------------ */

struct fake_random {
    uint64_t state;
};

/* From GAVEL_TEST_SEED, or a seed of the day; printed with `what`, so that a failure can be had again. */
struct fake_random fake_random_seeded(const char *what);
uint64_t fake_random_next(struct fake_random *random);
uint64_t fake_random_below(struct fake_random *random, uint64_t bound);

/* ---- a machine --------------------------------------------------------------------------------------------------- */

struct fake_machine {
    struct fake_host *host;
    const struct gavel_plugin *plugin;
    const struct gavel_statemachine *operations;
    void *self;
    void *options;
    uint64_t index;   /* of the last entry; each write takes the next one */
    uint64_t wall_ms; /* goes on by 1 with each write */
    int32_t status;   /* of the last run */
    char *result;     /* JSON; "null" when nothing was written or the run failed */
    char *events;     /* "set key value previous\n" for each, absent ones as "-" */
    uint64_t event_count;
    struct gavel_error error;
    struct fake_memory *memory;
};

/* An instance; `options` is a JSON object or NULL. Aborts when create fails. */
struct fake_machine *fake_machine_new(struct fake_host *host, const struct gavel_plugin *plugin, const char *options);
void fake_machine_free(struct fake_machine *machine);

/* Run a command. The status, also in machine->status. GAVEL_E_INVALID when the field tables refuse the arguments. */
int32_t fake_run(struct fake_machine *machine, const char *command, const char *arguments);

/* The same with printf-like arguments. */
int32_t fake_runf(struct fake_machine *machine, const char *command, const char *format, ...) GAVEL_PRINTF(3, 4);

/* The machine's present state. */
struct gavel_machine_state fake_state(struct fake_machine *machine);

/* The internal command that maintain asks for, run as an entry: 1; 0 when it asked for nothing. */
int fake_maintain(struct fake_machine *machine);

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

struct fake_snapshot {
    struct gavel_buffer chunks[4096];
    uint64_t count;
};

/* Take one whole snapshot; 0 or what failed. Freed with fake_snapshot_free. */
struct fake_snapshot *fake_snapshot_take(struct fake_machine *machine);
void fake_snapshot_free(struct fake_snapshot *snapshot);

/* Restore into a machine: the first status that is not 0, or 0. */
int32_t fake_restore(struct fake_machine *machine, const struct fake_snapshot *snapshot);

/* Both states tell the same; asserted. */
void fake_assert_same(struct fake_machine *a, struct fake_machine *b);

/* ---- documents --------------------------------------------------------------------------------------------------- */

/* JSON to canonical MessagePack in malloc'd memory. */
struct gavel_slice fake_pack(const char *json);

/* MessagePack to compact JSON with sorted keys in malloc'd memory. */
char *fake_text(struct gavel_slice value);

#endif
