/* SPDX-License-Identifier: Apache-2.0 */
/*
 * divergence.c - replicas compare digests of their state; who differs from a majority is named and fenced.
 *
 *   sampled   after each index divisible by 1,024, and where nothing has been applied for a while
 *   told      by followers, in answers to appends
 *   agreed    by the leader: at one index a majority of the voters has the same digest; told in its heartbeats
 *   fenced    whoever has another one there, the leader itself included: it goes on with log and votes, serves no
 *             reads, never leads, and hands over if it does; durably, so that a restart changes nothing
 *   free      again when its digest equals an agreed one, at a later index: equal digests, equal states
 *
 * Without a majority of equal digests nobody can know who is right: that is an alarm, and nothing else.
 */
#include "core/node/internal.h"

#include <stdio.h>
#include <string.h>

#include "core/os/seeded.h"

#define LOOK_AGAIN_NS UINT64_C(10000000000) /* a state that nothing changes is compared again after this */

static void keep(struct digest_sample *samples, uint32_t count, uint64_t index, uint64_t digest)
{
    struct digest_sample *oldest = samples;

    for (uint32_t i = 0; i < count; i++) {
        if (samples[i].index == index) {
            samples[i].digest = digest;
            return;
        }
        if (samples[i].index < oldest->index)
            oldest = &samples[i];
    }
    *oldest = (struct digest_sample){.index = index, .digest = digest};
}

static bool find(const struct digest_sample *samples, uint32_t count, uint64_t index, uint64_t *digest)
{
    for (uint32_t i = 0; i < count; i++)
        if (samples[i].index == index) {
            *digest = samples[i].digest;
            return true;
        }
    return false;
}

static bool own(const struct node *node, uint64_t index, uint64_t *digest)
{
    return find(node->digests, NODE_DIGESTS, index, digest);
}

/* ---- the fence ----------------------------------------------------------------------------------------------- */

static void fence_saved(struct log_task *task)
{
    struct node *node = task->ctx;

    node->fence_saving = false;
    if (!node_working(node))
        return;
    if (task->status != GAVEL_OK && task->status != GAVEL_E_NO_SPACE)
        node_fatal(node, 74, "the fence of this node cannot be written: %s", task->error.text);
    if (task->status == GAVEL_OK) {
        node->fence_saved = node->fence_wanted;
        divergence_settle(node);
    } /* else the disk is full: with the next look */
    node_settle(node);
}

void divergence_settle(struct node *node)
{
    uint64_t wanted = node->fenced ? node->fence_index : 0;

    if (node->fence_saving || node->fence_saved == wanted || !node_working(node))
        return;
    node->fence_saving = true;
    node->fence_wanted = wanted;
    node->task_fence = (struct log_task){.done = fence_saved, .ctx = node};
    if (log_set_fence(node->log, wanted, &node->task_fence) != GAVEL_OK)
        node->fence_saving = false; /* no memory: with the next look */
}

static void set_fence(struct node *node, bool on, uint64_t index, const char *why)
{
    struct raft_event event = {.type = RAFT_EVENT_FENCE, .fence = {.on = on}};
    char at[24];
    const char *const pairs[] = {"alarm", on ? "fenced" : "unfenced", "member", node->setup.name, "index", at, NULL};

    node->fenced = on;
    node->look = NODE_LOOK_ALL;
    node->fence_index = index ? index : 1;
    node->fence_from = node->fence_index + 1;
    (void)snprintf(at, sizeof at, "%llu", (unsigned long long)index);
    if (on) {
        node_log(node, GAVEL_LOG_ERROR, "node",
                 "Divergence: %s after index %s: this node, %s, is fenced: it serves no reads and never leads. Have it "
                 "rebuild its state: gavel member rebuild %s; see divergence in gavel-runbook(7)",
                 why, at, node->setup.name, node->setup.name);
        propose_drop(node, GAVEL_E_UNKNOWN, "the leader's state differs from the majority's; the write may be done");
        propose_truncated(node, 1); /* what this node would answer cannot be trusted; the write itself is in the log */
        event_end_all(node, GAVEL_E_CLOSED, "the state of this node differs from the majority's");
        read_refuse_all(node);
    } else {
        node_log(node, GAVEL_LOG_WARN, "node", "The state of this node equals the majority's after index %s: it is not "
                 "fenced any more", at);
    }
    event_local(node, "alarm", on ? "fenced" : "unfenced", pairs);
    divergence_settle(node);
    if (!seeded_bug("node-fence-leads"))
        (void)engine_step(node, &event);
}

