/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metric_table.c - rows from the two headers.
 */
#include "core/host/metric_table.h"

#include "core/node/metrics.h"
#include "core/node/spans.h"

#include <gavel/observer.h>

#define METRIC(symbol, kind, name, unit, attributes, help) {GAVEL_##kind, name, unit, attributes, help},
const struct host_metric host_metrics[] = {NODE_METRICS(METRIC) HOST_METRICS(METRIC){0, NULL, NULL, NULL, NULL}};
#undef METRIC

#define SPAN(symbol, name, kind, attributes, help) {name, GAVEL_SPAN_##kind, attributes, help},
const struct host_span host_span_rows[] = {NODE_SPANS(SPAN){NULL, 0, NULL, NULL}};
#undef SPAN

const char *host_metric_kind(uint64_t kind)
{
    static const char *const kinds[] = {"", "counter", "gauge", "histogram"};

    return kind <= GAVEL_HISTOGRAM ? kinds[kind] : "";
}

int host_metric_attribute(const char **attributes, char *name)
{
    const char *at = *attributes + strspn(*attributes, ", ");
    size_t size = strcspn(at, ", ");

    *attributes = at + size;
    (void)snprintf(name, 64, "%.*s", (int)size, at);
    return size > 0;
}
