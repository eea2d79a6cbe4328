/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_send.c - a snapshot on its way to a peer. Which one it gets and where it is, the core knows; here are the
 * open file, one chunk in memory for each peer, and the rate.
 *
 * The open file pins the snapshot: `snapshot_keep` may remove its name meanwhile, not its bytes. It is closed when the
 * core is through with it (raft_snapshot_stop), at the latest snapshot_wait after the peer got further the last time.
 */
#include "core/node/internal.h"

#include "core/codec/value.h"
#include "core/os/seeded.h"

#define RATE_MIN (64u << 10) /* bytes a second: a chunk has to get through long before a peer counts as stuck */

void snapshot_start_sending(struct node *node, uint64_t id, uint64_t index)
{
    struct peer *peer = peer_find(node, id);

    if (!peer)
        return;
    peer->reader_wanted = true;
    peer->reader_index = index;
    node->sending.wanted = true;
}

void snapshot_stop_sending(struct node *node, uint64_t id)
{
    struct peer *peer = peer_find(node, id);

    if (!peer)
        return;
    measure_sending(peer);
    log_snapshot_close(peer->reader);
    peer->reader = NULL;
    peer->reader_wanted = false;
    peer->chunk_wanted = false;
    peer->chunk_reading = false;
}

/*
 * The rate is one for all peers together: a chunk puts off the next one by the time that it takes at that rate. So at
 * most one chunk more than the rate allows goes out in any time.
 */
static void pace(struct node *node, struct peer *peer, uint64_t bytes)
{
    uint64_t rate = node->limits.transfer_rate;
    uint64_t now = node_now(node);

    peer->chunk_sent_ns = now;
    node->sending.bytes += bytes;
    if (rate == 0 || seeded_bug("node-transfer-unpaced"))
        return;
    rate = rate < RATE_MIN ? RATE_MIN : rate;
    if (node->sending.next_at < now)
        node->sending.next_at = now;
    node->sending.next_at += bytes * UINT64_C(1000000000) / rate;
}

/* It has a chunk to send that nobody reads yet. */
static bool waits(const struct peer *peer)
{
    return peer->chunk_wanted && !peer->chunk_reading && peer->reader;
}

static void read_chunk(struct peer *peer);

static void chunk_read(void *ctx, int32_t status, const struct log_snapshot_piece *piece,
                       const struct gavel_error *error)
{
    struct peer *peer = ctx;
    struct node *node = peer->node;
    struct raft_event failed = {.type = RAFT_EVENT_SNAPSHOT_READY,
                                .snapshot_ready = {.peer = peer->id, .failed = true}};
    struct codec_raft wire = {0};
    struct gavel_slice part;

    peer->chunk_reading = false;
    if (!node_working(node))
        return;
    if (status != GAVEL_OK) {
        node_log(node, GAVEL_LOG_ERROR, "snapshot", "The snapshot for %s cannot be read: %s", peer->name,
                 error ? error->text : "");
        node->sending.unreadable = log_snapshot_reader_info(peer->reader, NULL)->index;
        snapshot_stop_sending(node, peer->id);
        (void)engine_step(node, &failed);
        node_settle(node);
        return;
    }
    if (peer->chunk_wanted && peer->chunk.snapshot_request.offset == piece->offset) {
        peer->chunk_wanted = false;
        codec_raft_put(&peer->chunk, &wire);
        wire.data_digest = piece->digest;
        part = gavel_bytes(piece->data, piece->size);
        if (peer->chunk.term >= node->term && peer_mark_sent(peer, &wire.id)) {
            pace(node, peer, piece->size);
            peer_send_tail(peer->out, CODEC_RAFT + RAFT_SNAPSHOT_REQUEST, &wire, &part, 1);
        }
    }
    read_chunk(peer);
    node_settle(node);
}

