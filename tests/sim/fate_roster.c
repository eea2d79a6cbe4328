/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fate_roster.c - nodes that are no members: they register at whoever is up, some give signs of life, some leave, some
 * are not heard of any more. What the oracles watch is that every replica has the same of them (the digest), also by
 * snapshot and restart, and that nobody who was heard of in time is taken out.
 */
#include <stdio.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/internal.h"
#include "fate_internal.h"
#include "node.h"

#define NAMES 12
#define ASK_MS 10000

static void answered(struct sim *sim, struct sim_node *node, uint64_t id, int64_t status, struct gavel_slice text)
{
    sim_trace(sim, node, "registration %llu: %d %.*s", (unsigned long long)id, (int)status, (int)text.size,
              text.data ? (const char *)text.data : "");
    sim->totals.registrations += status == GAVEL_OK;
}

void fate_register(struct sim_fate *fate)
{
    struct sim_random *dice = &fate->clocks[FATE_REGISTER].dice;
    struct sim_node *through = NULL;
    char name[32], ttl[32];
    const char *pairs[] = {name, ttl, NULL};
    uint64_t what = sim_below(dice, 8);
    const char *command = what == 0 ? "node_deregister" : what < 4 ? "node_keep" : "node_register";

    for (uint32_t i = 0, from = (uint32_t)sim_below(dice, fate->sim->node_count);
         i < fate->sim->node_count && !through; i++)
        if (sim_is_up(&fate->sim->nodes[(from + i) % fate->sim->node_count]))
            through = &fate->sim->nodes[(from + i) % fate->sim->node_count];
    (void)snprintf(name, sizeof name, "name=w%u", (unsigned)sim_below(dice, NAMES));
    (void)snprintf(ttl, sizeof ttl, "ttl=%llu", (unsigned long long)sim_magnitude(dice, 1000, 120000));
    if (what < 4)
        pairs[1] = NULL;
    if (!through || through->paused_until)
        return;
    sim_trace(fate->sim, through, "%s %s", command, name);
    (void)sim_admin_ask(through->process->admin, command, pairs, ASK_MS, answered);
}
