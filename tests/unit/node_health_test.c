/* SPDX-License-Identifier: Apache-2.0 */
/* node_health_test.c - the table of health.h, a test for each row; and the figures that feed it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/node/figures.h"
#include "core/node/health.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define MIB (UINT64_C(1) << 20)

/* ---- the table ------------------------------------------------------------------------------------------------- */

/* A member that nothing is wrong with. */
#define WELL .answered = true, .linked = true, .good = 7

/* Each row at its limit and one above, alone; then pairs of rows, of which the first in the table decides. */
static const struct row {
    const char *what;
    struct health_observation seen;
    enum health_state state;
    const char *cause;
    const char *reason; /* a part of it */
} rows[] = {
    {"nothing is wrong", {WELL}, HEALTH_HEALTHY, "", ""},
    {"the first answer is enough for who was never in trouble", {.answered = true, .linked = true, .good = 1},
     HEALTH_HEALTHY, "", ""},
    {"no answer yet", {.linked = true}, HEALTH_UNKNOWN, "never_answered", "no answer yet"},
    {"no answer yet, and why", {.why = "connection refused"}, HEALTH_UNKNOWN, "never_answered",
     "no answer yet: connection refused"},
    {"no answer yet, however many checks failed", {.failed = 50}, HEALTH_UNKNOWN, "never_answered", "no answer yet"},
    {"a lost connection", {.answered = true, .trouble = true, .why = "reset by peer"}, HEALTH_DEGRADED,
     "connection_lost", "connection lost: reset by peer"},
    {"one failed check", {WELL, .failed = 1, .why = "no answer within 2000 ms"}, HEALTH_DEGRADED, "check_failed",
     "1 of 3 checks failed: no answer within 2000 ms"},
    {"two failed checks", {WELL, .failed = 2}, HEALTH_DEGRADED, "check_failed", "2 of 3 checks failed"},
    {"three failed checks", {WELL, .failed = 3, .why = "no answer within 2000 ms"}, HEALTH_UNHEALTHY, "checks_failed",
     "3 checks in a row failed: no answer within 2000 ms"},
    {"three failed checks without a connection", {.answered = true, .failed = 3}, HEALTH_UNHEALTHY, "checks_failed",
     "3 checks"},
    {"four failed checks", {WELL, .failed = 4}, HEALTH_UNHEALTHY, "checks_failed", "4 checks"},
    {"back, and not asked yet", {.answered = true, .linked = true, .trouble = true}, HEALTH_DEGRADED, "returning",
     "well again: 0 of 2 good checks"},
    {"one good check", {.answered = true, .linked = true, .trouble = true, .good = 1}, HEALTH_DEGRADED, "returning",
     "1 of 2"},
    {"two good checks", {.answered = true, .linked = true, .trouble = true, .good = 2}, HEALTH_HEALTHY, "", ""},
    {"fenced", {WELL, .alarms = HEALTH_ALARM_FENCED}, HEALTH_DEGRADED, "fenced", "differs from the majority's"},
    {"no space", {WELL, .alarms = HEALTH_ALARM_NO_SPACE}, HEALTH_DEGRADED, "no_space", "disk is full"},
    {"recovering", {WELL, .alarms = HEALTH_ALARM_RECOVERING}, HEALTH_DEGRADED, "recovering", "recovering: "},
    {"restoring", {WELL, .alarms = HEALTH_ALARM_RESTORING}, HEALTH_DEGRADED, "restoring", "reading its snapshot"},
    {"no leader", {WELL, .alarms = HEALTH_ALARM_NO_LEADER}, HEALTH_DEGRADED, "no_leader", "knows no leader"},
    {"an alarm of a newer version", {WELL, .alarms = UINT64_C(1) << 40}, HEALTH_HEALTHY, "", ""},
    {"lag_entries at the limit", {WELL, .lag_entries = 10000}, HEALTH_HEALTHY, "", ""},
    {"lag_entries above it", {WELL, .lag_entries = 10001}, HEALTH_DEGRADED, "lag_entries",
     "10001 entries behind (lag_entries = 10000)"},
    {"lag_bytes at the limit", {WELL, .lag_bytes = 64 * MIB}, HEALTH_HEALTHY, "", ""},
    {"lag_bytes above it", {WELL, .lag_bytes = 64 * MIB + 1}, HEALTH_DEGRADED, "lag_bytes",
     "67108865 bytes of log behind (lag_bytes = 67108864)"},
    {"slow syncs, not for long", {WELL, .sync_p99_us = 150000, .sync_slow_ms = 9999}, HEALTH_HEALTHY, "", ""},
    {"slow syncs for long", {WELL, .sync_p99_us = 150000, .sync_slow_ms = 10000}, HEALTH_DEGRADED, "sync_slow",
     "p99 of its syncs is 150 ms, over the limit for 10 s (sync_p99 = 100 ms)"},
    {"apply backlog at the limit", {WELL, .apply_backlog_ms = 1000}, HEALTH_HEALTHY, "", ""},
    {"apply backlog above it", {WELL, .apply_backlog_ms = 1001}, HEALTH_DEGRADED, "apply_backlog",
     "waited for 1001 ms to be applied (apply_backlog = 1000 ms)"},
    {"all complaints are told, the first decides", {WELL, .lag_entries = 20000, .apply_backlog_ms = 5000,
     .alarms = HEALTH_ALARM_NO_SPACE}, HEALTH_DEGRADED, "no_space", "takes no writes; 20000 entries behind"},
    {"a lost connection before a failed check", {.answered = true, .failed = 1}, HEALTH_DEGRADED, "connection_lost",
     "connection lost"},
    {"a failed check before complaints", {WELL, .failed = 1, .lag_entries = 20000}, HEALTH_DEGRADED, "check_failed",
     "1 of 3"},
    {"complaints before the way back", {.answered = true, .linked = true, .trouble = true, .lag_entries = 20000},
     HEALTH_DEGRADED, "lag_entries", "20000"},
};

