/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adopt.c - the head that a plugin's entry returned: does it fit this host, is everything there that must be, and then
 * a copy in which a member the plugin never heard of is NULL.
 */
#include "core/host/loader.h"

#include "core/codec/field.h"
#include "core/host/schema.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define COMMANDS_MAX 256 /* of one state machine */

/* A member of an operations table that must not be NULL. */
struct mandatory {
    const char *name;
    size_t offset;
};

#define NEED(type, member) {#member, offsetof(struct type, member)}

static const struct mandatory head_members[] = {
    NEED(gavel_plugin, name), NEED(gavel_plugin, version), NEED(gavel_plugin, summary), NEED(gavel_plugin, operations),
    NEED(gavel_plugin, create), NEED(gavel_plugin, destroy), {NULL, 0}};

static const struct mandatory transport_members[] = {
    NEED(gavel_transport, schemes), NEED(gavel_transport, prepare), NEED(gavel_transport, listen),
    NEED(gavel_transport, connect), NEED(gavel_transport, send), NEED(gavel_transport, queued),
    NEED(gavel_transport, pause), NEED(gavel_transport, close), NEED(gavel_transport, unlisten), {NULL, 0}};

static const struct mandatory serializer_members[] = {
    NEED(gavel_serializer, media_type), NEED(gavel_serializer, writer_bytes), NEED(gavel_serializer, reader_bytes),
    NEED(gavel_serializer, write_begin), NEED(gavel_serializer, write_end), NEED(gavel_serializer, read_begin),
    NEED(gavel_serializer, read_end), {NULL, 0}};

static const struct mandatory statemachine_members[] = {
    NEED(gavel_statemachine, state_version), NEED(gavel_statemachine, commands),
    NEED(gavel_statemachine, command_count), NEED(gavel_statemachine, state),
    NEED(gavel_statemachine, snapshot_begin), NEED(gavel_statemachine, snapshot_next),
    NEED(gavel_statemachine, snapshot_end), NEED(gavel_statemachine, restore_begin),
    NEED(gavel_statemachine, restore_chunk), NEED(gavel_statemachine, restore_end), {NULL, 0}};

static const struct mandatory observer_members[] = {NEED(gavel_observer, wants), {NULL, 0}};

/* What is known of each kind. */
static const struct {
    size_t size;  /* of the host's table */
    size_t least; /* the end of the last member that ABI 1.0 had */
    const struct mandatory *members;
} kinds[] = {
    [GAVEL_KIND_TRANSPORT] = {sizeof(struct gavel_transport), GAVEL_END(struct gavel_transport, respond),
                              transport_members},
    [GAVEL_KIND_SERIALIZER] = {sizeof(struct gavel_serializer), GAVEL_END(struct gavel_serializer, read_end),
                               serializer_members},
    [GAVEL_KIND_STATEMACHINE] = {sizeof(struct gavel_statemachine), GAVEL_END(struct gavel_statemachine, maintain),
                                 statemachine_members},
    [GAVEL_KIND_OBSERVER] = {sizeof(struct gavel_observer), GAVEL_END(struct gavel_observer, flush), observer_members},
};

static int32_t check_members(const char *at, const char *what, const void *table, const struct mandatory *members,
                             struct gavel_error *error)
{
    for (; members->name; members++) {
        uint64_t value; /* members are 8 bytes wide; 0 and NULL look alike */

        memcpy(&value, (const char *)table + members->offset, sizeof value);
        if (value == 0)
            return gavel_fail(error, GAVEL_E_CONFIG, "%s: the %s lacks the mandatory member \"%s\"", at, what,
                              members->name);
    }
    return GAVEL_OK;
}

/* Every other part of the host believes a table after this. */
static int32_t check_table(const char *at, const char *what, const struct gavel_fields *table,
                           struct gavel_error *error)
{
    struct gavel_error why = {.code = 0};

    if (codec_fields_check(table, &why) == GAVEL_OK)
        return GAVEL_OK;
    return gavel_fail(error, GAVEL_E_CONFIG, "%s: %s: %.200s", at, what, why.text);
}

