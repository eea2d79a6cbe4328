/* SPDX-License-Identifier: Apache-2.0 */
/* admin.c - the administrator of a node; see admin.h. */
#include "admin.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/message.h"
#include "core/codec/value.h"
#include "heap.h"

#define OPEN_MAX 16 /* requests without an answer; an older one is forgotten */

struct sim_admin {
    struct sim_node *node;
    const struct gavel_transport_events *events;
    bool listening;
    bool connected;
    void *cookie;
    uint64_t next_id;
    struct {
        uint64_t id; /* 0: none */
        sim_admin_answer *answer;
        sim_admin_whole_answer *whole;
    } open[OPEN_MAX];
    _Alignas(16) unsigned char arena[64 << 10];
};

static int32_t prepare(void *self, const struct gavel_transport_events *events,
                       const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    (void)limits;
    (void)error;
    ((struct sim_admin *)self)->events = events;
    return GAVEL_OK;
}

static int32_t listen_admin(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error)
{
    (void)error;
    ((struct sim_admin *)self)->listening = true;
    *bound = uri;
    return GAVEL_OK;
}

static int32_t connect_admin(void *self, struct gavel_slice uri, void *cookie, void **connection,
                             struct gavel_error *error)
{
    (void)self;
    (void)uri;
    (void)cookie;
    (void)connection;
    return gavel_fail(error, GAVEL_E_UNSUPPORTED, "nobody dials an administrator");
}

static void take_reply(struct sim_admin *admin, const struct codec_reply *reply)
{
    for (uint32_t i = 0; i < OPEN_MAX; i++)
        if (admin->open[i].id == reply->id) {
            sim_admin_answer *answer = admin->open[i].answer;
            sim_admin_whole_answer *whole = admin->open[i].whole;

            admin->open[i].id = 0;
            sim_acted(admin->node->sim, NULL);
            if (answer)
                answer(admin->node->sim, admin->node, reply->id, reply->status, reply->text);
            if (whole)
                whole(admin->node->sim, admin->node, reply);
            return;
        }
}

static int32_t send_admin(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
    struct sim_admin *admin = self;
    struct codec_arena arena = codec_arena(admin->arena, sizeof admin->arena);
    struct gavel_limits limits = codec_limits(4u << 20);
    struct gavel_buffer whole = codec_buffer(0);
    struct gavel_error error;
    uint64_t type;
    void *message;

    (void)connection;
    if (!admin->connected)
        return GAVEL_E_CLOSED;
    sim_heap_ours();
    for (uint64_t i = 0; i < count; i++)
        if (gavel_buffer_append(&whole, parts[i].data, parts[i].size) != GAVEL_OK)
            abort();
    if (codec_message_decode(codec_msgpack(), NULL, gavel_buffer_slice(&whole), &limits, &arena, &type, &message,
                             &error) != GAVEL_OK)
        sim_fail(admin->node->sim, "protocol", "%s answers its administrator with %s", admin->node->name, error.text);
    if (type == CODEC_REPLY)
        take_reply(admin, message);
    gavel_buffer_free(&whole);
    sim_heap_theirs();
    return GAVEL_OK;
}

static uint64_t queued(void *self, void *connection)
{
    (void)self;
    (void)connection;
    return 0;
}

static void pause_admin(void *self, void *connection, uint64_t on)
{
    (void)self;
    (void)connection;
    (void)on;
}

/* `closed` has to follow later, and nobody waits for it here: the node is stopping, or its process ends. */
static void close_admin(void *self, void *connection, uint64_t reason, struct gavel_slice why)
{
    (void)connection;
    (void)reason;
    (void)why;
    ((struct sim_admin *)self)->connected = false;
}

static void unlisten(void *self)
{
    ((struct sim_admin *)self)->listening = false;
}

const struct gavel_transport sim_admin_transport = {.size = GAVEL_END(struct gavel_transport, respond),
                                                    .schemes = "admin",
                                                    .prepare = prepare,
                                                    .listen = listen_admin,
                                                    .connect = connect_admin,
                                                    .send = send_admin,
                                                    .queued = queued,
                                                    .pause = pause_admin,
                                                    .close = close_admin,
                                                    .unlisten = unlisten};

