/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - reads a data directory and gathers the facts that the recovery table decides on. Changes nothing.
 */
#include "core/log/scan.h"
#include "core/log/renew.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log/file.h"
#include "core/log/reach.h"
#include "core/log/snapshot_file.h"
#include "core/os/bytes.h"
#include "core/os/clean.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

#define START_BYTES (LOG_SEGMENT_HEAD + LOG_FRAME_HEAD + LOG_START_BYTES)
#define VOTE_FILE_MAX 4096
#define FIRST_SEGMENT "0000000000000001.seg"
#define VOTE_LIFE_AT 8     /* sequence, term and vote in a vote file: all zero until the first vote */
#define VOTE_LIFE_BYTES 24 /* and as many at the first frame's place in a segment */
#define SYNCED_FILE_MAX (LOG_IDENTITY_BYTES * LOG_IDENTITY_SLOTS)

int log_path(char *to, const char *dir, const char *name, struct gavel_error *error)
{
    int length = snprintf(to, OS_PATH_MAX, "%s%s%s", dir, name[0] ? "/" : "", name);

    if (length < 0 || length >= OS_PATH_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "the path of the data directory is too long: %s", dir);
    return 0;
}

void log_segment_name(char *name, uint64_t number)
{
    (void)snprintf(name, LOG_SEGMENT_NAME_BYTES, "log/%016llx.seg", (unsigned long long)number);
}

static int io_error(struct gavel_error *error, const char *path, int result)
{
    int code = result == -ENOMEM ? GAVEL_E_NO_MEMORY : result == -EACCES ? GAVEL_E_DENIED : GAVEL_E_IO;

    return gavel_fail(error, code, "cannot read %s: %s", path, strerror(-result));
}

static int refresh(const struct log_scan *scan, const char *name, struct gavel_error *error)
{
    char path[OS_PATH_MAX];
    int result = log_path(path, scan->dir, name, error);

    if (result || seeded_bug("log-recovered-unsynced"))
        return result;
    result = log_file_refresh(scan->os, path);
    return result && result != -ENOENT ? io_error(error, path, result) : 0;
}

/* ---- the small files ----------------------------------------------------------------------------------- */

/* Read a small file: *data stays NULL when it is absent; a size beyond `max` counts as damage (*size = 0). */
static int read_small(struct log_scan *scan, const char *name, uint64_t max, uint8_t **data, uint64_t *size,
                      struct gavel_error *error)
{
    char path[OS_PATH_MAX];
    int result = log_path(path, scan->dir, name, error);

    if (result)
        return result;
    result = log_file_read(scan->os, path, max, data, size);
    if (result == -EFBIG) {
        COVER("log-small-file-is-large");
        *data = calloc(1, 1);
        *size = 0;
        return *data ? 0 : io_error(error, path, -ENOMEM);
    }
    if (result && result != -ENOENT && result != -ENOTDIR)
        return io_error(error, path, result);
    return 0;
}

static int scan_directory(struct log_scan *scan, struct gavel_error *error)
{
    os_autofree uint8_t *data = NULL;
    uint64_t size = 0;
    int result = read_small(scan, "directory", VOTE_FILE_MAX, &data, &size, error);

    if (result || !data)
        return result;
    result = log_directory_decode(data, size, &scan->directory);
    scan->directory_state = result == 0                   ? LOG_FILE_GOOD
                            : result == GAVEL_E_VERSION ? LOG_FILE_NEWER
                                                          : LOG_FILE_BAD;
    return 0;
}

static int scan_vote(struct log_scan *scan, int which, struct gavel_error *error)
{
    os_autofree uint8_t *data = NULL;
    uint64_t size = 0;
    int result = read_small(scan, which ? "vote.1" : "vote.0", VOTE_FILE_MAX, &data, &size, error);

    if (result || !data)
        return result;
    scan->vote_state[which] = LOG_FILE_BAD;
    if (size >= LOG_VOTE_BYTES && log_vote_decode(data, scan->directory.incarnation, &scan->votes[which]))
        scan->vote_state[which] = LOG_FILE_GOOD;
    return 0;
}

