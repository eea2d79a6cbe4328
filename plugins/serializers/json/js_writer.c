/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_writer.c - compact JSON, written as it comes: no tree, no memory but the output.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "js.h"

static struct js_writer *own(struct gavel_writer *writer)
{
    return (struct js_writer *)(void *)writer;
}

static void put(struct js_writer *writer, const void *bytes, uint64_t size)
{
    if (writer->status == GAVEL_OK)
        writer->status = gavel_buffer_append(writer->out, bytes, size);
}

static void put_chars(struct js_writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

/* 1 when a value may come here; takes note of it and writes the comma before it. */
static int value_here(struct js_writer *writer)
{
    if (writer->status != GAVEL_OK)
        return 0;
    if (writer->depth == 0) {
        if (writer->values++ == 0)
            return 1;
    } else {
        uint32_t level = writer->depth - 1;
        uint64_t left = writer->level[level].left;
        if (left > 0 && !(writer->level[level].map && left % 2 == 0)) {
            writer->level[level].left--;
            if (!writer->level[level].map && writer->level[level].begun)
                put_chars(writer, ",");
            writer->level[level].begun = 1;
            return 1;
        }
    }
    writer->status = GAVEL_E_INVALID;
    return 0;
}

static void open_level(struct js_writer *writer, uint64_t count, uint32_t map)
{
    if (!value_here(writer))
        return;
    if (count > UINT32_MAX / 2 || writer->depth == JS_DEPTH_MAX) {
        writer->status = GAVEL_E_TOO_LARGE;
        return;
    }
    put_chars(writer, map ? "{" : "[");
    writer->level[writer->depth].left = map ? count * 2 : count;
    writer->level[writer->depth].map = map;
    writer->level[writer->depth].begun = 0;
    writer->depth++;
}

static void put_map(struct gavel_writer *writer, uint64_t count)
{
    open_level(own(writer), count, 1);
}

static void put_array(struct gavel_writer *writer, uint64_t count)
{
    open_level(own(writer), count, 0);
}

static void put_end(struct gavel_writer *generic)
{
    struct js_writer *writer = own(generic);

    if (writer->status != GAVEL_OK)
        return;
    if (writer->depth == 0 || writer->level[writer->depth - 1].left != 0) {
        writer->status = GAVEL_E_INVALID;
        return;
    }
    writer->depth--;
    put_chars(writer, writer->level[writer->depth].map ? "}" : "]");
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* The length of the UTF-8 sequence at `at`, 0 for none: overlong forms, surrogates, what is over U+10FFFF. */
static uint64_t sequence(const unsigned char *at, uint64_t left)
{
    static const unsigned char lead[4] = {0x00, 0xc0, 0xe0, 0xf0};
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint64_t length = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf5 ? 4 : 0;
    uint32_t point;
    uint64_t i;

    if (length <= 1)
        return length;
    if (left < length)
        return 0;
    point = (uint32_t)(*at ^ lead[length - 1]);
    for (i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (at[i] & 0x3fu);
    }
    return point < smallest[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? 0 : length;
}

static int is_utf8(struct gavel_slice text)
{
    const unsigned char *at = text.data;
    const unsigned char *end;

    if (text.size == 0)
        return 1;
    end = at + text.size;
    while (at < end) {
        uint64_t length = sequence(at, (uint64_t)(end - at));
        if (length == 0)
            return 0;
        at += length;
    }
    return 1;
}

static void escape(struct js_writer *writer, unsigned char byte)
{
    static const char plain[] = "\b\t\n\f\r\"\\";
    static const char letters[] = "btnfr\"\\";
    const char *found = byte ? strchr(plain, byte) : NULL;
    char text[8];

    if (found)
        (void)snprintf(text, sizeof text, "\\%c", letters[found - plain]);
    else
        (void)snprintf(text, sizeof text, "\\u%04x", byte);
    put_chars(writer, text);
}

/* What stands between the quotes. */
static void put_escaped(struct js_writer *writer, struct gavel_slice text)
{
    const unsigned char *at = text.data;
    uint64_t begin = 0;
    uint64_t i;

    if (!is_utf8(text)) {
        writer->status = GAVEL_E_INVALID;
        return;
    }
    for (i = 0; i < text.size; i++) {
        if (at[i] >= 0x20 && at[i] != '"' && at[i] != '\\')
            continue;
        put(writer, at + begin, i - begin);
        escape(writer, at[i]);
        begin = i + 1;
    }
    if (text.size)
        put(writer, at + begin, text.size - begin);
}

static void put_quoted(struct js_writer *writer, struct gavel_slice text)
{
    put_chars(writer, "\"");
    put_escaped(writer, text);
    put_chars(writer, "\"");
}

int js_key_special(struct gavel_slice key)
{
    const char *at = key.data;
    uint64_t dollars = 0;
    struct gavel_slice rest;

    while (dollars < key.size && at[dollars] == '$')
        dollars++;
    rest = gavel_bytes(at + dollars, key.size - dollars);
    return dollars > 0 &&
           (gavel_slice_equal(rest, gavel_text("base64")) || gavel_slice_equal(rest, gavel_text("uint")));
}

static void put_key(struct gavel_writer *generic, struct gavel_slice name, uint64_t number)
{
    struct js_writer *writer = own(generic);
    uint32_t level = writer->depth - 1;
    char digits[24];

    if (writer->status != GAVEL_OK)
        return;
    if (writer->depth == 0 || writer->level[level].left == 0 || writer->level[level].left % 2 != 0 ||
        !writer->level[level].map || (number == 0 && !name.data) || (name.size && memchr(name.data, 0, name.size))) {
        writer->status = GAVEL_E_INVALID;
        return;
    }
    writer->level[level].left--;
    if (writer->level[level].begun)
        put_chars(writer, ",");
    if (!name.data) {
        (void)snprintf(digits, sizeof digits, "%" PRIu64, number);
        name = gavel_text(digits);
    }
    put_chars(writer, js_key_special(name) ? "\"$" : "\"");
    put_escaped(writer, name);
    put_chars(writer, "\":");
}

static void put_string(struct gavel_writer *generic, struct gavel_slice utf8)
{
    struct js_writer *writer = own(generic);

    if (value_here(writer))
        put_quoted(writer, utf8);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static int is_text(struct gavel_slice bytes)
{
    const unsigned char *at = bytes.data;
    uint64_t i;

    for (i = 0; i < bytes.size; i++)
        if ((at[i] < 0x20 && at[i] != '\t' && at[i] != '\n' && at[i] != '\r') || at[i] == 0x7f)
            return 0;
    return is_utf8(bytes);
}

static void put_base64(struct js_writer *writer, struct gavel_slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = bytes.data;
    uint64_t i;

    for (i = 0; i < bytes.size; i += 3) {
        uint64_t left = bytes.size - i;
        uint32_t group = (uint32_t)at[i] << 16 | (left > 1 ? (uint32_t)at[i + 1] << 8 : 0) | (left > 2 ? at[i + 2] : 0);
        char four[4];
        four[0] = digits[group >> 18];
        four[1] = digits[group >> 12 & 63];
        four[2] = left > 1 ? digits[group >> 6 & 63] : '=';
        four[3] = left > 2 ? digits[group & 63] : '=';
        put(writer, four, sizeof four);
    }
}

static void put_bytes(struct gavel_writer *generic, struct gavel_slice bytes)
{
    struct js_writer *writer = own(generic);

    if (!value_here(writer))
        return;
    if (is_text(bytes)) {
        put_quoted(writer, bytes);
        return;
    }
    put_chars(writer, "{\"$base64\":\"");
    put_base64(writer, bytes);
    put_chars(writer, "\"}");
}

/* ---- numbers and words ------------------------------------------------------------------------------------------- */

static void put_nil(struct gavel_writer *generic)
{
    if (value_here(own(generic)))
        put_chars(own(generic), "null");
}

static void put_boolean(struct gavel_writer *generic, uint64_t value)
{
    if (value_here(own(generic)))
        put_chars(own(generic), value ? "true" : "false");
}

static void put_uint(struct gavel_writer *generic, uint64_t value)
{
    char text[48];

    if (!value_here(own(generic)))
        return;
    (void)snprintf(text, sizeof text, value <= INT64_MAX ? "%" PRIu64 : "{\"$uint\":\"%" PRIu64 "\"}", value);
    put_chars(own(generic), text);
}

static void put_sint(struct gavel_writer *generic, int64_t value)
{
    char text[24];

    if (!value_here(own(generic)))
        return;
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    put_chars(own(generic), text);
}

static void put_real(struct gavel_writer *generic, double value)
{
    struct js_writer *writer = own(generic);
    char text[40];
    char *comma;
    int digits;

    if (!value_here(writer))
        return;
    if (!isfinite(value)) {
        writer->status = GAVEL_E_INVALID;
        return;
    }
    /* The shortest of the forms that read back as the same number. */
    for (digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    comma = strchr(text, ','); /* a host that has set a locale */
    if (comma)
        *comma = '.';
    put_chars(writer, text);
    if (!strpbrk(text, ".eE"))
        put_chars(writer, ".0"); /* it must come back as a real */
}

static const struct gavel_writer_ops writer_ops = {
    .size = GAVEL_END(struct gavel_writer_ops, msgpack),
    .map = put_map,
    .array = put_array,
    .end = put_end,
    .key = put_key,
    .nil = put_nil,
    .boolean = put_boolean,
    .uint = put_uint,
    .sint = put_sint,
    .real = put_real,
    .string = put_string,
    .bytes = put_bytes,
};

struct gavel_writer *js_writer_init(struct js_writer *writer, struct gavel_buffer *out)
{
    writer->head.ops = &writer_ops;
    writer->out = out;
    writer->status = GAVEL_OK;
    writer->depth = 0;
    writer->values = 0;
    return &writer->head;
}

int32_t js_writer_end(struct js_writer *writer, struct gavel_error *error)
{
    switch (writer->status) {
    case GAVEL_OK:
        break;
    case GAVEL_E_TOO_LARGE:
        return gavel_fail(error, writer->status, "JSON: the output is over its limit");
    case GAVEL_E_NO_MEMORY:
        return gavel_fail(error, writer->status, "JSON: memory ran out");
    default:
        return gavel_fail(error, writer->status,
                          "JSON: written in a wrong order, a string that is not UTF-8, or no finite number");
    }
    if (writer->depth != 0 || writer->values == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "JSON: the value is not complete");
    return GAVEL_OK;
}
