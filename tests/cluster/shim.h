/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim.h - the page of memory through which the torture tells a running gaveld's clock and disk to misbehave: a file
 * that both map, named by the environment variable GAVEL_SHIM. All zero: everything is as it is.
 */
#ifndef TESTS_CLUSTER_SHIM_H
#define TESTS_CLUSTER_SHIM_H

#include <stdint.h>

#define SHIM_BYTES 4096
#define SHIM_VARIABLE "GAVEL_SHIM"

/* Set by the torture, read at each call; accessed with the __atomic built-ins only. */
struct shim_page {
    int64_t wall_ms;      /* added to CLOCK_REALTIME */
    uint32_t sync_ms;     /* each sync takes so much longer, or until this is less */
    uint32_t fail_syncs;  /* so many syncs fail with EIO from now on, and forget what was to be durable */
    uint32_t fail_writes; /* so many writes of the log fail with EIO, after a part of them was written */
    /* Counted by the shim. */
    uint32_t syncs;
    uint32_t failed_syncs;
    uint32_t failed_writes;
    uint32_t clocks;
};

#endif
