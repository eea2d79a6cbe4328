/* SPDX-License-Identifier: Apache-2.0 */
/* heap.c - allocations, counted and refused; see heap.h. */
#include "heap.h"

#include <assert.h>
#include <stddef.h>

/* Declared here, since they are nobody else's: what --wrap makes of a call. */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);

static bool counting;
static uint32_t ours;
static uint64_t count;
static uint64_t refuse; /* this one; 0: none */

static bool is_refused(void)
{
    return counting && !ours && ++count == refuse;
}

void *__wrap_malloc(size_t size)
{
    return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size)
{
    return is_refused() ? NULL : __real_calloc(number, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_refused() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return is_refused() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return is_refused() ? NULL : __real_strdup(text);
}

void sim_heap_begin(uint64_t fail_at)
{
    counting = true;
    ours = 0;
    count = 0;
    refuse = fail_at;
}

void sim_heap_end(void)
{
    counting = false;
}

uint64_t sim_heap_count(void)
{
    return count;
}

bool sim_heap_refused(void)
{
    return refuse && count >= refuse;
}

void sim_heap_ours(void)
{
    ours++;
}

void sim_heap_theirs(void)
{
    assert(ours);
    ours--;
}
