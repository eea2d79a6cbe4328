/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_files.c - fuzz target, once for each kind of file of a data directory and once for all of them (FUZZ_FILES): a
 * sound directory is made, then the input changes files of it, byte by byte or wholly, with or without making their
 * checksums right again; then it is checked, dumped and opened, as a start of the node would. Whatever is there:
 *  - a refusal has a sentence and changes no byte;
 *  - what opens is a log without gaps, every index of it can be read, it takes appends, stops, and opens again as it
 *    was left, its vote too;
 *  - a clean stop left the directory, so all of it is proved: where no checksum was made right again, and not both
 *    the log and the file that proves it were changed, what opens as whole has every entry and the newest vote.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/format.h"
#include "core/log/inspect.h"
#include "core/log/log.h"
#include "core/log/segment.h"
#include "core/log/snapshot.h"
#include "core/log/snapshot_file.h"
#include "core/os/bytes.h"
#include "core/os/crc32c.h"
#include "core/os/inline.h"
#include "core/os/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define SEGMENT_BYTES 65536u
#define EDITS_MAX 32
#define ENTRY_BYTES 900u
#define BATCHES 90 /* of one entry each: two segments and a half */
#define TOGETHER 5 /* of the last ones are written as one group, the last frames of it in one sector */
#define SMALL_BYTES 100u
#define SNAPSHOT_AT 30 /* as the name of its file says */
#define TERM_BATCHES 40 /* in each term; then a vote for the next one */
#define MEMBER 1

static const char *const files[] = {
#if FUZZ_FILES == 1
    "data/log/0000000000000002.seg", "data/log/0000000000000003.seg", "data/log/0000000000000001.seg",
#elif FUZZ_FILES == 2
    "data/vote.0", "data/vote.1",
#elif FUZZ_FILES == 3
    "data/snap/000000000000001e-0000000000000001.snap",
#elif FUZZ_FILES == 4
    "data/log/synced",
#else
    "data/directory", "data/founding", "data/recovering", "data/vote.0", "data/vote.1", "data/log/synced",
    "data/log/0000000000000001.seg", "data/log/0000000000000002.seg", "data/log/0000000000000003.seg",
    "data/log/0000000000000004.seg", "data/snap/000000000000001e-0000000000000001.snap",
#endif
};
#define FILES (sizeof files / sizeof files[0])

struct disk {
    struct os os;
    struct os_mem *mem;
    struct os_mem_clock clock;
    struct os_inline lanes;
    struct log_pool *pool;
    struct log *log;
    struct log_recovery recovery;
    struct gavel_error error;
    uint64_t io;
    uint64_t written;
    int32_t answer;
};

static struct os_mem *sound; /* the directory as it was made */
static uint64_t incarnation;
static uint32_t sound_chain; /* at its last index */
static bool everything_gone; /* by the input: then, and only then, a directory may be made anew */

/* ---- a log ----------------------------------------------------------------------------------------------------- */

static void on_written(void *ctx, uint64_t io)
{
    ((struct disk *)ctx)->written = io;
}

static void on_failed(void *ctx, const struct gavel_error *error)
{
    (void)ctx;
    (void)fprintf(stderr, "the log failed: %s\n", error->text);
    abort();
}

static void disk_init(struct disk *disk, struct os_mem *mem)
{
    memset(disk, 0, sizeof *disk);
    disk->mem = mem;
    disk->clock.seed = 7;
    disk->os = (struct os){.files = &os_mem_files,
                           .files_self = mem,
                           .clock = &os_mem_clock_ops,
                           .clock_self = &disk->clock,
                           .lanes = &os_lanes_inline,
                           .lanes_self = &disk->lanes};
    disk->pool = log_pool_new(1 << 20);
    assert(disk->pool);
}

static int disk_open(struct disk *disk, bool recover)
{
    struct log_options options = {.dir = "data", .name = "node-1", .segment_bytes = SEGMENT_BYTES,
                                  .cache_bytes = 4096, .trail_bytes = 1 << 20, .snapshot_keep = 2,
                                  .recover = recover, .pool = disk->pool};
    struct log_events events = {.ctx = disk, .written = on_written, .failed = on_failed};

    disk->io = 0;
    disk->written = 0;
    log_recovery_free(&disk->recovery);
    disk->error.text[0] = 0;
    return log_open(&disk->os, &options, &events, &disk->log, &disk->recovery, &disk->error);
}

