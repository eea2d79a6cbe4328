/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observer.c - an observer may be slow, and its consumer may be dead: that costs dropped events, never the loop. The
 * host's bounded queue sees to the rest; what an observer can still break is what it does on the loop itself.
 */
#define _GNU_SOURCE
#include "core/check/observer.h"

#include "core/check/face.h"
#include "core/check/kit.h"
#include "core/check/life.h"
#include "core/check/watch.h"

#include <assert.h>
#include <fcntl.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS 600
#define FLOOD 4000       /* events into a consumer that takes nothing: many times what a pipe holds */
#define SERIES 24
#define TEXT_MAX 4096    /* bytes of one sentence, as the host cuts it */

/* An instance and the lane that feeds it. */
struct watcher {
    struct face face;
    const struct gavel_observer *observer;
    struct kit_random random;
    char *text;
    atomic_bool stop;
    atomic_uint_fast64_t given;
    uint64_t wanted;
};

static void open_watcher(struct watcher *watcher, const char *what)
{
    struct gavel_error error;
    int32_t status;

    memset(watcher, 0, sizeof *watcher);
    face_init(&watcher->face, "checked");
    status = face_open(&watcher->face, &error);
    if (status != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
    watcher->observer = &kit.plugin->operations.observer;
    watcher->random = kit_random(what);
    watcher->text = malloc(TEXT_MAX + 1);
    assert(watcher->text);
}

static void close_watcher(struct watcher *watcher)
{
    face_close(&watcher->face);
    free(watcher->text);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void give_log(struct watcher *watcher, uint64_t size)
{
    static const char *const modules[] = {"raft", "log", "transport.main", "statemachine.workflow", "x"};
    static const char *const letters[] = {"a", " ", "\"", "\\", "%s", "\xc3\xa4", "\xf0\x9f\x90\xab", "<"};
    struct gavel_trace trace = {.flags = kit_below(&watcher->random, 2)};
    struct gavel_log_event event = {.size = GAVEL_END(struct gavel_log_event, trace),
                                    .wall_ms = kit_next(&watcher->random) >> kit_below(&watcher->random, 40),
                                    .level = 1 + kit_below(&watcher->random, 5), .node = "node-1",
                                    .module = modules[kit_below(&watcher->random, 5)],
                                    .trace = kit_below(&watcher->random, 2) ? &trace : NULL};
    uint64_t used = 0;

    memset(trace.trace_id, 0xab, sizeof trace.trace_id);
    event.wall_ms %= UINT64_C(253402300800000); /* a year of four digits */
    while (used + 4 < size) {
        const char *letter = letters[kit_below(&watcher->random, sizeof letters / sizeof letters[0])];

        memcpy(watcher->text + used, letter, strlen(letter));
        used += strlen(letter);
    }
    event.text = gavel_bytes(watcher->text, used);
    kit_at("log event of %" PRIu64 " bytes", used);
    watch_enter(WATCH_OBSERVER, false);
    watcher->observer->log(watcher->face.self, &event);
    watch_leave();
    memset(watcher->text, '!', TEXT_MAX); /* it was borrowed */
}

static void give_span(struct watcher *watcher)
{
    struct gavel_attribute attributes[3] = {{"command", gavel_text("set")}, {"key", gavel_bytes("\xff\0", 2)},
                                            {"empty", gavel_bytes(NULL, 0)}};
    struct gavel_span span = {.size = GAVEL_END(struct gavel_span, kind), .name = "apply",
                              .start_wall_ns = kit_next(&watcher->random) >> 8, .status = -(int64_t)kit_below(
                                  &watcher->random, 30), .attributes = attributes,
                              .attribute_count = kit_below(&watcher->random, 4),
                              .kind = kit_below(&watcher->random, 8)};

    span.end_wall_ns = span.start_wall_ns + kit_below(&watcher->random, 3);
    memset(&span.context, 0x11, sizeof span.context);
    kit_at("span");
    watch_enter(WATCH_OBSERVER, false);
    watcher->observer->span(watcher->face.self, &span);
    watch_leave();
}

/* Series in rows that are longer than this plugin knows: a newer host's. */
static void give_metrics(struct watcher *watcher)
{
    static const double bounds[] = {0.001, 0.01, 0.1, 1};
    static const uint64_t buckets[] = {0, 5, UINT64_C(1) << 60, 2, 1};
    static const double values[] = {0, 1, -1.5, DBL_MAX, 5e-324, (double)NAN, (double)INFINITY};
    static const struct gavel_attribute attribute = {"peer", {"node-2", 6}};
    uint64_t stride = sizeof(struct gavel_series) + 16;
    unsigned char *rows = calloc(SERIES, stride);
    uint64_t count = kit_below(&watcher->random, SERIES + 1);

    assert(rows);
    for (uint64_t i = 0; i < count; i++) {
        struct gavel_series series = {
            .size = GAVEL_END(struct gavel_series, start_wall_ns), .kind = 1 + i % 3,
            .name = "log.sync.seconds", .unit = "s",
            .help = "A sentence", .attributes = i % 2 ? &attribute : NULL, .attribute_count = i % 2,
            .value = values[kit_below(&watcher->random, sizeof values / sizeof values[0])], .bounds = bounds,
            .buckets = buckets, .bound_count = 4, .count = 8, .sum = 3.5,
            .start_wall_ns = 1699999000000000000};

        memcpy(rows + i * stride, &series, sizeof series);
        memset(rows + i * stride + sizeof series, 0xff, 16);
    }
    kit_at("metrics of %" PRIu64 " series", count);
    watch_enter(WATCH_OBSERVER, false);
    watcher->observer->metrics(watcher->face.self, 1700000000000, (const void *)rows, count, stride);
    watch_leave();
    memset(rows, 0xee, SERIES * stride);
    free(rows);
}

static void give(struct watcher *watcher, uint64_t i)
{
    const struct gavel_observer *observer = watcher->observer;

    if (observer->wants & GAVEL_OBSERVE_LOGS)
        give_log(watcher, i % 50 == 0 ? TEXT_MAX : kit_below(&watcher->random, 200));
    if (observer->wants & GAVEL_OBSERVE_SPANS)
        give_span(watcher);
    if (observer->wants & GAVEL_OBSERVE_METRICS && i % 20 == 0)
        give_metrics(watcher);
    if (observer->flush && i % 8 == 0) {
        kit_at("flush");
        watch_enter(WATCH_OBSERVER, false);
        observer->flush(watcher->face.self);
        watch_leave();
    }
}

/* The observer lane. */
static void *feed(void *context)
{
    struct watcher *watcher = context;

    watch_own_thread();
    for (uint64_t i = 0; i < watcher->wanted && !atomic_load(&watcher->stop); i++) {
        give(watcher, i);
        atomic_fetch_add(&watcher->given, 1);
    }
    return NULL;
}

void observer_events(void)
{
    struct watcher watcher;
    pthread_t lane;
    int failed;

    face_begin();
    open_watcher(&watcher, "events");
    watcher.wanted = EVENTS;
    failed = pthread_create(&lane, NULL, feed, &watcher);
    assert(failed == 0);
    (void)pthread_join(lane, NULL);
    face_turn();
    close_watcher(&watcher);
}

/* ---- a dead consumer --------------------------------------------------------------------------------------------- */

/* stdout and stderr of this process become `fd`. */
static void speak_to(int fd)
{
    (void)dup2(fd, STDOUT_FILENO);
    (void)dup2(fd, STDERR_FILENO);
}

static uint64_t rest(void)
{
    uint64_t never = 0;

    (void)face_until(&never, 1, 20);
    return never;
}

/* Events while nobody listens; on the loop, a reload comes back meanwhile. `drain`: then somebody listens again. */
static void flood(const char *what, int consumer, int drain)
{
    const struct gavel_plugin *head = &kit.plugin->head;
    char sink[65536];
    struct gavel_error error = {.code = 0};
    struct watcher watcher;
    pthread_t lane;
    uint64_t before;
    int failed;

    open_watcher(&watcher, what);
    watcher.wanted = FLOOD;
    speak_to(consumer);
    failed = pthread_create(&lane, NULL, feed, &watcher);
    assert(failed == 0);
    /* Until the lane is done, or stands still. */
    do {
        before = atomic_load(&watcher.given);
        (void)rest();
    } while (atomic_load(&watcher.given) < FLOOD && atomic_load(&watcher.given) != before);
    for (int i = 0; head->reload && i < 2; i++) {
        kit_at("reload on the loop while %s", what);
        watch_enter(WATCH_LOOP, false);
        (void)head->reload(watcher.face.self, kit.values, &error);
        watch_leave();
        (void)rest();
    }
    kit_at("log, span, metrics or flush while %s, and then is there again", what);
    atomic_store(&watcher.stop, true);
    while (drain >= 0 && pthread_tryjoin_np(lane, NULL) != 0) {
        struct pollfd poll_for = {.fd = drain, .events = POLLIN};

        if (poll(&poll_for, 1, 10) > 0 && read(drain, sink, sizeof sink) <= 0)
            break;
    }
    if (drain < 0)
        (void)pthread_join(lane, NULL);
    kit_at("quiesce after a time in which %s", what);
    close_watcher(&watcher);
}

void observer_dead_consumer(void)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC), closed[2], stuck[2];
    int failed = pipe2(closed, O_CLOEXEC) | pipe2(stuck, O_CLOEXEC);

    assert(failed == 0);
    face_begin();
    (void)close(closed[0]);
    flood("its output goes to a pipe that is closed", closed[1], -1);
    if (full >= 0)
        flood("its output goes to a disk that is full", full, -1);
    flood("its output goes to a pipe that nobody reads", stuck[1], stuck[0]);
    kit_at("nothing");
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

void observer_memory(void)
{
    struct watcher watcher;

    face_begin();
    if (!watch_allocator())
        kit_skip("allocations cannot be refused under a sanitizer");
    life_starve();
    open_watcher(&watcher, "memory");
    for (uint64_t n = 1; n <= 200; n++) {
        bool hit;

        watch_refuse(n);
        for (uint64_t i = 0; i < 24; i++)
            give(&watcher, i);
        hit = watch_refused();
        watch_refuse(0);
        face_turn();
        if (!hit)
            break;
    }
    close_watcher(&watcher);
}

static void live(void *context)
{
    struct watcher watcher;

    (void)context;
    open_watcher(&watcher, "leaks");
    for (uint64_t i = 0; i < 60; i++)
        give(&watcher, i);
    face_turn();
    close_watcher(&watcher);
}

void observer_leaks(void)
{
    face_begin();
    life_repeat(live, NULL);
}
