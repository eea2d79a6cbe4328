/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_codec_field.c - field tables: options from text, arguments from documents, the log's form, and every
 * sentence that a user can meet on the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/codec/field.h"
#include "plugins/serializers/json/js.h"
#include "tests/unit/codec_random.h"

struct item {
    uint64_t present;
    struct gavel_slice key;
    int64_t by;
};

struct everything {
    uint64_t present;
    uint64_t flag;
    uint64_t count;
    int64_t by;
    double ratio;
    uint64_t wait;
    uint64_t room;
    struct gavel_slice name;
    struct gavel_slice key;
    struct gavel_slice value;
    uint64_t mode;
    struct item one;
    struct gavel_list items;
    struct gavel_list ports;
    struct gavel_list names;
    struct gavel_slice token;
};

static const char *const modes[] = {"follower", "leader", "learner", NULL};

static const struct gavel_field item_rows[] = {
    {.name = "key", .id = 1, .type = GAVEL_BYTES, .flags = GAVEL_REQUIRED, .offset = offsetof(struct item, key)},
    {.name = "by", .id = 2, .type = GAVEL_INT, .offset = offsetof(struct item, by), .fallback = "1"},
};
static const struct gavel_fields item_fields = GAVEL_FIELDS(item_rows, struct item);

#define AT(member) .offset = offsetof(struct everything, member)
static const struct gavel_field rows[] = {
    {.name = "flag", .id = 1, .type = GAVEL_BOOL, AT(flag), .fallback = "yes"},
    {.name = "count", .id = 2, .type = GAVEL_UINT, AT(count), .min = 1, .max = 9, .fallback = "3"},
    {.name = "by", .id = 3, .type = GAVEL_INT, AT(by), .min = -5, .max = 5},
    {.name = "ratio", .id = 4, .type = GAVEL_REAL, AT(ratio), .min = 0, .max = 1},
    {.name = "wait", .id = 5, .type = GAVEL_DURATION, AT(wait), .fallback = "150ms", .max = 3600000},
    {.name = "room", .id = 6, .type = GAVEL_SIZE, AT(room), .fallback = "64KiB", .unit = "bytes"},
    {.name = "name", .id = 7, .type = GAVEL_STRING, AT(name), .min = 2, .max = 8},
    {.name = "key", .id = 8, .type = GAVEL_BYTES, .flags = GAVEL_REQUIRED | GAVEL_KEY, AT(key), .help = "the key"},
    {.name = "value", .id = 9, .type = GAVEL_VALUE, AT(value), .max = 64},
    {.name = "mode", .id = 10, .type = GAVEL_CHOICE, AT(mode), .choices = modes, .fallback = "learner"},
    {.name = "one", .id = 11, .type = GAVEL_RECORD, AT(one), .sub = &item_fields},
    {.name = "items", .id = 12, .type = GAVEL_LIST, AT(items), .sub = &item_fields, .max = 3},
    {.name = "ports", .id = 13, .type = GAVEL_LIST, AT(ports), .element = GAVEL_UINT},
    {.name = "names", .id = 14, .type = GAVEL_LIST, AT(names), .element = GAVEL_STRING, .fallback = "a, b c"},
    {.name = "token", .id = 15, .type = GAVEL_STRING, AT(token), .flags = GAVEL_SECRET},
};
static const struct gavel_fields fields = GAVEL_FIELDS(rows, struct everything);

_Alignas(16) static unsigned char memory[1 << 16];

