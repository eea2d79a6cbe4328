/* SPDX-License-Identifier: Apache-2.0 */
/* client_load.c - the load generator: see client_load.h. */
#define _GNU_SOURCE 1 /* memmem */
#include "client_load.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "client_core.h"
#include "transports/transports.h"

#define LOAD_MAGIC 0x6c636c64u
#define BUCKETS_LOW 64             /* latencies are exact below so many us; above, 64 buckets each doubling: 1.6 % */
#define BUCKETS (BUCKETS_LOW * 32) /* up to some 36 minutes */
#define DRAIN_MS 3000              /* after the end, for what is still in flight */
#define KEY_DIGITS 12
#define ID_PATTERN UINT64_C(0x0101010101010101) /* an id that MessagePack writes in full, to find its place */
#define KEY_PATTERN "~~~~~~~~~~~~"              /* KEY_DIGITS of them: the same for the key */

/* A request that was encoded once. */
struct template {
    struct gavel_buffer bytes;
    uint64_t id_at;
    uint64_t key_at;
};

struct load_conn {
    struct load *load;
    void *connection;
    uint32_t number;
    bool ready;
    bool waiting; /* for a reply */
    uint64_t id;
    uint64_t sent_ns;
    uint64_t turn;
};

struct load {
    uint32_t magic;
    const struct client_load_options *options;
    struct client_load_result *result;
    struct client_host host;
    const struct gavel_plugin *plugin;
    const struct gavel_transport *wire;
    void *self;
    void *plugin_options;
    struct gavel_transport_events events;
    struct gavel_transport_limits limits;
    struct gavel_timer *timer;
    struct client_job begin;
    struct client_job end;
    struct template set;
    struct template get;
    struct load_conn *conns;
    uint32_t ready;
    uint32_t waiting;
    uint64_t seed;
    uint64_t begun_ns;
    uint64_t ends_ns;
    bool running;
    bool ending;
    int32_t status;
    struct gavel_error error;
    uint64_t buckets[BUCKETS];
    _Alignas(16) unsigned char arena[65536];
};

/* ---- latencies --------------------------------------------------------------------------------------------------- */

static uint32_t bucket_of(uint64_t us)
{
    unsigned shift = 0;

    while (us >> shift >= 2 * BUCKETS_LOW)
        shift++;
    if (us < BUCKETS_LOW)
        return (uint32_t)us;
    return shift * BUCKETS_LOW + (uint32_t)(us >> shift) < BUCKETS ? shift * BUCKETS_LOW + (uint32_t)(us >> shift)
                                                                  : BUCKETS - 1;
}

/* The upper edge of a bucket. */
static uint64_t bucket_edge(uint32_t bucket)
{
    uint32_t shift = bucket < 2 * BUCKETS_LOW ? 0 : bucket / BUCKETS_LOW - 1;

    return ((uint64_t)(bucket - shift * BUCKETS_LOW) + 1) << shift;
}

