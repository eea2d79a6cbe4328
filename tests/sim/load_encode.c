/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_encode.c - requests as bytes, written straight from gavel-protocol(7) as a foreign client would: with numbers
 * for keys. It shares no code with the decoder that it meets.
 */
#include <assert.h>
#include <string.h>

#include "load_internal.h"

/* Keys of messages, by gavel-protocol(7). */
enum { TYPE = 1, ID = 2, MACHINE = 3, COMMAND = 4, ARGUMENTS = 6, SESSION = 7, SEQUENCE = 8, ACKED = 9, READ = 10,
       REMAINING = 11, MIN_INDEX = 15, NO_FORWARD = 16 };

/* ---- MessagePack --------------------------------------------------------------------------------------- */

static void put(struct load_bytes *out, const void *data, size_t size)
{
    assert(out->size + size <= sizeof out->data);
    memcpy(out->data + out->size, data, size);
    out->size += size;
}

static void put_byte(struct load_bytes *out, uint64_t byte)
{
    assert(out->size < sizeof out->data);
    out->data[out->size++] = (unsigned char)byte;
}

static void put_big(struct load_bytes *out, uint64_t number, int bytes)
{
    while (bytes--)
        put_byte(out, number >> (8 * bytes) & 255);
}

static void put_uint(struct load_bytes *out, uint64_t number)
{
    int bytes = number < 128 ? 0 : number < 1u << 8 ? 1 : number < 1u << 16 ? 2 : number < UINT64_C(1) << 32 ? 4 : 8;

    if (!bytes) {
        put_byte(out, number);
        return;
    }
    put_byte(out, bytes == 1 ? 0xcc : bytes == 2 ? 0xcd : bytes == 4 ? 0xce : 0xcf);
    put_big(out, number, bytes);
}

static void put_int(struct load_bytes *out, int64_t number)
{
    if (number >= 0) {
        put_uint(out, (uint64_t)number);
    } else if (number >= -32) {
        put_byte(out, (uint64_t)number & 255);
    } else {
        put_byte(out, 0xd3);
        put_big(out, (uint64_t)number, 8);
    }
}

static void put_map(struct load_bytes *out, uint64_t count)
{
    assert(count < 16);
    put_byte(out, 0x80 | count);
}

static void put_text(struct load_bytes *out, const char *text)
{
    size_t size = strlen(text);

    assert(size < 32);
    put_byte(out, 0xa0 | size);
    put(out, text, size);
}

static void put_pair(struct load_bytes *out, uint64_t key, uint64_t number)
{
    put_byte(out, key);
    put_uint(out, number);
}

/* ---- values -------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t value)
{
    struct sim_random random = {value};

    return sim_draw(&random);
}

/* How large a value is follows from its number, so that a condition can name it again. */
static size_t value_size(const struct sim_load *load, uint64_t value)
{
    uint64_t most = load->sim->options.value_bytes;

    assert(most <= LOAD_VALUE_BYTES - 64);
    return 8 + (size_t)(mix(value) % (most + 1));
}

/* The bytes behind the number: a stretch of one fixed page, so that writing and comparing is cheap. */
static const unsigned char *filler(uint64_t value)
{
    static unsigned char page[LOAD_VALUE_BYTES + 256];

    if (!page[0])
        for (size_t i = 0; i < sizeof page; i++)
            page[i] = (unsigned char)(mix(i) | 1);
    return page + (value & 255);
}

static void put_value(const struct sim_load *load, struct load_bytes *out, uint64_t value)
{
    size_t size = value_size(load, value);
    unsigned char number[8];

    put_byte(out, size < 256 ? 0xc4 : 0xc5);
    put_big(out, size, size < 256 ? 1 : 2);
    for (int i = 0; i < 8; i++)
        number[i] = (unsigned char)(value >> 8 * i);
    put(out, number, sizeof number);
    put(out, filler(value), size - sizeof number);
}

static void put_state(struct load_bytes *out, uint64_t value)
{
    put_map(out, 1);
    put_text(out, "v");
    put_uint(out, value);
}

