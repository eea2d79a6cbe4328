/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failover.c - how long writes wait when the leader goes: three real nodes with default timings, writers in sessions,
 * and the leader gets SIGTERM or SIGKILL, round after round. Printed: the longest time without an acknowledgement of
 * each round, their median and the worst. No session write may fail, ever; figures are for idle machines, so a limit is
 * only looked at when it is given.
 *
 * usage: failover [--signal TERM|KILL|transfer] [--rounds N] [--rate WRITES-A-SECOND] [--writers N]
 *                 [--transport tcp|websocket] [--median MS] [--worst MS]
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/load.h"

#define ROUNDS_MAX 1000

struct plan {
    const char *signal;
    const char *transport;
    uint64_t rounds;
    uint64_t rate;
    uint64_t writers;
    uint64_t median_ms; /* 0: not looked at */
    uint64_t worst_ms;
};

static uint64_t gaps[ROUNDS_MAX];

static void usage(void)
{
    fputs("usage: failover [--signal TERM|KILL|transfer] [--rounds N] [--rate WRITES-A-SECOND] [--writers N] "
          "[--transport tcp|websocket] [--median MS] [--worst MS]\n", stderr);
    exit(64);
}

static void read_words(struct plan *plan, int count, char **words)
{
    struct {
        const char *name;
        uint64_t *number;
        const char **text;
    } rows[] = {{"--signal", NULL, &plan->signal},        {"--transport", NULL, &plan->transport},
                {"--rounds", &plan->rounds, NULL},        {"--rate", &plan->rate, NULL},
                {"--writers", &plan->writers, NULL},      {"--median", &plan->median_ms, NULL},
                {"--worst", &plan->worst_ms, NULL}};

    for (int i = 1; i < count; i += 2) {
        size_t k = 0;

        while (k < sizeof rows / sizeof rows[0] && strcmp(rows[k].name, words[i]) != 0)
            k++;
        if (k == sizeof rows / sizeof rows[0] || i + 1 == count)
            usage();
        if (rows[k].text)
            *rows[k].text = words[i + 1];
        else
            *rows[k].number = strtoull(words[i + 1], NULL, 10);
    }
    if (plan->rounds == 0 || plan->rounds > ROUNDS_MAX || plan->rate == 0 || plan->writers == 0 ||
        plan->writers > LOAD_WRITERS_MAX)
        usage();
}

static int smaller(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a;
    uint64_t other = *(const uint64_t *)b;

    return one < other ? -1 : one > other;
}

/* The leader goes, another one answers, the first comes back. */
static uint64_t play_round(struct cluster *cluster, struct load *load, const struct plan *plan, uint64_t round)
{
    int leader = cluster_leader(cluster, -1);
    uint64_t gap;

    load_await(load, plan->rate / 2);
    load_gap_begin(load);
    if (strcmp(plan->signal, "transfer") == 0)
        cluster_gavel(cluster, leader, "leader transfer");
    else
        (void)cluster_kill(cluster, leader, strcmp(plan->signal, "KILL") == 0 ? SIGKILL : SIGTERM);
    load_await(load, plan->rate / 2);
    gap = load_gap_us(load);
    printf("%5" PRIu64 "  %-10s %8.1f ms\n", round, cluster->nodes[leader].name, (double)gap / 1000);
    if (cluster->nodes[leader].pid <= 0)
        cluster_start(cluster, leader);
    cluster_await_ready(cluster);
    return gap;
}

int main(int count, char **words)
{
    struct plan plan = {.signal = "TERM", .transport = "tcp", .rounds = 20, .rate = 1000, .writers = 16};
    struct cluster_options options = {.nodes = 3, .quiet = true};
    struct cluster cluster;
    struct load *load;
    uint64_t acknowledged;
    double median;
    double worst;

    read_words(&plan, count, words);
    options.transport = plan.transport;
    cluster_make(&cluster, &options);
    cluster_start_all(&cluster);
    load = load_start(&cluster, (int)plan.writers, (unsigned)plan.rate);
    printf("round  leader     longest time without an acknowledgement\n");
    for (uint64_t i = 0; i < plan.rounds; i++)
        gaps[i] = play_round(&cluster, load, &plan, i + 1);
    acknowledged = load_stop(load);
    cluster_settle(&cluster);
    cluster_remove(&cluster);
    qsort(gaps, plan.rounds, sizeof gaps[0], smaller);
    median = (double)gaps[plan.rounds / 2] / 1000;
    worst = (double)gaps[plan.rounds - 1] / 1000;
    printf("%s, %" PRIu64 " rounds, %" PRIu64 " writes a second, %s: median %.1f ms, worst %.1f ms, best %.1f ms; ",
           plan.signal, plan.rounds, plan.rate, plan.transport, median, worst, (double)gaps[0] / 1000);
    printf("%" PRIu64 " session writes, none failed\n", acknowledged);
    if ((plan.median_ms && median > (double)plan.median_ms) || (plan.worst_ms && worst > (double)plan.worst_ms)) {
        printf("over the limit\n");
        return 1;
    }
    return 0;
}
