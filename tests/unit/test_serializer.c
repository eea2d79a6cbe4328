/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_serializer.c - what the conformance kit cannot ask of a serializer, because it needs the very bytes of
 * MessagePack and JSON: how keys and the special forms are written, and hostile input in the format's own terms. What
 * every serializer owes its host (round trips, rules of the writer, limits, cut and flipped bytes) is in core/check.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/codec/value.h"
#include "plugins/serializers/json/js.h"

/* One of the serializers under test. */
static const struct gavel_serializer *serializer;

static const struct gavel_serializer *const all[] = {&mp_serializer, &js_serializer};
static const char *const names[] = {"msgpack", "json"};

/* ---- help -------------------------------------------------------------------------------------------------------- */

static const struct gavel_limits wide = {GAVEL_END(struct gavel_limits, items), 40, UINT64_C(1) << 24,
                                         UINT64_C(1) << 20};

/* The form of a MessagePack value in the serializer under test. */
static struct gavel_buffer encoded(struct gavel_slice value)
{
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;
    int32_t status = codec_transcode(codec_msgpack(), NULL, value, &wide, serializer, NULL, &out, &error);

    if (status != GAVEL_OK)
        fail_msg("encode: %s", error.text);
    return out;
}

/* Read a whole input to its end; the status, with the tokens copied to MessagePack in *out when it is given. */
static int32_t consume(struct gavel_slice input, const struct gavel_limits *limits, struct gavel_buffer *out,
                       struct gavel_error *error)
{
    struct gavel_buffer own = codec_buffer(0);
    int32_t status = codec_transcode(serializer, NULL, input, limits, codec_msgpack(), NULL, out ? out : &own, error);

    gavel_buffer_free(&own);
    return status;
}

static void assert_refused(const void *input, uint64_t size, int32_t code)
{
    struct gavel_error error = {0, ""};
    /* A copy of exactly this size: the address sanitizer then sees every read beyond it. */
    void *copy = malloc(size ? size : 1);
    int32_t status;

    assert_non_null(copy);
    if (size)
        memcpy(copy, input, size);
    status = consume(gavel_bytes(copy, size), &wide, NULL, &error);
    free(copy);
    if (status == GAVEL_OK || (code != 0 && status != code))
        fail_msg("%.*s: status %d, wanted %d: %s", (int)size, (const char *)input, status, code, error.text);
    assert_int_equal(error.code, status);
    assert_true(strlen(error.text) > 0);
}

