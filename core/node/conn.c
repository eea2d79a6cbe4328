/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c - connections: listening, the two hellos, and who may say what. A connection is DIALING (ours, under way),
 * GREETING (waits for a hello or its answer), READY, or CLOSING (we have closed it; its end is on its way).
 */
#include "core/node/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/os/cover.h"
#include "core/os/seeded.h"

static const struct gavel_limits message_limits = {.size = GAVEL_END(struct gavel_limits, items),
                                                   .depth = CODEC_MESSAGE_DEPTH,
                                                   .bytes = NODE_MESSAGE_BYTES,
                                                   .items = CODEC_MESSAGE_ITEMS};

/* ---- making and ending --------------------------------------------------------------------------------- */

/* A serial number is a place in the table and how often the table has been used: a stale one finds nothing. */
#define SLOT_BITS 20

static uint32_t take_slot(struct node *node)
{
    if (node->conn_free_count)
        return node->conn_free[--node->conn_free_count];
    if (node->conn_slot_count == node->conn_slot_capacity) {
        uint32_t wanted = node->conn_slot_capacity ? node->conn_slot_capacity * 2 : 64;
        struct conn **slots =
            wanted > 1u << SLOT_BITS ? NULL : realloc(node->conn_slots, wanted * sizeof(*slots));
        uint32_t *spare;

        if (!slots)
            return UINT32_MAX;
        node->conn_slots = slots;
        spare = realloc(node->conn_free, wanted * sizeof *spare);
        if (!spare)
            return UINT32_MAX;
        node->conn_free = spare;
        node->conn_slot_capacity = wanted;
    }
    return node->conn_slot_count++;
}

static struct conn *conn_new(struct node *node, const struct node_transport *transport, void *handle)
{
    struct conn *conn = calloc(1, sizeof *conn);
    uint32_t slot = conn ? take_slot(node) : UINT32_MAX;

    if (slot == UINT32_MAX) {
        free(conn);
        return NULL;
    }
    node->conn_slots[slot] = conn;
    conn->magic = CONN_MAGIC;
    conn->node = node;
    conn->serial = ++node->conn_serial << SLOT_BITS | slot;
    conn->transport = transport;
    conn->handle = handle;
    swap_listener(node, transport)->conns++;
    conn->opened_ns = node_now(node);
    conn->role = CODEC_ROLE_CLIENT;
    os_list_init(&conn->streams);
    os_list_push(&node->conns, &conn->link);
    return conn;
}

/* The end of a conn, whoever closed it. */
static void conn_free(struct conn *conn)
{
    struct node *node = conn->node;
    uint32_t slot = (uint32_t)(conn->serial & ((1u << SLOT_BITS) - 1));

    assert(node->conn_slots[slot] == conn);
    node->conn_slots[slot] = NULL;
    node->conn_free[node->conn_free_count++] = slot;
    os_list_remove(&conn->link);
    assert(swap_listener(node, conn->transport)->conns > 0);
    swap_listener(node, conn->transport)->conns--;
    conn->magic = 0;
    free(conn);
}

void conn_free_all(struct node *node)
{
    while (!os_list_empty(&node->conns)) {
        struct conn *conn = os_container(node->conns.next, struct conn, link);

        event_conn_gone(conn);
        conn_free(conn);
    }
    free(node->conn_slots);
    free(node->conn_free);
    node->conn_slots = NULL;
    node->conn_free = NULL;
}

struct conn *conn_find(struct node *node, uint64_t serial)
{
    uint32_t slot = (uint32_t)(serial & ((1u << SLOT_BITS) - 1));
    struct conn *conn = slot < node->conn_slot_count ? node->conn_slots[slot] : NULL;

    return conn && conn->serial == serial ? conn : NULL;
}

void conn_close(struct conn *conn, uint64_t reason, const char *why)
{
    if (conn->state == CONN_CLOSING)
        return;
    conn->state = CONN_CLOSING;
    conn->transport->operations->close(conn->transport->self, conn->handle, reason, gavel_text(why));
}

void conn_close_peers(struct node *node, const char *why)
{
    struct os_list *at = node->conns.next;

    while (at != &node->conns) {
        struct conn *conn = os_container(at, struct conn, link);

        at = at->next;
        if (conn->role == CODEC_ROLE_PEER)
            conn_close(conn, GAVEL_CLOSE_NORMAL, why);
    }
}

