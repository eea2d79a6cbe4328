/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.c - batches: their bytes, checked and unchecked, and the builder. Layout in batch.h. Memory: pool.c.
 */
#include "core/log/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/pool.h"
#include "core/os/bytes.h"
#include "core/os/crc32c.h"
#include "core/os/seeded.h"

/* Offsets in a batch header and in an entry. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_ZERO16 = 6,
    AT_TERM = 8,
    AT_FIRST = 16,
    AT_COUNT = 24,
    AT_BYTES = 28,
    AT_WALL = 32,
    AT_TICK = 40,
    AT_PAYLOAD_CRC = 48,
    AT_CHAIN = 52,
    AT_HEADER_CRC = 56,
    AT_ZERO32 = 60,

    ENTRY_BYTES = 0,
    ENTRY_PAYLOAD = 4,
    ENTRY_KIND = 8,
    ENTRY_MACHINE = 10,
    ENTRY_PRINCIPAL = 12,
    ENTRY_ZERO16 = 14,
    ENTRY_SESSION = 16,
    ENTRY_SEQUENCE = 24,
    ENTRY_ACKED = 32
};

#define BUILDER_BYTES_FIRST 4096 /* the builder's first buffer; it doubles */

static uint64_t align8(uint64_t bytes)
{
    return (bytes + 7) & ~(uint64_t)7;
}

