/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.c - the table of gaveld's options, getopt_long over it, and the rules between options.
 */
#include "core/host/args.h"

#include "core/host/builtin.h"
#include "core/host/directory.h"
#include "core/host/usage.h"

#include <gavel/plugin.h>

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* What getopt_long answers: the number of the row, behind all letters. */
#define ROW_BASE 256

enum row {
    ROW_CONFIG,
    ROW_JOIN,
    ROW_CHECK,
    ROW_PRINT,
    ROW_SAMPLE,
    ROW_DEV,
    ROW_LIST,
    ROW_DUMP,
    ROW_SECTIONS,
    ROW_METRICS,
    ROW_CONFORM,
    ROW_SEED,
    ROW_SET,
    ROW_KIND,
    ROW_JSON,
    ROW_MAN,
    ROW_COMPLETION,
    ROW_VERSION,
    ROW_HELP,
    ROWS
};

static const struct usage_option options[ROWS + 1] = {
    [ROW_CONFIG] = {"config", 'c', USAGE_TEXT, "FILE", "The INI file, see gavel.ini(5); without it " HOST_CONFIG_FILE,
                    NULL},
    [ROW_JOIN] = {"join", 0, USAGE_TEXT, "ADDRESS,...",
                  "Join a cluster that is there already, in place of [cluster] join in the file. An empty node with "
                  "this founds nothing: it asks at these members whether it has been added (gavel member add), waits "
                  "until it is, and then catches up by itself. Once the data directory belongs to a cluster this means "
                  "nothing, so it may stay where it is", NULL},
    [ROW_CHECK] = {"check-config", 0, USAGE_FLAG, NULL,
                   "Read the file, load its plugins, let them check their options, say everything that is wrong, and "
                   "leave. Nothing is opened or started", NULL},
    [ROW_PRINT] = {"print-config", 0, USAGE_FLAG, NULL,
                   "The same, and print each value in force and where it comes from: a line of the file, the "
                   "environment, or a default. Secrets are not printed. What is printed is an INI file again", NULL},
    [ROW_SAMPLE] = {"sample-config", 0, USAGE_FLAG, NULL,
                    "Print a commented INI file for a node with these plugins: every key with what it means, what it "
                    "takes and its default. A plugin is named as for --dump-plugin; of a kind that is not named there "
                    "is the usual one", NULL},
    [ROW_DEV] = {"dev", 0, USAGE_FLAG, NULL,
                 "Run one node in a temporary directory, on a free port of the loopback interface, with every state "
                 "machine that is installed. The directory is removed when the node stops", NULL},
    [ROW_LIST] = {"list-plugins", 0, USAGE_FLAG, NULL,
                  "Print kind, name, version and summary of each plugin in the plugin directory: that of the INI file, "
                  "if one is named", NULL},
    [ROW_DUMP] = {"dump-plugin", 0, USAGE_TEXT, "PLUGIN",
                  "Print what a plugin says about itself, its options and its commands, as key=value lines. It is "
                  "named as NAME, KIND.NAME or the path of its file; a NAME that plugins of several kinds have prints "
                  "all of them", NULL},
    [ROW_SECTIONS] = {"dump-sections", 0, USAGE_FLAG, NULL,
                      "Print the sections and keys of the INI file that are not a plugin's, in the same form", NULL},
    [ROW_METRICS] = {"dump-metrics", 0, USAGE_FLAG, NULL,
                     "Print the metrics and the spans of gaveld, in the same form, each metric with its name in "
                     "Prometheus; see gavel-metrics(7)", NULL},
    [ROW_CONFORM] = {"check-plugin", 0, USAGE_TEXT, "PLUGIN",
                     "Try out whether a plugin keeps the promises of its kind: random commands on several instances, "
                     "snapshots, hostile bytes, dead peers, refused memory and more, each in a process of its own; see "
                     "gavel-check(3). It is named as NAME or the path of its file", NULL},
    [ROW_SEED] = {"seed", 0, USAGE_TEXT, "NUMBER", "Make the same checks as a --check-plugin that told this seed",
                  NULL},
    [ROW_SET] = {"set", 0, USAGE_TEXT, "KEY=VALUE",
                 "An option of the plugin of --check-plugin, as in the INI file; may be repeated", NULL},
    [ROW_KIND] = {"kind", 0, USAGE_TEXT, "transport|serializer|statemachine|observer",
                  "Which plugin of that NAME --check-plugin means",
                  NULL},
    [ROW_JSON] = {"json", 0, USAGE_FLAG, NULL, "Print --dump-plugin, --dump-sections or --dump-metrics as JSON", NULL},
    [ROW_MAN] = {"man", 0, USAGE_FLAG, NULL,
                 "Print --dump-plugin, --dump-sections, --dump-metrics or --help as sections of a manual page", NULL},
    [ROW_COMPLETION] = {"completion", 0, USAGE_TEXT, "bash|zsh",
                        "Print what makes that shell complete the command lines of gaveld and gavel", NULL},
    [ROW_VERSION] = {"version", 0, USAGE_FLAG, NULL, "Print the version and that of the plugin ABI", NULL},
    [ROW_HELP] = {"help", 'h', USAGE_FLAG, NULL, "Print this", NULL},
};

