/* SPDX-License-Identifier: Apache-2.0 */
/* torture.c - the run from begin to end: see torture.h, and --help below. */
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define SHORT_MS 15000 /* of faults: what make check can give */
#define RATE 320
#define RATE_SLOW 96 /* under a sanitizer */
#define SKIP 77
#define INTERRUPTED 130
#define MAX_MINUTES 600
#define PLANTED_MS 1000 /* what was made not to come is not waited for longer */
#define PLANT_MS 2000   /* of load, before checks are tested */

static volatile sig_atomic_t interrupted;
static volatile pid_t inner_pid;

/* ---- small things ------------------------------------------------------------------------------------------------ */

static uint64_t monotonic_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t torture_now(const struct torture *torture)
{
    return monotonic_ms() - torture->begun_ms;
}

void torture_pause(unsigned milliseconds)
{
    (void)poll(NULL, 0, (int)milliseconds);
}

uint64_t torture_patience(const struct torture *torture, uint64_t milliseconds)
{
    return torture->planting ? PLANTED_MS : milliseconds;
}

bool torture_interrupted(void)
{
    return interrupted != 0;
}

/* splitmix64: any state is a good one. */
uint64_t torture_random(uint64_t *state, uint64_t bound)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return bound ? z % bound : 0;
}

void torture_say(const struct torture *torture, const char *format, ...)
{
    uint64_t now = torture_now(torture);
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("%8.3f  %s\n", (double)now / 1000, text);
}

void torture_short(struct torture *torture, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (!torture->shortfall[0])
        (void)vsnprintf(torture->shortfall, sizeof torture->shortfall, format, arguments);
    va_end(arguments);
}

int torture_run(struct torture *torture, const char *log, char *const words[])
{
    int status = 0;
    pid_t pid = fork();

    if (pid < 0)
        torture_fail(torture, "cannot fork: %s", strerror(errno));
    if (pid == 0) {
        int fd = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

        (void)setsid(); /* a signal to this group is not for it */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (log && (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0))
            _exit(126);
        (void)execvp(words[0], words);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

/* ---- failing ----------------------------------------------------------------------------------------------------- */

static void show_tail(const char *path)
{
    char lines[20][300];
    unsigned count = 0;
    FILE *in = fopen(path, "re");

    while (in && fgets(lines[count % 20], sizeof lines[0], in))
        count++;
    if (in)
        (void)fclose(in);
    printf("---- the end of %s:\n", path);
    for (unsigned i = count > 20 ? count - 20 : 0; i < count; i++)
        (void)fputs(lines[i % 20], stdout);
}

/* The disks are gone with this process: what they hold is copied to where it stays. */
static void keep_data(struct torture *torture)
{
    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];
        char kept[TORTURE_PATH];
        char program[] = "cp";
        char all[] = "-a";
        char sparse[] = "--sparse=always";
        char *words[] = {program, all, sparse, node->data, kept, NULL};

        if (node->pid > 0) {
            (void)kill(node->pid, SIGKILL);
            (void)waitpid(node->pid, NULL, 0);
            node->pid = 0;
        }
        (void)snprintf(kept, sizeof kept, "%s/%s.data", torture->dir, node->name);
        (void)torture_run(torture, "/dev/null", words);
        (void)unlink(node->image);
    }
}

