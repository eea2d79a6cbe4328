/* SPDX-License-Identifier: Apache-2.0 */
/*
 * module.h - which plugin's file a piece of code lies in.
 */
#ifndef CORE_HOST_MODULE_H
#define CORE_HOST_MODULE_H

/* [loop] The code of the file that `entry` lies in belongs to `path`. */
void host_module_add(const char *path, const void *entry);

/* [any] The path of the plugin's file whose code `at` is; NULL: none. Safe in a signal's handler. */
const char *host_module_at(const void *at);

#endif