static void read_chunk(struct peer *peer)
{
    if (!waits(peer) || node_now(peer->node) < peer->node->sending.next_at)
        return;
    peer->chunk_reading = true;
    if (log_snapshot_read(peer->reader, peer->chunk.snapshot_request.offset,
                          peer->chunk.snapshot_request.length) != GAVEL_OK)
        peer->chunk_reading = peer->chunk_wanted = false; /* the core asks again */
}

void snapshot_send_chunk(struct node *node, struct peer *peer, const struct raft_message *message)
{
    struct codec_raft wire = {0};
    struct gavel_slice meta;

    if (!peer->reader)
        return;
    if (message->snapshot_request.length) {
        node->look |= NODE_LOOK_DUE;
        peer->chunk = *message;
        peer->chunk_wanted = true;
        read_chunk(peer);
        return;
    }
    if (peer->chunk_wanted)
        return; /* the chunk asks as well; a question that overtook it would be answered as if it was lost */
    codec_raft_put(message, &wire);
    (void)log_snapshot_reader_info(peer->reader, &meta);
    wire.meta = meta;
    if (peer_mark_sent(peer, &wire.id))
        (void)conn_send(peer->out, CODEC_RAFT + RAFT_SNAPSHOT_REQUEST, &wire);
}

/* Open the newest snapshot for a peer that needs one; take one first when there is none that is new enough.
 */
static void serve_peer(struct node *node, struct peer *peer)
{
    struct log_snapshot_info newest = log_snapshot_newest(node->log);
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_READY, .snapshot_ready = {.peer = peer->id}};

    if (newest.index == 0 || newest.index < peer->reader_index || newest.index <= node->sending.unreadable) {
        if (snapshot_may_take(node) && snapshot_take(node, (struct origin){0}) == GAVEL_E_EXISTS) {
            peer->reader_wanted = false;
            event.snapshot_ready.failed = true;
            (void)engine_step(node, &event);
        }
        return;
    }
    peer->reader_wanted = false;
    log_snapshot_close(peer->reader);
    peer->reader = NULL;
    peer->chunk_reading = false;
    if (log_snapshot_open(node->log, newest.index, chunk_read, peer, &peer->reader) != GAVEL_OK) {
        event.snapshot_ready.failed = true;
    } else {
        event.snapshot_ready.index = newest.index;
        event.snapshot_ready.last_term = newest.term;
        event.snapshot_ready.total = newest.bytes;
        event.snapshot_ready.digest = newest.digest;
        event.snapshot_ready.chain = newest.chain;
        peer->send_ns = node_now(node);
        node_log(node, GAVEL_LOG_INFO, "snapshot", "Sending the snapshot at index %llu (%llu bytes) to %s",
                 (unsigned long long)newest.index, (unsigned long long)newest.bytes, peer->name);
    }
    (void)engine_step(node, &event);
}

void snapshot_serve_peers(struct node *node)
{
    struct peer *peer;

    if (!node->sending.wanted)
        return;
    node->sending.wanted = false;
    os_list_each (peer, &node->peers, struct peer, link)
        if (peer->reader_wanted) {
            node->look |= NODE_LOOK_APPLIER | NODE_LOOK_DUE; /* it may have to wait for a newer one */
            serve_peer(node, peer);
            node->sending.wanted = node->sending.wanted || peer->reader_wanted;
        }
}

uint64_t snapshot_send_deadline(const struct node *node)
{
    const struct peer *peer;

    os_list_each (peer, &node->peers, struct peer, link)
        if (waits(peer))
            return node->sending.next_at;
    return UINT64_MAX;
}

/* Whoever was sent something longest ago comes first: none starves. */
void snapshot_send_on(struct node *node, uint64_t now)
{
    struct peer *first = NULL;
    struct peer *peer;

    if (now < node->sending.next_at)
        return;
    os_list_each (peer, &node->peers, struct peer, link)
        if (waits(peer) && (!first || peer->chunk_sent_ns < first->chunk_sent_ns))
            first = peer;
    if (first)
        read_chunk(first);
}
