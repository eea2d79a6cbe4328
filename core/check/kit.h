/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kit.h - what every check stands on: the plugin at hand, sentences, and calls into the plugin that are watched.
 *
 * gavel-check is a program of its own, not a part of gaveld, because it replaces malloc, the clocks and the C library's
 * random numbers by symbols of its own: a plugin resolves these from the program first, so every allocation can be
 * counted and refused, and a clock that is read in `run` is seen. No daemon should carry that.
 *
 * Each check is a function that runs in a child process. It returns when it found nothing; kit_fail ends the process.
 */
#ifndef CORE_CHECK_KIT_H
#define CORE_CHECK_KIT_H

#include "core/host/arena.h"
#include "core/host/loader.h"

#include <stdbool.h>
#include <stdint.h>

#define KIT_DEADLINE_MS 60000 /* of one check; only a hang meets it */
#define KIT_OPTIONS_MAX 64    /* --set */

/* What was asked for, and what is known of the plugin; one per process. */
struct kit {
    const char *program; /* this program's own file, for a second process */
    const char *asked;   /* as it was named */
    const char *dir;
    const char *kind;
    const char *only;
    const char *options[KIT_OPTIONS_MAX + 1];
    uint64_t seed;
    uint64_t deadline_ms;
    int report; /* in a child: where verdicts go */

    const struct host_plugin *plugin; /* in a child, once kit_load has returned */
    void *values;                     /* the options' struct; NULL without a table */
    struct host_arena arena;
};
extern struct kit kit;

/* One check. */
struct kit_check {
    const char *name;
    uint64_t kind; /* 0: every kind */
    void (*run)(void);
};
extern const struct kit_check kit_checks[]; /* ends with a row without a name */

/* ---- sentences --------------------------------------------------------------------------------------------------- */

/* A promise is broken: "NAME: <sentence> (seed N)". Ends this check's process. */
void kit_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Nothing is broken, but say so; the check goes on. */
void kit_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* This check cannot be made here. Ends its process. */
void kit_skip(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* What is about to be done, for the sentence when it never comes back: "run of write \"set\" (entry 3)". */
void kit_at(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Where it is done, put behind the words of every kit_at: " over unix"; NULL or "": the usual place. */
void kit_where(const char *where);

/* The words of the last kit_at. */
const char *kit_doing(void);

/* kit_fail with the words of kit_at in front: "<doing>: expected ..., saw ...". */
#define kit_broken(expected, ...) kit_broken_at(expected, __VA_ARGS__)
void kit_broken_at(const char *expected, const char *saw, ...) __attribute__((format(printf, 2, 3), noreturn));

/* The name of a status: "GAVEL_E_LOCAL"; "3" for what is no code of gavel's. In static memory, one at a time. */
const char *kit_status(int64_t status);

/* ---- the plugin -------------------------------------------------------------------------------------------------- */

/* Load the plugin into this process and fill its options; what is refused is told as verdict of the check "tables". */
void kit_load(void);

/* ---- children: kit_child.c ----------------------------------------------------------------------------------------*/

struct kit_tally {
    uint64_t passed, failed, warned, skipped;
};

/* Make one check in a child and print its verdicts; false when it failed. */
bool kit_run(const struct kit_check *check, struct kit_tally *tally);

/*
 * In a parent: the kind of the plugin, found by a child (the "tables" check), or 0 when it was refused; *code is then
 * the exit code.
 */
uint64_t kit_probe(struct kit_tally *tally);

/* ---- chance ------------------------------------------------------------------------------------------------------ */

struct kit_random {
    uint64_t state;
};

struct kit_random kit_random(const char *what); /* from the seed and the check's name */
uint64_t kit_next(struct kit_random *random);
static inline uint64_t kit_below(struct kit_random *random, uint64_t bound) { return kit_next(random) % bound; }

#endif
