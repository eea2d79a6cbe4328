/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.c - the tables of the host's own keys. A limit without a reason is a trap, so each says what it bounds.
 */
#include "core/host/schema.h"

#include <gavel/plugin.h>

#define KIB (INT64_C(1) << 10)
#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)

#define AT(type, member) offsetof(struct type, member)

static const struct gavel_field node_rows[] = {
    {.name = "name", .id = 1, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED, .offset = AT(host_node_options, name),
     .min = 1, .max = HOST_NAME_MAX,
     .help = "Name of this node, as the members list spells it: letters, digits, '.', '_' and '-'"},
    {.name = "data_dir", .id = 2, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED,
     .offset = AT(host_node_options, data_dir), .min = 1, .max = HOST_DATA_DIR_MAX,
     .help = "Directory of the log, the votes and the snapshots, for this node alone; made when it does not exist, but "
             "not its parent. It has mode 0700: one that is there with another gets it, which the log tells. On a file "
             "system that copies on write (btrfs, ZFS, bcachefs, f2fs) a full disk ends the node, which waits on "
             "others"},
    {.name = "plugin_dir", .id = 3, .type = GAVEL_STRING, .offset = AT(host_node_options, plugin_dir), .min = 1,
     .max = 900, .fallback = GAVEL_PLUGINDIR,
     .help = "Directory that plugins are loaded from; the variable GAVEL_PLUGIN_DIR changes the default"},
    {.name = "stop_timeout", .id = 4, .type = GAVEL_DURATION, .offset = AT(host_node_options, stop_timeout),
     .fallback = "3s", .min = 100, .max = 600000,
     .flags = GAVEL_RELOADABLE,
     .help = "Longest time that a clean stop spends on handing leadership over and answering what it can"},
    {.name = "drain_timeout", .id = 5, .type = GAVEL_DURATION, .flags = GAVEL_RELOADABLE,
     .offset = AT(host_node_options, drain_timeout), .fallback = "10s", .min = 100, .max = 3600000,
     .help = "Longest time that a transport, serializer or observer which a reload has replaced goes on serving those "
             "who use it"},
    {.name = "slow_call", .id = 6, .type = GAVEL_DURATION, .offset = AT(host_node_options, slow_call),
     .fallback = "1s", .min = 10, .max = 600000,
     .help = "A call of a plugin that has not returned after this time is named in the log, and again after twice, "
             "four times ... it"},
};

static const struct gavel_field cluster_rows[] = {
    {.name = "members", .id = 1, .type = GAVEL_LIST, .element = GAVEL_STRING, .flags = GAVEL_RELOADABLE,
     .offset = AT(host_cluster_options, members), .min = 1, .max = 32,
     .help = "The members that found the cluster, this one among them, as name=uri, or name=uri|uri when a member has "
             "several addresses; the same list, in the same order, on each of them: the first one founds when all of "
             "them are there; a port is the one that is dialled, not 0. Looked at only while the data directory is "
             "empty and join is not given; later, members come and go by command"},
    {.name = "join", .id = 2, .type = GAVEL_LIST, .element = GAVEL_STRING, .flags = GAVEL_RELOADABLE,
     .offset = AT(host_cluster_options, join), .min = 1, .max = HOST_JOIN_MAX,
     .help = "Addresses of members of a cluster that is there already: with them an empty node founds nothing, "
             "whatever members says, but asks there and waits until it has been added. Looked at only while the data "
             "directory is empty"},
    {.name = "seeds", .id = 3, .type = GAVEL_LIST, .element = GAVEL_STRING, .flags = GAVEL_RELOADABLE,
     .offset = AT(host_cluster_options, seeds), .min = 1, .max = 64,
     .help = "In place of members and join: addresses at which other nodes of the cluster may be, without their names; "
             "this node's own may be among them. With bootstrap_expect those of all nodes that found, for each has to "
             "see each other one. Looked at only while the data directory is empty"},
    {.name = "discover", .id = 4, .type = GAVEL_LIST, .element = GAVEL_STRING, .flags = GAVEL_RELOADABLE,
     .offset = AT(host_cluster_options, discover), .min = 1, .max = HOST_SOURCES_MAX,
     .help = "Names that lead to such addresses, asked again until this node is in a cluster: dns://NAME:PORT takes "
             "all addresses of a name, dns+srv://_gavel._tcp.NAME the hosts and ports of its SRV records. The scheme "
             "is that of the first listener unless ?scheme=S stands behind it. dns:// dials IP addresses: over a "
             "transport with TLS a certificate has to name them (as IP subject alternative names); dns+srv:// dials "
             "the host names of the records"},
    {.name = "discover_server", .id = 5, .type = GAVEL_STRING, .flags = GAVEL_RELOADABLE,
     .offset = AT(host_cluster_options, discover_server), .min = 1, .max = 21,
     .help = "The name server that is asked instead of this machine's, as IPv4:PORT; 127.0.0.1:8600 is Consul's"},
    {.name = "bootstrap_expect", .id = 6, .type = GAVEL_UINT, .flags = GAVEL_RELOADABLE,
     .offset = AT(host_cluster_options, bootstrap_expect), .fallback = "0", .min = 0, .max = 32, .unit = "nodes",
     .help = "With seeds or discover: the number of all nodes that may found the cluster, the same on each of them, "
             "not a least number: with 2 of 4, two pairs could found two. When so many empty ones see each other, "
             "and nobody who is in a cluster already, the one with the lowest name founds it with all of them; "
             "when there are more, nobody does. A node that comes later is added by command. 0: this "
             "node founds nothing, and waits to be added. Founding that does not come to its end: see "
             "founding-hangs in gavel-runbook(7)"},
};

