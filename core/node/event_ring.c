/* SPDX-License-Identifier: Apache-2.0 */
/* event_ring.c - see event_ring.h. */
#include "core/node/event_ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 1024
#define ROOM_FIRST (16u << 10)
#define NOWHERE UINT64_MAX

static uint64_t *slot_of(const struct event_ring *ring, uint64_t number)
{
    return &ring->slots[number & (ring->capacity - 1)];
}

/* What an event takes of the room: the next one is aligned. */
static uint64_t room_for(uint64_t size)
{
    return (size + 7) & ~UINT64_C(7);
}

/* Where the newest event ends; 0: there is none. */
static uint64_t newest_end(const struct event_ring *ring)
{
    uint64_t newest = ring->end - 1;

    return ring->first < ring->end ? *slot_of(ring, newest) + room_for(event_size(event_ring_at(ring, newest))) : 0;
}

/* Whether the events lie around the end of the room. */
static bool wraps(const struct event_ring *ring)
{
    return ring->first < ring->end && *slot_of(ring, ring->end - 1) < *slot_of(ring, ring->first);
}

static bool more_slots(struct event_ring *ring)
{
    uint64_t capacity = ring->capacity ? ring->capacity * 2 : SLOTS_FIRST;
    uint64_t *slots;

    if (ring->end - ring->first < ring->capacity)
        return true;
    slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return false;
    for (uint64_t i = ring->first; i < ring->end; i++)
        slots[i & (capacity - 1)] = *slot_of(ring, i);
    free(ring->slots);
    ring->slots = slots;
    ring->capacity = capacity;
    return true;
}

/* All events to the front of a larger room, in their order. */
static bool unwrap(struct event_ring *ring, uint64_t wanted)
{
    unsigned char *room = malloc(wanted);
    uint64_t at = 0;

    if (!room)
        return false;
    for (uint64_t i = ring->first; i < ring->end; i++) {
        uint64_t bytes = event_size(event_ring_at(ring, i));

        memcpy(room + at, event_ring_at(ring, i), bytes);
        *slot_of(ring, i) = at;
        at += room_for(bytes);
    }
    free(ring->room);
    ring->room = room;
    ring->room_bytes = wanted;
    return true;
}

/*
 * A larger room, with `size` bytes for one more behind the newest event. A ring that fills for the first time has its
 * events in one piece, which stays as it is: the system moves large memory without copying it, and the node's loop does
 * not stand still for as long as a copy of gigabytes takes.
 */
static bool more_room(struct event_ring *ring, uint64_t size)
{
    bool around = wraps(ring);
    uint64_t least = (around ? ring->bytes + (ring->end - ring->first) * 8 : newest_end(ring)) + size;
    uint64_t wanted = ring->room_bytes ? ring->room_bytes + ring->room_bytes / 2 : ROOM_FIRST;
    unsigned char *room;

    while (wanted < least)
        wanted += wanted / 2;
    if (around)
        return unwrap(ring, wanted);
    room = realloc(ring->room, wanted);
    if (!room)
        return false;
    ring->room = room;
    ring->room_bytes = wanted;
    return true;
}

/* Where `size` bytes are free: behind the newest event, or at the front when the oldest has left it. */
static uint64_t find_room(const struct event_ring *ring, uint64_t size)
{
    uint64_t from = newest_end(ring);
    uint64_t to = ring->room_bytes;

    if (wraps(ring)) {
        to = *slot_of(ring, ring->first);
    } else if (ring->first < ring->end && to - from < size) {
        from = 0;
        to = *slot_of(ring, ring->first);
    }
    assert(from <= to);
    return to - from >= size ? from : NOWHERE;
}

struct event *event_ring_put(struct event_ring *ring, const struct event *head)
{
    uint64_t size = event_size(head);
    struct event *event;
    uint64_t at;

    if (!more_slots(ring))
        return NULL;
    at = find_room(ring, room_for(size));
    if (at == NOWHERE && more_room(ring, room_for(size)))
        at = find_room(ring, room_for(size));
    if (at == NOWHERE)
        return NULL;
    *slot_of(ring, ring->end) = at;
    event = event_ring_at(ring, ring->end++);
    *event = *head;
    ring->bytes += size;
    return event;
}

void event_ring_drop(struct event_ring *ring)
{
    assert(ring->first < ring->end);
    ring->bytes -= event_size(event_ring_at(ring, ring->first++));
}

void event_ring_gap(struct event_ring *ring)
{
    ring->first = ++ring->end;
    ring->bytes = 0;
}

void event_ring_free(struct event_ring *ring)
{
    free(ring->slots);
    free(ring->room);
    *ring = (struct event_ring){.slots = NULL};
}
