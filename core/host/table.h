/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - whether a plugin's field table is sound: everything else in the host believes it afterwards.
 */
#ifndef CORE_HOST_TABLE_H
#define CORE_HOST_TABLE_H

#include <gavel/field.h>

/*
 * [any] Check `table`, which belongs to the file `at` and is called `what` ("options", a command's name) in sentences:
 * rows, types, ids, names, offsets, defaults, sub-tables. GAVEL_E_CONFIG with the sentence.
 */
int32_t host_table_check(const char *at, const char *what, const struct gavel_fields *table, struct gavel_error *error);

#endif
