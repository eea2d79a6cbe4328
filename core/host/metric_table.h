/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metric_table.h - the rows of core/node/metrics.h and core/node/spans.h as tables, for whoever walks over them.
 */
#ifndef CORE_HOST_METRIC_TABLE_H
#define CORE_HOST_METRIC_TABLE_H

#include <stdint.h>

struct host_metric {
    uint64_t kind; /* GAVEL_COUNTER ... */
    const char *name;
    const char *unit;
    const char *attributes; /* names of them, with ", " between; "": none */
    const char *help;       /* without a full stop */
};

struct host_span {
    const char *name;
    uint64_t kind; /* GAVEL_SPAN_... */
    const char *attributes;
    const char *help;
};

/* All of them, each ended by a row whose name is NULL. */
extern const struct host_metric host_metrics[];
extern const struct host_span host_span_rows[];

/* "counter", "gauge", "histogram". */
const char *host_metric_kind(uint64_t kind);

/* Copy the next of a row's attributes into `name` of 64 bytes, and go behind it; 0: there is none left. */
int host_metric_attribute(const char **attributes, char *name);

#endif
