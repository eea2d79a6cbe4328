/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - gaveld: what was asked for, and who does it.
 */
#include "core/host/args.h"
#include "core/host/builtin.h"
#include "core/host/dev.h"
#include "core/host/dump.h"
#include "core/host/process.h"
#include "core/host/setup.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* The directory for --list-plugins, --dump-plugin and --dev: that of the INI file, if one is named. */
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

/* A name may be that of plugins of several kinds (log, json): all of them are printed. */
static int dump_plugin(const struct host_args *args)
{
    const char *dir = plugin_dir(args);
    struct host_loader loader = {.count = 0};
    const struct host_plugin *plugin;
    struct gavel_error error, missing = {.code = 0};
    int code = EX_CONFIG;

    if (strchr(args->plugin, '/')) {
        if (host_load_path(&loader, args->plugin, &plugin, &error) == GAVEL_OK) {
            (void)host_dump_plugin(plugin, args->json, stdout);
            code = EX_OK;
        } else {
            (void)fprintf(stderr, "gaveld: %s\n", error.text);
        }
        host_loader_free(&loader);
        return code;
    }
    for (uint64_t kind = GAVEL_KIND_TRANSPORT; kind <= GAVEL_KIND_OBSERVER; kind++) {
        int32_t status = host_load(&loader, dir, args->plugin, kind, host_builtins, &plugin, &error);

        if (status == GAVEL_OK) {
            (void)host_dump_plugin(plugin, args->json, stdout);
            code = EX_OK;
        } else if (status == GAVEL_E_NOT_FOUND) {
            missing = error;
        } else {
            (void)fprintf(stderr, "gaveld: %s\n", error.text);
            missing.code = 0;
            code = EX_CONFIG;
            break;
        }
    }
    if (code != EX_OK && missing.code)
        (void)fprintf(stderr, "gaveld: there is no plugin called \"%s\" in %s; see gaveld --list-plugins\n",
                      args->plugin,
                      dir);
    host_loader_free(&loader);
    return code;
}

static int list_plugins(const struct host_args *args)
{
    const char *dir = plugin_dir(args);
    struct host_loader loader = {.count = 0};
    int32_t status = host_list_plugins(&loader, dir, host_builtins, stdout);

    if (status < 0)
        (void)fprintf(stderr, "gaveld: the plugin directory %s cannot be read\n", dir);
    host_loader_free(&loader);
    return status == 0 ? EX_OK : EX_CONFIG;
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

    switch (args.action) {
    case HOST_CHECK_CONFIG:
    case HOST_PRINT_CONFIG:
        return check_config(&args);
    case HOST_DUMP_PLUGIN:
        return dump_plugin(&args);
    case HOST_LIST_PLUGINS:
        return list_plugins(&args);
    case HOST_VERSION:
        (void)printf("gaveld %s (plugin ABI %d.%d)\n", GAVEL_VERSION, GAVEL_ABI_MAJOR, GAVEL_ABI_MINOR);
        return EX_OK;
    case HOST_HELP:
        host_args_help();
        return EX_OK;
    case HOST_RUN:
        return args.dev ? host_dev_run(plugin_dir(&args), GAVEL_VERSION) : run(&args);
    case HOST_USAGE:
    default:
        return EX_USAGE;
    }
}
