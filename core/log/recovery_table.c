/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovery_table.c - the recovery table. Order matters: the first row that fits decides, and everything that speaks
 * for corruption stands before everything that would cut.
 */
#include "core/log/recovery_table.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/os/seeded.h"

#define VOTES_FROM 30 /* numbers from here on are about votes and records */

static const struct log_row rows[] = {
    {1, LOG_FACT_ORDER, 0, LOG_VERDICT_CORRUPT, "order",
     "sound frames do not continue each other: a file was exchanged or restored from elsewhere"},
    {2, LOG_FACT_SEGMENT_MISSING, 0, LOG_VERDICT_CORRUPT, "segment-missing", "a segment in the middle is missing"},
    {3, LOG_FACT_DAMAGE | LOG_FACT_LATER_FRAME, 0, LOG_VERDICT_CORRUPT, "damage-later-frame",
     "damage before a frame that was written after it had been synced"},
    {4, LOG_FACT_DAMAGE | LOG_FACT_LATER_SEGMENT, 0, LOG_VERDICT_CORRUPT, "damage-later-segment",
     "damage in a segment that was complete and synced before the next one began"},
    {5, LOG_FACT_DAMAGE | LOG_FACT_IDENTITY_BEYOND, 0, LOG_VERDICT_CORRUPT, "damage-identity",
     "damage in a group whose sync had returned, says an identity entry"},
    {6, LOG_FACT_IDENTITY_BEYOND, 0, LOG_VERDICT_CORRUPT, "short",
     "the log ends before what an identity entry says was synced"},
    {7, LOG_FACT_IDENTITY_DIFFERS, 0, LOG_VERDICT_CORRUPT, "identity-differs",
     "the log is another one than an identity entry says"},
    {8, LOG_FACT_HEAD_BAD, 0, LOG_VERDICT_CORRUPT, "segment-head", "the header of a segment in use is damaged"},
    {9, LOG_FACT_VOTE_BEHIND, 0, LOG_VERDICT_STOP, "vote-behind",
     "the vote files name a term below the log's: they are older than the log"},
    {10, LOG_FACT_GAP, 0, LOG_VERDICT_CORRUPT, "gap", "the log begins behind the end of every sound snapshot"},
    {11, LOG_FACT_ENDS_BELOW, 0, LOG_VERDICT_RESET, "ends-below",
     "a snapshot from the leader was installed and the log had not followed yet"},
    {12, LOG_FACT_OTHER_HISTORY, 0, LOG_VERDICT_RESET, "other-history",
     "a snapshot from the leader replaces a log with another history"},
    {13, LOG_FACT_DAMAGE, 0, LOG_VERDICT_CUT, "torn",
     "an unfinished write at the end was cut off; it was never acknowledged"},
    {14, LOG_FACT_SNAPSHOT_BAD, 0, LOG_VERDICT_HEAL, "snapshot-older",
     "the newest snapshot is damaged; an older one and the log hold everything"},
    {15, 0, 0, LOG_VERDICT_OK, "ok", ""},

    {30, LOG_FACT_DIRECTORY_BAD, 0, LOG_VERDICT_STOP, "directory-bad", "the directory record is damaged or missing"},
    {31, LOG_FACT_FOUNDING_BAD, 0, LOG_VERDICT_STOP, "founding-bad", "the founding record is damaged"},
    {32, LOG_FACT_VOTE_0 | LOG_FACT_VOTE_1 | LOG_FACT_VOTES_DIFFER, 0, LOG_VERDICT_HEAL, "vote-one-behind", ""},
    {33, LOG_FACT_VOTE_0 | LOG_FACT_VOTE_1, 0, LOG_VERDICT_OK, "votes-ok", ""},
    {34, LOG_FACT_VOTE_0, LOG_FACT_VOTE_1, LOG_VERDICT_HEAL, "vote-1-bad", "vote.1 was damaged; vote.0 holds the same"},
    {35, LOG_FACT_VOTE_1, LOG_FACT_VOTE_0, LOG_VERDICT_HEAL, "vote-0-bad", "vote.0 was damaged; vote.1 holds the same"},
    {36, 0, 0, LOG_VERDICT_STOP, "votes-bad",
     "both vote files are damaged: this node cannot know whether it has voted"},
};

#ifdef GAVEL_SEEDED_BUGS
/* "log-row-N": the table without its row N. */
static bool row_is_missing(uint32_t number)
{
    char name[32];

    (void)snprintf(name, sizeof name, "log-row-%u", number);
    return seeded_bug(name);
}
#else
#define row_is_missing(number) (false)
#endif

static const struct log_row *decide(uint32_t facts, bool votes)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct log_row *row = &rows[i];

        if ((row->number >= VOTES_FROM) != votes || row_is_missing(row->number))
            continue;
        if ((facts & row->need) == row->need && !(facts & row->without))
            return row;
    }
    assert(!"the last row of each table fits everything");
    return NULL;
}

const struct log_row *log_table_log(uint32_t facts)
{
    /* Each of these is a way to lose what was acknowledged; the recovery tests must see every one. */
    if (seeded_bug("log-later-frame-ignored"))
        facts &= ~LOG_FACT_LATER_FRAME;
    if (seeded_bug("log-later-segment-ignored"))
        facts &= ~LOG_FACT_LATER_SEGMENT;
    if (seeded_bug("log-corruption-cut"))
        facts &= ~(LOG_FACT_LATER_FRAME | LOG_FACT_LATER_SEGMENT | LOG_FACT_IDENTITY_BEYOND |
                   LOG_FACT_IDENTITY_DIFFERS);
    if (seeded_bug("log-identity-ignored"))
        facts &= ~(LOG_FACT_IDENTITY_BEYOND | LOG_FACT_IDENTITY_DIFFERS);
    if (seeded_bug("log-missing-segment-ignored"))
        facts &= ~(LOG_FACT_SEGMENT_MISSING | LOG_FACT_ORDER);
    if (seeded_bug("log-gap-ignored"))
        facts &= ~LOG_FACT_GAP;
    if (seeded_bug("log-vote-behind-ignored"))
        facts &= ~LOG_FACT_VOTE_BEHIND;
    if (seeded_bug("log-superseded-kept"))
        facts &= ~(LOG_FACT_ENDS_BELOW | LOG_FACT_OTHER_HISTORY);
    if (seeded_bug("log-torn-is-corrupt") && (facts & LOG_FACT_DAMAGE))
        facts |= LOG_FACT_LATER_FRAME;
    return decide(facts, false);
}

const struct log_row *log_table_votes(uint32_t facts)
{
    return decide(facts, true);
}

uint32_t log_table_rows(const struct log_row **result)
{
    *result = rows;
    return (uint32_t)(sizeof rows / sizeof *rows);
}