void torture_fail(struct torture *torture, const char *format, ...)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    va_list arguments;

    if (torture->planting && pthread_equal(pthread_self(), torture->planter)) {
        va_start(arguments, format);
        (void)vsnprintf(torture->caught_text, sizeof torture->caught_text, format, arguments);
        va_end(arguments);
        longjmp(torture->caught, 1);
    }
    (void)pthread_mutex_lock(&once); /* never unlocked: the first failure is the one that counts */
    printf("FAILED (seed %" PRIu64 ", at %.3f s): ", torture->seed, (double)torture_now(torture) / 1000);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    if (torture->load)
        (void)fflush(NULL);
    if (interrupted) {
        (void)fflush(stdout);
        _exit(INTERRUPTED); /* nothing stays of it */
    }
    if (!torture->plant) /* it is meant to */
        ledger_write(torture, "failed");
    for (int i = 0; i < torture->slots; i++)
        show_tail(torture->nodes[i].log);
    keep_data(torture);
    printf("kept: data directories, logs, configuration and the history of the clients in %s\n", torture->dir);
    printf("again: torture --seed %" PRIu64 " --nodes %d --seconds %" PRIu64 " --transport %s%s%s\n", torture->seed,
           torture->count, torture->storm_ms / 1000, torture->transport,
           torture->plant ? " --plant" : torture->only ? " --faults " : "",
           torture->only && !torture->plant ? torture->only : "");
    (void)fflush(stdout);
    _exit(1);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static void usage(FILE *out)
{
    fprintf(out,
            "usage: torture [--minutes N | --seconds N] [--nodes 3|5] [--seed S] [options]\n"
            "\n"
            "Real gaveld processes, each in a network namespace and on a disk of its own, under faults drawn from a\n"
            "seed, while 16 clients write and read. Afterwards: no acknowledged write lost or doubled, the clients'\n"
            "history is linearizable, all digests are equal, every node exits with 0, 'gavel data check' and the\n"
            "sanitizers are silent. Without arguments the short form of make check: 15 seconds of faults on 3 nodes.\n"
            "In a run of a minute or more operators change the members, the transports and the addresses meanwhile;\n"
            "from five minutes on a fault or task that was hardly ever done fails the run.\n"
            "\n"
            "  --minutes N, --seconds N  how long there are faults\n"
            "  --nodes N                 3 (the default) or 5\n"
            "  --seed S                  draws the schedule (default: $GAVEL_SEED, else at random); printed first\n"
            "  --faults NAME,...         these and no others, or all of them (all): ");
    storm_list(out);
    fprintf(out,
            "  --transport NAME          tcp or websocket; drawn from the seed without it\n"
            "  --rate N                  operations a second, all clients together (default %d)\n"
            "  --prefix DIR              test what is installed there, not the build's own binaries\n"
            "  --install                 make install into a directory of the run first, and test that\n"
            "  --verbose                 print the whole schedule before it begins\n"
            "  --plant                   test the checks: no faults, but afterwards a write is lost, one doubled, an\n"
            "                            event missed, a digest another, an exit wrong, a directory rotten and so on,\n"
            "                            one after the other; each must be found, and the last ends the run, with 1\n"
            "  --keep                    keep logs and history of a good run as well\n"
            "  --ledger FILE             append a line about the run, as tests/cluster/ledger has them\n"
            "\n"
            "It needs root, or the right to make user namespaces. Without loop devices, or the right to mount ext4 on\n"
            "them, there is no power cut; that is said, as is everything else that is skipped. Exit: 0 good, 1 found\n"
            "something (data, logs and history are kept, and it says where), 77 not possible on this machine.\n", RATE);
}

static const char *variable(const char *name, const char *fallback)
{
    const char *given = getenv(name);

    return given && *given ? given : fallback;
}

static uint64_t fresh_seed(void)
{
    const char *given = getenv("GAVEL_SEED");
    uint64_t seed = 0;

    if (given && *given)
        return strtoull(given, NULL, 10);
    (void)!getrandom(&seed, sizeof seed, 0);
    return seed % 1000000000; /* to be typed */
}

static int bad_usage(const char *what, const char *word)
{
    (void)fprintf(stderr, "torture: %s '%s'; see --help\n", what, word);
    return EX_USAGE;
}

/* One option. 0, or an exit code. */
static int take(struct torture *torture, int option, char *word)
{
    uint64_t number = word ? strtoull(word, NULL, 10) : 0;

    switch (option) {
    case 'm':
    case 's':
        if (number == 0 || number > MAX_MINUTES * (option == 'm' ? 1 : 60))
            return bad_usage("not so long:", word);
        torture->storm_ms = number * (option == 'm' ? 60000 : 1000);
        return 0;
    case 'n':
        if (number != 3 && number != 5)
            return bad_usage("3 or 5 nodes, not", word);
        torture->count = (int)number;
        return 0;
    case 'S': torture->seed = number; return 0;
    case 'f':
        if (!storm_known(word))
            return bad_usage("unknown fault among", word);
        torture->only = word;
        return 0;
    case 't':
        if (strcmp(word, "tcp") != 0 && strcmp(word, "websocket") != 0)
            return bad_usage("tcp or websocket, not", word);
        torture->transport = word;
        return 0;
    case 'r':
        if (number == 0 || number > 100000)
            return bad_usage("no such rate:", word);
        torture->rate = (unsigned)number;
        return 0;
    case 'p': torture->prefix = word; return 0;
    case 'i': torture->staged = true; return 0;
    case 'v': torture->verbose = true; return 0;
    case 'k': torture->keep = true; return 0;
    case 'l': torture->ledger = word; return 0;
    case 'P':
        torture->plant = true;
        torture->only = ""; /* no fault has that name */
        torture->storm_ms = PLANT_MS;
        return 0;
    default: return EX_USAGE;
    }
}

