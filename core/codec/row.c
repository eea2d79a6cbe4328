/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row.c - the rows of field tables: finding one, its bounds, the nearest spelling, and the check of a whole table.
 */
#include <assert.h>
#include <inttypes.h>

#include "core/codec/field_internal.h"

/* Names longer than this are not compared for a nearest spelling; a table's own are never that long. */
#define NAME_MAX_LENGTH 64
/* Sub-tables inside sub-tables: deeper ones are a loop. */
#define TABLE_DEPTH_MAX 8

static const struct {
    const char *name;
    const char *words;
    uint64_t size;
} types[] = {
    [GAVEL_BOOL] = {"bool", "true or false", 8},
    [GAVEL_UINT] = {"uint", "a whole number that is not negative", 8},
    [GAVEL_INT] = {"int", "a whole number", 8},
    [GAVEL_REAL] = {"real", "a number", 8},
    [GAVEL_DURATION] = {"duration", "a duration", 8},
    [GAVEL_SIZE] = {"size", "a size", 8},
    [GAVEL_STRING] = {"string", "a string", 16},
    [GAVEL_BYTES] = {"bytes", "bytes or a string", 16},
    [GAVEL_VALUE] = {"value", "a document", 16},
    [GAVEL_CHOICE] = {"choice", "one of the choices", 8},
    [GAVEL_RECORD] = {"record", "a map", 0},
    [GAVEL_LIST] = {"list", "an array", 24},
};
#define TYPES (sizeof types / sizeof types[0])

const struct gavel_field *codec_row(const struct gavel_fields *fields, uint64_t row, struct gavel_field *copy)
{
    const unsigned char *at = (const unsigned char *)fields->rows + row * fields->stride;

    assert(row < fields->count);
    if (fields->stride >= sizeof *copy)
        return (const struct gavel_field *)(const void *)at;
    memset(copy, 0, sizeof *copy);
    memcpy(copy, at, fields->stride);
    return copy;
}

uint64_t codec_row_named(const struct gavel_fields *fields, struct gavel_slice name)
{
    struct gavel_field copy;
    uint64_t i;

    for (i = 0; fields && i < fields->count; i++)
        if (gavel_slice_equal(gavel_text(codec_row(fields, i, &copy)->name), name))
            return i;
    return CODEC_NO_ROW;
}

uint64_t codec_row_numbered(const struct gavel_fields *fields, uint64_t id)
{
    struct gavel_field copy;
    uint64_t i;

    for (i = 0; fields && i < fields->count; i++)
        if (codec_row(fields, i, &copy)->id == id)
            return i;
    return CODEC_NO_ROW;
}

uint64_t codec_fields_key(const struct gavel_fields *fields)
{
    struct gavel_field copy;
    uint64_t i;

    for (i = 0; fields && i < fields->count; i++)
        if (codec_row(fields, i, &copy)->flags & GAVEL_KEY)
            return i;
    return CODEC_NO_ROW;
}

const char *codec_type_name(uint64_t type)
{
    return type > 0 && type < TYPES ? types[type].name : "unknown";
}

const char *codec_type_words(uint64_t type)
{
    return type > 0 && type < TYPES ? types[type].words : "of an unknown type";
}

uint64_t codec_type_of(struct gavel_slice name)
{
    uint64_t i;

    for (i = 1; i < TYPES; i++)
        if (gavel_slice_equal(gavel_text(types[i].name), name))
            return i;
    return 0;
}

uint64_t codec_member_size(const struct gavel_field *row)
{
    if (row->type == GAVEL_RECORD)
        return row->sub ? row->sub->struct_size : 0;
    return row->type > 0 && row->type < TYPES ? types[row->type].size : 0;
}

struct gavel_field codec_element_row(const struct gavel_field *list)
{
    struct gavel_field row = {.name = list->name, .type = list->element, .choices = list->choices};

