/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.c - what happened, line by line. Every line goes into a hash, printed or not, and that happens without writing
 * it out: what the conversions of the format would print is mixed in. Each format is read once only, since most lines
 * are of a few.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash ^= value;
    hash *= UINT64_C(0x9fb21c651e98df25);
    return hash ^ (hash >> 29);
}

#define FORMATS 512u   /* read ones that are kept, by their address */
#define WORDS_MAX 24u  /* of eight letters, in a format */
#define CONVERSIONS_MAX 12u

enum conversion { NARROW, WIDE, TEXT, LIMITED_TEXT };

struct format {
    const char *text; /* NULL: free */
    uint32_t words;
    uint32_t conversions;
    uint64_t word[WORDS_MAX + 1]; /* the text as it is mixed in */
    uint8_t conversion[CONVERSIONS_MAX]; /* enum conversion */
};

/* The next eight bytes of a text; the last word is what remains of it and its size. */
static uint64_t next_word(const char **text, size_t *size)
{
    uint64_t word = 0;

    if (*size >= sizeof word) {
        memcpy(&word, *text, sizeof word);
        *text += sizeof word;
        *size -= sizeof word;
        return word;
    }
    word = *size;
    for (; *size; --*size)
        word = word << 8 | (unsigned char)*(*text)++;
    return word;
}

static uint64_t mix_text(uint64_t hash, const char *text, size_t size)
{
    size_t whole = size / sizeof hash;

    for (size_t i = 0; i <= whole; i++)
        hash = mix(hash, next_word(&text, &size));
    return hash;
}

/* ---- formats ------------------------------------------------------------------------------------------- */

/* A flag, width or precision of a conversion. */
static bool modifies(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == '#' || c == ' ' || c == 'h';
}

/* One conversion; `at` is behind the %. Returns what is behind the conversion. */
static const char *read_one(struct format *format, const char *at)
{
    bool limited = false;
    bool wide = false;

    for (;; at++) {
        if (*at == '*')
            limited = true;
        else if (*at == 'l' || *at == 'z' || *at == 'j')
            wide = true;
        else if (!modifies(*at))
            break;
    }
    if (*at == '%')
        return at + 1;
    assert(*at);
    assert(strchr("sdiuxXc", *at)); /* sim_trace knows no others */
    assert(format->conversions < CONVERSIONS_MAX);
    assert(!limited || *at == 's');
    format->conversion[format->conversions++] =
        (uint8_t)(*at == 's' ? (limited ? LIMITED_TEXT : TEXT) : (wide ? WIDE : NARROW));
    return at + 1;
}

/* A format by its address: they are all literals. */
static const struct format *format_of(const char *text)
{
    static struct format formats[FORMATS];
    struct format *format = &formats[(uintptr_t)text / 8 % FORMATS];
    const char *at = text;
    size_t size;

    if (format->text == text)
        return format;
    *format = (struct format){.text = text};
    while ((at = strchr(at, '%')) != NULL)
        at = read_one(format, at + 1);
    size = strlen(text);
    format->words = (uint32_t)(size / sizeof format->word[0] + 1);
    assert(format->words <= WORDS_MAX);
    for (uint32_t i = 0; i < format->words; i++)
        format->word[i] = next_word(&text, &size);
    return format;
}

static uint64_t mix_line(uint64_t hash, const struct format *format, va_list *arguments)
{
    for (uint32_t i = 0; i < format->words; i++)
        hash = mix(hash, format->word[i]);
    for (uint32_t i = 0; i < format->conversions; i++) {
        const char *text;
        int most;

        switch (format->conversion[i]) {
        case NARROW: hash = mix(hash, va_arg(*arguments, unsigned)); break;
        case WIDE: hash = mix(hash, va_arg(*arguments, uint64_t)); break;
        case TEXT:
            text = va_arg(*arguments, const char *);
            hash = mix_text(hash, text, strlen(text));
            break;
        default:
            assert(format->conversion[i] == LIMITED_TEXT);
            most = va_arg(*arguments, int);
            text = va_arg(*arguments, const char *);
            hash = mix_text(hash, text, strnlen(text, (size_t)most));
            break;
        }
    }
    return hash;
}

void sim_trace(struct sim *sim, const struct sim_node *node, const char *format, ...)
{
    uint64_t hash = mix(sim->trace_hash, sim->now ^ (node ? (uint64_t)(node->number + 1) << 56 : 0));
    va_list arguments;

    va_start(arguments, format);
    hash = mix_line(hash, format_of(format), &arguments);
    va_end(arguments);
    sim->trace_hash = mix(hash, 0);
    if (!sim->tracing)
        return;
    printf("%4llu.%09llu %-4s ", (unsigned long long)(sim->now / SIM_S), (unsigned long long)(sim->now % SIM_S),
           node ? node->name : "-");
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)putchar('\n');
}