static const struct gavel_field raft_rows[] = {
    {.name = "election_timeout_min", .id = 1, .type = GAVEL_DURATION, .fallback = "150ms", .min = 10, .max = 600000,
     .offset = AT(host_raft_options, election_timeout_min),
     .help = "Shortest silence of the leader after which a follower asks for an election"},
    {.name = "election_timeout_max", .id = 2, .type = GAVEL_DURATION, .fallback = "300ms", .min = 11, .max = 600000,
     .offset = AT(host_raft_options, election_timeout_max),
     .help = "Longest one; each wait is drawn between the two, so that elections seldom meet"},
    {.name = "heartbeat", .id = 3, .type = GAVEL_DURATION, .fallback = "50ms", .min = 1, .max = 60000,
     .offset = AT(host_raft_options, heartbeat),
     .help = "Interval of the leader's heartbeats; at most half of election_timeout_min"},
    {.name = "append_window", .id = 4, .type = GAVEL_SIZE, .fallback = "4MiB", .min = 64 * KIB, .max = GIB,
     .offset = AT(host_raft_options, append_window),
     .help = "Bytes of log in flight to one peer without an answer"},
    {.name = "batch_bytes", .id = 5, .type = GAVEL_SIZE, .fallback = "256KiB", .min = 4 * KIB, .max = MIB,
     .offset = AT(host_raft_options, batch_bytes), .help = "Bytes at which a batch of entries is sealed at the latest"},
    {.name = "batch_entries", .id = 6, .type = GAVEL_UINT, .fallback = "1024", .min = 1, .max = 65535,
     .offset = AT(host_raft_options, batch_entries), .unit = "entries",
     .help = "Entries at which a batch is sealed at the latest"},
    {.name = "command_bytes", .id = 7, .type = GAVEL_SIZE, .fallback = "960KiB", .min = KIB, .max = 960 * KIB,
     .offset = AT(host_raft_options, command_bytes), .help = "Largest command, arguments and all, in its logged form"},
    {.name = "proposals", .id = 8, .type = GAVEL_UINT, .fallback = "16384", .min = 1, .max = 1048576,
     .offset = AT(host_raft_options, proposals), .unit = "commands",
     .help = "Commands that may wait for their commit on this node; one more is told that the node is busy"},
    {.name = "reads", .id = 9, .type = GAVEL_UINT, .fallback = "16384", .min = 1, .max = 1048576,
     .offset = AT(host_raft_options, reads), .unit = "reads",
     .help = "Reads that may wait for their barrier on this node"},
    {.name = "peer_reply_timeout", .id = 10, .type = GAVEL_DURATION, .flags = GAVEL_RELOADABLE,
     .fallback = "2s", .min = 50, .max = 600000,
     .offset = AT(host_raft_options, peer_reply_timeout),
     .help = "Time after which a request to a peer is given up; a later reply is dropped and counted"},
    {.name = "redial_min", .id = 11, .type = GAVEL_DURATION, .flags = GAVEL_RELOADABLE,
     .fallback = "50ms", .min = 1, .max = 600000,
     .offset = AT(host_raft_options, redial_min), .help = "First pause before a lost peer is dialled again"},
    {.name = "redial_max", .id = 12, .type = GAVEL_DURATION, .flags = GAVEL_RELOADABLE,
     .fallback = "2s", .min = 1, .max = 600000,
     .offset = AT(host_raft_options, redial_max),
     .help = "Longest one; pauses double, with jitter, until a hello has been good"},
    {.name = "disk_stall_timeout", .id = 13, .type = GAVEL_DURATION, .min = 20, .max = 600000,
     .offset = AT(host_raft_options, disk_stall_timeout),
     .help = "Time without progress of the disk, while writes wait for it, after which a leader hands over if the "
             "others get on without it, and any node shows an alarm; absent: four times election_timeout_max"},
    {.name = "priority_delay", .id = 14, .type = GAVEL_DURATION, .min = 20, .max = 86400000,
     .offset = AT(host_raft_options, priority_delay),
     .help = "How long a member of higher priority has to be there and close before it is handed the lead, and twice "
             "as long each time that it did not last; absent: thirty-two times election_timeout_max"},
};

