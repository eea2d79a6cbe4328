/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - the symbols that a plugin finds in this program before it finds the C library's.
 *
 * Blocks of the plugin are remembered in an open hash table of fixed size that lies in zeroed pages: no allocator is
 * needed inside the allocator. A table that is full forgets new blocks, which hides leaks and invents none.
 */
#define _GNU_SOURCE
#include "core/check/watch.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCH_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WATCH_SANITIZED 1
#endif
#endif
#ifndef WATCH_SANITIZED
#define WATCH_SANITIZED 0
#endif

#define BLOCKS (1u << 20) /* of the plugin at one time; a power of two */
#define YEAR_S (366 * 24 * 3600)
#define DEPTH_MAX 8

static _Thread_local struct {
    int own;   /* the kit's thread */
    int depth; /* inside the plugin */
    int pure;  /* the depth at which a pure call began; 0: none */
    int paused;
    uint32_t lane[DEPTH_MAX]; /* a call of the loop may lie within another one */
} self;

static _Atomic(uint64_t) allocations;
static _Atomic(uint64_t) taken;
static _Atomic(uint64_t) refuse_at; /* absolute; 0: none */
static atomic_bool refused;
static const char *_Atomic impure;
static bool perturbed;
static unsigned char junk = 0xa5; /* what fresh memory holds */

static bool inside(void)
{
    return !self.paused && (!self.own || self.depth > 0);
}

void watch_own_thread(void)
{
    self.own = 1;
}

void watch_enter(uint32_t lane, bool pure)
{
    assert(self.depth < DEPTH_MAX - 1);
    self.lane[++self.depth] = lane;
    if (pure)
        self.pure = self.depth;
}

void watch_leave(void)
{
    assert(self.depth > 0);
    if (self.pure == self.depth)
        self.pure = 0;
    self.depth--;
}

uint32_t watch_lane(void)
{
    return self.depth ? self.lane[self.depth] : 0;
}

int watch_pause(void)
{
    return self.paused++;
}

void watch_resume(int paused)
{
    self.paused = paused;
}

bool watch_allocator(void)
{
    return !WATCH_SANITIZED;
}

uint64_t watch_allocations(void)
{
    return atomic_load(&allocations);
}

uint64_t watch_taken(void)
{
    return atomic_load(&taken);
}

void watch_refuse(uint64_t n)
{
    atomic_store(&refused, false);
    atomic_store(&refuse_at, n ? atomic_load(&allocations) + n : 0);
}

bool watch_refused(void)
{
    return atomic_load(&refused);
}

void watch_note(const char *what)
{
    const char *none = NULL;

    if (self.pure && !self.paused)
        (void)atomic_compare_exchange_strong(&impure, &none, what);
}

