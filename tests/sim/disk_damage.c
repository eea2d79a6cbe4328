/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_damage.c - damage to what was durable: rot, zeroed sectors, older content, misdirected and lost writes.
 *
 * What is never done, because no log can tell it from what may happen to a sound disk, and gavel promises nothing:
 *
 *   - damage to the last durable write into a segment, as long as nothing proves that its sync had returned: a start
 *     takes it for torn and cuts it (gavel-formats(7), RECOVERY). A lost write therefore comes to light only when a
 *     later one proves it; a crash before that makes it undone. Once an identity entry is durable that covers it (each
 *     start and each clean stop sees to that) it may be hit, and is by preference; then the entries are spared, for who
 *     loses both knows of neither.
 *   - an older content of a vote file, and damage to both of them at a time: the older vote would be believed. A torn
 *     write of one beside rot in the other is allowed; it ends the node for good (exit 65), which the atlas counts.
 *
 * The directory and founding records are hit rarely: that too ends a node for good.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/log/format.h"
#include "disk_state.h"
#include "oracle.h"

#define VOTE_BYTES 48    /* of a vote file, that count */
#define RECORD_CHANCE 16 /* one in so many hits on a record that ends a node is let through */
#define TRIES 32         /* to find a sector worth it */
#define REMEMBER 31      /* one write in 32 is remembered */
#define TAIL_CHANCE 3    /* one hit in so many goes to the last write into a segment, where that is proved */

/* ---- what a file is ------------------------------------------------------------------------------------ */

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name);
    size_t wanted = strlen(end);

    return length >= wanted && strcmp(name + length - wanted, end) == 0;
}

enum disk_kind disk_kind(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    if (ends_with(name, ".seg"))
        return DISK_SEGMENT;
    if (ends_with(name, ".snap") || ends_with(name, ".part") || strcmp(name, "incoming") == 0)
        return DISK_SNAPSHOT;
    if (strcmp(name, "synced") == 0)
        return DISK_SYNCED;
    if (strcmp(name, "vote.0") == 0 || strcmp(name, "vote.1") == 0)
        return DISK_VOTE;
    if (strcmp(name, "directory") == 0 || strcmp(name, "founding") == 0)
        return DISK_RECORD;
    return DISK_OTHER;
}

/* ---- marks --------------------------------------------------------------------------------------------- */

/* What is covered and durable is whole again; false when nothing of the damage is left. */
static bool is_left(struct disk_mark *mark)
{
    uint64_t left = 0;

    for (uint32_t i = 0; i < OS_MEM_SECTOR / 64; i++) {
        mark->bytes[i] &= ~mark->covered[i];
        mark->covered[i] = 0;
        left |= mark->bytes[i];
    }
    return left != 0;
}

static void cover(struct disk_mark *mark, uint64_t offset, uint64_t size)
{
    uint64_t start = mark->sector * OS_MEM_SECTOR;

    for (uint64_t at = 0; at < OS_MEM_SECTOR; at++) {
        if (start + at >= offset && start + at < offset + size)
            mark->covered[at / 64] |= UINT64_C(1) << at % 64;
    }
}

void disk_overwritten(struct sim_disk *disk, const struct os_file *file, uint64_t offset, uint64_t size, bool durable)
{
    uint64_t id = os_mem_file_id(file);

    for (uint32_t i = disk->mark_count; i-- > 0;) {
        struct disk_mark *mark = &disk->marks[i];
        uint64_t start = mark->sector * OS_MEM_SECTOR;

        if (mark->id != id || offset + size <= start || offset >= start + OS_MEM_SECTOR)
            continue;
        cover(mark, offset, size);
        if (durable && !is_left(mark))
            *mark = disk->marks[--disk->mark_count];
    }
    for (uint32_t older = disk->owed & ~disk->fresh; older; older &= older - 1) {
        uint32_t bit = older & -older;
        const struct disk_ghost *ghost = &disk->ghosts[__builtin_ctz(bit)];

        /* What is owed to an older write is not owed to this one. */
        if (ghost->id == id && (ghost->sector + 1) * OS_MEM_SECTOR > offset &&
            ghost->sector * OS_MEM_SECTOR < offset + size)
            disk->owed &= ~bit;
    }
    disk->fresh = 0;
}

