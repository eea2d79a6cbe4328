/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_transport.c - the tcp transport with a layer around it that breaks one promise; see bad.sh.
 */
#include <gavel/transport.h>

#include <stdlib.h>
#include <uv.h>

const struct gavel_plugin *gavel_plugin_tcp(void);

static const struct gavel_transport *inner;
static struct gavel_transport outer;
static struct gavel_plugin head;
static const struct gavel_transport_events *host; /* of the instance that was prepared last */
static unsigned sent;

static void closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    const struct gavel_transport_events *to = context;

#ifdef BAD_REASON
    reason = GAVEL_CLOSE_LOST;
#endif
#ifdef BAD_WHY
    why = gavel_bytes(NULL, 0);
#endif
    to->closed(to->context, cookie, reason, why);
#ifdef BAD_CLOSED_TWICE
    to->closed(to->context, cookie, reason, why);
#endif
}

static void *accepted(void *context, void *connection, const struct gavel_peer *peer)
{
    const struct gavel_transport_events *to = context;
    return to->accepted(to->context, connection, peer);
}
static void connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    const struct gavel_transport_events *to = context;
    to->connected(to->context, cookie, peer);
}
static void message(void *context, void *cookie, struct gavel_slice bytes)
{
    const struct gavel_transport_events *to = context;
#ifdef BAD_CORRUPT
    if (bytes.size > 1000)
        ((unsigned char *)(uintptr_t)bytes.data)[500] ^= 1;
#endif
    to->message(to->context, cookie, bytes);
}
static void quiet(void *context)
{
    const struct gavel_transport_events *to = context;
#ifndef BAD_QUIET
    to->quiet(to->context);
#endif
}
static void drained(void *context, void *cookie)
{
    const struct gavel_transport_events *to = context;
    to->drained(to->context, cookie);
#ifdef BAD_DRAINED
    to->drained(to->context, cookie);
#endif
}

static int32_t prepare(void *self, const struct gavel_transport_events *events,
                       const struct gavel_transport_limits *limits, struct gavel_error *error)
{
    struct gavel_transport_events *layer = calloc(1, sizeof *layer);
    struct gavel_transport_limits *mine = calloc(1, sizeof *mine);

    host = events;
    *layer = (struct gavel_transport_events){GAVEL_END(struct gavel_transport_events, http), (void *)(uintptr_t)events,
                                             accepted, connected, message, quiet, drained, closed, NULL};
    *mine = *limits;
#ifdef BAD_UNBOUNDED
    mine->send_high = UINT64_C(1) << 40;
#endif
#ifdef BAD_LIMIT
    mine->message_bytes = 64 << 20;
#endif
#ifdef BAD_CONNECTIONS
    mine->connections = 0;
#endif
#ifdef BAD_KEEP_ALIVE
    mine->keepalive_ms = 3600000;
#endif
    return inner->prepare(self, layer, mine, error);
}

#ifdef BAD_PAUSE
static void hold(void *self, void *connection, uint64_t on) { (void)self, (void)connection, (void)on; }
#endif
#ifdef BAD_UNLISTEN
static void unlisten(void *self) { (void)self; }
#endif
#ifdef BAD_RESPOND
static void respond(void *self, void *request, uint64_t status, const struct gavel_attribute *headers, uint64_t count,
                    struct gavel_slice body)
{
    (void)self, (void)request, (void)status, (void)headers, (void)count, (void)body;
}
#endif
#ifdef BAD_CLOSE
static void shut(void *self, void *connection, uint64_t reason, struct gavel_slice why)
{
    (void)reason;
    inner->close(self, connection, GAVEL_CLOSE_SLOW, why);
}
#endif

static int32_t send_message(void *self, void *connection, const struct gavel_slice *parts, uint64_t count)
{
#ifdef BAD_LOSE
    if (++sent % 500 == 0)
        return GAVEL_OK;
#endif
#ifdef BAD_UP_CALL
    host->quiet(host->context);
#endif
#ifdef BAD_PARTS
    count = 1;
#endif
    return inner->send(self, connection, parts, count);
}

static int32_t create(const struct gavel_host *services, const void *options, void **self, struct gavel_error *error)
{
#ifdef BAD_HANDLE
    uv_timer_t *timer = calloc(1, sizeof *timer);

    (void)uv_timer_init(services->loop, timer);
#endif
    return gavel_plugin_tcp()->create(services, options, self, error);
}

GAVEL_PLUGIN(bad)
{
    head = *gavel_plugin_tcp();
    inner = head.operations;
    outer = *inner;
    outer.prepare = prepare;
    outer.send = send_message;
#ifdef BAD_PAUSE
    outer.pause = hold;
#endif
#ifdef BAD_UNLISTEN
    outer.unlisten = unlisten;
#endif
#ifdef BAD_RESPOND
    outer.respond = respond;
#endif
#ifdef BAD_CLOSE
    outer.close = shut;
#endif
    head.name = "bad";
    head.operations = &outer;
    head.create = create;
    return &head;
}
