/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_test.c - nodes are killed with SIGKILL while writers write, over and over, by a seed; afterwards every write
 * that was acknowledged is there, exactly once, on every node. Some writers use sessions (their retries must not be
 * doubled), some do not (a write that is lost must be called unknown, not failed).
 *
 * usage: kill_test [tcp|websocket] [kills]
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"

#define WRITERS 4     /* half of them in sessions */
#define WRITES 100000 /* of one writer at the most */
#define KILLS 6       /* rounds of misfortune, unless said otherwise */
#ifndef CLUSTER_TRANSPORT
#define CLUSTER_TRANSPORT "tcp"
#endif

enum outcome { NOT_TRIED, NOT_DONE, UNKNOWN, DONE };

struct writer {
    struct cluster *cluster;
    struct gavel_client *client;
    pthread_t thread;
    int number;
    bool in_session;
    uint64_t count;
    unsigned char *outcomes; /* of each write */
    int64_t sum_done;        /* of the increments that were acknowledged */
    int64_t sum_unknown;     /* of those that may have been done */
};

static atomic_bool stop;
static _Atomic uint64_t acknowledged;

static enum outcome outcome_of(struct writer *writer, int32_t status, const struct gavel_error *error)
{
    if (status >= 0)
        return DONE;
    if (status == GAVEL_E_UNKNOWN)
        return UNKNOWN;
    if (status != GAVEL_E_NO_LEADER && status != GAVEL_E_TIMEOUT && status != GAVEL_E_BUSY)
        cluster_fail(writer->cluster, "writer %d: status %d: %s", writer->number, status, error->text);
    return NOT_DONE;
}

/* Each turn makes a new key, and adds 1 to a counter of the writer's own. */
static void *write_on(void *context)
{
    struct writer *writer = context;
    struct gavel_session *session = NULL;
    struct gavel_error error = {0, ""};
    char arguments[128];

    if (writer->in_session && gavel_session_open(writer->client, &session, &error) != GAVEL_OK)
        cluster_fail(writer->cluster, "%s", error.text);
    while (!atomic_load(&stop) && writer->count < WRITES) {
        enum outcome outcome;
        int32_t status;

        (void)snprintf(arguments, sizeof arguments, "key=w%d/%08" PRIu64 " value=%" PRIu64, writer->number,
                       writer->count, writer->count);
        status = cluster_call(writer->client, "store.set", arguments, 0, session, NULL, &error);
        writer->outcomes[writer->count++] = (unsigned char)outcome_of(writer, status, &error);
        atomic_fetch_add(&acknowledged, status >= 0);
        (void)snprintf(arguments, sizeof arguments, "name=w%d", writer->number);
        status = cluster_call(writer->client, "counter.increment", arguments, 0, session, NULL, &error);
        outcome = outcome_of(writer, status, &error);
        writer->sum_done += outcome == DONE;
        writer->sum_unknown += outcome == UNKNOWN;
    }
    gavel_session_close(session);
    return NULL;
}

/* ---- afterwards -------------------------------------------------------------------------------------------------- */

static void check_key(struct writer *writer, struct gavel_client *client, uint64_t number)
{
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    char arguments[64];
    int32_t status;
    bool there;

    (void)snprintf(arguments, sizeof arguments, "key=w%d/%08" PRIu64, writer->number, number);
    status = cluster_call(client, "store.get", arguments, GAVEL_REPEATABLE, NULL, &result, &error);
    there = status >= 0;
    if (!there && status != GAVEL_E_NOT_FOUND)
        cluster_fail(writer->cluster, "get %s: %s", arguments, error.text);
    if (there && gavel_get_uint(result->value, "value", UINT64_MAX) != number)
        cluster_fail(writer->cluster, "%s has another value", arguments);
    if (there && gavel_get_uint(result->value, "version", 0) != 1)
        cluster_fail(writer->cluster, "%s was written twice", arguments);
    gavel_result_free(there ? result : NULL);
    if (!there && writer->outcomes[number] == DONE)
        cluster_fail(writer->cluster, "%s was acknowledged and is lost", arguments);
    if (there && writer->outcomes[number] == NOT_DONE)
        cluster_fail(writer->cluster, "%s was called not done, and is there", arguments);
}

static void check_counter(struct writer *writer, struct gavel_client *client)
{
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    char arguments[64];
    int64_t value = 0;
    int32_t status;

    (void)snprintf(arguments, sizeof arguments, "name=w%d", writer->number);
    status = cluster_call(client, "counter.get", arguments, GAVEL_REPEATABLE, NULL, &result, &error);
    if (status >= 0)
        value = gavel_get_int(result->value, NULL, -1);
    else if (status != GAVEL_E_NOT_FOUND)
        cluster_fail(writer->cluster, "counter.get: %s", error.text);
    gavel_result_free(status >= 0 ? result : NULL);
    if (value < writer->sum_done || value > writer->sum_done + writer->sum_unknown)
        cluster_fail(writer->cluster, "counter %s is %" PRId64 ": %" PRId64 " were acknowledged, %" PRId64 " unknown",
                     arguments, value, writer->sum_done, writer->sum_unknown);
}

