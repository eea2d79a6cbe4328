/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_group_test.c - groups of several frames, at a segment's head, in its middle and at its end: damage to each of
 * their bytes, and each way in which two power cuts in a row can tear them. What was proved is kept, or the start
 * refuses; a start after power cuts alone never refuses.
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
#include "effort.h"
#include "log_damage.h"

#define SMALL 100 /* bytes of payload that make a frame of 256: two in a sector's group end at a sector's end */
#define FRAMES_MAX 128

/* ---- making ---------------------------------------------------------------------------------------------------- */

/* A group of one frame, and one of `frames`, which collected while the first was written. */
static void append_groups(struct fixture *f, int frames, uint32_t bytes)
{
    (void)fixture_append(f, 1, 1, bytes);
    for (int i = 0; i < frames; i++)
        (void)fixture_append(f, 1, 1, bytes);
    fixture_pump(f);
}

/* Three groups of one frame, one of one, and one of four whose last frame shares a sector with the third: 5 to 8. */
static void make_four(struct fixture *f)
{
    damage_make(f, 3, SMALL);
    fixture_must_open(f);
    append_groups(f, 4, SMALL);
    assert_int_equal(damage_find(f, 8).offset % LOG_GROUP_ALIGN, 256);
}

static struct log_point point_of(struct fixture *f, uint64_t index)
{
    struct log_descriptor batch;

    assert_int_equal(log_describe(f->log, index, &batch), 0);
    return (struct log_point){index, batch.term, batch.chain};
}

static void use(struct fixture *f, struct os_mem *mem)
{
    f->mem = os_mem_free(f->mem);
    f->mem = os_mem_clone(mem);
    f->os.files_self = f->mem;
}

/* ---- one flipped bit in the last header of a group ------------------------------------------------------------- */

/* Found by reading: the next sector's start was taken for the end, as after a torn group that an older release cut. */
static void test_last_header_of_the_last_group(void **state)
{
    struct fixture f;

    (void)state;
    make_four(&f);
    fixture_stop(&f);
    damage_spoil(&f, 8, 16);
    damage_expect_refused(&f, 5);
    damage_expect_recovers(&f, 7, 8);
    fixture_free(&f);
}

static void test_last_header_before_another_group(void **state)
{
    struct fixture f;

    (void)state;
    make_four(&f);
    (void)fixture_append(&f, 1, 1, SMALL);
    fixture_pump(&f);
    fixture_stop(&f);
    damage_erase_identities(&f);
    damage_spoil(&f, 8, 16);
    damage_expect_refused(&f, 3);
    damage_expect_recovers(&f, 7, 9);
    fixture_free(&f);
}

/* Behind it only the first group of the next segment. */
static void test_last_header_of_a_segment(void **state)
{
    struct fixture f;
    uint64_t last;

    (void)state;
    damage_make(&f, 20, 2000);
    fixture_must_open(&f);
    append_groups(&f, 4, SMALL);
    last = log_last(f.log);
    (void)fixture_append(&f, 1, 1, 12000);
    fixture_pump(&f);
    fixture_stop(&f);
    assert_int_equal(damage_find(&f, last).segment, 1);
    assert_int_equal(damage_find(&f, last + 1).segment, 2);
    damage_erase_identities(&f);
    damage_spoil(&f, last, 16);
    damage_expect_refused(&f, 4);
    damage_expect_recovers(&f, last - 1, last + 1);
    fixture_free(&f);
}

/* ---- a flipped bit anywhere ------------------------------------------------------------------------------------ */

struct place {
    uint64_t segment;
    uint64_t offset;
    uint64_t bytes;
    uint64_t group;
    uint16_t kind;
};

struct places {
    struct place of[FRAMES_MAX];
    uint32_t count;
};

static void see(void *ctx, uint64_t segment, const struct log_frame_seen *seen)
{
    struct places *places = ctx;

    assert_true(places->count < FRAMES_MAX);
    places->of[places->count++] = (struct place){segment, seen->offset, LOG_FRAME_HEAD + seen->frame->bytes,
                                                 seen->frame->group, seen->frame->kind};
}

static void find_frames(struct fixture *f, struct places *places)
{
    struct log_scan_options options = {.seen = see, .ctx = places};
    struct log_scan scan;
    struct gavel_error error;

    places->count = 0;
    assert_int_equal(log_scan_run(&scan, &f->os, "data", &options, &error), 0);
    assert_int_equal(scan.row->number, 15);
    log_scan_free(&scan);
}

