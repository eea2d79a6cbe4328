/* SPDX-License-Identifier: Apache-2.0 */
/* net_world.c - see net_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"

#include "net_world.h"

/* ---- what the network asks of the world ---------------------------------------------------------------- */

struct world *the_world;

void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t at)
{
    event->at = at < sim->now ? sim->now : at;
    sim_queue_put(&the_world->queue, event);
}

void sim_cancel(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    sim_queue_remove(&the_world->queue, event);
}

struct sim_random sim_stream(const struct sim *sim, enum sim_stream stream, uint64_t number)
{
    struct sim_random part = sim_split(sim->seed, stream);

    return sim_split(part.state, number);
}

void sim_trace(struct sim *sim, const struct sim_node *node, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sim->trace_hash = gavel_mix(sim->trace_hash, text, strlen(text)) + sim->now;
    if (node)
        sim->trace_hash = gavel_mix(sim->trace_hash, node->name, strlen(node->name));
}

void sim_oracle_step(struct sim_oracle *oracle, struct sim_node *node)
{
    (void)oracle, (void)node;
}

void sim_oracle_sent(struct sim_oracle *oracle, struct sim_node *from, struct sim_node *to, struct gavel_slice message)
{
    (void)oracle;
    (void)to;
    assert_non_null(from);
    assert_true(message.size >= 8);
    the_world->sent++;
}

/* ---- hosts --------------------------------------------------------------------------------------------- */

static struct line *line_new(struct host *host, void *handle)
{
    struct line *line = calloc(1, sizeof *line);

    assert(line);
    assert(host->line_count < CONNECTIONS);
    line->host = host;
    line->handle = handle;
    host->lines[host->line_count++] = line;
    return line;
}

static void *on_accepted(void *context, void *connection, const struct gavel_peer *peer)
{
    struct host *host = context;
    struct line *line;

    assert_true(peer->address.size > 2);
    if (host->refuses)
        return NULL;
    line = line_new(host, connection);
    line->open = true;
    return line;
}

static void on_connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    struct line *line = cookie;

    (void)context;
    (void)peer;
    assert_false(line->open);
    line->open = true;
}

static void on_message(void *context, void *cookie, struct gavel_slice message)
{
    struct line *line = cookie;
    const unsigned char *data = message.data;

    assert_ptr_equal(context, line->host);
    assert_true(line->open);
    assert_true(message.size >= 8);
    for (uint64_t i = 8; i < message.size; i++)
        assert_int_equal(data[i], (unsigned char)(data[4] + i));
    if (line->count < MESSAGES)
        memcpy(&line->order[line->count], data + 4, 4);
    line->count++;
    line->first_at = line->first_at ? line->first_at : the_world->sim.now;
    line->last_at = the_world->sim.now;
}

static void on_quiet(void *context)
{
    struct host *host = context;

    host->quiet++;
}

static void on_drained(void *context, void *cookie)
{
    struct line *line = cookie;

    (void)context;
    line->drained++;
}

static void on_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct line *line = cookie;

    (void)context;
    assert_true(why.size > 0);
    line->open = false;
    line->reason = reason;
    line->closed++;
    line->ended_at = the_world->sim.now;
}

void host_begin(struct host *host, bool listens)
{
    struct gavel_transport_limits limits = {.size = sizeof limits, .message_bytes = 1 << 20, .send_high = 1 << 20,
                                            .dial_ms = 2000, .keepalive_ms = 5000, .connections = 32};
    struct gavel_error error;
    struct gavel_slice bound;
    char uri[32];

    host->events = (struct gavel_transport_events){.size = sizeof host->events, .context = host,
                                                   .accepted = on_accepted, .connected = on_connected,
                                                   .message = on_message, .quiet = on_quiet,
                                                   .drained = on_drained, .closed = on_closed};
    assert_int_equal(sim_transport.prepare(host->side, &host->events, &limits, &error), GAVEL_OK);
    (void)snprintf(uri, sizeof uri, "sim://n%u", (unsigned)(host - host->world->hosts) + 1);
    if (listens)
        assert_int_equal(sim_transport.listen(host->side, gavel_text(uri), &bound, &error), GAVEL_OK);
}

/* ---- the world ----------------------------------------------------------------------------------------- */

