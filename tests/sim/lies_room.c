/* SPDX-License-Identifier: Apache-2.0 */
/* lies_room.c - the lies about what lies on a disk; see lies.c. */
#include "lies_room.h"

#include <stdio.h>

#include "core/log/state.h"
#include "core/node/internal.h"
#include "core/raft/internal.h"
#include "disk_state.h"
#include "oracle_memory.h"

#define FAR 1000
#define LOOKS 128 /* one of so many is at the disk */

static bool works(const struct sim_node *node)
{
    return sim_is_up(node) && node->node && node->node->raft && node->node->phase == NODE_RUNNING &&
           node->sim->oracle->nodes[node->number].alive;
}

static struct sim_node *follower(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (works(&sim->nodes[i]) && sim->nodes[i].node->raft->role == RAFT_FOLLOWER)
            return &sim->nodes[i];
    return NULL;
}

static void look(struct sim_node *node)
{
    for (int i = 0; i < LOOKS; i++)
        sim_oracle_step(node->sim->oracle, node);
}

/* Its log takes so many snapshots for wanted. */
void lies_never_prunes(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (works(&sim->nodes[i]))
            sim->nodes[i].node->log->snapshot_keep = FAR;
}

/* ... so many bytes behind them. */
void lies_never_compacts(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (works(&sim->nodes[i]))
            sim->nodes[i].node->log->trail_bytes = UINT64_MAX;
}

/* A file that no list names any more, as of one that was to be unlinked. */
static void left_over(struct sim *sim, const char *directory, const char *end)
{
    struct sim_node *node = follower(sim);

    for (int i = 0; node && i < 2; i++) {
        char path[OS_PATH_MAX + 32];
        struct os_file *file;

        (void)snprintf(path, sizeof path, "%s/%s/%d%s", node->node->log->dir, directory, i, end);
        if (os_mem_files.open(node->disk->mem, path, OS_OPEN_WRITE | OS_OPEN_CREATE, &file) == 0)
            os_mem_files.close(node->disk->mem, file);
    }
    if (node)
        look(node);
}

void lies_over_snapshot_files(struct sim *sim)
{
    left_over(sim, "snap", ".snap");
}

void lies_over_segment_files(struct sim *sim)
{
    left_over(sim, "log", ".seg");
}

void lies_over_spares(struct sim *sim)
{
    static struct os_list more[LOG_SPARES_MAX + 2];
    struct sim_node *node = more[0].next ? NULL : follower(sim);

    for (uint32_t i = 0; node && i < sizeof more / sizeof more[0]; i++)
        os_list_push(&node->node->log->spares, &more[i]);
    if (node)
        look(node);
}

/* Nothing is under way that would come to it. */
void lies_nobody_drops(struct sim *sim)
{
    struct sim_node *node = follower(sim);
    struct log *log = node ? node->node->log : NULL;

    if (!log || log->keeper.busy || os_list_empty(&log->spares))
        return;
    os_list_push(&log->dying, os_list_pop(&log->spares));
    look(node);
}
