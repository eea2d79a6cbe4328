/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_quick.c - fuzz target: messages in MessagePack by both ways, the short one (core/codec/quick.h) and the long
 * one. Whatever arrives, and under whatever limits, both take it or refuse it alike, in the same words; what was taken
 * is the same to the last byte, and is sent again as the same bytes. The short way itself must leave the arena as it
 * found it when it says no, and must read nothing beyond the message.
 *
 * Three bytes choose the limits; the message is the rest.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/quick.h"
#include "core/codec/value.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define ARENA_BYTES (1 << 18)

/* MessagePack under another name: nobody knows that the short way would do. */
static const struct gavel_serializer *long_way(void)
{
    static struct gavel_serializer other;

    if (!other.size) {
        other = *codec_msgpack();
        other.media_type = "application/x-long-way";
    }
    return &other;
}

struct outcome {
    int32_t status;
    uint64_t type;
    void *message;
    struct gavel_error error;
};

static void decode(const struct gavel_serializer *way, unsigned char *memory, uint64_t bytes, struct gavel_slice input,
                   const struct gavel_limits *limits, struct outcome *outcome)
{
    struct codec_arena arena = codec_arena(memory, bytes);

    memset(outcome, 0, sizeof *outcome);
    outcome->status = codec_message_decode(way, NULL, input, limits, &arena, &outcome->type, &outcome->message,
                                           &outcome->error);
}

/* Lists by what is in them, all else by its bytes: slices point into the same input. */
static void assert_same(const struct codec_message *what, const unsigned char *a, const unsigned char *b)
{
    assert(memcmp(a, b, 8) == 0); /* present */
    for (uint64_t i = 0; i < what->fields->count; i++) {
        struct gavel_field copy;
        const struct gavel_field *row = codec_row(what->fields, i, &copy);
        int slice = row->type == GAVEL_STRING || row->type == GAVEL_BYTES || row->type == GAVEL_VALUE;
        struct gavel_list x, y;

        if (row->type != GAVEL_LIST) {
            assert(memcmp(a + row->offset, b + row->offset, slice ? 16 : 8) == 0);
            continue;
        }
        memcpy(&x, a + row->offset, sizeof x);
        memcpy(&y, b + row->offset, sizeof y);
        assert(x.count == y.count);
        assert(!x.count || memcmp(x.items, y.items, x.count * x.stride) == 0);
    }
}

/* The short way alone. */
static void check_short(struct gavel_slice input, const struct gavel_limits *limits, unsigned char *memory,
                        const struct outcome *slow)
{
    struct codec_arena arena = codec_arena(memory, ARENA_BYTES);
    const struct codec_message *what;
    void *message;

    if (codec_quick_decode(input, limits, &arena, &what, &message)) {
        assert(slow->status == GAVEL_OK);
        assert(what->type == slow->type);
        assert_same(what, message, slow->message);
    } else {
        assert(arena.used == 0);
    }
}

static void encode_alike(uint64_t type, const void *message)
{
    struct gavel_buffer one = codec_buffer(0);
    struct gavel_buffer two = codec_buffer(0);
    int32_t status = codec_message_encode(codec_msgpack(), NULL, type, message, &one, NULL);

    assert(codec_message_encode(long_way(), NULL, type, message, &two, NULL) == status);
    assert(gavel_slice_equal(gavel_buffer_slice(&one), gavel_buffer_slice(&two)));
    gavel_buffer_free(&one);
    gavel_buffer_free(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(16) static unsigned char memory[3][ARENA_BYTES];
    struct fuzz_input input = {data, size};
    struct gavel_limits limits = codec_limits(1 << 16);
    struct gavel_slice bytes;
    struct outcome quick, slow;
    uint8_t choice = fuzz_u8(&input);
    uint8_t items = fuzz_u8(&input);
    uint8_t few = fuzz_u8(&input);
    uint64_t arena = ARENA_BYTES;

    if (choice & 1)
        limits.items = items;
    if (choice & 2)
        limits.depth = few % 8;
    if (choice & 4)
        limits.bytes = few;
    if (choice & 8)
        arena = (uint64_t)few * 16;
    bytes = gavel_bytes(input.data, input.size);
    decode(codec_msgpack(), memory[0], arena, bytes, &limits, &quick);
    decode(long_way(), memory[1], arena, bytes, &limits, &slow);
    if (choice & 8) /* too little room can be enough for one of them */
        return 0;
    assert(quick.status == slow.status);
    assert(quick.type == slow.type);
    if (quick.status != GAVEL_OK) {
        assert(strcmp(quick.error.text, slow.error.text) == 0);
    } else {
        assert_same(codec_message_find(quick.type), quick.message, slow.message);
        encode_alike(quick.type, quick.message);
    }
    check_short(bytes, &limits, memory[2], &slow);
    return 0;
}
