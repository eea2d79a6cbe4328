/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.h - the metrics of a process: counters, gauges and histograms, each with a bounded number of attribute sets.
 * It belongs to the host, so values survive the plugins that made them and the observers that read them.
 *
 * Recording takes no lock: a series is found by the hash of its attributes in a table that only grows, and its values
 * are atomic. Only the first record with new attributes takes one.
 */
#ifndef CORE_HOST_REGISTRY_H
#define CORE_HOST_REGISTRY_H

#include <gavel/observer.h>
#include <gavel/serializer.h>

#define HOST_METRICS_MAX 256           /* metrics of a process */
#define HOST_SERIES_MAX 64             /* attribute sets of one metric; what comes later is counted together as one */
#define HOST_SERIES_WIDE 1024          /* the same, of our own metrics with two attributes: 32 peers and 20 types */
#define HOST_SERIES_ATTRIBUTES_MAX 8   /* attributes of one record; more are dropped */
#define HOST_ATTRIBUTE_VALUE_MAX 128   /* bytes of a value kept */
#define HOST_HISTOGRAM_BOUNDS_MAX 24   /* bounds of a histogram */

struct host_registry;

/* [loop] A new one with all metrics of core/host/metric_table.h in it; NULL when memory is out. */
struct host_registry *host_registry_new(void);

/* [loop] Free it. Returns NULL; NULL is fine. */
struct host_registry *host_registry_free(struct host_registry *registry);

/*
 * [loop] Register a metric; strings are copied. The same name again gives the same number. 0: no room, another kind,
 * or an unknown kind. A histogram's bounds follow from its unit ("s", "ms", "By" or other).
 */
uint64_t host_registry_metric(struct host_registry *registry, uint64_t kind, const char *name, const char *unit,
                              const char *help);

/*
 * [any] Record a value. `instance` (may be NULL) becomes one more attribute, "instance". Unknown numbers are ignored,
 * as are negative steps of counters and values that are no numbers.
 */
void host_registry_record(struct host_registry *registry, uint64_t metric, double value, const char *instance,
                          const struct gavel_attribute *attributes, uint64_t count);

/*
 * [any] The same; a histogram keeps `trace` (may be NULL: none) and `wall_ms` as the exemplar of the bucket, in place
 * of the one before, when the trace is sampled. Never waits: while somebody reads or writes that exemplar it stays.
 */
void host_registry_record_traced(struct host_registry *registry, uint64_t metric, double value, const char *instance,
                                 const struct gavel_attribute *attributes, uint64_t count,
                                 const struct gavel_trace *trace, uint64_t wall_ms);

/*
 * [any] Bind a series: a number above 0 that stands for the metric and these attributes, for as long as the registry
 * lives. 0: no such metric, or memory is out.
 */
uint64_t host_registry_series(struct host_registry *registry, uint64_t metric, const char *instance,
                              const struct gavel_attribute *attributes, uint64_t count);

/* [any] Record a value of a bound series: some nanoseconds, no lock, no look-up. Unknown numbers are ignored. */
void host_registry_observe(struct host_registry *registry, uint64_t series, double value);

/* All series at one moment. */
struct host_snapshot {
    struct gavel_series *series;
    uint64_t count;
    uint64_t *buckets; /* memory that the series point to */
    struct gavel_exemplar *exemplars; /* the same */
};

/* [any] Take them; strings and attributes stay the registry's. 0, or GAVEL_E_NO_MEMORY. */
int32_t host_registry_snapshot(struct host_registry *registry, struct host_snapshot *snapshot);

/* [any] Give its memory back. */
void host_snapshot_free(struct host_snapshot *snapshot);

/*
 * [any] Write all values as one map: name -> {kind, unit, series: [{attributes: {...}, value} or {..., count, sum,
 * bounds, buckets}]}.
 */
void host_registry_write(struct host_registry *registry, struct gavel_writer *out);

#endif
