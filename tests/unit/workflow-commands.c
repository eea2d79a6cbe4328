/* SPDX-License-Identifier: Apache-2.0 */
/* workflow-commands.c - every command of the workflow store with good and bad input: answers, events, refusals. */
#include "tests/unit/fake_host.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

const struct gavel_plugin *gavel_plugin_workflow(void);

static struct fake_host *host;
static struct fake_machine *machine;

static int setup(void **state)
{
    (void)state;
    host = fake_host_new();
    machine = fake_machine_new(host, gavel_plugin_workflow(),
                               "{\"key_bytes_max\":64,\"value_bytes_max\":4096,\"history_revisions\":100}");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_machine_free(machine);
    fake_host_free(host);
    return 0;
}

/* Run, and compare status and answer. */
#define EXPECT(command, arguments, status, answer) \
    do { \
        assert_int_equal(fake_run(machine, command, arguments), status); \
        assert_string_equal(machine->result, answer); \
    } while (0)

/* Run, expect a refusal whose sentence has `words`, and no change of the state. */
#define REFUSED(command, arguments, status_, words) \
    do { \
        struct gavel_machine_state before_ = fake_state(machine); \
        struct gavel_machine_state after_; \
        assert_int_equal(fake_run(machine, command, arguments), status_); \
        if (!strstr(machine->error.text, words)) \
            fail_msg("'%s' does not say '%s'", machine->error.text, words); \
        after_ = fake_state(machine); \
        assert_memory_equal(&before_, &after_, sizeof before_); \
    } while (0)

static void test_set_get_delete(void **state)
{
    (void)state;
    EXPECT("set", "{\"key\":\"a\",\"value\":{\"n\":1}}", 0, "{\"revision\":1,\"version\":1}");
    assert_string_equal(machine->events, "set a {\"n\":1} -\n");
    EXPECT("set", "{\"key\":\"a\",\"value\":\"x\"}", 0, "{\"revision\":2,\"version\":2}");
    assert_string_equal(machine->events, "set a \"x\" {\"n\":1}\n");
    EXPECT("get", "{\"key\":\"a\"}", 0,
           "{\"create_revision\":1,\"key\":\"a\",\"mod_revision\":2,\"value\":\"x\",\"version\":2}");
    EXPECT("delete", "{\"key\":\"a\"}", 0, "{\"revision\":3,\"version\":0}");
    assert_string_equal(machine->events, "delete a - \"x\"\n");
    REFUSED("get", "{\"key\":\"a\"}", GAVEL_E_NOT_FOUND, "no such key");
    REFUSED("delete", "{\"key\":\"a\"}", GAVEL_E_NOT_FOUND, "no such key");
    EXPECT("set", "{\"key\":\"a\",\"value\":null}", 0, "{\"revision\":5,\"version\":1}");
    EXPECT("get", "{\"key\":\"a\"}", 0,
           "{\"create_revision\":5,\"key\":\"a\",\"mod_revision\":5,\"value\":null,\"version\":1}");
}

