/* SPDX-License-Identifier: Apache-2.0 */
/*
 * framing.c - length-prefixed messages in a run of bytes: the decoder copies only what crosses the end of its input.
 */
#include "framing.h"

#include <assert.h>

#define CONTROL_BIT 0x80000000u
#define CONTROL_LENGTH 0x00ffffffu

/* Reading straight into the message's own buffer pays only when at least this much is missing. */
#define ROOM_MIN 16384u

/* Memory grows with what has arrived, never with what was announced: this much ahead at the least. */
#define GROW_MIN 65536u

const unsigned char framing_preamble[FRAMING_PREAMBLE] = {'g', 'a', 'v', 'e', 'l', FRAMING_VERSION, '\r', '\n'};

void framing_in_init(struct framing_in *in, const struct gavel_heap *heap, uint64_t limit)
{
    assert(heap);
    assert(limit <= FRAMING_LENGTH_MAX);
    memset(in, 0, sizeof *in);
    in->partial.heap = heap;
    in->limit = limit;
}

void framing_in_free(struct framing_in *in)
{
    gavel_buffer_free(&in->partial);
    in->given = false;
}

void framing_in_trim(struct framing_in *in)
{
    if (in->given) {
        in->partial.size = 0;
        in->given = false;
    }
    if (in->partial.size == 0 && in->partial.capacity > FRAMING_KEEP)
        gavel_buffer_free(&in->partial);
}

bool framing_in_border(const struct framing_in *in)
{
    return in->given || in->partial.size == 0;
}

/* Bytes of the whole item, header included, or a negative code. */
static int64_t item_size(const struct framing_in *in, uint32_t word, struct gavel_slice *item)
{
    uint32_t length = word & CONTROL_BIT ? word & CONTROL_LENGTH : word;

    if (word & CONTROL_BIT)
        return length > FRAMING_CONTROL_MAX ? GAVEL_E_CORRUPT : (int64_t)FRAMING_HEADER + length;
    if (length > in->limit) {
        *item = gavel_bytes(NULL, length);
        return GAVEL_E_TOO_LARGE;
    }
    return (int64_t)FRAMING_HEADER + length;
}

static int32_t give(const unsigned char *at, int64_t size, struct gavel_slice *item, uint32_t *kind)
{
    uint32_t word = framing_get32(at);

    *item = gavel_bytes(at + FRAMING_HEADER, (uint64_t)size - FRAMING_HEADER);
    if (!(word & CONTROL_BIT))
        return FRAMING_MESSAGE;
    *kind = word >> 24 & 0x7f;
    return FRAMING_CONTROL;
}

/* Move up to `size` bytes from the input behind what is kept. */
static int32_t keep(struct framing_in *in, struct gavel_slice *input, uint64_t size)
{
    uint64_t take = size < input->size ? size : input->size;
    int32_t status = gavel_buffer_append(&in->partial, input->data, take);

    if (status != GAVEL_OK)
        return GAVEL_E_NO_MEMORY;
    input->data = (const unsigned char *)input->data + take;
    input->size -= take;
    return GAVEL_OK;
}

/* Something is kept from earlier input: complete it first. */
static int32_t next_kept(struct framing_in *in, struct gavel_slice *input, struct gavel_slice *item, uint32_t *kind)
{
    int64_t size;

    if (in->partial.size < FRAMING_HEADER && keep(in, input, FRAMING_HEADER - in->partial.size) != GAVEL_OK)
        return GAVEL_E_NO_MEMORY;
    if (in->partial.size < FRAMING_HEADER)
        return FRAMING_MORE;
    size = item_size(in, framing_get32(in->partial.data), item);
    if (size < 0)
        return (int32_t)size;
    if (in->partial.size < (uint64_t)size && keep(in, input, (uint64_t)size - in->partial.size) != GAVEL_OK)
        return GAVEL_E_NO_MEMORY;
    if (in->partial.size < (uint64_t)size)
        return FRAMING_MORE;
    in->given = true;
    return give(in->partial.data, size, item, kind);
}

