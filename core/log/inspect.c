/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.c - check and dump of a data directory, off line and without a change. Repair is in repair.c.
 */
#include "core/log/inspect.h"

#include <string.h>

#include "core/log/inspect_scan.h"
#include "core/log/print.h"


static const char *const state_names[] = {"absent", "good", "damaged", "newer"};
static const char *const verdict_names[] = {"sound", "sound", "torn", "superseded", "corrupt", "corrupt"};

const char *log_verdict_name(const struct log_scan *scan)
{
    if (scan->vote_row->verdict == LOG_VERDICT_STOP)
        return "corrupt";
    return verdict_names[scan->row->verdict];
}

bool log_scan_is_corrupt(const struct log_scan *scan)
{
    return scan->vote_row->verdict == LOG_VERDICT_STOP || scan->row->verdict == LOG_VERDICT_STOP ||
           scan->row->verdict == LOG_VERDICT_CORRUPT || scan->recovering_state == LOG_FILE_BAD;
}

int log_scan_for_inspection(struct log_scan *scan, const struct os *os, const char *dir,
                            const struct log_scan_options *options, struct gavel_error *error)
{
    int status = log_scan_run(scan, os, dir, options, error);

    if (status)
        return status;
    if (!scan->exists)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s does not exist", dir);
    if (scan->directory_state == LOG_FILE_ABSENT)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s is not a data directory of gavel", dir);
    if (scan->directory_state == LOG_FILE_NEWER)
        return gavel_fail(error, GAVEL_E_VERSION, "%s has data format %u; this program knows up to %u", dir,
                          scan->directory.format, LOG_FORMAT_VERSION);
    return 0;
}

/* ---- for people ---------------------------------------------------------------------------------------------- */

static void print_identity(const struct log_scan *scan, FILE *out)
{
    const struct log_directory_record *record = &scan->directory;

    (void)fprintf(out, "directory   %s", state_names[scan->directory_state]);
    if (scan->directory_state == LOG_FILE_GOOD) {
        (void)fprintf(out, ", format %u, node %s, member %llu, cluster ", record->format, record->name,
                      (unsigned long long)record->member_id);
        log_print_hex(out, record->cluster_id.bytes, sizeof record->cluster_id.bytes);
        (void)fprintf(out, ", incarnation %016llx", (unsigned long long)record->incarnation);
    }
    (void)fprintf(out, "\nvotes       vote.0 %s, vote.1 %s", state_names[scan->vote_state[0]],
                  state_names[scan->vote_state[1]]);
    if (scan->vote_row->verdict != LOG_VERDICT_STOP)
        (void)fprintf(out, "; term %llu, vote %llu", (unsigned long long)scan->vote.term,
                      (unsigned long long)scan->vote.vote);
    (void)fprintf(out, "\nfounding    %s\n", state_names[scan->founding_state]);
    if (scan->recovering_state != LOG_FILE_ABSENT)
        (void)fprintf(out, "recovering  %s, to index %llu\n", state_names[scan->recovering_state],
                      (unsigned long long)scan->recovering_floor);
}

static void print_log(const struct log_scan *scan, FILE *out)
{
    const struct log_walk *walk = &scan->walk;

    for (uint32_t i = 0; i < scan->snapshot_count; i++) {
        const struct log_scan_snapshot *at = &scan->snapshots[i];

        (void)fprintf(out, "snapshot    index %llu, term %llu: %s", (unsigned long long)at->index,
                      (unsigned long long)at->term, state_names[at->state]);
        if (at->state == LOG_FILE_GOOD)
            (void)fprintf(out, ", %llu bytes, digest %08x", (unsigned long long)at->info.bytes, at->info.digest);
        (void)fprintf(out, "%s%s\n", at->why[0] ? ": " : "", at->why);
    }
    (void)fprintf(out, "segments    %u\n", scan->segment_count);
    (void)fprintf(out, "log         index %llu to %llu, %llu batches, last term %llu, chain %08x\n",
                  (unsigned long long)walk->before.index + 1, (unsigned long long)walk->last.index,
                  (unsigned long long)walk->slots.count, (unsigned long long)walk->last.term, walk->last.chain);
    (void)fprintf(out, "synced      group %llu, index %llu\n", (unsigned long long)scan->identity.group,
                  (unsigned long long)scan->identity.last.index);
}

