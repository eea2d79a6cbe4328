/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repair.c - the explicit repair of a lone node's damaged log: first it says what would be lost, then, when told to, it
 * sets the damage aside. Nothing is deleted: what is set aside stays as *.damaged files.
 */
#include "core/log/inspect.h"

#include <string.h>

#include "core/log/inspect_scan.h"
#include "core/log/open.h"
#include "core/log/print.h"

struct loss {
    uint64_t keeps;   /* the last index that stays */
    uint64_t reached; /* the highest index that is known to have been in the log */
    bool snapshot_only; /* the log does not fit to the snapshot: only that stays */
};

static struct loss find_loss(const struct log_scan *scan)
{
    struct loss loss = {.keeps = scan->walk.last.index, .reached = scan->index_max};

    if (scan->facts & (LOG_FACT_GAP | LOG_FACT_ENDS_BELOW | LOG_FACT_OTHER_HISTORY)) {
        loss.keeps = scan->snapshot.index;
        loss.snapshot_only = true;
    }
    if (scan->recovering_floor > loss.reached)
        loss.reached = scan->recovering_floor;
    if (loss.reached < loss.keeps)
        loss.reached = loss.keeps;
    return loss;
}

static void say(const struct log_scan *scan, const struct loss *loss, bool apply, FILE *out)
{
    unsigned long long keeps = loss->keeps;
    unsigned long long reached = loss->reached;

    (void)fprintf(out, "found       %s\n",
                  scan->row->says[0] ? scan->row->says : "marked as recovering: what was damaged was being fetched");
    (void)fprintf(out, "keeps       everything up to index %llu%s\n", keeps,
                  loss->snapshot_only ? " (the snapshot alone)" : "");
    if (reached > keeps)
        (void)fprintf(out, "%s       %llu entries, index %llu to %llu: any of them may have been acknowledged\n",
                      apply ? "lost " : "loses", reached - keeps, keeps + 1, reached);
    else
        (void)fprintf(out, "%s       no entry that is known of; entries behind index %llu cannot be excluded\n",
                      apply ? "lost " : "loses", keeps);
    if (!apply)
        (void)fprintf(out, "            nothing was changed; in a cluster do not do this: start the node, and it "
                           "fetches the rest from the others\n");
}

static void say_json(const struct log_scan *scan, const struct loss *loss, bool apply, FILE *out)
{
    struct log_json json = {.out = out};

    log_json_open(&json, NULL, '{');
    log_json_string(&json, "found", scan->row->name);
    log_json_string(&json, "says", scan->row->says);
    log_json_bool(&json, "recovering", scan->recovering_state != LOG_FILE_ABSENT);
    log_json_number(&json, "keeps_to", loss->keeps);
    log_json_number(&json, "loses_to", loss->reached);
    log_json_number(&json, "loses", loss->reached - loss->keeps);
    log_json_bool(&json, "snapshot_only", loss->snapshot_only);
    log_json_bool(&json, "applied", apply);
    log_json_close(&json, '}');
    (void)fputc('\n', out);
}

/* Nobody may run on it, not even while we only look: what is said must still be true when it is done. So the lock is
 * kept, also after a failure: *lock is to be closed. With `apply` what the disk holds is found, as at a start. */
static int look(const struct os *os, const char *dir, bool apply, struct os_file **lock, struct log_scan *scan,
                struct loss *loss, struct gavel_error *error)
{
    int status = log_scan_for_inspection(scan, os, dir, &(struct log_scan_options){.brief = true}, error);

    if (status)
        return status;
    log_scan_free(scan);
    status = log_lock_dir(os, dir, lock, error);
    if (status)
        return status;
    status = log_scan_for_inspection(scan, os, dir, &(struct log_scan_options){.refresh = apply}, error);
    if (status)
        return status;
    if (scan->vote_row->verdict == LOG_VERDICT_STOP || scan->row->verdict == LOG_VERDICT_STOP)
        return gavel_fail(error, GAVEL_E_CORRUPT, "%s: %s; this cannot be repaired: give the node a new directory", dir,
                          scan->vote_row->verdict == LOG_VERDICT_STOP ? scan->vote_row->says : scan->row->says);
    if (scan->row->verdict != LOG_VERDICT_CORRUPT && scan->recovering_state == LOG_FILE_ABSENT)
        return gavel_fail(error, GAVEL_E_STATE, "%s: nothing is damaged that a start would not mend by itself", dir);
    *loss = find_loss(scan);
    return 0;
}

int log_inspect_repair(const struct os *os, const char *dir, bool apply, bool json, FILE *out,
                       struct gavel_error *error)
{
    struct log_scan scan = {0};
    struct loss loss = {0};
    struct os_file *lock = NULL;
    int status = look(os, dir, apply, &lock, &scan, &loss, error);

    if (status == 0 && apply)
        status = log_repair_files(os, dir, error);
    if (status == 0 && json)
        say_json(&scan, &loss, apply, out);
    else if (status == 0)
        say(&scan, &loss, apply, out);
    log_scan_free(&scan);
    os_close(os, lock);
    if (status == 0 && ferror(out))
        return gavel_fail(error, GAVEL_E_IO, "cannot write the report");
    return status;
}
