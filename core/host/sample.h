/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample.h - commented INI files for a cluster on one machine, made from the field tables of the host and the plugins,
 * and a script that starts its nodes: `gavel init`, `gaveld --sample-config`, the file behind `gaveld --dev`. With what
 * it stands on it is a convenience library of its own (libsample.la), which the command line links without the rest.
 */
#ifndef CORE_HOST_SAMPLE_H
#define CORE_HOST_SAMPLE_H

#include "core/host/loader.h"

#include <stdio.h>

#define HOST_SAMPLE_NODES_MAX 9   /* node-1 to node-9 */
#define HOST_SAMPLE_PORT 8080     /* the usual first port */
#define HOST_SAMPLE_MACHINES_MAX 16

/* What to write. Strings are borrowed. A plugin is named as in an INI file: by its name, or its file's full path. */
struct host_sample {
    const char *dir;       /* files go here; it is made when it does not exist */
    unsigned nodes;        /* 1 to HOST_SAMPLE_NODES_MAX */
    unsigned port;         /* of node-1; the others follow. 0: each picks its own, for a cluster of one */
    const char *transport; /* plugin: "websocket", "tcp" */
    const char *scheme;    /* that it speaks: "ws", "tcp" */
    const char *const *machines; /* plugins, ended by NULL; each becomes [statemachine.PLUGIN] */
    const char *const *serializers; /* plugins, ended by NULL; NULL: the default */
    const char *const *transports;  /* further ones, ended by NULL; NULL: none */
    const char *const *observers;   /* plugins, ended by NULL; NULL: log */
    /* Where the plugins' own keys come from; without a loader, or a plugin, a comment names the command that tells. */
    struct host_loader *loader;
    const char *plugin_dir;
    const struct host_builtin *builtins; /* may be NULL */
};

/*
 * Write DIR/node-N.ini for each node and DIR/start.sh. Nothing is overwritten: GAVEL_E_EXISTS names the file that is
 * there. GAVEL_E_INVALID, GAVEL_E_IO. Files that were written before a failure stay.
 */
int32_t host_sample_write(const struct host_sample *sample, struct gavel_error *error);

/*
 * Print the INI of node number `node` (from 1). `data_dir` goes into it as it is. With `brief` only what differs from
 * the defaults, without comments.
 */
void host_sample_ini(const struct host_sample *sample, unsigned node, const char *data_dir, int brief, FILE *out);

#endif
