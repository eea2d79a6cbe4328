/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pair.c - key=value on the command line, guided by a command's table where one is known.
 */
#include <inttypes.h>

#include "core/codec/field_internal.h"

/* What of a name goes into a sentence. */
#define SHOWN 64

/* Where documents come from. */
struct json {
    const struct gavel_serializer *serializer; /* NULL: none */
    void *self;
};

/* Write the text as a document if it is JSON. GAVEL_E_INVALID with the parser's sentence when it is not. */
static int32_t write_json(const struct json *json, struct gavel_slice text, struct gavel_writer *writer,
                          struct gavel_error *error)
{
    struct gavel_limits limits = codec_limits(CODEC_ARGUMENTS_BYTES);
    struct gavel_buffer document = codec_buffer(CODEC_ARGUMENTS_BYTES * 2);
    int32_t status;

    limits.depth = CODEC_DOCUMENT_DEPTH;
    if (!json->serializer)
        return gavel_fail(error, GAVEL_E_UNSUPPORTED, "JSON is not built in");
    status = codec_transcode(json->serializer, json->self, text, &limits, codec_msgpack(), NULL, &document, error);
    if (status == GAVEL_OK)
        codec_put_value(writer, gavel_buffer_slice(&document));
    gavel_buffer_free(&document);
    return status;
}

static int32_t write_string(struct gavel_slice text, struct gavel_writer *writer, struct gavel_error *error)
{
    if (!mp_utf8(text.data, text.size))
        return gavel_fail(error, GAVEL_E_INVALID, "it is not valid UTF-8");
    gavel_put_string(writer, text);
    return GAVEL_OK;
}

/* Without a table: JSON if it is JSON, else a string. */
static int32_t write_free(const struct json *json, struct gavel_slice text, struct gavel_writer *writer,
                          struct gavel_error *error)
{
    uint64_t whole;
    int64_t negative;
    double real;
    /* "007" is a number in no JSON. */
    int zeros = text.size > 1 && memcmp(text.data, "0", 1) == 0 && !memchr(text.data, '.', text.size);

    if (json->serializer) {
        if (write_json(json, text, writer, NULL) == GAVEL_OK)
            return GAVEL_OK;
        return write_string(text, writer, error);
    }
    if (gavel_slice_equal(text, gavel_text("null")))
        gavel_put_nil(writer);
    else if (gavel_slice_equal(text, gavel_text("true")) || gavel_slice_equal(text, gavel_text("false")))
        gavel_put_bool(writer, text.size == 4);
    else if (!zeros && codec_parse_uint(text, &whole, NULL) == GAVEL_OK)
        gavel_put_uint(writer, whole);
    else if (!zeros && codec_parse_int(text, &negative, NULL) == GAVEL_OK)
        gavel_put_int(writer, negative);
    else if (!zeros && codec_parse_real(text, &real, NULL) == GAVEL_OK)
        gavel_put_real(writer, real);
    else
        return write_string(text, writer, error);
    return GAVEL_OK;
}

/*
 * A member of a type with a text form of its own: through the struct form, so that bounds are checked here already.
 */
static int32_t write_scalar(const struct gavel_field *row, struct gavel_slice text, struct gavel_writer *writer,
                            struct gavel_error *error)
{
    _Alignas(16) unsigned char scratch[4096]; /* a list of some hundred short words */
    _Alignas(16) unsigned char member[32];
    struct codec_arena arena = codec_arena(scratch, sizeof scratch);
    int32_t status = codec_parse_member(row, text, member, &arena, error);

    if (status == GAVEL_OK)
        codec_write_member(row, member, CODEC_WRITE_NAMES, writer);
    return status;
}

static int32_t write_text(const struct gavel_field *row, struct gavel_slice text, struct gavel_writer *writer,
                          struct gavel_error *error)
{
    char why[CODEC_WHY];
    int32_t status = codec_bounds_length(row, text.size, why);

    if (status != GAVEL_OK)
        return gavel_fail(error, status, "%s", why);
    if (row->type == GAVEL_STRING || mp_utf8(text.data, text.size))
        return write_string(text, writer, error);
    gavel_put_bytes(writer, text);
    return GAVEL_OK;
}

static int32_t write_by_row(const struct gavel_field *row, const struct json *json, struct gavel_slice text,
                            struct gavel_writer *writer, struct gavel_error *error)
{
    int bracket = text.size > 0 && *(const char *)text.data == '[';

