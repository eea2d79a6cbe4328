/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fate.c - misfortune comes at the rates of the options, each kind by its own clock; a nurse starts again what lies
 * down, as an init system would, and notices when a process ended in a way that it had no reason for.
 */
#include "fate_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/node/internal.h"
#include "disk.h"
#include "net.h"
#include "node.h"
#include "oracle.h"

#define HOUR_NS (UINT64_C(3600) * SIM_S)
#define NURSE_NS (20 * SIM_MS)
#define ASK_MS 10000 /* an administrator waits so long */
#define DAY_MS UINT64_C(86400000)
#define FOUNDING_NS (20 * SIM_S) /* a founding is left alone after that */
#define EAGER_NS (4 * SIM_S)
#define WITHIN_NS (10 * SIM_S) /* a crash that waits for an operation waits so long at most */
#define ALL_PPM 50000        /* crashes that take every node at once */
#define IN_RECOVERY_PPM 250000 /* crashes whose next life dies in its recovery too */
#define RECOVERY_OPERATIONS 64 /* within one of so many */

struct sim_node *fate_pick(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    uint32_t up = 0;
    uint64_t at;

    for (uint32_t i = 0; i < sim->node_count; i++)
        up += sim_is_up(&sim->nodes[i]);
    at = sim_below(&fate->dice, up);
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (sim_is_up(&sim->nodes[i]) && at-- == 0)
            return &sim->nodes[i];
    return NULL;
}

struct sim_node *fate_leader(const struct sim_fate *fate)
{
    struct sim_node *found = NULL;

    for (uint32_t i = 0; i < fate->sim->node_count; i++) {
        struct sim_node *node = &fate->sim->nodes[i];

        if (sim_is_up(node) && node_is_leader(node->node) && (!found || node->node->term > found->node->term))
            found = node;
    }
    return found;
}

uint32_t fate_span(const struct sim_fate *fate)
{
    uint32_t span = fate->sim->founders;

    for (uint32_t i = span; i < fate->sim->node_count; i++)
        if (fate->sim->nodes[i].lives)
            span = i + 1;
    return span;
}

/* ---- what may happen ----------------------------------------------------------------------------------- */

/* Within an operation of the disk: whichever comes, or one that is rarer. */
static void crash_within(struct sim_fate *fate, struct sim_node *node, enum sim_crash how)
{
    struct sim_random *dice = &fate->aims;
    static const enum sim_aim rare[] = {SIM_AIM_VOTE, SIM_AIM_SNAPSHOT, SIM_AIM_NAMES}; /* most others are the log's */
    uint32_t aim = sim_draw(dice) & 1 ? SIM_AIM_ANY : rare[sim_below(dice, sizeof rare / sizeof rare[0])];
    uint64_t count = sim_magnitude(dice, 1, aim == SIM_AIM_ANY ? 64 : 4);

    sim_node_crash_within(node, how, aim, count, fate->sim->now + sim_magnitude(dice, SIM_MS, WITHIN_NS));
    if (aim == SIM_AIM_SNAPSHOT && sim_is_up(node) && !node->paused_until) /* or there is hardly ever one under way */
        (void)sim_admin_ask(node->process->admin, "snapshot", NULL, ASK_MS, NULL);
}

static void crash_one(struct sim_fate *fate, struct sim_node *node, enum sim_crash how, bool within)
{
    uint64_t down = sim_magnitude(&fate->dice, SIM_MS / 10, fate->sim->options.down_ms * SIM_MS);

    if (within) {
        fate->down_ns[node->number] = down;
        crash_within(fate, node, how);
    } else {
        sim_node_crash(node, how);
        fate->start_at[node->number] = fate->sim->now + down;
    }
    if (sim_chance(&fate->dice, IN_RECOVERY_PPM))
        sim_node_die_in_recovery(node, sim_draw(&fate->recoveries) & 1 ? SIM_POWER : SIM_KILL,
                                 sim_magnitude(&fate->dice, 1, RECOVERY_OPERATIONS));
}

