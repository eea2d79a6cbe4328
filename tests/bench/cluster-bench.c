/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster-bench.c - three real nodes on this machine, synced, and what they do: puts a second, latency of one
 * client, time from the SIGKILL of the leader to the next acknowledged write, time from start to leader, and what an
 * idle node costs.
 *
 * usage: cluster-bench [--transport websocket|tcp] [--seconds S] [--rounds N] [--kills N] [--dir DIR] [PART...]
 * parts: puts, latency, failover, start, idle; all of them when none is named. DIR decides which disk is measured.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../cluster/cluster.h"

#include "core/client/client_load.h"

#define SAMPLES 1000 /* of one kind at the most */

struct figures {
    double values[SAMPLES];
    int count;
};

struct plan {
    const char *transport;
    int seconds;
    int rounds;
    int kills;
    int connections;
    uint64_t size;
    int reads;
};

static double now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void add(struct figures *figures, double value)
{
    if (figures->count < SAMPLES)
        figures->values[figures->count++] = value;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return left < right ? -1 : left > right;
}

static double part_of(struct figures *figures, double part)
{
    int at = (int)((double)figures->count * part);

    if (figures->count == 0)
        return 0;
    qsort(figures->values, (size_t)figures->count, sizeof figures->values[0], by_value);
    return figures->values[at < figures->count ? at : figures->count - 1];
}

static void begin(struct cluster *cluster, const struct plan *plan)
{
    struct cluster_options options = {.nodes = 3, .transport = plan->transport, .quiet = true};

    cluster_make(cluster, &options);
    cluster_start_all(cluster);
    cluster_settle(cluster);
}

/* ---- puts and latency -------------------------------------------------------------------------------------------- */

static void load(const struct plan *plan, int connections, const char *name)
{
    struct cluster cluster;
    struct client_load_options options = {.connections = (uint32_t)connections,
                                          .milliseconds = (uint64_t)plan->seconds * 1000,
                                          .read_percent = (uint32_t)plan->reads,
                                          .value_bytes = plan->size,
                                          .keys = 1000};
    struct client_load_result result;
    struct gavel_error error = {0, ""};
    struct figures rate = {.count = 0};
    struct figures p50 = {.count = 0};
    struct figures p99 = {.count = 0};
    int i;

    begin(&cluster, plan);
    options.endpoints = cluster.endpoints;
    for (i = 0; i < plan->rounds; i++) {
        if (client_load_run(&options, &result, &error) != GAVEL_OK)
            cluster_fail(&cluster, "%s", error.text);
        if (result.failed)
            cluster_fail(&cluster, "%" PRIu64 " requests failed", result.failed);
        add(&rate, (double)result.done * 1e6 / (double)result.elapsed_us);
        add(&p50, (double)result.p50_us / 1e3);
        add(&p99, (double)result.p99_us / 1e3);
    }
    printf("%-9s %s, %d connections with one request each, %" PRIu64 " B, %d rounds of %d s: "
           "median %.0f/s (%.0f to %.0f), p50 %.3f ms, p99 %.3f ms\n",
           name, plan->transport, connections, plan->size, plan->rounds, plan->seconds, part_of(&rate, 0.5),
           part_of(&rate, 0), part_of(&rate, 1), part_of(&p50, 0.5), part_of(&p99, 0.5));
    cluster_remove(&cluster);
}

/* ---- failover ---------------------------------------------------------------------------------------------------- */

