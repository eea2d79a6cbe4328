/* SPDX-License-Identifier: Apache-2.0 */
/*
 * document.h - what the store does inside of values: merge patch (RFC 7396), adding to a number at a path, looking up
 * a name, checking what a snapshot brings. A document is one MessagePack value in the host's canonical form: shortest
 * encodings, names of each map in ascending order. Because maps are sorted, a merge is one walk over both; because
 * everything written here keeps that form, equal documents are equal bytes on every node.
 *
 * Every function reads within its slices, whatever they hold; no state, any lane.
 */
#ifndef WORKFLOW_DOCUMENT_H
#define WORKFLOW_DOCUMENT_H

#include <gavel/abi.h>

#define DOCUMENT_DEPTH_MAX 32     /* nesting, as the host bounds it in what users send */
#define DOCUMENT_RECORD_DEPTH 1   /* what a workflow's record adds around its document */
#define DOCUMENT_PATH_BYTES_MAX 1024

/* A whole number of MessagePack: from INT64_MIN to UINT64_MAX. */
struct document_number {
    uint64_t negative; /* 1: the value is (int64_t)bits */
    uint64_t bits;
};

/*
 * GAVEL_OK when it is one well-formed document or record: exact end, names ascending strings, at most
 * DOCUMENT_DEPTH_MAX deep and DOCUMENT_RECORD_DEPTH around that. Else GAVEL_E_CORRUPT; no sentence, the caller knows
 * where it came from.
 */
int32_t document_check(struct gavel_slice document);

/*
 * Append the merge of `patch` into `target` (data NULL: there is none) to *out. GAVEL_E_TOO_LARGE or GAVEL_E_NO_MEMORY
 * from the buffer; GAVEL_E_CORRUPT when an input is no document.
 */
int32_t document_merge(struct gavel_slice target, struct gavel_slice patch, struct gavel_buffer *out);

/*
 * Append `document` (data NULL: there is none) to *out with `by` added to the whole number at `path`: names and places
 * in arrays separated by dots; empty: the document itself. What is missing is made: maps, and a 0 at the end. *sum is
 * the number afterwards. GAVEL_E_INVALID with a sentence: not a number, out of range, a bad path.
 */
int32_t document_add(struct gavel_slice document, struct gavel_slice path, int64_t by, struct gavel_buffer *out,
                     struct document_number *sum, struct gavel_error *error);

/* The value behind a name of a map; data NULL when there is none. */
struct gavel_slice document_find(struct gavel_slice document, const char *name);

/* The value as a number that is not negative, else `fallback`; as a string, else data NULL. */
uint64_t document_uint(struct gavel_slice value, uint64_t fallback);
struct gavel_slice document_string(struct gavel_slice value);

/* Append the pieces of a document: a map's header, a string, a number, a whole document. Status of the buffer. */
int32_t document_put_map(struct gavel_buffer *out, uint64_t count);
int32_t document_put_string(struct gavel_buffer *out, struct gavel_slice text);
int32_t document_put_uint(struct gavel_buffer *out, uint64_t number);

/* 1 when the bytes are valid UTF-8. */
int document_utf8(struct gavel_slice bytes);

#endif
