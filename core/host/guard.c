/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.c - one function for each entry point; the call is the middle line of each.
 */
#include "core/host/guard.h"

#include "core/host/schema.h"
#include "core/os/call.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ------------------------------------------------------------------------------------------------------- */

struct name {
    struct name *next;
    char text[];
};

const char *host_guard_who(const struct host_plugin *plugin, const char *name)
{
    static struct name *names; /* reachable, and never freed */
    char text[256];
    struct name *made;

    (void)snprintf(text, sizeof text, "%s %.64s (plugin %.64s %.32s)", host_kind_name(plugin->head.kind), name,
                   plugin->head.name, plugin->head.version);
    for (const struct name *at = names; at; at = at->next)
        if (strcmp(at->text, text) == 0)
            return at->text;
    made = malloc(sizeof *made + strlen(text) + 1);
    if (!made)
        return host_kind_name(plugin->head.kind);
    memcpy(made->text, text, strlen(text) + 1);
    made->next = names;
    names = made;
    return made->text;
}

bool host_status_known(int32_t status)
{
    return status <= GAVEL_OK && status >= GAVEL_E_NOT_LEADER;
}

int32_t host_status_check(int32_t status, const char *function, struct gavel_error *error)
{
    if (!host_status_known(status))
        return gavel_fail(error, GAVEL_E_INTERNAL, "%s returned %d, which is no status of gavel/abi.h", function,
                          status);
    if (status != GAVEL_OK && !error->text[0])
        return gavel_fail(error, status, "%s failed with status %d and gave no reason", function, status);
    return status;
}

static struct host_guard *of(void *self)
{
    struct host_guard *guard = self;

    assert(guard->magic == HOST_GUARD_MAGIC);
    return guard;
}

/* A status that no header knows: told at the 1st, 2nd, 4th, 8th ... time. */
static int32_t known(struct host_guard *guard, const char *function, int32_t status, int32_t instead)
{
    if (host_status_known(status))
        return status;
    if (__builtin_popcountll(++guard->strange) == 1)
        gavel_log(guard->host, GAVEL_LOG_ERROR, "host", "%s, in %s: returned %d, which is no status of gavel/abi.h; "
                  "taken as %d (%llu times by now)", guard->who, function, status, instead,
                  (unsigned long long)guard->strange);
    return instead;
}

/* ---- transports: what the node calls ----------------------------------------------------------------------------- */

static void events_init(struct host_guard *guard);

static int32_t t_prepare(void *self, const struct gavel_transport_events *events,
                         const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    struct host_guard *guard = of(self);
    struct os_call before;
    int32_t status;

    guard->up = events;
    events_init(guard);
    before = os_call_enter(guard->who, "prepare", OS_CALL_LOOP);
    status = guard->plugin->operations.transport.prepare(guard->self, &guard->events, limits, error);
    os_call_set(before);
    return host_status_check(status, "prepare", error);
}

static int32_t t_listen(void *self, struct gavel_slice uri, struct gavel_slice *bound, struct gavel_error *error)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "listen", OS_CALL_LOOP);
    int32_t status = guard->plugin->operations.transport.listen(guard->self, uri, bound, error);

    os_call_set(before);
    return host_status_check(status, "listen", error);
}

static int32_t t_connect(void *self, struct gavel_slice uri, void *cookie, void **connection, struct gavel_error *error)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "connect", OS_CALL_LOOP);
    int32_t status = guard->plugin->operations.transport.connect(guard->self, uri, cookie, connection, error);

    os_call_set(before);
    return known(guard, "connect", status, GAVEL_E_INTERNAL);
}

static int32_t t_send(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "send", OS_CALL_LOOP);
    int32_t status = guard->plugin->operations.transport.send(guard->self, connection, parts, count);

    os_call_set(before);
    return known(guard, "send", status, GAVEL_E_CLOSED);
}

