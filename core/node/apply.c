/* SPDX-License-Identifier: Apache-2.0 */
/* apply.c - entries become state; see apply.h. Snapshots of all of it: apply_snapshot.c. */
#include "core/node/apply_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/field.h"
#include "core/codec/value.h"
#include "core/node/bytes.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

struct apply *apply_new(const struct node_machine *machines, uint32_t count,
                        const struct session_limits *limits, const char *node)
{
    struct apply *apply = calloc(1, sizeof *apply);

    if (!apply)
        return NULL;
    apply->magic = APPLY_MAGIC;
    apply->machines = machines;
    apply->machine_count = count;
    apply->node = node;
    apply->session_ttl_ms = limits->ttl_ms;
    apply->result = codec_buffer(APPLY_RESULT_MAX);
    apply->pending = codec_buffer(0);
    apply->arena = malloc(CODEC_LOAD_ARENA);
    apply->sessions = sessions_new(limits);
    apply->roster = roster_new();
    apply->founding = settings_new();
    apply->settings = settings_new();
    if (!apply->sessions || !apply->roster || !apply->arena || !apply->founding || !apply->settings)
        return apply_free(apply);
    return apply;
}

void apply_log(struct apply *apply, const struct gavel_host *host)
{
    apply->log.host = host;
}

struct apply *apply_free(struct apply *apply)
{
    if (!apply)
        return NULL;
    assert(apply->magic == APPLY_MAGIC);
    sessions_free(apply->sessions);
    roster_free(apply->roster);
    apply_settings_free(apply);
    gavel_buffer_free(&apply->result);
    gavel_buffer_free(&apply->pending);
    gavel_buffer_free(&apply->host_in);
    free(apply->arena);
    apply->magic = 0;
    free(apply);
    return NULL;
}

static bool every_machine(const struct apply *apply, uint64_t flag)
{
    for (uint32_t i = 0; i < apply->machine_count; i++)
        if (!(apply->machines[i].operations->flags & flag))
            return false;
    return true;
}

bool apply_bounded(const struct apply *apply)
{
    return every_machine(apply, GAVEL_BOUNDED);
}

bool apply_concurrent(const struct apply *apply)
{
    return every_machine(apply, GAVEL_CONCURRENT);
}

uint64_t apply_index(const struct apply *apply)
{
    return apply->index;
}

uint64_t apply_tick(const struct apply *apply)
{
    return apply->tick;
}

struct sessions *apply_sessions(struct apply *apply)
{
    return apply->sessions;
}

bool apply_machine_state(const struct apply *apply, uint32_t machine, struct gavel_machine_state *state)
{
    const struct node_machine *found;

    if (machine == 0 || machine > apply->machine_count)
        return false;
    found = &apply->machines[machine - 1];
    machine_state(found, state);
    return true;
}

uint64_t apply_digest(const struct apply *apply)
{
    uint64_t sum[2] = {0, 0};

    sessions_digest(apply->sessions, sum);
    settings_digest(apply->settings, sum);
    roster_digest(apply->roster, sum);
    for (uint32_t i = 1; i <= apply->machine_count; i++) {
        struct gavel_machine_state state;

        (void)apply_machine_state(apply, i, &state);
        gavel_digest_add(sum, gavel_bytes(&i, sizeof i), gavel_bytes(state.digest, sizeof state.digest));
    }
    return sum[0] ^ sum[1];
}

/* ---- records ------------------------------------------------------------------------------------------- */

#define RECORD_PARTS 4

/* A record's slices are stored as offsets from its start while the buffer may move; apply_record_next turns
 * them back. */
