/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply.h - everything that a log entry can change: the machines, the sessions, the tick. One object, used by
 * the apply lane alone; the loop hands it batches and reads, and takes records of what came of them.
 *
 * When every machine is BOUNDED the apply lane is the loop itself; else it is a thread. Nothing here knows
 * which.
 */
#ifndef CORE_NODE_APPLY_H
#define CORE_NODE_APPLY_H

#include <gavel/abi.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/log/batch.h"
#include "core/node/node.h"
#include "core/node/bytes.h"
#include "core/node/roster.h"
#include "core/node/session.h"
#include "core/node/settings.h"
#include "core/node/trace.h"

struct apply;

#define APPLY_RESULT_MAX (1024 * 1024) /* bytes of one result: what one message may carry */
#define APPLY_EVENT_MAX (2u << 20)     /* bytes of an event's key, value and previous value together */
#define APPLY_RECORDS (4u << 20)       /* bytes of records after which a run ends early, behind whichever entry */
#define APPLY_CHUNK (64 * 1024)        /* bytes that a snapshot's part is cut into */

/* What the host's own entries are; the first four bytes of their payload. Stored: never reuse a number. */
enum apply_host_kind {
    APPLY_SESSION_REGISTER = 1, /* the entry's index becomes the session */
    APPLY_SESSION_CLOSE = 2,    /* entry.session */
    APPLY_SESSION_EXPIRE = 3,   /* entry.session, if not renewed after the tick in the next eight bytes */
    APPLY_SESSION_KEEP = 4,     /* a sign of life of entry.session */
    APPLY_SETTINGS = 5,         /* change settings: u64 version that it was made for, u32 count, {key, value}... */
    APPLY_UPGRADE = 6,          /* from here on: u64 version of the settings, u32 machine, u64 its state version */
    APPLY_DECLARE = 7,          /* what a member can do: u64 its id, its name, its set of capabilities */
    APPLY_NODE_REGISTER = 8,    /* a node that is no member: name, address, u64 time to live in ms, set */
    APPLY_NODE_DEREGISTER = 9,  /* name */
    APPLY_NODE_KEEP = 10,       /* a sign of life: name */
    APPLY_NODE_EXPIRE = 11,     /* if not renewed after the tick: name, u64 tick */
};

enum apply_record_type { APPLY_RECORD_RESULT = 1, APPLY_RECORD_EVENT = 2 };

/* One record of what happened; `size` bytes with what it carries, a multiple of 8. Slices point into the
 * record. */
struct apply_record {
    uint32_t type; /* enum apply_record_type */
    uint32_t size;
    uint64_t index;
    uint64_t term;
    uint32_t kind;        /* RESULT: enum log_kind */
    uint32_t machine;     /* number; 0: the host's own */
    uint64_t command;     /* RESULT: id; of HOST entries enum apply_host_kind */
    int32_t status;       /* RESULT */
    uint32_t ordinal;     /* EVENT: 1.. within its entry;  RESULT: how many events the entry made */
    uint32_t duplicate; /* RESULT: 1: applied before, at `first_index`, and answered as then */
    uint32_t reserved;
    uint64_t first_index;
    struct gavel_slice event; /* EVENT: type; all slices are copies, for a plugin's memory is its own again by then */
    struct gavel_slice a; /* RESULT: result as MessagePack;  EVENT: key */
    struct gavel_slice b; /* RESULT: sentence of an error;   EVENT: value */
    struct gavel_slice c; /*                                 EVENT: previous value */
};

/* An entry of a run that is traced, and what its span hangs below. */
struct apply_trace {
    uint64_t index;
    uint64_t term;
    struct gavel_trace context;
};

/* One run over batches, in order. The lane owns it between being handed over and coming back. */
struct apply_run {
    struct log_batch *batches[64];
    uint32_t count;
    uint64_t from;      /* entries below are skipped: applied already */
    uint64_t last;      /* of the last entry */
    bool cut;           /* it ended early: `last` lies before what it was handed, maybe inside a batch */
    uint64_t tick;      /* cluster time behind it */
    uint64_t log_bytes; /* of the batches that it ended, for deciding on a snapshot */
    bool with_results;  /* carry results, not only statuses: somebody here waits for some */
    struct gavel_buffer records;
    uint64_t digest_index; /* the last index divisible by APPLY_DIGEST_EVERY in it, or 0 ... */
    uint64_t digest;       /* ... and the digest of everything after it */
    bool settings;         /* some setting was changed */
    bool roster;           /* capabilities or registered nodes were */
    struct apply_trace traces[TRACE_RUN_MAX];
    uint32_t trace_count;
    bool trace_arguments;  /* those that are keys become attributes */
    uint64_t ns;           /* monotonic, when it was handed over */
    int32_t status;        /* 0, or this node must stop: see error */
    struct gavel_error error;
};

