/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - batch memory: free lists by power of two, so that in a steady state an append allocates nothing.
 */
#include "core/log/pool.h"

#include <assert.h>
#include <stdlib.h>

#define POOL_MAGIC 0x4c4f4f50u
#define BATCH_MAGIC 0x48435442u
#define CLASS_SMALLEST 9 /* 512 bytes: one small command with its headers */
#define CLASSES 12       /* up to 1 MiB = 2^20 */

struct log_pool {
    uint32_t magic;
    uint32_t lent; /* batches outside */
    uint64_t keep_bytes;
    uint64_t kept_bytes;
    struct log_batch *free[CLASSES];
};

struct log_pool *log_pool_new(uint64_t keep_bytes)
{
    struct log_pool *pool = calloc(1, sizeof *pool);

    if (!pool)
        return NULL;
    pool->magic = POOL_MAGIC;
    pool->keep_bytes = keep_bytes;
    return pool;
}

struct log_pool *log_pool_free(struct log_pool *pool)
{
    if (!pool)
        return NULL;
    assert(pool->magic == POOL_MAGIC);
    assert(pool->lent == 0);
    for (int class = 0; class < CLASSES; class ++) {
        while (pool->free[class]) {
            struct log_batch *batch = pool->free[class];

            pool->free[class] = batch->next;
            free(batch);
        }
    }
    pool->magic = 0;
    free(pool);
    return NULL;
}

struct log_batch *log_pool_take(struct log_pool *pool, uint32_t bytes)
{
    uint32_t class = 0;
    struct log_batch *batch;

    assert(pool->magic == POOL_MAGIC);
    assert(bytes <= LOG_BATCH_MAX);
    while ((1u << (class + CLASS_SMALLEST)) < bytes)
        class ++;
    assert(class < CLASSES);
    batch = pool->free[class];
    if (batch) {
        pool->free[class] = batch->next;
        pool->kept_bytes -= 1u << (class + CLASS_SMALLEST);
    } else {
        batch = malloc(sizeof *batch + (1u << (class + CLASS_SMALLEST)));
        if (!batch)
            return NULL;
    }
    batch->magic = BATCH_MAGIC;
    batch->references = 1;
    batch->pool = pool;
    batch->next = NULL;
    batch->size_class = class;
    batch->kind = 0;
    batch->head.bytes = bytes;
    batch->data = (uint8_t *)(batch + 1);
    pool->lent++;
    return batch;
}

struct log_batch *log_batch_ref(struct log_batch *batch)
{
    assert(batch->magic == BATCH_MAGIC);
    assert(batch->references);
    batch->references++;
    return batch;
}

struct log_batch *log_batch_unref(struct log_batch *batch)
{
    struct log_pool *pool;
    uint64_t room;

    if (!batch)
        return NULL;
    assert(batch->magic == BATCH_MAGIC);
    assert(batch->references);
    if (--batch->references)
        return NULL;
    pool = batch->pool;
    room = 1u << (batch->size_class + CLASS_SMALLEST);
    batch->magic = 0;
    assert(pool->lent);
    pool->lent--;
    if (pool->kept_bytes + room > pool->keep_bytes) {
        free(batch);
        return NULL;
    }
    batch->next = pool->free[batch->size_class];
    pool->free[batch->size_class] = batch;
    pool->kept_bytes += room;
    return NULL;
}
