/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.h - gaveld's command line.
 */
#ifndef CORE_HOST_ARGS_H
#define CORE_HOST_ARGS_H

#include <stdbool.h>

#define HOST_CONFORM_WORDS 128 /* of --seed, --set and --kind with their values */
#define HOST_CONFIG_FILE "/etc/gavel/gavel.ini" /* without --config */

/* What gaveld was asked to do. */
enum host_action {
    HOST_RUN,           /* be a node */
    HOST_CHECK_CONFIG,  /* --check-config */
    HOST_PRINT_CONFIG,  /* --print-config */
    HOST_SAMPLE_CONFIG, /* --sample-config */
    HOST_DUMP_SECTIONS, /* --dump-sections */
    HOST_DUMP_METRICS,  /* --dump-metrics */
    HOST_DUMP_PLUGIN,   /* --dump-plugin */
    HOST_CHECK_PLUGIN,  /* --check-plugin */
    HOST_LIST_PLUGINS,  /* --list-plugins */
    HOST_COMPLETION,    /* --completion */
    HOST_COMPLETE,      /* --complete */
    HOST_VERSION,       /* --version */
    HOST_HELP,          /* --help */
    HOST_USAGE          /* none of it: the error has been printed */
};

struct host_args {
    enum host_action action;
    const char *config; /* --config, or the default */
    bool config_given;
    const char *plugin; /* of --dump-plugin and --check-plugin */
    const char *conform[HOST_CONFORM_WORDS]; /* options of --check-plugin, as gavel-check takes them */
    int conform_count;
    bool conform_full; /* there were more */
    const char *shell;  /* of --completion */
    bool json;          /* --json */
    bool man;           /* --man */
    bool dev;           /* --dev */
    const char *join;   /* --join, addresses with commas; NULL: not given */
    char **words;       /* of --sample-config and --complete, ended by NULL */
    int word_count;
};

/* Parse; what is wrong is told on stderr and the action is HOST_USAGE. Strings are those of argv. */
struct host_args host_args_parse(int argc, char **argv);

/* Print --help to stdout, or with `man` the options as sections of gaveld(8). */
void host_args_help(bool man);

/*
 * Print what the last of these words may become, for a shell (core/host/usage.h). `plugin_dir` is where plugins are
 * looked for.
 */
void host_args_complete(int count, char **words, const char *plugin_dir);

#endif
