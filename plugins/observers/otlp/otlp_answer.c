/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_answer.c - see otlp_answer.h.
 */
#include "otlp_answer.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- protobuf ---------------------------------------------------------------------------------------------------- */

struct bytes {
    const unsigned char *at;
    size_t left;
};

/* A field: its number, and its value as a number or as bytes. */
struct field {
    uint64_t number;
    bool is_bytes;
    uint64_t value;
    struct bytes bytes;
};

static bool read_varint(struct bytes *from, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && from->left; shift += 7) {
        unsigned char byte = *from->at++;

        from->left--;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool skip(struct bytes *from, uint64_t size)
{
    if (size > from->left)
        return false;
    from->at += size;
    from->left -= (size_t)size;
    return true;
}

/* The next field; false at what is none. */
static bool read_field(struct bytes *from, struct field *field)
{
    uint64_t tag;

    memset(field, 0, sizeof *field);
    if (!read_varint(from, &tag) || tag >> 3 == 0)
        return false;
    field->number = tag >> 3;
    switch (tag & 7) {
    case 0:
        return read_varint(from, &field->value);
    case 1:
        return skip(from, 8);
    case 2:
        if (!read_varint(from, &field->value) || field->value > from->left)
            return false;
        field->is_bytes = true;
        field->bytes = (struct bytes){from->at, (size_t)field->value};
        return skip(from, field->value);
    case 5:
        return skip(from, 4);
    default:
        return false;
    }
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static void take_message(struct otlp_answer *answer, const void *data, size_t size)
{
    const unsigned char *from = data;
    size_t used = 0;

    for (size_t i = 0; i < size && used < sizeof answer->message - 1; i++)
        answer->message[used++] = from[i] < 0x20 || from[i] == 0x7f ? ' ' : (char)from[i];
    while (used && answer->message[used - 1] == ' ')
        used--;
    answer->message[used] = 0;
}

static bool parse_partial(struct otlp_answer *answer, struct bytes from)
{
    struct field field;

    while (from.left) {
        if (!read_field(&from, &field))
            return false;
        if (field.number == 1 && !field.is_bytes)
            answer->rejected = field.value;
        if (field.number == 2 && field.is_bytes)
            take_message(answer, field.bytes.at, field.bytes.left);
    }
    return true;
}

static bool parse_response(struct otlp_answer *answer, struct bytes from)
{
    struct field field;

    while (from.left)
        if (!read_field(&from, &field) ||
            (field.number == 1 && field.is_bytes && !parse_partial(answer, field.bytes)))
            return false;
    return true;
}

static bool parse_status(struct otlp_answer *answer, struct bytes from)
{
    struct field field;

    while (from.left) {
        if (!read_field(&from, &field))
            return false;
        if (field.number == 2 && field.is_bytes)
            take_message(answer, field.bytes.at, field.bytes.left);
    }
    return true;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* An int64: a number or a string, says the mapping of protobuf. */
static uint64_t integer_of(const json_t *value)
{
    char *end = NULL;
    long long number = 0;

    if (json_is_integer(value))
        number = json_integer_value(value);
    else if (json_is_string(value))
        number = strtoll(json_string_value(value), &end, 10);
    return number > 0 && (!end || *end == 0) ? (uint64_t)number : 0;
}

static void take_json_message(struct otlp_answer *answer, const json_t *object, const char *name)
{
    const json_t *message = json_object_get(object, name);

    if (json_is_string(message))
        take_message(answer, json_string_value(message), json_string_length(message));
}

static bool parse_json_response(struct otlp_answer *answer, const void *data, size_t size)
{
    static const char *const names[] = {"rejectedDataPoints", "rejectedSpans", "rejectedLogRecords"};
    json_t *root = json_loadb(data, size, 0, NULL);
    const json_t *partial = json_object_get(root, "partialSuccess");
    bool object = json_is_object(root);

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (json_object_get(partial, names[i]))
            answer->rejected = integer_of(json_object_get(partial, names[i]));
    take_json_message(answer, partial, "errorMessage");
    json_decref(root);
    return object;
}

static bool parse_json_status(struct otlp_answer *answer, const void *data, size_t size)
{
    json_t *root = json_loadb(data, size, 0, NULL);
    bool object = json_is_object(root);

    take_json_message(answer, root, "message");
    json_decref(root);
    return object;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

enum otlp_form otlp_form_of(const char *type, enum otlp_form otherwise)
{
    static const struct {
        const char *type;
        enum otlp_form form;
    } types[] = {{"application/x-protobuf", OTLP_FORM_PROTOBUF},
                 {"application/json", OTLP_FORM_JSON},
                 {"text/", OTLP_FORM_TEXT}};

    for (size_t i = 0; type && i < sizeof types / sizeof types[0]; i++)
        if (strncasecmp(type, types[i].type, strlen(types[i].type)) == 0)
            return types[i].form;
    return otherwise;
}

void otlp_answer_success(struct otlp_answer *answer, enum otlp_form form, const void *data, size_t size, uint64_t sent)
{
    memset(answer, 0, sizeof *answer);
    if (size == 0)
        answer->readable = true;
    else if (form == OTLP_FORM_PROTOBUF)
        answer->readable = parse_response(answer, (struct bytes){data, size});
    else if (form == OTLP_FORM_JSON)
        answer->readable = parse_json_response(answer, data, size);
    /* A count below zero is none; one beyond what was sent is a lie. */
    if (!answer->readable || answer->rejected > INT64_MAX)
        answer->rejected = 0;
    if (answer->rejected > sent)
        answer->rejected = sent;
}

void otlp_answer_failure(struct otlp_answer *answer, enum otlp_form form, const void *data, size_t size)
{
    memset(answer, 0, sizeof *answer);
    if (form == OTLP_FORM_PROTOBUF)
        answer->readable = parse_status(answer, (struct bytes){data, size});
    else if (form == OTLP_FORM_JSON)
        answer->readable = parse_json_status(answer, data, size);
    if (!answer->readable)
        take_message(answer, data, size);
}
