/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setup.h - everything that can be known before anything is touched: the configuration read, its plugins loaded, their
 * options bound and checked.
 */
#ifndef CORE_HOST_SETUP_H
#define CORE_HOST_SETUP_H

#include "core/host/config.h"
#include "core/host/loader.h"

struct host_setup {
    struct host_config config;
    struct host_loader loader;
    const struct host_plugin *plugin[HOST_INSTANCES_MAX]; /* of each instance; NULL when it was refused */
    struct host_faults faults;
    struct host_faults warnings;
};

/*
 * [loop] Read `stream`, named `file`; `join` as in host_config_join. Returns true when there were no faults; they and
 * the warnings are in the struct,
 * which is freed with host_setup_free in any case.
 */
bool host_setup_read(struct host_setup *setup, FILE *stream, const char *file, const char *join);

/* [loop] Open the file and read it; a file that cannot be opened is a fault. */
bool host_setup_open(struct host_setup *setup, const char *file, const char *join);

/* [loop] Free everything but the plugins' code. */
void host_setup_free(struct host_setup *setup);

#endif