static int read_options(struct torture *torture, int count, char **words)
{
    static const struct option options[] = {
        {"minutes", required_argument, NULL, 'm'}, {"seconds", required_argument, NULL, 's'},
        {"nodes", required_argument, NULL, 'n'},   {"seed", required_argument, NULL, 'S'},
        {"faults", required_argument, NULL, 'f'},  {"transport", required_argument, NULL, 't'},
        {"rate", required_argument, NULL, 'r'},    {"prefix", required_argument, NULL, 'p'},
        {"install", no_argument, NULL, 'i'},       {"verbose", no_argument, NULL, 'v'},
        {"keep", no_argument, NULL, 'k'},          {"help", no_argument, NULL, 'h'},
        {"plant", no_argument, NULL, 'P'},         {"ledger", required_argument, NULL, 'l'},
        {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(count, words, "", options, NULL)) != -1) {
        int code;

        if (option == 'h') {
            usage(stdout);
            exit(0);
        }
        code = take(torture, option, optarg);
        if (code)
            return code;
    }
    return optind < count ? bad_usage("one word too many:", words[optind]) : 0;
}

/* ---- what is tested ---------------------------------------------------------------------------------------------- */

#define RUN_SANITIZED "nm -D '%s' 2>/dev/null | grep -q -E ' (U|T) __(asan|tsan)_init'"

static void find_programs(struct torture *torture)
{
    const char *top = variable("top_builddir", ".");
    const char *plugins = variable("GAVEL_TEST_PLUGINDIR", NULL);

    (void)snprintf(torture->proxy, sizeof torture->proxy, "%s/tests/cluster/proxy", top);
    (void)snprintf(torture->shim, sizeof torture->shim, "%s/tests/cluster/.libs/shim.so", top);
    (void)snprintf(torture->checker, sizeof torture->checker, "%s/tests/linear/linear-check", top);
    if (torture->prefix) {
        (void)snprintf(torture->gaveld, sizeof torture->gaveld, "%s/sbin/gaveld", torture->prefix);
        (void)snprintf(torture->gavel, sizeof torture->gavel, "%s/bin/gavel", torture->prefix);
        (void)snprintf(torture->plugins, sizeof torture->plugins, "%s/lib/gavel", torture->prefix);
        return;
    }
    (void)snprintf(torture->gaveld, sizeof torture->gaveld, "%s/core/host/gaveld", top);
    (void)snprintf(torture->gavel, sizeof torture->gavel, "%s/core/cli/gavel", top);
    if (plugins)
        (void)snprintf(torture->plugins, sizeof torture->plugins, "%s", plugins);
    else
        (void)snprintf(torture->plugins, sizeof torture->plugins, "%s/tests/plugindir", top);
}

/* Absolute: the programs are run with another root of what is relative. False when it is not there. */
static bool absolute(char *path, size_t size, int how)
{
    char *full = realpath(path, NULL);
    bool there = full && access(full, how) == 0 && strlen(full) < size;

    if (there)
        memcpy(path, full, strlen(full) + 1);
    free(full);
    return there;
}

/* Everything that is needed; the name of what is missing, or NULL. */
static const char *missing(struct torture *torture)
{
    char module[600];

    torture->has_shim = absolute(torture->shim, sizeof torture->shim, R_OK);
    if (!absolute(torture->gaveld, sizeof torture->gaveld, X_OK))
        return torture->gaveld;
    if (!absolute(torture->gavel, sizeof torture->gavel, X_OK))
        return torture->gavel;
    if (!absolute(torture->plugins, sizeof torture->plugins, R_OK))
        return torture->plugins;
    if (!absolute(torture->proxy, sizeof torture->proxy, X_OK))
        return torture->proxy;
    if (!absolute(torture->checker, sizeof torture->checker, X_OK))
        return torture->checker;
    (void)snprintf(module, sizeof module, "%s/gavel-json-serializer.so", torture->plugins);
    torture->has_json = access(module, R_OK) == 0;
    (void)snprintf(module, sizeof module, "%s/gavel-websocket-transport.so", torture->plugins);
    if (access(module, R_OK) == 0)
        torture->transports |= WAY_WS;
    (void)snprintf(module, sizeof module, "%s/gavel-tcp-transport.so", torture->plugins);
    if (access(module, R_OK) == 0)
        torture->transports |= WAY_TCP;
    if (!torture->transport)
        torture->transport = (torture->transports & WAY_WS) && torture->seed % 2 ? "websocket" : "tcp";
    return NULL;
}

