/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.c - text in the syntax of INI files and the command line, into the members of a struct.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/codec/field_internal.h"

/* What of a text goes into a sentence. */
#define SHOWN 64
/* No number that a double can tell apart is longer in text. */
#define REAL_TEXT_MAX 64

static int shown(struct gavel_slice text)
{
    return (int)(text.size < SHOWN ? text.size : SHOWN);
}

static int32_t not_a(struct gavel_slice text, const char *what, struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_INVALID, "'%.*s' is not %s", shown(text), (const char *)text.data, what);
}

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

static int same_word(struct gavel_slice text, const char *word)
{
    const char *at = text.data;
    uint64_t i;

    if (text.size != strlen(word))
        return 0;
    for (i = 0; i < text.size; i++) {
        char lower = at[i] >= 'A' && at[i] <= 'Z' ? (char)(at[i] + 32) : at[i];
        if (lower != word[i])
            return 0;
    }
    return 1;
}

int32_t codec_parse_bool(struct gavel_slice text, uint64_t *out, struct gavel_error *error)
{
    static const char *const words[2][3] = {{"no", "false", "off"}, {"yes", "true", "on"}};
    uint64_t value;
    int i;

    for (value = 0; value < 2; value++)
        for (i = 0; i < 3; i++)
            if (same_word(text, words[value][i])) {
                *out = value;
                return GAVEL_OK;
            }
    return not_a(text, "yes or no", error);
}

/* Leading digits of a text; *used of them. -1 on overflow. */
static int digits(struct gavel_slice text, uint64_t *value, uint64_t *used)
{
    const char *at = text.data;
    uint64_t i;

    *value = 0;
    for (i = 0; i < text.size && at[i] >= '0' && at[i] <= '9'; i++)
        if (__builtin_mul_overflow(*value, UINT64_C(10), value) ||
            __builtin_add_overflow(*value, (uint64_t)(at[i] - '0'), value))
            return -1;
    *used = i;
    return 0;
}

int32_t codec_parse_uint(struct gavel_slice text, uint64_t *out, struct gavel_error *error)
{
    uint64_t value;
    uint64_t used;

    if (digits(text, &value, &used) != 0)
        return not_a(text, "a number of 64 bits", error);
    if (used == 0 || used != text.size)
        return not_a(text, "a whole number that is not negative", error);
    *out = value;
    return GAVEL_OK;
}

int32_t codec_parse_int(struct gavel_slice text, int64_t *out, struct gavel_error *error)
{
    const char *at = text.data;
    int negative = text.size > 0 && at[0] == '-';
    uint64_t value;
    uint64_t used;

    if (digits(gavel_bytes(at + negative, text.size - (uint64_t)negative), &value, &used) != 0 ||
        value > (uint64_t)INT64_MAX + (uint64_t)negative)
        return not_a(text, "a signed number of 64 bits", error);
    if (used == 0 || used + (uint64_t)negative != text.size)
        return not_a(text, "a whole number", error);
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return GAVEL_OK;
}

