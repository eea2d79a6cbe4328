/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.c - opening a data directory: refuse what is not ours, scan, do what the recovery table says, report.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/open.h"
#include "core/log/snapshot_file.h"
#include "core/log/snapshot_list.h"
#include "core/log/state.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

#define DIR_MODE 0700 /* the log is for its owner alone */

static int system_error(struct gavel_error *error, const char *what, const char *path, int result)
{
    int code = result == -ENOMEM                        ? GAVEL_E_NO_MEMORY
               : result == -ENOSPC || result == -EDQUOT ? GAVEL_E_NO_SPACE
               : result == -EACCES || result == -EPERM  ? GAVEL_E_DENIED
                                                        : GAVEL_E_IO;

    return gavel_fail(error, code, "%s: cannot %s: %s", path, what, strerror(-result));
}

/* ---- refusals, before anything is touched -------------------------------------------------------------- */

static const struct log_scan_options thorough = {.refresh = true};

static int refuse(const struct log_scan *scan, const struct log_options *options, struct gavel_error *error)
{
    static const struct log_cluster_id none;
    const struct log_directory_record *record = &scan->directory;

    if (scan->unfinished && !options->unfinished && !seeded_bug("log-unfinished-opened"))
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "%s was being made for a new cluster, and that did not finish: run the same restore or "
                          "recovery again, it begins anew; or remove the directory",
                          scan->dir);
    if (!scan->exists || scan->empty)
        return 0;
    if (scan->directory_state == LOG_FILE_NEWER)
        return gavel_fail(error, GAVEL_E_VERSION,
                          "%s has data format %u; this program knows up to %u: start the newer release", scan->dir,
                          record->format, LOG_FORMAT_VERSION);
    if (scan->directory_state == LOG_FILE_ABSENT)
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "%s is not a data directory of gavel and not empty (it holds %s): name another data_dir",
                          scan->dir, scan->foreign);
    if (scan->renewing && !options->renewing)
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "%s was becoming part of a new cluster when that was cut short: run the same 'gavel recover' "
                          "again; see quorum-lost in gavel-runbook(7)",
                          scan->dir);
    if (scan->directory_state == LOG_FILE_BAD)
        return 0; /* the table decides */
    if (options->name && strcmp(options->name, record->name) != 0)
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "%s belongs to the node %s; this one is %s: check name and data_dir in [node]", scan->dir,
                          record->name, options->name);
    if (memcmp(&options->cluster_id, &none, sizeof none) != 0 && memcmp(&record->cluster_id, &none, sizeof none) != 0 &&
        memcmp(&options->cluster_id, &record->cluster_id, sizeof none) != 0)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s belongs to another cluster", scan->dir);
    return 0;
}

int log_lock_dir(const struct os *os, const char *dir, struct os_file **lock, struct gavel_error *error)
{
    char path[OS_PATH_MAX];
    int status = log_path(path, dir, "lock", error);

    *lock = NULL;
    if (status)
        return status;
    status = os_open(os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE, lock);
    if (status)
        return system_error(error, "open", path, status);
    status = os_lock(os, *lock);
    if (status == 0)
        return 0;
    os_close(os, *lock);
    *lock = NULL;
    if (status == -EWOULDBLOCK)
        return gavel_fail(error, GAVEL_E_BUSY, "%s is in use by another process", dir);
    return system_error(error, "lock", path, status);
}

/* ---- a new directory ----------------------------------------------------------------------------------- */

static int write_file(const struct os *os, const char *dir, const char *name, const void *data, size_t size)
{
    char path[OS_PATH_MAX];
    struct os_file *file;
    int result = log_path(path, dir, name, NULL) ? -ENAMETOOLONG : 0;

    if (result)
        return result;
    result = os_open(os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file);
    if (result)
        return result;
    result = os_pwrite(os, file, data, size, 0, 0);
    if (result == 0)
        result = os_sync(os, file);
    os_close(os, file);
    return result;
}

