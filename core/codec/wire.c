/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.c - messages to bytes and back, through any serializer.
 */
#include <assert.h>

#include "core/codec/entries.h"
#include "core/codec/field_internal.h"
#include "core/codec/message.h"
#include "core/codec/quick.h"

/* Memory for a writer lies on the stack: what a serializer may ask for. MessagePack takes 1.1 KiB. */
#define WRITER_BYTES_MAX 4096

/* A type travels as a number where the serializer is binary, else by name; both are taken. */
static int binary(const struct gavel_writer *writer)
{
    return GAVEL_HAS(struct gavel_writer_ops, writer->ops, msgpack) && writer->ops->msgpack;
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

static void write_type(const struct codec_message *what, struct gavel_writer *writer)
{
    writer->ops->key(writer, gavel_text("type"), CODEC_TYPE_NUMBER);
    if (binary(writer))
        writer->ops->uint(writer, what->type);
    else
        writer->ops->string(writer, gavel_text(what->name));
}

/* Room for a copy of a message whose sentence had to be cleaned. */
struct cleaned {
    _Alignas(16) unsigned char object[512];
    struct gavel_error sentence;
};

/*
 * A sentence is cut by bytes, and may quote what a hostile client sent: what is not UTF-8 in the row `text` must not
 * lose the reply. Everything else of a message is checked where it comes from, and refused by the writer.
 */
static const void *clean_text(const struct codec_message *what, const void *message, struct cleaned *cleaned)
{
    struct gavel_slice text;

    if (what->text == 0)
        return message;
    memcpy(&text, (const unsigned char *)message + what->text, sizeof text);
    if (text.size < sizeof cleaned->sentence.text && mp_utf8(text.data, text.size))
        return message;
    if (text.size > sizeof cleaned->sentence.text - 1)
        text.size = sizeof cleaned->sentence.text - 1;
    memcpy(cleaned->sentence.text, text.data, text.size);
    cleaned->sentence.text[text.size] = 0;
    assert(what->fields->struct_size <= sizeof cleaned->object);
    memcpy(cleaned->object, message, what->fields->struct_size);
    text = codec_sentence(&cleaned->sentence);
    memcpy(cleaned->object + what->text, &text, sizeof text);
    return cleaned->object;
}

static void write_message(const struct codec_message *what, const void *message, struct gavel_writer *writer)
{
    writer->ops->map(writer, codec_fields_count(what->fields, message, CODEC_WRITE_PLAIN) + 1);
    write_type(what, writer);
    codec_fields_write_rows(what->fields, message, CODEC_WRITE_PLAIN, writer);
    writer->ops->end(writer);
}

static int32_t encode_failed(const struct codec_message *what, struct gavel_buffer *out, uint64_t before,
                             int32_t status, struct gavel_error *error)
{
    out->size = before;
    return error ? gavel_wrap(error, what->name) : status;
}

int32_t codec_message_encode(const struct gavel_serializer *serializer, void *self, uint64_t type, const void *message,
                             struct gavel_buffer *out, struct gavel_error *error)
{
    _Alignas(16) unsigned char memory[WRITER_BYTES_MAX];
    const struct codec_message *what = codec_message_find(type);
    struct gavel_writer *writer;
    struct cleaned cleaned;
    uint64_t before = out->size;
    int32_t status;

    if (!what)
        return gavel_fail(error, GAVEL_E_INVALID, "message type %llu does not exist", (unsigned long long)type);
    message = clean_text(what, message, &cleaned);
    if (codec_quick_for(serializer) && codec_quick_encode(what, message, 0, out))
        return GAVEL_OK;
    if (serializer->writer_bytes > sizeof memory)
        return gavel_fail(error, GAVEL_E_UNSUPPORTED, "the serializer's writer needs more than %d bytes",
                          WRITER_BYTES_MAX);
    status = serializer->write_begin(self, memory, out, &writer);
    if (status != GAVEL_OK)
        return gavel_fail(error, status, "%s: the writer could not begin", what->name);
    write_message(what, message, writer);
    status = serializer->write_end(self, writer, error);
    return status == GAVEL_OK ? status : encode_failed(what, out, before, status, error);
}

/* MessagePack: everything up to the header of the tail, which is the last row. */
static int32_t encode_prefix(const struct codec_message *what, const struct codec_raft *wire, uint64_t tail_bytes,
                             struct gavel_buffer *out, struct gavel_error *error)
{
    struct codec_raft head = *wire;
    struct gavel_field copy;
    const struct gavel_field *row = codec_row(what->fields, what->fields->count - 1, &copy);
    struct mp_writer memory;
    struct gavel_writer *writer;

    assert(row->offset == what->tail);
    if (codec_quick_encode(what, wire, tail_bytes, out))
        return GAVEL_OK;
    head.tail = gavel_bytes(NULL, 0);
    writer = mp_writer_init(&memory, out);
    writer->ops->map(writer, codec_fields_count(what->fields, &head, CODEC_WRITE_PLAIN) + 2);
    write_type(what, writer);
    codec_fields_write_rows(what->fields, &head, CODEC_WRITE_PLAIN, writer);
    writer->ops->key(writer, gavel_text(row->name), row->id);
    mp_writer_bytes_header(&memory, tail_bytes);
    writer->ops->end(writer);
    return mp_writer_end(&memory, error);
}

/* Other serializers: entries for people, then the bytes in one piece. */
static void write_whole(const struct codec_message *what, const struct codec_raft *wire, struct gavel_writer *writer)
{
    struct gavel_field copy;
    const struct gavel_field *row = codec_row(what->fields, what->fields->count - 1, &copy);
    struct codec_raft head = *wire;
    int shown = what->type == CODEC_RAFT + RAFT_APPEND_REQUEST && wire->tail.size <= CODEC_ENTRIES_BYTES;
    uint64_t entries = shown ? codec_entries_count(wire->tail) : 0;

    head.tail = gavel_bytes(NULL, 0);
    writer->ops->map(writer, codec_fields_count(what->fields, &head, CODEC_WRITE_PLAIN) + 2 + (entries > 0));
    write_type(what, writer);
    codec_fields_write_rows(what->fields, &head, CODEC_WRITE_PLAIN, writer);
    if (entries > 0) {
        writer->ops->key(writer, gavel_text("entries"), CODEC_ENTRIES_NUMBER);
        codec_entries_write(wire->tail, entries, writer);
    }
    writer->ops->key(writer, gavel_text(row->name), row->id);
    writer->ops->bytes(writer, wire->tail);
    writer->ops->end(writer);
}

/* Gather the parts in heap memory, write the message, let go of them. */
static int32_t encode_gathered(const struct gavel_serializer *serializer, void *self, const struct codec_message *what,
                               const struct codec_raft *wire, const struct gavel_slice *parts, uint64_t part_count,
                               struct gavel_buffer *out, struct gavel_error *error)
{
    _Alignas(16) unsigned char memory[WRITER_BYTES_MAX];
    struct gavel_buffer gathered = codec_buffer(0);
    struct codec_raft whole = *wire;
    struct gavel_writer *writer;
    int32_t status = GAVEL_OK;
    uint64_t i;

    for (i = 0; i < part_count && status == GAVEL_OK; i++)
        status = gavel_buffer_append(&gathered, parts[i].data, parts[i].size);
    if (status == GAVEL_OK && serializer->writer_bytes > sizeof memory)
        status = GAVEL_E_UNSUPPORTED;
    if (status == GAVEL_OK)
        status = serializer->write_begin(self, memory, out, &writer);
    if (status != GAVEL_OK) {
        gavel_buffer_free(&gathered);
        return gavel_fail(error, status, "the writer could not begin");
    }
    whole.tail = gavel_buffer_slice(&gathered);
    write_whole(what, &whole, writer);
    status = serializer->write_end(self, writer, error);
    gavel_buffer_free(&gathered);
    return status;
}

int32_t codec_message_encode_tail(const struct gavel_serializer *serializer, void *self, uint64_t type,
                                  const struct codec_raft *wire, const struct gavel_slice *parts, uint64_t part_count,
                                  struct gavel_buffer *out, uint64_t *apart, struct gavel_error *error)
{
    const struct codec_message *what = codec_message_find(type);
    struct codec_raft plain;
    uint64_t before = out->size;
    uint64_t bytes = 0;
    uint64_t i;
    int32_t status;

    if (!what || !what->tail)
        return gavel_fail(error, GAVEL_E_INVALID, "message type %llu has no tail", (unsigned long long)type);
    for (i = 0; i < part_count; i++)
        bytes += parts[i].size;
    *apart = bytes > 0 && codec_quick_for(serializer);
    if (bytes == 0) {
        plain = *wire;
        plain.tail = gavel_bytes(NULL, 0);
        return codec_message_encode(serializer, self, type, &plain, out, error);
    }
    if (*apart)
        status = encode_prefix(what, wire, bytes, out, error);
    else
        status = encode_gathered(serializer, self, what, wire, parts, part_count, out, error);
    return status == GAVEL_OK ? status : encode_failed(what, out, before, status, error);
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

static const struct codec_message *find_named(struct gavel_slice name)
{
    const struct codec_message *what;
    uint64_t type;

    for (type = 0; type <= CODEC_TYPE_MAX; type++) {
        what = codec_message_find(type);
        if (what && gavel_slice_equal(gavel_text(what->name), name))
            return what;
    }
    return NULL;
}

/* The map, its first key and the type. */
static int32_t read_type(struct gavel_reader *reader, uint64_t *type, const struct codec_message **what,
                         struct gavel_error *error)
{
    struct gavel_token token;
    int32_t status = reader->ops->next(reader, &token, error);

    if (status != GAVEL_OK)
        return status;
    if (token.type != GAVEL_TOKEN_MAP)
        return gavel_fail(error, GAVEL_E_INVALID, "a message must be a map");
    status = reader->ops->next(reader, &token, error);
    if (status != GAVEL_OK)
        return status;
    if (token.type != GAVEL_TOKEN_KEY ||
        !(token.text.data ? gavel_slice_equal(token.text, gavel_text("type")) : token.uint == CODEC_TYPE_NUMBER))
        return gavel_fail(error, GAVEL_E_INVALID, "the first key of a message must be its type");
    status = reader->ops->next(reader, &token, error);
    if (status != GAVEL_OK)
        return status;
    if (token.type == GAVEL_TOKEN_UINT) {
        *type = token.uint;
        *what = codec_message_find(token.uint);
        return *what ? GAVEL_OK
                     : gavel_fail(error, GAVEL_E_UNSUPPORTED, "a message of the unknown type %llu",
                                  (unsigned long long)token.uint);
    }
    if (token.type != GAVEL_TOKEN_STRING)
        return gavel_fail(error, GAVEL_E_INVALID, "the type of a message must be a number or a name");
    *what = find_named(token.text);
    if (!*what)
        return gavel_fail(error, GAVEL_E_UNSUPPORTED, "a message of the unknown type '%.*s'",
                          (int)(token.text.size < 64 ? token.text.size : 64), (const char *)token.text.data);
    *type = (*what)->type;
    return GAVEL_OK;
}

static int32_t read_rest(struct gavel_reader *reader, const struct codec_message *what, struct gavel_slice input,
                         struct codec_arena *arena, void **message, struct gavel_error *error)
{
    struct codec_read how = {.flags = CODEC_READ_UNKNOWN | CODEC_READ_REQUIRED | CODEC_READ_BEGUN,
                             .noun = "field",
                             .owner = what->name,
                             .input = input};
    struct gavel_token token;
    void *object = codec_arena_take(arena, what->fields->struct_size, 16);
    int32_t status;

    if (!object)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "%s: no memory was set aside to decode it", what->name);
    status = codec_fields_read(what->fields, reader, &how, object, arena, error);
    if (status != GAVEL_OK)
        return status;
    status = reader->ops->next(reader, &token, error);
    if (status != GAVEL_OK)
        return status;
    if (token.type != GAVEL_TOKEN_FINISH)
        return gavel_fail(error, GAVEL_E_INVALID, "%s: more follows behind the message", what->name);
    *message = object;
    return GAVEL_OK;
}

int32_t codec_message_decode(const struct gavel_serializer *serializer, void *self, struct gavel_slice input,
                             const struct gavel_limits *limits, struct codec_arena *arena, uint64_t *type,
                             void **message, struct gavel_error *error)
{
    const struct codec_message *what = NULL;
    struct gavel_reader *reader;
    void *memory;
    int32_t status;

    if (codec_quick_for(serializer) && codec_quick_decode(input, limits, arena, &what, message)) {
        *type = what->type;
        return GAVEL_OK;
    }
    what = NULL;
    memory = codec_arena_take(arena, serializer->reader_bytes, 16);
    if (!memory)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "no memory was set aside to decode a message");
    status = serializer->read_begin(self, memory, input, limits, &reader, error);
    if (status != GAVEL_OK)
        return status;
    status = read_type(reader, type, &what, error);
    if (status == GAVEL_OK)
        status = read_rest(reader, what, input, arena, message, error);
    serializer->read_end(self, reader);
    return status;
}
