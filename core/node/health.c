/* SPDX-License-Identifier: Apache-2.0 */
/* health.c - the table of health.h. */
#include "core/node/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SEEN const struct health_observation *seen
#define LIMITS const struct health_limits *limits

static void fill(uint64_t *limit, uint64_t fallback)
{
    if (*limit == 0)
        *limit = fallback;
}

void health_fill(struct health_limits *limits)
{
    fill(&limits->interval_ms, 5000);
    fill(&limits->timeout_ms, 2000);
    fill(&limits->failures, 3);
    fill(&limits->successes, 2);
    fill(&limits->lag_entries, 10000);
    fill(&limits->lag_bytes, UINT64_C(64) << 20);
    fill(&limits->sync_p99_ms, 100);
    fill(&limits->sync_time_ms, 10000);
    fill(&limits->apply_backlog_ms, 1000);
}

/* ---- reasons --------------------------------------------------------------------------------------------------- */

/* Room that is left in a reason. */
struct said {
    char *at;
    size_t room;
};

static void say(struct said *said, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct said *said, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(said->at, said->room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= said->room)
        length = (int)said->room - 1; /* cut: a reason is for people, and the cause is told apart */
    said->at += length;
    said->room -= (size_t)length;
}

static void say_why(SEEN, struct said *said)
{
    if (seen->why && seen->why[0])
        say(said, ": %s", seen->why);
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

static bool never_answered(SEEN, LIMITS)
{
    (void)limits;
    return !seen->answered;
}

static void say_never_answered(SEEN, LIMITS, struct said *said)
{
    (void)limits;
    say(said, "no answer yet");
    say_why(seen, said);
}

static bool checks_failed(SEEN, LIMITS)
{
    return seen->failed >= limits->failures;
}

static void say_checks_failed(SEEN, LIMITS, struct said *said)
{
    (void)limits;
    say(said, "%" PRIu64 " checks in a row failed", seen->failed);
    say_why(seen, said);
}

static bool connection_lost(SEEN, LIMITS)
{
    (void)limits;
    return !seen->linked;
}

static void say_connection_lost(SEEN, LIMITS, struct said *said)
{
    (void)limits;
    say(said, "connection lost");
    say_why(seen, said);
}

static bool check_failed(SEEN, LIMITS)
{
    (void)limits;
    return seen->failed > 0;
}

static void say_check_failed(SEEN, LIMITS, struct said *said)
{
    say(said, "%" PRIu64 " of %" PRIu64 " checks failed", seen->failed, limits->failures);
    say_why(seen, said);
}

#define ALARM_ROW(name, bit, sentence) \
    static bool name(SEEN, LIMITS) \
    { \
        (void)limits; \
        return (seen->alarms & (bit)) != 0; \
    } \
    static void say_##name(SEEN, LIMITS, struct said *said) \
    { \
        (void)seen; \
        (void)limits; \
        say(said, sentence); \
    }

ALARM_ROW(fenced, HEALTH_ALARM_FENCED, "fenced: its state differs from the majority's")
ALARM_ROW(no_space, HEALTH_ALARM_NO_SPACE, "its disk is full: it takes no writes")
ALARM_ROW(recovering, HEALTH_ALARM_RECOVERING, "recovering: damaged entries of its log are being fetched again")
ALARM_ROW(restoring, HEALTH_ALARM_RESTORING, "it is reading its snapshot and its log back")
ALARM_ROW(no_member, HEALTH_ALARM_NO_MEMBER, "it is in no cluster: it waits to be founded or added, or was removed")
ALARM_ROW(no_leader, HEALTH_ALARM_NO_LEADER, "it knows no leader")

static bool lag_entries(SEEN, LIMITS)
{
    return seen->lag_entries > limits->lag_entries;
}

static void say_lag_entries(SEEN, LIMITS, struct said *said)
{
    say(said, "%" PRIu64 " entries behind (lag_entries = %" PRIu64 ")", seen->lag_entries, limits->lag_entries);
}

static bool lag_bytes(SEEN, LIMITS)
{
    return seen->lag_bytes > limits->lag_bytes;
}

static void say_lag_bytes(SEEN, LIMITS, struct said *said)
{
    say(said, "%" PRIu64 " bytes of log behind (lag_bytes = %" PRIu64 ")", seen->lag_bytes, limits->lag_bytes);
}

static bool sync_slow(SEEN, LIMITS)
{
    return seen->sync_slow_ms >= limits->sync_time_ms;
}

static void say_sync_slow(SEEN, LIMITS, struct said *said)
{
    say(said, "slow disk: p99 of its syncs is %" PRIu64 " ms, over the limit for %" PRIu64 " s (sync_p99 = %" PRIu64
              " ms)", seen->sync_p99_us / 1000, seen->sync_slow_ms / 1000, limits->sync_p99_ms);
}

static bool apply_backlog(SEEN, LIMITS)
{
    return seen->apply_backlog_ms > limits->apply_backlog_ms;
}

static void say_apply_backlog(SEEN, LIMITS, struct said *said)
{
    say(said, "committed entries have waited for %" PRIu64 " ms to be applied (apply_backlog = %" PRIu64 " ms)",
        seen->apply_backlog_ms, limits->apply_backlog_ms);
}

static bool returning(SEEN, LIMITS)
{
    return seen->trouble && seen->good < limits->successes;
}

static void say_returning(SEEN, LIMITS, struct said *said)
{
    say(said, "well again: %" PRIu64 " of %" PRIu64 " good checks", seen->good, limits->successes);
}

static bool well(SEEN, LIMITS)
{
    (void)seen;
    (void)limits;
    return true;
}

static void say_well(SEEN, LIMITS, struct said *said)
{
    (void)seen;
    (void)limits;
    (void)said;
}

/* `complaint`: what it says of itself, or how far it is behind; several of them may hold, and all are told. */
static const struct health_row {
    const char *cause;
    enum health_state state;
    bool complaint;
    bool (*holds)(SEEN, LIMITS);
    void (*say)(SEEN, LIMITS, struct said *said);
} health_rows[] = {
    {"never_answered", HEALTH_UNKNOWN, false, never_answered, say_never_answered},
    {"checks_failed", HEALTH_UNHEALTHY, false, checks_failed, say_checks_failed},
    {"connection_lost", HEALTH_DEGRADED, false, connection_lost, say_connection_lost},
    {"check_failed", HEALTH_DEGRADED, false, check_failed, say_check_failed},
    {"fenced", HEALTH_DEGRADED, true, fenced, say_fenced},
    {"no_space", HEALTH_DEGRADED, true, no_space, say_no_space},
    {"recovering", HEALTH_DEGRADED, true, recovering, say_recovering},
    {"restoring", HEALTH_DEGRADED, true, restoring, say_restoring},
    {"no_member", HEALTH_DEGRADED, true, no_member, say_no_member},
    {"no_leader", HEALTH_DEGRADED, true, no_leader, say_no_leader},
    {"lag_entries", HEALTH_DEGRADED, true, lag_entries, say_lag_entries},
    {"lag_bytes", HEALTH_DEGRADED, true, lag_bytes, say_lag_bytes},
    {"sync_slow", HEALTH_DEGRADED, true, sync_slow, say_sync_slow},
    {"apply_backlog", HEALTH_DEGRADED, true, apply_backlog, say_apply_backlog},
    {"returning", HEALTH_DEGRADED, false, returning, say_returning},
    {"", HEALTH_HEALTHY, false, well, say_well},
};

void health_judge(SEEN, LIMITS, struct health_verdict *verdict)
{
    struct said said = {.at = verdict->reason, .room = sizeof verdict->reason};
    const struct health_row *row = health_rows;

    verdict->reason[0] = 0;
    while (!row->holds(seen, limits)) /* the last one always does */
        row++;
    verdict->state = row->state;
    verdict->cause = row->cause;
    row->say(seen, limits, &said);
    for (const struct health_row *more = row + 1; row->complaint && more->complaint; more++)
        if (more->holds(seen, limits)) {
            say(&said, "; ");
            more->say(seen, limits, &said);
        }
}

bool health_complains(SEEN, LIMITS)
{
    for (size_t i = 0; i < sizeof health_rows / sizeof health_rows[0]; i++)
        if (health_rows[i].complaint && health_rows[i].holds(seen, limits))
            return true;
    return false;
}

const char *health_name(enum health_state state)
{
    static const char *const names[] = {"UNKNOWN", "HEALTHY", "DEGRADED", "UNHEALTHY"};

    return (unsigned)state < sizeof names / sizeof names[0] ? names[state] : "UNKNOWN";
}

bool health_worse(enum health_state a, enum health_state b)
{
    static const unsigned rank[] = {[HEALTH_HEALTHY] = 0, [HEALTH_DEGRADED] = 1, [HEALTH_UNKNOWN] = 2,
                                    [HEALTH_UNHEALTHY] = 3};

    return rank[a] > rank[b];
}
