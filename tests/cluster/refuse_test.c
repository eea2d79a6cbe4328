/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refuse_test.c - what real nodes refuse, and that nobody else notices: bad frames and messages on a live node, another
 * cluster's hello, commands with bad arguments, an admin command over a client's connection, a port in use, the data
 * directory of another node. And what they must not refuse: a client that only knows a follower, two machines side
 * by side.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster.h"

#include "core/codec/message.h"
#include "transports/framing.h"

static struct cluster cluster;
static struct gavel_client *bystander; /* has to work all the time */
static uint64_t writes;

#define CHECK(condition, ...) \
    do { \
        if (!(condition)) \
            cluster_fail(&cluster, __VA_ARGS__); \
    } while (0)

/* Everybody else goes on: one write and one read back. */
static void check_bystander(const char *after)
{
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    char arguments[64];

    (void)snprintf(arguments, sizeof arguments, "key=bystander value=%llu", (unsigned long long)++writes);
    CHECK(cluster_call(bystander, "store.set", arguments, GAVEL_REPEATABLE, NULL, NULL, &error) >= 0, "after %s: %s",
          after, error.text);
    CHECK(cluster_call(bystander, "store.get", "key=bystander", GAVEL_REPEATABLE, NULL, &result, &error) >= 0,
          "after %s: %s", after, error.text);
    CHECK(gavel_get_uint(result->value, "value", 0) == writes, "after %s: another value", after);
    gavel_result_free(result);
}

/* ---- bad bytes --------------------------------------------------------------------------------------------------- */

static int dial(int node)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)cluster.nodes[node].port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "cannot dial: %s",
          strerror(errno));
    return fd;
}

/* Send bytes and wait until the node closes the connection. */
static void expect_closed(int node, const void *bytes, size_t size, const char *what)
{
    uint64_t until = cluster_now() + CLUSTER_READY_MS;
    char sink[4096];
    int fd = dial(node);
    ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

    (void)sent; /* it may be closed half-way */
    for (;;) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        ssize_t got;

        CHECK(cluster_now() < until, "%s: the connection stays open", what);
        if (poll(&poller, 1, 100) < 1)
            continue;
        got = recv(fd, sink, sizeof sink, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
    }
    (void)close(fd);
    check_bystander(what);
}

/* One message in the tcp transport's framing: the preamble, then the length that is stated, and bytes. */
static size_t frame(unsigned char *out, const void *message, size_t size, uint32_t stated)
{
    memcpy(out, framing_preamble, FRAMING_PREAMBLE);
    framing_put32(out + FRAMING_PREAMBLE, stated);
    memcpy(out + FRAMING_PREAMBLE + FRAMING_HEADER, message, size);
    return FRAMING_PREAMBLE + FRAMING_HEADER + size;
}

static void expect_closed_message(int node, const void *message, size_t size, const char *what)
{
    unsigned char bytes[4096];

    CHECK(size <= sizeof bytes - 64, "%s is too long for this test", what);
    expect_closed(node, bytes, frame(bytes, message, size, (uint32_t)size), what);
}

/* A hello that claims to belong to another cluster. */
static struct gavel_buffer foreign_hello(uint64_t role)
{
    static const unsigned char other[CODEC_ID_BYTES] = "another cluster";
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_slice name = gavel_text("msgpack");
    struct codec_hello hello = {.role = role,
                                .version_major = CODEC_PROTOCOL_MAJOR,
                                .cluster_id = gavel_bytes(other, sizeof other),
                                .member_id = 2,
                                .incarnation = gavel_bytes(other, sizeof other),
                                .name = gavel_text("node-2"),
                                .serializers = {&name, 1, sizeof name},
                                .founded = 1};
    struct gavel_error error = {0, ""};

    CHECK(codec_message_encode(codec_msgpack(), NULL, CODEC_HELLO, &hello, &out, &error) == GAVEL_OK, "%s", error.text);
    return out;
}

static void test_bad_bytes(int node)
{
    unsigned char noise[2048];
    unsigned char bytes[4096];
    unsigned char nested[1024];
    struct gavel_buffer hello;
    uint64_t seed = cluster_seed();
    size_t i;

    for (i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)cluster_random(&seed, 256);
    memset(nested, 0x91, sizeof nested); /* an array in an array in an array */
    expect_closed(node, noise, sizeof noise, "noise");
    expect_closed(node, "GET / HTTP/1.0\r\n\r\n", 18, "another protocol");
    expect_closed_message(node, noise, sizeof noise, "a frame of noise");
    expect_closed_message(node, "\xdd\x7f\xff\xff\xff", 5, "an array of two thousand million");
    expect_closed_message(node, nested, sizeof nested, "a thousand arrays in each other");
    expect_closed_message(node, "\x81\x01\x0a", 3, "a request before the hello");
    expect_closed(node, bytes, frame(bytes, "x", 1, 0x7fffffff), "a frame of 2 GiB");
    hello = foreign_hello(CODEC_ROLE_PEER);
    expect_closed_message(node, hello.data, hello.size, "another cluster's hello");
    gavel_buffer_free(&hello);
    hello = foreign_hello(CODEC_ROLE_ADMIN);
    expect_closed_message(node, hello.data, hello.size, "an administrator's hello from outside");
    gavel_buffer_free(&hello);
}