    return row;
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

/* min == max == 0: no bounds; max below min: only a least value. */
static int has_max(const struct gavel_field *row)
{
    return row->max > row->min || (row->max == row->min && row->max != 0);
}

int32_t codec_bounds_uint(const struct gavel_field *row, uint64_t value, char *why)
{
    if (row->min > 0 && value < (uint64_t)row->min) {
        (void)snprintf(why, CODEC_WHY, "is %" PRIu64 "; the least is %" PRId64, value, row->min);
        return GAVEL_E_INVALID;
    }
    if (has_max(row) && (row->max < 0 || value > (uint64_t)row->max)) {
        (void)snprintf(why, CODEC_WHY, "is %" PRIu64 "; the greatest is %" PRId64, value, row->max);
        return GAVEL_E_INVALID;
    }
    return GAVEL_OK;
}

int32_t codec_bounds_int(const struct gavel_field *row, int64_t value, char *why)
{
    if ((row->min != 0 || row->max != 0) && value < row->min) {
        (void)snprintf(why, CODEC_WHY, "is %" PRId64 "; the least is %" PRId64, value, row->min);
        return GAVEL_E_INVALID;
    }
    if (has_max(row) && value > row->max) {
        (void)snprintf(why, CODEC_WHY, "is %" PRId64 "; the greatest is %" PRId64, value, row->max);
        return GAVEL_E_INVALID;
    }
    return GAVEL_OK;
}

int32_t codec_bounds_real(const struct gavel_field *row, double value, char *why)
{
    if ((row->min != 0 || row->max != 0) && value < (double)row->min) {
        (void)snprintf(why, CODEC_WHY, "is %g; the least is %" PRId64, value, row->min);
        return GAVEL_E_INVALID;
    }
    if (has_max(row) && value > (double)row->max) {
        (void)snprintf(why, CODEC_WHY, "is %g; the greatest is %" PRId64, value, row->max);
        return GAVEL_E_INVALID;
    }
    return GAVEL_OK;
}

int32_t codec_bounds_length(const struct gavel_field *row, uint64_t length, char *why)
{
    const char *what = row->type == GAVEL_LIST ? "element" : "byte";

    if (row->min > 0 && length < (uint64_t)row->min) {
        (void)snprintf(why, CODEC_WHY, "has %" PRIu64 " %ss; the least is %" PRId64, length, what, row->min);
        return GAVEL_E_INVALID;
    }
    if (has_max(row) && length > (uint64_t)row->max) {
        (void)snprintf(why, CODEC_WHY, "has %" PRIu64 " %ss; the most is %" PRId64, length, what, row->max);
        return GAVEL_E_TOO_LARGE;
    }
    return GAVEL_OK;
}

/* ---- choices ----------------------------------------------------------------------------------------------------- */

uint64_t codec_choice_count(const struct gavel_field *row)
{
    uint64_t count = 0;

    while (row->choices && row->choices[count])
        count++;
    return count;
}

uint64_t codec_choice(const struct gavel_field *row, struct gavel_slice name)
{
    uint64_t i;

    for (i = 0; row->choices && row->choices[i]; i++)
        if (gavel_slice_equal(gavel_text(row->choices[i]), name))
            return i;
    return CODEC_NO_ROW;
}

int32_t codec_choice_fail(const struct gavel_field *row, struct gavel_slice name, struct gavel_error *error)
{
    struct codec_nearest nearest = {.wanted = name};
    char hint[NAME_MAX_LENGTH + 32];
    char all[256];
    size_t used = 0;
    uint64_t i;

    all[0] = 0;
    for (i = 0; row->choices && row->choices[i]; i++) {
        codec_nearest_offer(&nearest, gavel_text(row->choices[i]));
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", row->choices[i]);
    }
    return gavel_fail(error, GAVEL_E_INVALID, "'%.*s' is none of %s%s", (int)(name.size < 64 ? name.size : 64),
                      (const char *)name.data, all, codec_nearest_text(&nearest, hint, sizeof hint));
}

/* ---- nearest spelling -------------------------------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t codec_distance(struct gavel_slice a, struct gavel_slice b, uint64_t bound)
{
    const unsigned char *x = a.data;
    const unsigned char *y = b.data;
    /* The three rows of the table that a swap of neighbours needs (optimal string alignment). */
    uint64_t rows[3][NAME_MAX_LENGTH + 1];
    uint64_t i;
    uint64_t j;

    if (a.size > NAME_MAX_LENGTH || b.size > NAME_MAX_LENGTH)
        return bound + 1;
    for (j = 0; j <= b.size; j++)
        rows[0][j] = j;
    for (i = 1; i <= a.size; i++) {
        uint64_t *row = rows[i % 3];
        const uint64_t *before = rows[(i + 2) % 3];
        const uint64_t *earlier = rows[(i + 1) % 3];
        row[0] = i;
        for (j = 1; j <= b.size; j++) {
            row[j] = least(least(row[j - 1], before[j]) + 1, before[j - 1] + (x[i - 1] != y[j - 1]));
            if (i > 1 && j > 1 && x[i - 1] == y[j - 2] && x[i - 2] == y[j - 1])
                row[j] = least(row[j], earlier[j - 2] + 1);
        }
    }
    return least(rows[a.size % 3][b.size], bound + 1);
}

