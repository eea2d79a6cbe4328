/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_json.c - documents as JSON text and back. Printing walks the document itself, so that it can indent and keep
 * numbers whole; parsing is jansson's, strict (UTF-8, no doubled keys), bounded by GAVEL_DOCUMENT_DEPTH.
 */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include <jansson.h>

#include <gavel/client.h>

#include "core/codec/value.h"

/* ---- printing ---------------------------------------------------------------------------------------------------- */

struct printer {
    struct gavel_buffer *out;
    uint64_t flags;
    int32_t status; /* the first that failed */
};

static void put(struct printer *printer, const char *text, uint64_t size)
{
    if (printer->status == GAVEL_OK)
        printer->status = gavel_buffer_append(printer->out, text, size);
}

static void put_text(struct printer *printer, const char *text)
{
    put(printer, text, strlen(text));
}

static void put_line(struct printer *printer, unsigned depth)
{
    if (!(printer->flags & GAVEL_JSON_PRETTY))
        return;
    put_text(printer, "\n");
    while (depth-- > 0)
        put_text(printer, "  ");
}

static void put_string(struct printer *printer, struct gavel_slice text)
{
    const char *at = text.data;
    uint64_t plain = 0;
    uint64_t i;

    put_text(printer, "\"");
    for (i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)at[i];
        char escape[8];

        /* 0x7f is allowed by JSON, but would still reach a terminal. */
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        put(printer, at + plain, i - plain);
        plain = i + 1;
        if (c == '"' || c == '\\')
            (void)snprintf(escape, sizeof escape, "\\%c", c);
        else if (c == '\n' || c == '\t' || c == '\r')
            (void)snprintf(escape, sizeof escape, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        else
            (void)snprintf(escape, sizeof escape, "\\u%04x", c);
        put_text(printer, escape);
    }
    put(printer, at + plain, text.size - plain);
    put_text(printer, "\"");
}

static void put_base64(struct printer *printer, struct gavel_slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = bytes.data;
    uint64_t i;

    for (i = 0; i < bytes.size; i += 3) {
        uint64_t left = bytes.size - i;
        uint32_t word = (uint32_t)at[i] << 16 | (left > 1 ? (uint32_t)at[i + 1] << 8 : 0) | (left > 2 ? at[i + 2] : 0);
        char four[4] = {digits[word >> 18 & 63], digits[word >> 12 & 63], left > 1 ? digits[word >> 6 & 63] : '=',
                        left > 2 ? digits[word & 63] : '='};

        put(printer, four, sizeof four);
    }
}

static void put_bytes(struct printer *printer, struct gavel_slice bytes)
{
    if (mp_utf8(bytes.data, bytes.size)) {
        put_string(printer, bytes);
        return;
    }
    put_text(printer, "{\"$base64\": \"");
    put_base64(printer, bytes);
    put_text(printer, "\"}");
}

static void put_real(struct printer *printer, double number)
{
    char text[40];

    if (!isfinite(number)) {
        put_text(printer, "null");
        return;
    }
    /* The shortest of the two that reads back as the same number; and it stays a real when read again. */
    (void)snprintf(text, sizeof text, "%.15g", number);
    if (strtod(text, NULL) != number)
        (void)snprintf(text, sizeof text, "%.17g", number);
    put_text(printer, text);
    if (!strpbrk(text, ".e"))
        put_text(printer, ".0");
}

static void put_value(struct printer *printer, struct gavel_slice value, unsigned depth);

static void put_key(struct printer *printer, struct gavel_slice key)
{
    struct gavel_slice text;
    uint64_t number;
    char digits[24];

    if (codec_get_bytes(key, &text) == GAVEL_OK && mp_utf8(text.data, text.size)) {
        put_string(printer, text);
        return;
    }
    number = codec_uint_or(key, 0); /* a key of the wire that has no name here */
    (void)snprintf(digits, sizeof digits, "\"%" PRIu64 "\"", number);
    put_text(printer, digits);
}

