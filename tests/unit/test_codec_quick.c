/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_codec_quick.c - the short way of messages in MessagePack (core/codec/quick.h) against the long one: the same
 * bytes out, and of whatever comes in - whole, cut, with bits turned over, over a limit - the same outcome, to the last
 * byte of the struct.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/codec/field_internal.h"
#include "core/codec/quick.h"
#include "tests/unit/codec_random.h"

#define ROUNDS 400 /* of each type */

static uint64_t seed;

/* MessagePack under another name: nobody knows that the short way would do. */
static struct gavel_serializer long_way;

_Alignas(16) static unsigned char memory[2][1 << 16];
_Alignas(16) static unsigned char object[1024];

/* Any rows, of any size, in and out of their bounds; half of them are not there. */
static void fill(uint64_t *random, const struct gavel_fields *fields)
{
    static const struct gavel_slice strings[2] = {{"ws://a:1", 8}, {"tcp://b:2", 9}};
    static const unsigned char documents[] = {0x81, 0xa1, 'a', 0x92, 0x01, 0xc0, 0x05};
    static unsigned char text[70000];

    memset(object, 0, sizeof object);
    memset(text, 'x', sizeof text);
    for (uint64_t i = 0; i < fields->count; i++) {
        struct gavel_field copy;
        const struct gavel_field *row = codec_row(fields, i, &copy);
        uint64_t number = random_next(random) >> random_below(random, 64);
        struct gavel_slice slice = gavel_bytes(text, row->min ? (uint64_t)row->min : random_below(random, 60));
        struct gavel_list list = {strings, 1 + random_below(random, 2), sizeof strings[0]};
        unsigned char *member = object + row->offset;

        if (random_below(random, 2))
            continue;
        if (random_below(random, 20) == 0)
            slice.size = random_below(random, sizeof text);
        switch (row->type) {
        case GAVEL_STRING:
        case GAVEL_BYTES:
            memcpy(member, &slice, sizeof slice);
            break;
        case GAVEL_VALUE:
            slice = random_below(random, 2) ? gavel_bytes(documents, 6) : gavel_bytes(documents + 6, 1);
            memcpy(member, &slice, sizeof slice);
            break;
        case GAVEL_LIST:
            memcpy(member, &list, sizeof list);
            break;
        case GAVEL_INT:
            number = random_below(random, 2) ? number : -number;
            memcpy(member, &number, sizeof number);
            break;
        case GAVEL_BOOL:
        case GAVEL_CHOICE:
            number &= 1;
            memcpy(member, &number, sizeof number);
            break;
        default:
            memcpy(member, &number, sizeof number);
            break;
        }
    }
}

/* The struct with lists compared by what is in them, all else by its bytes: slices point into the same input. */
static void assert_same(const struct codec_message *what, const unsigned char *a, const unsigned char *b)
{
    for (uint64_t i = 0; i < what->fields->count; i++) {
        struct gavel_field copy;
        const struct gavel_field *row = codec_row(what->fields, i, &copy);
        int slice = row->type == GAVEL_STRING || row->type == GAVEL_BYTES || row->type == GAVEL_VALUE;
        struct gavel_list x, y;

        if (row->type != GAVEL_LIST) {
            assert_memory_equal(a + row->offset, b + row->offset, slice ? 16 : 8);
            continue;
        }
        memcpy(&x, a + row->offset, sizeof x);
        memcpy(&y, b + row->offset, sizeof y);
        assert_int_equal(x.count, y.count);
        if (x.count)
            assert_memory_equal(x.items, y.items, x.count * x.stride);
    }
    assert_memory_equal(a, b, 8); /* present */
}

/* Decode by both ways. Whether it was taken. */
static int both(struct gavel_slice input, const struct gavel_limits *limits)
{
    const struct gavel_serializer *const ways[2] = {codec_msgpack(), &long_way};
    struct gavel_error error[2];
    uint64_t type[2] = {0, 0};
    void *message[2] = {NULL, NULL};
    int32_t status[2];

    for (int way = 0; way < 2; way++) {
        struct codec_arena arena = codec_arena(memory[way], sizeof memory[way]);

        status[way] = codec_message_decode(ways[way], NULL, input, limits, &arena, &type[way], &message[way],
                                           &error[way]);
    }
    assert_int_equal(status[0], status[1]);
    assert_int_equal(type[0], type[1]);
    if (status[0] != GAVEL_OK)
        assert_string_equal(error[0].text, error[1].text);
    else
        assert_same(codec_message_find(type[0]), message[0], message[1]);
    return status[0] == GAVEL_OK;
}

/* Harm of one kind to a message. */
static struct gavel_slice harm(uint64_t *random, unsigned char *copy, uint64_t size, struct gavel_limits *limits)
{
    switch (random_below(random, 4)) {
    case 0:
        size = random_below(random, size);
        break;
    case 1:
        limits->items = random_below(random, 40);
        limits->depth = random_below(random, 4);
        break;
    case 2:
        copy[random_below(random, size < 12 ? size : 12)] = (unsigned char)random_next(random);
        break;
    default:
        copy[random_below(random, size)] ^= (unsigned char)(1 << random_below(random, 8));
        break;
    }
    return gavel_bytes(copy, size);
}