int32_t codec_parse_real(struct gavel_slice text, double *out, struct gavel_error *error)
{
    char copy[REAL_TEXT_MAX];
    char *end;
    double value;
    uint64_t i;

    if (text.size == 0 || text.size >= sizeof copy)
        return not_a(text, "a number", error);
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    for (i = 0; i < text.size; i++) /* strtod would take "inf", "nan", hexadecimal and leading blanks too */
        if (!strchr("0123456789+-.eE", copy[i]))
            return not_a(text, "a number", error);
    value = strtod(copy, &end);
    if (*end || !isfinite(value))
        return not_a(text, "a number", error);
    *out = value;
    return GAVEL_OK;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static int32_t parse_unit(struct gavel_slice text, const struct unit *units, const char *what, uint64_t *out,
                          struct gavel_error *error)
{
    uint64_t value;
    uint64_t used;
    struct gavel_slice rest;

    if (digits(text, &value, &used) != 0)
        return not_a(text, "a number of 64 bits", error);
    rest = gavel_bytes((const char *)text.data + used, text.size - used);
    while (rest.size && *(const char *)rest.data == ' ')
        rest = gavel_bytes((const char *)rest.data + 1, rest.size - 1);
    for (; used > 0 && units->name; units++)
        if (gavel_slice_equal(rest, gavel_text(units->name))) {
            if (__builtin_mul_overflow(value, units->factor, out))
                return not_a(text, "a number of 64 bits", error);
            return GAVEL_OK;
        }
    return not_a(text, what, error);
}

int32_t codec_parse_duration(struct gavel_slice text, uint64_t *milliseconds, struct gavel_error *error)
{
    static const struct unit units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};

    return parse_unit(text, units, "a duration: a whole number and ms, s, m or h", milliseconds, error);
}

int32_t codec_parse_size(struct gavel_slice text, uint64_t *bytes, struct gavel_error *error)
{
    static const struct unit units[] = {
        {"", 1}, {"KiB", UINT64_C(1) << 10}, {"MiB", UINT64_C(1) << 20}, {"GiB", UINT64_C(1) << 30}, {NULL, 0}};

    return parse_unit(text, units, "a size: a whole number and nothing, KiB, MiB or GiB", bytes, error);
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

/* Say what is wrong with a text whose meaning is out of bounds. */
static int32_t out_of_bounds(struct gavel_slice text, const char *why, int32_t status, struct gavel_error *error)
{
    (void)text;
    return gavel_fail(error, status, "%s", why);
}

static int32_t parse_whole(const struct gavel_field *row, struct gavel_slice text, void *member,
                           struct gavel_error *error)
{
    uint64_t value = 0;
    int32_t status;
    char why[CODEC_WHY];

    if (row->type == GAVEL_DURATION)
        status = codec_parse_duration(text, &value, error);
    else if (row->type == GAVEL_SIZE)
        status = codec_parse_size(text, &value, error);
    else
        status = codec_parse_uint(text, &value, error);
    if (status != GAVEL_OK)
        return status;
    status = codec_bounds_uint(row, value, why);
    if (status != GAVEL_OK)
        return out_of_bounds(text, why, status, error);
    memcpy(member, &value, sizeof value);
    return GAVEL_OK;
}

static int32_t parse_int_member(const struct gavel_field *row, struct gavel_slice text, void *member,
                                struct gavel_error *error)
{
    int64_t value = 0;
    char why[CODEC_WHY];
    int32_t status = codec_parse_int(text, &value, error);

    if (status != GAVEL_OK)
        return status;
    status = codec_bounds_int(row, value, why);
    if (status != GAVEL_OK)
        return out_of_bounds(text, why, status, error);
    memcpy(member, &value, sizeof value);
    return GAVEL_OK;
}

static int32_t parse_real_member(const struct gavel_field *row, struct gavel_slice text, void *member,
                                 struct gavel_error *error)
{
    double value = 0;
    char why[CODEC_WHY];
    int32_t status = codec_parse_real(text, &value, error);

    if (status != GAVEL_OK)
        return status;
    status = codec_bounds_real(row, value, why);
    if (status != GAVEL_OK)
        return out_of_bounds(text, why, status, error);
    memcpy(member, &value, sizeof value);
    return GAVEL_OK;
}

static int32_t no_room(struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_TOO_LARGE, "there is no room left to keep it");
}

static int32_t parse_text_member(const struct gavel_field *row, struct gavel_slice text, void *member,
                                 struct codec_arena *arena, struct gavel_error *error)
{
    struct gavel_slice copy;
    char why[CODEC_WHY];
    int32_t status = codec_bounds_length(row, text.size, why);

