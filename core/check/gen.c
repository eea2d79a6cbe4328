/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen.c - values for rows of a field table.
 */
#include "core/check/gen.h"

#include "core/codec/value.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

/* What comes again: names of keys, workflows, accounts. */
static const char *const words[] = {"a", "b", "c", "key/1", "key/2", "import", "color", "x", "A", "alice", "bob", "10"};
#define WORDS (sizeof words / sizeof words[0])

static uint64_t draw(struct gen *gen, uint64_t bound)
{
    return kit_below(&gen->random, bound);
}

static bool one_in(struct gen *gen, uint64_t n)
{
    return draw(gen, n) == 0;
}

static bool bounded(const struct gavel_field *field)
{
    return field->min != 0 || field->max != 0;
}

/* A length within the row's bounds, now and then the least or the greatest. */
static uint64_t length_of(struct gen *gen, const struct gavel_field *field, uint64_t most)
{
    uint64_t least = bounded(field) && field->min > 0 ? (uint64_t)field->min : 0;
    uint64_t greatest = bounded(field) && field->max > 0 && (uint64_t)field->max < most ? (uint64_t)field->max : most;

    if (greatest < least)
        greatest = least;
    if (!gen->plain && one_in(gen, 16))
        return one_in(gen, 4) ? greatest : least;
    if (greatest > least + 24)
        greatest = least + 24;
    return least + draw(gen, greatest - least + 1);
}

/* Valid UTF-8 of about `size` bytes, never more; NUL and other control characters now and then. */
static struct gavel_slice text_of(struct gen *gen, uint64_t size)
{
    static const char *const wide[] = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\xab"};
    uint64_t at = 0;

    while (at < size) {
        uint64_t kind = draw(gen, 24);

        if (kind < 3 && at + strlen(wide[kind]) <= size) {
            memcpy(gen->scratch + at, wide[kind], strlen(wide[kind]));
            at += strlen(wide[kind]);
        } else if (kind == 3 && !gen->plain) {
            gen->scratch[at++] = (unsigned char)draw(gen, 32); /* also U+0000 */
        } else {
            gen->scratch[at++] = (unsigned char)('a' + draw(gen, 26));
        }
    }
    return gavel_bytes(gen->scratch, size);
}

static struct gavel_slice string_of(struct gen *gen, const struct gavel_field *field)
{
    if (!one_in(gen, 3)) {
        struct gavel_slice word = gavel_text(words[draw(gen, WORDS)]);

        if (!bounded(field) ||
            ((int64_t)word.size >= field->min && (field->max == 0 || (int64_t)word.size <= field->max)))
            return word;
    }
    return text_of(gen, length_of(gen, field, one_in(gen, 8) ? GEN_TEXT_MAX : 1024));
}

static struct gavel_slice bytes_of(struct gen *gen, const struct gavel_field *field)
{
    uint64_t size = length_of(gen, field, one_in(gen, 8) ? GEN_TEXT_MAX : 1024);

    for (uint64_t i = 0; i < size; i++)
        gen->scratch[i] = (unsigned char)kit_next(&gen->random);
    return gavel_bytes(gen->scratch, size);
}

static uint64_t uint_of(struct gen *gen, const struct gavel_field *field)
{
    uint64_t least = bounded(field) && field->min > 0 ? (uint64_t)field->min : 0;
    uint64_t greatest = bounded(field) && field->max > 0 ? (uint64_t)field->max : UINT64_MAX;

    if (gen->plain || !one_in(gen, 4))
        greatest = greatest - least > 8 ? least + 8 : greatest;
    else if (one_in(gen, 3))
        return one_in(gen, 2) ? greatest : least;
    return greatest - least == UINT64_MAX ? kit_next(&gen->random) : least + draw(gen, greatest - least + 1);
}

static int64_t int_of(struct gen *gen, const struct gavel_field *field)
{
    int64_t least = bounded(field) ? field->min : INT64_MIN;
    int64_t greatest = bounded(field) ? field->max : INT64_MAX;

    if (gen->plain || !one_in(gen, 4)) {
        least = least < -8 ? -8 : least;
        greatest = greatest > 8 ? 8 : greatest;
        if (least > greatest) /* the bounds lie far from 0 */
            return bounded(field) ? field->min : 0;
    } else if (one_in(gen, 3)) {
        return one_in(gen, 2) ? greatest : least;
    }
    if ((uint64_t)greatest - (uint64_t)least == UINT64_MAX)
        return (int64_t)kit_next(&gen->random);
    return (int64_t)((uint64_t)least + draw(gen, (uint64_t)greatest - (uint64_t)least + 1));
}

static double real_of(struct gen *gen)
{
    static const double extremes[] = {0.0, -0.0, 1.0, -1.5, 0.1, DBL_MAX, -DBL_MAX, DBL_MIN, 5e-324,
                                      9007199254740993.0};

    if (one_in(gen, 2))
        return extremes[draw(gen, gen->plain ? 5 : sizeof extremes / sizeof extremes[0])];
    return (double)(int64_t)draw(gen, 2000) / 8 - 100;
}

