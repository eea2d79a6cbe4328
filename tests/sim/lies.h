/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lies.h - is what the oracle knows really asked? oracle_test.c sees each invariant fire in crafted observations; here
 * a world of real nodes runs, one thing in it is changed behind its back (in a node, or in what the oracle remembers
 * of it), and the run must fail, by the name of the invariant that the lie is about. For those that no seeded bug of
 * bugs.txt violates; lies.sh sees to it that one of the two does for each.
 */
#ifndef TESTS_SIM_LIES_H
#define TESTS_SIM_LIES_H

#include "sim.h"

struct lie;

/* Each lie in a world of its own, and a line about each that was not found out. True when all were. */
bool lies_run(void);

/* In the process of the run: the world up to the lie, and on until somebody notices. */
void lies_play(struct sim *sim, const struct lie *lie);

#endif
