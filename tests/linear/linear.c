/* SPDX-License-Identifier: Apache-2.0 */
/* linear.c - the search for an order; see linear.h. */
#include "tests/linear/linear.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/linear/model.h"
#include "tests/linear/part.h"

#define IDLE (PART_NONE - 1)
#define PLAIN_STEPS 200000 /* for a better explanation */
#define SHOWN_PLACED 12 /* operations that were placed last, in an explanation */

#define SHOWN_OPEN 12   /* operations that could have come next */

/* What a step changed, to take it back. */
struct undo {
    struct model_key before;
    uint32_t slot;
};

struct step {
    uint32_t op;
    uint32_t tried;     /* as next_candidate counts; IDLE: there is no other */
    uint64_t undo_from; /* in search.undos */
    uint64_t sum[2];    /* before it */
};

struct memo {
    uint64_t (*table)[2];
    uint64_t size; /* a power of two */
    uint64_t count;
};

struct search {
    struct part *part;
    const uint32_t *slots;
    struct model_key *state;
    uint64_t placed[2]; /* Zobrist: exclusive-or over the operations placed */
    uint64_t sum[2];    /* of the hashes of all keys in `state` */
    struct step *steps;
    uint32_t depth;
    bool ordered;  /* nothing is placed before what must be and has a smaller index */
    bool plain;    /* without looking ahead: what cannot be placed is then what people would say */
    uint32_t left; /* definite operations not yet placed */
    struct undo *undos;
    uint64_t undo_count;
    uint64_t undo_capacity;
    struct memo memo;
    /* The furthest that it came: for the explanation. */
    uint32_t best_depth;
    uint32_t best_stuck; /* the operation whose return could not be passed */
    struct model_key best_state;
    uint32_t best_shown;
    uint32_t best[SHOWN_PLACED];
};

static void *take(void *old, uint64_t count, size_t size)
{
    void *memory = realloc(old, (count ? count : 1) * size);

    if (!memory) {
        fprintf(stderr, "linear: out of memory\n");
        abort();
    }
    return memory;
}

/* ---- the memo ------------------------------------------------------------------------------------------ */

static void memo_put(struct memo *memo, const uint64_t hash[2])
{
    uint64_t at = hash[0] & (memo->size - 1);

    while (memo->table[at][0] || memo->table[at][1])
        at = (at + 1) & (memo->size - 1);
    memo->table[at][0] = hash[0];
    memo->table[at][1] = hash[1];
    memo->count++;
}

static void memo_grow(struct memo *memo)
{
    struct memo old = *memo;

    memo->size = old.size ? old.size * 4 : 1024;
    memo->count = 0;
    memo->table = take(NULL, memo->size, sizeof memo->table[0]);
    memset(memo->table, 0, memo->size * sizeof memo->table[0]);
    for (uint64_t i = 0; i < old.size; i++)
        if (old.table[i][0] || old.table[i][1])
            memo_put(memo, old.table[i]);
    free(old.table);
}

/* True when it was not there yet; it is now. */
static bool memo_add(struct memo *memo, const uint64_t hash[2])
{
    if (memo->count * 2 >= memo->size)
        memo_grow(memo);
    for (uint64_t at = hash[0] & (memo->size - 1);; at = (at + 1) & (memo->size - 1)) {
        if (!memo->table[at][0] && !memo->table[at][1])
            break;
        if (memo->table[at][0] == hash[0] && memo->table[at][1] == hash[1])
            return false;
    }
    memo_put(memo, hash);
    return true;
}

/* ---- the state ----------------------------------------------------------------------------------------- */

static void key_hash(uint32_t slot, const struct model_key *key, uint64_t hash[2])
{
    uint64_t value = part_mix(key->value, slot);
    uint64_t rest = part_mix(key->revision, (uint64_t)key->version << 1 | key->stopped);

    hash[0] = part_mix(value, rest);
    hash[1] = part_mix(rest, value);
}

static void set_key(struct search *search, uint32_t slot, const struct model_key *after)
{
    uint64_t old[2];
    uint64_t new[2];

    if (search->undo_count == search->undo_capacity) {
        search->undo_capacity = search->undo_capacity ? search->undo_capacity * 2 : 1024;
        search->undos = take(search->undos, search->undo_capacity, sizeof search->undos[0]);
    }
    key_hash(slot, &search->state[slot], old);
    search->undos[search->undo_count++] = (struct undo){search->state[slot], slot};
    search->state[slot] = *after;
    if (!search->part->versions && after->version > 1)
        search->state[slot].version = 1; /* nobody can tell, so states that differ in it are one */
    key_hash(slot, &search->state[slot], new);
    for (int i = 0; i < 2; i++)
        search->sum[i] += new[i] - old[i];
}

