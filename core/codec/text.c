/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.c - documents as people read them in a terminal.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/codec/value.h"

struct text {
    struct gavel_buffer *out;
    uint32_t flags;
    int32_t status;
};

static void put(struct text *text, const void *bytes, uint64_t size)
{
    if (text->status == GAVEL_OK)
        text->status = gavel_buffer_append(text->out, bytes, size);
}

static void put_text(struct text *text, const char *chars)
{
    put(text, chars, strlen(chars));
}

/* A C1 control character: two bytes in UTF-8, and terminals obey it like an escape sequence. */
static int is_control(const unsigned char *at, const unsigned char *end)
{
    return *at < 0x20 || *at == 0x7f || (*at == 0xc2 && end - at > 1 && at[1] < 0xa0);
}

/* Strings with control characters escaped; quoted also escapes '"' and '\'. */
static void put_string(struct text *text, struct gavel_slice string, int quoted)
{
    const unsigned char *at = string.data;
    const unsigned char *end = at + string.size;
    char escape[8];

    if (quoted)
        put_text(text, "\"");
    for (; at < end; at++) {
        if (*at == '\n') {
            put_text(text, "\\n");
        } else if (*at == '\t') {
            put_text(text, "\\t");
        } else if (is_control(at, end)) {
            (void)snprintf(escape, sizeof escape, "\\u%04x", *at == 0xc2 ? at[1] : *at);
            put_text(text, escape);
            at += *at == 0xc2;
        } else {
            if (quoted && (*at == '"' || *at == '\\'))
                put_text(text, "\\");
            put(text, at, 1);
        }
    }
    if (quoted)
        put_text(text, "\"");
}

static int printable(struct gavel_slice bytes)
{
    const unsigned char *at = bytes.data;
    const unsigned char *end = at + bytes.size;

    if (!mp_utf8(bytes.data, bytes.size))
        return 0;
    for (; at < end; at++)
        if (is_control(at, end))
            return 0;
    return 1;
}

static void put_bytes(struct text *text, struct gavel_slice bytes, int quoted)
{
    const unsigned char *at = bytes.data;
    char pair[4];
    uint64_t i;

    if (printable(bytes)) {
        put_string(text, bytes, quoted);
        return;
    }
    put_text(text, "x'");
    for (i = 0; i < bytes.size; i++) {
        (void)snprintf(pair, sizeof pair, "%02x", at[i]);
        put(text, pair, 2);
    }
    put_text(text, "'");
}

static void put_scalar(struct text *text, const struct gavel_token *token, int quoted)
{
    char number[40];

    switch (token->type) {
    case GAVEL_TOKEN_BOOL:
        put_text(text, token->uint ? "true" : "false");
        return;
    case GAVEL_TOKEN_UINT:
        (void)snprintf(number, sizeof number, "%" PRIu64, token->uint);
        break;
    case GAVEL_TOKEN_INT:
        (void)snprintf(number, sizeof number, "%" PRId64, token->sint);
        break;
    case GAVEL_TOKEN_REAL:
        (void)snprintf(number, sizeof number, "%.15g", token->real);
        if (strtod(number, NULL) != token->real)
            (void)snprintf(number, sizeof number, "%.17g", token->real);
        break;
    case GAVEL_TOKEN_STRING:
        put_string(text, token->text, quoted);
        return;
    case GAVEL_TOKEN_BYTES:
        put_bytes(text, token->text, quoted);
        return;
    default:
        put_text(text, "null");
        return;
    }
    put_text(text, number);
}

static void break_line(struct text *text, uint64_t depth)
{
    uint64_t i;

    put_text(text, "\n");
    for (i = 0; i < depth; i++)
        put_text(text, "  ");
}

/* What goes between the opening bracket and an element, or between two. */
static void separate(struct text *text, uint64_t depth, int first)
{
    if (!first)
        put_text(text, ",");
    if (text->flags & CODEC_TEXT_PRETTY)
        break_line(text, depth);
    else if (!first)
        put_text(text, " ");
}

static void put_key(struct text *text, const struct gavel_token *token)
{
    char number[24];

    if (token->text.data) {
        put_string(text, token->text, 1);
    } else {
        (void)snprintf(number, sizeof number, "%" PRIu64, token->uint);
        put_text(text, number);
    }
    put_text(text, ": ");
}

int32_t codec_value_text(struct gavel_slice value, uint32_t flags, struct gavel_buffer *out)
{
    struct text text = {.out = out, .flags = flags};
    unsigned char map[MP_DEPTH_MAX];
    struct mp_reader memory;
    struct gavel_reader *reader;
    struct gavel_token token;
    uint64_t before = out->size;
    uint64_t depth = 0;
    int first = 1;
    int behind_key = 0;

    if (!value.data || value.size == 0)
        return gavel_buffer_append(out, "null", 4);
    reader = mp_reader_init(&memory, value);
    do {
        int32_t status = reader->ops->next(reader, &token, NULL);
        assert(status == GAVEL_OK);
        if (token.type == GAVEL_TOKEN_END) {
            depth--;
            if (!first && (flags & CODEC_TEXT_PRETTY))
                break_line(&text, depth);
            put_text(&text, map[depth] ? "}" : "]");
            first = 0;
            continue;
        }
        if (depth > 0 && !behind_key)
            separate(&text, depth, first);
        behind_key = token.type == GAVEL_TOKEN_KEY;
        first = token.type == GAVEL_TOKEN_MAP || token.type == GAVEL_TOKEN_ARRAY;
        if (behind_key) {
            put_key(&text, &token);
        } else if (first) {
            put_text(&text, token.type == GAVEL_TOKEN_MAP ? "{" : "[");
            map[depth++] = token.type == GAVEL_TOKEN_MAP;
        } else {
            put_scalar(&text, &token, depth > 0 || (flags & CODEC_TEXT_QUOTED));
        }
    } while (depth > 0 && text.status == GAVEL_OK);
    if (text.status != GAVEL_OK)
        out->size = before;
    return text.status;
}
