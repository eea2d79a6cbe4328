/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/internal.h - the state behind struct raft, and what its files call in each other. Only for
 * core/raft.
 *
 *   log_index.c      where batches begin and end, of which term
 *   effects.c        emitting effects, io numbers, gates, what is durable
 *   configuration.c  arithmetic on sets of members        membership.c   their stack, changes, peers
 *   election.c       time-outs, pre-votes, votes, roles    transfer.c     handing leadership over
 *   replicate.c      the leader's appends and answers      follow.c       the follower's side of them
 *   commit.c         quorums, commit, apply                read.c         ReadIndex
 *   snapshot.c       sending them                          install.c      receiving them
 *   step.c           events in, the end of each step       raft.c         birth and questions
 *   check.c          the invariants
 */
#ifndef GAVEL_CORE_RAFT_INTERNAL_H
#define GAVEL_CORE_RAFT_INTERNAL_H

#include <assert.h>

#include "bugs.h"
#include "raft.h"

#define RAFT_MAGIC 0x72616674u /* "raft" */

/* Configurations remembered above the newest snapshot; older ones are forgotten first (see membership.c). */
#define RAFT_CONFIGURATIONS_MAX 64

/* Append requests to one peer in one step: more follow with the next event, so that effects stay bounded. */
#define RAFT_SENDS_PER_STEP 4

/* What one step can add per member and besides. Counted in effects.c, where the assertion stands. */
#define RAFT_EFFECTS_PER_MEMBER 12
#define RAFT_EFFECTS_BESIDES 24

/* Most durable effects of one event: a vote record, a truncation, an append, and one to spare. */
#define RAFT_IOS_PER_EVENT 4

/* Election time-outs of silence after which a snapshot is not sent any more: it keeps the log from compaction. */
#define RAFT_SNAPSHOT_SILENCE 10

struct raft_slot {
    uint64_t first;
    uint64_t term;
    uint64_t bytes_end; /* bytes of all batches up to the end of this one, since the core began */
    uint32_t count;
    uint32_t chain;
    uint32_t kind;
    uint32_t bytes;
};

/*
 * A ring of batches. Terms never fall along a log, so runs of a term need no list of their own: both an index
 * and a term are found by halving.
 */
struct raft_log {
    struct raft_slot *slots;
    uint32_t capacity;
    uint32_t head;
    uint32_t used;
    uint32_t base_chain;
    uint64_t base_index;
    uint64_t base_term;
    uint64_t base_bytes; /* bytes_end of the batch that ends at base_index */
};

struct raft_peer {
    uint64_t id;
    uint32_t state; /* enum raft_progress_state */
    bool recovering;
    /* removed by a configuration that has not committed: it still gets the log, and counts nowhere */
    bool leaving;
    bool paused;  /* PROBE: one with batches is on its way */
    bool stalled; /* its disk does not get on */
    bool fenced;  /* it would not campaign */
    bool greet;   /* send an empty append at the end of this step */
    bool granted; /* its answer to the (pre-)vote under way */
    uint64_t match;
    uint64_t next;
    uint64_t last_index;
    uint64_t heard;
    uint64_t steady_since; /* fit to lead, and close, without a break since then; 0: it is not */
    uint64_t commit_told;
    uint64_t round; /* the newest round of reads that it answered in this term */
    uint64_t read_waiting; /* the id of its read request, waiting for the next round; 0: none */
    uint64_t read_asked;   /* the one that the running round answers */
    /* SNAPSHOT */
    bool snapshot_ready;
    uint64_t snapshot_ask;      /* of the newest message about a snapshot */
    uint64_t snapshot_chunk;    /* the ask of the newest one with bytes */
    uint32_t snapshot_asked;    /* of what was sent, so much is not answered yet; see ASKED_MAX */
    uint32_t snapshot_old;      /* so many of the next answers are to what was sent before the newest chunk */
    uint64_t snapshot_due;      /* when to ask or send again */
    uint64_t snapshot_progress; /* when it last got further */
    uint64_t snapshot_backoff;  /* the next one begins so long after it was found to be needed */
    struct raft_snapshot_request snapshot;
};

