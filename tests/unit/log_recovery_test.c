/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_recovery_test.c - the recovery table: one test for each of its rows, made by damaging the bytes on a disk in
 * memory. What was proved is never cut; a refused directory is not changed; with peers it starts as recovering.
 */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/format.h"
#include "core/log/recovery_table.h"
#include "core/log/snapshot_file.h"
#include "core/os/crc32c.h"
#include "log_damage.h"

/* ---- rows about the log -------------------------------------------------------------------------------- */

/* Two logs that part at the same place with batches of equal size: `f` has one, `other` the other. */
static void make_pair(struct fixture *f, struct os_mem **other, int groups_behind)
{
    struct os_mem *common;

    damage_make(f, 4, 100);
    common = os_mem_clone(f->mem);
    for (int which = 0; which < 2; which++) {
        if (which) {
            *other = f->mem;
            f->mem = common;
            f->os.files_self = common;
        }
        fixture_must_open(f);
        (void)fixture_vote(f, 2 + (uint64_t)which, 1);
        for (int i = 0; i < 1 + groups_behind; i++) {
            (void)fixture_append(f, 2 + (uint64_t)which, 1, 100);
            fixture_pump(f);
        }
        fixture_stop(f);
    }
}

static void test_order(void **state)
{
    struct fixture f;
    struct os_mem *other;
    struct damage_place place;
    char path[OS_PATH_MAX];
    const uint8_t *bytes;
    uint64_t size;

    (void)state;
    make_pair(&f, &other, 1);
    place = damage_find(&f, 5);
    damage_segment_path(path, place.segment);
    bytes = os_mem_peek(other, path, &size) + place.offset;
    assert_int_equal(os_mem_poke(f.mem, path, place.offset, bytes, place.bytes), 0);
    damage_expect_refused(&f, 1);
    damage_expect_recovers(&f, 5, 6);
    other = os_mem_free(other);
    fixture_free(&f);
}

static void test_segment_missing(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 70, 2000);
    damage_remove_file(&f, "data/log", "data/log/0000000000000002.seg");
    damage_expect_refused(&f, 2);
    damage_expect_recovers(&f, damage_find(&f, 20).found ? f.recovery.last : 0, 70);
    fixture_free(&f);
}

static void test_all_segments_missing(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 3, 100);
    damage_remove_file(&f, "data/log", "data/log/0000000000000001.seg");
    damage_remove_file(&f, "data/log", "data/log/0000000000000002.seg");
    damage_remove_file(&f, "data/log", "data/log/synced");
    damage_expect_refused(&f, 2);
    fixture_free(&f);
}

/* An entry that needed room on a full disk ended the node (found by tests/cluster/torture): it is taken at start. */
static void test_identities_have_their_room_again(void **state)
{
    static const uint64_t cuts[] = {0, 64, 1000, 32767};

    (void)state;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        struct os_file *file;
        struct os_stat stat;
        struct fixture f;

        damage_make(&f, 3, 100);
        assert_int_equal(os_open(&f.os, "data/log/synced", OS_OPEN_READ | OS_OPEN_WRITE, &file), 0);
        assert_int_equal(os_truncate(&f.os, file, cuts[i]), 0);
        assert_int_equal(os_sync(&f.os, file), 0);
        os_close(&f.os, file);
        fixture_must_open(&f);
        assert_int_equal(f.recovery.last, 3);
        assert_int_equal(os_stat(&f.os, "data/log/synced", &stat), 0);
        assert_int_equal(stat.size, LOG_IDENTITY_SLOTS * LOG_IDENTITY_BYTES);
        fixture_stop(&f);
        fixture_free(&f);
    }
}

static void test_damage_before_later_frame(void **state)
{
    static const uint64_t behind[] = {0, 20, 44, LOG_FRAME_HEAD, LOG_FRAME_HEAD + 20, LOG_FRAME_HEAD + 70};

    (void)state;
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        struct fixture f;

        damage_make(&f, 6, 100);
        damage_erase_identities(&f);
        damage_spoil(&f, 3, behind[i]);
        damage_expect_refused(&f, 3);
        damage_expect_recovers(&f, 2, 6);
        fixture_free(&f);
    }
}

