/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observer-names.c - unit test: what metrics and attributes are called in Prometheus.
 */
#include "plugins/observers/names.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    uint64_t kind;
    const char *name, *unit, *family, *sample, *word;
    double scale;
} rows[] = {
    /* What was agreed on, by name. */
    {GAVEL_COUNTER, "consensus.commands.total", "{command}", "consensus_commands", "consensus_commands_total", "", 1},
    {GAVEL_COUNTER, "consensus.elections.total", "{election}", "consensus_elections", "consensus_elections_total", "",
     1},
    {GAVEL_COUNTER, "cluster.membership.changes", "{change}", "cluster_membership_changes",
     "cluster_membership_changes_total", "", 1},
    {GAVEL_COUNTER, "state.operations.total", "{operation}", "state_operations", "state_operations_total", "", 1},
    {GAVEL_GAUGE, "consensus.node.state", "1", "consensus_node_state", "consensus_node_state", "", 1},
    {GAVEL_GAUGE, "cluster.nodes.total", "{node}", "cluster_nodes", "cluster_nodes", "", 1},
    {GAVEL_GAUGE, "cluster.nodes.healthy", "{node}", "cluster_nodes_healthy", "cluster_nodes_healthy", "", 1},
    {GAVEL_GAUGE, "state.size", "{entry}", "state_size", "state_size", "", 1},
    {GAVEL_GAUGE, "state.changelog.size", "{revision}", "state_changelog_size", "state_changelog_size", "", 1},
    /* The unit stands last, once, in base units. */
    {GAVEL_HISTOGRAM, "log.sync.duration", "s", "log_sync_duration_seconds", "log_sync_duration_seconds", "seconds", 1},
    {GAVEL_HISTOGRAM, "x.wait", "ms", "x_wait_seconds", "x_wait_seconds", "seconds", 0.001},
    {GAVEL_COUNTER, "transport.bytes.sent", "By", "transport_sent_bytes", "transport_sent_bytes_total", "bytes", 1},
    {GAVEL_COUNTER, "a.bytes.total", "By", "a_bytes", "a_bytes_total", "bytes", 1},
    {GAVEL_GAUGE, "a.total.bytes", "By", "a_bytes", "a_bytes", "bytes", 1},
    {GAVEL_GAUGE, "bytes", "By", "bytes", "bytes", "bytes", 1},
    {GAVEL_GAUGE, "memory", "MiBy", "memory_bytes", "memory_bytes", "bytes", 1048576},
    {GAVEL_GAUGE, "load", "%", "load_ratio", "load_ratio", "ratio", 0.01},
    {GAVEL_GAUGE, "flow", "By/s", "flow_bytes_per_second", "flow_bytes_per_second", "bytes_per_second", 1},
    {GAVEL_GAUGE, "flow", "KiBy/s", "flow_bytes_per_second", "flow_bytes_per_second", "bytes_per_second", 1024},
    {GAVEL_GAUGE, "odd", "foo", "odd_foo", "odd_foo", "foo", 1},
    {GAVEL_GAUGE, "none", NULL, "none", "none", "", 1},
    /* Endings that are kept, other characters, a digit first, nothing at all. */
    {GAVEL_GAUGE, "peers.count", "1", "peers", "peers", "", 1},
    {GAVEL_GAUGE, "build.info", "1", "build", "build", "", 1},
    {GAVEL_GAUGE, "total", "1", "total", "total", "", 1},
    {GAVEL_COUNTER, "my-plugin..odd/name", "1", "my_plugin_odd_name", "my_plugin_odd_name_total", "", 1},
    {GAVEL_GAUGE, "2nd", "1", "gavel_2nd", "gavel_2nd", "", 1},
    {GAVEL_GAUGE, "\xc3\xa4", "1", "gavel", "gavel", "", 1},
};

static void test_metrics(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct names_metric names;

        names_metric(&names, rows[i].kind, rows[i].name, rows[i].unit);
        assert_string_equal(names.family, rows[i].family);
        assert_string_equal(names.sample, rows[i].sample);
        assert_string_equal(names.unit, rows[i].word);
        assert_true(names.scale > rows[i].scale * 0.999999 && names.scale < rows[i].scale * 1.000001);
    }
}

/* However long and odd, a name is one that Prometheus takes. */
static void test_any_text(void **state)
{
    char name[600], unit[600];

    (void)state;
    for (unsigned round = 0; round < 512; round++) {
        struct names_metric names;
        size_t size = round % (sizeof name - 1);

        for (size_t i = 0; i < size; i++) {
            name[i] = (char)(1 + (round * 31 + i * 7) % 255);
            unit[i] = (char)(1 + (round * 17 + i * 5) % 255);
        }
        name[size] = unit[size] = 0;
        names_metric(&names, GAVEL_COUNTER + round % 3, name, unit);
        assert_true(strlen(names.sample) > 0 && strlen(names.sample) < NAMES_ROOM);
        assert_int_equal(strspn(names.sample, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"),
                         strlen(names.sample));
        assert_false(names.sample[0] >= '0' && names.sample[0] <= '9');
        assert_true(strlen(names.unit) <= strlen(names.family));
        assert_string_equal(names.family + strlen(names.family) - strlen(names.unit), names.unit);
    }
}

static void test_labels(void **state)
{
    static const char *const pairs[][2] = {
        {"result", "result"}, {"peer.name", "peer_name"}, {"instance", "section"}, {"job", "attribute_job"},
        {"le", "attribute_le"}, {"quantile", "attribute_quantile"}, {"otel.metric.overflow", "otel_metric_overflow"},
        {"__name__", "name"}, {"3", "attribute_3"}, {"", "attribute"},
    };
    char label[NAMES_ROOM];

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        names_label(label, pairs[i][0]);
        assert_string_equal(label, pairs[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_any_text),
        cmocka_unit_test(test_labels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
