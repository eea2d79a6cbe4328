/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.c - a file system in memory that can lose power. What it keeps through a crash is the least that POSIX promises:
 * synced bytes of files, and names whose directory was synced. Everything else is the seed's to decide.
 */
#include "core/os/mem_state.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables of names ----------------------------------------------------------------------------------- */

struct mem_name *mem_table_find(const struct mem_table *table, const char *path)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (strcmp(table->names[i].path, path) == 0)
            return &table->names[i];
    }
    return NULL;
}

static void table_remove(struct mem_table *table, const char *path)
{
    struct mem_name *name = mem_table_find(table, path);

    if (!name)
        return;
    mem_node_unref(name->node);
    free(name->path);
    *name = table->names[--table->count];
}

static void table_set(struct mem_table *table, const char *path, struct mem_node *node)
{
    (void)mem_node_ref(node);
    table_remove(table, path);
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 16;
        table->names = mem_must(realloc(table->names, table->capacity * sizeof *table->names));
    }
    table->names[table->count].path = mem_copy_text(path);
    table->names[table->count].node = node;
    table->count++;
}

static void table_free(struct mem_table *table)
{
    while (table->count)
        table_remove(table, table->names[0].path);
    free(table->names);
    memset(table, 0, sizeof *table);
}

static void table_copy(struct mem_table *to, const struct mem_table *from)
{
    table_free(to);
    for (uint32_t i = 0; i < from->count; i++)
        table_set(to, from->names[i].path, from->names[i].node);
}

/* Bytes of the directory part of a path; 0 for a plain name. */
static size_t parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (size_t)(slash - path) : 0;
}

static bool is_in(const char *path, const char *dir)
{
    size_t length = parent_length(path);

    return strlen(dir) == length && strncmp(path, dir, length) == 0;
}

/* A directory exists: "" and "/" always do. */
static bool dir_exists(const struct mem_table *table, const char *path, size_t length)
{
    if (length == 0)
        return true;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct mem_name *name = &table->names[i];

        if (name->node->is_dir && strlen(name->path) == length && strncmp(name->path, path, length) == 0)
            return true;
    }
    return false;
}

static bool parent_exists(const struct mem_table *table, const char *path)
{
    return dir_exists(table, path, parent_length(path));
}

/* ---- pending changes of names -------------------------------------------------------------------------- */

static void change_add(struct os_mem *mem, const char *from, const char *to, struct mem_node *node)
{
    struct mem_change *change;

    if (mem->change_count == mem->change_capacity) {
        mem->change_capacity = mem->change_capacity ? mem->change_capacity * 2 : 16;
        mem->changes = mem_must(realloc(mem->changes, mem->change_capacity * sizeof *mem->changes));
    }
    change = &mem->changes[mem->change_count++];
    change->from = mem_copy_text(from);
    change->to = mem_copy_text(to);
    change->node = node ? mem_node_ref(node) : NULL;
}

static void change_apply(struct os_mem *mem, const struct mem_change *change)
{
    if (change->from)
        table_remove(&mem->durable, change->from);
    if (change->to)
        table_set(&mem->durable, change->to, change->node);
}

static void change_free(struct mem_change *change)
{
    free(change->from);
    free(change->to);
    mem_node_unref(change->node);
}

static void changes_sync(struct os_mem *mem, const char *dir)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < mem->change_count; i++) {
        struct mem_change *change = &mem->changes[i];

        if ((change->from && is_in(change->from, dir)) || (change->to && is_in(change->to, dir))) {
            change_apply(mem, change);
            change_free(change);
        } else {
            mem->changes[kept++] = *change;
        }
    }
    mem->change_count = kept;
}

/* ---- the gate of every operation ----------------------------------------------------------------------- */