static struct codec_arena fresh(void)
{
    return codec_arena(memory, sizeof memory);
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void defaults(void **state)
{
    struct everything object;
    struct codec_arena arena = fresh();
    const struct gavel_slice *names;
    struct gavel_error error;

    (void)state;
    memset(&object, 0xa5, sizeof object);
    assert_int_equal(codec_fields_defaults(&fields, &object, &arena, &error), GAVEL_OK);
    assert_int_equal(object.flag, 1);
    assert_int_equal(object.count, 3);
    assert_int_equal(object.wait, 150);
    assert_int_equal(object.room, 65536);
    assert_int_equal(object.mode, 2);
    assert_int_equal(object.names.count, 3);
    names = object.names.items;
    assert_true(gavel_slice_equal(names[2], gavel_text("c")));
    assert_int_equal(object.by, 0);
    assert_int_equal(object.present, 1u << 0 | 1u << 1 | 1u << 4 | 1u << 5 | 1u << 9 | 1u << 13);
    assert_int_equal(codec_fields_complete(&fields, &object, &error), GAVEL_E_INVALID);
    assert_string_equal(error.text, "'key' is missing");
}

static void text_is_taken(void **state)
{
    struct everything object;
    struct codec_arena arena = fresh();
    struct gavel_buffer out = codec_buffer(0);
    uint64_t i;
    static const char *const given[][3] = {
        /* name, text, and how it is shown again */
        {"flag", "Off", "no"},       {"count", "9", "9"},          {"by", "-5", "-5"},
        {"ratio", "0.25", "0.25"},   {"wait", "90s", "90s"},       {"wait", "2 m", "2m"},
        {"wait", "1h", "1h"},        {"wait", "1500", "1500ms"},   {"wait", "0", "0ms"},
        {"room", "1GiB", "1GiB"},    {"room", "1536", "1536"},     {"room", "3 KiB", "3KiB"},
        {"name", "blue", "blue"},    {"key", "\xff", "\xff"},      {"value", "text", "text"},
        {"mode", "leader", "leader"}, {"ports", "1,2  3,,", "1, 2, 3"}, {"names", "", ""},
        {"token", "hunter2", "***"},
    };

    (void)state;
    assert_int_equal(codec_fields_defaults(&fields, &object, &arena, NULL), GAVEL_OK);
    for (i = 0; i < sizeof given / sizeof given[0]; i++) {
        struct gavel_error error;
        if (codec_fields_set(&fields, given[i][0], given[i][1], &object, &arena, &error) != GAVEL_OK)
            fail_msg("%s", error.text);
        out.size = 0;
        assert_int_equal(codec_field_text(&fields, codec_row_named(&fields, gavel_text(given[i][0])), &object, &out),
                         GAVEL_OK);
        assert_int_equal(gavel_buffer_append(&out, "", 1), GAVEL_OK);
        assert_string_equal((const char *)out.data, given[i][2]);
    }
    assert_int_equal(codec_fields_complete(&fields, &object, NULL), GAVEL_OK);
    gavel_buffer_free(&out);
}

static void text_is_refused(void **state)
{
    static const char *const given[][3] = {
        {"flag", "maybe", "'flag': 'maybe' is not yes or no"},
        {"count", "0", "'count': is 0; the least is 1"},
        {"count", "10", "'count': is 10; the greatest is 9"},
        {"count", "-1", "'count': '-1' is not a whole number that is not negative"},
        {"count", "", "'count': '' is not a whole number that is not negative"},
        {"count", "18446744073709551616", "'count': '18446744073709551616' is not a number of 64 bits"},
        {"by", "6", "'by': is 6; the greatest is 5"},
        {"by", "-6", "'by': is -6; the least is -5"},
        {"by", "1.5", "'by': '1.5' is not a whole number"},
        {"by", "-9223372036854775809", "'by': '-9223372036854775809' is not a signed number of 64 bits"},
        {"ratio", "1.5", "'ratio': is 1.5; the greatest is 1"},
        {"ratio", "nan", "'ratio': 'nan' is not a number"},
        {"ratio", "0x1", "'ratio': '0x1' is not a number"},
        {"wait", "5 seconds", "'wait': '5 seconds' is not a duration: a whole number and ms, s, m or h"},
        {"wait", "2h", "'wait': is 7200000; the greatest is 3600000"},
        {"room", "5MB", "'room': '5MB' is not a size: a whole number and nothing, KiB, MiB or GiB"},
        {"room", "99999999999GiB", "'room': '99999999999GiB' is not a number of 64 bits"},
        {"name", "x", "'name': has 1 bytes; the least is 2"},
        {"name", "123456789", "'name': has 9 bytes; the most is 8"},
        {"name", "\xff\xff", "'name': it is not valid UTF-8"},
        {"mode", "leder", "'mode': 'leder' is none of follower, leader, learner; did you mean 'leader'?"},
        {"mode", "king", "'mode': 'king' is none of follower, leader, learner"},
        {"ports", "1,x", "'ports': 'x' is not a whole number that is not negative"},
        {"one", "x", "'one': a record cannot be given as text"},
        {"items", "x", "'items': a list of records cannot be given as text"},
        {"coutn", "1", "unknown option 'coutn'; did you mean 'count'?"},
        {"zebra", "1", "unknown option 'zebra'"},
    };
    struct everything object;
    struct codec_arena arena = fresh();
    struct gavel_error error;
    size_t i;

    (void)state;
    assert_int_equal(codec_fields_defaults(&fields, &object, &arena, NULL), GAVEL_OK);
    for (i = 0; i < sizeof given / sizeof given[0]; i++) {
        uint64_t before = object.present;
        assert_true(codec_fields_set(&fields, given[i][0], given[i][1], &object, &arena, &error) < 0);
        assert_string_equal(error.text, given[i][2]);
        assert_int_equal(object.present, before);
        assert_int_equal(object.count, 3);
    }
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

static struct gavel_buffer from_json(const char *text)
{
    struct gavel_limits limits = codec_limits(1 << 16);
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;

    if (codec_transcode(&js_serializer, NULL, gavel_text(text), &limits, codec_msgpack(), NULL, &out,
                        &error) != GAVEL_OK)
        fail_msg("%s: %s", text, error.text);
    return out;
}

static int32_t check(const char *json, struct gavel_buffer *out, struct gavel_error *error)
{
    struct codec_arena arena = fresh();
    struct gavel_buffer arguments = from_json(json);
    int32_t status = codec_arguments_check(&fields, "store.test", gavel_buffer_slice(&arguments), &arena, out, error);

    gavel_buffer_free(&arguments);
    return status;
}

static void assert_json(struct gavel_slice value, const char *wanted)
{
    struct gavel_limits limits = codec_limits(1 << 16);
    struct gavel_buffer out = codec_buffer(0);

    assert_int_equal(codec_transcode(codec_msgpack(), NULL, value, &limits, &js_serializer, NULL, &out, NULL),
                     GAVEL_OK);
    assert_int_equal(gavel_buffer_append(&out, "", 1), GAVEL_OK);
    assert_string_equal((const char *)out.data, wanted);
    gavel_buffer_free(&out);
}

static void arguments_to_the_log(void **state)
{
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;

    (void)state;
    assert_int_equal(check("{\"key\":\"k\"}", &out, &error), GAVEL_OK);
    assert_json(gavel_buffer_slice(&out),
                "{\"1\":true,\"2\":3,\"5\":150,\"6\":65536,\"8\":\"k\",\"10\":2,\"14\":[\"a\",\"b\",\"c\"]}");
    out.size = 0;
    /* Names, numbers, text for durations and sizes, choices by name; documents become canonical; nil is not given. */
    assert_int_equal(check("{\"value\":{\"b\":1,\"a\":{\"$base64\":\"/w==\"}},\"mode\":\"leader\",\"key\":\"k\","
                           "\"wait\":\"2s\","
                           "\"room\":\"1KiB\",\"names\":[],\"one\":{\"key\":\"x\"},\"by\":null,\"flag\":false,"
        "\"count\":1,"
                           "\"items\":[{\"key\":\"y\",\"by\":-3}],\"ports\":[1,2],\"ratio\":1}",
                           &out, &error),
                     GAVEL_OK);
    assert_json(gavel_buffer_slice(&out),
                "{\"1\":false,\"2\":1,\"4\":1.0,\"5\":2000,\"6\":1024,\"8\":\"k\","
                "\"9\":{\"a\":{\"$base64\":\"/w==\"},\"b\":1},\"10\":1,\"11\":{\"1\":\"x\",\"2\":1},"
                "\"12\":[{\"1\":\"y\",\"2\":-3}],\"13\":[1,2],\"14\":[]}");
    gavel_buffer_free(&out);
}

static void arguments_are_refused(void **state)
{
    static const char *const given[][2] = {
        {"[]", "the arguments of store.test must be a map, not an array"},
        {"{}", "argument 'key' of store.test is missing"},
        {"null", "argument 'key' of store.test is missing"},
        {"{\"key\":null}", "argument 'key' of store.test is missing"},
        {"{\"key\":\"k\",\"colour\":1}", "unknown argument 'colour' of store.test"},
        {"{\"key\":\"k\",\"vlaue\":1}", "unknown argument 'vlaue' of store.test; did you mean 'value'?"},
        {"{\"key\":5}", "argument 'key' of store.test must be bytes or a string, not a whole number"},
        {"{\"key\":\"k\",\"name\":{\"$base64\":\"/w==\"}}", "argument 'name' of store.test must be a string, not "
         "bytes"},
        {"{\"key\":\"k\",\"name\":\"x\"}", "argument 'name' of store.test has 1 bytes; the least is 2"},
        {"{\"key\":\"k\",\"name\":\"123456789\"}", "argument 'name' of store.test has 9 bytes; the most is 8"},
        {"{\"key\":\"k\",\"flag\":1}", "argument 'flag' of store.test must be true or false, not a whole number"},
        {"{\"key\":\"k\",\"count\":0}", "argument 'count' of store.test is 0; the least is 1"},
        {"{\"key\":\"k\",\"count\":1.5}",
         "argument 'count' of store.test must be a whole number that is not negative, not a number with a fraction"},
        {"{\"key\":\"k\",\"by\":{\"$uint\":\"9223372036854775808\"}}",
         "argument 'by' of store.test is over the greatest signed number of 64 bits"},
        {"{\"key\":\"k\",\"by\":-6}", "argument 'by' of store.test is -6; the least is -5"},
        {"{\"key\":\"k\",\"ratio\":\"1\"}", "argument 'ratio' of store.test must be a number, not a string"},
        {"{\"key\":\"k\",\"wait\":\"1 day\"}",
         "argument 'wait' of store.test is wrong: '1 day' is not a duration: a whole number and ms, s, m or h"},
        {"{\"key\":\"k\",\"mode\":\"leder\"}", "argument 'mode' of store.test is wrong: 'leder' is none of follower, "
                                               "leader, learner; did you mean 'leader'?"},
        {"{\"key\":\"k\",\"one\":{}}", "argument 'one.key' of store.test is missing"},
        {"{\"key\":\"k\",\"one\":{\"kye\":1}}", "unknown argument 'kye' of store.test in one; did you mean 'key'?"},
        {"{\"key\":\"k\",\"one\":[]}", "argument 'one' of store.test must be a map, not an array"},
        {"{\"key\":\"k\",\"items\":[{\"key\":\"a\"},{\"key\":\"b\",\"by\":\"x\"}]}",
         "argument 'items[1].by' of store.test must be a whole number, not a string"},
        {"{\"key\":\"k\",\"items\":[{\"key\":\"a\"},null]}", "argument 'items[1]' of store.test must not be null"},
        {"{\"key\":\"k\",\"items\":[{},{},{},{}]}", "argument 'items' of store.test has 4 elements; the most is 3"},
        {"{\"key\":\"k\",\"ports\":5}", "argument 'ports' of store.test must be an array, not a whole number"},
    };
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof given / sizeof given[0]; i++) {
        int32_t status = check(given[i][0], &out, &error);
        assert_true(status == GAVEL_E_INVALID || status == GAVEL_E_TOO_LARGE);
        assert_string_equal(error.text, given[i][1]);
        assert_int_equal(error.code, status);
        assert_int_equal(out.size, 0);
    }
    gavel_buffer_free(&out);
}

static void documents_in_arguments(void **state)
{
    /* {"key": "k", "value": {1: nil}} and a number that no row has */
    static const char numbered[] = "\x82\xa3" "key\xa1" "k\xa5" "value\x81\x01\xc0";
    static const char unknown[] = "\x82\x08\xa1" "k\x7f\xc0";
    struct codec_arena arena = fresh();
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;

    (void)state;
    assert_int_equal(codec_arguments_check(&fields, "store.test", gavel_bytes(numbered, sizeof numbered - 1), &arena,
                                           &out,
                                           &error),
                     GAVEL_E_INVALID);
    assert_string_equal(error.text, "argument 'value' of store.test is not a document: MessagePack byte 1: a key is a "
                                    "number; keys of documents are strings");
    assert_int_equal(codec_arguments_check(&fields, "store.test", gavel_bytes(unknown, sizeof unknown - 1), &arena,
                                           &out,
                                           &error),
                     GAVEL_E_INVALID);
    assert_string_equal(error.text, "unknown argument number 127 of store.test");
    assert_int_equal(codec_arguments_check(NULL, "store.none", gavel_bytes(NULL, 0), &arena, &out, &error), GAVEL_OK);
    assert_int_equal(out.size, 1);
    assert_int_equal(codec_arguments_check(NULL, "store.none", gavel_bytes(numbered, sizeof numbered - 1), &arena, &out,
                                           &error),
                     GAVEL_E_INVALID);
    assert_string_equal(error.text, "unknown argument 'key' of store.none");
    gavel_buffer_free(&out);
}

/* A document may be nested 32 deep; the map of arguments around it does not count. */
static void document_depth(void **state)
{
    unsigned char nested[64] = {0x82, 0xa3, 'k', 'e', 'y', 0xa1, 'k', 0xa5, 'v', 'a', 'l', 'u', 'e'};
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;
    uint64_t depth;

    (void)state;
    for (depth = CODEC_DOCUMENT_DEPTH; depth <= CODEC_DOCUMENT_DEPTH + 1; depth++) {
        struct codec_arena arena = fresh();
        memset(nested + 13, 0x91, depth);
        nested[13 + depth] = 0xc0;
        assert_int_equal(codec_arguments_check(&fields, "store.test", gavel_bytes(nested, 14 + depth), &arena, &out,
                                               &error),
                         depth == CODEC_DOCUMENT_DEPTH ? GAVEL_OK : GAVEL_E_TOO_LARGE);
    }
    assert_string_equal(error.text, "argument 'value' of store.test is not a document: MessagePack byte 32: nested "
                        "deeper "
                                    "than 32");
    gavel_buffer_free(&out);
}

static void load_from_the_log(void **state)
{
    struct codec_arena arena = fresh();
    struct gavel_buffer out = codec_buffer(0);
    struct everything object;
    const struct item *item;
    struct gavel_error error;

    (void)state;
    assert_int_equal(check("{\"key\":\"k\",\"value\":[1],\"items\":[{\"key\":\"y\"}],\"by\":-1}", &out, &error),
                     GAVEL_OK);
    assert_int_equal(codec_arguments_load(&fields, gavel_buffer_slice(&out), &object, &arena, &error), GAVEL_OK);
    assert_int_equal(object.wait, 150);
    assert_int_equal(object.by, -1);
    assert_true(gavel_slice_equal(object.key, gavel_text("k")));
    assert_true((const unsigned char *)object.key.data > out.data);
    assert_true((const unsigned char *)object.key.data < out.data + out.size);
    assert_int_equal(object.value.size, 2);
    item = object.items.items;
    assert_int_equal(item->by, 1);
    assert_true(gavel_slice_equal(item->key, gavel_text("y")));
    gavel_buffer_free(&out);
}

/* Apply fills in nothing, and what it does not know has a status of its own. */
static void load_is_strict(void **state)
{
    static const struct {
        const char *bytes;
        uint64_t size;
        int32_t status;
    } cases[] = {
        {"\x80", 1, GAVEL_OK},                          /* an older leader knew no defaults: then there are none */
        {"\x81\x7f\xc0", 3, GAVEL_E_VERSION},           /* an unknown field */
        {"\x81\x0a\x03", 3, GAVEL_E_VERSION},           /* an unknown choice */
        {"\x81\x0b\x81\x03\x01", 5, GAVEL_E_VERSION},   /* an unknown field of a record */
        {"\x81\xa3" "key\xa1" "k", 7, GAVEL_E_CORRUPT}, /* a name */
        {"\x81\x08\xa1" "k", 4, GAVEL_E_CORRUPT},       /* a string where the log has bytes */
        {"\x81\x02\xc0", 3, GAVEL_E_CORRUPT},           /* nil where the log has nothing */
        {"\x81\x02\x0a", 3, GAVEL_E_CORRUPT},           /* over its bound */
        {"\x81\x05\xa2" "2s", 5, GAVEL_E_CORRUPT},      /* a duration as text */
        {"\x82\x02\x01\x02\x01", 5, GAVEL_E_CORRUPT},   /* twice */
        {"\x90", 1, GAVEL_E_CORRUPT},
        {"\x81\x02", 2, GAVEL_E_CORRUPT},
        {"", 0, GAVEL_E_CORRUPT},
    };
    struct everything object;
    struct gavel_error error;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct codec_arena arena = fresh();
        assert_int_equal(codec_arguments_load(&fields, gavel_bytes(cases[i].bytes, cases[i].size), &object, &arena,
                                              &error),
                         cases[i].status);
        if (cases[i].status)
            assert_int_equal(error.code, cases[i].status);
        else
            assert_int_equal(object.present, 0);
    }
}

