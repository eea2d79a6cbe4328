/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-log-observer.c - unit test: the observer "log" against a host of the test's own: the lines that it writes, both
 * forms, to a file that is moved away under it.
 */
#include "core/host/heap.h"
#include "core/host/option.h"

#include <gavel/observer.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

GAVEL_PLUGIN_LINKAGE const struct gavel_plugin *gavel_plugin_log(void);

static char dir[] = "/tmp/gavel-log-XXXXXX";
static char path[64], moved[80];
static struct host_arena arena;
static struct gavel_host host;
static void *observer;

static uint64_t wall_ms = UINT64_C(1795443601123);

static uint64_t tell_wall_ms(void *self)
{
    (void)self;
    return wall_ms;
}

static int make(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    (void)snprintf(path, sizeof path, "%s/log", dir);
    (void)snprintf(moved, sizeof moved, "%s/log.1", dir);
    host = (struct gavel_host){.size = GAVEL_END(struct gavel_host, submit), .node = "node-1", .instance = "log",
                               .heap = &host_heap, .wall_ms = tell_wall_ms};
    return 0;
}

static int forget(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(moved);
    (void)rmdir(dir);
    host_arena_free(&arena);
    return 0;
}

static const char *priority = "auto", *repeats = "20";
static bool keep; /* the file that is there */

static void start(const char *format, const char *colour)
{
    const struct gavel_plugin *plugin = gavel_plugin_log();
    void *options = host_arena_take(&arena, plugin->options->struct_size);
    struct gavel_error error;

    if (!keep)
        (void)unlink(path);
    assert_int_equal(host_option_set(plugin->options, 0, format, options, &arena, &error), GAVEL_OK);
    assert_int_equal(host_option_set(plugin->options, 1, colour, options, &arena, &error), GAVEL_OK);
    assert_int_equal(host_option_set(plugin->options, 2, path, options, &arena, &error), GAVEL_OK);
    assert_int_equal(host_option_set(plugin->options, 3, priority, options, &arena, &error), GAVEL_OK);
    assert_int_equal(host_option_set(plugin->options, 4, repeats, options, &arena, &error), GAVEL_OK);
    assert_int_equal(host_option_set(plugin->options, 5, "10s", options, &arena, &error), GAVEL_OK);
    assert_int_equal(plugin->check(&host, options, &error), GAVEL_OK);
    assert_int_equal(plugin->create(&host, options, &observer, &error), GAVEL_OK);
    assert_int_equal(plugin->start(observer, &error), GAVEL_OK);
}

static const struct gavel_observer *operations(void)
{
    return gavel_plugin_log()->operations;
}

static void say(uint64_t level, const char *module, struct gavel_slice text, const struct gavel_trace *trace)
{
    const struct gavel_log_event event = {
        .size = GAVEL_END(struct gavel_log_event, trace), .wall_ms = wall_ms, .level = level,
        .node = "node-1", .module = module, .text = text, .trace = trace};

    operations()->log(observer, &event);
}

static void has(const char *file, const char *text)
{
    char found[4096];
    FILE *stream = fopen(file, "r");
    size_t size;

    assert_non_null(stream);
    size = fread(found, 1, sizeof found - 1, stream);
    found[size] = 0;
    (void)fclose(stream);
    assert_string_equal(found, text);
}

static void test_human(void **state)
{
    (void)state;
    start("human", "never");
    say(GAVEL_LOG_INFO, "raft", gavel_text("Leader elected: node-1"), NULL);
    say(GAVEL_LOG_ERROR, "log", gavel_text("a\nb\033c"), NULL);
    say(77, "x", gavel_text(""), NULL);
    say(GAVEL_LOG_ERROR, "log", gavel_text("\xc3\xa4\xc2\x9bm\x9b"), NULL); /* 0x9b: CSI */
    has(path, "");
    operations()->flush(observer);
    has(path, "2026-11-23T14:20:01.123Z INFO  [node-1] Leader elected: node-1  (raft)\n"
              "2026-11-23T14:20:01.123Z ERROR [node-1] a?b?c  (log)\n"
              "2026-11-23T14:20:01.123Z ERROR [node-1]   (x)\n"
              "2026-11-23T14:20:01.123Z ERROR [node-1] \xc3\xa4?m?  (log)\n");
    gavel_plugin_log()->destroy(observer);
}

