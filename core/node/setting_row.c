/* SPDX-License-Identifier: Apache-2.0 */
/* setting_row.c - what the key of a setting means, and whether a value fits; see settings.h. */
#include "core/node/bytes.h"
#include "core/node/settings.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/field.h"
#include "core/node/session_fields.h"

#define SESSION "session."
#define MACHINE "statemachine."

static const struct gavel_field session_rows[] = {NODE_SESSION_ROWS};
static const struct gavel_fields session_fields = GAVEL_FIELDS(session_rows, struct node_session_options);

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static bool begins(struct gavel_slice *text, const char *with)
{
    size_t size = strlen(with);

    if (text->size < size || memcmp(text->data, with, size) != 0)
        return false;
    *text = gavel_bytes((const char *)text->data + size, text->size - size);
    return true;
}

static void describe(const struct setting_scope *scope, struct setting_row *row)
{
    struct gavel_field field;

    field = *codec_row(row->fields, row->row, &field);
    if (row->machine == SETTING_OF_SESSION)
        (void)snprintf(row->where, sizeof row->where, "[session] %s", field.name);
    else
        (void)snprintf(row->where, sizeof row->where, "[statemachine.%s] %s", scope->machines[row->machine].name,
                       field.name);
}

static bool replicated(const struct gavel_fields *fields, uint64_t row)
{
    struct gavel_field field;

    field = *codec_row(fields, row, &field);
    return (field.flags & GAVEL_REPLICATED) && field.type != GAVEL_RECORD;
}

struct gavel_slice setting_shown(const struct setting_row *row, struct gavel_slice value)
{
    struct gavel_field field;

    field = *codec_row(row->fields, row->row, &field);
    return field.flags & GAVEL_SECRET ? gavel_text("***") : value;
}

static void spell(const struct setting_scope *scope, const struct setting_row *row, char key[SETTING_KEY_MAX + 1])
{
    struct gavel_field field;

    field = *codec_row(row->fields, row->row, &field);
    if (row->machine == SETTING_OF_SESSION)
        (void)snprintf(key, SETTING_KEY_MAX + 1, SESSION "%s", field.name);
    else
        (void)snprintf(key, SETTING_KEY_MAX + 1, MACHINE "%s.%s", scope->machines[row->machine].name, field.name);
}

void setting_each(const struct setting_scope *scope,
                  void (*visit)(void *context, const char *key, const struct setting_row *row), void *context)
{
    for (uint32_t i = 0; i <= scope->count; i++) {
        struct setting_row row = {.machine = i ? i - 1 : SETTING_OF_SESSION,
                                  .fields = i ? scope->machines[i - 1].plugin->options : &session_fields};

        for (row.row = 0; row.fields && row.row < row.fields->count; row.row++) {
            char key[SETTING_KEY_MAX + 1];

            if (!replicated(row.fields, row.row))
                continue;
            spell(scope, &row, key);
            describe(scope, &row);
            visit(context, key, &row);
        }
    }
}

/* The nearest spelling; keys that are offered live for the call alone, so the best one is copied. */
struct nearest_key {
    struct codec_nearest nearest;
    char best[SETTING_KEY_MAX + 1];
};

static void offer(void *context, const char *key, const struct setting_row *row)
{
    struct nearest_key *kept = context;
    struct gavel_slice wanted = kept->nearest.wanted;
    size_t size = strlen(key);

    (void)row;
    codec_nearest_offer(&kept->nearest, gavel_text(key));
    if (!kept->nearest.best.data && wanted.size > 0 && wanted.size < size && key[size - wanted.size - 1] == '.' &&
        memcmp(key + size - wanted.size, wanted.data, wanted.size) == 0) {
        kept->nearest.best = gavel_text(key); /* as it stands in the INI file, without its section */
        kept->nearest.distance = 1;
    }
    if (kept->nearest.best.data == key) {
        (void)snprintf(kept->best, sizeof kept->best, "%s", key);
        kept->nearest.best = gavel_text(kept->best);
    }
}

static int32_t unknown(const struct setting_scope *scope, struct gavel_slice key, struct gavel_error *error)
{
    struct nearest_key kept = {.nearest = {.wanted = key}};
    char hint[SETTING_KEY_MAX + 32];

    if (key.size <= SETTING_KEY_MAX)
        setting_each(scope, offer, &kept);
    return gavel_fail(error, GAVEL_E_INVALID, "there is no setting '%.*s'%s",
                      (int)(key.size < SETTING_KEY_MAX ? key.size : SETTING_KEY_MAX), (const char *)key.data,
                      kept.nearest.best.data ? codec_nearest_text(&kept.nearest, hint, sizeof hint)
                                             : "; gavel settings shows all that there are");
}

