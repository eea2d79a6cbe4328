/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.c - the other members: dialling them, and the algorithm's messages both ways. Requests go out on the
 * connection that we dialled, answers go back on the one that the other side dialled: the side with bulk data
 * dials.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/os/cover.h"
#include "core/os/crc32c.h"
#include "core/os/seeded.h"

#define CONFIGURATIONS_MAX 8 /* configuration entries of one append that are taken; the rest is sent again */
#define UNREAD_MAX 4         /* reads for a peer that may fail in a row, where the system may yet recover */
/* Peers that no configuration names yet. All members may be new at once to one that was away, or that joins with what
 * the cluster was founded with; and the one that leads, which alone can tell it more, must not be one too many. */
#define STRANGERS_MAX RAFT_MEMBERS_MAX

struct peer *peer_find(const struct node *node, uint64_t id)
{
    struct peer *peer;

    os_list_each (peer, &node->peers, struct peer, link)
        if (peer->id == id)
            return peer;
    return NULL;
}

struct peer *peer_named(struct node *node, const char *name)
{
    struct peer *peer;

    os_list_each (peer, &node->peers, struct peer, link)
        if (strcmp(peer->name, name) == 0)
            return peer;
    return NULL;
}

static struct peer *peer_named_without_id(struct node *node, const char *name)
{
    struct peer *peer;

    os_list_each (peer, &node->peers, struct peer, link)
        if (peer->id == 0 && strcmp(peer->name, name) == 0)
            return peer;
    return NULL;
}

static struct peer *peer_new(struct node *node, const char *name)
{
    struct peer *peer = calloc(1, sizeof *peer);

    if (!peer)
        return NULL;
    peer->magic = PEER_MAGIC;
    peer->node = node;
    (void)members_copy_text(peer->name, sizeof peer->name, gavel_text(name));
    peer->backoff_ms = node->limits.redial_min_ms;
    os_list_push(&node->peers, &peer->link);
    return peer;
}

void peer_free(struct peer *peer)
{
    assert(peer->magic == PEER_MAGIC);
    log_snapshot_close(peer->reader);
    os_list_remove(&peer->link);
    peer->magic = 0;
    free(peer);
}

/* Addresses to join by, and seeds, are dialled like members whose names are not known yet. */
static int32_t new_seed(struct node *node, const char *address)
{
    struct peer *peer = peer_new(node, "");

    if (!peer)
        return GAVEL_E_NO_MEMORY;
    if (members_copy_text(peer->addresses[0], NODE_URI_MAX, gavel_text(address)))
        peer->address_count = 1;
    return GAVEL_OK;
}

static int32_t seeds_from_setup(struct node *node)
{
    int32_t status = GAVEL_OK;

    for (uint32_t i = 0; i < node->setup.join_count && status == GAVEL_OK; i++)
        status = new_seed(node, node->setup.join[i]);
    for (uint32_t i = 0; node->scout && i < node->setup.seed_count && i < NODE_SEEDS_MAX && status == GAVEL_OK; i++)
        status = new_seed(node, node->setup.seeds[i]);
    return status;
}

int32_t peers_from_setup(struct node *node)
{
    for (uint32_t i = 0; i < node->setup.member_count; i++) {
        const struct node_member *member = &node->setup.members[i];
        struct peer *peer;

        if (strcmp(member->name, node->setup.name) == 0)
            continue;
        peer = peer_new(node, member->name);
        if (!peer)
            return GAVEL_E_NO_MEMORY;
        for (uint32_t a = 0; a < member->address_count && a < NODE_ADDRESSES_MAX; a++)
            if (members_copy_text(peer->addresses[peer->address_count], NODE_URI_MAX,
                                  gavel_text(member->addresses[a])))
                peer->address_count++;
    }
    return seeds_from_setup(node);
}

/* ---- in line with the directory ------------------------------------------------------------------------ */

/* The oldest configuration that may still be in force somewhere: the newest committed one, as far as is known. */
static uint32_t oldest_needed(const struct node *node)
{
    uint64_t commit = engine_commit(node);
    uint32_t at = 0;

    while (at + 1 < node->directory.count && node->directory.items[at + 1].index <= commit)
        at++;
    return at;
}