static int32_t put_record(struct gavel_buffer *records, struct apply_record *record)
{
    struct gavel_slice given[RECORD_PARTS] = {record->event, record->a, record->b, record->c};
    struct gavel_slice *stored[RECORD_PARTS] = {&record->event, &record->a, &record->b, &record->c};
    uint64_t size = sizeof *record;
    uint64_t at = records->size;
    int32_t status;

    for (int i = 0; i < RECORD_PARTS; i++) {
        /* An absent slice stays NULL; its offset 0 can never be that of a present one. */
        stored[i]->data = given[i].data ? (const void *)(uintptr_t)size : NULL;
        size += given[i].size;
    }
    if (size > UINT32_MAX - 7)
        return GAVEL_E_TOO_LARGE;
    record->size = (uint32_t)((size + 7) & ~UINT64_C(7));
    status = gavel_buffer_reserve(records, record->size);
    if (status != GAVEL_OK)
        return status;
    memcpy(records->data + at, record, sizeof *record);
    at += sizeof *record;
    for (int i = 0; i < RECORD_PARTS; i++) {
        if (given[i].size)
            memcpy(records->data + at, given[i].data, given[i].size);
        at += given[i].size;
    }
    records->size += record->size;
    return GAVEL_OK;
}

const struct apply_record *apply_record_next(const struct apply_run *run, const struct apply_record *record)
{
    uint64_t at = record ? (uint64_t)((const unsigned char *)record - run->records.data) + record->size : 0;
    struct apply_record *next;
    struct gavel_slice *parts[RECORD_PARTS];

    if (at >= run->records.size)
        return NULL;
    next = (struct apply_record *)(void *)(run->records.data + at);
    parts[0] = &next->event;
    parts[1] = &next->a;
    parts[2] = &next->b;
    parts[3] = &next->c;
    for (int i = 0; i < RECORD_PARTS; i++) {
        uintptr_t offset = (uintptr_t)parts[i]->data;

        /* Offsets are smaller than a record; a pointer is larger: a second walk finds pointers and leaves
         * them. */
        if (offset && offset < next->size + UINT64_C(1))
            parts[i]->data = (const char *)next + offset;
    }
    return next;
}

static void run_fail(struct apply_run *run, int32_t status)
{
    if (run->status == 0)
        run->status = status;
}

/* Somebody may wait for it, and nothing else would tell them: without memory for it this node cannot go on. */
static void put_result(struct apply_run *run, struct apply_record *record)
{
    if (put_record(&run->records, record) != GAVEL_OK)
        run_fail(run, gavel_fail(&run->error, GAVEL_E_LOCAL, "no memory for a result"));
}

void apply_put_event(struct apply_run *run, struct apply_record *record)
{
    if (put_record(&run->records, record) != GAVEL_OK)
        run_fail(run, gavel_fail(&run->error, GAVEL_E_LOCAL, "no memory for an event"));
}

/* ---- one command --------------------------------------------------------------------------------------- */

struct emitting {
    struct apply *apply;
    struct apply_run *run;
    uint64_t term;
    uint32_t machine;
    uint32_t ordinal;
};

/* What a watcher's message cannot carry is left out: it can read the key, and an event without it is no lie. */
static void cut_to_size(struct apply_record *record)
{
    if (record->a.size + record->b.size + record->c.size > APPLY_EVENT_MAX)
        record->c = gavel_bytes(NULL, 0);
    if (record->a.size + record->b.size > APPLY_EVENT_MAX)
        record->b = gavel_bytes(NULL, 0);
}

static void emit(void *context, const struct gavel_event *event)
{
    struct emitting *emitting = context;
    struct apply_record record = {
        .type = APPLY_RECORD_EVENT,
        .index = emitting->apply->index,
        .term = emitting->term,
        .machine = emitting->machine,
        .ordinal = ++emitting->ordinal,
        .event = gavel_text(event->type ? event->type : ""),
        .a = event->key,
        .b = event->value,
        .c = event->previous,
    };

    cut_to_size(&record);
    apply_put_event(emitting->run, &record);
}

static const struct gavel_command *find_command(const struct gavel_statemachine *operations, uint64_t id)
{
    const char *row = (const char *)operations->commands;

    for (uint64_t i = 0; i < operations->command_count; i++, row += operations->command_stride) {
        const struct gavel_command *command = (const struct gavel_command *)(const void *)row;

        if (command->id == id)
            return command;
    }
    return NULL;
}

/* The arguments of a command as the struct of its table, in the arena, or in as much of it as `room` says. */
static int32_t load_arguments(struct apply *apply, const struct gavel_command *command, struct gavel_slice map,
                              uint64_t room, const void **arguments, struct gavel_error *error)
{
    struct codec_arena arena = codec_arena(apply->arena, room);
    void *object;

    *arguments = NULL;
    if (!command->arguments)
        return GAVEL_OK;
    object = codec_arena_take(&arena, command->arguments->struct_size, 16);
    if (!object)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "the arguments of '%s' have too many parts",
                          command->name);
    *arguments = object;
    return codec_arguments_load(command->arguments, map, object, &arena, error);
}

