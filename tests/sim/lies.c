/* SPDX-License-Identifier: Apache-2.0 */
/* lies.c - what is changed behind the world's back, and who must notice; see lies.h. */
#include "lies.h"
#include "lies_room.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "core/log/state.h"
#include "core/node/internal.h"
#include "core/raft/internal.h"
#include "disk_state.h"
#include "guard.h"
#include "load_internal.h"
#include "net.h"
#include "oracle_memory.h"
#include "run.h"
#include "world.h"

#define BEGIN_NS (3 * SIM_S)     /* by then a cluster without misfortune has a leader, and clients write */
#define PATIENCE_NS (60 * SIM_S) /* from there on it must have been noticed */
#define FAR 1000

struct lie {
    const char *invariant; /* that must fire, */
    const char *says;      /* and a part of its sentence; NULL: any */
    void (*tell)(struct sim *sim); /* after each event from BEGIN_NS on: as often as it takes */
    const char *set;       /* of the options beside the calm ones, "NAME=VALUE ..."; NULL: none */
    bool twice;            /* in the second of two runs, which both come to their end */
};

/* ---- who ----------------------------------------------------------------------------------------------- */

static bool works(const struct sim *sim, uint32_t number)
{
    const struct sim_node *node = &sim->nodes[number];

    return sim_is_up(node) && node->node && node->node->raft && node->node->phase == NODE_RUNNING &&
           sim->oracle->nodes[number].alive;
}

static struct sim_node *find(struct sim *sim, uint32_t role)
{
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (works(sim, i) && sim->nodes[i].node->raft->role == role)
            return &sim->nodes[i];
    return NULL;
}

static struct oracle_node *memory_of(const struct sim_node *node)
{
    return &node->sim->oracle->nodes[node->number];
}

static void look(struct sim_node *node)
{
    sim_oracle_step(node->sim->oracle, node);
}

/* ---- of the algorithm ---------------------------------------------------------------------------------- */

static void term_back(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);

    if (node) {
        node->node->raft->term--;
        look(node);
    }
}

static void commit_back(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (node && node->node->raft->commit) {
        node->node->raft->commit--;
        look(node);
    }
}

static void leader_drops(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);

    if (node && node->node->raft->log.used) {
        node->node->raft->log.used--;
        look(node);
    }
}

static void other_batch(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (node && node->node->raft->log.used) {
        raft_log_slot(&node->node->raft->log, node->node->raft->log.used - 1)->chain ^= 1;
        look(node);
    }
}

static void other_leader(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);

    if (node)
        oracle_term(sim->oracle, node->node->raft->term)->leader = FAR;
}

/* Its log goes on behind what is committed anywhere. */
static bool knows_more(const struct sim *sim, const struct sim_node *node)
{
    return node && raft_log_last(&node->node->raft->log) > sim->oracle->committed_last;
}

static void follower_commits(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (!knows_more(sim, node))
        return;
    node->node->raft->commit = raft_log_last(&node->node->raft->log);
    look(node);
}

/* As one that its own change has removed, but before anybody else has what it commits. */
static void leader_commits_and_leaves(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);

    if (!knows_more(sim, node))
        return;
    node->node->raft->commit = raft_log_last(&node->node->raft->log);
    node->node->raft->role = RAFT_FOLLOWER;
    look(node);
}

static void other_configuration(struct oracle_node *memory)
{
    for (uint32_t i = 0; i < memory->in_force.count; i++)
        if (memory->in_force.members[i].id < FAR)
            memory->in_force.members[i].id += FAR;
}

static void jumps_to_another_configuration(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);

    if (node)
        other_configuration(memory_of(node));
}

static void leads_by_another_configuration(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (!node)
        return;
    memory_of(node)->seen.role = RAFT_LEADER;
    memory_of(node)->seen.configuration_index = UINT64_MAX;
    other_configuration(memory_of(node));
}

/* ---- of disks ------------------------------------------------------------------------------------------ */

/* Its write is under way, or not even that. */
static void durable_too_early(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (!node || log_last(node->node->log) == log_durable(node->node->log))
        return;
    node->node->log->durable = log_last(node->node->log);
    look(node);
}

