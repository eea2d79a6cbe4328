/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_harness.c - the fake host: real loop, real clock, no node behind it.
 */
#include "transport_harness.h"

#include "transports/address.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

uv_loop_t harness_loop;
unsigned harness_alive;

static void *heap_resize(void *self, void *old, uint64_t wanted)
{
    (void)self;
    if (wanted == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, wanted);
}

static const struct gavel_heap heap = {.size = GAVEL_END(struct gavel_heap, resize), .resize = heap_resize};

static void host_log(void *self, uint64_t level, const char *module, struct gavel_slice text)
{
    struct harness_side *side = self;

    if (getenv("HARNESS_LOG"))
        (void)fprintf(stderr, "%d %s: %.*s\n", (int)level, module, (int)text.size, (const char *)text.data);
    if (level < GAVEL_LOG_WARN)
        return;
    side->warnings++;
    (void)snprintf(side->last_log, sizeof side->last_log, "%.*s", (int)text.size, (const char *)text.data);
}

static uint64_t host_monotonic(void *self)
{
    (void)self;
    return uv_hrtime();
}

uint64_t harness_digest(uint64_t digest, const void *data, uint64_t size)
{
    const unsigned char *at = data;
    uint64_t i;

    digest = (digest ^ size) * 0x100000001b3u;
    for (i = 0; i < size; i++)
        digest = (digest ^ at[i]) * 0x100000001b3u;
    return digest;
}

/* ---- up-calls ---------------------------------------------------------------------------------------------------- */

static struct harness_peer *new_peer(struct harness_side *side)
{
    struct harness_peer *peer = calloc(1, sizeof *peer);

    assert_non_null(peer);
    peer->side = side;
    peer->echo = side->echo;
    peer->close_on_message = side->close_on_message;
    peer->pause_on_message = side->pause_on_message;
    peer->next = side->peers;
    side->peers = peer;
    return peer;
}

static void now_open(struct harness_peer *peer, const struct gavel_peer *what)
{
    struct harness_side *side = peer->side;

    assert_false(side->in_call);
    peer->open = true;
    side->opened++;
    assert_true(what->size >= GAVEL_END(struct gavel_peer, name_count));
    assert_int_equal(what->secure, 0);
    (void)snprintf(peer->address, sizeof peer->address, "%.*s", (int)what->address.size,
                   (const char *)what->address.data);
}

static void *on_accepted(void *context, void *connection, const struct gavel_peer *what)
{
    struct harness_side *side = context;
    struct harness_peer *peer;

    assert_false(side->in_call);
    if (side->refuse)
        return NULL;
    peer = new_peer(side);
    peer->connection = connection;
    now_open(peer, what);
    return peer;
}

static void on_connected(void *context, void *cookie, const struct gavel_peer *what)
{
    struct harness_peer *peer = cookie;

    assert_ptr_equal(context, peer->side);
    assert_false(peer->open);
    now_open(peer, what);
}

static void on_message(void *context, void *cookie, struct gavel_slice message)
{
    struct harness_peer *peer = cookie;

    assert_ptr_equal(context, peer->side);
    assert_false(peer->side->in_call);
    assert_int_equal(peer->closed, 0);
    peer->messages++;
    peer->side->messages++;
    peer->bytes += message.size;
    if (message.size > peer->largest)
        peer->largest = message.size;
    peer->digest = harness_digest(peer->digest, message.data, message.size);
    peer->last_size = message.size;
    memcpy(peer->last, message.data, message.size < sizeof peer->last ? message.size : sizeof peer->last);
    if (peer->echo)
        assert_int_equal(harness_send(peer, message.data, message.size), GAVEL_OK);
    if (peer->pause_on_message)
        peer->side->wire->pause(peer->side->self, peer->connection, 1);
    if (peer->close_on_message)
        harness_close(peer, GAVEL_CLOSE_NORMAL, "seen enough");
}

static void on_quiet(void *context)
{
    struct harness_side *side = context;

    assert_false(side->in_call);
    side->quiets++;
}

static void on_drained(void *context, void *cookie)
{
    struct harness_peer *peer = cookie;

    assert_ptr_equal(context, peer->side);
    assert_false(peer->side->in_call);
    peer->drained++;
}

