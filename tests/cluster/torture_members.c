/* SPDX-License-Identifier: Apache-2.0 */
/* torture_members.c - who belongs to the cluster changes, again and again: see torture_crew.h. */
#include "torture_crew.h"

#include <inttypes.h>
#include <string.h>

#define VOTERS_MIN 3
#define VOTERS_MORE 2 /* than founded */

static void shift_voters(struct hand *hand, int by)
{
    (void)pthread_mutex_lock(&hand->torture->lock);
    hand->torture->voters += by;
    (void)pthread_mutex_unlock(&hand->torture->lock);
}

/* One voter less, of more than `least`: a majority of those that stay must be whole. */
static bool shrink(struct hand *hand, int least)
{
    struct torture *torture = hand->torture;
    bool good;

    (void)pthread_mutex_lock(&torture->lock);
    good = torture->voters > least && damage_count(torture) <= (torture->voters - 2) / 2;
    torture->voters -= good;
    (void)pthread_mutex_unlock(&torture->lock);
    return good;
}

static void say_leaves(struct hand *hand, struct torture_node *node)
{
    (void)pthread_mutex_lock(&hand->torture->lock);
    node->may_leave = true;
    (void)pthread_mutex_unlock(&hand->torture->lock);
}

/* ---- more -------------------------------------------------------------------------------------------------------- */

/* An empty node comes in: it may be there before it is added, or not. */
static void bring_in(struct hand *hand, struct torture_node *spare, const char *role)
{
    bool first = hand_random(hand, 2) != 0;
    char addresses[TORTURE_URIS];

    node_addresses(spare, spare->way, addresses);
    torture_say(hand->torture, "%s is to be added as %s, and is %s", spare->name, role,
                first ? "there already" : "started afterwards");
    if (first)
        hand_raise(hand, spare);
    if (!first) { /* a voter that does not run stays joining, and counts for nothing */
        struct view view;

        do {
            hand_view(hand, &view);
            if (!view_of(&view, spare))
                (void)hand_do(hand, view.leader, "member add %s %s --role %s --if-version %" PRIu64, spare->name,
                              addresses, role, view.version);
            hand_wait(hand);
        } while (view.in_flight || !view_of(&view, spare));
        hand_raise(hand, spare);
    }
    hand_change(hand, spare, role, 0, "add %s %s --role %s", spare->name, addresses, role);
    hand_await_ready(hand, spare);
}

bool task_add(struct hand *hand)
{
    struct torture_node *spare;

    if (hand->torture->voters >= hand->torture->count + VOTERS_MORE)
        return false;
    spare = hand_spare(hand);
    if (!spare)
        return false;
    bring_in(hand, spare, "voter");
    shift_voters(hand, 1);
    return true;
}

bool task_learner(struct hand *hand)
{
    struct torture_node *spare;
    struct view view;

    hand_view(hand, &view);
    spare = view_count(&view, "learner") == 0 ? hand_spare(hand) : NULL;
    if (!spare)
        return false;
    bring_in(hand, spare, "learner");
    return true;
}

bool task_promote(struct hand *hand)
{
    struct torture_node *node;
    struct view view;

    hand_view(hand, &view);
    node = hand_pick(hand, &view, "learner", false);
    if (!node)
        return false;
    torture_say(hand->torture, "%s is to be a voter", node->name);
    hand_change(hand, node, "voter", 0, "promote %s", node->name);
    shift_voters(hand, 1);
    return true;
}

/* ---- fewer ------------------------------------------------------------------------------------------------------- */

bool task_demote(struct hand *hand)
{
    struct torture_node *node;
    struct view view;

    hand_view(hand, &view);
    node = hand_pick(hand, &view, "voter", true);
    if (!node || !shrink(hand, VOTERS_MIN))
        return false;
    torture_say(hand->torture, "%s is to be a learner%s", node->name, node == view.leader ? ", it leads" : "");
    hand_change(hand, node, "learner", 0, "demote %s", node->name);
    return true;
}

static void take_out(struct hand *hand, struct torture_node *node)
{
    say_leaves(hand, node);
    hand_change(hand, node, NULL, 0, "remove %s", node->name);
    hand_farewell(hand, node);
}

