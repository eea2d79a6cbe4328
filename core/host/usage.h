/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage.h - the options of a command line as one table: from it they are parsed, --help is printed, the OPTIONS section
 * of the manual page is made, and the shell completes them. gaveld and gavel share it.
 */
#ifndef CORE_HOST_USAGE_H
#define CORE_HOST_USAGE_H

#include <stdbool.h>
#include <stdio.h>

/* Kinds of values. */
#define USAGE_FLAG 0u
#define USAGE_TEXT 1u
#define USAGE_NUMBER 2u
#define USAGE_DURATION 3u
#define USAGE_SIZE 4u
#define USAGE_EACH 5u /* text, and the option may come again */

/* The target of a USAGE_EACH. */
#define USAGE_EACH_MAX 32
struct usage_each {
    unsigned count;
    const char *values[USAGE_EACH_MAX];
};

/* One option. A table of them ends with one without a name. */
struct usage_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    unsigned kind;
    /*
     * What stands behind it; NULL for a flag. "FILE" and "DIR" are paths, "table|json" choices; any other word in
     * capitals is for people, or for the one who completes (struct usage_completion). With ",..." behind: a list.
     */
    const char *argument;
    const char *help; /* sentences; the last one without its full stop */
    void *target;     /* where the parser puts the value */
};

/* Print the options in two columns, for --help. */
void usage_print_help(const struct usage_option *options, FILE *out);

/* Print them as a list of a manual page. */
void usage_print_page(const struct usage_option *options, FILE *out);

/* ---- completion -------------------------------------------------------------------------------------------------- */

/*
 * What a shell asks: PROGRAM --complete WORD... prints what the last word may become, a line "word TAB help" each. The
 * lines ":files" and ":dirs" ask the shell for paths. A word that ends with '=' or ',' wants to be gone on with.
 */
struct usage_completion {
    const char *word; /* what is there of the word, "" for nothing */
    FILE *out;
    /* Offer what `what` stands for ("PLUGIN", "COMMAND"); may be NULL. */
    void (*ask)(struct usage_completion *completion, const char *what, const char *prefix);
    void *context; /* of the one who asks */
};

/* Offer PREFIX + `candidate`, if it begins with the word. `help` may be NULL; its first sentence is shown. */
void usage_offer(struct usage_completion *completion, const char *prefix, const char *candidate, const char *help);

/* Offer the names of options that begin with the word. */
void usage_offer_options(struct usage_completion *completion, const struct usage_option *options);

/* Offer what an argument may be, as in struct usage_option; each candidate gets `prefix` in front: "--output=". */
void usage_offer_argument(struct usage_completion *completion, const char *argument, const char *prefix);

/* The option that `word` is: --name, --name=..., -n; NULL when there is none. */
const struct usage_option *usage_find(const struct usage_option *options, const char *word);

#endif
