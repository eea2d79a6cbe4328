/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shrink.h - from a failing seed to the least that still fails, as a file that stays in tests/regress for ever:
 *
 *     # what was seen
 *     invariant log-matching       the one that did not hold then, and has held since
 *     seed 123
 *     seconds 17
 *     twice                        only where it failed so: run again, and the traces compared
 *     wants truncations 1          added by hand: a total that the run must still come to, to be about what it was
 *     bug log-old-start-missing    added by hand: the seeded bug that stands for the mend taken out, if there is one
 *     set nodes=3                  every row that is not 0
 *
 * A replay passes over "invariant" and "bug": regress.sh, in a build with seeded bugs, sees to it that the file still
 * fails with that bug and by that invariant.
 *
 * The file holds all options, so that a later change of the dice does not change what it replays.
 */
#ifndef TESTS_SIM_SHRINK_H
#define TESTS_SIM_SHRINK_H

#include "campaign.h"

/* The campaign's one seed must fail. True when the file was written. */
bool shrink_run(const struct campaign *campaign, const char *path);

/* Run a file's order; true when nothing failed, and it came to what it wants. --trace, --inside and --bug come from the
 * campaign; --twice from either. */
bool shrink_replay(const char *path, const struct campaign *campaign);

#endif
