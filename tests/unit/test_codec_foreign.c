/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_codec_foreign.c - a foreign client: written from gavel-protocol(7) and gavel-tcp(7) alone, without a header
 * of gavel.
 * It talks to a real gaveld over a unix socket, says hello in MessagePack by hand, and then JSON. Skips where
 * gaveld or the
 * JSON plugin was not built.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64] = "/tmp/gavel-foreign-XXXXXX";
static pid_t daemon_pid;
static int wire = -1;

static void clean_up(void)
{
    char command[128];

    if (daemon_pid > 0) {
        (void)kill(daemon_pid, SIGTERM);
        (void)waitpid(daemon_pid, NULL, 0);
    }
    (void)snprintf(command, sizeof command, "rm -rf %s", directory);
    (void)!system(command);
}

static void die(const char *what, const char *more)
{
    fprintf(stderr, "foreign client: %s: %s\n", what, more);
    exit(1);
}

/* ---- the daemon -------------------------------------------------------------------------------------------------- */

static void write_ini(const char *path)
{
    FILE *file = fopen(path, "w");

    if (!file)
        die("cannot write", path);
    (void)fprintf(file,
                  "[node]\nname = node-1\ndata_dir = %s/data\nplugin_dir = %s\n"
                  "[cluster]\nmembers = node-1=unix://%s/wire\n"
                  "[transport.main]\nplugin = tcp\nlisten = unix://%s/wire\n"
                  "[serializer]\nplugin = json, msgpack\n"
                  "[statemachine.workflow]\nplugin = workflow\n",
                  directory, getenv("GAVEL_TEST_PLUGINDIR"), directory, directory);
    (void)fclose(file);
}