uint64_t log_entry_bytes(uint64_t principal_bytes, uint64_t payload_bytes)
{
    return align8(LOG_ENTRY_HEAD + principal_bytes + payload_bytes);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

int log_batch_head(const void *data, uint64_t size, struct log_batch_head *head, struct gavel_error *error)
{
    const uint8_t *at = data;
    struct log_batch_head found;

    if (size < LOG_BATCH_HEAD)
        return gavel_fail(error, GAVEL_E_CORRUPT, "a batch of %llu bytes is cut short", (unsigned long long)size);
    if (os_get32(at + AT_MAGIC) != LOG_BATCH_MAGIC)
        return gavel_fail(error, GAVEL_E_CORRUPT, "this is not a batch: its first bytes are wrong");
    if (os_get32(at + AT_HEADER_CRC) != crc32c(0, at, AT_HEADER_CRC))
        return gavel_fail(error, GAVEL_E_CORRUPT, "the checksum of a batch header is wrong");
    if (os_get16(at + AT_VERSION) != LOG_BATCH_VERSION)
        return gavel_fail(error, GAVEL_E_VERSION, "a batch of version %u; this program knows %u",
                          os_get16(at + AT_VERSION), LOG_BATCH_VERSION);
    found.term = os_get64(at + AT_TERM);
    found.first = os_get64(at + AT_FIRST);
    found.count = os_get32(at + AT_COUNT);
    found.bytes = os_get32(at + AT_BYTES);
    found.wall = os_get64(at + AT_WALL);
    found.tick = os_get64(at + AT_TICK);
    found.payload_crc = os_get32(at + AT_PAYLOAD_CRC);
    found.chain = os_get32(at + AT_CHAIN);
    /* A good checksum says that these are the maker's numbers, not that the maker was sane. */
    if (found.bytes < LOG_BATCH_HEAD + LOG_ENTRY_HEAD || found.bytes > LOG_BATCH_MAX || found.bytes % 8)
        return gavel_fail(error, GAVEL_E_CORRUPT, "a batch header states %u bytes", found.bytes);
    if (found.count == 0 || found.count > (found.bytes - LOG_BATCH_HEAD) / LOG_ENTRY_HEAD)
        return gavel_fail(error, GAVEL_E_CORRUPT, "a batch header states %u entries", found.count);
    if (found.first == 0 || found.first > UINT64_MAX - found.count || found.term == 0)
        return gavel_fail(error, GAVEL_E_CORRUPT, "a batch header states index %llu of term %llu",
                          (unsigned long long)found.first, (unsigned long long)found.term);
    if (os_get16(at + AT_ZERO16) || os_get32(at + AT_ZERO32))
        return gavel_fail(error, GAVEL_E_CORRUPT, "reserved bytes of a batch header are not zero");
    *head = found;
    return 0;
}

/* Bytes of the entry at `at`, 0 when it does not fit into `left` or its parts do not fit into it. */
static uint32_t entry_size(const uint8_t *at, uint64_t left)
{
    uint64_t bytes;
    uint64_t payload;
    uint64_t principal;

    if (left < LOG_ENTRY_HEAD)
        return 0;
    bytes = os_get32(at + ENTRY_BYTES);
    payload = os_get32(at + ENTRY_PAYLOAD);
    principal = os_get16(at + ENTRY_PRINCIPAL);
    if (bytes > left || principal > LOG_PRINCIPAL_MAX || os_get16(at + ENTRY_ZERO16))
        return 0;
    if (bytes != log_entry_bytes(principal, payload))
        return 0;
    return (uint32_t)bytes;
}

int log_batch_check(const void *data, uint64_t size, struct log_batch_head *head, struct gavel_error *error)
{
    const uint8_t *at = data;
    struct log_batch_head found;
    uint64_t offset = LOG_BATCH_HEAD;
    uint32_t count = 0;
    int status = log_batch_head(data, size, &found, error);

    if (status)
        return status;
    if (found.bytes != size)
        return gavel_fail(error, GAVEL_E_CORRUPT, "a batch of %u bytes came as %llu", found.bytes,
                          (unsigned long long)size);
    if (!seeded_bug("log-payload-unchecked") &&
        crc32c(0, at + LOG_BATCH_HEAD, found.bytes - LOG_BATCH_HEAD) != found.payload_crc)
        return gavel_fail(error, GAVEL_E_CORRUPT, "the checksum of the batch at index %llu is wrong",
                          (unsigned long long)found.first);
    for (; offset < found.bytes; count++) {
        uint32_t bytes = entry_size(at + offset, found.bytes - offset);

        if (!bytes)
            return gavel_fail(error, GAVEL_E_CORRUPT, "entry %u of the batch at index %llu does not fit", count,
                              (unsigned long long)found.first);
        offset += bytes;
    }
    if (count != found.count)
        return gavel_fail(error, GAVEL_E_CORRUPT, "the batch at index %llu states %u entries and has %u",
                          (unsigned long long)found.first, found.count, count);
    *head = found;
    return 0;
}

uint32_t log_batch_chain(uint32_t previous, const void *data)
{
    uint8_t start[4];

    os_put32(start, previous);
    return crc32c(crc32c(0, start, sizeof start), data, AT_CHAIN);
}

void log_entries_begin(struct log_entries *entries, const void *data)
{
    const uint8_t *at = data;

    assert(os_get32(at) == LOG_BATCH_MAGIC);
    entries->at = at + LOG_BATCH_HEAD;
    entries->end = at + os_get32(at + AT_BYTES);
    entries->index = os_get64(at + AT_FIRST);
}

bool log_entries_next(struct log_entries *entries, struct log_entry *entry)
{
    const uint8_t *at = entries->at;
    uint32_t bytes;

    if (at == entries->end)
        return false;
    bytes = entry_size(at, (uint64_t)(entries->end - at));
    assert(bytes); /* the batch was checked */
    memset(entry, 0, sizeof *entry);
    entry->index = entries->index++;
    entry->kind = os_get16(at + ENTRY_KIND);
    entry->machine = os_get16(at + ENTRY_MACHINE);
    entry->session = os_get64(at + ENTRY_SESSION);
    entry->sequence = os_get64(at + ENTRY_SEQUENCE);
    entry->acked = os_get64(at + ENTRY_ACKED);
    entry->principal = gavel_bytes(at + LOG_ENTRY_HEAD, os_get16(at + ENTRY_PRINCIPAL));
    entry->payload = gavel_bytes(at + LOG_ENTRY_HEAD + entry->principal.size, os_get32(at + ENTRY_PAYLOAD));
    entries->at = at + bytes;
    return true;
}

int log_batch_copy(struct log_pool *pool, const void *data, uint64_t size, struct log_batch **batch,
                   struct gavel_error *error)
{
    struct log_batch_head head;
    struct log_batch *made;
    int status;

    if (size > LOG_BATCH_MAX)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "a batch of %llu bytes; the limit is %u",
                          (unsigned long long)size, LOG_BATCH_MAX);
    status = log_batch_check(data, size, &head, error);
    if (status)
        return status;
    made = log_pool_take(pool, head.bytes);
    if (!made)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a batch of %u bytes", head.bytes);
    memcpy(made->data, data, head.bytes);
    made->head = head;
    made->kind = os_get16(made->data + LOG_BATCH_HEAD + ENTRY_KIND);
    *batch = made;
    return 0;
}

int log_batch_adopt(struct log_batch *batch, struct gavel_error *error)
{
    int status = log_batch_check(batch->data, batch->head.bytes, &batch->head, error);

    if (status == 0)
        batch->kind = os_get16(batch->data + LOG_BATCH_HEAD + ENTRY_KIND);
    return status;
}

/* ---- making -------------------------------------------------------------------------------------------- */

