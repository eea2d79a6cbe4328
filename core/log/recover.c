/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover.c - does what the recovery table decided. Nothing is changed before the decision is known to allow it.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/open.h"
#include "core/log/receive.h"
#include "core/log/snapshot_file.h"
#include "core/os/bytes.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

static int failed(struct gavel_error *error, const char *what, const char *dir, int result)
{
    int code = result == -ENOSPC || result == -EDQUOT ? GAVEL_E_NO_SPACE : GAVEL_E_IO;

    return gavel_fail(error, code, "%s: cannot %s: %s", dir, what, strerror(-result));
}

/* ---- saying it ----------------------------------------------------------------------------------------- */

static void place_text(const struct log_scan *scan, char *text, size_t size)
{
    text[0] = 0;
    if (scan->damaged)
        (void)snprintf(text, size, " (log/%016llx.seg at offset %llu, behind index %llu)",
                       (unsigned long long)scan->damage_segment, (unsigned long long)scan->damage_at,
                       (unsigned long long)scan->walk.last.index);
    else
        (void)snprintf(text, size, " (the log ends at index %llu, %llu was durable)",
                       (unsigned long long)scan->walk.last.index, (unsigned long long)scan->index_max);
}

static int corrupt(const struct log_scan *scan, const struct log_row *row, bool with_place, struct gavel_error *error)
{
    char place[160] = "";

    if (with_place)
        place_text(scan, place, sizeof place);
    return gavel_fail(error, GAVEL_E_CORRUPT, "%s: %s%s; nothing was changed: see gavel data check and repair, and "
                      "corruption in gavel-runbook(7)",
                      scan->dir, row->says, place);
}

/* ---- the vote files ------------------------------------------------------------------------------------ */

static int heal_votes(const struct log_scan *scan)
{
    uint8_t bytes[LOG_VOTE_BYTES];

    log_vote_encode(bytes, &scan->vote, scan->directory.incarnation);
    for (int i = 0; i < 2; i++) {
        char path[OS_PATH_MAX];
        struct os_file *file;
        int result;

        /* The good one is never written to: a torn write would leave none. */
        if (scan->vote_state[i] == LOG_FILE_GOOD && scan->votes[i].sequence == scan->vote.sequence)
            continue;
        if (log_path(path, scan->dir, i ? "vote.1" : "vote.0", NULL))
            return -ENAMETOOLONG;
        result = os_open(scan->os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE, &file);
        if (result)
            return result;
        result = os_pwrite(scan->os, file, bytes, sizeof bytes, 0, 0);
        if (result == 0)
            result = os_sync(scan->os, file);
        os_close(scan->os, file);
        if (result)
            return result;
    }
    return os_sync_dir(scan->os, scan->dir);
}

/* ---- segments ------------------------------------------------------------------------------------------ */

/* Zero everything behind the sound frames of one segment, durably, so that no remainder of the torn group is ever taken
 * for part of a later one. */
static int cut(const struct log_scan *scan)
{
    char name[LOG_SEGMENT_NAME_BYTES];
    char path[OS_PATH_MAX];
    struct os_file *file;
    uint64_t size = 0;
    int result;

    log_segment_name(name, scan->damage_segment);
    if (log_path(path, scan->dir, name, NULL))
        return -ENAMETOOLONG;
    result = os_open(scan->os, path, OS_OPEN_READ | OS_OPEN_WRITE, &file);
    if (result)
        return result;
    result = os_size(scan->os, file, &size);
    if (result == 0)
        result = log_zero_fill(scan->os, file, scan->damage_at, size);
    if (result == 0)
        result = os_sync(scan->os, file);
    os_close(scan->os, file);
    return result;
}

static int aside(const struct os *os, const char *dir, const char *name)
{
    char from[OS_PATH_MAX];
    char to[OS_PATH_MAX];
    char damaged[OS_NAME_MAX];

    (void)snprintf(damaged, sizeof damaged, "%s.damaged", name);
    if (log_path(from, dir, name, NULL) || log_path(to, dir, damaged, NULL))
        return -ENAMETOOLONG;
    return os_rename(os, from, to);
}

