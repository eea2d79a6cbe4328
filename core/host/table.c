/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c - the checks of a field table, row by row.
 */
#include "core/host/table.h"

#include "core/host/option.h"
#include "core/os/clean.h"

#include <stdbool.h>
#include <stdlib.h>

#define TABLE_ROWS_MAX 64   /* bits of `present` */
#define TABLE_ID_MAX 127    /* one byte in MessagePack */
#define TABLE_DEPTH_MAX 8   /* records in records */
#define TABLE_STRUCT_MAX (1u << 20) /* bytes of a struct: more is a wrong number */

/* Bytes of a row's member; 0 for an unknown type. */
static uint64_t member_size(const struct gavel_field *field)
{
    switch (field->type) {
    case GAVEL_STRING:
    case GAVEL_BYTES:
    case GAVEL_VALUE:
        return sizeof(struct gavel_slice);
    case GAVEL_LIST:
        return sizeof(struct gavel_list);
    case GAVEL_RECORD:
        return field->sub ? field->sub->struct_size : sizeof(uint64_t);
    default:
        return field->type >= GAVEL_BOOL && field->type <= GAVEL_CHOICE ? sizeof(uint64_t) : 0;
    }
}

static bool is_key(const char *name)
{
    size_t size = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;

    return size > 0 && size < 64 && name[size] == 0;
}

/* What is wrong with one row; NULL when nothing is. */
static const char *row_fault(const struct gavel_fields *table, const struct gavel_field *field)
{
    uint64_t size = member_size(field);

    if (!is_key(field->name))
        return "its name is not made of lower-case letters, digits and '_'";
    if (field->id < 1 || field->id > TABLE_ID_MAX)
        return "its id is not 1 to 127";
    if (size == 0)
        return "its type is unknown to this gaveld";
    if (field->offset < sizeof(uint64_t) || field->offset % 8 || field->offset + size > table->struct_size)
        return "its member lies outside of the struct, or over its `present`";
    if (field->type == GAVEL_CHOICE && (!field->choices || !field->choices[0]))
        return "it has no choices";
    if (field->type == GAVEL_RECORD && !field->sub)
        return "it is a record without a table";
    if (field->type == GAVEL_LIST && !field->sub && field->element == 0)
        return "it is a list of nothing";
    if (field->type == GAVEL_LIST && field->element == GAVEL_CHOICE && (!field->choices || !field->choices[0]))
        return "it has no choices";
    return NULL;
}

static int32_t check_rows(const char *at, const char *what, const struct gavel_fields *table, unsigned depth,
                          struct gavel_error *error);

static int32_t check_row(const char *at, const char *what, const struct gavel_fields *table, uint64_t row,
                         unsigned depth, struct gavel_error *error)
{
    struct gavel_field field = host_field(table, row);
    const char *fault = row_fault(table, &field);

    if (fault)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: %s: row %llu (%.60s): %s", at, what, (unsigned long long)row,
                          field.name ? field.name : "without a name", fault);
    for (uint64_t i = 0; i < row; i++) {
        struct gavel_field other = host_field(table, i);

        if (other.id == field.id || strcmp(other.name, field.name) == 0)
            return gavel_fail(error, GAVEL_E_CONFIG, "%s: %s: rows %s and %s have the same name or id (%llu)", at, what,
                              other.name, field.name, (unsigned long long)field.id);
    }
    if (field.sub)
        return check_rows(at, what, field.sub, depth + 1, error);
    return GAVEL_OK;
}

static int32_t check_rows(const char *at, const char *what, const struct gavel_fields *table, unsigned depth,
                          struct gavel_error *error)
{
    int32_t status = GAVEL_OK;

    if (depth > TABLE_DEPTH_MAX)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: %s: tables within tables more than %d deep", at, what,
                          TABLE_DEPTH_MAX);
    if (table->count > TABLE_ROWS_MAX || (table->count && !table->rows) || table->stride % 8 ||
        table->stride < GAVEL_END(struct gavel_field, element) || table->struct_size < sizeof(uint64_t) ||
        table->struct_size > TABLE_STRUCT_MAX)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: %s: states %llu rows of %llu bytes for a struct of %llu; use "
                          "GAVEL_FIELDS", at, what, (unsigned long long)table->count, (unsigned long long)table->stride,
                          (unsigned long long)table->struct_size);
    for (uint64_t row = 0; row < table->count && status == GAVEL_OK; row++)
        status = check_row(at, what, table, row, depth, error);
    return status;
}

int32_t host_table_check(const char *at, const char *what, const struct gavel_fields *table, struct gavel_error *error)
{
    struct host_arena arena = {.first = NULL};
    os_autofree void *object = NULL;
    struct gavel_error inner;
    int32_t status = check_rows(at, what, table, 0, error);

    if (status != GAVEL_OK || strcmp(what, "options") != 0)
        return status; /* defaults of arguments are parsed by the leader, by rules that know documents */
    object = calloc(1, table->struct_size);
    if (!object)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    status = host_option_defaults(table, object, &arena, &inner);
    host_arena_free(&arena);
    if (status != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: %s: the default of %s", at, what, inner.text);
    return GAVEL_OK;
}
