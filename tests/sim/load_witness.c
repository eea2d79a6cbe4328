/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_witness.c - where the log holds what clients never heard of again. A search for an order of a history has to
 * guess which of the writes without an answer were done, and when; of several batches of sums alone nothing that
 * anybody saw tells, and the search may come to no end. The oracle sees the log: so each lost write is told the index
 * of an entry that asks for the same. That decides nothing: an order has to explain every answer all the same, and
 * where that of the log does not, all others are looked at (linear.h). It only says where to look first.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <gavel/statemachine.h>

#include "core/codec/value.h"
#include "core/log/batch.h"
#include "load_internal.h"
#include "oracle.h"

/* An entry; sorted by the first two, in this order. */
struct witness {
    uint64_t print; /* of what it asks for */
    uint64_t index;
    uint64_t batch;
    bool taken; /* by the operation that it is, or may be; or it did nothing */
};

/* An entry that changed nothing. */
struct refusal {
    uint64_t index;
    uint64_t first; /* where it had been done; 0: nowhere */
};

struct load_witnesses {
    struct witness *all;
    uint64_t count;
    uint64_t capacity;
    struct refusal *refused;
    uint64_t refused_count;
    uint64_t refused_capacity;
};

struct load_witnesses *load_witnesses_free(struct load_witnesses *witnesses)
{
    if (!witnesses)
        return NULL;
    free(witnesses->all);
    free(witnesses->refused);
    free(witnesses);
    return NULL;
}

static struct load_witnesses *witnesses_of(struct sim_load *load)
{
    if (!load->witnesses)
        load->witnesses = calloc(1, sizeof *load->witnesses);
    assert(load->witnesses);
    return load->witnesses;
}

/* Room for one more. */
static void *grow(void *array, uint64_t count, uint64_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity ? *capacity * 2 : 1024;
    array = realloc(array, *capacity * size);
    assert(array);
    return array;
}

void sim_load_refused(struct sim_load *load, uint64_t index, uint64_t first)
{
    struct load_witnesses *witnesses = witnesses_of(load);

    witnesses->refused = grow(witnesses->refused, witnesses->refused_count, &witnesses->refused_capacity,
                              sizeof *witnesses->refused);
    witnesses->refused[witnesses->refused_count++] = (struct refusal){index, first};
}

/* ---- what an entry or an operation asks for ------------------------------------------------------------ */

static uint64_t print_one(uint64_t print, uint64_t kind, const char *key, size_t size, uint64_t number)
{
    kind = kind == HISTORY_CASREV ? HISTORY_CAS : kind; /* by its value, which nobody else writes */
    print = gavel_mix(print, &kind, sizeof kind);
    print = gavel_mix(print, key, size);
    return gavel_mix(print, &number, sizeof number);
}

static uint64_t print_of_op(const struct history *history, const struct history_op *op)
{
    uint64_t print = op->kind == HISTORY_BATCH;

    if (op->kind != HISTORY_BATCH)
        return print_one(print, op->kind, history->keys[op->key], strlen(history->keys[op->key]),
                         op->kind == HISTORY_DELETE || op->kind == HISTORY_STOP ? 0 : op->value);
    for (uint32_t i = 0; i < op->item_count; i++) {
        const struct history_item *item = &history->items[op->item_first + i];

        print = print_one(print, item->kind, history->keys[item->key], strlen(history->keys[item->key]),
                          item->kind == HISTORY_DELETE ? 0 : item->value);
    }
    return print;
}

/* The number of a value of ours, whatever it is in. */
static uint64_t number_in(struct gavel_slice value)
{
    struct gavel_slice bytes;
    uint64_t number = 0;
    int64_t sum;

    if (codec_get_int(value, &sum) == GAVEL_OK)
        return (uint64_t)sum;
    if (codec_get_uint(codec_map_find(value, "v"), &number) == GAVEL_OK)
        return number;
    if (codec_get_bytes(value, &bytes) != GAVEL_OK || bytes.size < 8)
        return 0;
    for (int i = 7; i >= 0; i--)
        number = number << 8 | ((const unsigned char *)bytes.data)[i];
    return number;
}

/* Of the store's table: the field that has the number, by gavel-workflow's pages. */
static const struct {
    const char *command;
    uint32_t kind;
    uint32_t field; /* 0: none */
} commands[] = {
    {"set", HISTORY_SET, 2},          {"delete", HISTORY_DELETE, 0},         {"incr", HISTORY_ADD, 3},
    {"cas", HISTORY_CAS, 4},          {"batch", HISTORY_BATCH, 0},           {"start_workflow", HISTORY_START, 2},
    {"stop_workflow", HISTORY_STOP, 0}, {"update_state", HISTORY_UPDATE, 2},
};

static uint64_t print_of_item(uint64_t print, uint32_t kind, struct gavel_slice map, uint64_t key, uint64_t field)
{
    struct gavel_slice name;

    if (codec_get_bytes(codec_map_find_number(map, key), &name) != GAVEL_OK)
        return 0;
    return print_one(print, kind, name.data, name.size, field ? number_in(codec_map_find_number(map, field)) : 0);
}