static const struct gavel_field log_rows[] = {
    {.name = "segment_bytes", .id = 1, .type = GAVEL_SIZE, .fallback = "64MiB", .min = 2 * MIB, .max = 256 * MIB,
     .offset = AT(host_log_options, segment_bytes), .help = "Size of one file of the log"},
    {.name = "trailing_bytes", .id = 2, .type = GAVEL_SIZE, .fallback = "32MiB", .min = 0, .max = 64 * GIB,
     .offset = AT(host_log_options, trailing_bytes),
     .help = "Log kept behind a snapshot, so that a slow peer needs no snapshot"},
    {.name = "cache_bytes", .id = 3, .type = GAVEL_SIZE, .fallback = "8MiB", .min = 64 * KIB, .max = 16 * GIB,
     .offset = AT(host_log_options, cache_bytes), .help = "Recent log kept in memory for peers"},
};

static const struct gavel_field snapshot_rows[] = {
    {.name = "snapshot_entries", .id = 1, .type = GAVEL_UINT, .flags = GAVEL_RELOADABLE,
     .fallback = "1000", .min = 1, .max = INT64_MAX,
     .offset = AT(host_snapshot_options, snapshot_entries), .unit = "entries",
     .help = "A snapshot is taken after so many applied entries, and when snapshot_log_min is reached as well"},
    {.name = "snapshot_log_min", .id = 2, .type = GAVEL_SIZE, .flags = GAVEL_RELOADABLE,
     .fallback = "64MiB", .min = 0, .max = INT64_MAX,
     .offset = AT(host_snapshot_options, snapshot_log_min), .help = "Log written since the last snapshot"},
    {.name = "snapshot_keep", .id = 3, .type = GAVEL_UINT,
     .fallback = "5", .min = 1, .max = 100,
     .offset = AT(host_snapshot_options, snapshot_keep), .unit = "snapshots",
     .help = "Snapshots that stay on the disk"},
    {.name = "transfer_rate", .id = 4, .type = GAVEL_SIZE, .flags = GAVEL_RELOADABLE,
     .fallback = "0", .min = 0, .max = INT64_MAX,
     .offset = AT(host_snapshot_options, transfer_rate),
     .help = "Bytes a second of snapshots that this node sends to others, all together; 0: as fast as it goes; less "
             "than 64KiB counts as 64KiB"},
    {.name = "transfer_wait", .id = 5, .type = GAVEL_DURATION, .fallback = "60s", .min = 10000, .max = 86400000,
     .offset = AT(host_snapshot_options, transfer_wait),
     .help = "A node that gets no further with a snapshot for so long is let go, and begins again later; until then "
             "it may be killed and go on where it was, and the log behind the snapshot is kept for it"},
};

