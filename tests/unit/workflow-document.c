/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow-document.c - merge patch by every example of RFC 7396's appendix A, adding at paths, and what documents do
 * with bytes that are none.
 */
#include "statemachines/workflow/document.h"
#include "tests/unit/fake_host.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

static struct fake_host *host;

static struct gavel_buffer buffer_new(void)
{
    struct gavel_buffer buffer = { .heap = host->host.heap };
    return buffer;
}

static void merge(const char *target, const char *patch, const char *result)
{
    struct gavel_slice a = target ? fake_pack(target) : gavel_bytes(NULL, 0);
    struct gavel_slice b = fake_pack(patch);
    struct gavel_slice wanted = fake_pack(result);
    struct gavel_buffer made = buffer_new();
    assert_int_equal(document_merge(a, b, &made), 0);
    assert_int_equal(document_check(gavel_buffer_slice(&made)), 0);
    /* Bytes are compared, not meanings: the merge is canonical when its inputs are. */
    assert_int_equal(made.size, wanted.size);
    assert_memory_equal(made.data, wanted.data, made.size);
    gavel_buffer_free(&made);
    free((void *)(uintptr_t)a.data);
    free((void *)(uintptr_t)b.data);
    free((void *)(uintptr_t)wanted.data);
}

static void test_rfc_7396(void **state)
{
    (void)state;
    merge("{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
    merge("{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}");
    merge("{\"a\":\"b\"}", "{\"a\":null}", "{}");
    merge("{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}");
    merge("{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
    merge("{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}");
    merge("{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}");
    merge("{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}");
    merge("[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]");
    merge("{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]");
    merge("{\"a\":\"foo\"}", "null", "null");
    merge("{\"a\":\"foo\"}", "\"bar\"", "\"bar\"");
    merge("{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}");
    merge("[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}");
    merge("{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}");
}

static void test_more_merges(void **state)
{
    (void)state;
    merge(NULL, "{\"a\":{\"b\":null,\"c\":1},\"d\":null}", "{\"a\":{\"c\":1}}");
    merge(NULL, "null", "null");
    merge("{\"a\":{\"$hex\":\"00\"},\"z\":1}", "{\"m\":{\"$hex\":\"ff\"}}",
          "{\"a\":{\"$hex\":\"00\"},\"m\":{\"$hex\":\"ff\"},\"z\":1}");
    /* 15 pairs and 16: the header grows, and shrinks again. */
    merge("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,"
          "\"n\":1,\"o\":1}", "{\"aa\":2}",
          "{\"a\":1,\"aa\":2,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,"
          "\"m\":1,\"n\":1,\"o\":1}");
    merge("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,"
          "\"n\":1,\"o\":1,\"p\":1}", "{\"a\":null,\"p\":null}",
          "{\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,"
          "\"o\":1}");
}

/* The plain algorithm of the RFC on a model of small maps: name -> number, absent or nested map of the same. */
static void random_map(struct fake_random *random, unsigned depth, int with_nil, char *text, size_t size)
{
    size_t length = 1;
    unsigned name;
    text[0] = '{';
    for (name = 0; name < 5; name++) {
        unsigned kind = (unsigned)fake_random_below(random, 6);
        if (kind == 0)
            continue;
        length += (size_t)snprintf(text + length, size - length, "%s\"%c\":", length > 1 ? "," : "", 'a' + (int)name);
        if (kind == 1 && depth > 0) {
            random_map(random, depth - 1, with_nil, text + length, size - length);
            length += strlen(text + length);
        } else {
            length += (size_t)snprintf(text + length, size - length, kind == 2 && with_nil ? "null" : "%u", kind * 100);
        }
    }
    memcpy(text + length, "}", 2);
}

/* A patch applied twice is the same as once; a merge of nothing changes nothing. */
static void test_random_merges(void **state)
{
    struct fake_random random = fake_random_seeded("merges");
    char target[4096];
    char patch[4096];
    int i;
    (void)state;
    for (i = 0; i < 2000; i++) {
        struct gavel_buffer once = buffer_new();
        struct gavel_buffer twice = buffer_new();
        struct gavel_slice a;
        struct gavel_slice b;
        random_map(&random, 3, 0, target, sizeof target);
        random_map(&random, 3, 1, patch, sizeof patch);
        a = fake_pack(target);
        b = fake_pack(patch);
        assert_int_equal(document_merge(a, b, &once), 0);
        assert_int_equal(document_check(gavel_buffer_slice(&once)), 0);
        assert_int_equal(document_merge(gavel_buffer_slice(&once), b, &twice), 0);
        assert_int_equal(once.size, twice.size);
        assert_memory_equal(once.data, twice.data, once.size);
        merge(target, "{}", target);
        gavel_buffer_free(&once);
        gavel_buffer_free(&twice);
        free((void *)(uintptr_t)a.data);
        free((void *)(uintptr_t)b.data);
    }
}

static void add(const char *document, const char *path, int64_t by, const char *result)
{
    struct gavel_slice a = document ? fake_pack(document) : gavel_bytes(NULL, 0);
    struct gavel_buffer made = buffer_new();
    struct document_number sum;
    struct gavel_error error = { 0 };
    int32_t status = document_add(a, gavel_text(path), by, &made, &sum, &error);
    if (result) {
        char *text;
        assert_int_equal(status, 0);
        assert_int_equal(document_check(gavel_buffer_slice(&made)), 0);
        text = fake_text(gavel_buffer_slice(&made));
        assert_string_equal(text, result);
        free(text);
    } else {
        assert_int_equal(status, GAVEL_E_INVALID);
        assert_true(error.text[0]);
    }
    gavel_buffer_free(&made);
    free((void *)(uintptr_t)a.data);
}

static void test_add(void **state)
{
    (void)state;
    add(NULL, "", 5, "5");
    add("127", "", 1, "128");
    add("-32", "", -1, "-33");
    add("65535", "", 1, "65536");
    add("-128", "", -1, "-129");
    add("-32768", "", -1, "-32769");
    add("-2147483648", "", -1, "-2147483649");
    add("4294967295", "", 1, "4294967296");
    add(NULL, "a.b.c", 1, "{\"a\":{\"b\":{\"c\":1}}}");
    add("{\"b\":1}", "a", 2, "{\"a\":2,\"b\":1}");
    add("{\"b\":1}", "c", 2, "{\"b\":1,\"c\":2}");
    add("{\"b\":1,\"d\":{}}", "d.x", 2, "{\"b\":1,\"d\":{\"x\":2}}");
    add("[1,[2,3]]", "1.0", 10, "[1,[12,3]]");
    add("{\"1\":5}", "1", 1, "{\"1\":6}");
    add("1.5", "", 1, NULL);
    add("\"1\"", "", 1, NULL);
    add("null", "", 1, NULL);
    add("{}", "", 1, NULL);
    add("{\"a\":null}", "a", 1, NULL);
    add("[1]", "1", 1, NULL);
    add("[1]", "-1", 1, NULL);
    add("[1]", "", 1, NULL);
    add("[1]", "99999999999", 1, NULL);
    add("{}", ".", 1, NULL);
    add("{}", "a.", 1, NULL);
    add("{}", ".a", 1, NULL);
    add("9223372036854775807", "", 1, "-9223372036854775808"); /* 2^63 as the test's JSON shows it */
}

static void test_depth(void **state)
{
    char path[256] = "x";
    int i;
    (void)state;
    for (i = 1; i < 32; i++)
        memcpy(path + strlen(path), ".x", 3);
    {
        struct gavel_buffer made = buffer_new();
        struct document_number sum;
        struct gavel_error error;
        struct gavel_slice none = { NULL, 0 };
        assert_int_equal(document_add(none, gavel_text(path), 1, &made, &sum, &error), 0);
        assert_int_equal(document_check(gavel_buffer_slice(&made)), 0);
        made.size = 0;
        memcpy(path + strlen(path), ".x", 3);
        assert_int_equal(document_add(none, gavel_text(path), 1, &made, &sum, &error), GAVEL_E_INVALID);
        assert_non_null(strstr(error.text, "too deep"));
        gavel_buffer_free(&made);
    }
}

/* Bytes that are no document: refused by the check, and harmless to everything else. */
static void test_no_documents(void **state)
{
    static const struct {
        const char *bytes;
        uint64_t size;
    } bad[] = {
        { "", 0 },        { "\xc1", 1 },         { "\xa2x", 2 },           { "\x81", 1 },         { "\x81\xa1x", 3 },
        { "\x92\x01", 2 }, { "\xdd\xff\xff\xff\xff", 5 }, { "\xdf\xff\xff\xff\xff", 5 }, { "\xcf\x01", 2 },
        { "\xdb\xff\xff\xff\xff", 5 }, { "\xc7\x01\x01\x01", 4 }, { "\xd4\x01\x01", 3 }, { "\x01\x01", 2 },
        { "\x81\x01\x01", 3 }, { "\x82\xa1" "b\x01\xa1" "a\x01", 7 }, { "\x82\xa1" "a\x01\xa1" "a\x01", 7 },
        { "\xa1\xff", 2 }, { "\xa2\xc0\x80", 3 }, { "\xa3\xed\xa0\x80", 4 }, { "\xa4\xf4\x90\x80\x80", 5 },
        { "\x81\xa1\xff\x01", 4 }, { "\xca\x01", 2 }, { "\xd9", 1 },
    };
    static const char deep[] = "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
                               "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01";
    struct gavel_slice patch = fake_pack("{\"a\":{\"b\":1}}");
    struct gavel_buffer made = buffer_new();
    struct document_number sum;
    struct gavel_error error;
    size_t i;
    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        unsigned char *exact = malloc(bad[i].size + 1);
        struct gavel_slice slice;
        memcpy(exact + 1, bad[i].bytes, bad[i].size);
        slice = gavel_bytes(exact + 1, bad[i].size);
        assert_int_equal(document_check(slice), GAVEL_E_CORRUPT);
        (void)document_merge(slice, patch, &made);
        (void)document_merge(patch, slice, &made);
        (void)document_add(slice, gavel_text("a.b"), 1, &made, &sum, &error);
        (void)document_find(slice, "a");
        free(exact);
    }
    assert_int_equal(document_check(gavel_bytes(deep, 35)), GAVEL_E_CORRUPT); /* 34 deep */
    assert_int_equal(document_check(gavel_bytes(deep + 1, 34)), 0); /* a record around the deepest document */
    gavel_buffer_free(&made);
    free((void *)(uintptr_t)patch.data);
}

static void test_random_bytes(void **state)
{
    struct fake_random random = fake_random_seeded("bytes");
    struct gavel_buffer made = buffer_new();
    struct document_number sum;
    struct gavel_error error;
    int i;
    (void)state;
    made.limit = 4096;
    for (i = 0; i < 100000; i++) {
        unsigned char bytes[24];
        uint64_t size = 1 + fake_random_below(&random, sizeof bytes - 1);
        struct gavel_slice whole;
        struct gavel_slice half;
        uint64_t j;
        for (j = 0; j < size; j++) /* often heads of small maps, arrays and strings, so that it gets somewhere */
            bytes[j] = (unsigned char)(fake_random_below(&random, 3) ? 0x80 + fake_random_below(&random, 0x23)
                                                                     : fake_random_next(&random));
        whole = gavel_bytes(bytes, size);
        half = gavel_bytes(bytes + size / 2, size - size / 2);
        made.size = 0;
        (void)document_check(whole);
        (void)document_merge(whole, half, &made);
        made.size = 0;
        (void)document_merge(half, whole, &made);
        made.size = 0;
        (void)document_add(whole, gavel_text("0.0.0"), 1, &made, &sum, &error);
    }
    gavel_buffer_free(&made);
}

static void test_full_buffers(void **state)
{
    struct gavel_slice target = fake_pack("{\"a\":{\"b\":\"cccccccccccccc\"},\"d\":[1,2,3]}");
    struct gavel_slice patch = fake_pack("{\"a\":{\"x\":\"yyyyyyyyyy\"},\"e\":1}");
    uint64_t limit;
    (void)state;
    for (limit = 1; ; limit++) {
        struct gavel_buffer made = buffer_new();
        int32_t status;
        made.limit = limit;
        status = document_merge(target, patch, &made);
        gavel_buffer_free(&made);
        if (status == 0)
            break;
        assert_int_equal(status, GAVEL_E_TOO_LARGE);
    }
    assert_true(limit > 40);
    free((void *)(uintptr_t)target.data);
    free((void *)(uintptr_t)patch.data);
}

static int setup(void **state)
{
    (void)state;
    host = fake_host_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_host_free(host);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_7396),    cmocka_unit_test(test_more_merges), cmocka_unit_test(test_random_merges),
        cmocka_unit_test(test_add),         cmocka_unit_test(test_depth),       cmocka_unit_test(test_no_documents),
        cmocka_unit_test(test_random_bytes), cmocka_unit_test(test_full_buffers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
