/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - what a node says of itself: the status document, the tables of its machines, gauges. */
#include "core/node/internal.h"

#include <stdio.h>

#include "core/codec/value.h"

const char *status_role(const struct node *node)
{
    struct raft_status status = engine_status(node);

    if (!node->raft)
        return node->phase != NODE_FOUNDING ? "restoring" : node->setup.join_count ? "joining" : "founding";
    if (node->removed)
        return "removed";
    if (status.recovering)
        return "recovering";
    switch (status.role) {
    case RAFT_LEADER: return "leader";
    case RAFT_CANDIDATE:
    case RAFT_PRECANDIDATE: return "candidate";
    default: return status.voter ? "follower" : "learner";
    }
}

static const char *member_role(uint32_t role)
{
    switch (role) {
    case RAFT_VOTER: return "voter";
    case RAFT_LEARNER: return "learner";
    case RAFT_JOINING: return "joining";
    default: return "leaving";
    }
}

static void put_hex(struct gavel_writer *out, const uint8_t *bytes, uint32_t count)
{
    char text[2 * CODEC_ID_BYTES + 1] = "";

    for (uint32_t i = 0; i < count && i < CODEC_ID_BYTES; i++)
        (void)snprintf(text + 2 * (size_t)i, 3, "%02x", bytes[i]);
    gavel_put_text(out, text);
}

static void put_number(struct gavel_writer *out, const char *name, uint64_t value)
{
    gavel_put_key(out, name);
    gavel_put_uint(out, value);
}

static void put_text(struct gavel_writer *out, const char *name, const char *value)
{
    gavel_put_key(out, name);
    gavel_put_text(out, value);
}

static const struct watched *watched_of(const struct node *node, uint64_t id, const struct watched *otherwise)
{
    const struct peer *peer = peer_find(node, id);

    if (id == node->member_id)
        return &node->self;
    return peer ? &peer->watched : otherwise;
}

static void put_version(struct gavel_writer *out, const char *name, uint64_t major, uint64_t minor)
{
    char text[48];

    (void)snprintf(text, sizeof text, "%llu.%llu", (unsigned long long)major, (unsigned long long)minor);
    put_text(out, name, text);
}

/* What a member speaks and stores, for who upgrades one after the other. */
static void put_versions(const struct node *node, uint64_t id, struct gavel_writer *out)
{
    const struct peer *peer = peer_find(node, id);
    bool self = id == node->member_id;

    put_version(out, "protocol", CODEC_PROTOCOL_MAJOR,
                self ? CODEC_PROTOCOL_MINOR : peer ? peer->can.protocol_minor : 0);
    put_version(out, "disk", CODEC_DISK_MAJOR, self ? CODEC_DISK_MINOR : peer ? peer->can.disk_minor : 0);
}

/* `whole`: with its report, which is for the status document. */
static void put_member(const struct node *node, const struct member *member, bool whole, struct gavel_writer *out)
{
    struct raft_progress_status progress = {0};
    static const struct watched unwatched; /* a peer that there was no memory for */
    const struct watched *watched = watched_of(node, member->id, &unwatched);
    bool known = node->role == RAFT_LEADER && member->id != node->member_id &&
                 raft_progress(node->raft, member->id, &progress) == RAFT_OK;

    whole = whole && watched->reported;
    gavel_put_map(out, 13 + REPORT_HEALTH_KEYS + (known ? 3 : 0) + whole);
    put_text(out, "name", member->name);
    put_number(out, "id", member->id);
    put_text(out, "role", member_role(member->role));
    put_versions(node, member->id, out);
    put_number(out, "priority", raft_rank(&(struct raft_member){.priority = member->priority}));
    gavel_put_key(out, "joined");
    gavel_put_bool(out, member->incarnation != 0);
    gavel_put_key(out, "leader");
    gavel_put_bool(out, node->leader == member->id);
    report_put_health(node, watched, out);
    gavel_put_key(out, "linked");
    gavel_put_bool(out, watched->seen.linked);
    put_number(out, "lag_entries", watched->seen.lag_entries);
    put_number(out, "lag_bytes", watched->seen.lag_bytes);
    if (whole) {
        gavel_put_key(out, "report");
        report_put(&watched->report, (node_now(node) - watched->report_ns) / NS_PER_MS, out);
    }
    gavel_put_key(out, "addresses");
    gavel_put_array(out, member->address_count);
    for (uint32_t i = 0; i < member->address_count; i++)
        gavel_put_text(out, member->addresses[i]);
    gavel_put_end(out);
    roster_put_capabilities(node, member->id, out);
    if (known) {
        put_number(out, "match", progress.match);
        put_text(out, "progress",
                 progress.state == RAFT_PROBE       ? "probe"
                 : progress.state == RAFT_REPLICATE ? "replicate"
                                                    : "snapshot");
        gavel_put_key(out, "disk_stalls");
        gavel_put_bool(out, progress.disk_stalls);
    }
    gavel_put_end(out);
}

