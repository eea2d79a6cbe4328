/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_conformance.c - what gavel/transport.h promises, tried on one wire: messages, hostile peers, back-pressure.
 * Two instances share a loop; where the other side must misbehave, it is a raw socket. Every test ends with an empty
 * loop: a handle left behind fails it.
 */
#include "transport_pair.h"

#include "transports/framing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void borders_and_order_are_kept(void **state)
{
    static const size_t sizes[] = {0,     1,     3,     4,     5,      125,     126,            127, 4096,
                                   65531, 65532, 65535, 65536, 65537,  200000,  1 << 20,
                                   (3 << 20) + 7, 0, 2};
    struct pair pair = {.server = {.echo = true}};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    unsigned char *data = pair_pattern(4 << 20);
    uint64_t digest = 0;
    size_t i;

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(harness_send(peer, data, sizes[i]), GAVEL_OK);
        digest = harness_digest(digest, data, sizes[i]);
    }
    harness_until(&peer->messages, i, "the echo of every size");
    assert_int_equal(accepted->messages, i);
    assert_true(accepted->digest == digest);
    assert_true(peer->digest == digest);
    assert_int_equal(pair.server.warnings, 0);
    free(data);
    pair_stop(&pair);
}

static void parts_are_gathered(void **state)
{
    struct pair pair = {0};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    struct gavel_slice parts[4] = {gavel_text("one"), gavel_text(""), gavel_text("two"), gavel_text("three")};

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    assert_int_equal(pair.client.wire->send(pair.client.self, peer->connection, parts, 4), GAVEL_OK);
    assert_int_equal(pair.client.wire->send(pair.client.self, peer->connection, NULL, 0), GAVEL_OK);
    harness_until(&accepted->messages, 2, "both messages");
    assert_int_equal(accepted->bytes, 11);
    assert_true(accepted->digest == harness_digest(harness_digest(0, "onetwothree", 11), "", 0));
    pair_stop(&pair);
}

static void small_messages_travel_together(void **state)
{
    struct pair pair = {0};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    uint64_t digest = 0;
    uint32_t i;

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    for (i = 0; i < 1000; i++) {
        assert_int_equal(harness_send(peer, &i, sizeof i), GAVEL_OK);
        digest = harness_digest(digest, &i, sizeof i);
    }
    harness_until(&accepted->messages, 1000, "all messages");
    harness_poll();
    assert_true(accepted->digest == digest);
    /* 8 KB: one write, which one or two reads take. */
    assert_true(pair.server.quiets >= 1);
    assert_true(pair.server.quiets <= 4);
    pair_stop(&pair);
}

static void many_messages_under_echo(void **state)
{
    struct pair pair = {.server = {.echo = true}};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    char data[300];
    uint64_t sent;

    (void)state;
    memset(data, 'm', sizeof data);
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    for (sent = 0; sent < 20000; sent++) {
        assert_int_equal(harness_send(peer, data, sent % sizeof data), GAVEL_OK);
        if (sent % 500 == 499)
            harness_until(&peer->messages, sent - 400, "the echo keeps pace");
    }
    harness_until(&peer->messages, sent, "the whole echo");
    assert_true(peer->digest == accepted->digest);
    pair_stop(&pair);
}

static void too_long_closes_only_that_connection(void **state)
{
    struct pair pair = {.server = {.limits = {.message_bytes = 1000}}};
    struct harness_peer *accepted[2];
    struct harness_peer *peer[2];
    unsigned char *data = pair_pattern(300000);

    (void)state;
    pair_start(&pair);
    peer[0] = pair_open(&pair, &accepted[0]);
    peer[1] = pair_open(&pair, &accepted[1]);
    assert_int_equal(harness_send(peer[0], data, 1000), GAVEL_OK);
    harness_until(&accepted[0]->messages, 1, "a message at the limit");
    assert_int_equal(harness_send(peer[0], data, 1001), GAVEL_OK);
    harness_until(&accepted[0]->closed, 1, "one byte over");
    assert_int_equal(accepted[0]->reason, GAVEL_CLOSE_PROTOCOL);
    assert_non_null(strstr(accepted[0]->why, "1001"));
    assert_int_equal(accepted[0]->messages, 1);
    harness_until(&peer[0]->closed, 1, "the sender hears of it");
    assert_int_equal(peer[0]->reason, GAVEL_CLOSE_PROTOCOL);
    assert_non_null(strstr(peer[0]->why, "1001"));
    /* The other one goes on; its own end comes when the sender is far ahead. */
    assert_int_equal(harness_send(peer[1], data, 10), GAVEL_OK);
    harness_until(&accepted[1]->messages, 1, "the other connection");
    assert_int_equal(harness_send(peer[1], data, 300000), GAVEL_OK);
    harness_until(&accepted[1]->closed, 1, "far over the limit");
    harness_until(&peer[1]->closed, 1, "the sender hears of it");
    free(data);
    pair_stop(&pair);
}

