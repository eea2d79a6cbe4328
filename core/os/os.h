/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os.h - the seam to the machine: files, clocks, random bytes and lanes, each one a small table plus its object.
 *
 * Everything under core/node and core/log reaches the machine through a `struct os` and nothing else, so that the
 * same code runs over a real disk and threads (real.c, lanes_real.c), over a disk in memory that can be crashed
 * and damaged (mem.c) with lanes that a test pumps by hand (lanes_inline.c), and in a simulator.
 *
 * Timers are not here: the node states one next deadline, and its host wakes it.
 *
 * Errors are negative errno values (-ENOENT, -ENOSPC, -EIO ...), 0 is success. Out-parameters are written only on
 * success. Paths are plain C strings of fewer than OS_PATH_MAX bytes.
 *
 * Threads: the file, clock and random functions of the real machine may be called from the loop and from any lane;
 * one `struct os_file` may be used by several threads at once for pread and pwritev (they carry their offset).
 * The in-memory file system belongs to one thread, as do inline lanes.
 */
#ifndef CORE_OS_OS_H
#define CORE_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define OS_PATH_MAX 1024  /* bytes of a path with its NUL: PATH_MAX is 4096, and nobody needs it */
#define OS_NAME_MAX 128   /* bytes of one directory entry of ours with its NUL; longer ones are foreign */

/* ---- files --------------------------------------------------------------------------------------------- */

struct os_file; /* an open file or directory; made by open, gone after close */

/* Flags of os_open. */
#define OS_OPEN_READ 0x01u      /* for pread */
#define OS_OPEN_WRITE 0x02u     /* for pwritev, truncate, sync */
#define OS_OPEN_CREATE 0x04u    /* create with mode 0600 when absent; the entry needs os_sync_dir to be durable */
#define OS_OPEN_EXCLUSIVE 0x08u /* with CREATE: -EEXIST when present */
#define OS_OPEN_TRUNCATE 0x10u  /* to length 0 */

/* Flags of os_pwritev. */
#define OS_WRITE_DURABLE 0x01u /* return only when these bytes are on stable storage (RWF_DSYNC); without it, sync */

struct os_stat {
    uint64_t size;   /* bytes */
    uint32_t mode;   /* permission bits, 07777 */
    uint32_t is_dir; /* 1 for a directory */
    uint32_t owned;  /* 1 when it belongs to this process's effective user */
    uint32_t pad;
};

struct os_file_ops {
    int (*open)(void *self, const char *path, uint32_t flags, struct os_file **file);
    void (*close)(void *self, struct os_file *file);
    int (*pwritev)(void *self, struct os_file *file, const struct iovec *iov, int count, uint64_t offset,
                   uint32_t flags);
    int (*pread)(void *self, struct os_file *file, void *data, size_t size, uint64_t offset, size_t *got);
    int (*sync)(void *self, struct os_file *file);
    int (*truncate)(void *self, struct os_file *file, uint64_t size);
    int (*size)(void *self, struct os_file *file, uint64_t *size);
    int (*lock)(void *self, struct os_file *file);
    int (*rename)(void *self, const char *from, const char *to);
    int (*unlink)(void *self, const char *path);
    int (*mkdir)(void *self, const char *path, uint32_t mode);
    int (*chmod)(void *self, const char *path, uint32_t mode);
    int (*sync_dir)(void *self, const char *path);
    int (*list)(void *self, const char *path, int (*each)(void *ctx, const char *name), void *ctx);
    int (*stat)(void *self, const char *path, struct os_stat *stat);
    int (*space)(void *self, const char *path, uint64_t *free_bytes);
    int (*refresh)(void *self, struct os_file *file);
    const char *(*copies)(void *self, const char *path); /* NULL: this machine's file systems write in place */
};

/* ---- clocks and random bytes --------------------------------------------------------------------------- */

struct os_clock_ops {
    uint64_t (*mono_ns)(void *self);
    uint64_t (*wall_ms)(void *self);
    void (*random)(void *self, void *data, size_t size);
};

/* ---- lanes --------------------------------------------------------------------------------------------- */

enum os_lane {
    OS_LANE_LOG,      /* the log's writes and syncs: nothing else may wait in this queue */
    OS_LANE_DISK,     /* the log's other file work: preparing segments, reading back, snapshots */
    OS_LANE_APPLY,    /* a state machine that may block */
    OS_LANE_WORKER,   /* plugins' own jobs; may block for seconds, so the core never waits here */
    OS_LANE_OBSERVER, /* metrics, spans and log lines to their exporters */
    OS_LANES
};

enum os_job_state { OS_JOB_IDLE, OS_JOB_QUEUED, OS_JOB_RUNNING, OS_JOB_RAN };

/*
 * One job: embed it, recover the owner with os_container (list.h). Between os_submit and `done` the job belongs to
 * the lane, and so does all memory that `run` touches: the loop must not look at it. A job may be submitted again
 * from its own `done`.
 */
struct os_job {
    struct os_job *next;             /* the lane's while submitted */
    void (*run)(struct os_job *job);  /* [lane] does the work; calls no loop function */
    void (*done)(struct os_job *job); /* [loop] called once, later, never from inside os_submit */
    uint32_t lane;                   /* enum os_lane, set by os_submit */
    uint32_t state;                  /* enum os_job_state, kept by the lanes */
};

struct os_lane_ops {
    void (*submit)(void *self, uint32_t lane, struct os_job *job);
};

/* ---- the machine --------------------------------------------------------------------------------------- */

/* Tables and objects may come from different places: a disk in memory with a real clock, real files with inline
 * lanes. Borrowed by everyone who gets it; outlives them. */
