/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ready.h - the node's table of what must be well (node.h), as the doors of the host show it: the probes that observers
 * ask for (/livez, /readyz), and the line for a service manager. Neither knows anything of its own.
 */
#ifndef CORE_HOST_READY_H
#define CORE_HOST_READY_H

#include <stddef.h>

#include <gavel/observer.h>

#include "core/node/node.h"

/*
 * The probes of `count` rows of the node; texts are borrowed from them. A row that does not decide whether the node is
 * ready answers no question: it is there for whoever shows all rows.
 */
void host_ready_rows(const struct node_probe *found, uint32_t count, struct gavel_probe rows[NODE_PROBES_MAX]);

/* "follower of n1, term 3, not ready: ...", cut to `size`. */
void host_ready_line(const struct node_view *view, char *line, size_t size);

#endif
