/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_snapshot.c - a snapshot is the whole state, whenever it is taken, however it is damaged.
 */
#define _GNU_SOURCE
#include "core/check/machine.h"

#include "core/check/drive.h"
#include "core/check/watch.h"
#include "core/codec/value.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ENTRIES 240
#define EACH 64          /* entries after each of which a snapshot is taken; later only now and then */
#define DAMAGES 160      /* damaged copies of one snapshot */
#define CUTS 5           /* places from which a script is replayed */
#define ADDRESSES (UINT64_C(8) << 30) /* bytes of address space where a damaged length must not take the machine down */

/* What happened with the last entry, in both; `when` is the sentence's end. */
static void same(const struct drive *a, const struct drive *b, const char *when)
{
    const char *what = drive_differs(&a->last, &b->last);

    if (what)
        kit_broken(when, "another %s", what);
}

/* Into a machine that was never used, and into one that has another state to drop. */
static void copy_to_both(struct drive *from, struct drive *used)
{
    struct drive fresh;
    char doing[200];

    (void)snprintf(doing, sizeof doing, "%s", kit_doing());
    drive_open(&fresh, "fresh");
    kit_at("%s, into a fresh instance", doing);
    drive_copy(from, &fresh);
    drive_close(&fresh);
    kit_at("%s, into one that has a state", doing);
    drive_copy(from, used);
}

void machine_snapshots(void)
{
    struct drive one, other;
    struct script script;
    bool restored = false;

    face_begin();
    script_make(&script, "snapshots", ENTRIES);
    drive_open(&one, "one");
    drive_open(&other, "other");
    kit_at("snapshot and restore of the empty state");
    copy_to_both(&one, &other);
    for (uint64_t i = 0; i < script.count; i++) {
        const struct entry *entry = &script.entries[i];

        drive_run(&one, entry, i + 1);
        if (restored) {
            drive_run(&other, entry, i + 1);
            same(&one, &other, "the same outcome from a restored machine");
        }
        if (i >= EACH && i % 11)
            continue;
        kit_at("snapshot and restore after entry %" PRIu64 " (\"%s\")", i + 1, entry->command->name);
        copy_to_both(&one, &other);
        restored = true;
    }
    drive_close(&other);
    drive_close(&one);
    script_free(&script);
}

void machine_restart(void)
{
    struct outcome *outcomes;
    struct chunks saved[CUTS];
    uint64_t cut[CUTS];
    struct gavel_error error;
    struct script script;
    struct drive drive;

    face_begin();
    script_make(&script, "restart", ENTRIES);
    outcomes = calloc(script.count, sizeof *outcomes);
    assert(outcomes);
    drive_open(&drive, "before");
    for (uint64_t i = 0, next = 0; i < script.count; i++) {
        if (next < CUTS && i == next * (script.count - 1) / (CUTS - 1)) {
            kit_at("snapshot before entry %" PRIu64, i + 1);
            if (drive_snapshot(&drive, &saved[next], &error) != GAVEL_OK)
                kit_broken("GAVEL_OK", "%s", error.text);
            cut[next++] = i;
        }
        drive_run(&drive, &script.entries[i], i + 1);
        outcomes[i] = drive.last;
    }
    drive_close(&drive);
    for (uint64_t c = 0; c < CUTS; c++) {
        drive_open(&drive, "after");
        kit_at("restore of the snapshot before entry %" PRIu64 " after a restart", cut[c] + 1);
        if (drive_restore(&drive, &saved[c], &error) != GAVEL_OK)
            kit_broken("GAVEL_OK", "%s", error.text);
        for (uint64_t i = cut[c]; i < script.count; i++) {
            const char *what;

            drive_run(&drive, &script.entries[i], i + 1);
            what = drive_differs(&drive.last, &outcomes[i]);
            if (what)
                kit_broken("the same outcome after a restart (restore and replay)", "another %s", what);
        }
        drive_close(&drive);
        chunks_free(&saved[c]);
    }
    free(outcomes);
    script_free(&script);
}

/* ---- interleaving ------------------------------------------------------------------------------------------------ */

