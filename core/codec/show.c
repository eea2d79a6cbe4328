/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show.c - members of a struct as text again, in the syntax that parse.c takes: --print-config and messages.
 */
#include <inttypes.h>

#include "core/codec/field_internal.h"

static int32_t put(struct gavel_buffer *out, const char *text)
{
    return gavel_buffer_append(out, text, strlen(text));
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* The largest unit that divides the number. */
static int32_t put_unit(uint64_t value, const struct unit *units, struct gavel_buffer *out)
{
    char text[40];

    while (units->factor > 1 && (value == 0 || value % units->factor))
        units++;
    (void)snprintf(text, sizeof text, "%" PRIu64 "%s", value / units->factor, units->name);
    return put(out, text);
}

static int32_t put_member(const struct gavel_field *row, const void *member, struct gavel_buffer *out);

static int32_t put_list(const struct gavel_field *row, const void *member, struct gavel_buffer *out)
{
    struct gavel_field element = codec_element_row(row);
    struct gavel_list list;
    uint64_t i;
    int32_t status = GAVEL_OK;

    memcpy(&list, member, sizeof list);
    for (i = 0; i < list.count && status == GAVEL_OK; i++) {
        if (i)
            status = put(out, ", ");
        if (status == GAVEL_OK && row->sub)
            status = put(out, "{...}");
        else if (status == GAVEL_OK)
            status = put_member(&element, (const unsigned char *)list.items + i * list.stride, out);
    }
    return status;
}

static int32_t put_number(const struct gavel_field *row, const void *member, struct gavel_buffer *out)
{
    static const struct unit durations[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    static const struct unit sizes[] = {
        {"GiB", UINT64_C(1) << 30}, {"MiB", UINT64_C(1) << 20}, {"KiB", UINT64_C(1) << 10}, {"", 1}};
    uint64_t value;
    int64_t whole;
    double real;
    char text[40];

    memcpy(&value, member, sizeof value);
    memcpy(&whole, member, sizeof whole);
    memcpy(&real, member, sizeof real);
    switch (row->type) {
    case GAVEL_BOOL:
        return put(out, value ? "yes" : "no");
    case GAVEL_DURATION:
        return put_unit(value, durations, out);
    case GAVEL_SIZE:
        return put_unit(value, sizes, out);
    case GAVEL_CHOICE:
        return value < codec_choice_count(row) ? put(out, row->choices[value]) : GAVEL_E_INVALID;
    case GAVEL_INT:
        (void)snprintf(text, sizeof text, "%" PRId64, whole);
        break;
    case GAVEL_REAL:
        (void)snprintf(text, sizeof text, "%.15g", real);
        break;
    default:
        (void)snprintf(text, sizeof text, "%" PRIu64, value);
        break;
    }
    return put(out, text);
}

static int32_t put_member(const struct gavel_field *row, const void *member, struct gavel_buffer *out)
{
    struct gavel_slice slice;

    switch (row->type) {
    case GAVEL_STRING:
    case GAVEL_BYTES:
        memcpy(&slice, member, sizeof slice);
        return gavel_buffer_append(out, slice.data, slice.size);
    case GAVEL_VALUE:
        memcpy(&slice, member, sizeof slice);
        return codec_value_text(slice, 0, out);
    case GAVEL_LIST:
        return put_list(row, member, out);
    case GAVEL_RECORD:
        return put(out, "{...}");
    default:
        return put_number(row, member, out);
    }
}

int32_t codec_field_text(const struct gavel_fields *fields, uint64_t row, const void *object, struct gavel_buffer *out)
{
    struct gavel_field copy;
    const struct gavel_field *field = codec_row(fields, row, &copy);

    if (!gavel_present(object, row))
        return GAVEL_OK;
    if (field->flags & GAVEL_SECRET)
        return put(out, "***");
    return put_member(field, codec_member_const(object, field), out);
}
