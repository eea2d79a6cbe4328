/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capability.h - [capabilities] of an INI file: whatever keys it has are what this node says of itself.
 */
#ifndef CORE_HOST_CAPABILITY_H
#define CORE_HOST_CAPABILITY_H

#include <stdbool.h>

#include "core/codec/capability.h"
#include "core/host/arena.h"
#include "core/host/fault.h"
#include "core/host/ini.h"

/* A pair; both borrowed from the configuration. */
struct host_capability {
    const char *name;
    const char *value;
};

struct host_capabilities {
    struct host_capability pair[CAPABILITY_PAIRS_MAX];
    unsigned count;
};

/* Read the section (NULL: there is none, and nothing to say). What is wrong goes to `faults`, with its line. */
void host_capabilities_read(struct host_capabilities *capabilities, const char *file,
                            const struct host_ini_section *section, struct host_faults *faults);

/* Whether both say the same, in whatever order. */
bool host_capabilities_same(const struct host_capabilities *a, const struct host_capabilities *b);

#endif
