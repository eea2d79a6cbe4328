/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_tcp_test.c - the tcp transport: what the conformance kit cannot ask, since it needs the wire's raw form
 * (the preamble, controls) or looks at the files of unix sockets. Everything else is in core/check.
 */
#include "transport_wire.h"

#include "transports/framing.h"
#include "transports/transports.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void greet(int fd, const char *uri)
{
    unsigned char answer[FRAMING_PREAMBLE];

    (void)uri;
    assert_true(raw_send(fd, framing_preamble, FRAMING_PREAMBLE));
    assert_int_equal(raw_read(fd, answer, sizeof answer), sizeof answer);
    assert_memory_equal(answer, framing_preamble, FRAMING_PREAMBLE);
}

static size_t wrap(unsigned char *to, const void *run, size_t size)
{
    memcpy(to, run, size);
    return size;
}

static const struct wire_form tcp_wire = {
    .name = "tcp", .scheme = "tcp", .plugin = gavel_plugin_tcp, .raw_greet = greet, .raw_wrap = wrap};

static const struct wire_form unix_wire = {
    .name = "unix", .scheme = "unix", .plugin = gavel_plugin_tcp, .raw_greet = greet, .raw_wrap = wrap};

/* ---- tcp only ---------------------------------------------------------------------------------------------------- */

static void another_version_is_named(void **state)
{
    struct harness_side server = {0};
    struct harness_side client = {0};
    struct harness_peer *peer;
    unsigned char preamble[FRAMING_PREAMBLE];
    unsigned char answer[FRAMING_PREAMBLE];
    char uri[64];
    int accepted;
    int fd;

    (void)state;
    memcpy(preamble, framing_preamble, sizeof preamble);
    preamble[5] = 9;
    harness_start(&server, gavel_plugin_tcp());
    fd = raw_connect(harness_listen(&server, "tcp://127.0.0.1:0"));
    assert_true(raw_send(fd, preamble, sizeof preamble));
    assert_int_equal(raw_read(fd, answer, sizeof answer), sizeof answer); /* it says which version it speaks */
    assert_memory_equal(answer, framing_preamble, sizeof answer);
    assert_true(raw_wait_closed(fd));
    (void)close(fd);
    assert_int_equal(server.opened, 0);
    assert_int_equal(server.warnings, 1);
    harness_stop(&server);

    harness_start(&client, gavel_plugin_tcp());
    fd = raw_listen("tcp", uri);
    peer = harness_dial(&client, uri);
    harness_poll();
    accepted = accept(fd, NULL, NULL);
    assert_true(raw_send(accepted, preamble, sizeof preamble));
    harness_until(&peer->closed, 1, "the refusal");
    assert_int_equal(peer->reason, GAVEL_CLOSE_PROTOCOL);
    assert_non_null(strstr(peer->why, "version 9"));
    (void)close(accepted);
    (void)close(fd);
    harness_stop(&client);
}

static void strangers_do_not_fill_the_log(void **state)
{
    struct harness_side server = {0};
    const char *uri;
    int fd;
    int i;

    (void)state;
    harness_start(&server, gavel_plugin_tcp());
    uri = harness_listen(&server, "tcp://127.0.0.1:0");
    for (i = 0; i < 50; i++) {
        fd = raw_connect(uri);
        (void)raw_send(fd, "GET / HTTP/1.1\r\n\r\n", 18);
        assert_true(raw_wait_closed(fd));
        (void)close(fd);
    }
    assert_true(server.warnings >= 1);
    assert_true(server.warnings <= 10);
    harness_stop(&server);
}

static void controls(void **state)
{
    static const unsigned char ping[] = {0, 0, 0, 0x81};
    static const unsigned char unknown[] = {3, 0, 0, 0xff, 'a', 'b', 'c'};
    static const unsigned char bye[] = {7, 0, 0, 0x83, GAVEL_CLOSE_NORMAL, 'g', 'o', '\n', 'n', 'e', '!'};
    static const unsigned char broken[] = {1, 1, 0, 0x81};
    struct harness_side server = {0};
    struct harness_peer *accepted;
    unsigned char answer[4];
    const char *uri;
    int fd;

    (void)state;
    harness_start(&server, gavel_plugin_tcp());
    uri = harness_listen(&server, "tcp://127.0.0.1:0");
    fd = raw_connect(uri);
    greet(fd, uri);
    accepted = harness_newest(&server);
    assert_true(raw_send(fd, unknown, sizeof unknown));
    assert_true(raw_send(fd, ping, sizeof ping));
    assert_int_equal(raw_read(fd, answer, 4), 4);
    assert_int_equal(framing_get32(answer), 0x82000000u);
    assert_int_equal(server.messages, 0);
    assert_true(raw_send(fd, bye, sizeof bye));
    harness_until(&accepted->closed, 1, "bye");
    assert_int_equal(accepted->reason, GAVEL_CLOSE_NORMAL);
    assert_non_null(strstr(accepted->why, "go?ne!"));
    (void)close(fd);
    fd = raw_connect(uri);
    greet(fd, uri);
    accepted = harness_newest(&server);
    assert_true(raw_send(fd, broken, sizeof broken));
    harness_until(&accepted->closed, 1, "a control over its length");
    assert_int_equal(accepted->reason, GAVEL_CLOSE_PROTOCOL);
    (void)close(fd);
    harness_stop(&server);
}

