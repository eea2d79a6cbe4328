/* SPDX-License-Identifier: Apache-2.0 */
/* saved.c - the file of a saved snapshot; see saved.h. */
#include "core/node/saved.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/bytes.h"
#include "core/os/bytes.h"
#include "core/os/clean.h"
#include "core/os/crc32c.h"

#define HEAD_MAGIC 0x56535647u /* "GVSV" */
#define HEAD_BYTES 64
#define SAVED_VERSION 1
#define HOST_LOOKED_AT (1u << 20) /* bytes of part 0 of the payload that are kept to be looked through */
#define PART_END UINT32_MAX

static uint64_t round_up(uint64_t size)
{
    return (size + LOG_SNAPSHOT_PAGE - 1) / LOG_SNAPSHOT_PAGE * LOG_SNAPSHOT_PAGE;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static int32_t emit(struct saved_writer *writer, const void *data, uint64_t size, struct gavel_error *error)
{
    int result = size ? writer->write(writer->ctx, data, size) : 0;

    if (result)
        return gavel_fail(error, result == -ENOSPC || result == -EDQUOT ? GAVEL_E_NO_SPACE : GAVEL_E_IO,
                          "cannot write: %s", strerror(-result));
    writer->bytes += size;
    return GAVEL_OK;
}

static void encode_head(uint8_t *head, const struct saved_about *about, struct gavel_slice text, uint64_t begins)
{
    memset(head, 0, HEAD_BYTES);
    os_put32(head, HEAD_MAGIC);
    os_put16(head + 4, SAVED_VERSION);
    os_put64(head + 8, begins);
    os_put64(head + 16, begins + log_snapshot_foot_at(about->meta.size, about->info.bytes) + LOG_SNAPSHOT_FOOT);
    os_put32(head + 24, (uint32_t)text.size);
    os_put32(head + 28, (uint32_t)about->founding.size);
    os_put64(head + 32, about->saved_ms);
    os_put32(head + 40, crc32c(0, text.data, text.size));
    os_put32(head + 44, crc32c(0, about->founding.data, about->founding.size));
    os_put32(head + 60, crc32c(0, head, 60));
}

/* Head, about and founding, then header and meta of the snapshot, each with its zeroes. */
static int32_t write_front(struct saved_writer *writer, const struct saved_about *about, struct gavel_slice text,
                           struct gavel_error *error)
{
    uint64_t begins = round_up(HEAD_BYTES + text.size + about->founding.size);
    uint64_t size = begins + log_snapshot_blocks_at(about->meta.size);
    os_autofree uint8_t *front = calloc(1, size);

    if (!front)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to save a snapshot");
    encode_head(front, about, text, begins);
    memcpy(front + HEAD_BYTES, text.data, text.size);
    if (about->founding.size)
        memcpy(front + HEAD_BYTES + text.size, about->founding.data, about->founding.size);
    log_snapshot_head_encode(front + begins, &about->info, about->meta.data, about->meta.size);
    if (about->meta.size)
        memcpy(front + begins + LOG_SNAPSHOT_HEAD, about->meta.data, about->meta.size);
    return emit(writer, front, size, error);
}

int32_t saved_begin(struct saved_writer *writer, const struct saved_about *about, struct gavel_error *error)
{
    struct gavel_buffer text = codec_buffer(SAVED_ABOUT_MAX);
    int32_t status = 0;

    writer->bytes = writer->number = writer->put = 0;
    writer->fill = writer->digest = 0;
    writer->info = about->info;
    bytes_put(&text, &status, about->cluster_id.bytes, sizeof about->cluster_id.bytes);
    bytes_put_slice(&text, &status, gavel_text(about->node));
    bytes_put_slice(&text, &status, gavel_text(about->version));
    if (status != GAVEL_OK)
        status = gavel_fail(error, status, "no memory to save a snapshot");
    else if (about->founding.size > LOG_FOUNDING_MAX || about->meta.size > LOG_SNAPSHOT_META_MAX)
        status = gavel_fail(error, GAVEL_E_TOO_LARGE, "the members or the founding record are over their limits");
    else
        status = write_front(writer, about, gavel_buffer_slice(&text), error);
    gavel_buffer_free(&text);
    return status;
}

static int32_t flush(struct saved_writer *writer, struct gavel_error *error)
{
    uint32_t fill = writer->fill;

    log_snapshot_block_encode(writer->block, writer->number++, writer->block + 8, fill);
    writer->fill = 0;
    return emit(writer, writer->block, fill + 8u, error);
}

int32_t saved_put(struct saved_writer *writer, const void *data, uint64_t size, struct gavel_error *error)
{
    const uint8_t *at = data;
    int32_t status = GAVEL_OK;

    writer->digest = crc32c(writer->digest, data, size);
    writer->put += size;
    while (size && status == GAVEL_OK) {
        uint32_t room = LOG_SNAPSHOT_DATA - writer->fill;
        uint32_t take = size < room ? (uint32_t)size : room;

        memcpy(writer->block + 8 + writer->fill, at, take);
        writer->fill += take;
        at += take;
        size -= take;
        if (writer->fill == LOG_SNAPSHOT_DATA)
            status = flush(writer, error);
    }
    return status;
}

int32_t saved_end(struct saved_writer *writer, struct gavel_error *error)
{
    uint8_t foot[LOG_SNAPSHOT_FOOT];
    int32_t status = writer->fill ? flush(writer, error) : GAVEL_OK;

    if (status != GAVEL_OK)
        return status;
    if (writer->put != writer->info.bytes || writer->digest != writer->info.digest)
        return gavel_fail(error, GAVEL_E_CORRUPT, "what came is not the promised snapshot (%llu bytes of %llu)",
                          (unsigned long long)writer->put, (unsigned long long)writer->info.bytes);
    log_snapshot_foot_encode(foot, &writer->info);
    return emit(writer, foot, sizeof foot, error);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static int32_t bad(const struct saved *saved, uint64_t at, const char *what, struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_CORRUPT, "%s: byte %llu: %s", saved->path, (unsigned long long)at, what);
}

static int32_t read_at(const struct saved *saved, struct os_file *file, void *data, uint64_t size, uint64_t at,
                       struct gavel_error *error)
{
    size_t got = 0;
    int result = os_pread(saved->os, file, data, size, at, &got);

    if (result)
        return gavel_fail(error, GAVEL_E_IO, "%s: cannot read: %s", saved->path, strerror(-result));
    return got == size ? GAVEL_OK : bad(saved, at + got, "cut short", error);
}

static bool zeroes(const uint8_t *from, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++)
        if (from[i])
            return false;
    return true;
}

