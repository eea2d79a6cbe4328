/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_room.c - what lies on a disk is bounded too: snapshots by how many are kept, the log behind the newest one by
 * its trailing window, and no file is there that the log does not know of. By the options of the world, not by what the
 * log made of them.
 */
#include "oracle_memory.h"

#include <string.h>

#include "core/log/snapshot_list.h"
#include "core/log/state.h"
#include "core/node/internal.h"
#include "core/raft/internal.h"
#include "disk.h"

#define ROOM_EVERY 128 /* looks: the names of two directories are read */

/* ---- files, by their present names --------------------------------------------------------------------- */

struct names {
    const char *end;
    uint64_t count;
};

static int count_name(void *ctx, const char *name)
{
    struct names *names = ctx;
    size_t length = strlen(name), end = strlen(names->end);

    names->count += length > end && strcmp(name + length - end, names->end) == 0;
    return 0;
}

/* 0 where nobody can tell, as of a disk that is dying. */
static uint64_t files(const struct sim_node *sim_node, const char *directory, const char *end)
{
    const struct log *log = sim_node->node->log;
    struct names names = {.end = end};
    char path[OS_PATH_MAX];

    if (log_path(path, log->dir, directory, NULL) || !sim_disk_list(sim_node->disk, path, count_name, &names))
        return 0;
    return names.count;
}

static uint64_t length_of(const struct os_list *list)
{
    uint64_t length = 0;

    for (const struct os_list *at = list->next; at != list; at = at->next)
        length++;
    return length;
}

/* ---- bounds -------------------------------------------------------------------------------------------- */

/* One more while another was published at the same time; and what was too many when this life began goes with the next
 * ones. One that could not be taken away stays until a start finds it. */
static void snapshots(struct sim_oracle *oracle, struct oracle_node *memory, const struct sim_node *sim_node)
{
    const struct log *log = sim_node->node->log;
    uint64_t keep = oracle->sim->options.snapshot_keep;

    oracle_bound(oracle, memory, "snapshots", log->snapshot_count, keep + 1 + memory->surplus);
    if (!sim_disk_refused(sim_node->disk))
        oracle_bound(oracle, memory, "files of snapshots", files(sim_node, "snap", ".snap"), log->snapshot_count + 1);
}

/* What lies wholly below where the log was compacted last, but for the oldest segment: it reaches into the window. */
static uint64_t bytes_below(const struct log *log, uint64_t compactable)
{
    const struct log_segment *segment;
    uint64_t bytes = 0;

    os_list_each(segment, &log->segments, const struct log_segment, link) {
        if (segment == log->current || segment->last_index > compactable)
            break;
        if (segment->link.prev != &log->segments)
            bytes += segment->used - LOG_SEGMENT_HEAD;
    }
    return bytes;
}

/* One that nobody reads any more, though nothing keeps the log from dropping it. One whose first try found no room
 * waits for the next try. */
static bool is_forgotten(const struct node *node)
{
    const struct log *log = node->log;
    const struct log_segment *oldest = os_container(log->dying.next, struct log_segment, link);

    return log->state == LOG_RUNNING && node->phase == NODE_RUNNING && !log->keeper.busy &&
           !os_list_empty(&log->dying) && oldest->readers == 0 && !(oldest->hindered && log->retry_at);
}

static void segments(struct sim_oracle *oracle, struct oracle_node *memory, const struct sim_node *sim_node)
{
    const struct log *log = sim_node->node->log;
    uint64_t spares = length_of(&log->spares);
    uint64_t known = length_of(&log->segments) + length_of(&log->dying) + spares;

    oracle_bound(oracle, memory, "bytes of log below a snapshot", bytes_below(log, memory->compactable),
                 oracle->sim->options.trailing_kib << 10);
    oracle_bound(oracle, memory, "spare segments", spares, LOG_SPARES_MAX + 1);
    oracle_bound(oracle, memory, "segments that nobody drops", is_forgotten(sim_node->node), 0);
    oracle_bound(oracle, memory, "files of segments", files(sim_node, "log", ".seg"), known + log->keeper.busy);
}

/* A snapshot of its own: the log has been compacted up to what could be spared then (a leader keeps what it needs
 * behind an older snapshot that is under way to somebody). One that was received takes the place of the whole log. */
static void published(struct oracle_node *memory, const struct node *node)
{
    const struct log *log = node->log;
    uint64_t newest = log->snapshot_count ? log->snapshots[0].index : 0;

    if (newest == memory->published)
        return;
    memory->published = newest;
    memory->surplus = memory->surplus > LOG_PRUNE_MAX - 1 ? memory->surplus - (LOG_PRUNE_MAX - 1) : 0;
    if (newest == node->raft->snapshot_index)
        memory->compactable = raft_compactable(node->raft);
}

void oracle_room_begins(struct sim_oracle *oracle, struct oracle_node *memory, const struct sim_node *sim_node)
{
    const struct log *log = sim_node->node->log;
    uint64_t keep = oracle->sim->options.snapshot_keep;

    memory->compactable = 0;
    memory->published = log->snapshot_count ? log->snapshots[0].index : 0;
    memory->surplus = log->snapshot_count > keep ? log->snapshot_count - keep : 0;
}

void oracle_room(struct sim_oracle *oracle, struct oracle_node *memory, const struct sim_node *sim_node)
{
    published(memory, sim_node->node);
    if (memory->looks % ROOM_EVERY)
        return;
    snapshots(oracle, memory, sim_node);
    segments(oracle, memory, sim_node);
}