void divergence_fence(struct node *node, const char *why)
{
    if (!node->fenced)
        set_fence(node, true, node->applied, why);
}

void divergence_restart(struct node *node, uint64_t index)
{
    struct raft_event event = {.type = RAFT_EVENT_FENCE, .fence = {.on = true}};

    if (!index)
        return;
    node->fenced = true;
    node->look = NODE_LOOK_ALL;
    node->fence_index = node->fence_saved = index;
    node->fence_from = index + 1;
    node_log(node, GAVEL_LOG_ERROR, "node",
             "Divergence: this node, %s, was fenced after index %llu: gavel member rebuild %s; see divergence in "
             "gavel-runbook(7)", node->setup.name, (unsigned long long)index, node->setup.name);
    (void)engine_step(node, &event);
}

/* What a majority has is known at an index: is it what is here? */
static void judge(struct node *node)
{
    uint64_t digest;

    if (!node->agreed.index || node->rebuild || !own(node, node->agreed.index, &digest) ||
        seeded_bug("node-divergence-ignored"))
        return;
    if (!node->fenced && digest != node->agreed.digest)
        set_fence(node, true, node->agreed.index, "its state differs from that of the majority");
    else if (node->fenced && digest == node->agreed.digest && node->agreed.index >= node->fence_from)
        set_fence(node, false, node->agreed.index, "");
}

/* ---- the leader's count ---------------------------------------------------------------------------------------- */

struct ballot {
    uint64_t digest[NODE_MEMBERS_MAX];
    bool known[NODE_MEMBERS_MAX];
    uint32_t voters;
    uint32_t heard;
};

static void collect(struct node *node, uint64_t index, struct ballot *ballot)
{
    memset(ballot, 0, sizeof *ballot);
    for (uint32_t i = 0; i < node->in_force.count; i++) {
        const struct raft_member *member = &node->in_force.members[i];
        const struct peer *peer = member->id == node->member_id ? NULL : peer_find(node, member->id);

        ballot->known[i] = member->id == node->member_id ? own(node, index, &ballot->digest[i])
                           : peer                        ? find(peer->digests, PEER_DIGESTS, index, &ballot->digest[i])
                                                         : false;
        ballot->voters += member->role == RAFT_VOTER;
        ballot->heard += member->role == RAFT_VOTER && ballot->known[i];
    }
}

static uint32_t votes_for(const struct node *node, const struct ballot *ballot, uint64_t digest)
{
    uint32_t votes = 0;

    for (uint32_t i = 0; i < node->in_force.count; i++)
        votes += node->in_force.members[i].role == RAFT_VOTER && ballot->known[i] && ballot->digest[i] == digest;
    return votes;
}

static void name_odd_ones(struct node *node, const struct ballot *ballot)
{
    for (uint32_t i = 0; i < node->in_force.count; i++) {
        struct peer *peer = peer_find(node, node->in_force.members[i].id);
        bool differs = ballot->known[i] && ballot->digest[i] != node->agreed.digest;
        char at[24];
        const char *pairs[] = {"alarm", "divergence", "member", peer ? peer->name : "", "index", at, NULL};

        if (!peer || !ballot->known[i] || peer->diverged == differs)
            continue;
        peer->diverged = differs;
        if (!differs)
            continue;
        (void)snprintf(at, sizeof at, "%llu", (unsigned long long)node->agreed.index);
        node_log(node, GAVEL_LOG_ERROR, "node",
                 "Divergence: the state of %s differs from that of the majority after index %s: it is fenced. Have it "
                 "rebuild: gavel member rebuild %s; see divergence in gavel-runbook(7)", peer->name, at, peer->name);
        event_local(node, "alarm", "divergence", pairs);
    }
}

