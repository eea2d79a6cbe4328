/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify_test.c - a real gaveld and a socket that plays the service manager: what it is told, and when.
 *
 * Every wait has a deadline and a condition; what came so far is kept in one long text, and printed when a wait fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 60000
#define HEARD_MAX (1 << 20)

static char dir[64];
static char heard[HEARD_MAX]; /* all datagrams, each behind a line "--" */
static size_t heard_size;
static int manager = -1;
static char manager_name[108];
static pid_t node;

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the service manager ----------------------------------------------------------------------------------------- */

static void manager_open(bool abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size;

    (void)snprintf(manager_name, sizeof manager_name, "%s%s/notify", abstract ? "@" : "", dir);
    memcpy(address.sun_path, manager_name, strlen(manager_name));
    size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(manager_name) + (abstract ? 0 : 1));
    if (abstract)
        address.sun_path[0] = 0;
    else
        (void)unlink(manager_name);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(manager >= 0);
    assert_int_equal(bind(manager, (struct sockaddr *)&address, size), 0);
    heard_size = 0;
    heard[0] = 0;
}

/* Take one datagram, if one comes within so many milliseconds. */
static bool take(int64_t wait_ms)
{
    struct pollfd poll_of = {.fd = manager, .events = POLLIN};
    ssize_t size;

    if (poll(&poll_of, 1, (int)wait_ms) <= 0)
        return false;
    assert_true(heard_size + 4096 < sizeof heard);
    memcpy(heard + heard_size, "--\n", 4);
    size = recv(manager, heard + heard_size + 3, 4000, 0);
    assert_true(size > 0);
    heard_size += (size_t)size + 3;
    heard[heard_size] = 0;
    return true;
}

static void give_up(const char *what)
{
    fprintf(stderr, "no \"%s\" came; heard so far:\n%s\n", what, heard);
    fail();
}

/* Wait until the line stands behind `from`; where it ends. A line that ends with '*' is a beginning. */
static const char *hear(const char *from, const char *line)
{
    int64_t end = now_ms() + PATIENCE_MS;
    char wanted[300];
    const char *at;

    (void)snprintf(wanted, sizeof wanted, "\n%s", line);
    if (wanted[strlen(wanted) - 1] == '*')
        wanted[strlen(wanted) - 1] = 0;
    else
        (void)snprintf(wanted, sizeof wanted, "\n%s\n", line);
    while (!(at = strstr(from, wanted)))
        if (now_ms() > end || (!take(end - now_ms()) && now_ms() > end))
            give_up(line);
    return at + 1;
}

/* ---- the node ---------------------------------------------------------------------------------------------------- */

static void write_ini(const char *name, const char *members)
{
    char path[128];
    FILE *out;

    (void)snprintf(path, sizeof path, "%s/%s.ini", dir, name);
    out = fopen(path, "w");
    assert_non_null(out);
    fprintf(out, "[node]\nname = node-1\ndata_dir = %s/%s\nstop_timeout = 7s\n[cluster]\nmembers = %s\n", dir, name,
            members);
    fprintf(out, "[transport.main]\nplugin = tcp\nlisten = tcp://127.0.0.1:0\n[statemachine.counter]\n");
    assert_int_equal(fclose(out), 0);
}

/* Start gaveld on NAME.ini, its log in NAME.log. `watchdog_us` 0: none; `pid` is whose watchdog it is, 0: its own. */
static void start(const char *name, const char *socket_name, unsigned long watchdog_us, long pid)
{
    char program[512];
    char config[128];
    char log[128];
    char text[32];

    (void)snprintf(program, sizeof program, "%s/core/host/gaveld", getenv("top_builddir"));
    (void)snprintf(config, sizeof config, "%s/%s.ini", dir, name);
    (void)snprintf(log, sizeof log, "%s/%s.log", dir, name);
    node = fork();
    assert_true(node >= 0);
    if (node > 0)
        return;
    (void)setenv("GAVEL_PLUGIN_DIR", getenv("GAVEL_TEST_PLUGINDIR"), 1);
    (void)setenv("NOTIFY_SOCKET", socket_name, 1);
    (void)unsetenv("WATCHDOG_USEC");
    if (watchdog_us) {
        (void)snprintf(text, sizeof text, "%lu", watchdog_us);
        (void)setenv("WATCHDOG_USEC", text, 1);
        (void)snprintf(text, sizeof text, "%ld", pid ? pid : (long)getpid());
        (void)setenv("WATCHDOG_PID", text, 1);
    }
    (void)dup2(open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), 2);
    (void)execl(program, "gaveld", "--config", config, (char *)NULL);
    _exit(127);
}

