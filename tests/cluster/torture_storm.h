/* SPDX-License-Identifier: Apache-2.0 */
/* torture_storm.h - the schedule of a storm: torture_draw.c draws it, torture_storm.c carries it out. */
#ifndef TESTS_CLUSTER_TORTURE_STORM_H
#define TESTS_CLUSTER_TORTURE_STORM_H

#include "torture.h"

#define FAULTS_MAX 4096
#define LEADER (-1)
#define LAST_MS_MIN 150 /* how long a fault lasts: drawn between these by magnitude */
#define LAST_MS_MAX 7000

/* Of a fault's amount: all connections of its node, not one link; the side of the leader has nobody else. */
#define BREAKS_ALL (UINT64_C(1) << 20)
#define LEADER_ALONE (UINT64_C(1) << 16)

struct fault {
    uint64_t at;
    uint64_t until;
    enum fault_kind kind;
    int target;      /* index of a node, or LEADER */
    uint32_t mask;   /* who is on this side, by index */
    uint64_t amount;
    uint64_t counted; /* of what shows that it is felt, before */
    bool roll;        /* one of a rolling restart, */
    bool last_of_roll; /* and its last */
    struct torture_node *node; /* who it was */
    bool begun;
    bool held;       /* it did begin: something has to end */
    bool ended;
    bool must;       /* begins again until it is */
    bool met;        /* done: felt */
};

struct storm {
    struct torture *torture;
    struct fault faults[FAULTS_MAX];
    unsigned count;
    unsigned drawn[FAULT_KINDS];
    unsigned tried[FAULT_KINDS]; /* there was a node for it, and it was allowed */
    unsigned done[FAULT_KINDS]; /* and something met it: was_felt, or where it is done */
    uint64_t began;
    int rolled; /* nodes that this rolling restart has stopped */
    unsigned links[TORTURE_NODES + 1][TORTURE_NODES + 1]; /* faults that hold each directed link */
    uint64_t dice;
};

struct storm_kind {
    const char *name;
    unsigned needs;
    int opens;
};

extern const struct storm_kind storm_kinds[FAULT_KINDS];

/* Between two bounds, small ones as often as large ones by magnitude. */
uint64_t storm_draw_number(uint64_t *dice, uint64_t least, uint64_t most);

/* Fill in all faults from the seed, and print which kinds they are of. */
void storm_draw(struct storm *storm);

/* Print how many there are; with --verbose each. */
void storm_print(const struct storm *storm);

/* The names of a fault's side; until the next call. */
const char *storm_side(const struct storm *storm, const struct fault *fault);

#endif
