/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_batch_test.c - batches and the log's own records: made, read back, and refused when a single bit is wrong or a
 * length lies.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/batch.h"
#include "core/log/format.h"
#include "core/log/pool.h"
#include "core/log/segment.h"
#include "core/os/bytes.h"
#include "core/os/crc32c.h"
#include "core/os/mem.h"

static struct log_batch *make(struct log_pool *pool, int count, uint64_t bytes)
{
    struct log_builder builder = {0};
    struct log_batch *batch = NULL;
    uint8_t *payload = calloc(1, bytes + 1);

    for (int i = 0; i < count; i++) {
        struct log_entry entry = {.kind = LOG_COMMAND, .machine = 7, .session = 9, .sequence = 3, .acked = 2};

        payload[0] = (uint8_t)i;
        entry.principal = gavel_text("bob");
        entry.payload = gavel_bytes(payload, bytes + (uint64_t)(bytes ? i % 2 : 0));
        assert_int_equal(log_builder_add(&builder, &entry), 0);
    }
    assert_int_equal(log_builder_seal(&builder, pool, 5, 100, 1111, 2222, 0x77, &batch), 0);
    log_builder_free(&builder);
    free(payload);
    return batch;
}

static void test_make_and_read(void **state)
{
    struct log_pool *pool = log_pool_new(1 << 20);
    struct log_batch *batch = make(pool, 3, 21);
    struct log_batch *copy;
    struct log_batch_head head;
    struct log_entries entries;
    struct log_entry entry;
    int seen = 0;

    (void)state;
    assert_int_equal(log_batch_check(batch->data, batch->head.bytes, &head, NULL), 0);
    assert_memory_equal(&head, &batch->head, sizeof head);
    assert_int_equal(head.term, 5);
    assert_int_equal(head.first, 100);
    assert_int_equal(head.count, 3);
    assert_int_equal(head.wall, 1111);
    assert_int_equal(head.tick, 2222);
    assert_int_equal(head.chain, log_batch_chain(0x77, batch->data));
    assert_int_not_equal(head.chain, log_batch_chain(0x78, batch->data));
    log_entries_begin(&entries, batch->data);
    for (; log_entries_next(&entries, &entry); seen++) {
        assert_int_equal(entry.index, 100 + seen);
        assert_int_equal(entry.kind, LOG_COMMAND);
        assert_int_equal(entry.machine, 7);
        assert_int_equal(entry.session, 9);
        assert_int_equal(entry.sequence, 3);
        assert_int_equal(entry.acked, 2);
        assert_true(gavel_slice_equal(entry.principal, gavel_text("bob")));
        assert_int_equal(entry.payload.size, 21 + seen % 2);
        assert_int_equal(*(const uint8_t *)entry.payload.data, seen);
    }
    assert_int_equal(seen, 3);
    assert_int_equal(log_batch_copy(pool, batch->data, batch->head.bytes, &copy, NULL), 0);
    assert_memory_equal(copy->data, batch->data, batch->head.bytes);
    assert_int_equal(copy->kind, LOG_COMMAND);
    copy = log_batch_unref(copy);
    batch = log_batch_unref(batch);
    pool = log_pool_free(pool);
}

static void test_limits(void **state)
{
    struct log_pool *pool = log_pool_new(1 << 20);
    struct log_builder builder = {0};
    uint8_t *big = calloc(1, LOG_BATCH_MAX);
    struct log_entry entry = {.kind = LOG_COMMAND};
    struct log_batch *batch;

    (void)state;
    entry.payload = gavel_bytes(big, LOG_ENTRY_MAX - LOG_ENTRY_HEAD);
    assert_int_equal(log_builder_add(&builder, &entry), 0);
    entry.payload.size = 0;
    assert_int_equal(log_builder_add(&builder, &entry), GAVEL_E_BUSY);
    assert_int_equal(log_builder_seal(&builder, pool, 1, 1, 0, 0, 0, &batch), 0);
    assert_int_equal(batch->head.bytes, LOG_BATCH_MAX);
    assert_int_equal(log_batch_check(batch->data, batch->head.bytes, &batch->head, NULL), 0);
    batch = log_batch_unref(batch);
    entry.payload.size = LOG_ENTRY_MAX - LOG_ENTRY_HEAD + 1;
    assert_int_equal(log_builder_add(&builder, &entry), GAVEL_E_TOO_LARGE);
    entry.payload.size = UINT64_MAX - 3;
    assert_int_equal(log_builder_add(&builder, &entry), GAVEL_E_TOO_LARGE);
    entry.payload.size = 0;
    entry.principal = gavel_bytes(big, LOG_PRINCIPAL_MAX + 1);
    assert_int_equal(log_builder_add(&builder, &entry), GAVEL_E_TOO_LARGE);
    entry.principal.size = LOG_PRINCIPAL_MAX;
    assert_int_equal(log_builder_add(&builder, &entry), 0);
    log_builder_free(&builder);
    free(big);
    pool = log_pool_free(pool);
}