const char *watch_impure(void)
{
    return atomic_exchange(&impure, NULL);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

#if !WATCH_SANITIZED
static struct {
    _Atomic(uintptr_t) at;
    uint64_t bytes;
} blocks[BLOCKS];
static atomic_flag blocks_busy = ATOMIC_FLAG_INIT;
static uint64_t held_blocks, held_bytes;

#define GONE ((uintptr_t)1) /* a slot that was in use: the search goes on behind it */

static void lock(void)
{
    while (atomic_flag_test_and_set_explicit(&blocks_busy, memory_order_acquire))
        ;
}

static void unlock(void)
{
    atomic_flag_clear_explicit(&blocks_busy, memory_order_release);
}

static uint32_t slot_of(uintptr_t at)
{
    return (uint32_t)((at >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 44) & (BLOCKS - 1);
}

static void remember(void *block, uint64_t bytes)
{
    uint32_t slot = slot_of((uintptr_t)block);

    lock();
    for (uint32_t tries = 0; tries < BLOCKS; tries++, slot = (slot + 1) & (BLOCKS - 1)) {
        if (blocks[slot].at > GONE)
            continue;
        blocks[slot].at = (uintptr_t)block;
        blocks[slot].bytes = bytes;
        held_blocks++;
        held_bytes += bytes;
        break;
    }
    unlock();
}

static void forget(void *block)
{
    uint32_t slot = slot_of((uintptr_t)block);

    if (held_blocks == 0)
        return;
    lock();
    for (uint32_t tries = 0; tries < BLOCKS && blocks[slot].at; tries++, slot = (slot + 1) & (BLOCKS - 1)) {
        if (blocks[slot].at != (uintptr_t)block)
            continue;
        /* Nothing behind it: the chain ends here, and slots need not pile up. */
        blocks[slot].at = blocks[(slot + 1) & (BLOCKS - 1)].at ? GONE : 0;
        held_blocks--;
        held_bytes -= blocks[slot].bytes;
        break;
    }
    unlock();
}

void watch_held(uint64_t *count, uint64_t *bytes)
{
    lock();
    *count = held_blocks;
    *bytes = held_bytes;
    unlock();
}

void watch_forget(void)
{
    lock();
    memset(blocks, 0, sizeof blocks);
    held_blocks = held_bytes = 0;
    unlock();
}

/* ---- the allocator ----------------------------------------------------------------------------------------------- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t align, size_t size);
extern void __libc_free(void *block);

/* Count one; true when this is the one to refuse. */
static bool refuse(size_t size)
{
    uint64_t number = atomic_fetch_add(&allocations, 1) + 1;

    (void)atomic_fetch_add(&taken, size);
    if (number != atomic_load(&refuse_at))
        return false;
    atomic_store(&refused, true);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    void *block;

    if (!inside())
        return __libc_malloc(size);
    if (refuse(size))
        return NULL;
    block = __libc_malloc(size);
    if (block) {
        memset(block, junk, size);
        remember(block, size);
    }
    return block;
}

void *calloc(size_t count, size_t size)
{
    void *block;

    if (!inside())
        return __libc_calloc(count, size);
    if (refuse(size > SIZE_MAX / (count ? count : 1) ? SIZE_MAX / 2 : count * size))
        return NULL;
    block = __libc_calloc(count, size);
    if (block)
        remember(block, count * size);
    return block;
}

void *realloc(void *old, size_t size)
{
    void *block;

    if (inside() && size && refuse(size))
        return NULL;
    if (old)
        forget(old);
    block = __libc_realloc(old, size);
    if (block && inside())
        remember(block, size);
    else if (!block && old && size && inside())
        remember(old, malloc_usable_size(old));
    return block;
}

void *memalign(size_t align, size_t size)
{
    void *block;

    if (inside() && refuse(size))
        return NULL;
    block = __libc_memalign(align, size);
    if (block && inside())
        remember(block, size);
    return block;
}

void *aligned_alloc(size_t align, size_t size)
{
    return memalign(align, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    void *block = memalign(align, size);

    if (!block)
        return ENOMEM;
    *out = block;
    return 0;
}

void free(void *block)
{
    int saved = errno;

    if (block)
        forget(block);
    __libc_free(block);
    errno = saved;
}
#else
void watch_held(uint64_t *count, uint64_t *bytes)
{
    *count = *bytes = 0;
}

void watch_forget(void)
{
}
#endif

/* ---- clocks and chance ------------------------------------------------------------------------------------------- */

static struct {
    int (*clock_gettime)(clockid_t, struct timespec *);
    long (*random)(void);
} real;

__attribute__((constructor)) static void find_real(void)
{
    *(void **)&real.clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    *(void **)&real.random = dlsym(RTLD_NEXT, "random");
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result;

    watch_note("clock_gettime()");
    if (!real.clock_gettime)
        find_real();
    result = real.clock_gettime(clock, now);
    if (perturbed && result == 0 && inside())
        now->tv_sec += YEAR_S;
    return result;
}

time_t time(time_t *out)
{
    struct timespec now;

    watch_note("time()");
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    watch_note("gettimeofday()");
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

int timespec_get(struct timespec *out, int base)
{
    watch_note("timespec_get()");
    if (base != TIME_UTC || clock_gettime(CLOCK_REALTIME, out) != 0)
        return 0;
    return base;
}

/* The C library's generators have a state of the process's: who draws from them depends on everybody else who does. */
#define CHANCE(type, name, value) \
    type name(void) \
    { \
        watch_note(#name "()"); \
        return (type)(value); \
    }
static long drawn(void)
{
    if (!real.random)
        find_real();
    return real.random();
}
CHANCE(int, rand, drawn())
CHANCE(long, random, drawn())
CHANCE(long, lrand48, drawn())
CHANCE(long, mrand48, drawn())
CHANCE(double, drand48, (double)drawn() / 2147483648.0)

void watch_perturb(void)
{
    perturbed = true;
    junk = 0x3c;
    for (int i = 0; i < 7; i++)
        (void)drawn();
}