static void no_majority(struct node *node, uint64_t index)
{
    char at[24];
    const char *const pairs[] = {"alarm", "divergence", "member", "", "index", at, NULL};

    if (node->disagreed)
        return;
    node->disagreed = true;
    (void)snprintf(at, sizeof at, "%llu", (unsigned long long)index);
    node_log(node, GAVEL_LOG_ERROR, "node",
             "Divergence: there is no majority of equal digests after index %s: nobody can know who is right; see "
             "divergence in gavel-runbook(7)", at);
    event_local(node, "alarm", "divergence", pairs);
}

static void count(struct node *node, uint64_t index)
{
    struct ballot ballot;
    uint32_t best = 0;

    if (node->role != RAFT_LEADER || index <= node->agreed.index || raft_configuration_joint(&node->in_force))
        return;
    collect(node, index, &ballot);
    for (uint32_t i = 0; i < node->in_force.count; i++) {
        uint32_t votes = ballot.known[i] && node->in_force.members[i].role == RAFT_VOTER
                             ? votes_for(node, &ballot, ballot.digest[i]) : 0;

        if (votes > best)
            best = votes;
        if (votes <= ballot.voters / 2)
            continue;
        node->agreed = (struct digest_sample){.index = index, .digest = ballot.digest[i]};
        node->disagreed = false;
        name_odd_ones(node, &ballot);
        judge(node);
        return;
    }
    if (ballot.voters && best + (ballot.voters - ballot.heard) <= ballot.voters / 2)
        no_majority(node, index);
}

/* ---- what comes in ------------------------------------------------------------------------------------------- */

void divergence_sample(struct node *node, uint64_t index, uint64_t digest)
{
    keep(node->digests, NODE_DIGESTS, index, digest);
    node->digest_index = index;
    node->digest = digest;
    judge(node);
    count(node, index);
}

void divergence_told(struct peer *peer, uint64_t index, uint64_t digest)
{
    struct node *node = peer->node;
    uint64_t before;

    if (!index || (find(peer->digests, PEER_DIGESTS, index, &before) && before == digest))
        return;
    keep(peer->digests, PEER_DIGESTS, index, digest);
    count(node, index);
    if (index == node->agreed.index) { /* late: the rest has agreed already */
        struct ballot ballot;

        collect(node, index, &ballot);
        name_odd_ones(node, &ballot);
    }
}

void divergence_agreed(struct node *node, uint64_t index, uint64_t digest)
{
    if (index <= node->agreed.index)
        return;
    node->agreed = (struct digest_sample){.index = index, .digest = digest};
    node->disagreed = false;
    judge(node);
}

bool divergence_undecided(const struct node *node)
{
    return node->disagreed && node->role == RAFT_LEADER;
}

/* Nothing has been applied since the last look: what there is now can be compared too, and now and then again. */
void divergence_look(struct node *node)
{
    uint64_t now = node_now(node);
    bool fresh = node->digest_index != node->applied || now >= node->look_again_ns;
    bool quiet = node->applied == node->looked && node->applied && fresh;

    divergence_settle(node);
    if (quiet)
        node->look_again_ns = now + LOOK_AGAIN_NS;
    if (node->raft && quiet && work_idle(node) && !node->apply_hold && apply_index(node->apply) == node->applied)
        divergence_sample(node, node->applied, apply_digest(node->apply));
    node->looked = node->applied;
}

void divergence_forget(struct node *node)
{
    memset(node->digests, 0, sizeof node->digests);
    node->digest_index = 0;
}

/* ---- reads --------------------------------------------------------------------------------------------------- */

bool divergence_read(struct conn *conn, const struct codec_request *request, struct origin origin,
                     uint64_t deadline_ns)
{
    struct node *node = conn->node;
    struct peer *leader = node->leader ? peer_find(node, node->leader) : NULL;

    if (!node->fenced || seeded_bug("node-fenced-reads"))
        return false;
    if (request->read != CODEC_READ_STALE && !request->forwarded && leader && leader->out &&
        leader->out->state == CONN_READY)
        client_forward(node, leader, request, origin, deadline_ns);
    else
        client_refuse(node, origin, GAVEL_E_BUSY,
                      "the state of this node differs from the majority's: it serves no reads; ask another one");
    return true;
}
