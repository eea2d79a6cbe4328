/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage.c - a table of options as help, as a page, and as candidates.
 */
#include "core/host/usage.h"

#include "core/host/roff.h"
#include "core/host/words.h"
#include "core/os/clean.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 28 /* where the second column begins */
#define HELP_WIDTH 100
#define CANDIDATE_MAX 1024 /* bytes of a candidate with its prefix */
#define HINT_MAX 100       /* bytes of its help */

/* "table|json" are words to be typed; "FILE" stands for one. */
static bool is_literal(const char *argument)
{
    return islower((unsigned char)*argument) || strchr(argument, '|');
}

void usage_print_help(const struct usage_option *options, FILE *out)
{
    for (; options->name; options++) {
        os_autofree char *help = host_words_sentence(options->help);
        int used = options->letter ? fprintf(out, "  -%c, --%s", options->letter, options->name)
                                   : fprintf(out, "      --%s", options->name);

        if (options->argument)
            used += fprintf(out, " %s", options->argument);
        if (used >= HELP_COLUMN)
            (void)fprintf(out, "\n%*s", HELP_COLUMN, "");
        else
            (void)fprintf(out, "%*s", HELP_COLUMN - used, "");
        host_words_wrap(help ? help : "", HELP_COLUMN, HELP_COLUMN, HELP_WIDTH, out);
    }
}

/* "Cm table | json", "Ar file", "Ar name Ns ,..." */
static void print_argument(const char *argument, FILE *out)
{
    size_t size = strcspn(argument, ",");

    if (is_literal(argument)) {
        (void)fputs(" Cm", out);
        for (const char *at = argument; *at; at += *at == '|') {
            char word[64];

            size = strcspn(at, "|");
            (void)snprintf(word, sizeof word, "%.*s", (int)size, at);
            (void)fputs(at == argument ? " " : " | ", out);
            host_roff_word(word, out);
            at += size;
        }
        return;
    }
    (void)fputs(" Ar ", out);
    for (size_t i = 0; i < size; i++)
        (void)fputc(tolower((unsigned char)argument[i]), out);
    if (argument[size])
        (void)fprintf(out, " Ns Li %s", argument + size);
}

void usage_print_page(const struct usage_option *options, FILE *out)
{
    (void)fputs(".Bl -tag -width Ds\n", out);
    for (; options->name; options++) {
        os_autofree char *help = host_words_sentence(options->help);

        (void)fputs(".It", out);
        if (options->letter)
            (void)fprintf(out, " Fl %c ,", options->letter);
        (void)fprintf(out, " Fl \\-%s", options->name);
        if (options->argument)
            print_argument(options->argument, out);
        (void)fputc('\n', out);
        host_roff_prose(help ? help : "", out);
    }
    (void)fputs(".El\n", out);
}

/* ---- completion -------------------------------------------------------------------------------------------------- */

void usage_offer(struct usage_completion *completion, const char *prefix, const char *candidate, const char *help)
{
    os_autofree char *sentence = host_words_sentence(help);
    const char *end = sentence ? strstr(sentence, ". ") : NULL;
    size_t size = !sentence ? 0 : end ? (size_t)(end - sentence) : strlen(sentence);
    char text[CANDIDATE_MAX];

    (void)snprintf(text, sizeof text, "%s%s", prefix, candidate);
    if (strncmp(text, completion->word, strlen(completion->word)) != 0 || strpbrk(candidate, "\t\n"))
        return;
    while (size > 0 && (sentence[size - 1] == '.' || sentence[size - 1] == ' '))
        size--;
    if (size > HINT_MAX)
        for (size = HINT_MAX; size > 0 && sentence[size] != ' ';) /* not within a word, nor a character */
            size--;
    (void)fputs(text, completion->out);
    if (size > 0)
        (void)fprintf(completion->out, "\t%.*s", (int)size, sentence);
    (void)fputc('\n', completion->out);
}

void usage_offer_options(struct usage_completion *completion, const struct usage_option *options)
{
    for (; options && options->name; options++) {
        char name[64];

        (void)snprintf(name, sizeof name, "--%s", options->name);
        usage_offer(completion, "", name, options->help);
    }
}

/* One of "a|b|FILE": a word to be typed, a path, or what only the one who asks knows. */
static void offer_one(struct usage_completion *completion, const char *what, const char *prefix)
{
    if (islower((unsigned char)*what))
        usage_offer(completion, prefix, what, NULL);
    else if (strcmp(what, "FILE") == 0 || strcmp(what, "SOCKET") == 0)
        (void)fputs(":files\n", completion->out);
    else if (strcmp(what, "DIR") == 0)
        (void)fputs(":dirs\n", completion->out);
    else if (completion->ask)
        completion->ask(completion, what, prefix);
}

void usage_offer_argument(struct usage_completion *completion, const char *argument, const char *prefix)
{
    size_t whole = strcspn(argument, ",");
    char what[64], longer[CANDIDATE_MAX];

    if (argument[whole] && strncmp(completion->word, prefix, strlen(prefix)) == 0) {
        const char *last = strrchr(completion->word + strlen(prefix), ','); /* of a list the last element */

        if (last) {
            (void)snprintf(longer, sizeof longer, "%.*s", (int)(last + 1 - completion->word), completion->word);
            prefix = longer;
        }
    }
    for (size_t at = 0, size; at < whole; at += size + 1) {
        size = strcspn(argument + at, "|,");
        (void)snprintf(what, sizeof what, "%.*s", (int)size, argument + at);
        offer_one(completion, what, prefix);
    }
}

const struct usage_option *usage_find(const struct usage_option *options, const char *word)
{
    if (word[0] != '-' || !word[1])
        return NULL;
    for (; options && options->name; options++) {
        size_t size = strlen(options->name);

        if (word[1] != '-' && options->letter == word[1])
            return options;
        if (word[1] == '-' && strncmp(word + 2, options->name, size) == 0 &&
            (word[2 + size] == 0 || word[2 + size] == '='))
            return options;
    }
    return NULL;
}