/* As a leader that counts itself with its write, not with the write's end. */
static void counts_too_early(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);

    if (!node || raft_log_last(&node->node->raft->log) == log_durable(node->node->log))
        return;
    node->node->raft->durable_index = raft_log_last(&node->node->raft->log);
    look(node);
}

/* The file that the log goes on in would be gone after a power cut: nobody synced its directory. */
static void segment_without_a_name(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);
    struct log_segment *segment = node ? node->node->log->current : NULL;
    char elsewhere[OS_PATH_MAX + 8];

    if (!segment || memory_of(node)->segment != segment->number)
        return;
    memory_of(node)->segment = 0;
    (void)snprintf(elsewhere, sizeof elsewhere, "%s.gone", os_mem_file_path(segment->file));
    (void)os_mem_files.rename(node->disk->mem, os_mem_file_path(segment->file), elsewhere);
}

/* ---- of recoveries ------------------------------------------------------------------------------------- */

static void counts_while_recovering(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (works(sim, i))
            sim->oracle->nodes[i].refetching = true;
}

static void recovered_without(struct sim *sim)
{
    const struct sim_node *leader = find(sim, RAFT_LEADER);
    const struct sim_node *lags = find(sim, RAFT_FOLLOWER);

    if (leader && lags)
        sim_net_cut(sim->net, leader->number, lags->number, true);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct oracle_node *memory = &sim->oracle->nodes[i];

        if (!works(sim, i) || sim->nodes[i].node->raft->log.base_index >= sim->oracle->committed_last ||
            raft_log_last(&sim->nodes[i].node->raft->log) >= sim->oracle->committed_last)
            continue;
        memory->refetching = true;
        memory->refetch = UINT64_MAX;
        look(&sim->nodes[i]);
    }
}

static void restart(struct sim *sim, void (*lie)(struct oracle_node *memory))
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (!node || node->lives > 1)
        return;
    sim_node_crash(node, SIM_KILL);
    lie(memory_of(node));
}

static void promise_more(struct oracle_node *memory)
{
    memory->promised += FAR;
}

static void speak_later(struct oracle_node *memory)
{
    memory->sent_term += FAR;
}

static void promise_forgotten(struct sim *sim)
{
    restart(sim, promise_more);
}

static void term_forgotten(struct sim *sim)
{
    restart(sim, speak_later);
}

static void fatal_for_nothing(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (node)
        node_fatal(node->node, 70, "for nothing");
}

/* In a world whose disks do fail now and then; its own has not, in this life. */
static void fatal_for_a_sound_disk(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (node)
        node_fatal(node->node, 74, "its disk is sound");
}

/* The nurse finds it lying there, and the oracle was not asked. */
static void lies_there(struct sim *sim, int exit_code)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (node) {
        sim_node_crash(node, SIM_KILL);
        node->exit_code = exit_code;
    }
}

static void found_dead(struct sim *sim)
{
    lies_there(sim, 70);
}

static void found_dead_beside_a_sound_disk(struct sim *sim)
{
    lies_there(sim, 74);
}

/* ---- of machines --------------------------------------------------------------------------------------- */

static void applied_back(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (node)
        memory_of(node)->applied += FAR;
}

/* As where the linker does not wrap event_applied, or not everywhere. */
static void result_unheard(struct sim *sim)
{
    struct sim_node *leader = find(sim, RAFT_LEADER);

    if (leader && memory_of(leader)->heard)
        memory_of(leader)->heard--;
}

static void result_again(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);
    struct oracle_node *memory = node ? memory_of(node) : NULL;

    if (memory && memory->applied && memory->result_count == 0 && memory->result_capacity)
        memory->results[memory->result_count++].index = memory->applied;
}

/* As where a batch was not in memory any more when it was looked at. */
static void entries_unread(struct sim *sim)
{
    for (uint64_t i = 0; i < sim->oracle->batch_count; i++)
        if (!sim->oracle->batches[i].committed)
            sim->oracle->batches[i].noted = 0;
}

static void tick_back(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (node)
        memory_of(node)->tick = UINT64_MAX;
}