/* For every size of arena: success or a clean refusal. */
static void small_arenas(void **state)
{
    struct gavel_buffer arguments = from_json("{\"key\":\"k\",\"value\":{\"b\":1,\"a\":2},"
                                              "\"items\":[{\"key\":\"y\"}]}");
    struct gavel_buffer out = codec_buffer(0);
    uint64_t room;
    int fits = 0;

    (void)state;
    for (room = 0; room < 2048; room++) {
        struct codec_arena arena = codec_arena(memory, room);
        struct gavel_error error;
        int32_t status;
        out.size = 0;
        status = codec_arguments_check(&fields, "store.test", gavel_buffer_slice(&arguments), &arena, &out, &error);
        if (status != GAVEL_OK) {
            assert_int_equal(status, GAVEL_E_TOO_LARGE);
            assert_int_equal(fits, 0);
        }
        fits += status == GAVEL_OK;
    }
    assert_true(fits > 0);
    gavel_buffer_free(&arguments);
    gavel_buffer_free(&out);
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static void tables_are_checked(void **state)
{
    static const char *const none[] = {NULL};
    static const struct gavel_field bad[] = {
        {.name = "Upper", .id = 1, .type = GAVEL_UINT, .offset = 8},
        {.name = "zero", .id = 0, .type = GAVEL_UINT, .offset = 8},
        {.name = "big", .id = 128, .type = GAVEL_UINT, .offset = 8},
        {.name = "type", .id = 1, .type = 99, .offset = 8},
        {.name = "over_present", .id = 1, .type = GAVEL_UINT, .offset = 0},
        {.name = "outside", .id = 1, .type = GAVEL_STRING, .offset = 16},
        {.name = "crooked", .id = 1, .type = GAVEL_UINT, .offset = 9},
        {.name = "no_choice", .id = 1, .type = GAVEL_CHOICE, .offset = 8, .choices = none},
        {.name = "no_sub", .id = 1, .type = GAVEL_RECORD, .offset = 8},
        {.name = "no_element", .id = 1, .type = GAVEL_LIST, .offset = 8},
        {.name = "bad_default", .id = 1, .type = GAVEL_UINT, .offset = 8, .fallback = "x"},
        {.name = "out_default", .id = 1, .type = GAVEL_UINT, .offset = 8, .fallback = "9", .max = 5},
    };
    static const struct gavel_field doubled[] = {
        {.name = "a", .id = 1, .type = GAVEL_UINT, .offset = 8},
        {.name = "b", .id = 1, .type = GAVEL_UINT, .offset = 16},
    };
    struct gavel_fields table = {NULL, 1, sizeof bad[0], 24};
    struct gavel_error error;
    size_t i;

    (void)state;
    assert_int_equal(codec_fields_check(&fields, &error), GAVEL_OK);
    assert_int_equal(codec_fields_check(NULL, &error), GAVEL_OK);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        table.rows = &bad[i];
        assert_int_equal(codec_fields_check(&table, &error), GAVEL_E_INVALID);
        assert_true(strstr(error.text, i ? bad[i].name : "row 0") != NULL);
    }
    table.rows = doubled;
    table.count = 2;
    assert_int_equal(codec_fields_check(&table, &error), GAVEL_E_INVALID);
    assert_string_equal(error.text, "row 'b': its name or its id is there twice");
}