/* Start it, and read what it says until it leads. */
static void start_daemon(const char *program)
{
    char ini[96];
    char line[1024];
    int ends[2];
    FILE *said;

    (void)snprintf(ini, sizeof ini, "%s/gavel.ini", directory);
    write_ini(ini);
    if (pipe(ends) != 0)
        die("pipe", "");
    daemon_pid = fork();
    if (daemon_pid == 0) {
        (void)dup2(ends[1], 1);
        (void)dup2(ends[1], 2);
        (void)close(ends[0]);
        (void)execl(program, program, "--config", ini, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    said = fdopen(ends[0], "r");
    if (daemon_pid < 0 || !said)
        die("cannot start", program);
    while (fgets(line, sizeof line, said)) {
        fputs(line, stderr);
        if (strstr(line, "Leader elected"))
            return; /* the pipe stays open: it holds more than this daemon has to say */
    }
    die(program, "ended before it led");
}

/* ---- the wire ---------------------------------------------------------------------------------------------------- */

static void put(const void *bytes, size_t size)
{
    if (write(wire, bytes, size) != (ssize_t)size)
        die("write", "failed");
}

static int take(void *bytes, size_t size)
{
    unsigned char *at = bytes;

    while (size > 0) {
        ssize_t got = read(wire, at, size);
        if (got <= 0)
            return 0;
        at += got;
        size -= (size_t)got;
    }
    return 1;
}

static void put_message(const void *bytes, size_t size)
{
    unsigned char length[4] = {(unsigned char)size, (unsigned char)(size >> 8), 0, 0};

    put(length, sizeof length);
    put(bytes, size);
}

/* The next message with a NUL behind it; NULL at the end of the stream. Controls are skipped: the test is short. */
static const char *take_message(void)
{
    static char message[65536];
    unsigned char head[4];
    size_t size;

    do {
        if (!take(head, sizeof head))
            return NULL;
        size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
        if (size >= sizeof message || !take(message, size))
            return NULL;
    } while (head[3] & 0x80);
    message[size] = 0;
    return message;
}

/* The one form of an answer that must come, by its pieces. */
static const char *expect(const char *asked, const char *first, const char *second)
{
    const char *answer = take_message();

    if (!answer)
        die(asked, "the connection was closed");
    if (!strstr(answer, first) || !strstr(answer, second))
        die(asked, answer);
    return answer;
}

static const char *ask(const char *json, const char *first, const char *second)
{
    put_message(json, strlen(json));
    return expect(json, first, second);
}

static void connect_and_greet(void)
{
    static const unsigned char preamble[8] = {'g', 'a', 'v', 'e', 'l', 1, '\r', '\n'};
    /* {type: hello, role: client, version 1.0, serializers: [json]} */
    static const unsigned char hello[] = {0x85, 1, 1, 2, 1, 3, 1, 4, 0, 9, 0x91, 0xa4, 'j', 's', 'o', 'n'};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    unsigned char theirs[8];
    const char *welcome;

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/wire", directory);
    wire = socket(AF_UNIX, SOCK_STREAM, 0);
    if (wire < 0 || connect(wire, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect", address.sun_path);
    put(preamble, sizeof preamble);
    if (!take(theirs, sizeof theirs) || memcmp(theirs, preamble, sizeof preamble) != 0)
        die("preamble", "another one came back");
    put_message(hello, sizeof hello);
    welcome = take_message();
    /* A map whose first pair is type: welcome, and whose second is status: 0; then serializer: json. */
    if (!welcome || ((unsigned char)welcome[0] & 0xf0) != 0x80 ||
        memcmp(welcome + 1, "\x01\x02\x02\x00\x04\xa4json", 9) != 0)
        die("welcome", "not what the page says");
}

/* The number behind a key of a flat part of a JSON answer. */
static unsigned long long number_of(const char *json, const char *key)
{
    const char *at = strstr(json, key);

    if (!at)
        die(key, json);
    return strtoull(at + strlen(key), NULL, 10);
}

static void talk(void)
{
    char line[512];
    unsigned long long session;

    session = number_of(ask("{\"type\":\"request\",\"id\":1,\"command\":\"gavel.session_register\"}", "\"id\":1",
                            "\"index\":"),
                        "\"index\":");
    (void)snprintf(line, sizeof line,
                   "{\"type\":\"request\",\"id\":2,\"command\":\"workflow.set\",\"arguments\":{\"key\":\"color\","
        "\"value\":"
                   "{\"b\":1,\"a\":{\"$base64\":\"/w==\"}}},\"session\":%llu,\"sequence\":1}",
                   session);
    (void)ask(line, "\"id\":2", "\"version\":1");
    strstr(line, "\"id\":2")[5] = '3'; /* the same write again, as if the reply had been lost: applied once */
    (void)ask(line, "\"id\":3", "\"version\":1");
    (void)ask("{\"type\":\"request\",\"id\":4,\"command\":\"get\",\"arguments\":{\"key\":\"color\"}}", "\"id\":4",
              "\"value\":{\"a\":{\"$base64\":\"/w==\"},\"b\":1}");
    (void)ask("{\"type\":\"request\",\"id\":5,\"command\":\"get\",\"arguments\":{\"key\":\"color\"},"
              "\"read\":\"stale\"}",
              "\"id\":5", "\"read\":\"stale\"");
    (void)ask("{\"type\":\"request\",\"id\":6,\"command\":\"set\",\"arguments\":{\"key\":\"color\",\"vlaue\":1}}",
              "\"status\":-1", "unknown argument 'vlaue' of workflow.set; did you mean 'value'?");
    (void)ask("{\"type\":\"request\",\"id\":7,\"command\":\"get\",\"novelty\":1,\"arguments\":{\"key\":\"nothing\"}}",
              "\"id\":7", "\"status\":-2");
    put_message("{\"type\":\"novel\"}", 16); /* skipped */
    (void)ask("{\"type\":\"stream_open\",\"id\":8,\"stream\":\"events\",\"from_index\":1,\"credit\":1}",
              "\"type\":\"stream_event\",\"id\":8", "\"key\":\"color\"");
    (void)ask("{\"type\":\"stream_close\",\"id\":8}", "\"type\":\"stream_end\"", "\"id\":8");
    (void)ask("{\"type\":\"request\",\"id\":9,\"command\":\"gavel.stop\"}", "\"id\":9", "\"status\":-11");
    /* What breaks a table closes the connection. */
    put_message("{\"type\":\"request\",\"id\":\"x\"}", 27);
    while (take_message())
        ;
}

int main(void)
{
    const char *build = getenv("top_builddir");
    const char *plugins = getenv("GAVEL_TEST_PLUGINDIR");
    char program[4096];
    char plugin[4096];

    (void)snprintf(program, sizeof program, "%s/core/host/gaveld", build ? build : ".");
    (void)snprintf(plugin, sizeof plugin, "%s/gavel-json-serializer.so", plugins ? plugins : ".");
    if (access(program, X_OK) != 0 || access(plugin, R_OK) != 0) {
        fprintf(stderr, "foreign client: %s or %s is not there\n", program, plugin);
        return 77;
    }
    if (!mkdtemp(directory))
        die("mkdtemp", directory);
    (void)atexit(clean_up);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)alarm(60);
    start_daemon(program);
    connect_and_greet();
    talk();
    puts("a foreign client is understood");
    return 0;
}
