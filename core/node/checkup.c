/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkup.c - checks of the other members: asked every so often on the connection that we dialled, answered at once
 * with what the other observes of itself. What comes of them, and of the connection, is looked up in health.h; a
 * change is an event and a line of the log. This node checks itself by the same table.
 *
 * A peer that speaks 1.0 knows no checks: there the connection counts, and whether anything came over it, where the
 * algorithm sends something all the time.
 */
#include "core/node/internal.h"

#include <string.h>

#include "core/os/seeded.h"

#define SOONER 5 /* who is on the way back to HEALTHY is asked again after this part of the interval */

static bool is_watching(const struct node *node)
{
    return node->raft && node->phase == NODE_RUNNING;
}

/* Who is known by its address alone, or by a configuration that this node has yet to see, is no member. */
static bool is_watched(const struct peer *peer)
{
    return peer->id && !peer->stranger;
}

/* ---- what was seen --------------------------------------------------------------------------------------------- */

static void tell(struct node *node, const char *name, struct watched *watched, enum health_state before)
{
    const struct health_verdict *now = &watched->verdict;
    const char *const pairs[] = {"member", name, "health", health_name(now->state), "reason", now->reason,
                                 "cause", now->cause, "before", health_name(before), NULL};
    bool worse = health_worse(now->state, before);

    watched->since_ns = node_now(node);
    event_local(node, "health_changed", name, pairs);
    node_log(node, worse ? GAVEL_LOG_WARN : GAVEL_LOG_INFO, "health", "%s is %s%s%s (was %s)", name,
             health_name(now->state), now->reason[0] ? ": " : "", now->reason, health_name(before));
    node_gauges(node);
}

static void judge(struct node *node, const char *name, struct watched *watched)
{
    enum health_state before = watched->verdict.state;
    struct health_observation *seen = &watched->seen;

    seen->why = watched->why;
    if (seen->answered && health_complains(seen, &node->limits.health)) {
        seen->trouble = true;
        seen->good = 0;
    }
    health_judge(seen, &node->limits.health, &watched->verdict);
    if (watched->verdict.state == HEALTH_HEALTHY)
        seen->trouble = false;
    if (watched->verdict.state != before)
        tell(node, name, watched, before);
}

/*
 * A leader knows to the entry how far a member is; before the first answer of its term, and on every other node, what
 * counts is what was known when the member said how far it is: it goes on meanwhile.
 */
static void observe_lag(struct peer *peer)
{
    struct node *node = peer->node;
    struct watched *watched = &peer->watched;
    struct raft_progress_status progress;
    uint64_t commit = engine_commit(node);

    watched->seen.lag_entries = watched->lag_entries;
    watched->seen.lag_bytes = watched->lag_bytes;
    if (node->role != RAFT_LEADER || raft_progress(node->raft, peer->id, &progress) != RAFT_OK || !progress.match)
        return;
    watched->seen.lag_entries = commit > progress.match ? commit - progress.match : 0;
    watched->seen.lag_bytes = commit > progress.match ? figures_behind(node->figures, progress.match) : 0;
}

static void look_at(struct peer *peer)
{
    observe_lag(peer);
    judge(peer->node, peer->name, &peer->watched);
}

static void set_why(struct watched *watched, const char *why)
{
    (void)snprintf(watched->why, sizeof watched->why, "%s", why);
}

/* ---- outcomes of a check --------------------------------------------------------------------------------------- */

static void failed(struct peer *peer, const char *why)
{
    struct watched *watched = &peer->watched;

    trace_check(peer, GAVEL_E_TIMEOUT);
    watched->check_id = 0;
    watched->seen.failed++;
    watched->seen.good = 0;
    watched->seen.trouble = watched->seen.answered;
    if (why)
        set_why(watched, why);
    look_at(peer);
}

static void passed(struct node *node, const char *name, struct watched *watched)
{
    uint64_t now = node_now(node);

    watched->check_id = 0;
    watched->seen.answered = true;
    if (!seeded_bug("node-check-failed-forever"))
        watched->seen.failed = 0;
    if (!health_complains(&watched->seen, &node->limits.health))
        watched->seen.good += seeded_bug("node-check-one-is-enough") ? 2 : 1;
    judge(node, name, watched);
    if (watched->seen.trouble) /* on the way back */
        watched->next_ns = now + node->limits.health.interval_ms * NS_PER_MS / SOONER;
}

/* ---- checks ---------------------------------------------------------------------------------------------------- */

/* It sends something all the time: a leader its heartbeats, its followers their answers. */
static bool speaks(const struct peer *peer)
{
    return peer->node->leader == peer->id || peer->node->role == RAFT_LEADER;
}

static void check(struct peer *peer, uint64_t now)
{
    struct node *node = peer->node;
    struct watched *watched = &peer->watched;
    struct codec_check message = {.id = ++watched->serial};
    bool heard = watched->heard;

    watched->next_ns = now + node->limits.health.interval_ms * NS_PER_MS;
    watched->heard = false;
    if (!watched->seen.linked) {
        failed(peer, NULL); /* why is known from the connection */
    } else if (peer->can.told && !peer->can.checks) {
        if (heard || !speaks(peer))
            passed(node, peer->name, watched);
        else
            failed(peer, "nothing was heard of it");
    } else if (!peer->out || !conn_send(peer->out, CODEC_CHECK, &message)) {
        failed(peer, "its connection takes nothing more");
    } else {
        peer->checking = trace_sampled(node, SPAN_HEALTH);
        watched->check_id = message.id;
        watched->sent_ns = now;
    }
}

