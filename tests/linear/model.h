/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - the store that the checker compares with: what each command does to one key. */
#ifndef TESTS_LINEAR_MODEL_H
#define TESTS_LINEAR_MODEL_H

#include "tests/linear/history.h"

/* A key. Version 0: it does not exist, and all else is 0. */
struct model_key {
    uint64_t value;
    uint64_t revision; /* index of the last change; 0: not known */
    uint32_t version;
    uint32_t stopped;
};

struct model_command {
    uint64_t value;
    uint64_t expect;
    uint64_t index; /* of its entry; 0: not known */
    uint8_t kind;
};

/* More than one outcome is possible: the condition compares with a revision that is not known. */
#define MODEL_EITHER HISTORY_OUTCOME_END

/*
 * The outcome of a command, enum history_outcome or MODEL_EITHER (ok or condition); *after is the key afterwards when
 * it is (or may be) HISTORY_OK, else as before.
 */
uint8_t model_run(const struct model_key *before, const struct model_command *command, struct model_key *after);

#endif