/* Rename every segment that lies behind the damage, or holds nothing, to *.damaged, durably. */
static int set_segments_aside(struct log_scan *scan)
{
    uint64_t from = UINT64_MAX; /* segments from this number on go */
    uint32_t kept = 0;
    char path[OS_PATH_MAX];
    int result = 0;

    if (scan->damaged)
        from = scan->damage_at <= LOG_SEGMENT_HEAD ? scan->damage_segment : scan->damage_segment + 1;
    if (scan->end_segment == 0)
        from = 0;
    for (uint32_t i = 0; i < scan->segment_count; i++) {
        char name[LOG_SEGMENT_NAME_BYTES];

        if (scan->segments[i].data && scan->segments[i].number < from) {
            scan->segments[kept++] = scan->segments[i];
            continue;
        }
        log_segment_name(name, scan->segments[i].number);
        result = aside(scan->os, scan->dir, name);
        if (result)
            return result;
    }
    scan->segment_count = kept;
    if (log_path(path, scan->dir, "log", NULL))
        return -ENAMETOOLONG;
    return os_sync_dir(scan->os, path);
}

static int rewrite_heads(const struct log_scan *scan)
{
    for (uint32_t i = 0; i < scan->segment_count; i++) {
        const struct log_scan_segment *segment = &scan->segments[i];
        struct log_segment_record record = {segment->number, segment->size, scan->directory.incarnation};
        uint8_t head[LOG_SEGMENT_RECORD];
        char name[LOG_SEGMENT_NAME_BYTES];
        char path[OS_PATH_MAX];
        struct os_file *file;
        int result;

        if (segment->head_good)
            continue;
        log_segment_encode(head, &record);
        log_segment_name(name, segment->number);
        if (log_path(path, scan->dir, name, NULL))
            return -ENAMETOOLONG;
        result = os_open(scan->os, path, OS_OPEN_READ | OS_OPEN_WRITE, &file);
        if (result)
            return result;
        result = os_pwrite(scan->os, file, head, sizeof head, 0, 0);
        if (result == 0)
            result = os_sync(scan->os, file);
        os_close(scan->os, file);
        if (result)
            return result;
    }
    return 0;
}

/* A log that does not reach the snapshot, or another one, is of no use beside it. */
static bool snapshot_replaces(const struct log_scan *scan)
{
    return (scan->facts & (LOG_FACT_GAP | LOG_FACT_ENDS_BELOW | LOG_FACT_OTHER_HISTORY)) != 0;
}

static void walk_from_snapshot(struct log_scan *scan)
{
    struct log_walk *walk = &scan->walk;

    log_slots_free(&walk->slots);
    walk->before.index = scan->snapshot.index;
    walk->before.term = scan->snapshot.term;
    walk->before.chain = scan->snapshot.chain;
    walk->last = walk->before;
}

static int mark_recovering(const struct os *os, const char *dir, uint64_t floor)
{
    uint8_t head[LOG_BLOB_HEAD];
    uint8_t payload[8];
    struct iovec iov[2] = {{.iov_base = head, .iov_len = sizeof head},
                           {.iov_base = payload, .iov_len = sizeof payload}};

    os_put64(payload, floor);
    log_blob_encode(head, LOG_RECOVERING_MAGIC, payload, sizeof payload);
    return log_file_replace(os, dir, "recovering", iov, 2);
}

/* Damage in what was durable: mark first, when there are peers to fetch it from; then put the damage aside. */
static int set_damage_aside(struct log_scan *scan, enum log_damage way)
{
    uint64_t floor = scan->index_max > scan->recovering_floor ? scan->index_max : scan->recovering_floor;
    int result = 0;

    if (way == LOG_DAMAGE_RECOVER && !seeded_bug("log-recovering-unmarked"))
        result = mark_recovering(scan->os, scan->dir, floor);
    if (result)
        return result;
    if (way == LOG_DAMAGE_RECOVER) {
        COVER("log-recovering");
        scan->recovering_state = LOG_FILE_GOOD;
        scan->recovering_floor = floor;
    }
    if (snapshot_replaces(scan)) {
        COVER("log-aside-below-a-snapshot");
        walk_from_snapshot(scan);
        scan->end_segment = 0; /* all segments go */
        scan->end_at = 0;
    }
    if ((result = set_segments_aside(scan)))
        return result;
    return rewrite_heads(scan);
}