static int builder_reserve(struct log_builder *builder, uint64_t bytes)
{
    uint64_t capacity = builder->capacity ? builder->capacity : BUILDER_BYTES_FIRST;
    uint8_t *data;

    if (bytes <= builder->capacity)
        return 0;
    while (capacity < bytes)
        capacity *= 2;
    data = realloc(builder->data, capacity);
    if (!data)
        return GAVEL_E_NO_MEMORY;
    builder->data = data;
    builder->capacity = (uint32_t)capacity;
    return 0;
}

int log_builder_add(struct log_builder *builder, const struct log_entry *entry)
{
    uint64_t used = builder->count ? builder->bytes : LOG_BATCH_HEAD;
    uint64_t bytes;
    uint8_t *at;

    if (entry->principal.size > LOG_PRINCIPAL_MAX || entry->payload.size > LOG_ENTRY_MAX)
        return GAVEL_E_TOO_LARGE;
    bytes = log_entry_bytes(entry->principal.size, entry->payload.size);
    if (bytes > LOG_ENTRY_MAX)
        return GAVEL_E_TOO_LARGE;
    if (used + bytes > LOG_BATCH_MAX)
        return GAVEL_E_BUSY;
    if (builder_reserve(builder, used + bytes))
        return GAVEL_E_NO_MEMORY;
    at = builder->data + used;
    memset(at, 0, LOG_ENTRY_HEAD);
    memset(at + bytes - 8, 0, 8); /* the padding; what is not padding is written over below */
    os_put32(at + ENTRY_BYTES, (uint32_t)bytes);
    os_put32(at + ENTRY_PAYLOAD, (uint32_t)entry->payload.size);
    os_put16(at + ENTRY_KIND, entry->kind);
    os_put16(at + ENTRY_MACHINE, entry->machine);
    os_put16(at + ENTRY_PRINCIPAL, (uint16_t)entry->principal.size);
    os_put64(at + ENTRY_SESSION, entry->session);
    os_put64(at + ENTRY_SEQUENCE, entry->sequence);
    os_put64(at + ENTRY_ACKED, entry->acked);
    if (entry->principal.size)
        memcpy(at + LOG_ENTRY_HEAD, entry->principal.data, entry->principal.size);
    if (entry->payload.size)
        memcpy(at + LOG_ENTRY_HEAD + entry->principal.size, entry->payload.data, entry->payload.size);
    if (builder->count == 0)
        builder->kind = entry->kind;
    builder->bytes = (uint32_t)(used + bytes);
    builder->count++;
    return 0;
}

int log_builder_seal(struct log_builder *builder, struct log_pool *pool, uint64_t term, uint64_t first, uint64_t wall,
                     uint64_t tick, uint32_t previous_chain, struct log_batch **batch)
{
    struct log_batch *made;
    uint8_t *at;

    assert(builder->count);
    assert(term);
    assert(first);
    made = log_pool_take(pool, builder->bytes);
    if (!made)
        return GAVEL_E_NO_MEMORY;
    at = made->data;
    memcpy(at + LOG_BATCH_HEAD, builder->data + LOG_BATCH_HEAD, builder->bytes - LOG_BATCH_HEAD);
    memset(at, 0, LOG_BATCH_HEAD);
    made->kind = builder->kind;
    made->head.term = term;
    made->head.first = first;
    made->head.count = builder->count;
    made->head.bytes = builder->bytes;
    made->head.wall = wall;
    made->head.tick = tick;
    made->head.payload_crc = crc32c(0, at + LOG_BATCH_HEAD, builder->bytes - LOG_BATCH_HEAD);
    os_put32(at + AT_MAGIC, LOG_BATCH_MAGIC);
    os_put16(at + AT_VERSION, LOG_BATCH_VERSION);
    os_put64(at + AT_TERM, term);
    os_put64(at + AT_FIRST, first);
    os_put32(at + AT_COUNT, builder->count);
    os_put32(at + AT_BYTES, builder->bytes);
    os_put64(at + AT_WALL, wall);
    os_put64(at + AT_TICK, tick);
    os_put32(at + AT_PAYLOAD_CRC, made->head.payload_crc);
    made->head.chain = log_batch_chain(previous_chain, at);
    os_put32(at + AT_CHAIN, made->head.chain);
    os_put32(at + AT_HEADER_CRC, crc32c(0, at, AT_HEADER_CRC));
    log_builder_reset(builder);
    *batch = made;
    return 0;
}

void log_builder_reset(struct log_builder *builder)
{
    builder->bytes = 0;
    builder->count = 0;
    builder->kind = 0;
}

void log_builder_free(struct log_builder *builder)
{
    if (!builder)
        return;
    free(builder->data);
    memset(builder, 0, sizeof *builder);
}