static const struct gavel_field session_rows[] = {NODE_SESSION_ROWS};

static const struct gavel_field client_rows[] = {
    {.name = "connections", .id = 1, .type = GAVEL_UINT, .fallback = "10000", .min = 1, .max = 1000000,
     .offset = AT(host_client_options, connections), .unit = "connections",
     .help = "Connections of clients at the same time"},
    {.name = "in_flight", .id = 2, .type = GAVEL_UINT, .flags = GAVEL_RELOADABLE,
     .fallback = "1024", .min = 1, .max = 65536,
     .offset = AT(host_client_options, in_flight), .unit = "requests",
     .help = "Requests of one connection without a reply; reading from it pauses there"},
    {.name = "request_timeout", .id = 3, .type = GAVEL_DURATION, .flags = GAVEL_RELOADABLE,
     .fallback = "5s", .min = 10, .max = 600000,
     .offset = AT(host_client_options, request_timeout), .help = "Time of a request that states none of its own"},
    {.name = "streams", .id = 4, .type = GAVEL_UINT, .flags = GAVEL_RELOADABLE,
     .fallback = "10000", .min = 1, .max = 1000000,
     .offset = AT(host_client_options, streams), .unit = "streams", .help = "Open streams on this node"},
    {.name = "event_ring", .id = 5, .type = GAVEL_SIZE, .fallback = "16MiB", .min = 64 * KIB, .max = 16 * GIB,
     .offset = AT(host_client_options, event_ring),
     .help = "Events kept for streams, in up to half as much memory again; who falls behind is told so"},
};

static const struct gavel_field health_rows[] = {
    {.name = "interval", .id = 1, .type = GAVEL_DURATION, .flags = GAVEL_RELOADABLE, .fallback = "5s", .min = 100,
     .max = 3600000, .offset = AT(host_health_options, interval), .help = "How often each other member is checked"},
    {.name = "timeout", .id = 2, .type = GAVEL_DURATION, .flags = GAVEL_RELOADABLE, .fallback = "2s", .min = 10,
     .max = 600000, .offset = AT(host_health_options, timeout),
     .help = "A check without an answer for so long has failed: one makes the member DEGRADED"},
    {.name = "failures", .id = 3, .type = GAVEL_UINT, .flags = GAVEL_RELOADABLE, .fallback = "3", .min = 1,
     .max = 1000, .offset = AT(host_health_options, failures), .unit = "checks",
     .help = "Failed checks in a row that make it UNHEALTHY"},
    {.name = "successes", .id = 4, .type = GAVEL_UINT, .flags = GAVEL_RELOADABLE, .fallback = "2", .min = 1,
     .max = 1000, .offset = AT(host_health_options, successes), .unit = "checks",
     .help = "Good checks in a row that make it HEALTHY again"},
    {.name = "lag_entries", .id = 5, .type = GAVEL_UINT, .flags = GAVEL_RELOADABLE, .fallback = "10000", .min = 1,
     .max = INT64_MAX, .offset = AT(host_health_options, lag_entries), .unit = "entries",
     .help = "DEGRADED when more committed entries than that are not in its log yet"},
    {.name = "lag_bytes", .id = 6, .type = GAVEL_SIZE, .flags = GAVEL_RELOADABLE, .fallback = "64MiB", .min = KIB,
     .max = INT64_MAX, .offset = AT(host_health_options, lag_bytes), .help = "The same in bytes of log"},
    {.name = "sync_p99", .id = 7, .type = GAVEL_DURATION, .flags = GAVEL_RELOADABLE, .fallback = "100ms", .min = 1,
     .max = 600000, .offset = AT(host_health_options, sync_p99),
     .help = "DEGRADED when the slowest of a hundred syncs of its log takes longer than that ..."},
    {.name = "sync_time", .id = 8, .type = GAVEL_DURATION, .flags = GAVEL_RELOADABLE, .fallback = "10s", .min = 1000,
     .max = 3600000, .offset = AT(host_health_options, sync_time), .help = "... and has done so for that long"},
    {.name = "apply_backlog", .id = 9, .type = GAVEL_DURATION, .flags = GAVEL_RELOADABLE, .fallback = "1s", .min = 10,
     .max = 3600000, .offset = AT(host_health_options, apply_backlog),
     .help = "DEGRADED when a committed entry has waited longer than that for its state machine"},
};

