/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task.c - small files that change once or seldom: the directory record, the founding record, the recovering mark.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/state.h"
#include "core/os/bytes.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

struct task_job {
    struct os_job job;
    struct log_pending pending;
    struct log *log;       /* for `done` only */
    struct log_task *task; /* for `done` only */
    bool set_directory;    /* for `done`: what changes in memory when it has succeeded */
    bool end_recovering;
    struct log_directory_record directory;
    /* what the lane touches */
    const struct os *os;
    const char *dir; /* of the log, which outlives the job */
    const char *name;
    int status; /* negative errno */
    uint64_t head_bytes;
    uint64_t bytes; /* of data */
    uint8_t head[LOG_DIRECTORY_BYTES];
    uint8_t data[];
};

int log_file_replace(const struct os *os, const char *dir, const char *name, const struct iovec *iov, int count)
{
    char path[OS_PATH_MAX];
    char made[OS_PATH_MAX];
    char making[OS_NAME_MAX];
    struct os_file *file;
    int result;

    (void)snprintf(making, sizeof making, "%s.new", name);
    if (log_path(path, dir, name, NULL) || log_path(made, dir, making, NULL))
        return -ENAMETOOLONG;
    result = os_open(os, made, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file);
    if (result)
        return result;
    result = os_pwritev(os, file, iov, count, 0, 0);
    if (result == 0)
        result = os_sync(os, file);
    os_close(os, file);
    if (result == 0)
        result = os_rename(os, made, path);
    if (result == 0 && !seeded_bug("log-record-dir-unsynced"))
        result = os_sync_dir(os, dir);
    return result;
}

/* [disk lane] Touches the job only. */
static void replace_run(struct os_job *job)
{
    struct task_job *at = os_container(job, struct task_job, job);
    struct iovec iov[2] = {{.iov_base = at->head, .iov_len = at->head_bytes},
                           {.iov_base = at->data, .iov_len = at->bytes}};

    at->status = log_file_replace(at->os, at->dir, at->name, iov, 2);
}

struct sweep {
    const struct os *os;
    const char *dir;
    const char *sub;
};

static int sweep_damaged(void *ctx, const char *name)
{
    const struct sweep *sweep = ctx;
    char file[OS_NAME_MAX + 8];
    char path[OS_PATH_MAX];
    size_t length = strlen(name);

    if (length < 8 || length >= OS_NAME_MAX || strcmp(name + length - 8, ".damaged") != 0)
        return 0;
    (void)snprintf(file, sizeof file, "%s/%s", sweep->sub, name);
    return log_path(path, sweep->dir, file, NULL) ? -ENAMETOOLONG : os_unlink(sweep->os, path);
}

int log_sweep_damaged(const struct os *os, const char *dir, const char *sub)
{
    struct sweep sweep = {os, dir, sub};
    char path[OS_PATH_MAX];

    return log_path(path, dir, sub, NULL) ? -ENAMETOOLONG : os_list(os, path, sweep_damaged, &sweep);
}

/* [disk lane] Touches the job only. */
static void unmark_run(struct os_job *job)
{
    struct task_job *at = os_container(job, struct task_job, job);
    char path[OS_PATH_MAX];

    at->status = log_path(path, at->dir, "recovering", NULL) ? -ENAMETOOLONG : os_unlink(at->os, path);
    if (at->status == -ENOENT)
        at->status = 0; /* a first try may have come that far */
    if (at->status == 0)
        at->status = os_sync_dir(at->os, at->dir);
    if (at->status)
        return;
    /* Nobody needs it when the data has come back. Waste at worst: the next recovery sweeps again. */
    (void)log_sweep_damaged(at->os, at->dir, "log");
    (void)log_sweep_damaged(at->os, at->dir, "snap");
}

/* [loop] */
static void task_done(struct os_job *job)
{
    struct task_job *at = os_container(job, struct task_job, job);
    struct log *log = at->log;
    struct log_task *task = at->task;

    os_list_remove(&at->pending.link);
    log->jobs--;
    task->status = 0;
    if (log_passes(at->status)) {
        COVER("log-task-disk-full");
        task->status = gavel_fail(&task->error, GAVEL_E_NO_SPACE, "%s/%s: %s", log->dir, at->name,
                                  strerror(-at->status));
    } else if (at->status) {
        log_fail(log, "write a record", at->status);
        task->status = GAVEL_E_IO;
        task->error = log->error;
    } else if (at->set_directory) {
        log->directory = at->directory;
    } else if (at->end_recovering) {
        log->recovering = false;
    }
    free(at);
    task->done(task);
    log_job_ended(log);
}

