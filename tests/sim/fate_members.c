/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fate_members.c - the operators: they add, remove, promote, demote members, replace whoever lost its disk, and start
 * and stop the processes that go with it. They are careful in one thing only: nobody is taken out without whom the
 * cluster could not go on, and nobody promoted with whom it could not (the atlas knows).
 */
#include <stdio.h>
#include <string.h>

#include "core/node/internal.h"
#include "disk.h"
#include "fate_internal.h"
#include "node.h"
#include "oracle.h"

#define AGAIN_NS (5 * SIM_S)

static const struct members *known(const struct sim_fate *fate)
{
    const struct sim_node *leader = fate_leader(fate);

    return leader ? directory_now(&leader->node->directory) : NULL;
}

static const struct member *member_of(const struct sim_fate *fate, const struct sim_node *node)
{
    const struct members *members = known(fate);

    return members ? members_named(members, node->name) : NULL;
}

void fate_changed(struct sim *sim, int64_t status)
{
    sim->totals.membership_changes += status == GAVEL_OK;
    sim->totals.changed_seeds = sim->totals.membership_changes > 0;
}

void fate_answered(struct sim *sim, struct sim_node *node, uint64_t id, int64_t status, struct gavel_slice text)
{
    sim_trace(sim, node, "change %llu: %d %.*s", (unsigned long long)id, (int)status, (int)text.size,
              text.data ? (const char *)text.data : "");
    fate_changed(sim, status);
}

static void leader_removed(struct sim *sim, struct sim_node *node, uint64_t id, int64_t status, struct gavel_slice text)
{
    fate_answered(sim, node, id, status, text);
    sim->totals.leaders_removed += status == GAVEL_OK;
}

/* Through whoever is up: it passes the request on. */
static bool ask(struct sim_fate *fate, const char *command, const struct sim_node *about, const char *role)
{
    bool leads = strcmp(command, "member_remove") == 0 && fate_leader(fate) == about;
    struct sim_node *through = fate_pick(fate);
    char name[32];
    char addresses[64];
    char as[32];
    const char *pairs[4] = {name, NULL};
    bool addressed = strcmp(command, "member_add") == 0 || strcmp(command, "member_replace") == 0;

    if (!through || through->paused_until)
        return false;
    (void)snprintf(name, sizeof name, "name=%s", about->name);
    (void)snprintf(addresses, sizeof addresses, "addresses=%s", about->uri);
    (void)snprintf(as, sizeof as, "role=%s", role ? role : "");
    if (addressed)
        pairs[1] = addresses;
    if (role)
        pairs[2] = as;
    sim_trace(fate->sim, about, "%s, through %s", command, through->name);
    if (strcmp(command, "member_promote") == 0)
        fate->sim->nodes[about->number].comes_until = fate->sim->now + FATE_LEAVES_NS;
    else if (strcmp(command, "member_add") != 0)
        fate->sim->nodes[about->number].leaves_until = fate->sim->now + FATE_LEAVES_NS;
    return sim_admin_ask(through->process->admin, command, pairs, FATE_CHANGE_MS,
                         leads ? leader_removed : fate_answered) != 0;
}

/* An empty machine under a name that is, or is about to be, a member's; one that is empty already stays as it is. */
void fate_start_empty(struct sim_fate *fate, struct sim_node *node)
{
    fate->leaving[node->number] = false;
    fate->asked_at[node->number] = fate->sim->now;
    if (fate->empty[node->number] && fate->joins[node->number])
        return;
    if (node->node)
        sim_node_crash(node, SIM_KILL);
    if (node->lives) {
        sim_disk_wipe(node->disk);
        sim_oracle_damaged(fate->sim->oracle, node);
    }
    fate->joins[node->number] = true;
    fate->empty[node->number] = true;
    fate->given_up[node->number] = false;
    fate->start_at[node->number] = fate->sim->now + sim_magnitude(&fate->dice, SIM_MS, 2 * SIM_S);
}

bool fate_is_member(const struct sim_fate *fate, const struct sim_node *node)
{
    return member_of(fate, node) != NULL;
}

bool fate_is_free(const struct sim_fate *fate, const struct sim_node *node)
{
    return known(fate) && !member_of(fate, node) &&
           (!node->node || fate->leaving[node->number] || fate->empty[node->number]);
}

static void add(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct sim_node *node = &sim->nodes[sim_below(&fate->dice, sim->node_count)];

    if (!fate_is_free(fate, node))
        return;
    if (ask(fate, "member_add", node, sim_draw(&fate->dice) & 1 ? "voter" : "learner"))
        fate_start_empty(fate, node);
}

struct sim_node *fate_some_member(struct sim_fate *fate)
{
    const struct members *members = known(fate);
    const char *name = members && members->count
                           ? members->items[sim_below(&fate->dice, members->count)].name
                           : "";