void conn_goodbye(struct conn *conn, int32_t status, const char *why)
{
    struct codec_goodbye goodbye = {.status = status, .text = gavel_text(why)};

    if (conn->state == CONN_READY)
        (void)conn_send(conn, CODEC_GOODBYE, &goodbye);
    conn_close(conn, GAVEL_CLOSE_NORMAL, why);
}

void conn_release(struct conn *conn)
{
    struct node *node = conn->node;

    assert(conn->in_flight > 0);
    conn->in_flight--;
    if (conn->paused && conn->in_flight <= node->limits.client_in_flight / 2) {
        COVER("node-resumes-a-client");
        conn->paused = false;
        conn->transport->operations->pause(conn->transport->self, conn->handle, 0);
    }
}

/* Hello waits that are over; cheap, for there are few connections in that state. */
void conn_expire(struct node *node, uint64_t now)
{
    struct os_list *at = node->conns.next;

    while (at != &node->conns) {
        struct conn *conn = os_container(at, struct conn, link);

        at = at->next;
        if (conn->state == CONN_GREETING && now - conn->opened_ns > NODE_HELLO_MS * NS_PER_MS)
            conn_close(conn, GAVEL_CLOSE_PROTOCOL, "no hello came in time");
    }
}

/* ---- sending ------------------------------------------------------------------------------------------- */

bool conn_send_parts(struct conn *conn, const struct gavel_slice *parts, uint64_t count)
{
    int32_t status;

    if (conn->state == CONN_CLOSING)
        return false;
    status = conn->transport->operations->send(conn->transport->self, conn->handle, parts, count);
    if (status == GAVEL_E_BUSY && conn->role != CODEC_ROLE_PEER)
        conn_close(conn, GAVEL_CLOSE_SLOW, "its replies are not being read");
    return status == GAVEL_OK;
}

static bool send_with(struct conn *conn, const struct gavel_serializer *serializer, void *self, uint64_t type,
                      const void *message)
{
    struct node *node = conn->node;
    struct gavel_error error;
    struct gavel_slice part;

    node->out.size = 0;
    if (codec_message_encode(serializer, self, type, message, &node->out, &error) != GAVEL_OK) {
        node_log(node, GAVEL_LOG_ERROR, "node", "%s for %s cannot be encoded: %s", codec_message_name(type),
                 conn->address, error.text);
        return false;
    }
    part = gavel_buffer_slice(&node->out);
    return conn_send_parts(conn, &part, 1) && measure_sent(conn, type, part.size);
}

bool conn_send(struct conn *conn, uint64_t type, const void *message)
{
    if (conn->state != CONN_READY)
        return false;
    return send_with(conn, conn->serializer->operations, conn->serializer->self, type, message);
}

/* ---- hellos -------------------------------------------------------------------------------------------- */

static struct gavel_slice id_slice(uint64_t number, uint8_t raw[CODEC_ID_BYTES])
{
    memset(raw, 0, CODEC_ID_BYTES);
    for (int i = 0; i < 8; i++)
        raw[i] = (uint8_t)(number >> 8 * i);
    return gavel_bytes(raw, CODEC_ID_BYTES);
}

static uint64_t id_number(struct gavel_slice slice)
{
    const uint8_t *raw = slice.data;
    uint64_t number = 0;

    for (int i = 7; slice.size == CODEC_ID_BYTES && i >= 0; i--)
        number = number << 8 | raw[i];
    return number;
}

static const struct node_serializer *serializer_named(struct node *node, struct gavel_slice name)
{
    for (uint32_t i = 0; i < node->serializer_count; i++)
        if (gavel_slice_equal(name, gavel_text(node->serializers[i]->name)))
            return node->serializers[i];
    return NULL;
}

/* The first of the other side's that this node offers too; MessagePack is always one of them. */
static const struct node_serializer *choose_serializer(struct node *node, struct gavel_list names)
{
    for (uint64_t i = 0; i < names.count; i++) {
        struct gavel_slice name;
        const struct node_serializer *found;

        memcpy(&name, (const char *)names.items + i * names.stride, sizeof name);
        found = serializer_named(node, name);
        if (found)
            return found;
    }
    return serializer_named(node, gavel_text("msgpack"));
}

