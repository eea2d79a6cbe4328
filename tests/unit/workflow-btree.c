/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow-btree.c - the B+tree of the workflow store against a sorted array that does the same the slow way: random
 * changes, ranks and walks over keys chosen to be hard, and holds whose view must not move.
 */
#include "statemachines/workflow/btree.h"
#include "tests/unit/fake_host.h"

#include <assert.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#define KEYS 3000

struct thing {
    struct btree_link link;
    uint64_t key;
};

/* The keys, in order; a thing knows its place among them. */
static struct key {
    uint64_t size;
    unsigned char bytes[80];
} keys[KEYS];

static struct gavel_slice slice_of(uint64_t key)
{
    return gavel_bytes(keys[key].bytes, keys[key].size);
}

static struct gavel_slice key_of(const void *item)
{
    return slice_of(((const struct thing *)item)->key);
}

static int by_bytes(const void *a, const void *b)
{
    const struct key *one = a;
    const struct key *other = b;
    return gavel_slice_compare(gavel_bytes(one->bytes, one->size), gavel_bytes(other->bytes, other->size));
}

/* Keys with much in common, one the beginning of another, zeros and ff at the ends, and some that are quite alone. */
static void make_keys(struct fake_random *random)
{
    static const unsigned char letters[] = { 0, 0, 0xff, 'a', 'b' };
    uint64_t i;
    for (i = 0; i < KEYS; i++) {
        uint64_t length = 1 + fake_random_below(random, 12);
        keys[i].size = 0;
        if (i > 0 && fake_random_below(random, 10)) {
            keys[i] = keys[fake_random_below(random, i)];
            if (keys[i].size > 60)
                keys[i].size = fake_random_below(random, 60);
        }
        while (length--)
            keys[i].bytes[keys[i].size++] = letters[fake_random_below(random, sizeof letters)];
    }
    qsort(keys, KEYS, sizeof keys[0], by_bytes);
    for (i = 1; i < KEYS; i++) /* a double goes on where the one before ends */
        if (by_bytes(&keys[i - 1], &keys[i]) >= 0) {
            keys[i] = keys[i - 1];
            keys[i].bytes[keys[i].size++] = 0;
            assert(keys[i].size < sizeof keys[i].bytes);
        }
    for (i = 1; i < KEYS; i++)
        assert(by_bytes(&keys[i - 1], &keys[i]) < 0);
}

/* The model: which thing is at which key. */
struct model {
    struct thing *at[KEYS];
    uint64_t count;
};

static void compare_walk(const struct model *model, const struct btree_node *root, uint64_t from)
{
    struct btree_cursor cursor;
    uint64_t key;
    btree_seek(&cursor, root, key_of, slice_of(from));
    for (key = from; key < KEYS; key++) {
        if (!model->at[key])
            continue;
        assert_ptr_equal(btree_at(&cursor), model->at[key]);
        btree_step(&cursor);
    }
    assert_null(btree_at(&cursor));
}

static void compare_all(const struct model *model, const struct btree *tree)
{
    uint64_t key;
    uint64_t before = 0;
    btree_check(tree);
    assert_int_equal(btree_count(tree), model->count);
    compare_walk(model, tree->root, 0);
    for (key = 0; key < KEYS; key++) {
        assert_ptr_equal(btree_find(tree, slice_of(key)), model->at[key]);
        assert_int_equal(btree_rank(tree, slice_of(key)), before);
        before += model->at[key] != NULL;
    }
}

/* One random change of both; things that a hold may still see are kept until the end of the test. */
static void change(struct fake_random *random, struct model *model, struct btree *tree, uint64_t bias,
                   struct btree_list *garbage)
{
    uint64_t key = fake_random_below(random, KEYS);
    int put = fake_random_below(random, 100) < bias;
    struct thing *old = model->at[key];
    uint64_t frozen = tree->nodes;

    assert_int_equal(btree_pool_reserve(tree->pool, btree_need(tree, put, !put)), 0);
    assert_true(btree_need(tree, put, !put) <= frozen + 32);
    if (put) {
        struct thing *thing = calloc(1, sizeof *thing);
        thing->key = key;
        model->at[key] = thing;
        model->count += old == NULL;
        assert_ptr_equal(btree_put(tree, thing), old);
    } else {
        model->at[key] = NULL;
        model->count -= old != NULL;
        assert_ptr_equal(btree_remove(tree, slice_of(key)), old);
    }
    if (old)
        btree_list_push(garbage, &old->link);
}

static void drop_all(struct model *model, struct btree *tree, struct btree_list *garbage)
{
    struct btree_link *link;
    uint64_t key;
    for (key = 0; key < KEYS; key++)
        free(model->at[key]);
    while ((link = btree_list_pop(garbage)) != NULL)
        free(link);
    btree_clear(tree);
    btree_pool_free(tree->pool);
}

