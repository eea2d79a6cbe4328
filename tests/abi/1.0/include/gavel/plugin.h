/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gavel/plugin.h - the head of every plugin, and its entry point.
 *
 * The file gavel-NAME-KIND.so exports one function, gavel_plugin_NAME (with '_' for '-'), which returns the head. The
 * head is constant; it is called once after loading, from [loop], and does nothing else.
 *
 * Life of an instance (a section of the INI file), all on [loop]:
 *
 *   (load) -> check -> create -> start -> reload* -> quiesce -> destroy
 *
 * check may be called alone (gaveld --check-config). Nothing opens a socket, a file or a thread before start.
 * destroy is called after quiesce has completed, or instead of start. A plugin is never unloaded.
 */
#ifndef GAVEL_PLUGIN_H
#define GAVEL_PLUGIN_H

#include <gavel/abi.h>
#include <gavel/field.h>
#include <gavel/host.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Kinds. An unknown one is refused with a sentence. */
#define GAVEL_KIND_TRANSPORT 1
#define GAVEL_KIND_SERIALIZER 2
#define GAVEL_KIND_STATEMACHINE 3
#define GAVEL_KIND_OBSERVER 4

struct gavel_plugin {
    uint64_t size;       /* GAVEL_END(struct gavel_plugin, destroy) */
    uint64_t abi_major;  /* GAVEL_ABI_MAJOR: must be the host's */
    uint64_t abi_minor;  /* the oldest host minor that it runs on: normally GAVEL_ABI_TARGET */
    uint64_t kind;       /* GAVEL_KIND_... */
    const char *name;    /* as in the file's name: lower case, digits, '-' */
    const char *version; /* of the plugin, for people */
    const char *summary; /* one sentence, without the final full stop */
    const struct gavel_fields *options; /* what the INI section may hold besides `plugin`; NULL: nothing */
    const void *operations;             /* struct gavel_transport, _serializer, _statemachine or _observer */

    /*
     * [loop] Optional. Check what the table cannot: files that must exist, values that exclude each other. No
     * effects.
     */
    int32_t (*check)(const struct gavel_host *host, const void *options, struct gavel_error *error);
    /* [loop] Make an instance. `host` and `options` stay valid until destroy. On failure nothing is left behind. */
    int32_t (*create)(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error);
    /* [loop] Optional. Open what it needs. On failure destroy follows. */
    int32_t (*start)(void *self, struct gavel_error *error);
    /* [loop] Optional. New values of options flagged GAVEL_RELOADABLE; on failure the old ones stay in force. */
    int32_t (*reload)(void *self, const void *options, struct gavel_error *error);
    /* [loop] Optional. Close what is open and call done(context) once, at once or later, when nothing is left. */
    void (*quiesce)(void *self, void (*done)(void *context), void *context);
    /* [loop] Free the instance. */
    void (*destroy)(void *self);
};

GAVEL_CHECK_LAYOUT(sizeof(struct gavel_plugin) == 8 * 15);

/* The entry point's type. */
typedef const struct gavel_plugin *(*gavel_plugin_entry)(void);

/* The entry point: GAVEL_PLUGIN(counter) { return &counter_plugin; } */
#ifdef __cplusplus
#define GAVEL_PLUGIN_LINKAGE extern "C"
#else
#define GAVEL_PLUGIN_LINKAGE
#endif
#define GAVEL_PLUGIN(name) \
    GAVEL_PLUGIN_LINKAGE GAVEL_EXPORT const struct gavel_plugin *GAVEL_PASTE(gavel_plugin_, name)(void); \
    GAVEL_PLUGIN_LINKAGE GAVEL_EXPORT const struct gavel_plugin *GAVEL_PASTE(gavel_plugin_, name)(void)

#ifdef __cplusplus
}
#endif
#endif
