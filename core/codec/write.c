/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.c - structs into documents, by their field tables.
 */
#include "core/codec/field_internal.h"

static int binary(const struct gavel_writer *writer)
{
    return GAVEL_HAS(struct gavel_writer_ops, writer->ops, msgpack) && writer->ops->msgpack;
}

/* CODEC_WRITE_PLAIN: is there anything to say? */
static int is_zero(const struct gavel_field *row, const void *member)
{
    struct gavel_slice slice;
    struct gavel_list list;
    uint64_t word;

    switch (row->type) {
    case GAVEL_STRING:
    case GAVEL_BYTES:
        memcpy(&slice, member, sizeof slice);
        return !slice.data;
    case GAVEL_VALUE:
        memcpy(&slice, member, sizeof slice);
        return !slice.data || slice.size == 0;
    case GAVEL_LIST:
        memcpy(&list, member, sizeof list);
        return list.count == 0;
    case GAVEL_RECORD:
        return codec_fields_count(row->sub, member, CODEC_WRITE_PLAIN) == 0;
    default:
        memcpy(&word, member, sizeof word);
        return word == 0;
    }
}

static int is_written(const struct gavel_field *row, uint64_t number, const void *object, uint32_t flags)
{
    if (!(flags & CODEC_WRITE_PLAIN))
        return gavel_present(object, number);
    return (row->flags & GAVEL_REQUIRED) || !is_zero(row, codec_member_const(object, row));
}

uint64_t codec_fields_count(const struct gavel_fields *fields, const void *object, uint32_t flags)
{
    struct gavel_field copy;
    uint64_t count = 0;
    uint64_t i;

    for (i = 0; fields && i < fields->count; i++)
        count += is_written(codec_row(fields, i, &copy), i, object, flags) ? 1 : 0;
    return count;
}

static void write_number(const struct gavel_field *row, const void *member, uint32_t flags, struct gavel_writer *writer)
{
    uint64_t value;
    int64_t whole;
    double real;

    memcpy(&value, member, sizeof value);
    memcpy(&whole, member, sizeof whole);
    memcpy(&real, member, sizeof real);
    switch (row->type) {
    case GAVEL_BOOL:
        writer->ops->boolean(writer, value);
        break;
    case GAVEL_INT:
        writer->ops->sint(writer, whole);
        break;
    case GAVEL_REAL:
        writer->ops->real(writer, real);
        break;
    case GAVEL_CHOICE:
        if ((flags & CODEC_WRITE_NAMES) && value < codec_choice_count(row)) {
            writer->ops->string(writer, gavel_text(row->choices[value]));
            break;
        }
        writer->ops->uint(writer, value);
        break;
    default:
        writer->ops->uint(writer, value);
        break;
    }
}

static void write_list(const struct gavel_field *row, const void *member, uint32_t flags, struct gavel_writer *writer)
{
    struct gavel_field element = codec_element_row(row);
    struct gavel_list list;
    uint64_t i;

    memcpy(&list, member, sizeof list);
    if (row->sub) {
        element.type = GAVEL_RECORD;
        element.sub = row->sub;
    }
    writer->ops->array(writer, list.count);
    for (i = 0; i < list.count; i++)
        codec_write_member(&element, (const unsigned char *)list.items + i * list.stride, flags, writer);
    writer->ops->end(writer);
}

void codec_write_member(const struct gavel_field *row, const void *member, uint32_t flags, struct gavel_writer *writer)
{
    struct gavel_slice slice;

    switch (row->type) {
    case GAVEL_STRING:
        memcpy(&slice, member, sizeof slice);
        writer->ops->string(writer, slice);
        break;
    case GAVEL_BYTES:
        memcpy(&slice, member, sizeof slice);
        writer->ops->bytes(writer, slice);
        break;
    case GAVEL_VALUE:
        memcpy(&slice, member, sizeof slice);
        codec_put_value(writer, slice);
        break;
    case GAVEL_LIST:
        write_list(row, member, flags, writer);
        break;
    case GAVEL_RECORD:
        codec_fields_write(row->sub, member, flags, writer);
        break;
    default:
        write_number(row, member, binary(writer) ? flags : flags | CODEC_WRITE_NAMES, writer);
        break;
    }
}

void codec_fields_write_rows(const struct gavel_fields *fields, const void *object, uint32_t flags,
                             struct gavel_writer *writer)
{
    struct gavel_field copy;
    uint64_t i;

    for (i = 0; fields && i < fields->count; i++) {
        const struct gavel_field *row = codec_row(fields, i, &copy);
        if (!is_written(row, i, object, flags))
            continue;
        writer->ops->key(writer, gavel_text(row->name), flags & CODEC_WRITE_UNNUMBERED ? 0 : row->id);
        codec_write_member(row, codec_member_const(object, row), flags, writer);
    }
}

void codec_fields_write(const struct gavel_fields *fields, const void *object, uint32_t flags,
                        struct gavel_writer *writer)
{
    writer->ops->map(writer, codec_fields_count(fields, object, flags));
    codec_fields_write_rows(fields, object, flags, writer);
    writer->ops->end(writer);
}
