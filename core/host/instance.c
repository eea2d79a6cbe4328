/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.c - every move of an instance passes through one table.
 */
#include "core/host/instance.h"

#include "core/host/schema.h"

#include <assert.h>
#include <string.h>

#define INSTANCE_MAGIC 0xb80e4f61u

/* Which state may follow which. */
static const bool allowed[HOST_INSTANCE_STATES][HOST_INSTANCE_STATES] = {
    [HOST_INSTANCE_NEW] = {[HOST_INSTANCE_CREATED] = true},
    [HOST_INSTANCE_CREATED] = {[HOST_INSTANCE_STARTED] = true, [HOST_INSTANCE_NEW] = true},
    [HOST_INSTANCE_STARTED] = {[HOST_INSTANCE_QUIESCING] = true, [HOST_INSTANCE_NEW] = true},
    [HOST_INSTANCE_QUIESCING] = {[HOST_INSTANCE_QUIESCED] = true},
    [HOST_INSTANCE_QUIESCED] = {[HOST_INSTANCE_NEW] = true},
};

static void move(struct host_instance *instance, enum host_instance_state to)
{
    assert(allowed[instance->state][to]);
    instance->state = to;
    /* Only a NEW one has no object behind it. */
    assert((instance->state == HOST_INSTANCE_NEW) == (instance->magic == 0));
}

static int32_t name_it(const struct host_plugin *plugin, const char *name, struct gavel_error *error)
{
    char prefix[128];

    (void)snprintf(prefix, sizeof prefix, "%s %s", host_kind_name(plugin->head.kind), name);
    return gavel_wrap(error, prefix);
}

int32_t host_instance_start(struct host_instance *instance, const struct host_plugin *plugin, const char *name,
                            const void *options, struct host_services *services, struct gavel_error *error)
{
    int32_t status;

    assert(plugin->magic == HOST_PLUGIN_MAGIC);
    memset(instance, 0, sizeof *instance);
    instance->plugin = plugin;
    instance->name = name;
    instance->options = options;
    host_face_init(&instance->face, services, name, false);
    status = plugin->head.create(&instance->face.host, options, &instance->self, error);
    if (status != GAVEL_OK)
        return name_it(plugin, name, error);
    instance->magic = INSTANCE_MAGIC;
    move(instance, HOST_INSTANCE_CREATED);
    status = plugin->head.start ? plugin->head.start(instance->self, error) : GAVEL_OK;
    if (status != GAVEL_OK) {
        host_instance_destroy(instance);
        return name_it(plugin, name, error);
    }
    move(instance, HOST_INSTANCE_STARTED);
    return GAVEL_OK;
}

static void quiet(void *context)
{
    struct host_instance *instance = context;

    assert(instance->magic == INSTANCE_MAGIC);
    move(instance, HOST_INSTANCE_QUIESCED);
    instance->quiesced(instance->context);
}

void host_instance_quiesce(struct host_instance *instance, void (*quiesced)(void *context), void *context)
{
    if (instance->state == HOST_INSTANCE_NEW) {
        quiesced(context);
        return;
    }
    assert(instance->magic == INSTANCE_MAGIC);
    instance->quiesced = quiesced;
    instance->context = context;
    move(instance, HOST_INSTANCE_QUIESCING);
    if (instance->plugin->head.quiesce)
        instance->plugin->head.quiesce(instance->self, quiet, instance);
    else
        quiet(instance);
}

int32_t host_instance_reload(struct host_instance *instance, struct gavel_error *error)
{
    if (instance->state != HOST_INSTANCE_STARTED || !instance->plugin->head.reload)
        return GAVEL_OK;
    if (instance->plugin->head.reload(instance->self, instance->options, error) != GAVEL_OK)
        return name_it(instance->plugin, instance->name, error);
    return GAVEL_OK;
}

void host_instance_destroy(struct host_instance *instance)
{
    if (instance->state == HOST_INSTANCE_NEW)
        return;
    assert(instance->magic == INSTANCE_MAGIC);
    instance->magic = 0;
    move(instance, HOST_INSTANCE_NEW);
    instance->plugin->head.destroy(instance->self);
    instance->self = NULL;
}
