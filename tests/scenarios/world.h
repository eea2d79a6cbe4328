/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/scenarios/world.h - a cluster in memory around core/raft: virtual time, virtual disks, a virtual
 * network.
 *
 * Each node is a core, what it believes its log to be, and a disk that knows only what completed. A crash
 * leaves the disk. Messages stay in a bag until somebody delivers or drops them. After every step of every
 * core its invariants are checked (raft_check), and those that no single node can see:
 *
 *   one leader a term; one vote a node and term, across crashes; logs that agree at an index and term agree
 *   up to there;
 *   what is committed stays so, everywhere, and is in the log of every later leader; nothing is committed
 *   before a majority
 *   has it on disk; nothing leaves a node before its gate; an entry reaches a disk after its term; a read
 *   sees at least
 *   what was committed when it was asked.
 *
 * A violation prints what happened and exits 1. So a program that reaches its end has seen none.
 */
#ifndef TESTS_SCENARIOS_WORLD_H
#define TESTS_SCENARIOS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/raft/raft.h"

#define WORLD_NODES 9
#define WORLD_MS UINT64_C(1000000)

struct world_batches {
    struct raft_batch *items;
    size_t count;
    size_t room;
    uint64_t base_index; /* the end of the batch before items[0] */
    uint64_t base_term;
    uint32_t base_chain;
};

struct world_snapshot {
    uint64_t index;
    uint64_t term;
    uint64_t digest;
    uint32_t chain;
    const struct raft_configuration *configuration;
};

struct world_disk {
    uint64_t term;
    uint64_t vote;
    struct world_batches log;
    struct world_snapshot snapshot;
    struct raft_snapshot_request incoming;
};

/* A durable effect on its way to the disk. */
struct world_io {
    uint64_t io;
    uint32_t type;
    uint64_t term;
    uint64_t vote;
    uint64_t from;
    struct world_batches batches;
};

struct world_message {
    struct raft_message m;
    struct raft_batch *batches;
    uint64_t gate;   /* not yet out of the node, while not 0 */
    uint64_t due;    /* when run() delivers it */
    uint64_t number;
    uint32_t incarnation; /* of the sender: gated messages die with it */
    bool held;
};

struct world_event {
    struct raft_event event;
    struct raft_batch batch;
};

struct world_node {
    uint64_t id;
    bool exists;
    bool alive;
    bool recovering;
    bool disk_held;    /* writes complete only by world_written() */
    bool apply_held;   /* APPLIED is not reported */
    bool install_held; /* an install does not end */
    bool store_held;   /* no chunk of a snapshot gets stored, and nothing is said of it */
    bool lazy;         /* answers no PROPOSE effect by itself */
    uint32_t incarnation;
    void *memory;
    struct raft *raft;
    struct raft_effects effects;
    struct world_disk disk;
    struct world_batches log; /* with what is not durable yet */
    struct world_io *ios;
    size_t io_count;
    size_t io_room;
    uint64_t io_written;
    uint64_t deadline;
    uint64_t apply_sent;
    uint64_t applied;
    uint64_t committed;
    uint64_t reads_asked;
    uint64_t reads_served;
    uint64_t *read_floor; /* [id]: what was committed when it was asked */
    size_t read_room;
    uint32_t role;
    uint64_t transfers_done;
    uint64_t transfers_failed;
    uint64_t recovery_reached;
    uint64_t recovery_next; /* what it will be when recovery_gate is durable */
    uint64_t recovery_gate;
    uint64_t installs;
    uint64_t diverged;
    struct raft_snapshot_request installing;
    struct raft_configuration wanted; /* of the last PROPOSE effect with a configuration */
    bool wants;
    struct world_event *queue; /* events that effects led to */
    size_t queue_count;
    size_t queue_room;
};

struct world {
    uint64_t now;
    uint64_t random;
    uint64_t latency_min;
    uint64_t latency_max;
    struct raft_options options; /* template: self and seed are filled in */
    struct world_node nodes[WORLD_NODES];
    struct world_message *bag;
    size_t bag_count;
    size_t bag_room;
    uint64_t message_number;
    bool cut[WORLD_NODES][WORLD_NODES]; /* [from][to] */
    uint64_t leaders[1 << 16]; /* [term] */
    /* what is committed, by the ends of batches; and how far it was in each term, where something was */
    struct world_batches ledger;
    uint64_t committed[1 << 16]; /* [term] */
    struct world_snapshot *snapshots;
    size_t snapshot_count;
    struct raft_configuration **configurations; /* kept until the end, so that everybody may borrow */
    size_t configuration_count;
    struct {
        uint64_t term;
        uint64_t vote;
    } *votes[WORLD_NODES]; /* sent, across crashes */
    size_t vote_count[WORLD_NODES];
    uint32_t payload; /* makes each batch another one */
    bool auto_recover; /* RECOVERED follows RECOVERY_REACHED by itself */
    bool trace;
    const char *where; /* what is being done, for the report of a violation */
};

