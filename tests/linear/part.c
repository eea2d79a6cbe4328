/* SPDX-License-Identifier: Apache-2.0 */
/* part.c - a history cut into parts that can be searched one by one; see part.h. */
#include "tests/linear/part.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void *take(uint64_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory) {
        fprintf(stderr, "linear: out of memory\n");
        abort();
    }
    return memory;
}

uint64_t part_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a * UINT64_C(0x9e3779b97f4a7c15) + b + UINT64_C(0xd6e8feb86659fd93);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z = (z ^ (z >> 31)) + b * UINT64_C(0xc2b2ae3d27d4eb4f);
    z = (z ^ (z >> 29)) * UINT64_C(0x165667b19e3779f9);
    return z ^ (z >> 32);
}

/* ---- which key belongs to which part ------------------------------------------------------------------- */

static uint32_t root(uint32_t *parent, uint32_t key)
{
    while (parent[key] != key)
        key = parent[key] = parent[parent[key]];
    return key;
}

/* Operations that say nothing: what failed took no effect, a get without an answer saw nothing, a peek may be stale. */
static bool is_silent(const struct history_op *op)
{
    return op->outcome == HISTORY_FAILED || op->kind == HISTORY_PEEK ||
           (op->outcome == HISTORY_UNKNOWN && op->kind == HISTORY_GET);
}

static uint32_t key_of(const struct history *history, const struct history_op *op)
{
    return op->kind == HISTORY_BATCH ? history->items[op->item_first].key : op->key;
}

static void join_keys(struct parts *parts, uint32_t *parent)
{
    const struct history *history = parts->history;

    for (uint32_t i = 0; i < history->key_count; i++)
        parent[i] = i;
    for (uint64_t i = 0; i < history->count; i++) {
        const struct history_op *op = &history->ops[i];

        for (uint32_t k = 1; op->kind == HISTORY_BATCH && !is_silent(op) && k < op->item_count; k++)
            parent[root(parent, history->items[op->item_first + k].key)] = root(parent, key_of(history, op));
    }
}

static void number_parts(struct parts *parts, uint32_t *parent)
{
    uint32_t keys = parts->history->key_count;

    for (uint32_t i = 0; i < keys; i++)
        if (root(parent, i) == i)
            parts->part_of[i] = parts->count++;
    parts->keys = take(parts->count, sizeof parts->keys[0]);
    for (uint32_t i = 0; i < keys; i++) {
        parts->part_of[i] = parts->part_of[root(parent, i)];
        parts->slots[i] = parts->keys[parts->part_of[i]]++;
    }
}

struct sorted {
    uint64_t invoked;
    uint32_t op;
};

static int by_invocation(const void *left, const void *right)
{
    const struct sorted *a = left;
    const struct sorted *b = right;

    if (a->invoked != b->invoked)
        return a->invoked < b->invoked ? -1 : 1;
    return a->op < b->op ? -1 : a->op > b->op;
}

/* All operations by part, and within it in the order of invocation. */
static void sort_operations(struct parts *parts)
{
    const struct history *history = parts->history;
    struct sorted *sorted = take(history->count, sizeof *sorted);
    uint64_t *at = take(parts->count + 1, sizeof *at);
    uint64_t count = 0;

    for (uint64_t i = 0; i < history->count; i++)
        if (!is_silent(&history->ops[i]))
            sorted[count++] = (struct sorted){history->ops[i].invoked, (uint32_t)i};
    qsort(sorted, count, sizeof *sorted, by_invocation);
    for (uint64_t i = 0; i < count; i++)
        parts->first[parts->part_of[key_of(history, &history->ops[sorted[i].op])] + 1]++;
    for (uint32_t i = 0; i < parts->count; i++)
        parts->first[i + 1] += parts->first[i];
    memcpy(at, parts->first, parts->count * sizeof *at);
    for (uint64_t i = 0; i < count; i++)
        parts->order[at[parts->part_of[key_of(history, &history->ops[sorted[i].op])]]++] = sorted[i].op;
    free(sorted);
    free(at);
}

