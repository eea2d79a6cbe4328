/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.h - one plugin instance and its life, as gavel/plugin.h states it:
 *
 *     NEW --create--> CREATED --start--> STARTED --quiesce--> QUIESCING --(done)--> QUIESCED --destroy--> NEW
 *                        |                  |
 *                        +----destroy-------+ (a failed start)
 */
#ifndef CORE_HOST_INSTANCE_H
#define CORE_HOST_INSTANCE_H

#include "core/host/config.h"
#include "core/host/guard.h"
#include "core/host/leak.h"
#include "core/host/loader.h"
#include "core/host/services.h"

enum host_instance_state {
    HOST_INSTANCE_NEW,
    HOST_INSTANCE_CREATED,
    HOST_INSTANCE_STARTED,
    HOST_INSTANCE_QUIESCING,
    HOST_INSTANCE_QUIESCED,
    HOST_INSTANCE_STATES
};

struct host_instance {
    uint32_t magic;
    enum host_instance_state state;
    const struct host_plugin *plugin;
    const char *name;
    const void *options;
    void *self;
    struct host_face face;
    struct host_guard guard; /* its operations and its address are what a node is given */
    struct host_leak leak;   /* the files that it opened while it started */
    const char *who;         /* "transport main (plugin tcp 0.1.0)" */
    bool given_up;           /* it did not quiesce: it stays as it is until the process ends */
    void (*quiesced)(void *context);
    void *context;
};

/* [loop] Create and start an instance. On failure nothing is left behind, and the sentence names the instance. */
int32_t host_instance_start(struct host_instance *instance, const struct host_plugin *plugin, const char *name,
                            const void *options, struct host_services *services, struct gavel_error *error);

/*
 * [loop] Begin to quiesce; `quiesced(context)` is called once, at once or later. An instance that is NEW is quiet
 * already.
 */
void host_instance_quiesce(struct host_instance *instance, void (*quiesced)(void *context), void *context);

/* [loop] It has not called done and is waited for no longer: it is never destroyed, and reaches the node no more. */
void host_instance_give_up(struct host_instance *instance);

/* [loop] Give it its options again (SIGHUP). Instances without a reload are left alone. */
int32_t host_instance_reload(struct host_instance *instance, struct gavel_error *error);

/* [loop] Free it in any state; one that is NEW is left alone. */
void host_instance_destroy(struct host_instance *instance);

#endif
