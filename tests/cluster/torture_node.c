/* SPDX-License-Identifier: Apache-2.0 */
/* torture_node.c - the processes of the nodes: see torture.h. */
#define _GNU_SOURCE /* setns, syncfs */

#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

extern char **environ;

#define YOUNG_MS 10000 /* gaveld that young may not have set up its signals yet and dies of SIGTERM */
#define ENVIRONMENT_MAX 512
#define STOP_LOOKS 300 /* of a millisecond: SIGSTOP takes hardly one */

/* ---- before ------------------------------------------------------------------------------------------------------ */

/* Of one transport. */
static void put_address(const struct torture_node *node, unsigned way, bool tcp, char text[40])
{
    int port = TORTURE_PORT + (tcp ? 1 : 0) + (way & WAY_MOVED ? 2 : 0);

    (void)snprintf(text, 40, "%s://127.0.0.%d:%d", tcp ? "tcp" : "ws", node->number, port);
}

void node_addresses(const struct torture_node *node, unsigned way, char text[TORTURE_URIS])
{
    char ws[40];
    char tcp[40];

    put_address(node, way, false, ws);
    put_address(node, way, true, tcp);
    (void)snprintf(text, TORTURE_URIS, "%s%s%s", way & WAY_WS ? ws : "",
                   (way & WAY_TRANSPORTS) == WAY_TRANSPORTS ? "," : "", way & WAY_TCP ? tcp : "");
}

/* Who founds names all that found; who joins, every address that anybody who is there may have. */
static void write_members(struct torture *torture, const struct torture_node *node, FILE *out)
{
    bool first = true;

    fprintf(out, "[cluster]\n%s =", node->joins ? "join" : "members");
    for (int i = 0; i < torture->slots; i++) {
        const struct torture_node *other = &torture->nodes[i];
        char addresses[TORTURE_URIS];

        if (node->joins ? other == node || other->out : i >= torture->count)
            continue;
        node_addresses(other, other->way, addresses);
        if (!node->joins)
            fprintf(out, "%s \\\n    %s=%s", first ? "" : ",", other->name, other->uri);
        else
            fprintf(out, "%s \\\n    %s", first ? "" : ",", addresses);
        first = false;
    }
}

static void write_transports(struct torture_node *node, FILE *out)
{
    char address[40];

    for (int tcp = 0; tcp < 2; tcp++) {
        if (!(node->way & (tcp ? WAY_TCP : WAY_WS)))
            continue;
        put_address(node, node->way, tcp != 0, address);
        fprintf(out, "\n[transport.%s]\nplugin = %s\nlisten = %s", tcp ? "fast" : "web", tcp ? "tcp" : "websocket",
                address);
    }
}

static void write_config(struct torture *torture, struct torture_node *node, FILE *out)
{
    bool json = (node->way & WAY_JSON) != 0;

    fprintf(out, "[node]\nname = %s\ndata_dir = %s\ndrain_timeout = 2s\n", node->name, node->data);
    write_members(torture, node, out);
    write_transports(node, out);
    fprintf(out, "\n[statemachine.store]\nplugin = workflow\n[statemachine.counter]\nplugin = counter\n"
                 "[observer.log]\nplugin = log\nlevel = info\n");
    /* Small, so that everything happens often: new segments, snapshots, peers that need one. */
    fprintf(out, "[log]\nsegment_bytes = 2MiB\ntrailing_bytes = 128KiB\ncache_bytes = 128KiB\n"
                 "[snapshot]\nsnapshot_entries = 200\nsnapshot_log_min = 256KiB\nsnapshot_keep = 3\n");
    /* Of the cluster, so the same on every node: sessions that expire when a client is cut off, or hardly ever. */
    fprintf(out, "[session]\nttl = %s\n[serializer]\nplugin = %s\n", torture->seed % 3 == 0 ? "5s" : "10m",
            json ? "json, msgpack" : torture->has_json ? "msgpack, json" : "msgpack");
    /* The machine does other things too; without this there would be more elections than writes. */
    fprintf(out, "[raft]\nelection_timeout_min = %s\nelection_timeout_max = %s\nheartbeat = %s\nredial_max = 500ms\n",
            torture->slow ? "600ms" : "300ms", torture->slow ? "1200ms" : "600ms", torture->slow ? "200ms" : "75ms");
}

void node_configure(struct torture *torture, struct torture_node *node)
{
    char path[TORTURE_PATH + 8];
    FILE *out;

    (void)snprintf(path, sizeof path, "%s.new", node->config);
    out = fopen(path, "we");
    if (!out)
        torture_fail(torture, "%s: %s", path, strerror(errno));
    write_config(torture, node, out);
    if (fclose(out) != 0 || rename(path, node->config) != 0)
        torture_fail(torture, "%s: %s", path, strerror(errno));
}

