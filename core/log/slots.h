/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.h - the index of the log in memory: one slot a batch, ascending without a gap, grown at the end, cut at both.
 */
#ifndef CORE_LOG_SLOTS_H
#define CORE_LOG_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/log/batch.h"

struct log_slot {
    uint64_t first;
    uint64_t term;
    uint32_t count;
    uint32_t bytes;
    uint32_t chain;
    uint16_t kind;
    uint16_t pad;
    uint64_t segment; /* number; 0: not written yet */
    uint32_t offset;  /* of its frame in the segment */
    uint32_t pad2;
    struct log_batch *batch; /* in memory, one reference; NULL: on disk only */
};

/* A ring of slots. All zero is a valid empty one. */
struct log_slots {
    struct log_slot *items;
    uint64_t capacity; /* a power of two */
    uint64_t head;
    uint64_t count;
};

/* [loop] The slot at a position, 0 the oldest; borrowed until the next push. */
static inline struct log_slot *log_slot_at(const struct log_slots *slots, uint64_t position)
{
    return &slots->items[(slots->head + position) & (slots->capacity - 1)];
}

/* [loop] A new slot at the end, zeroed; NULL when memory is out. */
struct log_slot *log_slots_push(struct log_slots *slots);

/* [loop] Position of the slot that holds `index`; slots->count when there is none. */
uint64_t log_slots_find(const struct log_slots *slots, uint64_t index);

/* [loop] Forget the newest or the oldest; a batch it holds is given back. */
void log_slots_pop_back(struct log_slots *slots);
void log_slots_pop_front(struct log_slots *slots);

/* [loop] Forget all and free the memory. */
void log_slots_free(struct log_slots *slots);

#endif
