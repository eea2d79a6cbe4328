/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_answers.c - fuzz target: libgavel and nodes that are hostile. The client is the real one, without its thread:
 * its loop is run here, step by step, and its transport is the input. Calls, sessions and streams begin; what comes
 * back is any message, well formed with the input's contents or not at all, to whoever asked last or to nobody, on
 * connections that open, are refused and break.
 *
 * Each call is answered exactly once, with a document or with a sentence; nothing is left open at the end. With bit 0
 * of the first byte the input is an answer to `describe` instead, of which command tables are made, and after a NUL
 * arguments as text.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/client/client_core.h"
#include "core/codec/value.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define CONNECTIONS_MAX 16
#define STEPS_MAX 80
#define SESSIONS_MAX 3
#define STREAMS_MAX 4
#define IDS 8 /* requests and streams that can be answered */

/* ---- a transport whose other end is the input -------------------------------------------------------------------- */

struct connection {
    void *cookie;
    bool used;
    bool open;
    bool closing; /* by the client */
    bool json;
    bool greeted; /* a welcome was sent on it */
};

static struct {
    const struct gavel_transport_events *events;
    struct connection connections[CONNECTIONS_MAX];
    uint64_t ids[IDS];
    unsigned id_count;
    bool busy;
    uv_loop_t *loop; /* the client's */
} wire;

static _Alignas(16) unsigned char memory[1 << 18];

static int32_t wire_create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    (void)host;
    (void)options;
    (void)error;
    *self = &wire;
    return GAVEL_OK;
}

static int32_t wire_prepare(void *self, const struct gavel_transport_events *events,
                            const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    (void)self;
    (void)limits;
    (void)error;
    wire.events = events;
    return GAVEL_OK;
}

static int32_t wire_connect(void *self, struct gavel_slice uri, void *cookie, void **connection,
                            struct gavel_error *error)
{
    (void)self;
    (void)uri;
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        if (wire.connections[i].used)
            continue;
        wire.connections[i] = (struct connection){.cookie = cookie, .used = true};
        *connection = &wire.connections[i];
        return GAVEL_OK;
    }
    return gavel_fail(error, GAVEL_E_IO, "no connection is left");
}

/* Remember what can be answered. */
static void note_id(const struct connection *to, struct gavel_slice whole)
{
    struct codec_arena arena = codec_arena(memory, sizeof memory);
    struct gavel_limits limits = codec_limits(1 << 16);
    struct gavel_error error;
    void *message;
    uint64_t type;

    if (codec_message_decode(to->json && to->greeted ? gavel_plugin_json()->operations : codec_msgpack(), NULL, whole,
                             &limits, &arena, &type, &message, &error) != GAVEL_OK) {
        (void)fprintf(stderr, "the client sent what cannot be decoded: %s\n", error.text);
        abort();
    }
    if (type == CODEC_REQUEST)
        wire.ids[wire.id_count++ % IDS] = ((struct codec_request *)message)->id;
    else if (type == CODEC_STREAM_OPEN)
        wire.ids[wire.id_count++ % IDS] = ((struct codec_stream_open *)message)->id;
}

static int32_t wire_send(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
    struct connection *to = connection;

    (void)self;
    assert(to->used);
    assert(count == 1);
    if (!to->open || to->closing)
        return GAVEL_E_CLOSED;
    if (wire.busy)
        return GAVEL_E_BUSY;
    note_id(to, parts[0]);
    return GAVEL_OK;
}

static void wire_close(void *self, void *connection, uint64_t reason, struct gavel_slice why)
{
    (void)self;
    (void)reason;
    (void)why;
    assert(((struct connection *)connection)->used);
    ((struct connection *)connection)->closing = true;
}

/* Tell the client of the end. */
static void end(struct connection *connection, uint64_t reason, struct gavel_slice why)
{
    void *cookie = connection->cookie;

    *connection = (struct connection){.used = false};
    wire.events->closed(wire.events->context, cookie, reason, why);
}

