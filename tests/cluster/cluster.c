/* SPDX-License-Identifier: Apache-2.0 */
/* cluster.c - real gaveld processes for a test: see cluster.h. */
#include "cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAST_ASKS 100 /* a start is looked at closely at first, so that it can be measured; then patiently */
#define CLUSTER_CALL_MS 20000 /* of one call; who hangs is found out that soon */
#define STOP_MS 60000 /* a node that does not end on a signal in this time is stuck */

uint64_t cluster_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void cluster_pause(unsigned milliseconds)
{
    (void)poll(NULL, 0, (int)milliseconds);
}

uint64_t cluster_seed(void)
{
    const char *given = getenv("CLUSTER_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : cluster_now() * 2654435761u + (uint64_t)getpid();

    printf("seed: CLUSTER_SEED=%" PRIu64 "\n", seed);
    return seed;
}

uint64_t cluster_random(uint64_t *seed, uint64_t bound)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*seed >> 33) % bound;
}

/* ---- failing ----------------------------------------------------------------------------------------------------- */

static void show_log(const struct cluster_node *node)
{
    char command[400];
    int ignored;

    printf("---- %s (%s), last lines:\n", node->name, node->log);
    (void)fflush(stdout);
    (void)snprintf(command, sizeof command, "tail -n 25 '%s'", node->log);
    ignored = system(command);
    (void)ignored;
}

void cluster_fail(struct cluster *cluster, const char *format, ...)
{
    va_list arguments;
    int i;

    printf("FAILED: ");
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    for (i = 0; i < cluster->count; i++)
        show_log(&cluster->nodes[i]);
    for (i = 0; i < cluster->count; i++)
        if (cluster->nodes[i].pid > 0)
            (void)kill(cluster->nodes[i].pid, SIGKILL);
    printf("left in place: %s\n", cluster->dir);
    (void)fflush(stdout);
    _exit(1);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/*
 * The socket stays bound, without listening, as long as the test runs: a node may listen there (both sides say
 * SO_REUSEADDR), and connections are refused while none does, but nobody else is given the port meanwhile. Without
 * that, a connection going out could take the port of a killed node, even one that is dialling that very port.
 */
unsigned cluster_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        printf("no port: %s\n", strerror(errno));
        exit(1);
    }
    return ntohs(address.sin_port);
}

static const char *place(const char *variable, const char *fallback)
{
    const char *given = getenv(variable);

    return given && *given ? given : fallback;
}

static const char *gaveld(void)
{
    static char path[512];

    (void)snprintf(path, sizeof path, "%s/core/host/gaveld", place("top_builddir", "."));
    return path;
}

static const char *shim_module(void)
{
    static char path[PATH_MAX];
    char named[600];

    (void)snprintf(named, sizeof named, "%s/tests/cluster/.libs/shim.so", place("top_builddir", "."));
    return realpath(named, path);
}

static void write_config(struct cluster *cluster, int number, const struct cluster_options *options)
{
    struct cluster_node *node = &cluster->nodes[number];
    FILE *out = fopen(node->config, "we");
    int i;

    if (!out)
        cluster_fail(cluster, "cannot write %s: %s", node->config, strerror(errno));
    fprintf(out, "[node]\nname = %s\ndata_dir = %s\n[cluster]\n%s =", node->name, node->data,
            number < cluster->founders ? "members" : "join");
    for (i = 0; i < cluster->founders; i++)
        fprintf(out, " %s%s%s", number < cluster->founders ? cluster->nodes[i].name : "",
                number < cluster->founders ? "=" : "", cluster->nodes[i].uri);
    fprintf(out, "\n[transport.main]\nplugin = %s\nlisten = %s\n", cluster->transport, node->uri);
    fprintf(out, "[statemachine.store]\nplugin = workflow\n[statemachine.counter]\nplugin = counter\n"
                 "[observer.log]\nplugin = log\n%s%s\n",
            options->quiet ? "level = warn\n" : "", options->extra ? options->extra : "");
    if (fclose(out) != 0)
        cluster_fail(cluster, "cannot write %s: %s", node->config, strerror(errno));
}

static void name_node(struct cluster_node *node, int number, const char *dir, const char *scheme)
{
    node->port = cluster_port();
    (void)snprintf(node->name, sizeof node->name, "node-%d", number);
    (void)snprintf(node->uri, sizeof node->uri, "%s://127.0.0.1:%u", scheme, node->port);
    (void)snprintf(node->config, sizeof node->config, "%s/node-%d.ini", dir, number);
    (void)snprintf(node->data, sizeof node->data, "%s/node-%d", dir, number);
    (void)snprintf(node->log, sizeof node->log, "%s/node-%d.log", dir, number);
}