static bool is_needed(const struct node *node, const struct peer *peer)
{
    if (peer->id == 0)
        return !node->founded;
    if (peer->stranger)
        return peer->in != NULL;
    /* A leader that was removed leads on until somebody can succeed it; while none is known, that may be anybody. */
    if ((node->leader == 0 || node->leader == peer->id) && !seeded_bug("member-removed-leader-dropped"))
        return true;
    for (uint32_t i = oldest_needed(node); i < node->directory.count; i++)
        if (members_find(node->directory.items[i].members, peer->id))
            return true;
    return false;
}

/* End both connections, whatever they carry. */
static void disconnect(struct peer *peer, const char *why)
{
    struct node *node = peer->node;
    struct os_list *at = node->conns.next;

    while (at != &node->conns) {
        struct conn *conn = os_container(at, struct conn, link);

        at = at->next;
        if (conn->peer != peer)
            continue;
        conn->peer = NULL;
        conn_close(conn, GAVEL_CLOSE_NORMAL, why);
    }
    peer->out = NULL;
    peer->in = NULL;
    peer->fresh = NULL;
    peer->refresh = false;
    peer->blank = false;
    checkup_forget(peer);
    if (peer->id)
        client_forward_lost(node, peer->id, 0);
}

static void learn_member(struct node *node, const struct member *member)
{
    struct peer *peer = peer_find(node, member->id);
    bool moved;

    if (member->id == node->member_id)
        return;
    if (!peer) /* as the INI listed it, before it had an id */
        peer = peer_named_without_id(node, member->name);
    if (!peer)
        peer = peer_new(node, member->name);
    if (!peer)
        return; /* no memory: it is not dialled now; the next configuration tries again */
    moved = peer->address_count != member->address_count ||
            memcmp(peer->addresses, member->addresses, sizeof peer->addresses) != 0;
    if (peer->id && strcmp(peer->name, member->name) != 0) {
        /* An id that was given out and rolled back goes to another: who answered as the first is not the second. */
        disconnect(peer, "it is not the member that it was taken for");
        moved = true;
    }
    peer->id = member->id;
    peer->stranger = false;
    peer->incarnation = member->incarnation;
    (void)members_copy_text(peer->name, sizeof peer->name, gavel_text(member->name));
    peer->address_count = member->address_count;
    memcpy(peer->addresses, member->addresses, sizeof peer->addresses);
    if (moved)
        peer_wake(peer);
}

void peers_learn(struct node *node)
{
    for (uint32_t i = oldest_needed(node); i < node->directory.count; i++)
        for (uint32_t m = 0; m < node->directory.items[i].members->count; m++)
            learn_member(node, &node->directory.items[i].members->items[m]);
    node->peers_stale = true;
    node->blanks = true;
    node->look |= NODE_LOOK_MEMBERS | NODE_LOOK_DUE;
}

/* It is no member any more, and everyone who counts knows it. */
static void peer_drop(struct peer *peer)
{
    struct node *node = peer->node;

    disconnect(peer, "it is no member of the cluster any more");
    os_list_remove(&peer->link);
    if (!peer->reading) {
        peer_free(peer);
        return;
    }
    peer->gone = true;
    log_snapshot_close(peer->reader);
    peer->reader = NULL;
    os_list_push(&node->gone, &peer->link);
}

static bool listed(const char *const *addresses, uint32_t count, const char *address)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(addresses[i], address) == 0)
            return true;
    return false;
}

