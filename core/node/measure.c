/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure.c - counting on the way, and levels once a second.
 */
#include "core/node/internal.h"

#include <stdlib.h>

#define RESOLUTION 1e9

struct measures {
    struct measure_traffic client;
    struct measure_traffic admin;
    struct measure_traffic other; /* peers that nobody knows yet */
    uint64_t duration[MEASURE_KINDS];
    uint64_t space_ns; /* when the free space was looked at */
    uint64_t free_bytes;
};

int32_t measures_new(struct node *node)
{
    if (!node->series.commands)
        return GAVEL_OK;
    node->measures = calloc(1, sizeof *node->measures);
    return node->measures ? GAVEL_OK : GAVEL_E_NO_MEMORY;
}

void measures_free(struct node *node)
{
    free(node->measures);
    node->measures = NULL;
}

const char *measure_status(int64_t status)
{
    static const char *const names[] = {
        "ok",        "invalid",   "not_found", "exists",      "condition", "state", "too_large", "busy",   "no_leader",
        "timeout",   "unknown",   "denied",    "closed",      "corrupt",   "io",    "no_space",  "no_memory",
        "local",     "unsupported", "expired", "stale",       "compacted", "config", "version",  "internal",
        "not_leader",
    };

    return status <= 0 && (uint64_t)-status < sizeof names / sizeof names[0] ? names[-status] : "other";
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static uint64_t bind(struct node *node, uint64_t metric, const char *peer, uint64_t type)
{
    const struct gavel_attribute attributes[] = {{"peer", gavel_text(peer)},
                                                 {"type", gavel_text(codec_message_name(type))}};

    return node->setup.host->series(node->setup.host->self, metric, attributes, 2);
}

static void count(struct conn *conn, uint64_t type, uint64_t bytes, unsigned received)
{
    struct node *node = conn->node;
    struct measures *measures = node->measures;
    struct measure_traffic *traffic;
    const char *peer;

    if (!measures || type > CODEC_TYPE_MAX)
        return;
    if (conn->role == CODEC_ROLE_PEER) {
        traffic = conn->peer && conn->peer->name[0] ? &conn->peer->traffic : &measures->other;
        peer = traffic == &measures->other ? "unknown" : conn->peer->name;
    } else {
        traffic = conn->role == CODEC_ROLE_ADMIN ? &measures->admin : &measures->client;
        peer = conn->role == CODEC_ROLE_ADMIN ? "admin" : "client";
    }
    if (!traffic->messages[received][type]) {
        traffic->messages[received][type] =
            bind(node, received ? node->metric.messages_received : node->metric.messages_sent, peer, type);
        traffic->bytes[received][type] =
            bind(node, received ? node->metric.bytes_received : node->metric.bytes_sent, peer, type);
    }
    node_observe(node, traffic->messages[received][type], 1);
    node_observe(node, traffic->bytes[received][type], (double)bytes);
}

bool measure_sent(struct conn *conn, uint64_t type, uint64_t bytes)
{
    count(conn, type, bytes, 0);
    return true;
}

void measure_received(struct conn *conn, uint64_t type, uint64_t bytes)
{
    count(conn, type, bytes, 1);
}

/* ---- requests and snapshots ---------------------------------------------------------------------------- */

void measure_answered(struct node *node, const struct origin *origin, int64_t status)
{
    static const char *const kinds[MEASURE_KINDS] = {"", "write", "read", "admin", "forwarded"};
    struct measures *measures = node->measures;
    struct gavel_attribute kind = {"kind", gavel_text(kinds[origin->kind])};
    const struct gavel_trace *trace;
    double seconds;

    if (!measures || !origin->kind)
        return;
    if (status < 0)
        node_record(node, node->metric.errors, 1, "code", measure_status(status));
    if (!measures->duration[origin->kind])
        measures->duration[origin->kind] =
            node->setup.host->series(node->setup.host->self, node->metric.request_seconds, &kind, 1);
    seconds = (double)(node_now(node) - origin->arrived_ns) / RESOLUTION;
    trace = trace_of(node, origin);
    if (trace && node->setup.host->record_traced)
        node->setup.host->record_traced(node->setup.host->self, node->metric.request_seconds, seconds, &kind, 1, trace);
    else
        node_observe(node, measures->duration[origin->kind], seconds);
}

void measure_snapshot(struct node *node, const char *operation, int32_t status, uint64_t began_ns, uint64_t bytes)
{
    if (status != GAVEL_OK) {
        node_record(node, node->metric.snapshot_failures, 1, "operation", operation);
        return;
    }
    node_record(node, node->metric.snapshot_seconds, (double)(node_now(node) - began_ns) / RESOLUTION, "operation",
                operation);
    node_record(node, node->metric.snapshot_bytes, (double)bytes, "operation", operation);
}

void measure_sending(struct peer *peer)
{
    const struct raft_snapshot_request *last = &peer->chunk.snapshot_request;
    bool whole = last->total && last->offset + last->length == last->total;

    if (peer->reader && peer->send_ns)
        measure_snapshot(peer->node, "send", whole ? GAVEL_OK : GAVEL_E_CLOSED, peer->send_ns, last->total);
    peer->send_ns = 0;
}

/* ---- levels -------------------------------------------------------------------------------------------- */

static void measure_log(struct node *node)
{
    struct measures *measures = node->measures;
    struct log_figures figures;

    log_figures(node->log, &figures);
    node_observe(node, node->series.log_bytes, (double)figures.bytes);
    node_observe(node, node->series.log_disk, (double)figures.disk_bytes);
    node_observe(node, node->series.log_queue, (double)figures.queued_bytes);
    node_observe(node, node->series.log_cache, (double)figures.cache_bytes);
    node_observe(node, node->series.log_segments, figures.segments);
    if (!measures->space_ns || node_now(node) - measures->space_ns >= NODE_SLOW_TICK_NS) {
        measures->space_ns = node_now(node);
        if (os_space(node->os, node->setup.data_dir, &measures->free_bytes) == 0)
            node_observe(node, node->series.log_free, (double)measures->free_bytes);
    }
}

static void measure_peers(struct node *node, const struct raft_status *status)
{
    struct raft_progress_status progress;
    uint64_t now = node_now(node);
    struct peer *peer;

    os_list_each (peer, &node->peers, struct peer, link) {
        if (!peer->id || peer->stranger || !peer->name[0])
            continue;
        node_record(node, node->metric.peer_connected, peer->out && peer->out->state == CONN_READY, "peer",
                    peer->name);
        if (status->role != RAFT_LEADER || raft_progress(node->raft, peer->id, &progress) != RAFT_OK)
            continue;
        node_record(node, node->metric.peer_match, (double)progress.match, "peer", peer->name);
        node_record(node, node->metric.peer_lag,
                    status->last_index > progress.match ? (double)(status->last_index - progress.match) : 0, "peer",
                    peer->name);
        if (progress.heard_ns)
            node_record(node, node->metric.peer_silence, (double)(now - progress.heard_ns) / RESOLUTION, "peer",
                        peer->name);
    }
}

static void measure_alarms(struct node *node, const struct raft_status *status)
{
    const struct {
        const char *name;
        bool raised;
    } alarms[] = {{"no_space", !log_space_ok(node->log)},
                  {"disk_stall", status->disk_stalls},
                  {"recovering", status->recovering},
                  {"divergence", node->fenced || divergence_undecided(node)}};

    for (size_t i = 0; i < sizeof alarms / sizeof alarms[0]; i++)
        node_record(node, node->metric.alarms, alarms[i].raised, "alarm", alarms[i].name);
}

void measure_gauges(struct node *node)
{
    struct raft_status status;

    if (!node->measures || !node->log)
        return;
    status = engine_status(node);
    node_observe(node, node->series.term, (double)status.term);
    node_observe(node, node->series.leader_known, node->leader != 0);
    node_observe(node, node->series.commit_index, (double)status.commit);
    node_observe(node, node->series.applied_index, (double)node->applied);
    node_observe(node, node->series.last_index, (double)status.last_index);
    node_observe(node, node->series.durable_index, (double)status.durable_index);
    node_observe(node, node->series.snapshot_index, (double)status.snapshot_index);
    node_observe(node, node->series.waiting,
                 (double)(node->waiting + node->building_count + node->parked_count + node->forward_count));
    node_observe(node, node->series.clients, (double)node->client_count);
    node_observe(node, node->series.streams, (double)event_stream_count(node));
    if (work_idle(node) && !node->apply_hold)
        node_observe(node, node->series.sessions, (double)sessions_count(apply_sessions(node->apply)));
    measure_log(node);
    measure_alarms(node, &status);
    if (node->raft)
        measure_peers(node, &status);
}