/* Find machine and command of a log form; the rest of it is the map of arguments. */
static const struct gavel_command *resolve(const struct apply *apply, uint32_t machine,
                                           struct gavel_slice form, struct gavel_slice *map,
                                           struct gavel_error *error)
{
    struct bytes_cursor cursor = bytes_read(form);
    uint32_t id = bytes_get32(&cursor);
    const struct gavel_command *command;

    if (machine == 0 || machine > apply->machine_count) {
        gavel_fail(error, GAVEL_E_VERSION,
                   "an entry is for machine %u, which this node's configuration does not have", machine);
        return NULL;
    }
    command = find_command(apply->machines[machine - 1].operations, id);
    if (!command || cursor.bad) {
        gavel_fail(
            error, GAVEL_E_VERSION,
            "an entry of machine '%s' holds command %u, which its plugin here (version %s) does not know",
            apply->machines[machine - 1].name, id, apply->machines[machine - 1].plugin->version);
        return NULL;
    }
    *map = gavel_bytes(cursor.at, cursor.left);
    return command;
}

/* Close the result of a run: what was written before an error is dropped. */
static int32_t finish_result(struct apply *apply, const struct node_machine *machine,
                             const struct gavel_command *command, struct codec_writer *writer, uint64_t mark,
                             struct gavel_buffer *out, int32_t status, struct gavel_error *error)
{
    int32_t ended;

    if (status < 0) {
        out->size = mark;
        return status;
    }
    if (out->size == mark && writer->status == 0)
        return status; /* nothing written: nil */
    ended = codec_writer_end(writer, error);
    if (ended == GAVEL_OK)
        return status;
    out->size = mark;
    if (ended == GAVEL_E_NO_MEMORY)
        return GAVEL_E_LOCAL;
    return ended == GAVEL_E_TOO_LARGE ? ended : machine_result_bad(machine, command, error, &apply->log);
}

static int32_t call_machine(struct apply *apply, struct apply_run *run, uint64_t term, uint64_t wall,
                            uint32_t machine, struct gavel_slice principal,
                            const struct gavel_command *command, struct gavel_slice map, uint32_t *events,
                            struct gavel_error *error)
{
    struct codec_writer writer;
    struct emitting emitting = {.apply = apply, .run = run, .term = term, .machine = machine};
    uint64_t seed_from[2] = {apply->index, term};
    struct gavel_call call = {
        .size = GAVEL_END(struct gavel_call, state_version),
        .index = apply->index,
        .term = term,
        .wall_ms = wall,
        .tick_ms = apply->tick,
        .seed = gavel_mix(UINT64_C(0x9e3779b97f4a7c15), seed_from, sizeof seed_from),
        .principal = principal,
        .machine = machine,
        .state_version = apply->settings->machines[machine - 1].version,
    };
    struct gavel_reply reply = {
        .size = GAVEL_END(struct gavel_reply, emit), .context = &emitting, .emit = emit};
    uint64_t events_mark = run->records.size;
    const void *arguments;
    int32_t status = load_arguments(apply, command, map, CODEC_LOAD_ARENA, &arguments, error);