void node_seeds(struct node *node, const char *const *addresses, uint32_t count)
{
    struct os_list *at = node->peers.next;
    struct peer *peer;

    if (!node->scout || node->founded || !node_working(node))
        return;
    count = count < NODE_SEEDS_MAX ? count : NODE_SEEDS_MAX;
    while (at != &node->peers) {
        peer = os_container(at, struct peer, link);
        at = at->next;
        if (peer->id == 0 && !peer->out && !listed(addresses, count, peer->addresses[0]))
            peer_drop(peer);
    }
    for (uint32_t i = 0; i < count; i++) {
        bool known = listed(addresses, i, addresses[i]);

        os_list_each (peer, &node->peers, struct peer, link)
            known = known || (peer->id == 0 && strcmp(peer->addresses[0], addresses[i]) == 0);
        if (!known && new_seed(node, addresses[i]) != GAVEL_OK)
            break; /* no memory: the next time, perhaps */
    }
    node->armed_ns = UINT64_MAX; /* there is somebody to dial */
    node_settle(node);
}

void peers_sync(struct node *node)
{
    struct os_list *at = node->peers.next;

    assert(!node->stepping);
    if (node->directory.count)
        peers_learn(node);
    node->peers_stale = false;
    while (at != &node->peers) {
        struct peer *peer = os_container(at, struct peer, link);

        at = at->next;
        if (!is_needed(node, peer))
            peer_drop(peer);
    }
}

struct peer *peer_stranger(struct node *node, uint64_t id, const char *name)
{
    uint32_t strangers = 0;
    struct peer *peer;

    os_list_each (peer, &node->peers, struct peer, link)
        strangers += peer->stranger;
    if (strangers >= STRANGERS_MAX)
        return NULL;
    peer = peer_new(node, name);
    if (!peer)
        return NULL;
    peer->id = id;
    peer->stranger = true;
    peer->redial_at = UINT64_MAX; /* where it can be dialled is not known */
    return peer;
}

/* ---- sending ------------------------------------------------------------------------------------------- */

/* Number a request and remember when it went, in steps: its reply has to come in time, however many are under way. */
static uint64_t next_request(struct peer *peer)
{
    struct node *node = peer->node;
    uint64_t step = node->limits.peer_reply_ms * NS_PER_MS / PEER_STEPS;
    uint64_t now = node_now(node);
    uint64_t id = ++peer->next_id;

    if (peer->sent[peer->sent_at].id == 0 || now - peer->sent[peer->sent_at].ns > step) {
        peer->sent_at = (peer->sent_at + 1) % PEER_SENT_MARKS;
        peer->sent[peer->sent_at].id = id;
        peer->sent[peer->sent_at].ns = now;
    }
    return id;
}

bool peer_mark_sent(struct peer *peer, uint64_t *id)
{
    if (!peer->out || peer->out->state != CONN_READY)
        return false;
    *id = next_request(peer);
    return true;
}

static bool in_time(struct peer *peer, uint64_t id)
{
    struct node *node = peer->node;
    uint64_t patience = node->limits.peer_reply_ms * NS_PER_MS;

    if (id == 0)
        return true; /* answers something that was asked before the connection: the algorithm judges it */
    for (uint32_t i = 0; i < PEER_SENT_MARKS && id <= peer->next_id; i++) {
        uint32_t at = (peer->sent_at + PEER_SENT_MARKS - i) % PEER_SENT_MARKS;

        if (peer->sent[at].id == 0)
            break;
        if (peer->sent[at].id <= id) {
            if (node_now(node) - peer->sent[at].ns <= patience + patience / PEER_STEPS)
                return true;
            break;
        }
    }
    node_observe(node, node->series.late_replies, 1);
    return false;
}

void peer_send_tail(struct conn *conn, uint64_t type, const struct codec_raft *wire,
                    const struct gavel_slice *parts, uint32_t count)
{
    struct node *node = conn->node;
    struct gavel_slice all[NODE_APPEND_BATCHES + 1];
    struct gavel_error error;
    uint64_t apart = 0, size = 0;

    assert(count <= NODE_APPEND_BATCHES);
    node->out.size = 0;
    if (codec_message_encode_tail(conn->serializer->operations, conn->serializer->self, type, wire, parts,
                                  count, &node->out, &apart, &error) != GAVEL_OK) {
        node_log(node, GAVEL_LOG_ERROR, "peer", "A message for %s cannot be encoded: %s", conn->peer->name,
                 error.text);
        return;
    }
    all[0] = gavel_buffer_slice(&node->out);
    if (apart && count)
        memcpy(all + 1, parts, count * sizeof *parts);
    if (conn_send_parts(conn, all, apart ? count + 1 : 1)) {
        for (uint32_t i = 0; apart && i < count; i++)
            size += parts[i].size;
        (void)measure_sent(conn, type, size + node->out.size);
    } else {
        node_record(node, node->metric.peer_drops, 1, "queue", "connection");
    }
}

