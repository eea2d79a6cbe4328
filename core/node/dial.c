/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.c - connections to the other members: dialled, lost, dialled again, and exchanged for fresh ones at work.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <string.h>

void peer_wake(struct peer *peer)
{
    if (peer->out || peer->address_count == 0)
        return;
    peer->address_next = 0;
    peer->backoff_ms = peer->node->limits.redial_min_ms;
    peer->redial_at = node_now(peer->node);
}

/* How people call it: by its address while only that is known. */
static const char *label(const struct peer *peer)
{
    return peer->name[0] ? peer->name : peer->addresses[0];
}

/* ---- dialling ------------------------------------------------------------------------------------------ */

static void schedule_redial(struct peer *peer)
{
    struct node *node = peer->node;
    uint64_t wait_ns = peer->backoff_ms * NS_PER_MS;

    /* Between half and all of it, so that members that start together do not dial together for ever. */
    wait_ns = wait_ns / 2 + node_random(node) % (wait_ns / 2 + 1);
    peer->redial_at = node_now(node) + wait_ns;
    peer->backoff_ms =
        peer->backoff_ms * 2 < node->limits.redial_max_ms ? peer->backoff_ms * 2 : node->limits.redial_max_ms;
}

/* The next of its addresses that a transport of this node speaks. */
static struct conn *dial_next(struct peer *peer, struct gavel_error *error)
{
    struct conn *conn = NULL;

    for (uint32_t tried = 0; tried < peer->address_count && !conn; tried++)
        conn = conn_dial(peer->node, peer, peer->addresses[peer->address_next++ % peer->address_count], error);
    return conn;
}

static void dial(struct peer *peer)
{
    struct node *node = peer->node;
    struct gavel_error error = {.text = "it has no address"};

    peer->redial_at = UINT64_MAX;
    peer->out = dial_next(peer, &error);
    if (peer->out)
        return;
    if (!peer->complained)
        node_log(node, GAVEL_LOG_WARN, "peer", "%s cannot be dialled: %s", label(peer), error.text);
    peer->complained = true;
    schedule_redial(peer);
}

/* ---- another connection in place of one that is to end ------------------------------------------------- */

static void dial_fresh(struct peer *peer)
{
    struct gavel_error error;

    peer->fresh = dial_next(peer, &error);
    if (!peer->fresh)
        peer->fresh_at = node_now(peer->node) + peer->node->limits.redial_min_ms * NS_PER_MS;
}

void peer_refresh(struct peer *peer, uint64_t leave_at)
{
    struct node *node = peer->node;
    uint64_t now = node_now(node);
    struct codec_going_away message = {.text = gavel_text("another connection takes its place"),
                                       .remaining_ms = leave_at > now ? (leave_at - now) / NS_PER_MS : 0};

    if (!peer->out)
        return; /* whatever is dialled next is fresh */
    if (peer->out->state != CONN_READY) {
        conn_close(peer->out, GAVEL_CLOSE_NORMAL, "it is dialled anew");
        return;
    }
    if (!peer->out->leave_at)
        (void)conn_send(peer->out, CODEC_GOING_AWAY, &message);
    peer->out->leave_at = leave_at;
    node->leaving = true;
    if (peer->refresh)
        return;
    peer->refresh = true;
    peer->address_next = 0;
    peer->fresh_at = now;
}

void peer_refreshed(struct peer *peer)
{
    assert(peer->fresh);
    assert(peer->out);
    /* The old one stays for what was asked on it, and is closed when that has been answered. */
    peer->out = peer->fresh;
    peer->fresh = NULL;
    peer->refresh = false;
    node_log(peer->node, GAVEL_LOG_INFO, "peer", "Connected to %s anew, by %s", label(peer), peer->out->address);
}

void peer_moves(struct peer *peer, struct gavel_list addresses)
{
    uint32_t count = 0;

    for (uint64_t i = 0; i < addresses.count && count < NODE_ADDRESSES_MAX; i++) {
        struct gavel_slice one;

        memcpy(&one, (const char *)addresses.items + i * addresses.stride, sizeof one);
        if (members_address_valid(one) && members_copy_text(peer->addresses[count], NODE_URI_MAX, one))
            count++;
    }
    if (count)
        peer->address_count = count;
}

/*
 * A member that was replaced and the one in its place have a name and mostly an address in common. While the old one
 * answers there the new one does not: to dial it would only cost the old one, a leader perhaps, the connection on which
 * others wait for its answers. Whoever has the name of this node does not answer it in any case.
 */
