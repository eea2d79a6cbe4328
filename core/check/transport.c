/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.c - what a host relies on in every transport, whatever goes over its wire: order, borders, bounds.
 */
#define _GNU_SOURCE
#include "core/check/transport.h"

#include "core/check/ends.h"
#include "core/check/watch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_BYTES (4u << 20)
#define SEND_HIGH (1u << 20)

static unsigned char *pattern(uint64_t size)
{
    unsigned char *data = malloc(size ? size : 1);

    assert(data);
    for (uint64_t i = 0; i < size; i++)
        data[i] = (unsigned char)(i * 131 + (i >> 8));
    return data;
}

/* Two instances, one of which listens. */
struct pair {
    struct side server, client;
    const char *uri;
};

static void pair_open(struct pair *pair)
{
    face_begin();
    side_open(&pair->server, "server");
    side_open(&pair->client, "client");
    pair->uri = side_listen(&pair->server);
}

static void pair_close(struct pair *pair)
{
    const char *left;

    side_close(&pair->client);
    side_close(&pair->server);
    left = face_end();
    kit_at("destroy of both ends");
    if (left)
        kit_broken("nothing to be left on the loop", "a handle of type %s", left);
}

static uint64_t size_of(struct kit_random *random)
{
    static const uint64_t sizes[] = {0, 1, 2, 125, 126, 127, 255, 256, 65535, 65536, 65537};

    switch (kit_below(random, 8)) {
    case 0:
        return sizes[kit_below(random, sizeof sizes / sizeof sizes[0])];
    case 1:
        return kit_below(random, 20000);
    default:
        return kit_below(random, 300);
    }
}

/* `count` messages of random sizes from one end to the other; sent when there is room. */
static void stream(struct end *from, const struct end *to, struct kit_random *random, uint64_t count)
{
    unsigned char *data = pattern(1 << 17);
    uint64_t digest = to->digest, messages = to->messages;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t size = size_of(random), at = kit_below(random, 1 << 15);
        int32_t status = end_send(from, data + at, size);

        while (status == GAVEL_E_BUSY) {
            uint64_t drained = from->drained;

            ends_until(&from->drained, drained + 1, "drained after a send that was told busy");
            status = end_send(from, data + at, size);
        }
        if (status != GAVEL_OK)
            kit_broken("send to take a message", "%s", kit_status(status));
        digest = end_digest(digest, data + at, size);
        if (i % 97 == 0)
            face_turn();
    }
    ends_until(&to->messages, messages + count, "every message that was sent");
    if (to->digest != digest)
        kit_broken("messages with their borders and bytes, in order", "others");
    free(data);
}

void transport_order(void)
{
    struct kit_random random = kit_random("order");
    struct pair pair = {.server = {.limits = {.message_bytes = MESSAGE_BYTES}},
                        .client = {.limits = {.message_bytes = MESSAGE_BYTES}}};
    struct end *client, *server;

    pair_open(&pair);
    kit_at("a connection");
    client = side_connect(&pair.client, pair.uri, &pair.server, &server);
    kit_at("2000 messages of random sizes from the dialling side");
    stream(client, server, &random, 2000);
    kit_at("2000 messages of random sizes to the dialling side");
    stream(server, client, &random, 2000);
    kit_at("2000 messages that are sent back");
    pair.server.echo = true;
    for (uint64_t i = 0; i < 2000; i++) {
        if (end_send(client, &i, sizeof i) != GAVEL_OK)
            kit_broken("send to take a message of 8 bytes", "another status");
        if (i % 100 == 99)
            ends_until(&client->messages, 2000 + i - 90, "the echo to keep pace");
    }
    ends_until(&client->messages, 4000, "the whole echo");
    pair_close(&pair);
}