static void put_members(const struct node *node, bool whole, struct gavel_writer *out)
{
    const struct members *members = node->raft ? directory_now(&node->directory) : NULL;

    gavel_put_array(out, members ? members->count : 0);
    for (uint32_t i = 0; members && i < members->count; i++)
        put_member(node, &members->items[i], whole, out);
    gavel_put_end(out);
}

void status_members(const struct node *node, struct gavel_writer *out)
{
    put_members(node, false, out);
}

static uint64_t members_version(const struct node *node)
{
    const struct members *members = directory_now(&node->directory);

    return members ? members->version : 0;
}

void status_member_list(const struct node *node, struct gavel_writer *out)
{
    const struct members *members = directory_now(&node->directory);
    struct raft_status status = engine_status(node);
    bool in_flight = node->raft && (status.configuration_index > status.commit ||
                                    raft_configuration_joint(raft_configuration(node->raft)));

    gavel_put_map(out, 5);
    put_number(out, "version", members_version(node));
    gavel_put_key(out, "in_flight");
    gavel_put_bool(out, in_flight);
    put_number(out, "next_id", members ? members->next_id : 0);
    gavel_put_key(out, "members");
    status_members(node, out);
    gavel_put_key(out, "registered");
    roster_put_nodes(node, out);
    gavel_put_end(out);
}

static void put_machines(const struct node *node, struct gavel_writer *out)
{
    gavel_put_map(out, node->setup.machine_count);
    for (uint32_t i = 0; i < node->setup.machine_count; i++) {
        struct gavel_machine_state state = {0};
        char digest[40];

        /* While the apply lane works on the state, only what it said last is known: nothing, for a moment. */
        if (work_idle(node) && !node->apply_hold)
            (void)apply_machine_state(node->apply, i + 1, &state);
        (void)snprintf(digest, sizeof digest, "%016llx%016llx", (unsigned long long)state.digest[0],
                       (unsigned long long)state.digest[1]);
        gavel_put_key(out, node->setup.machines[i].name);
        gavel_put_map(out, 5);
        put_text(out, "plugin", node->setup.machines[i].plugin->name);
        put_text(out, "version", node->setup.machines[i].plugin->version);
        put_number(out, "entries", state.entries);
        put_number(out, "changelog", state.changelog);
        put_text(out, "digest", digest);
        gavel_put_end(out);
    }
    gavel_put_end(out);
}

static void put_log(const struct node *node, struct gavel_writer *out)
{
    struct log_figures figures = {0};

    log_figures(node->log, &figures);
    gavel_put_map(out, 4);
    put_number(out, "bytes", figures.bytes);
    put_number(out, "disk_bytes", figures.disk_bytes);
    put_number(out, "first", log_first(node->log));
    put_number(out, "durable", log_durable(node->log));
    gavel_put_end(out);
}

