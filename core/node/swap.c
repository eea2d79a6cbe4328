/* SPDX-License-Identifier: Apache-2.0 */
/*
 * swap.c - transports and serializers that come and go while the node runs.
 *
 * What ends has three steps: it takes nothing new; whoever still uses it is told to open another connection ("going
 * away") and goes on being served; when nobody is left, or the time is over, it is done. So nothing is cut off that can
 * move, and nothing stays for ever.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <string.h>

#include "core/codec/value.h"

/* ---- places ------------------------------------------------------------------------------------------------------ */

bool node_speaks(const char *schemes, const char *uri, size_t length)
{
    while (schemes && *schemes) {
        size_t word = strcspn(schemes, " ");

        if (word == length && memcmp(schemes, uri, length) == 0)
            return true;
        schemes += word + strspn(schemes + word, " ");
    }
    return false;
}

struct listener *swap_listener(struct node *node, const struct node_transport *transport)
{
    for (uint32_t i = 0; i < NODE_TRANSPORT_SLOTS; i++)
        if (node->listeners[i].transport == transport)
            return &node->listeners[i];
    return NULL;
}

int32_t swap_listen(struct node *node, const struct node_transport *transport, struct gavel_error *error)
{
    struct listener *listener = swap_listener(node, NULL);
    int32_t status;

    if (!listener)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "more than %d transports at the same time, with those that end",
                          NODE_TRANSPORT_SLOTS);
    memset(listener, 0, sizeof *listener);
    listener->node = node;
    listener->transport = transport;
    status = trace_listen(listener, error);
    if (status != GAVEL_OK)
        listener->transport = NULL;
    return status;
}

/* Whether one of the URIs of `a` is one of `b`. */
static bool share_uri(const struct node_transport *a, const struct node_transport *b)
{
    for (uint32_t i = 0; i < a->listen_count; i++)
        for (uint32_t k = 0; k < b->listen_count; k++)
            if (strcmp(a->listen[i], b->listen[k]) == 0)
                return true;
    return false;
}

static void listen_again(struct listener *listener)
{
    const struct node_transport *transport = listener->transport;
    struct gavel_error error;

    for (uint32_t i = 0; i < transport->listen_count && i < 8; i++) {
        /* Where it had listened: the system may have chosen the port. */
        struct gavel_slice uri = listener->bound[i].size ? listener->bound[i] : gavel_text(transport->listen[i]);

        if (transport->operations->listen(transport->self, uri, &listener->bound[i], &error) != GAVEL_OK)
            node_log(listener->node, GAVEL_LOG_ERROR, "node", "%s does not listen any more: %s", transport->name,
                     error.text);
    }
}

int32_t node_add_transport(struct node *node, const struct node_transport *transport,
                           const struct node_transport *replaces, struct gavel_error *error)
{
    struct listener *old = replaces ? swap_listener(node, replaces) : NULL;
    int32_t status;

    assert(node->magic == NODE_MAGIC);
    if (old && !share_uri(transport, replaces))
        old = NULL;
    if (old)
        replaces->operations->unlisten(replaces->self);
    status = swap_listen(node, transport, error);
    if (status != GAVEL_OK && old)
        listen_again(old);
    return status;
}

const char *node_transport_bound(const struct node *node, const struct node_transport *transport, uint32_t listener)
{
    for (uint32_t i = 0; i < NODE_TRANSPORT_SLOTS && listener < 8; i++)
        if (node->listeners[i].transport == transport && node->listeners[i].bound[listener].data)
            return node->listeners[i].bound[listener].data;
    return "";
}

/* ---- going away -------------------------------------------------------------------------------------------------- */

static bool is_offered(const struct node *node, const struct node_serializer *serializer)
{
    for (uint32_t i = 0; i < node->serializer_count; i++)
        if (node->serializers[i] == serializer)
            return true;
    return false;
}

