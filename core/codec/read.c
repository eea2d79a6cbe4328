/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read.c - documents into structs: the way of every message and of every command's arguments. What can go wrong is
 * said with the field's name and path; nothing is filled in by halves that a caller could take for the whole: on
 * an error the struct is not to be used.
 */
#include <assert.h>
#include <inttypes.h>

#include "core/codec/field_internal.h"

/* What all levels of one read share. */
struct read {
    const struct codec_read *how;
    struct gavel_reader *reader;
    struct codec_arena *arena;
    struct gavel_error *error;
};

/* Where we are, for sentences only: a field, or an element of a list. */
struct place {
    const struct place *parent;
    const char *name; /* NULL: element number `index` of the parent */
    uint64_t index;
};

/* ---- sentences --------------------------------------------------------------------------------------------------- */

static void path(const struct place *place, char *text, size_t size)
{
    size_t used;

    if (!place) {
        text[0] = 0;
        return;
    }
    path(place->parent, text, size);
    used = strlen(text);
    if (place->name)
        (void)snprintf(text + used, size - used, "%s%s", used ? "." : "", place->name);
    else
        (void)snprintf(text + used, size - used, "[%" PRIu64 "]", place->index);
}

/* "argument 'items[3].key' of workflow.batch <what>" */
static int32_t fail(const struct read *read, const struct place *place, int32_t code, const char *what)
{
    char name[160];

    if (!read->error)
        return code;
    path(place, name, sizeof name);
    return gavel_fail(read->error, code, "%s '%s' of %s %s", read->how->noun, name, read->how->owner, what);
}

static const char *token_words(uint64_t type)
{
    switch (type) {
    case GAVEL_TOKEN_MAP:
        return "a map";
    case GAVEL_TOKEN_ARRAY:
        return "an array";
    case GAVEL_TOKEN_NIL:
        return "null";
    case GAVEL_TOKEN_BOOL:
        return "true or false";
    case GAVEL_TOKEN_UINT:
        return "a whole number";
    case GAVEL_TOKEN_INT:
        return "a negative number";
    case GAVEL_TOKEN_REAL:
        return "a number with a fraction";
    case GAVEL_TOKEN_STRING:
        return "a string";
    case GAVEL_TOKEN_BYTES:
        return "bytes";
    default:
        return "nothing";
    }
}

static int32_t wrong_type(const struct read *read, const struct place *place, const struct gavel_field *row,
                          const struct gavel_token *token)
{
    char what[160];

    (void)snprintf(what, sizeof what, "must be %s, not %s", codec_type_words(row->type), token_words(token->type));
    return fail(read, place, GAVEL_E_INVALID, what);
}

static int32_t unknown(const struct read *read, const struct gavel_fields *fields, const struct place *place,
                       const struct gavel_token *key)
{
    struct codec_nearest nearest = {.wanted = key->text};
    struct gavel_field copy;
    char where[160];
    char hint[128];
    uint64_t i;

    if (!read->error)
        return GAVEL_E_INVALID;
    path(place, where, sizeof where);
    if (!key->text.data)
        return gavel_fail(read->error, GAVEL_E_INVALID, "unknown %s number %" PRIu64 " of %s%s%s", read->how->noun,
                          key->uint, read->how->owner, place ? " in " : "", where);
    for (i = 0; fields && i < fields->count; i++)
        codec_nearest_offer(&nearest, gavel_text(codec_row(fields, i, &copy)->name));
    return gavel_fail(read->error, GAVEL_E_INVALID, "unknown %s '%.*s' of %s%s%s%s", read->how->noun,
                      (int)(key->text.size < 64 ? key->text.size : 64), (const char *)key->text.data, read->how->owner,
                      place ? " in " : "", where, codec_nearest_text(&nearest, hint, sizeof hint));
}

static int32_t no_room(const struct read *read, const struct place *place)
{
    return fail(read, place, GAVEL_E_TOO_LARGE, "is too large: the memory set aside for one message is full");
}

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

