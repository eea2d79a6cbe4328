/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - the durable log of one node: its data directory, votes, batches and recovery. Snapshots: snapshot.h.
 *
 * Everything here is called on the loop of one node; log_open, which reads the whole log, before the node starts.
 * Nothing blocks after log_open: work goes to lanes as jobs that touch only memory they own, and answers come back as
 * calls on the loop, never from inside the function that asked. No thread, no lock, no wait.
 *
 * Writes are numbered by the caller: the `io` ids of log_append, log_vote and log_truncate rise by any step, take
 * effect in that order, and complete in that order: written(n) means that everything up to n is durable. While one
 * write and its sync run, all that is asked for collects, and is the next write. Appends become visible to log_last
 * and log_read at once, long before they are durable.
 *
 * After a failed write or sync nothing is ever retried: `failed` is called once, every later call answers
 * GAVEL_E_IO, and the process is expected to serve nothing and exit (74).
 *
 * A data directory, mode 0700:
 *   lock          held by flock while a node runs
 *   directory     what this is: format version, cluster id, member id, incarnation, name of the node
 *   vote.0 vote.1 the same {sequence, term, vote} twice
 *   founding      the founding record, opaque here
 *   recovering    present while a damaged log is being fetched again
 *   unfinished    present while the directory of a new cluster is being made off line
 *   fenced        present while the state of this node differs from that of the majority
 *   renewing      present while the directory becomes part of a new cluster (renew.h); `renewed` afterwards
 *   old-*         directories with what was set aside then
 *   log/          segments <number>.seg, and `synced`, the identity entries
 *   snap/         snapshots <index>-<term>.snap, a *.part while one is written or received
 */
#ifndef CORE_LOG_LOG_H
#define CORE_LOG_LOG_H

#include <gavel/abi.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/log/batch.h"
#include "core/os/os.h"

#define LOG_FORMAT_VERSION 1  /* of the data directory; a newer one is refused, unchanged */
#define LOG_NAME_MAX 64       /* bytes of a node's name with its NUL */
#define LOG_FOUNDING_MAX (1024 * 1024) /* bytes of a founding record: hundreds of members with their settings */

#define LOG_SEGMENT_BYTES_DEFAULT (16u << 20) /* one zero-filled file of the log */
#define LOG_SEGMENT_BYTES_MIN (2u << 20)      /* must hold its header and one frame with the largest batch */
#define LOG_SEGMENT_BYTES_MAX (256u << 20)    /* recovery reads one segment into memory at a time */
#define LOG_CACHE_BYTES_DEFAULT (8u << 20)    /* of the newest batches kept in memory for peers and apply */
#define LOG_TRAIL_BYTES_DEFAULT (64u << 20)   /* of log kept behind a compaction for slow peers */
#define LOG_SNAPSHOT_KEEP_DEFAULT 5

struct log;

struct log_cluster_id {
    uint8_t bytes[16]; /* all zero: not yet part of a cluster */
};

/* What a snapshot is. `meta` is the node's own: configuration, ids, settings. */
struct log_snapshot_info {
    uint64_t index; /* of the last applied entry in it, the last of its batch; 0: there is no snapshot */
    uint64_t term;  /* of that entry */
    uint32_t chain; /* chain crc of the batch that ends at index */
    uint32_t digest; /* crc32c of the payload */
    uint64_t bytes; /* of the payload: what the machines wrote */
};

/* One batch of the recovered log: what the algorithm's start event needs. */
struct log_descriptor {
    uint64_t first;
    uint64_t term;
    uint32_t count;
    uint32_t bytes;
    uint32_t chain;
    uint32_t kind; /* enum log_kind of its first entry; a CONFIG entry stands alone */
};

/* ---- opening ------------------------------------------------------------------------------------------- */

struct log_options {
    const char *dir;          /* made when absent (its parent must exist) */
    const char *name;         /* of the node, from its INI; another name in `directory` is refused */
    struct log_cluster_id cluster_id; /* when not zero: another cluster's directory is refused */
    uint64_t segment_bytes;   /* 0 in this and the next four: the default */
    uint64_t cache_bytes;
    uint64_t trail_bytes;
    uint32_t snapshot_keep;
    uint32_t recover;         /* 1: this node has peers that hold the data: on damage start as recovering instead of
                                 answering GAVEL_E_CORRUPT */
    uint32_t renewing;        /* 1: only for renew.c, which goes on with a plan that is in the directory, and whose
                                 caller holds the lock */
    struct log_pool *pool;    /* of the batches; borrowed, must outlive the log */
    uint32_t unfinished;      /* 1: whoever opens it is about to finish it, see LOG_UNFINISHED */
};

