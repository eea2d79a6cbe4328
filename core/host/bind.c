/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bind.c - one section against its tables.
 */
#include "core/host/bind.h"

#include "core/codec/field.h"
#include "core/host/option.h"

#include <string.h>

#define KEY_MAX 128 /* bytes of a key with its record's name in front */

static void offer_keys(struct codec_nearest *nearest, const struct gavel_fields *table)
{
    for (uint64_t row = 0; table && row < table->count; row++)
        codec_nearest_offer(nearest, gavel_text(host_field(table, row).name));
}

static void unknown_key(const struct host_bind *bind, const struct host_ini_entry *entry,
                        const struct gavel_fields *own, const struct gavel_fields *table)
{
    struct codec_nearest nearest = {.wanted = gavel_text(entry->key)};
    char hint[128];

    if (bind->lenient)
        return;
    offer_keys(&nearest, own);
    offer_keys(&nearest, table);
    host_fault(bind->faults, "%s:%u: unknown key \"%s\" in [%s]%s", bind->config->ini.file, entry->line, entry->key,
               bind->ini->name, codec_nearest_text(&nearest, hint, sizeof hint));
}

/* 1 when `table` has the key, whether its value was good or not. */
static int take_entry(const struct host_bind *bind, const struct host_ini_entry *entry,
                      const struct gavel_fields *table,
                      void *object)
{
    struct gavel_error error = {.code = 0};
    struct gavel_field field;
    uint64_t row;

    if (!table || host_option_find(&table, &object, entry->key, &row) != GAVEL_OK)
        return 0;
    field = host_field(table, row);
    if (host_option_set(table, row, entry->value, object, &bind->config->arena, &error) != GAVEL_OK)
        host_fault(bind->faults, "%s:%u: %s: %s", bind->config->ini.file, entry->line, entry->key, error.text);
    else if (field.flags & GAVEL_DEPRECATED)
        host_fault(bind->warnings, "%s:%u: %s is deprecated: %s", bind->config->ini.file, entry->line, entry->key,
                   field.help ? field.help : "");
    return 1;
}

/* A key that was written, but wrongly, has had its sentence: it is not missing. */
static void require(const struct host_bind *bind, const struct gavel_fields *table, const void *object,
                    const char *prefix)
{
    for (uint64_t row = 0; table && row < table->count; row++) {
        struct gavel_field field = host_field(table, row);
        char key[KEY_MAX];

        (void)snprintf(key, sizeof key, "%s%s", prefix, field.name);
        if (field.type == GAVEL_RECORD) {
            (void)snprintf(key, sizeof key, "%s%s.", prefix, field.name);
            require(bind, field.sub, (const char *)object + field.offset, key);
        } else if (field.flags & GAVEL_REQUIRED && !gavel_present(object, row) && !host_ini_entry(bind->ini, key)) {
            if (bind->ini)
                host_fault(bind->faults, "%s:%u: [%s] needs the key %s: %s", bind->config->ini.file, bind->ini->line,
                           bind->ini->name, key, field.help ? field.help : "");
            else
                host_fault(bind->faults, "%s: the key %s is needed: %s", bind->config->ini.file, key,
                           field.help ? field.help : "");
        }
    }
}

static void fill(const struct host_bind *bind, const struct gavel_fields *table, void *object)
{
    struct gavel_error error = {.code = 0};

    if (!table)
        return;
    if (host_option_defaults(table, object, &bind->config->arena, &error) != GAVEL_OK)
        host_fault(bind->faults, "%s: a default of the table itself is wrong: %s",
                   bind->ini ? bind->ini->name : bind->config->ini.file, error.text);
    require(bind, table, object, "");
}

void host_bind_section(const struct host_bind *bind, const struct gavel_fields *own, void *own_object,
                       const struct gavel_fields *table, void *object)
{
    for (unsigned i = 0; bind->ini && i < bind->ini->count; i++) {
        const struct host_ini_entry *entry = &bind->ini->entry[i];

        if (!take_entry(bind, entry, own, own_object) && !take_entry(bind, entry, table, object))
            unknown_key(bind, entry, own, table);
    }
    fill(bind, own, own_object);
    fill(bind, table, object);
}
