/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_wire.c - see transport_wire.h. Two instances share a loop; where the other side must misbehave, it is a raw
 * socket. Every test ends with an empty loop: a handle left behind fails it.
 */
#include "transport_wire.h"

#include "transports/framing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

static const struct wire_form *wire;
static char directory[64]; /* for socket files */
static bool spoiled;

int wire_setup(void **state)
{
    (void)state;
    return spoiled ? -1 : uv_loop_init(&harness_loop);
}

int wire_teardown(void **state)
{
    int turns;

    (void)state;
    /* A few turns for what a test closed last, and a lookup that nobody waits for; then nothing may be left. */
    for (turns = 0; harness_alive == 0 && turns < 200 && uv_loop_alive(&harness_loop); turns++)
        harness_turn(turns < 10 ? 0 : 50);
    if (harness_alive == 0 && uv_loop_close(&harness_loop) == 0)
        return 0;
    /* The next test would inherit what this one left: no result of it would mean anything. */
    (void)fprintf(stderr, "the test above left %u instances and what is on the loop; the rest cannot run\n",
                  harness_alive);
    uv_print_all_handles(&harness_loop, stderr);
    spoiled = true;
    return -1;
}

/* A server and a client with a listener between them. Zeroed, or with limits and habits set, before pair_start. */
struct pair {
    struct harness_side server;
    struct harness_side client;
    const char *uri;
};

static void pair_start(struct pair *pair)
{
    static unsigned number;
    char uri[200];

    harness_start(&pair->server, wire->plugin());
    harness_start(&pair->client, wire->plugin());
    if (strcmp(wire->scheme, "unix") == 0)
        (void)snprintf(uri, sizeof uri, "unix://%s/%u", directory, number++);
    else
        (void)snprintf(uri, sizeof uri, "%s://127.0.0.1:0", wire->scheme);
    pair->uri = harness_listen(&pair->server, uri);
}

static void pair_stop(struct pair *pair)
{
    harness_stop(&pair->client);
    harness_stop(&pair->server);
}

/* One connection between both: the client's end; the server's end in *accepted. */
static struct harness_peer *pair_open(struct pair *pair, struct harness_peer **accepted)
{
    uint64_t opened = pair->server.opened;
    struct harness_peer *peer = harness_open(&pair->client, pair->uri);

    harness_until(&pair->server.opened, opened + 1, "the server accepts");
    *accepted = harness_newest(&pair->server);
    return peer;
}

/* ---- the raw form ------------------------------------------------------------------------------------------------ */

static void announced_length_takes_no_memory(void **state)
{
    struct pair pair = {.server = {.limits = {.message_bytes = 0x7fffffff}}};
    unsigned char run[5] = {0xff, 0xff, 0xff, 0x7f, 'x'};
    unsigned char data[64];
    uint64_t before;
    uint64_t after;
    size_t length;
    int fds[8];
    size_t i;

    (void)state;
    pair_start(&pair);
    length = wire->raw_wrap(data, run, sizeof run);
    assert_int_equal(uv_resident_set_memory(&before), 0);
    for (i = 0; i < 8; i++) {
        fds[i] = raw_connect(pair.uri);
        wire->raw_greet(fds[i], pair.uri);
        assert_true(raw_send(fds[i], data, length));
        harness_until(&pair.server.opened, i + 1, "accepted");
    }
    harness_turn(20);
    assert_int_equal(uv_resident_set_memory(&after), 0);
    assert_true(after < before + (64u << 20));
    for (i = 0; i < 8; i++)
        (void)close(fds[i]);
    harness_until(&pair.server.closed, 8, "all gone");
    pair_stop(&pair);
}

/* The kit asks for fewer quiets than messages; ours need one or two. */
static void small_messages_are_one_write(void **state)
{
    struct pair pair = {0};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    uint32_t i;

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    for (i = 0; i < 1000; i++)
        assert_int_equal(harness_send(peer, &i, sizeof i), GAVEL_OK);
    harness_until(&accepted->messages, 1000, "all messages");
    harness_poll();
    /* 8 KB: one write, which one or two reads take. */
    assert_true(pair.server.quiets >= 1);
    assert_true(pair.server.quiets <= 4);
    pair_stop(&pair);
}

/* ---- our own words ----------------------------------------------------------------------------------------------- */

static void words_name_what_happened(void **state)
{
    struct pair pair = {.server = {.limits = {.message_bytes = 1000}}};
    struct gavel_error error = {0, ""};
    struct gavel_slice bound = {NULL, 0};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    char data[1001] = {0};

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    assert_int_equal(harness_send(peer, data, 1001), GAVEL_OK);
    harness_until(&accepted->closed, 1, "one byte over");
    assert_non_null(strstr(accepted->why, "1001"));
    harness_until(&peer->closed, 1, "the sender hears of it");
    assert_int_equal(peer->reason, GAVEL_CLOSE_PROTOCOL);
    assert_non_null(strstr(peer->why, "1001"));
    peer = pair_open(&pair, &accepted);
    harness_close(peer, GAVEL_CLOSE_NORMAL, "done with it");
    harness_until(&accepted->closed, 1, "the other side closes");
    assert_non_null(strstr(accepted->why, "done with it"));
    assert_true(strlen(accepted->address) > 3);
    assert_int_equal(pair.client.wire->listen(pair.client.self, gavel_text(pair.uri), &bound, &error), GAVEL_E_IO);
    assert_non_null(strstr(error.text, pair.uri));
    assert_true(strstr(error.text, "in use") || strstr(error.text, "another process"));
    assert_null(bound.data);
    pair_stop(&pair);
}

