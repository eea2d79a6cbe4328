/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump.h - what plugins say about themselves, from their own tables: gaveld --dump-plugin and --list-plugins.
 */
#ifndef CORE_HOST_DUMP_H
#define CORE_HOST_DUMP_H

#include "core/host/loader.h"

#include <stdbool.h>
#include <stdio.h>

/*
 * Print a plugin as stable key=value lines, or as JSON. Lines are only ever added in later versions. Returns 0, or
 * GAVEL_E_NO_MEMORY.
 */
int32_t host_dump_plugin(const struct host_plugin *plugin, bool json, FILE *out);

/* The same of the host's own sections: sections.raft.options.heartbeat.default=50ms. */
int32_t host_dump_sections(bool json, FILE *out);

/* The same of the metrics and spans of gaveld: metrics.log.sync.duration.unit=s. */
int32_t host_dump_metrics(bool json, FILE *out);

/*
 * Print a line "kind name version summary" for each plugin file in `dir` and for each that is linked in. Files that are
 * refused are told on stderr. Returns how many were refused, or GAVEL_E_IO when the directory cannot be read.
 */
int32_t host_list_plugins(struct host_loader *loader, const char *dir, const struct host_builtin *builtins, FILE *out);

#endif