/* A slice that stays valid: tokens inside the input do, others are copied. */
static int32_t keep(const struct read *read, const struct place *place, struct gavel_slice text, void *member)
{
    uintptr_t begin = (uintptr_t)read->how->input.data;
    uintptr_t at = (uintptr_t)text.data;
    struct gavel_slice kept = text;

    if (!read->how->input.data || at < begin || at - begin > read->how->input.size)
        if (codec_arena_copy(read->arena, text, &kept) != GAVEL_OK)
            return no_room(read, place);
    memcpy(member, &kept, sizeof kept);
    return GAVEL_OK;
}

static int32_t read_text(const struct read *read, const struct place *place, const struct gavel_field *row,
                         const struct gavel_token *token, void *member)
{
    char why[CODEC_WHY];
    int32_t status;
    int strict = (read->how->flags & CODEC_READ_STRICT) != 0;
    int fits = row->type == GAVEL_STRING ? token->type == GAVEL_TOKEN_STRING
                                         : token->type == GAVEL_TOKEN_BYTES ||
                                               (token->type == GAVEL_TOKEN_STRING && !strict);

    if (!fits)
        return wrong_type(read, place, row, token);
    status = codec_bounds_length(row, token->text.size, why);
    return status == GAVEL_OK ? keep(read, place, token->text, member) : fail(read, place, status, why);
}

/* UINT, DURATION, SIZE; the latter two also as text. */
static int32_t read_whole(const struct read *read, const struct place *place, const struct gavel_field *row,
                          const struct gavel_token *token, void *member)
{
    struct gavel_error inner;
    char why[CODEC_WHY];
    uint64_t value = token->uint;
    int32_t status = GAVEL_OK;

    if (token->type == GAVEL_TOKEN_STRING && row->type != GAVEL_UINT && !(read->how->flags & CODEC_READ_STRICT)) {
        status = row->type == GAVEL_DURATION ? codec_parse_duration(token->text, &value, &inner)
                                             : codec_parse_size(token->text, &value, &inner);
        if (status != GAVEL_OK) {
            (void)snprintf(why, sizeof why, "is wrong: %.140s", inner.text);
            return fail(read, place, status, why);
        }
    } else if (token->type != GAVEL_TOKEN_UINT) {
        return wrong_type(read, place, row, token);
    }
    status = codec_bounds_uint(row, value, why);
    if (status != GAVEL_OK)
        return fail(read, place, status, why);
    memcpy(member, &value, sizeof value);
    return GAVEL_OK;
}

static int32_t read_int(const struct read *read, const struct place *place, const struct gavel_field *row,
                        const struct gavel_token *token, void *member)
{
    char why[CODEC_WHY];
    int64_t value = token->sint;
    int32_t status;

    if (token->type == GAVEL_TOKEN_UINT) {
        if (token->uint > INT64_MAX)
            return fail(read, place, GAVEL_E_INVALID, "is over the greatest signed number of 64 bits");
        value = (int64_t)token->uint;
    } else if (token->type != GAVEL_TOKEN_INT) {
        return wrong_type(read, place, row, token);
    }
    status = codec_bounds_int(row, value, why);
    if (status != GAVEL_OK)
        return fail(read, place, status, why);
    memcpy(member, &value, sizeof value);
    return GAVEL_OK;
}

static int32_t read_real(const struct read *read, const struct place *place, const struct gavel_field *row,
                         const struct gavel_token *token, void *member)
{
    char why[CODEC_WHY];
    double value;
    int32_t status;

    if (token->type == GAVEL_TOKEN_REAL)
        value = token->real;
    else if (token->type == GAVEL_TOKEN_UINT)
        value = (double)token->uint;
    else if (token->type == GAVEL_TOKEN_INT)
        value = (double)token->sint;
    else
        return wrong_type(read, place, row, token);
    status = codec_bounds_real(row, value, why);
    if (status != GAVEL_OK)
        return fail(read, place, status, why);
    memcpy(member, &value, sizeof value);
    return GAVEL_OK;
}

