/* SPDX-License-Identifier: Apache-2.0 */
/* shrink.c - the least that still fails; see shrink.h. */
#include "shrink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 400 /* of one shrinking */

struct shrinking {
    struct sim_run_order order; /* the least so far that fails */
    struct sim_report report;   /* and how */
    uint32_t runs;
};

/* Take it when the same invariant still does not hold. */
static bool attempt(struct shrinking *shrinking, const struct sim_run_order *order)
{
    struct sim_report report;

    if (shrinking->runs >= RUNS_MAX || memcmp(order, &shrinking->order, sizeof *order) == 0)
        return false;
    shrinking->runs++;
    if (!sim_run_whole(order, &report) || report.outcome != SIM_FAILED ||
        strcmp(report.invariant, shrinking->report.invariant) != 0)
        return false;
    shrinking->order = *order;
    shrinking->report = report;
    printf("  %3u runs: fails at %llu.%03llu s ", shrinking->runs, (unsigned long long)(report.sim_ns / SIM_S),
           (unsigned long long)(report.sim_ns % SIM_S / SIM_MS));
    sim_options_print(&order->options, order->seed, stdout);
    return true;
}

/* What failed early does not need the time behind it. */
static bool less_time(struct shrinking *shrinking)
{
    struct sim_run_order order = shrinking->order;
    uint64_t failed_s = shrinking->report.sim_ns / SIM_S + 1;
    bool better = false;

    if (failed_s < order.seconds) {
        order.seconds = failed_s;
        better = attempt(shrinking, &order);
    }
    order = shrinking->order;
    order.seconds = order.seconds / 2 ? order.seconds / 2 : 1;
    return attempt(shrinking, &order) || better;
}

static bool without_class(struct shrinking *shrinking, uint32_t class)
{
    struct sim_run_order order = shrinking->order;
    bool any = false;

    for (uint64_t i = 0; i < sim_options_count(); i++)
        if (sim_options_row(i)->class == class) {
            any = any || *sim_options_value(&order.options, i);
            *sim_options_value(&order.options, i) = 0;
        }
    return any && attempt(shrinking, &order);
}

/* A row outside the classes to its least, or half-way there; one of a class to nothing. */
static bool lower_row(struct shrinking *shrinking, uint64_t row)
{
    const struct sim_option *option = sim_options_row(row);
    struct sim_run_order order = shrinking->order;
    uint64_t *value = sim_options_value(&order.options, row);
    uint64_t before = *value;
    uint64_t least = option->class ? 0 : option->low;

    if (before <= least)
        return false;
    *value = least;
    if (attempt(shrinking, &order))
        return true;
    *value = before - (before - least) / 2;
    return *value != before && attempt(shrinking, &order);
}

/* Only what differs in a second run, or fails in that alone, needs it. */
static bool once(struct shrinking *shrinking)
{
    struct sim_run_order order = shrinking->order;

    order.twice = false;
    return shrinking->order.twice && attempt(shrinking, &order);
}

static bool write_file(const struct shrinking *shrinking, const char *path)
{
    FILE *file = fopen(path, "w");
    struct sim_options options = shrinking->order.options;

    if (!file) {
        fprintf(stderr, "gavel-sim: %s: %s\n", path, strerror(errno));
        return false;
    }
    fprintf(file,
            "# SPDX-License-Identifier: Apache-2.0\n# %s\n# seen at commit %s\ninvariant %s\nseed %llu\nseconds %llu\n",
            shrinking->report.sentence, sim_commit(), shrinking->report.invariant,
            (unsigned long long)shrinking->order.seed, (unsigned long long)shrinking->order.seconds);
    if (shrinking->order.twice)
        fprintf(file, "twice\n");
    if (options.correlated)
        fprintf(file, "set correlated=1\n");
    for (uint64_t i = 0; i < sim_options_count(); i++)
        if (*sim_options_value(&options, i))
            fprintf(file, "set %s=%llu\n", sim_options_row(i)->name,
                    (unsigned long long)*sim_options_value(&options, i));
    return fclose(file) == 0;
}

