/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_heap.c - see js_heap.h. Nothing is given back one by one: what jansson frees while it loads are buffers that it
 * outgrew, at most as much as what it keeps.
 */
#include "js_heap.h"

#include <jansson.h>

#include <stdlib.h>

#define BLOCK_BYTES 2048 /* the first one; each next one is twice as large */
#define ALIGN 16u

struct js_heap_block {
    struct js_heap_block *older;
    uint64_t size; /* of the bytes behind this head */
};

static _Thread_local struct js_heap *active;
static json_malloc_t given_malloc;
static json_free_t given_free;

static void *take(struct js_heap *heap, uint64_t size)
{
    uint64_t wanted = (size + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
    void *memory;

    if (!heap->newest || heap->newest->size - heap->used < wanted) {
        uint64_t room = heap->newest ? 2 * heap->newest->size : BLOCK_BYTES;
        struct js_heap_block *block;

        if (room < wanted)
            room = wanted;
        block = malloc(sizeof *block + room);
        if (!block)
            longjmp(heap->out, 1);
        block->older = heap->newest;
        block->size = room;
        heap->newest = block;
        heap->used = 0;
    }
    memory = (char *)(heap->newest + 1) + heap->used;
    heap->used += wanted;
    return memory;
}

static void *heap_malloc(size_t size)
{
    return active ? take(active, size) : given_malloc(size);
}

static void heap_free(void *memory)
{
    if (!active)
        given_free(memory);
}

void js_heap_install(void)
{
    if (given_malloc)
        return;
    json_get_alloc_funcs(&given_malloc, &given_free);
    json_set_alloc_funcs(heap_malloc, heap_free);
}

int js_heap_installed(void)
{
    json_malloc_t present_malloc;
    json_free_t present_free;

    json_get_alloc_funcs(&present_malloc, &present_free);
    return present_malloc == heap_malloc;
}

void js_heap_enter(struct js_heap *heap)
{
    active = heap;
}

void js_heap_leave(void)
{
    active = NULL;
}

void js_heap_free(struct js_heap *heap)
{
    while (heap->newest) {
        struct js_heap_block *older = heap->newest->older;

        free(heap->newest);
        heap->newest = older;
    }
    heap->used = 0;
}