static void disk_free(struct disk *disk)
{
    os_inline_drop(&disk->lanes);
    disk->log = log_free(disk->log);
    log_recovery_free(&disk->recovery);
    disk->pool = log_pool_free(disk->pool);
    disk->mem = os_mem_free(disk->mem);
}

static void pump(struct disk *disk)
{
    (void)os_inline_pump(&disk->lanes);
}

static void append(struct disk *disk, uint64_t term, size_t bytes)
{
    static const uint8_t payload[ENTRY_BYTES] = {1, 2, 3};
    struct log_entry entry = {.kind = LOG_COMMAND, .machine = 1, .session = 5, .principal = gavel_text("ann"),
                              .payload = gavel_bytes(payload, bytes)};
    struct log_builder builder = {0};
    struct log_batch *batch = NULL;
    int status = log_builder_add(&builder, &entry);

    assert(status == 0);
    status = log_builder_seal(&builder, disk->pool, term, log_last(disk->log) + 1, 1234, 99, log_chain(disk->log),
                              &batch);
    assert(status == 0);
    status = log_append(disk->log, ++disk->io, batch);
    assert(status == 0);
    (void)log_batch_unref(batch);
    log_builder_free(&builder);
}

static void on_flag(void *ctx)
{
    *(bool *)ctx = true;
}

static void stop(struct disk *disk)
{
    bool stopped = false;

    log_stop(disk->log, on_flag, &stopped);
    pump(disk);
    assert(stopped);
    disk->log = log_free(disk->log);
    assert(os_mem_open_files(disk->mem) == 0);
}

static void on_snapshot(void *ctx, int32_t status, const struct gavel_error *error)
{
    (void)error;
    ((struct disk *)ctx)->answer = status;
}

static void on_task(struct log_task *task)
{
    assert(task->status == 0);
}

static void take_snapshot(struct disk *disk)
{
    static uint8_t payload[70000];
    struct log_snapshot_info info = {.index = SNAPSHOT_AT};
    struct log_snapshot_writer *writer = NULL;
    struct log_descriptor batch;
    int status = log_describe(disk->log, info.index, &batch);

    assert(status == 0);
    info.term = batch.term;
    info.chain = batch.chain;
    status = log_snapshot_begin(disk->log, &info, "meta", 4, on_snapshot, disk, &writer);
    assert(status == 0);
    status = log_snapshot_write(writer, payload, sizeof payload);
    assert(status == 0);
    pump(disk);
    assert(disk->answer == 0);
    status = log_snapshot_end(writer);
    assert(status == 0);
    pump(disk);
    assert(disk->answer == 0);
}

/* A member's directory with everything in it that there can be. */
static void make_sound(void)
{
    struct log_cluster_id cluster = {.bytes = {9}};
    struct log_task identity = {.done = on_task};
    struct log_task founding = {.done = on_task};
    struct disk disk;
    int status;

    disk_init(&disk, os_mem_new());
    status = disk_open(&disk, false);
    assert(status == 0);
    incarnation = disk.recovery.incarnation;
    status = log_set_founding(disk.log, "record", 6, &founding);
    assert(status == 0);
    pump(&disk);
    status = log_set_identity(disk.log, &cluster, 1, &identity);
    assert(status == 0);
    pump(&disk);
    for (int i = 0; i < BATCHES; i++) {
        if (i % TERM_BATCHES == 0) {
            status = log_vote(disk.log, ++disk.io, 1 + (uint64_t)i / TERM_BATCHES, MEMBER);
            assert(status == 0);
        }
        append(&disk, 1 + (uint64_t)i / TERM_BATCHES, i < BATCHES - TOGETHER ? ENTRY_BYTES : SMALL_BYTES);
        if (i < BATCHES - TOGETHER || i == BATCHES - 1) /* while the first of the last is written the others collect */
            pump(&disk);
        if (i == SNAPSHOT_AT)
            take_snapshot(&disk);
    }
    sound_chain = log_chain(disk.log);
    stop(&disk);
    sound = os_mem_clone(disk.mem);
    assert(sound);
    for (size_t i = 0; i < FILES; i++) {
        uint64_t size;

        assert(os_mem_peek(sound, files[i], &size) || strcmp(files[i], "data/recovering") == 0);
    }
    disk_free(&disk);
}