/* ---- bad requests ------------------------------------------------------------------------------------------------ */

static uint64_t last_index(void)
{
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    uint64_t index;

    CHECK(cluster_call(bystander, "store.count", "", GAVEL_REPEATABLE, NULL, &result, &error) >= 0, "%s", error.text);
    index = result->index;
    gavel_result_free(result);
    return index;
}

/* The term, as the leader's status has it: a new leader has an entry of its own. */
static uint64_t present_term(void)
{
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    uint64_t term;

    CHECK(cluster_call(bystander, "gavel.status", "", GAVEL_REPEATABLE, NULL, &result, &error) >= 0, "%s", error.text);
    term = gavel_get_uint(result->value, "term", 0);
    gavel_result_free(result);
    return term;
}

/* Sent as a document, so that the library's own tables do not refuse it first. */
static void expect_refused(const char *command, const char *json, int32_t wanted, const char *word)
{
    struct gavel_request request = gavel_request_defaults();
    struct gavel_error error = {0, ""};
    uint64_t term = present_term();
    uint64_t before = last_index();
    int32_t status;

    request.command = command;
    request.form = GAVEL_FORM_JSON;
    request.arguments = gavel_text(json);
    status = gavel_call(bystander, &request, NULL, &error);
    CHECK(status == wanted, "%s %.80s: status %d: %s", command, json, status, error.text);
    CHECK(strstr(error.text, word), "%s %.80s: the sentence does not say '%s': %s", command, json, word, error.text);
    CHECK(last_index() == before || present_term() != term, "%s %.80s: something entered the log", command, json);
}

static void test_bad_requests(void)
{
    char *big = malloc(3u << 20);
    size_t used;

    CHECK(big, "no memory");
    expect_refused("store.set", "{\"key\":\"a\",\"valeu\":1}", GAVEL_E_INVALID, "valeu");
    expect_refused("store.set", "{\"key\":\"a\"}", GAVEL_E_INVALID, "value");
    expect_refused("store.set", "{\"key\":[1],\"value\":1}", GAVEL_E_INVALID, "key");
    expect_refused("store.sett", "{}", GAVEL_E_INVALID, "sett");
    expect_refused("elsewhere.set", "{}", GAVEL_E_INVALID, "elsewhere");
    expect_refused("gavel.stop", "{}", GAVEL_E_DENIED, "administrators");
    expect_refused("gavel.transfer", "{}", GAVEL_E_DENIED, "admin.sock");
    used = (size_t)snprintf(big, 64, "{\"key\":\"big\",\"value\":\"");
    memset(big + used, 'v', 2u << 20);
    (void)snprintf(big + used + (2u << 20), 8, "\"}");
    expect_refused("store.set", big, GAVEL_E_TOO_LARGE, "");
    free(big);
    check_bystander("bad requests");
}

/* ---- good ones --------------------------------------------------------------------------------------------------- */

/* A client that knows a follower only, and follows no hint: its writes and reads are forwarded. */
static void test_follower(int leader)
{
    int follower = (leader + 1) % cluster.count;
    struct gavel_client *client = cluster_client(&cluster, follower);
    struct gavel_session *session = NULL;
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};

    CHECK(cluster_call(client, "store.set", "key=forwarded value=1", 0, NULL, NULL, &error) >= 0, "%s", error.text);
    CHECK(gavel_session_open(client, &session, &error) == GAVEL_OK, "%s", error.text);
    CHECK(cluster_call(client, "store.incr", "key=forwarded by=41", 0, session, &result, &error) >= 0, "%s",
          error.text);
    CHECK(gavel_get_uint(result->value, "value", 0) == 42, "incr answered something else");
    CHECK(strcmp(result->node, cluster.nodes[follower].uri) == 0, "it went to %s", result->node);
    gavel_result_free(result);
    CHECK(cluster_call(client, "store.get", "key=forwarded", GAVEL_REPEATABLE, NULL, &result, &error) >= 0, "%s",
          error.text);
    CHECK(gavel_get_uint(result->value, "value", 0) == 42, "the read is behind the write");
    gavel_result_free(result);
    gavel_session_close(session);
    gavel_client_close(client);
}