/* Members are 8 bytes wide in every version: another size is no version's. */
static int32_t check_words(const char *at, const char *what, uint64_t size, struct gavel_error *error)
{
    if (size % 8 == 0)
        return GAVEL_OK;
    return gavel_fail(error, GAVEL_E_VERSION, "%s: states %s of %llu bytes, which is no whole number of members of 8: "
                      "it is damaged; rebuild it with GAVEL_END of the last member", at, what,
                      (unsigned long long)size);
}

static int32_t check_version(const char *at, const struct gavel_plugin *found, struct gavel_error *error)
{
    if (found->size < GAVEL_END(struct gavel_plugin, kind))
        return gavel_fail(error, GAVEL_E_VERSION, "%s: states a head of %llu bytes, wanted at least %zu: it is "
                          "damaged or no plugin; rebuild it against gavel/plugin.h", at,
                          (unsigned long long)found->size,
                          GAVEL_END(struct gavel_plugin, destroy));
    if (found->abi_major > GAVEL_ABI_MAJOR)
        return gavel_fail(error, GAVEL_E_VERSION, "%s: was built for plugin ABI %llu, this gaveld has ABI %d; use a "
                          "newer gaveld", at, (unsigned long long)found->abi_major, GAVEL_ABI_MAJOR);
    if (found->abi_major < GAVEL_ABI_MAJOR)
        return gavel_fail(error, GAVEL_E_VERSION, "%s: was built for plugin ABI %llu, this gaveld has ABI %d; rebuild "
                          "the plugin against its headers", at, (unsigned long long)found->abi_major, GAVEL_ABI_MAJOR);
    if (found->abi_minor > GAVEL_ABI_MINOR)
        return gavel_fail(error, GAVEL_E_VERSION, "%s: needs plugin ABI %d.%llu, this gaveld has %d.%d; use a newer "
                          "gaveld, or build the plugin with GAVEL_ABI_TARGET=%d", at, GAVEL_ABI_MAJOR,
                          (unsigned long long)found->abi_minor, GAVEL_ABI_MAJOR, GAVEL_ABI_MINOR, GAVEL_ABI_MINOR);
    if (found->size < GAVEL_END(struct gavel_plugin, destroy))
        return gavel_fail(error, GAVEL_E_VERSION, "%s: states a head of %llu bytes, wanted at least %zu: it is "
                          "damaged or no plugin; rebuild it against gavel/plugin.h", at,
                          (unsigned long long)found->size,
                          GAVEL_END(struct gavel_plugin, destroy));
    return check_words(at, "a head", found->size, error);
}

static int32_t check_identity(const char *at, const struct gavel_plugin *head, const char *name, uint64_t kind,
                              struct gavel_error *error)
{
    if (!host_kind_name(head->kind))
        return gavel_fail(error, GAVEL_E_VERSION, "%s: is a plugin of kind %llu, which this gaveld does not know; use "
                          "a newer gaveld", at, (unsigned long long)head->kind);
    if (head->kind != kind)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: is of kind %s, wanted %s; name it in a section of its kind", at,
                          host_kind_name(head->kind), host_kind_name(kind));
    if (strcmp(head->name, name) != 0)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: calls itself \"%.60s\", wanted \"%s\"; a plugin is called as its "
                          "file", at, head->name, name);
    return GAVEL_OK;
}

/* ---- per kind ---------------------------------------------------------------------------------------------------- */

static int32_t check_command(const char *at, const struct gavel_command *command, const struct gavel_command *before,
                             uint64_t count, struct gavel_error *error)
{
    uint64_t direction = command->flags & (GAVEL_WRITE | GAVEL_READ);

    if (!command->name || !*command->name || !command->run || command->id == 0)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: command number %llu of its table has no name, id or run", at,
                          (unsigned long long)count);
    if (direction != GAVEL_WRITE && direction != GAVEL_READ)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: command %s must be flagged either GAVEL_WRITE or GAVEL_READ", at,
                          command->name);
    for (uint64_t i = 0; i < count; i++)
        if (before[i].id == command->id || strcmp(before[i].name, command->name) == 0)
            return gavel_fail(error, GAVEL_E_CONFIG, "%s: commands %s and %s have the same name or id (%llu)", at,
                              before[i].name, command->name, (unsigned long long)command->id);
    return GAVEL_OK;
}

