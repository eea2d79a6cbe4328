/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - the log in memory; shared by the files of core/log and by nobody else.
 *
 * Everything in struct log belongs to the loop. Jobs get what they need copied into their own struct, borrow open
 * files (which stay open while a job uses them) and batches (for which the loop holds a reference meanwhile).
 */
#ifndef CORE_LOG_STATE_H
#define CORE_LOG_STATE_H

#include "core/log/format.h"
#include "core/log/scan.h"
#include "core/log/segment.h"
#include "core/log/slots.h"
#include "core/log/snapshot.h"
#include "core/os/list.h"

#define LOG_GROUP_FRAMES 256             /* of one group: bounds its arrays; 16 KiB of pieces for one system call */
#define LOG_GROUP_BYTES (4u << 20)       /* of one group: bounds what one write can delay the next by */
#define LOG_SPARES_WANTED 1              /* prepared segments: made when fewer */
#define LOG_SPARES_MAX 4                 /* recycled ones kept beyond that; the rest is unlinked */
#define LOG_SPACE_RETRY_NS 1000000000ull /* look once a second whether space has returned */
#define LOG_FRESH_BYTES (4u << 20)       /* of the first segment: a new node starts without a long zero-fill */

enum log_state { LOG_RUNNING, LOG_FAILED, LOG_STOPPING, LOG_STOPPED };

/* One segment that is open. */
struct log_segment {
    struct os_list link; /* log->segments, spares or dying */
    uint64_t number;
    uint64_t size;
    uint64_t used;       /* offset behind the last group */
    uint64_t last_index; /* the highest that was ever written into it */
    uint32_t readers;    /* jobs that read from it */
    bool hindered;       /* dying: a first try found no room or descriptor; it is dropped, whatever was done */
    struct os_file *file;
};

enum log_op_kind { LOG_OP_APPEND, LOG_OP_TRUNCATE, LOG_OP_RESET, LOG_OP_VOTE };

/* One thing to be made durable, in the order asked for. */
struct log_op {
    struct log_op *next;
    uint32_t kind; /* enum log_op_kind */
    bool dead;     /* an append that a later truncate or reset took back */
    uint64_t io;
    uint64_t asked_ns;
    struct log_point point; /* APPEND: its end; TRUNCATE, RESET: the end that remains */
    uint64_t term;          /* VOTE */
    uint64_t vote;
    struct log_batch *batch; /* APPEND: one reference */
    struct log_task *task;   /* RESET */
};

/* The write under way. The loop fills it in, OS_LANE_LOG runs it; one at a time. */
struct log_group {
    struct os_job job;
    struct log *log; /* for `done` only */
    const struct os *os;
    struct log_op *ops; /* that it makes durable; the loop's */
    /* what the lane reads */
    bool has_vote;
    uint8_t vote[LOG_VOTE_BYTES];
    struct os_file *vote_file[2];
    struct os_file *file; /* of the segment */
    struct os_file *synced;
    uint64_t offset;
    uint64_t incarnation;
    uint32_t frames;
    uint64_t bytes;
    struct log_frame frame[LOG_GROUP_FRAMES];
    const void *payload[LOG_GROUP_FRAMES];
    uint8_t head[LOG_GROUP_FRAMES][LOG_FRAME_HEAD];
    uint8_t small[LOG_GROUP_FRAMES][LOG_START_BYTES]; /* payload of frames without a batch */
    struct iovec iov[LOG_GROUP_FRAMES * 2];
    struct log_identity identity;
    /* what it answers */
    int status; /* negative errno */
    const char *what; /* what failed */
    uint64_t took_ns;
};

enum log_keep_action { LOG_KEEP_MAKE, LOG_KEEP_RECYCLE, LOG_KEEP_DROP };

/* Housekeeping of segment files on OS_LANE_DISK, one action at a time and in order of numbers, so that a crash never
 * leaves a hole between segments. */
struct log_keeper {
    struct os_job job;
    struct log *log;
    bool busy;
    uint32_t action;
    struct log_segment *segment; /* RECYCLE, DROP: out of every list */
    /* what the lane reads */
    const struct os *os;
    const char *dir;
    uint64_t number;     /* of the new segment */
    uint64_t old_number; /* of the old one */
    uint64_t bytes;
    uint64_t incarnation;
    /* what it answers */
    struct os_file *file;
    int status; /* negative errno */
    bool lost;  /* RECYCLE, DROP: the sync of the directory failed */
};

