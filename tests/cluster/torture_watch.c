/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture_watch.c - watchers: they follow all events of the store through every fault, one at a single node, one at
 * any, one that is slow. Events come in the order of their revisions, none twice; afterwards every acknowledged write
 * of the ledger must have been seen, and no refused one. A watcher that is told "compacted" does what the page says:
 * it reads a revision and goes on behind it; what lies between it was told to have missed.
 */
#include "torture.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NEXT_MS 300      /* one wait for an event */
#define AGAIN_MS 20      /* before a stream that ended is opened again */
#define SLOW_MS 4        /* the slow one, after each event */
#define SLOW_CREDIT 4
#define GAPS_MAX 4096
#define CATCH_UP_MS 60000 /* from the end of the load to the last event */

enum { WATCH_ONE_NODE, WATCH_ANY, WATCH_SLOW };

/* Revisions that it was told to have missed: behind `from`, up to `to`. */
struct gap {
    uint64_t from;
    uint64_t to;
};

struct watcher {
    struct torture *torture;
    struct gavel_client *client;
    pthread_t thread;
    int kind;
    FILE *log;      /* what it was told of streams; events of the ledger */
    uint64_t index; /* the last revision */
    uint64_t ordinal;
    uint64_t first; /* index of the first event */
    uint64_t events;
    uint64_t streams;
    unsigned gap_count;
    struct gap gaps[GAPS_MAX];
    unsigned char *seen[TORTURE_CLIENTS]; /* of the ledgers */
    _Atomic uint64_t reached;             /* `index`, for who waits */
};

struct torture_watch {
    struct watcher watchers[TORTURE_WATCHERS];
    atomic_bool stop;   /* end at once */
    atomic_bool hurry;  /* the load is over: the slow one is not slow any more */
};

static void take(struct watcher *watcher, const struct gavel_stream_event *event)
{
    char key[40];
    int client = 0;
    uint32_t number = 0;

    (void)snprintf(key, sizeof key, "%.*s", (int)event->key.size, event->key.size ? (const char *)event->key.data : "");
    if (event->index < watcher->index || (event->index == watcher->index && event->ordinal <= watcher->ordinal))
        torture_fail(watcher->torture, "watcher %d: the event %" PRIu64 ".%" PRIu64 " (%s) came behind %" PRIu64
                     ".%" PRIu64, watcher->kind, event->index, event->ordinal, key, watcher->index, watcher->ordinal);
    watcher->index = event->index;
    watcher->ordinal = event->ordinal;
    watcher->events++;
    if (!watcher->first)
        watcher->first = event->index;
    if (sscanf(key, "w%d/%u", &client, &number) == 2 && client >= 0 && client < TORTURE_CLIENTS &&
        number < TORTURE_LEDGER_MAX) {
        watcher->seen[client][number] = 1;
        fprintf(watcher->log, "%" PRIu64 " %s at %" PRIu64 ".%" PRIu64 "\n", torture_now(watcher->torture), key,
                event->index, event->ordinal);
    }
    atomic_store(&watcher->reached, event->index);
}

/* Told "compacted": a revision to go on from. False when nobody answers now. */
static bool jump(struct watcher *watcher)
{
    struct gavel_request request = gavel_request_defaults();
    struct gavel_result *result = NULL;
    uint64_t revision;

    request.command = "store.count";
    request.flags = GAVEL_REPEATABLE;
    if (gavel_call(watcher->client, &request, &result, NULL) != GAVEL_OK)
        return false;
    revision = gavel_get_uint(result->value, "revision", 0);
    gavel_result_free(result);
    if (watcher->gap_count == GAPS_MAX || revision < watcher->index)
        torture_fail(watcher->torture, "watcher %d: compacted behind %" PRIu64 " at revision %" PRIu64 ", %u gaps",
                     watcher->kind, watcher->index, revision, watcher->gap_count);
    fprintf(watcher->log, "%" PRIu64 " goes on from %" PRIu64 " behind %" PRIu64 "\n", torture_now(watcher->torture),
            watcher->index, revision);
    watcher->gaps[watcher->gap_count++] = (struct gap){watcher->index, revision};
    watcher->index = revision;
    watcher->ordinal = UINT64_MAX;
    return true;
}

/* One stream from its beginning to its end, whose reason is returned. */
static int32_t follow(struct watcher *watcher, struct torture_watch *watch)
{
    struct gavel_stream_options options = gavel_stream_defaults();
    struct gavel_stream *stream = NULL;
    struct gavel_stream_event event;
    struct gavel_error error = {0, ""};
    int32_t status;

    options.machine = "store";
    options.name = "events";
    options.credit = watcher->kind == WATCH_SLOW ? SLOW_CREDIT : 0;
    options.resume = watcher->index != 0;
    options.index = watcher->index;
    options.ordinal = watcher->ordinal;
    status = gavel_stream_open(watcher->client, &options, &stream, &error);
    watcher->streams++;
    fprintf(watcher->log, "%" PRIu64 " stream behind %" PRIu64 ".%" PRIu64 "\n", torture_now(watcher->torture),
            watcher->index, watcher->ordinal);
    while (!atomic_load(&watch->stop) && (status == GAVEL_OK || status == GAVEL_E_TIMEOUT)) {
        status = gavel_stream_next(stream, NEXT_MS, &event, &error);
        if (status == GAVEL_OK)
            take(watcher, &event);
        if (status == GAVEL_OK && watcher->kind == WATCH_SLOW && !atomic_load(&watch->hurry))
            torture_pause(SLOW_MS); /* what it is there for */
    }
    gavel_stream_close(stream);
    fprintf(watcher->log, "%" PRIu64 " ended with %d at %" PRIu64 ".%" PRIu64 ": %s\n", torture_now(watcher->torture),
            status, watcher->index, watcher->ordinal, error.text);
    if (status == GAVEL_E_CORRUPT || status == GAVEL_E_INTERNAL || status == GAVEL_E_INVALID ||
        status == GAVEL_E_DENIED)
        torture_fail(watcher->torture, "watcher %d: the stream ended with %d: %s", watcher->kind, status, error.text);
    return status;
}