void disk_synced(struct sim_disk *disk, const struct os_file *file)
{
    uint64_t id = os_mem_file_id(file);

    for (uint32_t i = disk->mark_count; i-- > 0;) {
        if (disk->marks[i].id == id && !is_left(&disk->marks[i]))
            disk->marks[i] = disk->marks[--disk->mark_count];
    }
}

bool disk_find_named(const struct sim_disk *disk, const char *name, struct os_mem_entry *entry)
{
    for (uint32_t i = 0; os_mem_entry(disk->mem, i, entry); i++) {
        const char *slash = strrchr(entry->path, '/');

        if (!entry->is_dir && strcmp(slash ? slash + 1 : entry->path, name) == 0)
            return true;
    }
    return false;
}

bool disk_is_recovering(const struct sim_disk *disk)
{
    struct os_mem_entry entry;

    return disk_find_named(disk, "recovering", &entry);
}

/* What an earlier life has left was met by the start of the present one, and got over when it is not recovering: all
 * but damage to snapshots, of which a start reads the newest sound one only. */
static bool was_met(const struct sim_disk *disk, const struct disk_mark *mark)
{
    const struct sim_node *node = disk->node;

    return node->node && node->state == SIM_UP && mark->lives < node->lives && mark->kind != DISK_SNAPSHOT;
}

void disk_prune_marks(struct sim_disk *disk)
{
    bool recovering = disk->mark_count && disk_is_recovering(disk);

    for (uint32_t i = disk->mark_count; i-- > 0;) {
        if (!os_mem_exists(disk->mem, disk->marks[i].id) || (!recovering && was_met(disk, &disk->marks[i])))
            disk->marks[i] = disk->marks[--disk->mark_count];
    }
}

bool sim_disk_damaged(struct sim_disk *disk)
{
    assert(disk->magic == DISK_MAGIC);
    disk_prune_marks(disk);
    return disk->mark_count > 0;
}

bool sim_disk_spoiled(struct sim_disk *disk, const struct os_file *file)
{
    disk_prune_marks(disk);
    for (uint32_t i = 0; i < disk->mark_count; i++)
        if (disk->marks[i].id == os_mem_file_id(file))
            return true;
    return false;
}

static bool vote_is_marked(const struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->mark_count; i++) {
        if (disk->marks[i].kind == DISK_VOTE)
            return true;
    }
    return false;
}

bool sim_disk_vote_damaged(struct sim_disk *disk)
{
    disk_prune_marks(disk);
    return vote_is_marked(disk);
}

/* ---- one sector ---------------------------------------------------------------------------------------- */

struct target {
    char path[OS_PATH_MAX];
    uint64_t id;
    uint64_t size; /* of the file */
    uint64_t sector;
    uint32_t kind;
    uint8_t bytes[OS_MEM_SECTOR]; /* as they are */
};

static bool is_tail(const struct sim_disk *disk, uint64_t id, uint64_t sector)
{
    uint64_t start = sector * OS_MEM_SECTOR;

    return id == disk->tail_id && start < disk->tail_end && start + OS_MEM_SECTOR > disk->tail_from;
}

static bool tail_is_marked(const struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->mark_count; i++) {
        if (is_tail(disk, disk->marks[i].id, disk->marks[i].sector))
            return true;
    }
    return false;
}

