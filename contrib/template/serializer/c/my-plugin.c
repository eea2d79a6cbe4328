/* SPDX-License-Identifier: Apache-2.0 */
/*
 * my-plugin.c - a serializer: values as text with lengths in front, so that people can read them and programs need not
 * search for an end.
 *
 *     n t f          nil, true, false              s5:hello      a string of 5 bytes, UTF-8
 *     u42; i-42;     whole numbers                 b2:..         2 bytes
 *     r3ff0000000000000    a real, its bits in hex   a2:n t       an array of 2 values (without the blank)
 *     k7; or s1:x    a key, by number or by name   m1:k7;u1;     a map of 1 pair
 *
 * Every value has exactly one form: no leading zeros, no capitals. What is read comes from anywhere, so every count is
 * held against the bytes that remain, and every limit is checked, before anything is believed or any memory is taken.
 */
#include <gavel/serializer.h>

#include <math.h>
#include <stdlib.h>

#define DEPTH_MAX 64u

struct serializer {
    const struct gavel_host *host;
};

/* An open map or array. */
struct level {
    uint64_t left; /* keys and values still to come */
    uint64_t map;
};

/* 1 when the bytes are UTF-8; overlong forms, surrogates and what is over U+10FFFF are not. */
static int is_utf8(const unsigned char *at, uint64_t size)
{
    while (size) {
        uint64_t more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : (*at & 0xf0) == 0xe0 ? 2 :
                        *at >= 0xf0 && *at < 0xf5 ? 3 : 4;
        uint32_t code = *at & (0x7fu >> more);

        if (more >= size || more == 4)
            return 0;
        for (uint64_t i = 1; i <= more; i++) {
            if ((at[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (at[i] & 0x3fu);
        }
        if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
            (more == 3 && (code < 0x10000 || code > 0x10ffff)))
            return 0;
        at += more + 1;
        size -= more + 1;
    }
    return 1;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct writer {
    struct gavel_writer head;
    struct gavel_buffer *out;
    int32_t status; /* the first error; all that follows does nothing */
    uint32_t depth;
    uint64_t values; /* at the top: exactly one */
    const char *why;
    struct level level[DEPTH_MAX];
};

static void refuse(struct writer *writer, int32_t status, const char *why)
{
    if (writer->status == GAVEL_OK) {
        writer->status = status;
        writer->why = why;
    }
}

static void append(struct writer *writer, const void *data, uint64_t size)
{
    int32_t status = writer->status == GAVEL_OK ? gavel_buffer_append(writer->out, data, size) : GAVEL_OK;

    if (status != GAVEL_OK)
        refuse(writer, status, status == GAVEL_E_TOO_LARGE ? "it does not fit" : "memory is out");
}

/* Whether a value, or a key, may come at this place; the writer whose head this is. */
static struct writer *place(struct gavel_writer *head, int is_key)
{
    struct writer *writer = (struct writer *)(void *)head;
    struct level *level = writer->depth ? &writer->level[writer->depth - 1] : NULL;

    if (level && level->left == 0)
        refuse(writer, GAVEL_E_INVALID, "more elements than were announced");
    else if (level ? is_key != (level->map && level->left % 2 == 0) : is_key)
        refuse(writer, GAVEL_E_INVALID, is_key ? "a key where a value belongs" : "a value where a key belongs");
    else if (level)
        level->left--;
    else if (writer->values++)
        refuse(writer, GAVEL_E_INVALID, "a second value");
    return writer;
}

static void append_number(struct writer *writer, const char *tag, uint64_t number, const char *end)
{
    char text[32];

    append(writer, text, (uint64_t)snprintf(text, sizeof text, "%s%llu%s", tag, (unsigned long long)number, end));
}

static void append_text(struct writer *writer, const char *tag, struct gavel_slice text)
{
    append_number(writer, tag, text.size, ":");
    append(writer, text.data, text.size);
}

static void open_level(struct gavel_writer *head, uint64_t count, uint64_t map)
{
    struct writer *writer = place(head, 0);

    if (writer->depth == DEPTH_MAX || count > UINT64_MAX / 4)
        refuse(writer, GAVEL_E_TOO_LARGE, "nested too deep, or too many elements");
    if (writer->status != GAVEL_OK)
        return;
    writer->level[writer->depth++] = (struct level){ map ? count * 2 : count, map };
    append_number(writer, map ? "m" : "a", count, ":");
}

static void put_map(struct gavel_writer *head, uint64_t count)
{
    open_level(head, count, 1);
}

static void put_array(struct gavel_writer *head, uint64_t count)
{
    open_level(head, count, 0);
}

static void put_end(struct gavel_writer *head)
{
    struct writer *writer = (struct writer *)(void *)head;

    if (writer->status == GAVEL_OK && (writer->depth == 0 || writer->level[writer->depth - 1].left))
        refuse(writer, GAVEL_E_INVALID, "an end before all that was announced");
    else if (writer->status == GAVEL_OK)
        writer->depth--;
}

/* By its number where it has one: shorter, and the name may change. */
static void put_key(struct gavel_writer *head, struct gavel_slice name, uint64_t number)
{
    struct writer *writer = place(head, 1);

    if (number || !name.data) {
        append_number(writer, "k", number, ";");
        return;
    }
    if (!is_utf8(name.data, name.size) || (name.size && memchr(name.data, 0, name.size)))
        refuse(writer, GAVEL_E_INVALID, "a key is not UTF-8, or holds U+0000");
    append_text(writer, "s", name);
}

static void put_nil(struct gavel_writer *head)
{
    append(place(head, 0), "n", 1);
}

static void put_boolean(struct gavel_writer *head, uint64_t value)
{
    append(place(head, 0), value ? "t" : "f", 1);
}

static void put_uint(struct gavel_writer *head, uint64_t value)
{
    append_number(place(head, 0), "u", value, ";");
}

static void put_sint(struct gavel_writer *head, int64_t value)
{
    append_number(place(head, 0), value < 0 ? "i-" : "u", value < 0 ? 0 - (uint64_t)value : (uint64_t)value, ";");
}

static void put_real(struct gavel_writer *head, double value)
{
    struct writer *writer = place(head, 0);
    char text[32];
    uint64_t bits;

    if (!isfinite(value))
        refuse(writer, GAVEL_E_INVALID, "a number is not finite");
    memcpy(&bits, &value, sizeof bits);
    append(writer, text, (uint64_t)snprintf(text, sizeof text, "r%016llx", (unsigned long long)bits));
}

static void put_string(struct gavel_writer *head, struct gavel_slice utf8)
{
    struct writer *writer = place(head, 0);

    if (!is_utf8(utf8.data, utf8.size))
        refuse(writer, GAVEL_E_INVALID, "a string is not UTF-8");
    append_text(writer, "s", utf8);
}

static void put_bytes(struct gavel_writer *head, struct gavel_slice bytes)
{
    append_text(place(head, 0), "b", bytes);
}

static const struct gavel_writer_ops writer_ops = {
    .size = GAVEL_END(struct gavel_writer_ops, bytes), .map = put_map, .array = put_array, .end = put_end,
    .key = put_key, .nil = put_nil, .boolean = put_boolean, .uint = put_uint, .sint = put_sint, .real = put_real,
    .string = put_string, .bytes = put_bytes,
};

static int32_t write_begin(void *self, void *memory, struct gavel_buffer *out, struct gavel_writer **writer)
{
    struct writer *made = memory;

    memset(made, 0, offsetof(struct writer, level));
    made->head.ops = &writer_ops;
    made->out = out;
    *writer = &made->head;
    return GAVEL_OK;
}

static int32_t write_end(void *self, struct gavel_writer *head, struct gavel_error *error)
{
    struct writer *writer = (struct writer *)(void *)head;

    if (writer->depth || writer->values == 0)
        refuse(writer, GAVEL_E_INVALID, "the value is not complete");
    if (writer->status != GAVEL_OK)
        return gavel_fail(error, writer->status, "my-plugin: %s", writer->why);
    return GAVEL_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct reader {
    struct gavel_reader head;
    const unsigned char *start;
    const unsigned char *at;
    const unsigned char *end;
    uint64_t items_left;
    uint32_t depth;
    uint32_t depth_max;
    uint64_t values;
    struct level level[DEPTH_MAX];
};

static int32_t bad(const struct reader *reader, struct gavel_error *error, const char *what)
{
    return gavel_fail(error, GAVEL_E_INVALID, "my-plugin byte %llu: %s",
                      (unsigned long long)(reader->at - reader->start), what);
}

/* Digits up to `stop`, which is passed; without leading zeros, at most `max`. 0: there is no such number. */
static int take_number(struct reader *reader, char stop, uint64_t max, uint64_t *number)
{
    const unsigned char *first = reader->at;
    uint64_t value = 0;

    for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; reader->at++)
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*reader->at - '0'), &value))
            return 0;
    if (reader->at == first || (*first == '0' && reader->at - first > 1) || value > max || reader->at == reader->end ||
        *reader->at != stop)
        return 0;
    reader->at++;
    *number = value;
    return 1;
}

