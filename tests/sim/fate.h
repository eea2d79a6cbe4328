/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fate.h - what happens to the world: crashes, pauses, jumps of clocks, partitions, wipes, clean stops, snapshots and
 * membership changes, at the rates of the options; and the second phase, in which a random majority is healed.
 */
#ifndef TESTS_SIM_FATE_H
#define TESTS_SIM_FATE_H

#include "sim.h"

struct sim_fate *sim_fate_new(struct sim *sim);
struct sim_fate *sim_fate_free(struct sim_fate *fate);

/* From now on nothing bad: heal the network, let a random majority of voters run again, or all. */
void sim_fate_heal(struct sim_fate *fate);

/* Whether somebody is to be left out and it is not decided yet whom: until then clients go on, so that those who are
 * left have something to agree on. */
bool sim_fate_chooses(const struct sim_fate *fate);

/* Whether all that is healed has converged: one leader, all applied, nobody recovering, the members asked for. */
bool sim_fate_converged(const struct sim_fate *fate, char *why_not, size_t size);

#endif