void codec_nearest_offer(struct codec_nearest *nearest, struct gavel_slice name)
{
    uint64_t bound = nearest->wanted.size < 2 ? 1 : (nearest->wanted.size + 1) / 3;
    uint64_t distance = codec_distance(nearest->wanted, name, bound);

    if (distance <= bound && (!nearest->best.data || distance < nearest->distance)) {
        nearest->best = name;
        nearest->distance = distance;
    }
}

const char *codec_nearest_text(const struct codec_nearest *nearest, char *text, uint64_t size)
{
    text[0] = 0;
    if (nearest->best.data)
        (void)snprintf(text, size, "; did you mean '%.*s'?", (int)nearest->best.size, (const char *)nearest->best.data);
    return text;
}

/* ---- checking a table -------------------------------------------------------------------------------------------- */

static int well_formed(const char *name)
{
    const char *at;

    if (!name || !(*name >= 'a' && *name <= 'z') || strlen(name) > NAME_MAX_LENGTH)
        return 0;
    for (at = name; *at; at++)
        if (!((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '_'))
            return 0;
    return 1;
}

static int32_t check_table(const struct gavel_fields *fields, int depth, struct gavel_error *error);

static int32_t check_default(const struct gavel_field *row, struct gavel_error *error)
{
    _Alignas(16) unsigned char scratch[4096];
    _Alignas(16) unsigned char member[32];
    struct codec_arena arena = codec_arena(scratch, sizeof scratch);

    if (!row->fallback)
        return GAVEL_OK;
    if (codec_parse_member(row, gavel_text(row->fallback), member, &arena, error) == GAVEL_OK)
        return GAVEL_OK;
    return gavel_wrap(error, "its default");
}

static int32_t check_row(const struct gavel_fields *fields, const struct gavel_field *row, int depth,
                         struct gavel_error *error)
{
    uint64_t size = codec_member_size(row);

    if (size == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "its type %" PRIu64 " is unknown, or a record has no sub-table",
                          row->type);
    if (row->id < 1 || row->id > 127)
        return gavel_fail(error, GAVEL_E_INVALID, "its id %" PRIu64 " is not in 1..127", row->id);
    if (row->offset < 8 || row->offset % 8 || row->offset > fields->struct_size ||
        size > fields->struct_size - row->offset)
        return gavel_fail(error, GAVEL_E_INVALID,
                          "its member lies outside of the struct, over `present`, or is not aligned");
    if (row->type == GAVEL_CHOICE && codec_choice_count(row) == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "it has no choices");
    if (row->type == GAVEL_LIST && !row->sub &&
        (row->element < GAVEL_BOOL || row->element > GAVEL_CHOICE ||
         (row->element == GAVEL_CHOICE && codec_choice_count(row) == 0)))
        return gavel_fail(error, GAVEL_E_INVALID, "its elements have no type that a list can have");
    if ((row->type == GAVEL_RECORD || (row->type == GAVEL_LIST && row->sub)) &&
        check_table(row->sub, depth + 1, error) != GAVEL_OK)
        return gavel_wrap(error, "its table");
    return check_default(row, error);
}

static int32_t check_table(const struct gavel_fields *fields, int depth, struct gavel_error *error)
{
    struct gavel_field copy;
    uint64_t i;

    if (!fields)
        return GAVEL_OK;
    if (depth > TABLE_DEPTH_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "tables are nested deeper than %d", TABLE_DEPTH_MAX);
    if (fields->count > 64 ||
        (fields->count && (!fields->rows || fields->stride < offsetof(struct gavel_field, fallback) ||
                           fields->stride % 8 || fields->struct_size < 8)))
        return gavel_fail(error, GAVEL_E_INVALID, "a field table has over 64 rows, no rows or no stride");
    for (i = 0; i < fields->count; i++) {
        const struct gavel_field *row = codec_row(fields, i, &copy);
        char where[NAME_MAX_LENGTH + 16];
        if (!well_formed(row->name))
            return gavel_fail(error, GAVEL_E_INVALID, "row %" PRIu64 ": its name is not of a-z, 0-9 and '_'", i);
        (void)snprintf(where, sizeof where, "row '%s'", row->name);
        if (codec_row_named(fields, gavel_text(row->name)) != i || codec_row_numbered(fields, row->id) != i)
            return gavel_fail(error, GAVEL_E_INVALID, "%s: its name or its id is there twice", where);
        if (check_row(fields, row, depth, error) != GAVEL_OK)
            return gavel_wrap(error, where);
    }
    return GAVEL_OK;
}

int32_t codec_fields_check(const struct gavel_fields *fields, struct gavel_error *error)
{
    struct gavel_error own;

    return check_table(fields, 0, error ? error : &own);
}