static void test_damage_before_later_segment(void **state)
{
    struct fixture f;
    uint64_t last_of_first;

    (void)state;
    damage_make(&f, 40, 2000);
    damage_erase_identities(&f);
    for (last_of_first = 1; damage_find(&f, last_of_first + 1).segment == 1;)
        last_of_first++;
    damage_spoil(&f, last_of_first, LOG_FRAME_HEAD + 100);
    damage_expect_refused(&f, 4);
    damage_expect_recovers(&f, last_of_first - 1, 40);
    fixture_free(&f);
}

static void test_damage_that_an_identity_proves(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 5, 100);
    damage_spoil(&f, 5, LOG_FRAME_HEAD + 70);
    damage_expect_refused(&f, 5);
    damage_expect_recovers(&f, 4, 5);
    fixture_free(&f);
}

static void test_shorter_than_an_identity_says(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 5, 100);
    damage_erase(&f, 5);
    damage_expect_refused(&f, 6);
    damage_expect_recovers(&f, 4, 5);
    fixture_free(&f);
}

/* The last segment is gone as a whole. */
static void test_last_segment_gone(void **state)
{
    struct fixture f;
    struct damage_place last;
    char path[OS_PATH_MAX];

    (void)state;
    damage_make(&f, 40, 2000);
    last = damage_find(&f, 40);
    assert_true(last.segment > 1);
    damage_segment_path(path, last.segment);
    damage_remove_file(&f, "data/log", path);
    damage_expect_refused(&f, 6);
    fixture_free(&f);
}

static void test_identity_of_another_log(void **state)
{
    struct fixture f;
    struct os_mem *other;

    (void)state;
    make_pair(&f, &other, 0);
    damage_copy_file(other, f.mem, "data/log/synced");
    damage_expect_refused(&f, 7);
    damage_expect_recovers(&f, 5, 5);
    other = os_mem_free(other);
    fixture_free(&f);
}

static void test_segment_head(void **state)
{
    struct fixture f;
    uint8_t noise = 0x99;

    (void)state;
    damage_make(&f, 5, 100);
    assert_int_equal(os_mem_poke(f.mem, "data/log/0000000000000001.seg", 9, &noise, 1), 0);
    damage_expect_refused(&f, 8);
    damage_expect_recovers(&f, 5, 5);
    fixture_free(&f);
}

static void test_votes_older_than_the_log(void **state)
{
    struct fixture f;
    struct os_mem *before;

    (void)state;
    damage_make(&f, 2, 100);
    before = os_mem_clone(f.mem);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 2, 1);
    (void)fixture_append(&f, 2, 1, 10);
    fixture_pump(&f);
    fixture_stop(&f);
    damage_copy_file(before, f.mem, "data/vote.0");
    damage_copy_file(before, f.mem, "data/vote.1");
    damage_expect_refused(&f, 9);
    f.options.recover = 1;
    damage_expect_refused(&f, 9); /* in a cluster too: it could vote twice */
    before = os_mem_free(before);
    fixture_free(&f);
}

/* A log of several segments, compacted behind a snapshot. */
static void make_compacted(struct fixture *f)
{
    damage_make(f, 70, 2000);
    f->options.trail_bytes = 1;
    fixture_must_open(f);
    (void)fixture_append(f, 1, 1, 10);
    fixture_pump(f);
    fixture_snapshot(f, 100000);
    assert_int_equal(f->task_status, 0);
    log_compact(f->log, log_snapshot_newest(f->log).index);
    fixture_pump(f);
    assert_true(log_first(f->log) > 1);
    fixture_stop(f);
}

static void test_gap(void **state)
{
    struct fixture f;

    (void)state;
    make_compacted(&f);
    damage_remove_file(&f, "data/snap", "data/snap/0000000000000047-0000000000000001.snap");
    damage_expect_refused(&f, 10);
    damage_expect_recovers(&f, 0, 71);
    fixture_free(&f);
}

static void test_gap_by_a_damaged_snapshot(void **state)
{
    struct fixture f;
    uint8_t noise = 0x99;

    (void)state;
    make_compacted(&f);
    assert_int_equal(os_mem_poke(f.mem, "data/snap/0000000000000047-0000000000000001.snap", 70000, &noise, 1), 0);
    damage_expect_refused(&f, 10);
    damage_expect_recovers(&f, 0, 71);
    fixture_free(&f);
}

