/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mp_scan.c - the bounding scan: looks at every byte of hostile input once, before anybody takes memory for it. It
 * does not recurse; its state is one small row for each open map or array.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "mp_head.h"

/* Maps up to this many unsorted keys are compared pair by pair; bigger ones are sorted in memory of their size. */
#define PAIRWISE_MAX 32

/* Token types and widths of c0 .. df; width 0xff: refused. */
static const struct {
    uint8_t type;
    uint8_t width;
} long_form[32] = {
    {GAVEL_TOKEN_NIL, 0},    {0, 0xff},               {GAVEL_TOKEN_BOOL, 0},   {GAVEL_TOKEN_BOOL, 0},
    {GAVEL_TOKEN_BYTES, 1},  {GAVEL_TOKEN_BYTES, 2},  {GAVEL_TOKEN_BYTES, 4},  {0, 0xff},
    {0, 0xff},               {0, 0xff},               {GAVEL_TOKEN_REAL, 4},   {GAVEL_TOKEN_REAL, 8},
    {GAVEL_TOKEN_UINT, 1},   {GAVEL_TOKEN_UINT, 2},   {GAVEL_TOKEN_UINT, 4},   {GAVEL_TOKEN_UINT, 8},
    {GAVEL_TOKEN_INT, 1},    {GAVEL_TOKEN_INT, 2},    {GAVEL_TOKEN_INT, 4},    {GAVEL_TOKEN_INT, 8},
    {0, 0xff},               {0, 0xff},               {0, 0xff},               {0, 0xff},
    {0, 0xff},               {GAVEL_TOKEN_STRING, 1}, {GAVEL_TOKEN_STRING, 2}, {GAVEL_TOKEN_STRING, 4},
    {GAVEL_TOKEN_ARRAY, 2},  {GAVEL_TOKEN_ARRAY, 4},  {GAVEL_TOKEN_MAP, 2},    {GAVEL_TOKEN_MAP, 4},
};

/* The least number of each width (by log2) that needs this width, for unsigned numbers, lengths and counts. */
static const uint64_t least_uint[4] = {128, 256, 65536, UINT64_C(1) << 32};
static const int64_t most_int[4] = {-33, -129, -32769, -(INT64_C(1) << 31) - 1};

static uint64_t big_endian(const unsigned char *at, uint32_t width)
{
    uint64_t value = 0;
    uint32_t i;

    for (i = 0; i < width; i++)
        value = value << 8 | at[i];
    return value;
}

static uint32_t width_log2(uint32_t width)
{
    return width == 8 ? 3 : width >> 1;
}

static void decode_real(uint64_t raw, uint32_t width, struct mp_head *head)
{
    if (width == 4) {
        uint32_t half = (uint32_t)raw;
        float single;
        memcpy(&single, &half, sizeof single);
        head->real = (double)single;
        head->shortest = 0; /* canonical reals are 8 bytes wide */
    } else {
        memcpy(&head->real, &raw, sizeof head->real);
    }
}

static void decode_int(uint64_t raw, uint32_t width, struct mp_head *head)
{
    uint32_t unused = 64 - width * 8;
    int64_t value = (int64_t)(raw << unused) >> unused;

    if (value >= 0) {
        head->type = GAVEL_TOKEN_UINT;
        head->uint = (uint64_t)value;
        head->shortest = 0;
    } else {
        head->sint = value;
        head->shortest = value <= most_int[width_log2(width)];
    }
}

static void decode_count(uint64_t raw, uint32_t width, struct mp_head *head)
{
    uint64_t least = width == 1 ? (head->type == GAVEL_TOKEN_BYTES ? 0 : 32) : least_uint[width_log2(width)];

    if (width == 2 && (head->type == GAVEL_TOKEN_ARRAY || head->type == GAVEL_TOKEN_MAP))
        least = 16;
    head->count = raw;
    head->shortest = raw >= least;
}