static int make_dir(const struct os *os, const char *dir, const char *name)
{
    char path[OS_PATH_MAX];
    int result;

    if (log_path(path, dir, name, NULL))
        return -ENAMETOOLONG;
    result = os_mkdir(os, path, DIR_MODE);
    return result == -EEXIST ? 0 : result;
}

/* The names in `dir`/`sub` that an unfinished creation has left. */
struct leftovers {
    const struct os *os;
    const char *dir;
};

static int remove_leftover(void *ctx, const char *name)
{
    const struct leftovers *leftovers = ctx;
    char file[OS_NAME_MAX + 8];
    char path[OS_PATH_MAX];

    if (strlen(name) >= OS_NAME_MAX)
        return 0;
    (void)snprintf(file, sizeof file, "log/%s", name);
    return log_path(path, leftovers->dir, file, NULL) ? -ENAMETOOLONG : os_unlink(leftovers->os, path);
}

static int sync_parent(const struct os *os, const char *dir)
{
    char parent[OS_PATH_MAX];
    char *slash;

    (void)snprintf(parent, sizeof parent, "%s", dir);
    slash = strrchr(parent, '/');
    if (!slash)
        return os_sync_dir(os, ".");
    if (slash == parent)
        slash++;
    *slash = 0;
    return os_sync_dir(os, parent);
}

/* Names made by a process that was killed before it could sync them are there for us, and count from now on. */
static int sync_names(const struct os *os, const char *dir, struct gavel_error *error)
{
    static const char *const dirs[] = {"log", "snap", ""};
    int result = 0;

    for (size_t i = 0; i < sizeof dirs / sizeof *dirs && result == 0; i++) {
        char path[OS_PATH_MAX];

        result = log_path(path, dir, dirs[i], NULL) ? -ENAMETOOLONG : os_sync_dir(os, path);
        if (result == -ENOENT)
            result = 0; /* the table has judged what is missing */
    }
    if (result == 0)
        result = sync_parent(os, dir);
    return result ? system_error(error, "sync", dir, result) : 0;
}

/* Everything but the directory record, which makes it a data directory. */
static int create_files(const struct os *os, const char *dir, uint64_t incarnation, uint64_t segment_bytes)
{
    static const uint8_t page[LOG_IDENTITY_BYTES * LOG_IDENTITY_SLOTS];
    struct log_vote_record none = {0};
    uint8_t vote[4096] = {0};
    uint64_t first = segment_bytes < LOG_FRESH_BYTES ? segment_bytes : LOG_FRESH_BYTES;
    struct leftovers leftovers = {os, dir};
    struct os_file *segment = NULL;
    char log_dir[OS_PATH_MAX];
    int result;

    log_vote_encode(vote, &none, incarnation);
    if (log_path(log_dir, dir, "log", NULL))
        return -ENAMETOOLONG;
    if ((result = make_dir(os, dir, "log")) || (result = make_dir(os, dir, "snap")) ||
        (result = os_list(os, log_dir, remove_leftover, &leftovers)) ||
        (result = write_file(os, dir, "vote.0", vote, sizeof vote)) ||
        (result = write_file(os, dir, "vote.1", vote, sizeof vote)) ||
        (result = write_file(os, dir, "log/synced", page, sizeof page)))
        return result;
    result = log_segment_make(os, dir, 1, first, incarnation, &segment);
    if (result == 0)
        os_close(os, segment);
    if (result == 0)
        result = os_sync_dir(os, log_dir);
    if (result == 0)
        result = os_sync_dir(os, dir);
    return result;
}

static int create(const struct os *os, const struct log_options *options, uint64_t segment_bytes,
                  struct gavel_error *error)
{
    struct log_directory_record record = {.format = LOG_FORMAT_VERSION};
    uint8_t bytes[LOG_DIRECTORY_BYTES];
    struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
    int result;

