/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_document_test.c - documents of libgavel: looking into them, building them, JSON both ways, and hostile bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include <gavel/client.h>

/* The document of a JSON text, to be freed with gavel_buffer_free. */
static struct gavel_buffer parsed(const char *json)
{
    struct gavel_buffer out = gavel_client_buffer();
    struct gavel_error error = {0, ""};

    if (gavel_document_parse(gavel_text(json), &out, &error) != GAVEL_OK)
        fail_msg("%s: %s", json, error.text);
    return out;
}

static void test_get(void **state)
{
    struct gavel_buffer buffer =
        parsed("{\"a\":{\"b\":[10,-20,{\"c\":\"deep\"}]},\"t\":true,\"r\":1.5,\"n\":null,\"\":7}");
    struct gavel_slice document = gavel_buffer_slice(&buffer);
    struct gavel_slice key;

    (void)state;
    assert_int_equal(gavel_get_uint(document, "a.b.0", 0), 10);
    assert_int_equal(gavel_get_int(document, "a.b.1", 0), -20);
    assert_int_equal(gavel_get_uint(document, "a.b.1", 5), 5); /* does not fit */
    assert_true(gavel_slice_equal(gavel_get_bytes(document, "a.b.2.c"), gavel_text("deep")));
    assert_int_equal(gavel_get_bool(document, "t", 0), 1);
    assert_true(gavel_get_real(document, "r", 0) > 1.4);
    assert_int_equal(gavel_get_kind(document, "n"), GAVEL_DOCUMENT_NIL);
    assert_int_equal(gavel_get_kind(document, "a.b"), GAVEL_DOCUMENT_ARRAY);
    assert_int_equal(gavel_get_count(document, "a.b"), 3);
    assert_int_equal(gavel_get_kind(document, "a.b.3"), GAVEL_DOCUMENT_ABSENT);
    assert_int_equal(gavel_get_kind(document, "a.b.x"), GAVEL_DOCUMENT_ABSENT);
    assert_int_equal(gavel_get_kind(document, "a.b.18446744073709551616"), GAVEL_DOCUMENT_ABSENT);
    assert_int_equal(gavel_get_kind(document, NULL), GAVEL_DOCUMENT_MAP);
    assert_null(gavel_get(document, "nothing.here").data);
    assert_int_equal(gavel_get_uint(gavel_document_at(document, 4, &key), NULL, 0), 7);
    assert_int_equal(key.size, 0);
    assert_null(gavel_document_at(document, 5, &key).data);
    gavel_buffer_free(&buffer);
}

/* Any bytes may be given; what is no document has nothing in it. */
static void test_hostile(void **state)
{
    static const char *const bad[] = {"\xdd\xff\xff\xff\xff", "\xdf\x7f\xff\xff\xff", "\xc1", "\x81", "\xa5"
                                      "abc", "\x92\x01"};
    unsigned char nested[200];
    struct gavel_buffer text = gavel_client_buffer();
    struct gavel_error error;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gavel_slice document = gavel_text(bad[i]);

        assert_int_equal(gavel_get_kind(document, NULL), GAVEL_DOCUMENT_ABSENT);
        assert_int_equal(gavel_get_count(document, NULL), 0);
        assert_null(gavel_document_at(document, 0, NULL).data);
        assert_true(gavel_document_json(document, 0, &text, &error) < 0);
    }
    memset(nested, 0x91, sizeof nested); /* arrays in arrays, with no end */
    nested[sizeof nested - 1] = 0xc0;
    assert_int_equal(gavel_get_kind(gavel_bytes(nested, sizeof nested), "0.0"), GAVEL_DOCUMENT_ABSENT);
    assert_int_equal(text.size, 0);
    gavel_buffer_free(&text);
}

static void check_json(const char *json, uint64_t flags, const char *wanted)
{
    struct gavel_buffer buffer = parsed(json);
    struct gavel_buffer text = gavel_client_buffer();
    struct gavel_error error = {0, ""};

    if (gavel_document_json(gavel_buffer_slice(&buffer), flags, &text, &error) != GAVEL_OK)
        fail_msg("%s", error.text);
    assert_int_equal(gavel_buffer_append(&text, "", 1), GAVEL_OK);
    assert_string_equal((const char *)text.data, wanted);
    gavel_buffer_free(&text);
    gavel_buffer_free(&buffer);
}

static void test_json(void **state)
{
    struct gavel_result result;
    char *text;

    (void)state;
    check_json("{\"a\": [1, -2, 2.5, true, null, \"x\\\"\\n{,:\"]}", 0,
               "{\"a\":[1,-2,2.5,true,null,\"x\\\"\\n{,:\"]}");
    check_json("{\"$base64\":\"AP8=\"}", 0, "{\"$base64\":\"AP8=\"}");
    check_json("{}", GAVEL_JSON_PRETTY, "{}");
    check_json("[]", GAVEL_JSON_PRETTY, "[]");
    check_json("{\"a\":[1,{\"b, [c\":{}}],\"d\":\"e: f\"}", GAVEL_JSON_PRETTY,
               "{\n  \"a\": [\n    1,\n    {\n      \"b, [c\": {}\n    }\n  ],\n  \"d\": \"e: f\"\n}");
    memset(&result, 0, sizeof result);
    text = gavel_result_json(&result);
    assert_string_equal(text, "null");
    free(text);
}

static void test_json_refused(void **state)
{
    static const char *const bad[] = {"", "{", "{\"a\":1,\"a\":2}", "nul", "[1] 2", "\"\xff\""};
    struct gavel_buffer out = gavel_client_buffer();
    struct gavel_error error;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error.text[0] = 0;
        assert_true(gavel_document_parse(gavel_text(bad[i]), &out, &error) < 0);
        assert_true(error.text[0] != 0);
        assert_int_equal(out.size, 0);
    }
    gavel_buffer_free(&out);
}

static void test_builder(void **state)
{
    struct gavel_builder *builder = gavel_builder_new();
    struct gavel_writer *w = gavel_builder_writer(builder);
    struct gavel_slice document;
    struct gavel_error error;

    (void)state;
    gavel_put_map(w, 2);
    gavel_put_key(w, "key");
    gavel_put_text(w, "color");
    assert_int_equal(gavel_builder_end(builder, &document, &error), GAVEL_E_INVALID); /* a pair is missing */
    gavel_builder_again(builder);
    w = gavel_builder_writer(builder);
    gavel_put_map(w, 1);
    gavel_put_key(w, "key");
    gavel_put_text(w, "color");
    gavel_put_end(w);
    assert_int_equal(gavel_builder_end(builder, &document, &error), GAVEL_OK);
    assert_true(gavel_slice_equal(gavel_get_bytes(document, "key"), gavel_text("color")));
    gavel_builder_free(builder);
    gavel_builder_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),  cmocka_unit_test(test_hostile), cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_refused), cmocka_unit_test(test_builder),
    };

    return cmocka_run_group_tests_name("client documents", tests, NULL, NULL);
}
