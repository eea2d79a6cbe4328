/* SPDX-License-Identifier: Apache-2.0 */
/*
 * field.h - everything that is done with a `struct gavel_fields` (include/gavel/field.h): text to struct for
 * options and the command line, documents to struct for messages and arguments, struct back to documents and text,
 * and the errors on the way, which name what was wrong and the nearest right spelling.
 *
 * What takes which token, in every format:
 *   BOOL a boolean · UINT, INT a whole number in range · REAL any number · DURATION, SIZE a whole number (ms,
 *   bytes) or text as in an INI file ("5s", "64MiB") · STRING a string · BYTES bytes, or a string for its UTF-8 ·
 *   CHOICE its name or its position · RECORD a map · LIST an array · VALUE any document, nil too. Elsewhere nil
 *   means "not given". In JSON bytes are a string when they are text, else {"$base64":"..."}; numbers over
 *   INT64_MAX are {"$uint":"..."}.
 *
 * Memory: slices and lists of a filled struct point into the input, the row's default text, or the arena. Nothing
 * here allocates from a heap, except where a buffer of the caller's grows.
 */
#ifndef GAVEL_CODEC_FIELD_H
#define GAVEL_CODEC_FIELD_H

#include "core/codec/value.h"

/* ---- arena ------------------------------------------------------------------------------------------------------- */

/* A bump allocator over memory of the caller's: what a decoded message or an option struct points to. Never grows. */
struct codec_arena {
    unsigned char *data;
    uint64_t size;
    uint64_t used;
};

/* [any] Begin to use `size` bytes at `memory`; where it is not aligned to 16, the first bytes are left out. */
struct codec_arena codec_arena(void *memory, uint64_t size);

/* [any] `size` bytes, aligned to `align` (a power of two up to 16), not cleared; NULL when there is no room. */
void *codec_arena_take(struct codec_arena *arena, uint64_t size, uint64_t align);

/* [any] A copy in the arena; 0, or GAVEL_E_TOO_LARGE. A NUL follows the copy, outside of its size. */
int32_t codec_arena_copy(struct codec_arena *arena, struct gavel_slice from, struct gavel_slice *copy);

/* [any] Forget all that was taken. */
static inline void codec_arena_reset(struct codec_arena *arena) { arena->used = 0; }

/* ---- rows -------------------------------------------------------------------------------------------------------- */

#define CODEC_NO_ROW UINT64_MAX

/* [any] Row number `row`, read by the table's stride; members beyond the stride are 0 in *copy, which is returned. */
const struct gavel_field *codec_row(const struct gavel_fields *fields, uint64_t row, struct gavel_field *copy);

/* [any] The number of the row with that name or id, or CODEC_NO_ROW. `fields` may be NULL: an empty table. */
uint64_t codec_row_named(const struct gavel_fields *fields, struct gavel_slice name);
uint64_t codec_row_numbered(const struct gavel_fields *fields, uint64_t id);

/* [any] "string", "unsigned number", "duration" ...: a type for people. */
const char *codec_type_name(uint64_t type);

/*
 * [any] Check a table once, after loading: ids 1..127 and names unique and well formed, types known, members
 * inside the struct, defaults that parse, choices and sub-tables where they belong, at most 64 rows.
 * GAVEL_E_INVALID, names the row.
 */
int32_t codec_fields_check(const struct gavel_fields *fields, struct gavel_error *error);

/* [any] Edit distance of two names, at most `bound` + 1; the measure behind "did you mean". */
uint64_t codec_distance(struct gavel_slice a, struct gavel_slice b, uint64_t bound);

/* Finds the nearest spelling among names fed to it: all zero but `wanted` begins. */
struct codec_nearest {
    struct gavel_slice wanted;
    struct gavel_slice best; /* absent when nothing was near */
    uint64_t distance;
};

/*
 * [any] Offer one name; keeps it when it is near enough (a third of the length, at least 1) and nearer than the
 * others.
 */
void codec_nearest_offer(struct codec_nearest *nearest, struct gavel_slice name);

/* [any] "; did you mean 'x'?" or "" into `text`; returns text. */
const char *codec_nearest_text(const struct codec_nearest *nearest, char *text, uint64_t size);

/* ---- text -> struct: INI and command line ------------------------------------------------------------------------ */

/* [any] Clear the struct and fill in every default of the table, setting those bits of `present`. */
int32_t codec_fields_defaults(const struct gavel_fields *fields, void *object, struct codec_arena *arena,
                              struct gavel_error *error);

