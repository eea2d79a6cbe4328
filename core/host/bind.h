/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bind.h - the keys of one INI section into the structs of one or two field tables: the host's and a plugin's.
 */
#ifndef CORE_HOST_BIND_H
#define CORE_HOST_BIND_H

#include "core/host/config.h"

struct host_bind {
    struct host_config *config;         /* arena and file name */
    const struct host_ini_section *ini; /* NULL: nothing was written, defaults only */
    struct host_faults *faults;
    struct host_faults *warnings;
    bool lenient; /* keys that neither table knows are left alone: somebody else will look at them, or nobody can */
};

/*
 * Fill `own_object` by `own`, and `object` by `table` (both may be NULL): what is written, then defaults, then what is
 * required and missing. A key that both tables have belongs to the host, which is a fault of the plugin.
 */
void host_bind_section(const struct host_bind *bind, const struct gavel_fields *own, void *own_object,
                       const struct gavel_fields *table, void *object);

#endif