static void tick_made_back(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);
    struct log_batch *batch = node ? log_cached(node->node->log, raft_log_last(&node->node->raft->log)) : NULL;

    if (batch)
        batch->head.tick = UINT64_MAX;
}

/* As where a flipped state had led; since then all have come to agree, and one of them is another after all. */
static void differs_again(struct sim *sim)
{
    static bool spread;
    struct sim_oracle *oracle = sim->oracle;

    if (!spread)
        sim->flip_spread = spread = true;
    for (uint64_t i = 0; i < oracle->digest_capacity && !sim->flip_spread; i++)
        if (oracle->digests[i])
            oracle->digests[i] ^= 1;
}

static void second_cluster(struct sim *sim)
{
    sim->cluster[0] ^= 1;
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (works(sim, i))
            look(&sim->nodes[i]);
}

static void fenced_reads(struct sim *sim)
{
    static struct os_list item;
    struct sim_node *node = find(sim, RAFT_FOLLOWER);

    if (!node)
        return;
    node->node->raft->fenced = true;
    os_list_push(&node->node->ready_reads, &item);
    look(node);
}

/* ---- of bounds ----------------------------------------------------------------------------------------- */

#define OVER(name, field, value) \
    static void over_##name(struct sim *sim) \
    { \
        struct sim_node *node = find(sim, RAFT_LEADER); \
        if (node) { \
            node->node->field = (value) + 1; \
            look(node); \
        } \
    }

OVER(proposals, waiting, node->node->limits.proposals)
OVER(building, building_count, node->node->limits.batch_entries)
OVER(gated, gated_count, NODE_GATED_MAX)
OVER(parked, parked_count, NODE_PARKED_MAX)
OVER(parked_bytes, parked_bytes, NODE_PARKED_BYTES)
OVER(reads, read_count, node->node->limits.reads)
OVER(read_bytes, read_bytes, NODE_READ_BYTES)
OVER(clients, client_count, node->node->limits.clients)
OVER(forwards, forward_count, node->node->limits.proposals)
OVER(applied, applied, node->node->raft->commit)

OVER(cache, log->cache_bytes, node->node->log->cache_limit + node->node->log->queued_bytes)

/* All that it keeps is too much: so what is held against the limit must be what it keeps. */
static void over_ring(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);

    if (node) {
        node->node->limits.event_ring_bytes = 200;
        look(node);
    }
}

static void over_batches(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);

    if (node) {
        node->node->raft->options.batches_max = raft_batches(node->node->raft) - 1;
        look(node);
    }
}

static void look_at_lists(struct sim_node *node)
{
    for (int i = 0; i < 32; i++)
        look(node);
}

static void over_in_flight(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);
    struct conn *conn;

    if (!node)
        return;
    os_list_each (conn, &node->node->conns, struct conn, link)
        if (conn->role != CODEC_ROLE_PEER) {
            conn->in_flight = node->node->limits.client_in_flight + 1;
            look_at_lists(node);
        }
}

static void over_outbox(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);
    struct peer *peer;

    if (!node)
        return;
    os_list_each (peer, &node->node->peers, struct peer, link) {
        peer->outbox_count = NODE_OUTBOX_MAX + 1;
        look_at_lists(node);
    }
}

static void over_streams(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (works(sim, i) && event_stream_count(sim->nodes[i].node)) {
            sim->nodes[i].node->limits.streams = event_stream_count(sim->nodes[i].node) - 1;
            look(&sim->nodes[i]);
        }
}

static void over_sessions(struct sim *sim)
{
    sim->oracle->session_limits.sessions = 0;
}

static void over_window(struct sim *sim)
{
    sim->oracle->session_limits.window = 0;
}

static void over_replies(struct sim *sim)
{
    sim->oracle->session_limits.bytes = 0;
}

/* It says that something is committed which others have, and it has not. */
static void over_log(struct sim *sim)
{
    const struct sim_node *leader = find(sim, RAFT_LEADER);
    struct sim_node *lags = find(sim, RAFT_FOLLOWER);

    if (leader && lags)
        sim_net_cut(sim->net, leader->number, lags->number, true);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (!works(sim, i) || raft_log_last(&sim->nodes[i].node->raft->log) >= sim->oracle->committed_last)
            continue;
        sim->nodes[i].node->raft->commit = sim->oracle->committed_last;
        look(&sim->nodes[i]);
    }
}