static void own_limit_is_an_error_of_send(void **state)
{
    struct pair pair = {.client = {.limits = {.message_bytes = 1000}}};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    char data[1001] = {0};

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    assert_int_equal(harness_send(peer, data, 1001), GAVEL_E_TOO_LARGE);
    assert_int_equal(harness_send(peer, data, 1000), GAVEL_OK);
    harness_until(&accepted->messages, 1, "the one that fits");
    assert_int_equal(accepted->bytes, 1000);
    pair_stop(&pair);
}

/* ---- raw peers --------------------------------------------------------------------------------------------------- */

static void byte_by_byte(void **state)
{
    struct pair pair = {0};
    struct harness_peer *accepted;
    unsigned char *data;
    char hello[1024];
    size_t length;
    size_t i;
    int fd;

    (void)state;
    pair_start(&pair);
    fd = raw_connect(pair.uri);
    length = pair_wire->raw_hello(hello, pair.uri);
    for (i = 0; i < length; i++)
        assert_true(raw_send(fd, hello + i, 1));
    harness_until(&pair.server.opened, 1, "accepted after a slow hello");
    accepted = harness_newest(&pair.server);
    data = pair_wrapped("slowly", 6, &length);
    for (i = 0; i < length; i++) {
        assert_int_equal(accepted->messages, 0);
        assert_true(raw_send(fd, data + i, 1));
    }
    harness_until(&accepted->messages, 1, "the message");
    assert_true(accepted->digest == harness_digest(0, "slowly", 6));
    free(data);
    (void)close(fd);
    harness_until(&accepted->closed, 1, "the end of the stream");
    assert_int_equal(accepted->reason, GAVEL_CLOSE_LOST);
    pair_stop(&pair);
}