static bool send_hello(struct conn *conn)
{
    struct node *node = conn->node;
    uint8_t incarnation[CODEC_ID_BYTES];
    struct gavel_slice names[NODE_SERIALIZERS_MAX + 1];
    struct codec_hello hello = {
        .role = CODEC_ROLE_PEER,
        .version_major = CODEC_PROTOCOL_MAJOR,
        .version_minor = CODEC_PROTOCOL_MINOR,
        .member_id = node->member_id,
        .incarnation = id_slice(node->incarnation, incarnation),
        .name = gavel_text(node->setup.name),
        .serializers = {.items = names, .count = node->serializer_count, .stride = sizeof names[0]},
        .founded = node->founded,
        .to = gavel_text(conn->peer->name),
        .message_bytes = NODE_MESSAGE_BYTES,
        .machines = gavel_buffer_slice(&node->abilities),
        .recovering = node->recovers,
        .disk_major = CODEC_DISK_MAJOR,
        .disk_minor = CODEC_DISK_MINOR,
    };

    for (uint32_t i = 0; i < node->serializer_count; i++)
        names[i] = gavel_text(node->serializers[i]->name);
    if (node->founded)
        hello.cluster_id = gavel_bytes(node->cluster_id.bytes, sizeof node->cluster_id.bytes);
    return send_with(conn, codec_msgpack(), NULL, CODEC_HELLO, &hello);
}

#define WIPED "it lost its data directory: an empty node cannot return under its old identity; replace the member"
#define OTHER_DISK \
    "it stores its log in another major format, and batches travel as they are stored: no cluster has both; upgrade " \
    "by way of a version that reads both"
#define IN_NO_CLUSTER "this node is in no cluster: it waits to be added to one"
#define NOT_FOUNDED "this node is in no cluster yet: it looks for the others to found one with"
#define OTHER_DIRECTORY "it has another data directory than the member of that name"

static bool same_cluster(const struct node *node, struct gavel_slice cluster_id)
{
    return gavel_slice_equal(cluster_id, gavel_bytes(node->cluster_id.bytes, sizeof node->cluster_id.bytes));
}

/* A node that is in no cluster: it founds this one with us, was added to it and comes to join, or was wiped. */
static const char *judge_empty(struct conn *conn, uint64_t incarnation)
{
    struct node *node = conn->node;
    const struct member *member;

    if (!node->founded) {
        conn->peer = peer_named(node, conn->name); /* in search of others a guest: whoever it is, it may ask */
        return conn->peer || node->scout ? NULL : "no member of this cluster has its name";
    }
    member = members_named(directory_now(&node->directory), conn->name);
    if (!member)
        return "no member of this cluster has its name: it waits to be added";
    if (member->id == node->member_id)
        return "it has the name of this node";
    if (member->incarnation && member->incarnation != incarnation && !seeded_bug("member-wiped-returns"))
        return WIPED;
    conn->peer = peer_find(node, member->id);
    if (!conn->peer)
        return "this node is short of memory";
    peer_wake(conn->peer); /* it is there: it need not wait for our next attempt */
    return NULL;
}

/* A node of a formed cluster. Ids are never used again, so the id says who it is; a name may have changed hands. */
static const char *judge_member(struct conn *conn, const struct codec_hello *hello, uint64_t incarnation)
{
    struct node *node = conn->node;
    uint64_t id = hello->member_id;
    struct peer *peer;

    if (!same_cluster(node, hello->cluster_id))
        return "it belongs to another cluster";
    if (id == 0 || id == node->member_id)
        return "it has the member id of this node";
    peer = peer_find(node, id);
    if (!peer && directory_removed(&node->directory, engine_commit(node), id) &&
        !seeded_bug("member-removed-returns")) {
        conn->removed = true;
        return "it was removed from this cluster";
    }
    if (!peer) /* added since the last that is known here: it may lead by now, and have to tell */
        peer = peer_stranger(node, id, conn->name);
    if (!peer)
        return "too many members at once that this node has not heard of";
    if (peer->incarnation && incarnation != peer->incarnation)
        return OTHER_DIRECTORY;
    if (strcmp(peer->name, conn->name) != 0)
        return "it has another name than the member with its id";
    conn->peer = peer;
    return NULL;
}

/* Why a peer's hello is refused; NULL: it is welcome. */
static const char *judge_peer(struct node *node, struct conn *conn, const struct codec_hello *hello)
{
    if (!members_name_valid(hello->name) || !members_copy_text(conn->name, sizeof conn->name, hello->name))
        return "its name is malformed";
    if (hello->to.size && !gavel_slice_equal(hello->to, gavel_text(node->setup.name)))
        return "it looks for a node of another name at this address";
    if (!hello->founded)
        return judge_empty(conn, id_number(hello->incarnation));
    return node->founded ? judge_member(conn, hello, id_number(hello->incarnation)) : NULL;
}