struct world *world_new(uint64_t seed, const struct sim_options *options, uint32_t nodes, uint32_t clients)
{
    struct world *world = calloc(1, sizeof *world);

    assert(world);
    the_world = world;
    world->sim.seed = seed;
    world->sim.now = SIM_S;
    if (options)
        world->sim.options = *options;
    if (!world->sim.options.link_us)
        world->sim.options.link_us = 100;
    world->sim.net = sim_net_new(&world->sim);
    world->host_count = nodes + clients;
    world->sim.node_count = nodes;
    for (uint32_t i = 0; i < nodes + clients; i++) {
        struct sim_node *node = i < nodes ? &world->sim.nodes[i] : NULL;

        world->hosts[i].world = world;
        if (node) {
            node->sim = &world->sim;
            node->number = i;
            (void)snprintf(node->name, sizeof node->name, "n%u", i + 1);
        }
        world->hosts[i].side = sim_net_side(world->sim.net, node, "client");
        if (node)
            node->side = world->hosts[i].side;
        host_begin(&world->hosts[i], i < nodes);
    }
    return world;
}

void world_free(struct world *world)
{
    world->sim.net = sim_net_free(world->sim.net);
    assert_null(sim_queue_soonest(&world->queue)); /* nothing of it is left behind */
    sim_queue_free(&world->queue);
    for (uint32_t i = 0; i < world->host_count; i++)
        for (uint32_t k = 0; k < world->hosts[i].line_count; k++)
            free(world->hosts[i].lines[k]);
    free(world);
}

void run_until(struct world *world, uint64_t at)
{
    struct sim_event *event;

    while ((event = sim_queue_soonest(&world->queue)) != NULL && event->at <= at) {
        (void)sim_queue_pop(&world->queue);
        assert_true(event->at >= world->sim.now);
        world->sim.now = event->at;
        event->run(&world->sim, event);
    }
    world->sim.now = at;
}

void run_ms(struct world *world, uint64_t ms)
{
    run_until(world, world->sim.now + ms * SIM_MS);
}

struct line *dial(struct world *world, uint32_t from, uint32_t to)
{
    struct host *host = &world->hosts[from];
    struct line *line = line_new(host, NULL);
    struct gavel_error error;
    char uri[32];

    (void)snprintf(uri, sizeof uri, "sim://n%u", to + 1);
    assert_int_equal(sim_transport.connect(host->side, gavel_text(uri), line, &line->handle, &error), GAVEL_OK);
    assert_false(line->open);
    return line;
}

int32_t say(struct line *line, uint32_t type, uint32_t number, uint64_t size)
{
    static unsigned char bytes[1 << 20];
    struct gavel_slice parts[2];

    if (!line->open)
        return GAVEL_E_CLOSED; /* the handle is gone */
    bytes[0] = 0x82;
    bytes[1] = 1;
    bytes[2] = (unsigned char)type;
    memcpy(bytes + 4, &number, 4);
    for (uint64_t i = 8; i < size; i++)
        bytes[i] = (unsigned char)(bytes[4] + i);
    parts[0] = gavel_bytes(bytes, 5);
    parts[1] = gavel_bytes(bytes + 5, size - 5);
    return sim_transport.send(line->host->side, line->handle, parts, 2);
}

void say_many(struct line *line, uint32_t type, uint32_t from, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        (void)say(line, type, from + i, 8 + (from + i) % 400);
        if (i % 4 == 3)
            run_until(the_world, the_world->sim.now + 100 * SIM_US);
    }
}

struct line *pair(struct world *world, struct line **there)
{
    struct line *line = dial(world, 0, 1);

    run_ms(world, 100);
    assert_true(line->open);
    *there = world->hosts[1].lines[world->hosts[1].line_count - 1];
    assert_int_equal(say(line, CODEC_HELLO, 0, 8), GAVEL_OK);
    run_ms(world, 1000);
    assert_int_equal(say(*there, CODEC_WELCOME, 0, 8), GAVEL_OK);
    run_ms(world, 1000);
    assert_int_equal((*there)->count, 1);
    assert_int_equal(line->count, 1);
    return line;
}

void assert_exact(const struct line *line, uint32_t count)
{
    assert_int_equal(line->count, count + 1u);
    for (uint32_t i = 0; i <= count; i++)
        assert_int_equal(line->order[i], i);
}
