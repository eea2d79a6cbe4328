/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - keys, their versions and their history, below the commands. It knows bytes and revisions, no documents.
 *
 * A revision is the pair (index of the log entry, ordinal of the change in it, from 1 on, as the host counts events);
 * here it is one number, index * 256 + ordinal. Each change makes one version of one key. Three trees share
 * the versions:
 *
 *   live      key -> its latest version
 *   graves    key -> the tombstone of a key that was deleted, while its deletion is in the history
 *   history   revision -> the version that this change made; the oldest are trimmed
 *
 * A version points to the one before it of the same key. That older one is kept until the change that replaced it is
 * trimmed; so the state at any revision from `trimmed` on can be read: walk from a key's latest version back. Trimming
 * happens inside of each write, a few changes at a time, which is part of applying the log like everything else: memory
 * is bounded after each entry, and no timer makes a pause.
 *
 * A write is staged, then reserved (the last thing that may fail), then applied. Before store_apply nothing has changed
 * but memory; store_abort forgets what is staged.
 *
 * Lane: [apply], but store_snapshot_next, which may run on a worker beside it.
 */
#ifndef WORKFLOW_STORE_H
#define WORKFLOW_STORE_H

#include "btree.h"

#define STORE_CHANGES_MAX 128 /* in one entry: keeps a batch near 100 us; below 255, see revisions */
#define STORE_TRIM_MAX 64     /* changes trimmed with one entry at the most, for the same reason */
#define STORE_KEY_MAX 4096    /* bytes of a key, whatever the options say */

/* One version of a key; version 0 is a tombstone. Never changed once it is applied, but for `link`. */
struct item {
    struct btree_link link;
    uint64_t epoch;    /* of the pool, when it was made: frozen like a node */
    struct item *older; /* the version before; valid while this one's change is not trimmed */
    uint64_t hash[2];  /* over all that follows */
    uint64_t create;   /* revision that made the key */
    unsigned char order[8]; /* revision of this change, the biggest byte first: its key in the history */
    uint64_t version;  /* changes since the key was made, 1 and up */
    uint32_t key_size;
    uint32_t value_size;
    unsigned char bytes[]; /* key, then value */
};

struct store_limits {
    uint64_t history_revisions; /* changes kept */
    uint64_t history_bytes;     /* bytes of replaced versions kept */
};

struct store {
    const struct gavel_heap *heap;
    struct store_limits limits;
    struct btree_pool pool;
    struct btree live;
    struct btree graves;
    struct btree history;
    uint64_t last;          /* the latest revision ever applied: each new one is above */
    uint64_t trimmed;       /* the last change that left the history; 0: none did */
    uint64_t history_bytes; /* of replaced versions */
    uint64_t digest[2];     /* over every version that is kept, see store_digest */
    struct btree_list retired_items; /* dropped, but the snapshot may read them */
    struct btree_list dead_items;    /* to be given back, a few with each write */
    uint64_t revision;      /* of the first change that is staged */
    uint64_t staged_count;
    struct item *staged[STORE_CHANGES_MAX];
};

/* ---- versions ---------------------------------------------------------------------------------------------------- */

static inline struct gavel_slice item_key(const struct item *item)
{
    return gavel_bytes(item->bytes, item->key_size);
}

static inline struct gavel_slice item_value(const struct item *item)
{
    return gavel_bytes(item->bytes + item->key_size, item->value_size);
}

/* The revision of the change that made this version. */
static inline uint64_t item_modify(const struct item *item)
{
    uint64_t revision;
    memcpy(&revision, item->order, sizeof revision);
    return __builtin_bswap64(revision); /* little-endian machines only: configure sees to it */
}

/* The log index of a revision: what people see of it. */
static inline uint64_t revision_index(uint64_t revision)
{
    return revision >> 8;
}