/* The machine of a key "statemachine.NAME.OPTION", and the option. */
static bool find_machine(const struct setting_scope *scope, struct gavel_slice key, uint32_t *machine,
                         struct gavel_slice *option)
{
    for (uint32_t i = 0; i < scope->count; i++) {
        *option = key;
        if (begins(option, MACHINE) && begins(option, scope->machines[i].name) && begins(option, ".")) {
            *machine = i;
            return true;
        }
    }
    return false;
}

int32_t setting_find_row(const struct setting_scope *scope, struct gavel_slice key, struct setting_row *row,
                         struct gavel_error *error)
{
    struct gavel_slice option = key;

    *row = (struct setting_row){.machine = SETTING_OF_SESSION, .fields = &session_fields};
    if (!begins(&option, SESSION)) {
        if (!find_machine(scope, key, &row->machine, &option))
            return unknown(scope, key, error);
        row->fields = scope->machines[row->machine].plugin->options;
    }
    row->row = codec_row_named(row->fields, option);
    if (row->row == CODEC_NO_ROW)
        return unknown(scope, key, error);
    describe(scope, row);
    if (!replicated(row->fields, row->row))
        return gavel_fail(error, GAVEL_E_INVALID, "%s is no setting of the cluster: each node has its own in its "
                          "INI file", row->where);
    return GAVEL_OK;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

/* What a text can become: the strings, and a slice for each element of a list. */
static uint64_t room_for(uint64_t size)
{
    return size * 2 + (size / 2 + 1) * sizeof(struct gavel_slice) + 64;
}

/* A real keeps every digit: what founders were started with must not be rounded by its way through text. */
static int32_t put_real(const struct setting_row *row, const void *object, struct gavel_buffer *out)
{
    struct gavel_field field;
    char text[40];
    double real;

    field = *codec_row(row->fields, row->row, &field);
    memcpy(&real, (const char *)object + field.offset, sizeof real);
    (void)snprintf(text, sizeof text, "%.17g", real);
    return gavel_buffer_append(out, text, strlen(text));
}

/* "[session] ttl is 999; the least is 1000", or with a colon where the reason is a sentence of its own. */
static int32_t name_it(const char *where, int32_t status, const struct gavel_error *why, struct gavel_error *error)
{
    bool bound = strncmp(why->text, "is ", 3) == 0 || strncmp(why->text, "has ", 4) == 0;

    return gavel_fail(error, status, "%s%s %s", where, bound ? "" : ":", why->text);
}

int32_t setting_canonical(const struct setting_row *row, struct gavel_slice value, struct gavel_buffer *out,
                          struct gavel_error *error)
{
    uint64_t room = room_for(value.size);
    void *object = calloc(1, row->fields->struct_size + room);
    struct codec_arena arena;
    struct gavel_field field;
    struct gavel_error why = {0};
    int32_t status;

    if (!object)
        return gavel_fail(error, GAVEL_E_LOCAL, "no memory for a setting");
    arena = codec_arena((char *)object + row->fields->struct_size, room);
    field = *codec_row(row->fields, row->row, &field);
    status = codec_field_parse(row->fields, row->row, value, object, &arena, &why);
    if (status != GAVEL_OK)
        (void)name_it(row->where, status, &why, error);
    else if (field.type == GAVEL_REAL)
        status = put_real(row, object, out);
    else if (field.flags & GAVEL_SECRET)
        status = gavel_buffer_append(out, value.data, value.size);
    else
        status = codec_field_text(row->fields, row->row, object, out);
    free(object);
    if (status == GAVEL_E_NO_MEMORY)
        status = gavel_fail(error, GAVEL_E_LOCAL, "no memory for a setting");
    return status;
}

int32_t setting_record(struct settings *settings, const struct setting_scope *scope, const char *key,
                       struct gavel_slice value, struct gavel_error *error)
{
    struct gavel_buffer text = codec_buffer(0);
    struct setting_row row;
    struct gavel_error why = {0};
    int32_t status = setting_find_row(scope, gavel_text(key), &row, &why);

    if (status == GAVEL_OK)
        status = setting_canonical(&row, value, &text, &why);
    if (status == GAVEL_OK)
        status = settings_put(settings, gavel_text(key), gavel_buffer_slice(&text), 0);
    gavel_buffer_free(&text);
    if (status == GAVEL_OK || status == GAVEL_E_LOCAL)
        return status == GAVEL_OK ? GAVEL_OK : gavel_fail(error, status, "no memory for the settings of the cluster");
    if (row.fields && row.row < row.fields->count)
        value = setting_shown(&row, value);
    return gavel_fail(error, GAVEL_E_CONFIG, "the cluster was founded with %s = %.*s, which this node cannot take: %s",
                      key, (int)value.size, (const char *)value.data, why.text);
}

int32_t setting_in_force(const struct settings *settings, const char *key, const struct setting_row *row,
                         struct gavel_buffer *out)
{
    const struct setting *item = settings_find(settings, gavel_text(key));
    struct gavel_field field;
    int32_t status = GAVEL_OK;