static void over_open(struct sim *sim)
{
    struct sim_node *node = find(sim, RAFT_LEADER);

    if (node) {
        node->node->waiting = raft_log_last(&node->node->raft->log) - node->node->applied + 1;
        look(node);
    }
}

#define ENDLESS(name, field) \
    static void endless_##name(struct sim *sim) \
    { \
        struct sim_node *node = find(sim, RAFT_LEADER); \
        if (node) { \
            node->node->field += 1; \
            sim_oracle_finish(sim->oracle, false); \
        } \
    }

ENDLESS(reads, read_count)
ENDLESS(parked, parked_count)
ENDLESS(forwards, forward_count)

/* ---- of worlds that stand still ------------------------------------------------------------------------ */

static void lost_where_somebody_leads(struct sim *sim)
{
    const struct sim_node *leader = find(sim, RAFT_LEADER);

    if (!leader || !raft_own_term_committed(leader->node->raft))
        return;
    sim->oracle->acknowledged += FAR;
    sim_judge(sim, true);
}

/* A client was told that it wrote another value, and by now nobody answers any more: the states do not hold it. */
static void lost_from_every_state(struct sim *sim)
{
    struct history *history = &sim->load->history;
    struct history_op *newest = NULL;

    for (uint64_t i = 0; i < history->count; i++) {
        struct history_op *op = &history->ops[i];

        if (op->kind == HISTORY_SET && op->outcome == HISTORY_OK && (!newest || op->index > newest->index))
            newest = op;
    }
    if (!newest)
        return;
    newest->value += FAR;
    sim_judge(sim, true);
}

/* ---- of the real machine ------------------------------------------------------------------------------- */

static void *nothing(void *argument)
{
    return argument;
}

static int no_thread(void *argument)
{
    return argument != NULL;
}

/* One call of a function that guard.c keeps from the code that ships: lies.sh sees to it that none is left out. */
#define CALLS(name, ...) \
    static void calls_##name(struct sim *sim) \
    { \
        struct timespec at = {0}; \
        struct timeval day; \
        unsigned char bytes[8]; \
        pthread_t thread; \
        thrd_t other; \
        (void)sim, (void)at, (void)day, (void)bytes, (void)thread, (void)other; \
        (void)!name(__VA_ARGS__); \
    }

CALLS(clock_gettime, CLOCK_MONOTONIC, &at)
CALLS(gettimeofday, &day, NULL)
CALLS(time, NULL)
CALLS(timespec_get, &at, TIME_UTC)
CALLS(clock)
CALLS(getrandom, bytes, 1, 0)
CALLS(getentropy, bytes, 1)
CALLS(rand)
CALLS(rand_r, &(unsigned){1})
CALLS(random)
CALLS(drand48)
CALLS(lrand48)
CALLS(arc4random)
CALLS(arc4random_uniform, 6)
CALLS(getenv, "HOME")
CALLS(secure_getenv, "HOME")
CALLS(nanosleep, &at, NULL)
CALLS(clock_nanosleep, CLOCK_MONOTONIC, 0, &at, NULL)
CALLS(usleep, 0)
CALLS(sleep, 0)
CALLS(pthread_create, &thread, NULL, nothing, NULL)
CALLS(thrd_create, &other, no_thread, NULL)
CALLS(fork)
CALLS(open, "/dev/null", O_RDONLY | O_CLOEXEC)
CALLS(openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC)
CALLS(fopen, "/dev/null", "r")
CALLS(socket, AF_INET, SOCK_STREAM, 0)

static void calls_arc4random_buf(struct sim *sim)
{
    unsigned char byte;

    (void)sim;
    arc4random_buf(&byte, sizeof byte);
}

static void another_trace(struct sim *sim)
{
    if (sim->looks_at_all)
        sim_trace(sim, NULL, "something");
}

/* ---- all of them --------------------------------------------------------------------------------------- */

