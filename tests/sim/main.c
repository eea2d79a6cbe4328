/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - gavel-sim: its arguments. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "campaign.h"
#include "enumerate.h"
#include "lies.h"
#include "shrink.h"

#define SECONDS_DEFAULT 300
#define EXIT_USAGE 64

struct arguments {
    struct campaign campaign;
    const char *shrink;
    const char *replay;
    const char *enumerate;
    uint64_t every;
};

static void usage(FILE *to)
{
    fprintf(to,
            "usage: gavel-sim [--seed N | --seeds FIRST..LAST | --seeds FIRST+COUNT] [options]\n"
            "Runs simulated clusters of the nodes that ship, one for each seed, and checks them.\n"
            "  --minutes M, --seconds S   simulated time of each seed under faults (5 minutes)\n"
            "  --set NAME=VALUE           fix a row of the table below; CLASS=off: all rows of a class\n"
            "  --jobs N                   seeds at the same time (as many as there are processors)\n"
            "  --trace                    print what happens; with one seed\n"
            "  --twice                    run each seed twice, the second time with nodes that look at everything\n"
            "                             after each event, and compare the traces (one in a hundred is anyway)\n"
            "  --shrink FILE              with one failing seed: find less that still fails, and write it there\n"
            "  --replay FILE              run what such a file holds; it must pass, and come to each\n"
            "                             total that a line \"wants NAME N\" of it names\n"
            "  --correlated               damage may hit a majority: safety and a loud stop only\n"
            "  --bug NAME                 with a seeded bug, in a build that has them\n"
            "  --floors FILE              fail when a total is below its floor, or above its bound\n"
            "  --share PERCENT            of these floors: of few seeds, which chance moves\n"
            "  --ledger FILE              add a line about this run\n"
            "  --failures N               no new seeds after so many failures (10)\n"
            "  --about                    what this build is\n"
            "  --enumerate NAME[:MODE]    a scene (all: every one) with a crash at each system call, with a kill\n"
            "                             there and a loss of power in the next life (kill), with EIO at each\n"
            "                             (error), with each allocation refused (memory);\n"
            "                             NAME:MODE:AT:VARIANT: one single run of these\n"
            "  --every N                  of those, each N-th only\n"
            "  --lies                     change one thing after the other behind a world's back: each must be found\n"
            "                             out, by the invariant that it is about\n"
            "  --inside                   no process of its own, for debuggers; with one seed\n"
            "Options (name, class, smallest, greatest, meaning); a class that is off is 0 in all its rows:\n");
    sim_options_help(to);
}

static bool number(const char *text, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    return !errno && !*end && end != text && text[0] != '-';
}

static bool seeds(const char *text, struct campaign *campaign)
{
    char first[32];
    size_t size = strcspn(text, ".+");
    uint64_t count;

    if (size >= sizeof first)
        return false;
    memcpy(first, text, size);
    first[size] = 0;
    if (!number(first, &campaign->first))
        return false;
    if (strncmp(text + size, "..", 2) == 0)
        return number(text + size + 2, &campaign->last) && campaign->last >= campaign->first;
    if (text[size] != '+' || !number(text + size + 1, &count) || count == 0)
        return false;
    campaign->last = campaign->first + count - 1;
    return true;
}

static bool take(struct arguments *arguments, const char *name, const char *value)
{
    struct campaign *campaign = &arguments->campaign;

    if (strcmp(name, "--seed") == 0 && number(value, &campaign->first)) {
        campaign->last = campaign->first;
        return true;
    }
    if (strcmp(name, "--seeds") == 0)
        return seeds(value, campaign);
    if (strcmp(name, "--seconds") == 0)
        return number(value, &campaign->seconds);
    if (strcmp(name, "--minutes") == 0 && number(value, &campaign->seconds)) {
        campaign->seconds *= 60;
        return true;
    }
    if (strcmp(name, "--jobs") == 0)
        return number(value, &campaign->jobs) && campaign->jobs && campaign->jobs <= CAMPAIGN_JOBS_MAX;
    if (strcmp(name, "--failures") == 0)
        return number(value, &campaign->failures_max);
    if (strcmp(name, "--set") == 0 && campaign->set_count < CAMPAIGN_SETS_MAX)
        return campaign->sets[campaign->set_count++] = value, true;
    if (strcmp(name, "--shrink") == 0)
        return arguments->shrink = value, true;
    if (strcmp(name, "--enumerate") == 0)
        return arguments->enumerate = value, true;
    if (strcmp(name, "--every") == 0)
        return number(value, &arguments->every);
    if (strcmp(name, "--replay") == 0)
        return arguments->replay = value, true;
    if (strcmp(name, "--bug") == 0)
        return campaign->bug = value, true;
    if (strcmp(name, "--floors") == 0)
        return campaign->floors = value, true;
    if (strcmp(name, "--share") == 0)
        return number(value, &campaign->share) && campaign->share && campaign->share <= 100;
    if (strcmp(name, "--ledger") == 0)
        return campaign->ledger = value, true;
    return false;
}