/* A file's durable name by its number. */
static bool find(const struct sim_disk *disk, uint64_t id, struct target *target)
{
    struct os_mem_entry entry;

    for (uint32_t i = 0; os_mem_entry(disk->mem, i, &entry); i++) {
        size_t length = strlen(entry.path);

        if (entry.id != id || entry.is_dir || length >= sizeof target->path)
            continue;
        memcpy(target->path, entry.path, length + 1);
        target->id = id;
        target->size = entry.size;
        target->kind = disk_kind(entry.path);
        return true;
    }
    return false;
}

/* The newest identity entry that a loss of power leaves as it is; group 0: none. */
static struct log_identity newest_identity(const struct sim_disk *disk)
{
    struct log_identity newest = {.group = 0};
    struct log_directory_record record;
    uint8_t bytes[OS_MEM_SECTOR];
    struct os_mem_entry entry;
    struct target synced;

    if (!disk_find_named(disk, "directory", &entry) || !os_mem_sector(disk->mem, entry.path, 0, bytes) ||
        log_directory_decode(bytes, sizeof bytes, &record) || !disk_find_named(disk, "synced", &entry) ||
        !find(disk, entry.id, &synced))
        return newest;
    for (uint64_t sector = 0; sector < synced.size / OS_MEM_SECTOR; sector++) {
        if (!os_mem_sector(disk->mem, synced.path, sector, bytes))
            continue;
        for (size_t at = 0; at + LOG_IDENTITY_BYTES <= sizeof bytes; at += LOG_IDENTITY_BYTES) {
            struct log_identity found;

            if (log_identity_decode(bytes + at, record.incarnation, &found) && found.group > newest.group)
                newest = found;
        }
    }
    return newest;
}

/* Whether an identity entry says that the last write into a segment had been synced. */
static bool tail_is_proved(const struct sim_disk *disk)
{
    struct log_identity identity;
    unsigned long long number;
    struct target tail;
    const char *slash;

    if (!disk->tail_id || !find(disk, disk->tail_id, &tail))
        return false;
    slash = strrchr(tail.path, '/');
    if (!slash || sscanf(slash, "/%16llx.seg", &number) != 1)
        return false;
    identity = newest_identity(disk);
    return identity.group && identity.segment == number && identity.end >= disk->tail_end;
}

/* Whether this sector may be damaged, and what is in it. */
static bool aim(const struct sim_disk *disk, struct target *target)
{
    if (disk->mark_count == DISK_MARKS)
        return false;
    if (is_tail(disk, target->id, target->sector) && !tail_is_proved(disk))
        return false;
    if (target->kind == DISK_SYNCED && tail_is_marked(disk))
        return false;
    if (target->kind == DISK_VOTE && (target->sector != 0 || vote_is_marked(disk)))
        return false;
    return os_mem_sector(disk->mem, target->path, target->sector, target->bytes);
}

/* Put `bytes` there; false when nothing changes by it. */
static bool hit(struct sim_disk *disk, const struct target *target, const uint8_t *bytes, const char *how)
{
    struct disk_mark *mark = &disk->marks[disk->mark_count];
    uint64_t start = target->sector * OS_MEM_SECTOR;
    uint64_t size = target->size - start < OS_MEM_SECTOR ? target->size - start : OS_MEM_SECTOR;

    if (target->kind == DISK_VOTE)
        size = VOTE_BYTES; /* the rest does not count, and is never written again */
    if (memcmp(bytes, target->bytes, size) == 0)
        return false;
    memset(mark, 0, sizeof *mark);
    mark->id = target->id;
    mark->sector = target->sector;
    mark->lives = disk->node->lives;
    mark->kind = target->kind;
    for (uint64_t at = 0; at < size; at++) {
        if (bytes[at] != target->bytes[at])
            mark->bytes[at / 64] |= UINT64_C(1) << at % 64;
    }
    disk->mark_count++;
    disk->sim->totals.proved_tails += is_tail(disk, target->id, target->sector);
    (void)os_mem_poke(disk->mem, target->path, start, bytes, size);
    sim_trace(disk->sim, disk->node, "disk: %s in %s at %llu", how, target->path, (unsigned long long)start);
    if (disk->sim->oracle)
        sim_oracle_damaged(disk->sim->oracle, disk->node);
    return true;
}

