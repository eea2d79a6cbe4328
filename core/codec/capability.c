/* SPDX-License-Identifier: Apache-2.0 */
/* capability.c - sets of capabilities in their one form; see capability.h. */
#include "core/codec/capability.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "core/codec/value.h"

struct pair {
    struct gavel_slice name;
    struct gavel_slice value; /* into `text`, when it was no string */
    char text[32];
};

static bool is_name(struct gavel_slice name)
{
    const char *text = name.data;

    for (uint64_t i = 0; i < name.size; i++)
        if (!isalnum((unsigned char)text[i]) && !memchr("._-/", text[i], 4))
            return false;
    return name.size > 0 && name.size <= CAPABILITY_NAME_MAX;
}

/* Control characters would drive the terminal of whoever lists them, and break lines of INI files. */
static bool is_value(struct gavel_slice value)
{
    const char *text = value.data;

    for (uint64_t i = 0; i < value.size; i++)
        if (iscntrl((unsigned char)text[i]))
            return false;
    return value.size <= CAPABILITY_VALUE_MAX;
}

static bool read_value(struct pair *pair, struct gavel_slice value)
{
    struct gavel_buffer out = codec_buffer_fixed(pair->text, sizeof pair->text);

    switch (codec_value_type(value)) {
    case GAVEL_TOKEN_STRING: return codec_get_string(value, &pair->value) == GAVEL_OK;
    case GAVEL_TOKEN_BOOL:
    case GAVEL_TOKEN_UINT:
    case GAVEL_TOKEN_INT:
    case GAVEL_TOKEN_REAL:
        if (codec_value_text(value, 0, &out) != GAVEL_OK)
            return false;
        pair->value = gavel_buffer_slice(&out);
        return true;
    default: return false;
    }
}

static int32_t read_pair(struct pair *pair, struct gavel_slice key, struct gavel_slice value, struct gavel_error *error)
{
    int shown;

    if (codec_get_string(key, &pair->name) != GAVEL_OK || !is_name(pair->name))
        return gavel_fail(error, GAVEL_E_INVALID,
                          "the name of a capability has 1 to %d of A-Z, a-z, 0-9, '.', '_', '-' and '/'",
                          CAPABILITY_NAME_MAX);
    shown = (int)pair->name.size;
    if (!read_value(pair, value))
        return gavel_fail(error, GAVEL_E_INVALID, "the capability %.*s has to be a string, a number or a boolean",
                          shown, (const char *)pair->name.data);
    if (!is_value(pair->value))
        return gavel_fail(error, pair->value.size > CAPABILITY_VALUE_MAX ? GAVEL_E_TOO_LARGE : GAVEL_E_INVALID,
                          "the value of the capability %.*s has to be at most %d bytes, without control characters",
                          shown, (const char *)pair->name.data, CAPABILITY_VALUE_MAX);
    return GAVEL_OK;
}

/* Into its place among those before it; GAVEL_E_INVALID: one of them has its name. */
static int32_t insert(struct pair **sorted, uint32_t count, struct pair *pair, struct gavel_error *error)
{
    uint32_t at = count;

    while (at > 0 && gavel_slice_compare(sorted[at - 1]->name, pair->name) > 0) {
        sorted[at] = sorted[at - 1];
        at--;
    }
    sorted[at] = pair;
    if (at > 0 && gavel_slice_compare(sorted[at - 1]->name, pair->name) == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "the capability %.*s is given twice", (int)pair->name.size,
                          (const char *)pair->name.data);
    return GAVEL_OK;
}

static int32_t write_set(struct pair **sorted, uint32_t count, struct gavel_buffer *out, struct gavel_error *error)
{
    uint64_t mark = out->size;
    struct codec_writer writer;
    struct gavel_writer *to = codec_writer_begin(&writer, out);
    int32_t status;

    gavel_put_map(to, count);
    for (uint32_t i = 0; i < count; i++) {
        to->ops->key(to, sorted[i]->name, 0);
        gavel_put_string(to, sorted[i]->value);
    }
    gavel_put_end(to);
    status = codec_writer_end(&writer, error);
    if (status != GAVEL_OK)
        return status;
    if (out->size - mark > CAPABILITY_SET_MAX)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "the capabilities of one node have at most %d bytes, not %llu",
                          CAPABILITY_SET_MAX, (unsigned long long)(out->size - mark));
    return GAVEL_OK;
}

int32_t codec_capabilities(struct gavel_slice map, struct gavel_buffer *out, struct gavel_error *error)
{
    struct pair pairs[CAPABILITY_PAIRS_MAX];
    struct pair *sorted[CAPABILITY_PAIRS_MAX];
    struct codec_walk walk;
    struct gavel_slice key, value;
    uint32_t count = 0;
    int32_t status = GAVEL_OK;

    if (codec_value_type(map) != GAVEL_TOKEN_MAP)
        return gavel_fail(error, GAVEL_E_INVALID, "capabilities are a map of names and values");
    if (codec_value_count(map) > CAPABILITY_PAIRS_MAX)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "a node has at most %d capabilities, not %llu",
                          CAPABILITY_PAIRS_MAX, (unsigned long long)codec_value_count(map));
    codec_walk_begin(&walk, map);
    while (status == GAVEL_OK && codec_walk_next(&walk, &key, &value)) {
        status = read_pair(&pairs[count], key, value, error);
        if (status == GAVEL_OK)
            status = insert(sorted, count, &pairs[count], error);
        count++;
    }
    return status == GAVEL_OK ? write_set(sorted, count, out, error) : status;
}

int codec_capabilities_valid(struct gavel_slice set)
{
    struct gavel_limits limits = codec_limits(CAPABILITY_SET_MAX);
    unsigned char form[CAPABILITY_SET_MAX];
    struct gavel_buffer out = codec_buffer_fixed(form, sizeof form);

    return codec_value_check(set, &limits, NULL) == GAVEL_OK && codec_capabilities(set, &out, NULL) == GAVEL_OK &&
           gavel_slice_equal(gavel_buffer_slice(&out), set);
}
