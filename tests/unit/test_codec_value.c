/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_codec_value.c - documents: looking into them, the canonical form, text for people; and msgpack-c as the judge of
 * our MessagePack in both directions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <msgpack.h>

#include "core/codec/value.h"
#include "tests/unit/codec_random.h"

static uint64_t seed;

static struct gavel_slice slice_of(const char *bytes, uint64_t size)
{
    struct gavel_slice value = gavel_bytes(bytes, size);
    struct gavel_limits limits = codec_limits(1 << 20);

    assert_int_equal(codec_value_check(value, &limits, NULL), GAVEL_OK);
    return value;
}

/* {"a": 1, "b": [true, -2, 1.5], "c": {"d": "x"}, 7: nil} */
static const char sample[] = "\x84\xa1" "a\x01\xa1" "b\x93\xc3\xfe\xcb\x3f\xf8\0\0\0\0\0\0\xa1" "c\x81\xa1"
                             "d\xa1" "x\x07\xc0";
#define SAMPLE_SIZE (sizeof sample - 1)

/* The same map, put key by key; what the writer says of it. */
static int32_t put_again(struct gavel_slice map, struct gavel_buffer *again)
{
    struct codec_writer memory;
    struct gavel_writer *writer = codec_writer_begin(&memory, again);
    struct gavel_slice value;
    struct gavel_slice key;
    struct codec_walk walk;

    gavel_put_map(writer, codec_value_count(map));
    codec_walk_begin(&walk, map);
    while (codec_walk_next(&walk, &key, &value)) {
        codec_put_key(writer, key);
        codec_put_value(writer, value);
    }
    gavel_put_end(writer);
    return codec_writer_end(&memory, NULL);
}

/* A document of somebody else's: its keys are text or numbers. */
static void keys_are_put_as_they_are(void **state)
{
    struct gavel_slice value = slice_of(sample, SAMPLE_SIZE);
    struct gavel_buffer again = codec_buffer(0);

    (void)state;
    assert_int_equal(put_again(value, &again), GAVEL_OK);
    assert_int_equal(again.size, value.size);
    assert_memory_equal(again.data, value.data, value.size);
    assert_int_equal(put_again(slice_of("\x81\0\xc0", 3), &again), GAVEL_E_INVALID); /* 0 is the number of no key */
    gavel_buffer_free(&again);
}

static void looking(void **state)
{
    struct gavel_slice value = slice_of(sample, SAMPLE_SIZE);
    struct gavel_slice list = codec_map_find(value, "b");
    struct gavel_slice text;
    struct gavel_slice key;
    struct codec_walk walk;
    uint64_t whole = 0;
    int64_t negative = 0;
    double real = 0;

    (void)state;
    assert_int_equal(codec_value_type(value), GAVEL_TOKEN_MAP);
    assert_int_equal(codec_value_count(value), 4);
    assert_int_equal(codec_get_uint(codec_map_find(value, "a"), &whole), GAVEL_OK);
    assert_int_equal(whole, 1);
    assert_int_equal(codec_value_count(list), 3);
    assert_int_equal(codec_get_bool(codec_array_at(list, 0), &whole), GAVEL_OK);
    assert_int_equal(codec_get_int(codec_array_at(list, 1), &negative), GAVEL_OK);
    assert_int_equal(negative, -2);
    assert_int_equal(codec_get_uint(codec_array_at(list, 1), &whole), GAVEL_E_INVALID);
    assert_int_equal(codec_get_real(codec_array_at(list, 2), &real), GAVEL_OK);
    assert_true(real == 1.5);
    assert_int_equal(codec_get_real(codec_array_at(list, 1), &real), GAVEL_OK);
    assert_null(codec_array_at(list, 3).data);
    assert_int_equal(codec_get_string(codec_map_find(codec_map_find(value, "c"), "d"), &text), GAVEL_OK);
    assert_memory_equal(text.data, "x", 1);
    assert_int_equal(codec_value_type(codec_map_find_number(value, 7)), GAVEL_TOKEN_NIL);
    assert_non_null(codec_map_find_number(value, 7).data);
    assert_null(codec_map_find(value, "e").data);
    /* The absent value and values of other types are looked into without harm. */
    assert_null(codec_map_find(codec_map_find(value, "e"), "f").data);
    assert_null(codec_map_find(list, "a").data);
    assert_null(codec_array_at(value, 0).data);
    assert_int_equal(codec_value_type(gavel_bytes(NULL, 0)), GAVEL_TOKEN_NIL);
    assert_int_equal(codec_uint_or(codec_map_find(value, "e"), 42), 42);
    assert_int_equal(codec_string_or(codec_map_find(value, "a"), "none").size, 4);
    codec_walk_begin(&walk, list);
    while (codec_walk_next(&walk, &key, &text))
        whole++;
    assert_int_equal(whole, 4);
}

