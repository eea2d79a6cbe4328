/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setup.c - read, load, bind, check; each instance in turn, and no fault of one hides those of another.
 */
#include "core/host/setup.h"

#include "core/host/builtin.h"
#include "core/host/guard.h"
#include "core/host/heap.h"
#include "core/host/sink.h"
#include "core/host/topic.h"
#include "core/host/uri.h"
#include "core/os/call.h"

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

    struct os_call before;
    int32_t status;

    if (!plugin->head.check)
        return;
    before = os_call_enter(host_guard_who(plugin, instance->name), "check", OS_CALL_LOOP);
    status = plugin->head.check(&host, instance->options, &error);
    os_call_set(before);
    if (host_status_check(status, "check", &error) != GAVEL_OK)
        host_fault(&setup->faults, "%s: %s %s: %s", place(&setup->config, instance), host_kind_name(instance->kind),
                   instance->name, error.text);
}

#define RECIPE \
    "a state machine does not change while it runs, for every node has to apply the same entries alike. Change it " \
    "by a rolling restart: on one node after the other, the leader last, install what is new, restart gaveld, and " \
    "wait until gavel status shows the node as ready; nothing was changed now"

const char *const host_recipe = RECIPE;

/* Whether the state machine that the file asks for is the one that runs; else what is to be done instead. */
static bool same_machine(struct host_setup *setup, const struct host_instance_config *instance)
{
    const struct host_config *config = &setup->running->config;

    for (unsigned i = 0; i < config->instance_count; i++) {
        const struct host_instance_config *held = &config->instance[i];

        if (held->kind != GAVEL_KIND_STATEMACHINE || strcmp(held->name, instance->name) != 0)
            continue;
        if (strcmp(held->plugin, instance->plugin) != 0)
            host_fault(&setup->faults, "%s: [statemachine.%s] is of plugin %s, and would become %s: " RECIPE,
                       place(&setup->config, instance), instance->name, held->plugin, instance->plugin);
        else if (host_plugin_changed(setup->running->plugin[i]))
            host_fault(&setup->faults, "%s: the file %s of [statemachine.%s] was replaced: " RECIPE,
                       place(&setup->config, instance), setup->running->plugin[i]->path, instance->name);
        else
            return true;
        return false;
    }
    host_fault(&setup->faults, "%s: [statemachine.%s] is new: " RECIPE, place(&setup->config, instance),
               instance->name);
    return false;
}

static void take_instance(struct host_setup *setup, unsigned i)
{
    struct host_instance_config *instance = &setup->config.instance[i];
    struct host_faults *faults = &setup->faults;
    const struct host_plugin *plugin = NULL;
    struct gavel_error error;
    unsigned before;

    if (setup->running && instance->kind == GAVEL_KIND_STATEMACHINE && !same_machine(setup, instance)) {
        host_config_bind(&setup->config, instance, NULL, true, faults, &setup->warnings);
        return;
    }
    if (host_load(setup->loader, setup->config.plugin_dir, instance->plugin, instance->kind, host_builtins, &plugin,
                  &error) != GAVEL_OK)
        host_fault(faults, "%s: %s", place(&setup->config, instance), error.text);
    before = faults->count + faults->beyond;
    host_config_bind(&setup->config, instance, plugin ? plugin->head.options : NULL, plugin == NULL, faults,
                     &setup->warnings);
    setup->plugin[i] = plugin;
    if (plugin && faults->count + faults->beyond == before)
        check_instance(setup, plugin, instance);
}

#define NO_TLS \
    "gavel's own transports have no TLS. Use ws:// or tcp://, and between machines a network that encrypts by " \
    "itself, such as a VPN"

static void check_schemes(struct host_setup *setup)
{
    for (unsigned i = 0; i < setup->config.instance_count; i++) {
        const struct host_instance_config *instance = &setup->config.instance[i];
        const struct host_plugin *plugin = setup->plugin[i];

        for (unsigned j = 0; plugin && j < instance->listen_count; j++)
            if (!host_uri_spoken(plugin->operations.transport.schemes, instance->listen[j]))
                host_fault(&setup->faults, "%s: transport %s speaks %s, and cannot listen on %s%s",
                           place(&setup->config, instance), instance->name, plugin->operations.transport.schemes,
                           instance->listen[j], host_uri_has_tls(instance->listen[j]) ? ": " NO_TLS : "");
    }
}

