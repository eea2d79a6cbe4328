/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - writers in sessions: see load.h. */
#include "load.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define US_PER_S UINT64_C(1000000)

struct writer {
    struct load *load;
    struct gavel_client *client;
    pthread_t thread;
    int number;
    _Atomic uint64_t done;
};

struct load {
    struct cluster *cluster;
    int count;
    uint64_t pause_us; /* between two writes of one writer */
    atomic_bool stop;
    _Atomic uint64_t acknowledged;
    pthread_mutex_t lock; /* of the two below */
    uint64_t last_us;
    uint64_t gap_us;
    struct writer writers[LOAD_WRITERS_MAX];
};

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

static void wait_until(uint64_t us)
{
    struct timespec at = {.tv_sec = (time_t)(us / US_PER_S), .tv_nsec = (long)(us % US_PER_S * 1000)};

    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void acknowledge(struct load *load)
{
    uint64_t now;

    (void)pthread_mutex_lock(&load->lock);
    now = now_us();
    if (now - load->last_us > load->gap_us)
        load->gap_us = now - load->last_us;
    load->last_us = now;
    (void)pthread_mutex_unlock(&load->lock);
    atomic_fetch_add(&load->acknowledged, 1);
}

/* At its moments, or as fast as answers come when it is behind; it does not catch up on what it missed. */
static void *write_on(void *context)
{
    struct writer *writer = context;
    struct load *load = writer->load;
    struct gavel_session *session = NULL;
    struct gavel_error error = {0, ""};
    uint64_t next = now_us();
    char arguments[32];

    (void)snprintf(arguments, sizeof arguments, "name=load-%d", writer->number);
    if (gavel_session_open(writer->client, &session, &error) != GAVEL_OK)
        cluster_fail(load->cluster, "writer %d: no session: %s", writer->number, error.text);
    while (!atomic_load(&load->stop)) {
        if (cluster_call(writer->client, "counter.increment", arguments, 0, session, NULL, &error) < 0)
            cluster_fail(load->cluster, "a session write failed: writer %d, number %" PRIu64 ": %s", writer->number,
                         atomic_load(&writer->done) + 1, error.text);
        atomic_fetch_add(&writer->done, 1);
        acknowledge(load);
        next = next + load->pause_us > now_us() ? next + load->pause_us : now_us();
        wait_until(next);
    }
    gavel_session_close(session);
    return NULL;
}

struct load *load_start(struct cluster *cluster, int writers, unsigned rate)
{
    struct load *load = calloc(1, sizeof *load);
    uint64_t until = cluster_now() + CLUSTER_READY_MS;
    int i;

    if (!load || writers < 1 || writers > LOAD_WRITERS_MAX)
        cluster_fail(cluster, "no load of %d writers", writers);
    load->cluster = cluster;
    load->count = writers;
    load->pause_us = (uint64_t)writers * US_PER_S / rate;
    load->last_us = now_us();
    (void)pthread_mutex_init(&load->lock, NULL);
    for (i = 0; i < writers; i++) {
        load->writers[i].load = load;
        load->writers[i].number = i;
        load->writers[i].client = cluster_client(cluster, -1);
        if (pthread_create(&load->writers[i].thread, NULL, write_on, &load->writers[i]) != 0)
            cluster_fail(cluster, "cannot start a writer");
    }
    for (i = 0; i < writers; i++) {
        while (atomic_load(&load->writers[i].done) == 0) {
            if (cluster_now() > until)
                cluster_fail(cluster, "writer %d does not begin", i);
            cluster_pause(1);
        }
    }
    return load;
}

uint64_t load_acknowledged(struct load *load)
{
    return atomic_load(&load->acknowledged);
}

void load_await(struct load *load, uint64_t more)
{
    uint64_t wanted = load_acknowledged(load) + more;
    uint64_t until = cluster_now() + CLUSTER_READY_MS;

    while (load_acknowledged(load) < wanted) {
        if (cluster_now() > until)
            cluster_fail(load->cluster, "writes make no progress");
        cluster_pause(1);
    }
}

void load_gap_begin(struct load *load)
{
    (void)pthread_mutex_lock(&load->lock);
    load->last_us = now_us();
    load->gap_us = 0;
    (void)pthread_mutex_unlock(&load->lock);
}

uint64_t load_gap_us(struct load *load)
{
    uint64_t gap;

    (void)pthread_mutex_lock(&load->lock);
    gap = now_us() - load->last_us;
    if (load->gap_us > gap)
        gap = load->gap_us;
    (void)pthread_mutex_unlock(&load->lock);
    return gap;
}

static void check(struct load *load, struct writer *writer)
{
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    char arguments[32];
    int64_t value;

    (void)snprintf(arguments, sizeof arguments, "name=load-%d", writer->number);
    if (cluster_call(writer->client, "counter.get", arguments, GAVEL_REPEATABLE, NULL, &result, &error) < 0)
        cluster_fail(load->cluster, "counter.get: %s", error.text);
    value = gavel_get_int(result->value, NULL, -1);
    gavel_result_free(result);
    if (value != (int64_t)atomic_load(&writer->done))
        cluster_fail(load->cluster, "writer %d was acknowledged %" PRIu64 " times, its counter is %" PRId64,
                     writer->number, atomic_load(&writer->done), value);
}

uint64_t load_stop(struct load *load)
{
    uint64_t acknowledged;
    int i;

    atomic_store(&load->stop, true);
    for (i = 0; i < load->count; i++)
        (void)pthread_join(load->writers[i].thread, NULL);
    for (i = 0; i < load->count; i++) {
        check(load, &load->writers[i]);
        gavel_client_close(load->writers[i].client);
    }
    acknowledged = load_acknowledged(load);
    (void)pthread_mutex_destroy(&load->lock);
    free(load);
    return acknowledged;
}
