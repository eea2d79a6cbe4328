/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/raft/message.h - what one node's algorithm says to another's.
 *
 * Flat structs without pointers, but for one: a received append borrows the descriptors of its batches. What
 * a message does not carry is payload. The node attaches it and takes it off:
 *
 *   append request   the whole batches prev_index + 1 .. last_index, as they lie in the log (none when equal)
 *   snapshot chunk   `length` bytes at `offset` of the snapshot `index`
 *
 * `term` in the head is always the sender's current term. A message whose fields break the rules written here
 * is refused by raft_step() with RAFT_E_INVALID; it then has changed nothing.
 */
#ifndef GAVEL_CORE_RAFT_MESSAGE_H
#define GAVEL_CORE_RAFT_MESSAGE_H

#include <stdint.h>

#include "configuration.h"

/* What a batch holds. The values are stored in the log and sent: never reuse one. */
enum raft_batch_kind {
    RAFT_BATCH_COMMAND = 1,       /* commands of state machines and of the host: the core does not care */
    RAFT_BATCH_NOOP = 2,          /* the entry with which a new leader begins (thesis 6.4) */
    RAFT_BATCH_CONFIGURATION = 3, /* one configuration, alone in its batch */
};

/*
 * A batch without its bytes. Batches are made once, by the leader that proposes them, and are replicated,
 * truncated and compacted only whole: two logs that hold the same index with the same term hold the same
 * batch.
 */
struct raft_batch {
    uint64_t first; /* index of its first entry, never 0 */
    uint64_t term;  /* of the leader that made it, never 0 */
    uint32_t count; /* entries in it, at least 1 */
    uint32_t bytes; /* size on the wire, for windows and quotas, at least 1 */
    /* checksum over this batch and the chain of the one before: equal chains, equal prefixes */
    uint32_t chain;
    uint32_t kind;  /* enum raft_batch_kind */
    /* The decoded configuration of a CONFIGURATION batch, borrowed for the call; NULL for the others. */
    const struct raft_configuration *configuration;
};

/*
 * The highest term that is taken from a message. An election a nanosecond would take 146 years to get there; beyond it
 * a node that adopts a term could run out of terms, and would add one to the last.
 */
#define RAFT_TERM_MAX (UINT64_C(1) << 62)

/* The numbers are sent: never reuse one. */
enum raft_message_type {
    RAFT_PREVOTE_REQUEST = 1,
    RAFT_PREVOTE_RESPONSE = 2,
    RAFT_VOTE_REQUEST = 3,
    RAFT_VOTE_RESPONSE = 4,
    RAFT_APPEND_REQUEST = 5,
    RAFT_APPEND_RESPONSE = 6,
    RAFT_SNAPSHOT_REQUEST = 7,
    RAFT_SNAPSHOT_RESPONSE = 8,
    RAFT_TIMEOUT_NOW = 9,
    RAFT_READ_REQUEST = 10,
    RAFT_READ_RESPONSE = 11,
};

/* Flags, per message; a receiver ignores those that it does not know. */
/* vote request: the leader asked for it, so stickiness does not apply (4.2.3) */
#define RAFT_VOTE_TRANSFER 1u
#define RAFT_VOTE_GRANTED 1u       /* vote and pre-vote response */
/* append request: `commit` is the leader's after it committed in its own term */
#define RAFT_APPEND_OWN_TERM 1u
/* append request: the leader knows that the receiver recovers, and counts nothing that it acknowledged before */
#define RAFT_APPEND_TO_RECOVERING 2u
#define RAFT_APPEND_REJECTED 1u    /* append response: prev did not match, or the term is over */
/* append response: the sender refetches a damaged log and counts as a learner */
#define RAFT_APPEND_RECOVERING 2u
/* append response: the sender restores a snapshot and takes no batches now */
#define RAFT_APPEND_INSTALLING 4u
/* append response: something waits for the sender's disk, which does not get on; it is no successor now */
#define RAFT_APPEND_STALLED 8u
/* append response: the sender is fenced: it never leads, so it is no successor */
#define RAFT_APPEND_FENCED 16u
#define RAFT_READ_REFUSED 1u       /* read response: the sender is not the leader of that term; ask again */

/*
 * RequestVote (thesis figure 3.1), and the same question without a commitment (PreVote, 9.6). In a pre-vote
 * `for_term` is the term that the sender would enter (head.term + 1); in a vote it is head.term.
 */
struct raft_vote_request {
    uint64_t for_term;
    uint64_t last_index; /* of the candidate's log */
    uint64_t last_term;
    uint32_t flags; /* RAFT_VOTE_TRANSFER */
    uint32_t reserved;
};