/* make install below the run's directory, and test what lies there; links give it the form of a prefix. */
static bool install(struct torture *torture)
{
    static const char script[] =
        "make -s -C \"$top\" install DESTDIR=\"$dir/stage\" && mkdir -p \"$dir/prefix/lib\" &&"
        " for name in bin sbin; do"
        "     ln -s \"$dir/stage$(make -s -C \"$top\" print-${name}dir)\" \"$dir/prefix/$name\"; done &&"
        " ln -s \"$dir/stage$(make -s -C \"$top\" print-plugindir)\" \"$dir/prefix/lib/gavel\"";
    static char prefix[128];
    char log[TORTURE_PATH];
    char shell[] = "sh";
    char option[] = "-c";
    char text[sizeof script];
    char *words[] = {shell, option, text, NULL};

    memcpy(text, script, sizeof script);
    (void)snprintf(log, sizeof log, "%s/install.log", torture->dir);
    (void)snprintf(prefix, sizeof prefix, "%s/prefix", torture->dir);
    (void)setenv("top", variable("top_builddir", "."), 1);
    (void)setenv("dir", torture->dir, 1);
    printf("installing into %s\n", torture->dir);
    torture->prefix = prefix;
    return torture_run(torture, log, words) == 0;
}

static void see_sanitizer(struct torture *torture)
{
    char command[700];

    (void)snprintf(command, sizeof command, RUN_SANITIZED, torture->gaveld);
    torture->slow = system(command) == 0;
    if (!torture->rate)
        torture->rate = torture->slow ? RATE_SLOW : RATE;
}

/* All addresses that a node may ever have: a client is told them, since the node may have moved when it comes. */
static void list_addresses(struct torture *torture, struct torture_node *node)
{
    static const unsigned turns[] = {WAY_TRANSPORTS, WAY_MOVED, WAY_TRANSPORTS | WAY_MOVED};
    char address[TORTURE_URIS];

    node->way = strcmp(torture->transport, "websocket") == 0 ? WAY_WS : WAY_TCP;
    node_addresses(node, node->way, address);
    (void)snprintf(node->uri, sizeof node->uri, "%.39s", address);
    (void)snprintf(node->uris, sizeof node->uris, "%s", node->uri);
    for (size_t i = 0; i < sizeof turns / sizeof *turns && torture->crew; i++) {
        size_t used = strlen(node->uris);

        node_addresses(node, node->way ^ turns[i], address);
        (void)snprintf(node->uris + used, sizeof node->uris - used, ",%s", address);
    }
}

static void name_nodes(struct torture *torture)
{
    (void)snprintf(torture->history, sizeof torture->history, "%s/history", torture->dir);
    torture->voters = torture->count;
    torture->slots = torture->count + (torture->crew ? TORTURE_SPARES : 0);
    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];

        node->out = node->joins = i >= torture->count;
        node->number = i + 1;
        node->device_fd = -1;
        node->space = -1;
        (void)snprintf(node->name, sizeof node->name, "n%d", i + 1);
        list_addresses(torture, node);
        (void)snprintf(node->disk, sizeof node->disk, "%s/n%d", torture->dir, i + 1);
        (void)snprintf(node->data, sizeof node->data, "%s/n%d/data", torture->dir, i + 1);
        (void)snprintf(node->config, sizeof node->config, "%s/n%d.ini", torture->dir, i + 1);
        (void)snprintf(node->log, sizeof node->log, "%s/n%d.log", torture->dir, i + 1);
        (void)snprintf(node->image, sizeof node->image, "%s/n%d.img", torture->dir, i + 1);
        (void)snprintf(node->shim, sizeof node->shim, "%s/n%d.shim", torture->dir, i + 1);
    }
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static void on_signal(int number)
{
    interrupted = 1;
    if (inner_pid > 0)
        (void)kill(inner_pid, number);
}

