/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members_seen.h - which members a data directory knows, found by a scan of its files: for tools that work off line,
 * and for a node whose log is damaged and therefore not open.
 */
#ifndef CORE_NODE_MEMBERS_SEEN_H
#define CORE_NODE_MEMBERS_SEEN_H

#include "core/log/scan.h"
#include "core/node/members.h"

struct members_entry;

/* The configuration entries of a scan. All zero: none yet. */
struct members_seen {
    struct members_entry *newest; /* the one that was seen last; a list */
    bool forgot;                  /* for want of memory */
};

/* [any] For log_scan_options.seen, with a struct members_seen as ctx: keeps the configuration entries. */
void members_seen_frame(void *ctx, uint64_t segment, const struct log_frame_seen *frame);

/* [any] The newest configuration that is part of the log, of the snapshot, or of the founding, as members_decode takes
 * it. Borrowed from `seen` and `scan`; empty when there is none. */
struct gavel_slice members_seen_newest(const struct members_seen *seen, const struct log_scan *scan);

/* [any] Free the entries. */
void members_seen_free(struct members_seen *seen);

/*
 * [before the loop, off line] How many voters the newest configuration in the files of `dir` has, in either half of a
 * joint one, beside the member that the directory belongs to. The newest is what was written last, whether a truncation
 * took it away or not: what matters is whether others may hold what is missing here. 0 when there are none, or when the
 * damage lies before all that names them. Reads the whole log.
 */
uint32_t members_seen_others(const struct os *os, const char *dir);

#endif