/* ---- snapshots and remainders -------------------------------------------------------------------------- */

static int set_snapshots_aside(const struct log_scan *scan)
{
    char path[OS_PATH_MAX];
    int count = 0;

    for (uint32_t i = 0; i < scan->snapshot_count; i++) {
        char name[LOG_SNAPSHOT_NAME_BYTES + 8] = "snap/";
        int result;

        if (scan->snapshots[i].state != LOG_FILE_BAD)
            continue;
        log_snapshot_name(name + 5, LOG_SNAPSHOT_NAME_BYTES, scan->snapshots[i].index, scan->snapshots[i].term);
        result = aside(scan->os, scan->dir, name);
        if (result)
            return result;
        count++;
    }
    if (!count)
        return 0;
    return log_path(path, scan->dir, "snap", NULL) ? -ENAMETOOLONG : os_sync_dir(scan->os, path);
}

/* Files that were being made when the last process ended. */
static int remove_remainders(const struct log_scan *scan)
{
    static const char *const names[] = {"log/spare.new", "directory.new", "founding.new", "recovering.new",
                                        "fenced.new",
                                        "snap/local.part", "snap/incoming.new"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[OS_PATH_MAX];
        int result = log_path(path, scan->dir, names[i], NULL) ? -ENAMETOOLONG : os_unlink(scan->os, path);

        if (result && result != -ENOENT)
            return result;
    }
    return log_incoming_sweep(scan->os, scan->dir, scan->snapshot.index);
}

/* ---- the decision -------------------------------------------------------------------------------------- */

static void tell(struct log_recovery *recovery, const struct log_scan *scan, bool mark)
{
    char place[160] = "";
    const char *votes = scan->vote_row->says;

    recovery->row = scan->row->number;
    if (scan->row->verdict == LOG_VERDICT_CORRUPT || scan->row->verdict == LOG_VERDICT_CUT)
        place_text(scan, place, sizeof place);
    (void)snprintf(recovery->text, sizeof recovery->text, "%s%s%s%s%s", scan->row->says, place,
                   scan->row->says[0] && votes[0] ? "; " : "", votes,
                   mark && scan->row->verdict == LOG_VERDICT_OK ? "still fetching again what was damaged" : "");
}

/* An operator has accepted the log as it is. */
static int unmark(struct log_scan *scan)
{
    char path[OS_PATH_MAX];
    int result;

    if (scan->recovering_state == LOG_FILE_ABSENT)
        return 0;
    result = log_path(path, scan->dir, "recovering", NULL) ? -ENAMETOOLONG : os_unlink(scan->os, path);
    scan->recovering_state = LOG_FILE_ABSENT;
    return result ? result : os_sync_dir(scan->os, scan->dir);
}

int log_recover(struct log *log, struct log_scan *scan, enum log_damage way, struct log_recovery *recovery,
                struct gavel_error *error)
{
    const struct log_row *row = scan->row;
    bool mark = scan->recovering_state != LOG_FILE_ABSENT;
    int result = 0;

