/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_recycled_test.c - a segment file is used again, and what it held lies there still. The first write into it may
 * end behind the header of its first frame: then an old payload stands there, sound, and names where the file went on
 * from in its former life.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "core/log/format.h"
#include "core/log/recovery_table.h"
#include "log_damage.h"

#define PAYLOAD_AT (LOG_SEGMENT_HEAD + LOG_FRAME_HEAD)

enum proof { UNPROVED, BY_AN_IDENTITY, BY_A_LATER_FRAME, PROOFS };

/* Three segments with frames; the last one's first has the payload of the second's. Returns the second's last index. */
static uint64_t make(struct fixture *f, enum proof proof)
{
    static const uint8_t zeros[64 << 10];
    uint8_t payload[LOG_START_BYTES];
    char path[OS_PATH_MAX];
    uint64_t before = 70;
    uint64_t size;

    damage_make(f, 70, 2000);
    assert_int_equal(damage_find(f, 70).segment, 3);
    while (damage_find(f, before).segment == 3)
        before--;
    damage_segment_path(path, 2);
    memcpy(payload, os_mem_peek(f->mem, path, &size) + PAYLOAD_AT, sizeof payload);
    damage_segment_path(path, 3);
    assert_int_equal(os_mem_poke(f->mem, path, PAYLOAD_AT, payload, sizeof payload), 0);
    if (proof != BY_AN_IDENTITY)
        damage_erase_identities(f);
    if (proof == BY_A_LATER_FRAME)
        return before;
    assert_non_null(os_mem_peek(f->mem, path, &size));
    size -= PAYLOAD_AT + sizeof payload;
    assert_true(size <= sizeof zeros);
    assert_int_equal(os_mem_poke(f->mem, path, PAYLOAD_AT + sizeof payload, zeros, size), 0);
    return before;
}

/* Found by gavel-sim: the segment between them was taken for missing, which is damage, and nothing had been lost. */
static void test_torn_over_an_old_start(void **state)
{
    struct fixture f;
    uint64_t before = make(&f, UNPROVED);

    (void)state;
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_TORN);
    assert_int_equal(f.recovery.row, 13);
    assert_int_equal(f.recovery.last, before);
    for (int i = 0; i < 40; i++) { /* goes on into a third segment, and a fourth */
        (void)fixture_append(&f, 1, 1, 2000);
        fixture_pump(&f);
    }
    fixture_crash(&f, OS_MEM_DROP_ALL, 1);
    fixture_must_open(&f);
    assert_int_equal(f.recovery.start, LOG_START_OK);
    assert_int_equal(f.recovery.last, before + 40);
    fixture_stop(&f);
    fixture_free(&f);
}

/* What proves that the frame had been synced says that this is a file from elsewhere. */
static void test_proved(void **state)
{
    (void)state;
    for (enum proof proof = BY_AN_IDENTITY; proof < PROOFS; proof++) {
        struct fixture f;

        (void)make(&f, proof);
        damage_expect_refused(&f, 1);
        fixture_free(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torn_over_an_old_start),
        cmocka_unit_test(test_proved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