static void test_keys_are_bytes(void **state)
{
    (void)state;
    EXPECT("set", "{\"key\":{\"$hex\":\"00ff\"},\"value\":{\"$hex\":\"0102\"}}", 0, "{\"revision\":1,\"version\":1}");
    EXPECT("get", "{\"key\":{\"$hex\":\"00ff\"}}", 0,
           "{\"create_revision\":1,\"key\":{\"$hex\":\"00ff\"},\"mod_revision\":1,\"value\":{\"$hex\":\"0102\"},"
           "\"version\":1}");
    REFUSED("set", "{\"key\":{\"$hex\":\"ff61\"},\"value\":1}", GAVEL_E_INVALID, "byte ff");
    REFUSED("get", "{\"key\":{\"$hex\":\"ff7761\"}}", GAVEL_E_INVALID, "byte ff");
    REFUSED("set", "{\"key\":\"\",\"value\":1}", GAVEL_E_INVALID, "key");
    REFUSED("set", "{\"key\":\"a\"}", GAVEL_E_INVALID, "value");
    REFUSED("set", "{\"value\":1}", GAVEL_E_INVALID, "key");
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(fake_runf(machine, "set", "{\"key\":\"%064d\",\"value\":1}", 0), 0);
    assert_int_equal(fake_runf(machine, "set", "{\"key\":\"%065d\",\"value\":1}", 0), GAVEL_E_TOO_LARGE);
    assert_non_null(strstr(machine->error.text, "key_bytes_max"));
    assert_int_equal(fake_runf(machine, "set", "{\"key\":\"a\",\"value\":\"%04093d\"}", 0), 0); /* 3 bytes of header */
    assert_int_equal(fake_runf(machine, "set", "{\"key\":\"a\",\"value\":\"%04094d\"}", 0), GAVEL_E_TOO_LARGE);
    assert_non_null(strstr(machine->error.text, "value_bytes_max"));
    /* An update that makes it too large: the patch alone is not. */
    assert_int_equal(fake_runf(machine, "update", "{\"key\":\"u\",\"patch\":{\"a\":\"%02041d\"}}", 0), 0);
    assert_int_equal(fake_runf(machine, "update", "{\"key\":\"u\",\"patch\":{\"b\":\"%02044d\"}}", 0), 0);
    assert_int_equal(fake_runf(machine, "update", "{\"key\":\"u\",\"patch\":{\"b\":\"%02045d\"}}", 0),
                     GAVEL_E_TOO_LARGE);
    assert_int_equal(fake_runf(machine, "update", "{\"key\":\"u\",\"patch\":{\"b\":\"%02044d\"}}", 0), 0);
}

static void test_update(void **state)
{
    (void)state;
    EXPECT("update", "{\"key\":\"a\",\"patch\":{\"x\":1,\"gone\":null}}", 0, "{\"revision\":1,\"version\":1}");
    EXPECT("update", "{\"key\":\"a\",\"patch\":{\"y\":{\"z\":[1,2]}}}", 0, "{\"revision\":2,\"version\":2}");
    assert_string_equal(machine->events, "set a {\"x\":1,\"y\":{\"z\":[1,2]}} {\"x\":1}\n");
    EXPECT("update", "{\"key\":\"a\",\"patch\":{\"x\":null}}", 0, "{\"revision\":3,\"version\":3}");
    EXPECT("get", "{\"key\":\"a\"}", 0,
           "{\"create_revision\":1,\"key\":\"a\",\"mod_revision\":3,\"value\":{\"y\":{\"z\":[1,2]}},\"version\":3}");
    REFUSED("update", "{\"key\":\"a\"}", GAVEL_E_INVALID, "patch");
}

static void test_incr(void **state)
{
    (void)state;
    EXPECT("incr", "{\"key\":\"n\"}", 0, "{\"revision\":1,\"value\":1,\"version\":1}");
    EXPECT("incr", "{\"key\":\"n\",\"by\":-3}", 0, "{\"revision\":2,\"value\":-2,\"version\":2}");
    EXPECT("incr", "{\"key\":\"d\",\"path\":\"a.b\",\"by\":7}", 0, "{\"revision\":3,\"value\":7,\"version\":1}");
    assert_string_equal(machine->events, "set d {\"a\":{\"b\":7}} -\n");
    EXPECT("set", "{\"key\":\"d\",\"value\":{\"list\":[{\"n\":1},{\"n\":2}],\"s\":\"x\"}}", 0,
           "{\"revision\":4,\"version\":2}");
    EXPECT("incr", "{\"key\":\"d\",\"path\":\"list.1.n\",\"by\":40}", 0, "{\"revision\":5,\"value\":42,\"version\":3}");
    assert_string_equal(machine->events, "set d {\"list\":[{\"n\":1},{\"n\":42}],\"s\":\"x\"} "
                                         "{\"list\":[{\"n\":1},{\"n\":2}],\"s\":\"x\"}\n");
    REFUSED("incr", "{\"key\":\"d\",\"path\":\"s\"}", GAVEL_E_INVALID, "not a whole number");
    REFUSED("incr", "{\"key\":\"d\",\"path\":\"s.x\"}", GAVEL_E_INVALID, "neither a map nor an array");
    REFUSED("incr", "{\"key\":\"d\",\"path\":\"list.2.n\"}", GAVEL_E_INVALID, "behind the end");
    REFUSED("incr", "{\"key\":\"d\",\"path\":\"list.x\"}", GAVEL_E_INVALID, "no number");
    REFUSED("incr", "{\"key\":\"d\",\"path\":\"list..n\"}", GAVEL_E_INVALID, "empty name");
    REFUSED("incr", "{\"key\":\"d\",\"path\":\"new.\"}", GAVEL_E_INVALID, "empty name");
    REFUSED("incr", "{\"key\":\"d\"}", GAVEL_E_INVALID, "not a whole number");
    EXPECT("set", "{\"key\":\"n\",\"value\":-9223372036854775807}", 0, "{\"revision\":13,\"version\":3}");
    EXPECT("incr", "{\"key\":\"n\",\"by\":-1}", 0,
           "{\"revision\":14,\"value\":-9223372036854775808,\"version\":4}");
    REFUSED("incr", "{\"key\":\"n\",\"by\":-1}", GAVEL_E_INVALID, "64 bits");
    EXPECT("set", "{\"key\":\"n\",\"value\":9223372036854775807}", 0, "{\"revision\":16,\"version\":5}");
    EXPECT("incr", "{\"key\":\"n\",\"by\":9223372036854775807}", 0, /* the test's JSON has no unsigned numbers */
           "{\"revision\":17,\"value\":-2,\"version\":6}");
    EXPECT("incr", "{\"key\":\"n\"}", 0, "{\"revision\":18,\"value\":-1,\"version\":7}");
    REFUSED("incr", "{\"key\":\"n\"}", GAVEL_E_INVALID, "64 bits");
}

