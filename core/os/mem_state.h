/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem_state.h - the disk in memory as a whole; for mem*.c only.
 */
#ifndef CORE_OS_MEM_STATE_H
#define CORE_OS_MEM_STATE_H

#include "core/os/mem_node.h"

#define MEM_MAGIC 0x4d454d46u
#define MEM_FILE_MAGIC 0x4d454d48u

struct mem_name {
    char *path;
    struct mem_node *node;
};

struct mem_table {
    struct mem_name *names;
    uint32_t count;
    uint32_t capacity;
};

/* A directory operation that is not durable yet. `from` NULL: link `node` at `to`; `to` NULL: unlink `from`. */
struct mem_change {
    char *from;
    char *to;
    struct mem_node *node;
};

struct os_mem {
    uint32_t magic;
    bool stopped;
    uint64_t generation; /* grows with each crash: older open files are dead */
    uint64_t last_id;    /* of a node */
    uint64_t operations;
    uint64_t stop_at; /* operation number; 0: never */
    uint64_t budget;
    uint32_t open_files;
    struct mem_table durable;
    struct mem_table present;
    struct mem_change *changes;
    uint32_t change_count;
    uint32_t change_capacity;
    int (*hook)(void *ctx, enum os_mem_op op, const char *path);
    void *hook_ctx;
};

struct os_file {
    uint32_t magic;
    uint32_t flags;
    uint64_t generation;
    struct os_mem *mem;
    struct mem_node *node;
    char path[OS_PATH_MAX];
};

/* The entry of that path; NULL when there is none. */
struct mem_name *mem_table_find(const struct mem_table *table, const char *path);

#endif
