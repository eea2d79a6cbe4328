/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reset.c - the data directory of a new cluster from what an old one left; see reset.h.
 *
 * It is filled through the log's own functions, as a node fills it: vote, snapshot as if a leader had sent it, batches,
 * founding record, and the identity last. Only the lanes are inline, so each step is done when it has been pumped.
 */
#include "core/node/reset.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/log/scan.h"
#include "core/log/snapshot_file.h"
#include "core/node/record.h"
#include "core/os/clean.h"
#include "core/os/cover.h"
#include "core/os/crc32c.h"
#include "core/os/inline.h"
#include "core/os/seeded.h"

/* A log that is opened off line. */
struct opened {
    struct os os; /* the caller's, but for the lanes */
    struct os_inline lanes;
    struct log_pool *pool;
    struct log *log;
    struct log_recovery recovery;
    struct log_task task;
    uint64_t io; /* the last given out */
    uint64_t written;
    bool task_done;
    bool stopped;
    int32_t status; /* of what was asked for last */
    struct gavel_error *error;
};

static void written(void *ctx, uint64_t io)
{
    ((struct opened *)ctx)->written = io;
}

static void failed(void *ctx, const struct gavel_error *error)
{
    struct opened *at = ctx;

    at->status = GAVEL_E_IO;
    if (at->error)
        *at->error = *error;
}

static void stopped(void *ctx)
{
    ((struct opened *)ctx)->stopped = true;
}

static void task_done(struct log_task *task)
{
    struct opened *at = task->ctx;

    at->task_done = true;
    if (task->status == GAVEL_OK || at->status != GAVEL_OK)
        return;
    at->status = task->status;
    if (at->error)
        *at->error = task->error;
}

static struct log_task *begin_task(struct opened *at)
{
    at->task_done = false;
    at->task = (struct log_task){.done = task_done, .ctx = at};
    return &at->task;
}

/* Whatever was asked for is done, or has failed with a sentence. */
static int32_t settle(struct opened *at)
{
    (void)os_inline_pump(&at->lanes);
    return at->status;
}

static int32_t settle_task(struct opened *at, int asked)
{
    if (asked != GAVEL_OK)
        return at->status != GAVEL_OK ? at->status : gavel_fail(at->error, asked, "the log refuses it (%d)", asked);
    (void)settle(at);
    assert(at->task_done || at->status != GAVEL_OK);
    return at->status;
}

static int32_t open_log(struct opened *at, const struct os *os, struct log_options *options, struct gavel_error *error)
{
    struct log_events events = {.ctx = at, .written = written, .failed = failed};

    memset(at, 0, sizeof *at);
    at->os = *os;
    at->os.lanes = &os_lanes_inline;
    at->os.lanes_self = &at->lanes;
    at->error = error;
    at->pool = log_pool_new(LOG_BATCH_MAX);
    if (!at->pool)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the log");
    options->pool = at->pool;
    return log_open(&at->os, options, &events, &at->log, &at->recovery, error);
}

static void close_log(struct opened *at)
{
    if (at->log && at->status == GAVEL_OK) {
        log_stop(at->log, stopped, at);
        (void)os_inline_pump(&at->lanes);
        if (!at->stopped && at->status == GAVEL_OK)
            at->status = gavel_fail(at->error, GAVEL_E_IO, "the log could not be finished");
    }
    os_inline_drop(&at->lanes);
    at->log = log_free(at->log);
    log_recovery_free(&at->recovery);
    at->pool = log_pool_free(at->pool);
}

/* ---- the place ----------------------------------------------------------------------------------------- */

static int32_t system_error(struct gavel_error *error, const char *what, const char *path, int number)
{
    return gavel_fail(error, number == -ENOSPC || number == -EDQUOT ? GAVEL_E_NO_SPACE
                             : number == -EACCES || number == -EPERM ? GAVEL_E_DENIED
                                                                     : GAVEL_E_IO,
                      "cannot %s %s: %s", what, path, strerror(-number));
}

struct names {
    const struct os *os;
    const char *dir;
    const char *under; /* "log/", "snap/" or "" */
    bool unfinished;
    bool other;
    char first[OS_NAME_MAX]; /* of the others */
};

