/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.c - one process of the world: the node that ships, its machine, its clocks and its lanes. A lane runs one job at
 * a time, in order; a job acts when it begins, and its completion reaches the node after what it cost. In between the
 * process may die, and then the disk knows what the node never learned. Or it dies within one of the job's operations
 * (sim_node_crash_within): then that one never ends, and what it wrote is kept, dropped or damaged.
 */
#include "node.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/field.h"
#include "core/codec/value.h"
#include "core/node/internal.h"
#include "disk.h"
#include "heap.h"
#include "net.h"
#include "oracle.h"

#define WALL_MS UINT64_C(1790000000000) /* when the world begins */
#define WAKE_NS_MAX 60000               /* an idle thread takes up to so long to begin; a busy one none */
#define FOREVER UINT64_MAX
#define STUCK_ONE_IN 4 /* of the crashes within an operation, where disks stall: it had lasted long already */

const struct gavel_plugin *gavel_plugin_workflow(void);

/* What a job costs beside the disk, ns: at least this, and at most eight times as much. */
static const uint64_t lane_cost[OS_LANES] = {
    [OS_LANE_LOG] = 4000, [OS_LANE_DISK] = 20000, [OS_LANE_APPLY] = 2000, [OS_LANE_WORKER] = 50000,
    [OS_LANE_OBSERVER] = 5000};

/* ---- clocks -------------------------------------------------------------------------------------------- */

/* Nanoseconds of one life that fit 64 bits when multiplied by a drift: 27 hours. */
#define ELAPSED_MAX (INT64_C(100000) * (int64_t)SIM_S)

static uint64_t mono_ns(void *self)
{
    const struct sim_process *process = self;
    int64_t elapsed = (int64_t)(process->node->sim->now - process->clock_since);

    assert(elapsed < ELAPSED_MAX);
    return process->clock_mono + (uint64_t)(elapsed + elapsed * process->drift_ppm / 1000000);
}

/* The first simulated moment at which mono_ns says `mono` or more. */
static uint64_t moment_of(const struct sim_process *process, uint64_t mono)
{
    uint64_t ahead = mono > process->clock_mono ? mono - process->clock_mono : 0;
    unsigned __int128 scaled = (unsigned __int128)ahead * 1000000;

    return process->clock_since + (uint64_t)(scaled / (uint64_t)(1000000 + process->drift_ppm)) + 2;
}

static uint64_t wall_ms(void *self)
{
    struct sim_process *process = self;

    process->node->sim->totals.clock_jumps += process->jumped;
    process->jumped = false;
    return WALL_MS + process->node->sim->now / SIM_MS + (uint64_t)process->wall_offset_ms;
}

static void random_bytes(void *self, void *data, size_t size)
{
    struct sim_process *process = self;
    unsigned char *at = data;

    while (size) {
        uint64_t drawn = sim_draw(&process->bytes);
        size_t some = size < sizeof drawn ? size : sizeof drawn;

        memcpy(at, &drawn, some);
        at += some;
        size -= some;
    }
}

static const struct os_clock_ops clock_ops = {.mono_ns = mono_ns, .wall_ms = wall_ms, .random = random_bytes};

/* The monotonic clock goes on from a new base: what it says now stays. */
static void rebase(struct sim_process *process, uint64_t mono, int64_t drift_ppm)
{
    process->clock_mono = mono;
    process->clock_since = process->node->sim->now;
    process->drift_ppm = drift_ppm;
}

static int64_t draw_drift(struct sim_process *process)
{
    uint64_t most = process->node->sim->options.drift_ppm;

    return (int64_t)sim_below(&process->clocks, 2 * most + 1) - (int64_t)most;
}

/* A machine that comes up counts from anywhere. */
static void boot(struct sim_process *process)
{
    rebase(process, SIM_S + sim_below(&process->clocks, 1000 * SIM_S), draw_drift(process));
    process->booted = true;
}

