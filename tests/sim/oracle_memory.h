/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_memory.h - what the oracle sees of a node (a view), what it remembers of all of them, and its invariants: one
 * function each. Only the files oracle_*.c, and the test that plants violations in crafted views.
 *
 *   oracle.c                views of real nodes; the order in which the invariants are asked
 *   oracle_log.c            election safety, leader append-only, log matching, what is durably held by whom
 *   oracle_commit.c         leader completeness, state-machine safety, what may be committed, acknowledgements
 *   oracle_vote.c           monotonic term, one vote per term, terms begin with a candidacy that was wanted
 *   oracle_sent.c           persist before send
 *   oracle_read.c           reads see what was acknowledged
 *   oracle_recovery.c       sound recovery decisions, end of recovery
 *   oracle_configuration.c  overlapping configurations, one change at a time
 *   oracle_disk.c           persist before send: the log's word against its disk
 *   oracle_entries.c        what each entry is
 *   oracle_room.c           bounds of what lies on a disk
 *   oracle_state.c          digests, ticks, sessions, bounds
 */
#ifndef TESTS_SIM_ORACLE_MEMORY_H
#define TESTS_SIM_ORACLE_MEMORY_H

#include "core/codec/field.h"
#include "core/node/session.h"
#include "core/raft/raft.h"

#include "oracle.h"
#include "oracle_map.h"

#define ORACLE_NONE UINT32_MAX /* no batch */

/* One batch that was ever seen in a log. They are kept for ever, by number. */
struct oracle_batch {
    uint64_t first;
    uint64_t term;
    uint64_t held; /* a bit a member: it has it, or had it, on its disk, and was no refetching node */
    uint32_t count;
    uint32_t chain;
    uint32_t kind;
    uint32_t committed;
    uint64_t noted; /* where oracle->made has its entries, + 1; 0: nobody has read them */
};

static inline uint64_t oracle_last(const struct oracle_batch *batch)
{
    return batch->first + batch->count - 1;
}

/* What is known of a term. */
struct oracle_term {
    uint64_t leader;     /* member id; 0: nobody yet */
    uint64_t first;      /* index of the first entry made in it; 0: none yet */
    uint64_t last;       /* of the last */
    uint64_t candidates; /* bit n: node n has stood in it */
};

#define ORACLE_READS 64 /* rounds of reads remembered */

/* One node as it is now. All zero but `number` when it has no core. */
struct oracle_view {
    uint32_t number;
    bool core; /* there is one: the rest is filled in */
    struct raft_status status;
    const struct raft_configuration *configuration; /* in force */
    bool (*batch_at)(const void *ctx, uint64_t index, struct raft_batch *batch);
    bool (*unsound)(const void *ctx, uint64_t id); /* as a leader knows it: it recovers, or is fenced */
    const void *ctx;
    /* Who has just been elected: what its vote files hold on the disk. */
    bool vote_known;
    uint64_t vote_term[2];
    uint64_t vote[2];
};

/* What came of a command, as a node has applied it. */
struct oracle_result {
    uint64_t index;
    uint64_t first; /* where it had been done before, in its session; 0: nowhere */
};

