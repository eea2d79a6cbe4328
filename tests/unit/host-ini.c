/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-ini.c - unit test: INI files, and the exact sentence for everything that is wrong with the form of one.
 */
#include "core/host/ini.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct host_ini ini;
static struct host_faults faults;

static void read_text(const char *text, size_t size)
{
    union {
        const char *from;
        char *to;
    } memory = {.from = text}; /* fmemopen only reads with "r" */
    FILE *stream = fmemopen(memory.to, size, "r");

    assert_non_null(stream);
    host_ini_read(&ini, stream, "t.ini", &faults);
    (void)fclose(stream);
}

static void read_ini(const char *text)
{
    read_text(text, strlen(text));
}

static int forget(void **state)
{
    (void)state;
    host_ini_free(&ini);
    host_faults_free(&faults);
    return 0;
}

static void has_value(const char *section, const char *key, const char *value, unsigned line)
{
    const struct host_ini_entry *entry = host_ini_entry(host_ini_section(&ini, section), key);

    assert_non_null(entry);
    assert_string_equal(entry->value, value);
    assert_int_equal(entry->line, line);
}

static void has_fault(unsigned number, const char *sentence)
{
    assert_true(number < faults.count);
    assert_string_equal(faults.text[number], sentence);
}

static void test_plain(void **state)
{
    (void)state;
    read_ini("; a comment\n"
             "[node]\r\n"
             "name = node-1   ; and another\r\n"
             "\tdata_dir=/var/lib/gavel#1\n"
             "# a third\n"
             "\n"
             "[statemachine.counter]\n"
             "[transport.main]\n"
             "listen = ws://127.0.0.1:8080\n"
             "empty =\n");
    assert_int_equal(faults.count, 0);
    assert_int_equal(ini.count, 3);
    has_value("node", "name", "node-1", 3);
    has_value("node", "data_dir", "/var/lib/gavel#1", 4);
    has_value("transport.main", "listen", "ws://127.0.0.1:8080", 9);
    has_value("transport.main", "empty", "", 10);
    assert_non_null(host_ini_section(&ini, "statemachine.counter"));
    assert_null(host_ini_section(&ini, "statemachine"));
    assert_null(host_ini_entry(NULL, "name"));
}

/* inih would take an indented key for more of the value above it: ours are keys wherever they begin. */
static void test_indented_keys(void **state)
{
    (void)state;
    read_ini("[node]\n  name = a\n  data_dir = b\n");
    assert_int_equal(faults.count, 0);
    has_value("node", "name", "a", 2);
    has_value("node", "data_dir", "b", 3);
}

static void test_continued(void **state)
{
    (void)state;
    read_ini("[cluster]\n"
             "members = a=tcp://x:1, \\\n"
             "      b=tcp://y:2 , \\\n"
             "      c=tcp://z:3 ; the last one\n"
             "token = abc\\\n"
             "def\n"
             "list = \\\n"
             "  x\n");
    assert_int_equal(faults.count, 0);
    has_value("cluster", "members", "a=tcp://x:1, b=tcp://y:2 , c=tcp://z:3", 2);
    has_value("cluster", "token", "abcdef", 5);
    has_value("cluster", "list", " x", 7);
}

static void test_continued_into_nothing(void **state)
{
    (void)state;
    read_ini("[a]\nk = v \\\n\n[b]\nj = w \\\n; no\nl = x \\\n");
    assert_int_equal(faults.count, 3);
    has_fault(0, "t.ini:3: line 2 ends with \\, but nothing of it can go on here");
    has_fault(1, "t.ini:6: line 5 ends with \\, but nothing of it can go on here");
    has_fault(2, "t.ini:7: the last line ends with \\, and nothing follows");
}

static void test_variables(void **state)
{
    (void)state;
    assert_int_equal(setenv("GAVEL_TEST_A", "one ; two", 1), 0);
    assert_int_equal(unsetenv("GAVEL_TEST_B"), 0);
    read_ini("[a]\n"
             "k = <${GAVEL_TEST_A}>\n"
             "l = $${GAVEL_TEST_A} $x $\n"
             "m = ${GAVEL_TEST_B}\n"
             "n = ${GAVEL_TEST_A\n");
    has_value("a", "k", "<one ; two>", 2);
    has_value("a", "l", "${GAVEL_TEST_A} $x $", 3);
    assert_int_equal(faults.count, 2);
    has_fault(0, "t.ini:4: the environment has no variable GAVEL_TEST_B");
    has_fault(1, "t.ini:5: \"${\" without a \"}\"; write $${ when you mean the two characters");
}

