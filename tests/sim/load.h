/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - the clients: each speaks the client protocol over the simulated network to whatever node it finds, within a
 * session or not, with unique values, reads of every level, conditional writes, deletes, batches, workflows, watches;
 * and writes down what it saw, for the linearizability checker (tests/linear) and for checks of its own: exactly-once
 * sessions, watches without gap, unknown never taken for failed.
 */
#ifndef TESTS_SIM_LOAD_H
#define TESTS_SIM_LOAD_H

#include "sim.h"

struct sim_load *sim_load_new(struct sim *sim);
struct sim_load *sim_load_free(struct sim_load *load);

/* No new operations from now on; what is open must come to an end. */
void sim_load_finish(struct sim_load *load);
bool sim_load_finished(const struct sim_load *load);

/* A leader has put a command of the store with these arguments into its log; `batch` is the oracle's number. */
struct log_entry;
void sim_load_logged(struct sim_load *load, uint64_t batch, const struct log_entry *entry, const char *command,
                     struct gavel_slice arguments);

/* The committed entry at this index changed nothing: it was refused (`first` 0), or done before, at `first`. */
void sim_load_refused(struct sim_load *load, uint64_t index, uint64_t first);

/* Nothing moves any more, and nobody answers: what each running node's machine holds is read straight from it, into the
 * history. */
void sim_load_look(struct sim_load *load);

/* Everything over: check the whole history; calls sim_fail when it is not linearizable, or a session applied twice. */
void sim_load_check(struct sim_load *load);

#endif