    (void)snprintf(record.name, sizeof record.name, "%s", options->name ? options->name : "");
    record.made_ms = os_wall_ms(os);
    while (record.incarnation == 0)
        os_random(os, &record.incarnation, sizeof record.incarnation);
    result = create_files(os, options->dir, record.incarnation, segment_bytes);
    if (result == 0) {
        log_directory_encode(bytes, &record);
        result = log_file_replace(os, options->dir, "directory", &iov, 1);
    }
    if (result == 0)
        result = sync_parent(os, options->dir);
    return result ? system_error(error, "create the data directory", options->dir, result) : 0;
}

/* ---- what is open while a node runs -------------------------------------------------------------------- */

static int open_file(struct log *log, const char *name, struct os_file **file, struct gavel_error *error)
{
    char path[OS_PATH_MAX];
    int result = log_path(path, log->dir, name, error);

    if (result)
        return result;
    result = os_open(log->os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE, file);
    return result ? system_error(error, "open", path, result) : 0;
}

/*
 * The identity entries have their space since the directory was made. Where damage took it away it is taken again here:
 * an entry that had to find room on a full disk could not be written, and the node would leave instead of waiting.
 */
static int open_synced(struct log *log, struct gavel_error *error)
{
    uint64_t wanted = LOG_IDENTITY_SLOTS * LOG_IDENTITY_BYTES;
    uint64_t size = 0;
    int result = open_file(log, "log/synced", &log->synced, error);

    if (result)
        return result;
    result = os_size(log->os, log->synced, &size);
    if (result == 0 && size < wanted) {
        COVER("log-identities-have-room-again");
        result = log_zero_fill(log->os, log->synced, size, wanted);
        if (result == 0)
            result = os_sync(log->os, log->synced);
    }
    return result ? system_error(error, "fill log/synced in", log->dir, result) : 0;
}

static int open_segments(struct log *log, const struct log_scan *scan, struct gavel_error *error)
{
    for (uint32_t i = 0; i < scan->segment_count; i++) {
        const struct log_scan_segment *found = &scan->segments[i];
        bool used = found->data && found->walked && found->found.stop_at > LOG_SEGMENT_HEAD;
        struct log_segment *segment = calloc(1, sizeof *segment);
        char name[LOG_SEGMENT_NAME_BYTES];
        int status;

        if (!segment)
            return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the list of segments");
        log_segment_name(name, found->number);
        status = open_file(log, name, &segment->file, error);
        if (status) {
            free(segment);
            return status;
        }
        segment->number = found->number;
        segment->size = found->size;
        segment->used = LOG_SEGMENT_HEAD;
        segment->last_index = found->found.index_max;
        if (used) {
            segment->used = (found->found.stop_at + LOG_GROUP_ALIGN - 1) / LOG_GROUP_ALIGN * LOG_GROUP_ALIGN;
            os_list_push(&log->segments, &segment->link);
            log->current = segment;
        } else if (found->number < scan->end_segment) {
            os_list_push(&log->dying, &segment->link); /* numbers of segments with frames only rise */
        } else if (found->head_good && found->size >= log->segment_bytes) {
            os_list_push(&log->spares, &segment->link);
        } else if (found->head_good && found->size == LOG_FRESH_BYTES && found->number == 1) {
            os_list_push(&log->spares, &segment->link); /* the first one is smaller on purpose */
        } else {
            os_list_push(&log->dying, &segment->link); /* another size was configured, or an empty one was damaged */
        }
    }
    return 0;
}

static struct log *log_new(const struct os *os, const struct log_options *options, const struct log_events *events)
{
    struct log *log = calloc(1, sizeof *log);

    if (!log)
        return NULL;
    log->magic = LOG_MAGIC;
    log->os = os;
    log->events = *events;
    log->pool = options->pool;
    (void)snprintf(log->dir, sizeof log->dir, "%s", options->dir);
    log->segment_bytes = options->segment_bytes ? options->segment_bytes : LOG_SEGMENT_BYTES_DEFAULT;
    log->cache_limit = options->cache_bytes ? options->cache_bytes : LOG_CACHE_BYTES_DEFAULT;
    log->trail_bytes = options->trail_bytes ? options->trail_bytes : LOG_TRAIL_BYTES_DEFAULT;
    log->snapshot_keep = options->snapshot_keep ? options->snapshot_keep : LOG_SNAPSHOT_KEEP_DEFAULT;
    os_list_init(&log->segments);
    os_list_init(&log->spares);
    os_list_init(&log->dying);
    os_list_init(&log->pending);
    return log;
}