/* A snapshot of which `chunks` are taken before it is let go of. */
static void half(struct drive *drive, int chunks)
{
    struct outcome before = {0}, after = {0};
    struct gavel_error error = {.code = 0};
    void *held = NULL;
    int32_t status;

    kit_at("snapshot that is let go of after %d chunks", chunks);
    drive_state(drive, &before);
    watch_enter(WATCH_APPLY, false);
    status = drive->machine->snapshot_begin(drive->self, &held, &error);
    watch_leave();
    if (status != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
    for (int more = 1; chunks > 0 && more > 0; chunks--) {
        struct gavel_buffer chunk = codec_buffer(0);

        watch_enter(WATCH_APPLY, false);
        more = drive->machine->snapshot_next(drive->self, held, &chunk, &error);
        watch_leave();
        gavel_buffer_free(&chunk);
    }
    watch_enter(WATCH_APPLY, false);
    drive->machine->snapshot_end(drive->self, held);
    watch_leave();
    drive_state(drive, &after);
    if (drive_state_differs(&before, &after))
        kit_broken("a snapshot to change nothing", "another %s behind it", drive_state_differs(&before, &after));
}

/* A thread that walks a snapshot while commands run. */
struct walker {
    struct drive *drive;
    void *held;
    struct chunks chunks;
    int32_t status;
};

static void *walk(void *context)
{
    struct walker *walker = context;
    struct gavel_error error = {.code = 0};

    watch_own_thread();
    do {
        struct gavel_buffer chunk = codec_buffer(0);

        watch_enter(WATCH_WORKER, false);
        walker->status = walker->drive->machine->snapshot_next(walker->drive->self, walker->held, &chunk, &error);
        watch_leave();
        walker->chunks.chunk[walker->chunks.count++] = chunk;
    } while (walker->status > 0 && walker->chunks.count < CHUNKS_MAX);
    return NULL;
}

/* Entries `from` to `to` run while the walker walks: what it saw is the state of before. */
static uint64_t beside(struct drive *drive, struct drive *other, const struct script *script, uint64_t from,
                       uint64_t to)
{
    struct walker walker = {.drive = drive, .chunks = {.chunk = calloc(CHUNKS_MAX, sizeof(struct gavel_buffer))}};
    struct outcome before = {0}, restored = {0};
    struct gavel_error error = {.code = 0};
    pthread_t thread;
    int32_t status;

    assert(walker.chunks.chunk);
    kit_at("snapshot_begin before entry %" PRIu64, from + 1);
    drive_state(drive, &before);
    watch_enter(WATCH_APPLY, false);
    status = drive->machine->snapshot_begin(drive->self, &walker.held, &error);
    watch_leave();
    if (status != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
    status = pthread_create(&thread, NULL, walk, &walker);
    assert(status == 0);
    for (; from < to; from++)
        drive_run(drive, &script->entries[from], from + 1);
    (void)pthread_join(thread, NULL);
    kit_at("snapshot_end after entry %" PRIu64 " (GAVEL_CONCURRENT)", to);
    watch_enter(WATCH_APPLY, false);
    drive->machine->snapshot_end(drive->self, walker.held);
    watch_leave();
    if (walker.status != GAVEL_OK)
        kit_broken("the snapshot to come to its end", "%s", kit_status(walker.status));
    status = drive_restore(other, &walker.chunks, &error);
    if (status != GAVEL_OK)
        kit_broken("a snapshot taken beside commands to be restored", "%s: %s", kit_status(status), error.text);
    drive_state(other, &restored);
    if (drive_state_differs(&before, &restored))
        kit_broken("a snapshot beside commands to hold the state that begin saw", "another %s",
                   drive_state_differs(&before, &restored));
    chunks_free(&walker.chunks);
    return to;
}

void machine_interleaving(void)
{
    struct drive drive, other;
    struct script script;

    face_begin();
    script_make(&script, "interleaving", ENTRIES);
    drive_open(&drive, "drive");
    drive_open(&other, "other");
    for (uint64_t i = 0; i < script.count;) {
        half(&drive, (int)(i % 3));
        if (drive.machine->flags & GAVEL_CONCURRENT) {
            i = beside(&drive, &other, &script, i, i + 24 < script.count ? i + 24 : script.count);
            continue;
        }
        for (uint64_t to = i + 24; i < to && i < script.count; i++)
            drive_run(&drive, &script.entries[i], i + 1);
    }
    kit_at("snapshot after all of it");
    drive_copy(&drive, &other);
    drive_close(&other);
    drive_close(&drive);
    script_free(&script);
}

/* ---- damage ------------------------------------------------------------------------------------------------------ */

static struct gavel_buffer copy_of(const struct gavel_buffer *from)
{
    struct gavel_buffer copy = codec_buffer(0);
    int32_t status = gavel_buffer_append(&copy, from->data, from->size);

    assert(status == GAVEL_OK);
    return copy;
}

static const char *const damages[] = {"a flipped bit", "overwritten bytes", "a chunk cut short", "a chunk left out",
                                      "a chunk twice", "bytes behind a chunk", "random bytes instead",
                                      "no chunks at all"};

/* A damaged copy of `good`; the words for what was done. */
static const char *damage(struct kit_random *random, const struct chunks *good, struct chunks *bad)
{
    uint64_t kind = kit_below(random, sizeof damages / sizeof damages[0]);
    uint64_t victim = good->count ? kit_below(random, good->count) : 0;

    bad->count = 0;
    bad->chunk = calloc(good->count + 2, sizeof *bad->chunk);
    assert(bad->chunk);
    for (uint64_t i = 0; i < good->count && kind != 7; i++) {
        struct gavel_buffer copy = copy_of(&good->chunk[i]);
        uint64_t at = copy.size ? kit_below(random, copy.size) : 0;
        unsigned char bytes[8];
        uint64_t word = kit_next(random);

        memcpy(bytes, &word, 8);
        if (i == victim && copy.size) {
            if (kind == 0)
                copy.data[at] ^= (unsigned char)(1u << kit_below(random, 8));
            for (uint64_t j = at; kind == 1 && j < copy.size && j < at + 8; j++)
                copy.data[j] = word & 1 ? 0xff : bytes[j - at];
            if (kind == 2)
                copy.size = at;
            if (kind == 5)
                (void)gavel_buffer_append(&copy, bytes, 1 + word % 8);
            for (uint64_t j = 0; kind == 6 && j < copy.size; j++)
                copy.data[j] = (unsigned char)kit_next(random);
        }
        if (i == victim && kind == 3) {
            gavel_buffer_free(&copy);
            continue;
        }
        bad->chunk[bad->count++] = copy;
        if (i == victim && kind == 4)
            bad->chunk[bad->count++] = copy_of(&good->chunk[i]);
    }
    return damages[kind];
}

/* A damaged snapshot was taken for a good one: its state must still be one that can be asked. */
static void live_with_it(struct drive *drive, const struct script *script, const char *what)
{
    struct chunks again;
    struct gavel_error error;
    uint64_t reads = 0;

    for (uint64_t i = 0; i < script->count && reads < 12; i++) {
        if (!script->entries[i].read)
            continue;
        reads++;
        drive->damaged = true;
        drive_run(drive, &script->entries[i], i + 1);
        drive->damaged = false;
    }
    kit_at("snapshot after a restore from %s", what);
    if (drive_snapshot(drive, &again, &error) == GAVEL_OK)
        chunks_free(&again);
}

static void other_version(struct drive *drive, const struct chunks *good)
{
    struct gavel_error error = {.code = 0};
    uint64_t newer = drive->machine->state_version + 1;
    int32_t status;

    kit_at("restore of a snapshot of state version %" PRIu64, newer);
    watch_enter(WATCH_APPLY, false);
    status = drive->machine->restore_begin(drive->self, newer, &error);
    watch_leave();
    if (status == GAVEL_OK)
        kit_warn("%s: the machine, which has version %" PRIu64 ", takes it; it cannot know what is in there",
                 kit_doing(), newer - 1);
    else if (error.text[0] == 0)
        kit_broken("a sentence with every negative status", "%s without one", kit_status(status));
    kit_at("restore of a good snapshot after another one was begun");
    status = drive_restore(drive, good, &error);
    if (status != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
}

void machine_damage(void)
{
    struct rlimit limit = {.rlim_cur = ADDRESSES, .rlim_max = ADDRESSES};
    struct kit_random random = kit_random("damage");
    struct outcome want = {0}, got = {0};
    struct drive drive, other;
    struct gavel_error error;
    struct script script;
    struct chunks good;

    face_begin();
    if (watch_allocator()) /* a sanitizer wants terabytes of addresses for itself */
        (void)setrlimit(RLIMIT_AS, &limit);
    script_make(&script, "damage", ENTRIES);
    drive_open(&drive, "good");
    drive_open(&other, "bad");
    for (uint64_t i = 0; i < script.count; i++)
        drive_run(&drive, &script.entries[i], i + 1);
    drive_state(&drive, &want);
    kit_at("snapshot");
    if (drive_snapshot(&drive, &good, &error) != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s", error.text);
    other_version(&other, &good);
    for (int i = 0; i < DAMAGES; i++) {
        struct chunks bad;
        const char *what = damage(&random, &good, &bad);
        int32_t status;

        kit_at("restore of a snapshot with %s", what);
        status = drive_restore(&other, &bad, &error);
        if (status < 0 && error.text[0] == 0)
            kit_broken("a sentence with every negative status", "%s without one", kit_status(status));
        if (status == GAVEL_OK)
            live_with_it(&other, &script, what);
        chunks_free(&bad);
        kit_at("restore of a good snapshot after one with %s", what);
        status = drive_restore(&other, &good, &error);
        if (status != GAVEL_OK)
            kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
        drive_state(&other, &got);
        if (drive_state_differs(&want, &got))
            kit_broken("the state of the snapshot", "another %s", drive_state_differs(&want, &got));
    }
    chunks_free(&good);
    drive_close(&other);
    drive_close(&drive);
    script_free(&script);
}
