/* SPDX-License-Identifier: Apache-2.0 */
/* counter.c - every command of the counter with good and bad input, its limits, snapshot, restore and digest. */
#include "tests/unit/fake_host.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

const struct gavel_plugin *gavel_plugin_counter(void);

static struct fake_host *host;

static struct fake_machine *machine_new(void)
{
    return fake_machine_new(host, gavel_plugin_counter(), NULL);
}

static void test_increment_and_get(void **state)
{
    struct fake_machine *machine = machine_new();
    (void)state;
    assert_int_equal(fake_run(machine, "get", "{\"name\":\"visits\"}"), GAVEL_E_NOT_FOUND);
    assert_int_equal(fake_run(machine, "increment", "{\"name\":\"visits\"}"), 0);
    assert_string_equal(machine->result, "1");
    assert_string_equal(machine->events, "set visits 1 -\n");
    assert_int_equal(fake_run(machine, "increment", "{\"name\":\"visits\",\"by\":-43}"), 0);
    assert_string_equal(machine->result, "-42");
    assert_int_equal(fake_run(machine, "get", "{\"name\":\"visits\"}"), 0);
    assert_string_equal(machine->result, "-42");
    assert_int_equal(fake_run(machine, "get", "{\"name\":\"visit\"}"), GAVEL_E_NOT_FOUND);
    fake_machine_free(machine);
}

static void test_overflow_changes_nothing(void **state)
{
    struct fake_machine *machine = machine_new();
    struct gavel_machine_state before;
    struct gavel_machine_state after;
    (void)state;
    assert_int_equal(fake_run(machine, "increment", "{\"name\":\"a\",\"by\":9223372036854775807}"), 0);
    before = fake_state(machine);
    assert_int_equal(fake_run(machine, "increment", "{\"name\":\"a\"}"), GAVEL_E_INVALID);
    after = fake_state(machine);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(fake_run(machine, "increment", "{\"name\":\"a\",\"by\":-9223372036854775807}"), 0);
    assert_string_equal(machine->result, "0");
    fake_machine_free(machine);
}

static void test_bad_arguments(void **state)
{
    struct fake_machine *machine = machine_new();
    (void)state;
    assert_int_equal(fake_run(machine, "increment", "{}"), GAVEL_E_INVALID);
    assert_int_equal(fake_run(machine, "increment", "{\"name\":\"\"}"), GAVEL_E_INVALID);
    assert_int_equal(fake_run(machine, "increment", "{\"name\":\"a\",\"by\":\"x\"}"), GAVEL_E_INVALID);
    assert_int_equal(fake_run(machine, "get", "{\"name\":\"a\",\"by\":1}"), GAVEL_E_INVALID);
    assert_int_equal(fake_runf(machine, "increment", "{\"name\":\"%048d\"}", 0), 0);
    assert_int_equal(fake_runf(machine, "increment", "{\"name\":\"%049d\"}", 0), GAVEL_E_INVALID);
    fake_machine_free(machine);
}

static void test_limit(void **state)
{
    struct fake_machine *machine = machine_new();
    int i;
    (void)state;
    for (i = 0; i < 1024; i++)
        assert_int_equal(fake_runf(machine, "increment", "{\"name\":\"%d\"}", i), 0);
    assert_int_equal(fake_run(machine, "increment", "{\"name\":\"one more\"}"), GAVEL_E_TOO_LARGE);
    assert_int_equal(fake_run(machine, "increment", "{\"name\":\"17\"}"), 0);
    assert_string_equal(machine->result, "2");
    assert_int_equal(fake_run(machine, "get", "{\"name\":\"one more\"}"), GAVEL_E_NOT_FOUND);
    assert_int_equal(fake_state(machine).entries, 1024);
    fake_machine_free(machine);
}

static void test_snapshot_at_every_index(void **state)
{
    struct fake_random random = fake_random_seeded("counter");
    struct fake_machine *machine = machine_new();
    struct fake_machine *twin = machine_new();
    struct fake_machine *other = machine_new();
    int i;
    (void)state;
    for (i = 0; i < 300; i++) {
        struct fake_snapshot *snapshot = fake_snapshot_take(machine);
        uint64_t name = fake_random_below(&random, 40);
        int64_t by = (int64_t)fake_random_below(&random, 2001) - 1000;
        assert_int_equal(snapshot->count, 1);
        assert_int_equal(fake_restore(other, snapshot), 0);
        fake_assert_same(machine, other);
        fake_snapshot_free(snapshot);
        fake_runf(machine, "increment", "{\"name\":\"n%d\",\"by\":%lld}", (int)name, (long long)by);
        fake_runf(twin, "increment", "{\"name\":\"n%d\",\"by\":%lld}", (int)name, (long long)by);
        assert_string_equal(machine->result, twin->result);
        fake_assert_same(machine, twin);
        if (by) /* another state: another digest */
            assert_true(fake_state(machine).digest[0] != fake_state(other).digest[0]);
    }
    fake_machine_free(machine);
    fake_machine_free(twin);
    fake_machine_free(other);
}

