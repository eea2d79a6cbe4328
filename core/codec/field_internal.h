/* SPDX-License-Identifier: Apache-2.0 */
/*
 * field_internal.h - what the files behind field.h share with each other, and nobody else.
 */
#ifndef GAVEL_CODEC_FIELD_INTERNAL_H
#define GAVEL_CODEC_FIELD_INTERNAL_H

#include "core/codec/field.h"

/* Room for the end of a sentence: " is 12; the greatest is 9". */
#define CODEC_WHY 160

/* Bytes of the member of a row; 0 for an unknown type. */
uint64_t codec_member_size(const struct gavel_field *row);

/* The row of one element of a list of scalars: the element's type at offset 0, without bounds. */
struct gavel_field codec_element_row(const struct gavel_field *list);

/* "a whole number", "text": what a type expects, with its article. */
const char *codec_type_words(uint64_t type);

/* The type with that name, as codec_type_name tells it; 0: none. */
uint64_t codec_type_of(struct gavel_slice name);

/*
 * Check a number or a length against min and max. 0, or GAVEL_E_INVALID (GAVEL_E_TOO_LARGE for a length over max)
 * and "is 12; the greatest is 9" in `why` (CODEC_WHY bytes).
 */
int32_t codec_bounds_uint(const struct gavel_field *row, uint64_t value, char *why);
int32_t codec_bounds_int(const struct gavel_field *row, int64_t value, char *why);
int32_t codec_bounds_real(const struct gavel_field *row, double value, char *why);
int32_t codec_bounds_length(const struct gavel_field *row, uint64_t length, char *why);

/* The position of a choice by name, or CODEC_NO_ROW. */
uint64_t codec_choice(const struct gavel_field *row, struct gavel_slice name);
/* How many choices there are. */
uint64_t codec_choice_count(const struct gavel_field *row);
/* "'x' is none of a, b, c; did you mean 'b'?" into the error; GAVEL_E_INVALID. */
int32_t codec_choice_fail(const struct gavel_field *row, struct gavel_slice name, struct gavel_error *error);

/* codec_field_parse for one row and the address of its member; `present` is the caller's business. */
int32_t codec_parse_member(const struct gavel_field *row, struct gavel_slice text, void *member,
                           struct codec_arena *arena, struct gavel_error *error);

/* Write one member, without a key. */
void codec_write_member(const struct gavel_field *row, const void *member, uint32_t flags, struct gavel_writer *writer);

/* The members of a struct. */
static inline void *codec_member(void *object, const struct gavel_field *row)
{
    return (unsigned char *)object + row->offset;
}

static inline const void *codec_member_const(const void *object, const struct gavel_field *row)
{
    return (const unsigned char *)object + row->offset;
}

static inline void codec_mark(void *object, uint64_t row)
{
    uint64_t present;

    memcpy(&present, object, sizeof present);
    present |= UINT64_C(1) << row;
    memcpy(object, &present, sizeof present);
}

#endif
