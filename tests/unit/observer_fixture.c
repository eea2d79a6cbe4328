/* SPDX-License-Identifier: Apache-2.0 */
/* observer_fixture.c - see observer_fixture.h. */
#define _GNU_SOURCE
#include "tests/unit/observer_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

const struct gavel_plugin *gavel_plugin_prometheus(void);

/* ---- the host ---------------------------------------------------------------------------------------------------- */

static void *resize(void *self, void *old, uint64_t wanted)
{
    struct fixture *fixture = self;

    if (wanted == 0) {
        (void)atomic_fetch_sub(&fixture->live, old != NULL);
        free(old);
        return NULL;
    }
    (void)atomic_fetch_add(&fixture->live, old == NULL);
    return realloc(old, wanted);
}

static void take_log(void *self, uint64_t level, const char *module, struct gavel_slice text)
{
    struct fixture *fixture = self;
    size_t used = strlen(fixture->logged);
    const char *at;

    (void)module;
    (void)snprintf(fixture->logged + used, sizeof fixture->logged - used, "%llu %.*s\n", (unsigned long long)level,
                   (int)text.size, (const char *)text.data);
    at = strstr(fixture->logged, "://127.0.0.1:");
    if (at && !fixture->port)
        fixture->port = (int)strtol(at + 13, NULL, 10);
}

static uint64_t monotonic_ns(void *self)
{
    return atomic_load(&((struct fixture *)self)->now_ms) * 1000000;
}

static int32_t collect(void *self,
                       void (*show)(void *context, uint64_t wall_ms, const struct gavel_series *series, uint64_t count,
                                    uint64_t stride),
                       void *context)
{
    struct fixture *fixture = self;
    unsigned padding = atomic_load(&fixture->padding);
    char *text = calloc(1, padding + 1);
    const struct gavel_attribute attribute = {"padding", {text, padding}};
    const struct gavel_series series[] = {
        {.size = sizeof series[0], .kind = GAVEL_COUNTER, .name = "things.total", .unit = "{thing}", .help = "Things",
         .value = 3},
        {.size = sizeof series[0], .kind = GAVEL_GAUGE, .name = "large", .attributes = &attribute,
         .attribute_count = 1},
    };

    memset(text, 'x', padding);
    (void)atomic_fetch_add(&fixture->collected, 1);
    show(context, 1700000000000, series, padding ? 2 : 1, sizeof series[0]);
    free(text);
    return GAVEL_OK;
}

static int32_t probe(void *self,
                     void (*show)(void *context, const struct gavel_probe *probes, uint64_t count, uint64_t stride),
                     void *context)
{
    struct fixture *fixture = self;
    bool stuck = atomic_load(&fixture->stuck), unready = atomic_load(&fixture->unready);
    const struct gavel_probe probes[] = {
        {sizeof probes[0], "loop", GAVEL_PROBE_READY | GAVEL_PROBE_LIVE, !stuck, stuck ? "it stands" : ""},
        {sizeof probes[0], "leader", GAVEL_PROBE_READY, !unready, unready ? "no leader is known" : ""},
    };

    show(context, probes, 2, sizeof probes[0]);
    return GAVEL_OK;
}

static struct gavel_timer *timer_new(void *self, void (*fire)(void *context), void *context)
{
    struct fixture *fixture = self;

    fixture->fire = fire;
    fixture->fire_context = context;
    return (struct gavel_timer *)(void *)&fixture->timer;
}

static void timer_start(void *self, struct gavel_timer *timer, uint64_t milliseconds)
{
    (void)timer;
    (void)milliseconds;
    ((struct fixture *)self)->timer_set = true;
}

static void timer_free(void *self, struct gavel_timer *timer)
{
    (void)timer;
    ((struct fixture *)self)->timer_set = false;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void fixture_init(struct fixture *fixture, const char *section)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->heap = (struct gavel_heap){GAVEL_END(struct gavel_heap, resize), fixture, resize};
    fixture->host = (struct gavel_host){
        .size = GAVEL_END(struct gavel_host, probe), .self = fixture, .abi_major = GAVEL_ABI_MAJOR,
        .abi_minor = GAVEL_ABI_MINOR, .node = "node-1", .instance = section, .heap = &fixture->heap, .log = take_log,
        .monotonic_ns = monotonic_ns, .timer_new = timer_new, .timer_start = timer_start, .timer_free = timer_free,
        .collect = collect, .probe = probe};
    fixture->listen[0] = gavel_text("127.0.0.1:0");
    fixture->options = (struct prom_options){.listen = {fixture->listen, 1, sizeof fixture->listen[0]},
                                             .connections = 8, .timeout = 10000};
    atomic_store(&fixture->now_ms, 1000000);
    fixture->plugin = gavel_plugin_prometheus();
}

