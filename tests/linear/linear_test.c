/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear_test.c - the checker must find what is wrong and nothing else: planted violations, tricky histories that are
 * right, and small random ones compared with a search through every order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/linear/linear.h"

/* ---- histories as text --------------------------------------------------------------------------------- */

struct example {
    const char *name;
    enum linear_verdict verdict;
    const char *text;
};

#define V LINEAR_VIOLATED
#define G LINEAR_OK

static const struct example examples[] = {
    {"nothing", G, ""},
    {"a stale read", V, "0 1 2 set k 1 -> ok\n0 3 4 set k 2 -> ok\n1 5 6 get k -> ok 1\n"},
    {"a read that overlaps the write sees either", G,
     "0 1 2 set k 1 -> ok\n0 3 9 set k 2 -> ok\n1 4 5 get k -> ok 1\n2 6 7 get k -> ok 2\n"},
    {"a read that goes back while the write is open", V,
     "0 1 2 set k 1 -> ok\n0 3 9 set k 2 -> ok\n1 4 5 get k -> ok 2\n2 6 7 get k -> ok 1\n"},
    {"a lost write", V, "0 1 2 set k 1 -> ok\n1 3 4 get k -> absent\n"},
    {"a write that comes too early", V, "1 1 2 get k -> ok 1\n0 3 4 set k 1 -> ok\n"},
    {"a value that nobody wrote", V, "0 1 2 set k 1 -> ok\n1 3 4 get k -> ok 7\n"},
    {"a failed write that can be seen", V, "0 1 2 set k 1 -> failed\n1 3 4 get k -> ok 1\n"},
    {"a failed write that cannot", G, "0 1 2 set k 1 -> failed\n1 3 4 get k -> absent\n"},
    {"a write applied twice, seen in the value", V,
     "0 1 2 set k 1 -> ok\n0 3 4 set k 2 -> ok\n1 5 6 get k -> ok 2\n1 7 8 get k -> ok 1\n"},
    {"a write applied twice, seen in the version", V, "0 1 2 set k 1 -> ok version=1\n1 3 4 get k -> ok 1 version=2\n"},
    {"a sum added twice", V, "0 1 2 add k 1 -> ok 1\n0 3 4 add k 1 -> ok 3\n"},
    {"an unknown sum added twice", V, "0 1 - add k 1 -> unknown\n1 3 4 get k -> ok 2\n"},
    {"an unknown sum added once, late", G, "0 1 - add k 1 -> unknown\n1 3 4 get k -> absent\n1 5 6 get k -> ok 1\n"},
    {"a failed sum that was added", V, "0 1 2 add k 5 -> failed\n0 3 4 add k 1 -> ok 6\n"},
    {"negative sums", G, "0 1 2 add k -5 -> ok -5\n0 3 4 add k 6 -> ok 1\n"},
    {"an unknown write that is never done", G, "0 1 - set k 1 -> unknown\n1 3 4 get k -> absent\n"},
    {"an unknown write seen, then not", V,
     "0 1 - set k 1 -> unknown\n1 3 4 get k -> ok 1\n1 5 6 get k -> absent\n"},
    {"an unknown write that is done very late", G,
     "0 1 9 set k 1 -> unknown\n1 10 20 set k 2 -> ok\n1 30 40 get k -> ok 2\n1 50 60 get k -> ok 1\n"},
    {"an unknown write seen, replaced, and back again", V,
     "0 1 - set k 1 -> unknown\n1 2 3 get k -> ok 1\n1 4 5 set k 2 -> ok\n1 6 7 get k -> ok 1\n"},
    {"an index of the log does not excuse a read before the call", V,
     "1 1 2 get k -> ok 1 index=9\n0 3 - set k 1 -> unknown index=8\n"},
    {"nor a value that comes back", V,
     "0 1 - set k 1 -> unknown index=3\n1 2 3 get k -> ok 1 index=3\n1 4 5 set k 2 -> ok index=4\n"
     "1 6 7 get k -> ok 1 index=5\n"},
    {"nor a stale read", V, "0 1 2 set k 1 -> ok index=1\n0 3 4 set k 2 -> ok index=2\n1 5 6 get k -> ok 1 index=1\n"},
    {"nor what was not done, though its index says so", G,
     "0 1 - set k 1 -> unknown index=2\n1 3 4 get k -> absent index=3\n"},
    {"an order of the log", G,
     "0 1 9 set k 1 -> ok index=4\n1 2 - add n 2 -> unknown index=5\n1 3 8 get k -> absent index=3\n"
     "2 4 7 get n -> ok 2 index=6\n"},
    {"an unknown write before it was invoked", V, "1 1 2 get k -> ok 1\n0 3 - set k 1 -> unknown\n"},
    {"an unknown write that is seen before and after a stop", G,
     "1 1 2 start k 1 -> ok version=1 index=10\n3 3 12 get k -> ok 2 stopped version=3 revision=30 index=31\n"
     "5 3 4 update k 2 -> unknown\n2 5 6 get k -> ok 2 version=2 revision=20 index=21\n"
     "4 7 8 stop k -> ok version=3 index=30\n"},
    {"an unknown write that nobody saw explains a version", G,
     "0 1 - set k 1 -> unknown\n1 2 3 set k 2 -> ok version=2\n1 4 5 get k -> ok 2 version=2\n"},
    {"one unknown write explains one version only", V,
     "0 1 - set k 1 -> unknown\n1 2 3 set k 2 -> ok version=2\n1 4 5 set k 3 -> ok version=4\n"},
    {"an unknown write that nobody saw explains a false condition", G,
     "1 1 2 set k 2 -> ok\n0 3 - set k 1 -> unknown\n1 4 5 cas k 2 3 -> condition\n1 6 7 set k 4 -> ok\n"},
    {"a condition that was true", V, "1 1 2 set k 2 -> ok\n1 4 5 cas k 2 3 -> condition\n"},
    {"a condition that was false", V, "1 1 2 set k 2 -> ok\n1 4 5 cas k 1 3 -> ok\n"},
    {"two of the same condition", V,
     "1 1 2 set k 2 -> ok\n1 4 8 cas k 2 3 -> ok\n2 4 8 cas k 2 5 -> ok\n"},
    {"a chain of conditions, overlapping", G,
     "1 1 2 set k 2 -> ok\n1 4 8 cas k 3 5 -> ok\n2 4 8 cas k 2 3 -> ok\n3 9 10 get k -> ok 5\n"},
    {"a condition on a revision", G,
     "1 1 2 set k 2 -> ok index=5\n1 4 8 casrev k 5 3 -> ok index=6\n1 9 10 casrev k 5 4 -> condition index=7\n"},
    {"a condition on a revision that was false", V,
     "1 1 2 set k 2 -> ok index=5\n1 3 4 set k 3 -> ok index=6\n1 5 6 casrev k 5 3 -> ok index=7\n"},
    {"a key that must not exist", V, "1 1 2 set k 2 -> ok\n1 3 4 casrev k 0 3 -> ok\n"},
    {"a key that must not exist, and does not", G,
     "1 1 2 set k 2 -> ok\n1 3 4 delete k -> ok version=0\n1 5 6 casrev k 0 3 -> ok version=1\n"},
    {"an unknown write's revision can be any", G,
     "1 1 2 set k 2 -> ok index=5\n0 3 - set k 9 -> unknown\n1 4 5 casrev k 5 3 -> condition index=7\n"},
    {"a deleted key that is still there", V, "0 1 2 set k 1 -> ok\n0 3 4 delete k -> ok\n0 5 6 get k -> ok 1\n"},
    {"a delete of nothing", G, "0 3 4 delete k -> absent\n"},
    {"a delete of nothing that was done", V, "0 3 4 delete k -> ok\n"},
    {"deleted by the one whose answer was lost", G,
     "0 1 2 set k 1 -> ok\n1 3 - delete k -> unknown\n0 3 4 delete k -> absent\n"},
    {"a workflow's life", G,
     "0 1 2 start w 1 -> ok\n0 3 4 start w 2 -> exists\n0 5 6 update w 3 -> ok\n0 7 8 stop w -> ok version=3\n"
     "0 9 10 get w -> ok 3 stopped version=3\n0 11 12 update w 4 -> state\n0 13 14 stop w -> ok version=3\n"
     "0 15 16 start w 5 -> ok version=4\n0 17 18 get w -> ok 5\n"},
    {"a stopped workflow that was updated", V,
     "0 1 2 start w 1 -> ok\n0 3 4 stop w -> ok\n0 5 6 update w 3 -> ok\n"},
    {"a workflow that stops too late", V,
     "0 1 2 start w 1 -> ok\n0 3 4 stop w -> ok\n0 5 6 get w -> ok 1\n"},
    {"an update of nothing", V, "0 5 6 update w 3 -> ok\n"},
    {"half of a batch", V, "0 1 2 batch set:a:1,set:b:1 -> ok\n1 3 4 get a -> ok 1\n1 5 6 get b -> absent\n"},
    {"a batch seen in two orders", V,
     "0 1 9 batch set:a:1,set:b:1 -> ok\n1 2 3 get a -> ok 1\n1 4 5 get b -> absent\n"},
    {"an open batch", G, "0 1 9 batch set:a:1,set:b:1 -> ok\n1 2 3 get a -> absent\n1 4 5 get b -> ok 1\n"},
    {"a batch that refused, and was done", V,
     "0 1 2 batch set:a:1,delete:b -> absent\n1 3 4 get a -> ok 1\n"},
    {"a batch that refused", G, "0 1 2 batch set:a:1,delete:b -> absent\n1 3 4 get a -> absent\n"},
    {"a batch whose answer was lost, half seen", V,
     "0 1 - batch set:a:1,set:b:1 -> unknown\n1 3 4 get a -> ok 1\n1 5 6 get b -> absent\n"},
    {"swapped over two keys", V,
     "0 1 2 batch set:a:1,set:b:1 -> ok\n1 3 4 batch set:a:2,set:b:2 -> ok\n2 5 6 get a -> ok 2\n"
     "3 5 6 get b -> ok 1\n"},
    {"in one batch later items see earlier ones", G,
     "0 1 2 batch set:a:1,add:a:4,delete:a,set:a:9 -> ok\n1 3 4 get a -> ok 9 version=1\n"},
};