struct raft_stacked {
    uint64_t index;
    struct raft_configuration configuration;
};

struct raft_transfer {
    uint64_t target; /* 0: none under way */
    uint64_t deadline;
    bool sent; /* TIMEOUT_NOW has gone out */
};

struct raft_reads {
    uint64_t asked;     /* the greatest id that the caller asked for */
    uint64_t served;    /* the greatest that was served */
    uint64_t round;     /* leader: number of the newest round */
    /* leader: the running round answers local ids up to this; follower: the attempt does */
    uint64_t upto;
    uint64_t index;     /* leader: what it answers */
    bool running;       /* leader: a round is */
    uint64_t attempt;   /* follower: id of the request under way, 0: none */
    uint64_t retry;     /* follower: when to ask again */
};

struct raft_incoming {
    struct raft_snapshot_request snapshot; /* offset: what is stored */
    uint64_t term;   /* in which it was last heard of */
    bool storing;    /* a chunk is on its way to the disk */
    bool installing; /* all is there, the node restores from it */
};

struct raft {
    uint32_t magic;
    bool started;
    bool stopped;
    struct raft_options options;
    struct raft_effects *effects; /* of the running step */
    uint64_t now;
    uint64_t random;

    /* durable state and what is on its way there */
    uint64_t term;
    uint64_t vote;
    bool vote_dirty;        /* term or vote changed and WRITE_VOTE has not been emitted */
    uint64_t vote_io;       /* of the newest vote record */
    uint64_t io;            /* the last number given out */
    uint64_t durable_io;
    uint64_t durable_index; /* own log is on the disk, as it is now, up to here */
    uint64_t *pending;      /* [io % ios_max]: the index that this io, when done, makes durable; 0: none */
    uint64_t disk_progress; /* when the disk last got on, or had nothing to do */

    struct raft_log log;
    uint64_t commit;
    uint64_t verified; /* equal to the log of this term's leader up to here */
    uint64_t applied;
    uint64_t apply_sent;
    uint64_t snapshot_index;

    uint32_t role;
    uint64_t leader;
    uint64_t heard;         /* when the leader was last heard */
    uint64_t election_due;
    bool forced;            /* candidate: at the leader's wish */
    uint64_t needed_at;     /* when a candidate was last refused that lacks what is held here; 0: never */
    bool recovering;
    uint64_t recovery_target;
    bool fenced;
    bool no_space;

    /* leader */
    uint64_t leader_since;
    uint64_t heartbeat_due;
    uint64_t commit_due;    /* when to tell the peers of a commit, 0: nothing to tell */
    uint64_t own_first;     /* the first index of its own term in its log, 0: none yet */
    uint64_t propose_due;   /* when to ask for a batch again */
    uint64_t stall_due;     /* a hand-over for the disk's sake is not tried again before */
    uint64_t priority_due;  /* nor one for the sake of a priority */
    uint64_t priority_wait; /* how long, doubled each time that it did not last; see transfer.c */
    uint64_t priority_given; /* when the lead last was given to a member of higher priority; 0: never */
    struct raft_transfer transfer;
    struct raft_reads reads;

    struct raft_incoming incoming;

    uint32_t peer_count;
    struct raft_peer peers[RAFT_MEMBERS_MAX];

    uint32_t stack_count; /* at least 1 */
    struct raft_stacked stack[RAFT_CONFIGURATIONS_MAX];
    bool wants_change;
    struct raft_configuration wanted; /* the configuration that this leader would append next */

    /* last told to the caller */
    uint32_t told_role;
    uint64_t told_term;
    uint64_t told_leader;
    uint64_t told_commit;
    uint64_t told_configuration; /* its index + 1 */
};

/* In a build without seeded bugs their branches disappear. */
#ifdef GAVEL_SEEDED_BUGS
static inline bool raft_bug(const struct raft *r, enum raft_bug bug)
{
    return r->options.seeded_bug == (uint64_t)bug + 1;
}
#else
#define raft_bug(r, bug) (false)
#endif

