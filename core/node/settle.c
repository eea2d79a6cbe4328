/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle.c - the end of every entry point: what came in is proposed and asked for, what committed is applied, whoever
 * waited for that is answered, the next deadline is told. What of it there is to look at: settle.h.
 */
#include "core/node/internal.h"

#include <errno.h>
#include <string.h>

#include "core/os/seeded.h"

static void say_space(struct node *node, bool ok)
{
    int error = log_space_error(node->log);

    if (ok)
        node_log(node, GAVEL_LOG_INFO, "log", "There is space again: writes are taken");
    else if (error == 0 || error == -ENOSPC || error == -EDQUOT)
        node_log(node, GAVEL_LOG_ERROR, "log", "The disk is full: writes are refused, reads go on");
    else
        node_log(node, GAVEL_LOG_ERROR, "log",
                 "No segment of the log can be made (%s): writes are refused, reads go on", strerror(-error));
}

static void check_space(struct node *node)
{
    struct raft_event event = {.type = RAFT_EVENT_SPACE};
    bool ok = log_space_ok(node->log);
    const char *const pairs[] = {"alarm", "no_space", "state", ok ? "over" : "on", NULL};

    if (!node->raft || ok == node->space_ok)
        return;
    node->space_ok = ok;
    say_space(node, ok);
    event_local(node, "alarm", "no_space", pairs);
    event.space.ok = ok;
    (void)engine_step(node, &event);
}

/* Whether there is this to look at: then the caller does. What comes of it may note the same again. */
static bool noted(struct node *node, uint32_t bit)
{
    bool is = node->setup.looks_at_all || node->look & bit;

    node->look &= ~bit;
    return is;
}

/*
 * Configurations that came, went or committed: who is dialled, who is let go, who waits for the end of a change, who
 * joins; and whether this node still is a member.
 */
static void settle_members(struct node *node)
{
    uint64_t commit = engine_commit(node);
    const struct members *committed = directory_at(&node->directory, commit);
    const struct members *newest = directory_now(&node->directory);

    if (!newest || !committed || !node_working(node))
        return;
    change_settle(node); /* first: the answer may go to somebody who is let go below */
    if (node->peers_stale || node->synced_first != committed->version || node->synced_last != newest->version) {
        node->synced_first = committed->version;
        node->synced_last = newest->version;
        node->blanks = true;
        peers_sync(node);
    }
    join_settle(node);
    if (node->wish.active)
        publish_step(node);
    declare_step(node);
    if (node->raft && node->role != RAFT_LEADER && directory_removed(&node->directory, commit, node->member_id))
        join_removed(node); /* one that leads waits for a successor */
    /* Each of these tries again with whatever happens next: a link, a leader, time. */
    if (node->peers_stale || node->blanks || node->change.active || node->wish.active || !node->declare.settled)
        node->look |= NODE_LOOK_MEMBERS;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void arm(struct node *node)
{
    uint64_t deadline = UINT64_MAX;

    if (noted(node, NODE_LOOK_DUE))
        node->peers_due =
            earlier(earlier(peers_deadline(node), snapshot_send_deadline(node)), checkup_deadline(node));
    if (node_working(node)) { /* once the log is finishing there is nothing to be in time for */
        deadline = earlier(earlier(node->tick_at, node->peers_due), log_deadline(node->log));
        if (node->raft)
            deadline = earlier(deadline, node->effects.deadline);
        if (node->stop_at)
            deadline = earlier(deadline, node->stop_at);
        if (event_choked(node))
            deadline = earlier(deadline, node_now(node) + NODE_CHOKED_NS);
    }
    if (deadline == node->armed_ns)
        return;
    node->armed_ns = deadline;
    node->setup.callbacks.deadline(node->setup.callbacks.context, deadline);
}

/* Do what steps have asked for until nothing is left. */
static void drain(struct node *node)
{
    while (node_working(node) && node->raft && node->propose_kind)
        propose_special(node);
    if (noted(node, NODE_LOOK_APPLIER) && node_working(node) && node->raft)
        work_pump(node);
}

/*
 * The order matters: what came in is proposed and asked for, then what committed is applied, then readers and streams
 * get what that made possible. Each may cause more of the others, so until nothing changes. What is noted after its
 * turn in the last round has it the next time.
 */
static void settle_rounds(struct node *node)
{
    for (int round = 0; round < 8 && node_alive(node); round++) {
        uint64_t applied = node->applied;

        drain(node);
        if (node->redispatch) {
            node->redispatch = false;
            client_leader_known(node);
        }
        if (noted(node, NODE_LOOK_MEMBERS))
            settle_members(node);
        settings_settle(node);
        if (noted(node, NODE_LOOK_SAVES))
            save_settle(node);
        if (!node_alive(node))
            break;
        propose_flush(node);
        read_flush(node);
        drain(node);
        if (node->applied == applied && !node->redispatch && !node->propose_kind && !node->read_wanted)
            break;
    }
}

void settle_changed(struct node *node)
{
    if (node->inside || !node_alive(node))
        return;
    node->inside = true;
    if (node_working(node))
        check_space(node);
    settle_rounds(node);
    if (node_alive(node)) {
        event_pump(node);
        node_stop_step(node);
    }
    if (node_alive(node))
        arm(node);
    node->inside = false;
}

void node_settle(struct node *node)
{
    node->look = NODE_LOOK_ALL;
    settle_changed(node);
}

void settle_message(struct node *node, uint64_t type)
{
    if (type != CODEC_REQUEST && !(type > CODEC_RAFT && type <= CODEC_RAFT_LAST))
        node->look = NODE_LOOK_ALL;
}

uint32_t settle_effect(uint32_t type)
{
    switch (type) {
    case RAFT_EFFECT_SEND:
    case RAFT_EFFECT_APPEND: /* of a configuration: peers_learn */
    case RAFT_EFFECT_WRITE_VOTE: return 0;
    case RAFT_EFFECT_APPLY: return seeded_bug("settle-apply-unnoted") ? 0 : NODE_LOOK_APPLIER;
    case RAFT_EFFECT_COMMIT: return seeded_bug("settle-commit-unnoted") ? 0 : NODE_LOOK_MEMBERS;
    case RAFT_EFFECT_SERVE_READS: return NODE_LOOK_APPLIER | NODE_LOOK_SAVES;
    default: return NODE_LOOK_ALL;
    }
}
