/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_endpoint.c - one endpoint of a client: it is dialled when somebody needs it, greets, carries calls, and
 * backs off.
 *
 * Which one is asked: `client->current`, which follows the leader hints; while that one is not ready any other that is.
 * Nobody ready: dial the current one, and the next one at once when that fails or when it takes longer than
 * CLIENT_HEDGE_MS. Once all have failed, each waits its own jittered back-off, so a client without a cluster never
 * spins.
 */
#include "client_core.h"

#include <assert.h>
#include <stdlib.h>

#define ALLOWED(state) (1u << (state))

/* What may follow on what. */
static const unsigned moves[CLIENT_ENDPOINT_STATES] = {
    [CLIENT_ENDPOINT_IDLE] = ALLOWED(CLIENT_ENDPOINT_DIALING) | ALLOWED(CLIENT_ENDPOINT_WAITING),
    [CLIENT_ENDPOINT_DIALING] =
        ALLOWED(CLIENT_ENDPOINT_GREETING) | ALLOWED(CLIENT_ENDPOINT_WAITING) | ALLOWED(CLIENT_ENDPOINT_CLOSING),
    [CLIENT_ENDPOINT_GREETING] =
        ALLOWED(CLIENT_ENDPOINT_READY) | ALLOWED(CLIENT_ENDPOINT_WAITING) | ALLOWED(CLIENT_ENDPOINT_CLOSING),
    [CLIENT_ENDPOINT_READY] = ALLOWED(CLIENT_ENDPOINT_WAITING) | ALLOWED(CLIENT_ENDPOINT_CLOSING),
    [CLIENT_ENDPOINT_CLOSING] = ALLOWED(CLIENT_ENDPOINT_WAITING),
    [CLIENT_ENDPOINT_WAITING] = ALLOWED(CLIENT_ENDPOINT_IDLE),
};

static void move(struct client_endpoint *endpoint, enum client_endpoint_state to)
{
    assert(endpoint->magic == CLIENT_ENDPOINT_MAGIC);
    assert(moves[endpoint->state] & ALLOWED(to));
    endpoint->state = to;
    client_timer_stop(&endpoint->client->timers, &endpoint->timer);
    /* Invariant: there is a connection exactly from dial to closed, and calls only hang on a ready one. */
    assert(to != CLIENT_ENDPOINT_READY || endpoint->connection);
    assert(to == CLIENT_ENDPOINT_READY || os_list_empty(&endpoint->sent) || to == CLIENT_ENDPOINT_CLOSING);
}

static const struct client_transport *transport_of(const struct client_endpoint *endpoint)
{
    return &endpoint->client->transports[endpoint->transport];
}

