/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ends.c - see ends.h.
 */
#define _GNU_SOURCE
#include "core/check/ends.h"

#include "core/check/shared.h"
#include "core/check/watch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool on_unix; /* play over a socket file */

/* gavel_mix is a state machine's word; this is enough to see order and bytes. */
uint64_t end_digest(uint64_t digest, const void *data, uint64_t size)
{
    const unsigned char *bytes = data;

    digest = (digest ^ size) * UINT64_C(0xff51afd7ed558ccd);
    for (; size >= 8; size -= 8, bytes += 8) {
        uint64_t word;

        memcpy(&word, bytes, 8);
        digest = (digest ^ word) * UINT64_C(0x9fb21c651e98df25);
        digest ^= digest >> 32;
    }
    while (size--)
        digest = (digest ^ *bytes++) * UINT64_C(0x100000001b3);
    return digest;
}

/* ---- up-calls ---------------------------------------------------------------------------------------------------- */

static struct end *end_new(struct side *side, bool dialled)
{
    struct end *end = calloc(1, sizeof *end);

    assert(end);
    end->side = side;
    end->dialled = dialled;
    end->next = side->ends;
    side->ends = end;
    return end;
}

static void outside(const struct side *side, const char *which)
{
    if (side->in_call)
        kit_broken("up-calls only from the loop", "%s from within a call of the host", which);
}

/* What every up-call for a connection may rely on. */
static void living(const struct end *end, const char *which)
{
    outside(end->side, which);
    if (end->closed)
        kit_broken("no up-call for a connection that was told closed", "%s", which);
    if (!end->opened)
        kit_broken("accepted or connected first", "%s before it", which);
}

static void *on_accepted(void *context, void *connection, const struct gavel_peer *peer)
{
    struct side *side = context;
    int paused = watch_pause();
    struct end *end = NULL;

    outside(side, "accepted");
    if (peer->size < GAVEL_END(struct gavel_peer, name_count) || (peer->name_count && !peer->names))
        kit_broken("a peer with its size and names", "one without");
    if (!side->refuse) {
        end = end_new(side, false);
        end->connection = connection;
        end->opened = 1;
        side->opened++;
        if (side->close_on_open)
            end_close(end, GAVEL_CLOSE_NORMAL);
    }
    watch_resume(paused);
    return end;
}

static void on_connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    struct end *end = cookie;

    (void)context;
    (void)peer;
    outside(end->side, "connected");
    if (end->opened || end->closed)
        kit_broken("connected once, before closed", "it again");
    end->opened = 1;
    end->side->opened++;
    if (end->side->close_on_open)
        end_close(end, GAVEL_CLOSE_NORMAL);
}

static void on_message(void *context, void *cookie, struct gavel_slice message)
{
    struct end *end = cookie;
    struct side *side = end->side;
    int paused = watch_pause();

    (void)context;
    living(end, "message");
    end->messages++;
    side->messages++;
    side->loud = true;
    end->bytes += message.size;
    end->digest = end_digest(end->digest, message.data, message.size);
    if (side->echo)
        (void)end_send(end, message.data, message.size);
    if (side->pause_on_message)
        end_pause(end, true);
    if (side->dial_on_message) {
        const char *uri = side->dial_on_message;

        side->dial_on_message = NULL;
        (void)side_dial(side, uri);
    }
    if (side->close_on_message)
        end_close(end, GAVEL_CLOSE_NORMAL);
    watch_resume(paused);
}

static void on_quiet(void *context)
{
    struct side *side = context;

    outside(side, "quiet");
    side->quiets++;
    side->loud = false;
}

static void on_drained(void *context, void *cookie)
{
    struct end *end = cookie;

    (void)context;
    living(end, "drained");
    end->drained++;
    if (end->side->limits.send_high && end_queued(end) >= end->side->limits.send_high / 4)
        kit_broken("drained when less than a quarter of send_high is queued", "%" PRIu64 " of %" PRIu64 " bytes",
                   end_queued(end), end->side->limits.send_high);
}

static void on_http(void *context, void *request, const struct gavel_http_request *what)
{
    struct side *side = context;
    int paused = watch_pause();

    outside(side, "http");
    side->http(side, request, what);
    watch_resume(paused);
}

