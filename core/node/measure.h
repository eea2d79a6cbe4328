/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure.h - [loop] what a node counts and measures for the metrics of metrics.h, where that is more than one line.
 * Series are bound once; a host without a registry costs a comparison.
 */
#ifndef CORE_NODE_MEASURE_H
#define CORE_NODE_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/codec/message.h"

/* What a request is, for client.request.duration. */
enum measure_kind { MEASURE_NONE, MEASURE_WRITE, MEASURE_READ, MEASURE_ADMIN, MEASURE_FORWARDED, MEASURE_KINDS };

/* Bound series of the messages of one peer, or of all clients; 0: not bound yet. */
struct measure_traffic {
    uint64_t messages[2][CODEC_TYPE_MAX + 1]; /* sent, received */
    uint64_t bytes[2][CODEC_TYPE_MAX + 1];
};

struct node;
struct conn;
struct peer;
struct origin;
struct log_batch;
struct measures;

int32_t measures_new(struct node *node); /* GAVEL_E_NO_MEMORY */
void measures_free(struct node *node);

/* Always true. */
bool measure_sent(struct conn *conn, uint64_t type, uint64_t bytes);
void measure_received(struct conn *conn, uint64_t type, uint64_t bytes);
/* A request has its answer. */
void measure_answered(struct node *node, const struct origin *origin, int64_t status);
/* A snapshot is over: "save", "send", "install", "restore"; with what became of it. */
void measure_snapshot(struct node *node, const char *operation, int32_t status, uint64_t began_ns, uint64_t bytes);
/* The sending of a snapshot to that peer ends, if one was under way. */
void measure_sending(struct peer *peer);
/* Each second, or when something important has changed. */
void measure_gauges(struct node *node);
/* "busy" for GAVEL_E_BUSY. */
const char *measure_status(int64_t status);

#endif
