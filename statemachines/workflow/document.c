/* SPDX-License-Identifier: Apache-2.0 */
/* document.c - see document.h. A cursor over MessagePack, and the changes that the store makes to documents. */
#include "document.h"

__extension__ typedef __int128 wide; /* holds any sum of two whole numbers */

enum kind { KIND_SCALAR, KIND_UINT, KIND_INT, KIND_STRING, KIND_ARRAY, KIND_MAP };

/* The head of a value; for scalars and strings that is all of it. */
struct head {
    enum kind kind;
    uint64_t count; /* elements of an array, pairs of a map */
    uint64_t bits;  /* of a whole number */
    struct gavel_slice text;
};

struct cursor {
    const unsigned char *at;
    const unsigned char *end;
};

static struct cursor cursor_over(struct gavel_slice slice)
{
    struct cursor cursor = { slice.data, NULL };
    cursor.end = cursor.at + slice.size;
    return cursor;
}

static uint64_t left_of(const struct cursor *cursor)
{
    return (uint64_t)(cursor->end - cursor->at);
}

/* A number of `bytes` bytes, the biggest first; 0 and *bad when they are not there. */
static uint64_t read_number(struct cursor *cursor, unsigned bytes, int *bad)
{
    uint64_t number = 0;
    if (left_of(cursor) < bytes) {
        *bad = 1;
        return 0;
    }
    while (bytes-- > 0)
        number = number << 8 | *cursor->at++;
    return number;
}

static void read_text(struct cursor *cursor, struct head *head, uint64_t size, int *bad)
{
    if (left_of(cursor) < size) {
        *bad = 1;
        return;
    }
    head->text = gavel_bytes(cursor->at, size);
    cursor->at += size;
}

/* What the type bytes from c0 on mean. */
static void read_long_head(struct cursor *cursor, unsigned type, struct head *head, int *bad)
{
    unsigned width;
    if (type <= 0xc3) { /* nil, false, true; c1 is none */
        *bad |= type == 0xc1;
    } else if (type <= 0xc6) { /* bytes */
        read_text(cursor, head, read_number(cursor, 1u << (type - 0xc4), bad), bad);
    } else if (type == 0xca || type == 0xcb) {
        (void)read_number(cursor, type == 0xca ? 4 : 8, bad);
    } else if (type >= 0xcc && type <= 0xcf) {
        head->kind = KIND_UINT;
        head->bits = read_number(cursor, 1u << (type - 0xcc), bad);
    } else if (type >= 0xd0 && type <= 0xd3) {
        width = 1u << (type - 0xd0);
        head->bits = read_number(cursor, width, bad);
        if (width < 8 && head->bits >> (8 * width - 1))
            head->bits |= UINT64_MAX << 8 * width;
        head->kind = head->bits >> 63 ? KIND_INT : KIND_UINT;
    } else if (type >= 0xd9 && type <= 0xdb) {
        head->kind = KIND_STRING;
        read_text(cursor, head, read_number(cursor, 1u << (type - 0xd9), bad), bad);
    } else if (type >= 0xdc) {
        head->kind = type <= 0xdd ? KIND_ARRAY : KIND_MAP;
        head->count = read_number(cursor, type & 1 ? 4 : 2, bad);
    } else { /* ext types are no documents */
        *bad = 1;
    }
}

/* Step over the head of the next value. 1, or 0 when there is no well-formed one. */
static int read_head(struct cursor *cursor, struct head *head)
{
    int bad = 0;
    unsigned type = (unsigned)read_number(cursor, 1, &bad);
    memset(head, 0, sizeof *head);
    if (bad)
        return 0;
    if (type < 0x80 || type >= 0xe0) {
        head->kind = type < 0x80 ? KIND_UINT : KIND_INT;
        head->bits = type < 0x80 ? type : type | UINT64_MAX << 8;
    } else if (type < 0xa0) {
        head->kind = type < 0x90 ? KIND_MAP : KIND_ARRAY;
        head->count = type & 15;
    } else if (type < 0xc0) {
        head->kind = KIND_STRING;
        read_text(cursor, head, type & 31, &bad);
    } else {
        read_long_head(cursor, type, head, &bad);
    }
    /* Each element takes a byte at least: so a sum of counts cannot overflow below. */
    return !bad && head->count <= left_of(cursor);
}

