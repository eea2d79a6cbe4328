/* SPDX-License-Identifier: Apache-2.0 */
/* load_ask.c - the keys, and what a client asks next. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_internal.h"

#define SCAN_PPM 25000
#define GROUP_KEYS 3 /* a, b: registers; c: a counter */

/* ---- keys ---------------------------------------------------------------------------------------------- */

static uint32_t bounded(uint64_t wanted, uint64_t most)
{
    return (uint32_t)(wanted < 1 ? 1 : wanted > most ? most : wanted);
}

static void make_key(struct sim_load *load, enum load_class class, uint32_t number, uint32_t part)
{
    struct load_key *key = &load->keys[load->key_count++];

    if (class == LOAD_GROUP)
        (void)snprintf(key->name, sizeof key->name, "g%u.%c", number, (char)('a' + part));
    else
        (void)snprintf(key->name, sizeof key->name, "%c%u", (char)class, number);
    key->class = class;
    key->sums = class == LOAD_COUNTER || (class == LOAD_GROUP && part == 2);
    key->number = history_key(&load->history, key->name);
    assert(key->number == load->key_count - 1);
}

void load_make_keys(struct sim_load *load)
{
    uint64_t keys = load->sim->options.keys;

    load->registers = bounded(keys, 100000);
    load->counters = bounded(keys / 8, 64);
    load->groups = bounded(keys / 16, 32);
    load->flows = bounded(keys / 8, 32);
    load->keys = calloc(load->registers + load->counters + load->groups * GROUP_KEYS + load->flows,
                        sizeof load->keys[0]);
    assert(load->keys);
    for (uint32_t i = 0; i < load->registers; i++)
        make_key(load, LOAD_REGISTER, i, 0);
    for (uint32_t i = 0; i < load->counters; i++)
        make_key(load, LOAD_COUNTER, i, 0);
    for (uint32_t i = 0; i < load->groups; i++)
        for (uint32_t part = 0; part < GROUP_KEYS; part++)
            make_key(load, LOAD_GROUP, i, part);
    for (uint32_t i = 0; i < load->flows; i++)
        make_key(load, LOAD_FLOW, i, 0);
}

struct load_key *load_key_named(struct sim_load *load, struct gavel_slice name)
{
    char text[LOAD_NAME_BYTES];
    uint32_t number;
    uint32_t known = load->key_count;

    if (name.size == 0 || name.size >= sizeof text)
        return NULL;
    memcpy(text, name.data, name.size);
    text[name.size] = 0;
    number = history_key(&load->history, text);
    return number < known ? &load->keys[number] : NULL;
}

/* Some keys are asked for more often than others. */
static uint32_t skewed(struct sim_random *dice, uint32_t count)
{
    uint64_t most = sim_below(dice, count) + 1;

    return (uint32_t)sim_below(dice, most);
}

static struct load_key *pick(struct load_client *client, enum load_class class, uint32_t part)
{
    struct sim_load *load = client->load;
    struct load_key *key = load->keys;

    if (class == LOAD_REGISTER)
        return key + skewed(&client->dice, load->registers);
    key += load->registers;
    if (class == LOAD_COUNTER)
        return key + skewed(&client->dice, load->counters);
    key += load->counters;
    if (class == LOAD_GROUP)
        return key + skewed(&client->dice, load->groups) * GROUP_KEYS + part;
    return key + load->groups * GROUP_KEYS + skewed(&client->dice, load->flows);
}

/* ---- commands ------------------------------------------------------------------------------------------ */

static struct history_op *command(struct load_slot *slot, struct load_key *key, uint8_t kind)
{
    struct sim_load *load = slot->client->load;
    struct history_op *op = history_add(&load->history);

    slot->what = LOAD_COMMAND;
    slot->op = load->history.count - 1;
    slot->key = key;
    key->used = true;
    op->client = slot->client->number + 1;
    op->key = key->number;
    op->kind = kind;
    return op;
}

