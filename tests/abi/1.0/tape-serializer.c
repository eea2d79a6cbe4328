/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tape-serializer.c - a plugin of ABI 1.0: a serializer whose every token is a byte and, where it needs them, eight
 * more and the bytes themselves. It has none of the optional functions. Never edit it: it stands for the plugins that
 * are out there.
 */
#include <gavel/serializer.h>

#define KEY_NUMBER 32 /* beside the tokens of gavel/serializer.h: a key that is written as its number */
#define DEPTH_MAX 64

struct writer {
    struct gavel_writer head;
    struct gavel_buffer *out;
    int32_t status;
    uint64_t depth;
};

static void put(struct gavel_writer *head, unsigned char tag, const void *data, uint64_t size)
{
    struct writer *writer = (struct writer *)(void *)head;

    if (writer->status == GAVEL_OK)
        writer->status = gavel_buffer_append(writer->out, &tag, 1);
    if (writer->status == GAVEL_OK)
        writer->status = gavel_buffer_append(writer->out, data, size);
}

static void put_word(struct gavel_writer *head, unsigned char tag, uint64_t word)
{
    unsigned char bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(word >> 8 * i);
    put(head, tag, bytes, sizeof bytes);
}

static void put_text(struct gavel_writer *head, unsigned char tag, struct gavel_slice text)
{
    struct writer *writer = (struct writer *)(void *)head;

    put_word(head, tag, text.size);
    if (writer->status == GAVEL_OK)
        writer->status = gavel_buffer_append(writer->out, text.data, text.size);
}

static void open_level(struct gavel_writer *head, unsigned char tag, uint64_t count)
{
    struct writer *writer = (struct writer *)(void *)head;

    if (writer->depth == DEPTH_MAX && writer->status == GAVEL_OK)
        writer->status = GAVEL_E_TOO_LARGE;
    writer->depth++;
    put_word(head, tag, count);
}

static void w_map(struct gavel_writer *w, uint64_t count) { open_level(w, GAVEL_TOKEN_MAP, count); }
static void w_array(struct gavel_writer *w, uint64_t count) { open_level(w, GAVEL_TOKEN_ARRAY, count); }

static void w_end(struct gavel_writer *head)
{
    struct writer *writer = (struct writer *)(void *)head;

    if (writer->depth-- == 0 && writer->status == GAVEL_OK)
        writer->status = GAVEL_E_INVALID;
    put(head, GAVEL_TOKEN_END, "", 0);
}

static void w_key(struct gavel_writer *w, struct gavel_slice name, uint64_t number)
{
    if (number)
        put_word(w, KEY_NUMBER, number);
    else
        put_text(w, GAVEL_TOKEN_KEY, name);
}

static void w_nil(struct gavel_writer *w) { put(w, GAVEL_TOKEN_NIL, "", 0); }
static void w_boolean(struct gavel_writer *w, uint64_t value) { put_word(w, GAVEL_TOKEN_BOOL, value); }
static void w_uint(struct gavel_writer *w, uint64_t value) { put_word(w, GAVEL_TOKEN_UINT, value); }

static void w_sint(struct gavel_writer *w, int64_t value)
{
    put_word(w, value < 0 ? GAVEL_TOKEN_INT : GAVEL_TOKEN_UINT, (uint64_t)value);
}

static void w_real(struct gavel_writer *w, double value)
{
    uint64_t word;

    memcpy(&word, &value, sizeof word);
    put_word(w, GAVEL_TOKEN_REAL, word);
}

static void w_string(struct gavel_writer *w, struct gavel_slice text) { put_text(w, GAVEL_TOKEN_STRING, text); }
static void w_bytes(struct gavel_writer *w, struct gavel_slice bytes) { put_text(w, GAVEL_TOKEN_BYTES, bytes); }

static const struct gavel_writer_ops writer_ops = {
    .size = GAVEL_END(struct gavel_writer_ops, bytes), /* without msgpack: the host writes values token by token */
    .map = w_map, .array = w_array, .end = w_end, .key = w_key, .nil = w_nil, .boolean = w_boolean, .uint = w_uint,
    .sint = w_sint, .real = w_real, .string = w_string, .bytes = w_bytes,
};

static int32_t write_begin(void *self, void *memory, struct gavel_buffer *out, struct gavel_writer **made)
{
    struct writer *writer = memory;

    (void)self;
    memset(writer, 0, sizeof *writer);
    writer->head.ops = &writer_ops;
    writer->out = out;
    *made = &writer->head;
    return GAVEL_OK;
}

static int32_t write_end(void *self, struct gavel_writer *head, struct gavel_error *error)
{
    struct writer *writer = (struct writer *)(void *)head;

    (void)self;
    if (writer->status == GAVEL_OK && writer->depth)
        writer->status = GAVEL_E_INVALID;
    return writer->status == GAVEL_OK ? GAVEL_OK : gavel_fail(error, writer->status, "the tape cannot be written");
}

struct reader {
    struct gavel_reader head;
    const unsigned char *at;
    uint64_t left;
    uint64_t items;
    uint64_t depth;
    uint64_t depth_max;
    uint64_t top; /* 1: the value at the top has begun */
};

