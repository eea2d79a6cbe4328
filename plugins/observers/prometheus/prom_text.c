/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prom_text.c - series as a page: the text format 0.0.4 of Prometheus, or OpenMetrics 1.0. Names, units and the scale
 * of the values come from names.h.
 *
 * Two metrics that would have one name are told apart by nobody: the first one stays, the other is left out.
 */
#include "prom.h"

#include "plugins/observers/names.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define FAMILIES_MAX 512 /* the host has at most 256 metrics */

/* What is being written. */
struct writer {
    struct prom_page *page;
    uint64_t families[FAMILIES_MAX]; /* hashes of the names that were written */
    uint64_t family_count;
    struct names_metric names;
    const char *name; /* of the present metric as the host calls it */
    bool skip;        /* the present metric is left out */
};

static bool open_metrics(const struct writer *writer)
{
    return writer->page->format == PROM_OPENMETRICS;
}

static void put(struct writer *writer, const void *bytes, size_t size)
{
    if (writer->page->status == GAVEL_OK)
        writer->page->status = gavel_buffer_append(writer->page->out, bytes, size);
}

static void put_text(struct writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

/* Bytes of the well-formed UTF-8 character at `at`; 0: there is none. */
static size_t character(const unsigned char *at, size_t room)
{
    size_t size = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf5 ? 4 : 0;

    if (size == 0 || size > room)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) || (*at == 0xf0 && at[1] < 0x90) ||
        (*at == 0xf4 && at[1] > 0x8f))
        return 0;
    return size;
}

/*
 * With \\, \n and, `quoted`, \" as both formats write them. What is no UTF-8, and control characters, which some
 * parsers stop at, become U+FFFD.
 */
static void put_escaped(struct writer *writer, struct gavel_slice text, bool quoted)
{
    const unsigned char *at = text.data;

    for (uint64_t i = 0; i < text.size;) {
        size_t size = character(at + i, (size_t)(text.size - i));

        if (at[i] == '\n')
            put_text(writer, "\\n");
        else if (at[i] == '\\')
            put_text(writer, "\\\\");
        else if (at[i] == '"' && quoted)
            put_text(writer, "\\\"");
        else if (size == 0 || at[i] < 0x20 || at[i] == 0x7f)
            put_text(writer, "\xef\xbf\xbd");
        else
            put(writer, at + i, size);
        i += size ? size : 1;
    }
}

