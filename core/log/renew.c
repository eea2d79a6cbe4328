/* SPDX-License-Identifier: Apache-2.0 */
/* renew.c - a data directory becomes the first member of a new cluster; see renew.h. */
#include "core/log/renew.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/open.h"
#include "core/os/bytes.h"
#include "core/os/inline.h"

#define PLAN_MAGIC 0x574e5247u /* "GRNW" */
#define PLAN_HEAD 64           /* bytes before the founding record's length */
#define PLAN_MAX (2 * LOG_FOUNDING_MAX + LOG_BATCH_MAX)

static int failed(struct gavel_error *error, const char *what, const char *dir, int result)
{
    int code = result == -ENOSPC || result == -EDQUOT ? GAVEL_E_NO_SPACE
               : result == -EACCES || result == -EPERM ? GAVEL_E_DENIED
               : result == -ENOMEM                     ? GAVEL_E_NO_MEMORY
                                                       : GAVEL_E_IO;

    return gavel_fail(error, code, "%s: cannot %s: %s", dir, what, strerror(-result));
}

/* ---- the plan ------------------------------------------------------------------------------------------ */

int log_renew_plan(const struct os *os, const char *dir, const struct log_renewal *renewal, struct gavel_error *error)
{
    uint64_t size = PLAN_HEAD + 4 + renewal->founding.size + 4 + renewal->members.size;
    uint8_t *payload = malloc(size);
    uint8_t head[LOG_BLOB_HEAD];
    struct iovec iov[2] = {{.iov_base = head, .iov_len = sizeof head}, {.iov_base = payload, .iov_len = size}};
    uint8_t *at = payload;
    int result;

    if (!payload)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the plan");
    memcpy(at, renewal->old_cluster_id.bytes, 16);
    memcpy(at + 16, renewal->cluster_id.bytes, 16);
    os_put64(at + 32, renewal->member_id);
    os_put64(at + 40, renewal->index);
    os_put64(at + 48, renewal->term);
    os_put64(at + 56, renewal->wall_ms);
    at += PLAN_HEAD;
    os_put32(at, (uint32_t)renewal->founding.size);
    memcpy(at + 4, renewal->founding.data, renewal->founding.size);
    at += 4 + renewal->founding.size;
    os_put32(at, (uint32_t)renewal->members.size);
    memcpy(at + 4, renewal->members.data, renewal->members.size);
    log_blob_encode(head, PLAN_MAGIC, payload, size);
    result = log_file_replace(os, dir, LOG_RENEWING, iov, 2);
    free(payload);
    return result ? failed(error, "write the plan", dir, result) : 0;
}

/* A length of 4 bytes and that much; false beyond the end. */
static bool take(const uint8_t **at, uint64_t *left, struct gavel_slice *slice)
{
    uint64_t size;

    if (*left < 4)
        return false;
    size = os_get32(*at);
    if (size > *left - 4)
        return false;
    *slice = gavel_bytes(*at + 4, size);
    *at += 4 + size;
    *left -= 4 + size;
    return true;
}

int log_renew_read(const struct os *os, const char *dir, const char *name, struct log_renewal *renewal,
                   uint8_t **memory, struct gavel_error *error)
{
    char path[OS_PATH_MAX];
    const uint8_t *at;
    uint64_t size, left;
    int result = log_path(path, dir, name, error);

    *memory = NULL;
    if (result)
        return result;
    result = log_file_read(os, path, PLAN_MAX, memory, &size);
    if (result == -ENOENT)
        return GAVEL_E_NOT_FOUND;
    if (result)
        return failed(error, "read the plan of its renewal", dir, result);
    at = log_blob_decode(*memory, size, PLAN_MAGIC, &left);
    if (at && left >= PLAN_HEAD) {
        memcpy(renewal->old_cluster_id.bytes, at, 16);
        memcpy(renewal->cluster_id.bytes, at + 16, 16);
        renewal->member_id = os_get64(at + 32);
        renewal->index = os_get64(at + 40);
        renewal->term = os_get64(at + 48);
        renewal->wall_ms = os_get64(at + 56);
        at += PLAN_HEAD;
        left -= PLAN_HEAD;
        if (take(&at, &left, &renewal->founding) && take(&at, &left, &renewal->members) && left == 0)
            return 0;
    }
    free(*memory);
    *memory = NULL;
    return gavel_fail(error, GAVEL_E_CORRUPT, "%s/%s is damaged", dir, name);
}

/* ---- the log ------------------------------------------------------------------------------------------- */

struct writing {
    int status; /* 1: nothing came yet */
    uint64_t written;
    bool stopped;
    struct gavel_error *error;
};

static void on_written(void *ctx, uint64_t io)
{
    ((struct writing *)ctx)->written = io;
}