/* Each record of 64 bytes: value, size of the name, name. */
static void test_damaged_snapshots(void **state)
{
    struct fake_machine *machine = machine_new();
    struct fake_machine *other = machine_new();
    struct fake_snapshot *snapshot;
    struct gavel_buffer *chunk;
    uint64_t i;
    (void)state;
    fake_run(machine, "increment", "{\"name\":\"a\"}");
    fake_run(machine, "increment", "{\"name\":\"b\"}");
    snapshot = fake_snapshot_take(machine);
    chunk = &snapshot->chunks[0];
    assert_int_equal(chunk->size, 128);
    for (i = 0; i < 128; i++) { /* cut short */
        chunk->size = i;
        assert_int_equal(fake_restore(other, snapshot), i % 64 ? GAVEL_E_CORRUPT : 0);
    }
    chunk->size = 128;
    chunk->data[8] = 0; /* no name */
    assert_int_equal(fake_restore(other, snapshot), GAVEL_E_CORRUPT);
    chunk->data[8] = 49; /* a name behind the end */
    assert_int_equal(fake_restore(other, snapshot), GAVEL_E_CORRUPT);
    chunk->data[8] = 1;
    chunk->data[17] = 'x'; /* something behind the name */
    assert_int_equal(fake_restore(other, snapshot), GAVEL_E_CORRUPT);
    chunk->data[17] = 0;
    chunk->data[16] = 'b'; /* twice the same name */
    assert_int_equal(fake_restore(other, snapshot), GAVEL_E_CORRUPT);
    chunk->data[16] = 'a';
    assert_int_equal(fake_restore(other, snapshot), 0);
    fake_assert_same(machine, other);
    assert_int_equal(other->operations->restore_begin(other->self, 2, &other->error), GAVEL_E_VERSION);
    fake_snapshot_free(snapshot);
    fake_machine_free(machine);
    fake_machine_free(other);
}

static void test_too_many_in_a_snapshot(void **state)
{
    struct fake_machine *machine = machine_new();
    struct fake_snapshot *snapshot;
    int i;
    (void)state;
    for (i = 0; i < 1024; i++)
        assert_int_equal(fake_runf(machine, "increment", "{\"name\":\"%04d\"}", i), 0);
    snapshot = fake_snapshot_take(machine);
    assert_int_equal(snapshot->chunks[0].size, 64 << 10);
    assert_int_equal(fake_restore(machine, snapshot), 0);
    snapshot->count = 2; /* one more record in another chunk */
    snapshot->chunks[1].heap = &host->heap;
    assert_int_equal(gavel_buffer_append(&snapshot->chunks[1], snapshot->chunks[0].data, 64), 0);
    snapshot->chunks[1].data[16] = 'z';
    assert_int_equal(fake_restore(machine, snapshot), GAVEL_E_CORRUPT);
    fake_snapshot_free(snapshot);
    fake_machine_free(machine);
}

static void test_no_memory(void **state)
{
    const struct gavel_plugin *plugin = gavel_plugin_counter();
    struct gavel_error error = { 0 };
    void *self;
    (void)state;
    host->fail_at = host->allocations + 1;
    assert_int_equal(plugin->create(&host->host, NULL, &self, &error), GAVEL_E_NO_MEMORY);
    assert_true(error.text[0]);
    host->fail_at = 0;
}

/*
 * The hash of a pair, as the headers of ABI 1.0 have it: members with plugins built against different headers compare
 * their digests while a cluster is upgraded, and one with another hash would be fenced.
 */
static void test_the_hash_of_a_pair_stays(void **state)
{
    static const char text[] = "The quick brown fox jumps over the lazy dog";
    static const struct {
        uint64_t key, value;
        uint64_t hash[2];
    } rows[] = {
        {0, 0, {UINT64_C(0xe373825362e5dbd9), UINT64_C(0x35684a267f9d0755)}},
        {1, 0, {UINT64_C(0x2713f858fd87077c), UINT64_C(0x7b2a42f653027857)}},
        {0, 1, {UINT64_C(0x01e06703c6454336), UINT64_C(0x7fdcadd2d6c09c81)}},
        {7, 8, {UINT64_C(0x0a72697a67e25565), UINT64_C(0x67f38941bcff64b6)}},
        {8, 7, {UINT64_C(0x7b4c72f24191b2b4), UINT64_C(0x54baf1ad642c396b)}},
        {9, 16, {UINT64_C(0x7d010248f2fee7a5), UINT64_C(0xdcacf265ee8f6c47)}},
        {16, 9, {UINT64_C(0x5c4f938bb1818a33), UINT64_C(0xf33f7a66fcb10c05)}},
        {17, 43, {UINT64_C(0x2f9e03b9ba0735e1), UINT64_C(0xa4352b7a7a36f4de)}},
        {43, 17, {UINT64_C(0x4a01e6360be6609d), UINT64_C(0xdadf2cf7da1d3496)}},
    };
    uint64_t hash[2];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        gavel_digest_pair(hash, gavel_bytes(text, rows[i].key), gavel_bytes(text, rows[i].value));
        assert_int_equal(hash[0], rows[i].hash[0]);
        assert_int_equal(hash[1], rows[i].hash[1]);
    }
}

static int setup(void **state)
{
    (void)state;
    host = fake_host_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_host_free(host);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_increment_and_get),     cmocka_unit_test(test_overflow_changes_nothing),
        cmocka_unit_test(test_bad_arguments),         cmocka_unit_test(test_limit),
        cmocka_unit_test(test_snapshot_at_every_index), cmocka_unit_test(test_damaged_snapshots),
        cmocka_unit_test(test_too_many_in_a_snapshot), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_the_hash_of_a_pair_stays),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
