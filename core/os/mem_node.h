/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem_node.h - one file of the disk in memory: its durable and its present bytes; for mem.c only.
 */
#ifndef CORE_OS_MEM_NODE_H
#define CORE_OS_MEM_NODE_H

#include "core/os/mem.h"

/* A file or directory, apart from its names. */
struct mem_node {
    uint32_t references; /* names in either table, pending operations, open files */
    uint32_t is_dir;
    uint32_t mode;
    uint64_t durable_size;
    uint64_t size;
    uint64_t capacity;
    uint8_t *durable;
    uint8_t *present;
    uint8_t *pending; /* one flag a sector */
    struct os_file *locker;
};

/* Tests only: out of memory ends the test. */
void *mem_must(void *pointer);

char *mem_copy_text(const char *text);

/* A node without references. */
struct mem_node *mem_node_new(uint32_t is_dir, uint32_t mode);

struct mem_node *mem_node_ref(struct mem_node *node);
void mem_node_unref(struct mem_node *node);

/* Sectors that so many bytes take. */
uint64_t mem_sectors(uint64_t bytes);

/* Room for `size` bytes, zeroed. */
void mem_node_reserve(struct mem_node *node, uint64_t size);

/* Set the present length. */
void mem_node_resize(struct mem_node *node, uint64_t size);

/* The present image becomes the durable one. */
void mem_node_sync(struct mem_node *node);

/* What a failed fsync leaves: nothing written, and nothing dirty any more. */
void mem_node_forget_pending(struct mem_node *node);

/* Decide each pending sector; what is kept is durable. */
void mem_node_crash(struct mem_node *node, enum os_mem_crash how, uint64_t *seed);

#endif
