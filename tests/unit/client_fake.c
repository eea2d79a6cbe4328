/* SPDX-License-Identifier: Apache-2.0 */
/* client_fake.c - a scripted node: see client_fake.h. */
#include "client_fake.h"

#include <assert.h>
#include <stdlib.h>

#include "transports/transports.h"

#define JSON_OPERATIONS gavel_plugin_json()->operations

static void up_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct fake_conn *conn = cookie;

    (void)context;
    (void)reason;
    (void)why;
    os_list_remove(&conn->link);
    free(conn);
}

static void *up_accepted(void *context, void *connection, const struct gavel_peer *peer)
{
    struct fake *fake = context;
    struct fake_conn *conn = calloc(1, sizeof *conn);

    (void)peer;
    assert(conn);
    conn->fake = fake;
    conn->connection = connection;
    os_list_push(&fake->conns, &conn->link);
    return conn;
}

/* A fake dials nobody. */
static void up_connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    (void)context;
    (void)cookie;
    (void)peer;
    abort();
}

void fake_send(struct fake_conn *conn, uint64_t type, const void *message)
{
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_slice whole;
    struct gavel_error error;
    const struct gavel_serializer *serializer =
        conn->json && type != CODEC_WELCOME ? JSON_OPERATIONS : codec_msgpack();
    int32_t status = codec_message_encode(serializer, NULL, type, message, &out, &error);

    assert(status == GAVEL_OK);
    whole = gavel_buffer_slice(&out);
    (void)conn->fake->wire->send(conn->fake->self, conn->connection, &whole, 1);
    gavel_buffer_free(&out);
}

/* The leader's address as a list of one. */
static struct gavel_list leader_of(const struct fake *fake, struct gavel_slice *uri)
{
    struct gavel_list list = {uri, fake->leader[0] ? 1 : 0, sizeof *uri};

    *uri = gavel_text(fake->leader);
    return list;
}

static void welcome(struct fake_conn *conn, const struct codec_hello *hello)
{
    struct codec_welcome answer = {0};
    struct gavel_slice uri;
    const struct gavel_slice *wanted = hello->serializers.items;

    conn->greeted = true;
    conn->json = hello->serializers.count && gavel_slice_equal(wanted[0], gavel_text("json"));
    atomic_fetch_add(&conn->fake->hellos, 1);
    answer.status = conn->fake->refuse;
    answer.text = gavel_text(!conn->fake->refuse ? NULL : conn->fake->why ? conn->fake->why : "this fake takes nobody");
    answer.serializer = gavel_text(conn->json ? "json" : "msgpack");
    answer.name = gavel_text("fake");
    answer.version_major = CODEC_PROTOCOL_MAJOR;
    answer.leader_addresses = leader_of(conn->fake, &uri);
    fake_send(conn, CODEC_WELCOME, &answer);
}

static void up_message(void *context, void *cookie, struct gavel_slice message)
{
    struct fake_conn *conn = cookie;
    struct fake *fake = context;
    struct gavel_limits limits = codec_limits(GAVEL_CLIENT_MESSAGE);
    uint64_t size = CODEC_MESSAGE_ARENA(message.size);
    void *memory = malloc(size);
    struct codec_arena arena = codec_arena(memory, size);
    struct gavel_error error = {0, ""};
    uint64_t type = 0;
    void *decoded = NULL;
    int32_t status;

    assert(memory);
    status = codec_message_decode(conn->greeted && conn->json ? JSON_OPERATIONS : codec_msgpack(), NULL, message,
                                  &limits, &arena, &type, &decoded, &error);
    if (status != GAVEL_OK)
        fprintf(stderr, "fake: %s\n", error.text);
    assert(status == GAVEL_OK);
    if (type == CODEC_HELLO) {
        welcome(conn, decoded);
    } else if (type == CODEC_REQUEST) {
        atomic_fetch_add(&fake->requests, 1);
        if (fake->request)
            fake->request(conn, decoded);
    } else if (type == CODEC_STREAM_OPEN && fake->stream) {
        fake->stream(conn, decoded);
    } else if (type == CODEC_STREAM_CREDIT && fake->credit) {
        fake->credit(conn, decoded);
    } else if (type == CODEC_STREAM_CLOSE && fake->stream_close) {
        fake->stream_close(conn, decoded);
    }
    free(memory);
}

void fake_reply(struct fake_conn *conn, uint64_t id, int64_t status, const char *text,
                const struct gavel_buffer *result)
{
    struct codec_reply reply = {0};
    struct gavel_slice uri;

    reply.id = id;
    reply.status = status;
    reply.text = gavel_text(text);
    reply.index = 7;
    if (result)
        reply.result = gavel_buffer_slice(result);
    reply.leader_addresses = leader_of(conn->fake, &uri);
    fake_send(conn, CODEC_REPLY, &reply);
}

void fake_reply_number(struct fake_conn *conn, uint64_t id, const char *name, uint64_t number)
{
    struct gavel_buffer out = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_writer *w = codec_writer_begin(&writer, &out);

    gavel_put_map(w, 1);
    gavel_put_key(w, name);
    gavel_put_uint(w, number);
    gavel_put_end(w);
    if (codec_writer_end(&writer, NULL) != GAVEL_OK)
        abort();
    fake_reply(conn, id, GAVEL_OK, NULL, &out);
    gavel_buffer_free(&out);
}

