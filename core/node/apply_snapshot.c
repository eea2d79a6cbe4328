/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply_snapshot.c - the whole replicated state as a stream of bytes, and back.
 *
 * The stream is a run of records, {u32 part, u32 bytes, bytes}: part 0 is the host's (tick, versions,
 * sessions), part n the chunks of machine n, a record of no bytes ends a part, and part 0xffffffff ends the
 * stream. Parts come in order.
 */
#include "core/node/apply_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "core/codec/value.h"
#include "core/node/bytes.h"
#include "core/os/seeded.h"

#define SNAPSHOT_MAGIC 0x41534e50u
#define PART_END UINT32_MAX
#define HOST_FOUNDED 1 /* nothing was changed since the founding: what every gaveld reads */
#define HOST_CHANGED 2 /* settings that were changed lie before the sessions */
#define HOST_ROSTER 3  /* and behind the settings, changed or not, capabilities and registered nodes */

struct apply_snapshot {
    uint32_t magic;
    uint32_t machine_count;
    struct apply *apply;
    struct gavel_buffer host; /* part 0, made at begin: it must not see later entries */
    uint64_t host_sent;
    uint32_t part; /* the one at hand */
    bool finished;
    void *held[NODE_MACHINES_MAX + 1]; /* of machine n at [n] */
    bool holding[NODE_MACHINES_MAX + 1];
    struct machine_buffer chunk; /* of the machine at hand */
};

static int32_t save_host(const struct apply *apply, struct gavel_buffer *out)
{
    int32_t status = 0;

    bool roster = roster_used(apply->roster);
    bool changed = (apply->settings->version != 0 && !seeded_bug("settings-not-in-snapshot")) || roster;

    bytes_put32(out, &status, roster ? HOST_ROSTER : changed ? HOST_CHANGED : HOST_FOUNDED);
    bytes_put64(out, &status, apply->tick);
    bytes_put32(out, &status, apply->machine_count);
    for (uint32_t i = 0; i < apply->machine_count; i++) {
        bytes_put_slice(out, &status, gavel_text(apply->machines[i].name));
        bytes_put64(out, &status, apply->settings->machines[i].version);
    }
    if (status == 0 && changed)
        status = settings_save(apply->settings, out);
    if (status == 0 && roster)
        status = roster_save(apply->roster, out);
    return status ? status : sessions_save(apply->sessions, changed, out);
}

int32_t apply_snapshot_begin(struct apply *apply, struct apply_snapshot **out, struct gavel_error *error)
{
    struct apply_snapshot *snapshot = calloc(1, sizeof *snapshot);

    assert(apply->magic == APPLY_MAGIC);
    assert(!apply->held);
    if (!snapshot)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a snapshot");
    snapshot->magic = SNAPSHOT_MAGIC;
    snapshot->apply = apply;
    snapshot->machine_count = apply->machine_count;
    snapshot->host = codec_buffer(0);
    machine_buffer_init(&snapshot->chunk);
    apply->held = true;
    if (save_host(apply, &snapshot->host) != GAVEL_OK) {
        apply_snapshot_end(snapshot);
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the sessions of a snapshot");
    }
    for (uint32_t i = 1; i <= apply->machine_count; i++) {
        const struct node_machine *machine = &apply->machines[i - 1];
        int32_t status = machine_snapshot_begin(machine, &snapshot->held[i], error);

        if (status != GAVEL_OK) {
            apply_snapshot_end(snapshot);
            return gavel_wrap(error, machine->name);
        }
        snapshot->holding[i] = true;
    }
    *out = snapshot;
    return GAVEL_OK;
}

/* The next piece of part 0; 1 while there is more. */
static int32_t next_of_host(struct apply_snapshot *snapshot, struct gavel_buffer *out, int32_t *status)
{
    uint64_t left = snapshot->host.size - snapshot->host_sent;
    uint64_t size = left < APPLY_CHUNK ? left : APPLY_CHUNK;

    bytes_put32(out, status, 0);
    bytes_put32(out, status, (uint32_t)size);
    bytes_put(out, status, snapshot->host.data + snapshot->host_sent, size);
    snapshot->host_sent += size;
    return size != 0;
}

static int32_t next_of_machine(struct apply_snapshot *snapshot, struct gavel_buffer *out, int32_t *status,
                               struct gavel_error *error)
{
    const struct node_machine *machine = &snapshot->apply->machines[snapshot->part - 1];
    uint64_t head = out->size;
    uint64_t size;
    int32_t more;