static void map_shim(struct torture *torture, struct torture_node *node)
{
    int fd = open(node->shim, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, SHIM_BYTES) != 0)
        torture_fail(torture, "%s: %s", node->shim, strerror(errno));
    node->page = mmap(NULL, SHIM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (node->page == MAP_FAILED)
        torture_fail(torture, "%s: %s", node->shim, strerror(errno));
    (void)close(fd);
}

void node_prepare(struct torture *torture)
{
    for (int i = 0; i < torture->slots; i++) {
        size_t used = strlen(torture->endpoints);

        (void)snprintf(torture->endpoints + used, sizeof torture->endpoints - used, "%s%s", i ? "," : "",
                       torture->nodes[i].uris);
        node_configure(torture, &torture->nodes[i]);
        map_shim(torture, &torture->nodes[i]);
    }
}

void node_wipe(struct torture *torture, struct torture_node *node)
{
    char program[] = "rm";
    char option[] = "-rf";
    char *words[] = {program, option, node->data, NULL};
    int disk;

    if (node->cut)
        room_restore(torture, node);
    if (node->pid > 0 || torture_run(torture, NULL, words) != 0)
        torture_fail(torture, "cannot empty %s", node->data);
    disk = open(node->disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (disk < 0 || syncfs(disk) != 0) /* else a power cut would bring it back */
        torture_fail(torture, "%s: %s", node->disk, strerror(errno));
    (void)close(disk);
    node->empty = true;
    node->damaged = node->proofs_hurt = false;
    node->damage = 0;
}

/* ---- up and down ------------------------------------------------------------------------------------------------- */

/* The environment of a node: ours, and what puts the shim before the C library. */
static char **environment_of(const struct torture *torture, const struct torture_node *node)
{
    static char preload[600];
    static char page[TORTURE_PATH + 32];
    static char plugins[600];
    static char asan[600];
    static char *words[ENVIRONMENT_MAX];
    const char *before = getenv("ASAN_OPTIONS");
    size_t count = 0;

    (void)snprintf(preload, sizeof preload, "LD_PRELOAD=%s", torture->shim);
    (void)snprintf(page, sizeof page, SHIM_VARIABLE "=%s", node->shim);
    (void)snprintf(plugins, sizeof plugins, "GAVEL_PLUGIN_DIR=%s", torture->plugins);
    (void)snprintf(asan, sizeof asan, "ASAN_OPTIONS=%s:verify_asan_link_order=0", before ? before : "");
    for (char **at = environ; *at && count < ENVIRONMENT_MAX - 5; at++)
        if (strncmp(*at, "LD_PRELOAD=", 11) != 0 && strncmp(*at, "GAVEL_PLUGIN_DIR=", 17) != 0 &&
            strncmp(*at, "ASAN_OPTIONS=", 13) != 0)
            words[count++] = *at;
    words[count++] = plugins;
    words[count++] = asan;
    if (torture->has_shim) {
        words[count++] = preload;
        words[count++] = page;
    }
    words[count] = NULL;
    return words;
}

/* As fork(), but what this program does at a signal is none of the child's business: one that came before it is
 * another program would be lost. */
static pid_t fork_clean(void)
{
    sigset_t all;
    sigset_t before;
    pid_t pid;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0) {
        (void)signal(SIGINT, SIG_DFL);
        (void)signal(SIGTERM, SIG_DFL);
        (void)signal(SIGHUP, SIG_DFL);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

void node_start(struct torture *torture, struct torture_node *node)
{
    char name[] = "gaveld";
    char option[] = "--config";
    char *words[] = {name, option, node->config, NULL};
    char **environment = environment_of(torture, node);
    int log = open(node->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (node->cut)
        room_restore(torture, node);
    if (log < 0)
        torture_fail(torture, "%s: %s", node->log, strerror(errno));
    node->wanted = node->killed = node->paused = node->clean = false;
    node->may_fail = node->full || __atomic_load_n(&node->page->fail_syncs, __ATOMIC_RELAXED) ||
                     __atomic_load_n(&node->page->fail_writes, __ATOMIC_RELAXED);
    node->state = NODE_RUNNING;
    node->started_ms = torture_now(torture);
    node->starts++;
    node->pid = fork_clean();
    if (node->pid < 0)
        torture_fail(torture, "cannot fork: %s", strerror(errno));
    if (node->pid == 0) {
        (void)setsid(); /* a signal to this group is not for it */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (setns(node->space, CLONE_NEWNET) != 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
            _exit(126);
        (void)execve(torture->gaveld, words, environment);
        _exit(127);
    }
    (void)close(log);
}

#define FELL "LeakSanitizer has encountered a fatal error"

/* gcc's search for leaks, at the very end of a process that has done all else, now and then falls over itself. */
static bool sanitizer_fell(const struct torture *torture, const struct torture_node *node)
{
    char tail[1024] = "";
    int log = torture->slow ? open(node->log, O_RDONLY | O_CLOEXEC) : -1;
    off_t size = log >= 0 ? lseek(log, 0, SEEK_END) : 0;

    if (log >= 0) {
        (void)!pread(log, tail, sizeof tail - 1, size > (off_t)sizeof tail ? size - (off_t)sizeof tail + 1 : 0);
        (void)close(log);
    }
    return strstr(tail, FELL) != NULL;
}

/* What the end of a process means; fails when it should not have ended, or not so. */
static void ended(struct torture *torture, struct torture_node *node, int status)
{
    bool failed = WIFEXITED(status) && WEXITSTATUS(status) == EX_IOERR;
    bool young = torture_now(torture) < node->started_ms + YOUNG_MS;
    bool stopped = node->state == NODE_STOPPING && WIFEXITED(status) &&
                   (WEXITSTATUS(status) == 0 || sanitizer_fell(torture, node));
    bool rotten = WIFEXITED(status) && WEXITSTATUS(status) == EX_DATAERR && node->damaged;
    bool leaves = WIFEXITED(status) && WEXITSTATUS(status) == EX_CONFIG && node->may_leave;
    bool right = node->killed || stopped || rotten || leaves || (failed && node->may_fail) ||
                 (node->state == NODE_STOPPING && young && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);

    node->pid = 0;
    node->state = NODE_DOWN;
    node->paused = false;
    node->clean = stopped;
    if (!right)
        torture_fail(torture, "%s ended with %s %d", node->name, WIFEXITED(status) ? "exit code" : "signal",
                     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    if (leaves) {
        node->left = node->out = true;
        node->wanted = false;
        torture_say(torture, "%s has left with 78", node->name);
    }
    if (rotten) { /* it came upon damage while it ran, and fetches that again from its next start on */
        node->wanted = true;
        torture_say(torture, "%s has left with 65", node->name);
    }
    if (failed && !node->killed) {
        node->failures++;
        node->wanted = !node->full; /* with a full disk it may leave again at once: when there is room */
        torture_say(torture, "%s has left with 74", node->name);
    }
}

bool node_kill(struct torture *torture, struct torture_node *node)
{
    int status = 0;

    if (node->pid <= 0)
        return false;
    node->killed = true;
    (void)kill(node->pid, SIGKILL);
    while (waitpid(node->pid, &status, 0) < 0)
        if (errno != EINTR)
            torture_fail(torture, "%s: %s", node->name, strerror(errno));
    ended(torture, node, status);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

void node_stop(struct torture *torture, struct torture_node *node)
{
    if (node->pid <= 0 || node->state != NODE_RUNNING)
        return;
    node->state = NODE_STOPPING;
    node->told_ms = torture_now(torture);
    (void)kill(node->pid, SIGTERM);
}

bool node_freeze(struct torture_node *node, bool frozen)
{
    siginfo_t info = {.si_pid = 0};

    node->paused = frozen;
    if (node->pid <= 0 || kill(node->pid, frozen ? SIGSTOP : SIGCONT) != 0 || !frozen)
        return false;
    for (int i = 0; i < STOP_LOOKS && info.si_pid != node->pid; i++) { /* a write to its disk goes first */
        if (i > 0)
            torture_pause(1);
        if (waitid(P_PID, (id_t)node->pid, &info, WSTOPPED | WNOHANG) != 0)
            return false;
    }
    return info.si_pid == node->pid;
}

void node_look(struct torture *torture)
{
    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];
        int status = 0;

        if (node->pid > 0 && waitpid(node->pid, &status, WNOHANG) == node->pid)
            ended(torture, node, status);
        if (node->state == NODE_STOPPING && !node->paused &&
            torture_now(torture) > node->told_ms + torture_patience(torture, TORTURE_END_MS)) {
            (void)kill(node->pid, SIGABRT); /* its log may say where it stood */
            torture_fail(torture, "%s does not end %" PRIu64 " ms after SIGTERM", node->name,
                         torture_now(torture) - node->told_ms);
        }
    }
}

/* ---- asked ------------------------------------------------------------------------------------------------------- */

struct gavel_result *node_status(struct torture *torture, struct torture_node *node, uint64_t timeout_ms)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_request request = gavel_request_defaults();
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    char socket[TORTURE_PATH + 24];

    if (!node->client) {
        (void)snprintf(socket, sizeof socket, "unix://%s/admin.sock", node->data);
        options.endpoints = torture->crew ? socket : node->uri; /* whose addresses change */
        options.name = "torture";
        options.stay = 1;
        if (gavel_client_open(&options, &node->client, &error) != GAVEL_OK)
            torture_fail(torture, "%s", error.text);
    }
    request.command = "gavel.status";
    request.read = GAVEL_STALE;
    request.flags = GAVEL_REPEATABLE;
    request.timeout_ms = timeout_ms;
    return gavel_call(node->client, &request, &result, &error) == GAVEL_OK ? result : NULL;
}

struct torture_node *node_leader(struct torture *torture, uint64_t timeout_ms)
{
    struct torture_node *found = NULL;
    uint64_t highest = 0;

    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];
        struct gavel_result *status = node->state == NODE_RUNNING && !node->paused
                                          ? node_status(torture, node, timeout_ms)
                                          : NULL;
        uint64_t term = status ? gavel_get_uint(status->value, "term", 0) : 0;

        /* A leader that was cut off may still believe in itself: the newest term counts. */
        if (term >= highest && status &&
            gavel_slice_equal(gavel_get_bytes(status->value, "role"), gavel_text("leader"))) {
            found = node;
            highest = term;
        }
        gavel_result_free(status);
    }
    return found;
}

void node_await_leader(struct torture *torture)
{
    uint64_t until = torture_now(torture) + TORTURE_READY_MS;

    while (!node_leader(torture, 1000)) {
        node_look(torture);
        if (torture_now(torture) > until)
            torture_fail(torture, "no leader within %d ms", TORTURE_READY_MS);
        if (torture_interrupted())
            torture_fail(torture, "interrupted");
        torture_pause(10);
    }
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

bool node_is_report(const char *line)
{
    static const char *const words[] = {"AddressSanitizer", "ERROR: LeakSanitizer", "ThreadSanitizer", "runtime error:",
                                        "MemorySanitizer", "Assertion `", "assertion failed"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(line, words[i]))
            return true;
    return false;
}

/* What the logs tell of: a run in which none of it happened has shown little. */
static const struct {
    const char *name;
    const char *words;
} tales[] = {{"leaders seen", "Leader elected:"},   {"snapshots made", "Snapshot created"},
             {"snapshots sent", "Sending the snapshot"}, {"installed", "Installed the leader's snapshot"},
             {"torn tails cut", "unfinished write"}, {"recoveries begun", "Recovering:"},
             {"ended", "Recovered:"}};
#define TALES (sizeof tales / sizeof *tales)
#define RECOVERIES 5     /* its place in them */
#define DAMAGES_FLOOR 10 /* a long run in which so much was damaged must have seen a node recover */

unsigned node_says(const struct torture_node *node, const char *words)
{
    FILE *in = fopen(node->log, "re");
    unsigned count = 0;
    char line[1024];

    while (in && fgets(line, sizeof line, in))
        count += strstr(line, words) != NULL;
    if (in)
        (void)fclose(in);
    return count;
}

void node_report(struct torture *torture)
{
    unsigned counts[TALES] = {0};

    for (int i = 0; i < torture->slots; i++)
        for (size_t k = 0; k < TALES; k++)
            counts[k] += node_says(&torture->nodes[i], tales[k].words);
    printf("logs:");
    for (size_t k = 0; k < TALES; k++)
        printf(" %s %u%s", tales[k].name, counts[k], k + 1 < TALES ? "," : "\n");
    if (torture->storm_ms >= TORTURE_LONG_MS && counts[RECOVERIES] == 0 &&
        torture->damages[0] + torture->damages[1] >= DAMAGES_FLOOR)
        torture_short(torture, "%u files were damaged, and no node said that it recovers",
                      torture->damages[0] + torture->damages[1]);
}

void node_check_file(struct torture *torture, const char *what, const char *path)
{
    FILE *in = fopen(path, "re");
    char line[1024];

    while (in && fgets(line, sizeof line, in))
        if (node_is_report(line)) {
            line[strcspn(line, "\n")] = 0;
            (void)fclose(in);
            torture_fail(torture, "a report in %s: %s", what, line);
        }
    if (in)
        (void)fclose(in);
}

void node_check_reports(struct torture *torture)
{
    for (int i = 0; i < torture->slots; i++) {
        char what[40];

        (void)snprintf(what, sizeof what, "the log of %s", torture->nodes[i].name);
        node_check_file(torture, what, torture->nodes[i].log);
    }
}
