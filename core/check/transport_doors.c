/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_doors.c - listeners: how many, where, for how many; and the HTTP that some of them speak.
 */
#define _GNU_SOURCE
#include "core/check/transport.h"

#include "core/check/ends.h"
#include "core/check/watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGE_BODY (3u << 20)

/* ---- listeners --------------------------------------------------------------------------------------------------- */

/* Nothing opens a socket before start. */
static void not_started(const char *uri)
{
    const struct gavel_plugin *head = &kit.plugin->head;
    const struct gavel_transport *wire = &kit.plugin->operations.transport;
    struct gavel_slice bound = {NULL, 0};
    void *self = NULL, *connection = NULL;
    struct face face;

    face_init(&face, "not started");
    for (int dial = 0; dial < 2; dial++) {
        struct gavel_error error = {.code = 0};
        int32_t status;

        kit_at("%s before start", dial ? "connect" : "listen");
        watch_enter(WATCH_LOOP, false);
        status = head->create(&face.host, kit.values, &self, &error);
        if (status == GAVEL_OK) {
            status = dial ? wire->connect(self, gavel_text(uri), NULL, &connection, &error)
                          : wire->listen(self, gavel_text(uri), &bound, &error);
            head->destroy(self);
        }
        watch_leave();
        face_turn();
        if (status >= 0 || error.text[0] == 0)
            kit_broken("it to be refused with a sentence", "%s", status >= 0 ? "it taken" : "none");
    }
}

static void in_use(struct side *side, const char *uri)
{
    struct gavel_slice bound = {NULL, 0};
    struct gavel_error error = {.code = 0};
    int32_t status;

    kit_at("listen where another one listens");
    watch_enter(WATCH_LOOP, false);
    status = side->wire->listen(side->self, gavel_text(uri), &bound, &error);
    watch_leave();
    if (status != GAVEL_E_IO || error.text[0] == 0)
        kit_broken("GAVEL_E_IO with a sentence", "%s", kit_status(status));
}

static void play_listeners(void)
{
    struct pair pair = {.server = {.limits = {.connections = 3}}};
    struct end *end[4], *accepted, *more;
    const char *uri[3];

    pair_open(&pair);
    not_started(pair.uri);
    in_use(&pair.client, pair.uri);
    for (int i = 0; i < 3; i++)
        uri[i] = i ? side_listen(&pair.server) : pair.uri;
    for (int i = 0; i < 3; i++) {
        kit_at("connection %d of 3, at a listener of its own", i + 1);
        end[i] = side_connect(&pair.client, uri[i], &pair.server, &accepted);
    }
    kit_at("one connection more than the limit \"connections\", 3");
    end[3] = side_dial(&pair.client, pair.uri);
    ends_until(&end[3]->closed, 1, "it to be refused");
    if (pair.server.opened != 3)
        kit_broken("3 to be accepted", "%" PRIu64, pair.server.opened);
    kit_at("a connection when there is room again");
    end_close(end[0], GAVEL_CLOSE_NORMAL);
    ends_until(&pair.server.closed, 1, "one to be closed");
    more = pair_connect(&pair, &accepted);
    (void)end_send(more, "x", 1);
    ends_until(&accepted->messages, 1, "its message");
    pair_close(&pair);
}

void transport_listeners(void)
{
    ends_everywhere(play_listeners);
}

/* ---- HTTP -------------------------------------------------------------------------------------------------------- */

static bool is(struct gavel_slice slice, const char *wanted)
{
    return slice.size == strlen(wanted) && (slice.size == 0 || memcmp(slice.data, wanted, slice.size) == 0);
}

static const char request[] = "POST /a%20place?x=1&y HTTP/1.1\r\nHost: kit\r\nContent-Type: text/kit\r\n"
                              "Content-Length: 5\r\nConnection: close\r\n\r\nhello";

static void respond(struct side *side, void *to, uint64_t status, struct gavel_slice body)
{
    static const struct gavel_attribute headers[] = {{.name = "x-answer", .value = {"42", 2}}};

    watch_enter(WATCH_LOOP, false);
    side->wire->respond(side->self, to, status, headers, 1, body);
    watch_leave();
}

static void judge(const struct gavel_http_request *what)
{
    bool header = false;

    for (uint64_t i = 0; i < what->header_count; i++)
        header |= strcmp(what->headers[i].name, "content-type") == 0 && is(what->headers[i].value, "text/kit");
    if (!is(what->method, "POST") || !is(what->path, "/a place") || !is(what->query, "x=1&y"))
        kit_broken("the method, the decoded path and the raw query", "%.*s \"%.*s\" \"%.*s\"", (int)what->method.size,
                   (const char *)what->method.data, (int)what->path.size, (const char *)what->path.data,
                   (int)what->query.size, (const char *)what->query.data);
    if (!is(what->body, "hello"))
        kit_broken("the whole body", "%" PRIu64 " bytes of 5", what->body.size);
    if (!header)
        kit_broken("the header content-type, by its lower-case name", "none");
}