static void table(void **state)
{
    struct health_limits limits = {0};

    (void)state;
    health_fill(&limits);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct health_verdict verdict;

        health_judge(&rows[i].seen, &limits, &verdict);
        if (verdict.state != rows[i].state || strcmp(verdict.cause, rows[i].cause) != 0 ||
            !strstr(verdict.reason, rows[i].reason) || (verdict.state == HEALTH_HEALTHY) != !verdict.reason[0])
            fail_msg("%s: %s (%s: %s)", rows[i].what, health_name(verdict.state), verdict.cause, verdict.reason);
    }
}

static void thresholds_are_limits(void **state)
{
    struct health_limits limits = {.failures = 1, .successes = 5, .lag_entries = 3};
    struct health_observation seen = {WELL, .failed = 1};
    struct health_verdict verdict;

    (void)state;
    health_fill(&limits);
    health_judge(&seen, &limits, &verdict);
    assert_int_equal(verdict.state, HEALTH_UNHEALTHY);
    seen = (struct health_observation){WELL, .lag_entries = 4};
    assert_true(health_complains(&seen, &limits));
    seen.lag_entries = 3;
    assert_false(health_complains(&seen, &limits));
    seen = (struct health_observation){.answered = true, .linked = true, .trouble = true, .good = 4};
    health_judge(&seen, &limits, &verdict);
    assert_string_equal(verdict.reason, "well again: 4 of 5 good checks");
}

static void a_reason_is_cut(void **state)
{
    struct health_limits limits = {0};
    struct health_observation seen = {WELL, .alarms = 31, .lag_entries = UINT64_MAX, .lag_bytes = UINT64_MAX,
                                      .sync_p99_us = UINT64_MAX, .sync_slow_ms = UINT64_MAX,
                                      .apply_backlog_ms = UINT64_MAX};
    struct health_verdict verdict;
    char why[1000];

    (void)state;
    health_fill(&limits);
    health_judge(&seen, &limits, &verdict);
    assert_int_equal(strlen(verdict.reason), sizeof verdict.reason - 1);
    assert_string_equal(verdict.cause, "fenced");
    memset(why, 'x', sizeof why);
    why[sizeof why - 1] = 0;
    seen = (struct health_observation){.why = why};
    health_judge(&seen, &limits, &verdict);
    assert_int_equal(strlen(verdict.reason), sizeof verdict.reason - 1);
}

