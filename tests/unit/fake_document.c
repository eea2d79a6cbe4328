/* SPDX-License-Identifier: Apache-2.0 */
/* fake_document.c - see fake_document.h. */
#include "tests/unit/fake_document.h"
#include "tests/unit/fake_host.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

struct fake_memory {
    struct fake_memory *next;
    max_align_t data[];
};

static void *take(struct fake_memory **memory, uint64_t size)
{
    struct fake_memory *block = calloc(1, sizeof *block + size);
    assert(block);
    block->next = *memory;
    *memory = block;
    return block->data;
}

void fake_memory_free(struct fake_memory *memory)
{
    while (memory) {
        struct fake_memory *next = memory->next;
        free(memory);
        memory = next;
    }
}

/* ---- MessagePack out --------------------------------------------------------------------------------------------- */

struct out {
    unsigned char *data;
    uint64_t size;
};

static void put(struct out *out, const void *data, uint64_t size)
{
    out->data = realloc(out->data, out->size + size + 1);
    assert(out->data);
    if (size)
        memcpy(out->data + out->size, data, size);
    out->size += size;
}

/* A type byte and `bytes` bytes of a number, the biggest first. */
static void put_number(struct out *out, unsigned type, uint64_t number, unsigned bytes)
{
    unsigned char head[9];
    unsigned i;
    head[0] = (unsigned char)type;
    for (i = 1; i <= bytes; i++)
        head[i] = (unsigned char)(number >> 8 * (bytes - i));
    put(out, head, 1 + bytes);
}

static void put_uint(struct out *out, uint64_t n)
{
    if (n < 128)
        put_number(out, (unsigned)n, 0, 0);
    else if (n <= UINT8_MAX)
        put_number(out, 0xcc, n, 1);
    else if (n <= UINT16_MAX)
        put_number(out, 0xcd, n, 2);
    else if (n <= UINT32_MAX)
        put_number(out, 0xce, n, 4);
    else
        put_number(out, 0xcf, n, 8);
}

static void put_int(struct out *out, int64_t n)
{
    if (n >= 0)
        put_uint(out, (uint64_t)n);
    else if (n >= -32)
        put_number(out, (unsigned)(0x100 + n), 0, 0);
    else if (n >= INT8_MIN)
        put_number(out, 0xd0, (uint64_t)n, 1);
    else if (n >= INT16_MIN)
        put_number(out, 0xd1, (uint64_t)n, 2);
    else if (n >= INT32_MIN)
        put_number(out, 0xd2, (uint64_t)n, 4);
    else
        put_number(out, 0xd3, (uint64_t)n, 8);
}

/* The header of something counted: up to `fixed` in the type byte, else 1, 2 or 4 bytes (type 0: no such form). */
static void put_header(struct out *out, uint64_t count, unsigned fixed, uint64_t limit, unsigned one, unsigned two)
{
    if (count < limit)
        put_number(out, fixed | (unsigned)count, 0, 0);
    else if (one && count <= UINT8_MAX)
        put_number(out, one, count, 1);
    else if (count <= UINT16_MAX)
        put_number(out, two, count, 2);
    else
        put_number(out, two + 1, count, 4);
}

static void put_string(struct out *out, const char *text, uint64_t size)
{
    put_header(out, size, 0xa0, 32, 0xd9, 0xda);
    put(out, text, size);
}

static void put_bytes(struct out *out, const void *data, uint64_t size)
{
    put_header(out, size, 0, 0, 0xc4, 0xc5);
    put(out, data, size);
}

static void put_real(struct out *out, double real)
{
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    put_number(out, 0xcb, bits, 8);
}

