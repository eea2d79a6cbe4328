/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_world.h - a world of nothing but a queue and a network, for net_test.c: hosts that count what they are told, and
 * numbered messages whose every byte is known.
 */
#ifndef TESTS_SIM_NET_WORLD_H
#define TESTS_SIM_NET_WORLD_H

#include "core/codec/message.h"

#include "net.h"
#include "queue.h"

#define HOSTS 8
#define CONNECTIONS 64
#define MESSAGES 20000

/* One connection as a host sees it. */
struct line {
    struct host *host;
    void *handle;
    bool open;
    uint64_t reason; /* of its end; 0: none yet */
    uint64_t closed; /* how often that was told */
    uint64_t ended_at;
    uint64_t count;  /* messages */
    uint64_t drained;
    uint64_t first_at; /* when the first message came */
    uint64_t last_at;
    uint32_t order[MESSAGES]; /* their numbers */
};

struct host {
    struct world *world;
    struct sim_side *side;
    struct gavel_transport_events events;
    uint64_t quiet;
    uint32_t line_count;
    struct line *lines[CONNECTIONS];
    bool refuses;
};

struct world {
    struct sim sim;
    struct sim_queue queue;
    struct host hosts[HOSTS];
    uint32_t host_count;
    uint64_t sent;
};

#define RAFT_TYPE (CODEC_RAFT + 5u)

/* The one world of the program at a time. */
extern struct world *the_world;

/* Nodes that listen and are known as n1, n2 ..., then clients. `options` NULL: no misfortune. */
struct world *world_new(uint64_t seed, const struct sim_options *options, uint32_t nodes, uint32_t clients);

/* Fails the test when the network has left an event behind. */
void world_free(struct world *world);

/* A new process at this host's side. */
void host_begin(struct host *host, bool listens);

void run_until(struct world *world, uint64_t at);
void run_ms(struct world *world, uint64_t ms);

/* Host number `from` dials node number `to`. */
struct line *dial(struct world *world, uint32_t from, uint32_t to);

/* A message of that type, numbered, each further byte of it known; `size` is at least 8. What send answered. */
int32_t say(struct line *line, uint32_t type, uint32_t number, uint64_t size);

/* `count` of them, a few at a time. */
void say_many(struct line *line, uint32_t type, uint32_t from, uint32_t count);

/* Nodes 0 and 1, connected, the hellos over. */
struct line *pair(struct world *world, struct line **there);

/* The numbers 1 to `count` have come behind the hello, in order, and nothing else. */
void assert_exact(const struct line *line, uint32_t count);

#endif