    bytes_put32(out, status, snapshot->part);
    bytes_put32(out, status, 0);
    if (*status != GAVEL_OK)
        return 0;
    if (!snapshot->holding[snapshot->part])
        return 0; /* the record of no bytes that ends the part */
    snapshot->chunk.buffer.size = 0;
    more = machine_snapshot_next(machine, snapshot->held[snapshot->part], &snapshot->chunk, error);
    if (more < 0) {
        *status = more;
        return 0;
    }
    size = snapshot->chunk.buffer.size;
    if (size > APPLY_RECORD_MAX) { /* published, it could never be restored */
        *status = gavel_fail(error, GAVEL_E_TOO_LARGE,
                             "machine '%s' put %llu bytes into one chunk of its snapshot; at most %u fit",
                             machine->name, (unsigned long long)size, APPLY_RECORD_MAX);
        return 0;
    }
    bytes_put(out, status, snapshot->chunk.buffer.data, size);
    if (*status != GAVEL_OK)
        return 0;
    bytes_store32(out->data + head + 4, (uint32_t)size);
    if (more == 0)
        snapshot->holding[snapshot->part] = false; /* exhausted; it is still ours to end */
    /* A chunk of no bytes would read as the end of the part: say nothing instead, if the part goes on. */
    if (out->size == head + 8)
        out->size = head;
    return 1;
}

int32_t apply_snapshot_next(struct apply_snapshot *snapshot, struct gavel_buffer *out,
                            struct gavel_error *error)
{
    int32_t status = 0;
    int32_t more;

    assert(snapshot->magic == SNAPSHOT_MAGIC);
    assert(!snapshot->finished);
    if (snapshot->part > snapshot->machine_count) {
        bytes_put32(out, &status, PART_END);
        bytes_put32(out, &status, 0);
        snapshot->finished = true;
    } else {
        more = snapshot->part == 0 ? next_of_host(snapshot, out, &status)
                                   : next_of_machine(snapshot, out, &status, error);
        if (!more)
            snapshot->part++;
    }
    if (status != GAVEL_OK) {
        if (error && !error->text[0])
            (void)gavel_fail(error, status, "no memory for part %u of a snapshot", snapshot->part);
        return status;
    }
    return !snapshot->finished;
}

struct apply_snapshot *apply_snapshot_end(struct apply_snapshot *snapshot)
{
    if (!snapshot)
        return NULL;
    assert(snapshot->magic == SNAPSHOT_MAGIC);
    for (uint32_t i = snapshot->machine_count; i >= 1; i--) {
        const struct node_machine *machine = &snapshot->apply->machines[i - 1];

        if (snapshot->held[i])
            machine_snapshot_end(machine, snapshot->held[i]);
    }
    snapshot->apply->held = false;
    gavel_buffer_free(&snapshot->host);
    machine_buffer_free(&snapshot->chunk);
    snapshot->magic = 0;
    free(snapshot);
    return NULL;
}

/* ---- restore ------------------------------------------------------------------------------------------- */

int32_t apply_restore_begin(struct apply *apply, uint64_t index, struct gavel_error *error)
{
    assert(apply->magic == APPLY_MAGIC);
    (void)error;
    apply->restoring = true;
    apply->index = index;
    apply->part = 0;
    apply->part_open = false;
    apply->ended = false;
    apply->pending.size = 0;
    apply->host_in.size = 0;
    apply->host_in.heap = apply->pending.heap;
    roster_clear(apply->roster);
    return GAVEL_OK;
}

/* The machines of part 0, and the state versions that they acted as. */
static int32_t restore_versions(struct apply *apply, struct bytes_cursor *cursor, struct gavel_error *error)
{
    uint32_t count = bytes_get32(cursor);

    if (cursor->bad || count > apply->machine_count)
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "the snapshot holds %u machines; this node's configuration names %u", count,
                          apply->machine_count);
    for (uint32_t i = 0; i < count; i++) {
        struct gavel_slice name = bytes_get_slice(cursor);

        apply->settings->machines[i].version = bytes_get64(cursor);
        if (cursor->bad || !gavel_slice_equal(name, gavel_text(apply->machines[i].name)))
            return gavel_fail(error, GAVEL_E_CONFIG, "machine %u of the snapshot is '%.*s', not '%s'", i + 1,
                              (int)name.size, (const char *)name.data, apply->machines[i].name);
    }
    return GAVEL_OK;
}

