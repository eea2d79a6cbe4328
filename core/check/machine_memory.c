/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_memory.c - memory runs out, at each place once; and nothing is left when a life is over.
 */
#define _GNU_SOURCE
#include "core/check/machine.h"

#include "core/check/drive.h"
#include "core/check/life.h"
#include "core/check/watch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 90       /* of a script, each with its allocations refused one by one */
#define REFUSALS 48      /* of one call: what comes after them is more of the same */
#define LEAK_ENTRIES 150

static const char *ordinal(uint64_t n)
{
    static char text[32];
    const char *end = n % 100 / 10 == 1 ? "th" : n % 10 == 1 ? "st" : n % 10 == 2 ? "nd" : n % 10 == 3 ? "rd" : "th";

    (void)snprintf(text, sizeof text, "%" PRIu64 "%s", n, end);
    return text;
}

/* `drive` becomes what it was when `saved` was taken. */
static void rewind_to(struct drive *drive, const struct chunks *saved, const char *after)
{
    struct gavel_error error;
    char doing[200];
    int32_t status;

    (void)snprintf(doing, sizeof doing, "%s", kit_doing());
    kit_at("restore after %s", after);
    status = drive_restore(drive, saved, &error);
    if (status != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
    kit_at("%s", doing);
}

/* One entry, each of its allocations refused in turn. `want` is what comes of it with memory at hand. */
static void starve_run(struct drive *drive, const struct entry *entry, uint64_t number, const struct chunks *saved,
                       const struct outcome *before, const struct outcome *want)
{
    for (uint64_t n = 1; n <= REFUSALS; n++) {
        const char *what;
        bool hit;

        (void)snprintf(drive->besides, sizeof drive->besides, " with its %s allocation refused", ordinal(n));
        watch_refuse(n);
        drive_run(drive, entry, number);
        hit = watch_refused();
        watch_refuse(0);
        drive->besides[0] = 0;
        what = drive_differs(&drive->last, want);
        if (entry->read && drive->last.status < 0 && hit)
            what = drive_state_differs(before, &drive->last);
        else if (hit && drive->last.status == GAVEL_E_LOCAL)
            what = NULL; /* the node stops: whatever is left is thrown away */
        else if (what && hit && drive->last.status != want->status)
            kit_broken("GAVEL_E_LOCAL, or the outcome with memory", "%s, which would be replicated",
                       kit_status(drive->last.status));
        if (what)
            kit_broken("GAVEL_E_LOCAL, or the outcome with memory", "another %s", what);
        if (!hit && !entry->read)
            rewind_to(drive, saved, "a run with memory");
        if (!hit)
            return;
        rewind_to(drive, saved, "a run that ran out of memory");
    }
}

static void starve_snapshot(struct drive *drive, struct drive *other)
{
    struct outcome before = {0}, after = {0};
    struct gavel_error error;
    struct chunks chunks;

    drive_state(drive, &before);
    for (uint64_t n = 1; n <= REFUSALS; n++) {
        int32_t status;
        bool hit;

        kit_at("snapshot with its %s allocation refused", ordinal(n));
        watch_refuse(n);
        status = drive_snapshot(drive, &chunks, &error);
        hit = watch_refused();
        watch_refuse(0);
        if (status < 0 && error.text[0] == 0)
            kit_broken("a sentence with every negative status", "%s without one", kit_status(status));
        drive_state(drive, &after);
        if (drive_state_differs(&before, &after))
            kit_broken("a snapshot that fails to change nothing", "another %s behind it",
                       drive_state_differs(&before, &after));
        if (status == GAVEL_OK) {
            status = drive_restore(other, &chunks, &error);
            drive_state(other, &after);
            if (status != GAVEL_OK || drive_state_differs(&before, &after))
                kit_broken("a negative status or a whole snapshot", "a snapshot that is not the state");
            chunks_free(&chunks);
        }
        if (!hit)
            break;
    }
    kit_at("snapshot after one that ran out of memory");
    drive_copy(drive, other);
}

static void starve_restore(struct drive *drive, struct drive *other)
{
    struct outcome want = {0}, got = {0};
    struct gavel_error error;
    struct chunks chunks;
    int32_t status;

    drive_state(drive, &want);
    status = drive_snapshot(drive, &chunks, &error);
    assert(status == GAVEL_OK);
    for (uint64_t n = 1; n <= 4 * REFUSALS; n++) {
        bool hit;

        kit_at("restore with its %s allocation refused", ordinal(n));
        watch_refuse(n);
        status = drive_restore(other, &chunks, &error);
        hit = watch_refused();
        watch_refuse(0);
        if (status < 0 && error.text[0] == 0)
            kit_broken("a sentence with every negative status", "%s without one", kit_status(status));
        drive_state(other, &got);
        if (status == GAVEL_OK && drive_state_differs(&want, &got))
            kit_broken("a negative status or the snapshot's state", "another %s", drive_state_differs(&want, &got));
        if (status < 0)
            rewind_to(other, &chunks, "a restore that ran out of memory");
        if (!hit)
            break;
    }
    chunks_free(&chunks);
}

void machine_memory(void)
{
    struct outcome before = {0};
    struct drive drive, other;
    struct script script;

    face_begin();
    if (!watch_allocator())
        kit_skip("allocations cannot be refused under a sanitizer");
    life_starve();
    script_make(&script, "memory", ENTRIES);
    drive_open(&drive, "drive");
    drive_open(&other, "other");
    other.may_stop = true;
    for (uint64_t i = 0; i < script.count; i++) {
        struct gavel_error error;
        struct chunks saved;
        int32_t status;

        kit_at("snapshot before entry %" PRIu64, i + 1);
        drive_state(&drive, &before);
        status = drive_snapshot(&drive, &saved, &error);
        if (status != GAVEL_OK)
            kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
        drive_run(&drive, &script.entries[i], i + 1);
        rewind_to(&other, &saved, "another one");
        starve_run(&other, &script.entries[i], i + 1, &saved, &before, &drive.last);
        chunks_free(&saved);
    }
    starve_snapshot(&drive, &other);
    starve_restore(&drive, &other);
    drive_close(&other);
    drive_close(&drive);
    script_free(&script);
}

/* One whole life with everything in it. */
static void live(void *context)
{
    const struct script *script = context;
    struct drive drive, other;

    drive_open(&drive, "drive");
    drive_open(&other, "other");
    for (uint64_t i = 0; i < script->count; i++) {
        drive_run(&drive, &script->entries[i], i + 1);
        if (i % 40 == 0) {
            kit_at("snapshot and restore");
            drive_copy(&drive, &other);
        }
    }
    drive_close(&other);
    drive_close(&drive);
}

void machine_leaks(void)
{
    struct script script;

    face_begin();
    script_make(&script, "leaks", LEAK_ENTRIES);
    life_repeat(live, &script);
    script_free(&script);
}
