/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep.c - allocations and disk calls that are counted, and fail when their number comes.
 */
#include "sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sweep sweep;
static unsigned inside; /* calls of the disk that are running: what they allocate is not the code's */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void sweep_begin(uint64_t fail_allocation, uint64_t fail_call, int error)
{
    memset(&sweep, 0, sizeof sweep);
    sweep.fail_allocation = fail_allocation;
    sweep.fail_call = fail_call;
    sweep.error = error;
    sweep.armed = true;
}

static bool refuse_allocation(void)
{
    if (!sweep.armed || inside)
        return false;
    if (++sweep.allocations != sweep.fail_allocation)
        return false;
    sweep.struck = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return refuse_allocation() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refuse_allocation() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return refuse_allocation() ? NULL : __real_realloc(old, size);
}

static bool refuse_call(void)
{
    if (!sweep.armed || ++sweep.calls != sweep.fail_call)
        return false;
    sweep.struck = true;
    return true;
}

#define CALL(name, parameters, ...)                             \
    static int sweep_##name parameters                          \
    {                                                           \
        int result;                                             \
        if (refuse_call())                                      \
            return sweep.error;                                 \
        inside++;                                               \
        result = os_mem_files.name(self, __VA_ARGS__);          \
        inside--;                                               \
        return result;                                          \
    }

CALL(open, (void *self, const char *path, uint32_t flags, struct os_file **file), path, flags, file)
CALL(pwritev, (void *self, struct os_file *file, const struct iovec *iov, int count, uint64_t offset, uint32_t flags),
     file, iov, count, offset, flags)
CALL(pread, (void *self, struct os_file *file, void *data, size_t size, uint64_t offset, size_t *got), file, data,
     size, offset, got)
CALL(sync, (void *self, struct os_file *file), file)
CALL(truncate, (void *self, struct os_file *file, uint64_t size), file, size)
CALL(size, (void *self, struct os_file *file, uint64_t *size), file, size)
CALL(lock, (void *self, struct os_file *file), file)
CALL(rename, (void *self, const char *from, const char *to), from, to)
CALL(unlink, (void *self, const char *path), path)
CALL(mkdir, (void *self, const char *path, uint32_t mode), path, mode)
CALL(chmod, (void *self, const char *path, uint32_t mode), path, mode)
CALL(sync_dir, (void *self, const char *path), path)
CALL(stat, (void *self, const char *path, struct os_stat *stat), path, stat)
CALL(space, (void *self, const char *path, uint64_t *free_bytes), path, free_bytes)
CALL(refresh, (void *self, struct os_file *file), file)

/* Its callback is the code under test again, and so are its allocations. */
struct walk {
    int (*each)(void *ctx, const char *name);
    void *ctx;
};

static int outside(void *ctx, const char *name)
{
    struct walk *walk = ctx;
    unsigned before = inside;
    int result;

    inside = 0;
    result = walk->each(walk->ctx, name);
    inside = before;
    return result;
}

static int sweep_list(void *self, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
    struct walk walk = {each, ctx};
    int result;

    if (refuse_call())
        return sweep.error;
    inside++;
    result = os_mem_files.list(self, path, outside, &walk);
    inside--;
    return result;
}

static void sweep_close(void *self, struct os_file *file)
{
    inside++;
    os_mem_files.close(self, file);
    inside--;
}

const struct os_file_ops sweep_files = {
    .open = sweep_open, .close = sweep_close, .pwritev = sweep_pwritev, .pread = sweep_pread, .sync = sweep_sync,
    .truncate = sweep_truncate, .size = sweep_size, .lock = sweep_lock, .rename = sweep_rename,
    .unlink = sweep_unlink, .mkdir = sweep_mkdir, .chmod = sweep_chmod, .sync_dir = sweep_sync_dir,
    .list = sweep_list, .stat = sweep_stat, .space = sweep_space, .refresh = sweep_refresh};
