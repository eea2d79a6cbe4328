/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - the events that are to come; see queue.h. */
#include "queue.h"

#include <assert.h>
#include <stdlib.h>

#define BELOW 4u /* children of each */
#define IN_LINE UINT32_C(0x80000000) /* in a place: not of the heap */

static unsigned __int128 key(const struct sim_queued *queued)
{
    return (unsigned __int128)queued->at << 64 | queued->order; /* compared without a branch */
}

static bool before(const struct sim_queued *a, const struct sim_queued *b)
{
    return key(a) < key(b);
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

/* The sooner of two places: without a branch, which would be guessed wrong half the time. */
static uint32_t sooner(const struct sim_queued *heap, uint32_t a, uint32_t b)
{
    return a + (b - a) * (uint32_t)before(&heap[b], &heap[a]);
}

_Static_assert(BELOW == 4, "sink compares them by pairs");

/* The soonest of those below a place; 0: there is nothing below it. */
static inline uint32_t soonest_below(const struct sim_queue *queue, uint32_t place)
{
    const struct sim_queued *heap = queue->heap;
    uint32_t first = (place - 1) * BELOW + 2;
    uint32_t least = first;

    if (first + BELOW - 1 <= queue->count)
        return sooner(heap, sooner(heap, first, first + 1), sooner(heap, first + 2, first + 3));
    if (first > queue->count)
        return 0;
    for (uint32_t child = first + 1; child <= queue->count; child++)
        least = sooner(heap, least, child);
    return least;
}

static void sink(struct sim_queue *queue, struct sim_queued queued, uint32_t place)
{
    uint32_t least;

    while ((least = soonest_below(queue, place)) != 0 && before(&queue->heap[least], &queued)) {
        settle(queue, queue->heap[least], place);
        place = least;
    }
    settle(queue, queued, place);
}

/* The last one moves to the free top. It belongs far down nearly always, so it is not asked on the way down. */
static void fill(struct sim_queue *queue)
{
    uint32_t place = 1;
    uint32_t least;
    struct sim_queued last;

    if (!queue->hole)
        return;
    queue->hole = false;
    last = queue->heap[queue->count--];
    if (!queue->count)
        return;
    while ((least = soonest_below(queue, place)) != 0) {
        settle(queue, queue->heap[least], place);
        place = least;
    }
    rise(queue, last, place);
}

/* Where it belongs, from a place that is free or its own. */
static void sort_in(struct sim_queue *queue, struct sim_queued queued, uint32_t place)
{
    if (place > 1 && before(&queued, &queue->heap[above(place)]))
        rise(queue, queued, place);
    else
        sink(queue, queued, place);
}

static struct sim_queued *grow(struct sim_queued *items, uint32_t *capacity)
{
    *capacity = *capacity ? *capacity * 2 : 1024;
    assert(*capacity < IN_LINE);
    items = realloc(items, *capacity * sizeof *items);
    assert(items);
    return items;
}

/* ---- the line ------------------------------------------------------------------------------------------ */

/* Whether it belongs behind all that are in line. */
static bool lines_up(const struct sim_queue *queue, uint64_t at)
{
    return at == queue->now && (queue->first == queue->end || queue->line[queue->first].at == at);
}

static void line_up(struct sim_queue *queue, struct sim_queued queued)
{
    if (queue->end == queue->line_capacity)
        queue->line = grow(queue->line, &queue->line_capacity);
    queue->line[queue->end] = queued;
    queued.event->place = IN_LINE | queue->end++;
}

/* Whoever was taken out of it has left a gap. */
static void close_up(struct sim_queue *queue)
{
    while (queue->first < queue->end && !queue->line[queue->first].event)
        queue->first++;
    if (queue->first == queue->end)
        queue->first = queue->end = 0;
}

/* ---- the queue ----------------------------------------------------------------------------------------- */

void sim_queue_put(struct sim_queue *queue, struct sim_event *event)
{
    struct sim_queued queued = {.at = event->at, .order = queue->order++, .event = event};

    event->order = queued.order;
    if (event->place && !(event->place & IN_LINE)) {
        assert(queue->heap[event->place].event == event);
        if (queued.at >= queue->heap[event->place].at)
            return; /* later: looked at when it gets to the top */
        fill(queue);
        sort_in(queue, queued, event->place);
        return;
    }
    if (event->place)
        sim_queue_remove(queue, event); /* out of the line */
    if (lines_up(queue, queued.at)) {
        line_up(queue, queued);
        return;
    }
    if (queue->hole) {
        queue->hole = false;
        sink(queue, queued, 1);
        return;
    }
    if (queue->count + 1 >= queue->capacity)
        queue->heap = grow(queue->heap, &queue->capacity);
    rise(queue, queued, ++queue->count);
}

void sim_queue_remove(struct sim_queue *queue, struct sim_event *event)
{
    uint32_t place = event->place;
    struct sim_queued last;

    if (!place)
        return;
    if (!(place & IN_LINE)) {
        fill(queue);
        place = event->place;
    }
    event->place = 0;
    if (place & IN_LINE) {
        assert(queue->line[place & ~IN_LINE].event == event);
        queue->line[place & ~IN_LINE].event = NULL;
        close_up(queue);
        return;
    }
    assert(place <= queue->count);
    assert(queue->heap[place].event == event);
    last = queue->heap[queue->count--];
    if (last.event != event)
        sort_in(queue, last, place);
}

/* The top of the heap is the soonest only if it has not become later since it was put there. */
static void settle_top(struct sim_queue *queue)
{
    while (queue->count && queue->heap[1].order != queue->heap[1].event->order) {
        struct sim_event *event = queue->heap[1].event;

        sink(queue, (struct sim_queued){.at = event->at, .order = event->order, .event = event}, 1);
    }
}

struct sim_event *sim_queue_soonest(struct sim_queue *queue)
{
    bool waits = queue->first < queue->end;

    if (waits && queue->hole) { /* that one may be popped, and cause another, before anybody has to move up */
        uint32_t least = soonest_below(queue, 1);

        if (!least || before(&queue->line[queue->first], &queue->heap[least]))
            return queue->line[queue->first].event;
    }
    fill(queue);
    settle_top(queue);
    if (waits && (!queue->count || before(&queue->line[queue->first], &queue->heap[1])))
        return queue->line[queue->first].event;
    return queue->count ? queue->heap[1].event : NULL;
}

struct sim_event *sim_queue_pop(struct sim_queue *queue)
{
    struct sim_event *event = sim_queue_soonest(queue);

    if (!event)
        return NULL;
    if (event->place == 1) {
        event->place = 0;
        queue->hole = true;
    } else {
        sim_queue_remove(queue, event); /* out of the line */
    }
    queue->now = event->at;
    return event;
}

void sim_queue_clear(struct sim_queue *queue)
{
    fill(queue);
    for (uint32_t i = 1; i <= queue->count; i++)
        queue->heap[i].event->place = 0;
    for (uint32_t i = queue->first; i < queue->end; i++)
        if (queue->line[i].event)
            queue->line[i].event->place = 0;
    queue->count = 0;
    queue->first = queue->end = 0;
}

void sim_queue_free(struct sim_queue *queue)
{
    free(queue->heap);
    free(queue->line);
    *queue = (struct sim_queue){0};
}