static void check_text(const char *name, const char *text, enum linear_verdict expected)
{
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text) ? strlen(text) : 1, "r");
    struct history history;
    struct linear_result result;
    char why[256] = "";
    enum linear_verdict verdict;

    history_init(&history);
    if (!history_read(&history, in, why, sizeof why) && *text)
        fail_msg("%s: %s", name, why);
    fclose(in);
    verdict = linear_check(&history, NULL, NULL, &result);
    if (verdict != expected)
        fail_msg("%s: verdict %d instead of %d: %s", name, verdict, expected, result.why);
    if (verdict == LINEAR_VIOLATED && !result.why[0])
        fail_msg("%s: no sentence", name);
    history_free(&history);
}

static void test_examples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        check_text(examples[i].name, examples[i].text, examples[i].verdict);
}

static const struct example indexes[] = {
    {"as they should be", G, "0 1 2 set k 1 -> ok index=5\n0 3 4 get k -> ok 1 revision=5 index=5\n"},
    {"two writes, one index", V, "0 1 2 set k 1 -> ok index=5\n1 1 2 set j 1 -> ok index=5\n"},
    {"going back", V, "0 1 2 set k 1 -> ok index=5\n1 3 4 set j 1 -> ok index=4\n"},
    {"overlapping ones in any order", G, "0 1 3 set k 1 -> ok index=5\n1 3 4 set j 1 -> ok index=4\n"},
    {"a get below a write", V, "0 1 2 set k 1 -> ok index=5\n1 3 4 get j -> absent index=4\n"},
    {"a get from the future", V, "0 1 9 set k 1 -> ok index=5\n0 3 4 get k -> ok 1 revision=5 index=4\n"},
    {"a get that misses a change below its index", V,
     "0 1 2 set k 1 -> ok index=5\n0 3 9 set k 2 -> ok index=6\n1 3 9 get k -> ok 1 revision=5 index=8\n"},
    {"a peek may be stale", G,
     "0 1 2 set k 1 -> ok index=5\n0 3 4 set k 2 -> ok index=6\n1 7 8 peek k -> ok 1 revision=5 index=5\n"},
    {"a peek that misses a change below its index", V,
     "0 1 2 set k 1 -> ok index=5\n0 3 4 set k 2 -> ok index=6\n1 7 8 peek k -> ok 1 revision=5 index=6\n"},
    {"the right revision with the wrong value", V,
     "0 1 2 set k 1 -> ok index=5\n0 3 4 get k -> ok 9 revision=5 index=5\n"},
};

