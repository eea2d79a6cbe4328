/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mp_head.h - the first bytes of a MessagePack value, decoded once for the scan, the reader and everything else.
 */
#ifndef GAVEL_MP_HEAD_H
#define GAVEL_MP_HEAD_H

#include "mp.h"

/* What the first bytes say. */
struct mp_head {
    uint32_t type;     /* GAVEL_TOKEN_MAP, _ARRAY, _NIL, _BOOL, _UINT, _INT, _REAL, _STRING, _BYTES */
    uint32_t bytes;    /* of the head, a number's digits included */
    uint32_t shortest; /* 1: no shorter head could say the same */
    uint32_t pad;
    uint64_t count; /* pairs of a map, values of an array, bytes of a string or of bytes; else 0 */
    uint64_t uint;
    int64_t sint;
    double real;
};

/* Outcomes of mp_head_read. */
#define MP_HEAD_CUT (-1)     /* the input ends inside the head */
#define MP_HEAD_REFUSED (-2) /* c1, or an ext type */

/* The long form of mp_head_read, for what is not a fix form. */
int mp_head_long(const unsigned char *at, uint64_t left, struct mp_head *head);

/* [any] Decode the head at `at`, of which `left` bytes are there. 0 or one of the outcomes above. */
static inline int mp_head_read(const unsigned char *at, uint64_t left, struct mp_head *head)
{
    unsigned char byte;

    if (left == 0)
        return MP_HEAD_CUT;
    byte = *at;
    head->bytes = 1;
    head->shortest = 1;
    head->count = 0;
    if (byte < 0x80) {
        head->type = GAVEL_TOKEN_UINT;
        head->uint = byte;
    } else if (byte < 0x90) {
        head->type = GAVEL_TOKEN_MAP;
        head->count = byte & 0x0f;
    } else if (byte < 0xa0) {
        head->type = GAVEL_TOKEN_ARRAY;
        head->count = byte & 0x0f;
    } else if (byte < 0xc0) {
        head->type = GAVEL_TOKEN_STRING;
        head->count = byte & 0x1f;
    } else if (byte >= 0xe0) {
        head->type = GAVEL_TOKEN_INT;
        head->sint = (int64_t)byte - 256;
    } else {
        return mp_head_long(at, left, head);
    }
    return 0;
}

/* [any] Bytes that follow the head and belong to the same token: those of strings and bytes. */
static inline uint64_t mp_head_body(const struct mp_head *head)
{
    return head->type == GAVEL_TOKEN_STRING || head->type == GAVEL_TOKEN_BYTES ? head->count : 0;
}

/* [any] Values that follow directly inside: keys count as values. */
static inline uint64_t mp_head_values(const struct mp_head *head)
{
    if (head->type == GAVEL_TOKEN_MAP)
        return head->count * 2;
    return head->type == GAVEL_TOKEN_ARRAY ? head->count : 0;
}

/* [any] The order of keys: numbers before names, names in memcmp order. Both heads are of keys at a and b. */
int mp_key_compare(const unsigned char *a, const unsigned char *b);

#endif
