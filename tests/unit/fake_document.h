/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_document.h - the part of fake_host that knows documents: JSON to argument structs by field table, a writer for
 * results, MessagePack to JSON. Written apart from the core's codec on purpose: what one gets wrong, the other
 * shows.
 */
#ifndef TESTS_FAKE_DOCUMENT_H
#define TESTS_FAKE_DOCUMENT_H

#include <gavel/statemachine.h>

/* Memory that filled structs point to. */
struct fake_memory;
void fake_memory_free(struct fake_memory *memory);

/* Fill a struct from a JSON object by its table, defaults too. GAVEL_E_INVALID names what was wrong. */
int32_t fake_fill(const struct gavel_fields *fields, const char *json, void *object, struct fake_memory **memory,
                  struct gavel_error *error);

/* Fill it from a MessagePack map keyed by ids, as it is in the log. */
int32_t fake_fill_numbered(const struct gavel_fields *fields, struct gavel_slice map, void *object,
                           struct fake_memory **memory);

/* A writer of MessagePack that checks its caller: counts, nesting, one value. */
struct fake_writer {
    struct gavel_writer head;
    unsigned char *data;
    uint64_t size;
    uint64_t depth;
    uint64_t left[32]; /* tokens before the end of each level; 1 at the top */
};
struct gavel_writer *fake_writer_begin(struct fake_writer *writer);

/* The JSON text of what was written, "null" for nothing or when it is not `wanted`. */
char *fake_writer_end(struct fake_writer *writer, int wanted);

#endif
