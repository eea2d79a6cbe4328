/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_life.c - connections come and go, in any number, and end exactly once.
 */
#define _GNU_SOURCE
#include "core/check/transport.h"

#include "core/check/ends.h"
#include "core/check/life.h"
#include "core/check/watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTS 1500 /* one after the other */
#define AT_ONCE 200
#define ROUNDS 4      /* of so many at once */

static void play_connects(void)
{
    struct pair pair = {.server = {.echo = true}};
    struct side *server = &pair.server, *client = &pair.client;
    struct end *end, *accepted;
    const char *uri;

    pair_open(&pair);
    uri = pair.uri;

    for (uint64_t i = 1; i <= CONNECTS; i++) {
        kit_at("connection %" PRIu64 " of %d, one after the other", i, CONNECTS);
        end = side_connect(client, uri, server, &accepted);
        if (end_send(end, &i, sizeof i) != GAVEL_OK)
            kit_broken("send to take a message", "another status");
        ends_until(&end->messages, 1, "its echo");
        end_close(i % 2 ? end : accepted, GAVEL_CLOSE_NORMAL);
        ends_until(&end->closed, 1, "closed");
        ends_until(&accepted->closed, 1, "closed at the other end");
    }
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t opened = server->opened, closed = server->closed, messages = client->messages;

        kit_at("%d connections at once", AT_ONCE);
        for (int i = 0; i < AT_ONCE; i++)
            (void)side_dial(client, uri);
        ends_until(&server->opened, opened + AT_ONCE, "all of them to be accepted");
        ends_until(&client->opened, opened + AT_ONCE, "all of them to be connected");
        for (end = client->ends; end; end = end->next)
            if (!end->closed)
                (void)end_send(end, "x", 1);
        ends_until(&client->messages, messages + AT_ONCE, "all the echoes");
        for (end = client->ends; end; end = end->next)
            end_close(end, GAVEL_CLOSE_NORMAL);
        ends_until(&server->closed, closed + AT_ONCE, "all of them to be closed");
    }
    pair_close(&pair);
}

void transport_connects(void)
{
    ends_everywhere(play_connects);
}

/* The end that a message made close itself. */
static void close_within(struct side *server, struct side *client, const char *uri)
{
    struct end *end, *accepted;

    kit_at("close from within the up-call of a message");
    server->close_on_message = true;
    end = side_connect(client, uri, server, &accepted);
    (void)end_send(end, "one", 3);
    (void)end_send(end, "two", 3);
    ends_until(&accepted->closed, 1, "closed");
    ends_until(&end->closed, 1, "closed at the other end");
    if (end_send(end, "x", 1) != GAVEL_E_CLOSED)
        kit_broken("GAVEL_E_CLOSED from send", "another status");
    server->close_on_message = false;
}

static void close_with_queue(struct side *server, struct side *client, const char *uri)
{
    static char data[100000];
    struct end *end, *accepted;

    kit_at("close with messages queued");
    end = side_connect(client, uri, server, &accepted);
    for (int i = 0; i < 5; i++)
        (void)end_send(end, data, sizeof data);
    end_close(end, GAVEL_CLOSE_NORMAL);
    end_close(end, GAVEL_CLOSE_NORMAL); /* twice is as once */
    if (end->connection && end_send(end, "late", 4) != GAVEL_E_CLOSED)
        kit_broken("GAVEL_E_CLOSED from a send after close", "another status");
    ends_until(&end->closed, 1, "closed");
    ends_until(&accepted->closed, 1, "closed at the other end");
    if (accepted->messages != 5)
        kit_broken("what was queued to be sent first", "%" PRIu64 " of 5 messages", accepted->messages);
    if (end->reason != GAVEL_CLOSE_NORMAL || accepted->reason != GAVEL_CLOSE_NORMAL)
        kit_broken("GAVEL_CLOSE_NORMAL at both ends", "reasons %" PRIu64 " and %" PRIu64, end->reason,
                   accepted->reason);
    if (strcmp(end->why, END_WHY) != 0)
        kit_broken("the words of close in closed", "\"%s\"", end->why);
}

