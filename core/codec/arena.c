/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.c - the bounded bump allocator behind decoded messages and options.
 */
#include <assert.h>

#include "core/codec/field.h"

struct codec_arena codec_arena(void *memory, uint64_t size)
{
    uint64_t skip = -(uintptr_t)memory & 15;
    struct codec_arena arena = {.data = memory};

    if (size > skip) {
        arena.data += skip;
        arena.size = size - skip;
    }
    return arena;
}

void *codec_arena_take(struct codec_arena *arena, uint64_t size, uint64_t align)
{
    uint64_t at = (arena->used + align - 1) & ~(align - 1);

    assert(align > 0);
    assert(align <= 16);
    assert((align & (align - 1)) == 0);
    if (at > arena->size || size > arena->size - at)
        return NULL;
    arena->used = at + size;
    return arena->data + at;
}

int32_t codec_arena_copy(struct codec_arena *arena, struct gavel_slice from, struct gavel_slice *copy)
{
    unsigned char *to;

    if (from.size == UINT64_MAX)
        return GAVEL_E_TOO_LARGE;
    to = codec_arena_take(arena, from.size + 1, 1);
    if (!to)
        return GAVEL_E_TOO_LARGE;
    if (from.size)
        memcpy(to, from.data, from.size);
    to[from.size] = 0;
    *copy = gavel_bytes(to, from.size);
    return GAVEL_OK;
}