static void canonical(void **state)
{
    static const struct {
        const char *given;
        uint64_t given_size;
        const char *wanted;
        uint64_t wanted_size;
    } cases[] = {
        {"\xcc\x05", 2, "\x05", 1},
        {"\xcd\x00\xff", 3, "\xcc\xff", 2},
        {"\xce\x00\x00\xff\xff", 5, "\xcd\xff\xff", 3},
        {"\xcf\x00\x00\x00\x00\xff\xff\xff\xff", 9, "\xce\xff\xff\xff\xff", 5},
        {"\xd0\x05", 2, "\x05", 1},
        {"\xd0\xff", 2, "\xff", 1},
        {"\xd1\xff\x80", 3, "\xd0\x80", 2},
        {"\xd3\xff\xff\xff\xff\x80\x00\x00\x00", 9, "\xd2\x80\x00\x00\x00", 5},
        {"\xca\x3f\xc0\x00\x00", 5, "\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", 9},
        {"\xd9\x01" "a", 3, "\xa1" "a", 2},
        {"\xda\x00\x01" "a", 4, "\xa1" "a", 2},
        {"\xc5\x00\x01" "a", 4, "\xc4\x01" "a", 3},
        {"\xdc\x00\x01\xc0", 4, "\x91\xc0", 2},
        {"\xde\x00\x01\x01\xc0", 5, "\x81\x01\xc0", 3},
        {"\x83\xa1" "b\x01\xa2" "aa\x02\xa1" "a\x03", 11, "\x83\xa1" "a\x03\xa2" "aa\x02\xa1" "b\x01", 11},
        {"\x82\xa1" "a\x01\x05\x02", 6, "\x82\x05\x02\xa1" "a\x01", 6},
        {"\x91\x82\xa1" "b\x82\xa1" "d\x01\xa1" "c\x02\xa1" "a\x03", 14,
         "\x91\x82\xa1" "a\x03\xa1" "b\x82\xa1" "c\x02\xa1" "d\x01", 14},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gavel_slice given = slice_of(cases[i].given, cases[i].given_size);
        struct gavel_buffer out = codec_buffer(0);
        assert_false(codec_value_canonical(given));
        assert_int_equal(mp_canonical(given, &out, NULL), GAVEL_OK);
        assert_int_equal(out.size, cases[i].wanted_size);
        assert_memory_equal(out.data, cases[i].wanted, out.size);
        assert_true(codec_value_canonical(gavel_buffer_slice(&out)));
        gavel_buffer_free(&out);
    }
}

static void canonical_of_random(void **state)
{
    uint64_t random = seed;
    int i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        struct gavel_buffer value = codec_buffer(0);
        struct gavel_buffer again = codec_buffer(0);
        struct gavel_buffer small;
        random_document(&random, &value);
        assert_true(codec_value_canonical(gavel_buffer_slice(&value)));
        assert_int_equal(mp_canonical(gavel_buffer_slice(&value), &again, NULL), GAVEL_OK);
        assert_int_equal(value.size, again.size);
        small = codec_buffer_fixed(again.data, again.size - 1 ? again.size - 1 : 1);
        if (value.size > 1) {
            assert_int_equal(mp_canonical(gavel_buffer_slice(&value), &small, NULL), GAVEL_E_TOO_LARGE);
            assert_int_equal(small.size, 0);
        }
        gavel_buffer_free(&value);
        gavel_buffer_free(&again);
    }
}

/* A sorted map that is too big for the output, and an unsorted one: nothing is left behind. */
static void canonical_too_large(void **state)
{
    static const char unsorted[] = "\x92\x82\xa1" "b\x01\xa1" "a\x02\xc0";
    unsigned char room[16];
    uint64_t size;

    (void)state;
    for (size = 1; size < sizeof unsorted - 1; size++) {
        struct gavel_buffer out = codec_buffer_fixed(room, size);
        assert_int_equal(mp_canonical(slice_of(unsorted, sizeof unsorted - 1), &out, NULL), GAVEL_E_TOO_LARGE);
        assert_int_equal(out.size, 0);
    }
}

static void documents_have_names(void **state)
{
    struct gavel_limits limits = codec_limits(100);
    struct gavel_error error;

    (void)state;
    assert_int_equal(codec_value_check(gavel_bytes("\x81\x01\xc0", 3), &limits, &error), GAVEL_OK);
    assert_int_equal(codec_document_check(gavel_bytes("\x81\x01\xc0", 3), &limits, &error), GAVEL_E_INVALID);
    assert_string_equal(error.text, "MessagePack byte 1: a key is a number; keys of documents are strings");
}

static void assert_text(const char *bytes, uint64_t size, uint32_t flags, const char *wanted)
{
    struct gavel_buffer out = codec_buffer(0);

    assert_int_equal(codec_value_text(slice_of(bytes, size), flags, &out), GAVEL_OK);
    assert_int_equal(gavel_buffer_append(&out, "", 1), GAVEL_OK);
    assert_string_equal((const char *)out.data, wanted);
    gavel_buffer_free(&out);
}

