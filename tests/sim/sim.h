/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.h - one simulated world: the nodes that ship (core/node and all below it, the workflow machine, the codecs) in
 * one thread, over simulated disks, clocks, lanes and network, all moved by one queue of events.
 *
 * Time is simulated nanoseconds since the world began and only moves from event to event. Nothing in here may read a
 * real clock, the environment, the machine's random numbers or an address of memory to decide anything: the same seed
 * and options are the same run, to the last byte of the trace.
 *
 *   random.h options.h   the dice, and what this seed's world is like
 *   queue.c              the events
 *   node.c               one process: starting, stopping, crashing; its clocks and lanes
 *   disk.h  net.h        the simulated machine
 *   fate.h               what happens to the world as a whole: crashes, partitions, wipes, changes of members
 *   load.h               the clients and what they saw
 *   oracle.h             what must be true after every event
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gavel/host.h>

#include "core/node/node.h"
#include "core/os/os.h"
#include "core/raft/configuration.h"

#include "options.h"
#include "random.h"

#define SIM_NODES_MAX 12 /* seven founders, and those that join later */

#define SIM_US UINT64_C(1000)
#define SIM_MS UINT64_C(1000000)
#define SIM_S UINT64_C(1000000000)

struct sim;
struct sim_node;
struct sim_disk;
struct sim_net;
struct sim_side;
struct sim_fate;
struct sim_load;
struct sim_oracle;
struct sim_queue;
struct sim_process;

/* ---- events -------------------------------------------------------------------------------------------- */

/*
 * Embed it, all zero, and find the owner with os_container (core/os/list.h). Events of the same moment run in the order
 * in which they were scheduled. The owner keeps the memory until the event has run or was cancelled.
 */
struct sim_event {
    void (*run)(struct sim *sim, struct sim_event *event);
    uint64_t at;    /* simulated ns */
    uint64_t order; /* the queue's: ties */
    uint32_t place; /* the queue's: where in the heap, 0 = not in it */
    uint32_t kind;  /* the owner's, for traces */
};

/* Have `event` run at `at` (not before now: an earlier moment means now); one that is queued already is moved. */
void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t at);
void sim_cancel(struct sim *sim, struct sim_event *event); /* harmless when it is not queued */

/* ---- what is counted and traced ------------------------------------------------------------------------ */

/* X(name): totals of a run, printed at its end and held against floors.txt. */
#define SIM_TOTALS(X) \
    X(events) X(acknowledged) X(reads) X(unknown) X(refused) X(elections) X(crashes) X(crashes_in_recovery) \
    X(recoveries) X(snapshots_taken) X(snapshots_installed) X(membership_changes) X(torn_tails) X(refetches) \
    X(corruptions_found) X(partitions) X(resets) X(lost) X(duplicated) X(reordered) X(stalls) X(disk_errors) \
    X(disks_full) X(full_writes) X(full_names) X(full_alarms) X(pauses) X(wipes) X(clock_jumps) X(sessions) \
    X(watch_events) X(clean_stops) X(transfers) X(settings_changes) X(upgrades) X(registrations) X(flips) \
    X(flips_found) X(changed_seeds) X(leaders_removed) \
    X(cuts_in_write) X(cuts_in_log_write) X(cuts_in_vote_write) X(cuts_in_snapshot) X(cuts_in_names) \
    X(cuts_after_commit) X(kills_in_recovery) X(cuts_after_kill) X(joined_rotten) X(joined_cut) X(majorities_healed) \
    X(worlds_of_1) X(worlds_of_2) X(worlds_of_3) X(worlds_of_4) \
    X(worlds_of_5) X(worlds_of_6) X(worlds_of_7) \
    X(moves) X(joint_crashes) X(scans) X(power_cuts) X(drifting_lives) X(late) X(clogs) X(client_clogs) X(cut_frames) \
    X(refused_dials) X(isolations) X(one_ways) X(halves) X(rings) X(bridges) X(minority_leaders) X(cut_one_by_one) \
    X(flipped_bits) X(zeroed_sectors) X(stale_sectors) X(misdirected_writes) X(lost_writes) X(short_writes) \
    X(short_starts) X(failed_syncs) X(leaders_replaced) X(truncations) X(stood_still) X(blackouts) X(spoiled_batches) \
    X(compactions) X(proved_tails)

