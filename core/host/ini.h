/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ini.h - an INI file as a list of sections and keys, with the line of each; it knows nothing of what they mean.
 *
 *   [section]                a section may be opened once
 *   key = value              blanks around both are dropped; " ;" begins a comment, as do ; and # at a line's start
 *   key = a, \               a backslash at the end goes on in the next line
 *         b
 *   key = ${HOME}/data       a variable of the environment, which must exist; $${ is a literal ${
 */
#ifndef CORE_HOST_INI_H
#define CORE_HOST_INI_H

#include "core/host/arena.h"
#include "core/host/fault.h"

#include <stdio.h>

#define HOST_INI_LINE_MAX 197      /* bytes: inih's own buffer of 200 less CR, LF and NUL; longer lines are refused */
#define HOST_INI_SECTION_MAX 49    /* bytes of a section's name: inih would cut longer ones */
#define HOST_INI_LINES_MAX 20000   /* lines: a file with more is no configuration */
#define HOST_INI_SECTIONS_MAX 128  /* four kinds of plugins, 16 instances or so of each */
#define HOST_INI_KEYS_MAX 128      /* keys of one section: a table has at most 64 rows */
#define HOST_INI_VALUE_MAX 65536   /* bytes of one value with all its continuation lines */

struct host_ini_entry {
    const char *key;
    const char *value; /* variables expanded */
    unsigned line;
};

struct host_ini_section {
    const char *name;
    unsigned line;
    unsigned count;
    struct host_ini_entry entry[HOST_INI_KEYS_MAX];
};

struct host_ini {
    struct host_arena arena;
    const char *file; /* as it was named */
    unsigned count;
    struct host_ini_section *section[HOST_INI_SECTIONS_MAX];
};

/*
 * Read a whole file from `stream`. What is wrong with its form is added to `faults` ("gavel.ini:12: ..."), and reading
 * goes on with the next line. `ini` is filled in any case and freed with host_ini_free.
 */
void host_ini_read(struct host_ini *ini, FILE *stream, const char *file, struct host_faults *faults);

/* The section of that name, or NULL. */
const struct host_ini_section *host_ini_section(const struct host_ini *ini, const char *name);

/* The entry of that key, or NULL; `section` may be NULL. */
const struct host_ini_entry *host_ini_entry(const struct host_ini_section *section, const char *key);

/* Free what host_ini_read made. */
void host_ini_free(struct host_ini *ini);

#endif
