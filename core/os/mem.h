/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.h - a file system in memory for tests and the simulator, which knows what a crash may do.
 *
 * A file has a durable image and a present one; a write changes the present image and marks its sectors pending, and
 * os_sync moves them over. Directory operations (create, rename, unlink, mkdir) are pending until os_sync_dir of the
 * directory. os_mem_crash keeps, drops or damages each pending sector by the seed, and keeps or drops each pending
 * directory operation; the survivors are durable then. Nothing that was synced is ever touched by a crash.
 *
 * One thread only. Paths are used as given: "a/b" and "./a/b" are different files.
 */
#ifndef CORE_OS_MEM_H
#define CORE_OS_MEM_H

#include "os.h"

#define OS_MEM_SECTOR 512 /* the unit that a power cut leaves whole: bytes of a sector */

struct os_mem;

extern const struct os_file_ops os_mem_files; /* its object is a struct os_mem */

/* What an operation is, for fault hooks. */
enum os_mem_op {
    OS_MEM_OPEN, /* only opens that create */
    OS_MEM_WRITE,
    OS_MEM_SYNC,
    OS_MEM_TRUNCATE,
    OS_MEM_RENAME,
    OS_MEM_UNLINK,
    OS_MEM_MKDIR,
    OS_MEM_SYNC_DIR,
    OS_MEM_READ
};

/* How a crash treats pending sectors. */
enum os_mem_crash {
    OS_MEM_KILL,     /* the process is killed, the machine goes on: all is there, and pending work stays pending */
    OS_MEM_KEEP_ALL, /* everything had been written back in time */
    OS_MEM_DROP_ALL, /* nothing that was not synced survives */
    OS_MEM_RANDOM    /* by the seed: each pending sector kept, dropped or filled with noise; each entry kept or not */
};

/* A new, empty file system with the directory "" (paths without a slash) in it; NULL when memory is out. */
struct os_mem *os_mem_new(void);

/* Free it with all files. Returns NULL; NULL is fine. Every os_file must be closed or forgotten by then. */
struct os_mem *os_mem_free(struct os_mem *mem);

/* A deep copy without open files and locks: a state to go back to. NULL when memory is out. */
struct os_mem *os_mem_clone(const struct os_mem *mem);

/* The power goes: open files become unusable (each further operation answers -EIO, close is fine), locks are gone,
 * pending work is decided by `how` and `seed`. Afterwards the machine is up again. */
void os_mem_crash(struct os_mem *mem, enum os_mem_crash how, uint64_t seed);

/* Limit all files together to this many bytes, counted in sectors; beyond it -ENOSPC. 0: no limit. */
void os_mem_set_budget(struct os_mem *mem, uint64_t bytes);

/* What is counted against it. */
uint64_t os_mem_used(const struct os_mem *mem);

/* Ask `hook` before each operation (of enum os_mem_op); a negative answer is the operation's result and nothing is
 * done, but for a failed OS_MEM_SYNC: its pending sectors become clean and lost, as Linux does, so that a second
 * sync succeeds although the bytes are not on the disk. NULL: no hook. */
void os_mem_set_hook(struct os_mem *mem, int (*hook)(void *ctx, enum os_mem_op op, const char *path), void *ctx);

/* The machine stops at the n-th changing operation from now (1 is the next): that one is begun (a write is pending,
 * a sync does nothing) and it and all that follow answer -EIO until os_mem_crash. 0: never. */
void os_mem_stop_after(struct os_mem *mem, uint64_t operations);

/* True once os_mem_stop_after has struck, until os_mem_crash. */
bool os_mem_stopped(const struct os_mem *mem);

/* How many changing operations there have been. */
uint64_t os_mem_operations(const struct os_mem *mem);

/* The present bytes of a file, borrowed until the next call that changes it; NULL when there is none. */
const uint8_t *os_mem_peek(struct os_mem *mem, const char *path, uint64_t *size);

/* The durable bytes of a file under its durable name, as above; NULL when it is not durably there. */
const uint8_t *os_mem_peek_durable(struct os_mem *mem, const char *path, uint64_t *size);

/* Change bytes of a file in both images, as rot or a stray hand would; -ENOENT, -EINVAL beyond its end. */
int os_mem_poke(struct os_mem *mem, const char *path, uint64_t offset, const void *data, uint64_t size);

/* A checksum over every name and present byte: equal before and after means nothing was changed. */
uint64_t os_mem_digest(const struct os_mem *mem);

/* Files that are open: a test sees leaks. */
uint32_t os_mem_open_files(const struct os_mem *mem);

/* ---- for those who plan misfortune: the simulator ------------------------------------------------------- */

struct os_mem_entry {
    const char *path; /* borrowed until the next operation */
    uint64_t id;      /* of the file or directory, whatever its names; never used again */
    uint64_t size;    /* bytes that are there in both images */
    uint64_t filled;  /* of these, up to the last page that is not of zeroes */
    uint32_t is_dir;
};

/* The durable name `number` (0 ...), in an order that depends on the past operations only; false behind the last. */
bool os_mem_entry(const struct os_mem *mem, uint32_t number, struct os_mem_entry *entry);

/* Whether a file still has a name, durable or present. */
bool os_mem_exists(const struct os_mem *mem, uint64_t id);

/* The durable bytes of a sector of a file under its durable name, zeroes behind the end; true when the sector is not
 * pending. False, and nothing useful in `bytes`, when there is no such file or sector. */
bool os_mem_sector(const struct os_mem *mem, const char *path, uint64_t sector, uint8_t bytes[OS_MEM_SECTOR]);

/* The same of an open file; its id; its present name (the one it was opened by when it has none); its sectors that are
 * not durable. */
bool os_mem_file_sector(const struct os_file *file, uint64_t sector, uint8_t bytes[OS_MEM_SECTOR]);
uint64_t os_mem_file_id(const struct os_file *file);
const char *os_mem_file_path(const struct os_file *file);
uint64_t os_mem_file_pending(const struct os_file *file);

/* One pending sector is written back now, as the kernel may do at any time: so a crash can leave it as it was
 * between two writes. */
void os_mem_write_back(struct os_file *file, uint64_t *seed);

/* What a sync leaves that is about to be reported as failed: each pending sector was written or not, and all are clean,
 * so that a second sync succeeds. Without a seed none was written. */
void os_mem_fail_sync(struct os_file *file, uint64_t *seed);

/* A clock for tests: time stands still until it is set, random bytes come from the seed. All zero is valid. */
struct os_mem_clock {
    uint64_t mono_ns;
    uint64_t wall_ms;
    uint64_t seed;
};

extern const struct os_clock_ops os_mem_clock_ops; /* its object is a struct os_mem_clock */

/* Next number of a small generator (splitmix64), for tests and the tables here. */
uint64_t os_mem_random(uint64_t *seed);

#endif