static uint64_t amount(struct sim_random *dice)
{
    uint64_t by = 1 + sim_below(dice, 9);

    return sim_chance(dice, 100000) ? (uint64_t)-(int64_t)by : by;
}

/* A get that need not be fresh: stale, at least as new as what is known, or of the past. */
static void choose_peek(struct load_slot *slot, struct load_key *key, bool past)
{
    struct sim_load *load = slot->client->load;
    struct sim_random *dice = &slot->client->dice;

    (void)command(slot, key, HISTORY_PEEK);
    if (past && load->highest) {
        uint64_t back = sim_below(dice, 300);

        slot->what = LOAD_PAST;
        slot->asked = load->highest > back ? load->highest - back : 1;
    } else if (sim_chance(dice, 300000)) {
        slot->min_index = load->highest;
    }
}

static void choose_register(struct load_slot *slot, struct load_key *key)
{
    struct load_client *client = slot->client;
    uint64_t drawn = sim_below(&client->dice, 100);
    struct history_op *op;

    if (drawn < 40) {
        (void)command(slot, key, HISTORY_GET);
        return;
    }
    if (drawn < 48) {
        choose_peek(slot, key, drawn >= 46);
        return;
    }
    if (drawn < 58 && key->value) {
        op = command(slot, key, HISTORY_CAS);
        op->expect = key->value;
    } else if (drawn < 66) {
        op = command(slot, key, HISTORY_CASREV);
        op->expect = key->value ? key->revision : 0;
    } else if (drawn < 72) {
        (void)command(slot, key, HISTORY_DELETE);
        return;
    } else {
        op = command(slot, key, HISTORY_SET);
    }
    op->value = ++client->load->values;
}

static void choose_counter(struct load_slot *slot, struct load_key *key)
{
    struct sim_random *dice = &slot->client->dice;
    uint64_t drawn = sim_below(dice, 100);

    if (drawn < 35)
        (void)command(slot, key, HISTORY_GET);
    else if (drawn < 40)
        choose_peek(slot, key, false);
    else
        command(slot, key, HISTORY_ADD)->value = amount(dice);
}

static void choose_batch(struct load_slot *slot)
{
    struct load_client *client = slot->client;
    struct load_key *key = pick(client, LOAD_GROUP, 0);
    struct history_op *op = command(slot, key, HISTORY_BATCH);
    uint32_t first = (uint32_t)sim_below(&client->dice, GROUP_KEYS);
    uint32_t count = 1 + (uint32_t)sim_below(&client->dice, GROUP_KEYS);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t part = (first + i) % GROUP_KEYS;
        struct history_item *item = history_add_item(&client->load->history, op);

        key[part].used = true;
        item->key = key[part].number;
        if (part == 2) {
            item->kind = HISTORY_ADD;
            item->value = amount(&client->dice);
        } else if (sim_chance(&client->dice, 150000)) {
            item->kind = HISTORY_DELETE;
        } else {
            item->kind = HISTORY_SET;
            item->value = ++client->load->values;
        }
    }
}

static void choose_group(struct load_slot *slot)
{
    struct load_client *client = slot->client;
    struct load_key *key = pick(client, LOAD_GROUP, (uint32_t)sim_below(&client->dice, GROUP_KEYS));
    uint64_t drawn = sim_below(&client->dice, 100);

    if (drawn < 50)
        choose_batch(slot);
    else if (drawn < 85)
        (void)command(slot, key, HISTORY_GET);
    else if (key->sums)
        command(slot, key, HISTORY_ADD)->value = amount(&client->dice);
    else
        command(slot, key, HISTORY_SET)->value = ++client->load->values;
}

