/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js.h - the JSON serializer: jansson reads (strict UTF-8, doubled keys refused), a writer of our own writes (jansson
 * would want a tree first).
 *
 * What JSON has no form for, both ways:
 *  - bytes: a string when they are text (UTF-8 without control characters other than tab and newlines), else
 *    {"$base64":"AAEC"}; a reader gives BYTES for the latter and STRING for the former;
 *  - whole numbers over 2^63 - 1: {"$uint":"18446744073709551615"};
 *  - so a document's own keys "$base64" and "$uint" are written with one more '$' in front, and so are "$$base64"
 *  and so
 *    on; reading takes it off again;
 *  - keys that are only a number become their decimal digits.
 */
#ifndef GAVEL_JS_H
#define GAVEL_JS_H

#include "js_heap.h"

#include <gavel/serializer.h>

/* Deepest nesting that reader and writer can follow; limits->depth may only be lower. */
#define JS_DEPTH_MAX 64

struct js_writer {
    struct gavel_writer head;
    struct gavel_buffer *out;
    int32_t status;
    uint32_t depth;
    uint32_t values; /* at the top: at most one */
    struct {
        uint64_t left; /* keys and values still to come */
        uint32_t map;
        uint32_t begun; /* an element was written: a comma comes next */
    } level[JS_DEPTH_MAX];
};

/* [any] Start to append one value to *out. */
struct gavel_writer *js_writer_init(struct js_writer *writer, struct gavel_buffer *out);
/* [any] The first error, GAVEL_E_INVALID when the value is not complete, or 0. */
int32_t js_writer_end(struct js_writer *writer, struct gavel_error *error);

struct json_t;

struct js_reader {
    struct gavel_reader head;
    struct json_t *root;
    struct js_heap heap; /* of `root`, where js_heap is installed; else jansson's own heap has it */
    int own_heap;
    unsigned char *decoded; /* bytes out of base64: at most as many as the input has */
    uint64_t decoded_used;
    uint64_t decoded_size;
    uint32_t depth;
    uint32_t finished;
    struct {
        struct json_t *container;
        void *iterator; /* of an object; NULL at its end */
        uint64_t index; /* of an array */
        uint64_t value; /* of an object: the key was given, its value comes next */
    } level[JS_DEPTH_MAX];
};

/*
 * [any] Parse the whole input within the limits. Counts and nesting are checked in the text, before jansson takes
 * memory.
 */
int32_t js_reader_init(struct js_reader *reader, struct gavel_slice input, const struct gavel_limits *limits,
                       struct gavel_error *error);
/* [any] Give back what jansson and base64 took. */
void js_reader_free(struct js_reader *reader);

/* The two keys with a meaning, with any number of '$' before: the form after the last '$'. 1 when `key` is one. */
int js_key_special(struct gavel_slice key);

/* The serializer's table; self may be NULL. */
extern const struct gavel_serializer js_serializer;

#endif
