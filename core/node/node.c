/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.c - the life of a node.
 *
 *   NEW -> FOUNDING -> RESTORING -> RUNNING -> HANDING -> CLOSING -> STOPPED
 *            \________________________/ \_________________/
 *   from every phase: DEAD, by node_fatal. Nothing leads out of STOPPED and DEAD.
 */
#include "core/node/internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"

uint64_t node_now(const struct node *node)
{
    return os_mono_ns(node->os);
}

/* xorshift*: jitter and seeds, nothing that anybody must not guess. */
uint64_t node_random(struct node *node)
{
    node->seed ^= node->seed >> 12;
    node->seed ^= node->seed << 25;
    node->seed ^= node->seed >> 27;
    return node->seed * UINT64_C(0x2545f4914f6cdd1d);
}

/* ---- what the host is told ----------------------------------------------------------------------------- */

bool node_log_wanted(const struct node *node, uint64_t level, const char *module)
{
    const struct node_callbacks *callbacks = &node->setup.callbacks;

    if (!node->setup.host || !node->setup.host->log)
        return false;
    return !callbacks->log_wanted || callbacks->log_wanted(callbacks->context, level, module);
}

void node_log(struct node *node, uint64_t level, const char *module, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    if (!node_log_wanted(node, level, module))
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (node->logging && node->traces && node->setup.host->log_traced)
        node->setup.host->log_traced(node->setup.host->self, level, module, node->logging, gavel_text(text));
    else
        node->setup.host->log(node->setup.host->self, level, module, gavel_text(text));
}

void node_record(struct node *node, uint64_t metric, double value, const char *attribute, const char *text)
{
    struct gavel_attribute one = {.name = attribute, .value = gavel_text(text)};

    if (metric)
        node->setup.host->record(node->setup.host->self, metric, value, &one, 1);
}

void node_observe(struct node *node, uint64_t series, double value)
{
    if (series)
        node->setup.host->observe(node->setup.host->self, series, value);
}