    (void)log;
    if (scan->vote_row->verdict == LOG_VERDICT_STOP)
        recovery->row = scan->vote_row->number;
    else
        recovery->row = row->number;
    if (scan->vote_row->verdict == LOG_VERDICT_STOP)
        return corrupt(scan, scan->vote_row, false, error);
    if (row->verdict == LOG_VERDICT_STOP || (row->verdict == LOG_VERDICT_CORRUPT && way == LOG_DAMAGE_REFUSE))
        return corrupt(scan, row, true, error);
    tell(recovery, scan, mark);
    if (scan->vote_row->verdict == LOG_VERDICT_HEAL)
        result = heal_votes(scan);
    if (result == 0 && row->verdict == LOG_VERDICT_CORRUPT)
        result = set_damage_aside(scan, way);
    else if (result == 0 && (scan->facts & LOG_FACT_DAMAGE))
        result = cut(scan);
    if (result == 0 && way == LOG_DAMAGE_CUT)
        result = unmark(scan);
    /* An older one and the log hold everything: the damaged ones of former times need not be kept beside this one. */
    if (result == 0 && row->verdict == LOG_VERDICT_HEAL && way != LOG_DAMAGE_CUT)
        result = log_sweep_damaged(scan->os, scan->dir, "snap");
    if (result == 0)
        result = set_snapshots_aside(scan);
    if (result == 0)
        result = remove_remainders(scan);
    return result ? failed(error, "recover", scan->dir, result) : 0;
}

/* ---- with the files open ------------------------------------------------------------------------------- */

/* A group of START and, with `reset`, RESET in a new segment, written and synced here and now. */
static int begin_segment(struct log *log, const struct log_start_point *start, const struct log_point *reset)
{
    struct log_segment *segment = calloc(1, sizeof *segment);
    struct log_frame frame = {.kind = LOG_FRAME_START, .group_start = LOG_SEGMENT_HEAD, .bytes = LOG_START_BYTES};
    uint8_t bytes[LOG_FRAME_HEAD * 2 + LOG_START_BYTES + LOG_POINT_BYTES];
    size_t size = LOG_FRAME_HEAD + LOG_START_BYTES;
    int result;

    if (!segment)
        return -ENOMEM;
    segment->number = ++log->number_max;
    segment->size = log->segment_bytes;
    result = log_segment_make(log->os, log->dir, segment->number, segment->size, log->directory.incarnation,
                              &segment->file);
    if (result) {
        free(segment);
        return result;
    }
    frame.segment = segment->number;
    frame.group = ++log->group_number;
    frame.synced = log->group_synced;
    frame.frames = reset ? 2 : 1;
    log_frame_encode(bytes, &frame, log->directory.incarnation);
    log_start_encode(bytes + LOG_FRAME_HEAD, start);
    if (reset) {
        frame.kind = LOG_FRAME_RESET;
        frame.ordinal = 1;
        frame.bytes = LOG_POINT_BYTES;
        log_frame_encode(bytes + size, &frame, log->directory.incarnation);
        log_point_encode(bytes + size + LOG_FRAME_HEAD, reset);
        size += LOG_FRAME_HEAD + LOG_POINT_BYTES;
    }
    segment->used = LOG_SEGMENT_HEAD + (size + LOG_GROUP_ALIGN - 1) / LOG_GROUP_ALIGN * LOG_GROUP_ALIGN;
    os_list_push(&log->segments, &segment->link); /* freed with the log from here on */
    result = os_pwrite(log->os, segment->file, bytes, size, LOG_SEGMENT_HEAD, OS_WRITE_DURABLE);
    log->current = segment;
    log->group_synced = log->group_number;
    log->written = log->walk.last;
    return result;
}

/* Spares with a lower number than the segment that is written to may never be used. */
static void retire_spares(struct log *log)
{
    struct os_list *link;

    while ((link = os_list_pop(&log->spares)))
        os_list_push(&log->dying, link);
}

static int prove(struct log *log)
{
    struct log_identity identity = {.group = log->group_synced, .last = log->walk.last};
    uint8_t bytes[LOG_IDENTITY_BYTES];
    int result;

    if (!log->current || !log->group_synced)
        return 0;
    identity.segment = log->current->number;
    identity.end = log->current->used;
    log_identity_encode(bytes, &identity, log->directory.incarnation);
    result = os_pwrite(log->os, log->synced, bytes, sizeof bytes,
                       identity.group % LOG_IDENTITY_SLOTS * LOG_IDENTITY_BYTES, 0);
    return result ? result : os_sync(log->os, log->synced);
}

