/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_recovery_test.c - the recovery table: one test for each of its rows, made by damaging the bytes on a disk in
 * memory. What was proved is never cut; a refused directory is not changed; with peers it starts as recovering.
 */
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
#include "core/log/scan.h"
#include "core/log/snapshot_file.h"
#include "core/os/crc32c.h"
#include "log_fixture.h"

#define ROWS_MAX 64

static bool row_seen[ROWS_MAX]; /* by number: the last test asks for all */

/* ---- finding bytes ------------------------------------------------------------------------------------- */

struct place {
    uint64_t index; /* wanted */
    uint64_t segment;
    uint64_t offset; /* of the frame */
    uint64_t bytes;  /* of the frame with its payload */
    bool found;
};

static void see(void *ctx, uint64_t segment, const struct log_frame_seen *seen)
{
    struct place *place = ctx;
    struct log_batch_head head;

    if (seen->frame->kind != LOG_FRAME_BATCH || log_batch_head(seen->payload, seen->frame->bytes, &head, NULL))
        return;
    if (place->index < head.first || place->index >= head.first + head.count)
        return;
    place->segment = segment;
    place->offset = seen->offset;
    place->bytes = LOG_FRAME_HEAD + seen->frame->bytes;
    place->found = true;
}

static struct place find_index(struct fixture *f, uint64_t index)
{
    struct place place = {.index = index};
    struct log_scan_options options = {.seen = see, .ctx = &place};
    struct log_scan scan;
    struct gavel_error error;

    assert_int_equal(log_scan_run(&scan, &f->os, "data", &options, &error), 0);
    log_scan_free(&scan);
    assert_true(place.found);
    return place;
}

static void segment_path(char *path, uint64_t number)
{
    char name[LOG_SEGMENT_NAME_BYTES];

    log_segment_name(name, number);
    (void)snprintf(path, OS_PATH_MAX, "data/%s", name);
}

/* Change one byte of a frame. */
static void spoil(struct fixture *f, uint64_t index, uint64_t behind)
{
    struct place place = find_index(f, index);
    char path[OS_PATH_MAX];
    uint64_t size;
    uint8_t byte;

    segment_path(path, place.segment);
    byte = os_mem_peek(f->mem, path, &size)[place.offset + behind] ^ 0x40;
    assert_int_equal(os_mem_poke(f->mem, path, place.offset + behind, &byte, 1), 0);
}

/* The frame is gone, as if it had never been written. */
static void erase(struct fixture *f, uint64_t index)
{
    struct place place = find_index(f, index);
    uint8_t *zeroes = calloc(1, place.bytes);
    char path[OS_PATH_MAX];

    segment_path(path, place.segment);
    assert_int_equal(os_mem_poke(f->mem, path, place.offset, zeroes, place.bytes), 0);
    free(zeroes);
}

static void erase_identities(struct fixture *f)
{
    static const uint8_t zeroes[LOG_IDENTITY_BYTES * LOG_IDENTITY_SLOTS];

    assert_int_equal(os_mem_poke(f->mem, "data/log/synced", 0, zeroes, sizeof zeroes), 0);
}

static void copy_file(struct os_mem *from, struct os_mem *to, const char *path)
{
    uint64_t size;
    const uint8_t *bytes = os_mem_peek(from, path, &size);

    assert_non_null(bytes);
    assert_int_equal(os_mem_poke(to, path, 0, bytes, size), 0);
}

static void remove_file(struct fixture *f, const char *dir, const char *path)
{
    assert_int_equal(os_unlink(&f->os, path), 0);
    assert_int_equal(os_sync_dir(&f->os, dir), 0);
}

/* ---- making and judging -------------------------------------------------------------------------------- */

/* A log of `groups` groups of one batch of one entry each in term 1, cleanly stopped: identity entries prove it all. */
static void make(struct fixture *f, int groups, uint32_t bytes)
{
    fixture_init(f);
    f->options.trail_bytes = 1 << 20;
    fixture_must_open(f);
    (void)fixture_vote(f, 1, 1);
    for (int i = 0; i < groups; i++) {
        (void)fixture_append(f, 1, 1, bytes);
        fixture_pump(f);
    }
    fixture_stop(f);
}

static void saw(uint32_t number)
{
    assert_true(number < ROWS_MAX);
    row_seen[number] = true;
}

