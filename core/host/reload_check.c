/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload_check.c - what a new configuration would change in one that runs, and whether that may be done at run time.
 */
#include "core/host/reload.h"

#include "core/host/option.h"
#include "core/os/clean.h"

#include <gavel/observer.h>

#include <stdlib.h>
#include <string.h>

/* ---- values ------------------------------------------------------------------------------------------------------ */

static char *text_of(const struct gavel_fields *table, uint64_t row, const void *object)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    host_option_print(table, row, object, out);
    (void)fclose(out);
    return text;
}

bool host_reload_same(const struct gavel_fields *table, uint64_t row, const void *a, const void *b)
{
    struct gavel_field field = host_field(table, row);
    os_autofree char *one = NULL;
    os_autofree char *other = NULL;

    if (field.type == GAVEL_RECORD && field.sub) {
        const char *in_a = (const char *)a + field.offset, *in_b = (const char *)b + field.offset;

        for (uint64_t i = 0; i < field.sub->count; i++)
            if (!host_reload_same(field.sub, i, in_a, in_b))
                return false;
        return true;
    }
    one = text_of(table, row, a);
    other = text_of(table, row, b);
    return one && other && strcmp(one, other) == 0;
}

/* Whether rows differ that have the flag, and whether others do. */
static void differences(const struct gavel_fields *table, const void *a, const void *b, bool *reloadable, bool *other)
{
    for (uint64_t row = 0; table && row < table->count; row++) {
        if (host_reload_same(table, row, a, b))
            continue;
        if (host_field(table, row).flags & GAVEL_RELOADABLE)
            *reloadable = true;
        else
            *other = true;
    }
}

/* ---- the host's own keys ----------------------------------------------------------------------------------------- */

static void compare_key(struct host_reload *reload, const char *section, const struct gavel_fields *table, uint64_t row,
                        const void *before, const void *after)
{
    const struct host_ini *ini = &reload->next->config.ini;
    const struct host_ini_section *in = host_ini_section(ini, section);
    struct gavel_field field = host_field(table, row);
    const struct host_ini_entry *entry = host_ini_entry(in, field.name);
    os_autofree char *old = text_of(table, row, before);
    os_autofree char *now = text_of(table, row, after);

    if (host_reload_same(table, row, before, after))
        return;
    if (field.flags & GAVEL_RELOADABLE) {
        host_fault(&reload->changes, "[%s] %s is %s now, it was %s", section, field.name, now && *now ? now : "absent",
                   old && *old ? old : "absent");
        return;
    }
    host_fault(&reload->faults, "%s:%u: [%s] %s needs a restart: it is %s, and would become %s%s", ini->file,
               entry ? entry->line : in ? in->line : 0, section, field.name, old && *old ? old : "absent",
               now && *now ? now : "absent",
               field.flags & GAVEL_REPLICATED ? "; it belongs to the whole cluster, see gavel settings" : "");
}

static void compare_capabilities(struct host_reload *reload)
{
    const struct host_capabilities *after = &reload->next->config.capabilities;

    if (!host_capabilities_same(&reload->process->setup->config.capabilities, after))
        host_fault(&reload->changes, "this node declares %u capabilities from now on", after->count);
}

static void compare_keys(struct host_reload *reload)
{
    for (const struct host_section *section = host_sections; section->name; section++) {
        const void *before = host_config_object(&reload->process->setup->config, section->name);
        const void *after = host_config_object(&reload->next->config, section->name);

        for (uint64_t row = 0; before && row < section->fields->count; row++)
            compare_key(reload, section->name, section->fields, row, before, after);
    }
}

/* ---- instances --------------------------------------------------------------------------------------------------- */

static struct host_part *part_of(const struct host_process *process, uint64_t kind, const char *name)
{
    for (unsigned i = 0; i < process->part_count; i++) {
        struct host_part *part = process->part[i];

        if (part->state == HOST_PART_SERVING && part->config->kind == kind && strcmp(part->config->name, name) == 0)
            return part;
    }
    return NULL;
}