    for (uint32_t i = 0; i < fate->sim->node_count; i++)
        if (strcmp(fate->sim->nodes[i].name, name) == 0)
            return &fate->sim->nodes[i];
    return NULL;
}

static void take_out(struct sim_fate *fate, const char *command)
{
    struct sim_node *node = fate_some_member(fate);

    if (!node || !sim_atlas_may_lose(fate->sim, node))
        return;
    if (ask(fate, command, node, NULL) && strcmp(command, "member_remove") == 0)
        fate->leaving[node->number] = true;
}

/* Not one whose damage, found or not, would be too much among the voters. */
static void promote(struct sim_fate *fate)
{
    struct sim_node *node = fate_some_member(fate);

    if (node && sim_atlas_may_promote(fate->sim, node))
        (void)ask(fate, "member_promote", node, NULL);
}

/* A new disk under an old name. Its old data goes with the request, whatever becomes of that: it is asked again. */
static void replace(struct sim_fate *fate, struct sim_node *node)
{
    if (!sim_atlas_may_lose(fate->sim, node) || fate_leader(fate) == node)
        return;
    if (ask(fate, "member_replace", node, NULL))
        fate_start_empty(fate, node);
}

static void remove_leader(struct sim_fate *fate)
{
    struct sim_node *leader = fate_leader(fate);

    if (leader && sim_atlas_may_lose(fate->sim, leader) && ask(fate, "member_remove", leader, NULL))
        fate->leaving[leader->number] = true;
}

/* Who shall lead rather than others: a change that leaves all voters as they are. */
static void prefer(struct sim_fate *fate)
{
    struct sim_node *through = fate_pick(fate);
    const struct sim_node *node = fate_some_member(fate);
    char name[32], priority[32];
    const char *const pairs[] = {name, priority, NULL};

    if (!node || !through || through->paused_until)
        return;
    (void)snprintf(name, sizeof name, "name=%s", node->name);
    (void)snprintf(priority, sizeof priority, "priority=%u", (unsigned)sim_below(&fate->dice, 3));
    sim_trace(fate->sim, node, "%s, through %s", priority, through->name);
    (void)sim_admin_ask(through->process->admin, "member_update", pairs, FATE_CHANGE_MS, fate_answered);
}

static void one_change(struct sim_fate *fate)
{
    struct sim_node *node;

    switch (sim_below(&fate->dice, 17)) {
    case 0:
    case 1:
    case 2:
    case 3: add(fate); break;
    case 4:
    case 5: take_out(fate, "member_remove"); break;
    case 6: take_out(fate, "member_demote"); break;
    case 7:
    case 8: fate_several(fate); break;
    case 9: remove_leader(fate); break;
    case 10: prefer(fate); break;
    case 13:
    case 14:
    case 15: fate_move(fate); break;
    case 11:
    case 12: promote(fate); break;
    default:
        node = fate_some_member(fate);
        if (node)
            replace(fate, node);
    }
}

/* Now and then two operators at once, of whom the second only brings in or promotes: together they take out no more. */
void fate_change(struct sim_fate *fate)
{
    one_change(fate);
    fate_joint_begin(fate);
    switch (sim_below(&fate->dice, 8)) {
    case 0: add(fate); break;
    case 1: promote(fate); break;
    default: break;
    }
}

/* The disk is gone: the machine comes back empty, at first with the settings that it had. Never so many that the
 * cluster is gone with them, not even where damage is correlated: nobody can know then that there was one. */
void fate_wipe(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct sim_node *node = fate_some_member(fate);

    if (!node || !node->lives || !sim_atlas_may_lose(sim, node))
        return;
    sim_trace(sim, node, "its disk is lost");
    sim->totals.wipes += sim_disk_has_identity(node->disk);
    if (node->node)
        sim_node_crash(node, SIM_POWER);
    sim_disk_wipe(node->disk);
    sim_oracle_damaged(sim->oracle, node);
    fate->empty[node->number] = true;
    /* Either it never had a list of founders, or was the only one there: empty, it would found another cluster. */
    fate->joins[node->number] = node->number >= sim->founders || sim->founders == 1;
    fate->asked_at[node->number] = sim->now;
    fate->start_at[node->number] = sim->now + sim_magnitude(&fate->dice, SIM_MS, 2 * SIM_S);
}

/*
 * What the operators see to without being told: a member that lies there with nothing to start from is replaced; one
 * that answers as empty still was not noted in time, and is asked for again.
 */
void fate_operate(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;

    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        const struct member *member;

        fate->empty[i] = fate->empty[i] && !(node->node && node->node->founded);
        if (fate->left_out[i] || (!fate->empty[i] && !fate->given_up[i]) || fate->asked_at[i] + AGAIN_NS > sim->now)
            continue;
        fate->asked_at[i] = sim->now;
        member = member_of(fate, node);
        if (member)
            replace(fate, node);
    }
}