/* An address with TLS that no transport of the file could dial. With one that is not there nobody knows. */
static void check_dialled(struct host_setup *setup, const struct host_ini_section *section, const char *key,
                          const char *uri)
{
    const struct host_ini_entry *entry = host_ini_entry(section, key);
    bool command = setup->join && strcmp(key, "join") == 0; /* the command line's take the place of the file's */

    if (!host_uri_has_tls(uri))
        return;
    for (unsigned i = 0; i < setup->config.instance_count; i++)
        if (setup->config.instance[i].kind == GAVEL_KIND_TRANSPORT &&
            (!setup->plugin[i] || host_uri_spoken(setup->plugin[i]->operations.transport.schemes, uri)))
            return;
    if (command || !entry)
        host_fault(&setup->faults, "--%s: no transport can dial %s: " NO_TLS, key, uri);
    else
        host_fault(&setup->faults, "%s:%u: %s: no transport can dial %s: " NO_TLS, setup->config.ini.file, entry->line,
                   key, uri);
}

static void check_all_dialled(struct host_setup *setup)
{
    const struct host_config *config = &setup->config;
    const struct host_ini_section *cluster = host_ini_section(&config->ini, "cluster");
    const struct gavel_slice *seeds = config->cluster.seeds.items;

    for (unsigned i = 0; i < config->member_count; i++)
        for (unsigned j = 0; j < config->member[i].uri_count; j++)
            check_dialled(setup, cluster, "members", config->member[i].uri[j]);
    for (unsigned i = 0; i < config->join_count; i++)
        check_dialled(setup, cluster, "join", config->join[i]);
    for (uint64_t i = 0; i < config->cluster.seeds.count; i++)
        check_dialled(setup, cluster, "seeds", seeds[i].data);
    for (unsigned i = 0; i < config->instance_count; i++) {
        const struct gavel_slice *told = config->instance[i].transport.advertise.items;

        for (uint64_t j = 0; j < config->instance[i].transport.advertise.count; j++)
            check_dialled(setup, config->instance[i].ini, "advertise", told[j].data);
    }
}

/*
 * The modules whose levels an observer's section gives; what is no level was found when the section was read. Only a
 * warning: a plugin may log under any word. With one that is not there nobody knows.
 */
static void check_topics(struct host_setup *setup)
{
    const struct host_config *config = &setup->config;
    struct host_topic topics[HOST_INSTANCES_MAX];

    for (unsigned i = 0; i < config->instance_count; i++)
        if (!setup->plugin[i])
            return;
    for (unsigned i = 0; i < config->instance_count; i++) {
        const struct host_instance_config *instance = &config->instance[i];

        topics[i] = (struct host_topic){instance->kind, instance->name, setup->plugin[i]->head.name};
    }
    for (unsigned i = 0; i < config->instance_count; i++) {
        const struct host_instance_config *instance = &config->instance[i];
        const struct host_ini_entry *entry = host_ini_entry(instance->ini, "levels");
        const struct gavel_slice *items = instance->observer.levels.items;

        for (uint64_t j = 0; j < instance->observer.levels.count; j++) {
            char module[HOST_SINK_MODULE_MAX];
            struct gavel_error error;
            uint64_t level;

            if (host_sink_level(items[j], module, &level, &error) == GAVEL_OK &&
                host_topic_check(gavel_text(module), topics, config->instance_count, &error) != GAVEL_OK)
                host_fault(&setup->warnings, "%s:%u: levels: %s", config->ini.file,
                           entry ? entry->line : instance->line, error.text);
        }
    }
}

static bool is_anywhere(const char *uri)
{
    const char *host = strstr(uri, "://");

    return host && (strncmp(host + 3, "0.0.0.0:", 8) == 0 || strncmp(host + 3, "[::]:", 5) == 0);
}

