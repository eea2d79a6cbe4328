/* SPDX-License-Identifier: Apache-2.0 */
/* tests/scenarios/world_net.c - the bag of messages and the flow of time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static struct world_message take(struct world *w, size_t at)
{
    struct world_message taken = w->bag[at];
    w->bag_count--;
    memmove(&w->bag[at], &w->bag[at + 1], (w->bag_count - at) * sizeof w->bag[0]);
    return taken;
}

void world_drop(struct world *w, size_t at)
{
    struct world_message taken = take(w, at);
    free(taken.batches);
}

void world_duplicate(struct world *w, size_t at)
{
    struct raft_message m = w->bag[at].m;
    struct raft_batch *batches = w->bag[at].batches;
    world_send(w, &m, batches, 0);
}

bool world_deliverable(const struct world *w, size_t at)
{
    const struct world_message *put = &w->bag[at];
    return put->gate == 0 && !put->held;
}

void world_deliver(struct world *w, size_t at)
{
    struct world_message taken = take(w, at);
    struct world_node *n = world_node(w, taken.m.to);
    if (n->alive && !w->cut[taken.m.from - 1][taken.m.to - 1]) {
        struct raft_event event = {.type = RAFT_EVENT_RECEIVE, .message = &taken.m};
        if (taken.m.type == RAFT_APPEND_REQUEST)
            taken.m.append_request.batches = taken.batches;
        if (w->trace)
            printf("  %c <- %c %s term %lu\n", (int)('a' + n->id - 1), (int)('a' + taken.m.from - 1),
                   world_type_name(taken.m.type), taken.m.term);
        int result = world_step(w, n, &event);
        if (result == RAFT_E_INVALID)
            world_fail(w, "node %lu calls a message of %lu invalid (%s)", n->id, taken.m.from,
                       world_type_name(taken.m.type));
    }
    free(taken.batches);
}

void world_settle(struct world *w)
{
    for (int rounds = 0; rounds < 200000; rounds++) {
        size_t at = 0;
        while (at < w->bag_count && !world_deliverable(w, at))
            at++;
        if (at == w->bag_count)
            return;
        world_deliver(w, at);
    }
    world_fail(w, "messages go on for ever");
}

/* The next thing that happens: a message (its place in the bag) or a timer (of that node). */
static uint64_t next_thing(struct world *w, size_t *message, struct world_node **timer)
{
    uint64_t due = UINT64_MAX;
    *message = SIZE_MAX;
    *timer = NULL;
    for (size_t i = 0; i < w->bag_count; i++) {
        if (world_deliverable(w, i) && w->bag[i].due < due) {
            due = w->bag[i].due;
            *message = i;
        }
    }
    for (size_t i = 0; i < WORLD_NODES; i++) {
        struct world_node *n = &w->nodes[i];
        if (n->exists && n->alive && n->deadline < due) {
            due = n->deadline;
            *timer = n;
        }
    }
    return due;
}

void world_run(struct world *w, uint64_t ns)
{
    uint64_t end = w->now + ns;
    uint64_t still = 0;
    for (;;) {
        size_t message;
        struct world_node *timer;
        uint64_t due = next_thing(w, &message, &timer);
        if (due > end)
            break;
        still = due > w->now ? 0 : still + 1;
        if (still > 100000)
            world_fail(w, "time stands still");
        if (due > w->now)
            w->now = due;
        if (timer)
            world_event(w, timer, RAFT_EVENT_TIME);
        else
            world_deliver(w, message);
    }
    w->now = end;
}
