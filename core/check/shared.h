/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared.h - one page that a check's process and its parent both see: what the child was doing when it fell.
 */
#ifndef CORE_CHECK_SHARED_H
#define CORE_CHECK_SHARED_H

#include <stdint.h>

struct shared {
    char doing[512];
    uint64_t told;    /* verdicts */
    uint64_t kind;    /* of the plugin, once it is known */
    uint64_t missing; /* no such plugin at all */
    uint64_t faulted; /* the address of a fault is known: */
    uint64_t fault;
    char place[64]; /* a directory of the child's for socket files, which its parent removes; "" */
};
extern struct shared *shared;

/* How a child ends. Anything else was not the kit's doing. */
#define SHARED_EXIT_DONE 0
#define SHARED_EXIT_REFUSED 41 /* the loader said no; told */
#define SHARED_EXIT_BROKEN 42  /* the kit's own pipe is gone */

#endif
