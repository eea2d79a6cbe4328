/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_facts.c - what was told of the past never changes: whoever tells it, whenever and by whatever node, in answers
 * to writes, in reads of any level and in events. The change at an index made one value; a unique value was made at one
 * index (a write that was applied twice would have two); one event follows on another.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "load_internal.h"

/* Two numbers with what is known of them. All of a table is 0 where `a` is 0. */
struct entry {
    uint64_t a;
    uint64_t b;
    uint64_t x;
    uint64_t y;
};

struct table {
    struct entry *entries;
    uint64_t size; /* a power of two */
    uint64_t count;
};

struct load_facts {
    struct table changes; /* (index, key + 1) -> value */
    struct table made;    /* (value, 1) -> index */
    struct table next;    /* event (index, ordinal + 1) -> the event that follows */
    struct table passed;  /* (index where a stream began, the next event's index) -> 1 */
};

#define TOGETHER 8u /* numbers that follow each other, as indexes do, lie together: they are asked for together */

static struct entry *place(const struct table *table, uint64_t a, uint64_t b)
{
    struct sim_random random = {a / TOGETHER};
    uint64_t at = (sim_draw(&random) * 2 * TOGETHER + a % TOGETHER * 2 + b % 2) & (table->size - 1);

    while (table->entries[at].a && (table->entries[at].a != a || table->entries[at].b != b))
        at = (at + 1) & (table->size - 1);
    return &table->entries[at];
}

static void grow(struct table *table)
{
    struct table old = *table;

    table->size = old.size ? old.size * 2 : 1024;
    table->entries = calloc(table->size, sizeof table->entries[0]);
    assert(table->entries);
    for (uint64_t i = 0; i < old.size; i++)
        if (old.entries[i].a)
            *place(table, old.entries[i].a, old.entries[i].b) = old.entries[i];
    free(old.entries);
}

/* The entry of (a, b), a not 0. *known: it was there; else it is now, with x and y. */
static const struct entry *learn(struct table *table, uint64_t a, uint64_t b, uint64_t x, uint64_t y, bool *known)
{
    struct entry *entry;

    if (table->count * 2 >= table->size)
        grow(table);
    entry = place(table, a, b);
    *known = entry->a != 0;
    if (!*known) {
        *entry = (struct entry){a, b, x, y};
        table->count++;
    }
    return entry;
}

struct load_facts *load_facts_new(struct sim_load *load)
{
    struct load_facts *facts = calloc(1, sizeof *facts);

    (void)load;
    assert(facts);
    return facts;
}

struct load_facts *load_facts_free(struct load_facts *facts)
{
    if (!facts)
        return NULL;
    free(facts->changes.entries);
    free(facts->made.entries);
    free(facts->next.entries);
    free(facts->passed.entries);
    free(facts);
    return NULL;
}

void load_fact(struct sim_load *load, const struct load_key *key, uint64_t index, uint64_t value)
{
    bool known;
    const struct entry *entry;

    if (!index)
        return;
    entry = learn(&load->facts->changes, index, key->number + UINT64_C(1), value, 0, &known);
    if (known && entry->x != value)
        sim_fail(load->sim, "one history", "the change of key %s at index %llu was told to be %llu, and now %llu",
                 key->name, (unsigned long long)index, (unsigned long long)entry->x, (unsigned long long)value);
    if (known || value == LOAD_DELETED || key->sums || key->class == LOAD_FLOW)
        return;
    entry = learn(&load->facts->made, value, 1, index, 0, &known);
    if (known && entry->x != index)
        sim_fail(load->sim, "exactly once", "the value %llu was written to key %s at index %llu and again at %llu",
                 (unsigned long long)value, key->name, (unsigned long long)entry->x, (unsigned long long)index);
}

void load_fact_next(struct sim_load *load, uint64_t from_index, uint64_t from_ordinal, bool exact, uint64_t index,
                    uint64_t ordinal)
{
    const struct entry *entry;
    bool known;

    if (from_index < index)
        (void)learn(&load->facts->passed, from_index, index, 0, 0, &known);
    if (!exact)
        return;
    entry = learn(&load->facts->next, from_index, from_ordinal + 1, index, ordinal, &known);
    if (known && (entry->x != index || entry->y != ordinal))
        sim_fail(load->sim, "watch",
                 "behind event %llu.%llu one stream brought %llu.%llu, another one %llu.%llu",
                 (unsigned long long)from_index, (unsigned long long)from_ordinal, (unsigned long long)entry->x,
                 (unsigned long long)entry->y, (unsigned long long)index, (unsigned long long)ordinal);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

static int by_number(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

static bool changes(const struct history_op *op)
{
    return op->outcome == HISTORY_OK && op->kind != HISTORY_GET && op->kind != HISTORY_PEEK &&
           op->kind != HISTORY_STOP && op->index;
}

/* The first of the sorted indexes above `index`; 0: none. */
static uint64_t first_above(const uint64_t *indexes, uint64_t count, uint64_t index)
{
    uint64_t low = 0;
    uint64_t high = count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (indexes[middle] <= index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count ? indexes[low] : 0;
}

/* An acknowledged change whose event a stream has passed over. */
static void check_gaps(struct sim_load *load)
{
    const struct table *passed = &load->facts->passed;
    uint64_t *indexes = calloc(load->history.count + 1, sizeof *indexes);
    uint64_t count = 0;
    uint64_t missed = 0;
    struct entry over = {0};

    assert(indexes);
    for (uint64_t i = 0; i < load->history.count; i++)
        if (changes(&load->history.ops[i]))
            indexes[count++] = load->history.ops[i].index;
    qsort(indexes, count, sizeof *indexes, by_number);
    for (uint64_t i = 0; i < passed->size && !missed; i++) {
        uint64_t next = passed->entries[i].a ? first_above(indexes, count, passed->entries[i].a) : 0;

        if (next && next < passed->entries[i].b) {
            missed = next;
            over = passed->entries[i];
        }
    }
    free(indexes);
    if (missed)
        sim_fail(load->sim, "watch", "a stream went from index %llu to %llu, over the acknowledged change at %llu",
                 (unsigned long long)over.a, (unsigned long long)over.b, (unsigned long long)missed);
}

/* What was told to have failed, or was refused by its condition, must not have been seen anywhere. */
static void check_failed(struct sim_load *load)
{
    for (uint64_t i = 0; i < load->history.count; i++) {
        const struct history_op *op = &load->history.ops[i];
        const struct entry *entry;

        if (op->outcome == HISTORY_OK || op->outcome == HISTORY_UNKNOWN || !load->facts->made.size)
            continue;
        for (uint32_t k = 0; k <= op->item_count; k++) {
            uint64_t value = k ? load->history.items[op->item_first + k - 1].value : op->value;
            uint8_t kind = k ? load->history.items[op->item_first + k - 1].kind : op->kind;

            if (kind != HISTORY_SET && kind != HISTORY_CAS && kind != HISTORY_CASREV)
                continue;
            entry = place(&load->facts->made, value, 1);
            if (entry->a)
                sim_fail(load->sim, "unknown is not failed",
                         "the client was told that its write of %llu was not done (%s), but it was, at index %llu",
                         (unsigned long long)value, history_outcome_name(op->outcome), (unsigned long long)entry->x);
        }
    }
}

void load_facts_check(struct sim_load *load)
{
    check_failed(load);
    check_gaps(load);
}