/* What is remembered of a node, across its lives. */
struct oracle_node {
    uint64_t member;      /* id, once known */
    uint64_t bit;         /* of this member in oracle_batch.held */
    bool alive;
    struct raft_status seen;              /* at the last step of this life; zero before the first */
    struct raft_configuration in_force;   /* at the last step */
    uint32_t *log;                        /* its log: numbers of batches, log[head .. head + count) */
    uint64_t log_capacity;
    uint64_t head;
    uint64_t count;
    uint64_t durable;  /* up to here `held` is marked */
    uint64_t on_disk;  /* up to here its disk was seen to hold what its log takes for durable ... */
    uint64_t segment;  /* ... last in this one */
    uint64_t snapshot; /* the newest that its disk was seen to hold in this life */
    uint64_t published;   /* the newest that its log knew at the last look */
    uint64_t surplus;     /* snapshots that were too many when this life began, and have not gone yet */
    uint64_t compactable; /* its log has been compacted up to here in this life, but for the trailing window */
    uint64_t promised; /* index: what lies on its disk and may have been acknowledged */
    uint64_t acked;    /* the highest index that it ever acknowledged of this log */
    uint64_t sent_term; /* the highest term that a message of it has named, pre-votes apart */
    uint64_t disk_term; /* the highest term that both of its vote files were seen to hold in this life */
    uint64_t configuration; /* index of the newest configuration in its log; 0: none */
    bool hurt;          /* its disk was damaged since it was started */
    bool refetching;    /* started as recovering and has not ended that */
    uint64_t refetch;   /* what it had promised when its disk was damaged */
    uint64_t applied;   /* this life's */
    struct oracle_result *results; /* not looked at yet */
    uint64_t result_count;
    uint64_t heard;     /* results of commands in this life, whatever became of them */
    uint64_t result_capacity;
    uint64_t reads_asked;        /* the newest round of reads that it asked for in this life ... */
    uint64_t reads_served;
    uint64_t reads[ORACLE_READS]; /* ... and for the newest ones what clients knew of then */
    uint64_t tick;
    uint64_t looks;     /* so far */
    uint64_t limits_of; /* version + 1 of the settings whose limits of sessions are known */
    uint64_t hung;      /* the life in which it leads while its disk hangs; 0: it does not (oracle_stall.c) */
};

struct settings;

/* A version of the settings, and all that they were. */
struct oracle_setting {
    uint64_t version;
    uint64_t hash;
};

/* "Up to this index everything was committed when this term was the leader's": both rise. */
struct oracle_step {
    uint64_t term;
    uint64_t index;
};

/* The session and the sequence of a command; 0: it has none, or is none. */
struct oracle_entry {
    uint64_t session;
    uint64_t sequence;
};

#define ORACLE_TOLD (UINT64_C(1) << 63) /* a leader told the node to campaign */

#define ORACLE_MAGIC 0x4f52434cu

struct sim_oracle {
    uint32_t magic;
    struct sim *sim;
    struct oracle_node nodes[SIM_NODES_MAX];
    struct oracle_batch *batches;
    uint64_t batch_count;
    uint64_t batch_capacity;
    struct oracle_map by_place; /* (term, first) -> number + 1 */
    struct oracle_term *terms;  /* by number of the term: they are few */
    uint64_t term_capacity;
    struct oracle_map votes;    /* (member, term) -> candidate */
    struct oracle_map willing;  /* (term, node) -> who would vote for that node in it (bits), ORACLE_TOLD */
    struct oracle_map reads;    /* (id, node) -> what clients knew of when a follower asked for that read */
    struct oracle_map members;  /* (member, 0) -> place among the members * 64 + node */
    uint32_t member_count;
    uint32_t *committed;        /* batches in the order of the log, from index 1 on */
    uint64_t committed_count;
    uint64_t committed_capacity;
    uint64_t committed_last;    /* index */
    struct oracle_step *steps;
    uint64_t step_count;
    uint64_t step_capacity;
    uint64_t acknowledged;      /* the highest index that a client saw acknowledged */
    uint64_t configuration_committed; /* index of the newest committed configuration */
    struct raft_configuration committed_configuration;
    uint64_t *digests;          /* by index; 0: not known */
    uint64_t digest_capacity;
    uint64_t *ticks;            /* by index + 1; 0: not known */
    uint64_t tick_capacity;
    struct oracle_setting *settings; /* every version of them that was ever in force somewhere, in order */
    uint64_t setting_count;
    uint64_t state_version; /* the newest of the machine that was ever in force somewhere */
    uint64_t setting_capacity;
    struct oracle_map sampled;  /* (index, 0) -> digest: the nodes' own samples */
    struct oracle_map sessions; /* (session, sequence) -> index at which it was applied */
    struct oracle_entry *made;    /* what was made, batch by batch */
    uint64_t made_count;
    uint64_t made_capacity;
    struct oracle_entry *entries; /* by index: what was committed */
    uint64_t entry_capacity;
    uint64_t largest_term;
    struct session_limits session_limits; /* the widest that were ever in force */
};

/* Members that have a bit of their own. A long life sees more (who lost its disk comes back as a new one): then the bit
 * of one that is long gone is taken again. */
