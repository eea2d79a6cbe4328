/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_map.h - a hash map from two numbers to one, for the oracle's memory: flat, open addressing, nothing is ever
 * removed, and no order of it is ever looked at.
 */
#ifndef TESTS_SIM_ORACLE_MAP_H
#define TESTS_SIM_ORACLE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oracle_slot {
    uint64_t a; /* never 0: a free slot */
    uint64_t b;
    uint64_t value;
};

struct oracle_map {
    struct oracle_slot *slots;
    uint64_t capacity; /* a power of two */
    uint64_t count;
};

/* The value of (a, b), or NULL. Borrowed until the next put. `a` is not 0. */
uint64_t *oracle_map_find(const struct oracle_map *map, uint64_t a, uint64_t b);

/* The same; a new one has the value 0, and *added says so. */
uint64_t *oracle_map_put(struct oracle_map *map, uint64_t a, uint64_t b, bool *added);

void oracle_map_free(struct oracle_map *map);

/* Room for `wanted` items of `size` bytes, doubled as it grows, new ones zero; ends the program when memory is out. */
void *oracle_grow(void *items, uint64_t *capacity, uint64_t wanted, size_t size);

#endif