static bool same_listen(const struct host_instance_config *a, const struct host_instance_config *b)
{
    if (a->listen_count != b->listen_count)
        return false;
    for (unsigned i = 0; i < a->listen_count; i++)
        if (strcmp(a->listen[i], b->listen[i]) != 0)
            return false;
    return true;
}

/* The host's own keys of a section with a plugin, as far as they matter at run time. */
static void host_differences(const struct host_instance_config *a, const struct host_instance_config *b,
                             bool *reloadable, bool *other)
{
    bool ignored = false;

    if (a->kind == GAVEL_KIND_OBSERVER) /* `plugin` too: another text that leads to the same plugin is none */
        differences(&host_observer_fields, &a->observer, &b->observer, reloadable, &ignored);
    if (a->kind != GAVEL_KIND_TRANSPORT)
        return;
    differences(&host_transport_fields, &a->transport, &b->transport, reloadable, &ignored);
    if (!same_listen(a, b))
        *other = true;
}

static enum host_change_what judge(const struct host_part *old, const struct host_instance_config *config,
                                   const struct host_plugin *plugin)
{
    bool reloadable = false, other = old->plugin != plugin;

    if (!other)
        differences(config->table, old->config->options, config->options, &reloadable, &other);
    host_differences(old->config, config, &reloadable, &other);
    return other ? HOST_REPLACE : reloadable ? HOST_TUNE : HOST_KEEP;
}

/* A state machine's file is the same, or the faults have said so: its options are left. */
static void judge_machine(struct host_reload *reload, const struct host_change *change,
                          const struct host_instance_config *config)
{
    if (change->what == HOST_REPLACE)
        host_fault(&reload->faults, "%s:%u: the options of [statemachine.%s] differ: %s", reload->next->config.ini.file,
                   config->line, config->name, host_recipe);
}

static void note_change(struct host_reload *reload, const struct host_change *change, const char *kind,
                        const char *name)
{
    static const char *const words[] = {"", "has other options now", "was replaced", "is new", "is taken away"};

    if (change->what != HOST_KEEP)
        host_fault(&reload->changes, "%s %s %s", kind, name, words[change->what]);
}

static void compare_instances(struct host_reload *reload)
{
    struct host_setup *next = reload->next;

    for (unsigned i = 0; i < next->config.instance_count; i++) {
        const struct host_instance_config *config = &next->config.instance[i];
        struct host_change *change = &reload->change[reload->change_count++];

        *change = (struct host_change){.what = HOST_ADD, .index = i,
                                       .old = part_of(reload->process, config->kind, config->name)};
        if (change->old)
            change->what = judge(change->old, config, next->plugin[i]);
        if (config->kind == GAVEL_KIND_STATEMACHINE)
            judge_machine(reload, change, config);
        note_change(reload, change, host_kind_name(config->kind), config->name);
    }
}

static void compare_removed(struct host_reload *reload)
{
    unsigned compared = reload->change_count;

    for (unsigned i = 0; i < reload->process->part_count; i++) {
        struct host_part *part = reload->process->part[i];
        struct host_change change = {.what = HOST_REMOVE, .old = part};
        bool found = part->state != HOST_PART_SERVING;

        for (unsigned k = 0; k < compared; k++)
            found = found || reload->change[k].old == part;
        if (found)
            continue;
        if (part->config->kind == GAVEL_KIND_STATEMACHINE)
            host_fault(&reload->faults, "%s: [statemachine.%s] is missing: %s", reload->next->config.ini.file,
                       part->config->name, host_recipe);
        note_change(reload, &change, host_kind_name(part->config->kind), part->config->name);
        reload->change[reload->change_count++] = change;
    }
}

/* ---- what fits together ------------------------------------------------------------------------------------------ */