/* 0: go on. A negative result ends the operation. *begin: it is begun nevertheless, the machine stops at it. */
static int admit(struct os_mem *mem, enum os_mem_op op, const char *path, bool *begin)
{
    *begin = false;
    assert(mem->magic == MEM_MAGIC);
    if (mem->stopped)
        return -EIO;
    if (mem->hook) {
        int result = mem->hook(mem->hook_ctx, op, path);

        if (result < 0)
            return result;
    }
    if (op == OS_MEM_READ)
        return 0;
    mem->operations++;
    if (mem->stop_at && mem->operations >= mem->stop_at) {
        mem->stopped = true;
        *begin = true;
        return -EIO;
    }
    return 0;
}

static int file_alive(const struct os_file *file)
{
    assert(file->magic == MEM_FILE_MAGIC);
    return file->generation == file->mem->generation ? 0 : -EIO;
}

static uint64_t used_bytes(const struct os_mem *mem)
{
    uint64_t used = 0;

    for (uint32_t i = 0; i < mem->present.count; i++)
        used += mem_sectors(mem->present.names[i].node->size) * OS_MEM_SECTOR;
    return used;
}

/* ---- files --------------------------------------------------------------------------------------------- */

static int open_make(struct os_mem *mem, const char *path, struct mem_node **node)
{
    bool begin;
    int result;

    if (!parent_exists(&mem->present, path))
        return -ENOENT;
    result = admit(mem, OS_MEM_OPEN, path, &begin);
    if (result && !begin)
        return result;
    *node = mem_node_new(++mem->last_id, 0, 0600);
    table_set(&mem->present, path, *node);
    change_add(mem, NULL, path, *node);
    return result;
}

static int mem_open(void *self, const char *path, uint32_t flags, struct os_file **file)
{
    struct os_mem *mem = self;
    struct mem_name *name = mem_table_find(&mem->present, path);
    struct mem_node *node = name ? name->node : NULL;
    struct os_file *made;

    if (mem->stopped)
        return -EIO;
    if (node && (flags & OS_OPEN_EXCLUSIVE))
        return -EEXIST;
    if (node && node->is_dir)
        return -EISDIR;
    if (!node && !(flags & OS_OPEN_CREATE))
        return -ENOENT;
    if (!node) {
        int result = open_make(mem, path, &node);

        if (result)
            return result;
    }
    if ((flags & OS_OPEN_TRUNCATE) && node->size) {
        bool begin;
        int result = admit(mem, OS_MEM_TRUNCATE, path, &begin);

        if (result == 0 || begin)
            mem_node_resize(node, 0);
        if (result)
            return result;
    }
    made = mem_must(calloc(1, sizeof *made));
    made->magic = MEM_FILE_MAGIC;
    made->flags = flags;
    made->generation = mem->generation;
    made->mem = mem;
    made->node = mem_node_ref(node);
    (void)snprintf(made->path, sizeof made->path, "%s", path);
    mem->open_files++;
    *file = made;
    return 0;
}

static void mem_close(void *self, struct os_file *file)
{
    (void)self;
    assert(file->magic == MEM_FILE_MAGIC);
    if (file->node->locker == file)
        file->node->locker = NULL;
    mem_node_unref(file->node);
    file->mem->open_files--;
    file->magic = 0;
    free(file);
}

/* 0: make it durable. Otherwise what is pending has been dealt with. */
static int admit_sync(struct os_mem *mem, struct os_file *file)
{
    bool begin;
    int result = file_alive(file);

    if (result)
        return result;
    result = admit(mem, OS_MEM_SYNC, file->path, &begin);
    if (result && !mem->stopped)
        mem_node_fail_sync(file->node, NULL);
    return result;
}

static int mem_sync(void *self, struct os_file *file)
{
    int result = admit_sync(self, file);

    if (result == 0)
        mem_node_sync(file->node);
    return result;
}

