/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture.h - real gaveld processes, each alone in a network namespace with a disk of its own, under every fault that
 * this machine can make, while clients write down what they were told; and the question afterwards whether all of it
 * was true. The parts:
 *
 *   torture.c         options, the run from begin to end, what is printed
 *   torture_room.c    the walls: namespaces, disks on loop devices, power cuts, a full disk
 *   torture_node.c    the processes: started, signalled, ended as they should, asked for their status
 *   torture_damage.c  bits flipped and files cut while a node is down
 *   torture_net.c     the proxy between the nodes
 *   torture_draw.c    the faults: a schedule from a seed
 *   torture_storm.c   what carries it out
 *   torture_crew.c    the operators: tasks beside the faults, on threads of their own
 *   torture_hand.c    what an operator does with his hands: gavel(1), INI files, empty disks, and looking
 *   torture_members.c tasks: members come, go, learn, vote, lose their disks
 *   torture_ways.c    tasks: transports, serializers and addresses change; nodes restart one after the other
 *   torture_load.c    16 clients, their history and their ledger of acknowledged writes
 *   torture_watch.c   watchers, whose events are in order and complete
 *   torture_check.c   afterwards: healed, settled, nothing lost, linearizable, sound on the disk
 *   torture_plant.c   and what these questions say when the answer is no: --plant
 *   torture_ledger.c  a line about the run
 *
 * One thread carries out the faults, starts the nodes and looks at everything; each client of the load has its own, and
 * so has each operator, who changes a node only while he holds `lock`. Times are milliseconds since the run began
 * unless said otherwise.
 */
#ifndef TESTS_CLUSTER_TORTURE_H
#define TESTS_CLUSTER_TORTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <gavel/client.h>

#include "shim.h"

#define TORTURE_SPARES 2 /* beside the founders: they come and go */
#define TORTURE_NODES (5 + TORTURE_SPARES)
#define TORTURE_CLIENTS 16
#define TORTURE_WATCHERS 3
#define TORTURE_LEDGER_MAX 200000 /* writes of one client: an hour at fifty a second */
#define TORTURE_PORT 7000      /* in namespaces that nobody shares: */
#define TORTURE_PORTS 4        /* websocket and tcp, and the same again for who moves */
#define TORTURE_URIS (4 * 40)  /* bytes of all addresses that a node can have */
#define TORTURE_PATH 96        /* bytes of a path below the run's directory; gaveld takes no longer data_dir */
#define TORTURE_READY_MS 60000 /* to the first leader: sanitizers, a machine that does other things too */
#define TORTURE_SETTLE_MS 120000 /* from the last fault to agreement: recovery of one node, snapshots for others */
#define TORTURE_CREW_MS 60000 /* a run as long as this has operators, */
#define TORTURE_LONG_MS 300000 /* and from so long on what was hardly ever done fails it */
#define TORTURE_END_MS 30000   /* a process that was told to end and has not by then is stuck */

/* What holds a node's data. */
enum torture_disk {
    DISK_LOOP,  /* ext4 on a loop device: can lose power, can be full */
    DISK_TMPFS, /* where there are no loop devices: can be full */
    DISK_PLAIN  /* a directory: neither */
};

/* How a node is reached and what it writes its messages in: bits. */
enum {
    WAY_WS = 1,
    WAY_TCP = 2,
    WAY_MOVED = 4, /* at its other ports */
    WAY_JSON = 8,  /* JSON is preferred, else MessagePack */
    WAY_TRANSPORTS = WAY_WS | WAY_TCP
};

enum torture_state { NODE_DOWN, NODE_RUNNING, NODE_STOPPING };