static void test_colour(void **state)
{
    (void)state;
    start("human", "always");
    say(GAVEL_LOG_WARN, "raft", gavel_text("t"), NULL);
    gavel_plugin_log()->destroy(observer); /* what was held back is written */
    has(path, "2026-11-23T14:20:01.123Z \033[33mWARN \033[0m [node-1] t  (raft)\n");
}

static void test_json(void **state)
{
    struct gavel_trace trace = {.flags = 1};

    (void)state;
    memset(trace.trace_id, 0xab, sizeof trace.trace_id);
    memset(trace.span_id, 0x01, sizeof trace.span_id);
    start("json", "auto");
    say(GAVEL_LOG_DEBUG, "raft", gavel_text("say \"\\\x01\" \xc3\xa4"), &trace);
    operations()->flush(observer);
    has(path, "{\"time\":\"2026-11-23T14:20:01.123Z\",\"level\":\"debug\",\"node\":\"node-1\",\"module\":\"raft\","
              "\"trace_id\":\"abababababababababababababababab\",\"span_id\":\"0101010101010101\","
              "\"text\":\"say \\\"\\\\\\u0001\\\" \xc3\xa4\"}\n");
    gavel_plugin_log()->destroy(observer);
}

/* A line of JSON is UTF-8, whatever bytes came: no reader takes anything else. */
static void test_json_is_utf8(void **state)
{
    static const struct {
        const char *said, *written;
    } rows[] = {{"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z", "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z"},
                {"a\xffz", "a\\ufffdz"},           {"a\xc3", "a\\ufffd"},
                {"a\xe2\x82", "a\\ufffd\\ufffd"},  {"\xc0\xaf", "\\ufffd\\ufffd"},
                {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"}, {"\xf5\x80\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
                {"\x80\xc2\x9b", "\\ufffd\\u009b"}};
    char expected[300];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        start("json", "auto");
        say(GAVEL_LOG_INFO, "m", gavel_text(rows[i].said), NULL);
        gavel_plugin_log()->destroy(observer);
        (void)snprintf(expected, sizeof expected, "{\"time\":\"2026-11-23T14:20:01.123Z\",\"level\":\"info\","
                       "\"node\":\"node-1\",\"module\":\"m\",\"text\":\"%s\"}\n", rows[i].written);
        has(path, expected);
    }
}

#define AT "2026-11-23T14:20:01.123Z "
#define LATER "2026-11-23T14:20:11.123Z "

static void test_priority(void **state)
{
    char stream[64];
    struct stat found;

    (void)state;
    priority = "always";
    start("human", "never");
    say(GAVEL_LOG_TRACE, "m", gavel_text("t"), NULL);
    say(GAVEL_LOG_INFO, "m", gavel_text("i"), NULL);
    say(GAVEL_LOG_WARN, "m", gavel_text("w"), NULL);
    say(GAVEL_LOG_ERROR, "m", gavel_text("e"), NULL);
    gavel_plugin_log()->destroy(observer);
    has(path, "<7>" AT "TRACE [node-1] t  (m)\n<6>" AT "INFO  [node-1] i  (m)\n"
              "<4>" AT "WARN  [node-1] w  (m)\n<3>" AT "ERROR [node-1] e  (m)\n");
    start("json", "never");
    say(GAVEL_LOG_WARN, "m", gavel_text("w"), NULL);
    gavel_plugin_log()->destroy(observer);
    has(path, "<4>{\"time\":\"2026-11-23T14:20:01.123Z\",\"level\":\"warn\",\"node\":\"node-1\",\"module\":\"m\","
              "\"text\":\"w\"}\n");
    /* auto: only when the output is what JOURNAL_STREAM names. */
    priority = "auto";
    start("human", "never");
    say(GAVEL_LOG_INFO, "m", gavel_text("i"), NULL);
    gavel_plugin_log()->destroy(observer);
    has(path, AT "INFO  [node-1] i  (m)\n");
    assert_int_equal(stat(path, &found), 0);
    (void)snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)found.st_dev,
                   (unsigned long long)found.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    keep = true;
    start("human", "never");
    keep = false;
    say(GAVEL_LOG_INFO, "m", gavel_text("i"), NULL);
    gavel_plugin_log()->destroy(observer);
    has(path, AT "INFO  [node-1] i  (m)\n<6>" AT "INFO  [node-1] i  (m)\n");
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
}

