/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.h - the batch: the unit in which entries are proposed, replicated, stored, truncated, compacted and sent.
 *
 * A batch is made once, by the proposing leader. Its bytes are equal on every node and on the wire; nobody re-encodes
 * them. All numbers are little-endian.
 *
 *   batch   0 u32 magic "GVBT"    4 u16 version (1)     6 u16 zero            8 u64 term
 *          16 u64 first index    24 u32 count          28 u32 bytes (all)    32 u64 wall, ms since 1970
 *          40 u64 tick, ms       48 u32 payload crc    52 u32 chain crc      56 u32 header crc (of 0..55)  60 u32 zero
 *          64 entries
 *   entry   0 u32 bytes (all, a multiple of 8)          4 u32 payload bytes   8 u16 kind    10 u16 machine
 *          12 u16 principal bytes 14 u16 zero          16 u64 session        24 u64 sequence      32 u64 acked
 *          40 principal, payload, zeroes to a multiple of 8
 *
 * payload crc covers bytes 64.., header crc covers 0..55, so that index and term survive a damaged payload. The chain
 * crc covers the chain before it (u32) and then bytes 0..51: equal chains at one index mean equal logs up to there.
 */
#ifndef CORE_LOG_BATCH_H
#define CORE_LOG_BATCH_H

#include <gavel/abi.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_BATCH_MAGIC 0x54425647u
#define LOG_BATCH_VERSION 1
#define LOG_BATCH_HEAD 64                   /* bytes of the header */
#define LOG_BATCH_MAX (1024 * 1024)         /* bytes of a whole batch: bounds what one read, frame or message costs */
#define LOG_ENTRY_HEAD 40                   /* bytes of an entry before its principal */
#define LOG_PRINCIPAL_MAX 1024              /* bytes of a principal */
#define LOG_ENTRY_MAX (LOG_BATCH_MAX - LOG_BATCH_HEAD) /* bytes of the largest whole entry */

/* Kinds of entries. Numbers are never reused. The node defines what lies in a payload; HOST entries carry the node's
 * own sub-kind (sessions, compaction, settings ...) there. A CONFIG entry stands alone in its batch. */
enum log_kind { LOG_NOOP = 0, LOG_CONFIG = 1, LOG_COMMAND = 2, LOG_HOST = 3, LOG_KINDS };

/* One entry, to add or as found. The slices of a found one point into the batch. */
struct log_entry {
    uint64_t index; /* set by the iterator; ignored when adding */
    uint16_t kind;  /* enum log_kind; others are carried as they are */
    uint16_t machine;
    uint32_t pad;
    uint64_t session;
    uint64_t sequence;
    uint64_t acked;
    struct gavel_slice principal;
    struct gavel_slice payload;
};

/* What a batch header says. */
struct log_batch_head {
    uint64_t term;
    uint64_t first; /* index of the first entry; the last is first + count - 1 */
    uint32_t count; /* at least 1 */
    uint32_t bytes; /* of the whole batch, a multiple of 8 */
    uint64_t wall;
    uint64_t tick;
    uint32_t payload_crc;
    uint32_t chain;
};

/* ---- batches in memory --------------------------------------------------------------------------------- */

/* Free lists of batch memory by size, so that a small append allocates nothing. One per node; loop only. */
struct log_pool;

/* A batch in memory: counted references (loop only, not atomic), its header decoded, its bytes never changed. A lane
 * may read `data` while the loop holds a reference for it. */
struct log_batch {
    uint32_t magic;
    uint32_t references;
    struct log_pool *pool;
    struct log_batch *next; /* the pool's */
    uint32_t size_class;    /* the pool's */
    uint32_t kind;          /* enum log_kind of the first entry */
    struct log_batch_head head;
    uint8_t *data; /* head.bytes bytes, 8-byte aligned */
};

/* [loop] A new pool that keeps at most `keep_bytes` of free memory; NULL when memory is out. */
struct log_pool *log_pool_new(uint64_t keep_bytes);

/* [loop] Free it; every batch must have come back (asserted). Returns NULL; NULL is fine. */
struct log_pool *log_pool_free(struct log_pool *pool);

/* [loop] Take one more reference; returns the batch. */
struct log_batch *log_batch_ref(struct log_batch *batch);

/* [loop] Give a reference back; the last one returns the memory to the pool. Returns NULL; NULL is fine. */
struct log_batch *log_batch_unref(struct log_batch *batch);

/* [loop] A batch from bytes that came from elsewhere (a peer, a file): checks everything that log_batch_check does,
 * copies, and gives one reference. GAVEL_E_CORRUPT, GAVEL_E_TOO_LARGE, GAVEL_E_NO_MEMORY. */
int log_batch_copy(struct log_pool *pool, const void *data, uint64_t size, struct log_batch **batch,
                   struct gavel_error *error);

/* ---- reading bytes ------------------------------------------------------------------------------------- */

/* [any] Decode and check the header alone: magic, version, header crc, sane count and bytes. `size` is what there is
 * (at least LOG_BATCH_HEAD), and may be less or more than head->bytes. GAVEL_E_CORRUPT, GAVEL_E_VERSION. */
int log_batch_head(const void *data, uint64_t size, struct log_batch_head *head, struct gavel_error *error);

/* [any] Check a whole batch of exactly `size` bytes: header, payload crc, every entry inside its bounds, their count.
 * Trusts nothing in it; reads only within `size`. Does not check the chain: see log_batch_chain. */
int log_batch_check(const void *data, uint64_t size, struct log_batch_head *head, struct gavel_error *error);

/* [any] The chain crc that a batch of these bytes must carry when the chain before it is `previous`. A log's first
 * batch (index 1) has previous 0. */
uint32_t log_batch_chain(uint32_t previous, const void *data);

/* An iterator over the entries of a checked batch. */
struct log_entries {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t index;
};

/* [any] Begin at the first entry of a batch that log_batch_check has accepted. */
void log_entries_begin(struct log_entries *entries, const void *data);

/* [any] The next entry, its slices pointing into the batch; false at the end. */
bool log_entries_next(struct log_entries *entries, struct log_entry *entry);

/* ---- making one ---------------------------------------------------------------------------------------- */

/* Collects entries. Loop only; keeps its buffer from batch to batch. All zero is a valid empty one. */
struct log_builder {
    uint8_t *data; /* entries so far, behind room for the header */
    uint32_t bytes;
    uint32_t capacity;
    uint32_t count;
    uint32_t kind; /* of the first entry */
};

/* [loop] Append a copy of an entry. GAVEL_E_BUSY: this batch is full, seal it and add again. GAVEL_E_TOO_LARGE: no
 * batch can hold it (principal over LOG_PRINCIPAL_MAX, or the entry over LOG_ENTRY_MAX). GAVEL_E_NO_MEMORY. */
int log_builder_add(struct log_builder *builder, const struct log_entry *entry);

/* [loop] Bytes that an entry with this principal and payload takes in a batch. */
uint64_t log_entry_bytes(uint64_t principal_bytes, uint64_t payload_bytes);

/* [loop] Make the batch from what was added (at least one entry; asserted), stamp it, and empty the builder. The
 * caller gets one reference. On GAVEL_E_NO_MEMORY the builder keeps its entries. */
int log_builder_seal(struct log_builder *builder, struct log_pool *pool, uint64_t term, uint64_t first, uint64_t wall,
                     uint64_t tick, uint32_t previous_chain, struct log_batch **batch);

/* [loop] Drop what was added. */
void log_builder_reset(struct log_builder *builder);

/* [loop] Give the memory back; the builder stays usable. */
void log_builder_free(struct log_builder *builder);

#endif
