/* SPDX-License-Identifier: Apache-2.0 */
/* client_open.c - the life of a client: options, transports, its thread, the end; and the report of who was tried. */
#include "client_core.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>

#include "transports/transports.h"

#define OPTIONS_MEMORY 1024 /* for what the options of a transport point to: they are all defaults here */

/* ---- log and report ---------------------------------------------------------------------------------------------- */

void client_log(struct gavel_client *client, uint64_t level, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    if (!client->host.log)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    client->host.log(client->host.log_context, level, text);
}

/* One line for each endpoint that was given or tried; the length that the whole has. */
static uint64_t tried_text(struct gavel_client *client, char *text, uint64_t size, const char *between)
{
    uint64_t length = 0;
    uint32_t i;

    if (size)
        text[0] = 0;
    pthread_mutex_lock(&client->tried_lock);
    for (i = 0; i < client->endpoint_count; i++) {
        const struct client_endpoint *endpoint = client->endpoints[i];
        int made;

        if (endpoint->learned && endpoint->said[0] == 0)
            continue;
        made = snprintf(length < size ? text + length : NULL, length < size ? size - length : 0, "%s%s: %s",
                        length ? between : "", endpoint->uri, endpoint->said[0] ? endpoint->said : "not tried");
        length += made > 0 ? (uint64_t)made : 0;
    }
    pthread_mutex_unlock(&client->tried_lock);
    return length;
}

void client_tried(struct gavel_client *client, char *text, size_t size, const char *between)
{
    (void)tried_text(client, text, size, between);
}

uint64_t gavel_client_tried(struct gavel_client *client, char *text, uint64_t size)
{
    assert(client->magic == CLIENT_MAGIC);
    return tried_text(client, text, size, "\n");
}

const char *gavel_client_version(void)
{
    return PACKAGE_VERSION;
}

/* ---- transports -------------------------------------------------------------------------------------------------- */

/* Add one; on failure nothing of it is left. */
static int32_t transport_open(struct gavel_client *client, const struct gavel_plugin *plugin,
                              struct gavel_error *error)
{
    struct client_transport *transport = &client->transports[client->transport_count];
    uint64_t size = plugin->options ? plugin->options->struct_size : 0;
    struct codec_arena arena;
    int32_t status;

    transport->plugin = plugin;
    transport->operations = plugin->operations;
    transport->client = client;
    transport->services = client->host.services;
    transport->services.instance = plugin->name;
    transport->limits.size = GAVEL_END(struct gavel_transport_limits, connections);
    transport->limits.message_bytes = GAVEL_CLIENT_MESSAGE;
    transport->limits.send_high = 2 * (uint64_t)GAVEL_CLIENT_MESSAGE; /* the largest message, and others beside it */
    transport->limits.dial_ms = CLIENT_DIAL_MS;
    transport->limits.keepalive_ms = CLIENT_KEEPALIVE_MS;
    transport->limits.connections = GAVEL_CLIENT_ENDPOINTS;
    client_endpoint_events(transport);
    transport->options = calloc(1, size + OPTIONS_MEMORY);
    if (!transport->options)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a transport");
    arena = codec_arena((char *)transport->options + (size + 15) / 16 * 16, OPTIONS_MEMORY - 16);
    status = plugin->options ? codec_fields_defaults(plugin->options, transport->options, &arena, error) : GAVEL_OK;
    if (status == GAVEL_OK)
        status = plugin->create(&transport->services, transport->options, &transport->self, error);
    if (status != GAVEL_OK)
        goto free_options;
    if (plugin->start)
        status = plugin->start(transport->self, error);
    if (status == GAVEL_OK)
        status = transport->operations->prepare(transport->self, &transport->events, &transport->limits, error);
    if (status != GAVEL_OK)
        goto destroy;
    client->transport_count++;
    return GAVEL_OK;

destroy:
    plugin->destroy(transport->self);
free_options:
    free(transport->options);
    transport->options = NULL;
    return status;
}

