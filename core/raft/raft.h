/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/raft.h - the consensus algorithm as a pure function: raft_step(event) -> effects.
 *
 * Raft after Ongaro's thesis (2014) without any I/O, clock, random source, thread, malloc or log line: the
 * same events give the same effects on every machine. Its caller (core/node) tells it what happened and
 * carries out what it asks for. It holds no payload, only descriptors of batches.
 *
 * HOW TO DRIVE IT
 *
 *   memory = aligned block of raft_size(&options) bytes
 *   raft_init(memory, size, &options, &recovered, &raft)
 *   raft_load(raft, batches, count) ...        the recovered log, oldest first, in as many calls as you like
 *   raft_step(raft, START) and from then on one event at a time; carry out the effects in order, each time
 *
 * The effects of a step are carried out in their order, before the next step. Two kinds take time:
 *
 *   Durable effects (WRITE_VOTE, APPEND, TRUNCATE) bear an `io`: numbers that begin at 1 and grow by one.
 *   They go to the log lane in this order and complete in this order: WRITTEN(n) means that all up to n are
 *   on the disk. A node may join any number of them into one write and one sync. If one fails: WRITE_FAILED,
 *   once, and then nothing.
 *
 *   An effect with a `gate` (only SEND and RECOVERY_REACHED have one) may not run before that io is durable;
 *   0 runs at once. The gate is all that the caller needs to know about the protocol: everything that no gate
 *   forbids may be reordered, delayed or lost. So keep gated messages in a queue, and release those with
 *   gate <= n after WRITTEN(n), before or after the step with that event.
 *
 * Reading an effect that is not gated and needs the log (SEND of an append request) happens at once, in the
 * order of the effects: the bytes that an earlier APPEND named count as part of the log although they are not
 * durable.
 *
 * All times are nanoseconds of one monotonic clock of the caller, handed in with every event, never going
 * back. All indexes begin at 1; 0 is the founding. Ids of members are never 0.
 */
#ifndef GAVEL_CORE_RAFT_RAFT_H
#define GAVEL_CORE_RAFT_RAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "configuration.h"
#include "message.h"

struct raft;

/*
 * What raft_step() and its neighbours return. An event that is refused has changed nothing and has no
 * effects.
 */
#define RAFT_OK 0
/* the event or message breaks the rules of this header: a bug or a hostile peer */
#define RAFT_E_INVALID -1
#define RAFT_E_NOT_LEADER -2 /* only the leader can do that; raft_status() names it, if known */
#define RAFT_E_BUSY -3       /* a bound is reached, or leadership is being handed over: come again soon */
#define RAFT_E_NO_SPACE -4   /* commands are refused while SPACE says that none is reserved */
#define RAFT_E_STALE -5      /* a proposal made for another term or another end of the log: make it again */
#define RAFT_E_NOT_READY -6  /* no change of members before an entry of the leader's own term has committed */
#define RAFT_E_IN_FLIGHT -7  /* another change of members is uncommitted or joint */
#define RAFT_E_UNCHANGED -8  /* the wanted configuration is in force already */
#define RAFT_E_STOPPED -9    /* a write failed: this core does nothing any more */
/* a leader contradicts what is committed here: keep everything, serve nothing, alarm */
#define RAFT_E_DIVERGED -10

/* A short text in English for a code of the list above. Never NULL. */
const char *raft_error_text(int code);

