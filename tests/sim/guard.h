/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.h - nothing of the real machine may decide what happens in the world: while the guard is on, reading a clock,
 * the environment or random bytes, opening a file or making a thread ends the run, with the name of the function.
 */
#ifndef TESTS_SIM_GUARD_H
#define TESTS_SIM_GUARD_H

#include "sim.h"

void guard_on(struct sim *sim);
void guard_off(void);

#endif