    out->size = 0;
    field = *codec_row(row->fields, row->row, &field);
    if (item)
        status = gavel_buffer_append(out, item->value, strlen(item->value));
    else if (field.fallback)
        status = setting_canonical(row, gavel_text(field.fallback), out, NULL);
    if (status == GAVEL_OK)
        status = gavel_buffer_append(out, "", 1);
    if (status == GAVEL_OK)
        out->size--;
    return status;
}

/* What is recorded was checked when it came in. */
void settings_limits(const struct settings *settings, struct session_limits *limits)
{
    struct node_session_options options;
    unsigned char memory[256];
    struct codec_arena arena = codec_arena(memory, sizeof memory);

    (void)codec_fields_defaults(&session_fields, &options, &arena, NULL);
    for (uint64_t i = 0; i < session_fields.count; i++) {
        char key[SETTING_KEY_MAX + 1];
        const struct setting *item;

        (void)snprintf(key, sizeof key, SESSION "%s", session_rows[i].name);
        item = settings_find(settings, gavel_text(key));
        if (item)
            (void)codec_field_parse(&session_fields, i, gavel_text(item->value), &options, &arena, NULL);
    }
    *limits = (struct session_limits){.sessions = options.sessions,
                                      .window = options.window,
                                      .bytes = options.reply_bytes,
                                      .ttl_ms = options.ttl};
}

/* ---- the options of a machine ----------------------------------------------------------------------------------- */

static int32_t put_option(const struct settings *settings, const char *key, const struct setting_row *row, void *object,
                          struct codec_arena *arena, struct gavel_error *error)
{
    const struct setting *item = settings_find(settings, gavel_text(key));
    struct gavel_error why = {0};

    if (!item || codec_field_parse(row->fields, row->row, gavel_text(item->value), object, arena, &why) == GAVEL_OK)
        return GAVEL_OK;
    return gavel_fail(error, GAVEL_E_VERSION, "%s is \"%s\" in the cluster, which the plugin here does not take: %s",
                      row->where, item->value, why.text);
}

int32_t setting_options_make(const struct settings *settings, const struct setting_scope *scope, uint32_t machine,
                             struct setting_options *options, struct gavel_error *error)
{
    struct setting_row row = {.machine = machine, .fields = scope->machines[machine].plugin->options};
    struct codec_arena arena;
    uint64_t room = 4096;
    int32_t status;

    *options = (struct setting_options){0};
    if (!row.fields)
        return GAVEL_OK;
    for (uint32_t i = 0; i < settings->count; i++)
        room += room_for(strlen(settings->items[i].value));
    options->memory = calloc(1, row.fields->struct_size + room);
    if (!options->memory)
        return gavel_fail(error, GAVEL_E_LOCAL, "no memory for the options of machine '%s'",
                          scope->machines[machine].name);
    options->object = options->memory;
    arena = codec_arena((char *)options->memory + row.fields->struct_size, room);
    status = codec_fields_defaults(row.fields, options->memory, &arena, error);
    for (row.row = 0; status == GAVEL_OK && row.row < row.fields->count; row.row++) {
        char key[SETTING_KEY_MAX + 1];

        if (!replicated(row.fields, row.row))
            continue;
        spell(scope, &row, key);
        describe(scope, &row);
        status = put_option(settings, key, &row, options->memory, &arena, error);
    }
    if (status != GAVEL_OK)
        setting_options_free(options);
    return status;
}

void setting_options_free(struct setting_options *options)
{
    free(options->memory);
    *options = (struct setting_options){0};
}

/* ---- state versions --------------------------------------------------------------------------------------------- */

uint64_t setting_oldest(const struct node_machine *machine)
{
    const struct gavel_statemachine *operations = machine->operations;

    return operations->state_version_oldest ? operations->state_version_oldest : operations->state_version;
}

int32_t setting_fits(const struct node_machine *machine, struct setting_version in_force, struct gavel_error *error)
{
    uint64_t oldest = setting_oldest(machine);
    uint64_t newest = machine->operations->state_version;
    char since[64] = "since it was founded";
    char here[64];

    if (in_force.version >= oldest && in_force.version <= newest)
        return GAVEL_OK;
    if (in_force.index)
        (void)snprintf(since, sizeof since, "since index %llu", (unsigned long long)in_force.index);
    if (oldest == newest)
        (void)snprintf(here, sizeof here, "%llu", (unsigned long long)newest);
    else
        (void)snprintf(here, sizeof here, "%llu to %llu", (unsigned long long)oldest, (unsigned long long)newest);
    return gavel_fail(error, GAVEL_E_VERSION,
                      "[statemachine.%s] has state version %llu in the cluster, %s; its plugin here, version %s, acts "
                      "as %s. Install a plugin that acts as %llu, and start again; to go to a newer state version, "
                      "give every member the new plugin first, then run: gavel settings upgrade %s",
                      machine->name, (unsigned long long)in_force.version, since, machine->plugin->version, here,
                      (unsigned long long)in_force.version, machine->name);
}
