/* SPDX-License-Identifier: Apache-2.0 */
/* world.h - one run from its making to its end, for main.c and what drives single worlds. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "sim.h"

/* A world at its first moment; the first phase lasts so many simulated seconds. */
struct sim *sim_new(uint64_t seed, const struct sim_options *options, uint64_t seconds, bool tracing);
struct sim *sim_free(struct sim *sim);

/* The next event, and what follows from it; false when nothing is going to happen any more. For those who drive a world
 * themselves, with guard.h. */
bool sim_step(struct sim *sim);

/*
 * Everything over: all that can be judged of safety. A world that stands still (damage has hit too many, loudly) is
 * judged as well: only what is open in it stays open. A write without an answer may be done or not, one that was
 * acknowledged is in every state that has passed its index; who leads all the same has it too.
 */
void sim_judge(struct sim *sim, bool stands_still);

/* Both phases, and the checks at the end. Returns when all was well; sim_fail does not return. */
void sim_run(struct sim *sim);

#endif