/* While a file of this name lies in a data directory, the rest of it is being made from a snapshot or from another
 * directory, for a new cluster: nothing in it counts, and it is refused (GAVEL_E_CONFIG). Its removal is the moment at
 * which the directory begins to be one. See core/node/reset.h. */
#define LOG_UNFINISHED "unfinished"

/* Called on the loop, never from inside a function of this header. */
struct log_events {
    void *ctx;
    void (*written)(void *ctx, uint64_t io);                     /* everything up to `io` is durable */
    void (*failed)(void *ctx, const struct gavel_error *error);   /* once; nothing follows but pending read answers */
};

enum log_start {
    LOG_START_FRESH,     /* a new directory */
    LOG_START_OK,        /* everything was as it was left */
    LOG_START_TORN,      /* an unacknowledged tail was cut off: one warning, `text` says what */
    LOG_START_RECOVERING /* damage in what was durable: see log_recovering_end; `text` says what */
};

/* What log_open found. Freed by log_recovery_free. On GAVEL_E_CORRUPT everything that could be read is filled in. */
struct log_recovery {
    uint32_t start; /* enum log_start */
    uint32_t row;   /* number of the row of the recovery table that decided, see recovery_table.h */
    char text[512]; /* for TORN, RECOVERING, or a notice beside OK; "" otherwise */
    struct log_cluster_id cluster_id;
    uint64_t member_id; /* 0: none yet */
    uint64_t incarnation;
    uint64_t term;
    uint64_t vote; /* member id, 0: none */
    struct log_snapshot_info snapshot; /* the newest good one; the log follows it or overlaps it */
    uint8_t *snapshot_meta;
    uint64_t snapshot_meta_bytes;
    struct log_descriptor *batches; /* ascending, without a gap */
    uint64_t batch_count;
    uint64_t first;        /* index of the first entry of the log; last + 1 when it is empty */
    uint64_t previous_term; /* term and chain of the entry before `first` */
    uint32_t previous_chain;
    uint32_t last_chain;   /* chain at the last index */
    uint64_t last;         /* index of the last entry of the log, or of the snapshot when that is newer */
    uint64_t last_term;
    struct log_snapshot_info incoming; /* a snapshot that was being received from a peer; index 0: none */
    uint64_t incoming_offset;          /* how much of its payload is here and sound */
    uint64_t fence;            /* log_set_fence's; 0: none */
    uint64_t recovering_floor; /* RECOVERING: the highest index at which the log may have ended here */
    uint8_t *founding;     /* the founding record; NULL when there is none */
    uint64_t founding_bytes;
    /* The directory was there already and not for its owner alone, with these permission bits: it has 0700 now, unless
     * that failed with this negative errno. Both 0: it had 0700, or is new. */
    uint32_t mode_before;
    int32_t mode_failed;
    const char *copies; /* name of a file system that copies on write: what was reserved is no room there; or NULL */
};

/* [before the loop] Take the lock of a data directory; os_close lets go of it. GAVEL_E_BUSY when another process has
 * it, and then, as after every failure, *lock is NULL. For work off line: log_open takes it itself. */
int log_lock_dir(const struct os *os, const char *dir, struct os_file **lock, struct gavel_error *error);

/* [before the loop] Open or make the data directory, lock it, recover it, and report. Takes as long as reading the
 * log and the newest snapshot takes. `events` is copied. On failure nothing stays open, and unless the directory was
 * new or torn, nothing was changed:
 *   GAVEL_E_CONFIG   another node's or cluster's directory, or not a data directory at all, or
 *                    one whose change into a new cluster was cut short                            (exit 78)
 *   GAVEL_E_VERSION  a newer format                                                               (exit 78)
 *   GAVEL_E_DENIED   not ours, or not accessible                                                  (exit 77)
 *   GAVEL_E_BUSY     another process runs on it                                                   (exit 74)
 *   GAVEL_E_CORRUPT  damage in what was durable, see options.recover                              (exit 65)
 *   GAVEL_E_IO, GAVEL_E_NO_SPACE, GAVEL_E_NO_MEMORY                                               (exit 74)
 * Votes that are both unreadable, a damaged `directory` and a damaged founding record are GAVEL_E_CORRUPT even with
 * options.recover: without them a node could vote twice or speak for another. `recovery` is filled on success and on
 * GAVEL_E_CORRUPT; free it in both cases. No lane has a job of the log yet: it may be freed at once. */