static int see(void *ctx, const char *name)
{
    struct names *names = ctx;

    if (strcmp(name, LOG_UNFINISHED) == 0) {
        names->unfinished = true;
    } else {
        names->other = true;
        (void)snprintf(names->first, sizeof names->first, "%s", name);
    }
    return 0;
}

static int sweep(void *ctx, const char *name)
{
    struct names *names = ctx;
    char file[OS_NAME_MAX + 8];
    char path[OS_PATH_MAX];
    struct os_stat stat;

    if (strcmp(name, LOG_UNFINISHED) == 0)
        return 0;
    (void)snprintf(file, sizeof file, "%s%s", names->under, name);
    if (log_path(path, names->dir, file, NULL))
        return -ENAMETOOLONG;
    if (os_stat(names->os, path, &stat) == 0 && stat.is_dir)
        return 0;
    return os_unlink(names->os, path);
}

/* What an attempt that was interrupted has left goes: the log begins with none of it. */
static int32_t sweep_all(const struct reset_plan *plan, struct gavel_error *error)
{
    static const char *const under[] = {"log", "snap", ""};

    for (size_t i = 0; i < sizeof under / sizeof *under; i++) {
        char prefix[8] = "";
        char path[OS_PATH_MAX];
        struct names names = {.os = plan->os, .dir = plan->dir, .under = prefix};
        int result;

        if (under[i][0])
            (void)snprintf(prefix, sizeof prefix, "%s/", under[i]);
        if (log_path(path, plan->dir, under[i], error))
            return GAVEL_E_INVALID;
        result = os_list(plan->os, under[i][0] ? path : plan->dir, sweep, &names);
        if (result && result != -ENOENT)
            return system_error(error, "empty", plan->dir, result);
    }
    return GAVEL_OK;
}

static int sync_parent_of(const struct os *os, const char *dir)
{
    char path[OS_PATH_MAX];
    char *slash;

    if (strlen(dir) + 3 > sizeof path)
        return -ENAMETOOLONG;
    (void)snprintf(path, sizeof path, "%s", dir);
    for (size_t length = strlen(path); length > 1 && path[length - 1] == '/'; length--)
        path[length - 1] = 0;
    slash = strrchr(path, '/');
    if (!slash)
        return os_sync_dir(os, ".");
    slash[slash == path] = 0;
    return os_sync_dir(os, path);
}

static int make_mark(const struct reset_plan *plan)
{
    char path[OS_PATH_MAX];
    struct os_file *file;
    int result = log_path(path, plan->dir, LOG_UNFINISHED, NULL) ? -ENAMETOOLONG : 0;

    if (result == 0)
        result = os_open(plan->os, path, OS_OPEN_WRITE | OS_OPEN_CREATE, &file);
    if (result)
        return result;
    result = os_sync(plan->os, file);
    os_close(plan->os, file);
    if (result == 0)
        result = os_sync_dir(plan->os, plan->dir);
    return result ? result : sync_parent_of(plan->os, plan->dir);
}

/* The directory is there with the mark in it, and nothing else. */
static int32_t take_place(const struct reset_plan *plan, struct gavel_error *error)
{
    struct names names = {.os = plan->os, .dir = plan->dir};
    int result = os_mkdir(plan->os, plan->dir, 0700);

    if (result && result != -EEXIST)
        return system_error(error, "create", plan->dir, result);
    result = os_list(plan->os, plan->dir, see, &names);
    if (result)
        return system_error(error, "read", plan->dir, result);
    if (names.other && !names.unfinished)
        return gavel_fail(error, GAVEL_E_EXISTS,
                          "%s is not empty (it holds %s): a new cluster begins in a directory of its own", plan->dir,
                          names.first);
    result = make_mark(plan);
    if (result)
        return system_error(error, "write into", plan->dir, result);
    return sweep_all(plan, error);
}

/* Now it is a data directory. */
static int32_t remove_mark(const struct reset_plan *plan, struct gavel_error *error)
{
    char path[OS_PATH_MAX];
    int result = log_path(path, plan->dir, LOG_UNFINISHED, NULL) ? -ENAMETOOLONG : 0;

    if (result == 0)
        result = os_sync_dir(plan->os, plan->dir);
    if (result == 0)
        result = os_unlink(plan->os, path);
    if (result == 0)
        result = os_sync_dir(plan->os, plan->dir);
    return result ? system_error(error, "finish", plan->dir, result) : GAVEL_OK;
}

