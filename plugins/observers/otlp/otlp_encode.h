/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_encode.h - log events, spans and series as the messages of OTLP 1.x. Each record is encoded when it comes, on
 * the observer lane, as an element of the list that it will be sent in; a request is an envelope around such elements.
 * Numbers and names are those of the public definitions (tests/otlp/proto); the tests read everything back with them.
 */
#ifndef OTLP_ENCODE_H
#define OTLP_ENCODE_H

#include "otlp_config.h"
#include "otlp_delta.h"
#include "otlp_writer.h"

/* A LogRecord, as an element of scope_logs.log_records. */
void otlp_put_log(struct otlp_writer *writer, const struct gavel_log_event *event, uint64_t now_ns);

/* A Span, as an element of scope_spans.spans. */
void otlp_put_span(struct otlp_writer *writer, const struct gavel_span *span);

/* What all series of one export have in common. */
struct otlp_export {
    uint64_t now_ns;
    uint64_t began_ns;        /* in place of a start that the host does not tell */
    struct otlp_delta *delta; /* NULL: cumulative */
    uint64_t since_ms;        /* wall; exemplars that are older have been sent already */
};

/*
 * A Metric of the first of `count` series and those behind it that have the same name and kind, as an element of
 * scope_metrics.metrics. Rows are `stride` apart. Returns how many series it took; *points says how many have a point
 * in it: with none nothing was written.
 */
uint64_t otlp_put_metric(struct otlp_writer *writer, const struct otlp_export *export,
                         const struct gavel_series *series, uint64_t count, uint64_t stride, uint64_t *points);

/* A request of one signal: begin, its elements with otlp_raw, end. */
void otlp_request_begin(struct otlp_writer *writer, enum otlp_signal signal, const struct otlp_pairs *resource);
void otlp_request_end(struct otlp_writer *writer);

/* A GAVEL_E_ code as a word ("timeout"), for the status of a span. */
const char *otlp_status_word(int64_t status);

#endif