/* In a steady state an append allocates nothing: the memory of one batch is the memory of the next. */
static void test_pool(void **state)
{
    struct log_pool *pool = log_pool_new(4096);
    struct log_batch *first = log_pool_take(pool, 300);
    struct log_batch *second;
    struct log_batch *large;

    (void)state;
    second = log_batch_ref(first);
    second = log_batch_unref(second);
    assert_null(second);
    assert_null(log_batch_unref(first));
    second = log_pool_take(pool, 400);
    assert_ptr_equal(first, second);
    large = log_pool_take(pool, LOG_BATCH_MAX);
    assert_null(log_batch_unref(large)); /* over what is kept: given back to the system */
    assert_null(log_batch_unref(second));
    assert_null(log_pool_free(pool));
}

/* Not one flipped bit anywhere goes through. */
static void test_every_bit(void **state)
{
    struct log_pool *pool = log_pool_new(1 << 20);
    struct log_batch *batch = make(pool, 2, 30);
    struct log_batch_head head;

    (void)state;
    for (uint32_t bit = 0; bit < batch->head.bytes * 8; bit++) {
        batch->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(log_batch_check(batch->data, batch->head.bytes, &head, NULL), 0);
        batch->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (uint32_t size = 0; size < batch->head.bytes; size++) {
        uint8_t *cut = malloc(size + 1); /* the address sanitizer watches its end */

        memcpy(cut, batch->data, size);
        assert_int_not_equal(log_batch_check(cut, size, &head, NULL), 0);
        free(cut);
    }
    batch = log_batch_unref(batch);
    pool = log_pool_free(pool);
}

static void reseal(uint8_t *data, uint32_t bytes)
{
    os_put32(data + 48, crc32c(0, data + LOG_BATCH_HEAD, bytes - LOG_BATCH_HEAD));
    os_put32(data + 56, crc32c(0, data, 56));
}

/* Lies with good checksums: a maker that is mad or bad. */
static void test_lies(void **state)
{
    static const struct {
        uint32_t at;
        uint32_t value;
    } lies[] = {
        {24, 0},          {24, 1},         {24, 3},          {24, 0xffffffff}, /* count */
        {28, 8},          {28, 0xfffffff8}, {28, 120},                         /* bytes */
        {16, 0},                                                               /* first index */
        {8, 0},                                                                /* term */
        {64, 0},          {64, 40},        {64, 0xfffffff8}, {64, 4096},       /* bytes of the entry */
        {68, 0xffffffff}, {68, 0},         {68, 1000},                         /* of its payload */
        {76, 0xffff},     {76, 40},                                            /* of its principal */
    };
    struct log_pool *pool = log_pool_new(1 << 20);

    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct log_batch *batch = make(pool, 2, 30);
        struct log_batch_head head;
        struct log_batch *copy;
        uint32_t bytes = batch->head.bytes;

        os_put32(batch->data + lies[i].at, lies[i].value);
        reseal(batch->data, bytes);
        assert_int_not_equal(log_batch_check(batch->data, bytes, &head, NULL), 0);
        assert_int_not_equal(log_batch_copy(pool, batch->data, bytes, &copy, NULL), 0);
        batch = log_batch_unref(batch);
    }
    pool = log_pool_free(pool);
}

static void test_noise(void **state)
{
    uint8_t noise[700];
    uint64_t seed = 99;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        struct log_segment_image image = {.data = noise, .size = sizeof noise, .number = 1, .incarnation = 3};
        struct log_segment_found found;
        struct log_walk walk = {0};
        struct log_batch_head head;
        size_t size = os_mem_random(&seed) % sizeof noise;

        for (size_t at = 0; at < size; at++)
            noise[at] = (uint8_t)os_mem_random(&seed);
        if (i % 2)
            os_put32(noise, LOG_BATCH_MAGIC);
        assert_int_not_equal(log_batch_check(noise, size, &head, NULL), 0);
        image.size = size;
        assert_int_equal(log_segment_scan(&image, &walk, &found), 0);
        assert_false(found.any);
        log_slots_free(&walk.slots);
    }
}

/* A record of one directory means nothing in another. */
static void test_records_belong_to_a_directory(void **state)
{
    struct log_frame frame = {.segment = 2, .group = 9, .synced = 8, .bytes = 24, .group_start = 4096, .frames = 1,
                              .kind = LOG_FRAME_TRUNCATE};
    struct log_vote_record vote = {1, 2, 3};
    struct log_identity identity = {.group = 4, .segment = 1, .end = 8192};
    uint8_t bytes[128];

    (void)state;
    log_frame_encode(bytes, &frame, 77);
    assert_true(log_frame_decode(bytes, 77, 2, 4096, 65536, &frame));
    assert_int_equal(frame.group, 9);
    assert_false(log_frame_decode(bytes, 78, 2, 4096, 65536, &frame)); /* another directory */
    assert_false(log_frame_decode(bytes, 77, 3, 4096, 65536, &frame)); /* recycled space */
    assert_false(log_frame_decode(bytes, 77, 2, 8192, 65536, &frame)); /* another place */
    assert_false(log_frame_decode(bytes, 77, 2, 4096, 4096 + 60, &frame)); /* beyond the end */
    log_vote_encode(bytes, &vote, 77);
    assert_true(log_vote_decode(bytes, 77, &vote));
    assert_false(log_vote_decode(bytes, 78, &vote));
    log_identity_encode(bytes, &identity, 77);
    assert_true(log_identity_decode(bytes, 77, &identity));
    assert_false(log_identity_decode(bytes, 78, &identity));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make_and_read),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_records_belong_to_a_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
