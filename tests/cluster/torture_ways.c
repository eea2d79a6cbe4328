/* SPDX-License-Identifier: Apache-2.0 */
/* torture_ways.c - how members are reached changes while they run: see torture_crew.h. */
#include "torture_crew.h"

#include <inttypes.h>
#include <string.h>

/* Same addresses, in any order? There are two of them at the most. */
static bool same(const char *seen, const char *wanted)
{
    char turned[TORTURE_URIS];
    const char *comma = strchr(wanted, ',');

    (void)snprintf(turned, sizeof turned, "%s,%.*s", comma ? comma + 1 : "", comma ? (int)(comma - wanted) : 0,
                   wanted);
    return strcmp(seen, wanted) == 0 || strcmp(seen, turned) == 0;
}

static bool is_out(struct hand *hand, const struct torture_node *node)
{
    bool out;

    (void)pthread_mutex_lock(&hand->torture->lock);
    out = node->out;
    (void)pthread_mutex_unlock(&hand->torture->lock);
    return out;
}

static void write_way(struct hand *hand, struct torture_node *node, unsigned mask, unsigned bits)
{
    (void)pthread_mutex_lock(&hand->torture->lock);
    node->way = (node->way & ~mask) | bits;
    node_configure(hand->torture, node);
    (void)pthread_mutex_unlock(&hand->torture->lock);
}

/* Whether the members have these addresses of a node; if not, tell them. A node that was started with a new INI does
 * not tell them itself. */
static bool tell(struct hand *hand, struct torture_node *node, const char *wanted)
{
    struct view view;

    hand_view(hand, &view);
    if (!view_of(&view, node) || view.in_flight)
        return false;
    if (same(view_of(&view, node)->addresses, wanted))
        return true;
    (void)hand_do(hand, view.leader, "member update %s %s --if-version %" PRIu64, node->name, wanted, view.version);
    return false;
}

static bool known(struct hand *hand, struct torture_node *node)
{
    char wanted[TORTURE_URIS];

    node_addresses(node, node->way, wanted);
    return tell(hand, node, wanted);
}

/* Stopped cleanly, if it runs: whoever stops it. */
static void stop(struct hand *hand, struct torture_node *node)
{
    bool down = false;
    bool told = false;

    while (!down) {
        (void)pthread_mutex_lock(&hand->torture->lock);
        down = node->state == NODE_DOWN || (told && node->state == NODE_RUNNING);
        if (!told && !down && !node->paused) {
            node_stop(hand->torture, node);
            told = true;
        }
        (void)pthread_mutex_unlock(&hand->torture->lock);
        if (!down)
            hand_wait(hand);
    }
}

static void start(struct hand *hand, struct torture_node *node)
{
    (void)pthread_mutex_lock(&hand->torture->lock);
    node->wanted = !node->out && node->state == NODE_DOWN && !node->wiped;
    (void)pthread_mutex_unlock(&hand->torture->lock);
}

/* A node gets that way by a reload, as soon as it is there for it. One that is out has it when it comes back. */
static void bring(struct hand *hand, struct torture_node *node, unsigned mask, unsigned bits)
{
    bool changes = (node->way & mask) != bits;

    write_way(hand, node, mask, bits);
    while (!is_out(hand, node)) {
        if (hand_do(hand, node, "reload") == 0) {
            hand->torture->crew->reloads += changes;
            changes = false;
            while (!is_out(hand, node) && !known(hand, node))
                hand_wait(hand);
            return;
        }
        if (strstr(hand->said, "restart gaveld to load")) { /* it has had as many generations of a plugin as it may */
            stop(hand, node);
            start(hand, node);
        }
        hand_wait(hand);
    }
}

static void bring_all(struct hand *hand, unsigned mask, unsigned bits)
{
    struct torture *torture = hand->torture;
    uint64_t first = hand_random(hand, (uint64_t)torture->slots);

    (void)pthread_mutex_lock(&torture->lock);
    torture->way = (torture->way & ~mask) | bits; /* who comes in meanwhile is like that */
    (void)pthread_mutex_unlock(&torture->lock);
    for (int i = 0; i < torture->slots; i++)
        bring(hand, &torture->nodes[(first + (uint64_t)i) % (uint64_t)torture->slots], mask, bits);
}

bool task_transport(struct hand *hand)
{
    unsigned old = hand->torture->way & WAY_TRANSPORTS;

    torture_say(hand->torture, "%s", old == WAY_WS ? "websocket goes, tcp comes" : "tcp goes, websocket comes");
    bring_all(hand, WAY_TRANSPORTS, WAY_TRANSPORTS);
    torture_say(hand->torture, "every member listens with both");
    bring_all(hand, WAY_TRANSPORTS, old ^ WAY_TRANSPORTS);
    return true;
}

bool task_serializer(struct hand *hand)
{
    unsigned old = hand->torture->way & WAY_JSON;

    torture_say(hand->torture, "%s", old ? "JSON goes, MessagePack comes" : "MessagePack goes, JSON comes");
    bring_all(hand, WAY_JSON, old ^ WAY_JSON);
    return true;
}

/* ---- one node ---------------------------------------------------------------------------------------------------- */

/*
 * The members are told of the new address first, beside the old one: a node that is not where they look for it hears
 * from nobody, and where the others cannot agree without it nobody could tell them any more.
 */
bool task_address(struct hand *hand)
{
    bool restart = hand_random(hand, 2) != 0;
    char both[2 * TORTURE_URIS];
    char moved[TORTURE_URIS];
    struct torture_node *node;
    char now[TORTURE_URIS];
    struct view view;

    hand_view(hand, &view);
    node = hand_pick(hand, &view, "voter", true);
    if (!node)
        return false;
    torture_say(hand->torture, "%s moves to its other ports, by %s", node->name, restart ? "a restart" : "a reload");
    node_addresses(node, node->way, now);
    node_addresses(node, node->way ^ WAY_MOVED, moved);
    (void)snprintf(both, sizeof both, "%s,%s", now, moved);
    while (!is_out(hand, node) && !tell(hand, node, both))
        hand_wait(hand);
    if (!restart) {
        bring(hand, node, WAY_MOVED, ~node->way & WAY_MOVED);
        return true;
    }
    stop(hand, node);
    write_way(hand, node, WAY_MOVED, ~node->way & WAY_MOVED);
    start(hand, node);
    bring(hand, node, 0, 0); /* it may have been started before its INI changed */
    return true;
}

/* As the runbook says: followers first, and each is ready before the next one goes. */
bool task_roll(struct hand *hand)
{
    struct torture *torture = hand->torture;
    struct torture_node *last;
    struct view view;

    hand_view(hand, &view);
    last = view.leader;
    torture_say(torture, "one node after the other is restarted, %s last", last->name);
    for (int i = 0; i <= torture->slots; i++) {
        struct torture_node *node = i < torture->slots ? &torture->nodes[i] : last;

        if ((i < torture->slots && node == last) || is_out(hand, node) || node->wiped)
            continue;
        stop(hand, node);
        start(hand, node);
        hand_await_ready(hand, node);
    }
    return true;
}
