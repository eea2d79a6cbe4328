/* SPDX-License-Identifier: Apache-2.0 */
/* reform.c - a new cluster out of what is left of an old one; see reform.h. What it prints is in reform_say.c. */
#include "core/node/reform_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/value.h"
#include "core/node/record.h"

/* ---- looking ------------------------------------------------------------------------------------------- */

static const char *fault(const struct reform_dir *dir)
{
    const struct log_scan *scan = &dir->scan;

    if (scan->unfinished)
        return "it is being made from a snapshot, and that was cut short";
    if (scan->vote_row->verdict == LOG_VERDICT_STOP)
        return scan->vote_row->says;
    if (scan->row->verdict == LOG_VERDICT_CORRUPT || scan->row->verdict == LOG_VERDICT_STOP)
        return scan->row->says;
    if (scan->recovering_state != LOG_FILE_ABSENT)
        return "it recovers: what was damaged was being fetched from the others";
    if (scan->fence)
        return "it is fenced: its state differed from that of the majority";
    if (scan->founding_state != LOG_FILE_GOOD || scan->directory.member_id == 0)
        return "it has joined no cluster yet";
    if (!dir->members)
        return "its list of members cannot be read";
    return NULL;
}

static void judge(struct reform_dir *dir)
{
    static const uint32_t reset = LOG_FACT_GAP | LOG_FACT_ENDS_BELOW | LOG_FACT_OTHER_HISTORY;
    const struct log_scan *scan = &dir->scan;
    struct gavel_slice bytes = members_seen_newest(&dir->seen, &dir->scan);

    dir->members = malloc(sizeof *dir->members);
    if (dir->members && (bytes.size == 0 || members_decode(bytes, dir->members, NULL) != GAVEL_OK)) {
        free(dir->members);
        dir->members = NULL;
    }
    dir->last = scan->walk.last.index;
    dir->last_term = scan->walk.last.term;
    if ((scan->facts & reset) || scan->snapshot.index > dir->last) {
        dir->last = scan->snapshot.index;
        dir->last_term = scan->snapshot.term;
    }
    dir->durable_to = scan->index_max > scan->recovering_floor ? scan->index_max : scan->recovering_floor;
    if (dir->durable_to < dir->last)
        dir->durable_to = dir->last;
    dir->why = fault(dir);
    dir->intact = !dir->why;
    dir->possible = dir->members && !scan->unfinished && scan->founding_state == LOG_FILE_GOOD &&
                    scan->directory.member_id && scan->vote_row->verdict != LOG_VERDICT_STOP &&
                    scan->row->verdict != LOG_VERDICT_STOP;
}

/* Under two names it would be set aside for itself, and a copy would count as a voter of its own. Both are recognised
 * by the number that was drawn when the directory was made. */
static int32_t check_twins(const struct reform *reform, const struct reform_dir *dir)
{
    for (const struct reform_dir *other = reform->dirs; other < dir; other++)
        if (other->record && dir->scan.directory_state == LOG_FILE_GOOD &&
            other->scan.directory.incarnation == dir->scan.directory.incarnation)
            return gavel_fail(reform->error, GAVEL_E_INVALID,
                              "%s and %s are the same directory, or one is a copy of the other: name one of them",
                              other->path, dir->path);
    return GAVEL_OK;
}

/* Nobody runs on it, and nobody starts on it until the end. A dry run makes no file: without one there is no lock. */
static int32_t take_lock(struct reform *reform, struct reform_dir *dir)
{
    char path[OS_PATH_MAX];
    int status;

    if (!reform->options->dry_run)
        status = log_lock_dir(reform->os, dir->path, &dir->lock, reform->error);
    else if ((status = log_path(path, dir->path, "lock", reform->error)) == 0 &&
             os_open(reform->os, path, OS_OPEN_READ | OS_OPEN_WRITE, &dir->lock) == 0 &&
             os_lock(reform->os, dir->lock) == -EWOULDBLOCK)
        status = GAVEL_E_BUSY;
    return status == GAVEL_E_BUSY
               ? gavel_fail(reform->error, status, "a node runs on %s: stop it first", dir->path)
               : status;
}

