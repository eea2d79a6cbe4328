/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mp_writer.c - the writer: msgpack-c's packer (which always takes the shortest form) behind the ABI's interface, with
 * the nesting checked and errors that stick. What is one byte and what follows it is written without the packer.
 */
#include <assert.h>
#include <math.h>
#include <msgpack/pack.h>

#include "mp_head.h"

#define EMBEDDED_DEPTH 40

static struct mp_writer *own(struct gavel_writer *writer)
{
    return (struct mp_writer *)(void *)writer;
}

/* The packer's way out. */
static int append(void *data, const char *bytes, size_t size)
{
    struct mp_writer *writer = data;

    if (writer->status == GAVEL_OK)
        writer->status = gavel_buffer_append(writer->out, bytes, size);
    return writer->status == GAVEL_OK ? 0 : -1;
}

static msgpack_packer packer(struct mp_writer *writer)
{
    msgpack_packer packer_ = {.data = writer, .callback = append};

    return packer_;
}

/* The short forms, which nearly everything has, without the packer: one byte that says all, and what follows it. */
static void put_short(struct mp_writer *writer, uint64_t first, const void *bytes, uint64_t size)
{
    struct gavel_buffer *out = writer->out;

    writer->status = gavel_buffer_reserve(out, 1 + size);
    if (writer->status != GAVEL_OK)
        return;
    out->data[out->size] = (unsigned char)first;
    if (size)
        memcpy(out->data + out->size + 1, bytes, size);
    out->size += 1 + size;
}

static void put_number(struct mp_writer *writer, uint64_t value)
{
    msgpack_packer p = packer(writer);

    if (value < 128)
        put_short(writer, value, NULL, 0);
    else
        (void)msgpack_pack_uint64(&p, value);
}

/* 1 when a value may come here; takes note of it. */
static int value_here(struct mp_writer *writer)
{
    if (writer->status != GAVEL_OK)
        return 0;
    if (writer->depth == 0) {
        if (writer->values++ == 0)
            return 1;
    } else {
        uint64_t left = writer->level[writer->depth - 1].left;
        if (left > 0 && !(writer->level[writer->depth - 1].map && left % 2 == 0)) {
            writer->level[writer->depth - 1].left--;
            return 1;
        }
    }
    writer->status = GAVEL_E_INVALID;
    return 0;
}

static void open_level(struct mp_writer *writer, uint64_t count, uint64_t map)
{
    msgpack_packer p = packer(writer);

    if (!value_here(writer))
        return;
    if (count > UINT32_MAX / 2 || writer->depth == MP_DEPTH_MAX) {
        writer->status = GAVEL_E_TOO_LARGE;
        return;
    }
    if (count < 16)
        put_short(writer, (map ? 0x80 : 0x90) + count, NULL, 0);
    else if (map)
        (void)msgpack_pack_map(&p, count);
    else
        (void)msgpack_pack_array(&p, count);
    writer->level[writer->depth].left = map ? count * 2 : count;
    writer->level[writer->depth].map = map;
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
    struct mp_writer *writer = own(generic);

    if (writer->status != GAVEL_OK)
        return;
    if (writer->depth == 0 || writer->level[writer->depth - 1].left != 0)
        writer->status = GAVEL_E_INVALID;
    else
        writer->depth--;
}

static void pack_string(struct mp_writer *writer, struct gavel_slice utf8)
{
    msgpack_packer p = packer(writer);

    if (utf8.size > UINT32_MAX) {
        writer->status = GAVEL_E_TOO_LARGE;
    } else if (!mp_utf8(utf8.data, utf8.size)) {
        writer->status = GAVEL_E_INVALID;
    } else if (utf8.size < 32) {
        put_short(writer, 0xa0 + utf8.size, utf8.data, utf8.size);
    } else {
        (void)msgpack_pack_str(&p, utf8.size);
        (void)msgpack_pack_str_body(&p, utf8.data, utf8.size);
    }
}

static void put_key(struct gavel_writer *generic, struct gavel_slice name, uint64_t number)
{
    struct mp_writer *writer = own(generic);
    uint64_t left;

    if (writer->status != GAVEL_OK)
        return;
    left = writer->depth ? writer->level[writer->depth - 1].left : 0;
    if (left == 0 || left % 2 != 0 || !writer->level[writer->depth - 1].map || (number == 0 && !name.data) ||
        (number == 0 && name.size && memchr(name.data, 0, name.size))) {
        writer->status = GAVEL_E_INVALID;
        return;
    }
    writer->level[writer->depth - 1].left--;
    if (number)
        put_number(writer, number);
    else
        pack_string(writer, name);
}