/* Segments go one at a time, the oldest first, each durably: a crash leaves no hole between them. */
static void test_dropped_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 60; seed++) {
        struct fixture f;

        damage_make(&f, 300, 2000);
        f.options.trail_bytes = 1;
        fixture_must_open(&f);
        fixture_snapshot(&f, 10);
        log_compact(f.log, log_snapshot_newest(f.log).index);
        os_mem_stop_after(f.mem, 24 + seed);
        fixture_pump(&f);
        fixture_crash(&f, OS_MEM_RANDOM, seed);
        fixture_must_open(&f);
        assert_int_equal(f.recovery.last, 300);
        fixture_stop(&f);
        fixture_free(&f);
    }
}

static void on_received(void *ctx, int32_t status, uint64_t offset, const struct gavel_error *error)
{
    struct fixture *f = ctx;

    (void)offset;
    (void)error;
    f->task_status = status;
}

/* A snapshot from a peer is published; the machine stops before the log is reset. */
static void install(struct fixture *f, uint64_t index, uint64_t term, uint32_t chain)
{
    struct log_snapshot_info info = {.index = index, .term = term, .chain = chain, .bytes = 5};
    struct log_snapshot_receiver *receiver;

    fixture_must_open(f);
    info.digest = crc32c(0, "state", 5);
    f->task_status = 1;
    assert_int_equal(log_snapshot_receive(f->log, &info, "meta", 4, on_received, f, &receiver), 0);
    fixture_pump(f);
    assert_int_equal(f->task_status, 0);
    assert_int_equal(log_snapshot_piece(receiver, 0, "state", 5, info.digest), 0);
    fixture_pump(f);
    assert_int_equal(log_snapshot_received_end(receiver), 0);
    fixture_pump(f);
    assert_int_equal(f->task_status, 0);
    fixture_crash(f, OS_MEM_DROP_ALL, 5);
}

static void expect_superseded(struct fixture *f, uint32_t row, uint64_t index, uint64_t term)
{
    fixture_must_open(f);
    assert_int_equal(f->recovery.row, row);
    damage_saw(row);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(f->recovery.start, LOG_START_OK);
        assert_int_equal(f->recovery.snapshot.index, index);
        assert_int_equal(f->recovery.first, index + 1);
        assert_int_equal(f->recovery.last, index);
        assert_int_equal(f->recovery.last_term, term);
        assert_int_equal(f->recovery.last_chain, 0x1234);
        fixture_crash(f, OS_MEM_DROP_ALL, 6);
        fixture_must_open(f);
    }
    (void)fixture_vote(f, 3, 1);
    (void)fixture_append(f, 3, 1, 20);
    fixture_pump(f);
    fixture_stop(f);
    fixture_must_open(f);
    assert_int_equal(f->recovery.last, index + 1);
    fixture_check_index(f, index + 1, 3);
    fixture_stop(f);
}

static void test_ends_below_the_snapshot(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 5, 100);
    install(&f, 900, 2, 0x1234);
    expect_superseded(&f, 11, 900, 2);
    fixture_free(&f);
}

/* The same in a directory that never held an entry. */
static void test_empty_below_the_snapshot(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 0, 100);
    install(&f, 900, 2, 0x1234);
    expect_superseded(&f, 11, 900, 2);
    fixture_free(&f);
}

static void test_another_history(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 9, 100);
    install(&f, 7, 2, 0x1234);
    expect_superseded(&f, 12, 7, 2);
    fixture_free(&f);
}

/* Every byte of the last group, when nothing proves it: cut off, with one warning, and nothing before it is touched. */
static void test_torn(void **state)
{
    struct fixture f;
    struct os_mem *whole;
    struct damage_place place;
    char path[OS_PATH_MAX];

    (void)state;
    damage_make(&f, 5, 100);
    damage_erase_identities(&f);
    whole = os_mem_clone(f.mem);
    place = damage_find(&f, 5);
    damage_segment_path(path, place.segment);
    for (uint64_t at = 0; at < place.bytes; at += 3) {
        uint64_t size;
        uint8_t byte = os_mem_peek(whole, path, &size)[place.offset + at] ^ 0x11;

        f.mem = os_mem_free(f.mem);
        f.mem = os_mem_clone(whole);
        f.os.files_self = f.mem;
        assert_int_equal(os_mem_poke(f.mem, path, place.offset + at, &byte, 1), 0);
        fixture_must_open(&f);
        assert_int_equal(f.recovery.last, 4);
        /* A header that is not one any more leaves nothing that could be told from recycled space. */
        if (at >= LOG_FRAME_HEAD) {
            assert_int_equal(f.recovery.start, LOG_START_TORN);
            assert_int_equal(f.recovery.row, 13);
            assert_true(f.recovery.text[0]);
        }
        damage_saw(f.recovery.row);
        (void)fixture_append(&f, 1, 1, 30);
        fixture_pump(&f);
        fixture_crash(&f, OS_MEM_DROP_ALL, at);
        fixture_must_open(&f);
        assert_int_equal(f.recovery.start, LOG_START_OK);
        assert_int_equal(f.recovery.last, 5);
        fixture_stop(&f);
    }
    whole = os_mem_free(whole);
    fixture_free(&f);
}

