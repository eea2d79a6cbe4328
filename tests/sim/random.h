/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.h - the simulator's dice: one 64-bit seed, split into independent streams, so that one more draw in the
 * network changes nothing in the disks. splitmix64: any state is a good one.
 */
#ifndef TESTS_SIM_RANDOM_H
#define TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* One stream for each part of the world; a node or a link splits its own off its part's (sim_split). */
enum sim_stream {
    SIM_STREAM_OPTIONS, /* the swarm: what this seed's faults are */
    SIM_STREAM_NETWORK,
    SIM_STREAM_DISK,
    SIM_STREAM_LANES,
    SIM_STREAM_CLOCKS,
    SIM_STREAM_NODES,   /* what the nodes themselves get from os_random */
    SIM_STREAM_FATE,    /* crashes, pauses, partitions, wipes, membership changes */
    SIM_STREAM_LOAD,
    SIM_STREAMS
};

struct sim_random {
    uint64_t state;
};

/* The next 64 bits. */
static inline uint64_t sim_draw(struct sim_random *random)
{
    uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 ... below - 1; 0 when below is 0. (Multiplication instead of a remainder: no bias and no division.) */
static inline uint64_t sim_below(struct sim_random *random, uint64_t below)
{
    return (uint64_t)(((unsigned __int128)sim_draw(random) * below) >> 64);
}

/* True with a chance of `ppm` in a million. */
static inline bool sim_chance(struct sim_random *random, uint64_t ppm)
{
    return ppm && sim_below(random, 1000000) < ppm;
}

/* low ... high, evenly spread over the orders of magnitude between them (low at least 1); low when high is less. */
uint64_t sim_magnitude(struct sim_random *random, uint64_t low, uint64_t high);

/* Stream `number` of a seed or of another stream's first state: independent of all others. */
static inline struct sim_random sim_split(uint64_t seed, uint64_t number)
{
    struct sim_random random = {seed ^ (number + 1) * UINT64_C(0xd6e8feb86659fd93)};

    random.state = sim_draw(&random);
    return random;
}

#endif
