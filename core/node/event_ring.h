/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_ring.h - the newest events of a node, as bytes in one piece of memory: the next one takes the place of the
 * oldest, and in a steady state none is allocated. Events are numbered; `first` to `end` (not itself) are held.
 */
#ifndef CORE_NODE_EVENT_RING_H
#define CORE_NODE_EVENT_RING_H

#include <stdbool.h>
#include <stdint.h>

struct event {
    uint64_t index;
    uint64_t ordinal;
    uint64_t wall_ms;
    const char *type; /* a constant */
    uint32_t machine; /* number; 0: the host's own */
    uint32_t key_bytes;
    uint32_t body_bytes; /* MessagePack */
    uint32_t previous_bytes;
    unsigned char bytes[];
};

/* All zero: empty, without memory. */
struct event_ring {
    uint64_t *slots;     /* circular, by number: where the event begins in the room */
    uint64_t capacity;   /* of slots: a power of two */
    unsigned char *room; /* where the events lie, in their order and around the end */
    uint64_t room_bytes; /* grows with what is kept: to half as much again when events are small, to three times as much
                            when one event may be as large as the bound; never shrinks */
    uint64_t first;      /* number of the oldest event that is held */
    uint64_t end;        /* number that the next one gets */
    uint64_t bytes;      /* of those that are held */
};

static inline uint64_t event_size(const struct event *event)
{
    return sizeof *event + event->key_bytes + event->body_bytes + event->previous_bytes;
}

/* Borrowed until the next event_ring_put. */
static inline struct event *event_ring_at(const struct event_ring *ring, uint64_t number)
{
    return (struct event *)(void *)(ring->room + ring->slots[number & (ring->capacity - 1)]);
}

/*
 * Put a copy of `head`, whose sizes say how much is to be written behind it, at `end`. NULL: no memory, nothing has
 * changed. The bound is the caller's: who keeps `bytes` below one has to drop before.
 */
struct event *event_ring_put(struct event_ring *ring, const struct event *head);

/* Drop the oldest. */
void event_ring_drop(struct event_ring *ring);

/* Drop all, and count one that was never held: who has read everything until now sees that something is gone. */
void event_ring_gap(struct event_ring *ring);

/* Give the memory back. */
void event_ring_free(struct event_ring *ring);

#endif