/*
 * Recycled space holds sound payloads of the past. A group of which only the header arrived over one of the same size
 * at the same place is torn (found by gavel-sim: it was taken for a file from elsewhere); once it is proved, it is not.
 */
static void test_torn_over_an_old_payload(void **state)
{
    for (int proved = 0; proved < 2; proved++) {
        struct damage_place old, last;
        char path[OS_PATH_MAX];
        uint8_t payload[4096];
        struct fixture f;
        uint64_t size;

        (void)state;
        damage_make(&f, 5, 100);
        old = damage_find(&f, 2);
        last = damage_find(&f, 5);
        assert_int_equal(old.bytes, last.bytes);
        assert_true(old.bytes <= sizeof payload);
        damage_segment_path(path, old.segment);
        memcpy(payload, os_mem_peek(f.mem, path, &size) + old.offset + LOG_FRAME_HEAD, old.bytes - LOG_FRAME_HEAD);
        damage_segment_path(path, last.segment);
        assert_int_equal(
            os_mem_poke(f.mem, path, last.offset + LOG_FRAME_HEAD, payload, old.bytes - LOG_FRAME_HEAD), 0);
        if (proved) {
            damage_expect_refused(&f, 1);
        } else {
            damage_erase_identities(&f);
            fixture_must_open(&f);
            assert_int_equal(f.recovery.start, LOG_START_TORN);
            assert_int_equal(f.recovery.row, 13);
            assert_int_equal(f.recovery.last, 4);
            fixture_stop(&f);
        }
        fixture_free(&f);
    }
}

/* One group of several frames, one in the middle torn: all of the group goes, and none of it ever returns. */
static void test_torn_in_the_middle_of_a_group(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 3, 100);
    fixture_must_open(&f);
    (void)fixture_append(&f, 1, 1, 100); /* a group of its own, while it runs the next ones collect */
    for (int i = 0; i < 4; i++)
        (void)fixture_append(&f, 1, 1, 100);
    fixture_pump(&f);
    fixture_stop(&f);
    damage_erase_identities(&f);
    damage_spoil(&f, 6, LOG_FRAME_HEAD + 90);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.row, 13);
    assert_int_equal(f.recovery.last, 4);
    (void)fixture_append(&f, 1, 1, 10);
    fixture_pump(&f);
    fixture_crash(&f, OS_MEM_DROP_ALL, 1);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.last, 5);
    fixture_stop(&f);
    fixture_free(&f);
}

static int fail_snapshot_read(void *ctx, enum os_mem_op op, const char *path)
{
    (void)ctx;
    return op == OS_MEM_READ && strstr(path, "data/snap/") ? -EIO : 0;
}

/* A disk that does not answer says nothing about what is on it: no other snapshot is taken, nothing is set aside, and
 * the next start finds all of it. (Found by gavel-sim.) */
static void test_a_snapshot_that_the_disk_does_not_give(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 5, 100);
    fixture_must_open(&f);
    fixture_snapshot(&f, 1000);
    fixture_stop(&f);
    os_mem_set_hook(f.mem, fail_snapshot_read, NULL);
    assert_int_equal(fixture_open(&f), GAVEL_E_IO);
    os_mem_set_hook(f.mem, NULL, NULL);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.snapshot.index, 5);
    fixture_stop(&f);
    fixture_free(&f);
}

