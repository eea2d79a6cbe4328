/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serializer.c - fuzz target, once for each serializer (FUZZ_SERIALIZER): the streaming reader over any bytes under
 * limits that the input chooses, then the same bytes as calls of the writer. What a reader gives has the nesting that
 * gavel/serializer.h promises and can be written again; what a writer took without an error can be read.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/codec/value.h"
#include "plugins/serializers/json/js.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define DEPTH_MAX 64 /* that the input may allow */
#define TOKENS_MAX 100000

static const struct gavel_serializer *serializer(void)
{
    return FUZZ_SERIALIZER;
}

/* Nesting seen from outside. */
struct nest {
    bool map[DEPTH_MAX];
    bool value[DEPTH_MAX]; /* a key was given, its value is due */
    uint64_t depth;
    uint64_t values; /* whole ones at the top */
};

static void note_value(struct nest *nest)
{
    if (nest->depth == 0) {
        nest->values++;
        assert(nest->values == 1);
        return;
    }
    if (!nest->map[nest->depth - 1])
        return;
    assert(nest->value[nest->depth - 1]);
    nest->value[nest->depth - 1] = false;
}

static void note(struct nest *nest, const struct gavel_token *token, const struct gavel_limits *limits)
{
    switch (token->type) {
    case GAVEL_TOKEN_MAP:
    case GAVEL_TOKEN_ARRAY:
        note_value(nest);
        assert(nest->depth < limits->depth);
        assert(token->count == GAVEL_COUNT_UNKNOWN || token->count <= limits->bytes);
        nest->map[nest->depth] = token->type == GAVEL_TOKEN_MAP;
        nest->value[nest->depth++] = false;
        return;
    case GAVEL_TOKEN_END:
        assert(nest->depth);
        nest->depth--;
        assert(!nest->map[nest->depth] || !nest->value[nest->depth]);
        return;
    case GAVEL_TOKEN_KEY:
        assert(nest->depth);
        assert(nest->map[nest->depth - 1]);
        assert(!nest->value[nest->depth - 1]);
        nest->value[nest->depth - 1] = true;
        return;
    case GAVEL_TOKEN_BOOL:
        assert(token->uint <= 1);
        break;
    case GAVEL_TOKEN_INT:
        assert(token->sint < 0);
        break;
    default:
        break;
    }
    note_value(nest);
}

/* Read all of it; every byte of a token's text is looked at. */
static int32_t read_all(struct gavel_slice input, const struct gavel_limits *limits)
{
    const struct gavel_serializer *format = serializer();
    void *memory = aligned_alloc(16, (format->reader_bytes + 15) / 16 * 16);
    struct gavel_error error = {.code = 0};
    struct gavel_token token;
    struct gavel_reader *reader;
    struct nest nest = {.depth = 0};
    uint64_t sum = 0;
    int32_t status;

    assert(memory);
    status = format->read_begin(NULL, memory, input, limits, &reader, &error);
    if (status != GAVEL_OK) {
        assert(error.text[0]);
        free(memory);
        return status;
    }
    for (uint64_t count = 0;; count++) {
        assert(count < TOKENS_MAX);
        status = reader->ops->next(reader, &token, &error);
        if (status != GAVEL_OK || token.type == GAVEL_TOKEN_FINISH)
            break;
        note(&nest, &token, limits);
        if (token.type == GAVEL_TOKEN_STRING || token.type == GAVEL_TOKEN_BYTES || token.type == GAVEL_TOKEN_KEY)
            for (uint64_t i = 0; token.text.data && i < token.text.size; i++)
                sum += ((const unsigned char *)token.text.data)[i];
    }
    assert(status == GAVEL_OK || error.text[0]);
    assert(status != GAVEL_OK || nest.depth == 0);
    assert(status != GAVEL_OK || nest.values == 1);
    format->read_end(NULL, reader);
    free(memory);
    return sum == UINT64_MAX ? GAVEL_E_INVALID : status;
}