static uint64_t quantile(const struct load *load, double part)
{
    uint64_t wanted = (uint64_t)((double)load->result->done * part);
    uint64_t seen = 0;
    uint32_t i;

    for (i = 0; i < BUCKETS; i++) {
        seen += load->buckets[i];
        if (seen > wanted)
            return bucket_edge(i) < load->result->most_us ? bucket_edge(i) : load->result->most_us;
    }
    return load->result->most_us;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static uint64_t find_bytes(const struct gavel_buffer *buffer, const void *wanted, uint64_t size)
{
    const unsigned char *found = memmem(buffer->data, buffer->size, wanted, size);

    assert(found);
    return (uint64_t)(found - buffer->data);
}

static int32_t make_template(const struct load *load, const char *command, bool with_value, struct template *made,
                             struct gavel_error *error)
{
    static const unsigned char id_bytes[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct gavel_buffer arguments = codec_buffer(0);
    struct codec_request request = {0};
    struct codec_writer writer;
    struct gavel_writer *w = codec_writer_begin(&writer, &arguments);
    unsigned char *value = malloc(load->options->value_bytes + 1);
    int32_t status;

    if (!value)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a value");
    memset(value, 'v', load->options->value_bytes);
    gavel_put_map(w, with_value ? 2 : 1);
    gavel_put_key(w, "key");
    gavel_put_text(w, "bench/" KEY_PATTERN);
    if (with_value) {
        gavel_put_key(w, "value");
        gavel_put_bytes(w, gavel_bytes(value, load->options->value_bytes));
    }
    gavel_put_end(w);
    status = codec_writer_end(&writer, error);
    request.id = ID_PATTERN;
    request.machine = gavel_text(load->options->machine);
    request.command = gavel_text(command);
    request.arguments = gavel_buffer_slice(&arguments);
    request.remaining_ms = 10000;
    made->bytes = codec_buffer(0);
    if (status == GAVEL_OK)
        status = codec_message_encode(codec_msgpack(), NULL, CODEC_REQUEST, &request, &made->bytes, error);
    if (status == GAVEL_OK) {
        made->id_at = find_bytes(&made->bytes, id_bytes, sizeof id_bytes);
        made->key_at = find_bytes(&made->bytes, KEY_PATTERN, KEY_DIGITS);
    }
    gavel_buffer_free(&arguments);
    free(value);
    return status;
}

static void send_next(struct load_conn *conn)
{
    struct load *load = conn->load;
    struct template *chosen = &load->set;
    struct gavel_slice message;
    char key[KEY_DIGITS + 1];
    int i;

    load->seed = load->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    if ((load->seed >> 33) % 100 < load->options->read_percent && conn->turn > 0)
        chosen = &load->get;
    else
        conn->turn++;
    (void)snprintf(key, sizeof key, "%04u%08" PRIu64, conn->number % 10000,
                   (conn->turn % load->options->keys) % UINT64_C(100000000));
    memcpy(chosen->bytes.data + chosen->key_at, key, KEY_DIGITS);
    conn->id = ID_PATTERN + conn->turn + ((uint64_t)conn->number << 40);
    for (i = 0; i < 8; i++)
        chosen->bytes.data[chosen->id_at + (uint64_t)i] = (unsigned char)(conn->id >> (56 - 8 * i));
    message = gavel_buffer_slice(&chosen->bytes);
    conn->sent_ns = uv_hrtime();
    if (load->wire->send(load->self, conn->connection, &message, 1) != GAVEL_OK) {
        load->result->failed++;
        return; /* its `closed` is on its way */
    }
    conn->waiting = true;
    load->waiting++;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void end_run(struct client_job *job)
{
    struct load *load = os_container(job, struct load, end);

    load->plugin->destroy(load->self);
    load->host.services.timer_free(load->host.services.self, load->timer);
    client_host_close(&load->host);
}

static void quiet(void *context)
{
    struct load *load = context;

    client_host_later(&load->host, &load->end);
}

static void finish(struct load *load, int32_t status, const char *why)
{
    uint32_t i;

    if (load->ending)
        return;
    load->ending = true;
    load->running = false;
    load->result->elapsed_us = (uv_hrtime() - load->begun_ns) / 1000;
    load->status = status;
    if (status != GAVEL_OK)
        (void)gavel_fail(&load->error, status, "%s", why);
    for (i = 0; i < load->options->connections; i++)
        if (load->conns[i].connection)
            load->wire->close(load->self, load->conns[i].connection, GAVEL_CLOSE_NORMAL, gavel_text("done"));
    load->plugin->quiesce(load->self, quiet, load);
}

static void timer_fired(void *context)
{
    struct load *load = context;

    assert(load->magic == LOAD_MAGIC);
    if (load->ready < load->options->connections)
        finish(load, GAVEL_E_NO_LEADER, "not every connection was welcomed in time");
    else if (load->running) {
        load->running = false; /* what is in flight may still come */
        load->ends_ns = uv_hrtime();
        if (load->waiting == 0)
            finish(load, GAVEL_OK, "");
        else
            load->host.services.timer_start(load->host.services.self, load->timer, DRAIN_MS);
    } else {
        load->result->failed += load->waiting;
        finish(load, GAVEL_OK, "");
    }
}

/* ---- up-calls ---------------------------------------------------------------------------------------------------- */

static void *up_accepted(void *context, void *connection, const struct gavel_peer *peer)
{
    (void)context;
    (void)connection;
    (void)peer;
    return NULL;
}

static void up_connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    struct load_conn *conn = cookie;
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_slice name = gavel_text("msgpack");
    struct codec_hello hello = {0};
    struct gavel_slice message;

    (void)context;
    (void)peer;
    hello.role = CODEC_ROLE_CLIENT;
    hello.version_major = CODEC_PROTOCOL_MAJOR;
    hello.name = gavel_text("bench");
    hello.serializers = (struct gavel_list){&name, 1, sizeof name};
    hello.message_bytes = GAVEL_CLIENT_MESSAGE;
    if (codec_message_encode(codec_msgpack(), NULL, CODEC_HELLO, &hello, &out, NULL) == GAVEL_OK) {
        message = gavel_buffer_slice(&out);
        (void)conn->load->wire->send(conn->load->self, conn->connection, &message, 1);
    }
    gavel_buffer_free(&out);
}

static void welcomed(struct load_conn *conn, const struct codec_welcome *welcome)
{
    struct load *load = conn->load;
    uint32_t i;

    if (welcome->status != 0 || conn->ready) {
        finish(load, GAVEL_E_DENIED, "the node refused a connection");
        return;
    }
    conn->ready = true;
    if (++load->ready < load->options->connections)
        return;
    load->running = true;
    load->begun_ns = uv_hrtime();
    load->host.services.timer_start(load->host.services.self, load->timer, load->options->milliseconds);
    for (i = 0; i < load->options->connections; i++)
        send_next(&load->conns[i]);
}

static void replied(struct load_conn *conn, const struct codec_reply *reply)
{
    struct load *load = conn->load;
    uint64_t us = (uv_hrtime() - conn->sent_ns) / 1000;

    if (!conn->waiting || reply->id != conn->id)
        return;
    conn->waiting = false;
    load->waiting--;
    if (reply->status == GAVEL_OK && load->running) {
        load->result->done++;
        load->buckets[bucket_of(us)]++;
        if (us > load->result->most_us)
            load->result->most_us = us;
    } else if (reply->status != GAVEL_OK) {
        if (load->result->failed++ == 0)
            (void)gavel_fail(&load->error, (int32_t)reply->status, "%.*s",
                             (int)(reply->text.size < 400 ? reply->text.size : 400),
                             reply->text.size ? (const char *)reply->text.data : "");
    }
    if (load->running)
        send_next(conn);
    else if (load->waiting == 0)
        finish(load, GAVEL_OK, "");
}

static void up_message(void *context, void *cookie, struct gavel_slice message)
{
    struct load_conn *conn = cookie;
    struct load *load = conn->load;
    struct gavel_limits limits = codec_limits(GAVEL_CLIENT_MESSAGE);
    struct codec_arena arena = codec_arena(load->arena, sizeof load->arena);
    struct gavel_error error = {0, ""};
    uint64_t type = 0;
    void *decoded = NULL;

    (void)context;
    if (codec_message_decode(codec_msgpack(), NULL, message, &limits, &arena, &type, &decoded, &error) != GAVEL_OK)
        return;
    if (type == CODEC_WELCOME)
        welcomed(conn, decoded);
    else if (type == CODEC_REPLY)
        replied(conn, decoded);
}

static void up_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct load_conn *conn = cookie;
    struct load *load = conn->load;
    char text[400];

    (void)context;
    (void)reason;
    conn->connection = NULL;
    if (load->ending)
        return;
    (void)snprintf(text, sizeof text, "a connection was lost: %.*s", (int)(why.size < 300 ? why.size : 300),
                   why.size ? (const char *)why.data : "");
    finish(load, GAVEL_E_CLOSED, text);
}

/* ---- setting up -------------------------------------------------------------------------------------------------- */

static void begin_run(struct client_job *job)
{
    struct load *load = os_container(job, struct load, begin);
    struct gavel_error error = {0, ""};
    uint32_t i;

    load->host.services.timer_start(load->host.services.self, load->timer, 10000);
    for (i = 0; i < load->options->connections && !load->ending; i++) {
        struct load_conn *conn = &load->conns[i];

        conn->load = load;
        conn->number = i;
        if (load->wire->connect(load->self, gavel_text(load->result->node), conn, &conn->connection, &error) != 0)
            finish(load, (int32_t)error.code, error.text);
    }
}

static int32_t open_wire(struct load *load, struct gavel_error *error)
{
    const struct gavel_plugin *plugin = gavel_plugin_tcp();
    struct codec_arena arena;
    uint64_t size;
    int32_t status;

#ifdef CLIENT_WEBSOCKET
    if (strncmp(load->result->node, "ws", 2) == 0)
        plugin = gavel_plugin_websocket();
#endif
    load->plugin = plugin;
    load->wire = plugin->operations;
    size = plugin->options ? (plugin->options->struct_size + 15) / 16 * 16 : 0;
    load->plugin_options = calloc(1, size + 1024);
    if (!load->plugin_options)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    arena = codec_arena((char *)load->plugin_options + size, 1024);
    load->events = (struct gavel_transport_events){.size = GAVEL_END(struct gavel_transport_events, http),
                                                   .context = load,
                                                   .accepted = up_accepted,
                                                   .connected = up_connected,
                                                   .message = up_message,
                                                   .closed = up_closed};
    load->limits = (struct gavel_transport_limits){GAVEL_END(struct gavel_transport_limits, connections),
                                                   GAVEL_CLIENT_MESSAGE, 2 * (uint64_t)GAVEL_CLIENT_MESSAGE, 5000, 5000,
                                                   load->options->connections};
    status = plugin->options ? codec_fields_defaults(plugin->options, load->plugin_options, &arena, error) : GAVEL_OK;
    if (status == GAVEL_OK)
        status = plugin->create(&load->host.services, load->plugin_options, &load->self, error);
    if (status == GAVEL_OK && plugin->start)
        status = plugin->start(load->self, error);
    if (status == GAVEL_OK)
        status = load->wire->prepare(load->self, &load->events, &load->limits, error);
    return status;
}

int32_t client_load_find(const char *endpoints, char *machine, char *leader, struct gavel_error *error)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_request request = gavel_request_defaults();
    struct gavel_client *client = NULL;
    struct gavel_result *result = NULL;
    struct client_schema *schema = NULL;
    struct gavel_slice members = {NULL, 0};
    uint64_t i;
    int32_t status;

    options.endpoints = endpoints;
    options.name = "bench";
    status = gavel_client_open(&options, &client, error);
    if (status != GAVEL_OK)
        return status;
    request.machine = "gavel";
    request.flags = GAVEL_REPEATABLE;
    request.command = "describe";
    status = gavel_call(client, &request, &result, error);
    if (status >= 0)
        schema = client_schema_new(result->value, error);
    if (schema && client_schema_store(schema))
        (void)snprintf(machine, 64, "%s", client_schema_store(schema));
    else if (status >= 0)
        status = gavel_fail(error, GAVEL_E_UNSUPPORTED, "no machine, or more than one, has get and cas");
    client_schema_free(schema);
    gavel_result_free(result);
    result = NULL;
    request.command = "members";
    if (status >= 0)
        status = gavel_call(client, &request, &result, error);
    if (status >= 0)
        members = result->value;
    leader[0] = 0;
    for (i = 0; status >= 0 && i < gavel_get_count(members, NULL); i++) {
        struct gavel_slice member = gavel_document_at(members, i, NULL);
        struct gavel_slice uri = gavel_get_bytes(member, "addresses.0");

        if (gavel_get_bool(member, "leader", 0) && uri.size < 256)
            (void)snprintf(leader, 256, "%.*s", (int)uri.size, (const char *)uri.data);
    }
    if (status >= 0 && !leader[0])
        status = gavel_fail(error, GAVEL_E_NO_LEADER, "no leader is known");
    gavel_result_free(result);
    gavel_client_close(client);
    return status < 0 ? status : GAVEL_OK;
}

