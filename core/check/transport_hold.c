/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_hold.c - connections on which nothing moves: held by pause, silent, dead, or on a loop that stood still.
 */
#define _GNU_SOURCE
#include "core/check/transport.h"

#include "core/check/ends.h"

#include <inttypes.h>
#include <poll.h>

#define KEEPALIVE_MS 400

/* ---- pause ------------------------------------------------------------------------------------------------------- */

static void play_pause(void)
{
    struct pair pair = {.client = {.limits = {.size = 0}}};
    struct end *client, *server;
    uint64_t digest = 0;

    pair_open(&pair);
    client = pair_connect(&pair, &server);
    kit_at("pause before anything has come");
    end_pause(server, true);
    face_turn();
    for (uint64_t i = 0; i < 100; i++) {
        (void)end_send(client, &i, sizeof i);
        digest = end_digest(digest, &i, sizeof i);
    }
    ends_wait(100);
    if (server->messages)
        kit_broken("no message while it lasts", "%" PRIu64, server->messages);
    kit_at("the end of a pause");
    end_pause(server, true); /* twice is as once */
    end_pause(server, false);
    ends_until(&server->messages, 100, "what came meanwhile");
    kit_at("pause from within the up-call of a message");
    pair.server.pause_on_message = true;
    for (uint64_t i = 0; i < 100; i++) {
        (void)end_send(client, &i, sizeof i);
        digest = end_digest(digest, &i, sizeof i);
    }
    ends_until(&server->messages, 101, "one message at least");
    pair.server.pause_on_message = false;
    end_pause(server, false);
    ends_until(&server->messages, 200, "all messages after it");
    if (server->digest != digest)
        kit_broken("their bytes, in order", "others");
    pair_close(&pair);
}

void transport_pause(void)
{
    ends_everywhere(play_pause);
}

/* ---- keep-alive -------------------------------------------------------------------------------------------------- */

static void alive(const struct end *client, const struct end *server)
{
    const struct end *gone = client->closed ? client : server;

    if (gone->closed)
        kit_broken("the connection to live on", "reason %" PRIu64 ": %s", gone->reason, gone->why);
}

void transport_keep_alive(void)
{
    struct pair pair = {.server = {.limits = {.keepalive_ms = KEEPALIVE_MS}},
                        .client = {.limits = {.keepalive_ms = KEEPALIVE_MS}}};
    struct relay relay = {.byte_by_byte = 0};
    struct end *client, *server;

    pair_open(&pair);
    client = pair_connect(&pair, &server);
    kit_at("silence for four times keepalive_ms, %d", KEEPALIVE_MS);
    ends_wait(4 * KEEPALIVE_MS);
    alive(client, server);
    kit_at("a paused reader for four times keepalive_ms, %d", KEEPALIVE_MS);
    end_pause(server, true);
    ends_wait(4 * KEEPALIVE_MS);
    alive(client, server);
    end_pause(server, false);
    kit_at("a loop that stood still for three times keepalive_ms, %d", KEEPALIVE_MS);
    (void)poll(NULL, 0, 3 * KEEPALIVE_MS); /* on purpose: as in a long up-call */
    ends_wait(KEEPALIVE_MS / 4);
    alive(client, server);
    kit_at("a message after all that");
    (void)end_send(client, "x", 1);
    ends_until(&server->messages, 1, "it to arrive");
    relay_open(&relay, ends_port(pair.uri));
    kit_at("a connection through a relay");
    client = side_connect(&pair.client, ends_at_port(pair.uri, relay.port), &pair.server, &server);
    kit_at("a wire on which nothing comes any more, not even a reset");
    atomic_store(&relay.frozen, true);
    ends_until(&server->closed, 1, "closed after twice keepalive_ms");
    ends_until(&client->closed, 1, "closed after twice keepalive_ms");
    if (server->reason != GAVEL_CLOSE_LOST || client->reason != GAVEL_CLOSE_LOST)
        kit_broken("GAVEL_CLOSE_LOST", "reasons %" PRIu64 " and %" PRIu64, server->reason, client->reason);
    pair_close(&pair);
    relay_close(&relay);
}
