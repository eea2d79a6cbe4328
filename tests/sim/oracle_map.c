/* SPDX-License-Identifier: Apache-2.0 */
/* oracle_map.c - see oracle_map.h. */
#include "oracle_map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

void *oracle_grow(void *items, uint64_t *capacity, uint64_t wanted, size_t size)
{
    uint64_t grown = *capacity ? *capacity : FIRST_CAPACITY;

    if (wanted <= *capacity)
        return items;
    while (grown < wanted)
        grown *= 2;
    items = realloc(items, grown * size);
    assert(items);
    memset((char *)items + *capacity * size, 0, (grown - *capacity) * size);
    *capacity = grown;
    return items;
}

/* The slot of (a, b), or the free one where it belongs. */
static struct oracle_slot *place(const struct oracle_map *map, uint64_t a, uint64_t b)
{
    uint64_t hash = a * UINT64_C(0x9e3779b97f4a7c15) ^ b * UINT64_C(0xd6e8feb86659fd93);

    for (uint64_t at = hash ^ hash >> 32;; at++) {
        struct oracle_slot *slot = &map->slots[at & (map->capacity - 1)];

        if (slot->a == 0 || (slot->a == a && slot->b == b))
            return slot;
    }
}

uint64_t *oracle_map_find(const struct oracle_map *map, uint64_t a, uint64_t b)
{
    struct oracle_slot *slot;

    assert(a);
    if (map->count == 0)
        return NULL;
    slot = place(map, a, b);
    return slot->a ? &slot->value : NULL;
}

uint64_t *oracle_map_put(struct oracle_map *map, uint64_t a, uint64_t b, bool *added)
{
    struct oracle_slot *slot;

    assert(a);
    if (map->count * 2 >= map->capacity) {
        struct oracle_map grown = {.capacity = map->capacity ? map->capacity * 2 : FIRST_CAPACITY, .count = map->count};

        grown.slots = calloc(grown.capacity, sizeof *grown.slots);
        assert(grown.slots);
        for (uint64_t i = 0; i < map->capacity; i++)
            if (map->slots[i].a)
                *place(&grown, map->slots[i].a, map->slots[i].b) = map->slots[i];
        free(map->slots);
        *map = grown;
    }
    slot = place(map, a, b);
    *added = slot->a == 0;
    if (*added) {
        *slot = (struct oracle_slot){.a = a, .b = b};
        map->count++;
    }
    return &slot->value;
}

void oracle_map_free(struct oracle_map *map)
{
    free(map->slots);
    *map = (struct oracle_map){0};
}