/* Fixed for the life of a core. A 0 takes the default named behind it, except for self and seed. */
struct raft_options {
    uint64_t self;                /* own member id, not 0 */
    uint64_t seed;                /* of time-outs and ids of reads: another for every node and every start */
    uint64_t election_min_ns;     /* 150 ms: a follower without a leader waits this .. */
    uint64_t election_max_ns;     /* 300 ms: .. to this long; also the time by which a transfer must end */
    uint64_t heartbeat_ns;        /* 50 ms */
    /* 2 ms: a follower that got nothing else learns of a commit after this time */
    uint64_t commit_notify_ns;
    /*
     * 4 x election_max: own disk without progress while something waits for it. A leader whose followers have committed
     * beyond what is on its disk hands over; any other node says so in its answers and its status.
     */
    uint64_t disk_stall_ns;
    /* 32 x election_max: so long a member of higher priority has to be there and close, before it is handed the lead */
    uint64_t priority_delay_ns;
    uint32_t batches_max;         /* 131,072 boundaries of batches kept in memory; 40 bytes each */
    uint32_t ios_max;             /* 1,024 durable effects on their way at once */
    uint32_t append_batches_max;  /* 1,024 batches in one append request */
    uint32_t append_bytes_max;    /* 256 KiB of batches in one append request (one batch may be larger) */
    uint32_t chunk_bytes;         /* 256 KiB of a snapshot in one chunk */
    uint64_t window_bytes;        /* 4 MiB of batches on their way to a peer */
    uint64_t uncommitted_bytes;   /* 64 MiB of proposals that have not committed */
    uint64_t apply_window;        /* 4,096 entries handed to APPLY and not reported as applied */
    uint64_t promote_lag;         /* 1,024 entries: a JOINING member this close becomes a voter */
    uint32_t members_max;         /* RAFT_MEMBERS_MAX */
    uint32_t reserved;
    /*
     * 200 x election_max: a peer that gets nothing more of a snapshot stored for so long is let go; until then the log
     * behind the snapshot is kept for it.
     */
    uint64_t snapshot_wait_ns;
    uint64_t seeded_bug;          /* of bugs.h, + 1; 0: none. Only looked at when built with GAVEL_SEEDED_BUGS */
};

/* What the durable log and the vote record said at start. Everything that it names is durable. */
struct raft_recovered {
    uint64_t term; /* the vote record */
    uint64_t vote; /* 0: none in that term */
    /* The newest snapshot, restored into the machines. 0, 0 and the founding's chain: the founding. */
    uint64_t snapshot_index; /* the end of a batch */
    uint64_t snapshot_term;
    uint32_t snapshot_chain;
    uint32_t base_chain;
    /*
     * The configuration of that snapshot (or of the founding). May be empty: a node that waits to be added.
     * Copied.
     */
    const struct raft_configuration *configuration;
    /*
     * The end of the batch before the first that the log still holds: at or below the snapshot. If the log
     * does not know its term and chain any more, name the end of the first batch that it holds and load from
     * the second.
     */
    uint64_t base_index;
    uint64_t base_term;
    /*
     * The log was damaged: see RAFT_EVENT_RECOVERED. What peers sent to an earlier life must not arrive in one that
     * recovers, and what earlier lives sent must not arrive behind what this one sends; connections see to both.
     */
    bool recovering;
};

/* Bytes that raft_init() needs for these options; the block must be aligned to 16. */
size_t raft_size(const struct raft_options *options);

/*
 * Builds a core in the caller's memory, which must outlive it and holds everything it will ever use. On
 * success *raft points into it. RAFT_E_INVALID: options or recovered state that contradict themselves.
 */
int raft_init(void *memory, size_t size, const struct raft_options *options,
              const struct raft_recovered *recovered, struct raft **raft);

/*
 * Hands over recovered batches, in order and without gaps, starting right after base_index; before START.
 * Of those at or below the snapshot only the newest that fit are kept; a peer that needs older ones gets a
 * snapshot. BUSY: more than batches_max lie above the snapshot, take a larger one. INVALID: a gap.
 */
int raft_load(struct raft *raft, const struct raft_batch *batches, size_t count);

