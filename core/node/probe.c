/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c - what must be well for this node to serve, one thing after the other, for whoever asks from outside. */
#include "core/node/internal.h"

#include <stdarg.h>
#include <stdio.h>

/* Whoever is this far behind what it knows to be committed would let readers wait: two full batches. */
#define PROBE_LAG_MAX 2048

struct probing {
    struct node_probe *probe;
    uint32_t count;
};

static void well(struct probing *probing, const char *name)
{
    probing->probe[probing->count++] = (struct node_probe){.name = name, .ok = true};
}

static void fails(struct probing *probing, const char *name, const char *format, ...) GAVEL_PRINTF(3, 4);
static void fails(struct probing *probing, const char *name, const char *format, ...)
{
    struct node_probe *probe = &probing->probe[probing->count++];
    va_list arguments;

    *probe = (struct node_probe){.name = name};
    va_start(arguments, format);
    (void)vsnprintf(probe->reason, sizeof probe->reason, format, arguments);
    va_end(arguments);
}

static void probe_phase(const struct node *node, struct probing *probing)
{
    if (node->phase == NODE_NEW || node->phase == NODE_RESTORING)
        fails(probing, "restored", "snapshot and log are being read back");
    else
        well(probing, "restored");
    if (node->removed)
        fails(probing, "member", "this node was removed from the cluster");
    else if (node->phase == NODE_FOUNDING)
        fails(probing, "member", "%s",
              node->waits[0]           ? node->waits
              : node->setup.join_count ? "it waits until it has been added to the cluster"
                                       : "it waits for the listed members to found the cluster");
    else
        well(probing, "member");
    if (node->phase == NODE_HANDING || node->phase == NODE_CLOSING || node->phase >= NODE_STOPPED)
        fails(probing, "running", "this node is stopping");
    else
        well(probing, "running");
}

uint32_t node_probes(const struct node *node, struct node_probe probes[NODE_PROBES_MAX])
{
    struct raft_status status = engine_status(node);
    struct probing probing = {.probe = probes};
    uint64_t commit = engine_commit(node);

    probe_phase(node, &probing);
    if (node->leader)
        well(&probing, "leader");
    else
        fails(&probing, "leader", "no leader is known in term %llu", (unsigned long long)status.term);
    if (node->applied + PROBE_LAG_MAX >= commit)
        well(&probing, "applied");
    else
        fails(&probing, "applied", "applied up to %llu of %llu committed entries", (unsigned long long)node->applied,
              (unsigned long long)commit);
    if (status.recovering)
        fails(&probing, "recovered", "damaged entries are being fetched again from the other members");
    else
        well(&probing, "recovered");
    if (node->fenced)
        fails(&probing, "state", "this node's state differs from the majority's: it is fenced");
    else
        well(&probing, "state");
    if (!node->log || log_space_ok(node->log))
        well(&probing, "disk");
    else
        fails(&probing, "disk", "the disk is full: writes are refused, reads go on");
    return probing.count;
}
