/* SPDX-License-Identifier: Apache-2.0 */
/*
 * my-plugin-test.c - the plugin as a host uses it: its file is loaded, values go out and come back the same, and what
 * must not be read is refused: cut, altered, over a limit, with a doubled key.
 */
#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <gavel/check.h>
#include <gavel/serializer.h>

static void *resize(void *self, void *old, uint64_t wanted)
{
    if (wanted)
        return realloc(old, wanted);
    free(old);
    return NULL;
}

static const struct gavel_heap heap = { GAVEL_END(struct gavel_heap, resize), NULL, resize };
static const struct gavel_host host = { .size = GAVEL_END(struct gavel_host, submit), .abi_major = GAVEL_ABI_MAJOR,
                                        .abi_minor = GAVEL_ABI_MINOR, .node = "node-1", .instance = "my-plugin",
                                        .heap = &heap };
static const struct gavel_limits wide = { GAVEL_END(struct gavel_limits, items), 40, 1 << 24, 1 << 20 };
static const struct gavel_plugin *plugin;
static const struct gavel_serializer *operations;
static void *self;
static unsigned char memory[16384] __attribute__((aligned(16)));

/* Read an input to its end; with `again`, write what is read by the same serializer. */
static int32_t consume(struct gavel_slice input, const struct gavel_limits *limits, struct gavel_writer *again)
{
    struct gavel_error error = { 0, "" };
    struct gavel_reader *reader;
    struct gavel_token token = { 0 };
    /* A copy of exactly this size: a tool that watches memory sees every read beyond it. */
    void *copy = malloc(input.size ? input.size : 1);
    int32_t status;

    if (input.size)
        memcpy(copy, input.data, input.size);
    status = operations->read_begin(self, memory, gavel_bytes(copy, input.size), limits, &reader, &error);
    while (status == GAVEL_OK) {
        status = reader->ops->next(reader, &token, &error);
        if (status != GAVEL_OK || token.type == GAVEL_TOKEN_FINISH) {
            operations->read_end(self, reader);
            break;
        }
        switch (again ? token.type : 0) {
        case GAVEL_TOKEN_MAP: gavel_put_map(again, token.count); break;
        case GAVEL_TOKEN_ARRAY: gavel_put_array(again, token.count); break;
        case GAVEL_TOKEN_END: gavel_put_end(again); break;
        case GAVEL_TOKEN_KEY: again->ops->key(again, token.text, token.uint); break;
        case GAVEL_TOKEN_NIL: gavel_put_nil(again); break;
        case GAVEL_TOKEN_BOOL: gavel_put_bool(again, (int)token.uint); break;
        case GAVEL_TOKEN_UINT: gavel_put_uint(again, token.uint); break;
        case GAVEL_TOKEN_INT: gavel_put_int(again, token.sint); break;
        case GAVEL_TOKEN_REAL: gavel_put_real(again, token.real); break;
        case GAVEL_TOKEN_STRING: gavel_put_string(again, token.text); break;
        case GAVEL_TOKEN_BYTES: gavel_put_bytes(again, token.text); break;
        default: break;
        }
    }
    free(copy);
    assert_int_equal(error.code, status);
    assert_true(status == GAVEL_OK || strlen(error.text) > 0);
    return status;
}

static int32_t read_text(const char *text)
{
    return consume(gavel_text(text), &wide, NULL);
}

/* A document with one of everything, at its ends too. */
static void write_everything(struct gavel_writer *w)
{
    gavel_put_map(w, 3);
    w->ops->key(w, gavel_text("granted"), 5);
    gavel_put_array(w, 12);
    gavel_put_nil(w);
    gavel_put_bool(w, 0);
    gavel_put_bool(w, 1);
    gavel_put_uint(w, 0);
    gavel_put_uint(w, UINT64_MAX);
    gavel_put_int(w, -1);
    gavel_put_int(w, INT64_MIN);
    gavel_put_int(w, INT64_MAX);
    gavel_put_real(w, -0.5);
    gavel_put_real(w, 5e-324);
    gavel_put_string(w, gavel_bytes("nul\0 \xc3\xa9 \xf4\x8f\xbf\xbf", 12));
    gavel_put_bytes(w, gavel_bytes("\xff\x00", 2));
    gavel_put_end(w);
    gavel_put_key(w, "");
    gavel_put_map(w, 0);
    gavel_put_end(w);
    gavel_put_key(w, "name");
    gavel_put_text(w, "");
    gavel_put_end(w);
}

