/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drive.h - one instance of a state machine, driven entry by entry as apply does it in a node, with everything looked
 * at that a single run can break.
 */
#ifndef CORE_CHECK_DRIVE_H
#define CORE_CHECK_DRIVE_H

#include "core/check/face.h"
#include "core/check/gen.h"

#define DRIVE_REPLY_MAX (1024 * 1024) /* bytes of one result: what a node takes */

/* What came of one entry; two replicas have the same. Sent between processes as it is. */
struct outcome {
    int64_t status;
    uint64_t reply;  /* hash of the bytes */
    uint64_t text;   /* of the sentence of an error */
    uint64_t events; /* of all events, in order */
    uint64_t digest[2];
    uint64_t entries;
    uint64_t changelog;
};

struct drive {
    struct face face;
    const struct gavel_statemachine *machine;
    void *self;
    uint64_t version; /* of the state: in force */
    struct outcome last;
    struct gavel_buffer result;
    struct gavel_error error;
    uint64_t event_count;
    unsigned char *arguments; /* the logged bytes end where this memory ends, before a page that nobody may touch */
    void *arena;
    bool pure;        /* look for clocks, chance and system calls */
    bool damaged;     /* it took a damaged snapshot: it may answer anything, but not crash */
    bool may_stop;    /* GAVEL_E_LOCAL is no finding: an allocation was refused */
    char besides[64]; /* what else is done to it, for sentences: " with its 1st allocation refused" */
    uint64_t slowest_ns; /* processor time of the slowest run */
};

/* "run of write \"set\" (entry 3)" into kit_at. */
void drive_at(const struct drive *drive, const struct entry *entry, uint64_t number);

/* Make and start an instance that acts as the newest state version; a failure fails the check. */
void drive_open(struct drive *drive, const char *instance);
/* The same in a cluster whose version is another one. */
void drive_open_as(struct drive *drive, const char *instance, uint64_t version);
/* From now on act as that version: what a barrier in the log says. */
void drive_act_as(struct drive *drive, uint64_t version);
/* The same, but a failure is the caller's: what is left is nothing. */
int32_t drive_try_open(struct drive *drive, const char *instance, struct gavel_error *error);
void drive_close(struct drive *drive);

/* Run one entry; drive->last is what came of it. `number` names it in sentences. */
void drive_run(struct drive *drive, const struct entry *entry, uint64_t number);

/* The state as the machine tells it, into *outcome's last four members. */
void drive_state(struct drive *drive, struct outcome *outcome);

/* What differs between two outcomes: "digest", "reply" ...; NULL: nothing. */
const char *drive_differs(const struct outcome *a, const struct outcome *b);

/* The same for the state alone. */
const char *drive_state_differs(const struct outcome *a, const struct outcome *b);

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

#define CHUNKS_MAX 8192

/* The chunks of one snapshot, in order. */
struct chunks {
    struct gavel_buffer *chunk;
    uint64_t count;
};

/* Take a snapshot, whole. On failure the status, and no chunks. */
int32_t drive_snapshot(struct drive *drive, struct chunks *chunks, struct gavel_error *error);
void chunks_free(struct chunks *chunks);

/* Restore: begin, each chunk at an odd address, end. The first status that is not 0, or 0. */
int32_t drive_restore(struct drive *drive, const struct chunks *chunks, struct gavel_error *error);

/* Both, and they must go well: a copy of `from`'s state in `to`, compared; `what` says after what. */
void drive_copy(struct drive *from, struct drive *to);

#endif
