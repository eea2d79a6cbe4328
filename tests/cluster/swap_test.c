/* SPDX-License-Identifier: Apache-2.0 */
/*
 * swap_test.c - a cluster of three changes its transport and its serializer, on one node after the other, there and
 * back, while writers write in sessions: no write fails, none is done twice, no counter is lost, and every node ends
 * with the same digest, in the process that it was started as.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "swap.h"

#define WRITERS 4
#define STEP_WRITES 40 /* acknowledged between two steps, so that each is met by some */

struct writer {
    struct cluster *cluster;
    struct gavel_client *client;
    pthread_t thread;
    int number;
    uint64_t count; /* of writes, each acknowledged */
};

static atomic_bool stop;
static _Atomic uint64_t acknowledged;

static void write_one(struct writer *writer, struct gavel_session *session, const char *command, const char *arguments)
{
    struct gavel_error error = {0, ""};
    int32_t status = cluster_call(writer->client, command, arguments, 0, session, NULL, &error);

    if (status < 0)
        cluster_fail(writer->cluster, "writer %d: %s %s: status %d: %s", writer->number, command, arguments, status,
                     error.text);
    atomic_fetch_add(&acknowledged, 1);
}

/* Each turn makes a new key, and adds 1 to a counter of the writer's own. */
static void *write_on(void *context)
{
    struct writer *writer = context;
    struct gavel_session *session = NULL;
    struct gavel_error error = {0, ""};
    char arguments[128];

    if (gavel_session_open(writer->client, &session, &error) != GAVEL_OK)
        cluster_fail(writer->cluster, "%s", error.text);
    for (; !atomic_load(&stop); writer->count++) {
        (void)snprintf(arguments, sizeof arguments, "key=w%d/%08" PRIu64 " value=%" PRIu64, writer->number,
                       writer->count, writer->count);
        write_one(writer, session, "store.set", arguments);
        (void)snprintf(arguments, sizeof arguments, "name=w%d", writer->number);
        write_one(writer, session, "counter.increment", arguments);
        cluster_pause(2); /* so that all of them can be looked at afterwards */
    }
    gavel_session_close(session);
    return NULL;
}

/* A stream that began with what happens from now on: it sees each event of a writer once, in order, wherever it is. */
struct watcher {
    struct cluster *cluster;
    _Atomic uint64_t seen;
    uint64_t next; /* the number that the next key of writer 0 has */
    bool begun;
};

static void on_event(void *context, const struct gavel_stream_event *event)
{
    struct watcher *watcher = context;
    uint64_t number;
    char key[32];

    if (event->key.size < 4 || event->key.size >= sizeof key || memcmp(event->key.data, "w0/", 3) != 0)
        return;
    (void)snprintf(key, sizeof key, "%.*s", (int)event->key.size, (const char *)event->key.data);
    number = strtoull(key + 3, NULL, 10);
    if (watcher->begun && number != watcher->next)
        cluster_fail(watcher->cluster, "the stream brought key %" PRIu64 " where %" PRIu64 " was next", number,
                     watcher->next);
    watcher->begun = true;
    watcher->next = number + 1;
    atomic_fetch_add(&watcher->seen, 1);
}

static void on_ended(void *context, int32_t reason, const struct gavel_error *error)
{
    struct watcher *watcher = context;

    if (!atomic_load(&stop))
        cluster_fail(watcher->cluster, "the stream has ended: %d %s", reason, error->text);
}

static void wait_for_writes(struct cluster *cluster, uint64_t more)
{
    uint64_t wanted = atomic_load(&acknowledged) + more, until = cluster_now() + 60000;

    while (atomic_load(&acknowledged) < wanted) {
        if (cluster_now() > until)
            cluster_fail(cluster, "no writes are acknowledged any more");
        cluster_pause(2);
    }
}

