/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_own.h - included before everything else in the simulator's own files: their allocations are not counted and
 * never fail. The names are the linker's (--wrap).
 */
#ifndef TESTS_SIM_HEAP_OWN_H
#define TESTS_SIM_HEAP_OWN_H

/* Some of these files want it, and say so too late now. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);

#undef strdup
#define malloc __real_malloc
#define calloc __real_calloc
#define realloc __real_realloc
#define aligned_alloc __real_aligned_alloc
#define strdup __real_strdup

#endif