/*
 * [any] Set one row from text, in INI syntax, and its bit of `present`. The text is copied where the struct keeps it.
 * GAVEL_E_INVALID: "'votes' is not a whole number", "'9' is over the greatest value, 5", "'leder' is none of ...;
 * did you mean 'leader'?" - without the name of the row, which the caller puts before it. A RECORD cannot be given
 * as text; a
 * VALUE becomes a string; a list is split at blanks and commas.
 */
int32_t codec_field_parse(const struct gavel_fields *fields, uint64_t row, struct gavel_slice text, void *object,
                          struct codec_arena *arena, struct gavel_error *error);

/* [any] Find a row by name and parse. GAVEL_E_NOT_FOUND: "unknown option 'prot'; did you mean 'port'?". Errors of the
 * value are wrapped with the name. */
int32_t codec_fields_set(const struct gavel_fields *fields, const char *name, const char *text, void *object,
                         struct codec_arena *arena, struct gavel_error *error);

/* [any] Every required row is present: else GAVEL_E_INVALID, "'data_dir' is missing". Looks into records too. */
int32_t codec_fields_complete(const struct gavel_fields *fields, const void *object, struct gavel_error *error);

/* [any] Append the present value of a row as text in INI syntax; a secret becomes "***"; an absent one nothing. */
int32_t codec_field_text(const struct gavel_fields *fields, uint64_t row, const void *object,
                         struct gavel_buffer *out);

/* [any] Scalars in INI syntax on their own; the whole text must be used. GAVEL_E_INVALID with a sentence. */
int32_t codec_parse_bool(struct gavel_slice text, uint64_t *out, struct gavel_error *error);
int32_t codec_parse_uint(struct gavel_slice text, uint64_t *out, struct gavel_error *error);
int32_t codec_parse_int(struct gavel_slice text, int64_t *out, struct gavel_error *error);
int32_t codec_parse_real(struct gavel_slice text, double *out, struct gavel_error *error);
int32_t codec_parse_duration(struct gavel_slice text, uint64_t *milliseconds, struct gavel_error *error);
int32_t codec_parse_size(struct gavel_slice text, uint64_t *bytes, struct gavel_error *error);

/* ---- documents -> struct: messages and arguments ----------------------------------------------------------------- */

/* Flags of struct codec_read. */
#define CODEC_READ_DEFAULTS 1u  /* fill in defaults of rows that were not given */
#define CODEC_READ_UNKNOWN 2u   /* skip unknown keys instead of refusing them: messages may gain fields */
#define CODEC_READ_REQUIRED 4u  /* refuse when a required row is missing */
#define CODEC_READ_BEGUN 8u     /* the MAP token was taken already */
#define CODEC_READ_DOCUMENTS 16u /* VALUE rows hold documents of users: string keys only, made canonical */
#define CODEC_READ_STRICT 32u   /* the log's form: keys are numbers, and types are exact */

/* How to read, and the words for errors. */
struct codec_read {
    uint32_t flags;
    const char *noun;         /* "argument", "field", "option" */
    const char *owner;        /* "workflow.set": "unknown argument 'colour' of workflow.set; did you mean 'color'?" */
    struct gavel_slice input; /* what the reader reads: tokens that lie inside need no copy; may be absent */
};

/*
 * [any] Read one map into *object (cleared first). GAVEL_E_INVALID (unknown, given twice, missing, wrong type, out of
 * range: the sentence names the field with its path, as in items[3].key), GAVEL_E_TOO_LARGE (arena, lengths), or the
 * reader's own error. `fields` NULL takes an empty map only.
 */
int32_t codec_fields_read(const struct gavel_fields *fields, struct gavel_reader *reader, const struct codec_read *how,
                          void *object, struct codec_arena *arena, struct gavel_error *error);

/* ---- struct -> documents ----------------------------------------------------------------------------------------- */

/* Flags of codec_fields_write. */
#define CODEC_WRITE_PLAIN 1u   /* a row is written when it is not zero or required; `present` is not looked at */
#define CODEC_WRITE_NAMES 2u   /* choices as names instead of positions */
#define CODEC_WRITE_UNNUMBERED 4u /* keys without numbers: names in every format, for documents that people see */

/* [any] How many rows codec_fields_write would write, for a map's count. */
uint64_t codec_fields_count(const struct gavel_fields *fields, const void *object, uint32_t flags);

/*
 * [any] Write key and value of each such row, in the table's order, without the map around them. Errors stick in
 * the writer.
 */
void codec_fields_write_rows(const struct gavel_fields *fields, const void *object, uint32_t flags,
                             struct gavel_writer *writer);

