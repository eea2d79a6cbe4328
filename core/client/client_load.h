/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_load.h - a load generator that costs as little as it can: one loop, many connections straight on a
 * transport, one request in flight on each, requests encoded once and patched. Behind `gavel bench` and
 * tests/bench/cluster-bench.
 */
#ifndef CORE_CLIENT_CLIENT_LOAD_H
#define CORE_CLIENT_CLIENT_LOAD_H

#include <gavel/abi.h>

#define CLIENT_LOAD_CONNECTIONS 4096 /* at the most: file descriptors of one process */
#define CLIENT_LOAD_VALUE 65536      /* bytes of one value at the most */

struct client_load_options {
    const char *endpoints;  /* the leader among them is found first, and gets all connections */
    const char *machine;    /* NULL: the only store */
    uint32_t connections;
    uint32_t read_percent;  /* of the requests are gets, the others sets */
    uint64_t milliseconds;
    uint64_t value_bytes;
    uint64_t keys;          /* each connection walks through so many of its own */
};

struct client_load_result {
    char node[256]; /* URI that was loaded */
    uint64_t done;
    uint64_t failed; /* answered with an error, or lost with the connection */
    uint64_t elapsed_us;
    uint64_t p50_us;
    uint64_t p99_us;
    uint64_t p999_us;
    uint64_t most_us;
};

/* [any] Run it on this thread. A negative code with a sentence when it could not even begin. */
int32_t client_load_run(const struct client_load_options *options, struct client_load_result *result,
                        struct gavel_error *error);

/* [any] Find the store machine's name (buffers of 64 bytes) and the leader's URI (256 bytes) of a cluster. */
int32_t client_load_find(const char *endpoints, char *machine, char *leader, struct gavel_error *error);

#endif
