/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - malloc and free of this program: memory is handed out from one end of a region to the other, and what is
 * given back goes to a list for its size. When a world has ended and has given back all that it took, the next one
 * begins at the same place: in memory that is there already, and laid out as in a process of its own.
 *
 * Not under a sanitizer, whose malloc finds what is done wrong with it; then this does nothing.
 */
#ifndef TESTS_SIM_ARENA_H
#define TESTS_SIM_ARENA_H

/* Around all that one world takes and gives back. */
void arena_world_begins(void);
void arena_world_ends(void);

/*
 * Many worlds are to come, each in the memory of the one before: have it in large pages, of which the processor finds
 * more without looking them up. A large page is cleared whole when it is touched, so one world alone gains nothing,
 * and the memory that only the greatest worlds need is left as it is.
 */
void arena_many_worlds(void);

#endif