/* Snapshots, and a log that would be compacted behind each. */
#define OFTEN "snapshot_keep=1 snapshot_entries=50 snapshot_log_kib=16 trailing_kib=16 segment_kib=64"
#define CALL(name) {"determinism", "called " #name, calls_##name, NULL, false}

static const struct lie lies[] = {
    {"monotonic term", "went back", term_back, NULL, false},
    {"monotonic commit", NULL, commit_back, NULL, false},
    {"leader append-only", NULL, leader_drops, NULL, false},
    {"log matching", NULL, other_batch, NULL, false},
    {"election safety", NULL, other_leader, NULL, false},
    {"log matching", "that nobody made: member", other_leader, "nodes=1", false}, /* it sends nothing */
    {"state-machine safety", "no leader has committed it", follower_commits, NULL, false},
    {"durable quorum", NULL, leader_commits_and_leaves, NULL, false},
    {"persist before send", "takes its log for durable", durable_too_early, NULL, false},
    {"persist before send", "counts its own log", counts_too_early, NULL, false},
    {"persist before send", "gone after a power cut", segment_without_a_name, NULL, false},
    {"overlapping configurations", "without that of before", jumps_to_another_configuration, "members_per_hour=3600",
     false},
    {"overlapping configurations", "share no quorum", leads_by_another_configuration, "members_per_hour=3600", false},
    {"a recovering node does not count", NULL, counts_while_recovering, NULL, false},
    {"end of recovery", NULL, recovered_without, NULL, false},
    {"sound recovery", "not in its log", promise_forgotten, NULL, false},
    {"monotonic term", "after it has spoken", term_forgotten, NULL, false},
    {"sound recovery", "for nothing", fatal_for_nothing, NULL, false},
    {"sound recovery", "leaves with 74", fatal_for_a_sound_disk, "disk_error_ppm=1", false},
    {"exit", "ended with 70", found_dead, NULL, false},
    {"exit", "ended with 74", found_dead_beside_a_sound_disk, "disk_error_ppm=1", false},
    {"monotonic applied", NULL, applied_back, NULL, false},
    {"the oracle hears of each result", "were heard of", result_unheard, NULL, false},
    {"the oracle hears of each result", "told of a result", result_again, NULL, false},
    {"the oracle hears of each entry", NULL, entries_unread, NULL, false},
    {"tick never back", "went back", tick_back, NULL, false},
    {"tick never back", "stamps", tick_made_back, NULL, false},
    {"digest equality", NULL, differs_again, "flip_per_hour=1", false},
    {"one cluster", NULL, second_cluster, "seeds=1", false},
    {"a fenced node serves no reads", NULL, fenced_reads, NULL, false},
    {"bounded resources", "proposals that wait,", over_proposals, NULL, false},
    {"bounded resources", "entries in the making", over_building, NULL, false},
    {"bounded resources", "wait for the disk", over_gated, NULL, false},
    {"bounded resources", " parked requests,", over_parked, NULL, false},
    {"bounded resources", "bytes of parked requests", over_parked_bytes, NULL, false},
    {"bounded resources", " reads,", over_reads, NULL, false},
    {"bounded resources", "bytes of reads", over_read_bytes, NULL, false},
    {"bounded resources", "clients", over_clients, NULL, false},
    {"bounded resources", " forwarded requests,", over_forwards, NULL, false},
    {"bounded resources", "event streams", over_streams, NULL, false},
    {"bounded resources", "requests of a client that may go on", over_in_flight, NULL, false},
    {"bounded resources", "appends that wait to be read back", over_outbox, NULL, false},
    {"bounded resources", " sessions,", over_sessions, NULL, false},
    {"bounded resources", "sequence numbers of a session", over_window, NULL, false},
    {"bounded resources", "bytes of kept replies", over_replies, NULL, false},
    {"bounded resources", " batches,", over_batches, NULL, false},
    {"bounded resources", "bytes of cached log", over_cache, NULL, false},
    {"bounded resources", "bytes of kept events", over_ring, NULL, false},
    {"bounded resources", " commit,", over_log, NULL, false},
    {"bounded resources", "applied", over_applied, NULL, false},
    {"bounded resources", "applied or gone", over_open, NULL, false},
    {"bounded resources", " snapshots,", lies_never_prunes, OFTEN, false},
    {"bounded resources", "files of snapshots", lies_over_snapshot_files, NULL, false},
    {"bounded resources", "bytes of log below a snapshot", lies_never_compacts, OFTEN, false},
    {"bounded resources", "spare segments", lies_over_spares, NULL, false},
    {"bounded resources", "segments that nobody drops", lies_nobody_drops, NULL, false},
    {"bounded resources", "files of segments", lies_over_segment_files, NULL, false},
    {"bounded resources", "reads without an end", endless_reads, NULL, false},
    {"bounded resources", "parked requests without an end", endless_parked, NULL, false},
    {"bounded resources", "forwarded requests without an end", endless_forwards, NULL, false},
    {"acknowledged", "leads term", lost_where_somebody_leads, NULL, false},
    {"linearizable", "another value than this change made", lost_from_every_state, NULL, false},
    CALL(clock_gettime),
    CALL(gettimeofday),
    CALL(time),
    CALL(timespec_get),
    CALL(clock),
    CALL(getrandom),
    CALL(getentropy),
    CALL(rand),
    CALL(rand_r),
    CALL(random),
    CALL(drand48),
    CALL(lrand48),
    CALL(arc4random),
    CALL(arc4random_uniform),
    CALL(arc4random_buf),
    CALL(getenv),
    CALL(secure_getenv),
    CALL(nanosleep),
    CALL(clock_nanosleep),
    CALL(usleep),
    CALL(sleep),
    CALL(pthread_create),
    CALL(thrd_create),
    CALL(fork),
    CALL(open),
    CALL(openat),
    CALL(fopen),
    CALL(socket),
    {"determinism", "another trace", another_trace, NULL, true},
};

