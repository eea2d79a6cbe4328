/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h - the events that are to come, soonest first: a heap that knows where each event is, so that moving and
 * cancelling one costs as little as adding it. Each has four below it, and what is compared lies in the heap itself:
 * the events are all over memory.
 */
#ifndef TESTS_SIM_QUEUE_H
#define TESTS_SIM_QUEUE_H

#include "sim.h"

struct sim_queued {
    uint64_t at;
    uint64_t order;
    struct sim_event *event;
};

struct sim_queue {
    struct sim_queued *heap; /* from 1; [0] is not used, so that place 0 means: not in it */
    uint32_t count;
    uint32_t capacity;
    uint64_t order; /* of the next event */
};

/* Put an event in, or move it; its `at` has been set. Takes a new place among those of the same moment. */
void sim_queue_put(struct sim_queue *queue, struct sim_event *event);

/* Take it out; harmless when it is not in. */
void sim_queue_remove(struct sim_queue *queue, struct sim_event *event);

/* Take the soonest out; NULL when there is none. */
struct sim_event *sim_queue_pop(struct sim_queue *queue);

/* Take all of them out: who owns them may free them in any order then. */
void sim_queue_clear(struct sim_queue *queue);

/* Forget all of them. */
void sim_queue_free(struct sim_queue *queue);

#endif
