/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - what the plugin's code does while it runs: its allocations, counted and refused on demand; the blocks that
 * it still holds; the clocks and random numbers that it takes; its system calls.
 *
 * Between watch_enter and watch_leave the code of the plugin runs on this thread. Threads that the kit did not mark as
 * its own are the plugin's, all the time.
 *
 * Under a sanitizer the allocator cannot be replaced: watch_allocator says 0, and checks that need it are skipped.
 */
#ifndef CORE_CHECK_WATCH_H
#define CORE_CHECK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/* Lanes, as a mask: where the plugin's code believes to be. */
#define WATCH_LOOP 1u
#define WATCH_APPLY 2u
#define WATCH_WORKER 4u
#define WATCH_OBSERVER 8u

/* This thread is the kit's. */
void watch_own_thread(void);

/* The plugin's code begins and ends to run, on that lane. `pure`: it may use neither clock, chance nor I/O. */
void watch_enter(uint32_t lane, bool pure);
void watch_leave(void);

/* The lane of this thread; 0 outside of the plugin, and on its own threads. */
uint32_t watch_lane(void);

/* Within the kit's own services, called by the plugin: what they do is not the plugin's. */
int watch_pause(void);
void watch_resume(int paused);

/* True where the allocator can be watched. */
bool watch_allocator(void);

/* Allocations of the plugin since the program began. */
uint64_t watch_allocations(void);

/* Bytes that were asked for by these. */
uint64_t watch_taken(void);

/* Refuse the n-th allocation of the plugin from now on, once; 0: none. */
void watch_refuse(uint64_t n);
/* True when it was refused since. */
bool watch_refused(void);

/* Blocks and bytes that the plugin holds. */
void watch_held(uint64_t *blocks, uint64_t *bytes);
/* Forget them: what is held now is nobody's leak. */
void watch_forget(void);

/* The first forbidden thing that was done in a pure call since the last time this was asked; NULL: none. */
const char *watch_impure(void);
/* Note one: a system call's name or a function's. */
void watch_note(const char *what);

/*
 * From here on, system calls of this thread that are not about memory are refused and noted, unless they write to
 * `report`. Cannot be undone. False when the kernel has no filter.
 */
bool watch_system_calls(int report);

/* Make this process differ from its twin: clocks ahead by a year, other random numbers, other bytes in fresh memory. */
void watch_perturb(void);

#endif