static void register_metrics(struct node *node)
{
    const struct gavel_host *host = node->setup.host;

    if (!host || host->size < GAVEL_END(struct gavel_host, log_traced) || !host->metric || !host->record ||
        !host->series || !host->observe)
        return;
#define METRIC(symbol, kind, name, unit, attributes, help) \
    node->metric.symbol = host->metric(host->self, GAVEL_##kind, name, unit, help); \
    if (!*(attributes)) \
        node->series.symbol = host->series(host->self, node->metric.symbol, NULL, 0);
    NODE_METRICS(METRIC)
#undef METRIC
}

void node_fatal(struct node *node, int exit_code, const char *format, ...)
{
    va_list arguments;

    if (!node_alive(node))
        return;
    node->phase = NODE_DEAD;
    node->last_fatal.code = exit_code;
    va_start(arguments, format);
    (void)vsnprintf(node->last_fatal.text, sizeof node->last_fatal.text, format, arguments);
    va_end(arguments);
    node->setup.callbacks.fatal(node->setup.callbacks.context, exit_code, node->last_fatal.text);
}

/* ---- making -------------------------------------------------------------------------------------------- */

static void set(uint64_t *limit, uint64_t fallback)
{
    if (*limit == 0)
        *limit = fallback;
}

static void fill_limits(struct node_limits *limits)
{
    set(&limits->election_min_ms, 150);
    set(&limits->election_max_ms, 300);
    set(&limits->heartbeat_ms, 50);
    set(&limits->disk_stall_ms, 4 * limits->election_max_ms);
    set(&limits->priority_delay_ms, 32 * limits->election_max_ms);
    set(&limits->append_window_bytes, 4u << 20);
    set(&limits->batch_bytes, 256u << 10);
    set(&limits->batch_entries, 1024);
    set(&limits->command_bytes, 960u << 10);
    set(&limits->proposals, 16384);
    set(&limits->reads, 16384);
    set(&limits->clients, 10000);
    set(&limits->client_in_flight, 1024);
    set(&limits->request_ms, 5000);
    set(&limits->peer_reply_ms, 2000);
    set(&limits->redial_min_ms, 50);
    set(&limits->redial_max_ms, 2000);
    set(&limits->sessions, 10000);
    set(&limits->session_window, 1024);
    set(&limits->session_bytes, 256u << 10);
    set(&limits->session_ttl_ms, 600000);
    set(&limits->streams, 10000);
    set(&limits->event_ring_bytes, 16u << 20);
    set(&limits->snapshot_entries, 1000);
    set(&limits->snapshot_log_min, 64u << 20);
    set(&limits->snapshot_keep, 5);
    set(&limits->transfer_wait_ms, 60000);
    set(&limits->log_trailing_bytes, 32u << 20);
    set(&limits->log_cache_bytes, 8u << 20);
    set(&limits->stop_ms, 3000);
    health_fill(&limits->health);
    while (limits->proposals & (limits->proposals - 1))
        limits->proposals &= limits->proposals - 1; /* the ring of waiters is a power of two */
}

static int32_t make_parts(struct node *node, struct gavel_error *error)
{
    struct session_limits sessions = {.sessions = node->limits.sessions,
                                      .window = node->limits.session_window,
                                      .bytes = node->limits.session_bytes,
                                      .ttl_ms = node->limits.session_ttl_ms};

    node->out = codec_buffer(0);
    node->body = codec_buffer(0);
    node->abilities = codec_buffer(0);
    node->settings = settings_new();
    node->roster = roster_new();
    node->record = codec_buffer(0);
    node->read_results = codec_buffer(0);
    node->run.records = codec_buffer(0);
    node->scratch = malloc(NODE_SCRATCH_BYTES);
    node->arguments = malloc(CODEC_CHECK_ARENA);
    node->gated = malloc(NODE_GATED_MAX * sizeof *node->gated); /* most of it is never touched */
    node->building = calloc(node->limits.batch_entries, sizeof *node->building);
    node->waiters = calloc(node->limits.proposals, sizeof *node->waiters);
    node->figures = calloc(1, sizeof *node->figures);
    node->pool = log_pool_new(4u << 20);
    node->apply = apply_new(node->setup.machines, node->setup.machine_count, &sessions, node->setup.name);
    if (!node->scratch || !node->arguments || !node->gated || !node->building || !node->waiters || !node->figures ||
        !node->pool || !node->apply || !node->settings || !node->roster || settings_abilities(node) != GAVEL_OK ||
        events_new(node) != GAVEL_OK || snapshots_new(node) != GAVEL_OK ||
        seed_new(node) != GAVEL_OK || peers_from_setup(node) != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a node");
    if (declare_begin(node, error) != GAVEL_OK)
        return gavel_wrap(error, "[capabilities]");
    apply_log(node->apply, node->setup.host);
    node->bounded = apply_bounded(node->apply);
    return client_commands(node, error);
}

static int32_t check_setup(const struct node_setup *setup, struct gavel_error *error)
{
    bool listed = setup->member_count == 0 || setup->join_count > 0;

    for (uint32_t i = 0; i < setup->member_count; i++)
        listed = listed || strcmp(setup->members[i].name, setup->name) == 0;
    if (!listed)
        return gavel_fail(error, GAVEL_E_CONFIG, "[cluster] members does not list this node, '%s'",
                          setup->name);
    if (setup->discovers && (setup->member_count || setup->join_count))
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "a node that discovers others is told neither members nor whom to join");
    if (setup->expect > NODE_MEMBERS_MAX ||
        setup->member_count > NODE_MEMBERS_MAX || setup->join_count > NODE_JOIN_MAX ||
        setup->machine_count > NODE_MACHINES_MAX ||
        setup->transport_count > NODE_TRANSPORTS_MAX || setup->serializer_count > NODE_SERIALIZERS_MAX)
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "more members, addresses to join by, machines, transports or serializers than a node takes");
    if (setup->machine_count == 0)
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "no state machine is configured: add a section [statemachine.NAME]");
    return GAVEL_OK;
}

int32_t node_new(const struct node_setup *setup, struct node **out, int *exit_code, struct gavel_error *error)
{
    const struct node_serializer *offered[NODE_SERIALIZERS_MAX];
    struct node *node;
    int32_t status = check_setup(setup, error);

    *exit_code = 78;
    if (status != GAVEL_OK)
        return status;
    *exit_code = 70;
    node = calloc(1, sizeof *node);
    if (!node)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a node");
    node->magic = NODE_MAGIC;
    node->phase = NODE_NEW;
    node->setup = *setup;
    node->limits = setup->limits;
    node->os = setup->os;
    node->armed_ns = UINT64_MAX;
    fill_limits(&node->limits);
    os_random(node->os, &node->seed, sizeof node->seed);
    node->seed |= 1;
    os_list_init(&node->conns);
    os_list_init(&node->peers);
    os_list_init(&node->gone);
    os_list_init(&node->forwards);
    os_list_init(&node->parked);
    os_list_init(&node->reads);
    os_list_init(&node->ready_reads);
    os_list_init(&node->running_reads);
    node->native = (struct node_serializer){.name = "msgpack", .operations = codec_msgpack()};
    for (uint32_t i = 0; i < setup->serializer_count; i++)
        offered[i] = &setup->serializers[i];
    node_offer(node, offered, setup->serializer_count, 0);
    found_hash(node);
    register_metrics(node);
    status = make_parts(node, error);
    if (status == GAVEL_OK && (traces_new(node) != GAVEL_OK || measures_new(node) != GAVEL_OK))
        status = gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a node");
    if (status == GAVEL_OK) {
        *exit_code = 74;
        status = conn_listen(node, error);
    }
    if (status == GAVEL_OK)
        status = recover_open(node, exit_code, error);
    if (status != GAVEL_OK) {
        node->phase = NODE_DEAD;
        node_free(node);
        return status;
    }
    *out = node;
    return GAVEL_OK;
}