/* The shortest text that is read back as this number. OpenMetrics marks a bound as a real number. */
static void put_number(struct writer *writer, double value, bool bound)
{
    char text[40], *comma;

    if (isnan(value) || isinf(value)) {
        put_text(writer, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        comma = strchr(text, ','); /* whatever locale a plugin may have chosen */
        if (comma)
            *comma = '.';
        if (strtod(text, NULL) == value)
            break;
    }
    put_text(writer, text);
    if (bound && open_metrics(writer) && !strpbrk(text, ".e"))
        put_text(writer, ".0");
}

static void put_count(struct writer *writer, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    put_text(writer, text);
}

/* ---- families ---------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

/* False: another metric has the name. */
static bool claim(struct writer *writer, const char *family)
{
    uint64_t hash = hash_of(family);

    for (uint64_t i = 0; i < writer->family_count; i++)
        if (writer->families[i] == hash)
            return false;
    if (writer->family_count == FAMILIES_MAX)
        return false;
    writer->families[writer->family_count++] = hash;
    return true;
}

static void put_declaration(struct writer *writer, const char *word, const char *name, const char *text)
{
    put_text(writer, "# ");
    put_text(writer, word);
    put_text(writer, " ");
    put_text(writer, name);
    put_text(writer, " ");
    put_escaped(writer, gavel_text(text), open_metrics(writer));
    put_text(writer, "\n");
}

static void begin_family(struct writer *writer, const struct gavel_series *series)
{
    static const char *const types[] = {"unknown", "counter", "gauge", "histogram"};
    const char *name;

    names_metric(&writer->names, series->kind, series->name, series->unit);
    writer->name = series->name;
    writer->skip = series->kind < GAVEL_COUNTER || series->kind > GAVEL_HISTOGRAM ||
                   !claim(writer, writer->names.family);
    writer->page->left_out += writer->skip;
    if (writer->skip)
        return;
    /* 0.0.4 declares what is written, OpenMetrics what it belongs to. */
    name = open_metrics(writer) ? writer->names.family : writer->names.sample;
    if (series->help && *series->help)
        put_declaration(writer, "HELP", name, series->help);
    put_declaration(writer, "TYPE", name, types[series->kind]);
    if (open_metrics(writer) && writer->names.unit[0])
        put_declaration(writer, "UNIT", name, writer->names.unit);
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static bool label_before(const struct gavel_series *series, uint64_t end, const char *label)
{
    char other[NAMES_ROOM];

    for (uint64_t i = 0; i < end; i++) {
        names_label(other, series->attributes[i].name);
        if (strcmp(other, label) == 0)
            return true;
    }
    return false;
}

/* {peer="node-2",le="0.5"}; a label that two attributes would have is the first one's. */
static void put_labels(struct writer *writer, const struct gavel_series *series, const double *bound)
{
    const char *separator = "{";

    for (uint64_t i = 0; i < series->attribute_count; i++) {
        char label[NAMES_ROOM];

        names_label(label, series->attributes[i].name);
        if (label_before(series, i, label))
            continue;
        put_text(writer, separator);
        put_text(writer, label);
        put_text(writer, "=\"");
        put_escaped(writer, series->attributes[i].value, true);
        put_text(writer, "\"");
        separator = ",";
    }
    if (bound) {
        put_text(writer, separator);
        put_text(writer, "le=\"");
        put_number(writer, *bound, true);
        put_text(writer, "\"");
        separator = ",";
    }
    if (*separator == ',')
        put_text(writer, "}");
    put_text(writer, " ");
}

static void put_hex(struct writer *writer, const unsigned char *bytes, size_t size)
{
    char text[33];

    assert(size <= 16);
    for (size_t i = 0; i < size; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    put(writer, text, 2 * size);
}

/*  # {trace_id="...",span_id="..."} 0.3 1764430000.123 */
static void put_exemplar(struct writer *writer, const struct gavel_series *series, uint64_t i)
{
    struct gavel_exemplar exemplar;
    const char *row = (const char *)series->exemplars;
    uint64_t stride = series->exemplar_stride;
    char text[40];

    if (!open_metrics(writer) || !row || stride < sizeof exemplar)
        return;
    memcpy(&exemplar, row + i * stride, sizeof exemplar);
    if (exemplar.wall_ms == 0)
        return;
    put_text(writer, " # {trace_id=\"");
    put_hex(writer, exemplar.trace.trace_id, sizeof exemplar.trace.trace_id);
    put_text(writer, "\",span_id=\"");
    put_hex(writer, exemplar.trace.span_id, sizeof exemplar.trace.span_id);
    put_text(writer, "\"} ");
    put_number(writer, exemplar.value * writer->names.scale, false);
    (void)snprintf(text, sizeof text, " %llu.%03u", (unsigned long long)(exemplar.wall_ms / 1000),
                   (unsigned)(exemplar.wall_ms % 1000));
    put_text(writer, text);
}

static void put_histogram(struct writer *writer, const struct gavel_series *series)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i <= series->bound_count; i++) {
        double bound = i < series->bound_count ? series->bounds[i] * writer->names.scale : (double)INFINITY;

        count += series->buckets[i];
        put_text(writer, writer->names.sample);
        put_text(writer, "_bucket");
        put_labels(writer, series, &bound);
        put_count(writer, count);
        put_exemplar(writer, series, i);
        put_text(writer, "\n");
    }
    put_text(writer, writer->names.sample);
    put_text(writer, "_sum");
    put_labels(writer, series, NULL);
    put_number(writer, series->sum * writer->names.scale, false);
    put_text(writer, "\n");
    put_text(writer, writer->names.sample);
    put_text(writer, "_count");
    put_labels(writer, series, NULL);
    put_count(writer, count); /* of what the buckets say: they were read one after the other */
    put_text(writer, "\n");
}

static void put_series(struct writer *writer, const struct gavel_series *series)
{
    if (!writer->name || strcmp(writer->name, series->name) != 0)
        begin_family(writer, series);
    if (writer->skip)
        return;
    if (series->kind == GAVEL_HISTOGRAM) {
        put_histogram(writer, series);
        return;
    }
    put_text(writer, writer->names.sample);
    put_labels(writer, series, NULL);
    put_number(writer, series->value * writer->names.scale, false);
    put_text(writer, "\n");
}

/* Who this is, as OpenTelemetry has it in Prometheus. */
static void put_target(struct writer *writer)
{
    struct gavel_attribute attributes[] = {{"service_name", gavel_text("gavel")},
                                           {"service_instance_id", gavel_text(writer->page->node)},
                                           {"service_version", gavel_text(writer->page->version)}};
    struct gavel_series series = {.attributes = attributes, .attribute_count = 3};
    const char *name = open_metrics(writer) ? "target" : "target_info";

    (void)claim(writer, "target");
    (void)claim(writer, "target_info");
    put_declaration(writer, "HELP", name, "The node that is scraped");
    put_declaration(writer, "TYPE", name, open_metrics(writer) ? "info" : "gauge");
    put_text(writer, "target_info");
    put_labels(writer, &series, NULL);
    put_text(writer, "1\n");
}

void prom_text(struct prom_page *page, const struct gavel_series *series, uint64_t count, uint64_t stride)
{
    const char *row = (const char *)series;
    struct writer writer;

    memset(&writer, 0, sizeof writer);
    writer.page = page;
    page->status = GAVEL_OK;
    page->left_out = 0;
    put_target(&writer);
    for (uint64_t i = 0; i < count && page->status == GAVEL_OK; i++, row += stride) {
        struct gavel_series known;

        memset(&known, 0, sizeof known); /* a row of another host may be shorter or longer */
        memcpy(&known, row, stride < sizeof known ? (size_t)stride : sizeof known);
        if (known.size < sizeof known)
            memset((char *)&known + known.size, 0, sizeof known - (size_t)known.size);
        put_series(&writer, &known);
    }
    if (open_metrics(&writer))
        put_text(&writer, "# EOF\n");
}