static bool counted(bool done, uint64_t *total)
{
    *total += done;
    return done;
}

/* ---- older content ------------------------------------------------------------------------------------- */

void disk_remember(struct sim_disk *disk, const struct os_file *file, uint64_t offset, uint64_t size, bool owed)
{
    struct disk_ghost *ghost = &disk->ghosts[disk->next_ghost % DISK_GHOSTS];
    uint32_t bit = UINT32_C(1) << disk->next_ghost % DISK_GHOSTS;
    enum disk_kind kind;

    if (!owed && (!disk->sim->options.rot_per_hour || disk->healed || (sim_draw(&disk->random) & REMEMBER)))
        return;
    kind = disk_kind(os_mem_file_path(file));
    if ((kind != DISK_SEGMENT && kind != DISK_SYNCED && kind != DISK_SNAPSHOT) || (disk->owed & bit))
        return;
    ghost->id = os_mem_file_id(file);
    ghost->sector = offset / OS_MEM_SECTOR;
    if (!owed)
        ghost->sector += sim_below(&disk->random, size / OS_MEM_SECTOR + 1);
    disk->fresh &= ~bit;
    if (os_mem_file_sector(file, ghost->sector, ghost->bytes)) {
        disk->next_ghost++;
        disk->owed |= owed ? bit : 0;
        disk->fresh |= owed ? bit : 0;
    } else {
        memset(ghost, 0, sizeof *ghost);
    }
}

/* An older content comes back; true when it did. */
static bool come_back(struct sim_disk *disk, struct disk_ghost *ghost, const char *how)
{
    struct target target;

    if (!ghost->id || !find(disk, ghost->id, &target))
        return false;
    target.sector = ghost->sector;
    if (!aim(disk, &target))
        return false;
    ghost->id = 0;
    disk->owed &= ~(UINT32_C(1) << (ghost - disk->ghosts));
    return hit(disk, &target, ghost->bytes, how);
}

void disk_settle_ghosts(struct sim_disk *disk)
{
    for (uint32_t owed = disk->healed ? 0 : disk->owed; owed; owed &= owed - 1) {
        if (sim_atlas_may_damage(disk->sim, disk->node))
            (void)counted(come_back(disk, &disk->ghosts[__builtin_ctz(owed)], "a lost write"),
                          &disk->sim->totals.lost_writes);
    }
}

/* ---- picking ------------------------------------------------------------------------------------------- */

static uint32_t weight(struct sim_disk *disk, const struct os_mem_entry *entry)
{
    if (entry->is_dir || !entry->filled)
        return 0;
    switch (disk_kind(entry->path)) {
    case DISK_SEGMENT:
        return 6;
    case DISK_SNAPSHOT:
        return 4;
    case DISK_VOTE:
        return 1;
    case DISK_SYNCED:
        return 1;
    case DISK_RECORD:
        return sim_below(&disk->random, RECORD_CHANCE) == 0;
    default:
        return 0;
    }
}

/* One of the last write into a segment, now and then, where that may be damaged. */
static bool pick_tail(struct sim_disk *disk, struct target *target)
{
    uint64_t first = disk->tail_from / OS_MEM_SECTOR;

    if (!tail_is_proved(disk) || sim_below(&disk->random, TAIL_CHANCE) || !find(disk, disk->tail_id, target))
        return false;
    target->sector = first + sim_below(&disk->random, (disk->tail_end - 1) / OS_MEM_SECTOR - first + 1);
    return aim(disk, target);
}

