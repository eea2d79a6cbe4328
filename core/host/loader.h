/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader.h - plugin files into memory, each refusal a sentence that names the file, what was found, what was wanted and
 * what to do.
 *
 * What plugins hand over is copied into zeroed structs of the host's own size: a member that a plugin does not know of
 * is NULL, and nothing behind this header looks at a `size` or a stride of a head or an operations table again.
 *
 * Nothing is ever unloaded: code of a plugin may be on some stack, its strings in some log line.
 */
#ifndef CORE_HOST_LOADER_H
#define CORE_HOST_LOADER_H

#include <gavel/observer.h>
#include <gavel/plugin.h>
#include <gavel/serializer.h>
#include <gavel/statemachine.h>
#include <gavel/transport.h>

#define HOST_PLUGIN_MAGIC 0x6f1c90d3u
#define HOST_PLUGINS_MAX 64      /* different plugins in one process */
#define HOST_PLUGIN_PATH_MAX 1024 /* bytes of a file's path with its NUL */

struct host_plugin {
    uint32_t magic;
    const char *path; /* of the file; "" when it is linked in */
    struct gavel_plugin head; /* `operations` points to the copy below */
    union {
        struct gavel_transport transport;
        struct gavel_serializer serializer;
        struct gavel_statemachine statemachine;
        struct gavel_observer observer;
    } operations;
};

/* The plugins of a process; all zero is a valid empty one. */
struct host_loader {
    struct host_plugin *plugin[HOST_PLUGINS_MAX];
    unsigned count;
};

/* A plugin that is linked in. Tables of them end with a row without an entry. */
struct host_builtin {
    uint64_t kind;
    const char *name;
    gavel_plugin_entry entry;
};

/*
 * [loop] The plugin called `name` (or, with a '/' in it, the file of that full path) of that kind; loaded once, then
 * the same again. `dir` is the plugin directory. With `builtins`, one of these is taken when the directory has no such
 * file. GAVEL_E_CONFIG, or GAVEL_E_VERSION when host and plugin do not fit, with the sentence.
 */
int32_t host_load(struct host_loader *loader, const char *dir, const char *name, uint64_t kind,
                  const struct host_builtin *builtins, const struct host_plugin **plugin, struct gavel_error *error);

/* [loop] The same for a file of whatever kind its name says: for --dump-plugin PATH. */
int32_t host_load_path(struct host_loader *loader, const char *path, const struct host_plugin **plugin,
                       struct gavel_error *error);

/* [any] Adopt a plugin that is linked in into *plugin, apart from every loader. GAVEL_E_NOT_FOUND, or as above. */
int32_t host_load_builtin(const char *name, uint64_t kind, const struct host_builtin *builtins,
                          struct host_plugin *plugin, struct gavel_error *error);

/*
 * [any] Check a head and copy it. `path` is borrowed; "" for a plugin that is linked in. For the loader and for tests.
 */
int32_t host_plugin_adopt(const struct gavel_plugin *found, const char *path, const char *name, uint64_t kind,
                          struct host_plugin *plugin, struct gavel_error *error);

/* [loop] Free the host's copies; the plugins' code stays. */
void host_loader_free(struct host_loader *loader);

#endif
