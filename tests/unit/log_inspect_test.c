/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_inspect_test.c - check and dump change no byte and see what is there; repair says first and does only when told.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/inspect.h"
#include "log_fixture.h"

struct output {
    char *text;
    size_t size;
    FILE *file;
};

static FILE *begin(struct output *output)
{
    output->file = open_memstream(&output->text, &output->size);
    assert_non_null(output->file);
    return output->file;
}

static void expect(struct output *output, const char *needle)
{
    (void)fclose(output->file);
    if (!strstr(output->text, needle))
        print_message("not found: %s\nin: %s\n", needle, output->text);
    assert_non_null(strstr(output->text, needle));
    free(output->text);
    output->text = NULL;
}

static void make(struct fixture *f)
{
    fixture_init(f);
    f->options.trail_bytes = 1 << 20;
    fixture_must_open(f);
    (void)fixture_vote(f, 1, 1);
    for (int i = 0; i < 6; i++) {
        (void)fixture_append(f, 1, 2, 100);
        fixture_pump(f);
    }
    fixture_snapshot(f, 1000);
    (void)fixture_append(f, 1, 2, 100);
    (void)fixture_append(f, 1, 2, 100);
    (void)fixture_truncate(f, 15);
    fixture_pump(f);
    fixture_stop(f);
}

/* A byte of the batch of the third group: groups lie at multiples of 512. */
static void spoil(struct fixture *f)
{
    uint8_t noise = 0xf1;

    assert_int_equal(os_mem_poke(f->mem, "data/log/0000000000000001.seg", 4096 + 1024 + 200, &noise, 1), 0);
}

static void test_check(void **state)
{
    struct output output;
    struct fixture f;
    uint64_t digest;
    uint8_t noise = 3;

    (void)state;
    make(&f);
    digest = os_mem_digest(f.mem);
    assert_int_equal(log_inspect_check(&f.os, "data", false, begin(&output), &f.error), 0);
    expect(&output, "result      sound");
    assert_int_equal(log_inspect_check(&f.os, "data", true, begin(&output), &f.error), 0);
    expect(&output, "\"result\":\"sound\",\"row\":15");
    assert_int_equal(os_mem_digest(f.mem), digest);
    spoil(&f);
    digest = os_mem_digest(f.mem);
    assert_int_equal(log_inspect_check(&f.os, "data", false, begin(&output), &f.error), GAVEL_E_CORRUPT);
    expect(&output, "result      corrupt");
    assert_int_equal(log_inspect_check(&f.os, "data", true, begin(&output), &f.error), GAVEL_E_CORRUPT);
    expect(&output, "\"damage\":{\"segment\":1,\"offset\":5120,\"behind_index\":4}");
    assert_int_equal(os_mem_poke(f.mem, "data/vote.0", 20, &noise, 1), 0);
    assert_int_equal(os_mem_poke(f.mem, "data/vote.1", 20, &noise, 1), 0);
    assert_int_equal(log_inspect_check(&f.os, "data", false, begin(&output), &f.error), GAVEL_E_CORRUPT);
    expect(&output, "vote.0 damaged, vote.1 damaged");
    fixture_free(&f);
}

static void test_check_names_every_snapshot(void **state)
{
    struct output output;
    struct fixture f;
    uint8_t noise = 0xee;

    (void)state;
    make(&f);
    assert_int_equal(os_mem_poke(f.mem, "data/snap/000000000000000c-0000000000000001.snap", 4200, &noise, 1), 0);
    assert_int_equal(log_inspect_check(&f.os, "data", false, begin(&output), &f.error), GAVEL_E_CORRUPT);
    expect(&output, "snapshot    index 12, term 1: damaged");
    fixture_free(&f);
}

static void test_dump(void **state)
{
    struct log_dump_options options = {.payload = true};
    struct output output;
    struct fixture f;
    uint64_t digest;

    (void)state;
    make(&f);
    digest = os_mem_digest(f.mem);
    assert_int_equal(log_inspect_dump(&f.os, "data", &options, begin(&output), &f.error), 0);
    expect(&output, "truncate to index 14 term 1");
    assert_int_equal(log_inspect_dump(&f.os, "data", &options, begin(&output), &f.error), 0);
    expect(&output, "  16 command machine 1 session 5 sequence 1 acked 0, 100 bytes f7");
    options.json = true;
    options.payload = false;
    options.from = 4;
    options.count = 1;
    assert_int_equal(log_inspect_dump(&f.os, "data", &options, begin(&output), &f.error), 0);
    expect(&output, "\"entries\":[{\"index\":4,\"kind\":\"command\",\"machine\":1,\"session\":5,\"sequence\":1,"
                    "\"acked\":0,\"principal\":\"ann\",\"bytes\":100}]}");
    assert_int_equal(os_mem_digest(f.mem), digest);
    fixture_free(&f);
}

static void test_not_ours(void **state)
{
    struct output output;
    struct fixture f;

    (void)state;
    fixture_init(&f);
    assert_int_equal(log_inspect_check(&f.os, "nowhere", false, begin(&output), &f.error), GAVEL_E_CONFIG);
    expect(&output, "");
    assert_non_null(strstr(f.error.text, "does not exist"));
    assert_int_equal(os_mkdir(&f.os, "data", 0700), 0);
    assert_int_equal(log_inspect_repair(&f.os, "data", true, false, begin(&output), &f.error), GAVEL_E_CONFIG);
    expect(&output, "");
    fixture_free(&f);
}