int log_open(const struct os *os, const struct log_options *options, const struct log_events *events,
             struct log **log, struct log_recovery *recovery, struct gavel_error *error);

/* [loop] Begin what the log does by itself, making segments before they are needed. Writing begins it as well. */
void log_start(struct log *log);

/* [loop] Free what log_open reported; harmless on an all-zero one and twice. */
void log_recovery_free(struct log_recovery *recovery);

/* [loop] Clean stop: finishes what is queued, writes and syncs the last identity entry, then calls stopped(ctx).
 * Nothing may be asked of the log afterwards but log_free. Of a failed log `stopped` never comes. */
void log_stop(struct log *log, void (*stopped)(void *ctx), void *ctx);

/* [loop] Free the log and drop the lock. Either right after log_open, or after `stopped`, or when the lanes have been
 * stopped or dropped (a failed log, a simulated crash): no job of it may run any more. Returns NULL; NULL is fine. */
struct log *log_free(struct log *log);

/* A one-off durable write. The caller keeps the struct in place until `done`. */
struct log_task {
    void (*done)(struct log_task *task); /* [loop] */
    void *ctx;                           /* the caller's */
    int32_t status;                      /* 0 or GAVEL_E_IO: the log has failed; GAVEL_E_NO_SPACE: the disk was full, or
                                            descriptors or memory had run out: asked again later it may go */
    struct gavel_error error;
};

/* ---- writing ------------------------------------------------------------------------------------------- */

/* [loop] Queue a batch; takes a reference of its own. It must follow log_last and its chain (asserted: the node has
 * checked what came from outside). 0, GAVEL_E_IO after a failure, GAVEL_E_BUSY over LOG_QUEUE_BYTES: nothing queued.
 * When the disk is full and the reserve is used up, the write waits until space returns; see log_space_ok. */
int log_append(struct log *log, uint64_t io, struct log_batch *batch);

#define LOG_QUEUE_BYTES (64u << 20) /* of batches queued and not yet written: bounds memory behind a hung disk */

/* [loop] Queue the removal of every batch from index `from` on, which must be the first of a batch (asserted), and
 * above the newest snapshot. Visible at once. */
int log_truncate(struct log *log, uint64_t io, uint64_t from);

/* [loop] Queue term and vote: one record, synced to both files in turn before written(io). */
int log_vote(struct log *log, uint64_t io, uint64_t term, uint64_t vote);

/* [loop] Queue the restart of the log behind an installed snapshot that it does not contain: every batch goes, the
 * next append has first = index + 1 and follows `chain`. The snapshot must be published (snapshot.h). Takes effect in
 * its place among the numbered writes, and answers to `task`. With index 0 and term 0, on an empty log: sets the chain
 * that the very first batch follows (0 in a new directory). */
int log_reset(struct log *log, uint64_t index, uint64_t term, uint32_t chain, struct log_task *task);

/* [loop] True when an append of a full batch has reserved room. False: refuse proposals (and, on a follower, drop
 * appends as if they were lost) with GAVEL_E_NO_SPACE; reads go on. Becomes true again by itself. Votes are written
 * in place and never need room; but they complete in their order, so one behind appends that were taken before a
 * segment turned out not to be had, more than the current one holds, waits with those. */
bool log_space_ok(const struct log *log);

/* [loop] Why there is no room: the negative errno that the making of a segment met (-ENOSPC, -EDQUOT, or -EMFILE,
 * -ENFILE, -ENOMEM: descriptors or memory have run out), tried again once a second; 0 when there is. */
int log_space_error(const struct log *log);

/* [loop] True when half of LOG_QUEUE_BYTES waits behind a slow or hung disk: propose and take nothing more until that
 * is over (BUSY), long before log_append has to refuse. */
bool log_backlogged(const struct log *log);

/* [loop] When the log wants log_wake next, on the monotonic clock (os_mono_ns); UINT64_MAX: not at all. */
uint64_t log_deadline(const struct log *log);

/* [loop] Do what is due: look whether space has returned. */
void log_wake(struct log *log, uint64_t now_ns);

/* ---- reading ------------------------------------------------------------------------------------------- */