static void test_cas(void **state)
{
    (void)state;
    EXPECT("cas", "{\"key\":\"a\",\"revision\":0,\"value\":1}", 0, "{\"revision\":1,\"version\":1}");
    REFUSED("cas", "{\"key\":\"a\",\"revision\":0,\"value\":2}", GAVEL_E_CONDITION, "revision 1");
    REFUSED("cas", "{\"key\":\"a\",\"expect\":2,\"value\":3}", GAVEL_E_CONDITION, "another value");
    EXPECT("cas", "{\"key\":\"a\",\"expect\":1,\"value\":{\"x\":[]}}", 0, "{\"revision\":4,\"version\":2}");
    EXPECT("cas", "{\"key\":\"a\",\"expect\":{\"x\":[]},\"value\":5}", 0, "{\"revision\":5,\"version\":3}");
    EXPECT("cas", "{\"key\":\"a\",\"revision\":5,\"value\":6}", 0, "{\"revision\":6,\"version\":4}");
    REFUSED("cas", "{\"key\":\"b\",\"expect\":null,\"value\":3}", GAVEL_E_CONDITION, "does not exist");
    REFUSED("cas", "{\"key\":\"a\",\"value\":3}", GAVEL_E_INVALID, "either");
    REFUSED("cas", "{\"key\":\"a\",\"value\":3,\"expect\":6,\"revision\":6}", GAVEL_E_INVALID, "either");
}

static void test_batch(void **state)
{
    (void)state;
    EXPECT("set", "{\"key\":\"old\",\"value\":0}", 0, "{\"revision\":1,\"version\":1}");
    EXPECT("batch",
           "{\"items\":[{\"op\":\"set\",\"key\":\"a\",\"value\":1},{\"op\":\"incr\",\"key\":\"a\",\"by\":4},"
           "{\"op\":\"update\",\"key\":\"u\",\"patch\":{\"k\":true}},{\"op\":\"delete\",\"key\":\"old\"},"
           "{\"op\":\"set\",\"key\":\"old\",\"value\":\"new\"}]}", 0,
           "{\"items\":[{\"version\":1},{\"value\":5,\"version\":2},{\"version\":1},{\"version\":0},{\"version\":1}],"
           "\"revision\":2}");
    assert_string_equal(machine->events, "set a 1 -\nset a 5 1\nset u {\"k\":true} -\ndelete old - 0\n"
                                         "set old \"new\" -\n");
    EXPECT("keys", "{}", 0, "{\"keys\":[\"a\",\"old\",\"u\"],\"revision\":2}");
    EXPECT("get", "{\"key\":\"old\",\"revision\":1}", 0,
           "{\"create_revision\":1,\"key\":\"old\",\"mod_revision\":1,\"value\":0,\"version\":1}");
    EXPECT("get", "{\"key\":\"old\",\"revision\":2}", 0,
           "{\"create_revision\":2,\"key\":\"old\",\"mod_revision\":2,\"value\":\"new\",\"version\":1}");
}