static int32_t read_about(struct saved *saved, struct gavel_slice text, struct gavel_error *error)
{
    struct bytes_cursor cursor = bytes_read(text);
    const uint8_t *cluster = bytes_get(&cursor, sizeof saved->about.cluster_id.bytes);
    bool good = cluster && members_copy_text(saved->about.node, SAVED_TEXT, bytes_get_slice(&cursor)) &&
                members_copy_text(saved->about.version, SAVED_TEXT, bytes_get_slice(&cursor)) && !cursor.bad;

    if (!good)
        return bad(saved, HEAD_BYTES, "what is said of its origin makes no sense", error);
    memcpy(saved->about.cluster_id.bytes, cluster, sizeof saved->about.cluster_id.bytes);
    return GAVEL_OK;
}

/* The parts behind the head, which names their sizes. */
static int32_t read_parts(struct saved *saved, const uint8_t *head, struct gavel_error *error)
{
    uint32_t about = os_get32(head + 24);
    uint32_t founding = os_get32(head + 28);
    uint64_t end = HEAD_BYTES + (uint64_t)about + founding;
    const uint8_t *text = saved->head + HEAD_BYTES;
    int32_t status;

    if (crc32c(0, text, about) != os_get32(head + 40))
        return bad(saved, HEAD_BYTES, "what is said of its origin is damaged", error);
    if (crc32c(0, text + about, founding) != os_get32(head + 44))
        return bad(saved, HEAD_BYTES + (uint64_t)about, "the founding record is damaged", error);
    if (!zeroes(saved->head + end, saved->snapshot_at - end))
        return bad(saved, end, "there is something where nothing belongs", error);
    saved->about.saved_ms = os_get64(head + 32);
    saved->about.founding = gavel_bytes(text + about, founding);
    status = read_about(saved, gavel_bytes(text, about), error);
    if (status == GAVEL_OK && record_read(saved->about.founding, &saved->record, error) != GAVEL_OK)
        status = gavel_wrap(error, saved->path);
    return status;
}