static int scan_founding(struct log_scan *scan, struct gavel_error *error)
{
    uint64_t size = 0;
    int result = read_small(scan, "founding", LOG_FOUNDING_MAX + LOG_BLOB_HEAD, &scan->founding, &size, error);

    if (result || !scan->founding)
        return result;
    scan->founding_state = LOG_FILE_BAD;
    if (log_blob_decode(scan->founding, size, LOG_FOUNDING_MAGIC, &scan->founding_bytes))
        scan->founding_state = LOG_FILE_GOOD;
    return 0;
}

static int scan_recovering(struct log_scan *scan, struct gavel_error *error)
{
    os_autofree uint8_t *data = NULL;
    const uint8_t *payload;
    uint64_t size = 0;
    uint64_t bytes = 0;
    int result = read_small(scan, "recovering", VOTE_FILE_MAX, &data, &size, error);

    if (result || !data)
        return result;
    payload = log_blob_decode(data, size, LOG_RECOVERING_MAGIC, &bytes);
    scan->recovering_state = payload && bytes == 8 ? LOG_FILE_GOOD : LOG_FILE_BAD;
    if (scan->recovering_state == LOG_FILE_GOOD)
        scan->recovering_floor = os_get64(payload);
    return 0;
}

/* One that cannot be read says the same: it is there. */
static int scan_fence(struct log_scan *scan, struct gavel_error *error)
{
    os_autofree uint8_t *data = NULL;
    uint64_t size = 0, bytes = 0;
    int result = read_small(scan, "fenced", VOTE_FILE_MAX, &data, &size, error);
    const uint8_t *payload = result || !data ? NULL : log_blob_decode(data, size, LOG_FENCED_MAGIC, &bytes);

    if (result == 0 && data)
        scan->fence = payload && bytes == 8 && os_get64(payload) ? os_get64(payload) : 1;
    return result;
}

static int scan_identity(struct log_scan *scan, struct gavel_error *error)
{
    os_autofree uint8_t *data = NULL;
    uint64_t size = 0;
    int result = read_small(scan, "log/synced", SYNCED_FILE_MAX, &data, &size, error);

    if (result || !data)
        return result;
    for (uint64_t at = 0; at + LOG_IDENTITY_BYTES <= size; at += LOG_IDENTITY_BYTES) {
        struct log_identity found;

        if (!log_identity_decode(data + at, scan->directory.incarnation, &found))
            continue;
        scan->identity_count++;
        if (found.group > scan->identity.group)
            scan->identity = found;
    }
    if (scan->identity.segment > scan->number_max)
        scan->number_max = scan->identity.segment;
    if (scan->identity.last.index > scan->index_max)
        scan->index_max = scan->identity.last.index;
    scan->group_max = scan->identity.group;
    return 0;
}

static void choose_vote(struct log_scan *scan)
{
    uint32_t facts = 0;
    int better = 0;

    if (scan->vote_state[0] == LOG_FILE_GOOD)
        facts |= LOG_FACT_VOTE_0;
    if (scan->vote_state[1] == LOG_FILE_GOOD)
        facts |= LOG_FACT_VOTE_1;
    if (!(facts & LOG_FACT_VOTE_0) ||
        ((facts & LOG_FACT_VOTE_1) && scan->votes[1].sequence > scan->votes[0].sequence))
        better = 1;
    if ((facts & LOG_FACT_VOTE_0) && (facts & LOG_FACT_VOTE_1) &&
        memcmp(&scan->votes[0], &scan->votes[1], sizeof scan->votes[0]) != 0)
        facts |= LOG_FACT_VOTES_DIFFER;
    scan->vote = scan->votes[better];
    if (scan->directory_state == LOG_FILE_BAD)
        facts |= LOG_FACT_DIRECTORY_BAD;
    if (scan->founding_state == LOG_FILE_BAD)
        facts |= LOG_FACT_FOUNDING_BAD;
    scan->facts |= facts;
    scan->vote_row = log_table_votes(scan->facts);
}

