/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - a data directory as it is found: everything is read, nothing is changed. log_open acts on it, inspection
 * prints it.
 */
#ifndef CORE_LOG_SCAN_H
#define CORE_LOG_SCAN_H

#include "core/log/file.h"
#include "core/log/recovery_table.h"
#include "core/log/segment.h"
#include "core/log/snapshot.h"

#define LOG_SEGMENTS_MAX 65536  /* files: 1 TiB of default segments */
#define LOG_SNAPSHOTS_MAX 256   /* published ones looked at; snapshot_keep is far below */

enum log_file_state { LOG_FILE_ABSENT, LOG_FILE_GOOD, LOG_FILE_BAD, LOG_FILE_NEWER };

struct log_scan_segment {
    uint64_t number;
    uint64_t size;
    bool data;        /* has at least one sound frame header of its own */
    bool head_good;
    bool start_known; /* `start` could be read */
    bool walked;      /* `found` comes from the walk, not only from a survey */
    struct log_start_point start;
    struct log_segment_found found;
};

struct log_scan_snapshot {
    uint64_t index;
    uint64_t term;
    uint32_t state; /* enum log_file_state; ABSENT: not looked at */
    struct log_snapshot_info info;
    char why[256]; /* for BAD */
};

struct log_scan {
    const struct os *os;
    const char *dir;
    bool exists;      /* the directory is there */
    bool empty;       /* and holds nothing but what an unfinished creation leaves */
    bool unfinished;  /* the directory of a new cluster was being made, see LOG_UNFINISHED */
    bool lived;       /* a vote, a frame, a snapshot or a founding is there */
    bool renewing;    /* its change into a new cluster is under way, or was cut short: see renew.h */
    char foreign[OS_NAME_MAX]; /* a name that is not ours, when there is no directory record */

    uint32_t directory_state; /* enum log_file_state, here and below */
    struct log_directory_record directory;
    uint32_t vote_state[2];
    struct log_vote_record votes[2];
    struct log_vote_record vote; /* the one that counts */
    uint32_t founding_state;
    uint8_t *founding; /* the file; the payload begins at LOG_BLOB_HEAD */
    uint64_t founding_bytes; /* of the payload */
    uint32_t recovering_state;
    uint64_t recovering_floor;
    uint64_t fence; /* 0: none */

    struct log_scan_snapshot *snapshots; /* the newest first */
    uint32_t snapshot_count;
    uint32_t snapshot_used; /* position of the one in use; snapshot_count: none */
    struct log_snapshot_info snapshot;
    uint8_t *snapshot_meta;
    uint64_t snapshot_meta_bytes;

    struct log_scan_segment *segments; /* ascending */
    uint32_t segment_count;
    struct log_room room; /* holds the segment that is looked at; none afterwards */
    uint64_t number_max; /* of any segment file, *.damaged too, and of the identity entry */
    struct log_identity identity; /* the newest; group 0: none */
    uint32_t identity_count;

    struct log_walk walk;
    bool damaged;
    uint64_t damage_segment; /* number */
    uint64_t damage_at;      /* offset in it */
    uint64_t end_segment;    /* number of the segment with the last sound frame; 0: none */
    uint64_t end_at;         /* offset where the next group goes */
    uint64_t group_max;      /* of any frame or identity entry */
    uint64_t index_max;      /* the last index that any sound batch header or identity entry names; where the log is
                                corrupt or was, the highest at which it may have ended (reach.h) */

    uint32_t facts;
    const struct log_row *row;      /* about log and snapshots */
    const struct log_row *vote_row; /* about votes and records */
};

struct log_scan_options {
    bool brief;         /* only what `refuse` needs: names and the directory record */
    bool refresh;       /* what is read shall count as durable: sync, and read it from the disk, not from the cache */
    bool all_snapshots; /* check every snapshot, not only the newest sound one */
    void (*seen)(void *ctx, uint64_t segment, const struct log_frame_seen *seen); /* NULL, or called for each frame */
    void *ctx;
};

/* [before the loop, or off line] Read `dir`. 0 whatever the state of it; GAVEL_E_IO, GAVEL_E_NO_MEMORY, GAVEL_E_DENIED
 * with a sentence when it cannot be read. Free with log_scan_free in every case; both strings are borrowed. */
int log_scan_run(struct log_scan *scan, const struct os *os, const char *dir, const struct log_scan_options *options,
                 struct gavel_error *error);

/* Free what a scan holds; harmless on an all-zero one. */
void log_scan_free(struct log_scan *scan);

/* A path below a data directory: 0, or GAVEL_E_INVALID when it is too long. */
int log_path(char *to, const char *dir, const char *name, struct gavel_error *error);

/* "log/<number>.seg" */
#define LOG_SEGMENT_NAME_BYTES 40
void log_segment_name(char *name, uint64_t number);

#endif
