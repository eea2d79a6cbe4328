/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process_node.c - the node inside the process: what it is made from, and what it asks its host for.
 */
#include "core/host/process.h"

#include "core/codec/field.h"
#include "core/host/ready.h"
#include "core/host/reload.h"
#include "core/host/topic.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)

/* ---- what the node asks for -------------------------------------------------------------------------------------- */

static void deadline_come(uv_timer_t *timer)
{
    struct host_process *process = timer->data;

    process->in_deadline = true;
    if (process->node)
        node_deadline(process->node);
    process->in_deadline = false;
}

/*
 * os_mono_ns and libuv read the same clock, so the moment is exact, however old the loop's idea of now is. libuv 1.44
 * runs a timer that its own call-back starts with 0 again before it looks at anything else, signals and sockets
 * included: such a one gets a millisecond.
 */
static void set_deadline(void *context, uint64_t mono_ns)
{
    struct host_process *process = context;
    uint64_t due, now, least = process->in_deadline ? 1 : 0;

    if (mono_ns == UINT64_MAX) {
        (void)uv_timer_stop(&process->deadline);
        return;
    }
    due = mono_ns / NS_PER_MS + (mono_ns % NS_PER_MS != 0);
    now = uv_now(&process->loop);
    (void)uv_timer_start(&process->deadline, deadline_come, due > now + least ? due - now : least, 0);
}

/* Directly and at once: the queue, the lanes and the disk below them cannot be trusted any more. */
static void fatal(void *context, int exit_code, const char *sentence)
{
    struct host_process *process = context;

    host_sink_drain(host_services_sink(process->services));
    host_supervise_stopping(process, 0, sentence);
    (void)fprintf(stderr, "gaveld: [%s] %s\n", process->name, sentence);
    _exit(exit_code);
}

static void stopped(void *context)
{
    struct host_process *process = context;

    uv_stop(&process->loop);
}

static bool log_wanted(void *context, uint64_t level, const char *module)
{
    struct host_process *process = context;

    return host_sink_wanted(host_services_sink(process->services), level, module);
}

static void metrics(void *context, struct gavel_writer *out)
{
    struct host_process *process = context;

    host_registry_write(host_services_registry(process->services), out);
}

static int32_t check_module(const struct host_process *process, struct gavel_slice module, struct gavel_error *error)
{
    struct host_topic topics[HOST_PARTS_MAX];

    for (unsigned i = 0; i < process->part_count; i++) {
        const struct host_part *part = process->part[i];

        topics[i] = (struct host_topic){part->config->kind, part->config->name, part->plugin->head.name};
    }
    return host_topic_check(module, topics, process->part_count, error);
}

static int32_t log_level(void *context, struct gavel_slice module, struct gavel_slice level, struct gavel_error *error)
{
    struct host_process *process = context;
    int32_t status = module.size ? check_module(process, module, error) : GAVEL_OK;

    if (status == GAVEL_OK)
        status = host_sink_set_level(host_services_sink(process->services), module, level, error);
    return status;
}

/* [{observer, level, levels}] of those that want logs. */
static void log_levels(void *context, struct gavel_writer *out)
{
    struct host_process *process = context;
    struct host_sink *sink = host_services_sink(process->services);
    const struct host_part *shown[HOST_PARTS_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < process->part_count; i++)
        if (process->part[i]->config->kind == GAVEL_KIND_OBSERVER &&
            process->part[i]->plugin->operations.observer.wants & GAVEL_OBSERVE_LOGS &&
            host_sink_bit(sink, &process->part[i]->instance.guard))
            shown[count++] = process->part[i];
    gavel_put_array(out, count);
    for (unsigned i = 0; i < count; i++) {
        gavel_put_map(out, 3);
        gavel_put_key(out, "observer");
        gavel_put_text(out, shown[i]->config->name);
        (void)host_sink_show_levels(sink, &shown[i]->instance.guard, out);
        gavel_put_end(out);
    }
    gavel_put_end(out);
}

static void reload(void *context, struct node_caller caller)
{
    host_reload_begin(context, caller, false);
}

static void stop(void *context)
{
    struct host_process *process = context;

    host_process_stop(process);
}

/* ---- what others may ask for ------------------------------------------------------------------------------------- */

static void probe_due(uv_timer_t *timer)
{
    struct host_process *process = timer->data;

    host_process_probe(process, false);
    if (++process->probed % HOST_PROBES_A_TICK == 0)
        host_sink_tick(host_services_sink(process->services));
}