int32_t fixture_check(struct fixture *fixture)
{
    return fixture->plugin->check(&fixture->host, &fixture->options, &fixture->error);
}

int32_t fixture_start(struct fixture *fixture)
{
    int32_t status = fixture->plugin->create(&fixture->host, &fixture->options, &fixture->self, &fixture->error);

    assert_int_equal(status, GAVEL_OK);
    status = fixture->plugin->start(fixture->self, &fixture->error);
    if (status != GAVEL_OK) {
        fixture->plugin->destroy(fixture->self);
        assert_int_equal(atomic_load(&fixture->live), 0);
    }
    return status;
}

static void done(void *context)
{
    struct fixture *fixture = context;

    assert_false(fixture->done);
    fixture->done = true;
}

void fixture_stop(struct fixture *fixture)
{
    unsigned turns = 0;

    fixture->plugin->quiesce(fixture->self, done, fixture);
    while (!fixture->done) { /* as the loop would, and time goes on meanwhile */
        assert_true(fixture->timer_set && turns++ < 60000);
        fixture->timer_set = false;
        (void)atomic_fetch_add(&fixture->now_ms, 10);
        (void)poll(NULL, 0, 1);
        fixture->fire(fixture->fire_context);
    }
    fixture->plugin->destroy(fixture->self);
    assert_int_equal(atomic_load(&fixture->live), 0);
}

/* ---- a client ---------------------------------------------------------------------------------------------------- */

int fixture_connect(const struct fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)fixture->port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {.tv_sec = 30};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

void fixture_send(int fd, const char *text)
{
    size_t size = strlen(text);

    while (size) {
        ssize_t put = send(fd, text, size, MSG_NOSIGNAL);

        if (put <= 0)
            return; /* it was closed: the answer tells */
        text += put;
        size -= (size_t)put;
    }
}

int fixture_answer(int fd, struct answer *answer, bool head_only)
{
    size_t used = 0, wanted = 0;
    const char *length;

    memset(answer->head, 0, sizeof answer->head);
    while (!strstr(answer->head, "\r\n\r\n")) {
        assert_true(used < sizeof answer->head - 1);
        if (recv(fd, answer->head + used, 1, 0) != 1)
            return answer->status = -1;
        used++;
    }
    length = strcasestr(answer->head, "\r\nContent-Length: ");
    assert_non_null(length);
    wanted = head_only ? 0 : strtoul(length + 18, NULL, 10);
    assert_true(wanted < sizeof answer->body);
    for (answer->size = 0; answer->size < wanted;) {
        ssize_t got = recv(fd, answer->body + answer->size, wanted - answer->size, 0);

        if (got <= 0)
            return answer->status = -1;
        answer->size += (size_t)got;
    }
    answer->body[answer->size] = 0;
    return answer->status = (int)strtol(answer->head + 9, NULL, 10);
}

int fixture_get(const struct fixture *fixture, const char *path, const char *fields, struct answer *answer)
{
    int fd = fixture_connect(fixture);
    char request[4096];

    assert_true(fd >= 0);
    (void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, fields);
    fixture_send(fd, request);
    (void)fixture_answer(fd, answer, false);
    (void)close(fd);
    return answer->status;
}

bool fixture_closed(int fd)
{
    char rest[4096];
    ssize_t got;

    while ((got = recv(fd, rest, sizeof rest, 0)) > 0)
        ;
    return got == 0 || (got < 0 && errno == ECONNRESET);
}

bool fixture_gone(int fd)
{
    struct pollfd row = {.fd = fd, .events = 0};

    for (int i = 0; i < 3000; i++)
        if (send(fd, "x", 1, MSG_NOSIGNAL) < 0 || poll(&row, 1, 10) > 0)
            return true;
    return false;
}
