/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_print.c - every effective value and where it comes from, in a form that gaveld reads again.
 */
#include "core/host/config.h"
#include "core/host/option.h"
#include "core/os/clean.h"

#include <gavel/plugin.h>

#include <stdlib.h>
#include <string.h>

#define ORIGIN_COLUMN 48 /* where the origins begin, when the value leaves room */
#define LIST_WIDTH 80    /* bytes of a list that share a line */

/* A literal ${ is written $${, or it would be a variable when the line is read again. Returns the columns. */
static int print_text(const char *text, int size, FILE *out)
{
    int width = 0;

    for (int i = 0; i < size; i++) {
        if (text[i] == '$' && i + 1 < size && text[i + 1] == '{')
            width += fprintf(out, "$");
        width += fprintf(out, "%c", text[i]);
    }
    return width;
}

/* An element a line, or the line would be too long to be read again. Returns the columns of the last one. */
static int print_long_list(const char *value, FILE *out)
{
    int width = 0;

    while (*value) {
        size_t size = strcspn(value, ",");

        width = fprintf(out, "\\\n    ") - (int)strlen("\\\n");
        width += print_text(value, (int)size, out);
        width += fprintf(out, "%s", value[size] ? ", " : "");
        value += size;
        value += strspn(value, ", ");
    }
    return width;
}

static bool has_key(const struct gavel_fields *table, const char *key)
{
    for (uint64_t row = 0; table && row < table->count; row++) {
        struct gavel_field field = host_field(table, row);
        size_t size = strlen(field.name);

        if (field.type != GAVEL_RECORD && strcmp(key, field.name) == 0)
            return true;
        if (field.type == GAVEL_RECORD && strncmp(key, field.name, size) == 0 && key[size] == '.' &&
            has_key(field.sub, key + size + 1))
            return true;
    }
    return false;
}

/* Serializers share a section: whether another one has that key too. */
static bool is_shared(const struct host_config *config, const struct host_instance_config *instance, const char *key,
                      bool only_before)
{
    if (!instance || instance->kind != GAVEL_KIND_SERIALIZER)
        return false;
    for (unsigned i = 0; i < config->instance_count; i++) {
        const struct host_instance_config *other = &config->instance[i];

        if (other == instance && only_before)
            return false;
        if (other != instance && other->kind == GAVEL_KIND_SERIALIZER && has_key(other->table, key))
            return true;
    }
    return false;
}

/*
 * A key that several serializers have is said once where it was given; what each has without it is told in a comment,
 * since it would be given to all of them when the file is read again.
 */
static void print_row(const struct host_config *config, const struct host_instance_config *instance,
                      const struct host_ini_section *ini, const struct gavel_fields *table, uint64_t row,
                      const void *object, const char *prefix, FILE *out)
{
    struct gavel_field field = host_field(table, row);
    const struct host_ini_entry *entry;
    os_autofree char *value = NULL;
    size_t size = 0;
    char key[HOST_INI_LINE_MAX + 1];
    bool comment;
    int width;
    FILE *text;

    (void)snprintf(key, sizeof key, "%s%s", prefix, field.name);
    entry = host_ini_entry(ini, key);
    if (entry && is_shared(config, instance, key, true))
        return;
    text = open_memstream(&value, &size);
    if (!text)
        return;
    if (field.flags & GAVEL_SECRET && gavel_present(object, row))
        (void)fputs("(secret)", text);
    else
        host_option_print(table, row, object, text);
    (void)fclose(text);
    if (!gavel_present(object, row)) {
        if (strcmp(key, "plugin") != 0)
            (void)fprintf(out, "; %s is not set\n", key);
        return;
    }
    comment = !entry && is_shared(config, instance, key, false);
    width = fprintf(out, "%s%s = ", comment ? "; " : "", key);
    if (field.type == GAVEL_LIST && size > LIST_WIDTH && !comment)
        width = print_long_list(value, out);
    else
        width += print_text(value, (int)size, out);
    (void)fprintf(out, "%*s ; ", width < ORIGIN_COLUMN ? ORIGIN_COLUMN - width : 0, "");
    if (entry)
        (void)fprintf(out, "%s:%u", config->ini.file, entry->line);
    else if (strcmp(key, "plugin_dir") == 0 && config->plugin_dir_variable)
        (void)fputs("GAVEL_PLUGIN_DIR", out);
    else if (comment)
        (void)fprintf(out, "default of %s", instance->plugin);
    else
        (void)fputs("default", out);
    (void)fputs(field.flags & GAVEL_RELOADABLE ? ", reloadable\n" : "\n", out);
}