/* Tell the other side of a connection that it ends: whoever dialled it opens another. */
static void send_away(struct conn *conn, uint64_t leave_at)
{
    struct node *node = conn->node;
    uint64_t now = node_now(node);
    const char *own[NODE_ADDRESSES_MAX];
    struct gavel_slice addresses[NODE_ADDRESSES_MAX];
    struct codec_going_away message = {.text = gavel_text("this connection is to end: open another one"),
                                       .remaining_ms = leave_at > now ? (leave_at - now) / NS_PER_MS : 0};
    uint32_t count = node_addresses(node, own);

    for (uint32_t i = 0; i < count; i++)
        addresses[i] = gavel_text(own[i]);
    message.addresses = (struct gavel_list){.items = addresses, .count = count, .stride = sizeof addresses[0]};
    if (conn->role != CODEC_ROLE_PEER && !event_choked(node))
        message.index = node->applied;
    if (!conn->leave_at || leave_at < conn->leave_at)
        conn->leave_at = leave_at ? leave_at : 1;
    node->leaving = true;
    (void)conn_send(conn, CODEC_GOING_AWAY, &message);
}

static void move_conn(struct conn *conn, uint64_t leave_at)
{
    if (conn->state == CONN_CLOSING)
        return;
    if (conn->state != CONN_READY)
        conn_close(conn, GAVEL_CLOSE_NORMAL, "what it goes through is being replaced");
    else if (conn->dialled && conn->peer && conn->peer->out == conn)
        peer_refresh(conn->peer, leave_at);
    else if (!conn->dialled)
        send_away(conn, leave_at);
    else
        conn->leave_at = leave_at;
}

/* Move everyone who uses `transport` or one of the serializers that are not offered; all peers too if `peers`. */
static void move_conns(struct node *node, const struct node_transport *transport, bool peers, uint64_t leave_at)
{
    struct os_list *at = node->conns.next;

    event_pump(node); /* what a client is told to have seen has been sent */
    while (at != &node->conns) {
        struct conn *conn = os_container(at, struct conn, link);

        at = at->next;
        if (transport ? conn->transport == transport
                      : (peers && conn->role == CODEC_ROLE_PEER) ||
                            (conn->serializer && conn->state == CONN_READY && !is_offered(node, conn->serializer)))
            move_conn(conn, leave_at);
    }
}

static void retire(struct node *node, const void *what, void (*done)(void *context), void *context)
{
    for (uint32_t i = 0; i < NODE_RETIRING_MAX; i++) {
        if (node->retiring[i].what)
            continue;
        node->retiring[i] = (struct retiring){.what = what, .done = done, .context = context};
        node->leaving = true;
        node->tick_at = node_now(node); /* it may be over already */
        return;
    }
    assert(!"more is retired than there can be");
}

void node_retire_transport(struct node *node, const struct node_transport *transport, uint64_t drain_ms,
                           void (*done)(void *context), void *context)
{
    struct listener *listener = swap_listener(node, transport);

    assert(node->magic == NODE_MAGIC);
    assert(listener);
    assert(!listener->leaving);
    listener->leaving = true;
    transport->operations->unlisten(transport->self);
    move_conns(node, transport, false, node_now(node) + drain_ms * NS_PER_MS);
    retire(node, transport, done, context);
    node_settle(node);
}

void node_drop_transport(struct node *node, const struct node_transport *transport,
                         const struct node_transport *replaces, void (*done)(void *context), void *context)
{
    node_retire_transport(node, transport, 0, done, context);
    if (replaces && share_uri(transport, replaces))
        listen_again(swap_listener(node, replaces));
}