/* An older plugin's shorter rows: members beyond its stride are zero. */
static void short_rows(void **state)
{
    struct short_row {
        const char *name;
        uint64_t id, type, flags, offset;
        const char *fallback;
    };
    static const struct short_row old[] = {{"a", 1, GAVEL_UINT, 0, 8, "7"}, {"b", 2, GAVEL_STRING, GAVEL_REQUIRED, 16,
                                                                             NULL}};
    struct {
        uint64_t present, a;
        struct gavel_slice b;
    } object;
    const struct gavel_fields table = {(const struct gavel_field *)(const void *)old, 2, sizeof old[0], sizeof object};
    struct codec_arena arena = fresh();
    struct gavel_buffer arguments = from_json("{\"b\":\"x\"}");

    (void)state;
    assert_int_equal(codec_fields_check(&table, NULL), GAVEL_OK);
    assert_int_equal(codec_arguments_fill(&table, "old.command", gavel_buffer_slice(&arguments), &object, &arena, NULL),
                     GAVEL_OK);
    assert_int_equal(object.a, 7);
    assert_true(gavel_slice_equal(object.b, gavel_text("x")));
    gavel_buffer_free(&arguments);
}

static void described_and_rebuilt(void **state)
{
    struct gavel_buffer described = codec_buffer(0);
    struct gavel_buffer again = codec_buffer(0);
    struct codec_writer writer;
    struct codec_arena arena = fresh();
    const struct gavel_fields *rebuilt;
    struct gavel_error error;

    (void)state;
    codec_fields_describe(&fields, codec_writer_begin(&writer, &described));
    assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
    if (codec_fields_rebuild(gavel_buffer_slice(&described), &arena, &rebuilt, &error) != GAVEL_OK)
        fail_msg("%s", error.text);
    codec_fields_describe(rebuilt, codec_writer_begin(&writer, &again));
    assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
    assert_int_equal(described.size, again.size);
    assert_memory_equal(described.data, again.data, again.size);
    assert_int_equal(rebuilt->rows[7].flags, GAVEL_REQUIRED | GAVEL_KEY);
    assert_int_equal(codec_fields_key(rebuilt), 7);
    assert_json(codec_array_at(gavel_buffer_slice(&described), 7),
                "{\"name\":\"key\",\"id\":8,\"type\":\"bytes\",\"required\":true,\"key\":true,\"help\":\"the key\"}");
    gavel_buffer_free(&described);
    gavel_buffer_free(&again);
}

