/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_test.c - the network of the torture does what it is told: what is dropped does not arrive, a reset is a reset.
 * Without this, a torture that passes could be one whose faults did nothing. Two namespaces: side 0 dials, side 1
 * listens as node 1.
 */
#define _GNU_SOURCE /* unshare, setns */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PORT 7000
#define SOON_MS 60000 /* what must happen happens by then, on a busy machine too */
#define NEVER_MS 150  /* what must not happen is watched for so long */

static int spaces[2];
static int control = -1;
static int listener = -1;
static int second_listener = -1; /* of the port behind it */
static pid_t proxy;

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- sockets ----------------------------------------------------------------------------------------------------- */

static struct sockaddr_in node_1(int more)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)(PORT + more)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int socket_in(int side)
{
    assert_int_equal(setns(spaces[side], CLONE_NEWNET), 0);
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int listen_at(int more)
{
    struct sockaddr_in address = node_1(more);
    int one = 1;
    int fd = socket_in(1);

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void listen_again(void)
{
    listener = listen_at(0);
}

static bool ready(int fd, int wait_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    return poll(&one, 1, wait_ms) == 1;
}

static int dial_at(int more)
{
    struct sockaddr_in address = node_1(more);
    int fd = socket_in(0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int dial(void)
{
    return dial_at(0);
}

static int answer(void)
{
    assert_true(ready(listener, SOON_MS));
    return accept(listener, NULL, NULL);
}

/* Read until the end, an error or that many bytes; the bytes, or minus the error. */
static int read_all(int fd, int wanted)
{
    char bytes[4096];
    int have = 0;

    while (have < wanted) {
        ssize_t got;

        if (!ready(fd, SOON_MS))
            return -ETIMEDOUT;
        got = recv(fd, bytes, (size_t)(wanted - have < 4096 ? wanted - have : 4096), 0);
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        have += (int)got;
    }
    return have;
}

static void put(int fd, int count)
{
    char bytes[20000];

    assert_true(count <= (int)sizeof bytes);
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(send(fd, bytes, (size_t)count, MSG_NOSIGNAL), count);
}

static long say(const char *line)
{
    char answered[256];
    ssize_t got;

    assert_int_equal(send(control, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
    assert_true(ready(control, SOON_MS));
    got = recv(control, answered, sizeof answered - 1, 0);
    assert_true(got > 0);
    answered[got] = 0;
    assert_memory_equal(answered, "ok", 2);
    return strtol(answered + 2, NULL, 10); /* 0 where it has no number to tell */
}

/* How often that was felt so far. */
static long felt(const char *verb, int from, int to)
{
    char line[64];

    (void)snprintf(line, sizeof line, "felt %s %d %d\n", verb, from, to);
    return say(line);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

struct both {
    int client;
    int server;
};

static struct both both_open(void)
{
    struct both both = {.client = dial()};

    both.server = answer();
    put(both.client, 5);
    assert_int_equal(read_all(both.server, 5), 5);
    put(both.server, 7);
    assert_int_equal(read_all(both.client, 7), 7);
    return both;
}

static void both_close(struct both both)
{
    (void)close(both.client);
    (void)close(both.server);
}

static void what_is_dropped_is_held(void **state)
{
    struct both both = both_open();

    (void)state;
    (void)say("drop 0 1\n");
    put(both.client, 100);
    assert_false(ready(both.server, NEVER_MS));
    put(both.server, 50); /* the other way is open */
    assert_int_equal(read_all(both.client, 50), 50);
    (void)say("open 0 1\n");
    assert_int_equal(read_all(both.server, 100), 100);
    both_close(both);
}

/* Who counts what was done must not count what nobody noticed. */
static void what_met_nothing_was_not_felt(void **state)
{
    static const char *const verbs[] = {"drop", "delay", "rate", "refuse", "reset", "cut"};
    long before[6];
    struct both both = both_open();
    char line[64];

    (void)state;
    for (int i = 0; i < 6; i++)
        before[i] = felt(verbs[i], 0, 1);
    put(both.client, 10); /* there is no rule */
    assert_int_equal(read_all(both.server, 10), 10);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(felt(verbs[i], 0, 1), before[i]);
        if (i != 4) { /* there is a connection to be reset */
            (void)snprintf(line, sizeof line, "%s 0 1 1\n", verbs[i]);
            (void)say(line);
        }
    }
    put(both.server, 10); /* the other way round */
    assert_int_equal(read_all(both.client, 10), 10);
    for (int i = 0; i < 6; i++)
        assert_int_equal(felt(verbs[i], 0, 1), before[i]);
    (void)say("open 0 1\n");
    (void)say("reset 0 1\n");
    assert_true(felt("reset", 0, 1) > before[4]);
    both_close(both);
    before[4] = felt("reset", 0, 1);
    (void)say("reset 0 1\n");
    assert_int_equal(felt("reset", 0, 1), before[4]);
}

static void each_rule_counts_where_it_is_felt(void **state)
{
    struct both both = both_open();
    long before = felt("delay", 0, 1);
    long others = say("felt delay * *\n");
    int fd;

    (void)state;
    (void)say("delay 0 1 1 0\n");
    put(both.client, 10);
    assert_int_equal(read_all(both.server, 10), 10);
    assert_true(felt("delay", 0, 1) > before);
    assert_int_equal(say("felt delay * *\n") - others, felt("delay", 0, 1) - before);
    (void)say("open 0 1\n");
    before = felt("rate", 1, 0);
    (void)say("rate 1 0 100000\n");
    put(both.server, 10);
    assert_int_equal(read_all(both.client, 10), 10);
    assert_true(felt("rate", 1, 0) > before);
    (void)say("open 1 0\n");
    before = felt("drop", 0, 1);
    (void)say("drop 0 1\n");
    put(both.client, 10);
    assert_false(ready(both.server, NEVER_MS));
    assert_true(felt("drop", 0, 1) > before);
    (void)say("open 0 1\n");
    assert_int_equal(read_all(both.server, 10), 10);
    before = felt("cut", 0, 1);
    (void)say("cut 0 1\n");
    put(both.client, 10);
    assert_true(read_all(both.server, 10) < 10);
    assert_true(felt("cut", 0, 1) > before);
    both_close(both);
    before = felt("refuse", 0, 1);
    (void)say("refuse 0 1 1\n");
    fd = dial();
    assert_int_equal(read_all(fd, 1), -ECONNRESET);
    assert_true(felt("refuse", 0, 1) > before);
    (void)say("open 0 1\n");
    (void)close(fd);
}

/* The end of a connection, and a dial, are held as bytes are. */
static void what_waits_is_felt(void **state)
{
    struct both both = both_open();
    long before = felt("drop", 0, 1);

    (void)state;
    (void)say("drop 0 1\n");
    (void)close(both.client);
    assert_false(ready(both.server, NEVER_MS));
    assert_true(felt("drop", 0, 1) > before);
    (void)say("open 0 1\n");
    assert_true(read_all(both.server, 1) <= 0);
    (void)close(both.server);
    before = felt("drop", 1, 0);
    (void)say("drop 1 0\n");
    both.client = dial();
    assert_false(ready(listener, NEVER_MS));
    assert_true(felt("drop", 1, 0) > before);
    (void)say("open 1 0\n");
    both.server = answer();
    both_close(both);
}

static void an_end_is_not_heard_either(void **state)
{
    struct both both = both_open();

    (void)state;
    (void)say("drop * *\n");
    (void)close(both.client);
    assert_false(ready(both.server, NEVER_MS));
    (void)say("open * *\n");
    assert_true(read_all(both.server, 1) <= 0);
    (void)close(both.server);
}

static void a_dial_waits_for_both_ways(void **state)
{
    struct both both;

    (void)state;
    (void)say("drop 1 0\n");
    both.client = dial();
    assert_false(ready(listener, NEVER_MS));
    (void)say("open 1 0\n");
    both.server = answer();
    put(both.client, 3);
    assert_int_equal(read_all(both.server, 3), 3);
    both_close(both);
}

static void delays_and_rates_take_their_time(void **state)
{
    struct both both = both_open();
    uint64_t begun = now_ms();

    (void)state;
    (void)say("delay 0 1 120 0\n");
    put(both.client, 10);
    assert_int_equal(read_all(both.server, 10), 10);
    assert_true(now_ms() - begun >= 120);
    (void)say("open 0 1\n");
    (void)say("rate 1 0 40000\n");
    begun = now_ms();
    put(both.server, 20000);
    assert_int_equal(read_all(both.client, 20000), 20000);
    assert_true(now_ms() - begun >= 400);
    (void)say("open 1 0\n");
    both_close(both);
}

static void a_cut_comes_in_the_middle(void **state)
{
    struct both both = both_open();
    int had;

    (void)state;
    (void)say("cut 0 1\n");
    put(both.client, 5000);
    had = read_all(both.server, 5000);
    assert_true(had < 5000); /* a part, or nothing but the reset */
    assert_int_equal(read_all(both.client, 1), -ECONNRESET);
    both_close(both);
}

static void a_reset_is_one_on_both_sides(void **state)
{
    struct both both = both_open();

    (void)state;
    (void)say("reset 0 1\n");
    assert_int_equal(read_all(both.client, 1), -ECONNRESET);
    assert_int_equal(read_all(both.server, 1), -ECONNRESET);
    both_close(both);
}

static void refused_and_nobody_there_look_alike(void **state)
{
    int fd;

    (void)state;
    (void)say("refuse 0 1 1\n");
    fd = dial();
    assert_int_equal(read_all(fd, 1), -ECONNRESET);
    (void)close(fd);
    (void)say("open 0 1\n");
    (void)close(listener);
    fd = dial();
    assert_int_equal(read_all(fd, 1), -ECONNRESET);
    (void)close(fd);
    listen_again();
    both_close(both_open());
}

/* ---- around them ------------------------------------------------------------------------------------------------- */

static bool raise_loopback(void)
{
    struct ifreq request;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good;

    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, "lo", 3);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    good = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    (void)close(fd);
    return good;
}

/* An ordinary user may make them inside a namespace of users where he is root, for what he executes as well. */
static bool become_root(void)
{
    char map[32];
    int fd;
    bool good;

    (void)snprintf(map, sizeof map, "0 %u 1", (unsigned)geteuid());
    if (unshare(CLONE_NEWUSER) != 0)
        return false;
    fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    good = fd >= 0 && write(fd, map, strlen(map)) == (ssize_t)strlen(map);
    (void)close(fd);
    return good;
}

/* A node has several ports; each leads to itself, and the rules of the link hold for all. */
static void each_port_leads_to_itself(void **state)
{
    int fd = dial_at(1);
    int node;

    (void)state;
    assert_true(ready(second_listener, SOON_MS));
    assert_false(ready(listener, 0));
    node = accept(second_listener, NULL, NULL);
    put(fd, 10);
    assert_int_equal(read_all(node, 10), 10);
    (void)say("reset 0 1\n");
    assert_int_equal(read_all(fd, 1), -ECONNRESET);
    (void)close(fd);
    (void)close(node);
}

/* Two namespaces, without their descriptors closed on exec: the proxy is given them. */
static bool make_spaces(void)
{
    for (int i = 0; i < 2; i++) {
        if (unshare(CLONE_NEWNET) != 0 && (!become_root() || unshare(CLONE_NEWNET) != 0))
            return false;
        spaces[i] = open("/proc/self/ns/net", O_RDONLY);
        if (spaces[i] < 0 || !raise_loopback())
            return false;
    }
    return true;
}

static void start_proxy(const char *path, const char *program)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char numbers[2][16];
    uint64_t until = now_ms() + SOON_MS;

    (void)snprintf(numbers[0], sizeof numbers[0], "%d", spaces[0]);
    (void)snprintf(numbers[1], sizeof numbers[1], "%d", spaces[1]);
    proxy = fork();
    if (proxy == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execl(program, "proxy", path, "7000+1", numbers[0], numbers[1], (char *)NULL);
        _exit(127);
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    while (connect(control, (struct sockaddr *)&address, sizeof address) != 0) {
        if (now_ms() > until || waitpid(proxy, NULL, WNOHANG) != 0) {
            printf("the proxy does not start\n");
            exit(1);
        }
        (void)poll(NULL, 0, 2);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_dropped_is_held),        cmocka_unit_test(an_end_is_not_heard_either),
        cmocka_unit_test(a_dial_waits_for_both_ways),     cmocka_unit_test(delays_and_rates_take_their_time),
        cmocka_unit_test(a_cut_comes_in_the_middle),      cmocka_unit_test(a_reset_is_one_on_both_sides),
        cmocka_unit_test(refused_and_nobody_there_look_alike), cmocka_unit_test(each_port_leads_to_itself),
        cmocka_unit_test(what_met_nothing_was_not_felt), cmocka_unit_test(each_rule_counts_where_it_is_felt),
        cmocka_unit_test(what_waits_is_felt),
    };
    const char *top = getenv("top_builddir");
    const char *temporary = getenv("TMPDIR");
    char program[512];
    char dir[80];
    char path[100];
    int failed;

    (void)snprintf(program, sizeof program, "%s/tests/cluster/proxy", top ? top : ".");
    (void)snprintf(dir, sizeof dir, "%s/gavel-proxy.XXXXXX",
                   temporary && strlen(temporary) < 50 ? temporary : "/tmp");
    if (!mkdtemp(dir)) {
        printf("cannot make %s: %s\n", dir, strerror(errno));
        return 1;
    }
    (void)snprintf(path, sizeof path, "%s/control", dir);
    if (!make_spaces()) {
        printf("skipped: network namespaces are refused: %s\n", strerror(errno));
        (void)rmdir(dir);
        return 77;
    }
    start_proxy(path, program);
    listen_again();
    second_listener = listen_at(1);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)kill(proxy, SIGTERM);
    (void)waitpid(proxy, NULL, 0);
    (void)unlink(path);
    (void)rmdir(dir);
    return failed != 0;
}
