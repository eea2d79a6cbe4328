/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mp_reader.c - the pull reader over scanned MessagePack. The scan has seen every byte, so what would be an error
 * here is a bug of ours and asserted.
 */
#include <assert.h>

#include "mp_head.h"

static struct mp_reader *own(struct gavel_reader *reader)
{
    return (struct mp_reader *)(void *)reader;
}

/* Take note that one key or value of the innermost map or array was read. */
static void step(struct mp_reader *reader)
{
    if (reader->depth > 0)
        reader->level[reader->depth - 1].left--;
    else
        reader->finished = 1;
}

static void push(struct mp_reader *reader, const struct mp_head *head)
{
    assert(reader->depth < MP_DEPTH_MAX);
    reader->level[reader->depth].left = (uint32_t)mp_head_values(head);
    reader->level[reader->depth].map = head->type == GAVEL_TOKEN_MAP;
    reader->depth++;
}

static int at_key(const struct mp_reader *reader)
{
    return reader->depth > 0 && reader->level[reader->depth - 1].map && reader->level[reader->depth - 1].left % 2 == 0;
}

static void read_key(struct mp_reader *reader, const struct mp_head *head, struct gavel_token *token)
{
    token->type = GAVEL_TOKEN_KEY;
    if (head->type == GAVEL_TOKEN_STRING) {
        token->text = gavel_bytes(reader->at + head->bytes, head->count);
        token->uint = 0;
    } else {
        assert(head->type == GAVEL_TOKEN_UINT);
        token->text = gavel_bytes(NULL, 0);
        token->uint = head->uint;
    }
}

static int32_t next(struct gavel_reader *generic, struct gavel_token *token, struct gavel_error *error)
{
    struct mp_reader *reader = own(generic);
    struct mp_head head;
    int outcome;
    int key;

    if (reader->depth > 0 && reader->level[reader->depth - 1].left == 0) {
        reader->depth--;
        token->type = GAVEL_TOKEN_END;
        return GAVEL_OK;
    }
    if (reader->depth == 0 && reader->finished) {
        if (reader->finished == 2)
            return gavel_fail(error, GAVEL_E_INVALID, "read beyond the end of the input");
        reader->finished = 2;
        token->type = GAVEL_TOKEN_FINISH;
        return GAVEL_OK;
    }
    outcome = mp_head_read(reader->at, (uint64_t)(reader->end - reader->at), &head);
    assert(outcome == 0);
    key = at_key(reader);
    step(reader);
    if (key) {
        read_key(reader, &head, token);
    } else {
        token->type = head.type;
        token->count = head.count;
        if (head.type == GAVEL_TOKEN_UINT || head.type == GAVEL_TOKEN_BOOL)
            token->uint = head.uint;
        else if (head.type == GAVEL_TOKEN_INT)
            token->sint = head.sint;
        else if (head.type == GAVEL_TOKEN_REAL)
            token->real = head.real;
        else if (head.type == GAVEL_TOKEN_STRING || head.type == GAVEL_TOKEN_BYTES)
            token->text = gavel_bytes(reader->at + head.bytes, head.count);
        else if (head.type == GAVEL_TOKEN_MAP || head.type == GAVEL_TOKEN_ARRAY)
            push(reader, &head);
    }
    reader->at += head.bytes + mp_head_body(&head);
    assert(reader->at <= reader->end);
    return GAVEL_OK;
}

static int32_t whole(struct gavel_reader *generic, struct gavel_slice *value, struct gavel_error *error)
{
    struct mp_reader *reader = own(generic);
    uint64_t size;

    if (at_key(reader) || (reader->depth == 0 && reader->finished) ||
        (reader->depth > 0 && reader->level[reader->depth - 1].left == 0))
        return gavel_fail(error, GAVEL_E_INVALID, "no value begins here");
    size = mp_value_size(reader->at, (uint64_t)(reader->end - reader->at));
    *value = gavel_bytes(reader->at, size);
    step(reader);
    reader->at += size;
    return GAVEL_OK;
}

static const struct gavel_reader_ops reader_ops = {
    .size = GAVEL_END(struct gavel_reader_ops, msgpack),
    .next = next,
    .msgpack = whole,
};

struct gavel_reader *mp_reader_init(struct mp_reader *reader, struct gavel_slice scanned)
{
    reader->head.ops = &reader_ops;
    reader->at = scanned.data;
    reader->end = reader->at + scanned.size;
    reader->depth = 0;
    reader->finished = 0;
    return &reader->head;
}
