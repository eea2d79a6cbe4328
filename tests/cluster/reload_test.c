/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload_test.c - reloads of one node that are refused, undone, or change an observer or a plugin's file; whatever
 * happens, it goes on serving.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "swap.h"

#define WAIT_MS 60000
#define GENERATIONS 16
#define RECIPE \
    "a state machine does not change while it runs, for every node has to apply the same entries alike. Change it " \
    "by a rolling restart: on one node after the other, the leader last, install what is new, restart gaveld, and " \
    "wait until gavel status shows the node as ready; nothing was changed now"

static struct cluster cluster;
static struct swap_node node;
static uint64_t written;

/* It answers, and has kept every write. */
static void serves(void)
{
    struct gavel_client *client = cluster_client(&cluster, 0);
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};

    if (cluster_call(client, "counter.increment", "name=hits", 0, NULL, &result, &error) < 0)
        cluster_fail(&cluster, "it does not serve any more: %s", error.text);
    if (gavel_get_uint(result->value, NULL, 0) != ++written)
        cluster_fail(&cluster, "a write was lost");
    gavel_result_free(result);
    gavel_client_close(client);
}

/* A change that is refused with these words, and of which nothing is left. */
static void refused(const char *text)
{
    char before[512], after[512];

    swap_addresses(&cluster, 0, before, sizeof before);
    swap_write(&cluster, 0, &node);
    swap_refused(&cluster, 0, text);
    swap_addresses(&cluster, 0, after, sizeof after);
    if (strcmp(before, after) != 0)
        cluster_fail(&cluster, "its addresses were %s and are %s", before, after);
    serves();
}

static void accepted(void)
{
    swap_write(&cluster, 0, &node);
    swap_must(&cluster, 0);
    swap_settled(&cluster, 0);
    serves();
}

static bool file_holds(const char *path, const char *text)
{
    char line[2048];
    FILE *in = fopen(path, "re");
    bool found = false;

    while (in && !found && fgets(line, sizeof line, in))
        found = strstr(line, text) != NULL;
    if (in)
        (void)fclose(in);
    return found;
}

static void wait_for(const char *path, const char *text)
{
    uint64_t until = cluster_now() + WAIT_MS;

    while (!file_holds(path, text)) {
        if (cluster_now() > until)
            cluster_fail(&cluster, "%s does not say '%s'", path, text);
        cluster_pause(5);
    }
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

/* Every mistake is told, with its line, and none of what was right is done. */
static void mistakes(void)
{
    struct swap_answer answer;

    node.transports = SWAP_WS | SWAP_TCP;
    node.observer = "levl = info\nformat = xml\n";
    refused(".ini:");
    swap_reload(&cluster, 0, &answer);
    if (!strstr(answer.faults, "unknown key \"levl\"") || !strstr(answer.faults, "expected one of human, json"))
        cluster_fail(&cluster, "not every mistake is told: %s", answer.faults);
    node.observer = NULL;
    node.extra = "[raft]\nheartbeat = 60ms\n[log]\ncache_bytes = 1MiB\n";
    refused("[raft] heartbeat needs a restart: it is 50ms, and would become 60ms");
    refused("[log] cache_bytes needs a restart");
    node.extra = NULL;
    node.transports = SWAP_TCP;
    accepted();
}

static void machines(void)
{
    node.machines = "[statemachine.store]\nplugin = workflow\n";
    refused("[statemachine.counter] is missing: " RECIPE);
    node.machines = "[statemachine.store]\nplugin = workflow\n[statemachine.counter]\nplugin = counter\n"
                    "[statemachine.third]\nplugin = counter\n";
    refused("[statemachine.third] is new: " RECIPE);
    node.machines = "[statemachine.store]\nplugin = workflow\n[statemachine.counter]\nplugin = workflow\n";
    refused("[statemachine.counter] is of plugin counter, and would become workflow: " RECIPE);
    node.machines = NULL;
    accepted();
}

/* A file that is no plugin, one that others may write, one of another kind: none is even started. */
static void wrong_files(void)
{
    char path[300], extra[512];
    int fd;

    (void)snprintf(path, sizeof path, "%s/gavel-other-observer.so", cluster.dir);
    (void)snprintf(extra, sizeof extra, "[observer.other]\nplugin = %s\n", path);
    node.extra = extra;
    refused("there is no such file");
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (fd < 0 || write(fd, "no module", 9) != 9 || close(fd) != 0)
        cluster_fail(&cluster, "%s: %s", path, strerror(errno));
    refused("is not a module");
    (void)chmod(path, 0777);
    refused("others than its owner may write it");
    node.extra = "[observer.other]\nplugin = tcp\n";
    refused("gavel-tcp-observer.so: there is no such file");
    node.extra = NULL;
}

/* The new transport cannot listen: what was started is taken back. */
static void port_in_use(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned port = node.ws;
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        cluster_fail(&cluster, "no port: %s", strerror(errno));
    node.ws = ntohs(address.sin_port);
    node.transports = SWAP_WS | SWAP_TCP;
    node.serializer = "json";
    refused("in use");
    node.ws = port;
    (void)close(fd);
    accepted();
    node.transports = SWAP_TCP;
    node.serializer = NULL;
    accepted();
}

/* ---- observers and signals --------------------------------------------------------------------------------------- */

static void observers(void)
{
    char first[300], second[300], lines[700];

    (void)snprintf(first, sizeof first, "%s/first.log", cluster.dir);
    (void)snprintf(second, sizeof second, "%s/second.log", cluster.dir);
    (void)snprintf(lines, sizeof lines, "output = %s\n", first);
    node.observer = lines;
    accepted();
    wait_for(first, "The configuration was read again");
    (void)snprintf(lines, sizeof lines, "output = %s\nlevel = warn\n", second);
    accepted();
    node.observer = lines;
    (void)snprintf(lines, sizeof lines, "output = %s\nlevel = debug\n", second);
    swap_write(&cluster, 0, &node);
    (void)kill(cluster.nodes[0].pid, SIGHUP);
    wait_for(second, "observer log has other options now");
    wait_for(first, "The old observer log has ended");
    swap_settled(&cluster, 0);
    node.observer = NULL;
    accepted();
}

/* ---- files of plugins -------------------------------------------------------------------------------------------- */

/* The same plugin with another content: bytes behind its end, which nobody reads. */
static void build(const char *from, const char *to, unsigned count)
{
    char next[400];
    unsigned char bytes[65536];
    size_t got;
    FILE *in = fopen(from, "re"), *out;

    (void)snprintf(next, sizeof next, "%s.next", to);
    out = fopen(next, "we");
    if (!in || !out)
        cluster_fail(&cluster, "%s or %s: %s", from, next, strerror(errno));
    while ((got = fread(bytes, 1, sizeof bytes, in)) > 0)
        (void)fwrite(bytes, 1, got, out);
    fprintf(out, "build %u\n", count);
    (void)fclose(in);
    if (fclose(out) != 0 || chmod(next, 0755) != 0 || rename(next, to) != 0)
        cluster_fail(&cluster, "%s: %s", to, strerror(errno));
}

/* The newest generation of which a copy is in the node's memory. */
static unsigned newest_copy(void)
{
    char path[64], text[64];
    unsigned generation = 2 * GENERATIONS;

    (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)cluster.nodes[0].pid);
    for (; generation > 1; generation--) {
        (void)snprintf(text, sizeof text, "/run/%u-", generation);
        if (file_holds(path, text))
            break;
    }
    return generation;
}

