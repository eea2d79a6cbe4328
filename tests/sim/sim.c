/* SPDX-License-Identifier: Apache-2.0 */
/* sim.c - the world: it is made, it moves from event to event, it is healed and must come to rest. See world.h. */
#include "world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/node/internal.h"
#include "disk.h"
#include "fate.h"
#include "guard.h"
#include "load.h"
#include "net.h"
#include "oracle.h"
#include "queue.h"

#define HEAL_S 180           /* everything pending must have ended so long after the second phase began */
#define LOOK_NS (50 * SIM_MS) /* how often the second phase looks whether it has */
#define STEPS_A_SECOND UINT64_C(20000000) /* of one simulated second: more is no progress */

struct world {
    struct sim sim;
    struct sim_queue queue;
    struct sim_event phase;
    bool over;
    bool stands_still; /* over without having come to rest */
    bool asking;       /* clients have not been told yet to come to an end, though nothing bad happens any more */
};

static struct world *world_of(struct sim *sim)
{
    return os_container(sim, struct world, sim);
}

struct sim_random sim_stream(const struct sim *sim, enum sim_stream stream, uint64_t number)
{
    struct sim_random of_part = sim_split(sim->seed, stream);

    return sim_split(of_part.state, number);
}

void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t at)
{
    event->at = at < sim->now ? sim->now : at;
    sim_queue_put(sim->queue, event);
}

void sim_cancel(struct sim *sim, struct sim_event *event)
{
    sim_queue_remove(sim->queue, event);
}

/* ---- phases -------------------------------------------------------------------------------------------- */

static void look(struct sim *sim, struct sim_event *event)
{
    struct world *world = os_container(event, struct world, phase);
    char why[512] = "";

    if (sim->phase == SIM_FAULTS) {
        sim->phase = SIM_HEALED;
        sim_trace(sim, NULL, "the second phase: all that is pending must end");
        sim_fate_heal(sim->fate);
        sim->end = sim->now + HEAL_S * SIM_S;
        world->asking = true;
    } else if (sim_fate_converged(sim->fate, why, sizeof why)) {
        if (sim_load_finished(sim->load)) {
            world->over = true;
            return;
        }
        (void)snprintf(why, sizeof why, "requests of clients have no end");
    }
    if (world->asking && !sim_fate_chooses(sim->fate)) {
        sim_load_finish(sim->load);
        world->asking = false;
    }
    if (sim->now >= sim->end && !sim->options.correlated)
        sim_fail(sim, "liveness", "%u s after everything was healed: %s", HEAL_S, why);
    if (sim->now >= sim->end) { /* correlated damage: that it stands still is allowed */
        sim_trace(sim, NULL, "no end: %s", why);
        sim_oracle_stands_still(sim->oracle);
        world->over = world->stands_still = true;
        return;
    }
    sim_schedule(sim, event, sim->now + LOOK_NS);
}

/* So that none of the sizes goes missing. */
static void count_size(struct sim *sim)
{
    uint64_t *const sizes[] = {&sim->totals.worlds_of_1, &sim->totals.worlds_of_2, &sim->totals.worlds_of_3,
                               &sim->totals.worlds_of_4, &sim->totals.worlds_of_5, &sim->totals.worlds_of_6,
                               &sim->totals.worlds_of_7};

    assert(sim->founders >= 1);
    assert(sim->founders <= sizeof sizes / sizeof sizes[0]);
    *sizes[sim->founders - 1] = 1;
}

/* ---- making -------------------------------------------------------------------------------------------- */

struct sim *sim_new(uint64_t seed, const struct sim_options *options, uint64_t seconds, bool tracing)
{
    struct world *world = calloc(1, sizeof *world);
    struct sim *sim;

    assert(world);
    sim = &world->sim;
    sim->queue = &world->queue;
    sim->seed = seed;
    sim->options = *options;
    sim->tracing = tracing;
    sim->deadline = seconds * SIM_S;
    sim->founders = (uint32_t)options->nodes;
    sim->node_count = SIM_NODES_MAX;
    sim->plugin = 1;
    count_size(sim);
    sim->net = sim_net_new(sim);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        sim_node_make(sim, i);
        sim->addresses[i][0] = sim->nodes[i].uri;
        sim->members[i] =
            (struct node_member){.name = sim->nodes[i].name, .addresses = sim->addresses[i], .address_count = 1};
    }
    sim->oracle = sim_oracle_new(sim);
    sim->fate = sim_fate_new(sim);
    sim->load = sim_load_new(sim);
    world->phase.run = look;
    sim_schedule(sim, &world->phase, sim->deadline);
    return sim;
}

struct sim *sim_free(struct sim *sim)
{
    if (!sim)
        return NULL;
    sim_queue_clear(sim->queue);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
        sim_node_unmake(&sim->nodes[i]);
    sim_queue_clear(sim->queue);
    sim_load_free(sim->load);
    sim_fate_free(sim->fate);
    sim_oracle_free(sim->oracle);
    sim_net_free(sim->net);
    sim_queue_free(sim->queue);
    free(world_of(sim));
    return NULL;
}

/* ---- running ------------------------------------------------------------------------------------------- */

/* Whoever the event changed: is it still alive, and is what it did right? */
static void after(struct sim *sim)
{
    while (sim->acted) {
        uint32_t number = (uint32_t)__builtin_ctz(sim->acted);
        struct sim_node *node = &sim->nodes[number];

        sim->acted &= sim->acted - 1;
        if (node->node)
            sim_oracle_step(sim->oracle, node);
        sim_node_after(node);
    }
}

bool sim_step(struct sim *sim)
{
    struct sim_event *event = sim_queue_pop(sim->queue);

    if (!event)
        return false;
    sim->now = event->at;
    event->run(sim, event);
    after(sim);
    return true;
}

void sim_judge(struct sim *sim, bool stands_still)
{
    sim_oracle_finish(sim->oracle, stands_still);
    if (stands_still)
        sim_load_look(sim->load);
    sim_load_check(sim->load);
    sim->totals.stood_still += stands_still; /* and was judged */
}

void sim_run(struct sim *sim)
{
    struct world *world = world_of(sim);
    uint64_t second = 0;
    uint64_t steps = 0;

    guard_on(sim);
    after(sim);
    while (!world->over) {
        if (!sim_step(sim))
            break;
        if (sim->now >= second) {
            second = sim->now + SIM_S;
            steps = 0;
        } else if (++steps > STEPS_A_SECOND) {
            sim_fail(sim, "progress", "%llu steps within one simulated second", (unsigned long long)steps);
        }
    }
    if (!world->over)
        sim_fail(sim, "progress", "nothing is going to happen any more");
    sim_judge(sim, world->stands_still);
    guard_off();
}