static void test_indexes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++) {
        FILE *in = fmemopen((void *)(uintptr_t)indexes[i].text, strlen(indexes[i].text), "r");
        struct history history;
        struct linear_result result;
        char why[256];

        history_init(&history);
        assert_true(history_read(&history, in, why, sizeof why));
        fclose(in);
        if (linear_check_indexes(&history, NULL, &result) != indexes[i].verdict)
            fail_msg("%s: %s", indexes[i].name, result.why);
        history_free(&history);
    }
}

static void test_explanation(void **state)
{
    static const char text[] = "0 1 2 set k 1 -> ok\n0 3 4 set k 2 -> ok\n1 5 6 get k -> ok 1\n";
    FILE *in = fmemopen((void *)(uintptr_t)text, sizeof text - 1, "r");
    char said[4096] = "";
    FILE *out = fmemopen(said, sizeof said, "w");
    struct history history;
    struct linear_result result;
    char why[256];

    (void)state;
    history_init(&history);
    assert_true(history_read(&history, in, why, sizeof why));
    assert_int_equal(linear_check(&history, NULL, out, &result), LINEAR_VIOLATED);
    fclose(in);
    fclose(out);
    assert_int_equal(result.op, 2);
    assert_non_null(strstr(result.why, "key k"));
    assert_non_null(strstr(result.why, "stale"));
    assert_non_null(strstr(said, "1 5 6 get k -> ok 1\n"));
    assert_non_null(strstr(said, "0 3 4 set k 2 -> ok\n"));
    history_free(&history);
}