/* Alone: exit 65, and no byte is changed. */
static void expect_refused(struct fixture *f, uint32_t row)
{
    uint64_t digest = os_mem_digest(f->mem);
    int status = fixture_open(f);

    if (status != GAVEL_E_CORRUPT || f->recovery.row != row)
        print_message("row %u, text %s, error %s\n", f->recovery.row, f->recovery.text, f->error.text);
    assert_int_equal(status, GAVEL_E_CORRUPT);
    assert_int_equal(f->recovery.row, row);
    assert_true(f->error.text[0]);
    assert_int_equal(os_mem_digest(f->mem), digest);
    assert_int_equal(os_mem_open_files(f->mem), 0);
    saw(row);
}

/* With peers: it starts as recovering with the sound prefix, fetches the rest, and then it is whole again. */
static void expect_recovers(struct fixture *f, uint64_t prefix, uint64_t floor)
{
    f->options.recover = 1;
    fixture_must_open(f);
    assert_int_equal(f->recovery.start, LOG_START_RECOVERING);
    assert_int_equal(f->recovery.last, prefix);
    assert_int_equal(f->recovery.recovering_floor, floor);
    f->options.recover = 0; /* the mark alone is enough from now on */
    fixture_crash(f, OS_MEM_DROP_ALL, 3);
    fixture_must_open(f);
    assert_int_equal(f->recovery.start, LOG_START_RECOVERING);
    assert_int_equal(f->recovery.last, prefix);
    assert_int_equal(f->recovery.recovering_floor, floor);
    while (log_last(f->log) < floor)
        (void)fixture_append(f, f->recovery.term, 1, 20);
    fixture_pump(f);
    assert_int_equal(log_recovering_floor(f->log), floor);
    assert_int_equal(log_recovering_end(f->log, fixture_task(f)), 0);
    fixture_pump(f);
    assert_int_equal(f->task_status, 0);
    assert_int_equal(log_recovering_floor(f->log), 0);
    fixture_stop(f);
    fixture_must_open(f);
    assert_int_equal(f->recovery.start, LOG_START_OK);
    assert_true(log_last(f->log) >= floor);
    for (uint64_t index = log_first(f->log); index <= log_last(f->log); index++)
        fixture_check_index(f, index, 0);
    fixture_stop(f);
}

/* ---- rows about the log -------------------------------------------------------------------------------- */

/* Two logs that part at the same place with batches of equal size: `f` has one, `other` the other. */
static void make_pair(struct fixture *f, struct os_mem **other, int groups_behind)
{
    struct os_mem *common;

    make(f, 4, 100);
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
    struct place place;
    char path[OS_PATH_MAX];
    const uint8_t *bytes;
    uint64_t size;

    (void)state;
    make_pair(&f, &other, 1);
    place = find_index(&f, 5);
    segment_path(path, place.segment);
    bytes = os_mem_peek(other, path, &size) + place.offset;
    assert_int_equal(os_mem_poke(f.mem, path, place.offset, bytes, place.bytes), 0);
    expect_refused(&f, 1);
    expect_recovers(&f, 5, 6);
    other = os_mem_free(other);
    fixture_free(&f);
}

static void test_segment_missing(void **state)
{
    struct fixture f;

    (void)state;
    make(&f, 70, 2000);
    remove_file(&f, "data/log", "data/log/0000000000000002.seg");
    expect_refused(&f, 2);
    expect_recovers(&f, find_index(&f, 20).found ? f.recovery.last : 0, 70);
    fixture_free(&f);
}

static void test_all_segments_missing(void **state)
{
    struct fixture f;

    (void)state;
    make(&f, 3, 100);
    remove_file(&f, "data/log", "data/log/0000000000000001.seg");
    remove_file(&f, "data/log", "data/log/0000000000000002.seg");
    remove_file(&f, "data/log", "data/log/synced");
    expect_refused(&f, 2);
    fixture_free(&f);
}

static void test_damage_before_later_frame(void **state)
{
    static const uint64_t behind[] = {0, 20, 44, LOG_FRAME_HEAD, LOG_FRAME_HEAD + 20, LOG_FRAME_HEAD + 70};

    (void)state;
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        struct fixture f;

        make(&f, 6, 100);
        erase_identities(&f);
        spoil(&f, 3, behind[i]);
        expect_refused(&f, 3);
        expect_recovers(&f, 2, 6);
        fixture_free(&f);
    }
}

static void test_damage_before_later_segment(void **state)
{
    struct fixture f;
    uint64_t last_of_first;

    (void)state;
    make(&f, 40, 2000);
    erase_identities(&f);
    for (last_of_first = 1; find_index(&f, last_of_first + 1).segment == 1;)
        last_of_first++;
    spoil(&f, last_of_first, LOG_FRAME_HEAD + 100);
    expect_refused(&f, 4);
    expect_recovers(&f, last_of_first - 1, 40);
    fixture_free(&f);
}