/* ---- changes --------------------------------------------------------------------------------------------------- */

static void seal(uint8_t *data, size_t size, size_t at, size_t behind, uint32_t before)
{
    if (at <= size && behind <= size - at)
        os_put32(data + at + behind, crc32c(before, data + at, behind));
}

static void seal_segment(uint8_t *data, size_t size, uint32_t before)
{
    seal(data, size, 0, LOG_SEGMENT_RECORD - 4, before);
    for (size_t at = LOG_SEGMENT_HEAD; at + LOG_FRAME_HEAD <= size; at += 8) {
        uint8_t *payload = data + at + LOG_FRAME_HEAD;
        uint32_t bytes;

        if (os_get32(data + at) != 0x52465647u)
            continue;
        bytes = os_get32(data + at + 32);
        if (bytes <= size - at - LOG_FRAME_HEAD && bytes >= LOG_BATCH_HEAD &&
            os_get16(data + at + 6) == LOG_FRAME_BATCH) {
            os_put32(payload + 48, crc32c(0, payload + LOG_BATCH_HEAD, bytes - LOG_BATCH_HEAD));
            os_put32(payload + 56, crc32c(0, payload, 56));
        } else if (bytes == LOG_POINT_BYTES && bytes <= size - at - LOG_FRAME_HEAD) {
            seal(payload, bytes, 0, LOG_POINT_BYTES - 4, 0);
        } else if (bytes == LOG_START_BYTES && bytes <= size - at - LOG_FRAME_HEAD) {
            seal(payload, bytes, 0, LOG_START_BYTES - 4, 0);
        }
        os_put32(data + at + 44, crc32c(before, data + at, 44));
    }
}

static void seal_snapshot(uint8_t *data, size_t size)
{
    size_t meta = size >= 40 ? os_get32(data + 28) : 0;

    if (size >= 4096 && meta <= size - 4096)
        os_put32(data + 32, crc32c(0, data + 4096, meta));
    seal(data, size, 0, 36, 0);
    if (size >= 40)
        seal(data, size, size - 40, 36, 0);
}

/* Make what can be made right of a file's checksums, by what kind of file it is. */
static void seal_file(const char *name, uint8_t *data, size_t size)
{
    uint8_t start[8];
    uint32_t before;

    os_put64(start, incarnation);
    before = crc32c(0, start, sizeof start);
    if (strstr(name, ".seg")) {
        seal_segment(data, size, before);
    } else if (strstr(name, "vote")) {
        seal(data, size, 0, LOG_VOTE_BYTES - 4, before);
    } else if (strstr(name, "snap/")) {
        seal_snapshot(data, size);
    } else if (strstr(name, "synced")) {
        for (size_t at = 0; at + LOG_IDENTITY_BYTES <= size; at += LOG_IDENTITY_BYTES)
            if (os_get32(data + at))
                seal(data, size, at, LOG_IDENTITY_BYTES - 4, before);
    } else if (strstr(name, "directory")) {
        seal(data, size, 0, LOG_DIRECTORY_BYTES - 4, 0);
    } else if (size >= LOG_BLOB_HEAD) {
        os_put32(data + 16, crc32c(0, data + LOG_BLOB_HEAD, size - LOG_BLOB_HEAD));
        seal(data, size, 0, 20, 0);
    }
}

/* Put `data` in place of the whole file, durably. */
static void replace(struct disk *disk, const char *name, const void *data, size_t size)
{
    struct os_file *file;

    if (os_open(&disk->os, name, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file) != 0)
        return;
    if (size)
        (void)os_pwrite(&disk->os, file, data, size, 0, 0);
    (void)os_sync(&disk->os, file);
    os_close(&disk->os, file);
    (void)os_sync_dir(&disk->os, "data");
    (void)os_sync_dir(&disk->os, "data/log");
    (void)os_sync_dir(&disk->os, "data/snap");
}

