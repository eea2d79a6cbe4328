/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.h - a row of a field table in words for people. The manual pages, the sample INI, gavel help and the errors all
 * say these sentences, so that none of them can say something else.
 */
#ifndef CORE_HOST_WORDS_H
#define CORE_HOST_WORDS_H

#include <gavel/field.h>

#include <stdio.h>

/* Where a value is written. */
#define HOST_IN_INI 0u
#define HOST_IN_COMMAND 1u /* key=value on the command line */
#define HOST_IN_RECORD 2u  /* a member of a JSON object */

/* "a duration (such as 150ms, 2s) of 10ms to 1m", "yes or no", "a list (separated by commas or blanks), each text". */
void host_words_takes(const struct gavel_field *field, unsigned where, FILE *out);

/* One word for what stands behind the key: "text", "number", "list"; choices and booleans are "a | b". */
void host_words_value(const struct gavel_field *field, FILE *out);

/* A duration in ms or a size in bytes with the largest unit that leaves no rest: "90s", "64MiB". */
void host_words_scaled(uint64_t type, uint64_t value, FILE *out);

/*
 * Say a row sentence by sentence: what it means, what it takes, its unit, its default, and what each flag means. A
 * sentence ends with its full stop and holds no control character. A secret's default is not told.
 */
void host_words_say(const struct gavel_field *field, unsigned where, void (*say)(void *context, const char *sentence),
                    void *context);

/*
 * "text" as a sentence of its own: it begins with a capital when it begins with a word, control characters become
 * blanks, a full stop is put behind it unless it ends with one. To be freed; NULL without memory, or for NULL and "".
 */
char *host_words_sentence(const char *text);

/* Print `text` broken at blanks before column `width`; what follows a break begins at column `indent`. `column` is
 * where the text begins. Ends the line. */
void host_words_wrap(const char *text, unsigned column, unsigned indent, unsigned width, FILE *out);

#endif
