/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.c - the operations of a simulated disk: what they cost, and which of them fail.
 *
 * What fails is drawn from this disk's own stream, so that the same seed gives the same misfortune whatever the others
 * do. A machine that is dying (sim_disk_die_after) has no misfortune besides.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/format.h"

#include "disk_state.h"
#include "oracle.h"

#define HOUR (3600 * SIM_S)
#define NAME_COST (3 * SIM_US)  /* open, rename, unlink ...: in the page cache */
#define BYTES_COST (2 * SIM_US) /* a read or a write into the page cache, and a nanosecond for 4 bytes */
#define MEDIUM_BYTES_NS 2       /* a nanosecond of the medium takes so many bytes: 2 GB/s */
#define FIRST_FRAMES_OFTENER 16 /* a segment's first write is short so many times as often as others */
#define FULL_ROOM (512 * 1024)  /* at most so many bytes are left when a disk begins to be full */

/* ---- misfortune ---------------------------------------------------------------------------------------- */

static bool faulty(const struct sim_disk *disk)
{
    return !disk->healed && !os_mem_stopped(disk->mem);
}

static void spend(struct sim_disk *disk, uint64_t ns)
{
    uint64_t now = disk->sim->now + disk->cost;

    if (now < disk->stalled_until && !disk->healed) {
        disk->cost += disk->stalled_until - now;
        disk->sim->totals.stalls += !disk->stall_met; /* one that nobody waits for is none */
        disk->stall_met = true;
    }
    disk->cost += ns;
}

/* The time of a sync that has so many sectors to write. */
static uint64_t sync_cost(struct sim_disk *disk, uint64_t sectors)
{
    uint64_t base = disk->sim->options.sync_us * SIM_US;

    return base / 2 + sim_below(&disk->random, base) + sectors * OS_MEM_SECTOR / MEDIUM_BYTES_NS;
}

static int error(struct sim_disk *disk, const char *what, const char *path)
{
    disk->sim->totals.disk_errors++;
    disk->refused_life = disk->node->lives;
    sim_trace(disk->sim, disk->node, "disk: %s %s: EIO", what, path);
    return -EIO;
}

/* Whether this operation fails, and the time that it takes anyway. */
static bool fails(struct sim_disk *disk, uint64_t ns)
{
    assert(disk->magic == DISK_MAGIC);
    spend(disk, ns);
    disk->unanswered += os_mem_stopped(disk->mem);
    if (++disk->calls == disk->fail_at)
        return !os_mem_stopped(disk->mem);
    return faulty(disk) && sim_chance(&disk->random, disk->sim->options.disk_error_ppm);
}

/* An operation fails: whether what it was to do is done all the same, for an error tells nothing about that. */
static bool is_done_anyway(struct sim_disk *disk)
{
    return sim_draw(&disk->halves) & 1;
}

static uint64_t room_of(struct sim_disk *disk)
{
    uint64_t room = UINT64_MAX;

    return os_mem_files.space(disk->mem, "", &room) ? UINT64_MAX : room;
}

/* A full disk may have room for one more name, in a directory that has a block to spare, or not. */
static bool finds_no_room(struct sim_disk *disk)
{
    return faulty(disk) && room_of(disk) < OS_MEM_SECTOR && (sim_draw(&disk->halves) & 1);
}

static int no_room(struct sim_disk *disk, const char *what, const char *path)
{
    disk->sim->totals.full_names++;
    disk->refused_life = disk->node->lives;
    sim_trace(disk->sim, disk->node, "disk: %s %s: ENOSPC", what, path);
    return -ENOSPC;
}

/* What an operation on the bytes of a file is, to whoever aims at it. */
static enum sim_aim aim_of(const char *path)
{
    switch (disk_kind(path)) {
    case DISK_SEGMENT:
    case DISK_SYNCED: return SIM_AIM_LOG;
    case DISK_VOTE: return SIM_AIM_VOTE;
    case DISK_SNAPSHOT: return SIM_AIM_SNAPSHOT;
    default: return SIM_AIM_ANY;
    }
}