void fake_drop(struct fake_conn *conn)
{
    conn->fake->wire->close(conn->fake->self, conn->connection, GAVEL_CLOSE_PROTOCOL, gavel_text("dropped"));
}

void fake_leave(struct fake_conn *conn)
{
    conn->fake->wire->close(conn->fake->self, conn->connection, GAVEL_CLOSE_NORMAL, gavel_text("leaving"));
}

void fake_garbage(struct fake_conn *conn)
{
    struct gavel_slice garbage = gavel_bytes("\xdd\xff\xff\xff\xff", 5);

    (void)conn->fake->wire->send(conn->fake->self, conn->connection, &garbage, 1);
}

bool fake_is(const struct codec_request *request, const char *command)
{
    return gavel_slice_equal(request->command, gavel_text(command));
}

bool fake_node(struct fake_conn *conn, const struct codec_request *request, uint64_t *next_session, uint64_t ttl_ms,
               const struct gavel_buffer *described)
{
    if (fake_is(request, "session_register")) {
        struct gavel_buffer out = codec_buffer(0);
        struct codec_writer writer;
        struct gavel_writer *w = codec_writer_begin(&writer, &out);

        gavel_put_map(w, 2);
        gavel_put_key(w, "session");
        gavel_put_uint(w, 100 + (*next_session)++);
        gavel_put_key(w, "ttl_ms");
        gavel_put_uint(w, ttl_ms);
        gavel_put_end(w);
        if (codec_writer_end(&writer, NULL) != GAVEL_OK)
            abort();
        fake_reply(conn, request->id, GAVEL_OK, NULL, &out);
        gavel_buffer_free(&out);
        return true;
    }
    if (fake_is(request, "session_close")) {
        fake_reply(conn, request->id, GAVEL_OK, NULL, NULL);
        return true;
    }
    if (fake_is(request, "describe") && described) {
        fake_reply(conn, request->id, GAVEL_OK, NULL, described);
        return true;
    }
    return false;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void finish_run(struct client_job *job)
{
    struct fake *fake = os_container(job, struct fake, finish);

    fake->plugin->destroy(fake->self);
    client_host_close(&fake->host);
}

static void quiet(void *context)
{
    struct fake *fake = context;

    client_host_later(&fake->host, &fake->finish);
}

static void stop_run(struct client_job *job)
{
    struct fake *fake = os_container(job, struct fake, stop);
    struct fake_conn *conn;

    fake->wire->unlisten(fake->self);
    os_list_each(conn, &fake->conns, struct fake_conn, link)
        fake_drop(conn);
    fake->plugin->quiesce(fake->self, quiet, fake);
}

struct fake *fake_start(void *context)
{
    struct fake *fake = calloc(1, sizeof *fake);
    struct gavel_error error = {0, ""};
    struct codec_arena arena;
    struct gavel_slice bound;
    int32_t status;

    assert(fake);
    fake->magic = FAKE_MAGIC;
    fake->context = context;
    fake->stop.run = stop_run;
    fake->finish.run = finish_run;
    os_list_init(&fake->conns);
    status = client_host_init(&fake->host, &error);
    assert(status == GAVEL_OK);
    fake->plugin = gavel_plugin_tcp();
    fake->wire = fake->plugin->operations;
    fake->options = calloc(1, 4096);
    assert(fake->options);
    arena = codec_arena((char *)fake->options + 2048, 2048);
    status = codec_fields_defaults(fake->plugin->options, fake->options, &arena, &error);
    assert(status == GAVEL_OK);
    status = fake->plugin->create(&fake->host.services, fake->options, &fake->self, &error);
    assert(status == GAVEL_OK);
    if (fake->plugin->start)
        status = fake->plugin->start(fake->self, &error);
    assert(status == GAVEL_OK);
    fake->events.size = GAVEL_END(struct gavel_transport_events, http);
    fake->events.context = fake;
    fake->events.accepted = up_accepted;
    fake->events.connected = up_connected;
    fake->events.message = up_message;
    fake->events.closed = up_closed;
    fake->limits = (struct gavel_transport_limits){GAVEL_END(struct gavel_transport_limits, connections),
                                                   GAVEL_CLIENT_MESSAGE, 2 * (uint64_t)GAVEL_CLIENT_MESSAGE, 2000, 5000,
                                                   1000};
    if (status == GAVEL_OK)
        status = fake->wire->prepare(fake->self, &fake->events, &fake->limits, &error);
    assert(status == GAVEL_OK);
    status = fake->wire->listen(fake->self, gavel_text("tcp://127.0.0.1:0"), &bound, &error);
    if (status != GAVEL_OK)
        fprintf(stderr, "fake: %s\n", error.text);
    assert(status == GAVEL_OK);
    (void)snprintf(fake->uri, sizeof fake->uri, "%.*s", (int)bound.size, (const char *)bound.data);
    status = client_host_start(&fake->host, &error);
    assert(status == GAVEL_OK);
    return fake;
}

void fake_stop(struct fake *fake)
{
    int32_t status;

    if (!fake)
        return;
    assert(fake->magic == FAKE_MAGIC);
    status = client_host_post(&fake->host, &fake->stop);
    assert(status == GAVEL_OK);
    client_host_fini(&fake->host);
    fake->magic = 0;
    free(fake->options);
    free(fake);
}
