/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/scenarios/scenario.h - what the two halves of the script interpreter share. The language: scenario.c.
 */
#ifndef TESTS_SCENARIOS_SCENARIO_H
#define TESTS_SCENARIOS_SCENARIO_H

#include "world.h"

#define WORDS_MAX 64

struct script {
    struct world *w;
    char where[256];
    char *words[WORDS_MAX + 1]; /* of the line, NULL behind the last */
    int count;
    int expectations;
};

uint64_t script_number(struct script *s, const char *word);
uint64_t script_id(struct script *s, const char *word);
struct world_node *script_node(struct script *s, const char *word);
/* "a->b"; '*' stands for any and gives 0 */
void script_link(struct script *s, const char *word, uint64_t *from, uint64_t *to);
/* The place in the bag of the first message like that, or SIZE_MAX. type 0: any. */
size_t script_find(struct script *s, uint64_t from, uint64_t to, uint32_t type, size_t start);
uint32_t script_type(struct script *s, const char *word);

/* scenario_expect.c: the words after "expect" */
void script_expect(struct script *s, char **words);

#endif