static void print_verdict(const struct log_scan *scan, FILE *out)
{
    const struct log_row *row = scan->vote_row->verdict == LOG_VERDICT_STOP ? scan->vote_row : scan->row;

    if (scan->damaged)
        (void)fprintf(out, "damage      log/%016llx.seg at offset %llu, behind index %llu\n",
                      (unsigned long long)scan->damage_segment, (unsigned long long)scan->damage_at,
                      (unsigned long long)scan->walk.last.index);
    if (scan->vote_row->says[0] && row != scan->vote_row)
        (void)fprintf(out, "notice      %s\n", scan->vote_row->says);
    (void)fprintf(out, "result      %s%s%s (row %u, %s)\n", log_verdict_name(scan), row->says[0] ? ": " : "", row->says,
                  row->number, row->name);
    if (row->verdict == LOG_VERDICT_CUT)
        (void)fprintf(out, "            the next start cuts it off; the tail of a running node looks like this too\n");
}

/* ---- for programs -------------------------------------------------------------------------------------------- */

static void json_identity(const struct log_scan *scan, struct log_json *json)
{
    const struct log_directory_record *record = &scan->directory;
    char incarnation[17];

    log_json_open(json, "directory", '{');
    log_json_string(json, "state", state_names[scan->directory_state]);
    if (scan->directory_state == LOG_FILE_GOOD) {
        log_json_number(json, "format", record->format);
        log_json_string(json, "name", record->name);
        log_json_hex(json, "cluster_id", record->cluster_id.bytes, sizeof record->cluster_id.bytes);
        log_json_number(json, "member_id", record->member_id);
        (void)snprintf(incarnation, sizeof incarnation, "%016llx", (unsigned long long)record->incarnation);
        log_json_string(json, "incarnation", incarnation);
    }
    log_json_close(json, '}');
    log_json_open(json, "votes", '[');
    for (int i = 0; i < 2; i++) {
        log_json_open(json, NULL, '{');
        log_json_string(json, "state", state_names[scan->vote_state[i]]);
        log_json_number(json, "sequence", scan->votes[i].sequence);
        log_json_number(json, "term", scan->votes[i].term);
        log_json_number(json, "vote", scan->votes[i].vote);
        log_json_close(json, '}');
    }
    log_json_close(json, ']');
    log_json_string(json, "founding", state_names[scan->founding_state]);
    log_json_string(json, "recovering", state_names[scan->recovering_state]);
    log_json_number(json, "recovering_floor", scan->recovering_floor);
}

static void json_log(const struct log_scan *scan, struct log_json *json)
{
    log_json_open(json, "snapshots", '[');
    for (uint32_t i = 0; i < scan->snapshot_count; i++) {
        const struct log_scan_snapshot *at = &scan->snapshots[i];

        log_json_open(json, NULL, '{');
        log_json_number(json, "index", at->index);
        log_json_number(json, "term", at->term);
        log_json_string(json, "state", state_names[at->state]);
        log_json_number(json, "bytes", at->info.bytes);
        log_json_number(json, "digest", at->info.digest);
        log_json_string(json, "why", at->why);
        log_json_close(json, '}');
    }
    log_json_close(json, ']');
    log_json_open(json, "log", '{');
    log_json_number(json, "segments", scan->segment_count);
    log_json_number(json, "first", scan->walk.before.index + 1);
    log_json_number(json, "last", scan->walk.last.index);
    log_json_number(json, "last_term", scan->walk.last.term);
    log_json_number(json, "chain", scan->walk.last.chain);
    log_json_number(json, "batches", scan->walk.slots.count);
    log_json_number(json, "synced_group", scan->identity.group);
    log_json_number(json, "synced_index", scan->identity.last.index);
    log_json_close(json, '}');
}