enum raft_event_type {
    /*
     * The recovered log is complete. First event, once. A cluster of one campaigns at once, and so does, in turns, one
     * that never had a leader.
     */
    RAFT_EVENT_START = 1,
    /*
     * Time has come to `now`. Send it when the deadline of the last effects is reached; more often does no
     * harm.
     */
    RAFT_EVENT_TIME,
    /* `message` came in from a peer that is known to be `message->from`. Borrowed for the call. */
    RAFT_EVENT_RECEIVE,
    /*
     * `batch` was made to follow raft_status().last_index in raft_status().term. Only for the leader. COMMAND
     * at any time; NOOP and CONFIGURATION in answer to the effect PROPOSE. NOT_LEADER, STALE (wrong term or
     * wrong first index), BUSY, NO_SPACE.
     */
    RAFT_EVENT_PROPOSE,
    RAFT_EVENT_WRITTEN,      /* all durable effects up to `io` are on the disk */
    RAFT_EVENT_WRITE_FAILED, /* one failed: the core stops; every later event gets STOPPED */
    RAFT_EVENT_APPLIED,      /* the machines have applied all up to `index` */
    /* The log has (`space.ok`) or has not room reserved for more. True at start. */
    RAFT_EVENT_SPACE,
    /*
     * A client wants to read. `read.id` is the caller's, greater than any before it, beginning at 1. Answered
     * by one SERVE_READS for it and all before it, whichever node leads by then; never refused. The caller
     * has its own time-out.
     */
    RAFT_EVENT_READ,
    /*
     * Change the members into `membership.target` (not joint). NOT_LEADER, INVALID, NOT_READY, IN_FLIGHT, BUSY, and
     * UNCHANGED unless `membership.anew`: the caller changes something that is not known here, an address; else there
     * is an effect PROPOSE in this step. The joint state in between, leaving it
     * and the promotion of JOINING members are done by whoever leads, without another word.
     */
    RAFT_EVENT_MEMBERSHIP,
    /*
     * Hand leadership to `transfer.target` (0: the voter that is furthest along, then by priority).
     * NOT_LEADER, INVALID (no such voter, or one that is never to lead, or fenced), BUSY (one is under way). Ends with
     * TRANSFER_ENDED. Proposals get BUSY meanwhile.
     */
    RAFT_EVENT_TRANSFER,
    /*
     * The connection to `link.peer` is gone. `link.refused`: an immediate redial was refused, or closed
     * before the hello, so there is no process behind it any more: a follower whose leader that was starts an
     * election at once. A break alone only makes a leader send again from what was acknowledged.
     */
    RAFT_EVENT_LINK_LOST,
    /* connected to `link.peer`: a leader greets it at once, a candidate asks it again */
    RAFT_EVENT_LINK_UP,
    /* The log has become sound again and that is on the disk: end of `recovering` (see RECOVERY_REACHED). */
    RAFT_EVENT_RECOVERED,
    /* `fence.on`: keep log and votes, never lead. A leader hands over, or steps down. */
    RAFT_EVENT_FENCE,
    /*
     * A local snapshot of `snapshot.index` (the end of a batch, applied, locally durable) has been published.
     */
    RAFT_EVENT_SNAPSHOT_TAKEN,
    /* The log has dropped batches up to `index` (the end of one), at most raft_compactable(). */
    RAFT_EVENT_COMPACTED,
    /*
     * Answer to START_SNAPSHOT: which one the node will read from; or `failed`, then the core asks again
     * later.
     */
    RAFT_EVENT_SNAPSHOT_READY,
    /* Answer to STORE_CHUNK, when its bytes are in the file; or `failed`. */
    RAFT_EVENT_CHUNK_STORED,
    /*
     * Answer to INSTALL_SNAPSHOT: it is published, the machines are restored from it, the log is empty and
     * goes on behind it, all durably; its configuration comes along, copied. Or `failed`: nothing is changed.
     */
    RAFT_EVENT_SNAPSHOT_INSTALLED,
};

struct raft_event_snapshot_ready {
    uint64_t peer;
    uint64_t index;
    uint64_t last_term;
    uint64_t total;
    uint64_t digest;
    uint32_t chain;
    bool failed;
};

struct raft_event_chunk_stored {
    uint64_t index;
    uint64_t digest;
    uint64_t offset; /* the end of what is stored */
    bool failed;
};

struct raft_event_snapshot_installed {
    uint64_t index;
    uint64_t digest;
    const struct raft_configuration *configuration;
    bool failed;
};

struct raft_event {
    uint32_t type; /* enum raft_event_type */
    uint32_t reserved;
    uint64_t now;
    union {
        const struct raft_message *message; /* RECEIVE */
        struct raft_batch batch;            /* PROPOSE */
        uint64_t io;                        /* WRITTEN, WRITE_FAILED */
        uint64_t index;                     /* APPLIED, SNAPSHOT_TAKEN, COMPACTED */
        struct {
            bool ok;
        } space;
        struct {
            uint64_t id;
        } read;
        struct {
            const struct raft_configuration *target;
            bool anew; /* also when it equals what is in force */
        } membership;
        struct {
            uint64_t target;
        } transfer;
        struct {
            uint64_t peer;
            bool refused;
        } link;
        struct {
            bool on;
        } fence;
        struct raft_event_snapshot_ready snapshot_ready;
        struct raft_event_chunk_stored chunk_stored;
        struct raft_event_snapshot_installed snapshot_installed;
    };
};

enum raft_role { RAFT_FOLLOWER = 1, RAFT_PRECANDIDATE = 2, RAFT_CANDIDATE = 3, RAFT_LEADER = 4 };

