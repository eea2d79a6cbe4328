/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mp.h - MessagePack, once: the bounding scan, the pull reader over scanned bytes, and the writer. The plugin
 * wraps it for the ABI; core/codec links the same objects, because hellos, logged commands and documents are
 * always MessagePack.
 *
 * Why not msgpack_unpack: it takes memory before it has seen the bytes (5 bytes reserve 512 MB), accepts invalid
 * UTF-8, doubled keys and trailing bytes, and builds a tree that we would only walk once. Since the scan has to
 * understand every byte anyway, a pull parser over scanned input costs nothing more and needs no memory. Writing
 * is msgpack-c's packer.
 *
 * What is accepted beyond plain MessagePack, and what is refused, so that every document has a JSON form too:
 *  - map keys are strings without U+0000, or unsigned numbers; doubled keys are refused (number 1 written in two
 *  ways is
 *    one key);
 *  - strings are valid UTF-8 (no surrogates, no overlong forms); NaN and the infinities are refused;
 *  - ext types and the byte c1 are refused; the input holds exactly one value.
 */
#ifndef GAVEL_MP_H
#define GAVEL_MP_H

#include <gavel/serializer.h>

/* Deepest nesting that reader and writer can follow; limits->depth may only be lower. */
#define MP_DEPTH_MAX 64

/* Flags of mp_scan. */
#define MP_NAMED_KEYS 1u /* a user's document: keys must be strings */
#define MP_CANONICAL 2u  /* refuse what is not in canonical form, see mp_canonical */
#define MP_DOUBLED 4u    /* keys may be there twice: what a writer made, which does not look for that */

/*
 * [any] Check one whole value: every declared count against the bytes that remain, depth, items, UTF-8, keys, exact
 * end. Not recursive. Takes no memory, except 4 bytes a key, while it looks for doubles in a map of more than 32 keys
 * that are not in ascending order. GAVEL_E_INVALID (malformed; the sentence names the offset), GAVEL_E_TOO_LARGE
 * (over a limit), GAVEL_E_NO_MEMORY.
 */
int32_t mp_scan(struct gavel_slice input, const struct gavel_limits *limits, uint32_t flags, struct gavel_error *error);

/*
 * [any] The same for a value that more bytes may follow: its length, and how many values it is altogether, are told.
 */
int32_t mp_scan_prefix(struct gavel_slice input, const struct gavel_limits *limits, uint32_t flags, uint64_t *size,
                       uint64_t *items, struct gavel_error *error);

/* [any] 1 when `size` bytes at `text` are valid UTF-8. */
int mp_utf8(const void *text, uint64_t size);

/* [any] The length of the value that starts at data[0] within `size` bytes that passed mp_scan. */
uint64_t mp_value_size(const void *data, uint64_t size);

/* A pull reader over bytes that passed mp_scan. The caller's memory; nothing to free. */
struct mp_reader {
    struct gavel_reader head;
    const unsigned char *at;
    const unsigned char *end;
    uint32_t depth;
    uint32_t finished;
    struct {
        uint32_t left; /* tokens before END: keys and values for a map */
        uint32_t map;  /* 1: a map, so an even `left` is the place of a key */
    } level[MP_DEPTH_MAX];
};

/* [any] Start to read `scanned`, which must have passed mp_scan and stays valid while tokens are in use. */
struct gavel_reader *mp_reader_init(struct mp_reader *reader, struct gavel_slice scanned);

/* A writer over a buffer. The caller's memory; nothing to free. */
struct mp_writer {
    struct gavel_writer head;
    struct gavel_buffer *out;
    int32_t status;
    uint32_t depth;
    uint32_t values; /* at the top: at most one */
    struct {
        uint64_t left; /* keys and values still to come */
        uint64_t map;
    } level[MP_DEPTH_MAX];
};

/* [any] Start to append one value to *out. */
struct gavel_writer *mp_writer_init(struct mp_writer *writer, struct gavel_buffer *out);

/* [any] The first error, GAVEL_E_INVALID when a map or array is still open or nothing was written, or 0. */
int32_t mp_writer_end(struct mp_writer *writer, struct gavel_error *error);

/*
 * [any] Write only the header of a bytes value of `size` bytes. The caller puts the bytes themselves behind all
 * that is written, so this must be the last value of the top map: closing headers do not exist in MessagePack.
 */
void mp_writer_bytes_header(struct mp_writer *writer, uint64_t size);

/*
 * [any] Append the canonical form of a scanned document to *out: shortest headers and numbers, reals in 8 bytes,
 * the keys of each map in ascending order (numbers before names; names in memcmp order). A document that is
 * canonical already is copied in one piece. Two equal documents are then equal bytes. Takes 32 bytes of heap a key
 * of an unsorted map.
 */
int32_t mp_canonical(struct gavel_slice scanned, struct gavel_buffer *out, struct gavel_error *error);

/* The serializer's table; self may be NULL. */
extern const struct gavel_serializer mp_serializer;

#endif