/* A hostile description is refused or harmless. */
static void hostile_descriptions(void **state)
{
    struct gavel_buffer described = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_limits limits = codec_limits(1 << 16);
    uint64_t random = random_seed();
    int round;

    (void)state;
    codec_fields_describe(&fields, codec_writer_begin(&writer, &described));
    assert_int_equal(codec_writer_end(&writer, NULL), GAVEL_OK);
    for (round = 0; round < 5000; round++) {
        struct codec_arena arena = fresh();
        const struct gavel_fields *rebuilt;
        struct gavel_error error;
        uint64_t at = random_below(&random, described.size);
        unsigned char before = described.data[at];
        described.data[at] = (unsigned char)random_next(&random);
        if (codec_value_check(gavel_buffer_slice(&described), &limits, NULL) == GAVEL_OK)
            (void)codec_fields_rebuild(gavel_buffer_slice(&described), &arena, &rebuilt, &error);
        described.data[at] = before;
    }
    gavel_buffer_free(&described);
}

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

static void pairs_by_table(void **state)
{
    static const char *const given[] = {"key=42",  "count=7", "mode=leader",    "wait=2s",           "names=x, y",
                                        "value=1", "flag=no", "ports=[80,443]", "one={\"key\":\"z\"}"};
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;

    (void)state;
    if (codec_pairs(&fields, "store.test", given, 9, &js_serializer, NULL, &out, &error) != GAVEL_OK)
        fail_msg("%s", error.text);
    assert_json(gavel_buffer_slice(&out),
                "{\"key\":\"42\",\"count\":7,\"mode\":\"leader\",\"wait\":2000,\"names\":[\"x\",\"y\"],\"value\":1,"
                "\"flag\":false,\"ports\":[80,443],\"one\":{\"key\":\"z\"}}");
    gavel_buffer_free(&out);
}

