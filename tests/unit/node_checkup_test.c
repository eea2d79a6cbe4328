/* SPDX-License-Identifier: Apache-2.0 */
/* node_checkup_test.c - health as whole nodes see each other: every change of state, by what causes it. */
#include "tests/unit/node_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/node/internal.h"

static struct cluster cluster;
static uint32_t leader;
static uint32_t other; /* a follower, to which things happen */

/* How `of` looks to `by`. */
static const struct watched *view(uint32_t by, uint32_t of)
{
    struct peer *peer;

    if (by == of)
        return &cluster.nodes[by].node->self;
    peer = peer_named(cluster.nodes[by].node, cluster.nodes[of].name);
    assert_non_null(peer);
    return &peer->watched;
}

static bool looks(uint32_t by, uint32_t of, enum health_state state, const char *cause)
{
    const struct watched *watched = view(by, of);

    return watched->verdict.state == state && strcmp(watched->verdict.cause, cause) == 0;
}

static struct {
    enum health_state state;
    const char *cause;
} wanted;

static bool leader_finds(struct cluster *here)
{
    (void)here;
    return looks(leader, other, wanted.state, wanted.cause);
}

/* The leader comes to find the other one so, within so many milliseconds; how many it took. */
static uint64_t comes(enum health_state state, const char *cause, uint64_t milliseconds)
{
    uint64_t begun = cluster.clock.mono_ns;

    wanted.state = state;
    wanted.cause = cause;
    if (!cluster_until(&cluster, leader_finds, milliseconds))
        fail_msg("not %s (%s), but %s: %s", health_name(state), cause,
                 health_name(view(leader, other)->verdict.state), view(leader, other)->verdict.reason);
    return (cluster.clock.mono_ns - begun) / NS_PER_MS;
}

static bool all_healthy(struct cluster *here)
{
    for (uint32_t by = 0; by < here->count; by++)
        for (uint32_t of = 0; of < here->count; of++)
            if (here->nodes[by].node && here->nodes[of].node && !looks(by, of, HEALTH_HEALTHY, ""))
                return false;
    return true;
}

static void begin(const struct health_limits *limits, bool threaded)
{
    memset(&cluster, 0, sizeof cluster);
    cluster_init(&cluster, 3, 11);
    if (limits)
        cluster.limits.health = *limits;
    cluster.threaded = threaded;
    cluster_start_all(&cluster);
    assert_true(cluster_until(&cluster, cluster_has_leader, 10000));
    assert_true(cluster_until(&cluster, all_healthy, 3000)); /* the first answers are enough: no second round */
    leader = (uint32_t)cluster_leader(&cluster);
    other = (leader + 1) % 3;
}

static void ends(uint64_t milliseconds)
{
    if (!cluster_until(&cluster, all_healthy, milliseconds))
        fail_msg("%s: %s", cluster.nodes[other].name, view(leader, other)->verdict.reason);
    cluster_free(&cluster);
}

static void write_entries(uint32_t number, uint32_t count, uint32_t size)
{
    struct cluster_client *client = cluster_client(&cluster, number, CODEC_ROLE_CLIENT);
    struct cluster_reply reply;

    for (uint32_t i = 0; i < count; i++) {
        cluster_pad(client, size, &reply);
        assert_true(reply.came);
        assert_int_equal(reply.status, 0);
    }
    cluster_client_free(client);
}

/* Messages vanish and nobody is told: one failed check, three of them, and two good ones on the way back. */
static void silence(void **state)
{
    uint64_t took;

    (void)state;
    begin(NULL, false);
    net_cut(cluster.net, cluster.nodes[leader].name, cluster.nodes[other].name, true);
    took = comes(HEALTH_DEGRADED, "check_failed", 8000);
    assert_in_range(took, 2000, 7100); /* the next check comes within 5 s, and waits for 2 s */
    assert_string_equal(view(leader, other)->verdict.reason, "1 of 3 checks failed: no answer within 2000 ms");
    took = comes(HEALTH_UNHEALTHY, "checks_failed", 12000);
    assert_in_range(took, 9900, 10100);
    assert_string_equal(view(leader, other)->verdict.reason, "3 checks in a row failed: no answer within 2000 ms");
    /* Whoever else reaches it sees for himself: it answers, and says what is wrong with it. */
    assert_true(looks((leader + 2) % 3, other, HEALTH_DEGRADED, "no_leader"));
    assert_true(looks((leader + 2) % 3, leader, HEALTH_HEALTHY, ""));
    net_cut(cluster.net, cluster.nodes[leader].name, cluster.nodes[other].name, false);
    (void)comes(HEALTH_DEGRADED, "returning", 8000);
    assert_string_equal(view(leader, other)->verdict.reason, "well again: 1 of 2 good checks");
    took = comes(HEALTH_HEALTHY, "", 3000);
    assert_in_range(took, 900, 1200);
    ends(20000);
}

