/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health.h - how well a member is, as one node sees it: a table from what was observed to a state with its reason.
 *
 * The first row that holds decides (health_rows in health.c, in this order):
 *
 *   UNKNOWN    never_answered   no answer yet
 *   UNHEALTHY  checks_failed    `failures` checks in a row had no answer in time
 *   DEGRADED   connection_lost  there is no connection to it
 *   DEGRADED   check_failed     one check had no answer in time
 *   DEGRADED   fenced           its state differs from the majority's
 *   DEGRADED   no_space         its disk is full: it takes no writes
 *   DEGRADED   recovering       damaged entries of its log are being fetched again
 *   DEGRADED   restoring        it reads its snapshot and its log back
 *   DEGRADED   no_member        it is in no cluster: it waits to be founded or added, or was removed
 *   DEGRADED   no_leader        it has known no leader for longer than a check may take
 *   DEGRADED   lag_entries      so many committed entries are not in its log yet
 *   DEGRADED   lag_bytes        the same in bytes
 *   DEGRADED   sync_slow        99 of 100 syncs of its log have been slower than `sync_p99_ms`, for `sync_time_ms`
 *   DEGRADED   apply_backlog    a committed entry has waited so long for being applied
 *   DEGRADED   returning        well again, but fewer than `successes` good checks in a row
 *   HEALTHY    none
 *
 * A check is good when its answer came in time and nothing else is wrong. Who was never in trouble needs no row of good
 * checks: its first answer makes it HEALTHY. A node checks itself too, without the network.
 *
 * Pure: no clock, no memory but the caller's. Every function is [any].
 */
#ifndef GAVEL_CORE_NODE_HEALTH_H
#define GAVEL_CORE_NODE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

/* The worse the higher, but UNKNOWN: see health_worse. */
enum health_state { HEALTH_UNKNOWN = 0, HEALTH_HEALTHY = 1, HEALTH_DEGRADED = 2, HEALTH_UNHEALTHY = 3 };

/* What a node says is wrong with itself. Bits travel in answers to checks: never used again for something else. */
#define HEALTH_ALARM_NO_SPACE 1u
#define HEALTH_ALARM_FENCED 2u
#define HEALTH_ALARM_RECOVERING 4u
#define HEALTH_ALARM_NO_LEADER 8u
#define HEALTH_ALARM_RESTORING 16u
#define HEALTH_ALARM_NO_MEMBER 32u

#define HEALTH_REASON_MAX 320 /* bytes of a reason with its NUL */

/* [health] of gavel.ini(5); a 0 means the default written behind it. */
struct health_limits {
    uint64_t interval_ms;      /* 5,000 between two checks of one member */
    uint64_t timeout_ms;       /* 2,000: no answer for so long: the check has failed */
    uint64_t failures;         /* 3 of them in a row: UNHEALTHY */
    uint64_t successes;        /* 2 good ones in a row: HEALTHY again */
    uint64_t lag_entries;      /* 10,000 */
    uint64_t lag_bytes;        /* 64 MiB */
    uint64_t sync_p99_ms;      /* 100 ... */
    uint64_t sync_time_ms;     /* ... for 10,000 */
    uint64_t apply_backlog_ms; /* 1,000 */
};

/* Everything that the table looks at. */
struct health_observation {
    bool answered;    /* it has answered at least once */
    bool linked;      /* there is a connection to it now */
    bool trouble;     /* something was wrong since it was HEALTHY last */
    uint64_t failed;  /* checks without an answer, in a row */
    uint64_t good;    /* good checks, in a row */
    uint64_t alarms;  /* HEALTH_ALARM_..., as it says */
    uint64_t lag_entries;
    uint64_t lag_bytes;
    uint64_t sync_p99_us;  /* of its last seconds */
    uint64_t sync_slow_ms; /* for how long its p99 has been over its limit */
    uint64_t apply_backlog_ms;
    const char *why; /* of the last failure: "no answer within 2000 ms", "connection refused"; NULL or "": not known */
};

struct health_verdict {
    enum health_state state;
    const char *cause; /* the name of the row, a constant: "lag_entries"; "" for HEALTHY */
    char reason[HEALTH_REASON_MAX]; /* for people, with the figures; every row that makes it DEGRADED; "" for HEALTHY */
};

/* Fill in the defaults. */
void health_fill(struct health_limits *limits);

/* Look it up. `limits` must be filled. */
void health_judge(const struct health_observation *seen, const struct health_limits *limits,
                  struct health_verdict *verdict);

/* Whether what it says of itself, or how far it is behind, is reason enough: then no check of it is a good one. */
bool health_complains(const struct health_observation *seen, const struct health_limits *limits);

/* "HEALTHY"; constants, and what users see everywhere. */
const char *health_name(enum health_state state);

/* Whether `a` is worse than `b`: UNHEALTHY, UNKNOWN, DEGRADED, HEALTHY, the worst first. */
bool health_worse(enum health_state a, enum health_state b);

#endif
