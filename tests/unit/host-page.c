/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-page.c - gavel.ini(5) against the tables: every key of every section is in the page with what it takes and its
 * default, and no key is in the page that is in no table.
 */
#include "core/host/option.h"
#include "core/host/registry.h"
#include "core/host/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAGE_MAX 65536

static char page[PAGE_MAX];

static int read_file(const char *name)
{
    const char *root = getenv("top_srcdir");
    char path[1024];
    FILE *stream;
    size_t size;

    (void)snprintf(path, sizeof path, "%s/core/host/%s", root ? root : ".", name);
    stream = fopen(path, "r");
    if (!stream)
        return -1;
    size = fread(page, 1, sizeof page - 1, stream);
    page[size] = 0;
    (void)fclose(stream);
    return size > 0 && size < sizeof page - 1 ? 0 : -1;
}

static int read_page(void **state)
{
    (void)state;
    return read_file("gavel.ini.5");
}

/* The text of a section or of a key: from `head` to the next line that begins with one of two ends. */
static char *part(const char *text, const char *head, const char *end, const char *other_end)
{
    const char *at = strstr(text, head), *stop, *other;

    if (!at)
        return NULL;
    at += strlen(head);
    stop = strstr(at, end);
    other = strstr(at, other_end);
    if (!stop || (other && other < stop))
        stop = other;
    return stop ? strndup(at, (size_t)(stop - at)) : NULL;
}

static char *section_text(const struct host_section *section)
{
    char head[128];

    (void)snprintf(head, sizeof head, "\n.Ss [%s%s]\n", section->name, section->named ? ".NAME" : "");
    return part(page, head, "\n.Ss ", "\n.Sh ");
}

static void check_row(const char *text, const struct host_section *section, uint64_t row)
{
    struct gavel_field field = host_field(section->fields, row);
    char head[128], line[256], *key, *takes = NULL;
    size_t size;
    FILE *out;

    (void)snprintf(head, sizeof head, "\n.It Cm %s ", field.name);
    key = part(text, head, "\n.It ", "\n.El");
    if (!key)
        fail_msg("gavel.ini(5) has no key %s in [%s]", field.name, section->name);
    out = open_memstream(&takes, &size);
    assert_non_null(out);
    (void)fputs("\nTakes ", out);
    host_option_describe(section->fields, row, out);
    (void)fputs(".", out);
    (void)fclose(out);
    if (!strstr(key, takes))
        fail_msg("gavel.ini(5), [%s] %s: expected \"%s\"", section->name, field.name, takes + 1);
    free(takes);
    if (field.flags & GAVEL_REQUIRED)
        (void)snprintf(line, sizeof line, "\nRequired.");
    else if (strcmp(field.name, "plugin_dir") == 0)
        (void)snprintf(line, sizeof line, "\nDefault: the directory that gavel was configured with");
    else if (field.fallback)
        (void)snprintf(line, sizeof line, "\nDefault: %s.", field.fallback);
    else
        (void)snprintf(line, sizeof line, "\nNo default.");
    if (!strstr(key, line))
        fail_msg("gavel.ini(5), [%s] %s: expected \"%s\"", section->name, field.name, line + 1);
    if (!strstr(key, "\nReplicated: ") != !(field.flags & GAVEL_REPLICATED))
        fail_msg("gavel.ini(5), [%s] %s: replicated or not?", section->name, field.name);
    free(key);
}

static void test_every_key_is_in_the_page(void **state)
{
    unsigned keys = 0;

    (void)state;
    for (const struct host_section *section = host_sections; section->name; section++) {
        char *text = section_text(section);

        if (!text)
            fail_msg("gavel.ini(5) has no section [%s]", section->name);
        for (uint64_t row = 0; row < section->fields->count; row++, keys++)
            check_row(text, section, row);
        free(text);
    }
    assert_true(keys > 30);
}

static void test_every_key_of_the_page_is_in_a_table(void **state)
{
    (void)state;
    for (const struct host_section *section = host_sections; section->name; section++) {
        char *text = section_text(section);

        assert_non_null(text);
        for (const char *at = strstr(text, "\n.It Cm "); at; at = strstr(at + 1, "\n.It Cm ")) {
            const struct gavel_fields *table = section->fields;
            void *object = NULL;
            char key[64];
            uint64_t row;

            (void)snprintf(key, sizeof key, "%.*s", (int)strcspn(at + 8, " \n"), at + 8);
            if (host_option_find(&table, &object, key, &row) != GAVEL_OK)
                fail_msg("gavel.ini(5) has the key %s in [%s], gaveld has not", key, section->name);
        }
        free(text);
    }
}

static void test_every_section_of_the_page_exists(void **state)
{
    (void)state;
    for (const char *at = strstr(page, "\n.Ss ["); at; at = strstr(at + 1, "\n.Ss [")) {
        char name[64];

        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 6, ".]"), at + 6);
        assert_non_null(host_section_find(name));
    }
}

/* The metrics that every node has are listed in gaveld(8). */
static void test_every_metric_is_in_the_other_page(void **state)
{
    struct host_registry *registry = host_registry_new();
    struct host_snapshot snapshot;
    char head[128];

    (void)state;
    assert_non_null(registry);
    assert_int_equal(read_file("gaveld.8"), 0);
    assert_int_equal(host_registry_snapshot(registry, &snapshot), GAVEL_OK);
    assert_true(snapshot.count >= 7);
    for (uint64_t i = 0; i < snapshot.count; i++) {
        (void)snprintf(head, sizeof head, "\n.It Li %s\n", snapshot.series[i].name);
        if (!strstr(page, head))
            fail_msg("gaveld(8) has no metric %s", snapshot.series[i].name);
    }
    host_snapshot_free(&snapshot);
    (void)host_registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_in_the_page),
        cmocka_unit_test(test_every_key_of_the_page_is_in_a_table),
        cmocka_unit_test(test_every_section_of_the_page_exists),
        cmocka_unit_test(test_every_metric_is_in_the_other_page),
    };

    return cmocka_run_group_tests_name("host-page", tests, read_page, NULL);
}
