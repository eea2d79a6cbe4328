/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_conformance_life.c - the suite's second half: dials that fail, ends of every kind, keepalive, listeners.
 */
#include "transport_pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

/* ---- dials that fail --------------------------------------------------------------------------------------------- */

static void refused_dial(void **state)
{
    struct pair pair = {0};
    struct harness_peer *peer;
    char uri[200];

    (void)state;
    pair_start(&pair);
    (void)snprintf(uri, sizeof uri, "%s", pair.uri);
    pair.server.wire->unlisten(pair.server.self);
    harness_poll();
    harness_poll();
    peer = harness_dial(&pair.client, uri);
    harness_until(&peer->closed, 1, "the refusal");
    assert_int_equal(peer->reason, GAVEL_CLOSE_REFUSED);
    assert_int_equal(pair.client.opened, 0);
    pair_stop(&pair);
}

static void silent_peer_times_out(void **state)
{
    struct harness_side client = {.limits = {.dial_ms = 60}};
    struct harness_peer *peer;
    char uri[64];
    int fd;

    (void)state;
    if (strcmp(pair_wire->scheme, "unix") == 0)
        return; /* the raw listener speaks tcp, and the handshake is the same code */
    harness_start(&client, pair_wire->plugin());
    fd = raw_listen(pair_wire->scheme, uri);
    peer = harness_dial(&client, uri);
    harness_until(&peer->closed, 1, "the time-out");
    assert_int_equal(peer->reason, GAVEL_CLOSE_TIMEOUT);
    (void)close(fd);
    harness_stop(&client);
}

static void closed_before_the_handshake(void **state)
{
    struct harness_side client = {0};
    struct harness_peer *peer;
    char uri[64];
    int accepted;
    int fd;

    (void)state;
    if (strcmp(pair_wire->scheme, "unix") == 0)
        return;
    harness_start(&client, pair_wire->plugin());
    fd = raw_listen(pair_wire->scheme, uri);
    peer = harness_dial(&client, uri);
    harness_poll();
    accepted = accept(fd, NULL, NULL);
    assert_true(accepted >= 0);
    raw_reset(accepted);
    harness_until(&peer->closed, 1, "the end");
    assert_int_equal(peer->reason, GAVEL_CLOSE_LOST);
    assert_int_equal(client.opened, 0);
    (void)close(fd);
    harness_stop(&client);
}