void node_start(struct node *node)
{
    assert(node->magic == NODE_MAGIC);
    assert(node->phase == NODE_NEW);
    node->started_ns = node_now(node);
    node->phase = NODE_FOUNDING;
    log_start(node->log);
    if (!node->founded)
        node->spans.cluster = trace_begin(node, SPAN_CLUSTER_INITIALIZE);
    if (node->founded)
        recover_begin(node);
    else
        found_step(node);
    node_settle(node);
}

/* ---- time ---------------------------------------------------------------------------------------------- */

static bool something_waits(const struct node *node)
{
    return (node->scout && node->phase == NODE_FOUNDING) || node->waiting || node->building_count ||
           node->change.active || node->leaving || node->wish.active ||
           node->parked_count || node->forward_count || node->read_count || node->rebuild;
}

/* The algorithm sees that the disk hangs, and hands over if that helps; people are told whoever it is. */
static void check_disk(struct node *node)
{
    struct raft_status status = engine_status(node);
    const char *const pairs[] = {"alarm", "disk_stall", "state", status.disk_stalls ? "on" : "over", NULL};

    if (status.disk_stalls == node->disk_stalls)
        return;
    node->disk_stalls = status.disk_stalls;
    if (status.disk_stalls)
        node_log(node, GAVEL_LOG_ERROR, "log", "The disk hangs: no write has ended for %llu ms; index %llu is durable, "
                 "up to %llu waits", (unsigned long long)(status.disk_waits_ns / NS_PER_MS),
                 (unsigned long long)status.durable_index, (unsigned long long)status.last_index);
    else
        node_log(node, GAVEL_LOG_INFO, "log", "The disk gets on again");
    event_local(node, "alarm", "disk_stall", pairs);
}

static void housekeeping(struct node *node, uint64_t now)
{
    if (now < node->tick_at)
        return;
    node->tick_at = now + (something_waits(node) ? NODE_TICK_NS : NODE_SLOW_TICK_NS);
    conn_expire(node, now);
    client_expire(node, now);
    propose_expire(node, now);
    change_expire(node, now);
    read_expire(node, now);
    save_expire(node, now);
    settings_ask(node);
    if (node->scout && node->phase == NODE_FOUNDING)
        seed_step(node);
    check_disk(node);
    work_maintain(node, now);
    if (node->leaving)
        swap_expire(node, now);
    checkup_look(node, now);
    node_gauges(node);
    majority_watch(node, now);
    divergence_look(node);
    rebuild_step(node);
}

void node_deadline(struct node *node)
{
    uint64_t now = node_now(node);
    struct raft_event event = {.type = RAFT_EVENT_TIME};

    assert(node->magic == NODE_MAGIC);
    if (!node_working(node))
        return;
    node->armed_ns = UINT64_MAX; /* it has fired: whatever is next has to be told */
    if (node->log && log_deadline(node->log) <= now)
        log_wake(node->log, now);
    if (node->raft && node->effects.deadline <= now)
        (void)engine_step(node, &event);
    if (node_alive(node))
        peers_dial(node, now);
    if (node_working(node))
        snapshot_send_on(node, now);
    if (node_alive(node))
        checkup_step(node, now);
    if (node_alive(node))
        housekeeping(node, now);
    node_settle(node);
}

/* ---- stopping ------------------------------------------------------------------------------------------ */

static void log_stopped(void *ctx)
{
    struct node *node = ctx;

    if (!node_alive(node))
        return;
    if (node->removed) {
        node_fatal(node, 78,
                   "this node, member %llu, was removed from its cluster: its data directory is of no use any more",
                   (unsigned long long)node->member_id);
        return;
    }
    node->phase = NODE_STOPPED;
    node->setup.callbacks.stopped(node->setup.callbacks.context);
}