/* At once: what is queued for one who does not read is dropped. */
static void close_slow(struct side *server, struct side *client, const char *uri)
{
    unsigned char *data = ends_pattern(1 << 20);
    struct end *end, *accepted;
    int sent = 0;

    kit_at("close with GAVEL_CLOSE_SLOW");
    end = side_connect(client, uri, server, &accepted);
    end_pause(end, true);
    while (sent < 24 && end_send(accepted, data, 1 << 20) == GAVEL_OK)
        sent++;
    face_turn();
    end_close(accepted, GAVEL_CLOSE_SLOW);
    ends_until(&accepted->closed, 1, "closed");
    if (accepted->reason != GAVEL_CLOSE_SLOW)
        kit_broken("GAVEL_CLOSE_SLOW", "reason %" PRIu64, accepted->reason);
    end_pause(end, false);
    ends_until(&end->closed, 1, "closed at the other end");
    if (end->messages >= (uint64_t)sent)
        kit_broken("what is queued to be dropped", "all %d messages", sent);
    free(data);
}

/* From within connected and from within accepted. */
static void close_on_open(struct side *server, struct side *client, const char *uri)
{
    for (int i = 0; i < 2; i++) {
        uint64_t closed = server->closed, opened = server->opened;
        struct end *end;

        kit_at("close from within the up-call %s", i ? "accepted" : "connected");
        (i ? server : client)->close_on_open = true;
        end = side_dial(client, uri);
        ends_until(&end->closed, 1, "closed");
        if (i)
            ends_until(&server->opened, opened + 1, "it to be accepted");
        if (server->opened > opened)
            ends_until(&server->closed, closed + 1, "closed at the other end");
        server->close_on_open = client->close_on_open = false;
    }
}

/* A dial from within a message, with more messages behind that; one that is given up. */
static void dials_within(struct side *server, struct side *client, const char *uri)
{
    struct end *end, *accepted;
    uint64_t opened, digest = 0;

    kit_at("a dial from within the up-call of a message");
    end = side_connect(client, uri, server, &accepted);
    opened = server->opened;
    server->dial_on_message = uri;
    for (uint64_t i = 0; i < 3000; i++) {
        (void)end_send(end, &i, sizeof i);
        digest = end_digest(digest, &i, sizeof i);
    }
    ends_until(&accepted->messages, 3000, "the messages behind it");
    if (accepted->digest != digest)
        kit_broken("their bytes, in order", "others");
    ends_until(&server->opened, opened + 2, "both ends of it");
    kit_at("close of a dial under way");
    opened = client->opened;
    end = side_dial(client, uri);
    end_close(end, GAVEL_CLOSE_NORMAL);
    ends_until(&end->closed, 1, "closed");
    if (client->opened != opened)
        kit_broken("no connected after close", "one");
}

static void bad_addresses(struct side *client)
{
    static const char *const uris[] = {"", "nonsense", "127.0.0.1:1", "nosuch://127.0.0.1:1", "://", "%s://",
                                        "%s://127.0.0.1:99999", "%s://127.0.0.1:8x"};
    char uri[100], format[100];

    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        struct gavel_slice bound = {NULL, 0};
        bool ours = strncmp(uris[i], "%s", 2) == 0;

        (void)snprintf(format, sizeof format, "%.*s", (int)strcspn(client->wire->schemes, " "), client->wire->schemes);
        (void)snprintf(uri, sizeof uri, "%s%s", ours ? format : "", ours ? uris[i] + 2 : uris[i]);
        for (int dial = 0; dial < 2; dial++) {
            struct gavel_error error = {.code = 0};
            void *connection = NULL;
            int32_t status;

            kit_at("%s \"%s\"", dial ? "connect to" : "listen on", uri);
            watch_enter(WATCH_LOOP, false);
            status = dial ? client->wire->connect(client->self, gavel_text(uri), client, &connection, &error)
                          : client->wire->listen(client->self, gavel_text(uri), &bound, &error);
            watch_leave();
            if (status >= 0 || error.text[0] == 0)
                kit_broken("it to be refused with a sentence", "%s", status >= 0 ? "it taken" : "none");
        }
    }
}