static void pairs_without_table(void **state)
{
    static const char *const given[] = {"a=1", "b=-2", "c=1.5", "d=true", "e=null", "f=blue", "g=", "h=a=b", "i=007"};
    static const char *const json[] = {"a={\"x\":[1]}", "b=\"q\"", "c=[", "d=1 2"};
    struct gavel_buffer out = codec_buffer(0);

    (void)state;
    assert_int_equal(codec_pairs(NULL, NULL, given, 9, NULL, NULL, &out, NULL), GAVEL_OK);
    assert_json(gavel_buffer_slice(&out), "{\"a\":1,\"b\":-2,\"c\":1.5,\"d\":true,\"e\":null,\"f\":\"blue\",\"g\":\"\","
                                          "\"h\":\"a=b\",\"i\":\"007\"}");
    out.size = 0;
    assert_int_equal(codec_pairs(NULL, NULL, json, 4, &js_serializer, NULL, &out, NULL), GAVEL_OK);
    assert_json(gavel_buffer_slice(&out), "{\"a\":{\"x\":[1]},\"b\":\"q\",\"c\":\"[\",\"d\":\"1 2\"}");
    gavel_buffer_free(&out);
}

static void pairs_refused(void **state)
{
    static const char *const given[][3] = {
        {"novalue", "key=a", "'novalue' is not of the form name=value"},
        {"=x", "key=a", "'=x' is not of the form name=value"},
        {"key=a", "key=b", "'key' is given twice"},
        {"kee=a", "count=1", "unknown argument 'kee' of store.test; did you mean 'key'?"},
        {"key=a", "count=x", "count: 'x' is not a whole number that is not negative"},
        {"key=a", "one=x", "one: JSON line 1, column 1: invalid token near 'x'"},
    };
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof given / sizeof given[0]; i++) {
        assert_true(codec_pairs(&fields, "store.test", given[i], 2, &js_serializer, NULL, &out, &error) < 0);
        assert_string_equal(error.text, given[i][2]);
        assert_int_equal(out.size, 0);
    }
    gavel_buffer_free(&out);
}