static void test_malformed(void **state)
{
    static const char *const lines[] = {
        "0 1 2 put k 1 -> ok\n",       "0 1 2 set k 1 -> done\n", "0 1 2 set k -> ok\n",      "0 2 1 set k 1 -> ok\n",
        "0 1 - set k 1 -> ok\n",       "0 1 2 get k -> ok\n",     "0 1 2 set k x -> ok\n",    "0 1 2 set k 1 ok\n",
        "0 1 2 batch get:k -> ok\n",   "0 1 2 batch k -> ok\n",   "x 1 2 set k 1 -> ok\n",    "0 1 2\n",
        "0 1 2 batch set:k:z -> ok\n", "0 1 2 set k 1 ->\n",      "0 1 2 set k 1 -> ok v=1\n"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        FILE *in = fmemopen((void *)(uintptr_t)lines[i], strlen(lines[i]), "r");
        struct history history;
        char why[256] = "";

        history_init(&history);
        if (history_read(&history, in, why, sizeof why))
            fail_msg("taken: %s", lines[i]);
        assert_non_null(strstr(why, "line 1: "));
        fclose(in);
        history_free(&history);
    }
}

/* What is written can be read, and is written the same again. */
static void test_text_both_ways(void **state)
{
    (void)state;
    for (size_t i = 1; i < sizeof examples / sizeof examples[0]; i++) {
        FILE *in = fmemopen((void *)(uintptr_t)examples[i].text, strlen(examples[i].text), "r");
        char written[4096] = "";
        FILE *out = fmemopen(written, sizeof written, "w");
        struct history history;
        char why[256];

        history_init(&history);
        assert_true(history_read(&history, in, why, sizeof why));
        history_write(&history, out);
        fclose(in);
        fclose(out);
        assert_string_equal(written, examples[i].text);
        history_free(&history);
    }
}

/* ---- against every order ------------------------------------------------------------------------------- */

static uint64_t dice;

