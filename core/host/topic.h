/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topic.h - what a node logs as. The host and the node have words of their own; a plugin logs as its section or as its
 * plugin is called, with the kind or without it. A name stands for all below it, up to a '.': "transport" for
 * "transport.main".
 */
#ifndef CORE_HOST_TOPIC_H
#define CORE_HOST_TOPIC_H

#include <gavel/abi.h>

/* A plugin instance. */
struct host_topic {
    uint64_t kind;      /* GAVEL_KIND_... */
    const char *name;   /* of its section */
    const char *plugin; /* of its plugin */
};

/*
 * [any] Whether anything may log as `module`, or below it. A name that nothing logs under would silently change
 * nothing: GAVEL_E_INVALID names the nearest one that is known, or else what there is.
 */
int32_t host_topic_check(struct gavel_slice module, const struct host_topic *topics, unsigned count,
                         struct gavel_error *error);

#endif