/* Part 0 is complete: tick, versions, settings, sessions. */
static int32_t restore_host(struct apply *apply, struct gavel_error *error)
{
    struct bytes_cursor cursor = bytes_read(gavel_buffer_slice(&apply->host_in));
    uint32_t version = bytes_get32(&cursor);
    uint64_t tick = bytes_get64(&cursor);
    int32_t status;

    if (version < HOST_FOUNDED || version > HOST_ROSTER)
        return gavel_fail(error, GAVEL_E_VERSION, "the snapshot's format is %u; this version reads %d to %d",
                          version, HOST_FOUNDED, HOST_ROSTER);
    if (settings_copy(apply->settings, apply->founding) != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_LOCAL, "no memory for the settings of a snapshot");
    status = restore_versions(apply, &cursor, error);
    if (status == GAVEL_OK && version >= HOST_CHANGED)
        status = settings_load(apply->settings, &cursor, error);
    if (status == GAVEL_OK && version >= HOST_ROSTER)
        status = roster_load(apply->roster, &cursor, error);
    for (uint32_t i = 0; i < apply->machine_count && status == GAVEL_OK; i++)
        status = setting_fits(&apply->machines[i], apply->settings->machines[i], error);
    if (status == GAVEL_OK)
        status = apply_settings_take(apply, error);
    if (status != GAVEL_OK)
        return status;
    apply->tick = tick;
    return sessions_load(apply->sessions, gavel_bytes(cursor.at, cursor.left), version >= HOST_CHANGED, error);
}

static int32_t close_part(struct apply *apply, struct gavel_error *error)
{
    int32_t status = GAVEL_OK;

    if (apply->part == 0) {
        status = restore_host(apply, error);
    } else {
        const struct node_machine *machine = &apply->machines[apply->part - 1];

        status = machine_restore_end(machine, error);
        if (status != GAVEL_OK)
            (void)gavel_wrap(error, machine->name);
    }
    apply->part++;
    apply->part_open = false;
    return status;
}

static int32_t restore_machine(struct apply *apply, struct gavel_slice bytes, struct gavel_error *error)
{
    const struct node_machine *machine = &apply->machines[apply->part - 1];
    int32_t status = GAVEL_OK;

    if (!apply->part_open)
        status = machine_restore_begin(machine, apply->settings->machines[apply->part - 1].version, error);
    apply->part_open = true;
    if (status == GAVEL_OK && bytes.size)
        status = machine_restore_chunk(machine, bytes, error);
    return status == GAVEL_OK ? status : gavel_wrap(error, machine->name);
}

static int32_t restore_record(struct apply *apply, uint32_t part, struct gavel_slice bytes,
                              struct gavel_error *error)
{
    int32_t status;

    if (part == PART_END) {
        if (apply->part != apply->machine_count + 1 || bytes.size)
            return gavel_fail(error, GAVEL_E_CORRUPT, "the snapshot ends after part %u", apply->part);
        apply->ended = true;
        return GAVEL_OK;
    }
    if (part != apply->part || part > apply->machine_count)
        return gavel_fail(error, GAVEL_E_CORRUPT, "the snapshot has part %u where %u belongs", part,
                          apply->part);
    if (part == 0 && bytes.size) {
        if (gavel_buffer_append(&apply->host_in, bytes.data, bytes.size) != GAVEL_OK)
            return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the sessions of a snapshot");
        return GAVEL_OK;
    }
    if (part > 0) {
        status = restore_machine(apply, bytes, error);
        if (status != GAVEL_OK)
            return status;
    }
    return bytes.size ? GAVEL_OK : close_part(apply, error);
}

int32_t apply_restore_bytes(struct apply *apply, struct gavel_slice bytes, struct gavel_error *error)
{
    uint64_t at = 0;
    int32_t status;

    assert(apply->restoring);
    if (gavel_buffer_append(&apply->pending, bytes.data, bytes.size) != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to restore a snapshot");
    while (apply->pending.size - at >= 8) {
        uint32_t part = bytes_load32(apply->pending.data + at);
        uint32_t size = bytes_load32(apply->pending.data + at + 4);

        if (size > APPLY_RECORD_MAX)
            return gavel_fail(error, GAVEL_E_CORRUPT,
                              "a record of %u bytes in the snapshot is over the limit", size);
        if (apply->ended)
            return gavel_fail(error, GAVEL_E_CORRUPT, "the snapshot goes on after its end");
        if (apply->pending.size - at - 8 < size)
            break;
        status = restore_record(apply, part, gavel_bytes(apply->pending.data + at + 8, size), error);
        if (status != GAVEL_OK)
            return status;
        at += 8 + (uint64_t)size;
    }
    if (at)
        memmove(apply->pending.data, apply->pending.data + at, apply->pending.size - at);
    apply->pending.size -= at;
    return GAVEL_OK;
}

int32_t apply_restore_end(struct apply *apply, struct gavel_error *error)
{
    assert(apply->restoring);
    gavel_buffer_free(&apply->host_in);
    if (!apply->ended || apply->pending.size)
        return gavel_fail(error, GAVEL_E_CORRUPT, "the snapshot stops short, in part %u", apply->part);
    gavel_buffer_free(&apply->pending);
    apply->restoring = false;
    return GAVEL_OK;
}