static int32_t read_choice(const struct read *read, const struct place *place, const struct gavel_field *row,
                           const struct gavel_token *token, void *member)
{
    struct gavel_error inner;
    char why[300];
    uint64_t value = token->uint;
    int strict = (read->how->flags & CODEC_READ_STRICT) != 0;

    if (token->type == GAVEL_TOKEN_STRING && !strict) {
        value = codec_choice(row, token->text);
        if (value == CODEC_NO_ROW) {
            (void)codec_choice_fail(row, token->text, &inner);
            (void)snprintf(why, sizeof why, "is wrong: %.280s", inner.text);
            return fail(read, place, GAVEL_E_INVALID, why);
        }
    } else if (token->type != GAVEL_TOKEN_UINT) {
        return wrong_type(read, place, row, token);
    } else if (value >= codec_choice_count(row)) {
        return fail(read, place, strict ? GAVEL_E_VERSION : GAVEL_E_INVALID, "is a choice that is not known here");
    }
    memcpy(member, &value, sizeof value);
    return GAVEL_OK;
}

/* ---- documents --------------------------------------------------------------------------------------------------- */

/* A document as MessagePack in the arena, from a reader of another format. */
static int32_t transcode(const struct read *read, const struct place *place, struct gavel_slice *value)
{
    struct codec_arena *arena = read->arena;
    struct mp_writer writer;
    struct gavel_buffer out;
    int32_t status;

    if (arena->size == arena->used)
        return no_room(read, place);
    out = codec_buffer_fixed(arena->data + arena->used, arena->size - arena->used);
    status = codec_copy_value(read->reader, mp_writer_init(&writer, &out), read->error);
    if (status != GAVEL_OK)
        return status;
    status = mp_writer_end(&writer, NULL);
    if (status == GAVEL_E_TOO_LARGE)
        return no_room(read, place);
    if (status != GAVEL_OK)
        return fail(read, place, status, "cannot be kept as a document");
    arena->used += out.size;
    *value = gavel_buffer_slice(&out);
    return GAVEL_OK;
}

/* What users store: named keys, a bounded depth, and the canonical form. */
static int32_t make_document(const struct read *read, const struct place *place, struct gavel_slice *value)
{
    static const struct gavel_limits limits = {GAVEL_END(struct gavel_limits, items), CODEC_DOCUMENT_DEPTH, UINT64_MAX,
                                               UINT64_MAX};
    struct codec_arena *arena = read->arena;
    struct gavel_error inner;
    struct gavel_buffer out;
    char why[300];
    int32_t status;

    if (mp_scan(*value, &limits, MP_NAMED_KEYS | MP_CANONICAL, NULL) == GAVEL_OK)
        return GAVEL_OK;
    status = mp_scan(*value, &limits, MP_NAMED_KEYS, &inner);
    if (status != GAVEL_OK) {
        (void)snprintf(why, sizeof why, "is not a document: %.260s", inner.text);
        return fail(read, place, status, why);
    }
    if (arena->size == arena->used)
        return no_room(read, place);
    out = codec_buffer_fixed(arena->data + arena->used, arena->size - arena->used);
    status = mp_canonical(*value, &out, NULL);
    if (status == GAVEL_E_TOO_LARGE)
        return no_room(read, place);
    if (status != GAVEL_OK)
        return fail(read, place, status, "cannot be sorted: memory ran out");
    arena->used += out.size;
    *value = gavel_buffer_slice(&out);
    return GAVEL_OK;
}

static int32_t read_value(const struct read *read, const struct place *place, const struct gavel_field *row,
                          void *member)
{
    const struct gavel_reader_ops *ops = read->reader->ops;
    struct gavel_slice value;
    char why[CODEC_WHY];
    int32_t status;

    if (GAVEL_HAS(struct gavel_reader_ops, ops, msgpack) && ops->msgpack)
        status = ops->msgpack(read->reader, &value, read->error);
    else
        status = transcode(read, place, &value);
    if (status == GAVEL_OK && (read->how->flags & CODEC_READ_DOCUMENTS))
        status = make_document(read, place, &value);
    if (status != GAVEL_OK)
        return status;
    status = codec_bounds_length(row, value.size, why);
    if (status != GAVEL_OK)
        return fail(read, place, status, why);
    memcpy(member, &value, sizeof value);
    return GAVEL_OK;
}

/* ---- lists, records, maps ---------------------------------------------------------------------------------------- */

static int32_t read_map(const struct read *read, const struct gavel_fields *fields, const struct place *place,
                        void *object);