void host_args_help(bool man)
{
    if (man) {
        (void)fputs(".Sh OPTIONS\n", stdout);
        usage_print_page(options, stdout);
        return;
    }
    (void)fputs("Usage: gaveld [--config FILE] [--join ADDRESS,...]\n"
                "       gaveld --dev\n"
                "       gaveld --check-config | --print-config [--config FILE]\n"
                "       gaveld --sample-config [PLUGIN...]\n"
                "       gaveld --list-plugins\n"
                "       gaveld --dump-plugin PLUGIN | --dump-sections | --dump-metrics [--json | --man]\n"
                "       gaveld --check-plugin PLUGIN [--seed NUMBER] [--kind KIND] [--set KEY=VALUE]...\n"
                "       gaveld --completion bash|zsh\n"
                "\n"
                "One node of a gavel cluster.\n"
                "\n", stdout);
    usage_print_help(options, stdout);
    (void)fputs("\n"
                "Signals: TERM and INT stop the node cleanly, a second one at once; HUP reopens log\n"
                "files and reads the INI file again.\n"
                "Exit codes: 0 ok, 64 usage, 65 data corrupt, 70 internal or a broken promise, 74 I/O,\n"
                "77 permission, 78 configuration; see gaveld(8).\n",
                stdout);
}

static struct host_args usage(struct host_args args, const char *sentence)
{
    if (sentence)
        (void)fprintf(stderr, "gaveld: %s\n", sentence);
    (void)fputs("gaveld: see gaveld --help\n", stderr);
    args.action = HOST_USAGE;
    return args;
}

/* HOST_RUN for what is no action. */
static enum host_action action_of(enum row row)
{
    static const enum host_action actions[ROWS] = {
        [ROW_CHECK] = HOST_CHECK_CONFIG,     [ROW_PRINT] = HOST_PRINT_CONFIG,   [ROW_SAMPLE] = HOST_SAMPLE_CONFIG,
        [ROW_LIST] = HOST_LIST_PLUGINS,      [ROW_DUMP] = HOST_DUMP_PLUGIN,     [ROW_SECTIONS] = HOST_DUMP_SECTIONS,
        [ROW_METRICS] = HOST_DUMP_METRICS,   [ROW_CONFORM] = HOST_CHECK_PLUGIN,
        [ROW_COMPLETION] = HOST_COMPLETION,  [ROW_VERSION] = HOST_VERSION,      [ROW_HELP] = HOST_HELP,
    };

    return actions[row];
}

static void take(struct host_args *args, enum row row, const char *value)
{
    switch (row) {
    case ROW_CONFIG:
        args->config = value;
        args->config_given = true;
        break;
    case ROW_JOIN:
        args->join = value;
        break;
    case ROW_DUMP:
    case ROW_CONFORM:
        args->plugin = value;
        break;
    case ROW_SEED:
    case ROW_SET:
    case ROW_KIND:
        if (args->conform_count + 2 <= HOST_CONFORM_WORDS) {
            args->conform[args->conform_count++] = row == ROW_SEED ? "--seed" : row == ROW_SET ? "--set" : "--kind";
            args->conform[args->conform_count++] = value;
        } else {
            args->conform_full = true;
        }
        break;
    case ROW_COMPLETION:
        args->shell = value;
        break;
    case ROW_JSON:
        args->json = true;
        break;
    case ROW_MAN:
        args->man = true;
        break;
    case ROW_DEV:
        args->dev = true;
        break;
    default:
        break;
    }
}

