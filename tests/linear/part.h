/* SPDX-License-Identifier: Apache-2.0 */
/* part.h - a history cut into parts that can be searched one by one, and each prepared for the search. */
#ifndef TESTS_LINEAR_PART_H
#define TESTS_LINEAR_PART_H

#include "tests/linear/history.h"

/* Value of a write that nobody saw: all of these are alike. No client writes it. */
#define PART_UNSEEN (UINT64_MAX - 1)

#define PART_NONE UINT32_MAX

/* A value of a key. */
struct sight {
    uint64_t value;
    uint64_t revision; /* that a get told for it */
    uint64_t before;   /* when the first get that saw it returned */
    uint32_t key;
    uint32_t used;
    uint32_t seen;     /* somebody saw it or compared with it */
    uint32_t writers;  /* how many may have written it */
    uint32_t waiting;  /* gets that saw it and are not yet placed */
};

/* One operation of a part. */
struct part_op {
    const struct history_op *op;
    uint64_t value;    /* op->value or PART_UNSEEN; of a batch PART_UNSEEN: all that it sets */
    uint64_t index;    /* told by its own answer, or by a get that saw it; 0: not known */
    uint64_t before;   /* its own return, or that of the first get that saw it: it must be done by then */
    uint64_t zobrist[2];
    uint32_t rank;     /* place in the order in which operations are tried, from 1 on; unique */
    uint32_t group;    /* spare: which group; else PART_NONE */
    uint32_t saw;      /* a get: its place in part.sights; else PART_NONE */
    uint32_t call;     /* its events; for `back` PART_NONE when it is open for ever */
    uint32_t back;
};

/* The call or the return of an operation; those not yet taken are a list in the order of time. */
struct part_event {
    uint32_t op;
    uint32_t next;
    uint32_t previous;
    bool back; /* a return */
};

/* Unknown writes that nobody saw, all alike, in the order of invocation: from `next` on they can be used. */
struct part_group {
    uint32_t first; /* in part.spares */
    uint32_t count;
    uint32_t next;
};

struct part {
    const struct history *history;
    struct part_op *ops;       /* in the order of invocation */
    uint32_t op_count;
    uint32_t definite;         /* of them, those that must be placed */
    struct part_event *events; /* [0] is the head of the list */
    uint32_t event_count;
    uint32_t *spares;          /* numbers of ops, by group */
    struct part_group *groups;
    uint32_t group_count;
    struct sight *sights;      /* a hash table */
    uint64_t sight_size;       /* a power of two */
    uint32_t key_count;
    uint32_t first_key;        /* one of its keys, for messages */
    bool versions;             /* somebody was told a version */
    const uint32_t *slots;     /* of every key of the history: its place in the state of its part */
    bool *sums;                /* by slot: numbers are added to it, so a value can come about without being written */
};

/* All parts of a history. */
struct parts {
    const struct history *history;
    uint32_t count;
    uint32_t *slots;       /* of each key: its place in the state of its part */
    uint32_t *part_of;     /* of each key */
    uint64_t *first;       /* of each part: its place in `order`; one more at the end */
    uint32_t *order;       /* numbers of operations, by part, in the order of invocation */
    uint32_t *keys;        /* of each part: how many keys */
};

void parts_init(struct parts *parts, const struct history *history);
void parts_free(struct parts *parts);

/* Prepare one part; the numbers of operations are below 2^32 - 2. */
void part_init(struct part *part, const struct parts *parts, uint32_t number);
void part_free(struct part *part);

/* What is known of a value: an entry that is not `used` when there is nothing. */
struct sight *part_sight(const struct part *part, uint32_t key, uint64_t value);

/* A hash of two numbers, as good as random. */
uint64_t part_mix(uint64_t a, uint64_t b);

#endif