static void test_damage_that_an_identity_proves(void **state)
{
    struct fixture f;

    (void)state;
    make(&f, 5, 100);
    spoil(&f, 5, LOG_FRAME_HEAD + 70);
    expect_refused(&f, 5);
    expect_recovers(&f, 4, 5);
    fixture_free(&f);
}

static void test_shorter_than_an_identity_says(void **state)
{
    struct fixture f;

    (void)state;
    make(&f, 5, 100);
    erase(&f, 5);
    expect_refused(&f, 6);
    expect_recovers(&f, 4, 5);
    fixture_free(&f);
}

/* The last segment is gone as a whole. */
static void test_last_segment_gone(void **state)
{
    struct fixture f;
    struct place last;
    char path[OS_PATH_MAX];

    (void)state;
    make(&f, 40, 2000);
    last = find_index(&f, 40);
    assert_true(last.segment > 1);
    segment_path(path, last.segment);
    remove_file(&f, "data/log", path);
    expect_refused(&f, 6);
    fixture_free(&f);
}

static void test_identity_of_another_log(void **state)
{
    struct fixture f;
    struct os_mem *other;

    (void)state;
    make_pair(&f, &other, 0);
    copy_file(other, f.mem, "data/log/synced");
    expect_refused(&f, 7);
    expect_recovers(&f, 5, 5);
    other = os_mem_free(other);
    fixture_free(&f);
}

static void test_segment_head(void **state)
{
    struct fixture f;
    uint8_t noise = 0x99;

    (void)state;
    make(&f, 5, 100);
    assert_int_equal(os_mem_poke(f.mem, "data/log/0000000000000001.seg", 9, &noise, 1), 0);
    expect_refused(&f, 8);
    expect_recovers(&f, 5, 5);
    fixture_free(&f);
}

static void test_votes_older_than_the_log(void **state)
{
    struct fixture f;
    struct os_mem *before;

    (void)state;
    make(&f, 2, 100);
    before = os_mem_clone(f.mem);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 2, 1);
    (void)fixture_append(&f, 2, 1, 10);
    fixture_pump(&f);
    fixture_stop(&f);
    copy_file(before, f.mem, "data/vote.0");
    copy_file(before, f.mem, "data/vote.1");
    expect_refused(&f, 9);
    f.options.recover = 1;
    expect_refused(&f, 9); /* in a cluster too: it could vote twice */
    before = os_mem_free(before);
    fixture_free(&f);
}

/* A log of several segments, compacted behind a snapshot. */
static void make_compacted(struct fixture *f)
{
    make(f, 70, 2000);
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
    remove_file(&f, "data/snap", "data/snap/0000000000000047-0000000000000001.snap");
    expect_refused(&f, 10);
    expect_recovers(&f, 0, 71);
    fixture_free(&f);
}

static void test_gap_by_a_damaged_snapshot(void **state)
{
    struct fixture f;
    uint8_t noise = 0x99;

    (void)state;
    make_compacted(&f);
    assert_int_equal(os_mem_poke(f.mem, "data/snap/0000000000000047-0000000000000001.snap", 70000, &noise, 1), 0);
    expect_refused(&f, 10);
    expect_recovers(&f, 0, 71);
    fixture_free(&f);
}

/* Segments go one at a time, the oldest first, each durably: a crash leaves no hole between them. */
static void test_dropped_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 60; seed++) {
        struct fixture f;

        make(&f, 300, 2000);
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
    saw(row);
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
    make(&f, 5, 100);
    install(&f, 900, 2, 0x1234);
    expect_superseded(&f, 11, 900, 2);
    fixture_free(&f);
}

/* The same in a directory that never held an entry. */
static void test_empty_below_the_snapshot(void **state)
{
    struct fixture f;

    (void)state;
    make(&f, 0, 100);
    install(&f, 900, 2, 0x1234);
    expect_superseded(&f, 11, 900, 2);
    fixture_free(&f);
}

static void test_another_history(void **state)
{
    struct fixture f;

    (void)state;
    make(&f, 9, 100);
    install(&f, 7, 2, 0x1234);
    expect_superseded(&f, 12, 7, 2);
    fixture_free(&f);
}

