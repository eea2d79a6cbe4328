/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim.c - put before the C library with LD_PRELOAD: the calls by which gaveld reads the wall clock and writes its log,
 * made to lie or to fail as a shared page says (shim.h). A time namespace cannot move CLOCK_REALTIME, and tracing each
 * system call from outside would slow the node down by more than any fault.
 *
 * Only failures that the kernel can produce: a failed sync reports EIO once, and what it was to make durable stays in
 * the page cache, from where it may or may not reach the disk (a later power cut decides).
 */
#define _GNU_SOURCE /* RTLD_NEXT, pwritev2 */

#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static struct shim_page none;
static struct shim_page *page = &none;

static void __attribute__((constructor)) map_page(void)
{
    const char *path = getenv(SHIM_VARIABLE);
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, SHIM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (fd >= 0)
        (void)close(fd);
    if (at != MAP_FAILED)
        page = at;
}

/* Take one of a number of failures that were ordered, and count it. */
static bool take(uint32_t *ordered, uint32_t *taken)
{
    uint32_t left = __atomic_load_n(ordered, __ATOMIC_RELAXED);

    while (left > 0)
        if (__atomic_compare_exchange_n(ordered, &left, left - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            (void)__atomic_add_fetch(taken, 1, __ATOMIC_RELAXED);
            return true;
        }
    return false;
}

/* What each sync does first. True: it fails. */
static bool before_sync(void)
{
    uint32_t waited = 0;

    (void)__atomic_add_fetch(&page->syncs, 1, __ATOMIC_RELAXED);
    while (waited < __atomic_load_n(&page->sync_ms, __ATOMIC_RELAXED)) { /* it may be told to go on meanwhile */
        (void)poll(NULL, 0, 1);
        waited++;
    }
    return take(&page->fail_syncs, &page->failed_syncs);
}

static int sync_with(long number, int fd)
{
    if (before_sync()) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(number, fd);
}

int fdatasync(int fd)
{
    return sync_with(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return sync_with(SYS_fsync, fd);
}

static ssize_t write_at(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    return syscall(SYS_pwritev2, fd, iov, (long)count, (long)offset, 0L, (long)flags);
}

/* A durable write is a write and a sync in one. When it fails, some of its pieces may have been written. */
ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    bool fails = (flags & (RWF_DSYNC | RWF_SYNC)) && before_sync();

    if (!fails && !take(&page->fail_writes, &page->failed_writes))
        return write_at(fd, iov, count, offset, flags);
    if (count > 1 || fails)
        (void)write_at(fd, iov, fails ? count : count / 2, offset, 0);
    errno = EIO;
    return -1;
}

ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    return pwritev2(fd, iov, count, offset, flags);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    int (*found)(clockid_t, struct timespec *) = __atomic_load_n(&real, __ATOMIC_RELAXED);
    int64_t ahead;
    int result;

    if (!found) {
        void *symbol = dlsym(RTLD_NEXT, "clock_gettime");

        if (!symbol)
            return (int)syscall(SYS_clock_gettime, id, now);
        *(void **)&found = symbol; /* the form that POSIX gives for functions */
        __atomic_store_n(&real, found, __ATOMIC_RELAXED);
    }
    result = found(id, now);
    if (result != 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
        return result;
    (void)__atomic_add_fetch(&page->clocks, 1, __ATOMIC_RELAXED);
    ahead = __atomic_load_n(&page->wall_ms, __ATOMIC_RELAXED);
    now->tv_sec += ahead / 1000;
    now->tv_nsec += ahead % 1000 * 1000000;
    if (now->tv_nsec < 0) {
        now->tv_nsec += 1000000000;
        now->tv_sec--;
    } else if (now->tv_nsec >= 1000000000) {
        now->tv_nsec -= 1000000000;
        now->tv_sec++;
    }
    return 0;
}
