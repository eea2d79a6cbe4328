/* SPDX-License-Identifier: Apache-2.0 */
/* reform_internal.h - what reform.c and reform_say.c share. */
#ifndef CORE_NODE_REFORM_INTERNAL_H
#define CORE_NODE_REFORM_INTERNAL_H

#include "core/log/renew.h"
#include "core/log/scan.h"
#include "core/node/members_seen.h"
#include "core/node/reform.h"

#define REFORM_ASIDE_BYTES 16 /* of a name such as old-1a2b3c4d, with its NUL */

struct reform_dir {
    const char *path;
    struct os_file *lock; /* held from the look to the end: no node may start in between */
    struct log_scan scan;
    struct members_seen seen;
    struct members *members; /* the newest in it; NULL: none could be read */
    bool record;             /* it is a data directory, and its record can be read */
    bool intact;             /* could be the source without being named */
    bool possible;           /* could be the source when it is named */
    const char *why;         /* not intact: why */
    uint64_t last;           /* of the log or the snapshot */
    uint64_t last_term;
    uint64_t durable_to;     /* the highest index that is known to have been durable in it */
    bool comparable;
    uint64_t common;         /* up to here it holds what the source holds */
    bool aside;              /* its contents are set aside, or were */
};

struct reform {
    const struct os *os;
    const struct reform_options *options;
    struct gavel_error *error;
    struct reform_dir dirs[REFORM_DIRS_MAX];
    uint32_t count;
    struct reform_dir *source;
    bool resumes;  /* a plan is there, cut short ... */
    bool finished; /* ... or carried out before */
    struct log_renewal plan;
    uint8_t *plan_memory; /* of one that was read */
    struct members next;  /* of the new cluster */
    uint32_t voters;      /* of the old cluster, as the source knows them ... */
    uint32_t voters_here; /* ... and how many of them are here, intact */
    uint32_t voters_named; /* ... or at least stopped, since their directories were given */
    bool joint;
    struct gavel_buffer founding;
    struct gavel_buffer payload;
    char aside[REFORM_ASIDE_BYTES];
};

/* Whether voters that were not named could go on as the old cluster, if they run after all. */
bool reform_old_majority(const struct reform *reform);
/* Whether every write that was acknowledged is in some directory that was read. */
bool reform_complete(const struct reform *reform);

/* Print what is found, kept and lost; `done`: it has been carried out. */
void reform_say(const struct reform *reform, bool done, FILE *out);

#endif
