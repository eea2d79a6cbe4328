/* SPDX-License-Identifier: Apache-2.0 */
/* event_ring.c - see event_ring.h. */
#include "core/node/event_ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 1024
#define ROOM_FIRST (16u << 10)

static struct event **slot_of(struct event_ring *ring, uint64_t number)
{
    return &ring->slots[number & (ring->capacity - 1)];
}

/* What an event takes of the room: the next one is aligned. */
static uint64_t room_for(uint64_t size)
{
    return (size + 7) & ~UINT64_C(7);
}

static uint64_t place_of(const struct event_ring *ring, uint64_t number)
{
    return (uint64_t)((const unsigned char *)event_ring_at(ring, number) - ring->room);
}

static bool more_slots(struct event_ring *ring)
{
    uint64_t capacity = ring->capacity ? ring->capacity * 2 : SLOTS_FIRST;
    struct event **slots;

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

/* All events to the front of a larger room, with `size` bytes for one more behind them. */
static bool more_room(struct event_ring *ring, uint64_t size)
{
    uint64_t wanted = ring->room_bytes ? ring->room_bytes + ring->room_bytes / 2 : ROOM_FIRST;
    unsigned char *room;
    uint64_t at = 0;

    while (wanted < ring->bytes + (ring->end - ring->first) * 8 + size)
        wanted += wanted / 2;
    room = malloc(wanted);
    if (!room)
        return false;
    for (uint64_t i = ring->first; i < ring->end; i++) {
        struct event **slot = slot_of(ring, i);
        uint64_t bytes = event_size(*slot);

        memcpy(room + at, *slot, bytes);
        *slot = (struct event *)(void *)(room + at);
        at += room_for(bytes);
    }
    free(ring->room);
    ring->room = room;
    ring->room_bytes = wanted;
    return true;
}

/* Where `size` bytes are free: behind the newest event, or at the front when the oldest has left it. NULL: nowhere. */
static unsigned char *find_room(const struct event_ring *ring, uint64_t size)
{
    uint64_t from = 0;
    uint64_t to = ring->room_bytes;

    if (ring->first < ring->end) {
        uint64_t oldest = place_of(ring, ring->first);
        uint64_t newest = place_of(ring, ring->end - 1);

        from = newest + room_for(event_size(event_ring_at(ring, ring->end - 1)));
        if (newest >= oldest && to - from < size) {
            from = 0;
            to = oldest;
        } else if (newest < oldest) {
            to = oldest;
        }
    }
    assert(from <= to);
    return to - from >= size ? ring->room + from : NULL;
}

struct event *event_ring_put(struct event_ring *ring, const struct event *head)
{
    uint64_t size = event_size(head);
    unsigned char *room;
    struct event *event;

    if (!more_slots(ring))
        return NULL;
    room = find_room(ring, room_for(size));
    if (!room && more_room(ring, room_for(size)))
        room = find_room(ring, room_for(size));
    if (!room)
        return NULL;
    event = (struct event *)(void *)room;
    *event = *head;
    *slot_of(ring, ring->end++) = event;
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