static const char *judge_hello(struct conn *conn, const struct codec_hello *hello, int32_t *status)
{
    struct node *node = conn->node;

    *status = GAVEL_E_DENIED;
    if (hello->version_major != CODEC_PROTOCOL_MAJOR) {
        *status = GAVEL_E_VERSION;
        return "it speaks another major version of the protocol";
    }
    if (node->phase > NODE_RUNNING) {
        *status = GAVEL_E_CLOSED;
        return "this node is stopping";
    }
    if (hello->role == CODEC_ROLE_PEER && !codec_disk_fits(hello->disk_major)) {
        *status = GAVEL_E_VERSION;
        return OTHER_DISK;
    }
    if (hello->role == CODEC_ROLE_PEER)
        return judge_peer(node, conn, hello);
    if (hello->role == CODEC_ROLE_ADMIN && !conn->transport->admin)
        return "administrators connect through the socket admin.sock in the node's data directory";
    if (hello->role == CODEC_ROLE_CLIENT && !node->founded && (node->setup.join_count || node->scout || *node->waits)) {
        *status = GAVEL_E_NO_LEADER;
        return node->scout && node->setup.expect && !node->waits[0] ? NOT_FOUNDED : IN_NO_CLUSTER;
    }
    if (!members_copy_text(conn->name, sizeof conn->name, hello->name))
        conn->name[0] = 0;
    if (node->client_count >= node->limits.clients) {
        COVER("node-too-many-clients");
        *status = GAVEL_E_BUSY;
        return "this node has as many clients as it may";
    }
    return NULL;
}

static void adopt_incoming(struct conn *conn)
{
    struct peer *peer = conn->peer;

    if (!peer)
        return; /* a guest */
    /* One that is to end anyway may have answers on their way: whoever dialled it closes it when they have come. */
    if (peer->in && peer->in != conn && !peer->in->leave_at)
        conn_close(peer->in, GAVEL_CLOSE_NORMAL, "a newer connection took its place");
    peer->in = conn;
}

/* Whoever is refused comes again every two seconds, for days: once a minute is enough to read of it. */
static bool said_lately(struct node *node, struct gavel_slice name, const char *why)
{
    uint64_t hash = gavel_mix(gavel_mix(1, name.data, name.size), why, strlen(why));
    uint64_t now = node_now(node);
    struct refused *slot = &node->refused[hash % NODE_REFUSED];
    bool lately = slot->hash == hash && now - slot->said_ns < NODE_REFUSED_NS;

    if (!lately)
        *slot = (struct refused){.hash = hash, .said_ns = now};
    return lately;
}

static void on_hello(struct conn *conn, const struct codec_hello *hello)
{
    struct node *node = conn->node;
    uint8_t incarnation[CODEC_ID_BYTES];
    struct codec_welcome welcome = {
        .name = gavel_text(node->setup.name),
        .member_id = node->member_id,
        .incarnation = id_slice(node->incarnation, incarnation),
        .founded = node->founded,
        .version_major = CODEC_PROTOCOL_MAJOR,
        .version_minor = CODEC_PROTOCOL_MINOR,
        .message_bytes = NODE_MESSAGE_BYTES,
    };
    struct gavel_slice addresses[NODE_ADDRESSES_MAX];
    struct codec_reply leader = {0};
    int32_t status;
    const char *refused;

    conn->role = (uint32_t)hello->role;
    refused = judge_hello(conn, hello, &status);
    conn->serializer = choose_serializer(node, hello->serializers);
    welcome.serializer = gavel_text(conn->serializer->name);
    if (node->founded)
        welcome.cluster_id = gavel_bytes(node->cluster_id.bytes, sizeof node->cluster_id.bytes);
    if (refused) {
        COVER("node-refuses-a-hello");
        welcome.status = status;
        welcome.text = gavel_text(refused);
        welcome.removed = conn->removed;
        (void)send_with(conn, codec_msgpack(), NULL, CODEC_WELCOME, &welcome);
        if (!said_lately(node, hello->name, refused))
            node_log(node, GAVEL_LOG_WARN, "node", "Refused a %s from %s (%.*s): %s",
                     hello->role == CODEC_ROLE_PEER ? "peer" : "client", conn->address, (int)hello->name.size,
                     (const char *)hello->name.data, refused);
        conn_close(conn, GAVEL_CLOSE_NORMAL, refused);
        return;
    }
    (void)client_leader(node, &leader, addresses);
    welcome.leader = leader.leader;
    welcome.leader_addresses = leader.leader_addresses;
    conn->state = CONN_READY;
    if (conn->role == CODEC_ROLE_PEER) {
        welcome.machines = gavel_buffer_slice(&node->abilities);
        welcome.disk_major = CODEC_DISK_MAJOR;
        welcome.disk_minor = CODEC_DISK_MINOR;
        adopt_incoming(conn);
        if (conn->peer) {
            settings_learn(conn->peer, hello->version_minor, hello->disk_minor, hello->machines);
            majority_heard(conn->peer, hello->recovering != 0);
        }
    } else {
        node->client_count++;
    }
    conn->counted = conn->role != CODEC_ROLE_PEER;
    (void)send_with(conn, codec_msgpack(), NULL, CODEC_WELCOME, &welcome);
}