void node_offer(struct node *node, const struct node_serializer *const *serializers, uint32_t count, uint64_t drain_ms)
{
    bool known = false, changed = false;
    uint32_t held = node->serializer_count;

    assert(count <= NODE_SERIALIZERS_MAX);
    node->serializer_count = 0;
    for (uint32_t i = 0; i <= count; i++) {
        const struct node_serializer *one = i < count ? serializers[i] : &node->native;

        if (i == count && known)
            break; /* MessagePack is always known: once */
        known = known || strcmp(one->name, "msgpack") == 0;
        changed = changed || i >= held || node->serializers[i] != one;
        node->serializers[node->serializer_count++] = one;
    }
    if (node->phase == NODE_NEW || (!changed && node->serializer_count == held))
        return;
    move_conns(node, NULL, true, node_now(node) + drain_ms * NS_PER_MS);
    node_settle(node);
}

void node_retire_serializer(struct node *node, const struct node_serializer *serializer, void (*done)(void *context),
                            void *context)
{
    assert(!is_offered(node, serializer));
    retire(node, serializer, done, context);
    node_settle(node);
}

/* A connection that the other side, or a fresh one, has left: nothing is under way on it any more. */
static bool is_left(const struct conn *conn)
{
    const struct peer *peer = conn->peer;

    if (conn->role != CODEC_ROLE_PEER || !conn->dialled || !peer)
        return false;
    return conn != peer->out && conn != peer->fresh && !client_forwarded_over(conn->node, conn->serial);
}

static bool in_use(const struct node *node, const void *what)
{
    const struct conn *conn;

    os_list_each (conn, &node->conns, const struct conn, link)
        if (conn->transport == what || (conn->serializer == what && conn->state != CONN_CLOSING))
            return true; /* nothing is encoded any more for one that is being closed */
    return false;
}

void swap_expire(struct node *node, uint64_t now)
{
    struct os_list *at = node->conns.next;

    node->leaving = false;
    while (at != &node->conns) {
        struct conn *conn = os_container(at, struct conn, link);

        at = at->next;
        if (!conn->leave_at || conn->state == CONN_CLOSING)
            continue;
        if (is_left(conn))
            conn_close(conn, GAVEL_CLOSE_NORMAL, "another connection has taken its place");
        else if (conn->leave_at <= now)
            conn_goodbye(conn, GAVEL_E_CLOSED, "the time to move elsewhere is over");
        else
            node->leaving = true;
    }
    for (uint32_t i = 0; i < NODE_RETIRING_MAX; i++) {
        struct retiring one = node->retiring[i];
        struct listener *listener = one.what ? swap_listener(node, one.what) : NULL;

        if (!one.what)
            continue;
        node->leaving = true;
        if (in_use(node, one.what))
            continue;
        node->retiring[i].what = NULL;
        if (listener)
            listener->transport = NULL;
        one.done(one.context);
    }
}

void swap_message(struct conn *conn, const struct codec_going_away *message)
{
    struct node *node = conn->node;
    uint64_t wait_ms = message->remaining_ms < NODE_REQUEST_MS_MAX ? message->remaining_ms : NODE_REQUEST_MS_MAX;
    uint64_t leave_at = node_now(node) + wait_ms * NS_PER_MS + 1;

    if (conn->role != CODEC_ROLE_PEER || !conn->peer)
        return; /* a client's connection is its own */
    node->leaving = true;
    if (conn->dialled && conn == conn->peer->out) {
        peer_moves(conn->peer, message->addresses);
        peer_refresh(conn->peer, leave_at);
    } else if (!conn->dialled) {
        conn->leave_at = leave_at;
    }
}

/* ---- whether it may be ------------------------------------------------------------------------------------------- */

int32_t node_steady(const struct node *node, struct gavel_error *error)
{
    const char *why = NULL;

    if (node->phase > NODE_RUNNING)
        why = "it is stopping";
    else if (node->phase == NODE_FOUNDING && (node->setup.join_count || node->waits[0]))
        why = "it waits to be added to a cluster";
    else if (node->phase == NODE_FOUNDING)
        why = "its cluster is not founded yet";
    else if (node->phase != NODE_RUNNING || !node->raft)
        why = "it is still reading its log back";
    else if (engine_status(node).recovering)
        why = "it is recovering damaged entries from the others";
    else if (!members_find(directory_now(&node->directory), node->member_id))
        why = "it is no member of the cluster";
    return why ? gavel_fail(error, GAVEL_E_STATE, "this node cannot be changed now: %s", why) : GAVEL_OK;
}

