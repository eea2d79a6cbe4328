/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.c - getopt_long, and the rules between options.
 */
#include "core/host/args.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum {
    OPTION_CHECK = 256,
    OPTION_PRINT,
    OPTION_DUMP,
    OPTION_JSON,
    OPTION_LIST,
    OPTION_DEV,
    OPTION_JOIN,
    OPTION_VERSION
};

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check-config", no_argument, NULL, OPTION_CHECK},
    {"print-config", no_argument, NULL, OPTION_PRINT},
    {"dump-plugin", required_argument, NULL, OPTION_DUMP},
    {"json", no_argument, NULL, OPTION_JSON},
    {"list-plugins", no_argument, NULL, OPTION_LIST},
    {"dev", no_argument, NULL, OPTION_DEV},
    {"join", required_argument, NULL, OPTION_JOIN},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

void host_args_help(void)
{
    (void)printf("Usage: gaveld [--config FILE] [--join ADDRESS,...]\n"
                 "       gaveld --dev\n"
                 "       gaveld --check-config | --print-config [--config FILE]\n"
                 "       gaveld --list-plugins | --dump-plugin NAME|PATH [--json]\n"
                 "\n"
                 "One node of a gavel cluster.\n"
                 "\n"
                 "  -c, --config FILE        the INI file (" HOST_CONFIG_FILE ")\n"
                 "      --join ADDRESS,...   members of the cluster that this node joins once it has been added there\n"
                 "      --check-config       read it, load and check its plugins, say what is wrong, and leave\n"
                 "      --print-config       print each effective value and where it comes from\n"
                 "      --dev                run one node in a temporary directory, with all installed machines\n"
                 "      --list-plugins       the plugins in the plugin directory\n"
                 "      --dump-plugin PLUGIN what a plugin says about itself, as key=value lines\n"
                 "      --json               the same as JSON\n"
                 "      --version            the version\n"
                 "  -h, --help               this text\n"
                 "\n"
                 "Signals: TERM and INT stop the node cleanly, a second one at once; HUP reopens log files.\n"
                 "Exit codes: 0 ok, 64 usage, 65 data corrupt, 70 internal, 74 I/O, 77 permission, 78 "
                 "configuration.\n");
}

static struct host_args usage(struct host_args args, const char *sentence)
{
    if (sentence)
        (void)fprintf(stderr, "gaveld: %s\n", sentence);
    (void)fputs("gaveld: see gaveld --help\n", stderr);
    args.action = HOST_USAGE;
    return args;
}

static enum host_action action_of(int option)
{
    switch (option) {
    case OPTION_CHECK:
        return HOST_CHECK_CONFIG;
    case OPTION_PRINT:
        return HOST_PRINT_CONFIG;
    case OPTION_DUMP:
        return HOST_DUMP_PLUGIN;
    case OPTION_LIST:
        return HOST_LIST_PLUGINS;
    case OPTION_VERSION:
        return HOST_VERSION;
    case 'h':
        return HOST_HELP;
    default:
        return HOST_USAGE;
    }
}

struct host_args host_args_parse(int argc, char **argv)
{
    struct host_args args = {.action = HOST_RUN, .config = HOST_CONFIG_FILE};
    int option;

    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == '?')
            return usage(args, NULL);
        if (option == 'c') {
            args.config = optarg;
            args.config_given = true;
        } else if (option == OPTION_JSON) {
            args.json = true;
        } else if (option == OPTION_JOIN) {
            args.join = optarg;
        } else if (option == OPTION_DEV) {
            args.dev = true;
        } else if (args.action != HOST_RUN && args.action != action_of(option)) {
            return usage(args, "one of --check-config, --print-config, --list-plugins, --dump-plugin at a time");
        } else {
            args.action = action_of(option);
            args.plugin = option == OPTION_DUMP ? optarg : args.plugin;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "gaveld: unexpected argument \"%s\"; a configuration is named with --config\n",
                      argv[optind]);
        return usage(args, NULL);
    }
    if (args.json && args.action != HOST_DUMP_PLUGIN)
        return usage(args, "--json goes with --dump-plugin");
    if (args.dev && args.action != HOST_RUN)
        return usage(args, "--dev goes alone");
    if (args.join && (args.dev || (args.action != HOST_RUN && args.action != HOST_CHECK_CONFIG &&
                                   args.action != HOST_PRINT_CONFIG)))
        return usage(args, "--join goes with a node that is to run");
    if (args.dev && args.config_given)
        return usage(args, "--dev makes its own configuration: leave --config out");
    return args;
}