struct torture_node {
    int number; /* from 1: its place in the proxy and in 127.0.0.N */
    char name[16];
    char uri[40];
    char uris[TORTURE_URIS]; /* all that it may ever have */
    char disk[TORTURE_PATH]; /* mount point */
    char data[TORTURE_PATH];
    char config[TORTURE_PATH];
    char log[TORTURE_PATH];
    char image[TORTURE_PATH];
    char shim[TORTURE_PATH];
    char device[32];
    int device_fd; /* keeps the loop device ours over a power cut; -1: none */
    int space;     /* its network namespace */
    unsigned way;  /* of its INI */
    bool joins;    /* its INI names members to join, not those that found */
    struct shim_page *page;
    struct gavel_client *client; /* that asks it for its status */
    pid_t pid;
    enum torture_state state;
    uint64_t started_ms;
    uint64_t told_ms;   /* STOPPING: when it was told */
    uint64_t asked_ms;  /* damaged: when it was last asked whether it has recovered */
    bool paused;
    bool killed;        /* by us: any way of ending is fine */
    bool may_fail;      /* its disk was made to fail since it started: exit 74 is right */
    bool full;          /* its disk is */
    bool cut;           /* its disk has no power: mount again before the next start */
    bool clean;         /* its last end was a clean one: everything in its log is proved */
    bool wanted;        /* is to be started as soon as it is down */
    bool damaged;       /* counts against the atlas until it has recovered */
    bool wiped;         /* so does this: its disk was lost, and it has not come back with a new id */
    bool empty;         /* nothing is on its disk, or hardly anything: no space is in reserve yet */
    bool out;           /* in no cluster: its process is not to run */
    bool may_leave;     /* its removal was asked for: exit 78 is right */
    bool left;          /* and it has done so */
    bool proofs_hurt;   /* its identity entries were damaged: its newest segment is left alone from then on */
    int damage;         /* what to damage when it has ended: enum fault_kind, 0 nothing */
    unsigned starts;
    unsigned failures;  /* ended with 74 */
};

struct torture {
    /* asked for */
    uint64_t seed;
    int count; /* nodes that found the cluster, and are its members in the end */
    uint64_t storm_ms;
    unsigned rate; /* operations a second, all clients together */
    const char *transport;
    unsigned transports; /* that there are: WAY_ bits */
    const char *prefix;
    const char *only; /* names of faults; NULL: drawn from the seed */
    bool keep;
    bool staged; /* install first */
    bool slow;   /* the nodes run under a sanitizer */
    bool verbose;
    bool plant; /* the checks are tested, not the nodes */
    const char *ledger; /* gets a line about the run; NULL: none */
    /* found */
    char dir[64];
    char gaveld[512];
    char gavel[512];
    char plugins[512];
    char proxy[512];
    char shim[512];
    char checker[512];
    enum torture_disk disk;
    char disk_why[160];
    bool has_shim;
    bool has_json;
    /* made */
    struct torture_node nodes[TORTURE_NODES];
    int slots;            /* of these: those that found, and the spare ones */
    int voters;           /* at the least, in each configuration that may be in force */
    unsigned way;         /* that newcomers take */
    pthread_mutex_t lock; /* of the nodes, and of the three above */
    struct torture_crew *crew;
    char shortfall[160];  /* what was done too seldom: the last thing that a run fails of */
    unsigned damages[2];  /* done: bits, cuts */
    char deeds[2000];     /* what was done, as the ledger says it */
    int client_space;
    int proxy_fd;
    pid_t proxy_pid;
    uint64_t begun_ms; /* monotonic */
    char endpoints[TORTURE_NODES * TORTURE_URIS];
    char history[TORTURE_PATH];
    struct torture_load *load;
    struct torture_watch *watch;
    uint64_t dice;
    /* While a check is asked about what was planted: */
    bool planting;
    int forged; /* number of the node whose digest is told wrong; 0: none */
    pthread_t planter;
    jmp_buf caught; /* where torture_fail goes on then */
    char caught_text[400];
};

/* ---- torture.c --------------------------------------------------------------------------------------------------- */

