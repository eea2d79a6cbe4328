/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mp_canonical.c - the canonical form: equal documents become equal bytes, so that a compare is a memcmp and a
 * merge of two maps is one walk.
 */
#include <assert.h>
#include <stdlib.h>

#include "mp_head.h"

/* One pair of a map that is being sorted. */
struct pair {
    const unsigned char *key;
    const unsigned char *value;
};

static int by_key(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;

    return mp_key_compare(x->key, y->key);
}

/* Where the value at `at` ends, and write it to `writer` in canonical form. Recursion is bounded by MP_DEPTH_MAX. */
static const unsigned char *rewrite(const unsigned char *at, const unsigned char *end, struct mp_writer *writer);

static const unsigned char *rewrite_key(const unsigned char *at, const unsigned char *end, struct gavel_writer *writer)
{
    struct mp_head head;
    int outcome = mp_head_read(at, (uint64_t)(end - at), &head);

    assert(outcome == 0);
    at += head.bytes;
    if (head.type == GAVEL_TOKEN_STRING)
        writer->ops->key(writer, gavel_bytes(at, head.count), 0);
    else
        writer->ops->key(writer, gavel_bytes(NULL, 0), head.uint);
    return at + mp_head_body(&head);
}

static const unsigned char *rewrite_map(const unsigned char *at, const unsigned char *end, uint64_t count,
                                        struct mp_writer *writer)
{
    struct pair *pairs = count ? malloc(count * sizeof *pairs) : NULL;
    int sorted = 1;
    uint64_t i;

    if (count && !pairs) {
        writer->status = GAVEL_E_NO_MEMORY;
        return end;
    }
    for (i = 0; i < count; i++) {
        pairs[i].key = at;
        at += mp_value_size(at, (uint64_t)(end - at));
        pairs[i].value = at;
        at += mp_value_size(at, (uint64_t)(end - at));
        sorted = sorted && (i == 0 || mp_key_compare(pairs[i - 1].key, pairs[i].key) < 0);
    }
    if (!sorted)
        qsort(pairs, count, sizeof *pairs, by_key);
    for (i = 0; i < count; i++) {
        (void)rewrite_key(pairs[i].key, end, &writer->head);
        (void)rewrite(pairs[i].value, end, writer);
    }
    free(pairs);
    return at;
}

static const unsigned char *rewrite(const unsigned char *at, const unsigned char *end, struct mp_writer *writer)
{
    struct gavel_writer *out = &writer->head;
    struct mp_head head;
    int outcome;
    uint64_t i;

    if (writer->status != GAVEL_OK)
        return end;
    outcome = mp_head_read(at, (uint64_t)(end - at), &head);
    assert(outcome == 0);
    at += head.bytes;
    switch (head.type) {
    case GAVEL_TOKEN_MAP:
        gavel_put_map(out, head.count);
        at = rewrite_map(at, end, head.count, writer);
        gavel_put_end(out);
        break;
    case GAVEL_TOKEN_ARRAY:
        gavel_put_array(out, head.count);
        for (i = 0; i < head.count; i++)
            at = rewrite(at, end, writer);
        gavel_put_end(out);
        break;
    case GAVEL_TOKEN_NIL:
        gavel_put_nil(out);
        break;
    case GAVEL_TOKEN_BOOL:
        gavel_put_bool(out, head.uint != 0);
        break;
    case GAVEL_TOKEN_UINT:
        gavel_put_uint(out, head.uint);
        break;
    case GAVEL_TOKEN_INT:
        gavel_put_int(out, head.sint);
        break;
    case GAVEL_TOKEN_REAL:
        gavel_put_real(out, head.real);
        break;
    case GAVEL_TOKEN_STRING:
        gavel_put_string(out, gavel_bytes(at, head.count));
        break;
    default:
        gavel_put_bytes(out, gavel_bytes(at, head.count));
        break;
    }
    return writer->status == GAVEL_OK ? at + mp_head_body(&head) : end;
}

int32_t mp_canonical(struct gavel_slice scanned, struct gavel_buffer *out, struct gavel_error *error)
{
    static const struct gavel_limits all = {GAVEL_END(struct gavel_limits, items), MP_DEPTH_MAX, UINT64_MAX,
                                            UINT64_MAX};
    struct mp_writer writer;
    uint64_t before = out->size;
    int32_t status;

    if (mp_scan(scanned, &all, MP_CANONICAL, NULL) == GAVEL_OK) {
        status = gavel_buffer_append(out, scanned.data, scanned.size);
        return status == GAVEL_OK ? status : gavel_fail(error, status, "a document is over its limit");
    }
    (void)mp_writer_init(&writer, out);
    (void)rewrite(scanned.data, (const unsigned char *)scanned.data + scanned.size, &writer);
    status = mp_writer_end(&writer, error);
    if (status != GAVEL_OK)
        out->size = before;
    return status;
}