struct sim_totals {
#define SIM_TOTAL_FIELD(name) uint64_t name;
    SIM_TOTALS(SIM_TOTAL_FIELD)
#undef SIM_TOTAL_FIELD
};

/* ---- one process --------------------------------------------------------------------------------------- */

enum sim_state {
    SIM_ABSENT,   /* not part of the world yet, or wiped and not used again */
    SIM_DOWN,     /* crashed, ended, or refused to start */
    SIM_UP,
    SIM_STOPPING, /* node_stop is under way */
    SIM_DEAD      /* called fatal; its process ends with the event at hand */
};

struct sim_node {
    struct sim *sim;
    uint32_t number; /* 0 ... */
    uint32_t state;  /* enum sim_state */
    char name[16];   /* "n1" */
    char uri[32];    /* "sim://n1"; "sim://n1.2" when it has moved twice */
    struct os os;    /* what the node sees of its machine */
    struct sim_disk *disk;
    struct sim_side *side;
    struct node *node; /* NULL unless UP, STOPPING or DEAD */
    uint64_t lives;    /* how often it was started */
    int exit_code;     /* of the last life; -1: none, it was killed or runs */
    char said[512];    /* the sentence that went with it */
    uint64_t paused_until; /* simulated ns; its events wait, its connections stay */
    bool missed;           /* something was due in that pause: it counts */
    uint64_t leaves_until; /* simulated ns: its removal or demotion was asked for, and may take effect until then */
    uint64_t comes_until;  /* simulated ns: its promotion was asked for, and may take effect until then */
    struct raft_configuration last_known; /* in force when it went down; empty when that cannot be again */
    struct sim_process *process; /* node.c's: lanes, clocks, machines, deadline */
};

/* Whether the process runs and has not been told to stop. */
static inline bool sim_is_up(const struct sim_node *node)
{
    return node->state == SIM_UP;
}

/* Start the process (state DOWN or ABSENT). It may refuse: state DOWN again, exit_code and `said` say why. `join_count`
 * is 0 for a founder; else `join` says which nodes an empty one that wants to join is told the addresses of. */
void sim_node_start(struct sim_node *node, const uint32_t *join, uint32_t join_count);

/* How a process ends without being asked. */
enum sim_crash {
    SIM_KILL,  /* the process only: what it wrote is in the machine's memory still */
    SIM_POWER, /* the machine: what was not synced is kept, dropped or damaged by sector */
};
void sim_node_crash(struct sim_node *node, enum sim_crash how);

/*
 * The same, but aimed at an operation of the disk: the `count`-th from now of those that `aim` says (disk.h, enum
 * sim_aim). A lane's job that comes to it is never done: what it did before is done, the operation itself is under way,
 * what would follow is not begun, and no other job that asks the disk has an answer any more. The node runs on for a
 * part of the time that the job would have taken, and dies then. Where nothing of that kind happens it dies at `until`.
 */
void sim_node_crash_within(struct sim_node *node, enum sim_crash how, uint32_t aim, uint64_t count, uint64_t until);

/* Such a crash does not come; if its operation is under way, it comes now. */
void sim_node_spare(struct sim_node *node);

/* node_stop; the state becomes DOWN by itself. */
/* It ended because its plugin was too old: the next life has the newest. */
bool sim_node_outdated(struct sim_node *node);
void sim_node_stop(struct sim_node *node);

/* node.c's part of the world's making and ending. */
void sim_node_make(struct sim *sim, uint32_t number);
void sim_node_unmake(struct sim_node *node);

/* After an event that changed this node: bury it when it called fatal, its disk died under it, or it has stopped. */
void sim_node_after(struct sim_node *node);

/* Stop the process for so long, as SIGSTOP would; until the moment given, in simulated ns. */
void sim_node_pause(struct sim_node *node, uint64_t until);

/* Let the wall clock jump; what the monotonic clock says never goes back. Counts when the process reads it. */
void sim_node_jump(struct sim_node *node, int64_t milliseconds);

