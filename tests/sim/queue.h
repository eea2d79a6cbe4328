/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h - the events that are to come, soonest first: a heap that knows where each event is, so that moving and
 * cancelling one costs as little as adding it. Each has four below it, and what is compared lies in the heap itself:
 * the events are all over memory.
 *
 * Three habits of the world cost no heap. A deadline is moved on and on before it ever comes: an event that becomes
 * later stays where it is, and sinks when it gets to the top. What is to happen within the moment at hand, as the end
 * of a turn, waits in a line of its own. And most events are the cause of another, which takes the place that has
 * become free at the top.
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
    uint32_t count; /* places in use, and the free one */
    uint32_t capacity;
    bool hole; /* the top is free: who was there was popped, and nobody has moved up yet */
    uint64_t order; /* of the next event */
    uint64_t now;   /* when the one that was popped last was to come */
    struct sim_queued *line; /* [first .. end): all of one moment, in order; NULL where one was taken out */
    uint32_t first;
    uint32_t end;
    uint32_t line_capacity;
};

/* Put an event in, or move it; its `at` has been set. Takes a new place among those of the same moment. */
void sim_queue_put(struct sim_queue *queue, struct sim_event *event);

/* Take it out; harmless when it is not in. */
void sim_queue_remove(struct sim_queue *queue, struct sim_event *event);

/* The soonest, which stays in; NULL when there is none. */
struct sim_event *sim_queue_soonest(struct sim_queue *queue);

/* Take the soonest out; NULL when there is none. */
struct sim_event *sim_queue_pop(struct sim_queue *queue);

/* Take all of them out: who owns them may free them in any order then. */
void sim_queue_clear(struct sim_queue *queue);

/* Forget all of them. */
void sim_queue_free(struct sim_queue *queue);

#endif