static void on_failed(void *ctx, const struct gavel_error *error)
{
    struct writing *writing = ctx;

    *writing->error = *error;
    writing->status = GAVEL_E_IO;
}

static void on_stopped(void *ctx)
{
    ((struct writing *)ctx)->stopped = true;
}

static void on_read(struct log_read *read)
{
    (void)read;
}

/* Cluster time at the end of the log, as far as the log says: it must not go back. */
static uint64_t last_tick(struct log *log, const struct log_recovery *found, struct os_inline *lanes)
{
    struct log_read read = {.from = found->last, .max_bytes = 1, .max_batches = 1, .done = on_read};
    uint64_t tick = 0;

    if (found->batch_count == 0)
        return 0;
    if (log_read(log, &read) == 0)
        (void)os_inline_pump(lanes);
    if (read.count)
        tick = read.batches[0]->head.tick;
    log_read_release(&read);
    return tick;
}

/* The entry behind everything that is there, as a leader of a new term would have made it. */
static int append(struct log *log, struct log_pool *pool, const struct log_recovery *found,
                  const struct log_renewal *renewal, struct os_inline *lanes, struct gavel_error *error)
{
    struct log_entry entry = {.kind = LOG_CONFIG, .payload = renewal->members};
    struct log_builder builder = {0};
    struct log_batch *batch = NULL;
    int status = log_builder_add(&builder, &entry);

    if (status == 0)
        status = log_builder_seal(&builder, pool, renewal->term, renewal->index, renewal->wall_ms,
                                  last_tick(log, found, lanes), found->last_chain, &batch);
    if (status == 0)
        status = log_vote(log, 1, renewal->term, 0); /* first: a log ahead of its vote is damage */
    if (status == 0)
        status = log_append(log, 2, batch);
    log_batch_unref(batch);
    log_builder_free(&builder);
    return status ? gavel_fail(error, status, "the new members cannot be written into the log (%d)", status) : 0;
}

/* True when the entry is there; GAVEL_E_STATE: something else is in its place. */
static int appended(const struct log_recovery *found, const struct log_renewal *renewal, const char *dir,
                    struct gavel_error *error)
{
    if (found->last == renewal->index && found->last_term == renewal->term)
        return 1;
    if (found->last + 1 == renewal->index && found->last_term < renewal->term)
        return 0;
    return gavel_fail(error, GAVEL_E_STATE,
                      "%s: its log ends at index %llu, not where its plan says: a plan of another directory lies in it",
                      dir, (unsigned long long)found->last);
}

static int extend_log(const struct os *given, const char *dir, const struct log_renewal *renewal,
                      struct gavel_error *error)
{
    struct os_inline lanes = {0};
    struct os os = *given;
    struct writing writing = {.error = error};
    struct log_events events = {.ctx = &writing, .written = on_written, .failed = on_failed};
    struct log_options options = {.dir = dir, .renewing = 1};
    struct log_recovery found = {0};
    struct log *log = NULL;
    int status;

    os.lanes = &os_lanes_inline;
    os.lanes_self = &lanes;
    options.pool = log_pool_new(0);
    if (!options.pool)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the log");
    status = log_open(&os, &options, &events, &log, &found, error);
    if (status == 0) {
        status = appended(&found, renewal, dir, error);
        if (status == 0) {
            status = append(log, options.pool, &found, renewal, &lanes, error);
            (void)os_inline_pump(&lanes);
            if (status == 0)
                status = writing.status;
            if (status == 0 && writing.written < 2)
                status = gavel_fail(error, GAVEL_E_NO_SPACE, "%s: there is no room for the new members", dir);
        }
        if (status >= 0 && !writing.status) {
            status = 0;
            log_stop(log, on_stopped, &writing);
            (void)os_inline_pump(&lanes);
            status = writing.status;
        }
        os_inline_drop(&lanes);
        (void)log_free(log);
    }
    log_recovery_free(&found);
    (void)log_pool_free(options.pool);
    return status;
}

/* ---- the records --------------------------------------------------------------------------------------- */

static int replace_founding(const struct os *os, const char *dir, const struct log_renewal *renewal)
{
    uint8_t head[LOG_BLOB_HEAD];
    union {
        const void *from;
        void *to;
    } bytes = {.from = renewal->founding.data}; /* iovec has no const; the bytes are only read */
    struct iovec iov[2] = {{.iov_base = head, .iov_len = sizeof head},
                           {.iov_base = bytes.to, .iov_len = renewal->founding.size}};

    log_blob_encode(head, LOG_FOUNDING_MAGIC, renewal->founding.data, renewal->founding.size);
    return log_file_replace(os, dir, "founding", iov, 2);
}