void parts_init(struct parts *parts, const struct history *history)
{
    uint32_t *parent = take(history->key_count, sizeof *parent);

    assert(history->count < UINT32_MAX / 2);
    *parts = (struct parts){.history = history};
    parts->slots = take(history->key_count, sizeof parts->slots[0]);
    parts->part_of = take(history->key_count, sizeof parts->part_of[0]);
    parts->order = take(history->count, sizeof parts->order[0]);
    join_keys(parts, parent);
    number_parts(parts, parent);
    parts->first = take(parts->count + UINT64_C(1), sizeof parts->first[0]);
    sort_operations(parts);
    free(parent);
}

void parts_free(struct parts *parts)
{
    free(parts->slots);
    free(parts->part_of);
    free(parts->order);
    free(parts->first);
    free(parts->keys);
}

/* ---- who saw what -------------------------------------------------------------------------------------- */

struct sight *part_sight(const struct part *part, uint32_t key, uint64_t value)
{
    uint64_t at = part_mix(key, value) & (part->sight_size - 1);

    while (part->sights[at].used && (part->sights[at].key != key || part->sights[at].value != value))
        at = (at + 1) & (part->sight_size - 1);
    return &part->sights[at];
}

static struct sight *know(struct part *part, uint32_t key, uint64_t value)
{
    struct sight *sight = part_sight(part, key, value);

    if (!sight->used)
        *sight = (struct sight){.value = value, .before = UINT64_MAX, .key = key, .used = 1};
    return sight;
}

static bool has_value(const struct history_op *op)
{
    return op->kind == HISTORY_SET || op->kind == HISTORY_CAS || op->kind == HISTORY_CASREV ||
           op->kind == HISTORY_START || op->kind == HISTORY_UPDATE;
}

static void see_get(struct part *part, struct part_op *each)
{
    struct sight *sight = know(part, each->op->key, each->op->seen);

    each->saw = (uint32_t)(sight - part->sights);
    sight->seen = 1;
    sight->waiting++;
    /* The index of its write: a key that was stopped since has the revision of that. */
    if (!each->op->stopped && each->op->revision && (!sight->revision || each->op->revision < sight->revision))
        sight->revision = each->op->revision;
    if (each->op->returned < sight->before)
        sight->before = each->op->returned;
}

static void see_all(struct part *part)
{
    const struct history_item *items = part->history->items;
    uint64_t count = 1;

    for (uint32_t i = 0; i < part->op_count; i++)
        count += 2 + part->ops[i].op->item_count;
    part->sight_size = 64;
    while (part->sight_size < count * 2)
        part->sight_size *= 2;
    part->sights = take(part->sight_size, sizeof part->sights[0]);
    for (uint32_t i = 0; i < part->op_count; i++) {
        const struct history_op *op = part->ops[i].op;

        if (op->kind == HISTORY_GET && op->outcome == HISTORY_OK)
            see_get(part, &part->ops[i]);
        if (op->kind == HISTORY_CAS)
            know(part, op->key, op->expect)->seen = 1;
        if (op->outcome != HISTORY_OK && op->outcome != HISTORY_UNKNOWN)
            continue;
        if (has_value(op))
            know(part, op->key, op->value)->writers++;
        for (uint32_t k = 0; k < op->item_count; k++)
            if (items[op->item_first + k].kind == HISTORY_SET)
                know(part, items[op->item_first + k].key, items[op->item_first + k].value)->writers++;
    }
}

/* ---- what can only be guessed -------------------------------------------------------------------------- */

/* The same for a batch: somebody saw one of the values that it sets. */
static bool is_spare_batch(const struct part *part, struct part_op *each)
{
    const struct history_op *op = each->op;
    bool sums = false;

    if (op->outcome != HISTORY_UNKNOWN)
        return false;
    for (uint32_t i = 0; i < op->item_count; i++) {
        const struct history_item *item = &part->history->items[op->item_first + i];
        const struct sight *sight = part_sight(part, item->key, item->value);

        if (item->kind != HISTORY_SET)
            continue;
        sums |= part->sums[part->slots[item->key]];
        if (sight->seen) {
            each->index = each->index ? each->index : sight->revision;
            each->before = sight->before;
            return false;
        }
    }
    each->value = sums ? 0 : PART_UNSEEN;
    return true;
}