/* Take over what the scan has found; the slots move. */
static int adopt(struct log *log, struct log_scan *scan, struct gavel_error *error)
{
    int status;

    log->directory = scan->directory;
    log->founding_known = scan->founding_state == LOG_FILE_GOOD;
    log->vote_sequence = scan->vote.sequence;
    log->vote_term = scan->vote.term;
    log->vote = scan->vote.vote;
    log->walk = scan->walk;
    memset(&scan->walk.slots, 0, sizeof scan->walk.slots);
    log->written = log->walk.last;
    log->start.before = log->walk.last;
    log->durable = log->walk.last.index;
    log->cache_from = log->walk.slots.count;
    for (uint64_t i = 0; i < log->walk.slots.count; i++)
        log->bytes += log_slot_at(&log->walk.slots, i)->bytes + LOG_FRAME_HEAD;
    log->group_number = scan->group_max;
    log->group_synced = scan->group_max;
    log->number_max = scan->number_max;
    log->recovering = scan->recovering_state != LOG_FILE_ABSENT;
    log->recovering_floor = scan->recovering_state == LOG_FILE_BAD ? scan->index_max : scan->recovering_floor;
    if ((status = open_file(log, "vote.0", &log->vote_file[0], error)) ||
        (status = open_file(log, "vote.1", &log->vote_file[1], error)) ||
        (status = open_synced(log, error)) || (status = open_segments(log, scan, error)))
        return status;
    for (uint32_t i = scan->snapshot_count; i > scan->snapshot_used; i--) {
        struct log_snapshot_info info = scan->snapshots[i - 1].info;

        info.index = scan->snapshots[i - 1].index;
        info.term = scan->snapshots[i - 1].term;
        if (log_snapshot_reserve(log))
            return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the list of snapshots");
        log_snapshot_add(log, &info);
    }
    return 0;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static int check_options(const struct log_options *options, struct gavel_error *error)
{
    uint64_t bytes = options->segment_bytes;

    assert(options->dir);
    assert(options->pool);
    if (bytes && (bytes < LOG_SEGMENT_TEST_MIN || bytes > LOG_SEGMENT_BYTES_MAX || bytes % LOG_SEGMENT_HEAD))
        return gavel_fail(error, GAVEL_E_INVALID, "a segment of %llu bytes: from %u to %u, a multiple of %u",
                          (unsigned long long)bytes, LOG_SEGMENT_BYTES_MIN, LOG_SEGMENT_BYTES_MAX, LOG_SEGMENT_HEAD);
    if (options->name && strlen(options->name) >= LOG_NAME_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "the name of a node has at most %d bytes", LOG_NAME_MAX - 1);
    return 0;
}

/* The directory exists and is ours by its owner. *mode: its permission bits, when it was there already. */
static int prepare_dir(const struct os *os, const char *dir, uint32_t *mode, struct gavel_error *error)
{
    struct os_stat stat;
    int result = os_stat(os, dir, &stat);

    *mode = DIR_MODE;
    if (result == -ENOENT) {
        result = os_mkdir(os, dir, DIR_MODE);
        return result ? system_error(error, "create", dir, result) : 0;
    }
    if (result)
        return system_error(error, "open", dir, result);
    if (!stat.is_dir)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s is not a directory", dir);
    if (!stat.owned)
        return gavel_fail(error, GAVEL_E_DENIED, "%s belongs to another user", dir);
    *mode = stat.mode;
    return 0;
}

/* From here on nobody else may look into it. What the system adds to a mode by itself (setgid) is nobody's wish. */
static void close_dir(const struct os *os, const char *dir, uint32_t mode, struct log_recovery *recovery)
{
    int result = os_chmod(os, dir, DIR_MODE);

    if ((mode & 0777) == DIR_MODE)
        return;
    recovery->mode_before = mode;
    recovery->mode_failed = result;
}

/* Lock, scan, and make the directory first when there is none. */
static int find(const struct os *os, const struct log_options *options, struct log *log, struct log_scan *scan,
                bool *fresh, uint32_t *mode, struct gavel_error *error)
{
    struct os_stat stat;
    bool existed = os_stat(os, options->dir, &stat) == 0;
    int status = 0;

    if (existed) {
        /* Nothing may be changed in a directory that is refused: look before the lock file is made. */
        static const struct log_scan_options brief = {.brief = true};

        if ((status = prepare_dir(os, options->dir, mode, error)) ||
            (status = log_scan_run(scan, os, options->dir, &brief, error)) ||
            (status = refuse(scan, options, error)))
            return status;
        log_scan_free(scan);
    } else if ((status = prepare_dir(os, options->dir, mode, error))) {
        return status;
    }
    if ((!options->renewing && (status = log_lock_dir(os, options->dir, &log->lock, error))) ||
        (status = log_scan_run(scan, os, options->dir, &thorough, error)) || (status = refuse(scan, options, error)))
        return status;
    *fresh = scan->directory_state == LOG_FILE_ABSENT;
    if (!*fresh)
        return 0;
    log_scan_free(scan);
    status = create(os, options, log->segment_bytes, error);
    return status ? status : log_scan_run(scan, os, options->dir, NULL, error);
}

int log_open(const struct os *os, const struct log_options *options, const struct log_events *events,
             struct log **result, struct log_recovery *recovery, struct gavel_error *error)
{
    struct log_scan scan = {0};
    struct log *log = NULL;
    enum log_damage way = LOG_DAMAGE_REFUSE;
    bool fresh = false;
    uint32_t mode = DIR_MODE;
    int status = check_options(options, error);

    memset(recovery, 0, sizeof *recovery);
    if (status)
        return status;
    log = log_new(os, options, events);
    if (!log)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the log");
    status = find(os, options, log, &scan, &fresh, &mode, error);
    if (status)
        goto fail;
    if (options->recover || scan.recovering_state != LOG_FILE_ABSENT)
        way = LOG_DAMAGE_RECOVER;
    status = log_recover(log, &scan, way, recovery, error);
    if (status == 0 && !seeded_bug("log-recovered-names-unsynced"))
        status = sync_names(os, options->dir, error);
    if (status == 0)
        status = adopt(log, &scan, error);
    if (status == 0)
        status = log_recover_finish(log, &scan, error);
    if (status == 0 || status == GAVEL_E_CORRUPT) {
        int told = log_recovery_fill(recovery, &scan, log, status == 0, fresh, error);

        status = told ? told : status;
    }
    if (status)
        goto fail;
    close_dir(os, options->dir, mode, recovery);
    recovery->copies = os_copies_on_write(os, options->dir);
    log_scan_free(&scan);
    *result = log;
    return 0;

fail:
    log_scan_free(&scan);
    (void)log_free(log);
    if (status != GAVEL_E_CORRUPT)
        log_recovery_free(recovery);
    return status;
}

int log_repair_files(const struct os *os, const char *dir, struct gavel_error *error)
{
    static const struct log_events no_events;
    struct log_options options = {.dir = dir};
    struct log_recovery recovery = {0};
    struct log_scan scan = {0};
    struct log *log = log_new(os, &options, &no_events);
    int status;

    if (!log)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the log");
    status = log_scan_run(&scan, os, dir, &thorough, error);
    if (status == 0) /* first: what is set aside may be replaced by a snapshot whose name nobody has synced */
        status = sync_names(os, dir, error);
    if (status == 0)
        status = log_recover(log, &scan, LOG_DAMAGE_CUT, &recovery, error);
    if (status == 0)
        status = adopt(log, &scan, error);
    if (status == 0)
        status = log_recover_finish(log, &scan, error);
    log_scan_free(&scan);
    (void)log_free(log);
    return status;
}
