/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_test.c - a large snapshot to a node that is killed on the way, between real processes: three nodes are
 * filled while one of them is down, until the log that it lacks is gone; then it comes, is killed with SIGKILL at one
 * third and at two thirds, and goes on each time where its part ends. All the while a client writes. Measured are the
 * memory of the leader (RssAnon in /proc/PID/status), the latency of the writes, and what was sent.
 *
 * usage: snapshot-test [--mib N] [--rate MIB] [--growth MIB] [--transport tcp|websocket] [--kills N]
 * The proof with 1 GiB: snapshot-test --mib 1100 --rate 128 --growth 64
 */
#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "cluster.h"

#define VALUE_BYTES (256u << 10)
#define FILLERS 4
#define SAMPLES 200000   /* latencies of writes that are kept */
#define PATIENCE_MS 600000 /* for what takes as long as the disk takes */
#define MIB (1024 * 1024)

struct plan {
    uint64_t mib;
    uint64_t rate_mib;
    uint64_t growth_mib;
    int kills;
    const char *transport;
};

static struct cluster cluster;
static atomic_bool stop;
static _Atomic uint64_t filled;
static uint64_t to_fill;

/* ---- load ------------------------------------------------------------------------------------------------------ */

/* Values that are different, so that nothing can make less of them. */
static void *fill_on(void *context)
{
    char *arguments = malloc(VALUE_BYTES + 64);
    struct gavel_client *client = cluster_client(&cluster, -1);
    uint64_t number;

    (void)context;
    while (arguments && (number = atomic_fetch_add(&filled, 1)) < to_fill) {
        struct gavel_error error = {0, ""};
        int length = snprintf(arguments, 64, "key=fill/%08" PRIu64 " value=", number);
        uint64_t seed = number + 1;
        int32_t status;

        for (uint32_t i = 0; i < VALUE_BYTES; i++)
            arguments[(uint32_t)length + i] = (char)('a' + cluster_random(&seed, 26));
        arguments[(uint32_t)length + VALUE_BYTES] = 0;
        do
            status = cluster_call(client, "store.set", arguments, GAVEL_REPEATABLE, NULL, NULL, &error);
        while (status == GAVEL_E_BUSY || status == GAVEL_E_UNKNOWN || status == GAVEL_E_TIMEOUT);
        if (status < 0)
            cluster_fail(&cluster, "filling: %s", error.text);
    }
    gavel_client_close(client);
    free(arguments);
    return NULL;
}

struct latencies {
    double values[SAMPLES];
    _Atomic uint64_t count; /* of values that are there */
};

static struct latencies during;

static double now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Writes one after the other, in a session: none may fail. */
static void *write_on(void *context)
{
    struct gavel_client *client = cluster_client(&cluster, -1);
    struct gavel_session *session = NULL;
    struct gavel_error error = {0, ""};

    (void)context;
    if (gavel_session_open(client, &session, &error) != GAVEL_OK)
        cluster_fail(&cluster, "%s", error.text);
    while (!atomic_load(&stop)) {
        double began = now_ms();

        if (cluster_call(client, "counter.increment", "name=writes", 0, session, NULL, &error) < 0)
            cluster_fail(&cluster, "a write failed: %s", error.text);
        if (during.count < SAMPLES) {
            during.values[during.count] = now_ms() - began;
            during.count++;
        }
        cluster_pause(1);
    }
    gavel_session_close(session);
    gavel_client_close(client);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return left < right ? -1 : left > right;
}

/* ---- looking from outside ------------------------------------------------------------------------------------- */

/* Of a process, in KiB. */
static uint64_t rss_anon(pid_t pid)
{
    char path[64];
    char line[200];
    unsigned long long kib = 0;
    FILE *in;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    in = fopen(path, "re");
    while (in && fgets(line, sizeof line, in))
        if (sscanf(line, "RssAnon: %llu kB", &kib) == 1)
            break;
    if (in)
        (void)fclose(in);
    if (kib == 0)
        cluster_fail(&cluster, "%s says no RssAnon", path);
    return kib;
}

/* Bytes of a file of a node; 0 when there is none. */
static uint64_t file_bytes(int node, const char *name)
{
    struct stat stat_of;
    char path[700];

    (void)snprintf(path, sizeof path, "%s/%s", cluster.nodes[node].data, name);
    return stat(path, &stat_of) == 0 ? (uint64_t)stat_of.st_size : 0;
}

/* The newest snapshot of a node: its index, and its bytes; 0 for none. */
static uint64_t newest_snapshot(int node, uint64_t *bytes)
{
    char path[600];
    char newest[64] = "";
    struct dirent *entry;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/snap", cluster.nodes[node].data);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)))
        if (strlen(entry->d_name) == 38 && strcmp(entry->d_name, newest) > 0)
            (void)snprintf(newest, sizeof newest, "%.38s", entry->d_name);
    if (dir)
        (void)closedir(dir);
    if (!newest[0])
        return 0;
    (void)snprintf(path, sizeof path, "snap/%s", newest);
    *bytes = file_bytes(node, path);
    return strtoull(newest, NULL, 16);
}

