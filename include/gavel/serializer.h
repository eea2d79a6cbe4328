/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gavel/serializer.h - serializer plugins: a streaming writer and a bounded streaming reader of maps, arrays, numbers,
 * strings and bytes. A serializer knows nothing of Raft. The writer interface is also what a state machine writes its
 * results with (the host hands it one that makes MessagePack).
 *
 * A key has a name (used by JSON) and a small number (used by MessagePack), so a message can gain fields without a new
 * ABI. A key with number 0 is known by its name in every format: the keys of users' documents are of that kind.
 */
#ifndef GAVEL_SERIALIZER_H
#define GAVEL_SERIALIZER_H

#include <gavel/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- writer ------------------------------------------------------------------------------------------------------ */

struct gavel_writer;

/*
 * [any] Errors stick: after the first one (memory, limit, wrong nesting) every call does nothing, and the
 * status is told at the end. `count` is exact and in elements (pairs for a map); `end` closes the innermost map
 * or array.
 */
struct gavel_writer_ops {
    uint64_t size; /* GAVEL_END(struct gavel_writer_ops, msgpack) */
    void (*map)(struct gavel_writer *writer, uint64_t count);
    void (*array)(struct gavel_writer *writer, uint64_t count);
    void (*end)(struct gavel_writer *writer);
    void (*key)(struct gavel_writer *writer, struct gavel_slice name, uint64_t number);
    void (*nil)(struct gavel_writer *writer);
    void (*boolean)(struct gavel_writer *writer, uint64_t value);
    void (*uint)(struct gavel_writer *writer, uint64_t value);
    void (*sint)(struct gavel_writer *writer, int64_t value);
    void (*real)(struct gavel_writer *writer, double value);
    void (*string)(struct gavel_writer *writer, struct gavel_slice utf8);
    void (*bytes)(struct gavel_writer *writer, struct gavel_slice bytes);
    /*
     * Optional: embed one whole value that is checked MessagePack already. Missing: the host writes it token by
     * token. Nested deeper than readers follow (64 levels in MessagePack), it is GAVEL_E_TOO_LARGE at the end.
     */
    void (*msgpack)(struct gavel_writer *writer, struct gavel_slice value);
};

/* The head of a writer; its maker's state follows in memory. */
struct gavel_writer {
    const struct gavel_writer_ops *ops;
};

static inline void gavel_put_map(struct gavel_writer *w, uint64_t count) { w->ops->map(w, count); }
static inline void gavel_put_array(struct gavel_writer *w, uint64_t count) { w->ops->array(w, count); }
static inline void gavel_put_end(struct gavel_writer *w) { w->ops->end(w); }
static inline void gavel_put_key(struct gavel_writer *w, const char *name) { w->ops->key(w, gavel_text(name), 0); }
static inline void gavel_put_nil(struct gavel_writer *w) { w->ops->nil(w); }
static inline void gavel_put_bool(struct gavel_writer *w, int value) { w->ops->boolean(w, value != 0); }
static inline void gavel_put_uint(struct gavel_writer *w, uint64_t value) { w->ops->uint(w, value); }
static inline void gavel_put_int(struct gavel_writer *w, int64_t value) { w->ops->sint(w, value); }
static inline void gavel_put_real(struct gavel_writer *w, double value) { w->ops->real(w, value); }
static inline void gavel_put_string(struct gavel_writer *w, struct gavel_slice utf8) { w->ops->string(w, utf8); }
static inline void gavel_put_text(struct gavel_writer *w, const char *text) { w->ops->string(w, gavel_text(text)); }
static inline void gavel_put_bytes(struct gavel_writer *w, struct gavel_slice bytes) { w->ops->bytes(w, bytes); }

/* ---- reader ------------------------------------------------------------------------------------------------------ */