static void test_random_changes(void **state)
{
    struct fake_host *host = fake_host_new();
    struct fake_random random = fake_random_seeded("btree changes");
    static struct model model;
    struct btree_list garbage = { 0 };
    struct btree_pool pool;
    struct btree tree;
    uint64_t round;

    (void)state;
    memset(&model, 0, sizeof model);
    make_keys(&random);
    btree_pool_init(&pool, host->host.heap);
    btree_init(&tree, &pool, key_of);
    for (round = 0; round < 40000; round++) {
        /* grow, churn, shrink to nothing, grow again */
        uint64_t bias = round < 8000 ? 90 : round < 16000 ? 50 : round < 32000 ? 10 : 80;
        change(&random, &model, &tree, bias, &garbage);
        if (round % 500 == 0)
            compare_all(&model, &tree);
        btree_pool_trim(&pool, 32, 2);
    }
    compare_all(&model, &tree);
    drop_all(&model, &tree, &garbage);
    fake_host_free(host);
}

static void test_held_roots_do_not_move(void **state)
{
    struct fake_host *host = fake_host_new();
    struct fake_random random = fake_random_seeded("btree holds");
    static struct model model;
    static struct model seen;
    struct btree_list garbage = { 0 };
    struct btree_pool pool;
    struct btree tree;
    uint64_t round;
    uint64_t i;

    (void)state;
    memset(&model, 0, sizeof model);
    make_keys(&random);
    btree_pool_init(&pool, host->host.heap);
    btree_init(&tree, &pool, key_of);
    for (round = 0; round < 60; round++) {
        const struct btree_node *root;
        for (i = 0; i < 300; i++)
            change(&random, &model, &tree, round % 3 ? 70 : 20, &garbage);
        btree_pool_hold(&pool);
        root = tree.root;
        seen = model;
        for (i = 0; i < 600; i++) {
            change(&random, &model, &tree, round % 2 ? 60 : 15, &garbage);
            if (i % 60 == 0)
                compare_walk(&seen, root, fake_random_below(&random, KEYS));
        }
        if (round % 10 == 0) { /* the tree is dropped, as a restore does, and the holder still sees it */
            btree_clear(&tree);
            for (i = 0; i < KEYS; i++)
                if (model.at[i])
                    btree_list_push(&garbage, &model.at[i]->link);
            memset(&model, 0, sizeof model);
        }
        compare_walk(&seen, root, 0);
        btree_pool_release(&pool);
        compare_all(&model, &tree);
    }
    assert_true(pool.retired.count == 0);
    drop_all(&model, &tree, &garbage);
    fake_host_free(host);
}

static void test_items_in_order_fill_their_leaves(void **state)
{
    enum { LEAVES = 40, ITEMS = LEAVES * BTREE_LEAF_ITEMS };
    struct fake_host *host = fake_host_new();
    struct fake_random random = fake_random_seeded("btree in order");
    static struct thing things[ITEMS];
    struct btree_pool pool;
    struct btree tree;
    uint64_t i;

    (void)state;
    make_keys(&random);
    btree_pool_init(&pool, host->host.heap);
    btree_init(&tree, &pool, key_of);
    for (i = 0; i < ITEMS; i++) {
        things[i].key = i;
        assert_int_equal(btree_pool_reserve(&pool, btree_need(&tree, 1, 0)), 0);
        assert_null(btree_put(&tree, &things[i]));
    }
    btree_check(&tree);
    assert_int_equal(tree.nodes, LEAVES + 2 + 1); /* full leaves below two branches and a root */
    for (i = 0; i < ITEMS; i++)
        assert_ptr_equal(btree_remove(&tree, slice_of(i)), &things[i]);
    assert_null(tree.root);
    assert_int_equal(tree.nodes, 0);
    btree_pool_free(&pool);
    fake_host_free(host);
}

static void test_reserve_fails_without_a_trace(void **state)
{
    struct fake_host *host = fake_host_new();
    struct btree_pool pool;

    (void)state;
    btree_pool_init(&pool, host->host.heap);
    host->fail_at = host->allocations + 3;
    assert_int_equal(btree_pool_reserve(&pool, 5), GAVEL_E_NO_MEMORY);
    assert_int_equal(pool.free.count, 2);
    host->fail_at = 0;
    assert_int_equal(btree_pool_reserve(&pool, 5), 0);
    btree_pool_free(&pool);
    fake_host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_changes),
        cmocka_unit_test(test_held_roots_do_not_move),
        cmocka_unit_test(test_items_in_order_fill_their_leaves),
        cmocka_unit_test(test_reserve_fails_without_a_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