/* The last revision that an entry can have: the bound of "as of index". */
static inline uint64_t revision_bound(uint64_t index)
{
    return index << 8 | 255;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

void store_init(struct store *store, const struct gavel_heap *heap, const struct store_limits *limits);

/* Give everything back. No snapshot is held. */
void store_free(struct store *store);

/* Drop the state, for a restore; a held snapshot stays as it is. */
void store_clear(struct store *store);

/* The digest: an order-free sum over all kept versions, live, replaced and tombstones, and where the history begins. */
void store_digest(const struct store *store, uint64_t digest[2]);

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The latest version of a key, staged ones too; NULL when it does not exist. */
struct item *store_find(const struct store *store, struct gavel_slice key);

/* Reading as of `bound` (see revision_bound) is possible: not below what was trimmed. */
static inline int store_reaches(const struct store *store, uint64_t bound)
{
    return bound >= store->trimmed;
}

/* The version of a key as of `bound`, which store_reaches; NULL when there was none. */
const struct item *store_find_at(const struct store *store, struct gavel_slice key, uint64_t bound);

/* A walk over keys in order, now or as of a revision. */
struct store_scan {
    const struct store *store;
    uint64_t bound; /* UINT64_MAX: now */
    struct btree_cursor live;
    struct btree_cursor graves; /* as of a revision only: what was deleted since */
    struct gavel_slice key;     /* where it stands; data NULL at the end */
    const struct item *item;    /* the version that is visible there, or NULL */
};

/* Stand on the first key that is not below `from`. The walk ends with the next change of the store. */
void store_scan_begin(struct store_scan *scan, const struct store *store, struct gavel_slice from, uint64_t bound);
void store_scan_step(struct store_scan *scan);

/* How many keys there are with from <= key < to. */
uint64_t store_count(const struct store *store, struct gavel_slice from, struct gavel_slice to);

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Begin to stage the changes of an entry. GAVEL_E_CORRUPT when the store has seen a later one. */
int32_t store_begin(struct store *store, uint64_t index);

/* The same for the one change with that revision, which is above store->last. */
void store_begin_at(struct store *store, uint64_t revision);

/* Put a version straight into the live tree, for a restore: its key is not there. GAVEL_E_NO_MEMORY. */
int32_t store_load(struct store *store, struct gavel_slice key, struct gavel_slice value, uint64_t create,
                   uint64_t modify, uint64_t version);

/*
 * Stage a new version of a key (value data NULL: its deletion). The key is 1..STORE_KEY_MAX bytes. GAVEL_E_NO_MEMORY;
 * GAVEL_E_TOO_LARGE after STORE_CHANGES_MAX changes. *staged is readable until store_apply or store_abort.
 */
int32_t store_stage(struct store *store, struct gavel_slice key, struct gavel_slice value, struct item **staged);

/* Have memory for all that is staged. GAVEL_E_NO_MEMORY: abort it. */
int32_t store_reserve(struct store *store);

/* Apply what is staged and trim the history. Cannot fail. */
void store_apply(struct store *store);

/* Forget what is staged. */
void store_abort(struct store *store);

/* 1 when the history is over its limits, as after they were lowered. */
int store_over(const struct store *store);

/* Trim up to STORE_TRIM_MAX changes more. GAVEL_E_NO_MEMORY: nothing was done. */
int32_t store_compact(struct store *store);

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

struct store_snapshot;

/* [apply] Hold the present state. One at a time. GAVEL_E_NO_MEMORY. */
int32_t store_snapshot_begin(struct store *store, struct store_snapshot **snapshot);

/* [worker] Append the next chunk. 1: more follows, 0: that was all; or the buffer's error. */
int32_t store_snapshot_next(struct store_snapshot *snapshot, struct gavel_buffer *chunk);

/* [apply] Let go of it. */
void store_snapshot_end(struct store *store, struct store_snapshot *snapshot);

/* Says what a restore may store: GAVEL_OK or GAVEL_E_CORRUPT. */
typedef int32_t store_check(struct gavel_slice key, struct gavel_slice value);

/* Where a restore stands. */
struct store_restore {
    uint64_t phase;
    uint64_t kept;    /* records of each sort so far */
    uint64_t changes;
};

/*
 * [apply] Take a chunk; the store was cleared before the first one. `check` is asked for each key and value (data NULL:
 * a deletion). GAVEL_E_CORRUPT or GAVEL_E_NO_MEMORY with a sentence; the store then has a part of a state: clear it.
 */
int32_t store_restore_chunk(struct store *store, struct store_restore *restore, struct gavel_slice chunk,
                            store_check *check, struct gavel_error *error);

/* [apply] The end: GAVEL_E_CORRUPT when the snapshot is not complete. */
int32_t store_restore_end(struct store_restore *restore, struct gavel_error *error);

#endif