void sim_node_jump(struct sim_node *node, int64_t milliseconds)
{
    struct sim_process *process = node->process;

    sim_trace(node->sim, node, "wall clock jumps by %lld ms", (long long)milliseconds);
    process->jumped = true;
    process->wall_offset_ms += milliseconds;
    /* With a jump the rate may change too, as when a virtual machine moves. */
    if (node->sim->options.drift_ppm && process->booted)
        rebase(process, mono_ns(process), draw_drift(process));
}

/* ---- a paused process ---------------------------------------------------------------------------------- */

static bool deferred(struct sim_process *process, struct sim_event *event)
{
    struct sim_node *node = process->node;

    if (node->paused_until <= node->sim->now)
        return false;
    sim_node_missed(node);
    sim_schedule(node->sim, event, node->paused_until);
    return true;
}

static void resume(struct sim *sim, struct sim_event *event)
{
    struct sim_process *process = os_container(event, struct sim_process, resume);

    (void)sim;
    sim_trace(sim, process->node, "runs on");
    process->node->paused_until = 0;
    sim_net_pause(process->node->side, false);
}

void sim_node_pause(struct sim_node *node, uint64_t until)
{
    if (!node->node || node->paused_until)
        return;
    node->missed = false;
    sim_trace(node->sim, node, "paused until %llu", (unsigned long long)until);
    node->paused_until = until;
    sim_net_pause(node->side, true);
    sim_schedule(node->sim, &node->process->resume, until);
}

/* ---- a crash within an operation ----------------------------------------------------------------------- */

static void cut_event(struct sim *sim, struct sim_event *event)
{
    struct sim_process *process = os_container(event, struct sim_process, cut);

    (void)sim;
    sim_node_crash(process->node, (enum sim_crash)process->cut_how);
}

void sim_node_crash_within(struct sim_node *node, enum sim_crash how, uint32_t aim, uint64_t count, uint64_t until)
{
    struct sim_process *process = node->process;

    if (!node->node || process->cut.place)
        return;
    sim_trace(node->sim, node, "is going to %s within an operation", how == SIM_POWER ? "lose its power" : "be killed");
    sim_disk_aim(node->disk, (enum sim_aim)aim, count);
    process->cut_how = how;
    sim_schedule(node->sim, &process->cut, until);
}

void sim_node_spare(struct sim_node *node)
{
    if (node->process->hangs)
        sim_node_crash(node, (enum sim_crash)node->process->cut_how);
    sim_cancel(node->sim, &node->process->cut);
    sim_disk_aim(node->disk, SIM_AIM_ANY, 0);
}

/*
 * A job that would have taken so long has asked a disk that gives no more answers: it is not done. If it was the first,
 * the crash falls into its time; now and then the disk had got stuck with it before.
 */
static void hang(struct sim_process *process, uint64_t cost)
{
    struct sim_node *node = process->node;
    uint64_t stall_ms = node->sim->options.stall_ms;

    process->unanswered = sim_disk_unanswered(node->disk);
    if (process->hangs)
        return;
    process->hangs = true;
    if (stall_ms && sim_below(&process->cuts, STUCK_ONE_IN) == 0)
        cost = sim_magnitude(&process->cuts, SIM_MS, stall_ms * SIM_MS);
    sim_trace(node->sim, node, "an operation of its disk is under way and will not end");
    sim_schedule(node->sim, &process->cut, node->sim->now + 1 + sim_below(&process->cuts, cost));
}

/* Nobody but jobs has asked the disk since it gives no answers. */
static bool hangs(const struct sim_process *process)
{
    return process->hangs && sim_disk_unanswered(process->node->disk) == process->unanswered;
}

/* What is written and not synced, the next life takes for what is there. */
static void died_recovering(struct sim_node *node, enum sim_crash how)
{
    node->sim->totals.crashes_in_recovery++;
    if (how == SIM_POWER)
        return;
    node->sim->totals.kills_in_recovery++;
    node->process->killed_life = node->lives;
}

/* A life that began on what one that was killed in its recovery had not synced, and that loses its power. */
static void count_power_cut(struct sim_node *node)
{
    node->sim->totals.cuts_after_kill += node->process->killed_life && node->lives == node->process->killed_life + 1;
}

bool sim_node_killed_in_recovery(const struct sim_node *node)
{
    return node->process->killed_life && node->lives == node->process->killed_life;
}

