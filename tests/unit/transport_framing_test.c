/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_framing_test.c - the inner framing: whatever way a run is cut, the same messages come out.
 */
#include "transports/framing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>

static uint64_t held;          /* bytes that the heap has given out at the most at one time */
static bool exhausted;         /* the heap gives nothing */

static void *resize(void *self, void *old, uint64_t wanted)
{
    (void)self;
    if (wanted == 0) {
        free(old);
        return NULL;
    }
    held = wanted > held ? wanted : held;
    return exhausted ? NULL : realloc(old, wanted);
}

static const struct gavel_heap heap = {.size = GAVEL_END(struct gavel_heap, resize), .resize = resize};

static int32_t put(struct gavel_buffer *run, const void *data, uint64_t size)
{
    struct gavel_slice part = gavel_bytes(data, size);

    return framing_put(run, &part, 1, FRAMING_LENGTH_MAX);
}

static void bytes_are_as_documented(void **state)
{
    static const unsigned char wanted[] = {2, 0, 0, 0, 'h', 'i', 0, 0, 0, 0, 0, 0, 0, 0x81, 3, 0, 0, 0x83, 1, 'o', 'k'};
    struct gavel_buffer run = {.heap = &heap};
    struct gavel_slice parts[2] = {gavel_text("h"), gavel_text("i")};

    (void)state;
    assert_int_equal(framing_put(&run, parts, 2, 2), GAVEL_OK);
    assert_int_equal(framing_put(&run, NULL, 0, 0), GAVEL_OK);
    assert_int_equal(framing_put_control(&run, FRAMING_PING, NULL, 0), GAVEL_OK);
    assert_int_equal(framing_put_control(&run, FRAMING_BYE, "\1ok", 3), GAVEL_OK);
    assert_int_equal(run.size, sizeof wanted);
    assert_memory_equal(run.data, wanted, sizeof wanted);
    assert_int_equal(framing_put(&run, parts, 2, 1), GAVEL_E_TOO_LARGE);
    assert_int_equal(run.size, sizeof wanted);
    gavel_buffer_free(&run);
}

/* Feed the whole run in pieces of `step`; every message must come out whole, in order, with its number inside. */
static void feed(const struct gavel_buffer *run, uint64_t step, uint32_t messages, uint32_t controls)
{
    struct framing_in in;
    struct gavel_slice item;
    uint32_t kind = 0;
    uint64_t at;

    framing_in_init(&in, &heap, 100000);
    for (at = 0; at < run->size; at += step) {
        uint64_t size = run->size - at < step ? run->size - at : step;
        struct gavel_slice input = gavel_bytes(run->data + at, size);
        int32_t what;

        while ((what = framing_next(&in, &input, &item, &kind)) != FRAMING_MORE) {
            if (what == FRAMING_CONTROL) {
                assert_int_equal(kind, controls % 2 ? FRAMING_PING : FRAMING_BYE);
                controls--;
                continue;
            }
            assert_int_equal(what, FRAMING_MESSAGE);
            if (item.size >= 4)
                assert_int_equal(framing_get32(item.data), messages);
            messages--;
        }
        assert_int_equal(input.size, 0);
    }
    assert_true(framing_in_border(&in));
    assert_int_equal(messages, 0);
    assert_int_equal(controls, 0);
    framing_in_free(&in);
}

static void any_cut_gives_the_same(void **state)
{
    static const uint32_t sizes[] = {0, 4, 5, 4, 300, 0, 7, 1000, 20000, 4, 70000, 4};
    const uint32_t count = sizeof sizes / sizeof sizes[0];
    struct gavel_buffer run = {.heap = &heap};
    unsigned char *data = calloc(1, 70000);
    uint64_t step;
    uint32_t i;

    (void)state;
    assert_non_null(data);
    for (i = 0; i < count; i++) {
        framing_put32(data, count - i);
        assert_int_equal(put(&run, data, sizes[i]), GAVEL_OK);
        if (i == 3)
            assert_int_equal(framing_put_control(&run, FRAMING_BYE, "bye", 3), GAVEL_OK);
        if (i == 8)
            assert_int_equal(framing_put_control(&run, FRAMING_PING, NULL, 0), GAVEL_OK);
    }
    for (step = 1; step < 600; step++)
        feed(&run, step, count, 2);
    for (step = 600; step <= run.size; step += 997)
        feed(&run, step, count, 2);
    feed(&run, run.size, count, 2);
    free(data);
    gavel_buffer_free(&run);
}

