/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - gavel-check: the conformance kit as a program, run by "gaveld --check-plugin" and by libgavelcheck.
 *
 * Its output is read by both, and by people: a line a verdict, "ok", "fail", "warn" or "skip", the check's name and the
 * sentence, two blanks apart; then one line with the sums.
 */
#include "core/check/kit.h"
#include "core/check/machine.h"
#include "core/check/shared.h"
#include "core/codec/field.h"
#include "core/host/schema.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

enum { OPTION_DIR = 256, OPTION_KIND, OPTION_SEED, OPTION_SET, OPTION_ONLY, OPTION_DEADLINE, OPTION_TWIN, OPTION_LIST };

static const struct option options[] = {
    {"plugin-dir", required_argument, NULL, OPTION_DIR},
    {"kind", required_argument, NULL, OPTION_KIND},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"set", required_argument, NULL, OPTION_SET},
    {"only", required_argument, NULL, OPTION_ONLY},
    {"deadline", required_argument, NULL, OPTION_DEADLINE},
    {"twin", no_argument, NULL, OPTION_TWIN}, /* the second process of a state machine's checks */
    {"list", no_argument, NULL, OPTION_LIST},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int help(void)
{
    (void)printf("Usage: gavel-check [OPTION...] FILE|NAME\n"
                 "\n"
                 "Check that a plugin keeps the promises of its kind; see gavel-check(3) and gaveld --check-plugin.\n"
                 "\n"
                 "      --seed N         make the same checks as a run that told this seed\n"
                 "      --set KEY=VALUE  an option of the plugin, as in the INI file; may be repeated\n"
                 "      --kind KIND      transport, serializer, statemachine or observer, where a NAME means several\n"
                 "      --plugin-dir DIR where a NAME is looked for\n"
                 "      --only CHECK     make this check alone\n"
                 "      --deadline TIME  of each check; 60s unless given\n"
                 "      --list           name the checks\n"
                 "  -h, --help           this text\n");
    return EX_OK;
}

static int usage(const char *sentence, const char *found)
{
    (void)fprintf(stderr, "gavel-check: %s%s%s%s; see gavel-check(3)\n", sentence, found ? ", not \"" : "",
                  found ? found : "", found ? "\"" : "");
    return EX_USAGE;
}

static int list(void)
{
    (void)puts("tables");
    for (const struct kit_check *check = kit_checks; check->name; check++)
        (void)puts(check->name);
    return EX_OK;
}

static bool known_kind(const char *name)
{
    for (uint64_t kind = GAVEL_KIND_TRANSPORT; kind <= GAVEL_KIND_OBSERVER; kind++)
        if (strcmp(host_kind_name(kind), name) == 0)
            return true;
    return false;
}

static bool known_check(const char *name)
{
    if (strcmp(name, "tables") == 0)
        return true;
    for (const struct kit_check *check = kit_checks; check->name; check++)
        if (strcmp(check->name, name) == 0)
            return true;
    return false;
}

/* 0, or the exit code. */
static int take_number(int option, const char *text)
{
    struct gavel_error error;
    uint64_t number;

    if (option == OPTION_SEED) {
        if (codec_parse_uint(gavel_text(text), &number, &error) != GAVEL_OK || number == 0)
            return usage("--seed takes a number above 0", text);
        kit.seed = number;
        return 0;
    }
    if (codec_parse_duration(gavel_text(text), &number, &error) != GAVEL_OK || number == 0)
        return usage("--deadline takes a time such as 30s", text);
    kit.deadline_ms = number;
    return 0;
}

/* All checks of the plugin's kind; the exit code. */
static int run(void)
{
    struct kit_tally tally = {0};
    uint64_t kind;

    (void)printf("gavel-check %s seed %" PRIu64 "\n", kit.asked, kit.seed);
    kind = kit_probe(&tally);
    if (!kind)
        return shared->missing ? EX_NOINPUT : EX_CONFIG;
    for (const struct kit_check *check = kit_checks; check->name; check++)
        if ((check->kind == 0 || check->kind == kind) && (!kit.only || strcmp(kit.only, check->name) == 0))
            (void)kit_run(check, &tally);
    (void)printf("%s: %" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " warned, %" PRIu64 " skipped, seed %" PRIu64
                 "\n", kit.asked, tally.passed, tally.failed, tally.warned, tally.skipped, kit.seed);
    return tally.failed ? EX_SOFTWARE : EX_OK;
}

static void draw_seed(void)
{
    const char *given = getenv("GAVEL_TEST_SEED");

    if (kit.seed == 0 && given)
        kit.seed = strtoull(given, NULL, 0);
    while (kit.seed == 0 && getrandom(&kit.seed, sizeof kit.seed, 0) == (ssize_t)sizeof kit.seed)
        kit.seed &= 0xffffffff; /* short enough to be typed */
}

static int bad_value(int option, unsigned *set)
{
    switch (option) {
    case OPTION_DIR:
        kit.dir = optarg;
        return 0;
    case OPTION_KIND:
        kit.kind = optarg;
        return known_kind(optarg) ? 0 : usage("--kind is transport, serializer, statemachine or observer", optarg);
    case OPTION_ONLY:
        kit.only = optarg;
        return known_check(optarg) ? 0 : usage("--only takes the name of a check", optarg);
    case OPTION_SET:
        if (*set == KIT_OPTIONS_MAX || !strchr(optarg, '='))
            return usage("--set takes KEY=VALUE, at most 64 times", optarg);
        kit.options[(*set)++] = optarg;
        return 0;
    case OPTION_SEED:
    case OPTION_DEADLINE:
        return take_number(option, optarg);
    default:
        return EX_USAGE;
    }
}

int main(int argc, char **argv)
{
    const char *dir = getenv("GAVEL_PLUGIN_DIR");
    unsigned set = 0;
    bool twin = false;
    int option, code;

    kit.program = "/proc/self/exe";
    kit.dir = dir && *dir ? dir : GAVEL_PLUGINDIR;
    kit.deadline_ms = KIT_DEADLINE_MS;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h')
            return help();
        if (option == OPTION_LIST)
            return list();
        if (option == OPTION_TWIN)
            twin = true;
        else if ((code = bad_value(option, &set)) != 0)
            return code;
    }
    if (optind + 1 != argc)
        return usage("name one plugin", NULL);
    kit.asked = argv[optind];
    draw_seed();
    return twin ? machine_twin() : run();
}