static struct task_job *task_new(struct log *log, struct log_task *task, const char *name, uint64_t bytes)
{
    struct task_job *at = calloc(1, sizeof *at + bytes);

    assert(log->magic == LOG_MAGIC);
    assert(task->done);
    if (!at)
        return NULL;
    at->log = log;
    at->task = task;
    at->os = log->os;
    at->dir = log->dir;
    at->name = name;
    at->bytes = bytes;
    return at;
}

static void drop_task(struct log_pending *pending)
{
    free(os_container(pending, struct task_job, pending));
}

static int submit(struct task_job *at, void (*run)(struct os_job *job))
{
    at->pending.drop = drop_task;
    os_list_push(&at->log->pending, &at->pending.link);
    at->job.run = run;
    at->job.done = task_done;
    at->log->jobs++;
    os_submit(at->os, OS_LANE_DISK, &at->job);
    return 0;
}

int log_set_identity(struct log *log, const struct log_cluster_id *cluster_id, uint64_t member_id,
                     struct log_task *task)
{
    struct log_cluster_id none = {{0}};
    struct task_job *at;

    if (log->state != LOG_RUNNING)
        return GAVEL_E_IO;
    assert(member_id);
    assert(log->directory.member_id == 0 || log->directory.member_id == member_id);
    assert(memcmp(&log->directory.cluster_id, &none, sizeof none) == 0 ||
           memcmp(&log->directory.cluster_id, cluster_id, sizeof none) == 0);
    at = task_new(log, task, "directory", 0);
    if (!at)
        return GAVEL_E_NO_MEMORY;
    at->directory = log->directory;
    at->directory.cluster_id = *cluster_id;
    at->directory.member_id = member_id;
    at->set_directory = true;
    at->head_bytes = LOG_DIRECTORY_BYTES;
    log_directory_encode(at->head, &at->directory);
    return submit(at, replace_run);
}

int log_set_founding(struct log *log, const void *data, uint64_t size, struct log_task *task)
{
    struct task_job *at;

    if (log->state != LOG_RUNNING)
        return GAVEL_E_IO;
    assert(!log->founding_known || log->directory.member_id == 0);
    if (size > LOG_FOUNDING_MAX)
        return GAVEL_E_TOO_LARGE;
    at = task_new(log, task, "founding", size);
    if (!at)
        return GAVEL_E_NO_MEMORY;
    log->founding_known = true;
    memcpy(at->data, data, size);
    at->head_bytes = LOG_BLOB_HEAD;
    log_blob_encode(at->head, LOG_FOUNDING_MAGIC, data, size);
    return submit(at, replace_run);
}

/* [disk lane] Touches the job only. */
static void unfence_run(struct os_job *job)
{
    struct task_job *at = os_container(job, struct task_job, job);
    char path[OS_PATH_MAX];

    at->status = log_path(path, at->dir, "fenced", NULL) ? -ENAMETOOLONG : os_unlink(at->os, path);
    if (at->status == -ENOENT)
        at->status = 0;
    if (at->status == 0)
        at->status = os_sync_dir(at->os, at->dir);
}

int log_set_fence(struct log *log, uint64_t index, struct log_task *task)
{
    struct task_job *at;

    if (log->state != LOG_RUNNING)
        return GAVEL_E_IO;
    at = task_new(log, task, "fenced", 8);
    if (!at)
        return GAVEL_E_NO_MEMORY;
    os_put64(at->data, index);
    at->head_bytes = LOG_BLOB_HEAD;
    log_blob_encode(at->head, LOG_FENCED_MAGIC, at->data, 8);
    return submit(at, index ? replace_run : unfence_run);
}

int log_recovering_end(struct log *log, struct log_task *task)
{
    struct task_job *at;

    if (log->state != LOG_RUNNING)
        return GAVEL_E_IO;
    assert(log->recovering);
    assert(log->durable >= log->recovering_floor);
    at = task_new(log, task, "recovering", 0);
    if (!at)
        return GAVEL_E_NO_MEMORY;
    at->end_recovering = true;
    return submit(at, unmark_run);
}
