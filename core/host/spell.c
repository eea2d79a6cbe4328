/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spell.c - the distance that counts a wrong, missing, additional or swapped letter as one.
 */
#include "core/host/spell.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#define SPELL_MAX 64 /* letters; longer words are not compared */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, with three rows of the table. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][SPELL_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    size_t a_size = strlen(a), b_size = strlen(b);

    if (a_size > SPELL_MAX || b_size > SPELL_MAX)
        return UINT_MAX;
    memset(rows, 0, sizeof rows);
    for (size_t j = 0; j <= b_size; j++)
        above[j] = (unsigned)j;
    for (size_t i = 1; i <= a_size; i++) {
        unsigned *spare = before;

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        before = above;
        above = row;
        row = spare;
    }
    return above[b_size];
}

struct host_spell host_spell(const char *word)
{
    return (struct host_spell){.word = word, .best = NULL, .distance = UINT_MAX};
}

void host_spell_offer(struct host_spell *spell, const char *candidate)
{
    unsigned far = distance(spell->word, candidate);

    if (far < spell->distance) {
        spell->distance = far;
        spell->best = candidate;
    }
}

const char *host_spell_best(const struct host_spell *spell)
{
    size_t allowed = strlen(spell->word) / 3;

    if (!spell->best || spell->distance > (allowed > 1 ? allowed : 1))
        return NULL;
    return spell->best;
}