static uint64_t t_queued(void *self, void *connection)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "queued", OS_CALL_LOOP);
    uint64_t queued = guard->plugin->operations.transport.queued(guard->self, connection);

    os_call_set(before);
    return queued;
}

static void t_pause(void *self, void *connection, uint64_t on)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "pause", OS_CALL_LOOP);

    guard->plugin->operations.transport.pause(guard->self, connection, on);
    os_call_set(before);
}

static void t_close(void *self, void *connection, uint64_t reason, struct gavel_slice why)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "close", OS_CALL_LOOP);

    guard->plugin->operations.transport.close(guard->self, connection, reason, why);
    os_call_set(before);
}

static void t_unlisten(void *self)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "unlisten", OS_CALL_LOOP);

    guard->plugin->operations.transport.unlisten(guard->self);
    os_call_set(before);
}

static void t_respond(void *self, void *request, uint64_t status, const struct gavel_attribute *headers,
                      uint64_t header_count, struct gavel_slice body)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "respond", OS_CALL_LOOP);

    guard->plugin->operations.transport.respond(guard->self, request, status, headers, header_count, body);
    os_call_set(before);
}

/* ---- transports: what they call up ------------------------------------------------------------------------------- */

/* Up-calls belong to the loop; while one runs no plugin is at hand. */
static struct os_call rise(const struct host_guard *guard, const char *event)
{
    if (os_call_here != &os_call_places[OS_CALL_LOOP])
        os_call_blame(guard->who, event,
                      "called up from the wrong lane (%s); every up-call belongs to the loop: use host->deliver",
                      os_call_here ? os_call_lane_name((uint32_t)(os_call_here - os_call_places)) :
                                     os_call_lane_name(OS_CALL_PLACES));
    return os_call_enter(NULL, NULL, OS_CALL_LOOP);
}

static void *u_accepted(void *context, void *connection, const struct gavel_peer *peer)
{
    struct host_guard *guard = of(context);
    struct os_call before = rise(guard, "accepted");
    void *cookie = guard->ended ? NULL : guard->up->accepted(guard->up->context, connection, peer);

    os_call_set(before);
    return cookie;
}

static void u_connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    struct host_guard *guard = of(context);
    struct os_call before = rise(guard, "connected");

    if (!guard->ended)
        guard->up->connected(guard->up->context, cookie, peer);
    os_call_set(before);
}

static void u_message(void *context, void *cookie, struct gavel_slice message)
{
    struct host_guard *guard = of(context);
    struct os_call before = rise(guard, "message");

    if (!guard->ended)
        guard->up->message(guard->up->context, cookie, message);
    os_call_set(before);
}

static void u_quiet(void *context)
{
    struct host_guard *guard = of(context);
    struct os_call before = rise(guard, "quiet");

    if (!guard->ended)
        guard->up->quiet(guard->up->context);
    os_call_set(before);
}

static void u_drained(void *context, void *cookie)
{
    struct host_guard *guard = of(context);
    struct os_call before = rise(guard, "drained");

    if (!guard->ended)
        guard->up->drained(guard->up->context, cookie);
    os_call_set(before);
}

static void u_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct host_guard *guard = of(context);
    struct os_call before = rise(guard, "closed");

    if (!guard->ended)
        guard->up->closed(guard->up->context, cookie, reason, why);
    os_call_set(before);
}

static void u_http(void *context, void *request, const struct gavel_http_request *what)
{
    struct host_guard *guard = of(context);
    struct os_call before = rise(guard, "http");

    if (!guard->ended)
        guard->up->http(guard->up->context, request, what);
    os_call_set(before);
}