    if (status != GAVEL_OK)
        return out_of_bounds(text, why, status, error);
    if (row->type == GAVEL_STRING && !mp_utf8(text.data, text.size))
        return gavel_fail(error, GAVEL_E_INVALID, "it is not valid UTF-8");
    status = codec_arena_copy(arena, text, &copy);
    if (status != GAVEL_OK)
        return no_room(error);
    memcpy(member, &copy, sizeof copy);
    return GAVEL_OK;
}

/* A VALUE in an INI file is a string. */
static int32_t parse_value_member(const struct gavel_field *row, struct gavel_slice text, void *member,
                                  struct codec_arena *arena, struct gavel_error *error)
{
    struct mp_writer writer;
    struct gavel_buffer out;
    struct gavel_slice value;
    char why[CODEC_WHY];
    void *memory = codec_arena_take(arena, text.size + 5, 1); /* the longest head of a string has 5 bytes */
    int32_t status;

    if (!memory)
        return no_room(error);
    out = codec_buffer_fixed(memory, text.size + 5);
    gavel_put_string(mp_writer_init(&writer, &out), text);
    status = mp_writer_end(&writer, NULL);
    if (status != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_INVALID, "it is not valid UTF-8");
    status = codec_bounds_length(row, out.size, why);
    if (status != GAVEL_OK)
        return out_of_bounds(text, why, status, error);
    value = gavel_buffer_slice(&out);
    memcpy(member, &value, sizeof value);
    return GAVEL_OK;
}

/* Take the next word of a list off the front of *text; 0 when there is none. */
static int next_word(struct gavel_slice *text, struct gavel_slice *word)
{
    const char *at = text->data;
    uint64_t begin = 0;
    uint64_t end;

    while (begin < text->size && strchr(" \t,", at[begin]) && at[begin])
        begin++;
    end = begin;
    while (end < text->size && !(strchr(" \t,", at[end]) && at[end]))
        end++;
    *word = gavel_bytes(at + begin, end - begin);
    *text = gavel_bytes(at + end, text->size - end);
    return word->size > 0;
}

static int32_t parse_list_member(const struct gavel_field *row, struct gavel_slice text, void *member,
                                 struct codec_arena *arena, struct gavel_error *error)
{
    struct gavel_field element = codec_element_row(row);
    uint64_t stride = codec_member_size(&element);
    struct gavel_slice rest = text;
    struct gavel_slice word;
    struct gavel_list list = {.stride = stride};
    unsigned char *items;
    char why[CODEC_WHY];
    int32_t status;

    if (row->sub)
        return gavel_fail(error, GAVEL_E_INVALID, "a list of records cannot be given as text");
    while (next_word(&rest, &word))
        list.count++;
    status = codec_bounds_length(row, list.count, why);
    if (status != GAVEL_OK)
        return out_of_bounds(text, why, status, error);
    items = codec_arena_take(arena, list.count * stride, 8);
    if (!items)
        return no_room(error);
    list.items = items;
    for (rest = text; next_word(&rest, &word); items += stride) {
        status = codec_parse_member(&element, word, items, arena, error);
        if (status != GAVEL_OK)
            return status;
    }
    memcpy(member, &list, sizeof list);
    return GAVEL_OK;
}

int32_t codec_parse_member(const struct gavel_field *row, struct gavel_slice text, void *member,
                           struct codec_arena *arena, struct gavel_error *error)
{
    uint64_t value = 0;
    int32_t status = GAVEL_OK;