static void wire_quiesce(void *self, void (*done)(void *context), void *context)
{
    (void)self;
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (wire.connections[i].used)
            end(&wire.connections[i], GAVEL_CLOSE_NORMAL, gavel_text("the end"));
    done(context);
}

static void wire_destroy(void *self)
{
    (void)self;
}

static const struct gavel_transport wire_operations = {
    .size = GAVEL_END(struct gavel_transport, respond),
    .schemes = "tcp ws unix",
    .prepare = wire_prepare,
    .connect = wire_connect,
    .send = wire_send,
    .close = wire_close,
};
static const struct gavel_plugin wire_plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .kind = GAVEL_KIND_TRANSPORT,
    .name = "wire",
    .operations = &wire_operations,
    .create = wire_create,
    .quiesce = wire_quiesce,
    .destroy = wire_destroy,
};

/* In place of the real ones, by the linker. */
const struct gavel_plugin *__wrap_gavel_plugin_tcp(void);
const struct gavel_plugin *__wrap_gavel_plugin_websocket(void);
int32_t __wrap_client_host_start(struct client_host *host, struct gavel_error *error);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock);

const struct gavel_plugin *__wrap_gavel_plugin_tcp(void)
{
    return &wire_plugin;
}

const struct gavel_plugin *__wrap_gavel_plugin_websocket(void)
{
    return &wire_plugin;
}

/* No thread: the loop is run from here. */
int32_t __wrap_client_host_start(struct client_host *host, struct gavel_error *error)
{
    (void)error;
    wire.loop = &host->loop;
    return GAVEL_OK;
}

/* Who waits for the loop runs it. */
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock)
{
    (void)condition;
    (void)pthread_mutex_unlock(lock);
    (void)uv_run(wire.loop, UV_RUN_NOWAIT);
    return pthread_mutex_lock(lock);
}

/* ---- the program that uses the client ---------------------------------------------------------------------------- */

struct program {
    struct gavel_client *client;
    struct gavel_session *sessions[SESSIONS_MAX];
    struct gavel_stream *streams[STREAMS_MAX];
    unsigned ended; /* a bit for each stream */
    unsigned calls;
    unsigned answers;
};

static void check_value(struct gavel_slice value)
{
    struct gavel_limits limits = codec_limits(1 << 20);

    if (value.size)
        assert(codec_value_check(value, &limits, NULL) == GAVEL_OK);
}

static void on_answer(void *context, int32_t status, const struct gavel_result *result, const struct gavel_error *error)
{
    struct program *program = context;

    program->answers++;
    assert(program->answers <= program->calls);
    if (status < 0) {
        assert(!result);
        assert(error->text[0]);
        assert(memchr(error->text, 0, sizeof error->text));
        return;
    }
    assert(result);
    check_value(result->value);
    (void)gavel_get_uint(result->value, "a.b", 0);
}

static void on_event(void *context, const struct gavel_stream_event *event)
{
    (void)context;
    check_value(event->value);
    check_value(event->previous);
    for (uint64_t i = 0; i < event->type.size; i++)
        assert(((const char *)event->type.data)[i] != 1 || true); /* each byte can be read */
}

static void on_ended(void *context, int32_t reason, const struct gavel_error *error)
{
    (void)context;
    assert(reason < 0);
    assert(error->text[0]);
}

