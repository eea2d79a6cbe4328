/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.c - see arena.h. One thread only. Nothing is ever split, merged or returned to the system, and of all mistakes
 * only a block that is not ours, or that is given back twice, is found.
 */
#include "arena.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

void arena_world_begins(void)
{
}

void arena_world_ends(void)
{
}

void arena_many_worlds(void)
{
}

#else

/* The C library's names, and not what heap_own.h makes of them. */
#undef malloc
#undef calloc
#undef realloc
#undef aligned_alloc

#define FINE_STEP 16u /* up to FINE_MAX bytes there is a class for each so many ... */
#define FINE_MAX 1024u
#define FINE (FINE_MAX / FINE_STEP)
#define COARSE 4u /* ... and then so many between a power of two and the next */
#define CLASSES (FINE + 1 + COARSE * 38)
#define REGION_MAX (UINT64_C(1) << 37) /* addresses only; as many as the system lets us have of them */
#define REGION_MIN (UINT64_C(1) << 28)
#define LARGE_PAGE (UINT64_C(2) << 20)
#define LARGE_BYTES (UINT64_C(256) << 20) /* which a usual world stays within; a machine may be slow in clearing more */
#define ROOM_BYTES (UINT64_C(64) << 20) /* addresses again */
#define ROOMS_MAX 1024u
#define ROOMS_MIN 64u
#define ROOMY (UINT64_C(256) << 10) /* what is at least so large and may grow gets a room */
#define ROOM CLASSES                /* the class of all of them */
#define LIVE 0x4c495645u
#define FREE 0x46524545u

/* In front of what is given out. */
struct head {
    uint32_t state; /* LIVE or FREE */
    uint32_t class;
    uint32_t world; /* that took it; 0: none */
    uint32_t moved; /* so many bytes behind the head of the block, for an alignment: this is a copy of it */
};

struct block {
    struct head head;
    struct block *next; /* FREE */
};

static_assert(sizeof(struct head) == FINE_STEP, "what is given out is aligned as the C library's");

static struct block *given_back[CLASSES];
static char *at;      /* what is handed out next */
static char *touched; /* from here on all is zero */
static char *end;
static uint32_t worlds; /* so far */
static uint32_t world;  /* the present one; 0: none */
static char *world_at;  /* where it began */
static uint64_t taken;  /* blocks of it that were not given back */

/*
 * Rooms: what grows to megabytes grows where it is. By classes it would be copied each time, and what it has outgrown
 * is of no use to anybody: twice as much again, in pages of 2 MiB that the system has to clear.
 */
static char *rooms;             /* NULL: none */
static uint32_t room_count;
static uint32_t rooms_used;     /* so many were ever used since the last world began */
static uint32_t rooms_taken;    /* and so many are */
static struct block *free_room; /* of the used ones */

static uint32_t class_of(uint64_t size)
{
    uint32_t doublings, above;

    if (size <= FINE_MAX)
        return size ? (uint32_t)((size + FINE_STEP - 1) / FINE_STEP) : 1;
    doublings = 63u - (uint32_t)__builtin_clzll(size - 1); /* 10 for 1025 ... 2048 */
    above = (uint32_t)((size - 1) >> (doublings - 2)) & (COARSE - 1);
    return FINE + 1 + (doublings - 10) * COARSE + above;
}

static uint64_t bytes_of(uint32_t class)
{
    uint32_t coarse = class - FINE - 1;

    if (class <= FINE)
        return class * FINE_STEP;
    if (class == ROOM)
        return ROOM_BYTES - sizeof(struct head);
    return (UINT64_C(1) << (10 + coarse / COARSE - 2)) * (COARSE + 1 + coarse % COARSE);
}