static void put_alarms(const struct node *node, struct gavel_writer *out)
{
    bool full = !log_space_ok(node->log);
    struct raft_status status = engine_status(node);
    bool recovering = status.recovering;
    char stalls[120];
    bool scouts = !node->founded && node->scout && node->scout->said[0];
    bool waits = !node->founded && (node->waits[0] || scouts);

    gavel_put_array(out, (uint64_t)full + recovering + node->fenced + divergence_undecided(node) + waits +
                             status.disk_stalls);
    if (full)
        gavel_put_text(out, "no space: writes are refused until the disk has room; see disk-full in gavel-runbook(7)");
    if (status.disk_stalls) {
        (void)snprintf(stalls, sizeof stalls, "disk stall: no write has ended for %llu ms",
                       (unsigned long long)(status.disk_waits_ns / NS_PER_MS));
        gavel_put_text(out, stalls);
    }
    if (recovering)
        gavel_put_text(out, "recovering: damaged entries are being fetched again");
    if (waits)
        gavel_put_text(out, node->waits[0] ? node->waits : node->scout->said);
    if (node->fenced)
        gavel_put_text(out, "fenced: its state differs from the majority's; see divergence in gavel-runbook(7)");
    if (divergence_undecided(node))
        gavel_put_text(out, "no majority of equal digests: nobody can know whose state is right; see divergence in "
                       "gavel-runbook(7)");
    gavel_put_end(out);
}

void node_status(struct node *node, struct gavel_writer *out)
{
    struct raft_status status = engine_status(node);
    struct codec_check_answer report = report_make(node);
    const struct member *leader = node->leader ? directory_find(&node->directory, node->leader) : NULL;
    bool quiet = work_idle(node) && !node->apply_hold;
    char digest[20] = "";

    if (quiet)
        (void)snprintf(digest, sizeof digest, "%016llx", (unsigned long long)apply_digest(node->apply));
    gavel_put_map(out, 29 + REPORT_HEALTH_KEYS);
    gavel_put_key(out, "cluster_id");
    put_hex(out, node->cluster_id.bytes, node->founded ? sizeof node->cluster_id.bytes : 0);
    put_text(out, "name", node->setup.name);
    put_number(out, "id", node->member_id);
    put_text(out, "version", node->setup.version ? node->setup.version : "");
    put_text(out, "role", status_role(node));
    put_number(out, "term", status.term);
    put_text(out, "leader", leader ? leader->name : "");
    put_number(out, "commit", status.commit);
    put_number(out, "applied", node->applied);
    put_number(out, "last_index", status.last_index);
    put_number(out, "snapshot_index", snapshot_index(node));
    put_text(out, "digest", digest);
    gavel_put_key(out, "ready");
    gavel_put_bool(out, node_ready(node));
    gavel_put_key(out, "not_ready");
    probe_put_not_ready(node, out);
    report_put_health(node, &node->self, out);
    gavel_put_key(out, "report");
    report_put(&report, 0, out);
    put_number(out, "tick_ms", node->applied_tick);
    put_number(out, "uptime_ms", (node_now(node) - node->started_ns) / NS_PER_MS);
    put_number(out, "clients", node->client_count);
    put_number(out, "streams", event_stream_count(node));
    put_number(out, "sessions", quiet ? sessions_count(apply_sessions(node->apply)) : 0);
    put_number(out, "waiting", node->waiting + node->parked_count + node->read_count + node->forward_count);
    put_number(out, "commands", node->commands_total);
    put_number(out, "members_version", members_version(node));
    put_number(out, "settings_version", node->settings->version);
    put_number(out, "registered", node->roster->count);
    gavel_put_key(out, "members");
    put_members(node, true, out);
    gavel_put_key(out, "machines");
    put_machines(node, out);
    gavel_put_key(out, "log");
    put_log(node, out);
    gavel_put_key(out, "alarms");
    put_alarms(node, out);
    gavel_put_end(out);
}

void node_view(const struct node *node, struct node_view *view)
{
    struct raft_status status = engine_status(node);
    const struct member *leader = node->leader ? directory_find(&node->directory, node->leader) : NULL;

    *view = (struct node_view){
        .role = status_role(node),
        .leader = leader ? leader->name : "",
        .term = status.term,
        .started = node_well(node, NODE_PROBE_STARTED),
        .ready = node_ready(node),
    };
    probe_first(node, NODE_PROBE_READY, view->reason);
}

