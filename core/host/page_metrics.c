/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page_metrics.c - the tables of metrics and spans as sections of gavel-metrics(7), with the names of Prometheus.
 */
#include "core/host/page.h"

#include "core/host/metric_table.h"
#include "core/host/roff.h"
#include "plugins/observers/names.h"

/* "By\n.Li peer , type ." */
static void print_attributes(const char *names, FILE *out)
{
    char name[64];
    bool first = true;

    while (host_metric_attribute(&names, name)) {
        (void)fputs(first ? "By\n.Li " : " , ", out);
        host_roff_word(name, out);
        first = false;
    }
    (void)fputs(first ? "" : " .\n", out);
}

static void print_sentence(const char *help, FILE *out)
{
    char text[512];

    (void)snprintf(text, sizeof text, "%s.", help);
    host_roff_line(text, out);
}

static void print_metric(const struct host_metric *row, FILE *out)
{
    struct names_metric names;

    names_metric(&names, row->kind, row->name, row->unit);
    (void)fputs(".It Li ", out);
    host_roff_word(row->name, out);
    (void)fprintf(out, "\nA %s, in\n.Ql ", host_metric_kind(row->kind));
    host_roff_word(row->unit, out);
    (void)fputs(" ;\nto Prometheus\n.Li ", out);
    host_roff_word(names.sample, out);
    (void)fputs(" .\n", out);
    print_attributes(row->attributes, out);
    print_sentence(row->help, out);
}

static void print_span(const struct host_span *row, FILE *out)
{
    (void)fputs(".It Li ", out);
    host_roff_word(row->name, out);
    (void)fputc('\n', out);
    print_sentence(row->help, out);
    print_attributes(row->attributes, out);
}

void host_page_metrics(FILE *out)
{
    (void)fputs(".Sh METRICS\n.Bl -tag -width Ds\n", out);
    for (const struct host_metric *row = host_metrics; row->name; row++)
        print_metric(row, out);
    (void)fputs(".El\n.Sh SPANS\n"
                "Each has the attribute\n"
                ".Li node.id ,\n"
                "the name of the node, and those that stand behind \"By\".\n"
                ".Bl -tag -width Ds\n", out);
    for (const struct host_span *row = host_span_rows; row->name; row++)
        print_span(row, out);
    (void)fputs(".El\n", out);
}