static void bad_addresses_are_sentences(void **state)
{
    static const char *const bad[] = {"", "nonsense", "http://a:1", "%s://", "%s://host", "%s://host:",
                                      "%s://host:99999",
                                      "%s://host:8x", "%s://::1:80", "%s://[::1:80", "%s://[::g]:80", "%s://ho st:80",
                                      "%s://:80", "%s://[::1]80"};
    struct harness_side client = {0};
    struct gavel_error error;
    struct gavel_slice bound;
    char uri[200];
    void *connection;
    size_t i;

    (void)state;
    harness_start(&client, pair_wire->plugin());
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *scheme = strncmp(bad[i], "%s", 2) == 0 ? pair_wire->scheme : "";
        (void)snprintf(uri, sizeof uri, "%s%s", scheme, bad[i] + (scheme[0] ? 2 : 0));
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

static void names_are_resolved(void **state)
{
    struct harness_side client = {.limits = {.dial_ms = 10000}};
    struct pair pair = {0};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    struct addrinfo *found;
    char uri[200];

    (void)state;
    if (strcmp(pair_wire->scheme, "unix") == 0)
        return;
    harness_start(&client, pair_wire->plugin());
    peer = NULL;
    (void)snprintf(uri, sizeof uri, "%s://no-such-host.invalid:80", pair_wire->scheme);
    peer = harness_dial(&client, uri);
    harness_until(&peer->closed, 1, "no address");
    assert_true(peer->reason == GAVEL_CLOSE_UNRESOLVED || peer->reason == GAVEL_CLOSE_TIMEOUT);
    harness_stop(&client);
    if (getaddrinfo("localhost", NULL, NULL, &found) != 0) {
        print_message("this machine has no localhost: the rest is left out\n"); /* no /etc/hosts, as in a bare root */
        return;
    }
    freeaddrinfo(found);
    pair_start(&pair);
    (void)snprintf(uri, sizeof uri, "%s://localhost:0", pair_wire->scheme);
    pair.uri = harness_listen(&pair.server, uri);
    assert_non_null(strstr(pair.uri, "://localhost:"));
    peer = pair_open(&pair, &accepted);
    assert_int_equal(harness_send(peer, "x", 1), GAVEL_OK);
    harness_until(&accepted->messages, 1, "a message");
    pair_stop(&pair);
}

static void dial_from_within_a_message(void **state)
{
    struct pair pair = {0};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    uint64_t digest = 0;
    uint32_t i;

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    pair.server.dial_on_message = pair.uri;
    for (i = 0; i < 5000; i++) {
        assert_int_equal(harness_send(peer, &i, sizeof i), GAVEL_OK);
        digest = harness_digest(digest, &i, sizeof i);
    }
    harness_until(&accepted->messages, 5000, "all that came with it");
    assert_true(accepted->digest == digest);
    harness_until(&pair.server.opened, 3, "the dial of the server to itself");
    pair_stop(&pair);
}

static void hanging_up_during_a_dial(void **state)
{
    struct pair pair = {0};
    struct harness_peer *peer;
    char uri[200];

    (void)state;
    pair_start(&pair);
    peer = harness_dial(&pair.client, pair.uri);
    harness_close(peer, GAVEL_CLOSE_NORMAL, "changed our mind");
    harness_until(&peer->closed, 1, "closed");
    assert_int_equal(pair.client.opened, 0);
    assert_string_equal(peer->why, "changed our mind");
    if (strcmp(pair_wire->scheme, "unix") != 0) {
        (void)snprintf(uri, sizeof uri, "%s://no-such-host.invalid:80", pair_wire->scheme);
        peer = harness_dial(&pair.client, uri);
        harness_close(peer, GAVEL_CLOSE_NORMAL, "no patience");
        harness_until(&peer->closed, 1, "closed during the lookup");
    }
    pair_stop(&pair);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void close_sends_what_is_queued(void **state)
{
    struct pair pair = {0};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    unsigned char *data = pair_pattern(500000);

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    assert_int_equal(harness_send(peer, data, 500000), GAVEL_OK);
    assert_int_equal(harness_send(peer, data, 1), GAVEL_OK);
    harness_close(peer, GAVEL_CLOSE_NORMAL, "done with it");
    harness_close(peer, GAVEL_CLOSE_NORMAL, "done twice");
    assert_int_equal(harness_send(peer, data, 1), GAVEL_E_CLOSED);
    harness_until(&accepted->closed, 1, "the other side closes");
    assert_int_equal(accepted->messages, 2);
    assert_int_equal(accepted->reason, GAVEL_CLOSE_NORMAL);
    assert_non_null(strstr(accepted->why, "done with it"));
    harness_until(&peer->closed, 1, "ours closes");
    assert_int_equal(peer->reason, GAVEL_CLOSE_NORMAL);
    assert_string_equal(peer->why, "done with it");
    free(data);
    pair_stop(&pair);
}

static void close_at_once_drops_the_queue(void **state)
{
    struct pair pair = {.server = {.limits = {.send_high = 64 << 20}}};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    unsigned char *data = pair_pattern(1 << 20);
    int i;

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    pair.client.wire->pause(pair.client.self, peer->connection, 1);
    for (i = 0; i < 16; i++)
        assert_int_equal(harness_send(accepted, data, 1 << 20), GAVEL_OK);
    harness_poll();
    harness_close(accepted, GAVEL_CLOSE_SLOW, "it does not read");
    harness_until(&accepted->closed, 1, "closed");
    assert_int_equal(accepted->reason, GAVEL_CLOSE_SLOW);
    pair.client.wire->pause(pair.client.self, peer->connection, 0);
    harness_until(&peer->closed, 1, "the slow one hears of it");
    assert_true(peer->messages < 16);
    free(data);
    pair_stop(&pair);
}

static void close_from_within_up_calls(void **state)
{
    struct pair pair = {.server = {.close_on_message = true}};
    struct harness_side hasty = {.close_on_open = true};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    int i;

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    for (i = 0; i < 10; i++)
        assert_int_equal(harness_send(peer, "many at once", 12), GAVEL_OK);
    harness_until(&accepted->closed, 1, "closed from within a message");
    assert_int_equal(accepted->messages, 1);
    harness_until(&peer->closed, 1, "the other side");
    harness_start(&hasty, pair_wire->plugin());
    peer = harness_dial(&hasty, pair.uri);
    harness_until(&peer->closed, 1, "closed from within connected");
    assert_int_equal(hasty.opened, 1);
    harness_stop(&hasty);
    pair.server.close_on_open = true;
    peer = harness_dial(&pair.client, pair.uri);
    harness_until(&peer->closed, 1, "closed from within accepted");
    pair_stop(&pair);
}

static void unwanted_is_dropped(void **state)
{
    struct pair pair = {.server = {.refuse = true}};
    struct harness_peer *peer;

    (void)state;
    pair_start(&pair);
    peer = harness_dial(&pair.client, pair.uri);
    harness_until(&peer->closed, 1, "dropped");
    assert_true(peer->reason == GAVEL_CLOSE_LOST || peer->reason == GAVEL_CLOSE_NORMAL);
    assert_int_equal(pair.server.closed, 0);
    pair_stop(&pair);
}

static void one_too_many_is_refused(void **state)
{
    struct pair pair = {.server = {.limits = {.connections = 3}}};
    struct harness_peer *accepted;
    struct harness_peer *peer[4];
    int i;

    (void)state;
    pair_start(&pair);
    for (i = 0; i < 3; i++)
        peer[i] = pair_open(&pair, &accepted);
    peer[3] = harness_dial(&pair.client, pair.uri);
    harness_until(&peer[3]->closed, 1, "the fourth is refused");
    assert_int_equal(pair.server.opened, 3);
    harness_close(peer[0], GAVEL_CLOSE_NORMAL, "room");
    harness_until(&pair.server.closed, 1, "one goes");
    harness_until(&peer[0]->closed, 1, "one is gone");
    peer[3] = pair_open(&pair, &accepted);
    assert_int_equal(pair.server.opened, 4);
    pair_stop(&pair);
}

static void keepalive_keeps_the_living(void **state)
{
    struct pair pair = {.server = {.limits = {.keepalive_ms = 300}}, .client = {.limits = {.keepalive_ms = 300}}};
    struct harness_peer *accepted;
    struct harness_peer *peer;

    (void)state; /* 300 ms: a busy machine may keep this process from running for tens of them */
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    harness_turn(1000);
    assert_int_equal(pair.server.closed, 0);
    assert_int_equal(pair.client.closed, 0);
    /* A paused reader is alive too. */
    pair.server.wire->pause(pair.server.self, accepted->connection, 1);
    harness_turn(1000);
    assert_int_equal(pair.client.closed, 0);
    assert_int_equal(pair.server.closed, 0);
    pair.server.wire->pause(pair.server.self, accepted->connection, 0);
    assert_int_equal(harness_send(peer, "x", 1), GAVEL_OK);
    harness_until(&accepted->messages, 1, "a message after it all");
    pair_stop(&pair);
}

static void keepalive_ends_the_dead(void **state)
{
    struct pair pair = {.server = {.limits = {.keepalive_ms = 40}}};
    struct harness_peer *accepted;
    uint64_t begin;
    int fd;

    (void)state;
    pair_start(&pair);
    fd = raw_connect(pair.uri);
    pair_wire->raw_greet(fd, pair.uri);
    harness_until(&pair.server.opened, 1, "accepted");
    begin = uv_hrtime();
    accepted = harness_newest(&pair.server);
    harness_until(&accepted->closed, 1, "lost");
    assert_int_equal(accepted->reason, GAVEL_CLOSE_LOST);
    assert_true(uv_hrtime() - begin >= 60 * 1000000ull);
    (void)close(fd);
    pair_stop(&pair);
}

static void standing_still_is_not_silence(void **state)
{
    struct pair pair = {.server = {.limits = {.keepalive_ms = 40}}, .client = {.limits = {.keepalive_ms = 40}}};
    struct harness_peer *accepted;
    uint64_t begin;

    (void)state;
    pair_start(&pair);
    (void)pair_open(&pair, &accepted);
    harness_turn(30);
    for (begin = uv_hrtime(); uv_hrtime() - begin < 200 * 1000000ull;) {
        /* The loop is held up on purpose, as by a long up-call. */
    }
    harness_turn(100);
    assert_int_equal(pair.server.closed, 0);
    assert_int_equal(pair.client.closed, 0);
    pair_stop(&pair);
}

/* ---- listeners --------------------------------------------------------------------------------------------------- */

static void port_in_use_is_a_sentence(void **state)
{
    struct pair pair = {0};
    struct gavel_error error = {0, ""};
    struct gavel_slice bound = {NULL, 0};
    struct harness_peer *accepted;

    (void)state;
    pair_start(&pair);
    assert_int_equal(pair.client.wire->listen(pair.client.self, gavel_text(pair.uri), &bound, &error), GAVEL_E_IO);
    assert_non_null(strstr(error.text, pair.uri));
    assert_true(strstr(error.text, "in use") || strstr(error.text, "another process"));
    assert_null(bound.data);
    (void)pair_open(&pair, &accepted);
    pair_stop(&pair);
}

static void several_listeners(void **state)
{
    struct pair pair = {0};
    struct harness_peer *accepted;
    const char *uris[4];
    char uri[200];
    int i;

    (void)state;
    pair_start(&pair);
    for (i = 0; i < 4; i++) {
        conformance_uri(pair_wire, uri);
        uris[i] = harness_listen(&pair.server, uri);
        assert_null(strstr(uris[i], ":0"));
    }
    for (i = 0; i < 4; i++) {
        pair.uri = uris[i];
        (void)pair_open(&pair, &accepted);
        assert_true(strlen(accepted->address) > 3);
    }
    pair_stop(&pair);
}

static void unlisten_keeps_connections(void **state)
{
    struct pair pair = {.server = {.echo = true}};
    struct harness_peer *accepted;
    struct harness_peer *peer;

    (void)state;
    pair_start(&pair);
    peer = pair_open(&pair, &accepted);
    pair.server.wire->unlisten(pair.server.self);
    pair.server.wire->unlisten(pair.server.self);
    harness_poll();
    assert_int_equal(harness_send(peer, "still", 5), GAVEL_OK);
    harness_until(&peer->messages, 1, "the echo");
    assert_int_equal(accepted->messages, 1);
    pair_stop(&pair);
}

static void quiesce_with_connections_open(void **state)
{
    struct pair pair = {0};
    struct harness_peer *accepted;
    struct harness_peer *peer[5];
    int i;

    (void)state;
    pair_start(&pair);
    for (i = 0; i < 5; i++)
        peer[i] = pair_open(&pair, &accepted);
    assert_int_equal(harness_send(accepted, "farewell", 8), GAVEL_OK);
    (void)harness_dial(&pair.client, pair.uri); /* one still under way */
    harness_stop(&pair.server);
    harness_until(&pair.client.closed, 6, "all hear of it");
    assert_int_equal(peer[4]->messages, 1);
    assert_int_equal(peer[0]->reason, GAVEL_CLOSE_NORMAL);
    harness_stop(&pair.client);
}

static void quiesce_of_an_idle_instance(void **state)
{
    struct harness_side side = {0};
    struct gavel_error error;
    struct gavel_slice bound;
    void *connection;
    char uri[200];

    (void)state;
    harness_start(&side, pair_wire->plugin());
    harness_stop(&side);
    memset(&side, 0, sizeof side);
    harness_start(&side, pair_wire->plugin());
    conformance_uri(pair_wire, uri);
    (void)harness_listen(&side, uri);
    harness_stop(&side);
    /* Before start and after quiesce nothing can be opened. */
    memset(&side, 0, sizeof side);
    side.host.loop = &harness_loop;
    assert_int_equal(pair_wire->plugin()->create(&side.host, NULL, &side.self, &error), GAVEL_OK);
    side.wire = pair_wire->plugin()->operations;
    assert_int_equal(side.wire->listen(side.self, gavel_text(uri), &bound, &error), GAVEL_E_STATE);
    assert_int_equal(side.wire->connect(side.self, gavel_text(uri), NULL, &connection, &error), GAVEL_E_STATE);
    pair_wire->plugin()->destroy(side.self);
}

static void thousands_of_connections_in_sequence(void **state)
{
    struct pair pair = {.server = {.echo = true}};
    struct harness_peer *accepted;
    struct harness_peer *peer;
    uint64_t fds = 0;
    uint64_t i;

    (void)state;
    pair_start(&pair);
    for (i = 1; i <= 2000; i++) {
        peer = pair_open(&pair, &accepted);
        if (i == 10)
            fds = harness_fds();
        assert_int_equal(harness_send(peer, "hello", 5), GAVEL_OK);
        harness_until(&peer->messages, 1, "the echo");
        harness_close(i % 2 ? peer : accepted, GAVEL_CLOSE_NORMAL, "next");
        harness_until(&pair.client.closed, i, "the client's end");
        harness_until(&pair.server.closed, i, "the server's end");
    }
    assert_true(harness_fds() <= fds);
    pair_stop(&pair);
}

static void many_connections_at_once(void **state)
{
    struct pair pair = {.server = {.echo = true}};
    struct harness_peer *peer[100];
    uint64_t round;
    int i;

    (void)state;
    pair_start(&pair);
    for (i = 0; i < 100; i++)
        peer[i] = harness_dial(&pair.client, pair.uri);
    harness_until(&pair.client.opened, 100, "all connected");
    for (round = 1; round <= 20; round++) {
        for (i = 0; i < 100; i++)
            assert_int_equal(harness_send(peer[i], "one small request", 17), GAVEL_OK);
        harness_until(&pair.client.messages, round * 100, "all answered");
    }
    assert_true(pair.server.quiets <= 20 * 100);
    pair_stop(&pair);
}

int conformance_life(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(quiesce_of_an_idle_instance),
        CONFORMANCE_CASE(refused_dial),
        CONFORMANCE_CASE(silent_peer_times_out),
        CONFORMANCE_CASE(closed_before_the_handshake),
        CONFORMANCE_CASE(bad_addresses_are_sentences),
        CONFORMANCE_CASE(names_are_resolved),
        CONFORMANCE_CASE(dial_from_within_a_message),
        CONFORMANCE_CASE(hanging_up_during_a_dial),
        CONFORMANCE_CASE(close_sends_what_is_queued),
        CONFORMANCE_CASE(close_at_once_drops_the_queue),
        CONFORMANCE_CASE(close_from_within_up_calls),
        CONFORMANCE_CASE(unwanted_is_dropped),
        CONFORMANCE_CASE(one_too_many_is_refused),
        CONFORMANCE_CASE(keepalive_keeps_the_living),
        CONFORMANCE_CASE(keepalive_ends_the_dead),
        CONFORMANCE_CASE(standing_still_is_not_silence),
        CONFORMANCE_CASE(port_in_use_is_a_sentence),
        CONFORMANCE_CASE(several_listeners),
        CONFORMANCE_CASE(unlisten_keeps_connections),
        CONFORMANCE_CASE(quiesce_with_connections_open),
        CONFORMANCE_CASE(thousands_of_connections_in_sequence),
        CONFORMANCE_CASE(many_connections_at_once),
    };

    return cmocka_run_group_tests_name(pair_wire->name, tests, NULL, NULL);
}
