/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump.c - one tree is made from the plugin's tables; --json prints it, and the lines are the paths to its leaves.
 */
#include "core/host/dump.h"

#include "core/codec/field.h"
#include "core/host/directory.h"
#include "core/host/metric_table.h"
#include "core/host/option.h"
#include "core/host/schema.h"
#include "plugins/observers/names.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define DUMP_SCHEMA 1       /* of the JSON; members are only ever added to one, so this number stays */
#define PATH_TEXT_MAX 512 /* bytes of a key in key=value: records within records within a command */

/* A name of a flag. */
struct flag {
    uint64_t bit;
    const char *name;
};

static const struct flag field_flags[] = {{GAVEL_REQUIRED, "required"},     {GAVEL_KEY, "key"},
                                          {GAVEL_SECRET, "secret"},         {GAVEL_RELOADABLE, "reloadable"},
                                          {GAVEL_REPLICATED, "replicated"}, {GAVEL_DEPRECATED, "deprecated"},
                                          {0, NULL}};
static const struct flag machine_flags[] = {{GAVEL_BOUNDED, "bounded"}, {GAVEL_CONCURRENT, "concurrent"}, {0, NULL}};
static const struct flag command_flags[] = {
    {GAVEL_WRITE, "write"}, {GAVEL_READ, "read"}, {GAVEL_INTERNAL, "internal"}, {0, NULL}};
static const struct flag observer_wants[] = {{GAVEL_OBSERVE_LOGS, "logs"},
                                             {GAVEL_OBSERVE_SPANS, "spans"},
                                             {GAVEL_OBSERVE_METRICS, "metrics"},
                                             {GAVEL_OBSERVE_ASKS, "asks"},
                                             {0, NULL}};

/* ---- the tree ---------------------------------------------------------------------------------------------------- */

static void put_text(json_t *object, const char *key, const char *text)
{
    if (text)
        (void)json_object_set_new(object, key, json_string(text));
}

static void put_number(json_t *object, const char *key, int64_t number)
{
    (void)json_object_set_new(object, key, json_integer(number));
}

static void put_flags(json_t *object, const char *key, const struct flag *names, uint64_t flags)
{
    json_t *list = json_array();

    for (; names->name; names++)
        if (flags & names->bit)
            (void)json_array_append_new(list, json_string(names->name));
    (void)json_object_set_new(object, key, list);
}

static json_t *fields_tree(const struct gavel_fields *table);

static json_t *field_tree(const struct gavel_field *field)
{
    json_t *object = json_object();

    put_text(object, "name", field->name);
    put_number(object, "id", (int64_t)field->id);
    put_text(object, "type", codec_type_name(field->type));
    if (field->type == GAVEL_LIST)
        put_text(object, "element", field->sub ? "record" : codec_type_name(field->element));
    put_flags(object, "flags", field_flags, field->flags);
    if (!(field->flags & GAVEL_SECRET))
        put_text(object, "default", field->fallback);
    if (field->min != 0 || field->max != 0) {
        put_number(object, "min", field->min);
        if (field->max >= field->min)
            put_number(object, "max", field->max);
    }
    if (field->choices) {
        json_t *list = json_array();

        for (uint64_t i = 0; field->choices[i]; i++)
            (void)json_array_append_new(list, json_string(field->choices[i]));
        (void)json_object_set_new(object, "choices", list);
    }
    put_text(object, "unit", field->unit);
    put_text(object, "help", field->help);
    if (field->sub)
        (void)json_object_set_new(object, "fields", fields_tree(field->sub));
    return object;
}

static json_t *fields_tree(const struct gavel_fields *table)
{
    json_t *list = json_array();

    for (uint64_t row = 0; table && row < table->count; row++) {
        struct gavel_field field = host_field(table, row);

        (void)json_array_append_new(list, field_tree(&field));
    }
    return list;
}