static uint64_t draw(uint64_t below)
{
    uint64_t z = (dice += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

#define SMALL_KEYS 2
#define SMALL_OPS 8

/* A store of its own, not the checker's. */
struct naive {
    int there[SMALL_KEYS];
    int stopped[SMALL_KEYS];
    uint64_t value[SMALL_KEYS];
    uint32_t version[SMALL_KEYS];
};

static void naive_write(struct naive *store, uint32_t key, uint64_t value)
{
    store->version[key] = store->there[key] ? store->version[key] + 1 : 1;
    store->there[key] = 1;
    store->stopped[key] = 0;
    store->value[key] = value;
}

static uint8_t naive_one(struct naive *store, uint8_t kind, uint32_t key, uint64_t value, uint64_t expect)
{
    int there = store->there[key];

    if (kind == HISTORY_SET)
        naive_write(store, key, value);
    else if (kind == HISTORY_ADD)
        naive_write(store, key, (there ? store->value[key] : 0) + value);
    else if (kind == HISTORY_CAS && (!there || store->value[key] != expect))
        return HISTORY_CONDITION;
    else if (kind == HISTORY_CAS)
        naive_write(store, key, value);
    else if (kind == HISTORY_START && there && !store->stopped[key])
        return HISTORY_EXISTS;
    else if (kind == HISTORY_START)
        naive_write(store, key, value);
    else if (!there)
        return HISTORY_ABSENT;
    else if (kind == HISTORY_UPDATE && store->stopped[key])
        return HISTORY_STATE;
    else if (kind == HISTORY_UPDATE)
        naive_write(store, key, value);
    else if (kind == HISTORY_DELETE) {
        store->there[key] = store->stopped[key] = 0;
        store->version[key] = 0;
    } else if (kind == HISTORY_STOP && !store->stopped[key]) {
        store->stopped[key] = 1;
        store->version[key]++;
    }
    return HISTORY_OK;
}

/* Run it; fills what it would answer. */
static void naive_run(struct naive *store, const struct history *history, struct history_op *op)
{
    struct naive before = *store;

    op->outcome = HISTORY_OK;
    if (op->kind == HISTORY_BATCH) {
        for (uint32_t i = 0; i < op->item_count && op->outcome == HISTORY_OK; i++) {
            const struct history_item *item = &history->items[op->item_first + i];

            op->outcome = naive_one(store, item->kind, item->key, item->value, 0);
        }
        if (op->outcome != HISTORY_OK)
            *store = before;
        return;
    }
    op->outcome = naive_one(store, op->kind, op->key, op->value, op->expect);
    op->version = op->outcome == HISTORY_OK ? store->version[op->key] : HISTORY_NO_VERSION;
    op->seen = op->outcome == HISTORY_OK ? store->value[op->key] : 0;
    op->stopped = op->kind == HISTORY_GET && op->outcome == HISTORY_OK && store->stopped[op->key];
    op->told = op->outcome == HISTORY_OK && (op->kind == HISTORY_GET || op->kind == HISTORY_ADD);
}

static bool same_answer(const struct history_op *told, const struct history_op *made)
{
    if (told->outcome == HISTORY_UNKNOWN)
        return true;
    if (told->outcome != HISTORY_OK || made->outcome != HISTORY_OK)
        return told->outcome == made->outcome;
    if (told->version != HISTORY_NO_VERSION && told->version != made->version)
        return false;
    return !told->told || (told->seen == made->seen && told->stopped == made->stopped);
}

/* Is there an order, for those not in `placed`, from this store on? */
static bool any_order(const struct history *history, uint32_t placed, const struct naive *store)
{
    bool all = true;
    uint64_t first = UINT64_MAX; /* the first return of what is not placed */

    for (uint32_t i = 0; i < history->count; i++) {
        const struct history_op *op = &history->ops[i];

        if (placed >> i & 1 || op->outcome == HISTORY_UNKNOWN || op->outcome == HISTORY_FAILED)
            continue;
        all = false;
        if (op->returned < first)
            first = op->returned;
    }
    if (all)
        return true;
    for (uint32_t i = 0; i < history->count; i++) {
        struct history_op made = history->ops[i];
        struct naive after = *store;

        if (placed >> i & 1 || made.outcome == HISTORY_FAILED || made.invoked > first)
            continue;
        naive_run(&after, history, &made);
        if (same_answer(&history->ops[i], &made) && any_order(history, placed | 1u << i, &after))
            return true;
    }
    return false;
}

static void random_command(struct history *history, struct history_op *op)
{
    static const uint8_t kinds[] = {HISTORY_GET,    HISTORY_GET,   HISTORY_GET,    HISTORY_SET,  HISTORY_SET,
                                    HISTORY_DELETE, HISTORY_CAS,   HISTORY_CAS,    HISTORY_ADD,  HISTORY_BATCH,
                                    HISTORY_START,  HISTORY_UPDATE, HISTORY_STOP};

    op->kind = kinds[draw(sizeof kinds)];
    if (op->kind == HISTORY_ADD && draw(2))
        op->kind = HISTORY_GET;
    op->key = (uint32_t)draw(SMALL_KEYS);
    op->value = 1 + draw(6);
    op->expect = 1 + draw(6);
    for (uint32_t k = 0; op->kind == HISTORY_BATCH && k < 2; k++) {
        struct history_item *item = history_add_item(history, op);

        item->kind = (uint8_t)(draw(3) ? HISTORY_SET : draw(2) ? HISTORY_DELETE : HISTORY_ADD);
        item->key = (uint32_t)draw(SMALL_KEYS);
        item->value = 1 + draw(6);
    }
}

/* As a right store would have answered, at a random moment between call and return; some answers get lost. */
static void random_history(struct history *history)
{
    struct naive store = {0};
    uint32_t count = 2 + (uint32_t)draw(SMALL_OPS - 1);
    uint64_t versions = draw(2);

    history_init(history);
    for (uint32_t i = 0; i < SMALL_KEYS; i++)
        (void)history_key(history, i ? "b" : "a");
    for (uint64_t at = 10; history->count < count; at += 1 + draw(6)) {
        struct history_op *op = history_add(history);
        uint64_t fate = draw(10);

        random_command(history, op);
        op->invoked = at - draw(8);
        op->returned = at + draw(8);
        if (fate == 0) { /* failed, or unknown and never done */
            op->outcome = draw(2) ? HISTORY_FAILED : HISTORY_UNKNOWN;
            continue;
        }
        naive_run(&store, history, op);
        if (!versions)
            op->version = HISTORY_NO_VERSION;
        if (fate <= 3)
            op->outcome = HISTORY_UNKNOWN;
    }
}

static void spoil(struct history *history)
{
    struct history_op *op = &history->ops[draw(history->count)];

    switch (draw(5)) {
    case 0: op->seen = 1 + draw(6); break;
    case 1: op->outcome = (uint8_t)draw(HISTORY_OUTCOME_END); break;
    case 2: op->returned = op->invoked; break;
    case 3: op->version = (uint32_t)draw(4); break;
    default: op->value = 1 + draw(6); break;
    }
    if (op->kind == HISTORY_GET && op->outcome == HISTORY_OK)
        op->told = 1;
}

static void test_every_order(void **state)
{
    uint64_t violated = 0;
    uint64_t good = 0;
    uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1;

    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        struct naive empty = {0};
        struct history history;
        struct linear_result result;
        bool spoiled;
        bool expected;

        dice = seed + i;
        random_history(&history);
        spoiled = draw(2) != 0;
        if (spoiled)
            spoil(&history);
        expected = any_order(&history, 0, &empty);
        assert_true(expected || spoiled);
        *(expected ? &good : &violated) += 1;
        if (linear_check(&history, NULL, NULL, &result) != (expected ? LINEAR_OK : LINEAR_VIOLATED)) {
            history_write(&history, stderr);
            fail_msg("seed %llu: every order says %d", (unsigned long long)dice, expected);
        }
        history_free(&history);
    }
    printf("%llu right, %llu wrong histories\n", (unsigned long long)good, (unsigned long long)violated);
    assert_true(violated > 1000);
    assert_true(good > 1000);
}

/* ---- large ones ---------------------------------------------------------------------------------------- */

/* 16 clients, one in 50 answers lost; `stale`: the number of the get that sees what was there before. */
static void large_history(struct history *history, uint32_t keys, uint64_t count, uint64_t stale, bool told)
{
    uint64_t *values = calloc(keys, sizeof *values);
    uint64_t *olds = calloc(keys, sizeof *olds);
    uint64_t *revisions = calloc(keys, sizeof *revisions);

    history_init(history);
    for (uint32_t i = 0; i < keys; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "key-%u", i);
        (void)history_key(history, name);
    }
    for (uint64_t i = 0; i < count; i++) {
        struct history_op *op = history_add(history);
        uint64_t at = (i + 20) * 100;

        op->invoked = at - draw(1600);
        op->returned = at + draw(i == stale ? 1 : 1600);
        if (i == stale)
            op->invoked = at;
        op->key = (uint32_t)draw(keys);
        op->outcome = HISTORY_OK;
        op->index = told ? i + 1 : 0;
        if (draw(2) && values[op->key]) {
            op->kind = HISTORY_GET;
            op->seen = values[op->key];
            op->revision = told ? revisions[op->key] : 0;
            op->told = 1;
        } else {
            op->kind = HISTORY_SET;
            op->value = i + 1;
            olds[op->key] = values[op->key];
            if (draw(100)) { /* else it is lost, and was not done */
                values[op->key] = op->value;
                revisions[op->key] = op->index;
            } else {
                op->outcome = HISTORY_UNKNOWN;
            }
            if (!draw(100))
                op->outcome = HISTORY_UNKNOWN;
            if (op->outcome == HISTORY_UNKNOWN)
                op->index = 0;
        }
    }
    free(values);
    free(olds);
    free(revisions);
}