static void *watch_on(void *context)
{
    struct watcher *watcher = context;
    struct torture_watch *watch = watcher->torture->watch;

    while (!atomic_load(&watch->stop))
        if (follow(watcher, watch) != GAVEL_E_COMPACTED || !jump(watcher))
            torture_pause(AGAIN_MS);
    return NULL;
}

void watch_start(struct torture *torture)
{
    struct torture_watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        torture_fail(torture, "memory is out");
    torture->watch = watch;
    for (int i = 0; i < TORTURE_WATCHERS; i++) {
        struct watcher *watcher = &watch->watchers[i];
        struct gavel_client_options options = gavel_client_defaults();
        struct gavel_error error = {0, ""};
        char path[TORTURE_PATH];

        (void)snprintf(path, sizeof path, "%s/watcher-%d", torture->dir, i);
        watcher->log = fopen(path, "we");
        if (!watcher->log)
            torture_fail(torture, "%s: %s", path, strerror(errno));
        watcher->torture = torture;
        watcher->kind = i;
        options.endpoints = i == WATCH_ONE_NODE ? torture->nodes[0].uris : torture->endpoints;
        options.stay = i == WATCH_ONE_NODE;
        options.name = "watcher";
        if (gavel_client_open(&options, &watcher->client, &error) != GAVEL_OK)
            torture_fail(torture, "%s", error.text);
        for (int k = 0; k < TORTURE_CLIENTS; k++) {
            watcher->seen[k] = calloc(TORTURE_LEDGER_MAX, 1);
            if (!watcher->seen[k])
                torture_fail(torture, "memory is out");
        }
        if (pthread_create(&watcher->thread, NULL, watch_on, watcher) != 0)
            torture_fail(torture, "cannot start a watcher");
    }
}

static bool in_a_gap(const struct watcher *watcher, uint64_t index)
{
    for (unsigned i = 0; i < watcher->gap_count; i++)
        if (index > watcher->gaps[i].from && index <= watcher->gaps[i].to)
            return true;
    return false;
}

static uint64_t check_watcher(struct torture *torture, const struct watcher *watcher)
{
    uint64_t shown = 0;

    for (int i = 0; i < TORTURE_CLIENTS; i++) {
        struct torture_entry entry;

        for (uint32_t k = 0; load_entry(torture, i, k, &entry); k++) {
            bool seen = watcher->seen[i][k] != 0;

            if (seen && entry.refused)
                torture_fail(torture, "watcher %d saw w%d/%08u, which was refused", watcher->kind, i, k);
            if (!entry.done || entry.index <= watcher->first || in_a_gap(watcher, entry.index))
                continue;
            if (!seen)
                torture_fail(torture, "watcher %d never saw w%d/%08u of revision %" PRIu64 ", which was acknowledged",
                             watcher->kind, i, k, entry.index);
            shown++;
        }
    }
    return shown;
}

void watch_end(struct torture *torture, uint64_t last)
{
    struct torture_watch *watch = torture->watch;
    uint64_t until = torture_now(torture) + torture_patience(torture, CATCH_UP_MS);

    atomic_store(&watch->hurry, true);
    for (int i = 0; i < TORTURE_WATCHERS; i++) {
        struct watcher *watcher = &watch->watchers[i];

        while (atomic_load(&watcher->reached) < last) {
            if (torture_now(torture) > until)
                torture_fail(torture, "watcher %d has come to revision %" PRIu64 " of %" PRIu64 " and no further", i,
                             (uint64_t)atomic_load(&watcher->reached), last);
            torture_pause(10);
        }
    }
    atomic_store(&watch->stop, true);
    for (int i = 0; i < TORTURE_WATCHERS; i++)
        (void)pthread_join(watch->watchers[i].thread, NULL);
}

void watch_check(struct torture *torture)
{
    for (int i = 0; i < TORTURE_WATCHERS; i++) {
        struct watcher *watcher = &torture->watch->watchers[i];
        uint64_t shown = check_watcher(torture, watcher);

        printf("watcher %d (%s): %" PRIu64 " events in order over %" PRIu64 " streams, %u told gaps; %" PRIu64
               " writes of the ledger, none missing\n", i,
               i == WATCH_ONE_NODE ? "at one node" : i == WATCH_ANY ? "at any" : "slow", watcher->events,
               watcher->streams, watcher->gap_count, shown);
    }
}

void watch_again(struct torture *torture)
{
    struct watcher *watcher = &torture->watch->watchers[0];
    struct gavel_stream_event event = {.index = watcher->index, .ordinal = watcher->ordinal};

    take(watcher, &event);
}

void watch_free(struct torture *torture)
{
    for (int i = 0; i < TORTURE_WATCHERS; i++) {
        struct watcher *watcher = &torture->watch->watchers[i];

        (void)fclose(watcher->log);
        gavel_client_close(watcher->client);
        for (int k = 0; k < TORTURE_CLIENTS; k++)
            free(watcher->seen[k]);
    }
    free(torture->watch);
    torture->watch = NULL;
}