/* Prints a violation or a failed expectation and exits 1. */
void world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

struct world *world_new(uint64_t seed);
void world_free(struct world *w);
uint64_t world_random(struct world *w, uint64_t below);

/*
 * A new node, empty disk, with the founding's configuration on it (may be empty). Not running until
 * world_start().
 */
struct world_node *world_add(struct world *w, uint64_t id, const struct raft_configuration *founding);
struct world_node *world_node(struct world *w, uint64_t id);
void world_start(struct world *w, struct world_node *n);

/* The power fails: of the writes on their way the first `survivors` have made it. */
void world_crash(struct world *w, struct world_node *n, size_t survivors);
/*
 * Damages the disk of a node that is down: its log loses the last `batches`, and it knows that it is damaged.
 */
void world_damage(struct world *w, struct world_node *n, size_t batches);

/* Loses everything on the disk of a node that is down, without a trace: what the layers above have to prevent. */
void world_wipe(struct world *w, struct world_node *n);

/* One step and all that its effects lead to inside this node. */
int world_step(struct world *w, struct world_node *n, const struct raft_event *event);
int world_event(struct world *w, struct world_node *n, uint32_t type);
int world_propose(struct world *w, struct world_node *n, uint32_t kind, uint32_t entries, uint32_t bytes);
int world_propose_batch(struct world *w, struct world_node *n, struct raft_batch batch);
int world_read(struct world *w, struct world_node *n);
void world_written(struct world *w, struct world_node *n, size_t count);
void world_write_failed(struct world *w, struct world_node *n);
void world_applied(struct world *w, struct world_node *n);
void world_installed(struct world *w, struct world_node *n, bool failed);
/*
 * A local snapshot at the last applied durable index, and compaction of all but the last `keep` batches
 * before it.
 */
bool world_take_snapshot(struct world *w, struct world_node *n, size_t keep);

/*
 * Takes the message out of the bag and hands it to its receiver; what receivers reject as INVALID is a
 * failure.
 */
void world_deliver(struct world *w, size_t at);
void world_drop(struct world *w, size_t at);
void world_duplicate(struct world *w, size_t at);
void world_send(struct world *w, const struct raft_message *m, const struct raft_batch *batches, uint64_t gate);
bool world_deliverable(const struct world *w, size_t at);

/* Delivers everything, first come first served, without time going on, until nothing is left. */
void world_settle(struct world *w);
/* Lets time go on, with messages and timers, for that long. */
void world_run(struct world *w, uint64_t ns);

/* Set helpers */
uint32_t world_chain(uint32_t before, const struct raft_batch *batch, uint32_t payload);
const struct raft_configuration *world_keep(struct world *w, const struct raft_configuration *c);
uint64_t world_last(const struct world_batches *log);
bool world_boundary(const struct world_batches *log, uint64_t index, uint64_t *term, uint32_t *chain);
void world_append(struct world_batches *log, const struct raft_batch *batch);
void world_truncate(struct world_batches *log, uint64_t from);
void world_compact(struct world_batches *log, uint64_t index);
void world_reset_log(struct world_batches *log, const struct world_snapshot *s);
void world_copy_log(struct world_batches *to, const struct world_batches *from);
void *world_grow(void *items, size_t *room, size_t count, size_t size);
const char *world_type_name(uint32_t type);
uint32_t world_type(const char *name);
struct world_node *world_leader(struct world *w);

/* world_check.c */
void world_check_step(struct world *w, struct world_node *n);
void world_check_leaving(struct world *w, struct world_node *n, const struct raft_message *m);
void world_check_commit(struct world *w, struct world_node *n, uint64_t index);
void world_check_append(struct world *w, struct world_node *n, const struct raft_batch *batch);
void world_check_snapshot(struct world *w, struct world_node *n, const struct world_snapshot *s);
void world_check_reads(struct world *w, struct world_node *n, uint64_t id, uint64_t index);
void world_check_written(struct world *w, struct world_node *n, const struct world_io *io);
/* That all living nodes hold the same log and have committed and applied all of it. */
void world_check_converged(struct world *w);

#endif
