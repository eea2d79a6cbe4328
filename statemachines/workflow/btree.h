/* SPDX-License-Identifier: Apache-2.0 */
/*
 * btree.h - a copy-on-write B+tree in memory. It orders items of the caller's (pointers that it never frees) by their
 * keys, bytes in memcmp order, counts them, and can be held: what a holder saw stays as it was while the tree goes on.
 *
 * A node keeps what its keys have in common once, and 8 bytes of each key from there on. So a search reads nodes, and
 * an item only where those 8 bytes are equal: at 100,000 keys that is one cache miss instead of ten.
 *
 * Holding without reference counts. Every node knows the epoch in which it was made. Holding raises the epoch; from
 * then on a node of an earlier epoch is frozen: a change copies it first and retires the original, which is given back
 * only after the hold has ended. So a holder on another thread reads nodes that nobody writes, without an atomic
 * operation, and without a hold every change is made in place. (Counts of references would have to be raised for all
 * the children of each copied node: some 30 cache misses a level.)
 *
 * Changes cannot fail. btree_pool_reserve puts enough nodes aside before the first of them; so a command that runs out
 * of memory has not begun.
 *
 * Lanes: everything belongs to [apply], but a cursor over a held root, which any one thread may use.
 */
#ifndef WORKFLOW_BTREE_H
#define WORKFLOW_BTREE_H

#include <gavel/abi.h>

#define BTREE_LEAF_ITEMS 48  /* items in a leaf: a node has some 830 bytes */
#define BTREE_CHILDREN 24    /* children of a branch, each with the first item below it */
#define BTREE_COMMON_MAX 24  /* bytes that a node keeps of what its keys have in common */
#define BTREE_HEIGHT_MAX 16  /* more than any memory holds: neighbours are merged below a quarter */

/* First member of whatever goes into a list of memory; holders do not read it. */
struct btree_link {
    struct btree_link *next;
};

struct btree_node {
    struct btree_link link;
    uint64_t epoch;          /* in which it was made */
    uint64_t total;          /* items in and below it */
    uint32_t count;          /* slots in use */
    uint16_t level;          /* 0: a leaf */
    uint16_t common_size;    /* every key of the slots begins with these bytes ... */
    unsigned char common[BTREE_COMMON_MAX];
    uint64_t head[BTREE_LEAF_ITEMS]; /* ... and goes on with these, the first byte highest; zeros behind its end */
    /* A leaf: items. A branch: the first items of its children, and the children from BTREE_CHILDREN on. */
    void *slot[BTREE_LEAF_ITEMS];
};

/* A stack of memory: of nodes here, of items in a caller. */
struct btree_list {
    struct btree_link *first;
    struct btree_link *last;
    uint64_t count;
};

/* Nodes and the epoch, shared by the trees that are held together. */
struct btree_pool {
    const struct gavel_heap *heap;
    uint64_t epoch;            /* of nodes made now; above 0 */
    uint64_t held;             /* nodes up to this epoch are frozen; 0: nobody holds */
    struct btree_list free;    /* ready for use */
    struct btree_list retired; /* replaced, but frozen */
};

struct btree {
    struct btree_pool *pool;
    struct gavel_slice (*key_of)(const void *item); /* stays as it is while the item is in the tree */
    struct btree_node *root; /* NULL: empty */
    uint64_t nodes;
};

/* Where a walk stands. */
struct btree_cursor {
    uint32_t depth; /* 0: at the end */
    uint32_t at[BTREE_HEIGHT_MAX];
    const struct btree_node *node[BTREE_HEIGHT_MAX];
};

/* ---- pool -------------------------------------------------------------------------------------------------------- */

/* Make *pool empty on `heap`. */
void btree_pool_init(struct btree_pool *pool, const struct gavel_heap *heap);

/* Have `nodes` free nodes ready. 0, or GAVEL_E_NO_MEMORY and nothing has changed that matters. */
int32_t btree_pool_reserve(struct btree_pool *pool, uint64_t nodes);

/* Give free nodes over `keep` back to the heap, at most `most` of them. */
void btree_pool_trim(struct btree_pool *pool, uint64_t keep, uint64_t most);

/* Freeze every node that there is; one hold at a time. The holder keeps a copy of each tree's root. O(1). */
void btree_pool_hold(struct btree_pool *pool);

/* End the hold; the retired nodes become free ones. O(1). */
void btree_pool_release(struct btree_pool *pool);

/* Free all nodes of the pool's lists. The trees are cleared before; nobody holds. */
void btree_pool_free(struct btree_pool *pool);

/* Put memory into a list by the link in front of it; take the first out (NULL when empty). */
void btree_list_push(struct btree_list *list, struct btree_link *link);
struct btree_link *btree_list_pop(struct btree_list *list);
/* Move everything of `from` to the end of `to`. O(1). */
void btree_list_splice(struct btree_list *to, struct btree_list *from);

/* ---- trees ------------------------------------------------------------------------------------------------------- */

/* Make *tree empty. */
void btree_init(struct btree *tree, struct btree_pool *pool, struct gavel_slice (*key_of)(const void *));

/* The most nodes that `inserts` puts and `removes` removes can take from the pool. */
uint64_t btree_need(const struct btree *tree, uint64_t inserts, uint64_t removes);

/* The item with that key, or NULL. */
void *btree_find(const struct btree *tree, struct gavel_slice key);

/* Put an item in; the one with the same key that it replaces, or NULL. Needs reserved nodes: asserted. */
void *btree_put(struct btree *tree, void *item);

/* Take the item with that key out and answer it, or NULL when there is none. Needs reserved nodes. */
void *btree_remove(struct btree *tree, struct gavel_slice key);

/* How many items there are; how many come before `key`. */
uint64_t btree_count(const struct btree *tree);
uint64_t btree_rank(const struct btree *tree, struct gavel_slice key);

/* Drop all nodes; the items are the caller's. */
void btree_clear(struct btree *tree);

/* Check every rule of the structure (order, heads, counts, first items, levels); aborts at a broken one. For tests. */
void btree_check(const struct btree *tree);

/* ---- walks ------------------------------------------------------------------------------------------------------- */

/*
 * Stand before the first item that is not below `key` (empty: the very first) under a root of a tree with that key_of
 * (NULL: an empty tree).
 */
void btree_seek(struct btree_cursor *cursor, const struct btree_node *root,
                struct gavel_slice (*key_of)(const void *), struct gavel_slice key);

/* The item at the cursor, NULL at the end. */
void *btree_at(const struct btree_cursor *cursor);

/* One item on. */
void btree_step(struct btree_cursor *cursor);

#endif
