/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drive.c - see drive.h.
 */
#define _GNU_SOURCE
#include "core/check/drive.h"

#include "core/check/watch.h"
#include "core/codec/value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS_ROOM (2u << 20)
#define SCRIBBLE_SEED UINT64_C(0x5bd1e995)

/* ---- the instance ------------------------------------------------------------------------------------------------ */

int32_t drive_try_open(struct drive *drive, const char *instance, struct gavel_error *error)
{
    int32_t status;

    memset(drive, 0, sizeof *drive);
    face_init(&drive->face, instance);
    status = face_open(&drive->face, error);
    if (status != GAVEL_OK)
        return status;
    drive->self = drive->face.self;
    drive->machine = &kit.plugin->operations.statemachine;
    drive->version = drive->machine->state_version;
    drive->result = codec_buffer(DRIVE_REPLY_MAX);
    drive->arena = malloc(CODEC_LOAD_ARENA);
    drive->arguments = mmap(NULL, ARGUMENTS_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(drive->arena);
    assert(drive->arguments != MAP_FAILED);
    status = mprotect(drive->arguments + ARGUMENTS_ROOM - 4096, 4096, PROT_NONE);
    assert(status == 0);
    return GAVEL_OK;
}

void drive_act_as(struct drive *drive, uint64_t version)
{
    struct gavel_error error = {.code = 0};
    int32_t status = GAVEL_OK;

    kit_at("act_as of state version %" PRIu64, version);
    watch_enter(WATCH_APPLY, false);
    if (drive->machine->act_as)
        status = drive->machine->act_as(drive->self, version, &error);
    watch_leave();
    if (status != GAVEL_OK)
        kit_broken("a version that the plugin names to be taken", "%s: %s", kit_status(status), error.text);
    drive->version = version;
}

void drive_open_as(struct drive *drive, const char *instance, uint64_t version)
{
    struct gavel_error error;
    int32_t status = drive_try_open(drive, instance, &error);

    if (status != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
    drive_act_as(drive, version);
}

void drive_open(struct drive *drive, const char *instance)
{
    drive_open_as(drive, instance, kit.plugin->operations.statemachine.state_version);
}

void drive_close(struct drive *drive)
{
    face_close(&drive->face);
    gavel_buffer_free(&drive->result);
    free(drive->arena);
    (void)munmap(drive->arguments, ARGUMENTS_ROOM);
}

void drive_state(struct drive *drive, struct outcome *outcome)
{
    struct gavel_machine_state state = {.size = GAVEL_END(struct gavel_machine_state, changelog)};

    watch_enter(WATCH_APPLY, false);
    drive->machine->state(drive->self, &state);
    watch_leave();
    outcome->digest[0] = state.digest[0];
    outcome->digest[1] = state.digest[1];
    outcome->entries = state.entries;
    outcome->changelog = state.changelog;
}

const char *drive_state_differs(const struct outcome *a, const struct outcome *b)
{
    if (a->digest[0] != b->digest[0] || a->digest[1] != b->digest[1])
        return "digest";
    if (a->entries != b->entries)
        return "number of entries";
    return a->changelog != b->changelog ? "size of the changelog" : NULL;
}

const char *drive_differs(const struct outcome *a, const struct outcome *b)
{
    if (a->status != b->status)
        return "status";
    if (a->reply != b->reply)
        return "reply";
    if (a->text != b->text)
        return "sentence of the error";
    if (a->events != b->events)
        return "run of events";
    return drive_state_differs(a, b);
}

/* ---- one entry --------------------------------------------------------------------------------------------------- */

void drive_at(const struct drive *drive, const struct entry *entry, uint64_t number)
{
    kit_at("run of the %s \"%s\" (entry %" PRIu64 " of a random script)%s", entry->read ? "read" : "write",
           entry->command->name, number, drive->besides);
}

static void mix_slice(uint64_t *hash, struct gavel_slice slice)
{
    uint64_t size = slice.data ? slice.size : UINT64_MAX; /* absent is not empty */

    *hash = gavel_mix(*hash, &size, sizeof size);
    if (slice.data)
        *hash = gavel_mix(*hash, slice.data, slice.size);
}

static void emit(void *context, const struct gavel_event *event)
{
    struct drive *drive = context;
    struct gavel_limits limits = codec_limits(DRIVE_REPLY_MAX);
    struct gavel_error error;
    int paused = watch_pause();

    if (event->size < GAVEL_END(struct gavel_event, previous) || !event->type || !*event->type)
        kit_broken("an event with its size and a type", "one without");
    if (event->value.data && codec_value_check(event->value, &limits, &error) != GAVEL_OK)
        kit_broken("an event's value to be one MessagePack document", "another thing: %s", error.text);
    if (event->previous.data && codec_value_check(event->previous, &limits, &error) != GAVEL_OK)
        kit_broken("an event's previous value to be one MessagePack document", "another thing: %s", error.text);
    drive->event_count++;
    mix_slice(&drive->last.events, gavel_text(event->type));
    mix_slice(&drive->last.events, event->key);
    mix_slice(&drive->last.events, event->value);
    mix_slice(&drive->last.events, event->previous);
    watch_resume(paused);
}

/* The entry's arguments, loaded as apply does; the struct. */
static const void *load(struct drive *drive, const struct entry *entry)
{
    struct codec_arena arena = codec_arena(drive->arena, CODEC_LOAD_ARENA);
    unsigned char *bytes = drive->arguments + ARGUMENTS_ROOM - 4096 - entry->logged.size;
    struct gavel_error error;
    void *object;

    if (!entry->command->arguments)
        return NULL;
    memcpy(bytes, entry->logged.data, entry->logged.size);
    object = codec_arena_take(&arena, entry->command->arguments->struct_size, 16);
    assert(object);
    if (codec_arguments_load(entry->command->arguments, gavel_bytes(bytes, entry->logged.size), object, &arena,
                             &error) != GAVEL_OK)
        kit_fail("%s: the kit cannot load its own arguments: %s", kit_doing(), error.text);
    return object;
}

/* Arguments are borrowed for the call: who kept a pointer finds something else there, and each process another. */
static void scribble(struct drive *drive, const struct entry *entry)
{
    static int pid; /* asked once: a pure check may make no system calls later */

    pid = pid ? pid : (int)(getpid() & 0x7f) | 0x80;
    memset(drive->arguments + ARGUMENTS_ROOM - 4096 - entry->logged.size, pid, entry->logged.size);
    if (entry->command->arguments)
        memset(drive->arena, pid, 4096);
}

static uint64_t spent_ns(void)
{
    struct timespec now;
    int paused = watch_pause();

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    watch_resume(paused);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* What a single run can break, whatever it computes. */
static void judge(struct drive *drive, const struct entry *entry, struct codec_writer *writer, int32_t status)
{
    struct gavel_error error = {.code = 0};
    int32_t ended;

    if (drive->damaged) {
        drive->result.size = 0;
        return;
    }
    if (status < 0 && drive->error.text[0] == 0 && !(drive->may_stop && status == GAVEL_E_LOCAL))
        kit_broken("a sentence with every negative status", "%s without one", kit_status(status));
    if (memchr(drive->error.text, 0, sizeof drive->error.text) == NULL)
        kit_broken("a sentence that ends within its 504 bytes", "one that does not");
    if (status == GAVEL_E_LOCAL && !drive->may_stop)
        kit_broken("an outcome that is the same on every node",
                   "GAVEL_E_LOCAL, which stops the node, with memory at hand: %s", drive->error.text);
    if (status < 0 || (drive->result.size == 0 && writer->status == 0)) {
        drive->result.size = 0;
        return;
    }
    ended = codec_writer_end(writer, &error);
    if (ended == GAVEL_OK)
        return;
    if (ended == GAVEL_E_NO_MEMORY && drive->may_stop) {
        drive->last.status = GAVEL_E_LOCAL; /* what the host makes of it */
        return;
    }
    if (ended == GAVEL_E_TOO_LARGE && entry->read) {
        drive->last.status = ended; /* the reader asked for too much; nothing was changed */
        drive->result.size = 0;
        return;
    }
    kit_broken("a reply of at most one complete value of at most 1 MiB", "%s: %s", kit_status(ended), error.text);
}

void drive_run(struct drive *drive, const struct entry *entry, uint64_t number)
{
    struct codec_writer writer;
    uint64_t seed_from[2] = {entry->index, entry->term};
    struct gavel_call call = {.size = GAVEL_END(struct gavel_call, state_version), .index = entry->index,
                              .term = entry->term, .wall_ms = entry->read ? 0 : entry->wall_ms,
                              .tick_ms = entry->tick_ms,
                              .seed = entry->read ? 0 : gavel_mix(SCRIBBLE_SEED, seed_from, sizeof seed_from),
                              .principal = entry->principal, .read_only = entry->read, .machine = 1,
                              .state_version = drive->version};
    struct gavel_reply reply = {.size = GAVEL_END(struct gavel_reply, emit), .context = drive, .error = &drive->error,
                                .emit = entry->read ? NULL : emit};
    const void *arguments;
    const char *impure;
    uint64_t spent;
    int32_t status;

    drive_at(drive, entry, number);
    memset(&drive->last, 0, sizeof drive->last);
    memset(&drive->error, 0, sizeof drive->error);
    drive->event_count = 0;
    drive->result.size = 0;
    arguments = load(drive, entry);
    reply.out = codec_writer_begin(&writer, &drive->result);
    spent = drive->pure ? 0 : spent_ns();
    watch_enter(WATCH_APPLY, drive->pure);
    status = entry->command->run(drive->self, &call, arguments, &reply);
    watch_leave();
    spent = drive->pure ? 0 : spent_ns() - spent;
    impure = drive->pure ? watch_impure() : NULL;
    if (impure)
        kit_broken("neither a clock nor chance nor I/O there", "a call of %s", impure);
    if (spent > drive->slowest_ns)
        drive->slowest_ns = spent;
    drive->last.status = status;
    judge(drive, entry, &writer, status);
    if (drive->last.status < 0)
        drive->last.events = 0; /* the host drops the events of a failed run */
    drive->last.reply = gavel_mix(1, drive->result.data, drive->result.size);
    drive->last.text = drive->last.status < 0 ? gavel_mix(2, drive->error.text, strlen(drive->error.text)) : 0;
    scribble(drive, entry);
    drive_state(drive, &drive->last);
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

static int32_t take(struct drive *drive, void *held, struct chunks *chunks, struct gavel_error *error)
{
    int32_t more = 1;

    while (more > 0) {
        struct gavel_buffer chunk = codec_buffer(0);

        if (chunks->count == CHUNKS_MAX)
            kit_broken("a snapshot to come to its end", "none after %d chunks", CHUNKS_MAX);
        watch_enter(drive->machine->flags & GAVEL_CONCURRENT ? WATCH_WORKER : WATCH_APPLY, false);
        more = drive->machine->snapshot_next(drive->self, held, &chunk, error);
        watch_leave();
        if (chunk.size > (16u << 20))
            kit_broken("chunks of some 64 KiB, at most 16 MiB", "one of %" PRIu64 " bytes", chunk.size);
        chunks->chunk[chunks->count++] = chunk;
    }
    return more;
}

int32_t drive_snapshot(struct drive *drive, struct chunks *chunks, struct gavel_error *error)
{
    void *held = NULL;
    int32_t status;

    memset(error, 0, sizeof *error);
    chunks->count = 0;
    chunks->chunk = calloc(CHUNKS_MAX, sizeof *chunks->chunk);
    assert(chunks->chunk);
    watch_enter(WATCH_APPLY, false);
    status = drive->machine->snapshot_begin(drive->self, &held, error);
    watch_leave();
    if (status == GAVEL_OK) {
        status = take(drive, held, chunks, error);
        watch_enter(WATCH_APPLY, false);
        drive->machine->snapshot_end(drive->self, held);
        watch_leave();
    }
    if (status != GAVEL_OK)
        chunks_free(chunks);
    return status;
}

void chunks_free(struct chunks *chunks)
{
    for (uint64_t i = 0; i < chunks->count; i++)
        gavel_buffer_free(&chunks->chunk[i]);
    free(chunks->chunk);
    chunks->chunk = NULL;
    chunks->count = 0;
}

int32_t drive_restore(struct drive *drive, const struct chunks *chunks, struct gavel_error *error)
{
    const struct gavel_statemachine *machine = drive->machine;
    int32_t status;

    memset(error, 0, sizeof *error);
    watch_enter(WATCH_APPLY, false);
    status = machine->restore_begin(drive->self, drive->version, error);
    watch_leave();
    for (uint64_t i = 0; status == GAVEL_OK && i < chunks->count; i++) {
        const struct gavel_buffer *chunk = &chunks->chunk[i];
        unsigned char *copy;

        if (chunk->size == 0)
            continue; /* the host's stream has no place for it */
        copy = malloc(chunk->size + 1);
        assert(copy);
        memcpy(copy + 1, chunk->data, chunk->size);
        watch_enter(WATCH_APPLY, false);
        status = machine->restore_chunk(drive->self, gavel_bytes(copy + 1, chunk->size), error);
        watch_leave();
        memset(copy, 0xee, chunk->size + 1);
        free(copy);
    }
    if (status == GAVEL_OK) {
        watch_enter(WATCH_APPLY, false);
        status = machine->restore_end(drive->self, error);
        watch_leave();
    }
    return status;
}

void drive_copy(struct drive *from, struct drive *to)
{
    struct outcome before = {0}, after = {0}, other = {0};
    struct gavel_error error;
    struct chunks chunks;
    const char *what;
    int32_t status;

    drive_state(from, &before);
    status = drive_snapshot(from, &chunks, &error);
    if (status != GAVEL_OK)
        kit_broken("the snapshot to be taken", "%s: %s", kit_status(status), error.text);
    drive_state(from, &after);
    what = drive_state_differs(&before, &after);
    if (what)
        kit_broken("a snapshot to change nothing", "another %s behind it", what);
    to->version = from->version; /* the snapshot says which, and it is in force from restore_begin on */
    status = drive_restore(to, &chunks, &error);
    if (status != GAVEL_OK)
        kit_broken("its own snapshot to be restored", "%s: %s", kit_status(status), error.text);
    drive_state(to, &other);
    what = drive_state_differs(&before, &other);
    if (what)
        kit_broken("the same state after snapshot and restore", "another %s", what);
    chunks_free(&chunks);
}