/* Where something stands in a file: near one of its structures, or anywhere. */
static size_t place(struct fuzz_input *input, size_t size)
{
    unsigned how = fuzz_u8(input);
    size_t at = (size_t)fuzz_uint(input, 2);

    switch (how % 4) {
    case 0:
        break;
    case 1: /* from the end */
        at = at < size ? size - at : 0;
        break;
    case 2: /* in a segment: frame number `how`, each of the size that append makes */
        at = LOG_SEGMENT_HEAD + (size_t)(how / 4) * 1024 + at % 1024;
        break;
    default:
        at = (size_t)(how / 4) * LOG_IDENTITY_BYTES + at % LOG_IDENTITY_BYTES;
        break;
    }
    return size ? at % size : 0;
}

/* What the edits of one input were about. */
struct edits {
    bool sealed;
    bool segment; /* one was changed */
    bool synced;
};

static void edit(struct disk *disk, struct fuzz_input *input, struct edits *edits)
{
    unsigned kind = fuzz_u8(input);
    const char *name = files[kind / 8 % FILES];
    uint64_t size = 0;
    const uint8_t *bytes = os_mem_peek(disk->mem, name, &size);
    uint8_t *copy = calloc(1, size + 65536);
    struct gavel_slice data;
    size_t at;

    assert(copy);
    edits->segment |= strstr(name, ".seg") != NULL;
    edits->synced |= strstr(name, "synced") != NULL;
    if (bytes)
        memcpy(copy, bytes, size);
    at = place(input, size);
    switch (kind % 8) {
    case 0: /* other bytes, here */
    case 1:
    case 2:
        data = fuzz_take(input, 1 + fuzz_u8(input) % 16u);
        memcpy(copy + at, data.data, data.size < size - at ? data.size : size - at);
        break;
    case 3: /* shorter */
        size = at;
        break;
    case 4: /* the whole of it */
        data = fuzz_slice(input);
        memcpy(copy, data.data, data.size);
        size = data.size;
        break;
    case 5: /* a run of zeroes */
        data = gavel_bytes(NULL, (size_t)fuzz_uint(input, 2));
        memset(copy + at, 0, data.size < size - at ? data.size : size - at);
        break;
    case 6: /* longer */
        size += fuzz_uint(input, 2);
        break;
    default: /* gone */
        (void)os_unlink(&disk->os, name);
        free(copy);
        return;
    }
    if (kind & 0x80) {
        edits->sealed = true;
        seal_file(name, copy, size);
    }
    replace(disk, name, copy, size);
    free(copy);
}

/* ---- what must hold -------------------------------------------------------------------------------------------- */

static void on_read(struct log_read *read)
{
    *(bool *)read->ctx = true;
}

/* Every index, in order; a batch is what its head says. */
static void read_all(struct disk *disk)
{
    uint64_t next = log_first(disk->log);

    while (next <= log_last(disk->log)) {
        bool done = false;
        struct log_read read = {.from = next, .max_bytes = 65536, .done = on_read, .ctx = &done};
        int status = log_read(disk->log, &read);

        assert(status >= 0);
        if (status == 0) {
            pump(disk);
            assert(done);
            assert(read.status == 0);
        }
        assert(read.count);
        for (uint32_t i = 0; i < read.count; i++) {
            const struct log_batch *batch = read.batches[i];

            assert(batch->head.first == next);
            next += batch->head.count;
        }
        log_read_release(&read);
    }
}

static void on_piece(void *ctx, int32_t status, const struct log_snapshot_piece *piece,
                     const struct gavel_error *error)
{
    struct disk *disk = ctx;

    assert(status == 0 || error->text[0]);
    disk->answer = status == 0 && piece->last ? 1 : status;
}

/* Each snapshot that was listed can be opened; what it gives is checked or refused. */
static void read_snapshots(struct disk *disk)
{
    for (uint32_t i = 0; i < log_snapshot_count(disk->log); i++) {
        struct log_snapshot_info info = log_snapshot_at(disk->log, i);
        struct log_snapshot_reader *reader = NULL;
        uint64_t offset = 0;

        if (log_snapshot_open(disk->log, info.index, on_piece, disk, &reader) != 0)
            continue;
        do {
            disk->answer = 2;
            if (log_snapshot_read(reader, offset, 65536) != 0)
                break;
            pump(disk);
            assert(disk->answer <= 1);
            offset += 65536;
        } while (disk->answer == 0 && offset < info.bytes);
        log_snapshot_close(reader);
        pump(disk);
    }
}

