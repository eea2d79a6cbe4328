/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setup.c - read, load, bind, check; each instance in turn, and no fault of one hides those of another.
 */
#include "core/host/setup.h"

#include "core/host/builtin.h"
#include "core/host/heap.h"

#include <errno.h>
#include <string.h>

/* "gavel.ini:12", or the file alone for an instance that no section asked for. */
static const char *place(struct host_config *config, const struct host_instance_config *instance)
{
    if (!instance->ini)
        return config->ini.file;
    return host_arena_format(&config->arena, "%s:%u", config->ini.file, instance->line);
}

/* A host for check(): a heap and names. No other service makes sense while nothing runs. */
static void check_instance(struct host_setup *setup, const struct host_plugin *plugin,
                           const struct host_instance_config *instance)
{
    struct gavel_host host = {
        .size = GAVEL_END(struct gavel_host, submit),
        .abi_major = GAVEL_ABI_MAJOR,
        .abi_minor = GAVEL_ABI_MINOR,
        .node = "",
        .instance = instance->name,
        .heap = &host_heap,
    };
    struct gavel_error error = {.code = 0};

    if (plugin->head.check && plugin->head.check(&host, instance->options, &error) != GAVEL_OK)
        host_fault(&setup->faults, "%s: %s %s: %s", place(&setup->config, instance), host_kind_name(instance->kind),
                   instance->name, error.text);
}

static void take_instance(struct host_setup *setup, unsigned i)
{
    struct host_instance_config *instance = &setup->config.instance[i];
    struct host_faults *faults = &setup->faults;
    const struct host_plugin *plugin = NULL;
    struct gavel_error error;
    unsigned before;

    if (host_load(&setup->loader, setup->config.plugin_dir, instance->plugin, instance->kind, host_builtins, &plugin,
                  &error) != GAVEL_OK)
        host_fault(faults, "%s: %s", place(&setup->config, instance), error.text);
    before = faults->count + faults->beyond;
    host_config_bind(&setup->config, instance, plugin ? plugin->head.options : NULL, plugin == NULL, faults,
                     &setup->warnings);
    setup->plugin[i] = plugin;
    if (plugin && faults->count + faults->beyond == before)
        check_instance(setup, plugin, instance);
}

/* Whether a blank-separated list holds the scheme of `uri`. */
static bool speaks(const char *schemes, const char *uri)
{
    size_t wanted = strcspn(uri, ":");

    for (const char *at = schemes + strspn(schemes, " "); *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");

        if (size == wanted && strncmp(at, uri, size) == 0)
            return true;
        at += size;
    }
    return false;
}

static void check_schemes(struct host_setup *setup)
{
    for (unsigned i = 0; i < setup->config.instance_count; i++) {
        const struct host_instance_config *instance = &setup->config.instance[i];
        const struct host_plugin *plugin = setup->plugin[i];

        for (unsigned j = 0; plugin && j < instance->listen_count; j++)
            if (!speaks(plugin->operations.transport.schemes, instance->listen[j]))
                host_fault(&setup->faults, "%s: transport %s speaks %s, and cannot listen on %s",
                           place(&setup->config, instance), instance->name, plugin->operations.transport.schemes,
                           instance->listen[j]);
    }
}

bool host_setup_read(struct host_setup *setup, FILE *stream, const char *file, const char *join)
{
    memset(setup, 0, sizeof *setup);
    host_config_read(&setup->config, stream, file, &setup->faults, &setup->warnings);
    host_config_join(&setup->config, join, &setup->faults);
    for (unsigned i = 0; i < setup->config.instance_count; i++)
        take_instance(setup, i);
    check_schemes(setup);
    return setup->faults.count == 0;
}

bool host_setup_open(struct host_setup *setup, const char *file, const char *join)
{
    FILE *stream = fopen(file, "re");
    bool good;

    if (!stream) {
        memset(setup, 0, sizeof *setup);
        host_fault(&setup->faults, "%s: cannot be opened: %s", file, strerror(errno));
        return false;
    }
    good = host_setup_read(setup, stream, file, join);
    (void)fclose(stream);
    return good;
}

void host_setup_free(struct host_setup *setup)
{
    host_loader_free(&setup->loader);
    host_config_free(&setup->config);
    host_faults_free(&setup->faults);
    host_faults_free(&setup->warnings);
}
