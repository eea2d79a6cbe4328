/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.c - what happened, line by line. Every line goes into a hash, printed or not, and that happens without writing
 * it out: the conversions of the format are walked, and what they would print is mixed in.
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

static uint64_t mix_text(uint64_t hash, const char *text, size_t size)
{
    uint64_t word = 0;

    for (; size >= sizeof word; size -= sizeof word, text += sizeof word) {
        memcpy(&word, text, sizeof word);
        hash = mix(hash, word);
    }
    word = size;
    for (size_t i = 0; i < size; i++)
        word = word << 8 | (unsigned char)text[i];
    return mix(hash, word);
}

/* A flag, width or precision of a conversion. */
static bool modifies(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == '#' || c == ' ' || c == 'h';
}

/* One conversion; `at` is behind the %. Returns what is behind the conversion. */
static const char *mix_one(uint64_t *hash, const char *at, va_list *arguments)
{
    size_t size = SIZE_MAX;
    const char *text;
    int wide = 0;

    for (;; at++) {
        if (*at == '*')
            size = (size_t)va_arg(*arguments, int);
        else if (*at == 'l' || *at == 'z' || *at == 'j')
            wide++;
        else if (!modifies(*at))
            break;
    }
    switch (*at) {
    case 's':
        text = va_arg(*arguments, const char *);
        *hash = mix_text(*hash, text, size == SIZE_MAX ? strlen(text) : strnlen(text, size));
        break;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X': *hash = mix(*hash, wide ? va_arg(*arguments, uint64_t) : va_arg(*arguments, unsigned)); break;
    case 'c': *hash = mix(*hash, (uint64_t)va_arg(*arguments, int)); break;
    case '%': break;
    default: assert(!"sim_trace knows no such conversion");
    }
    return at + 1;
}

void sim_trace(struct sim *sim, const struct sim_node *node, const char *format, ...)
{
    uint64_t hash = mix(sim->trace_hash, sim->now ^ (node ? (uint64_t)(node->number + 1) << 56 : 0));
    const char *at = format;
    va_list arguments;

    hash = mix_text(hash, format, strlen(format));
    va_start(arguments, format);
    while ((at = strchr(at, '%')) != NULL)
        at = mix_one(&hash, at + 1, &arguments);
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