/* A bad item at each position, of each sort: everything is refused, and the position is named. */
static void test_batch_is_all_or_nothing(void **state)
{
    static const char *const bad[] = {
        "{\"op\":\"delete\",\"key\":\"missing\"}",  "{\"op\":\"set\",\"key\":\"a\"}",
        "{\"op\":\"update\",\"key\":\"a\"}",        "{\"op\":\"incr\",\"key\":\"text\"}",
        "{\"op\":\"set\",\"key\":{\"$hex\":\"ff\"},\"value\":1}",
        "{\"op\":\"delete\",\"key\":\"g4\"}",
        "{\"op\":\"set\",\"key\":\"00000000000000000000000000000000000000000000000000000000000000000\",\"value\":1}",
    };
    char text[4096];
    char where[32];
    size_t which;
    int at;
    int i;
    (void)state;
    fake_run(machine, "set", "{\"key\":\"text\",\"value\":\"t\"}");
    for (which = 0; which < sizeof bad / sizeof bad[0]; which++) {
        for (at = 0; at < 5; at++) {
            size_t length = (size_t)snprintf(text, sizeof text, "{\"items\":[");
            for (i = 0; i < 5; i++)
                length += i == at
                    ? (size_t)snprintf(text + length, sizeof text - length, "%s%s", i ? "," : "", bad[which])
                    : (size_t)snprintf(text + length, sizeof text - length,
                                       "%s{\"op\":\"set\",\"key\":\"g%d\",\"value\":%d}", i ? "," : "", i, i);
            (void)snprintf(text + length, sizeof text - length, "]}");
            if (which == 5 && at == 4) /* g4 is not set before only while it is not deleted at its own place */
                continue;
            (void)snprintf(where, sizeof where, "items[%d]: ", at);
            {
                struct gavel_machine_state before = fake_state(machine);
                struct gavel_machine_state after;
                assert_true(fake_run(machine, "batch", text) < 0);
                assert_memory_equal(machine->error.text, where, strlen(where));
                after = fake_state(machine);
                assert_memory_equal(&before, &after, sizeof before);
            }
        }
    }
    EXPECT("count", "{}", 0, "{\"count\":1,\"revision\":35}");
    REFUSED("batch", "{\"items\":[]}", GAVEL_E_INVALID, "items");
    REFUSED("batch", "{\"items\":[{\"op\":\"fly\",\"key\":\"a\"}]}", GAVEL_E_INVALID, "op");
}

