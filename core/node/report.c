/* SPDX-License-Identifier: Apache-2.0 */
/* report.c - what a node observes of itself, for answers to checks and for the status document. */
#include "core/node/internal.h"

#include <string.h>

#include "core/codec/value.h"
#include "core/log/snapshot.h"

struct codec_check_answer report_make(struct node *node)
{
    uint64_t now = node_now(node);
    struct figures *figures = node->figures;
    struct raft_status status = engine_status(node);
    struct log_snapshot_info snapshot = log_snapshot_newest(node->log);
    const struct member *leader = node->leader ? directory_find(&node->directory, node->leader) : NULL;
    struct log_figures log;
    struct codec_check_answer report = {.alarms = probe_alarms(node, now)};
    struct peer *peer;

    log_figures(node->log, &log);
    os_list_each (peer, &node->peers, struct peer, link)
        report.links += peer->watched.seen.linked && peer->id;
    report.term = status.term;
    report.commit = status.commit;
    report.applied = node->applied;
    report.last_index = status.last_index;
    report.log_bytes = log.bytes;
    report.disk_bytes = log.disk_bytes;
    report.snapshot_index = snapshot.index;
    report.snapshot_bytes = snapshot.bytes;
    figures_p50_p99_us(&figures->sync, now, FIGURES_SECONDS, &report.sync_p50_us, &report.sync_p99_us);
    report.sync_slow_ms = node->sync_slow_ms;
    figures_p50_p99_us(&figures->commit, now, FIGURES_SECONDS, &report.commit_p50_us, &report.commit_p99_us);
    report.apply_backlog_ms = figures_backlog_ms(figures, now, node->applied);
    report.writes = figures_rate(&figures->writes, now, node->started_ns);
    report.reads = figures_rate(&figures->reads, now, node->started_ns);
    report.clients = node->client_count;
    report.uptime_ms = (now - node->started_ns) / NS_PER_MS;
    report.role = gavel_text(status_role(node));
    report.leader = gavel_text(leader ? leader->name : "");
    report.version = gavel_text(node->setup.version ? node->setup.version : "");
    return report;
}

static struct gavel_slice keep_text(char *to, size_t size, struct gavel_slice text)
{
    members_show_text(to, size, text);
    return gavel_text(to);
}

void report_keep(struct watched *watched, struct codec_check_answer report, uint64_t now)
{
    report.role = keep_text(watched->role, sizeof watched->role, report.role);
    report.leader = keep_text(watched->leader, sizeof watched->leader, report.leader);
    report.version = keep_text(watched->version, sizeof watched->version, report.version);
    watched->report = report;
    watched->reported = true;
    watched->report_ns = now;
    watched->seen.alarms = report.alarms;
    watched->seen.sync_p99_us = report.sync_p99_us;
    watched->seen.sync_slow_ms = report.sync_slow_ms;
    watched->seen.apply_backlog_ms = report.apply_backlog_ms;
}

static void put_number(struct gavel_writer *out, const char *name, uint64_t value)
{
    gavel_put_key(out, name);
    gavel_put_uint(out, value);
}

/* A table, so that every figure has the same name on the wire, in status, and in the pages. */
#define FIGURE(member) {#member, offsetof(struct codec_check_answer, member)}

static const struct {
    const char *name;
    size_t at;
} report_figures[] = {
    FIGURE(term), FIGURE(commit), FIGURE(applied), FIGURE(last_index), FIGURE(log_bytes), FIGURE(disk_bytes),
    FIGURE(snapshot_index), FIGURE(snapshot_bytes), FIGURE(sync_p50_us), FIGURE(sync_p99_us), FIGURE(sync_slow_ms),
    FIGURE(commit_p50_us), FIGURE(commit_p99_us), FIGURE(apply_backlog_ms), FIGURE(writes), FIGURE(reads),
    FIGURE(links), FIGURE(clients), FIGURE(uptime_ms), FIGURE(alarms),
};

void report_put(const struct codec_check_answer *report, uint64_t age_ms, struct gavel_writer *out)
{
    size_t count = sizeof report_figures / sizeof report_figures[0];

    gavel_put_map(out, count + 4);
    gavel_put_key(out, "role");
    gavel_put_string(out, report->role);
    gavel_put_key(out, "leader");
    gavel_put_string(out, report->leader);
    gavel_put_key(out, "version");
    gavel_put_string(out, report->version);
    for (size_t i = 0; i < count; i++) {
        uint64_t value;

        memcpy(&value, (const char *)report + report_figures[i].at, sizeof value);
        put_number(out, report_figures[i].name, value);
    }
    put_number(out, "age_ms", age_ms);
    gavel_put_end(out);
}

void report_put_health(const struct node *node, const struct watched *watched, struct gavel_writer *out)
{
    gavel_put_key(out, "health");
    gavel_put_text(out, health_name(watched->verdict.state));
    gavel_put_key(out, "reason");
    gavel_put_text(out, watched->verdict.reason);
    gavel_put_key(out, "cause");
    gavel_put_text(out, watched->verdict.cause);
    put_number(out, "health_ms", watched->since_ns ? (node_now(node) - watched->since_ns) / NS_PER_MS : 0);
}
