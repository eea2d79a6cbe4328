/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - the replicated table of client sessions: how a retry is applied at most once (thesis 6.3).
 *
 * A session is made by an entry of the log and is named by that entry's index. Within it a client numbers its
 * writes from 1 on, may have a window of them under way in any order, and says with each up to which sequence
 * it has seen every reply
 * (`acked`). The table keeps what was answered above that, so that a write that arrives again gets the same
 * answer.
 *
 * Everything here is part of the replicated state: the same calls give the same table on every node. It reads
 * no clock; time is the cluster's tick of the entry at hand. [apply]
 */
#ifndef CORE_NODE_SESSION_H
#define CORE_NODE_SESSION_H

#include <gavel/abi.h>
#include <stdbool.h>
#include <stdint.h>

struct sessions;

/* Replicated limits. */
struct session_limits {
    uint64_t sessions; /* one more is refused */
    uint64_t window;   /* sequence numbers above `acked` that may have been used */
    uint64_t
        bytes; /* of kept replies in one session; beyond it the oldest bodies go, but not what they were */
    uint64_t ttl_ms; /* of cluster time without a sign of the client; never less than when a session registered */
};

/* What was answered to a write. */
struct session_reply {
    int32_t status;
    bool dropped;              /* it was applied, but its body is not kept any more */
    uint64_t index;            /* of the entry that was applied */
    struct gavel_slice result; /* MessagePack */
    struct gavel_slice text;   /* the sentence of an error */
};

enum session_verdict {
    SESSION_RUN = 1,       /* new: apply it, then session_keep */
    SESSION_DUPLICATE = 2, /* applied before: *reply is filled, borrowed until the next call */
    SESSION_EXPIRED = 3,   /* there is no such session (any more) */
    SESSION_STALE = 4,     /* at or below what the client has acknowledged */
    SESSION_BEYOND = 5,    /* above the window: nothing is applied */
};

/* A new, empty table; NULL when memory is out. */
struct sessions *sessions_new(const struct session_limits *limits);

/* Free it; returns NULL; NULL is fine. */
struct sessions *sessions_free(struct sessions *sessions);

/* Other limits from the present entry on. Sessions over them stay; what they may do next is judged by the new ones. */
void sessions_set_limits(struct sessions *sessions, const struct session_limits *limits);

/* Forget everything. */
void sessions_clear(struct sessions *sessions);

/* Register the session `id` (the index of its entry). GAVEL_E_BUSY over the limit, GAVEL_E_LOCAL without
 * memory. */
int32_t session_register(struct sessions *sessions, uint64_t id, uint64_t tick);

/* End a session; true when there was one. */
bool session_close(struct sessions *sessions, uint64_t id);

/* A sign of life; false when there is no such session. */
bool session_touch(struct sessions *sessions, uint64_t id, uint64_t tick);

/*
 * Expire the session at `tick` if nothing was heard of it since `seen`, the tick of the renewal that whoever proposed
 * the expiry had seen, and that is longer ago than sessions live by now: the proposer may not have known of a longer
 * life that the entries before this one gave them. True when it is gone by this call.
 */
bool session_expire(struct sessions *sessions, uint64_t id, uint64_t seen, uint64_t tick);

/*
 * A write with this sequence arrives at `tick`; the client has every reply up to `acked`. Raises the floor
 * first, so a write that says so itself cannot be its own duplicate.
 */
enum session_verdict session_admit(struct sessions *sessions, uint64_t id, uint64_t sequence, uint64_t acked,
                                   uint64_t tick, struct session_reply *reply);

/* Keep the answer of the write just admitted with SESSION_RUN. Copies. GAVEL_E_LOCAL without memory. */
int32_t session_keep(struct sessions *sessions, uint64_t id, uint64_t sequence,
                     const struct session_reply *reply);

/*
 * The same question without any effect, for a leader that wants to answer a duplicate at once; a shortcut
 * only: the decision falls at apply.
 */
enum session_verdict session_peek(const struct sessions *sessions, uint64_t id, uint64_t sequence,
                                  struct session_reply *reply);

/*
 * A session that has expired by `tick`, the oldest first above `after`: its id, and in *seen what an expiry
 * entry must name. 0: none.
 */
uint64_t session_due(const struct sessions *sessions, uint64_t after, uint64_t tick, uint64_t *seen);

uint64_t sessions_count(const struct sessions *sessions);

/* Add the table to a digest. */
void sessions_digest(const struct sessions *sessions, uint64_t sum[2]);

/*
 * Write the whole table for a snapshot, or take it from one (it is cleared first). With `lives` each session has its
 * own life in it, which is that of all as long as the limits were never changed. GAVEL_E_CORRUPT, GAVEL_E_LOCAL.
 */
int32_t sessions_save(const struct sessions *sessions, bool lives, struct gavel_buffer *out);
int32_t sessions_load(struct sessions *sessions, struct gavel_slice in, bool lives, struct gavel_error *error);

#endif