/* Why a welcome is not good enough; NULL: it is. */
static const char *judge_welcome(struct node *node, const struct peer *peer,
                                 const struct codec_welcome *welcome)
{
    if (welcome->version_major != CODEC_PROTOCOL_MAJOR)
        return "it speaks another major version of the protocol";
    if (!codec_disk_fits(welcome->disk_major))
        return OTHER_DISK;
    if (peer->name[0] && !gavel_slice_equal(welcome->name, gavel_text(peer->name)))
        return "a node of another name answers there";
    if (gavel_slice_equal(welcome->name, gavel_text(node->setup.name)))
        return "this node itself answers there";
    if (!node->founded)
        return NULL;
    if (!welcome->founded)
        return peer->incarnation && id_number(welcome->incarnation) != peer->incarnation ? WIPED : NULL;
    if (!same_cluster(node, welcome->cluster_id))
        return "it belongs to another cluster";
    if (welcome->member_id != peer->id || (peer->incarnation && id_number(welcome->incarnation) != peer->incarnation))
        return OTHER_DIRECTORY;
    return NULL;
}

/*
 * A member of a formed cluster says why this node may not come in: it waits, to be added or to be replaced. Clients
 * are better off with any other node.
 */
static void waits(struct node *node, const struct peer *peer, const struct codec_welcome *welcome, const char *why)
{
    struct os_list *at = node->conns.next;
    char text[320];

    if (!welcome->founded)
        return;
    (void)snprintf(text, sizeof text, "in no cluster: %.60s says: %s", peer->name[0] ? peer->name : "a member", why);
    members_show_text(node->waits, sizeof node->waits, gavel_text(text));
    while (at != &node->conns) {
        struct conn *conn = os_container(at, struct conn, link);

        at = at->next;
        if (conn->role == CODEC_ROLE_CLIENT && conn->state == CONN_READY)
            conn_goodbye(conn, GAVEL_E_NO_LEADER, IN_NO_CLUSTER);
    }
}