/* It has ended. If it was killed in its recovery, the power may go before the next life has synced that. */
static void follow(struct sim_fate *fate, struct sim_node *node)
{
    if (fate->sim->phase == SIM_FAULTS && sim_node_killed_in_recovery(node) && (sim_draw(&fate->recoveries) & 1))
        sim_node_die_in_recovery(node, SIM_POWER, sim_magnitude(&fate->recoveries, 1, RECOVERY_OPERATIONS));
}

void fate_crash_now(struct sim_fate *fate, struct sim_node *node, enum sim_crash how)
{
    crash_one(fate, node, how, false);
}

static void crash_some_time(struct sim_fate *fate, struct sim_node *node, enum sim_crash how)
{
    crash_one(fate, node, how, node->node && sim_chance(&fate->aims, fate->sim->options.within_ppm));
}

static void crash(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    enum sim_crash how = sim_draw(&fate->dice) & 1 ? SIM_POWER : SIM_KILL;
    struct sim_node *node;

    if (sim_chance(&fate->dice, ALL_PPM)) {
        sim->totals.blackouts++;
        for (uint32_t i = 0; i < sim->node_count; i++)
            if (sim->nodes[i].node)
                fate_crash_now(fate, &sim->nodes[i], how);
        return;
    }
    /* The leader has more to lose. */
    node = sim_draw(&fate->dice) & 1 ? fate_leader(fate) : NULL;
    node = node ? node : fate_pick(fate);
    if (node)
        crash_some_time(fate, node, how);
}

static void pause_one(struct sim_fate *fate)
{
    struct sim_node *node = fate_pick(fate);

    if (node)
        sim_node_pause(node, fate->sim->now +
                                 sim_magnitude(&fate->dice, SIM_MS, fate->sim->options.pause_ms * SIM_MS));
}

static void jump(struct sim_fate *fate)
{
    struct sim_node *node = fate_pick(fate);
    int64_t far = (int64_t)sim_magnitude(&fate->dice, 1, DAY_MS);

    if (node)
        sim_node_jump(node, sim_draw(&fate->dice) & 1 ? far : -far);
}

static void clog_link(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    uint32_t from = (uint32_t)sim_below(&fate->dice, fate_span(fate));
    uint32_t to = (uint32_t)sim_below(&fate->dice, fate_span(fate));
    uint64_t until = sim->now + sim_magnitude(&fate->dice, SIM_MS, sim->options.clog_ms * SIM_MS);

    if (from == to)
        return;
    sim_trace(sim, &sim->nodes[from], "clog to n%u until %llu", to + 1, (unsigned long long)until);
    sim->totals.clogs += sim_net_clog(sim->net, from, to, until);
}

static void clog_client(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct sim_random *dice = &fate->clocks[FATE_CLIENT_CLOG].dice;
    uint64_t until = sim->now + sim_magnitude(dice, SIM_MS, sim->options.clog_ms * SIM_MS);

    sim->totals.client_clogs += sim_net_clog_client(sim->net, dice, until);
}

static void reset(struct sim_fate *fate)
{
    struct sim_node *node = fate_pick(fate);

    if (node) {
        sim_trace(fate->sim, node, "a connection is reset");
        sim_net_reset(fate->sim->net, node->number);
    }
}

/* On the disk of one that joined, while it is at work or lies there. */
static void rot_joined(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct sim_node *node = &sim->nodes[sim->founders + sim_below(&fate->joined, fate_span(fate) - sim->founders)];

    if (node->lives && sim_atlas_may_damage(sim, node))
        sim->totals.joined_rotten += sim_disk_rot(node->disk);
}

static void rot(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    uint64_t first = sim_below(&fate->dice, sim->founders);
    /* Disks of one age: they may go together. */
    uint64_t count = sim->options.correlated && sim_below(&fate->dice, 4) == 0 ? sim->founders : 1;

    if (fate_span(fate) > sim->founders && sim_chance(&fate->joined, sim->options.rot_joined_ppm)) {
        rot_joined(fate);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct sim_node *node = &sim->nodes[(first + i) % sim->founders];

        if (node->lives && sim_atlas_may_damage(sim, node))
            (void)sim_disk_rot(node->disk); /* which tells the oracle */
    }
}

