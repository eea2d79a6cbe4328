/* SPDX-License-Identifier: Apache-2.0 */
/*
 * my-plugin-test.c - the plugin as a node sees it: its file is loaded, it is told things, and its lines are read back;
 * a file that nobody empties costs lines, which are counted, and nothing else.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <gavel/check.h>
#include <gavel/observer.h>

static void *resize(void *self, void *old, uint64_t wanted)
{
    if (wanted)
        return realloc(old, wanted);
    free(old);
    return NULL;
}

static const struct gavel_heap heap = { GAVEL_END(struct gavel_heap, resize), NULL, resize };
static const struct gavel_host host = { .size = GAVEL_END(struct gavel_host, submit), .abi_major = GAVEL_ABI_MAJOR,
                                        .abi_minor = GAVEL_ABI_MINOR, .node = "node-1", .instance = "my-plugin",
                                        .heap = &heap };
static const struct gavel_plugin *plugin;
static const struct gavel_observer *operations;
static char directory[] = "/tmp/my-plugin-XXXXXX";
static char path[64], older[72];
static struct {
    uint64_t present;
    struct gavel_slice file;
    uint64_t file_bytes;
} options;

static void *start(void)
{
    struct gavel_error error = { 0, "" };
    void *self = NULL;

    assert_int_equal(plugin->check(&host, &options, &error), GAVEL_OK);
    assert_int_equal(plugin->create(&host, &options, &self, &error), GAVEL_OK);
    if (plugin->start(self, &error) != GAVEL_OK)
        fail_msg("start: %s", error.text);
    return self;
}

static void tell(void *self, const char *text)
{
    struct gavel_log_event event = { .size = GAVEL_END(struct gavel_log_event, trace), .wall_ms = 1000,
                                     .level = GAVEL_LOG_INFO, .node = "node-1", .module = "raft",
                                     .text = gavel_text(text) };
    operations->log(self, &event);
}

/* The whole file, as a string that the caller frees. */
static char *content(const char *name)
{
    char *text = calloc(1, 1 << 20);
    int fd = open(name, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, text, (1 << 20) - 1);

    if (fd >= 0)
        (void)close(fd);
    if (got < 0)
        fail_msg("%s: %s", name, strerror(errno));
    return text;
}

static int setup(void **state)
{
    (void)unlink(path);
    (void)unlink(older);
    options.file = gavel_text(path);
    options.file_bytes = 1 << 30;
    return 0;
}

static void lines_of_all_three(void **state)
{
    struct gavel_attribute attribute = { "machine", gavel_text("ba\"nk\n") };
    struct gavel_span span = { .size = GAVEL_END(struct gavel_span, attribute_count), .name = "command",
                               .start_wall_ns = 2000000, .end_wall_ns = 3520000, .status = -4,
                               .attributes = &attribute, .attribute_count = 1 };
    struct gavel_series series[2] = {
        { .size = GAVEL_END(struct gavel_series, sum), .kind = GAVEL_COUNTER, .name = "syncs", .value = 42 },
        { .size = GAVEL_END(struct gavel_series, sum), .kind = GAVEL_HISTOGRAM, .name = "delay", .count = 3,
          .sum = 0.5 },
    };
    void *self = start();
    char *text;

    tell(self, "Leader elected\r\n0 log forged");
    operations->span(self, &span);
    operations->metrics(self, 4000, series, 2, sizeof series[0]);
    operations->flush(self);
    text = content(path);
    assert_string_equal(text, "1000 log info raft \"Leader elected??0 log forged\"\n"
                              "3 span command -4 1520us machine=\"ba?nk?\"\n"
                              "4000 metric syncs 42\n"
                              "4000 metric delay 3 0.5\n");
    free(text);
    plugin->destroy(self);
}