static void test_repair(void **state)
{
    struct output output;
    struct fixture f;
    uint64_t digest;

    (void)state;
    make(&f);
    assert_int_equal(log_inspect_repair(&f.os, "data", true, false, begin(&output), &f.error), GAVEL_E_STATE);
    expect(&output, "");
    spoil(&f);
    digest = os_mem_digest(f.mem);
    assert_int_equal(log_inspect_repair(&f.os, "data", false, false, begin(&output), &f.error), 0);
    expect(&output, "loses       2 entries, index 13 to 14: any of them may have been acknowledged");
    assert_int_equal(os_mem_digest(f.mem), digest);
    assert_int_equal(fixture_open(&f), GAVEL_E_CORRUPT);
    assert_int_equal(log_inspect_repair(&f.os, "data", true, true, begin(&output), &f.error), 0);
    expect(&output, "\"keeps_to\":12,\"loses_to\":14,\"loses\":2,\"snapshot_only\":true,\"applied\":true");
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.snapshot.index, 12);
    assert_int_equal(f.recovery.last, 12);
    assert_int_equal(log_inspect_repair(&f.os, "data", true, false, begin(&output), &f.error), GAVEL_E_BUSY);
    expect(&output, "");
    (void)fixture_append(&f, 1, 1, 10);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.last, 13);
    fixture_stop(&f);
    fixture_free(&f);
}

/* A node that is recovering and has nobody left to fetch from: the mark goes, the sound prefix stays. */
static void test_repair_of_a_recovering_node(void **state)
{
    struct output output;
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    for (int i = 0; i < 4; i++) {
        (void)fixture_append(&f, 1, 1, 100);
        fixture_pump(&f);
    }
    fixture_stop(&f);
    spoil(&f);
    f.options.recover = 1;
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_RECOVERING);
    fixture_stop(&f);
    f.options.recover = 0;
    assert_int_equal(log_inspect_repair(&f.os, "data", true, false, begin(&output), &f.error), 0);
    expect(&output, "lost        2 entries, index 3 to 4");
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.last, 2);
    fixture_stop(&f);
    fixture_free(&f);
}

static int fail_segment_sync(void *ctx, enum os_mem_op op, const char *path)
{
    (void)ctx;
    return op == OS_MEM_SYNC && strstr(path, ".seg") ? -EIO : 0;
}

/* The bytes of a failed sync lie in clean pages: a repair keeps what the disk holds, no power cut takes that. */
static void test_repair_after_failed_sync(void **state)
{
    struct output output;
    struct fixture f;
    uint8_t noise = 0xf1;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    (void)fixture_append(&f, 1, 1, 100);
    fixture_pump(&f);
    os_mem_set_hook(f.mem, fail_segment_sync, NULL);
    (void)fixture_append(&f, 1, 3, 100);
    fixture_pump(&f);
    assert_int_equal(f.failures, 1);
    fixture_crash(&f, OS_MEM_KILL, 1);
    assert_int_equal(os_mem_poke(f.mem, "data/log/0000000000000001.seg", 8, &noise, 1), 0);
    assert_int_equal(log_inspect_repair(&f.os, "data", true, false, begin(&output), &f.error), 0);
    expect(&output, "keeps       everything up to index 1\n");
    fixture_crash(&f, OS_MEM_DROP_ALL, 1);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.last, 1);
    fixture_stop(&f);
    fixture_free(&f);
}

static int stop_at_snap_sync(void *ctx, enum os_mem_op op, const char *path)
{
    struct fixture *f = ctx;

    if (op == OS_MEM_SYNC_DIR && strcmp(path, "data/snap") == 0) {
        os_mem_set_hook(f->mem, NULL, NULL);
        os_mem_stop_after(f->mem, 1);
    }
    return 0;
}

/* A process killed before it could sync the name of a snapshot: the repair that goes on with that one does it. */
static void test_repair_after_an_unsynced_name(void **state)
{
    struct output output;
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    for (int i = 0; i < 4; i++) {
        (void)fixture_append(&f, 1, 1, 100);
        fixture_pump(&f);
    }
    os_mem_set_hook(f.mem, stop_at_snap_sync, &f);
    fixture_snapshot(&f, 1000);
    fixture_crash(&f, OS_MEM_KILL, 1);
    spoil(&f);
    assert_int_equal(log_inspect_repair(&f.os, "data", true, false, begin(&output), &f.error), 0);
    expect(&output, "keeps       everything up to index 4 (the snapshot alone)\n");
    fixture_crash(&f, OS_MEM_DROP_ALL, 1);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.snapshot.index, 4);
    assert_int_equal(f.recovery.last, 4);
    fixture_stop(&f);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_check_names_every_snapshot),
        cmocka_unit_test(test_dump),
        cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_repair),
        cmocka_unit_test(test_repair_of_a_recovering_node),
        cmocka_unit_test(test_repair_after_failed_sync),
        cmocka_unit_test(test_repair_after_an_unsynced_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