/* A changing operation is about to begin; it may be the one in which the machine dies. */
static void begin(struct sim_disk *disk, enum sim_aim what)
{
    if (os_mem_stopped(disk->mem))
        return;
    disk->under_way = what;
    if (disk->aim_left && (disk->aim == SIM_AIM_ANY || disk->aim == what) && --disk->aim_left == 0)
        os_mem_stop_after(disk->mem, 1);
}

/* ---- operations on names ------------------------------------------------------------------------------- */

/* Whether it would have to be made. */
static bool is_absent(struct sim_disk *disk, const char *path)
{
    struct os_stat stat;

    return os_mem_files.stat(disk->mem, path, &stat) == -ENOENT;
}

static int disk_open(void *self, const char *path, uint32_t flags, struct os_file **file)
{
    struct sim_disk *disk = self;
    bool changes = flags & (OS_OPEN_CREATE | OS_OPEN_TRUNCATE);
    bool failed = fails(disk, NAME_COST);
    struct os_file *opened = NULL;
    int result;

    if (failed && !(changes && is_done_anyway(disk)))
        return error(disk, "open", path);
    if (!failed && (flags & OS_OPEN_CREATE) && is_absent(disk, path) && finds_no_room(disk))
        return no_room(disk, "open", path);
    if (changes)
        begin(disk, SIM_AIM_NAMES);
    result = os_mem_files.open(disk->mem, path, flags, &opened);
    if (failed && result == 0)
        os_mem_files.close(disk->mem, opened);
    if (!failed && result == 0)
        *file = opened; /* nobody gets one that is closed */
    return failed ? error(disk, "open", path) : result;
}

static void disk_close(void *self, struct os_file *file)
{
    os_mem_files.close(((struct sim_disk *)self)->mem, file);
}

static int disk_rename(void *self, const char *from, const char *to)
{
    struct sim_disk *disk = self;
    bool failed = fails(disk, NAME_COST);
    int result;

    if (failed && !is_done_anyway(disk))
        return error(disk, "rename", from);
    if (!failed && is_absent(disk, to) && finds_no_room(disk))
        return no_room(disk, "rename", from);
    begin(disk, SIM_AIM_NAMES);
    result = os_mem_files.rename(disk->mem, from, to);
    return failed ? error(disk, "rename", from) : result;
}

static int disk_unlink(void *self, const char *path)
{
    struct sim_disk *disk = self;
    bool failed = fails(disk, NAME_COST);
    int result;

    if (failed && !is_done_anyway(disk))
        return error(disk, "unlink", path);
    begin(disk, SIM_AIM_NAMES);
    result = os_mem_files.unlink(disk->mem, path);
    return failed ? error(disk, "unlink", path) : result;
}

static int disk_mkdir(void *self, const char *path, uint32_t mode)
{
    struct sim_disk *disk = self;
    bool failed = fails(disk, NAME_COST);
    int result;

    if (failed && !is_done_anyway(disk))
        return error(disk, "mkdir", path);
    if (!failed && is_absent(disk, path) && finds_no_room(disk))
        return no_room(disk, "mkdir", path);
    begin(disk, SIM_AIM_NAMES);
    result = os_mem_files.mkdir(disk->mem, path, mode);
    return failed ? error(disk, "mkdir", path) : result;
}

static int disk_chmod(void *self, const char *path, uint32_t mode)
{
    struct sim_disk *disk = self;

    if (fails(disk, NAME_COST))
        return error(disk, "chmod", path);
    return os_mem_files.chmod(disk->mem, path, mode);
}

static int disk_sync_dir(void *self, const char *path)
{
    struct sim_disk *disk = self;

    if (fails(disk, sync_cost(disk, 1)))
        return error(disk, "sync", path);
    begin(disk, SIM_AIM_NAMES);
    return os_mem_files.sync_dir(disk->mem, path);
}