static void take_back(struct search *search, uint64_t undo_from, const uint64_t sum[2])
{
    while (search->undo_count > undo_from) {
        const struct undo *undo = &search->undos[--search->undo_count];

        search->state[undo->slot] = undo->before;
    }
    search->sum[0] = sum[0];
    search->sum[1] = sum[1];
}

/* ---- would the store have answered so? ----------------------------------------------------------------- */

static bool run_items(struct search *search, const struct part_op *each)
{
    const struct history_op *op = each->op;
    const uint64_t sum[2] = {search->sum[0], search->sum[1]};
    uint64_t undo_from = search->undo_count;
    uint8_t outcome = HISTORY_OK;

    for (uint32_t i = 0; i < op->item_count && outcome == HISTORY_OK; i++) {
        const struct history_item *item = &search->part->history->items[op->item_first + i];
        bool unseen = each->value == PART_UNSEEN && item->kind == HISTORY_SET;
        struct model_command command = {
            .value = unseen ? PART_UNSEEN : item->value, .index = each->index, .kind = item->kind};
        uint32_t slot = search->slots[item->key];
        struct model_key after;

        outcome = model_run(&search->state[slot], &command, &after);
        if (outcome != HISTORY_OK)
            break;
        if (op->outcome == HISTORY_OK) {
            if (item->version != HISTORY_NO_VERSION && item->version != after.version)
                return false;
            if (item->told && item->seen != after.value)
                return false;
        }
        set_key(search, slot, &after);
    }
    if (outcome != HISTORY_OK)
        take_back(search, undo_from, sum); /* all or none */
    return outcome == (op->outcome == HISTORY_UNKNOWN ? HISTORY_OK : op->outcome);
}

/* What was told besides the outcome. */
static bool answers_fit(const struct history_op *op, const struct model_key *after)
{
    if (op->version != HISTORY_NO_VERSION && op->version != after->version)
        return false;
    if (op->kind == HISTORY_GET || op->kind == HISTORY_ADD) {
        if (op->told && op->seen != after->value)
            return false;
        if (op->kind == HISTORY_GET && op->stopped != after->stopped)
            return false;
    }
    return !op->revision || !after->revision || op->revision == after->revision;
}

/* Would a command of one key be answered so now? *after is the key then. */
static bool try_one(const struct search *search, const struct part_op *each, struct model_key *after)
{
    const struct history_op *op = each->op;
    const struct model_key *before = &search->state[search->slots[op->key]];
    struct model_command command = {
        .value = each->value, .expect = op->expect, .index = each->index, .kind = op->kind};
    uint8_t outcome = model_run(before, &command, after);

    if (outcome == MODEL_EITHER) {
        outcome = op->outcome == HISTORY_CONDITION ? HISTORY_CONDITION : HISTORY_OK;
        if (outcome == HISTORY_CONDITION)
            *after = *before;
    }
    if (outcome != (op->outcome == HISTORY_UNKNOWN ? HISTORY_OK : op->outcome))
        return false; /* and an unknown write that would be refused has no effect: there is no use in it */
    return op->outcome != HISTORY_OK || answers_fit(op, after);
}

static bool fits(const struct search *search, const struct part_op *each)
{
    struct model_key after;

    return try_one(search, each, &after);
}

/*
 * A get that is not yet placed needs the present value of the key, and no other operation can write that again:
 * overwriting it now leads nowhere. (Where sums are made, a value can come about without being written.)
 */
static bool is_needed(const struct search *search, uint32_t key)
{
    const struct model_key *now = &search->state[search->slots[key]];
    const struct sight *sight;

    if (!now->version || search->part->sums[search->slots[key]] || search->plain)
        return false;
    sight = part_sight(search->part, key, now->value);
    return sight->used && sight->waiting && sight->writers == 1;
}

static bool overwrites_needed(const struct search *search, const struct history_op *op)
{
    const struct history_item *items = search->part->history->items;

    if (op->kind == HISTORY_STOP || (op->outcome != HISTORY_OK && op->outcome != HISTORY_UNKNOWN))
        return false;
    if (op->kind != HISTORY_BATCH)
        return op->kind != HISTORY_GET && is_needed(search, op->key);
    for (uint32_t i = 0; i < op->item_count; i++)
        if (is_needed(search, items[op->item_first + i].key))
            return true;
    return false;
}