/* Step over one whole value. */
static int read_value(struct cursor *cursor, struct gavel_slice *value)
{
    const unsigned char *begin = cursor->at;
    uint64_t pending = 1;
    while (pending > 0) {
        struct head head;
        if (!read_head(cursor, &head))
            return 0;
        pending += head.kind == KIND_MAP ? 2 * head.count : head.count;
        pending--;
    }
    *value = gavel_bytes(begin, (uint64_t)(cursor->at - begin));
    return 1;
}

/* ---- walks over maps --------------------------------------------------------------------------------------------- */

/* The pairs of a map, one after the other. */
struct pairs {
    struct cursor cursor;
    uint64_t left;
    int bad;
    struct gavel_slice name;  /* data NULL at the end */
    struct gavel_slice whole; /* the name as it is encoded */
    struct gavel_slice value;
};

static void next_pair(struct pairs *pairs)
{
    const unsigned char *begin = pairs->cursor.at;
    struct head head;
    pairs->name = gavel_bytes(NULL, 0);
    if (pairs->bad || pairs->left == 0)
        return;
    pairs->left--;
    pairs->bad = !read_head(&pairs->cursor, &head) || head.kind != KIND_STRING;
    pairs->whole = gavel_bytes(begin, (uint64_t)(pairs->cursor.at - begin));
    if (!pairs->bad)
        pairs->bad = !read_value(&pairs->cursor, &pairs->value);
    if (!pairs->bad)
        pairs->name = head.text;
}

/* Begin a walk and stand on the first pair; anything but a map has none. */
static struct pairs pairs_of(struct gavel_slice document)
{
    struct pairs pairs;
    struct head head;
    memset(&pairs, 0, sizeof pairs);
    if (!document.data)
        return pairs;
    pairs.cursor = cursor_over(document);
    if (read_head(&pairs.cursor, &head) && head.kind == KIND_MAP)
        pairs.left = head.count;
    next_pair(&pairs);
    return pairs;
}

static int is_map(struct gavel_slice document)
{
    struct cursor cursor = cursor_over(document);
    struct head head;
    return document.data && read_head(&cursor, &head) && head.kind == KIND_MAP;
}

