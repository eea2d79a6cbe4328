/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_reader.c - JSON by jansson behind the ABI's pull interface. jansson builds a tree; so that a hostile input
 * cannot choose how much memory that takes, nesting and the number of values are counted in the text first, and
 * the tree is then at most some 100 bytes a value.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "js.h"

static struct js_reader *own(struct gavel_reader *reader)
{
    return (struct js_reader *)(void *)reader;
}

/* ---- bounds before memory ---------------------------------------------------------------------------------------- */

/* The index of the quote that ends the string whose first character is at `i`; the size when there is none. */
static uint64_t string_end(const char *at, uint64_t size, uint64_t i)
{
    while (i < size && at[i] != '"')
        i += at[i] == '\\' ? 2 : 1;
    return i < size ? i : size;
}

/* Count what the text could become; jansson says later whether it is JSON at all. */
static int32_t bound_text(struct gavel_slice input, const struct gavel_limits *limits, struct gavel_error *error)
{
    uint64_t depth_max = limits->depth < JS_DEPTH_MAX ? limits->depth : JS_DEPTH_MAX;
    const char *at = input.data;
    uint64_t depth = 0;
    uint64_t items = 1;
    uint64_t i;

    if (input.size > limits->bytes)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "JSON: %llu bytes, at most %llu are taken",
                          (unsigned long long)input.size, (unsigned long long)limits->bytes);
    for (i = 0; i < input.size; i++) {
        if (at[i] == '"') {
            i = string_end(at, input.size, i + 1);
        } else if (at[i] == '[' || at[i] == '{') {
            items++;
            if (++depth > depth_max)
                return gavel_fail(error, GAVEL_E_TOO_LARGE, "JSON byte %llu: nested deeper than %llu",
                                  (unsigned long long)i, (unsigned long long)depth_max);
        } else if (at[i] == ']' || at[i] == '}') {
            depth -= depth > 0;
        } else if (at[i] == ',' || at[i] == ':') {
            items++;
        }
        if (items > limits->items)
            return gavel_fail(error, GAVEL_E_TOO_LARGE, "JSON: more than %llu values",
                              (unsigned long long)limits->items);
    }
    return GAVEL_OK;
}

/* ---- the two special forms --------------------------------------------------------------------------------------- */

static int digit_of(char character)
{
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    return character == '+' ? 62 : character == '/' ? 63 : -1;
}

/* Strict base64 with padding; `out` has room for 3 bytes a group. -1: it is none. */
static int64_t decode_base64(const char *text, uint64_t size, unsigned char *out)
{
    uint64_t padding = 0;
    uint64_t used = 0;
    uint64_t i;

    if (size % 4)
        return -1;
    while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
        padding++;
    for (i = 0; i < size; i += 4) {
        uint32_t group = 0;
        uint64_t real = i + 4 == size ? 4 - padding : 4;
        uint64_t j;
        for (j = 0; j < 4; j++) {
            int digit = j < real ? digit_of(text[i + j]) : 0;
            if (digit < 0)
                return -1;
            group = group << 6 | (uint32_t)digit;
        }
        if ((real == 2 && (group & 0xffff)) || (real == 3 && (group & 0xff)))
            return -1; /* bits that would be lost */
        for (j = 0; j + 1 < real; j++)
            out[used++] = (unsigned char)(group >> (16 - 8 * j));
    }
    return (int64_t)used;
}

static int32_t give_bytes(struct js_reader *reader, const json_t *text, struct gavel_token *token,
                          struct gavel_error *error)
{
    uint64_t size = json_string_length(text);
    int64_t decoded;

    if (!reader->decoded)
        reader->decoded = malloc(reader->decoded_size);
    if (!reader->decoded)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "JSON: memory ran out");
    assert(size / 4 * 3 <= reader->decoded_size - reader->decoded_used);
    decoded = decode_base64(json_string_value(text), size, reader->decoded + reader->decoded_used);
    if (decoded < 0)
        return gavel_fail(error, GAVEL_E_INVALID, "JSON: the text of a \"$base64\" is not base64 with padding");
    token->type = GAVEL_TOKEN_BYTES;
    token->text = gavel_bytes(reader->decoded + reader->decoded_used, (uint64_t)decoded);
    reader->decoded_used += (uint64_t)decoded;
    return GAVEL_OK;
}

