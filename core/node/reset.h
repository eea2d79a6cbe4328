/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reset.h - the data directory of a NEW cluster, made off line from a snapshot of an old one (restore). A directory
 * that is to become one with all of its log is changed in place instead, see reform.h.
 *
 * The new cluster has another id, so no node of the old one can speak to it again; its members have ids that the old
 * cluster never gave out; the new directory has an incarnation of its own. What was replicated stays: machines,
 * sessions, settings, the tick, and the founding record but for cluster id and members.
 *
 * CRASH-SAFE: the directory is made in place, with the file `unfinished` (LOG_UNFINISHED) in it from the first moment
 * on. Its removal, after everything else is durable, is the one moment at which the directory begins to be one. Before
 * that no node starts on it, and the same call again begins anew. Of two at once the second is refused. The source is
 * only read.
 *
 * Off line: these functions block, run on the caller's thread and need no lanes of `os`.
 */
#ifndef CORE_NODE_RESET_H
#define CORE_NODE_RESET_H

#include "core/log/log.h"
#include "core/node/members.h"
#include "core/os/os.h"

struct reset_plan {
    const struct os *os;              /* files, clock and random bytes */
    const char *dir;                  /* to be made: absent, empty, or left unfinished by an earlier attempt */
    const char *name;                 /* of the node, as in its INI */
    struct log_cluster_id cluster_id; /* of the new cluster */
    uint64_t member_id;               /* of this node; one of the members */
    /*
     * All members of the new cluster, voters and learners. Equal on each of them. An incarnation of 0 is noted by the
     * leader when that member answers for the first time: the nodes need not know each other's directories. `version`
     * is ignored. Ids have to be new: take them from the old members' next_id on.
     */
    const struct members *members;
    uint64_t segment_bytes; /* of the log, as in log_options; 0: the default */
};

/*
 * From the snapshot file that begins at offset `at` of the file `path` (a *.snap of a data directory has it at 0) and
 * ends `size` bytes later (0: at the end of the file). `founding` is the old cluster's record. `skip` is added to the
 * snapshot's index: indexes that the old cluster went on to use mean nothing in the new one, and clients that remember
 * some (sessions registered later, revisions of watches) must not take them for others.
 *
 * GAVEL_E_EXISTS: the directory is not empty, or holds beside what was left unfinished something that is no node's.
 * GAVEL_E_CORRUPT: the snapshot or the record is damaged, the sentence says where. GAVEL_E_BUSY: another process makes
 * this directory. GAVEL_E_DENIED, GAVEL_E_NO_SPACE, GAVEL_E_IO, GAVEL_E_INVALID (a plan that contradicts itself).
 */
int32_t reset_from_snapshot(const struct reset_plan *plan, const char *path, uint64_t at, uint64_t size,
                            struct gavel_slice founding, uint64_t skip, struct gavel_error *error);

#endif