void host_process_probe(struct host_process *process, bool begin)
{
    struct node_probe found[NODE_PROBES_MAX] = {{.name = "restored", .decides = NODE_PROBE_READY,
                                                 .reason = "this node is starting"}};
    uint32_t count = process->node ? node_probes(process->node, found) : 1;
    struct gavel_probe rows[NODE_PROBES_MAX];

    host_ready_rows(found, count, rows);
    host_probes_put(host_services_probes(process->services), rows, count,
                    process->running ? os_mono_ns(host_services_os(process->services)) / NS_PER_MS : 0);
    if (!begin)
        return;
    process->probe.data = process;
    (void)uv_timer_start(&process->probe, probe_due, HOST_PROBES_EVERY_MS, HOST_PROBES_EVERY_MS);
    uv_unref((uv_handle_t *)&process->probe);
}

/* ---- what it is made from ---------------------------------------------------------------------------------------- */

/* A limit of the cluster that the file does not give is the cluster's to say: 0. */
static uint64_t given(const struct host_config *config, const char *key, uint64_t value)
{
    return host_config_gives(config, "session", key) ? value : 0;
}

/* To the node 0 is its own default. Who writes 0 into the file wants the least there is. */
static uint64_t least(uint64_t value)
{
    return value ? value : 1;
}

struct node_limits host_process_limits(const struct host_config *config)
{
    return (struct node_limits){
        .election_min_ms = config->raft.election_timeout_min,
        .election_max_ms = config->raft.election_timeout_max,
        .heartbeat_ms = config->raft.heartbeat,
        .disk_stall_ms = config->raft.disk_stall_timeout,
        .priority_delay_ms = config->raft.priority_delay,
        .append_window_bytes = config->raft.append_window,
        .batch_bytes = config->raft.batch_bytes,
        .batch_entries = config->raft.batch_entries,
        .command_bytes = config->raft.command_bytes,
        .proposals = config->raft.proposals,
        .reads = config->raft.reads,
        .peer_reply_ms = config->raft.peer_reply_timeout,
        .redial_min_ms = config->raft.redial_min,
        .redial_max_ms = config->raft.redial_max,
        .clients = config->client.connections,
        .client_in_flight = config->client.in_flight,
        .request_ms = config->client.request_timeout,
        .streams = config->client.streams,
        .event_ring_bytes = config->client.event_ring,
        .sessions = given(config, "sessions", config->session.sessions),
        .session_window = given(config, "window", config->session.window),
        .session_bytes = given(config, "reply_bytes", config->session.reply_bytes),
        .session_ttl_ms = given(config, "ttl", config->session.ttl),
        .snapshot_entries = config->snapshot.snapshot_entries,
        .snapshot_log_min = least(config->snapshot.snapshot_log_min),
        .snapshot_keep = config->snapshot.snapshot_keep,
        .transfer_rate = config->snapshot.transfer_rate,
        .transfer_wait_ms = config->snapshot.transfer_wait,
        .log_segment_bytes = config->log.segment_bytes,
        .log_trailing_bytes = least(config->log.trailing_bytes),
        .log_cache_bytes = config->log.cache_bytes,
        .stop_ms = config->node.stop_timeout,
        .health = {.interval_ms = config->health.interval,
                   .timeout_ms = config->health.timeout,
                   .failures = config->health.failures,
                   .successes = config->health.successes,
                   .lag_entries = config->health.lag_entries,
                   .lag_bytes = config->health.lag_bytes,
                   .sync_p99_ms = config->health.sync_p99,
                   .sync_time_ms = config->health.sync_time,
                   .apply_backlog_ms = config->health.apply_backlog},
        .trace_arguments = config->trace.arguments,
    };
}

static uint32_t seeds_of(const struct host_config *config, const char *seeds[HOST_FOUND_MAX])
{
    const struct gavel_slice *items = config->cluster.seeds.items;
    uint32_t count = 0;

    for (; count < config->cluster.seeds.count && count < HOST_FOUND_MAX; count++)
        seeds[count] = items[count].data;
    return count;
}

/* Where this node says that it is reached; none: where it listens. */
static uint32_t advertised_by(const struct host_config *config, const char *addresses[NODE_ADDRESSES_MAX])
{
    uint32_t count = 0;

    for (unsigned i = 0; i < config->instance_count; i++) {
        const struct gavel_list *list = &config->instance[i].transport.advertise;
        const struct gavel_slice *items = list->items;

        for (uint64_t k = 0; config->instance[i].kind == GAVEL_KIND_TRANSPORT && k < list->count; k++)
            if (count < NODE_ADDRESSES_MAX)
                addresses[count++] = items[k].data;
    }
    return count;
}