void cluster_make(struct cluster *cluster, const struct cluster_options *options)
{
    const char *plugins = place("GAVEL_TEST_PLUGINDIR", "tests/plugindir");
    char module[600];
    char dir[sizeof cluster->dir];
    int i;

    memset(cluster, 0, sizeof *cluster);
    cluster->transport = options->transport ? options->transport : "tcp";
    (void)snprintf(module, sizeof module, "%s/gavel-%s-transport.so", plugins, cluster->transport);
    if (access(gaveld(), X_OK) != 0 || access(module, R_OK) != 0) {
        printf("skipped: no %s or no %s\n", gaveld(), module);
        exit(77);
    }
    cluster->shim = options->shim;
    if (cluster->shim && !shim_module()) {
        printf("skipped: no shim\n");
        exit(77);
    }
    (void)setenv("GAVEL_PLUGIN_DIR", plugins, 1);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)snprintf(dir, sizeof dir, "%s/gavel-cluster.XXXXXX", place("TMPDIR", "/tmp"));
    if (!mkdtemp(dir)) {
        printf("cannot make %s: %s\n", dir, strerror(errno));
        exit(1);
    }
    memcpy(cluster->dir, dir, sizeof dir);
    cluster->count = options->nodes;
    cluster->founders = options->founders ? options->founders : options->nodes;
    for (i = 0; i < cluster->count; i++) {
        name_node(&cluster->nodes[i], i + 1, dir, strcmp(cluster->transport, "websocket") == 0 ? "ws" : "tcp");
        (void)snprintf(cluster->endpoints + strlen(cluster->endpoints),
                       sizeof cluster->endpoints - strlen(cluster->endpoints), "%s%s", i ? "," : "",
                       cluster->nodes[i].uri);
    }
    for (i = 0; i < cluster->count; i++)
        write_config(cluster, i, options);
}

/* ---- processes --------------------------------------------------------------------------------------------------- */

void cluster_shim_path(const struct cluster *cluster, int number, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/%s.shim", cluster->dir, cluster->nodes[number].name);
}

/* In the child: what it finds before the C library. */
static void shim_environment(const struct cluster *cluster, int number)
{
    const char *before = getenv("ASAN_OPTIONS");
    char page[340];
    char asan[600];

    cluster_shim_path(cluster, number, page, sizeof page);
    (void)snprintf(asan, sizeof asan, "%s:verify_asan_link_order=0", before ? before : "");
    (void)setenv("GAVEL_SHIM", page, 1);
    (void)setenv("ASAN_OPTIONS", asan, 1);
    (void)setenv("LD_PRELOAD", shim_module(), 1);
}

/* In the child: become gaveld, with its output in a file, and die with the test. */
static void become(const char *config, const char *log)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        _exit(126);
    (void)execl(gaveld(), "gaveld", "--config", config, (char *)NULL);
    _exit(127);
}

void cluster_start(struct cluster *cluster, int number)
{
    struct cluster_node *node = &cluster->nodes[number];

    if (node->pid > 0)
        cluster_fail(cluster, "%s runs already", node->name);
    node->pid = fork();
    if (node->pid < 0)
        cluster_fail(cluster, "cannot fork: %s", strerror(errno));
    if (node->pid == 0 && cluster->shim)
        shim_environment(cluster, number);
    if (node->pid == 0)
        become(node->config, node->log);
}

void cluster_start_all(struct cluster *cluster)
{
    int i;

    for (i = 0; i < cluster->founders; i++)
        cluster_start(cluster, i);
    (void)cluster_leader(cluster, -1);
}

/* Wait for a child, bounded. */
static int await(struct cluster *cluster, pid_t pid, const char *name)
{
    uint64_t until = cluster_now() + STOP_MS;
    int status = 0;
    pid_t ended;

    while ((ended = waitpid(pid, &status, WNOHANG)) == 0) {
        if (cluster_now() > until)
            cluster_fail(cluster, "%s does not end", name);
        cluster_pause(2);
    }
    if (ended < 0)
        cluster_fail(cluster, "%s: %s", name, strerror(errno));
    return status;
}

int cluster_kill(struct cluster *cluster, int number, int signal_number)
{
    struct cluster_node *node = &cluster->nodes[number];
    int status;

    if (node->pid <= 0)
        cluster_fail(cluster, "%s does not run", node->name);
    (void)kill(node->pid, signal_number);
    status = await(cluster, node->pid, node->name);
    node->pid = 0;
    return status;
}

