/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observer.h - the checks of an observer. Each is the body of one child process.
 */
#ifndef CORE_CHECK_OBSERVER_H
#define CORE_CHECK_OBSERVER_H

/* Log events, spans and series of every shape, on the observer lane. */
void observer_events(void);
/* stdout and stderr are dead, full, or read by nobody, and no collector is there: the loop never waits for it. */
void observer_dead_consumer(void);
/* Every allocation fails once. */
void observer_memory(void);
/* A life leaves nothing behind. */
void observer_leaks(void);

#endif