static int32_t read_front(struct saved *saved, struct os_file *file, struct gavel_error *error)
{
    uint8_t head[HEAD_BYTES];
    uint64_t size = 0;
    int32_t status = read_at(saved, file, head, sizeof head, 0, error);

    if (status != GAVEL_OK)
        return status;
    if (os_get32(head) != HEAD_MAGIC)
        return bad(saved, 0, "this is no saved snapshot of gavel", error);
    if (crc32c(0, head, 60) != os_get32(head + 60))
        return bad(saved, 0, "the head is damaged", error);
    if (os_get16(head + 4) != SAVED_VERSION)
        return gavel_fail(error, GAVEL_E_VERSION, "%s has format %u; this program reads %d: use the newer release",
                          saved->path, os_get16(head + 4), SAVED_VERSION);
    saved->snapshot_at = os_get64(head + 8);
    saved->bytes = os_get64(head + 16);
    if (os_get32(head + 24) > SAVED_ABOUT_MAX || os_get32(head + 28) > LOG_FOUNDING_MAX ||
        saved->snapshot_at != round_up(HEAD_BYTES + (uint64_t)os_get32(head + 24) + os_get32(head + 28)) ||
        !zeroes(head + 48, 12) || !zeroes(head + 6, 2))
        return bad(saved, 0, "the head contradicts itself", error);
    if (os_size(saved->os, file, &size))
        return gavel_fail(error, GAVEL_E_IO, "%s: cannot read its size", saved->path);
    if (size != saved->bytes)
        return bad(saved, size < saved->bytes ? size : saved->bytes,
                   size < saved->bytes ? "cut short" : "the file goes on after its end", error);
    saved->head = malloc(saved->snapshot_at);
    if (!saved->head)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to read %s", saved->path);
    status = read_at(saved, file, saved->head, saved->snapshot_at, 0, error);
    return status == GAVEL_OK ? read_parts(saved, head, error) : status;
}

/* Between the meta of the snapshot and its first block. */
static int32_t check_gap(const struct saved *saved, struct os_file *file, struct gavel_error *error)
{
    uint8_t gap[LOG_SNAPSHOT_PAGE];
    uint64_t from = LOG_SNAPSHOT_HEAD + saved->about.meta.size;
    uint64_t size = log_snapshot_blocks_at(saved->about.meta.size) - from;
    int32_t status = read_at(saved, file, gap, size, saved->snapshot_at + from, error);

    if (status == GAVEL_OK && !zeroes(gap, size))
        status = bad(saved, saved->snapshot_at + from, "there is something where nothing belongs", error);
    return status;
}

static int32_t read_snapshot(struct saved *saved, struct os_file *file, struct gavel_error *error)
{
    os_autofree struct log_snapshot_stream *stream = malloc(sizeof *stream);
    int32_t status;

    if (!stream)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to read %s", saved->path);
    status = log_snapshot_stream_open(stream, saved->os, saved->path, saved->snapshot_at, 0, error);
    if (status != GAVEL_OK)
        return status;
    saved->about.info = stream->info;
    saved->meta = stream->meta;
    stream->meta = NULL;
    saved->about.meta = gavel_bytes(saved->meta, stream->meta_bytes);
    log_snapshot_stream_close(stream);
    status = check_gap(saved, file, error);
    if (status == GAVEL_OK && members_decode(saved->about.meta, &saved->members, error) != GAVEL_OK)
        status = gavel_wrap(error, saved->path);
    return status;
}

int32_t saved_open(struct saved *saved, const struct os *os, const char *path, struct gavel_error *error)
{
    struct os_file *file;
    int32_t status;
    int result;

    memset(saved, 0, sizeof *saved);
    saved->os = os;
    saved->path = path;
    result = os_open(os, path, OS_OPEN_READ, &file);
    if (result)
        return gavel_fail(error, result == -ENOENT ? GAVEL_E_NOT_FOUND : GAVEL_E_IO, "cannot open %s: %s", path,
                          strerror(-result));
    status = read_front(saved, file, error);
    if (status == GAVEL_OK)
        status = read_snapshot(saved, file, error);
    os_close(os, file);
    if (status != GAVEL_OK)
        saved_close(saved);
    return status;
}

void saved_close(struct saved *saved)
{
    free(saved->head);
    free(saved->meta);
    saved->head = NULL;
    saved->meta = NULL;
}

/* ---- the payload --------------------------------------------------------------------------------------- */

/* The records of the payload, see apply_snapshot.c, as they come by. */
struct walk {
    const struct saved *saved;
    struct saved_contents *contents;
    struct gavel_buffer host; /* the beginning of part 0 */
    uint64_t at;              /* of the payload */
    uint8_t head[8];
    uint32_t head_fill;
    uint32_t part;
    uint32_t left; /* of the record at hand */
    bool ended;
};

static int32_t wrong(const struct walk *walk, const char *what, struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_CORRUPT, "%s: byte %llu of the payload: %s", walk->saved->path,
                      (unsigned long long)walk->at, what);
}