/* What its death has found under way, if anything. */
static void count_cut(struct sim_node *node, enum sim_crash how)
{
    struct sim_totals *totals = &node->sim->totals;
    struct node *inner = node->node;
    bool recovering = inner->phase == NODE_NEW || inner->phase == NODE_RESTORING ||
                      (inner->raft && engine_status(inner).recovering);
    uint64_t *const kinds[SIM_AIMS] = {[SIM_AIM_LOG] = &totals->cuts_in_log_write,
                                       [SIM_AIM_VOTE] = &totals->cuts_in_vote_write,
                                       [SIM_AIM_SNAPSHOT] = &totals->cuts_in_snapshot,
                                       [SIM_AIM_NAMES] = &totals->cuts_in_names};
    uint64_t *kind;

    if (!sim_disk_dying(node->disk))
        return;
    if (inner->recovery.start != LOG_START_FRESH && recovering) {
        died_recovering(node, how);
        return;
    }
    totals->cuts_in_write++;
    /* What it did not have on its disk itself was committed, by others: only while a write takes its time. */
    totals->cuts_after_commit += inner->raft && inner->log && node_commit(inner) > log_durable(inner->log);
    kind = kinds[sim_disk_died_in(node->disk)];
    if (kind)
        ++*kind;
}

/* ---- lanes --------------------------------------------------------------------------------------------- */

static void begin_job(struct sim_process *process, struct process_lane *lane)
{
    struct sim_node *node = process->node;
    struct os_job *job = lane->head;
    uint32_t number = (uint32_t)(lane - process->lanes);
    uint64_t cost = lane_cost[number] + sim_below(&process->dice, lane_cost[number] * 7);
    uint64_t unanswered = sim_disk_unanswered(node->disk);
    bool dying = sim_disk_dying(node->disk);

    if (!job)
        return;
    lane->head = job->next;
    job->next = NULL;
    job->state = OS_JOB_RUNNING;
    job->run(job);
    job->state = OS_JOB_RAN;
    lane->ran = job;
    cost += sim_disk_cost(node->disk);
    sim_cancel(node->sim, &lane->event); /* whoever submitted it may have asked for a beginning */
    if (process->cut.place && (process->hangs ? sim_disk_unanswered(node->disk) != unanswered
                                              : !dying && sim_disk_dying(node->disk)))
        hang(process, cost);
    else
        sim_schedule(node->sim, &lane->event, node->sim->now + cost);
}

static void lane_event(struct sim *sim, struct sim_event *event)
{
    struct process_lane *lane = os_container(event, struct process_lane, event);
    struct sim_process *process = lane->process;
    struct os_job *job = lane->ran;

    if (deferred(process, event))
        return;
    if (job) {
        lane->ran = NULL;
        job->state = OS_JOB_IDLE;
        sim_trace(sim, process->node, "lane %u done", event->kind);
        job->done(job); /* may free it or submit it again */
        sim_acted(sim, process->node);
    }
    if (!lane->ran)
        begin_job(process, lane);
    sim_looked_at(sim, process->node); /* the disk may have died of it */
}

static void submit(void *self, uint32_t number, struct os_job *job)
{
    struct sim_process *process = self;
    struct process_lane *lane = &process->lanes[number];
    struct sim *sim = process->node->sim;

    assert(number < OS_LANES);
    assert(job->run);
    assert(job->done);
    assert(job->state == OS_JOB_IDLE);
    job->lane = number;
    job->state = OS_JOB_QUEUED;
    job->next = NULL;
    process->submitted++;
    if (lane->head)
        lane->tail->next = job;
    else
        lane->head = job;
    lane->tail = job;
    if (!lane->event.place && !lane->ran)
        sim_schedule(sim, &lane->event, sim->now + 1 + sim_below(&process->dice, WAKE_NS_MAX));
}

static const struct os_lane_ops lane_ops = {.submit = submit};

/* ---- the node's call-backs ----------------------------------------------------------------------------- */

