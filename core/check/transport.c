/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.c - what a host relies on in every transport, whatever goes over its wire: order, borders, bounds.
 */
#define _GNU_SOURCE
#include "core/check/transport.h"

#include "core/check/ends.h"
#include "core/check/watch.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_BYTES (4u << 20)
#define SEND_HIGH (1u << 20)
#define SENT_MAX 512 /* messages on one connection that is reset */

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
    unsigned char *data = ends_pattern(1 << 17);
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

/* What one turn sends travels together, and quiet comes behind the last of what arrived together. */
static void together(struct end *from, const struct end *to)
{
    uint64_t messages = to->messages, quiets = to->side->quiets, digest = to->digest;

    kit_at("1000 messages of 8 bytes in one turn");
    for (uint64_t i = 0; i < 1000; i++) {
        if (end_send(from, &i, sizeof i) != GAVEL_OK)
            kit_broken("send to take a message of 8 bytes", "another status");
        digest = end_digest(digest, &i, sizeof i);
    }
    ends_until(&to->messages, messages + 1000, "all of them");
    face_turn();
    if (to->digest != digest)
        kit_broken("their bytes, in order", "others");
    if (to->side->loud)
        kit_broken("quiet behind the last message of what arrived together", "none");
    if (to->side->quiets - quiets > 100)
        kit_broken("small messages of one turn to travel together", "%" PRIu64 " quiets for 1000 of them",
                   to->side->quiets - quiets);
}

/* Sizes about every power of two, and large ones, while the loop has no turn. */
static void sizes(struct end *from, const struct end *to)
{
    static const uint64_t large[] = {200000, (1 << 20) - 1, 1 << 20, (3 << 20) + 7, 0, 2};
    unsigned char *data = ends_pattern(MESSAGE_BYTES);
    uint64_t messages = to->messages, digest = to->digest, count = 0;

    kit_at("messages of 0 bytes to 3 MiB, one behind the other");
    for (uint64_t i = 0; i < 3 * 17 + sizeof large / sizeof large[0]; i++) {
        uint64_t size = i < 3 * 17 ? ((UINT64_C(1) << i / 3) + i % 3) - 1 : large[i - 3 * 17];

        if (end_send(from, data, size) != GAVEL_OK)
            kit_broken("send to take a message", "another status for %" PRIu64 " bytes", size);
        digest = end_digest(digest, data, size);
        count++;
    }
    if (from->side->wire->send(from->side->self, from->connection, NULL, 0) != GAVEL_OK)
        kit_broken("send to take a message of no parts, which is empty", "another status");
    digest = end_digest(digest, data, 0);
    ends_until(&to->messages, messages + count + 1, "all of them");
    if (to->digest != digest)
        kit_broken("messages with their borders and bytes, in order", "others");
    free(data);
}

static void play_order(void)
{
    struct kit_random random = kit_random("order");
    struct pair pair = {.server = {.limits = {.message_bytes = MESSAGE_BYTES, .send_high = 16 << 20}},
                        .client = {.limits = {.message_bytes = MESSAGE_BYTES, .send_high = 16 << 20}}};
    struct end *client, *server;
    uint64_t echoed;

    pair_open(&pair);
    kit_at("a connection");
    client = side_connect(&pair.client, pair.uri, &pair.server, &server);
    kit_at("2000 messages of random sizes from the dialling side");
    stream(client, server, &random, 2000);
    kit_at("2000 messages of random sizes to the dialling side");
    stream(server, client, &random, 2000);
    together(client, server);
    together(server, client);
    sizes(client, server);
    sizes(server, client);
    kit_at("2000 messages that are sent back");
    echoed = client->messages;
    pair.server.echo = true;
    for (uint64_t i = 0; i < 2000; i++) {
        if (end_send(client, &i, sizeof i) != GAVEL_OK)
            kit_broken("send to take a message of 8 bytes", "another status");
        if (i % 100 == 99)
            ends_until(&client->messages, echoed + i - 90, "the echo to keep pace");
    }
    ends_until(&client->messages, echoed + 2000, "the whole echo");
    pair_close(&pair);
}

