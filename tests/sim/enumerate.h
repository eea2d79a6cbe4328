/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enumerate.h - short scenes without chance, each played again and again with one thing going wrong at one place, for
 * every place: the power goes at each changing system call of one node (and what was not synced is dropped, kept, or
 * each piece as dice say), or its process is killed there, lives again on what is not synced, and loses its power then,
 * or one call of its disk answers EIO, or one allocation is refused. Whatever it was: the node
 * starts again, every acknowledged write is there, the cluster converges, and the oracle has nothing to say.
 *
 *   enumerate_scenes.c   the scenes, as tables of steps
 *   enumerate_play.c     one scene, once, in one world
 *   enumerate.c          all of them, at every place
 */
#ifndef TESTS_SIM_ENUMERATE_H
#define TESTS_SIM_ENUMERATE_H

#include <stdio.h>

#include "sim.h"

enum enumerate_mode {
    ENUMERATE_CLEAN, /* nothing goes wrong: how many places are there? */
    ENUMERATE_CRASH, /* the power goes within changing operation number `at` */
    ENUMERATE_KILL,  /* it is killed there, and its next life loses its power */
    ENUMERATE_ERROR, /* disk call number `at` answers EIO */
    ENUMERATE_MEMORY, /* allocation number `at`, of all nodes together, is refused */
    ENUMERATE_MODES
};

enum enumerate_kind {
    STEP_END,      /* all is over */
    STEP_WRITE,    /* `count` values of `size` bytes, each until it is acknowledged */
    STEP_PUSH,     /* the same, asked of `node` once and not waited for */
    STEP_WAIT,     /* `count` simulated milliseconds */
    STEP_CALM,     /* until all have converged */
    STEP_LEAD,     /* until `node` leads: it is handed the leadership */
    STEP_SNAPSHOT, /* `node` takes one */
    STEP_STOP,     /* `node` stops cleanly, and stays down */
    STEP_POWER,    /* `node` loses its power, and stays down */
    STEP_START,    /* `node` may run again */
    STEP_ISOLATE,  /* nothing passes to or from `node` */
    STEP_HEAL,
    STEP_DAMAGE,   /* sector `count` of the oldest segment of `node`, or one before it */
    STEP_FILL,     /* the disk of `node` is full but for `size` bytes */
    STEP_ROOM,     /* no more */
    STEP_SESSION,  /* a session is registered */
    STEP_ADD,      /* `count` times one is added to a counter within the session, retried until acknowledged */
    STEP_JOIN,     /* `node` is made a member and started, empty */
    STEP_REMOVE    /* `node` is no longer to be a member */
};

struct enumerate_step {
    uint32_t kind; /* enum enumerate_kind */
    uint32_t node; /* number, 0 ... */
    uint32_t count;
    uint32_t size;
};

#define ENUMERATE_STEPS 20

struct enumerate_scene {
    const char *name;
    uint32_t nodes;            /* founders */
    uint32_t victim;           /* whose operations are enumerated */
    uint32_t snapshot_entries; /* 0: so many that none is taken by itself */
    struct enumerate_step steps[ENUMERATE_STEPS];
    /* "NAME[=LEAST] ...": what the undisturbed run must have come to, so that the scene is what it is called. NAME is a
     * total of sim.h, or of the victim "segments" (files of its log), "base" (index up to which its log is compacted),
     * "members" (in force) or "no_space" (its disk was too full to write), or "added" (to the counter).
     * "+NAME": a total that at least one of the disturbed runs must have come to. */
    const char *meets;
};

/* Ends with a name of NULL. */
extern const struct enumerate_scene enumerate_scenes[];

/* When the power goes after a kill, and what becomes of what was not synced. */
enum enumerate_power {
    POWER_LATE, /* when the scene is over: each piece as dice say */
    POWER_SOON, /* when the next life has recovered: dropped */
    POWER_WITHIN, /* within one of the operations of its recovery, or soon after: dropped */
    ENUMERATE_POWERS
};

struct enumerate_plan {
    const struct enumerate_scene *scene;
    uint32_t mode;    /* enum enumerate_mode */
    uint32_t variant; /* CRASH: enum sim_disk_fate; KILL: enum enumerate_power */
    uint64_t at;      /* 1 ... */
};

/* The world of a plan. */
void enumerate_options(const struct enumerate_plan *plan, struct sim_options *options);

/* Play it to its end and check what there is to check; sim_fail on the first thing that is wrong. What there was to
 * enumerate is left in counts, by mode. */
void enumerate_play(struct sim *sim, const struct enumerate_plan *plan, uint64_t *counts);

/* The next entry of `meets`: its name, whether it is one of "+NAME", and the least. Returns what is behind it; NULL:
 * there is none. */
const char *enumerate_meets(const char *meets, char name[32], bool *somewhere, uint64_t *least);

/* "--enumerate NAME:crash:57:drop", as enumerate_run takes it. */
void enumerate_print(const struct enumerate_plan *plan, FILE *to);

struct enumerate_order {
    const char *which; /* "all" or a scene's name, either with ":MODE"; or "NAME:MODE:AT:VARIANT" for one single run */
    uint64_t every;    /* only each so many-th place; 1: all */
    uint64_t jobs;     /* at the same time */
    uint64_t failures_max;
    const char *bug;   /* a seeded one; NULL: none */
    bool tracing;
};

/* False: a run failed, and has been complained about on stdout; or the order is not understood. */
bool enumerate_run(const struct enumerate_order *order);

#endif