/* log_index.c: every index that is asked for must lie in the log unless it says otherwise. */
void raft_log_reset(struct raft_log *log, uint64_t index, uint64_t term, uint32_t chain);
uint64_t raft_log_bytes(const struct raft_log *log, uint64_t index); /* up to a boundary; any index */
bool raft_log_find(const struct raft_log *log, uint64_t index, uint32_t *at);
/* 0 when it is not in the log nor the base */
uint64_t raft_log_term(const struct raft_log *log, uint64_t index);
bool raft_log_boundary(const struct raft_log *log, uint64_t index, uint64_t *term, uint32_t *chain);
/* the last boundary at or below; at least base */
uint64_t raft_log_floor(const struct raft_log *log, uint64_t index);
uint64_t raft_log_hint(const struct raft_log *log, uint64_t index, uint64_t term);
void raft_log_append(struct raft_log *log, const struct raft_batch *batch);
void raft_log_truncate(struct raft_log *log, uint64_t from);
void raft_log_compact(struct raft_log *log, uint64_t index);
uint32_t raft_log_above(const struct raft_log *log, uint64_t index); /* batches that begin above a boundary */
bool raft_log_room(struct raft_log *log, uint64_t snapshot_index);

/* Asked for several times in each step: not functions of their own. */
static inline struct raft_slot *raft_log_slot(const struct raft_log *log, uint32_t at)
{
    assert(at < log->used);
    uint64_t place = (uint64_t)log->head + at;
    return &log->slots[place < log->capacity ? place : place - log->capacity];
}

static inline const struct raft_slot *raft_log_newest(const struct raft_log *log)
{
    return log->used ? raft_log_slot(log, log->used - 1) : NULL;
}

static inline uint64_t raft_slot_end(const struct raft_slot *slot)
{
    return slot->first + slot->count - 1;
}

static inline uint64_t raft_log_last(const struct raft_log *log)
{
    const struct raft_slot *slot = raft_log_newest(log);
    return slot ? raft_slot_end(slot) : log->base_index;
}

/* The term of a log that is compacted as a whole is that of the snapshot, not 0 (NuRaft 668). */
static inline uint64_t raft_log_last_term(const struct raft_log *log)
{
    const struct raft_slot *slot = raft_log_newest(log);
    return slot ? slot->term : log->base_term;
}

static inline uint32_t raft_log_last_chain(const struct raft_log *log)
{
    const struct raft_slot *slot = raft_log_newest(log);
    return slot ? slot->chain : log->base_chain;
}

/* effects.c */
struct raft_effect *raft_emit(struct raft *r, uint32_t type);
struct raft_message *raft_send(struct raft *r, uint32_t type, uint64_t to);
/* gates the effect just emitted on `index` being durable */
void raft_send_gate(struct raft *r, uint64_t index);
uint32_t raft_io_free(const struct raft *r);
void raft_set_term(struct raft *r, uint64_t term, uint64_t vote);
bool raft_term_durable(const struct raft *r);
void raft_flush_vote(struct raft *r);
void raft_emit_append(struct raft *r, uint64_t first, uint64_t last);
void raft_emit_truncate(struct raft *r, uint64_t from);
int raft_written(struct raft *r, uint64_t io);
uint64_t raft_random(struct raft *r);

/* membership.c */
const struct raft_configuration *raft_in_force(const struct raft *r);
uint64_t raft_in_force_index(const struct raft *r);
void raft_push_configuration(struct raft *r, uint64_t index, const struct raft_configuration *configuration);
void raft_pop_configurations(struct raft *r, uint64_t from);
void raft_prune_configurations(struct raft *r, uint64_t index);
void raft_sync_peers(struct raft *r);
struct raft_peer *raft_find_peer(struct raft *r, uint64_t id);
bool raft_is_voter(const struct raft *r);
int raft_membership(struct raft *r, const struct raft_configuration *target, bool anew);
int raft_may_append_configuration(const struct raft *r, const struct raft_batch *batch);
void raft_membership_pump(struct raft *r);
void raft_membership_settle(struct raft *r);

