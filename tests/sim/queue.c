/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - the events that are to come; see queue.h. */
#include "queue.h"

#include <assert.h>
#include <stdlib.h>

#define BELOW 4u /* children of each */

static bool before(const struct sim_queued *a, const struct sim_queued *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static uint32_t above(uint32_t place)
{
    return (place + BELOW - 2) / BELOW;
}

static void settle(struct sim_queue *queue, struct sim_queued queued, uint32_t place)
{
    queue->heap[place] = queued;
    queued.event->place = place;
}

static void rise(struct sim_queue *queue, struct sim_queued queued, uint32_t place)
{
    while (place > 1 && before(&queued, &queue->heap[above(place)])) {
        settle(queue, queue->heap[above(place)], place);
        place = above(place);
    }
    settle(queue, queued, place);
}

static void sink(struct sim_queue *queue, struct sim_queued queued, uint32_t place)
{
    for (;;) {
        uint32_t first = (place - 1) * BELOW + 2;
        uint32_t end = first + BELOW <= queue->count ? first + BELOW : queue->count + 1;
        uint32_t least = first;

        if (first > queue->count)
            break;
        for (uint32_t child = first + 1; child < end; child++)
            if (before(&queue->heap[child], &queue->heap[least]))
                least = child;
        if (!before(&queue->heap[least], &queued))
            break;
        settle(queue, queue->heap[least], place);
        place = least;
    }
    settle(queue, queued, place);
}

/* Where it belongs, from a place that is free or its own. */
static void sort_in(struct sim_queue *queue, struct sim_queued queued, uint32_t place)
{
    if (place > 1 && before(&queued, &queue->heap[above(place)]))
        rise(queue, queued, place);
    else
        sink(queue, queued, place);
}

static void grow(struct sim_queue *queue)
{
    uint32_t capacity = queue->capacity ? queue->capacity * 2 : 1024;

    queue->heap = realloc(queue->heap, capacity * sizeof *queue->heap);
    assert(queue->heap);
    queue->capacity = capacity;
}

void sim_queue_put(struct sim_queue *queue, struct sim_event *event)
{
    struct sim_queued queued = {.at = event->at, .order = queue->order++, .event = event};

    event->order = queued.order;
    if (!event->place) {
        if (queue->count + 1 >= queue->capacity)
            grow(queue);
        rise(queue, queued, ++queue->count);
        return;
    }
    assert(queue->heap[event->place].event == event);
    sort_in(queue, queued, event->place);
}

void sim_queue_remove(struct sim_queue *queue, struct sim_event *event)
{
    uint32_t place = event->place;
    struct sim_queued last;

    if (!place)
        return;
    assert(place <= queue->count);
    assert(queue->heap[place].event == event);
    last = queue->heap[queue->count--];
    event->place = 0;
    if (last.event != event)
        sort_in(queue, last, place);
}

struct sim_event *sim_queue_pop(struct sim_queue *queue)
{
    struct sim_event *first;

    if (!queue->count)
        return NULL;
    first = queue->heap[1].event;
    sim_queue_remove(queue, first);
    return first;
}

void sim_queue_clear(struct sim_queue *queue)
{
    for (uint32_t i = 1; i <= queue->count; i++)
        queue->heap[i].event->place = 0;
    queue->count = 0;
}

void sim_queue_free(struct sim_queue *queue)
{
    free(queue->heap);
    *queue = (struct sim_queue){0};
}