static void tell(struct sim_admin *admin, uint64_t type, const void *message)
{
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;

    sim_heap_ours();
    if (codec_message_encode(codec_msgpack(), NULL, type, message, &out, &error) != GAVEL_OK)
        sim_fail(admin->node->sim, "protocol", "an administrator's message cannot be encoded: %s", error.text);
    sim_heap_theirs();
    admin->events->message(admin->events->context, admin->cookie, gavel_buffer_slice(&out));
    admin->events->quiet(admin->events->context);
    gavel_buffer_free(&out);
}

static void dial(struct sim_admin *admin)
{
    struct gavel_slice names[1] = {gavel_text("msgpack")};
    struct gavel_peer peer = {.size = sizeof peer, .address = gavel_text("admin.sock")};
    struct codec_hello hello = {.role = CODEC_ROLE_ADMIN,
                                .version_major = CODEC_PROTOCOL_MAJOR,
                                .name = gavel_text("fate"),
                                .serializers = {.items = names, .count = 1, .stride = sizeof names[0]}};

    admin->connected = true;
    admin->cookie = admin->events->accepted(admin->events->context, admin, &peer);
    if (admin->cookie)
        tell(admin, CODEC_HELLO, &hello);
    else
        admin->connected = false;
}

struct sim_admin *sim_admin_new(struct sim_node *node)
{
    struct sim_admin *admin = calloc(1, sizeof *admin);

    assert(admin);
    admin->node = node;
    return admin;
}

struct sim_admin *sim_admin_free(struct sim_admin *admin)
{
    free(admin);
    return NULL;
}

bool sim_admin_waits(const struct sim_admin *admin)
{
    for (uint32_t i = 0; i < OPEN_MAX; i++)
        if (admin->open[i].id)
            return true;
    return false;
}

void sim_admin_kill(struct sim_admin *admin)
{
    admin->events = NULL;
    admin->connected = false;
    admin->listening = false;
    memset(admin->open, 0, sizeof admin->open);
}

static uint64_t ask(struct sim_admin *admin, struct codec_request *request, sim_admin_answer *answer,
                    sim_admin_whole_answer *whole)
{
    assert(sim_is_up(admin->node));
    assert(!admin->node->paused_until);
    if (!admin->connected && admin->listening)
        dial(admin);
    if (!admin->connected)
        return 0;
    request->id = ++admin->next_id;
    admin->open[request->id % OPEN_MAX].id = request->id;
    admin->open[request->id % OPEN_MAX].answer = answer;
    admin->open[request->id % OPEN_MAX].whole = whole;
    tell(admin, CODEC_REQUEST, request);
    sim_acted(admin->node->sim, admin->node);
    return request->id;
}

uint64_t sim_admin_request(struct sim_admin *admin, struct codec_request *request, sim_admin_whole_answer *answer)
{
    return ask(admin, request, NULL, answer);
}

uint64_t sim_admin_ask_value(struct sim_admin *admin, const char *command, struct gavel_slice arguments,
                             uint64_t milliseconds, sim_admin_answer *answer)
{
    struct codec_request request = {.machine = gavel_text("gavel"),
                                    .command = gavel_text(command),
                                    .arguments = arguments,
                                    .remaining_ms = milliseconds};

    return ask(admin, &request, answer, NULL);
}

uint64_t sim_admin_ask(struct sim_admin *admin, const char *command, const char *const *pairs, uint64_t milliseconds,
                       sim_admin_answer *answer)
{
    struct codec_request request = {.machine = gavel_text("gavel"),
                                    .command = gavel_text(command),
                                    .remaining_ms = milliseconds};
    struct gavel_buffer arguments = codec_buffer(0);
    struct gavel_error error;
    uint64_t count = 0;
    uint64_t id;

    sim_heap_ours();
    while (pairs && pairs[count])
        count++;
    if (count && codec_pairs(NULL, command, pairs, count, NULL, NULL, &arguments, &error) != GAVEL_OK)
        sim_fail(admin->node->sim, "protocol", "arguments of %s: %s", command, error.text);
    sim_heap_theirs();
    request.arguments = gavel_buffer_slice(&arguments);
    id = ask(admin, &request, answer, NULL);
    gavel_buffer_free(&arguments);
    return id;
}