static void begin_call(struct program *program, struct fuzz_input *input)
{
    static const char *const commands[] = {"get", "set", "main.set", "session_list"};
    static const unsigned char map[] = {0x81, 0xa3, 'k', 'e', 'y', 0xa1, 'a'};
    struct gavel_request request = gavel_request_defaults();
    struct gavel_error error = {0, ""};
    uint8_t choice = fuzz_u8(input);

    request.command = commands[choice % 4];
    request.form = choice / 4 % 2 ? GAVEL_FORM_TEXT : GAVEL_FORM_MSGPACK;
    request.arguments = request.form == GAVEL_FORM_TEXT ? gavel_text("key=a value=1") : gavel_bytes(map, sizeof map);
    request.read = choice / 8 % 2;
    request.flags = choice / 16 % 2 ? GAVEL_REPEATABLE : 0;
    request.session = choice / 32 % 2 ? program->sessions[choice / 64 % SESSIONS_MAX] : NULL;
    program->calls++;
    if (gavel_call_async(program->client, &request, on_answer, program, &error) != GAVEL_OK) {
        assert(error.text[0]);
        program->calls--;
    }
}

static void begin_session(struct program *program)
{
    struct gavel_error error = {0, ""};

    for (int i = 0; i < SESSIONS_MAX; i++)
        if (!program->sessions[i]) {
            (void)gavel_session_open(program->client, &program->sessions[i], &error);
            return;
        }
}

static void begin_stream(struct program *program, struct fuzz_input *input)
{
    struct gavel_stream_options options = gavel_stream_defaults();
    struct gavel_error error = {0, ""};
    uint8_t choice = fuzz_u8(input);

    options.name = "events";
    options.credit = choice % 4;
    options.resume = choice / 4 % 2;
    options.index = choice / 8;
    options.event = on_event;
    options.ended = on_ended;
    for (int i = 0; i < STREAMS_MAX; i++)
        if (!program->streams[i]) {
            (void)gavel_stream_open(program->client, &options, &program->streams[i], &error);
            return;
        }
}

/* ---- what the nodes say ------------------------------------------------------------------------------------------ */

static struct gavel_slice any_slice(struct fuzz_input *input, const struct gavel_field *row)
{
    static const unsigned char described[] = {
        0x81, 0xa8, 'm', 'a', 'c', 'h', 'i', 'n', 'e', 's', 0x91, 0x82, 0xa4, 'n', 'a', 'm', 'e', 0xa4, 'm', 'a', 'i',
        'n', 0xa8, 'c', 'o', 'm', 'm', 'a', 'n', 'd', 's', 0x92, 0x82, 0xa4, 'n', 'a', 'm', 'e', 0xa3, 's', 'e', 't',
        0xa5, 'f', 'l', 'a', 'g', 's', 0x02, 0x82, 0xa4, 'n', 'a', 'm', 'e', 0xa3, 'g', 'e', 't', 0xa5, 'f', 'l', 'a',
        'g', 's', 0x01,
    };
    static const unsigned char session[] = {0x82, 0xa7, 's', 'e', 's', 's', 'i', 'o', 'n', 0x64,
                                            0xa6, 't', 't', 'l', '_', 'm', 's', 0xcd, 0x10, 0x00};
    struct gavel_limits limits = codec_limits(1 << 16);
    uint8_t choice = fuzz_u8(input);
    struct gavel_slice given;

    if (row->type == GAVEL_VALUE && choice % 4 == 0)
        return gavel_bytes(described, sizeof described);
    if (row->type == GAVEL_VALUE && choice % 4 == 1)
        return gavel_bytes(session, sizeof session);
    if (row->type == GAVEL_STRING && choice % 4 == 0)
        return gavel_text(choice & 4 ? "json" : "msgpack");
    given = fuzz_take(input, choice / 4);
    if (row->type == GAVEL_VALUE && codec_value_check(given, &limits, NULL) != GAVEL_OK)
        return gavel_bytes(NULL, 0); /* the writer of JSON takes it apart; raw bytes come otherwise */
    return given;
}

