/* SPDX-License-Identifier: Apache-2.0 */
/* settings.c - the table of replicated settings; see settings.h. What a key means: setting_row.c. */
#include "core/node/bytes.h"
#include "core/node/settings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <gavel/statemachine.h>

#define SETTINGS_MAGIC 0x53455447u

struct settings *settings_new(void)
{
    struct settings *settings = calloc(1, sizeof *settings);

    if (settings)
        settings->magic = SETTINGS_MAGIC;
    return settings;
}

static void clear(struct settings *settings)
{
    for (uint32_t i = 0; i < settings->count; i++) {
        free(settings->items[i].key);
        free(settings->items[i].value);
    }
    free(settings->items);
    settings->items = NULL;
    settings->count = 0;
    settings->capacity = 0;
}

struct settings *settings_free(struct settings *settings)
{
    if (!settings)
        return NULL;
    assert(settings->magic == SETTINGS_MAGIC);
    clear(settings);
    settings->magic = 0;
    free(settings);
    return NULL;
}

int32_t settings_copy(struct settings *to, const struct settings *from)
{
    struct settings made = {.magic = SETTINGS_MAGIC};

    assert(to->magic == SETTINGS_MAGIC);
    assert(from->magic == SETTINGS_MAGIC);
    for (uint32_t i = 0; i < from->count; i++) {
        const struct setting *item = &from->items[i];
        int32_t status = settings_put(&made, gavel_text(item->key), gavel_text(item->value), item->index);

        if (status != GAVEL_OK) {
            clear(&made);
            return status;
        }
    }
    made.version = from->version;
    made.machine_count = from->machine_count;
    memcpy(made.machines, from->machines, sizeof made.machines);
    clear(to);
    *to = made;
    return GAVEL_OK;
}

/* Position of the first key that is not before `key`. */
static uint32_t place_of(const struct settings *settings, struct gavel_slice key)
{
    uint32_t low = 0;
    uint32_t high = settings->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (gavel_slice_compare(gavel_text(settings->items[middle].key), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct setting *settings_find(const struct settings *settings, struct gavel_slice key)
{
    uint32_t place = place_of(settings, key);

    return place < settings->count && gavel_slice_equal(gavel_text(settings->items[place].key), key)
               ? &settings->items[place]
               : NULL;
}

static char *copy_text(struct gavel_slice text)
{
    char *copy = malloc(text.size + 1);

    if (!copy)
        return NULL;
    if (text.size)
        memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    return copy;
}

static bool grow(struct settings *settings)
{
    uint32_t wanted = settings->capacity ? settings->capacity * 2 : 16;
    struct setting *grown;

    if (settings->count < settings->capacity)
        return true;
    grown = realloc(settings->items, wanted * sizeof *grown);
    if (!grown)
        return false;
    settings->items = grown;
    settings->capacity = wanted;
    return true;
}

int32_t settings_put(struct settings *settings, struct gavel_slice key, struct gavel_slice value, uint64_t index)
{
    uint32_t place = place_of(settings, key);
    bool found = settings_find(settings, key) != NULL;
    char *text;

    if (key.size > SETTING_KEY_MAX || value.size > SETTING_VALUE_MAX || (!found && settings->count >= SETTINGS_MAX))
        return GAVEL_E_TOO_LARGE;
    if ((key.size && memchr(key.data, 0, key.size)) || (value.size && memchr(value.data, 0, value.size)))
        return GAVEL_E_TOO_LARGE;
    text = copy_text(value);
    if (!text)
        return GAVEL_E_LOCAL;
    if (!found) {
        char *name = grow(settings) ? copy_text(key) : NULL;

        if (!name) {
            free(text);
            return GAVEL_E_LOCAL;
        }
        memmove(settings->items + place + 1, settings->items + place,
                (settings->count - place) * sizeof *settings->items);
        settings->items[place] = (struct setting){.key = name};
        settings->count++;
    }
    free(settings->items[place].value);
    settings->items[place].value = text;
    settings->items[place].index = index;
    return GAVEL_OK;
}

/* ---- digest and snapshot ---------------------------------------------------------------------------------------- */

void settings_digest(const struct settings *settings, uint64_t sum[2])
{
    uint64_t numbers[3] = {settings->version, 0, 0};

    if (settings->version == 0)
        return; /* as a gaveld that knew of no changes has it: it may be a member beside this one */
    gavel_digest_add(sum, gavel_text("settings"), gavel_bytes(numbers, sizeof numbers));
    for (uint32_t i = 0; i < settings->count; i++)
        if (settings->items[i].index)
            gavel_digest_add(sum, gavel_text(settings->items[i].key), gavel_text(settings->items[i].value));
    for (uint32_t i = 0; i < settings->machine_count; i++) {
        numbers[0] = i;
        numbers[1] = settings->machines[i].version;
        numbers[2] = settings->machines[i].index;
        gavel_digest_add(sum, gavel_text("state_version"), gavel_bytes(numbers, sizeof numbers));
    }
}

int32_t settings_save(const struct settings *settings, struct gavel_buffer *out)
{
    uint32_t changed = 0;
    int32_t status = 0;

    for (uint32_t i = 0; i < settings->count; i++)
        changed += settings->items[i].index != 0;
    bytes_put64(out, &status, settings->version);
    bytes_put32(out, &status, settings->machine_count);
    for (uint32_t i = 0; i < settings->machine_count; i++)
        bytes_put64(out, &status, settings->machines[i].index);
    bytes_put32(out, &status, changed);
    for (uint32_t i = 0; i < settings->count; i++) {
        if (!settings->items[i].index)
            continue;
        bytes_put64(out, &status, settings->items[i].index);
        bytes_put_slice(out, &status, gavel_text(settings->items[i].key));
        bytes_put_slice(out, &status, gavel_text(settings->items[i].value));
    }
    return status;
}

int32_t settings_load(struct settings *settings, struct bytes_cursor *cursor, struct gavel_error *error)
{
    uint32_t machines, changed;

    settings->version = bytes_get64(cursor);
    machines = bytes_get32(cursor);
    if (cursor->bad || machines > settings->machine_count)
        return gavel_fail(error, GAVEL_E_CORRUPT, "snapshot: its settings are cut short");
    for (uint32_t i = 0; i < machines; i++)
        settings->machines[i].index = bytes_get64(cursor);
    changed = bytes_get32(cursor);
    for (uint32_t i = 0; i < changed && !cursor->bad; i++) {
        uint64_t index = bytes_get64(cursor);
        struct gavel_slice key = bytes_get_slice(cursor);
        struct gavel_slice value = bytes_get_slice(cursor);
        int32_t status = cursor->bad || !index || index > settings->version ? GAVEL_E_CORRUPT
                                                                            : settings_put(settings, key, value, index);

        if (status == GAVEL_E_LOCAL)
            return gavel_fail(error, GAVEL_E_LOCAL, "no memory for the settings of a snapshot");
        if (status != GAVEL_OK)
            return gavel_fail(error, GAVEL_E_CORRUPT, "snapshot: setting %u cannot be read", i + 1);
    }
    return cursor->bad ? gavel_fail(error, GAVEL_E_CORRUPT, "snapshot: its settings are cut short") : GAVEL_OK;
}
