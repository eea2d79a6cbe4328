/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-page.c - gavel.ini(5) against the tables: its sections are what the tables print. Every metric is in gaveld(8).
 */
#include "core/host/option.h"
#include "core/host/page.h"
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

/* The page holds what the tables print, whole; a changed row would not be found. */
static void test_the_page_is_made_from_the_tables(void **state)
{
    char *text = NULL, *planted;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    host_page_sections(out);
    assert_int_equal(fclose(out), 0);
    assert_true(size > 4000);
    assert_non_null(strstr(page, text));
    planted = strstr(text, "Default: 50ms.");
    assert_non_null(planted);
    planted[9] = '6';
    assert_null(strstr(page, text));
    free(text);
}

/* Every key of the tables is an item, once. */
static void test_every_key_is_an_item(void **state)
{
    unsigned keys = 0, items = 0;
    char head[128];

    (void)state;
    for (const struct host_section *section = host_sections; section->name; section++)
        for (uint64_t row = 0; row < section->fields->count; row++, keys++) {
            (void)snprintf(head, sizeof head, "\n.It Cm %s No = ", host_field(section->fields, row).name);
            if (!strstr(page, head))
                fail_msg("gavel.ini(5) has no key %s in [%s]", head, section->name);
        }
    for (const char *at = strstr(page, "\n.It Cm "); at; at = strstr(at + 1, "\n.It Cm "))
        items += strstr(at, " No = ") != NULL && strstr(at, " No = ") < strchr(at + 1, '\n');
    assert_int_equal(items, keys);
    assert_true(keys > 30);
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
        cmocka_unit_test(test_the_page_is_made_from_the_tables),
        cmocka_unit_test(test_every_key_is_an_item),
        cmocka_unit_test(test_every_metric_is_in_the_other_page),
    };

    return cmocka_run_group_tests_name("host-page", tests, read_page, NULL);
}
