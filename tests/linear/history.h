/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - what clients asked of a key-value store and what they were told: the input of the linearizability
 * checker, in memory and as text.
 *
 * TEXT. One operation a line, blank lines and lines with '#' first are skipped; order of lines does not matter:
 *
 *   CLIENT INVOKED RETURNED COMMAND -> OUTCOME [NUMBER] [stopped] [version=N] [revision=N] [index=N]
 *
 *   CLIENT    a number, for people only
 *   INVOKED   when it was sent, RETURNED when its answer came: whole numbers of any unit that one clock counts (or
 *             order numbers of events); '-' for RETURNED: no answer ever came. At equal numbers two operations overlap.
 *   COMMAND   get KEY           set KEY VALUE        delete KEY        add KEY NUMBER (may be negative)
 *             cas KEY EXPECTED VALUE                 casrev KEY REVISION VALUE (0: it must not exist)
 *             start KEY VALUE   update KEY VALUE     stop KEY          (a workflow: get tells whether it is stopped)
 *             batch ITEM,ITEM,...   with ITEM set:KEY:VALUE, delete:KEY or add:KEY:NUMBER: all or none
 *             peek KEY      a get that need not be fresh, told to have been served at its index: it is held against the
 *             indexes only
 *             Keys are words without blank, ':' and ','. Values are whole numbers of 64 bits; the check is sharper
 *             when each write writes another one.
 *   OUTCOME   ok         done. NUMBER is what a get saw or the sum of an add
 *             absent     a get, delete, update or stop of what does not exist (also a batch with such a delete)
 *             condition  a cas or casrev whose condition was false
 *             exists     a start of what runs      state      an update of what is stopped
 *             failed     refused, and told that nothing was done: it must never take effect
 *             unknown    no answer, or one that says unknown: may have been done, may yet be, may never be
 *   version   the key's version after it, as the store counts: 1 when it is made, one more with each change
 *   revision  of a get: the index of the change that made what it saw
 *   index     of the answer: of the write's entry, or at which the read was served. Of an unknown write: where somebody
 *             who sees the log found one that asks for the same: that says where to look first, and nothing else
 *
 *   0 100 140 set a 17 -> ok version=1 index=9
 *   1 120 160 get a -> ok 17 version=1 revision=9 index=9
 *   0 150 - cas a 17 18 -> unknown
 */
#ifndef TESTS_LINEAR_HISTORY_H
#define TESTS_LINEAR_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* X(symbol, word) */
#define HISTORY_KINDS(X) \
    X(GET, "get") X(SET, "set") X(DELETE, "delete") X(ADD, "add") X(CAS, "cas") X(CASREV, "casrev") \
    X(START, "start") X(UPDATE, "update") X(STOP, "stop") X(BATCH, "batch") X(PEEK, "peek")
#define HISTORY_OUTCOMES(X) \
    X(OK, "ok") X(ABSENT, "absent") X(CONDITION, "condition") X(EXISTS, "exists") X(STATE, "state") \
    X(FAILED, "failed") X(UNKNOWN, "unknown")

enum history_kind {
#define HISTORY_KIND(symbol, word) HISTORY_##symbol,
    HISTORY_KINDS(HISTORY_KIND)
#undef HISTORY_KIND
    HISTORY_KIND_COUNT
};

enum history_outcome {
#define HISTORY_OUTCOME(symbol, word) HISTORY_##symbol,
    HISTORY_OUTCOMES(HISTORY_OUTCOME)
#undef HISTORY_OUTCOME
    HISTORY_OUTCOME_END
};

#define HISTORY_NEVER UINT64_MAX   /* `returned` of what was never answered */
#define HISTORY_NO_VERSION UINT32_MAX /* the version was not told */

/* One of the changes of a batch. */
struct history_item {
    uint64_t value;
    uint64_t seen;    /* add, outcome ok: the sum */
    uint32_t key;
    uint32_t version; /* after it; HISTORY_NO_VERSION: not told */
    uint8_t kind;     /* HISTORY_SET, _DELETE or _ADD */
    uint8_t told;     /* `seen` was told */
};

struct history_op {
    uint64_t invoked;
    uint64_t returned; /* HISTORY_NEVER: it was not */
    uint64_t value;    /* written; of an add: what is added (two's complement) */
    uint64_t expect;   /* cas: the value; casrev: the revision */
    uint64_t seen;     /* get: the value; add: the sum; when outcome is ok */
    uint64_t revision; /* get: of the change that made it; 0: not told */
    uint64_t index;    /* of the answer; 0: not told */
    uint32_t key;
    uint32_t client;
    uint32_t version;
    uint32_t item_first; /* batch: its part of history.items */
    uint16_t item_count;
    uint8_t kind;
    uint8_t outcome;
    uint8_t stopped; /* get of a workflow: it was stopped */
    uint8_t told;    /* `seen` was told (a get has to) */
};

struct history {
    struct history_op *ops;
    uint64_t count;
    uint64_t capacity;
    struct history_item *items;
    uint64_t item_count;
    uint64_t item_capacity;
    char **keys; /* their names by number */
    uint32_t key_count;
    uint32_t key_capacity;
    uint32_t *table; /* names' hash -> key + 1 */
    uint32_t table_size;
};

/* Memory that runs out ends the process with a sentence: this is for tests only. */
void history_init(struct history *history);
void history_free(struct history *history);

/* The number of a key, a new one for a name not seen yet. */
uint32_t history_key(struct history *history, const char *name);

/* One more operation, all 0 but version (not told), returned (never) and outcome (unknown). Borrowed until the next. */
struct history_op *history_add(struct history *history);

/* One more item of the batch that was added last. */
struct history_item *history_add_item(struct history *history, struct history_op *op);

/* Read text, adding to what there is. False and a sentence with the line in `why` when it is malformed. */
bool history_read(struct history *history, FILE *in, char *why, size_t size);

/* Write one operation as a line of text, or all. */
void history_print(const struct history *history, const struct history_op *op, FILE *out);
void history_write(const struct history *history, FILE *out);

const char *history_kind_name(uint8_t kind);
const char *history_outcome_name(uint8_t outcome);

#endif