static int is_nil(struct gavel_slice document)
{
    return document.size == 1 && *(const unsigned char *)document.data == 0xc0;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int32_t put_slice(struct gavel_buffer *out, struct gavel_slice slice)
{
    return gavel_buffer_append(out, slice.data, slice.size);
}

static int32_t put_head(struct gavel_buffer *out, unsigned type, uint64_t number, unsigned bytes)
{
    unsigned char head[9];
    unsigned i;
    head[0] = (unsigned char)type;
    for (i = 1; i <= bytes; i++)
        head[i] = (unsigned char)(number >> 8 * (bytes - i));
    return gavel_buffer_append(out, head, 1 + bytes);
}

int32_t document_put_uint(struct gavel_buffer *out, uint64_t number)
{
    if (number < 0x80)
        return put_head(out, (unsigned)number, 0, 0);
    if (number <= UINT8_MAX)
        return put_head(out, 0xcc, number, 1);
    if (number <= UINT16_MAX)
        return put_head(out, 0xcd, number, 2);
    if (number <= UINT32_MAX)
        return put_head(out, 0xce, number, 4);
    return put_head(out, 0xcf, number, 8);
}

static int32_t put_number(struct gavel_buffer *out, const struct document_number *number)
{
    int64_t value = (int64_t)number->bits;
    if (!number->negative)
        return document_put_uint(out, number->bits);
    if (value >= -32)
        return put_head(out, (unsigned)number->bits & 0xff, 0, 0);
    if (value >= INT8_MIN)
        return put_head(out, 0xd0, number->bits, 1);
    if (value >= INT16_MIN)
        return put_head(out, 0xd1, number->bits, 2);
    if (value >= INT32_MIN)
        return put_head(out, 0xd2, number->bits, 4);
    return put_head(out, 0xd3, number->bits, 8);
}

static int32_t put_count(struct gavel_buffer *out, uint64_t count, unsigned small, unsigned large)
{
    if (count < 16)
        return put_head(out, small | (unsigned)count, 0, 0);
    if (count <= UINT16_MAX)
        return put_head(out, large, count, 2);
    return put_head(out, large + 1, count, 4);
}

int32_t document_put_map(struct gavel_buffer *out, uint64_t count)
{
    return put_count(out, count, 0x80, 0xde);
}

int32_t document_put_string(struct gavel_buffer *out, struct gavel_slice text)
{
    int32_t status;
    if (text.size < 32)
        status = put_head(out, 0xa0 | (unsigned)text.size, 0, 0);
    else if (text.size <= UINT8_MAX)
        status = put_head(out, 0xd9, text.size, 1);
    else if (text.size <= UINT16_MAX)
        status = put_head(out, 0xda, text.size, 2);
    else
        status = put_head(out, 0xdb, text.size, 4);
    return status == GAVEL_OK ? put_slice(out, text) : status;
}

/* ---- merge patch ------------------------------------------------------------------------------------------------- */

/* Which of two walks stands on the smaller name: below 0 the first, above 0 the second, 0 both on the same. */
static int smaller_name(const struct pairs *a, const struct pairs *b)
{
    if (!a->name.data || !b->name.data)
        return a->name.data ? -1 : 1;
    return gavel_slice_compare(a->name, b->name);
}

/* How many pairs the merge of a level has: what is not nil in the patch, and what the patch does not name. */
static uint64_t merged_count(struct pairs target, struct pairs patch)
{
    uint64_t count = 0;
    while (target.name.data || patch.name.data) {
        int order = smaller_name(&target, &patch);
        count += order < 0 || !is_nil(patch.value);
        if (order <= 0)
            next_pair(&target);
        if (order >= 0)
            next_pair(&patch);
    }
    return count;
}

/* RFC 7396, section 2: MergePatch(Target, Patch). */
int32_t document_merge(struct gavel_slice target_document, struct gavel_slice patch_document, struct gavel_buffer *out)
{
    struct pairs target;
    struct pairs patch;
    int32_t status;

    if (!is_map(patch_document))
        return put_slice(out, patch_document);
    target = pairs_of(target_document);
    patch = pairs_of(patch_document);
    status = document_put_map(out, merged_count(target, patch));
    while (status == GAVEL_OK && (target.name.data || patch.name.data)) {
        int order = smaller_name(&target, &patch);
        if (order < 0) {
            status = gavel_buffer_append(out, target.whole.data, target.whole.size + target.value.size);
        } else if (!is_nil(patch.value)) {
            status = put_slice(out, patch.whole);
            if (status == GAVEL_OK)
                status = document_merge(order == 0 ? target.value : gavel_bytes(NULL, 0), patch.value, out);
        }
        if (order <= 0)
            next_pair(&target);
        if (order >= 0)
            next_pair(&patch);
    }
    if (status == GAVEL_OK && (target.bad || patch.bad))
        return GAVEL_E_CORRUPT;
    return status;
}

/* ---- adding at a path -------------------------------------------------------------------------------------------- */

/* What stays the same on the way down a path. */
struct addition {
    struct gavel_slice path; /* whole, for sentences */
    int64_t by;
    struct gavel_buffer *out;
    struct document_number *sum;
    struct gavel_error *error;
};

static int32_t refuse(const struct addition *addition, const char *what)
{
    return gavel_fail(addition->error, GAVEL_E_INVALID, "path '%.*s' %s",
                      (int)(addition->path.size < 200 ? addition->path.size : 200),
                      addition->path.data ? (const char *)addition->path.data : "", what);
}

static int32_t add_here(const struct addition *addition, struct gavel_slice value)
{
    struct cursor cursor = cursor_over(value);
    struct head head = { .kind = KIND_UINT };
    wide sum;
    if (value.data && !read_head(&cursor, &head))
        return GAVEL_E_CORRUPT;
    if (head.kind != KIND_UINT && head.kind != KIND_INT)
        return refuse(addition, "leads to something that is not a whole number");
    sum = (head.kind == KIND_INT ? (wide)(int64_t)head.bits : (wide)head.bits) + addition->by;
    if (sum < INT64_MIN || sum > (wide)UINT64_MAX)
        return refuse(addition, "would leave the range of 64 bits");
    addition->sum->negative = sum < 0;
    addition->sum->bits = (uint64_t)sum;
    return put_number(addition->out, addition->sum);
}

/* Cut the first name off a path. 0 when it is empty, as in "a..b". */
static int next_name(struct gavel_slice *path, struct gavel_slice *name, int *last)
{
    const unsigned char *begin = path->data;
    const unsigned char *dot = memchr(begin, '.', path->size);
    uint64_t size = dot ? (uint64_t)(dot - begin) : path->size;
    *last = !dot;
    *name = gavel_bytes(begin, size);
    *path = gavel_bytes(begin + size + (dot != NULL), path->size - size - (dot != NULL));
    return size > 0;
}

static int32_t add_below(const struct addition *addition, struct gavel_slice value, struct gavel_slice path, int last,
                         uint64_t depth);

/* In a map: copy what is before the name, change or make its value, copy what is behind. */
static int32_t add_in_map(const struct addition *addition, struct gavel_slice value, struct gavel_slice name,
                          struct gavel_slice rest, int last, uint64_t depth)
{
    struct pairs pairs = pairs_of(value);
    uint64_t count = 1;
    int placed = 0;
    int32_t status;

    for (; pairs.name.data; next_pair(&pairs))
        count += !gavel_slice_equal(pairs.name, name);
    if (pairs.bad)
        return GAVEL_E_CORRUPT;
    status = document_put_map(addition->out, count);
    for (pairs = pairs_of(value); status == GAVEL_OK && (pairs.name.data || !placed);) {
        int order = placed ? -1 : pairs.name.data ? gavel_slice_compare(pairs.name, name) : 1;
        if (order < 0) {
            status = gavel_buffer_append(addition->out, pairs.whole.data, pairs.whole.size + pairs.value.size);
        } else {
            placed = 1;
            status = document_put_string(addition->out, name);
            if (status == GAVEL_OK)
                status = add_below(addition, order == 0 ? pairs.value : gavel_bytes(NULL, 0), rest, last, depth + 1);
        }
        if (order <= 0)
            next_pair(&pairs);
    }
    return status;
}

static int32_t add_in_array(const struct addition *addition, struct gavel_slice value, struct gavel_slice name,
                            struct gavel_slice rest, int last, uint64_t depth)
{
    struct cursor cursor = cursor_over(value);
    const unsigned char *digits = name.data;
    struct gavel_slice element;
    struct head head;
    uint64_t place = 0;
    uint64_t i;
    int32_t status;

    for (i = 0; i < name.size; i++) {
        if (digits[i] < '0' || digits[i] > '9' || name.size > 9)
            return refuse(addition, "names a place in an array that is no number");
        place = place * 10 + digits[i] - '0';
    }
    if (!read_head(&cursor, &head))
        return GAVEL_E_CORRUPT;
    if (place >= head.count)
        return refuse(addition, "leads behind the end of an array");
    status = gavel_buffer_append(addition->out, value.data, (uint64_t)(cursor.at - (const unsigned char *)value.data));
    for (i = 0; status == GAVEL_OK && i < head.count; i++) {
        if (!read_value(&cursor, &element))
            return GAVEL_E_CORRUPT;
        status = i == place ? add_below(addition, element, rest, last, depth + 1) : put_slice(addition->out, element);
    }
    return status;
}

/* `last`: the path is used up, this is the place. */
static int32_t add_below(const struct addition *addition, struct gavel_slice value, struct gavel_slice path, int last,
                         uint64_t depth)
{
    struct cursor cursor = cursor_over(value);
    struct gavel_slice name;
    struct head head = { .kind = KIND_MAP };
    if (last)
        return add_here(addition, value);
    if (depth == DOCUMENT_DEPTH_MAX)
        return refuse(addition, "is nested too deep");
    if (!next_name(&path, &name, &last))
        return refuse(addition, "has an empty name in it");
    if (memchr(name.data, 0, (size_t)name.size))
        return refuse(addition, "has a name with U+0000 in it, which no document may have");
    if (value.data && !read_head(&cursor, &head))
        return GAVEL_E_CORRUPT;
    if (head.kind == KIND_MAP)
        return add_in_map(addition, value, name, path, last, depth);
    if (head.kind == KIND_ARRAY)
        return add_in_array(addition, value, name, path, last, depth);
    return refuse(addition, "leads through something that is neither a map nor an array");
}

int32_t document_add(struct gavel_slice document, struct gavel_slice path, int64_t by, struct gavel_buffer *out,
                     struct document_number *sum, struct gavel_error *error)
{
    struct addition addition = { path, by, out, sum, error };
    return add_below(&addition, document, path, path.size == 0, 0);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

struct gavel_slice document_find(struct gavel_slice document, const char *name)
{
    struct pairs pairs;
    for (pairs = pairs_of(document); pairs.name.data; next_pair(&pairs))
        if (gavel_slice_equal(pairs.name, gavel_text(name)))
            return pairs.value;
    return gavel_bytes(NULL, 0);
}

uint64_t document_uint(struct gavel_slice value, uint64_t fallback)
{
    struct cursor cursor = cursor_over(value);
    struct head head;
    return value.data && read_head(&cursor, &head) && head.kind == KIND_UINT ? head.bits : fallback;
}

struct gavel_slice document_string(struct gavel_slice value)
{
    struct cursor cursor = cursor_over(value);
    struct head head;
    return value.data && read_head(&cursor, &head) && head.kind == KIND_STRING ? head.text : gavel_bytes(NULL, 0);
}

static int check_value(struct cursor *cursor, uint64_t depth)
{
    struct gavel_slice before = { NULL, 0 };
    struct head head;
    uint64_t i;
    if (!read_head(cursor, &head))
        return 0;
    if (head.kind == KIND_STRING)
        return document_utf8(head.text);
    if (head.kind != KIND_MAP && head.kind != KIND_ARRAY)
        return 1;
    if (depth == 0)
        return 0;
    for (i = 0; i < head.count; i++) {
        if (head.kind == KIND_MAP) {
            struct head name;
            if (!read_head(cursor, &name) || name.kind != KIND_STRING || !document_utf8(name.text) ||
                (before.data && gavel_slice_compare(before, name.text) >= 0))
                return 0;
            before = name.text;
        }
        if (!check_value(cursor, depth - 1))
            return 0;
    }
    return 1;
}

int32_t document_check(struct gavel_slice document)
{
    struct cursor cursor = cursor_over(document);
    if (!check_value(&cursor, DOCUMENT_DEPTH_MAX + DOCUMENT_RECORD_DEPTH) || cursor.at != cursor.end)
        return GAVEL_E_CORRUPT;
    return GAVEL_OK;
}

int document_utf8(struct gavel_slice bytes)
{
    const unsigned char *at = bytes.data;
    const unsigned char *end = at + bytes.size;
    while (at < end) {
        uint32_t more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : (*at & 0xf0) == 0xe0 ? 2 :
                        *at >= 0xf0 && *at < 0xf5 ? 3 : 4;
        uint32_t point = more == 0 ? *at : *at & (0x3fu >> more);
        at++;
        if (more == 4 || (uint64_t)(end - at) < more)
            return 0;
        for (uint32_t i = 0; i < more; i++) {
            if ((*at & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (*at++ & 0x3f);
        }
        /* No overlong forms, no surrogates, nothing over U+10FFFF. */
        if ((more == 2 && point < 0x800) || (point >= 0xd800 && point < 0xe000) || (more == 3 && point < 0x10000) ||
            point > 0x10ffff)
            return 0;
    }
    return 1;
}
