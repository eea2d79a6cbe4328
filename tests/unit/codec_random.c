/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_random.c - see codec_random.h.
 */
#include "tests/unit/codec_random.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEPTH_MAX 5

uint64_t random_seed(void)
{
    const char *given = getenv("GAVEL_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

    printf("GAVEL_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t random_below(uint64_t *state, uint64_t bound)
{
    return random_next(state) % bound;
}

static uint64_t random_length(uint64_t *state)
{
    /* Around the borders of MessagePack's heads, mostly short. */
    static const uint64_t lengths[] = {0, 1, 2, 5, 15, 16, 31, 32, 33, 255, 256};

    return lengths[random_below(state, random_below(state, 4) ? 5 : 11)];
}

static uint64_t random_text(uint64_t *state, char *text, uint64_t characters)
{
    static const char *const pieces[] = {"a", "Z", "0", " ", "\"", "\\", "\n", "\x01",
                                         "é", "€", "😀", "/", "$", "\x7f"};
    uint64_t used = 0;

    while (characters--) {
        const char *piece = pieces[random_below(state, 14)];
        memcpy(text + used, piece, strlen(piece));
        used += strlen(piece);
    }
    return used;
}

static uint64_t random_whole(uint64_t *state)
{
    return random_next(state) >> random_below(state, 64);
}

static void random_value(uint64_t *state, struct gavel_writer *writer, int depth);

static void random_pairs(uint64_t *state, struct gavel_writer *writer, int depth)
{
    uint64_t count = random_below(state, 5);
    char key[128];
    uint64_t i;

    if (random_below(state, 50) == 0)
        count = 40; /* more than are compared pair by pair */
    gavel_put_map(writer, count);
    for (i = 0; i < count; i++) {
        uint64_t used = random_text(state, key, random_below(state, 10));
        /* The number in front keeps keys apart and, with two digits, in ascending order. */
        char whole[160];
        int head = snprintf(whole, sizeof whole, "%02u", (unsigned)i);
        memcpy(whole + head, key, used);
        writer->ops->key(writer, gavel_bytes(whole, (uint64_t)head + used), 0);
        random_value(state, writer, depth + 1);
    }
    gavel_put_end(writer);
}

static void random_value(uint64_t *state, struct gavel_writer *writer, int depth)
{
    char text[2048];
    double real;
    uint64_t count;

    switch (random_below(state, depth < DEPTH_MAX ? 9 : 7)) {
    case 0:
        gavel_put_nil(writer);
        break;
    case 1:
        gavel_put_bool(writer, (int)random_below(state, 2));
        break;
    case 2:
        gavel_put_uint(writer, random_whole(state));
        break;
    case 3:
        gavel_put_int(writer, -1 - (int64_t)(random_whole(state) >> 1));
        break;
    case 4:
        real = (double)(int64_t)random_next(state) / (double)(1 + random_below(state, 1000));
        gavel_put_real(writer, real);
        break;
    case 5:
        gavel_put_string(writer, gavel_bytes(text, random_text(state, text, random_length(state))));
        break;
    case 6:
        count = random_length(state);
        text[count] = (char)0xff; /* never UTF-8 */
        for (uint64_t i = 0; i < count; i++)
            text[i] = (char)random_next(state);
        gavel_put_bytes(writer, gavel_bytes(text, count + 1));
        break;
    case 7:
        count = random_below(state, 6);
        gavel_put_array(writer, count);
        while (count--)
            random_value(state, writer, depth + 1);
        gavel_put_end(writer);
        break;
    default:
        random_pairs(state, writer, depth);
        break;
    }
}

void random_document(uint64_t *state, struct gavel_buffer *out)
{
    struct codec_writer writer;
    int32_t status;

    random_value(state, codec_writer_begin(&writer, out), 0);
    status = codec_writer_end(&writer, NULL);
    assert(status == GAVEL_OK);
}

void random_map(uint64_t *state, struct gavel_buffer *out)
{
    struct codec_writer writer;
    int32_t status;

    random_pairs(state, codec_writer_begin(&writer, out), 0);
    status = codec_writer_end(&writer, NULL);
    assert(status == GAVEL_OK);
}
