/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.h - documents at home in the core: MessagePack values that passed the bounding scan, how to look into
 * them, copy them between formats and show them to people.
 *
 * A "value" here is a slice that holds exactly one scanned MessagePack value. Functions that take one trust it:
 * whatever came from outside goes through codec_value_check (or a serializer's reader, which does the same) first.
 * A slice with data NULL is the absent value; it reads like nil.
 *
 * Writing a value without malloc: a gavel_buffer over memory of your own (codec_buffer_fixed), a codec_writer on the
 * stack, gavel_put_...(w), codec_writer_end.
 */
#ifndef GAVEL_CODEC_VALUE_H
#define GAVEL_CODEC_VALUE_H

#include "plugins/serializers/msgpack/mp.h"

/* Nesting allowed in documents of users; messages wrap them three deep at most. */
#define CODEC_DOCUMENT_DEPTH 32
#define CODEC_MESSAGE_DEPTH 40
/* Tokens in one message: what 1 MiB of the smallest values could be. */
#define CODEC_MESSAGE_ITEMS (UINT64_C(1) << 20)

/* [any] Limits of one message or document of at most `bytes`. */
static inline struct gavel_limits codec_limits(uint64_t bytes)
{
    struct gavel_limits limits = {.size = GAVEL_END(struct gavel_limits, items),
                                  .depth = CODEC_MESSAGE_DEPTH,
                                  .bytes = bytes,
                                  .items = CODEC_MESSAGE_ITEMS};
    return limits;
}

/* The heap of malloc and free. */
extern const struct gavel_heap codec_heap;

/* [any] An empty buffer on codec_heap that never grows over `limit` bytes (0: no limit). */
struct gavel_buffer codec_buffer(uint64_t limit);

/*
 * [any] An empty buffer over `size` bytes of the caller's, which never allocates: over the end is GAVEL_E_TOO_LARGE.
 * size must be above 0. gavel_buffer_free is allowed and frees nothing.
 */
struct gavel_buffer codec_buffer_fixed(void *memory, uint64_t size);

/* ---- writing and reading MessagePack ----------------------------------------------------------------------------- */

/* The writer: struct gavel_writer *w = codec_writer_begin(&writer, &buffer); gavel_put_...; codec_writer_end(). */
#define codec_writer mp_writer
#define codec_writer_begin mp_writer_init
#define codec_writer_end mp_writer_end

/* The pull reader over a checked value: struct gavel_reader *r = codec_reader_begin(&reader, value). */
#define codec_reader mp_reader
#define codec_reader_begin mp_reader_init

/*
 * [any] The sentence of an error as a slice for a message, cleaned in place: what is not UTF-8 (a text cut in the
 * middle of a character, a hostile key that was quoted) becomes '?', control characters become blanks. Use it for
 * every `text` that is sent: a writer refuses strings that are not UTF-8. The slice points into *error.
 */
struct gavel_slice codec_sentence(struct gavel_error *error);

/* [any] The core's own serializer table (MessagePack; its self is NULL): for hellos and before anything is loaded. */
const struct gavel_serializer *codec_msgpack(void);

/* [any] mp_scan with these limits: the input becomes a value. GAVEL_E_INVALID or _TOO_LARGE with a sentence. */
int32_t codec_value_check(struct gavel_slice input, const struct gavel_limits *limits, struct gavel_error *error);

/* [any] The same, and every key is a string: what users may store. */
int32_t codec_document_check(struct gavel_slice input, const struct gavel_limits *limits, struct gavel_error *error);

/* [any] 1 when the value is in canonical form (see mp_canonical), so that equal documents are equal bytes. */
int codec_value_canonical(struct gavel_slice value);

/*
 * [any] Copy one whole value from a reader to a writer, token by token or in one piece where both sides are
 * MessagePack.
 * Maps and arrays whose count the reader does not know are not supported (both of our readers know it).
 */
int32_t codec_copy_value(struct gavel_reader *reader, struct gavel_writer *writer, struct gavel_error *error);

/* [any] Put a value (absent: nil) into any writer: in one piece where the writer can, else token by token. */
void codec_put_value(struct gavel_writer *writer, struct gavel_slice value);

/* [any] Put a map's key as it is, text or a number; of anything else the writer says that it is invalid. */
void codec_put_key(struct gavel_writer *writer, struct gavel_slice key);

/* [any] Skip one whole value. */
int32_t codec_skip_value(struct gavel_reader *reader, struct gavel_error *error);

/*
 * [any] Transcode one whole document: read `input` with one serializer, append it to *out with another.
 * The CLI's way from --json to arguments and from results to -o json.
 */
int32_t codec_transcode(const struct gavel_serializer *from, void *from_self, struct gavel_slice input,
                        const struct gavel_limits *limits, const struct gavel_serializer *to, void *to_self,
                        struct gavel_buffer *out, struct gavel_error *error);

/* ---- looking into a value ---------------------------------------------------------------------------------------- */

/* [any] GAVEL_TOKEN_MAP, _ARRAY, _NIL, _BOOL, _UINT, _INT, _REAL, _STRING or _BYTES; _NIL for the absent value. */
uint64_t codec_value_type(struct gavel_slice value);

/* [any] The value behind a key of a map; absent (data NULL) when there is none or it is not a map. */
struct gavel_slice codec_map_find(struct gavel_slice map, const char *name);
struct gavel_slice codec_map_find_slice(struct gavel_slice map, struct gavel_slice name);
struct gavel_slice codec_map_find_number(struct gavel_slice map, uint64_t number);

/* [any] Pairs of a map or values of an array; 0 for everything else. */
uint64_t codec_value_count(struct gavel_slice value);

/* [any] The value at `index` of an array (walks to it); absent beyond the end. */
struct gavel_slice codec_array_at(struct gavel_slice array, uint64_t index);

/* A walk over a map or an array, in order. */
struct codec_walk {
    const unsigned char *at;
    const unsigned char *end;
    uint64_t left;
    uint64_t map;
};

/* [any] Begin; anything but a map or an array has no elements. */
void codec_walk_begin(struct codec_walk *walk, struct gavel_slice value);
/* [any] 1 with the next element, 0 at the end. `key` is the whole key as a value (absent in arrays). */
int codec_walk_next(struct codec_walk *walk, struct gavel_slice *key, struct gavel_slice *value);

/* [any] Scalars: 0 and *out, or GAVEL_E_INVALID when the value is of another type or does not fit. */
int32_t codec_get_bool(struct gavel_slice value, uint64_t *out);
int32_t codec_get_uint(struct gavel_slice value, uint64_t *out);
int32_t codec_get_int(struct gavel_slice value, int64_t *out);
int32_t codec_get_real(struct gavel_slice value, double *out);              /* also from whole numbers */
int32_t codec_get_string(struct gavel_slice value, struct gavel_slice *out); /* a string only */
int32_t codec_get_bytes(struct gavel_slice value, struct gavel_slice *out);  /* bytes or a string */

/* [any] The same with a fallback: codec_uint_or(codec_map_find(v, "term"), 0). */
uint64_t codec_uint_or(struct gavel_slice value, uint64_t fallback);
int64_t codec_int_or(struct gavel_slice value, int64_t fallback);
struct gavel_slice codec_string_or(struct gavel_slice value, const char *fallback);

/* ---- for people -------------------------------------------------------------------------------------------------- */

/* Flags of codec_value_text. */
#define CODEC_TEXT_QUOTED 1u /* quote a string at the top too */
#define CODEC_TEXT_PRETTY 2u /* nested maps and arrays on lines of their own, indented by two */

/*
 * [any] Append a value as text for a terminal: strings as they are at the top and quoted inside, numbers, true,
 * false, null, bytes as text when they are printable UTF-8, else x'6162'; maps and arrays like JSON with a blank
 * after ':' and ','.
 * Control characters are escaped, so a stored value cannot drive the terminal. Not meant to be parsed: use the JSON
 * serializer for that.
 */
int32_t codec_value_text(struct gavel_slice value, uint32_t flags, struct gavel_buffer *out);

#endif