void gen_value(struct gen *gen, struct gavel_writer *writer, uint64_t depth)
{
    static const struct gavel_field any = {.name = "any"};
    uint64_t kind = draw(gen, depth ? 12 : 9);
    uint64_t count = draw(gen, 5);

    switch (kind) {
    case 0:
        gavel_put_nil(writer);
        return;
    case 1:
        gavel_put_bool(writer, (int)draw(gen, 2));
        return;
    case 2:
    case 3:
        gavel_put_uint(writer, uint_of(gen, &any));
        return;
    case 4:
        gavel_put_int(writer, int_of(gen, &any));
        return;
    case 5:
        gavel_put_real(writer, real_of(gen));
        return;
    case 6:
        gavel_put_bytes(writer, bytes_of(gen, &any));
        return;
    case 9:
        gavel_put_array(writer, count);
        for (uint64_t i = 0; i < count; i++)
            gen_value(gen, writer, depth - 1);
        gavel_put_end(writer);
        return;
    case 10:
    case 11:
        gavel_put_map(writer, count);
        for (uint64_t i = 0; i < count; i++) {
            gavel_put_key(writer, words[(i * 5 + depth) % WORDS]); /* never the same one twice in a map */
            gen_value(gen, writer, depth - 1);
        }
        gavel_put_end(writer);
        return;
    default:
        gavel_put_string(writer, string_of(gen, &any));
    }
}

/* As deep as a document may be. */
static void deep_value(struct gen *gen, struct gavel_writer *writer)
{
    uint64_t depth = CODEC_DOCUMENT_DEPTH - draw(gen, 2);

    for (uint64_t i = 0; i < depth; i++) {
        if (i % 2)
            gavel_put_map(writer, 1), gavel_put_key(writer, "d");
        else
            gavel_put_array(writer, 1);
    }
    gavel_put_nil(writer);
    for (uint64_t i = 0; i < depth; i++)
        gavel_put_end(writer);
}

static void rows_of(struct gen *gen, const struct gavel_fields *fields, struct gavel_writer *writer);

static void scalar(struct gen *gen, const struct gavel_field *field, uint64_t type, struct gavel_writer *writer)
{
    uint64_t choices = 0;

    switch (type) {
    case GAVEL_BOOL:
        gavel_put_bool(writer, (int)draw(gen, 2));
        return;
    case GAVEL_UINT:
    case GAVEL_DURATION:
    case GAVEL_SIZE:
        gavel_put_uint(writer, uint_of(gen, field));
        return;
    case GAVEL_INT:
        gavel_put_int(writer, int_of(gen, field));
        return;
    case GAVEL_REAL:
        gavel_put_real(writer, real_of(gen));
        return;
    case GAVEL_STRING:
        gavel_put_string(writer, string_of(gen, field));
        return;
    case GAVEL_BYTES:
        gavel_put_bytes(writer, bytes_of(gen, field));
        return;
    case GAVEL_CHOICE:
        while (field->choices && field->choices[choices])
            choices++;
        gavel_put_uint(writer, choices ? draw(gen, choices) : 0);
        return;
    case GAVEL_VALUE:
        if (!gen->plain && one_in(gen, 24))
            deep_value(gen, writer);
        else
            gen_value(gen, writer, draw(gen, 5));
        return;
    default:
        rows_of(gen, field->sub, writer);
    }
}

static void row(struct gen *gen, const struct gavel_field *field, struct gavel_writer *writer)
{
    static const struct gavel_field any = {.name = "any"};
    uint64_t count;

    if (field->type != GAVEL_LIST) {
        scalar(gen, field, field->type, writer);
        return;
    }
    count = length_of(gen, field, gen->plain ? 4 : 64);
    gavel_put_array(writer, count);
    for (uint64_t i = 0; i < count; i++)
        if (field->sub)
            rows_of(gen, field->sub, writer);
        else
            scalar(gen, &any, field->element, writer);
    gavel_put_end(writer);
}

static void rows_of(struct gen *gen, const struct gavel_fields *fields, struct gavel_writer *writer)
{
    bool taken[64] = {false};
    uint64_t count = 0;

    for (uint64_t i = 0; i < fields->count; i++) {
        struct gavel_field copy;
        const struct gavel_field *field = codec_row(fields, i, &copy);

        taken[i] = field->flags & GAVEL_REQUIRED || !one_in(gen, 2);
        if (!gen->plain && field->flags & GAVEL_REQUIRED && one_in(gen, 64))
            taken[i] = false; /* the leader refuses it, or its default is filled in */
        count += taken[i];
    }
    gavel_put_map(writer, count);
    for (uint64_t i = 0; i < fields->count; i++) {
        struct gavel_field copy;
        const struct gavel_field *field = codec_row(fields, i, &copy);

        if (!taken[i])
            continue;
        writer->ops->key(writer, gavel_text(field->name), field->id);
        row(gen, field, writer);
    }
    gavel_put_end(writer);
}

void gen_arguments(struct gen *gen, const struct gavel_fields *fields, struct gavel_writer *writer)
{
    if (fields) {
        rows_of(gen, fields, writer);
        return;
    }
    gavel_put_map(writer, 0);
    gavel_put_end(writer);
}