static void snapshot(struct sim_fate *fate)
{
    struct sim_node *node = fate_pick(fate);

    if (!node || node->paused_until)
        return;
    sim_trace(fate->sim, node, "a snapshot is asked for");
    (void)sim_admin_ask(node->process->admin, "snapshot", NULL, ASK_MS, NULL);
}

static void stop(struct sim_fate *fate)
{
    struct sim_node *node = fate_pick(fate);

    if (!node || node->paused_until)
        return;
    fate->start_at[node->number] = 0;
    sim_node_stop(node);
}

static void handed_over(struct sim *sim, struct sim_node *node, uint64_t id, int64_t status, struct gavel_slice text)
{
    (void)id;
    (void)text;
    sim_trace(sim, node, "hand-over: %d", (int)status);
    sim->totals.transfers += status == GAVEL_OK;
}

static void transfer(struct sim_fate *fate)
{
    struct sim_node *node = fate_leader(fate);

    if (!node || node->paused_until)
        return;
    sim_trace(fate->sim, node, "is asked to hand over");
    (void)sim_admin_ask(node->process->admin, "transfer", NULL, ASK_MS, handed_over);
}

/* ---- the clocks of misfortune -------------------------------------------------------------------------- */

static const struct {
    size_t rate; /* offset in the options: per hour */
    void (*happen)(struct sim_fate *fate);
} kinds[FATE_KINDS] = {
    {offsetof(struct sim_options, crash_per_hour), crash},
    {offsetof(struct sim_options, pause_per_hour), pause_one},
    {offsetof(struct sim_options, jump_per_hour), jump},
    {offsetof(struct sim_options, clog_per_hour), clog_link},
    {offsetof(struct sim_options, reset_per_hour), reset},
    {offsetof(struct sim_options, rot_per_hour), rot},
    {offsetof(struct sim_options, snapshot_per_hour), snapshot},
    {offsetof(struct sim_options, stop_per_hour), stop},
    {offsetof(struct sim_options, transfer_per_hour), transfer},
    {offsetof(struct sim_options, partition_per_hour), fate_partition},
    {offsetof(struct sim_options, members_per_hour), fate_change},
    {offsetof(struct sim_options, wipe_per_hour), fate_wipe},
    {offsetof(struct sim_options, settings_per_hour), fate_settings},
    {offsetof(struct sim_options, register_per_hour), fate_register},
    {offsetof(struct sim_options, flip_per_hour), fate_flip},
    {offsetof(struct sim_options, client_clog_per_hour), clog_client},
};

static uint64_t rate_of(const struct sim_fate *fate, uint32_t kind)
{
    const char *options = (const char *)&fate->sim->options;

    return *(const uint64_t *)(const void *)(options + kinds[kind].rate);
}

/* Somewhere within twice the mean: no logarithm of the machine's library decides what a seed means. */
static void next(struct sim_fate *fate, struct fate_clock *clock)
{
    uint64_t rate = rate_of(fate, clock->kind);
    uint64_t most = rate ? 2 * HOUR_NS / rate : 0;

    /* Members change in every world, however short: until one change was done they are asked for more often. */
    if (clock->kind == FATE_MEMBERS && !fate->sim->totals.membership_changes && most > EAGER_NS)
        most = EAGER_NS;
    if (rate)
        sim_schedule(fate->sim, &clock->event, fate->sim->now + 1 + sim_below(&clock->dice, most));
}

static void strike(struct sim *sim, struct sim_event *event)
{
    struct fate_clock *clock = os_container(event, struct fate_clock, event);

    if (sim->phase != SIM_FAULTS)
        return;
    kinds[clock->kind].happen(sim->fate);
    next(sim->fate, clock);
}

/* ---- the nurse ----------------------------------------------------------------------------------------- */

static void judge_exit(struct sim *sim, const struct sim_node *node)
{
    const struct sim_options *options = &sim->options;
    bool disk = options->disk_error_ppm || options->short_write_ppm || options->full_per_hour;
    bool damage = options->rot_per_hour || options->misdirect_ppm || options->wipe_per_hour || disk;

    /* 78: it was removed; the oracle has seen whether that is so. */
    if (node->exit_code <= 0 || node->exit_code == 78)
        return;
    if ((node->exit_code == 74 && sim_disk_refused(node->disk)) || (node->exit_code == 65 && damage))
        return;
    sim_fail(sim, "exit", "%s ended with %d although nothing is wrong with its machine: %s", node->name,
             node->exit_code, node->said);
}