static const struct gavel_field trace_rows[] = {
    {.name = "ratio", .id = 1, .type = GAVEL_REAL, .flags = GAVEL_RELOADABLE, .fallback = "0", .min = 0, .max = 1,
     .offset = AT(host_trace_options, ratio),
     .help = "Part of the requests that come without a trace of their own which are traced all the same: 0 none, 1 "
             "all. One that comes with a W3C traceparent is traced if that says so"},
    {.name = "arguments", .id = 2, .type = GAVEL_BOOL, .flags = GAVEL_RELOADABLE, .fallback = "no",
     .offset = AT(host_trace_options, arguments),
     .help = "Whether the arguments of commands that are keys become attributes of their spans: who reads the traces "
             "then reads them"},
};

#define PLUGIN_HELP "Name of the plugin, or the full path of its file; absent: the section's NAME"

static const struct gavel_field transport_rows[] = {
    {.name = "plugin", .id = 1, .type = GAVEL_STRING, .offset = AT(host_transport_options, plugin), .min = 1,
     .max = 900, .help = PLUGIN_HELP},
    {.name = "listen", .id = 2, .type = GAVEL_LIST, .element = GAVEL_STRING, .max = 16,
     .offset = AT(host_transport_options, listen),
     .help = "URIs to listen on, for peers and clients alike, such as ws://127.0.0.1:8080; port 0 lets the system "
             "choose"},
    {.name = "advertise", .id = 4, .type = GAVEL_LIST, .element = GAVEL_STRING, .max = 4, .flags = GAVEL_RELOADABLE,
     .offset = AT(host_transport_options, advertise),
     .help = "URIs by which others reach this transport, when they are not those of listen; a reload publishes them"},
    {.name = "insecure", .id = 3, .type = GAVEL_BOOL, .offset = AT(host_transport_options, insecure),
     .fallback = "no",
     .help = "Allow a listener without TLS on an address that other machines reach; warned of at each start"},
};

static const struct gavel_field serializer_rows[] = {
    {.name = "plugin", .id = 1, .type = GAVEL_LIST, .element = GAVEL_STRING, .fallback = "msgpack", .min = 1,
     .max = 3, .offset = AT(host_serializer_options, plugin),
     .help = "Serializers that this node offers in a hello, the preferred first"},
};

static const struct gavel_field statemachine_rows[] = {
    {.name = "plugin", .id = 1, .type = GAVEL_STRING, .offset = AT(host_statemachine_options, plugin), .min = 1,
     .max = 900, .help = PLUGIN_HELP},
};

const char *const host_level_names[] = {"trace", "debug", "info", "warn", "error", NULL};

static const struct gavel_field observer_rows[] = {
    {.name = "plugin", .id = 1, .type = GAVEL_STRING, .offset = AT(host_observer_options, plugin), .min = 1,
     .max = 900, .help = PLUGIN_HELP},
    {.name = "level", .id = 3, .type = GAVEL_CHOICE, .flags = GAVEL_RELOADABLE,
     .offset = AT(host_observer_options, level),
     .choices = host_level_names, .fallback = "info", .help = "Least level of log events that it is given"},
    {.name = "levels", .id = 4, .type = GAVEL_LIST, .flags = GAVEL_RELOADABLE, .element = GAVEL_STRING, .max = 32,
     .offset = AT(host_observer_options, levels),
     .help = "Other levels for single modules as module:level, such as raft:debug; a module stands for all below it. "
             "It is the word in parentheses at the end of a log line; one that neither the host "
             "nor a plugin by its name logs as is warned of"},
    {.name = "metrics_interval", .id = 2, .type = GAVEL_DURATION, .flags = GAVEL_RELOADABLE,
     .fallback = "10s", .min = 100, .max = 3600000,
     .offset = AT(host_observer_options, metrics_interval),
     .help = "How often an observer that wants metrics is given all of them"},
};

