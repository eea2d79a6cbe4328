/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.h - values of a field table as people write them: from text into the struct that the table describes, and
 * back.
 *
 * The forms are those of gavel/field.h: yes/no/true/false/on/off, 150 or 150ms or 2s, 64MiB, lists separated by blanks
 * or commas. A record's members are written with a dot (tls.cert = ...).
 */
#ifndef CORE_HOST_OPTION_H
#define CORE_HOST_OPTION_H

#include "core/host/arena.h"

#include <gavel/field.h>

#include <stdio.h>

/* Row number `row` of a table that may have been compiled with shorter rows than ours: what it lacks is 0. */
struct gavel_field host_field(const struct gavel_fields *table, uint64_t row);

/*
 * Put `text` into the member of row `row` of `object` and set its `present` bit. Strings and lists are kept in `arena`;
 * a string is followed by a NUL. GAVEL_E_INVALID says what was expected: "expected a duration of at least 1ms such as
 * 150ms, found \"soon\"".
 */
int32_t host_option_set(const struct gavel_fields *table, uint64_t row, const char *text, void *object,
                        struct host_arena *arena, struct gavel_error *error);

/* Put every row's default that is not present into `object`, which is zeroed before anything is set. */
int32_t host_option_defaults(const struct gavel_fields *table, void *object, struct host_arena *arena,
                             struct gavel_error *error);

/*
 * Find the row that `key` names, "record.member" included: *table, *object and *row become those of the innermost.
 * Returns 0 or GAVEL_E_NOT_FOUND. `object` may point to NULL when only the row is wanted.
 */
int32_t host_option_find(const struct gavel_fields **table, void **object, const char *key, uint64_t *row);

/* Write the member of row `row` as text that host_option_set would take; "" when it is not present. */
void host_option_print(const struct gavel_fields *table, uint64_t row, const void *object, FILE *out);

#endif
