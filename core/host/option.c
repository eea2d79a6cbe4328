/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.c - text into a struct by its table.
 */
#include "core/host/option.h"

#include "core/host/spell.h"
#include "core/os/clean.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <strings.h>

#define OPTION_LIST_MAX 1024 /* elements of a list in an INI file */
#define OPTION_SHOW_MAX 60   /* bytes of a wrong value that a sentence quotes */

/* A unit behind a number, and what it multiplies with. */
struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit size_units[] = {
    {"GiB", UINT64_C(1) << 30}, {"MiB", UINT64_C(1) << 20}, {"KiB", UINT64_C(1) << 10}, {"", 1}, {NULL, 0}};

struct gavel_field host_field(const struct gavel_fields *table, uint64_t row)
{
    struct gavel_field field;
    size_t size = table->stride < sizeof field ? (size_t)table->stride : sizeof field;

    assert(row < table->count);
    memset(&field, 0, sizeof field);
    memcpy(&field, (const char *)table->rows + row * table->stride, size);
    return field;
}

const char *host_option_type(uint64_t type)
{
    static const char *const names[] = {"unknown", "bool",  "uint",  "int",    "real",   "duration", "size",
                                        "string",  "bytes", "value", "choice", "record", "list"};

    return type < sizeof names / sizeof names[0] ? names[type] : names[0];
}

/* ---- what a row takes -------------------------------------------------------------------------------------------- */

static void print_scaled(uint64_t value, const struct unit *unit, FILE *out)
{
    while (unit[1].name && (value == 0 || value % unit->factor != 0))
        unit++;
    (void)fprintf(out, "%" PRIu64 "%s", value / unit->factor, unit->name);
}

static void print_bound(const struct gavel_field *field, int64_t value, FILE *out)
{
    if (field->type == GAVEL_DURATION)
        print_scaled((uint64_t)value, duration_units, out);
    else if (field->type == GAVEL_SIZE)
        print_scaled((uint64_t)value, size_units, out);
    else
        (void)fprintf(out, "%" PRId64, value);
}

/* A table states no upper bound by leaving max 0 under a positive min. */
static bool has_max(const struct gavel_field *field)
{
    return field->max != 0 || field->min < 0;
}

static void print_range(const struct gavel_field *field, FILE *out)
{
    bool length = field->type == GAVEL_STRING || field->type == GAVEL_BYTES;

    if (field->min == 0 && field->max == 0)
        return;
    if (has_max(field)) {
        (void)fputs(" of ", out);
        print_bound(field, field->min, out);
        (void)fputs(" to ", out);
        print_bound(field, field->max, out);
    } else {
        (void)fputs(" of at least ", out);
        print_bound(field, field->min, out);
    }
    if (length)
        (void)fputs(" bytes", out);
    if (field->type == GAVEL_LIST)
        (void)fputs(" elements", out);
}

static void print_choices(const struct gavel_field *field, FILE *out)
{
    for (uint64_t i = 0; field->choices && field->choices[i]; i++)
        (void)fprintf(out, "%s%s", i == 0 ? "one of " : ", ", field->choices[i]);
}

static void describe(const struct gavel_field *field, FILE *out)
{
    static const char *const words[] = {"a value of an unknown type",
                                        "yes or no",
                                        "a whole number",
                                        "a whole number",
                                        "a number",
                                        "a duration (such as 150ms, 2s)",
                                        "a size (such as 64KiB, 16MiB)",
                                        "text",
                                        "bytes",
                                        "a document",
                                        "",
                                        "a record (its members are written with a dot)",
                                        "a list"};

    if (field->type == GAVEL_CHOICE) {
        print_choices(field, out);
        return;
    }
    (void)fputs(words[field->type < sizeof words / sizeof words[0] ? field->type : 0], out);
    if (field->type == GAVEL_LIST) {
        struct gavel_field element = {.type = field->element, .choices = field->choices};

        (void)fputs(" (separated by commas or blanks)", out);
        print_range(field, out);
        (void)fputs(", each ", out);
        describe(&element, out);
        return;
    }
    if (field->type != GAVEL_BOOL)
        print_range(field, out);
}

void host_option_describe(const struct gavel_fields *table, uint64_t row, FILE *out)
{
    struct gavel_field field = host_field(table, row);

    describe(&field, out);
}

