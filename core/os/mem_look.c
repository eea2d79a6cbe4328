/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem_look.c - the disk in memory from outside: its images and sectors, and small misfortunes on demand.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/os/mem_state.h"

const uint8_t *os_mem_peek(struct os_mem *mem, const char *path, uint64_t *size)
{
    struct mem_name *name = mem_table_find(&mem->present, path);

    if (!name || name->node->is_dir)
        return NULL;
    *size = name->node->size;
    return mem_node_flat(name->node, false);
}

const uint8_t *os_mem_peek_durable(struct os_mem *mem, const char *path, uint64_t *size)
{
    struct mem_name *name = mem_table_find(&mem->durable, path);

    if (!name || name->node->is_dir)
        return NULL;
    *size = name->node->durable_size;
    return mem_node_flat(name->node, true);
}

int os_mem_poke(struct os_mem *mem, const char *path, uint64_t offset, const void *data, uint64_t size)
{
    struct mem_name *name = mem_table_find(&mem->present, path);

    if (!name)
        return -ENOENT;
    if (offset > name->node->size || size > name->node->size - offset)
        return -EINVAL;
    mem_node_poke(name->node, offset, data, size);
    return 0;
}

/* ---- for those who plan misfortune --------------------------------------------------------------------- */

bool os_mem_entry(const struct os_mem *mem, uint32_t number, struct os_mem_entry *entry)
{
    const struct mem_name *name;

    if (number >= mem->durable.count)
        return false;
    name = &mem->durable.names[number];
    entry->path = name->path;
    entry->id = name->node->id;
    entry->is_dir = name->node->is_dir;
    entry->size = name->node->size < name->node->durable_size ? name->node->size : name->node->durable_size;
    entry->filled = mem_node_filled(name->node);
    if (entry->filled > entry->size)
        entry->filled = entry->size;
    return true;
}

bool os_mem_exists(const struct os_mem *mem, uint64_t id)
{
    for (uint32_t i = 0; i < mem->durable.count; i++) {
        if (mem->durable.names[i].node->id == id)
            return true;
    }
    for (uint32_t i = 0; i < mem->present.count; i++) {
        if (mem->present.names[i].node->id == id)
            return true;
    }
    return false;
}

static struct mem_node *durable_node(const struct os_mem *mem, const char *path, uint64_t sector)
{
    const struct mem_name *name = mem_table_find(&mem->durable, path);

    return name && sector * OS_MEM_SECTOR < name->node->size ? name->node : NULL;
}

bool os_mem_sector(const struct os_mem *mem, const char *path, uint64_t sector, uint8_t bytes[OS_MEM_SECTOR])
{
    const struct mem_node *node = durable_node(mem, path, sector);

    return node && mem_node_durable(node, sector, bytes);
}

uint64_t os_mem_file_id(const struct os_file *file)
{
    assert(file->magic == MEM_FILE_MAGIC);
    return file->node->id;
}

const char *os_mem_file_path(const struct os_file *file)
{
    const struct mem_table *table = &file->mem->present;

    assert(file->magic == MEM_FILE_MAGIC);
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->names[i].node == file->node)
            return table->names[i].path;
    }
    return file->path;
}

uint64_t os_mem_file_pending(const struct os_file *file)
{
    assert(file->magic == MEM_FILE_MAGIC);
    return file->node->undo_count;
}

bool os_mem_file_sector(const struct os_file *file, uint64_t sector, uint8_t bytes[OS_MEM_SECTOR])
{
    assert(file->magic == MEM_FILE_MAGIC);
    return sector * OS_MEM_SECTOR < file->node->size && mem_node_durable(file->node, sector, bytes);
}

void os_mem_write_back(struct os_file *file, uint64_t *seed)
{
    assert(file->magic == MEM_FILE_MAGIC);
    mem_node_write_back(file->node, seed);
}

void os_mem_fail_sync(struct os_file *file, uint64_t *seed)
{
    assert(file->magic == MEM_FILE_MAGIC);
    mem_node_fail_sync(file->node, seed);
}

uint64_t os_mem_digest(const struct os_mem *mem)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < mem->present.count; i++) {
        const struct mem_name *name = &mem->present.names[i];
        uint64_t hash = 0xcbf29ce484222325u;
        const uint8_t *bytes;

        for (const char *at = name->path; *at; at++)
            hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
        bytes = mem_node_flat(name->node, false);
        for (uint64_t at = 0; at < name->node->size; at++)
            hash = (hash ^ bytes[at]) * 0x100000001b3u;
        sum += hash ^ name->node->size; /* the order of names does not matter */
    }
    return sum;
}

uint32_t os_mem_open_files(const struct os_mem *mem)
{
    return mem->open_files;
}