static void long_lines_are_cut(void **state)
{
    void *self = start();
    char *text = malloc(100001), *lines;

    memset(text, 'x', 100000);
    text[100000] = 0;
    tell(self, text);
    tell(self, "next");
    plugin->destroy(self); /* writes what is left */
    lines = content(path);
    assert_true(strlen(lines) < 5000);
    assert_non_null(strstr(lines, "\"\n1000 log info raft \"next\"\n"));
    free(lines);
    free(text);
}

static void full_file_is_turned_over(void **state)
{
    char *text;
    void *self;

    options.file_bytes = 4096;
    self = start();
    for (int i = 0; i < 200; i++) {
        tell(self, "forty characters and a few more than that");
        operations->flush(self);
    }
    plugin->destroy(self);
    text = content(older);
    assert_true(strlen(text) >= 4096);
    assert_true(strlen(text) < 4096 + 100);
    free(text);
}

/* A pipe whose reader reads nothing, then all: no call waits, and the reader learns how much it has missed. */
static void dead_reader_costs_lines_only(void **state)
{
    uint64_t told = 20000, lines = 0, lost = 0, rounds = 0;
    char *text = calloc(1, 1 << 20), *at;
    int reader;
    void *self;
    ssize_t got;

    assert_int_equal(mkfifo(path, 0600), 0);
    reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    self = start();
    for (uint64_t i = 0; i < told; i++)
        tell(self, "somebody should read this");
    while ((got = read(reader, text, (1 << 20) - 1)) > 0 || lost == 0) {
        assert_true(++rounds < 10000);
        for (at = text; got > 0 && (at = strchr(at, '\n')); at++)
            lines++;
        if ((at = strstr(text, "0 lost ")))
            lost = strtoull(at + 7, NULL, 10);
        if (!lost)
            tell(self, "and this");
        operations->flush(self);
        memset(text, 0, 1 << 20);
    }
    assert_true(lines > 0);
    assert_true(lost > 0);
    assert_true(lost < told);
    plugin->destroy(self);
    (void)close(reader);
    free(text);
}

static void bad_options_have_sentences(void **state)
{
    struct gavel_error error = { 0, "" };
    void *self = NULL;

    options.file = gavel_text("not/full");
    assert_int_equal(plugin->check(&host, &options, &error), GAVEL_E_CONFIG);
    assert_non_null(strstr(error.text, "not/full"));
    options.file = gavel_text("/no/such/directory/file");
    assert_int_equal(plugin->create(&host, &options, &self, &error), GAVEL_OK);
    assert_int_equal(plugin->start(self, &error), GAVEL_E_IO);
    assert_non_null(strstr(error.text, "/no/such/directory/file: No such file"));
    plugin->destroy(self);
}

/* gavel's own conformance kit: what every observer must keep, tried in processes of their own. */
static void conforms(void **state)
{
    char file[80];
    const char *const with[] = { file, NULL };
    struct gavel_check check = { .size = GAVEL_END(struct gavel_check, context), .plugin = PLUGIN, .options = with };

    (void)snprintf(file, sizeof file, "file=%s", path);
    gavel_check_assert_with(&check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines_of_all_three, setup),
        cmocka_unit_test_setup(long_lines_are_cut, setup),
        cmocka_unit_test_setup(full_file_is_turned_over, setup),
        cmocka_unit_test_setup(dead_reader_costs_lines_only, setup),
        cmocka_unit_test_setup(bad_options_have_sentences, setup),
        cmocka_unit_test_setup(conforms, setup),
    };
    void *file = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
    gavel_plugin_entry entry;
    int failed;

    if (!file || !mkdtemp(directory)) {
        (void)fprintf(stderr, "%s\n", file ? strerror(errno) : dlerror());
        return 1;
    }
    (void)snprintf(path, sizeof path, "%s/lines", directory);
    (void)snprintf(older, sizeof older, "%s.1", path);
    *(void **)&entry = dlsym(file, "gavel_plugin_my_plugin");
    plugin = entry ? entry() : NULL;
    if (!plugin || plugin->kind != GAVEL_KIND_OBSERVER)
        return 1;
    operations = plugin->operations;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)setup(NULL);
    (void)rmdir(directory);
    return failed;
}
