/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scaffold.h - a plugin's project of its own, made from an installed template with the plugin's name filled in:
 * `gavel plugin new`. A library of its own (libscaffold.la), because it knows where templates are installed.
 *
 * A template is a directory KIND, whose files go into every project, with a directory LANGUAGE in it for each language,
 * whose files are added. A template is itself a plugin called "my-plugin". In names of files and in their text
 *
 *   my-plugin -> the name        MY-PLUGIN -> the name in capitals        MY-DATE -> today, "November 29, 2026"
 *   my_plugin -> with '_'        MY_PLUGIN -> that in capitals            a file dot.NAME -> .NAME
 */
#ifndef CORE_CLI_SCAFFOLD_H
#define CORE_CLI_SCAFFOLD_H

#include <gavel/abi.h>

#define SCAFFOLD_NAME_MAX 40   /* the file gavel-NAME-statemachine.so, and symbols, stay readable */
#define SCAFFOLD_FILES_MAX 64  /* of one template */
#define SCAFFOLD_FILE_MAX (1u << 20)

struct scaffold {
    const char *name;      /* of the plugin */
    const char *kind;      /* "statemachine", "transport", "serializer", "observer" */
    const char *language;  /* "c", "c++", "rust" */
    const char *dir;       /* where the project goes; made when it does not exist */
    const char *templates; /* the directory with the templates; NULL: the installed ones */
};

/*
 * Make the project; *files is how many files were written. Nothing is overwritten: when one of the files is there
 * already nothing is written at all. GAVEL_E_INVALID: the name, kind or language; GAVEL_E_NOT_FOUND: no such template;
 * GAVEL_E_EXISTS; GAVEL_E_IO: files that were written before stay.
 */
int32_t scaffold_write(const struct scaffold *scaffold, uint64_t *files, struct gavel_error *error);

#endif