/* Something of the log's that is with a lane: freed by log_free when the lane never came back (a simulated crash). */
struct log_pending {
    struct os_list link;
    void (*drop)(struct log_pending *pending);
};

struct log {
    uint32_t magic;
    uint32_t state; /* enum log_state */
    const struct os *os;
    struct log_events events;
    struct log_pool *pool;
    char dir[OS_PATH_MAX];
    uint64_t segment_bytes;
    uint64_t cache_limit;
    uint64_t trail_bytes;
    uint32_t snapshot_keep;
    struct log_directory_record directory;
    struct os_file *lock;
    struct os_file *vote_file[2];
    struct os_file *synced;
    struct gavel_error error; /* why it failed */

    struct log_walk walk; /* the index, with what is not durable yet */
    uint64_t durable;
    uint64_t bytes; /* of frames of the slots */

    struct log_op *queue_head;
    struct log_op *queue_tail;
    struct log_op *free_ops;
    uint64_t queued_bytes; /* of batches in the queue and in the group under way */
    uint64_t last_io;
    uint64_t vote_sequence;
    uint64_t vote_term; /* as asked for last */
    uint64_t vote;

    struct os_list segments; /* ascending; the last is written to */
    struct os_list spares;   /* ascending: prepared, empty */
    struct os_list dying;    /* ascending: no longer needed */
    struct log_segment *current; /* NULL: the next group begins a new one */
    struct log_start_point start; /* what the next new segment says that it goes on from */
    uint64_t number_max;
    uint64_t group_number; /* the last given out */
    uint64_t group_synced;
    struct log_point written; /* the end of the log after the last group that was built */
    bool writing;
    struct log_group group;
    struct log_keeper keeper;
    bool space_short;
    int space_error;   /* why: the negative errno of the last segment that could not be made */
    uint64_t retry_at; /* monotonic ns; 0: not waiting */

    uint64_t cache_bytes;
    uint64_t cache_from; /* slots before this position are on disk only */
    uint32_t jobs; /* reads, tasks and snapshot jobs under way */
    struct os_list pending; /* of struct log_pending */

    bool recovering;
    uint64_t recovering_floor;
    bool founding_known;

    struct log_snapshot_info *snapshots; /* published, the newest first */
    uint32_t snapshot_count;
    uint32_t snapshot_room; /* entries that the list has memory for */
    struct log_snapshot_writer *writer;
    struct log_snapshot_receiver *receiver;

    void (*stopped)(void *ctx);
    void *stopped_ctx;
    struct os_job stop_job;
    int stop_status;

    uint64_t syncs;
    uint64_t appended;
    uint64_t sync_ns_last;
};

#define LOG_MAGIC 0x474f4c47u

/* [loop] group.c: start the next write when none is under way and something waits. */
void log_pump(struct log *log);

/* [loop] group.c: nothing works any more; calls `failed` once. `error` is a negative errno. */
void log_fail(struct log *log, const char *what, int error);

/* [loop] space.c: start the next piece of housekeeping when none is under way. */
void log_keep(struct log *log);

/* [any] space.c: true for a negative errno that says that room, a quota, descriptors or memory ran out. */
bool log_passes(int status);

/* [any lane] space.c: make segment `number` of `bytes` bytes, zero-filled, synced, under its name. Negative errno. */
int log_segment_make(const struct os *os, const char *dir, uint64_t number, uint64_t bytes, uint64_t incarnation,
                     struct os_file **file);

/* [any lane] space.c: zeroes from offset `from` to `to`, not synced. Negative errno. */
int log_zero_fill(const struct os *os, struct os_file *file, uint64_t from, uint64_t to);

/* [loop] read.c: let go of cached batches beyond the limit that are durable. */
void log_cache_trim(struct log *log);

/* [loop] log.c: a job ended; goes on with a stop that waits for it. */
void log_job_ended(struct log *log);

/* [loop] snapshot_write.c: the log is durable further than before; a finished snapshot may be waiting for it. */
void log_snapshot_durable(struct log *log);

/* [loop] snapshot_write.c: put one into the list; log_snapshot_reserve has made room for it. */
void log_snapshot_add(struct log *log, const struct log_snapshot_info *info);

/* [any lane] task.c: remove every *.damaged file of "log" or "snap" below `dir`. Negative errno. */
int log_sweep_damaged(const struct os *os, const char *dir, const char *sub);

/* [any lane] task.c: write a whole small file durably: <name>.new, sync, rename, sync of `dir`. Negative errno. */
int log_file_replace(const struct os *os, const char *dir, const char *name, const struct iovec *iov, int count);

#endif