#define ORACLE_MEMBERS 64

/* ---- oracle.c: members --------------------------------------------------------------------------------- */

/* A node has become this member. */
void oracle_member(struct sim_oracle *oracle, struct oracle_node *node, uint64_t member);
/* The bit of a member in oracle_batch.held, and of its node elsewhere; 0: not known. */
uint64_t oracle_member_bit(const struct sim_oracle *oracle, uint64_t member);
uint64_t oracle_node_bit(const struct sim_oracle *oracle, uint64_t member);

/* All that is asked of a node after an event, in its order. */
void oracle_observe(struct sim_oracle *oracle, const struct oracle_view *view);

/* ---- oracle_log.c: memory of logs ---------------------------------------------------------------------- */

struct oracle_term *oracle_term(struct sim_oracle *oracle, uint64_t term);
/* The batch of this node's log that holds an index; ORACLE_NONE. */
uint32_t oracle_in_log(const struct sim_oracle *oracle, const struct oracle_node *node, uint64_t index);
/* Put a recovered log in the place of what was remembered; `promised` and `held` are the caller's business. */
void oracle_log_restart(struct oracle_node *node);
uint32_t oracle_log_push(struct sim_oracle *oracle, struct oracle_node *node, const struct raft_batch *batch,
                         bool may_be_new);
/* Follow the log of a node to its present state: log matching and leader append-only on the way. */
void oracle_log_follow(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view);
void oracle_held_follow(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view);

/* ---- invariants ---------------------------------------------------------------------------------------- */

void oracle_election_safety(struct sim_oracle *oracle, uint64_t term, uint64_t leader, uint32_t number);
void oracle_monotonic(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view);
void oracle_candidacy(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view);
void oracle_elected(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view);
void oracle_one_vote(struct sim_oracle *oracle, uint32_t number, uint64_t member, uint64_t term, uint64_t candidate);
void oracle_commit_follow(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view);
void oracle_leader_completeness(struct sim_oracle *oracle, struct oracle_node *node, uint64_t term, uint64_t base);
/* It leads, has committed in its own term, and none leads a newer one: a cluster that goes on. */
void oracle_goes_on(struct sim_oracle *oracle, struct oracle_node *node);
void oracle_snapshot_is(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint32_t chain);
/* The committed batch that holds an index that is committed. */
uint32_t oracle_committed(const struct sim_oracle *oracle, uint64_t index);
void oracle_configuration_follow(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view);
bool oracle_overlap(const struct raft_configuration *a, const struct raft_configuration *b);
void oracle_recovered(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_view *view);

/* A vote, a request for one, or an acknowledgement is leaving: what the disk says of it. */
struct oracle_message {
    uint32_t type; /* enum raft_message_type */
    uint32_t from; /* numbers of nodes */
    uint32_t to;
    uint64_t from_member;
    uint64_t to_member;
    uint64_t term;
    uint64_t for_term;
    uint64_t last_index; /* of a candidate */
    uint64_t match;
    uint64_t index;
    uint64_t read;
    uint32_t flags;
    uint32_t status; /* enum raft_snapshot_status */
};

struct oracle_durable {
    bool votes_known; /* the vote files could be read on the durable image: nobody has damaged one of them */
    uint64_t term[2]; /* of each */
    uint64_t vote[2];
    uint64_t log;      /* the log's word for its durable end */
    uint64_t raft;     /* the core's */
    uint64_t snapshot; /* of the newest published snapshot */
};

/* False: not a message of the algorithm in MessagePack. Fills in all but the ends. */
bool oracle_message_read(struct gavel_slice bytes, struct oracle_message *message);
/* Whether the message names a term that the vote files were not yet seen to hold in this life. */
bool oracle_term_is_news(const struct oracle_node *node, const struct oracle_message *message);
void oracle_persisted(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_message *message,
                      const struct oracle_durable *durable);
/* What the core counts as its own, and `held` stands on, is on the disk: of a leader nothing says so but this. */
void oracle_counted(struct sim_oracle *oracle, const struct oracle_node *node, uint64_t counted,
                    const struct oracle_durable *durable);