/* Each node by itself, so that a follower that lacks something is found too. */
static void check_all(struct cluster *cluster, struct writer *writers)
{
    int node;
    int i;

    for (node = 0; node < cluster->count; node++) {
        struct gavel_client *client = cluster_client(cluster, node);

        for (i = 0; i < WRITERS; i++) {
            uint64_t k;

            for (k = 0; k < writers[i].count; k++)
                if (node == 0 || k % 16 == 0)
                    check_key(&writers[i], client, k);
            check_counter(&writers[i], client);
        }
        gavel_client_close(client);
    }
}

/* ---- misfortune -------------------------------------------------------------------------------------------------- */

/* Wait until some more writes have been acknowledged: the cluster works again. */
static void await_progress(struct cluster *cluster, uint64_t more)
{
    uint64_t wanted = atomic_load(&acknowledged) + more;
    uint64_t until = cluster_now() + CLUSTER_READY_MS;

    while (atomic_load(&acknowledged) < wanted) {
        if (cluster_now() > until)
            cluster_fail(cluster, "no progress after a kill");
        cluster_pause(1);
    }
}

/* All of them: the power fails. */
static void kill_all(struct cluster *cluster)
{
    int k;

    for (k = 0; k < cluster->count; k++)
        (void)cluster_kill(cluster, k, SIGKILL);
    for (k = 0; k < cluster->count; k++)
        cluster_start(cluster, k);
}

/* Stopped, not killed: its connections stay, but nothing is answered. It goes on with what it believed before. */
static void freeze(struct cluster *cluster, int victim)
{
    (void)kill(cluster->nodes[victim].pid, SIGSTOP);
    await_progress(cluster, 20);
    (void)kill(cluster->nodes[victim].pid, SIGCONT);
}

static void misfortune(struct cluster *cluster, uint64_t *seed, int rounds)
{
    int i;

    for (i = 0; i < rounds; i++) {
        uint64_t what = cluster_random(seed, 5);
        int victim = what == 2 ? (int)cluster_random(seed, (uint64_t)cluster->count) : cluster_leader(cluster, -1);
        const char *name = cluster->nodes[victim].name;

        await_progress(cluster, 20 + cluster_random(seed, 50));
        if (what == 3) {
            printf("kill -9 of all\n");
            kill_all(cluster);
        } else if (what == 4) {
            printf("%s, which leads, stands still\n", name);
            freeze(cluster, victim);
        } else {
            printf("kill -9 %s%s\n", name, what < 2 ? ", which leads" : "");
            (void)cluster_kill(cluster, victim, SIGKILL);
            await_progress(cluster, 20); /* with two of three */
            cluster_start(cluster, victim);
        }
        await_progress(cluster, 20);
    }
}

int main(int count, char **words)
{
    struct cluster cluster;
    struct cluster_options options = {.nodes = 3,
                                      .transport = count > 1 ? words[1] : CLUSTER_TRANSPORT,
                                      .extra = CLUSTER_PATIENT};
    int kills = count > 2 ? (int)strtol(words[2], NULL, 10) : KILLS;
    struct writer writers[WRITERS];
    uint64_t seed = cluster_seed();
    uint64_t unknown = 0;
    uint64_t total = 0;
    int i;

    cluster_make(&cluster, &options);
    cluster_start_all(&cluster);
    memset(writers, 0, sizeof writers);
    for (i = 0; i < WRITERS; i++) {
        writers[i].cluster = &cluster;
        writers[i].number = i;
        writers[i].in_session = i % 2 == 0;
        writers[i].outcomes = calloc(WRITES, 1);
        writers[i].client = cluster_client(&cluster, -1);
        if (!writers[i].outcomes || pthread_create(&writers[i].thread, NULL, write_on, &writers[i]) != 0)
            cluster_fail(&cluster, "cannot start a writer");
    }
    misfortune(&cluster, &seed, kills);
    atomic_store(&stop, true);
    for (i = 0; i < WRITERS; i++) {
        uint64_t k;

        (void)pthread_join(writers[i].thread, NULL);
        total += writers[i].count;
        for (k = 0; k < writers[i].count; k++)
            unknown += writers[i].outcomes[k] == UNKNOWN;
        if (writers[i].in_session && writers[i].sum_unknown > 0)
            printf("writer %d: %" PRId64 " unknown in its session\n", i, writers[i].sum_unknown);
    }
    cluster_settle(&cluster);
    check_all(&cluster, writers);
    printf("%d kills, %" PRIu64 " writes, %" PRIu64 " acknowledged, %" PRIu64 " unknown: none lost, none doubled\n",
           kills, total, atomic_load(&acknowledged), unknown);
    for (i = 0; i < WRITERS; i++) {
        gavel_client_close(writers[i].client);
        free(writers[i].outcomes);
    }
    cluster_remove(&cluster);
    return 0;
}