static void close_everything(struct node *node)
{
    struct os_list *at = node->conns.next;

    node->phase = NODE_CLOSING;
    node->stop_at = 0;
    event_end_all(node, GAVEL_E_CLOSED, "this node is stopping");
    propose_drop(node, GAVEL_E_NO_LEADER, "this node is stopping; nothing was done");
    if (node->change.active)
        change_lost(node, GAVEL_E_UNKNOWN, "this node is stopping; the change of members may or may not be done");
    for (uint32_t i = 0; i < NODE_TRANSPORT_SLOTS; i++)
        if (node->listeners[i].transport && !node->listeners[i].leaving)
            node->listeners[i].transport->operations->unlisten(node->listeners[i].transport->self);
    while (at != &node->conns) {
        struct conn *conn = os_container(at, struct conn, link);

        at = at->next;
        conn_goodbye(conn, GAVEL_E_CLOSED, "this node is stopping");
    }
    snapshots_give_up(node);
    log_stop(node->log, log_stopped, node);
}

/* Stopping goes on by itself: leadership first, then what waits for an answer, then the end. */
void node_stop_step(struct node *node)
{
    bool late;
    bool answered;

    if (node->phase != NODE_HANDING)
        return;
    late = node->stop_at && node_now(node) >= node->stop_at;
    answered = node->waiting == 0 && node->building_count == 0 && node->forward_count == 0 &&
               (node->parked_count == 0 || !node->handed);
    if (late || (!node->transfer_asked && answered && work_idle(node)))
        close_everything(node);
}

void node_stop(struct node *node)
{
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER};

    assert(node->magic == NODE_MAGIC);
    if (!node_alive(node) || node->phase >= NODE_HANDING)
        return;
    node->phase = NODE_HANDING;
    node->stop_at = node_now(node) + node->limits.stop_ms * NS_PER_MS;
    if (node->raft && node->role == RAFT_LEADER && !node->transfer_asked) {
        propose_now(node);
        node->transfer_asked = true; /* before the step: it may end in the same one */
        if (engine_step(node, &event) != RAFT_OK)
            node->transfer_asked = false;
    }
    node_settle(node);
}

void node_abandon(struct node *node)
{
    assert(node->magic == NODE_MAGIC);
    if (node_alive(node))
        node->phase = NODE_DEAD;
}

void node_free(struct node *node)
{
    if (!node)
        return;
    assert(node->magic == NODE_MAGIC);
    assert(!node_alive(node));
    recover_free(node);
    while (!os_list_empty(&node->peers)) {
        struct peer *peer = os_container(node->peers.next, struct peer, link);

        if (peer->reading)
            log_read_release(&peer->read);
        peer_free(peer);
    }
    while (!os_list_empty(&node->gone)) {
        struct peer *peer = os_container(node->gone.next, struct peer, link);

        log_read_release(&peer->read);
        peer_free(peer);
    }
    directory_free(&node->directory);
    conn_free_all(node);
    client_free(node);
    traces_free(node);
    measures_free(node);
    read_free_all(node);
    work_free(node);
    rebuild_free(node);
    snapshots_free(node);
    events_free(node);
    log_builder_free(&node->builder);
    log_builder_free(&node->special);
    log_free(node->log);
    apply_free(node->apply);
    log_pool_free(node->pool);
    gavel_buffer_free(&node->out);
    gavel_buffer_free(&node->body);
    gavel_buffer_free(&node->record);
    gavel_buffer_free(&node->abilities);
    settings_free(node->settings);
    roster_free(node->roster);
    declare_free(node);
    seed_free(node);
    free(node->effects.items);
    free(node->raft_memory);
    free(node->scratch);
    free(node->arguments);
    free(node->gated);
    free(node->building);
    free(node->waiters);
    free(node->figures);
    node->magic = 0;
    free(node);
}

bool node_formed(const struct node *node)
{
    return node->founded;
}

/* ---- small views --------------------------------------------------------------------------------------- */

bool node_is_leader(const struct node *node)
{
    return node->raft && node->role == RAFT_LEADER;
}

uint64_t node_applied(const struct node *node)
{
    return node->applied;
}

uint64_t node_commit(const struct node *node)
{
    return engine_commit(node);
}

const char *node_bound(const struct node *node, uint32_t transport, uint32_t listener)
{
    struct gavel_slice bound = {0};

    if (transport < NODE_TRANSPORT_SLOTS && listener < 8)
        bound = node->listeners[transport].bound[listener];
    return bound.data ? bound.data : "";
}
