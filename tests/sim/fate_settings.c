/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fate_settings.c - operators who change what the cluster goes by: limits of sessions, an option of the machine, and
 * now and then a new plugin, which comes to a node with its next life,
and later the barrier from which on all act as it.
 */
#include <stdio.h>
#include <string.h>

#include "core/node/internal.h"
#include "fate_internal.h"
#include "node.h"

#define CHANGE_MS 10000 /* an operator waits so long for a change */

static void changed(struct sim *sim, struct sim_node *node, uint64_t id, int64_t status, struct gavel_slice text)
{
    sim_trace(sim, node, "settings %llu: %d %.*s", (unsigned long long)id, (int)status, (int)text.size,
              text.data ? (const char *)text.data : "");
    sim->totals.settings_changes += status == GAVEL_OK;
}

static void upgraded(struct sim *sim, struct sim_node *node, uint64_t id, int64_t status, struct gavel_slice text)
{
    changed(sim, node, id, status, text);
    sim->totals.upgrades += status == GAVEL_OK;
}

/* One setting within what the clients of the world can live with: a shorter life of sessions they would not believe. */
static void draw(struct sim_fate *fate, struct sim_random *dice, char pair[64])
{
    uint64_t ttl = fate->sim->options.session_ttl_ms;

    switch (sim_below(dice, 5)) {
    case 0:
        (void)snprintf(pair, 64, "session.ttl=%llums", (unsigned long long)(ttl + sim_below(dice, ttl)));
        break;
    case 1:
        (void)snprintf(pair, 64, "session.window=%llu", (unsigned long long)sim_magnitude(dice, 1024, 65536));
        break;
    case 2:
        (void)snprintf(pair, 64, "session.reply_bytes=%llu",
                       (unsigned long long)sim_magnitude(dice, 64 << 10, 1 << 20));
        break;
    case 3:
        (void)snprintf(pair, 64, "session.sessions=%llu", (unsigned long long)sim_magnitude(dice, 100, 20000));
        break;
    default:
        (void)snprintf(pair, 64, "statemachine.workflow.history_revisions=%llu",
                       (unsigned long long)sim_magnitude(dice, 200, 20000));
        break;
    }
}

/* The recipe's first step for one node that is behind: a restart, and it comes back with the newest plugin. */
static bool roll(struct sim_fate *fate)
{
    for (uint32_t i = 0; i < fate->sim->node_count; i++) {
        struct sim_node *node = &fate->sim->nodes[i];

        if (node->state != SIM_UP || node->paused_until || node->process->plugin >= fate->sim->plugin)
            continue;
        node->process->outdated = true;
        fate->start_at[i] = 0;
        sim_node_stop(node);
        return true;
    }
    return false;
}

void fate_settings(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct sim_random *dice = &fate->clocks[FATE_SETTINGS].dice;
    struct sim_node *through = NULL;
    char first[64], second[64], version[32];
    const char *pairs[] = {first, NULL, NULL, NULL};
    uint64_t what = sim_below(dice, 8);

    if (what == 0) {
        sim->plugin++;
        sim_trace(sim, NULL, "there is a plugin of state version %llu", (unsigned long long)sim->plugin);
        return;
    }
    if (what <= 2 && roll(fate))
        return;
    for (uint32_t i = 0, from = (uint32_t)sim_below(dice, sim->node_count); i < sim->node_count && !through; i++)
        if (sim_is_up(&sim->nodes[(from + i) % sim->node_count]))
            through = &sim->nodes[(from + i) % sim->node_count];
    if (!through || through->paused_until)
        return;
    if (what <= 3) {
        (void)sim_admin_ask(through->process->admin, "settings_upgrade",
                            (const char *const[]){"machine=workflow", NULL}, CHANGE_MS, upgraded);
        return;
    }
    draw(fate, dice, first);
    if (sim_below(dice, 4) == 0) {
        draw(fate, dice, second);
        if (strncmp(first, second, strcspn(first, "=") + 1) != 0)
            pairs[1] = second;
    }
    if (sim_below(dice, 4) == 0) { /* made for what this node has applied, which may be old */
        (void)snprintf(version, sizeof version, "version=%llu",
                       (unsigned long long)through->node->settings->version);
        pairs[pairs[1] ? 2 : 1] = version;
    }
    sim_trace(sim, through, "is asked to set %s", first);
    (void)sim_admin_ask(through->process->admin, "settings_set", pairs, CHANGE_MS, changed);
}
