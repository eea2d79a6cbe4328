/* SPDX-License-Identifier: Apache-2.0 */
/* reform_say.c - what gavel recover finds, keeps and loses, for people and as JSON. */
#include "core/node/reform_internal.h"

#include <inttypes.h>
#include <string.h>

#include "core/log/print.h"

static const char *state_of(const struct reform_dir *dir)
{
    if (!dir->record)
        return dir->scan.empty ? "empty" : "unreadable";
    if (dir->scan.recovering_state != LOG_FILE_ABSENT)
        return "recovering";
    if (dir->scan.fence && dir->possible)
        return "fenced";
    return dir->intact ? "intact" : dir->possible ? "damaged" : "unusable";
}

/* Of what a directory was known to have durably, the entries that the source has not. */
static uint64_t lost(const struct reform *reform, const struct reform_dir *dir)
{
    uint64_t held = dir->durable_to;

    if (dir == reform->source)
        return held - dir->last;
    return dir->record && dir->comparable && held > dir->common ? held - dir->common : 0;
}

static const char *role_of(const struct member *member)
{
    return member->role == RAFT_VOTER ? "voter" : member->role == RAFT_LEARNER ? "learner" : "voter";
}

/* ---- for people ---------------------------------------------------------------------------------------------- */

static void say_dir(const struct reform *reform, const struct reform_dir *dir, FILE *out)
{
    const char *name = dir->record ? dir->scan.directory.name : "?";
    uint64_t gone = lost(reform, dir);

    (void)fprintf(out, "%-11s %s: %s", name, dir->path, state_of(dir));
    if (dir->record)
        (void)fprintf(out, ", last term %" PRIu64 ", last index %" PRIu64, dir->last_term, dir->last);
    (void)fprintf(out, "%s%s\n", dir->why && !dir->scan.empty ? ": " : "",
                  dir->why && !dir->scan.empty ? dir->why : "");
    if (dir == reform->source) {
        (void)fprintf(out, "            the source: index 1 to %" PRIu64 " is kept\n", dir->last);
        if (gone)
            (void)fprintf(out, "            lost with its damage: %" PRIu64 " entries, index %" PRIu64 " to %" PRIu64
                               "; any of them may have been acknowledged\n",
                          gone, dir->last + 1, dir->durable_to);
    } else if (dir->record && !dir->comparable) {
        (void)fprintf(out, "            it and the source have no index in common to compare at\n");
    } else if (gone) {
        (void)fprintf(out, "            lost: %" PRIu64 " entries, index %" PRIu64 " to %" PRIu64
                           ", which the source does not hold\n", gone, dir->common + 1, dir->durable_to);
    } else if (dir->record) {
        (void)fprintf(out, "            nothing in it that the source does not hold\n");
    }
}

static void say_loss(const struct reform *reform, FILE *out)
{
    (void)fprintf(out, "\nvoters      %" PRIu32 " of %" PRIu32 " of the old cluster are here and intact: ",
                  reform->voters_here, reform->voters);
    if (reform_complete(reform))
        (void)fprintf(out, "every write that was acknowledged is kept\n");
    else
        (void)fprintf(out, "writes that only the others held are lost,\n            acknowledged ones too\n");
    if (!reform->finished && reform_old_majority(reform))
        (void)fprintf(out,
                      "warning     %" PRIu32
                      " of them were not named with --data-dir, and may be enough to go on alone:\n"
                      "            if they run, or are started again, the old cluster serves beside the new one, and\n"
                      "            what is written there is not here. See that they are stopped for good, and move\n"
                      "            their directories away, before clients are let to the new one. Nodes of the two\n"
                      "            refuse each other, so they cannot disturb it; see quorum-lost in gavel-runbook(7)\n",
                      reform->voters - reform->voters_named);
}

static void say_members(const struct reform *reform, FILE *out)
{
    for (uint32_t i = 0; i < reform->next.count; i++) {
        const struct member *member = &reform->next.items[i];

        (void)fprintf(out, "%-11s %s %s, id %" PRIu64, i ? "" : "members", member->name, role_of(member), member->id);
        for (uint32_t a = 0; a < member->address_count; a++)
            (void)fprintf(out, "%s%s", a ? "|" : ", ", member->addresses[a]);
        (void)fprintf(out, "%s\n", member->incarnation ? "" : ", joins with an empty directory");
    }
}