static int count_lines(int node, const char *words)
{
    char line[1000];
    int count = 0;
    FILE *in = fopen(cluster.nodes[node].log, "re");

    while (in && fgets(line, sizeof line, in))
        count += strstr(line, words) != NULL;
    if (in)
        (void)fclose(in);
    return count;
}

static void await(bool (*holds)(int node), int node, const char *what)
{
    uint64_t until = cluster_now() + PATIENCE_MS;

    while (!holds(node)) {
        if (cluster_now() > until)
            cluster_fail(&cluster, "%s: not within %d s", what, PATIENCE_MS / 1000);
        cluster_pause(20);
    }
}

/* ---- the parts -------------------------------------------------------------------------------------------------- */

static bool has_whole_snapshot(int node)
{
    uint64_t bytes = 0;

    return newest_snapshot(node, &bytes) > 0 && bytes >= to_fill * VALUE_BYTES;
}

static void take_snapshot(int node)
{
    const char *top = getenv("top_builddir");
    char command[900];

    (void)snprintf(command, sizeof command, "%s/core/cli/gavel --timeout 300s --data-dir '%s' snapshot >/dev/null",
                   top && *top ? top : ".", cluster.nodes[node].data);
    if (system(command) != 0)
        cluster_fail(&cluster, "no snapshot: %s", command);
    await(has_whole_snapshot, node, "a snapshot of everything");
}

static void fill(const struct plan *plan)
{
    pthread_t threads[FILLERS];
    uint64_t began = cluster_now();

    to_fill = plan->mib * (MIB / VALUE_BYTES);
    for (int i = 0; i < FILLERS; i++)
        if (pthread_create(&threads[i], NULL, fill_on, NULL) != 0)
            cluster_fail(&cluster, "cannot start a thread");
    for (int i = 0; i < FILLERS; i++)
        (void)pthread_join(threads[i], NULL);
    printf("filled: %" PRIu64 " MiB in %" PRIu64 " keys, %.1f s\n", plan->mib, to_fill,
           (double)(cluster_now() - began) / 1e3);
}

struct watch {
    pid_t leader;
    uint64_t before; /* KiB */
    uint64_t most;
    uint64_t samples;
};

static void sample(struct watch *watch)
{
    uint64_t now = rss_anon(watch->leader);

    watch->samples++;
    if (now > watch->most)
        watch->most = now;
}

/* Run until the part of what is received is so large, and never smaller than `kept`. */
static void await_part(struct watch *watch, int away, uint64_t kept, uint64_t wanted)
{
    uint64_t until = cluster_now() + PATIENCE_MS;
    uint64_t size;

    while ((size = file_bytes(away, "snap/incoming.part")) < wanted) {
        if (size < kept)
            cluster_fail(&cluster, "the part had %" PRIu64 " bytes when the node was killed, and has %" PRIu64, kept,
                         size);
        if (cluster_now() > until)
            cluster_fail(&cluster, "the transfer stands still at %" PRIu64 " bytes", size);
        sample(watch);
        cluster_pause(2);
    }
}

static bool caught_up(int node)
{
    return count_lines(node, "Installed the leader's snapshot") > 0;
}

static void transfer(const struct plan *plan, int leader, int away)
{
    struct watch watch = {.leader = cluster.nodes[leader].pid};
    uint64_t began = cluster_now();
    uint64_t bytes = 0;
    uint64_t kept = 0;

    (void)newest_snapshot(leader, &bytes);
    watch.before = watch.most = rss_anon(watch.leader);
    cluster_start(&cluster, away);
    for (int i = 1; i <= plan->kills; i++) {
        await_part(&watch, away, kept, bytes / (uint64_t)(plan->kills + 1) * (uint64_t)i);
        (void)cluster_kill(&cluster, away, SIGKILL);
        kept = file_bytes(away, "snap/incoming.part");
        printf("killed: with %" PRIu64 " of %" PRIu64 " bytes\n", kept, bytes);
        cluster_start(&cluster, away);
    }
    while (!caught_up(away)) {
        uint64_t size = file_bytes(away, "snap/incoming.part");

        if (size && size < kept)
            cluster_fail(&cluster, "the transfer began again: %" PRIu64 " bytes, %" PRIu64 " before", size, kept);
        if (cluster_now() - began > PATIENCE_MS)
            cluster_fail(&cluster, "the snapshot is not installed");
        sample(&watch);
        cluster_pause(2);
    }
    printf("installed: %" PRIu64 " bytes in %.1f s, %d kills\n", bytes, (double)(cluster_now() - began) / 1e3,
           plan->kills);
    printf("leader: RssAnon %.1f MiB before, %.1f MiB at most (%+.1f MiB), %" PRIu64 " samples\n",
           (double)watch.before / 1024, (double)watch.most / 1024, ((double)watch.most - (double)watch.before) / 1024,
           watch.samples);
    if (watch.most - watch.before >= plan->growth_mib * 1024)
        cluster_fail(&cluster, "the leader grew by %.1f MiB, allowed are %" PRIu64,
                     ((double)watch.most - (double)watch.before) / 1024, plan->growth_mib);
    if (count_lines(leader, "Sending the snapshot") != 1)
        cluster_fail(&cluster, "the leader began %d transfers", count_lines(leader, "Sending the snapshot"));
}

