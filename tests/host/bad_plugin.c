/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_plugin.c - plugins that load well and misbehave while they run, for misbehave.sh: compiled with -DBAD_KIND=1..4.
 *
 * The machine is a sum with one command, `add by=N`, and does wrong what its option `fault` says when N is the unlucky
 * one, so that everything before is as on a good node. With -DBAD_GOOD the option is taken and nothing is done wrong:
 * the same machine, mended. The other kinds do wrong what `fault` says at the place that it belongs to.
 */
#define _GNU_SOURCE
#include <gavel/observer.h>
#include <gavel/serializer.h>
#include <gavel/statemachine.h>
#include <gavel/transport.h>

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

struct options {
    uint64_t present;
    struct gavel_slice fault;
    struct gavel_slice gate; /* a file: what blocks goes on when it is there */
    int64_t unlucky;
};

static const struct gavel_field option_rows[] = {
    {.name = "fault", .id = 1, .type = GAVEL_STRING, .offset = offsetof(struct options, fault), .fallback = "none",
     .help = "What to do wrong"},
    {.name = "gate", .id = 2, .type = GAVEL_STRING, .offset = offsetof(struct options, gate), .fallback = "/nowhere",
     .help = "What blocks goes on when this file is there"},
    {.name = "unlucky", .id = 3, .type = GAVEL_INT, .offset = offsetof(struct options, unlucky), .fallback = "13",
     .help = "The machine does wrong when it is to add this"},
};
static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct options);

struct bad {
    const struct gavel_host *host;
    const struct options *options;
    int64_t value;
    struct gavel_timer *timer;
    uv_timer_t *handle;
    int fd;
    int quiet_calls;
};

static int is(const struct bad *bad, const char *fault)
{
#ifdef BAD_GOOD
    (void)bad;
    (void)fault;
    return 0;
#else
    return gavel_slice_equal(bad->options->fault, gavel_text(fault));
#endif
}

/* Until the gate's file is there: a call that blocks for as long as the test wants. */
static void block(const struct bad *bad)
{
    while (access((const char *)bad->options->gate.data, F_OK) != 0)
        (void)usleep(10000); /* sleep-allowed: this is the fault */
}

static void nothing(void *context)
{
    (void)context;
}

__attribute__((noinline)) static void crash(void)
{
    int *volatile nowhere = NULL;

    *nowhere = 1;
}

static int32_t create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    struct bad *bad = calloc(1, sizeof *bad);

    if (!bad)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    bad->host = host;
    bad->options = options;
    bad->fd = -1;
    if (is(bad, "create-returns-77"))
        return 77;
    if (is(bad, "create-fails-silently"))
        return GAVEL_E_IO;
    *self = bad;
    return GAVEL_OK;
}

static int32_t start(void *self, struct gavel_error *error)
{
    struct bad *bad = self;

    (void)error;
    if (is(bad, "leak")) {
        bad->timer = bad->host->timer_new(bad->host->self, nothing, NULL);
        bad->host->timer_start(bad->host->self, bad->timer, 100000000);
        bad->handle = calloc(1, sizeof *bad->handle);
        (void)uv_timer_init(bad->host->loop, bad->handle);
        bad->fd = dup(2);
    }
    return GAVEL_OK;
}

static void quiesce(void *self, void (*done)(void *context), void *context)
{
    struct bad *bad = self;

    if (is(bad, "never-done"))
        return;
    done(context);
    if (is(bad, "done-twice"))
        done(context);
}

static void destroy(void *self)
{
    struct bad *bad = self;

    if (is(bad, "crash-in-destroy"))
        crash();
    free(bad);
}

/* ---- state machine ----------------------------------------------------------------------------------------------- */
#if BAD_KIND == 3

struct arguments {
    uint64_t present;
    int64_t by;
};
static const struct gavel_field rows[] = {
    {.name = "by", .id = 1, .type = GAVEL_INT, .offset = offsetof(struct arguments, by), .fallback = "1",
     .help = "What to add"},
};
static const struct gavel_fields add_fields = GAVEL_FIELDS(rows, struct arguments);

static void *other_thread(void *context)
{
    struct bad *bad = context;

    (void)bad->host->timer_new(bad->host->self, nothing, NULL);
    return NULL;
}

static void on_thread(struct bad *bad)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, other_thread, bad) == 0)
        (void)pthread_join(thread, NULL);
}

/* 0: go on as a good one. */
static int32_t misbehave(struct bad *bad, struct gavel_reply *reply)
{
    if (is(bad, "returns-77"))
        return 77;
    if (is(bad, "returns-garbage"))
        return -77777;
    if (is(bad, "past-the-error"))
        memset(reply->error, 'x', sizeof *reply->error + 8);
    if (is(bad, "past-the-reply"))
        memset(reply + 1, 0, 8);
    if (is(bad, "two-values"))
        gavel_put_int(reply->out, 1);
    if (is(bad, "unbalanced"))
        gavel_put_map(reply->out, 2);
    if (is(bad, "blocks"))
        block(bad);
    if (is(bad, "wrong-lane"))
        (void)bad->host->timer_new(bad->host->self, nothing, NULL);
    if (is(bad, "own-thread"))
        on_thread(bad);
    if (is(bad, "crashes"))
        crash();
    if (is(bad, "aborts"))
        abort();
    if (is(bad, "exits"))
        exit(0);
    return GAVEL_OK;
}