static int disk_list(void *self, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
    struct sim_disk *disk = self;

    if (fails(disk, NAME_COST))
        return error(disk, "list", path);
    return os_mem_files.list(disk->mem, path, each, ctx);
}

static int disk_stat(void *self, const char *path, struct os_stat *stat)
{
    struct sim_disk *disk = self;

    if (fails(disk, NAME_COST))
        return error(disk, "stat", path);
    return os_mem_files.stat(disk->mem, path, stat);
}

static int disk_space(void *self, const char *path, uint64_t *free_bytes)
{
    struct sim_disk *disk = self;

    if (fails(disk, NAME_COST))
        return error(disk, "statfs", path);
    return os_mem_files.space(disk->mem, path, free_bytes);
}

/* ---- operations on files ------------------------------------------------------------------------------- */

/* A sync that fails once, and forgets. */
static int failed_sync(struct sim_disk *disk, struct os_file *file)
{
    uint64_t seed = sim_draw(&disk->random);

    os_mem_fail_sync(file, &seed);
    disk->sim->totals.failed_syncs++;
    return error(disk, "sync", os_mem_file_path(file));
}

static bool begins_segment(const struct os_file *file, uint64_t offset)
{
    return offset == LOG_SEGMENT_HEAD && disk_kind(os_mem_file_path(file)) == DISK_SEGMENT;
}

/* A segment's first frame is one of many, and whether the file was new or had been used before shows there. */
static uint64_t short_write_ppm(const struct sim_disk *disk, const struct os_file *file, uint64_t offset)
{
    uint64_t usual = disk->sim->options.short_write_ppm;

    return begins_segment(file, offset) ? usual * FIRST_FRAMES_OFTENER : usual;
}

/* A segment's first frame, as far as its header, before what the file held when it was used before. */
static void count_short_start(struct sim_disk *disk, struct os_file *file, const struct iovec *iov, uint64_t offset,
                              uint64_t left)
{
    uint8_t old = 0;
    size_t got = 0;

    if (begins_segment(file, offset) && left == iov[0].iov_len &&
        os_mem_files.pread(disk->mem, file, &old, 1, offset + left, &got) == 0 && got == 1 && old)
        disk->sim->totals.short_starts++;
}

/*
 * How much of a short write is done: often whole pieces of it, for what is told apart by its borders, a head and what
 * it is the head of, goes wrong at these if anywhere.
 */
static uint64_t short_of(struct sim_disk *disk, const struct iovec *iov, int count, uint64_t size)
{
    uint64_t whole = 0;
    uint64_t pieces;

    if (count < 2 || sim_draw(&disk->random) & 1)
        return sim_below(&disk->random, size);
    pieces = 1 + sim_below(&disk->random, (uint64_t)count - 1);
    for (uint64_t i = 0; i < pieces; i++)
        whole += iov[i].iov_len;
    return whole < size ? whole : size - 1; /* the last pieces may be empty */
}

/* The first bytes are written, but not made durable. */
static int short_write(struct sim_disk *disk, struct os_file *file, const struct iovec *iov, int count, uint64_t offset,
                       uint64_t size)
{
    uint64_t left = short_of(disk, iov, count, size);

    count_short_start(disk, file, iov, offset, left);
    for (int i = 0; i < count && left; i++) {
        struct iovec piece = {.iov_base = iov[i].iov_base, .iov_len = iov[i].iov_len < left ? iov[i].iov_len : left};

        if (os_mem_files.pwritev(disk->mem, file, &piece, 1, offset, 0))
            break;
        disk_overwritten(disk, file, offset, piece.iov_len, false);
        offset += piece.iov_len;
        left -= piece.iov_len;
    }
    disk->sim->totals.short_writes++;
    return error(disk, "write", os_mem_file_path(file));
}