/* Nothing may be left behind in a directory that is none of ours: look before the lock. */
static int32_t look(struct reform *reform, struct reform_dir *dir)
{
    struct log_scan_options brief = {.brief = true};
    struct log_scan_options whole = {.seen = members_seen_frame, .ctx = &dir->seen};
    struct os_stat stat;
    int status = log_scan_run(&dir->scan, reform->os, dir->path, &brief, reform->error);

    if (status == 0 && !dir->scan.exists)
        status = gavel_fail(reform->error, GAVEL_E_CONFIG, "%s does not exist", dir->path);
    /* What root writes into it its node could not read, and no other user could write at all. */
    if (status == 0 && os_stat(reform->os, dir->path, &stat) == 0 && !stat.owned)
        status = gavel_fail(reform->error, GAVEL_E_DENIED,
                            "%s belongs to another user: run this as the user that its node runs as", dir->path);
    if (status == 0 && dir->scan.directory_state == LOG_FILE_ABSENT && dir->scan.foreign[0])
        status = gavel_fail(reform->error, GAVEL_E_CONFIG, "%s is not a data directory of gavel", dir->path);
    if (status == 0 && dir->scan.directory_state == LOG_FILE_NEWER)
        status = gavel_fail(reform->error, GAVEL_E_VERSION, "%s has data format %u; this program knows up to %u",
                            dir->path, dir->scan.directory.format, LOG_FORMAT_VERSION);
    if (status == 0)
        status = check_twins(reform, dir);
    if (status || dir->scan.empty)
        return status;
    log_scan_free(&dir->scan);
    status = take_lock(reform, dir);
    if (status == 0)
        status = log_scan_run(&dir->scan, reform->os, dir->path, &whole, reform->error);
    dir->record = status == 0 && dir->scan.directory_state == LOG_FILE_GOOD;
    if (dir->record)
        judge(dir);
    else
        dir->why = "its record is damaged or missing";
    return status;
}

/* ---- deciding ------------------------------------------------------------------------------------------ */

static bool further(const struct reform_dir *a, const struct reform_dir *b)
{
    return a->last_term > b->last_term || (a->last_term == b->last_term && a->last > b->last);
}

static bool same_cluster(const struct reform_dir *dir, const struct log_cluster_id *id)
{
    return memcmp(&dir->scan.directory.cluster_id, id, sizeof *id) == 0;
}

/* A plan that was cut short, or one that was carried out and nothing has happened since. */
static int32_t find_plan(struct reform *reform)
{
    for (uint32_t i = 0; i < reform->count && !reform->plan_memory; i++) {
        struct reform_dir *dir = &reform->dirs[i];
        bool cut_short = dir->scan.renewing;
        int status;

        if (dir->scan.empty)
            continue;
        status = log_renew_read(reform->os, dir->path, cut_short ? LOG_RENEWING : LOG_RENEWED, &reform->plan,
                                &reform->plan_memory, reform->error);
        if (status == GAVEL_E_NOT_FOUND)
            continue;
        if (status)
            return status;
        if (!cut_short && (!same_cluster(dir, &reform->plan.cluster_id) || dir->last != reform->plan.index)) {
            free(reform->plan_memory);
            reform->plan_memory = NULL;
            continue;
        }
        reform->resumes = cut_short;
        reform->finished = !cut_short;
        reform->source = dir;
        return members_decode(reform->plan.members, &reform->next, reform->error);
    }
    return GAVEL_OK;
}

static int32_t check_clusters(struct reform *reform)
{
    const struct reform_dir *first = reform->source;

    for (uint32_t i = 0; i < reform->count; i++) {
        const struct reform_dir *dir = &reform->dirs[i];

        if (!dir->record || dir == reform->source)
            continue;
        if (reform->plan_memory && same_cluster(dir, &reform->plan.old_cluster_id))
            continue;
        if (!first)
            first = dir;
        if (!same_cluster(dir, &first->scan.directory.cluster_id))
            return gavel_fail(reform->error, GAVEL_E_CONFIG,
                              "%s and %s belong to different clusters: name only what belongs together", first->path,
                              dir->path);
    }
    return GAVEL_OK;
}

/* The source that is named and the one that was begun with are the same: two would be two clusters. */
static int32_t check_resumed(struct reform *reform)
{
    const char *named = reform->options->source;

    if (!reform->source || !named || strcmp(named, reform->source->path) == 0)
        return GAVEL_OK;
    return gavel_fail(reform->error, GAVEL_E_CONFIG,
                      "an earlier run made %s the source%s, so %s cannot be it: name it, or leave out --source",
                      reform->source->path, reform->resumes ? " and was cut short" : "", named);
}