/* What a leader's change leaves: a group of its own, then a truncation and what replaces it, in one sector or two. */
static void append_changes(struct fixture *f)
{
    for (uint32_t i = 0; i < 4; i++) {
        (void)fixture_append(f, 1, 1, 30);
        (void)fixture_truncate(f, log_last(f->log));
        (void)fixture_append(f, 1, 1 + i / 2, 40);
        (void)fixture_append(f, 1, 1, 50);
        fixture_pump(f);
        append_groups(f, 2, 500);
    }
}

/* Behind the last group of several frames. */
enum ending { NOTHING, ONE_GROUP, NEXT_SEGMENT, LATER_SEGMENT, ENDINGS };

/* Groups of several frames at the head, in the middle and at the end of a segment, and maybe of another one; of many of
 * them the last frame begins in the sector where the group ends. */
static void make_groups(struct fixture *f, enum ending ending)
{
    struct damage_place end;

    damage_make(f, 0, SMALL);
    fixture_must_open(f);
    append_groups(f, 3, SMALL);
    append_changes(f);
    do {
        (void)fixture_append(f, 1, 1, 3000);
        fixture_pump(f);
        fixture_stop(f);
        end = damage_find(f, f->recovery.last + 1);
        fixture_must_open(f);
    } while (end.offset < FIXTURE_SEGMENT - 9000);
    append_groups(f, 4, SMALL);
    for (int i = 0; ending == LATER_SEGMENT && i < 7; i++)
        append_groups(f, 4, SMALL);
    if (ending == LATER_SEGMENT)
        append_changes(f);
    if (ending == ONE_GROUP || ending == NEXT_SEGMENT) {
        (void)fixture_append(f, 1, 1, ending == ONE_GROUP ? SMALL : 12000);
        fixture_pump(f);
    }
    fixture_stop(f);
}

/* The last index of all; or of what the last group proves, which is all before it. */
static uint64_t proved_index(struct fixture *f, const struct places *places, bool identities)
{
    static const struct log_scan_options options;
    const struct place *end = &places->of[places->count - 1];
    uint64_t group = end->group;
    struct gavel_error error;
    struct log_scan scan;
    uint64_t last = 0;

    assert_int_equal(log_scan_run(&scan, &f->os, "data", &options, &error), 0);
    while (end > places->of && end[-1].group == group)
        end--;
    for (uint64_t i = 0; i < scan.walk.slots.count; i++) {
        const struct log_slot *slot = log_slot_at(&scan.walk.slots, i);

        if (slot->segment < end->segment || slot->offset < end->offset)
            last = slot->first + slot->count - 1;
    }
    assert_true(last && last < scan.walk.last.index);
    if (identities)
        last = scan.walk.last.index;
    log_scan_free(&scan);
    return last;
}

/* What a start would decide about it. */
static void judge(struct fixture *f, uint64_t proved, const char *what, const struct place *place, uint64_t at)
{
    static const struct log_scan_options options;
    struct log_scan scan;
    struct gavel_error error;
    bool good;

    assert_int_equal(log_scan_run(&scan, &f->os, "data", &options, &error), 0);
    good = scan.row->verdict == LOG_VERDICT_CORRUPT || scan.walk.last.index >= proved;
    if (!good)
        fail_msg("%s: byte %llu of the frame at %llu in segment %llu: row %u, ends at %llu, %llu was proved", what,
                 (unsigned long long)at, (unsigned long long)place->offset, (unsigned long long)place->segment,
                 scan.row->number, (unsigned long long)scan.walk.last.index, (unsigned long long)proved);
    log_scan_free(&scan);
}

static void flip_every_byte(struct fixture *f, const struct places *places, uint64_t proved, const char *what)
{
    for (uint32_t i = 0; i < places->count; i++) {
        const struct place *place = &places->of[i];
        char path[OS_PATH_MAX];

        damage_segment_path(path, place->segment);
        for (uint64_t at = 0; at < place->bytes; at += at < LOG_FRAME_HEAD ? EFFORT(1, 7) : 43) {
            uint64_t size;
            uint8_t was = os_mem_peek(f->mem, path, &size)[place->offset + at];
            uint8_t is = was ^ (uint8_t)(1u << at % 8);

            assert_int_equal(os_mem_poke(f->mem, path, place->offset + at, &is, 1), 0);
            judge(f, proved, what, place, at);
            assert_int_equal(os_mem_poke(f->mem, path, place->offset + at, &was, 1), 0);
        }
    }
}