/* The third line of a kind within the window is held back; an error never is; another kind is none of its business. */
static void test_repeats(void **state)
{
    char text[64];

    (void)state;
    repeats = "2";
    start("human", "never");
    for (int i = 0; i < 5; i++) {
        (void)snprintf(text, sizeof text, "Lost n3 after %d ms", i * 100);
        say(GAVEL_LOG_WARN, "peer", gavel_text(text), NULL);
        say(GAVEL_LOG_ERROR, "peer", gavel_text("bad"), NULL);
    }
    say(GAVEL_LOG_WARN, "raft", gavel_text("Lost n3 after 1 ms"), NULL);
    wall_ms += 10000;
    say(GAVEL_LOG_WARN, "peer", gavel_text("Lost n3 after 9 ms"), NULL);
    for (int i = 0; i < 2; i++)
        say(GAVEL_LOG_WARN, "peer", gavel_text("Lost n4 after 1 ms"), NULL);
    gavel_plugin_log()->destroy(observer); /* what is held is told at the end */
    wall_ms -= 10000;
    repeats = "20";
    has(path, AT "WARN  [node-1] Lost n3 after 0 ms  (peer)\n" AT "ERROR [node-1] bad  (peer)\n"
              AT "WARN  [node-1] Lost n3 after 100 ms  (peer)\n" AT "ERROR [node-1] bad  (peer)\n"
              AT "ERROR [node-1] bad  (peer)\n" AT "ERROR [node-1] bad  (peer)\n" AT "ERROR [node-1] bad  (peer)\n"
              AT "WARN  [node-1] Lost n3 after 1 ms  (raft)\n"
              AT "WARN  [node-1] repeated 3 times: Lost n3 after 0 ms  (peer)\n"
              LATER "WARN  [node-1] Lost n3 after 9 ms  (peer)\n" LATER "WARN  [node-1] Lost n4 after 1 ms  (peer)\n"
              LATER "WARN  [node-1] repeated 1 times: Lost n3 after 9 ms  (peer)\n");
}

/* What is held back is told when its window is over, though nothing else comes. */
static void test_repeats_in_silence(void **state)
{
    (void)state;
    repeats = "1";
    start("human", "never");
    for (int i = 0; i < 3; i++)
        say(GAVEL_LOG_WARN, "peer", gavel_text("Lost n3"), NULL);
    operations()->flush(observer);
    has(path, AT "WARN  [node-1] Lost n3  (peer)\n");
    wall_ms += 9999;
    operations()->flush(observer);
    has(path, AT "WARN  [node-1] Lost n3  (peer)\n");
    wall_ms += 1;
    operations()->flush(observer);
    operations()->flush(observer);
    wall_ms -= 10000;
    repeats = "20";
    has(path, AT "WARN  [node-1] Lost n3  (peer)\n" AT "WARN  [node-1] repeated 2 times: Lost n3  (peer)\n");
    gavel_plugin_log()->destroy(observer);
}

static void test_no_limit(void **state)
{
    char wanted[4096] = "";

    (void)state;
    repeats = "0";
    start("human", "never");
    for (int i = 0; i < 50; i++) {
        say(GAVEL_LOG_INFO, "m", gavel_text("x"), NULL);
        (void)strncat(wanted, AT "INFO  [node-1] x  (m)\n", sizeof wanted - strlen(wanted) - 1);
    }
    gavel_plugin_log()->destroy(observer);
    repeats = "20";
    has(path, wanted);
}