struct raft_vote_response {
    uint64_t for_term; /* of the request it answers */
    uint32_t flags;    /* RAFT_VOTE_GRANTED */
    uint32_t reserved;
};

/*
 * AppendEntries (thesis figure 3.1). Without batches (last_index == prev_index) it is a heartbeat; it checks
 * prev all the same. prev_index 0 goes with prev_term 0 and the chain of the founding (of index 0).
 */
struct raft_append_request {
    uint64_t prev_index; /* the last index before its batches; the end of a batch */
    uint64_t prev_term;
    uint64_t last_index; /* the last index of its batches */
    uint64_t commit;     /* the leader's commit index */
    /* the newest round of reads of the leader, echoed by the answer; never goes back in a term */
    uint64_t round;
    uint32_t prev_chain; /* chain of the batch that ends at prev_index */
    uint32_t flags;      /* RAFT_APPEND_OWN_TERM, _TO_RECOVERING */
    /* Received: descriptors of the batches, borrowed for the call. Sent: NULL, the node knows its log. */
    const struct raft_batch *batches;
    uint32_t batch_count; /* received and sent */
    uint32_t reserved;
};

struct raft_append_response {
    uint64_t prev_index; /* of the request that it answers */
    uint64_t match;      /* accepted: durable here, and equal to the leader's log up to this index */
    uint64_t hint_index; /* rejected: the last index here that may match (a fast way back, thesis 3.5) ... */
    uint64_t hint_term;  /* ... and its term */
    uint64_t last_index; /* the end of the sender's log, for status pages */
    uint64_t round;      /* of the request */
    uint64_t digest_index; /* filled and read by the node: the sampled digest of the sender's machines. */
    uint64_t digest;       /* The core sends 0 and looks at neither. */
    uint32_t flags;        /* RAFT_APPEND_REJECTED, _RECOVERING, _INSTALLING */
    uint32_t reserved;
};

/*
 * InstallSnapshot (thesis figure 5.3), in chunks. The first one is an offer without bytes (length 0, offset
 * 0): the answer says from where to go on, so a transfer resumes. The configuration travels inside the
 * snapshot.
 */
struct raft_snapshot_request {
    uint64_t index;  /* the last index that it holds; the end of a batch */
    uint64_t last_term;
    uint64_t total;  /* bytes of the whole snapshot, at least 1 */
    uint64_t digest; /* of its bytes: two snapshots of one index may differ as files */
    uint64_t offset;
    uint32_t length; /* bytes in this chunk */
    uint32_t chain;  /* of the batch that ends at index */
    uint64_t ask;    /* 1 and up, of this leader to this peer: which of its messages this is */
};

/* What became of a chunk. */
enum raft_snapshot_status {
    RAFT_SNAPSHOT_MORE = 1,      /* stored up to `offset`: send on from there */
    RAFT_SNAPSHOT_INSTALLED = 2, /* not needed any more: the log or a restored snapshot reaches `match` */
    RAFT_SNAPSHOT_FAILED = 3,    /* could not be stored or was damaged: begin again later */
};

struct raft_snapshot_response {
    uint64_t index;
    uint64_t digest;
    uint64_t offset;
    uint64_t match;
    uint64_t ask;    /* of the newest message about this snapshot that has come; 0: it does not say */
    uint32_t status; /* enum raft_snapshot_status */
    uint32_t reserved;
};

/* TimeoutNow (thesis 3.10): the receiver campaigns at once, without a pre-vote. The term is in the head. */

/*
 * A follower asks for an index at which it may read (thesis 6.4). `id` is new for every attempt and answered
 * only in the term in which it was asked (head.term of both).
 */
struct raft_read_request {
    uint64_t id;
};

struct raft_read_response {
    uint64_t id;
    uint64_t index; /* the leader's commit index when a quorum had confirmed it */
    uint32_t flags; /* RAFT_READ_REFUSED */
    uint32_t reserved;
};

struct raft_message {
    uint32_t type; /* enum raft_message_type */
    uint32_t reserved;
    uint64_t from; /* member ids */
    uint64_t to;
    uint64_t term;
    union {
        struct raft_vote_request vote_request; /* PREVOTE_REQUEST, VOTE_REQUEST */
        struct raft_vote_response vote_response; /* PREVOTE_RESPONSE, VOTE_RESPONSE */
        struct raft_append_request append_request;
        struct raft_append_response append_response;
        struct raft_snapshot_request snapshot_request;
        struct raft_snapshot_response snapshot_response;
        struct raft_read_request read_request;
        struct raft_read_response read_response;
    };
};

#endif
