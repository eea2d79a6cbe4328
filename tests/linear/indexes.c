/* SPDX-License-Identifier: Apache-2.0 */
/* indexes.c - the indexes that answers told, held against what clients saw and when; see linear.h. */
#include "tests/linear/linear.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct told {
    uint64_t a; /* a time, an index, or a key */
    uint64_t b;
    uint32_t op;
    uint32_t order; /* at equal a and b: calls before returns, writes before gets */
};

struct scan {
    const struct history *history;
    struct told *told;
    uint64_t count;
    FILE *out;
    struct linear_result *result;
};

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_all(const void *left, const void *right)
{
    const struct told *a = left;
    const struct told *b = right;
    int order = compare(a->a, b->a);

    order = order ? order : compare(a->b, b->b);
    order = order ? order : compare(a->order, b->order);
    return order ? order : compare(a->op, b->op);
}

static void add(struct scan *scan, uint64_t a, uint64_t b, uint64_t op, uint32_t order)
{
    scan->told[scan->count++] = (struct told){a, b, (uint32_t)op, order};
}

static void sort(struct scan *scan)
{
    qsort(scan->told, scan->count, sizeof scan->told[0], by_all);
}

static enum linear_verdict violated(struct scan *scan, uint32_t op, uint32_t other, const char *why)
{
    scan->result->op = op;
    (void)snprintf(scan->result->why, sizeof scan->result->why, "%s", why);
    if (scan->out) {
        fprintf(scan->out, "indexes: %s\n  ", why);
        history_print(scan->history, &scan->history->ops[other], scan->out);
        fprintf(scan->out, "  ");
        history_print(scan->history, &scan->history->ops[op], scan->out);
    }
    return LINEAR_VIOLATED;
}

static bool has_index(const struct history_op *op)
{
    return op->index && op->outcome != HISTORY_FAILED && op->outcome != HISTORY_UNKNOWN;
}

static bool is_read(const struct history_op *op)
{
    return op->kind == HISTORY_GET || op->kind == HISTORY_PEEK;
}

/* Every write is an entry of its own. */
static enum linear_verdict check_unique(struct scan *scan)
{
    scan->count = 0;
    for (uint64_t i = 0; i < scan->history->count; i++)
        if (has_index(&scan->history->ops[i]) && !is_read(&scan->history->ops[i]))
            add(scan, scan->history->ops[i].index, 0, i, 0);
    sort(scan);
    for (uint64_t i = 1; i < scan->count; i++)
        if (scan->told[i].a == scan->told[i - 1].a)
            return violated(scan, scan->told[i].op, scan->told[i - 1].op, "two writes were told the same index");
    return LINEAR_OK;
}

/* What was invoked after something had returned comes after it in the log. */
static enum linear_verdict check_time(struct scan *scan)
{
    uint64_t *floors = calloc(scan->history->count + 1, sizeof *floors);
    uint64_t highest = 0;
    uint32_t whose = 0;
    uint32_t *whoses = calloc(scan->history->count + 1, sizeof *whoses);
    enum linear_verdict verdict = LINEAR_OK;

    if (!floors || !whoses)
        abort();
    scan->count = 0;
    for (uint64_t i = 0; i < scan->history->count; i++) {
        if (!has_index(&scan->history->ops[i]) || scan->history->ops[i].kind == HISTORY_PEEK)
            continue;
        add(scan, scan->history->ops[i].invoked, 0, i, 0);
        add(scan, scan->history->ops[i].returned, 1, i, 1);
    }
    sort(scan);
    for (uint64_t i = 0; i < scan->count && verdict == LINEAR_OK; i++) {
        uint32_t number = scan->told[i].op;
        const struct history_op *op = &scan->history->ops[number];

        if (!scan->told[i].order) {
            floors[number] = highest;
            whoses[number] = whose;
        } else if (op->index < floors[number] || (op->kind != HISTORY_GET && op->index == floors[number])) {
            verdict = violated(scan, number, whoses[number],
                               "the second was invoked after the first had returned, but its index is not above");
        } else if (op->index > highest) {
            highest = op->index;
            whose = number;
        }
    }
    free(floors);
    free(whoses);
    return verdict;
}

