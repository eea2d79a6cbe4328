/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_pairs.h - lists of names with values, as OTEL_RESOURCE_ATTRIBUTES and OTEL_EXPORTER_OTLP_HEADERS write them:
 * "name=value,name=value", blanks around names and values ignored, %41 for a byte. And the memory that holds them and
 * all other texts of a configuration: given back in one go.
 */
#ifndef OTLP_PAIRS_H
#define OTLP_PAIRS_H

#include <gavel/abi.h>

#include <stdbool.h>

#define OTLP_PAIRS_MAX 64u /* of one list */

struct otlp_block;

struct otlp_memory {
    struct otlp_block *first;
};

/* NULL when memory is out. The block lives until otlp_memory_free; it is zeroed. */
void *otlp_take(struct otlp_memory *memory, size_t size);
/* A copy with a NUL behind it. */
char *otlp_copy(struct otlp_memory *memory, struct gavel_slice text);
void otlp_memory_free(struct otlp_memory *memory);

struct otlp_pair {
    const char *name;
    const char *value;
};

struct otlp_pairs {
    struct otlp_pair pair[OTLP_PAIRS_MAX];
    unsigned count;
};

/* Put one in, in the place of one of the same name. False when there are too many. Texts are not copied. */
bool otlp_pairs_put(struct otlp_pairs *pairs, const char *name, const char *value);

/*
 * Put a whole list in. `where` names its origin in the sentence of an error: GAVEL_E_CONFIG for what is no pair, has a
 * bad escape or a control character in it; GAVEL_E_NO_MEMORY. Values are never quoted: they may be secrets.
 */
int32_t otlp_pairs_parse(struct otlp_pairs *pairs, struct gavel_slice text, const char *where,
                         struct otlp_memory *memory, struct gavel_error *error);

#endif