void oracle_message_sent(struct sim_oracle *oracle, const struct oracle_message *message);

/* Rounds of reads, by the ids of the node: asked for, and served at an index by a leader. */
void oracle_read_asked(struct sim_oracle *oracle, struct oracle_node *node, uint64_t id);
void oracle_read_served(struct sim_oracle *oracle, struct oracle_node *node, uint64_t id, uint64_t index);
void oracle_read_requested(struct sim_oracle *oracle, const struct oracle_message *message);
void oracle_read_answered(struct sim_oracle *oracle, const struct oracle_message *message);

/* What a start found. */
struct oracle_start {
    uint32_t start; /* enum log_start */
    bool damaged;   /* there was a reason to find damage */
    uint64_t term;
    uint64_t vote;
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    uint32_t snapshot_chain;
    uint64_t last;
    const char *text;
};
/* The node's log is the recovered one already, `promised_batch` the one that held its last promise before. */
void oracle_sound_recovery(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_start *start,
                           uint32_t promised_batch);
/* How a process ended, and what it may have had as a reason. */
struct oracle_exit {
    int code;
    bool damaged;
    bool disk_trouble; /* its disk has answered with an error or had no room, in this life */
    uint64_t plugin; /* the newest state version that its plugin knows */
    const char *said;
};
void oracle_sound_refusal(struct sim_oracle *oracle, struct oracle_node *node, const struct oracle_exit *exit);

/* oracle_entries.c: what each entry is, noted when it is made, known by index when it has committed */
struct log_entry;
void oracle_entries_begin(struct sim_oracle *oracle, struct oracle_batch *batch);
void oracle_entry_made(struct sim_oracle *oracle, struct oracle_batch *batch, const struct log_entry *entry);
void oracle_entries_commit(struct sim_oracle *oracle, uint64_t from);

/* oracle_disk.c: what the log says is durable is on the disk: its batches; its newest snapshot */
void oracle_on_disk(struct sim_oracle *oracle, struct oracle_node *node, const struct sim_node *sim_node);
void oracle_snapshot_on_disk(struct sim_oracle *oracle, struct oracle_node *node, const struct sim_node *sim_node);
/* What is wrong with a snapshot on its disk; NULL: all of it is there. */
struct log_snapshot_info;
const char *oracle_snapshot_missing(const struct log_snapshot_info *wanted, const struct sim_disk *disk,
                                    const struct os_file *file);

/* oracle_room.c: what lies on the disk is bounded */
void oracle_room_begins(struct sim_oracle *oracle, struct oracle_node *node, const struct sim_node *sim_node);
void oracle_room(struct sim_oracle *oracle, struct oracle_node *node, const struct sim_node *sim_node);

/* oracle_stall.c: a stalled leader is replaced */
void oracle_stalled(struct sim_oracle *oracle, struct sim_node *sim_node, const struct raft_status *status);

void oracle_applied(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t tick);
/* These settings were in force when it had applied `index`. */
void oracle_settings(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t version,
                     uint64_t hash);
uint64_t oracle_settings_hash(const struct settings *settings);
void oracle_digest(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t digest);
void oracle_sample(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t digest);
/* A command of a session was applied at `index`, or (duplicate) found to have been applied at `first`. */
void oracle_session(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t session,
                    uint64_t sequence, bool duplicate, uint64_t first);
void oracle_tick_made(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t before,
                      uint64_t tick);

static inline uint32_t oracle_number(const struct sim_oracle *oracle, const struct oracle_node *node)
{
    return (uint32_t)(node - oracle->nodes);
}

/* The arguments of a command as they were logged, against the table that they were checked by. */
void oracle_complete(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index,
                     const struct gavel_fields *fields, struct gavel_slice map);

/* One queue, pool or window against its limit. */
#define oracle_bound(oracle, node, what, have, limit) \
    do { \
        if ((uint64_t)(have) > (uint64_t)(limit)) \
            oracle_over((oracle), (node), (what), (uint64_t)(have), (uint64_t)(limit)); \
    } while (0)
void oracle_over(struct sim_oracle *oracle, struct oracle_node *node, const char *what, uint64_t have, uint64_t limit)
    __attribute__((noreturn));

#endif
