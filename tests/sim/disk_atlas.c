/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_atlas.c - the fault atlas: which disks may be damaged at the same time.
 *
 * What counts as damage: bytes that had been synced and are no longer what was written (rot, misdirected and lost
 * writes), and a wiped disk; and a state that has flipped: that node is fenced, and never leads, though nobody may
 * know more than it does. What does not: everything that a crash does to what was not synced, EIO (the node
 * exits 74, and what a failed sync lost was never acknowledged), a full disk, a stall.
 *
 * Until when: until it has been written over or its file is gone; or until a start has met it and the node runs
 * without `recovering` in its durable directory. A start reads everything but the snapshots behind the newest sound
 * one, so damage to a snapshot counts as long as the file is there. A node that left with status 65 (both votes,
 * the directory or the founding record damaged) is lost for good, until its disk is wiped and it becomes another
 * member.
 *
 * A voter of a configuration is sound when some undamaged disk bears its member id: so a wiped or renumbered node
 * needs no book-keeping. The majority is asked for in every configuration that any node has in force, or had when it
 * went down and may have again: among its voters, among its outgoing voters, and in whatever it may be followed by. For
 * that the worst is taken: of the voters whose leaving was asked for the sound ones leave and the damaged ones stay; of
 * those who may become voters (joining members, learners whose promotion was asked for) the damaged ones come and the
 * sound ones do not. What was asked for may take effect much later, in the log of a node that was down.
 */
#include <assert.h>
#include <string.h>

#include "core/node/internal.h"
#include "core/os/bytes.h"
#include "disk_state.h"

#define DIRECTORY_MEMBER 24 /* offset of the member id in the directory record: gavel-formats(7) */
#define EXIT_CORRUPT 65

/* The member id that the disk bears; 0: none. */
static uint64_t member_of(const struct sim_disk *disk)
{
    struct os_mem_entry entry;
    uint8_t bytes[OS_MEM_SECTOR];

    if (!disk_find_named(disk, "directory", &entry) || !os_mem_sector(disk->mem, entry.path, 0, bytes))
        return 0;
    return os_get64(bytes + DIRECTORY_MEMBER);
}

bool sim_atlas_damaged(struct sim *sim, struct sim_node *node)
{
    if (!node->disk)
        return false;
    assert(node->disk->magic == DISK_MAGIC);
    if (sim->flipped == node->number + 1)
        return true;
    return sim_disk_damaged(node->disk) || disk_is_recovering(node->disk) || node->exit_code == EXIT_CORRUPT;
}

/* Whether the voter is on an undamaged disk, when `without` is taken for damaged. */
static bool is_sound(struct sim *sim, uint64_t member, const struct sim_node *without)
{
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];

        if (node->disk && member_of(node->disk) == member)
            return node != without && !sim_atlas_damaged(sim, node);
    }
    return false;
}

/* Whether this member may be gone, or a learner, soon: nobody may count on it, nor on its going. */
static bool may_leave(const struct sim *sim, uint64_t member)
{
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (sim->nodes[i].leaves_until > sim->now && sim->nodes[i].disk && member_of(sim->nodes[i].disk) == member)
            return true;
    return false;
}

struct tally {
    uint32_t all;
    uint32_t damaged;
    uint32_t sound; /* and will stay */
};

static void count(struct tally *tally, bool sound, bool leaves)
{
    tally->all++;
    tally->damaged += !sound;
    tally->sound += sound && !leaves;
}

/* Whatever becomes of those who may leave: the worst is that the sound ones do, and the damaged ones do not. */
static bool has_majority(const struct tally *tally)
{
    return tally->all == 0 || tally->sound > tally->damaged;
}

/*
 * Whether this member, no voter yet, may be one soon; `with` is taken for one that may. A learner whose disk is gone
 * comes with whichever machine without a disk is promoted: which of them it was is forgotten with the disk.
 */
static bool may_come(const struct sim *sim, const struct raft_member *member, const struct sim_node *with)
{
    bool wiped = false;

    if (member->role == RAFT_JOINING)
        return true;
    for (uint32_t i = 0; i < sim->node_count && member->role == RAFT_LEARNER; i++) {
        const struct sim_node *node = &sim->nodes[i];
        bool comes = node == with || node->comes_until > sim->now;
        uint64_t borne = node->disk ? member_of(node->disk) : 0;

        if (borne == member->id)
            return comes;
        wiped |= comes && borne == 0;
    }
    return wiped;
}

static bool holds(struct sim *sim, const struct raft_configuration *configuration, const struct sim_node *without,
                  const struct sim_node *with)
{
    struct tally voters = {0};
    struct tally outgoing = {0};
    struct tally soon = {0};

    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_member *member = &configuration->members[i];
        bool sound = is_sound(sim, member->id, without);
        bool leaves = may_leave(sim, member->id);

        if (member->role == RAFT_VOTER)
            count(&voters, sound, leaves);
        if (member->outgoing)
            count(&outgoing, sound, leaves);
        if (member->role == RAFT_VOTER)
            count(&soon, sound, leaves);
        else if (!sound && may_come(sim, member, with))
            count(&soon, false, leaves);
    }
    return has_majority(&voters) && has_majority(&outgoing) && has_majority(&soon);
}

/* What this node goes by, or will when it is started again; NULL: nothing. */
static const struct raft_configuration *known_by(const struct sim_node *node)
{
    const struct raft_configuration *configuration = &node->last_known;

    if (node->node && node->node->raft)
        configuration = raft_configuration(node->node->raft);
    return configuration->count ? configuration : NULL;
}

static bool all_hold(struct sim *sim, const struct sim_node *without, const struct sim_node *with)
{
    bool known = false;

    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];
        const struct raft_configuration *configuration = known_by(node);

        if (!configuration)
            continue;
        known = known || node->node;
        if (!holds(sim, configuration, without, with))
            return false;
    }
    return known; /* nobody who runs knows a configuration: better not */
}

bool sim_atlas_may_lose(struct sim *sim, struct sim_node *node)
{
    return all_hold(sim, node, NULL);
}

bool sim_atlas_may_promote(struct sim *sim, struct sim_node *node)
{
    return sim->options.correlated || all_hold(sim, NULL, node);
}

/* A disk without an identity is in no configuration yet, and may be a joining member's in the next: too late to ask. */
bool sim_atlas_may_damage(struct sim *sim, struct sim_node *node)
{
    if (!node->disk)
        return false;
    return sim->options.correlated || (member_of(node->disk) && sim_atlas_may_lose(sim, node));
}
