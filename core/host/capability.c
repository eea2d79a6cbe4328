/* SPDX-License-Identifier: Apache-2.0 */
/* capability.c - see capability.h. */
#include "core/host/capability.h"

#include <string.h>

#include "core/codec/value.h"

/* As the one form of `count` pairs; GAVEL_E_INVALID or GAVEL_E_TOO_LARGE with the reason. */
static int32_t check(const struct host_ini_entry *entry, unsigned count, struct gavel_error *error)
{
    struct gavel_buffer map = codec_buffer(0), set = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_writer *out = codec_writer_begin(&writer, &map);
    int32_t status;

    gavel_put_map(out, count);
    for (unsigned i = 0; i < count; i++) {
        gavel_put_key(out, entry[i].key);
        gavel_put_text(out, entry[i].value);
    }
    gavel_put_end(out);
    status = codec_writer_end(&writer, error);
    if (status == GAVEL_OK)
        status = codec_capabilities(gavel_buffer_slice(&map), &set, error);
    gavel_buffer_free(&map);
    gavel_buffer_free(&set);
    return status;
}

void host_capabilities_read(struct host_capabilities *capabilities, const char *file,
                            const struct host_ini_section *section, struct host_faults *faults)
{
    unsigned before = faults->count + faults->beyond;
    struct gavel_error error;

    capabilities->count = 0;
    for (unsigned i = 0; section && i < section->count; i++) {
        const struct host_ini_entry *entry = &section->entry[i];

        if (check(entry, 1, &error) != GAVEL_OK)
            host_fault(faults, "%s:%u: %s", file, entry->line, error.text);
        if (i < CAPABILITY_PAIRS_MAX)
            capabilities->pair[capabilities->count++] = (struct host_capability){entry->key, entry->value};
    }
    if (section && faults->count + faults->beyond == before &&
        check(section->entry, section->count, &error) != GAVEL_OK)
        host_fault(faults, "%s:%u: [%s]: %s", file, section->line, section->name, error.text);
}

static const char *value_of(const struct host_capabilities *capabilities, const char *name)
{
    for (unsigned i = 0; i < capabilities->count; i++)
        if (strcmp(capabilities->pair[i].name, name) == 0)
            return capabilities->pair[i].value;
    return NULL;
}

bool host_capabilities_same(const struct host_capabilities *a, const struct host_capabilities *b)
{
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++) {
        const char *other = value_of(b, a->pair[i].name);

        if (!other || strcmp(a->pair[i].value, other) != 0)
            return false;
    }
    return true;
}