static void take_region(void)
{
    void *memory = MAP_FAILED;

    for (uint64_t size = REGION_MAX; size >= REGION_MIN && memory == MAP_FAILED; size /= 2) {
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        end = (char *)memory + size;
    }
    if (memory == MAP_FAILED) {
        end = NULL; /* asked for again with the next block: no rooms either, or each time would take some more */
        return;
    }
    at = touched = memory;
    memory = MAP_FAILED;
    for (room_count = ROOMS_MAX; room_count >= ROOMS_MIN && memory == MAP_FAILED; room_count /= 2)
        memory = mmap(NULL, room_count * ROOM_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    rooms = memory == MAP_FAILED ? NULL : memory;
    room_count = rooms ? room_count * 2 : 0;
}

/* NULL: there are no more. */
static void *take_room(void)
{
    struct block *block = free_room;

    if (block)
        free_room = block->next;
    else if (rooms_used < room_count)
        block = (struct block *)(void *)(rooms + rooms_used++ * ROOM_BYTES);
    else
        return NULL;
    rooms_taken++;
    taken += world != 0;
    block->head = (struct head){.state = LIVE, .class = ROOM, .world = world};
    return &block->head + 1;
}

/* `zero` is set when it is zero already. */
static void *take(uint64_t size, bool *zero)
{
    uint32_t class;
    struct block *block;

    if (!end)
        take_region();
    if (size > REGION_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    class = class_of(size);
    block = given_back[class];
    *zero = false;
    if (block) {
        given_back[class] = block->next;
    } else {
        uint64_t whole = sizeof block->head + bytes_of(class);

        if (whole > (uint64_t)(end - at)) {
            errno = ENOMEM;
            return NULL;
        }
        block = (struct block *)(void *)at;
        *zero = at >= touched;
        at += whole;
        touched = at > touched ? at : touched;
    }
    taken += world != 0;
    block->head = (struct head){.state = LIVE, .class = class, .world = world};
    return &block->head + 1;
}

static struct head *head_of(void *memory)
{
    struct head *head = (struct head *)memory - 1;

    assert(head->state == LIVE);
    return head;
}

static void give_back(void *memory)
{
    struct head *head = head_of(memory);
    struct block *block = (struct block *)(void *)((char *)head - head->moved);

    head->state = block->head.state = FREE;
    if (block->head.class == ROOM) {
        rooms_taken--;
        taken -= world != 0 && block->head.world == world;
        block->next = free_room;
        free_room = block;
        return;
    }
    if (block->head.world != world)
        return; /* of another world, or of none: it is not for this one, which ends with all that it takes */
    taken -= world != 0;
    block->next = given_back[block->head.class];
    given_back[block->head.class] = block;
}

/* Of any content. */
static void *take_any(uint64_t size)
{
    void *memory = NULL;
    bool zero;

    if (!end)
        take_region();
    if (size >= ROOMY && size <= bytes_of(ROOM))
        memory = take_room();
    return memory ? memory : take(size, &zero);
}

void *malloc(size_t size)
{
    return take_any(size);
}

void *calloc(size_t count, size_t size)
{
    uint64_t bytes;
    bool zero;
    void *memory;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    memory = take(bytes, &zero);
    return memory && !zero ? memset(memory, 0, bytes) : memory;
}

void free(void *memory)
{
    if (memory)
        give_back(memory);
}

void *realloc(void *old, size_t size)
{
    uint64_t had;
    void *memory;

    if (!old)
        return take_any(size);
    if (!size) {
        give_back(old);
        return NULL;
    }
    had = bytes_of(head_of(old)->class) - head_of(old)->moved;
    if (size <= had)
        return old;
    memory = take_any(size);
    if (!memory)
        return NULL;
    memcpy(memory, old, had);
    give_back(old);
    return memory;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    bool zero;
    char *memory = take(size + alignment, &zero);
    uint64_t moved = memory ? (alignment - (uintptr_t)memory % alignment) % alignment : 0;

    if (moved) {
        const struct head *head = (const struct head *)(void *)memory - 1;

        memory += moved;
        ((struct head *)(void *)memory)[-1] = *head;
        ((struct head *)(void *)memory)[-1].moved = (uint32_t)moved;
    }
    return memory;
}

/* Other names of it, which libraries may use. */
void *memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    void *got = aligned_alloc(alignment, size);

    if (!got)
        return ENOMEM;
    *memory = got;
    return 0;
}

/* ---- worlds -------------------------------------------------------------------------------------------- */

void arena_world_begins(void)
{
    assert(!world);
    if (!end)
        take_region();
    memset(given_back, 0, sizeof given_back); /* of no world, and few */
    if (!rooms_taken) { /* each has the same use in one world and the next, and about the same size */
        rooms_used = 0;
        free_room = NULL;
    }
    world = ++worlds;
    world_at = at;
    taken = 0;
}

void arena_world_ends(void)
{
    assert(world);
    if (!taken) /* else somebody keeps something, and what there is stays where it is */
        at = world_at;
    memset(given_back, 0, sizeof given_back);
    world = 0;
}

void arena_many_worlds(void)
{
    char *from;

    if (!end)
        take_region();
    from = at + (LARGE_PAGE - (uintptr_t)at % LARGE_PAGE) % LARGE_PAGE;
    if (from < end && (uint64_t)(end - from) >= LARGE_BYTES)
        (void)madvise(from, LARGE_BYTES, MADV_HUGEPAGE); /* no harm where there are none */
}

#endif
