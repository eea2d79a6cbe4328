/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setup.h - everything that can be known before anything is touched: the configuration read, its plugins loaded, their
 * options bound and checked.
 */
#ifndef CORE_HOST_SETUP_H
#define CORE_HOST_SETUP_H

#include "core/host/config.h"
#include "core/host/loader.h"

/* What is said of a state machine that would change while it runs; the end of a fault. */
extern const char *const host_recipe;

struct host_setup {
    struct host_config config;
    struct host_loader *loader; /* `own`, or the one of the setup that it is read beside */
    struct host_loader own;
    struct host_setup *running; /* beside which it is read; NULL: nothing runs yet */
    const char *file;           /* that was opened; NULL: it came as a stream */
    const char *join;           /* of the command line; borrowed */
    unsigned users;             /* instances whose options lie in it, and whoever has it in force */
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

/*
 * [loop] Read the file of `running` again, which belongs to a process. Plugins that have not changed are the same ones;
 * others are loaded from copies in `private_dir`. State machines that have changed are not even loaded: that they
 * cannot be changed so is a fault.
 */
bool host_setup_again(struct host_setup *setup, struct host_setup *running, const char *private_dir);

/* [loop] Open the file and read it; a file that cannot be opened is a fault. */
bool host_setup_open(struct host_setup *setup, const char *file, const char *join);

/* [loop] Free everything but the plugins' code. */
void host_setup_free(struct host_setup *setup);

#endif