/* It will die within the n-th changing operation of its next life: a crash inside recovery. 0: it will not. */
void sim_node_die_in_recovery(struct sim_node *node, enum sim_crash how, uint64_t operations);

/* Whether its last life was killed in its recovery: the next one is going to believe what is not synced. */
bool sim_node_killed_in_recovery(const struct sim_node *node);

/* ---- the world ----------------------------------------------------------------------------------------- */

enum sim_phase { SIM_FAULTS, SIM_HEALED };

struct sim {
    struct sim_queue *queue; /* queue.h */
    uint32_t acted;          /* a bit for each node that the step at hand may have changed */
    uint32_t founders;
    struct node_member members[SIM_NODES_MAX];    /* all that may ever be; the first `founders` found the cluster */
    const char *addresses[SIM_NODES_MAX][1];
    uint64_t deadline;       /* simulated ns: when the second phase begins */
    uint64_t end;            /* and when it must have come to its end */
    uint64_t seed;
    struct sim_options options;
    uint64_t now;
    uint32_t phase; /* enum sim_phase */
    uint32_t node_count;
    struct sim_node nodes[SIM_NODES_MAX];
    struct sim_net *net;
    struct sim_fate *fate;
    struct sim_load *load;
    struct sim_oracle *oracle;
    struct sim_totals totals;
    uint32_t flipped;    /* number + 1 of the node whose state has changed by itself; 0: none */
    bool flip_spread;    /* it has led meanwhile */
    uint64_t flipped_at; /* after this index */
    bool flip_found;     /* and it is fenced */
    bool clustered;             /* some node belongs to a cluster, or did: */
    unsigned char cluster[16];  /* this one, and there is never another */
    uint64_t plugin;     /* the newest state version of the machine that there is: who starts anew may get it */
    bool tracing;        /* --trace: sim_trace prints */
    bool looks_at_all;   /* what nodes do not look at since it did not change is looked at all the same */
    uint64_t trace_hash; /* of everything traced, printed or not */
    bool failed;
    bool starved;        /* an allocation is refused in this run (enumerate.h): leaving with 70 or 74 can be right */
};

/* Something is due at a node whose process is paused: only that makes it a pause. */
static inline void sim_node_missed(struct sim_node *node)
{
    node->sim->totals.pauses += !node->missed;
    node->missed = true;
}

/* A generator of its own for one part of the world; `number` tells several of a kind apart. */
struct sim_random sim_stream(const struct sim *sim, enum sim_stream stream, uint64_t number);

/* One line of the trace, and into its hash. Every event that matters says one. `node` may be NULL. Cheap when nobody
 * reads: only the hash of format and numbers is kept, so use integers and names, no pointers. */
void sim_trace(struct sim *sim, const struct sim_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An invariant does not hold: print the name of it, the sentence, seed, options and commit, and end the run as failed.
 * Does not return. */
void sim_fail(struct sim *sim, const char *invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

/* Have the oracle look at a node when the step at hand is over: something may have changed there. */
static inline void sim_looked_at(struct sim *sim, const struct sim_node *node)
{
    sim->acted |= UINT32_C(1) << node->number;
}

/*
 * What counts in totals.events, each once, when it happens and only when it changed a state:
 *
 *   a delivered message   one that a living node or a client took in, however many come in one read of a connection:
 *                         a node notes at least when its sender was heard last, of a heartbeat as well. What a client
 *                         throws away, since it has given the request or the stream up, is none.
 *   a lane completion     the node learns that a job is done
 *   a timer               a node's that made a job for a lane or changed its term or role, and a client's that gives a
 *                         request up; a tick that found nothing to do is none
 *   a client operation    whatever a client or an administrator sends: a request, the same again after it was given up,
 *                         the opening of a stream, a stream's credit. (Its delivery at the node is a delivered message
 *                         besides; an administrator's has no way to go, and counts once.)
 *
 * All else is none: what the network and the queue do to move these, connections that open, drain or end, and what
 * happens to the world, such as crashes, starts, stops and partitions.
 *
 * `node`: where it was, or NULL for a client; it is looked at as well.
 */
static inline void sim_acted(struct sim *sim, const struct sim_node *node)
{
    if (node)
        sim_looked_at(sim, node);
    sim->totals.events++;
}

#endif