static int replace_directory(const struct os *os, const char *dir, const struct log_renewal *renewal,
                             struct gavel_error *error)
{
    static const struct log_scan_options brief = {.brief = true};
    struct log_directory_record record;
    uint8_t bytes[LOG_DIRECTORY_BYTES];
    struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct log_scan scan;
    int status = log_scan_run(&scan, os, dir, &brief, error);

    record = scan.directory;
    if (status == 0 && scan.directory_state != LOG_FILE_GOOD)
        status = gavel_fail(error, GAVEL_E_CORRUPT, "%s: its record is damaged or missing", dir);
    log_scan_free(&scan);
    if (status)
        return status;
    record.cluster_id = renewal->cluster_id;
    record.member_id = renewal->member_id;
    log_directory_encode(bytes, &record);
    status = log_file_replace(os, dir, "directory", &iov, 1);
    return status ? failed(error, "write its record", dir, status) : 0;
}

/* The majority that its state differed from is gone with its cluster, and nobody else could lead the new one. */
static int unfence(const struct os *os, const char *dir, struct gavel_error *error)
{
    char path[OS_PATH_MAX];
    int result = log_path(path, dir, "fenced", error);

    if (result)
        return result;
    result = os_unlink(os, path);
    if (result == 0)
        result = os_sync_dir(os, dir);
    return result && result != -ENOENT ? failed(error, "remove its fence", dir, result) : 0;
}

int log_renew_finish(const struct os *os, const char *dir, bool cut, struct gavel_error *error)
{
    struct log_renewal renewal;
    uint8_t *memory;
    int status = log_renew_read(os, dir, LOG_RENEWING, &renewal, &memory, error);

    if (status)
        return status == GAVEL_E_NOT_FOUND ? gavel_fail(error, GAVEL_E_STATE, "%s: there is no plan in it", dir)
                                           : status;
    if (cut)
        status = log_repair_files(os, dir, error);
    if (status == 0)
        status = extend_log(os, dir, &renewal, error);
    if (status == 0) {
        status = replace_founding(os, dir, &renewal);
        if (status)
            status = failed(error, "write the founding record", dir, status);
    }
    if (status == 0)
        status = unfence(os, dir, error);
    if (status == 0)
        status = replace_directory(os, dir, &renewal, error);
    free(memory);
    return status;
}

int log_renew_close(const struct os *os, const char *dir, struct gavel_error *error)
{
    char from[OS_PATH_MAX];
    char to[OS_PATH_MAX];
    int result = log_path(from, dir, LOG_RENEWING, error);

    if (result == 0)
        result = log_path(to, dir, LOG_RENEWED, error);
    if (result)
        return result;
    result = os_rename(os, from, to);
    if (result == 0)
        result = os_sync_dir(os, dir);
    return result ? failed(error, "finish the plan", dir, result) : 0;
}

/* ---- what is set aside --------------------------------------------------------------------------------- */

struct moving {
    const struct os *os;
    const char *dir;
    const char *name;
    struct gavel_error *error;
};

static int move(const struct moving *moving, const char *what)
{
    char from[OS_PATH_MAX];
    char to[OS_PATH_MAX];
    char inside[2 * OS_NAME_MAX];
    int result;

    (void)snprintf(inside, sizeof inside, "%s/%s", moving->name, what);
    if (log_path(from, moving->dir, what, NULL) || log_path(to, moving->dir, inside, NULL))
        return -ENAMETOOLONG;
    result = os_rename(moving->os, from, to);
    return result == -ENOENT ? 0 : result;
}

static int move_rest(void *ctx, const char *name)
{
    static const char *const stay[] = {"lock", "admin.sock", "lost+found"};

    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
        if (strcmp(name, stay[i]) == 0)
            return 0;
    return strncmp(name, LOG_ASIDE, strlen(LOG_ASIDE)) == 0 ? 0 : move(ctx, name);
}

int log_set_aside(const struct os *os, const char *dir, const char *name, struct gavel_error *error)
{
    struct moving moving = {os, dir, name, error};
    char path[OS_PATH_MAX];
    int result = log_path(path, dir, name, error);

    if (result)
        return result;
    result = os_mkdir(os, path, 0700);
    if (result == -EEXIST)
        result = 0;
    /* Without its record, and not empty, a directory is refused by every node: so it goes first. */
    if (result == 0)
        result = move(&moving, "directory");
    if (result == 0)
        result = os_sync_dir(os, dir);
    if (result == 0)
        result = os_list(os, dir, move_rest, &moving);
    if (result == 0)
        result = os_sync_dir(os, path);
    if (result == 0)
        result = os_sync_dir(os, dir);
    return result ? failed(error, "set its contents aside", dir, result) : 0;
}