static void on_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct harness_peer *peer = cookie;

    assert_ptr_equal(context, peer->side);
    assert_false(peer->side->in_call);
    assert_int_equal(peer->closed, 0);
    peer->closed++;
    peer->side->closed++;
    peer->open = false;
    peer->connection = NULL;
    peer->reason = reason;
    (void)snprintf(peer->why, sizeof peer->why, "%.*s", (int)why.size, (const char *)why.data);
}

static void on_http(void *context, void *request, const struct gavel_http_request *what)
{
    struct harness_side *side = context;

    side->requests++;
    side->answer(side, request, what);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void fill_tables(struct harness_side *side)
{
    struct gavel_host host = {
        .size = GAVEL_END(struct gavel_host, submit), .self = side, .abi_major = GAVEL_ABI_MAJOR,
        .abi_minor = GAVEL_ABI_MINOR, .node = "test", .instance = "test", .loop = &harness_loop, .heap = &heap,
        .log = host_log, .monotonic_ns = host_monotonic};
    struct gavel_transport_events events = {
        .size = GAVEL_END(struct gavel_transport_events, http), .context = side, .accepted = on_accepted,
        .connected = on_connected, .message = on_message, .quiet = on_quiet, .drained = on_drained,
        .closed = on_closed, .http = side->answer ? on_http : NULL};

    side->host = host;
    side->events = events;
    side->limits.size = GAVEL_END(struct gavel_transport_limits, connections);
}

void harness_start(struct harness_side *side, const struct gavel_plugin *plugin)
{
    struct gavel_error error = {0, ""};

    harness_alive++;
    side->plugin = plugin;
    side->wire = plugin->operations;
    fill_tables(side);
    if (plugin->create(&side->host, NULL, &side->self, &error) != GAVEL_OK)
        fail_msg("create: %s", error.text);
    if (side->wire->prepare(side->self, &side->events, &side->limits, &error) != GAVEL_OK)
        fail_msg("prepare: %s", error.text);
    if (plugin->start(side->self, &error) != GAVEL_OK)
        fail_msg("start: %s", error.text);
}

static void on_done(void *context)
{
    struct harness_side *side = context;

    assert_false(side->quiesced);
    side->quiesced = true;
}

static void on_deadline(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Turn the loop until `done`, or for `milliseconds`; true when it was the former. */
static bool turn_until(const uint64_t *counter, uint64_t wanted, const bool *flag, uint64_t milliseconds)
{
    bool late = false;
    uv_timer_t timer;

    (void)uv_timer_init(&harness_loop, &timer);
    timer.data = &late;
    (void)uv_timer_start(&timer, on_deadline, milliseconds, 0);
    while (!late && !(counter && *counter >= wanted) && !(flag && *flag))
        (void)uv_run(&harness_loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&harness_loop, UV_RUN_NOWAIT);
    return !late;
}

void harness_until(const uint64_t *counter, uint64_t wanted, const char *what)
{
    if (!turn_until(counter, wanted, NULL, HARNESS_DEADLINE_MS))
        fail_msg("%s: %llu of %llu within %u ms", what, (unsigned long long)*counter, (unsigned long long)wanted,
                 HARNESS_DEADLINE_MS);
}

void harness_turn(uint64_t milliseconds)
{
    (void)turn_until(NULL, 0, NULL, milliseconds);
}

void harness_poll(void)
{
    (void)uv_run(&harness_loop, UV_RUN_NOWAIT);
}

void harness_stop(struct harness_side *side)
{
    struct harness_peer *peer;

    side->plugin->quiesce(side->self, on_done, side);
    if (!side->quiesced && !turn_until(NULL, 0, &side->quiesced, HARNESS_DEADLINE_MS))
        fail_msg("quiesce does not end");
    side->plugin->destroy(side->self);
    harness_alive--;
    side->self = NULL;
    while ((peer = side->peers)) {
        if (peer->closed != 1)
            fail_msg("closed was told %llu times", (unsigned long long)peer->closed);
        side->peers = peer->next;
        free(peer);
    }
}

const char *harness_listen(struct harness_side *side, const char *uri)
{
    struct gavel_error error = {0, ""};
    struct gavel_slice bound = {NULL, 0};
    int32_t status;

    side->in_call = true;
    status = side->wire->listen(side->self, gavel_text(uri), &bound, &error);
    side->in_call = false;
    if (status != GAVEL_OK)
        fail_msg("listen %s: %s", uri, error.text);
    assert_int_equal(((const char *)bound.data)[bound.size], 0);
    return bound.data;
}

struct harness_peer *harness_dial(struct harness_side *side, const char *uri)
{
    struct gavel_error error = {0, ""};
    struct harness_peer *peer = new_peer(side);
    int32_t status;

    peer->dialled = true;
    side->in_call = true;
    status = side->wire->connect(side->self, gavel_text(uri), peer, &peer->connection, &error);
    side->in_call = false;
    if (status != GAVEL_OK)
        fail_msg("connect %s: %s", uri, error.text);
    return peer;
}

struct harness_peer *harness_open(struct harness_side *side, const char *uri)
{
    uint64_t opened = side->opened;
    struct harness_peer *peer = harness_dial(side, uri);

    harness_until(&side->opened, opened + 1, "a dial opens");
    assert_true(peer->open);
    return peer;
}

struct harness_peer *harness_newest(struct harness_side *side)
{
    struct harness_peer *peer;

    for (peer = side->peers; peer; peer = peer->next)
        if (peer->open)
            return peer;
    fail_msg("no open peer");
    return NULL;
}

int32_t harness_send(struct harness_peer *peer, const void *data, uint64_t size)
{
    struct gavel_slice part = gavel_bytes(data, size);

    return peer->side->wire->send(peer->side->self, peer->connection, &part, 1);
}

void harness_close(struct harness_peer *peer, uint64_t reason, const char *why)
{
    bool before = peer->side->in_call;

    peer->side->in_call = true;
    peer->side->wire->close(peer->side->self, peer->connection, reason, gavel_text(why));
    peer->side->in_call = before;
}

/* ---- raw sockets ------------------------------------------------------------------------------------------------- */

static void nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

int raw_connect(const char *uri)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct address address;
    bool is_local;
    int fd;

    assert_int_equal(address_parse(gavel_text(uri), "tcp ws unix", &address, NULL), GAVEL_OK);
    is_local = strcmp(address.scheme, "unix") == 0;
    fd = socket(is_local ? AF_UNIX : address.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (is_local) {
        memcpy(local.sun_path, address.path, strlen(address.path) + 1);
        assert_int_equal(connect(fd, (struct sockaddr *)&local, sizeof local), 0);
    } else {
        assert_int_equal(connect(fd, (struct sockaddr *)&address.socket, sizeof address.socket), 0);
    }
    nonblocking(fd);
    return fd;
}

int raw_listen(const char *scheme, char *uri)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(uri, 64, "%s://127.0.0.1:%u", scheme, (unsigned)ntohs(address.sin_port));
    return fd;
}

bool raw_send(int fd, const void *data, size_t size)
{
    const unsigned char *at = data;
    uint64_t begin = uv_hrtime();
    ssize_t done;

    while (size) {
        done = send(fd, at, size, MSG_NOSIGNAL);
        if (done < 0 && errno != EAGAIN)
            return false;
        if (done > 0) {
            at += done;
            size -= (size_t)done;
        }
        harness_poll();
        assert_true(uv_hrtime() - begin < HARNESS_DEADLINE_MS * 1000000ull);
    }
    return true;
}

size_t raw_read(int fd, void *data, size_t size)
{
    uint64_t begin = uv_hrtime();
    size_t have = 0;
    ssize_t done;

    while (have < size && uv_hrtime() - begin < HARNESS_DEADLINE_MS * 1000000ull) {
        done = recv(fd, (unsigned char *)data + have, size - have, 0);
        if (done == 0 || (done < 0 && errno != EAGAIN))
            return have;
        if (done > 0)
            have += (size_t)done;
        harness_poll();
    }
    return have;
}

bool raw_wait_closed(int fd)
{
    uint64_t begin = uv_hrtime();
    char waste[4096];
    ssize_t done;

    while (uv_hrtime() - begin < HARNESS_DEADLINE_MS * 1000000ull) {
        done = recv(fd, waste, sizeof waste, 0);
        if (done == 0 || (done < 0 && errno != EAGAIN))
            return true;
        harness_poll();
    }
    return false;
}

bool raw_read_until(int fd, char *data, size_t size, const char *text)
{
    size_t have = 0;

    data[0] = 0;
    while (have + 1 < size && !strstr(data, text)) {
        if (raw_read(fd, data + have, 1) != 1)
            return false;
        data[++have] = 0;
    }
    return strstr(data, text) != NULL;
}

void raw_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)close(fd);
}