static void test_every_byte_of_every_frame(void **state)
{
    static const char *const names[ENDINGS] = {"nothing behind", "one group", "a segment of one group", "a segment"};
    static struct places places;

    (void)state;
    for (enum ending ending = NOTHING; ending < ENDINGS; ending++) {
        for (int identities = 0; identities < 2; identities++) {
            struct fixture f;
            char what[80];
            uint64_t proved;

            make_groups(&f, ending);
            find_frames(&f, &places);
            assert_int_equal(places.of[places.count - 1].segment, ending >= NEXT_SEGMENT ? 2 : 1);
            proved = proved_index(&f, &places, identities);
            if (!identities)
                damage_erase_identities(&f);
            (void)snprintf(what, sizeof what, "%s, %s identities", names[ending], identities ? "with" : "without");
            flip_every_byte(&f, &places, proved, what);
            fixture_free(&f);
        }
    }
}

/* ---- two power cuts in a row ----------------------------------------------------------------------------------- */

/* Of a group written between `before` and `after` only the sectors in `landed` are there. */
static void tear(struct fixture *f, struct os_mem *before, uint64_t segment, uint64_t offset, uint32_t sectors,
                 uint32_t landed)
{
    char path[OS_PATH_MAX];
    uint64_t size;

    damage_segment_path(path, segment);
    for (uint32_t i = 0; i < sectors; i++) {
        uint64_t at = offset + (uint64_t)i * LOG_GROUP_ALIGN;

        if (!(landed >> i & 1))
            assert_int_equal(os_mem_poke(f->mem, path, at, os_mem_peek(before, path, &size) + at, LOG_GROUP_ALIGN), 0);
    }
}

static void open_after_a_cut(struct fixture *f, uint64_t at_least, uint32_t first, uint32_t second)
{
    int status = fixture_open(f);

    if (status)
        fail_msg("sectors %x of the first group, %x of the second: %s", first, second, f->error.text);
    assert_int_equal(f->recovery.start == LOG_START_OK || f->recovery.start == LOG_START_TORN, 1);
    assert_true(f->recovery.last >= at_least);
}

/* All ways in which a group of `frames` can be torn; then, on what a start made of that, those of the next one. */
static void torn_twice(bool at_head, int frames, uint32_t bytes)
{
    struct fixture f;
    struct os_mem *before, *after;
    struct damage_place last;
    uint64_t segment, offset, kept;
    uint32_t sectors;

    damage_make(&f, at_head ? 0 : 3, SMALL);
    before = os_mem_clone(f.mem);
    fixture_must_open(&f);
    kept = log_last(f.log);
    (void)fixture_vote(&f, 1, 1); /* while it is written the frames collect */
    for (int i = 0; i < frames; i++)
        (void)fixture_append(&f, 1, 1, bytes);
    fixture_pump(&f);
    fixture_crash(&f, OS_MEM_DROP_ALL, 2);
    after = os_mem_clone(f.mem);
    last = damage_find(&f, kept + (uint64_t)frames);
    offset = at_head ? LOG_SEGMENT_HEAD : damage_find(&f, kept + 1).offset;
    segment = last.segment;
    assert_int_equal(offset % LOG_GROUP_ALIGN, 0);
    sectors = (uint32_t)((last.offset + last.bytes - offset + LOG_GROUP_ALIGN - 1) / LOG_GROUP_ALIGN);
    assert_true(sectors >= 2 && sectors <= 8);
    for (uint32_t first = 0; first < UINT32_C(1) << sectors; first++) {
        struct os_mem *then, *written;
        uint64_t held, from, to;

        use(&f, after);
        tear(&f, before, segment, offset, sectors, first);
        open_after_a_cut(&f, kept, first, 0);
        held = f.recovery.last;
        then = os_mem_clone(f.mem);
        (void)fixture_vote(&f, 1, 1);
        for (int i = 0; i < frames; i++)
            (void)fixture_append(&f, 1, 1, bytes);
        fixture_pump(&f);
        fixture_crash(&f, OS_MEM_DROP_ALL, 3);
        written = os_mem_clone(f.mem);
        from = damage_find(&f, held + 1).offset / LOG_GROUP_ALIGN * LOG_GROUP_ALIGN;
        last = damage_find(&f, held + (uint64_t)frames);
        to = (last.offset + last.bytes + LOG_GROUP_ALIGN - 1) / LOG_GROUP_ALIGN * LOG_GROUP_ALIGN;
        assert_true(to > from && (to - from) / LOG_GROUP_ALIGN <= 8);
        for (uint32_t second = 0; second < UINT32_C(1) << (to - from) / LOG_GROUP_ALIGN; second += EFFORT(1, 3)) {
            use(&f, written);
            tear(&f, then, segment, from, (uint32_t)((to - from) / LOG_GROUP_ALIGN), second);
            open_after_a_cut(&f, held, first, second);
            fixture_crash(&f, OS_MEM_DROP_ALL, 4);
        }
        then = os_mem_free(then);
        written = os_mem_free(written);
    }
    before = os_mem_free(before);
    after = os_mem_free(after);
    fixture_free(&f);
}