/* What comes with a write that succeeds. */
static void written(struct sim_disk *disk, struct os_file *file, uint64_t offset, uint64_t size, bool durable)
{
    disk_overwritten(disk, file, offset, size, durable);
    if (durable && disk_kind(os_mem_file_path(file)) == DISK_SEGMENT) {
        disk->tail_id = os_mem_file_id(file);
        disk->tail_from = offset;
        disk->tail_end = offset + size;
        disk_settle_ghosts(disk);
    }
}

/* Written whole, in the page cache; the sync fails. */
static int unsynced_write(struct sim_disk *disk, struct os_file *file, const struct iovec *iov, int count,
                          uint64_t offset, uint64_t size)
{
    int result = os_mem_files.pwritev(disk->mem, file, iov, count, offset, 0);

    disk_overwritten(disk, file, offset, size, false);
    return result ? result : failed_sync(disk, file);
}

static int disk_pwritev(void *self, struct os_file *file, const struct iovec *iov, int count, uint64_t offset,
                        uint32_t flags)
{
    struct sim_disk *disk = self;
    const struct sim_options *options = &disk->sim->options;
    bool durable = flags & OS_WRITE_DURABLE;
    bool misdirected;
    bool failed;
    uint64_t size = 0;
    int result;

    for (int i = 0; i < count; i++)
        size += iov[i].iov_len;
    disk->unanswered += os_mem_stopped(disk->mem);
    if (os_mem_stopped(disk->mem) || size == 0)
        return os_mem_files.pwritev(disk->mem, file, iov, count, offset, flags);
    failed = fails(disk, BYTES_COST + size / 4);
    if (failed && !is_done_anyway(disk))
        return error(disk, "write", os_mem_file_path(file));
    begin(disk, aim_of(os_mem_file_path(file)));
    if (failed) /* in part, that is */
        return short_write(disk, file, iov, count, offset, size);
    if (faulty(disk) && sim_chance(&disk->random, short_write_ppm(disk, file, offset)))
        return short_write(disk, file, iov, count, offset, size);
    if (durable && fails(disk, sync_cost(disk, size / OS_MEM_SECTOR + 1)))
        return unsynced_write(disk, file, iov, count, offset, size);
    misdirected = faulty(disk) && sim_chance(&disk->random, options->misdirect_ppm) &&
                  sim_atlas_may_damage(disk->sim, disk->node);
    if (os_mem_file_pending(file) && (sim_draw(&disk->random) & 15) == 0) {
        uint64_t seed = sim_draw(&disk->random);

        os_mem_write_back(file, &seed);
    }
    disk_remember(disk, file, offset, size, misdirected);
    result = os_mem_files.pwritev(disk->mem, file, iov, count, offset, flags);
    if (result == -ENOSPC) {
        disk->sim->totals.full_writes++;
        disk->refused_life = disk->node->lives;
    }
    if (result == 0)
        written(disk, file, offset, size, durable);
    if (result == 0 && misdirected)
        disk_misdirect(disk, iov, count);
    return result;
}

static int disk_pread(void *self, struct os_file *file, void *data, size_t size, uint64_t offset, size_t *got)
{
    struct sim_disk *disk = self;

    if (fails(disk, BYTES_COST + size / 4))
        return error(disk, "read", os_mem_file_path(file));
    return os_mem_files.pread(disk->mem, file, data, size, offset, got);
}

static int disk_sync(void *self, struct os_file *file)
{
    struct sim_disk *disk = self;
    uint64_t pending = os_mem_file_pending(file);

    int result;

    if (fails(disk, pending ? sync_cost(disk, pending) : NAME_COST))
        return failed_sync(disk, file);
    begin(disk, aim_of(os_mem_file_path(file)));
    result = os_mem_files.sync(disk->mem, file);
    if (result == 0)
        disk_synced(disk, file);
    return result;
}

