/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_context.c - libwebsockets on a loop that is not its own: made when first needed, and destroyed in two calls with
 * turns of the loop between them, because its handles close as all of libuv's do. The slots that tie its connections
 * to ours.
 */
#include "ws.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A table with an entry for each possible descriptor makes finding one O(1); above this limit it would be too large. */
#define DESCRIPTORS_FAST 16384

/* Descriptors beside the accepted connections: dials, pipes. */
#define DESCRIPTORS_MORE 1024u

/* ---- log --------------------------------------------------------------------------------------------------------- */

/* Lines of libwebsockets have no owner: they go to the host of the instance that was made last on this thread. */
static _Thread_local struct ws_transport *voice;
static _Thread_local char last_error[256];

static void on_line(int level, const char *line)
{
    size_t length = strlen(line);
    uint64_t as = level & LLL_ERR ? GAVEL_LOG_WARN : level & LLL_WARN ? GAVEL_LOG_INFO : GAVEL_LOG_DEBUG;

    while (length && line[length - 1] == '\n')
        length--;
    if (level & LLL_ERR)
        (void)snprintf(last_error, sizeof last_error, "%.*s", (int)length, line);
    /* What a stranger can cause is never an error of ours. */
    if (voice && voice->instance.host->log)
        voice->instance.host->log(voice->instance.host->self, as, WS_MODULE ".lws", gavel_bytes(line, length));
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = ws_callback, .rx_buffer_size = 4096},
    {.name = WS_SUBPROTOCOL, .callback = ws_callback, .rx_buffer_size = WS_READ_BYTES,
     .tx_packet_size = WS_FRAME_MAX + LWS_PRE},
    {.name = NULL},
};

/* libwebsockets asks for silence by itself only after 18 hours: keepalive is ours. */
static const lws_retry_bo_t no_keepalive = {.secs_since_valid_ping = 65000, .secs_since_valid_hangup = 65010};

static void count_handle(uv_handle_t *handle, void *context)
{
    *(uint64_t *)context += handle != NULL;
}

static void note_before(uv_handle_t *handle, void *context)
{
    const uv_handle_t ***at = context;

    *(*at)++ = handle;
}

struct newcomers {
    const uv_handle_t **before;
    uint64_t count;
    struct ws_transport *transport;
};

/* The context's timer and idle handle live inside it: when these two are gone from the loop, so are all others. */
static void note_new(uv_handle_t *handle, void *context)
{
    struct newcomers *newcomers = context;
    struct ws_transport *transport = newcomers->transport;
    uint64_t i;

    for (i = 0; i < newcomers->count; i++)
        if (newcomers->before[i] == handle)
            return;
    if (handle->type == UV_POLL && uv_fileno(handle, &transport->pipe_fd) < 0)
        transport->pipe_fd = -1;
    if (handle->type != UV_TIMER && handle->type != UV_IDLE)
        return;
    if (transport->foreign_count < sizeof transport->foreign / sizeof transport->foreign[0])
        transport->foreign[transport->foreign_count++] = handle;
}

static struct lws_context *make_context(struct ws_transport *transport)
{
    struct lws_context_creation_info info;
    void *loops[1] = {transport->instance.loop};
    struct newcomers newcomers = {.transport = transport};
    const uv_handle_t **at;
    struct lws_context *context;
    long descriptors = sysconf(_SC_OPEN_MAX);

    uv_walk(transport->instance.loop, count_handle, &newcomers.count);
    newcomers.before = calloc(newcomers.count + 1, sizeof *newcomers.before);
    if (!newcomers.before)
        return NULL;
    at = newcomers.before;
    uv_walk(transport->instance.loop, note_before, &at);
    memset(&info, 0, sizeof info);
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.foreign_loops = loops;
    info.user = transport;
    info.pt_serv_buf_size = WS_READ_BYTES;
    info.retry_and_idle_policy = &no_keepalive;
    if (descriptors < 0 || descriptors > DESCRIPTORS_FAST)
        info.fd_limit_per_thread = (unsigned)(transport->instance.up.limits.connections + DESCRIPTORS_MORE);
    transport->pipe_fd = -1;
    context = lws_create_context(&info);
    if (context)
        uv_walk(transport->instance.loop, note_new, &newcomers);
    free(newcomers.before);
    return context;
}

static struct lws_vhost *make_vhost(struct ws_transport *transport, const char *name, int port)
{
    struct lws_context_creation_info info;

    memset(&info, 0, sizeof info);
    info.vhost_name = name;
    info.port = port;
    info.protocols = protocols;
    info.retry_and_idle_policy = &no_keepalive;
    info.timeout_secs = 60; /* ours are shorter */
    info.keepalive_timeout = 60;
    info.alpn = "http/1.1";
    info.http_proxy_address = "none:0"; /* else it would take one from the environment */
    return lws_create_vhost(transport->context, &info);
}