static void text_for_people(void **state)
{
    struct gavel_buffer out = codec_buffer(0);

    (void)state;
    assert_text(sample, SAMPLE_SIZE, 0, "{\"a\": 1, \"b\": [true, -2, 1.5], \"c\": {\"d\": \"x\"}, 7: null}");
    assert_text(sample, SAMPLE_SIZE, CODEC_TEXT_PRETTY,
                "{\n  \"a\": 1,\n  \"b\": [\n    true,\n    -2,\n    1.5\n  ],\n  \"c\": {\n    \"d\": \"x\"\n  },"
        "\n  7: null\n}");
    assert_text("\xa3" "red", 4, 0, "red");
    assert_text("\xa3" "red", 4, CODEC_TEXT_QUOTED, "\"red\"");
    assert_text("\xa5\x1b[0m\n", 6, 0, "\\u001b[0m\\n");
    assert_text("\xa3\xc2\x9b" "m", 4, 0, "\\u009bm"); /* the one-character CSI */
    assert_text("\xc4\x02\xff\x01", 4, 0, "x'ff01'");
    assert_text("\xc4\x02ok", 4, 0, "ok");
    assert_text("\x90", 1, CODEC_TEXT_PRETTY, "[]");
    assert_text("\x92\x90\x80", 3, 0, "[[], {}]");
    assert_text("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, 0, "18446744073709551615");
    assert_text("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", 9, 0, "0.1");
    assert_int_equal(codec_value_text(gavel_bytes(NULL, 0), 0, &out), GAVEL_OK);
    assert_memory_equal(out.data, "null", 4);
    gavel_buffer_free(&out);
}

/* ---- msgpack-c as the judge -------------------------------------------------------------------------------------- */

static int pack_out(void *data, const char *bytes, size_t size)
{
    return gavel_buffer_append(data, bytes, size) == GAVEL_OK ? 0 : -1;
}

/* What we wrote is what msgpack-c reads and writes again, byte for byte. */
static void judged_by_msgpack_c(void **state)
{
    uint64_t random = seed + 1;
    int i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        struct gavel_buffer value = codec_buffer(0);
        struct gavel_buffer again = codec_buffer(0);
        msgpack_unpacked result;
        msgpack_packer packer;
        size_t used = 0;
        random_document(&random, &value);
        msgpack_unpacked_init(&result);
        assert_int_equal(msgpack_unpack_next(&result, (const char *)value.data, value.size, &used),
                         MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(used, value.size);
        msgpack_packer_init(&packer, &again, pack_out);
        assert_int_equal(msgpack_pack_object(&packer, result.data), 0);
        assert_int_equal(value.size, again.size);
        assert_memory_equal(value.data, again.data, value.size);
        msgpack_unpacked_destroy(&result);
        gavel_buffer_free(&value);
        gavel_buffer_free(&again);
    }
}

/* Whatever our scan accepts, msgpack-c accepts too, and it is of the same length. */
static void no_laxer_than_msgpack_c(void **state)
{
    uint64_t random = seed + 2;
    int accepted = 0;
    int i;

    (void)state;
    for (i = 0; i < 200000; i++) {
        struct gavel_limits limits = codec_limits(64);
        unsigned char bytes[12];
        uint64_t size = 1 + random_below(&random, sizeof bytes);
        msgpack_unpacked result;
        size_t used = 0;
        uint64_t j;
        for (j = 0; j < size; j++)
            bytes[j] = (unsigned char)random_next(&random);
        if (codec_value_check(gavel_bytes(bytes, size), &limits, NULL) != GAVEL_OK)
            continue;
        accepted++;
        msgpack_unpacked_init(&result);
        assert_int_equal(msgpack_unpack_next(&result, (const char *)bytes, size, &used), MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(used, size);
        assert_int_equal(mp_value_size(bytes, size), size);
        msgpack_unpacked_destroy(&result);
    }
    assert_true(accepted > 1000);
}

static void fixed_buffers(void **state)
{
    unsigned char room[8];
    struct gavel_buffer buffer = codec_buffer_fixed(room, sizeof room);

    (void)state;
    assert_int_equal(gavel_buffer_append(&buffer, "12345678", 8), GAVEL_OK);
    assert_ptr_equal(buffer.data, room);
    assert_int_equal(gavel_buffer_append(&buffer, "9", 1), GAVEL_E_TOO_LARGE);
    assert_int_equal(buffer.size, 8);
    gavel_buffer_free(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_buffers),        cmocka_unit_test(looking),
        cmocka_unit_test(keys_are_put_as_they_are),
        cmocka_unit_test(canonical),            cmocka_unit_test(canonical_of_random),
        cmocka_unit_test(canonical_too_large),  cmocka_unit_test(documents_have_names),
        cmocka_unit_test(text_for_people),      cmocka_unit_test(judged_by_msgpack_c),
        cmocka_unit_test(no_laxer_than_msgpack_c),
    };

    seed = random_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