static void write_scalar(struct gavel_writer *writer, unsigned choice, struct fuzz_input *input)
{
    uint64_t bits;
    double real;

    switch (choice) {
    case 0:
        gavel_put_nil(writer);
        break;
    case 1:
        gavel_put_bool(writer, fuzz_u8(input) & 1);
        break;
    case 2:
        gavel_put_uint(writer, fuzz_uint(input, 8));
        break;
    case 3:
        gavel_put_int(writer, (int64_t)fuzz_uint(input, 8));
        break;
    case 4:
        bits = fuzz_uint(input, 8);
        memcpy(&real, &bits, sizeof real);
        gavel_put_real(writer, real);
        break;
    case 5:
        gavel_put_string(writer, fuzz_take(input, fuzz_u8(input)));
        break;
    default:
        gavel_put_bytes(writer, fuzz_take(input, fuzz_u8(input)));
        break;
    }
}

/* A key that no other one equals: a writer does not remember them, so doubled ones are its caller's to avoid. */
static void write_key(struct gavel_writer *writer, unsigned numbered, struct fuzz_input *input)
{
    static unsigned count;
    char name[32];
    struct gavel_slice given = fuzz_take(input, fuzz_u8(input) % 16u);

    count = (count + 1) % 10000;
    if (given.size)
        memcpy(name, given.data, given.size);
    (void)snprintf(name + given.size, sizeof name - given.size, "%04u", count);
    writer->ops->key(writer, gavel_bytes(name, given.size + 4), numbered ? 1 + count : 0);
}

/* Calls in any order, right and wrong. */
static void write_any(struct gavel_writer *writer, struct fuzz_input *input)
{
    static const unsigned char one[] = {0x81, 0xa1, 'a', 0x01};

    while (input->size) {
        unsigned choice = fuzz_u8(input);

        switch (choice % 12) {
        case 7:
            gavel_put_map(writer, fuzz_u8(input) == 255 ? UINT64_MAX : choice / 12);
            break;
        case 8:
            gavel_put_array(writer, fuzz_u8(input) == 255 ? UINT64_MAX : choice / 12);
            break;
        case 9:
            gavel_put_end(writer);
            break;
        case 10:
            write_key(writer, choice / 12 % 2, input);
            break;
        case 11:
            if (writer->ops->msgpack)
                writer->ops->msgpack(writer, gavel_bytes(one, sizeof one));
            break;
        default:
            write_scalar(writer, choice % 12, input);
            break;
        }
    }
}

static void write_then_read(struct fuzz_input input)
{
    const struct gavel_serializer *format = serializer();
    void *memory = aligned_alloc(16, (format->writer_bytes + 15) / 16 * 16);
    struct gavel_limits limits = {.size = GAVEL_END(struct gavel_limits, items), .depth = DEPTH_MAX,
                                  .bytes = 1 << 20, .items = TOKENS_MAX};
    struct gavel_buffer out = codec_buffer(1 << 18);
    struct gavel_error error = {.code = 0};
    struct gavel_writer *writer;
    int32_t status;

    assert(memory);
    status = format->write_begin(NULL, memory, &out, &writer);
    assert(status == GAVEL_OK);
    write_any(writer, &input);
    status = format->write_end(NULL, writer, &error);
    if (status == GAVEL_OK && out.size) {
        status = read_all(gavel_buffer_slice(&out), &limits);
        assert(status == GAVEL_OK || status == GAVEL_E_TOO_LARGE);
    }
    gavel_buffer_free(&out);
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct gavel_limits limits = {.size = GAVEL_END(struct gavel_limits, items)};

    limits.depth = fuzz_u8(&input) % DEPTH_MAX;
    limits.bytes = fuzz_uint(&input, 2);
    limits.items = fuzz_uint(&input, 2);
    (void)read_all(gavel_bytes(input.data, input.size), &limits);
    write_then_read(input);
    return 0;
}