static int32_t give_uint(const json_t *text, struct gavel_token *token, struct gavel_error *error)
{
    const char *at = json_string_value(text);
    uint64_t size = json_string_length(text);
    uint64_t value = 0;
    uint64_t i;
    int bad = size == 0 || (size > 1 && at[0] == '0');

    for (i = 0; i < size && !bad; i++)
        bad = at[i] < '0' || at[i] > '9' || __builtin_mul_overflow(value, UINT64_C(10), &value) ||
              __builtin_add_overflow(value, (uint64_t)(at[i] - '0'), &value);
    if (bad)
        return gavel_fail(error, GAVEL_E_INVALID, "JSON: the text of a \"$uint\" is not a whole number of 64 bits");
    token->type = GAVEL_TOKEN_UINT;
    token->uint = value;
    return GAVEL_OK;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static void push(struct js_reader *reader, json_t *container)
{
    assert(reader->depth < JS_DEPTH_MAX); /* bound_text has counted */
    reader->level[reader->depth].container = container;
    reader->level[reader->depth].iterator = json_is_object(container) ? json_object_iter(container) : NULL;
    reader->level[reader->depth].index = 0;
    reader->level[reader->depth].value = 0;
    reader->depth++;
}

static int32_t give_object(struct js_reader *reader, json_t *object, struct gavel_token *token,
                           struct gavel_error *error)
{
    json_t *bytes = json_object_get(object, "$base64");
    json_t *number = json_object_get(object, "$uint");

    if (bytes || number) {
        if (json_object_size(object) != 1 || !json_is_string(bytes ? bytes : number))
            return gavel_fail(error, GAVEL_E_INVALID,
                              "JSON: \"%s\" stands alone in its object, with a string; "
                              "a key of that name is written \"$%s\"",
                              bytes ? "$base64" : "$uint", bytes ? "$base64" : "$uint");
        return bytes ? give_bytes(reader, bytes, token, error) : give_uint(number, token, error);
    }
    token->type = GAVEL_TOKEN_MAP;
    token->count = json_object_size(object);
    push(reader, object);
    return GAVEL_OK;
}

static int32_t give(struct js_reader *reader, json_t *value, struct gavel_token *token, struct gavel_error *error)
{
    json_int_t whole;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return give_object(reader, value, token, error);
    case JSON_ARRAY:
        token->type = GAVEL_TOKEN_ARRAY;
        token->count = json_array_size(value);
        push(reader, value);
        break;
    case JSON_STRING:
        token->type = GAVEL_TOKEN_STRING;
        token->text = gavel_bytes(json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        whole = json_integer_value(value);
        token->type = whole < 0 ? GAVEL_TOKEN_INT : GAVEL_TOKEN_UINT;
        if (whole < 0)
            token->sint = whole;
        else
            token->uint = (uint64_t)whole;
        break;
    case JSON_REAL:
        token->type = GAVEL_TOKEN_REAL;
        token->real = json_real_value(value);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        token->type = GAVEL_TOKEN_BOOL;
        token->uint = json_is_true(value);
        break;
    default:
        token->type = GAVEL_TOKEN_NIL;
        break;
    }
    return GAVEL_OK;
}

/* The next of an object: a key, the value behind it, or the end. */
static int32_t next_of_object(struct js_reader *reader, struct gavel_token *token, struct gavel_error *error)
{
    uint32_t level = reader->depth - 1;
    json_t *object = reader->level[level].container;
    void *iterator = reader->level[level].iterator;
    const char *key;

    if (!iterator) {
        reader->depth--;
        token->type = GAVEL_TOKEN_END;
        return GAVEL_OK;
    }
    if (reader->level[level].value) {
        reader->level[level].value = 0;
        reader->level[level].iterator = json_object_iter_next(object, iterator);
        return give(reader, json_object_iter_value(iterator), token, error);
    }
    reader->level[level].value = 1;
    key = json_object_iter_key(iterator);
    token->type = GAVEL_TOKEN_KEY;
    token->uint = 0;
    token->text = gavel_text(key);
    if (js_key_special(token->text))
        token->text = gavel_text(key + 1); /* it has more than one '$', or give_object would have taken it */
    return GAVEL_OK;
}

static int32_t next(struct gavel_reader *generic, struct gavel_token *token, struct gavel_error *error)
{
    struct js_reader *reader = own(generic);
    uint32_t level;
    json_t *array;

    if (reader->depth == 0) {
        if (reader->finished == 2)
            return gavel_fail(error, GAVEL_E_INVALID, "read beyond the end of the input");
        if (reader->finished++ == 0)
            return give(reader, reader->root, token, error);
        token->type = GAVEL_TOKEN_FINISH;
        return GAVEL_OK;
    }
    level = reader->depth - 1;
    array = reader->level[level].container;
    if (json_is_object(array))
        return next_of_object(reader, token, error);
    if (reader->level[level].index == json_array_size(array)) {
        reader->depth--;
        token->type = GAVEL_TOKEN_END;
        return GAVEL_OK;
    }
    return give(reader, json_array_get(array, reader->level[level].index++), token, error);
}

static const struct gavel_reader_ops reader_ops = {
    .size = GAVEL_END(struct gavel_reader_ops, msgpack),
    .next = next,
};

/* False when memory ran out; a fault of the text is told by jansson. */
static int load(struct js_reader *reader, struct gavel_slice input, json_error_t *why)
{
    if (reader->own_heap && setjmp(reader->heap.out)) {
        js_heap_leave();
        js_heap_free(&reader->heap);
        return 0;
    }
    if (reader->own_heap)
        js_heap_enter(&reader->heap);
    reader->root = json_loadb(input.data ? input.data : "", input.size,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, why);
    js_heap_leave();
    return 1;
}

int32_t js_reader_init(struct js_reader *reader, struct gavel_slice input, const struct gavel_limits *limits,
                       struct gavel_error *error)
{
    json_error_t why;
    int32_t status = bound_text(input, limits, error);

    if (status != GAVEL_OK)
        return status;
    reader->head.ops = &reader_ops;
    reader->decoded = NULL;
    reader->decoded_used = 0;
    reader->decoded_size = input.size + 1;
    reader->depth = 0;
    reader->finished = 0;
    reader->heap.newest = NULL;
    reader->heap.used = 0;
    reader->own_heap = js_heap_installed();
    if (!load(reader, input, &why))
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to read JSON of %llu bytes",
                          (unsigned long long)input.size);
    if (reader->root)
        return GAVEL_OK;
    js_heap_free(&reader->heap);
    status = json_error_code(&why) == json_error_out_of_memory ? GAVEL_E_NO_MEMORY : GAVEL_E_INVALID;
    return gavel_fail(error, status, "JSON line %d, column %d: %s", why.line, why.column, why.text);
}

void js_reader_free(struct js_reader *reader)
{
    if (reader->own_heap)
        js_heap_free(&reader->heap);
    else
        json_decref(reader->root);
    free(reader->decoded);
    reader->root = NULL;
    reader->decoded = NULL;
}
