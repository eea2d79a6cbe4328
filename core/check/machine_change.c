/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_change.c - what the log may change about a machine while it runs: the options that belong to the cluster, and
 * the state version that it acts as. Both come at an index; every instance that passes it must go on alike, and so must
 * one that starts later and was only told what is in force.
 */
#define _GNU_SOURCE
#include "core/check/machine.h"

#include "core/check/drive.h"
#include "core/check/watch.h"
#include "core/host/option.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 300
#define EVERY 25       /* entries between two changes of the options */
#define TRIES 20       /* values that plugin->check does not like are drawn again */
#define VERSIONS_MAX 4 /* the newest that are tried */

/* `a` and `b` ran the same entry. */
static void same(const struct drive *a, const struct drive *b, const char *expected)
{
    const char *what = drive_differs(&a->last, &b->last);

    if (what)
        kit_broken_at(expected, "another %s", what);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

/* One value of a row in INI syntax; false for types that the kit cannot make up. */
static bool draw(const struct gavel_field *field, struct kit_random *random, char *text, size_t size)
{
    int64_t low = field->min, high = field->max;
    uint64_t count = 0;

    if (low == 0 && high == 0)
        high = 100000;
    switch (field->type) {
    case GAVEL_BOOL:
        (void)snprintf(text, size, "%s", kit_below(random, 2) ? "yes" : "no");
        return true;
    case GAVEL_CHOICE:
        while (field->choices && field->choices[count])
            count++;
        if (count)
            (void)snprintf(text, size, "%s", field->choices[kit_below(random, count)]);
        return count > 0;
    case GAVEL_UINT:
    case GAVEL_INT:
    case GAVEL_SIZE:
    case GAVEL_DURATION: {
        uint64_t range = (uint64_t)high - (uint64_t)low;
        uint64_t near = range < 40 ? range : 40; /* small ones bite more often than large ones */
        uint64_t up = kit_below(random, 4) ? kit_below(random, near + 1) : kit_next(random) % (range ? range : 1);

        (void)snprintf(text, size, "%" PRId64, (int64_t)((uint64_t)low + up));
        return true;
    }
    default:
        return false;
    }
}

/* Options as the host makes them for configure: defaults, and values of the cluster's for the replicated rows. */
struct variant {
    const char *text[64]; /* by row; NULL: as the section says */
};

static bool variant_draw(struct variant *variant, struct kit_random *random)
{
    const struct gavel_fields *table = kit.plugin->head.options;
    uint64_t drawn = 0;

    memset(variant, 0, sizeof *variant);
    for (uint64_t row = 0; table && row < table->count && row < 64; row++) {
        struct gavel_field field = host_field(table, row);
        char text[64];

        if (!(field.flags & GAVEL_REPLICATED) || !draw(&field, random, text, sizeof text))
            continue;
        variant->text[row] = host_arena_text(&kit.arena, text, strlen(text));
        drawn++;
    }
    return drawn > 0;
}

/* An object of its own for each instance; false when the table or plugin->check refuses the values. */
static bool variant_make(const struct variant *variant, struct drive *drive, unsigned char **object)
{
    const struct gavel_fields *table = kit.plugin->head.options;
    struct gavel_error error = {.code = 0};
    int32_t status = GAVEL_OK;

    *object = malloc(table->struct_size);
    assert(*object);
    memcpy(*object, kit.values, table->struct_size);
    for (uint64_t row = 0; row < table->count && status == GAVEL_OK; row++)
        if (row < 64 && variant->text[row])
            status = host_option_set(table, row, variant->text[row], *object, &kit.arena, &error);
    if (status == GAVEL_OK && kit.plugin->head.check) {
        kit_at("check of other options");
        watch_enter(WATCH_LOOP, false);
        status = kit.plugin->head.check(&drive->face.host, *object, &error);
        watch_leave();
    }
    if (status == GAVEL_OK)
        return true;
    free(*object);
    return false;
}

/* What an instance was configured with: it may look at that until the next call has returned. */
struct configured {
    unsigned char *object;
};

static void forget(struct configured *held, unsigned char with)
{
    if (held->object)
        memset(held->object, with, kit.plugin->head.options->struct_size);
    free(held->object);
    held->object = NULL;
}

static bool configure(struct drive *drive, const struct variant *variant, struct configured *held, unsigned char mark)
{
    struct gavel_error error = {.code = 0};
    unsigned char *object;
    int32_t status;

    if (!variant_make(variant, drive, &object))
        return false;
    kit_at("configure of \"%s\"", drive->face.instance);
    watch_enter(WATCH_APPLY, false);
    status = drive->machine->configure(drive->self, object, &error);
    watch_leave();
    if (status != GAVEL_OK)
        kit_broken("values that check has passed to be taken", "%s: %s", kit_status(status), error.text);
    forget(held, mark); /* who still looks at the old ones finds other values in each instance */
    held->object = object;
    return true;
}

/* Values that the plugin takes, in both instances. */
static bool change(struct drive *one, struct drive *other, struct configured *held, struct variant *variant,
                   struct kit_random *random)
{
    for (int i = 0; i < TRIES; i++) {
        if (!variant_draw(variant, random))
            return false;
        if (!configure(one, variant, &held[0], 0x11))
            continue;
        if (!configure(other, variant, &held[1], 0x22))
            kit_broken("check to like the same values twice", "a refusal");
        return true;
    }
    return false;
}

void machine_settings(void)
{
    struct kit_random random = kit_random("settings");
    struct configured held[3] = {{NULL}, {NULL}, {NULL}};
    struct drive one, other, late;
    struct variant variant;
    struct script script;
    bool beside = false;

    if (!kit.plugin->operations.statemachine.configure || !variant_draw(&variant, &random))
        return;
    face_begin();
    script_make(&script, "settings", ENTRIES);
    drive_open(&one, "one");
    drive_open(&other, "other");
    for (uint64_t i = 0; i < script.count; i++) {
        if (i % EVERY == EVERY - 1) {
            if (beside)
                drive_close(&late);
            if (!change(&one, &other, held, &variant, &random))
                kit_skip("no values of the replicated options that its check takes, in %d tries", TRIES);
            /* One that starts now is told what is in force, and restored. */
            drive_open(&late, "late");
            (void)configure(&late, &variant, &held[2], 0x33);
            kit_at("snapshot before entry %" PRIu64 ", restored by one that was told the options in force", i + 1);
            drive_copy(&one, &late);
            beside = true;
        }
        drive_run(&one, &script.entries[i], i + 1);
        drive_run(&other, &script.entries[i], i + 1);
        same(&one, &other, "two instances to agree after the same options came at the same index");
        if (!beside)
            continue;
        drive_run(&late, &script.entries[i], i + 1);
        same(&one, &late, "the same outcome from an instance that was told the options in force, and restored");
    }
    if (beside)
        drive_close(&late);
    drive_close(&other);
    drive_close(&one);
    for (int i = 0; i < 3; i++)
        forget(&held[i], 0x55);
    script_free(&script);
}

/* ---- state versions ---------------------------------------------------------------------------------------------- */

/* The barrier: from the next entry on it is `version`. */
static void pass_barrier(struct drive *drive, uint64_t version)
{
    drive_act_as(drive, version);
    drive_state(drive, &drive->last);
}

/* A cluster that was founded as `version` and goes to the next one in the middle of a script. */
static void upgrade(const struct script *script, uint64_t version)
{
    uint64_t quarter = script->count / 4, half = script->count / 2;
    struct drive one, other, late, fresh;
    struct gavel_error error;
    struct chunks old;

    drive_open_as(&one, "one", version);
    drive_open_as(&other, "other", version);
    drive_open_as(&late, "late", version);
    for (uint64_t i = 0; i < script->count; i++) {
        if (i == quarter) {
            kit_at("snapshot as state version %" PRIu64, version);
            drive_copy(&one, &other);
            if (drive_snapshot(&one, &old, &error) != GAVEL_OK)
                kit_broken("GAVEL_OK", "%s", error.text);
        }
        if (i == half) {
            pass_barrier(&one, version + 1);
            pass_barrier(&other, version + 1);
            kit_at("act_as of state version %" PRIu64 " at the barrier", version + 1);
            same(&one, &other, "two instances to be alike behind it");
        }
        drive_run(&one, &script->entries[i], i + 1);
        drive_run(&other, &script->entries[i], i + 1);
        same(&one, &other, "two instances to agree across an upgrade of the state version");
    }
    /* One that was away: a snapshot of the old version, then the same entries with the barrier between them. */
    kit_at("restore of a snapshot of state version %" PRIu64, version);
    if (drive_restore(&late, &old, &error) != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s", error.text);
    chunks_free(&old);
    for (uint64_t i = quarter; i < script->count; i++) {
        if (i == half)
            pass_barrier(&late, version + 1);
        drive_run(&late, &script->entries[i], i + 1);
    }
    kit_at("replay of a snapshot of state version %" PRIu64 " across the barrier", version);
    same(&one, &late, "the state of the others");
    /* One that starts as the founding version and gets a snapshot of the new one. */
    drive_open_as(&fresh, "fresh", version);
    kit_at("restore of a snapshot of state version %" PRIu64 " into one that acted as %" PRIu64, version + 1, version);
    drive_copy(&one, &fresh);
    for (uint64_t i = 0; i < script->count; i++) {
        struct entry entry = script->entries[i];

        entry.index += script->entries[script->count - 1].index;
        drive_run(&one, &entry, i + 1);
        drive_run(&fresh, &entry, i + 1);
        same(&one, &fresh, "the version of the snapshot to be in force behind restore_begin");
    }
    drive_close(&fresh);
    drive_close(&late);
    drive_close(&other);
    drive_close(&one);
}

void machine_versions(void)
{
    const struct gavel_statemachine *machine = &kit.plugin->operations.statemachine;
    uint64_t newest = machine->state_version, oldest = machine->state_version_oldest;
    struct script script;

    if (oldest == 0 || oldest >= newest)
        return;
    if (newest - oldest > VERSIONS_MAX)
        oldest = newest - VERSIONS_MAX;
    face_begin();
    script_make(&script, "versions", ENTRIES);
    for (uint64_t version = oldest; version < newest; version++)
        upgrade(&script, version);
    script_free(&script);
}
