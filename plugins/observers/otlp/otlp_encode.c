/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_encode.c - see otlp_encode.h.
 */
#include "otlp_encode.h"

#include <math.h>
#include <stdlib.h>

#define NS_PER_MS UINT64_C(1000000)

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* KeyValue with a text. */
static void put_text_attribute(struct otlp_writer *writer, unsigned number, const char *name, struct gavel_slice value)
{
    otlp_open(writer, number, NULL);
    otlp_text(writer, 1, "key", name);
    otlp_open(writer, 2, "value");
    otlp_string(writer, 1, "stringValue", value);
    otlp_close(writer);
    otlp_close(writer);
}

/* The integer that a text is the one way to write: "0", "-3", "250", and not "007", "+1" or "-0". */
static bool integer_of(struct gavel_slice text, int64_t *value)
{
    const char *at = text.data;
    uint64_t i = 0, magnitude = 0;
    bool negative = text.size > 1 && at[0] == '-';

    if (text.size == 0 || text.size > 19) /* 19 digits may be too many, 18 never are */
        return false;
    i += negative;
    if (at[i] == '0' && (negative || text.size > i + 1))
        return false;
    if (text.size - i > 18)
        return false;
    for (; i < text.size; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        magnitude = magnitude * 10 + (uint64_t)(at[i] - '0');
    }
    *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

/*
 * Who makes a span gives numbers as text: the same attribute is then a number each time. What names something (a key, a
 * peer, a node, a command) stays text also where the name happens to be made of digits.
 */
static bool names_something(const char *name)
{
    static const char *const words[] = {"key", "name", "peer", "node", "id", "command", "machine", "version", "member"};
    const char *last = strrchr(name, '.');

    last = last ? last + 1 : name;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(last, words[i]) == 0)
            return true;
    return false;
}

