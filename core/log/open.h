/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.h - the parts of log_open: what recover.c does for open.c, and what repair shares with it.
 */
#ifndef CORE_LOG_OPEN_H
#define CORE_LOG_OPEN_H

#include "core/log/scan.h"
#include "core/log/state.h"

/* What to do about damage in what was durable. */
enum log_damage {
    LOG_DAMAGE_REFUSE,  /* nothing: GAVEL_E_CORRUPT */
    LOG_DAMAGE_RECOVER, /* mark the directory as recovering, set the damage aside */
    LOG_DAMAGE_CUT      /* an operator has said so: set it aside without a mark, and take away one that is there */
};

/* [before the loop] Do what the recovery table says to the files: heal votes, cut a torn tail, set damage aside as
 * `way` says. Changes `scan` to what is there afterwards. GAVEL_E_CORRUPT with a sentence: nothing was changed. */
int log_recover(struct log *log, struct log_scan *scan, enum log_damage way, struct log_recovery *recovery,
                struct gavel_error *error);

/* [off line] open.c: make durable what is there, scan, and set damage aside as LOG_DAMAGE_CUT. The caller holds the
 * lock. */
int log_repair_files(const struct os *os, const char *dir, struct gavel_error *error);

/* [before the loop] With the files open: write the frames that recovery asks for, sync, and prove it. */
int log_recover_finish(struct log *log, const struct log_scan *scan, struct gavel_error *error);

/* [before the loop] Fill the report: from the log when it is `good`, else from the scan. */
int log_recovery_fill(struct log_recovery *recovery, struct log_scan *scan, const struct log *log, bool good,
                      bool fresh, struct gavel_error *error);

#endif
