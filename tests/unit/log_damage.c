/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_damage.c - damaging the files of a log on a disk in memory, and what must follow.
 */
#include "log_damage.h"

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

#define ROWS_MAX 64

static bool row_seen[ROWS_MAX]; /* by number */

bool damage_seen(uint32_t number)
{
    return number < ROWS_MAX && row_seen[number];
}

/* ---- finding bytes ------------------------------------------------------------------------------------- */

static void see(void *ctx, uint64_t segment, const struct log_frame_seen *seen)
{
    struct damage_place *place = ctx;
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

struct damage_place damage_find(struct fixture *f, uint64_t index)
{
    struct damage_place place = {.index = index};
    struct log_scan_options options = {.seen = see, .ctx = &place};
    struct log_scan scan;
    struct gavel_error error;

    assert_int_equal(log_scan_run(&scan, &f->os, "data", &options, &error), 0);
    assert_null(scan.room.data); /* whoever keeps the scan does not keep a segment */
    log_scan_free(&scan);
    assert_true(place.found);
    return place;
}

void damage_segment_path(char *path, uint64_t number)
{
    char name[LOG_SEGMENT_NAME_BYTES];

    log_segment_name(name, number);
    (void)snprintf(path, OS_PATH_MAX, "data/%s", name);
}

/* Change one byte of a frame. */
void damage_spoil(struct fixture *f, uint64_t index, uint64_t behind)
{
    struct damage_place place = damage_find(f, index);
    char path[OS_PATH_MAX];
    uint64_t size;
    uint8_t byte;

    damage_segment_path(path, place.segment);
    byte = os_mem_peek(f->mem, path, &size)[place.offset + behind] ^ 0x40;
    assert_int_equal(os_mem_poke(f->mem, path, place.offset + behind, &byte, 1), 0);
}

/* The frame is gone, as if it had never been written. */
void damage_erase(struct fixture *f, uint64_t index)
{
    struct damage_place place = damage_find(f, index);
    uint8_t *zeroes = calloc(1, place.bytes);
    char path[OS_PATH_MAX];

    damage_segment_path(path, place.segment);
    assert_int_equal(os_mem_poke(f->mem, path, place.offset, zeroes, place.bytes), 0);
    free(zeroes);
}

void damage_erase_identities(struct fixture *f)
{
    static const uint8_t zeroes[LOG_IDENTITY_BYTES * LOG_IDENTITY_SLOTS];

    assert_int_equal(os_mem_poke(f->mem, "data/log/synced", 0, zeroes, sizeof zeroes), 0);
}

void damage_copy_file(struct os_mem *from, struct os_mem *to, const char *path)
{
    uint64_t size;
    const uint8_t *bytes = os_mem_peek(from, path, &size);

    assert_non_null(bytes);
    assert_int_equal(os_mem_poke(to, path, 0, bytes, size), 0);
}

void damage_remove_file(struct fixture *f, const char *dir, const char *path)
{
    assert_int_equal(os_unlink(&f->os, path), 0);
    assert_int_equal(os_sync_dir(&f->os, dir), 0);
}

/* ---- making and judging -------------------------------------------------------------------------------- */

/* A log of `groups` groups of one batch of one entry each in term 1, cleanly stopped: identity entries prove it all. */
void damage_make(struct fixture *f, int groups, uint32_t bytes)
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

void damage_saw(uint32_t number)
{
    assert_true(number < ROWS_MAX);
    row_seen[number] = true;
}

/* Alone: exit 65, and no byte is changed. */
void damage_expect_refused(struct fixture *f, uint32_t row)
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
    damage_saw(row);
}

/* With peers: it starts as recovering with the sound prefix, fetches the rest, and then it is whole again. */
void damage_expect_recovers(struct fixture *f, uint64_t prefix, uint64_t floor)
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