static int32_t read_member(const struct read *read, const struct place *place, const struct gavel_field *row,
                           void *member, int *given);

/* One element; nil is none. */
static int32_t read_element(const struct read *read, const struct place *place, const struct gavel_field *row,
                            void *member)
{
    int given = 0;
    int32_t status = read_member(read, place, row, member, &given);

    if (status == GAVEL_OK && !given)
        return fail(read, place, GAVEL_E_INVALID, "must not be null");
    return status;
}

static int32_t read_list(const struct read *read, const struct place *place, const struct gavel_field *row,
                         const struct gavel_token *token, void *member)
{
    struct gavel_field element = codec_element_row(row);
    struct gavel_list list = {.count = token->count};
    struct gavel_token end;
    unsigned char *items;
    char why[CODEC_WHY];
    uint64_t bytes;
    uint64_t i;
    int32_t status;

    if (token->type != GAVEL_TOKEN_ARRAY)
        return wrong_type(read, place, row, token);
    if (row->sub) {
        element.type = GAVEL_RECORD;
        element.sub = row->sub;
    }
    list.stride = codec_member_size(&element);
    status = codec_bounds_length(row, list.count, why);
    if (status != GAVEL_OK)
        return fail(read, place, status, why);
    if (__builtin_mul_overflow(list.count, list.stride, &bytes)) /* also GAVEL_COUNT_UNKNOWN */
        return no_room(read, place);
    items = codec_arena_take(read->arena, bytes, 8);
    if (!items)
        return no_room(read, place);
    list.items = items;
    for (i = 0; i < list.count; i++) {
        struct place here = {.parent = place, .index = i};
        status = read_element(read, &here, &element, items + i * list.stride);
        if (status != GAVEL_OK)
            return status;
    }
    status = read->reader->ops->next(read->reader, &end, read->error);
    if (status != GAVEL_OK)
        return status;
    if (end.type != GAVEL_TOKEN_END)
        return fail(read, place, GAVEL_E_INVALID, "does not end where it should");
    memcpy(member, &list, sizeof list);
    return GAVEL_OK;
}

static int32_t read_member(const struct read *read, const struct place *place, const struct gavel_field *row,
                           void *member, int *given)
{
    struct gavel_token token;
    int32_t status;

    *given = 1;
    if (row->type == GAVEL_VALUE)
        return read_value(read, place, row, member);
    status = read->reader->ops->next(read->reader, &token, read->error);
    if (status != GAVEL_OK)
        return status;
    if (token.type == GAVEL_TOKEN_NIL && !(read->how->flags & CODEC_READ_STRICT)) {
        *given = 0;
        return GAVEL_OK;
    }
    switch (row->type) {
    case GAVEL_STRING:
    case GAVEL_BYTES:
        return read_text(read, place, row, &token, member);
    case GAVEL_UINT:
    case GAVEL_DURATION:
    case GAVEL_SIZE:
        return read_whole(read, place, row, &token, member);
    case GAVEL_INT:
        return read_int(read, place, row, &token, member);
    case GAVEL_REAL:
        return read_real(read, place, row, &token, member);
    case GAVEL_CHOICE:
        return read_choice(read, place, row, &token, member);
    case GAVEL_LIST:
        return read_list(read, place, row, &token, member);
    case GAVEL_RECORD:
        return token.type == GAVEL_TOKEN_MAP ? read_map(read, row->sub, place, member)
                                             : wrong_type(read, place, row, &token);
    default:
        if (token.type != GAVEL_TOKEN_BOOL)
            return wrong_type(read, place, row, &token);
        memcpy(member, &token.uint, sizeof token.uint);
        return GAVEL_OK;
    }
}

/* The row of a key; most maps come in the table's order, so `guess` is tried first. */
static uint64_t find_row(const struct gavel_fields *fields, const struct gavel_token *key, uint64_t guess, int strict)
{
    struct gavel_field copy;
    const struct gavel_field *row;

    if (key->text.data && strict)
        return CODEC_NO_ROW;
    if (fields && guess < fields->count) {
        row = codec_row(fields, guess, &copy);
        if (key->text.data ? gavel_slice_equal(gavel_text(row->name), key->text) : row->id == key->uint)
            return guess;
    }
    return key->text.data ? codec_row_named(fields, key->text) : codec_row_numbered(fields, key->uint);
}

