/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_state.h - one simulated disk, for the files disk*.c only.
 *
 * The file system itself is os_mem (core/os/mem.h), the one that the tests of the log use; here is what goes wrong with
 * it and what it costs.
 */
#ifndef TESTS_SIM_DISK_STATE_H
#define TESTS_SIM_DISK_STATE_H

#include "core/os/list.h"
#include "core/os/mem.h"
#include "disk.h"

#define DISK_MAGIC 0x53444953u
#define DISK_MARKS 64  /* damaged sectors that are remembered; when all are in use nothing more is damaged */
#define DISK_GHOSTS 16 /* older contents of sectors that are kept to come back; at most 32 */

/* What a file is to a node: what may be damaged, and how. */
enum disk_kind {
    DISK_OTHER,   /* not worth it, or beyond repair by design: see disk_damage.c */
    DISK_SEGMENT, /* log/<number>.seg */
    DISK_SYNCED,  /* log/synced */
    DISK_SNAPSHOT, /* snap/<index>-<term>.snap, and what is to become one */
    DISK_VOTE,    /* vote.0, vote.1 */
    DISK_RECORD   /* directory, founding: damage there ends a node for ever */
};

/* One damaged sector. */
struct disk_mark {
    uint64_t id; /* of the file */
    uint64_t sector;
    uint64_t lives; /* node->lives when it happened: a later life has met it */
    uint32_t kind;  /* enum disk_kind */
    uint64_t bytes[OS_MEM_SECTOR / 64]; /* one bit a byte that is not what was written ... */
    uint64_t covered[OS_MEM_SECTOR / 64]; /* ... and that has been written again since, but not yet synced */
};

/* What was in a sector before it was written. */
struct disk_ghost {
    uint64_t id; /* 0: free */
    uint64_t sector;
    uint8_t bytes[OS_MEM_SECTOR];
};

struct sim_disk {
    uint32_t magic;
    bool healed;
    struct sim *sim;
    struct sim_node *node;
    struct os_mem *mem;
    struct sim_random random;
    struct sim_random halves; /* what an operation that fails has done all the same; which name finds no room */
    uint32_t chosen;        /* enum sim_disk_fate, of the next loss of power ... */
    bool chosen_any;        /* ... whatever it comes from; else by sim_disk_die_after */
    uint32_t aim;           /* enum sim_aim: it dies within ... */
    uint64_t aim_left;      /* ... so many of these from now; 0: it does not */
    uint32_t under_way;     /* enum sim_aim: of the operation that was begun last */
    uint64_t unanswered;    /* operations asked for since it died within one */
    uint64_t calls;         /* all operations so far */
    uint64_t fail_at;       /* this one fails; 0: none */
    uint64_t refused_life;  /* node->lives when an operation failed last, or found no room; 0: never */
    uint64_t cost;          /* simulated ns since sim_disk_cost was called last */
    uint64_t stalled_until; /* simulated ns */
    bool stall_met;         /* by an operation, and counted */
    struct sim_event stall;
    struct sim_event full;
    struct sim_event room; /* space returns */
    /* The last durable write into a segment: a write behind it proves that it was synced, or an identity entry that is
     * durable itself. Rot in an unproven group is not promised to be told from a torn one (gavel-formats(7), RECOVERY);
     * so it is left alone until then. */
    uint64_t tail_id;
    uint64_t tail_from;
    uint64_t tail_end;
    struct disk_mark marks[DISK_MARKS];
    uint32_t mark_count;
    struct disk_ghost ghosts[DISK_GHOSTS];
    uint32_t owed;  /* a bit a ghost: of a misdirected write; back as soon as that can be told from a torn one */
    uint32_t fresh; /* a bit a ghost: made for the write under way */
    uint32_t next_ghost;
};

enum disk_kind disk_kind(const char *path);

/* A write into `file` is about to happen: now and then, or when told to, remember what was there. */
void disk_remember(struct sim_disk *disk, const struct os_file *file, uint64_t offset, uint64_t size, bool owed);

/* It has happened: what it covered is no longer damaged (once it is durable), nor owed. */
void disk_overwritten(struct sim_disk *disk, const struct os_file *file, uint64_t offset, uint64_t size, bool durable);

/* A sync of the file has returned. */
void disk_synced(struct sim_disk *disk, const struct os_file *file);

/* A misdirected write: its first sector lands somewhere else. (That it is missing where it should be is owed.) */
void disk_misdirect(struct sim_disk *disk, const struct iovec *iov, int count);

/* Lost writes that can come to light now do. */
void disk_settle_ghosts(struct sim_disk *disk);

/* Forget marks of files that are gone, and of what the present life of the node has met and got over. */
void disk_prune_marks(struct sim_disk *disk);

/* Whether the node is still fetching again what was damaged, as far as its disk durably knows. */
bool disk_is_recovering(const struct sim_disk *disk);

/* The durable file of that name, wherever the data directory is; false when there is none. */
bool disk_find_named(const struct sim_disk *disk, const char *name, struct os_mem_entry *entry);

#endif
