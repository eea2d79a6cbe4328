/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.c - the index of the log in memory.
 */
#include "core/log/slots.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 256 /* 14 KiB; an idle log needs few */

static int grow(struct log_slots *slots)
{
    uint64_t capacity = slots->capacity ? slots->capacity * 2 : SLOTS_FIRST;
    struct log_slot *items = malloc(capacity * sizeof *items);

    if (!items)
        return GAVEL_E_NO_MEMORY;
    for (uint64_t i = 0; i < slots->count; i++)
        items[i] = *log_slot_at(slots, i);
    free(slots->items);
    slots->items = items;
    slots->capacity = capacity;
    slots->head = 0;
    return 0;
}

struct log_slot *log_slots_push(struct log_slots *slots)
{
    struct log_slot *slot;

    if (slots->count == slots->capacity && grow(slots))
        return NULL;
    slots->count++;
    slot = log_slot_at(slots, slots->count - 1);
    memset(slot, 0, sizeof *slot);
    return slot;
}

uint64_t log_slots_find(const struct log_slots *slots, uint64_t index)
{
    uint64_t low = 0;
    uint64_t high = slots->count;
    uint64_t back = 1;

    /* Most questions are about the newest batches: from the end back in steps that double, then by halving. */
    while (back < high && log_slot_at(slots, high - back)->first > index)
        back *= 2;
    if (back < high)
        low = high - back;
    high -= back / 2;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct log_slot *slot = log_slot_at(slots, middle);

        if (index < slot->first)
            high = middle;
        else if (index - slot->first >= slot->count)
            low = middle + 1;
        else
            return middle;
    }
    return slots->count;
}

void log_slots_pop_back(struct log_slots *slots)
{
    assert(slots->count);
    (void)log_batch_unref(log_slot_at(slots, slots->count - 1)->batch);
    slots->count--;
}

void log_slots_pop_front(struct log_slots *slots)
{
    assert(slots->count);
    (void)log_batch_unref(log_slot_at(slots, 0)->batch);
    slots->head = (slots->head + 1) & (slots->capacity - 1);
    slots->count--;
}

void log_slots_free(struct log_slots *slots)
{
    while (slots->count)
        log_slots_pop_back(slots);
    free(slots->items);
    memset(slots, 0, sizeof *slots);
}