/* [loop] Index of the first and last entry that are held, and of the last durable one. first = last + 1 when empty. */
uint64_t log_first(const struct log *log);
uint64_t log_last(const struct log *log);
uint64_t log_durable(const struct log *log);

/* [loop] The chain crc at the end of the log, which the next batch has to follow. */
uint32_t log_chain(const struct log *log);

/* [loop] Describe the batch that holds `index`. GAVEL_E_COMPACTED, GAVEL_E_NOT_FOUND. */
int log_describe(const struct log *log, uint64_t index, struct log_descriptor *descriptor);

#define LOG_READ_BATCHES 64 /* of one log_read */

/* One read: the caller fills the first four, keeps the struct in place until `done`, and gives the references back. */
struct log_read {
    uint64_t from;      /* begins with the batch that holds this index */
    uint64_t max_bytes; /* of batches; the first one comes whatever its size */
    uint32_t max_batches; /* 0: LOG_READ_BATCHES */
    void (*done)(struct log_read *read); /* [loop] */
    void *ctx;          /* the caller's */
    int32_t status;     /* 0, GAVEL_E_IO, GAVEL_E_CORRUPT (damage found while running), GAVEL_E_COMPACTED or
                           GAVEL_E_NOT_FOUND (gone meanwhile), GAVEL_E_NO_MEMORY */
    uint32_t count;
    struct log_batch *batches[LOG_READ_BATCHES]; /* ascending, without a gap; one reference each */
    struct gavel_error error;
    struct log_read_job *job; /* the log's */
};

/* [loop] Read batches. 1: they came from the cache, everything is filled in, `done` will not be called. 0: a job is
 * under way, `done` follows. Negative: GAVEL_E_COMPACTED below log_first, GAVEL_E_NOT_FOUND behind log_last,
 * GAVEL_E_IO. Every batch is checked before it is given. */
int log_read(struct log *log, struct log_read *read);

/* [loop] Give back the references of a finished read. */
void log_read_release(struct log_read *read);

/* [loop] The batch that holds `index` when it is in memory (everything not yet durable is), else NULL. Borrowed:
 * take a reference to keep it beyond this call. */
struct log_batch *log_cached(struct log *log, uint64_t index);

/* [loop] Entries up to `index`, which the newest published snapshot covers (asserted), are no longer needed: drops
 * the segments that lie wholly below it, as far as the trailing window allows. */
void log_compact(struct log *log, uint64_t index);

/* ---- the directory ------------------------------------------------------------------------------------- */

/* [loop] Become a member: write cluster and member id into `directory`, durably. They change only once, from none;
 * asserted. */
int log_set_identity(struct log *log, const struct log_cluster_id *cluster_id, uint64_t member_id,
                     struct log_task *task);

/* [loop] Write the founding record, durably: at most LOG_FOUNDING_MAX bytes, copied. One may take the place of another
 * as long as the directory is no member's. */
int log_set_founding(struct log *log, const void *data, uint64_t size, struct log_task *task);

/* [loop] End `recovering`, durably: call it when the verified, durable log reaches what section 3 of the design asks
 * for and log_recovering_floor. */
int log_recovering_end(struct log *log, struct log_task *task);

/* [loop] Write durably that the state of this node is not to be trusted after `index`, or (0) that it is again. What
 * was written last is log_recovery.fence at the next start. */
int log_set_fence(struct log *log, uint64_t index, struct log_task *task);

/* [loop] The index to reach before recovering may end; 0 when not recovering. */
uint64_t log_recovering_floor(const struct log *log);

/* ---- figures ------------------------------------------------------------------------------------------- */

struct log_figures {
    uint64_t bytes;       /* of frames from first to last */
    uint64_t disk_bytes;  /* of segments, spare ones too */
    uint64_t queued_bytes;
    uint64_t syncs;       /* groups written */
    uint64_t batches;     /* appended since open */
    uint64_t sync_ns_last; /* duration of the last group's write and sync */
    uint64_t cache_bytes;
    uint32_t segments;
    uint32_t spares;
    uint64_t oldest_queued_ns; /* monotonic time when the oldest write that is not durable was asked for; 0: none.
                                  A leader whose disk hangs hands over by this */
};

/* [loop] Fill in the present figures. */
void log_figures(const struct log *log, struct log_figures *figures);
/* [loop] How long the last write with its sync took: sync_ns_last of them, which is asked for after each. */
uint64_t log_sync_ns(const struct log *log);

#endif