/* Every byte of the last group, when nothing proves it: cut off, with one warning, and nothing before it is touched. */
static void test_torn(void **state)
{
    struct fixture f;
    struct os_mem *whole;
    struct place place;
    char path[OS_PATH_MAX];

    (void)state;
    make(&f, 5, 100);
    erase_identities(&f);
    whole = os_mem_clone(f.mem);
    place = find_index(&f, 5);
    segment_path(path, place.segment);
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
        saw(f.recovery.row);
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

/* One group of several frames, the middle one torn: the first stays, what is behind the hole goes and never returns. */
static void test_torn_in_the_middle_of_a_group(void **state)
{
    struct fixture f;

    (void)state;
    make(&f, 3, 100);
    fixture_must_open(&f);
    (void)fixture_append(&f, 1, 1, 100); /* a group of its own, while it runs the next ones collect */
    for (int i = 0; i < 4; i++)
        (void)fixture_append(&f, 1, 1, 100);
    fixture_pump(&f);
    fixture_stop(&f);
    erase_identities(&f);
    spoil(&f, 6, LOG_FRAME_HEAD + 90);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.row, 13);
    assert_int_equal(f.recovery.last, 5);
    (void)fixture_append(&f, 1, 1, 10);
    fixture_pump(&f);
    fixture_crash(&f, OS_MEM_DROP_ALL, 1);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.last, 6);
    fixture_stop(&f);
    fixture_free(&f);
}

static void test_older_snapshot(void **state)
{
    struct fixture f;
    uint8_t noise = 0x77;

    (void)state;
    make(&f, 5, 100);
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
    saw(14);
    fixture_stop(&f);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.row, 15);
    saw(15);
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
    make(&f, 1, 10);
    spoil_file(&f, "data/directory", 33);
    expect_refused(&f, 30);
    f.options.recover = 1;
    expect_refused(&f, 30);
    fixture_free(&f);
}

static void test_founding_record(void **state)
{
    struct fixture f;

    (void)state;
    make(&f, 1, 10);
    fixture_must_open(&f);
    assert_int_equal(log_set_founding(f.log, "founded", 7, fixture_task(&f)), 0);
    fixture_pump(&f);
    fixture_stop(&f);
    spoil_file(&f, "data/founding", 26);
    expect_refused(&f, 31);
    fixture_free(&f);
}

static void test_one_vote_file(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct fixture f;
        const char *path = which ? "data/vote.1" : "data/vote.0";

        make(&f, 1, 10);
        spoil_file(&f, path, 17);
        fixture_must_open(&f);
        assert_int_equal(f.recovery.term, 1);
        assert_int_equal(f.recovery.vote, 1);
        assert_true(f.recovery.text[0]);
        saw(which ? 34 : 35);
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

        make(&f, 1, 10);
        before = os_mem_clone(f.mem);
        fixture_must_open(&f);
        (void)fixture_vote(&f, 8, 3);
        fixture_pump(&f);
        fixture_stop(&f);
        copy_file(before, f.mem, which ? "data/vote.1" : "data/vote.0");
        fixture_must_open(&f);
        assert_int_equal(f.recovery.term, 8);
        assert_int_equal(f.recovery.vote, 3);
        fixture_stop(&f);
        spoil_file(&f, which ? "data/vote.0" : "data/vote.1", 17); /* the one that was behind has caught up */
        fixture_must_open(&f);
        assert_int_equal(f.recovery.term, 8);
        assert_int_equal(f.recovery.vote, 3);
        fixture_stop(&f);
        saw(32);
        before = os_mem_free(before);
        fixture_free(&f);
    }
}

static void test_both_votes(void **state)
{
    struct fixture f;

    (void)state;
    make(&f, 1, 10);
    saw(33); /* the good case: everything else here stands on it */
    spoil_file(&f, "data/vote.0", 17);
    spoil_file(&f, "data/vote.1", 30);
    expect_refused(&f, 36);
    f.options.recover = 1;
    expect_refused(&f, 36);
    fixture_free(&f);
}

/* Every row of the table had its test. */
static void test_every_row(void **state)
{
    const struct log_row *rows;
    uint32_t count = log_table_rows(&rows);

    (void)state;
    for (uint32_t i = 0; i < count; i++) {
        if (!row_seen[rows[i].number])
            print_message("no test made row %u (%s)\n", rows[i].number, rows[i].name);
        assert_true(row_seen[rows[i].number]);
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
        cmocka_unit_test(test_torn_in_the_middle_of_a_group),
        cmocka_unit_test(test_older_snapshot),
        cmocka_unit_test(test_directory_record),
        cmocka_unit_test(test_founding_record),
        cmocka_unit_test(test_one_vote_file),
        cmocka_unit_test(test_vote_one_behind),
        cmocka_unit_test(test_both_votes),
        cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