static void on_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct end *end = cookie;

    (void)context;
    outside(end->side, "closed");
    if (end->closed++)
        kit_broken("closed exactly once", "it again");
    if (reason < GAVEL_CLOSE_NORMAL || reason > GAVEL_CLOSE_SLOW)
        kit_broken("a reason of GAVEL_CLOSE_...", "%" PRIu64, reason);
    if (why.size == 0 || !why.data)
        kit_broken("a sentence with every closed", "none (reason %" PRIu64 ")", reason);
    end->reason = reason;
    (void)snprintf(end->why, sizeof end->why, "%.*s", (int)(why.size < 150 ? why.size : 150), (const char *)why.data);
    end->side->closed++;
    end->connection = NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void side_open(struct side *side, const char *name)
{
    struct gavel_error error;
    int32_t status;

    face_init(&side->face, name);
    status = face_open(&side->face, &error);
    if (status != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
    side->self = side->face.self;
    side->wire = &kit.plugin->operations.transport;
    side->limits.size = GAVEL_END(struct gavel_transport_limits, connections);
    side->events = (struct gavel_transport_events){
        .size = GAVEL_END(struct gavel_transport_events, http), .context = side, .accepted = on_accepted,
        .connected = on_connected, .message = on_message, .quiet = on_quiet, .drained = on_drained,
        .closed = on_closed, .http = side->http ? on_http : NULL};
    kit_at("prepare");
    watch_enter(WATCH_LOOP, false);
    status = side->wire->prepare(side->self, &side->events, &side->limits, &error);
    watch_leave();
    if (status != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
}

void side_close(struct side *side)
{
    struct end *end;

    face_close(&side->face);
    kit_at("quiesce and destroy with connections");
    while ((end = side->ends)) {
        if (end->closed != 1)
            kit_broken("closed to be told for every connection by then", "one without it");
        side->ends = end->next;
        free(end);
    }
    side->opened = side->closed = side->messages = side->quiets = 0;
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static bool speaks_unix(void)
{
    const char *word = kit.plugin->operations.transport.schemes;

    for (; *word; word += strcspn(word, " "), word += strspn(word, " "))
        if (strncmp(word, "unix", 4) == 0 && (word[4] == 0 || word[4] == ' '))
            return true;
    return false;
}

void ends_everywhere(void (*play)(void))
{
    on_unix = false;
    play();
    if (!speaks_unix())
        return;
    (void)snprintf(shared->place, sizeof shared->place, "/tmp/gavel-check-XXXXXX");
    if (!mkdtemp(shared->place)) {
        shared->place[0] = 0;
        kit_skip("no directory for a socket file in /tmp");
    }
    on_unix = true;
    kit_where(", over unix");
    play();
    kit_where(NULL);
    on_unix = false;
    kit_at("destroy of the listeners of unix sockets");
    if (rmdir(shared->place) != 0)
        kit_broken("their files to be removed", "one left");
    shared->place[0] = 0;
}

void ends_wait(uint64_t ms)
{
    uint64_t never = 0;

    (void)face_until(&never, 1, ms);
}

static int32_t listen_on(struct side *side, const char *uri, struct gavel_slice *bound, struct gavel_error *error)
{
    int32_t status;

    memset(error, 0, sizeof *error);
    kit_at("listen on %s", uri);
    side->in_call = true;
    watch_enter(WATCH_LOOP, false);
    status = side->wire->listen(side->self, gavel_text(uri), bound, error);
    watch_leave();
    side->in_call = false;
    return status;
}

const char *side_listen(struct side *side)
{
    struct gavel_slice bound = {NULL, 0};
    struct gavel_error error;
    static unsigned files;
    char uri[100];
    int32_t status;

    if (on_unix)
        (void)snprintf(uri, sizeof uri, "unix://%s/%u", shared->place, ++files);
    else
        (void)snprintf(uri, sizeof uri, "%.*s://127.0.0.1:0", (int)strcspn(side->wire->schemes, " "),
                       side->wire->schemes);
    status = listen_on(side, uri, &bound, &error);
    if (status < 0 && error.text[0] == 0)
        kit_broken("a sentence with every negative status", "%s without one", kit_status(status));
    if (status != GAVEL_OK)
        kit_skip("cannot listen on %s, where this check plays: %s", uri, error.text);
    if (on_unix && bound.data && strcmp(bound.data, uri) == 0)
        return bound.data;
    if (!bound.data || ((const char *)bound.data)[bound.size] != 0 || ends_port(bound.data) == 0)
        kit_broken("the URI with the port that the system chose", "\"%.*s\"", (int)bound.size,
                   bound.data ? (const char *)bound.data : "");
    return bound.data;
}

struct end *side_dial(struct side *side, const char *uri)
{
    struct end *end = end_new(side, true);
    struct gavel_error error = {.code = 0};
    int32_t status;

    side->in_call = true;
    watch_enter(WATCH_LOOP, false);
    status = side->wire->connect(side->self, gavel_text(uri), end, &end->connection, &error);
    watch_leave();
    side->in_call = false;
    if (status != GAVEL_OK)
        kit_broken("connect to take the address", "%s: %s", kit_status(status), error.text);
    return end;
}

struct end *side_connect(struct side *side, const char *uri, struct side *to, struct end **accepted)
{
    uint64_t opened = to->opened;
    struct end *end = side_dial(side, uri);

    if (!face_until(&end->opened, 1, ENDS_DEADLINE_MS))
        kit_broken("a connection", "none%s%s", end->closed ? ": " : "", end->why);
    ends_until(&to->opened, opened + 1, "the other side to accept");
    *accepted = to->ends;
    return end;
}

int32_t end_send(struct end *end, const void *data, uint64_t size)
{
    struct side *side = end->side;
    const unsigned char *bytes = data;
    uint64_t first = size / 3;
    struct gavel_slice parts[3] = {gavel_bytes(bytes, first), gavel_bytes(NULL, 0),
                                   gavel_bytes(bytes + first, size - first)};
    bool in_call = side->in_call;
    int32_t status;

    if (!end->connection)
        return GAVEL_E_CLOSED;
    side->in_call = true;
    watch_enter(WATCH_LOOP, false);
    status = side->wire->send(side->self, end->connection, parts, 3);
    watch_leave();
    side->in_call = in_call;
    return status;
}

void end_close(struct end *end, uint64_t reason)
{
    struct side *side = end->side;
    bool in_call = side->in_call;

    if (!end->connection)
        return;
    side->in_call = true;
    watch_enter(WATCH_LOOP, false);
    side->wire->close(side->self, end->connection, reason, gavel_text(END_WHY));
    watch_leave();
    side->in_call = in_call;
}

void end_pause(struct end *end, bool on)
{
    struct side *side = end->side;
    bool in_call = side->in_call;

    if (!end->connection)
        return;
    side->in_call = true;
    watch_enter(WATCH_LOOP, false);
    side->wire->pause(side->self, end->connection, on);
    watch_leave();
    side->in_call = in_call;
}

uint64_t end_queued(const struct end *end)
{
    return end->connection ? end->side->wire->queued(end->side->self, end->connection) : 0;
}

unsigned char *ends_pattern(uint64_t size)
{
    unsigned char *data = malloc(size ? size : 1);

    assert(data);
    for (uint64_t i = 0; i < size; i++)
        data[i] = (unsigned char)(i * 131 + (i >> 8));
    return data;
}

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

void pair_open(struct pair *pair)
{
    face_begin();
    side_open(&pair->server, "server");
    side_open(&pair->client, "client");
    pair->uri = side_listen(&pair->server);
    kit_at("a connection");
}

void pair_close(struct pair *pair)
{
    const char *left;

    side_close(&pair->client);
    side_close(&pair->server);
    left = face_end();
    kit_at("destroy of both ends");
    if (left)
        kit_broken("nothing to be left on the loop", "a handle of type %s", left);
}

struct end *pair_connect(struct pair *pair, struct end **accepted)
{
    return side_connect(&pair->client, pair->uri, &pair->server, accepted);
}

void ends_until(const uint64_t *counter, uint64_t wanted, const char *what)
{
    if (!face_until(counter, wanted, ENDS_DEADLINE_MS))
        kit_broken_at(what, "%" PRIu64 " of %" PRIu64 " within %" PRIu64 " s", *counter, wanted,
                      ENDS_DEADLINE_MS / 1000);
}

uint16_t ends_port(const char *uri)
{
    const char *colon = strrchr(uri, ':');

    return colon && strstr(uri, "127.0.0.1:") ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

const char *ends_at_port(const char *uri, uint16_t port)
{
    static char made[200];
    const char *colon = strrchr(uri, ':');

    (void)snprintf(made, sizeof made, "%.*s:%u%s", (int)(colon - uri), uri, port,
                   colon + 1 + strspn(colon + 1, "0123456789"));
    return made;
}