static void test_older_snapshot(void **state)
{
    struct fixture f;
    uint8_t noise = 0x77;

    (void)state;
    damage_make(&f, 5, 100);
    fixture_must_open(&f);
    fixture_snapshot(&f, 1000);
    (void)fixture_append(&f, 1, 1, 10);
    fixture_pump(&f);
    fixture_snapshot(&f, 200000);
    fixture_stop(&f);
    assert_int_equal(os_mem_poke(f.mem, "data/snap/0000000000000006-0000000000000001.snap", 150000, &noise, 1), 0);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.row, 14);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_true(f.recovery.text[0]);
    assert_int_equal(f.recovery.snapshot.index, 5);
    assert_int_equal(f.recovery.last, 6);
    damage_saw(14);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.row, 15);
    damage_saw(15);
    fixture_stop(&f);
    fixture_free(&f);
}

/* ---- rows about votes and records ---------------------------------------------------------------------- */

static void spoil_file(struct fixture *f, const char *path, uint64_t offset)
{
    uint64_t size;
    uint8_t byte = os_mem_peek(f->mem, path, &size)[offset] ^ 0x20;

    assert_int_equal(os_mem_poke(f->mem, path, offset, &byte, 1), 0);
}

static void test_directory_record(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 1, 10);
    spoil_file(&f, "data/directory", 33);
    damage_expect_refused(&f, 30);
    f.options.recover = 1;
    damage_expect_refused(&f, 30);
    fixture_free(&f);
}

/* A small file that has become a large one is damaged, however it begins; it is not read into memory. */
static void test_directory_record_is_large(void **state)
{
    static const uint8_t more[8192];
    struct fixture f;
    struct os_file *file;

    (void)state;
    damage_make(&f, 1, 10);
    assert_int_equal(os_open(&f.os, "data/directory", OS_OPEN_WRITE, &file), 0);
    assert_int_equal(os_pwrite(&f.os, file, more, sizeof more, 128, 0), 0);
    assert_int_equal(os_sync(&f.os, file), 0);
    os_close(&f.os, file);
    damage_expect_refused(&f, 30);
    fixture_free(&f);
}

/* Without its record a directory that has lived is damaged, not new: whatever is left of that life says so. */
static void test_directory_record_is_gone(void **state)
{
    static const char *const left[] = {"data/vote.0", "data/vote.1", "data/log/0000000000000001.seg",
                                       "data/snap/0000000000000001-0000000000000001.snap", "data/founding",
                                       "data/log/0000000000000002.seg"};
    static const size_t count = sizeof left / sizeof left[0];

    (void)state;
    for (size_t keep = 0; keep <= count; keep++) {
        struct fixture f;

        damage_make(&f, 1, 10);
        fixture_must_open(&f);
        fixture_snapshot(&f, 100);
        assert_int_equal(log_set_founding(f.log, "founded", 7, fixture_task(&f)), 0);
        fixture_pump(&f);
        fixture_stop(&f);
        damage_remove_file(&f, "data", "data/directory");
        for (size_t i = 0; i < count; i++)
            if (keep < count && i != keep)
                damage_remove_file(&f, "data", left[i]);
        damage_expect_refused(&f, 30);
        f.options.recover = 1;
        damage_expect_refused(&f, 30);
        if (keep < count) {
            damage_remove_file(&f, "data", left[keep]);
            fixture_must_open(&f);
            assert_int_equal(f.recovery.start, LOG_START_FRESH);
            fixture_stop(&f);
        }
        fixture_free(&f);
    }
}

static void test_founding_record(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 1, 10);
    fixture_must_open(&f);
    assert_int_equal(log_set_founding(f.log, "founded", 7, fixture_task(&f)), 0);
    fixture_pump(&f);
    fixture_stop(&f);
    spoil_file(&f, "data/founding", 26);
    damage_expect_refused(&f, 31);
    fixture_free(&f);
}

static void test_one_vote_file(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct fixture f;
        const char *path = which ? "data/vote.1" : "data/vote.0";

        damage_make(&f, 1, 10);
        spoil_file(&f, path, 17);
        fixture_must_open(&f);
        assert_int_equal(f.recovery.term, 1);
        assert_int_equal(f.recovery.vote, 1);
        assert_true(f.recovery.text[0]);
        damage_saw(which ? 34 : 35);
        fixture_stop(&f);
        spoil_file(&f, which ? "data/vote.0" : "data/vote.1", 17); /* the other one has been healed */
        fixture_must_open(&f);
        assert_int_equal(f.recovery.term, 1);
        fixture_stop(&f);
        fixture_free(&f);
    }
}