/* Commands become rows of the host's own size. */
static int32_t adopt_commands(const char *at, struct gavel_statemachine *machine, struct gavel_error *error)
{
    const char *rows = (const char *)machine->commands;
    uint64_t stride = machine->command_stride;
    size_t take = stride < sizeof(struct gavel_command) ? (size_t)stride : sizeof(struct gavel_command);
    struct gavel_command *copy;
    int32_t status = GAVEL_OK;

    if (stride < GAVEL_END(struct gavel_command, example) || stride % 8 || machine->command_count > COMMANDS_MAX)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: states %llu commands of %llu bytes; wanted at most %d of at "
                          "least %zu", at, (unsigned long long)machine->command_count, (unsigned long long)stride,
                          COMMANDS_MAX,
                          GAVEL_END(struct gavel_command, example));
    copy = calloc((size_t)machine->command_count, sizeof *copy);
    if (!copy)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    for (uint64_t i = 0; i < machine->command_count && status == GAVEL_OK; i++) {
        memcpy(&copy[i], rows + i * stride, take);
        status = check_command(at, &copy[i], copy, i, error);
        if (status == GAVEL_OK && copy[i].arguments)
            status = check_table(at, copy[i].name, copy[i].arguments, error);
    }
    if (status != GAVEL_OK) {
        free(copy);
        return status;
    }
    machine->commands = copy;
    machine->command_stride = sizeof *copy;
    return GAVEL_OK;
}

static int32_t check_observer(const char *at, const struct gavel_observer *observer, struct gavel_error *error)
{
    if ((observer->wants & GAVEL_OBSERVE_LOGS && !observer->log) ||
        (observer->wants & GAVEL_OBSERVE_SPANS && !observer->span) ||
        (observer->wants & GAVEL_OBSERVE_METRICS && !observer->metrics))
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: the observer wants (%llu) what it has no function for", at,
                          (unsigned long long)observer->wants);
    return GAVEL_OK;
}

int32_t host_plugin_adopt(const struct gavel_plugin *found, const char *path, const char *name, uint64_t kind,
                          struct host_plugin *plugin, struct gavel_error *error)
{
    const char *at = *path ? path : name;
    struct host_plugin made = {.magic = HOST_PLUGIN_MAGIC, .path = path};
    uint64_t stated;
    int32_t status = check_version(at, found, error);

    if (status != GAVEL_OK)
        return status;
    memcpy(&made.head, found, found->size < sizeof made.head ? (size_t)found->size : sizeof made.head);
    status = check_members(at, "head", &made.head, head_members, error);
    if (status == GAVEL_OK)
        status = check_identity(at, &made.head, name, kind, error);
    if (status == GAVEL_OK && made.head.options)
        status = check_table(at, "options", made.head.options, error);
    if (status != GAVEL_OK)
        return status;

    memcpy(&stated, made.head.operations, sizeof stated); /* `size` is the first member of each kind */
    if (stated < kinds[kind].least)
        return gavel_fail(error, GAVEL_E_VERSION, "%s: states %llu bytes of operations, the kind %s has at least %zu; "
                          "rebuild it against these headers", at, (unsigned long long)stated, host_kind_name(kind),
                          kinds[kind].least);
    status = check_words(at, "operations", stated, error);
    if (status != GAVEL_OK)
        return status;
    memcpy(&made.operations, made.head.operations, stated < kinds[kind].size ? (size_t)stated : kinds[kind].size);
    status = check_members(at, host_kind_name(kind), &made.operations, kinds[kind].members, error);
    if (status == GAVEL_OK && kind == GAVEL_KIND_STATEMACHINE)
        status = adopt_commands(at, &made.operations.statemachine, error);
    if (status == GAVEL_OK && kind == GAVEL_KIND_OBSERVER)
        status = check_observer(at, &made.operations.observer, error);
    if (status != GAVEL_OK)
        return status;
    *plugin = made;
    plugin->head.operations = &plugin->operations;
    return GAVEL_OK;
}
