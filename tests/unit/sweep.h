/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep.h - everything that may fail, fails once: the n-th allocation of the code under test, or the n-th call to its
 * disk. The program is linked with --wrap=malloc,calloc,realloc; what the disk in memory itself allocates is spared.
 */
#ifndef TESTS_UNIT_SWEEP_H
#define TESTS_UNIT_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/os/mem.h"

struct sweep {
    bool armed;           /* count, and fail what is chosen */
    uint64_t allocations; /* counted so far */
    uint64_t calls;
    uint64_t fail_allocation; /* the number of the one that fails; 0: none */
    uint64_t fail_call;
    int error;            /* of a failing call: -EIO, -ENOSPC */
    bool struck;          /* it has been so far */
};

extern struct sweep sweep;

/* The disk in memory behind calls that are counted; its object is the struct os_mem. */
extern const struct os_file_ops sweep_files;

/* Begin to count from 0 with nothing failing but the given ones. */
void sweep_begin(uint64_t fail_allocation, uint64_t fail_call, int error);

#endif