static double seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void measure(uint32_t keys, uint64_t count, bool told)
{
    struct history history;
    struct linear_result result;
    double before;

    dice = 7;
    large_history(&history, keys, count, UINT64_MAX, told);
    before = seconds();
    if (linear_check(&history, NULL, stderr, &result) != LINEAR_OK)
        fail_msg("%s", result.why);
    printf("%llu operations over %u keys%s: %.3f s, %llu steps\n", (unsigned long long)count, keys,
           told ? ", indexes told" : "", seconds() - before, (unsigned long long)result.steps);
    history_free(&history);
}

static void test_large(void **state)
{
    (void)state;
    measure(100, 100000, false);
    measure(100, 100000, true);
    measure(1, 20000, false);
    measure(1, 50000, true);
}

/* A value that was replaced long ago is seen again, in the middle of a large history. */
static void test_large_violated(void **state)
{
    struct history history;
    struct linear_result result;
    uint64_t at = 15000;
    uint64_t old = 0;

    (void)state;
    dice = 9;
    large_history(&history, 10, 30000, UINT64_MAX, false);
    while (history.ops[at].kind != HISTORY_GET)
        at++;
    for (uint64_t i = 0; i < at - 2000; i++)
        if (history.ops[i].key == history.ops[at].key && history.ops[i].kind == HISTORY_SET &&
            history.ops[i].outcome == HISTORY_OK)
            old = history.ops[i].value;
    assert_true(old != 0);
    history.ops[at].seen = old;
    assert_int_equal(linear_check(&history, NULL, NULL, &result), LINEAR_VIOLATED);
    history_free(&history);
}