void lies_play(struct sim *sim, const struct lie *lie)
{
    guard_on(sim);
    while (sim_step(sim) && sim->now < BEGIN_NS + (lie->twice ? SIM_S : PATIENCE_NS))
        if (sim->now >= BEGIN_NS)
            lie->tell(sim);
    guard_off();
    if (lie->twice)
        return;
    sim_fail(sim, "lies", "nobody noticed within %llu simulated seconds",
             (unsigned long long)((BEGIN_NS + PATIENCE_NS) / SIM_S));
}

/* No misfortune: what fires is the lie's. */
static bool calm(const struct lie *lie, struct sim_options *options)
{
    static const char *const fixed[] = {"nodes=3", "clients=4", "keys=16", "rate=100", "value_bytes=100",
                                        "link_us=200", "sync_us=1000", "apply_lane=1"};

    sim_options_draw(options, 1);
    for (uint64_t i = 0; i < sim_options_count(); i++)
        if (sim_options_row(i)->class)
            *sim_options_value(options, i) = 0;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (!sim_options_set(options, fixed[i]))
            return false;
    for (const char *at = lie->set; at && *at; at += strspn(at, " ")) {
        char one[64] = "";

        (void)snprintf(one, sizeof one, "%.*s", (int)strcspn(at, " "), at);
        if (!sim_options_set(options, one))
            return false;
        at += strcspn(at, " ");
    }
    return true;
}

bool lies_run(void)
{
    uint32_t believed = 0;

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct sim_run_order order = {.seed = 1, .seconds = (BEGIN_NS + PATIENCE_NS) / SIM_S + 1, .lie = &lies[i],
                                      .twice = lies[i].twice};
        struct sim_report report;

        if (!calm(&lies[i], &order.options) || !sim_run_whole(&order, &report))
            return false;
        if (strcmp(report.invariant, lies[i].invariant) == 0 &&
            (!lies[i].says || strstr(report.sentence, lies[i].says)))
            continue;
        believed++;
        printf("lie %zu about '%s'%s%s: %s: %s\n", i + 1, lies[i].invariant, lies[i].says ? ", " : "",
               lies[i].says ? lies[i].says : "", report.invariant, report.sentence);
    }
    printf("%zu lies, %u believed\n", sizeof lies / sizeof lies[0], believed);
    return believed == 0;
}