static int32_t begin_record(struct walk *walk, struct gavel_error *error)
{
    uint32_t part = bytes_load32(walk->head);
    uint32_t size = bytes_load32(walk->head + 4);

    walk->head_fill = 0;
    if (walk->ended)
        return wrong(walk, "it goes on after its end", error);
    if (part == PART_END) {
        walk->ended = true;
        return size == 0 && walk->part == walk->saved->record.machine_count + 1
                   ? GAVEL_OK
                   : wrong(walk, "it ends before its last part", error);
    }
    if (part != walk->part || part > walk->saved->record.machine_count)
        return wrong(walk, "a part is out of its order", error);
    walk->left = size;
    walk->part += size == 0;
    return GAVEL_OK;
}

static void take_bytes(struct walk *walk, const uint8_t *data, uint32_t size)
{
    if (walk->part == 0) {
        walk->contents->host_bytes += size;
        if (walk->host.size < HOST_LOOKED_AT)
            (void)gavel_buffer_append(&walk->host, data, size);
    } else {
        walk->contents->machines[walk->part - 1].bytes += size;
    }
}

static int32_t walk_on(struct walk *walk, const uint8_t *data, uint64_t size, struct gavel_error *error)
{
    while (size) {
        uint32_t take;

        if (walk->left == 0) {
            walk->head[walk->head_fill++] = *data++;
            walk->at++;
            size--;
            if (walk->head_fill == sizeof walk->head && begin_record(walk, error) != GAVEL_OK)
                return error ? error->code : GAVEL_E_CORRUPT;
            continue;
        }
        take = size < walk->left ? (uint32_t)size : walk->left;
        take_bytes(walk, data, take);
        data += take;
        size -= take;
        walk->at += take;
        walk->left -= take;
    }
    return GAVEL_OK;
}

static void skip_settings(struct bytes_cursor *cursor, struct saved_contents *contents)
{
    uint32_t count;

    contents->settings_version = bytes_get64(cursor);
    count = bytes_get32(cursor);
    for (uint32_t i = 0; i < count && !cursor->bad; i++)
        (void)bytes_get64(cursor);
    count = bytes_get32(cursor);
    for (uint32_t i = 0; i < count && !cursor->bad; i++) {
        (void)bytes_get64(cursor);
        (void)bytes_get_slice(cursor);
        (void)bytes_get_slice(cursor);
    }
}

/* Part 0: version, tick, machines with the versions that they act as, settings if any were changed, sessions. */
static int32_t look_at_host(struct walk *walk, struct gavel_error *error)
{
    struct bytes_cursor cursor = bytes_read(gavel_buffer_slice(&walk->host));
    struct saved_contents *contents = walk->contents;
    uint32_t version = bytes_get32(&cursor);

    contents->tick = bytes_get64(&cursor);
    contents->machine_count = bytes_get32(&cursor);
    if (cursor.bad || contents->machine_count != walk->saved->record.machine_count)
        return gavel_fail(error, GAVEL_E_CORRUPT, "%s: its payload holds %u machines, its founding record %u",
                          walk->saved->path, contents->machine_count, walk->saved->record.machine_count);
    for (uint32_t i = 0; i < contents->machine_count; i++) {
        if (!members_copy_text(contents->machines[i].name, SAVED_TEXT, bytes_get_slice(&cursor)))
            cursor.bad = true;
        contents->machines[i].version = bytes_get64(&cursor);
    }
    if (cursor.bad)
        return gavel_fail(error, GAVEL_E_CORRUPT, "%s: the machines of its payload cannot be read", walk->saved->path);
    if (version > 1)
        skip_settings(&cursor, contents);
    contents->sessions = bytes_get64(&cursor);
    contents->sessions_known = !cursor.bad;
    return GAVEL_OK;
}

int32_t saved_check(const struct saved *saved, struct saved_contents *contents, struct gavel_error *error)
{
    os_autofree struct log_snapshot_stream *stream = malloc(sizeof *stream);
    struct walk walk = {.saved = saved, .contents = contents, .host = codec_buffer(0)};
    const void *data;
    uint64_t size;
    int32_t more;

    memset(contents, 0, sizeof *contents);
    if (!stream)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to read %s", saved->path);
    more = log_snapshot_stream_open(stream, saved->os, saved->path, saved->snapshot_at, 0, error);
    if (more != GAVEL_OK)
        return more;
    while ((more = log_snapshot_stream_next(stream, &data, &size, error)) > 0) {
        more = walk_on(&walk, data, size, error);
        if (more != GAVEL_OK)
            break;
    }
    if (more == GAVEL_OK && (!walk.ended || walk.left || walk.head_fill))
        more = wrong(&walk, "it stops short", error);
    if (more == GAVEL_OK)
        more = look_at_host(&walk, error);
    log_snapshot_stream_close(stream);
    gavel_buffer_free(&walk.host);
    return more;
}
