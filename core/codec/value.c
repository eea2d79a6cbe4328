/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.c - checking documents and moving them between formats.
 */
#include "core/codec/value.h"

#include <assert.h>
#include <stdlib.h>

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

static void *heap_resize(void *self, void *old, uint64_t wanted)
{
    (void)self;
    if (wanted == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, wanted);
}

const struct gavel_heap codec_heap = {
    .size = GAVEL_END(struct gavel_heap, resize),
    .resize = heap_resize,
};

struct gavel_buffer codec_buffer(uint64_t limit)
{
    struct gavel_buffer buffer = {.heap = &codec_heap, .limit = limit};

    return buffer;
}

struct gavel_buffer codec_buffer_fixed(void *memory, uint64_t size)
{
    /* Without a heap: the limit is met before anything could grow. */
    struct gavel_buffer buffer = {.data = memory, .capacity = size, .limit = size};

    assert(size > 0);
    return buffer;
}

/* ---- sentences --------------------------------------------------------------------------------------------------- */

struct gavel_slice codec_sentence(struct gavel_error *error)
{
    char *at;

    error->text[sizeof error->text - 1] = 0;
    for (at = error->text; *at; at++) {
        uint64_t length = 1;
        while (length < 4 && at[length] && !mp_utf8(at, length))
            length++;
        if (!mp_utf8(at, length))
            *at = '?';
        else if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
        else
            at += length - 1;
    }
    return gavel_bytes(error->text, (uint64_t)(at - error->text));
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

const struct gavel_serializer *codec_msgpack(void)
{
    return &mp_serializer;
}

int32_t codec_value_check(struct gavel_slice input, const struct gavel_limits *limits, struct gavel_error *error)
{
    return mp_scan(input, limits, 0, error);
}

int32_t codec_document_check(struct gavel_slice input, const struct gavel_limits *limits, struct gavel_error *error)
{
    return mp_scan(input, limits, MP_NAMED_KEYS, error);
}

int codec_value_canonical(struct gavel_slice value)
{
    static const struct gavel_limits all = {GAVEL_END(struct gavel_limits, items), MP_DEPTH_MAX, UINT64_MAX,
                                            UINT64_MAX};

    return mp_scan(value, &all, MP_CANONICAL, NULL) == GAVEL_OK;
}

/* ---- copying ----------------------------------------------------------------------------------------------------- */

static int reads_msgpack(const struct gavel_reader *reader)
{
    return GAVEL_HAS(struct gavel_reader_ops, reader->ops, msgpack) && reader->ops->msgpack;
}

static int writes_msgpack(const struct gavel_writer *writer)
{
    return GAVEL_HAS(struct gavel_writer_ops, writer->ops, msgpack) && writer->ops->msgpack;
}

/* Write one token; the change in depth goes into *depth. */
static int32_t copy_token(const struct gavel_token *token, struct gavel_writer *writer, uint64_t *depth,
                          struct gavel_error *error)
{
    switch (token->type) {
    case GAVEL_TOKEN_MAP:
    case GAVEL_TOKEN_ARRAY:
        if (token->count == GAVEL_COUNT_UNKNOWN)
            return gavel_fail(error, GAVEL_E_UNSUPPORTED, "the reader does not know how many elements follow");
        if (token->type == GAVEL_TOKEN_MAP)
            writer->ops->map(writer, token->count);
        else
            writer->ops->array(writer, token->count);
        (*depth)++;
        return GAVEL_OK;
    case GAVEL_TOKEN_END:
        writer->ops->end(writer);
        (*depth)--;
        return GAVEL_OK;
    case GAVEL_TOKEN_KEY:
        writer->ops->key(writer, token->text, token->text.data ? 0 : token->uint);
        return GAVEL_OK;
    case GAVEL_TOKEN_NIL:
        writer->ops->nil(writer);
        return GAVEL_OK;
    case GAVEL_TOKEN_BOOL:
        writer->ops->boolean(writer, token->uint);
        return GAVEL_OK;
    case GAVEL_TOKEN_UINT:
        writer->ops->uint(writer, token->uint);
        return GAVEL_OK;
    case GAVEL_TOKEN_INT:
        writer->ops->sint(writer, token->sint);
        return GAVEL_OK;
    case GAVEL_TOKEN_REAL:
        writer->ops->real(writer, token->real);
        return GAVEL_OK;
    case GAVEL_TOKEN_STRING:
        writer->ops->string(writer, token->text);
        return GAVEL_OK;
    case GAVEL_TOKEN_BYTES:
        writer->ops->bytes(writer, token->text);
        return GAVEL_OK;
    default:
        return gavel_fail(error, GAVEL_E_INVALID, "the input ends where a value should be");
    }
}

static int32_t copy_tokens(struct gavel_reader *reader, struct gavel_writer *writer, struct gavel_error *error)
{
    struct gavel_token token;
    uint64_t depth = 0;
    int32_t status;

    do {
        status = reader->ops->next(reader, &token, error);
        if (status == GAVEL_OK)
            status = copy_token(&token, writer, &depth, error);
    } while (status == GAVEL_OK && depth > 0);
    return status;
}

int32_t codec_copy_value(struct gavel_reader *reader, struct gavel_writer *writer, struct gavel_error *error)
{
    struct gavel_slice value;
    int32_t status;

    if (!reads_msgpack(reader) || !writes_msgpack(writer))
        return copy_tokens(reader, writer, error);
    status = reader->ops->msgpack(reader, &value, error);
    if (status == GAVEL_OK)
        writer->ops->msgpack(writer, value);
    return status;
}

void codec_put_value(struct gavel_writer *writer, struct gavel_slice value)
{
    struct mp_reader reader;
    int32_t status;

    if (!value.data || value.size == 0) { /* no value has no bytes: it is the absent one */
        writer->ops->nil(writer);
    } else if (writes_msgpack(writer)) {
        writer->ops->msgpack(writer, value);
    } else {
        status = copy_tokens(mp_reader_init(&reader, value), writer, NULL);
        assert(status == GAVEL_OK); /* the value was scanned, and counts are known in MessagePack */
    }
}

void codec_put_key(struct gavel_writer *writer, struct gavel_slice key)
{
    struct gavel_slice name = {NULL, 0};
    uint64_t number = 0;

    if (codec_get_string(key, &name) != GAVEL_OK)
        (void)codec_get_uint(key, &number);
    writer->ops->key(writer, name, number);
}

int32_t codec_skip_value(struct gavel_reader *reader, struct gavel_error *error)
{
    struct gavel_token token;
    uint64_t depth = 0;
    int32_t status;

    if (reads_msgpack(reader))
        return reader->ops->msgpack(reader, &token.text, error);
    do {
        status = reader->ops->next(reader, &token, error);
        if (status != GAVEL_OK)
            return status;
        if (token.type == GAVEL_TOKEN_MAP || token.type == GAVEL_TOKEN_ARRAY)
            depth++;
        else if (token.type == GAVEL_TOKEN_END && depth > 0)
            depth--;
        else if (token.type == GAVEL_TOKEN_END || token.type == GAVEL_TOKEN_FINISH)
            return gavel_fail(error, GAVEL_E_INVALID, "no value begins here");
    } while (depth > 0);
    return GAVEL_OK;
}

/* Both sides' memory is there: read, write, and see that the input ends. */
static int32_t transcode_between(const struct gavel_serializer *from, void *from_self, void *from_memory,
                                 struct gavel_slice input, const struct gavel_limits *limits,
                                 const struct gavel_serializer *to, void *to_self, void *to_memory,
                                 struct gavel_buffer *out, struct gavel_error *error)
{
    struct gavel_reader *reader;
    struct gavel_writer *writer;
    struct gavel_token token;
    uint64_t before = out->size;
    int32_t status = from->read_begin(from_self, from_memory, input, limits, &reader, error);
    int32_t ended;

