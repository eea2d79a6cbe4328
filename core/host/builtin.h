/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builtin.h - the plugins that are linked into gaveld: what it needs when no file names anything else.
 */
#ifndef CORE_HOST_BUILTIN_H
#define CORE_HOST_BUILTIN_H

#include "core/host/loader.h"

/* Ends with a row without an entry. */
extern const struct host_builtin host_builtins[];

#endif
