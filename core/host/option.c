/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.c - the words around the parser of core/codec: what a row takes, and what it holds.
 */
#include "core/host/option.h"

#include "core/codec/field.h"
#include "core/host/words.h"
#include "core/os/clean.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#define OPTION_SHOW_MAX 60   /* bytes of a wrong value that a sentence quotes */

struct gavel_field host_field(const struct gavel_fields *table, uint64_t row)
{
    struct gavel_field field;

    return *codec_row(table, row, &field);
}

/* ---- what was expected ------------------------------------------------------------------------------------------- */

static int32_t refuse(const struct gavel_field *field, const char *text, struct gavel_error *error)
{
    os_autofree char *wanted = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&wanted, &size);

    if (!out)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    host_words_takes(field, HOST_IN_INI, out);
    (void)fclose(out);
    if (field->flags & GAVEL_SECRET)
        return gavel_fail(error, GAVEL_E_INVALID, "expected %s (the value is secret and not shown)", wanted);
    return gavel_fail(error, GAVEL_E_INVALID, "expected %s, found \"%.*s\"%s", wanted, OPTION_SHOW_MAX, text,
                      strlen(text) > OPTION_SHOW_MAX ? "..." : "");
}

/* ---- text to value ----------------------------------------------------------------------------------------------- */

/*
 * The text is parsed by core/codec, as on the command line; here it is said what would have been right. Everything
 * that a text can become fits in this many bytes: the strings, and a slice for each element of a list.
 */
static size_t room_for(const char *text)
{
    size_t size = strlen(text) + 1;

    return size * 2 + (size / 2 + 1) * sizeof(struct gavel_slice) + 64;
}

static int32_t explain(const struct gavel_field *field, const char *text, struct gavel_error *error)
{
    struct codec_nearest nearest = {.wanted = gavel_text(text)};
    bool bytes = error && strstr(error->text, "UTF-8");
    int32_t status;
    char hint[128];
    size_t used;

    if (bytes)
        return gavel_fail(error, GAVEL_E_INVALID, "expected text, found bytes that are not UTF-8");
    status = refuse(field, text, error);
    for (uint64_t i = 0; field->type == GAVEL_CHOICE && field->choices[i]; i++)
        codec_nearest_offer(&nearest, gavel_text(field->choices[i]));
    if (error && nearest.best.data) {
        used = strlen(error->text);
        (void)snprintf(error->text + used, sizeof error->text - used, "%s",
                       codec_nearest_text(&nearest, hint, sizeof hint));
    }
    return status;
}

/* ---- structs ----------------------------------------------------------------------------------------------------- */

int32_t host_option_set(const struct gavel_fields *table, uint64_t row, const char *text, void *object,
                        struct host_arena *arena, struct gavel_error *error)
{
    struct gavel_field field = host_field(table, row);
    size_t room = room_for(text);
    struct codec_arena memory = codec_arena(host_arena_take(arena, room), room);
    struct gavel_error why = {.code = 0};

    assert(field.offset < table->struct_size);
    if (codec_field_parse(table, row, gavel_text(text), object, &memory, &why) == GAVEL_OK)
        return GAVEL_OK;
    if (error)
        *error = why;
    return explain(&field, text, error);
}

int32_t host_option_defaults(const struct gavel_fields *table, void *object, struct host_arena *arena,
                             struct gavel_error *error)
{
    for (uint64_t row = 0; row < table->count; row++) {
        struct gavel_field field = host_field(table, row);
        int32_t status = GAVEL_OK;

        if (field.type == GAVEL_RECORD && field.sub)
            status = host_option_defaults(field.sub, (char *)object + field.offset, arena, error);
        else if (field.fallback && !gavel_present(object, row))
            status = host_option_set(table, row, field.fallback, object, arena, error);
        if (status != GAVEL_OK)
            return gavel_wrap(error, field.name);
    }
    return GAVEL_OK;
}

int32_t host_option_find(const struct gavel_fields **table, void **object, const char *key, uint64_t *row)
{
    const struct gavel_fields *in = *table;
    size_t size = strcspn(key, ".");

    for (uint64_t i = 0; in && i < in->count; i++) {
        struct gavel_field field = host_field(in, i);

        if (strlen(field.name) != size || memcmp(field.name, key, size) != 0)
            continue;
        if (key[size] == 0) {
            *row = i;
            return GAVEL_OK;
        }
        if (field.type != GAVEL_RECORD)
            return GAVEL_E_NOT_FOUND;
        *table = field.sub;
        if (*object)
            *object = (char *)*object + field.offset;
        return host_option_find(table, object, key + size + 1, row);
    }
    return GAVEL_E_NOT_FOUND;
}

/* ---- value to text ----------------------------------------------------------------------------------------------- */

static void print_value(const struct gavel_field *field, const void *member, FILE *out)
{
    uint64_t number;
    int64_t whole;
    double real;
    struct gavel_slice slice;

    memcpy(&number, member, sizeof number);
    memcpy(&whole, member, sizeof whole);
    memcpy(&real, member, sizeof real);
    switch (field->type) {
    case GAVEL_BOOL:
        (void)fputs(number ? "yes" : "no", out);
        break;
    case GAVEL_UINT:
        (void)fprintf(out, "%" PRIu64, number);
        break;
    case GAVEL_INT:
        (void)fprintf(out, "%" PRId64, whole);
        break;
    case GAVEL_REAL:
        (void)fprintf(out, "%.17g", real);
        break;
    case GAVEL_DURATION:
        host_words_scaled(field->type, number, out);
        break;
    case GAVEL_SIZE:
        host_words_scaled(field->type, number, out);
        break;
    case GAVEL_CHOICE:
        (void)fputs(field->choices[number], out);
        break;
    case GAVEL_STRING:
    case GAVEL_BYTES:
        memcpy(&slice, member, sizeof slice);
        (void)fprintf(out, "%.*s", (int)slice.size, (const char *)slice.data);
        break;
    default:
        break;
    }
}

void host_option_print(const struct gavel_fields *table, uint64_t row, const void *object, FILE *out)
{
    struct gavel_field field = host_field(table, row);
    const char *member = (const char *)object + field.offset;
    struct gavel_list list;

    if (!gavel_present(object, row))
        return;
    if (field.type != GAVEL_LIST) {
        print_value(&field, member, out);
        return;
    }
    memcpy(&list, member, sizeof list);
    field.type = field.element;
    for (uint64_t i = 0; i < list.count; i++) {
        (void)fputs(i ? ", " : "", out);
        print_value(&field, (const char *)list.items + i * list.stride, out);
    }
}