bool shrink_run(const struct campaign *campaign, const char *path)
{
    struct shrinking shrinking = {0};
    bool better;

    if (!campaign_order(campaign, campaign->first, &shrinking.order) ||
        !sim_run_whole(&shrinking.order, &shrinking.report))
        return false;
    if (shrinking.report.outcome != SIM_FAILED) {
        fprintf(stderr, "gavel-sim: seed %llu does not fail: nothing to shrink\n",
                (unsigned long long)campaign->first);
        return false;
    }
    printf("%s: %s\n", shrinking.report.invariant, shrinking.report.sentence);
    do {
        better = once(&shrinking);
        better |= less_time(&shrinking);
        for (uint32_t class = 1; sim_options_class(class); class++)
            better |= without_class(&shrinking, class);
        for (uint64_t i = 0; i < sim_options_count(); i++)
            better |= lower_row(&shrinking, i);
    } while (better && shrinking.runs < RUNS_MAX);
    if (!write_file(&shrinking, path))
        return false;
    printf("%s: %s\ngavel-sim ", shrinking.report.invariant, shrinking.report.sentence);
    sim_run_print_order(&shrinking.order, stdout);
    return true;
}

/* What a file may say of its run: "wants NAME N", a total that must be N at the least. */
#define WANTS_MAX 16

struct want {
    char name[32];
    uint64_t least;
};

static bool read_want(const char *words, struct want *wants, uint32_t *count)
{
    struct sim_totals none = {0};
    unsigned long long least;
    uint64_t value;

    if (*count == WANTS_MAX || sscanf(words, "%31s %llu", wants[*count].name, &least) != 2 ||
        !sim_total_named(&none, wants[*count].name, &value))
        return false;
    wants[(*count)++].least = least;
    return true;
}

static bool read_order(const char *path, struct sim_run_order *order, struct want *wants, uint32_t *want_count)
{
    FILE *file = fopen(path, "r");
    bool good = file != NULL;
    bool seeded = false;
    char line[512];

    if (!file)
        fprintf(stderr, "gavel-sim: %s: %s\n", path, strerror(errno));
    /* A row that is newer than the file: its least, as if it did not exist. */
    for (uint64_t i = 0; i < sim_options_count(); i++)
        *sim_options_value(&order->options, i) = sim_options_row(i)->class ? 0 : sim_options_row(i)->low;
    while (good && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "seed ", 5) == 0)
            seeded = (order->seed = strtoull(line + 5, NULL, 10), true);
        else if (strncmp(line, "seconds ", 8) == 0)
            order->seconds = strtoull(line + 8, NULL, 10);
        else if (strcmp(line, "twice") == 0)
            order->twice = true;
        else if (strncmp(line, "set ", 4) == 0)
            good = sim_options_set(&order->options, line + 4);
        else if (strncmp(line, "wants ", 6) == 0 && read_want(line + 6, wants, want_count))
            continue;
        else if (line[0] && line[0] != '#' && strncmp(line, "invariant ", 10) != 0 && strncmp(line, "bug ", 4) != 0)
            good = (fprintf(stderr, "gavel-sim: %s: '%s' is not understood\n", path, line), false);
    }
    if (file)
        (void)fclose(file);
    return good && seeded && order->seconds;
}

/* It passed: but is it still the world in which something had failed? Other dice make another one of it. */
static bool came_to(const char *path, const struct sim_totals *totals, const struct want *wants, uint32_t count)
{
    bool good = true;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t value = 0;

        (void)sim_total_named(totals, wants[i].name, &value);
        if (value >= wants[i].least)
            continue;
        printf("%s: it passes, but is no longer what it was: it wants %s %llu, and comes to %llu\n", path,
               wants[i].name, (unsigned long long)wants[i].least, (unsigned long long)value);
        good = false;
    }
    return good;
}

bool shrink_replay(const char *path, const struct campaign *campaign)
{
    struct sim_run_order order = {.tracing = campaign->tracing,
                                  .twice = campaign->twice,
                                  .inside = campaign->inside,
                                  .bug = campaign->bug};
    struct sim_report report;
    struct want wants[WANTS_MAX];
    uint32_t want_count = 0;

    if (!read_order(path, &order, wants, &want_count) || !sim_run_whole(&order, &report))
        return false;
    if (report.outcome == SIM_PASSED)
        return came_to(path, &report.totals, wants, want_count);
    printf("%s: %s: %s\n  gavel-sim --trace --replay %s\n", path, report.invariant, report.sentence, path);
    return false;
}
