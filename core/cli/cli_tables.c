/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_tables.c - the commands of the state machines that are installed here, for help and completion without a cluster.
 * The document is what nodes answer to describe, so all that reads their tables reads these.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include <gavel/statemachine.h>

#include "core/host/directory.h"
#include "core/host/loader.h"

const char *cli_plugin_dir(void)
{
    const char *dir = getenv("GAVEL_PLUGIN_DIR");

    return dir && *dir ? dir : GAVEL_PLUGINDIR;
}

struct installed {
    struct host_loader loader;
    const char *dir;
    bool loud;
};

static void load(void *context, const char *file)
{
    struct installed *installed = context;
    const struct host_plugin *plugin;
    struct gavel_error error;
    char name[64];
    uint64_t kind;

    if (!host_plugin_file(file, name, &kind) || installed->loader.count == HOST_PLUGINS_MAX)
        return;
    if (host_load(&installed->loader, installed->dir, name, kind, NULL, &plugin, &error) != GAVEL_OK && installed->loud)
        (void)cli_fail(CLI_FAILED, "%s", error.text);
}

static void put_text(struct gavel_writer *w, const char *key, const char *text)
{
    if (!text)
        return;
    gavel_put_key(w, key);
    gavel_put_text(w, text);
}

static void put_command(struct gavel_writer *w, const struct gavel_command *command)
{
    gavel_put_map(w, 2 + (command->help != NULL) + (command->example != NULL) + (command->arguments != NULL));
    put_text(w, "name", command->name);
    gavel_put_key(w, "flags");
    gavel_put_uint(w, command->flags);
    put_text(w, "help", command->help);
    put_text(w, "example", command->example);
    if (command->arguments) {
        gavel_put_key(w, "arguments");
        codec_fields_describe(command->arguments, w);
    }
    gavel_put_end(w);
}

/* The host's rows of commands are of its own size (core/host/loader.h). Internal ones are not offered, as by nodes. */
static void put_machine(struct gavel_writer *w, const struct host_plugin *plugin)
{
    const struct gavel_statemachine *machine = &plugin->operations.statemachine;
    uint64_t count = 0, i;

    for (i = 0; i < machine->command_count; i++)
        count += (machine->commands[i].flags & GAVEL_INTERNAL) == 0;
    gavel_put_map(w, 2);
    put_text(w, "name", plugin->head.name);
    gavel_put_key(w, "commands");
    gavel_put_array(w, count);
    for (i = 0; i < machine->command_count; i++)
        if ((machine->commands[i].flags & GAVEL_INTERNAL) == 0)
            put_command(w, &machine->commands[i]);
    gavel_put_end(w);
    gavel_put_end(w);
}

unsigned cli_tables_installed(struct gavel_buffer *out, bool loud)
{
    struct installed installed = {.dir = cli_plugin_dir(), .loud = loud};
    struct gavel_builder *builder = gavel_builder_new();
    struct gavel_slice document;
    struct gavel_error error;
    struct gavel_writer *w;
    unsigned count = 0, i;

    if (!builder)
        return 0;
    (void)host_plugins_each(installed.dir, GAVEL_KIND_STATEMACHINE, load, &installed);
    w = gavel_builder_writer(builder);
    gavel_put_map(w, 1);
    gavel_put_key(w, "machines");
    gavel_put_array(w, installed.loader.count);
    for (i = 0; i < installed.loader.count; i++)
        put_machine(w, installed.loader.plugin[i]);
    gavel_put_end(w);
    gavel_put_end(w);
    if (gavel_builder_end(builder, &document, &error) == GAVEL_OK &&
        gavel_buffer_append(out, document.data, document.size) == GAVEL_OK)
        count = installed.loader.count;
    gavel_builder_free(builder);
    host_loader_free(&installed.loader);
    return count;
}
