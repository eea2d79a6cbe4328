/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receive.h - the part of a snapshot that a peer was sending when this node stopped.
 */
#ifndef CORE_LOG_RECEIVE_H
#define CORE_LOG_RECEIVE_H

#include "core/log/snapshot.h"

/* [before the loop] What is being received, and how much of its payload is here and sound; info->index 0: nothing. */
int log_incoming_look(const struct os *os, const char *dir, struct log_snapshot_info *info, uint64_t *offset,
                      struct gavel_error *error);

/* [any lane, while nothing is received] Remove what was being received when a snapshot at `index`, published here,
 * holds as much, or when nobody can go on with it. Negative errno. */
int log_incoming_sweep(const struct os *os, const char *dir, uint64_t index);

struct log;
/* [loop] Whether one of at least this index has all its pieces and is being published. */
bool log_receive_ends(const struct log *log, uint64_t index);

#endif