struct os {
    const struct os_file_ops *files;
    void *files_self;
    const struct os_clock_ops *clock;
    void *clock_self;
    const struct os_lane_ops *lanes;
    void *lanes_self;
};

/* Open `path`. The file must be given to os_close. -ENOENT, -EEXIST, -EACCES, -ENOSPC ... */
static inline int os_open(const struct os *os, const char *path, uint32_t flags, struct os_file **file)
{
    return os->files->open(os->files_self, path, flags, file);
}

/* Close; NULL is fine. Drops a lock that was taken on it. Says nothing about durability. */
static inline void os_close(const struct os *os, struct os_file *file)
{
    if (file)
        os->files->close(os->files_self, file);
}

/* Write all of `count` pieces (any number) at `offset`, growing the file if needed. Everything or an error; after an
 * error any part may have been written. */
static inline int os_pwritev(const struct os *os, struct os_file *file, const struct iovec *iov, int count,
                             uint64_t offset, uint32_t flags)
{
    return os->files->pwritev(os->files_self, file, iov, count, offset, flags);
}

/* Write `size` bytes at `offset`. */
static inline int os_pwrite(const struct os *os, struct os_file *file, const void *data, size_t size, uint64_t offset,
                            uint32_t flags)
{
    union {
        const void *from;
        void *to;
    } bytes = {.from = data}; /* iovec has no const; the bytes are only read */
    struct iovec iov = {.iov_base = bytes.to, .iov_len = size};

    return os->files->pwritev(os->files_self, file, &iov, 1, offset, flags);
}

/* Read up to `size` bytes at `offset`; *got is less only at the end of the file. */
static inline int os_pread(const struct os *os, struct os_file *file, void *data, size_t size, uint64_t offset,
                           size_t *got)
{
    return os->files->pread(os->files_self, file, data, size, offset, got);
}

/* Make the bytes and the length of the file durable (fdatasync). After a failure the file's unsynced bytes must be
 * taken for lost, whatever a second call says: callers stop. */
static inline int os_sync(const struct os *os, struct os_file *file)
{
    return os->files->sync(os->files_self, file);
}

/* Forget what is cached of a synced file, so that the next reads say what the disk holds. */
static inline int os_refresh(const struct os *os, struct os_file *file)
{
    return os->files->refresh(os->files_self, file);
}

/* Set the length. */
static inline int os_truncate(const struct os *os, struct os_file *file, uint64_t size)
{
    return os->files->truncate(os->files_self, file, size);
}

/* The present length. */
static inline int os_size(const struct os *os, struct os_file *file, uint64_t *size)
{
    return os->files->size(os->files_self, file, size);
}

/* Take the exclusive lock of an open file without waiting; -EWOULDBLOCK when another process (or another open of the
 * same file) has it. Held until close. */
static inline int os_lock(const struct os *os, struct os_file *file)
{
    return os->files->lock(os->files_self, file);
}

/* Replace `to` by `from`, atomically for readers; durable only after os_sync_dir. */
static inline int os_rename(const struct os *os, const char *from, const char *to)
{
    return os->files->rename(os->files_self, from, to);
}

/* Remove a file; durable only after os_sync_dir. An open file stays readable until closed. */
static inline int os_unlink(const struct os *os, const char *path)
{
    return os->files->unlink(os->files_self, path);
}

/* Make a directory; durable only after os_sync_dir of its parent. -EEXIST when something is there. */
static inline int os_mkdir(const struct os *os, const char *path, uint32_t mode)
{
    return os->files->mkdir(os->files_self, path, mode);
}

/* Set the permission bits. */
static inline int os_chmod(const struct os *os, const char *path, uint32_t mode)
{
    return os->files->chmod(os->files_self, path, mode);
}

/* Make the entries of a directory durable (fsync of the directory). */
static inline int os_sync_dir(const struct os *os, const char *path)
{
    return os->files->sync_dir(os->files_self, path);
}

/* Call `each` for every entry but "." and "..", in any order; a non-zero answer ends the walk and is returned. */
static inline int os_list(const struct os *os, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
    return os->files->list(os->files_self, path, each, ctx);
}

/* What is at `path`; -ENOENT when nothing. */
static inline int os_stat(const struct os *os, const char *path, struct os_stat *stat)
{
    return os->files->stat(os->files_self, path, stat);
}

/* Bytes that a user process can still write to the file system of `path`. */
static inline int os_space(const struct os *os, const char *path, uint64_t *free_bytes)
{
    return os->files->space(os->files_self, path, free_bytes);
}

/* The name of the file system of `path` when it is known to write to another place than the old bytes', so that a write
 * over bytes that are there can still answer -ENOSPC; NULL when it is not. */
static inline const char *os_copies_on_write(const struct os *os, const char *path)
{
    return os->files->copies ? os->files->copies(os->files_self, path) : NULL;
}

/* Nanoseconds of a clock that never jumps and never goes back. */
static inline uint64_t os_mono_ns(const struct os *os)
{
    return os->clock->mono_ns(os->clock_self);
}

/* Milliseconds since 1970 UTC; for people only, may jump. */
static inline uint64_t os_wall_ms(const struct os *os)
{
    return os->clock->wall_ms(os->clock_self);
}

/* Fill `size` bytes from the machine's generator (getrandom); a test's is seeded. Cannot fail. */
static inline void os_random(const struct os *os, void *data, size_t size)
{
    os->clock->random(os->clock_self, data, size);
}

/* [loop] Give a job to a lane. Jobs of one lane run one at a time, in order, and their `done` calls arrive in that
 * order. Never runs anything before it returns. `job->run` and `job->done` must be set, and the job idle. */
static inline void os_submit(const struct os *os, enum os_lane lane, struct os_job *job)
{
    os->lanes->submit(os->lanes_self, (uint32_t)lane, job);
}

#endif