int mp_head_long(const unsigned char *at, uint64_t left, struct mp_head *head)
{
    uint32_t width = long_form[*at - 0xc0].width;
    uint64_t raw;

    if (width == 0xff)
        return MP_HEAD_REFUSED;
    if (left - 1 < width)
        return MP_HEAD_CUT;
    head->type = long_form[*at - 0xc0].type;
    head->bytes = 1 + width;
    raw = big_endian(at + 1, width);
    switch (head->type) {
    case GAVEL_TOKEN_NIL:
        break;
    case GAVEL_TOKEN_BOOL:
        head->uint = *at == 0xc3;
        break;
    case GAVEL_TOKEN_UINT:
        head->uint = raw;
        head->shortest = raw >= least_uint[width_log2(width)];
        break;
    case GAVEL_TOKEN_INT:
        decode_int(raw, width, head);
        break;
    case GAVEL_TOKEN_REAL:
        decode_real(raw, width, head);
        break;
    default:
        decode_count(raw, width, head);
        break;
    }
    return 0;
}

/* ---- UTF-8 ------------------------------------------------------------------------------------------------------- */

/*
 * The length of the sequence that begins at `at`, or 0: overlong forms, surrogates and what is over U+10FFFF are
 * none.
 */
static uint64_t utf8_sequence(const unsigned char *at, uint64_t left)
{
    unsigned char first = at[0];

    if (first >= 0xc2 && first <= 0xdf)
        return left >= 2 && (at[1] & 0xc0) == 0x80 ? 2 : 0;
    if ((first & 0xf0) == 0xe0) {
        if (left < 3 || (at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80)
            return 0;
        if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f))
            return 0;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (left < 4 || (at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80 || (at[3] & 0xc0) != 0x80)
            return 0;
        if ((first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

int mp_utf8(const void *text, uint64_t size)
{
    const unsigned char *at = text;
    const unsigned char *end;

    if (size == 0) /* of an empty text the address may be NULL, to which not even 0 may be added */
        return 1;
    end = at + size;
    while (at < end) {
        uint64_t word;
        uint64_t step;
        while (end - at >= 8) {
            memcpy(&word, at, 8);
            if (word & UINT64_C(0x8080808080808080))
                break;
            at += 8;
        }
        if (at == end)
            break;
        if (*at < 0x80) {
            at++;
            continue;
        }
        step = utf8_sequence(at, (uint64_t)(end - at));
        if (step == 0)
            return 0;
        at += step;
    }
    return 1;
}

/* ---- walking trusted bytes --------------------------------------------------------------------------------------- */

uint64_t mp_value_size(const void *data, uint64_t size)
{
    const unsigned char *at = data;
    const unsigned char *end = at + size;
    uint64_t values = 1;
    struct mp_head head;

    while (values > 0) {
        int outcome = mp_head_read(at, (uint64_t)(end - at), &head);
        assert(outcome == 0);
        at += head.bytes + mp_head_body(&head);
        assert(at <= end);
        values += mp_head_values(&head);
        values--;
    }
    return (uint64_t)(at - (const unsigned char *)data);
}

int mp_key_compare(const unsigned char *a, const unsigned char *b)
{
    struct mp_head x;
    struct mp_head y;
    int outcome = mp_head_read(a, 9, &x);

    assert(outcome == 0);
    outcome = mp_head_read(b, 9, &y);
    assert(outcome == 0);
    if (x.type != y.type)
        return x.type == GAVEL_TOKEN_UINT ? -1 : 1;
    if (x.type == GAVEL_TOKEN_UINT)
        return x.uint < y.uint ? -1 : x.uint > y.uint;
    return gavel_slice_compare(gavel_bytes(a + x.bytes, x.count), gavel_bytes(b + y.bytes, y.count));
}

/* ---- doubled keys ------------------------------------------------------------------------------------------------ */

/* Let the key at `root` sink in a heap of `count` offsets. */
static void heap_sink(const unsigned char *base, uint32_t *keys, uint64_t root, uint64_t count)
{
    for (;;) {
        uint64_t child = root * 2 + 1;
        uint32_t swap;
        if (child >= count)
            return;
        if (child + 1 < count && mp_key_compare(base + keys[child], base + keys[child + 1]) < 0)
            child++;
        if (mp_key_compare(base + keys[root], base + keys[child]) >= 0)
            return;
        swap = keys[root];
        keys[root] = keys[child];
        keys[child] = swap;
        root = child;
    }
}

/* Heap sort: no worst case that a hostile order could reach, no memory. */
static void sort_keys(const unsigned char *base, uint32_t *keys, uint64_t count)
{
    uint64_t i;

    for (i = count / 2; i-- > 0;)
        heap_sink(base, keys, i, count);
    for (i = count; i-- > 1;) {
        uint32_t swap = keys[0];
        keys[0] = keys[i];
        keys[i] = swap;
        heap_sink(base, keys, 0, i);
    }
}

/* Fill in the offset of each of `count` keys; the map's pairs begin at `at`. */
static void collect_keys(const unsigned char *at, const unsigned char *end, uint32_t *keys, uint64_t count)
{
    const unsigned char *base = at;
    uint64_t i;

    for (i = 0; i < count; i++) {
        keys[i] = (uint32_t)(at - base);
        at += mp_value_size(at, (uint64_t)(end - at));
        at += mp_value_size(at, (uint64_t)(end - at));
    }
}

/* 1: a key is there twice; 0: none; negative: memory. */
static int32_t doubled_key(const unsigned char *pairs, const unsigned char *end, uint64_t count)
{
    uint32_t few[PAIRWISE_MAX];
    uint32_t *keys = few;
    int32_t found = 0;
    uint64_t i;
    uint64_t j;

    if (count > PAIRWISE_MAX) {
        keys = malloc(count * sizeof *keys);
        if (!keys)
            return GAVEL_E_NO_MEMORY;
    }
    collect_keys(pairs, end, keys, count);
    if (count > PAIRWISE_MAX) {
        sort_keys(pairs, keys, count);
        for (i = 1; i < count && !found; i++)
            found = mp_key_compare(pairs + keys[i - 1], pairs + keys[i]) == 0;
        free(keys);
    } else {
        for (i = 1; i < count && !found; i++)
            for (j = 0; j < i && !found; j++)
                found = mp_key_compare(pairs + keys[j], pairs + keys[i]) == 0;
    }
    return found;
}

/* ---- the scan ---------------------------------------------------------------------------------------------------- */

struct scan {
    const unsigned char *start;
    const unsigned char *at;
    const unsigned char *end;
    uint64_t items;
    uint64_t depth_max;
    uint64_t items_max;
    uint32_t flags;
    uint32_t depth;
    struct gavel_error *error;
    struct {
        uint64_t left; /* keys and values still to come */
        uint64_t count;
        const unsigned char *pairs; /* NULL: an array */
        const unsigned char *last;  /* the key before */
        int unsorted;
    } level[MP_DEPTH_MAX];
};

static int32_t refuse(const struct scan *scan, const char *what)
{
    return gavel_fail(scan->error, GAVEL_E_INVALID, "MessagePack byte %llu: %s",
                      (unsigned long long)(scan->at - scan->start), what);
}

/* The rules of a key; `head` is decoded, its body inside the input. */
static int32_t scan_key(struct scan *scan, const struct mp_head *head)
{
    const unsigned char *last = scan->level[scan->depth - 1].last;

    if (head->type == GAVEL_TOKEN_UINT) {
        if (scan->flags & MP_NAMED_KEYS)
            return refuse(scan, "a key is a number; keys of documents are strings");
    } else if (head->type == GAVEL_TOKEN_STRING) {
        if (head->count && memchr(scan->at + head->bytes, 0, head->count))
            return refuse(scan, "a key holds U+0000");
    } else {
        return refuse(scan, "a key is neither a string nor an unsigned number");
    }
    if (last) {
        int order = mp_key_compare(last, scan->at);
        if (order == 0 && !(scan->flags & MP_DOUBLED))
            return refuse(scan, "a key is there twice");
        if (order > 0 && (scan->flags & MP_CANONICAL))
            return refuse(scan, "keys are not in ascending order");
        if (order > 0)
            scan->level[scan->depth - 1].unsorted = 1;
    }
    scan->level[scan->depth - 1].last = scan->at;
    return GAVEL_OK;
}

static int32_t scan_open(struct scan *scan, const struct mp_head *head)
{
    uint64_t values = mp_head_values(head);

    if (values > (uint64_t)(scan->end - scan->at) - head->bytes)
        return refuse(scan, "more elements are declared than bytes remain");
    if (scan->depth >= scan->depth_max)
        return gavel_fail(scan->error, GAVEL_E_TOO_LARGE, "MessagePack byte %llu: nested deeper than %llu",
                          (unsigned long long)(scan->at - scan->start), (unsigned long long)scan->depth_max);
    scan->level[scan->depth].left = values;
    scan->level[scan->depth].count = head->count;
    scan->level[scan->depth].pairs = head->type == GAVEL_TOKEN_MAP ? scan->at + head->bytes : NULL;
    scan->level[scan->depth].last = NULL;
    scan->level[scan->depth].unsorted = 0;
    scan->depth++;
    return GAVEL_OK;
}

/* Close what is complete. */
static int32_t scan_close(struct scan *scan)
{
    while (scan->depth > 0 && scan->level[scan->depth - 1].left == 0) {
        uint32_t level = --scan->depth;
        if (scan->level[level].unsorted && !(scan->flags & MP_DOUBLED)) {
            int32_t doubled = doubled_key(scan->level[level].pairs, scan->at, scan->level[level].count);
            if (doubled < 0)
                return gavel_fail(scan->error, doubled, "no memory to compare the keys of a map");
            if (doubled)
                return refuse(scan, "a key of the map that ends here is there twice");
        }
    }
    return GAVEL_OK;
}

static int32_t scan_token(struct scan *scan)
{
    struct mp_head head;
    uint64_t left = (uint64_t)(scan->end - scan->at);
    int outcome = mp_head_read(scan->at, left, &head);
    int key = 0;
    int32_t status = GAVEL_OK;

    if (outcome != 0)
        return refuse(scan, outcome == MP_HEAD_CUT ? "cut short" : "a type that is not supported");
    if (mp_head_body(&head) > left - head.bytes)
        return refuse(scan, "a string or bytes are longer than what remains");
    if (++scan->items > scan->items_max)
        return gavel_fail(scan->error, GAVEL_E_TOO_LARGE, "MessagePack: more than %llu values",
                          (unsigned long long)scan->items_max);
    if (!head.shortest && (scan->flags & MP_CANONICAL))
        return refuse(scan, "not the shortest form");
    if (head.type == GAVEL_TOKEN_STRING && !mp_utf8(scan->at + head.bytes, head.count))
        return refuse(scan, "a string is not valid UTF-8");
    if (head.type == GAVEL_TOKEN_REAL && !isfinite(head.real))
        return refuse(scan, "a number is not finite");
    if (scan->depth > 0) {
        key = scan->level[scan->depth - 1].pairs && scan->level[scan->depth - 1].left % 2 == 0;
        scan->level[scan->depth - 1].left--;
    }
    if (key)
        status = scan_key(scan, &head);
    else if (head.type == GAVEL_TOKEN_MAP || head.type == GAVEL_TOKEN_ARRAY)
        status = scan_open(scan, &head);
    if (status == GAVEL_OK)
        scan->at += head.bytes + mp_head_body(&head);
    return status;
}

int32_t mp_scan_prefix(struct gavel_slice input, const struct gavel_limits *limits, uint32_t flags, uint64_t *size,
                       uint64_t *items, struct gavel_error *error)
{
    static const unsigned char nothing[1];
    struct scan scan;
    int32_t status;

    /* Offsets of keys are kept in 32 bits. */
    if (input.size > limits->bytes || input.size > UINT32_MAX)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "MessagePack: %llu bytes, at most %llu are taken",
                          (unsigned long long)input.size, (unsigned long long)limits->bytes);
    scan.start = input.size ? input.data : nothing;
    scan.at = scan.start;
    scan.end = scan.at + input.size;
    scan.items = 0;
    scan.depth_max = limits->depth < MP_DEPTH_MAX ? limits->depth : MP_DEPTH_MAX;
    scan.items_max = limits->items;
    scan.flags = flags;
    scan.depth = 0;
    scan.error = error;
    do {
        status = scan_token(&scan);
        if (status == GAVEL_OK)
            status = scan_close(&scan);
    } while (status == GAVEL_OK && scan.depth > 0);
    *size = (uint64_t)(scan.at - scan.start);
    *items = scan.items;
    return status;
}

int32_t mp_scan(struct gavel_slice input, const struct gavel_limits *limits, uint32_t flags, struct gavel_error *error)
{
    uint64_t size = 0;
    uint64_t items;
    int32_t status = mp_scan_prefix(input, limits, flags, &size, &items, error);

    if (status == GAVEL_OK && size != input.size)
        status = gavel_fail(error, GAVEL_E_INVALID, "MessagePack byte %llu: bytes follow the value",
                            (unsigned long long)size);
    return status;
}