static void check_self(struct node *node, uint64_t now)
{
    struct watched *watched = &node->self;

    watched->next_ns = now + node->limits.health.interval_ms * NS_PER_MS;
    watched->seen.linked = true;
    report_keep(watched, report_make(node), now);
    passed(node, node->setup.name, watched);
}

void checkup_step(struct node *node, uint64_t now)
{
    uint64_t patience = node->limits.health.timeout_ms * NS_PER_MS;
    struct peer *peer;
    char why[64];

    if (!is_watching(node))
        return;
    os_list_each (peer, &node->peers, struct peer, link) {
        if (!is_watched(peer))
            continue;
        if (peer->watched.check_id && now - peer->watched.sent_ns >= patience &&
            !seeded_bug("node-check-waits-for-ever")) {
            (void)snprintf(why, sizeof why, "no answer within %llu ms",
                           (unsigned long long)node->limits.health.timeout_ms);
            failed(peer, why);
        }
        if (!peer->watched.check_id && now >= peer->watched.next_ns)
            check(peer, now);
    }
    if (now >= node->self.next_ns)
        check_self(node, now);
}

uint64_t checkup_deadline(const struct node *node)
{
    uint64_t deadline = node->self.next_ns;
    struct peer *peer;

    if (!is_watching(node))
        return UINT64_MAX;
    os_list_each (peer, &node->peers, struct peer, link) {
        const struct watched *watched = &peer->watched;
        uint64_t due = watched->check_id ? watched->sent_ns + node->limits.health.timeout_ms * NS_PER_MS
                                         : watched->next_ns;

        if (is_watched(peer) && due < deadline)
            deadline = due;
    }
    return deadline;
}

void checkup_look(struct node *node, uint64_t now)
{
    const struct health_limits *limits = &node->limits.health;
    struct log_figures log;
    struct peer *peer;

    if (!is_watching(node))
        return;
    log_figures(node->log, &log);
    /* What waits for room on a full disk says nothing of its speed. */
    node->sync_slow_ms = figures_slow_ms(
        node->figures, now, log.oldest_queued_ns && log_space_ok(node->log) ? now - log.oldest_queued_ns : 0,
        limits->sync_p99_ms, limits->sync_time_ms);
    if (node->leader)
        node->leaderless_ns = 0;
    else if (!node->leaderless_ns)
        node->leaderless_ns = now;
    os_list_each (peer, &node->peers, struct peer, link)
        if (is_watched(peer))
            look_at(peer);
    report_keep(&node->self, report_make(node), now);
    judge(node, node->setup.name, &node->self);
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

static void on_answer(struct peer *peer, const struct codec_check_answer *answer)
{
    struct node *node = peer->node;
    struct watched *watched = &peer->watched;
    uint64_t commit = engine_commit(node);

    if (!is_watching(node) || !watched->check_id || answer->id != watched->check_id)
        return; /* too late: it has counted as failed */
    trace_check(peer, GAVEL_OK);
    report_keep(watched, *answer, node_now(node));
    if (!peer->in)
        majority_heard(peer, answer->alarms & HEALTH_ALARM_RECOVERING);
    watched->lag_entries = commit > answer->last_index ? commit - answer->last_index : 0;
    watched->lag_bytes = watched->lag_entries ? figures_behind(node->figures, answer->last_index) : 0;
    observe_lag(peer);
    passed(node, peer->name, watched);
}

void checkup_message(struct conn *conn, uint64_t type, const void *message)
{
    struct codec_check_answer answer;

    if (type == CODEC_CHECK_ANSWER) {
        on_answer(conn->peer, message); /* by a connection that is being replaced, perhaps: it counts as well */
        return;
    }
    if (conn->node->phase == NODE_FOUNDING)
        return; /* no member yet: who asks will ask again when it is */
    answer = report_make(conn->node);
    answer.id = ((const struct codec_check *)message)->id;
    (void)conn_send(conn, CODEC_CHECK_ANSWER, &answer);
}

/* ---- the connection -------------------------------------------------------------------------------------------- */

void checkup_up(struct peer *peer)
{
    trace_check(peer, GAVEL_E_CLOSED); /* one that was asked for over a connection before */
    peer->watched.seen.linked = true;
    peer->watched.check_id = 0;
    peer->watched.next_ns = node_now(peer->node); /* asked at once */
    if (is_watching(peer->node) && is_watched(peer))
        look_at(peer);
}

void checkup_down(struct peer *peer, const char *why)
{
    struct watched *watched = &peer->watched;

    trace_check(peer, GAVEL_E_CLOSED);
    watched->seen.linked = false;
    watched->seen.good = 0;
    watched->seen.trouble = watched->seen.answered;
    watched->check_id = 0;
    set_why(watched, why);
    if (is_watching(peer->node) && is_watched(peer))
        look_at(peer);
}

void checkup_unreachable(struct peer *peer, const char *why)
{
    set_why(&peer->watched, why);
}

void checkup_forget(struct peer *peer)
{
    trace_check(peer, GAVEL_E_CLOSED);
    peer->watched = (struct watched){0};
}
