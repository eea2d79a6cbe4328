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

#include <stdbool.h>

#define HOST_PLUGIN_MAGIC 0x6f1c90d3u
#define HOST_PLUGINS_MAX 256     /* different plugins in one process, earlier generations included */
#define HOST_GENERATIONS_MAX 16  /* loads of new code into one process: nothing is ever unloaded */
#define HOST_PLUGIN_PATH_MAX 1024 /* bytes of a file's path with its NUL */

/* Which file it was, and what was in it: whether it is another one by now. */
struct host_file {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    int64_t changed_ns; /* the time of its last modification */
    uint64_t hash;      /* of its bytes */
};

struct host_plugin {
    uint32_t magic;
    unsigned round; /* the last reading of an INI file that asked for it */
    const char *path; /* of the file; "" when it is linked in */
    struct host_file file;
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
    unsigned round;          /* counts the readings of the INI file; 0: the first */
    unsigned generation;     /* loads of new code, the first included once there was another; see host_loader_again */
    bool fresh;              /* this round has loaded something */
    const char *private_dir; /* where a later round puts the copies that it loads; NULL in the first one */
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

/*
 * [loop] The INI file is about to be read again. What has not changed since is given out again; another file, or
 * another content of the same one, is loaded from a copy of its own in `private_dir` (made with mode 0700 if it is
 * missing): the dynamic linker would give the old code for the same path, and whoever overwrites a file
 * that is in use kills the process. After HOST_GENERATIONS_MAX such loads the sentence asks for a restart.
 */
int32_t host_loader_again(struct host_loader *loader, const char *private_dir, struct gavel_error *error);

/* [loop] Whether the plugin's file now holds something else than what was loaded. One that is gone has not changed. */
bool host_plugin_changed(const struct host_plugin *plugin);

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