/* A file that is overwritten in its place, as cp does, would kill whoever has it mapped. */
static void overwrite(const char *path)
{
    FILE *file = fopen(path, "we");

    if (!file || fputs("no plugin any more\n", file) < 0 || fclose(file) != 0)
        cluster_fail(&cluster, "%s: %s", path, strerror(errno));
    serves();
}

/* Each new build of a serializer is picked up, from a copy of its own, until a restart is asked for. */
static void generations(void)
{
    char from[600], to[300], serializer[400];
    struct swap_answer answer;
    unsigned generation = newest_copy();

    (void)snprintf(from, sizeof from, "%s/gavel-json-serializer.so", getenv("GAVEL_PLUGIN_DIR"));
    (void)snprintf(to, sizeof to, "%s/gavel-json-serializer.so", cluster.dir);
    (void)snprintf(serializer, sizeof serializer, "msgpack, %s", to);
    build(from, to, 0);
    node.serializer = serializer;
    for (unsigned i = 1;; i++) {
        swap_write(&cluster, 0, &node);
        swap_reload(&cluster, 0, &answer);
        if (!answer.reloaded)
            break;
        if (!strstr(answer.changes, "serializer gavel-json-serializer.so"))
            cluster_fail(&cluster, "build %u was not noticed: %s", i, answer.changes);
        swap_settled(&cluster, 0);
        serves();
        if (newest_copy() != ++generation)
            cluster_fail(&cluster, "build %u runs from generation %u, not %u", i, newest_copy(), generation);
        build(from, to, i);
    }
    if (generation != GENERATIONS || !strstr(answer.faults, "16 generations") ||
        !strstr(answer.faults, "restart gaveld"))
        cluster_fail(&cluster, "after generation %u: %s", generation, answer.faults);
    serves();
    overwrite(to);
    build(from, to, GENERATIONS);
    build(from, to, 0); /* what was loaded once needs no generation */
    swap_must(&cluster, 0);
    swap_settled(&cluster, 0);
    serves();
}

/* ---- one at a time ----------------------------------------------------------------------------------------------- */

