/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fate_moves.c - changes of members that are more than one word: several in one step; and the move of a member to
 * another address, which the others have to learn of before the old one is given up.
 */
#include <stdio.h>

#include "core/codec/value.h"
#include "disk.h"
#include "fate_internal.h"
#include "net.h"
#include "node.h"

/* ---- several at once ----------------------------------------------------------------------------------- */

#define PARTS_MAX 3

struct part {
    const char *op;
    struct sim_node *node;
};

static void put_part(struct gavel_writer *out, const struct part *part, bool addressed)
{
    gavel_put_map(out, addressed ? 3 : 2);
    gavel_put_key(out, "op");
    gavel_put_text(out, part->op);
    gavel_put_key(out, "name");
    gavel_put_text(out, part->node->name);
    if (addressed) {
        gavel_put_key(out, "addresses");
        gavel_put_text(out, part->node->uri);
    }
    gavel_put_end(out);
}

static bool ask(struct sim_fate *fate, const struct part *parts, uint32_t count)
{
    struct sim_node *through = fate_pick(fate);
    struct gavel_buffer arguments = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_writer *out;
    uint64_t id;

    if (!through || through->paused_until)
        return false;
    out = codec_writer_begin(&writer, &arguments);
    gavel_put_map(out, 1);
    gavel_put_key(out, "changes");
    gavel_put_array(out, count);
    for (uint32_t i = 0; i < count; i++) {
        sim_trace(fate->sim, parts[i].node, "%s, in one step with others, through %s", parts[i].op, through->name);
        put_part(out, &parts[i], parts[i].op[0] == 'a');
    }
    gavel_put_end(out);
    gavel_put_end(out);
    if (codec_writer_end(&writer, NULL) != GAVEL_OK)
        sim_fail(fate->sim, "protocol", "arguments of member_change");
    id = sim_admin_ask_value(through->process->admin, "member_change", gavel_buffer_slice(&arguments), FATE_CHANGE_MS,
                             fate_answered);
    gavel_buffer_free(&arguments);
    return id != 0;
}

/* One more part, unless its node is in one already. */
static uint32_t with(struct part *parts, uint32_t count, const char *op, struct sim_node *node)
{
    for (uint32_t i = 0; i < count; i++)
        if (parts[i].node == node)
            return count;
    parts[count] = (struct part){op, node};
    return count + 1;
}

/* Mostly one for another; at times another one besides, or a promotion. One at most goes: the atlas knows of one. */
void fate_several(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct sim_node *goes = fate_some_member(fate);
    uint64_t shape = sim_below(&fate->dice, 8);
    struct part parts[PARTS_MAX];
    struct sim_node *comes;
    uint32_t count = 0;

    if (goes && shape < 6 && sim_atlas_may_lose(sim, goes))
        count = with(parts, count, shape == 5 ? "demote" : "remove", goes);
    for (uint32_t tried = 0; tried < (shape % 2 ? 1 : 2); tried++) {
        comes = &sim->nodes[sim_below(&fate->dice, sim->node_count)];
        if (fate_is_free(fate, comes))
            count = with(parts, count, "add", comes);
    }
    comes = count < 2 && goes ? fate_some_member(fate) : NULL;
    if (comes && count && parts[0].op[0] != 'a')
        goes->leaves_until = sim->now + FATE_LEAVES_NS; /* that it goes is a part of the question */
    if (comes && sim_atlas_may_promote(sim, comes))
        count = with(parts, count, "promote", comes);
    if (count < 2)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].op[0] == 'r' || parts[i].op[0] == 'd')
            parts[i].node->leaves_until = sim->now + FATE_LEAVES_NS;
        else if (parts[i].op[0] == 'p')
            parts[i].node->comes_until = sim->now + FATE_LEAVES_NS;
    }
    if (!ask(fate, parts, count))
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].op[0] == 'r')
            fate->leaving[parts[i].node->number] = true;
        else if (parts[i].op[0] == 'a')
            fate_start_empty(fate, parts[i].node);
    }
}

/* ---- another address ----------------------------------------------------------------------------------- */

static void moved(struct sim *sim, struct sim_node *through, uint64_t id, int64_t status, struct gavel_slice text)
{
    fate_answered(sim, through, id, status, text);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct fate_move *move = &sim->fate->moves[i];

        if (!move->id || move->id != id || move->through != through->number)
            continue;
        move->id = 0;
        if (status != GAVEL_OK)
            return; /* nobody may know of the new address: the old one stays as well */
        sim->totals.moves++;
        move->leave_at = sim->now + sim_magnitude(&sim->fate->dice, SIM_MS, 10 * SIM_S);
    }
}

/*
 * As an operator does it: the machine has both addresses, the cluster is told the new one, and when it has said that it
 * knows, the old one goes. Nothing else may be under way about that member that names an old address.
 */
void fate_move(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct sim_node *through = fate_pick(fate);
    struct sim_node *node = fate_some_member(fate);
    struct fate_move *move = node ? &fate->moves[node->number] : NULL;
    char name[32], addresses[64];
    const char *const pairs[] = {name, addresses, NULL};

    if (!node || !through || through->paused_until || fate->empty[node->number] || fate->leaving[node->number] ||
        (fate->asked_at[node->number] && fate->asked_at[node->number] + FATE_LEAVES_NS > sim->now) ||
        (move->asked_at && move->asked_at + FATE_LEAVES_NS > sim->now))
        return;
    sim_net_move(node->side, node->uri, sizeof node->uri);
    (void)snprintf(name, sizeof name, "name=%s", node->name);
    (void)snprintf(addresses, sizeof addresses, "addresses=%s", node->uri);
    sim_trace(sim, node, "moves to %s, through %s", node->uri, through->name);
    *move = (struct fate_move){.asked_at = sim->now, .through = through->number};
    move->id = sim_admin_ask(through->process->admin, "member_update", pairs, FATE_CHANGE_MS, moved);
}

void fate_move_operate(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;

    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct fate_move *move = &fate->moves[i];

        if (!move->leave_at || move->leave_at > sim->now)
            continue;
        move->leave_at = 0;
        sim_trace(sim, &sim->nodes[i], "is at %s only", sim->nodes[i].uri);
        sim_net_leave(sim->nodes[i].side);
    }
}