static void transport_free(struct client_transport *transport)
{
    if (!transport->options)
        return;
    transport->plugin->destroy(transport->self);
    free(transport->options);
    transport->options = NULL;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void finish_close(struct gavel_client *client)
{
    uint32_t i;

    for (i = 0; i < client->transport_count; i++)
        transport_free(&client->transports[i]);
    client_timers_fini(&client->timers);
    client_host_close(&client->host);
}

static void transport_quiet(void *context)
{
    struct gavel_client *client = context;

    assert(client->transports_open > 0);
    if (--client->transports_open == 0)
        client_host_later(&client->host, &client->end); /* not from within a transport's own call */
}

static void end_run(struct client_job *job)
{
    finish_close(os_container(job, struct gavel_client, end));
}

static void stop_run(struct client_job *job)
{
    struct gavel_client *client = os_container(job, struct gavel_client, stop);
    uint32_t i;

    assert(client->magic == CLIENT_MAGIC);
    client->closing = true;
    client_stream_end_all(client);
    client_call_end_all(client);
    client_session_orphan_all(client);
    for (i = 0; i < client->endpoint_count; i++)
        client_endpoint_close(client->endpoints[i]);
    client->transports_open = client->transport_count + 1;
    for (i = 0; i < client->transport_count; i++) {
        struct client_transport *transport = &client->transports[i];

        if (transport->plugin->quiesce)
            transport->plugin->quiesce(transport->self, transport_quiet, client);
        else
            transport_quiet(client);
    }
    transport_quiet(client);
}

/* Free what the thread has left. */
static void client_free(struct gavel_client *client)
{
    uint32_t i;

    client_host_fini(&client->host);
    for (i = 0; i < client->endpoint_count; i++)
        client_endpoint_free(client->endpoints[i]);
    client_schema_free(client->schema);
    gavel_buffer_free(&client->out);
    free(client->arena);
    free(client->table);
    free(client->name);
    free(atomic_load(&client->store));
    (void)pthread_mutex_destroy(&client->tried_lock);
    client->magic = 0;
    free(client);
}

void gavel_client_close(struct gavel_client *client)
{
    if (!client)
        return;
    assert(client->magic == CLIENT_MAGIC);
    assert(!client_host_inside(&client->host)); /* it would wait for itself */
    while (client_host_post(&client->host, &client->stop) == GAVEL_E_BUSY)
        sched_yield(); /* the inbox is full of calls; the loop is emptying it */
    client_free(client);
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

static int32_t add_endpoints(struct gavel_client *client, const char *list, struct gavel_error *error)
{
    const char *at = list;

    while (at && *at) {
        size_t size = strcspn(at, ", \t\n");
        int32_t place = size ? client_endpoint_add(client, gavel_bytes(at, size), false, error) : 0;

        if (place < 0)
            return place;
        at += size;
        at += strspn(at, ", \t\n");
    }
    if (client->endpoint_count == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "no endpoint was given: ws://host:port, several separated by commas");
    return GAVEL_OK;
}

static void start_run(struct client_job *job)
{
    client_endpoint_demand(os_container(job, struct gavel_client, begin));
}

static int32_t take_options(struct gavel_client *client, const struct gavel_client_options *options,
                            struct gavel_error *error)
{
    const char *serializer = options->serializer ? options->serializer : "msgpack";
    bool json = strcmp(serializer, "json") == 0;

    if (!json && strcmp(serializer, "msgpack") != 0)
        return gavel_fail(error, GAVEL_E_INVALID, "'%s' is no serializer of this library: msgpack or json", serializer);
    if (options->role > GAVEL_ROLE_ADMIN)
        return gavel_fail(error, GAVEL_E_INVALID, "there is no such role");
    client->prefer_json = json;
    client->role = options->role == GAVEL_ROLE_ADMIN ? CODEC_ROLE_ADMIN : CODEC_ROLE_CLIENT;
    client->timeout_ms = options->timeout_ms ? options->timeout_ms : CLIENT_TIMEOUT_MS;
    client->stay = options->stay != 0;
    client->host.log = options->log;
    client->host.log_context = options->log_context;
    client->name = strdup(options->name ? options->name : "libgavel");
    return client->name ? GAVEL_OK : gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a client");
}

/* Everything that is there before the thread is. */
static int32_t client_build(struct gavel_client *client, const struct gavel_client_options *options,
                            struct gavel_error *error)
{
    int32_t status = take_options(client, options, error);

    if (status == GAVEL_OK && client_timers_init(&client->timers, &client->host.services) != GAVEL_OK)
        status = gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a client");
    if (status == GAVEL_OK)
        status = transport_open(client, gavel_plugin_tcp(), error);
#ifdef CLIENT_WEBSOCKET
    if (status == GAVEL_OK)
        status = transport_open(client, gavel_plugin_websocket(), error);
#endif
    if (status == GAVEL_OK)
        status = add_endpoints(client, options->endpoints, error);
    if (status == GAVEL_OK)
        status = client_host_post(&client->host, &client->begin);
    if (status == GAVEL_OK)
        status = client_host_start(&client->host, error);
    return status;
}

int32_t gavel_client_open(const struct gavel_client_options *options, struct gavel_client **client,
                          struct gavel_error *error)
{
    struct gavel_client *made = calloc(1, sizeof *made);
    struct gavel_client_options known = gavel_client_defaults();
    int32_t status;

    if (!made)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a client");
    memcpy(&known, options, options->size < known.size ? options->size : known.size);
    status = client_host_init(&made->host, error);
    if (status != GAVEL_OK) {
        free(made);
        return status;
    }
    made->magic = CLIENT_MAGIC;
    made->out = codec_buffer(0);
    made->begin.run = start_run;
    made->stop.run = stop_run;
    made->end.run = end_run;
    os_list_init(&made->every);
    os_list_init(&made->waiting);
    os_list_init(&made->wanting);
    os_list_init(&made->sessions);
    os_list_init(&made->opened);
    (void)pthread_mutex_init(&made->tried_lock, NULL);
    status = client_build(made, &known, error);
    if (status == GAVEL_OK) {
        *client = made;
        return GAVEL_OK;
    }
    gavel_client_close(made); /* without a thread the loop ends it on this one */
    return status;
}
