/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory.h - the plugin directory: which files in it are plugins by their names.
 */
#ifndef CORE_HOST_DIRECTORY_H
#define CORE_HOST_DIRECTORY_H

#include <gavel/abi.h>

#include <stdbool.h>

/* [any] What a file name says: gavel-NAME-KIND.so. False when it is no such name. `name` has room for 64 bytes. */
bool host_plugin_file(const char *file, char name[64], uint64_t *kind);

/*
 * [loop] Call `each` for every well-named plugin file of a kind (0: all) in `dir`, sorted by name. GAVEL_E_IO when the
 * directory cannot be read.
 */
int32_t host_plugins_each(const char *dir, uint64_t kind, void (*each)(void *context, const char *file), void *context);

#endif