static void garbage_is_refused(void **state)
{
    static const char *const garbage[] = {"SSH-2.0-OpenSSH_9.2p1\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                                          "\r\n\r\n\r\n\r\n\r\n", "gavelgavelgavel!",
                                          "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
    struct pair pair = {.server = {.limits = {.dial_ms = 300}}};
    struct harness_peer *accepted;
    size_t i;
    int fd;

    (void)state;
    pair_start(&pair);
    for (i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        fd = raw_connect(pair.uri);
        (void)raw_send(fd, garbage[i], strlen(garbage[i]));
        assert_true(raw_wait_closed(fd));
        (void)close(fd);
    }
    assert_int_equal(pair.server.opened, 0);
    (void)pair_open(&pair, &accepted);
    pair_stop(&pair);
}

static void silent_stranger_is_dropped(void **state)
{
    struct pair pair = {.server = {.limits = {.dial_ms = 50}}};
    int fd;

    (void)state;
    pair_start(&pair);
    fd = raw_connect(pair.uri);
    assert_true(raw_wait_closed(fd));
    (void)close(fd);
    assert_int_equal(pair.server.opened, 0);
    pair_stop(&pair);
}

static void reset_in_mid_message(void **state)
{
    struct pair pair = {0};
    struct harness_peer *accepted;
    unsigned char *message = pair_pattern(100000);
    unsigned char *data;
    size_t length;
    int fd;

    (void)state;
    pair_start(&pair);
    fd = raw_connect(pair.uri);
    pair_wire->raw_greet(fd, pair.uri);
    harness_until(&pair.server.opened, 1, "accepted");
    accepted = harness_newest(&pair.server);
    data = pair_wrapped(message, 100000, &length);
    assert_true(raw_send(fd, data, length / 2));
    raw_reset(fd);
    harness_until(&accepted->closed, 1, "the reset");
    assert_int_equal(accepted->reason, GAVEL_CLOSE_LOST);
    assert_int_equal(accepted->messages, 0);
    free(data);
    free(message);
    pair_stop(&pair);
}

static void announced_length_takes_no_memory(void **state)
{
    struct pair pair = {.server = {.limits = {.message_bytes = 0x7fffffff}}};
    unsigned char *data;
    unsigned char run[5] = {0xff, 0xff, 0xff, 0x7f, 'x'};
    uint64_t before;
    uint64_t after;
    size_t length;
    int fds[8];
    size_t i;

    (void)state;
    pair_start(&pair);
    data = malloc(64);
    assert_non_null(data);
    length = pair_wire->raw_wrap(data, run, sizeof run);
    assert_int_equal(uv_resident_set_memory(&before), 0);
    for (i = 0; i < 8; i++) {
        fds[i] = raw_connect(pair.uri);
        pair_wire->raw_greet(fds[i], pair.uri);
        assert_true(raw_send(fds[i], data, length));
        harness_until(&pair.server.opened, i + 1, "accepted");
    }
    harness_turn(20);
    assert_int_equal(uv_resident_set_memory(&after), 0);
    assert_true(after < before + (64u << 20));
    for (i = 0; i < 8; i++)
        (void)close(fds[i]);
    harness_until(&pair.server.closed, strcmp(pair_wire->scheme, "ws") == 0 ? 8 : 8, "all gone");
    free(data);
    pair_stop(&pair);
}

/* ---- back-pressure ----------------------------------------------------------------------------------------------- */

static void slow_reader_fills_a_bounded_queue(void **state)
{
    struct pair pair = {.server = {.limits = {.send_high = 1 << 20}}, .client = {.pause_on_message = true}};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    unsigned char *data = pair_pattern(10000);
    uint64_t sent = 1;
    int32_t status = GAVEL_OK;

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    assert_int_equal(harness_send(accepted, "first", 5), GAVEL_OK);
    harness_until(&peer->messages, 1, "the first message, which pauses the reader");
    while (status == GAVEL_OK && sent < 100000) {
        status = harness_send(accepted, data, 10000);
        sent += status == GAVEL_OK;
        assert_true(pair.server.wire->queued(pair.server.self, accepted->connection) < (1 << 20) + 2 * 10000);
        if (sent % 64 == 0)
            harness_poll();
    }
    assert_int_equal(status, GAVEL_E_BUSY);
    assert_int_equal(accepted->drained, 0);
    assert_int_equal(harness_send(accepted, data, 1), GAVEL_E_BUSY);
    peer->pause_on_message = false;
    pair.client.wire->pause(pair.client.self, peer->connection, 0);
    harness_until(&accepted->drained, 1, "drained");
    assert_true(pair.server.wire->queued(pair.server.self, accepted->connection) < (1 << 20) / 4);
    assert_int_equal(harness_send(accepted, "last", 4), GAVEL_OK);
    harness_until(&peer->messages, sent + 1, "every message that was taken");
    assert_int_equal(peer->bytes, 5 + (sent - 1) * 10000 + 4);
    assert_int_equal(accepted->drained, 1);
    free(data);
    pair_stop(&pair);
}

static void pause_holds_and_resume_goes_on(void **state)
{
    struct pair pair = {0};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    uint64_t seen;
    uint32_t i;

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    pair.server.wire->pause(pair.server.self, accepted->connection, 1);
    harness_poll();
    for (i = 0; i < 100; i++)
        assert_int_equal(harness_send(peer, &i, sizeof i), GAVEL_OK);
    harness_turn(30);
    assert_int_equal(accepted->messages, 0);
    pair.server.wire->pause(pair.server.self, accepted->connection, 1); /* twice is as once */
    pair.server.wire->pause(pair.server.self, accepted->connection, 0);
    harness_until(&accepted->messages, 100, "all after the pause");
    accepted->pause_on_message = true;
    for (i = 0; i < 100; i++)
        assert_int_equal(harness_send(peer, &i, sizeof i), GAVEL_OK);
    harness_until(&accepted->messages, 101, "one more");
    seen = accepted->messages;
    accepted->pause_on_message = false;
    pair.server.wire->pause(pair.server.self, accepted->connection, 0);
    harness_until(&accepted->messages, 200, "the rest");
    assert_true(seen <= 200);
    pair_stop(&pair);
}

int conformance_run(const struct conformance_wire *wire)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(borders_and_order_are_kept),
        CONFORMANCE_CASE(parts_are_gathered),
        CONFORMANCE_CASE(small_messages_travel_together),
        CONFORMANCE_CASE(many_messages_under_echo),
        CONFORMANCE_CASE(too_long_closes_only_that_connection),
        CONFORMANCE_CASE(own_limit_is_an_error_of_send),
        CONFORMANCE_CASE(byte_by_byte),
        CONFORMANCE_CASE(garbage_is_refused),
        CONFORMANCE_CASE(silent_stranger_is_dropped),
        CONFORMANCE_CASE(reset_in_mid_message),
        CONFORMANCE_CASE(announced_length_takes_no_memory),
        CONFORMANCE_CASE(slow_reader_fills_a_bounded_queue),
        CONFORMANCE_CASE(pause_holds_and_resume_goes_on),
    };
    int failed;

    pair_wire = wire;
    (void)snprintf(pair_directory, sizeof pair_directory, "/tmp/gavel-transport-XXXXXX");
    if (!mkdtemp(pair_directory))
        return 1;
    failed = cmocka_run_group_tests_name(wire->name, tests, NULL, NULL);
    failed += conformance_life();
    if (rmdir(pair_directory) != 0)
        failed++; /* a socket file was left behind */
    return failed;
}
