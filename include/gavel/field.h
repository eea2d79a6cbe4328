/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gavel/field.h - the one typed field table. It describes a plugin's INI options, the arguments of a state machine's
 * commands, and (inside the host) every message on the wire. From the same rows come parsing, defaults, error messages,
 * --dump-plugin, the sample INI, the CLI and the HTTP/JSON API.
 *
 * A table describes a C struct of the plugin's own. That struct begins with `uint64_t present;`: bit i is set
 * when row i was given or has a default. Each row names the offset of its member; the member's C type follows
 * from the row's type:
 *
 *   GAVEL_BOOL      uint64_t, 0 or 1          GAVEL_STRING   struct gavel_slice, valid UTF-8
 *   GAVEL_UINT      uint64_t                  GAVEL_BYTES    struct gavel_slice, any bytes
 *   GAVEL_INT       int64_t                   GAVEL_VALUE    struct gavel_slice, one checked document (MessagePack)
 *   GAVEL_REAL      double                    GAVEL_RECORD   the sub-table's struct, in place (with its own `present`)
 *   GAVEL_DURATION  uint64_t, milliseconds    GAVEL_LIST     struct gavel_list
 *   GAVEL_SIZE      uint64_t, bytes           GAVEL_CHOICE   uint64_t, position in `choices`
 *
 * A VALUE in a command's arguments is in canonical form: shortest heads, reals of 8 bytes, the keys of each map in
 * ascending memcmp order. So two equal documents are equal bytes, and two maps can be merged in one walk.
 *
 * What the slices and lists point to is owned by whoever filled the struct: for options it lives until the next reload
 * has returned, or destroy; for arguments for the length of the call.
 *
 * The structs, lists and copies of one command's arguments take at most 4 MiB of memory when they are checked: else the
 * command is refused with GAVEL_E_TOO_LARGE, and nothing enters the log. So a list of numbers has some 500,000 at most,
 * whatever its `max` says, one of records as many as its struct's size lets in. Loaded they may take 16 MiB: a later
 * version of a plugin can make the struct of a list's records up to four times as large.
 *
 * In an INI file and on the command line: booleans are yes/no/true/false/on/off, durations take ms s m h (a bare number
 * is milliseconds), sizes take KiB MiB GiB (a bare number is bytes), a list of scalars is separated by blanks
 * or commas.
 */
#ifndef GAVEL_FIELD_H
#define GAVEL_FIELD_H

#include <gavel/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Types. Numbers are never reused. */
#define GAVEL_BOOL 1
#define GAVEL_UINT 2
#define GAVEL_INT 3
#define GAVEL_REAL 4
#define GAVEL_DURATION 5
#define GAVEL_SIZE 6
#define GAVEL_STRING 7
#define GAVEL_BYTES 8
#define GAVEL_VALUE 9
#define GAVEL_CHOICE 10
#define GAVEL_RECORD 11
#define GAVEL_LIST 12

/* Flags. */
#define GAVEL_REQUIRED 1u    /* must be given; of an entry that is in the log already this is not asked again */
#define GAVEL_KEY 2u         /* what watches, permissions and span attributes select on */
#define GAVEL_SECRET 4u      /* never printed or logged */
#define GAVEL_RELOADABLE 8u  /* an option that may change at run time */
#define GAVEL_REPLICATED 16u /* an option that changes the outcome of an applied entry: belongs to the cluster */
#define GAVEL_DEPRECATED 32u /* still taken, with a warning that quotes `help` */

struct gavel_fields;

/* A list as the table stores it: `count` elements, `stride` bytes apart. */
struct gavel_list {
    const void *items;
    uint64_t count;
    uint64_t stride;
};

/* One row. Designated initialisers leave the rest 0, which is the plain meaning everywhere. */
struct gavel_field {
    const char *name;               /* as in INI, JSON and the CLI: lower case, digits, '_' */
    uint64_t id;                    /* 1..127; the key in MessagePack and in the log; never reused */
    uint64_t type;                  /* GAVEL_BOOL ... */
    uint64_t flags;                 /* GAVEL_REQUIRED ... */
    uint64_t offset;                /* offsetof the member */
    const char *fallback;           /* the default, in INI syntax; NULL: absent unless given */
    int64_t min;                    /* least value; for strings, bytes, values and lists the least length */
    int64_t max;                    /* greatest value or length; min == max == 0: no bound of the table's own */
    const char *const *choices;     /* GAVEL_CHOICE: NULL-terminated names */
    const char *unit;               /* for people: "ms", "bytes", "entries"; may be NULL */
    const char *help;               /* one sentence, without the final full stop */
    const struct gavel_fields *sub; /* GAVEL_RECORD, and GAVEL_LIST of records */
    uint64_t element;               /* GAVEL_LIST of scalars: the elements' type; 0 with `sub` */
};

/* A table. Rows are read by `stride`, so that a newer host can read an older plugin's shorter rows. */
struct gavel_fields {
    const struct gavel_field *rows;
    uint64_t count; /* at most 64, for `present` */
    uint64_t stride;      /* GAVEL_END(struct gavel_field, element) as the plugin was compiled */
    uint64_t struct_size; /* sizeof the struct that the rows describe */
};

GAVEL_CHECK_LAYOUT(sizeof(struct gavel_field) == 104);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_fields) == 32);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_list) == 24);

/* A table over the array `rows`, which describes `struct type`. */
#define GAVEL_FIELDS(array, type) \
    { (array), sizeof(array) / sizeof((array)[0]), sizeof(struct gavel_field), sizeof(type) }

/* [any] 1 when row number `row` of the table that describes `object` was given or has a default. */
static inline int gavel_present(const void *object, uint64_t row)
{
    uint64_t present;
    memcpy(&present, object, sizeof present);
    return (int)(present >> row & 1);
}

#ifdef __cplusplus
}
#endif
#endif