/* What was wrong with an argument that neither flag nor take took; `value`: the one behind it, or NULL. */
static void refuse(const char *name, const char *value)
{
    static const char *const names[] = {"--seed", "--seeds", "--seconds", "--minutes", "--jobs", "--failures", "--set",
                                        "--shrink", "--enumerate", "--every", "--replay", "--bug", "--floors",
                                        "--share", "--ledger"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) {
            if (value)
                fprintf(stderr, "gavel-sim: %s does not take '%s'; --help says what it takes\n", name, value);
            else
                fprintf(stderr, "gavel-sim: %s needs a value; --help says which\n", name);
            return;
        }
    fprintf(stderr, "gavel-sim: '%s' is not understood here; --help says more\n", name);
}

static bool flag(struct campaign *campaign, const char *name)
{
    bool *flags[] = {&campaign->tracing, &campaign->twice, &campaign->correlated, &campaign->inside};
    static const char *const names[] = {"--trace", "--twice", "--correlated", "--inside"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return *flags[i] = true;
    return false;
}

static bool check(const struct arguments *arguments)
{
    const struct campaign *campaign = &arguments->campaign;
    struct sim_run_order order;

    if (campaign->seconds == 0) {
        fprintf(stderr, "gavel-sim: a seed needs a second of simulated time at the least\n");
        return false;
    }
#ifndef GAVEL_SEEDED_BUGS
    if (campaign->bug) {
        fprintf(stderr, "gavel-sim: this build has no seeded bugs (configure --enable-seeded-bugs)\n");
        return false;
    }
#endif
    if ((campaign->tracing || campaign->inside || arguments->shrink) && campaign->first != campaign->last) {
        fprintf(stderr, "gavel-sim: that goes with one --seed only\n");
        return false;
    }
    return campaign_order(campaign, campaign->first, &order);
}

/* For scripts: how many seeds are reasonable here. */
static int about(void)
{
    const char *seeded = "no";

#ifdef GAVEL_SEEDED_BUGS
    seeded = "yes";
#endif
    printf("commit=%s sanitizer=%s seeded-bugs=%s\n", sim_commit(), campaign_sanitizer(), seeded);
    return 0;
}

static bool enumerate(const struct arguments *arguments)
{
    const struct campaign *campaign = &arguments->campaign;
    struct enumerate_order order = {.which = arguments->enumerate,
                                    .every = arguments->every,
                                    .jobs = campaign->jobs,
                                    .failures_max = campaign->failures_max,
                                    .bug = campaign->bug,
                                    .tracing = campaign->tracing};

    return enumerate_run(&order);
}

int main(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct arguments arguments = {.campaign = {.first = 1,
                                               .last = 1,
                                               .seconds = SECONDS_DEFAULT,
                                               .failures_max = 10,
                                               .jobs = processors > 0 && processors < CAMPAIGN_JOBS_MAX
                                                           ? (uint64_t)processors
                                                           : 1}};

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            return 0;
        }
        if (strcmp(argv[i], "--about") == 0)
            return about();
        if (strcmp(argv[i], "--lies") == 0)
            return lies_run() ? 0 : 1;
        if (flag(&arguments.campaign, argv[i]))
            continue;
        if (i + 1 >= argc || !take(&arguments, argv[i], argv[i + 1])) {
            refuse(argv[i], argv[i + 1]);
            return EXIT_USAGE;
        }
        i++;
    }
    if (!check(&arguments))
        return EXIT_USAGE;
    if (arguments.enumerate)
        return enumerate(&arguments) ? 0 : 1;
    if (arguments.replay)
        return shrink_replay(arguments.replay, &arguments.campaign) ? 0 : 1;
    if (arguments.shrink)
        return shrink_run(&arguments.campaign, arguments.shrink) ? 0 : 1;
    return campaign_run(&arguments.campaign) ? 0 : 1;
}