/* One row of a message: small numbers, the ids of what waits, addresses that can be dialled. */
static void fill_row(struct fuzz_input *input, const struct gavel_field *row, unsigned char *member)
{
    static const struct gavel_slice uris[] = {{"tcp://n1:1", 10}, {"tcp://n2:1", 10}, {"ws://n3:1/p", 11}, {"x", 1}};
    uint8_t choice = fuzz_u8(input);
    uint64_t number = choice;
    struct gavel_slice slice;
    struct gavel_list list;

    if (choice % 8 == 0)
        return; /* it is not there */
    switch (row->type) {
    case GAVEL_STRING:
    case GAVEL_BYTES:
    case GAVEL_VALUE:
        slice = any_slice(input, row);
        memcpy(member, &slice, sizeof slice);
        return;
    case GAVEL_LIST:
        list = (struct gavel_list){uris + choice % 3, 1 + choice / 64 % 2, sizeof uris[0]};
        memcpy(member, &list, sizeof list);
        return;
    case GAVEL_INT:
        number = (uint64_t)(-(int64_t)(choice / 8));
        break;
    case GAVEL_BOOL:
    case GAVEL_CHOICE:
        number = choice / 8 % 2;
        break;
    default:
        if (strcmp(row->name, "id") == 0)
            number = wire.ids[choice / 8 % IDS];
        else if (choice % 8 == 7)
            number = fuzz_uint(input, 8);
        break;
    }
    memcpy(member, &number, sizeof number);
}

static void deliver(struct connection *from, const void *data, uint64_t size)
{
    void *copy = malloc(size ? size : 1);

    assert(copy);
    if (size)
        memcpy(copy, data, size); /* a byte too far is seen by the sanitizer, and one that is kept too long */
    wire.events->message(wire.events->context, from->cookie, gavel_bytes(copy, size));
    free(copy);
}

static void say(struct connection *from, uint64_t type, struct fuzz_input *input)
{
    static _Alignas(16) unsigned char object[1024];
    const struct codec_message *what = codec_message_find(type);
    struct gavel_buffer out = codec_buffer(1 << 18);
    const struct gavel_serializer *format =
        from->json && from->greeted ? gavel_plugin_json()->operations : codec_msgpack();

    if (!what)
        return;
    assert(what->fields->struct_size <= sizeof object);
    memset(object, 0, sizeof object);
    for (uint64_t i = 0; i < what->fields->count; i++) {
        struct gavel_field copy;
        const struct gavel_field *row = codec_row(what->fields, i, &copy);

        fill_row(input, row, object + row->offset);
    }
    if (codec_message_encode(format, NULL, type, object, &out, NULL) == GAVEL_OK)
        deliver(from, out.data, out.size);
    gavel_buffer_free(&out);
}

/* A welcome that is taken. */
static void greet(struct connection *from, bool json)
{
    struct codec_welcome welcome = {.version_major = CODEC_PROTOCOL_MAJOR, .name = gavel_text("n1"),
                                    .serializer = gavel_text(json ? "json" : "msgpack")};
    struct gavel_buffer out = codec_buffer(0);

    assert(codec_message_encode(codec_msgpack(), NULL, CODEC_WELCOME, &welcome, &out, NULL) == GAVEL_OK);
    from->json = json;
    from->greeted = true; /* what the welcome sets off is in that format */
    deliver(from, out.data, out.size);
    gavel_buffer_free(&out);
}

static struct connection *pick(uint8_t choice, bool open)
{
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *one = &wire.connections[(choice + i) % CONNECTIONS_MAX];

        if (one->used && one->open == open && !one->closing)
            return one;
    }
    return NULL;
}

/* Something happens on a connection. */
static void wire_step(uint8_t op, struct fuzz_input *input)
{
    static const uint64_t types[] = {CODEC_REPLY,        CODEC_STREAM_EVENT, CODEC_STREAM_END, CODEC_GOING_AWAY,
                                     CODEC_GOODBYE,      CODEC_REPLY,        CODEC_REPLY,      CODEC_WELCOME};
    uint8_t choice = fuzz_u8(input);
    struct connection *one = pick(choice / 16, op != 0);
    struct gavel_slice raw;

    if (!one)
        return;
    switch (op) {
    case 0:
        one->open = true;
        wire.events->connected(wire.events->context, one->cookie, NULL);
        break;
    case 1:
        if (!one->greeted)
            greet(one, choice & 1);
        break;
    case 2:
        end(one, 1 + choice % 8, gavel_text("it broke"));
        break;
    case 3:
        raw = fuzz_take(input, choice);
        deliver(one, raw.data, raw.size);
        break;
    default:
        if (one->greeted || types[choice % 8] != CODEC_WELCOME)
            say(one, types[choice % 8], input);
        break;
    }
}

