/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stall_test.c - disks that hang and disks that fail, with real processes: a shim before the C library of each node
 * makes its syncs take as long as the test says, or fail. Writers in sessions write all the time, and none of their
 * writes ever fails.
 *
 *   a follower's disk hangs     it shows the alarm, the leader sees it; nobody else is disturbed
 *   the leader's disk hangs     it hands over, and gets the lead by nobody's wish while its disk hangs
 *   a sync fails                the node serves nothing more and leaves with 74; started again, it catches up
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster.h"
#include "load.h"
#include "shim.h"

#define WRITERS 4
#define RATE 100
#define SOME 20
#define HANG_MS 600000 /* until it is told otherwise */

static struct cluster cluster;
static struct shim_page *pages[3];

static void map_pages(void)
{
    for (int i = 0; i < 3; i++) {
        char path[340];
        int fd;

        cluster_shim_path(&cluster, i, path, sizeof path);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, SHIM_BYTES) != 0)
            cluster_fail(&cluster, "%s: %s", path, strerror(errno));
        pages[i] = mmap(NULL, SHIM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (pages[i] == MAP_FAILED)
            cluster_fail(&cluster, "%s: %s", path, strerror(errno));
        (void)close(fd);
    }
}

static void hang(int node, uint32_t ms)
{
    __atomic_store_n(&pages[node]->sync_ms, ms, __ATOMIC_SEQ_CST);
}

/* Whether a node's own status document says so: in the alarms, or of another member. */
static bool says(int node, const char *path, const char *text)
{
    struct gavel_result *status = cluster_status(&cluster, node);
    struct gavel_slice found = status ? gavel_get_bytes(status->value, path) : gavel_bytes(NULL, 0);
    bool same = found.size >= strlen(text) && memcmp(found.data, text, strlen(text)) == 0;

    gavel_result_free(status);
    return same;
}

static void await_alarm(int node, bool on)
{
    uint64_t until = cluster_now() + CLUSTER_READY_MS;

    while (says(node, "alarms.0", "disk stall") != on) {
        if (cluster_now() > until)
            cluster_fail(&cluster, "the alarm of %s is not %s", cluster.nodes[node].name, on ? "on" : "over");
        cluster_pause(20);
    }
}

static void await_leader_other_than(int node)
{
    uint64_t until = cluster_now() + CLUSTER_READY_MS;

    while (cluster_leader(&cluster, -1) == node) {
        if (cluster_now() > until)
            cluster_fail(&cluster, "%s leads on although its disk hangs", cluster.nodes[node].name);
        cluster_pause(20);
    }
}

static void await_exit(int node, int code)
{
    uint64_t until = cluster_now() + CLUSTER_READY_MS;
    int status = 0;

    while (waitpid(cluster.nodes[node].pid, &status, WNOHANG) == 0) {
        if (cluster_now() > until)
            cluster_fail(&cluster, "%s goes on after a sync has failed", cluster.nodes[node].name);
        cluster_pause(5);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        cluster_fail(&cluster, "%s left with wait status %#x, not %d", cluster.nodes[node].name, (unsigned)status,
                     code);
    cluster.nodes[node].pid = 0;
}

static void a_follower_hangs(struct load *load)
{
    int leader = cluster_leader(&cluster, -1);
    int follower = (leader + 1) % 3;

    hang(follower, HANG_MS);
    await_alarm(follower, true);
    load_await(load, SOME);
    if (cluster_leader(&cluster, -1) != leader)
        cluster_fail(&cluster, "a follower's disk hangs, and %s does not lead any more", cluster.nodes[leader].name);
    hang(follower, 0);
    await_alarm(follower, false);
    printf("%s, a follower, was shown\n", cluster.nodes[follower].name);
}

static void the_leader_hangs(struct load *load)
{
    int leader = cluster_leader(&cluster, -1);

    hang(leader, HANG_MS);
    await_leader_other_than(leader);
    load_await(load, SOME);
    await_alarm(leader, true);
    if (cluster_leader(&cluster, -1) == leader)
        cluster_fail(&cluster, "%s has the lead again while its disk hangs", cluster.nodes[leader].name);
    hang(leader, 0);
    await_alarm(leader, false);
    load_await(load, SOME);
    printf("%s, which led, handed over\n", cluster.nodes[leader].name);
}

static void a_sync_fails(struct load *load)
{
    int leader = cluster_leader(&cluster, -1);

    __atomic_store_n(&pages[leader]->fail_syncs, 1, __ATOMIC_SEQ_CST);
    await_exit(leader, 74);
    load_await(load, SOME);
    cluster_start(&cluster, leader);
    cluster_await_ready(&cluster);
    printf("%s, which led, left with 74\n", cluster.nodes[leader].name);
}

int main(void)
{
    /* On a busy machine nobody shall be replaced for being late. */
    struct cluster_options options = {
        .nodes = 3,
        .shim = true,
        .extra = "[raft]\nelection_timeout_min = 600ms\nelection_timeout_max = 1200ms\ndisk_stall_timeout = 1s\n"};
    struct load *load;

    cluster_make(&cluster, &options);
    map_pages();
    cluster_start_all(&cluster);
    load = load_start(&cluster, WRITERS, RATE);
    a_follower_hangs(load);
    the_leader_hangs(load);
    a_sync_fails(load);
    printf("%llu session writes, none failed\n", (unsigned long long)load_stop(load));
    cluster_settle(&cluster);
    cluster_remove(&cluster);
    return 0;
}