static int mem_pwritev(void *self, struct os_file *file, const struct iovec *iov, int count, uint64_t offset,
                       uint32_t flags)
{
    struct os_mem *mem = self;
    struct mem_node *node = file->node;
    uint64_t from = offset;
    uint64_t end = offset;
    bool begin = false;
    int result = file_alive(file);

    assert(file->flags & OS_OPEN_WRITE);
    for (int i = 0; i < count; i++)
        end += iov[i].iov_len;
    if (result == 0 && mem->budget && end > node->size &&
        used_bytes(mem) + (mem_sectors(end) - mem_sectors(node->size)) * OS_MEM_SECTOR > mem->budget)
        result = -ENOSPC;
    if (result)
        return result;
    result = admit(mem, OS_MEM_WRITE, file->path, &begin);
    if (result && !begin)
        return result;
    if (end > node->size)
        mem_node_resize(node, end);
    for (int i = 0; i < count; i++) {
        mem_node_write(node, offset, iov[i].iov_base, iov[i].iov_len);
        offset += iov[i].iov_len;
    }
    if (result == 0 && (flags & OS_WRITE_DURABLE)) {
        result = admit_sync(mem, file);
        if (result == 0)
            mem_node_sync_range(node, from, end);
    }
    return result;
}

static int mem_pread(void *self, struct os_file *file, void *data, size_t size, uint64_t offset, size_t *got)
{
    struct os_mem *mem = self;
    bool begin;
    int result = file_alive(file);

    if (result == 0)
        result = admit(mem, OS_MEM_READ, file->path, &begin);
    if (result)
        return result;
    if (offset >= file->node->size)
        size = 0;
    else if (size > file->node->size - offset)
        size = (size_t)(file->node->size - offset);
    mem_node_read(file->node, offset, data, size);
    *got = size;
    return 0;
}

static int mem_truncate(void *self, struct os_file *file, uint64_t size)
{
    struct os_mem *mem = self;
    bool begin;
    int result = file_alive(file);

    if (result == 0)
        result = admit(mem, OS_MEM_TRUNCATE, file->path, &begin);
    else
        return result;
    if (result == 0 || begin)
        mem_node_resize(file->node, size);
    return result;
}

static int mem_size(void *self, struct os_file *file, uint64_t *size)
{
    int result = file_alive(file);

    (void)self;
    if (result == 0)
        *size = file->node->size;
    return result;
}

static int mem_lock(void *self, struct os_file *file)
{
    (void)self;
    if (file_alive(file))
        return -EIO;
    if (file->node->locker && file->node->locker != file)
        return -EWOULDBLOCK;
    file->node->locker = file;
    return 0;
}

/* ---- names --------------------------------------------------------------------------------------------- */

static int mem_rename(void *self, const char *from, const char *to)
{
    struct os_mem *mem = self;
    struct mem_name *name = mem_table_find(&mem->present, from);
    struct mem_node *node;
    bool begin;
    int result;

    if (!name || !parent_exists(&mem->present, to))
        return mem->stopped ? -EIO : -ENOENT;
    result = admit(mem, OS_MEM_RENAME, from, &begin);
    if (result && !begin)
        return result;
    node = name->node;
    change_add(mem, from, to, node);
    table_set(&mem->present, to, node);
    table_remove(&mem->present, from);
    return result;
}

static int mem_unlink(void *self, const char *path)
{
    struct os_mem *mem = self;
    bool begin;
    int result;

    if (!mem_table_find(&mem->present, path))
        return mem->stopped ? -EIO : -ENOENT;
    result = admit(mem, OS_MEM_UNLINK, path, &begin);
    if (result && !begin)
        return result;
    table_remove(&mem->present, path);
    change_add(mem, path, NULL, NULL);
    return result;
}

static int mem_mkdir(void *self, const char *path, uint32_t mode)
{
    struct os_mem *mem = self;
    struct mem_node *node;
    bool begin;
    int result;

    if (mem_table_find(&mem->present, path))
        return mem->stopped ? -EIO : -EEXIST;
    if (!parent_exists(&mem->present, path))
        return mem->stopped ? -EIO : -ENOENT;
    result = admit(mem, OS_MEM_MKDIR, path, &begin);
    if (result && !begin)
        return result;
    node = mem_node_new(++mem->last_id, 1, mode);
    table_set(&mem->present, path, node);
    change_add(mem, NULL, path, node);
    return result;
}