    if (status != GAVEL_OK)
        return status;
    status = to->write_begin(to_self, to_memory, out, &writer);
    if (status == GAVEL_OK) {
        status = codec_copy_value(reader, writer, error);
        ended = to->write_end(to_self, writer, status == GAVEL_OK ? error : NULL);
        if (status == GAVEL_OK)
            status = ended;
    } else {
        (void)gavel_fail(error, status, "the writer could not begin");
    }
    if (status == GAVEL_OK)
        status = reader->ops->next(reader, &token, error);
    if (status == GAVEL_OK && token.type != GAVEL_TOKEN_FINISH)
        status = gavel_fail(error, GAVEL_E_INVALID, "more follows behind the value");
    from->read_end(from_self, reader);
    if (status != GAVEL_OK)
        out->size = before;
    return status;
}

int32_t codec_transcode(const struct gavel_serializer *from, void *from_self, struct gavel_slice input,
                        const struct gavel_limits *limits, const struct gavel_serializer *to, void *to_self,
                        struct gavel_buffer *out, struct gavel_error *error)
{
    void *from_memory = aligned_alloc(16, (from->reader_bytes + 15) & ~UINT64_C(15));
    void *to_memory = aligned_alloc(16, (to->writer_bytes + 15) & ~UINT64_C(15));
    int32_t status;

    if (from_memory && to_memory)
        status = transcode_between(from, from_self, from_memory, input, limits, to, to_self, to_memory, out, error);
    else
        status = gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a reader and a writer");
    free(to_memory);
    free(from_memory);
    return status;
}