static int32_t refuse(const struct gavel_field *field, const char *text, struct gavel_error *error)
{
    os_autofree char *wanted = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&wanted, &size);

    if (!out)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    describe(field, out);
    (void)fclose(out);
    if (field->flags & GAVEL_SECRET)
        return gavel_fail(error, GAVEL_E_INVALID, "expected %s (the value is secret and not shown)", wanted);
    return gavel_fail(error, GAVEL_E_INVALID, "expected %s, found \"%.*s\"%s", wanted, OPTION_SHOW_MAX, text,
                      strlen(text) > OPTION_SHOW_MAX ? "..." : "");
}

/* ---- text to value ----------------------------------------------------------------------------------------------- */

static bool is_utf8(const char *text, size_t size)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + size;

    while (at < end) {
        unsigned lead = *at, more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        uint32_t code = more ? lead & (0x3fu >> more) : lead;

        if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || (size_t)(end - at) <= more)
            return false;
        for (unsigned i = 1; i <= more; i++) {
            if ((at[i] & 0xc0) != 0x80)
                return false;
            code = code << 6 | (at[i] & 0x3fu);
        }
        if ((more == 2 && code < 0x800) || (more == 3 && code < 0x10000) || code > 0x10ffff ||
            (code >= 0xd800 && code <= 0xdfff))
            return false;
        at += more + 1;
    }
    return true;
}

static bool in_range(const struct gavel_field *field, uint64_t value)
{
    if (field->min == 0 && field->max == 0)
        return true;
    if (field->min > 0 && value < (uint64_t)field->min)
        return false;
    return !has_max(field) || (field->max >= 0 && value <= (uint64_t)field->max);
}

static bool parse_bool(const char *text, uint64_t *value)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};

    for (unsigned i = 0; i < 6; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *value = i % 2;
            return true;
        }
    }
    return false;
}

/* Digits only: strtoull would take "-1" and blanks. */
static bool parse_uint(const char *text, const char **end, uint64_t *value)
{
    char *stop;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &stop, 10);
    *end = stop;
    return errno == 0;
}

static bool parse_scaled(const char *text, const struct unit *units, const char *bare, uint64_t *value)
{
    const char *end;

    if (!parse_uint(text, &end, value))
        return false;
    while (*end == ' ')
        end++;
    if (*end == 0)
        end = bare;
    for (; units->name; units++) {
        if (strcasecmp(end, units->name) == 0) {
            if (*value > UINT64_MAX / units->factor)
                return false;
            *value *= units->factor;
            return true;
        }
    }
    return false;
}

static bool parse_int(const struct gavel_field *field, const char *text, void *member)
{
    char *end;
    int64_t value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (end == text || *end || errno || *text == ' ' || *text == '+')
        return false;
    if ((field->min || field->max) && (value < field->min || (has_max(field) && value > field->max)))
        return false;
    memcpy(member, &value, sizeof value);
    return true;
}

static bool parse_real(const struct gavel_field *field, const char *text, void *member)
{
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    if (end == text || *end || errno || !isfinite(value) || *text == ' ')
        return false;
    if ((field->min || field->max) && (value < (double)field->min || (has_max(field) && value > (double)field->max)))
        return false;
    memcpy(member, &value, sizeof value);
    return true;
}

static bool parse_number(const struct gavel_field *field, const char *text, void *member)
{
    const char *end = "";
    uint64_t value = 0;
    bool good;

    if (field->type == GAVEL_BOOL)
        good = parse_bool(text, &value);
    else if (field->type == GAVEL_DURATION)
        good = parse_scaled(text, duration_units, "ms", &value);
    else if (field->type == GAVEL_SIZE)
        good = parse_scaled(text, size_units, "", &value);
    else
        good = parse_uint(text, &end, &value) && *end == 0;
    if (!good || (field->type != GAVEL_BOOL && !in_range(field, value)))
        return false;
    memcpy(member, &value, sizeof value);
    return true;
}

static int32_t parse_choice(const struct gavel_field *field, const char *text, void *member, struct gavel_error *error)
{
    struct host_spell spell = host_spell(text);

    for (uint64_t i = 0; field->choices && field->choices[i]; i++) {
        if (strcmp(field->choices[i], text) == 0) {
            memcpy(member, &i, sizeof i);
            return GAVEL_OK;
        }
        host_spell_offer(&spell, field->choices[i]);
    }
    (void)refuse(field, text, error);
    if (error && host_spell_best(&spell)) {
        size_t used = strlen(error->text);

        (void)snprintf(error->text + used, sizeof error->text - used, "; did you mean %s?", host_spell_best(&spell));
    }
    return GAVEL_E_INVALID;
}

