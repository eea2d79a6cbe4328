/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory that is taken piece by piece and given back all at once: what a configuration is made of.
 *
 * It is used while the program starts. When memory is out by then there is nothing to go on with: the program says so
 * on stderr and exits with 70, so callers need no branch for it.
 */
#ifndef CORE_HOST_ARENA_H
#define CORE_HOST_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct host_arena_block;

/* All zero is a valid empty one. */
struct host_arena {
    struct host_arena_block *first;
};

/* Zeroed memory of `size` bytes, aligned to 16, valid until host_arena_free. */
void *host_arena_take(struct host_arena *arena, size_t size);

/* A NUL-terminated copy of `size` bytes. */
char *host_arena_text(struct host_arena *arena, const char *text, size_t size);

/* A formatted string. */
char *host_arena_format(struct host_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Give everything back; the arena is empty again. */
void host_arena_free(struct host_arena *arena);

#endif