    switch (row->type) {
    case GAVEL_STRING:
    case GAVEL_BYTES:
        return write_text(row, text, writer, error);
    case GAVEL_VALUE:
        return write_free(json, text, writer, error);
    case GAVEL_RECORD:
        return write_json(json, text, writer, error);
    case GAVEL_LIST:
        if (row->sub || bracket)
            return write_json(json, text, writer, error);
        return write_scalar(row, text, writer, error);
    default:
        return write_scalar(row, text, writer, error);
    }
}

static int split(const char *pair, struct gavel_slice *name, struct gavel_slice *text)
{
    const char *equal = strchr(pair, '=');

    if (!equal || equal == pair)
        return 0;
    *name = gavel_bytes(pair, (uint64_t)(equal - pair));
    *text = gavel_text(equal + 1);
    return 1;
}

static int32_t unknown(const struct gavel_fields *fields, const char *owner, struct gavel_slice name,
                       struct gavel_error *error)
{
    struct codec_nearest nearest = {.wanted = name};
    struct gavel_field copy;
    char hint[128];
    uint64_t i;

    for (i = 0; i < fields->count; i++)
        codec_nearest_offer(&nearest, gavel_text(codec_row(fields, i, &copy)->name));
    return gavel_fail(error, GAVEL_E_INVALID, "unknown argument '%.*s'%s%s%s",
                      (int)(name.size < SHOWN ? name.size : SHOWN), (const char *)name.data,
                      owner ? " of " : "", owner ? owner : "",
                      codec_nearest_text(&nearest, hint, sizeof hint));
}

static int32_t write_pair(const struct gavel_fields *fields, const char *owner, const char *pair,
                          const struct json *json, struct gavel_writer *writer, struct gavel_error *error)
{
    struct gavel_field copy;
    struct gavel_slice name;
    struct gavel_slice text;
    struct gavel_error own;
    char where[SHOWN + 16];
    uint64_t row = CODEC_NO_ROW;
    int32_t status;

    if (!error)
        error = &own;
    if (!split(pair, &name, &text))
        return gavel_fail(error, GAVEL_E_INVALID, "'%.*s' is not of the form name=value", SHOWN, pair);
    if (fields) {
        row = codec_row_named(fields, name);
        if (row == CODEC_NO_ROW)
            return unknown(fields, owner, name, error);
    }
    writer->ops->key(writer, name, 0);
    if (fields)
        status = write_by_row(codec_row(fields, row, &copy), json, text, writer, error);
    else
        status = write_free(json, text, writer, error);
    if (status == GAVEL_OK)
        return status;
    (void)snprintf(where, sizeof where, "%.*s", (int)(name.size < SHOWN ? name.size : SHOWN), (const char *)name.data);
    return gavel_wrap(error, where);
}

int32_t codec_pair_write(const struct gavel_fields *fields, const char *pair, const struct gavel_serializer *json,
                         void *json_self, struct gavel_writer *writer, struct gavel_error *error)
{
    struct json source = {json, json_self};

    return write_pair(fields, NULL, pair, &source, writer, error);
}

static int32_t check_doubles(const char *const *pairs, uint64_t count, struct gavel_error *error)
{
    struct gavel_slice a;
    struct gavel_slice b;
    struct gavel_slice text;
    uint64_t i;
    uint64_t j;

    for (i = 1; i < count; i++)
        for (j = 0; j < i; j++)
            if (split(pairs[i], &a, &text) && split(pairs[j], &b, &text) && gavel_slice_equal(a, b))
                return gavel_fail(error, GAVEL_E_INVALID, "'%.*s' is given twice",
                                  (int)(a.size < SHOWN ? a.size : SHOWN), (const char *)a.data);
    return GAVEL_OK;
}

int32_t codec_pairs(const struct gavel_fields *fields, const char *owner, const char *const *pairs, uint64_t count,
                    const struct gavel_serializer *json, void *json_self, struct gavel_buffer *out,
                    struct gavel_error *error)
{
    struct json source = {json, json_self};
    struct mp_writer memory;
    struct gavel_writer *writer = mp_writer_init(&memory, out);
    uint64_t before = out->size;
    uint64_t i;
    int32_t status = check_doubles(pairs, count, error);

    gavel_put_map(writer, count);
    for (i = 0; i < count && status == GAVEL_OK; i++)
        status = write_pair(fields, owner, pairs[i], &source, writer, error);
    gavel_put_end(writer);
    if (status == GAVEL_OK)
        status = mp_writer_end(&memory, error);
    if (status != GAVEL_OK)
        out->size = before;
    return status;
}