bool task_remove(struct hand *hand)
{
    struct torture_node *node;
    struct view view;

    hand_view(hand, &view);
    node = hand_pick(hand, &view, view_count(&view, "learner") && hand_random(hand, 2) ? "learner" : "voter", false);
    if (!node || (strcmp(view_of(&view, node)->role, "voter") == 0 && !shrink(hand, VOTERS_MIN)))
        return false;
    torture_say(hand->torture, "%s, a %s, is to go", node->name, view_of(&view, node)->role);
    take_out(hand, node);
    return true;
}

bool task_remove_leader(struct hand *hand)
{
    struct view view;

    hand_view(hand, &view);
    if (!view_has(&view, view.leader, "voter") || !shrink(hand, VOTERS_MIN))
        return false;
    torture_say(hand->torture, "%s, which leads, is to go", view.leader->name);
    take_out(hand, view.leader);
    return true;
}

/* ---- others ------------------------------------------------------------------------------------------------------ */

/* In one step: the old one goes, and until the new one has caught up there is a voter less. */
bool task_replace(struct hand *hand)
{
    struct torture_node *spare;
    struct torture_node *old;
    char addresses[TORTURE_URIS];
    struct view view;

    hand_view(hand, &view);
    old = hand_pick(hand, &view, "voter", true);
    spare = old ? hand_spare(hand) : NULL;
    if (!spare || !shrink(hand, VOTERS_MIN - 1))
        return false;
    node_addresses(spare, spare->way, addresses);
    torture_say(hand->torture, "%s takes the place of %s%s", spare->name, old->name,
                old == view.leader ? ", which leads" : "");
    hand_raise(hand, spare);
    say_leaves(hand, old);
    hand_change(hand, spare, "voter", 0, "change --add %s=%s --remove %s", spare->name, addresses, old->name);
    hand_change(hand, old, NULL, 0, "remove %s", old->name);
    hand_farewell(hand, old);
    hand_await_ready(hand, spare);
    shift_voters(hand, 1);
    return true;
}

/* A disk is lost: counted against the atlas until the node has come back with a new id. */
bool task_wipe(struct hand *hand)
{
    struct torture *torture = hand->torture;
    bool first = hand_random(hand, 2) != 0;
    struct torture_node *node;
    struct view view;
    uint64_t id;
    bool allowed;

    hand_view(hand, &view);
    node = hand_pick(hand, &view, "voter", true);
    if (!node)
        return false;
    id = view_of(&view, node)->id;
    (void)pthread_mutex_lock(&torture->lock);
    allowed = damage_allowed(torture, node);
    if (allowed) {
        node->wiped = true;
        node_kill(torture, node);
        node_wipe(torture, node);
        node->joins = true; /* the members of its old INI may not be there any more */
        node_configure(torture, node);
        node->wanted = first;
    }
    (void)pthread_mutex_unlock(&torture->lock);
    if (!allowed)
        return false;
    torture_say(torture, "%s%s has lost its disk, and %s", node->name, node == view.leader ? ", which led," : "",
                first ? "is started again before it is replaced" : "is down");
    hand_change(hand, node, first ? "voter" : "joining", id, "replace %s", node->name);
    hand_raise(hand, node);
    hand_change(hand, node, "voter", id, "replace %s", node->name);
    hand_await_ready(hand, node);
    (void)pthread_mutex_lock(&torture->lock);
    node->wiped = false;
    (void)pthread_mutex_unlock(&torture->lock);
    return true;
}

/* ---- in the end -------------------------------------------------------------------------------------------------- */

void members_restore(struct hand *hand)
{
    struct torture *torture = hand->torture;
    struct view view;

    for (int i = 0; i < torture->count; i++) {
        struct torture_node *node = &torture->nodes[i];

        hand_view(hand, &view);
        if (!view_of(&view, node)) {
            struct torture_node *spare;

            do
                spare = hand_spare(hand); /* some of them are others: what was emptied stays out */
            while (spare && spare != node);
            if (!spare)
                torture_fail(torture, "%s is no member, and cannot be made one", node->name);
            bring_in(hand, node, "voter");
            shift_voters(hand, 1);
        } else if (strcmp(view_of(&view, node)->role, "voter") != 0) {
            hand_change(hand, node, "voter", 0, "promote %s", node->name);
            shift_voters(hand, 1);
        }
    }
    for (int i = torture->count; i < torture->slots; i++) {
        hand_view(hand, &view);
        if (!view_of(&view, &torture->nodes[i]))
            continue;
        shift_voters(hand, strcmp(view_of(&view, &torture->nodes[i])->role, "voter") == 0 ? -1 : 0);
        take_out(hand, &torture->nodes[i]);
    }
}