static void put_nil(struct gavel_writer *generic)
{
    struct mp_writer *writer = own(generic);
    msgpack_packer p = packer(writer);

    if (value_here(writer))
        (void)msgpack_pack_nil(&p);
}

static void put_boolean(struct gavel_writer *generic, uint64_t value)
{
    struct mp_writer *writer = own(generic);
    msgpack_packer p = packer(writer);

    if (value_here(writer))
        (void)(value ? msgpack_pack_true(&p) : msgpack_pack_false(&p));
}

static void put_uint(struct gavel_writer *generic, uint64_t value)
{
    struct mp_writer *writer = own(generic);

    if (value_here(writer))
        put_number(writer, value);
}

static void put_sint(struct gavel_writer *generic, int64_t value)
{
    struct mp_writer *writer = own(generic);
    msgpack_packer p = packer(writer);

    if (value_here(writer))
        (void)msgpack_pack_int64(&p, value);
}

static void put_real(struct gavel_writer *generic, double value)
{
    struct mp_writer *writer = own(generic);
    msgpack_packer p = packer(writer);

    if (!value_here(writer))
        return;
    if (isfinite(value))
        (void)msgpack_pack_double(&p, value);
    else
        writer->status = GAVEL_E_INVALID;
}

static void put_string(struct gavel_writer *generic, struct gavel_slice utf8)
{
    struct mp_writer *writer = own(generic);

    if (value_here(writer))
        pack_string(writer, utf8);
}

static void put_bytes(struct gavel_writer *generic, struct gavel_slice bytes)
{
    struct mp_writer *writer = own(generic);
    msgpack_packer p = packer(writer);

    if (!value_here(writer))
        return;
    if (bytes.size > UINT32_MAX) {
        writer->status = GAVEL_E_TOO_LARGE;
        return;
    }
    (void)msgpack_pack_bin(&p, bytes.size);
    (void)msgpack_pack_bin_body(&p, bytes.data, bytes.size);
}

/*
 * A whole value here: no deeper with it than readers can follow. What has passed the scan of a message is at most
 * EMBEDDED_DEPTH deep, so it is looked at only far down.
 */
static int fits(const struct mp_writer *writer, struct gavel_slice value)
{
    struct gavel_limits limits = {GAVEL_END(struct gavel_limits, items), MP_DEPTH_MAX - writer->depth, UINT64_MAX,
                                  UINT64_MAX};

    return writer->depth <= MP_DEPTH_MAX - EMBEDDED_DEPTH || mp_scan(value, &limits, MP_DOUBLED, NULL) == GAVEL_OK;
}

static void put_msgpack(struct gavel_writer *generic, struct gavel_slice value)
{
    struct mp_writer *writer = own(generic);

    if (!value_here(writer))
        return;
    if (value.size == 0)
        writer->status = GAVEL_E_INVALID;
    else if (!fits(writer, value))
        writer->status = GAVEL_E_TOO_LARGE;
    else
        writer->status = gavel_buffer_append(writer->out, value.data, value.size);
}

void mp_writer_bytes_header(struct mp_writer *writer, uint64_t size)
{
    msgpack_packer p = packer(writer);

    if (!value_here(writer))
        return;
    if (size > UINT32_MAX)
        writer->status = GAVEL_E_TOO_LARGE;
    else
        (void)msgpack_pack_bin(&p, size);
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
    .msgpack = put_msgpack,
};

struct gavel_writer *mp_writer_init(struct mp_writer *writer, struct gavel_buffer *out)
{
    writer->head.ops = &writer_ops;
    writer->out = out;
    writer->status = GAVEL_OK;
    writer->depth = 0;
    writer->values = 0;
    return &writer->head;
}

int32_t mp_writer_end(struct mp_writer *writer, struct gavel_error *error)
{
    switch (writer->status) {
    case GAVEL_OK:
        break;
    case GAVEL_E_TOO_LARGE:
        return gavel_fail(error, writer->status, "MessagePack: the output is over its limit");
    case GAVEL_E_NO_MEMORY:
        return gavel_fail(error, writer->status, "MessagePack: memory ran out");
    default:
        return gavel_fail(error, writer->status,
                          "MessagePack: written in a wrong order, a string that is not UTF-8, or no finite number");
    }
    if (writer->depth != 0 || writer->values == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "MessagePack: the value is not complete");
    return GAVEL_OK;
}
