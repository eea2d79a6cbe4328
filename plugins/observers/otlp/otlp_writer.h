/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_writer.h - one writer of messages in two forms: protobuf, and the JSON that OTLP makes of it. A field is named
 * twice in each call, by its number and by its name; the form decides which one is used. So each signal is laid out
 * once.
 *
 * In JSON ids are hexadecimal, integers of 64 bits are strings, and numbers that are none are "NaN" and "Infinity", as
 * the specification says (OTLP 1.x, "JSON Protobuf Encoding").
 *
 * A writer that ran out of memory ignores what follows, and `failed` says so: it is asked once, at the end.
 */
#ifndef OTLP_WRITER_H
#define OTLP_WRITER_H

#include <gavel/abi.h>

#include <stdbool.h>

#define OTLP_DEPTH_MAX 12u /* messages within messages; the deepest is an attribute of a data point, at 8 */

struct otlp_writer {
    unsigned char *data; /* from malloc */
    size_t size;
    size_t capacity;
    size_t begin[OTLP_DEPTH_MAX]; /* protobuf: where the content of each open message begins */
    unsigned depth;
    bool json;
    bool comma; /* JSON: something stands before at this level */
    bool failed;
};

void otlp_writer_init(struct otlp_writer *writer, bool json);
/* Give its memory back; it is empty then, and usable. */
void otlp_writer_free(struct otlp_writer *writer);

/* A message as a field; `name` NULL: an element of a list, or the outermost one, which has no number (0) either. */
void otlp_open(struct otlp_writer *writer, unsigned number, const char *name);
void otlp_close(struct otlp_writer *writer);

/* A repeated field, around its elements. In protobuf these stand alone. */
void otlp_list(struct otlp_writer *writer, const char *name);
void otlp_list_end(struct otlp_writer *writer);

/* Bytes that are no UTF-8 become U+FFFD: protobuf has no other strings. */
void otlp_string(struct otlp_writer *writer, unsigned number, const char *name, struct gavel_slice text);
void otlp_text(struct otlp_writer *writer, unsigned number, const char *name, const char *text);
/* An id: bytes, hexadecimal in JSON. */
void otlp_id(struct otlp_writer *writer, unsigned number, const char *name, const unsigned char *bytes, size_t size);
/* uint32, enum: a varint, a number in JSON. */
void otlp_small(struct otlp_writer *writer, unsigned number, const char *name, uint32_t value);
void otlp_fixed32(struct otlp_writer *writer, unsigned number, const char *name, uint32_t value);
void otlp_bool(struct otlp_writer *writer, unsigned number, const char *name, bool value);
/* int64: a varint, or of fixed size; fixed64. A string in JSON. */
void otlp_int(struct otlp_writer *writer, unsigned number, const char *name, int64_t value);
void otlp_sfixed(struct otlp_writer *writer, unsigned number, const char *name, int64_t value);
void otlp_fixed(struct otlp_writer *writer, unsigned number, const char *name, uint64_t value);
void otlp_double(struct otlp_writer *writer, unsigned number, const char *name, double value);
/* Packed lists. */
void otlp_fixed_list(struct otlp_writer *writer, unsigned number, const char *name, const uint64_t *values,
                     uint64_t count);
void otlp_double_list(struct otlp_writer *writer, unsigned number, const char *name, const double *values,
                      uint64_t count);

/* What another writer of the same form has written, as it is: elements of a list, in JSON with commas in between. */
void otlp_raw(struct otlp_writer *writer, const void *data, size_t size);

#endif