/* An unknown write that nobody saw; fills value, index and before. */
static bool is_spare(const struct part *part, struct part_op *each)
{
    const struct history_op *op = each->op;
    const struct sight *sight;

    each->value = op->value;
    each->index = op->outcome == HISTORY_UNKNOWN ? 0 : op->index; /* that one is for linear.c's told_order alone */
    each->before = op->outcome == HISTORY_UNKNOWN ? UINT64_MAX : op->returned;
    if (op->kind == HISTORY_BATCH)
        return is_spare_batch(part, each);
    if (!has_value(op))
        return op->outcome == HISTORY_UNKNOWN;
    sight = part_sight(part, op->key, op->value);
    if (sight->seen && sight->before < each->before)
        each->before = sight->before;
    if (op->outcome != HISTORY_UNKNOWN)
        return false;
    if (sight->seen) {
        each->index = each->index ? each->index : sight->revision;
        return false;
    }
    if (!part->sums[part->slots[op->key]])
        each->value = PART_UNSEEN; /* else it could be seen in a sum */
    return true;
}

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* Batches are alike when their items are, but for values that nobody saw. */
static int by_items(const struct history_item *items, const struct part_op *a, const struct part_op *b)
{
    int order = compare(a->op->item_count, b->op->item_count);

    order = order ? order : compare(a->value, b->value);
    for (uint32_t i = 0; !order && i < a->op->item_count; i++) {
        const struct history_item *one = &items[a->op->item_first + i];
        const struct history_item *other = &items[b->op->item_first + i];

        order = compare(one->kind, other->kind);
        order = order ? order : compare(one->key, other->key);
        if (!order && !(one->kind == HISTORY_SET && a->value == PART_UNSEEN))
            order = compare(one->value, other->value);
    }
    return order;
}

static const struct history_item *sorted_items; /* qsort hands nothing on; one search at a time */

/* Spares that are alike come together, the first invoked first. */
static int by_likeness(const struct part_op *a, const struct part_op *b)
{
    int order = compare(a->op->kind, b->op->kind);

    if (!order && a->op->kind == HISTORY_BATCH)
        return by_items(sorted_items, a, b);
    order = order ? order : compare(a->op->key, b->op->key);
    order = order ? order : compare(a->value, b->value);
    return order ? order : compare(a->op->expect, b->op->expect);
}

static int by_group(const void *left, const void *right)
{
    const struct part_op *a = *(struct part_op *const *)left;
    const struct part_op *b = *(struct part_op *const *)right;
    int order = by_likeness(a, b);

    return order ? order : compare((uintptr_t)a, (uintptr_t)b);
}

static void group_spares(struct part *part, struct part_op **spares, uint32_t count)
{
    part->spares = take(count, sizeof part->spares[0]);
    part->groups = take(count, sizeof part->groups[0]);
    sorted_items = part->history->items;
    qsort(spares, count, sizeof *spares, by_group);
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || by_likeness(spares[i - 1], spares[i]) != 0)
            part->groups[part->group_count++] = (struct part_group){.first = i};
        part->groups[part->group_count - 1].count++;
        part->spares[i] = (uint32_t)(spares[i] - part->ops);
        spares[i]->group = part->group_count - 1;
    }
}

/* In the order of the log as far as it is known, a get after the write of its index; else by when each must be done. */
static int by_index(const void *left, const void *right)
{
    const struct part_op *a = *(struct part_op *const *)left;
    const struct part_op *b = *(struct part_op *const *)right;
    int order = compare(a->index ? a->index : UINT64_MAX, b->index ? b->index : UINT64_MAX);

    order = order ? order : compare(a->op->kind == HISTORY_GET, b->op->kind == HISTORY_GET);
    order = order ? order : compare(a->before, b->before);
    return order ? order : compare((uintptr_t)a, (uintptr_t)b);
}

static void rank_others(struct part_op **others, uint32_t count)
{
    qsort(others, count, sizeof *others, by_index);
    for (uint32_t i = 0; i < count; i++)
        others[i]->rank = i + 1;
}

