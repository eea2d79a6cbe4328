/* SPDX-License-Identifier: Apache-2.0 */
/* disk.c - a disk in memory (core/os/mem.h) with a price for every durable write; see disk.h. */
#include "disk.h"

#include <assert.h>
#include <stdlib.h>

#include "core/os/mem.h"

struct sim_disk {
    struct sim *sim;
    struct sim_node *node;
    struct os_mem *mem;
    struct sim_random dice;
    uint64_t cost;
    bool damaged;
};

static struct os_mem *mem_of(void *self)
{
    return ((struct sim_disk *)self)->mem;
}

static void pay(void *self, bool durable)
{
    struct sim_disk *disk = self;
    uint64_t sync = disk->sim->options.sync_us * SIM_US;

    disk->cost += durable ? sync / 2 + sim_below(&disk->dice, sync) : 2 * SIM_US;
}

static int disk_open(void *self, const char *path, uint32_t flags, struct os_file **file)
{
    pay(self, false);
    return os_mem_files.open(mem_of(self), path, flags, file);
}

static void disk_close(void *self, struct os_file *file)
{
    os_mem_files.close(mem_of(self), file);
}

static int disk_pwritev(void *self, struct os_file *file, const struct iovec *iov, int count, uint64_t offset,
                        uint32_t flags)
{
    pay(self, flags & OS_WRITE_DURABLE);
    return os_mem_files.pwritev(mem_of(self), file, iov, count, offset, flags);
}

static int disk_pread(void *self, struct os_file *file, void *data, size_t size, uint64_t offset, size_t *got)
{
    return os_mem_files.pread(mem_of(self), file, data, size, offset, got);
}

static int disk_sync(void *self, struct os_file *file)
{
    pay(self, true);
    return os_mem_files.sync(mem_of(self), file);
}

static int disk_truncate(void *self, struct os_file *file, uint64_t size)
{
    return os_mem_files.truncate(mem_of(self), file, size);
}

static int disk_size(void *self, struct os_file *file, uint64_t *size)
{
    return os_mem_files.size(mem_of(self), file, size);
}

static int disk_lock(void *self, struct os_file *file)
{
    return os_mem_files.lock(mem_of(self), file);
}

static int disk_rename(void *self, const char *from, const char *to)
{
    return os_mem_files.rename(mem_of(self), from, to);
}

static int disk_unlink(void *self, const char *path)
{
    return os_mem_files.unlink(mem_of(self), path);
}

static int disk_mkdir(void *self, const char *path, uint32_t mode)
{
    return os_mem_files.mkdir(mem_of(self), path, mode);
}

static int disk_chmod(void *self, const char *path, uint32_t mode)
{
    return os_mem_files.chmod(mem_of(self), path, mode);
}

static int disk_sync_dir(void *self, const char *path)
{
    pay(self, true);
    return os_mem_files.sync_dir(mem_of(self), path);
}

static int disk_list(void *self, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
    return os_mem_files.list(mem_of(self), path, each, ctx);
}

static int disk_stat(void *self, const char *path, struct os_stat *stat)
{
    return os_mem_files.stat(mem_of(self), path, stat);
}

static int disk_space(void *self, const char *path, uint64_t *free_bytes)
{
    return os_mem_files.space(mem_of(self), path, free_bytes);
}

static int disk_refresh(void *self, struct os_file *file)
{
    return os_mem_files.refresh(mem_of(self), file);
}

const struct os_file_ops sim_disk_files = {.open = disk_open,
                                           .close = disk_close,
                                           .pwritev = disk_pwritev,
                                           .pread = disk_pread,
                                           .sync = disk_sync,
                                           .truncate = disk_truncate,
                                           .size = disk_size,
                                           .lock = disk_lock,
                                           .rename = disk_rename,
                                           .unlink = disk_unlink,
                                           .mkdir = disk_mkdir,
                                           .chmod = disk_chmod,
                                           .sync_dir = disk_sync_dir,
                                           .list = disk_list,
                                           .stat = disk_stat,
                                           .space = disk_space,
                                           .refresh = disk_refresh};

struct sim_disk *sim_disk_new(struct sim *sim, struct sim_node *node)
{
    struct sim_disk *disk = calloc(1, sizeof *disk);

    assert(disk);
    disk->sim = sim;
    disk->node = node;
    disk->dice = sim_stream(sim, SIM_STREAM_DISK, node->number);
    disk->mem = os_mem_new();
    assert(disk->mem);
    return disk;
}

struct sim_disk *sim_disk_free(struct sim_disk *disk)
{
    if (!disk)
        return NULL;
    os_mem_free(disk->mem);
    free(disk);
    return NULL;
}

uint64_t sim_disk_cost(struct sim_disk *disk)
{
    uint64_t cost = disk->cost;

    disk->cost = 0;
    return cost;
}

void sim_disk_crash(struct sim_disk *disk, enum sim_crash how)
{
    os_mem_crash(disk->mem, how == SIM_KILL ? OS_MEM_KILL : OS_MEM_RANDOM, sim_draw(&disk->dice));
}

void sim_disk_die_after(struct sim_disk *disk, uint64_t operations)
{
    os_mem_stop_after(disk->mem, operations);
}

bool sim_disk_dying(const struct sim_disk *disk)
{
    return os_mem_stopped(disk->mem);
}

uint64_t sim_disk_operations(const struct sim_disk *disk)
{
    return os_mem_operations(disk->mem);
}

void sim_disk_wipe(struct sim_disk *disk)
{
    os_mem_free(disk->mem);
    disk->mem = os_mem_new();
    disk->damaged = true;
}

void sim_disk_heal(struct sim_disk *disk)
{
    os_mem_set_budget(disk->mem, 0);
}

bool sim_disk_rot(struct sim_disk *disk)
{
    (void)disk;
    return false;
}

bool sim_disk_damaged(const struct sim_disk *disk)
{
    return disk->damaged;
}

const uint8_t *sim_disk_durable(struct sim_disk *disk, const char *path, uint64_t *size)
{
    return os_mem_peek(disk->mem, path, size);
}

bool sim_atlas_may_damage(struct sim *sim, struct sim_node *node)
{
    uint32_t damaged = 1;

    for (uint32_t i = 0; i < sim->founders; i++)
        damaged += &sim->nodes[i] != node && sim->nodes[i].disk->damaged;
    return sim->options.correlated || damaged * 2 < sim->founders;
}

void sim_atlas_clean(struct sim *sim, struct sim_node *node)
{
    (void)sim;
    node->disk->damaged = false;
}