/* A sector that may be damaged; false when none was found. */
static bool pick(struct sim_disk *disk, struct target *target)
{
    struct os_mem_entry entry;
    uint64_t picked = 0;
    uint64_t filled = 0;
    uint64_t total = 0;

    if (pick_tail(disk, target))
        return true;
    for (uint32_t i = 0; os_mem_entry(disk->mem, i, &entry); i++) {
        uint32_t heavy = weight(disk, &entry);

        total += heavy;
        if (heavy && sim_below(&disk->random, total) < heavy) {
            picked = entry.id;
            filled = entry.filled;
        }
    }
    if (!picked || !find(disk, picked, target))
        return false;
    for (int i = 0; i < TRIES; i++) {
        target->sector = target->kind == DISK_VOTE
                             ? 0
                             : sim_below(&disk->random, (filled + OS_MEM_SECTOR - 1) / OS_MEM_SECTOR);
        if (aim(disk, target))
            return true;
    }
    return false;
}

static void fill_noise(struct sim_disk *disk, uint8_t *bytes)
{
    for (uint32_t i = 0; i < OS_MEM_SECTOR; i += 8) {
        uint64_t noise = sim_draw(&disk->random);

        memcpy(bytes + i, &noise, 8);
    }
}

bool sim_disk_rot(struct sim_disk *disk)
{
    struct target target;
    uint8_t bytes[OS_MEM_SECTOR];
    uint64_t limit;

    assert(disk->magic == DISK_MAGIC);
    disk_prune_marks(disk);
    if (sim_below(&disk->random, 4) == 0) {
        uint32_t from = (uint32_t)sim_below(&disk->random, DISK_GHOSTS);

        for (uint32_t i = 0; i < DISK_GHOSTS; i++) {
            if (come_back(disk, &disk->ghosts[(from + i) % DISK_GHOSTS], "older content")) {
                disk->sim->totals.stale_sectors++;
                return true;
            }
        }
    }
    if (!pick(disk, &target))
        return false;
    memcpy(bytes, target.bytes, sizeof bytes);
    limit = target.size - target.sector * OS_MEM_SECTOR;
    if (limit > OS_MEM_SECTOR)
        limit = OS_MEM_SECTOR;
    if (target.kind == DISK_VOTE)
        limit = VOTE_BYTES;
    switch (sim_below(&disk->random, 4)) {
    case 0:
        memset(bytes, 0, sizeof bytes);
        return counted(hit(disk, &target, bytes, "zeroes"), &disk->sim->totals.zeroed_sectors);
    case 1:
        fill_noise(disk, bytes);
        return hit(disk, &target, bytes, "noise");
    default:
        bytes[sim_below(&disk->random, limit)] ^= (uint8_t)(1u << sim_below(&disk->random, 8));
        return counted(hit(disk, &target, bytes, "a flipped bit"), &disk->sim->totals.flipped_bits);
    }
}

bool sim_disk_hit(struct sim_disk *disk, const char *name_end, uint64_t sector)
{
    struct os_mem_entry entry;
    struct target target;
    uint8_t bytes[OS_MEM_SECTOR];

    for (uint32_t i = 0; os_mem_entry(disk->mem, i, &entry); i++) {
        if (!entry.is_dir && ends_with(entry.path, name_end) && find(disk, entry.id, &target)) {
            target.sector = sector;
            fill_noise(disk, bytes);
            return aim(disk, &target) && hit(disk, &target, bytes, "damage");
        }
    }
    return false;
}

void disk_misdirect(struct sim_disk *disk, const struct iovec *iov, int count)
{
    struct target target;
    uint8_t bytes[OS_MEM_SECTOR] = {0};
    size_t filled = 0;

    disk_prune_marks(disk);
    for (int i = 0; i < count && filled < sizeof bytes; i++) {
        size_t part = iov[i].iov_len < sizeof bytes - filled ? iov[i].iov_len : sizeof bytes - filled;

        memcpy(bytes + filled, iov[i].iov_base, part);
        filled += part;
    }
    if (pick(disk, &target))
        (void)counted(hit(disk, &target, bytes, "a misdirected write"), &disk->sim->totals.misdirected_writes);
}