static void test_vote_one_behind(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct fixture f;
        struct os_mem *before;

        damage_make(&f, 1, 10);
        before = os_mem_clone(f.mem);
        fixture_must_open(&f);
        (void)fixture_vote(&f, 8, 3);
        fixture_pump(&f);
        fixture_stop(&f);
        damage_copy_file(before, f.mem, which ? "data/vote.1" : "data/vote.0");
        fixture_must_open(&f);
        assert_int_equal(f.recovery.term, 8);
        assert_int_equal(f.recovery.vote, 3);
        fixture_stop(&f);
        spoil_file(&f, which ? "data/vote.0" : "data/vote.1", 17); /* the one that was behind has caught up */
        fixture_must_open(&f);
        assert_int_equal(f.recovery.term, 8);
        assert_int_equal(f.recovery.vote, 3);
        fixture_stop(&f);
        damage_saw(32);
        before = os_mem_free(before);
        fixture_free(&f);
    }
}

static void test_both_votes(void **state)
{
    struct fixture f;

    (void)state;
    damage_make(&f, 1, 10);
    damage_saw(33); /* the good case: everything else here stands on it */
    spoil_file(&f, "data/vote.0", 17);
    spoil_file(&f, "data/vote.1", 30);
    damage_expect_refused(&f, 36);
    f.options.recover = 1;
    damage_expect_refused(&f, 36);
    fixture_free(&f);
}

/* Every row of the table had its test. */
static void test_every_row(void **state)
{
    const struct log_row *rows;
    uint32_t count = log_table_rows(&rows);

    (void)state;
    for (uint32_t i = 0; i < count; i++) {
        if (!damage_seen(rows[i].number))
            print_message("no test made row %u (%s)\n", rows[i].number, rows[i].name);
        assert_true(damage_seen(rows[i].number));
    }
}

/* gavel-formats(7) prints this very table. */
static void test_page(void **state)
{
    static const char *const verdicts[] = {"ok", "heal", "cut", "reset", "corrupt", "stop"};
    const char *top = getenv("top_srcdir");
    const struct log_row *rows;
    uint32_t count = log_table_rows(&rows);
    char path[OS_PATH_MAX];
    char *page = calloc(1, 65536);
    FILE *file;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/core/log/gavel-formats.7", top ? top : ".");
    file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(page, 1, 65535, file) > 0);
    (void)fclose(file);
    for (uint32_t i = 0; i < count; i++) {
        char line[128];

        (void)snprintf(line, sizeof line, ".It %u Ta %s Ta %s Ta", rows[i].number, rows[i].name,
                       verdicts[rows[i].verdict]);
        if (!strstr(page, line))
            print_message("the page lacks: %s\n", line);
        assert_non_null(strstr(page, line));
    }
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_segment_missing),
        cmocka_unit_test(test_all_segments_missing),
        cmocka_unit_test(test_identities_have_their_room_again),
        cmocka_unit_test(test_damage_before_later_frame),
        cmocka_unit_test(test_damage_before_later_segment),
        cmocka_unit_test(test_damage_that_an_identity_proves),
        cmocka_unit_test(test_shorter_than_an_identity_says),
        cmocka_unit_test(test_last_segment_gone),
        cmocka_unit_test(test_identity_of_another_log),
        cmocka_unit_test(test_segment_head),
        cmocka_unit_test(test_votes_older_than_the_log),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_gap_by_a_damaged_snapshot),
        cmocka_unit_test(test_dropped_in_order),
        cmocka_unit_test(test_ends_below_the_snapshot),
        cmocka_unit_test(test_empty_below_the_snapshot),
        cmocka_unit_test(test_another_history),
        cmocka_unit_test(test_torn),
        cmocka_unit_test(test_torn_over_an_old_payload),
        cmocka_unit_test(test_torn_in_the_middle_of_a_group),
        cmocka_unit_test(test_a_snapshot_that_the_disk_does_not_give),
        cmocka_unit_test(test_older_snapshot),
        cmocka_unit_test(test_directory_record),
        cmocka_unit_test(test_directory_record_is_gone),
        cmocka_unit_test(test_directory_record_is_large),
        cmocka_unit_test(test_founding_record),
        cmocka_unit_test(test_one_vote_file),
        cmocka_unit_test(test_vote_one_behind),
        cmocka_unit_test(test_both_votes),
        cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