static int32_t choose(struct reform *reform)
{
    const char *named = reform->options->source;
    struct reform_dir *best = NULL;

    for (uint32_t i = 0; i < reform->count; i++) {
        struct reform_dir *dir = &reform->dirs[i];

        if (named ? strcmp(named, dir->path) == 0 : dir->intact && (!best || further(dir, best)))
            best = dir;
    }
    if (!best && named)
        return gavel_fail(reform->error, GAVEL_E_INVALID, "--source %s is none of the directories given", named);
    if (!best)
        return gavel_fail(reform->error, GAVEL_E_CORRUPT,
                          "no directory given is intact: gavel data check tells of each what is damaged; --source DIR "
                          "takes one nevertheless; see quorum-lost in gavel-runbook(7)");
    if (!best->possible)
        return gavel_fail(reform->error, GAVEL_E_CORRUPT, "%s cannot be the source: %s", best->path, best->why);
    reform->source = best;
    return GAVEL_OK;
}

/* How far another directory holds the same: equal chains at one index mean equal logs up to there. */
static void compare(const struct reform *reform, struct reform_dir *dir)
{
    const struct log_slots *mine = &dir->scan.walk.slots;
    const struct log_slots *source = &reform->source->scan.walk.slots;
    const struct log_snapshot_info *snapshots[2] = {&dir->scan.snapshot, &reform->source->scan.snapshot};

    for (uint64_t i = mine->count; i-- > 0;) {
        const struct log_slot *slot = log_slot_at(mine, i);
        uint64_t at = log_slots_find(source, slot->first);

        if (at < source->count && log_slot_at(source, at)->chain == slot->chain) {
            dir->comparable = true;
            dir->common = slot->first + slot->count - 1;
            return;
        }
    }
    for (int i = 0; i < 2; i++) { /* the snapshot of one in the log of the other */
        const struct log_slots *log = i ? mine : source;
        uint64_t at = snapshots[i]->index ? log_slots_find(log, snapshots[i]->index) : log->count;

        if (at < log->count && log_slot_at(log, at)->chain == snapshots[i]->chain) {
            dir->comparable = true;
            dir->common = snapshots[i]->index;
        }
    }
    if (!dir->comparable && dir->scan.snapshot.index == 0 && reform->source->scan.snapshot.index == 0)
        dir->comparable = true; /* both begin at 1, and share nothing */
}

static void count_voters(struct reform *reform)
{
    const struct members *old = reform->source->members;

    for (uint32_t i = 0; i < old->count; i++) {
        const struct member *member = &old->items[i];

        reform->joint |= member->outgoing || member->role == RAFT_LEAVING;
        if (member->role != RAFT_VOTER)
            continue;
        reform->voters++;
        for (uint32_t k = 0; k < reform->count; k++)
            if (reform->dirs[k].record && reform->dirs[k].scan.directory.member_id == member->id &&
                reform->dirs[k].scan.directory.incarnation == member->incarnation) {
                reform->voters_named++;
                reform->voters_here += reform->dirs[k].intact;
            }
    }
}

bool reform_old_majority(const struct reform *reform)
{
    uint32_t others = reform->voters - reform->voters_named;

    return reform->joint ? others > 0 : others > reform->voters / 2; /* half of a joint state may be enough */
}

bool reform_complete(const struct reform *reform)
{
    uint32_t majority = reform->voters / 2 + 1;

    /* A write is on a majority, so it can only be missed by as many as are left beside one. */
    return reform->source->intact &&
           (reform->joint ? reform->voters_here == reform->voters
                          : reform->voters_here + majority > reform->voters);
}

/* ---- the new members ----------------------------------------------------------------------------------- */

static bool set_addresses(struct member *member, const char *uris, size_t size)
{
    const char *end = uris + size;

    member->address_count = 0;
    while (uris < end) {
        const char *bar = memchr(uris, '|', (size_t)(end - uris));
        size_t length = (size_t)((bar ? bar : end) - uris);

        if (member->address_count == NODE_ADDRESSES_MAX || !members_address_valid(gavel_bytes(uris, length)) ||
            !members_copy_text(member->addresses[member->address_count++], NODE_URI_MAX, gavel_bytes(uris, length)))
            return false;
        uris += length + 1;
    }
    return member->address_count > 0;
}

/* What any directory knows of a name; the source's word counts most. */
static const struct member *known(const struct reform *reform, const char *name)
{
    const struct member *found = members_named(reform->source->members, name);

    for (uint32_t i = 0; i < reform->count && !found; i++)
        if (reform->dirs[i].members)
            found = members_named(reform->dirs[i].members, name);
    return found;
}