static int32_t run_add(void *self, const struct gavel_call *call, const void *given, struct gavel_reply *reply)
{
    struct bad *bad = self;
    int64_t by = ((const struct arguments *)given)->by;
    int32_t status = by == bad->options->unlucky ? misbehave(bad, reply) : GAVEL_OK;

    (void)call;
    bad->value += by; /* a mended one comes to the same state */
    if (by == bad->options->unlucky && is(bad, "dice"))
        bad->value += 1 + getpid(); /* what no two nodes have in common: the state differs from here on */
    if (status == GAVEL_OK)
        gavel_put_int(reply->out, bad->value);
    return status;
}

static int32_t run_get(void *self, const struct gavel_call *call, const void *given, struct gavel_reply *reply)
{
    (void)call;
    (void)given;
    gavel_put_int(reply->out, ((struct bad *)self)->value);
    return GAVEL_OK;
}

static const struct gavel_command commands[] = {
    {"add", 1, GAVEL_WRITE, &add_fields, run_add, "Add", "by=2"},
    {"get", 2, GAVEL_READ, NULL, run_get, "Answer the sum", NULL},
};

static void tell_state(void *self, struct gavel_machine_state *state)
{
    struct bad *bad = self;

    gavel_digest_add(state->digest, gavel_text("value"), gavel_bytes(&bad->value, sizeof bad->value));
    state->entries = 1;
}

static int32_t snapshot_begin(void *self, void **snapshot, struct gavel_error *error)
{
    (void)error;
    *snapshot = self;
    return is(self, "snapshot-returns-9") ? 9 : GAVEL_OK;
}

static int32_t snapshot_next(void *self, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error)
{
    struct bad *bad = self;

    (void)snapshot;
    (void)error;
    if (is(bad, "another-heap")) {
        chunk->data = malloc(64);
        chunk->size = chunk->capacity = 64;
        return 0;
    }
    if (gavel_buffer_append(chunk, &bad->value, sizeof bad->value) != GAVEL_OK)
        return GAVEL_E_NO_MEMORY;
    if (is(bad, "past-the-chunk"))
        memset(chunk->data + chunk->capacity, 'x', 8);
    return 0;
}

static void snapshot_end(void *self, void *snapshot)
{
    (void)self;
    (void)snapshot;
}

static int32_t restore_begin(void *self, uint64_t version, struct gavel_error *error)
{
    (void)version;
    (void)error;
    ((struct bad *)self)->value = 0;
    return GAVEL_OK;
}

static int32_t restore_chunk(void *self, struct gavel_slice chunk, struct gavel_error *error)
{
    if (chunk.size != sizeof(int64_t))
        return gavel_fail(error, GAVEL_E_CORRUPT, "a chunk of %llu bytes", (unsigned long long)chunk.size);
    memcpy(&((struct bad *)self)->value, chunk.data, sizeof(int64_t));
    return GAVEL_OK;
}

static int32_t restore_end(void *self, struct gavel_error *error)
{
    (void)self;
    (void)error;
    return GAVEL_OK;
}

/* Asks for a command that is not there, and for one whose arguments are none: the log of every node would have it. */
static uint64_t maintain(void *self, uint64_t tick_ms, struct gavel_buffer *arguments)
{
    (void)tick_ms;
    if (is(self, "maintain-unknown"))
        return 99;
    if (is(self, "maintain-garbage"))
        return gavel_buffer_append(arguments, "\xff\xff", 2) == GAVEL_OK;
    return 0;
}

#ifndef BAD_FLAGS
#define BAD_FLAGS 0
#endif

static const struct gavel_statemachine operations = {
    .size = GAVEL_END(struct gavel_statemachine, maintain),
    .flags = BAD_FLAGS,
    .state_version = 1,
    .commands = commands,
    .command_count = 2,
    .command_stride = sizeof commands[0],
    .state = tell_state,
    .snapshot_begin = snapshot_begin,
    .snapshot_next = snapshot_next,
    .snapshot_end = snapshot_end,
    .restore_begin = restore_begin,
    .restore_chunk = restore_chunk,
    .restore_end = restore_end,
    .maintain = maintain,
};
#endif

/* ---- observer ---------------------------------------------------------------------------------------------------- */
#if BAD_KIND == 4

static void take_log(void *self, const struct gavel_log_event *event)
{
    struct bad *bad = self;

    (void)event;
    if (is(bad, "blocks"))
        block(bad);
    if (is(bad, "crashes"))
        crash();
    if (is(bad, "wrong-lane"))
        (void)bad->host->metric(bad->host->self, GAVEL_COUNTER, "a", "1", "A");
}

