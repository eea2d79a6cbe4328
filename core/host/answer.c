/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer.c - plugins by the names that people give them: NAME, KIND.NAME, or the path of a file.
 */
#include "core/host/answer.h"

#include "core/host/builtin.h"
#include "core/host/dump.h"
#include "core/host/page.h"
#include "core/host/sample.h"
#include "core/host/schema.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define FOUND_MAX 4 /* a plugin of each kind may have the name */

/* All plugins of one name. */
struct found {
    const struct host_plugin *plugin[FOUND_MAX];
    unsigned count;
};

/* "serializer.json": the kind, and *name becomes what is behind the dot; 0: no kind is named. */
static uint64_t named_kind(const char **name)
{
    const char *dot = strchr(*name, '.');

    for (uint64_t kind = GAVEL_KIND_TRANSPORT; dot && kind <= GAVEL_KIND_OBSERVER; kind++) {
        size_t size = strlen(host_kind_name(kind));

        if ((size_t)(dot - *name) == size && strncmp(*name, host_kind_name(kind), size) == 0) {
            *name = dot + 1;
            return kind;
        }
    }
    return 0;
}

/* Refuses, said, what cannot be loaded, and a name that nobody has. */
static bool find(struct host_loader *loader, const char *dir, const char *asked, struct found *found)
{
    struct gavel_error error;
    const char *name = asked;
    uint64_t only;

    found->count = 0;
    if (strchr(asked, '/')) {
        if (host_load_path(loader, asked, &found->plugin[0], &error) == GAVEL_OK)
            found->count = 1;
        else
            (void)fprintf(stderr, "gaveld: %s\n", error.text);
        return found->count == 1;
    }
    only = named_kind(&name);
    for (uint64_t kind = GAVEL_KIND_TRANSPORT; kind <= GAVEL_KIND_OBSERVER; kind++) {
        int32_t status;

        if (only && kind != only)
            continue;
        status = host_load(loader, dir, name, kind, host_builtins, &found->plugin[found->count], &error);
        if (status == GAVEL_OK) {
            found->count++;
        } else if (status != GAVEL_E_NOT_FOUND) {
            (void)fprintf(stderr, "gaveld: %s\n", error.text);
            return false;
        }
    }
    if (found->count == 0)
        (void)fprintf(stderr, "gaveld: there is no plugin called \"%s\" in %s; see gaveld --list-plugins\n", asked,
                      dir);
    return found->count > 0;
}

int host_answer_dump_plugin(const struct host_args *args, const char *dir)
{
    struct host_loader loader = {.count = 0};
    struct found found;
    int code = EX_CONFIG;

    if (find(&loader, dir, args->plugin, &found)) {
        code = EX_OK;
        if (found.count > 1 && (args->json || args->man)) {
            (void)fprintf(stderr, "gaveld: plugins of several kinds are called \"%s\": say %s.%s\n", args->plugin,
                          host_kind_name(found.plugin[0]->head.kind), args->plugin);
            code = EX_USAGE;
        }
        for (unsigned i = 0; i < found.count && code == EX_OK; i++) {
            if (args->man)
                host_page_plugin(found.plugin[i], stdout);
            else
                (void)host_dump_plugin(found.plugin[i], args->json, stdout);
        }
    }
    host_loader_free(&loader);
    return code;
}

int host_answer_list_plugins(const char *dir)
{
    struct host_loader loader = {.count = 0};
    int32_t status = host_list_plugins(&loader, dir, host_builtins, stdout);

    if (status < 0)
        (void)fprintf(stderr, "gaveld: the plugin directory %s cannot be read\n", dir);
    host_loader_free(&loader);
    return status == 0 ? EX_OK : EX_CONFIG;
}

/* ---- the sample -------------------------------------------------------------------------------------------------- */

/* Plugins of one kind as a file names them, ended by NULL. */
struct named {
    const char *name[HOST_SAMPLE_MACHINES_MAX + 1];
    unsigned count;
};

/* By its name where the plugin directory has it, else by its path. */
static const char *name_in_file(const char *asked, const struct host_plugin *plugin)
{
    return strchr(asked, '/') ? plugin->path : plugin->head.name;
}

static bool sort(struct host_loader *loader, const char *dir, const struct host_args *args, struct named *kinds)
{
    for (int i = 0; i < args->word_count; i++) {
        struct found found;

        if (!find(loader, dir, args->words[i], &found))
            return false;
        for (unsigned j = 0; j < found.count; j++) {
            struct named *named = &kinds[found.plugin[j]->head.kind];
            const char *name = name_in_file(args->words[i], found.plugin[j]);
            bool again = false;

            for (unsigned k = 0; k < named->count; k++)
                again = again || strcmp(named->name[k], name) == 0;
            if (again)
                continue;
            if (named->count == HOST_SAMPLE_MACHINES_MAX) {
                (void)fprintf(stderr, "gaveld: more than %d plugins of a kind\n", HOST_SAMPLE_MACHINES_MAX);
                return false;
            }
            named->name[named->count++] = name;
        }
    }
    return true;
}

/* The first of the named transports, else websocket where it is installed, else tcp. */
static void choose_transport(struct host_loader *loader, const char *dir, const struct named *transports,
                             struct host_sample *sample)
{
    static char scheme[32];
    const struct host_plugin *plugin;
    struct gavel_error error;
    const char *name = transports->count > 0 ? transports->name[0] : "websocket";

    if (host_load(loader, dir, name, GAVEL_KIND_TRANSPORT, host_builtins, &plugin, &error) == GAVEL_OK) {
        const char *schemes = plugin->operations.transport.schemes;

        (void)snprintf(scheme, sizeof scheme, "%.*s", (int)strcspn(schemes, " "), schemes);
        sample->transport = name;
        sample->scheme = scheme;
    } else {
        sample->transport = sample->scheme = "tcp";
    }
}

int host_answer_sample_config(const struct host_args *args, const char *dir)
{
    static const char *const usual_machines[] = {"workflow", NULL};
    struct host_loader loader = {.count = 0};
    struct named kinds[GAVEL_KIND_OBSERVER + 1] = {{{NULL}, 0}};
    struct host_sample sample = {.nodes = 1,
                                 .port = HOST_SAMPLE_PORT,
                                 .loader = &loader,
                                 .plugin_dir = dir,
                                 .builtins = host_builtins};
    int code = EX_CONFIG;

    if (sort(&loader, dir, args, kinds)) {
        const struct named *transports = &kinds[GAVEL_KIND_TRANSPORT];

        choose_transport(&loader, dir, transports, &sample);
        if (transports->count > 1)
            sample.transports = transports->name + 1;
        sample.machines = kinds[GAVEL_KIND_STATEMACHINE].count > 0 ? kinds[GAVEL_KIND_STATEMACHINE].name
                                                                   : usual_machines;
        if (kinds[GAVEL_KIND_SERIALIZER].count > 0)
            sample.serializers = kinds[GAVEL_KIND_SERIALIZER].name;
        if (kinds[GAVEL_KIND_OBSERVER].count > 0)
            sample.observers = kinds[GAVEL_KIND_OBSERVER].name;
        host_sample_ini(&sample, 1, "/var/lib/gavel/node-1", 0, stdout);
        code = EX_OK;
    }
    host_loader_free(&loader);
    return code;
}