static void check_report(const struct log_recovery *recovery)
{
    uint64_t next = recovery->first;

    for (uint64_t i = 0; i < recovery->batch_count; i++) {
        assert(recovery->batches[i].first == next);
        assert(recovery->batches[i].count);
        next += recovery->batches[i].count;
    }
    assert(recovery->batch_count == 0 || recovery->last + 1 == next || recovery->snapshot.index >= next);
}

/* What was proved is there, or missed. */
static void check_kept(const struct log_recovery *recovery, const struct edits *edits)
{
    if (edits->sealed || (recovery->start != LOG_START_OK && recovery->start != LOG_START_TORN))
        return;
    assert(recovery->term == 1 + (BATCHES - 1) / TERM_BATCHES);
    assert(recovery->vote == MEMBER);
    if (edits->segment && edits->synced)
        return;
    assert(recovery->last == BATCHES);
    assert(recovery->last_chain == sound_chain);
}

/* It opened: use it, stop it, open it again. */
static void live(struct disk *disk, bool recover, const struct edits *edits)
{
    uint64_t term = disk->recovery.term;
    uint64_t vote = disk->recovery.vote;
    uint64_t last;
    uint32_t chain;
    int status;

    assert(disk->recovery.start != LOG_START_FRESH || everything_gone);
    check_report(&disk->recovery);
    check_kept(&disk->recovery, edits);
    read_all(disk);
    read_snapshots(disk);
    if (log_last(disk->log) >= disk->recovery.snapshot.index && log_last(disk->log) < UINT64_MAX / 2 &&
        disk->recovery.last_term < UINT64_MAX / 2 && disk->recovery.term < UINT64_MAX / 2) {
        if (term <= disk->recovery.last_term)
            term = disk->recovery.last_term + 1;
        vote = MEMBER;
        status = log_vote(disk->log, ++disk->io, term, vote);
        assert(status == 0);
        append(disk, term, ENTRY_BYTES);
        pump(disk);
        assert(disk->written == disk->io);
    }
    last = log_last(disk->log);
    chain = log_chain(disk->log);
    stop(disk);
    status = disk_open(disk, recover);
    if (status != 0) {
        (void)fprintf(stderr, "it was open, and now: %s\n", disk->error.text);
        abort();
    }
    assert(log_last(disk->log) == last);
    assert(log_chain(disk->log) == chain);
    assert(disk->recovery.term == term);
    assert(disk->recovery.vote == vote);
    stop(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct log_dump_options options = {.payload = true};
    struct edits edits = {0};
    struct disk disk;
    uint64_t digest;
    unsigned flags;
    FILE *out;
    int status;

    if (!sound)
        make_sound();
    disk_init(&disk, os_mem_clone(sound));
    flags = fuzz_u8(&input);
    for (int i = 0; i < EDITS_MAX && input.size; i++)
        edit(&disk, &input, &edits);
    everything_gone = true;
    for (size_t i = 0; i < FILES; i++) {
        uint64_t left;

        everything_gone = everything_gone && (!os_mem_peek(disk.mem, files[i], &left) || !strchr("lf", files[i][5]) ||
                                              strstr(files[i], "synced") || strstr(files[i], "01.seg"));
    }
    digest = os_mem_digest(disk.mem);
    if (flags & 2) {
        out = fopen("/dev/null", "we");
        assert(out);
        options.json = flags & 4;
        (void)log_inspect_check(&disk.os, "data", flags & 4, out, &disk.error);
        (void)log_inspect_dump(&disk.os, "data", &options, out, &disk.error);
        (void)fclose(out);
        assert(os_mem_digest(disk.mem) == digest);
    }
    status = disk_open(&disk, flags & 1);
    if (status == 0) {
        live(&disk, flags & 1, &edits);
    } else {
        assert(!disk.log);
        assert(disk.error.text[0]);
        assert(status == GAVEL_E_CORRUPT || status == GAVEL_E_CONFIG || status == GAVEL_E_VERSION ||
               status == GAVEL_E_IO);
        if (status != GAVEL_E_IO && os_mem_digest(disk.mem) != digest) {
            (void)fprintf(stderr, "refused, and yet bytes were changed: %s\n", disk.error.text);
            abort();
        }
    }
    disk_free(&disk);
    return 0;
}
