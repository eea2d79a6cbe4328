/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_disk.c - what a log takes for durable, held against its disk: each batch when the log first says that it is,
 * and the name of the file that it lies in; and the newest snapshot, whole, and its name. The log's own word is not
 * enough: one that took a write for a sync would be found by a power cut only that comes at the right moment. Of most
 * batches the frame and the header are compared where nothing of the file is pending, which is nearly always; comparing
 * all of each cost 5 % of the simulator's speed.
 */
#include "oracle_memory.h"

#include <string.h>

#include "core/log/batch.h"
#include "core/log/scan.h"
#include "core/log/snapshot_file.h"
#include "core/log/state.h"
#include "core/node/internal.h"
#include "core/os/crc32c.h"
#include "disk.h"

#define WHOLE_EVERY 8 /* batches of which every byte is compared, by index */

static const struct log_segment *segment_of(const struct log *log, const struct log_slot *slot)
{
    const struct log_segment *segment;

    os_list_each(segment, &log->segments, const struct log_segment, link)
        if (segment->number == slot->segment)
            return segment;
    return NULL;
}

/* Unless somebody has damaged this file on purpose. */
static void not_on_disk(struct sim_oracle *oracle, const struct sim_node *sim_node, const struct log_slot *slot,
                        const char *what)
{
    const struct log_segment *segment = segment_of(sim_node->node->log, slot);

    if (segment && sim_disk_spoiled(sim_node->disk, segment->file)) {
        oracle->sim->totals.spoiled_batches++;
        return;
    }
    sim_fail(oracle->sim, "persist before send",
             "n%u takes its log for durable up to %llu, but %s: the batch at %llu of term %llu, at %u of segment %llu",
             sim_node->number + 1, (unsigned long long)log_durable(sim_node->node->log), what,
             (unsigned long long)slot->first, (unsigned long long)slot->term, slot->offset,
             (unsigned long long)slot->segment);
}

/* What is wrong with it; NULL: it is there. */
static const char *missing(struct oracle_node *memory, const struct sim_node *sim_node, const struct log_slot *slot)
{
    static uint8_t bytes[LOG_FRAME_HEAD + LOG_BATCH_MAX];
    const struct log *log = sim_node->node->log;
    const struct log_segment *segment = segment_of(log, slot);
    struct log_frame frame;
    struct log_batch_head head;
    struct gavel_error error;
    bool whole = slot->first % WHOLE_EVERY == 0;
    uint32_t size;

    if (!slot->segment || !segment)
        return "it was not even written";
    if (memory->segment != slot->segment && !sim_disk_named(sim_node->disk, segment->file))
        return "its file would be gone after a power cut";
    memory->segment = slot->segment;
    size = whole || sim_disk_pending(segment->file) ? slot->bytes : LOG_BATCH_HEAD;
    if (!sim_disk_medium(segment->file, slot->offset, LOG_FRAME_HEAD + size, bytes))
        return "it was not synced";
    if (!log_frame_decode(bytes, log->directory.incarnation, slot->segment, slot->offset, segment->size, &frame) ||
        frame.kind != LOG_FRAME_BATCH || frame.bytes != slot->bytes)
        return "its frame is another one";
    if (slot->batch)
        return memcmp(bytes + LOG_FRAME_HEAD, slot->batch->data, size) == 0 ? NULL : "its bytes are others";
    if ((size == slot->bytes ? log_batch_check(bytes + LOG_FRAME_HEAD, size, &head, &error)
                             : log_batch_head(bytes + LOG_FRAME_HEAD, size, &head, &error)) != GAVEL_OK ||
        head.first != slot->first || head.term != slot->term || head.chain != slot->chain)
        return "its bytes are no longer those";
    return NULL;
}

