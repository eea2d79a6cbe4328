/* SPDX-License-Identifier: Apache-2.0 */
/*
 * btree.c - the copy-on-write B+tree of btree.h. Every function that changes a node first makes it the present epoch's
 * own (see own()); the way back up a path repairs what the parents know of a child: its address, first item and total.
 */
#include "btree.h"

#include <assert.h>

/* ---- lists and the pool ------------------------------------------------------------------------------------------ */

void btree_list_push(struct btree_list *list, struct btree_link *link)
{
    link->next = list->first;
    if (!list->first)
        list->last = link;
    list->first = link;
    list->count++;
}

struct btree_link *btree_list_pop(struct btree_list *list)
{
    struct btree_link *link = list->first;
    if (!link)
        return NULL;
    list->first = link->next;
    if (!list->first)
        list->last = NULL;
    list->count--;
    return link;
}

void btree_list_splice(struct btree_list *to, struct btree_list *from)
{
    if (!from->first)
        return;
    from->last->next = to->first;
    if (!to->first)
        to->last = from->last;
    to->first = from->first;
    to->count += from->count;
    memset(from, 0, sizeof *from);
}

void btree_pool_init(struct btree_pool *pool, const struct gavel_heap *heap)
{
    memset(pool, 0, sizeof *pool);
    pool->heap = heap;
    pool->epoch = 1;
}

int32_t btree_pool_reserve(struct btree_pool *pool, uint64_t nodes)
{
    while (pool->free.count < nodes) {
        struct btree_node *node = pool->heap->resize(pool->heap->self, NULL, sizeof *node);
        if (!node)
            return GAVEL_E_NO_MEMORY;
        btree_list_push(&pool->free, &node->link);
    }
    return GAVEL_OK;
}

void btree_pool_trim(struct btree_pool *pool, uint64_t keep, uint64_t most)
{
    while (pool->free.count > keep && most-- > 0)
        (void)pool->heap->resize(pool->heap->self, btree_list_pop(&pool->free), 0);
}

void btree_pool_hold(struct btree_pool *pool)
{
    assert(pool->held == 0);
    pool->held = pool->epoch++;
}

void btree_pool_release(struct btree_pool *pool)
{
    assert(pool->held != 0);
    pool->held = 0;
    btree_list_splice(&pool->free, &pool->retired);
}