static int32_t parse_text(const struct gavel_field *field, const char *text, void *member, struct host_arena *arena,
                          struct gavel_error *error)
{
    struct gavel_slice slice = gavel_text(text);

    if (field->type == GAVEL_STRING && !is_utf8(text, strlen(text)))
        return gavel_fail(error, GAVEL_E_INVALID, "expected text, found bytes that are not UTF-8");
    if (!in_range(field, slice.size))
        return refuse(field, text, error);
    slice.data = host_arena_text(arena, text, strlen(text));
    memcpy(member, &slice, sizeof slice);
    return GAVEL_OK;
}

static int32_t parse_list(const struct gavel_field *field, const char *text, void *member, struct host_arena *arena,
                          struct gavel_error *error);

static int32_t parse(const struct gavel_field *field, const char *text, void *member, struct host_arena *arena,
                     struct gavel_error *error)
{
    switch (field->type) {
    case GAVEL_BOOL:
    case GAVEL_UINT:
    case GAVEL_DURATION:
    case GAVEL_SIZE:
        return parse_number(field, text, member) ? GAVEL_OK : refuse(field, text, error);
    case GAVEL_INT:
        return parse_int(field, text, member) ? GAVEL_OK : refuse(field, text, error);
    case GAVEL_REAL:
        return parse_real(field, text, member) ? GAVEL_OK : refuse(field, text, error);
    case GAVEL_CHOICE:
        return parse_choice(field, text, member, error);
    case GAVEL_STRING:
    case GAVEL_BYTES:
        return parse_text(field, text, member, arena, error);
    case GAVEL_LIST:
        return parse_list(field, text, member, arena, error);
    default:
        return gavel_fail(error, GAVEL_E_UNSUPPORTED, "an option of the type %s has no form in an INI file",
                          host_option_type(field->type));
    }
}

/* Bytes of one list element in memory. */
static size_t element_size(uint64_t type)
{
    return type == GAVEL_STRING || type == GAVEL_BYTES ? sizeof(struct gavel_slice) : sizeof(uint64_t);
}

static bool is_scalar(uint64_t type)
{
    return (type >= GAVEL_BOOL && type <= GAVEL_BYTES) || type == GAVEL_CHOICE;
}

static int32_t parse_list(const struct gavel_field *field, const char *text, void *member, struct host_arena *arena,
                          struct gavel_error *error)
{
    struct gavel_field element = {.type = field->element, .choices = field->choices, .flags = field->flags};
    struct gavel_list list = {.stride = element_size(field->element)};
    const char *blanks = ", \t";
    unsigned char *items;

    if (!is_scalar(field->element))
        return gavel_fail(error, GAVEL_E_UNSUPPORTED, "a list of records has no form in an INI file");
    for (const char *at = text + strspn(text, blanks); *at; at += strspn(at, blanks)) {
        at += strcspn(at, blanks);
        list.count++;
    }
    if (list.count > OPTION_LIST_MAX || !in_range(field, list.count))
        return refuse(field, text, error);
    items = host_arena_take(arena, list.count * list.stride);
    list.items = items;
    for (const char *at = text + strspn(text, blanks); *at; at += strspn(at, blanks)) {
        size_t size = strcspn(at, blanks);
        int32_t status = parse(&element, host_arena_text(arena, at, size), items, arena, error);

        if (status != GAVEL_OK)
            return status;
        items += list.stride;
        at += size;
    }
    memcpy(member, &list, sizeof list);
    return GAVEL_OK;
}

/* ---- structs ----------------------------------------------------------------------------------------------------- */

static void mark_present(void *object, uint64_t row)
{
    uint64_t present;

    assert(row < 64);
    memcpy(&present, object, sizeof present);
    present |= UINT64_C(1) << row;
    memcpy(object, &present, sizeof present);
}

int32_t host_option_set(const struct gavel_fields *table, uint64_t row, const char *text, void *object,
                        struct host_arena *arena, struct gavel_error *error)
{
    struct gavel_field field = host_field(table, row);
    int32_t status;

    assert(field.offset < table->struct_size);
    status = parse(&field, text, (char *)object + field.offset, arena, error);
    if (status == GAVEL_OK)
        mark_present(object, row);
    return status;
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
        print_scaled(number, duration_units, out);
        break;
    case GAVEL_SIZE:
        print_scaled(number, size_units, out);
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