/* True when all batches of the request are in memory, and it was sent (or there is nobody to send to). */
static bool send_append(struct peer *peer, const struct raft_message *message)
{
    struct node *node = peer->node;
    const struct raft_append_request *request = &message->append_request;
    struct gavel_slice parts[NODE_APPEND_BATCHES];
    struct codec_raft wire;
    uint32_t count = 0;

    for (uint64_t index = request->prev_index + 1; index <= request->last_index;) {
        struct log_batch *batch = log_cached(node->log, index);

        if (!batch)
            return false;
        if (count == NODE_APPEND_BATCHES || batch->head.first != index)
            return true; /* cannot be: the core knows the same borders. Lost, then. */
        parts[count++] = gavel_bytes(batch->data, batch->head.bytes);
        index = batch->head.first + batch->head.count;
    }
    codec_raft_put(message, &wire);
    if (count == 0) { /* with heartbeats it is often enough */
        wire.digest_index = node->agreed.index;
        wire.digest = node->agreed.digest;
    }
    if (!peer_mark_sent(peer, &wire.id))
        return true;
    if (node->traces && count)
        trace_send(node, request->prev_index + 1, request->last_index, &wire);
    peer_send_tail(peer->out, CODEC_RAFT + RAFT_APPEND_REQUEST, &wire, parts, count);
    if (node->traces)
        trace_sent(node, peer);
    return true;
}

static void outbox_pop(struct peer *peer)
{
    memmove(peer->outbox, peer->outbox + 1, --peer->outbox_count * sizeof peer->outbox[0]);
}

/* Send the head of the outbox from batches that were read back: they need not be in the cache any more. */
static void outbox_send(struct peer *peer, const struct log_read *read)
{
    const struct raft_append_request *request = &peer->outbox[0].append_request;
    struct gavel_slice parts[LOG_READ_BATCHES];
    struct codec_raft wire;
    uint64_t next = request->prev_index + 1;
    uint32_t count = 0;

    for (uint32_t i = 0; i < read->count; i++) {
        const struct log_batch *batch = read->batches[i];

        if (batch->head.first != next || batch->head.first + batch->head.count - 1 > request->last_index)
            break;
        parts[count++] = gavel_bytes(batch->data, batch->head.bytes);
        next += batch->head.count;
    }
    codec_raft_put(&peer->outbox[0], &wire);
    wire.last_index = next - 1; /* a read may hold less than the request named: then say so */
    if (count && peer_mark_sent(peer, &wire.id))
        peer_send_tail(peer->out, CODEC_RAFT + RAFT_APPEND_REQUEST, &wire, parts, count);
}

static void outbox_done(struct log_read *read);

static void outbox_read(struct peer *peer)
{
    struct node *node = peer->node;

    while (peer->outbox_count && !peer->reading) {
        const struct raft_append_request *request = &peer->outbox[0].append_request;
        int status;

        /* Of a term that is over: what lies at these indexes now may be another leader's. */
        if (peer->outbox[0].term < node->term || send_append(peer, &peer->outbox[0])) {
            outbox_pop(peer);
            continue;
        }
        peer->read = (struct log_read){
            .from = request->prev_index + 1, .max_bytes = 1u << 20, .done = outbox_done, .ctx = peer};
        status = log_read(node->log, &peer->read);
        peer->reading = status == 0;
        if (peer->reading)
            return;
        if (status > 0) {
            outbox_send(peer, &peer->read);
            log_read_release(&peer->read);
        }
        outbox_pop(peer); /* sent, or compacted meanwhile: then the core will send a snapshot instead */
    }
}