int32_t ws_context_need(struct ws_transport *transport, struct gavel_error *error)
{
    if (transport->server && transport->client)
        return GAVEL_OK;
    if (transport->context)
        return gavel_fail(error, GAVEL_E_IO, "libwebsockets made no virtual host");
    voice = transport;
    last_error[0] = 0;
    lws_set_log_level(LLL_ERR | LLL_WARN, on_line);
    transport->context = make_context(transport);
    if (!transport->context)
        return gavel_fail(error, GAVEL_E_IO,
                          "libwebsockets cannot run on libuv: is the package libwebsockets-evlib-uv installed? (%s)",
                          last_error[0] ? last_error : "it says no more");
    transport->server = make_vhost(transport, "server", CONTEXT_PORT_NO_LISTEN_SERVER);
    transport->client = make_vhost(transport, "client", CONTEXT_PORT_NO_LISTEN);
    if (!transport->server || !transport->client)
        return gavel_fail(error, GAVEL_E_IO, "libwebsockets made no virtual host (%.200s)", last_error);
    return GAVEL_OK;
}

/* ---- destroying -------------------------------------------------------------------------------------------------- */

struct search {
    const struct ws_transport *transport;
    uint64_t found;
};

static void look_for(uv_handle_t *handle, void *context)
{
    struct search *search = context;
    uint64_t i;

    for (i = 0; i < search->transport->foreign_count; i++)
        search->found += search->transport->foreign[i] == handle;
}

/*
 * libwebsockets 4.1 closes its event pipe twice: when the context is destroyed, and a turn of the loop later, when the
 * pipe's watcher has closed. Whoever was given the number in between, a peer that dials anew or a file of the log,
 * loses its descriptor, and libuv aborts at one that is gone. So the number is taken again at once, for the second one.
 */
static void hold_pipe_number(struct ws_transport *transport)
{
    int fd, held;

    if (transport->pipe_fd < 0 || fcntl(transport->pipe_fd, F_GETFD) >= 0)
        return;
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fd == transport->pipe_fd)
        return;
    held = fcntl(fd, F_DUPFD_CLOEXEC, transport->pipe_fd);
    if (held >= 0 && held != transport->pipe_fd)
        (void)close(held); /* another thread was faster by microseconds */
    (void)close(fd);
}

bool ws_context_destroy(struct ws_transport *transport)
{
    struct search search = {.transport = transport};

    if (!transport->context)
        return true;
    if (!transport->destroying) {
        transport->destroying = true;
        lws_context_destroy(transport->context);
        hold_pipe_number(transport);
        return false;
    }
    uv_walk(transport->instance.loop, look_for, &search);
    if (search.found)
        return false;
    lws_context_destroy(transport->context);
    transport->context = NULL;
    if (voice == transport)
        voice = NULL;
    return true;
}

/*
 * libwebsockets 4.1 gives up a client socket (a connect whose error is only seen when it asks, or that takes too long)
 * by closing the descriptor, and then takes its watcher for closed as well: the handle stays on the loop for ever, and
 * a loop with a handle cannot be closed. It still bears the wsi as its data, and no one else knows it.
 */
static void watcher_closed(uv_handle_t *handle)
{
    free(handle); /* from libwebsockets' allocator, which is realloc(3) */
}

static void close_watcher(uv_handle_t *handle, void *wsi)
{
    if (handle->type == UV_POLL && handle->data == wsi && !uv_is_closing(handle))
        uv_close(handle, watcher_closed);
}

void ws_context_forget(struct ws_transport *transport, struct lws *wsi)
{
    if (lws_get_vhost(wsi) == transport->client)
        uv_walk(transport->instance.loop, close_watcher, wsi);
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

static bool grow(struct ws_transport *transport)
{
    uint32_t count = transport->slot_count ? transport->slot_count * 2 : 16;
    struct ws_slot *slots = realloc(transport->slots, count * sizeof *slots);
    uint32_t i;

    if (!slots)
        return false;
    memset(slots + transport->slot_count, 0, (count - transport->slot_count) * sizeof *slots);
    for (i = count - 1; i > 0 && i >= transport->slot_count; i--) {
        slots[i].next_free = transport->slot_free;
        transport->slot_free = i;
    }
    transport->slots = slots;
    transport->slot_count = count;
    return true;
}

void ws_slot_drop(struct ws_connection *connection)
{
    struct ws_transport *transport = connection->transport;
    uint32_t index = (uint32_t)connection->slot;

    if (!connection->slot)
        return;
    assert(index < transport->slot_count);
    assert(transport->slots[index].connection == connection);
    transport->slots[index].connection = NULL;
    transport->slots[index].generation++;
    transport->slots[index].next_free = transport->slot_free;
    transport->slot_free = index;
    connection->slot = 0;
}

bool ws_slot_renew(struct ws_connection *connection)
{
    struct ws_transport *transport = connection->transport;
    uint32_t index;

    ws_slot_drop(connection);
    if (!transport->slot_free && !grow(transport))
        return false;
    index = transport->slot_free;
    transport->slot_free = transport->slots[index].next_free;
    transport->slots[index].connection = connection;
    connection->slot = (uint64_t)transport->slots[index].generation << 32 | index;
    return true;
}

struct ws_connection *ws_slot_find(struct ws_transport *transport, uint64_t slot)
{
    uint32_t index = (uint32_t)slot;

    if (index == 0 || index >= transport->slot_count)
        return NULL;
    return transport->slots[index].generation == slot >> 32 ? transport->slots[index].connection : NULL;
}
