/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gavel/abi.h - the words that every table of the plugin ABI is made of: slices, buffers, status codes, errors.
 *
 * Rules of the ABI, kept by static assertions in the tree:
 *  - tables begin with `size`; members are only ever appended, and are 8 bytes wide; no enum, bool, long, off_t,
 *    bitfield or variable argument list crosses the border;
 *  - `size` is GAVEL_END(type, last member), not sizeof: trailing padding would hide a new member;
 *  - a member beyond the size that the other side stated counts as NULL or 0, and that means "the default";
 *  - slices are borrowed for the length of the call, unless a comment says otherwise;
 *  - every function is tagged with the lane it runs on: [loop] [apply] [worker] [observer] [any].
 */
#ifndef GAVEL_ABI_H
#define GAVEL_ABI_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The version of this ABI. A change of MAJOR breaks plugins; MINOR grows with the first member that is appended after a
 * release. gavel-abi-history(7) justifies each change, and tests/abi holds every released minor's headers.
 */
#define GAVEL_ABI_MAJOR 1
#define GAVEL_ABI_MINOR 1

/*
 * A plugin may define GAVEL_ABI_TARGET to an older minor before including: newer members and numbers are then hidden:
 * each stands between "#if GAVEL_ABI_TARGET >= the minor that brought it" and "#endif".
 */
#ifndef GAVEL_ABI_TARGET
#define GAVEL_ABI_TARGET GAVEL_ABI_MINOR
#endif
#if GAVEL_ABI_TARGET > GAVEL_ABI_MINOR
#error "GAVEL_ABI_TARGET is newer than these headers"
#endif

#if defined(__GNUC__)
#define GAVEL_EXPORT __attribute__((visibility("default")))
#define GAVEL_PRINTF(format_at, first) __attribute__((format(printf, format_at, first)))
#else
#define GAVEL_EXPORT
#define GAVEL_PRINTF(format_at, first)
#endif

/* The end of `member` in `type`: what a table states as its size. */
#define GAVEL_END(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/* True when `member` lies within the size that the maker of *table stated. */
#define GAVEL_HAS(type, table, member) ((table)->size >= GAVEL_END(type, member))

/* A compile-time check that C99 and C++98 understand; a declaration, for two headers may share a line number. */
#define GAVEL_PASTE2(a, b) a##b
#define GAVEL_PASTE(a, b) GAVEL_PASTE2(a, b)
#if defined(__cplusplus) && __cplusplus >= 201103L
#define GAVEL_CHECK_LAYOUT(condition) static_assert(condition, #condition)
#else
#define GAVEL_CHECK_LAYOUT(condition) extern char GAVEL_PASTE(gavel_layout_, __LINE__)[(condition) ? 1 : -1]
#endif

GAVEL_CHECK_LAYOUT(sizeof(void *) == 8); /* 64-bit platforms only: members are 8 bytes wide */

/* ---- status ------------------------------------------------------------------------------------------------------ */

/* 0 is success, positive values are an operation's own, negative ones are these. Numbers are never reused. */
#define GAVEL_OK 0
#define GAVEL_E_INVALID (-1)      /* an argument is malformed, missing, unknown or out of range */
#define GAVEL_E_NOT_FOUND (-2)    /* the key, workflow, session, command ... does not exist */
#define GAVEL_E_EXISTS (-3)       /* it exists already */
#define GAVEL_E_CONDITION (-4)    /* a compare failed: cas with another value or revision */
#define GAVEL_E_STATE (-5)        /* refused in its present state: a stopped workflow, a change in flight */
#define GAVEL_E_TOO_LARGE (-6)    /* over a limit in bytes, depth or count */
#define GAVEL_E_BUSY (-7)         /* a bounded queue is full; nothing was done; try again */
#define GAVEL_E_NO_LEADER (-8)    /* no leader or no quorum in time; nothing was done */
#define GAVEL_E_TIMEOUT (-9)      /* the time ran out, and nothing was done */
#define GAVEL_E_UNKNOWN (-10)     /* the outcome is unknown: it may have been done, or may yet be */
#define GAVEL_E_DENIED (-11)      /* this principal or role may not */
#define GAVEL_E_CLOSED (-12)      /* the connection, stream or object is closed or going away */
#define GAVEL_E_CORRUPT (-13)     /* a checksum or a structure is wrong */
#define GAVEL_E_IO (-14)          /* the system refused: see the sentence */
#define GAVEL_E_NO_SPACE (-15)    /* the disk is full: writes are refused, reads go on */
#define GAVEL_E_NO_MEMORY (-16)   /* memory ran out */
#define GAVEL_E_LOCAL (-17)       /* from a machine's run: this node alone failed; it stops, nothing is replicated */
#define GAVEL_E_UNSUPPORTED (-18) /* the other side does not know how */
#define GAVEL_E_EXPIRED (-19)     /* the session has expired or was never registered: never executed again */
#define GAVEL_E_STALE (-20)       /* the sequence lies below what the client acknowledged: never executed again */
#define GAVEL_E_COMPACTED (-21)   /* history that far back is gone; the oldest revision is told */
#define GAVEL_E_CONFIG (-22)      /* configuration: see the sentence */
#define GAVEL_E_VERSION (-23)     /* versions do not fit */
#define GAVEL_E_INTERNAL (-24)    /* a bug or an assertion of ours or of a plugin */
#define GAVEL_E_NOT_LEADER (-25)  /* this node does not lead, and forwarding was declined */

/* ---- slices ------------------------------------------------------------------------------------------------------ */

