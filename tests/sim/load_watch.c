/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_watch.c - a client's stream of events: in order, without a gap, resumed on any node behind what was seen last;
 * or ended with "compacted" and a revision, when that is true.
 */
#include <string.h>

#include "load_internal.h"

#define CREDIT 64
#define BEHIND_ALL (UINT64_C(1) << 31) /* an ordinal behind all changes of an entry, below a node's own events */

static void open_stream(struct load_client *client)
{
    struct load_watch *watch = &client->watch;
    static struct load_bytes bytes;

    watch->id = ++client->next_id;
    watch->credit = 1 + sim_below(&client->dice, CREDIT);
    watch->seen = 0;
    watch->open = true;
    load_encode_watch(watch->id, watch->index, watch->ordinal, watch->credit, &bytes);
    (void)load_send(client, bytes.data, bytes.size);
}

/* A reader that is slow now and then: so that the ring overtakes it. */
static void give_credit(struct sim *sim, struct sim_event *event)
{
    struct load_client *client = os_container(event, struct load_client, watch.timer);
    struct load_watch *watch = &client->watch;
    static struct load_bytes bytes;
    uint64_t more = 1 + sim_below(&client->dice, CREDIT);

    (void)sim;
    if (client->state != LOAD_READY)
        return;
    if (!watch->open) {
        open_stream(client);
        return;
    }
    watch->credit += more;
    load_encode_credit(watch->id, more, &bytes);
    (void)load_send(client, bytes.data, bytes.size);
}

void load_watch_init(struct load_client *client)
{
    client->watch.wanted = sim_chance(&client->dice, client->number == 0 ? 500000 : 100000);
    client->watch.timer.run = give_credit;
}

void load_watch_connected(struct load_client *client)
{
    if (client->watch.wanted && !client->load->finishing)
        open_stream(client);
}

void load_watch_lost(struct load_client *client)
{
    client->watch.open = false;
    sim_cancel(client->sim, &client->watch.timer);
}

/* (index, ordinal) comes behind what was seen last. */
static void check_order(struct load_client *client, uint64_t index, uint64_t ordinal)
{
    struct load_watch *watch = &client->watch;
    bool next_of_same = index == watch->index && ordinal == watch->ordinal + 1;

    if (watch->index && (index < watch->index || (index == watch->index && ordinal <= watch->ordinal)))
        sim_fail(client->sim, "watch", "%s saw event %llu.%llu behind %llu.%llu", client->name,
                 (unsigned long long)index, (unsigned long long)ordinal, (unsigned long long)watch->index,
                 (unsigned long long)watch->ordinal);
    if (!next_of_same && ordinal != 1 && (watch->exact || watch->seen))
        sim_fail(client->sim, "watch", "%s saw event %llu.%llu, but not the one before it (%llu.%llu came last)",
                 client->name, (unsigned long long)index, (unsigned long long)ordinal,
                 (unsigned long long)watch->index, (unsigned long long)watch->ordinal);
    if (watch->index)
        load_fact_next(client->load, watch->index, watch->ordinal, watch->exact, index, ordinal);
}

static void learn(struct load_client *client, const struct codec_stream_event *event)
{
    struct sim_load *load = client->load;
    struct load_key *key = load_key_named(load, event->key);
    struct gavel_slice type = codec_string_or(codec_map_find(event->body, "type"), "");
    struct gavel_slice value = codec_map_find(event->body, "value");

    if (!key || !gavel_slice_equal(event->event, gavel_text("state_changed")))
        sim_fail(load->sim, "watch", "event %llu.%llu is of a key that nobody wrote", (unsigned long long)event->index,
                 (unsigned long long)event->ordinal);
    if (gavel_slice_equal(type, gavel_text("delete")))
        load_fact(load, key, event->index, LOAD_DELETED);
    else
        load_fact(load, key, event->index,
                  load_value(load, key, key->class == LOAD_FLOW ? codec_map_find(value, "data") : value));
}

void load_watch_event(struct load_client *client, const struct codec_stream_event *event)
{
    struct load_watch *watch = &client->watch;

    if (!watch->open || event->id != watch->id)
        return; /* of a stream that was given up */
    if (watch->credit == 0)
        sim_fail(client->sim, "watch", "%s was sent more events than it allowed", client->name);
    watch->credit--;
    check_order(client, event->index, event->ordinal);
    learn(client, event);
    watch->seen++;
    watch->exact = true;
    watch->index = event->index;
    watch->ordinal = event->ordinal;
    client->sim->totals.watch_events++;
    sim_acted(client->sim, NULL);
    if (watch->credit == 0)
        sim_schedule(client->sim, &watch->timer,
                     client->sim->now + (sim_chance(&client->dice, 20000) ? sim_below(&client->dice, 60 * SIM_S)
                                                                          : sim_below(&client->dice, 20 * SIM_MS)));
}

void load_watch_end(struct load_client *client, const struct codec_stream_end *end)
{
    struct load_watch *watch = &client->watch;
    bool below = watch->index < end->oldest_index ||
                 (watch->index == end->oldest_index && watch->ordinal < end->oldest_ordinal);

    if (!watch->open || end->id != watch->id)
        return;
    sim_acted(client->sim, NULL);
    watch->open = false;
    sim_trace(client->sim, NULL, "the stream of %s ends with %lld", client->name, (long long)end->status);
    if (end->status == GAVEL_E_COMPACTED) {
        if (!below && watch->index)
            sim_fail(client->sim, "watch", "%s was behind %llu.%llu, which is not older than %llu.%llu", client->name,
                     (unsigned long long)watch->index, (unsigned long long)watch->ordinal,
                     (unsigned long long)end->oldest_index, (unsigned long long)end->oldest_ordinal);
        /* Read, and go on behind that: as if it had read at the highest index known, or from the oldest there is. */
        watch->exact = false;
        watch->seen = 0;
        watch->index = sim_chance(&client->dice, 500000) ? client->load->highest : end->oldest_index;
        watch->ordinal = watch->index == client->load->highest ? BEHIND_ALL : end->oldest_ordinal;
        if (watch->index == 0)
            watch->ordinal = 0;
    } else if (end->status == GAVEL_OK || end->status == GAVEL_E_INVALID || end->status == GAVEL_E_NOT_FOUND) {
        sim_fail(client->sim, "watch", "the stream of %s ended with %lld: %.*s", client->name, (long long)end->status,
                 (int)end->text.size, end->text.size ? (const char *)end->text.data : "");
    }
    if (!client->load->finishing)
        sim_schedule(client->sim, &watch->timer, client->sim->now + SIM_MS + sim_below(&client->dice, 500 * SIM_MS));
}