/* election.c */
void raft_election_reset(struct raft *r);
void raft_become_follower(struct raft *r, uint64_t term, uint64_t leader);
void raft_heard_leader(struct raft *r, uint64_t leader);
void raft_election_begin(struct raft *r);
void raft_election_start(struct raft *r);
void raft_campaign(struct raft *r, bool forced);
void raft_election_count(struct raft *r);
void raft_election_time(struct raft *r);
bool raft_sticky(const struct raft *r);
bool raft_may_lead(const struct raft *r);
void raft_on_prevote_request(struct raft *r, const struct raft_message *m);
void raft_on_vote_request(struct raft *r, const struct raft_message *m);
void raft_on_vote_response(struct raft *r, const struct raft_message *m);
void raft_on_link_up(struct raft *r, uint64_t peer);
void raft_on_link_lost(struct raft *r, uint64_t peer, bool refused);

/* transfer.c */
int raft_transfer_begin(struct raft *r, uint64_t target);
void raft_transfer_end(struct raft *r, bool done);
void raft_transfer_pump(struct raft *r);
void raft_transfer_time(struct raft *r);
uint64_t raft_best_successor(struct raft *r);
uint32_t raft_own_rank(const struct raft *r);
bool raft_disk_stalls(const struct raft *r);
void raft_transfer_lead_begins(struct raft *r);

/* replicate.c */
void raft_replicate_pump(struct raft *r);
void raft_greet_all(struct raft *r);
int raft_on_append_response(struct raft *r, const struct raft_message *m);
bool raft_peer_alive(const struct raft *r, const struct raft_peer *peer);
void raft_peer_probe(struct raft *r, struct raft_peer *peer, uint64_t next);
int raft_propose(struct raft *r, const struct raft_batch *batch);

/* follow.c */
int raft_check_batches(const struct raft *r, const struct raft_message *m);
int raft_on_append_request(struct raft *r, const struct raft_message *m);
void raft_refuse_append(struct raft *r, const struct raft_message *m);

/* commit.c */
bool raft_quorum(struct raft *r, bool (*has)(struct raft *r, uint64_t id));
void raft_commit_to(struct raft *r, uint64_t index);
void raft_commit_advance(struct raft *r);
bool raft_own_term_committed(const struct raft *r);
int raft_applied(struct raft *r, uint64_t index);
void raft_apply_pump(struct raft *r);

/* read.c */
int raft_read(struct raft *r, uint64_t id);
void raft_reads_reset(struct raft *r);
void raft_reads_pump(struct raft *r);
void raft_reads_acknowledged(struct raft *r);
void raft_on_read_request(struct raft *r, const struct raft_message *m);
void raft_on_read_response(struct raft *r, const struct raft_message *m);

/* snapshot.c */
void raft_snapshot_begin(struct raft *r, struct raft_peer *peer);
void raft_snapshot_stop(struct raft *r, struct raft_peer *peer);
/* There is a new link to it: what was on its way over the old one is gone. */
void raft_snapshot_link_up(struct raft *r, struct raft_peer *peer);
void raft_snapshot_time(struct raft *r);
int raft_snapshot_ready(struct raft *r, const struct raft_event_snapshot_ready *e);
int raft_on_snapshot_response(struct raft *r, const struct raft_message *m);
int raft_snapshot_taken(struct raft *r, uint64_t index);
int raft_compacted(struct raft *r, uint64_t index);

/* install.c */
void raft_on_snapshot_request(struct raft *r, const struct raft_message *m);
int raft_chunk_stored(struct raft *r, const struct raft_event_chunk_stored *e);
int raft_snapshot_installed(struct raft *r, const struct raft_event_snapshot_installed *e);

/* raft.c */
void raft_take_defaults(struct raft_options *options);

static inline uint64_t raft_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t raft_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