/* ---- the snapshot -------------------------------------------------------------------------------------- */

static void received(void *ctx, int32_t status, uint64_t offset, const struct gavel_error *error)
{
    struct opened *at = ctx;

    (void)offset;
    if (status == GAVEL_OK || at->status != GAVEL_OK)
        return;
    at->status = status;
    if (at->error && error)
        *at->error = *error;
}

static int32_t copy_blocks(struct opened *at, struct log_snapshot_stream *from, struct log_snapshot_receiver *to)
{
    uint64_t offset = 0;
    const void *data;
    uint64_t size;
    int32_t more;

    while ((more = log_snapshot_stream_next(from, &data, &size, at->error)) > 0) {
        int status = log_snapshot_piece(to, offset, data, size, crc32c(0, data, size));

        if (status != GAVEL_OK)
            return gavel_fail(at->error, status, "a piece of the snapshot is refused (%d)", status);
        if (settle(at) != GAVEL_OK)
            return at->status;
        offset += size;
    }
    return more;
}

static int32_t put_snapshot(struct opened *at, struct log_snapshot_stream *from, const struct members *members,
                            uint64_t skip)
{
    struct log_snapshot_info info = from->info;
    struct gavel_buffer meta = codec_buffer(0);
    struct members then = *members;
    struct log_snapshot_receiver *to = NULL;
    int32_t status;

    info.index += skip;
    then.version = info.index;
    status = members_encode(&then, &meta);
    if (status == GAVEL_OK)
        status = log_snapshot_receive(at->log, &info, meta.data, meta.size, received, at, &to);
    gavel_buffer_free(&meta);
    if (status != GAVEL_OK)
        return gavel_fail(at->error, status, "the snapshot cannot be begun (%d)", status);
    status = settle(at);
    if (status == GAVEL_OK)
        status = copy_blocks(at, from, to);
    if (status != GAVEL_OK) {
        log_snapshot_receive_close(to);
        return status;
    }
    status = log_snapshot_received_end(to);
    if (status != GAVEL_OK || settle(at) != GAVEL_OK) {
        log_snapshot_receive_close(to);
        return at->status != GAVEL_OK ? at->status : gavel_fail(at->error, status, "the snapshot is not whole");
    }
    return settle_task(at, log_reset(at->log, info.index, info.term, info.chain, begin_task(at)));
}

/* ---- the log ------------------------------------------------------------------------------------------- */

static int32_t append(struct opened *to, struct log_batch *batch)
{
    int status = log_append(to->log, ++to->io, batch);

    if (status != GAVEL_OK)
        return to->status != GAVEL_OK ? to->status : gavel_fail(to->error, status, "the log is full (%d)", status);
    (void)settle(to);
    if (to->status == GAVEL_OK && to->written != to->io)
        to->status = gavel_fail(to->error, GAVEL_E_NO_SPACE, "the disk is full");
    return to->status;
}

static void read_done(struct log_read *read)
{
    (void)read;
}

/* Every batch behind `after`; *wall and *tick are those of the last one. Batches come whole and are never changed. */
static int32_t copy_batches(struct opened *from, struct opened *to, uint64_t after, uint64_t *wall, uint64_t *tick)
{
    uint64_t last = log_last(from->log);
    int32_t status = GAVEL_OK;

    for (uint64_t next = after + 1; next <= last && status == GAVEL_OK;) {
        struct log_read read = {.from = next, .max_bytes = LOG_BATCH_MAX, .done = read_done};
        int asked = log_read(from->log, &read);

        if (asked == 0)
            (void)os_inline_pump(&from->lanes);
        if (asked < 0 || read.status != GAVEL_OK || read.count == 0) {
            int32_t why = asked < 0 ? asked : read.status != GAVEL_OK ? read.status : GAVEL_E_CORRUPT;

            log_read_release(&read);
            return gavel_fail(to->error, why, "entry %llu of the log cannot be read: %s", (unsigned long long)next,
                              read.error.text);
        }
        for (uint32_t i = 0; i < read.count && status == GAVEL_OK; i++) {
            struct log_batch *batch;

            /* The pools are two, as their logs are. */
            status = log_batch_copy(to->pool, read.batches[i]->data, read.batches[i]->head.bytes, &batch, to->error);
            if (status != GAVEL_OK)
                break;
            *wall = batch->head.wall;
            *tick = batch->head.tick;
            next = batch->head.first + batch->head.count;
            status = append(to, batch);
            log_batch_unref(batch);
        }
        log_read_release(&read);
    }
    return status;
}