/* Found by reading: what was whole of a torn group stayed, the next group went behind it into the next sector, and when
 * its first header did not arrive that counted as damage before a later frame. */
static void test_torn_twice(void **state)
{
    (void)state;
    torn_twice(false, 5, SMALL);
    torn_twice(false, 3, SMALL + 40);
    torn_twice(false, 4, 8);
    torn_twice(true, 5, SMALL);
    torn_twice(true, 4, SMALL + 8);
}

/* A last group that nothing proves, with any of its headers gone: it is cut off, with a warning, and never returns. */
static void test_torn_header(void **state)
{
    (void)state;
    for (uint64_t index = 6; index <= 8; index++) {
        struct fixture f;

        make_four(&f);
        fixture_stop(&f);
        damage_erase_identities(&f);
        damage_spoil(&f, index, 16);
        fixture_must_open(&f);
        assert_int_equal(f.recovery.start, LOG_START_TORN);
        assert_int_equal(f.recovery.row, 13);
        assert_int_equal(f.recovery.last, 4);
        (void)fixture_append(&f, 1, 1, SMALL);
        fixture_pump(&f);
        fixture_crash(&f, OS_MEM_DROP_ALL, 1);
        fixture_must_open(&f);
        assert_int_equal(f.recovery.row, 15);
        assert_int_equal(f.recovery.last, 5);
        fixture_stop(&f);
        fixture_free(&f);
    }
}

/* ---- directories from before groups counted as a whole --------------------------------------------------------- */

/* Of the group 5 to 8 a start has kept all up to `last`, cut off the rest and proved that, as it did then. What an
 * interrupted header left, which looked like the end, it did not. */
static void make_cut_short(struct fixture *f, uint64_t last, bool remainder)
{
    struct log_identity identity = {.group = 900};
    uint8_t bytes[LOG_IDENTITY_BYTES];
    uint8_t *zeroes = calloc(1, FIXTURE_SEGMENT);
    struct damage_place kept;
    struct log_directory_record record;
    char path[OS_PATH_MAX];
    const uint8_t *data;
    uint64_t size, from;

    make_four(f);
    identity.last = point_of(f, last);
    fixture_stop(f);
    kept = damage_find(f, last);
    from = kept.offset + kept.bytes;
    damage_segment_path(path, kept.segment);
    assert_int_equal(os_mem_poke(f->mem, path, from, zeroes, FIXTURE_SEGMENT - from), 0);
    if (remainder)
        assert_int_equal(os_mem_poke(f->mem, path, from, "GVFR\1", 6), 0);
    damage_erase_identities(f);
    data = os_mem_peek(f->mem, "data/directory", &size);
    assert_int_equal(log_directory_decode(data, size, &record), 0);
    identity.segment = kept.segment;
    identity.end = (from + LOG_GROUP_ALIGN - 1) / LOG_GROUP_ALIGN * LOG_GROUP_ALIGN;
    log_identity_encode(bytes, &identity, record.incarnation);
    assert_int_equal(os_mem_poke(f->mem, "data/log/synced", 0, bytes, sizeof bytes), 0);
    free(zeroes);
}