const struct gavel_fields host_node_fields = GAVEL_FIELDS(node_rows, struct host_node_options);
const struct gavel_fields host_cluster_fields = GAVEL_FIELDS(cluster_rows, struct host_cluster_options);
const struct gavel_fields host_raft_fields = GAVEL_FIELDS(raft_rows, struct host_raft_options);
const struct gavel_fields host_log_fields = GAVEL_FIELDS(log_rows, struct host_log_options);
const struct gavel_fields host_snapshot_fields = GAVEL_FIELDS(snapshot_rows, struct host_snapshot_options);
const struct gavel_fields host_session_fields = GAVEL_FIELDS(session_rows, struct node_session_options);
const struct gavel_fields host_client_fields = GAVEL_FIELDS(client_rows, struct host_client_options);
const struct gavel_fields host_health_fields = GAVEL_FIELDS(health_rows, struct host_health_options);
const struct gavel_fields host_trace_fields = GAVEL_FIELDS(trace_rows, struct host_trace_options);
const struct gavel_fields host_transport_fields = GAVEL_FIELDS(transport_rows, struct host_transport_options);
const struct gavel_fields host_serializer_fields = GAVEL_FIELDS(serializer_rows, struct host_serializer_options);
const struct gavel_fields host_statemachine_fields = GAVEL_FIELDS(statemachine_rows, struct host_statemachine_options);
const struct gavel_fields host_observer_fields = GAVEL_FIELDS(observer_rows, struct host_observer_options);

const struct gavel_fields host_capability_fields = {.rows = NULL, .count = 0};

const struct host_section host_sections[] = {
    {"node", 0, 0, 1, &host_node_fields, "This node", 0},
    {"cluster", 0, 0, 0, &host_cluster_fields, "The cluster that it founds or belongs to", 0},
    {"capabilities", 0, 0, 0, &host_capability_fields,
     "What this node can do, or is, for people and programs that choose among nodes: up to 64 keys of your own, such "
     "as zone = a, with names of up to 63 letters, digits, '.', '_', '-' and '/', values of up to 255 bytes, and 4096 "
     "bytes in all; the cluster keeps them, gavel member list shows them, and a reload declares them anew", 1},
    {"transport", GAVEL_KIND_TRANSPORT, 1, 1, &host_transport_fields, "A way to reach peers and clients", 0},
    {"serializer", GAVEL_KIND_SERIALIZER, 0, 0, &host_serializer_fields, "How messages are written", 0},
    {"statemachine", GAVEL_KIND_STATEMACHINE, 1, 1, &host_statemachine_fields, "A state machine to replicate", 0},
    {"observer", GAVEL_KIND_OBSERVER, 1, 0, &host_observer_fields,
     "Where log lines, metrics and spans go; without any such section log lines go to stderr", 0},
    {"raft", 0, 0, 0, &host_raft_fields, "Timings and limits of replication", 0},
    {"log", 0, 0, 0, &host_log_fields, "The log on the disk", 0},
    {"snapshot", 0, 0, 0, &host_snapshot_fields, "Snapshots", 0},
    {"session", 0, 0, 0, &host_session_fields, "Clients' sessions; the same on every node of the cluster", 0},
    {"client", 0, 0, 0, &host_client_fields, "Clients on this node", 0},
    {"health", 0, 0, 0, &host_health_fields, "When a member counts as DEGRADED or UNHEALTHY", 0},
    {"trace", 0, 0, 0, &host_trace_fields, "Spans, which exist while an observer wants them; see gavel-metrics(7)", 0},
    {NULL, 0, 0, 0, NULL, NULL, 0},
};

const struct host_section *host_section_find(const char *name)
{
    for (const struct host_section *section = host_sections; section->name; section++)
        if (strcmp(section->name, name) == 0)
            return section;
    return NULL;
}

const char *host_kind_name(uint64_t kind)
{
    for (const struct host_section *section = host_sections; section->name; section++)
        if (section->kind == kind && kind != 0)
            return section->name;
    return NULL;
}