/* Two kinds that come in turn do not make each other forgotten, and debug lines have no limit. */
static void test_kinds(void **state)
{
    char found[65536], text[64];
    FILE *stream;
    size_t size, lines = 0, told = 0;

    (void)state;
    repeats = "2";
    start("human", "never");
    for (int i = 0; i < 20; i++)
        for (int kind = 0; kind < 6; kind++) {
            (void)snprintf(text, sizeof text, "%c says %d", 'a' + kind, i);
            say(GAVEL_LOG_INFO, "m", gavel_text(text), NULL);
            say(GAVEL_LOG_DEBUG, "m", gavel_text(text), NULL);
        }
    gavel_plugin_log()->destroy(observer);
    repeats = "20";
    stream = fopen(path, "r");
    assert_non_null(stream);
    size = fread(found, 1, sizeof found - 1, stream);
    found[size] = 0;
    (void)fclose(stream);
    for (const char *at = found; (at = strchr(at, '\n')); at++)
        lines++;
    for (const char *at = found; (at = strstr(at, "repeated 18 times: ")); at++)
        told++;
    assert_int_equal(told, 6);
    assert_int_equal(lines, 6 * (2 + 20 + 1));
}

/* A line that is too long is cut, and an object still closes. */
static void test_long(void **state)
{
    static char text[100000];
    char found[20000];
    FILE *stream;
    size_t size;

    (void)state;
    memset(text, '"', sizeof text);
    start("json", "auto");
    for (int i = 0; i < 20; i++)
        say(GAVEL_LOG_INFO, "m", gavel_bytes(text, sizeof text), NULL);
    operations()->flush(observer);
    gavel_plugin_log()->destroy(observer);
    stream = fopen(path, "r");
    assert_non_null(stream);
    assert_non_null(fgets(found, sizeof found, stream));
    size = strlen(found);
    assert_true(size > 8000 && size <= 8192);
    assert_string_equal(found + size - 3, "\"}\n");
    (void)fclose(stream);
}

static void test_reopen(void **state)
{
    struct stat stat_of;

    (void)state;
    start("human", "never");
    say(GAVEL_LOG_INFO, "a", gavel_text("old"), NULL);
    operations()->flush(observer);
    assert_int_equal(rename(path, moved), 0);
    say(GAVEL_LOG_INFO, "a", gavel_text("still old"), NULL);
    operations()->flush(observer);
    assert_int_equal(gavel_plugin_log()->reload(observer, NULL, NULL), GAVEL_OK);
    say(GAVEL_LOG_INFO, "a", gavel_text("new"), NULL);
    operations()->flush(observer);
    has(moved, "2026-11-23T14:20:01.123Z INFO  [node-1] old  (a)\n"
               "2026-11-23T14:20:01.123Z INFO  [node-1] still old  (a)\n");
    has(path, "2026-11-23T14:20:01.123Z INFO  [node-1] new  (a)\n");
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    gavel_plugin_log()->destroy(observer);
}

static void test_bad_output(void **state)
{
    const struct gavel_plugin *plugin = gavel_plugin_log();
    void *options = host_arena_take(&arena, plugin->options->struct_size);
    struct gavel_error error;

    (void)state;
    assert_int_equal(host_option_set(plugin->options, 2, "here.log", options, &arena, &error), GAVEL_OK);
    assert_int_equal(plugin->check(&host, options, &error), GAVEL_E_CONFIG);
    assert_string_equal(error.text, "output: expected stderr, stdout or a full path, found \"here.log\"");
    assert_int_equal(host_option_set(plugin->options, 2, "/nowhere/at/all", options, &arena, &error), GAVEL_OK);
    assert_int_equal(plugin->create(&host, options, &observer, &error), GAVEL_OK);
    assert_int_equal(plugin->start(observer, &error), GAVEL_E_IO);
    assert_string_equal(error.text, "/nowhere/at/all cannot be opened: its directory does not exist");
    plugin->destroy(observer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_human), cmocka_unit_test(test_colour), cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_is_utf8), cmocka_unit_test(test_priority), cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_repeats_in_silence), cmocka_unit_test(test_no_limit), cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_long),  cmocka_unit_test(test_reopen), cmocka_unit_test(test_bad_output),
    };

    return cmocka_run_group_tests_name("host-log-observer", tests, make, forget);
}