static int mem_chmod(void *self, const char *path, uint32_t mode)
{
    struct os_mem *mem = self;
    struct mem_name *name = mem_table_find(&mem->present, path);

    if (!name)
        return -ENOENT;
    name->node->mode = mode;
    return 0;
}

static int mem_sync_dir(void *self, const char *path)
{
    struct os_mem *mem = self;
    bool begin;
    int result = admit(mem, OS_MEM_SYNC_DIR, path, &begin);

    if (strcmp(path, ".") == 0)
        path = ""; /* where plain names live */
    if (result)
        return result;
    if (!dir_exists(&mem->present, path, strlen(path)))
        return -ENOENT;
    changes_sync(mem, path);
    return 0;
}

static int mem_list(void *self, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
    struct os_mem *mem = self;
    struct mem_table names = {0};
    int result = 0;

    if (mem->stopped)
        return -EIO;
    if (!dir_exists(&mem->present, path, strlen(path)))
        return -ENOENT;
    table_copy(&names, &mem->present); /* `each` may change the directory */
    for (uint32_t i = 0; i < names.count && result == 0; i++) {
        if (is_in(names.names[i].path, path))
            result = each(ctx, names.names[i].path + strlen(path) + (path[0] ? 1 : 0));
    }
    table_free(&names);
    return result;
}

static int mem_stat(void *self, const char *path, struct os_stat *stat)
{
    struct os_mem *mem = self;
    struct mem_name *name = mem_table_find(&mem->present, path);

    if (mem->stopped)
        return -EIO;
    if (!name)
        return -ENOENT;
    stat->size = name->node->size;
    stat->mode = name->node->mode;
    stat->is_dir = name->node->is_dir;
    stat->owned = 1;
    stat->pad = 0;
    return 0;
}

static int mem_space(void *self, const char *path, uint64_t *free_bytes)
{
    struct os_mem *mem = self;
    uint64_t used = used_bytes(mem);

    (void)path;
    *free_bytes = !mem->budget ? UINT64_MAX / 2 : used < mem->budget ? mem->budget - used : 0;
    return 0;
}

static int mem_refresh(void *self, struct os_file *file)
{
    int result = file_alive(file);

    (void)self;
    if (result == 0)
        mem_node_refresh(file->node);
    return result;
}

const struct os_file_ops os_mem_files = {
    .open = mem_open,
    .close = mem_close,
    .pwritev = mem_pwritev,
    .pread = mem_pread,
    .sync = mem_sync,
    .truncate = mem_truncate,
    .size = mem_size,
    .lock = mem_lock,
    .rename = mem_rename,
    .unlink = mem_unlink,
    .mkdir = mem_mkdir,
    .chmod = mem_chmod,
    .sync_dir = mem_sync_dir,
    .list = mem_list,
    .stat = mem_stat,
    .space = mem_space,
    .refresh = mem_refresh,
};

/* ---- the machine as a whole ---------------------------------------------------------------------------- */

struct os_mem *os_mem_new(void)
{
    struct os_mem *mem = calloc(1, sizeof *mem);

    if (mem)
        mem->magic = MEM_MAGIC;
    return mem;
}

struct os_mem *os_mem_free(struct os_mem *mem)
{
    if (!mem)
        return NULL;
    assert(mem->magic == MEM_MAGIC);
    table_free(&mem->present);
    table_free(&mem->durable);
    for (uint32_t i = 0; i < mem->change_count; i++)
        change_free(&mem->changes[i]);
    free(mem->changes);
    mem->magic = 0;
    free(mem);
    return NULL;
}

/* The copy of a node, made once for all its names: `map` pairs old and new. */
struct mem_pair {
    const struct mem_node *old;
    struct mem_node *copy;
};

struct mem_map {
    struct mem_pair *pairs;
    uint32_t count;
};

static struct mem_node *clone_node(struct mem_map *map, const struct mem_node *old)
{
    struct mem_node *copy;