/* [any] The same with the map around them. */
void codec_fields_write(const struct gavel_fields *fields, const void *object, uint32_t flags,
                        struct gavel_writer *writer);

/* ---- arguments of commands --------------------------------------------------------------------------------------- */

/* Deepest and largest arguments: what fits into one entry of the log. */
#define CODEC_ARGUMENTS_BYTES (UINT64_C(1) << 20)

/*
 * The arenas of codec_arguments_check and of codec_arguments_load. What the leader takes into the log every member must
 * be able to load, for ever: also one with a later plugin, whose structs have more members, so a list of them more
 * bytes. So the check is the stricter one by far. Pages that are not touched cost nothing.
 */
#define CODEC_CHECK_ARENA (UINT64_C(4) << 20)
#define CODEC_LOAD_ARENA (UINT64_C(16) << 20)

_Static_assert(CODEC_LOAD_ARENA >= 4 * CODEC_CHECK_ARENA, "what was checked with one struct is loaded with a larger");

/*
 * [any] On the leader, before a command enters the log: check `arguments` (a checked value: a map by names or
 * numbers, or absent or nil for none) against the table (NULL: no arguments), fill in defaults, and append the log
 * form to *out: a map keyed by ids in the table's order, documents canonical. `owner` names the command in errors
 * ("workflow.set"). The arena is scratch, of CODEC_CHECK_ARENA bytes. GAVEL_E_INVALID with the argument's name,
 * GAVEL_E_TOO_LARGE.
 */
int32_t codec_arguments_check(const struct gavel_fields *fields, const char *owner, struct gavel_slice arguments,
                              struct codec_arena *arena, struct gavel_buffer *out, struct gavel_error *error);

/* The same, and leave the filled struct in *object too (fields->struct_size bytes): for reads, which skip the log. */
int32_t codec_arguments_fill(const struct gavel_fields *fields, const char *owner, struct gavel_slice arguments,
                             void *object, struct codec_arena *arena, struct gavel_error *error);

/*
 * [apply] Load the log form (not yet scanned) into *object. Fills in nothing. Slices point into `logged`.
 * GAVEL_E_VERSION: a field that this build does not know: stop with the upgrade recipe. GAVEL_E_CORRUPT: not the log
 * form at all. GAVEL_E_TOO_LARGE: the arena (only lists and records in lists use it) is too small, which one of
 * CODEC_LOAD_ARENA bytes is not for what was checked.
 */
int32_t codec_arguments_load(const struct gavel_fields *fields, struct gavel_slice logged, void *object,
                             struct codec_arena *arena, struct gavel_error *error);

/* [any] The first row flagged GAVEL_KEY, or CODEC_NO_ROW: what permissions and span attributes select on. */
uint64_t codec_fields_key(const struct gavel_fields *fields);

/* ---- key=value on the command line ------------------------------------------------------------------------------- */

/*
 * [any] One `key=value` text as a pair of a map, by name: writes the key and the value. With a row (fields, row)
 * the value is parsed as the row's type says (VALUE, RECORD and LIST of records take JSON; a VALUE that is no JSON
 * is a string).
 * Without one (fields NULL): JSON if it is JSON, else a string. `json` may be NULL: then only scalars are recognised.
 */
int32_t codec_pair_write(const struct gavel_fields *fields, const char *pair, const struct gavel_serializer *json,
                         void *json_self, struct gavel_writer *writer, struct gavel_error *error);

/*
 * [any] A whole list of pairs as one map appended to *out as MessagePack. GAVEL_E_INVALID: no '=', given twice,
 * unknown.
 */
int32_t codec_pairs(const struct gavel_fields *fields, const char *owner, const char *const *pairs, uint64_t count,
                    const struct gavel_serializer *json, void *json_self, struct gavel_buffer *out,
                    struct gavel_error *error);

/* ---- tables as documents ----------------------------------------------------------------------------------------- */

/*
 * [any] A table as a document, so that another process (the CLI, --dump-plugin --json, completion) can know it: an
 * array of maps {name, id, type, flags, default, min, max, choices, unit, help, fields, element}, plain ones left
 * out.
 */
void codec_fields_describe(const struct gavel_fields *fields, struct gavel_writer *writer);

/*
 * [any] The way back: a table in the arena from such a checked document. Offsets are laid out, so it can be used
 * with all of the functions above. GAVEL_E_INVALID, GAVEL_E_TOO_LARGE.
 */
int32_t codec_fields_rebuild(struct gavel_slice document, struct codec_arena *arena, const struct gavel_fields **fields,
                             struct gavel_error *error);

#endif
