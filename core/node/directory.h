/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory.h - who is in the cluster, as the log has it: one list of members for every configuration that the log or
 * the snapshot below it still holds, oldest first.
 *
 * It is the stack of core/raft with names. A configuration is in force from the moment it is in the log, and until it
 * is truncated off again (thesis 4.1), names and addresses included; so the list is pushed when an entry is appended,
 * popped when it is truncated, and replaced when a snapshot is installed. Nothing else changes it.
 */
#ifndef CORE_NODE_DIRECTORY_H
#define CORE_NODE_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/node/members.h"

/* As core/raft's. All but the newest are committed, so forgetting the oldest never loses one that is needed. */
#define DIRECTORY_MAX 64

struct directory {
    uint32_t count;
    struct {
        uint64_t index;
        struct members *members;
    } items[DIRECTORY_MAX];
};

/* Forget all; begin with the members of the founding (index 0) or of a snapshot. GAVEL_E_NO_MEMORY: nothing changed. */
int32_t directory_begin(struct directory *directory, uint64_t index, const struct members *members);

/* An entry of the log. One at or below the beginning is in there already and changes nothing. GAVEL_E_NO_MEMORY. */
int32_t directory_push(struct directory *directory, uint64_t index, const struct members *members);

/* The log lost all from `from` on. Returns whether anything went. */
bool directory_truncate(struct directory *directory, uint64_t from);

/* Forget those that were no longer in force at `index`. */
void directory_prune(struct directory *directory, uint64_t index);

/* The newest, committed or not; NULL before the founding. */
const struct members *directory_now(const struct directory *directory);

/* Those that were in force at `index`; NULL when that is not known any more. */
const struct members *directory_at(const struct directory *directory, uint64_t index);

/* The newest that anybody held here had of that id: also of one that was just removed. NULL: a stranger. */
const struct member *directory_find(const struct directory *directory, uint64_t id);

/* Whether an id belonged to a member whose removal is in the list that is in force at `index`. Ids are never reused. */
bool directory_removed(const struct directory *directory, uint64_t index, uint64_t id);

void directory_free(struct directory *directory);

#endif