/* Whoever prints the address himself, as libgavel does, takes it off in front: it has to stand there with ": ". */
static void sentences_begin_with_the_address(void **state)
{
    static const char stranger[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct harness_side client = {.limits = {.dial_ms = 10000}};
    struct harness_peer *peer;
    char uri[64];
    int accepted, fd, i;

    (void)state;
    if (strcmp(wire->scheme, "unix") == 0)
        return;
    harness_start(&client, wire->plugin());
    fd = raw_listen(wire->scheme, uri);
    for (i = 0; i < 2; i++) { /* one that says something else, and one that hangs up */
        peer = harness_dial(&client, uri);
        harness_poll();
        accepted = accept(fd, NULL, NULL);
        assert_true(accepted >= 0);
        if (i == 0)
            assert_true(raw_send(accepted, stranger, sizeof stranger - 1));
        else
            (void)close(accepted);
        harness_until(&peer->closed, 1, "the end");
        if (i == 0) {
            assert_int_equal(peer->reason, GAVEL_CLOSE_PROTOCOL);
            assert_non_null(strstr(peer->why, "does not speak gavel's protocol o"));
            (void)close(accepted);
        }
        assert_memory_equal(peer->why, uri, strlen(uri));
        assert_memory_equal(peer->why + strlen(uri), ": ", 2);
        assert_int_not_equal(peer->why[strlen(uri) + 2], 0);
    }
    (void)close(fd);
    harness_stop(&client);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static void names_are_resolved(void **state)
{
    struct harness_side client = {.limits = {.dial_ms = 10000}};
    struct pair pair = {0};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    struct addrinfo *found;
    char uri[200];

    (void)state;
    if (strcmp(wire->scheme, "unix") == 0)
        return;
    harness_start(&client, wire->plugin());
    (void)snprintf(uri, sizeof uri, "%s://no-such-host.invalid:80", wire->scheme);
    peer = harness_dial(&client, uri);
    harness_until(&peer->closed, 1, "no address");
    assert_true(peer->reason == GAVEL_CLOSE_UNRESOLVED || peer->reason == GAVEL_CLOSE_TIMEOUT);
    peer = harness_dial(&client, uri);
    harness_close(peer, GAVEL_CLOSE_NORMAL, "no patience");
    harness_until(&peer->closed, 1, "closed during the lookup");
    harness_stop(&client);
    if (getaddrinfo("localhost", NULL, NULL, &found) != 0) {
        print_message("this machine has no localhost: the rest is left out\n"); /* no /etc/hosts, as in a bare root */
        return;
    }
    freeaddrinfo(found);
    pair_start(&pair);
    (void)snprintf(uri, sizeof uri, "%s://localhost:0", wire->scheme);
    pair.uri = harness_listen(&pair.server, uri);
    assert_non_null(strstr(pair.uri, "://localhost:"));
    peer = pair_open(&pair, &accepted);
    assert_int_equal(harness_send(peer, "x", 1), GAVEL_OK);
    harness_until(&accepted->messages, 1, "a message");
    pair_stop(&pair);
}

static void bad_addresses_are_sentences(void **state)
{
    static const char *const bad[] = {"%s://host", "%s://host:", "%s://host:8x", "%s://::1:80", "%s://[::1:80",
                                      "%s://[::g]:80", "%s://ho st:80", "%s://:80", "%s://[::1]80"};
    struct harness_side client = {0};
    struct gavel_error error;
    struct gavel_slice bound;
    char uri[200];
    void *connection;
    size_t i;

    (void)state;
    harness_start(&client, wire->plugin());
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(uri, sizeof uri, "%s%s", wire->scheme, bad[i] + 2);
        error.text[0] = 0;
        assert_int_equal(client.wire->connect(client.self, gavel_text(uri), &client, &connection, &error),
                         GAVEL_E_INVALID);
        assert_true(strlen(error.text) > 10);
        error.text[0] = 0;
        assert_int_equal(client.wire->listen(client.self, gavel_text(uri), &bound, &error), GAVEL_E_INVALID);
        assert_true(strlen(error.text) > 10);
    }
    harness_stop(&client);
}

int wire_run(const struct wire_form *form)
{
    static const struct CMUnitTest tests[] = {
        WIRE_CASE(announced_length_takes_no_memory), WIRE_CASE(small_messages_are_one_write),
        WIRE_CASE(words_name_what_happened),         WIRE_CASE(names_are_resolved),
        WIRE_CASE(bad_addresses_are_sentences),       WIRE_CASE(sentences_begin_with_the_address),
    };
    int failed;

    wire = form;
    (void)snprintf(directory, sizeof directory, "/tmp/gavel-transport-XXXXXX");
    if (!mkdtemp(directory))
        return 1;
    failed = cmocka_run_group_tests_name(form->name, tests, NULL, NULL);
    if (rmdir(directory) != 0)
        failed++; /* a socket file was left behind */
    return failed;
}