/* Whether the file would take more room than there is. */
static bool is_too_long(struct sim_disk *disk, struct os_file *file, uint64_t size)
{
    uint64_t old = 0;

    return os_mem_files.size(disk->mem, file, &old) == 0 && size > old && size - old > room_of(disk);
}

static int disk_truncate(void *self, struct os_file *file, uint64_t size)
{
    struct sim_disk *disk = self;
    bool failed = fails(disk, NAME_COST);
    int result;

    if (failed && !is_done_anyway(disk))
        return error(disk, "truncate", os_mem_file_path(file));
    if (!failed && faulty(disk) && is_too_long(disk, file, size))
        return no_room(disk, "truncate", os_mem_file_path(file));
    begin(disk, aim_of(os_mem_file_path(file)));
    result = os_mem_files.truncate(disk->mem, file, size);
    return failed ? error(disk, "truncate", os_mem_file_path(file)) : result;
}

static int disk_size(void *self, struct os_file *file, uint64_t *size)
{
    return os_mem_files.size(((struct sim_disk *)self)->mem, file, size);
}

static int disk_lock(void *self, struct os_file *file)
{
    return os_mem_files.lock(((struct sim_disk *)self)->mem, file);
}

static int disk_refresh(void *self, struct os_file *file)
{
    struct sim_disk *disk = self;

    if (fails(disk, NAME_COST))
        return error(disk, "refresh", os_mem_file_path(file));
    return os_mem_files.refresh(disk->mem, file);
}

const struct os_file_ops sim_disk_files = {
    .open = disk_open,
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
    .refresh = disk_refresh,
};

/* ---- what happens by itself ---------------------------------------------------------------------------- */

/* The next time for something that happens `per_hour` times in the whole cluster; 0: never. */
static void again(struct sim_disk *disk, struct sim_event *event, uint64_t per_hour)
{
    uint64_t nodes = disk->sim->options.nodes ? disk->sim->options.nodes : 1;

    if (per_hour && !disk->healed)
        sim_schedule(disk->sim, event, disk->sim->now + 1 + sim_below(&disk->random, 2 * HOUR / per_hour * nodes));
}

static void stall_now(struct sim *sim, struct sim_event *event)
{
    struct sim_disk *disk = os_container(event, struct sim_disk, stall);
    uint64_t ms = sim->options.stall_ms ? sim_magnitude(&disk->random, 1, sim->options.stall_ms) : 0;

    if (disk->stalled_until < sim->now + ms * SIM_MS) { /* a short one within a long one does not end it */
        disk->stalled_until = sim->now + ms * SIM_MS;
        disk->stall_met = false;
    }
    sim_trace(sim, disk->node, "disk: stalls for %llu ms", (unsigned long long)ms);
    again(disk, event, sim->options.stall_per_hour);
}

static void full_now(struct sim *sim, struct sim_event *event)
{
    struct sim_disk *disk = os_container(event, struct sim_disk, full);
    uint64_t room = sim_magnitude(&disk->random, 1, FULL_ROOM) - 1;
    uint64_t ms = sim->options.full_ms ? sim_magnitude(&disk->random, 1, sim->options.full_ms) : 0;

    os_mem_set_budget(disk->mem, os_mem_used(disk->mem) + room + 1);
    sim->totals.disks_full += disk->node->node != NULL; /* not of a machine on which nothing runs */
    sim_trace(sim, disk->node, "disk: %llu bytes left for %llu ms", (unsigned long long)room, (unsigned long long)ms);
    sim_schedule(sim, &disk->room, sim->now + ms * SIM_MS);
}

static void room_now(struct sim *sim, struct sim_event *event)
{
    struct sim_disk *disk = os_container(event, struct sim_disk, room);

    os_mem_set_budget(disk->mem, 0);
    sim_trace(sim, disk->node, "disk: space returns");
    again(disk, &disk->full, sim->options.full_per_hour);
}

/* ---- the disk as a whole ------------------------------------------------------------------------------- */

static void *must(void *pointer)
{
    if (!pointer)
        abort();
    return pointer;
}