    switch (row->type) {
    case GAVEL_UINT:
    case GAVEL_DURATION:
    case GAVEL_SIZE:
        return parse_whole(row, text, member, error);
    case GAVEL_INT:
        return parse_int_member(row, text, member, error);
    case GAVEL_REAL:
        return parse_real_member(row, text, member, error);
    case GAVEL_STRING:
    case GAVEL_BYTES:
        return parse_text_member(row, text, member, arena, error);
    case GAVEL_VALUE:
        return parse_value_member(row, text, member, arena, error);
    case GAVEL_LIST:
        return parse_list_member(row, text, member, arena, error);
    case GAVEL_BOOL:
        status = codec_parse_bool(text, &value, error);
        break;
    case GAVEL_CHOICE:
        value = codec_choice(row, text);
        if (value == CODEC_NO_ROW)
            return codec_choice_fail(row, text, error);
        break;
    default:
        return gavel_fail(error, GAVEL_E_INVALID, "a record cannot be given as text");
    }
    if (status == GAVEL_OK)
        memcpy(member, &value, sizeof value);
    return status;
}

/* ---- structs ----------------------------------------------------------------------------------------------------- */

int32_t codec_field_parse(const struct gavel_fields *fields, uint64_t row, struct gavel_slice text, void *object,
                          struct codec_arena *arena, struct gavel_error *error)
{
    struct gavel_field copy;
    const struct gavel_field *field = codec_row(fields, row, &copy);
    int32_t status = codec_parse_member(field, text, codec_member(object, field), arena, error);

    if (status == GAVEL_OK)
        codec_mark(object, row);
    return status;
}

static int32_t named(const struct gavel_field *row, struct gavel_error *error, int32_t status)
{
    char name[96];

    (void)snprintf(name, sizeof name, "'%s'", row->name);
    return error ? gavel_wrap(error, name) : status;
}

int32_t codec_fields_defaults(const struct gavel_fields *fields, void *object, struct codec_arena *arena,
                              struct gavel_error *error)
{
    struct gavel_field copy;
    uint64_t i;
    int32_t status = GAVEL_OK;

    if (!fields)
        return GAVEL_OK;
    memset(object, 0, fields->struct_size);
    for (i = 0; i < fields->count && status == GAVEL_OK; i++) {
        const struct gavel_field *row = codec_row(fields, i, &copy);
        if (row->type == GAVEL_RECORD)
            status = codec_fields_defaults(row->sub, codec_member(object, row), arena, error);
        else if (row->fallback)
            status = codec_field_parse(fields, i, gavel_text(row->fallback), object, arena, error);
        if (status != GAVEL_OK)
            return named(row, error, status);
    }
    return status;
}

int32_t codec_fields_set(const struct gavel_fields *fields, const char *name, const char *text, void *object,
                         struct codec_arena *arena, struct gavel_error *error)
{
    struct codec_nearest nearest = {.wanted = gavel_text(name)};
    struct gavel_field copy;
    char hint[128];
    uint64_t row = codec_row_named(fields, gavel_text(name));
    uint64_t i;
    int32_t status;

    if (row == CODEC_NO_ROW) {
        for (i = 0; fields && i < fields->count; i++)
            codec_nearest_offer(&nearest, gavel_text(codec_row(fields, i, &copy)->name));
        return gavel_fail(error, GAVEL_E_NOT_FOUND, "unknown option '%s'%s", name,
                          codec_nearest_text(&nearest, hint, sizeof hint));
    }
    status = codec_field_parse(fields, row, gavel_text(text), object, arena, error);
    return status == GAVEL_OK ? status : named(codec_row(fields, row, &copy), error, status);
}

int32_t codec_fields_complete(const struct gavel_fields *fields, const void *object, struct gavel_error *error)
{
    struct gavel_field copy;
    uint64_t i;
    int32_t status;

    for (i = 0; fields && i < fields->count; i++) {
        const struct gavel_field *row = codec_row(fields, i, &copy);
        if (!gavel_present(object, i)) {
            if (row->flags & GAVEL_REQUIRED)
                return gavel_fail(error, GAVEL_E_INVALID, "'%s' is missing", row->name);
        } else if (row->type == GAVEL_RECORD) {
            status = codec_fields_complete(row->sub, codec_member_const(object, row), error);
            if (status != GAVEL_OK)
                return named(row, error, status);
        }
    }
    return GAVEL_OK;
}