static int32_t take_text(struct reader *reader, struct gavel_token *token, struct gavel_error *error)
{
    int is_string = token->type != GAVEL_TOKEN_BYTES;
    uint64_t size;

    if (!take_number(reader, ':', UINT64_MAX, &size))
        return bad(reader, error, "a length and ':' belong here");
    if (size > (uint64_t)(reader->end - reader->at))
        return bad(reader, error, "a string or bytes are longer than what remains");
    if (is_string && !is_utf8(reader->at, size))
        return bad(reader, error, "a string is not UTF-8");
    token->text = gavel_bytes(reader->at, size);
    reader->at += size;
    return GAVEL_OK;
}

static int32_t take_real(struct reader *reader, struct gavel_token *token, struct gavel_error *error)
{
    uint64_t bits = 0;

    if (reader->end - reader->at < 16)
        return bad(reader, error, "16 digits belong here");
    for (int i = 0; i < 16; i++, reader->at++) {
        unsigned char digit = *reader->at;

        if (!(digit >= '0' && digit <= '9') && !(digit >= 'a' && digit <= 'f'))
            return bad(reader, error, "a digit of 0 to 9 or a to f belongs here");
        bits = bits << 4 | (uint64_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    memcpy(&token->real, &bits, sizeof bits);
    return isfinite(token->real) ? GAVEL_OK : bad(reader, error, "a number is not finite");
}

/* Every element takes one byte at the least, so a count over the bytes that remain is a lie. */
static int32_t take_level(struct reader *reader, struct gavel_token *token, struct gavel_error *error)
{
    uint64_t map = token->type == GAVEL_TOKEN_MAP;

    if (reader->depth == reader->depth_max)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "my-plugin byte %llu: nested deeper than %u",
                          (unsigned long long)(reader->at - reader->start), reader->depth_max);
    if (!take_number(reader, ':', UINT64_MAX / 4, &token->count))
        return bad(reader, error, "a count and ':' belong here");
    if (token->count > (uint64_t)(reader->end - reader->at) / (map ? 2 : 1))
        return bad(reader, error, "more elements are announced than bytes remain");
    reader->level[reader->depth++] = (struct level){ map ? token->count * 2 : token->count, map };
    return GAVEL_OK;
}

static int32_t take_key(struct reader *reader, unsigned char tag, struct gavel_token *token, struct gavel_error *error)
{
    int32_t status;

    token->type = GAVEL_TOKEN_KEY;
    if (tag == 'k')
        return take_number(reader, ';', UINT64_MAX, &token->uint) ? GAVEL_OK
                                                                  : bad(reader, error, "a number and ';' belong here");
    if (tag != 's')
        return bad(reader, error, "a key belongs here");
    status = take_text(reader, token, error);
    if (status == GAVEL_OK && token->text.size && memchr(token->text.data, 0, token->text.size))
        return bad(reader, error, "a key holds U+0000");
    return status;
}

static int32_t take_value(struct reader *reader, unsigned char tag, struct gavel_token *token,
                          struct gavel_error *error)
{
    static const char tags[] = "ntfuirsbam";
    static const unsigned char types[] = { GAVEL_TOKEN_NIL, GAVEL_TOKEN_BOOL, GAVEL_TOKEN_BOOL, GAVEL_TOKEN_UINT,
                                           GAVEL_TOKEN_INT, GAVEL_TOKEN_REAL, GAVEL_TOKEN_STRING, GAVEL_TOKEN_BYTES,
                                           GAVEL_TOKEN_ARRAY, GAVEL_TOKEN_MAP };
    const char *found = tag ? strchr(tags, tag) : NULL;
    uint64_t number;

    if (!found)
        return bad(reader, error, "no value begins like that");
    token->type = types[found - tags];
    token->uint = tag == 't';
    switch (tag) {
    case 'u':
        return take_number(reader, ';', UINT64_MAX, &token->uint) ? GAVEL_OK
                                                                  : bad(reader, error, "a number and ';' belong here");
    case 'i':
        if (reader->at == reader->end || *reader->at++ != '-' ||
            !take_number(reader, ';', UINT64_C(1) << 63, &number) || number == 0)
            return bad(reader, error, "'-', a number above 0 and ';' belong here");
        token->sint = (int64_t)(0 - number);
        return GAVEL_OK;
    case 'r':
        return take_real(reader, token, error);
    case 's':
    case 'b':
        return take_text(reader, token, error);
    case 'a':
    case 'm':
        return take_level(reader, token, error);
    default:
        return GAVEL_OK;
    }
}

static int32_t next(struct gavel_reader *head, struct gavel_token *token, struct gavel_error *error)
{
    struct reader *reader = (struct reader *)(void *)head;
    struct level *level = reader->depth ? &reader->level[reader->depth - 1] : NULL;
    int is_key = level && level->map && level->left % 2 == 0;
    unsigned char tag;

    memset(token, 0, sizeof *token);
    if (level && level->left == 0) {
        reader->depth--;
        token->type = GAVEL_TOKEN_END;
        return GAVEL_OK;
    }
    if (!level && reader->values) {
        token->type = GAVEL_TOKEN_FINISH;
        return reader->at == reader->end ? GAVEL_OK : bad(reader, error, "bytes follow the value");
    }
    if (reader->at == reader->end)
        return bad(reader, error, "cut short");
    if (reader->items_left-- == 0)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "my-plugin: more values than are taken");
    if (level)
        level->left--;
    else
        reader->values++;
    tag = *reader->at++;
    return is_key ? take_key(reader, tag, token, error) : take_value(reader, tag, token, error);
}

