/* SPDX-License-Identifier: Apache-2.0 */
/*
 * member_test.c - the members change while writers in sessions write, and no write of theirs ever fails. Real
 * processes, by way of the command line, as an operator does it:
 *
 *   replace    all three, one after the other: a disk is lost, gavel member replace, the empty node joins by itself;
 *              then all three by others, each in one step (gavel member change --add --remove)
 *   grow       1 -> 3 -> 5 -> 3, the leader among those that go
 *   stop       the leader gets SIGTERM and comes back, then SIGKILL, then is told to hand over
 *
 * usage: member-test [replace|grow|stop|all] [tcp|websocket] [WRITES A SECOND] [TIMES]
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cluster.h"
#include "load.h"

#define WRITERS 4
#define RATE 100
#define SOME 15 /* writes of each stage, at the least */

static struct cluster cluster;

/* Somebody who stays, so that commands go through his socket. */
static int other_than(int node)
{
    for (int i = 0; i < cluster.count; i++)
        if (i != node && cluster.nodes[i].pid > 0)
            return i;
    cluster_fail(&cluster, "nobody else runs");
}

/* It ends by itself when it learns that it is no member any more. */
static void await_end(int node)
{
    uint64_t until = cluster_now() + CLUSTER_READY_MS;
    int status;

    while (waitpid(cluster.nodes[node].pid, &status, WNOHANG) == 0) {
        if (cluster_now() > until)
            cluster_fail(&cluster, "%s was removed and does not end", cluster.nodes[node].name);
        cluster_pause(3);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 78)
        cluster_fail(&cluster, "%s was removed and left with wait status %#x", cluster.nodes[node].name,
                     (unsigned)status);
    cluster.nodes[node].pid = 0;
}

static void replace_lost_disks(struct load *load)
{
    for (int i = 0; i < 3; i++) {
        struct cluster_node *node = &cluster.nodes[i];

        (void)cluster_kill(&cluster, i, SIGKILL);
        load_await(load, SOME);
        cluster_wipe(&cluster, i);
        cluster_gavel(&cluster, other_than(i), "member replace %s", node->name);
        cluster_start(&cluster, i);
        cluster_await_voter(&cluster, other_than(i), node->name);
        load_await(load, SOME);
        printf("%s lost its disk and was replaced\n", node->name);
    }
}

static void replace_by_others(struct load *load)
{
    for (int i = 0; i < 3; i++) {
        struct cluster_node *old = &cluster.nodes[i];
        struct cluster_node *fresh = &cluster.nodes[i + 3];

        cluster_start(&cluster, i + 3);
        cluster_gavel(&cluster, other_than(i + 3), "member change --add %s=%s --remove %s", fresh->name, fresh->uri,
                      old->name);
        await_end(i);
        cluster_await_voter(&cluster, i + 3, fresh->name);
        load_await(load, SOME);
        printf("%s took the place of %s\n", fresh->name, old->name);
    }
}

static void replace(const char *transport, unsigned rate)
{
    struct cluster_options options = {.nodes = 6, .founders = 3, .transport = transport, .quiet = true,
                                      .extra = CLUSTER_PATIENT};
    struct load *load;

    cluster_make(&cluster, &options);
    cluster_start_all(&cluster);
    load = load_start(&cluster, WRITERS, rate);
    replace_lost_disks(load);
    replace_by_others(load);
    printf("replaced: %" PRIu64 " session writes, none failed\n", load_stop(load));
    cluster_settle(&cluster);
    cluster_remove(&cluster);
}

/* Two more, at once. */
static void add_two(struct load *load, int first)
{
    cluster_start(&cluster, first);
    cluster_start(&cluster, first + 1);
    cluster_gavel(&cluster, 0, "member change --add %s=%s --add %s=%s", cluster.nodes[first].name,
                  cluster.nodes[first].uri, cluster.nodes[first + 1].name, cluster.nodes[first + 1].uri);
    cluster_await_voter(&cluster, 0, cluster.nodes[first].name);
    cluster_await_voter(&cluster, 0, cluster.nodes[first + 1].name);
    load_await(load, SOME);
    printf("%d members\n", first + 2);
}

static void grow(const char *transport, unsigned rate)
{
    struct cluster_options options = {.nodes = 5, .founders = 1, .transport = transport, .quiet = true,
                                      .extra = CLUSTER_PATIENT};
    struct load *load;
    int leader;
    int other;

    cluster_make(&cluster, &options);
    cluster_start_all(&cluster);
    load = load_start(&cluster, WRITERS, rate);
    load_await(load, SOME);
    add_two(load, 1);
    add_two(load, 3);
    leader = cluster_leader(&cluster, -1);
    other = (leader + 1) % 5;
    cluster_gavel(&cluster, (leader + 2) % 5, "member change --remove %s --remove %s", cluster.nodes[leader].name,
                  cluster.nodes[other].name);
    await_end(leader);
    await_end(other);
    load_await(load, SOME);
    printf("3 members, without %s, which led\n", cluster.nodes[leader].name);
    printf("grown and shrunk: %" PRIu64 " session writes, none failed\n", load_stop(load));
    cluster_settle(&cluster);
    cluster_remove(&cluster);
}

static void stop(const char *transport, unsigned rate)
{
    struct cluster_options options = {.nodes = 3,
                                      .transport = transport,
                                      .quiet = true,
                                      .extra = CLUSTER_PATIENT};
    static const char *const ways[] = {"SIGTERM", "SIGKILL", "a hand-over"};
    struct load *load;

    cluster_make(&cluster, &options);
    cluster_start_all(&cluster);
    load = load_start(&cluster, WRITERS, rate);
    for (int i = 0; i < 3; i++) {
        int leader = cluster_leader(&cluster, -1);
        int status = 0;

        load_await(load, SOME);
        if (i == 2)
            cluster_gavel(&cluster, other_than(leader), "leader transfer"); /* asked of one that follows */
        else
            status = cluster_kill(&cluster, leader, i == 0 ? SIGTERM : SIGKILL);
        if (i == 0 && status != 0)
            cluster_fail(&cluster, "%s did not stop cleanly: wait status %#x", cluster.nodes[leader].name,
                         (unsigned)status);
        load_await(load, SOME);
        if (i == 2 && cluster_leader(&cluster, -1) == leader)
            cluster_fail(&cluster, "%s leads after it handed over", cluster.nodes[leader].name);
        if (i != 2)
            cluster_start(&cluster, leader);
        cluster_await_ready(&cluster);
        printf("%s led: %s\n", cluster.nodes[leader].name, ways[i]);
    }
    printf("the leader went: %" PRIu64 " session writes, none failed\n", load_stop(load));
    cluster_settle(&cluster);
    cluster_remove(&cluster);
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "all";
    const char *transport = count > 2 ? words[2] : "tcp";
    unsigned rate = count > 3 ? (unsigned)strtoul(words[3], NULL, 10) : RATE;
    int times = count > 4 ? (int)strtol(words[4], NULL, 10) : 1;
    bool all = strcmp(what, "all") == 0;

    if (!all && strcmp(what, "replace") != 0 && strcmp(what, "grow") != 0 && strcmp(what, "stop") != 0) {
        fputs("usage: member-test [replace|grow|stop|all] [tcp|websocket] [WRITES A SECOND] [TIMES]\n", stderr);
        return 64;
    }
    for (int i = 0; i < times; i++) {
        if (all || strcmp(what, "replace") == 0)
            replace(transport, rate);
        if (all || strcmp(what, "grow") == 0)
            grow(transport, rate);
        if (all || strcmp(what, "stop") == 0)
            stop(transport, rate);
    }
    return 0;
}