static void expect_sound(struct fixture *f, uint64_t last)
{
    fixture_must_open(f);
    if (f->recovery.row != 15)
        print_message("row %u: %s\n", f->recovery.row, f->recovery.text);
    assert_int_equal(f->recovery.row, 15);
    assert_int_equal(f->recovery.start, LOG_START_OK);
    assert_int_equal(f->recovery.last, last);
}

static void test_the_rest_was_cut_off_long_ago(void **state)
{
    (void)state;
    for (uint64_t kept = 5; kept <= 7; kept++) { /* in a sector of the rest, at the end of one, and again */
        for (int remainder = 0; remainder < 2; remainder++) {
            struct fixture f;
            uint64_t last;

            make_cut_short(&f, kept, remainder);
            expect_sound(&f, kept);                /* an identity entry says that it ended there */
            append_groups(&f, 3, SMALL);
            last = log_last(f.log);
            fixture_crash(&f, OS_MEM_DROP_ALL, 1);
            expect_sound(&f, last);
            fixture_stop(&f);
            damage_erase_identities(&f);
            expect_sound(&f, last);                /* the next group does */
            fixture_stop(&f);
            fixture_free(&f);

            make_cut_short(&f, kept, remainder);
            fixture_must_open(&f);
            (void)fixture_append(&f, 1, 1, 61000); /* fits nowhere but in the next segment */
            fixture_pump(&f);
            fixture_stop(&f);
            assert_int_equal(damage_find(&f, kept + 1).segment, 2);
            expect_sound(&f, kept + 1);            /* the next segment does */
            fixture_stop(&f);
            damage_erase_identities(&f);
            expect_sound(&f, kept + 1);
            fixture_stop(&f);
            fixture_free(&f);
        }
    }
}

/* And then the next group is torn, its first header gone: with the identity entry it is no more than that. Without it
 * nobody knows where the group before ended, and it is proved: to refuse is the safe side. */
static void test_torn_behind_what_was_cut_off(void **state)
{
    (void)state;
    for (int identity = 0; identity < 2; identity++) {
        struct fixture f;

        make_cut_short(&f, 5, false);
        fixture_must_open(&f);
        fixture_crash(&f, OS_MEM_DROP_ALL, 1);
        fixture_must_open(&f);
        (void)fixture_vote(&f, 1, 1);
        for (int i = 0; i < 3; i++)
            (void)fixture_append(&f, 1, 1, SMALL);
        fixture_pump(&f);
        fixture_crash(&f, OS_MEM_DROP_ALL, 1);
        damage_spoil(&f, 6, 16);
        if (identity) {
            fixture_must_open(&f);
            assert_int_equal(f.recovery.row, 13);
            assert_int_equal(f.recovery.last, 5);
            fixture_stop(&f);
        } else {
            damage_erase_identities(&f);
            damage_expect_refused(&f, 3);
        }
        fixture_free(&f);
    }
}

/* ---- the point behind the header of a truncation --------------------------------------------------------------- */

enum lie {
    NOT_IN_THE_LOG,   /* an index that it has, of another history */
    BELOW_THE_LOG,    /* before all that is left of it */
    BELOW_A_SNAPSHOT, /* an entry that it has, and that is committed */
    LIES
};

/* Found by reading: what lay behind the header of a last truncation, that had not arrived whole, was believed, or the
 * log was cut before it was not. */
static void test_torn_truncation_over_an_old_point(void **state)
{
    static struct places places;

    (void)state;
    for (enum lie lie = NOT_IN_THE_LOG; lie < LIES; lie++) {
        const struct place *place;
        struct log_point point;
        struct fixture f;
        char path[OS_PATH_MAX];
        uint8_t bytes[LOG_POINT_BYTES];
        uint64_t last;

        damage_make(&f, 70, 2000);
        f.options.trail_bytes = lie == BELOW_THE_LOG ? 1 : 1 << 20;
        fixture_must_open(&f);
        if (lie != NOT_IN_THE_LOG) {
            fixture_snapshot(&f, 100);
            log_compact(f.log, log_snapshot_newest(f.log).index);
            fixture_pump(&f);
            assert_int_equal(log_first(f.log) > 1, lie == BELOW_THE_LOG);
        }
        append_groups(&f, 3, SMALL);
        last = log_last(f.log);
        point = point_of(&f, lie == BELOW_THE_LOG ? log_first(f.log) : 60);
        point.index -= lie == BELOW_THE_LOG ? 10 : 0;
        point.chain += lie == NOT_IN_THE_LOG;
        (void)fixture_truncate(&f, last);
        fixture_pump(&f);
        fixture_crash(&f, OS_MEM_DROP_ALL, 1);
        find_frames(&f, &places);
        place = &places.of[places.count - 1];
        assert_int_equal(place->kind, LOG_FRAME_TRUNCATE);
        log_point_encode(bytes, &point);
        damage_segment_path(path, place->segment);
        assert_int_equal(os_mem_poke(f.mem, path, place->offset + LOG_FRAME_HEAD, bytes, sizeof bytes), 0);
        fixture_must_open(&f);
        assert_int_equal(f.recovery.row, 13);
        assert_int_equal(f.recovery.last, last);
        for (uint64_t index = log_first(f.log); index <= last; index++)
            fixture_check_index(&f, index, 1);
        fixture_stop(&f);
        fixture_must_open(&f);
        assert_int_equal(f.recovery.row, 15);
        assert_int_equal(f.recovery.last, last);
        fixture_stop(&f);
        fixture_free(&f);
    }
}