static const struct gavel_reader_ops reader_ops = { .size = GAVEL_END(struct gavel_reader_ops, next), .next = next };

/* ---- doubled keys: two readers of one map could take different ones ---------------------------------------------- */

struct key {
    const unsigned char *at; /* as it is written: every key has one form, so equal keys are equal bytes */
    uint64_t size;
};

struct keys {
    struct key *all; /* of all open maps, the innermost last */
    uint64_t count;
    uint64_t room;
    uint64_t first[DEPTH_MAX]; /* of each level */
};

static int order(const struct key *a, const struct key *b)
{
    return gavel_slice_compare(gavel_bytes(a->at, a->size), gavel_bytes(b->at, b->size));
}

static void sink(struct key *heap, uint64_t root, uint64_t count)
{
    for (uint64_t child; (child = root * 2 + 1) < count; root = child) {
        struct key held;

        if (child + 1 < count && order(&heap[child], &heap[child + 1]) < 0)
            child++;
        if (order(&heap[root], &heap[child]) >= 0)
            return;
        held = heap[root];
        heap[root] = heap[child];
        heap[child] = held;
    }
}

/* Heap sort: there is no order of keys for which it would be slow. */
static int is_doubled(struct key *keys, uint64_t count)
{
    for (uint64_t i = count / 2; i-- > 0;)
        sink(keys, i, count);
    for (uint64_t i = count; i-- > 1;) {
        struct key held = keys[0];

        keys[0] = keys[i];
        keys[i] = held;
        sink(keys, 0, i);
    }
    for (uint64_t i = 1; i < count; i++)
        if (order(&keys[i - 1], &keys[i]) == 0)
            return 1;
    return 0;
}