bool node_waits(const struct node *node)
{
    return node->phase == NODE_FOUNDING;
}

static bool any_speaks(const struct node_transport *const *transports, uint32_t count, const char *uri)
{
    const char *end = strstr(uri, "://");

    for (uint32_t i = 0; end && i < count; i++)
        if (!transports[i]->admin && node_speaks(transports[i]->operations->schemes, uri, (size_t)(end - uri)))
            return true;
    return false;
}

/* Whether somebody who listens on `member`'s addresses speaks the scheme of one that we listen on. */
static bool dials_back(const struct node_transport *const *transports, uint32_t count, const struct member *member)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; !transports[i]->admin && k < transports[i]->listen_count; k++)
            for (uint32_t a = 0; a < member->address_count; a++)
                if (strcspn(transports[i]->listen[k], ":") == strcspn(member->addresses[a], ":") &&
                    strncmp(transports[i]->listen[k], member->addresses[a], strcspn(member->addresses[a], ":")) == 0)
                    return true;
    return false;
}

int32_t node_would_reach(const struct node *node, const struct node_transport *const *transports, uint32_t count,
                         struct gavel_error *error)
{
    const struct members *members = directory_now(&node->directory);

    for (uint32_t i = 0; members && i < members->count; i++) {
        const struct member *member = &members->items[i];
        bool reached = member->id == node->member_id;

        for (uint32_t a = 0; a < member->address_count && !reached; a++)
            reached = any_speaks(transports, count, member->addresses[a]);
        if (reached && (member->id == node->member_id || dials_back(transports, count, member)))
            continue;
        return gavel_fail(error, GAVEL_E_STATE,
                          "no transport would be left that both this node and %s (%s) speak: let every member listen "
                          "with the new transport first, beside the old one, and take the old one away afterwards",
                          member->name, member->address_count ? member->addresses[0] : "no address");
    }
    return GAVEL_OK;
}

/* ---- limits and answers ------------------------------------------------------------------------------------------ */

/* 0 means what it meant at the start: the default, which is in force then. */
static void take(uint64_t *limit, uint64_t value)
{
    if (value)
        *limit = value;
}

void node_change_limits(struct node *node, const struct node_limits *limits)
{
    take(&node->limits.peer_reply_ms, limits->peer_reply_ms);
    take(&node->limits.redial_min_ms, limits->redial_min_ms);
    take(&node->limits.redial_max_ms, limits->redial_max_ms);
    take(&node->limits.client_in_flight, limits->client_in_flight);
    take(&node->limits.request_ms, limits->request_ms);
    take(&node->limits.streams, limits->streams);
    take(&node->limits.snapshot_entries, limits->snapshot_entries);
    take(&node->limits.snapshot_log_min, limits->snapshot_log_min);
    node->limits.transfer_rate = limits->transfer_rate; /* 0 means none, not the default */
    node->sending.next_at = 0;
    take(&node->limits.stop_ms, limits->stop_ms);
    node->limits.health = limits->health;
    health_fill(&node->limits.health);
    node->limits.trace_arguments = limits->trace_arguments;
    node->look = NODE_LOOK_ALL;
}

void node_answer(struct node *node, struct node_caller caller, int32_t status, const char *text,
                 struct gavel_slice result)
{
    struct origin origin = {.conn = caller.conn, .id = caller.id};
    struct codec_reply reply = {.index = node->applied, .result = result};

    if (!caller.conn || !node_alive(node))
        return;
    if (status != GAVEL_OK)
        client_refuse(node, origin, status, "%s", text);
    else
        client_reply(node, origin, &reply);
    node_settle(node);
}