/* Of an instance, or of the host (NULL). */
static void print_table(const struct host_config *config, const struct host_instance_config *instance,
                        const struct host_ini_section *ini, const struct gavel_fields *table, const void *object,
                        const char *prefix, FILE *out)
{
    for (uint64_t row = 0; table && row < table->count; row++) {
        struct gavel_field field = host_field(table, row);

        if (field.type == GAVEL_RECORD) {
            char inner[HOST_INI_LINE_MAX + 1];

            (void)snprintf(inner, sizeof inner, "%s%s.", prefix, field.name);
            print_table(config, instance, ini, field.sub, (const char *)object + field.offset, inner, out);
        } else {
            print_row(config, instance, ini, table, row, object, prefix, out);
        }
    }
}

/* `plugin` is said even when it was not written: its default, the section's NAME, is in no table. */
static void print_instance(const struct host_config *config, const struct host_instance_config *instance, FILE *out)
{
    const struct host_ini_section *ini = instance->ini;

    (void)fprintf(out, "\n[%s.%s]\n", host_kind_name(instance->kind), instance->name);
    if (!host_ini_entry(ini, "plugin"))
        (void)fprintf(out, "plugin = %-*s ; default\n", ORIGIN_COLUMN - (int)strlen("plugin = "), instance->plugin);
    if (instance->kind == GAVEL_KIND_TRANSPORT)
        print_table(config, instance, ini, &host_transport_fields, &instance->transport, "", out);
    else if (instance->kind == GAVEL_KIND_OBSERVER)
        print_table(config, instance, ini, &host_observer_fields, &instance->observer, "", out);
    else
        print_table(config, instance, ini, &host_statemachine_fields, &instance->statemachine, "", out);
    print_table(config, instance, ini, instance->table, instance->options, "", out);
}

static void print_serializers(const struct host_config *config, FILE *out)
{
    const struct host_ini_section *ini = host_ini_section(&config->ini, "serializer");
    const struct host_ini_entry *entry = host_ini_entry(ini, "plugin");
    bool first = true;
    int width = fprintf(out, "\n[serializer]\nplugin =") - (int)strlen("\n[serializer]\n");

    for (unsigned i = 0; i < config->instance_count; i++) {
        if (config->instance[i].kind != GAVEL_KIND_SERIALIZER)
            continue;
        width += fprintf(out, "%s %s", first ? "" : ",", config->instance[i].plugin);
        first = false;
    }
    (void)fprintf(out, "%*s ; ", width < ORIGIN_COLUMN ? ORIGIN_COLUMN - width : 0, "");
    if (entry)
        (void)fprintf(out, "%s:%u\n", config->ini.file, entry->line);
    else
        (void)fputs("default\n", out);
    for (unsigned i = 0; i < config->instance_count; i++)
        if (config->instance[i].kind == GAVEL_KIND_SERIALIZER)
            print_table(config, &config->instance[i], ini, config->instance[i].table, config->instance[i].options, "",
                        out);
}

static void print_capabilities(const struct host_config *config, FILE *out)
{
    const struct host_ini_section *ini = host_ini_section(&config->ini, "capabilities");

    (void)fputs("\n[capabilities]\n", out);
    for (unsigned i = 0; ini && i < ini->count; i++) {
        const struct host_ini_entry *entry = &ini->entry[i];
        int width = fprintf(out, "%s = ", entry->key);

        width += print_text(entry->value, (int)strlen(entry->value), out);
        (void)fprintf(out, "%*s ; %s:%u, reloadable\n", width < ORIGIN_COLUMN ? ORIGIN_COLUMN - width : 0, "",
                      config->ini.file, entry->line);
    }
}

void host_config_print(struct host_config *config, FILE *out)
{
    (void)fprintf(out, "; effective configuration; %s\n", config->ini.file);
    for (const struct host_section *section = host_sections; section->name; section++) {
        if (section->free) {
            print_capabilities(config, out);
        } else if (!section->kind) {
            (void)fprintf(out, "\n[%s]\n", section->name);
            print_table(config, NULL, host_ini_section(&config->ini, section->name), section->fields,
                        host_config_object(config, section->name), "", out);
        } else if (section->kind == GAVEL_KIND_SERIALIZER) {
            print_serializers(config, out);
        } else {
            for (unsigned i = 0; i < config->instance_count; i++)
                if (config->instance[i].kind == section->kind)
                    print_instance(config, &config->instance[i], out);
        }
    }
}