/* What does not go together; NULL when all is well. */
static const char *contradiction(const struct host_args *args)
{
    bool tables = args->action == HOST_DUMP_PLUGIN || args->action == HOST_DUMP_SECTIONS ||
                  args->action == HOST_DUMP_METRICS;

    if (args->json && !tables)
        return "--json goes with --dump-plugin, --dump-sections or --dump-metrics";
    if (args->conform_count && args->action != HOST_CHECK_PLUGIN)
        return "--seed, --set and --kind go with --check-plugin";
    if (args->conform_full)
        return "at most 64 of --seed, --set and --kind";
    if (args->man && !tables && args->action != HOST_HELP)
        return "--man goes with --dump-plugin, --dump-sections, --dump-metrics or --help";
    if (args->man && args->json)
        return "--json or --man, not both";
    if (args->dev && args->action != HOST_RUN)
        return "--dev goes alone";
    if (args->join && (args->dev || (args->action != HOST_RUN && args->action != HOST_CHECK_CONFIG &&
                                     args->action != HOST_PRINT_CONFIG)))
        return "--join goes with a node that is to run";
    if (args->dev && args->config_given)
        return "--dev makes its own configuration: leave --config out";
    if (args->shell && strcmp(args->shell, "bash") != 0 && strcmp(args->shell, "zsh") != 0)
        return "--completion is for bash or zsh";
    return NULL;
}

struct host_args host_args_parse(int argc, char **argv)
{
    struct host_args args = {.action = HOST_RUN, .config = HOST_CONFIG_FILE};
    struct option longs[ROWS + 1] = {{NULL, 0, NULL, 0}};
    const char *problem;
    int answer;

    if (argc > 1 && strcmp(argv[1], "--complete") == 0) {
        args.action = HOST_COMPLETE;
        args.words = argv + 2;
        args.word_count = argc - 2;
        return args;
    }
    for (int row = 0; row < ROWS; row++)
        longs[row] = (struct option){options[row].name, options[row].kind != USAGE_FLAG, NULL, ROW_BASE + row};
    while ((answer = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
        enum row row = answer == 'c' ? ROW_CONFIG : answer == 'h' ? ROW_HELP : (enum row)(answer - ROW_BASE);
        enum host_action action;

        if (answer == '?')
            return usage(args, NULL);
        assert(row < ROWS);
        action = action_of(row);
        if (action != HOST_RUN && args.action != HOST_RUN && args.action != action)
            return usage(args, "one of --check-config, --print-config, --list-plugins, --dump-plugin ... at a time");
        args.action = action != HOST_RUN ? action : args.action;
        take(&args, row, optarg);
    }
    args.words = argv + optind;
    args.word_count = argc - optind;
    if (optind < argc && args.action != HOST_SAMPLE_CONFIG) {
        (void)fprintf(stderr, "gaveld: unexpected argument \"%s\"; a configuration is named with --config\n",
                      argv[optind]);
        return usage(args, NULL);
    }
    problem = contradiction(&args);
    return problem ? usage(args, problem) : args;
}

/* ---- completion -------------------------------------------------------------------------------------------------- */

struct plugins {
    struct usage_completion *completion;
    const char *prefix;
};

static void offer_file(void *context, const char *file)
{
    const struct plugins *plugins = context;
    char name[64];
    uint64_t kind;

    if (host_plugin_file(file, name, &kind))
        usage_offer(plugins->completion, plugins->prefix, name, NULL);
}

/* Plugins by name; a file too. */
static void ask(struct usage_completion *completion, const char *what, const char *prefix)
{
    struct plugins plugins = {completion, prefix};

    if (strcmp(what, "PLUGIN") != 0)
        return;
    (void)host_plugins_each(completion->context, 0, offer_file, &plugins);
    for (const struct host_builtin *builtin = host_builtins; builtin->entry; builtin++)
        usage_offer(completion, prefix, builtin->name, NULL);
    if (strchr(completion->word, '/') || *completion->word == '.')
        (void)fputs(":files\n", completion->out);
}

void host_args_complete(int count, char **words, const char *plugin_dir)
{
    const char *word = count > 0 ? words[count - 1] : "";
    const struct usage_option *before = count > 1 ? usage_find(options, words[count - 2]) : NULL;
    const struct usage_option *here = strchr(word, '=') ? usage_find(options, word) : NULL;
    struct usage_completion completion = {.word = word, .out = stdout, .ask = ask};
    char prefix[64];
    bool sample = false;

    completion.context = (void *)(uintptr_t)plugin_dir;
    for (int i = 0; i < count - 1; i++)
        sample = sample || strcmp(words[i], "--sample-config") == 0;
    if (here && here->argument) {
        (void)snprintf(prefix, sizeof prefix, "--%s=", here->name);
        usage_offer_argument(&completion, here->argument, prefix);
    } else if (before && before->argument) {
        usage_offer_argument(&completion, before->argument, "");
    } else if (*word == '-') {
        usage_offer_options(&completion, options);
    } else if (sample) {
        usage_offer_argument(&completion, "PLUGIN", "");
    } else {
        usage_offer_options(&completion, options);
    }
}
