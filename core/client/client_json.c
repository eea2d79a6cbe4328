/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_json.c - documents as JSON text and back: the JSON serializer's own forms (gavel-json(7)), and indentation,
 * which is put between the tokens of its compact text.
 */
#include "client_core.h"

#include <stdlib.h>

static int32_t append_line(struct gavel_buffer *out, uint64_t depth)
{
    static const char blanks[] = "                                                                ";
    int32_t status = gavel_buffer_append(out, "\n", 1);

    /* Depth is bounded by the scan of the document, so the blanks are enough. */
    if (status == GAVEL_OK)
        status = gavel_buffer_append(out, blanks, 2 * depth < sizeof blanks - 1 ? 2 * depth : sizeof blanks - 1);
    return status;
}

/* The length of the string token that begins at `at`, its quotes included. */
static uint64_t string_size(const char *at, uint64_t left)
{
    uint64_t i = 1;

    while (i < left && at[i] != '"')
        i += at[i] == '\\' ? 2 : 1;
    return i < left ? i + 1 : left;
}

/* Copy well-formed compact JSON with line breaks and indentation. */
static int32_t indent(struct gavel_slice text, struct gavel_buffer *out)
{
    const char *at = text.data;
    uint64_t depth = 0;
    uint64_t i = 0;
    int32_t status = GAVEL_OK;

    while (status == GAVEL_OK && i < text.size) {
        char c = at[i];
        uint64_t size = c == '"' ? string_size(at + i, text.size - i) : 1;
        bool opens = c == '{' || c == '[';
        bool closes = c == '}' || c == ']';

        if (opens && i + 1 < text.size && (at[i + 1] == '}' || at[i + 1] == ']')) {
            status = gavel_buffer_append(out, at + i, 2); /* empty ones stay on their line */
            i += 2;
            continue;
        }
        if (c == ' ') { /* between tokens: the line breaks replace it */
            i++;
            continue;
        }
        if (closes)
            status = append_line(out, --depth);
        if (status == GAVEL_OK)
            status = gavel_buffer_append(out, at + i, size);
        if (status == GAVEL_OK && c == ':')
            status = gavel_buffer_append(out, " ", 1);
        if (status == GAVEL_OK && (opens || c == ','))
            status = append_line(out, opens ? ++depth : depth);
        i += size;
    }
    return status;
}

int32_t gavel_document_json(struct gavel_slice document, uint64_t flags, struct gavel_buffer *out,
                            struct gavel_error *error)
{
    struct gavel_limits limits = codec_limits(GAVEL_CLIENT_MESSAGE);
    struct gavel_buffer compact = codec_buffer(0);
    uint64_t before = out->size;
    int32_t status;

    if (document.size == 0) /* an empty result is nil */
        return gavel_buffer_append(out, "null", 4) == GAVEL_OK ? GAVEL_OK
                                                               : gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    status = codec_transcode(codec_msgpack(), NULL, document, &limits, gavel_plugin_json()->operations, NULL,
                             flags & GAVEL_JSON_PRETTY ? &compact : out, error);
    if (status == GAVEL_OK && (flags & GAVEL_JSON_PRETTY)) {
        status = indent(gavel_buffer_slice(&compact), out);
        if (status != GAVEL_OK)
            (void)gavel_fail(error, status, "no room for the JSON text");
    }
    gavel_buffer_free(&compact);
    if (status != GAVEL_OK)
        out->size = before;
    return status;
}

int32_t gavel_document_parse(struct gavel_slice json, struct gavel_buffer *out, struct gavel_error *error)
{
    struct gavel_limits limits = codec_limits(GAVEL_CLIENT_MESSAGE);
    uint64_t before = out->size;
    int32_t status = codec_transcode(gavel_plugin_json()->operations, NULL, json, &limits, codec_msgpack(), NULL, out,
                                     error);

    if (status != GAVEL_OK)
        out->size = before;
    return status;
}

char *gavel_result_json(const struct gavel_result *result)
{
    struct gavel_buffer text = codec_buffer(0);

    if (gavel_document_json(result->value, 0, &text, NULL) == GAVEL_OK &&
        gavel_buffer_append(&text, "", 1) == GAVEL_OK)
        return (char *)text.data;
    gavel_buffer_free(&text);
    return NULL;
}
