/* SPDX-License-Identifier: Apache-2.0 */
/*
 * my-plugin-test.c - the plugin as a node sees it: its file is loaded, and two instances on one loop talk to each
 * other, or to a raw socket that misbehaves. Every test ends with an empty loop: a handle that is left behind fails it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include <gavel/check.h>
#include <gavel/transport.h>

#define DEADLINE_MS 30000u

/* ---- a host that is just enough for a transport ------------------------------------------------------------------ */

static void *resize(void *self, void *old, uint64_t wanted)
{
    if (wanted)
        return realloc(old, wanted);
    free(old);
    return NULL;
}

static const struct gavel_heap heap = { GAVEL_END(struct gavel_heap, resize), NULL, resize };
static uv_loop_t loop;
static const struct gavel_plugin *plugin;
static const struct gavel_transport *operations;
static struct {
    uint64_t present, backlog;
} options = { 1, 16 };

/* One side of a test: an instance, and the one connection that it has. */
struct side {
    struct gavel_host host;
    struct gavel_transport_events events;
    struct gavel_transport_limits limits;
    void *self;
    void *connection;
    uint64_t opened, messages, bytes, closed, drained, reason;
    unsigned char sum; /* over all bytes, in order */
    char why[300];
    char uri[128]; /* that it listens on */
    int refuses, is_quiet;
};

static unsigned char add(unsigned char sum, const void *data, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++)
        sum = (unsigned char)(sum * 31 + ((const unsigned char *)data)[i] + 1);
    return sum;
}

static void *on_accepted(void *context, void *connection, const struct gavel_peer *peer)
{
    struct side *side = context;

    assert_true(peer->address.size > 8);
    if (side->refuses)
        return NULL;
    side->opened++;
    side->connection = connection;
    return side;
}

static void on_connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    ((struct side *)cookie)->opened++;
}

static void on_message(void *context, void *cookie, struct gavel_slice message)
{
    struct side *side = cookie;

    side->messages++;
    side->bytes += message.size;
    side->sum = add(side->sum, message.data, message.size);
}

static void on_drained(void *context, void *cookie)
{
    ((struct side *)cookie)->drained++;
}

static void on_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct side *side = cookie;

    side->closed++;
    side->reason = reason;
    side->connection = NULL;
    (void)snprintf(side->why, sizeof side->why, "%.*s", (int)why.size, (const char *)why.data);
}

static void on_quiet(void *context)
{
    ((struct side *)context)->is_quiet = 1;
}

static void start(struct side *side)
{
    struct gavel_error error = { 0, "" };

    side->host = (struct gavel_host){ .size = GAVEL_END(struct gavel_host, submit), .abi_major = GAVEL_ABI_MAJOR,
                                      .abi_minor = GAVEL_ABI_MINOR, .node = "node-1", .instance = "my-plugin",
                                      .loop = &loop, .heap = &heap };
    side->events = (struct gavel_transport_events){ .size = GAVEL_END(struct gavel_transport_events, http),
                                                    .context = side, .accepted = on_accepted,
                                                    .connected = on_connected, .message = on_message,
                                                    .drained = on_drained, .closed = on_closed };
    side->limits.size = GAVEL_END(struct gavel_transport_limits, connections);
    assert_int_equal(plugin->create(&side->host, &options, &side->self, &error), GAVEL_OK);
    assert_int_equal(operations->prepare(side->self, &side->events, &side->limits, &error), GAVEL_OK);
    assert_int_equal(plugin->start(side->self, &error), GAVEL_OK);
}

/* Turn the loop until *counter is `wanted`; a test that waits too long fails. */
static void until(const uint64_t *counter, uint64_t wanted)
{
    uint64_t deadline;

    uv_update_time(&loop);
    deadline = uv_now(&loop) + DEADLINE_MS;
    while (*counter < wanted && uv_now(&loop) < deadline)
        if (!uv_run(&loop, UV_RUN_NOWAIT))
            uv_update_time(&loop);
    if (*counter < wanted)
        fail_msg("waited %u ms in vain", DEADLINE_MS);
}

