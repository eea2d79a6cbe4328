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

static const char *open_both(struct side *server, struct side *client)
{
    face_begin();
    side_open(server, "server");
    side_open(client, "client");
    return side_listen(server);
}

void transport_connects(void)
{
    struct side server = {.echo = true}, client = {.limits = {.size = 0}};
    const char *uri = open_both(&server, &client);
    struct end *end, *accepted;

    for (uint64_t i = 1; i <= CONNECTS; i++) {
        kit_at("connection %" PRIu64 " of %d, one after the other", i, CONNECTS);
        end = side_connect(&client, uri, &server, &accepted);
        if (end_send(end, &i, sizeof i) != GAVEL_OK)
            kit_broken("send to take a message", "another status");
        ends_until(&end->messages, 1, "its echo");
        end_close(end, GAVEL_CLOSE_NORMAL);
        ends_until(&end->closed, 1, "closed");
        ends_until(&accepted->closed, 1, "closed at the other end");
    }
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t opened = server.opened, closed = server.closed, messages = client.messages;

        kit_at("%d connections at once", AT_ONCE);
        for (int i = 0; i < AT_ONCE; i++)
            (void)side_dial(&client, uri);
        ends_until(&server.opened, opened + AT_ONCE, "all of them to be accepted");
        ends_until(&client.opened, opened + AT_ONCE, "all of them to be connected");
        for (end = client.ends; end; end = end->next)
            if (!end->closed)
                (void)end_send(end, "x", 1);
        ends_until(&client.messages, messages + AT_ONCE, "all the echoes");
        for (end = client.ends; end; end = end->next)
            end_close(end, GAVEL_CLOSE_NORMAL);
        ends_until(&server.closed, closed + AT_ONCE, "all of them to be closed");
    }
    side_close(&client);
    side_close(&server);
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
    if (end->connection && end_send(end, "late", 4) != GAVEL_E_CLOSED)
        kit_broken("GAVEL_E_CLOSED from a send after close", "another status");
    ends_until(&end->closed, 1, "closed");
    ends_until(&accepted->closed, 1, "closed at the other end");
    if (accepted->messages != 5)
        kit_broken("what was queued to be sent first", "%" PRIu64 " of 5 messages", accepted->messages);
}

static void bad_addresses(struct side *client)
{
    static const char *const uris[] = {"", "127.0.0.1:1", "nosuch://127.0.0.1:1", "://", "%s://",
                                        "%s://127.0.0.1:99999"};
    char uri[100], format[100];

    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        struct gavel_error error = {.code = 0};
        struct gavel_slice bound = {NULL, 0};
        bool ours = strncmp(uris[i], "%s", 2) == 0;
        int32_t status;

        (void)snprintf(format, sizeof format, "%.*s", (int)strcspn(client->wire->schemes, " "), client->wire->schemes);
        (void)snprintf(uri, sizeof uri, "%s%s", ours ? format : "", ours ? uris[i] + 2 : uris[i]);
        kit_at("listen on \"%s\"", uri);
        watch_enter(WATCH_LOOP, false);
        status = client->wire->listen(client->self, gavel_text(uri), &bound, &error);
        watch_leave();
        if (status >= 0 || error.text[0] == 0)
            kit_broken("it to be refused with a sentence", "%s", status >= 0 ? "it taken" : "none");
    }
}

void transport_life(void)
{
    struct side server = {.limits = {.connections = 0}}, client = {.limits = {.size = 0}};
    const char *uri = open_both(&server, &client);
    struct end *end, *accepted, *late;

    close_within(&server, &client, uri);
    close_with_queue(&server, &client, uri);
    bad_addresses(&client);
    kit_at("a connection that the host does not want");
    server.refuse = true;
    end = side_dial(&client, uri);
    ends_until(&end->closed, 1, "closed at the other end");
    server.refuse = false;
    kit_at("unlisten with a connection open");
    end = side_connect(&client, uri, &server, &accepted);
    watch_enter(WATCH_LOOP, false);
    server.wire->unlisten(server.self);
    watch_leave();
    face_turn();
    late = side_dial(&client, uri);
    ends_until(&late->closed, 1, "a dial to be refused");
    (void)end_send(end, "still", 5);
    ends_until(&accepted->messages, 1, "the open connection to go on");
    /* quiesce with one connection open and one under way. */
    (void)side_dial(&client, uri);
    side_close(&client);
    ends_until(&accepted->closed, 1, "closed after the other side has quiesced");
    side_close(&server);
    kit_at("quiesce and destroy");
    if (face_end())
        kit_broken("nothing to be left on the loop", "a handle of type %s", face_end());
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
