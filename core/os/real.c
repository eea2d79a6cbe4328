/* SPDX-License-Identifier: Apache-2.0 */
/*
 * real.c - files, clocks and random bytes of the Linux kernel.
 */
#define _GNU_SOURCE /* pwritev2, thread names */

#include "core/os/real.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define REAL_FILE_MAGIC 0x4c494652u
#define REAL_IOV_MAX 512 /* pieces of one system call: half of the kernel's 1024, 8 KiB of stack */

struct os_file {
    uint32_t magic;
    int fd;
};

static int real_open(void *self, const char *path, uint32_t flags, struct os_file **file)
{
    int mode = (flags & OS_OPEN_WRITE) ? O_RDWR : O_RDONLY;
    struct os_file *made;

    (void)self;
    if (flags & OS_OPEN_CREATE)
        mode |= O_CREAT;
    if (flags & OS_OPEN_EXCLUSIVE)
        mode |= O_EXCL;
    if (flags & OS_OPEN_TRUNCATE)
        mode |= O_TRUNC;
    made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->magic = REAL_FILE_MAGIC;
    made->fd = open(path, mode | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (made->fd < 0) {
        int error = -errno;

        free(made);
        return error;
    }
    *file = made;
    return 0;
}

static void real_close(void *self, struct os_file *file)
{
    (void)self;
    assert(file->magic == REAL_FILE_MAGIC);
    file->magic = 0;
    (void)close(file->fd); /* durability was decided by sync before; Linux closes the descriptor in any case */
    free(file);
}

/* Write one run of pieces wholly, whatever the kernel takes at a time. `iov` is changed. */
static int write_run(int fd, struct iovec *iov, int count, uint64_t offset, int rwf)
{
    while (count) {
        ssize_t wrote = pwritev2(fd, iov, count, (off_t)offset, rwf);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -errno;
        if (wrote == 0 && iov->iov_len)
            return -EIO; /* a regular file that takes nothing and says no error: not to be trusted */
        offset += (uint64_t)wrote;
        while (count && (size_t)wrote >= iov->iov_len) {
            wrote -= (ssize_t)iov->iov_len;
            iov++;
            count--;
        }
        if (count) {
            iov->iov_base = (uint8_t *)iov->iov_base + wrote;
            iov->iov_len -= (size_t)wrote;
        }
    }
    return 0;
}

static int real_sync(void *self, struct os_file *file)
{
    (void)self;
    assert(file->magic == REAL_FILE_MAGIC);
    /* Not retried on EINTR either: whatever the reason, after a failure the dirty pages may be marked clean. */
    return fdatasync(file->fd) == 0 ? 0 : -errno;
}

static int real_pwritev(void *self, struct os_file *file, const struct iovec *iov, int count, uint64_t offset,
                        uint32_t flags)
{
    struct iovec run[REAL_IOV_MAX];
    /* RWF_DSYNC syncs only the range of its own call, so a write of several calls is synced as a file. */
    bool single = count <= REAL_IOV_MAX;
    int rwf = (flags & OS_WRITE_DURABLE) && single ? RWF_DSYNC : 0;

    assert(file->magic == REAL_FILE_MAGIC);
    for (int done = 0; done < count;) {
        int take = count - done < REAL_IOV_MAX ? count - done : REAL_IOV_MAX;
        uint64_t bytes = 0;
        int error;

        memcpy(run, iov + done, (size_t)take * sizeof *run);
        for (int i = 0; i < take; i++)
            bytes += run[i].iov_len;
        error = write_run(file->fd, run, take, offset, rwf);
        if (error)
            return error;
        offset += bytes;
        done += take;
    }
    if ((flags & OS_WRITE_DURABLE) && !single)
        return real_sync(self, file);
    return 0;
}

static int real_pread(void *self, struct os_file *file, void *data, size_t size, uint64_t offset, size_t *got)
{
    size_t done = 0;

    (void)self;
    assert(file->magic == REAL_FILE_MAGIC);
    while (done < size) {
        ssize_t read = pread(file->fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));

        if (read < 0 && errno == EINTR)
            continue;
        if (read < 0)
            return -errno;
        if (read == 0)
            break;
        done += (size_t)read;
    }
    *got = done;
    return 0;
}

static int real_truncate(void *self, struct os_file *file, uint64_t size)
{
    (void)self;
    return ftruncate(file->fd, (off_t)size) == 0 ? 0 : -errno;
}

static int real_size(void *self, struct os_file *file, uint64_t *size)
{
    struct stat stat;

    (void)self;
    if (fstat(file->fd, &stat) != 0)
        return -errno;
    *size = (uint64_t)stat.st_size;
    return 0;
}

