/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roff.h - text of anybody's into an mdoc(7) page: nothing in it can be taken for a request, an escape or a macro.
 */
#ifndef CORE_HOST_ROFF_H
#define CORE_HOST_ROFF_H

#include <stdio.h>

/*
 * Print a line of text and end it. Characters that roff prints as others (quotes, hyphens before a word, tildes) stay
 * what they are; what is not ASCII is written as \[uXXXX]. Control characters become blanks.
 */
void host_roff_line(const char *text, FILE *out);

/* Print a text that may hold several sentences, each on a line of its own, as mdoc wants it. */
void host_roff_prose(const char *text, FILE *out);

/* Print one argument of a macro: quoted where it has blanks, never a macro itself. */
void host_roff_word(const char *word, FILE *out);

#endif