static void put_machine(json_t *root, const struct gavel_statemachine *machine)
{
    json_t *commands = json_array();

    put_flags(root, "machine_flags", machine_flags, machine->flags);
    put_number(root, "state_version", (int64_t)machine->state_version);
    put_number(root, "state_version_oldest", (int64_t)(machine->state_version_oldest ? machine->state_version_oldest
                                                                                     : machine->state_version));
    for (uint64_t i = 0; i < machine->command_count; i++) {
        const struct gavel_command *command = &machine->commands[i];
        json_t *object = json_object();

        put_text(object, "name", command->name);
        put_number(object, "id", (int64_t)command->id);
        put_flags(object, "flags", command_flags, command->flags);
        put_text(object, "help", command->help);
        put_text(object, "example", command->example);
        (void)json_object_set_new(object, "arguments", fields_tree(command->arguments));
        (void)json_array_append_new(commands, object);
    }
    (void)json_object_set_new(root, "commands", commands);
}

static json_t *plugin_tree(const struct host_plugin *plugin)
{
    json_t *root = json_object();
    const char *kind = host_kind_name(plugin->head.kind);
    const struct host_section *in = host_section_find(kind);
    char abi[64], section[64];

    (void)snprintf(section, sizeof section, "[%s%s]", kind, in->named ? ".NAME" : "");
    (void)snprintf(abi, sizeof abi, "%llu.%llu", (unsigned long long)plugin->head.abi_major,
                   (unsigned long long)plugin->head.abi_minor);
    put_number(root, "schema", DUMP_SCHEMA);
    put_text(root, "name", plugin->head.name);
    put_text(root, "kind", kind);
    put_text(root, "version", plugin->head.version);
    put_text(root, "summary", plugin->head.summary);
    put_text(root, "path", *plugin->path ? plugin->path : "(linked in)");
    put_text(root, "abi", abi);
    put_text(root, "section", section);
    if (plugin->head.kind == GAVEL_KIND_TRANSPORT)
        put_text(root, "schemes", plugin->operations.transport.schemes);
    if (plugin->head.kind == GAVEL_KIND_SERIALIZER) {
        put_text(root, "media_type", plugin->operations.serializer.media_type);
        put_number(root, "preference", (int64_t)plugin->operations.serializer.preference);
    }
    if (plugin->head.kind == GAVEL_KIND_OBSERVER)
        put_flags(root, "wants", observer_wants, plugin->operations.observer.wants);
    (void)json_object_set_new(root, "options", fields_tree(plugin->head.options));
    if (plugin->head.kind == GAVEL_KIND_STATEMACHINE)
        put_machine(root, &plugin->operations.statemachine);
    return root;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* A list of words is one line "a,b"; a list of objects goes by their names: options.history.type=uint. */
static void print_lines(const json_t *node, const char *path, FILE *out)
{
    char inner[PATH_TEXT_MAX];
    const char *key, *separator = *path ? "." : "";
    json_t *value;
    size_t i;

    if (json_is_object(node)) {
        json_object_foreach((json_t *)(uintptr_t)node, key, value) {
            if (*path && strcmp(key, "name") == 0)
                continue;
            (void)snprintf(inner, sizeof inner, "%s%s%s", path, separator, key);
            print_lines(value, inner, out);
        }
    } else if (json_is_array(node) && json_is_object(json_array_get(node, 0))) {
        json_array_foreach(node, i, value) {
            (void)snprintf(inner, sizeof inner, "%s%s%s", path, separator,
                           json_string_value(json_object_get(value, "name")));
            print_lines(value, inner, out);
        }
    } else if (json_is_array(node)) {
        (void)fprintf(out, "%s=", path);
        json_array_foreach(node, i, value)
            (void)fprintf(out, "%s%s", i ? "," : "", json_string_value(value));
        (void)fputc('\n', out);
    } else if (json_is_integer(node)) {
        (void)fprintf(out, "%s=%" JSON_INTEGER_FORMAT "\n", path, json_integer_value(node));
    } else if (json_is_boolean(node)) {
        (void)fprintf(out, "%s=%s\n", path, json_is_true(node) ? "yes" : "no");
    } else {
        (void)fprintf(out, "%s=", path);
        for (const char *at = json_string_value(node); at && *at; at++)
            (void)fputc((unsigned char)*at < 0x20 ? ' ' : *at, out); /* a value is one line */
        (void)fputc('\n', out);
    }
}

static int32_t print_tree(json_t *root, bool json, FILE *out)
{
    if (!root)
        return GAVEL_E_NO_MEMORY;
    if (json) {
        (void)json_dumpf(root, out, JSON_INDENT(2));
        (void)fputc('\n', out);
    } else {
        print_lines(root, "", out);
    }
    json_decref(root);
    return GAVEL_OK;
}

int32_t host_dump_plugin(const struct host_plugin *plugin, bool json, FILE *out)
{
    return print_tree(plugin_tree(plugin), json, out);
}

int32_t host_dump_sections(bool json, FILE *out)
{
    json_t *root = json_object(), *sections = json_array();

    put_number(root, "schema", DUMP_SCHEMA);
    for (const struct host_section *section = host_sections; section->name; section++) {
        json_t *object = json_object();

        put_text(object, "name", section->name);
        (void)json_object_set_new(object, "named", json_boolean(section->named));
        (void)json_object_set_new(object, "required", json_boolean(section->required));
        put_text(object, "help", section->help);
        (void)json_object_set_new(object, "options", fields_tree(section->fields));
        (void)json_array_append_new(sections, object);
    }
    (void)json_object_set_new(root, "sections", sections);
    return print_tree(root, json, out);
}

static json_t *metric_tree(const char *name, const char *attributes, const char *help)
{
    json_t *object = json_object(), *list = json_array();
    char attribute[64];

    put_text(object, "name", name);
    while (host_metric_attribute(&attributes, attribute))
        (void)json_array_append_new(list, json_string(attribute));
    (void)json_object_set_new(object, "attributes", list);
    put_text(object, "help", help);
    return object;
}

int32_t host_dump_metrics(bool json, FILE *out)
{
    json_t *root = json_object(), *metrics = json_array(), *spans = json_array();

    put_number(root, "schema", DUMP_SCHEMA);
    for (const struct host_metric *row = host_metrics; row->name; row++) {
        json_t *object = metric_tree(row->name, row->attributes, row->help);
        struct names_metric names;

        names_metric(&names, row->kind, row->name, row->unit);
        put_text(object, "kind", host_metric_kind(row->kind));
        put_text(object, "unit", row->unit);
        put_text(object, "prometheus", names.sample);
        (void)json_array_append_new(metrics, object);
    }
    for (const struct host_span *row = host_span_rows; row->name; row++)
        (void)json_array_append_new(spans, metric_tree(row->name, row->attributes, row->help));
    (void)json_object_set_new(root, "metrics", metrics);
    (void)json_object_set_new(root, "spans", spans);
    return print_tree(root, json, out);
}

/* ---- the directory ----------------------------------------------------------------------------------------------- */

struct listing {
    struct host_loader *loader;
    const char *dir;
    FILE *out;
    int32_t refused;
};

static void print_plugin(const struct host_plugin *plugin, FILE *out)
{
    (void)fprintf(out, "%-12s %-12s %-8s %s%s\n", host_kind_name(plugin->head.kind), plugin->head.name,
                  plugin->head.version, plugin->head.summary, *plugin->path ? "" : " (linked in)");
}

static void list_file(void *context, const char *file)
{
    struct listing *listing = context;
    const struct host_plugin *plugin;
    struct gavel_error error;
    char name[64];
    uint64_t kind;

    if (!host_plugin_file(file, name, &kind))
        return;
    if (host_load(listing->loader, listing->dir, name, kind, NULL, &plugin, &error) == GAVEL_OK) {
        print_plugin(plugin, listing->out);
    } else {
        (void)fprintf(stderr, "gaveld: %s\n", error.text);
        listing->refused++;
    }
}

int32_t host_list_plugins(struct host_loader *loader, const char *dir, const struct host_builtin *builtins, FILE *out)
{
    struct listing listing = {.loader = loader, .dir = dir, .out = out};
    int32_t status = host_plugins_each(dir, 0, list_file, &listing);

    for (; builtins->entry; builtins++) {
        const struct host_plugin *plugin;
        struct gavel_error error;
        bool seen = false;

        for (unsigned i = 0; i < loader->count; i++)
            seen = seen || (loader->plugin[i]->head.kind == builtins->kind &&
                            strcmp(loader->plugin[i]->head.name, builtins->name) == 0);
        if (!seen && host_load(loader, dir, builtins->name, builtins->kind, builtins, &plugin, &error) == GAVEL_OK)
            print_plugin(plugin, out);
    }
    return status == GAVEL_OK ? listing.refused : status;
}