/*
 * A follower's tail is replaced, in one group, by a truncation and more than it had. Then a snapshot is taken of the
 * middle of that group, which nothing proves when the power goes: but the snapshot does. (Found by reading.)
 */
static void test_a_snapshot_inside_a_group_that_begins_with_a_truncation(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_must_open(&f);
    (void)fixture_vote(&f, 1, 1);
    for (int i = 0; i < 8; i++)
        (void)fixture_append(&f, 1, 1, SMALL);
    fixture_pump(&f);
    (void)fixture_vote(&f, 2, 2);
    (void)fixture_truncate(&f, 5);
    for (int i = 0; i < 3; i++)
        (void)fixture_append(&f, 2, 1, SMALL);
    fixture_pump(&f);
    assert_int_equal(f.written, f.io);
    fixture_snapshot_at(&f, 6, 100);
    fixture_crash(&f, OS_MEM_DROP_ALL, 1);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.last, 7);
    for (uint64_t index = 5; index <= 7; index++)
        fixture_check_index(&f, index, 2);
    fixture_stop(&f);
    fixture_free(&f);
}

/* A point shares the sector with its header, wherever in a group it would come to stand. */
static void test_a_point_is_not_parted_from_its_header(void **state)
{
    static struct places places;
    struct fixture f;
    uint32_t points = 0;

    (void)state;
    for (uint32_t bytes = 8; bytes < 8 + LOG_GROUP_ALIGN; bytes += 8) {
        damage_make(&f, 1, SMALL);
        fixture_must_open(&f);
        (void)fixture_append(&f, 1, 1, SMALL);
        (void)fixture_append(&f, 1, 1, bytes);
        (void)fixture_truncate(&f, log_last(f.log));
        (void)fixture_append(&f, 1, 1, SMALL);
        fixture_pump(&f);
        fixture_stop(&f);
        find_frames(&f, &places);
        for (uint32_t i = 0; i < places.count; i++) {
            const struct place *place = &places.of[i];

            if (place->kind == LOG_FRAME_BATCH)
                continue;
            points += place->kind == LOG_FRAME_TRUNCATE;
            assert_int_equal(place->offset / LOG_GROUP_ALIGN, (place->offset + place->bytes - 1) / LOG_GROUP_ALIGN);
        }
        fixture_must_open(&f);
        assert_int_equal(f.recovery.last, 3);
        fixture_check_index(&f, 3, 1);
        fixture_stop(&f);
        fixture_free(&f);
    }
    assert_int_equal(points, LOG_GROUP_ALIGN / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_header_of_the_last_group),
        cmocka_unit_test(test_last_header_before_another_group),
        cmocka_unit_test(test_last_header_of_a_segment),
        cmocka_unit_test(test_every_byte_of_every_frame),
        cmocka_unit_test(test_torn_twice),
        cmocka_unit_test(test_torn_header),
        cmocka_unit_test(test_the_rest_was_cut_off_long_ago),
        cmocka_unit_test(test_torn_behind_what_was_cut_off),
        cmocka_unit_test(test_torn_truncation_over_an_old_point),
        cmocka_unit_test(test_a_snapshot_inside_a_group_that_begins_with_a_truncation),
        cmocka_unit_test(test_a_point_is_not_parted_from_its_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
