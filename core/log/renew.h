/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renew.h - off line: a data directory that has lost its cluster becomes the first member of a new one, with everything
 * that it holds; other directories are emptied, their contents set aside.
 *
 * Whoever calls these holds the lock of the directory (log_lock_dir) from before it looked at it until all is done, so
 * that no node runs on it, or starts on it in between.
 *
 * The change is a plan first: the file `renewing`, written durably, names everything that will be so. As long as it is
 * there no node starts on the directory, and log_renew_finish goes on with it from wherever it was cut short. The last
 * step gives it the name `renewed`: where this cluster came from, for people, and for a second run to see.
 *
 *   renewing   a blob "GRNW" (format.h) of: old cluster id 16, new cluster id 16, u64 member id, u64 index, u64 term,
 *              u64 wall ms, u32 and the bytes of the founding record, u32 and the bytes of the configuration entry
 */
#ifndef CORE_LOG_RENEW_H
#define CORE_LOG_RENEW_H

#include <gavel/abi.h>

#include "core/log/log.h"

#define LOG_RENEWING "renewing"
#define LOG_RENEWED "renewed"
#define LOG_ASIDE "old-" /* what directories inside a data directory begin with that hold what was set aside */

struct log_renewal {
    struct log_cluster_id old_cluster_id;
    struct log_cluster_id cluster_id;
    uint64_t member_id; /* of this directory, from now on */
    uint64_t index;     /* of the configuration entry, the last of the log + 1 */
    uint64_t term;      /* above every term that was seen here */
    uint64_t wall_ms;
    struct gavel_slice founding; /* borrowed */
    struct gavel_slice members;  /* payload of the configuration entry; borrowed */
};

/* [off line] Write the plan, durably. Nothing else is changed. */
int log_renew_plan(const struct os *os, const char *dir, const struct log_renewal *renewal, struct gavel_error *error);

/* [off line] Read `name` (LOG_RENEWING, LOG_RENEWED). Slices point into *memory, which the caller frees.
 * GAVEL_E_NOT_FOUND without a sentence, GAVEL_E_CORRUPT. */
int log_renew_read(const struct os *os, const char *dir, const char *name, struct log_renewal *renewal,
                   uint8_t **memory, struct gavel_error *error);

/* [off line] Carry the plan out: votes and configuration entry into the log, the new founding record, the new identity.
 * Each step is durable before the next and is left out when it was done before. With `cut` damage of the log, or a
 * mark that it recovers, is set aside first, as gavel data repair does. A fence goes. */
int log_renew_finish(const struct os *os, const char *dir, bool cut, struct gavel_error *error);

/* [off line] All is done: the plan gets its last name. */
int log_renew_close(const struct os *os, const char *dir, struct gavel_error *error);

/* [off line] Move everything in a data directory but its lock into `dir`/`name`, its record first: what is left is
 * empty, and a node that starts on it begins anew. May be cut short and called again. */
int log_set_aside(const struct os *os, const char *dir, const char *name, struct gavel_error *error);

#endif