static void json_verdict(const struct log_scan *scan, struct log_json *json)
{
    const struct log_row *row = scan->vote_row->verdict == LOG_VERDICT_STOP ? scan->vote_row : scan->row;

    if (scan->damaged) {
        log_json_open(json, "damage", '{');
        log_json_number(json, "segment", scan->damage_segment);
        log_json_number(json, "offset", scan->damage_at);
        log_json_number(json, "behind_index", scan->walk.last.index);
        log_json_close(json, '}');
    }
    log_json_string(json, "result", log_verdict_name(scan));
    log_json_number(json, "row", row->number);
    log_json_string(json, "name", row->name);
    log_json_string(json, "says", row->says);
}

/* ---- check --------------------------------------------------------------------------------------------------- */

int log_inspect_check(const struct os *os, const char *dir, bool json, FILE *out, struct gavel_error *error)
{
    struct log_scan_options options = {.all_snapshots = true};
    struct log_json to = {.out = out};
    struct log_scan scan;
    bool corrupt;
    int status = log_scan_for_inspection(&scan, os, dir, &options, error);

    if (status) {
        log_scan_free(&scan);
        return status;
    }
    corrupt = log_scan_is_corrupt(&scan);
    for (uint32_t i = 0; i < scan.snapshot_count; i++)
        corrupt = corrupt || scan.snapshots[i].state == LOG_FILE_BAD;
    if (json) {
        log_json_open(&to, NULL, '{');
        json_identity(&scan, &to);
        json_log(&scan, &to);
        json_verdict(&scan, &to);
        log_json_close(&to, '}');
        (void)fputc('\n', out);
    } else {
        print_identity(&scan, out);
        print_log(&scan, out);
        print_verdict(&scan, out);
    }
    log_scan_free(&scan);
    if (ferror(out))
        return gavel_fail(error, GAVEL_E_IO, "cannot write the report");
    return corrupt ? gavel_fail(error, GAVEL_E_CORRUPT, "%s is damaged", dir) : 0;
}

/* ---- dump ---------------------------------------------------------------------------------------------------- */

struct dump {
    const struct log_dump_options *options;
    FILE *out;
    struct log_json json;
    uint64_t printed;
};

static const char *entry_kind(uint16_t kind)
{
    static const char *const names[LOG_KINDS] = {"noop", "config", "command", "host"};

    return kind < LOG_KINDS ? names[kind] : "unknown";
}

static void dump_entry(struct dump *dump, const struct log_entry *entry)
{
    FILE *out = dump->out;

    if (dump->options->json) {
        struct log_json *json = &dump->json;

        log_json_open(json, NULL, '{');
        log_json_number(json, "index", entry->index);
        log_json_string(json, "kind", entry_kind(entry->kind));
        log_json_number(json, "machine", entry->machine);
        log_json_number(json, "session", entry->session);
        log_json_number(json, "sequence", entry->sequence);
        log_json_number(json, "acked", entry->acked);
        log_json_text(json, "principal", entry->principal.data, entry->principal.size);
        log_json_number(json, "bytes", entry->payload.size);
        if (dump->options->payload)
            log_json_hex(json, "payload", entry->payload.data, entry->payload.size);
        log_json_close(json, '}');
        return;
    }
    (void)fprintf(out, "  %llu %s machine %u session %llu sequence %llu acked %llu, %llu bytes",
                  (unsigned long long)entry->index, entry_kind(entry->kind), entry->machine,
                  (unsigned long long)entry->session, (unsigned long long)entry->sequence,
                  (unsigned long long)entry->acked, (unsigned long long)entry->payload.size);
    if (dump->options->payload) {
        (void)fputc(' ', out);
        log_print_hex(out, entry->payload.data, entry->payload.size);
    }
    (void)fputc('\n', out);
}

static bool wanted(const struct dump *dump, uint64_t index)
{
    return index >= dump->options->from && (dump->options->count == 0 || dump->printed < dump->options->count);
}

