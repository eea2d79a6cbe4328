/* SPDX-License-Identifier: Apache-2.0 */
/*
 * figures.h - what a node knows of its own pace: rates and latencies of the last ten seconds, how long its syncs have
 * been slow, how long committed entries wait, and how many bytes of log lie behind an index.
 *
 * Plain memory, no clock: every function is told the time, of the monotonic clock, which never goes back. [loop]
 */
#ifndef GAVEL_CORE_NODE_FIGURES_H
#define GAVEL_CORE_NODE_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

#define FIGURES_SECONDS 10
#define FIGURES_SLOTS (FIGURES_SECONDS + 1) /* those that are over, and the one at hand */
#define FIGURES_BUCKETS 128 /* of a latency: four to a doubling, from 1 us to two hours */
#define FIGURES_BATCHES 1024 /* proposed and not committed that are timed */
#define FIGURES_WAITING 64   /* moments at which something was committed and is not applied */
#define FIGURES_MARKS 256    /* places of the log whose distance in bytes is known */

struct figures_rate {
    uint64_t second[FIGURES_SLOTS];
    uint64_t count[FIGURES_SLOTS];
};

struct figures_latency {
    uint64_t second[FIGURES_SLOTS];
    uint32_t count[FIGURES_SLOTS][FIGURES_BUCKETS];
};

struct figures_mark {
    uint64_t index;
    uint64_t value; /* a moment, or bytes */
};

struct figures {
    struct figures_rate writes; /* commands applied */
    struct figures_rate reads;  /* reads served */
    struct figures_latency commit; /* of a leader's batch: from its proposal to its commit */
    struct figures_latency sync;   /* one write and sync of the log */
    uint64_t slow_since; /* syncs have been slow since; 0: they are not */
    uint64_t synced_ns;  /* the last one ended */
    struct figures_mark proposed[FIGURES_BATCHES];
    uint64_t proposed_first, proposed_end;
    struct figures_mark waiting[FIGURES_WAITING];
    uint32_t waiting_count;
    struct figures_mark mark[FIGURES_MARKS]; /* a ring by mark_end */
    uint64_t mark_first, mark_end;
    uint64_t bytes; /* of log, since this node started or a little before */
};

void figures_count(struct figures_rate *rate, uint64_t now_ns, uint64_t count);
/* Per second, over the seconds that are over; `since_ns`: when counting began. */
uint64_t figures_rate(const struct figures_rate *rate, uint64_t now_ns, uint64_t since_ns);

void figures_latency(struct figures_latency *latency, uint64_t now_ns, uint64_t ns);
/* The value that `percent` of those of the last `seconds` (at most 10) do not exceed, in microseconds, at most a
 * quarter too high; 0: there were none. */
uint64_t figures_quantile_us(const struct figures_latency *latency, uint64_t now_ns, unsigned percent,
                             unsigned seconds);
/* Two of them at once. */
void figures_p50_p99_us(const struct figures_latency *latency, uint64_t now_ns, unsigned seconds, uint64_t *p50,
                        uint64_t *p99);

/* A sync has ended. */
void figures_synced(struct figures *figures, uint64_t now_ns, uint64_t ns);
/*
 * For how long 99 of 100 syncs have taken longer than the limit, in ms; 0: they do not. `pending_ns`: the age of the
 * oldest write that waits for its sync. A second without any sync changes nothing, `patience_ms` of them end it.
 * Called each second or so.
 */
uint64_t figures_slow_ms(struct figures *figures, uint64_t now_ns, uint64_t pending_ns, uint64_t limit_ms,
                         uint64_t patience_ms);

/* A leader's batch was proposed; the leader leads no more. */
void figures_proposed(struct figures *figures, uint64_t now_ns, uint64_t last_index);
/* Everything up to `index` is committed: the next proposed batch in it, and how long that took; false: none. */
bool figures_committed(struct figures *figures, uint64_t now_ns, uint64_t index, uint64_t *ns);
void figures_deposed(struct figures *figures);

/* Everything up to `index` may be applied. */
void figures_to_apply(struct figures *figures, uint64_t now_ns, uint64_t index);
/* For how long the oldest entry that may be applied and is not has waited, in ms. */
uint64_t figures_backlog_ms(struct figures *figures, uint64_t now_ns, uint64_t applied);

/* A batch of that many bytes that ends at `last_index` is in the log; `spacing`: bytes between two marks. */
void figures_logged(struct figures *figures, uint64_t last_index, uint64_t bytes, uint64_t spacing);
/* The log was cut: nothing from `index` on is in it any more. */
void figures_cut(struct figures *figures, uint64_t index);
/* About how many bytes of log lie behind `index`: at most by one spacing too many. */
uint64_t figures_behind(const struct figures *figures, uint64_t index);

#endif