uint32_t host_process_capabilities(const struct host_config *config,
                                   struct node_capability capabilities[CAPABILITY_PAIRS_MAX])
{
    for (unsigned i = 0; i < config->capabilities.count; i++)
        capabilities[i] = (struct node_capability){.name = config->capabilities.pair[i].name,
                                                   .value = config->capabilities.pair[i].value};
    return config->capabilities.count;
}

static bool full(uint32_t count, uint32_t max, const char *what)
{
    if (count < max)
        return false;
    (void)fprintf(stderr, "gaveld: more than %u %s\n", max, what);
    return true;
}

/* The node borrows these tables for as long as the part serves: those of the first parts lie in the process. */
static bool add_part(struct host_process *process, struct host_part *part)
{
    const struct host_plugin *plugin = part->plugin;

    switch (part->config->kind) {
    case GAVEL_KIND_TRANSPORT:
        if (full(process->transport_count, NODE_TRANSPORTS_MAX - 1, "transports"))
            return false;
        process->transport[process->transport_count] = part->transport;
        part->listening = &process->transport[process->transport_count++];
        return true;
    case GAVEL_KIND_SERIALIZER:
        if (full(process->serializer_count, NODE_SERIALIZERS_MAX, "serializers"))
            return false;
        process->serializer[process->serializer_count] = part->serializer;
        part->offered = &process->serializer[process->serializer_count++];
        return true;
    case GAVEL_KIND_STATEMACHINE:
        if (full(process->machine_count, NODE_MACHINES_MAX, "state machines"))
            return false;
        process->machine[process->machine_count++] = (struct node_machine){
            .name = part->config->name, .plugin = &plugin->head, .operations = &plugin->operations.statemachine,
            .self = part->instance.self,
            .settings = host_config_replicated(&process->setup->config, part->config),
            .given = host_config_given(&process->setup->config, part->config), .who = part->instance.who};
        return true;
    default:
        return true;
    }
}

int host_process_make_node(struct host_process *process)
{
    const struct host_config *config = &process->setup->config;
    struct node_setup setup = {
        .os = host_services_os(process->services),
        .host = &process->node_face.host,
        .name = process->name,
        .version = process->version,
        .data_dir = process->data_dir,
        .members = process->member,
        .member_count = config->member_count,
        .join = config->join,
        .join_count = config->join_count,
        .discovers = config->cluster.seeds.count || config->cluster.discover.count,
        .expect = (uint32_t)config->cluster.bootstrap_expect,
        .seeds = process->seed,
        .seed_count = seeds_of(config, process->seed),
        .addresses = process->advertised,
        .address_count = advertised_by(config, process->advertised),
        .capabilities = process->capability,
        .capability_count = host_process_capabilities(config, process->capability),
        .transports = process->transport,
        .serializers = process->serializer,
        .machines = process->machine,
        .limits = host_process_limits(config),
        .callbacks = {.context = process, .deadline = set_deadline, .fatal = fatal, .stopped = stopped,
                      .log_wanted = log_wanted, .metrics = metrics, .log_level = log_level, .log_levels = log_levels,
                      .reload = reload, .stop = stop},
    };
    struct gavel_error error = {.code = 0};
    int exit_code = EX_SOFTWARE;

    static_assert(HOST_MEMBERS_MAX <= NODE_MEMBERS_MAX, "every listed member fits");
    static_assert(HOST_JOIN_MAX <= NODE_JOIN_MAX, "every address to join by fits");
    static_assert(HOST_ADDRESSES_MAX <= NODE_ADDRESSES_MAX, "every address of one fits");
    for (unsigned i = 0; i < config->member_count; i++)
        process->member[i] = (struct node_member){.name = config->member[i].name,
                                                  .addresses = config->member[i].uri,
                                                  .address_count = config->member[i].uri_count};
    for (unsigned i = 0; i < process->part_count; i++)
        if (!add_part(process, process->part[i]))
            return EX_CONFIG;
    process->transport[process->transport_count++] = (struct node_transport){
        .name = "admin", .operations = &process->admin.guard.operations.transport, .self = &process->admin.guard,
        .listen = process->admin_listen, .listen_count = 1, .admin = true};
    setup.transport_count = process->transport_count;
    setup.serializer_count = process->serializer_count;
    setup.machine_count = process->machine_count;
    if (node_new(&setup, &process->node, &exit_code, &error) == GAVEL_OK)
        return EX_OK;
    (void)fprintf(stderr, "gaveld: %s\n", error.text);
    return exit_code;
}
