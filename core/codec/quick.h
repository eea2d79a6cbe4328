/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quick.h - messages in MessagePack, the short way: one pass over the bytes instead of a scan, tokens and the rows'
 * general rules. Nearly every message between nodes is a flat map of small numbers in the order of its table.
 *
 * The short way never refuses anything. What is not of the plainest kind - a key out of order, unknown or by name, a
 * list, anything wrong - it leaves to the long way (wire.c), which alone says what is taken and in which words it is
 * refused. What it does take has the same outcome by both ways, to the last byte; test_codec_quick compares them.
 */
#ifndef GAVEL_CODEC_QUICK_H
#define GAVEL_CODEC_QUICK_H

#include "core/codec/message.h"

/* The key of every message's type. */
#define CODEC_TYPE_NUMBER 1

/* [any] Whether the serializer's bytes are MessagePack. */
int codec_quick_for(const struct gavel_serializer *serializer);

/*
 * [any] Decode: 1, with *what and the struct in the arena as by codec_message_decode; 0: to be decoded the long way,
 * and the arena is as it was.
 */
int codec_quick_decode(struct gavel_slice input, const struct gavel_limits *limits, struct codec_arena *arena,
                       const struct codec_message **what, void **message);

/*
 * [any] Append to *out: 1, or 0: to be encoded the long way, and *out is as it was. With `tail_bytes` the message ends
 * with the header of a tail of so many bytes, which the caller sends behind it; the last row is then the tail's.
 */
int codec_quick_encode(const struct codec_message *what, const void *message, uint64_t tail_bytes,
                       struct gavel_buffer *out);

/*
 * [any] Arguments as they are in the log: 1, with the object as by codec_arguments_load; 0: to be loaded the long way,
 * whatever is in the object now.
 */
int codec_quick_arguments(const struct gavel_fields *fields, struct gavel_slice logged,
                          const struct gavel_limits *limits, void *object);

#endif