static const struct gavel_observer operations = {
    .size = GAVEL_END(struct gavel_observer, flush),
    .wants = GAVEL_OBSERVE_LOGS,
    .log = take_log,
};
#endif

/* ---- serializer -------------------------------------------------------------------------------------------------- */
#if BAD_KIND == 2

struct writer {
    struct gavel_writer head;
    char more[24];
};

static int32_t write_begin(void *self, void *memory, struct gavel_buffer *out, struct gavel_writer **writer)
{
    static const struct gavel_writer_ops none;

    (void)out;
    if (is(self, "write-returns-5"))
        return 5;
    if (is(self, "no-writer"))
        return GAVEL_OK;
    memset(memory, 0, sizeof(struct writer) + (is(self, "past-the-writer") ? 8 : 0));
    *writer = memory;
    (*writer)->ops = &none;
    return GAVEL_E_NO_MEMORY;
}

static int32_t write_end(void *self, struct gavel_writer *writer, struct gavel_error *error)
{
    (void)self;
    (void)writer;
    (void)error;
    return GAVEL_OK;
}

static int32_t read_begin(void *self, void *memory, struct gavel_slice input, const struct gavel_limits *limits,
                          struct gavel_reader **reader, struct gavel_error *error)
{
    (void)self;
    (void)memory;
    (void)input;
    (void)limits;
    (void)reader;
    (void)error;
    return -1000;
}

static void read_end(void *self, struct gavel_reader *reader)
{
    (void)self;
    (void)reader;
}

static const struct gavel_serializer operations = {
    .size = GAVEL_END(struct gavel_serializer, read_end),
    .media_type = "application/x-bad",
    .preference = 1000,
    .writer_bytes = sizeof(struct writer),
    .reader_bytes = 32,
    .write_begin = write_begin,
    .write_end = write_end,
    .read_begin = read_begin,
    .read_end = read_end,
};
#endif

/* ---- transport: bad://..., where nobody ever calls --------------------------------------------------------------- */
#if BAD_KIND == 1

static struct gavel_transport_events up;

static void *call_up(void *context)
{
    (void)context;
    up.quiet(up.context);
    return NULL;
}

static void block_later(void *context)
{
    block(context);
}

static void on_handle(uv_timer_t *timer)
{
    struct bad *bad = timer->data;

    if (is(bad, "blocks-in-a-handle"))
        block(bad);
    else
        crash();
}

static int32_t prepare(void *self, const struct gavel_transport_events *events,
                       const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    struct bad *bad = self;
    pthread_t thread;

    (void)limits;
    up = *events;
    if (is(bad, "prepare-returns-3"))
        return gavel_fail(error, 3, "three");
    if (is(bad, "up-from-a-thread") && pthread_create(&thread, NULL, call_up, NULL) == 0)
        (void)pthread_join(thread, NULL);
    if (is(bad, "blocks"))
        bad->host->timer_start(bad->host->self, bad->host->timer_new(bad->host->self, block_later, bad), 1500);
    if (is(bad, "blocks-in-a-handle") || is(bad, "crashes-in-a-handle")) {
        bad->handle = calloc(1, sizeof *bad->handle);
        (void)uv_timer_init(bad->host->loop, bad->handle);
        bad->handle->data = bad;
        (void)uv_timer_start(bad->handle, on_handle, 1500, 0);
    }
    return GAVEL_OK;
}

static int32_t listen_on(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error)
{
    (void)self;
    (void)error;
    *bound = uri;
    return GAVEL_OK;
}

static int32_t connect_to(void *self, struct gavel_slice uri, void *cookie, void **connection,
                          struct gavel_error *error)
{
    (void)self;
    (void)uri;
    (void)cookie;
    (void)connection;
    return gavel_fail(error, GAVEL_E_IO, "nobody is there");
}

static int32_t send_to(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
    (void)self;
    (void)connection;
    (void)parts;
    (void)count;
    return GAVEL_E_CLOSED;
}

static uint64_t queued(void *self, void *connection)
{
    (void)self;
    (void)connection;
    return 0;
}

static void pause_it(void *self, void *connection, uint64_t on)
{
    (void)self;
    (void)connection;
    (void)on;
}

static void close_it(void *self, void *connection, uint64_t reason, struct gavel_slice why)
{
    (void)self;
    (void)connection;
    (void)reason;
    (void)why;
}

static void unlisten(void *self)
{
    (void)self;
}

static const struct gavel_transport operations = {
    .size = GAVEL_END(struct gavel_transport, respond),
    .schemes = "bad",
    .prepare = prepare,
    .listen = listen_on,
    .connect = connect_to,
    .send = send_to,
    .queued = queued,
    .pause = pause_it,
    .close = close_it,
    .unlisten = unlisten,
};
#endif

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = BAD_KIND,
    .name = "bad",
    .version = "1",
    .summary = "Does wrong what it is told to",
    .options = &option_fields,
    .operations = &operations,
    .create = create,
    .start = start,
    .quiesce = quiesce,
    .destroy = destroy,
};

GAVEL_PLUGIN(bad)
{
    (void)crash;
    (void)block;
    return &plugin;
}