static void on_welcome(struct conn *conn, const struct codec_welcome *welcome)
{
    struct node *node = conn->node;
    struct peer *peer = conn->peer;
    char why[201];
    const char *refused = NULL;

    if (welcome->status) {
        members_show_text(why, sizeof why, welcome->text);
        refused = why;
    }
    if (!refused)
        refused = judge_welcome(node, peer, welcome);
    conn->serializer = serializer_named(node, welcome->serializer);
    if (!refused && !conn->serializer)
        refused = "it chose a serializer that was not offered";
    if (node->scout && !peer->name[0])
        seed_met(conn, welcome);
    if (!node->founded && refused)
        waits(node, peer, welcome, refused);
    if (refused) {
        if (welcome->removed && node->founded && same_cluster(node, welcome->cluster_id) &&
            node->role != RAFT_LEADER) /* one that leads waits for a successor, or will learn that its term ended */
            join_removed(node);
        if (!peer->complained)
            node_log(node, GAVEL_LOG_WARN, "peer", "%s%s%s: %s", peer->name, peer->name[0] ? " at " : "", conn->address,
                     refused);
        peer->complained = true;
        conn_close(conn, GAVEL_CLOSE_NORMAL, refused);
        return;
    }
    conn->state = CONN_READY;
    conn->up = true;
    if (conn == peer->fresh) {
        peer_refreshed(peer);
        return;
    }
    peer->blank_incarnation = id_number(welcome->incarnation);
    settings_learn(peer, welcome->version_minor, welcome->disk_minor, welcome->machines);
    peer_up(peer, welcome);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static void refuse_message(struct conn *conn, const char *why)
{
    struct node *node = conn->node;

    node_log(node, GAVEL_LOG_WARN, "node", "Closed the connection of %s%s%s: %s", conn->name,
             conn->name[0] ? " at " : "", conn->address, why);
    conn_close(conn, GAVEL_CLOSE_PROTOCOL, why);
}

static void dispatch(struct conn *conn, uint64_t type, void *message)
{
    if (type == CODEC_GOODBYE) {
        conn_close(conn, GAVEL_CLOSE_NORMAL, "it said good-bye");
        return;
    }
    if (type == CODEC_GOING_AWAY) {
        swap_message(conn, message);
        return;
    }
    if (conn->role == CODEC_ROLE_PEER) {
        if (type >= CODEC_FOUND_ASK && type <= CODEC_FOUND_DONE)
            found_message(conn, type, message);
        else if (conn->peer)
            peer_message(conn, type, message);
        return;
    }
    switch (type) {
    case CODEC_REQUEST: client_request(conn, message); break;
    case CODEC_STREAM_OPEN: event_open(conn, message); break;
    case CODEC_STREAM_CREDIT: event_credit(conn, message); break;
    case CODEC_STREAM_CLOSE: event_close(conn, message); break;
    default: refuse_message(conn, "a client may not send such a message");
    }
}

static void on_message(void *context, void *cookie, struct gavel_slice bytes)
{
    struct conn *conn = cookie;
    struct node *node = conn->node;
    struct codec_arena arena = codec_arena(node->scratch, NODE_SCRATCH_BYTES);
    bool greeting = conn->state == CONN_GREETING;
    struct gavel_error error;
    uint64_t type = 0;
    void *message;
    int32_t status;

    (void)context;
    assert(conn->magic == CONN_MAGIC);
    if (conn->state == CONN_CLOSING || !node_alive(node))
        return;
    status = codec_message_decode(greeting ? codec_msgpack() : conn->serializer->operations,
                                  greeting ? NULL : conn->serializer->self, bytes, &message_limits, &arena,
                                  &type, &message, &error);
    if (status == GAVEL_E_UNSUPPORTED && !greeting)
        return; /* a newer minor version may say more than we understand */
    if (status != GAVEL_OK) {
        refuse_message(conn, error.text);
        return;
    }
    measure_received(conn, type, bytes.size);
    settle_message(node, greeting ? 0 : type);
    if (!greeting)
        dispatch(conn, type, message);
    else if (conn->dialled && type == CODEC_WELCOME)
        on_welcome(conn, message);
    else if (!conn->dialled && type == CODEC_HELLO)
        on_hello(conn, message);
    else
        refuse_message(conn, "the first message has to be a hello");
}

/* ---- up-calls ------------------------------------------------------------------------------------------ */

static void *on_accepted(void *context, void *handle, const struct gavel_peer *from)
{
    struct listener *listener = context;
    struct node *node = listener->node;
    struct conn *conn;

    if (!node_alive(node) || node->phase > NODE_RUNNING || listener->leaving)
        return NULL;
    conn = conn_new(node, listener->transport, handle);
    if (!conn)
        return NULL;
    conn->state = CONN_GREETING;
    (void)snprintf(conn->address, sizeof conn->address, "%.*s", (int)from->address.size,
                   from->address.data ? (const char *)from->address.data : "");
    node_settle(node);
    return conn;
}

static void on_connected(void *context, void *cookie, const struct gavel_peer *to)
{
    struct conn *conn = cookie;

    (void)context;
    assert(conn->magic == CONN_MAGIC);
    if (conn->state != CONN_DIALING)
        return;
    conn->state = CONN_GREETING;
    conn->opened_ns = node_now(conn->node);
    (void)snprintf(conn->address, sizeof conn->address, "%.*s", (int)to->address.size,
                   to->address.data ? (const char *)to->address.data : "");
    (void)send_hello(conn);
    node_settle(conn->node);
}

static void on_quiet(void *context)
{
    struct listener *listener = context;

    settle_changed(listener->node);
}

static void on_drained(void *context, void *cookie)
{
    struct conn *conn = cookie;

    (void)context;
    event_pump(conn->node);
    node_settle(conn->node);
}

static void on_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct conn *conn = cookie;
    struct node *node = conn->node;
    struct peer *peer = conn->peer;
    char text[201];

    (void)context;
    assert(conn->magic == CONN_MAGIC);
    members_show_text(text, sizeof text, why);
    event_conn_gone(conn);
    if (conn->counted)
        node->client_count--;
    if (reason == GAVEL_CLOSE_PROTOCOL && conn->state != CONN_CLOSING)
        node_log(node, GAVEL_LOG_WARN, "node", "Connection of %s ended: %s", conn->address, text);
    if (peer && node_alive(node))
        peer_down(peer, conn, reason, text);
    conn_free(conn);
    node_settle(node);
}

