/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-page.c - gavel.ini(5) against the tables: its sections are what the tables print.
 * gavel-metrics(7) against those of metrics, and the names in them.
 */
#include "core/host/metric_table.h"
#include "core/host/option.h"
#include "core/host/page.h"
#include "core/host/registry.h"
#include "core/host/schema.h"
#include "plugins/observers/names.h"

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

/* gavel-metrics(7) is made from the tables, whole; and the registry of a node has nothing from its start but these. */
static void test_the_page_of_metrics(void **state)
{
    struct host_registry *registry = host_registry_new();
    struct host_snapshot snapshot;
    unsigned rows = 0, plain = 0;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(registry);
    assert_non_null(out);
    assert_int_equal(read_file("gavel-metrics.7"), 0);
    host_page_metrics(out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(page, text));
    assert_int_equal(host_registry_snapshot(registry, &snapshot), GAVEL_OK);
    for (const struct host_metric *row = host_metrics; row->name; row++, rows++) {
        plain += !*row->attributes;
        assert_int_equal(host_registry_metric(registry, row->kind, row->name, row->unit, row->help), rows + 1);
    }
    assert_true(rows > 60);
    assert_int_equal(snapshot.count, plain); /* no more, and those with attributes come with their first record */
    for (uint64_t i = 0; i < snapshot.count; i++) {
        char head[128];

        (void)snprintf(head, sizeof head, "\n.It Li %s\n", snapshot.series[i].name);
        if (!strstr(page, head))
            fail_msg("gavel-metrics(7) has no metric %s", snapshot.series[i].name);
    }
    host_snapshot_free(&snapshot);
    (void)host_registry_free(registry);
    free(text);
}

/* The nine names that OTLP has to show, with kind, unit and what Prometheus calls them; and both ways for all rows. */
static void test_the_names(void **state)
{
    static const struct {
        uint64_t kind;
        const char *name;
        const char *attributes;
        const char *prometheus;
    } wanted[] = {
        {GAVEL_COUNTER, "consensus.commands.total", "", "consensus_commands_total"},
        {GAVEL_COUNTER, "consensus.elections.total", "result", "consensus_elections_total"},
        {GAVEL_COUNTER, "cluster.membership.changes", "", "cluster_membership_changes_total"},
        {GAVEL_COUNTER, "state.operations.total", "operation", "state_operations_total"},
        {GAVEL_GAUGE, "consensus.node.state", "", "consensus_node_state"},
        {GAVEL_GAUGE, "cluster.nodes.total", "", "cluster_nodes"},
        {GAVEL_GAUGE, "cluster.nodes.healthy", "", "cluster_nodes_healthy"},
        {GAVEL_GAUGE, "state.size", "", "state_size"},
        {GAVEL_GAUGE, "state.changelog.size", "", "state_changelog_size"},
    };
    struct names_metric names, other;
    bool found;

    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        found = false;
        for (const struct host_metric *row = host_metrics; row->name; row++) {
            if (strcmp(row->name, wanted[i].name) != 0)
                continue;
            found = true;
            names_metric(&names, row->kind, row->name, row->unit);
            assert_int_equal(row->kind, wanted[i].kind);
            assert_string_equal(row->attributes, wanted[i].attributes);
            assert_string_equal(names.sample, wanted[i].prometheus);
        }
        if (!found)
            fail_msg("there is no metric %s", wanted[i].name);
    }
    /* From a name of Prometheus back to one of OTLP: no two rows share one, nor a family. */
    for (const struct host_metric *row = host_metrics; row->name; row++)
        for (const struct host_metric *before = host_metrics; before < row; before++) {
            names_metric(&names, row->kind, row->name, row->unit);
            names_metric(&other, before->kind, before->name, before->unit);
            assert_string_not_equal(names.sample, other.sample);
            assert_string_not_equal(names.family, other.family);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_is_made_from_the_tables),
        cmocka_unit_test(test_every_key_is_an_item),
        cmocka_unit_test(test_the_page_of_metrics),
        cmocka_unit_test(test_the_names),
    };

    return cmocka_run_group_tests_name("host-page", tests, read_page, NULL);
}