/* Borrowed bytes. An empty slice may have any pointer; an absent optional one has NULL. */
struct gavel_slice {
    const void *data;
    uint64_t size;
};

/* [any] A slice over a NUL-terminated string, without the NUL; NULL gives the absent slice. */
static inline struct gavel_slice gavel_text(const char *text)
{
    struct gavel_slice slice;
    slice.data = text;
    slice.size = text ? (uint64_t)strlen(text) : 0;
    return slice;
}

/* [any] A slice over `size` bytes at `data`. */
static inline struct gavel_slice gavel_bytes(const void *data, uint64_t size)
{
    struct gavel_slice slice;
    slice.data = data;
    slice.size = size;
    return slice;
}

/* [any] memcmp order, the shorter first when one is a prefix of the other. */
static inline int gavel_slice_compare(struct gavel_slice a, struct gavel_slice b)
{
    uint64_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter ? memcmp(a.data, b.data, (size_t)shorter) : 0;
    if (order != 0)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

/* [any] 1 when both hold the same bytes. */
static inline int gavel_slice_equal(struct gavel_slice a, struct gavel_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, (size_t)a.size) == 0);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* Owned by the caller of whatever fills it; a sentence without a final full stop: what, where, what to do. */
struct gavel_error {
    int64_t code;
    char text[504];
};
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_error) == 512);

/* [any] Fill `error` (may be NULL) and return `code`, so that a failing function can end in one line. */
static inline int32_t gavel_fail(struct gavel_error *error, int32_t code, const char *format, ...) GAVEL_PRINTF(3, 4);
static inline int32_t gavel_fail(struct gavel_error *error, int32_t code, const char *format, ...)
{
    va_list arguments;
    if (error) {
        error->code = code;
        va_start(arguments, format);
        (void)vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
    }
    return code;
}

/* [any] Put "`prefix`: " before the sentence that is there, keep its code, and return that code. */
static inline int32_t gavel_wrap(struct gavel_error *error, const char *prefix)
{
    char text[sizeof error->text];
    size_t length;
    if (!error)
        return GAVEL_E_INTERNAL;
    memcpy(text, error->text, sizeof text);
    text[sizeof text - 1] = 0;
    length = (size_t)snprintf(error->text, sizeof error->text, "%s: ", prefix);
    if (length < sizeof error->text) {
        size_t room = sizeof error->text - length - 1;
        size_t take = strlen(text) < room ? strlen(text) : room;
        memcpy(error->text + length, text, take);
        error->text[length + take] = 0;
    }
    return (int32_t)error->code;
}

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

/* A heap: memory made by one is given back to the same one, whichever module holds it by then. */
struct gavel_heap {
    uint64_t size; /* GAVEL_END(struct gavel_heap, resize) */
    void *self;
    /* [any] As realloc: old NULL allocates, wanted 0 frees and returns NULL; NULL when memory is out. */
    void *(*resize)(void *self, void *old, uint64_t wanted);
};

/* A growing run of bytes. All zero but for `heap` is a valid empty one. The holder frees it. */
struct gavel_buffer {
    unsigned char *data;
    uint64_t size;
    uint64_t capacity;
    const struct gavel_heap *heap;
    uint64_t limit; /* never grows over this many bytes; 0: no limit but memory */
};

/* [any] Make room for `more` bytes behind the present ones. GAVEL_E_TOO_LARGE over the limit, GAVEL_E_NO_MEMORY. */
static inline int32_t gavel_buffer_reserve(struct gavel_buffer *buffer, uint64_t more)
{
    uint64_t wanted;
    uint64_t grown;
    void *data;
    if (more > UINT64_MAX / 4 - buffer->size)
        return GAVEL_E_TOO_LARGE;
    wanted = buffer->size + more;
    if (buffer->limit && wanted > buffer->limit)
        return GAVEL_E_TOO_LARGE;
    if (wanted <= buffer->capacity)
        return GAVEL_OK;
    grown = buffer->capacity ? buffer->capacity * 2 : 256;
    while (grown < wanted)
        grown *= 2;
    if (buffer->limit && grown > buffer->limit)
        grown = buffer->limit;
    data = buffer->heap->resize(buffer->heap->self, buffer->data, grown);
    if (!data)
        return GAVEL_E_NO_MEMORY;
    buffer->data = (unsigned char *)data;
    buffer->capacity = grown;
    return GAVEL_OK;
}

/* [any] Append; nothing is changed on failure. */
static inline int32_t gavel_buffer_append(struct gavel_buffer *buffer, const void *data, uint64_t size)
{
    int32_t status = gavel_buffer_reserve(buffer, size);
    if (status != GAVEL_OK)
        return status;
    if (size)
        memcpy(buffer->data + buffer->size, data, (size_t)size);
    buffer->size += size;
    return GAVEL_OK;
}

/* [any] Give the memory back; the buffer stays usable and keeps its heap and limit. */
static inline void gavel_buffer_free(struct gavel_buffer *buffer)
{
    if (buffer && buffer->data && buffer->heap)
        (void)buffer->heap->resize(buffer->heap->self, buffer->data, 0);
    if (buffer) {
        buffer->data = NULL;
        buffer->size = 0;
        buffer->capacity = 0;
    }
}

/* [any] The bytes of a buffer, borrowed until it is changed. */
static inline struct gavel_slice gavel_buffer_slice(const struct gavel_buffer *buffer)
{
    return gavel_bytes(buffer->data, buffer->size);
}

GAVEL_CHECK_LAYOUT(sizeof(struct gavel_slice) == 16);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_buffer) == 40);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_heap) == 24);

#ifdef __cplusplus
}
#endif
#endif