/* Do it to the state if its answer fits; false: what was changed is to be taken back. */
static bool run(struct search *search, const struct part_op *each)
{
    struct model_key after;

    if (overwrites_needed(search, each->op))
        return false;
    if (each->op->kind == HISTORY_BATCH)
        return run_items(search, each);
    if (!try_one(search, each, &after))
        return false;
    if (each->op->kind != HISTORY_GET && each->op->outcome != HISTORY_CONDITION)
        set_key(search, search->slots[each->op->key], &after);
    return true;
}

/* ---- the list of events -------------------------------------------------------------------------------- */

static void lift(struct part *part, uint32_t event)
{
    part->events[part->events[event].previous].next = part->events[event].next;
    part->events[part->events[event].next].previous = part->events[event].previous;
}

static void drop_in(struct part *part, uint32_t event)
{
    part->events[part->events[event].previous].next = event;
    part->events[part->events[event].next].previous = event;
}

static void place(struct search *search, uint32_t number)
{
    struct part_op *op = &search->part->ops[number];

    search->placed[0] ^= op->zobrist[0];
    search->placed[1] ^= op->zobrist[1];
    if (op->saw != PART_NONE)
        search->part->sights[op->saw].waiting--;
    if (op->group != PART_NONE)
        search->part->groups[op->group].next++;
    else
        lift(search->part, op->call);
    if (op->back != PART_NONE) {
        lift(search->part, op->back);
        search->left--;
    }
}

static void unplace(struct search *search, uint32_t number)
{
    struct part_op *op = &search->part->ops[number];

    search->placed[0] ^= op->zobrist[0];
    search->placed[1] ^= op->zobrist[1];
    if (op->saw != PART_NONE)
        search->part->sights[op->saw].waiting++;
    if (op->back != PART_NONE) {
        drop_in(search->part, op->back);
        search->left++;
    }
    if (op->group != PART_NONE)
        search->part->groups[op->group].next--;
    else
        drop_in(search->part, op->call);
}

/* The first return of something that was not placed: nothing that was invoked after it can come before it. */
static uint32_t first_return(const struct part *part)
{
    uint32_t event = part->events[0].next;

    while (event && !part->events[event].back)
        event = part->events[event].next;
    return event;
}

/*
 * How long before `limit` the youngest spare of a group was invoked that may be used by then; UINT64_MAX: none may.
 * What was lost mostly took effect at once, so groups with a young one are tried first.
 */