static void choose_flow(struct load_slot *slot, struct load_key *key)
{
    struct load_client *client = slot->client;
    uint64_t drawn = sim_below(&client->dice, 100);

    if (drawn < 30)
        (void)command(slot, key, HISTORY_GET);
    else if (drawn < 35)
        choose_peek(slot, key, false);
    else if (drawn < 55)
        command(slot, key, HISTORY_START)->value = ++client->load->values;
    else if (drawn < 85)
        command(slot, key, HISTORY_UPDATE)->value = ++client->load->values;
    else
        (void)command(slot, key, HISTORY_STOP);
}

/* ---- sessions ------------------------------------------------------------------------------------------ */

/* The next sequence; now and then one is left out and used later. */
static uint64_t next_sequence(struct load_client *client)
{
    uint64_t spare = client->spare;

    if (spare && sim_chance(&client->dice, 300000)) {
        client->spare = 0;
        return spare;
    }
    if (!spare && sim_chance(&client->dice, 50000))
        client->spare = ++client->sequence;
    return ++client->sequence;
}

static void join_session(struct load_slot *slot)
{
    struct load_client *client = slot->client;
    uint8_t kind = client->load->history.ops[slot->op].kind;

    if (kind == HISTORY_GET || kind == HISTORY_PEEK)
        return;
    if (client->closed && sim_chance(&client->dice, 300000)) {
        slot->session = client->closed;
        slot->sequence = 1000000;
        slot->closed_session = true;
        client->closed = 0;
        return;
    }
    if (!client->session || sim_chance(&client->dice, 50000))
        return; /* without */
    slot->session = client->session;
    slot->sequence = next_sequence(client);
}

/* Something about the session itself; false: not now. */
static bool choose_session(struct load_slot *slot)
{
    struct load_client *client = slot->client;

    if (!client->session) {
        if (!client->likes_sessions || !sim_chance(&client->dice, 200000))
            return false;
        slot->what = LOAD_OPEN;
        return true;
    }
    if (!sim_chance(&client->dice, 4000))
        return false;
    slot->session = client->session;
    slot->what = sim_chance(&client->dice, 600000) ? LOAD_KEEP : LOAD_CLOSE;
    if (slot->what == LOAD_CLOSE) /* however that ends; what another slot asks from now on is not of this session */
        client->session = client->spare = client->sequence = 0;
    return true;
}

/* Of those that a range can hold. */
static struct load_key *some_key(struct load_client *client)
{
    uint64_t drawn = sim_below(&client->dice, 10);

    return pick(client, drawn < 7 ? LOAD_REGISTER : drawn < 8 ? LOAD_COUNTER : LOAD_GROUP,
                (uint32_t)sim_below(&client->dice, GROUP_KEYS));
}

bool load_choose(struct load_slot *slot)
{
    struct load_client *client = slot->client;
    uint64_t drawn = sim_below(&client->dice, 100);

    if (client->nap_until > client->sim->now)
        return false;
    /* Once in a while it sleeps so long that its session may expire. */
    if (sim_chance(&client->dice, 200))
        client->nap_until = client->sim->now +
                            sim_below(&client->dice, 2 * client->sim->options.session_ttl_ms + 1) * SIM_MS;
    if (choose_session(slot))
        return true;
    if (sim_chance(&client->dice, SCAN_PPM)) {
        load_choose_scan(slot, some_key(client), some_key(client));
        return true;
    }
    if (drawn < 70)
        choose_register(slot, pick(client, LOAD_REGISTER, 0));
    else if (drawn < 82)
        choose_counter(slot, pick(client, LOAD_COUNTER, 0));
    else if (drawn < 92)
        choose_group(slot);
    else
        choose_flow(slot, pick(client, LOAD_FLOW, 0));
    join_session(slot);
    return true;
}

bool load_choose_last(struct load_slot *slot)
{
    struct sim_load *load = slot->client->load;

    while (load->last_key < load->key_count && !load->keys[load->last_key].used)
        load->last_key++;
    if (load->last_key == load->key_count)
        return false;
    (void)command(slot, &load->keys[load->last_key++], HISTORY_GET);
    slot->last = true;
    return true;
}