    if (status != GAVEL_OK) {
        run_fail(run,
                 gavel_fail(&run->error, GAVEL_E_VERSION,
                            "index %llu: command '%s' of machine '%s' cannot be read by this version: %s; "
                            APPLY_RECIPE,
                            (unsigned long long)apply->index, command->name,
                            apply->machines[machine - 1].name, error->text));
        return status;
    }
    if (apply->tracing.span && apply->tracing.arguments)
        apply_trace_arguments(apply, command, arguments);
    apply->result.size = 0;
    reply.out = codec_writer_begin(&writer, &apply->result);
    status = machine_run(&apply->machines[machine - 1], command, &call, arguments, &reply, error, &apply->log);
    status = finish_result(apply, &apply->machines[machine - 1], command, &writer, 0, &apply->result, status, error);
    /* Of this node alone: replicated, it would be another outcome than the others'. ABI 1.0 did not say so. */
    if (status == GAVEL_E_NO_MEMORY && apply->machines[machine - 1].plugin->abi_minor >= 1)
        status = GAVEL_E_LOCAL;
    if (status < 0)
        run->records.size = events_mark;
    *events = status < 0 ? 0 : emitting.ordinal;
    if (status == GAVEL_E_LOCAL)
        run_fail(run, gavel_fail(&run->error, GAVEL_E_LOCAL, "machine '%s' cannot go on at index %llu: %s",
                                 apply->machines[machine - 1].name, (unsigned long long)apply->index,
                                 error->text));
    return status;
}

/* ---- one entry ----------------------------------------------------------------------------------------- */

static const char *const refusals[] = {
    [SESSION_EXPIRED] = "the session does not exist or has expired; nothing was applied",
    [SESSION_STALE] = "the sequence lies at or below what the client has acknowledged; nothing was applied",
    [SESSION_BEYOND] = "the sequence lies beyond the session's window; nothing was applied",
};

static int32_t refuse(enum session_verdict verdict, struct gavel_error *error)
{
    int32_t code = verdict == SESSION_EXPIRED ? GAVEL_E_EXPIRED
                   : verdict == SESSION_STALE ? GAVEL_E_STALE
                                              : GAVEL_E_TOO_LARGE;

    return gavel_fail(error, code, "%s", refusals[verdict]);
}

static void apply_command(struct apply *apply, struct apply_run *run, const struct log_batch_head *head,
                          const struct log_entry *entry, struct apply_record *record)
{
    struct gavel_error error; /* 512 bytes, which nobody looks at but after a failure */
    struct session_reply kept = {0};
    const struct gavel_command *command;
    struct gavel_slice map;

    error.code = 0;
    error.text[0] = 0;
    command = resolve(apply, entry->machine, entry->payload, &map, &error);
    if (!command) {
        run_fail(run, gavel_fail(&run->error, GAVEL_E_VERSION, "index %llu: %s; " APPLY_RECIPE,
                                 (unsigned long long)apply->index, error.text));
        return;
    }
    record->command = command->id;
    if (run->trace_count)
        apply_trace_begin(apply, run, head->term, command);
    if (entry->session) {
        enum session_verdict verdict =
            session_admit(apply->sessions, entry->session, entry->sequence, entry->acked, apply->tick, &kept);

        if (verdict == SESSION_DUPLICATE) {
            COVER("node-duplicate");
            record->status = kept.dropped ? GAVEL_E_UNKNOWN : kept.status;
            record->a = kept.result;
            record->b = kept.dropped ? gavel_text("it was applied before, but its reply is not kept any more")
                                     : kept.text;
            record->command = 0; /* nothing happened now */
            record->duplicate = 1;
            record->first_index = kept.index;
            put_result(run, record);
            return;
        }
        if (verdict != SESSION_RUN) {
            COVER("node-session-refuses");
            record->status = refuse(verdict, &error);
            record->b = gavel_text(error.text);
            record->command = 0;
            put_result(run, record);
            return;
        }
    }
    record->status = call_machine(apply, run, head->term, head->wall, entry->machine, entry->principal,
                                  command, map, &record->ordinal, &error);
    if (run->status != 0)
        return;
    record->a = gavel_buffer_slice(&apply->result);
    record->b = record->status < 0 ? gavel_text(error.text) : gavel_bytes(NULL, 0);
    if (entry->session) {
        kept = (struct session_reply){
            .status = record->status, .index = apply->index, .result = record->a, .text = record->b};
        if (session_keep(apply->sessions, entry->session, entry->sequence, &kept) != GAVEL_OK)
            run_fail(run, gavel_fail(&run->error, GAVEL_E_LOCAL, "no memory to keep the reply of a session"));
    }
    if (!run->with_results) {
        record->a = gavel_bytes(NULL, 0);
        record->b = gavel_bytes(NULL, 0);
    }
    put_result(run, record);
}

