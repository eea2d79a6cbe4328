/* SPDX-License-Identifier: Apache-2.0 */
/* ready.c - see ready.h. */
#include "core/host/ready.h"

#include <stdio.h>
#include <string.h>

void host_ready_rows(const struct node_probe *found, uint32_t count, struct gavel_probe rows[NODE_PROBES_MAX])
{
    for (uint32_t i = 0; i < count; i++)
        rows[i] = (struct gavel_probe){.size = GAVEL_END(struct gavel_probe, reason), .name = found[i].name,
                                       .questions = found[i].decides & NODE_PROBE_READY ? GAVEL_PROBE_READY : 0,
                                       .ok = found[i].ok, .reason = found[i].reason};
}

void host_ready_line(const struct node_view *view, char *line, size_t size)
{
    /* A candidate is a follower again in a moment, and so on. */
    const char *role = strcmp(view->role, "candidate") == 0 ? "follower" : view->role;
    bool leads = strcmp(role, "leader") == 0;
    int used;

    if (!view->started)
        (void)snprintf(line, size, "restoring: %s", view->reason);
    else if (strcmp(role, "founding") == 0 || strcmp(role, "joining") == 0)
        (void)snprintf(line, size, "%s: %s", role, view->reason);
    else {
        used = snprintf(line, size, "%s%s%s, term %llu", role, leads || !view->leader[0] ? "" : " of ",
                        leads ? "" : view->leader, (unsigned long long)view->term);
        if (!view->ready && used > 0 && (size_t)used < size)
            (void)snprintf(line + used, size - (size_t)used, ", not ready: %s", view->reason);
    }
}
