/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_echo.c - what a message costs on each wire: a server in a process of its own sends everything back to a
 * client that keeps WINDOW messages under way on each of CONNECTIONS connections. Not a test; run it by hand:
 *
 *   transport-echo [tcp|unix|ws] [CONNECTIONS [WINDOW [SIZE [SECONDS]]]]
 *
 * Without arguments it runs the table that tells the transports apart: one message at a time (round trip), a hundred
 * connections with one message each (what clients do), one connection with many (what peers do).
 */
#define _DEFAULT_SOURCE /* wait4 */
#include "transports/transports.h"

#include <assert.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#define CONNECTIONS_MAX 1024
#define SAMPLES_MAX 1000000

struct party;

struct end {
    struct party *party;
    void *connection;
    uint64_t sent_ns; /* of the message under way, when there is one at a time */
};

struct party {
    struct gavel_host host;
    const struct gavel_plugin *plugin;
    const struct gavel_transport *wire;
    void *self;
    bool server;
    struct end ends[CONNECTIONS_MAX];
    uint64_t open;
    uint64_t echoed;
    uint64_t window;
    uint64_t size;
    unsigned char *message;
    uint32_t *samples;
    uint64_t sample_count;
};

static uv_loop_t loop;

static void *resize(void *self, void *old, uint64_t wanted)
{
    (void)self;
    if (wanted == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, wanted);
}

static const struct gavel_heap heap = {.size = GAVEL_END(struct gavel_heap, resize), .resize = resize};

static void on_log(void *self, uint64_t level, const char *module, struct gavel_slice text)
{
    (void)self;
    if (level >= GAVEL_LOG_WARN)
        (void)fprintf(stderr, "%s: %.*s\n", module, (int)text.size, (const char *)text.data);
}

static void send_one(struct end *end, const void *data, uint64_t size)
{
    struct gavel_slice part = gavel_bytes(data, size);

    if (end->party->wire->send(end->party->self, end->connection, &part, 1) != GAVEL_OK) {
        (void)fprintf(stderr, "transport-echo: send refused\n");
        exit(1);
    }
}

static void *on_accepted(void *context, void *connection, const struct gavel_peer *peer)
{
    struct party *party = context;
    struct end *end = &party->ends[party->open++ % CONNECTIONS_MAX];

    (void)peer;
    end->party = party;
    end->connection = connection;
    return end;
}

static void on_connected(void *context, void *cookie, const struct gavel_peer *peer)
{
    struct party *party = context;

    (void)cookie;
    (void)peer;
    party->open++;
}

static void on_message(void *context, void *cookie, struct gavel_slice message)
{
    struct party *party = context;
    struct end *end = cookie;
    uint64_t now;

    if (party->server) {
        send_one(end, message.data, message.size);
        return;
    }
    party->echoed++;
    if (party->window == 1) {
        now = uv_hrtime();
        if (party->sample_count < SAMPLES_MAX)
            party->samples[party->sample_count++] = (uint32_t)((now - end->sent_ns) / 10);
        end->sent_ns = now;
    }
    send_one(end, party->message, party->size);
}

static void on_closed(void *context, void *cookie, uint64_t reason, struct gavel_slice why)
{
    struct party *party = context;

    (void)cookie;
    if (party->server)
        return;
    (void)fprintf(stderr, "transport-echo: closed (%d): %.*s\n", (int)reason, (int)why.size, (const char *)why.data);
    exit(1);
}

static void party_start(struct party *party, const char *scheme, bool server)
{
    struct gavel_transport_events events = {
        .size = GAVEL_END(struct gavel_transport_events, http), .context = party, .accepted = on_accepted,
        .connected = on_connected, .message = on_message, .closed = on_closed};
    struct gavel_transport_limits limits = {.size = GAVEL_END(struct gavel_transport_limits, connections),
                                            .send_high = 64u << 20, .dial_ms = 10000};
    struct gavel_error error = {0, ""};

    party->server = server;
    party->host.size = GAVEL_END(struct gavel_host, submit);
    party->host.self = party;
    party->host.loop = &loop;
    party->host.heap = &heap;
    party->host.log = on_log;
#ifdef WITH_WEBSOCKET
    party->plugin = strcmp(scheme, "ws") == 0 ? gavel_plugin_websocket() : gavel_plugin_tcp();
#else
    party->plugin = gavel_plugin_tcp();
#endif
    party->wire = party->plugin->operations;
    (void)uv_loop_init(&loop);
    if (party->plugin->create(&party->host, NULL, &party->self, &error) != GAVEL_OK ||
        party->wire->prepare(party->self, &events, &limits, &error) != GAVEL_OK ||
        party->plugin->start(party->self, &error) != GAVEL_OK) {
        (void)fprintf(stderr, "transport-echo: %s: %s\n", scheme, error.text);
        exit(1);
    }
}