static void apply_host(struct apply *apply, struct apply_run *run, const struct log_entry *entry,
                       struct apply_record *record)
{
    struct bytes_cursor cursor = bytes_read(entry->payload);
    struct codec_writer writer;
    struct gavel_error error = {0};

    record->command = bytes_get32(&cursor);
    apply->result.size = 0;
    switch (record->command) {
    case APPLY_SESSION_REGISTER:
        record->status = session_register(apply->sessions, apply->index, apply->tick);
        if (record->status == GAVEL_E_BUSY)
            gavel_fail(&error, GAVEL_E_BUSY, "the cluster holds as many sessions as it may");
        if (record->status == 0) {
            struct gavel_writer *out = codec_writer_begin(&writer, &apply->result);

            gavel_put_map(out, 2);
            gavel_put_key(out, "session");
            gavel_put_uint(out, apply->index);
            gavel_put_key(out, "ttl_ms");
            gavel_put_uint(out, apply->session_ttl_ms);
            gavel_put_end(out);
            if (codec_writer_end(&writer, &error) != GAVEL_OK)
                record->status = GAVEL_E_LOCAL;
        }
        break;
    case APPLY_SESSION_CLOSE:
        record->status = session_close(apply->sessions, entry->session) ? 0 : GAVEL_E_EXPIRED;
        break;
    case APPLY_SESSION_EXPIRE:
        (void)session_expire(apply->sessions, entry->session, bytes_get64(&cursor), apply->tick);
        break;
    case APPLY_SESSION_KEEP:
        record->status = session_touch(apply->sessions, entry->session, apply->tick) ? 0 : GAVEL_E_EXPIRED;
        break;
    case APPLY_SETTINGS:
        apply_settings_entry(apply, run, &cursor, record, &error);
        break;
    case APPLY_UPGRADE:
        apply_upgrade_entry(apply, run, &cursor, record, &error);
        break;
    case APPLY_DECLARE:
        apply_declare_entry(apply, run, &cursor, record, &error);
        break;
    case APPLY_NODE_REGISTER:
        apply_register_entry(apply, run, &cursor, record, &error);
        break;
    case APPLY_NODE_DEREGISTER:
    case APPLY_NODE_KEEP:
    case APPLY_NODE_EXPIRE:
        apply_node_entry(apply, run, &cursor, record, &error);
        break;
    default:
        run_fail(
            run,
            gavel_fail(&run->error, GAVEL_E_VERSION,
                       "index %llu holds an entry of kind %llu, which this version of gaveld does not know; install "
                       "the version that the other members run, then start again",
                       (unsigned long long)apply->index, (unsigned long long)record->command));
        return;
    }
    if (record->status == GAVEL_E_EXPIRED)
        gavel_fail(&error, GAVEL_E_EXPIRED, "%s", refusals[SESSION_EXPIRED]);
    if (record->status == GAVEL_E_LOCAL && run->status == 0)
        run_fail(run, gavel_fail(&run->error, GAVEL_E_LOCAL, "no memory for a session"));
    if (run->status != 0)
        return;
    record->a = gavel_buffer_slice(&apply->result);
    record->b = gavel_text(error.text);
    put_result(run, record);
}

static void apply_entry(struct apply *apply, struct apply_run *run, const struct log_batch_head *head,
                        const struct log_entry *entry)
{
    struct apply_record record = {.type = APPLY_RECORD_RESULT,
                                  .index = entry->index,
                                  .term = head->term,
                                  .kind = entry->kind,
                                  .machine = entry->machine};

    assert(entry->index == apply->index + 1);
    apply->index = entry->index;
    if (head->tick > apply->tick)
        apply->tick = head->tick;
    if (entry->kind == LOG_COMMAND)
        apply_command(apply, run, head, entry, &record);
    else if (entry->kind == LOG_HOST)
        apply_host(apply, run, entry, &record);
    else if (entry->kind == LOG_CONFIG)
        apply_config_entry(apply, run, entry, head->term);
    if (apply->tracing.span)
        apply_trace_end(apply, record.status);
    if (apply->index % APPLY_DIGEST_EVERY == 0) {
        run->digest_index = apply->index;
        run->digest = apply_digest(apply);
    }
}