int cluster_run(struct cluster *cluster, const char *config, char *text, size_t size)
{
    char log[300];
    FILE *in;
    size_t got = 0;
    pid_t pid;
    int status;

    (void)snprintf(log, sizeof log, "%s/run.log", cluster->dir);
    (void)unlink(log);
    pid = fork();
    if (pid < 0)
        cluster_fail(cluster, "cannot fork: %s", strerror(errno));
    if (pid == 0)
        become(config, log);
    status = await(cluster, pid, config);
    in = fopen(log, "re");
    if (in) {
        got = fread(text, 1, size - 1, in);
        (void)fclose(in);
    }
    text[got] = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

void cluster_gavel(struct cluster *cluster, int number, const char *format, ...)
{
    uint64_t until = cluster_now() + CLUSTER_READY_MS;
    char words[400];
    char command[1400];
    char refused[400];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    (void)snprintf(command, sizeof command, "%s/core/cli/gavel --data-dir '%s' --timeout 60s %s >'%s/gavel.log' 2>&1",
                   place("top_builddir", "."), cluster->nodes[number].data, words, cluster->dir);
    (void)snprintf(refused, sizeof refused, "grep -q 'do not answer' '%s/gavel.log'", cluster->dir);
    do { /* again when a busy machine keeps a voter from answering just now, so that nothing was done */
        if (system(command) == 0)
            return;
    } while (system(refused) == 0 && cluster_now() < until);
    (void)snprintf(command, sizeof command, "cat '%s/gavel.log'", cluster->dir);
    if (system(command) != 0)
        puts("(and it said nothing)");
    cluster_fail(cluster, "gavel %s at %s failed", words, cluster->nodes[number].name);
}

void cluster_wipe(struct cluster *cluster, int number)
{
    char command[400];

    if (cluster->nodes[number].pid > 0)
        cluster_fail(cluster, "%s runs", cluster->nodes[number].name);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", cluster->nodes[number].data);
    if (system(command) != 0)
        cluster_fail(cluster, "cannot empty %s", cluster->nodes[number].data);
}

void cluster_remove(struct cluster *cluster)
{
    char command[300];
    int i;
    int ignored;

    for (i = 0; i < cluster->count; i++)
        if (cluster->nodes[i].pid > 0)
            (void)kill(cluster->nodes[i].pid, SIGTERM);
    for (i = 0; i < cluster->count; i++) {
        int status;

        if (cluster->nodes[i].pid <= 0)
            continue;
        status = await(cluster, cluster->nodes[i].pid, cluster->nodes[i].name);
        cluster->nodes[i].pid = 0;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            cluster_fail(cluster, "%s did not stop cleanly: wait status %#x", cluster->nodes[i].name, (unsigned)status);
    }
    (void)snprintf(command, sizeof command, "rm -rf '%s'", cluster->dir);
    ignored = system(command);
    (void)ignored;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

struct gavel_client *cluster_client(struct cluster *cluster, int number)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_client *client = NULL;
    struct gavel_error error = {0, ""};

    options.endpoints = number >= 0 ? cluster->nodes[number].uri : cluster->endpoints;
    options.name = "test";
    options.stay = number >= 0;
    options.timeout_ms = CLUSTER_CALL_MS;
    if (gavel_client_open(&options, &client, &error) != GAVEL_OK)
        cluster_fail(cluster, "%s", error.text);
    return client;
}

int32_t cluster_call(struct gavel_client *client, const char *command, const char *arguments, uint64_t flags,
                     struct gavel_session *session, struct gavel_result **result, struct gavel_error *error)
{
    struct gavel_request request = gavel_request_defaults();

    request.command = command;
    request.form = GAVEL_FORM_TEXT;
    request.arguments = gavel_text(arguments);
    request.flags = flags;
    request.session = session;
    return gavel_call(client, &request, result, error);
}

/* What one node answers to a command of its own; NULL when it does not within `timeout_ms`. */
static struct gavel_result *ask_of(struct cluster *cluster, int number, const char *command, uint64_t timeout_ms)
{
    struct gavel_client *client = cluster_client(cluster, number);
    struct gavel_request request = gavel_request_defaults();
    struct gavel_result *result = NULL;

    request.command = command;
    request.read = GAVEL_STALE;
    request.flags = GAVEL_REPEATABLE;
    request.timeout_ms = timeout_ms;
    (void)gavel_call(client, &request, &result, NULL);
    gavel_client_close(client);
    return result;
}

static struct gavel_result *status_of(struct cluster *cluster, int number, uint64_t timeout_ms)
{
    return ask_of(cluster, number, "gavel.status", timeout_ms);
}

struct gavel_result *cluster_status(struct cluster *cluster, int number)
{
    return status_of(cluster, number, 1000);
}

static bool is_voter(struct cluster *cluster, int number, const char *name)
{
    struct gavel_result *list = ask_of(cluster, number, "gavel.member_list", 1000);
    uint64_t count = list ? gavel_get_count(list->value, "members") : 0;
    bool voter = false;

    for (uint64_t i = 0; i < count; i++) {
        char name_path[40];
        char role_path[40];

        (void)snprintf(name_path, sizeof name_path, "members.%" PRIu64 ".name", i);
        (void)snprintf(role_path, sizeof role_path, "members.%" PRIu64 ".role", i);
        if (gavel_slice_equal(gavel_get_bytes(list->value, name_path), gavel_text(name)))
            voter = gavel_slice_equal(gavel_get_bytes(list->value, role_path), gavel_text("voter")) &&
                    !gavel_get_bool(list->value, "in_flight", 1);
    }
    gavel_result_free(list);
    return voter;
}

void cluster_await_voter(struct cluster *cluster, int number, const char *name)
{
    uint64_t until = cluster_now() + CLUSTER_READY_MS;

    while (!is_voter(cluster, number, name)) {
        if (cluster_now() > until)
            cluster_fail(cluster, "%s is no voter within %d ms", name, CLUSTER_READY_MS);
        cluster_pause(5);
    }
}

void cluster_await_ready(struct cluster *cluster)
{
    uint64_t until = cluster_now() + CLUSTER_READY_MS;
    int i;

    for (i = 0; i < cluster->count; i++) {
        bool ready = cluster->nodes[i].pid <= 0;

        while (!ready) {
            struct gavel_result *status = status_of(cluster, i, 1000);

            ready = status && gavel_get_bool(status->value, "ready", 0);
            gavel_result_free(status);
            if (!ready && cluster_now() > until)
                cluster_fail(cluster, "%s is not ready within %d ms", cluster->nodes[i].name, CLUSTER_READY_MS);
            if (!ready)
                cluster_pause(3);
        }
    }
}

int cluster_leader(struct cluster *cluster, int except)
{
    uint64_t until = cluster_now() + CLUSTER_READY_MS;
    int asked = 0;
    int i;

    while (cluster_now() < until) {
        for (i = 0; i < cluster->count; i++) {
            struct gavel_result *status = NULL;
            bool leads;

            if (i != except && cluster->nodes[i].pid > 0)
                status = status_of(cluster, i, asked++ < FAST_ASKS ? 60 : 1000);
            leads = status && gavel_slice_equal(gavel_get_bytes(status->value, "role"), gavel_text("leader")) &&
                    gavel_get_bool(status->value, "ready", 0);
            gavel_result_free(status);
            if (leads)
                return i;
        }
        cluster_pause(3);
    }
    cluster_fail(cluster, "no leader within %d ms", CLUSTER_READY_MS);
}

/* True when all running nodes have the same applied index, equal to the highest commit, and the same digest. */
static bool settled(struct cluster *cluster)
{
    uint64_t applied = 0;
    uint64_t commit = 0;
    char digest[40] = "";
    bool first = true;
    bool same = true;
    int i;

    for (i = 0; i < cluster->count; i++) {
        struct gavel_result *status;
        struct gavel_slice own;
        uint64_t one;

        if (cluster->nodes[i].pid <= 0)
            continue;
        status = status_of(cluster, i, 2000);
        if (!status)
            return false;
        own = gavel_get_bytes(status->value, "digest");
        one = gavel_get_uint(status->value, "applied", 0);
        if (gavel_get_uint(status->value, "commit", 0) > commit)
            commit = gavel_get_uint(status->value, "commit", 0);
        if (first)
            (void)snprintf(digest, sizeof digest, "%.*s", (int)own.size, own.size ? (const char *)own.data : "");
        same = same && own.size && gavel_slice_equal(own, gavel_text(digest)) && (first || one == applied);
        applied = one;
        first = false;
        gavel_result_free(status);
    }
    return same && applied == commit && commit > 0;
}

void cluster_settle(struct cluster *cluster)
{
    uint64_t until = cluster_now() + CLUSTER_READY_MS;

    while (!settled(cluster)) {
        if (cluster_now() > until)
            cluster_fail(cluster, "the nodes do not agree on applied index and digest within %d ms", CLUSTER_READY_MS);
        cluster_pause(10);
    }
}