static void arenas(void **state)
{
    struct gavel_slice copy;
    uint64_t offset;

    (void)state;
    for (offset = 0; offset < 32; offset++) {
        struct codec_arena arena = codec_arena(memory + offset, 64);
        unsigned char *first = codec_arena_take(&arena, 1, 1);
        unsigned char *second = codec_arena_take(&arena, 8, 16);
        assert_non_null(first);
        assert_non_null(second);
        assert_int_equal((uintptr_t)second % 16, 0);
        assert_true(first >= memory + offset);
        assert_null(codec_arena_take(&arena, 64, 1));
        assert_null(codec_arena_take(&arena, UINT64_MAX, 16));
        assert_true(arena.data + arena.size == memory + offset + 64);
        assert_int_equal(codec_arena_copy(&arena, gavel_bytes(first, UINT64_MAX), &copy), GAVEL_E_TOO_LARGE);
    }
    assert_null(codec_arena_take(&(struct codec_arena){0}, 1, 1));
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(codec_distance(gavel_text("port"), gavel_text("port"), 9), 0);
    assert_int_equal(codec_distance(gavel_text("prot"), gavel_text("port"), 9), 1);
    assert_int_equal(codec_distance(gavel_text("colour"), gavel_text("color"), 9), 1);
    assert_int_equal(codec_distance(gavel_text("kitten"), gavel_text("sitting"), 9), 3);
    assert_int_equal(codec_distance(gavel_text("kitten"), gavel_text("sitting"), 1), 2);
    assert_int_equal(codec_distance(gavel_text(""), gavel_text("abc"), 9), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arenas),
        cmocka_unit_test(distances),
        cmocka_unit_test(tables_are_checked),
        cmocka_unit_test(short_rows),
        cmocka_unit_test(defaults),
        cmocka_unit_test(text_is_taken),
        cmocka_unit_test(text_is_refused),
        cmocka_unit_test(arguments_to_the_log),
        cmocka_unit_test(arguments_are_refused),
        cmocka_unit_test(documents_in_arguments),
        cmocka_unit_test(document_depth),
        cmocka_unit_test(load_from_the_log),
        cmocka_unit_test(load_is_strict),
        cmocka_unit_test(small_arenas),
        cmocka_unit_test(described_and_rebuilt),
        cmocka_unit_test(hostile_descriptions),
        cmocka_unit_test(pairs_by_table),
        cmocka_unit_test(pairs_without_table),
        cmocka_unit_test(pairs_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
