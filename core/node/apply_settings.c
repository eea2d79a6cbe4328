/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply_settings.c - settings take effect: at the founding, at the entry that changes them, with a snapshot. All of it
 * is [apply]: a command sees either the old value or the new one, and the same one on every node.
 */
#include "core/node/apply_internal.h"

#include <assert.h>
#include <string.h>

#include "core/codec/field.h"
#include "core/codec/value.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

static struct setting_scope scope_of(const struct apply *apply)
{
    return (struct setting_scope){.machines = apply->machines, .count = apply->machine_count};
}

const struct settings *apply_settings(const struct apply *apply)
{
    return apply->settings;
}

void apply_settings_free(struct apply *apply)
{
    settings_free(apply->founding);
    settings_free(apply->settings);
    for (uint32_t i = 0; i < apply->machine_count; i++)
        setting_options_free(&apply->parts[i].kept);
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

/* What a machine was created with: a line of node_machine.settings, or the default of the table. */
static struct gavel_slice created_with(const struct node_machine *machine, const char *option, const char *fallback)
{
    size_t size = strlen(option);

    for (const char *line = machine->settings; line && *line; line = strchr(line, '\n') + 1) {
        size_t length = strcspn(line, "\n");

        if (length > size && line[size] == '=' && memcmp(line, option, size) == 0)
            return gavel_bytes(line + size + 1, length - size - 1);
        if (!line[length])
            break;
    }
    return gavel_text(fallback ? fallback : "");
}

struct walking {
    struct apply *apply;
    uint32_t machine;
    bool created; /* the hash of what it was created with, instead of what is in force */
    uint64_t hash;
    struct gavel_buffer text;
    struct gavel_buffer other;
    int32_t status;
    struct gavel_error *error; /* not NULL: a difference between the two is one */
};

/* Both values as the table spells them; one that the table does not take stands as it is, and differs. */
static int32_t created_text(struct walking *walking, const char *key, const struct setting_row *row)
{
    const struct node_machine *machine = &walking->apply->machines[walking->machine];
    const char *option = key + strlen("statemachine.") + strlen(machine->name) + 1;
    struct gavel_field field;
    struct gavel_slice value;
    int32_t status = GAVEL_OK;

    field = *codec_row(row->fields, row->row, &field);
    value = created_with(machine, option, field.fallback);
    walking->other.size = 0;
    if (value.size)
        status = setting_canonical(row, value, &walking->other, NULL);
    return status == GAVEL_E_INVALID ? gavel_buffer_append(&walking->other, value.data, value.size) : status;
}

static int32_t tell_difference(const struct walking *walking, const struct setting_row *row)
{
    struct gavel_slice force = setting_shown(row, gavel_buffer_slice(&walking->text));
    struct gavel_slice here = setting_shown(row, gavel_buffer_slice(&walking->other));

    return gavel_fail(walking->error, GAVEL_E_CONFIG,
                      "%s is \"%.*s\" in the cluster, \"%.*s\" here, and this machine cannot change it while it runs: "
                      "set it to the cluster's value in this node's INI file",
                      row->where, (int)force.size, (const char *)force.data, (int)here.size, (const char *)here.data);
}

static void walk(void *context, const char *key, const struct setting_row *row)
{
    struct walking *walking = context;
    struct gavel_buffer *from = walking->created ? &walking->other : &walking->text;

    if (row->machine != walking->machine || walking->status != GAVEL_OK)
        return;
    walking->status = setting_in_force(walking->apply->settings, key, row, &walking->text);
    if (walking->status == GAVEL_OK)
        walking->status = created_text(walking, key, row);
    if (walking->status != GAVEL_OK)
        return;
    walking->hash = gavel_mix(gavel_mix(walking->hash, key, strlen(key) + 1), from->data, from->size);
    walking->hash = gavel_mix(walking->hash, &from->size, sizeof from->size);
    if (walking->error && !gavel_slice_equal(gavel_buffer_slice(&walking->text), gavel_buffer_slice(&walking->other)))
        walking->status = tell_difference(walking, row);
}

/* Over the replicated options of one machine; see struct walking. */
static int32_t walk_options(struct apply *apply, uint32_t machine, bool created, struct gavel_error *error,
                            uint64_t *hash)
{
    struct walking walking = {.apply = apply,
                              .machine = machine,
                              .created = created,
                              .hash = machine + 1,
                              .text = codec_buffer(0),
                              .other = codec_buffer(0),
                              .error = error};
    struct setting_scope scope = scope_of(apply);

    setting_each(&scope, walk, &walking);
    gavel_buffer_free(&walking.text);
    gavel_buffer_free(&walking.other);
    if (hash)
        *hash = walking.hash;
    return walking.status == GAVEL_E_NO_MEMORY ? GAVEL_E_LOCAL : walking.status;
}

/* Hand a machine the values in force, if they are not those that it has. */
static int32_t configure(struct apply *apply, uint32_t machine, struct gavel_error *error)
{
    const struct node_machine *with = &apply->machines[machine];
    struct setting_scope scope = scope_of(apply);
    struct setting_options made;
    uint64_t hash;
    int32_t status = walk_options(apply, machine, false, NULL, &hash);

    if (status != GAVEL_OK)
        return gavel_fail(error, status, "no memory for the options of machine '%s'", with->name);
    if (hash == apply->parts[machine].hash)
        return GAVEL_OK;
    if (!with->operations->configure)
        return walk_options(apply, machine, false, error, NULL);
    status = setting_options_make(apply->settings, &scope, machine, &made, error);
    if (status != GAVEL_OK)
        return status;
    status = machine_configure(with, made.object, error);
    if (status != GAVEL_OK) {
        setting_options_free(&made);
        (void)gavel_wrap(error, with->name);
        return status;
    }
    setting_options_free(&apply->parts[machine].kept);
    apply->parts[machine].kept = made;
    apply->parts[machine].hash = hash;
    return GAVEL_OK;
}

int32_t apply_settings_take(struct apply *apply, struct gavel_error *error)
{
    struct session_limits limits;
    int32_t status = GAVEL_OK;

    settings_limits(apply->settings, &limits);
    sessions_set_limits(apply->sessions, &limits);
    apply->session_ttl_ms = limits.ttl_ms;
    for (uint32_t i = 0; i < apply->machine_count; i++)
        apply->parts[i].unfit =
            setting_fits(&apply->machines[i], apply->settings->machines[i], NULL) != GAVEL_OK;
    for (uint32_t i = 0; i < apply->machine_count && status == GAVEL_OK; i++)
        status = configure(apply, i, error);
    return status;
}

int32_t apply_found(struct apply *apply, const struct settings *founding, struct gavel_error *error)
{
    int32_t status;

    assert(apply->magic == APPLY_MAGIC);
    assert(founding->machine_count == apply->machine_count);
    if (settings_copy(apply->founding, founding) != GAVEL_OK || settings_copy(apply->settings, founding) != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_LOCAL, "no memory for the settings of the cluster");
    for (uint32_t i = 0; i < apply->machine_count; i++)
        if (!apply->parts[i].hash &&
            walk_options(apply, i, true, NULL, &apply->parts[i].hash) != GAVEL_OK)
            return gavel_fail(error, GAVEL_E_LOCAL, "no memory for the settings of the cluster");
    status = apply_settings_take(apply, error);
    for (uint32_t i = 0; i < apply->machine_count && status == GAVEL_OK; i++) {
        const struct node_machine *machine = &apply->machines[i];

        if (machine->operations->act_as && !apply->parts[i].unfit)
            status = machine_act_as(machine, founding->machines[i].version, error);
        if (status != GAVEL_OK)
            (void)gavel_wrap(error, machine->name);
    }
    return status;
}

/* ---- entries ---------------------------------------------------------------------------------------------------- */

static void stop(struct apply_run *run, int32_t status)
{
    if (run->status == 0)
        run->status = status;
}

/* What an entry was made for is what it meets, or it does nothing: what its proposer checked may not hold any more. */
static bool meets(const struct apply *apply, uint64_t base, struct apply_record *record, struct gavel_error *error)
{
    if (base == apply->settings->version)
        return true;
    COVER("node-settings-overtaken");
    record->status = gavel_fail(error, GAVEL_E_CONDITION,
                                "the settings have changed since: they are of version %llu, not %llu; nothing was done",
                                (unsigned long long)apply->settings->version, (unsigned long long)base);
    return false;
}

/* The reply: the version that the settings have now. */
static void tell_version(struct apply *apply, struct apply_run *run, struct apply_record *record)
{
    struct codec_writer writer;
    struct gavel_writer *out = codec_writer_begin(&writer, &apply->result);

    gavel_put_map(out, 1);
    gavel_put_key(out, "version");
    gavel_put_uint(out, apply->settings->version);
    gavel_put_end(out);
    if (codec_writer_end(&writer, NULL) != GAVEL_OK)
        record->status = GAVEL_E_LOCAL;
    run->settings = true;
}

/* One pair of the entry into the table; its row must be known here, and its value taken. */
static int32_t put_pair(struct apply *apply, struct gavel_slice key, struct gavel_slice value,
                        struct gavel_error *error)
{
    struct setting_scope scope = scope_of(apply);
    struct gavel_buffer text = codec_buffer(0);
    struct setting_row row;
    struct gavel_error why = {0};
    int32_t status = setting_find_row(&scope, key, &row, &why);

    if (status == GAVEL_OK && row.machine != SETTING_OF_SESSION &&
        !apply->machines[row.machine].operations->configure)
        status = gavel_fail(&why, GAVEL_E_INVALID, "the plugin of '%s' here, version %s, cannot change its options",
                            apply->machines[row.machine].name, apply->machines[row.machine].plugin->version);
    if (status == GAVEL_OK)
        status = setting_canonical(&row, value, &text, &why);
    gavel_buffer_free(&text);
    if (status == GAVEL_OK)
        status = settings_put(apply->settings, key, value, apply->index);
    if (status == GAVEL_E_LOCAL)
        return gavel_fail(error, GAVEL_E_LOCAL, "no memory for a setting");
    if (status != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_VERSION, "index %llu sets %.*s to \"%.*s\": %s; " APPLY_RECIPE,
                          (unsigned long long)apply->index, (int)key.size, (const char *)key.data, (int)value.size,
                          (const char *)value.data, why.text[0] ? why.text : "there are too many settings");
    return GAVEL_OK;
}

void apply_settings_entry(struct apply *apply, struct apply_run *run, struct bytes_cursor *cursor,
                          struct apply_record *record, struct gavel_error *error)
{
    uint64_t base = bytes_get64(cursor);
    uint32_t count = bytes_get32(cursor);
    int32_t status = GAVEL_OK;

    if (cursor->bad || count == 0 || count > SETTINGS_CHANGE_MAX) {
        stop(run, gavel_fail(&run->error, GAVEL_E_VERSION, "index %llu changes settings in a form that this version of "
                             "gaveld does not know", (unsigned long long)apply->index));
        return;
    }
    if (!meets(apply, base, record, error))
        return;
    for (uint32_t i = 0; i < count && status == GAVEL_OK; i++) {
        struct gavel_slice key = bytes_get_slice(cursor);
        struct gavel_slice value = bytes_get_slice(cursor);

        status = put_pair(apply, key, value, &run->error);
    }
    if (status == GAVEL_OK) {
        apply->settings->version = apply->index;
        status = apply_settings_take(apply, &run->error);
    }
    if (status != GAVEL_OK)
        stop(run, status);
    else
        tell_version(apply, run, record);
}

void apply_upgrade_entry(struct apply *apply, struct apply_run *run, struct bytes_cursor *cursor,
                         struct apply_record *record, struct gavel_error *error)
{
    uint64_t base = bytes_get64(cursor);
    uint32_t number = bytes_get32(cursor);
    struct setting_version next = {.version = bytes_get64(cursor), .index = apply->index};
    const struct node_machine *machine;
    int32_t status;

    if (cursor->bad || number == 0 || number > apply->machine_count) {
        stop(run, gavel_fail(&run->error, GAVEL_E_VERSION, "index %llu upgrades machine %u, which this node's "
                             "configuration does not have", (unsigned long long)apply->index, number));
        return;
    }
    if (!meets(apply, base, record, error))
        return;
    machine = &apply->machines[number - 1];
    if (next.version <= apply->settings->machines[number - 1].version) {
        record->status = gavel_fail(error, GAVEL_E_STATE, "[statemachine.%s] has state version %llu already; nothing "
                                    "was done", machine->name,
                                    (unsigned long long)apply->settings->machines[number - 1].version);
        return;
    }
    if (seeded_bug("upgrade-ignored") && strchr("13579", apply->node[strlen(apply->node) - 1]))
        return;
    /* The barrier: a plugin that does not know the new version goes not one entry further. */
    status = setting_fits(machine, next, &run->error);
    if (status == GAVEL_OK && machine->operations->act_as)
        status = machine_act_as(machine, next.version, &run->error);
    if (status != GAVEL_OK) {
        stop(run, status);
        return;
    }
    apply->settings->machines[number - 1] = next;
    apply->settings->version = apply->index;
    tell_version(apply, run, record);
}