/* A client of before version 1.1, or one that does not care: it stays until it is cut off. */
static int stubborn(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* The preamble, and the shortest hello of gavel-protocol(7). */
    static const unsigned char hello[] = {'g', 'a', 'v', 'e', 'l', 1, '\r', '\n', 9, 0, 0, 0,
                                          0x84, 0x01, 0x01, 0x02, 0x01, 0x03, 0x01, 0x04, 0x00};
    unsigned char bytes[256];
    size_t got = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        write(fd, hello, sizeof hello) != (ssize_t)sizeof hello)
        cluster_fail(&cluster, "no connection: %s", strerror(errno));
    while (got < 13) { /* its preamble and the beginning of its welcome */
        ssize_t more = read(fd, bytes + got, sizeof bytes - got);

        if (more <= 0)
            cluster_fail(&cluster, "no welcome");
        got += (size_t)more;
    }
    return fd;
}

static void one_at_a_time(void)
{
    unsigned char bytes[4096];
    unsigned other = cluster_port();
    int fd;

    node.serializer = NULL;
    node.drain = "2s";
    accepted();
    fd = stubborn(node.tcp);
    node.tcp = other;
    swap_write(&cluster, 0, &node);
    swap_must(&cluster, 0);
    swap_refused(&cluster, 0, "a reload is running: what it has replaced is still being drained");
    (void)kill(cluster.nodes[0].pid, SIGHUP); /* is taken up when it is over */
    while (read(fd, bytes, sizeof bytes) > 0) {
    } /* until it is cut off */
    (void)close(fd);
    swap_settled(&cluster, 0);
    (void)snprintf(cluster.nodes[0].uri, sizeof cluster.nodes[0].uri, "tcp://127.0.0.1:%u", other);
    serves();
}

/* It stops in the middle of a reload, with somebody who will not go: cleanly all the same. */
static void a_stop_cuts_it_short(void)
{
    int fd = stubborn(node.tcp);

    node.drain = "10m";
    node.tcp = cluster_port();
    swap_write(&cluster, 0, &node);
    swap_must(&cluster, 0);
    swap_refused(&cluster, 0, "a reload is running");
    cluster_remove(&cluster);
    (void)close(fd);
}

/*
 * A node whose cluster is not founded yet has nothing to publish an address by: its transports stay. What is for itself
 * alone is reloaded: here an observer more, another level, a limit.
 */
static void too_early(void)
{
    struct cluster_options options = {.nodes = 3, .transport = "tcp"};
    struct swap_node early = {.transports = SWAP_TCP};
    struct swap_answer answer;
    char socket_path[400];

    cluster_make(&cluster, &options);
    early.tcp = cluster.nodes[0].port;
    swap_write(&cluster, 0, &early);
    cluster_start(&cluster, 0);
    (void)snprintf(socket_path, sizeof socket_path, "%s/admin.sock", cluster.nodes[0].data);
    for (uint64_t until = cluster_now() + WAIT_MS; access(socket_path, F_OK) != 0 && cluster_now() < until;)
        cluster_pause(2);
    early.observer = "level = debug\n";
    early.extra = "[observer.second]\nplugin = log\n[client]\nin_flight = 7\n";
    swap_write(&cluster, 0, &early);
    swap_reload(&cluster, 0, &answer);
    if (!answer.reloaded || !strstr(answer.changes, "observer second is new") ||
        !strstr(answer.changes, "observer log has other options now") || !strstr(answer.changes, "in_flight is 7 now"))
        cluster_fail(&cluster, "a node that founds reloads no observer: %s%s", answer.changes, answer.faults);
    early.ws = cluster_port();
    early.transports |= SWAP_WS;
    swap_write(&cluster, 0, &early);
    swap_reload(&cluster, 0, &answer);
    if (answer.reloaded || !strstr(answer.faults, "transport web: ") || !strstr(answer.faults, "not founded yet"))
        cluster_fail(&cluster, "a node that founds takes a transport, or says: %s", answer.faults);
    /* It is founded all the same, and may change everything then. */
    cluster_start(&cluster, 1);
    cluster_start(&cluster, 2);
    (void)cluster_leader(&cluster, -1);
    swap_must(&cluster, 0);
    cluster_remove(&cluster);
}

int main(void)
{
    struct cluster_options options = {.nodes = 1, .transport = "tcp"};

    too_early();
    cluster_make(&cluster, &options);
    node = (struct swap_node){.tcp = cluster.nodes[0].port, .ws = cluster_port(), .transports = SWAP_TCP};
    swap_write(&cluster, 0, &node);
    cluster_start_all(&cluster);
    serves();
    printf("mistakes\n");
    mistakes();
    printf("machines\n");
    machines();
    printf("wrong files\n");
    wrong_files();
    printf("a port in use\n");
    port_in_use();
    printf("observers\n");
    observers();
    printf("one at a time\n");
    one_at_a_time();
    printf("generations\n");
    generations();
    printf("a stop cuts it short\n");
    a_stop_cuts_it_short();
    return 0;
}
