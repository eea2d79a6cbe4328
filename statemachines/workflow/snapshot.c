/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.c - a store as a stream of chunks, and back.
 *
 * A snapshot is the state at the revision where the history begins, then the history: a restore loads the first and
 * replays the second with the same code that ran the commands, so that what it builds cannot differ.
 *
 *   chunk   record...            some 64 KiB; a record is never cut
 *   record  u8 kind, then, little-endian:
 *     1 head     u64 format, u64 trimmed
 *     2 kept     u64 create, u64 modify, u64 version, u32 key bytes, u32 value bytes, key, value    (as of `trimmed`)
 *     3 change   u64 revision, u32 key bytes, u32 value bytes or ffffffff for a deletion, key, value  (ascending)
 *     4 end      u64 kept, u64 changes
 *
 * store_snapshot_next reads only what was frozen when the snapshot began: nodes and versions of the held epoch, and its
 * own struct. It follows `older` only from versions above the trimmed revision of then, which keeps what it points to.
 */
#include "store.h"

#include <assert.h>

#define SNAPSHOT_MAGIC 0x676c5353u
#define SNAPSHOT_FORMAT 1
#define CHUNK_BYTES (64u << 10)
#define DELETION UINT32_MAX
#define VERSION_MAX (UINT64_MAX >> 8) /* far above any log: so that it cannot wrap to 0, which means a tombstone */
#define AHEAD 8 /* items whose versions are looked for at the same time: memory answers several at once */
#define VALUE_MAX (16u << 20) /* far above any option: a wrong length is found before memory is asked for */

enum record { RECORD_HEAD = 1, RECORD_KEPT, RECORD_CHANGE, RECORD_END };
enum phase { PHASE_HEAD, PHASE_LIVE, PHASE_GRAVES, PHASE_HISTORY, PHASE_END, PHASE_DONE };

struct store_snapshot {
    uint32_t magic;
    enum phase phase;
    uint64_t trimmed;
    uint64_t kept;
    uint64_t changes;
    const struct btree_node *live;
    const struct btree_node *graves;
    const struct btree_node *history;
    struct btree_cursor cursor;  /* behind what is ahead */
    const struct item *ahead[AHEAD]; /* of this phase; NULL: nothing that is to be put */
    uint32_t ahead_at;
    uint32_t ahead_count;
};

int32_t store_snapshot_begin(struct store *store, struct store_snapshot **snapshot)
{
    struct store_snapshot *made = store->heap->resize(store->heap->self, NULL, sizeof *made);
    if (!made)
        return GAVEL_E_NO_MEMORY;
    assert(store->staged_count == 0);
    memset(made, 0, sizeof *made);
    made->magic = SNAPSHOT_MAGIC;
    made->trimmed = store->trimmed;
    made->live = store->live.root;
    made->graves = store->graves.root;
    made->history = store->history.root;
    btree_pool_hold(&store->pool);
    *snapshot = made;
    return GAVEL_OK;
}