/* A key that is in no table. */
static int32_t read_unknown(const struct read *read, const struct gavel_fields *fields, const struct place *place,
                            const struct gavel_token *key)
{
    int32_t status;

    if (read->how->flags & CODEC_READ_UNKNOWN)
        return codec_skip_value(read->reader, read->error);
    status = unknown(read, fields, place, key);
    if ((read->how->flags & CODEC_READ_STRICT) && !key->text.data) {
        status = GAVEL_E_VERSION;
        if (read->error)
            read->error->code = status;
    }
    return status;
}

/* Defaults of what was not given, and what is still missing. */
static int32_t complete(const struct read *read, const struct gavel_fields *fields, const struct place *place,
                        void *object)
{
    struct gavel_field copy;
    uint64_t i;
    int32_t status;

    if (!(read->how->flags & (CODEC_READ_DEFAULTS | CODEC_READ_REQUIRED)))
        return GAVEL_OK;
    for (i = 0; fields && i < fields->count; i++) {
        const struct gavel_field *row = codec_row(fields, i, &copy);
        struct place here = {.parent = place, .name = row->name};
        if (gavel_present(object, i))
            continue;
        if (row->fallback && (read->how->flags & CODEC_READ_DEFAULTS)) {
            status = codec_field_parse(fields, i, gavel_text(row->fallback), object, read->arena, NULL);
            if (status != GAVEL_OK)
                return fail(read, &here, status, "has a default for which there is no room");
        } else if ((row->flags & GAVEL_REQUIRED) && (read->how->flags & CODEC_READ_REQUIRED)) {
            return fail(read, &here, GAVEL_E_INVALID, "is missing");
        }
    }
    return GAVEL_OK;
}

/* The MAP token has been taken. */
static int32_t read_map(const struct read *read, const struct gavel_fields *fields, const struct place *place,
                        void *object)
{
    int strict = (read->how->flags & CODEC_READ_STRICT) != 0;
    struct gavel_field copy;
    struct gavel_token key;
    uint64_t guess = 0;
    int32_t status;

    if (fields)
        memset(object, 0, fields->struct_size);
    for (;;) {
        uint64_t row;
        int given = 0;
        status = read->reader->ops->next(read->reader, &key, read->error);
        if (status != GAVEL_OK)
            return status;
        if (key.type == GAVEL_TOKEN_END)
            break;
        if (key.type != GAVEL_TOKEN_KEY)
            return gavel_fail(read->error, GAVEL_E_INVALID, "the serializer gave no key where one must be");
        row = find_row(fields, &key, guess, strict);
        if (row == CODEC_NO_ROW) {
            status = read_unknown(read, fields, place, &key);
        } else {
            const struct gavel_field *field = codec_row(fields, row, &copy);
            struct place here = {.parent = place, .name = field->name};
            if (gavel_present(object, row))
                return fail(read, &here, GAVEL_E_INVALID, "is given twice");
            status = read_member(read, &here, field, codec_member(object, field), &given);
            if (status == GAVEL_OK && given)
                codec_mark(object, row);
            guess = row + 1;
        }
        if (status != GAVEL_OK)
            return status;
    }
    return complete(read, fields, place, object);
}

int32_t codec_fields_read(const struct gavel_fields *fields, struct gavel_reader *reader, const struct codec_read *how,
                          void *object, struct codec_arena *arena, struct gavel_error *error)
{
    struct read read = {.how = how, .reader = reader, .arena = arena, .error = error};
    struct gavel_token token;
    int32_t status;

    assert(how->noun);
    assert(how->owner);
    if (!(how->flags & CODEC_READ_BEGUN)) {
        status = reader->ops->next(reader, &token, error);
        if (status != GAVEL_OK)
            return status;
        if (token.type != GAVEL_TOKEN_MAP)
            return gavel_fail(error, GAVEL_E_INVALID, "the %ss of %s must be a map, not %s", how->noun, how->owner,
                              token_words(token.type));
    }
    return read_map(&read, fields, NULL, object);
}