static void test_batch_limit(void **state)
{
    char text[16384];
    size_t length = (size_t)snprintf(text, sizeof text, "{\"items\":[");
    int i;
    (void)state;
    for (i = 0; i < 128; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s{\"op\":\"incr\",\"key\":\"k%03d\"}",
                                   i ? "," : "", i);
    memcpy(text + length, "]}", 3);
    assert_int_equal(fake_run(machine, "batch", text), 0);
    assert_int_equal(machine->event_count, 128);
    memcpy(text + length, ",{\"op\":\"incr\",\"key\":\"x\"}]}", 27);
    REFUSED("batch", text, GAVEL_E_INVALID, "items");
}

/* Small patches of large values: what they make is bounded too. */
static void test_batch_limit_in_bytes(void **state)
{
    struct fake_machine *large = fake_machine_new(host, gavel_plugin_workflow(), NULL);
    int i;
    (void)state;
    for (i = 0; i < 3; i++)
        assert_int_equal(fake_runf(large, "set", "{\"key\":\"k%d\",\"value\":{\"text\":\"%0400000d\"}}", i, 0), 0);
    assert_int_equal(fake_run(large, "batch",
                              "{\"items\":[{\"op\":\"update\",\"key\":\"k0\",\"patch\":{\"a\":1}},"
                              "{\"op\":\"update\",\"key\":\"k1\",\"patch\":{\"a\":1}}]}"), 0);
    assert_int_equal(fake_run(large, "batch",
                              "{\"items\":[{\"op\":\"update\",\"key\":\"k0\",\"patch\":{\"a\":2}},"
                              "{\"op\":\"update\",\"key\":\"k1\",\"patch\":{\"a\":2}},"
                              "{\"op\":\"update\",\"key\":\"k2\",\"patch\":{\"a\":2}}]}"), GAVEL_E_TOO_LARGE);
    assert_memory_equal(large->error.text, "items[2]: ", 10);
    fake_machine_free(large);
}

static void fill(void)
{
    fake_run(machine, "set", "{\"key\":\"a\",\"value\":1}");
    fake_run(machine, "set", "{\"key\":\"b/1\",\"value\":2}");
    fake_run(machine, "set", "{\"key\":\"b/2\",\"value\":3}");
    fake_run(machine, "set", "{\"key\":\"b/3\",\"value\":4}");
    fake_run(machine, "set", "{\"key\":\"c\",\"value\":5}");
    fake_run(machine, "start_workflow", "{\"workflow_id\":\"w\"}");
}

static void test_range_prefix_keys_count(void **state)
{
    (void)state;
    fill();
    EXPECT("range", "{\"from\":\"b\",\"to\":\"b/3\"}", 0,
           "{\"items\":[{\"create_revision\":2,\"key\":\"b/1\",\"mod_revision\":2,\"value\":2,\"version\":1},"
           "{\"create_revision\":3,\"key\":\"b/2\",\"mod_revision\":3,\"value\":3,\"version\":1}],\"revision\":6}");
    EXPECT("prefix", "{\"prefix\":\"b/\",\"limit\":1,\"after\":\"b/1\"}", 0,
           "{\"after\":\"b/2\",\"items\":[{\"create_revision\":3,\"key\":\"b/2\",\"mod_revision\":3,\"value\":3,"
           "\"version\":1}],\"revision\":6}");
    EXPECT("prefix", "{\"prefix\":\"b/\",\"limit\":1,\"after\":\"b/2\"}", 0,
           "{\"items\":[{\"create_revision\":4,\"key\":\"b/3\",\"mod_revision\":4,\"value\":4,\"version\":1}],"
           "\"revision\":6}");
    EXPECT("keys", "{}", 0, "{\"keys\":[\"a\",\"b/1\",\"b/2\",\"b/3\",\"c\"],\"revision\":6}");
    EXPECT("keys", "{\"prefix\":\"b\",\"limit\":2}", 0,
           "{\"after\":\"b/2\",\"keys\":[\"b/1\",\"b/2\"],\"revision\":6}");
    EXPECT("keys", "{\"prefix\":\"b\",\"after\":\"b/3\"}", 0, "{\"keys\":[],\"revision\":6}");
    EXPECT("keys", "{\"prefix\":{\"$hex\":\"ff\"}}", 0, "{\"keys\":[],\"revision\":6}");
    EXPECT("count", "{}", 0, "{\"count\":5,\"revision\":6}");
    EXPECT("count", "{\"prefix\":\"b/\"}", 0, "{\"count\":3,\"revision\":6}");
    EXPECT("count", "{\"prefix\":{\"$hex\":\"ff77\"}}", 0, "{\"count\":0,\"revision\":6}");
    EXPECT("range", "{\"from\":\"x\",\"to\":\"b\"}", 0, "{\"items\":[],\"revision\":6}");
    EXPECT("keys", "{\"after\":\"zz\"}", 0, "{\"keys\":[],\"revision\":6}");
    REFUSED("range", "{\"limit\":0}", GAVEL_E_INVALID, "limit");
    REFUSED("range", "{\"limit\":1001}", GAVEL_E_INVALID, "limit");
    REFUSED("prefix", "{}", GAVEL_E_INVALID, "prefix");
}

static void test_reads_in_the_past(void **state)
{
    (void)state;
    fill(); /* 1..6 */
    fake_run(machine, "delete", "{\"key\":\"b/2\"}");               /* 7 */
    fake_run(machine, "set", "{\"key\":\"a\",\"value\":10}");       /* 8 */
    fake_run(machine, "set", "{\"key\":\"b/2\",\"value\":30}");     /* 9 */
    EXPECT("keys", "{\"revision\":3}", 0, "{\"keys\":[\"a\",\"b/1\",\"b/2\"],\"revision\":3}");
    EXPECT("keys", "{\"revision\":7,\"prefix\":\"b\"}", 0, "{\"keys\":[\"b/1\",\"b/3\"],\"revision\":7}");
    EXPECT("range", "{\"revision\":8,\"to\":\"b/2\"}", 0,
           "{\"items\":[{\"create_revision\":1,\"key\":\"a\",\"mod_revision\":8,\"value\":10,\"version\":2},"
           "{\"create_revision\":2,\"key\":\"b/1\",\"mod_revision\":2,\"value\":2,\"version\":1}],\"revision\":8}");
    REFUSED("get", "{\"key\":\"b/2\",\"revision\":7}", GAVEL_E_NOT_FOUND, "no such key");
    EXPECT("get", "{\"key\":\"b/2\",\"revision\":6}", 0,
           "{\"create_revision\":3,\"key\":\"b/2\",\"mod_revision\":3,\"value\":3,\"version\":1}");
    REFUSED("get", "{\"key\":\"a\",\"revision\":10}", GAVEL_E_INVALID, "not happened yet");
    REFUSED("range", "{\"revision\":11}", GAVEL_E_INVALID, "not happened yet");
}

static void test_history_is_trimmed(void **state)
{
    int i;
    (void)state;
    for (i = 1; i <= 101; i++) /* the history keeps 100 changes */
        assert_int_equal(fake_runf(machine, "set", "{\"key\":\"k%d\",\"value\":%d}", i % 2, i), 0);
    assert_int_equal(fake_state(machine).changelog, 100);
    EXPECT("get", "{\"key\":\"k1\",\"revision\":1}", 0,
           "{\"create_revision\":1,\"key\":\"k1\",\"mod_revision\":1,\"value\":1,\"version\":1}");
    assert_int_equal(fake_run(machine, "set", "{\"key\":\"x\",\"value\":0}"), 0);
    assert_int_equal(fake_state(machine).changelog, 100);
    REFUSED("get", "{\"key\":\"k1\",\"revision\":1}", GAVEL_E_COMPACTED, "the oldest is 2");
    EXPECT("get", "{\"key\":\"k1\",\"revision\":2}", 0,
           "{\"create_revision\":1,\"key\":\"k1\",\"mod_revision\":1,\"value\":1,\"version\":1}");
    assert_int_equal(fake_maintain(machine), 0); /* nothing is left over */
}

static void test_workflows(void **state)
{
    (void)state;
    EXPECT("start_workflow", "{\"workflow_id\":\"w\",\"data\":{\"step\":1}}", 0,
           "{\"revision\":1,\"started_ms\":1001,\"status\":\"running\",\"updated_ms\":1001,\"version\":1,"
           "\"workflow_id\":\"w\"}");
    assert_string_equal(machine->events, "workflow_started w {\"data\":{\"step\":1},\"started_ms\":1001,"
                                         "\"status\":\"running\",\"updated_ms\":1001} -\n");
    REFUSED("start_workflow", "{\"workflow_id\":\"w\"}", GAVEL_E_EXISTS, "runs already, since revision 1");
    EXPECT("update_state", "{\"workflow_id\":\"w\",\"data\":{\"more\":[],\"step\":null}}", 0,
           "{\"revision\":3,\"started_ms\":1001,\"status\":\"running\",\"updated_ms\":1003,\"version\":2,"
           "\"workflow_id\":\"w\"}");
    assert_string_equal(machine->events,
                        "workflow_updated w {\"data\":{\"more\":[]},\"started_ms\":1001,\"status\":\"running\","
                        "\"updated_ms\":1003} {\"data\":{\"step\":1},\"started_ms\":1001,\"status\":\"running\","
                        "\"updated_ms\":1001}\n");
    EXPECT("stop_workflow", "{\"workflow_id\":\"w\"}", 0,
           "{\"revision\":4,\"started_ms\":1001,\"status\":\"stopped\",\"stopped_ms\":1004,\"updated_ms\":1004,"
           "\"version\":3,\"workflow_id\":\"w\"}");
    assert_int_equal(machine->event_count, 1);
    EXPECT("stop_workflow", "{\"workflow_id\":\"w\"}", 0, /* the same answer, no event */
           "{\"revision\":4,\"started_ms\":1001,\"status\":\"stopped\",\"stopped_ms\":1004,\"updated_ms\":1004,"
           "\"version\":3,\"workflow_id\":\"w\"}");
    assert_int_equal(machine->event_count, 0);
    REFUSED("update_state", "{\"workflow_id\":\"w\",\"data\":{}}", GAVEL_E_STATE, "stopped at revision 4");
    REFUSED("stop_workflow", "{\"workflow_id\":\"x\"}", GAVEL_E_NOT_FOUND, "no such workflow");
    REFUSED("update_state", "{\"workflow_id\":\"x\",\"data\":{}}", GAVEL_E_NOT_FOUND, "no such workflow");
    REFUSED("get_workflow", "{\"workflow_id\":\"x\"}", GAVEL_E_NOT_FOUND, "no such workflow");
    EXPECT("start_workflow", "{\"workflow_id\":\"w\"}", 0,
           "{\"revision\":9,\"started_ms\":1009,\"status\":\"running\",\"updated_ms\":1009,\"version\":4,"
           "\"workflow_id\":\"w\"}");
    EXPECT("get_workflow", "{\"workflow_id\":\"w\"}", 0,
           "{\"data\":{},\"revision\":9,\"started_ms\":1009,\"status\":\"running\",\"updated_ms\":1009,\"version\":4,"
           "\"workflow_id\":\"w\"}");
    REFUSED("get", "{\"key\":\"w\"}", GAVEL_E_NOT_FOUND, "no such key");
}

static void test_list_workflows(void **state)
{
    char text[64];
    int i;
    (void)state;
    for (i = 0; i < 7; i++)
        fake_runf(machine, "start_workflow", "{\"workflow_id\":\"w%d\",\"data\":%d}", i, i);
    for (i = 0; i < 7; i += 2)
        fake_runf(machine, "stop_workflow", "{\"workflow_id\":\"w%d\"}", i);
    fake_run(machine, "register_node", "{\"node_id\":\"n\"}");
    EXPECT("list_workflows", "{\"status\":\"running\",\"limit\":2}", 0,
           "{\"after\":\"w3\",\"revision\":12,\"workflows\":["
           "{\"data\":1,\"revision\":2,\"started_ms\":1002,\"status\":\"running\",\"updated_ms\":1002,\"version\":1,"
           "\"workflow_id\":\"w1\"},"
           "{\"data\":3,\"revision\":4,\"started_ms\":1004,\"status\":\"running\",\"updated_ms\":1004,\"version\":1,"
           "\"workflow_id\":\"w3\"}]}");
    EXPECT("list_workflows", "{\"status\":\"running\",\"limit\":2,\"after\":\"w3\"}", 0,
           "{\"revision\":12,\"workflows\":["
           "{\"data\":5,\"revision\":6,\"started_ms\":1006,\"status\":\"running\",\"updated_ms\":1006,\"version\":1,"
           "\"workflow_id\":\"w5\"}]}");
    for (i = 0; i < 7; i++) { /* each page of one, any status */
        (void)snprintf(text, sizeof text, "{\"limit\":1,\"after\":\"w%d\"}", i - 1);
        assert_int_equal(fake_run(machine, "list_workflows", i ? text : "{\"limit\":1}"), 0);
        (void)snprintf(text, sizeof text, "\"workflow_id\":\"w%d\"", i);
        assert_non_null(strstr(machine->result, text));
        assert_true((strstr(machine->result, "after") != NULL) == (i < 6));
    }
    REFUSED("list_workflows", "{\"status\":\"sleeping\"}", GAVEL_E_INVALID, "status");
}

static void test_nodes(void **state)
{
    (void)state;
    EXPECT("register_node", "{\"node_id\":\"n1\",\"data\":{\"zone\":\"a\"}}", 0,
           "{\"node_id\":\"n1\",\"registered_ms\":1001,\"revision\":1,\"version\":1}");
    assert_string_equal(machine->events, "node_registered n1 {\"data\":{\"zone\":\"a\"},\"registered_ms\":1001} -\n");
    EXPECT("register_node", "{\"node_id\":\"n1\",\"data\":7}", 0,
           "{\"node_id\":\"n1\",\"registered_ms\":1002,\"revision\":2,\"version\":2}");
    EXPECT("list_nodes", "{}", 0, "{\"nodes\":[{\"data\":7,\"node_id\":\"n1\",\"registered_ms\":1002,\"revision\":2,"
                                  "\"version\":2}],\"revision\":2}");
    EXPECT("deregister_node", "{\"node_id\":\"n1\"}", 0, "{\"node_id\":\"n1\",\"revision\":3}");
    assert_string_equal(machine->events, "node_deregistered n1 - {\"data\":7,\"registered_ms\":1002}\n");
    REFUSED("deregister_node", "{\"node_id\":\"n1\"}", GAVEL_E_NOT_FOUND, "no such node");
    REFUSED("register_node", "{\"node_id\":\"\"}", GAVEL_E_INVALID, "node_id");
    EXPECT("list_nodes", "{}", 0, "{\"nodes\":[],\"revision\":4}");
}

/* Pages are bounded in bytes: of values near the limit few fit, but always one. */
static void test_pages_are_bounded_in_bytes(void **state)
{
    uint64_t pages = 0;
    char after[32] = "";
    int i;
    (void)state;
    for (i = 0; i < 100; i++)
        assert_int_equal(fake_runf(machine, "set", "{\"key\":\"k%02d\",\"value\":\"%04000d\"}", i, 0), 0);
    for (;;) {
        const char *more;
        assert_int_equal(fake_runf(machine, "prefix", "{\"prefix\":\"k\",\"limit\":1000,\"after\":\"%s\"}", after), 0);
        assert_true(strlen(machine->result) < (256 << 10) + 65 * 100);
        pages++;
        more = strstr(machine->result, "\"after\":\"");
        if (!more)
            break;
        (void)snprintf(after, sizeof after, "%.3s", more + 9);
    }
    assert_int_equal(pages, 2);
}

/* The log never goes back: an entry that does stops this node instead of breaking the order of revisions. */
static void test_an_older_entry_is_refused(void **state)
{
    (void)state;
    fake_run(machine, "set", "{\"key\":\"a\",\"value\":1}");
    fake_run(machine, "set", "{\"key\":\"a\",\"value\":2}");
    machine->index = 1;
    REFUSED("set", "{\"key\":\"a\",\"value\":3}", GAVEL_E_LOCAL, "entry 2");
}

static void test_table_is_complete(void **state)
{
    const struct gavel_statemachine *operations = machine->operations;
    uint64_t i;
    uint64_t j;
    (void)state;
    assert_int_equal(operations->command_stride, sizeof(struct gavel_command));
    for (i = 0; i < operations->command_count; i++) {
        const struct gavel_command *command = &operations->commands[i];
        assert_int_equal(command->id, i + 1); /* as they were first given out; a new one goes to the end */
        assert_true(command->help && command->help[0]);
        assert_true(command->help[strlen(command->help) - 1] != '.');
        assert_true(command->example || (command->flags & GAVEL_INTERNAL));
        assert_true(!(command->flags & GAVEL_READ) != !(command->flags & GAVEL_WRITE));
        for (j = 0; command->arguments && j < command->arguments->count; j++)
            assert_true(command->arguments->rows[j].help && command->arguments->rows[j].help[0]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_set_get_delete),
        TEST(test_keys_are_bytes),
        TEST(test_limits),
        TEST(test_update),
        TEST(test_incr),
        TEST(test_cas),
        TEST(test_batch),
        TEST(test_batch_is_all_or_nothing),
        TEST(test_batch_limit),
        TEST(test_batch_limit_in_bytes),
        TEST(test_range_prefix_keys_count),
        TEST(test_reads_in_the_past),
        TEST(test_history_is_trimmed),
        TEST(test_workflows),
        TEST(test_list_workflows),
        TEST(test_nodes),
        TEST(test_pages_are_bounded_in_bytes),
        TEST(test_an_older_entry_is_refused),
        TEST(test_table_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
