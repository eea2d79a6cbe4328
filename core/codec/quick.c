/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quick.c - messages in MessagePack, the short way; see quick.h. The first bytes are those of the MessagePack
 * specification's table of formats.
 */
#include "core/codec/quick.h"

#include <assert.h>

#include "core/codec/field_internal.h"

#define FIXMAP 0x80u
#define FIXMAP_MAX 15u
#define FIXSTR 0xa0u
#define FIXINT_MAX 0x7fu
#define BYTES_8 0xc4u
#define UINT_8 0xccu
#define UINT_64 0xcfu
#define STRING_8 0xd9u
#define NUMBER_BYTES 9 /* a number at most, or the header of a string or of bytes */

int codec_quick_for(const struct gavel_serializer *serializer)
{
    return serializer == &mp_serializer || strcmp(serializer->media_type, mp_serializer.media_type) == 0;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static inline unsigned char *put_big_endian(unsigned char *at, uint64_t value, unsigned width)
{
    value = __builtin_bswap64(value << (64 - 8 * width));
    memcpy(at, &value, width);
    return at + width;
}

/* The least of 1, 2, 4, 8 bytes that hold it, as log2. */
static inline unsigned width_log2(uint64_t value)
{
    return value < 256 ? 0 : value < 65536 ? 1 : value >> 32 == 0 ? 2 : 3;
}

static inline unsigned char *put_uint(unsigned char *at, uint64_t value)
{
    unsigned log2;

    if (value <= FIXINT_MAX) {
        *at = (unsigned char)value;
        return at + 1;
    }
    log2 = width_log2(value);
    *at = (unsigned char)(UINT_8 + log2);
    switch (log2) {
    case 0: return put_big_endian(at + 1, value, 1);
    case 1: return put_big_endian(at + 1, value, 2);
    case 2: return put_big_endian(at + 1, value, 4);
    default: return put_big_endian(at + 1, value, 8);
    }
}

/* The header of a string or of bytes: `first` is that of the form with one byte of length. */
static inline unsigned char *put_length(unsigned char *at, unsigned first, uint64_t size)
{
    unsigned log2 = width_log2(size);

    *at = (unsigned char)(first + log2);
    return put_big_endian(at + 1, size, 1u << log2);
}

/* What is read: `at` moves only when it is as wanted. */
struct input {
    const unsigned char *at;
    const unsigned char *end;
    uint64_t items; /* that may still come */
    uint64_t depth; /* of what lies inside the message's map */
};

static inline uint64_t left(const struct input *input)
{
    return (uint64_t)(input->end - input->at);
}

static inline uint64_t big_endian(const unsigned char *at, unsigned width)
{
    uint64_t value = 0;

    memcpy(&value, at, width);
    return __builtin_bswap64(value) >> (64 - 8 * width);
}

static inline int get_uint(struct input *input, uint64_t *value)
{
    unsigned log2;

    if (left(input) == 0)
        return 0;
    if (*input->at <= FIXINT_MAX) {
        *value = *input->at++;
        return 1;
    }
    if (*input->at < UINT_8 || *input->at > UINT_64)
        return 0;
    log2 = *input->at - UINT_8;
    if (left(input) - 1 < UINT64_C(1) << log2)
        return 0;
    switch (log2) {
    case 0: *value = big_endian(input->at + 1, 1); break;
    case 1: *value = big_endian(input->at + 1, 2); break;
    case 2: *value = big_endian(input->at + 1, 4); break;
    default: *value = big_endian(input->at + 1, 8); break;
    }
    input->at += 1 + (UINT64_C(1) << log2);
    return 1;
}

/* A string or bytes with their header. */
static int get_text(struct input *input, unsigned first, unsigned forms, struct gavel_slice *text)
{
    unsigned log2;
    uint64_t size;

    if (left(input) == 0)
        return 0;
    if (first == STRING_8 && *input->at >= FIXSTR && *input->at < FIXSTR + 32) {
        size = *input->at - FIXSTR;
        log2 = 0;
        if (left(input) - 1 < size)
            return 0;
        *text = gavel_bytes(input->at + 1, size);
        input->at += 1 + size;
        return 1;
    }
    if (*input->at < first || *input->at >= first + forms)
        return 0;
    log2 = *input->at - first;
    if (left(input) - 1 < UINT64_C(1) << log2)
        return 0;
    size = big_endian(input->at + 1, 1u << log2);
    if (left(input) - 1 - (UINT64_C(1) << log2) < size)
        return 0;
    *text = gavel_bytes(input->at + 1 + (UINT64_C(1) << log2), size);
    input->at = (const unsigned char *)text->data + size;
    return 1;
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

static int get_int(struct input *input, int64_t *value)
{
    uint64_t whole;

    if (left(input) && *input->at >= 0xe0) {
        *value = (int64_t)*input->at++ - 256;
        return 1;
    }
    if (!get_uint(input, &whole) || whole > INT64_MAX)
        return 0;
    *value = (int64_t)whole;
    return 1;
}

/* One whole document of any kind: here the scan is what the long way would do, too. */
static int get_value(struct input *input, struct gavel_slice *value)
{
    struct gavel_limits limits = {GAVEL_END(struct gavel_limits, items), input->depth, UINT64_MAX, input->items + 1};
    uint64_t items = 0;
    uint64_t size;

    if (mp_scan_prefix(gavel_bytes(input->at, left(input)), &limits, 0, &size, &items, NULL) != GAVEL_OK)
        return 0;
    input->items -= items - 1; /* the value itself was counted with its key */
    *value = gavel_bytes(input->at, size);
    input->at += size;
    return 1;
}

static int get_slice(struct input *input, const struct gavel_field *row, void *member)
{
    struct gavel_slice text;
    char why[CODEC_WHY];
    int got;

    if (row->type == GAVEL_VALUE)
        got = get_value(input, &text);
    else if (row->type == GAVEL_BYTES)
        got = get_text(input, BYTES_8, 3, &text);
    else
        got = get_text(input, STRING_8, 3, &text) && mp_utf8(text.data, text.size);
    if (!got || codec_bounds_length(row, text.size, why) != GAVEL_OK)
        return 0;
    memcpy(member, &text, sizeof text);
    return 1;
}

/* Most members are numbers. */
static inline int get_number(struct input *input, const struct gavel_field *row, void *member)
{
    char why[CODEC_WHY];
    uint64_t value;

    if (!get_uint(input, &value))
        return 0;
    if ((row->min | row->max) && codec_bounds_uint(row, value, why) != GAVEL_OK)
        return 0;
    memcpy(member, &value, sizeof value);
    return 1;
}

static int get_member(struct input *input, const struct gavel_field *row, void *member)
{
    char why[CODEC_WHY];
    uint64_t value = 0;
    int64_t whole;

    switch (row->type) {
    case GAVEL_BOOL:
        if (left(input) == 0 || (*input->at | 1) != 0xc3)
            return 0;
        value = *input->at++ & 1;
        break;
    case GAVEL_CHOICE:
        if (!get_uint(input, &value) || value >= codec_choice_count(row))
            return 0;
        break;
    case GAVEL_INT:
        if (!get_int(input, &whole) || codec_bounds_int(row, whole, why) != GAVEL_OK)
            return 0;
        memcpy(&value, &whole, sizeof value);
        break;
    case GAVEL_STRING:
    case GAVEL_BYTES:
    case GAVEL_VALUE:
        return get_slice(input, row, member);
    default:
        return 0;
    }
    memcpy(member, &value, sizeof value);
    return 1;
}

/* The head of the map, and the type, which is its first pair. */
static int get_type(struct input *input, uint64_t *pairs, const struct codec_message **what)
{
    const unsigned char *at = input->at;

    if (left(input) >= 3 && at[0] > FIXMAP && at[0] <= FIXMAP + FIXMAP_MAX) {
        *pairs = at[0] - FIXMAP;
        at += 1;
    } else if (left(input) >= 5 && at[0] == 0xde && (at[1] || at[2])) {
        *pairs = (uint64_t)at[1] << 8 | at[2];
        at += 3;
    } else {
        return 0;
    }
    if (at[0] != CODEC_TYPE_NUMBER || at[1] > FIXINT_MAX)
        return 0;
    *what = codec_message_find(at[1]);
    input->at = at + 2;
    return *what != NULL;
}

/* The other pairs, each with the next row of the table that has its number. */
static int get_pairs(struct input *input, const struct gavel_fields *fields, uint64_t pairs, void *object)
{
    const struct gavel_field *rows = fields->rows;
    uint64_t present = 0;
    uint64_t row = 0;
    void *member;

    for (; pairs; pairs--, row++) {
        if (left(input) == 0 || *input->at > FIXINT_MAX)
            return 0;
        while (row < fields->count && rows[row].id != *input->at && !(rows[row].flags & GAVEL_REQUIRED))
            row++;
        if (row == fields->count || rows[row].id != *input->at)
            return 0;
        input->at++;
        member = codec_member(object, &rows[row]);
        if (!(rows[row].type == GAVEL_UINT ? get_number(input, &rows[row], member)
                                           : get_member(input, &rows[row], member)))
            return 0;
        present |= UINT64_C(1) << row;
    }
    for (; row < fields->count; row++)
        if (rows[row].flags & GAVEL_REQUIRED)
            return 0;
    memcpy(object, &present, sizeof present);
    return input->at == input->end;
}

int codec_quick_decode(struct gavel_slice input, const struct gavel_limits *limits, struct codec_arena *arena,
                       const struct codec_message **what, void **message)
{
    struct input bytes = {.at = input.data, .end = (const unsigned char *)input.data + input.size};
    struct codec_arena before = *arena;
    uint64_t pairs;
    void *object;

    if (input.size == 0 || input.size > limits->bytes || input.size > UINT32_MAX || limits->depth == 0)
        return 0;
    if (!get_type(&bytes, &pairs, what) || limits->items < 2 * pairs + 1)
        return 0;
    assert((*what)->fields->stride == sizeof(struct gavel_field)); /* our own tables */
    bytes.items = limits->items - 2 * pairs - 1;
    bytes.depth = (limits->depth < MP_DEPTH_MAX ? limits->depth : MP_DEPTH_MAX) - 1;
    object = codec_arena_take(arena, (*what)->fields->struct_size, 16);
    if (object)
        memset(object, 0, (*what)->fields->struct_size);
    if (!object || !get_pairs(&bytes, (*what)->fields, pairs - 1, object)) {
        *arena = before;
        return 0;
    }
    *message = object;
    return 1;
}

/* The rows may be a plugin's of another build: only with our own stride are they what we take them for. */
int codec_quick_arguments(const struct gavel_fields *fields, struct gavel_slice logged,
                          const struct gavel_limits *limits, void *object)
{
    struct input bytes = {.at = logged.data, .end = (const unsigned char *)logged.data + logged.size};
    uint64_t pairs;

    if (!fields || fields->stride != sizeof(struct gavel_field) || logged.size == 0 || logged.size > limits->bytes ||
        (*bytes.at & 0xf0) != FIXMAP)
        return 0;
    pairs = *bytes.at++ - FIXMAP;
    if (limits->items < 2 * pairs + 1 || limits->depth == 0)
        return 0;
    bytes.items = limits->items - 2 * pairs - 1;
    bytes.depth = (limits->depth < MP_DEPTH_MAX ? limits->depth : MP_DEPTH_MAX) - 1;
    memset(object, 0, fields->struct_size);
    return get_pairs(&bytes, fields, pairs, object);
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

/* What the member takes at most, its key included; 0: the long way. */
static uint64_t room_of(const struct gavel_field *row, const void *member)
{
    struct gavel_slice slice;
    struct gavel_list list;

    switch (row->type) {
    case GAVEL_BOOL:
    case GAVEL_CHOICE:
    case GAVEL_INT:
        return 1 + NUMBER_BYTES;
    case GAVEL_STRING:
    case GAVEL_BYTES:
    case GAVEL_VALUE:
        memcpy(&slice, member, sizeof slice);
        return slice.size > UINT32_MAX ? 0 : 1 + NUMBER_BYTES + slice.size;
    case GAVEL_LIST:
        memcpy(&list, member, sizeof list);
        return list.count ? 0 : 1;
    default:
        return 0;
    }
}

/* NULL: the long way. */
static unsigned char *put_slice(unsigned char *at, const struct gavel_field *row, const void *member)
{
    struct gavel_slice slice;

    memcpy(&slice, member, sizeof slice);
    if (row->type == GAVEL_VALUE) {
        if (!slice.data || slice.size == 0)
            return NULL;
    } else if (row->type == GAVEL_BYTES) {
        at = put_length(at, BYTES_8, slice.size);
    } else if (!mp_utf8(slice.data, slice.size)) {
        return NULL;
    } else if (slice.size < 32) {
        *at++ = (unsigned char)(FIXSTR + slice.size);
    } else {
        at = put_length(at, STRING_8, slice.size);
    }
    if (slice.size)
        memcpy(at, slice.data, slice.size);
    return at + slice.size;
}

static unsigned char *put_member(unsigned char *at, const struct gavel_field *row, const void *member, uint64_t word)
{
    int64_t whole;

    switch (row->type) {
    case GAVEL_BOOL:
        *at = word ? 0xc3 : 0xc2;
        return at + 1;
    case GAVEL_INT:
        memcpy(&whole, &word, sizeof whole);
        if (whole < -32)
            return NULL;
        if (whole >= 0)
            return put_uint(at, word);
        *at = (unsigned char)whole;
        return at + 1;
    case GAVEL_STRING:
    case GAVEL_BYTES:
    case GAVEL_VALUE:
        return put_slice(at, row, member);
    default:
        return put_uint(at, word);
    }
}

/* The rows that have something to say; *pairs counts them. A slice does when its first word is not 0. */
static unsigned char *put_rows(unsigned char *at, const struct gavel_field *rows, uint64_t count, const void *object,
                               uint64_t *pairs)
{
    for (uint64_t i = 0; i < count && at; i++) {
        const void *member = codec_member_const(object, &rows[i]);
        struct gavel_slice slice;
        uint64_t word;

        if (rows[i].type == GAVEL_LIST)
            continue; /* empty, or room_of would have said no */
        memcpy(&word, member, sizeof word);
        if (rows[i].type == GAVEL_VALUE && word) {
            memcpy(&slice, member, sizeof slice);
            word = slice.size;
        }
        if (!word && !(rows[i].flags & GAVEL_REQUIRED))
            continue;
        *at++ = (unsigned char)rows[i].id;
        at = rows[i].type == GAVEL_UINT ? put_uint(at, word) : put_member(at, &rows[i], member, word);
        ++*pairs;
    }
    return at;
}

int codec_quick_encode(const struct codec_message *what, const void *message, uint64_t tail_bytes,
                       struct gavel_buffer *out)
{
    const struct gavel_field *rows = what->fields->rows;
    uint64_t count = what->fields->count - (tail_bytes > 0);
    uint64_t room = 3 + 1 + NUMBER_BYTES; /* head, type, and a tail's header */
    uint64_t pairs = 1;
    unsigned char *start;
    unsigned char *at;

    assert(what->fields->stride == sizeof *rows); /* our own tables */
    for (uint64_t i = 0; i < count; i++) {
        uint64_t more = rows[i].type == GAVEL_UINT ? 1 + NUMBER_BYTES
                                                   : room_of(&rows[i], codec_member_const(message, &rows[i]));

        if (more == 0 || rows[i].id > FIXINT_MAX)
            return 0;
        room += more;
    }
    if (tail_bytes > UINT32_MAX || gavel_buffer_reserve(out, room) != GAVEL_OK)
        return 0;
    start = out->data + out->size;
    start[1] = CODEC_TYPE_NUMBER;
    start[2] = (unsigned char)what->type;
    at = put_rows(start + 3, rows, count, message, &pairs);
    if (at && tail_bytes) {
        *at = (unsigned char)rows[count].id;
        at = put_length(at + 1, BYTES_8, tail_bytes);
        pairs++;
    }
    if (!at || pairs > FIXMAP_MAX)
        return 0;
    *start = (unsigned char)(FIXMAP + pairs);
    out->size += (uint64_t)(at - start);
    return 1;
}
