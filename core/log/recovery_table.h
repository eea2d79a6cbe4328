/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovery_table.h - what a start does with what it finds, as tables: facts in, one row out. A test has a row for
 * each row here; gavel-formats(7) prints the same table.
 *
 * "Proved" means that a sync of these bytes had returned: a sound frame of a later group says so (in this segment by
 * its group start, in another segment by being there), or an identity entry. What was proved may have been
 * acknowledged and is never cut; what was not proved can be a write that the machine did not finish.
 */
#ifndef CORE_LOG_RECOVERY_TABLE_H
#define CORE_LOG_RECOVERY_TABLE_H

#include <stdint.h>

/* Facts about the log and the snapshots. */
#define LOG_FACT_DAMAGE (1u << 0)           /* a frame is damaged, or missing before others */
#define LOG_FACT_ORDER (1u << 1)            /* synced sound frames that do not continue each other */
#define LOG_FACT_LATER_FRAME (1u << 2)      /* behind the damage is a frame of a later group of the segment */
#define LOG_FACT_LATER_SEGMENT (1u << 3)    /* behind the damage is a segment with frames */
#define LOG_FACT_IDENTITY_BEYOND (1u << 4)  /* an identity entry proves bytes at or behind the end or the damage */
#define LOG_FACT_IDENTITY_DIFFERS (1u << 5) /* an identity entry names another log at the same place */
#define LOG_FACT_SEGMENT_MISSING (1u << 6)  /* a segment goes on from one that is not there */
#define LOG_FACT_HEAD_BAD (1u << 7)         /* the header of a segment with frames is damaged */
#define LOG_FACT_VOTE_BEHIND (1u << 8)      /* the vote files name a term below the log's last */
#define LOG_FACT_GAP (1u << 9)              /* the log begins behind the newest good snapshot's index */
#define LOG_FACT_ENDS_BELOW (1u << 10)      /* the log ends before the newest good snapshot's index */
#define LOG_FACT_OTHER_HISTORY (1u << 11)   /* the log has another entry at the snapshot's index */
#define LOG_FACT_SNAPSHOT_BAD (1u << 12)    /* a snapshot newer than the one in use is damaged */

/* Facts about the two vote files, the founding record and the directory record. */
#define LOG_FACT_VOTE_0 (1u << 16)          /* vote.0 is sound */
#define LOG_FACT_VOTE_1 (1u << 17)          /* vote.1 is sound */
#define LOG_FACT_VOTES_DIFFER (1u << 18)    /* both are, and one is behind */
#define LOG_FACT_FOUNDING_BAD (1u << 19)    /* the founding record is there and damaged */
#define LOG_FACT_DIRECTORY_BAD (1u << 20)   /* the directory record is damaged or missing */

enum log_verdict {
    LOG_VERDICT_OK,      /* use it */
    LOG_VERDICT_HEAL,    /* use it and write the better copy over the other, with a notice */
    LOG_VERDICT_CUT,     /* torn: cut the tail off, one warning */
    LOG_VERDICT_RESET,   /* the snapshot replaces the log, which goes on behind it */
    LOG_VERDICT_CORRUPT, /* alone: exit 65 and change no byte; with peers: start as recovering and fetch again */
    LOG_VERDICT_STOP     /* exit 65 in any case: a node without this could vote twice or speak for another */
};

struct log_row {
    uint32_t number;   /* for log lines, tests and the page */
    uint32_t need;     /* all of these facts */
    uint32_t without;  /* none of these */
    uint32_t verdict;  /* enum log_verdict */
    const char *name;  /* a short word for tests and JSON */
    const char *says;  /* the sentence for the operator */
};

/* [any] The row that decides about log and snapshots: the first one that fits. Never NULL. */
const struct log_row *log_table_log(uint32_t facts);

/* [any] The row that decides about the votes and the records. Never NULL. */
const struct log_row *log_table_votes(uint32_t facts);

/* [any] All rows, for tests and the page: returns how many. */
uint32_t log_table_rows(const struct log_row **rows);

#endif