static void put_nested(struct printer *printer, struct gavel_slice value, unsigned depth, int map)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice item;
    int first = 1;

    put_text(printer, map ? "{" : "[");
    codec_walk_begin(&walk, value);
    while (printer->status == GAVEL_OK && codec_walk_next(&walk, &key, &item)) {
        if (!first)
            put_text(printer, printer->flags & GAVEL_JSON_PRETTY ? "," : ", ");
        first = 0;
        put_line(printer, depth + 1);
        if (map) {
            put_key(printer, key);
            put_text(printer, ": ");
        }
        put_value(printer, item, depth + 1);
    }
    if (!first)
        put_line(printer, depth);
    put_text(printer, map ? "}" : "]");
}

static void put_value(struct printer *printer, struct gavel_slice value, unsigned depth)
{
    uint64_t type = codec_value_type(value);
    struct gavel_slice text = gavel_bytes("", 0);
    char number[24];
    double real = 0;
    uint64_t truth = 0;

    switch (type) {
    case GAVEL_TOKEN_BOOL:
        (void)codec_get_bool(value, &truth);
        put_text(printer, truth ? "true" : "false");
        return;
    case GAVEL_TOKEN_UINT:
        (void)snprintf(number, sizeof number, "%" PRIu64, codec_uint_or(value, 0));
        put_text(printer, number);
        return;
    case GAVEL_TOKEN_INT:
        (void)snprintf(number, sizeof number, "%" PRId64, codec_int_or(value, 0));
        put_text(printer, number);
        return;
    case GAVEL_TOKEN_REAL:
        (void)codec_get_real(value, &real);
        put_real(printer, real);
        return;
    case GAVEL_TOKEN_STRING:
    case GAVEL_TOKEN_BYTES:
        (void)codec_get_bytes(value, &text);
        put_bytes(printer, text);
        return;
    case GAVEL_TOKEN_ARRAY:
    case GAVEL_TOKEN_MAP:
        put_nested(printer, value, depth, type == GAVEL_TOKEN_MAP); /* depth is bounded by the check before */
        return;
    default:
        put_text(printer, "null");
    }
}

int32_t gavel_document_json(struct gavel_slice document, uint64_t flags, struct gavel_buffer *out,
                            struct gavel_error *error)
{
    struct printer printer = {out, flags, GAVEL_OK};
    struct gavel_limits limits = codec_limits(GAVEL_CLIENT_MESSAGE);
    uint64_t before = out->size;
    int32_t status;

    if (document.size > 0) {
        status = codec_value_check(document, &limits, error);
        if (status != GAVEL_OK)
            return status;
    } else {
        document.data = NULL; /* an empty result is nil */
    }
    put_value(&printer, document, 0);
    if (printer.status == GAVEL_OK)
        return GAVEL_OK;
    out->size = before;
    return gavel_fail(error, printer.status, "no room for the JSON text");
}

char *gavel_result_json(const struct gavel_result *result)
{
    struct gavel_buffer text = codec_buffer(0);

    if (gavel_document_json(result->value, 0, &text, NULL) == GAVEL_OK &&
        gavel_buffer_append(&text, "", 1) == GAVEL_OK)
        return (char *)text.data;
    gavel_buffer_free(&text);
    return NULL;
}

/* ---- parsing ----------------------------------------------------------------------------------------------------- */