/*
 * What a peer needs cannot be read back. Damage does not heal: this node would offer the same for ever, and nobody else
 * may while it leads. It ends, as it does when it cannot read what it wants to apply; its next life finds the damage,
 * recovers from the others, and until then one of them leads. The system's errors may pass: a few are borne.
 */
static void unreadable(struct peer *peer, const struct log_read *read)
{
    if (read->status != GAVEL_E_CORRUPT && (read->status != GAVEL_E_IO || ++peer->unread < UNREAD_MAX))
        return;
    node_fatal(peer->node, node_exit_code(read->status),
               "entries from index %llu on, which %s needs, cannot be read: %s", (unsigned long long)read->from,
               peer->name, read->error.text);
}

static void outbox_done(struct log_read *read)
{
    struct peer *peer = read->ctx;
    struct node *node = peer->node;

    peer->reading = false;
    if (peer->gone) {
        log_read_release(read);
        peer_free(peer);
        return;
    }
    if (read->status == GAVEL_OK)
        peer->unread = 0;
    if (node_working(node) && read->status != GAVEL_OK)
        unreadable(peer, read);
    else if (node_working(node) && peer->outbox[0].term >= node->term)
        outbox_send(peer, read);
    log_read_release(read);
    outbox_pop(peer); /* the head stays where it is while it is being read */
    if (node_working(node))
        outbox_read(peer);
    node_settle(node);
}

/*
 * A heartbeat does not wait for the disk: its peer, or the majority that this one is needed for, would take the leader
 * for dead while it reads. It says no more than that the log goes on from where what waits begins, so it may overtake.
 */
static bool overtakes(struct peer *peer, const struct raft_message *message)
{
    const struct raft_message *first = NULL;
    struct raft_message ahead = *message;

    if (message->append_request.batch_count != 0 || peer->outbox_count == 0)
        return false;
    for (uint32_t i = 0; i < peer->outbox_count && !first; i++)
        if (peer->outbox[i].term == message->term)
            first = &peer->outbox[i];
    if (!first) /* what waits is of a term that is over, and will not be sent */
        return send_append(peer, message);
    COVER("node-heartbeat-overtakes");
    ahead.append_request.prev_index = ahead.append_request.last_index = first->append_request.prev_index;
    ahead.append_request.prev_term = first->append_request.prev_term;
    ahead.append_request.prev_chain = first->append_request.prev_chain;
    return send_append(peer, &ahead);
}

static void send_request(struct peer *peer, const struct raft_message *message)
{
    struct codec_raft wire;

    if (message->type == RAFT_APPEND_REQUEST) {
        if (!seeded_bug("node-heartbeat-waits") && overtakes(peer, message))
            return;
        /* Order is kept: what follows a message that waits for the disk waits behind it. */
        if (peer->outbox_count == 0 && send_append(peer, message))
            return;
        if (peer->outbox_count < NODE_OUTBOX_MAX)
            peer->outbox[peer->outbox_count++] = *message;
        else
            node_record(peer->node, peer->node->metric.peer_drops, 1, "queue", "outbox");
        outbox_read(peer);
        return;
    }
    if (message->type == RAFT_SNAPSHOT_REQUEST) {
        snapshot_send_chunk(peer->node, peer, message);
        return;
    }
    codec_raft_put(message, &wire);
    if (peer_mark_sent(peer, &wire.id))
        (void)conn_send(peer->out, CODEC_RAFT + message->type, &wire);
}

static void send_answer(struct peer *peer, const struct raft_message *message, uint64_t wire_id)
{
    struct node *node = peer->node;
    struct codec_raft wire;

    if (!peer->in || peer->in->state != CONN_READY)
        return;
    codec_raft_put(message, &wire);
    wire.id = wire_id;
    if (message->type == RAFT_APPEND_RESPONSE && node->digest_index) {
        wire.digest_index = node->digest_index;
        wire.digest = node->digest;
    }
    (void)conn_send(peer->in, CODEC_RAFT + message->type, &wire);
}

