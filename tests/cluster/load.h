/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - writers that must never notice what is done to the nodes: each has a session and a counter of its own and
 * adds 1 to it at a steady rate. A write that fails ends the test; at the end each counter is what was acknowledged, so
 * nothing was lost and nothing done twice.
 */
#ifndef TESTS_CLUSTER_LOAD_H
#define TESTS_CLUSTER_LOAD_H

#include <stdint.h>

#include "cluster.h"

#define LOAD_WRITERS_MAX 64

struct load;

/* Start so many writers, `rate` writes a second all together. Returns when each has been acknowledged once. */
struct load *load_start(struct cluster *cluster, int writers, unsigned rate);

/* Writes that were acknowledged so far. */
uint64_t load_acknowledged(struct load *load);

/* Wait until so many more are. */
void load_await(struct load *load, uint64_t more);

/* Begin anew to look for the longest time without an acknowledgement. */
void load_gap_begin(struct load *load);

/* The longest since then, in microseconds; that which lasts still counts too. */
uint64_t load_gap_us(struct load *load);

/* Stop the writers, compare the counters, free. Returns how many writes were acknowledged. */
uint64_t load_stop(struct load *load);

#endif