static void events_init(struct host_guard *guard)
{
    const struct gavel_transport_events *up = guard->up;

    guard->events = (struct gavel_transport_events){
        .size = GAVEL_END(struct gavel_transport_events, http),
        .context = guard,
        .accepted = u_accepted,
        .connected = u_connected,
        .message = u_message,
        .quiet = up->quiet ? u_quiet : NULL,
        .drained = up->drained ? u_drained : NULL,
        .closed = u_closed,
        .http = GAVEL_HAS(struct gavel_transport_events, up, http) && up->http ? u_http : NULL,
    };
}

/* ---- serializers ------------------------------------------------------------------------------------------------- */

/*
 * A guard word lies behind the memory of each writer and reader; where that memory begins is known to the thread that
 * uses it, for a plugin may put its writer anywhere into it.
 */
static _Thread_local unsigned char *writer_memory, *reader_memory;

static uint64_t rounded(uint64_t bytes)
{
    return (bytes + 7) & ~UINT64_C(7);
}

static void mark(unsigned char *memory, uint64_t bytes)
{
    uint64_t word = OS_GUARD_WORD;

    memcpy(memory + rounded(bytes), &word, sizeof word);
}

static void check_mark(const struct host_guard *guard, const char *function, const unsigned char *memory,
                       uint64_t bytes, const void *object)
{
    uint64_t word;

    if (!memory || (const unsigned char *)object < memory || (const unsigned char *)object >= memory + bytes)
        return; /* another one was begun in between, which is allowed */
    memcpy(&word, memory + rounded(bytes), sizeof word);
    if (word != OS_GUARD_WORD)
        os_call_blame(guard->who, function, "wrote past the %llu bytes of memory that it had asked for",
                      (unsigned long long)bytes);
}

static int32_t s_write_begin(void *self, void *memory, struct gavel_buffer *out, struct gavel_writer **writer)
{
    struct host_guard *guard = of(self);
    const struct gavel_serializer *plugin = &guard->plugin->operations.serializer;
    struct os_call before = os_call_enter(guard->who, "write_begin", os_call_now().lane);
    int32_t status;

    mark(memory, plugin->writer_bytes);
    *writer = NULL;
    status = known(guard, "write_begin", plugin->write_begin(guard->self, memory, out, writer), GAVEL_E_INTERNAL);
    check_mark(guard, "write_begin", memory, plugin->writer_bytes, memory);
    os_call_set(before);
    writer_memory = memory;
    return status == GAVEL_OK && !*writer ? GAVEL_E_INTERNAL : status;
}

static int32_t s_write_end(void *self, struct gavel_writer *writer, struct gavel_error *error)
{
    struct host_guard *guard = of(self);
    const struct gavel_serializer *plugin = &guard->plugin->operations.serializer;
    struct os_call before = os_call_enter(guard->who, "write_end", os_call_now().lane);
    int32_t status = plugin->write_end(guard->self, writer, error);

    check_mark(guard, "write_end", writer_memory, plugin->writer_bytes, writer);
    os_call_set(before);
    writer_memory = NULL;
    return host_status_known(status) ? status
                                     : gavel_fail(error, known(guard, "write_end", status, GAVEL_E_INTERNAL),
                                                  "write_end returned %d", status);
}

static int32_t s_read_begin(void *self, void *memory, struct gavel_slice input, const struct gavel_limits *limits,
                            struct gavel_reader **reader, struct gavel_error *error)
{
    struct host_guard *guard = of(self);
    const struct gavel_serializer *plugin = &guard->plugin->operations.serializer;
    struct os_call before = os_call_enter(guard->who, "read_begin", os_call_now().lane);
    int32_t status;

    mark(memory, plugin->reader_bytes);
    *reader = NULL;
    status = plugin->read_begin(guard->self, memory, input, limits, reader, error);
    check_mark(guard, "read_begin", memory, plugin->reader_bytes, memory);
    os_call_set(before);
    reader_memory = memory;
    if (!host_status_known(status))
        return gavel_fail(error, known(guard, "read_begin", status, GAVEL_E_INTERNAL), "read_begin returned %d",
                          status);
    return status == GAVEL_OK && !*reader ? gavel_fail(error, GAVEL_E_INTERNAL, "read_begin made no reader") : status;
}

