/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roff.c - the characters that mean something to roff, one by one.
 */
#include "core/host/roff.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The code point at `text` (valid UTF-8, or a byte that is none stands for itself); *size: its bytes. */
static unsigned code_point(const char *text, size_t *size)
{
    const unsigned char *byte = (const unsigned char *)text;
    unsigned length = byte[0] < 0xc2 ? 1 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : byte[0] < 0xf5 ? 4 : 1;
    unsigned point = length == 1 ? byte[0] : byte[0] & (0x7fu >> length);

    for (unsigned i = 1; i < length; i++) {
        if ((byte[i] & 0xc0) != 0x80) {
            *size = 1;
            return byte[0];
        }
        point = point << 6 | (byte[i] & 0x3fu);
    }
    *size = length;
    return point;
}

/* One character; `begins`: of a word. Returns its bytes. */
static size_t print_character(const char *text, bool begins, bool quoted, FILE *out)
{
    size_t size = 1;

    switch (*text) {
    case '\\':
        (void)fputs("\\e", out);
        break;
    case '\'':
        (void)fputs("\\(aq", out);
        break;
    case '`':
        (void)fputs("\\(ga", out);
        break;
    case '^':
        (void)fputs("\\(ha", out);
        break;
    case '~':
        (void)fputs("\\(ti", out);
        break;
    case '"':
        (void)fputs(quoted ? "\\(dq" : "\"", out);
        break;
    case '-':
        (void)fputs(begins || text[1] == '-' || quoted ? "\\-" : "-", out);
        break;
    default:
        if ((unsigned char)*text >= 0x80)
            (void)fprintf(out, "\\[u%04X]", code_point(text, &size));
        else
            (void)fputc((unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text, out);
        break;
    }
    return size;
}

static void print_text(const char *text, size_t size, FILE *out)
{
    const char *end = text + size;
    bool begins = true;

    if (text < end && (*text == '.' || *text == '\'' || *text == ' '))
        (void)fputs("\\&", out);
    while (text < end) {
        bool blank = *text == ' ';

        text += print_character(text, begins, false, out);
        begins = blank || (begins && text[-1] == '-');
    }
    (void)fputc('\n', out);
}

void host_roff_line(const char *text, FILE *out)
{
    size_t size = strlen(text);

    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\n'))
        size--; /* blanks at the end of a line are none of a page's */
    if (size > 0)
        print_text(text, size, out);
}

void host_roff_prose(const char *text, FILE *out)
{
    while (*text) {
        const char *end = strstr(text, ". ");
        size_t size = end ? (size_t)(end - text) + 1 : strlen(text);

        print_text(text, size, out);
        text += size;
        text += strspn(text, " ");
    }
}

void host_roff_word(const char *word, FILE *out)
{
    bool blanks = strpbrk(word, " \t") != NULL || !*word;

    /* Macros begin with a capital or '%', delimiters are no letters: a small letter or a digit cannot be either. */
    (void)fputs(blanks ? "\"" : "", out);
    if (!((*word >= 'a' && *word <= 'z') || (*word >= '0' && *word <= '9')))
        (void)fputs("\\&", out);
    for (bool begins = true; *word; begins = false)
        word += print_character(word, begins, true, out);
    if (blanks)
        (void)fputc('"', out);
}
