/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_pairs.c - see otlp_pairs.h.
 */
#include "otlp_pairs.h"

#include <stdlib.h>

struct otlp_block {
    struct otlp_block *next;
    char bytes[];
};

void *otlp_take(struct otlp_memory *memory, size_t size)
{
    struct otlp_block *block = calloc(1, sizeof *block + size);

    if (!block)
        return NULL;
    block->next = memory->first;
    memory->first = block;
    return block->bytes;
}

char *otlp_copy(struct otlp_memory *memory, struct gavel_slice text)
{
    char *copy = otlp_take(memory, (size_t)text.size + 1);

    if (copy && text.size)
        memcpy(copy, text.data, (size_t)text.size);
    return copy;
}

void otlp_memory_free(struct otlp_memory *memory)
{
    struct otlp_block *block = memory->first, *next;

    for (; block; block = next) {
        next = block->next;
        free(block);
    }
    memory->first = NULL;
}

bool otlp_pairs_put(struct otlp_pairs *pairs, const char *name, const char *value)
{
    unsigned at = 0;

    while (at < pairs->count && strcmp(pairs->pair[at].name, name) != 0)
        at++;
    if (at == OTLP_PAIRS_MAX)
        return false;
    pairs->pair[at] = (struct otlp_pair){name, value};
    pairs->count += at == pairs->count;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct gavel_slice trim(const char *from, const char *to)
{
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    return gavel_bytes(from, (uint64_t)(to - from));
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %41 becomes A, in place. False for an escape that is none, and for a control character, escaped or not. */
static bool decode(char *text, uint64_t size)
{
    char *to = text;

    for (const char *from = text; from < text + size; from++, to++) {
        *to = *from;
        if (*from == '%') {
            int high = hex(from[1]), low = high < 0 ? -1 : hex(from[2]);

            if (low < 0)
                return false;
            *to = (char)(high * 16 + low);
            from += 2;
        }
        if ((unsigned char)*to < 0x20 || *to == 0x7f)
            return false;
    }
    *to = 0;
    return true;
}

static int32_t parse_one(struct otlp_pairs *pairs, const char *from, const char *to, const char *where,
                         struct otlp_memory *memory, struct gavel_error *error)
{
    const char *equals = memchr(from, '=', (size_t)(to - from));
    struct gavel_slice key = trim(from, equals ? equals : to);
    struct gavel_slice content = equals ? trim(equals + 1, to) : key;
    char *name, *value;

    if (!equals || key.size == 0)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: expected name=value,name=value; entry %u is none", where,
                          pairs->count + 1);
    name = otlp_copy(memory, key);
    value = otlp_copy(memory, content);
    if (!name || !value)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    if (!decode(name, key.size) || !decode(value, content.size))
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: entry %u has a control character, or a %% that is not followed "
                          "by two hexadecimal digits (write %%25 for %%)", where, pairs->count + 1);
    if (!otlp_pairs_put(pairs, name, value))
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: more than %u entries", where, OTLP_PAIRS_MAX);
    return GAVEL_OK;
}

int32_t otlp_pairs_parse(struct otlp_pairs *pairs, struct gavel_slice text, const char *where,
                         struct otlp_memory *memory, struct gavel_error *error)
{
    const char *at = text.data, *end = at ? at + text.size : at;

    while (at && at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *to = comma ? comma : end;
        int32_t status = GAVEL_OK;

        if (trim(at, to).size)
            status = parse_one(pairs, at, to, where, memory, error);
        if (status != GAVEL_OK)
            return status;
        at = to + 1;
    }
    return GAVEL_OK;
}