static void failover(const struct plan *plan)
{
    struct cluster cluster;
    struct gavel_client *client;
    struct gavel_session *session = NULL;
    struct gavel_error error = {0, ""};
    struct figures times = {.count = 0};
    int i;

    begin(&cluster, plan);
    client = cluster_client(&cluster, -1);
    if (gavel_session_open(client, &session, &error) != GAVEL_OK)
        cluster_fail(&cluster, "%s", error.text);
    for (i = 0; i < plan->kills; i++) {
        int leader = cluster_leader(&cluster, -1);
        char arguments[64];
        double killed;

        (void)snprintf(arguments, sizeof arguments, "key=before value=%d", i);
        if (cluster_call(client, "store.set", arguments, 0, session, NULL, &error) < 0)
            cluster_fail(&cluster, "before a kill: %s", error.text);
        killed = now_ms();
        (void)kill(cluster.nodes[leader].pid, SIGKILL);
        (void)snprintf(arguments, sizeof arguments, "key=after value=%d", i);
        if (cluster_call(client, "store.set", arguments, 0, session, NULL, &error) < 0)
            cluster_fail(&cluster, "after a kill: %s", error.text);
        add(&times, now_ms() - killed);
        (void)cluster_kill(&cluster, leader, SIGKILL); /* takes its leave of the table */
        cluster_start(&cluster, leader);
        cluster_settle(&cluster);
    }
    printf("%-9s %s, SIGKILL of the leader to the next acknowledged write, %d kills: median %.0f ms (%.0f to %.0f)\n",
           "failover", plan->transport, plan->kills, part_of(&times, 0.5), part_of(&times, 0), part_of(&times, 1));
    gavel_session_close(session);
    gavel_client_close(client);
    cluster_remove(&cluster);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static void start(const struct plan *plan)
{
    struct figures first = {.count = 0};
    struct figures again = {.count = 0};
    int i;

    for (i = 0; i < plan->rounds; i++) {
        struct cluster_options options = {.nodes = 3, .transport = plan->transport, .quiet = true};
        struct cluster cluster;
        double begun;
        int k;

        cluster_make(&cluster, &options);
        begun = now_ms();
        cluster_start_all(&cluster);
        add(&first, now_ms() - begun);
        for (k = 0; k < 3; k++)
            (void)cluster_kill(&cluster, k, SIGKILL);
        begun = now_ms();
        cluster_start_all(&cluster);
        add(&again, now_ms() - begun);
        cluster_remove(&cluster);
    }
    printf("%-9s %s, three processes started to a leader that is ready, %d rounds: "
           "founding median %.0f ms (%.0f to %.0f), again %.0f ms (%.0f to %.0f)\n",
           "start", plan->transport, plan->rounds, part_of(&first, 0.5), part_of(&first, 0), part_of(&first, 1),
           part_of(&again, 0.5), part_of(&again, 0), part_of(&again, 1));
}

/* ---- idle -------------------------------------------------------------------------------------------------------- */

/* Clock ticks of processor time that a process has used. */
static double ticks_of(pid_t pid)
{
    char path[64];
    char text[1024] = "";
    unsigned long user = 0;
    unsigned long system = 0;
    const char *at;
    FILE *in;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    in = fopen(path, "re");
    if (in && fgets(text, sizeof text, in)) {
        at = strrchr(text, ')');
        if (at)
            (void)sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    }
    if (in)
        (void)fclose(in);
    return (double)(user + system);
}

/* Proportional set size in KiB. */
static double pss_of(pid_t pid)
{
    char path[64];
    char line[256];
    unsigned long kib = 0;
    FILE *in;

    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    in = fopen(path, "re");
    while (in && fgets(line, sizeof line, in))
        if (sscanf(line, "Pss: %lu", &kib) == 1)
            break;
    if (in)
        (void)fclose(in);
    return (double)kib;
}

static void idle(const struct plan *plan)
{
    struct cluster cluster;
    double before[3];
    double begun;
    double seconds;
    int leader;
    int i;

    begin(&cluster, plan);
    leader = cluster_leader(&cluster, -1);
    for (i = 0; i < 3; i++)
        before[i] = ticks_of(cluster.nodes[i].pid);
    begun = now_ms();
    cluster_pause((unsigned)plan->seconds * 1000);
    seconds = (now_ms() - begun) / 1e3;
    for (i = 0; i < 3; i++)
        printf("%-9s %s, %s: %.2f %% of a core over %.0f s, %.1f MiB PSS\n", "idle", plan->transport,
               i == leader ? "leader" : "follower",
               (ticks_of(cluster.nodes[i].pid) - before[i]) / (double)sysconf(_SC_CLK_TCK) / seconds * 100, seconds,
               pss_of(cluster.nodes[i].pid) / 1024);
    cluster_remove(&cluster);
}

/* ---- main -------------------------------------------------------------------------------------------------------- */

static int number_of(const char *text)
{
    long number = strtol(text, NULL, 10);

    return number < 1 ? 1 : number > SAMPLES ? SAMPLES : (int)number;
}

static void run_part(const struct plan *plan, const char *part)
{
    bool all = strcmp(part, "all") == 0;

    if (all || strcmp(part, "puts") == 0)
        load(plan, plan->connections, "puts");
    if (all || strcmp(part, "latency") == 0)
        load(plan, 1, "latency");
    if (all || strcmp(part, "failover") == 0)
        failover(plan);
    if (all || strcmp(part, "start") == 0)
        start(plan);
    if (all || strcmp(part, "idle") == 0)
        idle(plan);
}

int main(int count, char **words)
{
    struct plan plan = {.transport = "websocket", .seconds = 5, .rounds = 3, .kills = 20, .connections = 100};
    bool named = false;
    int i;

    plan.size = 256;
    for (i = 1; i < count; i++) {
        bool more = i + 1 < count;

        if (more && strcmp(words[i], "--transport") == 0)
            plan.transport = words[++i];
        else if (more && strcmp(words[i], "--seconds") == 0)
            plan.seconds = number_of(words[++i]);
        else if (more && strcmp(words[i], "--rounds") == 0)
            plan.rounds = number_of(words[++i]);
        else if (more && strcmp(words[i], "--kills") == 0)
            plan.kills = number_of(words[++i]);
        else if (more && strcmp(words[i], "--connections") == 0)
            plan.connections = number_of(words[++i]);
        else if (more && strcmp(words[i], "--size") == 0)
            plan.size = strtoull(words[++i], NULL, 10);
        else if (more && strcmp(words[i], "--reads") == 0)
            plan.reads = (int)strtol(words[++i], NULL, 10);
        else if (more && strcmp(words[i], "--dir") == 0)
            (void)setenv("TMPDIR", words[++i], 1);
        else {
            run_part(&plan, words[i]);
            named = true;
        }
    }
    if (!named)
        run_part(&plan, "all");
    return 0;
}