void store_snapshot_end(struct store *store, struct store_snapshot *snapshot)
{
    if (!snapshot)
        return;
    assert(snapshot->magic == SNAPSHOT_MAGIC);
    snapshot->magic = 0;
    btree_pool_release(&store->pool);
    btree_list_splice(&store->dead_items, &store->retired_items);
    (void)store->heap->resize(store->heap->self, snapshot, 0);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void put_u64(unsigned char *to, uint64_t number)
{
    memcpy(to, &number, sizeof number); /* little-endian machines only: configure sees to it */
}

static void put_u32(unsigned char *to, uint32_t number)
{
    memcpy(to, &number, sizeof number);
}

/* A record in one piece: its fixed part, then the bytes of a version (may be NULL). Nothing on failure. */
static int32_t put_record(struct gavel_buffer *chunk, const void *fixed, uint64_t size, const struct item *item)
{
    uint64_t bytes = item ? (uint64_t)item->key_size + item->value_size : 0;
    int32_t status = gavel_buffer_reserve(chunk, size + bytes);
    if (status != GAVEL_OK)
        return status;
    (void)gavel_buffer_append(chunk, fixed, size);
    return item ? gavel_buffer_append(chunk, item->bytes, bytes) : GAVEL_OK;
}

static int32_t put_head(struct store_snapshot *snapshot, struct gavel_buffer *chunk)
{
    unsigned char fixed[17] = { RECORD_HEAD };
    put_u64(fixed + 1, SNAPSHOT_FORMAT);
    put_u64(fixed + 9, snapshot->trimmed);
    return put_record(chunk, fixed, sizeof fixed, NULL);
}

static int32_t put_end(struct store_snapshot *snapshot, struct gavel_buffer *chunk)
{
    unsigned char fixed[17] = { RECORD_END };
    put_u64(fixed + 1, snapshot->kept);
    put_u64(fixed + 9, snapshot->changes);
    return put_record(chunk, fixed, sizeof fixed, NULL);
}

static int32_t put_kept(struct store_snapshot *snapshot, struct gavel_buffer *chunk, const struct item *item)
{
    unsigned char fixed[33] = { RECORD_KEPT };
    if (item->version == 0)
        return GAVEL_OK; /* it did not exist when the history begins */
    put_u64(fixed + 1, item->create);
    put_u64(fixed + 9, item_modify(item));
    put_u64(fixed + 17, item->version);
    put_u32(fixed + 25, item->key_size);
    put_u32(fixed + 29, item->value_size);
    snapshot->kept++;
    return put_record(chunk, fixed, sizeof fixed, item);
}

static int32_t put_change(struct store_snapshot *snapshot, struct gavel_buffer *chunk, const struct item *item)
{
    unsigned char fixed[17] = { RECORD_CHANGE };
    put_u64(fixed + 1, item_modify(item));
    put_u32(fixed + 9, item->key_size);
    put_u32(fixed + 13, item->version ? item->value_size : DELETION);
    snapshot->changes++;
    return put_record(chunk, fixed, sizeof fixed, item);
}

static void prefetch(const struct item *item)
{
    __builtin_prefetch(&item->older);
    __builtin_prefetch(item->bytes);
}

/* Those ahead go back to what they were when the history begins, a version each in turn. */
static void walk_back(struct store_snapshot *snapshot)
{
    int moved = 1;
    while (moved) {
        uint32_t i;
        moved = 0;
        for (i = 0; i < snapshot->ahead_count; i++) {
            const struct item *item = snapshot->ahead[i];
            if (!item || item_modify(item) <= snapshot->trimmed)
                continue;
            snapshot->ahead[i] = item->older;
            if (item->older)
                prefetch(item->older);
            moved = 1;
        }
    }
}

/* The next items of the present tree. 0 when there are no more. Walks need no order here. */
static int look_ahead(struct store_snapshot *snapshot)
{
    const struct item *item;
    snapshot->ahead_at = snapshot->ahead_count = 0;
    while (snapshot->ahead_count < AHEAD && (item = btree_at(&snapshot->cursor)) != NULL) {
        prefetch(item);
        snapshot->ahead[snapshot->ahead_count++] = item;
        btree_step(&snapshot->cursor);
    }
    if (snapshot->phase != PHASE_HISTORY)
        walk_back(snapshot);
    return snapshot->ahead_count > 0;
}

static void next_phase(struct store_snapshot *snapshot)
{
    snapshot->phase++;
    btree_seek(&snapshot->cursor, snapshot->phase == PHASE_LIVE ? snapshot->live :
               snapshot->phase == PHASE_GRAVES ? snapshot->graves :
               snapshot->phase == PHASE_HISTORY ? snapshot->history : NULL, NULL, gavel_bytes(NULL, 0));
}

/* What the phase puts for the item whose turn it is. */
static int32_t put_item(struct store_snapshot *snapshot, struct gavel_buffer *chunk)
{
    const struct item *item = snapshot->ahead[snapshot->ahead_at];
    int32_t status = GAVEL_OK;
    if (item && snapshot->phase == PHASE_HISTORY)
        status = put_change(snapshot, chunk, item);
    else if (item)
        status = put_kept(snapshot, chunk, item);
    snapshot->ahead_at++;
    return status;
}

int32_t store_snapshot_next(struct store_snapshot *snapshot, struct gavel_buffer *chunk)
{
    const uint64_t begin = chunk->size;
    int32_t status = GAVEL_OK;
    assert(snapshot->magic == SNAPSHOT_MAGIC);
    while (status == GAVEL_OK && snapshot->phase != PHASE_DONE && chunk->size - begin < CHUNK_BYTES) {
        if (snapshot->ahead_at < snapshot->ahead_count || look_ahead(snapshot)) {
            status = put_item(snapshot, chunk);
            continue;
        }
        if (snapshot->phase == PHASE_HEAD)
            status = put_head(snapshot, chunk);
        else if (snapshot->phase == PHASE_END)
            status = put_end(snapshot, chunk);
        next_phase(snapshot);
    }
    return status != GAVEL_OK ? status : snapshot->phase != PHASE_DONE;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct input {
    const unsigned char *at;
    uint64_t left;
};

static uint64_t get(struct input *input, unsigned bytes)
{
    uint64_t number = 0;
    assert(input->left >= bytes);
    memcpy(&number, input->at, bytes);
    input->at += bytes;
    input->left -= bytes;
    return number;
}

static int32_t damaged(const struct store_restore *restore, struct gavel_error *error, const char *what)
{
    return gavel_fail(error, GAVEL_E_CORRUPT, "snapshot of the store, record %llu: %s",
                      (unsigned long long)(restore->kept + restore->changes), what);
}

/* The key and value that follow a record's fixed part. 0 when they do not fit, or may not be stored. */
static int get_pair(struct input *input, uint64_t key_size, uint64_t value_size, struct gavel_slice *key,
                    struct gavel_slice *value, store_check *check)
{
    uint64_t size = value_size == DELETION ? 0 : value_size;
    if (key_size < 1 || key_size > STORE_KEY_MAX || size > VALUE_MAX || input->left < key_size + size)
        return 0;
    *key = gavel_bytes(input->at, key_size);
    *value = gavel_bytes(value_size == DELETION ? NULL : input->at + key_size, size);
    input->at += key_size + size;
    input->left -= key_size + size;
    return check(*key, *value) == GAVEL_OK;
}

/* Store what is staged now, without trimming. */
static int32_t apply_staged(struct store *store, struct gavel_error *error)
{
    struct store_limits limits = store->limits;
    if (store_reserve(store) != GAVEL_OK) {
        store_abort(store);
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to restore the store");
    }
    store->limits.history_revisions = store->limits.history_bytes = UINT64_MAX;
    store_apply(store);
    store->limits = limits;
    return GAVEL_OK;
}

static int32_t take_kept(struct store *store, struct store_restore *restore, struct input *input, store_check *check,
                         struct gavel_error *error)
{
    uint64_t create;
    uint64_t modify;
    uint64_t version;
    uint64_t key_size;
    uint64_t value_size;
    struct gavel_slice key;
    struct gavel_slice value;
    int32_t status;

    if (input->left < 32)
        return damaged(restore, error, "cut short");
    create = get(input, 8);
    modify = get(input, 8);
    version = get(input, 8);
    key_size = get(input, 4);
    value_size = get(input, 4);
    if (value_size == DELETION || !get_pair(input, key_size, value_size, &key, &value, check))
        return damaged(restore, error, "a key or value that cannot be");
    if (modify > store->trimmed || create > modify || version < 1 || version > VERSION_MAX || restore->changes > 0)
        return damaged(restore, error, "revisions that cannot be");
    if (store_find(store, key))
        return damaged(restore, error, "a key is there twice");
    status = store_load(store, key, value, create, modify, version);
    if (status != GAVEL_OK)
        return gavel_fail(error, status, "no memory to restore the store");
    restore->kept++;
    return GAVEL_OK;
}

static int32_t take_change(struct store *store, struct store_restore *restore, struct input *input, store_check *check,
                           struct gavel_error *error)
{
    uint64_t revision;
    uint64_t key_size;
    uint64_t value_size;
    struct gavel_slice key;
    struct gavel_slice value;
    struct item *item;

    if (input->left < 16)
        return damaged(restore, error, "cut short");
    revision = get(input, 8);
    key_size = get(input, 4);
    value_size = get(input, 4);
    if (!get_pair(input, key_size, value_size, &key, &value, check))
        return damaged(restore, error, "a key or value that cannot be");
    if (revision <= store->last || (revision & 255) < 1 || (revision & 255) > STORE_CHANGES_MAX)
        return damaged(restore, error, "a change out of order");
    if (!value.data && !store_find(store, key))
        return damaged(restore, error, "a deletion of what does not exist");
    store_begin_at(store, revision);
    if (store_stage(store, key, value, &item) != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to restore the store");
    restore->changes++;
    return apply_staged(store, error);
}

int32_t store_restore_chunk(struct store *store, struct store_restore *restore, struct gavel_slice chunk,
                            store_check *check, struct gavel_error *error)
{
    struct input input = { chunk.data, chunk.size };
    int32_t status = GAVEL_OK;
    while (status == GAVEL_OK && input.left > 0) {
        uint64_t kind = get(&input, 1);
        if ((kind == RECORD_HEAD) != (restore->phase == PHASE_HEAD) || restore->phase == PHASE_DONE)
            return damaged(restore, error, "out of place");
        if (kind == RECORD_KEPT) {
            status = take_kept(store, restore, &input, check, error);
        } else if (kind == RECORD_CHANGE) {
            status = take_change(store, restore, &input, check, error);
        } else if (kind != RECORD_HEAD && kind != RECORD_END) {
            return damaged(restore, error, "of an unknown sort");
        } else if (input.left < 16) {
            return damaged(restore, error, "cut short");
        } else if (kind == RECORD_HEAD) {
            if (get(&input, 8) != SNAPSHOT_FORMAT)
                return damaged(restore, error, "of a format that this program does not know");
            store->last = store->trimmed = get(&input, 8);
            restore->phase = PHASE_LIVE;
        } else {
            uint64_t kept = get(&input, 8);
            if (kept != restore->kept || get(&input, 8) != restore->changes)
                return damaged(restore, error, "records are missing");
            restore->phase = PHASE_DONE;
        }
    }
    return status;
}

int32_t store_restore_end(struct store_restore *restore, struct gavel_error *error)
{
    return restore->phase == PHASE_DONE ? GAVEL_OK : damaged(restore, error, "the end is missing");
}
