/* SPDX-License-Identifier: Apache-2.0 */
/* fate_partition.c - partitions: which links, in what order, for how long. Several may overlap. */
#include "fate_internal.h"

#include <string.h>

#include "net.h"

static void add(struct fate_partition *partition, uint32_t from, uint32_t to)
{
    if (from != to)
        partition->links[partition->count++] = (struct fate_link){(uint8_t)from, (uint8_t)to};
}

/* Everything between the nodes of `side` and all others; `one_way`: only what leaves `side`. */
static void between(struct fate_partition *partition, uint32_t nodes, uint32_t side, bool one_way)
{
    for (uint32_t a = 0; a < nodes; a++)
        for (uint32_t b = 0; b < nodes; b++) {
            if ((side >> a & 1) == (side >> b & 1))
                continue;
            if (!one_way || side >> a & 1)
                add(partition, a, b);
        }
}

/* Each node hears its two neighbours only. */
static void ring(struct fate_partition *partition, uint32_t nodes)
{
    for (uint32_t a = 0; a < nodes; a++)
        for (uint32_t b = 0; b < nodes; b++)
            if ((a + 1) % nodes != b && (b + 1) % nodes != a)
                add(partition, a, b);
}

/* Two halves that hear only one node in common. */
static void bridge(struct fate_partition *partition, uint32_t nodes, uint32_t side, uint32_t over)
{
    for (uint32_t a = 0; a < nodes; a++)
        for (uint32_t b = 0; b < nodes; b++)
            if (a != over && b != over && (side >> a & 1) != (side >> b & 1))
                add(partition, a, b);
}

static uint32_t random_side(struct sim_fate *fate, uint32_t nodes)
{
    uint32_t side = 0;
    uint32_t count = nodes / 2;

    while (count) {
        uint32_t one = UINT32_C(1) << sim_below(&fate->dice, nodes);

        count -= !(side & one);
        side |= one;
    }
    return side;
}

static void shuffle(struct sim_fate *fate, struct fate_partition *partition)
{
    for (uint32_t i = partition->count; i > 1; i--) {
        uint32_t j = (uint32_t)sim_below(&fate->dice, i);
        struct fate_link link = partition->links[i - 1];

        partition->links[i - 1] = partition->links[j];
        partition->links[j] = link;
    }
    partition->next = 0;
}

/* One of its links, which is about to be whole again. */
static void note(const struct sim_fate *fate, struct fate_partition *partition, struct fate_link link)
{
    partition->felt += sim_net_cut_felt(fate->sim->net, link.from, link.to);
}

/* It is over, and counts when it was felt: between nodes that are down, or do not know each other, there was none. */
static void finish(struct sim_fate *fate, struct fate_partition *partition)
{
    struct sim *sim = fate->sim;

    partition->used = false;
    if (!partition->felt)
        return;
    sim->totals.partitions++;
    sim->totals.joined_cut += sim->founders == 1;
    sim->totals.cut_one_by_one += partition->one_by_one && partition->felt > 1;
    if (partition->shape)
        ++*partition->shape;
}

static void cut_next(struct sim_fate *fate, struct fate_partition *partition)
{
    struct fate_link link = partition->links[partition->next++];
    uint8_t *cuts = &fate->cuts[link.from][link.to];

    if (partition->healing)
        note(fate, partition, link);
    *cuts = (uint8_t)(*cuts + (partition->healing ? -1 : 1));
    sim_trace(fate->sim, &fate->sim->nodes[link.from], "link to n%u: %u cuts", link.to + 1u, (unsigned)*cuts);
    sim_net_cut(fate->sim->net, link.from, link.to, *cuts > 0);
}

static void step(struct sim *sim, struct sim_event *event)
{
    struct fate_partition *partition = os_container(event, struct fate_partition, event);
    struct sim_fate *fate = sim->fate;

    do
        cut_next(fate, partition);
    while (!partition->step_ns && partition->next < partition->count);
    if (partition->next < partition->count) {
        sim_schedule(sim, event, sim->now + 1 + sim_below(&fate->dice, 2 * partition->step_ns));
    } else if (partition->healing) {
        finish(fate, partition);
    } else {
        partition->healing = true;
        shuffle(fate, partition);
        partition->step_ns = sim_draw(&fate->dice) & 1 ? partition->step_ns : 0;
        sim_schedule(sim, event, sim->now + partition->lasts_ns);
    }
}

/* Which links: the shapes that have broken other implementations. */
static void draw_shape(struct sim_fate *fate, struct fate_partition *partition, uint32_t nodes)
{
    struct sim_node *leader = fate_leader(fate);
    uint32_t one = (uint32_t)sim_below(&fate->dice, nodes);
    uint32_t side = random_side(fate, nodes);
    struct sim_totals *totals = &fate->sim->totals;

    switch (sim_below(&fate->dice, 8)) {
    case 0: between(partition, nodes, UINT32_C(1) << one, false), partition->shape = &totals->isolations; break;
    case 1: between(partition, nodes, UINT32_C(1) << one, true), partition->shape = &totals->one_ways; break;
    case 2: /* it speaks and hears nothing */
        between(partition, nodes, ~(UINT32_C(1) << one), true), partition->shape = &totals->one_ways;
        break;
    case 3: between(partition, nodes, side, false), partition->shape = &totals->halves; break;
    case 4: /* fewer than four all hear each other in a ring */
        ring(partition, nodes), partition->shape = &totals->rings;
        break;
    case 5: bridge(partition, nodes, side, one), partition->shape = &totals->bridges; break;
    case 6: /* the leader in the smaller half */
        partition->shape = leader ? &totals->minority_leaders : NULL;
        side = leader ? (side & ~(side & -side)) | UINT32_C(1) << leader->number : side;
        between(partition, nodes, side, sim_below(&fate->dice, 4) == 0);
        break;
    default: /* any links */
        for (uint32_t a = 0; a < nodes; a++)
            for (uint32_t b = 0; b < nodes; b++)
                if (sim_below(&fate->dice, 3) == 0)
                    add(partition, a, b);
    }
}

void fate_partition(struct sim_fate *fate)
{
    struct sim *sim = fate->sim;
    struct fate_partition *partition = NULL;

    for (uint32_t i = 0; i < FATE_PARTITIONS; i++)
        if (!fate->partitions[i].used)
            partition = &fate->partitions[i];
    if (!partition || fate_span(fate) < 2) /* founded by one, and alone still */
        return;
    memset(partition, 0, sizeof *partition);
    draw_shape(fate, partition, fate_span(fate));
    if (!partition->count)
        return;
    partition->used = true;
    partition->event.run = step;
    partition->lasts_ns = sim_magnitude(&fate->dice, SIM_MS, sim->options.partition_ms * SIM_MS);
    partition->step_ns = sim_draw(&fate->dice) & 1 ? 0 : sim_magnitude(&fate->dice, SIM_MS, SIM_S);
    partition->one_by_one = partition->step_ns != 0;
    shuffle(fate, partition);
    sim_schedule(sim, &partition->event, sim->now);
}

void fate_partitions_end(struct sim_fate *fate)
{
    for (uint32_t i = 0; i < FATE_PARTITIONS; i++) {
        struct fate_partition *partition = &fate->partitions[i];
        uint32_t from = partition->healing ? partition->next : 0;
        uint32_t to = partition->healing ? partition->count : partition->next;

        sim_cancel(fate->sim, &partition->event);
        for (uint32_t k = from; partition->used && k < to; k++)
            note(fate, partition, partition->links[k]);
        if (partition->used)
            finish(fate, partition);
    }
    memset(fate->cuts, 0, sizeof fate->cuts);
}