static void stop(struct side *side)
{
    uint64_t deadline;

    plugin->quiesce(side->self, on_quiet, side);
    uv_update_time(&loop);
    deadline = uv_now(&loop) + DEADLINE_MS;
    while (!side->is_quiet && uv_now(&loop) < deadline)
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_true(side->is_quiet);
    assert_int_equal(side->closed, side->opened + (side->reason != 0 && side->opened == 0));
    plugin->destroy(side->self);
}

static void listen_on(struct side *side)
{
    struct gavel_error error = { 0, "" };
    struct gavel_slice bound;

    if (operations->listen(side->self, gavel_text("my-plugin://127.0.0.1:0"), &bound, &error) != GAVEL_OK)
        fail_msg("%s", error.text);
    (void)snprintf(side->uri, sizeof side->uri, "%.*s", (int)bound.size, (const char *)bound.data);
}

static void dial(struct side *side, const char *uri)
{
    struct gavel_error error = { 0, "" };

    if (operations->connect(side->self, gavel_text(uri), side, &side->connection, &error) != GAVEL_OK)
        fail_msg("%s", error.text);
}

static int32_t send_to(struct side *side, const void *data, uint64_t size)
{
    struct gavel_slice parts[2] = { gavel_bytes(data, size / 2),
                                    gavel_bytes((const char *)data + size / 2, size - size / 2) };

    return operations->send(side->self, side->connection, parts, 2);
}

static void open_pair(struct side *server, struct side *client)
{
    start(server);
    start(client);
    listen_on(server);
    dial(client, server->uri);
    assert_int_equal(client->opened, 0); /* never from within the call */
    until(&client->opened, 1);
    until(&server->opened, 1);
}