static void put_attribute(struct otlp_writer *writer, unsigned number, const struct gavel_attribute *attribute)
{
    int64_t value;

    if (names_something(attribute->name) || !integer_of(attribute->value, &value)) {
        put_text_attribute(writer, number, attribute->name, attribute->value);
        return;
    }
    otlp_open(writer, number, NULL);
    otlp_text(writer, 1, "key", attribute->name);
    otlp_open(writer, 2, "value");
    otlp_int(writer, 3, "intValue", value);
    otlp_close(writer);
    otlp_close(writer);
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* ---- logs -------------------------------------------------------------------------------------------------------- */

void otlp_put_log(struct otlp_writer *writer, const struct gavel_log_event *event, uint64_t now_ns)
{
    static const struct {
        uint32_t number;
        const char *text;
    } severities[] = {{0, ""}, {1, "TRACE"}, {5, "DEBUG"}, {9, "INFO"}, {13, "WARN"}, {17, "ERROR"}};
    uint64_t level = event->level <= GAVEL_LOG_ERROR ? event->level : GAVEL_LOG_ERROR;
    const struct gavel_trace *trace = event->trace;

    otlp_open(writer, 2, NULL);
    otlp_fixed(writer, 1, "timeUnixNano", event->wall_ms * NS_PER_MS);
    otlp_fixed(writer, 11, "observedTimeUnixNano", now_ns);
    otlp_small(writer, 2, "severityNumber", severities[level].number);
    otlp_text(writer, 3, "severityText", severities[level].text);
    otlp_open(writer, 5, "body");
    otlp_string(writer, 1, "stringValue", event->text);
    otlp_close(writer);
    otlp_list(writer, "attributes");
    put_text_attribute(writer, 6, "gavel.module", gavel_text(event->module ? event->module : ""));
    otlp_list_end(writer);
    if (trace && !is_zero(trace->trace_id, sizeof trace->trace_id)) {
        otlp_fixed32(writer, 8, "flags", (uint32_t)(trace->flags & 0xff));
        otlp_id(writer, 9, "traceId", trace->trace_id, sizeof trace->trace_id);
        if (!is_zero(trace->span_id, sizeof trace->span_id))
            otlp_id(writer, 10, "spanId", trace->span_id, sizeof trace->span_id);
    }
    otlp_close(writer);
}

/* ---- traces ------------------------------------------------------------------------------------------------------ */

const char *otlp_status_word(int64_t status)
{
    static const char *const words[] = {
        "ok",           "invalid",     "not found", "exists",   "condition",     "state",      "too large",
        "busy",         "no leader",   "timeout",   "unknown",  "denied",        "closed",     "corrupt",
        "input/output", "no space",    "no memory", "local",    "unsupported",   "expired",    "stale",
        "compacted",    "config",      "version",   "internal", "not the leader"};

    if (status > 0 || status <= -(int64_t)(sizeof words / sizeof words[0]))
        return "error";
    return words[-status];
}

static uint32_t kind_of(const struct gavel_span *span)
{
    uint64_t kind = GAVEL_HAS(struct gavel_span, span, kind) ? span->kind : 0;

    return kind >= GAVEL_SPAN_INTERNAL && kind <= GAVEL_SPAN_CONSUMER ? (uint32_t)kind : GAVEL_SPAN_INTERNAL;
}

void otlp_put_span(struct otlp_writer *writer, const struct gavel_span *span)
{
    uint64_t end = span->end_wall_ns > span->start_wall_ns ? span->end_wall_ns : span->start_wall_ns;

    otlp_open(writer, 2, NULL);
    otlp_id(writer, 1, "traceId", span->context.trace_id, sizeof span->context.trace_id);
    otlp_id(writer, 2, "spanId", span->context.span_id, sizeof span->context.span_id);
    if (!is_zero(span->parent, sizeof span->parent))
        otlp_id(writer, 4, "parentSpanId", span->parent, sizeof span->parent);
    otlp_fixed32(writer, 16, "flags", (uint32_t)(span->context.flags & 0xff));
    otlp_text(writer, 5, "name", span->name);
    otlp_small(writer, 6, "kind", kind_of(span));
    otlp_fixed(writer, 7, "startTimeUnixNano", span->start_wall_ns);
    otlp_fixed(writer, 8, "endTimeUnixNano", end);
    otlp_list(writer, "attributes");
    for (uint64_t i = 0; i < span->attribute_count; i++)
        put_attribute(writer, 9, &span->attributes[i]);
    otlp_list_end(writer);
    if (span->status < 0) { /* else it stays unset, as the specification wants it of instruments */
        otlp_open(writer, 15, "status");
        otlp_text(writer, 2, "message", otlp_status_word(span->status));
        otlp_small(writer, 3, "code", 2);
        otlp_close(writer);
    }
    otlp_close(writer);
}

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

static const struct gavel_series *row(const struct gavel_series *series, uint64_t i, uint64_t stride)
{
    return (const void *)((const char *)series + i * stride);
}

/* A row as this plugin knows it: an older host's is shorter. */
static struct gavel_series known(const struct gavel_series *from)
{
    struct gavel_series series = {.size = 0};

    memcpy(&series, from, from->size < sizeof series ? (size_t)from->size : sizeof series);
    return series;
}

/* What is counted in pieces is a whole number; a metric's points are all of one kind, whatever their values. */
static bool counts_things(const struct gavel_series *series)
{
    return series->unit && (*series->unit == '{' || strcmp(series->unit, "By") == 0);
}

static void put_times(struct otlp_writer *writer, const struct otlp_export *export, const struct gavel_series *series)
{
    if (series->kind != GAVEL_GAUGE)
        otlp_fixed(writer, 2, "startTimeUnixNano", series->start_wall_ns ? series->start_wall_ns : export->began_ns);
    otlp_fixed(writer, 3, "timeUnixNano", export->now_ns);
}

static void put_attributes(struct otlp_writer *writer, unsigned number, const struct gavel_series *series)
{
    otlp_list(writer, "attributes");
    for (uint64_t i = 0; i < series->attribute_count; i++)
        put_text_attribute(writer, number, series->attributes[i].name, series->attributes[i].value);
    otlp_list_end(writer);
}

static void put_number(struct otlp_writer *writer, const struct otlp_export *export, const struct gavel_series *series)
{
    otlp_open(writer, 1, NULL);
    put_attributes(writer, 7, series);
    put_times(writer, export, series);
    if (counts_things(series) && fabs(series->value) < 9e15 && series->value == floor(series->value))
        otlp_sfixed(writer, 6, "asInt", (int64_t)series->value);
    else
        otlp_double(writer, 4, "asDouble", series->value);
    otlp_close(writer);
}

/* Values that a trace belongs to, one of each bucket at the most. */
static void put_exemplars(struct otlp_writer *writer, const struct otlp_export *export,
                          const struct gavel_series *series)
{
    otlp_list(writer, "exemplars");
    for (uint64_t i = 0; series->exemplars && i <= series->bound_count; i++) {
        const struct gavel_exemplar *exemplar =
            (const void *)((const char *)series->exemplars + i * series->exemplar_stride);

        if (exemplar->wall_ms == 0 || exemplar->wall_ms < export->since_ms)
            continue;
        otlp_open(writer, 8, NULL);
        otlp_fixed(writer, 2, "timeUnixNano", exemplar->wall_ms * NS_PER_MS);
        otlp_double(writer, 3, "asDouble", exemplar->value);
        otlp_id(writer, 4, "spanId", exemplar->trace.span_id, sizeof exemplar->trace.span_id);
        otlp_id(writer, 5, "traceId", exemplar->trace.trace_id, sizeof exemplar->trace.trace_id);
        otlp_close(writer);
    }
    otlp_list_end(writer);
}

static void put_histogram(struct otlp_writer *writer, const struct otlp_export *export,
                          const struct gavel_series *series)
{
    otlp_open(writer, 1, NULL);
    put_attributes(writer, 9, series);
    put_times(writer, export, series);
    otlp_fixed(writer, 4, "count", series->count);
    otlp_double(writer, 5, "sum", series->sum);
    otlp_fixed_list(writer, 6, "bucketCounts", series->buckets, series->bound_count + 1);
    otlp_double_list(writer, 7, "explicitBounds", series->bounds, series->bound_count);
    put_exemplars(writer, export, series);
    otlp_close(writer);
}

static uint64_t put_points(struct otlp_writer *writer, const struct otlp_export *export,
                           const struct gavel_series *series, uint64_t count, uint64_t stride)
{
    uint64_t points = 0;

    otlp_list(writer, "dataPoints");
    for (uint64_t i = 0; i < count; i++) {
        struct gavel_series each = known(row(series, i, stride));

        if (export->delta && each.kind != GAVEL_GAUGE && !otlp_delta_take(export->delta, &each))
            continue;
        if (each.kind == GAVEL_HISTOGRAM)
            put_histogram(writer, export, &each);
        else
            put_number(writer, export, &each);
        points++;
    }
    otlp_list_end(writer);
    return points;
}

uint64_t otlp_put_metric(struct otlp_writer *writer, const struct otlp_export *export,
                         const struct gavel_series *series, uint64_t count, uint64_t stride, uint64_t *points)
{
    static const struct {
        unsigned number;
        const char *name;
    } kinds[] = {{5, "gauge"}, {7, "sum"}, {5, "gauge"}, {9, "histogram"}};
    uint64_t kind = series->kind <= GAVEL_HISTOGRAM ? series->kind : GAVEL_GAUGE, taken = 1;
    size_t before = writer->size;
    bool comma = writer->comma;

    while (taken < count && row(series, taken, stride)->kind == series->kind &&
           strcmp(row(series, taken, stride)->name, series->name) == 0)
        taken++;
    otlp_open(writer, 2, NULL);
    otlp_text(writer, 1, "name", series->name);
    otlp_text(writer, 2, "description", series->help);
    otlp_text(writer, 3, "unit", series->unit);
    otlp_open(writer, kinds[kind].number, kinds[kind].name);
    *points = put_points(writer, export, series, taken, stride);
    if (kind != GAVEL_GAUGE)
        otlp_small(writer, 2, "aggregationTemporality", export->delta ? 1 : 2);
    if (kind == GAVEL_COUNTER)
        otlp_bool(writer, 3, "isMonotonic", true);
    otlp_close(writer);
    otlp_close(writer);
    if (*points == 0 && !writer->failed) {
        writer->size = before;
        writer->comma = comma;
    }
    return taken;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* Texts all, as the specification wants those of the environment; the one number is ours. */
static void put_resource(struct otlp_writer *writer, const struct otlp_pair *pair)
{
    struct gavel_attribute attribute = {pair->name, gavel_text(pair->value)};

    if (strcmp(pair->name, "process.pid") == 0)
        put_attribute(writer, 1, &attribute);
    else
        put_text_attribute(writer, 1, pair->name, attribute.value);
}

void otlp_request_begin(struct otlp_writer *writer, enum otlp_signal signal, const struct otlp_pairs *resource)
{
    static const char *const outer[] = {"resourceMetrics", "resourceSpans", "resourceLogs"};
    static const char *const inner[] = {"scopeMetrics", "scopeSpans", "scopeLogs"};
    static const char *const elements[] = {"metrics", "spans", "logRecords"};

    otlp_open(writer, 0, NULL);
    otlp_list(writer, outer[signal]);
    otlp_open(writer, 1, NULL);
    otlp_open(writer, 1, "resource");
    otlp_list(writer, "attributes");
    for (unsigned i = 0; i < resource->count; i++)
        put_resource(writer, &resource->pair[i]);
    otlp_list_end(writer);
    otlp_close(writer);
    otlp_list(writer, inner[signal]);
    otlp_open(writer, 2, NULL);
    otlp_open(writer, 1, "scope");
    otlp_text(writer, 1, "name", "gavel");
    otlp_text(writer, 2, "version", PACKAGE_VERSION);
    otlp_close(writer);
    otlp_list(writer, elements[signal]);
}

void otlp_request_end(struct otlp_writer *writer)
{
    otlp_list_end(writer);
    otlp_close(writer);
    otlp_list_end(writer);
    otlp_close(writer);
    otlp_list_end(writer);
    otlp_close(writer);
}