static void direct_reading_gives_the_same(void **state)
{
    struct gavel_buffer run = {.heap = &heap};
    unsigned char *data = malloc(300000);
    struct framing_in in;
    struct gavel_slice input;
    struct gavel_slice item;
    unsigned char *room;
    uint32_t kind;
    uint64_t size;
    uint64_t at = 10;
    uint64_t i;
    int32_t what;

    (void)state;
    assert_non_null(data);
    for (i = 0; i < 300000; i++)
        data[i] = (unsigned char)(i * 7);
    assert_int_equal(put(&run, data, 300000), GAVEL_OK);
    framing_in_init(&in, &heap, 300000);
    assert_null(framing_room(&in, &size));
    input = gavel_bytes(run.data, at);
    assert_int_equal(framing_next(&in, &input, &item, &kind), FRAMING_MORE);
    do {
        room = framing_room(&in, &size);
        if (room) {
            size = size > 30000 ? 30000 : size;
            memcpy(room, run.data + at, size);
            framing_filled(&in, size);
            input.size = 0;
        } else {
            size = run.size - at;
            input = gavel_bytes(run.data + at, size);
        }
        at += size;
        what = framing_next(&in, &input, &item, &kind);
    } while (what == FRAMING_MORE);
    assert_int_equal(what, FRAMING_MESSAGE);
    assert_int_equal(item.size, 300000);
    assert_memory_equal(item.data, data, 300000);
    framing_in_trim(&in);
    assert_int_equal(in.partial.capacity, 0);
    framing_in_free(&in);
    free(data);
    gavel_buffer_free(&run);
}

static void limits_hold(void **state)
{
    static const unsigned char over[] = {11, 0, 0, 0};
    static const unsigned char control[] = {1, 1, 0, 0x85};
    static const unsigned char huge[] = {0xff, 0xff, 0xff, 0x7f, 1};
    struct framing_in in;
    struct gavel_slice input;
    struct gavel_slice item;
    uint32_t kind;
    uint64_t i;

    (void)state;
    framing_in_init(&in, &heap, 10);
    input = gavel_bytes(over, 4);
    assert_int_equal(framing_next(&in, &input, &item, &kind), GAVEL_E_TOO_LARGE);
    assert_int_equal(item.size, 11);
    framing_in_free(&in);
    framing_in_init(&in, &heap, 10);
    for (i = 0; i < 3; i++) {
        input = gavel_bytes(over + i, 1);
        assert_int_equal(framing_next(&in, &input, &item, &kind), FRAMING_MORE);
    }
    input = gavel_bytes(over + 3, 1);
    assert_int_equal(framing_next(&in, &input, &item, &kind), GAVEL_E_TOO_LARGE);
    framing_in_free(&in);
    framing_in_init(&in, &heap, 10);
    input = gavel_bytes(control, 4);
    assert_int_equal(framing_next(&in, &input, &item, &kind), GAVEL_E_CORRUPT);
    framing_in_free(&in);
    /* What is announced takes no memory, what has arrived does. */
    held = 0;
    framing_in_init(&in, &heap, FRAMING_LENGTH_MAX);
    input = gavel_bytes(huge, 5);
    assert_int_equal(framing_next(&in, &input, &item, &kind), FRAMING_MORE);
    assert_non_null(framing_room(&in, &i));
    assert_true(held <= 4 * 65536);
    framing_in_free(&in);
}

static void memory_that_runs_out_is_an_answer(void **state)
{
    struct gavel_buffer run = {.heap = &heap};
    struct framing_in in;
    struct gavel_slice input = gavel_bytes("\5\0\0\0ab", 6);
    struct gavel_slice item;
    uint32_t kind;

    (void)state;
    exhausted = true;
    assert_int_equal(put(&run, "x", 1), GAVEL_E_NO_MEMORY);
    assert_int_equal(run.size, 0);
    assert_int_equal(framing_put_control(&run, FRAMING_PING, NULL, 0), GAVEL_E_NO_MEMORY);
    framing_in_init(&in, &heap, 10);
    assert_int_equal(framing_next(&in, &input, &item, &kind), GAVEL_E_NO_MEMORY);
    framing_in_free(&in);
    exhausted = false;
}

static void preamble(void **state)
{
    unsigned char other[FRAMING_PREAMBLE];
    uint64_t i;

    (void)state;
    for (i = 0; i < FRAMING_PREAMBLE; i++)
        assert_int_equal(framing_greet(framing_preamble, i), FRAMING_MORE);
    assert_int_equal(framing_greet(framing_preamble, FRAMING_PREAMBLE), FRAMING_MESSAGE);
    for (i = 0; i < FRAMING_PREAMBLE; i++) {
        memcpy(other, framing_preamble, sizeof other);
        other[i] ^= 0x40;
        assert_int_equal(framing_greet(other, FRAMING_PREAMBLE), i == 5 ? GAVEL_E_VERSION : GAVEL_E_CORRUPT);
        if (i != 5)
            assert_int_equal(framing_greet(other, i + 1), GAVEL_E_CORRUPT);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_as_documented), cmocka_unit_test(any_cut_gives_the_same),
        cmocka_unit_test(direct_reading_gives_the_same), cmocka_unit_test(limits_hold),
        cmocka_unit_test(memory_that_runs_out_is_an_answer), cmocka_unit_test(preamble),
    };

    return cmocka_run_group_tests_name("framing", tests, NULL, NULL);
}