/* The bytes behind {"$hex":"..."}: 1, or 0 when `json` is something else. */
static int hex_of(json_t *json, unsigned char *bytes, uint64_t most, uint64_t *size)
{
    const char *hex = json_is_object(json) && json_object_size(json) == 1
                          ? json_string_value(json_object_get(json, "$hex")) : NULL;
    unsigned byte;
    if (!hex)
        return 0;
    for (*size = 0; *size < most && sscanf(hex + 2 * *size, "%2x", &byte) == 1; ++*size)
        bytes[*size] = (unsigned char)byte;
    return 1;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void pack(struct out *out, json_t *json)
{
    unsigned char bytes[256];
    uint64_t size;
    size_t i;
    if (hex_of(json, bytes, sizeof bytes, &size)) {
        put_bytes(out, bytes, size);
    } else if (json_is_object(json)) {
        const char **names = calloc(json_object_size(json) + 1, sizeof *names);
        const char *name;
        json_t *value;
        size_t count = 0;
        json_object_foreach(json, name, value)
            names[count++] = name;
        qsort(names, count, sizeof *names, by_name);
        put_header(out, count, 0x80, 16, 0, 0xde);
        for (i = 0; i < count; i++) {
            put_string(out, names[i], strlen(names[i]));
            pack(out, json_object_get(json, names[i]));
        }
        free(names);
    } else if (json_is_array(json)) {
        put_header(out, json_array_size(json), 0x90, 16, 0, 0xdc);
        for (i = 0; i < json_array_size(json); i++)
            pack(out, json_array_get(json, i));
    } else if (json_is_string(json)) {
        put_string(out, json_string_value(json), json_string_length(json));
    } else if (json_is_integer(json)) {
        put_int(out, json_integer_value(json));
    } else if (json_is_real(json)) {
        put_real(out, json_real_value(json));
    } else {
        put_number(out, json_is_null(json) ? 0xc0 : json_is_true(json) ? 0xc3 : 0xc2, 0, 0);
    }
}

struct gavel_slice fake_pack(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    struct out out = { 0 };
    if (!json) {
        fprintf(stderr, "%s: %s\n", error.text, text);
        abort();
    }
    pack(&out, json);
    json_decref(json);
    return gavel_bytes(out.data, out.size);
}

/* ---- MessagePack in ---------------------------------------------------------------------------------------------- */

struct in {
    const unsigned char *at;
    const unsigned char *end;
};

static uint64_t number(struct in *in, unsigned bytes)
{
    uint64_t n = 0;
    assert((uint64_t)(in->end - in->at) >= bytes);
    while (bytes--)
        n = n << 8 | *in->at++;
    return n;
}

static json_t *unpack(struct in *in);

static json_t *unpack_bytes(struct in *in, uint64_t size)
{
    char *hex = calloc(1, 2 * size + 1);
    json_t *json;
    uint64_t i;
    assert((uint64_t)(in->end - in->at) >= size);
    for (i = 0; i < size; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", in->at[i]);
    in->at += size;
    json = json_pack("{s:s}", "$hex", hex);
    free(hex);
    return json;
}

static json_t *unpack_string(struct in *in, uint64_t size)
{
    json_t *json;
    assert((uint64_t)(in->end - in->at) >= size);
    json = json_stringn((const char *)in->at, size);
    assert(json); /* valid UTF-8 */
    in->at += size;
    return json;
}

static json_t *unpack_map(struct in *in, uint64_t count)
{
    json_t *map = json_object();
    while (count--) {
        json_t *name = unpack(in);
        assert(json_is_string(name));
        assert(!json_object_get(map, json_string_value(name))); /* no doubled keys */
        json_object_set_new(map, json_string_value(name), unpack(in));
        json_decref(name);
    }
    return map;
}

static json_t *unpack_array(struct in *in, uint64_t count)
{
    json_t *array = json_array();
    while (count--)
        json_array_append_new(array, unpack(in));
    return array;
}

static json_t *unpack(struct in *in)
{
    unsigned type = (unsigned)number(in, 1);
    uint64_t bits;
    double real;
    if (type < 0x80)
        return json_integer(type);
    if (type >= 0xe0)
        return json_integer((int)type - 0x100);
    if (type < 0x90)
        return unpack_map(in, type & 15);
    if (type < 0xa0)
        return unpack_array(in, type & 15);
    if (type < 0xc0)
        return unpack_string(in, type & 31);
    switch (type) {
    case 0xc0: return json_null();
    case 0xc2: return json_false();
    case 0xc3: return json_true();
    case 0xc4: case 0xc5: case 0xc6: return unpack_bytes(in, number(in, 1u << (type - 0xc4)));
    case 0xcb:
        bits = number(in, 8);
        memcpy(&real, &bits, sizeof real);
        return json_real(real);
    case 0xcc: case 0xcd: case 0xce: case 0xcf:
        bits = number(in, 1u << (type - 0xcc));
        return json_integer((json_int_t)bits);
    case 0xd0: return json_integer((int8_t)number(in, 1));
    case 0xd1: return json_integer((int16_t)number(in, 2));
    case 0xd2: return json_integer((int32_t)number(in, 4));
    case 0xd3: return json_integer((int64_t)number(in, 8));
    case 0xd9: case 0xda: case 0xdb: return unpack_string(in, number(in, 1u << (type - 0xd9)));
    case 0xdc: case 0xdd: return unpack_array(in, number(in, type == 0xdc ? 2 : 4));
    case 0xde: case 0xdf: return unpack_map(in, number(in, type == 0xde ? 2 : 4));
    default: fprintf(stderr, "type %02x\n", type); abort();
    }
}

static json_t *unpack_whole(struct gavel_slice value)
{
    struct in in = { value.data, (const unsigned char *)value.data + value.size };
    json_t *json = unpack(&in);
    assert(in.at == in.end);
    return json;
}

char *fake_text(struct gavel_slice value)
{
    json_t *json = unpack_whole(value);
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    json_decref(json);
    return text;
}

/* ---- argument structs -------------------------------------------------------------------------------------------- */

static int32_t fill(const struct gavel_fields *fields, json_t *json, void *object, struct fake_memory **memory,
                    struct gavel_error *error);

static int32_t wrong(const struct gavel_field *row, struct gavel_error *error, const char *what)
{
    return gavel_fail(error, GAVEL_E_INVALID, "'%s' %s", row->name, what);
}

static int32_t fill_slice(const struct gavel_field *row, json_t *json, struct gavel_slice *slice,
                          struct fake_memory **memory, struct gavel_error *error)
{
    unsigned char *bytes = take(memory, json_is_string(json) ? json_string_length(json) + 1 : 256);
    uint64_t size = 0;
    if (row->type == GAVEL_VALUE) {
        struct out out = { 0 };
        pack(&out, json);
        bytes = take(memory, out.size);
        memcpy(bytes, out.data, out.size);
        free(out.data);
        *slice = gavel_bytes(bytes, out.size);
        return GAVEL_OK;
    }
    if (json_is_string(json)) {
        size = json_string_length(json);
        memcpy(bytes, json_string_value(json), size);
    } else if (row->type != GAVEL_BYTES || !hex_of(json, bytes, 256, &size)) {
        return wrong(row, error, "has the wrong type");
    }
    if ((row->min || row->max) && ((int64_t)size < row->min || (int64_t)size > row->max))
        return wrong(row, error, "has the wrong length");
    *slice = gavel_bytes(bytes, size);
    return GAVEL_OK;
}

static int32_t fill_list(const struct gavel_field *row, json_t *json, struct gavel_list *list,
                         struct fake_memory **memory, struct gavel_error *error)
{
    unsigned char *items;
    size_t i;
    assert(row->sub); /* lists of scalars are not needed here */
    if (!json_is_array(json))
        return wrong(row, error, "is no list");
    if ((row->min || row->max) &&
        ((int64_t)json_array_size(json) < row->min || (int64_t)json_array_size(json) > row->max))
        return wrong(row, error, "has the wrong length");
    items = take(memory, row->sub->struct_size * (json_array_size(json) + 1));
    for (i = 0; i < json_array_size(json); i++) {
        int32_t status = fill(row->sub, json_array_get(json, i), items + i * row->sub->struct_size, memory, error);
        if (status != GAVEL_OK)
            return status;
    }
    list->items = items;
    list->count = json_array_size(json);
    list->stride = row->sub->struct_size;
    return GAVEL_OK;
}

static int32_t fill_choice(const struct gavel_field *row, json_t *json, uint64_t *choice, struct gavel_error *error)
{
    if (json_is_integer(json)) {
        *choice = (uint64_t)json_integer_value(json);
        return GAVEL_OK;
    }
    for (*choice = 0; json_is_string(json) && row->choices[*choice]; ++*choice)
        if (!strcmp(row->choices[*choice], json_string_value(json)))
            return GAVEL_OK;
    return wrong(row, error, "is none of the choices");
}

static int32_t fill_one(const struct gavel_field *row, json_t *json, void *member, struct fake_memory **memory,
                        struct gavel_error *error)
{
    int64_t n = json_integer_value(json);
    switch (row->type) {
    case GAVEL_BOOL:
        *(uint64_t *)member = json_is_true(json);
        return json_is_boolean(json) ? GAVEL_OK : wrong(row, error, "has the wrong type");
    case GAVEL_UINT: case GAVEL_INT: case GAVEL_SIZE: case GAVEL_DURATION:
        if (!json_is_integer(json) || (row->type != GAVEL_INT && n < 0))
            return wrong(row, error, "has the wrong type");
        if ((row->min || row->max) && (n < row->min || n > row->max))
            return wrong(row, error, "is out of range");
        *(int64_t *)member = n;
        return GAVEL_OK;
    case GAVEL_STRING: case GAVEL_BYTES: case GAVEL_VALUE:
        return fill_slice(row, json, member, memory, error);
    case GAVEL_CHOICE:
        return fill_choice(row, json, member, error);
    case GAVEL_LIST:
        return fill_list(row, json, member, memory, error);
    default:
        abort();
    }
}

/* Defaults here are numbers with an optional KiB or MiB, or the name of a choice. */
static json_t *fallback_of(const struct gavel_field *row)
{
    char *rest;
    long long n = strtoll(row->fallback, &rest, 10);
    if (rest == row->fallback)
        return json_string(row->fallback);
    return json_integer(!strcmp(rest, "KiB") ? n << 10 : !strcmp(rest, "MiB") ? n << 20 : n);
}

static int32_t fill(const struct gavel_fields *fields, json_t *json, void *object, struct fake_memory **memory,
                    struct gavel_error *error)
{
    uint64_t present = 0;
    uint64_t used = 0;
    uint64_t i;
    assert(fields->stride == sizeof(struct gavel_field));
    for (i = 0; i < fields->count; i++) {
        const struct gavel_field *row = &fields->rows[i];
        json_t *given = json_incref(json_object_get(json, row->name));
        int32_t status;
        used += given != NULL;
        if (!given && row->fallback)
            given = fallback_of(row);
        if (!given && (row->flags & GAVEL_REQUIRED))
            return wrong(row, error, "is missing");
        if (!given)
            continue;
        status = fill_one(row, given, (unsigned char *)object + row->offset, memory, error);
        json_decref(given);
        if (status != GAVEL_OK)
            return status;
        present |= UINT64_C(1) << i;
    }
    if (used != json_object_size(json))
        return gavel_fail(error, GAVEL_E_INVALID, "an unknown argument");
    memcpy(object, &present, sizeof present);
    return GAVEL_OK;
}

int32_t fake_fill(const struct gavel_fields *fields, const char *text, void *object, struct fake_memory **memory,
                  struct gavel_error *error)
{
    json_error_t parse;
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &parse);
    int32_t status;
    if (!json) {
        fprintf(stderr, "%s: %s\n", parse.text, text);
        abort();
    }
    status = fill(fields, json, object, memory, error);
    json_decref(json);
    return status;
}

int32_t fake_fill_numbered(const struct gavel_fields *fields, struct gavel_slice map, void *object,
                           struct fake_memory **memory)
{
    struct in in = { map.data, (const unsigned char *)map.data + map.size };
    json_t *named = json_object();
    struct gavel_error error;
    uint64_t count = number(&in, 1);
    int32_t status;
    assert((count & 0xf0) == 0x80);
    for (count &= 15; count > 0; count--) {
        uint64_t id = number(&in, 1);
        json_t *value = unpack(&in);
        uint64_t i;
        for (i = 0; i < fields->count; i++)
            if (fields->rows[i].id == id)
                json_object_set(named, fields->rows[i].name, value);
        json_decref(value);
    }
    assert(in.at == in.end);
    status = fill(fields, named, object, memory, &error);
    json_decref(named);
    return status;
}

/* ---- the writer -------------------------------------------------------------------------------------------------- */

/* One more token at the present level; the top takes one value. */
static struct fake_writer *token(struct gavel_writer *head)
{
    struct fake_writer *writer = (struct fake_writer *)head;
    assert(writer->left[writer->depth] > 0);
    writer->left[writer->depth]--;
    return writer;
}

static void append(struct fake_writer *writer, const struct out *out)
{
    writer->data = realloc(writer->data, writer->size + out->size + 1);
    memcpy(writer->data + writer->size, out->data, out->size);
    writer->size += out->size;
    free(out->data);
}

static void write_map(struct gavel_writer *head, uint64_t count)
{
    struct fake_writer *writer = token(head);
    struct out out = { 0 };
    put_header(&out, count, 0x80, 16, 0, 0xde);
    append(writer, &out);
    assert(writer->depth + 1 < 32);
    writer->left[++writer->depth] = 2 * count;
}

static void write_array(struct gavel_writer *head, uint64_t count)
{
    struct fake_writer *writer = token(head);
    struct out out = { 0 };
    put_header(&out, count, 0x90, 16, 0, 0xdc);
    append(writer, &out);
    assert(writer->depth + 1 < 32);
    writer->left[++writer->depth] = count;
}

static void write_end(struct gavel_writer *head)
{
    struct fake_writer *writer = (struct fake_writer *)head;
    assert(writer->depth > 0);
    assert(writer->left[writer->depth] == 0);
    writer->depth--;
}

static void write_key(struct gavel_writer *head, struct gavel_slice name, uint64_t id)
{
    struct out out = { 0 };
    assert(id == 0); /* results are documents of people's: by name */
    put_string(&out, name.data, name.size);
    append(token(head), &out);
}

static void write_nil(struct gavel_writer *head)
{
    struct out out = { 0 };
    put_number(&out, 0xc0, 0, 0);
    append(token(head), &out);
}

static void write_boolean(struct gavel_writer *head, uint64_t value)
{
    struct out out = { 0 };
    put_number(&out, value ? 0xc3 : 0xc2, 0, 0);
    append(token(head), &out);
}

static void write_uint(struct gavel_writer *head, uint64_t value)
{
    struct out out = { 0 };
    put_uint(&out, value);
    append(token(head), &out);
}

static void write_sint(struct gavel_writer *head, int64_t value)
{
    struct out out = { 0 };
    put_int(&out, value);
    append(token(head), &out);
}

static void write_real(struct gavel_writer *head, double value)
{
    struct out out = { 0 };
    put_real(&out, value);
    append(token(head), &out);
}

static void write_string(struct gavel_writer *head, struct gavel_slice text)
{
    struct out out = { 0 };
    put_string(&out, text.data, text.size);
    append(token(head), &out);
}

static void write_bytes(struct gavel_writer *head, struct gavel_slice bytes)
{
    struct out out = { 0 };
    put_bytes(&out, bytes.data, bytes.size);
    append(token(head), &out);
}

static void write_msgpack(struct gavel_writer *head, struct gavel_slice value)
{
    struct out out = { 0 };
    put(&out, value.data, value.size);
    append(token(head), &out);
}

static const struct gavel_writer_ops writer_ops = {
    .size = GAVEL_END(struct gavel_writer_ops, msgpack),
    .map = write_map, .array = write_array, .end = write_end, .key = write_key, .nil = write_nil,
    .boolean = write_boolean, .uint = write_uint, .sint = write_sint, .real = write_real, .string = write_string,
    .bytes = write_bytes, .msgpack = write_msgpack,
};

struct gavel_writer *fake_writer_begin(struct fake_writer *writer)
{
    memset(writer, 0, sizeof *writer);
    writer->head.ops = &writer_ops;
    writer->left[0] = 1;
    return &writer->head;
}

char *fake_writer_end(struct fake_writer *writer, int wanted)
{
    char *text;
    if (wanted)
        assert(writer->depth == 0);
    text = wanted && writer->size ? fake_text(gavel_bytes(writer->data, writer->size)) : strdup("null");
    free(writer->data);
    return text;
}