/* The server's process: tells its URI through the pipe and runs until it is killed. */
static void serve(const char *scheme, int pipe)
{
    static struct party party;
    struct gavel_error error = {0, ""};
    struct gavel_slice bound;
    char uri[128];

    party_start(&party, scheme, true);
    if (strcmp(scheme, "unix") == 0)
        (void)snprintf(uri, sizeof uri, "unix:///tmp/transport-echo-%ld", (long)getpid());
    else
        (void)snprintf(uri, sizeof uri, "%s://127.0.0.1:0", scheme);
    if (party.wire->listen(party.self, gavel_text(uri), &bound, &error) != GAVEL_OK) {
        (void)fprintf(stderr, "transport-echo: %s\n", error.text);
        exit(1);
    }
    (void)!write(pipe, bound.data, bound.size);
    (void)close(pipe);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static double seconds_of(int who)
{
    struct rusage usage;

    (void)getrusage(who, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void on_end(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void run_for(double seconds, bool *over, uv_timer_t *timer)
{
    *over = false;
    timer->data = over;
    (void)uv_timer_start(timer, on_end, (uint64_t)(seconds * 1000), 0);
    while (!*over)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

static void drive(const char *scheme, const char *uri, uint64_t connections, uint64_t window, uint64_t size,
                  double seconds)
{
    static struct party party;
    struct gavel_error error = {0, ""};
    uv_timer_t timer;
    uint64_t begin;
    uint64_t i;
    uint64_t j;
    double cpu;
    bool over;

    memset(&party, 0, sizeof party);
    party_start(&party, scheme, false);
    party.window = window;
    party.size = size;
    party.message = calloc(1, size + 1);
    party.samples = calloc(SAMPLES_MAX, sizeof *party.samples);
    assert(party.message);
    assert(party.samples);
    for (i = 0; i < connections; i++) {
        party.ends[i].party = &party;
        if (party.wire->connect(party.self, gavel_text(uri), &party.ends[i], &party.ends[i].connection, &error) < 0)
            exit(1);
    }
    while (party.open < connections)
        (void)uv_run(&loop, UV_RUN_ONCE);
    for (i = 0; i < connections; i++) {
        party.ends[i].sent_ns = uv_hrtime();
        for (j = 0; j < window; j++)
            send_one(&party.ends[i], party.message, size);
    }
    (void)uv_timer_init(&loop, &timer);
    run_for(0.2, &over, &timer);
    party.echoed = 0;
    party.sample_count = 0;
    cpu = seconds_of(RUSAGE_SELF);
    begin = uv_hrtime();
    run_for(seconds, &over, &timer);
    seconds = (double)(uv_hrtime() - begin) / 1e9;
    cpu = seconds_of(RUSAGE_SELF) - cpu;
    (void)printf("%-5s %4llu connections, %4llu under way on each, %5llu bytes: %9.0f messages/s, "
                 "client %5.2f us cpu each",
                 scheme, (unsigned long long)connections, (unsigned long long)window, (unsigned long long)size,
                 (double)party.echoed / seconds, cpu * 1e6 / (double)party.echoed);
    if (party.sample_count) {
        qsort(party.samples, party.sample_count, sizeof *party.samples, by_size);
        (void)printf(", round trip p50 %.1f us, p99 %.1f us", party.samples[party.sample_count / 2] / 100.0,
                     party.samples[party.sample_count * 99 / 100] / 100.0);
    }
}

/* One row: the server in one process, the client in another, so that each begins afresh. */
static void row(const char *scheme, uint64_t connections, uint64_t window, uint64_t size, double seconds)
{
    char uri[200];
    int ends[2];
    ssize_t length;
    pid_t server;
    pid_t client;
    struct rusage usage;

    (void)fflush(stdout);
    if (pipe(ends) < 0)
        exit(1);
    server = fork();
    if (server == 0) {
        serve(scheme, ends[1]);
        _exit(0);
    }
    (void)close(ends[1]);
    length = read(ends[0], uri, sizeof uri - 1);
    (void)close(ends[0]);
    uri[length > 0 ? length : 0] = 0;
    client = fork();
    if (client == 0) {
        drive(scheme, uri, connections, window, size, seconds);
        (void)fflush(stdout);
        _exit(0);
    }
    (void)waitpid(client, NULL, 0);
    (void)kill(server, SIGTERM);
    (void)wait4(server, NULL, 0, &usage);
    (void)printf(", server %.2f s cpu in all\n",
                 (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    if (strncmp(uri, "unix://", 7) == 0)
        (void)unlink(uri + 7);
}

int main(int argc, char **argv)
{
    static const char *const schemes[] = {"tcp", "unix", "ws"};
    double seconds = argc > 5 ? strtod(argv[5], NULL) : 2;
    size_t i;

    if (argc > 2) {
        uint64_t connections = strtoull(argv[2], NULL, 10);
        row(argv[1], connections < CONNECTIONS_MAX ? connections : CONNECTIONS_MAX,
            argc > 3 ? strtoull(argv[3], NULL, 10) : 1, argc > 4 ? strtoull(argv[4], NULL, 10) : 200, seconds);
        return 0;
    }
    for (i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (argc > 1 && strcmp(argv[1], schemes[i]) != 0)
            continue;
        row(schemes[i], 1, 1, 200, seconds);
        row(schemes[i], 100, 1, 200, seconds);
        row(schemes[i], 1, 16, 200, seconds);
        row(schemes[i], 1, 512, 200, seconds);
        row(schemes[i], 1, 16, 65536, seconds);
    }
    return 0;
}