void btree_pool_free(struct btree_pool *pool)
{
    assert(pool->held == 0);
    btree_pool_trim(pool, 0, UINT64_MAX);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static uint32_t capacity(const struct btree_node *node)
{
    return node->level ? BTREE_CHILDREN : BTREE_LEAF_ITEMS;
}

static struct btree_node *child_of(const struct btree_node *node, uint32_t at)
{
    return node->slot[BTREE_CHILDREN + at];
}

static struct btree_node *make(struct btree *tree, uint16_t level)
{
    struct btree_link *link = btree_list_pop(&tree->pool->free);
    struct btree_node *node = (struct btree_node *)link; /* its first member */
    assert(node); /* btree_need was too low, or was not asked */
    node->epoch = tree->pool->epoch;
    node->total = 0;
    node->count = 0;
    node->level = level;
    node->common_size = 0;
    tree->nodes++;
    return node;
}

static void drop(struct btree *tree, struct btree_node *node)
{
    struct btree_pool *pool = tree->pool;
    btree_list_push(node->epoch <= pool->held ? &pool->retired : &pool->free, &node->link);
    tree->nodes--;
}

/* The node itself when it may be changed, else a copy in its place. */
static struct btree_node *own(struct btree *tree, struct btree_node *node)
{
    struct btree_node *copy;
    if (node->epoch > tree->pool->held)
        return node;
    copy = make(tree, node->level);
    memcpy((unsigned char *)copy + offsetof(struct btree_node, total),
           (const unsigned char *)node + offsetof(struct btree_node, total),
           sizeof *copy - offsetof(struct btree_node, total));
    drop(tree, node);
    return copy;
}

/* ---- heads ------------------------------------------------------------------------------------------------------- */

/* Up to 8 bytes of a key from `skip` on as one number that orders as they do; zeros behind its end. */
static uint64_t head_of(struct gavel_slice key, uint64_t skip)
{
    const unsigned char *bytes = key.data;
    uint64_t left = key.size > skip ? key.size - skip : 0;
    uint64_t head = 0;
    uint64_t i;
    if (left >= 8) {
        memcpy(&head, bytes + skip, 8);
        return __builtin_bswap64(head); /* little-endian machines only: configure sees to it */
    }
    for (i = 0; i < left; i++)
        head |= (uint64_t)bytes[skip + i] << (56 - 8 * i);
    return head;
}

/* How many bytes two keys have in common, up to what a node can keep. */
static uint16_t common_of(struct gavel_slice a, struct gavel_slice b)
{
    const unsigned char *one = a.data;
    const unsigned char *other = b.data;
    uint16_t size = 0;
    while (size < BTREE_COMMON_MAX && size < a.size && size < b.size && one[size] == other[size])
        size++;
    return size;
}

/* Keep as much of what all keys of the node have in common as there is: since they are sorted, of first and last. */
static void find_common(const struct btree *tree, struct btree_node *node)
{
    struct gavel_slice first = tree->key_of(node->slot[0]);
    uint16_t size = common_of(first, tree->key_of(node->slot[node->count - 1]));
    uint32_t i;
    if (size)
        memcpy(node->common, first.data, size);
    node->common_size = size;
    for (i = 0; i < node->count; i++)
        node->head[i] = head_of(tree->key_of(node->slot[i]), size);
}

/*
 * Write the item of a slot and its head. A lone key has all in common with itself; where the next one has less in
 * common with the others, all heads follow, at most BTREE_COMMON_MAX times in a node's life.
 */
static void set_item(const struct btree *tree, struct btree_node *node, uint32_t at, void *item)
{
    struct gavel_slice key = tree->key_of(item);
    node->slot[at] = item;
    if (node->count == 1 || key.size < node->common_size || memcmp(key.data, node->common, node->common_size) != 0)
        find_common(tree, node);
    else
        node->head[at] = head_of(key, node->common_size);
}

/* The number of items of the node that are below `key`; *equal when the next one has that key. */
static uint32_t lower_bound(const struct btree_node *node, struct gavel_slice (*key_of)(const void *),
                            struct gavel_slice key, int *equal)
{
    uint64_t shared = key.size < node->common_size ? key.size : node->common_size;
    int order = shared ? memcmp(key.data, node->common, shared) : 0;
    uint32_t low = 0;
    uint32_t high = node->count;
    uint64_t head;

    *equal = 0;
    if (order != 0 || key.size < node->common_size)
        return order > 0 ? node->count : 0;
    head = head_of(key, node->common_size);
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        order = head < node->head[middle] ? -1 : head > node->head[middle];
        if (order == 0)
            order = gavel_slice_compare(key, key_of(node->slot[middle]));
        if (order == 0) {
            *equal = 1;
            return middle;
        }
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/*
 * Ask for a node before it is read: the lines of its header and heads come together instead of one after the other in
 * the steps of the search.
 */
static void prefetch(const struct btree_node *node)
{
    uint64_t offset;
    for (offset = 0; offset < offsetof(struct btree_node, slot); offset += 64)
        __builtin_prefetch((const unsigned char *)node + offset);
}

/* The child of a branch in which `key` is or would be. */
static uint32_t child_for(const struct btree_node *node, struct gavel_slice (*key_of)(const void *),
                          struct gavel_slice key)
{
    int equal;
    uint32_t at = lower_bound(node, key_of, key, &equal);
    return equal || at == 0 ? at : at - 1;
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

/* Shift the slots from `at` on by one place, and make room. */
static void open_slot(struct btree_node *node, uint32_t at)
{
    uint32_t behind = node->count - at;
    memmove(&node->slot[at + 1], &node->slot[at], behind * sizeof node->slot[0]);
    memmove(&node->head[at + 1], &node->head[at], behind * sizeof node->head[0]);
    if (node->level)
        memmove(&node->slot[BTREE_CHILDREN + at + 1], &node->slot[BTREE_CHILDREN + at], behind * sizeof node->slot[0]);
    node->count++;
}

static void close_slot(struct btree_node *node, uint32_t at)
{
    uint32_t behind = --node->count - at;
    memmove(&node->slot[at], &node->slot[at + 1], behind * sizeof node->slot[0]);
    memmove(&node->head[at], &node->head[at + 1], behind * sizeof node->head[0]);
    if (node->level)
        memmove(&node->slot[BTREE_CHILDREN + at], &node->slot[BTREE_CHILDREN + at + 1], behind * sizeof node->slot[0]);
}

/* Append slots first..first+count of one node, which is only read, to another of the same level; the items moved.
 * The heads are the caller's: find_common. */
static uint64_t copy_slots(struct btree_node *to, const struct btree_node *from, uint32_t first, uint32_t count)
{
    uint64_t moved = count;
    uint32_t i;
    memcpy(&to->slot[to->count], &from->slot[first], count * sizeof to->slot[0]);
    if (to->level) {
        memcpy(&to->slot[BTREE_CHILDREN + to->count], &from->slot[BTREE_CHILDREN + first], count * sizeof to->slot[0]);
        for (moved = 0, i = 0; i < count; i++)
            moved += child_of(from, first + i)->total;
    }
    to->count += count;
    to->total += moved;
    return moved;
}

/* Write a child, new or changed, and the first item below it. */
static void set_child(const struct btree *tree, struct btree_node *node, uint32_t at, struct btree_node *child)
{
    node->slot[BTREE_CHILDREN + at] = child;
    if (node->slot[at] != child->slot[0])
        set_item(tree, node, at, child->slot[0]);
}

/* The same in a slot that was just opened, whose item is not its own yet. */
static void set_new_child(const struct btree *tree, struct btree_node *node, uint32_t at, struct btree_node *child)
{
    node->slot[BTREE_CHILDREN + at] = child;
    set_item(tree, node, at, child->slot[0]);
}

/* ---- put --------------------------------------------------------------------------------------------------------- */

/*
 * Make room for one more slot at *at in a node of our own: when it is full, split it, answer the right half, and turn
 * *at and *target to the half that it belongs to. At the right edge of the tree nothing is moved, so that items that
 * come in order fill their leaves.
 */
static struct btree_node *make_room(struct btree *tree, struct btree_node *node, int edge, struct btree_node **target,
                                    uint32_t *at)
{
    struct btree_node *right;
    uint32_t kept;
    *target = node;
    if (node->count < capacity(node))
        return NULL;
    right = make(tree, node->level);
    kept = edge && *at == node->count ? node->count : node->count / 2;
    node->total -= copy_slots(right, node, kept, node->count - kept);
    node->count = kept;
    if (right->count > 0) {
        find_common(tree, node);
        find_common(tree, right);
    }
    if (*at > kept || right->count == 0) {
        *target = right;
        *at -= kept;
    }
    return right;
}

/* Put below *at_node; the right half when it was split. */
static struct btree_node *put(struct btree *tree, struct btree_node **at_node, int edge, struct gavel_slice key,
                              void *item, void **replaced)
{
    struct btree_node *node = *at_node = own(tree, *at_node);
    struct btree_node *target;
    struct btree_node *right;
    struct btree_node *half;
    struct btree_node *child;
    uint32_t at;
    int equal;

    if (node->level == 0) {
        at = lower_bound(node, tree->key_of, key, &equal);
        if (equal) {
            *replaced = node->slot[at];
            node->slot[at] = item;
            return NULL;
        }
        right = make_room(tree, node, edge, &target, &at);
        open_slot(target, at);
        set_item(tree, target, at, item);
        target->total++;
        return right;
    }

    at = child_for(node, tree->key_of, key);
    child = child_of(node, at);
    half = put(tree, &child, edge && at + 1 == node->count, key, item, replaced);
    set_child(tree, node, at, child);
    if (!*replaced)
        node->total++;
    if (!half)
        return NULL;
    edge = edge && at + 1 == node->count;
    at++;
    node->total -= half->total; /* it comes back where the half is put */
    right = make_room(tree, node, edge, &target, &at);
    open_slot(target, at);
    set_new_child(tree, target, at, half);
    target->total += half->total;
    return right;
}

void *btree_put(struct btree *tree, void *item)
{
    void *replaced = NULL;
    struct btree_node *right;
    assert(item);
    if (!tree->root)
        tree->root = make(tree, 0);
    right = put(tree, &tree->root, 1, tree->key_of(item), item, &replaced);
    if (right) {
        struct btree_node *root = make(tree, (uint16_t)(right->level + 1));
        assert(root->level < BTREE_HEIGHT_MAX);
        root->total = tree->root->total + right->total;
        root->count = 1;
        set_new_child(tree, root, 0, tree->root);
        root->count = 2;
        set_new_child(tree, root, 1, right);
        tree->root = root;
    }
    return replaced;
}

/* ---- remove ------------------------------------------------------------------------------------------------------ */

/*
 * A child of ours became small: put it together with a neighbour when both fill at most three quarters. No borrowing:
 * of two neighbours one is then always above a third, which is enough.
 */
static void merge_small(struct btree *tree, struct btree_node *node, uint32_t at)
{
    struct btree_node *left;
    struct btree_node *right;
    uint32_t side;
    uint32_t most = capacity(child_of(node, at)) * 3 / 4;

    if (child_of(node, at)->count >= capacity(child_of(node, at)) / 4)
        return;
    for (side = 0; side < 2; side++) {
        uint32_t first = side ? at : at - 1;
        if ((side == 0 && at == 0) || (side == 1 && at + 1 == node->count))
            continue;
        left = child_of(node, first);
        right = child_of(node, first + 1);
        if (left->count + right->count > most)
            continue;
        left = own(tree, left);
        (void)copy_slots(left, right, 0, right->count);
        find_common(tree, left);
        set_child(tree, node, first, left);
        close_slot(node, first + 1);
        drop(tree, right);
        return;
    }
}

static void *take(struct btree *tree, struct btree_node **at_node, struct gavel_slice key)
{
    struct btree_node *node = *at_node = own(tree, *at_node);
    struct btree_node *child;
    void *item;
    uint32_t at;
    int equal;

    node->total--;
    if (node->level == 0) {
        at = lower_bound(node, tree->key_of, key, &equal);
        assert(equal); /* btree_remove looked before */
        item = node->slot[at];
        close_slot(node, at);
        return item;
    }
    at = child_for(node, tree->key_of, key);
    child = child_of(node, at);
    item = take(tree, &child, key);
    if (child->count == 0) {
        close_slot(node, at);
        drop(tree, child);
        return item;
    }
    set_child(tree, node, at, child);
    merge_small(tree, node, at);
    return item;
}

void *btree_remove(struct btree *tree, struct gavel_slice key)
{
    void *item;
    if (!btree_find(tree, key))
        return NULL;
    item = take(tree, &tree->root, key);
    while (tree->root && (tree->root->count == 0 || (tree->root->level > 0 && tree->root->count == 1))) {
        struct btree_node *root = tree->root;
        tree->root = root->count ? child_of(root, 0) : NULL;
        drop(tree, root);
    }
    return item;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

void btree_init(struct btree *tree, struct btree_pool *pool, struct gavel_slice (*key_of)(const void *))
{
    memset(tree, 0, sizeof *tree);
    tree->pool = pool;
    tree->key_of = key_of;
}

/*
 * A put splits at most each level and adds one; each node is copied at most once while the hold lasts, but a change may
 * copy a neighbour too.
 */
uint64_t btree_need(const struct btree *tree, uint64_t inserts, uint64_t removes)
{
    uint64_t levels = tree->root ? tree->root->level + 1 : 1;
    uint64_t grown = levels + (inserts >= BTREE_CHILDREN); /* many puts may add a level on the way */
    uint64_t copies = tree->pool->held ? inserts * levels + removes * levels * 2 : 0;
    if (copies > tree->nodes)
        copies = tree->nodes;
    return copies + inserts * grown + (inserts ? 2 : 0);
}

void *btree_find(const struct btree *tree, struct gavel_slice key)
{
    const struct btree_node *node = tree->root;
    uint32_t at;
    int equal;
    if (!node)
        return NULL;
    while (node->level > 0) {
        node = child_of(node, child_for(node, tree->key_of, key));
        prefetch(node);
    }
    at = lower_bound(node, tree->key_of, key, &equal);
    return equal ? node->slot[at] : NULL;
}

uint64_t btree_count(const struct btree *tree)
{
    return tree->root ? tree->root->total : 0;
}

uint64_t btree_rank(const struct btree *tree, struct gavel_slice key)
{
    const struct btree_node *node = tree->root;
    uint64_t before = 0;
    int equal;
    if (!node)
        return 0;
    while (node->level > 0) {
        uint32_t at = child_for(node, tree->key_of, key);
        uint32_t i;
        for (i = 0; i < at; i++)
            before += child_of(node, i)->total;
        node = child_of(node, at);
    }
    return before + lower_bound(node, tree->key_of, key, &equal);
}

static void clear(struct btree *tree, struct btree_node *node)
{
    uint32_t i;
    for (i = 0; node->level > 0 && i < node->count; i++)
        clear(tree, child_of(node, i));
    drop(tree, node);
}

void btree_clear(struct btree *tree)
{
    if (tree->root)
        clear(tree, tree->root);
    tree->root = NULL;
    assert(tree->nodes == 0);
}

void btree_seek(struct btree_cursor *cursor, const struct btree_node *root,
                struct gavel_slice (*key_of)(const void *), struct gavel_slice key)
{
    const struct btree_node *node = root;
    int equal;
    cursor->depth = 0;
    if (!node)
        return;
    for (;;) {
        uint32_t at = 0;
        if (key.size)
            at = node->level ? child_for(node, key_of, key) : lower_bound(node, key_of, key, &equal);
        assert(cursor->depth < BTREE_HEIGHT_MAX);
        cursor->node[cursor->depth] = node;
        cursor->at[cursor->depth++] = at;
        if (node->level == 0)
            break;
        node = child_of(node, at);
    }
    if (cursor->at[cursor->depth - 1] == node->count) { /* the next leaf's first item */
        cursor->at[cursor->depth - 1]--;
        btree_step(cursor);
    }
}

void *btree_at(const struct btree_cursor *cursor)
{
    return cursor->depth ? cursor->node[cursor->depth - 1]->slot[cursor->at[cursor->depth - 1]] : NULL;
}

void btree_step(struct btree_cursor *cursor)
{
    const struct btree_node *node;
    while (cursor->depth > 0 && ++cursor->at[cursor->depth - 1] == cursor->node[cursor->depth - 1]->count)
        cursor->depth--;
    if (cursor->depth == 0)
        return;
    for (node = cursor->node[cursor->depth - 1]; node->level > 0; node = cursor->node[cursor->depth - 1]) {
        cursor->node[cursor->depth] = child_of(node, cursor->at[cursor->depth - 1]);
        cursor->at[cursor->depth++] = 0;
    }
}

static uint64_t check(const struct btree *tree, const struct btree_node *node)
{
    uint64_t total = 0;
    uint64_t nodes = 1;
    uint32_t i;
    assert(node->count > 0);
    assert(node->count <= capacity(node));
    assert(node->epoch <= tree->pool->epoch);
    for (i = 0; i < node->count; i++) {
        struct gavel_slice key = tree->key_of(node->slot[i]);
        assert(key.size >= node->common_size);
        assert(node->common_size == 0 || memcmp(key.data, node->common, node->common_size) == 0);
        assert(node->head[i] == head_of(key, node->common_size));
        assert(i == 0 || gavel_slice_compare(tree->key_of(node->slot[i - 1]), key) < 0);
        if (node->level == 0)
            continue;
        assert(child_of(node, i)->level + 1 == node->level);
        assert(child_of(node, i)->slot[0] == node->slot[i]);
        nodes += check(tree, child_of(node, i));
        total += child_of(node, i)->total;
    }
    assert(node->total == (node->level ? total : node->count));
    return nodes;
}

void btree_check(const struct btree *tree)
{
    assert(tree->nodes == (tree->root ? check(tree, tree->root) : 0));
}