#define APPLY_DIGEST_EVERY 1024

/* Make it over the machines' instances (borrowed). NULL when memory is out. */
struct apply *apply_new(const struct node_machine *machines, uint32_t count,
                        const struct session_limits *limits, const char *node);

/* [loop] Before anything is applied: what machines do wrong is told through this host; NULL tells nobody. */
void apply_log(struct apply *apply, const struct gavel_host *host);

/* Free it; returns NULL; NULL is fine. */
struct apply *apply_free(struct apply *apply);

/*
 * [apply] The cluster is known, and what it was founded with: that is in force until an entry or a snapshot says
 * otherwise. Machines are given the values, where they were created with others. GAVEL_E_CONFIG: one of them cannot
 * take them, with both values; GAVEL_E_LOCAL.
 */
int32_t apply_found(struct apply *apply, const struct settings *founding, struct gavel_error *error);

/* [apply] What is in force at apply_index. */
const struct settings *apply_settings(const struct apply *apply);

/* [apply] What members declared, and who registered, at apply_index. */
const struct roster *apply_roster(const struct apply *apply);

/* Whether no command of any machine blocks; and whether snapshots may be walked beside commands. */
bool apply_bounded(const struct apply *apply);
bool apply_concurrent(const struct apply *apply);

/* [apply] Apply the batches of a run. */
void apply_run(struct apply *apply, struct apply_run *run);

/* Walk the records of a run that came back: NULL begins; NULL is the end. */
const struct apply_record *apply_record_next(const struct apply_run *run, const struct apply_record *record);

/*
 * [apply] Run a read command. `arguments` is the log form (command id, map). The result is appended to
 * *result. Returns the command's status; the sentence is in *error.
 */
int32_t apply_read(struct apply *apply, uint32_t machine, uint64_t term, struct gavel_slice arguments,
                   struct gavel_buffer *result, struct gavel_error *error);

/* [apply] What is known of the state. `machine` 1..; false when there is none. */
bool apply_machine_state(const struct apply *apply, uint32_t machine, struct gavel_machine_state *state);
uint64_t apply_index(const struct apply *apply);
uint64_t apply_tick(const struct apply *apply);
uint64_t apply_digest(const struct apply *apply);
struct sessions *apply_sessions(struct apply *apply);

/* [apply] Ask the machines whether they want a command of their own; 0: none, else its id, *machine and
 * arguments. */
uint64_t apply_maintain(struct apply *apply, uint32_t *machine, uint64_t tick,
                        struct gavel_buffer *arguments);

/* ---- snapshots ----------------------------------------------------------------------------------------- */

struct apply_snapshot;

/* [apply] Hold the present state. One at a time. */
int32_t apply_snapshot_begin(struct apply *apply, struct apply_snapshot **snapshot,
                             struct gavel_error *error);

/* [apply], or [worker] when apply_concurrent. Append some bytes of the stream; 1: more follows, 0: that was
 * all. */
int32_t apply_snapshot_next(struct apply_snapshot *snapshot, struct gavel_buffer *out,
                            struct gavel_error *error);

/* [apply] Let go of it, finished or not. Returns NULL; NULL is fine. */
struct apply_snapshot *apply_snapshot_end(struct apply_snapshot *snapshot);

/*
 * [apply] Replace the whole state by a stream of apply_snapshot_next: begin, any cuts of the same bytes, end.
 * `index` is what the snapshot was taken at. After a failure the state is unusable until another restore has
 * gone well.
 */
int32_t apply_restore_begin(struct apply *apply, uint64_t index, struct gavel_error *error);
int32_t apply_restore_bytes(struct apply *apply, struct gavel_slice bytes, struct gavel_error *error);
int32_t apply_restore_end(struct apply *apply, struct gavel_error *error);

#endif
