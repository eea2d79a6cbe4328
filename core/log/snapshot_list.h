/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_list.h - the list of published snapshots, as its two publishers use it.
 */
#ifndef CORE_LOG_SNAPSHOT_LIST_H
#define CORE_LOG_SNAPSHOT_LIST_H

#include "core/log/snapshot.h"

#define LOG_PRUNE_MAX 8 /* old snapshots removed by one publication; normally one */

/* [loop] Name those that have to go when one more is published at `index`, above all that are listed (asserted).
 * Returns how many. */
uint32_t log_snapshot_prune(const struct log *log, uint64_t index, struct log_snapshot_info *pruned);

/* [loop] Before a snapshot is begun: have memory to list it when it is published, beside one that the other publisher
 * is making. For then it is too late to fail: the file is there. GAVEL_E_NO_MEMORY. */
int log_snapshot_reserve(struct log *log);

/* [loop] One is published, and these are gone. */
void log_snapshot_published(struct log *log, const struct log_snapshot_info *info,
                           const struct log_snapshot_info *pruned, uint32_t count);

#endif