void peer_send(struct node *node, const struct raft_message *message, uint64_t wire_id)
{
    struct peer *peer = peer_find(node, message->to);

    if (!peer)
        return;
    switch (message->type) {
    case RAFT_PREVOTE_RESPONSE:
    case RAFT_VOTE_RESPONSE:
    case RAFT_APPEND_RESPONSE:
    case RAFT_SNAPSHOT_RESPONSE:
    case RAFT_READ_RESPONSE: send_answer(peer, message, wire_id); break;
    default: send_request(peer, message); break;
    }
}

/* ---- receiving ----------------------------------------------------------------------------------------- */

static uint32_t batch_kind(uint32_t log_kind)
{
    return log_kind == LOG_NOOP     ? RAFT_BATCH_NOOP
           : log_kind == LOG_CONFIG ? RAFT_BATCH_CONFIGURATION
                                    : RAFT_BATCH_COMMAND;
}

int32_t peer_batch_members(const struct log_batch *batch, struct members *members, struct gavel_error *error)
{
    struct log_entries entries;
    struct log_entry entry;

    log_entries_begin(&entries, batch->data);
    if (!log_entries_next(&entries, &entry))
        return gavel_fail(error, GAVEL_E_CORRUPT, "a configuration batch without an entry");
    return members_decode(entry.payload, members, error);
}

int32_t peer_describe_batch(const struct log_batch *batch, struct raft_batch *described,
                            struct raft_configuration *configuration, struct gavel_error *error)
{
    *described = (struct raft_batch){.first = batch->head.first,
                                     .term = batch->head.term,
                                     .count = batch->head.count,
                                     .bytes = batch->head.bytes,
                                     .chain = batch->head.chain,
                                     .kind = batch_kind(batch->kind)};
    if (batch->kind == LOG_CONFIG) {
        struct members members;
        int32_t status = peer_batch_members(batch, &members, error);

        if (status != GAVEL_OK)
            return status;
        members_configuration(&members, configuration);
        described->configuration = configuration;
    }
    return GAVEL_OK;
}

/* Take the batches out of an append's tail, checked whole, their chain included. */
static int32_t unpack(struct node *node, struct gavel_slice tail, uint32_t chain, struct raft_batch *batches,
                      struct raft_configuration *configurations, struct gavel_error *error)
{
    const uint8_t *at = tail.data;
    uint64_t left = tail.size;
    uint32_t configuration_count = 0;

    node->incoming_count = 0;
    while (left && node->incoming_count < NODE_APPEND_BATCHES && configuration_count < CONFIGURATIONS_MAX) {
        struct log_batch_head head;
        struct log_batch *batch;
        int32_t status = left < LOG_BATCH_HEAD ? GAVEL_E_CORRUPT : log_batch_head(at, left, &head, error);

        if (status != GAVEL_OK || head.bytes > left)
            return gavel_fail(error, GAVEL_E_CORRUPT, "a batch that is cut short or damaged");
        status = log_batch_copy(node->pool, at, head.bytes, &batch, error);
        if (status != GAVEL_OK)
            return status;
        node->incoming[node->incoming_count] = batch;
        if (log_batch_chain(chain, batch->data) != batch->head.chain) {
            node->incoming_count++;
            return gavel_fail(error, GAVEL_E_CORRUPT,
                              "a batch at index %llu that does not follow the one before it",
                              (unsigned long long)batch->head.first);
        }
        status = peer_describe_batch(batch, &batches[node->incoming_count],
                                     &configurations[configuration_count], error);
        configuration_count += batch->kind == LOG_CONFIG;
        node->incoming_count++;
        if (status != GAVEL_OK)
            return status;
        chain = batch->head.chain;
        at += head.bytes;
        left -= head.bytes;
    }
    return GAVEL_OK;
}

static void receive_append(struct node *node, struct raft_message *message, const struct codec_raft *wire,
                           struct gavel_error *error, int32_t *status)
{
    struct raft_batch batches[NODE_APPEND_BATCHES];
    struct raft_configuration configurations[CONFIGURATIONS_MAX];
    struct raft_event event = {.type = RAFT_EVENT_RECEIVE, .message = message};
    struct raft_append_request *request = &message->append_request;