/* A dead process: at once, for the connection tells; and when it is back, not before two good checks. */
static void dead(void **state)
{
    uint64_t took;

    (void)state;
    begin(NULL, false);
    cluster_crash(&cluster, other, OS_MEM_DROP_ALL);
    assert_true(comes(HEALTH_DEGRADED, "connection_lost", 1000) < 100);
    took = comes(HEALTH_UNHEALTHY, "checks_failed", 20000);
    assert_in_range(took, 9900, 15100);
    assert_int_equal(leader, (uint32_t)cluster_leader(&cluster));
    cluster_start(&cluster, other);
    (void)comes(HEALTH_DEGRADED, "returning", 8000);
    (void)comes(HEALTH_HEALTHY, "", 3000);
    ends(20000);
}

/* Who restarts knows nothing of a member until that has answered. */
static void never_answered(void **state)
{
    (void)state;
    begin(NULL, false);
    for (uint32_t i = 0; i < 3; i++)
        cluster_crash(&cluster, i, OS_MEM_DROP_ALL);
    cluster_start(&cluster, leader);
    cluster_start(&cluster, (other + 1) % 3 == leader ? (other + 2) % 3 : (other + 1) % 3);
    assert_true(cluster_until(&cluster, cluster_has_leader, 10000));
    leader = (uint32_t)cluster_leader(&cluster);
    cluster_run(&cluster, 60000);
    assert_true(looks(leader, other, HEALTH_UNKNOWN, "never_answered"));
    assert_memory_equal(view(leader, other)->verdict.reason, "no answer yet: ", 15);
    cluster_start(&cluster, other);
    assert_true(comes(HEALTH_HEALTHY, "", 8000) < 5000);
    ends(20000);
}

/* The disk of a follower hangs: it tells, and the leader shows it. The limit that comes first is set out of the way. */
static void slow_disk(void **state)
{
    uint64_t took;

    (void)state;
    begin(&(struct health_limits){.lag_entries = 1000000}, false);
    cluster.nodes[other].stalled_until = cluster.clock.mono_ns + 30000 * NS_PER_MS;
    write_entries(leader, 3, 100);
    took = comes(HEALTH_DEGRADED, "sync_slow", 20000);
    assert_in_range(took, 9000, 17000);
    assert_non_null(strstr(view(leader, other)->verdict.reason, "(sync_p99 = 100 ms)"));
    assert_true(looks(other, other, HEALTH_DEGRADED, "sync_slow")); /* and it knows itself */
    assert_true(looks(leader, leader, HEALTH_HEALTHY, ""));
    cluster_run(&cluster, 30000);
    write_entries(leader, 3, 100);
    ends(30000);
}

static void lag_entries(void **state)
{
    (void)state;
    begin(&(struct health_limits){.lag_entries = 20}, false);
    cluster.nodes[other].stalled_until = cluster.clock.mono_ns + 8000 * NS_PER_MS;
    write_entries(leader, 20, 10);
    cluster_run(&cluster, 1100);
    assert_true(looks(leader, other, HEALTH_HEALTHY, "")); /* at the limit */
    write_entries(leader, 1, 10);
    assert_true(comes(HEALTH_DEGRADED, "lag_entries", 3000) <= 1100); /* the leader need not ask */
    assert_string_equal(view(leader, other)->verdict.reason, "21 entries behind (lag_entries = 20)");
    cluster_run(&cluster, 8000);
    ends(20000);
}

static void lag_bytes(void **state)
{
    (void)state;
    begin(&(struct health_limits){.lag_bytes = 64 << 10}, false);
    cluster.nodes[other].stalled_until = cluster.clock.mono_ns + 8000 * NS_PER_MS;
    write_entries(leader, 6, 10000);
    cluster_run(&cluster, 1100);
    assert_true(looks(leader, other, HEALTH_HEALTHY, ""));
    write_entries(leader, 1, 10000);
    assert_true(comes(HEALTH_DEGRADED, "lag_bytes", 3000) <= 1100);
    assert_in_range(view(leader, other)->seen.lag_bytes, 70000, 73000);
    cluster_run(&cluster, 8000);
    ends(20000);
}

static bool backlogged(struct cluster *here)
{
    (void)here;
    return looks(other, other, HEALTH_DEGRADED, "apply_backlog");
}

