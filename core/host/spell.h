/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spell.h - the nearest of several words to a mistyped one.
 *
 *     struct host_spell spell = host_spell("electoin_timeout");
 *     for (...) host_spell_offer(&spell, name);
 *     if (host_spell_best(&spell)) ... did you mean ...
 */
#ifndef CORE_HOST_SPELL_H
#define CORE_HOST_SPELL_H

struct host_spell {
    const char *word;
    const char *best; /* the nearest offered so far */
    unsigned distance;
};

/* Begin to look for a word, which is borrowed. */
struct host_spell host_spell(const char *word);

/* Offer a candidate, which is borrowed; the first of equally near ones wins. */
void host_spell_offer(struct host_spell *spell, const char *candidate);

/* The nearest candidate if it is near enough to be meant (about one wrong letter in three); NULL else. */
const char *host_spell_best(const struct host_spell *spell);

#endif
