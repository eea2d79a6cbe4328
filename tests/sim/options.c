/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - the table of what a seed's world is like; see options.h. */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEW 8
#define NO_FAULTS_PPM 100000 /* seeds without any fault: what fails there fails by itself */

enum option_class {
#define SIM_CLASS_SYMBOL(symbol, name) CLASS_##symbol,
    SIM_CLASSES(SIM_CLASS_SYMBOL)
#undef SIM_CLASS_SYMBOL
    CLASSES
};

static const char *const class_names[CLASSES] = {
#define SIM_CLASS_NAME(symbol, name) name,
    SIM_CLASSES(SIM_CLASS_NAME)
#undef SIM_CLASS_NAME
};

static const struct sim_option options_table[] = {
#define SIM_OPTION_ROW(name, class, low, high, text) {#name, CLASS_##class, low, high, text},
    SIM_OPTIONS(SIM_OPTION_ROW)
#undef SIM_OPTION_ROW
};

#define ROWS (sizeof options_table / sizeof options_table[0])

uint64_t sim_options_count(void)
{
    return ROWS;
}

const struct sim_option *sim_options_row(uint64_t row)
{
    return row < ROWS ? &options_table[row] : NULL;
}

/* The rows are the first members of the struct, in the order of the table, and nothing but uint64_t. */
uint64_t *sim_options_value(struct sim_options *options, uint64_t row)
{
    return (uint64_t *)(void *)options + row;
}

const char *sim_options_class(uint32_t number)
{
    return number < CLASSES ? class_names[number] : NULL;
}

/* Orders of magnitude; but where there are few values, such as numbers of nodes, none of them is rarer than another. */
static uint64_t draw_value(struct sim_random *dice, const struct sim_option *option)
{
    if (option->high - option->low < FEW)
        return option->low + sim_below(dice, option->high - option->low + 1);
    return sim_magnitude(dice, option->low, option->high);
}

void sim_options_draw(struct sim_options *options, uint64_t seed)
{
    struct sim_random coins = sim_split(seed, SIM_STREAM_OPTIONS);
    bool quiet = sim_chance(&coins, NO_FAULTS_PPM);
    bool on[CLASSES];

    *options = (struct sim_options){0};
    for (uint32_t i = 0; i < CLASSES; i++)
        on[i] = (sim_draw(&coins) & 1) && !quiet;
    on[CLASS_NONE] = true;
    on[CLASS_MEMBERS] = true; /* no misfortune: members come and go in every seed, in quiet ones too */
    /* A row's dice depend on its name only: a new row changes no other one. */
    for (uint64_t i = 0; i < ROWS; i++) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (const char *at = options_table[i].name; *at; at++)
            hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
        struct sim_random dice = sim_split(seed ^ hash, SIM_STREAM_OPTIONS);

        if (on[options_table[i].class] && options_table[i].class != CLASS_FLIP) /* that one is asked for */
            *sim_options_value(options, i) = draw_value(&dice, &options_table[i]);
    }
}

static bool find_row(const char *name, size_t size, uint64_t *row)
{
    for (uint64_t i = 0; i < ROWS; i++)
        if (strlen(options_table[i].name) == size && memcmp(options_table[i].name, name, size) == 0) {
            *row = i;
            return true;
        }
    return false;
}

static bool class_off(struct sim_options *options, const char *name, size_t size)
{
    for (uint32_t class = 1; class < CLASSES; class++) {
        if (strlen(class_names[class]) != size || memcmp(class_names[class], name, size) != 0)
            continue;
        for (uint64_t i = 0; i < ROWS; i++)
            if (options_table[i].class == class)
                *sim_options_value(options, i) = 0;
        return true;
    }
    return false;
}

bool sim_options_set(struct sim_options *options, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    uint64_t value;
    uint64_t row;
    char *end;

    if (!equals || !equals[1]) {
        fprintf(stderr, "gavel-sim: '%s' is not NAME=VALUE\n", assignment);
        return false;
    }
    if (strcmp(equals + 1, "off") == 0) {
        if (class_off(options, assignment, (size_t)(equals - assignment)))
            return true;
        fprintf(stderr, "gavel-sim: there is no class '%.*s'\n", (int)(equals - assignment), assignment);
        return false;
    }
    errno = 0;
    value = strtoull(equals + 1, &end, 10);
    if (errno || *end || equals[1] == '-') {
        fprintf(stderr, "gavel-sim: '%s' is not a number\n", equals + 1);
        return false;
    }
    if (strncmp(assignment, "correlated=", 11) == 0) {
        options->correlated = value;
        return true;
    }
    if (!find_row(assignment, (size_t)(equals - assignment), &row)) {
        fprintf(stderr, "gavel-sim: there is no option '%.*s'; --help lists them\n", (int)(equals - assignment),
                assignment);
        return false;
    }
    if (options_table[row].class == CLASS_NONE && value == 0) {
        fprintf(stderr, "gavel-sim: %s cannot be 0\n", options_table[row].name);
        return false;
    }
    /* There is room for no more; what the others say is not clipped anywhere. */
    if ((strcmp(options_table[row].name, "nodes") == 0 || strcmp(options_table[row].name, "value_bytes") == 0) &&
        value > options_table[row].high) {
        fprintf(stderr, "gavel-sim: %s is %llu at most\n", options_table[row].name,
                (unsigned long long)options_table[row].high);
        return false;
    }
    *sim_options_value(options, row) = value;
    return true;
}

void sim_options_print(const struct sim_options *options, uint64_t seed, FILE *to)
{
    struct sim_options copy = *options;
    struct sim_options drawn;

    sim_options_draw(&drawn, seed);
    for (uint64_t i = 0; i < ROWS; i++)
        if (*sim_options_value(&copy, i) || *sim_options_value(&drawn, i))
            fprintf(to, " --set %s=%llu", options_table[i].name,
                    (unsigned long long)*sim_options_value(&copy, i));
    if (options->correlated)
        fprintf(to, " --correlated");
    fprintf(to, "\n");
}

void sim_options_help(FILE *to)
{
    for (uint64_t i = 0; i < ROWS; i++)
        fprintf(to, "  %-20s %-12s %6llu .. %-8llu %s\n", options_table[i].name,
                class_names[options_table[i].class], (unsigned long long)options_table[i].low,
                (unsigned long long)options_table[i].high, options_table[i].help);
}