static void worst_first(void **state)
{
    static const enum health_state order[] = {HEALTH_UNHEALTHY, HEALTH_UNKNOWN, HEALTH_DEGRADED, HEALTH_HEALTHY};

    (void)state;
    for (size_t a = 0; a < 4; a++)
        for (size_t b = 0; b < 4; b++)
            assert_int_equal(health_worse(order[a], order[b]), a < b);
    assert_string_equal(health_name((enum health_state)99), "UNKNOWN");
}

/* ---- figures --------------------------------------------------------------------------------------------------- */

static struct figures figures;

static int fresh(void **state)
{
    (void)state;
    memset(&figures, 0, sizeof figures);
    return 0;
}

static void quantiles(void **state)
{
    (void)state;
    assert_int_equal(figures_quantile_us(&figures.sync, 5 * S, 99, 10), 0);
    for (uint64_t us = 1; us <= 1000; us++)
        figures_latency(&figures.sync, 5 * S, us * 1000);
    for (unsigned percent = 1; percent <= 100; percent++) {
        uint64_t got = figures_quantile_us(&figures.sync, 5 * S, percent, 10);

        assert_in_range(got, percent * 10, percent * 10 * 5 / 4 + 1);
    }
    /* It is of the seconds asked for: ten later it is gone. */
    assert_true(figures_quantile_us(&figures.sync, 6 * S, 50, 1) > 0);
    assert_int_equal(figures_quantile_us(&figures.sync, 7 * S, 50, 1), 0);
    assert_true(figures_quantile_us(&figures.sync, 15 * S, 50, 10) > 0);
    assert_int_equal(figures_quantile_us(&figures.sync, 16 * S, 50, 10), 0);
    figures_latency(&figures.sync, 16 * S, UINT64_MAX);
    assert_true(figures_quantile_us(&figures.sync, 16 * S, 50, 10) > 3600 * UINT64_C(1000000));
}

static void rates(void **state)
{
    (void)state;
    for (uint64_t second = 100; second < 105; second++)
        figures_count(&figures.writes, second * S, 500);
    assert_int_equal(figures_rate(&figures.writes, 105 * S, 100 * S), 500); /* since the start: five seconds */
    assert_int_equal(figures_rate(&figures.writes, 110 * S, 50 * S), 250);
    assert_int_equal(figures_rate(&figures.writes, 200 * S, 50 * S), 0);
    assert_int_equal(figures_rate(&figures.writes, 100 * S, 100 * S), 0); /* no second is over */
}

static uint64_t slow(uint64_t at, uint64_t pending_ms)
{
    return figures_slow_ms(&figures, at, pending_ms * MS, 100, 10000);
}

static void slow_syncs(void **state)
{
    uint64_t at = 100 * S;

    (void)state;
    for (; at < 112 * S; at += 300 * MS) {
        figures_synced(&figures, at, 300 * MS);
        (void)slow(at, 0);
    }
    assert_in_range(slow(at, 0), 12000, 12400);
    /* One of many is not p99, but one of two is. */
    for (uint64_t i = 0; i < 1000; i++)
        figures_synced(&figures, 120 * S, MS);
    assert_int_equal(slow(120 * S, 0), 0);
    figures_synced(&figures, 120 * S, 500 * MS);
    assert_int_equal(slow(120 * S, 0), 0);
    figures_synced(&figures, 130 * S, 500 * MS);
    assert_int_equal(slow(130 * S, 0), 0); /* since now */
    assert_int_equal(slow(139 * S, 0), 9000); /* nothing more was synced: nothing has changed */
    assert_int_equal(slow(141 * S, 0), 0); /* nothing for so long: it is over */
    assert_int_equal(slow(150 * S, 101), 0); /* one that hangs */
    assert_int_equal(slow(161 * S, 11000), 11000);
    figures_synced(&figures, 162 * S, 0);
    assert_int_equal(slow(164 * S, 0), 14000); /* of a sync so long ago nothing follows yet */
    figures_synced(&figures, 165 * S, 0);
    assert_int_equal(slow(165 * S, 0), 0);
}

