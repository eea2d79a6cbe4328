/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - gaveld: what was asked for, and who does it.
 */
#include "core/host/answer.h"
#include "core/host/args.h"
#include "core/host/conform.h"
#include "core/host/dev.h"
#include "core/host/dump.h"
#include "core/host/page.h"
#include "core/host/process.h"
#include "core/host/setup.h"
#include "core/host/watch.h"
#include "core/os/call.h"
#include "core/host/shell.h"

#include <stdlib.h>
#include <sysexits.h>

/* The directory of plugins for whatever is no node with a file: that of the INI file, if one is named. */
static const char *plugin_dir(const struct host_args *args)
{
    static struct host_config config; /* what is returned points into it */
    struct host_faults faults = {.count = 0}, warnings = {.count = 0};
    const char *dir = getenv("GAVEL_PLUGIN_DIR");
    FILE *stream = args->config_given ? fopen(args->config, "re") : NULL;

    if (!stream)
        return dir && *dir ? dir : GAVEL_PLUGINDIR;
    host_config_free(&config);
    host_config_read(&config, stream, args->config, &faults, &warnings);
    (void)fclose(stream);
    host_faults_free(&faults);
    host_faults_free(&warnings);
    return config.plugin_dir;
}

static int read_config(struct host_setup *setup, const struct host_args *args)
{
    bool good = host_setup_open(setup, args->config, args->join);

    host_faults_print(&setup->warnings, stderr, "gaveld: warning: ");
    host_faults_print(&setup->faults, stderr, "gaveld: ");
    return good ? EX_OK : EX_CONFIG;
}

static int check_config(const struct host_args *args)
{
    struct host_setup setup;
    int code = read_config(&setup, args);

    if (code == EX_OK && args->action == HOST_PRINT_CONFIG)
        host_config_print(&setup.config, stdout);
    else if (code == EX_OK)
        (void)printf("%s: ok\n", args->config);
    host_setup_free(&setup);
    return code;
}

static int dump_sections(const struct host_args *args)
{
    if (args->man)
        host_page_sections(stdout);
    else
        (void)host_dump_sections(args->json, stdout);
    return EX_OK;
}

static int dump_metrics(const struct host_args *args)
{
    if (args->man)
        host_page_metrics(stdout);
    else
        (void)host_dump_metrics(args->json, stdout);
    return EX_OK;
}

static int run(const struct host_args *args)
{
    struct host_setup setup;
    int code = EX_CONFIG;

    if (host_setup_open(&setup, args->config, args->join))
        code = host_process_run(&setup, GAVEL_VERSION);
    else
        host_faults_print(&setup.faults, stderr, "gaveld: ");
    host_setup_free(&setup);
    return code;
}

int main(int argc, char **argv)
{
    struct host_args args = host_args_parse(argc, argv);

    os_call_prefix("gaveld: ");
    os_call_thread(OS_CALL_LOOP);
    host_watch_signals();
    switch (args.action) {
    case HOST_CHECK_CONFIG:
    case HOST_PRINT_CONFIG:
        return check_config(&args);
    case HOST_DUMP_PLUGIN:
        return host_answer_dump_plugin(&args, plugin_dir(&args));
    case HOST_CHECK_PLUGIN:
        return host_conform(&args, plugin_dir(&args));
    case HOST_LIST_PLUGINS:
        return host_answer_list_plugins(plugin_dir(&args));
    case HOST_SAMPLE_CONFIG:
        return host_answer_sample_config(&args, plugin_dir(&args));
    case HOST_DUMP_SECTIONS:
        return dump_sections(&args);
    case HOST_DUMP_METRICS:
        return dump_metrics(&args);
    case HOST_COMPLETION:
        (void)fputs(shell_script(args.shell), stdout);
        return EX_OK;
    case HOST_COMPLETE:
        host_args_complete(args.word_count, args.words, plugin_dir(&args));
        return EX_OK;
    case HOST_VERSION:
        (void)printf("gaveld %s (plugin ABI %d.%d)\n", GAVEL_VERSION, GAVEL_ABI_MAJOR, GAVEL_ABI_MINOR);
        return EX_OK;
    case HOST_HELP:
        host_args_help(args.man);
        return EX_OK;
    case HOST_RUN:
        return args.dev ? host_dev_run(plugin_dir(&args), GAVEL_VERSION) : run(&args);
    case HOST_USAGE:
    default:
        return EX_USAGE;
    }
}
