/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reform.h - quorum lost: a new cluster out of what is left of an old one, off line. `gavel recover` is this.
 *
 * Every given data directory is read. The one that is furthest along, by (last term, last index), among those that are
 * intact is the source: everything in it is kept, committed or not, and it becomes the one voter of a new cluster with
 * a new id, so that no node of the old one can come back by accident. The other members join it with empty directories:
 * those that were given are emptied, their contents set aside inside of them, never deleted.
 *
 * A damaged directory, one that recovers, or one of a node that was fenced (its state differed from the majority's) is
 * the source only when it is named as such. Cut short anywhere it is gone on with by a second run, see
 * core/log/renew.h.
 */
#ifndef CORE_NODE_REFORM_H
#define CORE_NODE_REFORM_H

#include <gavel/abi.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/node/node.h"
#include "core/os/os.h"

#define REFORM_DIRS_MAX NODE_MEMBERS_MAX

struct reform_options {
    const char *const *dirs;
    uint32_t dir_count;
    /* "name" or "name=uri|uri", commas between; NULL: the nodes of the directories. An address that is not said is the
     * one that the source knows. */
    const char *members;
    const char *source; /* one of `dirs`, also when it is damaged; NULL: the best intact one */
    bool dry_run;       /* say everything, change no byte */
    bool json;
};

/*
 * [off line] Say what is found, kept and lost on `out`, and unless it is a dry run do it. 0 with the report; else a
 * sentence: GAVEL_E_INVALID and GAVEL_E_CONFIG for what was asked for, GAVEL_E_BUSY where a node runs, GAVEL_E_DENIED
 * where the directory is another user's, GAVEL_E_CORRUPT when no directory can be the source, GAVEL_E_IO and others
 * from the disk.
 */
int32_t reform(const struct os *os, const struct reform_options *options, FILE *out, struct gavel_error *error);

#endif