static void say_end(const struct reform *reform, bool done, FILE *out)
{
    (void)fprintf(out, "cluster     ");
    for (size_t i = 0; i < sizeof reform->plan.cluster_id.bytes && done; i++)
        (void)fprintf(out, "%02x", reform->plan.cluster_id.bytes[i]);
    (void)fprintf(out, "%s; nodes of the old one are refused\n", done ? " (new)" : "a new id");
    for (uint32_t i = 0; i < reform->count; i++)
        if (reform->dirs[i].aside)
            (void)fprintf(out, "set aside   %s: its contents %s %s/%s\n", reform->dirs[i].path,
                          done ? "are in" : "go into", reform->dirs[i].path, done ? reform->aside : LOG_ASIDE "...");
    if (done)
        (void)fprintf(out, "next        start %s, then the others\n", reform->source->scan.directory.name);
    else
        (void)fprintf(out, "            nothing was changed\n");
}

static void say_text(const struct reform *reform, bool done, FILE *out)
{
    if (reform->finished)
        (void)fprintf(out, "%s: it is the first member of a new cluster already\n", reform->source->path);
    else if (reform->resumes)
        (void)fprintf(out, "%s: an earlier run was cut short; this one goes on with its plan\n", reform->source->path);
    for (uint32_t i = 0; i < reform->count; i++)
        say_dir(reform, &reform->dirs[i], out);
    if (!reform->plan_memory)
        say_loss(reform, out);
    say_members(reform, out);
    say_end(reform, done, out);
}

/* ---- for programs -------------------------------------------------------------------------------------------- */

static void json_dir(const struct reform *reform, const struct reform_dir *dir, struct log_json *json)
{
    log_json_open(json, NULL, '{');
    log_json_string(json, "path", dir->path);
    log_json_string(json, "name", dir->record ? dir->scan.directory.name : "");
    log_json_string(json, "state", state_of(dir));
    log_json_string(json, "why", dir->why ? dir->why : "");
    log_json_bool(json, "source", dir == reform->source);
    log_json_number(json, "last_term", dir->last_term);
    log_json_number(json, "last_index", dir->last);
    log_json_number(json, "durable_index", dir->durable_to);
    log_json_bool(json, "comparable", dir == reform->source || dir->comparable);
    log_json_number(json, "common_index", dir == reform->source ? dir->last : dir->common);
    log_json_number(json, "lost", lost(reform, dir));
    log_json_bool(json, "set_aside", dir->aside);
    log_json_close(json, '}');
}

static void json_members(const struct reform *reform, struct log_json *json)
{
    log_json_open(json, "members", '[');
    for (uint32_t i = 0; i < reform->next.count; i++) {
        const struct member *member = &reform->next.items[i];

        log_json_open(json, NULL, '{');
        log_json_string(json, "name", member->name);
        log_json_number(json, "id", member->id);
        log_json_string(json, "role", role_of(member));
        log_json_bool(json, "joins", !member->incarnation);
        log_json_open(json, "addresses", '[');
        for (uint32_t a = 0; a < member->address_count; a++)
            log_json_string(json, NULL, member->addresses[a]);
        log_json_close(json, ']');
        log_json_close(json, '}');
    }
    log_json_close(json, ']');
}

static void say_json(const struct reform *reform, bool done, FILE *out)
{
    struct log_json json = {.out = out};

    log_json_open(&json, NULL, '{');
    log_json_bool(&json, "done", done);
    log_json_bool(&json, "resumed", reform->resumes);
    log_json_bool(&json, "was_done", reform->finished);
    log_json_string(&json, "source", reform->source->path);
    log_json_open(&json, "directories", '[');
    for (uint32_t i = 0; i < reform->count; i++)
        json_dir(reform, &reform->dirs[i], &json);
    log_json_close(&json, ']');
    if (!reform->plan_memory) {
        log_json_number(&json, "voters", reform->voters);
        log_json_number(&json, "voters_here", reform->voters_here);
        log_json_number(&json, "voters_named", reform->voters_named);
        log_json_bool(&json, "old_majority", reform_old_majority(reform));
        log_json_bool(&json, "complete", reform_complete(reform));
    }
    json_members(reform, &json);
    log_json_hex(&json, "old_cluster_id", reform->plan.old_cluster_id.bytes, sizeof reform->plan.old_cluster_id.bytes);
    if (done)
        log_json_hex(&json, "cluster_id", reform->plan.cluster_id.bytes, sizeof reform->plan.cluster_id.bytes);
    log_json_string(&json, "aside", done ? reform->aside : "");
    log_json_close(&json, '}');
    (void)fputc('\n', out);
}

void reform_say(const struct reform *reform, bool done, FILE *out)
{
    if (reform->options->json)
        say_json(reform, done, out);
    else
        say_text(reform, done, out);
}
