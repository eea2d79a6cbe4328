/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe.c - field tables as documents and back: so that the command line, which has never seen a plugin, can check,
 * complete and explain its commands.
 */
#include <inttypes.h>

#include "core/codec/field_internal.h"

/* Sub-tables inside sub-tables of a document from elsewhere. */
#define REBUILD_DEPTH_MAX 8
#define REBUILD_CHOICES_MAX 1024 /* of one field: people choose among them */

static const struct {
    const char *name;
    uint64_t flag;
} flags[] = {
    {"required", GAVEL_REQUIRED},     {"key", GAVEL_KEY},
    {"secret", GAVEL_SECRET},         {"reloadable", GAVEL_RELOADABLE},
    {"replicated", GAVEL_REPLICATED}, {"deprecated", GAVEL_DEPRECATED},
};
#define FLAGS (sizeof flags / sizeof flags[0])

/* ---- out --------------------------------------------------------------------------------------------------------- */

static void text_if(struct gavel_writer *writer, const char *key, const char *text)
{
    if (!text)
        return;
    gavel_put_key(writer, key);
    gavel_put_text(writer, text);
}

static int has_bounds(const struct gavel_field *row)
{
    return row->min != 0 || row->max != 0;
}

static uint64_t pairs_of(const struct gavel_field *row)
{
    uint64_t count = 3; /* name, id, type */
    uint64_t i;

    for (i = 0; i < FLAGS; i++)
        count += (row->flags & flags[i].flag) != 0;
    count += row->fallback != NULL;
    count += has_bounds(row) ? 2 : 0;
    count += row->choices != NULL;
    count += row->unit != NULL;
    count += row->help != NULL;
    count += row->sub != NULL;
    count += row->type == GAVEL_LIST && !row->sub;
    return count;
}

static void describe_row(const struct gavel_field *row, struct gavel_writer *writer)
{
    uint64_t i;

    gavel_put_map(writer, pairs_of(row));
    text_if(writer, "name", row->name);
    gavel_put_key(writer, "id");
    gavel_put_uint(writer, row->id);
    text_if(writer, "type", codec_type_name(row->type));
    for (i = 0; i < FLAGS; i++) {
        if (row->flags & flags[i].flag) {
            gavel_put_key(writer, flags[i].name);
            gavel_put_bool(writer, 1);
        }
    }
    text_if(writer, "default", row->fallback);
    if (has_bounds(row)) {
        gavel_put_key(writer, "min");
        gavel_put_int(writer, row->min);
        gavel_put_key(writer, "max");
        gavel_put_int(writer, row->max);
    }
    if (row->choices) {
        gavel_put_key(writer, "choices");
        gavel_put_array(writer, codec_choice_count(row));
        for (i = 0; row->choices[i]; i++)
            gavel_put_text(writer, row->choices[i]);
        gavel_put_end(writer);
    }
    text_if(writer, "unit", row->unit);
    text_if(writer, "help", row->help);
    if (row->sub) {
        gavel_put_key(writer, "fields");
        codec_fields_describe(row->sub, writer);
    }
    if (row->type == GAVEL_LIST && !row->sub)
        text_if(writer, "element", codec_type_name(row->element));
    gavel_put_end(writer);
}

void codec_fields_describe(const struct gavel_fields *fields, struct gavel_writer *writer)
{
    struct gavel_field copy;
    uint64_t i;

    gavel_put_array(writer, fields ? fields->count : 0);
    for (i = 0; fields && i < fields->count; i++)
        describe_row(codec_row(fields, i, &copy), writer);
    gavel_put_end(writer);
}

/* ---- and back ---------------------------------------------------------------------------------------------------- */

static int32_t no_room(struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_TOO_LARGE, "a described table does not fit into the memory set aside");
}

/* A string of the document as a C string in the arena; NULL when it is absent. */
static int32_t text_of(struct gavel_slice value, struct codec_arena *arena, const char **text,
                       struct gavel_error *error)
{
    struct gavel_slice copy;

    *text = NULL;
    if (codec_get_string(value, &copy) != GAVEL_OK)
        return GAVEL_OK;
    if (codec_arena_copy(arena, copy, &copy) != GAVEL_OK)
        return no_room(error);
    *text = copy.data;
    return GAVEL_OK;
}

