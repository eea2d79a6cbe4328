/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes.h - little-endian numbers into a buffer, and out of a slice that nobody has to trust.
 *
 * Writing: errors of the buffer are collected in a status that the caller carries along. Reading: a cursor
 * goes bad at the first read beyond its end, and stays bad; values read from a bad cursor are 0 and empty.
 */
#ifndef CORE_NODE_BYTES_H
#define CORE_NODE_BYTES_H

#include <gavel/abi.h>
#include <stdbool.h>
#include <stdint.h>

static inline void bytes_store32(void *to, uint32_t value)
{
    uint8_t *byte = to;

    for (int i = 0; i < 4; i++)
        byte[i] = (uint8_t)(value >> 8 * i);
}

static inline void bytes_store64(void *to, uint64_t value)
{
    uint8_t *byte = to;

    for (int i = 0; i < 8; i++)
        byte[i] = (uint8_t)(value >> 8 * i);
}

static inline uint32_t bytes_load32(const void *from)
{
    const uint8_t *byte = from;

    return (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
}

static inline uint64_t bytes_load64(const void *from)
{
    const uint8_t *byte = from;

    return (uint64_t)bytes_load32(byte) | (uint64_t)bytes_load32(byte + 4) << 32;
}

/* Append; an earlier error in *status is kept and nothing is done. */
static inline void bytes_put(struct gavel_buffer *buffer, int32_t *status, const void *data, uint64_t size)
{
    if (*status == 0)
        *status = gavel_buffer_append(buffer, data, size);
}

static inline void bytes_put32(struct gavel_buffer *buffer, int32_t *status, uint32_t value)
{
    uint8_t raw[4];

    bytes_store32(raw, value);
    bytes_put(buffer, status, raw, sizeof raw);
}

static inline void bytes_put64(struct gavel_buffer *buffer, int32_t *status, uint64_t value)
{
    uint8_t raw[8];

    bytes_store64(raw, value);
    bytes_put(buffer, status, raw, sizeof raw);
}

/* A length of 4 bytes, then the bytes. */
static inline void bytes_put_slice(struct gavel_buffer *buffer, int32_t *status, struct gavel_slice slice)
{
    bytes_put32(buffer, status, (uint32_t)slice.size);
    bytes_put(buffer, status, slice.data, slice.size);
}

struct bytes_cursor {
    const uint8_t *at;
    uint64_t left;
    bool bad;
};

static inline struct bytes_cursor bytes_read(struct gavel_slice slice)
{
    return (struct bytes_cursor){.at = slice.data, .left = slice.size, .bad = false};
}

/* `size` bytes, borrowed; NULL when there are not so many. */
static inline const uint8_t *bytes_get(struct bytes_cursor *cursor, uint64_t size)
{
    const uint8_t *at = cursor->at;

    if (cursor->bad || size > cursor->left) {
        cursor->bad = true;
        return NULL;
    }
    cursor->at += size;
    cursor->left -= size;
    return at;
}

static inline uint32_t bytes_get32(struct bytes_cursor *cursor)
{
    const uint8_t *at = bytes_get(cursor, 4);

    return at ? bytes_load32(at) : 0;
}

static inline uint64_t bytes_get64(struct bytes_cursor *cursor)
{
    const uint8_t *at = bytes_get(cursor, 8);

    return at ? bytes_load64(at) : 0;
}

static inline struct gavel_slice bytes_get_slice(struct bytes_cursor *cursor)
{
    uint32_t size = bytes_get32(cursor);
    const uint8_t *at = bytes_get(cursor, size);

    return at ? gavel_bytes(at, size) : gavel_bytes("", 0);
}

#endif