static int raw_connect(const char *uri)
{
    struct sockaddr_in address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(uv_ip4_addr("127.0.0.1", (int)strtol(strrchr(uri, ':') + 1, NULL, 10), &address), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Turn the loop until the other side has closed; what it sent is thrown away. */
static void raw_wait_closed(int fd)
{
    uint64_t deadline;
    char bytes[512];
    ssize_t got;

    uv_update_time(&loop);
    deadline = uv_now(&loop) + DEADLINE_MS;
    do {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        uv_update_time(&loop);
        got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    } while (got > 0 || (got < 0 && errno == EAGAIN && uv_now(&loop) < deadline));
    assert_true(got == 0 || errno != EAGAIN);
    (void)close(fd);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void borders_and_order_are_kept(void **state)
{
    static const size_t sizes[] = { 0, 1, 3, 4, 5, 4096, 65531, 65532, 65536, 200000, 1 << 20, (3 << 20) + 7, 0, 2 };
    struct side server = { .self = NULL }, client = { .self = NULL };
    unsigned char *data = malloc(4 << 20), sum = 0;
    uint64_t count = 0;

    for (size_t i = 0; i < 4 << 20; i++)
        data[i] = (unsigned char)(i * 7 + i / 251);
    open_pair(&server, &client);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(send_to(&client, data, sizes[i]), GAVEL_OK);
        sum = add(sum, data, sizes[i]);
        count++;
    }
    for (size_t i = 0; i < 5000; i++, count++) {
        assert_int_equal(send_to(&client, data + i, i % 40), GAVEL_OK);
        sum = add(sum, data + i, i % 40);
    }
    until(&server.messages, count);
    assert_int_equal(server.messages, count);
    assert_int_equal(server.sum, sum);
    free(data);
    stop(&client);
    stop(&server);
    assert_int_equal(server.reason, GAVEL_CLOSE_NORMAL); /* the other side said so */
}

static void too_long_is_refused_on_both_sides(void **state)
{
    struct side server = { .limits.message_bytes = 1000 }, client = { .self = NULL };
    char data[2000] = { 0 };

    open_pair(&server, &client);
    assert_int_equal(operations->send(server.self, server.connection, &(struct gavel_slice){ data, 1001 }, 1),
                     GAVEL_E_TOO_LARGE);
    assert_int_equal(send_to(&client, data, 1000), GAVEL_OK);
    until(&server.messages, 1);
    assert_int_equal(send_to(&client, data, 1001), GAVEL_OK);
    until(&server.closed, 1);
    assert_int_equal(server.reason, GAVEL_CLOSE_PROTOCOL);
    until(&client.closed, 1);
    assert_int_equal(client.reason, GAVEL_CLOSE_PROTOCOL);
    assert_non_null(strstr(client.why, "1001"));
    assert_int_equal(server.messages, 1);
    stop(&client);
    stop(&server);
}

static void close_sends_what_is_queued_first(void **state)
{
    struct side server = { .self = NULL }, client = { .self = NULL };
    char data[10000] = { 0 };

    open_pair(&server, &client);
    for (int i = 0; i < 100; i++)
        assert_int_equal(send_to(&client, data, sizeof data), GAVEL_OK);
    operations->close(client.self, client.connection, GAVEL_CLOSE_NORMAL, gavel_text("enough"));
    assert_int_equal(send_to(&client, data, 1), GAVEL_E_CLOSED);
    assert_int_equal(client.closed, 0); /* never from within the call */
    until(&server.closed, 1);
    until(&client.closed, 1);
    assert_int_equal(server.messages, 100);
    assert_string_equal(server.why, "enough");
    stop(&client);
    stop(&server);
}

static void slow_reader_fills_a_bounded_queue(void **state)
{
    struct side server = { .limits.send_high = 1 << 20 }, client = { .self = NULL };
    char data[10000] = { 0 };
    uint64_t sent = 0;
    int32_t status;

    open_pair(&server, &client);
    operations->pause(client.self, client.connection, 1);
    while ((status = operations->send(server.self, server.connection, &(struct gavel_slice){ data, sizeof data }, 1)) ==
           GAVEL_OK) {
        assert_true(++sent < 100000);
        assert_true(operations->queued(server.self, server.connection) < (1 << 20) + 20000);
        if (sent % 64 == 0)
            (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(status, GAVEL_E_BUSY);
    assert_int_equal(server.drained, 0);
    operations->pause(client.self, client.connection, 0);
    until(&server.drained, 1);
    until(&client.messages, sent);
    assert_int_equal(client.bytes, sent * sizeof data);
    stop(&client);
    stop(&server);
}

static void ends_have_their_reasons(void **state)
{
    struct side server = { .self = NULL }, client = { .self = NULL }, refused = { .self = NULL },
                unknown = { .self = NULL }, unwanted = { .self = NULL };
    struct gavel_error error = { 0, "" };
    int fd;

    start(&refused);
    fd = socket(AF_INET, SOCK_STREAM, 0); /* a port where nobody listens: bound, and no more */
    assert_int_equal(bind(fd, (struct sockaddr *)&(struct sockaddr_in){ .sin_family = AF_INET,
                                                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
                          sizeof(struct sockaddr_in)), 0);
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
    (void)snprintf(refused.uri, sizeof refused.uri, "my-plugin://127.0.0.1:%u", ntohs(bound.sin_port));
    dial(&refused, refused.uri);
    until(&refused.closed, 1);
    assert_int_equal(refused.reason, GAVEL_CLOSE_REFUSED);
    (void)close(fd);
    stop(&refused);

    start(&unknown);
    dial(&unknown, "my-plugin://no-such-host.invalid:80");
    until(&unknown.closed, 1);
    assert_int_equal(unknown.reason, GAVEL_CLOSE_UNRESOLVED);
    assert_int_equal(operations->connect(unknown.self, gavel_text("tcp://127.0.0.1:80"), &unknown, &unknown.connection,
                                         &error), GAVEL_E_INVALID);
    assert_int_equal(operations->connect(unknown.self, gavel_text("my-plugin://127.0.0.1"), &unknown,
                                         &unknown.connection, &error), GAVEL_E_INVALID);
    stop(&unknown);

    start(&server);
    server.refuses = 1;
    listen_on(&server);
    start(&unwanted);
    dial(&unwanted, server.uri);
    until(&unwanted.closed, 1);
    assert_int_equal(server.opened, 0);
    stop(&unwanted);
    server.refuses = 0;
    start(&client);
    dial(&client, server.uri);
    until(&server.opened, 1);
    stop(&client);
    stop(&server);
}

static void strangers_are_shown_out(void **state)
{
    static const char *const first[] = { "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02", "GAVEL2\r\n", "" };
    struct side server = { .limits.dial_ms = 100 }, other = { .limits.connections = 1 }, client = { .self = NULL };
    int fds[2];

    start(&server);
    listen_on(&server);
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) { /* the last one says nothing: it is timed out */
        int fd = raw_connect(server.uri);

        assert_true(send(fd, first[i], strlen(first[i]), MSG_NOSIGNAL) >= 0);
        raw_wait_closed(fd);
    }
    assert_int_equal(server.opened, 0);
    stop(&server);

    start(&other); /* one is let in, the next one is one too many */
    listen_on(&other);
    fds[0] = raw_connect(other.uri);
    assert_int_equal(send(fds[0], "GAVEL1\r\n", 8, MSG_NOSIGNAL), 8);
    until(&other.opened, 1);
    fds[1] = raw_connect(other.uri);
    raw_wait_closed(fds[1]);
    (void)close(fds[0]);
    until(&other.closed, 1);
    start(&client);
    dial(&client, other.uri);
    until(&other.opened, 2);
    stop(&client);
    stop(&other);
}

/* Byte by byte, then a reset in the middle of a message. */
static void streams_are_cut_anywhere(void **state)
{
    struct side server = { .self = NULL };
    const char bytes[] = "GAVEL1\r\n\3\0\0\0abc\5\0\0\0cut";
    struct linger linger = { 1, 0 };
    int fd;

    start(&server);
    listen_on(&server);
    fd = raw_connect(server.uri);
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        assert_int_equal(send(fd, bytes + i, 1, MSG_NOSIGNAL), 1);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    until(&server.messages, 1);
    assert_int_equal(server.bytes, 3);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(fd);
    until(&server.closed, 1);
    assert_int_equal(server.reason, GAVEL_CLOSE_LOST);
    assert_int_equal(server.messages, 1);
    stop(&server);
}

/* A peer that is there but says nothing any more is lost; one that answers pings is not. */
static void silence_is_noticed(void **state)
{
    struct side server = { .limits.keepalive_ms = 50 }, client = { .self = NULL };
    uint64_t until_ms;
    int fd;

    open_pair(&server, &client);
    uv_update_time(&loop);
    until_ms = uv_now(&loop) + 400;
    while (uv_now(&loop) < until_ms) /* eight times the keep-alive */
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(server.closed, 0);
    stop(&client);
    until(&server.closed, 1);

    fd = raw_connect(server.uri);
    assert_int_equal(send(fd, "GAVEL1\r\n", 8, MSG_NOSIGNAL), 8);
    until(&server.opened, 2);
    until(&server.closed, 2);
    assert_int_equal(server.reason, GAVEL_CLOSE_LOST);
    (void)close(fd);
    stop(&server);
}

/* gavel's own conformance kit: what every transport must keep, tried in processes of their own. */
static void conforms(void **state)
{
    gavel_check_assert(PLUGIN);
}

static int fresh_loop(void **state)
{
    return uv_loop_init(&loop);
}

static int empty_loop(void **state)
{
    for (int i = 0; i < 1000 && uv_loop_alive(&loop); i++)
        (void)uv_run(&loop, UV_RUN_NOWAIT); /* never for ever: a test that failed may have left a listener */
    return uv_loop_close(&loop); /* UV_EBUSY: a handle was left behind */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh_loop, empty_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(borders_and_order_are_kept),        TEST(too_long_is_refused_on_both_sides),
        TEST(close_sends_what_is_queued_first),  TEST(slow_reader_fills_a_bounded_queue),
        TEST(ends_have_their_reasons),           TEST(strangers_are_shown_out),
        TEST(streams_are_cut_anywhere),          TEST(silence_is_noticed),
        cmocka_unit_test(conforms),
    };
    void *file = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
    gavel_plugin_entry entry;

    if (!file) {
        (void)fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&entry = dlsym(file, "gavel_plugin_my_plugin");
    plugin = entry ? entry() : NULL;
    if (!plugin || plugin->kind != GAVEL_KIND_TRANSPORT)
        return 1;
    operations = plugin->operations;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