/* The machine of a node blocks: what is committed waits for it, and it says so. */
static void apply_backlog(void **state)
{
    struct codec_request request = {.machine = gavel_text("gavel"), .command = gavel_text("session_register"),
                                    .remaining_ms = 60000};
    struct cluster_client *client;

    (void)state;
    begin(NULL, true);
    other = leader; /* whose lanes stand still; the followers are a majority, so it commits without its own disk */
    client = cluster_client(&cluster, leader, CODEC_ROLE_CLIENT);
    cluster.nodes[leader].stalled_until = cluster.clock.mono_ns + 5000 * NS_PER_MS;
    cluster_post(client, 1, &request);
    cluster_run(&cluster, 800);
    assert_true(node_commit(cluster.nodes[other].node) > node_applied(cluster.nodes[other].node));
    assert_false(backlogged(&cluster));
    assert_true(cluster_until(&cluster, backlogged, 2100));
    assert_non_null(strstr(view(other, other)->verdict.reason, "(apply_backlog = 1000 ms)"));
    cluster_client_free(client);
    ends(20000);
}

/* What a node says of itself is told by whoever asks it, and by itself. */
static void alarms(void **state)
{
    (void)state;
    begin(NULL, false);
    cluster.nodes[other].node->fence_index = 1;
    cluster.nodes[other].node->fence_from = UINT64_MAX; /* what the others have does not free it meanwhile */
    cluster.nodes[other].node->fenced = true;
    (void)comes(HEALTH_DEGRADED, "fenced", 5100);
    assert_true(looks(other, other, HEALTH_DEGRADED, "fenced"));
    cluster.nodes[other].node->fenced = false;
    (void)comes(HEALTH_DEGRADED, "returning", 5100);
    (void)comes(HEALTH_HEALTHY, "", 3000);
    /* Alone it knows no leader: after two seconds, a passing election is nothing. */
    cluster_crash(&cluster, leader, OS_MEM_DROP_ALL);
    cluster_crash(&cluster, (other + 1) % 3 == leader ? (other + 2) % 3 : (other + 1) % 3, OS_MEM_DROP_ALL);
    cluster_run(&cluster, 1900);
    assert_true(looks(other, other, HEALTH_HEALTHY, ""));
    cluster_run(&cluster, 2200);
    assert_true(looks(other, other, HEALTH_DEGRADED, "no_leader"));
    for (uint32_t i = 0; i < 3; i++)
        if (!cluster.nodes[i].node)
            cluster_start(&cluster, i);
    ends(20000);
}

/* A peer of protocol 1.0: no check is sent, but the leader knows by its answers that it is there. */
static void of_an_older_version(void **state)
{
    uint64_t serial;

    (void)state;
    begin(NULL, false);
    peer_named(cluster.nodes[leader].node, cluster.nodes[other].name)->can.checks = false;
    serial = view(leader, other)->report_ns;
    cluster_run(&cluster, 30000);
    assert_true(looks(leader, other, HEALTH_HEALTHY, ""));
    assert_true(view(leader, other)->report_ns == serial); /* none was answered */
    net_cut(cluster.net, cluster.nodes[leader].name, cluster.nodes[other].name, true);
    (void)comes(HEALTH_DEGRADED, "check_failed", 11000); /* what came since the last check counts for that one */
    assert_non_null(strstr(view(leader, other)->verdict.reason, "nothing was heard of it"));
    (void)comes(HEALTH_UNHEALTHY, "checks_failed", 11000);
    net_cut(cluster.net, cluster.nodes[leader].name, cluster.nodes[other].name, false);
    ends(40000);
}

/* The thresholds may change while it runs. */
static void reloaded(void **state)
{
    struct node_limits limits;

    (void)state;
    begin(NULL, false);
    limits = cluster.nodes[leader].node->limits;
    limits.health.failures = 1;
    limits.health.interval_ms = 1000;
    node_change_limits(cluster.nodes[leader].node, &limits);
    cluster_run(&cluster, 5000);
    net_cut(cluster.net, cluster.nodes[leader].name, cluster.nodes[other].name, true);
    assert_true(comes(HEALTH_UNHEALTHY, "checks_failed", 5000) <= 3100);
    net_cut(cluster.net, cluster.nodes[leader].name, cluster.nodes[other].name, false);
    ends(40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence),
        cmocka_unit_test(dead),
        cmocka_unit_test(never_answered),
        cmocka_unit_test(slow_disk),
        cmocka_unit_test(lag_entries),
        cmocka_unit_test(lag_bytes),
        cmocka_unit_test(apply_backlog),
        cmocka_unit_test(alarms),
        cmocka_unit_test(of_an_older_version),
        cmocka_unit_test(reloaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
