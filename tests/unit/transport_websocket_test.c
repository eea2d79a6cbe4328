/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_websocket_test.c - the websocket transport: what the conformance kit cannot ask, since it needs the wire's
 * raw form: the upgrade, frames of other shapes than ours, the very bytes of HTTP. Everything else is in core/check.
 */
#include "transport_wire.h"

#include "transports/framing.h"
#include "transports/transports.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UPGRADE \
    "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n"
#define OURS "Sec-WebSocket-Protocol: gavel.v1\r\n"

static size_t hello(char *to, const char *uri)
{
    (void)uri;
    return (size_t)snprintf(to, 1024, UPGRADE, "/", OURS);
}

static void greet(int fd, const char *uri)
{
    char text[1024];
    size_t length = hello(text, uri);

    assert_true(raw_send(fd, text, length));
    assert_true(raw_read_until(fd, text, sizeof text, "\r\n\r\n"));
    assert_non_null(strstr(text, " 101 "));
    assert_non_null(strstr(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")); /* RFC 6455, 1.3: the answer to that very key */
}

/* One masked frame. */
static size_t frame(unsigned char *to, unsigned first, const void *payload, size_t size)
{
    static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
    const unsigned char *from = payload;
    size_t at = 0;
    size_t i;

    to[at++] = (unsigned char)first;
    if (size < 126) {
        to[at++] = (unsigned char)(0x80 | size);
    } else if (size < 65536) {
        to[at++] = 0x80 | 126;
        to[at++] = (unsigned char)(size >> 8);
        to[at++] = (unsigned char)size;
    } else {
        to[at++] = 0x80 | 127;
        for (i = 0; i < 8; i++)
            to[at++] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
    }
    memcpy(to + at, mask, 4);
    at += 4;
    for (i = 0; i < size; i++)
        to[at + i] = from[i] ^ mask[i & 3];
    return at + size;
}

static size_t wrap(unsigned char *to, const void *run, size_t size)
{
    return frame(to, 0x82, run, size);
}

static const struct wire_form websocket_wire = {
    .name = "websocket", .scheme = "ws", .plugin = gavel_plugin_websocket, .raw_greet = greet, .raw_wrap = wrap};

/* ---- frames ------------------------------------------------------------------------------------------------------ */

/* A server with one raw client that has upgraded. */
struct raw {
    struct harness_side server;
    struct harness_peer *accepted;
    const char *uri;
    int fd;
};

static void raw_start(struct raw *raw)
{
    harness_start(&raw->server, gavel_plugin_websocket());
    raw->uri = harness_listen(&raw->server, "ws://127.0.0.1:0");
    raw->fd = raw_connect(raw->uri);
    greet(raw->fd, raw->uri);
    harness_until(&raw->server.opened, 1, "accepted");
    raw->accepted = harness_newest(&raw->server);
}

static void raw_stop(struct raw *raw)
{
    (void)close(raw->fd);
    harness_stop(&raw->server);
}

static void fragments_and_controls_between(void **state)
{
    static const unsigned char run[] = {5, 0, 0, 0, 'h', 'e', 'l', 'l', 'o', 0, 0, 0, 0, 3, 0, 0, 0, 'y', 'o', 'u'};
    struct raw raw = {0};
    unsigned char bytes[128];
    unsigned char answer[8];
    size_t length = 0;

    (void)state;
    raw_start(&raw);
    length += frame(bytes + length, 0x02, run, 6);
    length += frame(bytes + length, 0x89, "p", 1);
    length += frame(bytes + length, 0x00, run + 6, 0);
    length += frame(bytes + length, 0x00, run + 6, 4);
    length += frame(bytes + length, 0x80, run + 10, sizeof run - 10);
    assert_true(raw_send(raw.fd, bytes, length));
    harness_until(&raw.accepted->messages, 3, "three messages in four fragments");
    assert_true(raw.accepted->digest == harness_digest(harness_digest(harness_digest(0, "hello", 5), "", 0), "you", 3));
    assert_int_equal(raw_read(raw.fd, answer, 3), 3);
    assert_memory_equal(answer, "\x8a\x01p", 3);
    raw_stop(&raw);
}

/* Send bytes; the connection must end for PROTOCOL; the close frame's code is returned. */
static unsigned offended(const unsigned char *bytes, size_t length)
{
    struct raw raw = {.server = {.limits = {.message_bytes = 1000}}};
    unsigned char answer[128];
    unsigned code;

    raw_start(&raw);
    assert_true(raw_send(raw.fd, bytes, length));
    harness_until(&raw.accepted->closed, 1, "the offence ends it");
    assert_int_equal(raw.accepted->reason, GAVEL_CLOSE_PROTOCOL);
    assert_int_equal(raw_read(raw.fd, answer, 4), 4);
    assert_int_equal(answer[0], 0x88);
    code = (unsigned)answer[2] << 8 | answer[3];
    raw_stop(&raw);
    return code;
}

static void broken_frames_are_named(void **state)
{
    unsigned char bytes[128];

    (void)state;
    assert_int_equal(offended(bytes, frame(bytes, 0x82, "\x05\0\0\0abc", 7)), 1002);      /* ends within a message */
    assert_int_equal(offended(bytes, frame(bytes, 0x82, "\x05\0", 2)), 1002);             /* ends within a length */
    assert_int_equal(offended(bytes, frame(bytes, 0x02, "\xe9\x03\0\0", 4)), 1009);       /* announces 1001 bytes */
    assert_int_equal(offended(bytes, frame(bytes, 0x82, "\x00\x00\x00\x81", 4)), 1002);   /* a control of tcp */
    assert_int_equal(offended(bytes, frame(bytes, 0x81, "\x02\0\0\0hi", 6)), 1002);       /* a text message */
}

static void close_frames_tell_why(void **state)
{
    struct raw raw = {0};
    unsigned char bytes[64];
    unsigned char answer[4];

    (void)state;
    raw_start(&raw);
    assert_true(raw_send(raw.fd, bytes, frame(bytes, 0x88, "\x03\xe8" "see\nyou", 9)));
    harness_until(&raw.accepted->closed, 1, "closed");
    assert_int_equal(raw.accepted->reason, GAVEL_CLOSE_NORMAL);
    assert_non_null(strstr(raw.accepted->why, "see?you"));
    assert_int_equal(raw_read(raw.fd, answer, 4), 4);
    assert_int_equal(answer[0], 0x88);
    raw_stop(&raw);
}

static void upgrade_without_our_subprotocol(void **state)
{
    static const char *const others[] = {"", "Sec-WebSocket-Protocol: chat\r\n", "Sec-WebSocket-Protocol: http\r\n",
                                         "Sec-WebSocket-Protocol: gavel.v9\r\n"};
    struct harness_side server = {.limits = {.dial_ms = 500}};
    const char *uri;
    char text[1024];
    size_t i;
    int fd;

    (void)state;
    harness_start(&server, gavel_plugin_websocket());
    uri = harness_listen(&server, "ws://127.0.0.1:0");
    for (i = 0; i < sizeof others / sizeof others[0]; i++) {
        fd = raw_connect(uri);
        assert_true(raw_send(fd, text, (size_t)snprintf(text, sizeof text, UPGRADE, "/", others[i])));
        assert_true(raw_wait_closed(fd));
        (void)close(fd);
    }
    /* Several are offered, ours among them. */
    fd = raw_connect(uri);
    assert_true(raw_send(fd, text, (size_t)snprintf(text, sizeof text, UPGRADE, "/any/path",
                                                    "Sec-WebSocket-Protocol: chat, gavel.v1\r\n")));
    harness_until(&server.opened, 1, "ours among others");
    assert_true(raw_read_until(fd, text, sizeof text, "\r\n\r\n"));
    assert_non_null(strstr(text, "gavel.v1"));
    (void)close(fd);
    assert_int_equal(server.opened, 1);
    harness_stop(&server);
}

static void an_http_server_is_no_peer(void **state)
{
    static const char answer[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    struct harness_side client = {0};
    struct harness_peer *peer;
    char text[1024];
    char uri[64];
    int accepted;
    int fd;

    (void)state;
    harness_start(&client, gavel_plugin_websocket());
    fd = raw_listen("ws", uri);
    peer = harness_dial(&client, uri);
    harness_poll();
    accepted = accept(fd, NULL, NULL);
    assert_true(raw_read_until(accepted, text, sizeof text, "\r\n\r\n"));
    assert_non_null(strstr(text, "gavel.v1"));
    assert_true(raw_send(accepted, answer, sizeof answer - 1));
    harness_until(&peer->closed, 1, "refused");
    assert_int_equal(peer->reason, GAVEL_CLOSE_PROTOCOL);
    (void)close(accepted);
    (void)close(fd);
    harness_stop(&client);
}

/* ---- http -------------------------------------------------------------------------------------------------------- */

static void echo_request(struct harness_side *side, void *request, const struct gavel_http_request *what)
{
    struct gavel_attribute headers[2] = {{"content-type", gavel_text("text/plain")},
                                         {"x-broken", gavel_text("a\r\nb: c")}};
    char text[2048];
    uint64_t i;
    int length;

    length = snprintf(text, sizeof text, "%.*s|%.*s|%.*s|%.*s", (int)what->method.size, (const char *)what->method.data,
                      (int)what->path.size, (const char *)what->path.data, (int)what->query.size,
                      (const char *)what->query.data, (int)what->body.size, (const char *)what->body.data);
    for (i = 0; i < what->header_count; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "|%s=%.*s", what->headers[i].name,
                           (int)what->headers[i].value.size, (const char *)what->headers[i].value.data);
    side->wire->respond(side->self, request, 200, headers, 2, gavel_bytes(text, (uint64_t)length));
}

/*
 * Send a request on a fresh connection or on `fd`; read the head into `head` and, by its length, the body into `body`.
 */
static int ask(const char *uri, int fd, const char *request, char *head, size_t head_size, char *body, size_t body_size)
{
    const char *length;
    size_t wanted;

    if (fd < 0)
        fd = raw_connect(uri);
    assert_true(raw_send(fd, request, strlen(request)));
    assert_true(raw_read_until(fd, head, head_size, "\r\n\r\n"));
    length = strstr(head, "content-length: ");
    assert_non_null(length);
    wanted = (size_t)strtoul(length + 16, NULL, 10);
    assert_true(wanted < body_size);
    assert_int_equal(raw_read(fd, body, wanted), wanted);
    body[wanted] = 0;
    return fd;
}

static void http_requests(void **state)
{
    static const struct {
        const char *request;
        const char *status;
        const char *body;
    } rows[] = {
        {"GET /a%20b/c?x=1&y=a%26b HTTP/1.1\r\nHost: h\r\n\r\n", " 200 ", "GET|/a b/c|x=1&y=a%26b||host=h"},
        {"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Type: t/x\r\n\r\nhello", " 200 ",
         "POST|/p||hello|host=h|content-type=t/x|content-length=5"},
        {"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", " 200 ", "POST|/p|||host=h|content-length=0"},
        {"PUT /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", " 200 ",
         "PUT|/p||abc|host=h|content-length=3"},
        {"DELETE /d HTTP/1.1\r\nHost: h\r\ntraceparent: 00-ab\r\n\r\n", " 200 ",
         "DELETE|/d|||host=h|traceparent=00-ab"},
        {"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", " 411 ",
         "Length Required"},
        {"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", " 413 ", "Content Too Large"},
        {"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5x\r\n\r\n", " 400 ", "Bad Request"},
    };
    struct harness_side server = {.answer = echo_request};
    const char *uri;
    char head[2048];
    char body[2048];
    size_t i;
    int fd;

    (void)state;
    harness_start(&server, gavel_plugin_websocket());
    uri = harness_listen(&server, "ws://127.0.0.1:0");
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fd = ask(uri, -1, rows[i].request, head, sizeof head, body, sizeof body);
        if (!strstr(head, rows[i].status) || strcmp(body, rows[i].body) != 0)
            fail_msg("%s gives\n%s%s", rows[i].request, head, body);
        assert_null(strstr(head, "x-broken"));
        (void)close(fd);
    }
    assert_int_equal(server.requests, 5);
    assert_int_equal(server.opened, 0);
    harness_stop(&server);
}

static void http_keeps_the_connection(void **state)
{
    struct harness_side server = {.answer = echo_request};
    const char *uri;
    char head[2048];
    char body[2048];
    int fd = -1;
    int i;

    (void)state;
    harness_start(&server, gavel_plugin_websocket());
    uri = harness_listen(&server, "ws://127.0.0.1:0");
    for (i = 0; i < 5; i++) {
        fd = ask(uri, fd, "POST /k HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", head, sizeof head, body,
                 sizeof body);
        assert_string_equal(body, "POST|/k||hi|host=h|content-length=2");
        fd = ask(uri, fd, "GET /k HTTP/1.1\r\nHost: h\r\n\r\n", head, sizeof head, body, sizeof body);
        assert_string_equal(body, "GET|/k|||host=h");
    }
    /* Two at once: the second waits for the first one's answer. */
    fd = ask(uri, fd, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n", head, sizeof head, body,
             sizeof body);
    assert_string_equal(body, "GET|/1|||host=h");
    fd = ask(uri, fd, "", head, sizeof head, body, sizeof body);
    assert_string_equal(body, "GET|/2|||host=h");
    (void)close(fd);
    harness_stop(&server);
}

/* A request with a body, sent before the answer to the one before it: libwebsockets would never return. */
static void http_bodies_are_not_pipelined(void **state)
{
    static const char *const both[] = {
        "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
        "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
        "GET /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
    };
    struct harness_side server = {.answer = echo_request};
    const char *uri;
    char head[2048];
    char body[2048];
    size_t i;
    int fd;

    (void)state;
    harness_start(&server, gavel_plugin_websocket());
    uri = harness_listen(&server, "ws://127.0.0.1:0");
    for (i = 0; i < sizeof both / sizeof both[0]; i++) {
        fd = ask(uri, -1, both[i], head, sizeof head, body, sizeof body);
        assert_non_null(strstr(body, "/1"));
        assert_true(raw_wait_closed(fd));
        (void)close(fd);
        assert_int_equal(server.requests, i + 1);
    }
    harness_stop(&server);
}

static void other_upgrades_harm_nobody(void **state)
{
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABk\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        "CONNECT other:80 HTTP/1.1\r\nHost: other:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: irc\r\nConnection: Upgrade\r\n\r\n",
        "BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n",
    };
    struct harness_side server = {.answer = echo_request, .limits = {.dial_ms = 300}};
    const char *uri;
    char head[2048];
    char body[2048];
    size_t i;
    int fd;

    (void)state;
    harness_start(&server, gavel_plugin_websocket());
    uri = harness_listen(&server, "ws://127.0.0.1:0");
    for (i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        fd = raw_connect(uri);
        (void)raw_send(fd, requests[i], strlen(requests[i]));
        harness_turn(20);
        (void)close(fd);
    }
    assert_int_equal(server.opened, 0);
    fd = ask(uri, -1, "GET /still HTTP/1.1\r\nHost: h\r\n\r\n", head, sizeof head, body, sizeof body);
    assert_string_equal(body, "GET|/still|||host=h");
    (void)close(fd);
    harness_stop(&server);
}

/* ---- a connection that is lost while libwebsockets looks whether it stands ------------------------------------ */

static bool connect_is_lost; /* the next who asks hears so */

/* Before the C library's: a reset that comes between the loop's report and libwebsockets' question is a rare one. */
int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    if (connect_is_lost && level == SOL_SOCKET && name == SO_ERROR) {
        connect_is_lost = false;
        memcpy(value, &(int){ECONNRESET}, sizeof(int));
        *size = sizeof(int);
        return 0;
    }
    return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

static void count_watchers(uv_handle_t *handle, void *context)
{
    *(unsigned *)context += handle->type == UV_POLL;
}

/* libwebsockets forgot its watcher then, and the loop could never be closed (found by tests/cluster/torture). */
static void a_connect_that_is_reset_leaves_nothing(void **state)
{
    struct harness_side client = {0};
    struct harness_peer *peer;
    unsigned watchers = 0;
    char uri[64];
    int fd;

    (void)state;
    harness_start(&client, gavel_plugin_websocket());
    fd = raw_listen("ws", uri);
    connect_is_lost = true;
    peer = harness_dial(&client, uri);
    harness_until(&peer->closed, 1, "the loss");
    assert_false(connect_is_lost);
    assert_int_equal(peer->reason, GAVEL_CLOSE_LOST);
    (void)close(fd);
    harness_stop(&client);
    uv_walk(&harness_loop, count_watchers, &watchers);
    assert_int_equal(watchers, 0);
}

static void is_quiet(void *context)
{
    *(bool *)context = true;
}

/* libwebsockets closes the number of its event pipe twice, with a turn of the loop in between: others open it then. */
static void the_end_takes_no_descriptor_along(void **state)
{
    struct harness_side side = {0};
    bool quiet = false;
    int held[64];
    unsigned count = 0, i;

    (void)state;
    harness_start(&side, gavel_plugin_websocket());
    (void)harness_listen(&side, "ws://127.0.0.1:0");
    side.plugin->quiesce(side.self, is_quiet, &quiet);
    while (!quiet && count < sizeof held / sizeof held[0]) {
        held[count] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(held[count++] >= 0);
        (void)uv_run(&harness_loop, UV_RUN_ONCE);
    }
    assert_true(quiet);
    assert_true(count > 1);
    for (i = 0; i < count; i++)
        if (close(held[i]) != 0)
            fail_msg("descriptor %d, number %u, was closed by somebody else", held[i], i);
    side.plugin->destroy(side.self);
    harness_alive--;
}

int main(void)
{
    static const struct CMUnitTest own[] = {
        WIRE_CASE(fragments_and_controls_between),
        WIRE_CASE(broken_frames_are_named),
        WIRE_CASE(close_frames_tell_why),
        WIRE_CASE(upgrade_without_our_subprotocol),
        WIRE_CASE(an_http_server_is_no_peer),
        WIRE_CASE(http_requests),
        WIRE_CASE(http_keeps_the_connection),
        WIRE_CASE(http_bodies_are_not_pipelined),
        WIRE_CASE(other_upgrades_harm_nobody),
        WIRE_CASE(a_connect_that_is_reset_leaves_nothing),
        WIRE_CASE(the_end_takes_no_descriptor_along),
    };
    int failed = wire_run(&websocket_wire);

    failed += cmocka_run_group_tests_name("websocket only", own, NULL, NULL);
    return failed != 0;
}