static int32_t add_member(struct reform *reform, struct gavel_slice name, struct gavel_slice uris)
{
    const struct log_directory_record *source = &reform->source->scan.directory;
    struct members *next = &reform->next;
    struct member *member = &next->items[next->count];
    const struct member *old;

    if (next->count == NODE_MEMBERS_MAX)
        return gavel_fail(reform->error, GAVEL_E_INVALID, "a cluster has at most %d members", NODE_MEMBERS_MAX);
    memset(member, 0, sizeof *member);
    if (!members_name_valid(name) || !members_copy_text(member->name, sizeof member->name, name))
        return gavel_fail(reform->error, GAVEL_E_INVALID, "'%.*s' is no name of a member", (int)name.size,
                          (const char *)name.data);
    if (members_named(next, member->name))
        return gavel_fail(reform->error, GAVEL_E_INVALID, "%s is named twice", member->name);
    old = known(reform, member->name);
    if (old) {
        member->priority = old->priority;
        member->address_count = old->address_count;
        memcpy(member->addresses, old->addresses, sizeof member->addresses);
    }
    if (uris.size && !set_addresses(member, uris.data, uris.size))
        return gavel_fail(reform->error, GAVEL_E_INVALID, "'%.*s' is no address of %s, such as ws://10.0.0.1:8080",
                          (int)uris.size, (const char *)uris.data, member->name);
    if (member->address_count == 0)
        return gavel_fail(reform->error, GAVEL_E_INVALID,
                          "no directory knows an address of %s: say --members %s=URI", member->name, member->name);
    member->id = next->next_id++;
    member->role = old && old->role == RAFT_LEARNER ? RAFT_LEARNER : RAFT_JOINING;
    if (strcmp(member->name, source->name) == 0) {
        member->role = RAFT_VOTER;
        member->incarnation = source->incarnation;
        if (member->priority == RAFT_PRIORITY_NEVER)
            member->priority = 0; /* nobody else can lead */
        reform->plan.member_id = member->id;
    }
    next->count++;
    return GAVEL_OK;
}

static int32_t add_listed(struct reform *reform, const char *list)
{
    int32_t status = GAVEL_OK;

    while (status == GAVEL_OK && *list) {
        size_t size = strcspn(list, ",");
        size_t name = strcspn(list, ",=");

        status = add_member(reform, gavel_bytes(list, name),
                            gavel_bytes(list + name + (name < size), size > name ? size - name - 1 : 0));
        list += size + (list[size] == ',');
        list += strspn(list, " ");
    }
    return status;
}

static int32_t compose(struct reform *reform)
{
    int32_t status = GAVEL_OK;

    reform->next.next_id = reform->source->members->next_id;
    if (reform->options->members)
        status = add_listed(reform, reform->options->members);
    for (uint32_t i = 0; i < reform->count && !reform->options->members && status == GAVEL_OK; i++)
        if (reform->dirs[i].record)
            status = add_member(reform, gavel_text(reform->dirs[i].scan.directory.name), gavel_bytes(NULL, 0));
    if (status == GAVEL_OK && reform->plan.member_id == 0)
        status = gavel_fail(reform->error, GAVEL_E_INVALID,
                            "%s, whose directory is the source, has to be among the members",
                            reform->source->scan.directory.name);
    return status;
}

/* ---- doing --------------------------------------------------------------------------------------------- */

static int32_t plan(struct reform *reform)
{
    const struct reform_dir *source = reform->source;
    struct log_renewal *renewal = &reform->plan;
    struct gavel_slice record = gavel_bytes(source->scan.founding + LOG_BLOB_HEAD, source->scan.founding_bytes);
    int32_t status;

    renewal->old_cluster_id = source->scan.directory.cluster_id;
    os_random(reform->os, renewal->cluster_id.bytes, sizeof renewal->cluster_id.bytes);
    renewal->wall_ms = os_wall_ms(reform->os);
    renewal->index = source->last + 1;
    renewal->term = (source->scan.vote.term > source->last_term ? source->scan.vote.term : source->last_term) + 1;
    reform->next.version = 0;
    status = record_rewrite(record, &renewal->cluster_id, &reform->next, &reform->founding, reform->error);
    reform->next.version = renewal->index;
    if (status == GAVEL_OK && members_encode(&reform->next, &reform->payload) != GAVEL_OK)
        status = gavel_fail(reform->error, GAVEL_E_NO_MEMORY, "no memory for the members");
    renewal->founding = gavel_buffer_slice(&reform->founding);
    renewal->members = gavel_buffer_slice(&reform->payload);
    return status;
}