static void test_two_machines(void)
{
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    int i;

    for (i = 1; i <= 10; i++) {
        char arguments[64];

        CHECK(cluster_call(bystander, "counter.increment", "name=side by=2", 0, NULL, &result, &error) >= 0, "%s",
              error.text);
        CHECK(gavel_get_int(result->value, NULL, 0) == 2 * i, "the counter is wrong");
        gavel_result_free(result);
        (void)snprintf(arguments, sizeof arguments, "key=side/%d value=%d", i, i);
        CHECK(cluster_call(bystander, "store.set", arguments, 0, NULL, NULL, &error) >= 0, "%s", error.text);
    }
    CHECK(cluster_call(bystander, "store.count", "prefix=side/", GAVEL_REPEATABLE, NULL, &result, &error) >= 0, "%s",
          error.text);
    CHECK(gavel_get_uint(result->value, "count", 0) == 10, "the store is wrong");
    gavel_result_free(result);
}

/* ---- refused starts ---------------------------------------------------------------------------------------------- */

/* What is in a directory, as one number. */
static uint64_t sum_of(const char *dir)
{
    char command[400];
    char line[256] = "";
    FILE *in;

    (void)snprintf(command, sizeof command, "cd '%s' && find . -type f | sort | xargs cksum | cksum", dir);
    in = popen(command, "re");
    CHECK(in && fgets(line, sizeof line, in), "cannot look into %s", dir);
    (void)pclose(in);
    return strtoull(line, NULL, 10);
}

/* A copy of an INI with one line changed. */
static void change_config(const char *from, const char *to, const char *begin, const char *line)
{
    char text[400];
    FILE *in = fopen(from, "re");
    FILE *out = fopen(to, "we");

    CHECK(in && out, "cannot copy %s", from);
    while (fgets(text, sizeof text, in))
        fprintf(out, "%s", strncmp(text, begin, strlen(begin)) == 0 ? line : text);
    (void)fclose(in);
    CHECK(fclose(out) == 0, "cannot write %s", to);
}

static void test_refused_starts(int stopped)
{
    int other = (stopped + 1) % cluster.count;
    const struct cluster_node *node = &cluster.nodes[stopped];
    char config[300];
    char line[400];
    char text[4096];
    uint64_t before = sum_of(node->data);
    int code;

    (void)snprintf(config, sizeof config, "%s/changed.ini", cluster.dir);
    (void)snprintf(line, sizeof line, "listen = %s\n", cluster.nodes[other].uri);
    change_config(node->config, config, "listen", line);
    code = cluster_run(&cluster, config, text, sizeof text);
    CHECK(code != 0 && code < 1000, "a port in use: exit %d: %s", code, text);
    CHECK(strstr(text, "in use"), "a port in use is not named: %s", text);
    CHECK(sum_of(node->data) == before, "a port in use: the data directory was touched");

    change_config(node->config, config, "name", "name = node-9\n");
    code = cluster_run(&cluster, config, text, sizeof text);
    CHECK(code != 0 && code < 1000, "the data directory of another node: exit %d: %s", code, text);
    CHECK(sum_of(node->data) == before, "the data directory of another node was touched: %s", text);

    (void)snprintf(line, sizeof line, "data_dir = /proc/gavel\n");
    change_config(node->config, config, "data_dir", line);
    code = cluster_run(&cluster, config, text, sizeof text);
    CHECK(code == 74 || code == 77 || code == 78, "an unwritable directory: exit %d: %s", code, text);
    printf("refused starts: fine\n");
}

int main(int count, char **words)
{
    /* An election adds an entry, which would look like a refused command's: a busy machine must not cause one. */
    struct cluster_options options = {.nodes = 3, .transport = count > 1 ? words[1] : "tcp",
                                      .extra = "[raft]\nelection_timeout_min = 2s\nelection_timeout_max = 3s\n"};
    bool tcp;
    int leader;
    int i;

    cluster_make(&cluster, &options);
    tcp = strcmp(cluster.transport, "tcp") == 0;
    cluster_start_all(&cluster);
    leader = cluster_leader(&cluster, -1);
    bystander = cluster_client(&cluster, -1);
    check_bystander("the start");
    for (i = 0; tcp && i < 2; i++)
        test_bad_bytes((leader + i) % cluster.count);
    test_bad_requests();
    test_follower(leader);
    test_two_machines();
    leader = cluster_leader(&cluster, -1);
    (void)cluster_kill(&cluster, (leader + 1) % cluster.count, SIGTERM);
    test_refused_starts((leader + 1) % cluster.count);
    cluster_start(&cluster, (leader + 1) % cluster.count);
    cluster_settle(&cluster);
    check_bystander("everything");
    gavel_client_close(bystander);
    cluster_remove(&cluster);
    printf("what is bad was refused, and nobody noticed\n");
    return 0;
}