/* ---- names --------------------------------------------------------------------------------------------- */

static int see_name(void *ctx, const char *name)
{
    /* What an unfinished creation may leave, and what a host puts beside it. */
    static const char *const ours[] = {"lock", "log", "snap", "vote.0", "vote.1", "directory", "directory.new",
                                       "founding", "founding.new", "recovering", "recovering.new", "admin.sock",
                                       "fenced", "fenced.new",
                                       LOG_UNFINISHED,
                                       LOG_RENEWING, LOG_RENEWING ".new", LOG_RENEWED};
    struct log_scan *scan = ctx;

    if (strcmp(name, "founding") == 0 || strcmp(name, "recovering") == 0)
        scan->lived = true;
    scan->unfinished = scan->unfinished || strcmp(name, LOG_UNFINISHED) == 0;
    scan->renewing = scan->renewing || strcmp(name, LOG_RENEWING) == 0;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (strcmp(name, ours[i]) == 0)
            return 0;
    }
    if (strncmp(name, LOG_ASIDE, strlen(LOG_ASIDE)) != 0)
        (void)snprintf(scan->foreign, sizeof scan->foreign, "%s", name);
    return 0;
}

static int see_segment(void *ctx, const char *name)
{
    struct log_scan *scan = ctx;
    struct log_scan_segment *grown;
    char again[LOG_SEGMENT_NAME_BYTES];
    unsigned long long number;
    size_t length;

    if (sscanf(name, "%16llx.seg", &number) != 1 || number == 0 || number > LOG_NUMBER_MAX)
        return 0;
    log_segment_name(again, number);
    length = strlen(again) - 4; /* behind "log/" */
    if (strncmp(again + 4, name, length) != 0)
        return 0;
    if (number > scan->number_max)
        scan->number_max = number;
    if (name[length])
        return 0; /* set aside: "<number>.seg.damaged" */
    if (scan->segment_count == LOG_SEGMENTS_MAX)
        return -EFBIG;
    if ((scan->segment_count & (scan->segment_count - 1)) == 0) {
        size_t wanted = scan->segment_count ? (size_t)scan->segment_count * 2 : 1;

        grown = realloc(scan->segments, wanted * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        scan->segments = grown;
    }
    grown = &scan->segments[scan->segment_count++];
    memset(grown, 0, sizeof *grown);
    grown->number = number;
    return 0;
}

static int see_snapshot(void *ctx, const char *name)
{
    struct log_scan *scan = ctx;
    struct log_scan_snapshot *found;
    uint64_t index;
    uint64_t term;

    if (!log_snapshot_name_parse(name, &index, &term) || index == 0)
        return 0;
    if (!scan->snapshots)
        scan->snapshots = calloc(LOG_SNAPSHOTS_MAX, sizeof *scan->snapshots);
    if (!scan->snapshots)
        return -ENOMEM;
    if (scan->snapshot_count == LOG_SNAPSHOTS_MAX)
        return -EFBIG;
    found = &scan->snapshots[scan->snapshot_count++];
    found->index = index;
    found->term = term;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct log_scan_segment *left = a;
    const struct log_scan_segment *right = b;

    return left->number < right->number ? -1 : left->number > right->number;
}

static int newest_first(const void *a, const void *b)
{
    const struct log_scan_snapshot *left = a;
    const struct log_scan_snapshot *right = b;

    if (left->index != right->index)
        return left->index > right->index ? -1 : 1;
    return left->term > right->term ? -1 : left->term < right->term;
}

static int list_names(struct log_scan *scan, const char *name, int (*see)(void *ctx, const char *name),
                      struct gavel_error *error)
{
    char path[OS_PATH_MAX];
    int result = log_path(path, scan->dir, name, error);

    if (result)
        return result;
    result = os_list(scan->os, path, see, scan);
    if (result && result != -ENOENT)
        return io_error(error, path, result);
    return 0;
}

/* ---- snapshots ----------------------------------------------------------------------------------------- */

static int scan_snapshots(struct log_scan *scan, bool all, struct gavel_error *error)
{
    scan->snapshot_used = scan->snapshot_count;
    for (uint32_t i = 0; i < scan->snapshot_count; i++) {
        struct log_scan_snapshot *at = &scan->snapshots[i];
        bool wanted = scan->snapshot_used == scan->snapshot_count;
        char file[LOG_SNAPSHOT_NAME_BYTES + 8] = "snap/";
        char path[OS_PATH_MAX];
        struct gavel_error why = {0};
        int status;

        if (!wanted && !all)
            break;
        log_snapshot_name(file + 5, LOG_SNAPSHOT_NAME_BYTES, at->index, at->term);
        status = log_path(path, scan->dir, file, error);
        if (status)
            return status;
        status = log_snapshot_file_check(scan->os, path, true, &at->info, wanted ? &scan->snapshot_meta : NULL,
                                         &scan->snapshot_meta_bytes, &why);
        if (status == GAVEL_E_NO_MEMORY || status == GAVEL_E_IO) /* neither says that the file is not sound */
            return gavel_fail(error, status, "%s", why.text);
        at->state = status == 0 && at->info.index == at->index && at->info.term == at->term ? LOG_FILE_GOOD
                                                                                          : LOG_FILE_BAD;
        (void)snprintf(at->why, sizeof at->why, "%.*s", (int)sizeof at->why - 1, why.text);
        if (at->state == LOG_FILE_BAD && wanted) {
            COVER("log-newest-snapshot-bad");
            free(scan->snapshot_meta);
            scan->snapshot_meta = NULL;
            scan->facts |= LOG_FACT_SNAPSHOT_BAD;
        } else if (wanted) {
            scan->snapshot_used = i;
            scan->snapshot = at->info;
        }
    }
    return 0;
}

/* ---- segments ------------------------------------------------------------------------------------------ */

/* It stays in scan->room until the next one is loaded: the largest is allocated once, not each anew. */
static int load_segment(struct log_scan *scan, const struct log_scan_segment *segment,
                        struct log_segment_image *image, struct gavel_error *error)
{
    char name[LOG_SEGMENT_NAME_BYTES];
    char path[OS_PATH_MAX];
    int result;

    log_segment_name(name, segment->number);
    result = log_path(path, scan->dir, name, error);
    if (result)
        return result;
    result = log_file_read_into(scan->os, path, LOG_SEGMENT_BYTES_MAX, &scan->room, &image->size);
    image->data = scan->room.data;
    return result ? io_error(error, path, result) : 0;
}

/* The first bytes of a segment: its record and its START. */
static int look_at_head(struct log_scan *scan, struct log_scan_segment *segment, struct gavel_error *error)
{
    uint8_t data[START_BYTES];
    struct log_segment_record record;
    char name[LOG_SEGMENT_NAME_BYTES];
    char path[OS_PATH_MAX];
    struct os_file *file;
    size_t got = 0;
    int result;

    log_segment_name(name, segment->number);
    result = log_path(path, scan->dir, name, error);
    if (result)
        return result;
    result = os_open(scan->os, path, OS_OPEN_READ, &file);
    if (result)
        return io_error(error, path, result);
    result = os_size(scan->os, file, &segment->size);
    if (result == 0)
        result = os_pread(scan->os, file, data, sizeof data, 0, &got);
    os_close(scan->os, file);
    if (result)
        return io_error(error, path, result);
    segment->head_good = got >= LOG_SEGMENT_HEAD && log_segment_decode(data, scan->directory.incarnation, &record) &&
                         record.number == segment->number && record.bytes == segment->size;
    segment->start_known = got == START_BYTES && log_segment_start(data, got, segment->number,
                                                                   scan->directory.incarnation, &segment->start);
    return 0;
}

/* Every sound frame header of a segment, without walking it. */
static int survey_segment(struct log_scan *scan, struct log_scan_segment *segment, struct gavel_error *error)
{
    struct log_segment_image image = {.number = segment->number, .incarnation = scan->directory.incarnation};
    int status = load_segment(scan, segment, &image, error);

    if (status)
        return status;
    segment->size = image.size;
    log_segment_survey(&image, LOG_SEGMENT_HEAD, &segment->found);
    return 0;
}

/* Which segments hold frames, and where each one says that it goes on from. */
static int look_at_segments(struct log_scan *scan, struct gavel_error *error)
{
    for (uint32_t i = 0; i < scan->segment_count; i++) {
        struct log_scan_segment *segment = &scan->segments[i];
        int status = look_at_head(scan, segment, error);

        if (status == 0 && !segment->start_known)
            status = survey_segment(scan, segment, error);
        if (status)
            return status;
        segment->data = segment->start_known || segment->found.any;
    }
    return 0;
}

struct see_through {
    const struct log_scan_options *options;
    uint64_t segment;
};

static void see_frame(void *ctx, const struct log_frame_seen *seen)
{
    const struct see_through *through = ctx;

    through->options->seen(through->options->ctx, through->segment, seen);
}

/* Earlier segments were synced before the next one began: only the last one with frames can hold what was not. */
static int refresh_last(struct log_scan *scan, struct gavel_error *error)
{
    uint32_t at = scan->segment_count;
    char name[LOG_SEGMENT_NAME_BYTES];
    struct log_scan_segment *last;
    int status;

    while (at > 0 && !scan->segments[at - 1].data)
        at--;
    if (at == 0)
        return 0;
    last = &scan->segments[at - 1];
    log_segment_name(name, last->number);
    status = refresh(scan, name, error);
    memset(&last->found, 0, sizeof last->found);
    if (status == 0)
        status = look_at_head(scan, last, error);
    if (status == 0 && !last->start_known)
        status = survey_segment(scan, last, error);
    last->data = last->start_known || last->found.any;
    return status;
}

static uint32_t next_data(const struct log_scan *scan, uint32_t from)
{
    while (from < scan->segment_count && !scan->segments[from].data)
        from++;
    return from;
}

static void add_found(struct log_scan *scan, const struct log_segment_found *found)
{
    if (found->group_max > scan->group_max)
        scan->group_max = found->group_max;
    if (found->index_max > scan->index_max)
        scan->index_max = found->index_max;
}

static uint64_t align_group(uint64_t offset)
{
    return (offset + LOG_GROUP_ALIGN - 1) & ~(uint64_t)(LOG_GROUP_ALIGN - 1);
}

/* Judge one segment that was walked: is it damaged, and is it proved that the damage had been synced? */
static void judge_segment(struct log_scan *scan, const struct log_scan_segment *segment, bool is_last)
{
    const struct log_segment_found *found = &segment->found;
    bool damaged = found->stop != LOG_STOP_END;
    const uint32_t proofs = LOG_FACT_LATER_FRAME | LOG_FACT_LATER_SEGMENT | LOG_FACT_IDENTITY_BEYOND;

    if (!segment->head_good)
        scan->facts |= LOG_FACT_HEAD_BAD;
    if (found->identity_differs)
        scan->facts |= LOG_FACT_IDENTITY_DIFFERS;
    if (!damaged && is_last && scan->identity.segment == segment->number &&
        align_group(found->stop_at) < scan->identity.end)
        scan->facts |= LOG_FACT_IDENTITY_BEYOND;
    if (!damaged)
        return;
    scan->damaged = true;
    scan->damage_segment = segment->number;
    scan->damage_at = found->stop_at;
    scan->facts |= LOG_FACT_DAMAGE;
    if (found->group_at < found->proved)
        scan->facts |= LOG_FACT_LATER_FRAME;
    if (!is_last)
        scan->facts |= LOG_FACT_LATER_SEGMENT;
    if (is_last && scan->identity.segment == segment->number && found->group_at < scan->identity.end)
        scan->facts |= LOG_FACT_IDENTITY_BEYOND;
    /*
     * The space may have been used before, and by a payload of the same size at the same place: where only the header
     * of a new frame arrived, the old payload behind it is sound. Unless something proves that this frame had been
     * synced, it is torn like any other, however sound it looks.
     */
    if (found->stop == LOG_STOP_ORDER && (found->misplaced || (scan->facts & proofs)))
        scan->facts |= LOG_FACT_ORDER;
}

static int walk_segment(struct log_scan *scan, uint32_t at, uint32_t next, const struct log_scan_options *options,
                        struct gavel_error *error)
{
    struct log_scan_segment *segment = &scan->segments[at];
    struct see_through through = {options, segment->number};
    struct log_segment_image image = {.number = segment->number,
                                      .incarnation = scan->directory.incarnation,
                                      .committed = {.index = scan->snapshot.index,
                                                    .term = scan->snapshot.term,
                                                    .chain = scan->snapshot.chain},
                                      .later = next < scan->segment_count || scan->identity.segment > segment->number,
                                      .ctx = &through,
                                      .seen = options && options->seen ? see_frame : NULL};
    int status = load_segment(scan, segment, &image, error);

    if (status)
        return status;
    if (next < scan->segment_count && scan->segments[next].start_known) {
        uint64_t goes_on_from = scan->segments[next].start.segment;

        /*
         * One that is missing lies between the two. An earlier one is named by an old payload, of a file that was used
         * before, behind the header of a new frame that did not arrive whole: the walk stops there, out of order.
         */
        if (goes_on_from == segment->number) {
            image.limit = scan->segments[next].start.end;
            image.before = scan->segments[next].start.before;
        } else if (goes_on_from > segment->number || seeded_bug("log-old-start-missing")) {
            scan->facts |= LOG_FACT_SEGMENT_MISSING;
        }
    }
    if (scan->identity.segment == segment->number && next == scan->segment_count)
        image.identity = &scan->identity;
    if (log_segment_scan(&image, &scan->walk, &segment->found))
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the index of the log");
    segment->walked = true;
    judge_segment(scan, segment, next == scan->segment_count);
    if ((scan->facts & LOG_FACT_SEGMENT_MISSING) && !scan->damaged) {
        COVER("log-segment-missing");
        scan->damaged = true;
        scan->damage_segment = scan->segments[next].number;
        scan->damage_at = LOG_SEGMENT_HEAD;
    }
    if (segment->found.stop_at > LOG_SEGMENT_HEAD) {
        scan->end_segment = segment->number;
        scan->end_at = align_group(segment->found.stop_at);
    }
    return 0;
}

static int scan_segments(struct log_scan *scan, const struct log_scan_options *options, struct gavel_error *error)
{
    uint32_t count = 0; /* of segments with frames */
    int status = look_at_segments(scan, error);

    if (status == 0 && options && options->refresh)
        status = refresh_last(scan, error);
    if (status)
        return status;
    for (uint32_t at = next_data(scan, 0); at < scan->segment_count; count++) {
        uint32_t next = next_data(scan, at + 1);

        if (scan->damaged) /* which groups and indexes do those behind it name? */
            status = survey_segment(scan, &scan->segments[at], error);
        else
            status = walk_segment(scan, at, next, options, error);
        if (status)
            return status;
        add_found(scan, &scan->segments[at].found);
        if (next == scan->segment_count && scan->identity.segment > scan->segments[at].number)
            scan->facts |= LOG_FACT_IDENTITY_BEYOND;
        at = next;
    }
    if (count == 0 && scan->identity.group)
        scan->facts |= LOG_FACT_IDENTITY_BEYOND;
    if (scan->segment_count == 0)
        scan->facts |= LOG_FACT_SEGMENT_MISSING; /* creation makes one before the directory record */
    return 0;
}

/* What a recovery has to come to, and what a repair says is lost. */
static int scan_reach(struct log_scan *scan, struct gavel_error *error)
{
    struct log_reach reach = {.known_group = scan->identity.group, .known_index = scan->identity.last.index};

    if (scan->row->verdict != LOG_VERDICT_CORRUPT && scan->recovering_state == LOG_FILE_ABSENT)
        return 0;
    for (uint32_t i = 0; i < scan->segment_count; i++) {
        struct log_segment_image image = {.number = scan->segments[i].number,
                                          .incarnation = scan->directory.incarnation};
        int status = scan->segments[i].data ? load_segment(scan, &scan->segments[i], &image, error) : 0;

        if (status)
            return status;
        if (scan->segments[i].data)
            log_reach_segment(&reach, &image);
    }
    scan->index_max = log_reach_index(&reach);
    return 0;
}

/* How log and snapshot fit together. */
static void compare_snapshot(struct log_scan *scan)
{
    const struct log_walk *walk = &scan->walk;
    const struct log_snapshot_info *info = &scan->snapshot;
    uint64_t position;

    if (walk->last.index > scan->index_max)
        scan->index_max = walk->last.index;
    if (walk->before.index > info->index)
        scan->facts |= LOG_FACT_GAP;
    if (info->index == 0 || walk->before.index > info->index)
        return;
    if (walk->last.index < info->index) {
        scan->facts |= LOG_FACT_ENDS_BELOW;
        return;
    }
    if (walk->before.index == info->index) {
        if (walk->before.term != info->term || walk->before.chain != info->chain)
            scan->facts |= LOG_FACT_OTHER_HISTORY;
        return;
    }
    position = log_slots_find(&walk->slots, info->index);
    if (position < walk->slots.count) {
        const struct log_slot *slot = log_slot_at(&walk->slots, position);

        if (slot->first + slot->count - 1 != info->index || slot->term != info->term || slot->chain != info->chain)
            scan->facts |= LOG_FACT_OTHER_HISTORY;
    }
}

/* ---- a directory without its record --------------------------------------------------------------------- */

/* Making a data directory leaves nothing in log/ but these and files that have not got their name yet. */
static int see_log_life(void *ctx, const char *name)
{
    size_t length = strlen(name);

    if (strcmp(name, "synced") != 0 && strcmp(name, FIRST_SEGMENT) != 0 &&
        (length < 4 || strcmp(name + length - 4, ".new") != 0))
        ((struct log_scan *)ctx)->lived = true;
    return 0;
}

static int see_snapshot_life(void *ctx, const char *name)
{
    (void)name;
    ((struct log_scan *)ctx)->lived = true;
    return 0;
}

/* True when any of `size` bytes at `offset` of a file is not zero. */
static int see_bytes(struct log_scan *scan, const char *name, uint64_t offset, struct gavel_error *error)
{
    uint8_t bytes[LOG_FRAME_HEAD] = {0};
    char path[OS_PATH_MAX];
    struct os_file *file;
    size_t got = 0;
    int result = log_path(path, scan->dir, name, error);

    if (result)
        return result;
    result = os_open(scan->os, path, OS_OPEN_READ, &file);
    if (result == -ENOENT || result == -ENOTDIR)
        return 0;
    if (result)
        return io_error(error, path, result);
    result = os_pread(scan->os, file, bytes, VOTE_LIFE_BYTES, offset, &got);
    os_close(scan->os, file);
    for (size_t i = 0; i < sizeof bytes; i++)
        scan->lived = scan->lived || bytes[i];
    return result ? io_error(error, path, result) : 0;
}

/*
 * The record is the last thing that making a directory writes, so what was interrupted there holds nothing: no vote, no
 * frame, no snapshot. Where anything of that kind is, the record was lost, and to begin anew would throw away what this
 * node has promised.
 */
static int look_for_life(struct log_scan *scan, struct gavel_error *error)
{
    int status;

    if ((status = list_names(scan, "snap", see_snapshot_life, error)) ||
        (status = list_names(scan, "log", see_log_life, error)) ||
        (status = see_bytes(scan, "vote.0", VOTE_LIFE_AT, error)) ||
        (status = see_bytes(scan, "vote.1", VOTE_LIFE_AT, error)) ||
        (status = see_bytes(scan, "log/" FIRST_SEGMENT, LOG_SEGMENT_HEAD, error)))
        return status;
    if (scan->lived)
        scan->directory_state = LOG_FILE_BAD;
    return 0;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

int log_scan_run(struct log_scan *scan, const struct os *os, const char *dir, const struct log_scan_options *options,
                 struct gavel_error *error)
{
    struct os_stat stat;
    int status;

    memset(scan, 0, sizeof *scan);
    scan->os = os;
    scan->dir = dir;
    scan->row = log_table_log(0);
    status = os_stat(os, dir, &stat);
    if (status == -ENOENT)
        return 0;
    if (status)
        return io_error(error, dir, status);
    if (!stat.is_dir)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s is not a directory", dir);
    scan->exists = true;
    if ((status = list_names(scan, "", see_name, error)) || (status = scan_directory(scan, error)))
        return status;
    if (scan->directory_state == LOG_FILE_ABSENT && !scan->foreign[0] && (status = look_for_life(scan, error)))
        return status;
    if (scan->directory_state == LOG_FILE_ABSENT || scan->directory_state == LOG_FILE_NEWER) {
        scan->empty = scan->directory_state == LOG_FILE_ABSENT && !scan->foreign[0];
        return 0;
    }
    if (options && options->brief)
        return 0;
    if (options && options->refresh &&
        ((status = refresh(scan, "vote.0", error)) || (status = refresh(scan, "vote.1", error))))
        return status;
    if ((status = scan_vote(scan, 0, error)) || (status = scan_vote(scan, 1, error)) ||
        (status = scan_founding(scan, error)) || (status = scan_recovering(scan, error)) ||
        (status = scan_fence(scan, error)))
        return status;
    choose_vote(scan);
    if (scan->directory_state == LOG_FILE_BAD)
        return 0; /* without the incarnation nothing else can be told apart */
    if ((status = list_names(scan, "snap", see_snapshot, error)) ||
        (status = list_names(scan, "log", see_segment, error)))
        return status;
    if (scan->snapshot_count)
        qsort(scan->snapshots, scan->snapshot_count, sizeof *scan->snapshots, newest_first);
    if (scan->segment_count)
        qsort(scan->segments, scan->segment_count, sizeof *scan->segments, by_number);
    if ((status = scan_snapshots(scan, options && options->all_snapshots, error)) ||
        (status = scan_identity(scan, error)) || (status = scan_segments(scan, options, error)))
        return status;
    compare_snapshot(scan);
    if ((scan->vote_state[0] == LOG_FILE_GOOD || scan->vote_state[1] == LOG_FILE_GOOD) &&
        scan->walk.last.term > scan->vote.term && scan->walk.slots.count)
        scan->facts |= LOG_FACT_VOTE_BEHIND;
    scan->row = log_table_log(scan->facts);
    status = scan_reach(scan, error);
    free(scan->room.data); /* a scan is kept for long, and several at once: not a segment of each with it */
    scan->room = (struct log_room){.data = NULL};
    return status;
}

void log_scan_free(struct log_scan *scan)
{
    if (!scan)
        return;
    free(scan->founding);
    free(scan->snapshots);
    free(scan->snapshot_meta);
    free(scan->segments);
    free(scan->room.data);
    log_slots_free(&scan->walk.slots);
    memset(scan, 0, sizeof *scan);
}
