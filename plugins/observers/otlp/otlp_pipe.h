/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_pipe.h - what the exporter's thread does with one signal: batches, pauses, retries, and who is told of trouble.
 */
#ifndef OTLP_PIPE_H
#define OTLP_PIPE_H

#include "otlp_exporter.h"

/* One moment of the thread. */
struct otlp_moment {
    uint64_t now_ms;
    uint64_t flush_ms; /* as in the exporter */
};

/* Do what can be done now. Returns in how many ms there will be something again; UINT64_MAX: not by itself. */
uint64_t otlp_pipe_step(struct otlp_exporter *exporter, struct otlp_pipe *pipe, const struct otlp_moment *moment);

/* The request in flight ended with `code`. */
void otlp_pipe_ended(struct otlp_exporter *exporter, struct otlp_pipe *pipe, const struct otlp_moment *moment,
                     CURLcode code);

/* Nothing waits and nothing is under way. */
bool otlp_pipe_empty(struct otlp_exporter *exporter, struct otlp_pipe *pipe);

/* Give up all that there is. */
void otlp_pipe_drop(struct otlp_exporter *exporter, struct otlp_pipe *pipe, const char *reason);

/* [any] Count dropped records. */
void otlp_count_dropped(struct otlp_exporter *exporter, enum otlp_signal signal, uint64_t records, const char *reason);

#endif