void transport_order(void)
{
    ends_everywhere(play_order);
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

static void play_limits(void)
{
    struct pair pair = {.server = {.limits = {.message_bytes = 1 << 20}},
                        .client = {.limits = {.message_bytes = MESSAGE_BYTES}}};
    struct end *client, *server, *other, *other_server, *late, *late_server;
    unsigned char *data = ends_pattern(MESSAGE_BYTES + 1);
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
    kit_at("a message far over the receiver's limit");
    late = pair_connect(&pair, &late_server);
    (void)end_send(late, data, MESSAGE_BYTES);
    ends_until(&late_server->closed, 1, "the connection to be closed");
    if (late_server->reason != GAVEL_CLOSE_PROTOCOL || late_server->messages)
        kit_broken("GAVEL_CLOSE_PROTOCOL, and no message", "reason %" PRIu64, late_server->reason);
    ends_until(&late->closed, 1, "the sender to hear of it");
    kit_at("another connection after one broke a limit");
    (void)end_send(other, data, 100);
    ends_until(&other_server->messages, 1, "its message");
    pair_close(&pair);
    free(data);
}

void transport_limits(void)
{
    ends_everywhere(play_limits);
}

static void play_slow_reader(void)
{
    struct pair pair = {.server = {.limits = {.send_high = SEND_HIGH, .message_bytes = MESSAGE_BYTES}},
                        .client = {.limits = {.message_bytes = MESSAGE_BYTES}, .pause_on_message = true}};
    unsigned char *data = ends_pattern(10000);
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
    end_pause(client, false);
    ends_until(&server->drained, 1, "drained");
    if (end_send(server, data, 10000) != GAVEL_OK)
        kit_broken("send to take messages again behind drained", "another status");
    sent++;
    ends_until(&client->messages, sent, "every message that send took");
    if (client->bytes != 5 + (sent - 1) * 10000)
        kit_broken("every byte that send took", "%" PRIu64 " of %" PRIu64, client->bytes, 5 + (sent - 1) * 10000);
    if (server->drained != 1)
        kit_broken("one drained for one time over send_high", "%" PRIu64, server->drained);
    pair_close(&pair);
    free(data);
}

void transport_slow_reader(void)
{
    ends_everywhere(play_slow_reader);
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

static void silent_stranger(const struct pair *pair)
{
    int fd = raw_connect(ends_port(pair->uri));
    uint64_t opened = pair->server.opened;

    kit_at("a stranger that says nothing");
    ends_wait(50);
    /* A wire without a handshake has accepted it by now. */
    if (pair->server.opened == opened && !raw_closed(fd))
        kit_broken("it to be hung up on after dial_ms, 500", "the connection open after %" PRIu64 " s",
                   ENDS_DEADLINE_MS / 1000);
    (void)close(fd);
}

static void dials(struct pair *pair)
{
    uint16_t port;
    int fd = raw_listen(&port);
    struct end *end;

    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
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
    kit_at("a dial to a peer that resets at once");
    end = side_dial(&pair->client, ends_at_port(pair->uri, port));
    for (uint64_t i = 0; i < ENDS_DEADLINE_MS / 5 && !end->closed; i++) {
        int taken = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        if (taken >= 0)
            raw_reset(taken);
        ends_wait(5);
    }
    ends_until(&end->closed, 1, "closed");
    if (end->reason != GAVEL_CLOSE_LOST && end->reason != GAVEL_CLOSE_REFUSED)
        kit_broken("GAVEL_CLOSE_LOST", "reason %" PRIu64 ": %s", end->reason, end->why);
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
    unsigned char *data = ends_pattern(5000);
    struct relay relay = {.byte_by_byte = 0};
    uint64_t digests[SENT_MAX] = {0}, count;
    struct end *client, *server;

    pair_open(&pair);
    relay_open(&relay, ends_port(pair.uri));
    for (int i = 0; i < 40; i++) {
        uint64_t opened = pair.server.opened;

        /* Anywhere: in the handshake of a wire that has one, within a message, between two. */
        atomic_store(&relay.reset_after, 1 + kit_below(&random, i % 2 ? 600 : 40000));
        kit_at("a connection that is reset in the middle");
        client = side_dial(&pair.client, ends_at_port(pair.uri, relay.port));
        for (count = 0; !client->closed;) {
            uint64_t size = kit_below(&random, 5000);

            if (client->opened && count + 1 < SENT_MAX && end_send(client, data, size) == GAVEL_OK) {
                digests[count + 1] = end_digest(digests[count], data, size);
                count++;
            }
            (void)face_until(&client->closed, 1, 5);
        }
        if (client->reason != GAVEL_CLOSE_LOST && client->reason != GAVEL_CLOSE_TIMEOUT &&
            client->reason != GAVEL_CLOSE_REFUSED)
            kit_broken("GAVEL_CLOSE_LOST", "reason %" PRIu64 ": %s", client->reason, client->why);
        if (pair.server.opened == opened)
            continue;
        ends_until(&pair.server.closed, pair.server.opened, "the other side to be told too");
        server = pair.server.ends;
        if (server->messages > count || server->digest != digests[server->messages])
            kit_broken("whole messages, in order, up to the reset", "others");
    }
    relay_close(&relay);
    pair.server.messages = 0;
    strangers(&pair);
    silent_stranger(&pair);
    dials(&pair);
    kit_at("a connection after all that");
    client = side_connect(&pair.client, pair.uri, &pair.server, &server);
    (void)end_send(client, data, 10);
    ends_until(&server->messages, 1, "its message");
    pair_close(&pair);
    free(data);
}
