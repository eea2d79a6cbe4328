/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - the events that are to come; see queue.h. */
#include "queue.h"

#include <assert.h>
#include <stdlib.h>

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void settle(struct sim_queue *queue, struct sim_event *event, uint32_t place)
{
    queue->heap[place] = event;
    event->place = place;
}

static void rise(struct sim_queue *queue, struct sim_event *event, uint32_t place)
{
    while (place > 1 && before(event, queue->heap[place / 2])) {
        settle(queue, queue->heap[place / 2], place);
        place /= 2;
    }
    settle(queue, event, place);
}

static void sink(struct sim_queue *queue, struct sim_event *event, uint32_t place)
{
    for (;;) {
        uint32_t child = place * 2;

        if (child > queue->count)
            break;
        if (child < queue->count && before(queue->heap[child + 1], queue->heap[child]))
            child++;
        if (!before(queue->heap[child], event))
            break;
        settle(queue, queue->heap[child], place);
        place = child;
    }
    settle(queue, event, place);
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
    uint32_t place = event->place;

    event->order = queue->order++;
    if (!place) {
        if (queue->count + 1 >= queue->capacity)
            grow(queue);
        rise(queue, event, ++queue->count);
        return;
    }
    assert(queue->heap[place] == event);
    if (place > 1 && before(event, queue->heap[place / 2]))
        rise(queue, event, place);
    else
        sink(queue, event, place);
}

void sim_queue_remove(struct sim_queue *queue, struct sim_event *event)
{
    uint32_t place = event->place;
    struct sim_event *last;

    if (!place)
        return;
    assert(place <= queue->count);
    assert(queue->heap[place] == event);
    last = queue->heap[queue->count--];
    event->place = 0;
    if (last == event)
        return;
    if (place > 1 && before(last, queue->heap[place / 2]))
        rise(queue, last, place);
    else
        sink(queue, last, place);
}

struct sim_event *sim_queue_pop(struct sim_queue *queue)
{
    struct sim_event *first;

    if (!queue->count)
        return NULL;
    first = queue->heap[1];
    sim_queue_remove(queue, first);
    return first;
}

void sim_queue_clear(struct sim_queue *queue)
{
    for (uint32_t i = 1; i <= queue->count; i++)
        queue->heap[i]->place = 0;
    queue->count = 0;
}

void sim_queue_free(struct sim_queue *queue)
{
    free(queue->heap);
    *queue = (struct sim_queue){0};
}