static void test_doubles(void **state)
{
    (void)state;
    read_ini("[raft]\nheartbeat = 1\nheartbeat = 2\n[node]\n[raft]\nheartbeat = 3\nheartbeat = 4\n");
    assert_int_equal(faults.count, 3);
    has_fault(0, "t.ini:3: key \"heartbeat\" of [raft] was given already in line 2");
    has_fault(1, "t.ini:5: section [raft] was opened already in line 1");
    has_fault(2, "t.ini:7: key \"heartbeat\" of [raft] was given already in line 6");
    has_value("raft", "heartbeat", "1", 2);
}

static void test_malformed(void **state)
{
    (void)state;
    read_ini("early = 1\n"
             "[a\n"
             "k = lost\n"
             "[b] k = v\n"
             "junk\n"
             "= v\n"
             "[]\n"
             "[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n"
             "[c] ; fine\n"
             "k = v\n"
             "more junk");
    assert_int_equal(faults.count, 9);
    has_fault(8, "t.ini:11: expected \"key = value\" or \"[section]\"");
    has_fault(0, "t.ini:1: key \"early\" stands before the first [section]");
    has_fault(1, "t.ini:2: the section's name has no closing ]");
    has_fault(2, "t.ini:3: key \"k\" stands before the first [section]");
    has_fault(3, "t.ini:4: \"k = v\" stands behind the section's name; a key begins a line of its own");
    has_fault(4, "t.ini:5: expected \"key = value\" or \"[section]\"");
    has_fault(5, "t.ini:6: a value without a key");
    has_fault(6, "t.ini:7: a section's name has 1 to 49 bytes, this one has 0");
    has_fault(7, "t.ini:8: a section's name has 1 to 49 bytes, this one has 50");
    has_value("c", "k", "v", 10);
}

/* inih splits a line over 200 bytes into a value that is cut and a key that nobody wrote. */
static void test_long_lines(void **state)
{
    char text[1024], key[] = "k = ";

    (void)state;
    for (size_t size = HOST_INI_LINE_MAX - 1; size <= HOST_INI_LINE_MAX + 300; size++) {
        const struct host_ini_entry *entry;
        int used = snprintf(text, sizeof text, "[a]\n%s", key);

        memset(text + used, 'x', size - strlen(key));
        (void)snprintf(text + used + size - strlen(key), 64, "\nl = y\n");
        read_ini(text);
        has_value("a", "l", "y", 3);
        entry = host_ini_entry(host_ini_section(&ini, "a"), "k");
        if (size <= HOST_INI_LINE_MAX) {
            assert_int_equal(faults.count, 0);
            assert_non_null(entry);
            assert_int_equal(strlen(entry->value), size - strlen(key));
        } else {
            assert_int_equal(faults.count, 1);
            assert_null(entry);
            assert_memory_equal(faults.text[0], "t.ini:2: the line has ", strlen("t.ini:2: the line has "));
        }
        (void)forget(NULL);
    }
}

static void test_strange_bytes(void **state)
{
    static const char text[] = "\xef\xbb\xbf[a]\nk = v\nn\0ul = x\n[\xff]\n";

    (void)state;
    read_text(text, sizeof text - 1);
    assert_int_equal(faults.count, 1);
    has_fault(0, "t.ini:3: the line holds a NUL byte");
    has_value("a", "k", "v", 2);
}

static void test_bounds(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    (void)fputs("[a]\n", out);
    for (int i = 0; i <= HOST_INI_KEYS_MAX; i++)
        (void)fprintf(out, "k%d = v\n", i);
    for (int i = 0; i < HOST_INI_SECTIONS_MAX; i++)
        (void)fprintf(out, "[s%d]\n", i);
    (void)fclose(out);
    read_ini(text);
    free(text);
    assert_int_equal(faults.count, 2);
    has_fault(0, "t.ini:130: more than 128 keys in [a]");
    has_fault(1, "t.ini:258: more than 128 sections");
    assert_int_equal(ini.section[0]->count, HOST_INI_KEYS_MAX);
}

static void test_many_faults(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    (void)fputs("[a]\n", out);
    for (int i = 0; i < HOST_FAULTS_MAX + 10; i++)
        (void)fputs("junk\n", out);
    (void)fclose(out);
    read_ini(text);
    free(text);
    assert_int_equal(faults.count, HOST_FAULTS_MAX);
    assert_int_equal(faults.beyond, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_plain, forget),
        cmocka_unit_test_teardown(test_indented_keys, forget),
        cmocka_unit_test_teardown(test_continued, forget),
        cmocka_unit_test_teardown(test_continued_into_nothing, forget),
        cmocka_unit_test_teardown(test_variables, forget),
        cmocka_unit_test_teardown(test_doubles, forget),
        cmocka_unit_test_teardown(test_malformed, forget),
        cmocka_unit_test_teardown(test_long_lines, forget),
        cmocka_unit_test_teardown(test_strange_bytes, forget),
        cmocka_unit_test_teardown(test_bounds, forget),
        cmocka_unit_test_teardown(test_many_faults, forget),
    };

    return cmocka_run_group_tests_name("host-ini", tests, NULL, NULL);
}