static void describe_command(const struct gavel_command *command, struct gavel_writer *out)
{
    gavel_put_map(out, 6);
    put_text(out, "name", command->name);
    put_number(out, "id", command->id);
    put_number(out, "flags", command->flags);
    put_text(out, "help", command->help ? command->help : "");
    put_text(out, "example", command->example ? command->example : "");
    gavel_put_key(out, "arguments");
    codec_fields_describe(command->arguments, out);
    gavel_put_end(out);
}

void status_describe(const struct node *node, struct gavel_writer *out)
{
    gavel_put_map(out, 1);
    gavel_put_key(out, "machines");
    gavel_put_array(out, node->setup.machine_count);
    for (uint32_t i = 0; i < node->setup.machine_count; i++) {
        const struct node_machine *machine = &node->setup.machines[i];
        uint64_t shown = 0;

        for (uint32_t k = 0; k < node->command_count; k++)
            shown +=
                node->commands[k].number == i + 1 && !(node->commands[k].command->flags & GAVEL_INTERNAL);
        gavel_put_map(out, 6);
        put_text(out, "name", machine->name);
        put_number(out, "number", i + 1);
        put_text(out, "plugin", machine->plugin->name);
        put_text(out, "version", machine->plugin->version);
        put_text(out, "summary", machine->plugin->summary ? machine->plugin->summary : "");
        gavel_put_key(out, "commands");
        gavel_put_array(out, shown);
        for (uint32_t k = 0; k < node->command_count; k++)
            if (node->commands[k].number == i + 1 && !(node->commands[k].command->flags & GAVEL_INTERNAL))
                describe_command(node->commands[k].command, out);
        gavel_put_end(out);
        gavel_put_end(out);
    }
    gavel_put_end(out);
    gavel_put_end(out);
}

/* Members and voters, and how many of them this node finds healthy. A quorum is one of voters. */
static void gauge_members(struct node *node)
{
    const struct raft_configuration *configuration = node->raft ? raft_configuration(node->raft) : NULL;
    bool well = node->self.verdict.state == HEALTH_HEALTHY;
    uint32_t healthy = well, voters = 0, healthy_voters = 0;
    struct peer *peer;

    if (configuration) {
        for (uint32_t i = 0; i < configuration->count; i++)
            voters += raft_configuration_voter(configuration, configuration->members[i].id);
        healthy_voters = well && raft_configuration_voter(configuration, node->member_id);
    }
    os_list_each (peer, &node->peers, struct peer, link) {
        if (!peer->id || peer->stranger || peer->watched.verdict.state != HEALTH_HEALTHY)
            continue;
        healthy++;
        healthy_voters += configuration && raft_configuration_voter(configuration, peer->id);
    }
    node_observe(node, node->series.nodes, configuration ? configuration->count : 0);
    node_observe(node, node->series.healthy, healthy);
    node_observe(node, node->series.voters, voters);
    node_observe(node, node->series.voters_healthy, healthy_voters);
}

void node_gauges(struct node *node)
{
    struct raft_status status = engine_status(node);
    double state = status.recovering                             ? 5
                   : !status.voter && node->raft                 ? 3
                   : status.role == RAFT_LEADER                  ? 2
                   : status.role == RAFT_FOLLOWER || !node->raft ? 0
                                                                 : 1;

    node_observe(node, node->series.state, state);
    gauge_members(node);
    if (work_idle(node) && !node->apply_hold && node->raft) {
        double entries = 0;
        double changelog = 0;

        for (uint32_t i = 1; i <= node->setup.machine_count; i++) {
            struct gavel_machine_state machine;

            if (apply_machine_state(node->apply, i, &machine)) {
                entries += (double)machine.entries;
                changelog += (double)machine.changelog;
            }
        }
        node_observe(node, node->series.size, entries);
        node_observe(node, node->series.changelog, changelog);
    }
    measure_gauges(node);
}