static void dump_batch(struct dump *dump, uint64_t segment, const struct log_frame_seen *seen)
{
    struct log_batch_head head;
    struct log_entries entries;
    struct log_entry entry;

    if (log_batch_head(seen->payload, seen->frame->bytes, &head, NULL) || !wanted(dump, head.first + head.count - 1))
        return;
    if (dump->options->json) {
        log_json_open(&dump->json, NULL, '{');
        log_json_string(&dump->json, "frame", "batch");
        log_json_number(&dump->json, "first", head.first);
        log_json_number(&dump->json, "count", head.count);
        log_json_number(&dump->json, "term", head.term);
        log_json_number(&dump->json, "bytes", head.bytes);
        log_json_number(&dump->json, "wall", head.wall);
        log_json_number(&dump->json, "tick", head.tick);
        log_json_number(&dump->json, "chain", head.chain);
        log_json_number(&dump->json, "group", seen->frame->group);
        log_json_number(&dump->json, "segment", segment);
        log_json_number(&dump->json, "offset", seen->offset);
        log_json_open(&dump->json, "entries", '[');
    } else {
        (void)fprintf(dump->out, "batch %llu..%llu term %llu, %u bytes, wall %llu, tick %llu, chain %08x, group %llu, "
                      "segment %llu at %llu\n",
                      (unsigned long long)head.first, (unsigned long long)(head.first + head.count - 1),
                      (unsigned long long)head.term, head.bytes, (unsigned long long)head.wall,
                      (unsigned long long)head.tick, head.chain, (unsigned long long)seen->frame->group,
                      (unsigned long long)segment, (unsigned long long)seen->offset);
    }
    log_entries_begin(&entries, seen->payload);
    while (log_entries_next(&entries, &entry)) {
        if (!wanted(dump, entry.index))
            continue;
        dump_entry(dump, &entry);
        dump->printed++;
    }
    if (dump->options->json) {
        log_json_close(&dump->json, ']');
        log_json_close(&dump->json, '}');
    }
}

static void dump_point(struct dump *dump, const char *name, const struct log_frame_seen *seen)
{
    struct log_point point;

    if (seen->frame->kind == LOG_FRAME_START || !log_point_decode(seen->payload, &point))
        return;
    if (dump->options->json) {
        log_json_open(&dump->json, NULL, '{');
        log_json_string(&dump->json, "frame", name);
        log_json_number(&dump->json, "index", point.index);
        log_json_number(&dump->json, "term", point.term);
        log_json_number(&dump->json, "group", seen->frame->group);
        log_json_close(&dump->json, '}');
        return;
    }
    (void)fprintf(dump->out, "%s to index %llu term %llu, group %llu\n", name, (unsigned long long)point.index,
                  (unsigned long long)point.term, (unsigned long long)seen->frame->group);
}

static void dump_frame(void *ctx, uint64_t segment, const struct log_frame_seen *seen)
{
    struct dump *dump = ctx;

    if (seen->frame->kind == LOG_FRAME_BATCH)
        dump_batch(dump, segment, seen);
    else
        dump_point(dump, seen->frame->kind == LOG_FRAME_TRUNCATE ? "truncate" : "reset", seen);
}

int log_inspect_dump(const struct os *os, const char *dir, const struct log_dump_options *options, FILE *out,
                     struct gavel_error *error)
{
    struct dump dump = {.options = options, .out = out, .json = {.out = out}};
    struct log_scan_options scan_options = {.all_snapshots = true, .seen = dump_frame, .ctx = &dump};
    struct log_scan scan;
    int status;

    if (options->json) {
        log_json_open(&dump.json, NULL, '{');
        log_json_open(&dump.json, "frames", '[');
    }
    status = log_scan_for_inspection(&scan, os, dir, &scan_options, error);
    if (options->json)
        log_json_close(&dump.json, ']');
    if (status == 0 && options->json) {
        json_identity(&scan, &dump.json);
        json_log(&scan, &dump.json);
        json_verdict(&scan, &dump.json);
    } else if (status == 0) {
        print_identity(&scan, out);
        print_log(&scan, out);
        print_verdict(&scan, out);
    }
    if (options->json) {
        log_json_close(&dump.json, '}');
        (void)fputc('\n', out);
    }
    log_scan_free(&scan);
    if (status == 0 && ferror(out))
        return gavel_fail(error, GAVEL_E_IO, "cannot write the dump");
    return status;
}