/* A thousand lost additions of one, of which every second was done: only who knows where finds an order. */
static void test_told_order(void **state)
{
    struct linear_limits few = {.steps = 3000};
    struct history history;
    struct linear_result result;

    (void)state;
    for (int told = 0; told < 2; told++) {
        uint64_t clock = 0;
        uint64_t sum = 0;

        history_init(&history);
        for (uint64_t i = 0; i < 1000; i++) {
            struct history_op *op = history_add(&history);

            *op = (struct history_op){.kind = HISTORY_ADD, .outcome = HISTORY_UNKNOWN, .version = HISTORY_NO_VERSION};
            op->key = history_key(&history, "k");
            op->invoked = ++clock;
            op->returned = HISTORY_NEVER;
            op->value = i % 7 + 1;
            op->index = told && i % 2 ? i + 1 : 0;
            sum += i % 2 ? op->value : 0;
            if (i % 100 != 99)
                continue;
            op = history_add(&history);
            *op = (struct history_op){.kind = HISTORY_GET, .outcome = HISTORY_OK, .version = HISTORY_NO_VERSION};
            op->key = history_key(&history, "k");
            op->invoked = ++clock;
            op->returned = ++clock;
            op->seen = sum;
            op->told = 1;
            op->index = i + 1;
        }
        assert_int_equal(linear_check(&history, &few, NULL, &result), told ? LINEAR_OK : LINEAR_UNDECIDED);
        history_free(&history);
    }
}

/* The bounds hold, and what they cut off is not called right. */
static void test_bounds(void **state)
{
    struct linear_limits few = {.steps = 100};
    struct linear_limits small = {.states = 100};
    struct history history;
    struct linear_result result;

    (void)state;
    dice = 7;
    large_history(&history, 1, 1000, UINT64_MAX, false);
    assert_int_equal(linear_check(&history, &few, NULL, &result), LINEAR_UNDECIDED);
    assert_true(result.steps <= 500);
    assert_int_equal(linear_check(&history, &small, NULL, &result), LINEAR_UNDECIDED);
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),       cmocka_unit_test(test_indexes),
        cmocka_unit_test(test_explanation),    cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_text_both_ways), cmocka_unit_test(test_every_order),
        cmocka_unit_test(test_large),          cmocka_unit_test(test_large_violated),
        cmocka_unit_test(test_bounds),         cmocka_unit_test(test_told_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