static void deadline_event(struct sim *sim, struct sim_event *event)
{
    struct sim_process *process = os_container(event, struct sim_process, deadline);
    struct node *node = process->node->node;
    uint64_t submitted = process->submitted;
    uint64_t term = node->term;
    uint32_t role = node->role;

    if (deferred(process, event))
        return;
    node_deadline(node);
    if (process->submitted != submitted || node->term != term || node->role != role)
        sim_acted(sim, process->node);
    sim_looked_at(sim, process->node);
}

static void deadline(void *context, uint64_t mono)
{
    struct sim_process *process = context;

    if (mono == FOREVER)
        sim_cancel(process->node->sim, &process->deadline);
    else
        sim_schedule(process->node->sim, &process->deadline, moment_of(process, mono));
}

static void fatal(void *context, int exit_code, const char *sentence)
{
    struct sim_process *process = context;
    struct sim_node *node = process->node;

    node->state = SIM_DEAD;
    node->exit_code = exit_code;
    (void)snprintf(node->said, sizeof node->said, "%s", sentence);
    sim_trace(node->sim, node, "exits with %d: %s", exit_code, node->said);
    sim_looked_at(node->sim, node);
}

static void stopped(void *context)
{
    struct sim_process *process = context;

    process->stopped = true;
    sim_looked_at(process->node->sim, process->node);
}

static bool log_wanted(void *context, uint64_t level, const char *module)
{
    const struct sim_process *process = context;

    (void)module;
    return level >= (process->node->sim->tracing ? GAVEL_LOG_DEBUG : GAVEL_LOG_INFO);
}

