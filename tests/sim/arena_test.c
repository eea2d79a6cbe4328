/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena_test.c - the simulator's own malloc, which is this program's too: what it hands out is aligned, keeps what is
 * in it while it grows, and is laid out in each world as in the one before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

#define MIB (UINT64_C(1) << 20)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

int main(void)
{
    puts("skipped: a sanitizer's malloc takes its place");
    return 77;
}

#else

static void fill(unsigned char *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i += 1021)
        bytes[i] = (unsigned char)(i * 31);
}

static void holds(const unsigned char *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i += 1021)
        assert_int_equal(bytes[i], (unsigned char)(i * 31));
}

static void test_what_grows_keeps_what_is_in_it(void **state)
{
    unsigned char *bytes = NULL, *beside = malloc(40);
    size_t had = 0;

    (void)state;
    memset(beside, 7, 40);
    for (size_t size = 1; size <= 96 * MIB; size = size * 3 / 2 + 1) { /* from class to class, a room, and out of it */
        bytes = realloc(bytes, size);
        assert_non_null(bytes);
        assert_int_equal((uintptr_t)bytes % 16, 0);
        holds(bytes, 0, had);
        bytes[size - 1] = 1;
        had = size - 1;
        fill(bytes, 0, had);
    }
    for (int i = 0; i < 40; i++)
        assert_int_equal(beside[i], 7);
    free(bytes);
    free(beside);
}

/* The point of rooms: megabytes are not copied, and what was outgrown is not left behind. */
static void test_what_is_large_grows_where_it_is(void **state)
{
    unsigned char *second, *bytes;
    uintptr_t at, beside;

    (void)state;
    arena_world_begins();
    bytes = malloc(MIB / 4);
    second = malloc(MIB / 4);
    at = (uintptr_t)bytes;
    beside = (uintptr_t)second;
    for (size_t size = MIB / 4; size <= 60 * MIB; size *= 2) {
        bytes = realloc(bytes, size);
        assert_int_equal((uintptr_t)bytes, at);
    }
    assert_true((beside > at ? beside - at : at - beside) >= 60 * MIB);
    free(second);
    second = malloc(MIB); /* in the room of it */
    assert_int_equal((uintptr_t)second, beside);
    free(second);
    free(bytes);
    arena_world_ends();
}

struct layout {
    uintptr_t at[64];
};

/* The same things happen in it each time. */
static struct layout live(void)
{
    struct layout layout;
    void *blocks[64];

    arena_world_begins();
    for (size_t i = 0; i < 64; i++) {
        blocks[i] = malloc(i * i * i * 2 + 1); /* up to half a MiB */
        if (i % 3 == 0) {
            free(blocks[i]);
            blocks[i] = malloc(i + 1);
        }
        layout.at[i] = (uintptr_t)blocks[i];
    }
    for (size_t i = 0; i < 64; i++)
        free(blocks[i]);
    arena_world_ends();
    return layout;
}

static void test_a_world_is_laid_out_as_the_one_before(void **state)
{
    struct layout first = live(), second, third;
    void *kept;

    (void)state;
    second = live();
    assert_memory_equal(&first, &second, sizeof first);
    arena_world_begins();
    kept = malloc(100);
    memset(kept, 3, 100);
    arena_world_ends();
    third = live(); /* behind what that world has kept */
    assert_memory_not_equal(&first, &third, sizeof first);
    for (int i = 0; i < 100; i++)
        assert_int_equal(((unsigned char *)kept)[i], 3);
    free(kept);
}

static void test_zeroed_memory_is_zero_however_it_was_used(void **state)
{
    volatile size_t far_too_much = SIZE_MAX / 2;

    (void)state;
    for (int round = 0; round < 3; round++)
        for (size_t size = 1; size <= MIB; size *= 4) {
            unsigned char *bytes = calloc(size, 1);

            for (size_t i = 0; i < size; i++)
                assert_true(bytes[i] == 0);
            memset(bytes, 0xff, size);
            free(bytes);
        }
    assert_null(calloc(far_too_much, 4));
    assert_null(malloc(far_too_much));
}

static void test_alignment(void **state)
{
    (void)state;
    for (size_t alignment = 16; alignment <= 4096; alignment *= 2) {
        unsigned char *bytes = aligned_alloc(alignment, alignment * 3);

        assert_int_equal((uintptr_t)bytes % alignment, 0);
        fill(bytes, 0, alignment * 3);
        bytes = realloc(bytes, alignment * 50);
        holds(bytes, 0, alignment * 3);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_grows_keeps_what_is_in_it),
        cmocka_unit_test(test_what_is_large_grows_where_it_is),
        cmocka_unit_test(test_a_world_is_laid_out_as_the_one_before),
        cmocka_unit_test(test_zeroed_memory_is_zero_however_it_was_used),
        cmocka_unit_test(test_alignment),
    };

    cmocka_set_test_filter(getenv("GAVEL_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