/* [any thread] Print a sentence and the last lines of the nodes' logs, keep their data, end everything: exit 1. */
void torture_fail(struct torture *torture, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* Something was done too seldom: the run shows little. The first counts. */
void torture_short(struct torture *torture, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line with the time of the run before it. */
void torture_say(const struct torture *torture, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Milliseconds since the run began. */
uint64_t torture_now(const struct torture *torture);

/* True once somebody interrupted the run. */
bool torture_interrupted(void);

/* A number below `bound` from a state; the whole run has one seed, each part a state of its own. */
uint64_t torture_random(uint64_t *state, uint64_t bound);

/* How long to wait for something that must come: so many milliseconds, and less where it was made not to come. */
uint64_t torture_patience(const struct torture *torture, uint64_t milliseconds);

/* Look again from outside after a moment; never lets something happen by waiting. */
void torture_pause(unsigned milliseconds);

/* Run a program in the namespaces of the run, its output appended to `log` (NULL: this one's); the wait status. */
int torture_run(struct torture *torture, const char *log, char *const words[]);

/* ---- torture_room.c ---------------------------------------------------------------------------------------------- */

/* As fork(), but the child is alone: first process of a process namespace (its end ends all others), own mounts, own
 * network. -1 with a sentence in `why` where that is not allowed. */
pid_t room_fork(char *why, size_t size);

/* In the child: private mounts, a namespace for each node, a disk for each node. What cannot be had is said in
 * disk_why. False with a sentence when there is nothing to work with. */
bool room_make(struct torture *torture, char *why, size_t size);

/* Let go of the mounts. */
void room_leave(struct torture *torture);

/* The power of that node's disk fails: nothing more reaches it. The process must be killed next. */
void room_cut(struct torture *torture, struct torture_node *node);

/* Power returns: the journal is replayed. The process must have ended. */
void room_restore(struct torture *torture, struct torture_node *node);

/* Use up all space of that node's disk; give it back. */
void room_fill(struct torture *torture, struct torture_node *node);
void room_empty(struct torture *torture, struct torture_node *node);

/* ---- torture_node.c ---------------------------------------------------------------------------------------------- */

/* Paths, configuration and shim page of all nodes. */
void node_prepare(struct torture *torture);

/* Its INI anew, as `way` and `joins` say; in one step, so that it may be starting. */
void node_configure(struct torture *torture, struct torture_node *node);

/* The addresses of a way, separated by commas. */
void node_addresses(const struct torture_node *node, unsigned way, char text[TORTURE_URIS]);

/* Take everything out of its data directory. The process must have ended. */
void node_wipe(struct torture *torture, struct torture_node *node);

void node_start(struct torture *torture, struct torture_node *node);

/* SIGKILL, and wait for the end; true when that was what ended it. */
bool node_kill(struct torture *torture, struct torture_node *node);

/* SIGTERM; node_look sees the end. */
void node_stop(struct torture *torture, struct torture_node *node);

/* SIGSTOP or SIGCONT; true when it did stop. */
bool node_freeze(struct torture_node *node, bool frozen);

/* See which processes have ended, and fail when one should not have, or not that way. */
void node_look(struct torture *torture);

/* Its status document, asked through its own listener; NULL when it does not answer in that time. */
struct gavel_result *node_status(struct torture *torture, struct torture_node *node, uint64_t timeout_ms);

/* The node that leads and says so; NULL: none says it now. */
struct torture_node *node_leader(struct torture *torture, uint64_t timeout_ms);

/* Wait until one leads and has applied something. */
void node_await_leader(struct torture *torture);

/* Print how often the logs tell of elections, snapshots, recoveries. */
void node_report(struct torture *torture);

/* Does that line begin a sanitizer's report, or tell of a failed assertion? */
bool node_is_report(const char *line);

/* Fail when that file has such a line. */
void node_check_file(struct torture *torture, const char *what, const char *path);

/* Lines of its log that have these words. */
unsigned node_says(const struct torture_node *node, const char *words);

/* Fail when a log has one. */
void node_check_reports(struct torture *torture);

/* ---- torture_net.c ----------------------------------------------------------------------------------------------- */

void net_start(struct torture *torture);

/* One command of proxy.c; its answer without the newline, "" when it has nothing to tell. */
const char *net_do(struct torture *torture, const char *format, ...) __attribute__((format(printf, 2, 3)));

void net_stop(struct torture *torture);

/* ---- torture_storm.c --------------------------------------------------------------------------------------------- */

/* Look once at everything: who has ended, who shall run again, who is whole again. */
void storm_look(struct torture *torture);

/* X(symbol, name, what it needs, which group a storm may open with it) */
#define FAULTS(X)                                            \
    X(KILL, "kill", 0, OPENS_PROCESSES)                      \
    X(KILL_ALL, "kill-all", 0, OPENS_PROCESSES)              \
    X(PAUSE, "pause", 0, OPENS_PROCESSES)                    \
    X(STOP, "stop", 0, OPENS_PROCESSES)                      \
    X(ROLL, "rolling-restart", 0, OPENS_NOTHING)             \
    X(POWER, "power-cut", NEEDS_LOOP, OPENS_DISKS)           \
    X(POWER_ALL, "power-cut-all", NEEDS_LOOP, OPENS_DISKS)   \
    X(SPLIT, "split", 0, OPENS_NETWORK)                      \
    X(ONE_WAY, "one-way", 0, OPENS_NETWORK)                  \
    X(LINK, "link-lost", 0, OPENS_NOTHING)                   \
    X(RESET, "reset", 0, OPENS_NETWORK)                      \
    X(CUT, "cut-frame", 0, OPENS_NETWORK)                    \
    X(SLOW_LINK, "slow-link", 0, OPENS_NOTHING)              \
    X(DELAY, "delay", 0, OPENS_NOTHING)                      \
    X(REFUSE, "refuse", 0, OPENS_NOTHING)                    \
    X(FULL, "disk-full", NEEDS_SPACE, OPENS_NOTHING)         \
    X(EIO_SYNC, "eio-sync", NEEDS_SHIM, OPENS_DISKS)         \
    X(EIO_WRITE, "eio-write", NEEDS_SHIM, OPENS_DISKS)       \
    X(SLOW_SYNC, "slow-sync", NEEDS_SHIM, OPENS_DISKS)       \
    X(CLOCK, "clock-jump", NEEDS_SHIM, OPENS_NOTHING)        \
    X(FLIP, "bit-flip", 0, OPENS_NOTHING)                    \
    X(TRUNCATE, "truncate", 0, OPENS_NOTHING)

enum fault_kind {
    FAULT_NONE,
#define FAULT_SYMBOL(symbol, name, needs, opens) FAULT_##symbol,
    FAULTS(FAULT_SYMBOL)
#undef FAULT_SYMBOL
    FAULT_KINDS
};

/* Draw the schedule, print it, carry it out, heal everything. */
void storm_run(struct torture *torture);

/* The floors, as if one kind of fault had been drawn and tried often and never done; with `met`, as if the one of its
 * kind had been that must be. */
void storm_idle(struct torture *torture, bool met);

/* What --help prints of the faults. */
void storm_list(FILE *out);

/* True when `names` (separated by commas) are faults or tasks, all of them; "all" is each of both. */
bool storm_known(const char *names);

/* ---- torture_damage.c -------------------------------------------------------------------------------------------- */

/* The node has ended: flip a bit of it or cut a file of it, where the promises allow that. */
void damage_do(struct torture *torture, struct torture_node *node);

/* May this node be damaged now: would a majority of the nodes still be whole? */
bool damage_allowed(const struct torture *torture, const struct torture_node *node);

/* Nodes that do not count as whole. */
int damage_count(const struct torture *torture);

/* See whether damaged nodes have recovered. */
void damage_look(struct torture *torture);

/* ---- torture_crew.c ---------------------------------------------------------------------------------------------- */

/* What --help prints of the operators' tasks. */
void crew_list(FILE *out);

/* True when the name is that of a task. */
bool crew_known(const char *name, size_t size);

/* Make `crew`, if this run has operators: it is long, or --faults names one of their tasks. */
void crew_make(struct torture *torture);

/* They begin to work, if there are any. */
void crew_start(struct torture *torture);

/* Everything is healed: wait until they have ended what they are at. Fails when they cannot. */
void crew_stop(struct torture *torture);

/* Those that founded are the members again, as voters, and nobody else. */
void crew_restore(struct torture *torture);

/* Print what they did. */
void crew_report(struct torture *torture);

/* ---- torture_load.c ---------------------------------------------------------------------------------------------- */

void load_start(struct torture *torture);

/* Writes and reads that were answered so far. */
uint64_t load_answered(const struct torture *torture);

/* Much more is written from now on, or not any more, as often as this was asked for: a disk that is full has room in
 * reserve, and nobody feels it until that is used. */
void load_press(struct torture *torture, bool more);
/* Nothing new is begun, or it is again. */
void load_rest(struct torture *torture, bool rests);

/* No new operations; waits for the last ones, and prints the totals. */
void load_stop(struct torture *torture);

/* Read everything of the ledger on every node: nothing acknowledged is missing, nothing refused is there, nothing was
 * done twice. */
void load_check(struct torture *torture);

/* Read each contended key once more, for the history; each must be answered. */
void load_read(struct torture *torture);

void load_free(struct torture *torture);

/* What became of a write to a key that is written once. */
struct torture_entry {
    bool done;      /* acknowledged */
    bool refused;   /* its writer was told that it was not done */
    uint64_t index; /* of its entry in the log, when it was acknowledged */
};

/* The entry of a client's ledger; false behind the last one. */
bool load_entry(const struct torture *torture, int client, uint32_t number, struct torture_entry *entry);

/* Change an entry, or add one behind the last; only when the load is over. */
void load_forge(struct torture *torture, int client, uint32_t number, const struct torture_entry *entry);

/* One more write, whose index is above all others; with everything healed it must succeed. */
uint64_t load_write(struct torture *torture, const char *command, const char *arguments);
uint64_t load_mark(struct torture *torture);

/* ---- torture_watch.c --------------------------------------------------------------------------------------------- */

void watch_start(struct torture *torture);

/* The load is over and `last` the index of its last write: wait for the watchers to see it, and end them. */
void watch_end(struct torture *torture, uint64_t last);

/* Fail when one of them has missed something, or saw what was refused. */
void watch_check(struct torture *torture);

/* They have ended; the first one is given its last event once more. */
void watch_again(struct torture *torture);

void watch_free(struct torture *torture);

/* ---- torture_check.c --------------------------------------------------------------------------------------------- */

/* All nodes run, and wait until they agree on the applied index and the digests, and none has an alarm. */
void check_settled(struct torture *torture);

/* Stop all nodes with SIGTERM: each exits with 0, and `gavel data check` finds nothing. */
void check_ends(struct torture *torture);

/* The history is linearizable. */
void check_history(struct torture *torture);

/* Nothing was done too seldom. */
void check_shown(struct torture *torture);

/* ---- torture_ledger.c -------------------------------------------------------------------------------------------- */

/* Something that was done, to stand in the line, with a blank before it. */
void ledger_note(struct torture *torture, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The line, if there is to be one: "good" or "failed". */
void ledger_write(const struct torture *torture, const char *result);

/* ---- torture_plant.c --------------------------------------------------------------------------------------------- */

/* The load is over, and nothing went wrong. Make it go wrong, for each check in turn, and fail when that does not say
 * so; the last one ends the run as any failure does. */
void plant_run(struct torture *torture) __attribute__((noreturn));

#endif
