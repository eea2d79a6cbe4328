/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probes.c - the last answers of the loop under a lock that is held for a copy only: `show` runs without it, and may
 * take its time.
 */
#include "core/host/probes.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define PROBES_MAGIC 0xd16a70e3u
#define NAME_ROOM 32
#define REASON_ROOM 256

struct row {
    char name[NAME_ROOM];
    char reason[REASON_ROOM];
    uint64_t questions;
    uint64_t ok;
};

struct said {
    struct row row[HOST_PROBES_MAX];
    uint64_t count;
    uint64_t at_ms; /* 0: nothing was said yet */
};

struct host_probes {
    uint32_t magic;
    pthread_mutex_t lock;
    struct said said;
};

struct host_probes *host_probes_new(void)
{
    struct host_probes *probes = calloc(1, sizeof *probes);

    if (!probes)
        return NULL;
    probes->magic = PROBES_MAGIC;
    if (pthread_mutex_init(&probes->lock, NULL) != 0) {
        free(probes);
        return NULL;
    }
    return probes;
}

struct host_probes *host_probes_free(struct host_probes *probes)
{
    if (!probes)
        return NULL;
    assert(probes->magic == PROBES_MAGIC);
    (void)pthread_mutex_destroy(&probes->lock);
    probes->magic = 0;
    free(probes);
    return NULL;
}

void host_probes_put(struct host_probes *probes, const struct gavel_probe *rows, uint64_t count, uint64_t now_ms)
{
    assert(probes->magic == PROBES_MAGIC);
    assert(count < HOST_PROBES_MAX);
    (void)pthread_mutex_lock(&probes->lock);
    for (uint64_t i = 0; i < count; i++) {
        struct row *row = &probes->said.row[i];

        (void)snprintf(row->name, sizeof row->name, "%s", rows[i].name);
        (void)snprintf(row->reason, sizeof row->reason, "%s", rows[i].ok ? "" : rows[i].reason);
        row->questions = rows[i].questions;
        row->ok = rows[i].ok;
    }
    probes->said.count = count;
    probes->said.at_ms = now_ms;
    (void)pthread_mutex_unlock(&probes->lock);
}

static void look_at_loop(const struct said *said, uint64_t now_ms, struct gavel_probe *row, char reason[REASON_ROOM])
{
    uint64_t silent = said->at_ms && now_ms > said->at_ms ? now_ms - said->at_ms : 0;

    reason[0] = 0;
    if (silent >= HOST_PROBES_LATE_MS)
        (void)snprintf(reason, REASON_ROOM, "the node's event loop has not turned for %llu ms",
                       (unsigned long long)silent);
    *row = (struct gavel_probe){.size = GAVEL_END(struct gavel_probe, reason), .name = "loop",
                                .questions = GAVEL_PROBE_READY | GAVEL_PROBE_LIVE,
                                .ok = silent < HOST_PROBES_LATE_MS, .reason = reason};
}

void host_probes_show(struct host_probes *probes, uint64_t now_ms,
                      void (*show)(void *context, const struct gavel_probe *rows, uint64_t count, uint64_t stride),
                      void *context)
{
    struct gavel_probe rows[HOST_PROBES_MAX];
    char reason[REASON_ROOM];
    struct said said;

    assert(probes->magic == PROBES_MAGIC);
    (void)pthread_mutex_lock(&probes->lock);
    said = probes->said;
    (void)pthread_mutex_unlock(&probes->lock);
    look_at_loop(&said, now_ms, &rows[0], reason);
    for (uint64_t i = 0; i < said.count; i++)
        rows[i + 1] = (struct gavel_probe){.size = GAVEL_END(struct gavel_probe, reason), .name = said.row[i].name,
                                           .questions = said.row[i].questions, .ok = said.row[i].ok,
                                           .reason = said.row[i].reason};
    show(context, rows, said.count + 1, sizeof rows[0]);
}