/* Every node in turn gets this configuration, and has let go of what it had before the next one follows. */
static void change_all(struct cluster *cluster, struct swap_node *nodes, const char *what, uint32_t transports,
                       const char *serializer)
{
    printf("%s\n", what);
    for (int i = 0; i < cluster->count; i++) {
        nodes[i].transports = transports;
        nodes[i].serializer = serializer;
        swap_write(cluster, i, &nodes[i]);
        wait_for_writes(cluster, STEP_WRITES);
        swap_must(cluster, i);
        swap_settled(cluster, i);
        wait_for_writes(cluster, STEP_WRITES);
    }
}

static void check_addresses(struct cluster *cluster, struct swap_node *nodes, const char *scheme)
{
    for (int i = 0; i < cluster->count; i++) {
        char addresses[512];

        swap_addresses(cluster, i, addresses, sizeof addresses);
        for (int k = 0; k < cluster->count; k++) {
            char wanted[64];

            (void)snprintf(wanted, sizeof wanted, "%s://127.0.0.1:%u ", scheme,
                           strcmp(scheme, "ws") == 0 ? nodes[k].ws : nodes[k].tcp);
            if (!strstr(addresses, wanted))
                cluster_fail(cluster, "%s does not know %s: %s", cluster->nodes[i].name, wanted, addresses);
        }
    }
}

static void check_writer(struct cluster *cluster, struct gavel_client *client, const struct writer *writer)
{
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    char arguments[64];

    (void)snprintf(arguments, sizeof arguments, "name=w%d", writer->number);
    if (cluster_call(client, "counter.get", arguments, GAVEL_REPEATABLE, NULL, &result, &error) < 0)
        cluster_fail(cluster, "%s", error.text);
    if (gavel_get_uint(result->value, NULL, 0) != writer->count)
        cluster_fail(cluster, "writer %d has acknowledged %" PRIu64 " increments, the counter has %" PRIu64,
                     writer->number, writer->count, gavel_get_uint(result->value, NULL, 0));
    gavel_result_free(result);
    for (uint64_t i = 0; i < writer->count; i++) {
        (void)snprintf(arguments, sizeof arguments, "key=w%d/%08" PRIu64, writer->number, i);
        if (cluster_call(client, "store.get", arguments, GAVEL_REPEATABLE, NULL, &result, &error) < 0)
            cluster_fail(cluster, "get %s: %s", arguments, error.text);
        if (gavel_get_uint(result->value, "value", UINT64_MAX) != i || gavel_get_uint(result->value, "version", 0) != 1)
            cluster_fail(cluster, "%s has another value, or was written twice", arguments);
        gavel_result_free(result);
    }
}

static void begin(struct cluster *cluster, struct swap_node *nodes, struct writer *writers, pid_t *pids)
{
    struct cluster_options options = {.nodes = 3, .transport = "websocket"};

    cluster_make(cluster, &options);
    for (int i = 0; i < cluster->count; i++) {
        nodes[i] = (struct swap_node){.ws = cluster->nodes[i].port, .tcp = cluster_port(), .transports = SWAP_WS,
                                      .serializer = "msgpack", .drain = "20s", .patient = true};
        swap_write(cluster, i, &nodes[i]);
    }
    cluster_start_all(cluster);
    for (int i = 0; i < cluster->count; i++)
        pids[i] = cluster->nodes[i].pid;
    for (int i = 0; i < WRITERS; i++) {
        /* One follows the leader, the others stay where they are, or where that node says that it went. */
        writers[i] = (struct writer){.cluster = cluster, .number = i, .client = cluster_client(cluster, i - 1)};
        if (pthread_create(&writers[i].thread, NULL, write_on, &writers[i]) != 0)
            cluster_fail(cluster, "no thread");
    }
}

/* What would cut a node off, or give it another's address, is refused before or after the new one was started. */
static void refuse(struct cluster *cluster, struct swap_node *nodes)
{
    char advertise[128];

    nodes[0].transports = SWAP_TCP;
    swap_write(cluster, 0, &nodes[0]);
    swap_refused(cluster, 0, "let every member listen with the new transport first");
    (void)snprintf(advertise, sizeof advertise, "[transport.third]\nplugin = tcp\nadvertise = %s\n",
                   cluster->nodes[1].uri);
    nodes[0].transports = SWAP_WS;
    nodes[0].extra = advertise;
    swap_write(cluster, 0, &nodes[0]);
    swap_refused(cluster, 0, "is that of member 'node-2'");
    nodes[0].extra = NULL;
    swap_write(cluster, 0, &nodes[0]);
    swap_settled(cluster, 0);
}