static uint64_t took; /* by the last batch that was committed */

static void committed(uint64_t now_ns, uint64_t index)
{
    while (figures_committed(&figures, now_ns, index, &took))
        ;
}

static void commits(void **state)
{
    uint64_t before;

    (void)state;
    figures_proposed(&figures, 10 * S, 5);
    figures_proposed(&figures, 10 * S + 10 * MS, 9);
    committed(10 * S + 20 * MS, 8);
    assert_int_equal(took, 20 * MS);
    assert_in_range(figures_quantile_us(&figures.commit, 10 * S, 100, 10), 20000, 25000);
    assert_int_equal(figures.proposed_end - figures.proposed_first, 1);
    before = figures_quantile_us(&figures.commit, 10 * S, 100, 10);
    figures_deposed(&figures);
    committed(20 * S, 9); /* which another leader proposed, perhaps */
    assert_int_equal(figures_quantile_us(&figures.commit, 20 * S, 100, 10), before);
    for (uint64_t i = 0; i < 3 * FIGURES_BATCHES; i++)
        figures_proposed(&figures, 30 * S, 10 + i);
    assert_int_equal(figures.proposed_end - figures.proposed_first, FIGURES_BATCHES);
    committed(31 * S, 10 + 3 * FIGURES_BATCHES);
    assert_int_equal(figures.proposed_end, figures.proposed_first);
}

static void backlog(void **state)
{
    (void)state;
    assert_int_equal(figures_backlog_ms(&figures, 10 * S, 0), 0);
    figures_to_apply(&figures, 10 * S, 100);
    figures_to_apply(&figures, 10 * S + 50 * MS, 200); /* as old as the one before, to be safe */
    figures_to_apply(&figures, 11 * S, 300);
    assert_int_equal(figures_backlog_ms(&figures, 12 * S, 99), 2000);
    assert_int_equal(figures_backlog_ms(&figures, 12 * S, 199), 2000);
    assert_int_equal(figures_backlog_ms(&figures, 12 * S, 200), 1000);
    assert_int_equal(figures_backlog_ms(&figures, 12 * S, 300), 0);
    /* However many moments there are, the oldest is kept. */
    for (uint64_t i = 0; i < 10 * FIGURES_WAITING; i++)
        figures_to_apply(&figures, (20 + i) * S, 1000 + i);
    assert_int_equal(figures_backlog_ms(&figures, 1000 * S, 999), 980000);
    assert_int_equal(figures_backlog_ms(&figures, 1000 * S, 1000 + 10 * FIGURES_WAITING), 0);
}

static void bytes_behind(void **state)
{
    const uint64_t spacing = 1000;
    uint64_t index;

    (void)state;
    assert_int_equal(figures_behind(&figures, 0), 0);
    for (index = 1; index <= 100000; index++)
        figures_logged(&figures, index, 100, spacing);
    assert_int_equal(figures_behind(&figures, 100000) / spacing, 0);
    for (index = 100000 - 2000; index < 100000; index += 77)
        assert_in_range(figures_behind(&figures, index), (100000 - index) * 100, (100000 - index) * 100 + spacing);
    /* Below all marks: what they span. */
    assert_in_range(figures_behind(&figures, 1), 255 * spacing, 256 * spacing);
    figures_cut(&figures, 99000);
    for (index = 99000; index <= 100000; index++)
        figures_logged(&figures, index, 100, spacing);
    assert_in_range(figures_behind(&figures, 98500), 149000, 152000);
    figures_cut(&figures, 1);
    figures_logged(&figures, 1, 100, spacing);
    assert_in_range(figures_behind(&figures, 0), 0, 100000 * 100 + 300000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(thresholds_are_limits),
        cmocka_unit_test(a_reason_is_cut),
        cmocka_unit_test(worst_first),
        cmocka_unit_test_setup(quantiles, fresh),
        cmocka_unit_test_setup(rates, fresh),
        cmocka_unit_test_setup(slow_syncs, fresh),
        cmocka_unit_test_setup(commits, fresh),
        cmocka_unit_test_setup(backlog, fresh),
        cmocka_unit_test_setup(bytes_behind, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