static const char everything[] =
    "m3:k5;a12:nftu0;u18446744073709551615;i-1;i-9223372036854775808;u9223372036854775807;rbfe0000000000000"
    "r0000000000000001s12:nul\0 \xc3\xa9 \xf4\x8f\xbf\xbf" "b2:\xff\0s0:m0:s4:names0:";

static void what_is_written_is_read(void **state)
{
    unsigned char other[16384] __attribute__((aligned(16)));
    struct gavel_buffer out = { .heap = &heap }, back = { .heap = &heap };
    struct gavel_writer *writer;

    assert_true(operations->writer_bytes <= sizeof memory);
    assert_true(operations->reader_bytes <= sizeof memory);
    assert_int_equal(operations->write_begin(self, other, &out, &writer), GAVEL_OK);
    write_everything(writer);
    assert_int_equal(operations->write_end(self, writer, NULL), GAVEL_OK);
    assert_int_equal(out.size, sizeof everything - 1);
    assert_memory_equal(out.data, everything, out.size);
    assert_int_equal(operations->write_begin(self, other, &back, &writer), GAVEL_OK);
    assert_int_equal(consume(gavel_buffer_slice(&out), &wide, writer), GAVEL_OK);
    assert_int_equal(operations->write_end(self, writer, NULL), GAVEL_OK);
    assert_int_equal(out.size, back.size);
    assert_memory_equal(out.data, back.data, out.size);
    gavel_buffer_free(&out);
    gavel_buffer_free(&back);
}

static void cut_at_every_byte(void **state)
{
    for (uint64_t size = 0; size < sizeof everything - 1; size++)
        assert_int_equal(consume(gavel_bytes(everything, size), &wide, NULL), GAVEL_E_INVALID);
}

static void any_byte_altered(void **state)
{
    char copy[sizeof everything];

    for (uint64_t at = 0; at < sizeof everything - 1; at++)
        for (int byte = 0; byte < 256; byte++) {
            memcpy(copy, everything, sizeof copy);
            copy[at] = (char)byte;
            (void)consume(gavel_bytes(copy, sizeof copy - 1), &wide, NULL); /* refused or not, but nothing worse */
        }
}

static void hostile_inputs(void **state)
{
    static const char *const inputs[] = {
        "x", "nn", "u;", "u01;", "u-1;", "u18446744073709551616;", "u1", "i0;", "i-0;", "i5;", "i-9223372036854775809;",
        "r7ff0000000000000", "r7FE0000000000000", "r7fe000000000000", "s1:", "s99999999999999999999:a", "s2:a",
        "s1:\xff", "s2:\xc0\x80", "s3:\xed\xa0\x80", "s4:\xf4\x90\x80\x80", "b1:", "a1:", "a18446744073709551615:",
        "a4294967295:n", "m1:", "m1:k1;", "m1:nn", "m1:b1:an", "m9223372036854775807:", "m1:s1:", "a:", "m-1:", "k1;",
        "m2:s1:ans1:an", "m3:s1:ans1:bns1:an", "m2:k1;nk1;n", "m2:k1;nk01;n", "a1:m2:k1;nk1;n",
    };

    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
        if (read_text(inputs[i]) != GAVEL_E_INVALID)
            fail_msg("%s was not refused", inputs[i]);
    assert_int_equal(consume(gavel_bytes("m1:s1:\0n", 8), &wide, NULL), GAVEL_E_INVALID);
    assert_int_equal(read_text("m2:s1:ak1;nk1;n"), GAVEL_E_INVALID);
    assert_int_equal(read_text("m2:s1:am1:s1:ans1:bn"), GAVEL_OK); /* the same key in another map is another key */
    assert_int_equal(read_text("m2:k1;ns1:1n"), GAVEL_OK);
}