static uint64_t print_of_batch(struct gavel_slice items)
{
    static const uint32_t kinds[] = {HISTORY_SET, HISTORY_DELETE, HISTORY_KIND_COUNT, HISTORY_ADD};
    static const uint64_t fields[] = {3, 0, 0, 6};
    struct gavel_slice item;
    uint64_t print = 1;
    uint64_t op;

    for (uint64_t i = 0; (item = codec_array_at(items, i)).data; i++) {
        if (codec_get_uint(codec_map_find_number(item, 1), &op) != GAVEL_OK || op > 3)
            return 0;
        print = print_of_item(print, kinds[op], item, 2, fields[op]);
    }
    return print;
}

void sim_load_logged(struct sim_load *load, uint64_t batch, const struct log_entry *entry, const char *command,
                     struct gavel_slice arguments)
{
    struct load_witnesses *witnesses = witnesses_of(load);
    uint64_t print = 0;

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].command, command) == 0)
            print = commands[i].kind == HISTORY_BATCH
                        ? print_of_batch(codec_map_find_number(arguments, 1))
                        : print_of_item(0, commands[i].kind, arguments, 1, commands[i].field);
    if (!print)
        return;
    witnesses->all = grow(witnesses->all, witnesses->count, &witnesses->capacity, sizeof *witnesses->all);
    witnesses->all[witnesses->count++] = (struct witness){.print = print,
                                                           .index = entry->index,
                                                           .batch = batch};
}

/* ---- the end ------------------------------------------------------------------------------------------- */

static int by_print(const void *left, const void *right)
{
    const struct witness *a = left;
    const struct witness *b = right;

    if (a->print != b->print)
        return a->print < b->print ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int by_refusal(const void *left, const void *right)
{
    const struct refusal *a = left;
    const struct refusal *b = right;

    return a->index < b->index ? -1 : a->index > b->index;
}

static const struct refusal *refusal_of(const struct load_witnesses *witnesses, uint64_t index)
{
    const struct refusal wanted = {.index = index};

    return witnesses->refused_count ? bsearch(&wanted, witnesses->refused, witnesses->refused_count,
                                              sizeof *witnesses->refused, by_refusal)
                                    : NULL;
}

/* What did not commit, was refused, or came again within a session, changed nothing. */
static void leave_out(const struct sim_load *load)
{
    struct load_witnesses *witnesses = load->witnesses;

    if (witnesses->refused_count)
        qsort(witnesses->refused, witnesses->refused_count, sizeof *witnesses->refused, by_refusal);
    for (uint64_t i = 0; i < witnesses->count; i++) {
        struct witness *witness = &witnesses->all[i];

        witness->taken = !sim_oracle_has_committed(load->sim->oracle, witness->batch) ||
                         refusal_of(witnesses, witness->index);
    }
}

/* What was answered with the index of an entry that had been done before is told that of the first. */
static void index_first(struct sim_load *load)
{
    for (uint64_t i = 0; i < load->history.count; i++) {
        struct history_op *op = &load->history.ops[i];
        const struct refusal *again = NULL;

        if (op->index && op->kind != HISTORY_GET && op->kind != HISTORY_PEEK)
            again = refusal_of(load->witnesses, op->index);
        if (again && again->first)
            op->index = again->first;
    }
}

/* The first that is not below (print, index). */
static uint64_t place(const struct load_witnesses *witnesses, uint64_t print, uint64_t index)
{
    const struct witness wanted = {.print = print, .index = index};
    uint64_t low = 0, high = witnesses->count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (by_print(&witnesses->all[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_there(const struct witness *witness, uint64_t print, uint64_t index)
{
    return witness->print == print && witness->index == index;
}

static bool is_lost(const struct history_op *op)
{
    return op->outcome == HISTORY_UNKNOWN && !op->index && op->kind != HISTORY_GET && op->kind != HISTORY_PEEK;
}

void load_witnesses_ask(struct sim_load *load)
{
    struct load_witnesses *witnesses = load->witnesses;

    if (!witnesses)
        return;
    leave_out(load);
    index_first(load);
    qsort(witnesses->all, witnesses->count, sizeof *witnesses->all, by_print);
    for (uint64_t i = 0; i < load->history.count; i++) {
        const struct history_op *op = &load->history.ops[i];
        uint64_t print = op->index ? print_of_op(&load->history, op) : 0;
        uint64_t at = print ? place(witnesses, print, op->index) : witnesses->count;

        /* Leaders of several terms may have put the same there, if only one that stayed. */
        while (at < witnesses->count && is_there(&witnesses->all[at], print, op->index))
            witnesses->all[at++].taken = true;
    }
    /* Of those that are alike the one that was asked first: any order in which another one is there is also one with
     * the two exchanged. */
    for (uint64_t i = 0; i < load->history.count; i++) {
        struct history_op *op = &load->history.ops[i];
        uint64_t print = is_lost(op) ? print_of_op(&load->history, op) : 0;
        uint64_t at = print ? place(witnesses, print, 0) : witnesses->count;

        while (at < witnesses->count && witnesses->all[at].print == print && witnesses->all[at].taken)
            at++;
        if (at == witnesses->count || witnesses->all[at].print != print)
            continue;
        witnesses->all[at].taken = true;
        op->index = witnesses->all[at].index;
    }
}