static uint64_t group_age(const struct part *part, const struct part_group *group, uint64_t limit)
{
    uint32_t low = group->next;
    uint32_t high = group->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (part->ops[part->spares[group->first + middle]].op->invoked <= limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low == group->next ? UINT64_MAX : limit - part->ops[part->spares[group->first + low - 1]].op->invoked;
}

/* The group that comes after `tried` (PART_NONE: the first) in the order of age. */
static uint32_t next_group(const struct part *part, uint64_t limit, uint32_t tried)
{
    uint64_t tried_age = tried == PART_NONE ? 0 : group_age(part, &part->groups[tried], limit);
    uint64_t best_age = UINT64_MAX;
    uint32_t best = PART_NONE;

    for (uint32_t i = 0; i < part->group_count; i++) {
        uint64_t age = group_age(part, &part->groups[i], limit);

        if (age >= best_age || (tried != PART_NONE && (age < tried_age || (age == tried_age && i <= tried))))
            continue;
        best_age = age;
        best = i;
    }
    return best;
}

/* The rank of the first that must be placed and has an index, among those that may come next. */
static uint32_t last_in_order(const struct part *part)
{
    uint32_t first = PART_NONE;

    for (uint32_t event = part->events[0].next; event && !part->events[event].back; event = part->events[event].next) {
        const struct part_op *op = &part->ops[part->events[event].op];

        if (op->index && op->back != PART_NONE && op->rank < first)
            first = op->rank;
    }
    return first;
}

/*
 * The candidate that comes after `tried` (0: the first): a rank, or op_count + 1 + group. PART_NONE: no more. *number
 * is its operation.
 */
static uint32_t next_candidate(const struct search *search, uint32_t tried, uint32_t *number)
{
    const struct part *part = search->part;
    uint32_t best = PART_NONE;
    uint32_t event = part->events[0].next;
    uint32_t last = search->ordered ? last_in_order(part) : PART_NONE;
    uint32_t group;

    for (; event && !part->events[event].back; event = part->events[event].next) {
        const struct part_op *op = &part->ops[part->events[event].op];

        if (op->rank > tried && op->rank < best && (op->rank <= last || !op->index)) {
            best = op->rank;
            *number = part->events[event].op;
        }
    }
    if (best != PART_NONE || !event)
        return best;
    group = next_group(part, part->ops[part->events[event].op].op->returned,
                       tried > part->op_count ? tried - part->op_count - 1 : PART_NONE);
    if (group == PART_NONE)
        return PART_NONE;
    *number = part->spares[part->groups[group].first + part->groups[group].next];
    return part->op_count + 1 + group;
}

/* An answer that fits now and changes nothing: it does no harm to place it at once, and there is no need to go back. */
static bool next_idle(const struct search *search, uint32_t *number)
{
    const struct part *part = search->part;

    for (uint32_t event = part->events[0].next; event && !part->events[event].back; event = part->events[event].next) {
        const struct part_op *each = &part->ops[part->events[event].op];
        const struct history_op *op = each->op;

        if (op->outcome == HISTORY_UNKNOWN || op->kind == HISTORY_BATCH ||
            (op->outcome == HISTORY_OK && op->kind != HISTORY_GET) || !fits(search, each))
            continue;
        *number = part->events[event].op;
        return true;
    }
    return false;
}

/* ---- the search ---------------------------------------------------------------------------------------- */

static void remember_best(struct search *search)
{
    uint32_t event = first_return(search->part);

    if (!event || (search->best_stuck != PART_NONE && search->depth <= search->best_depth))
        return;
    search->best_depth = search->depth;
    search->best_stuck = search->part->events[event].op;
    search->best_shown = search->depth < SHOWN_PLACED ? search->depth : SHOWN_PLACED;
    for (uint32_t i = 0; i < search->best_shown; i++)
        search->best[i] = search->steps[search->depth - search->best_shown + i].op;
    if (search->part->ops[search->best_stuck].op->kind != HISTORY_BATCH)
        search->best_state = search->state[search->slots[search->part->ops[search->best_stuck].op->key]];
}

/* Place the next candidate after `tried` that fits and leads to something new; false: there is none. */
static bool forward(struct search *search, uint32_t tried, uint64_t *steps)
{
    uint64_t sum[2] = {search->sum[0], search->sum[1]};
    uint64_t undo_from = search->undo_count;
    uint32_t number = 0;

    if (tried == 0 && next_idle(search, &number)) {
        ++*steps;
        search->steps[search->depth++] = (struct step){number, IDLE, undo_from, {sum[0], sum[1]}};
        place(search, number);
        return true;
    }
    while ((tried = next_candidate(search, tried, &number)) != PART_NONE) {
        const struct part_op *op = &search->part->ops[number];

        ++*steps;
        if (run(search, op)) {
            const uint64_t hash[2] = {part_mix(search->placed[0] ^ op->zobrist[0], search->sum[0]),
                                      part_mix(search->placed[1] ^ op->zobrist[1], search->sum[1])};

            if (memo_add(&search->memo, hash)) {
                search->steps[search->depth++] = (struct step){number, tried, undo_from, {sum[0], sum[1]}};
                place(search, number);
                return true;
            }
        }
        take_back(search, undo_from, sum);
    }
    return false;
}

static enum linear_verdict search_part(struct search *search, const struct linear_limits *limits, uint64_t *steps)
{
    uint32_t tried = 0;

    while (search->left) {
        struct step *last;

        if (*steps > limits->steps || search->memo.count > limits->states)
            return LINEAR_UNDECIDED;
        if (forward(search, tried, steps)) {
            tried = 0;
            continue;
        }
        remember_best(search);
        if (!search->depth)
            return LINEAR_VIOLATED;
        do {
            last = &search->steps[--search->depth];
            unplace(search, last->op);
            take_back(search, last->undo_from, last->sum);
            tried = last->tried;
        } while (tried == IDLE && search->depth);
        if (tried == IDLE)
            return LINEAR_VIOLATED;
    }
    return LINEAR_OK;
}

static uint64_t end_of(const struct history_op *op)
{
    return op->outcome == HISTORY_UNKNOWN ? HISTORY_NEVER : op->returned;
}

/* ---- the order of the log ------------------------------------------------------------------------------ */

/* By index, the reads of an index behind its write, in the order of their calls. */
static int by_told(const void *left, const void *right)
{
    const struct history_op *a = (*(const struct part_op *const *)left)->op;
    const struct history_op *b = (*(const struct part_op *const *)right)->op;

    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    if ((a->kind == HISTORY_GET) != (b->kind == HISTORY_GET))
        return a->kind == HISTORY_GET ? 1 : -1;
    return a->invoked < b->invoked ? -1 : a->invoked > b->invoked;
}

/* Does the order in which the operations have indexes explain every answer? An unknown write has an index where it was
 * found in the log; one that has none, or that would have been refused there, is taken for not done. */
static bool told_order(struct search *search, uint64_t *steps)
{
    struct part *part = search->part;
    const struct part_op **order = take(NULL, part->op_count, sizeof *order);
    uint64_t latest = 0; /* call of all that came before */
    bool good = true;

    for (uint32_t i = 0; i < part->op_count; i++)
        order[i] = &part->ops[i];
    qsort(order, part->op_count, sizeof *order, by_told);
    for (uint32_t i = 0; i < part->op_count && good; i++) {
        struct part_op each = *order[i];
        uint64_t sum[2] = {search->sum[0], search->sum[1]};
        uint64_t undo_from = search->undo_count;

        ++*steps;
        each.value = each.op->kind == HISTORY_BATCH ? 0 : each.op->value;
        each.index = each.op->index;
        if (each.index && end_of(each.op) >= latest && run(search, &each)) {
            latest = each.op->invoked > latest ? each.op->invoked : latest;
            continue;
        }
        take_back(search, undo_from, sum);
        good = each.op->outcome == HISTORY_UNKNOWN;
    }
    free(order);
    return good;
}

/* ---- explaining ---------------------------------------------------------------------------------------- */

/* The write whose value a get saw, when there is just one such; else NULL. */
static const struct history_op *writer_of(const struct history *history, const struct history_op *op)
{
    const struct history_op *writer = NULL;

    for (uint64_t i = 0; i < history->count; i++) {
        const struct history_op *other = &history->ops[i];

        if (other->key == op->key && other->kind != HISTORY_GET && other->kind != HISTORY_DELETE &&
            other->kind != HISTORY_STOP && other->kind != HISTORY_BATCH && other->value == op->seen) {
            if (writer)
                return NULL;
            writer = other;
        }
    }
    return writer;
}

static bool has_batches_or_sums(const struct history *history, uint32_t key)
{
    for (uint64_t i = 0; i < history->count; i++)
        if (history->ops[i].kind == HISTORY_BATCH ||
            (history->ops[i].kind == HISTORY_ADD && history->ops[i].key == key))
            return true;
    return false;
}

static const char *reason(const struct history *history, const struct history_op *op, const struct history_op *writer)
{
    if (op->kind != HISTORY_GET || op->outcome != HISTORY_OK || has_batches_or_sums(history, op->key))
        return "no order of the operations gives this answer";
    if (!writer)
        return "no single write wrote what it saw";
    if (writer->outcome == HISTORY_FAILED)
        return "it saw what a write wrote that was told to have failed";
    if (writer->outcome != HISTORY_OK && writer->outcome != HISTORY_UNKNOWN)
        return "it saw what a write wrote that was refused";
    if (writer->invoked > op->returned)
        return "it saw what was written only afterwards";
    return "no order has what it saw at that place: it is stale, was lost, or came back";
}

static void explain(const struct search *search, FILE *out, struct linear_result *result)
{
    const struct part *part = search->part;
    const struct history_op *stuck = part->ops[search->best_stuck].op;
    const struct history_op *writer = writer_of(part->history, stuck);
    uint32_t shown = 0;

    result->op = (uint64_t)(stuck - part->history->ops);
    (void)snprintf(result->why, sizeof result->why, "key %s: %s", part->history->keys[part->first_key],
                   reason(part->history, stuck, writer));
    if (!out)
        return;
    fprintf(out, "not linearizable: %s\nthis cannot be placed:\n  ", result->why);
    history_print(part->history, stuck, out);
    if (writer && stuck->kind == HISTORY_GET) {
        fprintf(out, "what it saw was written by\n  ");
        history_print(part->history, writer, out);
    }
    if (stuck->kind != HISTORY_BATCH)
        fprintf(out, "the furthest order reached had the key %s, value %" PRIu64 ", version %" PRIu32
                     ", revision %" PRIu64 "%s; it ended with\n",
                search->best_state.version ? "present" : "absent", search->best_state.value,
                search->best_state.version, search->best_state.revision,
                search->best_state.stopped ? ", stopped" : "");
    for (uint32_t i = 0; i < search->best_shown; i++) {
        fprintf(out, "  ");
        history_print(part->history, part->ops[search->best[i]].op, out);
    }
    fprintf(out, "others that overlap with it:\n");
    for (uint32_t i = 0; i < part->op_count && shown < SHOWN_OPEN; i++) {
        const struct history_op *op = part->ops[i].op;

        if (op == stuck || op->invoked > stuck->returned || end_of(op) < stuck->invoked)
            continue;
        fprintf(out, "  ");
        history_print(part->history, op, out);
        shown++;
    }
}

/* ---- all parts ----------------------------------------------------------------------------------------- */

enum manner { TOLD, ORDERED, FREE, PLAIN };

static enum linear_verdict run_part(const struct parts *parts, uint32_t number, const struct linear_limits *limits,
                                    enum manner manner, FILE *out, struct linear_result *result)
{
    struct part part;
    struct search search = {.part = &part,
                            .slots = parts->slots,
                            .best_stuck = PART_NONE,
                            .ordered = manner == ORDERED,
                            .plain = manner == PLAIN || manner == TOLD};
    enum linear_verdict verdict;
    uint64_t steps = 0;

    part_init(&part, parts, number);
    search.left = part.definite;
    search.state = take(NULL, part.key_count, sizeof search.state[0]);
    memset(search.state, 0, part.key_count * sizeof search.state[0]);
    search.steps = take(NULL, part.op_count, sizeof search.steps[0]);
    if (manner == TOLD)
        verdict = told_order(&search, &steps) ? LINEAR_OK : LINEAR_UNDECIDED;
    else
        verdict = search_part(&search, limits, &steps);
    result->steps += steps;
    if (verdict == LINEAR_VIOLATED && manner != ORDERED)
        explain(&search, out, result);
    else if (verdict == LINEAR_UNDECIDED && manner != TOLD)
        (void)snprintf(result->why, sizeof result->why, "key %s: not decided within %" PRIu64 " steps",
                       parts->history->keys[part.first_key], limits->steps);
    free(search.state);
    free(search.steps);
    free(search.undos);
    free(search.memo.table);
    part_free(&part);
    return verdict;
}

static enum linear_verdict check_part(const struct parts *parts, uint32_t number, const struct linear_limits *limits,
                                      FILE *out, struct linear_result *result)
{
    const struct linear_limits short_ones = {PLAIN_STEPS, PLAIN_STEPS};
    enum linear_verdict verdict;

    /* An order that keeps to the indexes proves as much as any other, and there are few of them to look at. */
    if (run_part(parts, number, limits, TOLD, NULL, result) == LINEAR_OK ||
        run_part(parts, number, limits, ORDERED, NULL, result) == LINEAR_OK)
        return LINEAR_OK;
    verdict = run_part(parts, number, limits, FREE, NULL, result);
    if (verdict == LINEAR_OK)
        result->why[0] = 0;
    /* Once more to say it better; where that takes too long, as it was found. */
    if (verdict == LINEAR_VIOLATED && run_part(parts, number, &short_ones, PLAIN, out, result) != LINEAR_VIOLATED)
        (void)run_part(parts, number, limits, FREE, out, result);
    return verdict;
}

enum linear_verdict linear_check(const struct history *history, const struct linear_limits *limits, FILE *out,
                                 struct linear_result *result)
{
    struct linear_limits bounds = {limits && limits->steps ? limits->steps : LINEAR_STEPS,
                                   limits && limits->states ? limits->states : LINEAR_STATES};
    enum linear_verdict worst = LINEAR_OK;
    struct parts parts;

    memset(result, 0, sizeof *result);
    parts_init(&parts, history);
    for (uint32_t i = 0; i < parts.count && worst != LINEAR_VIOLATED; i++) {
        enum linear_verdict verdict = check_part(&parts, i, &bounds, out, result);

        result->parts++;
        if (verdict != LINEAR_OK)
            worst = verdict;
    }
    parts_free(&parts);
    return worst;
}