/* At each limit, and one above. */
static void limits_hold(void **state)
{
    struct gavel_limits limits = wide;
    char nested[300000];
    size_t used = 0;

    while (used < 40 * 3)
        memcpy(nested + used, "a1:", 3), used += 3;
    nested[used++] = 'n';
    assert_int_equal(consume(gavel_bytes(nested, used), &limits, NULL), GAVEL_OK);
    limits.depth = 39;
    assert_int_equal(consume(gavel_bytes(nested, used), &limits, NULL), GAVEL_E_TOO_LARGE);
    limits = wide;
    limits.bytes = used;
    assert_int_equal(consume(gavel_bytes(nested, used), &limits, NULL), GAVEL_OK);
    limits.bytes = used - 1;
    assert_int_equal(consume(gavel_bytes(nested, used), &limits, NULL), GAVEL_E_TOO_LARGE);
    limits = wide;
    limits.items = 41;
    assert_int_equal(consume(gavel_bytes(nested, used), &limits, NULL), GAVEL_OK);
    limits.items = 40;
    assert_int_equal(consume(gavel_bytes(nested, used), &limits, NULL), GAVEL_E_TOO_LARGE);
    for (used = 0; used < sizeof nested; used += 3)
        memcpy(nested + used, "a1:", 3);
    assert_int_equal(consume(gavel_bytes(nested, used), &wide, NULL), GAVEL_E_TOO_LARGE);
}

/* The writer refuses what its reader would refuse, and its first error is the one that is told. */
static void writer_rules(void **state)
{
    struct gavel_buffer out = { .heap = &heap }, tight = { .heap = &heap, .limit = 4 };
    struct gavel_writer *w;

    for (int round = 0; round < 10; round++) {
        struct gavel_error error = { 0, "" };

        out.size = 0;
        assert_int_equal(operations->write_begin(self, memory, &out, &w), GAVEL_OK);
        switch (round) {
        case 0: break;
        case 1: gavel_put_nil(w); gavel_put_nil(w); break;
        case 2: gavel_put_map(w, 0); break;
        case 3: gavel_put_array(w, 1); gavel_put_end(w); break;
        case 4: gavel_put_map(w, 1); gavel_put_nil(w); break;
        case 5: gavel_put_map(w, 1); gavel_put_key(w, "a"); gavel_put_key(w, "b"); break;
        case 6: gavel_put_array(w, 1); gavel_put_nil(w); gavel_put_nil(w); gavel_put_end(w); break;
        case 7: gavel_put_string(w, gavel_bytes("\xff", 1)); break;
        case 8: gavel_put_real(w, INFINITY); break;
        default:
            gavel_put_map(w, 1);
            w->ops->key(w, gavel_bytes("a\0b", 3), 0);
            gavel_put_nil(w);
            gavel_put_end(w);
            break;
        }
        assert_int_equal(operations->write_end(self, w, &error), GAVEL_E_INVALID);
        assert_true(strlen(error.text) > 0);
    }
    assert_int_equal(operations->write_begin(self, memory, &tight, &w), GAVEL_OK);
    gavel_put_text(w, "longer than four");
    assert_int_equal(operations->write_end(self, w, NULL), GAVEL_E_TOO_LARGE);
    gavel_buffer_free(&out);
    gavel_buffer_free(&tight);
}

/* gavel's own conformance kit: what every serializer must keep, tried in processes of their own. */
static void conforms(void **state)
{
    gavel_check_assert(PLUGIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read), cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(any_byte_altered),        cmocka_unit_test(hostile_inputs),
        cmocka_unit_test(limits_hold),             cmocka_unit_test(writer_rules),
        cmocka_unit_test(conforms),
    };
    void *file = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
    gavel_plugin_entry entry;
    struct gavel_error error;
    int failed;

    if (!file) {
        (void)fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&entry = dlsym(file, "gavel_plugin_my_plugin");
    plugin = entry ? entry() : NULL;
    if (!plugin || plugin->kind != GAVEL_KIND_SERIALIZER || plugin->create(&host, NULL, &self, &error) != GAVEL_OK)
        return 1;
    operations = plugin->operations;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    plugin->destroy(self);
    return failed;
}
