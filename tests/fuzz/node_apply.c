/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_apply.c - fuzz target: what becomes replicated state: a snapshot as it comes from a file or from a leader, then
 * entries of a log. Sound frames are made around most of it, for what is in them to be reached: sessions, settings,
 * capabilities and registered nodes, state of the machines, commands, the host's own entries and configurations.
 *
 * Whatever was taken can be shown: results and events are documents, and so are sets of capabilities and kept replies.
 * A node that restores the snapshot of this one has the same digest and makes the same snapshot. What is refused is
 * refused with a sentence.
 *
 * The first byte: bits 0-1 how the snapshot begins (0: there is none; 1: raw bytes; 2: sound records around a raw
 * host's part; 3: sound up to what lies in it), bit 2: entries are raw payloads of the host, bit 3: what the machines'
 * parts hold is the input's too.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/field.h"
#include "core/codec/value.h"
#include "core/node/apply.h"
#include "plugins/serializers/json/js.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define MACHINES 2
#define ENTRIES_MAX 40
#define BEGUN_AT 100 /* index of the restored snapshot */

const struct gavel_plugin *gavel_plugin_counter(void);
const struct gavel_plugin *gavel_plugin_workflow(void);

static const struct session_limits limits = {.sessions = 8, .window = 16, .bytes = 256, .ttl_ms = 60000};

/* A node's apply lane; made once, and emptied by restoring what it was at first. */
struct lane {
    struct gavel_host host;
    _Alignas(16) unsigned char options[MACHINES][256];
    _Alignas(16) unsigned char strings[MACHINES][256];
    struct node_machine machines[MACHINES];
    struct settings *founding;
    struct apply *apply;
    struct gavel_buffer empty;
};

static struct log_pool *pool;

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

static struct gavel_buffer save(struct lane *lane)
{
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error = {0, ""};
    struct apply_snapshot *snapshot;
    int32_t more = apply_snapshot_begin(lane->apply, &snapshot, &error);

    assert(more == GAVEL_OK);
    do
        more = apply_snapshot_next(snapshot, &out, &error);
    while (more == 1);
    assert(more == 0);
    snapshot = apply_snapshot_end(snapshot);
    return out;
}

/* In pieces of so many bytes. */
static int32_t restore(struct lane *lane, struct gavel_slice bytes, uint64_t piece, struct gavel_error *error)
{
    const uint8_t *at = bytes.data;
    int32_t status = apply_restore_begin(lane->apply, BEGUN_AT, error);

    for (uint64_t left = bytes.size; left && status == GAVEL_OK; left -= piece, at += piece) {
        if (piece > left)
            piece = left;
        status = apply_restore_bytes(lane->apply, gavel_bytes(at, piece), error);
    }
    return status == GAVEL_OK ? apply_restore_end(lane->apply, error) : status;
}

static void restore_empty(struct lane *lane)
{
    struct gavel_error error = {0, ""};

    assert(restore(lane, gavel_buffer_slice(&lane->empty), UINT64_MAX, &error) == GAVEL_OK);
    assert(sessions_count(apply_sessions(lane->apply)) == 0);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void make_machine(struct lane *lane, unsigned at, const char *name, const struct gavel_plugin *plugin)
{
    struct codec_arena arena = codec_arena(lane->strings[at], sizeof lane->strings[at]);
    struct node_machine *machine = &lane->machines[at];
    struct gavel_error error = {0, ""};

    *machine = (struct node_machine){.name = name, .plugin = plugin, .operations = plugin->operations, .settings = ""};
    assert(!plugin->options || plugin->options->struct_size <= sizeof lane->options[at]);
    if (plugin->options)
        assert(codec_fields_defaults(plugin->options, lane->options[at], &arena, &error) == GAVEL_OK);
    assert(plugin->create(&lane->host, lane->options[at], &machine->self, &error) == GAVEL_OK);
    lane->founding->machines[at].version = machine->operations->state_version;
}

static struct lane *make_lane(void)
{
    struct lane *lane = calloc(1, sizeof *lane);
    struct gavel_error error = {0, ""};

    assert(lane);
    lane->host = (struct gavel_host){.size = GAVEL_END(struct gavel_host, heap), .heap = &codec_heap};
    lane->founding = settings_new();
    assert(lane->founding);
    lane->founding->machine_count = MACHINES;
    make_machine(lane, 0, "counter", gavel_plugin_counter());
    make_machine(lane, 1, "workflow", gavel_plugin_workflow());
    lane->apply = apply_new(lane->machines, MACHINES, &limits, "n1");
    assert(lane->apply);
    assert(apply_found(lane->apply, lane->founding, &error) == GAVEL_OK);
    lane->empty = save(lane);
    return lane;
}

/* ---- what the input says ----------------------------------------------------------------------------------------- */

static void put_host(struct gavel_buffer *out, int32_t *status, struct gavel_slice part)
{
    bytes_put32(out, status, 0);
    bytes_put_slice(out, status, part);
    bytes_put64(out, status, 0); /* {part 0, no bytes}: its end */
}

/* The head of the host's part as an honest node has it, then what the input says. */
static struct gavel_buffer make_host(struct fuzz_input *input, bool sound)
{
    struct gavel_slice given = fuzz_slice(input);
    struct gavel_buffer host = codec_buffer(0);
    int32_t status = 0;

    if (sound) {
        bytes_put32(&host, &status, 1 + fuzz_u8(input) % 3); /* the form */
        bytes_put64(&host, &status, 777);                    /* tick */
        bytes_put32(&host, &status, MACHINES);
        bytes_put_slice(&host, &status, gavel_text("counter"));
        bytes_put64(&host, &status, 1);
        bytes_put_slice(&host, &status, gavel_text("workflow"));
        bytes_put64(&host, &status, 1);
    }
    bytes_put(&host, &status, given.data, given.size);
    assert(status == 0);
    return host;
}

/* The parts of machines that were never used, as they save themselves, and the end. */
static void put_honest(struct gavel_buffer *out, int32_t *status, const struct lane *lane)
{
    struct bytes_cursor cursor = bytes_read(gavel_buffer_slice(&lane->empty));

    while (cursor.left) {
        uint32_t part = bytes_get32(&cursor);
        struct gavel_slice bytes = bytes_get_slice(&cursor);

        if (part == 0)
            continue;
        bytes_put32(out, status, part);
        bytes_put_slice(out, status, bytes);
    }
}

static void put_given(struct gavel_buffer *out, int32_t *status, struct fuzz_input *input)
{
    for (uint32_t part = 1; part <= MACHINES; part++) {
        struct gavel_slice chunk = fuzz_slice(input);

        bytes_put32(out, status, part);
        bytes_put_slice(out, status, chunk);
        if (chunk.size) {
            bytes_put32(out, status, part);
            bytes_put32(out, status, 0);
        }
    }
    bytes_put32(out, status, UINT32_MAX);
    bytes_put32(out, status, 0);
}

static struct gavel_buffer make_snapshot(struct fuzz_input *input, uint8_t choice, const struct lane *lane)
{
    unsigned how = choice % 4;
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_buffer host;
    int32_t status = 0;

    if (how == 1) {
        struct gavel_slice given = fuzz_slice(input);

        bytes_put(&out, &status, given.data, given.size);
        assert(status == 0);
        return out;
    }
    host = make_host(input, how == 3);
    put_host(&out, &status, gavel_buffer_slice(&host));
    gavel_buffer_free(&host);
    if (choice & 8)
        put_given(&out, &status, input);
    else
        put_honest(&out, &status, lane);
    assert(status == 0);
    return out;
}

/* A payload of the host's: its kind, then the fields that such an entry has, whose contents are the input's. */
static void put_host_entry(struct gavel_buffer *out, struct fuzz_input *input, const struct lane *lane)
{
    uint32_t kind = fuzz_u8(input) % 13;
    uint64_t version = apply_settings(lane->apply)->version;
    uint32_t pairs = fuzz_u8(input) % 4;
    int32_t status = 0;

    bytes_put32(out, &status, kind);
    if (kind == APPLY_SETTINGS || kind == APPLY_UPGRADE)
        bytes_put64(out, &status, version + fuzz_u8(input) % 8 / 7);
    switch (kind) {
    case APPLY_SETTINGS:
        bytes_put32(out, &status, pairs);
        for (uint32_t i = 0; i < 2 * pairs; i++)
            bytes_put_slice(out, &status, fuzz_take(input, fuzz_u8(input)));
        break;
    case APPLY_UPGRADE:
        bytes_put32(out, &status, pairs);
        bytes_put64(out, &status, fuzz_u8(input));
        break;
    case APPLY_DECLARE:
        bytes_put64(out, &status, pairs);
        bytes_put_slice(out, &status, fuzz_take(input, fuzz_u8(input)));
        bytes_put_slice(out, &status, fuzz_slice(input));
        break;
    case APPLY_NODE_REGISTER:
        bytes_put_slice(out, &status, fuzz_take(input, fuzz_u8(input)));
        bytes_put_slice(out, &status, fuzz_take(input, fuzz_u8(input)));
        bytes_put64(out, &status, fuzz_uint(input, 4));
        bytes_put_slice(out, &status, fuzz_slice(input));
        break;
    case APPLY_NODE_DEREGISTER:
    case APPLY_NODE_KEEP:
    case APPLY_NODE_EXPIRE:
        bytes_put_slice(out, &status, fuzz_take(input, fuzz_u8(input)));
        bytes_put64(out, &status, fuzz_uint(input, 2));
        break;
    default:
        bytes_put64(out, &status, fuzz_uint(input, 2));
        break;
    }
    assert(status == 0);
}

static struct log_entry make_entry(struct fuzz_input *input, struct gavel_buffer *payload, bool raw,
                                   const struct lane *lane)
{
    struct log_entry entry = {.kind = fuzz_u8(input) % 5};
    int32_t status = 0;

    entry.session = fuzz_u8(input);
    entry.sequence = entry.session ? fuzz_u8(input) : 0;
    entry.acked = entry.session ? fuzz_u8(input) : 0;
    if (entry.session)
        entry.session += BEGUN_AT - 8; /* near those that registering gives */
    payload->size = 0;
    if (entry.kind == LOG_HOST && !raw) {
        put_host_entry(payload, input, lane);
    } else {
        struct gavel_slice given;

        entry.machine = fuzz_u8(input) % 4;
        if (entry.kind == LOG_COMMAND)
            bytes_put32(payload, &status, fuzz_u8(input) % 32);
        given = fuzz_slice(input);
        bytes_put(payload, &status, given.data, given.size);
        assert(status == 0);
    }
    entry.payload = gavel_buffer_slice(payload);
    return entry;
}

/* ---- what comes of it -------------------------------------------------------------------------------------------- */

/* It can be shown to people: what is no document aborts in the writer. */
static void check_document(struct gavel_slice value)
{
    struct gavel_limits bounds = codec_limits(4u << 20);
    struct gavel_buffer text = codec_buffer(0);
    int32_t status;

    if (value.size == 0)
        return;
    assert(codec_value_check(value, &bounds, NULL) == GAVEL_OK);
    status = codec_transcode(codec_msgpack(), NULL, value, &bounds, &js_serializer, NULL, &text, NULL);
    assert(status == GAVEL_OK);
    gavel_buffer_free(&text);
}

static void check_records(const struct apply_run *run)
{
    const struct apply_record *record = NULL;

    while ((record = apply_record_next(run, record)) != NULL) {
        if (record->type == APPLY_RECORD_EVENT) {
            check_document(record->b);
            check_document(record->c);
        } else {
            check_document(record->a);
            assert(record->status == GAVEL_OK || record->b.size);
        }
    }
}

static void check_roster(const struct roster *roster)
{
    for (uint32_t i = 0; i < roster->member_count; i++)
        check_document(gavel_bytes(roster->members[i].set, roster->members[i].set_bytes));
    for (uint32_t i = 0; i < roster->count; i++)
        check_document(gavel_bytes(roster->nodes[i]->set, roster->nodes[i]->set_bytes));
}

static void check_sessions(struct sessions *sessions)
{
    struct session_reply reply;

    for (uint64_t id = BEGUN_AT - 8; id < BEGUN_AT + ENTRIES_MAX; id++)
        for (uint64_t sequence = 1; sequence < 20; sequence++)
            if (session_peek(sessions, id, sequence, &reply) == SESSION_DUPLICATE)
                check_document(reply.result);
}

/* Another node takes the snapshot of this one over. */
static void check_copy(struct lane *lane, struct lane *other)
{
    struct gavel_buffer saved = save(lane);
    struct gavel_buffer again;
    struct gavel_error error = {0, ""};
    int32_t status = restore(other, gavel_buffer_slice(&saved), 4096, &error);

    if (status != GAVEL_OK)
        (void)fprintf(stderr, "a snapshot of its own is refused: %s\n", error.text);
    assert(status == GAVEL_OK);
    assert(apply_digest(other->apply) == apply_digest(lane->apply));
    assert(apply_tick(other->apply) == apply_tick(lane->apply));
    again = save(other);
    assert(gavel_slice_equal(gavel_buffer_slice(&saved), gavel_buffer_slice(&again)));
    gavel_buffer_free(&saved);
    gavel_buffer_free(&again);
}

/* One entry, alone in its batch. False: the node has stopped. */
static bool apply_one(struct lane *lane, const struct log_entry *entry, uint64_t tick)
{
    static struct log_builder builder;
    uint64_t index = apply_index(lane->apply) + 1;
    struct apply_run *run = calloc(1, sizeof *run);
    bool goes_on;

    assert(run);
    *run = (struct apply_run){.count = 1, .from = index, .last = index, .with_results = true,
                              .records = codec_buffer(0)};
    assert(log_builder_add(&builder, entry) == GAVEL_OK);
    assert(log_builder_seal(&builder, pool, 1, index, 5, tick, 0, &run->batches[0]) == GAVEL_OK);
    apply_run(lane->apply, run);
    assert(run->status == 0 || run->error.text[0]);
    if (run->status == 0)
        check_records(run);
    goes_on = run->status == 0;
    gavel_buffer_free(&run->records);
    (void)log_batch_unref(run->batches[0]);
    free(run);
    return goes_on;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lane *lanes[2];
    struct fuzz_input input = {data, size};
    struct gavel_buffer payload = codec_buffer(0);
    struct gavel_error error = {0, ""};
    uint8_t choice = fuzz_u8(&input);
    uint64_t tick = 0;
    bool goes_on = true;

    for (int i = 0; i < 2 && !lanes[i]; i++)
        lanes[i] = make_lane();
    if (!pool)
        pool = log_pool_new(1 << 20);
    assert(pool);
    restore_empty(lanes[0]);
    if (choice % 4) {
        struct gavel_buffer snapshot = make_snapshot(&input, choice, lanes[0]);

        goes_on = restore(lanes[0], gavel_buffer_slice(&snapshot), 64, &error) == GAVEL_OK;
        assert(goes_on || error.text[0]);
        gavel_buffer_free(&snapshot);
    }
    for (int i = 0; i < ENTRIES_MAX && input.size && goes_on; i++) {
        struct log_entry entry = make_entry(&input, &payload, choice & 4, lanes[0]);

        goes_on = apply_one(lanes[0], &entry, tick += fuzz_u8(&input) * (uint64_t)512);
    }
    gavel_buffer_free(&payload);
    if (!goes_on)
        return 0;
    check_roster(apply_roster(lanes[0]->apply));
    check_sessions(apply_sessions(lanes[0]->apply));
    check_copy(lanes[0], lanes[1]);
    return 0;
}