/* ---- listening and dialling ---------------------------------------------------------------------------- */

/* In front of what a transport says: which section it is of. */
static int32_t name_transport(const struct node_transport *transport, struct gavel_error *error)
{
    char prefix[128];

    (void)snprintf(prefix, sizeof prefix, "transport %s", transport->name);
    return gavel_wrap(error, prefix);
}

int32_t conn_listen_on(struct listener *listener, struct gavel_error *error)
{
    struct node *node = listener->node;
    const struct node_transport *transport = listener->transport;
    struct gavel_transport_limits limits = {
        .size = GAVEL_END(struct gavel_transport_limits, connections),
        .message_bytes = NODE_MESSAGE_BYTES,
        .send_high = NODE_MESSAGE_BYTES * 4,
        .dial_ms = 2000,
        .keepalive_ms = 5000,
        .connections = node->limits.clients + NODE_MEMBERS_MAX,
    };
    int32_t status;

    listener->events = (struct gavel_transport_events){.size = GAVEL_END(struct gavel_transport_events, http),
                                                       .context = listener,
                                                       .accepted = on_accepted,
                                                       .connected = on_connected,
                                                       .message = on_message,
                                                       .quiet = on_quiet,
                                                       .drained = on_drained,
                                                       .closed = on_closed};
    status = transport->operations->prepare(transport->self, &listener->events, &limits, error);
    if (status != GAVEL_OK)
        return name_transport(transport, error);
    for (uint32_t i = 0; status == GAVEL_OK && i < transport->listen_count && i < 8; i++)
        status = transport->operations->listen(transport->self, gavel_text(transport->listen[i]),
                                               &listener->bound[i], error);
    if (status == GAVEL_OK)
        return status;
    transport->operations->unlisten(transport->self); /* whoever it was taken from listens there again */
    return name_transport(transport, error);
}

int32_t conn_listen(struct node *node, struct gavel_error *error)
{
    for (uint32_t i = 0; i < node->setup.transport_count; i++) {
        int32_t status = swap_listen(node, &node->setup.transports[i], error);

        if (status != GAVEL_OK)
            return status;
    }
    return GAVEL_OK;
}

/* The first transport that speaks the scheme of the URI. */
static const struct node_transport *transport_for(const struct node *node, const char *uri)
{
    const char *end = strstr(uri, "://");
    size_t length = end ? (size_t)(end - uri) : 0;

    for (uint32_t i = 0; length && i < NODE_TRANSPORT_SLOTS; i++) {
        const struct node_transport *transport = node->listeners[i].transport;

        if (transport && !transport->admin && !node->listeners[i].leaving &&
            node_speaks(transport->operations->schemes, uri, length))
            return transport;
    }
    return NULL;
}

struct conn *conn_dial(struct node *node, struct peer *peer, const char *uri, struct gavel_error *error)
{
    const struct node_transport *transport = transport_for(node, uri);
    struct conn *conn;

    if (!transport) {
        (void)gavel_fail(error, GAVEL_E_UNSUPPORTED, "no transport of this node speaks %s", uri);
        return NULL;
    }
    conn = conn_new(node, transport, NULL);
    if (!conn) {
        (void)gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a connection");
        return NULL;
    }
    conn->state = CONN_DIALING;
    conn->dialled = true;
    conn->role = CODEC_ROLE_PEER;
    conn->peer = peer;
    (void)snprintf(conn->address, sizeof conn->address, "%s", uri);
    if (transport->operations->connect(transport->self, gavel_text(uri), conn, &conn->handle, error) !=
        GAVEL_OK) {
        conn_free(conn);
        return NULL;
    }
    return conn;
}