/* Keys that something may have deleted without anybody's having been told so at an index: batches, and what has no
 * answer. That such a key was not there says nothing here. */
static uint8_t *murky_keys(const struct history *history)
{
    uint8_t *murky = calloc(history->key_count + UINT64_C(1), 1);

    if (!murky)
        abort();
    for (uint64_t i = 0; i < history->count; i++) {
        const struct history_op *op = &history->ops[i];

        for (uint32_t k = 0; k < op->item_count; k++)
            murky[history->items[op->item_first + k].key] = 1;
        if (op->kind == HISTORY_DELETE && !has_index(op) && op->outcome != HISTORY_FAILED)
            murky[op->key] = 1;
    }
    return murky;
}

static bool is_listed(const struct history_op *op, const uint8_t *murky)
{
    if (!has_index(op) || op->kind == HISTORY_BATCH || op->kind == HISTORY_STOP)
        return false; /* a stop may have changed nothing; batches are left to the search */
    return op->outcome == HISTORY_OK || (op->outcome == HISTORY_ABSENT && is_read(op) && !murky[op->key]);
}

static enum linear_verdict check_absent(struct scan *scan, uint32_t number, uint64_t last, uint32_t whose)
{
    if (last && scan->history->ops[whose].kind != HISTORY_DELETE)
        return violated(scan, number, whose, "the get was served above the change's index, but saw no such key");
    return LINEAR_OK;
}

/* The log is one order: a get at index R sees the last change of its key at or below R. */
static enum linear_verdict check_revisions(struct scan *scan)
{
    uint8_t *murky = murky_keys(scan->history);
    uint64_t key = UINT64_MAX;
    uint64_t last = 0; /* index of the last acknowledged change of the key */
    uint32_t whose = 0;

    scan->count = 0;
    for (uint64_t i = 0; i < scan->history->count; i++) {
        const struct history_op *op = &scan->history->ops[i];

        if (!is_listed(op, murky))
            continue;
        if (op->revision > op->index) {
            free(murky);
            return violated(scan, (uint32_t)i, (uint32_t)i, "a get saw a change above its own index");
        }
        add(scan, op->key, op->index, i, is_read(op));
    }
    free(murky);
    sort(scan);
    for (uint64_t i = 0; i < scan->count; i++) {
        const struct history_op *op = &scan->history->ops[scan->told[i].op];

        if (scan->told[i].a != key)
            last = 0;
        key = scan->told[i].a;
        if (!is_read(op)) {
            last = op->index;
            whose = scan->told[i].op;
        } else if (op->outcome == HISTORY_ABSENT) {
            if (check_absent(scan, scan->told[i].op, last, whose) != LINEAR_OK)
                return LINEAR_VIOLATED;
        } else if (op->revision && op->revision < last) {
            return violated(scan, scan->told[i].op, whose,
                            "the get was served above the change's index, but saw an older one");
        } else if (op->revision && op->revision == last &&
                   (scan->history->ops[whose].kind == HISTORY_ADD
                        ? scan->history->ops[whose].told && scan->history->ops[whose].seen != op->seen
                        : scan->history->ops[whose].kind == HISTORY_DELETE ||
                              scan->history->ops[whose].value != op->seen)) {
            return violated(scan, scan->told[i].op, whose, "the get saw another value than this change made");
        }
    }
    return LINEAR_OK;
}

enum linear_verdict linear_check_indexes(const struct history *history, FILE *out, struct linear_result *result)
{
    struct scan scan = {.history = history, .out = out, .result = result};
    enum linear_verdict verdict;

    memset(result, 0, sizeof *result);
    scan.told = calloc(history->count * 2 + 1, sizeof scan.told[0]);
    if (!scan.told)
        abort();
    verdict = check_unique(&scan);
    if (verdict == LINEAR_OK)
        verdict = check_time(&scan);
    if (verdict == LINEAR_OK)
        verdict = check_revisions(&scan);
    free(scan.told);
    return verdict;
}