static void tell_latencies(void)
{
    uint64_t count = during.count;

    qsort(during.values, count, sizeof during.values[0], by_value);
    if (count < 100)
        cluster_fail(&cluster, "only %" PRIu64 " writes went through", count);
    printf("writes meanwhile: %" PRIu64 ", none failed; p50 %.2f ms, p99 %.2f ms, longest %.1f ms\n", count,
           during.values[count / 2], during.values[count * 99 / 100], during.values[count - 1]);
}

static void usage(void)
{
    puts("usage: snapshot-test [--mib N] [--rate MIB] [--growth MIB] [--transport tcp|websocket] [--kills N]\n"
         "  --mib N      state to fill the nodes with (64)\n"
         "  --rate MIB   transfer_rate of the leader, MiB a second; 0: no bound (24)\n"
         "  --growth MIB what the leader's RssAnon may grow by meanwhile (32)\n"
         "The proof with a large one: --mib 1100 --rate 128 --growth 64; it takes 8 GiB of disk.");
}

static void read_plan(struct plan *plan, int count, char **words)
{
    for (int i = 1; i < count; i += 2) {
        const char *value = i + 1 < count ? words[i + 1] : NULL;

        if (value && strcmp(words[i], "--mib") == 0) {
            plan->mib = strtoull(value, NULL, 10);
        } else if (value && strcmp(words[i], "--rate") == 0) {
            plan->rate_mib = strtoull(value, NULL, 10);
        } else if (value && strcmp(words[i], "--growth") == 0) {
            plan->growth_mib = strtoull(value, NULL, 10);
        } else if (value && strcmp(words[i], "--kills") == 0) {
            plan->kills = (int)strtol(value, NULL, 10);
        } else if (value && strcmp(words[i], "--transport") == 0) {
            plan->transport = value;
        } else {
            usage();
            exit(strcmp(words[i], "--help") == 0 ? 0 : 64);
        }
    }
}

/* Each node holds log and up to two snapshots of it all. */
static void check_room(const struct plan *plan)
{
    struct statvfs room;
    uint64_t wanted = plan->mib * 8 + 512;

    if (statvfs(cluster.dir, &room) == 0 && (uint64_t)room.f_bavail * room.f_frsize / MIB < wanted) {
        printf("skipped: %s has no %" PRIu64 " MiB of room (TMPDIR chooses another place)\n", cluster.dir, wanted);
        cluster_remove(&cluster);
        exit(77);
    }
}

int main(int count, char **words)
{
    struct plan plan = {.mib = 64, .rate_mib = 24, .growth_mib = 32, .kills = 2};
    struct cluster_options options = {.nodes = 3, .quiet = false};
    char extra[500];
    pthread_t writer;
    int leader;
    int away;

    read_plan(&plan, count, words);
    /* Patient elections: what is proven here is not how soon a leader is found on a machine that has too much to do. */
    (void)snprintf(extra, sizeof extra,
                   "level = info\n[raft]\nelection_timeout_min = 2s\nelection_timeout_max = 4s\nheartbeat = 100ms\n"
                   "[snapshot]\nsnapshot_keep = 1\nsnapshot_log_min = %" PRIu64
                   "MiB\ntransfer_rate = %" PRIu64 "MiB\n[log]\ntrailing_bytes = 1MiB\nsegment_bytes = 4MiB\n",
                   plan.mib, plan.rate_mib);
    options.extra = extra;
    options.transport = plan.transport;
    cluster_make(&cluster, &options);
    check_room(&plan);
    cluster_start_all(&cluster);
    cluster_settle(&cluster);
    leader = cluster_leader(&cluster, -1);
    away = (leader + 1) % 3;
    (void)cluster_kill(&cluster, away, SIGKILL);
    fill(&plan);
    leader = cluster_leader(&cluster, away); /* on a busy machine it may be another one by now */
    take_snapshot(leader);
    if (pthread_create(&writer, NULL, write_on, NULL) != 0)
        cluster_fail(&cluster, "cannot start a thread");
    while (during.count < 50)
        cluster_pause(5);
    transfer(&plan, leader, away);
    atomic_store(&stop, true);
    (void)pthread_join(writer, NULL);
    tell_latencies();
    cluster_settle(&cluster);
    puts("all three nodes have the same digest");
    cluster_remove(&cluster);
    return 0;
}
