/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.h - a list of sentences: everything that is wrong with a configuration is found in one run, not one by one.
 */
#ifndef CORE_HOST_FAULT_H
#define CORE_HOST_FAULT_H

#include "core/host/arena.h"

#include <stdio.h>

#define HOST_FAULTS_MAX 64 /* sentences kept: who has more mistakes than that reads the first ones first */

/* All zero is a valid empty one. */
struct host_faults {
    struct host_arena arena;
    const char *text[HOST_FAULTS_MAX];
    unsigned count;  /* sentences in `text` */
    unsigned beyond; /* more that found no room */
};

/* Add a sentence, without a newline. */
void host_fault(struct host_faults *faults, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print all of them to `stream`, a line each, behind `prefix` ("gaveld: "). */
void host_faults_print(const struct host_faults *faults, FILE *stream, const char *prefix);

/* Forget everything. */
void host_faults_free(struct host_faults *faults);

#endif