static void s_read_end(void *self, struct gavel_reader *reader)
{
    struct host_guard *guard = of(self);
    const struct gavel_serializer *plugin = &guard->plugin->operations.serializer;
    struct os_call before = os_call_enter(guard->who, "read_end", os_call_now().lane);

    plugin->read_end(guard->self, reader);
    check_mark(guard, "read_end", reader_memory, plugin->reader_bytes, reader);
    os_call_set(before);
    reader_memory = NULL;
}

/* ---- observers --------------------------------------------------------------------------------------------------- */

static void o_log(void *self, const struct gavel_log_event *event)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "log", OS_LANE_OBSERVER);

    guard->plugin->operations.observer.log(guard->self, event);
    os_call_set(before);
}

static void o_span(void *self, const struct gavel_span *span)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "span", OS_LANE_OBSERVER);

    guard->plugin->operations.observer.span(guard->self, span);
    os_call_set(before);
}

static void o_metrics(void *self, uint64_t wall_ms, const struct gavel_series *series, uint64_t count, uint64_t stride)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "metrics", OS_LANE_OBSERVER);

    guard->plugin->operations.observer.metrics(guard->self, wall_ms, series, count, stride);
    os_call_set(before);
}

static void o_flush(void *self)
{
    struct host_guard *guard = of(self);
    struct os_call before = os_call_enter(guard->who, "flush", OS_LANE_OBSERVER);

    guard->plugin->operations.observer.flush(guard->self);
    os_call_set(before);
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static void init_transport(struct host_guard *guard, const struct gavel_transport *plugin)
{
    guard->operations.transport = (struct gavel_transport){
        .size = plugin->size,
        .schemes = plugin->schemes,
        .prepare = t_prepare,
        .listen = t_listen,
        .connect = t_connect,
        .send = t_send,
        .queued = t_queued,
        .pause = t_pause,
        .close = t_close,
        .unlisten = t_unlisten,
        .respond = plugin->respond ? t_respond : NULL,
    };
}

static void init_serializer(struct host_guard *guard, const struct gavel_serializer *plugin)
{
    guard->operations.serializer = (struct gavel_serializer){
        .size = plugin->size,
        .media_type = plugin->media_type,
        .preference = plugin->preference,
        .writer_bytes = rounded(plugin->writer_bytes) + sizeof(uint64_t),
        .reader_bytes = rounded(plugin->reader_bytes) + sizeof(uint64_t),
        .write_begin = s_write_begin,
        .write_end = s_write_end,
        .read_begin = s_read_begin,
        .read_end = s_read_end,
    };
}

static void init_observer(struct host_guard *guard, const struct gavel_observer *plugin)
{
    guard->operations.observer = (struct gavel_observer){
        .size = plugin->size,
        .wants = plugin->wants,
        .log = plugin->log ? o_log : NULL,
        .span = plugin->span ? o_span : NULL,
        .metrics = plugin->metrics ? o_metrics : NULL,
        .flush = plugin->flush ? o_flush : NULL,
    };
}

void host_guard_init(struct host_guard *guard, const struct host_plugin *plugin, const char *who, void *self,
                     const struct gavel_host *host)
{
    memset(guard, 0, sizeof *guard);
    guard->magic = HOST_GUARD_MAGIC;
    guard->who = who;
    guard->plugin = plugin;
    guard->self = self;
    guard->host = host;
    if (plugin->head.kind == GAVEL_KIND_TRANSPORT)
        init_transport(guard, &plugin->operations.transport);
    else if (plugin->head.kind == GAVEL_KIND_SERIALIZER)
        init_serializer(guard, &plugin->operations.serializer);
    else if (plugin->head.kind == GAVEL_KIND_OBSERVER)
        init_observer(guard, &plugin->operations.observer);
}