static int digit_value(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Write base64 text as bytes; GAVEL_E_INVALID when it is none. */
static int32_t write_base64(struct gavel_writer *writer, const char *text, struct gavel_error *error)
{
    size_t length = strlen(text);
    unsigned char *bytes = malloc(length / 4 * 3 + 1);
    size_t made = 0;
    size_t i;
    int32_t status = GAVEL_OK;

    if (!bytes)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the bytes");
    if (length % 4 != 0)
        status = GAVEL_E_INVALID;
    for (i = 0; status == GAVEL_OK && i < length; i += 4) {
        int last = i + 4 == length;
        int pad = last ? (text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=') : 0;
        int a = digit_value(text[i]);
        int b = digit_value(text[i + 1]);
        int c = pad > 1 ? 0 : digit_value(text[i + 2]);
        int d = pad > 0 ? 0 : digit_value(text[i + 3]);

        if (a < 0 || b < 0 || c < 0 || d < 0) {
            status = GAVEL_E_INVALID;
            break;
        }
        bytes[made++] = (unsigned char)(a << 2 | b >> 4);
        if (pad < 2)
            bytes[made++] = (unsigned char)((b & 15) << 4 | c >> 2);
        if (pad < 1)
            bytes[made++] = (unsigned char)((c & 3) << 6 | d);
    }
    if (status == GAVEL_OK)
        gavel_put_bytes(writer, gavel_bytes(bytes, made));
    free(bytes);
    return status == GAVEL_OK ? GAVEL_OK : gavel_fail(error, status, "the text in \"$base64\" is not base64");
}

static int32_t write_json(struct gavel_writer *writer, json_t *json, unsigned depth, struct gavel_error *error);

static int32_t write_object(struct gavel_writer *writer, json_t *json, unsigned depth, struct gavel_error *error)
{
    json_t *bytes = json_object_get(json, "$base64");
    const char *key;
    json_t *item;
    int32_t status = GAVEL_OK;

    if (json_is_string(bytes) && json_object_size(json) == 1)
        return write_base64(writer, json_string_value(bytes), error);
    gavel_put_map(writer, json_object_size(json));
    json_object_foreach(json, key, item) {
        gavel_put_key(writer, key);
        status = write_json(writer, item, depth + 1, error);
        if (status != GAVEL_OK)
            return status;
    }
    gavel_put_end(writer);
    return GAVEL_OK;
}

static int32_t write_array(struct gavel_writer *writer, json_t *json, unsigned depth, struct gavel_error *error)
{
    size_t i;

    gavel_put_array(writer, json_array_size(json));
    for (i = 0; i < json_array_size(json); i++) {
        int32_t status = write_json(writer, json_array_get(json, i), depth + 1, error);

        if (status != GAVEL_OK)
            return status;
    }
    gavel_put_end(writer);
    return GAVEL_OK;
}

static int32_t write_json(struct gavel_writer *writer, json_t *json, unsigned depth, struct gavel_error *error)
{
    if (depth > GAVEL_DOCUMENT_DEPTH)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "nested deeper than %d", GAVEL_DOCUMENT_DEPTH);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return write_object(writer, json, depth, error);
    case JSON_ARRAY:
        return write_array(writer, json, depth, error);
    case JSON_STRING:
        gavel_put_string(writer, gavel_bytes(json_string_value(json), json_string_length(json)));
        return GAVEL_OK;
    case JSON_INTEGER:
        gavel_put_int(writer, json_integer_value(json));
        return GAVEL_OK;
    case JSON_REAL:
        gavel_put_real(writer, json_real_value(json));
        return GAVEL_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        gavel_put_bool(writer, json_is_true(json));
        return GAVEL_OK;
    case JSON_NULL:
    default:
        gavel_put_nil(writer);
        return GAVEL_OK;
    }
}

int32_t gavel_document_parse(struct gavel_slice json, struct gavel_buffer *out, struct gavel_error *error)
{
    json_error_t problem;
    struct codec_writer writer;
    struct gavel_writer *head;
    uint64_t before = out->size;
    int32_t status;
    int32_t ended;
    json_t *root;

    if (json.size > GAVEL_CLIENT_MESSAGE)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "%" PRIu64 " bytes of JSON; at most %d", json.size,
                          GAVEL_CLIENT_MESSAGE);
    root = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem);
    if (!root)
        return gavel_fail(error, GAVEL_E_INVALID, "not JSON: %s at line %d, column %d", problem.text, problem.line,
                          problem.column);
    head = codec_writer_begin(&writer, out);
    status = write_json(head, root, 1, error);
    ended = codec_writer_end(&writer, status == GAVEL_OK ? error : NULL);
    json_decref(root);
    if (status == GAVEL_OK)
        status = ended;
    if (status != GAVEL_OK)
        out->size = before;
    return status;
}