struct sim_disk *sim_disk_new(struct sim *sim, struct sim_node *node)
{
    struct sim_disk *disk = must(calloc(1, sizeof *disk));

    disk->magic = DISK_MAGIC;
    disk->sim = sim;
    disk->node = node;
    disk->mem = must(os_mem_new());
    disk->random = sim_stream(sim, SIM_STREAM_DISK, node->number);
    disk->halves = sim_stream(sim, SIM_STREAM_DISK, SIM_NODES_MAX + node->number);
    disk->stall.run = stall_now;
    disk->full.run = full_now;
    disk->room.run = room_now;
    again(disk, &disk->stall, sim->options.stall_per_hour);
    again(disk, &disk->full, sim->options.full_per_hour);
    return disk;
}

static void cancel_all(struct sim_disk *disk)
{
    sim_cancel(disk->sim, &disk->stall);
    sim_cancel(disk->sim, &disk->full);
    sim_cancel(disk->sim, &disk->room);
}

struct sim_disk *sim_disk_free(struct sim_disk *disk)
{
    if (!disk)
        return NULL;
    assert(disk->magic == DISK_MAGIC);
    cancel_all(disk);
    disk->mem = os_mem_free(disk->mem);
    disk->magic = 0;
    free(disk);
    return NULL;
}

uint64_t sim_disk_cost(struct sim_disk *disk)
{
    uint64_t cost = disk->cost;

    assert(disk->magic == DISK_MAGIC);
    disk->cost = 0;
    return cost;
}

void sim_disk_crash(struct sim_disk *disk, enum sim_crash how)
{
    enum os_mem_crash kind = OS_MEM_KILL;

    assert(disk->magic == DISK_MAGIC);
    if (how == SIM_POWER) {
        uint64_t draw = sim_below(&disk->random, 8);

        kind = draw == 0 ? OS_MEM_KEEP_ALL : draw == 1 ? OS_MEM_DROP_ALL : OS_MEM_RANDOM;
        if (disk->chosen != SIM_DISK_ANY && (disk->chosen_any || os_mem_stopped(disk->mem))) {
            kind = disk->chosen == SIM_DISK_KEEP ? OS_MEM_KEEP_ALL : OS_MEM_DROP_ALL;
            disk->chosen = SIM_DISK_ANY;
        }
    }
    /* Lost writes that have not come to light never happened: see disk_damage.c. */
    disk->owed = 0;
    for (uint32_t i = 0; how == SIM_POWER && i < disk->mark_count; i++)
        memset(disk->marks[i].covered, 0, sizeof disk->marks[i].covered);
    disk->cost = 0;
    disk->aim_left = 0;
    disk->unanswered = 0;
    os_mem_crash(disk->mem, kind, sim_draw(&disk->random));
}

void sim_disk_die_after(struct sim_disk *disk, uint64_t operations)
{
    assert(disk->magic == DISK_MAGIC);
    os_mem_stop_after(disk->mem, operations);
}

void sim_disk_aim(struct sim_disk *disk, enum sim_aim at, uint64_t count)
{
    assert(disk->magic == DISK_MAGIC);
    assert(at < SIM_AIMS);
    disk->aim = at;
    disk->aim_left = count;
}

enum sim_aim sim_disk_died_in(const struct sim_disk *disk)
{
    assert(os_mem_stopped(disk->mem));
    return (enum sim_aim)disk->under_way;
}

uint64_t sim_disk_unanswered(const struct sim_disk *disk)
{
    return disk->unanswered;
}

bool sim_disk_dying(const struct sim_disk *disk)
{
    return os_mem_stopped(disk->mem);
}

uint64_t sim_disk_operations(const struct sim_disk *disk)
{
    return os_mem_operations(disk->mem);
}

void sim_disk_choose(struct sim_disk *disk, enum sim_disk_fate fate, bool any)
{
    assert(disk->magic == DISK_MAGIC);
    disk->chosen = fate;
    disk->chosen_any = any;
}

