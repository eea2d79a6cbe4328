/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.c - every move of an instance passes through one table.
 */
#include "core/host/instance.h"

#include "core/host/schema.h"
#include "core/os/call.h"

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

/* ---- the plugin's own functions ---------------------------------------------------------------------------------- */

static int32_t call_create(struct host_instance *instance, struct gavel_error *error)
{
    struct os_call before = os_call_enter(instance->who, "create", OS_CALL_LOOP);
    int32_t status;

    error->text[0] = 0;
    status = instance->plugin->head.create(&instance->face.host, instance->options, &instance->self, error);
    os_call_set(before);
    return host_status_check(status, "create", error);
}

static int32_t call_start(struct host_instance *instance, struct gavel_error *error)
{
    struct os_call before;
    int32_t status;

    if (!instance->plugin->head.start)
        return GAVEL_OK;
    before = os_call_enter(instance->who, "start", OS_CALL_LOOP);
    error->text[0] = 0;
    status = instance->plugin->head.start(instance->self, error);
    os_call_set(before);
    return host_status_check(status, "start", error);
}

/* ---- the moves --------------------------------------------------------------------------------------------------- */

int32_t host_instance_start(struct host_instance *instance, const struct host_plugin *plugin, const char *name,
                            const void *options, struct host_services *services, struct gavel_error *error)
{
    struct host_leak_mark mark;
    int32_t status;

    assert(plugin->magic == HOST_PLUGIN_MAGIC);
    host_leak_mark(&mark);
    memset(instance, 0, sizeof *instance);
    instance->plugin = plugin;
    instance->name = name;
    instance->options = options;
    instance->who = host_guard_who(plugin, name);
    host_face_init(&instance->face, services, name, false);
    instance->face.who = instance->who;
    status = call_create(instance, error);
    if (status != GAVEL_OK)
        return name_it(plugin, name, error);
    host_guard_init(&instance->guard, plugin, instance->who, instance->self, &instance->face.host);
    instance->magic = INSTANCE_MAGIC;
    move(instance, HOST_INSTANCE_CREATED);
    status = call_start(instance, error);
    if (status != GAVEL_OK) {
        host_instance_destroy(instance);
        return name_it(plugin, name, error);
    }
    host_leak_since(&instance->leak, &mark);
    move(instance, HOST_INSTANCE_STARTED);
    return GAVEL_OK;
}

static void quiet(void *context)
{
    struct host_instance *instance = context;

    if (instance->given_up)
        return; /* too late: nobody waits any more */
    if (instance->magic != INSTANCE_MAGIC || instance->state != HOST_INSTANCE_QUIESCING)
        os_call_blame(instance->who, "quiesce", "called done twice");
    instance->guard.ended = true;
    host_face_leaks(&instance->face);
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
    if (instance->plugin->head.quiesce) {
        struct os_call before = os_call_enter(instance->who, "quiesce", OS_CALL_LOOP);

        instance->plugin->head.quiesce(instance->self, quiet, instance);
        os_call_set(before);
    } else {
        quiet(instance);
    }
}

void host_instance_give_up(struct host_instance *instance)
{
    assert(instance->state == HOST_INSTANCE_QUIESCING);
    instance->guard.ended = true;
    instance->given_up = true;
}

int32_t host_instance_reload(struct host_instance *instance, struct gavel_error *error)
{
    struct os_call before;
    int32_t status;

    if (instance->state != HOST_INSTANCE_STARTED || !instance->plugin->head.reload)
        return GAVEL_OK;
    before = os_call_enter(instance->who, "reload", OS_CALL_LOOP);
    error->text[0] = 0;
    status = instance->plugin->head.reload(instance->self, instance->options, error);
    os_call_set(before);
    status = host_status_check(status, "reload", error);
    return status == GAVEL_OK ? GAVEL_OK : name_it(instance->plugin, instance->name, error);
}

void host_instance_destroy(struct host_instance *instance)
{
    struct os_call before;

    if (instance->state == HOST_INSTANCE_NEW || instance->given_up)
        return;
    assert(instance->magic == INSTANCE_MAGIC);
    instance->magic = 0;
    move(instance, HOST_INSTANCE_NEW);
    before = os_call_enter(instance->who, "destroy", OS_CALL_LOOP);
    instance->plugin->head.destroy(instance->self);
    os_call_set(before);
    host_leak_tell(&instance->leak, instance->who, &instance->face.host);
    instance->self = NULL;
}