void transport_partial(void)
{
    struct kit_random random = kit_random("partial");
    struct pair pair = {.server = {.limits = {.message_bytes = MESSAGE_BYTES}},
                        .client = {.limits = {.message_bytes = MESSAGE_BYTES}}};
    struct relay relay = {.byte_by_byte = 6000};
    struct end *client, *server;

    pair_open(&pair);
    relay_open(&relay, ends_port(pair.uri));
    kit_at("a handshake that comes byte by byte");
    client = side_connect(&pair.client, ends_at_port(pair.uri, relay.port), &pair.server, &server);
    kit_at("messages that come byte by byte, then in random pieces");
    stream(client, server, &random, 300);
    kit_at("messages that go back byte by byte, then in random pieces");
    stream(server, client, &random, 300);
    pair_close(&pair);
    relay_close(&relay);
}

void transport_limits(void)
{
    struct pair pair = {.server = {.limits = {.message_bytes = 1 << 20}},
                        .client = {.limits = {.message_bytes = MESSAGE_BYTES}}};
    struct end *client, *server, *other, *other_server;
    unsigned char *data = pattern(MESSAGE_BYTES + 1);
    int32_t status;

    pair_open(&pair);
    kit_at("a connection");
    client = side_connect(&pair.client, pair.uri, &pair.server, &server);
    other = side_connect(&pair.client, pair.uri, &pair.server, &other_server);
    kit_at("send of a message one byte over message_bytes");
    status = end_send(client, data, MESSAGE_BYTES + 1);
    if (status != GAVEL_E_TOO_LARGE)
        kit_broken("GAVEL_E_TOO_LARGE", "%s", kit_status(status));
    kit_at("a message at the receiver's limit");
    (void)end_send(client, data, 1 << 20);
    ends_until(&server->messages, 1, "it to arrive");
    if (server->digest != end_digest(0, data, 1 << 20))
        kit_broken("its bytes", "others");
    kit_at("a message one byte over the receiver's limit");
    (void)end_send(client, data, (1 << 20) + 1);
    ends_until(&server->closed, 1, "the connection to be closed");
    if (server->reason != GAVEL_CLOSE_PROTOCOL || server->messages != 1)
        kit_broken("GAVEL_CLOSE_PROTOCOL, and no message", "reason %" PRIu64 " and %" PRIu64 " messages",
                   server->reason, server->messages);
    ends_until(&client->closed, 1, "the sender to hear of it");
    kit_at("another connection after one broke a limit");
    (void)end_send(other, data, 100);
    ends_until(&other_server->messages, 1, "its message");
    pair_close(&pair);
    free(data);
}

void transport_slow_reader(void)
{
    struct pair pair = {.server = {.limits = {.send_high = SEND_HIGH, .message_bytes = MESSAGE_BYTES}},
                        .client = {.limits = {.message_bytes = MESSAGE_BYTES}, .pause_on_message = true}};
    unsigned char *data = pattern(10000);
    uint64_t sent = 1, queued = 0;
    struct end *client, *server;
    int32_t status = GAVEL_OK;

    pair_open(&pair);
    kit_at("a connection");
    client = side_connect(&pair.client, pair.uri, &pair.server, &server);
    (void)end_send(server, "first", 5);
    ends_until(&client->messages, 1, "the first message, after which the reader stands still");
    kit_at("send to a reader that stands still");
    while (status == GAVEL_OK && sent < 20000) {
        status = end_send(server, data, 10000);
        sent += status == GAVEL_OK;
        queued = pair.server.wire->queued(pair.server.self, server->connection);
        if (queued > SEND_HIGH + 20000)
            kit_broken("no more queued than send_high, 1 MiB", "more");
        if (sent % 64 == 0)
            face_turn();
    }
    if (status != GAVEL_E_BUSY)
        kit_broken("GAVEL_E_BUSY in the end", "%s after %" PRIu64 " MB", kit_status(status), sent / 100);
    if (server->drained)
        kit_broken("no drained while the reader stands still", "one");
    kit_at("a reader that goes on");
    pair.client.pause_on_message = false;
    watch_enter(WATCH_LOOP, false);
    pair.client.wire->pause(pair.client.self, client->connection, 0);
    watch_leave();
    ends_until(&server->drained, 1, "drained");
    ends_until(&client->messages, sent, "every message that send took");
    if (client->bytes != 5 + (sent - 1) * 10000)
        kit_broken("every byte that send took", "%" PRIu64 " of %" PRIu64, client->bytes, 5 + (sent - 1) * 10000);
    pair_close(&pair);
    free(data);
}