static void answer(struct side *side, void *to, const struct gavel_http_request *what)
{
    judge(what);
    respond(side, to, 201, gavel_text("an answer"));
}

static void answer_large(struct side *side, void *to, const struct gavel_http_request *what)
{
    unsigned char *body = ends_pattern(LARGE_BODY);

    judge(what);
    respond(side, to, 200, gavel_bytes(body, LARGE_BODY));
    memset(body, 0, LARGE_BODY); /* it was copied */
    free(body);
}

static void hold(struct side *side, void *to, const struct gavel_http_request *what)
{
    judge(what);
    side->request = to;
    side->messages++;
}

/* Ask, and read the answer; NUL-terminated, in memory of this function. */
static char *ask(const struct pair *pair, size_t *size)
{
    static char text[LARGE_BODY + 4096];
    int fd = raw_connect(ends_port(pair->uri));

    if (fd < 0 || write(fd, request, sizeof request - 1) != (ssize_t)sizeof request - 1)
        kit_broken("the listener to take a request", "it refused");
    *size = raw_answer(fd, text, sizeof text);
    (void)close(fd);
    return text;
}

static void expect_status(const char *text, const char *status)
{
    if (strncmp(text, "HTTP/1.", 7) != 0 || strncmp(text + 8, status, strlen(status)) != 0)
        kit_broken("an answer with the status that respond was given", "\"%.*s\"", (int)strcspn(text, "\r\n"), text);
}

static void large(struct pair *pair)
{
    unsigned char *wanted = ends_pattern(LARGE_BODY);
    size_t size;
    char *text;

    kit_at("an HTTP answer of 3 MiB");
    pair->server.http = answer_large;
    text = ask(pair, &size);
    expect_status(text, " 200");
    if (size < LARGE_BODY || memcmp(text + size - LARGE_BODY, wanted, LARGE_BODY) != 0)
        kit_broken("its whole body", "%zu bytes in all, or other ones", size);
    free(wanted);
}

/* Answered later; and when the one who asked is gone. */
static void later(struct pair *pair)
{
    char text[1000];
    int fd;

    pair->server.http = hold;
    pair->server.messages = 0;
    kit_at("an HTTP request that is answered later");
    fd = raw_connect(ends_port(pair->uri));
    (void)!write(fd, request, sizeof request - 1);
    ends_until(&pair->server.messages, 1, "the request");
    ends_wait(20);
    respond(&pair->server, pair->server.request, 503, gavel_text("later"));
    (void)raw_answer(fd, text, sizeof text);
    expect_status(text, " 503");
    (void)close(fd);
    kit_at("an HTTP answer to one who has hung up");
    fd = raw_connect(ends_port(pair->uri));
    (void)!write(fd, request, sizeof request - 1);
    ends_until(&pair->server.messages, 2, "the request");
    raw_reset(fd);
    ends_wait(50);
    respond(&pair->server, pair->server.request, 200, gavel_text("nobody"));
    face_turn();
}

void transport_http(void)
{
    struct pair pair = {.server = {.http = answer}}, without = {.server = {.http = NULL}};
    struct end *end, *accepted;
    size_t size;
    char *text;
    int fd;

    if (!kit.plugin->operations.transport.respond)
        return;
    pair_open(&pair);
    kit_at("an HTTP request");
    text = ask(&pair, &size);
    expect_status(text, " 201");
    if (!strcasestr(text, "\r\nx-answer: 42\r\n"))
        kit_broken("the header of the answer", "none of it");
    if (size < 9 || strcmp(text + size - 9, "an answer") != 0)
        kit_broken("the body of the answer", "another end: \"%s\"", size < 9 ? "" : text + size - 9);
    large(&pair);
    later(&pair);
    kit_at("a connection beside HTTP requests");
    end = pair_connect(&pair, &accepted);
    (void)end_send(end, "x", 1);
    ends_until(&accepted->messages, 1, "its message");
    kit_at("quiesce with an HTTP request that is not answered");
    fd = raw_connect(ends_port(pair.uri));
    (void)!write(fd, request, sizeof request - 1);
    ends_until(&pair.server.messages, 3, "the request"); /* two were held before */
    pair_close(&pair);
    (void)close(fd);
    pair_open(&without);
    kit_at("an HTTP request to a host that takes none");
    text = ask(&without, &size);
    expect_status(text, " 404");
    pair_close(&without);
}