static void same_outcome(void **state)
{
    uint64_t random = seed;
    uint64_t taken = 0;
    uint64_t refused = 0;

    (void)state;
    for (uint64_t round = 0; round < ROUNDS * CODEC_TYPE_MAX; round++) {
        const struct codec_message *what = codec_message_find(round % CODEC_TYPE_MAX);
        struct gavel_buffer one = codec_buffer(0);
        struct gavel_buffer two = codec_buffer(0);
        struct gavel_limits limits = codec_limits(1 << 20);
        unsigned char *copy;

        if (!what)
            continue;
        fill(&random, what->fields);
        assert_int_equal(codec_message_encode(codec_msgpack(), NULL, what->type, object, &one, NULL), GAVEL_OK);
        assert_int_equal(codec_message_encode(&long_way, NULL, what->type, object, &two, NULL), GAVEL_OK);
        assert_int_equal(one.size, two.size);
        assert_memory_equal(one.data, two.data, one.size);
        taken += (uint64_t)both(gavel_buffer_slice(&one), &limits);
        copy = malloc(one.size); /* a byte too far is seen by the sanitizer */
        assert_non_null(copy);
        memcpy(copy, one.data, one.size);
        refused += !both(harm(&random, copy, one.size, &limits), &limits);
        free(copy);
        gavel_buffer_free(&one);
        gavel_buffer_free(&two);
    }
    assert_in_range(taken, ROUNDS, UINT64_MAX);
    assert_in_range(refused, ROUNDS, UINT64_MAX);
}

/* The log's form: what the short way takes, the long one takes for the same. Whether the short one did. */
static int both_logged(const struct codec_message *what, struct gavel_slice logged, const struct gavel_limits *limits)
{
    const struct codec_read how = {
        .flags = CODEC_READ_STRICT, .noun = "argument", .owner = "a logged command", .input = logged};
    struct codec_arena arena = codec_arena(memory[0], sizeof memory[0]);
    struct mp_reader reader;
    unsigned char quick[1024];
    unsigned char slow[1024];

    if (!codec_quick_arguments(what->fields, logged, limits, quick))
        return 0;
    assert_int_equal(mp_scan(logged, limits, 0, NULL), GAVEL_OK);
    assert_int_equal(codec_fields_read(what->fields, mp_reader_init(&reader, logged), &how, slow, &arena, NULL),
                     GAVEL_OK);
    assert_same(what, quick, slow);
    return 1;
}

static void same_arguments(void **state)
{
    uint64_t random = seed + 1;
    uint64_t whole = 0;
    uint64_t harmed = 0;

    (void)state;
    for (uint64_t round = 0; round < ROUNDS * CODEC_TYPE_MAX; round++) {
        const struct codec_message *what = codec_message_find(round % CODEC_TYPE_MAX);
        struct gavel_buffer out = codec_buffer(0);
        struct gavel_limits limits = codec_limits(1 << 20);
        struct mp_writer writer;
        unsigned char *copy;

        if (!what)
            continue;
        fill(&random, what->fields);
        for (uint64_t i = 0; i < what->fields->count; i++) {
            struct gavel_field field;
            uint64_t word;

            memcpy(&word, object + codec_row(what->fields, i, &field)->offset, sizeof word);
            if (word)
                codec_mark(object, i);
        }
        codec_fields_write(what->fields, object, 0, mp_writer_init(&writer, &out));
        assert_int_equal(mp_writer_end(&writer, NULL), GAVEL_OK);
        whole += (uint64_t)both_logged(what, gavel_buffer_slice(&out), &limits);
        copy = malloc(out.size); /* a byte too far is seen by the sanitizer */
        assert_non_null(copy);
        memcpy(copy, out.data, out.size);
        harmed += (uint64_t)both_logged(what, harm(&random, copy, out.size, &limits), &limits);
        free(copy);
        gavel_buffer_free(&out);
    }
    assert_in_range(whole, ROUNDS, UINT64_MAX);
    assert_in_range(harmed, ROUNDS, UINT64_MAX);
}

/* What travels between nodes all the time does take the short way. */
static void short_for_most(void **state)
{
    const struct codec_raft wire = {.id = 5, .term = 300, .prev_index = 70000, .commit = UINT64_C(1) << 40, .round = 9};
    struct gavel_limits limits = codec_limits(1 << 20);
    struct codec_arena arena = codec_arena(memory[0], sizeof memory[0]);
    struct gavel_buffer out = codec_buffer(0);
    const struct codec_message *what;
    void *message;

    (void)state;
    for (uint64_t type = CODEC_RAFT + 1; type <= CODEC_RAFT_LAST; type++) {
        out.size = 0;
        arena.used = 0;
        assert_int_equal(codec_quick_encode(codec_message_find(type), &wire, 0, &out), 1);
        assert_int_equal(codec_quick_decode(gavel_buffer_slice(&out), &limits, &arena, &what, &message), 1);
        assert_ptr_equal(what, codec_message_find(type));
    }
    gavel_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_outcome), cmocka_unit_test(same_arguments),
                                       cmocka_unit_test(short_for_most)};

    long_way = *codec_msgpack();
    long_way.media_type = "application/x-long";
    seed = random_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