uint64_t load_value(struct sim_load *load, const struct load_key *key, struct gavel_slice value)
{
    struct gavel_slice bytes;
    const unsigned char *at;
    uint64_t number = 0;
    int64_t sum;

    if (key->class == LOAD_FLOW) {
        if (codec_get_uint(codec_map_find(value, "v"), &number) != GAVEL_OK)
            sim_fail(load->sim, "value", "the state of workflow %s is not what anybody wrote", key->name);
        return number;
    }
    if (key->sums) {
        if (codec_get_int(value, &sum) != GAVEL_OK)
            sim_fail(load->sim, "value", "key %s is not a number, but only numbers were added to it", key->name);
        return (uint64_t)sum;
    }
    if (codec_get_bytes(value, &bytes) != GAVEL_OK || bytes.size < 8)
        sim_fail(load->sim, "value", "the value of key %s is not what anybody wrote", key->name);
    at = bytes.data;
    for (int i = 7; i >= 0; i--)
        number = number << 8 | at[i];
    if (number == 0 || number > load->values || bytes.size != value_size(load, number) ||
        memcmp(at + 8, filler(number), bytes.size - 8) != 0)
        sim_fail(load->sim, "value", "the value %llu of key %s is not as it was written", (unsigned long long)number,
                 key->name);
    return number;
}

/* ---- arguments ----------------------------------------------------------------------------------------- */

static const char *command_of(const struct load_slot *slot, const struct history_op *op)
{
    static const char *const names[HISTORY_KIND_COUNT] = {
        [HISTORY_GET] = "get",        [HISTORY_SET] = "set",          [HISTORY_DELETE] = "delete",
        [HISTORY_ADD] = "incr",       [HISTORY_CAS] = "cas",          [HISTORY_CASREV] = "cas",
        [HISTORY_START] = "start_workflow", [HISTORY_UPDATE] = "update_state", [HISTORY_STOP] = "stop_workflow",
        [HISTORY_BATCH] = "batch",    [HISTORY_PEEK] = "get"};

    if (slot->key && slot->key->class == LOAD_FLOW && (op->kind == HISTORY_GET || op->kind == HISTORY_PEEK))
        return "get_workflow";
    return names[op->kind];
}

static void put_items(const struct sim_load *load, const struct history_op *op, struct load_bytes *out)
{
    put_map(out, 1);
    put_byte(out, 1);
    put_byte(out, UINT64_C(0x90) | op->item_count);
    for (uint32_t i = 0; i < op->item_count; i++) {
        const struct history_item *item = &load->history.items[op->item_first + i];

        put_map(out, item->kind == HISTORY_DELETE ? 2 : 3);
        put_pair(out, 1, item->kind == HISTORY_SET ? 0 : item->kind == HISTORY_DELETE ? 1 : 3);
        put_byte(out, 2);
        put_text(out, load->history.keys[item->key]);
        if (item->kind == HISTORY_SET) {
            put_byte(out, 3);
            put_value(load, out, item->value);
        } else if (item->kind == HISTORY_ADD) {
            put_byte(out, 6);
            put_int(out, (int64_t)item->value);
        }
    }
}

static void put_arguments(const struct load_slot *slot, const struct history_op *op, struct load_bytes *out)
{
    const struct sim_load *load = slot->client->load;
    bool past = slot->what == LOAD_PAST;

    if (op->kind == HISTORY_BATCH) {
        put_items(load, op, out);
        return;
    }
    put_map(out, op->kind == HISTORY_CAS || op->kind == HISTORY_CASREV ? 3
                 : op->kind == HISTORY_DELETE || op->kind == HISTORY_STOP ? 1
                 : op->kind == HISTORY_ADD && op->value == 1              ? 1 /* 1 is the default: the leader adds it */
                 : op->kind == HISTORY_GET || op->kind == HISTORY_PEEK    ? 1 + past
                                                                          : 2);
    put_byte(out, 1);
    put_text(out, slot->key->name);
    if (op->kind == HISTORY_SET) {
        put_byte(out, 2);
        put_value(load, out, op->value);
    } else if (op->kind == HISTORY_CAS) {
        put_byte(out, 2);
        put_value(load, out, op->expect);
        put_byte(out, 4);
        put_value(load, out, op->value);
    } else if (op->kind == HISTORY_CASREV) {
        put_pair(out, 3, op->expect);
        put_byte(out, 4);
        put_value(load, out, op->value);
    } else if (op->kind == HISTORY_ADD) {
        if (op->value == 1)
            return;
        put_byte(out, 3);
        put_int(out, (int64_t)op->value);
    } else if (op->kind == HISTORY_START || op->kind == HISTORY_UPDATE) {
        put_byte(out, 2);
        put_state(out, op->value);
    } else if (past) {
        put_pair(out, 2, slot->asked);
    }
}