static void start(struct sim_fate *fate, struct sim_node *node)
{
    uint32_t others[SIM_NODES_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < fate->sim->node_count; i++)
        if (i != node->number)
            others[count++] = i;
    fate->start_at[node->number] = 0;
    fate->down_ns[node->number] = 0;
    sim_node_start(node, others, fate->joins[node->number] ? count : 0);
}

/*
 * Misfortune while a cluster is being founded by seeds: founders die at any moment. The oracle watches that there is
 * one cluster in the end, and was never another.
 */
static void fate_founding(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct sim_node *node = &sim->nodes[sim_below(&fate->founding, sim->founders)];
    bool formed = false;

    if (sim->options.seeds != 2 || sim->phase != SIM_FAULTS || sim->now > FOUNDING_NS)
        return;
    for (uint32_t i = 0; i < sim->node_count; i++)
        formed = formed || (sim->nodes[i].node && sim->nodes[i].node->founded);
    if (formed || !sim_is_up(node) || sim_below(&fate->founding, 8))
        return;
    crash_some_time(fate, node, sim_draw(&fate->founding) & 1 ? SIM_POWER : SIM_KILL);
}

static void nurse(struct sim *sim, struct sim_event *event)
{
    struct sim_fate *fate = os_container(event, struct sim_fate, nurse);

    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];

        if ((node->state == SIM_ABSENT && !fate->start_at[i]) || fate->given_up[i] || fate->left_out[i])
            continue;
        if (node->state != SIM_DOWN && node->state != SIM_ABSENT)
            continue;
        if (fate->start_at[i] == 0) { /* it ended by itself, or when its disk did */
            judge_exit(sim, node);
            follow(fate, node);
            fate->given_up[i] = node->exit_code == 65 || (node->exit_code == 78 && !sim_node_outdated(node));
            if (fate->given_up[i]) {
                node->last_known.count = 0;
                fate->empty[i] = false; /* it had joined, if only for a moment */
            }
            if (fate->down_ns[i] && node->exit_code == -1) /* a crash within an operation */
                fate->start_at[i] = sim->now + fate->down_ns[i];
            else
                fate->start_at[i] = sim->now + sim_magnitude(&fate->dice, SIM_MS, 2 * SIM_S);
        } else if (fate->start_at[i] <= sim->now) {
            start(fate, node);
        }
    }
    fate_founding(fate);
    fate_operate(fate);
    fate_move_operate(fate);
    fate_flip_operate(fate);
    fate_heal_operate(fate);
    sim_schedule(sim, event, sim->now + NURSE_NS);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

struct sim_fate *sim_fate_new(struct sim *sim)
{
    struct sim_fate *fate = calloc(1, sizeof *fate);

    assert(fate);
    fate->sim = sim;
    fate->dice = sim_stream(sim, SIM_STREAM_FATE, 0);
    fate->founding = sim_stream(sim, SIM_STREAM_FATE, 1000);
    fate->aims = sim_stream(sim, SIM_STREAM_FATE, 1001);
    fate->joined = sim_stream(sim, SIM_STREAM_FATE, 1002);
    fate->recoveries = sim_stream(sim, SIM_STREAM_FATE, 1003);
    for (uint32_t i = 0; i < FATE_KINDS; i++) {
        fate->clocks[i].kind = i;
        fate->clocks[i].dice = sim_stream(sim, SIM_STREAM_FATE, i + 1);
        fate->clocks[i].event.run = strike;
        next(fate, &fate->clocks[i]);
    }
    for (uint32_t i = 0; i < sim->founders; i++)
        fate->start_at[i] = 1 + sim_below(&fate->dice, SIM_S);
    fate_joint_init(fate);
    fate->nurse.run = nurse;
    sim_schedule(sim, &fate->nurse, 0);
    return fate;
}

struct sim_fate *sim_fate_free(struct sim_fate *fate)
{
    free(fate);
    return NULL;
}
