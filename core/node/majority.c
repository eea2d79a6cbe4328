/* SPDX-License-Identifier: Apache-2.0 */
/*
 * majority.c - a majority of the voters recovers from damage: none of them votes or acknowledges, so nobody can be
 * elected, and there is nobody to fetch from. Waiting would never end; so every node that sees it stops, and says what
 * to type. Who hears from a leader does not: there is a majority then (a leader that no quorum of whole voters answers
 * steps down), and the list of members here is an old one.
 *
 * A node says in its hello whether it recovers, and dials anew when that is over. Who lost the end of its log may not
 * know all members, and dials those only that it knows: what such a one answers to checks counts then. A node whose
 * connection was lost is taken to recover for a little while longer, so that all come to the same end although one
 * stops first; that is less than what the condition has to hold for, so one that has recovered and fell before it could
 * say so stops nobody.
 */
#include "core/node/internal.h"

#include <stdio.h>

#include "core/os/seeded.h"

#define HOLDS_NS UINT64_C(5000000000)      /* the condition has to hold for so long, or longer_ns more */
#define REMEMBERED_NS UINT64_C(4000000000) /* what a node said whose connection was lost; the same */
#define REFRESH_NS UINT64_C(2000000000)    /* answers on an old connection have so long to come */

/*
 * Those that followed one leader notice at different times that it leads no more: its silence lasts for as long as each
 * has drawn, twice the difference at most. Who stops first has to be remembered until the last one stops.
 */
static uint64_t longer_ns(const struct node *node)
{
    uint64_t apart = 2 * (node->limits.election_max_ms - node->limits.election_min_ms) * NS_PER_MS;
    uint64_t covered = REMEMBERED_NS - 1000 * NS_PER_MS;

    return apart > covered ? apart - covered : 0;
}

void majority_heard(struct peer *peer, bool recovers)
{
    peer->recovers = recovers;
}

void majority_lost(struct peer *peer)
{
    peer->recovers_until = node_now(peer->node) + REMEMBERED_NS + longer_ns(peer->node);
}

static bool recovers(const struct node *node, uint64_t id, uint64_t now)
{
    const struct peer *peer = peer_find(node, id);

    if (id == node->member_id)
        return node->recovers;
    return peer && peer->recovers && (peer->in || (peer->out && peer->out->up) || now < peer->recovers_until);
}

/* One of the two sets of voters: whether those that do not recover are too few to elect anybody. */
static bool too_few(const struct node *node, bool old_set, uint64_t now, uint32_t *voters)
{
    uint32_t able = 0;

    *voters = 0;
    for (uint32_t i = 0; i < node->in_force.count; i++) {
        const struct raft_member *member = &node->in_force.members[i];

        if (old_set ? !member->outgoing : member->role != RAFT_VOTER)
            continue;
        ++*voters;
        able += !recovers(node, member->id, now);
    }
    return *voters && able < *voters / 2 + 1;
}

static void stop(struct node *node, uint32_t voters, uint64_t now)
{
    char names[256] = "";
    size_t used = 0;
    uint32_t count = 0;

    for (uint32_t i = 0; i < node->in_force.count; i++) {
        const struct member *member = directory_find(&node->directory, node->in_force.members[i].id);

        if (!member || !recovers(node, member->id, now))
            continue;
        count++;
        if (used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", member->name);
    }
    node_fatal(node, 65,
               "a majority of the voters recovers from damage (%u of %u: %s): nobody is left who could lead. Stop all "
               "nodes and see what is left: gavel recover --dry-run --data-dir %s, with the directories of the others; "
               "see majority-recovering in gavel-runbook(7)",
               count, voters, names, node->setup.data_dir);
}

static bool is_lost(const struct node *node, uint64_t now, uint32_t *voters)
{
    if (node->leader)
        return false;
    return too_few(node, false, now, voters) ||
           (raft_configuration_joint(&node->in_force) && too_few(node, true, now, voters));
}

void majority_watch(struct node *node, uint64_t now)
{
    uint32_t voters;

    if (!node->raft || node->phase != NODE_RUNNING || seeded_bug("node-majority-recovering-waits"))
        return;
    if (!is_lost(node, now, &voters))
        node->majority_lost_ns = 0;
    else if (!node->majority_lost_ns)
        node->majority_lost_ns = now;
    else if (now - node->majority_lost_ns >= HOLDS_NS + longer_ns(node))
        stop(node, voters, now);
}

void majority_recovered(struct node *node)
{
    struct peer *peer;

    node->recovers = false;
    os_list_each (peer, &node->peers, struct peer, link)
        peer_refresh(peer, node_now(node) + REFRESH_NS);
}