static int real_lock(void *self, struct os_file *file)
{
    (void)self;
    return flock(file->fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
}

static int real_rename(void *self, const char *from, const char *to)
{
    (void)self;
    return rename(from, to) == 0 ? 0 : -errno;
}

static int real_unlink(void *self, const char *path)
{
    (void)self;
    return unlink(path) == 0 ? 0 : -errno;
}

static int real_mkdir(void *self, const char *path, uint32_t mode)
{
    (void)self;
    return mkdir(path, (mode_t)mode) == 0 ? 0 : -errno;
}

static int real_chmod(void *self, const char *path, uint32_t mode)
{
    (void)self;
    return chmod(path, (mode_t)mode) == 0 ? 0 : -errno;
}

static int real_sync_dir(void *self, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = 0;

    (void)self;
    if (fd < 0)
        return -errno;
    if (fsync(fd) != 0)
        error = -errno;
    (void)close(fd);
    return error;
}

static int real_list(void *self, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
    DIR *dir = opendir(path);
    int result = 0;

    (void)self;
    if (!dir)
        return -errno;
    while (result == 0) {
        struct dirent *entry;

        errno = 0;
        entry = readdir(dir);
        if (!entry) {
            result = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = each(ctx, entry->d_name);
    }
    (void)closedir(dir);
    return result;
}

static int real_stat(void *self, const char *path, struct os_stat *result)
{
    struct stat found;

    (void)self;
    if (stat(path, &found) != 0)
        return -errno;
    result->size = (uint64_t)found.st_size;
    result->mode = found.st_mode & 07777;
    result->is_dir = S_ISDIR(found.st_mode) ? 1 : 0;
    result->owned = found.st_uid == geteuid() ? 1 : 0;
    result->pad = 0;
    return 0;
}

static int real_space(void *self, const char *path, uint64_t *free_bytes)
{
    struct statvfs found;

    (void)self;
    if (statvfs(path, &found) != 0)
        return -errno;
    *free_bytes = (uint64_t)found.f_bavail * found.f_frsize;
    return 0;
}

static int real_refresh(void *self, struct os_file *file)
{
    (void)self;
    assert(file->magic == REAL_FILE_MAGIC);
    return -posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED); /* says the error, does not set errno */
}

const char *os_real_copying(uint64_t type)
{
    static const struct {
        uint32_t type; /* its magic number; only some stand in linux/magic.h */
        const char *name;
    } known[] = {{0x9123683e, "btrfs"}, {0x2fc12fc1, "ZFS"}, {0xca451a4e, "bcachefs"}, {0xf2f52010, "f2fs"},
                 {0x00003434, "nilfs2"}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if ((uint32_t)type == known[i].type) /* the kernel's may be a signed 32 bits */
            return known[i].name;
    }
    return NULL;
}

static const char *real_copies(void *self, const char *path)
{
    struct statfs found;

    (void)self;
    return statfs(path, &found) == 0 ? os_real_copying((uint64_t)found.f_type) : NULL;
}

const struct os_file_ops os_real_files = {
    .open = real_open,
    .close = real_close,
    .pwritev = real_pwritev,
    .pread = real_pread,
    .sync = real_sync,
    .truncate = real_truncate,
    .size = real_size,
    .lock = real_lock,
    .rename = real_rename,
    .unlink = real_unlink,
    .mkdir = real_mkdir,
    .chmod = real_chmod,
    .sync_dir = real_sync_dir,
    .list = real_list,
    .stat = real_stat,
    .space = real_space,
    .refresh = real_refresh,
    .copies = real_copies,
};

static uint64_t real_mono_ns(void *self)
{
    struct timespec now;

    (void)self;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t real_wall_ms(void *self)
{
    struct timespec now;

    (void)self;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static void real_random(void *self, void *data, size_t size)
{
    uint8_t *at = data;

    (void)self;
    while (size) {
        ssize_t got = getrandom(at, size, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            perror("getrandom"); /* no identity can be drawn: nothing sensible can follow */
            abort();
        }
        at += got;
        size -= (size_t)got;
    }
}

const struct os_clock_ops os_real_clock = {
    .mono_ns = real_mono_ns,
    .wall_ms = real_wall_ms,
    .random = real_random,
};

void os_real_init(struct os *os, struct os_lanes *lanes)
{
    memset(os, 0, sizeof *os);
    os->files = &os_real_files;
    os->clock = &os_real_clock;
    if (lanes) {
        os->lanes = &os_lanes_real;
        os->lanes_self = lanes;
    }
}
