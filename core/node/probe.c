/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c - the table of node.h: what must be well for this node to serve, for whoever asks from outside. */
#include "core/node/internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/codec/value.h"

/* Whoever is this far behind what it knows to be committed would let readers wait: two full batches. */
#define PROBE_LAG_MAX 2048

/* A sentence to be; NULL where only the answer is wanted. Returns false, so that a row ends with it. */
static bool fails(char *reason, const char *format, ...) GAVEL_PRINTF(2, 3);
static bool fails(char *reason, const char *format, ...)
{
    va_list arguments;

    if (!reason)
        return false;
    va_start(arguments, format);
    (void)vsnprintf(reason, NODE_REASON_MAX, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

#define ROW(name) static bool look_##name(const struct node *node, char *reason)

ROW(restored)
{
    return (node->phase != NODE_NEW && node->phase != NODE_RESTORING) ||
           fails(reason, "snapshot and log are being read back");
}

ROW(member)
{
    if (node->removed)
        return fails(reason, "this node was removed from the cluster");
    if (node->phase != NODE_FOUNDING)
        return true;
    return fails(reason, "%s",
                 node->waits[0]           ? node->waits
                 : node->setup.join_count ? "it waits until it has been added to the cluster"
                                          : "it waits for the listed members to found the cluster");
}

ROW(running)
{
    return (node->phase != NODE_HANDING && node->phase != NODE_CLOSING && node->phase < NODE_STOPPED) ||
           fails(reason, "this node is stopping");
}

ROW(leader)
{
    return node->leader ||
           fails(reason, "no leader is known in term %llu", (unsigned long long)engine_status(node).term);
}

ROW(applied)
{
    uint64_t commit = engine_commit(node);

    return node->applied + (node->caught_up ? PROBE_LAG_MAX : 0) >= commit ||
           fails(reason, "applied up to %llu of %llu committed entries", (unsigned long long)node->applied,
                 (unsigned long long)commit);
}

ROW(recovered)
{
    return !engine_status(node).recovering ||
           fails(reason, "damaged entries are being fetched again from the other members");
}

ROW(state)
{
    return !node->fenced || fails(reason, "this node's state differs from the majority's: it is fenced");
}

ROW(disk)
{
    return !node->log || log_space_ok(node->log) ||
           fails(reason, "the disk is full: writes are refused, reads go on");
}

/* `alarm`: what others are told in answers to checks. */
static const struct probe_row {
    const char *name;
    uint32_t decides;
    uint64_t alarm;
    bool (*look)(const struct node *node, char *reason);
} probe_rows[NODE_PROBES_MAX] = {
    {"restored", NODE_PROBE_STARTED | NODE_PROBE_READY, HEALTH_ALARM_RESTORING, look_restored},
    {"member", NODE_PROBE_READY, HEALTH_ALARM_NO_MEMBER, look_member},
    {"running", NODE_PROBE_READY, 0, look_running},
    {"leader", NODE_PROBE_READY, HEALTH_ALARM_NO_LEADER, look_leader},
    {"applied", NODE_PROBE_READY, 0, look_applied},
    {"recovered", NODE_PROBE_READY, HEALTH_ALARM_RECOVERING, look_recovered},
    {"state", NODE_PROBE_READY, HEALTH_ALARM_FENCED, look_state},
    {"disk", 0, HEALTH_ALARM_NO_SPACE, look_disk},
};

/* ---- doors --------------------------------------------------------------------------------------------- */

uint32_t node_probes(const struct node *node, struct node_probe probes[NODE_PROBES_MAX])
{
    for (uint32_t i = 0; i < NODE_PROBES_MAX; i++) {
        probes[i] = (struct node_probe){.name = probe_rows[i].name, .decides = probe_rows[i].decides};
        probes[i].ok = probe_rows[i].look(node, probes[i].reason);
    }
    return NODE_PROBES_MAX;
}

static const struct probe_row *first_failing(const struct node *node, uint32_t decides, char *reason)
{
    for (uint32_t i = 0; i < NODE_PROBES_MAX; i++)
        if (probe_rows[i].decides & decides && !probe_rows[i].look(node, reason))
            return &probe_rows[i];
    return NULL;
}

bool node_well(const struct node *node, uint32_t decides)
{
    return !first_failing(node, decides, NULL);
}

bool node_ready(const struct node *node)
{
    return node_well(node, NODE_PROBE_READY);
}

void probe_first(const struct node *node, uint32_t decides, char reason[NODE_REASON_MAX])
{
    reason[0] = 0;
    (void)first_failing(node, decides, reason);
}

uint64_t probe_alarms(const struct node *node, uint64_t now)
{
    /* An election passes: the others are told when it has lasted for longer than they may wait for an answer. */
    bool leaderless = node->leaderless_ns && now - node->leaderless_ns > node->limits.health.timeout_ms * NS_PER_MS;
    uint64_t alarms = 0;

    for (uint32_t i = 0; i < NODE_PROBES_MAX; i++)
        if (probe_rows[i].alarm && !probe_rows[i].look(node, NULL))
            alarms |= probe_rows[i].alarm;
    return leaderless ? alarms : alarms & ~(uint64_t)HEALTH_ALARM_NO_LEADER;
}

void probe_put_not_ready(const struct node *node, struct gavel_writer *out)
{
    struct node_probe probes[NODE_PROBES_MAX];
    uint32_t count = node_probes(node, probes), failing = 0;

    for (uint32_t i = 0; i < count; i++)
        failing += probes[i].decides & NODE_PROBE_READY && !probes[i].ok;
    gavel_put_array(out, failing);
    for (uint32_t i = 0; i < count; i++) {
        if (!(probes[i].decides & NODE_PROBE_READY) || probes[i].ok)
            continue;
        gavel_put_map(out, 2);
        gavel_put_key(out, "probe");
        gavel_put_text(out, probes[i].name);
        gavel_put_key(out, "reason");
        gavel_put_text(out, probes[i].reason);
        gavel_put_end(out);
    }
    gavel_put_end(out);
}
