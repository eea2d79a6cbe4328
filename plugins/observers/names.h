/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - what a metric and an attribute of the host are called in Prometheus. The one place of that rule: the
 * prometheus observer writes by it, and gavel-metrics(7) is made with it.
 *
 *     consensus.commands.total     counter    {command}  ->  consensus_commands_total
 *     cluster.nodes.total          gauge      {node}     ->  cluster_nodes
 *     cluster.membership.changes   counter    {change}   ->  cluster_membership_changes_total
 *     log.sync.duration            histogram  s          ->  log_sync_duration_seconds
 *     transport.bytes.sent         counter    By         ->  transport_sent_bytes_total
 *     queue.wait                   gauge      ms         ->  queue_wait_seconds, values by 0.001
 *
 * Words are joined by '_'; the unit stands last, in the base units of Prometheus (seconds, bytes, ratio ...) with the
 * values scaled to them; "total" ends each counter and nothing else; other endings that Prometheus keeps for itself
 * (count, sum, bucket, created, info) are dropped.
 */
#ifndef PLUGINS_OBSERVERS_NAMES_H
#define PLUGINS_OBSERVERS_NAMES_H

#include <gavel/observer.h>

#define NAMES_ROOM 256 /* bytes of a name with its NUL: a metric's name has at most 64, a unit's word 32 */

struct names_metric {
    char family[NAMES_ROOM]; /* without "_total": what OpenMetrics declares */
    char sample[NAMES_ROOM]; /* a counter's with "_total": what is queried, and what text 0.0.4 declares */
    char unit[NAMES_ROOM];   /* "seconds"; "": it has none. The family ends with it. */
    double scale;            /* values times this are in that unit */
};

/* [any] Fill *out for a metric of `kind` (GAVEL_COUNTER ...), `unit` in UCUM (NULL: none). */
void names_metric(struct names_metric *out, uint64_t kind, const char *name, const char *unit);

/*
 * [any] The label of an attribute, in `out` of NAMES_ROOM bytes. "instance" and "job" belong to the target of a scrape,
 * "le" and "quantile" to buckets: they become "section" (it is the NAME of a section of the INI file),
 * "attribute_job" ...
 */
void names_label(char *out, const char *attribute);

#endif