enum raft_effect_type {
    RAFT_EFFECT_SEND = 1,   /* `message`, to message.to, once `gate` is durable */
    RAFT_EFFECT_WRITE_VOTE, /* io: the record {vote.term, vote.candidate} replaces the one before */
    /*
     * io: the batches range.first .. range.last go to the end of the log. In the step of a PROPOSE that is
     * the proposed batch; in the step of a RECEIVE they are some of the received ones, skip the others. Take
     * them from there.
     */
    RAFT_EFFECT_APPEND,
    RAFT_EFFECT_TRUNCATE, /* io: drop all from range.first on; proposals among them have an unknown outcome */
    RAFT_EFFECT_COMMIT,   /* all up to `index` is committed */
    /* hand range.first .. range.last (whole batches) to the machines, after all before it */
    RAFT_EFFECT_APPLY,
    /* reads with ids up to reads.id may be served once all up to reads.index is applied */
    RAFT_EFFECT_SERVE_READS,
    /*
     * Make a batch of propose.kind (NOOP, CONFIGURATION) and PROPOSE it, after this step; asked for again
     * from time to time while it is needed and has not come. propose.configuration is borrowed until the next
     * step.
     */
    RAFT_EFFECT_PROPOSE,
    /*
     * snapshot.peer needs a snapshot of at least snapshot.index: open the newest, or take one first;
     * SNAPSHOT_READY tells which. Until STOP_SNAPSHOT for that peer, chunks of it are sent with SEND.
     */
    RAFT_EFFECT_START_SNAPSHOT,
    RAFT_EFFECT_STOP_SNAPSHOT, /* snapshot.peer needs no more chunks: close it */
    /*
     * chunk.length 0: begin to receive this snapshot (close any other), or go on with a part of the very same that is
     * here from before; else its bytes, borrowed from the received message, belong at chunk.offset. Answered by
     * CHUNK_STORED with the offset from which to go on; chunk.total when all of it is here.
     */
    RAFT_EFFECT_STORE_CHUNK,
    /*
     * All bytes of the incoming snapshot chunk.index are stored: let what is being applied end, drop a local
     * snapshot that is being taken, verify, publish, restore the machines from it, empty the log and let it
     * go on behind chunk.index with chunk.last_term and chunk.chain; then SNAPSHOT_INSTALLED. No APPEND,
     * TRUNCATE or APPLY comes in between.
     */
    RAFT_EFFECT_INSTALL_SNAPSHOT,
    RAFT_EFFECT_ROLE_CHANGED,          /* role, term or leader is another than at the last such effect */
    RAFT_EFFECT_CONFIGURATION_CHANGED, /* another configuration is in force; borrowed until the next step */
    RAFT_EFFECT_TRANSFER_ENDED,        /* transfer.done: a newer term has begun; else it ran out of time */
    /*
     * While recovering: up to recovery.index the log is that of the leader (and, once the gate is open, durable), and
     * that is not below an index that it reported as committed after committing in its own term, knowing of the
     * recovery. When the node's own record is satisfied too, it makes that durable and sends RECOVERED. Comes with
     * every append, with a growing index.
     */
    RAFT_EFFECT_RECOVERY_REACHED,
};

struct raft_effect {
    uint32_t type; /* enum raft_effect_type */
    uint32_t reserved;
    uint64_t io;   /* of this effect, or 0 */
    uint64_t gate; /* the io that must be durable before, or 0 */
    union {
        struct raft_message message;
        struct {
            uint64_t term;
            uint64_t candidate; /* 0: nobody yet */
        } vote;
        struct {
            uint64_t first;
            uint64_t last;
        } range;
        uint64_t index;
        struct {
            uint64_t id;
            uint64_t index;
        } reads;
        struct {
            uint32_t kind; /* enum raft_batch_kind */
            const struct raft_configuration *configuration;
        } propose;
        struct {
            uint64_t peer;
            uint64_t index;
        } snapshot;
        struct raft_snapshot_request chunk; /* STORE_CHUNK, INSTALL_SNAPSHOT (offset = total, length = 0) */
        struct {
            uint32_t role; /* enum raft_role */
            uint64_t term;
            uint64_t leader; /* 0: unknown */
        } role;
        struct {
            uint64_t index; /* of its entry; 0: the founding */
            const struct raft_configuration *configuration;
        } configuration;
        struct {
            uint64_t target;
            bool done;
        } transfer;
        struct {
            uint64_t index;
        } recovery;
    };
};