/* What only the node's own words tell. */
static void log_line(void *self, uint64_t level, const char *module, struct gavel_slice text)
{
    const struct sim_process *process = self;
    struct sim *sim = process->node->sim;
    const struct {
        const char *begins;
        uint64_t *total;
    } rows[] = {{"Installed the leader's snapshot", &sim->totals.snapshots_installed},
                {"Snapshot created", &sim->totals.snapshots_taken},
                {"Recovered: the log is whole again", &sim->totals.refetches},
                {"The disk is full", &sim->totals.full_alarms}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (text.size >= strlen(rows[i].begins) && memcmp(text.data, rows[i].begins, strlen(rows[i].begins)) == 0)
            ++*rows[i].total;
    if (level >= GAVEL_LOG_INFO)
        sim_trace(sim, process->node, "[%s] %.*s", module, (int)text.size, (const char *)text.data);
}

/* ---- a life -------------------------------------------------------------------------------------------- */

/*
 * The store has one state version. Here it has as many as there are upgrades, all of which mean the same: what matters
 * is who acts as which one at which entry, and the settings tell that.
 */
static int32_t restore_begin(void *self, uint64_t state_version, struct gavel_error *error)
{
    const struct gavel_statemachine *workflow = gavel_plugin_workflow()->operations;

    (void)state_version;
    return workflow->restore_begin(self, workflow->state_version, error);
}

/* Whoever starts anew may find a newer plugin on its machine; one that joins, or that met a barrier, has to. */
static void choose_plugin(struct sim_process *process, bool joins)
{
    const struct sim *sim = process->node->sim;
    bool newest = sim->options.settings_per_hour && (sim->clustered || !sim->options.seeds) &&
                  (joins || process->outdated || (sim_draw(&process->dice) & 1));

    if (!process->plugin)
        process->plugin = 1;
    /* A founder's plugin is what the cluster begins with: none of them gets a newer one before. */
    if (newest && sim->clustered)
        process->plugin = sim->plugin;
    process->outdated = false;
    process->operations.state_version = process->plugin;
    process->operations.state_version_oldest = 1;
    process->operations.restore_begin = restore_begin;
}

bool sim_node_outdated(struct sim_node *node)
{
    node->process->outdated = strstr(node->said, "has state version") != NULL;
    return node->process->outdated;
}

static void make_machine(struct sim_process *process, bool joins)
{
    const struct gavel_plugin *plugin = gavel_plugin_workflow();
    _Alignas(16) unsigned char options[512];
    _Alignas(16) unsigned char memory[4096];
    struct codec_arena arena = codec_arena(memory, sizeof memory);
    struct gavel_error error = {0};

    assert(plugin->options->struct_size <= sizeof options);
    memset(options, 0, sizeof options);
    if (codec_fields_defaults(plugin->options, options, &arena, &error) != GAVEL_OK ||
        plugin->create(&process->host, options, &process->machine.self, &error) != GAVEL_OK)
        sim_fail(process->node->sim, "machine", "the workflow machine cannot be made: %s", error.text);
    process->operations = *(const struct gavel_statemachine *)plugin->operations;
    if (process->node->sim->options.apply_lane == 2)
        process->operations.flags &= ~(uint64_t)GAVEL_BOUNDED;
    choose_plugin(process, joins);
    process->machine.name = "workflow";
    process->machine.plugin = plugin;
    process->machine.operations = &process->operations;
    process->machine.settings = "";
    process->machine.given = "";
}

static void fill_setup(struct sim_process *process, const uint32_t *join, uint32_t join_count)
{
    struct sim_node *node = process->node;
    const struct sim_options *options = &node->sim->options;
    bool scouts = options->seeds && !join_count;

    for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
        memcpy(process->uris[i], node->sim->nodes[i].uri, sizeof process->uris[i]);
    process->listen[0] = process->uris[node->number];
    for (uint32_t i = 0; i < node->sim->founders; i++)
        process->seeds[i] = process->uris[i];
    /* Each life says another thing, so each has to bring it into the log. */
    (void)snprintf(process->life, sizeof process->life, "%llu", (unsigned long long)node->lives);
    process->capabilities[0] = (struct node_capability){"life", process->life};
    process->capabilities[1] = (struct node_capability){"zone", node->number % 2 ? "odd" : "even"};
    assert(join_count <= SIM_NODES_MAX);
    for (uint32_t i = 0; i < join_count; i++)
        process->join[i] = process->uris[join[i]];
    process->setup = (struct node_setup){
        .os = &node->os,
        .host = &process->host,
        .name = node->name,
        .version = "sim",
        .data_dir = "data",
        .members = node->sim->members,
        .discovers = scouts,
        .expect = scouts ? node->sim->founders : 0,
        .seeds = process->seeds,
        .seed_count = node->sim->founders,
        .addresses = process->listen,
        .address_count = 1,
        .member_count = join_count || scouts ? 0 : node->sim->founders,
        .join = process->join,
        .join_count = join_count,
        .capabilities = process->capabilities,
        .capability_count = options->register_per_hour ? 2 : 0,
        .transports = process->transports,
        .transport_count = 2,
        .machines = &process->machine,
        .machine_count = 1,
        .limits = {.log_segment_bytes = options->segment_kib / 4 << 12,
                   .batch_bytes = options->segment_kib << 8, /* four of them at least in a segment */
                   .snapshot_entries = options->snapshot_entries,
                   .snapshot_log_min = options->snapshot_log_kib << 10,
                   .snapshot_keep = options->snapshot_keep,
                   .log_trailing_bytes = options->trailing_kib << 10,
                   .log_cache_bytes = options->cache_kib << 10,
                   /* The founder's file says it; whoever starts later takes what the cluster has. */
                   .session_ttl_ms = node->number == 0 && node->lives == 1 ? options->session_ttl_ms : 0,
                   .proposals = 1024,
                   .reads = 1024,
                   .event_ring_bytes = options->ring_kib << 10},
        .looks_at_all = node->sim->looks_at_all,
        .callbacks = {.context = process,
                      .deadline = deadline,
                      .fatal = fatal,
                      .stopped = stopped,
                      .log_wanted = log_wanted},
    };
}

void sim_node_make(struct sim *sim, uint32_t number)
{
    struct sim_node *node = &sim->nodes[number];
    struct sim_process *process = calloc(1, sizeof *process);

    assert(process);
    *node = (struct sim_node){.sim = sim, .number = number, .state = SIM_ABSENT, .exit_code = -1, .process = process};
    process->node = node;
    (void)snprintf(node->name, sizeof node->name, "n%u", number + 1);
    (void)snprintf(node->uri, sizeof node->uri, "sim://n%u", number + 1);
    process->admin_listen[0] = "admin://";
    process->admin = sim_admin_new(node);
    process->dice = sim_stream(sim, SIM_STREAM_LANES, number);
    process->clocks = sim_stream(sim, SIM_STREAM_CLOCKS, number);
    process->bytes = sim_stream(sim, SIM_STREAM_NODES, number);
    process->cuts = sim_stream(sim, SIM_STREAM_LANES, 1000 + number);
    process->resume.run = resume;
    process->cut.run = cut_event;
    process->deadline.run = deadline_event;
    for (uint32_t i = 0; i < OS_LANES; i++) {
        process->lanes[i].process = process;
        process->lanes[i].event.run = lane_event;
        process->lanes[i].event.kind = i;
    }
    node->disk = sim_disk_new(sim, node);
    node->side = sim_net_side(sim->net, node, node->name);
    node->os = (struct os){.files = &sim_disk_files,
                           .files_self = node->disk,
                           .clock = &clock_ops,
                           .clock_self = process,
                           .lanes = &lane_ops,
                           .lanes_self = process};
    process->host = (struct gavel_host){.size = GAVEL_END(struct gavel_host, log),
                                        .self = process,
                                        .heap = &codec_heap,
                                        .log = log_line,
                                        .node = node->name,
                                        .instance = "node"};
    process->transports[0] = (struct node_transport){.name = "sim",
                                                     .operations = &sim_transport,
                                                     .listen = process->listen,
                                                     .listen_count = 1,
                                                     .self = node->side};
    process->transports[1] = (struct node_transport){.name = "admin",
                                                     .operations = &sim_admin_transport,
                                                     .listen = process->admin_listen,
                                                     .listen_count = 1,
                                                     .self = process->admin,
                                                     .admin = true};
}

static void clear_lanes(struct sim_node *node)
{
    struct process_lane *lanes = node->process->lanes;

    for (uint32_t i = 0; i < OS_LANES; i++) {
        sim_cancel(node->sim, &lanes[i].event);
        lanes[i].head = NULL;
        lanes[i].ran = NULL;
    }
}

/* What a process takes with it when it ends; `how` is what becomes of its machine. */
static void bury(struct sim_node *node, enum sim_crash how)
{
    struct sim_process *process = node->process;

    if (node->node)
        sim_oracle_ended(node->sim->oracle, node);
    if (node->node && node->node->raft)
        node->last_known = *raft_configuration(node->node->raft);
    sim_cancel(node->sim, &process->deadline);
    sim_cancel(node->sim, &process->resume);
    sim_cancel(node->sim, &process->cut);
    process->hangs = false;
    clear_lanes(node);
    if (node->paused_until)
        sim_net_pause(node->side, false);
    node->paused_until = 0;
    sim_net_kill(node->side, how == SIM_POWER);
    sim_admin_kill(process->admin);
    if (node->node) {
        node_abandon(node->node);
        node_free(node->node);
        clear_lanes(node); /* what was let go of meanwhile asks for a lane that nobody runs any more */
    }
    node->node = NULL;
    process->machine.plugin->destroy(process->machine.self);
    process->machine.self = NULL;
    sim_disk_crash(node->disk, how);
    (void)sim_disk_cost(node->disk);
    if (how == SIM_POWER)
        process->booted = false;
    node->state = SIM_DOWN;
}

void sim_node_unmake(struct sim_node *node)
{
    if (!node->process)
        return;
    if (node->node)
        bury(node, SIM_KILL);
    sim_disk_free(node->disk);
    sim_admin_free(node->process->admin);
    free(node->process);
    node->process = NULL;
}

void sim_node_die_in_recovery(struct sim_node *node, enum sim_crash how, uint64_t operations)
{
    node->process->die_after = operations;
    node->process->die_how = how;
}

static void refused(struct sim_node *node, int exit_code, const struct gavel_error *error)
{
    node->exit_code = exit_code;
    (void)snprintf(node->said, sizeof node->said, "%s", error->text);
    sim_trace(node->sim, node, "does not start, %d: %s", exit_code, node->said);
}

static void refuse(struct sim_node *node)
{
    sim_oracle_refused(node->sim->oracle, node);
    bury(node, SIM_KILL);
}

/* Within an operation of its disk, before it ran. */
static void died_in_start(struct sim_node *node)
{
    enum sim_crash how = (enum sim_crash)node->process->dies_how;

    if (how == SIM_POWER)
        count_power_cut(node);
    died_recovering(node, how);
    bury(node, how);
    node->exit_code = -1;
}

static void count_recovery(struct sim_node *node)
{
    struct sim_totals *totals = &node->sim->totals;

    if (node->node->recovery.start != LOG_START_FRESH)
        totals->recoveries++;
    if (node->node->recovery.start == LOG_START_TORN)
        totals->torn_tails++;
    if (node->node->recovery.start == LOG_START_RECOVERING)
        totals->corruptions_found++;
}

void sim_node_start(struct sim_node *node, const uint32_t *join, uint32_t join_count)
{
    struct sim_process *process = node->process;
    struct gavel_error error = {0};
    int exit_code = 0;
    bool dying;

    assert(node->state == SIM_DOWN || node->state == SIM_ABSENT);
    if (!process->booted)
        boot(process);
    node->lives++;
    node->sim->totals.drifting_lives += process->drift_ppm != 0;
    node->exit_code = -1;
    node->said[0] = 0;
    process->stopped = false;
    sim_disk_die_after(node->disk, process->die_after);
    process->dies_how = process->die_how;
    process->die_after = 0;
    sim_heap_ours(); /* the host's */
    make_machine(process, join_count > 0);
    sim_heap_theirs();
    fill_setup(process, join, join_count);
    sim_trace(node->sim, node, "starts, life %llu", (unsigned long long)node->lives);
    node->state = SIM_UP;
    if (node_new(&process->setup, &node->node, &exit_code, &error) != 0) {
        node->node = NULL;
        dying = sim_disk_dying(node->disk);
        refused(node, exit_code, &error);
        node->state = SIM_DOWN;
        if (dying)
            died_in_start(node);
        else
            refuse(node);
        return;
    }
    (void)sim_disk_cost(node->disk);
    count_recovery(node);
    sim_oracle_started(node->sim->oracle, node);
    node_start(node->node);
    sim_looked_at(node->sim, node);
}

void sim_node_crash(struct sim_node *node, enum sim_crash how)
{
    if (!node->node)
        return;
    node->sim->totals.crashes++;
    node->sim->totals.power_cuts += how == SIM_POWER;
    sim_trace(node->sim, node, how == SIM_POWER ? "loses its power" : "is killed");
    node->exit_code = -1;
    if (how == SIM_POWER)
        count_power_cut(node);
    count_cut(node, how);
    bury(node, how);
}

void sim_node_stop(struct sim_node *node)
{
    assert(node->state == SIM_UP);
    sim_trace(node->sim, node, "is asked to stop");
    node->state = SIM_STOPPING;
    node_stop(node->node);
    sim_looked_at(node->sim, node);
}

void sim_node_after(struct sim_node *node)
{
    if (!node->node)
        return;
    if (sim_disk_dying(node->disk) && !hangs(node->process)) {
        sim_node_crash(node, (enum sim_crash)(node->process->cut.place ? node->process->cut_how
                                                                       : node->process->dies_how));
    } else if (node->state == SIM_DEAD) {
        bury(node, SIM_KILL);
    } else if (node->process->stopped) {
        node->sim->totals.clean_stops++;
        sim_trace(node->sim, node, "has stopped");
        node->exit_code = 0;
        bury(node, SIM_KILL);
    }
}

/* ---- what a node applies ------------------------------------------------------------------------------- */

void __real_event_applied(struct node *node, const struct apply_record *record);
void __wrap_event_applied(struct node *node, const struct apply_record *record);

/*
 * Each record of what is applied passes here (Module.am). Of several runs in one event, whoever looks at its end would
 * see the last only.
 */
void __wrap_event_applied(struct node *node, const struct apply_record *record)
{
    const struct sim_process *process = node->setup.callbacks.context;

    sim_oracle_applied(process->node->sim->oracle, process->node, record);
    __real_event_applied(node, record);
}