static void watch_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static const char *disk_name(const struct torture *torture)
{
    return torture->disk == DISK_LOOP ? "ext4 on loop devices" : torture->disk == DISK_TMPFS ? "tmpfs" : "directories";
}

/* In the namespaces. */
static int inside(struct torture *torture)
{
    char why[200] = "";

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    torture->dice = torture->seed * 3 + 1;
    if (!room_make(torture, why, sizeof why)) {
        printf("skipped: %s\n", why);
        return SKIP;
    }
    printf("disks: %s%s%s\n", disk_name(torture), torture->disk_why[0] ? ", " : "", torture->disk_why);
    node_prepare(torture);
    net_start(torture);
    for (int i = 0; i < torture->count; i++)
        node_start(torture, &torture->nodes[i]);
    node_await_leader(torture);
    torture_say(torture, "the cluster is founded");
    watch_start(torture);
    load_start(torture);
    crew_start(torture);
    storm_run(torture);
    crew_stop(torture);
    check_settled(torture);
    crew_restore(torture);
    check_settled(torture);
    load_stop(torture);
    if (torture->plant)
        plant_run(torture);
    watch_end(torture, load_mark(torture));
    watch_check(torture);
    watch_free(torture);
    check_settled(torture);
    load_check(torture);
    load_read(torture);
    printf("network: %s\n", net_do(torture, "stats"));
    load_free(torture);
    check_ends(torture);
    node_report(torture);
    crew_report(torture);
    check_history(torture);
    check_shown(torture);
    net_stop(torture);
    room_leave(torture);
    ledger_write(torture, "good");
    torture_say(torture, "good");
    return 0;
}

static void remove_dir(const char *dir)
{
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0)
        printf("left: %s\n", dir);
}

/* Start the child that does everything, and wait for it; its exit code. */
static int supervise(struct torture *torture)
{
    char why[200] = "";
    int status = 0;
    pid_t pid = room_fork(why, sizeof why);

    if (pid < 0) {
        printf("skipped: %s\n", why);
        return SKIP;
    }
    if (pid == 0) {
        int code = inside(torture);

        (void)fflush(stdout);
        _exit(code);
    }
    inner_pid = pid;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 1;
    inner_pid = 0;
    if (WIFSIGNALED(status)) {
        ledger_write(torture, "failed");
        printf("FAILED: the run was ended by signal %d; what it left is in %s\n", WTERMSIG(status), torture->dir);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int count, char **words)
{
    static struct torture torture = {.count = 3, .storm_ms = SHORT_MS, .proxy_fd = -1,
                                     .lock = PTHREAD_MUTEX_INITIALIZER};
    const char *lacks;
    int code;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    torture.seed = fresh_seed();
    code = read_options(&torture, count, words);
    if (code)
        return code;
    torture.begun_ms = monotonic_ms();
    (void)snprintf(torture.dir, sizeof torture.dir, "%s/gavel-torture.XXXXXX",
                   strlen(variable("TMPDIR", "/tmp")) < 30 ? variable("TMPDIR", "/tmp") : "/tmp");
    if (!mkdtemp(torture.dir)) {
        printf("skipped: cannot make %s: %s\n", torture.dir, strerror(errno));
        return SKIP;
    }
    watch_signals();
    if (torture.staged && !install(&torture)) {
        printf("FAILED: make install, see %s/install.log\n", torture.dir);
        return 1;
    }
    find_programs(&torture);
    lacks = missing(&torture);
    if (lacks) {
        printf("skipped: no %s\n", lacks);
        remove_dir(torture.dir);
        return SKIP;
    }
    see_sanitizer(&torture);
    crew_make(&torture);
    name_nodes(&torture);
    printf("seed: GAVEL_SEED=%" PRIu64 ", %d nodes, %s, %u operations a second, %" PRIu64 " s of faults\n%s\n",
           torture.seed, torture.count, torture.transport, torture.rate, torture.storm_ms / 1000, torture.gaveld);
    code = supervise(&torture);
    if ((code == 0 && !torture.keep) || code == SKIP || code == INTERRUPTED)
        remove_dir(torture.dir);
    else
        printf("left in place: %s\n", torture.dir);
    return code;
}
