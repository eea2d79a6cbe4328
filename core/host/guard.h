/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.h - the one place through which transports, serializers and observers are called while a node runs.
 *
 * A guarded instance has tables of the same shape as the plugin's own, whose functions say which call is at hand
 * (core/os/call.h), check what came back, and take the host off the list while a plugin calls up into it. What a plugin
 * may not do is told with its name and the operation: in the log when the node can go on, else as the last line of the
 * process. State machines are guarded where they are called, in core/node/apply.c.
 */
#ifndef CORE_HOST_GUARD_H
#define CORE_HOST_GUARD_H

#include "core/host/loader.h"

#include <stdbool.h>

#define HOST_GUARD_MAGIC 0x2b64f0c9u

/* One instance; all zero but for what host_guard_init fills. Lies still while it is used. */
struct host_guard {
    uint32_t magic;
    const char *who; /* "transport main (plugin tcp 0.1.0)"; lives as long as the process */
    const struct host_plugin *plugin;
    void *self;                    /* the plugin's */
    const struct gavel_host *host; /* to log through */
    bool ended;                    /* quiesced, or given up on: nothing that it calls reaches the node any more */
    uint64_t strange;              /* statuses that no header knows, for telling them ever more seldom */
    const struct gavel_transport_events *up; /* the node's */
    struct gavel_transport_events events;    /* what the plugin is given instead */
    union {
        struct gavel_transport transport;
        struct gavel_serializer serializer;
        struct gavel_observer observer;
    } operations; /* its self is the struct host_guard */
};

/*
 * [loop] "KIND NAME (plugin PLUGIN VERSION)", the same pointer for the same text; never freed, for it may stand in some
 * thread's place.
 */
const char *host_guard_who(const struct host_plugin *plugin, const char *name);

/* [loop] Fill it; `self` is the plugin's instance. */
void host_guard_init(struct host_guard *guard, const struct host_plugin *plugin, const char *who, void *self,
                     const struct gavel_host *host);

/* [any] 1 when a header knows the status: 0 or GAVEL_E_... */
bool host_status_known(int32_t status);

/*
 * [loop] What a function that fills *error came back with: the status when a header knows it (with a sentence, if the
 * plugin gave none), else GAVEL_E_INTERNAL and a sentence that names the function.
 */
int32_t host_status_check(int32_t status, const char *function, struct gavel_error *error);

#endif