static void put_range(const struct load_slot *slot, struct load_bytes *out)
{
    put_map(out, UINT64_C(2) + (slot->to != NULL) + (slot->asked != 0));
    put_byte(out, 1);
    put_text(out, slot->key->name);
    if (slot->to) {
        put_byte(out, 2);
        put_text(out, slot->to->name);
    }
    put_pair(out, 4, slot->limit);
    if (slot->asked)
        put_pair(out, 5, slot->asked);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static const char *const host_commands[] = {
    [LOAD_OPEN] = "session_register", [LOAD_KEEP] = "session_keep", [LOAD_CLOSE] = "session_close"};

void load_encode(const struct load_slot *slot, uint64_t remaining_ms, bool no_forward, struct load_bytes *out)
{
    const struct sim_load *load = slot->client->load;
    const struct history_op *op = slot->op == LOAD_NO_OP ? NULL : &load->history.ops[slot->op];
    bool scan = slot->what == LOAD_SCAN;
    bool peek = scan ? slot->stale : op && op->kind == HISTORY_PEEK && slot->what != LOAD_PAST;

    out->size = 0;
    put_map(out, UINT64_C(4) + (slot->session != 0) + (slot->sequence ? 2 : 0) + peek + (remaining_ms != 0) +
                     (slot->min_index != 0) + no_forward);
    put_pair(out, TYPE, CODEC_REQUEST);
    put_pair(out, ID, slot->id);
    if (op) {
        put_byte(out, COMMAND);
        put_text(out, command_of(slot, op));
        put_byte(out, ARGUMENTS);
        put_arguments(slot, op, out);
    } else if (scan) {
        put_byte(out, COMMAND);
        put_text(out, "range");
        put_byte(out, ARGUMENTS);
        put_range(slot, out);
    } else {
        put_byte(out, MACHINE);
        put_text(out, "gavel");
        put_byte(out, COMMAND);
        put_text(out, host_commands[slot->what]);
    }
    if (slot->session)
        put_pair(out, SESSION, slot->session);
    if (slot->sequence) {
        put_pair(out, SEQUENCE, slot->sequence);
        put_pair(out, ACKED, load_acked(slot->client, slot->session));
    }
    if (peek)
        put_pair(out, READ, CODEC_READ_STALE);
    if (remaining_ms)
        put_pair(out, REMAINING, remaining_ms);
    if (slot->min_index)
        put_pair(out, MIN_INDEX, slot->min_index);
    if (no_forward) {
        put_byte(out, NO_FORWARD);
        put_byte(out, 0xc3);
    }
}

void load_encode_watch(uint64_t id, uint64_t index, uint64_t ordinal, uint64_t credit, struct load_bytes *out)
{
    out->size = 0;
    put_map(out, index ? 7 : 5);
    put_pair(out, TYPE, CODEC_STREAM_OPEN);
    put_pair(out, 2, id);
    put_byte(out, 3);
    put_text(out, "events");
    put_byte(out, 5);
    put_map(out, 1);
    put_text(out, "types");
    put_byte(out, 0x91);
    put_text(out, "state_changed");
    if (index) {
        put_pair(out, 6, index);
        put_pair(out, 7, ordinal);
    }
    put_pair(out, 8, credit);
}

void load_encode_credit(uint64_t id, uint64_t credit, struct load_bytes *out)
{
    out->size = 0;
    put_map(out, 3);
    put_pair(out, TYPE, CODEC_STREAM_CREDIT);
    put_pair(out, 2, id);
    put_pair(out, 3, credit);
}

void load_encode_close(uint64_t id, struct load_bytes *out)
{
    out->size = 0;
    put_map(out, 2);
    put_pair(out, TYPE, CODEC_STREAM_CLOSE);
    put_pair(out, 2, id);
}
