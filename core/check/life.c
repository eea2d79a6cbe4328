/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life.c - see life.h.
 */
#define _GNU_SOURCE
#include "core/check/life.h"

#include "core/check/face.h"
#include "core/check/kit.h"
#include "core/check/watch.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIVES 4
#define REFUSALS 400       /* allocations of create and start that are refused in turn */
#define SETTLE_MS 3000    /* for threads that were told to end */

/* Entries of a directory of /proc; the directory's own descriptor counts each time alike. */
static uint64_t count_in(const char *path)
{
    uint64_t count = 0;
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    if (dir)
        (void)closedir(dir);
    return count;
}

struct holdings {
    uint64_t blocks, bytes, descriptors, threads;
};

static struct holdings look(void)
{
    struct holdings holdings;

    watch_held(&holdings.blocks, &holdings.bytes);
    holdings.descriptors = count_in("/proc/self/fd");
    holdings.threads = count_in("/proc/self/task");
    return holdings;
}

/* A joined thread is gone from /proc a moment after the join returns. */
static void settle(uint64_t threads)
{
    uint64_t never = 0;

    for (int i = 0; i < SETTLE_MS / 10 && count_in("/proc/self/task") > threads; i++)
        (void)face_until(&never, 1, 10);
}

void life_repeat(void (*live)(void *context), void *context)
{
    struct holdings first = {0}, before = {0}, after;
    const char *left;

    for (int i = 0; i < LIVES; i++) {
        live(context);
        face_turn();
        if (i == 1)
            first = look();
        if (i > 1)
            settle(first.threads);
        after = look();
        left = face_end();
        kit_at("a whole life, from create to destroy");
        if (left)
            kit_broken("nothing to be left on the loop", "a handle of type %s", left);
        if (i > 1 && after.descriptors > before.descriptors)
            kit_broken("every file and socket to be closed", "%" PRIu64 " more open than before",
                       after.descriptors - before.descriptors);
        if (i > 1 && after.threads > before.threads)
            kit_broken("every thread to be ended", "%" PRIu64 " more than before", after.threads - before.threads);
        before = after;
    }
    /* Over several lives: what a library keeps for good comes once. */
    if (after.blocks >= first.blocks + LIVES - 2)
        kit_broken("all memory to be given back", "%" PRIu64 " blocks left by each life",
                   (after.blocks - first.blocks) / (LIVES - 2));
}

void life_starve(void)
{
    uint64_t blocks, bytes, before;
    struct gavel_error error;
    struct face face;

    for (uint64_t n = 1; n <= REFUSALS; n++) {
        int32_t status;
        bool hit;

        watch_held(&before, &bytes);
        face_init(&face, "starved");
        watch_refuse(n);
        status = face_open(&face, &error);
        hit = watch_refused();
        watch_refuse(0);
        if (status < 0 && error.text[0] == 0)
            kit_broken("a sentence with every negative status", "%s without one", kit_status(status));
        if (status < 0 && !hit)
            kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
        if (status == GAVEL_OK)
            face_close(&face);
        face_turn();
        watch_held(&blocks, &bytes);
        /* Libraries set things up on the way: that they are there once is no leak of the plugin's. */
        if (status < 0 && blocks > before + 8) {
            face_init(&face, "starved");
            watch_refuse(n);
            status = face_open(&face, &error);
            watch_refuse(0);
            if (status == GAVEL_OK)
                face_close(&face);
            before = blocks;
            watch_held(&blocks, &bytes);
            if (blocks > before)
                kit_broken("nothing to be left behind by a failure", "%" PRIu64 " blocks", blocks - before);
        }
        if (!hit)
            return;
    }
}

static void open_and_close(void *context)
{
    struct gavel_error error;
    struct face face;
    int32_t status;

    (void)context;
    face_init(&face, "checked");
    status = face_open(&face, &error);
    if (status != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
    face_turn();
    face_close(&face);
}

void life_check(void)
{
    face_begin();
    life_repeat(open_and_close, NULL);
    if (watch_allocator())
        life_starve();
}

void life_reload(void)
{
    const struct gavel_plugin *head = &kit.plugin->head;
    struct gavel_error error;
    struct face face;

    face_begin();
    face_init(&face, "checked");
    if (face_open(&face, &error) != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s", error.text);
    for (int i = 0; head->reload && i < 3; i++) {
        int32_t status;

        kit_at("reload with the same options");
        memset(&error, 0, sizeof error);
        watch_enter(WATCH_LOOP, false);
        status = head->reload(face.self, kit.values, &error);
        watch_leave();
        if (status != GAVEL_OK)
            kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
        face_turn();
    }
    face_close(&face);
}