/* Those that the client has closed are told so from the loop, as a transport does. */
static void end_closing(void)
{
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (wire.connections[i].used && wire.connections[i].closing)
            end(&wire.connections[i], GAVEL_CLOSE_NORMAL, gavel_text("closed"));
}

static void step(struct program *program, struct fuzz_input *input)
{
    uint8_t op = fuzz_u8(input) % 16;

    switch (op) {
    case 0:
    case 1:
        begin_call(program, input);
        break;
    case 2:
        begin_stream(program, input);
        break;
    case 3:
        begin_session(program);
        break;
    case 4:
        wire.busy = !wire.busy;
        if (!wire.busy && pick(0, true))
            wire.events->drained(wire.events->context, pick(0, true)->cookie);
        break;
    case 5:
        op = fuzz_u8(input) % STREAMS_MAX;
        gavel_stream_close(program->streams[op]);
        program->streams[op] = NULL;
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        wire_step(op - 6, input);
        break;
    default:
        wire_step(4, input);
        break;
    }
    (void)uv_run(&program->client->host.loop, UV_RUN_NOWAIT);
    end_closing();
}

static void use_client(struct fuzz_input *input)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct program program = {.client = NULL};
    struct gavel_error error = {0, ""};
    uint8_t choice = fuzz_u8(input);

    memset(&wire, 0, sizeof wire);
    options.endpoints = "tcp://n1:1,tcp://n2:1";
    options.serializer = choice & 1 ? "json" : "msgpack";
    options.stay = choice / 2 % 2;
    options.timeout_ms = 3600000;
    assert(gavel_client_open(&options, &program.client, &error) == GAVEL_OK);
    (void)uv_run(&program.client->host.loop, UV_RUN_NOWAIT);
    for (int i = 0; i < STEPS_MAX && input->size; i++)
        step(&program, input);
    gavel_client_close(program.client);
    for (int i = 0; i < SESSIONS_MAX; i++)
        gavel_session_close(program.sessions[i]);
    for (int i = 0; i < STREAMS_MAX; i++)
        gavel_stream_close(program.streams[i]);
    assert(program.answers == program.calls);
}

/* Command tables of a hostile node, and arguments that are typed by them. */
static void use_schema(struct fuzz_input *input)
{
    struct gavel_limits limits = codec_limits(1 << 16);
    struct gavel_slice described = fuzz_slice(input);
    struct gavel_error error = {0, ""};
    struct client_schema *schema;
    char pair[256];
    const char *const pairs[] = {pair};

    if (codec_value_check(described, &limits, NULL) != GAVEL_OK)
        return; /* the reply would be refused */
    schema = client_schema_new(described, &error);
    if (!schema) {
        assert(error.text[0]);
        return;
    }
    (void)client_schema_store(schema);
    (void)fuzz_text(input, pair, sizeof pair);
    for (uint32_t i = 0; i < schema->count && i < 8; i++) {
        struct gavel_buffer out = codec_buffer(0);

        if (client_schema_pairs(&schema->commands[i], pairs, 1, &out, &error) == GAVEL_OK)
            check_value(gavel_buffer_slice(&out));
        (void)client_schema_find(schema, schema->commands[i].machine, pair, &error);
        gavel_buffer_free(&out);
    }
    client_schema_free(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};

    if (fuzz_u8(&input) & 1)
        use_schema(&input);
    else
        use_client(&input);
    return 0;
}