void client_endpoint_said(struct client_endpoint *endpoint, struct gavel_slice what)
{
    size_t address = strlen(endpoint->uri), prefix = address + 2;
    const char *text = what.data;
    size_t size;

    /* Transports put the address and ": " before their sentences, and so does the report; but one may begin with a
     * longer address, or go on otherwise. */
    if (what.size > prefix && memcmp(text, endpoint->uri, address) == 0 && memcmp(text + address, ": ", 2) == 0)
        what = gavel_bytes(text + prefix, what.size - prefix);
    size = what.size < sizeof endpoint->said - 1 ? what.size : sizeof endpoint->said - 1;
    pthread_mutex_lock(&endpoint->client->tried_lock);
    if (size)
        memcpy(endpoint->said, what.data, size);
    endpoint->said[size] = 0;
    pthread_mutex_unlock(&endpoint->client->tried_lock);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* Which transport speaks the scheme of `uri`; -1: none. */
static int32_t transport_for(const struct gavel_client *client, struct gavel_slice uri)
{
    const char *colon = uri.size ? memchr(uri.data, ':', uri.size) : NULL;
    size_t length = colon ? (size_t)(colon - (const char *)uri.data) : 0;
    uint32_t i;

    for (i = 0; colon && i < client->transport_count; i++) {
        const char *scheme = client->transports[i].operations->schemes;

        while (*scheme) {
            size_t size = strcspn(scheme, " ");

            if (size == length && memcmp(scheme, uri.data, size) == 0)
                return (int32_t)i;
            scheme += size;
            scheme += strspn(scheme, " ");
        }
    }
    return -1;
}

/* A scheme that nobody speaks; one that means TLS deserves a word of its own, for no transport has any. */
static int32_t fail_scheme(struct gavel_slice uri, struct gavel_error *error)
{
    static const char *const secure[] = {"wss:", "tls:", "https:"};
    int size = (int)(uri.size < 200 ? uri.size : 200);
    size_t i;

    for (i = 0; i < sizeof secure / sizeof secure[0]; i++)
        if (uri.size > strlen(secure[i]) && memcmp(uri.data, secure[i], strlen(secure[i])) == 0)
            return gavel_fail(error, GAVEL_E_INVALID, "'%.*s' means TLS, which no transport of this build has: use "
                              "ws:// or tcp://, and between machines a network that encrypts by itself, such as a VPN",
                              size, (const char *)uri.data);
    return gavel_fail(error, GAVEL_E_INVALID, "'%.*s' is no endpoint that this build speaks: %s", size,
                      (const char *)uri.data, "ws://host:port, tcp://host:port, unix:///path");
}

static void timer_fired(struct client_timer *timer);

static struct client_endpoint *endpoint_new(struct gavel_client *client, struct gavel_slice uri, uint32_t transport)
{
    struct client_endpoint *endpoint = calloc(1, sizeof *endpoint);

    if (!endpoint)
        return NULL;
    endpoint->uri = strndup(uri.data, uri.size);
    if (!endpoint->uri) {
        free(endpoint);
        return NULL;
    }
    endpoint->magic = CLIENT_ENDPOINT_MAGIC;
    endpoint->client = client;
    endpoint->transport = transport;
    os_list_init(&endpoint->sent);
    client_timer_init(&endpoint->timer, timer_fired);
    return endpoint;
}

int32_t client_endpoint_add(struct gavel_client *client, struct gavel_slice uri, bool learned,
                            struct gavel_error *error)
{
    struct client_endpoint *endpoint;
    int32_t transport;
    uint32_t i;

    for (i = 0; i < client->endpoint_count; i++)
        if (gavel_slice_equal(gavel_text(client->endpoints[i]->uri), uri))
            return (int32_t)i;
    transport = transport_for(client, uri);
    if (transport < 0)
        return fail_scheme(uri, error);
    if (client->endpoint_count == GAVEL_CLIENT_ENDPOINTS)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "more than %d endpoints", GAVEL_CLIENT_ENDPOINTS);
    if (client_timers_reserve(&client->timers, GAVEL_CLIENT_CALLS * 2 + GAVEL_CLIENT_ENDPOINTS) != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for an endpoint");
    endpoint = endpoint_new(client, uri, (uint32_t)transport);
    if (!endpoint)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for an endpoint");
    endpoint->learned = learned;
    pthread_mutex_lock(&client->tried_lock);
    client->endpoints[client->endpoint_count++] = endpoint;
    pthread_mutex_unlock(&client->tried_lock);
    return (int32_t)client->endpoint_count - 1;
}

void client_endpoint_free(struct client_endpoint *endpoint)
{
    if (!endpoint)
        return;
    assert(endpoint->magic == CLIENT_ENDPOINT_MAGIC);
    assert(os_list_empty(&endpoint->sent));
    endpoint->magic = 0;
    free(endpoint->uri);
    free(endpoint);
}

/* ---- dialling ---------------------------------------------------------------------------------------------------- */

static void back_off(struct client_endpoint *endpoint)
{
    uint64_t wait = CLIENT_RETRY_MIN_MS;
    uint32_t i;

    for (i = 1; i < endpoint->failures && wait < CLIENT_RETRY_MAX_MS; i++)
        wait *= 2;
    if (wait > CLIENT_RETRY_MAX_MS)
        wait = CLIENT_RETRY_MAX_MS;
    move(endpoint, CLIENT_ENDPOINT_WAITING);
    client_timer_start(&endpoint->client->timers, &endpoint->timer,
                       client_host_now() + wait / 2 + client_host_random(wait / 2 + 1));
}

static void dial(struct client_endpoint *endpoint)
{
    const struct client_transport *transport = transport_of(endpoint);
    struct gavel_error error = {0, ""};
    void *connection = NULL;
    int32_t status = transport->operations->connect(transport->self, gavel_text(endpoint->uri), endpoint, &connection,
                                                    &error);

    if (status != GAVEL_OK) {
        client_endpoint_said(endpoint, gavel_text(error.text));
        endpoint->failures++;
        back_off(endpoint);
        return;
    }
    endpoint->connection = connection;
    move(endpoint, CLIENT_ENDPOINT_DIALING);
    if (endpoint->said[0] == 0)
        client_endpoint_said(endpoint, gavel_text("no answer yet"));
    endpoint->dialled = client_host_now();
    client_timer_start(&endpoint->client->timers, &endpoint->timer, endpoint->dialled + CLIENT_HEDGE_MS);
}

/* Somebody waits for a connection. */
static bool wanted(const struct gavel_client *client)
{
    uint32_t i;

    for (i = 0; i < client->endpoint_count; i++)
        if (client->endpoints[i]->leaving)
            return true; /* what is on it shall find another in time */
    return !os_list_empty(&client->waiting) || client_stream_waits(client);
}

/* Dial the first endpoint from `current` on that may be dialled, unless one is on its way in good time. */
void client_endpoint_demand(struct gavel_client *client)
{
    uint64_t now = client_host_now();
    uint32_t i;

    if (client->closing || client->endpoint_count == 0)
        return;
    for (i = 0; i < client->endpoint_count; i++) {
        const struct client_endpoint *endpoint = client->endpoints[i];
        bool underway = endpoint->state == CLIENT_ENDPOINT_DIALING || endpoint->state == CLIENT_ENDPOINT_GREETING;

        if (underway && now - endpoint->dialled < CLIENT_HEDGE_MS)
            return; /* it may well succeed */
        if (endpoint->state == CLIENT_ENDPOINT_READY && !endpoint->leaving && i == client->current)
            return;
    }
    for (i = 0; i < client->endpoint_count; i++) {
        struct client_endpoint *endpoint = client->endpoints[(client->current + i) % client->endpoint_count];

        if (endpoint->state == CLIENT_ENDPOINT_READY && !endpoint->leaving)
            return; /* good enough until the current one may be dialled again */
        if (endpoint->state == CLIENT_ENDPOINT_IDLE) {
            dial(endpoint);
            if (endpoint->state == CLIENT_ENDPOINT_DIALING)
                return;
        }
    }
}

struct client_endpoint *client_endpoint_pick(struct gavel_client *client)
{
    struct client_endpoint *leaving = NULL;
    uint32_t i;

    for (i = 0; i < client->endpoint_count; i++) {
        struct client_endpoint *endpoint = client->endpoints[(client->current + i) % client->endpoint_count];

        if (endpoint->state != CLIENT_ENDPOINT_READY)
            continue;
        if (endpoint->leaving) {
            leaving = leaving ? leaving : endpoint;
            continue;
        }
        if (i > 0)
            client_endpoint_demand(client);
        return endpoint->full ? NULL : endpoint;
    }
    if (!leaving)
        return NULL;
    client_endpoint_demand(client); /* it is good until another one is ready */
    return leaving->full ? NULL : leaving;
}

void client_endpoint_rotate(struct gavel_client *client, const struct client_endpoint *from)
{
    if (client->endpoints[client->current] == from)
        client->current = (client->current + 1) % client->endpoint_count;
}

void client_endpoint_close(struct client_endpoint *endpoint)
{
    const struct client_transport *transport = transport_of(endpoint);

    if (endpoint->state != CLIENT_ENDPOINT_DIALING && endpoint->state != CLIENT_ENDPOINT_GREETING &&
        endpoint->state != CLIENT_ENDPOINT_READY)
        return;
    move(endpoint, CLIENT_ENDPOINT_CLOSING);
    transport->operations->close(transport->self, endpoint->connection, GAVEL_CLOSE_NORMAL, gavel_text("done"));
}

/* What an endpoint's timer means depends on its state. */
static void timer_fired(struct client_timer *timer)
{
    struct client_endpoint *endpoint = os_container(timer, struct client_endpoint, timer);

    assert(endpoint->magic == CLIENT_ENDPOINT_MAGIC);
    if (endpoint->state == CLIENT_ENDPOINT_GREETING && timer->at < endpoint->dialled + CLIENT_DIAL_MS) {
        client_timer_start(&endpoint->client->timers, timer, endpoint->dialled + CLIENT_DIAL_MS);
    } else if (endpoint->state == CLIENT_ENDPOINT_GREETING) {
        client_endpoint_said(endpoint, gavel_text("connected, but sent no welcome"));
        client_endpoint_close(endpoint);
    } else if (endpoint->state == CLIENT_ENDPOINT_WAITING) {
        move(endpoint, CLIENT_ENDPOINT_IDLE);
    }
    if (wanted(endpoint->client))
        client_endpoint_demand(endpoint->client);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static const struct gavel_serializer *serializer_of(const struct client_endpoint *endpoint)
{
    if (endpoint->json)
        return gavel_plugin_json()->operations;
    return codec_msgpack();
}

int32_t client_endpoint_send(struct client_endpoint *endpoint, uint64_t type, const void *message,
                             struct gavel_error *error)
{
    const struct client_transport *transport = transport_of(endpoint);
    const struct gavel_serializer *serializer =
        type == CODEC_HELLO ? codec_msgpack() : serializer_of(endpoint);
    struct gavel_buffer *out = &endpoint->client->out;
    struct gavel_slice whole;
    int32_t status;

    out->size = 0;
    status = codec_message_encode(serializer, NULL, type, message, out, error);
    if (status != GAVEL_OK)
        return status;
    whole = gavel_buffer_slice(out);
    status = transport->operations->send(transport->self, endpoint->connection, &whole, 1);
    endpoint->full = status == GAVEL_E_BUSY;
    return status == GAVEL_OK ? GAVEL_OK : gavel_fail(error, status, "cannot send to %s", endpoint->uri);
}

static void send_hello(struct client_endpoint *endpoint)
{
    struct gavel_client *client = endpoint->client;
    struct gavel_slice names[2];
    struct codec_hello hello = {0};
    struct gavel_error error;

    names[0] = gavel_text(client->prefer_json ? "json" : "msgpack");
    names[1] = gavel_text("msgpack");
    hello.role = client->role;
    hello.version_major = CODEC_PROTOCOL_MAJOR;
    hello.version_minor = CODEC_PROTOCOL_MINOR;
    hello.name = gavel_text(client->name);
    hello.serializers.items = names;
    hello.serializers.count = client->prefer_json ? 2 : 1;
    hello.serializers.stride = sizeof names[0];
    hello.message_bytes = GAVEL_CLIENT_MESSAGE;
    if (client_endpoint_send(endpoint, CODEC_HELLO, &hello, &error) == GAVEL_OK) {
        endpoint->dialled = client_host_now(); /* the hello has its own time */
        client_timer_start(&client->timers, &endpoint->timer, endpoint->dialled + CLIENT_HEDGE_MS);
        return;
    }
    client_endpoint_said(endpoint, gavel_text(error.text));
    client_endpoint_close(endpoint);
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

/* A node named the leader: ask that one from now on. */
static void follow_hint(struct gavel_client *client, const struct gavel_list *addresses)
{
    uint64_t i;

    for (i = 0; !client->stay && i < addresses->count; i++) {
        const struct gavel_slice *uri =
            (const struct gavel_slice *)(const void *)((const char *)addresses->items + i * addresses->stride);
        int32_t place = uri->size ? client_endpoint_add(client, *uri, true, NULL) : -1;

        if (place < 0)
            continue;
        if (client->current != (uint32_t)place && client->endpoints[place]->state != CLIENT_ENDPOINT_WAITING) {
            client->current = (uint32_t)place;
            client_endpoint_demand(client);
        }
        return;
    }
}

/* ---- a node that goes away --------------------------------------------------------------------------------------- */

/* Calls that were sent on it are answered there; streams go on elsewhere from their last revision. */
void client_endpoint_left(struct client_endpoint *endpoint)
{
    if (endpoint->leaving && endpoint->state == CLIENT_ENDPOINT_READY && os_list_empty(&endpoint->sent) &&
        !client_stream_at(endpoint))
        client_endpoint_close(endpoint);
}

/* Another endpoint is ready: whatever can leave does. */
static void leave_old(struct gavel_client *client)
{
    uint32_t i;

    for (i = 0; i < client->endpoint_count; i++) {
        struct client_endpoint *endpoint = client->endpoints[i];

        if (!endpoint->leaving || endpoint->state != CLIENT_ENDPOINT_READY)
            continue;
        client_stream_move(endpoint);
        client_endpoint_left(endpoint);
    }
}

/* The node says where it listens from now on: that is asked next, even by a client that stays where it is. */
static void on_going_away(struct client_endpoint *endpoint, const struct codec_going_away *message)
{
    struct gavel_client *client = endpoint->client;
    const struct client_endpoint *ready;
    int32_t place = -1;
    uint64_t i;

    if (endpoint->state != CLIENT_ENDPOINT_READY || client->closing)
        return;
    client_log(client, GAVEL_LOG_INFO, "%s goes away: %.*s", endpoint->uri,
               (int)(message->text.size < 200 ? message->text.size : 200),
               message->text.size ? (const char *)message->text.data : "");
    endpoint->leaving = true;
    for (i = 0; i < message->addresses.count && place < 0; i++) {
        const struct gavel_slice *uri = (const struct gavel_slice *)(const void *)((const char *)
            message->addresses.items + i * message->addresses.stride);

        if (uri->size && !gavel_slice_equal(gavel_text(endpoint->uri), *uri))
            place = client_endpoint_add(client, *uri, true, NULL);
    }
    if (client->endpoints[client->current] == endpoint) {
        if (place >= 0)
            client->current = (uint32_t)place;
        else
            client_endpoint_rotate(client, endpoint);
    }
    client_stream_seen(endpoint, message->index);
    ready = client_endpoint_pick(client);
    if (ready && !ready->leaving)
        leave_old(client);
    else
        client_endpoint_demand(client);
}

static void on_welcome(struct client_endpoint *endpoint, const struct codec_welcome *welcome)
{
    size_t size = welcome->name.size < sizeof endpoint->name - 1 ? welcome->name.size : sizeof endpoint->name - 1;

    if (endpoint->state != CLIENT_ENDPOINT_GREETING)
        return;
    if (welcome->status != 0 || welcome->version_major != CODEC_PROTOCOL_MAJOR) {
        client_endpoint_said(endpoint, welcome->text.size ? welcome->text : gavel_text("refused the hello"));
        client_endpoint_close(endpoint);
        return;
    }
    if (size)
        memcpy(endpoint->name, welcome->name.data, size);
    endpoint->name[size] = 0;
    endpoint->json = gavel_slice_equal(welcome->serializer, gavel_text("json"));
    endpoint->failures = 0;
    endpoint->full = false;
    move(endpoint, CLIENT_ENDPOINT_READY);
    client_endpoint_said(endpoint, gavel_text("connected, but has not answered"));
    leave_old(endpoint->client);
    follow_hint(endpoint->client, &welcome->leader_addresses);
    client_call_flush(endpoint->client);
    client_stream_flush(endpoint->client);
}

static void on_reply(struct client_endpoint *endpoint, const struct codec_reply *reply)
{
    if (reply->leader_addresses.count)
        follow_hint(endpoint->client, &reply->leader_addresses);
    client_call_reply(endpoint, reply);
    client_endpoint_left(endpoint);
}

/* Room in the arena for a message of that many bytes. */
static struct codec_arena arena_for(struct gavel_client *client, uint64_t size)
{
    uint64_t wanted_size = CODEC_MESSAGE_ARENA(size);

    if (client->arena_size < wanted_size) {
        void *grown = realloc(client->arena, wanted_size);

        if (grown) {
            client->arena = grown;
            client->arena_size = wanted_size;
        }
    }
    return codec_arena(client->arena, client->arena_size);
}

static void up_message(void *context, void *cookie, struct gavel_slice message)
{
    struct client_endpoint *endpoint = cookie;
    struct gavel_limits limits = codec_limits(GAVEL_CLIENT_MESSAGE);
    struct gavel_error error = {0, ""};
    struct codec_arena arena = arena_for(endpoint->client, message.size);
    const struct gavel_serializer *serializer;
    uint64_t type = 0;
    void *decoded = NULL;
    int32_t status;

    (void)context;
    assert(endpoint->magic == CLIENT_ENDPOINT_MAGIC);
    if (endpoint->state != CLIENT_ENDPOINT_GREETING && endpoint->state != CLIENT_ENDPOINT_READY)
        return; /* it is being closed */
    endpoint->heard = client_host_now();
    serializer = endpoint->state == CLIENT_ENDPOINT_GREETING ? codec_msgpack() : serializer_of(endpoint);
    status = codec_message_decode(serializer, NULL, message, &limits, &arena, &type, &decoded, &error);
    if (status == GAVEL_E_UNSUPPORTED)
        return; /* a newer node may say more than we understand */
    if (status != GAVEL_OK) {
        client_endpoint_said(endpoint, gavel_text(error.text));
        client_log(endpoint->client, GAVEL_LOG_WARN, "%s sent what is no message: %s", endpoint->uri, error.text);
        client_endpoint_close(endpoint);
        return;
    }
    if (type == CODEC_WELCOME)
        on_welcome(endpoint, decoded);
    else if (type == CODEC_GOODBYE)
        client_endpoint_said(endpoint, ((const struct codec_goodbye *)decoded)->text);
    else if (type == CODEC_GOING_AWAY)
        on_going_away(endpoint, decoded);
    else if (endpoint->state != CLIENT_ENDPOINT_READY)
        return;
    else if (type == CODEC_REPLY)
        on_reply(endpoint, decoded);
    else if (type == CODEC_STREAM_EVENT)
        client_stream_event(endpoint, decoded);
    else if (type == CODEC_STREAM_END)
        client_stream_end(endpoint, decoded);
}

/* A client listens nowhere. */
static void *up_accepted(void *context, void *connection, const struct gavel_peer *peer)
{
    (void)context;
    (void)connection;
    (void)peer;
    return NULL;
}

static void up_connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    struct client_endpoint *endpoint = cookie;

    (void)context;
    (void)peer;
    assert(endpoint->magic == CLIENT_ENDPOINT_MAGIC);
    if (endpoint->state != CLIENT_ENDPOINT_DIALING)
        return;
    move(endpoint, CLIENT_ENDPOINT_GREETING);
    send_hello(endpoint);
}

static void up_drained(void *context, void *cookie)
{
    struct client_endpoint *endpoint = cookie;

    (void)context;
    assert(endpoint->magic == CLIENT_ENDPOINT_MAGIC);
    endpoint->full = false;
    client_call_flush(endpoint->client);
}

static void up_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct client_endpoint *endpoint = cookie;
    struct gavel_client *client = endpoint->client;
    bool greeted = endpoint->state == CLIENT_ENDPOINT_READY;
    struct os_list lost;
    struct os_list *link;

    (void)context;
    (void)reason;
    assert(endpoint->magic == CLIENT_ENDPOINT_MAGIC);
    endpoint->connection = NULL;
    endpoint->leaving = false;
    /* Our own closing has put down the reason already. */
    if (endpoint->state != CLIENT_ENDPOINT_CLOSING)
        client_endpoint_said(endpoint, why.size ? why : gavel_text("the connection was lost"));
    endpoint->failures = greeted ? 1 : endpoint->failures + 1; /* one that worked may be dialled again soon */
    os_list_init(&lost);
    while ((link = os_list_pop(&endpoint->sent)) != NULL)
        os_list_push(&lost, link);
    back_off(endpoint);
    client_endpoint_rotate(client, endpoint);
    client_call_lost(endpoint, &lost);
    client_stream_lost(endpoint);
    /* What this one took no more while it was closing has waited for this moment, and another one may be ready. */
    client_call_flush(client);
    client_stream_flush(client);
    /* With calls under way the search for a better endpoint goes on, even if another one is ready. */
    if (wanted(client) || (!greeted && !os_list_empty(&client->every)))
        client_endpoint_demand(client);
}

void client_endpoint_events(struct client_transport *transport)
{
    struct gavel_transport_events *events = &transport->events;

    events->size = GAVEL_END(struct gavel_transport_events, http);
    events->context = transport;
    events->accepted = up_accepted;
    events->connected = up_connected;
    events->message = up_message;
    events->drained = up_drained;
    events->closed = up_closed;
}