/* The one entry that makes the new members those in force. Equal on every node that is made from equal logs. */
static int32_t append_members(struct opened *to, const struct members *members, uint64_t term, uint64_t wall,
                              uint64_t tick)
{
    struct log_builder builder = {0};
    struct log_entry entry = {.kind = LOG_CONFIG};
    struct gavel_buffer body = codec_buffer(0);
    struct members then = *members;
    struct log_batch *batch = NULL;
    int32_t status;

    then.version = log_last(to->log) + 1;
    status = members_encode(&then, &body);
    entry.payload = gavel_buffer_slice(&body);
    if (status == GAVEL_OK)
        status = log_builder_add(&builder, &entry);
    if (status == GAVEL_OK)
        status = log_builder_seal(&builder, to->pool, term, then.version, wall, tick, log_chain(to->log), &batch);
    if (status != GAVEL_OK)
        (void)gavel_fail(to->error, status, "no memory for the new members");
    else
        status = append(to, batch);
    log_batch_unref(batch);
    log_builder_free(&builder);
    gavel_buffer_free(&body);
    return status;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static int32_t put_vote(struct opened *to, uint64_t term)
{
    int status = log_vote(to->log, ++to->io, term, 0);

    if (status != GAVEL_OK)
        return gavel_fail(to->error, status, "the term cannot be written");
    (void)settle(to);
    return to->status;
}

static int32_t put_identity(struct opened *to, const struct reset_plan *plan, struct gavel_slice founding)
{
    struct gavel_buffer record = codec_buffer(0);
    int32_t status = record_rewrite(founding, &plan->cluster_id, plan->members, &record, to->error);

    if (status == GAVEL_OK)
        status = settle_task(to, log_set_founding(to->log, record.data, record.size, begin_task(to)));
    if (status == GAVEL_OK)
        status = settle_task(to, log_set_identity(to->log, &plan->cluster_id, plan->member_id, begin_task(to)));
    gavel_buffer_free(&record);
    return status;
}

static int32_t check_plan(const struct reset_plan *plan, struct gavel_error *error)
{
    static const struct log_cluster_id none;
    const struct member *self = members_find(plan->members, plan->member_id);
    struct raft_configuration configuration;

    members_configuration(plan->members, &configuration);
    if (memcmp(&plan->cluster_id, &none, sizeof none) == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "a new cluster needs an id");
    if (!self || strcmp(self->name, plan->name) != 0)
        return gavel_fail(error, GAVEL_E_INVALID, "%s is not among the members of the new cluster", plan->name);
    if (!raft_configuration_valid(&configuration, RAFT_MEMBERS_MAX))
        return gavel_fail(error, GAVEL_E_INVALID, "these members make no cluster");
    for (uint32_t i = 0; i < plan->members->count; i++)
        if (plan->members->items[i].id >= plan->members->next_id)
            return gavel_fail(error, GAVEL_E_INVALID, "member %s has an id that is to be given out yet",
                              plan->members->items[i].name);
    return GAVEL_OK;
}

static int32_t open_new(struct opened *to, const struct reset_plan *plan, struct gavel_error *error)
{
    struct log_options options = {
        .dir = plan->dir, .name = plan->name, .segment_bytes = plan->segment_bytes, .unfinished = 1};
    int32_t status = check_plan(plan, error);

    memset(to, 0, sizeof *to);
    if (status == GAVEL_OK)
        status = take_place(plan, error);
    return status == GAVEL_OK ? open_log(to, plan->os, &options, error) : status;
}

/* The directory counts when all of it is durable, and not before. */
static int32_t finish(struct opened *to, const struct reset_plan *plan, int32_t status, struct gavel_error *error)
{
    if (status != GAVEL_OK && to->status == GAVEL_OK)
        to->status = status;
    close_log(to);
    if (to->status == GAVEL_OK) {
        COVER("node-reset-done");
        to->status = remove_mark(plan, error);
    }
    return to->status;
}

/* `stream` is open and its snapshot sound as far as it was looked at. */
static int32_t put_all(struct opened *to, const struct reset_plan *plan, struct log_snapshot_stream *stream,
                       uint64_t term, uint64_t skip)
{
    int32_t status = put_vote(to, term);

    return status == GAVEL_OK && stream->file ? put_snapshot(to, stream, plan->members, skip) : status;
}

int32_t reset_from_snapshot(const struct reset_plan *plan, const char *path, uint64_t at, uint64_t size,
                            struct gavel_slice founding, uint64_t skip, struct gavel_error *error)
{
    os_autofree struct log_snapshot_stream *stream = malloc(sizeof *stream);
    struct opened to;
    int32_t status;

    if (!stream)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to read a snapshot");
    status = log_snapshot_stream_open(stream, plan->os, path, at, size, error);
    if (status != GAVEL_OK)
        return status;
    status = open_new(&to, plan, error);
    if (status == GAVEL_OK)
        status = put_all(&to, plan, stream, stream->info.term, skip);
    if (status == GAVEL_OK)
        status = put_identity(&to, plan, founding);
    status = finish(&to, plan, status, error);
    log_snapshot_stream_close(stream);
    return status;
}

/* Open the old directory, which has to be whole. */
static int32_t open_old(struct opened *from, const struct os *os, const char *dir, struct gavel_error *error)
{
    struct log_options options = {.dir = dir};
    struct os_stat stat;
    int32_t status;

    memset(from, 0, sizeof *from);
    if (os_stat(os, dir, &stat) != 0 || !stat.is_dir)
        return gavel_fail(error, GAVEL_E_NOT_FOUND, "%s is no directory", dir);
    status = open_log(from, os, &options, error);
    if (status != GAVEL_OK)
        return status;
    if (from->recovery.start == LOG_START_RECOVERING)
        return gavel_fail(error, GAVEL_E_CORRUPT, "%s was recovering: it lacks what it once had", dir);
    if (from->recovery.member_id == 0 || !from->recovery.founding)
        return gavel_fail(error, GAVEL_E_STATE, "%s belongs to no cluster", dir);
    return GAVEL_OK;
}

static int32_t move_all(struct opened *from, struct opened *to, const struct reset_plan *plan, const char *dir)
{
    os_autofree struct log_snapshot_stream *stream = calloc(1, sizeof *stream);
    const struct log_recovery *old = &from->recovery;
    char name[LOG_SNAPSHOT_NAME_BYTES + 8] = "snap/";
    char path[OS_PATH_MAX];
    uint64_t term = old->term + 1; /* of the entry that names the new members: nothing else was ever of this term */
    uint64_t wall = 0;
    uint64_t tick = 0;
    int32_t status = GAVEL_OK;

    if (!stream)
        return gavel_fail(to->error, GAVEL_E_NO_MEMORY, "no memory to read a snapshot");
    if (old->snapshot.index) {
        log_snapshot_name(name + 5, LOG_SNAPSHOT_NAME_BYTES, old->snapshot.index, old->snapshot.term);
        status = log_path(path, dir, name, to->error);
        if (status == GAVEL_OK)
            status = log_snapshot_stream_open(stream, plan->os, path, 0, 0, to->error);
    }
    if (status == GAVEL_OK)
        status = put_all(to, plan, stream, term, 0);
    if (stream->file)
        log_snapshot_stream_close(stream);
    if (status == GAVEL_OK)
        status = copy_batches(from, to, old->snapshot.index, &wall, &tick);
    return status == GAVEL_OK ? append_members(to, plan->members, term, wall, tick) : status;
}

int32_t reset_from_directory(const struct reset_plan *plan, const char *from, struct gavel_error *error)
{
    struct opened old;
    struct opened to;
    struct gavel_slice founding;
    int32_t status = open_old(&old, plan->os, from, error);

    if (status == GAVEL_OK) {
        founding = gavel_bytes(old.recovery.founding, old.recovery.founding_bytes);
        status = open_new(&to, plan, error);
        if (status == GAVEL_OK)
            status = move_all(&old, &to, plan, from);
        if (status == GAVEL_OK)
            status = put_identity(&to, plan, founding);
        status = finish(&to, plan, status, error);
    }
    old.error = NULL; /* what follows says nothing new */
    close_log(&old);
    return status;
}