/* ---- events -------------------------------------------------------------------------------------------- */

struct moment {
    uint64_t time;
    uint32_t op;
    uint32_t back; /* at equal times calls come first: they overlap */
};

static int by_time(const void *left, const void *right)
{
    const struct moment *a = left;
    const struct moment *b = right;
    int order = compare(a->time, b->time);

    order = order ? order : compare(a->back, b->back);
    return order ? order : compare(a->op, b->op);
}

static void list_events(struct part *part)
{
    struct moment *moments = take(part->op_count * UINT64_C(2), sizeof *moments);
    uint32_t count = 0;

    for (uint32_t i = 0; i < part->op_count; i++) {
        const struct history_op *op = part->ops[i].op;

        part->ops[i].call = part->ops[i].back = PART_NONE;
        if (part->ops[i].group != PART_NONE)
            continue; /* spares are not in the list */
        moments[count++] = (struct moment){op->invoked, i, 0};
        if (op->outcome != HISTORY_UNKNOWN)
            moments[count++] = (struct moment){op->returned, i, 1};
    }
    qsort(moments, count, sizeof *moments, by_time);
    part->event_count = count + 1;
    part->events = take(part->event_count, sizeof part->events[0]);
    part->events[0] = (struct part_event){.op = PART_NONE, .next = count ? 1 : 0, .previous = count};
    for (uint32_t i = 1; i <= count; i++) {
        struct part_op *op = &part->ops[moments[i - 1].op];

        part->events[i] = (struct part_event){.op = moments[i - 1].op,
                                              .next = i == count ? 0 : i + 1,
                                              .previous = i - 1,
                                              .back = moments[i - 1].back != 0};
        *(moments[i - 1].back ? &op->back : &op->call) = i;
    }
    free(moments);
}

/* ---- all together -------------------------------------------------------------------------------------- */

static void fill(struct part *part, const struct parts *parts, uint64_t from)
{
    const struct history *history = parts->history;

    for (uint32_t i = 0; i < part->op_count; i++) {
        const struct history_op *op = &history->ops[parts->order[from + i]];

        part->ops[i] = (struct part_op){.op = op, .group = PART_NONE, .saw = PART_NONE};
        part->ops[i].zobrist[0] = part_mix(i, 1);
        part->ops[i].zobrist[1] = part_mix(i, 2);
        part->definite += op->outcome != HISTORY_UNKNOWN;
        part->versions |= op->version != HISTORY_NO_VERSION;
        if (op->kind == HISTORY_ADD)
            part->sums[part->slots[op->key]] = true;
        for (uint32_t k = 0; k < op->item_count; k++) {
            part->versions |= history->items[op->item_first + k].version != HISTORY_NO_VERSION;
            if (history->items[op->item_first + k].kind == HISTORY_ADD)
                part->sums[part->slots[history->items[op->item_first + k].key]] = true;
        }
    }
}

void part_init(struct part *part, const struct parts *parts, uint32_t number)
{
    uint64_t from = parts->first[number];
    struct part_op **some;
    uint32_t others = 0;
    uint32_t spares = 0;

    *part = (struct part){.history = parts->history, .key_count = parts->keys[number], .slots = parts->slots};
    part->op_count = (uint32_t)(parts->first[number + 1] - from);
    part->ops = take(part->op_count, sizeof part->ops[0]);
    some = take(part->op_count, sizeof(*some));
    part->sums = take(part->key_count, sizeof part->sums[0]);
    fill(part, parts, from);
    if (part->op_count)
        part->first_key = key_of(parts->history, part->ops[0].op);
    see_all(part);
    for (uint32_t i = 0; i < part->op_count; i++) {
        if (is_spare(part, &part->ops[i]))
            some[part->op_count - ++spares] = &part->ops[i];
        else
            some[others++] = &part->ops[i];
    }
    rank_others(some, others);
    group_spares(part, some + others, spares);
    list_events(part);
    free(some);
}

void part_free(struct part *part)
{
    free(part->ops);
    free(part->sights);
    free(part->sums);
    free(part->events);
    free(part->spares);
    free(part->groups);
}