static bool has_predecessor(const struct peer *peer)
{
    const struct peer *other;

    if (!peer->id || strcmp(peer->name, peer->node->setup.name) == 0)
        return peer->id != 0;
    os_list_each (other, &peer->node->peers, const struct peer, link)
        if (other->id && other->id < peer->id && other->out && other->out->up && strcmp(other->name, peer->name) == 0 &&
            strcmp(other->addresses[0], peer->addresses[0]) == 0)
            return true;
    return false;
}

void peers_dial(struct node *node, uint64_t now)
{
    struct peer *peer;

    os_list_each (peer, &node->peers, struct peer, link)
        if (node->phase > NODE_HANDING)
            return;
        else if (!peer->out && peer->redial_at <= now && has_predecessor(peer))
            peer->redial_at = now + node->limits.redial_max_ms * NS_PER_MS;
        else if (!peer->out && peer->redial_at <= now)
            dial(peer);
        else if (peer->refresh && !peer->fresh && peer->fresh_at <= now)
            dial_fresh(peer);
}

uint64_t peers_deadline(const struct node *node)
{
    uint64_t deadline = UINT64_MAX;
    struct peer *peer;

    os_list_each (peer, &node->peers, struct peer, link)
        if (node->phase > NODE_HANDING)
            break;
        else if (!peer->out && peer->redial_at < deadline)
            deadline = peer->redial_at;
        else if (peer->out && peer->refresh && !peer->fresh && peer->fresh_at < deadline)
            deadline = peer->fresh_at;
    return deadline;
}

static void set_linked(struct peer *peer, bool linked, bool wanted, const char *why)
{
    if (peer->watched.seen.linked == linked)
        return;
    if (linked) {
        node_log(peer->node, GAVEL_LOG_INFO, "peer", "Connected to %s", label(peer));
        checkup_up(peer);
    } else {
        node_log(peer->node, wanted ? GAVEL_LOG_INFO : GAVEL_LOG_WARN, "peer", "Lost %s: %s", label(peer), why);
        checkup_down(peer, why);
    }
}

static void link_event(struct peer *peer, uint32_t type, bool refused)
{
    struct raft_event event = {.type = type, .link = {.peer = peer->id, .refused = refused}};

    if (peer->id && peer->node->raft)
        (void)engine_step(peer->node, &event);
}

void peer_up(struct peer *peer, const struct codec_welcome *welcome)
{
    peer->backoff_ms = peer->node->limits.redial_min_ms;
    peer->quick = false;
    peer->complained = false;
    peer->node->redispatch = true;
    if (peer->was_up)
        node_record(peer->node, peer->node->metric.peer_reconnects, 1, "peer", peer->name);
    peer->was_up = true;
    set_linked(peer, true, true, "");
    peer->blank = !welcome->founded;
    peer->record_sent = false;
    peer->node->blanks |= peer->blank;
    found_peer_up(peer);
    link_event(peer, RAFT_EVENT_LINK_UP, false);
}

void peer_down(struct peer *peer, struct conn *conn, uint64_t reason, const char *why)
{
    struct node *node = peer->node;

    if (peer->in == conn || conn->up)
        majority_lost(peer);
    if (peer->in == conn) {
        peer->in = NULL;
        node->peers_stale |= peer->stranger;
    }
    if (conn->up)
        client_forward_lost(node, peer->id, conn->serial);
    if (peer->fresh == conn) {
        peer->fresh = NULL;
        peer->fresh_at = node_now(node) + node->limits.redial_min_ms * NS_PER_MS;
    }
    if (peer->out != conn)
        return;
    /* The one that was to take its place goes on as what is dialled next. */
    peer->out = peer->fresh;
    peer->fresh = NULL;
    peer->refresh = false;
    peer->asked = false;
    peer->blank = false;
    if (conn->up) {
        /* At once again: whether that is refused tells a dead process from a broken wire. */
        peer->quick = true;
        peer->redial_at = node_now(node);
        set_linked(peer, false, reason == GAVEL_CLOSE_NORMAL, why);
        link_event(peer, RAFT_EVENT_LINK_LOST, false);
        return;
    }
    if (peer->quick && (reason == GAVEL_CLOSE_REFUSED || reason == GAVEL_CLOSE_LOST))
        link_event(peer, RAFT_EVENT_LINK_LOST, true);
    peer->quick = false;
    checkup_unreachable(peer, why);
    if (!peer->complained && reason != GAVEL_CLOSE_REFUSED)
        node_log(node, GAVEL_LOG_INFO, "peer", "%s cannot be reached: %s", peer->name, why);
    peer->complained = true;
    schedule_redial(peer);
}
