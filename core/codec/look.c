/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look.c - looking into checked documents, without a tree and without memory.
 */
#include <assert.h>

#include "core/codec/value.h"
#include "plugins/serializers/msgpack/mp_head.h"

/* Decode the head of a value; the absent one and an empty slice are nil. */
static void head_of(struct gavel_slice value, struct mp_head *head)
{
    int outcome;

    if (!value.data || value.size == 0) {
        head->type = GAVEL_TOKEN_NIL;
        head->bytes = 0;
        head->count = 0;
        return;
    }
    outcome = mp_head_read(value.data, value.size, head);
    assert(outcome == 0);
}

static const struct gavel_slice absent = {NULL, 0};

uint64_t codec_value_type(struct gavel_slice value)
{
    struct mp_head head;

    head_of(value, &head);
    return head.type;
}

uint64_t codec_value_count(struct gavel_slice value)
{
    struct mp_head head;

    head_of(value, &head);
    return head.type == GAVEL_TOKEN_MAP || head.type == GAVEL_TOKEN_ARRAY ? head.count : 0;
}

/* ---- walking ----------------------------------------------------------------------------------------------------- */

void codec_walk_begin(struct codec_walk *walk, struct gavel_slice value)
{
    struct mp_head head;

    head_of(value, &head);
    walk->map = head.type == GAVEL_TOKEN_MAP;
    walk->left = walk->map || head.type == GAVEL_TOKEN_ARRAY ? head.count : 0;
    walk->at = value.data;
    walk->end = value.data ? (const unsigned char *)value.data + value.size : NULL;
    if (walk->left)
        walk->at += head.bytes;
}

int codec_walk_next(struct codec_walk *walk, struct gavel_slice *key, struct gavel_slice *value)
{
    if (walk->left == 0)
        return 0;
    walk->left--;
    *key = absent;
    if (walk->map) {
        *key = gavel_bytes(walk->at, mp_value_size(walk->at, (uint64_t)(walk->end - walk->at)));
        walk->at += key->size;
    }
    *value = gavel_bytes(walk->at, mp_value_size(walk->at, (uint64_t)(walk->end - walk->at)));
    walk->at += value->size;
    return 1;
}

struct gavel_slice codec_map_find_slice(struct gavel_slice map, struct gavel_slice name)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice value;
    struct gavel_slice text;

    codec_walk_begin(&walk, map);
    while (walk.map && codec_walk_next(&walk, &key, &value))
        if (codec_get_string(key, &text) == GAVEL_OK && gavel_slice_equal(text, name))
            return value;
    return absent;
}

struct gavel_slice codec_map_find(struct gavel_slice map, const char *name)
{
    return codec_map_find_slice(map, gavel_text(name));
}

struct gavel_slice codec_map_find_number(struct gavel_slice map, uint64_t number)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice value;
    uint64_t found;

    codec_walk_begin(&walk, map);
    while (walk.map && codec_walk_next(&walk, &key, &value))
        if (codec_get_uint(key, &found) == GAVEL_OK && found == number)
            return value;
    return absent;
}

struct gavel_slice codec_array_at(struct gavel_slice array, uint64_t index)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice value;

    codec_walk_begin(&walk, array);
    while (!walk.map && codec_walk_next(&walk, &key, &value))
        if (index-- == 0)
            return value;
    return absent;
}

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

int32_t codec_get_bool(struct gavel_slice value, uint64_t *out)
{
    struct mp_head head;

    head_of(value, &head);
    if (head.type != GAVEL_TOKEN_BOOL)
        return GAVEL_E_INVALID;
    *out = head.uint;
    return GAVEL_OK;
}

int32_t codec_get_uint(struct gavel_slice value, uint64_t *out)
{
    struct mp_head head;

    head_of(value, &head);
    if (head.type != GAVEL_TOKEN_UINT)
        return GAVEL_E_INVALID;
    *out = head.uint;
    return GAVEL_OK;
}

int32_t codec_get_int(struct gavel_slice value, int64_t *out)
{
    struct mp_head head;

    head_of(value, &head);
    if (head.type == GAVEL_TOKEN_INT)
        *out = head.sint;
    else if (head.type == GAVEL_TOKEN_UINT && head.uint <= INT64_MAX)
        *out = (int64_t)head.uint;
    else
        return GAVEL_E_INVALID;
    return GAVEL_OK;
}

int32_t codec_get_real(struct gavel_slice value, double *out)
{
    struct mp_head head;

    head_of(value, &head);
    if (head.type == GAVEL_TOKEN_REAL)
        *out = head.real;
    else if (head.type == GAVEL_TOKEN_UINT)
        *out = (double)head.uint;
    else if (head.type == GAVEL_TOKEN_INT)
        *out = (double)head.sint;
    else
        return GAVEL_E_INVALID;
    return GAVEL_OK;
}

int32_t codec_get_string(struct gavel_slice value, struct gavel_slice *out)
{
    struct mp_head head;

    head_of(value, &head);
    if (head.type != GAVEL_TOKEN_STRING)
        return GAVEL_E_INVALID;
    *out = gavel_bytes((const unsigned char *)value.data + head.bytes, head.count);
    return GAVEL_OK;
}

int32_t codec_get_bytes(struct gavel_slice value, struct gavel_slice *out)
{
    struct mp_head head;

    head_of(value, &head);
    if (head.type != GAVEL_TOKEN_BYTES)
        return codec_get_string(value, out);
    *out = gavel_bytes((const unsigned char *)value.data + head.bytes, head.count);
    return GAVEL_OK;
}

uint64_t codec_uint_or(struct gavel_slice value, uint64_t fallback)
{
    (void)codec_get_uint(value, &fallback);
    return fallback;
}

int64_t codec_int_or(struct gavel_slice value, int64_t fallback)
{
    (void)codec_get_int(value, &fallback);
    return fallback;
}

struct gavel_slice codec_string_or(struct gavel_slice value, const char *fallback)
{
    struct gavel_slice text = gavel_text(fallback);

    (void)codec_get_string(value, &text);
    return text;
}