/* ---- resets ------------------------------------------------------------------------------------------------------ */

static void strangers(struct pair *pair)
{
    static const char *const words[] = {"SSH-2.0-OpenSSH_9.2p1\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                                        "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", "gavelgavelgavelgavelgavel!!!",
                                        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        int fd = raw_connect(ends_port(pair->uri));

        kit_at("a stranger that says \"%.12s\"", words[i]);
        if (fd < 0 || write(fd, words[i], strlen(words[i])) < 0)
            kit_broken("the listener to take a connection", "it refused");
        (void)shutdown(fd, SHUT_WR);
        if (!raw_closed(fd))
            kit_broken("it to be hung up on", "the connection open after %" PRIu64 " s", ENDS_DEADLINE_MS / 1000);
        (void)close(fd);
        if (pair->server.messages)
            kit_broken("no message of it", "one");
    }
}

static void dials(struct pair *pair)
{
    uint16_t port;
    int fd = raw_listen(&port);
    struct end *end;

    kit_at("a dial to a peer that never answers");
    end = side_dial(&pair->client, ends_at_port(pair->uri, port));
    for (uint64_t i = 0; i < ENDS_DEADLINE_MS / 50 && !end->opened && !end->closed; i++)
        (void)face_until(&end->closed, 1, 50);
    if (!end->opened && !end->closed)
        kit_broken("GAVEL_CLOSE_TIMEOUT after dial_ms, 500", "nothing in %" PRIu64 " s", ENDS_DEADLINE_MS / 1000);
    if (end->closed && end->reason != GAVEL_CLOSE_TIMEOUT)
        kit_broken("GAVEL_CLOSE_TIMEOUT", "reason %" PRIu64 ": %s", end->reason, end->why);
    end_close(end, GAVEL_CLOSE_NORMAL);
    ends_until(&end->closed, 1, "closed");
    (void)close(fd); /* nobody listens there any more */
    kit_at("a dial to where nobody listens");
    end = side_dial(&pair->client, ends_at_port(pair->uri, port));
    ends_until(&end->closed, 1, "closed");
    if (end->reason != GAVEL_CLOSE_REFUSED || end->opened)
        kit_broken("GAVEL_CLOSE_REFUSED, the base of fast failover", "reason %" PRIu64 ": %s", end->reason, end->why);
}

void transport_resets(void)
{
    struct pair pair = {.server = {.limits = {.dial_ms = 500}}, .client = {.limits = {.dial_ms = 500}}};
    struct kit_random random = kit_random("resets");
    unsigned char *data = pattern(5000);
    struct relay relay = {.byte_by_byte = 0};
    struct end *client, *server;

    pair_open(&pair);
    relay_open(&relay, ends_port(pair.uri));
    for (int i = 0; i < 40; i++) {
        uint64_t opened = pair.server.opened;

        /* Anywhere: in the handshake of a wire that has one, within a message, between two. */
        atomic_store(&relay.reset_after, 1 + kit_below(&random, i % 2 ? 600 : 40000));
        kit_at("a connection that is reset in the middle");
        client = side_dial(&pair.client, ends_at_port(pair.uri, relay.port));
        while (!client->closed) {
            if (client->opened)
                (void)end_send(client, data, kit_below(&random, 5000));
            (void)face_until(&client->closed, 1, 5);
        }
        if (client->reason != GAVEL_CLOSE_LOST && client->reason != GAVEL_CLOSE_TIMEOUT &&
            client->reason != GAVEL_CLOSE_REFUSED)
            kit_broken("GAVEL_CLOSE_LOST", "reason %" PRIu64 ": %s", client->reason, client->why);
        if (pair.server.opened > opened)
            ends_until(&pair.server.closed, pair.server.opened, "the other side to be told too");
    }
    relay_close(&relay);
    pair.server.messages = 0;
    strangers(&pair);
    dials(&pair);
    kit_at("a connection after all that");
    client = side_connect(&pair.client, pair.uri, &pair.server, &server);
    (void)end_send(client, data, 10);
    ends_until(&server->messages, 1, "its message");
    pair_close(&pair);
    free(data);
}