/* The node has to end by itself with that code. */
static void leaves(int code)
{
    int64_t end = now_ms() + PATIENCE_MS;
    int status = 0;
    pid_t ended;

    while ((ended = waitpid(node, &status, WNOHANG)) == 0 && now_ms() < end)
        (void)poll(NULL, 0, 10); /* nothing tells of the end of a child but asking */
    assert_int_equal(ended, node);
    node = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static void stop(void)
{
    assert_int_equal(kill(node, SIGTERM), 0);
    leaves(0);
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/gavel-notify-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
    char command[128];

    (void)state;
    if (node > 0) {
        (void)kill(node, SIGKILL);
        (void)waitpid(node, NULL, 0);
        node = 0;
    }
    if (manager >= 0)
        (void)close(manager);
    manager = -1;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

/* Whether somebody answers at the node's admin socket. */
static bool listens(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good;

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s/admin.sock", dir, name);
    good = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return good;
}

/* Wait until the log of the node has that text. */
static void says(const char *name, const char *text)
{
    int64_t end_at = now_ms() + PATIENCE_MS;
    char path[128];
    char log[8192];

    (void)snprintf(path, sizeof path, "%s/%s.log", dir, name);
    do {
        FILE *in = fopen(path, "r");

        log[in ? fread(log, 1, sizeof log - 1, in) : 0] = 0;
        if (in)
            (void)fclose(in);
        if (strstr(log, text))
            return;
        (void)poll(NULL, 0, 10);
    } while (now_ms() < end_at);
    fprintf(stderr, "no \"%s\" in the log:\n%s\n", text, log);
    fail();
}

/* ---- the tests --------------------------------------------------------------------------------------------------- */

static void a_life(void **state)
{
    const char *at;
    unsigned long long us;

    (void)state;
    write_ini("one", "node-1=tcp://127.0.0.1:1");
    manager_open(false);
    start("one", manager_name, 0, 0);
    at = hear(heard, "EXTEND_TIMEOUT_USEC=*");
    assert_true(strtoull(at + strlen("EXTEND_TIMEOUT_USEC="), NULL, 10) >= 30000000);
    at = hear(at, "READY=1");
    assert_true(listens("one"));
    at = hear(heard, "STATUS=leader, term *");

    /* a reload: begins, and ends */
    assert_int_equal(kill(node, SIGHUP), 0);
    at = hear(at, "RELOADING=1");
    at = hear(at, "MONOTONIC_USEC=*");
    us = strtoull(at + strlen("MONOTONIC_USEC="), NULL, 10);
    assert_in_range(us / 1000, (uint64_t)(now_ms() - PATIENCE_MS), (uint64_t)now_ms());
    at = hear(at, "READY=1");

    assert_int_equal(kill(node, SIGTERM), 0);
    at = hear(at, "EXTEND_TIMEOUT_USEC=15000000"); /* stop_timeout, and what plugins may take behind it */
    at = hear(at, "STATUS=stopping");
    at = hear(at, "STOPPING=1");
    leaves(0);
    assert_null(strstr(at, "READY=1"));
    assert_null(strstr(heard, "WATCHDOG=1"));
    assert_null(strstr(heard, "\n\n"));

    /* again over what is there: restored, then ready */
    manager_open(false);
    start("one", manager_name, 0, 0);
    (void)hear(heard, "READY=1");
    (void)hear(heard, "STATUS=leader, term*");
    stop();
}

static void alone_of_three(void **state)
{
    (void)state;
    write_ini("three", "node-1=tcp://127.0.0.1:1, node-2=tcp://127.0.0.1:2, node-3=tcp://127.0.0.1:3");
    manager_open(false);
    start("three", manager_name, 0, 0);
    (void)hear(heard, "READY=1"); /* else starting the first of three would wait for ever */
    (void)hear(heard, "STATUS=founding: it waits for the listed members to found the cluster");
    stop();
}

static void a_watchdog(void **state)
{
    const char *at;

    (void)state;
    write_ini("dog", "node-1=tcp://127.0.0.1:1");
    manager_open(true); /* a name without a file */
    start("dog", manager_name, 100000, 0);
    at = hear(heard, "READY=1");
    for (int i = 0; i < 5; i++)
        at = hear(at, "WATCHDOG=1") + 1;

    /* A loop that stands feeds no dog. */
    assert_int_equal(kill(node, SIGSTOP), 0);
    assert_int_equal(waitpid(node, NULL, WUNTRACED), node);
    while (take(0))
        ;
    at = heard + heard_size;
    assert_false(take(500));
    assert_int_equal(kill(node, SIGCONT), 0);
    (void)hear(at, "WATCHDOG=1");
    stop();
}

static void another_ones_watchdog(void **state)
{
    (void)state;
    write_ini("other", "node-1=tcp://127.0.0.1:1");
    manager_open(true);
    start("other", manager_name, 2000, 1);
    (void)hear(heard, "STATUS=leader, term *");
    stop();
    while (take(0))
        ;
    assert_null(strstr(heard, "WATCHDOG=1"));
}

/* A manager that does not read for a while: the node goes on, and what is true in the end arrives. */
static void a_slow_manager(void **state)
{
    int full = 0;

    (void)state;
    write_ini("slow", "node-1=tcp://127.0.0.1:1");
    manager_open(false);
    /* Fill the socket from here, so that not even the first word fits. */
    {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", manager_name);
        while (sendto(fd, "X=1\n", 4, 0, (struct sockaddr *)&address, sizeof address) == 4)
            full++;
        assert_true(errno == EAGAIN || errno == ENOBUFS);
        (void)close(fd);
    }
    assert_true(full > 0);
    start("slow", manager_name, 0, 0);
    says("slow", "Leader elected");
    (void)hear(heard, "READY=1");
    (void)hear(heard, "STATUS=leader, term *");
    stop();
}

static void no_address(void **state)
{
    (void)state;
    write_ini("none", "node-1=tcp://127.0.0.1:1");
    manager_open(false);
    start("none", "relative/path", 0, 0);
    says("none", "Leader elected");
    says("none", "gaveld: NOTIFY_SOCKET=relative/path is neither a path nor @name");
    stop();
    assert_false(take(0));
}

/* A node that may not start never says that it has. */
static void a_refusal(void **state)
{
    char path[128];
    FILE *out;

    (void)state;
    write_ini("dead", "node-1=tcp://127.0.0.1:1");
    manager_open(false);
    start("dead", manager_name, 0, 0);
    (void)hear(heard, "STATUS=leader, term *");
    assert_int_equal(kill(node, SIGKILL), 0);
    assert_int_equal(waitpid(node, NULL, 0), node);
    node = 0;
    (void)snprintf(path, sizeof path, "%s/dead.ini", dir);
    out = fopen(path, "a");
    assert_non_null(out);
    fprintf(out, "[statemachine.extra]\nplugin = counter\n");
    assert_int_equal(fclose(out), 0);
    manager_open(false);
    start("dead", manager_name, 0, 0);
    leaves(78);
    while (take(0))
        ;
    assert_null(strstr(heard, "READY=1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_life, begin, end),
        cmocka_unit_test_setup_teardown(alone_of_three, begin, end),
        cmocka_unit_test_setup_teardown(a_watchdog, begin, end),
        cmocka_unit_test_setup_teardown(another_ones_watchdog, begin, end),
        cmocka_unit_test_setup_teardown(a_slow_manager, begin, end),
        cmocka_unit_test_setup_teardown(no_address, begin, end),
        cmocka_unit_test_setup_teardown(a_refusal, begin, end),
    };

    if (!getenv("top_builddir") || !getenv("GAVEL_TEST_PLUGINDIR")) {
        (void)fputs("run by make check\n", stderr);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