void oracle_on_disk(struct sim_oracle *oracle, struct oracle_node *memory, const struct sim_node *sim_node)
{
    struct log *log = sim_node->node->log;
    const struct log_slots *slots = &log->walk.slots;
    uint64_t durable = log_durable(log);
    uint64_t at;

    if (durable <= memory->on_disk)
        return;
    at = log_slots_find(slots, memory->on_disk + 1);
    if (at == slots->count) /* the snapshot lies between, or there is nothing behind it */
        at = slots->count && log_slot_at(slots, 0)->first > memory->on_disk ? 0 : slots->count;
    for (; at < slots->count; at++) {
        const struct log_slot *slot = log_slot_at(slots, at);
        const char *what;

        if (slot->first + slot->count - 1 > durable)
            break;
        what = missing(memory, sim_node, slot);
        if (what)
            not_on_disk(oracle, sim_node, slot, what);
    }
    memory->on_disk = durable;
}

/* ---- snapshots ----------------------------------------------------------------------------------------- */

static bool has_payload(const struct log_snapshot_info *wanted, const struct os_file *file, uint64_t at)
{
    static uint8_t block[LOG_SNAPSHOT_BLOCK];
    uint64_t left = wanted->bytes;

    for (uint64_t number = 0; left; number++) {
        uint32_t bytes = left < LOG_SNAPSHOT_DATA ? (uint32_t)left : LOG_SNAPSHOT_DATA;

        if (!sim_disk_medium(file, at, bytes + 8, block) || !log_snapshot_block_check(block, number, block + 8, bytes))
            return false;
        at += bytes + 8;
        left -= bytes;
    }
    return true;
}

const char *oracle_snapshot_missing(const struct log_snapshot_info *wanted, const struct sim_disk *disk,
                                    const struct os_file *file)
{
    static uint8_t meta[LOG_SNAPSHOT_META_MAX];
    uint8_t bytes[LOG_SNAPSHOT_HEAD];
    struct log_snapshot_info found;
    uint32_t meta_bytes, meta_crc;

    if (!file)
        return "there is no such file";
    if (!sim_disk_named(disk, file))
        return "its file would be gone after a power cut";
    if (sim_disk_pending(file))
        return "it was not synced";
    if (!sim_disk_medium(file, 0, LOG_SNAPSHOT_HEAD, bytes) ||
        !log_snapshot_head_decode(bytes, &found, &meta_bytes, &meta_crc) || found.index != wanted->index ||
        found.term != wanted->term || found.chain != wanted->chain)
        return "its header is another one";
    if (!sim_disk_medium(file, LOG_SNAPSHOT_HEAD, meta_bytes, meta) || crc32c(0, meta, meta_bytes) != meta_crc)
        return "its meta data is other data";
    if (!sim_disk_medium(file, log_snapshot_foot_at(meta_bytes, wanted->bytes), LOG_SNAPSHOT_FOOT, bytes) ||
        !log_snapshot_foot_decode(bytes, &found) || found.index != wanted->index || found.bytes != wanted->bytes ||
        found.digest != wanted->digest)
        return "its footer is another one";
    return has_payload(wanted, file, log_snapshot_blocks_at(meta_bytes)) ? NULL : "its payload is another one";
}

/* Whether the state that it holds may be relied on, from the moment on at which the log says that it is there. */
void oracle_snapshot_on_disk(struct sim_oracle *oracle, struct oracle_node *memory, const struct sim_node *sim_node)
{
    const struct log *log = sim_node->node->log;
    const struct log_snapshot_info *newest = log->snapshots;
    char path[OS_PATH_MAX], name[LOG_SNAPSHOT_NAME_BYTES + 8] = "snap/";
    struct os_file *file;
    const char *what;

    if (log->snapshot_count == 0 || newest->index == memory->snapshot)
        return;
    log_snapshot_name(name + 5, LOG_SNAPSHOT_NAME_BYTES, newest->index, newest->term);
    (void)log_path(path, log->dir, name, NULL);
    file = sim_disk_look(sim_node->disk, path);
    if (!file && sim_disk_dying(sim_node->disk))
        return;
    what = oracle_snapshot_missing(newest, sim_node->disk, file);
    if (what && file && sim_disk_spoiled(sim_node->disk, file))
        what = NULL; /* somebody has damaged it on purpose */
    sim_disk_looked(sim_node->disk, file);
    memory->snapshot = newest->index;
    if (what)
        sim_fail(oracle->sim, "persist before send", "n%u takes its snapshot of %llu for durable, but %s",
                 sim_node->number + 1, (unsigned long long)newest->index, what);
}