static int32_t choices_of(struct gavel_slice value, struct codec_arena *arena, struct gavel_field *row,
                          struct gavel_error *error)
{
    uint64_t count = codec_value_count(value);
    struct gavel_slice key, choice;
    const char **choices;
    struct codec_walk walk;
    uint64_t i;
    int32_t status = GAVEL_OK;

    if (codec_value_type(value) != GAVEL_TOKEN_ARRAY)
        return GAVEL_OK;
    if (count > REBUILD_CHOICES_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "a described field has at most %d choices", REBUILD_CHOICES_MAX);
    choices = codec_arena_take(arena, (count + 1) * sizeof *choices, 8);
    if (!choices)
        return no_room(error);
    codec_walk_begin(&walk, value);
    for (i = 0; i < count && status == GAVEL_OK && codec_walk_next(&walk, &key, &choice); i++) {
        status = text_of(choice, arena, &choices[i], error);
        if (status == GAVEL_OK && !choices[i])
            status = gavel_fail(error, GAVEL_E_INVALID, "a choice is not a string");
    }
    if (status == GAVEL_OK) {
        choices[count] = NULL;
        row->choices = choices;
    }
    return status;
}

static int32_t rebuild(struct gavel_slice document, int depth, struct codec_arena *arena,
                       const struct gavel_fields **fields, struct gavel_error *error);

static int32_t rebuild_row(struct gavel_slice described, int depth, struct codec_arena *arena, struct gavel_field *row,
                           struct gavel_error *error)
{
    struct gavel_slice sub = codec_map_find(described, "fields");
    uint64_t value = 0;
    uint64_t i;
    int32_t status;

    memset(row, 0, sizeof *row);
    row->id = codec_uint_or(codec_map_find(described, "id"), 0);
    row->type = codec_type_of(codec_string_or(codec_map_find(described, "type"), ""));
    row->element = codec_type_of(codec_string_or(codec_map_find(described, "element"), ""));
    row->min = codec_int_or(codec_map_find(described, "min"), 0);
    row->max = codec_int_or(codec_map_find(described, "max"), 0);
    for (i = 0; i < FLAGS; i++)
        if (codec_get_bool(codec_map_find(described, flags[i].name), &value) == GAVEL_OK && value)
            row->flags |= flags[i].flag;
    status = text_of(codec_map_find(described, "name"), arena, &row->name, error);
    if (status == GAVEL_OK)
        status = text_of(codec_map_find(described, "default"), arena, &row->fallback, error);
    if (status == GAVEL_OK)
        status = text_of(codec_map_find(described, "unit"), arena, &row->unit, error);
    if (status == GAVEL_OK)
        status = text_of(codec_map_find(described, "help"), arena, &row->help, error);
    if (status == GAVEL_OK)
        status = choices_of(codec_map_find(described, "choices"), arena, row, error);
    if (status == GAVEL_OK && sub.data)
        status = rebuild(sub, depth + 1, arena, &row->sub, error);
    return status;
}

static int32_t rebuild(struct gavel_slice document, int depth, struct codec_arena *arena,
                       const struct gavel_fields **fields, struct gavel_error *error)
{
    uint64_t count = codec_value_count(document);
    struct gavel_fields *table;
    struct gavel_field *rows;
    uint64_t offset = 8; /* behind `present` */
    uint64_t i;
    int32_t status;

    if (codec_value_type(document) != GAVEL_TOKEN_ARRAY || count > 64 || depth > REBUILD_DEPTH_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "a described table must be an array of at most 64 maps");
    table = codec_arena_take(arena, sizeof *table, 8);
    rows = codec_arena_take(arena, count * sizeof *rows, 8);
    if (!table || !rows)
        return no_room(error);
    for (i = 0; i < count; i++) {
        status = rebuild_row(codec_array_at(document, i), depth, arena, &rows[i], error);
        if (status != GAVEL_OK)
            return status;
        rows[i].offset = offset;
        offset += codec_member_size(&rows[i]);
    }
    table->rows = rows;
    table->count = count;
    table->stride = sizeof *rows;
    table->struct_size = offset;
    *fields = table;
    return GAVEL_OK;
}

int32_t codec_fields_rebuild(struct gavel_slice document, struct codec_arena *arena, const struct gavel_fields **fields,
                             struct gavel_error *error)
{
    const struct gavel_fields *table = NULL;
    int32_t status = rebuild(document, 0, arena, &table, error);

    if (status == GAVEL_OK)
        status = codec_fields_check(table, error);
    if (status == GAVEL_OK)
        *fields = table;
    return status;
}