static int32_t remember(const struct gavel_heap *heap, struct keys *keys, const unsigned char *at, uint64_t size)
{
    if (keys->count == keys->room) {
        uint64_t room = keys->room ? keys->room * 2 : 64;
        struct key *all = heap->resize(heap->self, keys->all, room * sizeof *all);

        if (!all)
            return GAVEL_E_NO_MEMORY;
        keys->all = all;
        keys->room = room;
    }
    keys->all[keys->count++] = (struct key){ at, size };
    return GAVEL_OK;
}

/* Read it once to the end. Memory is taken for keys that were read only, never for what was announced. */
static int32_t scan(const struct gavel_heap *heap, struct reader reader, struct gavel_error *error)
{
    struct keys keys = { .all = NULL };
    struct gavel_token token = { 0 };
    int32_t status = GAVEL_OK;

    while (status == GAVEL_OK && token.type != GAVEL_TOKEN_FINISH) {
        const unsigned char *before = reader.at;

        status = next(&reader.head, &token, error);
        if (status != GAVEL_OK)
            break;
        if (token.type == GAVEL_TOKEN_MAP || token.type == GAVEL_TOKEN_ARRAY)
            keys.first[reader.depth - 1] = keys.count;
        if (token.type == GAVEL_TOKEN_KEY && remember(heap, &keys, before, (uint64_t)(reader.at - before)) != GAVEL_OK)
            status = gavel_fail(error, GAVEL_E_NO_MEMORY, "my-plugin: no memory to compare the keys of a map");
        if (token.type == GAVEL_TOKEN_END) {
            if (is_doubled(keys.all + keys.first[reader.depth], keys.count - keys.first[reader.depth]))
                status = bad(&reader, error, "a key of the map that ends here is there twice");
            keys.count = keys.first[reader.depth];
        }
    }
    (void)heap->resize(heap->self, keys.all, 0);
    return status;
}