void apply_run(struct apply *apply, struct apply_run *run)
{
    assert(apply->magic == APPLY_MAGIC);
    assert(!apply->restoring);
    /* Only a snapshot from behind the barrier makes such a plugin fit: a log from the founding on goes through it. */
    for (uint32_t i = 0; i < apply->machine_count; i++)
        if (apply->parts[i].unfit)
            run_fail(run, setting_fits(&apply->machines[i], apply->settings->machines[i], &run->error));
    run->cut = false;
    for (uint32_t i = 0; i < run->count && run->status == 0 && !run->cut; i++) {
        const struct log_batch_head *head = &run->batches[i]->head;
        struct log_entries entries;
        struct log_entry entry;

        log_entries_begin(&entries, run->batches[i]->data);
        while (run->status == 0 && !run->cut && log_entries_next(&entries, &entry)) {
            if (entry.index < run->from || entry.index > run->last)
                continue;
            apply_entry(apply, run, head, &entry);
            run->cut = run->records.size > APPLY_RECORDS && apply->index < run->last;
        }
        run->tick = apply->tick;
        if (apply->index == head->first + head->count - 1)
            run->log_bytes += head->bytes;
    }
    if (run->cut)
        run->last = apply->index; /* what is left is read again for the next run */
}

/* ---- reads and maintenance ----------------------------------------------------------------------------- */

int32_t apply_read(struct apply *apply, uint32_t machine, uint64_t term, struct gavel_slice arguments,
                   struct gavel_buffer *result, struct gavel_error *error)
{
    struct codec_writer writer;
    struct gavel_slice map;
    const void *loaded;
    uint64_t mark = result->size;
    struct gavel_reply reply = {.size = GAVEL_END(struct gavel_reply, emit)};
    struct gavel_call call = {.size = GAVEL_END(struct gavel_call, state_version),
                              .index = apply->index,
                              .term = term,
                              .tick_ms = apply->tick,
                              .read_only = 1,
                              .machine = machine};
    const struct gavel_command *command = resolve(apply, machine, arguments, &map, error);
    int32_t status;

    if (!command)
        return GAVEL_E_NOT_FOUND;
    assert(command->flags & GAVEL_READ);
    call.state_version = apply->settings->machines[machine - 1].version;
    status = load_arguments(apply, command, map, CODEC_LOAD_ARENA, &loaded, error);
    if (status != GAVEL_OK)
        return status;
    reply.out = codec_writer_begin(&writer, result);
    status = machine_run(&apply->machines[machine - 1], command, &call, loaded, &reply, error, &apply->log);
    return finish_result(apply, &apply->machines[machine - 1], command, &writer, mark, result, status, error);
}

/*
 * What a machine asks for goes into the log of every node, and one that is not in its table would stop them all: so it
 * is looked at here as a client's request is.
 */
static bool maintain_fits(struct apply *apply, const struct node_machine *machine, uint64_t id,
                          struct gavel_slice map)
{
    const struct gavel_command *command = find_command(machine->operations, id);
    struct gavel_error error = {.code = 0};
    const void *loaded;

    if (!command || !(command->flags & GAVEL_WRITE))
        (void)gavel_fail(&error, GAVEL_E_INVALID, "it has no such write command");
    else if (load_arguments(apply, command, map, CODEC_CHECK_ARENA, &loaded, &error) == GAVEL_OK)
        return true;
    machine_maintain_bad(machine, id, error.text, &apply->log);
    return false;
}

uint64_t apply_maintain(struct apply *apply, uint32_t *machine, uint64_t tick, struct gavel_buffer *arguments)
{
    struct machine_buffer buffer;
    uint64_t id = 0;

    machine_buffer_init(&buffer);
    for (uint32_t i = 0; i < apply->machine_count && !id; i++) {
        const struct node_machine *asked = &apply->machines[i];

        buffer.buffer.size = 0;
        id = machine_maintain(asked, tick, &buffer);
        if (id && (!maintain_fits(apply, asked, id, gavel_buffer_slice(&buffer.buffer)) ||
                   gavel_buffer_append(arguments, buffer.buffer.data, buffer.buffer.size) != GAVEL_OK))
            id = 0;
        *machine = i + 1;
    }
    machine_buffer_free(&buffer);
    return id;
}