/* Who founds by seeds writes down where each node is reached, and takes each one's own word for it. */
static void check_advertised(struct host_setup *setup)
{
    for (unsigned i = 0; i < setup->config.instance_count && setup->config.cluster.bootstrap_expect; i++) {
        const struct host_instance_config *instance = &setup->config.instance[i];

        for (unsigned j = 0; j < instance->listen_count && instance->transport.advertise.count == 0; j++)
            if (is_anywhere(instance->listen[j]))
                host_fault(&setup->faults, "%s: transport %s listens on %s, which nobody can dial: say in advertise "
                           "where it is reached, for with bootstrap_expect others are told",
                           place(&setup->config, instance), instance->name, instance->listen[j]);
    }
}

static bool is_own(const struct host_config *config, struct gavel_slice uri)
{
    for (unsigned i = 0; i < config->instance_count; i++)
        for (unsigned j = 0; j < config->instance[i].listen_count; j++)
            if (gavel_slice_equal(uri, gavel_text(config->instance[i].listen[j])))
                return true;
    return false;
}

/*
 * Whoever founds has to be in sight of each of the others. No more than a warning: it means nothing any more once the
 * data directory belongs to a cluster, and that is not known here.
 */
static void check_sight(struct host_setup *setup)
{
    const struct host_cluster_options *cluster = &setup->config.cluster;
    const struct gavel_slice *seeds = cluster->seeds.items;
    uint64_t sight = cluster->seeds.count + 1;

    for (uint64_t i = 0; i < cluster->seeds.count; i++)
        sight -= is_own(&setup->config, seeds[i]) ? 1 : 0;
    if (cluster->seeds.count && !cluster->discover.count && cluster->bootstrap_expect > sight)
        host_fault(&setup->warnings, "%s: [cluster] bootstrap_expect is %llu, but by these seeds this node sees %llu "
                   "at most, itself among them, and founds nothing: list the address of every node that founds",
                   setup->config.ini.file, (unsigned long long)cluster->bootstrap_expect, (unsigned long long)sight);
}

static bool read_all(struct host_setup *setup, FILE *stream, const char *file, const char *join)
{
    setup->join = join;
    host_config_read(&setup->config, stream, file, &setup->faults, &setup->warnings);
    host_config_join(&setup->config, join, &setup->faults);
    for (unsigned i = 0; i < setup->config.instance_count; i++)
        take_instance(setup, i);
    check_schemes(setup);
    check_all_dialled(setup);
    check_topics(setup);
    check_advertised(setup);
    check_sight(setup);
    return setup->faults.count == 0;
}

bool host_setup_read(struct host_setup *setup, FILE *stream, const char *file, const char *join)
{
    memset(setup, 0, sizeof *setup);
    setup->loader = &setup->own;
    return read_all(setup, stream, file, join);
}

bool host_setup_open(struct host_setup *setup, const char *file, const char *join)
{
    FILE *stream = fopen(file, "re");
    bool good;

    if (!stream) {
        memset(setup, 0, sizeof *setup);
        host_fault(&setup->faults, "%s: cannot be opened: %s%s", file, strerror(errno),
                   errno == ENOENT ? "; --config names the file, gavel init makes one" : "");
        return false;
    }
    good = host_setup_read(setup, stream, file, join);
    setup->file = file;
    (void)fclose(stream);
    return good;
}

bool host_setup_again(struct host_setup *setup, struct host_setup *running, const char *private_dir)
{
    struct gavel_error error;
    FILE *stream;
    bool good;

    memset(setup, 0, sizeof *setup);
    setup->loader = running->loader;
    setup->running = running;
    setup->file = running->file;
    if (host_loader_again(setup->loader, private_dir, &error) != GAVEL_OK) {
        host_fault(&setup->faults, "%s", error.text);
        return false;
    }
    stream = fopen(running->file, "re");
    if (!stream) {
        host_fault(&setup->faults, "%s: cannot be opened: %s", running->file, strerror(errno));
        return false;
    }
    good = read_all(setup, stream, running->file, running->join);
    (void)fclose(stream);
    return good;
}

void host_setup_free(struct host_setup *setup)
{
    host_loader_free(&setup->own);
    host_config_free(&setup->config);
    host_faults_free(&setup->faults);
    host_faults_free(&setup->warnings);
}
