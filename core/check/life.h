/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life.h - what is the same for every kind: a life that leaves nothing behind, and one that begins without memory.
 */
#ifndef CORE_CHECK_LIFE_H
#define CORE_CHECK_LIFE_H

/*
 * Live several times; after each, no more memory, descriptors, threads or handles of the loop may be there than after
 * the one before. (The first pays for what a library sets up once.)
 */
void life_repeat(void (*live)(void *context), void *context);

/* create and start with each allocation refused in turn: a sentence, and nothing left behind. */
void life_starve(void);

/* The check "life" of all kinds but state machines: create, start, quiesce, destroy, again and again. */
void life_check(void);

/* The check "reload": reloadable options are given again; a machine, serializer or transport that has none passes. */
void life_reload(void);

#endif