int32_t framing_next(struct framing_in *in, struct gavel_slice *input, struct gavel_slice *item, uint32_t *kind)
{
    const unsigned char *at = input->data;
    int64_t size;

    if (in->given) {
        in->partial.size = 0;
        in->given = false;
        if (in->partial.capacity > FRAMING_LARGE)
            gavel_buffer_free(&in->partial);
    }
    if (in->partial.size)
        return next_kept(in, input, item, kind);
    if (input->size < FRAMING_HEADER)
        return keep(in, input, input->size) == GAVEL_OK ? FRAMING_MORE : GAVEL_E_NO_MEMORY;
    size = item_size(in, framing_get32(at), item);
    if (size < 0)
        return (int32_t)size;
    if (input->size < (uint64_t)size)
        return keep(in, input, input->size) == GAVEL_OK ? FRAMING_MORE : GAVEL_E_NO_MEMORY;
    input->data = at + size;
    input->size -= (uint64_t)size;
    return give(at, size, item, kind);
}

unsigned char *framing_room(struct framing_in *in, uint64_t *size)
{
    struct gavel_slice item;
    uint64_t missing;
    uint64_t ahead;
    int64_t whole;

    if (in->given || in->partial.size < FRAMING_HEADER)
        return NULL;
    whole = item_size(in, framing_get32(in->partial.data), &item);
    if (whole < 0 || (uint64_t)whole - in->partial.size < ROOM_MIN)
        return NULL;
    missing = (uint64_t)whole - in->partial.size;
    ahead = in->partial.size > GROW_MIN ? in->partial.size : GROW_MIN;
    *size = missing < ahead ? missing : ahead;
    if (gavel_buffer_reserve(&in->partial, *size) != GAVEL_OK)
        return NULL;
    return in->partial.data + in->partial.size;
}

void framing_filled(struct framing_in *in, uint64_t size)
{
    assert(!in->given);
    assert(size <= in->partial.capacity - in->partial.size);
    in->partial.size += size;
}

int32_t framing_put(struct gavel_buffer *run, const struct gavel_slice *parts, uint64_t count, uint64_t limit)
{
    unsigned char *at;
    uint64_t size = 0;
    uint64_t i;

    assert(limit <= FRAMING_LENGTH_MAX);
    for (i = 0; i < count; i++) {
        if (parts[i].size > limit - size)
            return GAVEL_E_TOO_LARGE;
        size += parts[i].size;
    }
    if (gavel_buffer_reserve(run, FRAMING_HEADER + size) != GAVEL_OK)
        return GAVEL_E_NO_MEMORY;
    at = run->data + run->size;
    framing_put32(at, (uint32_t)size);
    at += FRAMING_HEADER;
    for (i = 0; i < count; i++) {
        if (parts[i].size)
            memcpy(at, parts[i].data, (size_t)parts[i].size);
        at += parts[i].size;
    }
    run->size += FRAMING_HEADER + size;
    return GAVEL_OK;
}

int32_t framing_put_control(struct gavel_buffer *run, uint32_t kind, const void *payload, uint64_t size)
{
    uint64_t length = size < FRAMING_CONTROL_MAX ? size : FRAMING_CONTROL_MAX;

    assert(kind <= 0x7f);
    if (gavel_buffer_reserve(run, FRAMING_HEADER + length) != GAVEL_OK)
        return GAVEL_E_NO_MEMORY;
    framing_put32(run->data + run->size, CONTROL_BIT | kind << 24 | (uint32_t)length);
    if (length)
        memcpy(run->data + run->size + FRAMING_HEADER, payload, (size_t)length);
    run->size += FRAMING_HEADER + length;
    return GAVEL_OK;
}

int32_t framing_greet(const unsigned char *data, uint64_t size)
{
    uint64_t i;
    bool version = true;

    assert(size <= FRAMING_PREAMBLE);
    for (i = 0; i < size; i++) {
        if (data[i] == framing_preamble[i])
            continue;
        if (i != 5)
            return GAVEL_E_CORRUPT;
        version = false;
    }
    if (size < FRAMING_PREAMBLE)
        return FRAMING_MORE;
    return version ? FRAMING_MESSAGE : GAVEL_E_VERSION;
}
