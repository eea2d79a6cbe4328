/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_queue.c - see otlp_queue.h.
 */
#include "otlp_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ITEM_BYTES(size) (sizeof(struct otlp_item) + (size) + 16) /* 16: what an allocator adds */

void otlp_queue_init(struct otlp_queue *queue, uint64_t records_max, uint64_t bytes_max, bool drop_oldest)
{
    memset(queue, 0, sizeof *queue);
    queue->tail = &queue->head;
    queue->records_max = records_max;
    queue->bytes_max = bytes_max;
    queue->drop_oldest = drop_oldest;
}

static struct otlp_item *take_one(struct otlp_queue *queue)
{
    struct otlp_item *item = queue->head;

    queue->head = item->next;
    if (!queue->head)
        queue->tail = &queue->head;
    assert(queue->items > 0);
    assert(queue->bytes >= ITEM_BYTES(item->size));
    queue->items--;
    queue->records -= item->records;
    queue->bytes -= ITEM_BYTES(item->size);
    item->next = NULL;
    return item;
}

static bool fits(const struct otlp_queue *queue, size_t size, uint64_t records)
{
    return queue->records + records <= queue->records_max && queue->bytes + ITEM_BYTES(size) <= queue->bytes_max;
}

uint64_t otlp_queue_push(struct otlp_queue *queue, const void *data, size_t size, uint64_t records)
{
    struct otlp_item *item;
    uint64_t dropped = 0;

    while (queue->drop_oldest && queue->head && !fits(queue, size, records))
        dropped += otlp_items_free(take_one(queue));
    item = fits(queue, size, records) ? malloc(sizeof *item + size) : NULL;
    if (!item)
        return dropped + records;
    item->next = NULL;
    item->records = records;
    item->size = size;
    memcpy(item->bytes, data, size);
    *queue->tail = item;
    queue->tail = &item->next;
    queue->items++;
    queue->records += records;
    queue->bytes += ITEM_BYTES(size);
    return dropped;
}

struct otlp_item *otlp_queue_take(struct otlp_queue *queue, uint64_t records, uint64_t bytes)
{
    struct otlp_item *list = NULL, **tail = &list;
    uint64_t taken = 0, size = 0;

    while (queue->head) {
        if (list && (taken + queue->head->records > records || size + queue->head->size > bytes))
            break;
        taken += queue->head->records;
        size += queue->head->size;
        *tail = take_one(queue);
        tail = &(*tail)->next;
    }
    return list;
}

uint64_t otlp_items_free(struct otlp_item *list)
{
    struct otlp_item *next;
    uint64_t records = 0;

    for (; list; list = next) {
        next = list->next;
        records += list->records;
        free(list);
    }
    return records;
}