static int32_t read_begin(void *self, void *memory, struct gavel_slice input, const struct gavel_limits *limits,
                          struct gavel_reader **reader, struct gavel_error *error)
{
    struct reader *made = memory;
    int32_t status;

    if (input.size > limits->bytes)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "my-plugin: %llu bytes, at most %llu are taken",
                          (unsigned long long)input.size, (unsigned long long)limits->bytes);
    memset(made, 0, sizeof *made);
    made->head.ops = &reader_ops;
    made->start = made->at = input.size ? input.data : (const unsigned char *)"";
    made->end = made->at + input.size;
    made->items_left = limits->items;
    made->depth_max = limits->depth < DEPTH_MAX ? (uint32_t)limits->depth : DEPTH_MAX;
    status = scan(((struct serializer *)self)->host->heap, *made, error);
    if (status == GAVEL_OK)
        *reader = &made->head;
    return status;
}

static void read_end(void *self, struct gavel_reader *reader)
{
}

/* ---- the plugin -------------------------------------------------------------------------------------------------- */

static const struct gavel_serializer operations = {
    .size = GAVEL_END(struct gavel_serializer, read_end),
    .media_type = "application/x-my-plugin",
    .preference = 250, /* above msgpack with 200 and json with 100: the highest that both sides offer is taken */
    .writer_bytes = sizeof(struct writer),
    .reader_bytes = sizeof(struct reader),
    .write_begin = write_begin,
    .write_end = write_end,
    .read_begin = read_begin,
    .read_end = read_end,
};

static int32_t create(const struct gavel_host *host, const void *options, void **instance, struct gavel_error *error)
{
    struct serializer *self = host->heap->resize(host->heap->self, NULL, sizeof *self);

    if (!self)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a serializer");
    self->host = host;
    *instance = self;
    return GAVEL_OK;
}

static void destroy(void *context)
{
    struct serializer *self = context;

    (void)self->host->heap->resize(self->host->heap->self, self, 0);
}

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_SERIALIZER,
    .name = "my-plugin",
    .version = PACKAGE_VERSION,
    .summary = "Values as text with lengths in front",
    .operations = &operations,
    .create = create,
    .destroy = destroy,
};

GAVEL_PLUGIN(my_plugin)
{
    return &plugin;
}