static void name_aside(struct reform *reform)
{
    const uint8_t *id = reform->plan.cluster_id.bytes;

    (void)snprintf(reform->aside, sizeof reform->aside, LOG_ASIDE "%02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
}

/* Which others are emptied: those of the old cluster, and those where that was cut short. */
static void mark_aside(struct reform *reform)
{
    for (uint32_t i = 0; i < reform->count; i++) {
        struct reform_dir *dir = &reform->dirs[i];
        struct os_stat stat;
        char path[OS_PATH_MAX];

        if (dir == reform->source)
            continue;
        dir->aside = (dir->record && same_cluster(dir, &reform->plan.old_cluster_id)) ||
                     (reform->resumes && log_path(path, dir->path, reform->aside, NULL) == 0 &&
                      os_stat(reform->os, path, &stat) == 0) ||
                     (!dir->record && !dir->scan.empty);
    }
}

static int32_t carry_out(struct reform *reform)
{
    const char *source = reform->source->path;
    int32_t status = GAVEL_OK;

    if (!reform->plan_memory)
        status = log_renew_plan(reform->os, source, &reform->plan, reform->error);
    if (status == GAVEL_OK && !reform->finished)
        status = log_renew_finish(reform->os, source, !reform->source->intact, reform->error);
    for (uint32_t i = 0; i < reform->count && status == GAVEL_OK; i++) {
        struct reform_dir *dir = &reform->dirs[i];

        if (dir->aside && !dir->lock) /* it was empty, and is none of ours unless an earlier run has emptied it */
            status = take_lock(reform, dir);
        if (dir->aside && status == GAVEL_OK)
            status = log_set_aside(reform->os, dir->path, reform->aside, reform->error);
    }
    if (status == GAVEL_OK && !reform->finished)
        status = log_renew_close(reform->os, source, reform->error);
    return status;
}

static int32_t prepare(struct reform *reform)
{
    int32_t status = find_plan(reform);

    if (status == GAVEL_OK)
        status = check_resumed(reform);
    if (status == GAVEL_OK)
        status = check_clusters(reform);
    if (status == GAVEL_OK && !reform->source)
        status = choose(reform);
    if (status != GAVEL_OK)
        return status;
    for (uint32_t i = 0; i < reform->count; i++)
        if (reform->dirs[i].record && &reform->dirs[i] != reform->source)
            compare(reform, &reform->dirs[i]);
    if (!reform->plan_memory) {
        count_voters(reform);
        status = compose(reform);
        if (status == GAVEL_OK)
            status = plan(reform);
    }
    name_aside(reform);
    mark_aside(reform);
    return status;
}

static void release(struct reform *reform)
{
    for (uint32_t i = 0; i < reform->count; i++) {
        struct reform_dir *dir = &reform->dirs[i];

        members_seen_free(&dir->seen);
        free(dir->members);
        log_scan_free(&dir->scan);
        os_close(reform->os, dir->lock);
    }
    gavel_buffer_free(&reform->founding);
    gavel_buffer_free(&reform->payload);
    free(reform->plan_memory);
    free(reform);
}

int32_t reform(const struct os *os, const struct reform_options *options, FILE *out, struct gavel_error *error)
{
    struct reform *reform;
    int32_t status = GAVEL_OK;

    assert(options->dir_count <= REFORM_DIRS_MAX);
    reform = calloc(1, sizeof *reform);
    if (!reform)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    reform->os = os;
    reform->options = options;
    reform->error = error;
    reform->founding = codec_buffer(0);
    reform->payload = codec_buffer(0);
    for (uint32_t i = 0; i < options->dir_count && status == GAVEL_OK; i++) {
        for (uint32_t k = 0; k < i && status == GAVEL_OK; k++)
            if (strcmp(options->dirs[i], options->dirs[k]) == 0)
                status = gavel_fail(error, GAVEL_E_INVALID, "%s is named twice", options->dirs[i]);
        reform->dirs[i].path = options->dirs[i];
        reform->count = i + 1;
        if (status == GAVEL_OK)
            status = look(reform, &reform->dirs[i]);
    }
    if (status == GAVEL_OK)
        status = prepare(reform);
    if (status == GAVEL_OK && !options->dry_run)
        status = carry_out(reform);
    if (status == GAVEL_OK)
        reform_say(reform, !options->dry_run, out);
    release(reform);
    if (status == GAVEL_OK && ferror(out))
        status = gavel_fail(error, GAVEL_E_IO, "cannot write the report");
    return status;
}