/* Without a leader nothing is published, and what was started goes again. */
static void without_leader(struct cluster *cluster, struct swap_node *nodes)
{
    (void)cluster_kill(cluster, 1, SIGKILL);
    (void)cluster_kill(cluster, 2, SIGKILL);
    nodes[0].transports = SWAP_WS | SWAP_TCP;
    swap_write(cluster, 0, &nodes[0]);
    swap_refused(cluster, 0, "the new addresses cannot be published");
    nodes[0].transports = SWAP_WS;
    swap_write(cluster, 0, &nodes[0]);
    cluster_start(cluster, 1);
    cluster_start(cluster, 2);
    (void)cluster_leader(cluster, -1);
    cluster_settle(cluster);
    swap_settled(cluster, 0);
}

int main(void)
{
    struct cluster cluster;
    struct swap_node nodes[3];
    struct writer writers[WRITERS];
    struct watcher watcher = {.cluster = &cluster};
    struct gavel_stream_options watch = gavel_stream_defaults();
    struct gavel_stream *stream = NULL;
    struct gavel_client *client;
    struct gavel_error error = {0, ""};
    double before;
    pid_t pids[3];

    begin(&cluster, nodes, writers, pids);
    client = cluster_client(&cluster, -1);
    watch.machine = "store";
    watch.name = "events";
    watch.event = on_event;
    watch.ended = on_ended;
    watch.context = &watcher;
    if (gavel_stream_open(client, &watch, &stream, &error) != GAVEL_OK)
        cluster_fail(&cluster, "%s", error.text);
    wait_for_writes(&cluster, STEP_WRITES);
    before = swap_metric(&cluster, 0, "consensus.commands.total");
    refuse(&cluster, nodes);
    change_all(&cluster, nodes, "tcp beside websocket", SWAP_WS | SWAP_TCP, "msgpack");
    change_all(&cluster, nodes, "websocket goes", SWAP_TCP, "msgpack");
    check_addresses(&cluster, nodes, "tcp");
    change_all(&cluster, nodes, "msgpack to json", SWAP_TCP, "json");
    change_all(&cluster, nodes, "websocket beside tcp", SWAP_WS | SWAP_TCP, "json");
    change_all(&cluster, nodes, "tcp goes", SWAP_WS, "json");
    check_addresses(&cluster, nodes, "ws");
    change_all(&cluster, nodes, "json to msgpack", SWAP_WS, "msgpack");
    if (swap_metric(&cluster, 0, "consensus.commands.total") < before + 12 * STEP_WRITES)
        cluster_fail(&cluster, "the counters of node-1 did not survive");
    atomic_store(&stop, true);
    for (int i = 0; i < WRITERS; i++)
        (void)pthread_join(writers[i].thread, NULL);
    cluster_settle(&cluster);
    for (int i = 0; i < WRITERS; i++) {
        check_writer(&cluster, client, &writers[i]);
        gavel_client_close(writers[i].client);
    }
    if (atomic_load(&watcher.seen) < 6 * STEP_WRITES / WRITERS)
        cluster_fail(&cluster, "the stream has brought %" PRIu64 " events only", atomic_load(&watcher.seen));
    for (int i = 0; i < cluster.count; i++)
        if (cluster.nodes[i].pid != pids[i] || kill(pids[i], 0) != 0)
            cluster_fail(&cluster, "%s is not the process that it was", cluster.nodes[i].name);
    without_leader(&cluster, nodes);
    gavel_stream_close(stream);
    gavel_client_close(client);
    printf("%" PRIu64 " writes, none failed, none twice; %" PRIu64 " events in order\n", atomic_load(&acknowledged),
           atomic_load(&watcher.seen));
    cluster_remove(&cluster);
    return 0;
}
