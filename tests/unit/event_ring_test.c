/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_ring_test.c - events of all sizes through a ring that is full most of the time: each is whole, byte for byte,
 * for as long as it is held, wherever the ring's memory ends or moves to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/node/event_ring.h"
#include "tests/unit/codec_random.h"

#define LIVES 30
#define EVENTS 1000 /* of a life */
#define LIMIT (48u << 10)
#define LARGEST (40u << 10)

static uint32_t sizes[EVENTS];

static void assert_whole(const struct event_ring *ring, uint64_t number)
{
    const struct event *event = event_ring_at(ring, number);
    uint32_t same = 0;

    assert_int_equal(event->index, number);
    assert_int_equal(event->key_bytes + event->body_bytes + event->previous_bytes, sizes[number]);
    for (uint32_t i = 0; i < sizes[number]; i++)
        same += event->bytes[i] == (unsigned char)(number + i / 3);
    assert_int_equal(same, sizes[number]);
}

static void assert_all(const struct event_ring *ring)
{
    uint64_t bytes = 0;

    for (uint64_t number = ring->first; number < ring->end; number++) {
        assert_whole(ring, number);
        bytes += event_size(event_ring_at(ring, number));
    }
    assert_int_equal(bytes, ring->bytes);
}

static void put(struct event_ring *ring, uint32_t size)
{
    struct event head = {.index = ring->end,
                         .key_bytes = size / 4,
                         .body_bytes = size / 2,
                         .previous_bytes = size - size / 4 - size / 2};
    struct event *event = event_ring_put(ring, &head);

    assert_non_null(event);
    sizes[head.index] = size;
    for (uint32_t i = 0; i < size; i++)
        event->bytes[i] = (unsigned char)(head.index + i / 3);
}

/* Sizes and the bound change on the way: where the bound rises while events lie around the end, they have to move. */
static void live(uint64_t *random)
{
    struct event_ring ring = {.slots = NULL};
    uint64_t largest = 1;
    uint64_t limit = LIMIT;

    while (ring.end < EVENTS) {
        uint32_t size = (uint32_t)random_below(random, largest);

        if (random_below(random, 40) == 0)
            largest = 1 + (random_next(random) >> random_below(random, 64)) % LARGEST;
        if (random_below(random, 20) == 0)
            limit = random_below(random, LIMIT);
        while (ring.bytes && ring.bytes + sizeof(struct event) + size > limit)
            event_ring_drop(&ring);
        put(&ring, size);
        assert_whole(&ring, ring.first);
        if (random_below(random, 10) == 0)
            assert_all(&ring);
        if (random_below(random, 400) == 0)
            event_ring_gap(&ring);
    }
    assert_all(&ring);
    assert_in_range(ring.room_bytes, 1, 4 * LIMIT);
    event_ring_free(&ring);
}

static void test_whole(void **state)
{
    uint64_t random = random_seed();

    (void)state;
    for (int life = 0; life < LIVES; life++)
        live(&random);
}

/* Events of one size: the memory that holds a full ring is not much more than the ring. */
static void test_small(void **state)
{
    struct event_ring ring = {.slots = NULL};

    (void)state;
    while (ring.end < EVENTS) {
        while (ring.bytes + sizeof(struct event) + 41 > LIMIT)
            event_ring_drop(&ring);
        put(&ring, 41);
    }
    assert_all(&ring);
    assert_in_range(ring.room_bytes, LIMIT, LIMIT * 7 / 4);
    event_ring_gap(&ring);
    assert_int_equal(ring.bytes, 0);
    assert_int_equal(ring.first, ring.end);
    event_ring_free(&ring);
}

/* As long as events lie in one piece, a larger room does not move them in it: the node's loop has no time to copy. */
static void test_growth_moves_nothing(void **state)
{
    struct event_ring ring = {.slots = NULL};
    uint64_t room_bytes;
    uint64_t at;

    (void)state;
    put(&ring, 1000);
    put(&ring, 1000);
    event_ring_drop(&ring);
    room_bytes = ring.room_bytes;
    at = (uint64_t)((unsigned char *)event_ring_at(&ring, 1) - ring.room);
    assert_in_range(at, 1000, room_bytes);
    put(&ring, LIMIT);
    put(&ring, 8);
    assert_in_range(ring.room_bytes, room_bytes + 1, 4 * LIMIT);
    assert_int_equal((unsigned char *)event_ring_at(&ring, 1) - ring.room, at);
    assert_all(&ring);
    event_ring_free(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_small),
                                       cmocka_unit_test(test_growth_moves_nothing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
