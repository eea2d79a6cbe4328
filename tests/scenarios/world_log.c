/* SPDX-License-Identifier: Apache-2.0 */
/* tests/scenarios/world_log.c - logs of batches as a node and its disk keep them: plain arrays. */
#include <stdlib.h>
#include <string.h>

#include "world.h"

void *world_grow(void *items, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return items;
    *room = *room ? 2 * *room : 16;
    void *more = realloc(items, *room * size);
    if (!more)
        abort();
    return more;
}

uint32_t world_chain(uint32_t before, const struct raft_batch *batch, uint32_t payload)
{
    uint64_t h = before + 0x9e3779b97f4a7c15u;
    uint64_t words[] = {batch->first, batch->term, batch->count, batch->kind, payload};
    for (size_t i = 0; i < 5; i++) {
        h ^= words[i];
        h *= 0xff51afd7ed558ccdu;
        h ^= h >> 29;
    }
    return (uint32_t)(h ^ (h >> 32));
}

const struct raft_configuration *world_keep(struct world *w, const struct raft_configuration *c)
{
    if (!c)
        return NULL;
    for (size_t i = 0; i < w->configuration_count; i++)
        if (w->configurations[i] == c || memcmp(w->configurations[i], c, sizeof *c) == 0)
            return w->configurations[i];
    struct raft_configuration *kept = malloc(sizeof *kept);
    struct raft_configuration **more =
        realloc(w->configurations, (w->configuration_count + 1) * sizeof *w->configurations);
    if (!kept || !more)
        abort();
    *kept = *c;
    w->configurations = more;
    w->configurations[w->configuration_count++] = kept;
    return kept;
}

uint64_t world_last(const struct world_batches *log)
{
    if (log->count == 0)
        return log->base_index;
    return log->items[log->count - 1].first + log->items[log->count - 1].count - 1;
}

bool world_boundary(const struct world_batches *log, uint64_t index, uint64_t *term, uint32_t *chain)
{
    if (index == log->base_index) {
        *term = log->base_term;
        *chain = log->base_chain;
        return true;
    }
    for (size_t i = log->count; i-- > 0;) {
        const struct raft_batch *b = &log->items[i];
        if (b->first + b->count - 1 < index)
            return false;
        if (b->first + b->count - 1 == index) {
            *term = b->term;
            *chain = b->chain;
            return true;
        }
    }
    return false;
}

void world_append(struct world_batches *log, const struct raft_batch *batch)
{
    log->items = world_grow(log->items, &log->room, log->count, sizeof *log->items);
    log->items[log->count++] = *batch;
}

void world_truncate(struct world_batches *log, uint64_t from)
{
    while (log->count > 0 && log->items[log->count - 1].first >= from)
        log->count--;
}

void world_compact(struct world_batches *log, uint64_t index)
{
    size_t gone = 0;
    while (gone < log->count && log->items[gone].first + log->items[gone].count - 1 <= index) {
        log->base_index = log->items[gone].first + log->items[gone].count - 1;
        log->base_term = log->items[gone].term;
        log->base_chain = log->items[gone].chain;
        gone++;
    }
    log->count -= gone;
    memmove(log->items, log->items + gone, log->count * sizeof *log->items);
}

void world_reset_log(struct world_batches *log, const struct world_snapshot *s)
{
    log->count = 0;
    log->base_index = s->index;
    log->base_term = s->term;
    log->base_chain = s->chain;
}

void world_copy_log(struct world_batches *to, const struct world_batches *from)
{
    to->count = 0;
    to->base_index = from->base_index;
    to->base_term = from->base_term;
    to->base_chain = from->base_chain;
    for (size_t i = 0; i < from->count; i++)
        world_append(to, &from->items[i]);
}
