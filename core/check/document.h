/* SPDX-License-Identifier: Apache-2.0 */
/*
 * document.h - documents as runs of tokens, for checking a serializer by nothing but its own tables: write one, read it
 * back, compare.
 */
#ifndef CORE_CHECK_DOCUMENT_H
#define CORE_CHECK_DOCUMENT_H

#include "core/check/face.h"
#include "core/check/kit.h"

#define DOCUMENT_TOKENS 4096
#define DOCUMENT_TEXT (256 * 1024)

struct document {
    struct gavel_token token[DOCUMENT_TOKENS];
    uint64_t count;
    unsigned char *text; /* DOCUMENT_TEXT bytes that tokens point into */
    uint64_t used;
};

struct document *document_new(void);
void document_free(struct document *document);

/* Become a random one of at most `depth` levels; `map`: a map at the top. */
void document_random(struct document *document, struct kit_random *random, uint64_t depth, bool map);

/* Become an array of every extreme of every type. */
void document_extremes(struct document *document);

/* Become arrays in arrays, `depth` levels, around one nil. */
void document_nested(struct document *document, uint64_t depth);

/* Become a map of `count` keys in no order. */
void document_keys(struct document *document, struct kit_random *random, uint64_t count);

/* ---- with the serializer ----------------------------------------------------------------------------------------- */

/* One instance with its memory for one writer and one reader. */
struct packer {
    struct face face;
    const struct gavel_serializer *serializer;
    void *self;
    void *writer_memory;
    void *reader_memory;
    unsigned char *input; /* what is read ends where this memory ends, before a page that nobody may touch */
    uint64_t room;
};

void packer_open(struct packer *packer);
void packer_close(struct packer *packer);
/* Another set of memory over the same instance, for another thread. */
void packer_share(struct packer *packer, const struct packer *with);
void packer_unshare(struct packer *packer);

/* Append the document to *out; the status of write_end. */
int32_t packer_write(struct packer *packer, const struct document *document, struct gavel_buffer *out,
                     struct gavel_error *error);

/*
 * Read a whole input. With `wanted` each token is compared and a difference fails the check; without, tokens must only
 * be well nested and within the limits. The first status that is not 0, or 0.
 */
int32_t packer_read(struct packer *packer, struct gavel_slice input, const struct gavel_limits *limits,
                    const struct document *wanted, struct gavel_error *error);

/* The limits of a message, as a host sets them. */
struct gavel_limits packer_limits(void);

#endif
