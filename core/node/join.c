/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join.c - how an empty node becomes the member that it was added as, and how one that was removed learns of it.
 *
 *   added:  the configuration names it, with a new id and no incarnation; every member dials it
 *   noted:  it answered as that name with an empty data directory; the leader adds its incarnation to the configuration
 *   sent:   that is committed: whoever is connected sends it the founding record and its id; it makes both durable
 *   member: it answers as part of the cluster, and catches up by log or snapshot
 *
 * A member of a cluster that was restored from a file has its record and its id from there, and no incarnation in the
 * configuration either: the leader notes the directory that answers first, see reset.h.
 *
 * Each step rests on a committed entry, so it does not matter who leads, or which side falls in between. Only the data
 * directory that was noted is let in: another one under that name, the same machine with a new disk, was wiped.
 */
#include "core/node/internal.h"

#include "core/node/bytes.h"
#include "core/os/seeded.h"

static void send_record(struct peer *peer)
{
    struct node *node = peer->node;
    uint8_t incarnation[CODEC_ID_BYTES] = {0};
    struct codec_found_record record = {.record = gavel_buffer_slice(&node->record), .member_id = peer->id};

    bytes_store64(incarnation, peer->blank_incarnation);
    record.incarnation = gavel_bytes(incarnation, sizeof incarnation);
    peer->record_sent = peer_mark_sent(peer, &record.id) && conn_send(peer->out, CODEC_FOUND_RECORD, &record);
}

/* Bring one in by one step. An id counts only once it is committed: before, another member may get it yet. */
static void bring_in(struct peer *peer)
{
    struct node *node = peer->node;
    const struct members *now = directory_now(&node->directory);
    const struct members *committed = directory_at(&node->directory, engine_commit(node));
    const struct member *member;

    if (seeded_bug("member-joins-uncommitted"))
        committed = now;
    member = committed ? members_find(committed, peer->id) : NULL;
    if (!member || peer->record_sent)
        return;
    if (member->incarnation == peer->blank_incarnation)
        send_record(peer);
    else if (member->incarnation == 0 && node->role == RAFT_LEADER)
        (void)change_incarnation(node, peer->id, peer->blank_incarnation);
}

/* The data directory of a restored member, from now on the only one. True while that is not done for all. */
static bool note_restored(struct node *node)
{
    const struct members *committed = directory_at(&node->directory, engine_commit(node));
    bool unknown = false;

    for (uint32_t i = 0; committed && i < committed->count; i++) {
        const struct member *member = &committed->items[i];
        const struct peer *peer = peer_find(node, member->id);
        bool self = member->id == node->member_id;

        if (member->incarnation || member->role == RAFT_LEAVING)
            continue;
        unknown = true;
        if (node->role != RAFT_LEADER || seeded_bug("member-restored-not-noted"))
            continue;
        /* One at a time: the configuration that it is noted in is the one to look at next. */
        if (self || (peer && !peer->blank && peer->out && peer->out->up)) {
            (void)change_incarnation(node, member->id, self ? node->incarnation : peer->blank_incarnation);
            break;
        }
    }
    return unknown;
}

void join_settle(struct node *node)
{
    struct peer *peer;
    bool blanks;

    if (!node->blanks || !node->founded || node->record.size == 0)
        return;
    blanks = note_restored(node);
    os_list_each (peer, &node->peers, struct peer, link)
        if (peer->blank && peer->id && peer->out && peer->out->up) {
            bring_in(peer);
            blanks |= !peer->record_sent;
        }
    node->blanks = blanks;
}

void join_removed(struct node *node)
{
    if (node->removed || node->phase >= NODE_HANDING)
        return;
    node->removed = true;
    node_log(node, GAVEL_LOG_WARN, "cluster",
             "This node, member %llu, was removed from its cluster: it stops. To bring it back, empty its data "
             "directory and add it as a new member",
             (unsigned long long)node->member_id);
    node_stop(node);
}