static int is_json(void)
{
    return serializer == &js_serializer;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* JSON readers of other languages end a key at U+0000; so no serializer of ours writes one. */
static void no_nul_in_a_key(void **state)
{
    _Alignas(16) unsigned char memory[4096];
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error = {0, ""};
    struct gavel_writer *w;

    (void)state;
    assert_true(serializer->writer_bytes <= sizeof memory);
    assert_int_equal(serializer->write_begin(NULL, memory, &out, &w), GAVEL_OK);
    gavel_put_map(w, 1);
    w->ops->key(w, gavel_bytes("a\0b", 3), 0);
    gavel_put_nil(w);
    gavel_put_end(w);
    assert_int_equal(serializer->write_end(NULL, w, &error), GAVEL_E_INVALID);
    assert_int_equal(error.code, GAVEL_E_INVALID);
    gavel_buffer_free(&out);
}

/* Keys: names in one format, numbers in the other; a key without a number keeps its name. */
static void keys(void **state)
{
    _Alignas(16) unsigned char memory[4096];
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_writer *w;
    static const unsigned char packed[] = {0x82, 0x05, 0xc3, 0xa4, 'n', 'a', 'm', 'e', 0x07};

    (void)state;
    assert_int_equal(serializer->write_begin(NULL, memory, &out, &w), GAVEL_OK);
    gavel_put_map(w, 2);
    w->ops->key(w, gavel_text("granted"), 5);
    gavel_put_bool(w, 1);
    gavel_put_key(w, "name");
    gavel_put_uint(w, 7);
    gavel_put_end(w);
    assert_int_equal(serializer->write_end(NULL, w, NULL), GAVEL_OK);
    if (is_json()) {
        assert_int_equal(out.size, strlen("{\"granted\":true,\"name\":7}"));
        assert_memory_equal(out.data, "{\"granted\":true,\"name\":7}", out.size);
    } else {
        assert_int_equal(out.size, sizeof packed);
        assert_memory_equal(out.data, packed, sizeof packed);
    }
    gavel_buffer_free(&out);
}

static void hostile_msgpack(void)
{
    static const struct {
        const char *bytes;
        uint64_t size;
    } inputs[] = {
        {"", 0},
        {"\xc1", 1},                                      /* never used */
        {"\xdd\x01\x00\x00\x00", 5},                      /* 512 MB in msgpack_unpack_next */
        {"\xdd\x04\x00\x00\x00", 5},                      /* 2 GB */
        {"\xdd\xff\xff\xff\xff", 5},
        {"\xdf\xff\xff\xff\xff", 5},
        {"\xdf\x00\x00\x00\x02\x01\x01\x02", 8},          /* a map one value short */
        {"\xdb\xff\xff\xff\xff" "a", 6},                  /* a string of 4 GiB */
        {"\xc6\xff\xff\xff\xff" "a", 6},
        {"\xd4\x00\x00", 3},                              /* ext */
        {"\xc7\x01\x00\x00", 4},
        {"\xa1\xff", 2},                                  /* not UTF-8 */
        {"\xa2\xc0\x80", 3},                              /* overlong */
        {"\xa3\xed\xa0\x80", 4},                          /* a surrogate */
        {"\xa4\xf4\x90\x80\x80", 5},                      /* over U+10FFFF */
        {"\x82\xa1" "a\x01\xa1" "a\x02", 7},              /* doubled key */
        {"\x83\xa1" "a\x01\xa1" "b\x02\xa1" "a\x02", 10}, /* doubled, not next to each other */
        {"\x82\x01\xc0\xcc\x01\xc0", 6},                  /* the number 1, written in two ways */
        {"\x82\xa1" "a\xc0\xd9\x01" "a\xc0", 8},          /* the string "a", written in two ways */
        {"\x81\xc0\xc0", 3},                              /* nil as a key */
        {"\x81\xff\xc0", 3},                              /* a negative key */
        {"\x81\xc4\x01" "a\xc0", 5},                      /* bytes as a key */
        {"\x81\x90\xc0", 3},                              /* an array as a key */
        {"\x81\xa1\x00\xc0", 4},                          /* U+0000 in a key */
        {"\xca\x7f\xc0\x00\x00", 5},                      /* NaN */
        {"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", 9},      /* infinity */
        {"\xc0\xc0", 2},                                  /* trailing bytes */
        {"\x90\x00", 2},
    };
    size_t i;

    for (i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
        assert_refused(inputs[i].bytes, inputs[i].size, GAVEL_E_INVALID);
}

/* A count is compared with the bytes that remain where it stands, not when the bytes have run out. */
static void counts_are_believed_nowhere(void)
{
    static const char *const bombs[] = {"\xdd\x04\x00\x00\x00", "\xdf\x00\x00\x00\x03", "\xdc\x00\x05"};
    struct gavel_error error;
    size_t i;

    for (i = 0; i < 3; i++) {
        struct gavel_slice bomb = gavel_bytes(bombs[i], i < 2 ? 5 : 3);
        assert_int_equal(consume(bomb, &wide, NULL, &error), GAVEL_E_INVALID);
        assert_string_equal(error.text, "MessagePack byte 0: more elements are declared than bytes remain");
    }
    assert_int_equal(consume(gavel_bytes("\xdc\x00\x01\xc0", 4), &wide, NULL, NULL), GAVEL_OK);
    assert_int_equal(consume(gavel_bytes("\xde\x00\x01\x01\xc0", 5), &wide, NULL, NULL), GAVEL_OK);
}

static void hostile_json(void)
{
    static const char *const inputs[] = {
        "", " ", "{", "[", "]", "{]", "[1,]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "'a'", "nul", "tru", "+1", "01", "1.",
        ".5", "1e", "NaN", "Infinity", "1e999", "18446744073709551615", "9223372036854775808", "-9223372036854775809",
        "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\\ud800\"", "\"\\udc00x\"", "\"\\x\"", "\"a", "\"\n\"",
        "{\"a\":1,\"a\":2}", "{\"a\":1,\"b\":2,\"a\":3}", "{\"a\\u0000b\":1}", "1 2", "[] []", "{}x", "// c\n1",
        "{\"$base64\":\"A\"}", "{\"$base64\":\"AA\"}", "{\"$base64\":\"AB==\"}", "{\"$base64\":\"====\"}",
        "{\"$base64\":\"AAE*\"}", "{\"$base64\":1}", "{\"$base64\":\"AAEC\",\"a\":1}",
        "{\"$uint\":\"18446744073709551616\"}", "{\"$uint\":\"-1\"}", "{\"$uint\":\"\"}", "{\"$uint\":\"01\"}",
        "{\"$uint\":7}",
    };
    size_t i;

    for (i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
        assert_refused(inputs[i], strlen(inputs[i]), GAVEL_E_INVALID);
}

static void hostile(void **state)
{
    (void)state;
    if (is_json()) {
        hostile_json();
    } else {
        hostile_msgpack();
        counts_are_believed_nowhere();
    }
}

/* The special forms of JSON: a document's own keys of that name survive. */
static void special_keys(void **state)
{
    static const char *const special[] = {"$base64", "$$base64", "$uint", "$$$uint", "$other", "base64"};
    struct gavel_buffer value = codec_buffer(0);
    struct gavel_buffer text;
    struct gavel_buffer back = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_writer *w = codec_writer_begin(&writer, &value);
    size_t i;

    (void)state;
    gavel_put_array(w, 7);
    for (i = 0; i < 6; i++) {
        gavel_put_map(w, 1);
        gavel_put_key(w, special[i]);
        gavel_put_text(w, "AAEC");
        gavel_put_end(w);
    }
    gavel_put_map(w, 6);
    for (i = 0; i < 6; i++) {
        gavel_put_key(w, special[i]);
        gavel_put_text(w, "AAEC");
    }
    gavel_put_end(w);
    gavel_put_end(w);
    assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
    text = encoded(gavel_buffer_slice(&value));
    assert_int_equal(consume(gavel_buffer_slice(&text), &wide, &back, NULL), GAVEL_OK);
    assert_int_equal(value.size, back.size);
    assert_memory_equal(value.data, back.data, value.size);
    gavel_buffer_free(&value);
    gavel_buffer_free(&text);
    gavel_buffer_free(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),            cmocka_unit_test(special_keys),
        cmocka_unit_test(no_nul_in_a_key), cmocka_unit_test(hostile),
    };
    int failed = 0;
    size_t i;

    for (i = 0; i < sizeof all / sizeof all[0]; i++) {
        serializer = all[i];
        failed += _cmocka_run_group_tests(names[i], tests, sizeof tests / sizeof tests[0], NULL, NULL);
    }
    return failed;
}
