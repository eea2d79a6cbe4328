/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_writer.c - see otlp_writer.h. The length of a protobuf message is known when it is closed: its content is then
 * moved by the one to five bytes of the length. Messages are small, and a batch is moved three times.
 */
#include "otlp_writer.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

void otlp_writer_init(struct otlp_writer *writer, bool json)
{
    memset(writer, 0, sizeof *writer);
    writer->json = json;
}

void otlp_writer_free(struct otlp_writer *writer)
{
    free(writer->data);
    otlp_writer_init(writer, writer->json);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static bool room(struct otlp_writer *writer, size_t more)
{
    size_t grown = writer->capacity ? writer->capacity : 512;
    unsigned char *data;

    if (writer->failed)
        return false;
    if (more <= writer->capacity - writer->size)
        return true;
    while (grown - writer->size < more)
        grown *= 2;
    data = realloc(writer->data, grown);
    if (!data) {
        writer->failed = true;
        return false;
    }
    writer->data = data;
    writer->capacity = grown;
    return true;
}

static void put(struct otlp_writer *writer, const void *data, size_t size)
{
    if (size == 0 || !room(writer, size))
        return;
    memcpy(writer->data + writer->size, data, size);
    writer->size += size;
}

static void put_words(struct otlp_writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

static size_t varint(unsigned char *to, uint64_t value)
{
    size_t size = 0;

    for (; value >= 0x80; value >>= 7)
        to[size++] = (unsigned char)(value | 0x80);
    to[size++] = (unsigned char)value;
    return size;
}

static void put_varint(struct otlp_writer *writer, uint64_t value)
{
    unsigned char bytes[10];

    put(writer, bytes, varint(bytes, value));
}

static void put_tag(struct otlp_writer *writer, unsigned number, unsigned wire)
{
    put_varint(writer, (uint64_t)number << 3 | wire);
}

/* The machine is little-endian, as configure has made sure; so is protobuf. */
static void put_fixed(struct otlp_writer *writer, unsigned number, const void *value, size_t size)
{
    put_tag(writer, number, size == 8 ? WIRE_FIXED64 : WIRE_FIXED32);
    put(writer, value, size);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* What stands before a value: a comma, and its name. Names of fields need no escapes. */
static void put_name(struct otlp_writer *writer, const char *name)
{
    if (writer->comma)
        put_words(writer, ",");
    writer->comma = true;
    if (!name)
        return;
    put_words(writer, "\"");
    put_words(writer, name);
    put_words(writer, "\":");
}

/* Bytes of the well-formed UTF-8 character at `at`; 0 when there is none. */
static size_t character(const unsigned char *at, size_t left)
{
    size_t size = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf5 ? 4 : 0;

    if (size == 0 || size > left)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) || (*at == 0xf0 && at[1] < 0x90) ||
        (*at == 0xf4 && at[1] > 0x8f))
        return 0;
    return size;
}

static void put_escaped(struct otlp_writer *writer, const unsigned char *at, size_t size)
{
    char escape[8];

    if (size > 1 || (*at >= 0x20 && *at != '"' && *at != '\\' && *at != 0x7f)) {
        put(writer, at, size);
        return;
    }
    (void)snprintf(escape, sizeof escape, "\\u%04x", *at);
    put_words(writer, escape);
}

/* The characters of a text, those of JSON escaped. */
static void put_characters(struct otlp_writer *writer, struct gavel_slice text)
{
    const unsigned char *at = text.data;
    size_t size;

    for (uint64_t i = 0; i < text.size; i += size ? size : 1) {
        size = character(at + i, (size_t)(text.size - i));
        if (size == 0)
            put_words(writer, "\xef\xbf\xbd");
        else if (writer->json)
            put_escaped(writer, at + i, size);
        else
            put(writer, at + i, size);
    }
}

static void put_json_double(struct otlp_writer *writer, double value)
{
    char text[40];

    if (isnan(value))
        put_words(writer, "\"NaN\"");
    else if (isinf(value))
        put_words(writer, value < 0 ? "\"-Infinity\"" : "\"Infinity\"");
    else {
        (void)snprintf(text, sizeof text, "%.17g", value);
        put_words(writer, text);
    }
}

static void put_json_integer(struct otlp_writer *writer, bool negative, uint64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof text, "\"%s%" PRIu64 "\"", negative ? "-" : "", value);
    put_words(writer, text);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

void otlp_open(struct otlp_writer *writer, unsigned number, const char *name)
{
    assert(writer->depth < OTLP_DEPTH_MAX);
    if (writer->json) {
        put_name(writer, name);
        put_words(writer, "{");
        writer->comma = false;
    } else if (number) {
        put_tag(writer, number, WIRE_BYTES);
    }
    writer->begin[writer->depth++] = number || writer->json ? writer->size : SIZE_MAX;
}

void otlp_close(struct otlp_writer *writer)
{
    size_t begin, length, size;
    unsigned char bytes[10];

    assert(writer->depth > 0);
    begin = writer->begin[--writer->depth];
    if (writer->json) {
        put_words(writer, "}");
        writer->comma = true;
        return;
    }
    if (begin == SIZE_MAX || writer->failed)
        return;
    length = writer->size - begin;
    size = varint(bytes, length);
    if (!room(writer, size))
        return;
    memmove(writer->data + begin + size, writer->data + begin, length);
    memcpy(writer->data + begin, bytes, size);
    writer->size += size;
}

void otlp_list(struct otlp_writer *writer, const char *name)
{
    if (!writer->json)
        return;
    put_name(writer, name);
    put_words(writer, "[");
    writer->comma = false;
}

void otlp_list_end(struct otlp_writer *writer)
{
    if (!writer->json)
        return;
    put_words(writer, "]");
    writer->comma = true;
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

/* The length of a string is known only when its bad bytes have been replaced: it is closed like a message. */
void otlp_string(struct otlp_writer *writer, unsigned number, const char *name, struct gavel_slice text)
{
    if (writer->json) {
        put_name(writer, name);
        put_words(writer, "\"");
        put_characters(writer, text);
        put_words(writer, "\"");
        return;
    }
    otlp_open(writer, number, name);
    put_characters(writer, text);
    otlp_close(writer);
}

void otlp_text(struct otlp_writer *writer, unsigned number, const char *name, const char *text)
{
    otlp_string(writer, number, name, gavel_text(text ? text : ""));
}

void otlp_id(struct otlp_writer *writer, unsigned number, const char *name, const unsigned char *bytes, size_t size)
{
    char hex[3];

    if (!writer->json) {
        put_tag(writer, number, WIRE_BYTES);
        put_varint(writer, size);
        put(writer, bytes, size);
        return;
    }
    put_name(writer, name);
    put_words(writer, "\"");
    for (size_t i = 0; i < size; i++) {
        (void)snprintf(hex, sizeof hex, "%02x", bytes[i]);
        put_words(writer, hex);
    }
    put_words(writer, "\"");
}

static void put_json_small(struct otlp_writer *writer, const char *name, uint32_t value)
{
    char text[16];

    put_name(writer, name);
    (void)snprintf(text, sizeof text, "%" PRIu32, value);
    put_words(writer, text);
}

void otlp_small(struct otlp_writer *writer, unsigned number, const char *name, uint32_t value)
{
    if (writer->json) {
        put_json_small(writer, name, value);
        return;
    }
    put_tag(writer, number, WIRE_VARINT);
    put_varint(writer, value);
}

void otlp_fixed32(struct otlp_writer *writer, unsigned number, const char *name, uint32_t value)
{
    if (writer->json)
        put_json_small(writer, name, value);
    else
        put_fixed(writer, number, &value, sizeof value);
}

void otlp_bool(struct otlp_writer *writer, unsigned number, const char *name, bool value)
{
    if (writer->json) {
        put_name(writer, name);
        put_words(writer, value ? "true" : "false");
        return;
    }
    put_tag(writer, number, WIRE_VARINT);
    put_varint(writer, value);
}

static void put_json_signed(struct otlp_writer *writer, const char *name, int64_t value)
{
    put_name(writer, name);
    put_json_integer(writer, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void otlp_int(struct otlp_writer *writer, unsigned number, const char *name, int64_t value)
{
    if (writer->json) {
        put_json_signed(writer, name, value);
        return;
    }
    put_tag(writer, number, WIRE_VARINT);
    put_varint(writer, (uint64_t)value);
}

void otlp_sfixed(struct otlp_writer *writer, unsigned number, const char *name, int64_t value)
{
    if (writer->json)
        put_json_signed(writer, name, value);
    else
        put_fixed(writer, number, &value, sizeof value);
}

void otlp_fixed(struct otlp_writer *writer, unsigned number, const char *name, uint64_t value)
{
    if (writer->json) {
        put_name(writer, name);
        put_json_integer(writer, false, value);
    } else {
        put_fixed(writer, number, &value, sizeof value);
    }
}

void otlp_double(struct otlp_writer *writer, unsigned number, const char *name, double value)
{
    if (writer->json) {
        put_name(writer, name);
        put_json_double(writer, value);
    } else {
        put_fixed(writer, number, &value, sizeof value);
    }
}

void otlp_fixed_list(struct otlp_writer *writer, unsigned number, const char *name, const uint64_t *values,
                     uint64_t count)
{
    if (!writer->json) {
        put_tag(writer, number, WIRE_BYTES);
        put_varint(writer, count * sizeof *values);
        put(writer, values, (size_t)count * sizeof *values);
        return;
    }
    otlp_list(writer, name);
    for (uint64_t i = 0; i < count; i++)
        otlp_fixed(writer, 0, NULL, values[i]);
    otlp_list_end(writer);
}

void otlp_double_list(struct otlp_writer *writer, unsigned number, const char *name, const double *values,
                      uint64_t count)
{
    if (!writer->json) {
        put_tag(writer, number, WIRE_BYTES);
        put_varint(writer, count * sizeof *values);
        put(writer, values, (size_t)count * sizeof *values);
        return;
    }
    otlp_list(writer, name);
    for (uint64_t i = 0; i < count; i++)
        otlp_double(writer, 0, NULL, values[i]);
    otlp_list_end(writer);
}

void otlp_raw(struct otlp_writer *writer, const void *data, size_t size)
{
    if (writer->json && writer->comma)
        put_words(writer, ",");
    put(writer, data, size);
    writer->comma = true;
}