static int utf8(struct gavel_slice text)
{
    const unsigned char *at = text.data, *end = at + text.size;

    while (at < end) {
        int more = *at < 0x80 ? 0 : *at < 0xc2 ? -1 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : *at < 0xf5 ? 3 : -1;

        if (more < 0 || end - at <= more || (*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
            (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
            return 0;
        for (int i = 1; i <= more; i++)
            if ((at[i] & 0xc0) != 0x80)
                return 0;
        at += more + 1;
    }
    return 1;
}

static int take_word(struct reader *reader, uint64_t *word)
{
    if (reader->left < 8)
        return 0;
    *word = 0;
    for (int i = 7; i >= 0; i--)
        *word = *word << 8 | reader->at[i];
    reader->at += 8;
    reader->left -= 8;
    return 1;
}

static int take_text(struct reader *reader, struct gavel_slice *text)
{
    if (!take_word(reader, &text->size) || text->size > reader->left)
        return 0;
    text->data = reader->at;
    reader->at += text->size;
    reader->left -= text->size;
    return 1;
}

/* What follows the tag; 0 when it is not what the tag says. */
static int take(struct reader *reader, unsigned char tag, struct gavel_token *token)
{
    uint64_t word = 0;

    token->type = tag == KEY_NUMBER ? GAVEL_TOKEN_KEY : tag;
    switch (tag) {
    case GAVEL_TOKEN_MAP:
    case GAVEL_TOKEN_ARRAY:
        reader->depth++;
        return take_word(reader, &token->count) && token->count <= reader->left;
    case GAVEL_TOKEN_END:
        return reader->depth-- > 0;
    case GAVEL_TOKEN_NIL:
        return 1;
    case GAVEL_TOKEN_BOOL:
    case GAVEL_TOKEN_UINT:
    case KEY_NUMBER:
        return take_word(reader, &token->uint) && (tag != GAVEL_TOKEN_BOOL || token->uint <= 1);
    case GAVEL_TOKEN_INT:
    case GAVEL_TOKEN_REAL:
        if (!take_word(reader, &word))
            return 0;
        memcpy(&token->sint, &word, sizeof word);
        memcpy(&token->real, &word, sizeof word);
        return tag == GAVEL_TOKEN_REAL || token->sint < 0;
    case GAVEL_TOKEN_KEY:
    case GAVEL_TOKEN_STRING:
        return take_text(reader, &token->text) && utf8(token->text);
    case GAVEL_TOKEN_BYTES:
        return take_text(reader, &token->text);
    default:
        return 0;
    }
}

static int32_t r_next(struct gavel_reader *head, struct gavel_token *token, struct gavel_error *error)
{
    struct reader *reader = (struct reader *)(void *)head;
    unsigned char tag;

    memset(token, 0, sizeof *token);
    if (reader->top && reader->depth == 0) {
        token->type = GAVEL_TOKEN_FINISH;
        return reader->left == 0 ? GAVEL_OK : gavel_fail(error, GAVEL_E_INVALID, "the tape goes on after its end");
    }
    if (reader->left == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "the tape ends too early");
    if (reader->items-- == 0)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "the tape holds too many tokens");
    reader->top = 1;
    tag = *reader->at++;
    reader->left--;
    if (!take(reader, tag, token))
        return gavel_fail(error, GAVEL_E_INVALID, "the tape is damaged at a token of kind %d", tag);
    if (reader->depth > reader->depth_max)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "the tape is nested too deeply");
    return GAVEL_OK;
}

static const struct gavel_reader_ops reader_ops = {
    .size = GAVEL_END(struct gavel_reader_ops, next), /* without msgpack */
    .next = r_next,
};

static int32_t read_begin(void *self, void *memory, struct gavel_slice input, const struct gavel_limits *limits,
                          struct gavel_reader **made, struct gavel_error *error)
{
    struct reader *reader = memory;

    (void)self;
    if (input.size > limits->bytes)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "the tape has %llu bytes", (unsigned long long)input.size);
    memset(reader, 0, sizeof *reader);
    reader->head.ops = &reader_ops;
    reader->at = input.data;
    reader->left = input.size;
    reader->items = limits->items;
    reader->depth_max = limits->depth;
    *made = &reader->head;
    return GAVEL_OK;
}

static void read_end(void *self, struct gavel_reader *reader)
{
    (void)self;
    (void)reader;
}

static const struct gavel_serializer operations = {
    .size = GAVEL_END(struct gavel_serializer, read_end),
    .media_type = "application/x-gavel-tape",
    .preference = 1000, /* over every one of ours: peers that both have it speak it */
    .writer_bytes = sizeof(struct writer),
    .reader_bytes = sizeof(struct reader),
    .write_begin = write_begin,
    .write_end = write_end,
    .read_begin = read_begin,
    .read_end = read_end,
};

static int32_t create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    (void)options;
    (void)error;
    *self = (void *)(uintptr_t)host;
    return GAVEL_OK;
}

static void destroy(void *self)
{
    (void)self;
}

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_SERIALIZER,
    .name = "tape",
    .version = "1.0",
    .summary = "Every token a byte and what it needs",
    .operations = &operations,
    .create = create,
    .destroy = destroy,
};

GAVEL_PLUGIN(tape)
{
    return &plugin;
}
