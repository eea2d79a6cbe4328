/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-sample.c - unit test: the files of gavel init are read back without a fault, with and without comments; nothing
 * is overwritten.
 */
#include "core/host/config.h"
#include "core/host/sample.h"

#include <gavel/plugin.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/gavel-sample-XXXXXX";
static const char *const machines[] = {"workflow", "counter", NULL};
static const char *const serializers[] = {"json", "msgpack", NULL};
static struct host_sample sample;
static struct host_config config;
static struct host_faults faults, warnings;

static int make(void **state)
{
    (void)state;
    sample = (struct host_sample){.dir = dir, .nodes = 3, .port = 9000, .transport = "websocket", .scheme = "ws",
                                  .machines = machines, .serializers = serializers};
    return mkdtemp(dir) ? 0 : -1;
}

static int forget(void **state)
{
    char path[64];

    (void)state;
    for (int i = 1; i <= 3; i++) {
        (void)snprintf(path, sizeof path, "%s/node-%d.ini", dir, i);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/start.sh", dir);
    (void)unlink(path);
    (void)rmdir(dir);
    return 0;
}

static void read_file(FILE *stream)
{
    assert_non_null(stream);
    host_config_read(&config, stream, "t.ini", &faults, &warnings);
    (void)fclose(stream);
    for (unsigned i = 0; i < config.instance_count; i++)
        host_config_bind(&config, &config.instance[i], NULL, false, &faults, &warnings);
    host_faults_print(&faults, stderr, "");
    assert_int_equal(faults.count, 0);
    assert_int_equal(warnings.count, 0);
}

static void check_node(unsigned node)
{
    char name[16], listen[64];

    (void)snprintf(name, sizeof name, "node-%u", node);
    (void)snprintf(listen, sizeof listen, "ws://127.0.0.1:%u", 8999 + node);
    assert_string_equal(config.node.name.data, name);
    assert_int_equal(config.member_count, 3);
    assert_string_equal(config.member[2].uri[0], "ws://127.0.0.1:9002");
    assert_int_equal(config.instance_count, 6);
    assert_string_equal(config.instance[0].plugin, "websocket");
    assert_string_equal(config.instance[0].listen[0], listen);
    assert_string_equal(config.instance[1].plugin, "json");
    assert_string_equal(config.instance[3].name, "workflow");
    host_config_free(&config);
}

static void test_files(void **state)
{
    struct gavel_error error;
    struct stat stat_of;
    char path[64], want[128];

    (void)state;
    assert_int_equal(host_sample_write(&sample, &error), GAVEL_OK);
    for (unsigned node = 1; node <= 3; node++) {
        (void)snprintf(path, sizeof path, "%s/node-%u.ini", dir, node);
        read_file(fopen(path, "r"));
        check_node(node);
    }
    (void)snprintf(path, sizeof path, "%s/start.sh", dir);
    assert_int_equal(stat(path, &stat_of), 0);
    assert_true(stat_of.st_mode & S_IXUSR);
    assert_int_equal(host_sample_write(&sample, &error), GAVEL_E_EXISTS);
    (void)snprintf(want, sizeof want, "%s/node-1.ini is there already; nothing is overwritten", dir);
    assert_string_equal(error.text, want);
}

static void test_brief(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    host_sample_ini(&sample, 2, "/d", 1, out);
    (void)fclose(out);
    assert_null(strchr(text, ';'));
    read_file(fmemopen(text, size, "r"));
    check_node(2);
    free(text);
}

static void test_refusals(void **state)
{
    struct host_sample bad = sample;
    struct gavel_error error;

    (void)state;
    bad.nodes = 0;
    assert_int_equal(host_sample_write(&bad, &error), GAVEL_E_INVALID);
    assert_string_equal(error.text, "a cluster of 0 nodes: expected 1 to 9");
    bad.nodes = HOST_SAMPLE_NODES_MAX + 1;
    assert_int_equal(host_sample_write(&bad, &error), GAVEL_E_INVALID);
    bad = sample;
    bad.port = 65534;
    assert_int_equal(host_sample_write(&bad, &error), GAVEL_E_INVALID);
    assert_string_equal(error.text, "3 nodes cannot use the ports from 65534 on");
    bad = sample;
    bad.dir = "/nowhere/at/all";
    assert_int_equal(host_sample_write(&bad, &error), GAVEL_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_brief),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests_name("host-sample", tests, make, forget);
}