int log_recover_finish(struct log *log, const struct log_scan *scan, struct gavel_error *error)
{
    struct log_start_point start = {.before = log->walk.last, .segment = scan->end_segment, .end = scan->end_at};
    struct log_point reset = {scan->snapshot.index, scan->snapshot.term, scan->snapshot.chain};
    int result = 0;

    if (scan->row->verdict == LOG_VERDICT_CORRUPT) {
        retire_spares(log);
        result = begin_segment(log, &start, NULL);
    } else if (scan->row->verdict == LOG_VERDICT_RESET) {
        while (log->walk.slots.count)
            log_slots_pop_back(&log->walk.slots);
        log->walk.before = reset;
        log->walk.last = reset;
        log->written = reset;
        log->start.before = reset;
        log->durable = reset.index;
        log->bytes = 0;
        log->cache_from = 0;
        if (scan->end_segment) {
            retire_spares(log);
            result = begin_segment(log, &start, &reset);
        }
    }
    if (result == 0)
        result = prove(log);
    return result ? failed(error, "begin a segment", log->dir, result) : 0;
}

/* ---- the report ---------------------------------------------------------------------------------------- */

static void *copy(const void *data, uint64_t size)
{
    void *made = malloc(size + 1);

    if (made)
        memcpy(made, data, size);
    return made;
}

static int fill_batches(struct log_recovery *recovery, const struct log_slots *slots)
{
    recovery->batches = calloc(slots->count + 1, sizeof *recovery->batches);
    if (!recovery->batches)
        return GAVEL_E_NO_MEMORY;
    for (uint64_t i = 0; i < slots->count; i++) {
        const struct log_slot *slot = log_slot_at(slots, i);
        struct log_descriptor *to = &recovery->batches[i];

        to->first = slot->first;
        to->term = slot->term;
        to->count = slot->count;
        to->bytes = slot->bytes;
        to->chain = slot->chain;
        to->kind = slot->kind;
    }
    recovery->batch_count = slots->count;
    return 0;
}

int log_recovery_fill(struct log_recovery *recovery, struct log_scan *scan, const struct log *log, bool good,
                      bool fresh, struct gavel_error *error)
{
    const struct log_walk *walk = good ? &log->walk : &scan->walk;

    recovery->start = fresh                                         ? LOG_START_FRESH
                      : scan->recovering_state != LOG_FILE_ABSENT   ? LOG_START_RECOVERING
                      : scan->row->verdict == LOG_VERDICT_CUT       ? LOG_START_TORN
                                                                    : LOG_START_OK;
    recovery->cluster_id = scan->directory.cluster_id;
    recovery->member_id = scan->directory.member_id;
    recovery->incarnation = scan->directory.incarnation;
    recovery->term = scan->vote.term;
    recovery->vote = scan->vote.vote;
    recovery->fence = scan->fence;
    recovery->snapshot = scan->snapshot;
    recovery->snapshot_meta = scan->snapshot_meta;
    recovery->snapshot_meta_bytes = scan->snapshot_meta_bytes;
    scan->snapshot_meta = NULL;
    recovery->first = walk->before.index + 1;
    recovery->previous_term = walk->before.term;
    recovery->previous_chain = walk->before.chain;
    recovery->last = walk->last.index;
    recovery->last_term = walk->last.term;
    recovery->last_chain = walk->last.chain;
    recovery->recovering_floor = scan->recovering_state != LOG_FILE_ABSENT ? scan->recovering_floor : 0;
    if (scan->founding_state == LOG_FILE_GOOD) {
        recovery->founding = copy(scan->founding + LOG_BLOB_HEAD, scan->founding_bytes);
        recovery->founding_bytes = scan->founding_bytes;
    }
    if (fill_batches(recovery, &walk->slots) || (scan->founding_state == LOG_FILE_GOOD && !recovery->founding))
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the report of the recovery");
    return log_incoming_look(scan->os, scan->dir, &recovery->incoming, &recovery->incoming_offset, error);
}

void log_recovery_free(struct log_recovery *recovery)
{
    if (!recovery)
        return;
    free(recovery->snapshot_meta);
    free(recovery->batches);
    free(recovery->founding);
    recovery->snapshot_meta = NULL;
    recovery->batches = NULL;
    recovery->founding = NULL;
}