    if (!old)
        return NULL;
    for (uint32_t i = 0; i < map->count; i++) {
        if (map->pairs[i].old == old)
            return map->pairs[i].copy;
    }
    copy = mem_node_copy(old);
    map->pairs[map->count].old = old;
    map->pairs[map->count].copy = copy;
    map->count++;
    return copy;
}

struct os_mem *os_mem_clone(const struct os_mem *mem)
{
    struct os_mem *copy = os_mem_new();
    struct mem_map map = {0};

    if (!copy)
        return NULL;
    map.pairs = mem_must(calloc(mem->present.count + mem->durable.count + mem->change_count + 1, sizeof *map.pairs));
    for (uint32_t i = 0; i < mem->present.count; i++)
        table_set(&copy->present, mem->present.names[i].path, clone_node(&map, mem->present.names[i].node));
    for (uint32_t i = 0; i < mem->durable.count; i++)
        table_set(&copy->durable, mem->durable.names[i].path, clone_node(&map, mem->durable.names[i].node));
    for (uint32_t i = 0; i < mem->change_count; i++)
        change_add(copy, mem->changes[i].from, mem->changes[i].to, clone_node(&map, mem->changes[i].node));
    copy->budget = mem->budget;
    copy->last_id = mem->last_id;
    copy->operations = mem->operations;
    copy->stopped = mem->stopped;
    free(map.pairs);
    return copy;
}

void os_mem_crash(struct os_mem *mem, enum os_mem_crash how, uint64_t seed)
{
    assert(mem->magic == MEM_MAGIC);
    mem->generation++;
    mem->stopped = false;
    mem->stop_at = 0;
    if (how == OS_MEM_KILL) {
        for (uint32_t i = 0; i < mem->present.count; i++)
            mem->present.names[i].node->locker = NULL;
        return;
    }
    for (uint32_t i = 0; i < mem->change_count; i++) {
        if (how == OS_MEM_KEEP_ALL || (how == OS_MEM_RANDOM && (os_mem_random(&seed) & 1)))
            change_apply(mem, &mem->changes[i]);
        change_free(&mem->changes[i]);
    }
    mem->change_count = 0;
    /* What lies in a directory that did not survive is gone too. */
    for (uint32_t i = 0; i < mem->durable.count;) {
        if (parent_exists(&mem->durable, mem->durable.names[i].path)) {
            i++;
        } else {
            table_remove(&mem->durable, mem->durable.names[i].path);
            i = 0;
        }
    }
    table_copy(&mem->present, &mem->durable);
    for (uint32_t i = 0; i < mem->present.count; i++)
        mem_node_crash(mem->present.names[i].node, how, &seed);
}

uint64_t os_mem_used(const struct os_mem *mem)
{
    return used_bytes(mem);
}

void os_mem_set_budget(struct os_mem *mem, uint64_t bytes)
{
    mem->budget = bytes;
}

void os_mem_set_hook(struct os_mem *mem, int (*hook)(void *ctx, enum os_mem_op op, const char *path), void *ctx)
{
    mem->hook = hook;
    mem->hook_ctx = ctx;
}

void os_mem_stop_after(struct os_mem *mem, uint64_t operations)
{
    mem->stop_at = operations ? mem->operations + operations : 0;
}

bool os_mem_stopped(const struct os_mem *mem)
{
    return mem->stopped;
}

uint64_t os_mem_operations(const struct os_mem *mem)
{
    return mem->operations;
}

/* ---- clock --------------------------------------------------------------------------------------------- */

static uint64_t mem_mono_ns(void *self)
{
    return ((struct os_mem_clock *)self)->mono_ns;
}

static uint64_t mem_wall_ms(void *self)
{
    return ((struct os_mem_clock *)self)->wall_ms;
}

static void mem_random_bytes(void *self, void *data, size_t size)
{
    struct os_mem_clock *clock = self;
    uint8_t *at = data;

    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)os_mem_random(&clock->seed);
}

const struct os_clock_ops os_mem_clock_ops = {
    .mono_ns = mem_mono_ns,
    .wall_ms = mem_wall_ms,
    .random = mem_random_bytes,
};