/* Tokens. A map is MAP, then KEY and a value for each pair, then END; an array is ARRAY, its values, END. */
#define GAVEL_TOKEN_MAP 1    /* `count` pairs, or GAVEL_COUNT_UNKNOWN */
#define GAVEL_TOKEN_ARRAY 2  /* `count` values, or GAVEL_COUNT_UNKNOWN */
#define GAVEL_TOKEN_END 3    /* of the innermost map or array */
#define GAVEL_TOKEN_KEY 4    /* `text` is its name, or text.data is NULL and `uint` its number */
#define GAVEL_TOKEN_NIL 5
#define GAVEL_TOKEN_BOOL 6   /* `uint` is 0 or 1 */
#define GAVEL_TOKEN_UINT 7   /* `uint`: every whole number that is not negative */
#define GAVEL_TOKEN_INT 8    /* `sint`: negative whole numbers only */
#define GAVEL_TOKEN_REAL 9   /* `real` */
#define GAVEL_TOKEN_STRING 10 /* `text`, valid UTF-8 */
#define GAVEL_TOKEN_BYTES 11 /* `text` */
#define GAVEL_TOKEN_FINISH 12 /* the input is at its end, as it should be */
#define GAVEL_COUNT_UNKNOWN UINT64_MAX

struct gavel_token {
    uint64_t type;
    uint64_t count;
    uint64_t uint;
    int64_t sint;
    double real;
    struct gavel_slice text; /* borrowed until the reader is ended */
};

/* What an input may hold at the most; checked before memory is taken. 0 is no permission, not "unlimited". */
struct gavel_limits {
    uint64_t size;  /* GAVEL_END(struct gavel_limits, items) */
    uint64_t depth; /* nesting of maps and arrays */
    uint64_t bytes; /* of the whole input */
    uint64_t items; /* tokens in the whole input */
};

struct gavel_reader;

struct gavel_reader_ops {
    uint64_t size; /* GAVEL_END(struct gavel_reader_ops, msgpack) */
    /* [any] The next token. GAVEL_E_INVALID or GAVEL_E_TOO_LARGE with a sentence; after an error only read_end. */
    int32_t (*next)(struct gavel_reader *reader, struct gavel_token *token, struct gavel_error *error);
    /* [any] Optional, at a value's place: the whole value as MessagePack without copying, borrowed from the input. */
    int32_t (*msgpack)(struct gavel_reader *reader, struct gavel_slice *value, struct gavel_error *error);
};

struct gavel_reader {
    const struct gavel_reader_ops *ops;
};

/* ---- the plugin -------------------------------------------------------------------------------------------------- */

/* Every function is [any]; `self` may be used by several lanes at once, a writer or reader by one at a time. */
struct gavel_serializer {
    uint64_t size;          /* GAVEL_END(struct gavel_serializer, read_end) */
    const char *media_type; /* "application/msgpack" */
    uint64_t preference;    /* of two that nobody put in an order the one with the higher number is used */
    uint64_t writer_bytes;  /* memory for one writer, given by the caller, aligned to 16 */
    uint64_t reader_bytes;  /* the same for a reader */
    /* Make a writer in `memory` that appends to *out (the caller's, with its limit). */
    int32_t (*write_begin)(void *self, void *memory, struct gavel_buffer *out, struct gavel_writer **writer);
    /* End it: the first error it met, or 0. The memory may then be used again. */
    int32_t (*write_end)(void *self, struct gavel_writer *writer, struct gavel_error *error);
    /* Make a reader in `memory` over `input`, which stays valid and unchanged until read_end. May check it whole. */
    int32_t (*read_begin)(void *self, void *memory, struct gavel_slice input, const struct gavel_limits *limits,
                          struct gavel_reader **reader, struct gavel_error *error);
    void (*read_end)(void *self, struct gavel_reader *reader);
};

GAVEL_CHECK_LAYOUT(sizeof(struct gavel_writer_ops) == 104);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_reader_ops) == 24);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_token) == 56);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_limits) == 32);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_serializer) == 72);

#ifdef __cplusplus
}
#endif
#endif
