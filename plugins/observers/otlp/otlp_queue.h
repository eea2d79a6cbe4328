/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_queue.h - encoded records of one signal that wait to be sent, bounded in number and bytes. It has no lock of its
 * own: the exporter's is held around each call.
 */
#ifndef OTLP_QUEUE_H
#define OTLP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct otlp_item {
    struct otlp_item *next;
    uint64_t records; /* a log record, a span, or the data points of a metric */
    size_t size;
    unsigned char bytes[];
};

struct otlp_queue {
    struct otlp_item *head;
    struct otlp_item **tail;
    uint64_t records;
    uint64_t items;
    uint64_t bytes; /* with what each item takes beside its own */
    uint64_t records_max;
    uint64_t bytes_max;
    bool drop_oldest; /* what comes is worth more than what waits */
};

void otlp_queue_init(struct otlp_queue *queue, uint64_t records_max, uint64_t bytes_max, bool drop_oldest);

/* Copy a record in. Returns how many records were dropped for it, or were it; memory that is out drops it as well. */
uint64_t otlp_queue_push(struct otlp_queue *queue, const void *data, size_t size, uint64_t records);

/* Take a list from the front: at least one item, if there is any, and no more than both bounds allow. */
struct otlp_item *otlp_queue_take(struct otlp_queue *queue, uint64_t records, uint64_t bytes);

/* Free a list. Returns the records that were in it. */
uint64_t otlp_items_free(struct otlp_item *list);

#endif
