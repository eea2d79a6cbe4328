/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - the load as a whole: requests come as a Poisson process at the rate of the options; at the end each key that
 * was used is read once more, and the history is checked. See load.h and load_internal.h.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "load_internal.h"
#include "tests/linear/linear.h"

#define STEPS_A_PART UINT64_C(3000000) /* of the search; what the indexes say is checked besides */

/* ---- when ---------------------------------------------------------------------------------------------- */

/*
 * An exponentially distributed time with mean 1, as a number of 2^-32: von Neumann's way (1951), comparisons of uniform
 * numbers only, so that no library's logarithm decides what happens.
 */
static uint64_t draw_exponential(struct sim_random *dice)
{
    for (uint64_t whole = 0;; whole++) {
        uint64_t first = sim_draw(dice) >> 32;
        uint64_t last = first;
        uint64_t run = 1;

        for (;;) {
            uint64_t next = sim_draw(dice) >> 32;

            if (next >= last)
                break;
            last = next;
            run++;
        }
        if (run & 1)
            return whole << 32 | first;
    }
}

static void arrival_in(struct sim_load *load)
{
    uint64_t mean = SIM_S / load->sim->options.rate;
    unsigned __int128 wait = (unsigned __int128)draw_exponential(&load->dice) * mean;

    sim_schedule(load->sim, &load->arrival, load->sim->now + (uint64_t)(wait >> 32));
}

/* The end: every client takes the next key as long as there is one. */
static void finish_some(struct sim_load *load)
{
    for (uint32_t i = 0; i < load->client_count; i++) {
        struct load_slot *slot;

        while ((slot = load_client_slot(&load->clients[i])) != NULL) {
            if (!load_choose_last(slot))
                return;
            load_begin(slot);
            if (slot->state == LOAD_RETRY)
                break;
        }
    }
}

static void arrival(struct sim *sim, struct sim_event *event)
{
    struct sim_load *load = os_container(event, struct sim_load, arrival);
    struct load_slot *slot;

    if (load->finishing) {
        finish_some(load);
        sim_schedule(sim, event, sim->now + 2 * SIM_MS);
        return;
    }
    slot = load_client_slot(&load->clients[sim_below(&load->dice, load->client_count)]);
    if (slot && load_choose(slot))
        load_begin(slot);
    arrival_in(load);
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

struct sim_load *sim_load_new(struct sim *sim)
{
    struct sim_load *load = calloc(1, sizeof *load);

    assert(load);
    load->sim = sim;
    load->dice = sim_stream(sim, SIM_STREAM_LOAD, 0);
    history_init(&load->history);
    load_make_keys(load);
    load->facts = load_facts_new(load);
    load->arena = aligned_alloc(16, LOAD_ARENA_BYTES);
    assert(load->arena);
    os_list_init(&load->links);
    load->client_count = (uint32_t)sim->options.clients;
    assert(load->client_count <= LOAD_CLIENTS_MAX);
    for (uint32_t i = 0; i < load->client_count; i++)
        load_client_init(&load->clients[i], load, i);
    load->arrival.run = arrival;
    if (load->client_count)
        arrival_in(load);
    return load;
}

/* What is still to come of a client has no memory to come from. */
static void forget_events(struct load_client *client)
{
    sim_cancel(client->sim, &client->timer);
    sim_cancel(client->sim, &client->watch.timer);
    for (uint32_t i = 0; i < LOAD_SLOTS; i++)
        sim_cancel(client->sim, &client->slots[i].timer);
}

struct sim_load *sim_load_free(struct sim_load *load)
{
    if (!load)
        return NULL;
    sim_cancel(load->sim, &load->arrival);
    for (uint32_t i = 0; i < load->client_count; i++)
        forget_events(&load->clients[i]);
    while (!os_list_empty(&load->links)) {
        struct load_link *conn = os_container(load->links.next, struct load_link, link);

        os_list_remove(&conn->link);
        free(conn);
    }
    load_facts_free(load->facts);
    load_witnesses_free(load->witnesses);
    history_free(&load->history);
    free(load->arena);
    free(load->keys);
    free(load);
    return NULL;
}

void sim_load_finish(struct sim_load *load)
{
    load->finishing = true;
    sim_schedule(load->sim, &load->arrival, load->sim->now);
}

bool sim_load_finished(const struct sim_load *load)
{
    for (uint32_t i = 0; i < load->client_count; i++)
        for (uint32_t k = 0; k < LOAD_SLOTS; k++)
            if (load->clients[i].slots[k].state != LOAD_IDLE)
                return false;
    for (uint32_t i = load->last_key; i < load->key_count; i++)
        if (load->keys[i].used)
            return false;
    return load->finishing && load->sim->now >= load->quiet_at;
}

/* The whole history as text, for linear-check and for people: only when the run is being looked at. */
static void keep_history(const struct sim_load *load)
{
    char name[64];
    FILE *out;

    if (!load->sim->tracing)
        return;
    (void)snprintf(name, sizeof name, "history-%llu.txt", (unsigned long long)load->sim->seed);
    guard_off(); /* this decides nothing */
    out = fopen(name, "w");
    if (out) {
        history_write(&load->history, out);
        fclose(out);
        printf("the history is in %s\n", name);
    }
    guard_on(load->sim);
}

void sim_load_check(struct sim_load *load)
{
    const struct linear_limits limits = {.steps = STEPS_A_PART};
    struct linear_result result;
    enum linear_verdict verdict;

    load_facts_check(load);
    if (linear_check_indexes(&load->history, stdout, &result) == LINEAR_VIOLATED) {
        keep_history(load);
        sim_fail(load->sim, "linearizable", "%s", result.why);
    }
    load_witnesses_ask(load);
    verdict = linear_check(&load->history, &limits, stdout, &result);
    sim_trace(load->sim, NULL, "history of %llu operations: verdict %u, %llu steps %s",
              (unsigned long long)load->history.count, verdict, (unsigned long long)result.steps, result.why);
    if (verdict != LINEAR_OK)
        keep_history(load);
    if (verdict != LINEAR_OK) /* what could not be decided was not shown either */
        sim_fail(load->sim, "linearizable", "%s", result.why);
}