/*
 * The caller's array. raft_step() empties it, then fills it; it never takes more than raft_effects_max()
 * items.
 */
struct raft_effects {
    struct raft_effect *items;
    uint32_t capacity; /* at least raft_effects_max() */
    uint32_t count;
    uint64_t deadline; /* send TIME when the clock gets here; UINT64_MAX: not before something else happens */
};

/* The most effects that one step can have (12 for each member, and 24). */
uint32_t raft_effects_max(const struct raft_options *options);

/*
 * One step. Effects and deadline are valid whatever it returns. Not RAFT_OK: the event was refused, count is
 * 0 (a RECEIVE that is merely late, reordered or repeated is RAFT_OK).
 */
int raft_step(struct raft *raft, const struct raft_event *event, struct raft_effects *effects);

struct raft_status {
    uint64_t self;
    uint32_t role;            /* enum raft_role */
    bool recovering;
    bool fenced;
    bool voter;               /* self is a voter of the configuration in force */
    bool own_term_committed;  /* leader: has committed an entry of its own term */
    bool transferring;        /* leader: refuses proposals, leadership is being handed over */
    bool installing;          /* a received snapshot is being restored */
    bool disk_stalls;         /* something waits for the own disk, which has not got on for disk_stall_ns */
    uint64_t term;
    uint64_t vote;
    uint64_t leader;          /* 0: unknown */
    uint64_t commit;
    uint64_t applied;         /* as reported */
    uint64_t last_index;      /* the end of the log, durable or not */
    uint64_t last_term;
    uint32_t last_chain;
    uint64_t durable_index;   /* the end of what is on the own disk */
    uint64_t base_index;      /* batches above this are known here */
    uint64_t snapshot_index;
    uint64_t configuration_index; /* of the one in force */
    uint64_t disk_waits_ns;   /* since the own disk last got on, as of the last step; 0: nothing waits for it */
    uint64_t io;              /* the last io given out */
};

void raft_status(const struct raft *raft, struct raft_status *status);

/* What raft_status says of the commit and of a transfer, for those who ask all the time. */
uint64_t raft_commit(const struct raft *raft);
bool raft_transferring(const struct raft *raft);

/*
 * Batches above the snapshot. They have to fit into batches_max: take a snapshot when this passes half of it. At seven
 * eighths commands get BUSY. They are searched for; raft_batches, all that are known here, is a bound of them.
 */
uint32_t raft_batches_above_snapshot(const struct raft *raft);
uint32_t raft_batches(const struct raft *raft);

enum raft_progress_state { RAFT_PROBE = 1, RAFT_REPLICATE = 2, RAFT_SNAPSHOT = 3 };

/* What a leader knows of a peer. */
struct raft_progress_status {
    uint64_t id;
    uint32_t state; /* enum raft_progress_state */
    bool recovering;
    bool active;    /* heard from within the last election time-out */
    bool disk_stalls; /* it says so of its own disk */
    bool fenced;      /* and of its own state: it may not lead */
    uint64_t match;
    uint64_t next;
    uint64_t last_index; /* what the peer said of the end of its log */
    uint64_t heard_ns;   /* when it last answered, 0: never in this term */
};

/* RAFT_E_NOT_LEADER, or RAFT_E_INVALID for an unknown id. */
int raft_progress(const struct raft *raft, uint64_t id, struct raft_progress_status *status);

/* The configuration in force (the newest in the log, committed or not). Borrowed until the next step. */
const struct raft_configuration *raft_configuration(const struct raft *raft);

/*
 * The configuration that was in force at `index`: what a snapshot of that index must carry. NULL when it is
 * not known any more (below the newest snapshot). Borrowed until the next step.
 */
const struct raft_configuration *raft_configuration_at(const struct raft *raft, uint64_t index);

/* The descriptor of the batch that holds `index`; false when it is not between base_index and last_index. */
bool raft_batch_at(const struct raft *raft, uint64_t index, struct raft_batch *batch);

/*
 * Up to where the log may be compacted: the newest snapshot, or less while a peer is being sent an older one
 * (so that it can go on from there). The caller keeps a window below it for slow peers.
 */
uint64_t raft_compactable(const struct raft *raft);

/* Asserts every invariant of the state. Costs a walk over the log: for tests, after each step. */
void raft_check(const struct raft *raft);

#endif