static void check_bounds(struct host_reload *reload)
{
    const struct host_config *config = &reload->next->config;
    const unsigned most[] = {[GAVEL_KIND_TRANSPORT] = NODE_TRANSPORTS_MAX - 1, [GAVEL_KIND_SERIALIZER] =
                             NODE_SERIALIZERS_MAX, [GAVEL_KIND_STATEMACHINE] = NODE_MACHINES_MAX,
                             [GAVEL_KIND_OBSERVER] = HOST_SINK_OBSERVERS_MAX};

    for (uint64_t kind = GAVEL_KIND_TRANSPORT; kind <= GAVEL_KIND_OBSERVER; kind++) {
        unsigned count = 0;

        for (unsigned i = 0; i < config->instance_count; i++)
            count += config->instance[i].kind == kind;
        if (count > most[kind])
            host_fault(&reload->faults, "%s: more than %u plugins of kind %s", config->ini.file, most[kind],
                       host_kind_name(kind));
    }
    if (reload->process->part_count + config->instance_count > HOST_PARTS_MAX)
        host_fault(&reload->faults, "%s: more than %d plugin instances, with those that are replaced", config->ini.file,
                   HOST_PARTS_MAX);
}

/* Spans are begun only if somebody wanted them when the process began. */
static void check_spans(struct host_reload *reload)
{
    const struct host_setup *next = reload->next;

    for (unsigned i = 0; i < next->config.instance_count; i++) {
        const struct host_instance_config *config = &next->config.instance[i];

        if (config->kind != GAVEL_KIND_OBSERVER || reload->process->node_face.host.span_begin ||
            !(next->plugin[i]->operations.observer.wants & GAVEL_OBSERVE_SPANS))
            continue;
        host_fault(&reload->faults, "%s:%u: observer %s needs a restart: it is the first that wants spans",
                   next->config.ini.file, config->line, config->name);
    }
}

bool host_reload_moves(const struct host_reload *reload)
{
    for (unsigned i = 0; i < reload->change_count; i++) {
        const struct host_change *change = &reload->change[i];
        uint64_t kind = change->old ? change->old->config->kind : reload->next->config.instance[change->index].kind;

        if (kind == GAVEL_KIND_TRANSPORT && change->what != HOST_KEEP)
            return true;
    }
    return false;
}

/* Peers have to reach this node, and it them, when only the new transports are left. */
static void check_reach(struct host_reload *reload)
{
    const struct host_setup *next = reload->next;
    struct node_transport left[HOST_INSTANCES_MAX];
    const struct node_transport *lefts[HOST_INSTANCES_MAX];
    struct gavel_error error;
    uint32_t count = 0;

    for (unsigned i = 0; i < next->config.instance_count; i++) {
        const struct host_instance_config *config = &next->config.instance[i];

        if (config->kind != GAVEL_KIND_TRANSPORT)
            continue;
        left[count] = (struct node_transport){.operations = &next->plugin[i]->operations.transport,
                                              .listen = config->listen, .listen_count = config->listen_count};
        lefts[count] = &left[count];
        count++;
    }
    if (host_reload_moves(reload) && node_would_reach(reload->process->node, lefts, count, &error) != GAVEL_OK)
        host_fault(&reload->faults, "%s: %s", next->config.ini.file, error.text);
}

/*
 * Who waits to be founded or added has told others its addresses, and has no log to tell them new ones by: what it is
 * reached at, and what is spoken there, stays until it is a member.
 */
static void check_waits(struct host_reload *reload)
{
    const struct host_setup *next = reload->next;
    struct gavel_error error;

    if (!node_waits(reload->process->node) || node_steady(reload->process->node, &error) == GAVEL_OK)
        return;
    for (unsigned i = 0; i < reload->change_count; i++) {
        const struct host_change *change = &reload->change[i];
        const struct host_instance_config *config = change->old ? change->old->config
                                                                : &next->config.instance[change->index];

        if (change->what != HOST_KEEP && config->kind != GAVEL_KIND_OBSERVER)
            host_fault(&reload->faults, "%s: %s %s: %s; observers, levels and limits may change meanwhile, for "
                       "anything else restart it", next->config.ini.file, host_kind_name(config->kind), config->name,
                       error.text);
    }
}

void host_reload_compare(struct host_reload *reload)
{
    reload->change_count = 0;
    compare_keys(reload);
    compare_capabilities(reload);
    check_bounds(reload);
    if (reload->faults.count)
        return;
    compare_instances(reload);
    compare_removed(reload);
    if (reload->faults.count)
        return;
    check_waits(reload);
    check_spans(reload);
    if (!node_waits(reload->process->node))
        check_reach(reload);
}
