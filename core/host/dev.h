/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev.h - gaveld --dev: one node for an afternoon, in a temporary directory, on a free port, with every installed state
 * machine.
 */
#ifndef CORE_HOST_DEV_H
#define CORE_HOST_DEV_H

/* [loop] Make the directory, run the node until it is told to stop, remove the directory. Returns the exit code. */
int host_dev_run(const char *plugin_dir, const char *version);

#endif