    *status = unpack(node, wire->tail, request->prev_chain, batches, configurations, error);
    if (*status == GAVEL_OK) {
        request->batches = batches;
        request->batch_count = node->incoming_count;
        request->last_index = request->prev_index;
        if (node->incoming_count) {
            const struct raft_batch *last = &batches[node->incoming_count - 1];

            request->last_index = last->first + last->count - 1;
        }
        /* A disk that is full or hangs takes nothing: as if the network had lost it. Votes and heartbeats go on. */
        if (node->traces && wire->traces.size)
            trace_received(node, wire, (const struct log_batch *const *)node->incoming, node->incoming_count);
        if (node->incoming_count == 0 || (log_space_ok(node->log) && !log_backlogged(node->log))) {
            if (engine_step(node, &event) == RAFT_E_INVALID)
                *status = gavel_fail(error, GAVEL_E_INVALID, "an append request that breaks the rules");
        }
    }
    for (uint32_t i = 0; i < node->incoming_count; i++)
        log_batch_unref(node->incoming[i]);
    node->incoming_count = 0;
}

static void refuse_raft(struct conn *conn, const struct gavel_error *error)
{
    node_log(conn->node, GAVEL_LOG_WARN, "peer", "Closed the connection of %s: it sent %s", conn->address, error->text);
    conn_close(conn, GAVEL_CLOSE_PROTOCOL, error->text);
}

static void receive_raft(struct conn *conn, uint64_t type, const struct codec_raft *wire)
{
    struct node *node = conn->node;
    struct peer *peer = conn->peer;
    struct raft_message message;
    struct raft_event event = {.type = RAFT_EVENT_RECEIVE, .message = &message};
    struct gavel_error error; /* 512 bytes, which nobody looks at but after a failure */
    int32_t status = GAVEL_OK;

    if (!node->raft || !peer->id)
        return;
    error.text[0] = 0;
    if (codec_raft_get(type, wire, peer->id, node->member_id, &message, &error) != GAVEL_OK) {
        refuse_raft(conn, &error);
        return;
    }
    if (conn->dialled && !in_time(peer, wire->id))
        return;
    node->answering = peer;
    node->answering_id = wire->id;
    node->answering_type = message.type;
    if (conn == peer->in)
        peer->last_request[message.type] = wire->id;
    if (message.type == RAFT_APPEND_REQUEST) {
        receive_append(node, &message, wire, &error, &status);
        if (status == GAVEL_OK && node_working(node) && node->leader == peer->id)
            divergence_agreed(node, wire->digest_index, wire->digest);
    } else {
        if (message.type == RAFT_APPEND_RESPONSE)
            divergence_told(peer, wire->digest_index, wire->digest);
        node->chunk_bytes = wire->tail;
        node->chunk_meta = wire->meta;
        node->chunk_digest = wire->data_digest;
        if (engine_step(node, &event) == RAFT_E_INVALID)
            status = gavel_fail(&error, GAVEL_E_INVALID, "a message that breaks the rules of the algorithm");
    }
    node->answering = NULL;
    if (status != GAVEL_OK && node_alive(node))
        refuse_raft(conn, &error);
}

void peer_message(struct conn *conn, uint64_t type, void *message)
{
    conn->peer->watched.heard = true;
    if (type > CODEC_RAFT && type <= CODEC_RAFT_LAST)
        receive_raft(conn, type, message);
    else if (type == CODEC_REQUEST && !conn->dialled)
        client_request(conn, message);
    else if (type == CODEC_REPLY && conn->dialled)
        client_forward_reply(conn->peer, message);
    else if (type == (conn->dialled ? CODEC_CHECK_ANSWER : CODEC_CHECK))
        checkup_message(conn, type, message);
    else
        conn_close(conn, GAVEL_CLOSE_PROTOCOL, "a peer may not send such a message");
}
