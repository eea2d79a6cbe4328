/* SPDX-License-Identifier: Apache-2.0 */
/* members_seen.c - see members_seen.h. */
#include "core/node/members_seen.h"

#include <stdlib.h>
#include <string.h>

#include "core/node/record.h"

/* A configuration entry that some frame held. */
struct members_entry {
    struct members_entry *next;
    uint64_t first;
    uint32_t chain;
    uint32_t size;
    uint8_t bytes[];
};

void members_seen_frame(void *ctx, uint64_t segment, const struct log_frame_seen *frame)
{
    struct members_seen *seen = ctx;
    struct log_batch_head head;
    struct log_entries entries;
    struct log_entry entry;
    struct members_entry *kept;

    (void)segment;
    if (frame->frame->kind != LOG_FRAME_BATCH ||
        log_batch_check(frame->payload, frame->frame->bytes, &head, NULL) != GAVEL_OK)
        return;
    log_entries_begin(&entries, frame->payload);
    if (!log_entries_next(&entries, &entry) || entry.kind != LOG_CONFIG)
        return;
    kept = malloc(sizeof *kept + entry.payload.size);
    if (!kept) {
        seen->forgot = true;
        return;
    }
    *kept = (struct members_entry){.next = seen->newest, .first = head.first, .chain = head.chain,
                                   .size = (uint32_t)entry.payload.size};
    memcpy(kept->bytes, entry.payload.data, entry.payload.size);
    seen->newest = kept;
}

/* Whether the log that the scan came to has this entry: another one may have taken its place. */
static bool is_part(const struct members_entry *entry, const struct log_scan *scan)
{
    const struct log_slots *slots = &scan->walk.slots;
    uint64_t at = log_slots_find(slots, entry->first);

    return at < slots->count && log_slot_at(slots, at)->chain == entry->chain;
}

static struct gavel_slice newest(const struct members_seen *seen, const struct log_scan *scan, bool any)
{
    struct gavel_slice founding = gavel_bytes(scan->founding + LOG_BLOB_HEAD, scan->founding_bytes);
    const struct members_entry *best = NULL;
    struct record record;

    for (const struct members_entry *entry = seen->newest; entry; entry = entry->next)
        if (entry->first > scan->snapshot.index && (any ? !best : is_part(entry, scan)) &&
            (!best || entry->first > best->first))
            best = entry;
    if (best)
        return gavel_bytes(best->bytes, best->size);
    if (scan->snapshot.index)
        return gavel_bytes(scan->snapshot_meta, scan->snapshot_meta_bytes);
    if (scan->founding_state == LOG_FILE_GOOD && record_read(founding, &record, NULL) == GAVEL_OK)
        return record.members;
    return gavel_bytes(NULL, 0);
}

struct gavel_slice members_seen_newest(const struct members_seen *seen, const struct log_scan *scan)
{
    return newest(seen, scan, false);
}

void members_seen_free(struct members_seen *seen)
{
    while (seen->newest) {
        struct members_entry *next = seen->newest->next;

        free(seen->newest);
        seen->newest = next;
    }
}

uint32_t members_seen_others(const struct os *os, const char *dir)
{
    struct members_seen seen = {0};
    struct log_scan_options options = {.seen = members_seen_frame, .ctx = &seen};
    struct members *members = malloc(sizeof *members);
    struct log_scan scan = {0};
    struct gavel_error error;
    uint32_t others = 0;

    if (members && log_scan_run(&scan, os, dir, &options, &error) == GAVEL_OK) {
        struct gavel_slice bytes = newest(&seen, &scan, true);

        if (bytes.size > 0 && members_decode(bytes, members, &error) == GAVEL_OK)
            for (uint32_t i = 0; i < members->count; i++)
                others += members->items[i].id != scan.directory.member_id &&
                          (members->items[i].role == RAFT_VOTER || members->items[i].outgoing);
    }
    log_scan_free(&scan);
    members_seen_free(&seen);
    free(members);
    return others;
}