static void pings_of_a_deaf_peer_cost_nothing(void **state)
{
    struct harness_side server = {0};
    struct harness_peer *accepted;
    unsigned char pings[4000];
    const char *uri;
    int small = 4096;
    size_t i;
    int fd;

    (void)state;
    for (i = 0; i < sizeof pings; i += 4)
        memcpy(pings + i, "\0\0\0\x81", 4);
    harness_start(&server, gavel_plugin_tcp());
    uri = harness_listen(&server, "tcp://127.0.0.1:0");
    fd = raw_connect(uri);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    greet(fd, uri);
    accepted = harness_newest(&server);
    for (i = 0; i < 4000; i++)
        assert_true(raw_send(fd, pings, sizeof pings));
    assert_true(server.wire->queued(server.self, accepted->connection) <= 65536 + 4);
    assert_int_equal(accepted->closed, 0);
    raw_reset(fd);
    harness_until(&accepted->closed, 1, "the end");
    harness_stop(&server);
}

/* ---- unix only --------------------------------------------------------------------------------------------------- */

static char place[64];

static void socket_file_is_private_and_removed(void **state)
{
    struct harness_side server = {0};
    struct harness_peer *peer;
    struct stat file;
    char uri[128];

    (void)state;
    (void)snprintf(uri, sizeof uri, "unix://%s/a.sock", place);
    harness_start(&server, gavel_plugin_tcp());
    (void)harness_listen(&server, uri);
    assert_int_equal(stat(uri + 7, &file), 0);
    assert_true(S_ISSOCK(file.st_mode));
    assert_int_equal(file.st_mode & 0777, 0600);
    peer = harness_open(&server, uri);
    harness_until(&server.opened, 2, "both ends");
    assert_string_equal(peer->address, uri);
    assert_non_null(strstr(server.peers->address, "process "));
    assert_int_equal(peer->closed, 0);
    server.wire->unlisten(server.self);
    assert_int_equal(stat(uri + 7, &file), -1);
    harness_stop(&server);
}

static void leftover_socket_is_replaced(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct harness_side server = {0};
    struct gavel_error error = {0, ""};
    struct gavel_slice bound;
    FILE *file;
    char uri[128];
    int fd;

    (void)state;
    (void)snprintf(uri, sizeof uri, "unix://%s/b.sock", place);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/b.sock", place);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd); /* as a killed process leaves it */
    harness_start(&server, gavel_plugin_tcp());
    (void)harness_listen(&server, uri);
    (void)harness_open(&server, uri);
    /* Another one's file at our path is left alone when we go. */
    assert_int_equal(unlink(address.sun_path), 0);
    file = fopen(address.sun_path, "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(server.wire->listen(server.self, gavel_text(uri), &bound, &error), GAVEL_E_IO);
    assert_non_null(strstr(error.text, "no socket"));
    harness_stop(&server);
    assert_int_equal(unlink(address.sun_path), 0);
}

static void long_path_is_an_error(void **state)
{
    struct harness_side server = {0};
    struct gavel_error error = {0, ""};
    struct gavel_slice bound;
    void *connection;
    char uri[200];

    (void)state;
    (void)snprintf(uri, sizeof uri, "unix://%s/%0100d", place, 1);
    harness_start(&server, gavel_plugin_tcp());
    assert_int_equal(server.wire->listen(server.self, gavel_text(uri), &bound, &error), GAVEL_E_INVALID);
    assert_non_null(strstr(error.text, "107"));
    assert_int_equal(server.wire->connect(server.self, gavel_text(uri), NULL, &connection, &error), GAVEL_E_INVALID);
    assert_int_equal(server.wire->listen(server.self, gavel_text("unix:///no/such/directory/x"), &bound, &error),
                     GAVEL_E_IO);
    harness_stop(&server);
}

int main(void)
{
    static const struct CMUnitTest own[] = {
        WIRE_CASE(another_version_is_named),
        WIRE_CASE(strangers_do_not_fill_the_log),
        WIRE_CASE(controls),
        WIRE_CASE(pings_of_a_deaf_peer_cost_nothing),
        WIRE_CASE(socket_file_is_private_and_removed),
        WIRE_CASE(leftover_socket_is_replaced),
        WIRE_CASE(long_path_is_an_error),
    };
    int failed = 0;

    (void)snprintf(place, sizeof place, "/tmp/gavel-tcp-XXXXXX");
    if (!mkdtemp(place))
        return 1;
    failed += cmocka_run_group_tests_name("tcp only", own, NULL, NULL);
    failed += wire_run(&tcp_wire);
    failed += wire_run(&unix_wire);
    if (rmdir(place) != 0)
        failed++;
    return failed != 0;
}