static int32_t run(struct load *load, struct gavel_error *error)
{
    int32_t status = client_host_init(&load->host, error);

    if (status != GAVEL_OK)
        return status;
    load->begin.run = begin_run;
    load->end.run = end_run;
    load->timer = load->host.services.timer_new(load->host.services.self, timer_fired, load);
    status = load->timer ? open_wire(load, error) : gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    if (status != GAVEL_OK)
        return status; /* of a program that ends now: nothing is taken apart */
    (void)client_host_post(&load->host, &load->begin);
    client_host_fini(&load->host); /* runs the loop, here */
    load->result->p50_us = quantile(load, 0.5);
    load->result->p99_us = quantile(load, 0.99);
    load->result->p999_us = quantile(load, 0.999);
    if (load->status == GAVEL_OK && load->result->done == 0 && load->result->failed > 0)
        load->status = (int32_t)load->error.code;
    if (load->status != GAVEL_OK && error)
        *error = load->error;
    return load->status;
}

int32_t client_load_run(const struct client_load_options *options, struct client_load_result *result,
                        struct gavel_error *error)
{
    struct client_load_options known = *options;
    struct load *load;
    char machine[64] = "";
    int32_t status;

    if (options->connections < 1 || options->connections > CLIENT_LOAD_CONNECTIONS)
        return gavel_fail(error, GAVEL_E_INVALID, "1 to %d connections", CLIENT_LOAD_CONNECTIONS);
    if (options->value_bytes > CLIENT_LOAD_VALUE || options->keys == 0 || options->milliseconds == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "values of at most %d bytes, a key and a millisecond at least",
                          CLIENT_LOAD_VALUE);
    memset(result, 0, sizeof *result);
    status = client_load_find(options->endpoints, machine, result->node, error);
    if (status != GAVEL_OK)
        return status;
    if (!known.machine)
        known.machine = machine;
    load = calloc(1, sizeof *load);
    if (!load)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    load->magic = LOAD_MAGIC;
    load->options = &known;
    load->result = result;
    load->seed = client_host_now();
    load->conns = calloc(known.connections, sizeof *load->conns);
    status = load->conns ? make_template(load, "set", true, &load->set, error)
                         : gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    if (status == GAVEL_OK)
        status = make_template(load, "get", false, &load->get, error);
    if (status == GAVEL_OK)
        status = run(load, error);
    gavel_buffer_free(&load->set.bytes);
    gavel_buffer_free(&load->get.bytes);
    free(load->conns);
    free(load->plugin_options);
    free(load);
    return status;
}
