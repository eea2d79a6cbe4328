/* SPDX-License-Identifier: Apache-2.0 */
/* client_document.c - the public way to look into documents and to build them: gavel_get_..., gavel_builder_... */
#include <assert.h>
#include <stdlib.h>

#include <gavel/client.h>

#include "core/codec/value.h"

#define BUILDER_MAGIC 0x6c63646fu
#define PATH_PART 1024 /* bytes of one name in a path */

struct gavel_builder {
    uint32_t magic;
    struct gavel_buffer buffer;
    struct codec_writer writer;
    struct gavel_writer *head;
};

static const struct gavel_slice absent;

/* True when `document` may be walked: the walkers of the codec trust what they are given. */
static int sound(struct gavel_slice document)
{
    struct gavel_limits limits = codec_limits(GAVEL_CLIENT_MESSAGE);

    return document.data && document.size && codec_value_check(document, &limits, NULL) == GAVEL_OK;
}

/* The child of `value` called by the `length` bytes at `part`: a key of a map, a place in an array. */
static struct gavel_slice child(struct gavel_slice value, const char *part, size_t length)
{
    char number[24];
    char *end;
    unsigned long long place;

    if (codec_value_type(value) == GAVEL_TOKEN_MAP)
        return codec_map_find_slice(value, gavel_bytes(part, length));
    if (codec_value_type(value) != GAVEL_TOKEN_ARRAY || length == 0 || length >= sizeof number)
        return absent;
    memcpy(number, part, length);
    number[length] = 0;
    if (number[0] < '0' || number[0] > '9')
        return absent;
    place = strtoull(number, &end, 10);
    return *end ? absent : codec_array_at(value, place);
}

struct gavel_slice gavel_get(struct gavel_slice document, const char *path)
{
    struct gavel_slice value = document;

    if (!sound(document))
        return absent;
    while (path && *path && value.data) {
        size_t length = strcspn(path, ".");

        value = length <= PATH_PART ? child(value, path, length) : absent;
        path += length;
        if (*path == '.')
            path++;
    }
    return value;
}

uint64_t gavel_get_kind(struct gavel_slice document, const char *path)
{
    struct gavel_slice value = gavel_get(document, path);

    if (!value.data)
        return GAVEL_DOCUMENT_ABSENT;
    switch (codec_value_type(value)) {
    case GAVEL_TOKEN_BOOL:
        return GAVEL_DOCUMENT_BOOL;
    case GAVEL_TOKEN_UINT:
        return GAVEL_DOCUMENT_UINT;
    case GAVEL_TOKEN_INT:
        return GAVEL_DOCUMENT_INT;
    case GAVEL_TOKEN_REAL:
        return GAVEL_DOCUMENT_REAL;
    case GAVEL_TOKEN_STRING:
        return GAVEL_DOCUMENT_STRING;
    case GAVEL_TOKEN_BYTES:
        return GAVEL_DOCUMENT_BYTES;
    case GAVEL_TOKEN_ARRAY:
        return GAVEL_DOCUMENT_ARRAY;
    case GAVEL_TOKEN_MAP:
        return GAVEL_DOCUMENT_MAP;
    default:
        return GAVEL_DOCUMENT_NIL;
    }
}

uint64_t gavel_get_uint(struct gavel_slice document, const char *path, uint64_t fallback)
{
    struct gavel_slice value = gavel_get(document, path);

    return value.data ? codec_uint_or(value, fallback) : fallback;
}

int64_t gavel_get_int(struct gavel_slice document, const char *path, int64_t fallback)
{
    struct gavel_slice value = gavel_get(document, path);

    return value.data ? codec_int_or(value, fallback) : fallback;
}

double gavel_get_real(struct gavel_slice document, const char *path, double fallback)
{
    struct gavel_slice value = gavel_get(document, path);
    double number;

    return value.data && codec_get_real(value, &number) == GAVEL_OK ? number : fallback;
}

int gavel_get_bool(struct gavel_slice document, const char *path, int fallback)
{
    struct gavel_slice value = gavel_get(document, path);
    uint64_t truth;

    return value.data && codec_get_bool(value, &truth) == GAVEL_OK ? truth != 0 : fallback;
}

struct gavel_slice gavel_get_bytes(struct gavel_slice document, const char *path)
{
    struct gavel_slice value = gavel_get(document, path);
    struct gavel_slice bytes;

    return value.data && codec_get_bytes(value, &bytes) == GAVEL_OK ? bytes : absent;
}

uint64_t gavel_get_count(struct gavel_slice document, const char *path)
{
    struct gavel_slice value = gavel_get(document, path);

    return value.data ? codec_value_count(value) : 0;
}

struct gavel_slice gavel_document_at(struct gavel_slice document, uint64_t place, struct gavel_slice *key)
{
    struct codec_walk walk;
    struct gavel_slice name;
    struct gavel_slice value;

    if (!sound(document))
        return absent;
    codec_walk_begin(&walk, document);
    while (codec_walk_next(&walk, &name, &value)) {
        if (place-- > 0)
            continue;
        if (key && (!name.data || codec_get_bytes(name, key) != GAVEL_OK))
            *key = absent;
        return value;
    }
    return absent;
}

struct gavel_buffer gavel_client_buffer(void)
{
    return codec_buffer(0);
}

/* ---- the builder ------------------------------------------------------------------------------------------------- */

struct gavel_builder *gavel_builder_new(void)
{
    struct gavel_builder *builder = calloc(1, sizeof *builder);

    if (!builder)
        return NULL;
    builder->magic = BUILDER_MAGIC;
    builder->buffer = codec_buffer(GAVEL_CLIENT_MESSAGE);
    builder->head = codec_writer_begin(&builder->writer, &builder->buffer);
    return builder;
}

struct gavel_writer *gavel_builder_writer(struct gavel_builder *builder)
{
    assert(builder->magic == BUILDER_MAGIC);
    return builder->head;
}

int32_t gavel_builder_end(struct gavel_builder *builder, struct gavel_slice *document, struct gavel_error *error)
{
    int32_t status;

    assert(builder->magic == BUILDER_MAGIC);
    status = codec_writer_end(&builder->writer, error);
    if (status != GAVEL_OK)
        return status;
    *document = gavel_buffer_slice(&builder->buffer);
    return GAVEL_OK;
}

void gavel_builder_again(struct gavel_builder *builder)
{
    assert(builder->magic == BUILDER_MAGIC);
    builder->buffer.size = 0;
    builder->head = codec_writer_begin(&builder->writer, &builder->buffer);
}

void gavel_builder_free(struct gavel_builder *builder)
{
    if (!builder)
        return;
    assert(builder->magic == BUILDER_MAGIC);
    builder->magic = 0;
    gavel_buffer_free(&builder->buffer);
    free(builder);
}
