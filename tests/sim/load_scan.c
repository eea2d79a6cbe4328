/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_scan.c - reads of a range of keys. What a page says of each key, and that it says nothing of those that lie
 * between, is one more read in the history: invoked and returned with the page, and all of them at its one index. So
 * the checks of single reads see whether all of a page was true at one moment, within the time that it took.
 */
#include <string.h>

#include "load_internal.h"

#define LIMIT_MAX 8     /* keys of a page */
#define STALE_PPM 200000
#define PAST_PPM 200000
#define BACK_MAX 300    /* revisions */

void load_choose_scan(struct load_slot *slot, struct load_key *first, struct load_key *second)
{
    struct sim_load *load = slot->client->load;
    struct sim_random *dice = &slot->client->dice;
    int order = strcmp(first->name, second->name);

    slot->what = LOAD_SCAN;
    slot->key = order < 0 ? first : second;
    slot->to = order && (sim_draw(dice) & 1) ? (order < 0 ? second : first) : NULL;
    slot->limit = 1 + (uint32_t)sim_below(dice, LIMIT_MAX);
    if (sim_chance(dice, PAST_PPM) && load->highest) {
        uint64_t back = sim_below(dice, BACK_MAX);

        slot->asked = load->highest > back ? load->highest - back : 1;
    } else if (sim_chance(dice, STALE_PPM)) {
        slot->stale = true;
        if (sim_chance(dice, 300000))
            slot->min_index = load->highest;
    }
}

/* What every read of the page has in common. */
static struct history_op *one_read(struct load_slot *slot, const struct load_key *key, uint64_t index)
{
    struct sim_load *load = slot->client->load;
    struct history_op *op = history_add(&load->history);

    op->client = slot->client->number + 1;
    op->key = key->number;
    op->kind = slot->stale || slot->asked ? HISTORY_PEEK : HISTORY_GET;
    op->invoked = slot->invoked;
    op->returned = load->clock;
    op->index = index;
    return op;
}

static void odd(const struct load_slot *slot, const char *what)
{
    sim_fail(slot->client->sim, "answer", "%s asked for %u keys from %s to %s, and was answered %s",
             slot->client->name, slot->limit, slot->key->name, slot->to ? slot->to->name : "the end", what);
}

/* The item's key: one of ours, and in its order. */
static struct load_key *key_of(const struct load_slot *slot, const struct load_said *said, const char *before)
{
    struct load_key *key = load_key_named(slot->client->load, said->key);

    if (!key || strcmp(key->name, slot->key->name) < 0 || (slot->to && strcmp(key->name, slot->to->name) >= 0))
        odd(slot, "with another one");
    if (strcmp(key->name, before) <= 0)
        odd(slot, "out of order");
    return key;
}

/* Whether the page covers the key: from the first asked for to `last`, or to the end of what was asked for. */
static bool covers(const struct load_slot *slot, const char *name, struct gavel_slice last)
{
    struct gavel_slice key = gavel_text(name);

    return strcmp(name, slot->key->name) >= 0 && (!slot->to || strcmp(name, slot->to->name) < 0) &&
           (!last.data || gavel_slice_compare(key, last) <= 0);
}

/* Keys that were written, perhaps, and that the page passes over. */
static void note_absent(struct load_slot *slot, const struct load_said *page, const struct load_key *const *told,
                        uint64_t count, uint64_t index)
{
    struct sim_load *load = slot->client->load;

    for (uint32_t i = 0; i < load->key_count; i++) {
        const struct load_key *key = &load->keys[i];
        bool is_told = false;

        if (!key->used || key->class == LOAD_FLOW || !covers(slot, key->name, page->after))
            continue;
        for (uint64_t k = 0; k < count && !is_told; k++)
            is_told = told[k] == key;
        if (!is_told)
            one_read(slot, key, index)->outcome = HISTORY_ABSENT;
    }
}

void load_note_scan(struct load_slot *slot, enum load_verdict verdict, const struct codec_reply *reply)
{
    struct sim_load *load = slot->client->load;
    const struct load_key *told[LIMIT_MAX];
    const char *before = "";
    struct load_said page;
    uint64_t index;
    uint64_t count;

    load_count(&load->sim->totals, true, verdict, reply);
    if (verdict != LOAD_DONE)
        return;
    load->sim->totals.scans++;
    load->clock++;
    load_listen(reply->result, &page);
    if (slot->stale)
        load_check_stale(slot, reply);
    load_raise_floor(slot, reply);
    index = slot->asked ? slot->asked : reply->index;
    count = codec_value_count(page.items);
    if (page.revision != index)
        odd(slot, "as of another revision than it was served at");
    if (count > slot->limit || (page.after.data && count < slot->limit && !count))
        odd(slot, "with more or fewer");
    for (uint64_t i = 0; i < count; i++) {
        struct load_said item;
        struct load_key *key;
        struct history_op *op;

        load_listen(codec_array_at(page.items, i), &item);
        told[i] = key = key_of(slot, &item, before);
        before = key->name;
        op = one_read(slot, key, index);
        op->outcome = HISTORY_OK;
        load_note_read(load, key, op, &item);
    }
    note_absent(slot, &page, told, count, index);
}
