/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.c - types, bounds, units and flags of a row as sentences.
 */
#include "core/host/words.h"

#include "core/os/clean.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A unit behind a number, and what it multiplies with. */
struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit size_units[] = {
    {"GiB", UINT64_C(1) << 30}, {"MiB", UINT64_C(1) << 20}, {"KiB", UINT64_C(1) << 10}, {"", 1}, {NULL, 0}};

static void print_scaled(uint64_t value, const struct unit *unit, FILE *out)
{
    while (unit[1].name && (value == 0 || value % unit->factor != 0))
        unit++;
    (void)fprintf(out, "%" PRIu64 "%s", value / unit->factor, unit->name);
}

void host_words_scaled(uint64_t type, uint64_t value, FILE *out)
{
    print_scaled(value, type == GAVEL_DURATION ? duration_units : size_units, out);
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

/* A table states no upper bound by leaving max below min, or by the greatest number there is. */
static bool has_max(const struct gavel_field *field)
{
    return field->max != INT64_MAX && (field->max > field->min || (field->max == field->min && field->max != 0));
}

static void print_range(const struct gavel_field *field, FILE *out)
{
    bool length = field->type == GAVEL_STRING || field->type == GAVEL_BYTES || field->type == GAVEL_VALUE;

    if ((field->min == 0 && field->max == 0) || (field->min == 0 && !has_max(field) && field->type != GAVEL_INT &&
                                                 field->type != GAVEL_REAL))
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

static void print_choices(const struct gavel_field *field, const char *first, const char *between, FILE *out)
{
    for (uint64_t i = 0; field->choices && field->choices[i]; i++)
        (void)fprintf(out, "%s%s", i == 0 ? first : between, field->choices[i]);
}

static void list_takes(const struct gavel_field *field, unsigned where, FILE *out)
{
    struct gavel_field element = {.type = field->element, .choices = field->choices};

    if (field->sub || where == HOST_IN_RECORD) {
        (void)fprintf(out, "a list%s (a JSON array)", field->sub ? " of records" : "");
        print_range(field, out);
        if (field->sub)
            return;
    } else {
        (void)fputs("a list (separated by commas or blanks)", out);
        print_range(field, out);
    }
    (void)fputs(", each ", out);
    host_words_takes(&element, where, out);
}

void host_words_takes(const struct gavel_field *field, unsigned where, FILE *out)
{
    static const char *const words[] = {"a value of an unknown type",
                                        "yes or no",
                                        "a whole number",
                                        "a whole number",
                                        "a number",
                                        "a duration (such as 150ms, 2s)",
                                        "a size (such as 64KiB, 16MiB)",
                                        "text",
                                        "bytes"};

    if (field->type == GAVEL_CHOICE) {
        print_choices(field, "one of ", ", ", out);
    } else if (field->type == GAVEL_LIST) {
        list_takes(field, where, out);
    } else if (field->type == GAVEL_RECORD) {
        (void)fputs(where == HOST_IN_INI ? "a record (its members are written with a dot)"
                                         : "a record (a JSON object)", out);
    } else if (field->type == GAVEL_VALUE) {
        (void)fputs(where == HOST_IN_COMMAND ? "a document (JSON, or text)" : "a document", out);
        print_range(field, out);
    } else if (field->type == GAVEL_BYTES && field->min >= 0 && has_max(field)) {
        (void)fprintf(out, "%" PRId64 " to %" PRId64 " bytes", field->min, field->max);
    } else if (field->type == GAVEL_BOOL && where == HOST_IN_RECORD) {
        (void)fputs("true or false", out);
    } else {
        (void)fputs(words[field->type < sizeof words / sizeof words[0] ? field->type : 0], out);
        if (field->type != GAVEL_BOOL)
            print_range(field, out);
    }
}

void host_words_value(const struct gavel_field *field, FILE *out)
{
    static const char *const words[] = {"value", "yes | no", "number", "number", "number", "duration", "size", "text",
                                        "bytes", "document", "", "record", "list"};

    if (field->type == GAVEL_CHOICE)
        print_choices(field, "", " | ", out);
    else
        (void)fputs(words[field->type < sizeof words / sizeof words[0] ? field->type : 0], out);
}

/* ---- sentences --------------------------------------------------------------------------------------------------- */

char *host_words_sentence(const char *text)
{
    size_t size = text ? strlen(text) : 0;
    char *sentence = size ? malloc(size + 2) : NULL;

    if (!sentence)
        return NULL;
    for (size_t i = 0; i < size; i++)
        sentence[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    /* A word, that is; but neither "key=value" nor "list: what it does", which are to be typed as they are. */
    if (islower((unsigned char)sentence[0]) && strchr(" ,.;", text[strspn(text, "abcdefghijklmnopqrstuvwxyz")]))
        sentence[0] = (char)toupper((unsigned char)sentence[0]);
    while (size > 0 && sentence[size - 1] == ' ')
        size--;
    if (size > 0 && !strchr(".!?:", sentence[size - 1]))
        sentence[size++] = '.';
    sentence[size] = 0;
    return sentence;
}

/* Where sentences go. */
struct speaker {
    void (*say)(void *context, const char *sentence);
    void *context;
};

static void say_text(const struct speaker *speaker, const char *text)
{
    os_autofree char *sentence = host_words_sentence(text);

    if (sentence && *sentence)
        speaker->say(speaker->context, sentence);
}

static void say_takes(const struct speaker *speaker, const struct gavel_field *field, unsigned where)
{
    os_autofree char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    (void)fputs("Takes ", out);
    host_words_takes(field, where, out);
    if (field->unit && strcmp(field->unit, "bytes") != 0 && field->type != GAVEL_DURATION)
        (void)fprintf(out, "; unit: %s", field->unit);
    if (fclose(out) == 0)
        say_text(speaker, text);
}

static void say_default(const struct speaker *speaker, const struct gavel_field *field, unsigned where)
{
    os_autofree char *text = NULL;
    size_t size = 0;
    FILE *out;

    if (field->flags & GAVEL_REQUIRED) {
        say_text(speaker, "Required");
    } else if (!field->fallback) {
        if (field->type != GAVEL_RECORD || where != HOST_IN_INI)
            say_text(speaker, where == HOST_IN_INI ? "No default" : "Optional");
    } else if (field->flags & GAVEL_SECRET) {
        say_text(speaker, "Has a default, which is not shown");
    } else if (!*field->fallback) {
        say_text(speaker, "Default: empty");
    } else if ((out = open_memstream(&text, &size)) != NULL) {
        (void)fprintf(out, "Default: %s.", field->fallback);
        if (fclose(out) == 0)
            say_text(speaker, text);
    }
}

void host_words_say(const struct gavel_field *field, unsigned where, void (*say)(void *context, const char *sentence),
                    void *context)
{
    const struct speaker speaker = {say, context};

    say_text(&speaker, field->help);
    say_takes(&speaker, field, where);
    say_default(&speaker, field, where);
    if (field->flags & GAVEL_KEY)
        say_text(&speaker, "Key: watches, permissions and traces select on it");
    if (field->flags & GAVEL_RELOADABLE)
        say_text(&speaker, "May change at run time, by a reload");
    if (field->flags & GAVEL_REPLICATED)
        say_text(&speaker, "Replicated: the same on every node of a cluster");
    if (field->flags & GAVEL_SECRET)
        say_text(&speaker, "Secret: never printed or logged");
    if (field->flags & GAVEL_DEPRECATED)
        say_text(&speaker, "Deprecated: still taken, with a warning");
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

void host_words_wrap(const char *text, unsigned column, unsigned indent, unsigned width, FILE *out)
{
    unsigned at = column;

    while (*text) {
        size_t size = strcspn(text, " \n");

        if (at > column && at > indent && at + 1 + size > width) {
            (void)fprintf(out, "\n%*s", (int)indent, "");
            at = column = indent;
        } else if (at > column) {
            (void)fputc(' ', out);
            at++;
        }
        (void)fprintf(out, "%.*s", (int)size, text);
        at += (unsigned)size;
        text += size;
        text += strspn(text, " \n");
    }
    (void)fputc('\n', out);
}
