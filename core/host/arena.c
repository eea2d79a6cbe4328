/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.c - a list of blocks; a piece that does not fit gets a block of its own.
 */
#include "core/host/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define ARENA_BLOCK 4096u /* bytes: a configuration of three nodes needs two or three of them */
#define ARENA_ALIGN 16u

struct host_arena_block {
    struct host_arena_block *next;
    size_t used;
    size_t size;
    size_t pad; /* keeps `data` aligned to 16 */
    unsigned char data[];
};

static struct host_arena_block *block_new(size_t size)
{
    struct host_arena_block *block = calloc(1, sizeof *block + size);

    if (!block) {
        (void)fputs("gavel: memory is out\n", stderr);
        exit(EX_SOFTWARE);
    }
    block->size = size;
    return block;
}

void *host_arena_take(struct host_arena *arena, size_t size)
{
    struct host_arena_block *block = arena->first;
    size_t wanted = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    void *piece;

    assert(wanted >= size);
    if (!block || block->size - block->used < wanted) {
        block = block_new(wanted > ARENA_BLOCK ? wanted : ARENA_BLOCK);
        block->next = arena->first;
        arena->first = block;
    }
    piece = block->data + block->used;
    block->used += wanted;
    return piece;
}

char *host_arena_text(struct host_arena *arena, const char *text, size_t size)
{
    char *copy = host_arena_take(arena, size + 1);

    if (size)
        memcpy(copy, text, size);
    return copy;
}

char *host_arena_format(struct host_arena *arena, const char *format, ...)
{
    va_list arguments;
    char *text;
    int length;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    text = host_arena_take(arena, (size_t)length + 1);
    va_start(arguments, format);
    (void)vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void host_arena_free(struct host_arena *arena)
{
    struct host_arena_block *block = arena->first;

    while (block) {
        struct host_arena_block *next = block->next;

        free(block);
        block = next;
    }
    arena->first = NULL;
}
