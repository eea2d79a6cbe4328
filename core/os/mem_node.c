/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem_node.c - one file of the disk in memory, and what a crash may do to it.
 */
#include "core/os/mem_node.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t os_mem_random(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void *mem_must(void *pointer)
{
    if (!pointer) {
        (void)fprintf(stderr, "os_mem: out of memory\n");
        abort();
    }
    return pointer;
}

char *mem_copy_text(const char *text)
{
    return text ? mem_must(strdup(text)) : NULL;
}

struct mem_node *mem_node_new(uint32_t is_dir, uint32_t mode)
{
    struct mem_node *node = mem_must(calloc(1, sizeof *node));

    node->is_dir = is_dir;
    node->mode = mode;
    return node;
}

void mem_node_unref(struct mem_node *node)
{
    if (!node)
        return;
    assert(node->references);
    if (--node->references)
        return;
    free(node->durable);
    free(node->present);
    free(node->pending);
    free(node);
}

struct mem_node *mem_node_ref(struct mem_node *node)
{
    node->references++;
    return node;
}

uint64_t mem_sectors(uint64_t bytes)
{
    return (bytes + OS_MEM_SECTOR - 1) / OS_MEM_SECTOR;
}

void mem_node_reserve(struct mem_node *node, uint64_t size)
{
    uint64_t capacity = node->capacity ? node->capacity : 4096;

    if (size <= node->capacity)
        return;
    while (capacity < size)
        capacity *= 2;
    node->durable = mem_must(realloc(node->durable, capacity));
    node->present = mem_must(realloc(node->present, capacity));
    node->pending = mem_must(realloc(node->pending, mem_sectors(capacity)));
    memset(node->durable + node->capacity, 0, capacity - node->capacity);
    memset(node->present + node->capacity, 0, capacity - node->capacity);
    memset(node->pending + mem_sectors(node->capacity), 0, mem_sectors(capacity) - mem_sectors(node->capacity));
    node->capacity = capacity;
}

void mem_node_resize(struct mem_node *node, uint64_t size)
{
    mem_node_reserve(node, size);
    if (size < node->size) {
        memset(node->present + size, 0, node->size - size);
        memset(node->pending + size / OS_MEM_SECTOR, 1, mem_sectors(node->size) - size / OS_MEM_SECTOR);
    }
    node->size = size;
}

void mem_node_sync(struct mem_node *node)
{
    for (uint64_t sector = 0; sector < mem_sectors(node->capacity); sector++) {
        if (!node->pending[sector])
            continue;
        memcpy(node->durable + sector * OS_MEM_SECTOR, node->present + sector * OS_MEM_SECTOR, OS_MEM_SECTOR);
        node->pending[sector] = 0;
    }
    node->durable_size = node->size;
}

void mem_node_forget_pending(struct mem_node *node)
{
    if (node->capacity)
        memset(node->pending, 0, mem_sectors(node->capacity));
}

void mem_node_crash(struct mem_node *node, enum os_mem_crash how, uint64_t *seed)
{
    uint64_t kept_size = node->durable_size;

    if (how == OS_MEM_KEEP_ALL || (how == OS_MEM_RANDOM && (os_mem_random(seed) & 1)))
        kept_size = node->size;
    for (uint64_t sector = 0; sector < mem_sectors(node->capacity); sector++) {
        uint8_t *durable = node->durable + sector * OS_MEM_SECTOR;
        uint64_t draw = how == OS_MEM_RANDOM ? os_mem_random(seed) % 8 : how == OS_MEM_KEEP_ALL ? 0 : 7;

        if (!node->pending[sector])
            continue;
        node->pending[sector] = 0;
        if (draw < 4) {
            memcpy(durable, node->present + sector * OS_MEM_SECTOR, OS_MEM_SECTOR);
        } else if (draw == 4) {
            for (int i = 0; i < OS_MEM_SECTOR; i++)
                durable[i] = (uint8_t)os_mem_random(seed);
        }
    }
    if (node->capacity) {
        memset(node->durable + kept_size, 0, node->capacity - kept_size);
        memcpy(node->present, node->durable, node->capacity);
    }
    node->size = kept_size;
    node->durable_size = kept_size;
    node->locker = NULL;
}