void sim_disk_fail_at(struct sim_disk *disk, uint64_t call)
{
    assert(disk->magic == DISK_MAGIC);
    disk->fail_at = call;
}

bool sim_disk_refused(const struct sim_disk *disk)
{
    return disk->refused_life && disk->refused_life == disk->node->lives;
}

uint64_t sim_disk_calls(const struct sim_disk *disk)
{
    return disk->calls;
}

void sim_disk_fill(struct sim_disk *disk, uint64_t room)
{
    assert(disk->magic == DISK_MAGIC);
    os_mem_set_budget(disk->mem, room == UINT64_MAX ? 0 : os_mem_used(disk->mem) + room + 1);
}

void sim_disk_wipe(struct sim_disk *disk)
{
    assert(disk->magic == DISK_MAGIC);
    assert(os_mem_open_files(disk->mem) == 0); /* whoever held them is gone */
    disk->mem = os_mem_free(disk->mem);
    disk->mem = must(os_mem_new());
    disk->mark_count = 0;
    memset(disk->ghosts, 0, sizeof disk->ghosts);
    disk->owed = disk->fresh = 0;
    disk->tail_id = 0;
    disk->node->last_known.count = 0;
    if (disk->sim->oracle)
        sim_oracle_damaged(disk->sim->oracle, disk->node);
}

bool sim_disk_has_identity(const struct sim_disk *disk)
{
    struct os_mem_entry entry;

    return disk_find_named(disk, "directory", &entry);
}

void sim_disk_heal(struct sim_disk *disk)
{
    assert(disk->magic == DISK_MAGIC);
    cancel_all(disk);
    disk->healed = true; /* what waits for the end of a stall goes on waiting: stalled_until is the oracle's now */
    os_mem_set_budget(disk->mem, 0);
}

const uint8_t *sim_disk_durable(struct sim_disk *disk, const char *path, uint64_t *size)
{
    assert(disk->magic == DISK_MAGIC);
    return os_mem_peek_durable(disk->mem, path, size);
}

struct os_file *sim_disk_look(struct sim_disk *disk, const char *path)
{
    struct os_file *file = NULL;

    assert(disk->magic == DISK_MAGIC);
    return os_mem_files.open(disk->mem, path, OS_OPEN_READ, &file) == 0 ? file : NULL;
}

bool sim_disk_list(struct sim_disk *disk, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
    assert(disk->magic == DISK_MAGIC);
    return os_mem_files.list(disk->mem, path, each, ctx) == 0;
}

void sim_disk_looked(struct sim_disk *disk, struct os_file *file)
{
    if (file)
        os_mem_files.close(disk->mem, file);
}

bool sim_disk_medium(const struct os_file *file, uint64_t offset, uint64_t size, uint8_t *bytes)
{
    uint8_t whole[OS_MEM_SECTOR];

    while (size) {
        uint64_t skip = offset % OS_MEM_SECTOR;
        uint64_t part = size < OS_MEM_SECTOR - skip ? size : OS_MEM_SECTOR - skip;
        bool direct = part == OS_MEM_SECTOR;

        if (!os_mem_file_sector(file, offset / OS_MEM_SECTOR, direct ? bytes : whole))
            return false;
        if (!direct)
            memcpy(bytes, whole + skip, part);
        bytes += part;
        offset += part;
        size -= part;
    }
    return true;
}

bool sim_disk_pending(const struct os_file *file)
{
    return os_mem_file_pending(file) != 0;
}

bool sim_disk_named(const struct sim_disk *disk, const struct os_file *file)
{
    const char *path = os_mem_file_path(file);
    struct os_mem_entry entry;

    for (uint32_t i = 0; os_mem_entry(disk->mem, i, &entry); i++)
        if (entry.id == os_mem_file_id(file))
            return strcmp(entry.path, path) == 0;
    return false;
}
