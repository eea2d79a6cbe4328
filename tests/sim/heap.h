/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap.h - what the code that ships takes from the heap, counted, and refused once on demand. The linker sends its
 * malloc and friends here (--wrap); the simulator's own files go past it (heap_own.h).
 */
#ifndef TESTS_SIM_HEAP_H
#define TESTS_SIM_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* Count from now on, and refuse allocation number `fail_at` (1: the next); 0: none. */
void sim_heap_begin(uint64_t fail_at);

/* No longer. */
void sim_heap_end(void);

/* Allocations since then. */
uint64_t sim_heap_count(void);

/* Whether one has been refused since then. */
bool sim_heap_refused(void);

/* Between these two calls, which may be nested, what is taken is the simulator's although code that ships takes it. */
void sim_heap_ours(void);
void sim_heap_theirs(void);

#endif
