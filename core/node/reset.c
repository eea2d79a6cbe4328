/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reset.c - the data directory of a new cluster from a snapshot of an old one; see reset.h.
 *
 * It is filled through the log's own functions, as a node fills it: vote, snapshot as if a leader had sent it, founding
 * record, and the identity last. Only the lanes are inline, so each step is done when it has been pumped.
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

/* Made, and locked as long as *mark is open: two that make the same directory at once would each sweep the other's. */
static int make_mark(const struct reset_plan *plan, struct os_file **mark)
{
    char path[OS_PATH_MAX];
    int result = log_path(path, plan->dir, LOG_UNFINISHED, NULL) ? -ENAMETOOLONG : 0;

    if (result == 0)
        result = os_open(plan->os, path, OS_OPEN_WRITE | OS_OPEN_CREATE, mark);
    if (result == 0)
        result = os_lock(plan->os, *mark);
    if (result == 0)
        result = os_sync(plan->os, *mark);
    if (result == 0)
        result = os_sync_dir(plan->os, plan->dir);
    return result ? result : sync_parent_of(plan->os, plan->dir);
}

/* It is empty, or what an attempt that was interrupted has left: the mark, and nothing that is none of ours. */
static int32_t look_at_place(const struct reset_plan *plan, struct gavel_error *error)
{
    static const struct log_scan_options brief = {.brief = true};
    struct names names = {.os = plan->os, .dir = plan->dir};
    struct log_scan scan;
    int32_t status;
    int result = os_list(plan->os, plan->dir, see, &names);

    if (result)
        return system_error(error, "read", plan->dir, result);
    if (!names.other)
        return GAVEL_OK;
    if (names.unfinished) {
        status = log_scan_run(&scan, plan->os, plan->dir, &brief, error);
        (void)snprintf(names.first, sizeof names.first, "%s", scan.foreign);
        log_scan_free(&scan);
        if (status != GAVEL_OK || !names.first[0])
            return status;
    }
    return gavel_fail(error, GAVEL_E_EXISTS,
                      "%s is not empty (it holds %s): a new cluster begins in a directory of its own", plan->dir,
                      names.first);
}

/* The directory is there with the mark in it, and nothing else. */
static int32_t take_place(const struct reset_plan *plan, struct os_file **mark, struct gavel_error *error)
{
    int result = os_mkdir(plan->os, plan->dir, 0700);
    struct os_stat stat;
    int32_t status;

    if (result && result != -EEXIST)
        return system_error(error, "create", plan->dir, result);
    /* What root writes into it its node could not read. */
    if (os_stat(plan->os, plan->dir, &stat) == 0 && !stat.owned)
        return gavel_fail(error, GAVEL_E_DENIED,
                          "%s belongs to another user: run this as the user that the node will run as", plan->dir);
    status = look_at_place(plan, error);
    if (status != GAVEL_OK)
        return status;
    result = make_mark(plan, mark);
    if (result == -EWOULDBLOCK)
        return gavel_fail(error, GAVEL_E_BUSY, "%s is being made by another process", plan->dir);
    if (result)
        return system_error(error, "write into", plan->dir, result);
    status = look_at_place(plan, error); /* another process may have finished it since */
    return status == GAVEL_OK ? sweep_all(plan, error) : status;
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

    if (info.index > UINT64_MAX / 2 || skip > UINT64_MAX / 2)
        return gavel_fail(at->error, GAVEL_E_CORRUPT, "an index of %llu makes no sense",
                          (unsigned long long)info.index);
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
    bool leads = false;
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
    for (uint32_t i = 0; i < plan->members->count; i++)
        leads = leads || (plan->members->items[i].role == RAFT_VOTER &&
                          plan->members->items[i].priority != RAFT_PRIORITY_NEVER);
    return leads ? GAVEL_OK : gavel_fail(error, GAVEL_E_INVALID, "no voter of the new cluster may lead it");
}

static int32_t open_new(struct opened *to, const struct reset_plan *plan, struct os_file **mark,
                        struct gavel_error *error)
{
    struct log_options options = {
        .dir = plan->dir, .name = plan->name, .segment_bytes = plan->segment_bytes, .unfinished = 1};
    int32_t status = check_plan(plan, error);

    memset(to, 0, sizeof *to);
    if (status == GAVEL_OK)
        status = take_place(plan, mark, error);
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

int32_t reset_from_snapshot(const struct reset_plan *plan, const char *path, uint64_t at, uint64_t size,
                            struct gavel_slice founding, uint64_t skip, struct gavel_error *error)
{
    os_autofree struct log_snapshot_stream *stream = malloc(sizeof *stream);
    struct os_file *mark = NULL;
    struct opened to;
    int32_t status;

    if (!stream)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory to read a snapshot");
    status = log_snapshot_stream_open(stream, plan->os, path, at, size, error);
    if (status != GAVEL_OK)
        return status;
    status = open_new(&to, plan, &mark, error);
    if (status == GAVEL_OK)
        status = put_vote(&to, stream->info.term);
    if (status == GAVEL_OK)
        status = put_snapshot(&to, stream, plan->members, skip);
    if (status == GAVEL_OK)
        status = put_identity(&to, plan, founding);
    status = finish(&to, plan, status, error);
    os_close(plan->os, mark);
    log_snapshot_stream_close(stream);
    return status;
}