/* One side quiesces with connections open, a message queued and a dial under way; the other is told of all. */
static void quiesce_with_all(struct pair *pair)
{
    struct end *end[5], *accepted[5];

    kit_at("five connections before quiesce");
    for (int i = 0; i < 5; i++)
        end[i] = pair_connect(pair, &accepted[i]);
    kit_at("unlisten with connections open");
    for (int i = 0; i < 2; i++) { /* twice is as once */
        watch_enter(WATCH_LOOP, false);
        pair->server.wire->unlisten(pair->server.self);
        watch_leave();
        face_turn();
    }
    kit_at("a dial after unlisten");
    {
        struct end *late = side_dial(&pair->client, pair->uri);

        ends_until(&late->closed, 1, "it to be refused");
        if (late->reason != GAVEL_CLOSE_REFUSED || late->opened)
            kit_broken("GAVEL_CLOSE_REFUSED", "reason %" PRIu64 ": %s", late->reason, late->why);
    }
    kit_at("a message on a connection after unlisten");
    (void)end_send(end[0], "still", 5);
    ends_until(&accepted[0]->messages, 1, "the open connection to go on");
    (void)end_send(end[4], "farewell", 8);
    (void)side_dial(&pair->client, pair->uri);
    side_close(&pair->client);
    kit_at("quiesce of the other side");
    for (int i = 0; i < 5; i++)
        ends_until(&accepted[i]->closed, 1, "closed for each connection");
    if (accepted[4]->messages != 1)
        kit_broken("what was queued to be sent first", "no message");
    if (accepted[1]->reason != GAVEL_CLOSE_NORMAL)
        kit_broken("GAVEL_CLOSE_NORMAL", "reason %" PRIu64, accepted[1]->reason);
}

static void play_life(void)
{
    struct pair pair = {.server = {.limits = {.send_high = 64 << 20, .message_bytes = 4 << 20}}};
    struct side *server = &pair.server, *client = &pair.client;
    struct end *end;

    client->limits = server->limits;
    pair_open(&pair);
    close_within(server, client, pair.uri);
    close_with_queue(server, client, pair.uri);
    close_slow(server, client, pair.uri);
    close_on_open(server, client, pair.uri);
    dials_within(server, client, pair.uri);
    bad_addresses(client);
    kit_at("a connection that the host does not want");
    server->refuse = true;
    end = side_dial(client, pair.uri);
    ends_until(&end->closed, 1, "closed at the other end");
    server->refuse = false;
    quiesce_with_all(&pair);
    side_close(server);
    kit_at("quiesce and destroy");
    if (face_end())
        kit_broken("nothing to be left on the loop", "a handle of type %s", face_end());
}

void transport_life(void)
{
    ends_everywhere(play_life);
}

static void live(void *context)
{
    struct side server = {.echo = true}, client = {.limits = {.size = 0}};
    struct end *end, *accepted;
    const char *uri;

    (void)context;
    side_open(&server, "server");
    side_open(&client, "client");
    uri = side_listen(&server);
    for (int i = 0; i < 8; i++) {
        kit_at("a connection of a whole life");
        end = side_connect(&client, uri, &server, &accepted);
        (void)end_send(end, "hello", 5);
        ends_until(&end->messages, 1, "its echo");
        if (i % 2)
            end_close(end, i % 4 == 1 ? GAVEL_CLOSE_NORMAL : GAVEL_CLOSE_PROTOCOL);
    }
    side_close(&client);
    side_close(&server);
}

void transport_leaks(void)
{
    face_begin();
    life_repeat(live, NULL);
}
